#include "billing_fixture.h"

/* What happens inside a period: another meter, another transformer factor, another price, a day of
 * 25 hours. */

static void open_host(void)
{
        billing_open(5);
        CU_ASSERT_EQUAL(number("select count(*) from crm.contract"), 5);
}

static int replayed_same(int contract)
{
        char sql[128], json[64], *reply;

        snprintf(sql, sizeof sql, "select max(bill_id) from billing.bill where contract_id = %d",
                 contract);
        snprintf(json, sizeof json, "{\"bill\":%s}", fixture_sql(f, sql));
        if (fixture_call(f, "bill.replay", json, &reply) != 200)
                return -1;
        return strcmp(fixture_json(f, reply, "same"), "true") == 0;
}

/* Meter 1 until 12 October, then meter 6 with factor 40, with factor 60 from 20 October. */
static void test_exchange(void)
{
        char *reply, json[64];

        fixture_exec(
                f,
                "update crm.installation set valid = '[2026-01-01,2026-10-11 17:00+00)' where "
                "meter_id = 1;"
                "insert into crm.installation (service_point_id, meter_id, valid, multiplier) "
                "values"
                " (1, 6, '[2026-10-11 17:00+00,2026-10-19 17:00+00)', 40),"
                " (1, 6, '[2026-10-19 17:00+00,)', 60);"
                "insert into t.reading select 6, 1, h, 900, 7, 0 from generate_series(timestamptz"
                " '2026-10-11 17:00+00', '2026-10-31 16:45+00', '15 minutes') h");
        run_of("2026-10-01", "2026-11-01", "C1");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select state from billing.bill where contract_id = 1"), "draft");
        CU_ASSERT_EQUAL(
                number("select (quantity * 1000)::bigint from billing.bill where contract_id = 1"),
                number("select sum(value * case when meter = 1 then 1 when at < '2026-10-19 "
                       "17:00+00' then 40"
                       " else 60 end) from t.reading where at >= '2026-09-30 17:00+00' and at < "
                       "'2026-10-31 17:00+00'"
                       " and (meter = 6 or meter = 1 and at < '2026-10-11 17:00+00')"));
        CU_ASSERT_EQUAL(number("select jsonb_array_length(sources) from billing.determinant d join "
                               "billing.bill b"
                               " using (bill_id) where b.contract_id = 1"),
                        3);
        CU_ASSERT_EQUAL(replayed_same(1), 1);
        /* The factor is part of what was frozen. */
        forge("update billing.bill set inputs = jsonb_set(inputs, '{segments,2,multiplier}', "
              "'\\\"61\\\"') where contract_id = 1");
        CU_ASSERT_EQUAL(replayed_same(1), 0);
        snprintf(json, sizeof json, "{\"bill\":%s}",
                 fixture_sql(f, "select bill_id from billing.bill where contract_id = 1"));
        CU_ASSERT_EQUAL(fixture_call(f, "bill.explain", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "readings.0.sources.1.serial"), "S6");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "readings.0.sources.1.multiplier"), "40");
        CU_ASSERT_STRING_NOT_EQUAL(fixture_json(f, reply, "lines.0.steps"), "");
}

static void test_tariff_change(void)
{
        tariff_version("VN2", 1, "[2026-01-01,2026-10-16)",
                       "{\"type\":\"energy\",\"code\":\"energy\",\"rate\":1000},"
                       "{\"type\":\"percent\",\"code\":\"vat\",\"tax\":true,\"pct\":8,\"of\":["
                       "\"energy\"]}");
        tariff_version("VN2", 2, "[2026-10-16,)",
                       "{\"type\":\"energy\",\"code\":\"energy\",\"rate\":2000},"
                       "{\"type\":\"percent\",\"code\":\"vat\",\"tax\":true,\"pct\":10,\"of\":["
                       "\"energy\"]}");
        fixture_exec(f, "update crm.contract set tariff = 'VN2' where contract_id = 2");
        run_of("2026-10-01", "2026-11-01", "C2");
        CU_ASSERT_EQUAL(number("select count(distinct part_no) from billing.bill_line l join "
                               "billing.bill b using (bill_id)"
                               " where b.contract_id = 2"),
                        2);
        /* Split at local midnight, in Wh so that nothing is rounded. */
        CU_ASSERT_EQUAL(number("select (l.quantity::numeric * 1000)::bigint from billing.bill_line "
                               "l join billing.bill b"
                               " using (bill_id) where b.contract_id = 2 and part_no = 1 and "
                               "component = 'energy'"),
                        number("select sum(value) from t.reading where meter = 2 and at >= "
                               "'2026-09-30 17:00+00'"
                               " and at < '2026-10-15 17:00+00'"));
        CU_ASSERT_EQUAL(number("select (l.quantity::numeric * 1000)::bigint from billing.bill_line "
                               "l join billing.bill b"
                               " using (bill_id) where b.contract_id = 2 and part_no = 2 and "
                               "component = 'energy'"),
                        number("select sum(value) from t.reading where meter = 2 and at >= "
                               "'2026-10-15 17:00+00'"
                               " and at < '2026-10-31 17:00+00'"));
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(
                        f,
                        "select string_agg(l.price, ',' order by line_no) from billing.bill_line l"
                        " join billing.bill b using (bill_id) where b.contract_id = 2"
                        " and component = 'energy'"),
                "1000,2000");
        CU_ASSERT_EQUAL(replayed_same(2), 1);
        forge("update billing.tariff_version set document_text = replace(document_text, '2000', "
              "'2001'),"
              " hash = sha256(hash) where code = 'VN2' and version = 2");
        CU_ASSERT_EQUAL(replayed_same(2), 0);
}

/* A contract that begins inside the period is billed for its own days. */
static void test_part_of_period(void)
{
        fixture_exec(f, "update crm.contract set valid = '[2026-10-21,)' where contract_id = 3");
        run_of("2026-10-01", "2026-11-01", "C3");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select period from billing.bill where contract_id = 3"),
                "[2026-10-21,2026-11-01)");
        CU_ASSERT_EQUAL(
                number("select (quantity * 1000)::bigint from billing.bill where contract_id = 3"),
                number("select sum(value) from t.reading where meter = 3 and at >= '2026-10-20 "
                       "17:00+00'"
                       " and at < '2026-10-31 17:00+00'"));
        CU_ASSERT_EQUAL(replayed_same(3), 1);
}

/* Gaps between tariff versions stop the bill; they are never priced at zero. */
static void test_tariff_gap(void)
{
        tariff_version("GAP", 1, "[2026-01-01,2026-10-10)", VN_ENERGY);
        tariff_version("GAP", 2, "[2026-10-11,)", VN_ENERGY);
        fixture_exec(f, "update crm.contract set tariff = 'GAP' where contract_id = 4");
        run_of("2026-10-01", "2026-11-01", "C4");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(
                        f, "select exceptions->0->>'text' from billing.bill where contract_id = 4"),
                "No active tariff version from 2026-10-10 on; activate one and run again");
        CU_ASSERT_EQUAL(number("select total from billing.bill where contract_id = 4"), 0);
}

/* A price that follows an index waits for the index. */
static void test_index(void)
{
        char *reply;

        tariff_version(
                "FUEL", 1, "[2026-01-01,)",
                "{\"type\":\"energy\",\"code\":\"energy\",\"rate\":1000,\"index\":\"fuel\"}");
        fixture_exec(f, "update crm.contract set tariff = 'FUEL' where contract_id = 5");
        CU_ASSERT_EQUAL(fixture_call(f, "index.add",
                                     "{\"name\":\"fuel\",\"day\":\"2026-09-01\",\"value\":\"9\","
                                     "\"source\":\"last month\"}",
                                     &reply),
                        200);
        run_of("2026-10-01", "2026-11-01", "C5");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(
                        f, "select exceptions->0->>'code' from billing.bill where contract_id = 5"),
                "missing_index");
        CU_ASSERT_EQUAL(run_call("maker", "run.cancel",
                                 number("select max(run_id) from billing.run"), &reply),
                        200);
        CU_ASSERT_EQUAL(fixture_call(f, "index.add",
                                     "{\"name\":\"fuel\",\"day\":\"2026-10-01\",\"value\":\"1.25\","
                                     "\"source\":\"Gazette 40\"}",
                                     &reply),
                        200);
        CU_ASSERT_EQUAL(fixture_call(f, "index.add",
                                     "{\"name\":\"fuel\",\"day\":\"2026-10-01\",\"value\":\"1.26\","
                                     "\"source\":\"Gazette 40\"}",
                                     &reply),
                        409);
        refused("update billing.index_value set value = 2", "published value stays");
        run_of("2026-10-01", "2026-11-01", "C5");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select l.price from billing.bill_line l join "
                                              "billing.bill b using (bill_id)"
                                              " where b.contract_id = 5 and b.state = 'draft'"),
                               "1250");
        CU_ASSERT_EQUAL(replayed_same(5), 1);
}

/* October in Berlin has 745 hours. */
static void test_summer_time(void)
{
        char *reply;

        fixture_exec(
                f, "insert into billing.tariff (code, branch_id, name, commodity, currency) values"
                   " ('DE', 2, 'Haushalt', 'electricity', 'EUR');"
                   "insert into billing.tariff_version (code, version, valid, state, document, "
                   "document_text, hash, created_by)"
                   " select 'DE', 1, '[2026-01-01,)', 'active', d::jsonb, d, sha256(convert_to(d, "
                   "'UTF8')), 't' from (values ("
                   "'{\"schema\":\"headrace-tariff-v1\",\"code\":\"DE\",\"commodity\":"
                   "\"electricity\",\"currency\":\"EUR\","
                   "\"components\":[{\"type\":\"fixed\",\"code\":\"base\",\"text\":\"Grundpreis\","
                   "\"amount\":\"9.90\",\"per\":\"month\"},"
                   "{\"type\":\"energy\",\"code\":\"energy\",\"text\":\"Arbeitspreis\",\"rate\":"
                   "\"0.2987\"},"
                   "{\"type\":\"percent\",\"code\":\"vat\",\"tax\":true,\"pct\":19,\"of\":\"all\"}]"
                   "}')) v(d);"
                   "insert into mdm.meter (meter_id, branch_id, serial, model, commodity, "
                   "identity) values"
                   " (100, 2, 'S100', 'm', 'electricity', 'I100');"
                   "insert into crm.party (branch_id, kind, name) values (2, 'person', 'Erika "
                   "Mustermann');"
                   "insert into crm.account (branch_id, number, party_id) select 2, 'DE1', "
                   "max(party_id) from crm.party;"
                   "insert into crm.premise (branch_id, address) values (2, 'Musterweg 1');"
                   "insert into crm.service_point (branch_id, premise_id, code, commodity) select "
                   "2, max(premise_id),"
                   " 'DEP', 'electricity' from crm.premise;"
                   "insert into crm.installation (service_point_id, meter_id, valid) select "
                   "max(service_point_id), 100,"
                   " '[2026-01-01,)' from crm.service_point;"
                   "insert into crm.contract (branch_id, number, account_id, service_point_id, "
                   "tariff, valid) select 2, 'D1',"
                   " (select max(account_id) from crm.account), max(service_point_id), 'DE', "
                   "'[2026-01-01,)'"
                   " from crm.service_point;"
                   "insert into t.reading select 100, 1, h, 3600, 500, 0 from "
                   "generate_series(timestamptz"
                   " '2026-09-30 22:00+00', '2026-10-31 22:00+00', '1 hour') h");
        CU_ASSERT_EQUAL_FATAL(
                fixture_call_as(f, "stranger", "run.create",
                                "{\"branch\":\"DE\",\"from\":\"2026-10-01\",\"to\":\"2026-11-01\"}",
                                &reply),
                201);
        fixture_drain(f);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f,
                            "select trim_scale(quantity) from billing.bill where currency = 'EUR'"),
                "372.5");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select trim_scale((daily->>24)::numeric) from "
                                              "billing.determinant d join billing.bill b"
                                              " using (bill_id) where b.currency = 'EUR'"),
                               "12.5");
        /* 9.90 + 372.5 × 0.2987 = 111.27 → 121.17; 19 % = 23.02 */
        CU_ASSERT_EQUAL(number("select total from billing.bill where currency = 'EUR'"),
                        12117 + 2302);
        fixture_free(f);
}

HR_TESTS("billing periods", { "opens", open_host },
         { "meter exchange and factor change", test_exchange },
         { "tariff change: both parts shown", test_tariff_change },
         { "contract begins inside", test_part_of_period },
         { "no tariff on one day", test_tariff_gap },
         { "a price that follows an index", test_index }, { "a day of 25 hours", test_summer_time })
