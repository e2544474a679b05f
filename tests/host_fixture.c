#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_fixture.h"

enum { REPLIES = 8 };

struct fixture {
        struct db *db;
        struct host *host;
        struct buf replies[REPLIES];
        int next;
};

static struct buf *slot(struct fixture *f)
{
        struct buf *b = &f->replies[f->next++ % REPLIES];

        buf_deinit(b);
        buf_init(b);
        return b;
}

static void die(const char *what, const char *why)
{
        printf("fixture: %s: %s\n", what, why);
        exit(1);
}

static void load(struct fixture *f, const char *const *plugins, struct buf *errors)
{
        const char *build = getenv("HEADRACE_BUILD");

        for (; plugins && *plugins; plugins++) {
                char path[4096];

                snprintf(path, sizeof path, "%s%s%s",
                         **plugins == '/' ? ""
                         : build          ? build
                                          : ".",
                         **plugins == '/' ? "" : "/", *plugins);
                if (host_load_file(f->host, path, errors))
                        die("loading", buf_cstr(errors));
        }
}

/* A test sets what its plugins are configured with in the environment, as "invoice.smtp_url". */
static const char *config(void *arg, const char *plugin, const char *key)
{
        char name[128];

        (void)arg;
        snprintf(name, sizeof name, "%s.%s", plugin, key);
        return getenv(name);
}

struct fixture *fixture_new(const char *const *plugins)
{
        return fixture_new_with(NULL, plugins);
}

struct fixture *fixture_new_with(const struct hr_plugin *builtin, const char *const *plugins)
{
        const char *conninfo = getenv("HEADRACE_TEST_DB"),
                   *jobs = getenv("HEADRACE_TEST_JOB_WORKERS");
        struct fixture *f = calloc(1, sizeof *f);
        struct buf errors = BUF_INIT;

        if (!conninfo) {
                printf("SKIP: no HEADRACE_TEST_DB; run under tests/db/with-pg.sh\n");
                exit(77);
        }
        if (!f || db_open(&f->db, conninfo, 12))
                die("database", "out of memory");
        if (host_new(&f->host, &(struct host_options){ .db = f->db,
                                                       .workers = 2,
                                                       .job_workers = jobs ? atoi(jobs) : 1,
                                                       .config = config }))
                die("host", "out of memory");
        if (builtin && host_add_builtin(f->host, builtin, &errors))
                die("builtin", buf_cstr(&errors));
        load(f, plugins, &errors);
        if (host_start(f->host, &errors))
                die("starting", buf_cstr(&errors));
        buf_deinit(&errors);
        return f;
}

void fixture_free(struct fixture *f)
{
        if (!f)
                return;
        host_free(f->host);
        db_close(f->db);
        for (int i = 0; i < REPLIES; i++)
                buf_deinit(&f->replies[i]);
        free(f);
}

struct host *fixture_host(struct fixture *f)
{
        return f->host;
}

struct db *fixture_db(struct fixture *f)
{
        return f->db;
}

static char *text_of(struct buf *b)
{
        buf_put_u8(b, 0);
        return (char *)b->p;
}

int fixture_call(struct fixture *f, const char *operation, const char *json, char **ret)
{
        struct buf *b = slot(f);
        int status = host_call(f->host, operation, json, b);

        if (ret)
                *ret = text_of(b);
        return status;
}

int fixture_call_as(struct fixture *f, const char *login, const char *operation, const char *json,
                    char **ret)
{
        struct buf *b = slot(f);
        int status = host_call_as(f->host, login, operation, json, b);

        if (ret)
                *ret = text_of(b);
        return status;
}

void fixture_user(struct fixture *f, const char *login, const char *roles, const char *branches)
{
        json_t *j =
                json_pack("{s:s,s:s,s:s}", "login", login, "roles", roles, "branches", branches);
        char *text = json_dumps(j, 0), *reply;

        if (fixture_call(f, "user.create", text, &reply) != 201)
                die("user", reply);
        free(text);
        json_decref(j);
}

void fixture_branch(struct fixture *f, int branch_id, const char *code, const char *tz,
                    const char *currency, int minor_digits)
{
        char text[512], *reply;
        int status;

        snprintf(text, sizeof text,
                 "{\"branch_id\":%d,\"code\":\"%s\",\"name\":\"%s\",\"tz\":\"%s\","
                 "\"currency\":\"%s\",\"minor_digits\":%d}",
                 branch_id, code, code, tz, currency, minor_digits);
        status = fixture_call(f, "branch.create", text, &reply);
        if (status != 201 && status != 409)
                die("branch", reply);
}

static struct db_conn *begin(struct fixture *f, const char *sql)
{
        struct db_error e = { 0 };
        struct db_conn *c = db_take(f->db, 5000, &e);

        if (!c)
                die(sql, e.message);
        if (db_begin(c, "*", false) != DB_OK)
                die(sql, db_last_error(c)->message);
        return c;
}

const char *fixture_sql(struct fixture *f, const char *sql)
{
        struct db_conn *c = begin(f, sql);
        struct db_rows *rows = NULL;
        struct buf *b = slot(f);

        if (db_query(c, sql, 0, NULL, &rows) != DB_OK)
                die(sql, db_last_error(c)->message);
        if (db_rows_count(rows) && db_rows_columns(rows))
                buf_put_str(b, db_rows_text(rows, 0, 0));
        db_rows_free(rows);
        if (db_commit(c) != DB_OK)
                die(sql, db_last_error(c)->message);
        db_give(f->db, c);
        return text_of(b);
}

void fixture_exec(struct fixture *f, const char *sql)
{
        struct db_conn *c = begin(f, sql);

        if (db_exec(c, sql) != DB_OK || db_commit(c) != DB_OK)
                die(sql, db_last_error(c)->message);
        db_give(f->db, c);
}

static json_t *step(json_t *j, const char *name)
{
        return json_is_array(j) ? json_array_get(j, (size_t)strtoul(name, NULL, 10))
                                : json_object_get(j, name);
}

const char *fixture_json(struct fixture *f, const char *json, const char *path)
{
        json_t *root = json ? json_loads(json, JSON_DECODE_ANY, NULL) : NULL, *j = root;
        struct buf *b = slot(f);
        char name[128], *text;

        while (j && *path) {
                size_t n = strcspn(path, ".");

                snprintf(name, sizeof name, "%.*s", (int)n, path);
                j = step(j, name);
                path += n + (path[n] == '.');
        }
        if (json_is_string(j)) {
                buf_put_str(b, json_string_value(j));
        } else if (j && !json_is_null(j)) {
                text = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
                buf_put_str(b, text ? text : "");
                free(text);
        }
        json_decref(root);
        return text_of(b);
}

void fixture_drain(struct fixture *f)
{
        if (host_drain(f->host, 20000))
                die("drain", "events or jobs did not end within 20 s");
}
