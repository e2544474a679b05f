#pragma once

/*
 * Validation, estimation, editing of interval readings: the core. Pure: arrays in, findings and
 * estimates out; no SQL, no clock, no I/O. Values are int64 in the channel's unit.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tz.h"

enum vee_severity { VEE_INFO, VEE_WARN, VEE_BLOCK };

/* How the value of an interval was come by. */
enum vee_method { VEE_MEASURED = 0, VEE_LINEAR = 2, VEE_LIKE_DAY = 3, VEE_MISSING = 255 };

/* Parameters of the rules; a rule set is stored with its version. Ratios are in thousandths. */
struct vee_rules {
        int64_t spike_ratio;        /* (max - third highest) / third highest of a day: 1800 */
        int64_t spike_skip_w;       /* days that never reach this power are not looked at: 500 */
        int64_t sum_ratio;          /* intervals against register: 1 = 0.1 % */
        int64_t sum_resolution;     /* and at least this many units: 2 × register resolution */
        int64_t low, high;          /* average daily use against the one before: 400, 2500 */
        int64_t zero_days;          /* no use at all for so many days: 30 */
        int64_t same_count;         /* equal values above zero in a row: 12 */
        int64_t max_w;              /* highest power the service can carry; 0 = unknown */
        int64_t linear_gap_s;       /* longest gap bridged by a line: 7200 */
        int64_t like_days;          /* how many like days are averaged: 4 */
        int64_t like_lookback_days; /* how far back they may lie: 90 */
};

extern const struct vee_rules vee_defaults;

/* One meter's channel over one period, on a dense grid. */
struct vee_series {
        int64_t at; /* start of the first interval, UTC */
        uint32_t period_s;
        size_t n;
        int64_t *value;  /* borrowed; estimates are written into it */
        uint8_t *method; /* borrowed; enum vee_method, VEE_MISSING = no value yet */
};

struct vee_finding {
        const char *rule; /* static: "gap", "spike" ... */
        enum vee_severity severity;
        int64_t from, to;     /* instants, half-open */
        int64_t value, limit; /* what was found, what is allowed, in the rule's own unit */
        char text[160];
};

enum { VEE_MAX_FINDINGS = 64 };

struct vee_findings {
        struct vee_finding item[VEE_MAX_FINDINGS];
        size_t n;
        size_t dropped; /* found beyond the room for them: never silently */
};

/* What is known besides the values. Register values are 0 and *_known false when there is none. */
struct vee_context {
        const struct tz *tz;     /* borrowed; NULL = UTC */
        const int64_t *holidays; /* local day numbers: they count as Sundays */
        size_t n_holidays;
        bool energy;  /* values are Wh: rules on power apply */
        bool one_way; /* the point has no generation: negative values are wrong */
        bool register_known;
        int64_t register_from, register_to; /* instants of the two readings */
        int64_t register_delta;
        int64_t daily_before; /* average use a day of the period before; < 0 = unknown */
        const struct vee_series *history; /* borrowed; before the series, same grid; NULL = none */
};

/* Puts a value on the grid. 0; 1 for a second, different value of the same interval (the first
 * stays); 2 for the same value again; -EINVAL outside the grid or between its steps. */
int vee_put(struct vee_series *s, int64_t at, uint32_t period_s, int64_t value, uint8_t method);

/* Fills gaps as far as the rules allow: a straight line up to linear_gap_s between measured
 * neighbours, else the average of like days. Where a register gives the whole, like-day estimates
 * are scaled so that the sum fits exactly. Returns how many intervals were estimated. */
size_t vee_estimate(const struct vee_rules *rules, const struct vee_context *ctx,
                    struct vee_series *s);

/* Runs every check; call after vee_estimate, so that gaps it could not fill are found. */
void vee_check(const struct vee_rules *rules, const struct vee_context *ctx,
               const struct vee_series *s, struct vee_findings *ret);

void vee_add(struct vee_findings *f, const char *rule, enum vee_severity severity, int64_t from,
             int64_t to, int64_t value, int64_t limit, const char *fmt, ...)
        __attribute__((format(printf, 8, 9)));
