/*
 * What a visit to a DLMS meter reads, and in which order: clock, capture objects and scalers (once
 * a model), the load profile for what is missing, registers; commands and event logs between.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dlms/push.h"
#include "dlms_visit_internal.h"
#include "message.h"

enum { ROWS_A_REQUEST = 400, CLOCK_REFUSED_S = 86400, HOLE_AGE_S = 2 * 3600 };

enum datetime_sign dlms_visit_sign(const struct dlms_visit *d)
{
        return d->v.request.model->places.clock_inverted ? DATETIME_INVERTED : DATETIME_STANDARD;
}

/* Nothing more is read in this visit; what may mend the meter is still done. */
static void stop_reading(struct dlms_visit *d)
{
        d->want = WANT_LATE_COMMANDS;
        if (!dlms_visit_want_command(d, true))
                dlms_visit_leave(d);
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
        stop_reading(d);
}

/* ---- several attributes: with-list where the meter grants it, else one after the other ---- */

bool dlms_visit_lists(const struct dlms_visit *d)
{
        return (d->want == WANT_UNITS || d->want == WANT_REGISTERS) &&
               (d->client.conformance & DLMS_CONF_MULTIPLE_REFERENCES) && d->n_attrs > 1 &&
               d->n_attrs <= DLMS_CLIENT_LIST_MAX && !d->layout->no_lists &&
               !d->v.request.model->no_lists;
}

static void get_many(struct dlms_visit *d)
{
        int r;

        if (d->at == d->n_attrs) {
                dlms_visit_advance(d);
                return;
        }
        if (!dlms_visit_lists(d)) {
                dlms_visit_get(d, &d->attrs[d->at], NULL);
                return;
        }
        r = dlms_client_get_list(&d->client, d->attrs, d->n_attrs, dlms_visit_now_ms(d));
        if (r == DLMS_E_TOO_LONG) { /* more than the meter takes in one request */
                d->layout->no_lists = true;
                dlms_visit_get(d, &d->attrs[d->at], NULL);
        } else if (r) {
                dlms_visit_client_error(d, r);
        }
}

static bool has_scaler(const struct dlms_attr *a)
{
        return (a->class_id == 3 || a->class_id == 4) && a->id == 2;
}

static void add_unit(struct dlms_visit *d, const struct dlms_attr *attr)
{
        if (!has_scaler(attr))
                return;
        d->attrs[d->n_attrs] = *attr;
        d->attrs[d->n_attrs++].id = 3;
}

static void want_units(struct dlms_visit *d)
{
        const struct meter_model *m = d->v.request.model;

        d->n_attrs = d->at = 0;
        for (size_t i = 0; i < m->profile.n; i++)
                if (m->profile.capture[i].to.channel)
                        add_unit(d, &m->profile.capture[i].attr);
        for (size_t i = 0; i < m->n_registers; i++)
                add_unit(d, &m->registers[i].attr);
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
        if (!axdr_next(&r, &v) || (v.tag != AXDR_OCTET_STRING && v.tag != AXDR_DATE_TIME) ||
            !dlms_datetime_read(v.p, v.n, &t) ||
            dlms_datetime_utc(&t, dlms_visit_sign(d), 0, &utc) < 0) {
                visit_fail(&d->v, VISIT_CLOCK, "the meter's clock is not set");
                dlms_visit_advance(d); /* a command may set it */
                return;
        }
        if (t.deviation != DATETIME_NO_DEVIATION)
                d->offset_min =
                        dlms_visit_sign(d) == DATETIME_INVERTED ? t.deviation : -t.deviation;
        off = utc - dlms_visit_now_s(d);
        d->v.result.has_clock = true;
        d->v.result.clock_offset_s = off;
        if (off < -CLOCK_REFUSED_S || off > CLOCK_REFUSED_S)
                visit_fail(&d->v, VISIT_CLOCK, "the meter's clock is off by %lld s",
                           (long long)off);
        if (off > d->v.request.model->clock_limit_s || -off > d->v.request.model->clock_limit_s ||
            (t.status != 0xFF && (t.status & (DATETIME_INVALID | DATETIME_DOUBTFUL))))
                d->clock_doubt = true;
        dlms_visit_advance(d);
}

static void on_columns(struct dlms_visit *d, const struct dlms_event *ev)
{
        const struct meter_model *m = d->v.request.model;
        int r = profile_columns_decode(ev->data, ev->len, &d->layout->columns);

        if (r) {
                visit_fail(&d->v, VISIT_BAD_FRAME, "capture objects: %s",
                           dlms_error_text((unsigned)r));
                stop_reading(d);
                return;
        }
        if (d->layout->columns.clock >= d->layout->columns.n || !layout_map(d->layout, m)) {
                char obis[OBIS_TEXT_SIZE];

                obis_format(&m->profile.obis, obis);
                visit_fail(&d->v, VISIT_PROFILE_CHANGED,
                           "profile %s does not capture what model %s says (the clock and a mapped "
                           "object)",
                           obis, m->name);
                stop_reading(d);
                return;
        }
        dlms_visit_advance(d);
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
                take_value(d, o, dlms_visit_now_s(d), d->clock_doubt ? READING_CLOCK_DOUBT : 0, &v);
}

/* ---- load profile ---- */

/* A period of the gap under way that the meter has no row for. */
static void note_hole(struct dlms_visit *d, int64_t from, int64_t to)
{
        struct visit_result *r = &d->v.result;

        if (from >= to)
                return;
        from = from / (int64_t)d->period_s * (int64_t)d->period_s;
        if (r->n_holes && r->holes[r->n_holes - 1].to == from)
                r->holes[r->n_holes - 1].to = to;
        else if (r->n_holes < VISIT_GAPS_MAX)
                r->holes[r->n_holes++] = (struct visit_gap){ from, to };
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
        note_hole(d, d->row_until, until - (int64_t)d->period_s);
        if (until > d->row_until)
                d->row_until = until;
        if (until > d->v.result.until)
                d->v.result.until = until;
        d->rows++;
        d->chunk_rows++;
}

static int walk_rows(struct dlms_visit *d, const uint8_t *data, size_t n)
{
        struct profile_reader r;
        struct profile_row row;
        int e = profile_reader_init(&r, &d->layout->columns, d->period_s, data, n);

        if (e)
                return e;
        r.sign = dlms_visit_sign(d);
        r.default_offset_min = d->offset_min;
        while ((e = profile_next(&r, &row)) > 0) {
                if (row.n != d->layout->columns.n)
                        return DLMS_E_TYPE;
                take_row(d, &row);
        }
        return -e;
}

static int take_buffer(struct dlms_visit *d, const uint8_t *data, size_t n)
{
        struct axdr_value v;
        struct axdr_reader r;
        struct axdr_writer w;
        uint8_t *wide;
        int e;

        if (!n || data[0] != AXDR_COMPACT_ARRAY)
                return walk_rows(d, data, n);
        axdr_reader_init(&r, data, n);
        if (!axdr_next(&r, &v))
                return r.error;
        wide = malloc(4 * DLMS_SCRATCH_SIZE);
        w = axdr_writer_of(wide, wide ? 4 * DLMS_SCRATCH_SIZE : 0);
        e = axdr_expand_compact(&v, &w);
        if (!e)
                e = walk_rows(d, wide, w.len);
        free(wide);
        return e;
}

static void on_profile(struct dlms_visit *d, const struct dlms_event *ev)
{
        int e = take_buffer(d, ev->data, ev->len);

        if (e && !d->relearned && !d->layout->learned && !d->chunk_rows) {
                /* The layout kept for the model is not this meter's: read its own, ask again. */
                d->relearned = true;
                layout_relearn(d->layout);
                d->want = WANT_COMMANDS;
                dlms_visit_advance(d);
                return;
        }
        if (e) {
                layout_forget(d->layout);
                visit_fail(&d->v, VISIT_PROFILE_CHANGED, "profile rows: %s",
                           dlms_error_text((unsigned)e));
                stop_reading(d);
                return;
        }
        d->next_from = d->chunk_to;
        dlms_visit_advance(d);
}

/* The gap under way, or the next one that is not read yet. */
static bool gap_now(struct dlms_visit *d, struct visit_gap *ret)
{
        const struct visit_request *q = &d->v.request;

        for (; d->gap < (q->n_gaps ? q->n_gaps : 1u); d->gap++) {
                *ret = q->n_gaps ? q->gaps[d->gap] : (struct visit_gap){ q->from, q->to };
                if (d->next_from < ret->from)
                        d->next_from = d->row_until = ret->from;
                if (d->next_from < ret->to)
                        return true;
                /* What is fresh may still come. */
                if (ret->to < dlms_visit_now_s(d) - HOLE_AGE_S)
                        note_hole(d, d->row_until, ret->to);
        }
        return false;
}

static bool want_profile(struct dlms_visit *d)
{
        const struct model_profile *p = &d->v.request.model->profile;
        int64_t step = (int64_t)ROWS_A_REQUEST * (int64_t)d->period_s;
        uint8_t params[PROFILE_SELECTION_MAX];
        struct dlms_selection sel;
        struct visit_gap gap;
        int64_t first, last;

        if (!p->present || !gap_now(d, &gap))
                return false;
        d->chunk_to = d->next_from + step < gap.to ? d->next_from + step : gap.to;
        first = d->next_from;
        last = d->chunk_to;
        if (p->stamp == MODEL_STAMP_START)
                last -= (int64_t)d->period_s;
        else if (p->stamp == MODEL_STAMP_END || d->v.request.continues ||
                 first != d->v.request.from)
                first += (int64_t)d->period_s;
        d->chunk_rows = 0;
        sel = profile_select_range(first, last, d->offset_min, params);
        d->attrs[0] = (struct dlms_attr){ 7, p->obis, 2 };
        dlms_visit_get(d, &d->attrs[0], &sel);
        return true;
}

static void end_of_profile(struct dlms_visit *d)
{
        const struct visit_request *q = &d->v.request;
        int64_t wanted = 0;

        for (uint8_t i = 0; i < q->n_gaps; i++)
                wanted += q->gaps[i].to - q->gaps[i].from;
        if (!q->n_gaps)
                wanted = q->to - q->from;
        /* The newest interval may be captured a little late. */
        if (q->model->profile.present && !d->rows && wanted > 2 * (int64_t)d->period_s)
                visit_fail(&d->v, VISIT_NO_DATA, "no rows between the times asked for");
}

/* ---- the order of things ---- */

static enum dlms_want following(const struct dlms_visit *d)
{
        switch (d->want) {
        case WANT_CLOCK:
                return WANT_COMMANDS;
        case WANT_COMMANDS:
                if (d->v.failed) /* of the clock: nothing can be stamped */
                        return WANT_LATE_COMMANDS;
                if (d->layout->known)
                        return WANT_PROFILE;
                return d->v.request.model->profile.present ? WANT_COLUMNS : WANT_UNITS;
        case WANT_COLUMNS:
                return WANT_UNITS;
        case WANT_UNITS:
                return WANT_PROFILE;
        case WANT_PROFILE:
                return WANT_REGISTERS;
        case WANT_REGISTERS:
                return WANT_EVENTS;
        case WANT_EVENTS:
                return WANT_LATE_COMMANDS;
        case WANT_LATE_COMMANDS:
        case WANT_COUNTER:
        case WANT_CLOSE:
                return WANT_CLOSE;
        }
        return WANT_CLOSE;
}

/* Asks for it; false when there is nothing (more) of it to ask for. */
static bool ask(struct dlms_visit *d)
{
        switch (d->want) {
        case WANT_COMMANDS:
                return dlms_visit_want_command(d, false);
        case WANT_LATE_COMMANDS:
                return dlms_visit_want_command(d, true);
        case WANT_COLUMNS:
                d->attrs[0] = (struct dlms_attr){ 7, d->v.request.model->profile.obis, 3 };
                dlms_visit_get(d, &d->attrs[0], NULL);
                return true;
        case WANT_UNITS:
                want_units(d);
                return true;
        case WANT_PROFILE:
                return want_profile(d);
        case WANT_REGISTERS:
                if (d->registers_done)
                        return false;
                want_registers(d);
                return true;
        case WANT_EVENTS:
                return dlms_visit_want_events(d);
        case WANT_COUNTER:
        case WANT_CLOCK:
        case WANT_CLOSE:
                break;
        }
        dlms_visit_leave(d);
        return true;
}

static bool repeats(enum dlms_want w)
{
        return w == WANT_COMMANDS || w == WANT_PROFILE || w == WANT_EVENTS ||
               w == WANT_LATE_COMMANDS;
}

void dlms_visit_advance(struct dlms_visit *d)
{
        if (repeats(d->want) && ask(d))
                return;
        do {
                if (d->want == WANT_PROFILE)
                        end_of_profile(d);
                if (d->want == WANT_UNITS)
                        d->layout->known = d->layout->learned = true;
                if (d->want == WANT_REGISTERS)
                        d->registers_done = true;
                d->want = following(d);
        } while (!ask(d));
}

static void on_many(struct dlms_visit *d, const struct dlms_event *ev)
{
        bool list = dlms_visit_lists(d);
        size_t i = list ? ev->index : d->at;

        if (i < d->n_attrs) {
                if (d->want == WANT_UNITS)
                        on_unit(d, i, ev);
                else
                        on_register(d, i, ev);
        }
        if (!ev->last)
                return;
        d->at = list ? d->n_attrs : d->at + 1;
        get_many(d);
}

void dlms_visit_result(struct dlms_visit *d, const struct dlms_event *ev)
{
        switch (d->want) {
        case WANT_UNITS:
        case WANT_REGISTERS:
                on_many(d, ev);
                return;
        case WANT_COMMANDS:
        case WANT_LATE_COMMANDS:
                dlms_visit_on_command(d, ev);
                return;
        case WANT_EVENTS:
                dlms_visit_on_events(d, ev);
                return;
        case WANT_CLOCK:
        case WANT_COLUMNS:
        case WANT_PROFILE:
                if (ev->result != DLMS_ACCESS_SUCCESS)
                        fail_access(d, &d->attrs[0], ev->result);
                else if (d->want == WANT_CLOCK)
                        on_clock(d, ev);
                else if (d->want == WANT_COLUMNS)
                        on_columns(d, ev);
                else
                        on_profile(d, ev);
                return;
        case WANT_COUNTER:
        case WANT_CLOSE:
                return;
        }
}
