#include "billing_fixture.h"

enum { CONTRACTS = 6 };

static int64_t due1, due2; /* what accounts A1 and A2 owe */

static int64_t total_of(int account)
{
        char sql[96];

        snprintf(sql, sizeof sql, "select total from billing.invoice where account_id = %d",
                 account);
        return number(sql);
}

static int64_t balance(int account)
{
        char sql[96];

        snprintf(sql, sizeof sql, "select ledger.balance(%d, 'VND')", account);
        return number(sql);
}

static int pay(const char *reference, int64_t amount, const char *who, char **reply)
{
        char json[256];

        snprintf(json, sizeof json,
                 "{\"channel\":\"bank\",\"reference\":\"%s\",\"amount\":%lld%s%s}", reference,
                 (long long)amount, *who ? "," : "", who);
        return fixture_call_as(f, "maker", "payment.post", json, reply);
}

static void open_host(void)
{
        billing_open(CONTRACTS);
        issue(run_of("2026-10-01", "2026-11-01", NULL));
        due1 = total_of(1);
        due2 = total_of(2);
        CU_ASSERT_TRUE(due1 > 100000 && due2 > due1);
}

static void test_post(void)
{
        char *reply, first[32];

        CU_ASSERT_EQUAL(pay("T1", 100000, "\"account\":\"A1\"", &reply), 201);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "repeated"), "false");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "allocated"), "100000");
        CU_ASSERT_EQUAL(strncmp(fixture_json(f, reply, "receipt"), "HN-R-", 5), 0);
        snprintf(first, sizeof first, "%s", fixture_json(f, reply, "payment"));
        CU_ASSERT_EQUAL(balance(1), due1 - 100000);
        /* The same again: the same payment, nothing posted. */
        CU_ASSERT_EQUAL(pay("T1", 100000, "\"account\":\"A1\"", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "repeated"), "true");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "payment"), first);
        CU_ASSERT_EQUAL(balance(1), due1 - 100000);
        /* Another amount or payer under the same reference is refused. */
        CU_ASSERT_EQUAL(pay("T1", 100001, "\"account\":\"A1\"", &reply), 409);
        CU_ASSERT_EQUAL(pay("T1", 100000, "\"account\":\"A2\"", &reply), 409);
        CU_ASSERT_EQUAL(number("select count(*) from billing.payment"), 1);
        CU_ASSERT_EQUAL(pay("T2", 0, "\"account\":\"A1\"", &reply), 422);
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "payment.post",
                                        "{\"channel\":\"bank\",\"reference\":\"T2\",\"amount\":"
                                        "\"10.50\",\"account\":\"A1\"}",
                                        &reply),
                        422);
        CU_ASSERT_EQUAL(pay("T2", 5, "\"account\":\"A1\",\"currency\":\"USD\"", &reply), 422);
        fixture_drain(f);
        CU_ASSERT_EQUAL(number("select count(*) from core.event where type = 'payment.posted'"), 1);
}

/* Too much becomes a credit, and the next bill uses it. */
static void test_overpayment(void)
{
        char *reply;
        int64_t september;

        CU_ASSERT_EQUAL(pay("T3", due1, "\"account\":\"A1\"", &reply), 201);
        CU_ASSERT_EQUAL(strtoll(fixture_json(f, reply, "credit"), NULL, 10), 100000);
        CU_ASSERT_EQUAL(balance(1), -100000);
        issue(run_of("2026-09-01", "2026-10-01", "C1"));
        september = number("select total from billing.bill where contract_id = 1 and lower(period) "
                           "= '2026-09-01'");
        CU_ASSERT_EQUAL(balance(1), september - 100000);
        CU_ASSERT_EQUAL(number("select sum(left_over) from ledger.open_item where account_id = 1 "
                               "and credit > 0"),
                        0);
        CU_ASSERT_EQUAL(number("select (content->>'credit')::bigint from billing.invoice where "
                               "account_id = 1 order by seq desc limit 1"),
                        100000);
        CU_ASSERT_EQUAL(number("select (content->>'amount_due')::bigint from billing.invoice where "
                               "account_id = 1"
                               " order by seq desc limit 1"),
                        september - 100000);
}

static void test_invoice_number(void)
{
        char *reply, who[96];

        snprintf(who, sizeof who, "\"invoice\":\"%s\"",
                 fixture_sql(f, "select number from billing.invoice where account_id = 2"));
        CU_ASSERT_EQUAL(pay("T4", due2, who, &reply), 201);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "account"), "A2");
        CU_ASSERT_STRING_EQUAL(
                fixture_json(f, reply, "settled.0.invoice"),
                fixture_sql(f, "select number from billing.invoice where account_id = 2"));
        CU_ASSERT_EQUAL(balance(2), 0);
        snprintf(who, sizeof who, "\"account\":\"A1\",\"invoice\":\"%s\"",
                 fixture_sql(f, "select number from billing.invoice where account_id = 2"));
        CU_ASSERT_EQUAL(pay("T5", 10, who, &reply), 422);
}

/* Money nobody is found for is kept, not refused. */
static void test_suspense(void)
{
        char *reply;

        CU_ASSERT_EQUAL(pay("T6", 777, "\"account\":\"WRONG\"", &reply), 201);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "suspense"), "true");
        CU_ASSERT_EQUAL(number("select sum(credit - debit) from ledger.line where gl = '2100'"),
                        777);
        /* An administrator of several branches must say which. */
        CU_ASSERT_EQUAL(fixture_call(f, "payment.post",
                                     "{\"channel\":\"bank\",\"reference\":\"T7\",\"amount\":5,"
                                     "\"account\":\"WRONG\"}",
                                     &reply),
                        422);
        CU_ASSERT_EQUAL(fixture_call(f, "payment.post",
                                     "{\"channel\":\"bank\",\"reference\":\"T7\",\"amount\":5,"
                                     "\"account\":\"WRONG\",\"branch\":\"DE\"}",
                                     &reply),
                        201);
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "payment.list", "{\"suspense\":true}", &reply),
                        200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.reference"), "T6");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.1.reference"), "");
}

static void test_reverse(void)
{
        char *reply, json[96];
        int64_t before = balance(2);

        snprintf(json, sizeof json, "{\"payment\":%s,\"reason\":\"returned by the bank\"}",
                 fixture_sql(f, "select payment_id from billing.payment where reference = 'T4'"));
        CU_ASSERT_EQUAL(fixture_call_as(f, "stranger", "payment.reverse", json, &reply), 404);
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "payment.reverse", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "reversed");
        CU_ASSERT_EQUAL(balance(2), before + due2);
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "payment.reverse", json, &reply) / 100, 4);
        /* The invoice is open again. */
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "invoice.list", "{\"account\":\"A2\"}", &reply),
                        200);
        CU_ASSERT_EQUAL(strtoll(fixture_json(f, reply, "items.0.open"), NULL, 10), due2);
        refused("update billing.payment set amount = 1 where reference = 'T3'",
                "reverse it and post the right one");
        refused("delete from billing.payment", "is kept");
}

static void test_books(void)
{
        char *reply;

        CU_ASSERT_EQUAL(fixture_call(f, "ledger.sums", "{}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "balanced"), "true");
        CU_ASSERT_EQUAL(number("select count(*) from ledger.open_item where left_over < 0"), 0);
        CU_ASSERT_EQUAL(number("select max(substring(receipt from '[0-9]+$')::int) - count(*) from "
                               "billing.payment where branch_id = 1"),
                        0);
        fixture_free(f);
}

HR_TESTS("payment", { "opens", open_host }, { "posted once by channel and reference", test_post },
         { "overpayment is a credit for the next bill", test_overpayment },
         { "by invoice number", test_invoice_number },
         { "unknown account: suspense", test_suspense },
         { "reversal opens the debt again", test_reverse },
         { "the books balance, receipts have no gaps", test_books })
