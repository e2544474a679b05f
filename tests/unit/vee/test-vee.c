/* Checks and estimates on arrays. */

#include "hr_test.h"

#include <errno.h>

#include "civil.h"
#include "vee.h"

enum { HOUR = 3600, DAY = 24 };

struct grid {
        struct vee_series s;
        int64_t value[DAY * 120];
        uint8_t method[DAY * 120];
};

static struct grid *grid(int64_t at, size_t n, int64_t value)
{
        struct grid *g = calloc(1, sizeof(*g));

        g->s = (struct vee_series){ at, HOUR, n, g->value, g->method };
        for (size_t i = 0; i < n; i++)
                g->value[i] = value + (int64_t)(i % 3);
        return g;
}

static void lose(struct grid *g, size_t from, size_t to)
{
        memset(g->method + from, VEE_MISSING, to - from);
        memset(g->value + from, 0, (to - from) * sizeof(*g->value));
}

/* "rule/severity@first-interval" of every finding. */
static const char *check(const struct grid *g, const struct vee_context *ctx,
                         const struct vee_rules *rules)
{
        static char out[4][2000];
        static int k;
        struct vee_findings f = { 0 };
        char *o = out[++k % 4];
        int n = 0;

        *o = '\0';
        vee_check(rules ? rules : &vee_defaults, ctx, &g->s, &f);
        for (size_t i = 0; i < f.n; i++)
                n += snprintf(o + n, (size_t)(2000 - n), "%s%s/%d@%lld", i ? " " : "",
                              f.item[i].rule, f.item[i].severity,
                              (long long)((f.item[i].from - g->s.at) / HOUR));
        return o;
}

static const struct vee_context plain = { .energy = true, .one_way = true, .daily_before = -1 };

static void values_go_to_their_place(void)
{
        struct grid *g = grid(0, 10, 5);

        lose(g, 0, 10);
        CU_ASSERT_EQUAL(vee_put(&g->s, 2 * HOUR, HOUR, 7, VEE_MEASURED), 0);
        CU_ASSERT_EQUAL(vee_put(&g->s, 2 * HOUR, HOUR, 7, VEE_MEASURED), 2);
        CU_ASSERT_EQUAL(vee_put(&g->s, 2 * HOUR, HOUR, 8, VEE_MEASURED), 1);
        CU_ASSERT_EQUAL(g->value[2], 7);
        CU_ASSERT_EQUAL(vee_put(&g->s, 10 * HOUR, HOUR, 1, VEE_MEASURED), -EINVAL);
        CU_ASSERT_EQUAL(vee_put(&g->s, -HOUR, HOUR, 1, VEE_MEASURED), -EINVAL);
        CU_ASSERT_EQUAL(vee_put(&g->s, HOUR + 1, HOUR, 1, VEE_MEASURED), -EINVAL);
        CU_ASSERT_EQUAL(vee_put(&g->s, HOUR, 900, 1, VEE_MEASURED), -EINVAL);
        free(g);
}

static void good_data_raises_nothing(void)
{
        struct grid *g = grid(0, 31 * DAY, 1000);

        CU_ASSERT_STRING_EQUAL(check(g, &plain, NULL), "");
        free(g);
}

static void each_check_finds_its_fault(void)
{
        struct grid *g = grid(0, 3 * DAY, 1000);
        struct vee_context ctx = plain;
        struct vee_rules rules = vee_defaults;

        lose(g, 5, 7);
        CU_ASSERT_STRING_EQUAL(check(g, &plain, NULL), "gap/2@5");
        free(g);
        g = grid(0, 3 * DAY, 1000);
        g->value[30] = -4;
        CU_ASSERT_STRING_EQUAL(check(g, &plain, NULL), "negative/2@30");
        ctx.one_way = false;
        CU_ASSERT_STRING_EQUAL(check(g, &ctx, NULL), "");
        free(g);
        g = grid(0, 3 * DAY, 1000);
        g->value[40] = 2806; /* third highest 1002: 1.8 times above it is 2805.6 */
        CU_ASSERT_STRING_EQUAL(check(g, &plain, NULL), "spike/1@40");
        g->value[40] = 2805;
        CU_ASSERT_STRING_EQUAL(check(g, &plain, NULL), "");
        rules.max_w = 2804;
        CU_ASSERT_STRING_EQUAL(check(g, &plain, &rules), "max_value/2@40");
        free(g);
        g = grid(0, 3 * DAY, 1);
        g->value[40] = 400; /* never above 500 W: small loads jump */
        CU_ASSERT_STRING_EQUAL(check(g, &plain, NULL), "");
        free(g);
        g = grid(0, 40 * DAY, 1000);
        memset(g->value + DAY, 0, 30 * DAY * sizeof(*g->value));
        CU_ASSERT_STRING_EQUAL(check(g, &plain, NULL), "zero/1@24");
        g->value[DAY] = 1;
        CU_ASSERT_PTR_NULL(strstr(check(g, &plain, NULL), "zero"));
        free(g);
        g = grid(0, 3 * DAY, 1000);
        for (int i = 20; i < 32; i++)
                g->value[i] = 1234;
        CU_ASSERT_STRING_EQUAL(check(g, &plain, NULL), "consecutive_same/0@20");
        g->value[25] = 1235;
        CU_ASSERT_STRING_EQUAL(check(g, &plain, NULL), "");
        free(g);
}

static void use_is_compared_with_the_period_before(void)
{
        struct grid *g = grid(0, 10 * DAY, 1000); /* 24,024 a day */
        struct vee_context ctx = plain;

        ctx.daily_before = 9610;
        CU_ASSERT_STRING_EQUAL(check(g, &ctx, NULL), "");
        ctx.daily_before = 9609; /* 2.5 times is 24,022.5 */
        CU_ASSERT_STRING_EQUAL(check(g, &ctx, NULL), "high_low/1@0");
        ctx.daily_before = 60060; /* 0.4 times is 24,024 */
        CU_ASSERT_STRING_EQUAL(check(g, &ctx, NULL), "");
        ctx.daily_before = 60061;
        CU_ASSERT_STRING_EQUAL(check(g, &ctx, NULL), "high_low/1@0");
        ctx.daily_before = 0;
        CU_ASSERT_STRING_EQUAL(check(g, &ctx, NULL), "");
        free(g);
}

static void intervals_are_summed_against_the_register(void)
{
        struct grid *g = grid(0, 10 * DAY, 1000); /* 240,240 in all; 0.1 % are 240 */
        struct vee_context ctx = plain;

        ctx.register_known = true;
        ctx.register_from = 0;
        ctx.register_to = 10 * DAY * HOUR;
        ctx.register_delta = 240240 + 240;
        CU_ASSERT_STRING_EQUAL(check(g, &ctx, NULL), "");
        ctx.register_delta = 240240 + 241;
        CU_ASSERT_STRING_EQUAL(check(g, &ctx, NULL), "sum_check/2@0");
        ctx.register_delta = 240240 - 241;
        CU_ASSERT_STRING_EQUAL(check(g, &ctx, NULL), "sum_check/2@0");
        /* Read ten minutes late: the hour it fell into may count either way. */
        ctx.register_to -= HOUR - 600;
        ctx.register_delta = 240240 - 1000;
        CU_ASSERT_STRING_EQUAL(check(g, &ctx, NULL), "");
        free(g);
}

static void short_gaps_get_a_line(void)
{
        struct grid *g = grid(0, DAY, 100);

        g->value[4] = 100;
        g->value[7] = 130;
        lose(g, 5, 7);
        CU_ASSERT_EQUAL(vee_estimate(&vee_defaults, &plain, &g->s), 2);
        CU_ASSERT(g->value[5] == 110 && g->value[6] == 120);
        CU_ASSERT(g->method[5] == VEE_LINEAR && g->method[4] == VEE_MEASURED);
        /* Halves go up. */
        g->value[8] = 1;
        g->value[10] = 2;
        lose(g, 9, 10);
        CU_ASSERT_EQUAL(vee_estimate(&vee_defaults, &plain, &g->s), 1);
        CU_ASSERT_EQUAL(g->value[9], 2);
        /* Three hours are too long, an open end has no line, and there is no like day. */
        lose(g, 12, 15);
        lose(g, 23, 24);
        CU_ASSERT_EQUAL(vee_estimate(&vee_defaults, &plain, &g->s), 0);
        CU_ASSERT_STRING_EQUAL(check(g, &plain, NULL), "gap/2@12 gap/2@23");
        free(g);
}

/* 1970-01-01 was a Thursday. */
static void long_gaps_get_like_days(void)
{
        struct grid *h = grid(0, 28 * DAY, 0), *g = grid((int64_t)28 * 86400, 7 * DAY, 5);
        struct vee_context ctx = plain;
        int64_t holiday = 31; /* the Sunday of that week is day 31; day 32 a Monday */

        for (size_t i = 0; i < h->s.n; i++)
                h->value[i] = (int64_t)(i / DAY * 100 + i % DAY);
        ctx.history = &h->s;
        lose(g, 0, DAY); /* Thursday, day 28: days 27, 26, 21, 20 are Wed, Tue, Thu, Wed */
        lose(g, 4 * DAY, 5 * DAY); /* Monday, day 32: days 25, 18, 11, 4 */
        CU_ASSERT_EQUAL(vee_estimate(&vee_defaults, &ctx, &g->s), 48);
        CU_ASSERT_EQUAL(g->value[3], (2700 + 2600 + 2100 + 2000) / 4 + 3);
        CU_ASSERT_EQUAL(g->method[3], VEE_LIKE_DAY);
        CU_ASSERT_EQUAL(g->value[4 * DAY + 9], (2500 + 1800 + 1100 + 400) / 4 + 9);
        /* Friday, day 29, only has Fridays: days 22, 15, 8, 1. */
        lose(g, DAY, 2 * DAY);
        CU_ASSERT_EQUAL(vee_estimate(&vee_defaults, &ctx, &g->s), 24);
        CU_ASSERT_EQUAL(g->value[DAY + 2], (2200 + 1500 + 800 + 100) / 4 + 2);
        /* A holiday is like Sundays: day 31 of this week and 24, 17, 10. */
        lose(g, 4 * DAY, 5 * DAY);
        holiday = 32;
        ctx.holidays = &holiday;
        ctx.n_holidays = 1;
        CU_ASSERT_EQUAL(vee_estimate(&vee_defaults, &ctx, &g->s), 24);
        CU_ASSERT_EQUAL(g->value[4 * DAY + 9],
                        (g->value[3 * DAY + 9] + 2400 + 9 + 1700 + 9 + 1000 + 9 + 2) / 4);
        free(g);
        free(h);
}

/* Over the change of clocks the same wall-clock hours are compared. */
static void like_days_follow_the_wall_clock(void)
{
        struct tz *tz;
        struct vee_context ctx = plain;
        struct grid *g;
        int64_t day = civil_to_day(2026, 3, 30), at;

        CU_ASSERT_EQUAL_FATAL(tz_load(&tz, "Europe/Berlin"), 0);
        ctx.tz = tz;
        g = grid(tz_day_start(tz, day - 7), 10 * DAY, 0);
        for (size_t i = 0; i < g->s.n; i++) {
                at = g->s.at + (int64_t)i * HOUR;
                g->value[i] = (at + tz_offset(tz, at, NULL)) / HOUR % 24;
        }
        at = (tz_day_start(tz, day) - g->s.at) / HOUR;
        lose(g, (size_t)at, (size_t)at + DAY);
        CU_ASSERT_EQUAL(vee_estimate(&vee_defaults, &ctx, &g->s), 24);
        for (int i = 0; i < DAY; i++)
                CU_ASSERT_EQUAL(g->value[at + i], i);
        free(g);
        tz_free(tz);
}

static void estimates_fit_the_register_exactly(void)
{
        struct vee_context ctx = plain;

        for (int64_t delta = 165000; delta < 165400; delta += 7) {
                struct grid *g = grid(0, 14 * DAY, 1000);
                int64_t sum = 0;

                lose(g, 10 * DAY, 11 * DAY);
                ctx.register_known = true;
                ctx.register_from = 7 * DAY * HOUR;
                ctx.register_to = 14 * DAY * HOUR;
                ctx.register_delta = delta;
                CU_ASSERT_EQUAL(vee_estimate(&vee_defaults, &ctx, &g->s), 24);
                for (int i = 7 * DAY; i < 14 * DAY; i++)
                        sum += g->value[i];
                CU_ASSERT_EQUAL(sum, delta);
                CU_ASSERT_EQUAL(g->value[10 * DAY - 1], 1000 + (10 * DAY - 1) % 3);
                free(g);
        }
}

static void findings_are_bounded_and_counted(void)
{
        struct grid *g = grid(0, 120 * DAY, 1000);
        struct vee_findings f = { 0 };

        for (int i = 0; i < 100; i++)
                lose(g, (size_t)(i * 10), (size_t)(i * 10 + 1));
        vee_check(&vee_defaults, &plain, &g->s, &f);
        CU_ASSERT_EQUAL(f.n, VEE_MAX_FINDINGS);
        CU_ASSERT_EQUAL(f.dropped, 100 - VEE_MAX_FINDINGS);
        free(g);
}

/* The figures are those of the shared table of rules. */
static void defaults_are_the_published_ones(void)
{
        char text[8192];
        FILE *f = fopen(hr_shared("data/vee-defaults.json"), "r");
        size_t n;

        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        n = fread(text, 1, sizeof text - 1, f);
        text[n] = '\0';
        fclose(f);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"p\":1.80,\"skip_below_kw\":0.5"));
        CU_ASSERT(vee_defaults.spike_ratio == 1800 && vee_defaults.spike_skip_w == 500);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"low\":0.4,\"high\":1.6,\"mass_market_high\":2.5"));
        CU_ASSERT(vee_defaults.low == 400 && vee_defaults.high == 2500);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"days_residential\":30"));
        CU_ASSERT_EQUAL(vee_defaults.zero_days, 30);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"n_nonzero\":12"));
        CU_ASSERT_EQUAL(vee_defaults.same_count, 12);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"max_gap_h\":2"));
        CU_ASSERT_EQUAL(vee_defaults.linear_gap_s, 7200);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "up to 4 of the last 90 days"));
        CU_ASSERT(vee_defaults.like_days == 4 && vee_defaults.like_lookback_days == 90);
}

HR_TESTS("vee", { "values go to their place", values_go_to_their_place },
         { "good data raises nothing", good_data_raises_nothing },
         { "each check finds its fault", each_check_finds_its_fault },
         { "use against the period before", use_is_compared_with_the_period_before },
         { "intervals against the register", intervals_are_summed_against_the_register },
         { "short gaps get a line", short_gaps_get_a_line },
         { "long gaps get like days", long_gaps_get_like_days },
         { "like days follow the wall clock", like_days_follow_the_wall_clock },
         { "estimates fit the register", estimates_fit_the_register_exactly },
         { "findings are bounded", findings_are_bounded_and_counted },
         { "defaults are the published ones", defaults_are_the_published_ones })
