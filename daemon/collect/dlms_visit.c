/*
 * A visit to a DLMS/COSEM meter: association, clock, capture objects and scalers (once a model),
 * the load profile for what is missing, registers, release. One association for everything; a
 * second connection only to learn the invocation counter a meter is ahead with.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dlms/client.h"
#include "dlms/profile.h"
#include "dlms/push.h"
#include "hex.h"
#include "layout.h"
#include "message.h"
#include "pump.h"
#include "visit.h"

enum {
        SCRATCH_SIZE = 48 * 1024,
        ROWS_A_REQUEST = 400,
        CLOCK_REFUSED_S = 86400,
        /* A plain answer may not push the counter to its end: no farther at once than this. */
        COUNTER_JUMP_MAX = 1 << 26,
};

enum leg { LEG_MAIN, LEG_COUNTER };

enum want {
        WANT_COUNTER,
        WANT_CLOCK,
        WANT_COLUMNS,
        WANT_UNITS,
        WANT_PROFILE,
        WANT_REGISTERS,
        WANT_CLOSE, /* everything was read, or no more can be */
};

struct dlms_visit {
        struct visit v;
        struct pump pump;
        struct dlms_client client;
        enum leg leg;
        enum want want;
        bool connecting, client_made, reserving, counter_tried, retry;
        uint64_t counter_floor, ic_first, ic_end;
        struct layout *layout;
        bool layout_fresh;
        struct dlms_attr attrs[2 * MODEL_OBJECTS_MAX];
        size_t n_attrs, at;
        int64_t next_from, chunk_to;
        uint32_t period_s;
        unsigned rows;
        int offset_min; /* of the meter's clock: local minus UTC */
        bool clock_doubt;
        uint8_t scratch[SCRATCH_SIZE];
};

static void advance(struct dlms_visit *d);
static void open_leg(struct dlms_visit *d);

static int64_t now_ms(const struct dlms_visit *d)
{
        return (int64_t)uv_now(d->v.shared->loop);
}

static int64_t now_s(const struct dlms_visit *d)
{
        return d->v.request.now_s + (now_ms(d) - d->v.started_ms) / 1000;
}

static enum visit_cause cause_of(unsigned error)
{
        switch (error) {
        case DLMS_E_TRANSPORT_CONNECT:
                return VISIT_NO_ROUTE;
        case DLMS_E_TRANSPORT_CLOSED:
        case DLMS_E_ASSOCIATION_CLOSED:
                return VISIT_LOST;
        case DLMS_E_TIMEOUT_CONNECT:
        case DLMS_E_TIMEOUT_ASSOCIATE:
        case DLMS_E_TIMEOUT_HLS:
        case DLMS_E_TIMEOUT_REQUEST:
                return VISIT_TIMEOUT;
        case DLMS_E_ENCRYPTION_KEY:
        case DLMS_E_AUTHENTICATION_KEY:
        case DLMS_E_TAG:
        case DLMS_E_HLS_REFUSED:
        case DLMS_E_HLS_REFUSED_SECRET:
        case DLMS_E_HLS_REFUSED_SIGNATURE:
        case DLMS_E_HLS_SERVER:
        case DLMS_E_HLS_SERVER_SECRET:
        case DLMS_E_HLS_SERVER_SIGNATURE:
        case DLMS_E_HLS_CHALLENGE:
        case DLMS_E_SIGNATURE:
        case DLMS_E_NOT_SIGNED:
        case DLMS_E_KEY_WRAP:
        case DLMS_E_KEY_AGREEMENT:
        case DLMS_E_SUITE:
        case DLMS_E_EXCEPTION_DECIPHERING:
                return VISIT_WRONG_KEY;
        case DLMS_E_KEY_MISSING:
                return VISIT_KEY_MISSING;
        case DLMS_E_EXCEPTION_COUNTER:
        case DLMS_E_COUNTER_EXHAUSTED:
        case DLMS_E_REPLAY:
                return VISIT_COUNTER;
        case DLMS_E_TITLE:
        case DLMS_E_TITLE_MISSING:
        case DLMS_E_RECIPIENT:
                return VISIT_TITLE;
        case DLMS_E_ASSOCIATION_AUTHENTICATION:
                return VISIT_PASSWORD;
        case DLMS_E_HDLC_REFUSED:
        case DLMS_E_ASSOCIATION_REJECTED:
        case DLMS_E_ASSOCIATION_CONTEXT:
        case DLMS_E_ASSOCIATION_TITLE:
        case DLMS_E_ASSOCIATION_CALLING:
        case DLMS_E_ASSOCIATION_CALLED:
        case DLMS_E_ASSOCIATION_MECHANISM:
        case DLMS_E_ASSOCIATION_REQUIRED:
        case DLMS_E_ASSOCIATION_VERSION:
        case DLMS_E_ASSOCIATION_INITIATE:
        case DLMS_E_EXCEPTION_NOT_ALLOWED:
                return VISIT_NOT_ASSOCIATED;
        case DLMS_E_ARGUMENT:
                return VISIT_ADDRESS;
        case DLMS_E_CRYPTO:
                return VISIT_INTERNAL;
        default:
                return VISIT_BAD_FRAME;
        }
}

/* Says goodbye as far as the session allows, then closes. */
static void leave(struct dlms_visit *d)
{
        d->want = WANT_CLOSE;
        if (dlms_client_close(&d->client, now_ms(d)) != 0)
                pump_close(&d->pump);
}

static void fail_access(struct dlms_visit *d, const struct dlms_attr *attr, unsigned result)
{
        char obis[OBIS_TEXT_SIZE];
        enum visit_cause cause = VISIT_DENIED;

        if (result == DLMS_ACCESS_OBJECT_UNDEFINED || result == DLMS_ACCESS_OBJECT_UNAVAILABLE ||
            result == DLMS_ACCESS_OBJECT_CLASS_INCONSISTENT)
                cause = VISIT_OBJECT;
        obis_format(&attr->obis, obis);
        visit_fail(&d->v, cause, "%s attribute %d: %s", obis, attr->id, dlms_access_text(result));
        leave(d);
}

static void get(struct dlms_visit *d, const struct dlms_attr *attr,
                const struct dlms_selection *selection)
{
        int r = dlms_client_get(&d->client, attr, selection, now_ms(d));

        if (r) {
                visit_fail(&d->v, cause_of((unsigned)r), "%s", dlms_error_text((unsigned)r));
                leave(d);
        }
}

/* ---- several attributes: with-list where the meter grants it, else one after the other ---- */

static bool lists(const struct dlms_visit *d)
{
        return (d->client.conformance & DLMS_CONF_MULTIPLE_REFERENCES) && d->n_attrs > 1 &&
               d->n_attrs <= DLMS_CLIENT_LIST_MAX;
}

static void get_many(struct dlms_visit *d)
{
        int r;

        if (d->at == d->n_attrs) {
                advance(d);
                return;
        }
        if (!lists(d)) {
                get(d, &d->attrs[d->at], NULL);
                return;
        }
        r = dlms_client_get_list(&d->client, d->attrs, d->n_attrs, now_ms(d));
        if (r) {
                visit_fail(&d->v, cause_of((unsigned)r), "%s", dlms_error_text((unsigned)r));
                leave(d);
        }
}

static bool has_scaler(const struct dlms_attr *a)
{
        return (a->class_id == 3 || a->class_id == 4) && a->id == 2;
}

static void want_units(struct dlms_visit *d)
{
        const struct meter_model *m = d->v.request.model;
        struct dlms_attr a;

        d->n_attrs = d->at = 0;
        for (size_t i = 0; i < m->profile.n; i++)
                if (m->profile.capture[i].to.channel && has_scaler(&m->profile.capture[i].attr)) {
                        a = m->profile.capture[i].attr;
                        a.id = 3;
                        d->attrs[d->n_attrs++] = a;
                }
        for (size_t i = 0; i < m->n_registers; i++)
                if (has_scaler(&m->registers[i].attr)) {
                        a = m->registers[i].attr;
                        a.id = 3;
                        d->attrs[d->n_attrs++] = a;
                }
        get_many(d);
}

static void want_registers(struct dlms_visit *d)
{
        const struct meter_model *m = d->v.request.model;

        d->n_attrs = d->at = 0;
        for (size_t i = 0; i < m->n_registers; i++)
                d->attrs[d->n_attrs++] = m->registers[i].attr;
        get_many(d);
}

/* ---- what came back ---- */

static bool number_of(const struct axdr_value *v, struct decimal *ret)
{
        char text[64];
        int64_t i;

        if (v->tag == AXDR_FLOAT32 || v->tag == AXDR_FLOAT64) {
                snprintf(text, sizeof text, "%.6f", v->f);
                return decimal_parse(text, ret) == 0;
        }
        if (!axdr_is_integer(v, &i))
                return false;
        *ret = decimal_int(i);
        return true;
}

/* The meter's own scaler and unit where it told them, else the model's. */
static void take_value(struct dlms_visit *d, const struct model_object *o, int64_t at,
                       uint8_t status, const struct axdr_value *value)
{
        struct model_target to = o->to;
        const struct layout_unit *u = layout_unit_of(d->layout, &o->attr);
        const char *unit = NULL;
        struct decimal n;

        if (!number_of(value, &n)) {
                normalise_refuse(&d->v.normal, NORMALISE_RANGE);
                return;
        }
        if (u) {
                to.scaler = u->scaler;
                unit = dlms_unit_text(u->unit);
        }
        if (normalise_value(&d->v.normal, &to, at, d->period_s, status, n, unit) == NORMALISE_UNIT)
                visit_fail(&d->v, VISIT_UNIT, "unit \"%s\" does not fit channel %s",
                           unit ? unit : "", to.channel->code);
}

static void on_clock(struct dlms_visit *d, const struct dlms_event *ev)
{
        struct axdr_reader r;
        struct axdr_value v;
        struct dlms_datetime t;
        int64_t utc, off;

        axdr_reader_init(&r, ev->data, ev->len);
        if (!axdr_next(&r, &v) || !v.p || !dlms_datetime_read(v.p, v.n, &t) ||
            dlms_datetime_utc(&t, DATETIME_STANDARD, 0, &utc) < 0) {
                visit_fail(&d->v, VISIT_CLOCK, "the meter's clock is not set");
                leave(d);
                return;
        }
        if (t.deviation != DATETIME_NO_DEVIATION)
                d->offset_min = -t.deviation;
        off = utc - now_s(d);
        d->v.result.has_clock = true;
        d->v.result.clock_offset_s = off;
        if (off < -CLOCK_REFUSED_S || off > CLOCK_REFUSED_S) {
                visit_fail(&d->v, VISIT_CLOCK, "the meter's clock is off by %lld s",
                           (long long)off);
                leave(d);
                return;
        }
        if (off > d->v.request.model->clock_limit_s || -off > d->v.request.model->clock_limit_s ||
            (t.status != 0xFF && (t.status & (DATETIME_INVALID | DATETIME_DOUBTFUL))))
                d->clock_doubt = true;
        advance(d);
}

static void on_columns(struct dlms_visit *d, const struct dlms_event *ev)
{
        const struct meter_model *m = d->v.request.model;
        int r = profile_columns_decode(ev->data, ev->len, &d->layout->columns);

        if (r) {
                visit_fail(&d->v, VISIT_BAD_FRAME, "capture objects: %s",
                           dlms_error_text((unsigned)r));
                leave(d);
                return;
        }
        if (d->layout->columns.clock >= d->layout->columns.n || !layout_map(d->layout, m)) {
                char obis[OBIS_TEXT_SIZE];

                obis_format(&m->profile.obis, obis);
                visit_fail(&d->v, VISIT_PROFILE_CHANGED,
                           "profile %s does not capture what model %s says (the clock and a mapped "
                           "object)",
                           obis, m->name);
                leave(d);
                return;
        }
        advance(d);
}

static void on_unit(struct dlms_visit *d, size_t i, const struct dlms_event *ev)
{
        struct axdr_reader r;
        struct axdr_value s, u;

        if (ev->result != DLMS_ACCESS_SUCCESS)
                return; /* the model's own scaler and unit serve */
        axdr_reader_init(&r, ev->data, ev->len);
        if (axdr_expect(&r, AXDR_STRUCTURE, &s) && s.n == 2 && axdr_expect(&r, AXDR_INT8, &s) &&
            axdr_expect(&r, AXDR_ENUM, &u))
                layout_set_unit(d->layout, &d->attrs[i], (int8_t)s.i, (uint8_t)u.i);
}

static void on_register(struct dlms_visit *d, size_t i, const struct dlms_event *ev)
{
        const struct model_object *o = &d->v.request.model->registers[i];
        struct axdr_reader r;
        struct axdr_value v;

        if (ev->result != DLMS_ACCESS_SUCCESS) {
                char obis[OBIS_TEXT_SIZE];

                obis_format(&o->attr.obis, obis);
                visit_fail(&d->v,
                           ev->result == DLMS_ACCESS_OBJECT_UNDEFINED ? VISIT_OBJECT : VISIT_DENIED,
                           "%s: %s", obis, dlms_access_text(ev->result));
                return;
        }
        axdr_reader_init(&r, ev->data, ev->len);
        if (o->to.channel && axdr_next(&r, &v))
                take_value(d, o, now_s(d), d->clock_doubt ? READING_CLOCK_DOUBT : 0, &v);
}

static void take_row(struct dlms_visit *d, const struct profile_row *row)
{
        const struct model_profile *p = &d->v.request.model->profile;
        uint8_t status = d->clock_doubt ? READING_CLOCK_DOUBT : 0;
        int64_t until = row->time;

        if (!row->has_time) {
                normalise_refuse(&d->v.normal, NORMALISE_TIME);
                return;
        }
        if (row->status != 0xFF && (row->status & (DATETIME_INVALID | DATETIME_DOUBTFUL)))
                status = READING_CLOCK_DOUBT;
        for (size_t i = 0; i < row->n; i++) {
                int k = d->layout->map[i];
                int64_t at = row->time;

                if (k < 0)
                        continue;
                if (p->capture[k].to.channel->kind == CHANNEL_INTERVAL &&
                    p->stamp == MODEL_STAMP_END)
                        at -= (int64_t)d->period_s;
                take_value(d, &p->capture[k], at, status, &row->value[i]);
        }
        if (p->stamp == MODEL_STAMP_START)
                until += (int64_t)d->period_s;
        if (until > d->v.result.until)
                d->v.result.until = until;
        d->rows++;
}

static int walk_rows(struct dlms_visit *d, const uint8_t *data, size_t n)
{
        struct profile_reader r;
        struct profile_row row;
        int e = profile_reader_init(&r, &d->layout->columns, d->period_s, data, n);

        if (e)
                return e;
        r.default_offset_min = d->offset_min;
        while ((e = profile_next(&r, &row)) > 0) {
                if (row.n != d->layout->columns.n)
                        return DLMS_E_TYPE;
                take_row(d, &row);
        }
        return -e;
}

static void on_profile(struct dlms_visit *d, const struct dlms_event *ev)
{
        struct axdr_value v;
        struct axdr_reader r;
        uint8_t *wide = NULL;
        int e = 0;

        axdr_reader_init(&r, ev->data, ev->len);
        if (ev->len && ev->data[0] == AXDR_COMPACT_ARRAY && axdr_next(&r, &v)) {
                struct axdr_writer w;

                wide = malloc(4 * SCRATCH_SIZE);
                w = axdr_writer_of(wide, wide ? 4 * SCRATCH_SIZE : 0);
                e = axdr_expand_compact(&v, &w);
                if (!e)
                        e = walk_rows(d, wide, w.len);
        } else {
                e = walk_rows(d, ev->data, ev->len);
        }
        free(wide);
        if (e) {
                /* The layout kept for the model may be outdated: read it anew next time. */
                layout_forget(d->layout);
                visit_fail(&d->v, VISIT_PROFILE_CHANGED, "profile rows: %s",
                           dlms_error_text((unsigned)e));
                leave(d);
                return;
        }
        d->next_from = d->chunk_to;
        advance(d);
}

static void on_counter(struct dlms_visit *d, const struct dlms_event *ev)
{
        struct axdr_reader r;
        struct axdr_value v;
        int64_t seen;

        axdr_reader_init(&r, ev->data, ev->len);
        if (ev->result == DLMS_ACCESS_SUCCESS && axdr_next(&r, &v) && axdr_is_integer(&v, &seen) &&
            seen >= 0 && (uint64_t)seen >= d->ic_first &&
            (uint64_t)seen < d->ic_first + COUNTER_JUMP_MAX) {
                d->counter_floor = (uint64_t)seen + 1;
                d->retry = true;
        }
        leave(d);
}

static void on_result(struct dlms_visit *d, const struct dlms_event *ev)
{
        size_t i = lists(d) ? ev->index : d->at;

        switch (d->want) {
        case WANT_UNITS:
        case WANT_REGISTERS:
                if (i < d->n_attrs) {
                        if (d->want == WANT_UNITS)
                                on_unit(d, i, ev);
                        else
                                on_register(d, i, ev);
                }
                if (!ev->last)
                        return;
                d->at = lists(d) ? d->n_attrs : d->at + 1;
                get_many(d);
                return;
        case WANT_COUNTER:
                on_counter(d, ev);
                return;
        case WANT_CLOCK:
        case WANT_COLUMNS:
        case WANT_PROFILE:
                if (ev->result != DLMS_ACCESS_SUCCESS) {
                        fail_access(d, &d->attrs[0], ev->result);
                } else if (d->want == WANT_CLOCK) {
                        on_clock(d, ev);
                } else if (d->want == WANT_COLUMNS) {
                        on_columns(d, ev);
                } else {
                        on_profile(d, ev);
                }
                return;
        case WANT_CLOSE:
                return;
        }
}

/* ---- the order of things ---- */

static bool want_profile(struct dlms_visit *d)
{
        const struct model_profile *p = &d->v.request.model->profile;
        int64_t to = d->v.request.to, step = (int64_t)ROWS_A_REQUEST * (int64_t)d->period_s;
        uint8_t params[PROFILE_SELECTION_MAX];
        struct dlms_selection sel;
        int64_t first, last;

        if (!p->present || d->next_from >= to)
                return false;
        d->chunk_to = d->next_from + step < to ? d->next_from + step : to;
        first = d->next_from;
        last = d->chunk_to;
        if (p->stamp == MODEL_STAMP_START)
                last -= (int64_t)d->period_s;
        else if (p->stamp == MODEL_STAMP_END || d->v.request.continues ||
                 first != d->v.request.from)
                first += (int64_t)d->period_s;
        sel = profile_select_range(first, last, d->offset_min, params);
        d->attrs[0] = (struct dlms_attr){ 7, p->obis, 2 };
        get(d, &d->attrs[0], &sel);
        return true;
}

static void end_of_profile(struct dlms_visit *d)
{
        /* The newest interval may be captured a little late. */
        if (d->v.request.model->profile.present && !d->rows &&
            d->v.request.from + 2 * (int64_t)d->period_s < d->v.request.to)
                visit_fail(&d->v, VISIT_NO_DATA, "no rows between the times asked for");
        d->want = WANT_REGISTERS;
        want_registers(d);
}

static enum want following(struct dlms_visit *d)
{
        switch (d->want) {
        case WANT_CLOCK:
                if (d->layout->known)
                        return WANT_PROFILE;
                return d->v.request.model->profile.present ? WANT_COLUMNS : WANT_UNITS;
        case WANT_COLUMNS:
                return WANT_UNITS;
        case WANT_UNITS:
                d->layout->known = true;
                return WANT_PROFILE;
        case WANT_PROFILE: /* until there is no more of it */
                return WANT_PROFILE;
        case WANT_COUNTER:
        case WANT_REGISTERS:
        case WANT_CLOSE:
                return WANT_CLOSE;
        }
        return WANT_CLOSE;
}

/* What was wanted is here: asks for the next thing. */
static void advance(struct dlms_visit *d)
{
        d->want = following(d);
        if (d->want == WANT_COLUMNS) {
                d->attrs[0] = (struct dlms_attr){ 7, d->v.request.model->profile.obis, 3 };
                get(d, &d->attrs[0], NULL);
        } else if (d->want == WANT_UNITS) {
                want_units(d);
        } else if (d->want == WANT_PROFILE) {
                if (!want_profile(d))
                        end_of_profile(d);
        } else {
                leave(d);
        }
}

static void on_associated(struct dlms_visit *d)
{
        if (d->leg == LEG_COUNTER) {
                d->want = WANT_COUNTER;
                d->attrs[0] = (struct dlms_attr){ 1, d->v.request.model->counter, 2 };
        } else {
                d->want = WANT_CLOCK;
                d->attrs[0] = (struct dlms_attr){ 8, d->v.request.model->clock, 2 };
        }
        get(d, &d->attrs[0], NULL);
}

/* Whether a meter that is ahead of our counter could have caused it. */
static bool counter_suspect(unsigned error)
{
        return error == DLMS_E_EXCEPTION_COUNTER || error == DLMS_E_EXCEPTION_DECIPHERING ||
               error == DLMS_E_HLS_REFUSED || error == DLMS_E_TIMEOUT_HLS ||
               error == DLMS_E_TRANSPORT_CLOSED || error == DLMS_E_ASSOCIATION_CLOSED ||
               error == DLMS_E_ASSOCIATION_AUTHENTICATION ||
               error == DLMS_E_EXCEPTION_NOT_ALLOWED || error == DLMS_E_EXCEPTION;
}

static void on_failed(struct dlms_visit *d, const struct dlms_event *ev)
{
        const struct meter_model *m = d->v.request.model;
        unsigned error = (unsigned)ev->error;

        if (d->want == WANT_CLOSE && !d->v.failed) {
                pump_close(&d->pump); /* all was read; the goodbye does not matter */
                return;
        }
        if (d->leg == LEG_MAIN && d->ic_end && !d->counter_tried && !d->v.failed &&
            counter_suspect(error)) {
                d->counter_tried = true;
                if (ev->counter > d->ic_first && ev->counter < d->ic_first + COUNTER_JUMP_MAX) {
                        d->counter_floor = ev->counter;
                        d->retry = true;
                } else if (m->has_counter) {
                        d->retry = true;
                        d->leg = LEG_COUNTER;
                }
        }
        if (!d->retry || d->leg == LEG_COUNTER)
                visit_fail(&d->v, cause_of(error), "%s", dlms_error_text(error));
        pump_close(&d->pump);
}

static void on_drain(struct pump *p, void *arg)
{
        struct dlms_visit *d = arg;
        struct dlms_event ev;

        if (d->connecting && p->connected) {
                d->connecting = false;
                d->v.result.connections++;
                dlms_client_open(&d->client, now_ms(d));
        }
        while (!p->closing && dlms_client_next_event(&d->client, &ev)) {
                if (ev.type == DLMS_EV_ASSOCIATED)
                        on_associated(d);
                else if (ev.type == DLMS_EV_RESULT)
                        on_result(d, &ev);
                else if (ev.type == DLMS_EV_CLOSED)
                        pump_close(p);
                else if (ev.type == DLMS_EV_FAILED)
                        on_failed(d, &ev);
        }
}

static void on_lost(struct pump *p, int error, bool connected, void *arg)
{
        struct dlms_visit *d = arg;

        (void)p;
        /* Of a connection that stood, the session tells more in its last event. */
        if (!connected)
                visit_fail(&d->v, visit_cause_of_transport(error, false), "%s port %u: %s",
                           d->v.address.host, d->v.address.port,
                           error ? uv_strerror(error) : "closed at once");
}

static void on_pump_closed(struct pump *p, void *arg)
{
        struct dlms_visit *d = arg;

        (void)p;
        d->v.result.round_trips += d->client.round_trips;
        if (d->leg == LEG_MAIN && d->ic_end)
                counters_used(d->v.shared->counters, d->v.request.meter->meter_id,
                              dlms_client_ic(&d->client));
        dlms_client_deinit(&d->client);
        d->client_made = false;
        if (d->retry && d->v.result.cause != VISIT_SHUTDOWN) {
                d->retry = false;
                if (d->leg == LEG_COUNTER && d->counter_floor) {
                        /* What went wrong before was the counter; it does not count. */
                        d->v.failed = false;
                        d->v.result.cause = VISIT_READ;
                        d->v.result.detail[0] = 0;
                        d->leg = LEG_MAIN;
                }
                open_leg(d);
                return;
        }
        visit_finish(&d->v);
}

static const struct pump_owner owner = { on_drain, on_lost, on_pump_closed };

static bool needs_counter(const struct dlms_visit *d)
{
        return d->leg == LEG_MAIN &&
               (d->v.address.policy != DLMS_POLICY_NONE || d->v.address.auth == DLMS_AUTH_GMAC);
}

static void fill_config(struct dlms_visit *d, struct dlms_client_config *c)
{
        const struct registry_meter *meter = d->v.request.meter;
        const struct meter_address *a = &d->v.address;

        *c = (struct dlms_client_config){ .framing = a->framing,
                                          .client_sap = d->leg == LEG_COUNTER ? 16 : a->client_sap,
                                          .server_sap = a->server_sap,
                                          .physical = a->physical,
                                          .crypto = d->v.shared->crypto,
                                          .timeout_ms = d->v.shared->answer_timeout_ms,
                                          .retries = 2,
                                          .scratch = d->scratch,
                                          .scratch_size = sizeof d->scratch };
        if (d->leg == LEG_COUNTER)
                return;
        c->auth = a->auth;
        c->policy = a->policy;
        c->secret = meter->lls.bytes;
        c->secret_len = meter->lls.len;
        c->challenge_len = 16;
        uv_random(NULL, NULL, c->challenge, c->challenge_len, 0, NULL);
        memcpy(c->client_title, d->v.shared->client_title, sizeof c->client_title);
        if (hex_decode(meter->identity, strlen(meter->identity), c->server_title,
                       sizeof c->server_title) != DLMS_TITLE_SIZE)
                memset(c->server_title, 0, sizeof c->server_title);
        c->keys.suite = d->v.request.model->suite;
        if (meter->guek.len == dlms_key_size(c->keys.suite)) {
                c->keys.has_ek = true;
                memcpy(c->keys.ek, meter->guek.bytes, meter->guek.len);
        }
        if (meter->gak.len == dlms_key_size(c->keys.suite)) {
                c->keys.has_ak = true;
                memcpy(c->keys.ak, meter->gak.bytes, meter->gak.len);
        }
        c->ic_first = d->ic_first;
        c->ic_end = d->ic_end;
}

static void connect_leg(struct dlms_visit *d)
{
        struct dlms_client_config c;
        int r;

        if (needs_counter(d) && (!d->v.request.meter->guek.len || !d->v.request.meter->gak.len)) {
                visit_fail(&d->v, VISIT_KEY_MISSING,
                           "the registry has no encryption or authentication key for it");
                visit_finish(&d->v);
                return;
        }
        fill_config(d, &c);
        r = dlms_client_init(&d->client, &c);
        dlms_keys_wipe(&c.keys);
        if (r == 0) {
                d->client_made = true;
                d->connecting = true;
                d->want = WANT_CLOCK;
                r = pump_open(&d->pump, d->v.shared->loop, &dlms_client_core, &d->client,
                              d->v.address.host, d->v.address.port, d->v.shared->connect_timeout_ms,
                              &owner, d);
                if (r == 0)
                        return;
                dlms_client_deinit(&d->client);
                d->client_made = false;
                visit_fail(&d->v, VISIT_ADDRESS, "%s", uv_strerror(r));
        } else {
                visit_fail(&d->v, VISIT_ADDRESS, "%s", dlms_error_text((unsigned)r));
        }
        visit_finish(&d->v);
}

static void on_counters(void *arg, int status, uint64_t first, uint64_t end)
{
        struct dlms_visit *d = arg;

        d->reserving = false;
        if (status < 0)
                visit_fail(&d->v, status == -EOVERFLOW ? VISIT_COUNTER : VISIT_NOT_STORED,
                           "invocation counters cannot be reserved: %s", strerror(-status));
        if (d->v.failed) {
                visit_finish(&d->v);
                return;
        }
        d->ic_first = first;
        d->ic_end = end;
        connect_leg(d);
}

static void open_leg(struct dlms_visit *d)
{
        if (!needs_counter(d)) {
                connect_leg(d);
                return;
        }
        d->reserving = true;
        counters_reserve(d->v.shared->counters, d->v.request.meter->meter_id, d->counter_floor,
                         on_counters, d);
}

static void begin(struct visit *v)
{
        struct dlms_visit *d = (struct dlms_visit *)v;

        d->next_from = v->request.from;
        d->period_s = v->request.meter->period_s ? v->request.meter->period_s
                                                 : v->request.model->profile.period_s;
        d->layout = layout_take(v->shared->layouts, v->request.model->name);
        if (!d->layout) {
                visit_fail(v, VISIT_INTERNAL, "out of memory");
                visit_finish(v);
                return;
        }
        open_leg(d);
}

static void stop(struct visit *v)
{
        struct dlms_visit *d = (struct dlms_visit *)v;

        d->retry = false;
        if (d->client_made)
                pump_close(&d->pump);
}

static void release(struct visit *v)
{
        struct dlms_visit *d = (struct dlms_visit *)v;

        layout_give(v->shared->layouts, d->layout);
        free(d);
}

static const struct visit_ops ops = { begin, stop, release };

struct visit *dlms_visit_new(void)
{
        struct dlms_visit *d = calloc(1, sizeof *d);

        if (!d)
                return NULL;
        d->v.ops = &ops;
        return &d->v;
}
