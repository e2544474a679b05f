#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host_int.h"
#include "host_sql.h"

enum { JOB_POLL_MS = 1000 };

const struct hr_job_type *job_type_find(struct host *h, const char *name, struct host_plugin **ret)
{
        for (struct host_plugin *p = h->plugins; p; p = p->next)
                for (const struct hr_job_type *t = p->p->jobs; t && t->name; t++)
                        if (!strcmp(t->name, name)) {
                                if (ret)
                                        *ret = p;
                                return t;
                        }
        return NULL;
}

/* A job taken from the table, with its strings. */
struct taken {
        struct hr_job job;
        struct arena arena;
        char scope[HOST_SCOPE_SIZE];
        int attempts;
        bool cancel;
        struct host_plugin *plugin;
        const struct hr_job_type *type;
};

static bool taken_fill(struct host *h, struct taken *t, struct db_rows *rows)
{
#define COL(name) db_rows_column(rows, name)
        t->job.id = db_rows_int(rows, 0, COL("job_id"));
        t->job.epoch = (int)db_rows_int(rows, 0, COL("epoch"));
        t->job.type = arena_str(&t->arena, db_rows_text(rows, 0, COL("type")));
        t->job.params = arena_str(&t->arena, db_rows_text(rows, 0, COL("params")));
        t->job.state = strdup(db_rows_text(rows, 0, COL("state")));
        t->job.done = db_rows_int(rows, 0, COL("done"));
        t->job.total = db_rows_int(rows, 0, COL("total"));
        t->attempts = (int)db_rows_int(rows, 0, COL("attempts"));
        t->cancel = !strcmp(db_rows_text(rows, 0, COL("cancel")), "t");
        snprintf(t->scope, sizeof t->scope, "%s", db_rows_text(rows, 0, COL("scope")));
#undef COL
        t->type = t->job.type ? job_type_find(h, t->job.type, &t->plugin) : NULL;
        return t->type && t->job.params && t->job.state;
}

static bool take(struct host *h, struct taken *t)
{
        const char *params[] = { h->instance, h->job_types };
        struct db_conn *c = db_take(h->db, 2000, NULL);
        struct db_rows *rows = NULL;
        bool got = false;

        memset(t, 0, sizeof *t);
        arena_init(&t->arena, 64 << 20);
        if (!c)
                return false;
        if (db_begin(c, "*", false) == DB_OK &&
            db_query(c, sql_job_claim, 2, params, &rows) == DB_OK && db_rows_count(rows))
                got = taken_fill(h, t, rows);
        db_rows_free(rows);
        got = db_commit(c) == DB_OK && got;
        db_give(h->db, c);
        return got;
}

static void taken_free(struct taken *t)
{
        free(t->job.state);
        arena_deinit(&t->arena);
}

static void event_ended(struct hr_call *c, const struct hr_job *job, const char *status,
                        const char *error)
{
        struct buf body = BUF_INIT;
        char key[24], type[24];

        snprintf(key, sizeof key, "%" PRId64, job->id);
        snprintf(type, sizeof type, "job.%s", status);
        buf_printf(&body,
                   "{\"job_id\":%" PRId64 ",\"type\":\"%s\",\"done\":%" PRId64 ",\"total\":%" PRId64
                   ",\"error\":",
                   job->id, job->type, job->done, job->total);
        buf_put_json_str(&body, error, strlen(error));
        buf_put_str(&body, "}");
        if (!body.failed)
                host_table->publish(c, type, key, buf_cstr(&body));
        buf_deinit(&body);
}

/* The end in the transaction of the last piece (HR_OK), or in one of its own. */
static enum hr_status end(struct hr_call *c, struct hr_job *job, const char *status,
                          const char *error, const char *result)
{
        char id[24], epoch[12];
        const char *params[] = { id, epoch, status, error, result };
        bool unknown = false;
        struct hr_rows *rows;
        enum hr_status st;

        snprintf(id, sizeof id, "%" PRId64, job->id);
        snprintf(epoch, sizeof epoch, "%d", job->epoch);
        st = call_query(c, sql_job_end, 5, params, &rows);
        if (st != HR_OK)
                return st;
        if (!host_table->rows_count(rows)) {
                job->lost = true;
                return c->broken = HR_RETRY;
        }
        event_ended(c, job, status, error);
        return call_commit(c, &unknown);
}

static void again(struct hr_call *c, const struct taken *t, const char *error)
{
        char id[24], epoch[12], wait[24];
        const char *params[] = { id, epoch, error, wait };
        bool unknown = false;

        snprintf(id, sizeof id, "%" PRId64, t->job.id);
        snprintf(epoch, sizeof epoch, "%d", t->job.epoch);
        snprintf(wait, sizeof wait, "%.2f",
                 t->job.parked ? 0.0 : 0.2 * (1 << (t->attempts < 6 ? t->attempts : 6)));
        call_reset(c);
        if (call_query(c, sql_job_again, 4, params, NULL) == HR_OK)
                call_commit(c, &unknown);
}

static void job_failed(struct hr_call *c, struct taken *t, enum hr_status st)
{
        char text[PROBLEM_TEXT_SIZE];
        const char *error = text;
        bool cancelled = st == HR_REJECT && !strcmp(c->problem.code, "cancelled");

        snprintf(text, sizeof text, "%s",
                 c->problem.status ? c->problem.text
                 : st == HR_RETRY  ? "could not be finished; it kept asking for another try"
                                   : "failed by a defect; the log has more");
        if (t->job.lost) {
                log_warn(NULL, "another daemon holds the job now", LOG_I("job", t->job.id));
                return;
        }
        /* With the database away the lease runs out and the job is taken up again. */
        if (st == HR_RETRY && (t->job.parked || t->attempts < HOST_JOB_ATTEMPTS)) {
                again(c, t, error);
                return;
        }
        call_reset(c);
        log_at(cancelled ? LOG_INFO : LOG_ERROR, NULL, cancelled ? "job stopped" : "job failed",
               LOG_I("job", t->job.id), LOG_S("type", t->job.type), LOG_S("error", error));
        if (!cancelled)
                atomic_fetch_add(&c->plugin->failures, 1);
        end(c, &t->job, cancelled ? "cancelled" : "failed", cancelled ? "" : error, "");
}

static void lease_note(struct host *h, const struct hr_job *job, bool hold)
{
        pthread_mutex_lock(&h->lock);
        for (size_t i = 0; i < sizeof h->leases / sizeof *h->leases; i++) {
                if (h->leases[i].job_id != (hold ? 0 : job->id))
                        continue;
                h->leases[i].job_id = hold ? job->id : 0;
                h->leases[i].epoch = job->epoch;
                break;
        }
        pthread_mutex_unlock(&h->lock);
}

static void run(struct host *h, struct taken *t)
{
        char request_id[40];
        struct identity who;
        struct hr_call c;
        enum hr_status st;

        identity_system(&who, "system");
        call_init(&c, h, t->plugin, &who);
        snprintf(c.scope, sizeof c.scope, "%s", t->scope);
        snprintf(request_id, sizeof request_id, "job-%" PRId64, t->job.id);
        c.request_id = request_id;
        c.job = &t->job;
        lease_note(h, &t->job, true);
        st = t->cancel ? call_reject(&c, 409, "cancelled", NULL, "Stopped on request")
                       : t->type->run(&c, &t->job);
        if (c.broken)
                st = c.broken;
        if (st == HR_OK)
                st = end(&c, &t->job, "done", "", c.body.len ? buf_cstr(&c.body) : "");
        if (st != HR_OK)
                job_failed(&c, t, st);
        lease_note(h, &t->job, false);
        call_deinit(&c);
}

void *job_thread(void *arg)
{
        struct host *h = arg;
        uint64_t serial = 0;
        bool stop = false;

        while (!stop) {
                struct timespec until = host_deadline(JOB_POLL_MS);
                struct taken t;
                bool got = take(h, &t);

                if (got)
                        run(h, &t);
                taken_free(&t);
                pthread_mutex_lock(&h->lock);
                while (!got && !h->stopping && h->job_serial == serial)
                        if (pthread_cond_timedwait(&h->job_wake, &h->lock, &until))
                                break;
                serial = h->job_serial;
                stop = h->stopping;
                pthread_mutex_unlock(&h->lock);
        }
        return NULL;
}

/* ---- housekeeping ---- */

/* What this daemon held when it died is taken up at once. */
void jobs_release_own(struct host *h)
{
        const char *instance = h->instance;
        struct db_conn *c = db_take(h->db, 2000, NULL);

        if (!c)
                return;
        if (db_begin(c, "*", false) == DB_OK &&
            db_query(c, sql_job_release_own, 1, &instance, NULL) == DB_OK)
                db_commit(c);
        db_give(h->db, c);
}

enum { KEEP_MS = 10000, PURGE_EVERY = 60 };

static void leases_renew(struct host *h, struct db_conn *c)
{
        for (size_t i = 0; i < sizeof h->leases / sizeof *h->leases; i++) {
                char id[24], epoch[12];
                const char *params[] = { id, epoch };
                bool held;

                pthread_mutex_lock(&h->lock);
                held = h->leases[i].job_id != 0;
                snprintf(id, sizeof id, "%" PRId64, h->leases[i].job_id);
                snprintf(epoch, sizeof epoch, "%d", h->leases[i].epoch);
                pthread_mutex_unlock(&h->lock);
                if (held && db_begin(c, "*", false) == DB_OK &&
                    db_query(c, sql_job_renew, 2, params, NULL) == DB_OK)
                        db_commit(c);
        }
}

static void purge(struct db_conn *c)
{
        static const char *const statements[] = { sql_idempotency_purge, sql_token_purge,
                                                  sql_event_purge };

        for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
                if (db_begin(c, "*", false) == DB_OK &&
                    db_query(c, statements[i], 0, NULL, NULL) == DB_OK)
                        db_commit(c);
                else
                        db_rollback(c);
        }
}

void *keep_thread(void *arg)
{
        struct host *h = arg;
        bool stop = false;

        for (unsigned round = 0; !stop; round++) {
                struct timespec until = host_deadline(KEEP_MS);
                struct db_conn *c = db_take(h->db, 2000, NULL);

                if (c) {
                        leases_renew(h, c);
                        if (round % PURGE_EVERY == 0)
                                purge(c);
                        db_give(h->db, c);
                }
                pthread_mutex_lock(&h->lock);
                while (!h->stopping)
                        if (pthread_cond_timedwait(&h->idle, &h->lock, &until))
                                break;
                stop = h->stopping;
                pthread_mutex_unlock(&h->lock);
        }
        return NULL;
}
