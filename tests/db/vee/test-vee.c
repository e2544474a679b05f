/* Validation runs against a real reading store. */

#include "hr_test.h"

#include <stdarg.h>

#include "host_fixture.h"

static struct fixture *f;

__attribute__((format(printf, 3, 4))) static int call(char **reply, const char *op, const char *fmt, ...)
{
        char json[2048];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(json, sizeof(json), fmt, ap);
        va_end(ap);
        return fixture_call(f, op, json, reply);
}

__attribute__((format(printf, 1, 2))) static void sql(const char *fmt, ...)
{
        char text[4096];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        fixture_exec(f, text);
}

/* A meter at a point of its own, from the beginning of 2025. */
static void meter(int id, int branch, int period_s)
{
        sql("insert into mdm.meter (meter_id, branch_id, serial, model, commodity, identity, "
            "period_s) values "
            "(%d, %d, 'S%d', 'm', 'electricity', 'ID%d', %d);"
            "insert into crm.premise (premise_id, branch_id, address) overriding system value "
            "values (%d, %d, 'x');"
            "insert into crm.service_point (service_point_id, branch_id, premise_id, code, "
            "commodity) overriding system value "
            "values (%d, %d, %d, 'SP%d', 'electricity');"
            "insert into crm.installation (service_point_id, meter_id, valid) values (%d, %d, "
            "tstzrange('2025-01-01Z', null))",
            id, branch, id, id, period_s, id, branch, id, branch, id, id, id, id);
}

static void put(int id, const char *start, int n, const char *value)
{
        sql("select mdm.put_intervals(%d, 1::smallint, '%s', 3600, 0::smallint, 2::smallint, "
            "(select array_agg((%s)::bigint order by i) from generate_series(0, %d) i))",
            id, start, value, n - 1);
}

static void setup(void)
{
        static const char *const plugins[] = { "crm/customer/customer.so", "billing/vee/vee.so",
                                               NULL };

        if (f)
                return;
        f = fixture_new(plugins);
        fixture_branch(f, 1, "HN", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_branch(f, 2, "CHI", "America/Chicago", "USD", 2);
        sql("insert into mdm.meter_model (model, protocol, profile) values ('m', 'dlms', '{}')");
        for (int id = 1; id <= 5; id++)
                meter(id, id == 5 ? 2 : 1, 3600);
}

static void run(const char *branch, const char *from, const char *to)
{
        char *r;

        CU_ASSERT_EQUAL(call(&r, "vee.run", "{\"branch\":\"%s\",\"from\":\"%s\",\"to\":\"%s\"}",
                             branch, from, to),
                        202);
        CU_ASSERT(atoi(fixture_json(f, r, "job_id")) > 0);
        fixture_drain(f);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select state from vee.run order by run_id desc limit 1"), "done");
}

/* Values of meter @id that are not measured, as "hour=value/status". */
static const char *estimates(int id, const char *from, const char *to)
{
        char q[512];

        snprintf(q, sizeof(q),
                 "select coalesce(string_agg(to_char(at at time zone 'UTC', 'DD\"T\"HH24') || '=' "
                 "|| value || '/' || status, ' ' "
                 "order by at), '') from mdm.usage(%d, 1::smallint, '%s', '%s') where status <> 0",
                 id, from, to);
        return fixture_sql(f, q);
}

static const char *findings(int id)
{
        char q[400];

        snprintf(q, sizeof(q),
                 "select coalesce(string_agg(rule || '/' || severity || '/' || state, ' ' order by "
                 "rule, from_at), '') "
                 "from vee.exception where meter_id = %d",
                 id);
        return fixture_sql(f, q);
}

/* Local days of UTC+7: 2026-01-05 begins at 2026-01-04T17:00Z. Meter 1: two hours lack (a line);
 * meter 2: a day lacks (like days); meter 3: the register disagrees; meter 4: nothing was read. */
static void gaps_are_estimated_and_doubts_listed(void)
{
        setup();
        put(1, "2026-01-04T17:00Z", 10, "1000");
        put(1, "2026-01-05T05:00Z", 38, "1300 + i % 5");
        put(2, "2025-12-28T17:00Z", 7 * 24, "500 + i % 24");
        put(2, "2026-01-05T17:00Z", 24, "700 + i % 7");
        put(3, "2026-01-04T17:00Z", 48, "1000 + i");
        sql("select mdm.put_register(3, 129::smallint, '2026-01-04T17:00Z', 0::smallint, "
            "2::smallint, 100000);"
            "select mdm.put_register(3, 129::smallint, '2026-01-06T17:00Z', 0::smallint, "
            "2::smallint, 150000)");
        run("HN", "2026-01-05", "2026-01-07");
        /* 1000, then the line 1100, 1200, then 1300. */
        CU_ASSERT_STRING_EQUAL(estimates(1, "2026-01-04T17:00Z", "2026-01-06T17:00Z"),
                               "05T03=1100/2 05T04=1200/2");
        /* Monday takes the Monday before: 500 + local hour. */
        CU_ASSERT(strncmp(estimates(2, "2026-01-04T17:00Z", "2026-01-05T17:00Z"),
                          "04T17=500/3 04T18=501/3 ", 24) == 0);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f,
                            "select count(*) from mdm.usage(2, 1::smallint, '2026-01-04T17:00Z', "
                            "'2026-01-06T17:00Z')"),
                "48");
        /* 48 × 1000 + 0 + 1 + ... + 47 = 49128 against 50000. */
        CU_ASSERT_STRING_EQUAL(findings(3), "sum_check/block/open");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(
                        f,
                        "select value || '|' || \"limit\" from vee.exception where meter_id = 3"),
                "49128|50000");
        CU_ASSERT_STRING_EQUAL(findings(4), "no_data/block/open");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select meters || '|' || estimated from vee.run"),
                               "4|26");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select string_agg(method || "
                                              "cardinality(\"values\"), ' ' order by meter_id) "
                                              "from vee.estimate"),
                               "linear2 like_day24");
}

static void a_second_run_changes_nothing(void)
{
        char before[600];

        snprintf(before, sizeof(before), "%s",
                 estimates(2, "2026-01-04T17:00Z", "2026-01-06T17:00Z"));
        run("HN", "2026-01-05", "2026-01-07");
        CU_ASSERT_STRING_EQUAL(estimates(2, "2026-01-04T17:00Z", "2026-01-06T17:00Z"), before);
        CU_ASSERT_STRING_EQUAL(findings(3), "sum_check/block/open");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select count(*) from vee.estimate"), "2");
}

static void late_readings_win_and_resolve(void)
{
        setup();
        put(1, "2026-01-05T03:00Z", 2, "1111");
        put(4, "2026-01-04T17:00Z", 48, "300 + i");
        run("HN", "2026-01-05", "2026-01-07");
        CU_ASSERT_STRING_EQUAL(estimates(1, "2026-01-04T17:00Z", "2026-01-06T17:00Z"), "");
        CU_ASSERT_STRING_EQUAL(findings(4), "no_data/block/resolved");
}

static void a_person_accepts(void)
{
        char *r;
        int id;

        setup();
        CU_ASSERT_EQUAL(call(&r, "vee.exceptions", "{\"severity\":\"block\"}"), 200);
        id = atoi(fixture_json(f, r, "items.0.exception"));
        CU_ASSERT(id > 0);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "items.0.meter"), "S3");
        fixture_user(f, "chi.clerk", "clerk", "CHI");
        fixture_user(f, "hn.clerk", "clerk", "HN");
        CU_ASSERT_EQUAL(fixture_call_as(f, "chi.clerk", "vee.exceptions", "{}", &r), 200);
        CU_ASSERT_PTR_NULL(strstr(r, "S3"));
        CU_ASSERT_EQUAL(
                call(&r, "vee.accept", "{\"exception\":%d,\"note\":\"register misread\"}", id),
                200);
        CU_ASSERT_EQUAL(
                call(&r, "vee.accept", "{\"exception\":%d,\"note\":\"register misread\"}", id),
                409);
        CU_ASSERT_EQUAL(call(&r, "vee.accept", "{\"exception\":99999,\"note\":\"nothing\"}"), 404);
        /* Found again, it stays accepted. */
        run("HN", "2026-01-05", "2026-01-07");
        CU_ASSERT_STRING_EQUAL(findings(3), "sum_check/block/accepted");
}

/* A meter that sends its register only: the energy over a gap is known, its shape is not. */
static void registers_are_interpolated(void)
{
        setup();
        sql("select mdm.put_register(5, 129::smallint, '2026-01-05T06:00Z'::timestamptz + i * "
            "interval '1 hour', 0::smallint, "
            "2::smallint, 1000 + 100 * i) from generate_series(0, 24) i where i not in (5, 6)");
        run("CHI", "2026-01-05", "2026-01-06");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select count(*) || '|' || sum(value) || '|' || max(period_s) from "
                               "mdm.usage(5, "
                               "1::smallint, '2026-01-05T06:00Z', '2026-01-06T06:00Z')"),
                "24|2400|3600");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(
                        f,
                        "select method || \"values\"::text from vee.estimate where meter_id = 5"),
                "register{100,100,100}");
}

static void mistakes_are_refused(void)
{
        char *r;

        setup();
        CU_ASSERT_EQUAL(call(&r, "vee.run",
                             "{\"branch\":\"XX\",\"from\":\"2026-01-05\",\"to\":\"2026-01-07\"}"),
                        422);
        CU_ASSERT_EQUAL(call(&r, "vee.run",
                             "{\"branch\":\"HN\",\"from\":\"2026-01-07\",\"to\":\"2026-01-05\"}"),
                        422);
        CU_ASSERT_EQUAL(call(&r, "vee.rules", "{}"), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "items.0.rules.spike_ratio"), "1800");
        fixture_free(f);
}

HR_TESTS("vee", { "gaps are estimated, doubts listed", gaps_are_estimated_and_doubts_listed },
         { "a second run changes nothing", a_second_run_changes_nothing },
         { "late readings win and resolve", late_readings_win_and_resolve },
         { "a person accepts", a_person_accepts },
         { "registers are interpolated", registers_are_interpolated },
         { "mistakes are refused", mistakes_are_refused })
