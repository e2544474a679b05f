#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host_int.h"
#include "host_sql.h"

enum { AUDIT_LONG = 2048, BACKOFF_MS = 15 };

/* ---- what of the input the audit trail keeps ---- */

static bool is_secret(const char *name)
{
        static const char *const words[] = { "password",  "secret", "token",  "guek",
                                             "gak",       "lls",    "hls",    "psk",
                                             "dedicated", "pin",    "private" };

        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (!strcmp(name, words[i]) || strstr(name, "password") || strstr(name, "secret"))
                        return true;
        return false;
}

static void mask(json_t *j)
{
        const char *name;
        size_t i;
        json_t *v;
        void *next;

        json_array_foreach(j, i, v) mask(v);
        json_object_foreach_safe(j, next, name, v)
        {
                if (is_secret(name))
                        json_object_set_new(j, name, json_string("***"));
                else
                        mask(v);
        }
}

static void put_digest(struct buf *json, const char *s, size_t n)
{
        uint8_t md[32];
        unsigned len = 0;

        if (!EVP_Digest(s, n, md, &len, EVP_sha256(), NULL))
                len = 0;
        buf_printf(json, "{\"bytes\":%zu,\"sha256\":\"", n);
        buf_put_hex(json, md, len);
        buf_put_str(json, "\"}");
}

static void put_document(struct buf *json, const char *text, size_t n)
{
        json_t *j = n <= AUDIT_LONG ? json_loadb(text, n, 0, NULL) : NULL;
        char *s = NULL;

        if (j) {
                mask(j);
                s = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(15));
        }
        if (s)
                buf_put_str(json, s);
        else
                put_digest(json, text, n);
        free(s);
        json_decref(j);
}

static bool has_body_params(const struct params *p)
{
        for (size_t i = 0; i < p->n; i++)
                if (p->values[i].param->where == HR_BODY)
                        return true;
        return false;
}

void audit_params(const struct params *p, struct buf *json)
{
        const char *sep = "{";

        for (size_t i = 0; i < p->n; i++) {
                const struct param_value *v = &p->values[i];
                size_t n = v->text ? strlen(v->text) : 0;

                if (!v->text)
                        continue;
                buf_printf(json, "%s\"%s\":", sep, v->param->name);
                sep = ",";
                if (is_secret(v->param->name))
                        buf_put_str(json, "\"***\"");
                else if (v->param->type == HR_JSON)
                        put_document(json, v->text, n);
                else if (n > AUDIT_LONG)
                        put_digest(json, v->text, n);
                else
                        buf_put_json_str(json, v->text, n);
        }
        if (!has_body_params(p) && p->body_len > 2) {
                buf_printf(json, "%s\"body\":", sep);
                sep = ",";
                put_document(json, p->body, p->body_len);
        }
        buf_put_str(json, *sep == '{' ? "{}" : "}");
}

/* ---- idempotency ---- */

enum claim { CLAIM_FRESH, CLAIM_DONE, CLAIM_FAILED };

/* The key's row is inserted first: a second request with the same key waits for the first one's
 * end, and then finds its answer. */
static enum claim claim(struct hr_call *c, const char *key, const uint8_t hash[32])
{
        const char *params[] = { c->actor, key, c->op->name, call_bytea(c, hash, 32) };
        const void *reply;
        struct hr_rows *rows;
        size_t n;

        if (call_query(c, sql_idempotency_claim, 4, params, &rows) != HR_OK)
                return CLAIM_FAILED;
        if (db_rows_count(rows->rows))
                return CLAIM_FRESH;
        if (call_query(c, sql_idempotency_find, 4, params, &rows) != HR_OK)
                return CLAIM_FAILED;
        if (!db_rows_count(rows->rows)) { /* purged in between */
                c->broken = HR_RETRY;
                return CLAIM_FAILED;
        }
        if (strcmp(host_table->rows_text(rows, 0, "same"), "t")) {
                c->broken = call_reject(c, 422, "idempotency_key_reused", NULL,
                                        "This Idempotency-Key was used for another request; send a "
                                        "new key with a new request");
                return CLAIM_FAILED;
        }
        c->status = (int)host_table->rows_int(rows, 0, "status");
        c->content_type = host_table->rows_text(rows, 0, "content_type");
        c->file_name = host_table->rows_null(rows, 0, "file_name")
                               ? NULL
                               : host_table->rows_text(rows, 0, "file_name");
        buf_reset(&c->body);
        reply = host_table->rows_bytes(rows, 0, "reply", &n);
        if (n)
                buf_put(&c->body, reply, n);
        return CLAIM_DONE;
}

static enum hr_status keep_reply(struct hr_call *c, const char *key)
{
        char status[12];
        const char *reply = c->stored_reply;
        const char *params[8] = { c->actor, key, status, c->content_type, c->file_name };

        snprintf(status, sizeof status, "%d", c->status);
        params[5] = reply ? call_bytea(c, reply, strlen(reply))
                          : call_bytea(c, c->body.p ? c->body.p : (const uint8_t *)"", c->body.len);
        params[6] = arena_printf(&c->arena, "[%s]", c->audits.len ? buf_cstr(&c->audits) : "");
        params[7] = arena_printf(&c->arena, "[%s]", c->events.len ? buf_cstr(&c->events) : "");
        if (!params[5] || !params[6] || !params[7] || c->audits.failed || c->events.failed)
                return c->broken = HR_FATAL;
        return call_query(c, sql_call_finish, 8, params, NULL);
}

/* ---- one try ---- */

static void audit_operation(struct hr_call *c, const struct run_input *in)
{
        struct buf params = BUF_INIT;

        audit_params(in->params, &params);
        call_audit(c, c->op->name, in->object, params.failed ? "{}" : buf_cstr(&params));
        buf_deinit(&params);
}

static enum hr_status finish(struct hr_call *c, const struct run_input *in, const char *key)
{
        bool write = c->op->flags & HR_OP_WRITE, events, jobs, unknown = false;
        enum hr_status st = HR_OK;

        if (c->body.failed)
                return c->broken = HR_FATAL;
        if (!c->status)
                c->status = 200;
        if (!c->content_type)
                host_table->reply_json(c, "{}", 2);
        if (!write)
                return HR_OK; /* nothing to commit; the reset rolls back */
        audit_operation(c, in);
        events = c->events.len > 0;
        jobs = c->submitted;
        if (key) {
                st = keep_reply(c, key);
                buf_reset(&c->audits);
                buf_reset(&c->events);
        }
        if (st == HR_OK)
                st = call_commit(c, &unknown);
        if (st == HR_OK)
                call_tell(c, events, jobs);
        return st;
}

static enum hr_status try_once(struct hr_call *c, const struct run_input *in, const char *key)
{
        enum hr_status st;

        if (key) {
                switch (claim(c, key, in->hash)) {
                case CLAIM_DONE:
                        return HR_OK;
                case CLAIM_FAILED:
                        return c->broken;
                case CLAIM_FRESH:
                        break;
                }
        }
        st = in->op->op->run(c);
        if (c->broken)
                st = c->broken; /* whatever the operation made of it */
        else if (st == HR_OK && c->problem.status)
                st = HR_REJECT;
        return st == HR_OK ? finish(c, in, key) : st;
}

static void back_off(int attempt)
{
        usleep((useconds_t)((BACKOFF_MS << attempt) + rand() % BACKOFF_MS) * 1000);
}

/* ---- the reply ---- */

void reply_problem(struct host_reply *reply, const struct problem *p)
{
        reply->status = p->status;
        reply->content_type = "application/problem+json";
        buf_reset(&reply->body);
        problem_write(p, reply->request_id, &reply->body);
        if (p->status == 503 && !reply->retry_after_s)
                reply->retry_after_s = 1;
}

static void reply_ok(struct hr_call *c, struct arena *a, struct host_reply *reply)
{
        reply->status = c->status;
        reply->content_type = arena_str(a, c->content_type);
        reply->file_name = c->file_name ? arena_str(a, c->file_name) : NULL;
        if (c->session_set)
                reply->session = arena_str(a, c->session);
        buf_deinit(&reply->body);
        reply->body = c->body;
        buf_init(&c->body);
}

static void reply_failure(struct hr_call *c, struct host_op *op, enum hr_status st,
                          struct host_reply *reply)
{
        struct problem *p = &c->problem;

        if (st == HR_REJECT && p->status >= 400) {
                atomic_fetch_add(&op->rejected, 1);
        } else if (st == HR_RETRY) {
                atomic_fetch_add(&op->failed, 1);
                if (p->status != 503)
                        problem_set(p, 503, "busy", NULL,
                                    "The operation could not be finished now; try again");
        } else {
                atomic_fetch_add(&op->failed, 1);
                atomic_fetch_add(&op->plugin->failures, 1);
                log_error(NULL, "operation failed", LOG_S("operation", op->op->name),
                          LOG_S("request", c->request_id), LOG_I("status", st));
                problem_set(p, 500, "internal", NULL,
                            "The operation failed by a defect; the log has more under this "
                            "request_id");
        }
        reply->retry_after_s = c->retry_after_s;
        reply_problem(reply, p);
}

void run_operation(struct host *h, const struct run_input *in, struct host_reply *reply)
{
        const struct hr_operation *op = in->op->op;
        int64_t began = host_now_ms();
        char key[160];
        bool keyed = (op->flags & HR_OP_WRITE) && !(op->flags & HR_OP_PUBLIC) && in->hash;
        struct hr_call c;
        enum hr_status st = HR_RETRY;

        call_init(&c, h, in->op->plugin, in->who);
        c.op = op;
        c.params = in->params;
        c.request_id = in->request_id;
        c.peer = in->peer;
        /* Without a key of the client's, one of ours: a COMMIT whose answer was lost is looked up
         * instead of done twice. */
        snprintf(key, sizeof key, "%s", in->idempotency_key ? in->idempotency_key : "auto:");
        if (!in->idempotency_key)
                host_random_hex(key + 5, 16);
        call_scope(in->who, op->permission, c.scope);
        atomic_fetch_add(&in->op->calls, 1);
        for (int i = 0; i < HOST_ATTEMPTS && st == HR_RETRY; i++) {
                if (i)
                        back_off(i);
                call_reset(&c);
                st = try_once(&c, in, keyed ? key : NULL);
        }
        if (st == HR_OK)
                reply_ok(&c, in->arena, reply);
        else
                reply_failure(&c, in->op, st, reply);
        call_deinit(&c);
        atomic_fetch_add(&in->op->micros, (unsigned long)(host_now_ms() - began) * 1000);
}
