/*
 * Event logs: profile generic objects of a clock and an event code, read from the newest entry
 * known on. That one is read again, so that a second with two entries is never torn; what comes
 * twice falls to the key (meter, time, code, text).
 */

#include <stdio.h>
#include <string.h>

#include "dlms_visit_internal.h"
#include "message.h"

enum { CODES_A_SECOND = 16 };

/* What stands in one second of a log, to number what occurs twice in it. */
struct second {
        int64_t at;
        size_t n;
        uint32_t code[CODES_A_SECOND];
};

static const struct model_log *log_of(const struct dlms_visit *d)
{
        return &d->v.request.model->logs[d->log];
}

static bool columns_known(const struct dlms_visit *d)
{
        return d->layout->logs_known >> d->log & 1;
}

static const struct profile_columns *columns(const struct dlms_visit *d)
{
        return &d->layout->logs[d->log];
}

static void next_log(struct dlms_visit *d)
{
        d->log++;
        dlms_visit_advance(d);
}

bool dlms_visit_want_events(struct dlms_visit *d)
{
        uint8_t params[PROFILE_SELECTION_MAX];
        struct dlms_selection sel;

        if (!d->v.request.events_from || d->log >= d->v.request.model->n_logs)
                return false;
        if (!columns_known(d)) {
                d->attrs[0] = (struct dlms_attr){ 7, log_of(d)->obis, 3 };
                dlms_visit_get(d, &d->attrs[0], NULL);
                return true;
        }
        sel = profile_select_range(d->v.request.events_from, dlms_visit_now_s(d) + 86400,
                                   d->offset_min, params);
        d->attrs[0] = (struct dlms_attr){ 7, log_of(d)->obis, 2 };
        dlms_visit_get(d, &d->attrs[0], &sel);
        return true;
}

static unsigned occurrence(struct second *s, int64_t at, uint32_t code)
{
        unsigned n = 1;

        if (s->at != at)
                *s = (struct second){ .at = at };
        for (size_t i = 0; i < s->n; i++)
                n += s->code[i] == code;
        if (s->n < CODES_A_SECOND)
                s->code[s->n++] = code;
        return n;
}

static void put_event(struct dlms_visit *d, int64_t at, uint32_t own, unsigned nth)
{
        char text[96], obis[OBIS_TEXT_SIZE];
        int n;

        obis_format(&log_of(d)->obis, obis);
        n = snprintf(text, sizeof text, "log %s code %u", obis, own);
        if (nth > 1)
                snprintf(text + n, sizeof text - (size_t)n, ", entry %u of this second", nth);
        if (message_put_event(&d->v.payload, at, model_event_code(log_of(d), own), text) < 0) {
                normalise_refuse(&d->v.normal, NORMALISE_TIME);
                return;
        }
        d->v.result.events++;
        if (at > d->v.result.events_until)
                d->v.result.events_until = at;
}

static int walk(struct dlms_visit *d, const uint8_t *data, size_t n)
{
        struct second second = { .at = INT64_MIN };
        struct profile_reader r;
        struct profile_row row;
        int e = profile_reader_init(&r, columns(d), 0, data, n);

        if (e)
                return e;
        r.sign = dlms_visit_sign(d);
        r.default_offset_min = d->offset_min;
        while ((e = profile_next(&r, &row)) > 0) {
                size_t i = 0;
                int64_t own;

                while (i < row.n && (i == columns(d)->clock || !axdr_is_integer(&row.value[i], &own)))
                        i++;
                if (!row.has_time || i == row.n || own < 0 || own > UINT16_MAX) {
                        normalise_refuse(&d->v.normal, NORMALISE_MALFORMED);
                        continue;
                }
                if (row.time >= d->v.request.events_from)
                        put_event(d, row.time, (uint32_t)own,
                                  occurrence(&second, row.time, (uint32_t)own));
        }
        return -e;
}

/* A log that cannot be read costs only itself: what was read of the meter stays read. */
void dlms_visit_on_events(struct dlms_visit *d, const struct dlms_event *ev)
{
        if (ev->result != DLMS_ACCESS_SUCCESS) {
                next_log(d);
        } else if (!columns_known(d)) {
                int e = profile_columns_decode(ev->data, ev->len, &d->layout->logs[d->log]);

                if (e || columns(d)->clock >= columns(d)->n) {
                        next_log(d);
                        return;
                }
                d->layout->logs_known |= (uint8_t)(1u << d->log);
                d->layout->learned = true;
                dlms_visit_advance(d);
        } else {
                if (walk(d, ev->data, ev->len))
                        normalise_refuse(&d->v.normal, NORMALISE_MALFORMED);
                next_log(d);
        }
}
