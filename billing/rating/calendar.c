/* Price periods over local time, and the map of a billing period's intervals onto them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "civil.h"
#include "tariff.h"

enum { DAY_S = 86400 };

int schedule_find(const struct rating_tariff *t, const char *name)
{
        for (unsigned i = 0; i < t->n_schedules; i++)
                if (strcmp(t->schedule[i]->name, name) == 0)
                        return (int)i;
        return -1;
}

int period_find(const struct schedule *s, const char *name)
{
        for (unsigned i = 0; i < s->n_periods; i++)
                if (strcmp(s->period[i], name) == 0)
                        return (int)i;
        return -1;
}

static const struct segment *day_profile(const struct schedule *s, int64_t local_day, bool holiday)
{
        int y, m, d, type;

        civil_from_day(local_day, &y, &m, &d);
        type = holiday && s->holidays ? 7 : civil_weekday(local_day);
        return &s->segments[s->profile[(m - 1) * 31 + d - 1][type]];
}

int period_of(const struct schedule *s, int64_t local_day, bool holiday, int minute)
{
        const struct segment *g = day_profile(s, local_day, holiday);

        while (g->end <= minute)
                g++;
        return g->period;
}

static bool is_holiday(const struct rating_tariff *t, const int64_t *more, size_t n_more,
                       int64_t day)
{
        for (unsigned i = 0; i < t->n_holidays; i++)
                if (t->holidays[i] == day)
                        return true;
        for (size_t i = 0; i < n_more; i++)
                if (more[i] == day)
                        return true;
        return false;
}

void rating_map_free(struct rating_map *m)
{
        if (!m)
                return;
        for (int i = 0; i < MAX_SCHEDULES; i++)
                free(m->period[i]);
        free(m->day);
        free(m);
}

/* The intervals of one local day under one schedule. @offset and @change: see map_day. */
struct clock {
        const struct tz *tz;
        int64_t change; /* next change of the offset */
        int32_t offset;
};

static int32_t clock_offset(struct clock *c, int64_t utc)
{
        if (utc >= c->change) {
                c->offset = c->tz ? tz_offset(c->tz, utc, NULL) : 0;
                c->change = c->tz ? tz_next_change(c->tz, utc) : INT64_MAX;
        }
        return c->offset;
}

static int grid_error(struct rating_error *err, int64_t utc, uint32_t period_s, const char *edge)
{
        char at[CIVIL_RFC3339_SIZE];

        civil_format(utc, 0, at);
        return rating_fail(
                err, RATING_E_GRID,
                "the interval of %u minutes at %s lies across an edge of %s; the meter must "
                "record shorter intervals for this tariff",
                period_s / 60, at, edge);
}

/* One schedule's period of every interval of one local day. The day's first interval decides on
 * the day; minutes are those of the wall clock, so that a 23- or 25-hour day needs no rule. */
static int map_day(struct rating_map *m, const struct schedule *s, uint8_t *out,
                   struct clock *clock, int64_t local_day, bool holiday, size_t first, size_t end,
                   struct rating_error *err)
{
        const struct segment *profile = day_profile(s, local_day, holiday), *g = profile;

        for (size_t i = first; i < end; i++) {
                int64_t utc = m->at + (int64_t)(i * m->period_s);
                int64_t local = utc + clock_offset(clock, utc);
                int64_t second = local - local_day * DAY_S;

                if (g != profile && second < (int64_t)(g - 1)->end * 60)
                        g = profile; /* the clock was set back */
                while (g->end < 1440 && (int64_t)g->end * 60 <= second)
                        g++;
                if (second + m->period_s > (int64_t)g->end * 60 && g->end < 1440)
                        return grid_error(err, utc, m->period_s, "a price period");
                out[i] = g->period;
        }
        return 0;
}

static int map_fill(struct rating_map *m, const struct tz *tz, const int64_t *holidays,
                    size_t n_holidays, struct rating_error *err)
{
        size_t n_days = (size_t)(m->to_day - m->from_day);
        struct clock clock[MAX_SCHEDULES];
        int e;

        for (int i = 0; i < MAX_SCHEDULES; i++)
                clock[i] = (struct clock){ .tz = tz, .change = INT64_MIN };
        for (size_t d = 0; d < n_days; d++) {
                int64_t day = m->from_day + (int64_t)d;
                bool holiday = is_holiday(m->tariff, holidays, n_holidays, day);

                for (unsigned s = 0; s < m->tariff->n_schedules; s++) {
                        e = map_day(m, m->tariff->schedule[s], m->period[s], &clock[s], day,
                                    holiday, m->day[d], m->day[d + 1], err);
                        if (e)
                                return e;
                }
        }
        return 0;
}

static int map_days(struct rating_map *m, const struct tz *tz, struct rating_error *err)
{
        size_t n_days = (size_t)(m->to_day - m->from_day);

        m->day = calloc(n_days + 1, sizeof(*m->day));
        if (!m->day)
                return -ENOMEM;
        for (size_t d = 0; d <= n_days; d++) {
                int64_t day = m->from_day + (int64_t)d;
                int64_t start = tz ? tz_day_start(tz, day) : day * DAY_S;

                if (d == 0)
                        m->at = start;
                if ((start - m->at) % m->period_s != 0 || m->at % 60 != 0)
                        return grid_error(err, start, m->period_s, "a local day");
                m->day[d] = (uint32_t)((start - m->at) / m->period_s);
        }
        m->n = m->day[n_days];
        return 0;
}

int rating_map_new(struct rating_map **ret, const struct rating_tariff *t, const struct tz *tz,
                   const int64_t *holidays, size_t n_holidays, int64_t from_day, int64_t to_day,
                   uint32_t period_s, struct rating_error *err)
{
        struct rating_map *m;
        int e;

        if (to_day <= from_day || to_day - from_day > 1200)
                return rating_fail(err, RATING_E_INPUT,
                                   "a billing period must have 1 to 1200 days, not %lld",
                                   (long long)(to_day - from_day));
        if (period_s < 60 || period_s > DAY_S || DAY_S % period_s != 0)
                return rating_fail(err, RATING_E_INPUT,
                                   "intervals of %u s: a day must hold a whole number of them",
                                   period_s);
        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->tariff = t;
        m->from_day = from_day;
        m->to_day = to_day;
        m->period_s = period_s;
        e = map_days(m, tz, err);
        for (unsigned s = 0; !e && s < t->n_schedules; s++) {
                m->period[s] = malloc(m->n ? m->n : 1);
                if (!m->period[s])
                        e = -ENOMEM;
        }
        if (!e)
                e = map_fill(m, tz, holidays, n_holidays, err);
        if (e) {
                rating_map_free(m);
                return e;
        }
        *ret = m;
        return 0;
}

int run_need_map(struct run *run)
{
        const struct rating_input *in = run->in;
        uint32_t period_s;
        int e;

        if (run->map)
                return 0;
        if (in->n_series == 0)
                return rating_fail(run->err, RATING_E_QUANTITY,
                                   "the tariff needs interval data and none was handed in");
        period_s = in->series[0].period_s;
        for (size_t i = 1; i < in->n_series; i++)
                if (in->series[i].period_s < period_s)
                        period_s = in->series[i].period_s;
        if (in->map && in->map->tariff == run->t && in->map->from_day == in->from_day &&
            in->map->to_day == in->to_day && in->map->period_s == period_s) {
                run->map = in->map;
                return 0;
        }
        e = rating_map_new(&run->own_map, run->t, in->tz, in->holidays, in->n_holidays,
                           in->from_day, in->to_day, period_s, run->err);
        run->map = run->own_map;
        return e;
}
