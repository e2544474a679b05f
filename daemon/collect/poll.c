/* Runs the sweep: starts visits when it says so, hands what they read to the ingest. */

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect_internal.h"
#include "dlms/security.h"
#include "hex.h"
#include "polling.h"

enum { SYNC_MS = 5, SYNC_METERS = 500, SYNC_AT_ONCE = 20000, SEED_WAIT_MS = 60000 };

struct poll_visit {
        struct collect *collect;
        struct poll_visit *prev, *next;
        struct fleet *fleet; /* referenced */
        struct visit *visit; /* NULL once it ended and its payload is on the way to the disk */
        uint32_t meter_id;
        bool on_demand;
        struct visit_result result; /* without the payload */
};

struct read_waiter {
        struct read_waiter *next;
        uint32_t meter_id;
        collect_read_done *done;
        void *arg;
};

static void turn(struct collect *c);

static int64_t now_ms(const struct collect *c)
{
        return (int64_t)uv_now(c->loop);
}

/* ---- who waits for a read ---- */

static void tell(struct collect *c, uint32_t meter_id, const struct collect_read *result)
{
        for (struct read_waiter **at = &c->waiters; *at;) {
                struct read_waiter *w = *at;

                if (meter_id && w->meter_id != meter_id) {
                        at = &w->next;
                        continue;
                }
                *at = w->next;
                w->done(w->arg, result);
                free(w);
                at = &c->waiters; /* the callback may have changed the list */
        }
}

void collect_read_now(struct collect *c, uint32_t meter_id, collect_read_done *done, void *arg)
{
        struct collect_read r = { .outcome = COLLECT_BUSY, .cause = "", .text = "" };
        const struct registry_meter *m = registry_by_id(c->fleet->snapshot, meter_id);
        const struct meter_model *model = NULL;
        const char *why = "";
        struct read_waiter *w;

        if (m)
                model = fleet_model(c->fleet, m, &why);
        if (!m || !c->polling || !model || model->push_only ||
            (m->protocol != METER_DLMS && m->protocol != METER_MODBUS) ||
            !sweep_find(c->sweep, meter_id)) {
                r.outcome = m ? COLLECT_NOT_POLLED : COLLECT_UNKNOWN;
                snprintf(r.detail, sizeof r.detail, "%s", why);
                done(arg, &r);
                return;
        }
        w = c->closing ? NULL : calloc(1, sizeof *w);
        if (!w) {
                done(arg, &r);
                return;
        }
        *w = (struct read_waiter){ c->waiters, meter_id, done, arg };
        c->waiters = w;
        /* One that is being visited answers all who wait with that visit. */
        sweep_demand(c->sweep, meter_id, now_ms(c));
        turn(c);
}

/* ---- visits ---- */

static void finish(struct poll_visit *p, bool stored)
{
        struct collect *c = p->collect;
        /* Registers came though the profile had nothing new: for a person that is a reading. */
        bool read = p->result.cause == VISIT_READ ||
                    (p->result.cause == VISIT_NO_DATA && stored && p->result.counts.values);
        struct collect_read r = { .outcome = read ? COLLECT_READ : COLLECT_FAILED,
                                  .cause = visit_cause_name(p->result.cause),
                                  .text = visit_cause_text(p->result.cause),
                                  .values = stored ? p->result.counts.values : 0,
                                  .duration_ms = p->result.duration_ms,
                                  .has_clock = p->result.has_clock,
                                  .clock_offset_s = p->result.clock_offset_s };
        const struct sweep_meter *m;

        snprintf(r.detail, sizeof r.detail, "%s", p->result.detail);
        sweep_result(c->sweep, p->meter_id, &p->result, stored, now_ms(c));
        m = sweep_find(c->sweep, p->meter_id);
        r.until = m ? m->have_until : 0;
        if (p->prev)
                p->prev->next = p->next;
        else
                c->running = p->next;
        if (p->next)
                p->next->prev = p->prev;
        tell(c, p->meter_id, &r);
        fleet_unref(p->fleet);
        free(p);
        if (c->closing)
                collect_part_closed(c);
        else
                turn(c);
}

static void on_stored(void *arg, int status)
{
        struct poll_visit *p = arg;
        struct source_stats *s = &p->collect->sources[SOURCE_KIND_POLL];

        if (status < 0) {
                s->not_stored++;
                p->result.cause = VISIT_NOT_STORED;
                snprintf(p->result.detail, sizeof p->result.detail, "%s", strerror(-status));
        } else {
                s->stored++;
                s->counts.values += p->result.counts.values;
        }
        finish(p, status == 0);
}

static void on_visited(void *arg, const struct visit_result *result)
{
        struct poll_visit *p = arg;
        struct collect *c = p->collect;
        struct source_stats *s = &c->sources[SOURCE_KIND_POLL];
        int r;

        p->visit = NULL;
        p->result = *result;
        p->result.payload = NULL;
        s->messages++;
        for (size_t i = 0; i < NORMALISE_N_REFUSALS; i++)
                s->counts.refused[i] += result->counts.refused[i];
        if (result->cause != VISIT_READ && result->cause != VISIT_SHUTDOWN)
                log_debug(&c->scope, "a meter could not be read", LOG_I("meter", p->meter_id),
                          LOG_S("cause", visit_cause_name(result->cause)),
                          LOG_S("why", result->detail));
        if (!result->payload->len) {
                finish(p, result->cause == VISIT_READ);
                return;
        }
        r = ingest_submit(
                c->ingest,
                &(struct ingest_msg){ .meter_id = p->meter_id,
                                      .kind = INGEST_READINGS,
                                      .source = p->on_demand ? SOURCE_ON_DEMAND : SOURCE_PULL,
                                      .received_us = collect_now_us(),
                                      .payload = result->payload->p,
                                      .len = result->payload->len },
                on_stored, p);
        if (r == 0)
                return;
        s->busy++;
        p->result.cause = VISIT_QUEUE_FULL;
        snprintf(p->result.detail, sizeof p->result.detail, "%s", strerror(-r));
        finish(p, false);
}

/* A visit that cannot begin still has its cause. */
static void cannot_begin(struct collect *c, uint32_t meter_id, enum visit_cause cause,
                         const char *why)
{
        struct visit_result r = { .cause = cause };
        struct collect_read told = { .outcome = COLLECT_FAILED,
                                     .cause = visit_cause_name(cause),
                                     .text = visit_cause_text(cause) };

        snprintf(r.detail, sizeof r.detail, "%s", why);
        snprintf(told.detail, sizeof told.detail, "%s", why);
        sweep_result(c->sweep, meter_id, &r, false, now_ms(c));
        tell(c, meter_id, &told);
}

static void start_visit(struct collect *c, const struct sweep_next *next)
{
        const struct registry_meter *m = registry_by_id(c->fleet->snapshot, next->meter_id);
        struct visit_request q = { .meter = m,
                                   .from = next->from,
                                   .to = next->to,
                                   .continues = next->continues,
                                   .now_s = collect_now_us() / 1000000 };
        const char *why = "it left the registry";
        struct poll_visit *p;

        q.model = m ? fleet_model(c->fleet, m, &why) : NULL;
        if (!q.model) {
                cannot_begin(c, next->meter_id, VISIT_ADDRESS, why);
                return;
        }
        p = calloc(1, sizeof *p);
        if (p)
                p->visit = visit_start(&c->visits, &q, on_visited, p);
        if (!p || !p->visit) {
                free(p);
                cannot_begin(c, next->meter_id, VISIT_INTERNAL, "out of memory");
                return;
        }
        p->collect = c;
        p->fleet = fleet_ref(c->fleet);
        p->meter_id = next->meter_id;
        p->on_demand = next->on_demand;
        p->next = c->running;
        if (c->running)
                c->running->prev = p;
        c->running = p;
}

static void on_poll_timer(uv_timer_t *t)
{
        turn(t->data);
}

static void turn(struct collect *c)
{
        struct sweep_next next;
        int64_t at;

        if (c->closing || !c->polling || !c->seeded)
                return;
        while (sweep_next(c->sweep, now_ms(c), collect_now_us() / 1000000, c->back_s, &next))
                start_visit(c, &next);
        at = sweep_deadline(c->sweep, now_ms(c));
        if (at == INT64_MAX)
                uv_timer_stop(&c->poll_timer);
        else
                uv_timer_start(&c->poll_timer, on_poll_timer,
                               at > now_ms(c) ? (uint64_t)(at - now_ms(c)) : 1, 0);
}

void poll_turn(struct collect *c)
{
        turn(c);
}

/* ---- the registry's polled meters, a few hundred a turn of the loop ---- */

static bool link_name(const struct registry_meter *m, const struct meter_model *model, char *out,
                      size_t cap)
{
        struct meter_address a;
        char why[100];

        if (model_address(model, m, &a, why, sizeof why) < 0) {
                /* Each on a link of its own: its visit will tell what is wrong. */
                snprintf(out, cap, "meter %u", m->meter_id);
                return false;
        }
        snprintf(out, cap, "%s:%u", a.host, a.port);
        return true;
}

static void sync_one(struct collect *c, const struct registry_meter *m)
{
        const struct meter_model *model;
        const char *why;
        char link[300];

        if (m->protocol != METER_DLMS && m->protocol != METER_MODBUS)
                return;
        model = fleet_model(c->fleet, m, &why);
        if (model && model->push_only)
                return;
        if (model)
                link_name(m, model, link, sizeof link);
        else
                snprintf(link, sizeof link, "meter %u", m->meter_id);
        if (!sweep_set_meter(c->sweep, m->meter_id, link, m->period_s, 1, now_ms(c)))
                log_error(&c->scope, "out of memory for the schedule", LOG_I("meter", m->meter_id));
}

static void remove_gone(struct collect *c)
{
        for (size_t i = 0; i < sweep_count(c->sweep); i++) {
                const struct sweep_meter *m = sweep_at(c->sweep, i);

                if (m->meter_id && !registry_by_id(c->fleet->snapshot, m->meter_id))
                        sweep_remove_meter(c->sweep, m->meter_id);
        }
}

static void sync_some(struct collect *c, size_t at_most)
{
        size_t n = registry_count(c->fleet->snapshot);

        for (size_t k = 0; k < at_most && c->sync_at < n; k++)
                sync_one(c, registry_at(c->fleet->snapshot, c->sync_at++));
        if (c->sync_at < n)
                return;
        uv_timer_stop(&c->sync_timer);
        remove_gone(c);
        if (!c->seeded && n)
                seed_start(c);
        turn(c);
}

static void on_sync(uv_timer_t *t)
{
        struct collect *c = t->data;

        if (!c->closing)
                sync_some(c, SYNC_METERS);
}

void poll_sync(struct collect *c)
{
        collect_refresh(c);
        if (uv_is_active((uv_handle_t *)&c->sync_timer))
                sync_some(c, SYNC_AT_ONCE);
}

void poll_fleet_changed(struct collect *c)
{
        if (!c->polling)
                return;
        c->sync_at = 0;
        uv_timer_start(&c->sync_timer, on_sync, 0, SYNC_MS);
}

/* ---- open, close ---- */

int poll_open(struct collect *c, const struct collect_options *o, struct buf *error)
{
        const struct config *f = c->config;
        const char *title = config_text(f, "dlms", "system_title");
        struct sweep_config s = { .max_visits = (unsigned)config_int(f, "sweep", "max_visits"),
                                  .on_demand = (unsigned)config_int(f, "sweep", "on_demand"),
                                  .per_link = (unsigned)config_int(f, "sweep", "per_link"),
                                  .period_ms = config_int(f, "sweep", "period"),
                                  .jitter_ms = config_int(f, "sweep", "jitter"),
                                  .retry_min_ms = config_int(f, "sweep", "retry_min"),
                                  .retry_max_ms = config_int(f, "sweep", "retry_max") };
        char path[4096];
        int r;

        c->polling = config_bool(f, "sweep", "enabled");
        if (!c->polling)
                return 0;
        if (hex_decode(title, strlen(title), c->visits.client_title, VISIT_TITLE_SIZE) !=
            VISIT_TITLE_SIZE) {
                buf_printf(error, "[dlms] system_title: \"%s\" is not 16 hexadecimal digits\n",
                           title);
                return -EINVAL;
        }
        snprintf(path, sizeof path, "%s/invocation-counters", o->state_dir);
        r = counters_open(&c->visits.counters, c->loop, path);
        if (r < 0) {
                buf_printf(error,
                           "%s: %s; the file keeps DLMS invocation counters and may not be lost\n",
                           path, r == -EBADMSG ? "it is damaged" : strerror(-r));
                return r;
        }
        uv_random(NULL, NULL, &s.seed, sizeof s.seed, 0, NULL);
        c->sweep = sweep_new(&s);
        c->visits.loop = c->loop;
        c->visits.crypto = dlms_crypto_new();
        c->visits.layouts = layout_cache_new();
        c->visits.connect_timeout_ms = config_int(f, "sweep", "connect_timeout");
        c->visits.answer_timeout_ms = (uint32_t)config_int(f, "dlms", "answer_timeout");
        c->back_s = config_int(f, "sweep", "back") / 1000;
        if (!c->sweep || !c->visits.crypto || !c->visits.layouts)
                return -ENOMEM;
        c->poll_timer.data = c->sync_timer.data = c;
        c->seeded = !c->db;
        return 0;
}

bool poll_idle(const struct collect *c)
{
        return !c->running && !c->seed;
}

void poll_close(struct collect *c)
{
        struct collect_read r = { .outcome = COLLECT_BUSY, .cause = "", .text = "" };

        for (struct poll_visit *p = c->running; p; p = p->next) {
                c->open_parts++;
                if (p->visit)
                        visit_abort(p->visit);
        }
        if (c->seed)
                c->open_parts++;
        tell(c, 0, &r);
}

void poll_free(struct collect *c)
{
        sweep_free(c->sweep);
        layout_cache_free(c->visits.layouts);
        dlms_crypto_free(c->visits.crypto);
        counters_close(c->visits.counters);
}
