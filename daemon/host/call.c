#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "host_int.h"
#include "host_sql.h"

enum { TAKE_MS = 2000 };

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

void call_memory_reset(struct hr_call *c)
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
        call_memory_reset(c);
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

enum hr_status call_broken(struct hr_call *c, enum hr_status st)
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
                return call_broken(c, HR_RETRY);
        }
        st = db_begin(c->conn, c->scope, read_only);
        if (st != DB_OK)
                return call_broken(c, st == DB_RETRY ? HR_RETRY : HR_FATAL);
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
        return call_broken(c, HR_REJECT);
}

static enum hr_status statement_failed(struct hr_call *c, enum db_status st, const char *sql)
{
        const struct db_error *e = db_last_error(c->conn);
        const struct constraint_answer *a = constraint_answer(e);

        if (st == DB_RETRY || st == DB_UNKNOWN)
                return call_broken(c, HR_RETRY);
        if (a)
                return reject_constraint(c, a, e);
        log_error(NULL, "a statement is wrong", LOG_S("plugin", c->plugin->p->name),
                  LOG_S("operation", c->op ? c->op->name : ""), LOG_S("request", c->request_id),
                  LOG_S("sqlstate", e->sqlstate), LOG_S("error", e->message), LOG_S("sql", sql));
        return call_broken(c, HR_FATAL);
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
                return call_broken(c, HR_RETRY);
        }
        *r = (struct hr_rows){ .rows = rows, .call = c, .next = c->rows };
        c->rows = r;
        *ret = r;
        return HR_OK;
}

enum hr_status call_copy_out(struct hr_call *c, const char *sql,
                             bool (*each)(void *, const void *, size_t), void *arg)
{
        enum hr_status begun = call_begin(c);
        enum db_status st = begun == HR_OK ? db_copy_out(c->conn, sql, each, arg) : DB_OK;

        return st == DB_OK ? begun : statement_failed(c, st, sql);
}

enum hr_status call_copy_in(struct hr_call *c, const char *sql, const void *data, size_t n)
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
                return call_broken(c, HR_FATAL);
        if (c->audits.len || events) {
                const char *params[] = { members_array(c, &c->audits),
                                         members_array(c, &c->events) };

                if (!params[0] || !params[1])
                        return call_broken(c, HR_FATAL);
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
