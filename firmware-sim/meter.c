#include "meter.h"

#include <stdio.h>
#include <string.h>

const struct meter_kind meter_kinds[SIM_N_KINDS] = {
        [SIM_DLMS_WRAPPER] = { "HRW", "HR-DLMS-W", "HRS", "dlms", "electricity",
                               CHANNEL_ENERGY_IMPORT, 0, 1, false, SERIES_ELECTRICITY, 1000000 },
        [SIM_DLMS_HDLC] = { "HRH", "HR-DLMS-H", "HRS", "dlms", "electricity", 0,
                            CHANNEL_ENERGY_IMPORT_TOTAL, 1, false, SERIES_ELECTRICITY, 1000000 },
        [SIM_MODBUS] = { "HRE", "HR-MODBUS-E1", "HRS", "modbus", "electricity", 0,
                         CHANNEL_ENERGY_IMPORT_TOTAL, 10, false, SERIES_ELECTRICITY, 1000000 },
        [SIM_MQTT_SENML] = { "HRM", "HR-MQTT-SENML", "HRS", "mqtt", "electricity",
                             CHANNEL_ENERGY_IMPORT, CHANNEL_ENERGY_IMPORT_TOTAL, 1, true,
                             SERIES_ELECTRICITY, 1000000 },
        /* 25 L of water for a kWh: a household's day of 10 kWh goes with 250 L. */
        [SIM_MQTT_FLAT] = { "HRF", "HR-MQTT-FLAT", "HRS", "mqtt", "water", CHANNEL_WATER_VOLUME,
                            CHANNEL_WATER_VOLUME_TOTAL, 1, true, SERIES_ELECTRICITY, 25000 },
        [SIM_COAP] = { "HRC", "HR-COAP-SENML", "HRS", "coap", "heat", CHANNEL_HEAT_ENERGY,
                       CHANNEL_HEAT_ENERGY_TOTAL, 1, true, SERIES_GAS, 1000000 },
        [SIM_DLMS_PUSH] = { "ISK", "ISKRA-AM550", "Iskraemeco", "dlms", "electricity", 0,
                            CHANNEL_ENERGY_IMPORT_TOTAL, 1, true, SERIES_ELECTRICITY, 1000000 },
};

static const struct series *pick(const struct series *series, unsigned n, enum series_kind kind,
                                 uint64_t random)
{
        unsigned have = 0, at;

        for (unsigned i = 0; i < n; i++)
                have += series[i].kind == kind;
        if (have == 0)
                return &series[random % n];
        at = (unsigned)(random % have);
        for (unsigned i = 0; i < n; i++)
                if (series[i].kind == kind && at-- == 0)
                        return &series[i];
        return &series[0];
}

static void random_bytes(uint64_t *state, uint8_t *out, size_t n)
{
        for (size_t i = 0; i < n; i++)
                out[i] = (uint8_t)(sim_random(state) >> 32);
}

static void name_it(struct meter *m)
{
        const struct meter_kind *k = &meter_kinds[m->kind];

        snprintf(m->serial, sizeof m->serial, "%s%06u", k->prefix, m->number);
        memcpy(m->title, k->prefix, 3);
        m->title[3] = (uint8_t)m->kind;
        for (int i = 0; i < 4; i++)
                m->title[4 + i] = (uint8_t)(m->number >> 8 * (3 - i));
        if (strcmp(k->protocol, "dlms") != 0 || m->kind == SIM_DLMS_PUSH) {
                snprintf(m->identity, sizeof m->identity, "%s", m->serial);
                return;
        }
        for (int i = 0; i < 8; i++)
                snprintf(m->identity + 2 * i, 3, "%02X", m->title[i]);
}

void meter_init(struct meter *m, const struct sim_options *o, enum sim_kind kind, unsigned number,
                const struct series *series, unsigned n_series)
{
        uint64_t state = o->seed * 1000003 + (uint64_t)kind * 10000019 + number;

        memset(m, 0, sizeof *m);
        m->kind = kind;
        m->number = number;
        m->utc_offset_s = o->utc_offset_min * 60;
        name_it(m);
        m->series = pick(series, n_series, meter_kinds[kind].series, sim_random(&state));
        /* By whole weeks: the hours of the day and the days of the week stay what they are. */
        m->shift = (int64_t)(sim_random(&state) % 520) * (7 * 86400 / m->series->step_s);
        m->scale_ppm = (int64_t)(500000 + sim_random(&state) % 1500000);
        m->scale_ppm = m->scale_ppm * meter_kinds[kind].ppm / 1000000;
        random_bytes(&state, m->guek, sizeof m->guek);
        random_bytes(&state, m->gak, sizeof m->gak);
        random_bytes(&state, m->psk, sizeof m->psk);
        /* The meter was new at some time before its history. */
        m->base = (int64_t)(sim_random(&state) % 50000000) - meter_total(m, o->from);
        random_bytes(&state, m->kek, sizeof m->kek);
}

static int64_t floor_div(int64_t a, int64_t b)
{
        return a / b - (a % b < 0);
}

/* Whole units used from the series' step 0 up to step @k. */
static int64_t step_total(const struct meter *m, int64_t k)
{
        __int128 milli_ppm = (__int128)series_sum(m->series, k) * m->scale_ppm;
        __int128 q = milli_ppm / 1000000000;

        return (int64_t)(milli_ppm < 0 && milli_ppm % 1000000000 ? q - 1 : q);
}

int64_t meter_total(const struct meter *m, int64_t t)
{
        int64_t step_s = m->series->step_s;
        int64_t local = floor_div(t + m->utc_offset_s, METER_PERIOD_S) * METER_PERIOD_S;
        int64_t k = floor_div(local - m->series->local_start, step_s);
        int64_t quarter = (local - m->series->local_start - k * step_s) / METER_PERIOD_S;
        int64_t quarters = step_s / METER_PERIOD_S;
        int64_t before = step_total(m, k + m->shift);
        int64_t use = step_total(m, k + m->shift + 1) - before;
        int64_t more = use % quarters;

        /* What does not divide goes to the first quarters: the step's sum stays exact. */
        return m->base + before + use / quarters * quarter + (quarter < more ? quarter : more);
}

int64_t meter_register(const struct meter *m, int64_t t)
{
        int64_t resolution = meter_kinds[m->kind].resolution;

        return meter_total(m, t) / resolution * resolution;
}

int64_t meter_interval(const struct meter *m, int64_t start)
{
        return meter_total(m, start + METER_PERIOD_S) - meter_total(m, start);
}

int64_t meter_power(const struct meter *m, int64_t t)
{
        return meter_interval(m, floor_div(t, METER_PERIOD_S) * METER_PERIOD_S) *
               (3600 / METER_PERIOD_S);
}
