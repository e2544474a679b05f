#include <pthread.h>

#include "billing_fixture.h"
#include "qr.h"
#include "render.h"

enum { CONTRACTS = 12, THREADS = 4, EACH = 50 };

static void open_host(void)
{
        char *reply;

        billing_open(CONTRACTS);
        CU_ASSERT_EQUAL(
                fixture_call_as(f, "maker", "payee.set",
                                "{\"branch\":\"HN\",\"name\":\"Công ty Điện lực Hà "
                                "Nội\",\"address\":\"69 Đinh Tiên Hoàng\","
                                "\"bank_name\":\"Ngân hàng Á "
                                "Châu\",\"bank_bin\":\"970416\",\"bank_account\":\"257678859\"}",
                                &reply),
                200);
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "payee.set",
                                        "{\"branch\":\"HN\",\"name\":\"x\",\"bank_bin\":\"97041\"}",
                                        &reply) /
                                100,
                        4);
        CU_ASSERT_EQUAL(fixture_call_as(f, "stranger", "payee.set",
                                        "{\"branch\":\"HN\",\"name\":\"x\"}", &reply) /
                                100,
                        4);
        /* October twice: the first contract's bill is of 2026-09 and shows up in the next one's
         * chart. */
        issue(run_of("2026-09-01", "2026-10-01", "C1"));
        issue(run_of("2026-10-01", "2026-11-01", NULL));
        CU_ASSERT_EQUAL(number("select count(*) from billing.invoice"), CONTRACTS + 1);
}

static void test_numbers(void)
{
        CU_ASSERT_EQUAL(number("select max(seq) - min(seq) + 1 - count(*) from billing.invoice"),
                        0);
        CU_ASSERT_EQUAL(number("select min(seq) from billing.invoice"), 1);
        CU_ASSERT_EQUAL(number("select count(*) from billing.invoice where number !~ ('^HN-' || "
                               "year || '-0000[0-9]{2}$')"),
                        0);
        CU_ASSERT_EQUAL(number("select count(*) from core.event where type = 'invoice.issued'"),
                        CONTRACTS + 1);
        refused("update billing.invoice set total = 0", "frozen");
        refused("delete from billing.invoice", "frozen");
        refused("update billing.invoice_template set document = '{}'", "frozen");
}

static void test_show(void)
{
        char *reply, json[96];

        snprintf(json, sizeof json, "{\"number\":\"%s\"}",
                 fixture_sql(f, "select number from billing.invoice where account_id = 1 order by "
                                "seq desc limit 1"));
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "invoice.show", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "intact"), "true");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "content.customer.name"), "Nguyễn Văn 1");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "content.period.until"), "2026-10-31");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "content.history.0.from"), "2026-09-01");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "content.history.1.from"), "2026-10-01");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "content.meters.0.start"), "1234.567");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "content.meters.0.from"), "2026-10-01");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "template.language"), "vi");
        /* The newest version of the template. */
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "invoice.show", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "template.version"), "3");
        CU_ASSERT_EQUAL(fixture_call_as(f, "stranger", "invoice.show", json, &reply), 404);
        CU_ASSERT_EQUAL(fixture_call_as(f, "stranger", "invoice.pdf", json, &reply), 404);
}

/* The reply's bytes, read by pdftotext. */
static void test_pdf(void)
{
        char json[96], path[] = "/tmp/headrace-invoice.XXXXXX", command[128], text[16384] = "",
                       total[64];
        struct buf first = BUF_INIT, second = BUF_INIT;
        FILE *p;
        int fd = mkstemp(path);

        snprintf(json, sizeof json, "{\"number\":\"%s\"}",
                 fixture_sql(f, "select number from billing.invoice where account_id = 1 order by "
                                "seq desc limit 1"));
        CU_ASSERT_EQUAL(host_call_as(fixture_host(f), "maker", "invoice.pdf", json, &first), 200);
        CU_ASSERT_EQUAL(host_call_as(fixture_host(f), "maker", "invoice.pdf", json, &second), 200);
        CU_ASSERT_TRUE(first.len > 1000 && first.len == second.len &&
                       memcmp(first.p, second.p, first.len) == 0);
        p = fdopen(fd, "wb");
        fwrite(first.p, 1, first.len, p);
        fclose(p);
        snprintf(command, sizeof command, "pdftotext -layout %s -", path);
        p = popen(command, "r");
        text[fread(text, 1, sizeof text - 1, p)] = '\0';
        pclose(p);
        remove(path);
        /* 169,257 dong as Vietnamese write it. */
        snprintf(total, sizeof total, "%s ₫",
                 fixture_sql(f, "select replace(to_char(total, 'FM999,999,999'), ',', '.') from "
                                "billing.invoice"
                                " where account_id = 1 order by seq desc limit 1"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, total));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "Hóa đơn"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "Nguyễn Văn 1"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "Điện sinh hoạt · bậc 2"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "Thuế giá trị gia tăng"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "257678859"));
        buf_deinit(&first);
        buf_deinit(&second);
}

static void test_code(void)
{
        struct buf code = BUF_INIT;
        const char *content =
                fixture_sql(f, "select content from billing.invoice where account_id = 2");
        char amount[64];

        CU_ASSERT_EQUAL(invoice_payment_code(&code, content), 0);
        CU_ASSERT_TRUE(qr_emv_check(buf_cstr(&code)));
        snprintf(amount, sizeof amount, "54%02d%s",
                 (int)strlen(
                         fixture_sql(f, "select total from billing.invoice where account_id = 2")),
                 fixture_sql(f, "select total from billing.invoice where account_id = 2"));
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&code), amount));
        buf_deinit(&code);
}

/* What was changed behind the program's back is not printed. */
static void test_altered(void)
{
        char json[96], *reply;

        forge("update billing.invoice set content = jsonb_set(content, '{total}', '1') where "
              "account_id = 3");
        snprintf(json, sizeof json, "{\"number\":\"%s\"}",
                 fixture_sql(f, "select number from billing.invoice where account_id = 3"));
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "invoice.pdf", json, &reply), 409);
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "invoice.show", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "intact"), "false");
}

static void test_credit_note(void)
{
        char json[96], *reply;
        struct buf pdf = BUF_INIT;

        snprintf(json, sizeof json, "{\"bill\":%s,\"reason\":\"sai chỉ số\"}",
                 fixture_sql(f, "select bill_id from billing.bill where contract_id = 4"));
        CU_ASSERT_EQUAL(fixture_call_as(f, "maker", "bill.reverse", json, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(number("select count(*) from billing.invoice c join billing.invoice i on "
                               "c.corrects = i.number"
                               " where c.kind = 'credit_note' and c.total = -i.total and c.number "
                               "~ '^HN-CN-' and c.seq = 1"),
                        1);
        CU_ASSERT_EQUAL(number("select count(*) from core.event where type = 'credit_note.issued'"),
                        1);
        snprintf(json, sizeof json, "{\"number\":\"%s\"}",
                 fixture_sql(f, "select number from billing.invoice where kind = 'credit_note'"));
        CU_ASSERT_EQUAL(host_call(fixture_host(f), "invoice.pdf", json, &pdf), 200);
        buf_deinit(&pdf);
}

/* ---- numbers under parallel issue and roll-back ---- */

static void *take_numbers(void *arg)
{
        unsigned seed = (unsigned)(uintptr_t)arg;

        for (int i = 0; i < EACH; i++) {
                struct db_conn *c = db_take(fixture_db(f), 10000, NULL);

                if (c && db_begin(c, "*", false) == DB_OK &&
                    db_exec(c, "insert into t.number select seq from "
                               "billing.next_number(1::smallint, 'receipt', '2027-06-01')") ==
                            DB_OK) {
                        if (rand_r(&seed) % 3 == 0)
                                db_rollback(c);
                        else
                                db_commit(c);
                }
                db_give(fixture_db(f), c);
        }
        return NULL;
}

static void test_parallel_numbers(void)
{
        pthread_t threads[THREADS];

        fixture_exec(f, "create table t.number (seq bigint primary key)");
        for (uintptr_t i = 0; i < THREADS; i++)
                CU_ASSERT_EQUAL_FATAL(
                        pthread_create(&threads[i], NULL, take_numbers, (void *)(i + 1)), 0);
        for (int i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
        CU_ASSERT_TRUE(number("select count(*) from t.number") > EACH);
        CU_ASSERT_EQUAL(number("select max(seq) - count(*) from t.number"), 0);
        CU_ASSERT_EQUAL(number("select min(seq) from t.number"), 1);
        /* Local years: 31 December 18:00 UTC is New Year in Hanoi. */
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select number from billing.next_number(1::smallint, "
                                              "'invoice', '2030-12-31 18:00+00')"),
                               "HN-2031-000001");
        fixture_free(f);
}

HR_TESTS("invoice database", { "opens", open_host },
         { "numbers without gaps, frozen rows", test_numbers }, { "contents", test_show },
         { "PDF: right text, same bytes again", test_pdf }, { "payment code", test_code },
         { "altered contents are not printed", test_altered },
         { "credit note of a reversed bill", test_credit_note },
         { "numbers under parallel issue", test_parallel_numbers })
