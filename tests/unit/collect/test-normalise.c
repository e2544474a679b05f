/* Pushed messages of every protocol into payloads; what is refused, and why. */
#include "hr_test.h"

#include <errno.h>
#include <time.h>

#include "message.h"
#include "normalise.h"

static struct registry_meter meter_of(const char *model)
{
        struct registry_meter m = {
                .meter_id = 1, .serial = "SER1", .identity = "M1", .model = model, .period_s = 900
        };

        for (const struct model_file *f = model_builtin(); f->name; f++)
                if (strcmp(f->name, model) == 0) {
                        m.profile = f->json;
                        m.protocol = strcmp(f->protocol, "dlms") == 0   ? METER_DLMS
                                     : strcmp(f->protocol, "coap") == 0 ? METER_COAP
                                                                        : METER_MQTT;
                }
        return m;
}

static enum normalise_refusal run(const char *model, const void *raw, size_t n, struct buf *out,
                                  struct normalise_counts *counts, char *why)
{
        struct registry_meter m = meter_of(model);
        struct meter_model *parsed = NULL;
        enum normalise_refusal r;
        char text[200];

        CU_ASSERT_EQUAL_FATAL(model_parse(&parsed, m.profile, text, sizeof text), 0);
        memset(counts, 0, sizeof *counts);
        r = normalise_message(&m, parsed, raw, n, 1750003200, out, counts, why, 200);
        free(parsed);
        return r;
}

struct section {
        struct message_section s;
        int64_t v[8];
};

static size_t sections(struct buf *b, struct section *out, size_t cap)
{
        struct rd r = rd_of(b->p, b->len);
        size_t n = 0;

        CU_ASSERT_EQUAL(message_check(b->p, b->len), 0);
        while (n < cap && message_next(&r, &out[n].s) > 0) {
                int64_t v = 0;

                for (uint32_t i = 0; out[n].s.type == MESSAGE_INTERVALS && i < out[n].s.n && i < 8;
                     i++)
                        out[n].v[i] = v += rd_zigzag(&out[n].s.values);
                n++;
        }
        return n;
}

static void senml_becomes_intervals_and_registers(void)
{
        static const char text[] = "[{\"bn\":\"M1:\",\"bt\":1750000500,\"n\":\"energy.import\","
                                   "\"u\":\"Wh\",\"v\":250},"
                                   "{\"n\":\"energy.import\",\"t\":900,\"u\":\"kWh\",\"v\":0.3},"
                                   "{\"n\":\"energy.import\",\"t\":1800,\"v\":-5},"
                                   "{\"n\":\"voltage.l1\",\"u\":\"V\",\"v\":230.1},"
                                   "{\"n\":\"nobody.knows\",\"v\":1}]";
        struct normalise_counts counts;
        struct buf out = BUF_INIT;
        struct section s[8];
        char why[200];

        CU_ASSERT_EQUAL(run("HR-MQTT-SENML", text, strlen(text), &out, &counts, why),
                        NORMALISE_NONE);
        CU_ASSERT_EQUAL(counts.values, 4);
        CU_ASSERT_EQUAL(counts.refused[NORMALISE_UNMAPPED], 1);
        CU_ASSERT_EQUAL_FATAL(sections(&out, s, 8), 2);
        CU_ASSERT_EQUAL(s[0].s.type, MESSAGE_REGISTER);
        CU_ASSERT_EQUAL(s[0].s.channel, 10);
        CU_ASSERT_EQUAL(s[0].s.value, 230100);
        CU_ASSERT_EQUAL(s[1].s.type, MESSAGE_INTERVALS);
        CU_ASSERT_EQUAL(s[1].s.channel, 1);
        CU_ASSERT_EQUAL(s[1].s.at, 1750000500);
        CU_ASSERT_EQUAL(s[1].s.n, 3);
        CU_ASSERT_EQUAL(s[1].v[0], 250);
        CU_ASSERT_EQUAL(s[1].v[1], 300);
        CU_ASSERT_EQUAL(s[1].v[2], -5);
        buf_deinit(&out);
}

static void flat_end_stamps_become_starts(void)
{
        static const char text[] = "{\"id\":\"M1\",\"ts\":\"2025-06-15T15:15:00Z\",\"use_l\":12,"
                                   "\"volume_m3\":345.678}";
        struct normalise_counts counts;
        struct buf out = BUF_INIT;
        struct section s[4];
        char why[200];

        CU_ASSERT_EQUAL(run("HR-MQTT-FLAT", text, strlen(text), &out, &counts, why),
                        NORMALISE_NONE);
        CU_ASSERT_EQUAL_FATAL(sections(&out, s, 4), 2);
        CU_ASSERT_EQUAL(s[0].s.channel, 133);
        CU_ASSERT_EQUAL(s[0].s.at, 1750000500);
        CU_ASSERT_EQUAL(s[0].s.value, 345678);
        CU_ASSERT_EQUAL(s[1].s.channel, 5);
        CU_ASSERT_EQUAL(s[1].s.at, 1750000500 - 900);
        CU_ASSERT_EQUAL(s[1].v[0], 12);
        buf_deinit(&out);
}

static void what_is_wrong_is_refused_whole_and_told(void)
{
        static const struct {
                const char *model, *text;
                enum normalise_refusal refusal;
                const char *why;
        } cases[] = {
                { "HR-MQTT-SENML", "", NORMALISE_MALFORMED, "" },
                { "HR-MQTT-SENML", "{", NORMALISE_MALFORMED, "" },
                { "HR-MQTT-SENML", "\xff\xfe[]", NORMALISE_MALFORMED, "" },
                { "HR-MQTT-SENML", "{\"a\":1}", NORMALISE_MALFORMED, "" },
                { "HR-MQTT-SENML", "[{\"bn\":\"M1:\",\"n\":\"x\",\"v\":1}]",
                  NORMALISE_UNKNOWN_LAYOUT, "M1:x" },
                { "HR-MQTT-SENML",
                  "[{\"bn\":\"M2:\",\"bt\":1750000500,\"n\":\"energy.import\",\"v\":1}]",
                  NORMALISE_IDENTITY, "M2" },
                { "HR-MQTT-SENML",
                  "[{\"bn\":\"M1:\",\"bt\":1750000500,\"n\":\"energy.import\",\"u\":\"L\",\"v\":1}"
                  "]",
                  NORMALISE_RANGE, "" },
                { "HR-MQTT-SENML",
                  "[{\"bn\":\"M1:\",\"bt\":1950000300,\"n\":\"energy.import\",\"v\":1}]",
                  NORMALISE_TIME, "energy.import" },
                { "HR-MQTT-SENML",
                  "[{\"bn\":\"M1:\",\"bt\":1750000800,\"n\":\"energy.import\",\"v\":1}]",
                  NORMALISE_TIME, "energy.import" },
                { "HR-MQTT-SENML",
                  "[{\"bn\":\"M1:\",\"bt\":1750000500,\"n\":\"energy.import\",\"v\":1e30}]",
                  NORMALISE_MALFORMED, "" },
                { "HR-MQTT-FLAT", "{\"id\":\"M1\",\"ts\":\"yesterday\",\"use_l\":1}",
                  NORMALISE_RANGE, "" },
                { "HR-MQTT-FLAT", "{\"id\":\"other\",\"ts\":\"2025-06-15T15:15:00Z\",\"use_l\":1}",
                  NORMALISE_IDENTITY, "other" },
                { "ISKRA-AM550", "not dlms at all", NORMALISE_MALFORMED, "" },
                { "ISKRA-AM550", "\x0f\x00\x00\x00\x01\x00\x02\x01\x11\x05", NORMALISE_MALFORMED,
                  "" },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct normalise_counts counts;
                struct buf out = BUF_INIT;
                char why[200] = "";
                enum normalise_refusal r;
                /* An exact copy, so that a read beyond it is seen. */
                size_t n = strlen(cases[i].text);
                char *exact = malloc(n ? n : 1);

                memcpy(exact, cases[i].text, n);
                r = run(cases[i].model, exact, n, &out, &counts, why);
                if (r != cases[i].refusal || !strstr(why, cases[i].why))
                        printf("\n%s -> %s: %s\n", cases[i].text, normalise_refusal_name(r), why);
                CU_ASSERT_EQUAL(r, cases[i].refusal);
                CU_ASSERT_PTR_NOT_NULL(strstr(why, cases[i].why));
                CU_ASSERT_EQUAL(out.len, 0);
                CU_ASSERT_EQUAL(counts.values, 0);
                CU_ASSERT(counts.refused[cases[i].refusal] >= 1);
                free(exact);
                buf_deinit(&out);
        }
}

static void clocks_beside_the_second_are_put_on_the_grid(void)
{
        struct model_target t = { .channel = channel_by_code("energy.import"), .period_s = 900 };
        struct buf out = BUF_INIT;
        struct normaliser n;
        struct section s[4];

        normalise_init(&n, &out, 1750003200);
        CU_ASSERT_EQUAL(normalise_value(&n, &t, 1750000503, 0, 0, decimal_int(1), NULL),
                        NORMALISE_NONE);
        CU_ASSERT_EQUAL(normalise_value(&n, &t, 1750001393, 0, 0, decimal_int(2), NULL),
                        NORMALISE_NONE);
        CU_ASSERT_EQUAL(normalise_value(&n, &t, 1750002311, 0, 0, decimal_int(3), NULL),
                        NORMALISE_TIME);
        CU_ASSERT_EQUAL(
                normalise_value(&n, &t, 1750002300, 0, READING_CLOCK_DOUBT, decimal_int(4), NULL),
                NORMALISE_NONE);
        CU_ASSERT_EQUAL(normalise_value(&n, &t, 1750002300, 0, 0, decimal_int(INT64_MAX), "MWh"),
                        NORMALISE_RANGE);
        CU_ASSERT_EQUAL(normalise_value(&n, &t, 1750002300, 0, 0, decimal_int(1), "V"),
                        NORMALISE_UNIT);
        CU_ASSERT_TRUE(normalise_flush(&n));
        CU_ASSERT_EQUAL_FATAL(sections(&out, s, 4), 2);
        CU_ASSERT_EQUAL(s[0].s.n, 2);
        CU_ASSERT_EQUAL(s[0].s.at, 1750000500);
        CU_ASSERT_EQUAL(s[1].s.status, READING_CLOCK_DOUBT);
        CU_ASSERT_EQUAL(s[1].v[0], 4);
        normalise_deinit(&n);
        buf_deinit(&out);
}

static void long_runs_stay_whole(void)
{
        struct model_target t = { .channel = channel_by_code("energy.import"), .period_s = 900 };
        struct buf out = BUF_INIT;
        struct normaliser n;
        struct message_section sec;
        struct rd r;
        int64_t next = 1740000600, value = 0;

        normalise_init(&n, &out, 1750003200);
        for (int64_t i = 0; i < 3000; i++)
                CU_ASSERT_EQUAL_FATAL(normalise_value(&n, &t, 1740000600 + i * 900, 0, 0,
                                                      decimal_int(i * 7 % 1000), NULL),
                                      NORMALISE_NONE);
        CU_ASSERT_TRUE(normalise_flush(&n));
        r = rd_of(out.p, out.len);
        while (message_next(&r, &sec) > 0) {
                int64_t v = 0;

                CU_ASSERT_EQUAL(sec.at, next);
                for (uint32_t i = 0; i < sec.n; i++, value++) {
                        v += rd_zigzag(&sec.values);
                        CU_ASSERT_EQUAL(v, value * 7 % 1000);
                }
                next += (int64_t)sec.n * 900;
        }
        CU_ASSERT_EQUAL(value, 3000);
        normalise_deinit(&n);
        buf_deinit(&out);
}

static void replay_needs_only_the_registry(void)
{
        char text[160], why[200];
        struct registry_meter m = meter_of("HR-MQTT-SENML");
        struct buf out = BUF_INIT;

        snprintf(text, sizeof text,
                 "[{\"bn\":\"M1:\",\"bt\":%lld,\"n\":\"energy.import\",\"v\":1}]",
                 (long long)(time(NULL) / 900 * 900 - 900));
        CU_ASSERT_EQUAL(normalise_raw(&m, "headrace/v1/M1/telemetry", text, strlen(text), &out, why,
                                      sizeof why),
                        0);
        CU_ASSERT_EQUAL(message_check(out.p, out.len), 0);
        CU_ASSERT(out.len > 0);
        buf_reset(&out);
        CU_ASSERT_EQUAL(normalise_raw(&m, NULL, "{", 1, &out, why, sizeof why), -EINVAL);
        CU_ASSERT_EQUAL(out.len, 0);
        CU_ASSERT(strlen(why) > 10);
        m.profile = "{}";
        CU_ASSERT_EQUAL(normalise_raw(&m, NULL, text, strlen(text), &out, why, sizeof why),
                        -EINVAL);
        buf_deinit(&out);
}

HR_TESTS("normalise",
         { "SenML becomes intervals and registers", senml_becomes_intervals_and_registers },
         { "flat: an end stamp becomes a start", flat_end_stamps_become_starts },
         { "what is wrong is refused whole, and told", what_is_wrong_is_refused_whole_and_told },
         { "clocks beside the second are put on the grid",
           clocks_beside_the_second_are_put_on_the_grid },
         { "long runs stay whole", long_runs_stay_whole },
         { "replay needs only the registry", replay_needs_only_the_registry })
