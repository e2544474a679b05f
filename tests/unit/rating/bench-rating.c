/* What rating a month of quarter-hours costs, against only adding its values up. */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "civil.h"
#include "rating.h"

enum { INTERVALS = 31 * 96, YEAR = 365 * 96, ROUNDS = 500, REPEATS = 9 };

static const char document[] = "{\"schema\":\"headrace-tariff-v1\",\"code\":\"T\",\"commodity\":"
                               "\"electricity\",\"currency\":\"EUR\",\"schedules\":{\"tou\":{"
                               "\"periods\":[\"peak\",\"mid\",\"off\"],\"rules\":[{\"days\":["
                               "\"weekday\"],\"from\":\"16:00\",\"to\":\"21:00\",\"period\":"
                               "\"peak\"},{\"days\":[\"weekday\"],\"from\":\"07:00\",\"to\":\"16:"
                               "00\",\"period\":\"mid\"}],\"otherwise\":\"off\"}},\"demand\":"
                               "{},\"components\":[{\"type\":\"fixed\",\"code\":\"f\",\"amount\":3}"
                               ",{\"type\":\"energy\",\"code\":\"e\",\"schedule\":\"tou\","
                               "\"prices\":{\"peak\":{\"rate\":\"0.31868\"},\"mid\":{\"rate\":\"0."
                               "26\"},\"off\":{\"rate\":\"0.21035\"}}},{\"type\":\"demand\","
                               "\"code\":\"d\",\"rate\":\"12.5\"},{\"type\":\"demand\",\"code\":"
                               "\"dt\",\"schedule\":\"tou\",\"prices\":{\"peak\":{\"rate\":8},"
                               "\"mid\":{\"rate\":3},\"off\":{\"rate\":1}}},{\"type\":\"percent\","
                               "\"code\":\"vat\",\"pct\":19}]}";

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int64_t add_up(const int64_t *value)
{
        int64_t sum = 0;

        for (int i = 0; i < INTERVALS; i++) {
                sum += value[i];
                __asm__ volatile("" : "+r"(sum));
        }
        return sum;
}

/* Best of several repeats, microseconds a bill. */
static double measure(const struct rating_tariff *t, const struct rating_input *in,
                      size_t *ret_lines)
{
        struct rating_error err = { 0 };
        struct rating_result r;
        double best = 1e9;

        for (int k = 0; k < REPEATS; k++) {
                double from = now(), us;

                for (int i = 0; i < ROUNDS; i++) {
                        if (rating_run(t, in, &r, &err) != 0)
                                return -1;
                        *ret_lines = r.n_lines;
                        rating_result_deinit(&r);
                }
                us = (now() - from) / ROUNDS;
                best = us < best ? us : best;
        }
        return best;
}

/* A year as one bill, as what-if questions ask for it; milliseconds. */
static double measure_year(const struct rating_tariff *t, const struct tz *tz)
{
        static int64_t value[YEAR];
        struct rating_input in = { .from_day = civil_to_day(2025, 1, 1),
                                   .to_day = civil_to_day(2026, 1, 1),
                                   .tz = tz };
        struct rating_series s = { .name = "energy.import",
                                   .unit = "kWh",
                                   .scale = 3,
                                   .at = tz_day_start(tz, in.from_day),
                                   .period_s = 900,
                                   .n = YEAR,
                                   .value = value };
        struct rating_error err = { 0 };
        struct rating_result r;
        double best = 1e9;

        for (int i = 0; i < YEAR; i++)
                value[i] = i * 7919 % 1500;
        in.series = &s;
        in.n_series = 1;
        for (int k = 0; k < REPEATS; k++) {
                double from = now(), ms;

                if (rating_run(t, &in, &r, &err) != 0)
                        return -1;
                rating_result_deinit(&r);
                ms = (now() - from) / 1e3;
                best = ms < best ? ms : best;
        }
        return best;
}

int main(void)
{
        static int64_t value[INTERVALS];
        struct rating_input in = { .from_day = civil_to_day(2026, 1, 1),
                                   .to_day = civil_to_day(2026, 2, 1) };
        struct rating_series s = { .name = "energy.import",
                                   .unit = "kWh",
                                   .scale = 3,
                                   .period_s = 900,
                                   .n = INTERVALS,
                                   .value = value };
        struct rating_error err = { 0 };
        struct rating_tariff *t;
        struct rating_map *map;
        struct tz *tz;
        size_t lines = 0;
        double own, shared, year, floor = 1e9;
        int64_t sum = 0;

        if (rating_tariff_load(&t, document, strlen(document), &err) ||
            tz_load(&tz, "Europe/Berlin") < 0)
                return 1;
        for (int i = 0; i < INTERVALS; i++)
                value[i] = i * 7919 % 1500;
        in.tz = tz;
        in.series = &s;
        in.n_series = 1;
        s.at = tz_day_start(tz, in.from_day);
        if (rating_map_new(&map, t, tz, NULL, 0, in.from_day, in.to_day, 900, &err))
                return 1;
        own = measure(t, &in, &lines);
        in.map = map;
        shared = measure(t, &in, &lines);
        for (int k = 0; k < REPEATS; k++) {
                double from = now(), us;

                for (int i = 0; i < ROUNDS; i++)
                        sum += add_up(value);
                us = (now() - from) / ROUNDS;
                floor = us < floor ? us : floor;
        }
        printf("rating a month of 15-minute values, time of use and demand, %zu lines with traces: "
               "%.1f us with a shared map "
               "(%.1f us making its own); adding the values up alone: %.2f us (sum %lld)\n",
               lines, shared, own, floor, (long long)(sum / ROUNDS / REPEATS));
        year = measure_year(t, tz);
        printf("a year of 15-minute values as one bill: %.2f ms\n", year);
        rating_map_free(map);
        tz_free(tz);
        rating_tariff_free(t);
        return shared > 0 && own > 0 && year > 0 ? 0 : 1;
}
