#include "decimal.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

typedef __int128 i128;
typedef unsigned __int128 u128;

enum { MAX_SCALE = 18 };

/* 10^n, n 0-36: fits 120 bits. */
static u128 pow10_128(int n)
{
        u128 r = 1;

        while (n-- > 0)
                r *= 10;
        return r;
}

static u128 magnitude(i128 v)
{
        return v < 0 ? (u128)0 - (u128)v : (u128)v;
}

/* Mantissa within int64, INT64_MIN included. */
static int store(u128 mag, bool neg, int scale, struct decimal *ret)
{
        if (mag > (u128)INT64_MAX + (neg ? 1 : 0))
                return -ERANGE;
        ret->m = neg ? (int64_t)(0 - (uint64_t)mag) : (int64_t)mag;
        ret->scale = (int8_t)scale;
        return 0;
}

/* Whether the magnitude grows by one: @half is -1, 0, 1 for a remainder below, at or above one
 * half, @rest says that there is a remainder at all. */
static bool rounds_away(enum decimal_round how, bool neg, bool odd, int half, bool rest)
{
        switch (how) {
        case DECIMAL_HALF_UP:
                return half >= 0 && rest;
        case DECIMAL_HALF_EVEN:
                return rest && (half > 0 || (half == 0 && odd));
        case DECIMAL_DOWN:
                return false;
        case DECIMAL_UP:
                return rest;
        case DECIMAL_FLOOR:
                return rest && neg;
        case DECIMAL_CEILING:
                return rest && !neg;
        default:
                return false;
        }
}

/* num / den × 10^e, rounded once. den > 0; den < 2^64 when e > 0. */
static int scaled_quotient(u128 num, u128 den, int e, bool neg, int scale, enum decimal_round how,
                           struct decimal *ret)
{
        u128 q = num / den, r = num % den;
        int half;
        bool rest;

        if (e >= 0) {
                for (int i = 0; i < e; i++) {
                        if (q > (u128)1 << 64)
                                return -ERANGE;
                        r *= 10;
                        q = q * 10 + r / den;
                        r %= den;
                }
                rest = r != 0;
                half = r > den - r ? 1 : r == den - r ? 0 : -1;
        } else {
                u128 p = pow10_128(-e), r2 = q % p;

                q /= p;
                rest = r2 != 0 || r != 0;
                half = r2 > p / 2 || (r2 == p / 2 && r != 0) ? 1 : r2 == p / 2 ? 0 : -1;
        }
        if (rounds_away(how, neg, q & 1, half, rest))
                q++;
        return store(q, neg && q != 0, scale, ret);
}

int decimal_parse(const char *s, struct decimal *ret)
{
        bool neg = false, point = false, digit = false;
        int scale = 0, zeros = 0; /* zeros: after the point, not yet in m */
        u128 m = 0;

        if (*s == '-' || *s == '+')
                neg = *s++ == '-';
        for (; *s; s++) {
                if (*s == '.' && !point) {
                        point = true;
                        continue;
                }
                if (*s < '0' || *s > '9')
                        return -EINVAL;
                digit = true;
                if (point && *s == '0') {
                        if (zeros < MAX_SCALE + 1)
                                zeros++;
                        continue;
                }
                if (point) {
                        scale += zeros + 1;
                        for (; zeros > 0 && m <= (u128)INT64_MAX; zeros--)
                                m *= 10;
                        zeros = 0;
                }
                m = m * 10 + (unsigned)(*s - '0');
                if (m > (u128)INT64_MAX + 1 || scale > MAX_SCALE)
                        return -ERANGE;
        }
        if (!digit)
                return -EINVAL;
        /* Trailing zeros are kept in the scale as far as they fit. */
        for (; zeros > 0 && scale < MAX_SCALE && m * 10 <= (u128)INT64_MAX; zeros--, scale++)
                m *= 10;
        return store(m, neg, scale, ret);
}

void decimal_format(struct decimal d, int min_scale, char out[static DECIMAL_TEXT_SIZE])
{
        char rev[DECIMAL_TEXT_SIZE + MAX_SCALE + 2];
        uint64_t mag = (uint64_t)magnitude(d.m);
        int scale = d.scale, n = 0, pad = 0, room;

        while (scale > 0 && scale > min_scale && mag % 10 == 0) {
                mag /= 10;
                scale--;
        }
        for (int i = 0; mag > 0 || i <= scale; i++) {
                if (i == scale && scale > 0)
                        rev[n++] = '.';
                rev[n++] = (char)('0' + mag % 10);
                mag /= 10;
        }
        if (d.m < 0)
                rev[n++] = '-';
        for (int i = 0; i < n; i++)
                out[i] = rev[n - 1 - i];
        /* Padding zeros only as far as the text has room for. */
        room = DECIMAL_TEXT_SIZE - 1 - n - (scale == 0 ? 1 : 0);
        pad = min_scale > MAX_SCALE ? MAX_SCALE - scale : min_scale - scale;
        if (pad > room)
                pad = room;
        if (pad > 0 && scale == 0)
                out[n++] = '.';
        for (; pad > 0; pad--)
                out[n++] = '0';
        out[n] = '\0';
}

static int add(struct decimal a, struct decimal b, bool subtract, struct decimal *ret)
{
        int scale = a.scale > b.scale ? a.scale : b.scale;
        i128 x = (i128)a.m * (i128)pow10_128(scale - a.scale);
        i128 y = (i128)b.m * (i128)pow10_128(scale - b.scale);
        i128 z = subtract ? x - y : x + y;
        u128 mag = magnitude(z);

        while (scale > 0 && mag > (u128)INT64_MAX && mag % 10 == 0) {
                mag /= 10;
                scale--;
        }
        return store(mag, z < 0, scale, ret);
}

int decimal_add(struct decimal a, struct decimal b, struct decimal *ret)
{
        return add(a, b, false, ret);
}

int decimal_sub(struct decimal a, struct decimal b, struct decimal *ret)
{
        return add(a, b, true, ret);
}

int decimal_mul(struct decimal a, struct decimal b, struct decimal *ret)
{
        u128 mag = magnitude((i128)a.m * b.m);
        bool neg = (a.m < 0) != (b.m < 0);
        int from = a.scale + b.scale, scale = from;

        if (mag == 0) {
                *ret = (struct decimal){ 0, (int8_t)(scale > MAX_SCALE ? MAX_SCALE : scale) };
                return 0;
        }
        while (scale > 0 && mag % 10 == 0 && (scale > MAX_SCALE || mag > (u128)INT64_MAX)) {
                mag /= 10;
                scale--;
                from--;
        }
        if (scale > MAX_SCALE)
                scale = MAX_SCALE;
        for (; scale >= 0; scale--)
                if (scaled_quotient(mag, 1, scale - from, neg, scale, DECIMAL_HALF_EVEN, ret) == 0)
                        return 0;
        return -ERANGE;
}

int decimal_muldiv(struct decimal a, struct decimal b, struct decimal c, int scale,
                   enum decimal_round how, struct decimal *ret)
{
        u128 num = magnitude((i128)a.m * b.m);
        bool neg = ((a.m < 0) != (b.m < 0)) != (c.m < 0);

        if (c.m == 0)
                return -EDOM;
        if (scale < 0 || scale > MAX_SCALE)
                return -ERANGE;
        return scaled_quotient(num, magnitude(c.m), scale - a.scale - b.scale + c.scale, neg, scale,
                               how, ret);
}

int decimal_div(struct decimal a, struct decimal b, int scale, enum decimal_round how,
                struct decimal *ret)
{
        return decimal_muldiv(a, decimal_int(1), b, scale, how, ret);
}

int decimal_rescale(struct decimal d, int scale, enum decimal_round how, struct decimal *ret)
{
        return decimal_muldiv(d, decimal_int(1), decimal_int(1), scale, how, ret);
}

int decimal_cmp(struct decimal a, struct decimal b)
{
        int scale = a.scale > b.scale ? a.scale : b.scale;
        i128 x = (i128)a.m * (i128)pow10_128(scale - a.scale);
        i128 y = (i128)b.m * (i128)pow10_128(scale - b.scale);

        return (x > y) - (x < y);
}

int decimal_to_minor(struct decimal d, int minor_digits, enum decimal_round how, int64_t *ret)
{
        struct decimal r;
        int e = decimal_rescale(d, minor_digits, how, &r);

        if (e < 0)
                return e;
        *ret = r.m;
        return 0;
}
