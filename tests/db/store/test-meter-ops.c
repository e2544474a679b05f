#include <unistd.h>

#include "host_fixture.h"
#include "hr_test.h"
#include "key.h"
#include "registry.h"

#define FLEET                                                                                      \
        "{\"meters\":[{\"serial\":\"A1\",\"maker\":\"M\",\"model\":\"T-DLMS\",\"commodity\":"      \
        "\"electricity\",\"protocol\":\"dlms\","                                                   \
        "\"identity\":\"4d4d4d0000000001\",\"period_s\":900,\"address\":{\"host\":\"127.0.0.1\","  \
        "\"port\":4059},\"branch\":\"HN\","                                                        \
        "\"keys\":{\"guek\":\"000102030405060708090A0B0C0D0E0F\",\"lls\":\"12345678\"}},"          \
        "{\"serial\":\"B2\",\"maker\":\"M\",\"model\":\"T-MQTT\",\"commodity\":\"water\","         \
        "\"protocol\":\"mqtt\",\"identity\":\"b2\","                                               \
        "\"branch\":\"SG\"}]}"

static struct fixture *f;

static void begin(void)
{
        f = fixture_new(NULL);
        fixture_branch(f, 1, "HN", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_branch(f, 2, "SG", "Asia/Ho_Chi_Minh", "VND", 0);
        CU_ASSERT_EQUAL(registry_put_model(fixture_db(f), "T-DLMS", "M", "dlms", 9, "{\"a\":1}"),
                        0);
        CU_ASSERT_EQUAL(registry_put_model(fixture_db(f), "T-MQTT", "M", "mqtt", 9,
                                           "{\"payload\":\"flat\"}"),
                        0);
}

static const char *json(const char *reply, const char *path)
{
        return fixture_json(f, reply, path);
}

static int normalise(const struct registry_meter *meter, const char *detail, const void *raw,
                     size_t n, struct buf *out, char *why, size_t why_size)
{
        (void)detail;
        if (n < 1 || *(const char *)raw != 'v') {
                snprintf(why, why_size, "layout of %s unknown", meter->model);
                return -1;
        }
        buf_put(out, "\x02\x85\x00\x00\x0e", 5); /* register 133, value 7 */
        return 0;
}

static void test_import(void)
{
        struct secret master = { .len = KEY_MASTER_SIZE }, key = { .len = 0 };
        char *r;

        memset(master.bytes, 7, sizeof master.bytes);
        begin();
        CU_ASSERT_EQUAL(fixture_call(f, "meter.import", FLEET, &r), 409);
        CU_ASSERT_STRING_EQUAL(json(r, "code"), "no_master_key");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select count(*) from mdm.meter"), "0");
        host_set_object(fixture_host(f), "master_key", &master);
        CU_ASSERT_EQUAL(fixture_call(f, "meter.import", FLEET, &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "created"), "2");
        CU_ASSERT_STRING_EQUAL(json(r, "keys"), "2");
        CU_ASSERT_EQUAL(fixture_call(f, "meter.import", FLEET, &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "unchanged"), "2");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select identity from mdm.meter where serial = 'A1'"),
                               "4D4D4D0000000001");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select count(*) from mdm.meter_key where "
                                              "position('\\x0405060708'::bytea in sealed) > 0 "
                                              "or position('12345678'::bytea in sealed) > 0"),
                               "0");
        /* Nothing of a key in the audit trail or the idempotency store. */
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(
                        f,
                        "select count(*) from core.audit where params::text ilike '%0405060708%' "
                        "or params::text like '%12345678%'"),
                "0");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select count(*) > 0 from core.audit where what = 'meter.import'"),
                "t");
        {
                struct registry_options o = { .conninfo = getenv("HEADRACE_TEST_DB"),
                                              .master = &master,
                                              .normalise = normalise };
                struct registry *reg = NULL;
                struct registry_snapshot *s;
                const struct registry_meter *m;

                CU_ASSERT_EQUAL_FATAL(registry_open(&reg, &o), 0);
                CU_ASSERT_TRUE_FATAL(registry_wait(reg, 0, 5000));
                s = registry_get(reg);
                CU_ASSERT_EQUAL(registry_count(s), 2);
                m = registry_by_identity(s, METER_DLMS, "4d4d4d0000000001");
                CU_ASSERT_PTR_NOT_NULL_FATAL(m);
                CU_ASSERT_TRUE(m->guek.len == 16 && m->guek.bytes[15] == 0x0f && m->lls.len == 8 &&
                               !m->psk.len);
                CU_ASSERT_STRING_EQUAL(m->profile, "{\"a\": 1}");
                CU_ASSERT_PTR_EQUAL(registry_by_id(s, m->meter_id), m);
                CU_ASSERT_PTR_NULL(registry_by_identity(s, METER_MQTT, "B2"));
                CU_ASSERT_PTR_NOT_NULL(registry_by_identity(s, METER_MQTT, "b2"));
                CU_ASSERT_PTR_NULL(registry_by_identity(s, METER_COAP, "b2"));
                /* A key moved to another meter does not open. */
                CU_ASSERT_FALSE(key_open(&master, m->meter_id + 1, "guek", "x", 1, &key));
                /* Quarantine: replayed once its sender is known, held again when it makes no sense.
                 */
                fixture_exec(f, "insert into mdm.quarantine (recv_at, protocol, identity, reason, "
                                "source, payload) values "
                                "(now(), 'mqtt', 'c3', 'unknown meter', 1, 'v'), (now(), 'mqtt', "
                                "'c3', 'unknown meter', 1, 'x'), "
                                "(now(), 'mqtt', 'd4', 'unknown meter', 1, 'v')");
                CU_ASSERT_EQUAL(
                        fixture_call(
                                f, "meter.import",
                                "{\"meters\":[{\"serial\":\"C3\",\"model\":\"T-MQTT\","
                                "\"commodity\":\"water\",\"identity\":\"c3\",\"branch\":\"SG\"}]}",
                                &r),
                        200);
                CU_ASSERT_STRING_EQUAL(json(r, "replaying"), "2");
                CU_ASSERT_TRUE(registry_wait(reg, registry_version(s), 5000)); /* told by NOTIFY */
                registry_unref(s);
                for (int i = 0;
                     i < 200 &&
                     strcmp(fixture_sql(f,
                                        "select count(*) from mdm.quarantine where state = 'due'"),
                            "0");
                     i++)
                        usleep(10000);
                registry_close(reg);
        }
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select string_agg(state || ':' || reason, ', ' order by "
                               "quarantine_id) from mdm.quarantine"),
                "replayed:unknown meter, held:layout of T-MQTT unknown, held:unknown meter");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select count(*) || ' ' || max(i.source) from "
                                              "mdm.inbox i join mdm.meter m using (meter_id) "
                                              "where m.serial = 'C3'"),
                               "1 1");
        fixture_free(f);
}

static void test_refusals(void)
{
        static const struct {
                const char *doc, *says;
        } cases[] = {
                { "{\"meters\":[{\"serial\":\"Z\"}]}", "identity" },
                { "{\"meters\":[{\"serial\":\"Z\",\"identity\":\"z\",\"model\":\"T-MQTT\","
                  "\"commodity\":\"gas\",\"branch\":\"XX\"}]}",
                  "branch" },
                { "{\"meters\":[{\"serial\":\"Z\",\"identity\":\"z\",\"model\":\"nope\","
                  "\"commodity\":\"gas\",\"branch\":\"HN\"}]}",
                  "model \\\"nope\\\"" },
                { "{\"meters\":[{\"serial\":\"Z\",\"identity\":\"z\",\"model\":\"T-MQTT\","
                  "\"protocol\":\"coap\",\"commodity\":\"gas\",\"branch\":\"HN\"}]}",
                  "speaks mqtt" },
                { "{\"meters\":[{\"serial\":\"Z\",\"identity\":\"z\",\"model\":\"T-MQTT\","
                  "\"commodity\":\"gas\",\"branch\":\"HN\",\"period_s\":7}]}",
                  "period_s" },
                { "{\"meters\":[{\"serial\":\"Z\",\"identity\":\"z\",\"model\":\"T-MQTT\","
                  "\"commodity\":\"gas\",\"branch\":\"HN\"},"
                  "{\"serial\":\"Z\",\"identity\":\"z2\",\"model\":\"T-MQTT\",\"commodity\":"
                  "\"gas\",\"branch\":\"HN\"}]}",
                  "twice" },
                { "{\"meters\":{}}", "array" },
        };
        char *r;

        begin();
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                CU_ASSERT_EQUAL(fixture_call(f, "meter.import", cases[i].doc, &r), 422);
                CU_ASSERT_PTR_NOT_NULL(strstr(r, cases[i].says));
                if (!strstr(r, cases[i].says))
                        printf("[%s]\n", r);
        }
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select count(*) from mdm.meter where serial = 'Z'"),
                               "0");
        CU_ASSERT_EQUAL(fixture_call(f, "meter.show", "{\"meter\":\"Z\"}", &r), 404);
        fixture_free(f);
}

static void test_reads(void)
{
        char *r;

        begin();
        CU_ASSERT_EQUAL(fixture_call(f, "meter.import",
                                     "{\"meters\":[{\"serial\":\"R1\",\"maker\":\"M\",\"model\":"
                                     "\"T-MQTT\",\"commodity\":\"electricity\","
                                     "\"identity\":\"r1\",\"branch\":\"HN\"}]}",
                                     &r),
                        200);
        fixture_exec(f,
                     "select mdm.put_intervals(meter_id, 1::smallint, '2026-03-01', 900, "
                     "0::smallint, 1::smallint, array[5,6,7]) from mdm.meter where serial = 'R1';"
                     "select mdm.put_register(meter_id, 129::smallint, now() - interval '1 hour', "
                     "0::smallint, 1::smallint, 12345) from mdm.meter where serial = 'R1'");
        CU_ASSERT_EQUAL(fixture_call(f, "meter.curve",
                                     "{\"meter\":\"R1\",\"from\":\"2026-03-01T00:00:00Z\",\"to\":"
                                     "\"2026-03-02T00:00:00Z\"}",
                                     &r),
                        200);
        CU_ASSERT_STRING_EQUAL(json(r, "items.2.value"), "7");
        CU_ASSERT_STRING_EQUAL(json(r, "unit"), "Wh");
        CU_ASSERT_EQUAL(
                fixture_call(f, "meter.curve", "{\"meter\":\"R1\",\"channel\":\"129\"}", &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "items.0.value"), "12345");
        CU_ASSERT_EQUAL(
                fixture_call(f, "meter.curve", "{\"meter\":\"R1\",\"channel\":\"nope\"}", &r), 422);
        CU_ASSERT_EQUAL(fixture_call(f, "meter.curve",
                                     "{\"meter\":\"R1\",\"from\":\"2026-03-02T00:00:00Z\",\"to\":"
                                     "\"2026-03-01T00:00:00Z\"}",
                                     &r),
                        422);
        CU_ASSERT_EQUAL(fixture_call(f, "meter.show", "{\"meter\":\"R1\"}", &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "registers.0.value"), "12345");
        CU_ASSERT_STRING_EQUAL(json(r, "branch"), "HN");
        CU_ASSERT_EQUAL(fixture_call(f, "meter.list", "{\"q\":\"r1\",\"limit\":1}", &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "items.0.serial"), "R1");
        fixture_user(f, "sg", "operator", "SG");
        CU_ASSERT_EQUAL(fixture_call_as(f, "sg", "meter.show", "{\"meter\":\"R1\"}", &r), 404);
        CU_ASSERT_EQUAL(fixture_call_as(f, "sg", "meter.list", "{\"q\":\"R1\"}", &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "items.0.serial"), "");
        CU_ASSERT_EQUAL(fixture_call(f, "meter.completeness", "{}", &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "items.0.branch"), "HN");
        CU_ASSERT_EQUAL(fixture_call(f, "quarantine.replay", "{}", &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "due"), "2");
        CU_ASSERT_EQUAL(fixture_call(f, "quarantine.list", "{\"state\":\"due\"}", &r), 200);
        CU_ASSERT_STRING_EQUAL(json(r, "items.1.identity"), "c3");
        fixture_free(f);
}

static void test_seal_job(void)
{
        char *r;

        begin();
        CU_ASSERT_EQUAL(fixture_call(f, "seal.run", "{\"until\":\"2100-01-01\"}", &r), 200);
        CU_ASSERT_STRING_NOT_EQUAL(json(r, "job_id"), "");
        fixture_drain(f);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(
                        f, "select status || ' ' || error from core.job where type = 'meter.seal'"),
                "done ");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select n_exp || ' ' || n_ok || ' ' || ver from mdm.block join "
                               "mdm.meter using (meter_id) where serial = 'R1'"),
                "96 3 1");
        CU_ASSERT_EQUAL(fixture_call(f, "meter.completeness",
                                     "{\"day\":\"2026-03-01\",\"branch\":\"HN\"}", &r),
                        200);
        CU_ASSERT_STRING_EQUAL(json(r, "items.0.measured"), "3");
        CU_ASSERT_STRING_EQUAL(json(r, "items.0.missing"), "93");
        /* A value that changes says so. */
        fixture_exec(f, "select mdm.put_intervals(meter_id, 1::smallint, '2026-03-01', 900, "
                        "6::smallint, 3::smallint, array[50]) from mdm.meter where serial = 'R1'");
        CU_ASSERT_EQUAL(fixture_call(f, "seal.run", "{\"until\":\"2100-01-01\"}", &r), 200);
        fixture_drain(f);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select body->>'changed' || ' ' || (body->>'serial') || ' ' || "
                               "(body->'days'->>0) from core.event where type = 'reading.changed'"),
                "1 R1 2026-03-01");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select count(*) from core.event where type = 'readings.sealed'"),
                "2");
        CU_ASSERT_EQUAL(fixture_call(f, "meter.curve",
                                     "{\"meter\":\"R1\",\"from\":\"2026-03-01T00:00:00Z\",\"to\":"
                                     "\"2026-03-02T00:00:00Z\"}",
                                     &r),
                        200);
        CU_ASSERT_STRING_EQUAL(json(r, "items.0.value"), "50");
        CU_ASSERT_STRING_EQUAL(json(r, "items.0.status"), "6");
        fixture_free(f);
}

HR_TESTS("store.meter_ops", { "import, keys, registry, replay", test_import },
         { "import refuses and says why", test_refusals },
         { "list, show, curve, branches apart", test_reads }, { "sealing as a job", test_seal_job })
