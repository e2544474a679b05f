/* The catalogue against the database's, and conversions whose result is known. */
#include <errno.h>
#include <stdbool.h>

#include "channel.h"
#include "hr_test.h"

static struct decimal dec(const char *s)
{
        struct decimal d = DECIMAL_ZERO;

        CU_ASSERT_EQUAL_FATAL(decimal_parse(s, &d), 0);
        return d;
}

static int64_t convert(const char *code, const char *value, const char *unit, bool *ret_exact)
{
        const struct channel *ch = channel_by_code(code);
        int64_t v = INT64_MIN;

        CU_ASSERT_PTR_NOT_NULL_FATAL(ch);
        CU_ASSERT_EQUAL(channel_convert(ch, dec(value), unit, &v, ret_exact), 0);
        return v;
}

static void same_as_database(void)
{
        char path[4096], line[512], code[64], commodity[16], unit[8], kind[16], of[8];
        const char *source = getenv("HEADRACE_SOURCE");
        size_t n, seen = 0;
        FILE *f;

        snprintf(path, sizeof path, "%s/daemon/store/sql/002_registry.sql", source ? source : ".");
        f = fopen(path, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        while (fgets(line, sizeof line, f)) {
                const struct channel *ch;
                int number, scaler;

                if (sscanf(line,
                           " (%d , '%63[^']' , '%15[^']' , '%7[^']' , %d , '%15[^']' , %7[^,]",
                           &number, code, commodity, unit, &scaler, kind, of) != 7)
                        continue;
                ch = channel_by_code(code);
                CU_ASSERT_PTR_NOT_NULL_FATAL(ch);
                CU_ASSERT_EQUAL(ch->number, number);
                CU_ASSERT_STRING_EQUAL(ch->commodity, commodity);
                CU_ASSERT_STRING_EQUAL(ch->unit, unit);
                CU_ASSERT_EQUAL(ch->scaler, scaler);
                CU_ASSERT_STRING_EQUAL(channel_kind_name(ch->kind), kind);
                CU_ASSERT_EQUAL(ch->register_of, atoi(of));
                CU_ASSERT_PTR_EQUAL(channel_by_number((unsigned)number), ch);
                seen++;
        }
        fclose(f);
        channel_list(&n);
        CU_ASSERT_EQUAL(seen, n);
}

static void converts_exactly(void)
{
        bool exact = false;

        CU_ASSERT_EQUAL(convert("energy.import", "1.234", "kWh", &exact), 1234);
        CU_ASSERT_TRUE(exact);
        CU_ASSERT_EQUAL(convert("energy.import.total", "9007199254740.993", "kWh", &exact),
                        9007199254740993);
        CU_ASSERT_TRUE(exact);
        CU_ASSERT_EQUAL(convert("energy.import.total", "9223372036854775807", NULL, &exact),
                        INT64_MAX);
        CU_ASSERT_EQUAL(convert("water.volume.total", "12.345", "m3", &exact), 12345);
        CU_ASSERT_TRUE(exact);
        CU_ASSERT_EQUAL(convert("heat.energy", "3.6", "MJ", &exact), 1000);
        CU_ASSERT_TRUE(exact);
        CU_ASSERT_EQUAL(convert("heat.energy.total", "1", "GJ", &exact), 277778);
        CU_ASSERT_FALSE(exact);
        CU_ASSERT_EQUAL(convert("voltage.l1", "230.1", "V", &exact), 230100);
        CU_ASSERT_EQUAL(convert("power.factor", "98.5", "%", &exact), 985);
        CU_ASSERT_EQUAL(convert("temperature", "273.15", "K", &exact), 0);
        CU_ASSERT_EQUAL(convert("temperature", "-1.5", "Cel", &exact), -150);
        CU_ASSERT_EQUAL(convert("flow", "0.5", "m3/h", &exact), 500);
        CU_ASSERT_EQUAL(convert("gas.volume", "1000", "ft3", &exact), 28317);
}

static void rounds_half_even(void)
{
        bool exact = true;

        CU_ASSERT_EQUAL(convert("energy.import", "0.0125", "kWh", &exact), 12);
        CU_ASSERT_FALSE(exact);
        CU_ASSERT_EQUAL(convert("energy.import", "0.0135", "kWh", &exact), 14);
        CU_ASSERT_EQUAL(convert("energy.import", "-0.0135", "kWh", &exact), -14);
        CU_ASSERT_EQUAL(convert("energy.import", "0.0126", "kWh", &exact), 13);
        CU_ASSERT_EQUAL(convert("energy.import", "0.028999999999999998", "kWh", &exact), 29);
}

static void refuses(void)
{
        const struct channel *ch = channel_by_code("energy.import");
        int64_t v = 7;

        CU_ASSERT_EQUAL(channel_convert(ch, dec("1"), "L", &v, NULL), CHANNEL_E_QUANTITY);
        CU_ASSERT_EQUAL(channel_convert(ch, dec("1"), "kwh", &v, NULL), CHANNEL_E_UNIT);
        CU_ASSERT_EQUAL(channel_check_unit(ch, "varh"), CHANNEL_E_QUANTITY);
        CU_ASSERT_EQUAL(channel_check_unit(ch, "MWh"), 0);
        CU_ASSERT_EQUAL(channel_convert(ch, dec("9223372036854775807"), "kWh", &v, NULL), -ERANGE);
        CU_ASSERT_EQUAL(channel_convert(ch, dec("-9223372036854775807"), "GWh", &v, NULL), -ERANGE);
        CU_ASSERT_EQUAL(v, 7);
        CU_ASSERT_PTR_NULL(channel_by_code("energy"));
        CU_ASSERT_PTR_NULL(channel_by_number(20));
}

HR_TESTS("channel", { "the catalogue is the database's", same_as_database },
         { "units convert exactly", converts_exactly },
         { "finer values round half-even and say so", rounds_half_even },
         { "wrong units and sizes are refused", refuses })
