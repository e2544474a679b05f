#pragma once

/*
 * The parsed tariff and the state of one run. Internal to billing/rating.
 */

#include <stdbool.h>

#include "rating.h"

enum {
        MAX_TIERS = 64,
        MAX_COMPONENTS = 256,
        MAX_PERIODS = 64, /* price periods of one schedule */
        MAX_SCHEDULES = 8,
        MAX_RULES = 1024,
        DAY_TYPES = 8,        /* Monday ... Sunday, holiday */
        DATE_SLOTS = 12 * 31, /* (month - 1) * 31 + day - 1 */
};

/* ---- calendars ---- */

/* One stretch of a local day: [previous end, end) minutes. */
struct segment {
        uint16_t end;
        uint8_t period;
};

struct schedule {
        const char *name;
        const char *period[MAX_PERIODS];
        unsigned n_periods;
        uint16_t profile[DATE_SLOTS][DAY_TYPES]; /* index of the day's first segment */
        struct segment *segments;                /* owned; each day's last one ends at 1440 */
        bool holidays;                           /* rules name holidays; else they are weekdays */
        uint64_t in_month[12];                   /* periods that occur, bit = index */
};

/* ---- components ---- */

enum component_type {
        COMPONENT_FIXED,
        COMPONENT_ENERGY, /* quantity × price, tiers, price periods */
        COMPONENT_PACKAGE,
        COMPONENT_TIERED_PERCENT,
        COMPONENT_DEMAND,
        COMPONENT_PERCENT,
        COMPONENT_MINIMUM,
        COMPONENT_SLAB,
        COMPONENT_BAND_FIXED,
        COMPONENT_INCREMENT,
        COMPONENT_GIVEN,
        COMPONENT_POWER_FACTOR,
        COMPONENT_OVER_CONTRACT,
        COMPONENT_NET, /* use against generation */
};

enum fixed_per { PER_BILL, PER_MONTH, PER_DAY, PER_KW, PER_KW_MONTH, PER_HOUSEHOLD };

enum proration {
        PRORATE_NONE,
        PRORATE_FULL_PERIOD, /* × days / days of the full period */
        PRORATE_DAYS,        /* × days / proration_days */
};

/* How tier limits grow: limit × days / per ..., rounded to whole units where the tariff says so. */
struct limit_scale {
        struct decimal days; /* limits are for days / times days; zero = not scaled by days */
        struct decimal times;
        bool full_period; /* for the days of the regular period instead */
        int below, above; /* only when days < below or days > above; both 0 = always */
        bool months, households, kw;
        bool whole;        /* scaled limits rounded to whole units */
        bool whole_blocks; /* scaled widths of the tiers rounded instead */
        enum decimal_round how;
};

/* A component that counts only where a quantity is above or at most something. */
struct condition {
        const char *quantity; /* NULL = always */
        bool has_above, has_upto;
        struct decimal above, upto; /* above exclusive, upto inclusive */
        bool absent_skips;          /* a quantity not handed in: the component does not count */
};

struct tier {
        bool open;           /* no upper limit */
        bool kw;             /* limit is hours of use: × billing demand */
        struct decimal upto; /* inclusive */
        struct decimal rate; /* per unit, or percent */
        struct decimal sell; /* paid per unit exported */
        struct decimal flat; /* once the tier is touched */
        bool has_flat;
        struct tier *sub; /* prices inside this block, limits from the block's own zero; owned by
                             the arena */
        unsigned n_sub;
        bool sub_from_zero; /* limits of @sub count from the bill's zero instead */
};

struct tiers {
        struct tier *tier; /* borrowed from the arena */
        unsigned n;
};

struct ratchet {
        bool on;
        struct decimal percent[12]; /* of the peak of that month */
        bool use_current[12];       /* the month's own full peak counts as well */
        int lookback;               /* months before this one; 0 with named months */
        uint16_t named;             /* bit month-1: peaks of these months count */
};

/* What is billed as demand. */
struct demand {
        const char *quantity;
        uint32_t window_s; /* mean over this many seconds; 0 = as measured */
        struct decimal minimum;
        struct decimal contract_percent; /* of the contract's kW, at least */
        int schedule;                    /* -1 = every interval counts */
        uint64_t periods;                /* that count, bit = index */
        struct ratchet ratchet;
};

enum net_mode {
        NET_ENERGY_ROLLOVER, /* energy of each price period is carried to the next bill */
        NET_MONEY_ROLLOVER,  /* price periods are netted, the surplus is carried in money */
        NET_BILLING,         /* exports are sold, the credit stands on the same bill */
        NET_BILLING_CARRY,   /* exports are sold, the credit is carried */
};

enum net_settle { SETTLE_KEEP, SETTLE_PAY, SETTLE_CREDIT, SETTLE_EXPIRE, SETTLE_PAY_KEEP };

struct net {
        enum net_mode mode;
        const char *export_quantity;
        int true_up_month; /* 1-12: balances are settled with this month's bill; 0 = never */
        enum net_settle settle;
        bool apply_now;             /* a credit counts on the bill that earns it */
        bool expire_unmapped;       /* energy of periods not met at carry_at is not carried */
        struct decimal settle_rate; /* per unit of energy left */
        int carry_at[8];            /* minutes of the day, see netting.c */
        unsigned n_carry_at;
};

struct component {
        enum component_type type;
        const char *code, *text, *unit;
        int64_t from_day;       /* price valid from; INT64_MIN = ever */
        struct component *next; /* later price of the same component; borrowed */

        const char *quantity; /* NULL = the commodity's */
        const char *index;    /* price comes from this index × rate */
        struct condition when;
        struct decimal least; /* at least this much is billed; scaled like a tier's limit */
        int schedule;         /* -1 = none */
        struct tiers tiers[MAX_PERIODS]; /* by price period; [0] without schedule */
        bool volume;                     /* one tier's price for everything */
        bool pooled;                     /* tiers filled on the periods' total, shared pro rata */
        bool timed;                      /* pooled, but filled in the order of time */
        bool subtract;                   /* amounts count against the bill: rebates */
        struct limit_scale scale;
        struct decimal block; /* quantity counted in blocks of this size, rounded up */
        int quantity_digits;  /* -1 = as measured, else rounded half-up */

        enum fixed_per per;
        enum proration proration;
        struct decimal proration_days, proration_times; /* days / times of the full amount */
        struct decimal amount;                          /* fixed, package, minimum, given */
        struct decimal by_month[12];
        bool has_by_month;

        struct decimal size, free_units;             /* package */
        struct decimal first, then, rate, per_units; /* increment: rate per per_units */
        struct decimal pct;
        const char **of; /* codes, n_of = 0: all before */
        unsigned n_of;
        bool per_line, tax;

        bool own_demand;   /* demand: its own peak, not the tariff's billing demand */
        bool billing_peak; /* demand by price period: the periods that count for the billing demand
                              are charged for it, the others for their own peak */
        bool tiers_by_month; /* demand: tiers[month - 1] */
        struct demand demand;

        struct tier *slab;            /* limits; sub-components in slab_part */
        struct component **slab_part; /* [i] = chain through slab_next */
        unsigned n_slab;
        struct component *slab_next;

        struct decimal pf_target, pf_floor, pf_floor_pct, pf_step_pct, pf_cap;
        int pf_digits; /* of the percentage */
        int pf_round;  /* digits the power factor itself is rounded to; -1 = none */
        bool pf_step;  /* tiers[0] is a table of percentages when it has rows */

        bool annual;    /* minimum counted over the calendar year */
        bool no_credit; /* minimum: a bill below zero counts as zero */
        struct net net;
};

struct example {
        const char *name, *tz;
        struct rating_input in;
        struct {
                const char *code;
                struct decimal amount;
        } * line;
        unsigned n_lines;
        bool has_total;
        struct decimal total;
};

enum { FACTOR_MAX = 8 };

enum factor_use { FACTOR_MULTIPLY, FACTOR_DIVIDE, FACTOR_ADD, FACTOR_SUBTRACT };

/* (sum of what is added and subtracted, or 1) × factor / factor ...: gas volume to energy, use
 * behind a main meter less its submeters. */
struct derived {
        const char *name, *unit;
        struct {
                const char *name; /* NULL = number */
                struct decimal number;
                enum factor_use use;
        } factor[FACTOR_MAX];
        unsigned n;
        int digits;
        bool has_least; /* never below this */
        struct decimal least;
};

struct rating_tariff {
        struct arena arena;
        const char *code, *name, *commodity, *currency, *unit, *quantity;
        const char *valid_from, *valid_to; /* dates or NULL */
        int minor_digits;
        enum decimal_round rounding;
        bool round_lines;          /* false: lines shown rounded, the exact total rounded once */
        struct decimal round_step; /* the total in multiples of this; zero = minor units */
        struct schedule *schedule[MAX_SCHEDULES];
        unsigned n_schedules;
        int64_t *holidays;
        unsigned n_holidays;
        struct demand demand; /* the billing demand */
        bool has_demand;
        struct component *component[MAX_COMPONENTS];
        unsigned n_components;
        struct derived *derived;
        unsigned n_derived;
        struct example *example;
        unsigned n_examples;
        const char *needs[16];
        unsigned n_needs;
        bool intervals;
};

/* ---- map ---- */

struct rating_map {
        const struct rating_tariff *tariff; /* borrowed */
        int64_t from_day, to_day, at;
        uint32_t period_s;
        size_t n;
        uint32_t *day;                  /* per local day: first interval; n_days + 1 */
        uint8_t *period[MAX_SCHEDULES]; /* owned, n each */
};

/* ---- run ---- */

/* A part of the bill under one price. */
struct span {
        int64_t from_day, to_day;
        bool part; /* less than the whole bill */
};

struct measured {
        struct decimal total;
        struct decimal by_period[MAX_PERIODS];
        const char *unit;
        const char *name;   /* of the series it comes from; NULL = no series */
        const char *source; /* "given" or "intervals" */
        size_t n_intervals;
};

struct run {
        const struct rating_tariff *t;
        const struct rating_input *in;
        struct rating_result *r;
        struct rating_error *err;
        const struct rating_map *map;
        struct rating_map *own_map;
        size_t cap_lines, cap_carry;
        int days, months, households;
        struct decimal full_days;
        bool have_demand;
        struct decimal billing_kw, peak_kw;
        struct buf steps; /* of the line being made: JSON strings */
        int month;        /* of the bill's last day, 1-12 */
        int year;
};

int rating_fail(struct rating_error *err, int code, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
const char *rating_text(struct run *run, struct decimal d); /* shortest exact, from the arena */

/* calendar.c */
int schedule_find(const struct rating_tariff *t, const char *name);
int period_find(const struct schedule *s, const char *name);
int period_of(const struct schedule *s, int64_t local_day, bool holiday, int minute);
int run_need_map(struct run *run);

/* measure.c */
int measure_quantity(struct run *run, const struct component *c, const struct span *s,
                     const char *name, int schedule, struct measured *ret);
int measure_peak(struct run *run, const char *name, uint32_t window_s, int schedule,
                 const struct span *s, struct decimal ret[MAX_PERIODS + 1]);
/* Calls for each stretch of the series' values inside the span, in time order. @value belongs to
 * intervals [@first, @end) of the map. */
typedef int (*stretch_fn)(struct run *run, void *arg, const struct rating_series *series,
                          const int64_t *value, size_t first, size_t end);
int measure_each(struct run *run, const char *name, const struct span *s, stretch_fn fn, void *arg);
/* demand.c */
int demand_need(struct run *run);
int charge_demand(struct run *run, const struct component *c, const struct span *s);
int charge_over_contract(struct run *run, const struct component *c, const struct span *s);

/* tiers.c */
struct filled {
        struct decimal quantity[MAX_TIERS];
        struct decimal limit[MAX_TIERS];
        bool touched[MAX_TIERS];
};
int tiers_fill(struct run *run, const struct component *c, const struct tiers *tiers,
               struct decimal quantity, int days, struct filled *ret);
int tier_limit(struct run *run, const struct component *c, const struct tier *tier, int days,
               struct decimal *ret);
/* First tier whose limit holds @quantity; -1 beyond the last. */
int tiers_pick(struct run *run, const struct component *c, const struct tiers *tiers,
               struct decimal quantity, int days, int *ret);

/* energy.c */
/* @rate, times the index where the price follows one; a missing value is an error. */
int indexed(struct run *run, const struct component *c, struct decimal rate, struct decimal *ret);
/* Lines of a component's prices for quantities already measured. */
int energy_lines(struct run *run, const struct component *c, const struct span *s,
                 const struct measured *m, const char *unit);
int charge_energy(struct run *run, const struct component *c, const struct span *s);

int energy_tier_line(struct run *run, const struct component *c, const struct span *s,
                     const struct tier *tier, const char *suffix, struct decimal quantity,
                     const char *unit);

/* timed.c */
/* Lines of the periods in @group, whose tiers have the same limits, for the series @name. */
int charge_timed(struct run *run, const struct component *c, const struct span *s, const char *name,
                 uint64_t group, int days, const char *unit);

/* netting.c */
int charge_net(struct run *run, const struct component *c, const struct span *s);

/* power_factor.c */
int charge_power_factor(struct run *run, const struct component *c, const struct span *s);

/* charge.c */
/* Sum of the first @n lines that the component is on. */
int base_of(struct run *run, const struct component *c, size_t n, struct decimal *ret);
int percent_line(struct run *run, const struct component *c, const struct span *s,
                 const char *suffix, struct decimal base, struct decimal pct);
/* Whether the component's condition holds; *@ret untouched on failure. */
int condition_holds(struct run *run, const struct component *c, const struct span *s, bool *ret);
int charge_component(struct run *run, const struct component *c, const struct span *s);
int charge_fixed(struct run *run, const struct component *c, const struct span *s);

/* run.c */
void step(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds a line with the steps gathered so far; @suffix ("_t1", ":peak") may be "". Code, text and
 * unit are copied. */
int line_add(struct run *run, const struct component *c, const struct span *s,
             enum rating_line_kind kind, const char *suffix, struct decimal quantity,
             const char *unit, struct decimal price, struct decimal exact);
/* decimal_* that report a range error with the component's code. */
int mul(struct run *run, struct decimal a, struct decimal b, struct decimal *ret);
int muldiv(struct run *run, struct decimal a, struct decimal b, struct decimal c,
           struct decimal *ret);
/* Sums and differences: where the digits of both do not fit, the last ones are rounded away. */
int add_to(struct run *run, struct decimal *sum, struct decimal d);
int minus(struct run *run, struct decimal a, struct decimal b, struct decimal *ret);
int span_days(const struct span *s);
const struct rating_carry *carry_in(const struct run *run, const char *name);
int carry_out(struct run *run, const char *name, struct decimal value);
