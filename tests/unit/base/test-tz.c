#include "hr_test.h"

#include <errno.h>

#include "civil.h"
#include "tz.h"

/* Instants and offsets computed with Python's zoneinfo. */
static void knows_offsets_of_real_zones(void)
{
        static const struct {
                const char *zone;
                int64_t utc;
                int32_t offset;
        } t[] = {
                { "Europe/Berlin", 1774745940, 3600 },
                { "Europe/Berlin", 1774746000, 7200 },
                { "Europe/Berlin", 1792888200, 7200 },
                { "Europe/Berlin", 1792891800, 3600 },
                { "Europe/Berlin", 3392359200, 7200 },
                { "Europe/Berlin", 3405582000, 3600 },
                { "Europe/Berlin", -2208992400, 3600 },
                { "Asia/Ho_Chi_Minh", 1769878740, 25200 },
                { "America/New_York", 915166800, -18000 },
                { "America/New_York", 1783180800, -14400 },
                { "Australia/Sydney", 3788082000, 39600 },
                { "Australia/Sydney", 3803724000, 36000 },
                { "Asia/Kathmandu", 1777918500, 20700 },
                { "America/Sao_Paulo", 1508036400, -7200 },
                { "Europe/Dublin", 2840140800, 0 },
                { "Europe/Dublin", 2853270000, 3600 },
                { "America/St_Johns", 2224722600, -9000 },
                { "Antarctica/Troll", 2855858400, 7200 },
                { "Africa/Casablanca", 1772323200, 0 },
                { "UTC", 1772323200, 0 },
        };

        for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
                struct tz *tz = NULL;

                CU_ASSERT_EQUAL_FATAL(tz_load(&tz, t[i].zone), 0);
                CU_ASSERT_STRING_EQUAL(tz_name(tz), t[i].zone);
                CU_ASSERT_EQUAL(tz_offset(tz, t[i].utc, NULL), t[i].offset);
                tz_free(tz);
        }
}

static int64_t local(int y, int mo, int d, int h, int mi)
{
        struct civil c = { y, mo, d, h, mi, 0 };

        return civil_to_utc(&c);
}

static void handles_gaps_and_overlaps(void)
{
        struct tz *tz;
        bool dst;

        CU_ASSERT_EQUAL_FATAL(tz_load(&tz, "Europe/Berlin"), 0);
        CU_ASSERT_EQUAL(tz_local_to_utc(tz, local(2026, 3, 29, 1, 59)), 1774745940);
        CU_ASSERT_EQUAL(tz_local_to_utc(tz, local(2026, 3, 29, 2, 0)), 1774746000);
        CU_ASSERT_EQUAL(tz_local_to_utc(tz, local(2026, 3, 29, 2, 30)), 1774746000 + 1800);
        CU_ASSERT_EQUAL(tz_local_to_utc(tz, local(2026, 3, 29, 3, 0)), 1774746000);
        CU_ASSERT_EQUAL(tz_local_to_utc(tz, local(2026, 10, 25, 2, 30)), 1792888200);
        CU_ASSERT_EQUAL(tz_local_to_utc(tz, local(2026, 10, 25, 3, 0)), 1792893600);
        CU_ASSERT_EQUAL(tz_local_to_utc(tz, local(2077, 7, 1, 12, 0)), 3392359200);
        CU_ASSERT_EQUAL(tz_offset(tz, 1774746000, &dst), 7200);
        CU_ASSERT_TRUE(dst);
        CU_ASSERT_EQUAL(tz_next_change(tz, 1774745999), 1774746000);
        CU_ASSERT_EQUAL(tz_next_change(tz, 1774746000), 1792890000);
        /* By the footer's rule alone: the last Sunday of October 2077, 01:00 UTC. */
        CU_ASSERT_EQUAL(tz_next_change(tz, 3392359200), local(2077, 10, 31, 1, 0));
        tz_free(tz);
        CU_ASSERT_EQUAL_FATAL(tz_load(&tz, "Asia/Ho_Chi_Minh"), 0);
        CU_ASSERT_EQUAL(tz_next_change(tz, 1774746000), INT64_MAX);
        tz_free(tz);
}

static void cuts_local_days(void)
{
        struct tz *tz;
        int64_t day = civil_to_day(2026, 3, 29);

        CU_ASSERT_EQUAL_FATAL(tz_load(&tz, "Europe/Berlin"), 0);
        CU_ASSERT_EQUAL(tz_day_start(tz, day + 1) - tz_day_start(tz, day), 23 * 3600);
        day = civil_to_day(2026, 10, 25);
        CU_ASSERT_EQUAL(tz_day_start(tz, day + 1) - tz_day_start(tz, day), 25 * 3600);
        tz_free(tz);
        /* Midnight skipped: the day begins at 01:00 local. */
        CU_ASSERT_EQUAL_FATAL(tz_load(&tz, "America/Sao_Paulo"), 0);
        day = civil_to_day(2017, 10, 15);
        CU_ASSERT_EQUAL(tz_day_start(tz, day), 1508036400);
        CU_ASSERT_EQUAL(tz_day_of(tz, 1508036400), day);
        CU_ASSERT_EQUAL(tz_day_of(tz, 1508036399), day - 1);
        tz_free(tz);
        /* The clock went from 23:30 to 00:30: the day begins with the change. */
        CU_ASSERT_EQUAL_FATAL(tz_load(&tz, "America/Toronto"), 0);
        CU_ASSERT_EQUAL(tz_day_start(tz, civil_to_day(1919, 3, 31)), local(1919, 3, 31, 4, 30));
        tz_free(tz);
}

/* Every instant lies in the day that begins at or before it and ends after it. */
static void days_partition_time(void)
{
        static const char *const zones[] = { "Europe/Berlin",       "America/New_York",
                                             "Australia/Lord_Howe", "America/Sao_Paulo",
                                             "Asia/Kathmandu",      "Africa/Casablanca",
                                             "America/St_Johns",    "Antarctica/Troll" };

        for (size_t z = 0; z < sizeof zones / sizeof *zones; z++) {
                struct tz *tz;
                int64_t next, day = civil_to_day(2014, 1, 1);

                CU_ASSERT_EQUAL_FATAL(tz_load(&tz, zones[z]), 0);
                for (int i = 0; i < 366 * 30; i++, day++) {
                        int64_t s = tz_day_start(tz, day), e = tz_day_start(tz, day + 1);

                        CU_ASSERT_FATAL(e - s >= 21 * 3600 && e - s <= 27 * 3600);
                        CU_ASSERT_EQUAL_FATAL(tz_day_of(tz, s), day);
                        CU_ASSERT_EQUAL_FATAL(tz_day_of(tz, e - 1), day);
                        CU_ASSERT_EQUAL_FATAL(tz_day_of(tz, s - 1), day - 1);
                }
                /* Changes come in order, and nothing changes between two of them. */
                next = civil_to_utc(&(struct civil){ .year = 2014, .month = 1, .day = 1 });
                for (int i = 0; i < 100; i++) {
                        int64_t c = tz_next_change(tz, next);

                        if (c == INT64_MAX)
                                break;
                        CU_ASSERT_FATAL(c > next);
                        CU_ASSERT_EQUAL_FATAL(tz_offset(tz, next, NULL),
                                              tz_offset(tz, c - 1, NULL));
                        CU_ASSERT_NOT_EQUAL_FATAL(tz_offset(tz, c, NULL),
                                                  tz_offset(tz, c - 1, NULL));
                        next = c;
                }
                tz_free(tz);
        }
}

static void refuses_bad_names_and_files(void)
{
        static const char *const bad[] = { "",    "/etc/passwd", "../x", "Europe/../../etc",
                                           "a b", "x\ny" };
        uint8_t junk[100] = "TZif2";
        struct tz *tz = NULL;

        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CU_ASSERT_EQUAL(tz_load(&tz, bad[i]), -EINVAL);
        CU_ASSERT_EQUAL(tz_load(&tz, "Europe/Nowhere"), -ENOENT);
        CU_ASSERT_EQUAL(tz_load(&tz, "Europe"), -EINVAL);
        CU_ASSERT_EQUAL(tz_parse(&tz, "junk", junk, sizeof junk), -EINVAL);
        CU_ASSERT_EQUAL(tz_parse(&tz, "junk", junk, 0), -EINVAL);
        CU_ASSERT_PTR_NULL(tz);
}

HR_TESTS("tz", { "knows offsets of real zones", knows_offsets_of_real_zones },
         { "handles gaps and overlaps", handles_gaps_and_overlaps },
         { "cuts local days", cuts_local_days }, { "days partition time", days_partition_time },
         { "refuses bad names and files", refuses_bad_names_and_files })
