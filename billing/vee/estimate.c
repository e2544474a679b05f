/* Estimation: a line over short gaps, like days over long ones. */

#include <string.h>

#include "civil.h"
#include "vee.h"

static int64_t at_of(const struct vee_series *s, size_t i)
{
        return s->at + (int64_t)(i * s->period_s);
}

static int64_t divide_half_up(__int128 a, __int128 b)
{
        __int128 q = a / b, r = a % b;

        if ((r < 0 ? -r : r) * 2 >= b)
                q += a < 0 ? -1 : 1;
        return (int64_t)q;
}

/* Between the measured values @from - 1 and @to. */
static void line(struct vee_series *s, size_t from, size_t to)
{
        int64_t a = s->value[from - 1], b = s->value[to];
        __int128 steps = (__int128)(to - from + 1);

        for (size_t i = from; i < to; i++) {
                s->value[i] = divide_half_up(
                        (__int128)a * steps + ((__int128)b - a) * (__int128)(i - from + 1), steps);
                s->method[i] = VEE_LINEAR;
        }
}

/* ---- like days ---- */

static int64_t local_of(const struct vee_context *ctx, int64_t utc)
{
        return utc + (ctx->tz ? tz_offset(ctx->tz, utc, NULL) : 0);
}

static int day_kind(const struct vee_context *ctx, int64_t local_day)
{
        for (size_t i = 0; i < ctx->n_holidays; i++)
                if (ctx->holidays[i] == local_day)
                        return 6;
        return civil_weekday(local_day);
}

/* Tuesday, Wednesday and Thursday stand for each other; every other day for itself. */
static bool alike(int a, int b)
{
        return a == b || (a >= 1 && a <= 3 && b >= 1 && b <= 3);
}

/* Value of the interval at @utc, measured, from the series or its history. */
static bool measured_at(const struct vee_series *s, int64_t utc, int64_t *ret)
{
        int64_t i = utc - s->at;

        if (i < 0 || i % s->period_s != 0 || i / s->period_s >= (int64_t)s->n)
                return false;
        i /= s->period_s;
        if (s->method[i] != VEE_MEASURED)
                return false;
        *ret = s->value[i];
        return true;
}

static bool like_value(const struct vee_rules *rules, const struct vee_context *ctx,
                       const struct vee_series *s, int64_t utc, int64_t *ret)
{
        int64_t local = local_of(ctx, utc), day = local / 86400, second = local % 86400;
        int kind = day_kind(ctx, day);
        __int128 sum = 0;
        int n = 0;

        for (int64_t back = 1; back <= rules->like_lookback_days && n < rules->like_days; back++) {
                int64_t other = (day - back) * 86400 + second, v = 0;
                int64_t at = ctx->tz ? tz_local_to_utc(ctx->tz, other) : other;

                if (!alike(kind, day_kind(ctx, day - back)))
                        continue;
                if (!measured_at(s, at, &v) && !(ctx->history && measured_at(ctx->history, at, &v)))
                        continue;
                sum += v;
                n++;
        }
        if (n == 0)
                return false;
        *ret = divide_half_up(sum, n);
        return true;
}

/* ---- fitting to the register ---- */

/* Scales like-day estimates so that the intervals between the register readings add up to the
 * register's difference; the largest remainders get the units left over. */
static void fit(const struct vee_context *ctx, struct vee_series *s)
{
        __int128 known = 0, estimated = 0, want, given = 0;
        size_t lo, hi;

        if (!ctx->register_known || ctx->register_from < s->at ||
            ctx->register_to > at_of(s, s->n) || (ctx->register_from - s->at) % s->period_s ||
            (ctx->register_to - s->at) % s->period_s)
                return;
        lo = (size_t)((ctx->register_from - s->at) / s->period_s);
        hi = (size_t)((ctx->register_to - s->at) / s->period_s);
        for (size_t i = lo; i < hi; i++) {
                if (s->method[i] == VEE_MISSING)
                        return;
                if (s->method[i] == VEE_LIKE_DAY)
                        estimated += s->value[i];
                else
                        known += s->value[i];
        }
        want = ctx->register_delta - known;
        if (estimated <= 0 || want < 0 || want == estimated)
                return;
        for (size_t i = lo; i < hi; i++) {
                __int128 before = given;

                if (s->method[i] != VEE_LIKE_DAY)
                        continue;
                /* Running totals, so that every unit is given exactly once. */
                given += s->value[i];
                s->value[i] = (int64_t)(given * want / estimated - before * want / estimated);
        }
}

size_t vee_estimate(const struct vee_rules *rules, const struct vee_context *ctx,
                    struct vee_series *s)
{
        size_t n = 0, like = 0;

        for (size_t i = 0; i < s->n; i++) {
                size_t from = i;

                while (i < s->n && s->method[i] == VEE_MISSING)
                        i++;
                if (i == from)
                        continue;
                if (from > 0 && i < s->n && s->method[from - 1] == VEE_MEASURED &&
                    s->method[i] == VEE_MEASURED &&
                    (int64_t)((i - from) * s->period_s) <= rules->linear_gap_s) {
                        line(s, from, i);
                        n += i - from;
                        continue;
                }
                for (size_t k = from; k < i; k++) {
                        int64_t v;

                        if (!like_value(rules, ctx, s, at_of(s, k), &v))
                                continue;
                        s->value[k] = v;
                        s->method[k] = VEE_LIKE_DAY;
                        like++;
                }
        }
        if (like > 0)
                fit(ctx, s);
        return n + like;
}
