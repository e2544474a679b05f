#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "host_int.h"
#include "host_sql.h"

/* The table of functions a plugin gets. */

enum { PROGRESS_EVENT_MS = 1000 };

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
                return call_broken(c, HR_FATAL);
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
                return call_broken(c, HR_FATAL);
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
                return call_broken(c, HR_FATAL);
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
                return call_broken(c, HR_RETRY);
        if (!json_ok(c, params[2], job->type))
                return call_broken(c, HR_FATAL);
        st = call_query(c, sql_job_progress, 5, params, &rows);
        if (st != HR_OK)
                return st;
        if (!host_rows_count(rows)) {
                job->lost = true;
                return call_broken(c, HR_RETRY);
        }
        cancel = !strcmp(host_rows_text(rows, 0, "cancel"), "t");
        tell_progress(c, job, done, total);
        kept = strdup(params[2]);
        st = kept ? call_commit(c, &unknown) : call_broken(c, HR_RETRY);
        if (st != HR_OK) {
                free(kept);
                return st;
        }
        free(job->state);
        job->state = kept;
        job->done = done;
        job->total = total;
        call_memory_reset(c);
        if (host_stopping(c->host)) {
                job->parked = true;
                return call_broken(c, HR_RETRY);
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
