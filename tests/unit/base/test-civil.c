#include "hr_test.h"

#include <errno.h>

#include "civil.h"

static void days_and_dates_agree(void)
{
        int64_t day = civil_to_day(1582, 1, 1);
        int y = 1582, m = 1, d = 1;

        CU_ASSERT_EQUAL(civil_to_day(1970, 1, 1), 0);
        CU_ASSERT_EQUAL(civil_to_day(2000, 3, 1), 11017);
        CU_ASSERT_EQUAL(civil_weekday(0), 3); /* a Thursday */
        for (; y < 2501; day++) {
                int yy, mm, dd;

                civil_from_day(day, &yy, &mm, &dd);
                CU_ASSERT_FATAL(yy == y && mm == m && dd == d);
                CU_ASSERT_EQUAL_FATAL(civil_to_day(y, m, d), day);
                CU_ASSERT_EQUAL_FATAL(civil_weekday(day + 1), (civil_weekday(day) + 1) % 7);
                if (++d > civil_days_in_month(y, m)) {
                        d = 1;
                        if (++m > 12) {
                                m = 1;
                                y++;
                        }
                }
        }
        CU_ASSERT_EQUAL(civil_days_in_month(1900, 2), 28);
        CU_ASSERT_EQUAL(civil_days_in_month(2000, 2), 29);
}

static void reads_dates(void)
{
        static const char *const bad[] = { "",           "2026-1-01",   "2026-02-29",
                                           "2026-13-01", "2026-00-10",  "2026-01-00",
                                           "2026/01/01", "2026-01-01x", "20260101" };
        int64_t day = 5;

        CU_ASSERT_EQUAL(civil_parse_date("2024-02-29", &day), 0);
        CU_ASSERT_EQUAL(day, civil_to_day(2024, 2, 29));
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CU_ASSERT_EQUAL(civil_parse_date(bad[i], &day), -EINVAL);
}

static void reads_instants(void)
{
        int64_t utc = 0;
        bool zone;

        CU_ASSERT_EQUAL(civil_parse("2026-01-31T23:59:59Z", &utc, NULL), 0);
        CU_ASSERT_EQUAL(utc, 1769903999);
        CU_ASSERT_EQUAL(civil_parse("2026-01-31 23:59:59.75+07:00", &utc, NULL), 0);
        CU_ASSERT_EQUAL(utc, 1769903999 - 7 * 3600);
        CU_ASSERT_EQUAL(civil_parse("2026-01-31T23:59:59-03:30", &utc, &zone), 0);
        CU_ASSERT_TRUE(zone);
        CU_ASSERT_EQUAL(utc, 1769903999 + 12600);
        CU_ASSERT_EQUAL(civil_parse("2026-01-31T23:59:59", &utc, &zone), 0);
        CU_ASSERT_FALSE(zone);
        CU_ASSERT_EQUAL(civil_parse("2026-01-31T23:59:59", &utc, NULL), -EINVAL);
        CU_ASSERT_EQUAL(civil_parse("2026-01-31T24:59:59Z", &utc, NULL), -EINVAL);
        CU_ASSERT_EQUAL(civil_parse("2026-02-30T00:00:00Z", &utc, NULL), -EINVAL);
        CU_ASSERT_EQUAL(civil_parse("yesterday", &utc, NULL), -EINVAL);
}

static void writes_what_it_reads(void)
{
        for (int64_t utc = -4000000000; utc < 8000000000; utc += 1234567) {
                char text[CIVIL_RFC3339_SIZE];
                int64_t back = 0;

                civil_format(utc, (int)(utc / 1234567 % 13) * 30, text);
                CU_ASSERT_EQUAL_FATAL(civil_parse(text, &back, NULL), 0);
                CU_ASSERT_EQUAL_FATAL(back, utc);
        }
}

HR_TESTS("civil", { "days and dates agree", days_and_dates_agree }, { "reads dates", reads_dates },
         { "reads instants", reads_instants }, { "writes what it reads", writes_what_it_reads })
