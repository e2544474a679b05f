#pragma once

/*
 * Exact decimal numbers for prices, quantities and factors: mantissa × 10^-scale, mantissa
 * int64, scale 0 to 18. Money in tables and messages is int64 minor units; this type is what is
 * computed with in between. Products and quotients go through 128 bits; nothing rounds unless
 * the caller says how. Pure; no double anywhere.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct decimal {
        int64_t m;
        int8_t scale; /* digits after the point, 0-18 */
};

enum decimal_round {
        DECIMAL_HALF_UP, /* away from zero at .5 */
        DECIMAL_HALF_EVEN,
        DECIMAL_DOWN, /* towards zero */
        DECIMAL_UP,   /* away from zero */
        DECIMAL_FLOOR,
        DECIMAL_CEILING,
};

enum { DECIMAL_TEXT_SIZE = 24 };

#define DECIMAL_ZERO ((struct decimal){ 0, 0 })

static inline struct decimal decimal_int(int64_t v)
{
        return (struct decimal){ v, 0 };
}

/* "-123.450", no exponent, no blanks; trailing zeros kept in the scale. 0, -EINVAL (no number),
 * -ERANGE (does not fit). */
int decimal_parse(const char *s, struct decimal *ret);
/* Shortest exact text with at least @min_scale digits after the point. */
void decimal_format(struct decimal d, int min_scale, char out[static DECIMAL_TEXT_SIZE]);

/* All of these: 0 or -ERANGE when the exact result does not fit; *@ret untouched then. */
int decimal_add(struct decimal a, struct decimal b, struct decimal *ret);
int decimal_sub(struct decimal a, struct decimal b, struct decimal *ret);
/* Exact product; when it needs more than 18 digits after the point or 64 bits, rounded half-even
 * to the largest scale that fits. */
int decimal_mul(struct decimal a, struct decimal b, struct decimal *ret);
/* a*b/c in one step, rounded once at @scale. -EDOM if c is zero. */
int decimal_muldiv(struct decimal a, struct decimal b, struct decimal c, int scale,
                   enum decimal_round how, struct decimal *ret);
int decimal_div(struct decimal a, struct decimal b, int scale, enum decimal_round how,
                struct decimal *ret);
int decimal_rescale(struct decimal d, int scale, enum decimal_round how, struct decimal *ret);

/* -1, 0, 1 */
int decimal_cmp(struct decimal a, struct decimal b);
static inline bool decimal_is_zero(struct decimal d)
{
        return d.m == 0;
}

/* Minor units of a currency with @minor_digits decimals (VND 0, EUR 2, KWD 3). */
int decimal_to_minor(struct decimal d, int minor_digits, enum decimal_round how, int64_t *ret);
