#include "pushed.h"

#include <inttypes.h>
#include <stdio.h>

#include "civil.h"
#include "payload.h"
#include "sim.h"

enum { RECORDS_MAX = 512 };

void pusher_init(struct pusher *p, struct sim *s, struct meter *m)
{
        *p = (struct pusher){ .meter = m, .next = s->opt.from };
}

unsigned pusher_due(const struct pusher *p, const struct sim *s, unsigned max)
{
        int64_t due = (sim_data_end(s) - p->next) / METER_PERIOD_S;

        if (max > RECORDS_MAX)
                max = RECORDS_MAX;
        return due <= 0 ? 0 : due < max ? (unsigned)due : max;
}

bool pusher_done(const struct pusher *p, const struct sim *s)
{
        return p->next >= s->opt.to;
}

/* Intervals by their start, and the register at the end of the last one. */
static void put_senml(const struct meter *m, int64_t start, unsigned n, struct buf *b)
{
        const struct meter_kind *k = &meter_kinds[m->kind];
        struct payload_record records[RECORDS_MAX + 1];
        char base[32];

        for (unsigned i = 0; i < n; i++) {
                int64_t at = start + (int64_t)i * METER_PERIOD_S;

                records[i] = (struct payload_record){
                        .channel = channel_by_number(k->interval_channel),
                        .at = at,
                        .period_s = METER_PERIOD_S,
                        .value = meter_interval(m, at),
                };
        }
        records[n] = (struct payload_record){
                .channel = channel_by_number(k->register_channel),
                .at = start + (int64_t)n * METER_PERIOD_S,
                .value = meter_register(m, start + (int64_t)n * METER_PERIOD_S),
        };
        snprintf(base, sizeof base, "%s:", m->serial);
        payload_senml_encode(b, base, PAYLOAD_STAMP_START, records, n + 1);
}

/* One object an interval, stamped with its end; the register with the last. */
static void put_flat(const struct meter *m, int64_t start, unsigned n, struct buf *b)
{
        buf_put_str(b, "[");
        for (unsigned i = 0; i < n; i++) {
                int64_t at = start + (int64_t)i * METER_PERIOD_S, end = at + METER_PERIOD_S;
                char time[CIVIL_RFC3339_SIZE];

                civil_format(end, m->utc_offset_s / 60, time);
                buf_printf(b, "%s{\"ts\":\"%s\",\"id\":\"%s\",\"use_l\":%" PRId64, i ? "," : "",
                           time, m->serial, meter_interval(m, at));
                if (i + 1 == n) {
                        int64_t litres = meter_register(m, end);

                        buf_printf(b, ",\"volume_m3\":%" PRId64 ".%03d", litres / 1000,
                                   (int)(litres % 1000));
                }
                buf_put_str(b, "}");
        }
        buf_put_str(b, "]");
}

void pusher_message(const struct pusher *p, unsigned n, struct buf *b)
{
        if (p->meter->kind == SIM_MQTT_FLAT)
                put_flat(p->meter, p->next, n, b);
        else
                put_senml(p->meter, p->next, n, b);
}

bool pusher_acknowledge(struct pusher *p, struct sim *s)
{
        unsigned n = p->sent;

        p->sent = 0;
        if (n == 0)
                return true;
        if (sim_chance(s, s->opt.drop)) {
                s->stats.acks_dropped++;
                return false;
        }
        s->stats.acknowledged++;
        sim_acknowledged(s, p->meter, p->next, n);
        p->next += (int64_t)n * METER_PERIOD_S;
        return true;
}
