#pragma once

/*
 * What a meter's readings say about one segment of a bill: interval values where there are any,
 * else differences of the register. The same rules as the SQL function mdm.usage. Pure.
 */

#include "bill.h"
#include "readings.h"

/* Values of one channel, in time order. */
struct usage_series {
        int64_t *at, *value;
        uint32_t *period_s;
        uint8_t *status, *source;
        size_t n, cap;
};

struct usage_instant {
        int64_t at, value;
        uint32_t period_s;
        uint8_t status, source;
};

/* Scratch memory, owned; one per thread, used again for every segment. */
struct usage {
        struct usage_series series;
        struct buf instants;  /* struct usage_instant */
        struct buf registers; /* the instants in the form a hash is taken over */
        int64_t damaged_day;  /* after -EBADMSG: the UTC day whose bytes cannot be read */
};

void usage_init(struct usage *u);
void usage_deinit(struct usage *u);

/* Whether there is anything about @s among the packed readings. */
bool usage_present(const struct readings *r, const struct bill_segment *s);
/* Whether a block of a whole day of @s holds interval values of its channel, so that no register is
 * looked at. */
bool usage_in_blocks(const struct readings *r, const struct bill_segment *s);
/* From packed readings. 0 (nothing found: n = 0), -ENOMEM, -EBADMSG. */
int usage_packed(struct usage *u, const struct readings *r, const struct bill_segment *s);
/* From "at,period,value,status,source;..." in time order, as the store's SQL gives it: interval
 * values, and if there are none, the register's instants. 0, -ENOMEM. */
int usage_listed(struct usage *u, const struct bill_segment *s, const char *intervals,
                 const char *registers);
/* Hands what was found to the segment; memory from @arena. 0 or -ENOMEM. */
int usage_give(const struct usage *u, struct arena *arena, struct bill_segment *s);
