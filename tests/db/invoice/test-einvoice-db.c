/* E-invoices of issued bills: made by the event or on demand, archived, moved through their states.
 */

#include "billing_fixture.h"

enum { CONTRACTS = 6 };

static void put(const char *who, const char *operation, const char *json, int status)
{
        char *reply;
        int got = fixture_call_as(f, who, operation, json, &reply);

        if (got != status)
                printf("\n%s %s: %d %s\n", operation, json, got, reply);
        CU_ASSERT_EQUAL(got, status);
}

/* The invoice of account @account. */
static const char *of_account(int account)
{
        char sql[128];

        snprintf(sql, sizeof sql,
                 "select number from billing.invoice where account_id = %d and kind = 'invoice'",
                 account);
        return fixture_sql(f, sql);
}

static int call_on(int account, const char *operation, const char *more, char **reply)
{
        char json[256];

        snprintf(json, sizeof json, "{\"number\":\"%s\"%s}", of_account(account), more);
        return fixture_call_as(f, "maker", operation, json, reply);
}

static const char *state_of(int account)
{
        char *reply;

        return call_on(account, "einvoice.show", "", &reply) == 200
                       ? fixture_json(f, reply, "state")
                       : "";
}

static void open_host(void)
{
        char *reply;

        billing_open(CONTRACTS);
        put("maker", "payee.set",
            "{\"branch\":\"HN\",\"name\":\"Công ty Điện lực Hà Nội\",\"tax_id\":\"0100101114\","
            "\"bank_bin\":\"970416\",\"bank_account\":\"257678859\"}",
            200);
        put("maker", "einvoice.seller.set", "{\"branch\":\"HN\",\"country\":\"Vietnam\"}", 422);
        put("maker", "einvoice.seller.set",
            "{\"branch\":\"HN\",\"country\":\"VN\",\"vat_id\":\"0100\"}", 422);
        put("maker", "einvoice.buyer.set",
            "{\"account\":\"A1\",\"vat_id\":\"VN123456789\",\"reference\":\"PO-7\"}", 200);
        /* The fifth contract's VAT stands inside the cases of a slab switch. */
        tariff_version("SLAB", 1, "[2026-01-01,)",
                       "{\"type\":\"slab_switch\",\"code\":\"slab\",\"cases\":[{\"upto\":50,"
                       "\"components\":[" VN_ENERGY "]},{\"upto\":null,\"components\":[" VN_ENERGY
                       ",{\"type\":\"percent\",\"code\":\"vat\",\"tax\":true,\"pct\":8}]}]}");
        fixture_exec(f, "update crm.contract set tariff = 'SLAB' where number = 'C5'");
        issue(run_of("2026-10-01", "2026-11-01", "C6"));
        /* Nothing was said about the seller: no document, and a clear word when one is asked for.
         */
        CU_ASSERT_EQUAL(call_on(6, "einvoice.make", "", &reply), 409);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "einvoice seller"));
        CU_ASSERT_EQUAL(number("select count(*) from billing.einvoice"), 0);
        put("maker", "einvoice.seller.set", "{\"branch\":\"HN\",\"country\":\"VN\"}", 200);
        put("stranger", "einvoice.seller.show", "{\"branch\":\"HN\"}", 404);
        issue(run_of("2026-10-01", "2026-11-01", NULL));
}

static void test_made_by_event(void)
{
        struct buf xml = BUF_INIT;
        char json[96], tax[64];
        char *reply;

        CU_ASSERT_EQUAL(number("select count(*) from billing.einvoice"),
                        1); /* A1 alone wants one */
        CU_ASSERT_STRING_EQUAL(state_of(1), "made");
        snprintf(json, sizeof json, "{\"number\":\"%s\"}", of_account(1));
        CU_ASSERT_EQUAL(host_call_as(fixture_host(f), "maker", "einvoice.xml", json, &xml), 200);
        snprintf(tax, sizeof tax, "<cbc:TaxAmount currencyID=\"VND\">%s</cbc:TaxAmount>",
                 fixture_sql(f, "select tax from billing.invoice where account_id = 1"));
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&xml), tax));
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&xml), "<cbc:Percent>8</cbc:Percent>"));
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&xml), "<cbc:BuyerReference>PO-7</"));
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&xml), "Công ty Điện lực Hà Nội"));
        CU_ASSERT_EQUAL(host_call_as(fixture_host(f), "stranger", "einvoice.xml", json, NULL), 404);
        CU_ASSERT_EQUAL(call_on(1, "einvoice.make", "", &reply), 200); /* the same one */
        CU_ASSERT_EQUAL(number("select count(*) from billing.archive where form = 'ubl'"), 1);
        buf_deinit(&xml);
}

static void test_nested_tax(void)
{
        struct buf xml = BUF_INIT;
        char json[96], *reply;

        CU_ASSERT_EQUAL(call_on(5, "einvoice.make", "", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "made");
        snprintf(json, sizeof json, "{\"number\":\"%s\"}", of_account(5));
        CU_ASSERT_EQUAL(host_call_as(fixture_host(f), "maker", "einvoice.xml", json, &xml), 200);
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&xml), "<cbc:Percent>8</cbc:Percent>"));
        CU_ASSERT_PTR_NULL(strstr(buf_cstr(&xml), "<cbc:ID>E</cbc:ID>"));
        buf_deinit(&xml);
}

static void test_states(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call_on(2, "einvoice.mark", ",\"state\":\"sent\"", &reply), 404);
        CU_ASSERT_EQUAL(call_on(2, "einvoice.make", "", &reply), 200);
        CU_ASSERT_EQUAL(call_on(2, "einvoice.mark", ",\"state\":\"accepted\"", &reply) / 100, 4);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "is made; it cannot become accepted"));
        CU_ASSERT_EQUAL(
                call_on(2, "einvoice.mark", ",\"state\":\"sent\",\"receipt\":\"R-1\"", &reply),
                200);
        CU_ASSERT_EQUAL(call_on(2, "einvoice.mark", ",\"state\":\"rejected\"", &reply), 422);
        CU_ASSERT_EQUAL(call_on(2, "einvoice.mark",
                                ",\"state\":\"rejected\",\"reason\":\"BR-CO-15\"", &reply),
                        200);
        CU_ASSERT_EQUAL(call_on(2, "einvoice.mark", ",\"state\":\"sent\"", &reply), 200);
        CU_ASSERT_EQUAL(call_on(2, "einvoice.mark", ",\"state\":\"accepted\"", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "steps.2.reason"), "BR-CO-15");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "steps.4.state"), "accepted");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "receipt"), "R-1");
        refused("update billing.einvoice set state = 'made' where state = 'accepted'",
                "cannot become made");
        refused("delete from billing.einvoice", "kept");
        refused("update billing.einvoice_step set reason = ''", "frozen");
}

/* What cannot be made waits with its reason, and is made once the data are mended. */
static void test_invalid(void)
{
        char *reply;

        put("maker", "einvoice.seller.set",
            "{\"branch\":\"HN\",\"country\":\"VN\",\"profile\":\"peppol\"}", 200);
        CU_ASSERT_EQUAL(call_on(3, "einvoice.make", "", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "invalid");
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_json(f, reply, "reason"), "electronic address"));
        CU_ASSERT_EQUAL(call_on(3, "einvoice.xml", "", &reply), 404);
        put("maker", "einvoice.seller.set",
            "{\"branch\":\"HN\",\"country\":\"VN\",\"profile\":\"peppol\",\"endpoint\":"
            "\"4012345000009\","
            "\"endpoint_scheme\":\"0088\"}",
            200);
        put("maker", "einvoice.buyer.set",
            "{\"account\":\"A3\",\"endpoint\":\"7300010000001\",\"endpoint_scheme\":\"0088\"}",
            200);
        CU_ASSERT_EQUAL(call_on(3, "einvoice.make", "", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "made");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "profile"), "peppol");
        put("maker", "einvoice.seller.set", "{\"branch\":\"HN\",\"country\":\"VN\"}", 200);
}

static void test_credit_note(void)
{
        struct buf xml = BUF_INIT;
        char json[96];

        snprintf(json, sizeof json, "{\"bill\":%s,\"reason\":\"sai chỉ số\"}",
                 fixture_sql(f, "select bill_id from billing.bill where contract_id = 1"));
        put("maker", "bill.reverse", json, 200);
        fixture_drain(f);
        snprintf(json, sizeof json, "{\"number\":\"%s\"}",
                 fixture_sql(f, "select number from billing.invoice where kind = 'credit_note'"));
        CU_ASSERT_EQUAL(host_call_as(fixture_host(f), "maker", "einvoice.xml", json, &xml), 200);
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&xml), "<cbc:CreditNoteTypeCode>381</"));
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&xml), of_account(1)));
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&xml), "sai chỉ số"));
        buf_deinit(&xml);
}

/* Where HEADRACE_KEEP says, for outside validators. */
static void keep_documents(void)
{
        const char *keep = getenv("HEADRACE_KEEP");
        int64_t n = number("select count(*) from billing.archive where form = 'ubl'");

        for (int64_t i = 0; keep && i < n; i++) {
                struct buf xml = BUF_INIT;
                char sql[128], json[96], path[512];
                FILE *file;

                snprintf(
                        sql, sizeof sql,
                        "select number from billing.archive where form = 'ubl' order by seq offset "
                        "%lld limit 1",
                        (long long)i);
                snprintf(json, sizeof json, "{\"number\":\"%s\"}", fixture_sql(f, sql));
                snprintf(path, sizeof path, "%s/issued-%lld-%s.xml", keep, (long long)i,
                         strstr(json, "-CN-") ? "CreditNote" : "Invoice");
                CU_ASSERT_EQUAL(host_call_as(fixture_host(f), "maker", "einvoice.xml", json, &xml),
                                200);
                file = fopen(path, "wb");
                CU_ASSERT_PTR_NOT_NULL_FATAL(file);
                fwrite(xml.p, 1, xml.len, file);
                fclose(file);
                buf_deinit(&xml);
        }
}

static const char *faults(void)
{
        return fixture_sql(f, "select coalesce(string_agg(number || ' ' || form || ': ' || fault, "
                              "'; ' order by number, fault), '') from "
                              "billing.archive_faults(null, null, null, null)");
}

static void test_archive(void)
{
        char *reply;

        CU_ASSERT_STRING_EQUAL(faults(), "");
        keep_documents();
        refused("update billing.archive set document = ''", "frozen");
        refused("delete from billing.archive", "frozen");
        refused("select billing.archive_put(number, 'ubl', 'other') from billing.archive",
                "other bytes");
        /* One byte behind the program's back. */
        forge("update billing.archive set document = set_byte(document, 99, 35) where seq = 3");
        CU_ASSERT_EQUAL(call_on(2, "einvoice.xml", "", &reply), 409);
        CU_ASSERT_PTR_NOT_NULL(strstr(faults(), "ubl: the archived bytes do not match"));
        forge("update billing.archive set digest = sha256(document) where seq = 3");
        CU_ASSERT_PTR_NOT_NULL(strstr(faults(), "the chain of the archive is broken here"));
        forge("delete from billing.archive where seq = 3");
        CU_ASSERT_PTR_NOT_NULL(strstr(faults(), "documents before it are missing"));
        forge("delete from billing.archive where seq > 3");
        CU_ASSERT_PTR_NOT_NULL(strstr(faults(), "archive of branch HN ends at 2 documents, its "
                                                "head says 5"));
        fixture_free(f);
}

HR_TESTS("e-invoice database", { "opens", open_host },
         { "made when the invoice is issued", test_made_by_event },
         { "VAT inside a slab switch", test_nested_tax },
         { "sent, rejected, sent, accepted", test_states },
         { "what is missing is named, then mended", test_invalid },
         { "credit note", test_credit_note }, { "the archive notices", test_archive })
