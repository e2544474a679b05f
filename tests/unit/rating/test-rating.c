/* The rating core on documents of its own. */

#include "hr_test.h"

#include <ctype.h>

#include "civil.h"
#include "rating.h"
#include "rating_input.h"

#define HEAD(currency)                                                                             \
        "{\"schema\":\"headrace-tariff-v1\",\"code\":\"T\",\"commodity\":\"electricity\","         \
        "\"currency\":\"" currency "\","

static struct rating_tariff *load(const char *json)
{
        struct rating_error err = { 0 };
        struct rating_tariff *t = NULL;

        if (rating_tariff_load(&t, json, strlen(json), &err) != 0)
                printf("\n%s\n", err.text);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        return t;
}

/* "code=amount code=amount | total", or the error's text. */
static const char *bill(const struct rating_tariff *t, const struct rating_input *in)
{
        static char out[4][2000];
        static int k;
        struct rating_error err = { 0 };
        struct rating_result r;
        char *o = out[++k % 4];
        int n = 0, e = rating_run(t, in, &r, &err);

        if (e) {
                snprintf(o, 2000, "%d: %s", e, err.text);
                return o;
        }
        for (size_t i = 0; i < r.n_lines; i++)
                n += snprintf(o + n, (size_t)(2000 - n), "%s=%lld ", r.lines[i].code,
                              (long long)r.lines[i].amount);
        snprintf(o + n, (size_t)(2000 - n), "| %lld", (long long)r.total);
        rating_result_deinit(&r);
        return o;
}

static const char *bill_json(const char *tariff, const char *input)
{
        struct rating_tariff *t = load(tariff);
        struct rating_error err = { 0 };
        struct rating_input in;
        struct arena a;
        struct tz *tz = NULL;
        const char *s;

        arena_init(&a, 0);
        if (rating_input_load(&a, input, strlen(input), &in, &tz, &err) != 0)
                printf("\n%s\n", err.text);
        s = bill(t, &in);
        tz_free(tz);
        arena_deinit(&a);
        rating_tariff_free(t);
        return s;
}

/* ---- components ---- */

static void components_give_the_amounts_of_their_rules(void)
{
        static const struct {
                const char *components, *input, *want;
        } t[] = {
                /* limits grow with days, each block rounded: 50 × 10/30 = 16.67 -> 17, 33.33 -> 33
                 */
                { "{\"type\":\"energy\",\"code\":\"e\",\"limits\":{\"per_days\":30,\"round\":"
                  "\"blocks\"},\"tiers\":[{\"upto\":50,"
                  "\"rate\":1},{\"upto\":150,\"rate\":2},{\"rate\":3}]}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-01-11\",\"quantities\":{\"energy.import\":"
                  "60}",
                  "e_t1=1700 e_t2=6600 e_t3=3000 | 11300" },
                /* limits grow with days only below 25 of them: 24 × 50/30 = 40 */
                { "{\"type\":\"energy\",\"code\":\"e\",\"limits\":{\"per_days\":30,\"below_days\":"
                  "25,\"above_days\":35},"
                  "\"tiers\":[{\"upto\":50,\"rate\":1},{\"rate\":2}]}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-01-26\",\"quantities\":{\"energy.import\":"
                  "60}",
                  "e_t1=5000 e_t2=2000 | 7000" },
                { "{\"type\":\"energy\",\"code\":\"e\",\"limits\":{\"per_days\":30,\"below_days\":"
                  "25,\"above_days\":35},"
                  "\"tiers\":[{\"upto\":50,\"rate\":1},{\"rate\":2}]}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-01-25\",\"quantities\":{\"energy.import\":"
                  "60}",
                  "e_t1=4000 e_t2=4000 | 8000" },
                /* a tax that changes inside the bill: its first part is no base of its second */
                { "{\"type\":\"fixed\",\"code\":\"f\",\"amount\":100},{\"type\":\"percent\","
                  "\"code\":\"v\",\"pct\":6,"
                  "\"versions\":[{\"from\":\"2026-01-16\",\"pct\":\"6.5\"}]}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-01-31\"", "f=10000 v=300 v=325 | 10625" },
                /* the limit itself is inclusive */
                { "{\"type\":\"energy\",\"code\":\"e\",\"tiers\":[{\"upto\":50,\"rate\":1},{"
                  "\"rate\":2}]}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-02-01\",\"quantities\":{\"energy.import\":"
                  "50}",
                  "e_t1=5000 | 5000" },
                /* a price that changes inside the bill: by days, both parts shown */
                { "{\"type\":\"energy\",\"code\":\"e\",\"rate\":1,\"versions\":[{\"from\":\"2026-"
                  "01-11\",\"rate\":2}]}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-01-21\",\"quantities\":{\"energy.import\":"
                  "100}",
                  "e=5000 e=10000 | 15000" },
                { "{\"type\":\"fixed\",\"code\":\"f\",\"per\":\"day\",\"amount\":\"0.4064\"},{"
                  "\"type\":\"fixed\",\"code\":\"g\","
                  "\"per\":\"kw\",\"amount\":2},{\"type\":\"fixed\",\"code\":\"h\",\"per\":"
                  "\"month\",\"amount\":10}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-03-01\",\"contract_kw\":\"3.5\"",
                  "f=2398 g=700 h=2000 | 5098" },
                /* minimum per day; taxes on what was asked for */
                { "{\"type\":\"energy\",\"code\":\"e\",\"rate\":1},{\"type\":\"minimum_bill\","
                  "\"code\":\"m\",\"per\":\"day\","
                  "\"amount\":1},{\"type\":\"percent\",\"code\":\"v\",\"pct\":10}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-02-01\",\"quantities\":{\"energy.import\":"
                  "4}",
                  "e=400 m=2700 v=310 | 3410" },
                { "{\"type\":\"band_fixed\",\"code\":\"b\",\"tiers\":[{\"upto\":10,\"amount\":5},{"
                  "\"amount\":9}]}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-02-01\",\"quantities\":{\"energy.import\":"
                  "10.5}",
                  "b=900 | 900" },
                /* (0.9 / 0.8 - 1) × 100 = 12.5 % of 50 */
                { "{\"type\":\"energy\",\"code\":\"e\",\"rate\":0.5},{\"type\":\"power_factor\","
                  "\"code\":\"k\",\"of\":[\"e\"],"
                  "\"target\":0.9}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-02-01\",\"quantities\":{\"energy.import\":"
                  "100,\"reactive.import\":75}",
                  "e=5000 k=625 | 5625" },
                /* index × 2; rounded down; thousandths of money */
                { "{\"type\":\"energy\",\"code\":\"e\",\"rate\":2,\"index\":\"fuel\"}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-02-01\",\"quantities\":{\"energy.import\":"
                  "10},\"indices\":[{\"name\":"
                  "\"fuel\",\"value\":\"0.1234\",\"source\":\"bulletin "
                  "7\",\"day\":\"2026-01-01\"}]",
                  "e=247 | 247" },
                { "{\"type\":\"energy\",\"code\":\"e\",\"rate\":2,\"index\":\"fuel\"}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-02-01\",\"quantities\":{\"energy.import\":"
                  "10}",
                  "5: component e: the index fuel has no value for this period; enter it with its "
                  "source and date" },
                { "{\"type\":\"energy\",\"code\":\"e\",\"rate\":2}",
                  "\"from\":\"2026-01-01\",\"to\":\"2026-02-01\"",
                  "2: component e needs the quantity energy.import, which was not handed in" },
                { "{\"type\":\"energy\",\"code\":\"e\",\"rate\":2}",
                  "\"from\":\"2026-02-01\",\"to\":\"2026-02-01\"",
                  "6: a billing period must have 1 to 1200 days, not 0" },
        };

        for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
                char tariff[2000], input[1000];
                const char *got;

                snprintf(tariff, sizeof tariff, HEAD("USD") "\"components\":[%s]}",
                         t[i].components);
                snprintf(input, sizeof input, "{%s}", t[i].input);
                got = bill_json(tariff, input);
                if (strcmp(got, t[i].want) != 0)
                        printf("\ncase %zu: %s\n  wanted %s\n", i, got, t[i].want);
                CU_ASSERT_STRING_EQUAL(got, t[i].want);
        }
}

/* What stands beside the components in the document. */
static void documents_give_the_amounts_of_their_rules(void)
{
#define MONTH "\"from\":\"2026-01-01\",\"to\":\"2026-02-01\""
#define TWO_TIERS "\"tiers\":[{\"upto\":100,\"rate\":1},{\"rate\":2}]"
        static const struct {
                const char *body, *input, *want;
        } t[] = {
                /* a component that counts above a quantity only, on one line of another */
                { "\"components\":[{\"type\":\"energy\",\"code\":\"e\"," TWO_TIERS
                  "},{\"type\":\"percent\",\"code\":\"p\",\"pct\":10,\"of\":[\"e_t2\"],\"when\":{"
                  "\"quantity\":\"energy.import\",\"above\":150}}]",
                  MONTH ",\"quantities\":{\"energy.import\":160}",
                  "e_t1=10000 e_t2=12000 p=1200 | 23200" },
                { "\"components\":[{\"type\":\"energy\",\"code\":\"e\"," TWO_TIERS
                  "},{\"type\":\"percent\",\"code\":\"p\",\"pct\":10,\"of\":[\"e_t2\"],\"when\":{"
                  "\"quantity\":\"energy.import\",\"above\":150}}]",
                  MONTH ",\"quantities\":{\"energy.import\":150}",
                  "e_t1=10000 e_t2=10000 | 20000" },
                /* exempt by rule: the flag is not handed in, so the discount does not count */
                { "\"components\":[{\"type\":\"fixed\",\"code\":\"f\",\"amount\":10},{\"type\":"
                  "\"percent\",\"code\":\"exempt\",\"pct\":-100,\"when\":{\"quantity\":\"social\","
                  "\"above\":0,\"absent\":\"skip\"}}]",
                  MONTH, "f=1000 | 1000" },
                { "\"components\":[{\"type\":\"fixed\",\"code\":\"f\",\"amount\":10},{\"type\":"
                  "\"percent\",\"code\":\"exempt\",\"pct\":-100,\"when\":{\"quantity\":\"social\","
                  "\"above\":0,\"absent\":\"skip\"}}]",
                  MONTH ",\"quantities\":{\"social\":1}", "f=1000 exempt=-1000 | 0" },
                { "\"components\":[{\"type\":\"fixed\",\"code\":\"f\",\"amount\":10,\"when\":{"
                  "\"quantity\":\"lamps\",\"above\":0}}]",
                  MONTH,
                  "2: component f needs the quantity lamps, which was not handed in" },
                /* 100 × 31 × 12 / 365 = 101.9178.. */
                { "\"components\":[{\"type\":\"energy\",\"code\":\"e\",\"limits\":{\"per_days\":"
                  "\"365/12\"}," TWO_TIERS "}]",
                  MONTH ",\"quantities\":{\"energy.import\":200}",
                  "e_t1=10192 e_t2=19616 | 29808" },
                /* 100 × 31 / 60, rounded up to 52 */
                { "\"components\":[{\"type\":\"energy\",\"code\":\"e\",\"limits\":{\"per_days\":"
                  "\"full_period\",\"round\":\"limits_up\"}," TWO_TIERS "}]",
                  MONTH ",\"full_days\":60,\"quantities\":{\"energy.import\":60}",
                  "e_t1=5200 e_t2=1600 | 6800" },
                /* 36.5 × 31 × 12 / 365 */
                { "\"components\":[{\"type\":\"fixed\",\"code\":\"f\",\"amount\":36.5,\"per\":"
                  "\"month\",\"proration\":\"days\",\"proration_days\":\"365/12\"}]",
                  MONTH, "f=3720 | 3720" },
                /* a surcharge in per cent as published, a fee in foreign money, demand by index */
                { "\"demand\":{},\"components\":[{\"type\":\"fixed\",\"code\":\"f\","
                  "\"amount\":2,\"index\":\"fx\"},{\"type\":\"demand\",\"code\":\"d\",\"rate\":3,"
                  "\"index\":\"fx\"},{\"type\":\"percent\",\"code\":\"p\",\"pct\":1,\"index\":"
                  "\"fuel\",\"of\":[\"f\"]}]",
                  MONTH ",\"quantities\":{\"energy.import:peak_kw\":10},\"indices\":[{\"name\":"
                  "\"fx\",\"value\":\"1.5\",\"source\":\"bank\",\"day\":\"2026-01-31\"},{\"name\":"
                  "\"fuel\",\"value\":\"12.5\",\"source\":\"gazette\",\"day\":\"2026-01-31\"}]",
                  "f=300 d=4500 p=38 | 4838" },
                { "\"components\":[{\"type\":\"percent\",\"code\":\"p\",\"pct\":1,\"index\":"
                  "\"fuel\"}]",
                  MONTH,
                  "5: component p: the index fuel has no value for this period; enter it with its "
                  "source and date" },
                /* the smallest coin */
                { "\"rounding\":{\"step\":\"0.05\"},\"components\":[{\"type\":\"fixed\",\"code\":"
                  "\"f\",\"amount\":\"1.03\"}]",
                  MONTH, "f=103 rounding=2 | 105" },
                { "\"rounding\":{\"step\":\"0.05\",\"of\":\"total\",\"mode\":\"down\"},"
                  "\"components\":[{\"type\":\"fixed\",\"code\":\"f\",\"amount\":\"1.0999\"}]",
                  MONTH, "f=109 rounding=-4 | 105" },
                /* at least 30 units, by 2 months */
                { "\"components\":[{\"type\":\"energy\",\"code\":\"e\",\"rate\":1,"
                  "\"minimum_quantity\":30,\"limits\":{\"months\":true}}]",
                  MONTH ",\"months\":2,\"quantities\":{\"energy.import\":12}", "e=6000 | 6000" },
                /* a main meter less its submeters, never below nothing */
                { "\"quantities\":{\"common\":{\"add\":[\"main\"],\"subtract\":[\"a\",\"b\"],"
                  "\"at_least\":0}},\"components\":[{\"type\":\"energy\",\"code\":\"e\","
                  "\"quantity\":\"common\",\"rate\":1}]",
                  MONTH ",\"quantities\":{\"main\":100,\"a\":30,\"b\":\"20.5\"}",
                  "e=4950 | 4950" },
                { "\"quantities\":{\"common\":{\"add\":[\"main\"],\"subtract\":[\"a\",\"b\"],"
                  "\"at_least\":0}},\"components\":[{\"type\":\"energy\",\"code\":\"e\","
                  "\"quantity\":\"common\",\"rate\":1}]",
                  MONTH ",\"quantities\":{\"main\":10,\"a\":30,\"b\":0}", "e=0 | 0" },
                /* a table of percentages by power factor, two digits: 0.8449 -> 0.84 */
                { "\"components\":[{\"type\":\"fixed\",\"code\":\"f\",\"amount\":100},{\"type\":"
                  "\"power_factor\",\"code\":\"k\",\"method\":\"table\",\"factor_digits\":2,"
                  "\"table\":[{\"upto\":0.59,\"pct\":52.54},{\"upto\":0.84,\"pct\":7.14},{\"upto\":"
                  "0.89,\"pct\":5.88},{\"pct\":0}]}]",
                  MONTH ",\"quantities\":{\"reactive.import\":0,\"cosphi\":\"0.8449\"}",
                  "f=10000 k=714 | 10714" },
                /* the penalty: up to 10 % over twice the price, beyond three times */
                { "\"demand\":{},\"components\":[{\"type\":\"over_contract\",\"code\":\"o\","
                  "\"rate\":10,\"tiers\":[{\"upto\":10,\"rate\":2},{\"rate\":3}]}]",
                  MONTH ",\"contract_kw\":100,\"quantities\":{\"energy.import:peak_kw\":115}",
                  "o_t1=20000 o_t2=15000 | 35000" },
                /* 50 hours of use at 10 kW, the inside counted from the bill's zero */
                { "\"demand\":{},\"components\":[{\"type\":\"energy\",\"code\":\"e\",\"tiers\":[{"
                  "\"upto\":50,\"per\":\"kw\",\"rate\":1},{\"upto\":100,\"per\":\"kw\",\"count\":"
                  "\"bill\",\"tiers\":[{\"upto\":700,\"rate\":2},{\"rate\":3}]},{\"rate\":4}]}]",
                  MONTH ",\"quantities\":{\"energy.import\":1100,\"energy.import:peak_kw\":10}",
                  "e_t1=50000 e_t2a=40000 e_t2b=90000 e_t3=40000 | 220000" },
                /* hours of use a day */
                { "\"demand\":{},\"components\":[{\"type\":\"energy\",\"code\":\"e\",\"limits\":{"
                  "\"per_days\":1},\"tiers\":[{\"upto\":2,\"per\":\"kw\",\"rate\":1},{\"rate\":2}]}"
                  "]",
                  MONTH ",\"quantities\":{\"energy.import\":700,\"energy.import:peak_kw\":10}",
                  "e_t1=62000 e_t2=16000 | 78000" },
                { "\"demand\":{},\"components\":[{\"type\":\"demand\",\"code\":\"d\","
                  "\"tiers_by_month\":[[{\"upto\":5,\"rate\":1},{\"rate\":2}],[{\"rate\":9}],[{"
                  "\"rate\":9}],[{\"rate\":9}],[{\"rate\":9}],[{\"rate\":9}],[{\"rate\":9}],[{"
                  "\"rate\":9}],[{\"rate\":9}],[{\"rate\":9}],[{\"rate\":9}],[{\"rate\":9}]]}]",
                  MONTH ",\"quantities\":{\"energy.import:peak_kw\":8}",
                  "d_t1=500 d_t2=600 | 1100" },
        };

        for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
                char tariff[2000], input[1000];
                const char *got;

                snprintf(tariff, sizeof tariff, HEAD("USD") "%s}", t[i].body);
                snprintf(input, sizeof input, "{%s}", t[i].input);
                got = bill_json(tariff, input);
                if (strcmp(got, t[i].want) != 0)
                        printf("\ndocument %zu: %s\n  wanted %s\n", i, got, t[i].want);
                CU_ASSERT_STRING_EQUAL(got, t[i].want);
        }
}

static void the_exact_total_is_rounded_once(void)
{
        CU_ASSERT_STRING_EQUAL(
                bill_json(HEAD("USD") "\"rounding\":{\"of\":\"total\"},\"components\":[{\"type\":"
                                      "\"energy\",\"code\":"
                                      "\"a\",\"rate\":\"0.105\"},{\"type\":\"energy\",\"code\":"
                                      "\"b\",\"rate\":\"0.105\"}]}",
                          "{\"from\":\"2026-01-01\",\"to\":\"2026-02-01\",\"quantities\":{\"energy."
                          "import\":1}}"),
                "a=11 b=11 rounding=-1 | 21");
        CU_ASSERT_STRING_EQUAL(bill_json(HEAD("USD") "\"rounding\":{\"mode\":\"half_even\"},"
                                                     "\"components\":[{\"type\":\"energy\","
                                                     "\"code\":\"a\",\"rate\":\"0.105\"}]}",
                                         "{\"from\":\"2026-01-01\",\"to\":\"2026-02-01\","
                                         "\"quantities\":{\"energy.import\":1}}"),
                               "a=10 | 10");
        /* A long fraction and a whole number: 112.484377.. + 1000, none of the digits is lost. */
        CU_ASSERT_STRING_EQUAL(
                bill_json(HEAD("USD") "\"minor_digits\":8,\"rounding\":{\"of\":\"total\"},"
                                      "\"components\":[{\"type\":\"energy\",\"code\":\"a\","
                                      "\"rate\":\"1.123456789\"},{\"type\":\"fixed\",\"code\":"
                                      "\"f\",\"amount\":1000}]}",
                          "{\"from\":\"2026-01-01\",\"to\":\"2026-02-01\",\"quantities\":{\"energy."
                          "import\":\"100.123456789\"}}"),
                "a=11248437727 f=100000000000 | 111248437727");
}

/* ---- intervals ---- */

static const char tou[] = HEAD("EUR") "\"calendar\":{\"holidays\":[\"2026-03-27\"]},\"schedules\":{"
                                      "\"tou\":{\"periods\":[\"day\",\"night\",\"free\"],"
                                      "\"rules\":[{\"days\":[\"weekday\"],\"from\":\"06:30\","
                                      "\"to\":\"22:00\",\"period\":\"day\"},{\"days\":["
                                      "\"holiday\",\"sun\"],\"period\":\"free\"}],\"otherwise\":"
                                      "\"night\"}},\"demand\":{\"window_minutes\":30},"
                                      "\"components\":[{\"type\":\"energy\",\"code\":\"e\","
                                      "\"schedule\":\"tou\",\"prices\":{\"day\":{\"rate\":3},"
                                      "\"night\":{\"rate\":2},\"free\":{\"rate\":1}}},{\"type\":"
                                      "\"demand\",\"code\":\"d\",\"rate\":10}]}";

struct month {
        struct rating_tariff *t;
        struct tz *tz;
        struct rating_input in;
        struct rating_series s;
        int64_t value[4000];
        uint8_t status[4000];
};

/* Whole local days of Berlin, every interval 1000 Wh. */
static struct month *berlin(const char *tariff, int month_from, int day_from, int days,
                            uint32_t period_s)
{
        struct month *m = calloc(1, sizeof(*m));

        m->t = load(tariff);
        CU_ASSERT_EQUAL_FATAL(tz_load(&m->tz, "Europe/Berlin"), 0);
        m->in.from_day = civil_to_day(2026, month_from, day_from);
        m->in.to_day = m->in.from_day + days;
        m->in.tz = m->tz;
        m->s = (struct rating_series){ .name = "energy.import",
                                       .unit = "kWh",
                                       .scale = 3,
                                       .at = tz_day_start(m->tz, m->in.from_day),
                                       .period_s = period_s,
                                       .value = m->value,
                                       .status = m->status };
        m->s.n = (size_t)((tz_day_start(m->tz, m->in.to_day) - m->s.at) / period_s);
        for (size_t i = 0; i < m->s.n; i++)
                m->value[i] = 1000;
        m->in.series = &m->s;
        m->in.n_series = 1;
        return m;
}

static void month_free(struct month *m)
{
        rating_tariff_free(m->t);
        tz_free(m->tz);
        free(m);
}

static void hours_are_priced_in_local_time(void)
{
        /* Friday holiday, Saturday, Sunday of 23 hours, Monday: half hours of 1 kWh. */
        struct month *m = berlin(tou, 3, 27, 4, 1800);

        CU_ASSERT_EQUAL(m->s.n, 190);
        /* free: Friday 48 + Sunday 46; night: Saturday 48 + Monday 13 + 4; day: 31; demand 2 kW */
        CU_ASSERT_STRING_EQUAL(bill(m->t, &m->in),
                               "e_day=9300 e_night=13000 e_free=9400 d=2000 | 33700");
        month_free(m);
        /* Sunday of 25 hours in October, and the Monday after. */
        m = berlin(tou, 10, 25, 2, 1800);
        CU_ASSERT_EQUAL(m->s.n, 98);
        CU_ASSERT_STRING_EQUAL(bill(m->t, &m->in),
                               "e_day=9300 e_night=3400 e_free=5000 d=2000 | 19700");
        month_free(m);
}

/* An edge inside the hour that comes twice: each pass is priced by the clock on the wall. */
static void the_hour_that_comes_twice(void)
{
        static const char edge[] = HEAD("EUR") "\"schedules\":{\"s\":{\"periods\":[\"a\",\"b\"],"
                                               "\"rules\":[{\"from\":\"00:00\",\"to\":"
                                               "\"02:30\",\"period\":\"a\"}],\"otherwise\":\"b\"}},"
                                               "\"components\":[{\"type\":\"energy\","
                                               "\"code\":\"e\",\"schedule\":\"s\",\"prices\":{"
                                               "\"a\":{\"rate\":1},\"b\":{\"rate\":1}}}]}";
        struct month *m = berlin(edge, 10, 25, 1, 1800);

        /* a: 00:00-02:30 and again 02:00-02:30, six half hours; b: the other 44. */
        CU_ASSERT_STRING_EQUAL(bill(m->t, &m->in), "e_a=600 e_b=4400 | 5000");
        month_free(m);
        /* The hour that is left out: a has four half hours. */
        m = berlin(edge, 3, 29, 1, 1800);
        CU_ASSERT_STRING_EQUAL(bill(m->t, &m->in), "e_a=400 e_b=4200 | 4600");
        month_free(m);
}

static void intervals_must_fit_the_edges(void)
{
        struct month *m = berlin(tou, 3, 2, 1, 3600);

        CU_ASSERT_STRING_EQUAL(bill(m->t, &m->in),
                               "4: the interval of 60 minutes at 2026-03-02T05:00:00Z lies across "
                               "an edge of a price period; the "
                               "meter must record shorter intervals for this tariff");
        m->s.period_s = 1800;
        m->s.n = 47;
        CU_ASSERT_STRING_EQUAL(bill(m->t, &m->in),
                               "3: energy.import: 1 intervals of the period are missing, the first "
                               "at 2026-03-02T22:30:00Z; "
                               "estimate or read them before billing");
        m->s.n = 48;
        m->status[5] = RATING_MISSING;
        CU_ASSERT_PTR_NOT_NULL(strstr(bill(m->t, &m->in), "the first at 2026-03-02T01:30:00Z"));
        m->status[5] = 0;
        m->s.at += 900;
        CU_ASSERT_PTR_NOT_NULL(strstr(bill(m->t, &m->in), "off by 900 s"));
        month_free(m);
}

static void demand_is_the_highest_mean_of_its_window(void)
{
        struct month *m = berlin(tou, 3, 2, 1, 900);

        /* 2 kWh in one quarter beside 1: over half an hour 6 kW; over two windows 5 kW would be
         * wrong. */
        m->value[41] = 2000;
        CU_ASSERT_PTR_NOT_NULL(strstr(bill(m->t, &m->in), " d=6000 |"));
        m->value[42] = 2000; /* in the next window */
        CU_ASSERT_PTR_NOT_NULL(strstr(bill(m->t, &m->in), " d=6000 |"));
        m->value[43] = 2000;
        CU_ASSERT_PTR_NOT_NULL(strstr(bill(m->t, &m->in), " d=8000 |"));
        month_free(m);
}

static void a_price_change_splits_by_what_was_measured(void)
{
        struct month *m = berlin(HEAD("EUR") "\"components\":[{\"type\":\"energy\",\"code\":\"e\","
                                             "\"rate\":1,\"versions\":[{\"from\":"
                                             "\"2026-03-03\",\"rate\":2}]}]}",
                                 3, 2, 3, 3600);

        for (size_t i = 0; i < 24; i++)
                m->value[i] = 5000;
        CU_ASSERT_STRING_EQUAL(bill(m->t, &m->in), "e=12000 e=9600 | 21600");
        month_free(m);
}

/* Every interval falls in exactly one price period, whatever zone and season. */
static void price_periods_partition_the_year(void)
{
        static const char *const zones[] = { "Europe/Berlin", "Asia/Ho_Chi_Minh",
                                             "America/St_Johns", "Australia/Lord_Howe",
                                             "America/Chicago" };
        struct rating_tariff *t = load(tou);

        for (size_t z = 0; z < sizeof zones / sizeof *zones; z++) {
                int64_t *value = calloc(366 * 48 + 48, sizeof(*value));
                struct rating_input in = { .from_day = civil_to_day(2026, 1, 1),
                                           .to_day = civil_to_day(2027, 1, 1) };
                struct rating_series s = { .name = "energy.import",
                                           .unit = "kWh",
                                           .scale = 3,
                                           .period_s = 1800,
                                           .value = value };
                struct rating_error err = { 0 };
                struct rating_result r;
                struct decimal sum = DECIMAL_ZERO;
                struct tz *tz;

                CU_ASSERT_EQUAL_FATAL(tz_load(&tz, zones[z]), 0);
                s.at = tz_day_start(tz, in.from_day);
                s.n = (size_t)((tz_day_start(tz, in.to_day) - s.at) / 1800);
                CU_ASSERT_EQUAL(s.n, 365 * 48);
                for (size_t i = 0; i < s.n; i++)
                        value[i] = 1000;
                in.tz = tz;
                in.series = &s;
                in.n_series = 1;
                CU_ASSERT_EQUAL_FATAL(rating_run(t, &in, &r, &err), 0);
                for (size_t i = 0; i < 3; i++)
                        (void)decimal_add(sum, r.lines[i].quantity, &sum);
                CU_ASSERT_EQUAL(decimal_cmp(sum, decimal_int(365 * 48)), 0);
                rating_result_deinit(&r);
                tz_free(tz);
                free(value);
        }
        rating_tariff_free(t);
}

/* ---- the same bytes ---- */

static char *result_bytes(const struct rating_tariff *t, const struct rating_input *in)
{
        struct rating_error err = { 0 };
        struct rating_result r;
        struct buf b;
        char *s;

        buf_init(&b);
        CU_ASSERT_EQUAL_FATAL(rating_run(t, in, &r, &err), 0);
        rating_result_json(t, &r, &b);
        s = strdup(buf_cstr(&b));
        buf_deinit(&b);
        rating_result_deinit(&r);
        return s;
}

static void order_and_map_make_no_difference(void)
{
        struct month *m = berlin(tou, 3, 20, 10, 900);
        struct rating_series parts[3] = { m->s, m->s, m->s }, shuffled[3];
        struct rating_input in = m->in;
        struct rating_error err = { 0 };
        struct rating_map *map = NULL;
        char *whole, *split, *mapped;

        for (size_t i = 0; i < m->s.n; i++)
                m->value[i] = (int64_t)(i * 7919 % 1013);
        whole = result_bytes(m->t, &m->in);
        parts[0].n = 100;
        parts[1].n = 333;
        parts[1].value += 100;
        parts[1].at += 100 * 900;
        parts[2].n = m->s.n - 433;
        parts[2].value += 433;
        parts[2].at += 433 * 900;
        for (int i = 0; i < 3; i++) {
                shuffled[i] = parts[(i + 2) % 3];
                shuffled[i].status = NULL;
        }
        in.series = shuffled;
        in.n_series = 3;
        split = result_bytes(m->t, &in);
        CU_ASSERT_STRING_EQUAL(whole, split);
        CU_ASSERT_EQUAL_FATAL(
                rating_map_new(&map, m->t, m->tz, NULL, 0, in.from_day, in.to_day, 900, &err), 0);
        in.map = map;
        mapped = result_bytes(m->t, &in);
        CU_ASSERT_STRING_EQUAL(whole, mapped);
        CU_ASSERT_PTR_NOT_NULL(
                strstr(whole, "\"steps\":[\"energy.import in price period day of schedule tou: "));
        rating_map_free(map);
        free(whole);
        free(split);
        free(mapped);
        month_free(m);
}

/* The lines of two halves of a bill at one flat price add up to the whole. */
static void halves_add_up(void)
{
        struct month *m = berlin(HEAD("EUR") "\"minor_digits\":6,\"components\":[{\"type\":"
                                             "\"energy\",\"code\":\"e\",\"rate\":"
                                             "\"0.2819\"}]}",
                                 3, 20, 20, 900);
        uint64_t seed = 7;

        for (size_t i = 0; i < m->s.n; i++)
                m->value[i] =
                        (int64_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >>
                                  50);
        for (int cut = 1; cut < 20; cut++) {
                struct rating_input a = m->in, b = m->in;
                struct rating_error err = { 0 };
                struct rating_result x, y, z;

                a.to_day = b.from_day = m->in.from_day + cut;
                CU_ASSERT_EQUAL_FATAL(rating_run(m->t, &m->in, &x, &err), 0);
                CU_ASSERT_EQUAL_FATAL(rating_run(m->t, &a, &y, &err), 0);
                CU_ASSERT_EQUAL_FATAL(rating_run(m->t, &b, &z, &err), 0);
                CU_ASSERT(llabs((long long)(x.total - y.total - z.total)) <= 1);
                rating_result_deinit(&x);
                rating_result_deinit(&y);
                rating_result_deinit(&z);
        }
        month_free(m);
}

/* ---- documents ---- */

/* Line and column of the member, or of the object that lacks it. */
static void mistakes_have_line_and_column(void)
{
        static const struct {
                const char *json, *place;
        } t[] = {
                { "{\n \"schema\": \"headrace-tariff-v1\",\n \"code\": 5}", "(line 3, column 2)" },
                { HEAD("USD") "\n  \"components\": [\n    {\"type\": \"fixed\", \"code\": \"a\\\"b\", "
                              "\"amount\": 1},\n    {\"type\": \"energy\", \"code\": \"e\",\n"
                              "     \"tiers\": [{\"upto\": 5, \"rate\": 1},\n"
                              "               {\"upto\": 4, \"rate\": 1}]}]}",
                  "(line 6, column 17)" },
                { HEAD("USD") "\"components\":[\n\n{\"type\": \"fixed\",\n\"code\": \"f\"}]}",
                  "(line 3, column 1)" },
        };

        for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
                struct rating_error err = { 0 };
                struct rating_tariff *tariff;

                CU_ASSERT(rating_tariff_load(&tariff, t[i].json, strlen(t[i].json), &err) > 0);
                if (!strstr(err.text, t[i].place))
                        printf("\n%s\n", err.text);
                CU_ASSERT_PTR_NOT_NULL(strstr(err.text, t[i].place));
        }
}

static void mistakes_are_named_with_their_place(void)
{
        static const struct {
                const char *json, *want;
        } t[] = {
                { "", "tariff: line 1" },
                { "[]", "tariff: must be a JSON object" },
                { "{\"schema\":\"headrace-tariff-v1\",\n\"code\":}", "tariff: line 2, column" },
                { "{}", "schema: is missing" },
                { HEAD("USD") "\"components\":[],\"colour\":1}",
                  "colour: not a member known here" },
                { HEAD("USD") "\"components\":[{\"type\":\"lottery\",\"code\":\"x\"}]}",
                  "components[0].type: 'lottery' is none of fixed|energy" },
                { HEAD("USD") "\"components\":[{\"type\":\"energy\",\"code\":\"x\",\"ratee\":1}]}",
                  "components[0].ratee: not a member known here" },
                { HEAD("USD") "\"components\":[{\"type\":\"energy\",\"code\":\"x\",\"tiers\":[{"
                              "\"upto\":5,\"rate\":1},{\"upto\":5,"
                              "\"rate\":1}]}]}",
                  "components[0].tiers[1].upto: must be above the limit of the tier before" },
                { HEAD("USD") "\"components\":[{\"type\":\"energy\",\"code\":\"x\",\"tiers\":[{"
                              "\"rate\":1},{\"rate\":1}]}]}",
                  "components[0].tiers[0].upto: only the last tier may be without a limit" },
                { HEAD("USD") "\"components\":[{\"type\":\"percent\",\"code\":\"v\",\"pct\":8,"
                              "\"of\":[\"later\"]},{\"type\":"
                              "\"fixed\",\"code\":\"later\",\"amount\":1}]}",
                  "components[0].of: entry 0 is no component listed before this one" },
                { HEAD("USD") "\"components\":[{\"type\":\"fixed\",\"code\":\"a\",\"amount\":\"1,"
                              "5\"}]}",
                  "components[0].amount: '1,5' is no number" },
                { HEAD("USD") "\"components\":[{\"type\":\"fixed\",\"code\":\"a\",\"amount\":1},{"
                              "\"type\":\"fixed\",\"code\":\"a\","
                              "\"amount\":1}]}",
                  "components[1].code: 'a' is taken" },
                { HEAD("USD") "\"schedules\":{\"s\":{\"periods\":[\"a\"],\"rules\":[{\"from\":\"08:"
                              "00\",\"to\":\"20:00\",\"period\":"
                              "\"a\"}]}},\"components\":[]}",
                  "schedules.s.rules: none holds on Monday 01-01 at 00:00" },
                { HEAD("USD") "\"schedules\":{\"s\":{\"periods\":[\"a\",\"b\"],\"rules\":[{"
                              "\"period\":\"a\"},{\"months\":[7],"
                              "\"days\":[\"sat\"],\"from\":\"10:00\",\"to\":\"11:00\",\"period\":"
                              "\"b\"}]}},\"components\":[]}",
                  "schedules.s.rules: two of them hold on Saturday 07-01 at 10:00" },
                { HEAD("USD") "\"quantities\":{\"a\":{\"multiply\":[\"b\"]},\"b\":{\"multiply\":["
                              "\"a\"]}},\"components\":[]}",
                  "quantities.a: is made from b, which must be listed before it" },
                { HEAD("USD") "\"components\":[{\"type\":\"demand\",\"code\":\"d\",\"rate\":1}]}",
                  "components[0].demand: the tariff does not say what its billing demand is" },
        };

        for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
                struct rating_error err = { 0 };
                struct rating_tariff *x = NULL;

                CU_ASSERT_EQUAL(rating_tariff_load(&x, t[i].json, strlen(t[i].json), &err),
                                RATING_E_DOCUMENT);
                CU_ASSERT_PTR_NULL(x);
                if (strncmp(err.text, t[i].want, strlen(t[i].want)) != 0)
                        printf("\ncase %zu: %s\n  wanted %s\n", i, err.text, t[i].want);
                CU_ASSERT(strncmp(err.text, t[i].want, strlen(t[i].want)) == 0);
        }
}

static void samples_hold_their_examples(void)
{
        static const char *const names[] = { "evn-residential", "tou-residential",
                                             "water-residential", "gas-flat" };
        static char text[200000];
        const char *root = getenv("HEADRACE_SOURCE");

        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                struct rating_error err = { 0 };
                struct rating_tariff *t;
                char path[1024];
                size_t n;
                FILE *f;

                snprintf(path, sizeof path, "%s/billing/tariff/samples/%s.json", root ? root : ".",
                         names[i]);
                f = fopen(path, "r");
                CU_ASSERT_PTR_NOT_NULL_FATAL(f);
                n = fread(text, 1, sizeof text - 1, f);
                text[n] = '\0';
                fclose(f);
                t = load(text);
                CU_ASSERT_EQUAL(rating_tariff_check_examples(t, &n, &err), 0);
                CU_ASSERT(n >= 1);
                rating_tariff_free(t);
                /* One price changed, and they do not hold any more. */
                {
                        char *rate = strstr(text, "\"rate\": ");

                        CU_ASSERT_PTR_NOT_NULL_FATAL(rate);
                        for (rate += 8; !isdigit((unsigned char)*rate) || *rate == '0'; rate++)
                                ;
                        *rate = *rate == '9' ? '8' : (char)(*rate + 1);
                }
                t = load(text);
                CU_ASSERT_EQUAL(rating_tariff_check_examples(t, &n, &err), RATING_E_DOCUMENT);
                CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "example \""));
                rating_tariff_free(t);
        }
}

static void credit_is_carried_and_settled(void)
{
        static const char net[] =
                HEAD("USD") "\"components\":[{\"type\":\"net_metering\",\"code\":\"e\",\"mode\":"
                            "\"energy_rollover\",\"rate\":2,"
                            "\"true_up_month\":3,\"settle\":\"pay\",\"settle_rate\":\"0.5\"}]}";

        CU_ASSERT_STRING_EQUAL(bill_json(net, "{\"from\":\"2026-01-01\",\"to\":\"2026-02-01\","
                                              "\"quantities\":{\"energy.import\":30,"
                                              "\"energy.export\":100}}"),
                               "e=0 | 0");
        CU_ASSERT_STRING_EQUAL(
                bill_json(net,
                          "{\"from\":\"2026-02-01\",\"to\":\"2026-03-01\",\"quantities\":{\"energy."
                          "import\":100,"
                          "\"energy.export\":10},\"carry\":{\"energy\":70,\"energy:all\":70}}"),
                "e=4000 | 4000");
        CU_ASSERT_STRING_EQUAL(
                bill_json(net,
                          "{\"from\":\"2026-03-01\",\"to\":\"2026-04-01\",\"quantities\":{\"energy."
                          "import\":10,"
                          "\"energy.export\":15},\"carry\":{\"energy\":70,\"energy:all\":70}}"),
                "e=0 e_true_up=-3750 | -3750");
}

HR_TESTS("rating", { "components give their amounts", components_give_the_amounts_of_their_rules },
         { "documents give the amounts of their rules", documents_give_the_amounts_of_their_rules },
         { "the exact total is rounded once", the_exact_total_is_rounded_once },
         { "hours are priced in local time", hours_are_priced_in_local_time },
         { "the hour that comes twice", the_hour_that_comes_twice },
         { "intervals must fit the edges", intervals_must_fit_the_edges },
         { "demand is the highest mean", demand_is_the_highest_mean_of_its_window },
         { "a price change splits by measure", a_price_change_splits_by_what_was_measured },
         { "price periods partition the year", price_periods_partition_the_year },
         { "order and map make no difference", order_and_map_make_no_difference },
         { "halves add up", halves_add_up },
         { "credit is carried and settled", credit_is_carried_and_settled },
         { "mistakes are named with their place", mistakes_are_named_with_their_place },
         { "mistakes have line and column", mistakes_have_line_and_column },
         { "samples hold their examples", samples_hold_their_examples })
