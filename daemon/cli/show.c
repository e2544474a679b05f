#include "cli.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void print_scalar(struct buf *b, const json_t *v)
{
        char *text;

        if (!v || json_is_null(v))
                return;
        if (json_is_string(v)) {
                /* A control character in data must not steer the terminal. */
                for (const char *s = json_string_value(v); *s; s++)
                        buf_put_u8(b, (unsigned char)*s < ' ' || *s == 127 ? ' ' : (uint8_t)*s);
                return;
        }
        text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
        if (text)
                buf_put_str(b, text);
        free(text);
}

/* "party.name" walks into objects. */
static const json_t *walk(const json_t *row, const char *column)
{
        char name[64];

        while (row && *column) {
                size_t n = strcspn(column, ".");

                snprintf(name, sizeof name, "%.*s", (int)n, column);
                row = json_object_get(row, name);
                column += n + (column[n] == '.');
        }
        return row;
}

static bool numeric_column(const json_t *rows, const char *column)
{
        bool any = false;
        const json_t *row;
        size_t i;

        json_array_foreach(rows, i, row)
        {
                const json_t *v = walk(row, column);

                if (!v || json_is_null(v))
                        continue;
                if (!json_is_number(v) &&
                    !(json_is_string(v) && *json_string_value(v) &&
                      json_string_value(v)[strspn(json_string_value(v), "-0123456789.")] == 0))
                        return false;
                any = true;
        }
        return any;
}

static void show_rows(const struct cli_options *o, const json_t *rows, char **columns, size_t n)
{
        struct libscols_table *t = scols_new_table();
        const json_t *row;
        size_t i;

        if (!t)
                return;
        scols_table_enable_raw(t, o->plain);
        for (size_t c = 0; c < n; c++)
                scols_table_new_column(t, columns[c], 0,
                                       numeric_column(rows, columns[c]) ? SCOLS_FL_RIGHT : 0);
        json_array_foreach(rows, i, row)
        {
                struct libscols_line *line = scols_table_new_line(t, NULL);

                for (size_t c = 0; line && c < n; c++) {
                        struct buf b = BUF_INIT;

                        print_scalar(&b, walk(row, columns[c]));
                        scols_line_set_data(line, c, buf_cstr(&b));
                        buf_deinit(&b);
                }
        }
        scols_print_table(t);
        scols_unref_table(t);
}

static void show_table(const struct cli_options *o, const json_t *rows, const char *columns)
{
        char *copy = strdup(columns), *save = copy, *names[32];
        size_t n = 0;

        for (char *c; copy && n < 32 && (c = strsep(&save, ","));)
                names[n++] = c;
        if (json_array_size(rows) == 0)
                fprintf(stderr, "nothing found\n");
        else
                show_rows(o, rows, names, n);
        free(copy);
}

static void show_pairs(const json_t *object, int depth)
{
        const char *key;
        const json_t *v;
        size_t i;

        json_object_foreach((json_t *)(uintptr_t)object, key, v)
        {
                struct buf b = BUF_INIT;
                const json_t *element;

                printf("%*s%s:", depth * 2, "", key);
                if (json_is_object(v)) {
                        printf("\n");
                        show_pairs(v, depth + 1);
                } else if (json_is_array(v) && json_is_object(json_array_get(v, 0))) {
                        printf("\n");
                        json_array_foreach(v, i, element)
                        {
                                show_pairs(element, depth + 1);
                                if (i + 1 < json_array_size(v))
                                        printf("%*s--\n", depth * 2 + 2, "");
                        }
                } else {
                        print_scalar(&b, v);
                        printf(" %s\n", buf_cstr(&b));
                }
                buf_deinit(&b);
        }
}

void show_reply(const struct cli_options *o, const json_t *reply, const char *table)
{
        const char *colon = table ? strchr(table, ':') : NULL;
        char member[64];
        const json_t *rows;

        if (o->json) {
                json_dumpf(reply, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
                printf("\n");
                return;
        }
        if (colon) {
                snprintf(member, sizeof member, "%.*s", (int)(colon - table), table);
                rows = json_object_get(reply, member);
                if (json_is_array(rows)) {
                        show_table(o, rows, colon + 1);
                        if (json_is_string(json_object_get(reply, "next")))
                                fprintf(stderr, "more: --cursor %s\n",
                                        json_string_value(json_object_get(reply, "next")));
                        return;
                }
        }
        show_pairs(reply, 0);
}

static void progress_line(const json_t *job, time_t began)
{
        json_int_t done = json_integer_value(json_object_get(job, "done"));
        json_int_t total = json_integer_value(json_object_get(job, "total"));
        long spent = (long)(time(NULL) - began);
        int filled = total > 0 ? (int)(done * 30 / total) : 0;

        if (filled > 30)
                filled = 30;
        fprintf(stderr, "\r%s [%.*s%*s] %lld/%lld", json_string_value(json_object_get(job, "type")),
                filled, "##############################", 30 - filled, "", (long long)done,
                (long long)total);
        if (done > 0 && total > done)
                fprintf(stderr, ", %lld s left  ", (long long)((total - done) * spent / done));
        fflush(stderr);
}

int show_job(const struct cli_options *o, json_int_t job_id)
{
        time_t began = time(NULL);
        bool live = isatty(STDERR_FILENO);
        char path[64];

        snprintf(path, sizeof path, "/v1/jobs/%lld", (long long)job_id);
        for (;;) {
                struct cli_reply reply;
                const char *state;
                json_t *job;
                int r = client_call(o, "GET", path, NULL, 0, &reply);

                if (r == CLI_OK && reply.status != 200)
                        r = client_problem(&reply);
                job = r == CLI_OK ? json_loadb((const char *)reply.body.p, reply.body.len, 0, NULL)
                                  : NULL;
                buf_deinit(&reply.body);
                if (r)
                        return r;
                state = json_string_value(json_object_get(job, "status"));
                if (live)
                        progress_line(job, began);
                if (state && strcmp(state, "queued") != 0 && strcmp(state, "running") != 0) {
                        bool ok = strcmp(state, "done") == 0;

                        if (live)
                                fprintf(stderr, "\n");
                        show_reply(o, job, NULL);
                        json_decref(job);
                        return ok ? CLI_OK : CLI_FAILED;
                }
                json_decref(job);
                usleep(200000);
        }
}
