/* The simulated meters' arithmetic: sums preserved, ways of reading agree, same seed same town. */
#include <stdbool.h>
#include <unistd.h>
#include <zlib.h>

#include "civil.h"
#include "hr_test.h"
#include "meter.h"
#include "options.h"
#include "series.h"

static const int64_t OCTOBER = 1790812800; /* 2026-10-01T00:00:00Z */

static struct series *made;
static unsigned n_made;

static void options(struct sim_options *o)
{
        static char name[] = "headrace-sim", from[] = "--from=2026-10-01", to[] = "--to=2026-11-01";
        char *argv[] = { name, from, to, NULL };

        CU_ASSERT_EQUAL_FATAL(sim_options_parse(3, argv, o), SIM_RUN);
        if (!made)
                CU_ASSERT_EQUAL_FATAL(series_make(7, &made, &n_made), 0);
}

static void intervals_sum_up(void)
{
        struct sim_options o;
        struct meter m;

        options(&o);
        for (unsigned kind = 0; kind < SIM_N_KINDS; kind++) {
                int64_t sum = 0, largest = 0;

                meter_init(&m, &o, (enum sim_kind)kind, 3, made, n_made);
                for (int64_t t = OCTOBER; t < OCTOBER + 31 * 86400; t += METER_PERIOD_S) {
                        int64_t v = meter_interval(&m, t);

                        CU_ASSERT_TRUE(v >= 0);
                        largest = v > largest ? v : largest;
                        sum += v;
                        CU_ASSERT_EQUAL(meter_total(&m, OCTOBER) + sum,
                                        meter_total(&m, t + METER_PERIOD_S));
                }
                CU_ASSERT_TRUE(sum > 1000);
                CU_ASSERT_TRUE(largest > 0);
                CU_ASSERT_TRUE(meter_total(&m, OCTOBER) >= 0);
                CU_ASSERT_EQUAL(meter_total(&m, OCTOBER + 899), meter_total(&m, OCTOBER));
        }
}

/* An hour of the series, scaled, is what its four quarters add up to, and they differ by one. */
static void hours_split_exactly(void)
{
        struct sim_options o;
        struct meter m;

        options(&o);
        meter_init(&m, &o, SIM_DLMS_WRAPPER, 1, made, n_made);
        for (int64_t hour = OCTOBER; hour < OCTOBER + 7 * 86400; hour += 3600) {
                int64_t k = (hour + m.utc_offset_s - m.series->local_start) / 3600 + m.shift;
                int64_t milli = series_sum(m.series, k + 1) - series_sum(m.series, k), sum = 0;

                for (int q = 0; q < 4; q++) {
                        int64_t v = meter_interval(&m, hour + q * METER_PERIOD_S);

                        CU_ASSERT_TRUE(v <= meter_interval(&m, hour) &&
                                       v + 1 >= meter_interval(&m, hour));
                        sum += v;
                }
                CU_ASSERT_TRUE(llabs(sum - (int64_t)((__int128)milli * m.scale_ppm / 1000000000)) <=
                               1);
        }
}

static void meters_differ(void)
{
        struct sim_options o;
        struct meter a, b, again;

        options(&o);
        meter_init(&a, &o, SIM_DLMS_HDLC, 1, made, n_made);
        meter_init(&b, &o, SIM_DLMS_HDLC, 2, made, n_made);
        meter_init(&again, &o, SIM_DLMS_HDLC, 1, made, n_made);
        CU_ASSERT_STRING_EQUAL(a.serial, "HRH000001");
        CU_ASSERT_STRING_EQUAL(a.identity, "4852480100000001");
        CU_ASSERT_STRING_EQUAL(b.identity, "4852480100000002");
        CU_ASSERT_NOT_EQUAL(memcmp(a.guek, b.guek, sizeof a.guek), 0);
        CU_ASSERT_NOT_EQUAL(meter_total(&a, OCTOBER), meter_total(&b, OCTOBER));
        CU_ASSERT_EQUAL(memcmp(&a, &again, sizeof a), 0);
        o.seed = 2;
        meter_init(&again, &o, SIM_DLMS_HDLC, 1, made, n_made);
        CU_ASSERT_NOT_EQUAL(memcmp(a.guek, again.guek, sizeof a.guek), 0);
        meter_init(&a, &o, SIM_MODBUS, 1, made, n_made);
        CU_ASSERT_EQUAL(meter_register(&a, OCTOBER) % 10, 0);
        CU_ASSERT_EQUAL(meter_register(&a, OCTOBER) / 10, meter_total(&a, OCTOBER) / 10);
}

/* A file with a gap, thirds of hours refused, and repetition by whole weeks. */
static void loads_series(void)
{
        char dir[] = "/tmp/hr-series-XXXXXX", path[64], bad[256], time[CIVIL_RFC3339_SIZE];
        struct series *s = NULL;
        unsigned n = 0;
        gzFile f;

        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
        CU_ASSERT_NOT_EQUAL(series_load(dir, &s, &n, bad), 0);
        snprintf(path, sizeof path, "%s/gas-a.csv.gz", dir);
        f = gzopen(path, "wb");
        gzputs(f, "start,value\n");
        for (int h = 0; h < 9 * 24; h++) {
                civil_format(OCTOBER + h * 3600, 0, time);
                if (h != 5)
                        gzprintf(f, "%s,0.%03d9999999999999996\n", time, h);
        }
        gzclose(f);
        CU_ASSERT_EQUAL_FATAL(series_load(dir, &s, &n, bad), 0);
        CU_ASSERT_EQUAL(n, 1);
        CU_ASSERT_EQUAL(s->kind, SERIES_GAS);
        CU_ASSERT_EQUAL(s->step_s, 3600);
        CU_ASSERT_EQUAL(s->local_start, OCTOBER);
        CU_ASSERT_EQUAL(s->n, 168);
        CU_ASSERT_EQUAL(series_sum(s, 5) - series_sum(s, 4), 5000);
        CU_ASSERT_EQUAL(series_sum(s, 6), series_sum(s, 5));
        CU_ASSERT_EQUAL(series_sum(s, 168 + 5), series_sum(s, 168) + series_sum(s, 5));
        CU_ASSERT_EQUAL(series_sum(s, -168), -series_sum(s, 168));
        CU_ASSERT_EQUAL(series_sum(s, -1), series_sum(s, 167) - series_sum(s, 168));
        series_free(s, n);

        f = gzopen(path, "wb");
        gzputs(f, "start,value\n2026-10-01 00:00:00,1\n2026-10-01 00:20:00,1\n");
        gzclose(f);
        CU_ASSERT_NOT_EQUAL(series_load(dir, &s, &n, bad), 0);
        CU_ASSERT_STRING_EQUAL(bad, "gas-a.csv.gz");
        unlink(path);
        rmdir(dir);
        series_free(made, n_made);
}

HR_TESTS("simulated meters", { "intervals sum up to registers", intervals_sum_up },
         { "hours split exactly", hours_split_exactly },
         { "seeds make meters differ and stay", meters_differ }, { "series files", loads_series })
