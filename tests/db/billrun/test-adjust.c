#define BILLING_FIXTURE_BILLOPS
#include "billing_fixture.h"

/* Notes by hand and budget plans: the ledger stays balanced, the second person is asked, numbers
 * have no gaps. */

static int call(const char *who, const char *operation, const char *json, char **reply)
{
        static char kept[1 << 18];
        int status = fixture_call_as(f, who, operation, json, reply);

        /* The fixture's own copy lives for eight calls only. */
        snprintf(kept, sizeof kept, "%s", *reply);
        *reply = kept;
        return status;
}

static int64_t balance(int account)
{
        char sql[96];

        snprintf(sql, sizeof sql, "select ledger.balance(%d, 'VND')", account);
        return number(sql);
}

static int64_t bill_of(int contract, const char *month)
{
        char sql[160];

        snprintf(sql, sizeof sql,
                 "select bill_id from billing.bill where contract_id = %d and lower(period) = "
                 "'%s-01'"
                 " and state = 'issued'",
                 contract, month);
        return number(sql);
}

static void balanced(void)
{
        CU_ASSERT_EQUAL(
                number("select count(*) from (select entry_id from ledger.line group by entry_id"
                       " having sum(debit) <> sum(credit)) x"),
                0);
}

static void open_host(void)
{
        char *reply;

        billing_open(8);
        fixture_exec(
                f,
                "insert into t.reading select m, 1, h, 3600, 200, 0 from generate_series(1, 8) m,"
                " generate_series(timestamptz '2026-10-31 17:00+00', '2026-12-31 16:00+00',"
                " '1 hour') h");
        CU_ASSERT_EQUAL(
                call("maker", "budget.create",
                     "{\"contract\":\"C5\",\"from\":\"2026-09-01\",\"months\":2,\"amount\":200000}",
                     &reply),
                201);
        CU_ASSERT_EQUAL(
                call("maker", "budget.create",
                     "{\"contract\":\"C6\",\"from\":\"2026-09-01\",\"months\":2,\"amount\":1000}",
                     &reply),
                201);
        issue(run_of("2026-09-01", "2026-10-01", NULL));
        issue(run_of("2026-10-01", "2026-11-01", NULL));
        balanced();
}

static void test_limit(void)
{
        char *reply, json[200];
        int64_t before = balance(1), id;

        CU_ASSERT_EQUAL(
                call("maker", "policy.set", "{\"branch\":\"HN\",\"adjust_limit\":10000}", &reply),
                200);
        snprintf(json, sizeof json,
                 "{\"kind\":\"credit\",\"bill\":%lld,\"amount\":10000,\"reason\":\"goodwill\"}",
                 (long long)bill_of(1, "2026-10"));
        CU_ASSERT_EQUAL(call("maker", "adjustment.create", json, &reply), 201);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "posted");
        CU_ASSERT_STRING_NOT_EQUAL(fixture_json(f, reply, "number"), "");
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_json(f, reply, "number"), "-000001"));
        CU_ASSERT_EQUAL(balance(1), before - 10000);
        /* The tax of the note is the bill's share: 8 of 108, rounded. */
        CU_ASSERT_EQUAL(
                number("select sum(debit) from ledger.line join ledger.entry using (entry_id) where"
                       " kind = 'adjustment' and gl = '2200'"),
                number("select round(10000::numeric * tax / total) from billing.bill where "
                       "contract_id = 1"
                       " and lower(period) = '2026-10-01'"));
        CU_ASSERT_EQUAL(number("select count(*) from core.event where type = 'adjustment.posted'"),
                        1);
        snprintf(json, sizeof json,
                 "{\"kind\":\"credit\",\"bill\":%lld,\"amount\":10001,\"reason\":\"goodwill\"}",
                 (long long)bill_of(1, "2026-10"));
        CU_ASSERT_EQUAL(call("maker", "adjustment.create", json, &reply), 201);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "proposed");
        CU_ASSERT_EQUAL(balance(1), before - 10000);
        id = strtoll(fixture_json(f, reply, "adjustment"), NULL, 10);
        snprintf(json, sizeof json, "{\"adjustment\":%lld}", (long long)id);
        CU_ASSERT_EQUAL(call("maker", "adjustment.approve", json, &reply), 422);
        CU_ASSERT_EQUAL(call("checker", "adjustment.approve", json, &reply), 200);
        CU_ASSERT_EQUAL(balance(1), before - 20001);
        CU_ASSERT_EQUAL(call("checker", "adjustment.approve", json, &reply), 422);
        refused("update billing.adjustment set amount = 1", "that was decided stays");
        balanced();
}

static void test_refused(void)
{
        char *reply, json[200];
        int64_t total = number("select total from billing.bill where contract_id = 1 and "
                               "lower(period) = '2026-10-01'");

        /* More than the bill, with what was credited already. */
        snprintf(json, sizeof json,
                 "{\"kind\":\"credit\",\"bill\":%lld,\"amount\":%lld,\"reason\":\"too much\"}",
                 (long long)bill_of(1, "2026-10"), (long long)total - 20000);
        CU_ASSERT_EQUAL(call("maker", "adjustment.create", json, &reply), 422);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "is too much"));
        CU_ASSERT_EQUAL(call("maker", "adjustment.create",
                             "{\"kind\":\"credit\",\"amount\":5,\"reason\":\"for whom\"}", &reply),
                        422);
        CU_ASSERT_EQUAL(call("maker", "adjustment.create",
                             "{\"kind\":\"credit\",\"contract\":\"C99\",\"amount\":5,\"reason\":"
                             "\"for whom\"}",
                             &reply),
                        422);
        CU_ASSERT_EQUAL(call("maker", "adjustment.create",
                             "{\"kind\":\"credit\",\"contract\":\"C1\",\"amount\":-5,\"reason\":"
                             "\"negative\"}",
                             &reply),
                        422);
        CU_ASSERT_EQUAL(call("maker", "adjustment.create",
                             "{\"kind\":\"debit\",\"contract\":\"C2\",\"amount\":50000,\"reason\":"
                             "\"broken seal\"}",
                             &reply),
                        201);
        snprintf(json, sizeof json, "{\"adjustment\":%s,\"reason\":\"no proof\"}",
                 fixture_json(f, reply, "adjustment"));
        CU_ASSERT_EQUAL(call("checker", "adjustment.reject", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "rejected");
        CU_ASSERT_EQUAL(call("checker", "adjustment.reject", json, &reply), 409);
        /* A rejected note took no number. */
        CU_ASSERT_EQUAL(
                call("maker", "adjustment.create",
                     "{\"kind\":\"debit\",\"contract\":\"C2\",\"amount\":500,\"reason\":\"key\"}",
                     &reply),
                201);
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_json(f, reply, "number"), "-000003"));
        CU_ASSERT_EQUAL(number("select count(*) from ledger.line where account_id = 2 and debit = "
                               "500 and due is not null"),
                        1);
        CU_ASSERT_EQUAL(call("maker", "adjustment.list", "{\"state\":\"posted\"}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.2.account"), "A1");
        CU_ASSERT_EQUAL(call("stranger", "adjustment.list", "{}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.number"), "");
        balanced();
}

/* The customer owes the plan's amount; revenue is what was used; the difference waits on 1210. */
static void test_budget(void)
{
        char *reply;
        int64_t t9 = number("select total from billing.bill where contract_id = 5 and "
                            "lower(period) = '2026-09-01'");
        int64_t t10 = number("select total from billing.bill where contract_id = 5 and "
                             "lower(period) = '2026-10-01'");

        CU_ASSERT_NOT_EQUAL(t9, 200000);
        CU_ASSERT_EQUAL(number("select sum(debit - credit) from ledger.line where account_id = 5"),
                        400000);
        CU_ASSERT_EQUAL(call("maker", "budget.list", "{\"contract\":\"C5\"}", &reply), 200);
        CU_ASSERT_EQUAL(strtoll(fixture_json(f, reply, "items.0.waiting"), NULL, 10),
                        t9 + t10 - 400000);
        CU_ASSERT_EQUAL(number("select sum(debit - credit) from ledger.line where gl = '1210'"),
                        number("select sum(actual - planned) from billing.budget_posting"));
        /* A plan far too low: the open debt is the plan's amount and no more. */
        CU_ASSERT_EQUAL(number("select sum(left_over) from ledger.open_item where account_id = 6 "
                               "and debit > 0"),
                        2000);
        CU_ASSERT_EQUAL(call("maker", "budget.create",
                             "{\"contract\":\"C5\",\"from\":\"2026-10-01\"}", &reply),
                        409);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "already has a budget plan"));
        CU_ASSERT_EQUAL(call("maker", "budget.create",
                             "{\"contract\":\"C9\",\"from\":\"2026-10-01\"}", &reply),
                        422);
        /* The mean of last year's bills, whole units up. */
        CU_ASSERT_EQUAL(call("maker", "budget.create",
                             "{\"contract\":\"C7\",\"from\":\"2026-11-01\"}", &reply),
                        201);
        CU_ASSERT_EQUAL(strtoll(fixture_json(f, reply, "amount"), NULL, 10),
                        number("select ceil(avg(total)) from billing.bill where contract_id = 7"));
        balanced();
}

/* A bill under a plan is reversed and billed again; then the plan is settled. */
static void test_settle(void)
{
        char *reply, json[128];
        int64_t run, used;

        forge("update t.reading set value = value * 2 where meter = 5 and at >= '2026-09-30 "
              "17:00+00'");
        snprintf(json, sizeof json, "{\"bill\":%lld,\"reason\":\"wrong reading\"}",
                 (long long)bill_of(5, "2026-10"));
        CU_ASSERT_EQUAL(call("maker", "bill.reverse", json, &reply), 200);
        CU_ASSERT_EQUAL(balance(5), 200000);
        balanced();
        run = run_of("2026-10-01", "2026-11-01", "C5");
        issue(run);
        CU_ASSERT_EQUAL(balance(5), 400000);
        used = number(
                "select sum(total) from billing.bill where contract_id = 5 and state = 'issued'");
        snprintf(json, sizeof json, "{\"budget\":%s}",
                 fixture_sql(f, "select budget_id from billing.budget where contract_id = 5"));
        fixture_exec(f, "update billing.budget set valid = daterange('2026-09-01', current_date + "
                        "9) where contract_id = 5");
        CU_ASSERT_EQUAL(call("maker", "budget.settle", json, &reply), 422);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "say early"));
        snprintf(json, sizeof json, "{\"budget\":%s,\"early\":true}",
                 fixture_sql(f, "select budget_id from billing.budget where contract_id = 5"));
        CU_ASSERT_EQUAL(call("maker", "budget.settle", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "settled");
        CU_ASSERT_EQUAL(balance(5), used);
        CU_ASSERT_EQUAL(call("maker", "budget.settle", json, &reply), 422);
        balanced();
        /* A bill reversed after the settlement takes its own money back, no more. */
        snprintf(json, sizeof json, "{\"bill\":%lld,\"reason\":\"late\"}",
                 (long long)bill_of(5, "2026-09"));
        CU_ASSERT_EQUAL(call("maker", "bill.reverse", json, &reply), 200);
        CU_ASSERT_EQUAL(balance(5), number("select sum(total) from billing.bill where contract_id "
                                           "= 5 and state = 'issued'"));
        /* Plan 6 is settled too: nothing waits for either. */
        snprintf(json, sizeof json, "{\"budget\":%s,\"early\":true}",
                 fixture_sql(f, "select budget_id from billing.budget where contract_id = 6"));
        CU_ASSERT_EQUAL(call("maker", "budget.settle", json, &reply), 200);
        CU_ASSERT_EQUAL(number("select sum(debit - credit) from ledger.line where gl = '1210'"), 0);
        CU_ASSERT_EQUAL(balance(6), number("select sum(total) from billing.bill where contract_id "
                                           "= 6 and state = 'issued'"));
        balanced();
}

/* What was used and not billed by 20 November: nineteen days and a bit of each contract. */
static void test_accrual(void)
{
        char *reply, json[96];

        forge("delete from t.reading where meter = 8 and at >= '2026-10-31 17:00+00'");
        CU_ASSERT_EQUAL(call("maker", "accrual.create",
                             "{\"branch\":\"HN\",\"as_of\":\"2026-11-20\"}", &reply),
                        201);
        snprintf(json, sizeof json, "{\"accrual\":%s}", fixture_json(f, reply, "accrual"));
        fixture_drain(f);
        CU_ASSERT_EQUAL(call("maker", "accrual.show", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "done"), "true");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "contracts"), "7");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "as_of"), "2026-11-20");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "unexplained.0.contract"), "C8");
        CU_ASSERT_STRING_NOT_EQUAL(fixture_json(f, reply, "unexplained.0.reason"), "");
        CU_ASSERT_EQUAL(number("select sum(total) from billing.trial_bill where state = 'draft'"),
                        strtoll(fixture_json(f, reply, "total"), NULL, 10));
        CU_ASSERT_EQUAL(number("select sum(l.amount) from billing.trial_bill t, "
                               "jsonb_to_recordset(t.lines) as"
                               " l(amount bigint) where t.state = 'draft'"),
                        strtoll(fixture_json(f, reply, "total"), NULL, 10));
        /* 20 days × 24 × 200 Wh = 96 kWh: 50 × 1984 + 46 × 2050 (no step is split by days here). */
        CU_ASSERT_EQUAL(number("select total from billing.trial_bill where contract_id = 1"),
                        193500 + 15480);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select period from billing.trial_bill where contract_id = 1"),
                "[2026-11-01,2026-11-21)");
        CU_ASSERT_EQUAL(
                number("select count(*) from billing.bill where lower(period) = '2026-11-01'"), 0);
        fixture_free(f);
}

HR_TESTS("notes and plans", { "opens", open_host }, { "limit and second person", test_limit },
         { "what is refused", test_refused }, { "budget plan", test_budget },
         { "reversal, settlement", test_settle }, { "accrued revenue", test_accrual })
