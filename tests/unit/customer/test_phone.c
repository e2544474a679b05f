#include <errno.h>

#include "hr_test.h"
#include "phone.h"

static void check(const char *text, const char *country, const char *expected)
{
        char out[PHONE_SIZE] = "untouched";
        int r = phone_normalise(text, country, out);

        if (!expected) {
                CU_ASSERT_EQUAL(r, -EINVAL);
                return;
        }
        CU_ASSERT_EQUAL(r, 0);
        CU_ASSERT_STRING_EQUAL(out, expected);
}

static void forms(void)
{
        check("0912 345 678", "84", "84912345678");
        check("+84 912.345.678", "84", "84912345678");
        check("+84 (0)912-345-678", "84", "84912345678");
        check("0084 912 345 678", "84", "84912345678");
        check("84912345678", "84", "84912345678");
        check("+49 30 1234567", "84", "49301234567");
}

static void without_country(void)
{
        check("0912 345 678", "", "0912345678");
        check("0912 345 678", NULL, "0912345678");
        check("+84 0912", NULL, "840912");
}

static void limits(void)
{
        check("", "84", "");
        check("  ", "84", "");
        check("113", "84", "113");
        check("12", "84", NULL);
        check("+", "84", NULL);
        check("123456789012345", "84", "123456789012345");
        check("1234567890123456", "84", NULL);
        check("1234567890123456789012345678901234567890", "84", NULL);
        check("0912 345 abc", "84", NULL);
        check("091+2345", "84", NULL);
        check("0912345678\n", "84", NULL);
}

HR_TESTS("customer phone", { "the ways people write a number", forms },
         { "no country code configured", without_country },
         { "too short, too long, foreign characters", limits })
