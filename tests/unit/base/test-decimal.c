#include "hr_test.h"

#include <errno.h>
#include <inttypes.h>

#include "decimal.h"

static uint64_t seed = 88172645463325252u;

static uint64_t rnd(void)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed;
}

static struct decimal any(unsigned bits)
{
        int64_t m = (int64_t)(rnd() >> (64 - 1 - rnd() % bits));

        return (struct decimal){ rnd() & 1 ? m : -m, (int8_t)(rnd() % 19) };
}

static struct decimal dec(const char *s)
{
        struct decimal d = { 424242, 7 };

        CU_ASSERT_EQUAL_FATAL(decimal_parse(s, &d), 0);
        return d;
}

static const char *text(struct decimal d, int min_scale)
{
        static char out[4][DECIMAL_TEXT_SIZE];
        static unsigned i;

        decimal_format(d, min_scale, out[++i % 4]);
        return out[i % 4];
}

static void reads_and_writes_text(void)
{
        static const struct {
                const char *in;
                int e, scale, min_scale;
                int64_t m;
                const char *out;
        } t[] = {
                { "0", 0, 0, 0, 0, "0" },
                { "-0.00", 0, 2, 0, 0, "0" },
                { "12.50", 0, 2, 0, 1250, "12.5" },
                { "12.50", 0, 2, 2, 1250, "12.50" },
                { "-123.450", 0, 3, 1, -123450, "-123.45" },
                { "+7", 0, 0, 3, 7, "7.000" },
                { ".5", 0, 1, 0, 5, "0.5" },
                { "5.", 0, 0, 0, 5, "5" },
                { "0.000000000000000001", 0, 18, 0, 1, "0.000000000000000001" },
                { "9223372036854775807", 0, 0, 0, INT64_MAX, "9223372036854775807" },
                { "-9223372036854775808", 0, 0, 0, INT64_MIN, "-9223372036854775808" },
                { "-9.223372036854775808", 0, 18, 18, INT64_MIN, "-9.223372036854775808" },
                { "9223372036854775807.000", 0, 0, 0, INT64_MAX, "9223372036854775807" },
                { "9223372036854775807", 0, 0, 18, INT64_MAX, "9223372036854775807.000" },
                { "1.0000000000000000000000", 0, 18, 0, 1000000000000000000, "1" },
                { "9223372036854775808", -ERANGE, 0, 0, 0, NULL },
                { "0.0000000000000000001", -ERANGE, 0, 0, 0, NULL },
                { "", -EINVAL, 0, 0, 0, NULL },
                { "-", -EINVAL, 0, 0, 0, NULL },
                { ".", -EINVAL, 0, 0, 0, NULL },
                { "1e3", -EINVAL, 0, 0, 0, NULL },
                { " 1", -EINVAL, 0, 0, 0, NULL },
                { "1,5", -EINVAL, 0, 0, 0, NULL },
                { "1.2.3", -EINVAL, 0, 0, 0, NULL },
                { "--1", -EINVAL, 0, 0, 0, NULL },
        };

        for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
                struct decimal d = { 77, 3 };

                CU_ASSERT_EQUAL(decimal_parse(t[i].in, &d), t[i].e);
                if (t[i].e < 0) {
                        CU_ASSERT(d.m == 77 && d.scale == 3);
                        continue;
                }
                CU_ASSERT_EQUAL(d.m, t[i].m);
                CU_ASSERT_EQUAL(d.scale, t[i].scale);
                CU_ASSERT_STRING_EQUAL(text(d, t[i].min_scale), t[i].out);
        }
}

static void text_survives_a_round_trip(void)
{
        for (int i = 0; i < 100000; i++) {
                struct decimal a = any(63), b;

                CU_ASSERT_EQUAL_FATAL(decimal_parse(text(a, (int)(rnd() % 19)), &b), 0);
                CU_ASSERT_EQUAL_FATAL(decimal_cmp(a, b), 0);
        }
}

/* Computed with Python's decimal module at 80 digits. */
static void rounds_each_way(void)
{
        static const enum decimal_round how[] = { DECIMAL_HALF_UP, DECIMAL_HALF_EVEN,
                                                  DECIMAL_DOWN,    DECIMAL_UP,
                                                  DECIMAL_FLOOR,   DECIMAL_CEILING };
        static const struct {
                const char *in;
                int64_t out[6];
        } t[] = {
                { "2.5", { 3, 2, 2, 3, 2, 3 } },
                { "-2.5", { -3, -2, -2, -3, -3, -2 } },
                { "3.5", { 4, 4, 3, 4, 3, 4 } },
                { "2.49", { 2, 2, 2, 3, 2, 3 } },
                { "-2.51", { -3, -3, -2, -3, -3, -2 } },
                { "2", { 2, 2, 2, 2, 2, 2 } },
                { "-0.4", { 0, 0, 0, -1, -1, 0 } },
                { "2.500000000000000001", { 3, 3, 2, 3, 2, 3 } },
        };

        for (size_t i = 0; i < sizeof t / sizeof *t; i++)
                for (size_t k = 0; k < 6; k++) {
                        int64_t v = -99;

                        CU_ASSERT_EQUAL(decimal_to_minor(dec(t[i].in), 0, how[k], &v), 0);
                        CU_ASSERT_EQUAL(v, t[i].out[k]);
                }
}

static void computes_known_products_and_quotients(void)
{
        struct decimal r;
        int64_t v;

        CU_ASSERT_EQUAL(decimal_mul(dec("1860"), dec("0.0568"), &r), 0);
        CU_ASSERT_STRING_EQUAL(text(r, 2), "105.648");
        CU_ASSERT_EQUAL(decimal_to_minor(r, 2, DECIMAL_HALF_UP, &v), 0);
        CU_ASSERT_EQUAL(v, 10565);
        CU_ASSERT_EQUAL(decimal_mul(dec("0.123456789123"), dec("0.987654321987"), &r), 0);
        CU_ASSERT_STRING_EQUAL(text(r, 0),
                               "0.121932631355968601"); /* ...601347401, cut at 18 digits */
        CU_ASSERT_EQUAL(decimal_mul(dec("9000000000"), dec("9000000000"), &r), -ERANGE);
        CU_ASSERT_EQUAL(decimal_muldiv(dec("24.95"), dec("9"), dec("31"), 2, DECIMAL_HALF_UP, &r),
                        0);
        CU_ASSERT_STRING_EQUAL(text(r, 2), "7.24");
        CU_ASSERT_EQUAL(decimal_div(dec("1"), dec("3"), 18, DECIMAL_HALF_UP, &r), 0);
        CU_ASSERT_STRING_EQUAL(text(r, 0), "0.333333333333333333");
        CU_ASSERT_EQUAL(decimal_div(dec("2"), dec("3"), 18, DECIMAL_HALF_UP, &r), 0);
        CU_ASSERT_STRING_EQUAL(text(r, 0), "0.666666666666666667");
        CU_ASSERT_EQUAL(decimal_div(dec("5"), dec("2"), 0, DECIMAL_HALF_EVEN, &r), 0);
        CU_ASSERT_EQUAL(r.m, 2);
        CU_ASSERT_EQUAL(decimal_div(dec("7"), dec("2"), 0, DECIMAL_HALF_EVEN, &r), 0);
        CU_ASSERT_EQUAL(r.m, 4);
        CU_ASSERT_EQUAL(decimal_div(dec("2"), dec("3"), 18, DECIMAL_HALF_UP, &r), 0);
        CU_ASSERT_EQUAL(decimal_div(dec("1"), dec("0.00"), 2, DECIMAL_DOWN, &r), -EDOM);
        CU_ASSERT_STRING_EQUAL(text(r, 0), "0.666666666666666667"); /* untouched */
        CU_ASSERT_EQUAL(decimal_rescale(dec("9223372036854775807"), 1, DECIMAL_DOWN, &r), -ERANGE);
        CU_ASSERT_EQUAL(decimal_add(dec("9223372036854775807"), dec("1"), &r), -ERANGE);
        CU_ASSERT_EQUAL(decimal_sub(dec("0.1"), dec("0.30"), &r), 0);
        CU_ASSERT_STRING_EQUAL(text(r, 0), "-0.2");
}

/* Against plain 128-bit integers, where these can hold the numbers. */
static void agrees_with_wide_integers(void)
{
        for (int i = 0; i < 200000; i++) {
                struct decimal a = any(40), b = any(40), c = any(40), r;
                __int128 n, d, q, rest;

                a.scale = b.scale = c.scale = 2;
                CU_ASSERT_EQUAL_FATAL(decimal_add(a, b, &r), 0);
                CU_ASSERT_FATAL(r.m == a.m + b.m && r.scale == 2);
                CU_ASSERT_EQUAL_FATAL(decimal_cmp(a, b), (a.m > b.m) - (a.m < b.m));
                if (c.m == 0)
                        continue;
                /* a/100 × b/100 ÷ c/100 at scale 2: a × b / c. */
                n = (__int128)a.m * b.m;
                d = c.m;
                q = n / d;
                rest = n - q * d;
                if ((rest < 0 ? -rest : rest) * 2 >= (d < 0 ? -d : d))
                        q += (n < 0) != (d < 0) ? -1 : 1;
                if (q > INT64_MAX || q < INT64_MIN) {
                        CU_ASSERT_EQUAL(decimal_muldiv(a, b, c, 2, DECIMAL_HALF_UP, &r), -ERANGE);
                        continue;
                }
                CU_ASSERT_EQUAL_FATAL(decimal_muldiv(a, b, c, 2, DECIMAL_HALF_UP, &r), 0);
                CU_ASSERT_EQUAL_FATAL(r.m, (int64_t)q);
        }
}

static void products_never_lose_more_than_half_a_unit(void)
{
        int rounded = 0;

        for (int i = 0; i < 100000; i++) {
                struct decimal a = any(62), b = any(62), p, q;

                if (decimal_mul(a, b, &p) < 0)
                        continue;
                CU_ASSERT_EQUAL_FATAL(decimal_mul(b, a, &q), 0);
                CU_ASSERT_EQUAL_FATAL(decimal_cmp(p, q), 0);
                if (b.m == 0 || p.m == 0)
                        continue;
                __int128 unit = 1, diff;

                for (int k = a.scale + b.scale - p.scale; k > 0; k--)
                        unit *= 10;
                diff = (__int128)a.m * b.m - p.m * unit;
                CU_ASSERT_FATAL((diff < 0 ? -diff : diff) * 2 <= unit);
                rounded += diff != 0;
        }
        CU_ASSERT(rounded > 1000);
}

HR_TESTS("decimal", { "reads and writes text", reads_and_writes_text },
         { "text survives a round trip", text_survives_a_round_trip },
         { "rounds each way", rounds_each_way },
         { "known products and quotients", computes_known_products_and_quotients },
         { "agrees with wide integers", agrees_with_wide_integers },
         { "products stay close", products_never_lose_more_than_half_a_unit })
