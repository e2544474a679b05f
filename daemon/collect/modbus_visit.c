/*
 * A visit to a Modbus meter: its registers as the model's map says, in as few requests as possible.
 * Where the meter can show its counters as of a past instant, the instants that are missing are
 * read first, each by a write (the instant) and the reads behind it in one go.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "modbus/client.h"
#include "pump.h"
#include "visit.h"

enum { WINDOW = 4, TAG_FREEZE = 1000, TAG_RELEASE = 1001 };

enum stage { STAGE_HISTORY, STAGE_RELEASE, STAGE_NOW, STAGE_DONE };

struct modbus_visit {
        struct visit v;
        struct pump pump;
        struct modbus_client client;
        enum stage stage;
        bool started, opened;
        struct modbus_register regs[MODEL_OBJECTS_MAX]; /* of the stage */
        size_t n_regs;
        struct modbus_block blocks[MODEL_OBJECTS_MAX];
        size_t n_blocks, asked, answered;
        bool freeze_asked, freeze_answered, refused; /* refused: the instant is not kept */
        int64_t instant, last_instant;
        uint32_t period_s;
        unsigned instants;
};

static int64_t now_ms(const struct modbus_visit *d)
{
        return (int64_t)uv_now(d->v.shared->loop);
}

static int64_t now_s(const struct modbus_visit *d)
{
        return d->v.request.now_s + (now_ms(d) - d->v.started_ms) / 1000;
}

static void plan(struct modbus_visit *d, bool history_only)
{
        const struct meter_model *m = d->v.request.model;

        d->n_regs = 0;
        for (size_t i = 0; i < m->n_modbus; i++)
                if (!history_only || m->modbus_history[i])
                        d->regs[d->n_regs++] = m->modbus[i];
        d->asked = d->answered = 0;
        d->freeze_asked = d->freeze_answered = d->refused = false;
        /* Small holes are read over; n blocks always suffice for n registers. */
        modbus_plan(d->regs, d->n_regs, 8, 0, d->blocks, MODEL_OBJECTS_MAX, &d->n_blocks);
}

static bool ask(struct modbus_visit *d, const struct modbus_request *r)
{
        enum modbus_error e = modbus_client_request(&d->client, r, now_ms(d));

        if (e == MODBUS_OK)
                return true;
        if (e != MODBUS_E_BUSY) {
                visit_fail(&d->v, VISIT_ADDRESS, "%s", modbus_error_name(e));
                d->stage = STAGE_DONE;
        }
        return false;
}

static bool ask_freeze(struct modbus_visit *d, int64_t instant, uint32_t tag)
{
        const struct modbus_register *f = &d->v.request.model->freeze;
        uint16_t words[4];

        modbus_register_encode(f, instant, words);
        return ask(d, &(struct modbus_request){ .unit = d->v.address.unit,
                                                .function = MODBUS_WRITE_REGISTERS,
                                                .address = f->address,
                                                .count = (uint16_t)modbus_type_words(f->type),
                                                .values = words,
                                                .tag = tag });
}

/* Sends as much of the stage as the window takes. */
static void ask_more(struct modbus_visit *d)
{
        if (d->stage == STAGE_HISTORY || d->stage == STAGE_RELEASE) {
                bool release = d->stage == STAGE_RELEASE;

                if (!d->freeze_asked)
                        d->freeze_asked = ask_freeze(d, release ? 0 : d->instant,
                                                     release ? TAG_RELEASE : TAG_FREEZE);
                if (release || !d->freeze_asked)
                        return;
        }
        while (d->stage != STAGE_DONE && d->asked < d->n_blocks) {
                const struct modbus_block *b = &d->blocks[d->asked];

                if (!ask(d, &(struct modbus_request){ .unit = d->v.address.unit,
                                                      .function = modbus_block_function(b),
                                                      .address = b->address,
                                                      .count = b->count,
                                                      .tag = (uint32_t)d->asked }))
                        return;
                d->asked++;
        }
}

static void enter(struct modbus_visit *d, enum stage stage)
{
        d->stage = stage;
        plan(d, stage == STAGE_HISTORY);
}

/* Whether the instant ends a period that is missing. */
static bool missing(const struct visit_request *q, int64_t instant)
{
        for (uint8_t i = 0; i < q->n_gaps; i++)
                if (instant > q->gaps[i].from && instant <= q->gaps[i].to)
                        return true;
        return !q->n_gaps || (instant == q->from && !q->continues);
}

static void skip_stored(struct modbus_visit *d)
{
        while (d->instant <= d->last_instant && !missing(&d->v.request, d->instant))
                d->instant += (int64_t)d->period_s;
}

/* Everything asked was answered: the next instant, or the next stage. */
static void stage_done(struct modbus_visit *d)
{
        switch (d->stage) {
        case STAGE_HISTORY:
                if (!d->refused) {
                        d->v.result.until = d->instant;
                        d->instants++;
                }
                d->instant += (int64_t)d->period_s;
                skip_stored(d);
                enter(d, d->instant <= d->last_instant ? STAGE_HISTORY : STAGE_RELEASE);
                return;
        case STAGE_RELEASE:
                if (!d->instants && d->v.request.from + 2 * (int64_t)d->period_s < d->v.request.to)
                        visit_fail(&d->v, VISIT_NO_DATA,
                                   "the device keeps no instant of the period");
                enter(d, STAGE_NOW);
                return;
        case STAGE_NOW:
                d->stage = STAGE_DONE;
                return;
        case STAGE_DONE:
                return;
        }
}

static bool stage_complete(const struct modbus_visit *d)
{
        if (d->stage == STAGE_RELEASE)
                return d->freeze_answered;
        if (d->stage == STAGE_HISTORY && !d->freeze_answered)
                return false;
        return d->answered == d->n_blocks;
}

static void take_block(struct modbus_visit *d, const struct modbus_event *ev)
{
        const struct modbus_block *b = &d->blocks[ev->tag];
        int64_t at = d->stage == STAGE_HISTORY ? d->instant : now_s(d);

        for (size_t i = 0; i < d->n_regs; i++) {
                struct model_target to = { .channel = d->regs[i].channel };
                struct modbus_value value;
                int r;

                if (!modbus_block_covers(b, &d->regs[i]))
                        continue;
                r = modbus_register_decode(&d->regs[i], b, ev->data, ev->len, &value);
                if (r != 0) {
                        normalise_refuse(&d->v.normal, NORMALISE_RANGE);
                        continue;
                }
                /* Already in the channel's unit and scale. */
                to.scaler = to.channel->scaler;
                normalise_value(&d->v.normal, &to, at, 0, 0, decimal_int(value.value), NULL);
        }
}

static void on_exception(struct modbus_visit *d, const struct modbus_event *ev)
{
        if (d->stage == STAGE_HISTORY && (ev->tag == TAG_FREEZE || d->refused) &&
            ev->exception == MODBUS_X_ILLEGAL_VALUE) {
                d->refused = true;
                return;
        }
        visit_fail(&d->v, VISIT_DEVICE, "registers from 0x%04X: %s", ev->address,
                   modbus_exception_name(ev->exception));
        d->stage = STAGE_DONE;
}

static void on_done(struct modbus_visit *d, const struct modbus_event *ev)
{
        if (d->stage == STAGE_DONE)
                return;
        if (ev->error == MODBUS_E_EXCEPTION)
                on_exception(d, ev);
        else if (ev->error != MODBUS_OK) {
                visit_fail(&d->v, ev->error == MODBUS_E_TIMEOUT ? VISIT_TIMEOUT : VISIT_BAD_FRAME,
                           "registers from 0x%04X: %s", ev->address, modbus_error_name(ev->error));
                d->stage = STAGE_DONE;
        }
        if (d->stage == STAGE_DONE)
                return;
        if (ev->tag >= TAG_FREEZE) {
                d->freeze_answered = true;
        } else {
                d->answered++;
                /* Behind a refused instant the registers show something else. */
                if (ev->error == MODBUS_OK && !d->refused && ev->tag < d->n_blocks)
                        take_block(d, ev);
        }
        d->v.result.round_trips++;
        if (stage_complete(d))
                stage_done(d);
}

static void start_stages(struct modbus_visit *d)
{
        const struct visit_request *q = &d->v.request;
        int64_t from = q->from, p;

        d->period_s = q->meter->period_s ? q->meter->period_s : q->model->history_period_s;
        if (!d->period_s)
                d->period_s = 900;
        p = (int64_t)d->period_s;
        d->instant = (from + p - 1) / p * p + (q->continues ? p : 0);
        d->last_instant = q->to;
        skip_stored(d);
        if (q->model->has_history && q->from < q->to && d->instant <= d->last_instant)
                enter(d, STAGE_HISTORY);
        else
                enter(d, STAGE_NOW);
        if (!q->model->has_history)
                d->v.result.until = q->to;
}

static void on_drain(struct pump *p, void *arg)
{
        struct modbus_visit *d = arg;
        struct modbus_event ev;

        if (p->connected && !d->started) {
                d->started = true;
                d->v.result.connections++;
                start_stages(d);
        }
        while (!p->closing && modbus_client_next_event(&d->client, &ev)) {
                if (ev.type == MODBUS_EV_DONE) {
                        on_done(d, &ev);
                } else if (ev.type == MODBUS_EV_FAILED) {
                        visit_fail(&d->v,
                                   ev.error == MODBUS_E_CLOSED ? VISIT_LOST : VISIT_BAD_FRAME, "%s",
                                   modbus_error_name(ev.error));
                        d->stage = STAGE_DONE;
                }
        }
        if (p->closing || !d->started)
                return;
        if (d->stage == STAGE_DONE)
                pump_close(p);
        else
                ask_more(d);
        if (d->stage == STAGE_DONE)
                pump_close(p);
}

static void on_lost(struct pump *p, int error, bool connected, void *arg)
{
        struct modbus_visit *d = arg;

        (void)p;
        if (d->stage != STAGE_DONE || !connected)
                visit_fail(&d->v, visit_cause_of_transport(error, connected), "%s port %u: %s",
                           d->v.address.host, d->v.address.port,
                           error ? uv_strerror(error) : "the device closed the connection");
}

static void on_pump_closed(struct pump *p, void *arg)
{
        struct modbus_visit *d = arg;

        (void)p;
        d->opened = false;
        visit_finish(&d->v);
}

static const struct pump_owner owner = { on_drain, on_lost, on_pump_closed };

static void begin(struct visit *v)
{
        struct modbus_visit *d = (struct modbus_visit *)v;
        int r;

        modbus_client_init(&d->client,
                           &(struct modbus_client_config){
                                   .transport = v->address.rtu ? MODBUS_RTU : MODBUS_TCP,
                                   .window = WINDOW,
                                   .timeout_ms = v->shared->answer_timeout_ms });
        r = pump_open(&d->pump, v->shared->loop, &modbus_client_core, &d->client, v->address.host,
                      v->address.port, v->shared->connect_timeout_ms, &owner, d);
        if (r < 0) {
                visit_fail(v, VISIT_ADDRESS, "%s", uv_strerror(r));
                visit_finish(v);
                return;
        }
        d->opened = true;
}

static void stop(struct visit *v)
{
        struct modbus_visit *d = (struct modbus_visit *)v;

        if (d->opened)
                pump_close(&d->pump);
}

static void release(struct visit *v)
{
        free(v);
}

static const struct visit_ops ops = { begin, stop, release };

struct visit *modbus_visit_new(void)
{
        struct modbus_visit *d = calloc(1, sizeof *d);

        if (!d)
                return NULL;
        d->v.ops = &ops;
        return &d->v;
}
