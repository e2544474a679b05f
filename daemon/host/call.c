#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "host_int.h"
#include "host_sql.h"

enum { TAKE_MS = 2000, PROGRESS_EVENT_MS = 1000 };

int64_t host_now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct timespec host_deadline(int ms)
{
        int64_t at = host_now_ms() + ms;

        return (struct timespec){ .tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000 };
}

void host_random_hex(char *out, size_t n)
{
        uint8_t bytes[64];

        if (n > sizeof bytes || getrandom(bytes, n, 0) != (ssize_t)n)
                abort(); /* no randomness: nothing may be signed, named or let in */
        for (size_t i = 0; i < n; i++)
                snprintf(out + 2 * i, 3, "%02x", bytes[i]);
        explicit_bzero(bytes, sizeof bytes);
}

/* ---- life ---- */

void call_init(struct hr_call *c, struct host *h, struct host_plugin *plugin,
               const struct identity *who)
{
        memset(c, 0, sizeof *c);
        c->host = h;
        c->plugin = plugin;
        c->who = who;
        c->actor = who->login;
        c->request_id = "";
        c->peer = "";
        arena_init(&c->arena, HOST_CALL_MEMORY);
        buf_init_limited(&c->audits, 16 << 20);
        buf_init_limited(&c->events, 64 << 20);
        buf_init_limited(&c->body, 256 << 20);
}

static void rows_free(struct hr_call *c)
{
        for (struct hr_rows *r = c->rows; r; r = r->next)
                db_rows_free(r->rows);
        c->rows = NULL;
}

static void transaction_end(struct hr_call *c)
{
        if (c->in_tx)
                db_rollback(c->conn);
        c->in_tx = false;
}

static void memory_reset(struct hr_call *c)
{
        rows_free(c);
        arena_deinit(&c->arena);
        arena_init(&c->arena, HOST_CALL_MEMORY);
        buf_reset(&c->audits);
        buf_reset(&c->events);
        c->submitted = false;
}

void call_reset(struct hr_call *c)
{
        transaction_end(c);
        if (c->conn)
                db_give(c->host->db, c->conn);
        c->conn = NULL;
        memory_reset(c);
        buf_reset(&c->body);
        c->broken = HR_OK;
        memset(&c->problem, 0, sizeof c->problem);
        c->status = 0;
        c->content_type = c->file_name = c->stored_reply = NULL;
        c->session_set = false;
        c->retry_after_s = 0;
}

void call_deinit(struct hr_call *c)
{
        call_reset(c);
        arena_deinit(&c->arena);
        buf_deinit(&c->audits);
        buf_deinit(&c->events);
        buf_deinit(&c->body);
}

/* ---- statements ---- */

static enum hr_status broken(struct hr_call *c, enum hr_status st)
{
        c->broken = st;
        return st;
}

enum hr_status call_begin(struct hr_call *c)
{
        bool read_only = c->op && !(c->op->flags & HR_OP_WRITE);
        struct db_error e;
        enum db_status st;

        if (c->broken)
                return c->broken;
        if (c->in_tx)
                return HR_OK;
        if (!c->conn)
                c->conn = db_take(c->host->db, TAKE_MS, &e);
        atomic_store(&c->host->db_away, !c->conn);
        if (!c->conn) {
                problem_set(&c->problem, 503, "database_away", NULL,
                            "The database does not answer; try again shortly");
                return broken(c, HR_RETRY);
        }
        st = db_begin(c->conn, c->scope, read_only);
        if (st != DB_OK)
                return broken(c, st == DB_RETRY ? HR_RETRY : HR_FATAL);
        c->in_tx = true;
        return HR_OK;
}

struct constraint_answer {
        const char *sqlstate;
        int status;
        const char *code, *text;
};

static const struct constraint_answer *constraint_answer(const struct db_error *e)
{
        static const struct constraint_answer answers[] = {
                { "23505", 409, "duplicate", "This is there already" },
                { "23P01", 409, "overlap", "This overlaps with something that is there already" },
                { "23503", 422, "unknown_reference", "What this refers to does not exist" },
                { "23502", 422, "missing_value", "A value is missing" },
                { "23514", 422, "check_failed", "A value is outside of what is allowed" },
                { "HR001", 422, "refused", NULL },
                { "22", 422, "invalid_value", NULL },
                { "42501", 403, "other_branch", "This belongs to a branch outside of your scope" },
        };

        for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
                if (!strncmp(e->sqlstate, answers[i].sqlstate, strlen(answers[i].sqlstate)))
                        return &answers[i];
        return NULL;
}

/* The constraint's comment is what its author wants people to read. Outside the failed
 * transaction. */
static void constraint_comment(struct hr_call *c, const char *constraint)
{
        struct db_rows *rows;

        if (!constraint[0] ||
            db_query(c->conn, sql_constraint_comment, 1, &constraint, &rows) != DB_OK)
                return;
        if (db_rows_count(rows))
                snprintf(c->problem.text, sizeof c->problem.text, "%s", db_rows_text(rows, 0, 0));
        db_rows_free(rows);
}

static enum hr_status reject_constraint(struct hr_call *c, const struct constraint_answer *a,
                                        const struct db_error *error)
{
        struct db_error e = *error;
        bool in_use = !strcmp(e.sqlstate, "23503") && strstr(e.message, "update or delete");

        transaction_end(c);
        problem_set(&c->problem, in_use ? 409 : a->status, in_use ? "in_use" : a->code,
                    e.column[0] ? e.column : NULL, "%s%s%s%s",
                    in_use    ? "Something else still refers to this"
                    : a->text ? a->text
                              : e.message,
                    e.constraint[0] ? " (" : "", e.constraint, e.constraint[0] ? ")" : "");
        constraint_comment(c, e.constraint);
        return broken(c, HR_REJECT);
}

static enum hr_status statement_failed(struct hr_call *c, enum db_status st, const char *sql)
{
        const struct db_error *e = db_last_error(c->conn);
        const struct constraint_answer *a = constraint_answer(e);

        if (st == DB_RETRY || st == DB_UNKNOWN)
                return broken(c, HR_RETRY);
        if (a)
                return reject_constraint(c, a, e);
        log_error(NULL, "a statement is wrong", LOG_S("plugin", c->plugin->p->name),
                  LOG_S("operation", c->op ? c->op->name : ""), LOG_S("request", c->request_id),
                  LOG_S("sqlstate", e->sqlstate), LOG_S("error", e->message), LOG_S("sql", sql));
        return broken(c, HR_FATAL);
}

enum hr_status call_query(struct hr_call *c, const char *sql, size_t n, const char *const params[],
                          struct hr_rows **ret)
{
        enum hr_status begun = call_begin(c);
        struct db_rows *rows = NULL;
        enum db_status st;
        struct hr_rows *r;

        if (begun != HR_OK)
                return begun;
        st = db_query(c->conn, sql, n, params, ret ? &rows : NULL);
        if (st != DB_OK)
                return statement_failed(c, st, sql);
        if (!ret)
                return HR_OK;
        r = arena_alloc(&c->arena, sizeof *r);
        if (!r) {
                db_rows_free(rows);
                return broken(c, HR_RETRY);
        }
        *r = (struct hr_rows){ .rows = rows, .call = c, .next = c->rows };
        c->rows = r;
        *ret = r;
        return HR_OK;
}

static enum hr_status call_copy_out(struct hr_call *c, const char *sql,
                                    bool (*each)(void *, const void *, size_t), void *arg)
{
        enum hr_status begun = call_begin(c);
        enum db_status st = begun == HR_OK ? db_copy_out(c->conn, sql, each, arg) : DB_OK;

        return st == DB_OK ? begun : statement_failed(c, st, sql);
}

static enum hr_status call_copy_in(struct hr_call *c, const char *sql, const void *data, size_t n)
{
        enum hr_status begun = call_begin(c);
        enum db_status st = begun == HR_OK ? db_copy_in(c->conn, sql, data, n) : DB_OK;

        return st == DB_OK ? begun : statement_failed(c, st, sql);
}

static const char *members_array(struct hr_call *c, struct buf *members)
{
        return arena_printf(&c->arena, "[%s]", members->len ? buf_cstr(members) : "");
}

enum hr_status call_commit(struct hr_call *c, bool *ret_unknown)
{
        bool events = c->events.len > 0, jobs = c->submitted;
        enum db_status st;

        if (c->broken)
                return c->broken;
        if (c->audits.failed || c->events.failed)
                return broken(c, HR_FATAL);
        if (c->audits.len || events) {
                const char *params[] = { members_array(c, &c->audits),
                                         members_array(c, &c->events) };

                if (!params[0] || !params[1])
                        return broken(c, HR_FATAL);
                if (call_query(c, sql_log_append, 2, params, NULL) != HR_OK)
                        return c->broken;
        }
        if (!c->in_tx)
                return HR_OK;
        st = db_commit(c->conn);
        c->in_tx = false;
        if (st != DB_OK) {
                *ret_unknown = st == DB_UNKNOWN;
                return statement_failed(c, st, "commit");
        }
        call_tell(c, events, jobs);
        return HR_OK;
}

/* ---- what a plugin sees ---- */

static const char *host_param(struct hr_call *c, const char *name)
{
        const struct param_value *v = c->params ? params_find(c->params, name) : NULL;

        if (c->params && !v)
                log_error(NULL, "operation asks for a parameter it does not declare",
                          LOG_S("operation", c->op->name), LOG_S("param", name));
        return v ? v->text : NULL;
}

static int64_t host_param_int(struct hr_call *c, const char *name, int64_t otherwise)
{
        const char *s = host_param(c, name);

        return s ? strtoll(s, NULL, 10) : otherwise;
}

static const void *host_param_bytes(struct hr_call *c, const char *name, size_t *ret_n)
{
        const struct param_value *v = c->params ? params_find(c->params, name) : NULL;

        *ret_n = v ? v->n : 0;
        return v ? v->bytes : NULL;
}

static const char *host_body(struct hr_call *c)
{
        return c->params ? c->params->body : "{}";
}

static const char *host_actor(struct hr_call *c)
{
        return c->actor;
}

static const char *host_request_id(struct hr_call *c)
{
        return c->request_id;
}

static bool host_may(struct hr_call *c, const char *permission)
{
        return identity_may(c->who, permission);
}

static const char *host_config_value(struct hr_call *c, const char *key)
{
        const struct hr_config_key *k = c->plugin->p->config;
        const struct host_options *o = &c->host->options;
        const char *v;

        for (; k && k->name; k++) {
                if (strcmp(k->name, key))
                        continue;
                v = o->config ? o->config(o->config_arg, c->plugin->p->name, key) : NULL;
                return v ? v : k->default_value;
        }
        log_error(NULL, "plugin asks for a configuration key it does not declare",
                  LOG_S("plugin", c->plugin->p->name), LOG_S("key", key));
        return NULL;
}

static size_t host_rows_count(const struct hr_rows *r)
{
        return db_rows_count(r->rows);
}

static int column_of(const struct hr_rows *r, const char *column)
{
        int i = db_rows_column(r->rows, column);

        if (i < 0) {
                log_error(NULL, "a result has no such column", LOG_S("column", column),
                          LOG_S("plugin", r->call->plugin->p->name));
                abort();
        }
        return i;
}

static const char *host_rows_text(const struct hr_rows *r, size_t row, const char *column)
{
        return db_rows_text(r->rows, row, column_of(r, column));
}

static bool host_rows_null(const struct hr_rows *r, size_t row, const char *column)
{
        return db_rows_null(r->rows, row, column_of(r, column));
}

static int64_t host_rows_int(const struct hr_rows *r, size_t row, const char *column)
{
        return db_rows_int(r->rows, row, column_of(r, column));
}

void *call_bytes(struct arena *a, const char *text, size_t *ret_n)
{
        size_t n = strlen(text);
        uint8_t *out;

        *ret_n = 0;
        if (n < 2 || text[0] != '\\' || text[1] != 'x' || n % 2)
                return NULL;
        out = arena_alloc(a, n / 2);
        for (size_t i = 0; out && i < n / 2 - 1; i++) {
                static const char digits[] = "0123456789abcdef";
                const char *hi = strchr(digits, text[2 + 2 * i]);
                const char *lo = strchr(digits, text[3 + 2 * i]);

                if (!hi || !lo)
                        return NULL;
                out[i] = (uint8_t)((hi - digits) << 4 | (lo - digits));
        }
        if (out)
                *ret_n = n / 2 - 1;
        return out;
}

const char *call_bytea(struct hr_call *c, const void *p, size_t n)
{
        static const char digits[] = "0123456789abcdef";
        const uint8_t *s = p;
        char *out = arena_alloc(&c->arena, 2 * n + 3);

        if (!out)
                return NULL;
        out[0] = '\\';
        out[1] = 'x';
        for (size_t i = 0; i < n; i++) {
                out[2 + 2 * i] = digits[s[i] >> 4];
                out[3 + 2 * i] = digits[s[i] & 15];
        }
        return out;
}

static const void *host_rows_bytes(const struct hr_rows *r, size_t row, const char *column,
                                   size_t *ret_n)
{
        return call_bytes(&r->call->arena, host_rows_text(r, row, column), ret_n);
}

static void *host_alloc(struct hr_call *c, size_t n)
{
        return arena_alloc(&c->arena, n);
}

static char *host_format(struct hr_call *c, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
static char *host_format(struct hr_call *c, const char *fmt, ...)
{
        va_list ap, again;
        char *s;
        int n;

        va_start(ap, fmt);
        va_copy(again, ap);
        n = vsnprintf(NULL, 0, fmt, ap);
        s = n >= 0 ? arena_alloc(&c->arena, (size_t)n + 1) : NULL;
        if (s)
                vsnprintf(s, (size_t)n + 1, fmt, again);
        va_end(again);
        va_end(ap);
        return s;
}

static void host_reply_json(struct hr_call *c, const char *json, size_t n)
{
        buf_reset(&c->body);
        buf_put(&c->body, json, n);
        c->content_type = "application/json";
        c->file_name = NULL;
}

static void host_reply_file(struct hr_call *c, const char *content_type, const char *file_name,
                            const void *data, size_t n)
{
        buf_reset(&c->body);
        buf_put(&c->body, data, n);
        c->content_type = arena_str(&c->arena, content_type);
        c->file_name = file_name ? arena_str(&c->arena, file_name) : NULL;
}

static void host_reply_status(struct hr_call *c, int status)
{
        c->status = status;
}

enum hr_status call_reject(struct hr_call *c, int status, const char *code, const char *param,
                           const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        problem_vset(&c->problem, status, code, param, fmt, ap);
        va_end(ap);
        return HR_REJECT;
}

static bool writes(struct hr_call *c, const char *what)
{
        if (!c->op || (c->op->flags & HR_OP_WRITE))
                return true;
        log_error(NULL, "operation without HR_OP_WRITE writes", LOG_S("operation", c->op->name),
                  LOG_S("what", what));
        c->broken = HR_FATAL;
        return false;
}

/* @json checked, or NULL. */
static bool json_ok(struct hr_call *c, const char *json, const char *what)
{
        json_error_t e;
        json_t *j = json ? json_loads(json, 0, &e) : NULL;

        if (!j)
                log_error(NULL, "plugin hands over malformed JSON", LOG_S("what", what),
                          LOG_S("plugin", c->plugin->p->name),
                          LOG_S("error", json ? e.text : "NULL"));
        json_decref(j);
        return j != NULL;
}

static void member(struct buf *b, const char *name, const char *value)
{
        buf_printf(b, "\"%s\":", name);
        buf_put_json_str(b, value, strlen(value));
        buf_put_str(b, ",");
}

void call_audit(struct hr_call *c, const char *what, const char *object, const char *json)
{
        struct buf *b = &c->audits;

        buf_put_str(b, b->len ? ",{" : "{");
        member(b, "actor", c->actor);
        member(b, "what", what);
        member(b, "object", object ? object : "");
        member(b, "request_id", c->request_id);
        member(b, "peer", c->peer);
        buf_printf(b, "\"params\":%s}", json);
        atomic_fetch_add(&c->host->audit_rows, 1);
}

static enum hr_status host_publish(struct hr_call *c, const char *type, const char *key,
                                   const char *json)
{
        struct buf *b = &c->events;

        if (!writes(c, type) || !json_ok(c, json, type))
                return broken(c, HR_FATAL);
        buf_put_str(b, b->len ? ",{" : "{");
        member(b, "type", type);
        member(b, "key", key ? key : "");
        buf_printf(b, "\"body\":%s}", json);
        return HR_OK;
}

static enum hr_status host_audit(struct hr_call *c, const char *what, const char *object,
                                 const char *json)
{
        if (!writes(c, what) || !json_ok(c, json ? json : "{}", what))
                return broken(c, HR_FATAL);
        call_audit(c, what, object, json ? json : "{}");
        return HR_OK;
}

static enum hr_status host_submit_job(struct hr_call *c, const char *type, const char *json,
                                      int64_t *ret_job_id)
{
        const struct hr_job_type *t = job_type_find(c->host, type, NULL);
        const char *params[] = { type, c->actor, json };
        struct hr_rows *rows;
        enum hr_status st;

        if (!writes(c, type) || !t || !json_ok(c, json, type)) {
                log_error(NULL, "job cannot be submitted", LOG_S("type", type),
                          LOG_S("why", t ? "see above" : "no such job type"));
                return broken(c, HR_FATAL);
        }
        if (!identity_may(c->who, t->permission))
                return call_reject(c, 403, "forbidden", NULL, "This needs the permission %s",
                                   t->permission);
        st = call_query(c, sql_job_insert, 3, params, &rows);
        if (st != HR_OK)
                return st;
        *ret_job_id = host_rows_int(rows, 0, "job_id");
        c->submitted = true;
        return HR_OK;
}

/* ---- jobs ---- */

static const char *host_job_params(struct hr_job *job)
{
        return job->params;
}

static const char *host_job_state(struct hr_job *job)
{
        return job->state;
}

static int64_t host_job_id(struct hr_job *job)
{
        return job->id;
}

static void tell_progress(struct hr_call *c, struct hr_job *job, int64_t done, int64_t total)
{
        int64_t now = host_now_ms();
        char body[256], key[24];

        if (now - job->told_ms < PROGRESS_EVENT_MS)
                return;
        job->told_ms = now;
        snprintf(key, sizeof key, "%" PRId64, job->id);
        snprintf(body, sizeof body,
                 "{\"job_id\":%" PRId64 ",\"type\":\"%s\",\"done\":%" PRId64 ",\"total\":%" PRId64
                 "}",
                 job->id, job->type, done, total);
        host_publish(c, "job.progress", key, body);
}

static enum hr_status host_job_commit(struct hr_call *c, struct hr_job *job, const char *state,
                                      int64_t done, int64_t total)
{
        const char *params[] = {
                arena_printf(&c->arena, "%" PRId64, job->id),
                arena_printf(&c->arena, "%d", job->epoch),
                state ? state : "{}",
                arena_printf(&c->arena, "%" PRId64, done),
                arena_printf(&c->arena, "%" PRId64, total),
        };
        struct hr_rows *rows;
        bool unknown = false, cancel;
        enum hr_status st;
        char *kept;

        if (!params[0] || !params[1] || !params[3] || !params[4])
                return broken(c, HR_RETRY);
        if (!json_ok(c, params[2], job->type))
                return broken(c, HR_FATAL);
        st = call_query(c, sql_job_progress, 5, params, &rows);
        if (st != HR_OK)
                return st;
        if (!host_rows_count(rows)) {
                job->lost = true;
                return broken(c, HR_RETRY);
        }
        cancel = !strcmp(host_rows_text(rows, 0, "cancel"), "t");
        tell_progress(c, job, done, total);
        kept = strdup(params[2]);
        st = kept ? call_commit(c, &unknown) : broken(c, HR_RETRY);
        if (st != HR_OK) {
                free(kept);
                return st;
        }
        free(job->state);
        job->state = kept;
        job->done = done;
        job->total = total;
        memory_reset(c);
        if (host_stopping(c->host)) {
                job->parked = true;
                return broken(c, HR_RETRY);
        }
        return cancel ? call_reject(c, 409, "cancelled", NULL, "Stopped on request") : HR_OK;
}

static void host_log(struct hr_call *c, enum hr_level level, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
static void host_log(struct hr_call *c, enum hr_level level, const char *fmt, ...)
{
        static const enum log_level levels[] = { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
        char text[1024];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        log_at(levels[level & 3], NULL, text, LOG_S("plugin", c->plugin->p->name),
               LOG_S("request", c->request_id));
}

static const struct hr_host table = {
        .size = sizeof(struct hr_host),
        .abi = HR_ABI_VERSION,
        .param = host_param,
        .param_int = host_param_int,
        .param_bytes = host_param_bytes,
        .body = host_body,
        .actor = host_actor,
        .request_id = host_request_id,
        .may = host_may,
        .config = host_config_value,
        .query = call_query,
        .rows_count = host_rows_count,
        .rows_text = host_rows_text,
        .rows_null = host_rows_null,
        .rows_int = host_rows_int,
        .rows_bytes = host_rows_bytes,
        .copy_out = call_copy_out,
        .copy_in = call_copy_in,
        .alloc = host_alloc,
        .format = host_format,
        .reply_json = host_reply_json,
        .reply_file = host_reply_file,
        .reply_status = host_reply_status,
        .reject = call_reject,
        .publish = host_publish,
        .submit_job = host_submit_job,
        .audit = host_audit,
        .job_params = host_job_params,
        .job_state = host_job_state,
        .job_id = host_job_id,
        .job_commit = host_job_commit,
        .log = host_log,
};
const struct hr_host *const host_table = &table;

struct db_conn *host_conn(struct hr_call *c)
{
        return call_begin(c) == HR_OK ? c->conn : NULL;
}

void *host_object(struct hr_call *c, const char *name)
{
        for (size_t i = 0; i < sizeof c->host->objects / sizeof *c->host->objects; i++)
                if (c->host->objects[i].name && !strcmp(c->host->objects[i].name, name))
                        return c->host->objects[i].object;
        return NULL;
}
