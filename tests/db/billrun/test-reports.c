#define BILLING_FIXTURE_BILLOPS
#include "billing_fixture.h"

/* Reports against the bills and the ledger themselves; why a bill differs from the last one. */

static int call(const char *operation, const char *json, char **reply)
{
        static char kept[1 << 18];
        int status = fixture_call_as(f, "maker", operation, json, reply);

        /* The fixture's own copy lives for eight calls only. */
        snprintf(kept, sizeof kept, "%s", *reply);
        *reply = kept;
        return status;
}

static int64_t at(const char *json, const char *path)
{
        return strtoll(fixture_json(f, json, path), NULL, 10);
}

/* Prices rise in October for contracts 1 to 4; meter 5 was estimated in September; a formula for a
 * tariff's class; 7 has no meter, 8 no contract. */
static void open_host(void)
{
        char *reply, json[64];

        billing_open(10);
        tariff_version("VN2", 1, "[2026-01-01,2026-10-01)",
                       "{\"type\":\"energy\",\"code\":\"energy\",\"rate\":1000}," VN_VAT);
        tariff_version("VN2", 2, "[2026-10-01,)",
                       "{\"type\":\"energy\",\"code\":\"energy\",\"rate\":1300}," VN_VAT);
        fixture_exec(f, "update crm.contract set tariff = 'VN2' where contract_id <= 4;"
                        "update crm.contract set class = '=HYPERLINK(\"x\")' where contract_id = 4;"
                        "update crm.premise set city = '@Huế, \"Phú Hội\"' where premise_id = 3;"
                        "delete from crm.installation where meter_id = 7;"
                        "delete from crm.contract where contract_id = 8");
        forge("update t.reading set status = 2 where meter = 5 and at < '2026-09-30 17:00+00'");
        forge("update t.reading set value = value * 3 / 2 where meter = 5 and at >= '2026-09-30 "
              "17:00+00'");
        int64_t september = run_of("2026-09-01", "2026-10-01", NULL);

        snprintf(json, sizeof json, "{\"run\":%lld,\"reason\":\"seen\"}", (long long)september);
        CU_ASSERT_EQUAL(call("run.release", json, &reply), 200);
        CU_ASSERT_EQUAL(at(reply, "released"), 1);
        issue(september);
        fixture_exec(f, "update crm.contract set cycle = 'other' where contract_id = 10");
        issue(run_of("2026-10-01", "2026-11-01", NULL));
}

static void test_control(void)
{
        char *reply, json[64];
        int64_t run = number("select max(run_id) from billing.run"), total = 0;

        snprintf(json, sizeof json, "{\"run\":%lld}", (long long)run);
        CU_ASSERT_EQUAL(call("report.control", json, &reply), 200);
        CU_ASSERT_EQUAL(at(reply, "summary.bills"), 7);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.tariff"), "VN");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.1.class"), "=HYPERLINK(\"x\")");
        for (int i = 0; i < 3; i++) {
                char path[32];

                snprintf(path, sizeof path, "items.%d.total", i);
                total += at(reply, path);
        }
        CU_ASSERT_EQUAL(total, number("select sum(total) from billing.bill where state = 'issued' "
                                      "and lower(period) = '2026-10-01'"));
        CU_ASSERT_EQUAL(total, at(reply, "summary.total"));
        CU_ASSERT_EQUAL(at(reply, "items.2.change"),
                        number("select sum(b.total - p.total) from billing.bill b join "
                               "billing.bill p on p.bill_id = b.previous_bill_id"
                               " where b.contract_id <= 3 and lower(b.period) = '2026-10-01'"));
        CU_ASSERT_EQUAL(at(reply, "items.2.largest"),
                        number("select max(total) from billing.bill where contract_id <= 3 and "
                               "lower(period) = '2026-10-01'"));
        CU_ASSERT_EQUAL(call("report.control", "{\"run\":99}", &reply), 404);
}

static void test_csv(void)
{
        char *reply, json[64];

        snprintf(json, sizeof json, "{\"run\":%s}",
                 fixture_sql(f, "select max(run_id) from billing.run"));
        CU_ASSERT_EQUAL(call("report.control_csv", json, &reply), 200);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "tariff,class,unit,bills,"));
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "VN2,\"'=HYPERLINK(\"\"x\"\")\",kWh,1,"));
        CU_ASSERT_PTR_NULL(strstr(reply, ",=HYPERLINK"));
        CU_ASSERT_EQUAL(call("report.consumption_csv",
                             "{\"from\":\"2026-10-01\",\"to\":\"2026-11-01\"}", &reply),
                        200);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\"'@Huế, \"\"Phú Hội\"\"\""));
        CU_ASSERT_EQUAL(call("report.consumption_csv",
                             "{\"from\":\"2026-10-01\",\"to\":\"2026-10-01\"}", &reply),
                        422);
}

/* Every point that could be billed: billed, or one reason. */
static void test_unbilled(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call("report.unbilled",
                             "{\"branch\":\"HN\",\"from\":\"2026-10-01\",\"to\":\"2026-11-01\"}",
                             &reply),
                        200);
        CU_ASSERT_EQUAL(at(reply, "summary.points"), 10);
        CU_ASSERT_EQUAL(at(reply, "summary.billed"), 7);
        CU_ASSERT_EQUAL(at(reply, "summary.unbilled"), 3);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.service_point"), "P7");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.reason"),
                               "left_out:missing_quantity");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.1.service_point"), "P8");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.1.reason"), "no_contract");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.2.service_point"), "P10");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.2.reason"), "no_run");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.2.days"), "31");
        /* A month nobody has billed. */
        CU_ASSERT_EQUAL(call("report.unbilled",
                             "{\"branch\":\"HN\",\"from\":\"2026-12-01\",\"to\":\"2027-01-01\"}",
                             &reply),
                        200);
        CU_ASSERT_EQUAL(at(reply, "summary.billed"), 0);
        CU_ASSERT_EQUAL(at(reply, "summary.unbilled"), 10);
        CU_ASSERT_EQUAL(call("report.unbilled",
                             "{\"branch\":\"XX\",\"from\":\"2026-12-01\",\"to\":\"2027-01-01\"}",
                             &reply),
                        404);
        /* A period that is billed in part. */
        CU_ASSERT_EQUAL(call("report.unbilled",
                             "{\"branch\":\"HN\",\"from\":\"2026-10-16\",\"to\":\"2026-11-16\"}",
                             &reply),
                        200);
        CU_ASSERT_EQUAL(number("select 1"), 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\"partly_billed\""));
}

static void test_consumption(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call("report.consumption",
                             "{\"from\":\"2026-10-01\",\"to\":\"2026-11-01\"}", &reply),
                        200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "summary.billed.0.unit"), "kWh");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "summary.billed.0.bills"), "7");
        CU_ASSERT_EQUAL(
                (int64_t)(strtod(fixture_json(f, reply, "summary.billed.0.quantity"), NULL) * 1000 +
                          0.5),
                number("select sum(value) from t.reading where meter in (1, 2, 3, 4, 5, 6, 9) and "
                       "at >= '2026-09-30 17:00+00'"
                       " and at < '2026-10-31 17:00+00'"));
        CU_ASSERT_EQUAL(at(reply, "items.0.total") + at(reply, "items.1.total") +
                                at(reply, "items.2.total") + at(reply, "items.3.total"),
                        number("select sum(total) from billing.bill where state = 'issued' and "
                               "lower(period) = '2026-10-01'"));
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.4.total"), "");
}

static void test_revenue(void)
{
        char *reply, json[160];
        int64_t revenue = 0, tax = 0;

        CU_ASSERT_EQUAL(
                call("adjustment.create",
                     "{\"kind\":\"debit\",\"contract\":\"C9\",\"amount\":700,\"reason\":\"fee\"}",
                     &reply),
                201);
        snprintf(json, sizeof json, "{\"adjustment\":%s}", fixture_json(f, reply, "adjustment"));
        CU_ASSERT_EQUAL(fixture_call_as(f, "checker", "adjustment.approve", json, &reply), 200);
        snprintf(json, sizeof json, "{\"bill\":%s,\"reason\":\"test\"}",
                 fixture_sql(f, "select bill_id from billing.bill where contract_id = 9 and "
                                "lower(period) = '2026-10-01'"));
        CU_ASSERT_EQUAL(call("bill.reverse", json, &reply), 200);
        snprintf(json, sizeof json, "{\"branch\":\"HN\",\"from\":\"%s\",\"to\":\"%s\"}",
                 fixture_sql(f, "select current_date - 1"),
                 fixture_sql(f, "select current_date + 2"));
        CU_ASSERT_EQUAL(call("report.revenue", json, &reply), 200);
        for (int i = 0; i < 8; i++) {
                char path[32], gl[32];

                snprintf(path, sizeof path, "items.%d.amount", i);
                snprintf(gl, sizeof gl, "items.%d.gl", i);
                if (strcmp(fixture_json(f, reply, gl), "2200") == 0)
                        tax += at(reply, path);
                else
                        revenue += at(reply, path);
        }
        CU_ASSERT_EQUAL(revenue,
                        number("select sum(credit - debit) from ledger.line where gl = '4010'"));
        CU_ASSERT_EQUAL(tax,
                        number("select sum(credit - debit) from ledger.line where gl = '2200'"));
        CU_ASSERT_EQUAL(at(reply, "summary.ledger.0.amount"), tax);
        CU_ASSERT_EQUAL(at(reply, "summary.ledger.1.amount"), revenue);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\"adjustment\""));
        CU_ASSERT_EQUAL(fixture_call_as(f, "stranger", "report.revenue", json, &reply), 404);
}

/* Days, use, price and estimates add up to the difference, for every bill there is. */
static void test_difference(void)
{
        char *reply, json[64], sql[160];

        for (int contract = 1; contract <= 6; contract++) {
                int64_t price;

                snprintf(sql, sizeof sql,
                         "select bill_id from billing.bill where contract_id = %d and "
                         "lower(period) = '2026-10-01'",
                         contract);
                snprintf(json, sizeof json, "{\"bill\":%s}", fixture_sql(f, sql));
                CU_ASSERT_EQUAL(call("bill.explain", json, &reply), 200);
                snprintf(sql, sizeof sql,
                         "select b.total - p.total from billing.bill b join billing.bill p on "
                         "p.bill_id = b.previous_bill_id where b.contract_id = %d",
                         contract);
                CU_ASSERT_EQUAL(at(reply, "comparison.difference"), number(sql));
                price = at(reply, "comparison.by_price");
                CU_ASSERT_EQUAL(at(reply, "comparison.by_days") + at(reply, "comparison.by_use") +
                                        price + at(reply, "comparison.by_estimates"),
                                at(reply, "comparison.difference"));
                CU_ASSERT_TRUE(at(reply, "comparison.by_days") > 0);
                if (contract <= 4) {
                        /* The same use at 1000 instead of 1300, with 8 % tax, each rounded. */
                        snprintf(sql, sizeof sql,
                                 "select b.total - round(quantity * 1000) - round(round(quantity * "
                                 "1000) * 0.08)"
                                 " from billing.bill b where contract_id = %d and lower(period) = "
                                 "'2026-10-01'",
                                 contract);
                        CU_ASSERT_EQUAL(price, number(sql));
                } else {
                        CU_ASSERT_EQUAL(price, 0);
                }
                /* September of meter 5 was estimated, and use is half as much again. */
                CU_ASSERT_EQUAL(at(reply, "comparison.by_estimates") > 0, contract == 5);
        }
        snprintf(json, sizeof json, "{\"bill\":%s}",
                 fixture_sql(f, "select min(bill_id) from billing.bill where contract_id = 1"));
        CU_ASSERT_EQUAL(call("bill.explain", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "comparison.difference"), "");
        CU_ASSERT_EQUAL(call("bill.explain", "{\"bill\":99999}", &reply), 404);
        CU_ASSERT_EQUAL(
                number("select count(*) from pg_class c where c.relnamespace = "
                       "'billing'::regnamespace"
                       " and c.relkind = 'r' and not (c.relrowsecurity and c.relforcerowsecurity)"
                       " and exists (select from pg_attribute a where a.attrelid = c.oid and "
                       "a.attname = 'branch_id'"
                       " and c.relname not like 'tariff%')"),
                0);
        fixture_free(f);
}

HR_TESTS("billing reports", { "opens", open_host }, { "control report", test_control },
         { "CSV without formulas", test_csv }, { "billed, or a reason", test_unbilled },
         { "consumption equals what was billed", test_consumption },
         { "revenue equals the ledger", test_revenue },
         { "why a bill differs, to the dong", test_difference })
