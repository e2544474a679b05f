/* Checks. Each looks at the whole period and adds its findings. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "civil.h"
#include "vee.h"

/* Defaults as published or practised; see the rule table in the documentation. */
const struct vee_rules vee_defaults = {
        .spike_ratio = 1800,
        .spike_skip_w = 500,
        .sum_ratio = 1,
        .sum_resolution = 2,
        .low = 400,
        .high = 2500,
        .zero_days = 30,
        .same_count = 12,
        .max_w = 0,
        .linear_gap_s = 7200,
        .like_days = 4,
        .like_lookback_days = 90,
};

void vee_add(struct vee_findings *f, const char *rule, enum vee_severity severity, int64_t from,
             int64_t to, int64_t value, int64_t limit, const char *fmt, ...)
{
        struct vee_finding *x;
        va_list ap;

        if (f->n == VEE_MAX_FINDINGS) {
                f->dropped++;
                return;
        }
        x = &f->item[f->n++];
        *x = (struct vee_finding){ .rule = rule,
                                   .severity = severity,
                                   .from = from,
                                   .to = to,
                                   .value = value,
                                   .limit = limit };
        va_start(ap, fmt);
        vsnprintf(x->text, sizeof(x->text), fmt, ap);
        va_end(ap);
}

int vee_put(struct vee_series *s, int64_t at, uint32_t period_s, int64_t value, uint8_t method)
{
        int64_t i = at - s->at;

        if (i < 0 || i % s->period_s != 0 || period_s != s->period_s ||
            i / s->period_s >= (int64_t)s->n)
                return -EINVAL;
        i /= s->period_s;
        if (s->method[i] != VEE_MISSING)
                return s->value[i] == value ? 2 : 1;
        s->value[i] = value;
        s->method[i] = method;
        return 0;
}

static int64_t at_of(const struct vee_series *s, size_t i)
{
        return s->at + (int64_t)(i * s->period_s);
}

static bool have(const struct vee_series *s, size_t i)
{
        return s->method[i] != VEE_MISSING;
}

static void check_gap(const struct vee_series *s, struct vee_findings *f)
{
        for (size_t i = 0; i < s->n; i++) {
                size_t from = i;

                while (i < s->n && !have(s, i))
                        i++;
                if (i > from)
                        vee_add(f, "gap", VEE_BLOCK, at_of(s, from), at_of(s, i),
                                (int64_t)(i - from), 0,
                                "%zu intervals are missing and could not be estimated", i - from);
        }
}

static void check_negative(const struct vee_context *ctx, const struct vee_series *s,
                           struct vee_findings *f)
{
        size_t n = 0, first = 0;

        for (size_t i = 0; i < s->n; i++)
                if (have(s, i) && s->value[i] < 0 && n++ == 0)
                        first = i;
        if (n > 0 && ctx->one_way)
                vee_add(f, "negative", VEE_BLOCK, at_of(s, first), at_of(s, first + 1),
                        s->value[first], 0, "%zu intervals are negative, the first is %lld", n,
                        (long long)s->value[first]);
}

/* Mean power in W of an interval of Wh. */
static int64_t power(const struct vee_series *s, int64_t value)
{
        return (int64_t)((__int128)value * 3600 / s->period_s);
}

/* One local day's highest values. */
static void spike_day(const struct vee_rules *rules, const struct vee_context *ctx,
                      const struct vee_series *s, size_t from, size_t to, struct vee_findings *f)
{
        int64_t top[3] = { -1, -1, -1 };
        size_t at = from;

        for (size_t i = from; i < to; i++) {
                int64_t v = s->value[i];

                if (!have(s, i) || v <= top[2])
                        continue;
                if (v > top[0]) {
                        top[2] = top[1];
                        top[1] = top[0];
                        top[0] = v;
                        at = i;
                } else if (v > top[1]) {
                        top[2] = top[1];
                        top[1] = v;
                } else {
                        top[2] = v;
                }
        }
        if (top[2] < 0 || (ctx->energy && power(s, top[0]) < rules->spike_skip_w))
                return;
        if ((__int128)(top[0] - top[2]) * 1000 <= (__int128)top[2] * rules->spike_ratio)
                return;
        vee_add(f, "spike", VEE_WARN, at_of(s, at), at_of(s, at + 1), top[0], top[2],
                "the day's highest value %lld stands far above its third highest, %lld",
                (long long)top[0], (long long)top[2]);
}

static int64_t day_of(const struct vee_context *ctx, int64_t utc)
{
        return ctx->tz ? tz_day_of(ctx->tz, utc) : utc / 86400;
}

static int64_t day_start(const struct vee_context *ctx, int64_t day)
{
        return ctx->tz ? tz_day_start(ctx->tz, day) : day * 86400;
}

static void check_spike(const struct vee_rules *rules, const struct vee_context *ctx,
                        const struct vee_series *s, struct vee_findings *f)
{
        for (size_t i = 0; i < s->n;) {
                int64_t end = day_start(ctx, day_of(ctx, at_of(s, i)) + 1);
                size_t to = (size_t)((end - s->at + s->period_s - 1) / s->period_s);

                if (to > s->n)
                        to = s->n;
                if (to <= i)
                        to = i + 1;
                spike_day(rules, ctx, s, i, to, f);
                i = to;
        }
}

static void check_zero(const struct vee_rules *rules, const struct vee_series *s,
                       struct vee_findings *f)
{
        size_t need = (size_t)(rules->zero_days * 86400 / s->period_s), from = 0, n = 0;

        for (size_t i = 0; i <= s->n; i++) {
                if (i < s->n && have(s, i) && s->value[i] == 0) {
                        if (n++ == 0)
                                from = i;
                        continue;
                }
                if (n >= need && need > 0)
                        vee_add(f, "zero", VEE_WARN, at_of(s, from), at_of(s, i),
                                (int64_t)(n * s->period_s / 86400), rules->zero_days,
                                "no use for %zu days", n * s->period_s / 86400);
                n = 0;
        }
}

static void check_same(const struct vee_rules *rules, const struct vee_series *s,
                       struct vee_findings *f)
{
        size_t n = 1;

        for (size_t i = 1; i <= s->n && rules->same_count > 1; i++) {
                if (i < s->n && have(s, i) && have(s, i - 1) && s->value[i] == s->value[i - 1] &&
                    s->value[i] > 0 && s->method[i] == VEE_MEASURED) {
                        n++;
                        continue;
                }
                if (n >= (size_t)rules->same_count)
                        vee_add(f, "consecutive_same", VEE_INFO, at_of(s, i - n), at_of(s, i),
                                (int64_t)n, rules->same_count, "%zu equal values in a row", n);
                n = 1;
        }
}

static void check_max(const struct vee_rules *rules, const struct vee_series *s,
                      struct vee_findings *f)
{
        for (size_t i = 0; i < s->n; i++) {
                if (!have(s, i) || power(s, s->value[i]) <= rules->max_w)
                        continue;
                vee_add(f, "max_value", VEE_BLOCK, at_of(s, i), at_of(s, i + 1),
                        power(s, s->value[i]), rules->max_w,
                        "%lld W is more than the service can carry",
                        (long long)power(s, s->value[i]));
                return;
        }
}

static void check_high_low(const struct vee_rules *rules, const struct vee_context *ctx,
                           const struct vee_series *s, struct vee_findings *f)
{
        __int128 sum = 0, daily;

        for (size_t i = 0; i < s->n; i++)
                sum += have(s, i) ? s->value[i] : 0;
        if (ctx->daily_before <= 0 || s->n == 0)
                return;
        daily = sum * 86400 / (__int128)(s->n * s->period_s);
        if (daily * 1000 >= (__int128)ctx->daily_before * rules->low &&
            daily * 1000 <= (__int128)ctx->daily_before * rules->high)
                return;
        vee_add(f, "high_low", VEE_WARN, s->at, at_of(s, s->n), (int64_t)daily, ctx->daily_before,
                "average use of %lld a day, before it was %lld", (long long)daily,
                (long long)ctx->daily_before);
}

/* Intervals between the two register readings against their difference. Readings between two
 * steps of the grid let the interval they fall into count either way. */
static void check_sum(const struct vee_rules *rules, const struct vee_context *ctx,
                      const struct vee_series *s, struct vee_findings *f)
{
        __int128 sum = 0, slack = 0, tolerance, diff;

        if (!ctx->register_known || ctx->register_from < s->at ||
            ctx->register_to > at_of(s, s->n) || ctx->register_from >= ctx->register_to)
                return;
        for (size_t i = 0; i < s->n; i++) {
                int64_t from = at_of(s, i), to = from + s->period_s;

                if (to <= ctx->register_from || from >= ctx->register_to)
                        continue;
                if (!have(s, i))
                        return; /* the gap is a finding of its own */
                if (from < ctx->register_from || to > ctx->register_to)
                        slack += s->value[i] < 0 ? -s->value[i] : s->value[i];
                sum += s->value[i];
        }
        tolerance = (__int128)ctx->register_delta * rules->sum_ratio / 1000;
        if (tolerance < rules->sum_resolution)
                tolerance = rules->sum_resolution;
        diff = sum - ctx->register_delta;
        if ((diff < 0 ? -diff : diff) <= tolerance + slack)
                return;
        vee_add(f, "sum_check", VEE_BLOCK, ctx->register_from, ctx->register_to, (int64_t)sum,
                ctx->register_delta, "the intervals add up to %lld, the register moved by %lld",
                (long long)sum, (long long)ctx->register_delta);
}

void vee_check(const struct vee_rules *rules, const struct vee_context *ctx,
               const struct vee_series *s, struct vee_findings *ret)
{
        check_gap(s, ret);
        check_negative(ctx, s, ret);
        if (ctx->energy && rules->max_w > 0)
                check_max(rules, s, ret);
        check_sum(rules, ctx, s, ret);
        check_spike(rules, ctx, s, ret);
        check_zero(rules, s, ret);
        check_high_low(rules, ctx, s, ret);
        check_same(rules, s, ret);
}
