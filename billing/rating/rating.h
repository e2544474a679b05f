#pragma once

/*
 * Rating core: a tariff document and one customer's period in, priced lines with their traces
 * out. Pure: no I/O, no clock, no SQL. The same entry serves bills, what-if and golden examples.
 *
 * A tariff is loaded once (JSON text, schema "headrace-tariff-v1", see docs/tariffs.md), is
 * immutable and may be used by any number of threads. Numbers are exact decimals; money is
 * rounded only where the tariff's rounding policy says so. Everything here is deterministic: the
 * same tariff and input give the same bytes, in whatever order quantities and series are handed
 * in.
 *
 * Days are local day numbers (days since 1970-01-01 of the local calendar), instants UTC seconds.
 */

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "decimal.h"
#include "tz.h"

enum rating_error_code {
        RATING_E_DOCUMENT = 1, /* the tariff document is wrong */
        RATING_E_QUANTITY,     /* a quantity the tariff asks for was not handed in */
        RATING_E_GAP,   /* interval data does not cover the period, or holds rejected values */
        RATING_E_GRID,  /* an interval lies across a price period's or the bill's edge */
        RATING_E_INDEX, /* an index (fuel, exchange rate) has no value: never taken as zero */
        RATING_E_INPUT, /* period empty, series out of order ... */
        RATING_E_RANGE, /* a number left the range of decimals */
};

/* What is wrong, where, and what to do. */
struct rating_error {
        int code;
        char text[400];
};

/* ---- tariff ---- */

struct rating_tariff;

/* Owned result in *@ret. @json is @n bytes, borrowed for the call. 0, -ENOMEM or
 * RATING_E_DOCUMENT with @err filled: "components[2].tiers[1].upto: ...", syntax errors with line
 * and column. */
int rating_tariff_load(struct rating_tariff **ret, const char *json, size_t n,
                       struct rating_error *err);
void rating_tariff_free(struct rating_tariff *t);
/* Borrowed from the tariff; "" when the document does not say. */
const char *rating_tariff_code(const struct rating_tariff *t);
const char *rating_tariff_name(const struct rating_tariff *t);
const char *rating_tariff_commodity(const struct rating_tariff *t);
const char *rating_tariff_currency(const struct rating_tariff *t);
int rating_tariff_minor_digits(const struct rating_tariff *t);
/* "valid_from" and "valid_to" (not valid any more) of the document as dates, NULL when it does
 * not say. Borrowed. */
const char *rating_tariff_valid_from(const struct rating_tariff *t);
const char *rating_tariff_valid_to(const struct rating_tariff *t);
/* Names of the series or quantities the tariff needs ("energy.import", "energy.export" ...), in
 * order of first use. Borrowed; NULL beyond the last. */
const char *rating_tariff_quantity(const struct rating_tariff *t, size_t i);
/* Whether interval series are needed (time-of-use or demand) or totals suffice. */
bool rating_tariff_needs_intervals(const struct rating_tariff *t);

/* ---- input ---- */

/* Interval values, consecutive from @at: value × 10^-scale is in @unit. For electricity
 * "energy.import", kWh, scale 3 for values in Wh; "water.volume", m3, scale 3 for litres. Several
 * series of one name follow each other when the period changes inside the bill. */
struct rating_series {
        const char *name; /* borrowed */
        const char *unit; /* borrowed */
        int8_t scale;     /* 0-12 */
        int64_t at;       /* start of the first interval */
        uint32_t period_s;
        size_t n;
        const int64_t *value;  /* borrowed, n */
        const uint8_t *status; /* borrowed, n, or NULL = all good; RATING_MISSING = no value */
};

enum { RATING_MISSING = 255 };

/* A quantity already known for the period: register difference, counted units, cos phi. For a
 * time-of-use register the name is "energy.import:peak". Wins over a series of that name. */
struct rating_quantity {
        const char *name;
        const char *unit;
        struct decimal value;
};

/* A published value with its source, such as a month's fuel price. */
struct rating_index {
        const char *name;
        struct decimal value;
        const char *source;
        int64_t day; /* the day it was published for */
};

/* Highest demand of an earlier calendar month, for ratchets. */
struct rating_peak {
        int year, month; /* month 1-12 */
        struct decimal kw;
};

/* A balance carried from bill to bill: credit of energy or money. Names come from the tariff
 * ("credit:peak", "paid_year" ...); hand back what the last result returned, unchanged. */
struct rating_carry {
        const char *name;
        struct decimal value;
};

struct rating_map;

struct rating_input {
        int64_t from_day, to_day; /* [from, to): what is billed */
        int full_days;            /* days of the regular period it is part of; 0 = the same */
        int months;               /* billing months it counts for; 0 = derived from the days */
        int households;           /* 0 = 1 */
        struct decimal contract_kw;
        const struct tz *tz;     /* borrowed; NULL = UTC */
        const int64_t *holidays; /* local day numbers beyond the tariff's own, any order */
        size_t n_holidays;
        const struct rating_series *series;
        size_t n_series;
        const struct rating_quantity *given;
        size_t n_given;
        const struct rating_index *indices;
        size_t n_indices;
        const struct rating_peak *peaks;
        size_t n_peaks;
        const struct rating_carry *carry;
        size_t n_carry;
        const struct rating_map *map; /* borrowed; NULL = made for this call (slower) */
};

/* ---- price-period map, shared by all customers of one tariff, zone and period ---- */

/* For every interval of [from_day, to_day) the price period it falls in. Owned result; immutable.
 * 0, -ENOMEM or RATING_E_GRID / RATING_E_INPUT. */
int rating_map_new(struct rating_map **ret, const struct rating_tariff *t, const struct tz *tz,
                   const int64_t *holidays, size_t n_holidays, int64_t from_day, int64_t to_day,
                   uint32_t period_s, struct rating_error *err);
void rating_map_free(struct rating_map *m);

/* ---- result ---- */

enum rating_line_kind {
        RATING_CHARGE,
        RATING_TAX,
        RATING_MINIMUM,  /* what a minimum bill adds */
        RATING_ROUNDING, /* difference between rounded lines and the rounded total */
        RATING_GIVEN,
        RATING_CREDIT, /* energy or money credited, bought or settled */
};

/* Everything borrowed from the result. */
struct rating_line {
        enum rating_line_kind kind;
        const char *code;      /* "energy_t1": component's code, tier, price period */
        const char *component; /* the component's code */
        const char *text;      /* for the bill */
        struct decimal quantity;
        const char *unit;
        struct decimal price; /* per unit; a percentage as a factor */
        int64_t amount;       /* minor units */
        struct decimal exact; /* before rounding, in major units */
        const char *trace;    /* canonical JSON object: how each number came about */
};

struct rating_result {
        struct arena arena; /* owns everything below */
        struct rating_line *lines;
        size_t n_lines;
        int64_t total; /* minor units = sum of the lines' amounts */
        struct decimal exact_total;
        struct rating_carry *carry;
        size_t n_carry;
        struct decimal peak_kw;    /* highest demand measured, zero when none was needed */
        struct decimal billing_kw; /* after minimum and ratchet */
};

/* 0 with *@ret filled (release with rating_result_deinit), -ENOMEM, or RATING_E_* with @err
 * filled; *@ret then needs no release. */
int rating_run(const struct rating_tariff *t, const struct rating_input *in,
               struct rating_result *ret, struct rating_error *err);
void rating_result_deinit(struct rating_result *r);

/* The whole result as one canonical JSON object, bytes to hash and to compare on replay. */
void rating_result_json(const struct rating_tariff *t, const struct rating_result *r,
                        struct buf *out);

/* ---- golden examples ---- */

/* Runs the examples inside the document. 0 when all hold (*@ret_n = how many, may be NULL), or
 * RATING_E_DOCUMENT with the example and the first differing line named in @err. */
int rating_tariff_check_examples(const struct rating_tariff *t, size_t *ret_n,
                                 struct rating_error *err);
