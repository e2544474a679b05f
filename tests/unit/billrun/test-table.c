#include <stdlib.h>
#include <string.h>

#include "hr_test.h"
#include "table.h"

static const char *csv(enum table_type type, const char *value)
{
        static char text[256];
        struct buf b = BUF_INIT;
        /* An exact copy, so that the sanitizer sees a read past the end. */
        char *exact = strdup(value);

        table_csv_cell(&b, type, exact, false);
        snprintf(text, sizeof text, "%s", buf_cstr(&b));
        free(exact);
        buf_deinit(&b);
        return text;
}

static const char *json(enum table_type type, const char *value)
{
        static char text[256];
        struct buf b = BUF_INIT;

        table_json_value(&b, type, value);
        snprintf(text, sizeof text, "%s", buf_cstr(&b));
        buf_deinit(&b);
        return text;
}

static void test_formulas(void)
{
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "=1+1"), "\"'=1+1\",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "+84 123"), "\"'+84 123\",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "-5"), "\"'-5\",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "@sum"), "\"'@sum\",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "\t=1"), "\"'\t=1\",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "\r=1"), "\"'\r=1\",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "  =1"), "\"'  =1\",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "a=1"), "a=1,");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_NUMBER, "-5"), "-5,");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_NUMBER, "-5.25"), "-5.25,");
        /* No number is trusted because it stands in a column of numbers. */
        CU_ASSERT_STRING_EQUAL(csv(TABLE_NUMBER, "-5+1"), "\"'-5+1\",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_NUMBER, "=5"), "\"'=5\",");
}

static void test_quotes(void)
{
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, ""), ",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "a,b"), "\"a,b\",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "a\"b"), "\"a\"\"b\",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "a\nb"), "\"a\nb\",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "a;b"), "\"a;b\",");
        CU_ASSERT_STRING_EQUAL(csv(TABLE_TEXT, "Điện"), "Điện,");
}

static void test_line(void)
{
        static const struct table_column columns[] = { { "a", TABLE_TEXT },
                                                       { "b", TABLE_NUMBER },
                                                       { 0 } };
        struct buf b = BUF_INIT;

        table_csv_head(&b, columns);
        table_csv_cell(&b, TABLE_TEXT, NULL, false);
        table_csv_cell(&b, TABLE_NUMBER, "7", true);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&b), "a,b\r\n,7\r\n");
        buf_deinit(&b);
}

static void test_json(void)
{
        CU_ASSERT_STRING_EQUAL(json(TABLE_NUMBER, "12.50"), "12.50");
        CU_ASSERT_STRING_EQUAL(json(TABLE_NUMBER, NULL), "null");
        CU_ASSERT_STRING_EQUAL(json(TABLE_NUMBER, "NaN"), "\"NaN\"");
        CU_ASSERT_STRING_EQUAL(json(TABLE_NUMBER, "007"), "\"007\"");
        CU_ASSERT_STRING_EQUAL(json(TABLE_NUMBER, "1."), "\"1.\"");
        CU_ASSERT_STRING_EQUAL(json(TABLE_NUMBER, "-"), "\"-\"");
        CU_ASSERT_STRING_EQUAL(json(TABLE_TEXT, "4010"), "\"4010\"");
        CU_ASSERT_STRING_EQUAL(json(TABLE_TEXT, "a\"b"), "\"a\\\"b\"");
}

HR_TESTS("report table", { "no cell is a formula", test_formulas }, { "quotes", test_quotes },
         { "lines", test_line }, { "JSON", test_json })
