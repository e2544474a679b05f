#include "billing_fixture.h"

enum { CONTRACTS = 30 };

static int64_t october;

static void open_host(void)
{
        billing_open(CONTRACTS);
        CU_ASSERT_EQUAL(number("select count(*) from crm.contract"), CONTRACTS);
}

/* The bill of one contract against arithmetic done here. */
static void test_run(void)
{
        char *reply;

        october = run_of("2026-10-01", "2026-11-01", NULL);
        CU_ASSERT_EQUAL(run_call("maker", "run.show", october, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "bills"), "30");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "held"), "0");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "done"), "30");
        /* Meter 1: 744 hours × 103 Wh + hour % 5: each UTC day adds 46 (0..4 repeated), 31 days. */
        CU_ASSERT_EQUAL(
                number("select (quantity * 1000)::bigint from billing.bill where contract_id = 1"),
                744 * 103 + 31 * 46);
        /* 78.058 kWh: 50 × 1984 + 28.058 × 2050 = 99200 + 57518.9 → 57519; VAT 8 % of 156719 =
         * 12537.5 → 12538 */
        CU_ASSERT_EQUAL(number("select total from billing.bill where contract_id = 1"),
                        99200 + 57519 + 12538);
        CU_ASSERT_EQUAL(number("select tax from billing.bill where contract_id = 1"), 12538);
        CU_ASSERT_EQUAL(number("select sum(total) from billing.bill"),
                        number("select sum(amount) from billing.bill_line"));
        CU_ASSERT_EQUAL(number("select sum(x::numeric * 1000)::bigint from billing.determinant,"
                               " jsonb_array_elements_text(daily) x where bill_id = (select "
                               "bill_id from billing.bill"
                               " where contract_id = 1)"),
                        744 * 103 + 31 * 46);
}

static void test_four_eyes(void)
{
        char *reply;

        CU_ASSERT_EQUAL(run_call("maker", "run.issue", october, &reply), 409);
        CU_ASSERT_EQUAL(run_call("maker", "run.approve", october, &reply) / 100, 4);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "someone other than"));
        CU_ASSERT_EQUAL(run_call("stranger", "run.show", october, &reply), 404);
        CU_ASSERT_EQUAL(run_call("stranger", "run.approve", october, &reply), 404);
        refused("update billing.run set state = 'issued'", "cannot become issued");
        refused("delete from billing.run", "is kept");
        CU_ASSERT_EQUAL(
                fixture_call_as(f, "maker", "run.create",
                                "{\"branch\":\"HN\",\"from\":\"2026-10-01\",\"to\":\"2026-10-01\"}",
                                &reply),
                422);
        CU_ASSERT_EQUAL(
                fixture_call_as(f, "maker", "run.create",
                                "{\"branch\":\"XX\",\"from\":\"2026-10-01\",\"to\":\"2026-11-01\"}",
                                &reply),
                404);
}

/* Total and lines agree at commit, one active bill a contract and day. */
static void test_constraints(void)
{
        refused("update billing.bill set total = total + 1 where contract_id = 2",
                "its lines add up to");
        refused("update billing.bill_line set amount = amount + 1 where line_no = 1",
                "its lines add up to");
        refused("delete from billing.bill_line where line_no = 1", "its lines add up to");
        refused("insert into billing.bill_line (bill_id, line_no, branch_id, part_no, code, "
                "component, "
                "kind, quantity, unit, price, exact, amount, trace, hash) select bill_id, 99, 1, "
                "1, "
                "'x', 'x', 'charge', '1', '', '1', '1', 100, '{}', '' from billing.bill limit 1",
                "its lines add up to");
        refused("insert into billing.bill_line (bill_id, line_no, branch_id, part_no, code, "
                "component, "
                "kind, quantity, unit, price, exact, amount, trace, hash) values (999999, 1, 1, 1, "
                "'x', 'x', 'charge', '1', '', '1', '1', 0, '{}', '')",
                "Bill 999999 is unknown");
        refused("insert into billing.bill (branch_id, run_id, contract_id, account_id, "
                "service_point_id, period, currency, total)"
                " select 1, run_id, 1, 1, 1, '[2026-12-01,2026-12-30)', 'VND', 5 from billing.run "
                "limit 1",
                "its lines add up to");
        refused("insert into billing.bill (branch_id, run_id, contract_id, account_id, "
                "service_point_id, period, currency)"
                " select 1, run_id, 1, 1, 1, '[2026-10-31,2026-11-30)', 'VND' from billing.run "
                "limit 1",
                "bill_once");
        /* The same run again finds every contract billed. */
        int64_t again = run_of("2026-10-01", "2026-11-01", NULL);
        char sql[128];

        snprintf(sql, sizeof sql, "select skipped from billing.run where run_id = %lld",
                 (long long)again);
        CU_ASSERT_EQUAL(number(sql), CONTRACTS);
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill"), CONTRACTS);
}

static int replay(const char *contract, char **reply)
{
        char sql[128], json[64];

        snprintf(sql, sizeof sql,
                 "select max(bill_id) from billing.bill b join crm.contract c using (contract_id)"
                 " where c.number = '%s'",
                 contract);
        snprintf(json, sizeof json, "{\"bill\":%s}", fixture_sql(f, sql));
        return fixture_call_as(f, "maker", "bill.replay", json, reply);
}

static void differs(const char *contract, const char *what)
{
        char *reply;

        CU_ASSERT_EQUAL(replay(contract, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "same"), "false");
        if (!strstr(reply, what))
                printf("\nexpected: %s\ngot: %.600s\n", what, reply);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, what));
}

static void test_replay(void)
{
        char *reply;

        CU_ASSERT_EQUAL(replay("C3", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "same"), "true");
        CU_ASSERT_TRUE(strtol(fixture_json(f, reply, "compared"), NULL, 10) > 30);
        forge("update billing.bill_line set amount = amount + 1 where line_no = 2 and bill_id = "
              "(select bill_id from"
              " billing.bill where contract_id = 4)");
        differs("C4", "\"line 2 amount\"");
        forge("update billing.bill_line set trace = replace(trace, '5', '6') where line_no = 1 and "
              "bill_id ="
              " (select bill_id from billing.bill where contract_id = 5)");
        differs("C5", "\"line 1 trace\"");
        forge("update billing.bill_line set hash = sha256(hash) where line_no = 3 and bill_id = "
              "(select bill_id from"
              " billing.bill where contract_id = 6)");
        differs("C6", "\"line 3 hash\"");
        forge("update t.reading set value = value + 1 where meter = 7 and at = '2026-10-15 "
              "00:00+00'");
        differs("C7", "\"readings of energy.import, meter S7\"");
        /* Two values that make up for each other: the sum is the same, the readings are not. */
        forge("update t.reading set value = value + case when at = '2026-10-15 00:00+00' then 1 "
              "else -1 end where meter = 8"
              " and at in ('2026-10-15 00:00+00', '2026-10-15 01:00+00')");
        differs("C8", "\"readings of energy.import, meter S8\"");
        forge("update billing.determinant set quantity = quantity + 0.001 where bill_id = (select "
              "bill_id from"
              " billing.bill where contract_id = 9)");
        differs("C9", "\"quantity of energy.import\"");
        forge("update billing.bill set total = total + 1 where contract_id = 10");
        differs("C10", "\"total\"");
        forge("update billing.bill set total = total - 1 where contract_id = 10");
        forge("update billing.bill_line set amount = amount - 1 where line_no = 2 and bill_id = "
              "(select bill_id from"
              " billing.bill where contract_id = 4)");
        CU_ASSERT_EQUAL(replay("C4", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "same"), "true");
}

static void test_issue(void)
{
        char *reply;

        issue(october);
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill where state = 'issued'"),
                        CONTRACTS);
        CU_ASSERT_EQUAL(number("select sum(debit) from ledger.line where gl = '1200'"),
                        number("select sum(total) from billing.bill where state = 'issued'"));
        CU_ASSERT_EQUAL(number("select sum(credit) from ledger.line where gl = '2200'"),
                        number("select sum(tax) from billing.bill where state = 'issued'"));
        CU_ASSERT_EQUAL(fixture_call(f, "ledger.sums", "{}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "balanced"), "true");
        CU_ASSERT_EQUAL(number("select count(*) from core.event where type = 'bill.issued'"),
                        CONTRACTS);
        refused("update billing.bill set total = 0 where contract_id = 1",
                "reverse it and bill again");
        refused("delete from billing.bill_line", "its lines do not change");
        /* Issuing again changes nothing. */
        CU_ASSERT_EQUAL(run_call("maker", "run.issue", october, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(number("select count(*) from ledger.entry where kind = 'bill'"), CONTRACTS);
        CU_ASSERT_EQUAL(run_call("maker", "run.cancel", october, &reply) / 100, 4);
}

static void test_reverse_and_rebill(void)
{
        char json[96], *reply;
        int64_t run;

        snprintf(json, sizeof json, "{\"bill\":%s,\"reason\":\"wrong reading\"}",
                 fixture_sql(f, "select bill_id from billing.bill where contract_id = 11"));
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "bill.reverse", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "reversed");
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "bill.reverse", json, &reply) / 100, 4);
        CU_ASSERT_EQUAL(number("select ledger.balance(11, 'VND')"), 0);
        forge("update t.reading set value = value * 2 where meter = 11");
        run = run_of("2026-10-01", "2026-11-01", "C11");
        issue(run);
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill where contract_id = 11 and state "
                               "= 'issued'"),
                        1);
        CU_ASSERT_EQUAL(number("select ledger.balance(11, 'VND')"),
                        number("select total from billing.bill where contract_id = 11 and state = "
                               "'issued'"));
        CU_ASSERT_EQUAL(number("select rebill_of from billing.bill where contract_id = 11 and "
                               "state = 'issued'"),
                        number("select bill_id from billing.bill where contract_id = 11 and state "
                               "= 'reversed'"));
        fixture_drain(f);
        CU_ASSERT_EQUAL(number("select count(*) from billing.invoice where account_id = 11"), 3);
}

static const char exceptions_sql[] =
        "select string_agg(e->>'code', ',' order by e->>'code') from billing.bill b,"
        " jsonb_array_elements(b.exceptions) e where b.contract_id = %d and b.state = '%s' and "
        "b.period && '[2026-09-01,2026-10-01)'";

static const char *exceptions_of(int contract, const char *state)
{
        char sql[512];

        snprintf(sql, sizeof sql, exceptions_sql, contract, state);
        return fixture_sql(f, sql);
}

/* September: every cause of a held bill, then what may be released and what may not. */
static void test_exceptions(void)
{
        char json[128], *reply;
        int64_t run;

        forge("delete from t.reading where meter = 12");
        forge("delete from t.reading where meter = 13 and at = '2026-09-10 00:00+00'");
        forge("update t.reading set value = 0 where meter = 14");
        fixture_exec(f, "update crm.contract set tariff = 'NONE' where contract_id = 15");
        forge("update t.reading set status = 2 where meter = 16");
        forge("update t.reading set status = 8 where meter = 17 and at = '2026-09-10 00:00+00'");
        fixture_exec(
                f, "insert into vee.run (branch_id, period, rule_set, actor) values (1, "
                   "'[2026-09-01,2026-10-01)', 1, 'x');"
                   "insert into vee.exception (branch_id, run_id, meter_id, channel, rule, "
                   "severity, from_at, to_at, value,"
                   " \"limit\", text) select 1, run_id, 18, 1, 'spike', 'block', '2026-09-05', "
                   "'2026-09-06', 9, 5, 'too high'"
                   " from vee.run;"
                   "insert into vee.exception (branch_id, run_id, meter_id, channel, rule, "
                   "severity, from_at, to_at, value,"
                   " \"limit\", text) select 1, run_id, 19, 1, 'spike', s, t, t + interval '1 "
                   "day', 9, 5, 'x' from vee.run,"
                   " (values ('warn', timestamptz '2026-09-05'), ('block', '2026-10-05')) v(s, t)");
        run = run_of("2026-09-01", "2026-10-01", NULL);
        CU_ASSERT_EQUAL(run_call("maker", "run.show", run, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "held"), "7");
        CU_ASSERT_STRING_EQUAL(exceptions_of(18, "held"), "validation");
        CU_ASSERT_STRING_EQUAL(exceptions_of(12, "held"), "no_readings");
        CU_ASSERT_STRING_EQUAL(exceptions_of(13, "held"), "incomplete_readings");
        CU_ASSERT_STRING_EQUAL(exceptions_of(14, "held"), "zero");
        CU_ASSERT_STRING_EQUAL(exceptions_of(15, "held"), "missing_tariff");
        CU_ASSERT_STRING_EQUAL(exceptions_of(16, "held"), "many_estimates");
        CU_ASSERT_STRING_EQUAL(exceptions_of(17, "held"), "incomplete_readings");
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill_line l join billing.bill b using "
                               "(bill_id)"
                               " where b.contract_id in (12, 13, 15, 17) and b.state = 'held'"),
                        0);
        snprintf(json, sizeof json, "{\"bill\":%s,\"reason\":\"customer was away\"}",
                 fixture_sql(f, "select bill_id from billing.bill where contract_id = 14 and state "
                                "= 'held'"));
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "bill.release", json, &reply), 200);
        snprintf(json, sizeof json, "{\"bill\":%s,\"reason\":\"let it go\"}",
                 fixture_sql(f, "select bill_id from billing.bill where contract_id = 13 and state "
                                "= 'held'"));
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "bill.release", json, &reply), 409);
        issue(run);
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill where state = 'held'"), 0);
        /* What was left out can be billed once its cause is mended. */
        forge("update t.reading set status = 0 where meter = 17");
        fixture_exec(f, "update vee.exception set state = 'accepted' where meter_id = 18");
        run = run_of("2026-09-01", "2026-10-01", NULL);
        CU_ASSERT_EQUAL(run_call("maker", "run.show", run, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "bills"), "2");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "held"), "4");
        CU_ASSERT_EQUAL(run_call("maker", "run.cancel", run, &reply), 200);
        CU_ASSERT_EQUAL(
                number("select count(*) from billing.bill where state in ('draft', 'held')"), 0);
}

static void close_host(void)
{
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

HR_TESTS("billrun", { "opens", open_host }, { "a run bills every contract, to the dong", test_run },
         { "states, four eyes, branches", test_four_eyes },
         { "total = sum of lines; one bill a contract and period", test_constraints },
         { "replay names one flipped value", test_replay },
         { "issuing posts to the ledger, once", test_issue },
         { "reversal and new bill", test_reverse_and_rebill },
         { "exceptions hold bills", test_exceptions },
         { "row-level security on every table", close_host })
