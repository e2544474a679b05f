#include "hr_test.h"

#include "bill.h"
#include "civil.h"

/* The pure part: readings in structs, no database. Berlin, March 2026 (743 hours). */

enum { HOURS = 743, MAX = 4000 };

static struct tz *berlin;
static struct rating_tariff *flat, *tou;
static int64_t at[MAX], value[MAX];
static uint32_t period[MAX];
static uint8_t status[MAX];
static struct bill_segment segment;
static struct bill_part part;
static struct bill_input in;

static struct rating_tariff *tariff(const char *components, const char *calendar)
{
        struct rating_tariff *t = NULL;
        struct rating_error err = { 0 };
        char json[2048];

        snprintf(json, sizeof json,
                 "{\"schema\":\"headrace-tariff-v1\",\"code\":\"T\",\"commodity\":\"electricity\","
                 "\"currency\":\"EUR\"%s,"
                 "\"components\":[%s]}",
                 calendar, components);
        if (rating_tariff_load(&t, json, strlen(json), &err) != 0)
                printf("\n%s\n", err.text);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        return t;
}

/* A whole month of 1000 Wh an hour. */
static void reset(void)
{
        int64_t from = civil_to_day(2026, 3, 1), to = civil_to_day(2026, 4, 1);

        if (!berlin) {
                CU_ASSERT_EQUAL_FATAL(tz_load(&berlin, "Europe/Berlin"), 0);
                flat = tariff("{\"type\":\"energy\",\"code\":\"energy\",\"rate\":\"0.30\"},"
                              "{\"type\":\"percent\",\"code\":\"vat\",\"tax\":true,\"pct\":19,"
                              "\"of\":[\"energy\"]}",
                              "");
        }
        for (int i = 0; i < HOURS; i++) {
                at[i] = tz_day_start(berlin, from) + 3600 * i;
                value[i] = 1000;
                period[i] = 3600;
                status[i] = 0;
        }
        segment = (struct bill_segment){ .meter_id = 1,
                                         .serial = "S1",
                                         .channel = 1,
                                         .code = "energy.import",
                                         .unit = "Wh",
                                         .from = at[0],
                                         .to = at[0] + HOURS * 3600,
                                         .multiplier = { 10000, 4 },
                                         .n = HOURS,
                                         .at = at,
                                         .value = value,
                                         .period_s = period,
                                         .status = status };
        part = (struct bill_part){ .from_day = from,
                                   .to_day = to,
                                   .code = "T",
                                   .version = 1,
                                   .hash = "x",
                                   .current_hash = "x",
                                   .tariff = flat };
        in = (struct bill_input){ .from_day = from,
                                  .to_day = to,
                                  .full_days = 31,
                                  .tz = berlin,
                                  .minor_digits = 2,
                                  .main_code = "energy.import",
                                  .parts = &part,
                                  .n_parts = 1,
                                  .segments = &segment,
                                  .n_segments = 1,
                                  .limits = { .complete_permille = 1000,
                                              .high_percent = 300,
                                              .estimated_percent = 50 } };
}

static const char *first_exception(bool *ret_hard)
{
        static char code[64];
        struct bill b;

        CU_ASSERT_EQUAL_FATAL(bill_compute(&in, &b), 0);
        snprintf(code, sizeof code, "%s", b.n_exceptions ? b.exceptions[0].code : "");
        if (ret_hard)
                *ret_hard = b.n_exceptions && b.exceptions[0].hard;
        CU_ASSERT_EQUAL(b.held, b.n_exceptions > 0);
        bill_deinit(&b);
        return code;
}

static void test_priced(void)
{
        struct bill b;

        reset();
        CU_ASSERT_EQUAL_FATAL(bill_compute(&in, &b), 0);
        CU_ASSERT_TRUE(b.priced && !b.held);
        CU_ASSERT_EQUAL(b.n_lines, 2);
        CU_ASSERT_STRING_EQUAL(b.lines[0].quantity, "743");
        CU_ASSERT_STRING_EQUAL(b.lines[0].unit, "kWh");
        CU_ASSERT_EQUAL(b.lines[0].amount, 22290);
        CU_ASSERT_EQUAL(b.tax, 4235); /* 19 % of 222.90 = 42.351 */
        CU_ASSERT_EQUAL(b.total, 26525);
        CU_ASSERT_STRING_EQUAL(b.unit, "kWh");
        CU_ASSERT_EQUAL(b.determinants[0].missing_s, 0);
        /* 29 March has 23 hours. */
        CU_ASSERT_EQUAL(b.determinants[0].daily[28].m, 23000);
        CU_ASSERT_EQUAL(b.determinants[0].daily[27].m, 24000);
        bill_deinit(&b);
        /* One value a day: a daily register. */
        for (int i = 0; i < 31; i++) {
                at[i] = tz_day_start(berlin, in.from_day + i);
                value[i] = 100 + i;
                period[i] = (uint32_t)(tz_day_start(berlin, in.from_day + i + 1) - at[i]);
        }
        segment.n = 31;
        CU_ASSERT_EQUAL_FATAL(bill_compute(&in, &b), 0);
        CU_ASSERT_EQUAL(b.determinants[0].n_values, 31);
        CU_ASSERT_EQUAL(b.determinants[0].missing_s, 0);
        for (int i = 0; i < 31; i++)
                CU_ASSERT_EQUAL(b.determinants[0].daily[i].m, 100 + i);
        CU_ASSERT_EQUAL(b.determinants[0].quantity.m, 31 * 100 + 31 * 30 / 2);
        bill_deinit(&b);
}

static void test_multiplier(void)
{
        struct bill b;

        reset();
        segment.multiplier = (struct decimal){ 405000, 4 }; /* 40.5 */
        CU_ASSERT_EQUAL_FATAL(bill_compute(&in, &b), 0);
        CU_ASSERT_STRING_EQUAL(b.lines[0].quantity, "30091.5");
        CU_ASSERT_EQUAL(b.lines[0].amount, 902745);
        bill_deinit(&b);
}

static void test_exceptions(void)
{
        bool hard;

        reset();
        CU_ASSERT_STRING_EQUAL(first_exception(NULL), "");
        segment.n--;
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "incomplete_readings");
        CU_ASSERT_TRUE(hard);
        in.limits.complete_permille = 990;
        CU_ASSERT_STRING_EQUAL(first_exception(NULL), "");
        reset();
        status[5] = 8;
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "incomplete_readings");
        reset();
        segment.n = 0;
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "no_readings");
        CU_ASSERT_TRUE(hard);
        reset();
        in.n_segments = 0;
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "missing_quantity");
        CU_ASSERT_TRUE(hard);
        reset();
        in.n_parts = 0;
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "missing_tariff");
        reset();
        part.to_day--;
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "missing_tariff");
        reset();
        part.tariff = NULL;
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "tariff_broken");
        reset();
        in.blocked = "spike on 3 March";
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "validation");
        CU_ASSERT_TRUE(hard);
        reset();
        for (int i = 0; i < HOURS; i++)
                value[i] = 0;
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "zero");
        CU_ASSERT_FALSE(hard);
        reset();
        for (int i = 0; i < HOURS; i++)
                status[i] = i % 2 ? 3 : 1;
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "");
        status[0] = status[2] = 4;
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "many_estimates");
        CU_ASSERT_FALSE(hard);
}

/* 743 kWh in 31 days are 23.97 a day. */
static void test_high(void)
{
        bool hard;

        reset();
        in.previous_daily = (struct decimal){ 8, 0 };
        CU_ASSERT_STRING_EQUAL(first_exception(NULL), "");
        in.previous_daily = (struct decimal){ 79, 1 };
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "high");
        CU_ASSERT_FALSE(hard);
        in.limits.high_percent = 0;
        CU_ASSERT_STRING_EQUAL(first_exception(NULL), "");
}

/* Sums beyond 64 bits are held, not wrapped. */
static void test_range(void)
{
        bool hard;

        reset();
        for (int i = 0; i < HOURS; i++)
                value[i] = INT64_MAX / 4;
        CU_ASSERT_STRING_EQUAL(first_exception(&hard), "out_of_range");
        CU_ASSERT_TRUE(hard);
}

/* The readings' hash changes with any value, its status, its time, the factor and the meter. */
static void test_hash(void)
{
        uint8_t first[BILL_HASH_SIZE];
        struct bill b;

        reset();
        CU_ASSERT_EQUAL_FATAL(bill_compute(&in, &b), 0);
        memcpy(first, b.determinants[0].readings, sizeof first);
        bill_deinit(&b);
        for (int i = 0; i < 6; i++) {
                reset();
                switch (i) {
                case 1:
                        status[9] = 1;
                        break;
                case 2:
                        value[9]++;
                        value[10]--;
                        break;
                case 3:
                        segment.meter_id = 2;
                        break;
                case 4:
                        segment.multiplier.m++;
                        break;
                case 5:
                        at[0]++;
                        break;
                default: /* the same again, with the factor written otherwise */
                        segment.multiplier = decimal_int(1);
                        break;
                }
                CU_ASSERT_EQUAL_FATAL(bill_compute(&in, &b), 0);
                CU_ASSERT_EQUAL(memcmp(first, b.determinants[0].readings, sizeof first) == 0,
                                i == 0);
                bill_deinit(&b);
        }
}

/* Every member of a line is in its hash, and members cannot be shifted into each other. */
static void test_line_hash(void)
{
        struct bill_line
                a = { 1, RATING_CHARGE, "c", "c", "t", "kWh", "1", "2", "3", 4, "{}", { 0 } },
                b;
        uint8_t ha[BILL_HASH_SIZE], hb[BILL_HASH_SIZE];

        bill_line_hash(&a, ha);
        for (int i = 0; i < 11; i++) {
                b = a;
                switch (i) {
                case 0:
                        b.part_no = 2;
                        break;
                case 1:
                        b.kind = RATING_TAX;
                        break;
                case 2:
                        b.code = "d";
                        break;
                case 3:
                        b.component = "d";
                        break;
                case 4:
                        b.text = "u";
                        break;
                case 5:
                        b.unit = "k";
                        break;
                case 6:
                        b.quantity = "10";
                        break;
                case 7:
                        b.price = "20";
                        break;
                case 8:
                        b.exact = "30";
                        break;
                case 9:
                        b.amount = 5;
                        break;
                default:
                        b.trace = "{ }";
                        break;
                }
                bill_line_hash(&b, hb);
                CU_ASSERT_NOT_EQUAL(memcmp(ha, hb, sizeof ha), 0);
        }
        a.code = "ab";
        a.component = "c";
        b = a;
        b.code = "a";
        b.component = "bc";
        bill_line_hash(&a, ha);
        bill_line_hash(&b, hb);
        CU_ASSERT_NOT_EQUAL(memcmp(ha, hb, sizeof ha), 0);
}

/* Price periods need series: two meters, one after the other, the second in quarter hours. */
static void test_series(void)
{
        static int64_t at2[MAX], value2[MAX];
        static uint32_t period2[MAX];
        static uint8_t status2[MAX];
        struct bill_segment two[2];
        struct bill b;
        size_t half = 300, n = 0;

        reset();
        tou = tariff("{\"type\":\"demand\",\"code\":\"power\",\"rate\":\"2\",\"demand\":{\"window_"
                     "s\":3600}}",
                     "");
        for (size_t i = half; i < HOURS; i++) {
                for (int q = 0; q < 4; q++, n++) {
                        at2[n] = at[i] + 900 * q;
                        value2[n] = i == 400 ? 500 : 250;
                        period2[n] = 900;
                        status2[n] = 0;
                }
        }
        two[0] = two[1] = segment;
        two[0].n = half;
        two[1] = (struct bill_segment){ .meter_id = 2,
                                        .serial = "S2",
                                        .channel = 1,
                                        .code = "energy.import",
                                        .unit = "Wh",
                                        .from = at2[0],
                                        .to = segment.to,
                                        .multiplier = decimal_int(1),
                                        .n = n,
                                        .at = at2,
                                        .value = value2,
                                        .period_s = period2,
                                        .status = status2 };
        in.segments = two;
        in.n_segments = 2;
        part.tariff = tou;
        CU_ASSERT_EQUAL_FATAL(bill_compute(&in, &b), 0);
        for (size_t i = 0; i < b.n_exceptions; i++)
                printf("\n%s: %s\n", b.exceptions[i].code, b.exceptions[i].text);
        CU_ASSERT_TRUE(b.priced);
        CU_ASSERT_EQUAL(b.total, 400); /* 2 kW */
        CU_ASSERT_EQUAL(decimal_cmp(b.quantity, decimal_int(744)), 0);
        bill_deinit(&b);
        /* One quarter short: its hour is missing, and nothing is guessed. */
        in.limits.complete_permille = 900;
        two[1].n--;
        CU_ASSERT_STRING_EQUAL(first_exception(NULL), "incomplete_readings");
        rating_tariff_free(tou);
        rating_tariff_free(flat);
        tz_free(berlin);
}

HR_TESTS("bill", { "a month with summer time begins", test_priced },
         { "transformer factor", test_multiplier }, { "what holds a bill", test_exceptions },
         { "high against the last bill", test_high }, { "sums out of range", test_range },
         { "hash of the readings", test_hash }, { "hash of a line", test_line_hash },
         { "series of two meters", test_series })
