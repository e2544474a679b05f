#include "dlms_meter.h"

#include <string.h>

#include "dlms/profile.h"
#include "dlms_list.h"
#include "sim.h"

enum { UNIT_WH = 30, PERIOD = METER_PERIOD_S };

static bool is(const struct dlms_attr *a, uint16_t class_id, struct obis obis)
{
        return a->class_id == class_id && obis_equal(&a->obis, &obis);
}

static const struct obis clock_obis = { { 0, 0, 1, 0, 0, 255 } };
static const struct obis total_obis = { { 1, 0, 1, 8, 0, 255 } };
static const struct obis use_obis = { { 1, 0, 1, 29, 0, 255 } };
static const struct obis profile_obis = { { 1, 0, 99, 1, 0, 255 } };
static const struct obis association_obis = { { 0, 0, 40, 0, 0, 255 } };

static void put_time(const struct dlms_meter *d, int64_t utc, struct axdr_writer *w)
{
        struct dlms_datetime t;
        uint8_t bytes[DATETIME_SIZE];

        dlms_datetime_from_utc(utc, d->sim->opt.utc_offset_min, false, &t);
        dlms_datetime_write(&t, bytes);
        axdr_put_octets(w, bytes, sizeof bytes);
}

static void put_energy(int64_t value, struct axdr_writer *w)
{
        if (value >= 0 && value <= UINT32_MAX)
                axdr_put_uint32(w, (uint32_t)value);
        else
                axdr_put_uint64(w, (uint64_t)value);
}

/* First and last capture time the buffer holds. The wrapper's meter captures intervals at their
 * end, the HDLC meter its register at the start of its history already. */
static void buffer_span(const struct dlms_meter *d, int64_t *ret_first, int64_t *ret_last)
{
        int64_t first = d->sim->opt.from + (d->meter->kind == SIM_DLMS_WRAPPER ? PERIOD : 0);
        int64_t oldest;

        *ret_last = sim_data_end(d->sim);
        oldest = *ret_last - (int64_t)(DLMS_METER_ROWS - 1) * PERIOD;
        *ret_first = first > oldest ? first : oldest;
}

static int64_t entries(const struct dlms_meter *d)
{
        int64_t first, last;

        buffer_span(d, &first, &last);
        return last < first ? 0 : (last - first) / PERIOD + 1;
}

static unsigned put_buffer(const struct dlms_meter *d, const struct dlms_selection *selection,
                           struct axdr_writer *w)
{
        struct profile_range range;
        int64_t first, last, from, to;

        buffer_span(d, &first, &last);
        from = first;
        to = last;
        if (selection->selector) {
                if (profile_selection_decode(selection, d->sim->opt.utc_offset_min, &range))
                        return DLMS_ACCESS_TYPE_UNMATCHED;
                if (range.by_entry) {
                        from = first + (range.from > 0 ? range.from - 1 : 0) * PERIOD;
                        to = range.to ? first + (range.to - 1) * PERIOD : last;
                } else {
                        /* The first capture at or after what was asked for. */
                        from = range.from > first
                                       ? first + (range.from - first + PERIOD - 1) / PERIOD * PERIOD
                                       : first;
                        to = range.to;
                }
                if (to > last)
                        to = last;
        }
        axdr_put_array(w, to >= from ? (size_t)((to - from) / PERIOD + 1) : 0);
        for (int64_t t = from; t <= to; t += PERIOD) {
                axdr_put_structure(w, 2);
                put_time(d, t, w);
                if (d->meter->kind == SIM_DLMS_WRAPPER)
                        put_energy(meter_interval(d->meter, t - PERIOD), w);
                else
                        put_energy(meter_register(d->meter, t), w);
        }
        return DLMS_ACCESS_SUCCESS;
}

static void put_capture(uint16_t class_id, const struct obis *o, struct axdr_writer *w)
{
        axdr_put_structure(w, 4);
        axdr_put_uint16(w, class_id);
        axdr_put_obis(w, o);
        axdr_put_int8(w, 2);
        axdr_put_uint16(w, 0);
}

static unsigned get_profile(const struct dlms_meter *d, int8_t attribute,
                            const struct dlms_selection *selection, struct axdr_writer *w)
{
        switch (attribute) {
        case 1:
                axdr_put_obis(w, &profile_obis);
                break;
        case 2:
                return put_buffer(d, selection, w);
        case 3:
                axdr_put_array(w, 2);
                put_capture(8, &clock_obis, w);
                put_capture(3, d->meter->kind == SIM_DLMS_WRAPPER ? &use_obis : &total_obis, w);
                break;
        case 4:
                axdr_put_uint32(w, PERIOD);
                break;
        case 7:
                axdr_put_uint32(w, (uint32_t)entries(d));
                break;
        case 8:
                axdr_put_uint32(w, DLMS_METER_ROWS);
                break;
        default:
                return DLMS_ACCESS_OBJECT_UNAVAILABLE;
        }
        return DLMS_ACCESS_SUCCESS;
}

static unsigned get_register(const struct dlms_attr *a, int64_t value, struct axdr_writer *w)
{
        if (a->id == 1)
                axdr_put_obis(w, &a->obis);
        else if (a->id == 2)
                put_energy(value, w);
        else if (a->id == 3)
                axdr_put_scaler_unit(w, 0, UNIT_WH);
        else
                return DLMS_ACCESS_OBJECT_UNAVAILABLE;
        return DLMS_ACCESS_SUCCESS;
}

static unsigned get_clock(const struct dlms_meter *d, const struct dlms_attr *a,
                          struct axdr_writer *w)
{
        if (a->id == 1)
                axdr_put_obis(w, &clock_obis);
        else if (a->id == 2)
                put_time(d, sim_now(d->sim) + d->meter->drift_s + d->objects.clock_offset_s, w);
        else if (a->id == 3)
                axdr_put_int16(w, (int16_t)-d->sim->opt.utc_offset_min);
        else
                return DLMS_ACCESS_OBJECT_UNAVAILABLE;
        return DLMS_ACCESS_SUCCESS;
}

static unsigned get_data(const struct dlms_meter *d, const struct dlms_attr *a,
                         struct axdr_writer *w)
{
        static const struct obis counter = { { 0, 0, 43, 1, 0, 255 } };
        static const struct obis serial = { { 0, 0, 96, 1, 0, 255 } };
        static const struct obis device = { { 0, 0, 42, 0, 0, 255 } };

        if (a->id != 1 && a->id != 2)
                return DLMS_ACCESS_OBJECT_UNAVAILABLE;
        if (a->id == 1)
                axdr_put_obis(w, &a->obis);
        else if (obis_equal(&a->obis, &counter))
                axdr_put_uint32(w, d->counters.rx);
        else if (obis_equal(&a->obis, &serial))
                axdr_put_octets(w, d->meter->serial, strlen(d->meter->serial));
        else if (obis_equal(&a->obis, &device))
                axdr_put_octets(w, d->meter->identity, strlen(d->meter->identity));
        else
                return DLMS_ACCESS_OBJECT_UNDEFINED;
        return DLMS_ACCESS_SUCCESS;
}

static unsigned get(void *meter, const struct dlms_attr *a, const struct dlms_selection *selection,
                    struct axdr_writer *w)
{
        struct dlms_meter *d = meter;
        int64_t end = sim_data_end(d->sim);
        unsigned result;

        if (dlms_objects_get(d, a, selection, w, &result))
                return result;
        if (is(a, 8, clock_obis))
                return get_clock(d, a, w);
        if (is(a, 7, profile_obis))
                return get_profile(d, a->id, selection, w);
        if (is(a, 3, total_obis))
                return get_register(a, meter_register(d->meter, end), w);
        if (is(a, 3, use_obis) && d->meter->kind == SIM_DLMS_WRAPPER)
                return get_register(a, meter_interval(d->meter, end - PERIOD), w);
        if (a->class_id == 1)
                return get_data(d, a, w);
        if (is(a, 15, association_obis))
                return dlms_list_get(d, a->id, w);
        return DLMS_ACCESS_OBJECT_UNDEFINED;
}

size_t dlms_meter_scratch(const struct sim *s)
{
        int64_t rows = s->opt.live ? DLMS_METER_ROWS : (s->opt.to - s->opt.from) / PERIOD + 2;

        if (rows > DLMS_METER_ROWS)
                rows = DLMS_METER_ROWS;
        return (size_t)rows * DLMS_METER_ROW + DLMS_METER_REST;
}

static unsigned set(void *meter, const struct dlms_attr *a, const uint8_t *data, size_t n)
{
        return dlms_objects_set(meter, a, data, n);
}

static unsigned action(void *meter, const struct dlms_attr *a, const uint8_t *params, size_t n,
                       struct axdr_writer *ret)
{
        (void)ret;
        return dlms_objects_action(meter, a, params, n);
}

void dlms_meter_init(struct dlms_meter *d, struct sim *s, struct meter *m)
{
        static const struct dlms_server_objects objects = { .get = get,
                                                            .set = set,
                                                            .action = action };

        *d = (struct dlms_meter){ .sim = s, .meter = m, .counters = { .tx = 1 } };
        d->counters.rx = m->ahead;
        d->config.server_sap = 1;
        d->config.refuses_release = m->faults & FAULT_NO_RELEASE;
        d->config.breaks = m->faults & FAULT_BREAKS ? DLMS_CONF_MULTIPLE_REFERENCES : 0;
        d->config.objects = &objects;
        memcpy(d->config.title, m->title, sizeof m->title);
        dlms_objects_init(d);
        if (m->kind == SIM_DLMS_WRAPPER && s->opt.lls[0]) {
                d->config.auth = DLMS_AUTH_LLS;
                d->config.secret = (const uint8_t *)s->opt.lls;
                d->config.secret_len = strlen(s->opt.lls);
        }
        if (m->kind != SIM_DLMS_HDLC)
                return;
        if (s->opt.counter_ahead)
                d->counters.rx = s->opt.counter_ahead * 1000000u;
        d->config.framing = DLMS_FRAMING_HDLC;
        d->config.max_info = 1024;
        d->config.window = 1;
        d->config.auth = DLMS_AUTH_GMAC;
        d->config.policy = DLMS_POLICY_AUTHENTICATED_ENCRYPTED;
        d->config.crypto = s->crypto;
        d->config.keys.has_ek = d->config.keys.has_ak = true;
        memcpy(d->config.keys.ek, m->guek, METER_KEY_SIZE);
        memcpy(d->config.keys.ak, m->gak, METER_KEY_SIZE);
}

void dlms_meter_deinit(struct dlms_meter *d)
{
        dlms_objects_deinit(d);
}
