#pragma once

/*
 * A measured (or made-up) consumption series, from which every simulated meter draws its own:
 * fixed steps of a quarter hour's multiple, whole weeks, repeated for ever, with prefix sums, so
 * that the use up to any instant costs two additions.
 */

#include <stdint.h>

enum series_kind { SERIES_ELECTRICITY, SERIES_GAS };

struct series {
        enum series_kind kind;
        char name[256];
        uint32_t step_s;     /* 900, 1800 or 3600 */
        int64_t local_start; /* local time of step 0, as if UTC */
        int64_t n;           /* steps: whole weeks */
        int64_t *sum;        /* n + 1 prefix sums in thousandths of a Wh; owned */
};

/* All files *.csv.gz of @dir: "start,value" rows, value in kWh per step. Rows that miss count as no
 * use. *@ret_n series, owned. 0 or -errno; -ENODATA when there is none; @bad (256 bytes) names the
 * file at fault. */
int series_load(const char *dir, struct series **ret, unsigned *ret_n, char *bad);
/* One household and one heating profile of a year, from @seed. 0 or -ENOMEM. */
int series_make(uint64_t seed, struct series **ret, unsigned *ret_n);
void series_free(struct series *s, unsigned n);

/* Thousandths of a Wh used from step 0 up to the start of step @k, which may be any number. */
int64_t series_sum(const struct series *s, int64_t k);

/* splitmix64: the simulator's only randomness. */
uint64_t sim_random(uint64_t *state);
