#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host_int.h"
#include "host_sql.h"

/* Delivery to plugins: the cursor moves in the transaction of the handlers, so an event counts as
 * told exactly when its effects are there. */

enum { EVENT_BATCH = 64, EVENT_POLL_MS = 1000, EVENT_AGAIN_MS = 100 };

enum delivered { DELIVERED_ALL, DELIVERED_MORE, DELIVERED_FAILED };

static enum hr_status (*handler_of(const struct hr_plugin *p,
                                   const char *type))(struct hr_call *, const struct hr_event *)
{
        for (const struct hr_subscription *s = p->subscriptions; s && s->type; s++)
                if (!strcmp(s->type, type))
                        return s->handle;
        return NULL;
}

static char *types_of(const struct hr_plugin *p, struct arena *a)
{
        char *types = arena_str(a, "");

        for (const struct hr_subscription *s = p->subscriptions; types && s && s->type; s++)
                types = arena_printf(a, "%s%s%s", types, *types ? " " : "", s->type);
        return types;
}

struct delivery {
        int64_t from, to; /* cursor, end of the outbox when the batch was read */
        int failures;
        bool more;       /* the batch was full */
        char failed[64]; /* id of the event that failed */
};

/* HR_OK with @d->from < 0: suspended, waiting, or another daemon is at it. */
static enum hr_status batch_open(struct hr_call *c, struct delivery *d)
{
        const char *plugin = c->plugin->p->name;
        struct hr_rows *rows;
        enum hr_status st = call_query(c, sql_cursor_take, 1, &plugin, &rows);

        d->from = -1;
        if (st != HR_OK || !host_table->rows_count(rows))
                return st;
        d->from = host_table->rows_int(rows, 0, "event_id");
        d->failures = (int)host_table->rows_int(rows, 0, "failures");
        st = call_query(c, sql_event_end, 0, NULL, &rows);
        if (st == HR_OK)
                d->to = host_table->rows_int(rows, 0, "event_id");
        return st;
}

static enum hr_status handle_one(struct hr_call *c, const struct hr_rows *rows, size_t i,
                                 struct delivery *d)
{
        struct hr_event e = {
                .id = host_table->rows_int(rows, i, "event_id"),
                .type = host_table->rows_text(rows, i, "type"),
                .key = host_table->rows_text(rows, i, "key"),
                .json = host_table->rows_text(rows, i, "body"),
        };
        enum hr_status st;

        snprintf(d->failed, sizeof d->failed, "%" PRId64 " %.40s", e.id, e.type);
        c->request_id = arena_printf(&c->arena, "event-%" PRId64, e.id);
        st = handler_of(c->plugin->p, e.type)(c, &e);
        return c->broken ? c->broken : st;
}

static enum hr_status batch_run(struct hr_call *c, struct delivery *d, size_t limit)
{
        char from[24], to[24], n[24];
        const char *params[] = { from, types_of(c->plugin->p, &c->arena), n, to };
        const char *move[] = { c->plugin->p->name, to };
        struct hr_rows *rows;
        enum hr_status st;
        size_t count;
        bool unknown = false;

        snprintf(from, sizeof from, "%" PRId64, d->from);
        snprintf(n, sizeof n, "%zu", limit);
        /* Not beyond the end noted before: what came since would be told, but not counted. */
        snprintf(to, sizeof to, "%" PRId64, d->to);
        st = call_query(c, sql_event_next, 4, params, &rows);
        if (st != HR_OK)
                return st;
        count = host_table->rows_count(rows);
        d->more = count == limit;
        for (size_t i = 0; i < count; i++) {
                st = handle_one(c, rows, i, d);
                if (st != HR_OK)
                        return st;
        }
        /* Past what nobody here asked for too. */
        if (d->more)
                snprintf(to, sizeof to, "%" PRId64,
                         host_table->rows_int(rows, count - 1, "event_id"));
        st = call_query(c, sql_cursor_move, 2, move, NULL);
        c->request_id = "";
        return st == HR_OK ? call_commit(c, &unknown) : st;
}

static void note_failure(struct hr_call *c, const struct delivery *d, enum hr_status st)
{
        bool suspend = st != HR_RETRY && d->failures + 1 >= HOST_EVENT_FAILURES;
        char text[PROBLEM_TEXT_SIZE + 100], wait[24];
        const char *error = text;
        const char *params[] = { c->plugin->p->name, error, wait, suspend ? "true" : "false" };
        bool unknown = false;
        int shift = d->failures < 8 ? d->failures : 8;

        snprintf(text, sizeof text, "event %s: %s", d->failed,
                 c->problem.status ? c->problem.text
                 : st == HR_RETRY  ? "asked for another try"
                                   : "failed; see the log");
        snprintf(wait, sizeof wait, "%.2f", 0.1 * (1 << shift));
        log_warn(NULL, suspend ? "events of a plugin are suspended" : "an event will be told again",
                 LOG_S("plugin", c->plugin->p->name), LOG_S("error", error));
        atomic_fetch_add(&c->plugin->failures, 1);
        call_reset(c);
        if (call_query(c, sql_cursor_fail, 4, params, NULL) == HR_OK)
                call_commit(c, &unknown);
}

static enum delivered deliver(struct host *h, struct host_plugin *p)
{
        struct identity who;
        struct hr_call c;
        struct delivery d = { 0 };
        enum hr_status st;

        identity_system(&who, "system");
        call_init(&c, h, p, &who);
        strcpy(c.scope, "*");
        st = batch_open(&c, &d);
        if (st == HR_OK && d.from >= 0 && d.from < d.to)
                st = batch_run(&c, &d, EVENT_BATCH);
        /* One bad event must not take the good ones of its batch along. */
        if (st != HR_OK && d.failed[0]) {
                call_reset(&c);
                d.failed[0] = 0;
                st = batch_open(&c, &d);
                if (st == HR_OK && d.from >= 0 && d.from < d.to)
                        st = batch_run(&c, &d, 1);
                if (st != HR_OK && d.failed[0])
                        note_failure(&c, &d, st);
                d.more = d.more || st == HR_OK;
        }
        call_deinit(&c);
        return st != HR_OK ? DELIVERED_FAILED : d.more ? DELIVERED_MORE : DELIVERED_ALL;
}

int events_register(struct host *h)
{
        for (int i = 0; i < h->ordered_n; i++) {
                const char *name = h->ordered[i]->p->name;
                enum db_status st = DB_RETRY;

                if (!h->ordered[i]->p->subscriptions)
                        continue;
                for (int attempt = 0; st != DB_OK && attempt < HOST_ATTEMPTS; attempt++) {
                        struct db_conn *c = db_take(h->db, 2000, NULL);

                        if (!c)
                                continue;
                        st = db_query(c, sql_cursor_add, 1, &name, NULL);
                        db_give(h->db, c);
                }
                if (st != DB_OK)
                        return -ECANCELED;
        }
        return 0;
}

/* The end of the outbox as anyone else may have moved it; -1 when the database is away. */
static int64_t outbox_end(struct host *h)
{
        struct db_conn *c = db_take(h->db, 2000, NULL);
        struct db_rows *rows = NULL;
        int64_t end = -1;

        atomic_store(&h->db_away, !c);
        if (!c)
                return -1;
        if (db_query(c, sql_event_end, 0, NULL, &rows) == DB_OK && db_rows_count(rows))
                end = db_rows_int(rows, 0, 0);
        db_rows_free(rows);
        db_give(h->db, c);
        return end;
}

static void tell_listener(struct host *h, int64_t *seen)
{
        int64_t end = outbox_end(h);

        if (end < 0 || end == *seen)
                return;
        *seen = end;
        pthread_mutex_lock(&h->lock);
        if (h->events_changed)
                h->events_changed(h->events_changed_arg);
        pthread_mutex_unlock(&h->lock);
}

static enum delivered deliver_all(struct host *h)
{
        enum delivered worst = DELIVERED_ALL;

        for (int i = 0; i < h->ordered_n && !host_stopping(h); i++) {
                enum delivered one =
                        h->ordered[i]->p->subscriptions ? deliver(h, h->ordered[i]) : DELIVERED_ALL;

                worst = one > worst ? one : worst;
        }
        return worst;
}

static uint64_t wait_for_events(struct host *h, uint64_t serial, int ms)
{
        struct timespec until = host_deadline(ms);

        pthread_mutex_lock(&h->lock);
        while (!h->stopping && h->event_serial == serial)
                if (pthread_cond_timedwait(&h->event_wake, &h->lock, &until))
                        break;
        serial = h->event_serial;
        pthread_mutex_unlock(&h->lock);
        return serial;
}

void *event_thread(void *arg)
{
        struct host *h = arg;
        uint64_t serial = 0;
        int64_t seen = -1;

        while (!host_stopping(h)) {
                enum delivered d = h->options.no_events ? DELIVERED_ALL : deliver_all(h);

                tell_listener(h, &seen);
                if (d != DELIVERED_MORE)
                        serial = wait_for_events(
                                h, serial, d == DELIVERED_FAILED ? EVENT_AGAIN_MS : EVENT_POLL_MS);
        }
        return NULL;
}

void call_tell(struct hr_call *c, bool events, bool jobs)
{
        struct host *h = c->host;

        if (!events && !jobs)
                return;
        pthread_mutex_lock(&h->lock);
        if (events) {
                h->event_serial++;
                pthread_cond_signal(&h->event_wake);
        }
        if (jobs) {
                h->job_serial++;
                pthread_cond_broadcast(&h->job_wake);
        }
        pthread_mutex_unlock(&h->lock);
}

void host_on_events(struct host *h, void (*changed)(void *arg), void *arg)
{
        pthread_mutex_lock(&h->lock);
        h->events_changed = changed;
        h->events_changed_arg = arg;
        pthread_mutex_unlock(&h->lock);
}
