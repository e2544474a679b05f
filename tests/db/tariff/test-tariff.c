/* The tariff catalogue against a real database. */

#include "hr_test.h"

#include <stdarg.h>
#include <time.h>

#include "host_fixture.h"

static struct fixture *f;

static const char *doc(const char *code, int rate, int total, const char *from)
{
        static char out[4][1024];
        static int n;
        char *o = out[++n % 4];

        snprintf(o, 1024,
                 "{\"schema\":\"headrace-tariff-v1\",\"code\":\"%s\",\"name\":\"Flat\","
                 "\"commodity\":\"electricity\","
                 "\"currency\":\"VND\",\"valid_from\":\"%s\",\"components\":[{\"type\":\"energy\","
                 "\"code\":\"energy\","
                 "\"rate\":%d}],\"examples\":[{\"name\":\"ten\",\"input\":{\"from\":\"2026-01-01\","
                 "\"to\":\"2026-02-01\","
                 "\"quantities\":{\"energy.import\":\"10\"}},\"expect\":{\"total\":%d}}]}",
                 code, from, rate, total);
        return o;
}

__attribute__((format(printf, 3, 4))) static int call(char **reply, const char *op, const char *fmt, ...)
{
        char json[4096];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(json, sizeof(json), fmt, ap);
        va_end(ap);
        return fixture_call(f, op, json, reply);
}

/* The same as another person: who created a version cannot put it in force. */
__attribute__((format(printf, 3, 4))) static int call_other(char **reply, const char *op,
                                                            const char *fmt, ...)
{
        char json[4096];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(json, sizeof(json), fmt, ap);
        va_end(ap);
        return fixture_call_as(f, "second", op, json, reply);
}

static void setup(void)
{
        static const char *const plugins[] = { "crm/customer/customer.so",
                                               "billing/tariff/tariff.so", NULL };

        if (f)
                return;
        f = fixture_new(plugins);
        fixture_branch(f, 1, "HN", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_branch(f, 2, "SG", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_user(f, "second", "approver", "*");
}

static void a_draft_becomes_active(void)
{
        char *r;

        setup();
        CU_ASSERT_EQUAL(call(&r, "tariff.create", "{\"document\":%s}",
                             doc("FLAT", 2000, 20000, "2026-01-01")),
                        201);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "version"), "1");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "state"), "draft");
        /* The same document again is the same version. */
        CU_ASSERT_EQUAL(call(&r, "tariff.create", "{\"document\":%s}",
                             doc("FLAT", 2000, 20000, "2026-01-01")),
                        200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "version"), "1");
        CU_ASSERT_EQUAL(call(&r, "tariff.activate", "{\"code\":\"FLAT\",\"version\":1}"), 403);
        CU_ASSERT_PTR_NOT_NULL(strstr(r, "another person must approve it"));
        CU_ASSERT_EQUAL(call_other(&r, "tariff.activate", "{\"code\":\"FLAT\",\"version\":1}"), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "state"), "active");
        CU_ASSERT_EQUAL(call(&r, "tariff.show", "{\"code\":\"FLAT\"}"), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "from"), "2026-01-01");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "document.components.0.rate"), "2000");
        CU_ASSERT_EQUAL(call(&r, "tariff.show", "{\"code\":\"NOPE\"}"), 404);
        CU_ASSERT_EQUAL(call(&r, "tariff.list", "{}"), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "items.0.code"), "FLAT");
}

static void wrong_examples_stop_it(void)
{
        char *r;

        setup();
        CU_ASSERT_EQUAL(call(&r, "tariff.create", "{\"document\":%s}",
                             doc("WRONG", 2000, 20001, "2026-01-01")),
                        201);
        CU_ASSERT_EQUAL(call_other(&r, "tariff.activate", "{\"code\":\"WRONG\"}"), 422);
        CU_ASSERT_PTR_NOT_NULL(strstr(r, "should be 20001 but the tariff gives 20000"));
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select state from billing.tariff_version where code = 'WRONG'"),
                "draft");
        /* A document that is wrong is refused with the member at fault; one without examples stays
         * a draft. */
        CU_ASSERT_EQUAL(call(&r, "tariff.create",
                             "{\"document\":{\"schema\":\"headrace-tariff-v1\",\"code\":\"BAD\","
                             "\"commodity\":\"electricity\","
                             "\"currency\":\"VND\",\"components\":[{\"type\":\"energy\",\"code\":"
                             "\"e\",\"tiers\":[{\"upto\":5,"
                             "\"rate\":1},{\"upto\":4,\"rate\":2}]}]}}"),
                        422);
        CU_ASSERT_PTR_NOT_NULL(strstr(r, "components[0].tiers[1].upto"));
        CU_ASSERT_EQUAL(call(&r, "tariff.create",
                             "{\"document\":{\"schema\":\"headrace-tariff-v1\",\"code\":\"BARE\","
                             "\"commodity\":\"electricity\","
                             "\"currency\":\"VND\",\"components\":[{\"type\":\"energy\",\"code\":"
                             "\"e\",\"rate\":1}]}}"),
                        201);
        CU_ASSERT_EQUAL(call_other(&r, "tariff.activate", "{\"code\":\"BARE\"}"), 422);
        CU_ASSERT_PTR_NOT_NULL(strstr(r, "has no example bills"));
}

static void a_new_version_takes_over(void)
{
        char *r;

        setup();
        CU_ASSERT_EQUAL(call(&r, "tariff.create", "{\"document\":%s}",
                             doc("NEXT", 1000, 10000, "2026-01-01")),
                        201);
        CU_ASSERT_EQUAL(call_other(&r, "tariff.activate", "{\"code\":\"NEXT\"}"), 200);
        CU_ASSERT_EQUAL(call(&r, "tariff.create", "{\"document\":%s}",
                             doc("NEXT", 1100, 11000, "2026-03-10")),
                        201);
        CU_ASSERT_EQUAL(call_other(&r, "tariff.activate", "{\"code\":\"NEXT\",\"version\":2}"), 200);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(
                        f,
                        "select string_agg(version || state || valid::text, ' ' order by version) "
                        "from billing.tariff_version where code = 'NEXT'"),
                "1active[2026-01-01,2026-03-10) 2active[2026-03-10,)");
        /* Each day is rated by the version in force on it. */
        CU_ASSERT_EQUAL(call(&r, "tariff.whatif",
                             "{\"code\":\"NEXT\",\"input\":{\"from\":\"2026-02-01\",\"to\":\"2026-"
                             "03-01\",\"quantities\":"
                             "{\"energy.import\":\"7\"}}}"),
                        200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "total"), "7000");
        CU_ASSERT_EQUAL(call(&r, "tariff.whatif",
                             "{\"code\":\"NEXT\",\"input\":{\"from\":\"2026-04-01\",\"to\":\"2026-"
                             "05-01\",\"quantities\":"
                             "{\"energy.import\":\"7\"}}}"),
                        200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "total"), "7700");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "version"), "2");
}

static void what_is_in_force_stays(void)
{
        static const char *const tries[] = {
                "update billing.tariff_version set document_text = '{}' where code = 'FLAT'",
                "update billing.tariff_version set state = 'draft' where code = 'FLAT'",
                "delete from billing.tariff_version where code = 'FLAT'",
                ("update billing.tariff_version set valid = daterange('2025-01-01', null) where "
                 "code = 'FLAT'"),
        };

        setup();
        fixture_exec(f, "create function public.refused(q text) returns boolean language plpgsql "
                        "as $$ begin execute q; "
                        "raise exception 'taken' using errcode = 'ZZ999'; exception when sqlstate "
                        "'ZZ999' then return false; "
                        "when others then return true; end $$");
        for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
                char sql[512];

                snprintf(sql, sizeof(sql), "select public.refused($q$%s$q$)", tries[i]);
                CU_ASSERT_STRING_EQUAL(fixture_sql(f, sql), "t");
        }
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select public.refused('select 1')"), "f");
}

static void branches_see_their_own(void)
{
        char *r;

        setup();
        CU_ASSERT_EQUAL(call(&r, "tariff.create", "{\"branch\":\"SG\",\"document\":%s}",
                             doc("ONLY-SG", 1, 10, "2026-01-01")),
                        201);
        fixture_user(f, "hn.clerk", "clerk", "HN");
        fixture_user(f, "sg.clerk", "clerk", "SG");
        CU_ASSERT_EQUAL(fixture_call_as(f, "hn.clerk", "tariff.show", "{\"code\":\"ONLY-SG\"}", &r),
                        404);
        CU_ASSERT_EQUAL(fixture_call_as(f, "sg.clerk", "tariff.show", "{\"code\":\"ONLY-SG\"}", &r),
                        200);
        CU_ASSERT_EQUAL(fixture_call_as(f, "hn.clerk", "tariff.show", "{\"code\":\"FLAT\"}", &r),
                        200);
        CU_ASSERT_EQUAL(
                fixture_call_as(f, "hn.clerk", "tariff.activate", "{\"code\":\"FLAT\"}", &r), 403);
}

/* draft -> test -> approved -> active, each step by its own operation. */
static void a_version_takes_all_steps(void)
{
        char *r;

        setup();
        CU_ASSERT_EQUAL(call(&r, "tariff.create", "{\"document\":%s}",
                             doc("STEPS", 10, 100, "2026-01-01")),
                        201);
        CU_ASSERT_EQUAL(call(&r, "tariff.test", "{\"code\":\"STEPS\"}"), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "state"), "test");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "examples"), "1");
        CU_ASSERT_EQUAL(call(&r, "tariff.approve", "{\"code\":\"STEPS\"}"), 403);
        CU_ASSERT_EQUAL(call_other(&r, "tariff.approve", "{\"code\":\"STEPS\"}"), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "state"), "approved");
        CU_ASSERT_EQUAL(call(&r, "tariff.activate", "{\"code\":\"STEPS\"}"), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "state"), "active");
        /* A test does not take a version in force back. */
        CU_ASSERT_EQUAL(call(&r, "tariff.test", "{\"code\":\"STEPS\"}"), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "state"), "active");
        CU_ASSERT_EQUAL(call(&r, "tariff.create", "{\"document\":%s}",
                             doc("STEPS", 12, 120, "2026-05-01")),
                        201);
        CU_ASSERT_EQUAL(call(&r, "tariff.diff", "{\"code\":\"STEPS\"}"), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "before"), "1");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "items.0.path"), "valid_from");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "items.1.path"), "components[energy].rate");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "items.1.after"), "12");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "items.2.path"), "examples[ten].expect.total");
        CU_ASSERT_EQUAL(call(&r, "tariff.diff", "{\"code\":\"STEPS\",\"before\":7}"), 404);
}

static void a_published_tariff_becomes_a_draft(void)
{
        char *r;

        setup();
        CU_ASSERT_EQUAL(call(&r, "tariff.import",
                             "{\"format\":\"csv\",\"source\":\"type,code,rate,name,commodity,currency\\n"
                             "tariff,CSV1,,From a table,electricity,VND\\nenergy,e,5,,,\\n\"}"),
                        201);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "code"), "CSV1");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "state"), "draft");
        CU_ASSERT_EQUAL(call(&r, "tariff.import",
                             "{\"format\":\"owrs\",\"source\":\"rate_structure:\\n  RESIDENTIAL_SINGLE:\\n"
                             "    service_charge: {depends_on: meter_size, values: {small: 5}}\\n"
                             "    bill: service_charge\\n\"}"),
                        422);
        CU_ASSERT_PTR_NOT_NULL(strstr(r, "service_charge depends on meter_size"));
        CU_ASSERT_EQUAL(call(&r, "tariff.import",
                             "{\"format\":\"owrs\",\"code\":\"WATER\",\"facts\":{\"meter_size\":\"small\"},"
                             "\"source\":\"rate_structure:\\n  RESIDENTIAL_SINGLE:\\n"
                             "    service_charge: {depends_on: meter_size, values: {small: 5}}\\n"
                             "    bill: service_charge\\n\"}"),
                        201);
        CU_ASSERT_EQUAL(call(&r, "tariff.show", "{\"code\":\"WATER\"}"), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "document.components.0.amount"), "5");
        CU_ASSERT_EQUAL(call(&r, "tariff.import", "{\"format\":\"urdb\",\"source\":\"{\"}"), 422);
        CU_ASSERT_PTR_NOT_NULL(strstr(r, "line 1, column 1"));
}

static void tariffs_are_compared_on_the_same_use(void)
{
        char *r;

        setup();
        for (int i = 0; i < 2; i++) {
                static const char *const codes[] = { "DEAR", "CHEAP" };

                CU_ASSERT_EQUAL(call(&r, "tariff.create", "{\"document\":%s}",
                                     doc(codes[i], i ? 100 : 900, i ? 1000 : 9000, "2026-01-01")),
                                201);
                CU_ASSERT_EQUAL(call_other(&r, "tariff.activate", "{\"code\":\"%s\"}", codes[i]),
                                200);
        }
        CU_ASSERT_EQUAL(call(&r, "tariff.compare",
                             "{\"codes\":[\"DEAR\",\"CHEAP\"],\"input\":{\"from\":\"2026-02-01\",\"to\":"
                             "\"2026-03-01\",\"quantities\":{\"energy.import\":\"7\"}}}"),
                        200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "items.0.code"), "CHEAP");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "items.0.total"), "700");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "items.1.total"), "6300");
        /* What cannot be rated says why. */
        CU_ASSERT_EQUAL(call(&r, "tariff.compare",
                             "{\"codes\":[\"DEAR\"],\"input\":{\"from\":\"2026-02-01\",\"to\":"
                             "\"2026-03-01\"}}"),
                        200);
        CU_ASSERT_PTR_NOT_NULL(strstr(r, "needs the quantity energy.import"));
        CU_ASSERT_EQUAL(call(&r, "tariff.compare",
                             "{\"codes\":[\"NONE\"],\"input\":{\"from\":\"2026-02-01\",\"to\":"
                             "\"2026-03-01\"}}"),
                        404);
}

static void holidays_are_frozen_into_the_document(void)
{
        char *r;

        setup();
        CU_ASSERT_EQUAL(call(&r, "tariff.set_holidays",
                             "{\"calendar\":\"VN\",\"days\":[{\"day\":\"2026-09-02\",\"name\":"
                             "\"National Day\"}]}"),
                        200);
        CU_ASSERT_EQUAL(call(&r, "tariff.create",
                             "{\"document\":{\"schema\":\"headrace-tariff-v1\",\"code\":\"HOL\","
                             "\"commodity\":\"electricity\","
                             "\"currency\":\"VND\",\"calendar\":{\"holiday_calendar\":\"VN\"},"
                             "\"components\":[{\"type\":"
                             "\"energy\",\"code\":\"e\",\"rate\":0.0568}]}}"),
                        201);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(
                        f,
                        "select document->'calendar'->'holidays'->>0 from billing.tariff_version "
                        "where code = 'HOL'"),
                "2026-09-02");
        CU_ASSERT_PTR_NOT_NULL(strstr(
                fixture_sql(f,
                            "select document_text from billing.tariff_version where code = 'HOL'"),
                "\"rate\":0.0568"));
        CU_ASSERT_EQUAL(call(&r, "tariff.create",
                             "{\"document\":{\"schema\":\"headrace-tariff-v1\",\"code\":\"HOL2\","
                             "\"commodity\":\"electricity\","
                             "\"currency\":\"VND\",\"calendar\":{\"holiday_calendar\":\"XX\"},"
                             "\"components\":[]}}"),
                        422);
}

/* Readings in the store, rated as they would be billed. */
static void whatif_of_an_account(void)
{
        char *r;

        setup();
        fixture_exec(
                f,
                "insert into mdm.meter_model (model, protocol, profile) values ('m', 'dlms', '{}');"
                "insert into mdm.meter (meter_id, branch_id, serial, model, commodity, identity, "
                "period_s) values "
                "(77, 1, 'S77', 'm', 'electricity', 'ID77', 3600);"
                "insert into crm.party (party_id, branch_id, kind, name) overriding system value "
                "values (9, 1, 'person', 'A');"
                "insert into crm.account (account_id, branch_id, number, party_id) overriding "
                "system value values (9, 1, 'A9', 9);"
                "insert into crm.premise (premise_id, branch_id, address) overriding system value "
                "values (9, 1, 'x');"
                "insert into crm.service_point (service_point_id, branch_id, premise_id, code, "
                "commodity) overriding "
                "system value values (9, 1, 9, 'SP9', 'electricity');"
                "insert into crm.installation (service_point_id, meter_id, valid, multiplier) "
                "values (9, 77, "
                "tstzrange('2025-12-31T00:00Z', null), 2);"
                "insert into crm.contract (branch_id, number, account_id, service_point_id, "
                "tariff, valid) values "
                "(1, 'C9', 9, 9, 'FLAT', daterange('2026-01-01', null));"
                /* Two days of 500 Wh an hour, local days of UTC+7. */
                "select mdm.put_intervals(77, 1::smallint, '2026-01-04T17:00Z', 3600, 0::smallint, "
                "2::smallint, "
                "array_fill(500::bigint, array[48]))");
        CU_ASSERT_EQUAL(call(&r, "tariff.whatif",
                             "{\"code\":\"FLAT\",\"account\":\"A9\",\"from\":\"2026-01-05\",\"to\":"
                             "\"2026-01-07\"}"),
                        200);
        /* 48 h × 0.5 kWh × 2 × 2000 */
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "total"), "96000");
        CU_ASSERT_EQUAL(call(&r, "tariff.whatif",
                             "{\"code\":\"FLAT\",\"account\":\"A9\",\"from\":\"2026-01-05\",\"to\":"
                             "\"2026-01-08\"}"),
                        422);
        CU_ASSERT_PTR_NOT_NULL(strstr(r, "2026-01-06T17:00:00Z"));
        CU_ASSERT_EQUAL(call(&r, "tariff.compare",
                             "{\"codes\":[\"FLAT\",\"CHEAP\"],\"account\":\"A9\",\"from\":"
                             "\"2026-01-05\",\"to\":\"2026-01-07\"}"),
                        200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "items.1.total"), "96000");
        CU_ASSERT_EQUAL(call(&r, "tariff.whatif",
                             "{\"code\":\"FLAT\",\"account\":\"NONE\",\"from\":\"2026-01-05\","
                             "\"to\":\"2026-01-08\"}"),
                        404);
}

/* A year of quarter-hours of an account, as a call centre asks for it. */
static void whatif_of_a_year(void)
{
        struct timespec from, to;
        double ms, best = 1e9;
        char *r;

        setup();
        fixture_exec(f, "insert into mdm.meter (meter_id, branch_id, serial, model, commodity, "
                        "identity, period_s) values "
                        "(78, 1, 'S78', 'm', 'electricity', 'ID78', 900);"
                        "insert into crm.account (account_id, branch_id, number, party_id) "
                        "overriding system value values (10, 1, 'A10', 9);"
                        "insert into crm.service_point (service_point_id, branch_id, premise_id, "
                        "code, commodity) overriding system value values (10, 1, 9, 'SP10', "
                        "'electricity');"
                        "insert into crm.installation (service_point_id, meter_id, valid) values "
                        "(10, 78, tstzrange('2024-12-31T00:00Z', null));"
                        "insert into crm.contract (branch_id, number, account_id, "
                        "service_point_id, tariff, valid) values (1, 'C10', 10, 10, 'FLAT', "
                        "daterange('2025-01-01', null));"
                        "select mdm.put_intervals(78, 1::smallint, timestamptz "
                        "'2024-12-31T17:00Z' + d * interval '1 day', 900, 0::smallint, "
                        "2::smallint, array_fill(250::bigint, array[96])) "
                        "from generate_series(0, 364) d");
        for (int i = 0; i < 3; i++) {
                clock_gettime(CLOCK_MONOTONIC, &from);
                CU_ASSERT_EQUAL(call(&r, "tariff.whatif",
                                     "{\"code\":\"FLAT\",\"account\":\"A10\",\"from\":"
                                     "\"2025-01-01\",\"to\":\"2026-01-01\"}"),
                                200);
                clock_gettime(CLOCK_MONOTONIC, &to);
                ms = (double)(to.tv_sec - from.tv_sec) * 1e3 +
                     (double)(to.tv_nsec - from.tv_nsec) / 1e6;
                best = ms < best ? ms : best;
        }
        /* 35,040 × 0.25 kWh × 2000 */
        CU_ASSERT_STRING_EQUAL(fixture_json(f, r, "total"), "17520000");
        printf("%.0f ms ", best);
        CU_ASSERT(best < 1000);
}

static void teardown(void)
{
        fixture_free(f);
        f = NULL;
        CU_ASSERT_PTR_NULL(f);
}

HR_TESTS("tariff", { "a draft becomes active", a_draft_becomes_active },
         { "wrong examples stop it", wrong_examples_stop_it },
         { "a new version takes over", a_new_version_takes_over },
         { "what is in force stays", what_is_in_force_stays },
         { "branches see their own", branches_see_their_own },
         { "a version takes all steps", a_version_takes_all_steps },
         { "a published tariff becomes a draft", a_published_tariff_becomes_a_draft },
         { "tariffs are compared", tariffs_are_compared_on_the_same_use },
         { "holidays are frozen in", holidays_are_frozen_into_the_document },
         { "what-if of an account", whatif_of_an_account }, { "what-if of a year", whatif_of_a_year }, { "host stops", teardown })
