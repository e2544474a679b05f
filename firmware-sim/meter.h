#pragma once

/*
 * One simulated meter: who it is, what it has measured. The register is a function of time alone,
 * and every interval is the difference of two registers, so that all ways of reading a meter
 * agree. No I/O.
 */

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "options.h"
#include "series.h"

enum { METER_PERIOD_S = 900, METER_KEY_SIZE = 16 };

struct meter_kind {
        const char *prefix; /* of serial numbers */
        const char *model, *maker, *protocol, *commodity;
        uint8_t interval_channel, register_channel; /* 0 = does not report it */
        uint32_t resolution;                        /* of the register, in channel units */
        bool pushes;
        enum series_kind series;
        uint32_t ppm; /* of the series' Wh: what one Wh is in the meter's unit */
};

extern const struct meter_kind meter_kinds[SIM_N_KINDS];

struct meter {
        enum sim_kind kind;
        unsigned number; /* within its kind, from 1 */
        char serial[16], identity[160];
        const struct series *series; /* borrowed */
        int utc_offset_s;
        int64_t shift;     /* steps: where in the series this meter is */
        int64_t scale_ppm; /* of the series */
        int64_t base;      /* register before its time */
        uint8_t guek[METER_KEY_SIZE], gak[METER_KEY_SIZE], psk[METER_KEY_SIZE], title[8];
        uint8_t kek[METER_KEY_SIZE]; /* wraps new keys */
        bool unknown;    /* not in the fleet file */
        bool wrong_key;  /* the fleet file has other keys */
        uint16_t port;   /* polled meters: where they listen */
        uint8_t faults;  /* enum fault */
        int32_t drift_s; /* of its clock */
        uint32_t ahead;  /* lowest invocation counter it takes at the start; 0 = any */
};

/* Everything but the port, from the seed, kind and number. */
void meter_init(struct meter *m, const struct sim_options *o, enum sim_kind kind, unsigned number,
                const struct series *series, unsigned n_series);

/* Register at @t, rounded down to whole quarters of an hour; in the register channel's unit, at
 * full resolution. */
int64_t meter_total(const struct meter *m, int64_t t);
/* As the meter's register shows it, in the channel's unit. */
int64_t meter_register(const struct meter *m, int64_t t);
/* Use in the interval that starts at @start. */
int64_t meter_interval(const struct meter *m, int64_t start);
/* Mean power in W (or L/h) in the quarter hour @t falls in. */
int64_t meter_power(const struct meter *m, int64_t t);
