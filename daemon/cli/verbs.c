#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

enum { MAX_ARGUMENT_FILE = 64 << 20 };

static const char *text_of(const json_t *o, const char *name)
{
        const char *s = json_string_value(json_object_get(o, name));

        return s ? s : "";
}

static bool flag_of(const json_t *o, const char *name)
{
        return json_is_true(json_object_get(o, name));
}

/* The daemon's operations table. NULL after an error was said; *@ret_exit then. */
static json_t *load_table(const struct cli_options *o, int *ret_exit)
{
        struct cli_reply reply;
        json_t *all = NULL, *list;

        *ret_exit = client_call(o, "GET", "/v1/operations", NULL, 0, &reply);
        if (*ret_exit == CLI_OK && reply.status != 200)
                *ret_exit = client_problem(&reply);
        if (*ret_exit == CLI_OK) {
                all = json_loadb((const char *)reply.body.p, reply.body.len, 0, NULL);
                if (!all) {
                        fprintf(stderr, "headrace: the daemon's operations table is not JSON; "
                                        "versions differ?\n");
                        *ret_exit = CLI_FAILED;
                }
        }
        buf_deinit(&reply.body);
        list = json_incref(json_object_get(all, "operations"));
        json_decref(all);
        return list;
}

/* One word of "invoice show NUMBER": its length in @cli. */
static size_t word_len(const char *cli)
{
        return strcspn(cli, " ");
}

static bool is_positional(const char *word)
{
        return isupper((unsigned char)word[0]);
}

/* How many of @argv's words the fixed part of @cli matches; 0 = no match. */
static int match_words(const char *cli, int argc, char **argv)
{
        int n = 0;

        while (*cli && !is_positional(cli)) {
                size_t len = word_len(cli);

                if (n >= argc || strlen(argv[n]) != len || strncmp(argv[n], cli, len) != 0)
                        return 0;
                n++;
                cli += len + (cli[len] == ' ');
        }
        return n;
}

static const json_t *find_operation(const json_t *table, int argc, char **argv, int *ret_words)
{
        const json_t *op, *best = NULL;
        size_t i;

        *ret_words = 0;
        json_array_foreach(table, i, op)
        {
                int n = match_words(text_of(op, "cli"), argc, argv);

                if (n > *ret_words) {
                        *ret_words = n;
                        best = op;
                }
        }
        return best;
}

static const json_t *find_param(const json_t *op, const char *name)
{
        const json_t *p;
        size_t i;

        json_array_foreach(json_object_get(op, "params"), i,
                           p) if (strcmp(text_of(p, "name"), name) == 0) return p;
        return NULL;
}

static int unknown_option(const char *name, const json_t *op)
{
        fprintf(stderr, "headrace: there is no option --%s; `headrace help %s` lists them\n", name,
                text_of(op, "cli"));
        return CLI_USAGE;
}

static int missing(const char *name, const json_t *op)
{
        fprintf(stderr, "headrace: %s is missing; usage: headrace %s\n", name, text_of(op, "cli"));
        return CLI_USAGE;
}

/* ---- reading files given as arguments ---- */

static int read_all(const char *path, struct buf *out)
{
        FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
        uint8_t *room;
        size_t n = 1;

        buf_init_limited(out, MAX_ARGUMENT_FILE);
        if (!f) {
                fprintf(stderr, "headrace: cannot read %s: %s\n", path, strerror(errno));
                return CLI_USAGE;
        }
        while (n > 0 && buf_reserve(out, 65536)) {
                room = out->p + out->len;
                n = fread(room, 1, 65536, f);
                out->len += n;
        }
        if (f != stdin)
                fclose(f);
        if (out->failed) {
                fprintf(stderr, "headrace: %s is larger than %d MiB\n", path,
                        MAX_ARGUMENT_FILE >> 20);
                return CLI_USAGE;
        }
        return CLI_OK;
}

static json_t *base64_file(const char *path)
{
        struct buf in = BUF_INIT;
        json_t *v = NULL;
        char *text;

        if (read_all(path, &in) == CLI_OK) {
                text = malloc(in.len / 3 * 4 + 5);
                if (text) {
                        EVP_EncodeBlock((unsigned char *)text,
                                        in.p ? in.p : (const unsigned char *)"", (int)in.len);
                        v = json_string(text);
                }
                free(text);
        }
        buf_deinit(&in);
        return v;
}

static json_t *json_argument(const char *name, const char *value)
{
        struct buf in = BUF_INIT;
        json_error_t e;
        json_t *v;

        if (value[0] == '@') {
                if (read_all(value + 1, &in) != CLI_OK)
                        return NULL;
        } else {
                buf_put_str(&in, value);
        }
        v = json_loads(buf_cstr(&in), JSON_REJECT_DUPLICATES, &e);
        if (!v)
                fprintf(stderr, "headrace: --%s is not JSON: line %d: %s\n", name, e.line, e.text);
        buf_deinit(&in);
        return v;
}

/* The value as the body's JSON wants it; the daemon checks ranges and formats. */
static json_t *to_json(const json_t *param, const char *value)
{
        const char *type = text_of(param, "type"), *name = text_of(param, "name");
        char *end;
        long long n;

        if (strcmp(type, "int") == 0 || strcmp(type, "integer") == 0) {
                errno = 0;
                n = strtoll(value, &end, 10);
                if (*end || end == value || errno) {
                        fprintf(stderr, "headrace: --%s: \"%s\" is not a whole number\n", name,
                                value);
                        return NULL;
                }
                return json_integer(n);
        }
        if (strcmp(type, "bool") == 0 || strcmp(type, "boolean") == 0)
                return json_boolean(strcmp(value, "true") == 0 || strcmp(value, "yes") == 0);
        if (strcmp(type, "json") == 0)
                return json_argument(name, value);
        if (strcmp(type, "bytes") == 0)
                return base64_file(value);
        return json_string(value);
}

/* ---- building the request ---- */

struct request {
        struct buf path, query;
        json_t *values; /* parameter name -> text */
        json_t *body;
};

static int put_option(const json_t *op, struct request *r, char **argv, int argc, int *i)
{
        char name[64];
        const char *eq = strchr(argv[*i], '='), *value;
        const json_t *p;

        snprintf(name, sizeof name, "%.*s", eq ? (int)(eq - argv[*i] - 2) : 63, argv[*i] + 2);
        for (char *c = name; *c; c++)
                if (*c == '-')
                        *c = '_';
        p = find_param(op, name);
        if (!p)
                return unknown_option(name, op);
        if (eq)
                value = eq + 1;
        else if (strncmp(text_of(p, "type"), "bool", 4) == 0)
                value = "true";
        else if (*i + 1 < argc)
                value = argv[++*i];
        else
                return missing(name, op);
        json_object_set_new(r->values, name, json_string(value));
        return CLI_OK;
}

static int parse_words(const json_t *op, struct request *r, int words, int argc, char **argv)
{
        const char *positional = text_of(op, "cli");
        int e;

        for (int w = 0; w < words; w++) {
                positional += word_len(positional);
                positional += *positional == ' ';
        }
        for (int i = words; i < argc; i++) {
                size_t len = word_len(positional);
                char name[64];

                if (strncmp(argv[i], "--", 2) == 0) {
                        e = put_option(op, r, argv, argc, &i);
                        if (e)
                                return e;
                        continue;
                }
                if (*positional == 0) {
                        fprintf(stderr, "headrace: %s is one word too many; usage: headrace %s\n",
                                argv[i], text_of(op, "cli"));
                        return CLI_USAGE;
                }
                snprintf(name, sizeof name, "%.*s", (int)len, positional);
                for (char *c = name; *c; c++)
                        *c = (char)tolower((unsigned char)*c);
                json_object_set_new(r->values, name, json_string(argv[i]));
                positional += len + (positional[len] == ' ');
        }
        return CLI_OK;
}

static int put_value(const json_t *op, const json_t *p, struct request *r)
{
        const char *name = text_of(p, "name"), *where = text_of(p, "where");
        const char *value = json_string_value(json_object_get(r->values, name));
        json_t *v;

        if (!value) {
                if (flag_of(p, "required") && json_object_size(r->body) == 0)
                        return missing(name, op);
                return CLI_OK;
        }
        if (strcmp(where, "query") == 0) {
                buf_printf(&r->query, "%c%s=", r->query.len ? '&' : '?', name);
                client_escape(&r->query, value);
        } else if (strcmp(where, "body") == 0) {
                v = to_json(p, value);
                if (!v)
                        return CLI_USAGE;
                json_object_set_new(r->body, name, v);
        }
        return CLI_OK;
}

static int put_path(const json_t *op, struct request *r)
{
        const char *path = text_of(op, "path");

        while (*path) {
                size_t n = strcspn(path, "{");
                char name[64];
                const char *value;

                buf_put(&r->path, path, n);
                path += n;
                if (!*path)
                        break;
                n = strcspn(path, "}");
                snprintf(name, sizeof name, "%.*s", (int)(n - 1), path + 1);
                value = json_string_value(json_object_get(r->values, name));
                if (!value || !*value)
                        return missing(name, op);
                client_escape(&r->path, value);
                path += n + (path[n] == '}');
        }
        return CLI_OK;
}

static int build(const struct cli_options *o, const json_t *op, struct request *r)
{
        const json_t *p;
        struct buf in;
        size_t i;
        int e = CLI_OK;

        if (o->body) {
                json_error_t je;

                e = read_all(o->body, &in);
                json_decref(r->body);
                r->body = e ? NULL
                            : json_loadb((const char *)in.p, in.len, JSON_REJECT_DUPLICATES, &je);
                buf_deinit(&in);
                if (!e && !r->body) {
                        fprintf(stderr, "headrace: %s is not JSON: line %d: %s\n", o->body, je.line,
                                je.text);
                        return CLI_USAGE;
                }
        }
        json_array_foreach(json_object_get(op, "params"), i, p)
        {
                if (!e)
                        e = put_value(op, p, r);
        }
        return e ? e : put_path(op, r);
}

static int confirmed(const struct cli_options *o, const json_t *op, const struct request *r)
{
        const char *name = NULL;
        const json_t *p;
        char line[256];
        size_t i;

        if (!flag_of(op, "confirm"))
                return CLI_OK;
        json_array_foreach(json_object_get(op, "params"), i, p) if (!name && flag_of(p, "required"))
                name = json_string_value(json_object_get(r->values, text_of(p, "name")));
        if (!name)
                name = text_of(op, "name");
        if (o->confirm && strcmp(o->confirm, name) == 0)
                return CLI_OK;
        if (o->no_input || !isatty(STDIN_FILENO)) {
                fprintf(stderr, "headrace: this cannot be undone; repeat it with --confirm %s\n",
                        name);
                return CLI_USAGE;
        }
        fprintf(stderr, "%s. This cannot be undone. Type %s to go on: ", text_of(op, "summary"),
                name);
        if (!fgets(line, sizeof line, stdin))
                return CLI_USAGE;
        line[strcspn(line, "\n")] = 0;
        return strcmp(line, name) == 0 ? CLI_OK : CLI_USAGE;
}

static int write_file(const struct cli_options *o, const struct cli_reply *reply)
{
        const char *path = o->output ? o->output : *reply->file_name ? reply->file_name : "-";
        FILE *f = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
        bool ok;

        if (!f) {
                fprintf(stderr, "headrace: cannot write %s: %s\n", path, strerror(errno));
                return CLI_FAILED;
        }
        ok = fwrite(reply->body.p, 1, reply->body.len, f) == reply->body.len;
        ok = (f == stdout ? fflush(f) : fclose(f)) == 0 && ok;
        if (!ok)
                fprintf(stderr, "headrace: %s could not be written whole: %s\n", path,
                        strerror(errno));
        else if (f != stdout)
                fprintf(stderr, "%s, %zu bytes\n", path, reply->body.len);
        return ok ? CLI_OK : CLI_FAILED;
}

static int show(const struct cli_options *o, const json_t *op, const struct cli_reply *reply)
{
        json_t *v, *job;
        json_error_t e;
        int r = CLI_OK;

        if (reply->status >= 400)
                return client_problem(reply);
        if (flag_of(op, "file") && strstr(reply->content_type, "json") == NULL)
                return write_file(o, reply);
        if (reply->body.len == 0)
                return CLI_OK;
        v = json_loadb((const char *)reply->body.p, reply->body.len, JSON_DECODE_ANY, &e);
        if (!v) {
                fprintf(stderr, "headrace: the daemon's answer is not JSON: %s\n", e.text);
                return CLI_FAILED;
        }
        job = json_object_get(v, "job_id");
        if (o->wait && json_is_integer(job))
                r = show_job(o, json_integer_value(job));
        else
                show_reply(o, v, *text_of(op, "table") ? text_of(op, "table") : NULL);
        json_decref(v);
        return r;
}

static int call(const struct cli_options *o, const json_t *op, struct request *r)
{
        bool write = strcmp(text_of(op, "method"), "GET") != 0;
        char *body = write ? json_dumps(r->body, JSON_COMPACT) : NULL;
        struct cli_reply reply;
        int e;

        buf_put(&r->path, r->query.p, r->query.len);
        if (o->dry_run) {
                printf("%s %s\n%s\n", text_of(op, "method"), buf_cstr(&r->path), body ? body : "");
                free(body);
                return CLI_OK;
        }
        e = client_call(o, text_of(op, "method"), buf_cstr(&r->path), body, body ? strlen(body) : 0,
                        &reply);
        free(body);
        if (e == CLI_OK)
                e = show(o, op, &reply);
        buf_deinit(&reply.body);
        return e;
}

int verbs_run(const struct cli_options *o, int argc, char **argv)
{
        struct request r = { .values = json_object(), .body = json_object() };
        const json_t *op;
        int e, words;
        json_t *table = load_table(o, &e);

        op = table ? find_operation(table, argc, argv, &words) : NULL;
        if (table && !op) {
                fprintf(stderr,
                        "headrace: there is no command \"%s%s%s\"; `headrace help` lists them\n",
                        argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
                e = CLI_USAGE;
        }
        if (op)
                e = parse_words(op, &r, words, argc, argv);
        if (op && !e)
                e = build(o, op, &r);
        if (op && !e)
                e = confirmed(o, op, &r);
        if (op && !e)
                e = call(o, op, &r);
        json_decref(r.values);
        json_decref(r.body);
        buf_deinit(&r.path);
        buf_deinit(&r.query);
        json_decref(table);
        return e;
}

static void help_one(const json_t *op)
{
        const json_t *p;
        size_t i;

        printf("headrace %s\n    %s\n    %s %s, permission %s\n", text_of(op, "cli"),
               text_of(op, "summary"), text_of(op, "method"), text_of(op, "path"),
               text_of(op, "permission"));
        json_array_foreach(json_object_get(op, "params"), i, p) printf(
                "    --%-18s %-8s %s%s%s%s\n", text_of(p, "name"), text_of(p, "type"),
                text_of(p, "help"), *text_of(p, "choices") ? " (" : "", text_of(p, "choices"),
                *text_of(p, "choices")   ? ")"
                : flag_of(p, "required") ? " [required]"
                                         : "");
}

int verbs_help(const struct cli_options *o, int argc, char **argv)
{
        const json_t *op;
        bool any = false;
        size_t i;
        int e;
        json_t *table = load_table(o, &e);

        json_array_foreach(table, i, op)
        {
                const char *cli = text_of(op, "cli");

                if (!*cli || (argc > 0 && strncmp(cli, argv[0], strlen(argv[0])) != 0))
                        continue;
                any = true;
                if (argc > 0)
                        help_one(op);
                else
                        printf("  %-44s %s\n", cli, text_of(op, "summary"));
        }
        if (table && !any && argc > 0) {
                fprintf(stderr, "headrace: there is no command \"%s\"\n", argv[0]);
                e = CLI_USAGE;
        }
        json_decref(table);
        return e;
}

int verbs_complete(const struct cli_options *o, int argc, char **argv)
{
        const char *last = argc > 0 ? argv[argc - 1] : "";
        const json_t *op;
        size_t i;
        int e;
        json_t *table = load_table(o, &e);

        json_array_foreach(table, i, op)
        {
                const char *cli = text_of(op, "cli");
                bool same = *cli != 0;

                for (int w = 0; same && w + 1 < argc; w++) {
                        size_t len = word_len(cli);

                        same = strlen(argv[w]) == len && strncmp(argv[w], cli, len) == 0;
                        cli += len + (cli[len] == ' ');
                }
                if (same && *cli && !is_positional(cli) && strncmp(cli, last, strlen(last)) == 0)
                        printf("%.*s\n", (int)word_len(cli), cli);
        }
        json_decref(table);
        return e;
}
