/* Quantities of a bill: totals by price period and highest demands, from interval values or as
 * handed in. The loops over intervals are the hot part of a bill run. */

#include <errno.h>
#include <string.h>

#include "civil.h"
#include "tariff.h"

static const struct rating_quantity *given(const struct run *run, const char *name,
                                           const char *period)
{
        size_t len = strlen(name);

        for (size_t i = 0; i < run->in->n_given; i++) {
                const char *have = run->in->given[i].name;

                if (strncmp(have, name, len) != 0)
                        continue;
                if (!period ? have[len] == '\0'
                            : have[len] == ':' && strcmp(have + len + 1, period) == 0)
                        return &run->in->given[i];
        }
        return NULL;
}

static const struct derived *derived(const struct run *run, const char *name)
{
        for (unsigned i = 0; i < run->t->n_derived; i++)
                if (strcmp(run->t->derived[i].name, name) == 0)
                        return &run->t->derived[i];
        return NULL;
}

static int missing(struct run *run, const struct component *c, const char *name)
{
        return rating_fail(run->err, RATING_E_QUANTITY,
                           "component %s needs the quantity %s, which was not handed in", c->code,
                           name);
}

/* ---- intervals ---- */

struct window {
        size_t first, end; /* intervals of the map */
};

static struct window window_of(const struct rating_map *m, const struct span *s)
{
        return (struct window){ .first = m->day[s->from_day - m->from_day],
                                .end = m->day[s->to_day - m->from_day] };
}

static int gap(struct run *run, const char *name, size_t lacking, int64_t at)
{
        char text[CIVIL_RFC3339_SIZE];

        civil_format(at, 0, text);
        return rating_fail(run->err, RATING_E_GAP,
                           "%s: %zu intervals of the period are missing, the first at %s; estimate "
                           "or read them before billing",
                           name, lacking, text);
}

/* The part of @series inside @w, as indices of the map; false when it lies outside. */
static bool overlap(const struct rating_map *m, const struct rating_series *series, struct window w,
                    size_t *ret_first, size_t *ret_end, size_t *ret_offset)
{
        int64_t i = (series->at - m->at) / m->period_s;
        int64_t end = i + (int64_t)series->n;
        int64_t first = i > (int64_t)w.first ? i : (int64_t)w.first;

        if (end > (int64_t)w.end)
                end = (int64_t)w.end;
        if (first >= end)
                return false;
        *ret_first = (size_t)first;
        *ret_end = (size_t)end;
        *ret_offset = (size_t)(first - i);
        return true;
}

static int check_series(struct run *run, const struct rating_series *series)
{
        const struct rating_map *m = run->map;

        if (series->period_s != m->period_s)
                return rating_fail(
                        run->err, RATING_E_GRID,
                        "%s: intervals of %u s among such of %u s; bring them to one length first",
                        series->name, series->period_s, m->period_s);
        if ((series->at - m->at) % m->period_s != 0)
                return rating_fail(
                        run->err, RATING_E_GRID,
                        "%s: intervals do not begin with the local day; they are off by %lld s",
                        series->name, (long long)((series->at - m->at) % m->period_s));
        if (series->scale < 0 || series->scale > 12)
                return rating_fail(run->err, RATING_E_INPUT, "%s: scale %d is not within 0 to 12",
                                   series->name, series->scale);
        return 0;
}

/* Checks that nothing lacks. */
static int each_stretch(struct run *run, const char *name, struct window w, stretch_fn fn,
                        void *arg)
{
        const struct rating_map *m = run->map;
        size_t next = w.first;
        int e;

        while (next < w.end) {
                const struct rating_series *best = NULL;
                size_t first = 0, end = 0, offset = 0;

                /* The series that covers @next, whatever order they were handed in. */
                for (size_t i = 0; i < run->in->n_series && !best; i++) {
                        const struct rating_series *s = &run->in->series[i];
                        struct window rest = { next, w.end };

                        if (strcmp(s->name, name) != 0)
                                continue;
                        e = check_series(run, s);
                        if (e)
                                return e;
                        if (overlap(m, s, rest, &first, &end, &offset) && first == next)
                                best = s;
                }
                if (!best)
                        return gap(run, name, w.end - next, m->at + (int64_t)(next * m->period_s));
                for (size_t i = 0; best->status && i < end - first; i++)
                        if (best->status[offset + i] == RATING_MISSING)
                                return gap(run, name, 1,
                                           m->at + (int64_t)((first + i) * m->period_s));
                e = fn(run, arg, best, best->value + offset, first, end);
                if (e)
                        return e;
                next = end;
        }
        return 0;
}

int measure_each(struct run *run, const char *name, const struct span *s, stretch_fn fn, void *arg)
{
        return each_stretch(run, name, window_of(run->map, s), fn, arg);
}

struct sums {
        const uint8_t *period; /* of the map; NULL without schedule */
        __int128 sum[MAX_PERIODS];
        int8_t scale;
        const char *unit;
};

static int add_stretch(struct run *run, void *arg, const struct rating_series *series,
                       const int64_t *value, size_t first, size_t end)
{
        struct sums *s = arg;
        int64_t sum[MAX_PERIODS] = { 0 };

        if (s->unit && (s->scale != series->scale || strcmp(s->unit, series->unit) != 0))
                return rating_fail(run->err, RATING_E_INPUT,
                                   "%s: series of different units or scales", series->name);
        s->unit = series->unit;
        s->scale = series->scale;
        if (s->period) {
                for (size_t i = first; i < end; i++)
                        if (__builtin_add_overflow(sum[s->period[i]], value[i - first],
                                                   &sum[s->period[i]]))
                                return rating_fail(run->err, RATING_E_RANGE, "%s: values too large",
                                                   series->name);
                for (int p = 0; p < MAX_PERIODS; p++)
                        s->sum[p] += sum[p];
                return 0;
        }
        for (size_t i = first; i < end; i++)
                if (__builtin_add_overflow(sum[0], value[i - first], &sum[0]))
                        return rating_fail(run->err, RATING_E_RANGE, "%s: values too large",
                                           series->name);
        s->sum[0] += sum[0];
        return 0;
}

static int to_decimal(struct run *run, const char *name, __int128 sum, int8_t scale,
                      struct decimal *ret)
{
        if (sum > INT64_MAX || sum < INT64_MIN)
                return rating_fail(run->err, RATING_E_RANGE, "%s: values too large", name);
        ret->m = (int64_t)sum;
        ret->scale = scale;
        return 0;
}

static int measure_intervals(struct run *run, const struct span *s, const char *name, int schedule,
                             struct measured *ret)
{
        struct sums sums = { 0 };
        struct window w;
        int e = run_need_map(run);

        if (e)
                return e;
        sums.period = schedule >= 0 ? run->map->period[schedule] : NULL;
        w = window_of(run->map, s);
        e = each_stretch(run, name, w, add_stretch, &sums);
        if (e)
                return e;
        ret->unit = sums.unit ? sums.unit : run->t->unit;
        ret->source = "intervals";
        ret->name = name;
        ret->n_intervals = w.end - w.first;
        ret->total = (struct decimal){ 0, sums.scale };
        for (int p = 0; p < MAX_PERIODS; p++) {
                e = to_decimal(run, name, sums.sum[p], sums.scale, &ret->by_period[p]);
                if (!e)
                        e = add_to(run, &ret->total, ret->by_period[p]);
                if (e)
                        return e;
        }
        return 0;
}

/* ---- handed in ---- */

/* Part of a quantity that is known for the whole bill only: by days. */
static int share(struct run *run, const struct span *s, struct decimal whole, struct decimal *ret)
{
        if (!s->part) {
                *ret = whole;
                return 0;
        }
        return muldiv(run, whole, decimal_int(span_days(s)), decimal_int(run->days), ret);
}

static int apply_factor(struct run *run, const struct derived *d, unsigned i, struct decimal f,
                        struct decimal *v)
{
        switch (d->factor[i].use) {
        case FACTOR_ADD:
                return add_to(run, v, f);
        case FACTOR_SUBTRACT:
                return minus(run, *v, f, v);
        case FACTOR_MULTIPLY:
                return mul(run, *v, f, v);
        case FACTOR_DIVIDE:
                if (decimal_is_zero(f))
                        return rating_fail(run->err, RATING_E_INPUT,
                                           "quantity %s: divided by %s, which is zero", d->name,
                                           d->factor[i].name ? d->factor[i].name : "a factor");
                return muldiv(run, *v, decimal_int(1), f, v);
        default:
                return -EINVAL;
        }
}

static int measure_derived(struct run *run, const struct component *c, const struct derived *d,
                           const struct span *s, struct measured *ret)
{
        /* Sums come first in the list; a product without them begins with one. */
        bool sums = d->n > 0 && d->factor[0].use >= FACTOR_ADD;
        struct decimal v = decimal_int(sums ? 0 : 1);
        int e = 0;

        for (unsigned i = 0; !e && i < d->n; i++) {
                struct measured m = { .total = d->factor[i].number };

                if (d->factor[i].name)
                        e = measure_quantity(run, c, s, d->factor[i].name, -1, &m);
                if (!e)
                        e = apply_factor(run, d, i, m.total, &v);
        }
        if (!e && d->digits >= 0 && decimal_rescale(v, d->digits, DECIMAL_HALF_UP, &v) < 0)
                e = rating_fail(run->err, RATING_E_RANGE, "quantity %s: too large", d->name);
        if (!e && d->has_least && decimal_cmp(v, d->least) < 0)
                v = d->least;
        *ret = (struct measured){ .total = v, .unit = d->unit, .source = "derived" };
        ret->by_period[0] = v;
        return e;
}

static int measure_given_periods(struct run *run, const struct component *c, const struct span *s,
                                 const char *name, int schedule, struct measured *ret)
{
        const struct schedule *sched = run->t->schedule[schedule];
        int e = 0;

        for (unsigned p = 0; !e && p < sched->n_periods; p++) {
                const struct rating_quantity *q = given(run, name, sched->period[p]);

                if (!q)
                        continue;
                ret->unit = q->unit;
                e = share(run, s, q->value, &ret->by_period[p]);
                if (!e)
                        e = add_to(run, &ret->total, ret->by_period[p]);
        }
        ret->source = "given";
        return ret->unit || e ? e : missing(run, c, name);
}

static bool has_series(const struct run *run, const char *name)
{
        for (size_t i = 0; i < run->in->n_series; i++)
                if (strcmp(run->in->series[i].name, name) == 0)
                        return true;
        return false;
}

int measure_quantity(struct run *run, const struct component *c, const struct span *s,
                     const char *name, int schedule, struct measured *ret)
{
        const struct rating_quantity *q = given(run, name, NULL);
        const struct derived *d = derived(run, name);

        *ret = (struct measured){ .total = DECIMAL_ZERO };
        if (schedule < 0 && q) {
                ret->unit = q->unit;
                ret->source = "given";
                ret->by_period[0] = DECIMAL_ZERO;
                if (share(run, s, q->value, &ret->total))
                        return run->err->code;
                ret->by_period[0] = ret->total;
                return 0;
        }
        if (schedule < 0 && d)
                return measure_derived(run, c, d, s, ret);
        if (has_series(run, name))
                return measure_intervals(run, s, name, schedule, ret);
        if (schedule >= 0)
                return measure_given_periods(run, c, s, name, schedule, ret);
        return missing(run, c, name);
}

/* ---- demand ---- */

struct peaks {
        const uint8_t *period;
        size_t per_window; /* intervals in one window */
        size_t day_first;
        const uint32_t *day; /* map's days */
        size_t at_day;
        __int128 window; /* sum of the window being filled */
        size_t filled;
        __int128 max[MAX_PERIODS + 1]; /* last: whatever the period */
        bool any[MAX_PERIODS + 1];
        int8_t scale;
};

static void offer(struct peaks *p, int period, __int128 v)
{
        if (!p->any[period] || v > p->max[period])
                p->max[period] = v;
        p->any[period] = true;
}

static int peak_stretch(struct run *run, void *arg, const struct rating_series *series,
                        const int64_t *value, size_t first, size_t end)
{
        struct peaks *p = arg;

        (void)run;
        p->scale = series->scale;
        if (p->per_window == 1) {
                int64_t max[MAX_PERIODS];
                uint64_t seen = 0;

                if (!p->period) {
                        int64_t top = value[0];

                        for (size_t i = first; i < end; i++)
                                top = value[i - first] > top ? value[i - first] : top;
                        offer(p, MAX_PERIODS, top);
                        return 0;
                }
                for (size_t i = first; i < end; i++) {
                        uint8_t k = p->period[i];
                        int64_t v = value[i - first];

                        if (!(seen >> k & 1) || v > max[k])
                                max[k] = v;
                        seen |= (uint64_t)1 << k;
                }
                for (int k = 0; k < MAX_PERIODS; k++)
                        if (seen >> k & 1) {
                                offer(p, k, max[k]);
                                offer(p, MAX_PERIODS, max[k]);
                        }
                return 0;
        }
        for (size_t i = first; i < end; i++) {
                p->window += value[i - first];
                if (++p->filled < p->per_window)
                        continue;
                if (p->period)
                        offer(p, p->period[i], p->window);
                offer(p, MAX_PERIODS, p->window);
                p->window = 0;
                p->filled = 0;
        }
        return 0;
}

/* Highest mean power by price period, and last whatever the period, in the series' unit per
 * hour (kWh -> kW). Windows are counted from the span's local midnight. */
int measure_peak(struct run *run, const char *name, uint32_t window_s, int schedule,
                 const struct span *s, struct decimal ret[MAX_PERIODS + 1])
{
        const struct rating_quantity *q = given(run, name, "peak_kw");
        struct peaks p = { .per_window = 1 };
        int e;

        for (int i = 0; i <= MAX_PERIODS; i++)
                ret[i] = DECIMAL_ZERO;
        if (q && schedule < 0) {
                ret[MAX_PERIODS] = q->value;
                return 0;
        }
        e = run_need_map(run);
        if (e)
                return e;
        if (window_s == 0)
                window_s = run->map->period_s;
        if (window_s % run->map->period_s != 0)
                return rating_fail(
                        run->err, RATING_E_GRID,
                        "%s: demand over %u minutes cannot be had from intervals of %u minutes",
                        name, window_s / 60, run->map->period_s / 60);
        p.per_window = window_s / run->map->period_s;
        p.period = schedule >= 0 ? run->map->period[schedule] : NULL;
        e = each_stretch(run, name, window_of(run->map, s), peak_stretch, &p);
        for (int i = 0; !e && i <= MAX_PERIODS; i++) {
                if (!p.any[i])
                        continue;
                e = to_decimal(run, name, p.max[i], p.scale, &ret[i]);
                if (!e)
                        e = muldiv(run, ret[i], decimal_int(3600), decimal_int(window_s), &ret[i]);
        }
        return e;
}
