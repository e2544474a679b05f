/* Runs the sweep: starts visits when it says so, hands what they read to the ingest. */

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "dlms/security.h"
#include "hex.h"
#include "polling.h"

enum { SYNC_MS = 5, SYNC_METERS = 500, SYNC_AT_ONCE = 20000, SEED_WAIT_MS = 60000 };

struct poll_visit {
        struct collect *collect;
        struct poll_visit *prev, *next;
        struct fleet *fleet; /* referenced */
        struct visit *visit; /* NULL before it begins, and once its payload goes to the disk */
        struct prepare prepare;
        bool preparing;
        uint32_t meter_id;
        bool on_demand;
        struct visit_request request;
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

/* How it ended, for the meter's history; its commands with it. */
static void note(struct poll_visit *p, bool stored)
{
        struct collect *c = p->collect;
        struct visit_request *q = &p->request;
        int32_t day = (int32_t)(collect_now_us() / 1000000 / 86400);
        bool news = p->result.cause != VISIT_SHUTDOWN &&
                    sweep_note(c->sweep, p->meter_id, p->result.cause, day);

        if (stored && p->result.events_until)
                sweep_events(c->sweep, p->meter_id, p->result.events_until);
        /* A meter that showed nothing at all may show it another time. */
        if (!stored || p->result.cause != VISIT_READ)
                p->result.n_holes = 0;
        if (c->desk)
                notes_put(c, q->meter, q->model, &p->result, q->commands, q->n_commands, news);
        q->n_commands = 0;
}

static void unlink_visit(struct poll_visit *p)
{
        if (p->prev)
                p->prev->next = p->next;
        else
                p->collect->running = p->next;
        if (p->next)
                p->next->prev = p->prev;
}

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
        note(p, stored);
        sweep_result(c->sweep, p->meter_id, &p->result, stored, now_ms(c));
        m = sweep_find(c->sweep, p->meter_id);
        r.until = m ? m->have_until : 0;
        unlink_visit(p);
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
        /* What follows the last gap is stored already. */
        if (result->cause == VISIT_READ && p->request.n_gaps &&
            p->request.gaps[p->request.n_gaps - 1].to < p->prepare.to)
                p->result.until = p->prepare.to;
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

static void on_milestone(void *arg, struct command *command)
{
        struct poll_visit *p = arg;

        if (p->collect->desk)
                notes_milestone(p->collect, command);
}

/* Ends it without a visit. */
static void finish_without(struct poll_visit *p, enum visit_cause cause, const char *why)
{
        for (uint8_t i = 0; i < p->request.n_commands; i++)
                command_cut(p->request.commands[i], why);
        p->result = (struct visit_result){ .cause = cause };
        snprintf(p->result.detail, sizeof p->result.detail, "%s", why);
        finish(p, false);
}

static void begin_visit(struct poll_visit *p)
{
        p->visit = visit_start(&p->collect->visits, &p->request, on_visited, p);
        if (!p->visit)
                finish_without(p, VISIT_INTERNAL, "out of memory");
}

/* What the desk found is what is asked for. */
static void take_prepared(struct poll_visit *p)
{
        struct collect *c = p->collect;
        struct visit_request *q = &p->request;
        struct prepare *f = &p->prepare;

        memcpy(q->commands, f->commands, sizeof q->commands);
        q->n_commands = f->n_commands;
        f->n_commands = 0;
        if (f->seek_events && q->model->n_logs) {
                sweep_events(c->sweep, p->meter_id, f->events_until);
                if (f->events_until)
                        q->events_from = f->events_until;
        }
        if (!f->gaps_known)
                return;
        if (!f->n_gaps) { /* all of it is stored, whoever brought it */
                sweep_have(c->sweep, p->meter_id, q->to);
                q->from = q->to;
                return;
        }
        memcpy(q->gaps, f->gaps, sizeof q->gaps);
        q->n_gaps = f->n_gaps;
}

static void on_prepared(struct desk_work *w, enum db_status st)
{
        struct prepare *f = (struct prepare *)w;
        struct poll_visit *p =
                (struct poll_visit *)((char *)f - offsetof(struct poll_visit, prepare));

        p->preparing = false;
        if (st == DB_OK)
                take_prepared(p);
        else
                prepare_drop_commands(f); /* not committed, or found again by asking the meter */
        if (p->collect->closing)
                finish_without(p, VISIT_SHUTDOWN, "the daemon was ending");
        else
                begin_visit(p);
}

/* The channel whose intervals say what is missing. */
static uint8_t gap_channel(const struct meter_model *model)
{
        if (model->protocol == METER_DLMS) {
                for (size_t i = 0; i < model->profile.n; i++)
                        if (model->profile.capture[i].to.channel)
                                return model->profile.capture[i].to.channel->number;
                return 0;
        }
        for (size_t i = 0; i < model->n_modbus; i++)
                if (model->modbus_history[i] && model->modbus[i].channel)
                        return model->modbus[i].channel->number;
        return 0;
}

/* A few periods behind is the usual: nobody else brought them. More may have holes and islands. */
enum { GAPS_FROM_PERIODS = 8 };

static bool needs_desk(struct collect *c, struct poll_visit *p, bool due)
{
        struct visit_request *q = &p->request;
        const struct sweep_meter *m = sweep_find(c->sweep, p->meter_id);
        uint32_t period = q->meter->period_s;

        p->prepare = (struct prepare){ .work = { .run = prepare_run, .done = on_prepared },
                                       .collect = c,
                                       .meter_id = p->meter_id,
                                       .model = q->model,
                                       .claim = due,
                                       .from = q->from,
                                       .to = q->to,
                                       .period_s = period,
                                       .channel = gap_channel(q->model) };
        if (!c->desk)
                return false;
        p->prepare.seek_gaps = p->prepare.channel && period &&
                               q->to - q->from > GAPS_FROM_PERIODS * (int64_t)period;
        p->prepare.seek_events = q->model->n_logs && m && m->events_until < 0;
        return due || p->prepare.seek_gaps || p->prepare.seek_events;
}

static void fill_request(struct collect *c, struct poll_visit *p, const struct sweep_next *next)
{
        const struct sweep_meter *m = sweep_find(c->sweep, next->meter_id);
        struct visit_request *q = &p->request;
        int64_t free_at = m && m->ended_ms ? m->ended_ms + (int64_t)q->model->pause_ms : 0;

        q->from = next->from;
        q->to = next->to;
        q->continues = next->continues;
        q->now_s = collect_now_us() / 1000000;
        q->milestone = on_milestone;
        if (free_at > now_ms(c))
                q->wait_ms = (uint32_t)(free_at - now_ms(c));
        if (q->model->n_logs)
                q->events_from = m && m->events_until > 0   ? m->events_until
                                 : q->now_s > c->back_s + 1 ? q->now_s - c->back_s - 1
                                                            : 1;
}

static void start_visit(struct collect *c, const struct sweep_next *next)
{
        const struct registry_meter *m = registry_by_id(c->fleet->snapshot, next->meter_id);
        const char *why = "it left the registry";
        const struct meter_model *model = m ? fleet_model(c->fleet, m, &why) : NULL;
        struct poll_visit *p;

        if (!model) {
                cannot_begin(c, next->meter_id, VISIT_ADDRESS, why);
                return;
        }
        p = calloc(1, sizeof *p);
        if (!p) {
                cannot_begin(c, next->meter_id, VISIT_INTERNAL, "out of memory");
                return;
        }
        p->collect = c;
        p->fleet = fleet_ref(c->fleet);
        p->meter_id = next->meter_id;
        p->on_demand = next->on_demand;
        p->request.meter = m;
        p->request.model = model;
        fill_request(c, p, next);
        p->next = c->running;
        if (c->running)
                c->running->prev = p;
        c->running = p;
        p->preparing = needs_desk(c, p, commands_take_due(c, p->meter_id));
        if (p->preparing)
                desk_submit(c->desk, &p->prepare.work);
        else
                begin_visit(p);
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

enum { PRIORITY = 1 };

/* Link, cell and group of a meter; one whose address cannot be used has a link of its own: its
 * visit will tell what is wrong. */
static bool place_of(struct collect *c, const struct registry_meter *m,
                     const struct meter_model *model)
{
        struct meter_address a = { .port = 0 };
        int64_t period_ms = 0, deadline_ms = 0;
        uint8_t priority = PRIORITY;
        char link[300], why[100];

        if (model && model_address(model, m, &a, why, sizeof why) == 0)
                snprintf(link, sizeof link, "%s:%u", a.host, a.port);
        else
                snprintf(link, sizeof link, "meter %u", m->meter_id);
        groups_of(c, a.group, &priority, &period_ms, &deadline_ms);
        return sweep_set_meter(c->sweep, m->meter_id, link, m->period_s, priority, now_ms(c)) &&
               sweep_set_schedule(c->sweep, m->meter_id, a.cell, priority, period_ms, deadline_ms);
}

static void sync_one(struct collect *c, const struct registry_meter *m)
{
        const struct meter_model *model;
        const char *why;

        if (m->protocol != METER_DLMS && m->protocol != METER_MODBUS)
                return;
        model = fleet_model(c->fleet, m, &why);
        if (model && model->push_only)
                return;
        if (!place_of(c, m, model))
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

static void start_sync(struct collect *c)
{
        c->sync_due = false;
        c->sync_at = 0;
        uv_timer_start(&c->sync_timer, on_sync, 0, SYNC_MS);
}

void poll_sync(struct collect *c)
{
        collect_refresh(c);
        /* The groups may still be on their way: their meters take their places all the same, and
         * once more when the groups are here. */
        if (c->sync_due)
                start_sync(c);
        if (uv_is_active((uv_handle_t *)&c->sync_timer))
                sync_some(c, SYNC_AT_ONCE);
}

void poll_fleet_changed(struct collect *c)
{
        if (!c->polling)
                return;
        c->sync_due = true;
        groups_read(c, start_sync);
}

/* ---- open, close ---- */

int poll_open(struct collect *c, const struct collect_options *o, struct buf *error)
{
        const struct config *f = c->config;
        const char *title = config_text(f, "dlms", "system_title");
        struct sweep_config s = { .max_visits = (unsigned)config_int(f, "sweep", "max_visits"),
                                  .on_demand = (unsigned)config_int(f, "sweep", "on_demand"),
                                  .per_link = (unsigned)config_int(f, "sweep", "per_link"),
                                  .per_cell = (unsigned)config_int(f, "sweep", "per_cell"),
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
        return commands_open(c, o, error);
}

bool poll_idle(const struct collect *c)
{
        return !c->running && !c->seed;
}

void poll_close(struct collect *c)
{
        struct collect_read r = { .outcome = COLLECT_BUSY, .cause = "", .text = "" };

        commands_close(c);
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
        commands_free(c);
        groups_free(c);
        sweep_free(c->sweep);
        layout_cache_free(c->visits.layouts);
        dlms_crypto_free(c->visits.crypto);
        counters_close(c->visits.counters);
}
