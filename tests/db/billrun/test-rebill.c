#define BILLING_FIXTURE_BILLOPS
#include "billing_fixture.h"

/* Cancelling and billing again: what is simulated is what is done, what is unchanged stays, and the
 * ledger moves by the difference and nothing else. */

enum { CONTRACTS = 20 };

static int call(const char *who, const char *operation, const char *json, char **reply)
{
        return fixture_call_as(f, who, operation, json, reply);
}

static int rebill_call(const char *who, const char *operation, int64_t id, char **reply)
{
        char json[64];

        snprintf(json, sizeof json, "{\"rebill\":%lld}", (long long)id);
        return fixture_call_as(f, who, operation, json, reply);
}

/* Everything a simulation must not touch. */
static const char *books(void)
{
        return fixture_sql(
                f, "select md5(concat((select string_agg(md5(b::text), ',' order by bill_id) from "
                   "billing.bill b),"
                   " (select string_agg(md5(l::text), ',' order by bill_id, line_no) from "
                   "billing.bill_line l),"
                   " (select string_agg(md5(l::text), ',' order by entry_id, line_no) from "
                   "ledger.line l),"
                   " (select string_agg(md5(a::text), ',' order by allocation_id) from "
                   "ledger.allocation a),"
                   " (select string_agg(md5(i::text), ',' order by number) from billing.invoice i),"
                   " (select string_agg(md5(n::text), ',' order by series) from "
                   "billing.number_range n),"
                   " (select string_agg(md5(r::text), ',' order by run_id) from billing.run r)))");
}

static void balanced(void)
{
        char *reply;

        CU_ASSERT_EQUAL(fixture_call(f, "ledger.sums", "{}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "balanced"), "true");
        CU_ASSERT_EQUAL(number("select sum(debit) - sum(credit) from ledger.line"), 0);
        CU_ASSERT_EQUAL(number("select coalesce(sum(debit - credit), 0) from ledger.line where gl "
                               "= '1200'"),
                        number("select sum(total) from billing.bill where state = 'issued'"));
        /* Numbers without gaps, both series. */
        CU_ASSERT_EQUAL(number("select count(*) from (select kind, max(seq) - count(*) as gap from "
                               "billing.invoice group by kind) x where gap <> 0"),
                        0);
        CU_ASSERT_EQUAL(number("select count(*) from billing.invoice where kind = 'credit_note'"),
                        number("select count(*) from billing.bill where state = 'reversed'"));
}

/* Creates a re-bill as maker and waits for its simulation. */
static int64_t simulate(const char *json)
{
        char *reply;
        int status = call("maker", "rebill.create", json, &reply);

        CU_ASSERT_EQUAL_FATAL(status, 201);
        fixture_drain(f);
        return strtoll(fixture_json(f, reply, "rebill"), NULL, 10);
}

static int64_t figure(int64_t id, const char *path)
{
        char *reply;

        CU_ASSERT_EQUAL(rebill_call("maker", "rebill.show", id, &reply), 200);
        return strtoll(fixture_json(f, reply, path), NULL, 10);
}

/* Prices rise in October. */
static void open_host(void)
{
        billing_open(CONTRACTS);
        tariff_version("VN2", 1, "[2026-01-01,2026-10-01)",
                       "{\"type\":\"energy\",\"code\":\"energy\",\"rate\":1000}," VN_VAT);
        tariff_version("VN2", 2, "[2026-10-01,)",
                       "{\"type\":\"energy\",\"code\":\"energy\",\"rate\":2000}," VN_VAT);
        fixture_exec(f, "update crm.contract set tariff = 'VN2' where contract_id <= 10");
        issue(run_of("2026-09-01", "2026-10-01", NULL));
        issue(run_of("2026-10-01", "2026-11-01", NULL));
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill where state = 'issued'"),
                        2 * CONTRACTS);
        balanced();
}

static void test_unchanged(void)
{
        char *reply, before[40];
        int64_t id;

        snprintf(before, sizeof before, "%s", books());
        id = simulate("{\"branch\":\"HN\",\"reason\":\"is all well?\",\"from\":\"2026-09-01\","
                      "\"tariff\":\"VN2\"}");
        CU_ASSERT_EQUAL(figure(id, "bills"), 20);
        CU_ASSERT_EQUAL(figure(id, "unchanged"), 20);
        CU_ASSERT_EQUAL(figure(id, "changed"), 0);
        CU_ASSERT_STRING_EQUAL(books(), before);
        CU_ASSERT_EQUAL(rebill_call("checker", "rebill.approve", id, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(rebill_call("maker", "rebill.show", id, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "done");
        CU_ASSERT_EQUAL(figure(id, "done"), 0);
        CU_ASSERT_STRING_EQUAL(books(), before);
}

/* Two periods of two contracts in one go; each at its own prices. */
static void test_many_periods(void)
{
        char *reply, before[40];
        int64_t id, change, old;

        snprintf(before, sizeof before, "%s", books());
        old = number("select sum(debit - credit) from ledger.line where gl = '1200'");
        /* Contract 1: 10 kWh more in each month; contract 11: in October only. */
        forge("update t.reading set value = value + 10000 where meter = 1 and at in ('2026-09-10 "
              "00:00+00', '2026-10-10 00:00+00')");
        forge("update t.reading set value = value + 10000 where meter = 11 and at = '2026-10-10 "
              "00:00+00'");
        id = simulate("{\"branch\":\"HN\",\"reason\":\"wrong factor\",\"from\":\"2026-09-01\","
                      "\"class\":\"residential\",\"run\":null,\"estimated\":null,\"tariff\":null,"
                      "\"bills\":null,\"contract\":\"C1\"}");
        CU_ASSERT_STRING_EQUAL(books(), before);
        /* 10 kWh × 1000 and × 2000, with 8 % tax. */
        CU_ASSERT_EQUAL(figure(id, "change"), 10800 + 21600);
        CU_ASSERT_EQUAL(figure(id, "changed"), 2);
        CU_ASSERT_EQUAL(rebill_call("maker", "rebill.approve", id, &reply), 422);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "someone other than"));
        CU_ASSERT_EQUAL(rebill_call("maker", "rebill.execute", id, &reply), 422);
        CU_ASSERT_EQUAL(rebill_call("stranger", "rebill.approve", id, &reply), 404);
        CU_ASSERT_STRING_EQUAL(books(), before);
        CU_ASSERT_EQUAL(rebill_call("checker", "rebill.approve", id, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(figure(id, "done"), 2);
        change = number("select sum(debit - credit) from ledger.line where gl = '1200'") - old;
        CU_ASSERT_EQUAL(change, 10800 + 21600);
        balanced();
        CU_ASSERT_EQUAL(
                number("select count(*) from billing.bill n join billing.bill o on o.bill_id = "
                       "n.rebill_of where n.contract_id = 1 and n.state = 'issued' and o.state = "
                       "'reversed' and o.period = n.period"),
                2);
        /* The October bill follows the new September bill. */
        CU_ASSERT_EQUAL(number("select previous_bill_id from billing.bill where contract_id = 1 "
                               "and state = "
                               "'issued' and lower(period) = '2026-10-01'"),
                        number("select bill_id from billing.bill where contract_id = 1 and state = "
                               "'issued' and lower(period) = '2026-09-01'"));
        CU_ASSERT_EQUAL(number("select count(*) from core.event where type = 'bill.reversed'"), 2);
        /* Once done it stays done. */
        CU_ASSERT_EQUAL(rebill_call("checker", "rebill.approve", id, &reply), 409);
        CU_ASSERT_EQUAL(rebill_call("maker", "rebill.cancel", id, &reply), 422);
        /* New bills replay, and re-billing them changes nothing. */
        id = simulate("{\"branch\":\"HN\",\"reason\":\"again\",\"contract\":\"C1\"}");
        CU_ASSERT_EQUAL(figure(id, "unchanged"), 2);
        CU_ASSERT_EQUAL(rebill_call("maker", "rebill.cancel", id, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "cancelled");
}

/* Between simulation and approval the data changes for one contract: that one is left alone. */
static void test_changed_meanwhile(void)
{
        char *reply;
        int64_t id;

        forge("update t.reading set value = value + 5000 where meter in (2, 3) and at = "
              "'2026-10-11 "
              "00:00+00'");
        id = simulate("{\"branch\":\"HN\",\"reason\":\"two meters\",\"tariff\":\"VN2\",\"from\":"
                      "\"2026-10-01\"}");
        CU_ASSERT_EQUAL(figure(id, "changed"), 2);
        CU_ASSERT_EQUAL(figure(id, "change"), 2 * 10800);
        CU_ASSERT_EQUAL(figure(id, "distribution.up"), 2);
        CU_ASSERT_EQUAL(figure(id, "distribution.median"), 10800);
        forge("update t.reading set value = value + 1 where meter = 3 and at = '2026-10-12 "
              "00:00+00'");
        CU_ASSERT_EQUAL(rebill_call("checker", "rebill.approve", id, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(figure(id, "done"), 1);
        CU_ASSERT_EQUAL(figure(id, "failed"), 1);
        CU_ASSERT_EQUAL(
                number("select count(*) from billing.bill where contract_id = 3 and state = "
                       "'reversed'"),
                0);
        CU_ASSERT_EQUAL(
                number("select count(*) from billing.bill where contract_id = 2 and state = "
                       "'reversed'"),
                1);
        CU_ASSERT_EQUAL(number("select count(*) from billing.rebill_item where note like 'The data "
                               "changed%'"),
                        1);
        balanced();
}

/* No readings any more: nothing is reversed, the reason is told. */
static void test_hard(void)
{
        char *reply, before[40];
        int64_t id;

        forge("delete from t.reading where meter = 4 and at = '2026-10-12 00:00+00'");
        forge("update t.reading set value = value + 1000 where meter = 5 and at = '2026-10-12 "
              "00:00+00'");
        snprintf(before, sizeof before, "%s", books());
        id = simulate("{\"branch\":\"HN\",\"reason\":\"lost reading\",\"contract\":\"C4\"}");
        CU_ASSERT_EQUAL(figure(id, "failed"), 2);
        CU_ASSERT_EQUAL(figure(id, "changed"), 0);
        CU_ASSERT_EQUAL(rebill_call("maker", "rebill.show", id, &reply), 200);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "no usable reading"));
        CU_ASSERT_EQUAL(rebill_call("checker", "rebill.approve", id, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_STRING_EQUAL(books(), before);
        /* A bill reversed between simulation and execution. */
        id = simulate("{\"branch\":\"HN\",\"reason\":\"one more\",\"contract\":\"C5\"}");
        CU_ASSERT_EQUAL(figure(id, "changed"), 1);
        fixture_exec(f, "select billing.reverse_bill((select bill_id from billing.bill where "
                        "contract_id = 5"
                        " and state = 'issued' and lower(period) = '2026-10-01'), 'by hand', 'x')");
        CU_ASSERT_EQUAL(rebill_call("checker", "rebill.approve", id, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(figure(id, "failed"), 1);
        CU_ASSERT_EQUAL(figure(id, "done"), 0);
        balanced();
        CU_ASSERT_EQUAL(call("maker", "rebill.create",
                             "{\"branch\":\"HN\",\"reason\":\"none\",\"bills\":[1,999999]}",
                             &reply),
                        422);
        CU_ASSERT_EQUAL(
                call("maker", "rebill.create", "{\"branch\":\"HN\",\"reason\":\"none\"}", &reply),
                422);
        CU_ASSERT_EQUAL(call("maker", "rebill.create",
                             "{\"branch\":\"HN\",\"reason\":\"bad\",\"bills\":[\"x\"]}", &reply),
                        422);
}

/* A bank of energy handed on: later bills come along. */
static void test_chain(void)
{
        char *reply;
        int64_t id;

        forge("update billing.bill set carry = '[{\\\"name\\\": \\\"bank\\\", \\\"value\\\": "
              "\\\"1\\\"}]' where contract_id = 6 and lower(period) = '2026-09-01'");
        id = simulate("{\"branch\":\"HN\",\"reason\":\"bank\",\"contract\":\"C6\",\"to\":\"2026-10-"
                      "01\"}");
        CU_ASSERT_EQUAL(figure(id, "bills"), 2);
        CU_ASSERT_EQUAL(
                number("select count(*) from billing.rebill_item where chained and nth = 2"), 1);
        CU_ASSERT_EQUAL(rebill_call("maker", "rebill.cancel", id, &reply), 200);
}

/* Estimated bills, then the truth: a proposal for each, and a true-up at each period's prices. */
static void test_true_up(void)
{
        char *reply;
        int64_t id, bill, total;

        fixture_exec(f, "insert into t.reading select 12, 1, h, 3600, 100, 2 from generate_series("
                        "timestamptz '2026-10-31 17:00+00', '2026-12-31 16:00+00', '1 hour') h");
        for (int i = 0; i < 2; i++) {
                char json[96];
                int64_t run = i ? run_of("2026-12-01", "2027-01-01", "C12")
                                : run_of("2026-11-01", "2026-12-01", "C12");

                snprintf(json, sizeof json, "{\"run\":%lld,\"reason\":\"no access\"}",
                         (long long)run);
                CU_ASSERT_EQUAL(call("maker", "run.release", json, &reply), 200);
                issue(run);
        }
        CU_ASSERT_EQUAL(call("maker", "estimate.list", "{\"branch\":\"HN\"}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.contract"), "C12");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.in_a_row"), "2");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.since"), "2026-11-01");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.over"), "false");
        CU_ASSERT_EQUAL(
                call("maker", "estimate.list", "{\"branch\":\"HN\",\"at_least\":3}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.contract"), "");
        /* The meter is read: 20 Wh an hour more than thought. */
        forge("update t.reading set value = value + 20, status = 0 where meter = 12 and at >= "
              "'2026-10-31 17:00+00'");
        fixture_exec(
                f,
                "select core.publish('reading.changed', '12', '{\"meter_id\": 12, \"branch_id\": 1,"
                " \"days\": [\"2026-11-15\", \"2026-12-15\"], \"changed\": 48}')");
        fixture_drain(f);
        CU_ASSERT_EQUAL(call("maker", "proposal.list", "{\"branch\":\"HN\"}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.contract"), "C12");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.1.contract"), "C12");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.2.contract"), "");
        CU_ASSERT_EQUAL(number("select count(*) from core.event where type = 'rebill.proposed'"),
                        2);
        /* Never silently: nothing has moved yet. */
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill where contract_id = 12 and state "
                               "= 'reversed'"),
                        0);
        total = number(
                "select sum(total) from billing.bill where contract_id = 12 and state = 'issued'");
        id = simulate("{\"branch\":\"HN\",\"reason\":\"true-up\",\"contract\":\"C12\","
                      "\"estimated\":true}");
        CU_ASSERT_EQUAL(figure(id, "changed"), 2);
        CU_ASSERT_EQUAL(
                number("select count(*) from billing.rebill_proposal where state = 'taken'"), 2);
        CU_ASSERT_EQUAL(rebill_call("checker", "rebill.approve", id, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(figure(id, "done"), 2);
        CU_ASSERT_EQUAL(number("select sum(total) from billing.bill where contract_id = 12 and "
                               "state = 'issued'"),
                        total + figure(id, "change"));
        CU_ASSERT_TRUE(figure(id, "change") > 0);
        CU_ASSERT_EQUAL(number("select count(*) from billing.determinant d join billing.bill b "
                               "using (bill_id)"
                               " where b.contract_id = 12 and b.state = 'issued' and d.status <> "
                               "'measured'"),
                        0);
        balanced();
        /* Dismissed with a reason; the next change asks again. */
        bill = number("select bill_id from billing.bill where contract_id = 13 and state = "
                      "'issued' and lower(period) = '2026-10-01'");
        for (int i = 0; i < 2; i++) {
                char json[96];

                fixture_exec(f, "select core.publish('reading.changed', '13', '{\"meter_id\": 13, "
                                "\"branch_id\": 1,"
                                " \"days\": [\"2026-10-20\"], \"changed\": 1}')");
                fixture_drain(f);
                snprintf(json, sizeof json, "{\"proposal\":%s,\"reason\":\"one minute\"}",
                         fixture_sql(f, "select max(proposal_id) from billing.rebill_proposal"));
                CU_ASSERT_EQUAL(call("maker", "proposal.dismiss", json, &reply), 200);
                CU_ASSERT_EQUAL(call("maker", "proposal.dismiss", json, &reply), 404);
        }
        CU_ASSERT_EQUAL(
                number("select count(*) from billing.rebill_proposal where state = 'dismissed'"),
                2);
        CU_ASSERT_EQUAL(number("select max(bill_id) from billing.rebill_proposal where state = "
                               "'dismissed'"),
                        bill);
}

/* A draft whose readings change is held: it would be wrong the day it is issued. */
static void test_draft_held(void)
{
        char *reply;
        int64_t run;

        fixture_exec(f, "insert into t.reading select 14, 1, h, 3600, 100, 0 from generate_series("
                        "timestamptz '2026-10-31 17:00+00', '2026-11-30 16:00+00', '1 hour') h");
        run = run_of("2026-11-01", "2026-12-01", "C14");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select state from billing.bill where contract_id = "
                                              "14 and lower(period) = '2026-11-01'"),
                               "draft");
        fixture_exec(
                f,
                "select core.publish('reading.changed', '14', '{\"meter_id\": 14, \"branch_id\": 1,"
                " \"days\": [\"2026-11-30\"], \"changed\": 1}')");
        fixture_drain(f);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select state || (exceptions->0->>'code') from billing.bill where "
                               "contract_id = 14 and lower(period) = '2026-11-01'"),
                "heldreadings_changed");
        CU_ASSERT_EQUAL(number("select count(*) from billing.rebill_proposal where state = 'open'"),
                        0);
        CU_ASSERT_EQUAL(run_call("maker", "run.cancel", run, &reply), 200);
}

/* Within the limit one person is enough; cancel makes no new bill. */
static void test_limit_and_cancel(void)
{
        char *reply;
        int64_t id, old;

        CU_ASSERT_EQUAL(
                call("maker", "policy.set", "{\"branch\":\"HN\",\"adjust_limit\":5000}", &reply),
                200);
        forge("update t.reading set value = value + 1000 where meter = 7 and at = '2026-10-12 "
              "00:00+00'");
        id = simulate("{\"branch\":\"HN\",\"reason\":\"small one\",\"contract\":\"C7\"}");
        CU_ASSERT_EQUAL(figure(id, "change"), 2160);
        CU_ASSERT_EQUAL(rebill_call("checker", "rebill.execute", id, &reply), 403);
        CU_ASSERT_EQUAL(rebill_call("maker", "rebill.execute", id, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(figure(id, "done"), 1);
        balanced();
        old = number("select ledger.balance(8, 'VND')");
        CU_ASSERT_TRUE(old > 5000);
        id = simulate("{\"branch\":\"HN\",\"mode\":\"cancel\",\"reason\":\"house was "
                      "empty\",\"contract\":\"C8\"}");
        CU_ASSERT_EQUAL(figure(id, "change"), -old);
        CU_ASSERT_EQUAL(rebill_call("maker", "rebill.execute", id, &reply), 422);
        CU_ASSERT_EQUAL(rebill_call("checker", "rebill.approve", id, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(figure(id, "done"), 2);
        CU_ASSERT_EQUAL(number("select ledger.balance(8, 'VND')"), 0);
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill where contract_id = 8 and state "
                               "= 'issued'"),
                        0);
        balanced();
}

/* All of a tariff at once, with a price mended: hundreds or two, it is the same path. */
static void test_mass(void)
{
        char *reply;
        int64_t id, before, n;

        before = number("select sum(debit - credit) from ledger.line where gl = '1200'");
        n = number("select count(*) from billing.bill where state = 'issued' and inputs->'parts' "
                   "@> '[{\"code\": \"VN\"}]'");
        forge("update billing.tariff_version set document_text = replace(document_text, '1984', "
              "'1884'), document ="
              " replace(document_text, '1984', '1884')::jsonb, hash = "
              "sha256(convert_to(replace(document_text, '1984',"
              " '1884'), 'UTF8')) where code = 'VN'");
        id = simulate("{\"branch\":\"HN\",\"reason\":\"wrong first step\",\"tariff\":\"VN\"}");
        CU_ASSERT_EQUAL(figure(id, "changed"), n);
        /* Contract 11 got the 10 kWh of above besides. */
        CU_ASSERT_EQUAL(figure(id, "distribution.down"), n - 1);
        CU_ASSERT_EQUAL(figure(id, "distribution.up"), 1);
        CU_ASSERT_EQUAL(rebill_call("checker", "rebill.approve", id, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(figure(id, "done"), n);
        CU_ASSERT_EQUAL(number("select sum(debit - credit) from ledger.line where gl = '1200'"),
                        before + figure(id, "change"));
        balanced();
        CU_ASSERT_EQUAL(call("maker", "rebill.list", "{\"state\":\"done\"}", &reply), 200);
        CU_ASSERT_EQUAL(strtoll(fixture_json(f, reply, "items.0.rebill"), NULL, 10), id);
        fixture_free(f);
}

HR_TESTS("re-bills", { "opens", open_host }, { "unchanged data changes nothing", test_unchanged },
         { "many periods at once, each at its prices", test_many_periods },
         { "data that changed since the approval", test_changed_meanwhile },
         { "what cannot be billed again stays", test_hard },
         { "balances handed on bring later bills along", test_chain },
         { "estimates and their true-up", test_true_up },
         { "drafts whose readings change", test_draft_held },
         { "limit; cancelling", test_limit_and_cancel }, { "a tariff's bills at once", test_mass })
