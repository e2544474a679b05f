#define BILLING_FIXTURE_BILLOPS
#include "billing_fixture.h"

static int call(const char *operation, const char *json, char **reply)
{
        return fixture_call_as(f, "maker", operation, json, reply);
}

/* 2026: weekend Saturday and Sunday, holidays 1 and 4 May (Friday, Monday). */
static void open_host(void)
{
        char *reply;

        billing_open(3);
        fixture_exec(f, "insert into billing.holiday values ('VN', '2026-05-01', 'Labour'),"
                        " ('VN', '2026-05-04', 'bridge')");
        CU_ASSERT_EQUAL(call("policy.set", "{\"branch\":\"HN\",\"calendar\":\"VN\"}", &reply), 200);
        CU_ASSERT_EQUAL(call("cycle.set",
                             "{\"branch\":\"HN\",\"cycle\":\"east\",\"months\":1,\"due_days\":5,"
                             "\"start_day\":1,\"bill_after\":2,\"read_before\":2,\"read_after\":1,"
                             "\"due_kind\":\"business\",\"due_roll\":\"next\"}",
                             &reply),
                        200);
}

static void test_business_days(void)
{
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select billing.is_business_day(1::smallint, '2026-04-30')"), "t");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select billing.is_business_day(1::smallint, '2026-05-01')"), "f");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select billing.is_business_day(1::smallint, '2026-05-02')"), "f");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select billing.is_business_day(2::smallint, '2026-05-01')"), "t");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select billing.roll_day(1::smallint, '2026-05-01', 'next')"),
                "2026-05-05");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select billing.roll_day(1::smallint, '2026-05-04', 'previous')"),
                "2026-04-30");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select billing.roll_day(1::smallint, '2026-05-04', 'none')"),
                "2026-05-04");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select billing.add_business_days(1::smallint, '2026-04-29', 3)"),
                "2026-05-06");
        /* Friday 24 April + 5: 27, 28, 29, 30 April, 5 May. */
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select billing.due_from(1::smallint, 'east', '2026-04-24')"),
                "2026-05-05");
}

static void test_plan(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call("cycle.plan",
                             "{\"branch\":\"HN\",\"cycle\":\"east\",\"from\":\"2026-04-15\"}",
                             &reply),
                        200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "added"), "12");
        CU_ASSERT_EQUAL(call("cycle.plan",
                             "{\"branch\":\"HN\",\"cycle\":\"east\",\"from\":\"2026-04-15\"}",
                             &reply),
                        200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "added"), "0");
        CU_ASSERT_EQUAL(
                call("cycle.plan",
                     "{\"branch\":\"HN\",\"cycle\":\"east\",\"from\":\"2026-04-15\",\"months\":14}",
                     &reply),
                200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "added"), "2");
        CU_ASSERT_EQUAL(call("cycle.calendar", "{\"branch\":\"HN\",\"cycle\":\"east\"}", &reply),
                        200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.from"), "2026-04-01");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.to"), "2026-05-01");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.read_from"), "2026-04-29");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.read_to"), "2026-05-02");
        /* 1 May rolls to 5 May; two business days on: 7 May; due five on: 14 May. */
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.bill_on"), "2026-05-07");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.due_on"), "2026-05-14");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.13.to"), "2027-06-01");
        refused("insert into billing.cycle_period (branch_id, cycle, period, read_from, read_to, "
                "bill_on, due_on) values"
                " (1, 'east', '[2026-04-20,2026-05-20)', '2026-05-01', '2026-05-01', '2026-05-02', "
                "'2026-05-03')",
                "cycle_period_once");
        CU_ASSERT_EQUAL(call("cycle.plan", "{\"branch\":\"HN\",\"cycle\":\"west\"}", &reply), 422);
        CU_ASSERT_EQUAL(call("cycle.plan", "{\"branch\":\"XX\",\"cycle\":\"east\"}", &reply), 404);
}

/* The run of a calendar period; its bills are due by the cycle's rule. */
static void test_run(void)
{
        char *reply;
        int64_t run;

        CU_ASSERT_EQUAL(call("contract.cycle", "{\"contract\":\"C2\",\"cycle\":\"east\"}", &reply),
                        200);
        CU_ASSERT_EQUAL(
                call("contract.cycle", "{\"contract\":\"C2\",\"cycle\":\"nowhere\"}", &reply), 404);
        CU_ASSERT_EQUAL(call("cycle.list", "{\"branch\":\"HN\"}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.contracts"), "1");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.planned_until"), "2027-06-01");
        /* The two others are in a cycle nobody has set. */
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "contracts_without_cycle"), "2");
        CU_ASSERT_EQUAL(call("cycle.run",
                             "{\"branch\":\"HN\",\"cycle\":\"east\",\"day\":\"2020-01-01\"}",
                             &reply),
                        404);
        CU_ASSERT_EQUAL_FATAL(call("cycle.run",
                                   "{\"branch\":\"HN\",\"cycle\":\"east\",\"day\":\"2026-10-09\"}",
                                   &reply),
                              201);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "from"), "2026-10-01");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "contracts"), "1");
        run = strtoll(fixture_json(f, reply, "run"), NULL, 10);
        fixture_drain(f);
        CU_ASSERT_EQUAL(call("cycle.run",
                             "{\"branch\":\"HN\",\"cycle\":\"east\",\"day\":\"2026-10-09\"}",
                             &reply),
                        409);
        issue(run);
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill where contract_id = 2 and state "
                               "= 'issued'"),
                        1);
        CU_ASSERT_EQUAL(
                number("select count(*) from billing.bill b join billing.run r using (run_id) "
                       "where b.due ="
                       " billing.due_from(1::smallint, 'east', (r.issue_at at time zone "
                       "'Asia/Ho_Chi_Minh')::date)"
                       " and b.due = r.due_day and billing.is_business_day(1::smallint, b.due)"),
                1);
        CU_ASSERT_EQUAL(number("select count(*) from ledger.line l join billing.bill b using "
                               "(entry_id) where l.gl = '1200' and l.due = b.due"),
                        1);
}

/* Off-cycle and final: the same bill as in a run, and nothing left over. */
static void test_final(void)
{
        char *reply, digest[80];

        CU_ASSERT_EQUAL(call("bill.final", "{\"contract\":\"C2\"}", &reply), 422);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "has no end"));
        CU_ASSERT_EQUAL(
                call("bill.final", "{\"contract\":\"C2\",\"until\":\"2026-10-20\"}", &reply), 409);
        CU_ASSERT_EQUAL(call("bill.final", "{\"contract\":\"C9\"}", &reply), 404);
        fixture_exec(
                f,
                "update crm.contract set valid = '[2026-10-01,2026-10-21)' where contract_id = 3");
        CU_ASSERT_EQUAL_FATAL(call("bill.final", "{\"contract\":\"C3\"}", &reply), 201);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "from"), "2026-10-01");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "to"), "2026-10-21");
        fixture_drain(f);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(
                        f, "select period || ' ' || state from billing.bill where contract_id = 3"),
                "[2026-10-01,2026-10-21) draft");
        CU_ASSERT_EQUAL(call("bill.final", "{\"contract\":\"C3\"}", &reply), 409);
        /* Alone it is billed as in a run, to the byte. */
        run_of("2026-10-01", "2026-11-01", "C1");
        snprintf(digest, sizeof digest, "%s",
                 fixture_sql(f, "select billing.bill_digest(bill_id) from billing.bill where "
                                "contract_id = 1"));
        CU_ASSERT_EQUAL(run_call("maker", "run.cancel",
                                 number("select max(run_id) from billing.run"), &reply),
                        200);
        run_of("2026-10-01", "2026-11-01", NULL);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select billing.bill_digest(bill_id) from billing.bill where "
                               "contract_id = 1 and state = 'draft'"),
                digest);
        CU_ASSERT_EQUAL(
                number("select (quantity * 1000)::bigint from billing.bill where contract_id = 3"),
                number("select sum(value) from t.reading where meter = 3 and at >= '2026-09-30 "
                       "17:00+00'"
                       " and at < '2026-10-20 17:00+00'"));
        fixture_free(f);
}

HR_TESTS("billing calendar", { "opens", open_host }, { "business days", test_business_days },
         { "a year ahead, without clashes", test_plan }, { "the run of a period", test_run },
         { "final bill", test_final })
