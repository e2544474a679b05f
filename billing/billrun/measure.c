#include "measure.h"

#include <errno.h>
#include <string.h>

#include <openssl/sha.h>

#include "series.h"

enum { STATUS_MASK = 15, STATUS_FIRST_ESTIMATE = 2, STATUS_LAST_ESTIMATE = 5, STATUS_REJECTED = 8 };

void measure_init(struct measure *m, struct arena *arena)
{
        m->arena = arena;
        buf_init(&m->series);
        buf_init(&m->given);
}

void measure_deinit(struct measure *m)
{
        buf_deinit(&m->series);
        buf_deinit(&m->given);
}

const char *bill_unit(const char *channel_unit, int scaler, int *ret_scale)
{
        static const struct {
                const char *from, *to;
        } kilo[] = { { "Wh", "kWh" }, { "varh", "kvarh" }, { "W", "kW" }, { "L", "m3" } };

        for (size_t i = 0; i < sizeof kilo / sizeof *kilo; i++) {
                if (strcmp(channel_unit, kilo[i].from) == 0) {
                        *ret_scale = 3 - scaler;
                        return kilo[i].to;
                }
        }
        *ret_scale = -scaler;
        return channel_unit;
}

static bool usable(const struct bill_segment *s, size_t i)
{
        return (s->status[i] & STATUS_MASK) != STATUS_REJECTED;
}

static bool estimated(const struct bill_segment *s, size_t i)
{
        uint8_t how = s->status[i] & STATUS_MASK;

        return how >= STATUS_FIRST_ESTIMATE && how <= STATUS_LAST_ESTIMATE;
}

/* 12.500 -> 12.5: keeps scales of products small. */
static struct decimal trimmed(struct decimal d)
{
        while (d.scale > 0 && d.m % 10 == 0) {
                d.m /= 10;
                d.scale--;
        }
        return d;
}

/* @sum += integer value of a segment × multiplier, in the billing unit. */
static int add_value(const struct bill_segment *s, int64_t value, struct decimal *sum)
{
        struct decimal v = { value, 0 };
        int scale, rc;

        bill_unit(s->unit, s->scaler, &scale);
        if (scale >= 0) {
                v.scale = (int8_t)scale;
        } else {
                for (; scale < 0; scale++)
                        if (__builtin_mul_overflow(v.m, 10, &v.m))
                                return -ERANGE;
        }
        rc = decimal_mul(v, trimmed(s->multiplier), &v);
        if (rc == 0)
                rc = decimal_add(*sum, v, sum);
        return rc;
}

/* ---- determinants ---- */

/* The local day the last value fell in; values come in order, so it rarely moves. */
struct daily {
        const struct bill_input *in;
        int64_t day, start, end;
        struct decimal *sums;
};

static void daily_move(struct daily *d, int64_t at)
{
        d->day = tz_day_of(d->in->tz, at);
        d->start = tz_day_start(d->in->tz, d->day);
        d->end = tz_day_start(d->in->tz, d->day + 1);
}

static int daily_add(struct daily *d, const struct bill_segment *s, int64_t sum)
{
        if (d->day < d->in->from_day || d->day >= d->in->to_day)
                return 0;
        return add_value(s, sum, &d->sums[d->day - d->in->from_day]);
}

/* What the readings' hash is taken over: the span, the factor and every reading as it is stored. */
static void put_segment(struct buf *b, const struct bill_segment *s)
{
        buf_printf(b, "%d/%d/%lld/%d/%lld/%lld\n", s->meter_id, s->channel,
                   (long long)trimmed(s->multiplier).m, trimmed(s->multiplier).scale,
                   (long long)s->from, (long long)s->to);
        if (s->n_registers > 0)
                buf_put(b, s->registers, s->n_registers);
        else
                series_encode(b, s->n, s->at, s->value, s->period_s, s->status, s->source);
}

/* Whole numbers are added up; the factor comes in once a day and once for the sum: the products'
 * sum is the sum's product, exactly. */
static int sum_segment(const struct bill_segment *s, struct daily *daily,
                       struct bill_determinant *d, int64_t *covered)
{
        int64_t sum = 0, day = 0;
        size_t day_values = 0, values = 0;
        struct decimal total = DECIMAL_ZERO;
        int rc = 0;

        for (size_t i = 0; i < s->n && rc == 0; i++) {
                if (!usable(s, i))
                        continue;
                if (s->at[i] < daily->start || s->at[i] >= daily->end) {
                        if (day_values > 0)
                                rc = daily_add(daily, s, day);
                        daily_move(daily, s->at[i]);
                        day = 0;
                        day_values = 0;
                }
                if (__builtin_add_overflow(sum, s->value[i], &sum) ||
                    __builtin_add_overflow(day, s->value[i], &day))
                        return -ERANGE;
                day_values++;
                values++;
                d->n_estimated += estimated(s, i);
                *covered += s->period_s[i];
        }
        d->n_values += values;
        if (rc == 0 && day_values > 0)
                rc = daily_add(daily, s, day);
        if (rc == 0 && values > 0)
                rc = add_value(s, sum, &total);
        return rc == 0 ? decimal_add(d->quantity, total, &d->quantity) : rc;
}

static int measure_code(struct measure *m, const struct bill_input *in, const char *code,
                        struct bill_determinant *d)
{
        int64_t from = tz_day_start(in->tz, in->from_day), to = tz_day_start(in->tz, in->to_day);
        struct daily daily = { .in = in };
        int64_t covered = 0;
        struct buf readings = BUF_INIT;
        int scale, rc = 0;

        d->daily = arena_alloc(m->arena, (size_t)(in->to_day - in->from_day) * sizeof *d->daily);
        d->name = arena_str(m->arena, code);
        if (!d->daily || !d->name)
                return -ENOMEM;
        daily.sums = d->daily;
        for (size_t i = 0; i < in->n_segments && rc == 0; i++) {
                const struct bill_segment *s = &in->segments[i];

                if (strcmp(s->code, code) != 0)
                        continue;
                d->unit = arena_str(m->arena, bill_unit(s->unit, s->scaler, &scale));
                put_segment(&readings, s);
                rc = sum_segment(s, &daily, d, &covered);
        }
        if (readings.failed)
                rc = -ENOMEM;
        SHA256(readings.p, readings.len, d->readings);
        buf_deinit(&readings);
        d->missing_s = covered < to - from ? to - from - covered : 0;
        d->quality = d->n_estimated == 0             ? BILL_MEASURED
                     : d->n_estimated == d->n_values ? BILL_ESTIMATED
                                                     : BILL_MIXED;
        return rc;
}

static bool seen(const struct bill *b, const char *code)
{
        for (size_t i = 0; i < b->n_determinants; i++)
                if (strcmp(b->determinants[i].name, code) == 0)
                        return true;
        return false;
}

int measure_determinants(struct measure *m, const struct bill_input *in, struct bill *b)
{
        b->determinants = arena_alloc(m->arena, (in->n_segments + 1) * sizeof *b->determinants);
        if (!b->determinants)
                return -ENOMEM;
        for (size_t i = 0; i < in->n_segments; i++) {
                struct bill_determinant *d = &b->determinants[b->n_determinants];
                int rc;

                if (seen(b, in->segments[i].code))
                        continue;
                rc = measure_code(m, in, in->segments[i].code, d);
                if (rc < 0)
                        return rc;
                b->n_determinants++;
                if (in->main_code && strcmp(in->main_code, d->name) == 0) {
                        b->quantity = d->quantity;
                        b->unit = d->unit;
                }
        }
        return 0;
}

/* ---- a tariff part ---- */

struct window {
        int64_t from, to;
};

static bool inside(const struct window *w, const struct bill_segment *s, size_t i)
{
        return s->at[i] >= w->from && s->at[i] < w->to;
}

/* One run of consecutive values, as a series in the billing unit. */
static int put_series(struct measure *m, const struct bill_segment *s,
                      const struct rating_series *run, int64_t *value)
{
        struct decimal factor = trimmed(s->multiplier);
        struct rating_series series = *run;
        int scale;

        series.name = s->code;
        series.unit = bill_unit(s->unit, s->scaler, &scale);
        for (; scale < 0; scale++)
                if (__builtin_mul_overflow(factor.m, 10, &factor.m))
                        return -ERANGE;
        series.scale = (int8_t)(scale + factor.scale);
        for (size_t i = 0; i < series.n; i++)
                if (__builtin_mul_overflow(value[i], factor.m, &value[i]))
                        return -ERANGE;
        series.value = value;
        buf_put(&m->series, &series, sizeof series);
        return m->series.failed ? -ENOMEM : 0;
}

/* The rating wants intervals of one length: shorter ones are added up to the longest there is. */
static uint32_t longest_period(const struct bill_input *in, const struct window *w,
                               const char *code)
{
        uint32_t longest = 0;

        for (size_t k = 0; k < in->n_segments; k++) {
                const struct bill_segment *s = &in->segments[k];

                if (strcmp(s->code, code) != 0)
                        continue;
                for (size_t i = 0; i < s->n; i++)
                        if (inside(w, s, i) && s->period_s[i] > longest)
                                longest = s->period_s[i];
        }
        return longest;
}

/* One value of @grid seconds from the shorter ones that fill it; how many were taken. Those that do
 * not fill it count as missing: nothing is guessed. */
static size_t gather(const struct bill_segment *s, size_t i, uint32_t grid, int64_t *value,
                     uint8_t *status)
{
        int64_t start = s->at[i] - s->at[i] % grid, next = start;
        size_t n = 0;

        *value = 0;
        *status = s->status[i];
        for (; i + n < s->n && s->at[i + n] < start + grid; n++) {
                if (s->at[i + n] != next || !usable(s, i + n) ||
                    __builtin_add_overflow(*value, s->value[i + n], value))
                        *status = RATING_MISSING;
                next = s->at[i + n] + s->period_s[i + n];
        }
        if (next != start + grid)
                *status = RATING_MISSING;
        return n;
}

static int put_segment_series(struct measure *m, const struct window *w,
                              const struct bill_segment *s, uint32_t grid)
{
        struct rating_series run = { .period_s = grid };
        int64_t *value = arena_alloc(m->arena, (s->n + 1) * sizeof *value);
        uint8_t *status = arena_alloc(m->arena, s->n + 1);
        size_t used = 0;
        int rc = 0;

        if (!value || !status)
                return -ENOMEM;
        for (size_t i = 0, taken; i < s->n && rc == 0; i += taken) {
                int64_t at = s->at[i];

                taken = 1;
                if (!inside(w, s, i))
                        continue;
                if (s->period_s[i] == grid) {
                        value[used] = s->value[i];
                        status[used] = usable(s, i) ? s->status[i] : RATING_MISSING;
                } else {
                        taken = gather(s, i, grid, &value[used], &status[used]);
                        at -= at % grid;
                }
                if (run.n > 0 && at != run.at + (int64_t)run.n * grid) {
                        rc = put_series(m, s, &run, value + used - run.n);
                        run.n = 0;
                }
                if (run.n++ == 0) {
                        run.at = at;
                        run.status = status + used;
                }
                used++;
        }
        return rc == 0 && run.n > 0 ? put_series(m, s, &run, value + used - run.n) : rc;
}

static int add_inside(const struct bill_segment *s, const struct window *w, struct decimal *sum)
{
        int64_t inner = 0;
        bool any = false;

        for (size_t i = 0; i < s->n; i++) {
                if (!inside(w, s, i) || !usable(s, i))
                        continue;
                any = true;
                if (__builtin_add_overflow(inner, s->value[i], &inner))
                        return -ERANGE;
        }
        return any ? add_value(s, inner, sum) : 0;
}

static int put_total(struct measure *m, const struct window *w, const struct bill_input *in,
                     const char *code)
{
        struct rating_quantity q = { .name = code, .value = DECIMAL_ZERO };
        int rc = 0, scale;

        for (size_t k = 0; k < in->n_segments && rc == 0; k++) {
                const struct bill_segment *s = &in->segments[k];

                if (strcmp(s->code, code) != 0)
                        continue;
                q.unit = bill_unit(s->unit, s->scaler, &scale);
                rc = add_inside(s, w, &q.value);
        }
        buf_put(&m->given, &q, sizeof q);
        return rc < 0 ? rc : m->given.failed ? -ENOMEM : 0;
}

int measure_part(struct measure *m, const struct bill_input *in, const struct bill_part *part,
                 struct rating_input *ret)
{
        struct window w = { tz_day_start(in->tz, part->from_day),
                            tz_day_start(in->tz, part->to_day) };
        bool intervals = rating_tariff_needs_intervals(part->tariff);
        int rc = 0;

        buf_reset(&m->series);
        buf_reset(&m->given);
        if (in->n_given)
                buf_put(&m->given, in->given, in->n_given * sizeof *in->given);
        for (size_t k = 0; k < in->n_segments && rc == 0; k++) {
                const struct bill_segment *s = &in->segments[k];
                bool first = true;

                for (size_t j = 0; j < k; j++)
                        first = first && strcmp(in->segments[j].code, s->code) != 0;
                if (intervals)
                        rc = put_segment_series(m, &w, s, longest_period(in, &w, s->code));
                else if (first)
                        rc = put_total(m, &w, in, s->code);
        }
        ret->series = (const struct rating_series *)(const void *)m->series.p;
        ret->n_series = m->series.len / sizeof(struct rating_series);
        ret->given = (const struct rating_quantity *)(const void *)m->given.p;
        ret->n_given = m->given.len / sizeof(struct rating_quantity);
        return rc;
}
