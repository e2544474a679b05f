/* SenML and flat JSON: what is read, to the digit, and what is refused, in which words. */
#include <stdbool.h>

#include "hr_test.h"
#include "json.h"
#include "payload.h"

static struct payload_field fields[8];
static struct payload_map map;
static struct payload_record records[256];
static struct payload_result result;
static char text[PAYLOAD_ERROR_TEXT];

static const int64_t NOW = 1790000000;

static void field(size_t i, const char *name, const char *code, const char *unit, uint32_t period_s)
{
        fields[i] = (struct payload_field){
                .name = name, .channel = channel_by_code(code), .unit = unit, .period_s = period_s
        };
        if (map.n_fields <= i)
                map.n_fields = i + 1;
}

static void prepare(void)
{
        memset(fields, 0, sizeof fields);
        map = (struct payload_map){ .fields = fields, .stamp = PAYLOAD_STAMP_START };
        result = (struct payload_result){ .records = records, .max = 256 };
        field(0, "energy.import", "energy.import", "Wh", 900);
        field(1, "energy.import.total", "energy.import.total", "kWh", 0);
        field(2, "voltage.l1", "voltage.l1", "V", 0);
        field(3, "use_l", "water.volume", "L", 900);
        field(4, "data.m3", "water.volume.total", "m3", 0);
}

/* Exact-size heap copies: the sanitizer sees a read past the end. */
static enum payload_error decode(bool senml, const char *s, size_t n)
{
        char *copy = malloc(n ? n : 1);
        enum payload_error e;

        memcpy(copy, s, n);
        e = (senml ? payload_senml_decode : payload_flat_decode)(copy, n, &map, NOW, &result, text);
        free(copy);
        return e;
}

static void expect(size_t i, const char *code, int64_t at, uint32_t period_s, int64_t value)
{
        CU_ASSERT_FATAL(i < result.n);
        CU_ASSERT_STRING_EQUAL(records[i].channel->code, code);
        CU_ASSERT_EQUAL(records[i].at, at);
        CU_ASSERT_EQUAL(records[i].period_s, period_s);
        CU_ASSERT_EQUAL(records[i].value, value);
}

static void senml(const char *s)
{
        CU_ASSERT_EQUAL(decode(true, s, strlen(s)), PAYLOAD_OK);
        CU_ASSERT_STRING_EQUAL(text, "");
}

static void flat(const char *s)
{
        CU_ASSERT_EQUAL(decode(false, s, strlen(s)), PAYLOAD_OK);
        CU_ASSERT_STRING_EQUAL(text, "");
}

static void senml_bases(void)
{
        prepare();
        senml("[{\"bn\":\"M1:\",\"bt\":1767225600,\"bu\":\"kWh\",\"bv\":1,\"n\":\"energy.import\","
              "\"v\":0.5},"
              "{\"n\":\"energy.import\",\"t\":900,\"v\":-0.25},"
              "{\"u\":\"Wh\",\"n\":\"energy.import.total\",\"t\":900.9,\"v\":9007199254740992},"
              "{\"v\":230.1,\"u\":\"V\",\"bv\":0,\"n\":\"voltage.l1\"}]");
        CU_ASSERT_STRING_EQUAL(result.identity, "M1");
        CU_ASSERT_EQUAL(result.n, 4);
        expect(0, "energy.import", 1767225600, 900, 1500);
        expect(1, "energy.import", 1767226500, 900, 750);
        expect(2, "energy.import.total", 1767226500, 0, 9007199254740993);
        expect(3, "voltage.l1", 1767225600, 0, 230100);
        CU_ASSERT_EQUAL(result.ignored, 0);
}

static void senml_times(void)
{
        prepare();
        map.stamp = PAYLOAD_STAMP_END;
        senml("[{\"n\":\"energy.import\",\"v\":1},{\"n\":\"energy.import\",\"t\":-900,\"v\":2},"
              "{\"n\":\"voltage.l1\",\"t\":-10.5,\"v\":1e2}]");
        expect(0, "energy.import", NOW - 900, 900, 1);
        expect(1, "energy.import", NOW - 1800, 900, 2);
        expect(2, "voltage.l1", NOW - 11, 0, 100000);
}

static void senml_names(void)
{
        prepare();
        senml("[{\"bn\":\"urn:dev:ow:10e2073a0108006:energy.import\",\"v\":3},"
              "{\"bn\":\"urn:dev:x/\",\"n\":\"voltage.l1\",\"v\":1.5},"
              "{\"n\":\"xvoltage.l1\",\"v\":1.5},{\"n\":\"door\",\"vb\":true},"
              "{\"n\":\"energy.import\",\"vs\":\"off\"},{\"n\":\"energy.import\",\"s\":4},"
              "{\"bt\":1767225600}]");
        CU_ASSERT_EQUAL(result.n, 2);
        expect(0, "energy.import", NOW, 900, 3);
        expect(1, "voltage.l1", NOW, 0, 1500);
        CU_ASSERT_EQUAL(result.ignored, 4);
        CU_ASSERT_STRING_EQUAL(result.first_ignored, "urn:dev:x/xvoltage.l1");
        CU_ASSERT_STRING_EQUAL(result.identity, "urn:dev:ow:10e2073a0108006:energy.import");
}

static void flat_documents(void)
{
        prepare();
        map.stamp = PAYLOAD_STAMP_END;
        map.time_field = "ts";
        map.identity_field = "id";
        map.period_field = "every";
        flat("{\"use_l\":12,\"every\":\"3600\",\"id\":\"W\\u00e91\",\"data\":{\"m3\":\"4.012\","
             "\"x\":[1,{}]},"
             "\"ts\":\"2026-01-01T07:00:00+07:00\",\"nothing\":null}");
        CU_ASSERT_STRING_EQUAL(result.identity, "W\xC3\xA9"
                                                "1");
        CU_ASSERT_EQUAL(result.n, 2);
        expect(0, "water.volume", 1767225600 - 3600, 3600, 12);
        expect(1, "water.volume.total", 1767225600, 0, 4012);
        CU_ASSERT_EQUAL(result.ignored, 2);

        map.time_format = PAYLOAD_TIME_UNIX_MS;
        flat("[{\"ts\":1767225600999,\"id\":7,\"use_l\":1},{\"id\":7,\"ts\":1767226500000,\"use_"
             "l\":null}]");
        CU_ASSERT_STRING_EQUAL(result.identity, "7");
        CU_ASSERT_EQUAL(result.n, 1);
        expect(0, "water.volume", 1767225600 - 900, 900, 1);

        map.time_format = PAYLOAD_TIME_UNIX;
        fields[3].scale = (struct decimal){ 25, 1 };
        flat("{\"ts\":\"1767225600\",\"use_l\":4}");
        expect(0, "water.volume", 1767225600 - 900, 900, 10);

        map.time_field = NULL;
        flat("{\"use_l\":4}");
        expect(0, "water.volume", NOW - 900, 900, 10);
}

static void refusals(void)
{
        static const struct {
                bool senml;
                enum payload_error error;
                const char *doc, *text;
        } cases[] = {
                { true, PAYLOAD_E_SYNTAX, "{}", "byte 0: an array is expected" },
                { true, PAYLOAD_E_SYNTAX, "[{\"n\":\"a\" \"v\":1}]",
                  "byte 10: a comma or the end is expected" },
                { true, PAYLOAD_E_SYNTAX, "[{\"v\":01}]", "byte 8: malformed number" },
                { true, PAYLOAD_E_SYNTAX, "[]x", "byte 2: something follows the end" },
                { true, PAYLOAD_E_SYNTAX, "[{\"n\":\"\\ud800\"}]", "byte 13: bad \\u escape" },
                { true, PAYLOAD_E_SYNTAX, "[{\"v\":99999999999999999999}]",
                  "byte 26: number too large" },
                { true, PAYLOAD_E_LAYOUT, "[{\"bver\":11}]",
                  "record 1: SenML version is not 1 to 10" },
                { true, PAYLOAD_E_LAYOUT, "[{\"n\":\"a\"}]", "record 1: no value" },
                { true, PAYLOAD_E_LAYOUT, "[{\"v\":1}]", "record 1: no name" },
                { true, PAYLOAD_E_LAYOUT, "[{\"bt\":0},{\"x_\":1}]",
                  "record 2: member x_ is mandatory and unknown" },
                { true, PAYLOAD_E_VALUE, "[{\"n\":\"energy.import\",\"u\":\"L\",\"v\":1}]",
                  "record 1: unit L of energy.import cannot be converted to Wh" },
                { true, PAYLOAD_E_VALUE, "[{\"n\":\"energy.import\",\"u\":\"GWh\",\"v\":9e15}]",
                  "record 1: value of energy.import is too large" },
                { true, PAYLOAD_E_VALUE, "[{\"n\":\"voltage.l1\",\"t\":5e9,\"v\":1}]",
                  "record 1: time 5000000000 of voltage.l1 is not between the years 2000 and "
                  "2100" },
                { true, PAYLOAD_E_LIMIT, "[{\"x\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}]",
                  NULL },
                { false, PAYLOAD_E_LAYOUT, "{\"use_l\":1}",
                  "record 1: member ts with the time is missing" },
                { false, PAYLOAD_E_VALUE, "{\"ts\":\"2026-01-01T00:00:00\",\"use_l\":1}",
                  "record 1: ts is no RFC 3339 time with a zone: \"2026-01-01T00:00:00\"" },
                { false, PAYLOAD_E_VALUE, "{\"ts\":\"2026-01-01T00:00:00Z\",\"use_l\":true}",
                  "record 1: use_l is no number" },
                { false, PAYLOAD_E_VALUE, "{\"use_l\":\"12 l\"}",
                  "record 1: use_l is no number: \"12 l\"" },
                { false, PAYLOAD_E_LAYOUT, "[{\"id\":\"a\"},{\"id\":\"b\"}]",
                  "record 2: one message names two devices: a and b" },
                { false, PAYLOAD_E_LIMIT,
                  "{\"z\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
                  "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{",
                  NULL },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                prepare();
                map.time_field = "ts";
                map.identity_field = "id";
                CU_ASSERT_EQUAL(decode(cases[i].senml, cases[i].doc, strlen(cases[i].doc)),
                                cases[i].error);
                CU_ASSERT_EQUAL(result.n, 0);
                if (cases[i].text)
                        CU_ASSERT_STRING_EQUAL(text, cases[i].text);
                if (cases[i].text && strcmp(text, cases[i].text) != 0)
                        printf("\n%s\n -> %s\n", cases[i].doc, text);
        }
}

static void limits(void)
{
        static const char no_name[] = "[{\"n\":\"voltage.l1\",\"v\":1},{\"v\":2}]";
        static const char two[] = "[{\"bn\":\"voltage.l1\",\"v\":1},{\"v\":2}]";
        char *big = calloc(1, PAYLOAD_MAX_BYTES + 1);

        prepare();
        result.max = 1;
        CU_ASSERT_EQUAL(decode(true, no_name, strlen(no_name)), PAYLOAD_E_LAYOUT);
        CU_ASSERT_EQUAL(decode(true, two, strlen(two)), PAYLOAD_E_LIMIT);
        CU_ASSERT_STRING_EQUAL(text, "record 2: more than 1 values in one message");
        memset(big, ' ', PAYLOAD_MAX_BYTES + 1);
        CU_ASSERT_EQUAL(decode(true, big, PAYLOAD_MAX_BYTES + 1), PAYLOAD_E_LIMIT);
        CU_ASSERT_EQUAL(decode(true, big, PAYLOAD_MAX_BYTES), PAYLOAD_E_SYNTAX);
        free(big);
}

/* Every cut of a good document is refused, and nothing is read past its end. */
static void cuts(void)
{
        static const char doc[] =
                "[{\"bn\":\"M\\u00411:\",\"bt\":1767225600,\"n\":\"energy.import\","
                "\"v\":-1.5e1,\"x\":[true,false,null,{\"a\":\"\\n\"}]}]";

        prepare();
        CU_ASSERT_EQUAL(decode(true, doc, sizeof doc - 1), PAYLOAD_OK);
        expect(0, "energy.import", 1767225600, 900, -15);
        for (size_t n = 0; n < sizeof doc - 1; n++)
                CU_ASSERT_EQUAL(decode(true, doc, n), PAYLOAD_E_SYNTAX);
}

static void numbers(void)
{
        static const struct {
                const char *text, *want;
        } cases[] = {
                { "0", "0" },
                { "-0.0", "0" },
                { "0.1", "0.1" },
                { "9007199254740993", "9007199254740993" },
                { "9223372036854775807", "9223372036854775807" },
                { "9223372036854775808", NULL },
                { "1e18", "1000000000000000000" },
                { "1e19", NULL },
                { "12.5E-1", "1.25" },
                { "1e-30", "0" },
                { "0e999999999999999999", "0" },
                { "0.12345678901234567890123", "0.123456789012345678" },
                { "28.999999999999998223643160599749535322189331054", "28.99999999999999822" },
                { "1.", NULL },
                { ".5", NULL },
                { "+1", NULL },
                { "--1", NULL },
                { "00", NULL },
                { "1e", NULL },
                { "0x10", NULL },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct json_reader r;
                struct decimal d = DECIMAL_ZERO;
                char out[DECIMAL_TEXT_SIZE];

                jread_init(&r, cases[i].text, strlen(cases[i].text));
                jread_decimal(&r, &d);
                jread_finish(&r);
                if (!cases[i].want) {
                        CU_ASSERT_PTR_NOT_NULL(r.error);
                        continue;
                }
                CU_ASSERT_PTR_NULL(r.error);
                decimal_format(d, 0, out);
                CU_ASSERT_STRING_EQUAL(out, cases[i].want);
        }
}

static void round_trip(void)
{
        struct payload_record in[] = {
                { &fields[0], NULL, 1767225600, 900, 123, true },
                { &fields[0], NULL, 1767226500, 900, 0, true },
                { &fields[1], NULL, 1767227400, 0, INT64_MAX, true },
                { &fields[2], NULL, 1767227400, 0, 229987, true },
        };
        struct buf b = BUF_INIT;

        for (int stamp = PAYLOAD_STAMP_START; stamp <= PAYLOAD_STAMP_END; stamp++) {
                prepare();
                map.stamp = (enum payload_stamp)stamp;
                for (size_t i = 0; i < 4; i++)
                        in[i].channel = in[i].field->channel;
                buf_reset(&b);
                payload_senml_encode(&b, "HRS0001:", map.stamp, in, 4);
                CU_ASSERT_FALSE_FATAL(b.failed);
                CU_ASSERT_EQUAL(decode(true, (const char *)b.p, b.len), PAYLOAD_OK);
                CU_ASSERT_STRING_EQUAL(result.identity, "HRS0001");
                CU_ASSERT_EQUAL(result.n, 4);
                for (size_t i = 0; i < 4; i++)
                        expect(i, in[i].channel->code, in[i].at, in[i].period_s, in[i].value);
        }
        buf_deinit(&b);
}

static void map_check(void)
{
        prepare();
        CU_ASSERT_EQUAL(payload_map_check(&map, text), 0);
        fields[0].period_s = 0;
        CU_ASSERT_NOT_EQUAL(payload_map_check(&map, text), 0);
        CU_ASSERT_STRING_EQUAL(
                text,
                "energy.import: interval channel energy.import needs a period of 60 to 86400 s");
        prepare();
        fields[1].unit = "m3";
        CU_ASSERT_NOT_EQUAL(payload_map_check(&map, text), 0);
}

HR_TESTS("payload", { "SenML base fields hold on and add up", senml_bases },
         { "SenML relative times and interval ends", senml_times },
         { "SenML names by end, whole and base", senml_names },
         { "flat documents: order, nesting, periods, formats", flat_documents },
         { "refusals say what and where", refusals }, { "bounds", limits },
         { "every cut is refused", cuts }, { "numbers are exact or refused", numbers },
         { "what the encoder writes is read back", round_trip }, { "maps are checked", map_check })
