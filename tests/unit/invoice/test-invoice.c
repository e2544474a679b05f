#include "hr_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <jansson.h>
#include <unistd.h>

#include "buf.h"
#include "doc.h"
#include "plural.h"
#include "qr.h"
#include "render.h"
#include "template.h"

/* ---- payment codes ---- */

static void test_vietqr(void)
{
        struct buf out = BUF_INIT;
        struct qr_vietqr q = { "970416", "257678859", 10000, "Chuyen tien" };

        CU_ASSERT_EQUAL(qr_put_vietqr(&out, &q), 0);
        CU_ASSERT_STRING_EQUAL(
                buf_cstr(&out),
                "00020101021238530010A0000007270123000697041601092576788590208QRIBFTTA"
                "53037045405100005802VN62150811Chuyen tien630453E6");
        buf_reset(&out);
        q.amount = 0;
        q.purpose = "";
        CU_ASSERT_EQUAL(qr_put_vietqr(&out, &q), 0);
        CU_ASSERT_STRING_EQUAL(
                buf_cstr(&out),
                "00020101021138530010A0000007270123000697041601092576788590208QRIBFTTA"
                "53037045802VN6304AE9F");
        q.bank_bin = "97041";
        CU_ASSERT_EQUAL(qr_put_vietqr(&out, &q), -EINVAL);
        q.bank_bin = "970416";
        q.account = "12345678901234567890";
        CU_ASSERT_EQUAL(qr_put_vietqr(&out, &q), -EINVAL);
        q.account = "1";
        q.amount = -1;
        CU_ASSERT_EQUAL(qr_put_vietqr(&out, &q), -EINVAL);
        buf_deinit(&out);
}

/* Every published code is judged as its source does. */
static void test_published_codes(void)
{
        json_error_t error;
        json_t *doc = json_load_file(hr_shared("data/payment-codes.json"), 0, &error), *one;
        size_t i, right = 0, wrong = 0;

        json_array_foreach(json_object_get(doc, "emvco_qr"), i, one)
        {
                const char *emv = json_string_value(json_object_get(one, "emv"));
                bool valid = json_is_true(json_object_get(one, "valid"));

                CU_ASSERT_EQUAL(qr_emv_check(emv), valid);
                right += valid;
                wrong += !valid;
        }
        CU_ASSERT_TRUE(right >= 12 && wrong >= 2);
        struct buf out = BUF_INIT;

        CU_ASSERT_EQUAL(
                qr_put_epc(&out, &(struct qr_epc){ "", "Utility Ltd", "DE89370400440532013000",
                                                   12035, "INV-2026-000123 ACC 0001234567" }),
                0);
        CU_ASSERT_STRING_EQUAL(buf_cstr(&out), json_string_value(json_object_get(
                                                       json_object_get(doc, "epc_qr"), "sample")));
        buf_deinit(&out);
        json_decref(doc);
}

static void test_code_grammar(void)
{
        static const char *const bad[] = { "",       "6304",       "63041D0F",
                                           "000201", "0002010102", "00AA01630430A1" };
        struct buf out = BUF_INIT;

        for (size_t i = 2; i < sizeof bad / sizeof *bad; i++)
                CU_ASSERT_FALSE(qr_emv_check(bad[i]));
        CU_ASSERT_FALSE(qr_emv_check(bad[0]));
        CU_ASSERT_FALSE(qr_emv_check(bad[1]));
        CU_ASSERT_EQUAL(
                qr_put_epc(&out, &(struct qr_epc){ "", "", "DE89370400440532013000", 1, "" }),
                -EINVAL);
        CU_ASSERT_EQUAL(
                qr_put_epc(&out, &(struct qr_epc){ "", "A", "DE89370400440532013000", 0, "" }),
                -EINVAL);
        CU_ASSERT_EQUAL(
                qr_put_epc(&out, &(struct qr_epc){ "ABC", "A", "DE89370400440532013000", 1, "" }),
                -EINVAL);
        /* A break in the text would end the field: it becomes a blank. */
        CU_ASSERT_EQUAL(qr_put_epc(&out, &(struct qr_epc){ "", "A\nB", "DE89370400440532013000", 1,
                                                           "x\ny" }),
                        0);
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), "\nA B\n"));
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&out), "EUR0.01\n\n\nx y\n"));
        buf_deinit(&out);
}

/* ---- documents ---- */

/* The first JSON text of @file after @mark. */
static json_t *json_of(const char *file, const char *mark)
{
        char path[4096];
        const char *source = getenv("HEADRACE_SOURCE");
        static char sql[65536];
        char *begin, *end;
        json_error_t error;
        json_t *doc;
        FILE *f;
        size_t n;

        snprintf(path, sizeof path, "%s/billing/invoice/templates/%s", source ? source : ".", file);
        f = fopen(path, "rb");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        n = fread(sql, 1, sizeof sql - 1, f);
        sql[n] = '\0';
        fclose(f);
        begin = strstr(sql, mark);
        CU_ASSERT_PTR_NOT_NULL_FATAL(begin);
        begin = strstr(begin, "$json$");
        CU_ASSERT_PTR_NOT_NULL_FATAL(begin);
        begin += strlen("$json$");
        end = strstr(begin, "$json$");
        CU_ASSERT_PTR_NOT_NULL_FATAL(end);
        doc = json_loadb(begin, (size_t)(end - begin), 0, &error);
        CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
        return doc;
}

/* The newest template of @language, from the files the migrations are made from. */
static json_t *template_json(const char *language)
{
        char mark[64];
        json_t *doc, *texts;

        snprintf(mark, sizeof mark, "('default', '%s', 1, $json$", language);
        doc = json_of("002_templates.sql", mark);
        snprintf(mark, sizeof mark, "('%s', '{}'", language);
        texts = json_of("006_templates.sql", mark);
        json_object_update(json_object_get(doc, "text"), texts);
        json_object_set_new(doc, "language", json_string(language));
        json_object_set_new(doc, "blocks",
                            json_pack("[sssssssss]", "customer", "due", "why", "charts", "meters",
                                      "lines", "totals", "messages", "slip"));
        json_decref(texts);
        return doc;
}

static char *template_of(const char *language)
{
        json_t *doc = template_json(language);
        char *s = json_dumps(doc, JSON_COMPACT);

        json_decref(doc);
        return s;
}

static void put_charts(struct buf *b)
{
        buf_put_str(b, "\"history\":[");
        for (int i = 0; i < 13; i++)
                buf_printf(b, "%s{\"from\":\"%d-%02d-01\",\"quantity\":\"%d.5\"}", i ? "," : "",
                           i < 3 ? 2025 : 2026, i < 3 ? 10 + i : i - 2, 210 + (i * 37) % 90);
        buf_put_str(b, "],\"daily\":[");
        for (int i = 0; i < 31; i++)
                buf_printf(b, "%s\"%d.%d\"", i ? "," : "", 6 + (i * 7) % 5, i % 10);
        buf_put_str(b, "],");
}

static const char vi_head[] =
        "{\"kind\":\"invoice\",\"number\":\"HN-2026-000017\",\"issued_at\":\"2026-11-03T02:00:00+"
        "00:00\","
        "\"issued\":\"2026-11-03\",\"due\":\"2026-11-17\",\"currency\":\"VND\",\"minor_digits\":0,"
        "\"branch\":{\"code\":\"HN\",\"name\":\"Hà Nội\",\"tz\":\"Asia/Ho_Chi_Minh\"},"
        "\"payee\":{\"name\":\"Công ty Điện lực Hà Nội\",\"address\":\"69C Đinh Tiên Hoàng, Hoàn "
        "Kiếm, Hà Nội\","
        "\"tax_id\":\"0100101114\",\"phone\":\"1900 1288\",\"email\":\"evnhanoi@example.vn\","
        "\"bank_name\":\"Ngân hàng TMCP Á "
        "Châu\",\"iban\":\"\",\"bic\":\"\",\"bank_bin\":\"970416\","
        "\"bank_account\":\"257678859\"},"
        "\"customer\":{\"name\":\"Nguyễn Thị Thu "
        "Hường\",\"account\":\"PD0100012345\",\"tax_id\":null},"
        "\"premise\":{\"address\":\"Số 12 ngõ 34 phố Trần Quốc Hoàn\",\"city\":\"Cầu Giấy, Hà "
        "Nội\",\"postcode\":\"\","
        "\"service_point\":\"PD0100012345001\",\"commodity\":\"electricity\"},"
        "\"contract\":{\"number\":\"C-0001\",\"class\":\"residential\",\"tariff\":\"VN-RES\","
        "\"tariff_name\":\"Giá bán lẻ điện sinh hoạt\"},"
        "\"period\":{\"from\":\"2026-10-01\",\"until\":\"2026-10-31\",\"days\":31},"
        "\"parts\":[{\"version\":1,\"from_day\":20727,\"to_day\":20758}],"
        "\"meters\":[{\"serial\":\"EMH0012345678\",\"from\":\"2026-10-01\","
        "\"until\":\"2026-10-31\",\"multiplier\":\"1\",\"start\":\"12345.678\",\"end\":"
        "\"12585.678\","
        "\"status\":\"measured\"}],\"quantity\":\"240\",\"unit\":\"kWh\",";
static const char vi_tail[] =
        "\"net\":547520,\"tax\":43802,\"total\":591322,\"credit\":0,\"amount_due\":591322}";

static void put_line(struct buf *b, int i, int part, const char *code, const char *kind,
                     const char *label, const char *quantity, const char *unit, const char *price,
                     long amount)
{
        buf_printf(b,
                   "%s{\"part\":%d,\"code\":\"%s\",\"component\":\"%.*s\",\"kind\":\"%s\","
                   "\"label\":\"%s\","
                   "\"quantity\":\"%s\",\"unit\":\"%s\",\"price\":\"%s\",\"amount\":%ld}",
                   i ? "," : "", part, code, (int)strcspn(code, "_"), code, kind, label, quantity,
                   unit, price, amount);
}

static void vietnamese(struct buf *b)
{
        buf_put_str(b, vi_head);
        put_charts(b);
        buf_put_str(b, "\"lines\":[");
        put_line(b, 0, 1, "energy_t1", "charge", "Điện sinh hoạt", "50", "kWh", "1984", 99200);
        put_line(b, 1, 1, "energy_t2", "charge", "Điện sinh hoạt", "50", "kWh", "2050", 102500);
        put_line(b, 2, 1, "energy_t3", "charge", "Điện sinh hoạt", "100", "kWh", "2380", 238000);
        put_line(b, 3, 1, "energy_t4", "charge", "Điện sinh hoạt", "36", "kWh", "2998", 107928);
        put_line(b, 4, 1, "vat", "tax", "Thuế giá trị gia tăng", "547628", "", "0.08", 43802);
        buf_put_str(
                b,
                "],\"compare\":{\"previous\":{\"from\":\"2026-09-01\",\"until\":\"2026-09-30\","
                "\"days\":30,\"quantity\":\"205\",\"total\":489240},\"causes\":{\"days\":16308,"
                "\"use\":67220,\"price\":18554},\"previous_percent\":13,\"year_percent\":-4},"
                "\"messages\":[\"Kính gửi {name}: từ ngày 01/12 quý khách có thể đọc chỉ số trên "
                "ứng dụng.\"],");
        buf_put_str(b, vi_tail);
}

static void english(struct buf *b, int lines)
{
        buf_put_str(b,
                    "{\"kind\":\"invoice\",\"number\":\"DE-2026-000123\",\"issued_at\":\"2026-"
                    "11-03T08:00:00+00:00\","
                    "\"issued\":\"2026-11-03\",\"due\":\"2026-11-17\",\"currency\":\"EUR\","
                    "\"minor_digits\":2,"
                    "\"payee\":{\"name\":\"Utility Ltd\",\"address\":\"1 Power Street, 10115 "
                    "Berlin\",\"tax_id\":"
                    "\"DE123456789\",\"phone\":\"+49 30 "
                    "1234\",\"email\":\"hello@example.com\",\"bank_name\":"
                    "\"Commerzbank\",\"iban\":\"DE89370400440532013000\",\"bic\":"
                    "\"COBADEFFXXX\",\"bank_bin\":\"\","
                    "\"bank_account\":\"\"},\"customer\":{\"name\":\"Ada "
                    "Lovelace\",\"account\":\"A-100\",\"tax_id\":"
                    "\"DE999\"},\"premise\":{\"address\":\"Analytical Way "
                    "1\",\"city\":\"Berlin\",\"postcode\":"
                    "\"10117\",\"service_point\":\"DE0001\",\"commodity\":\"electricity\"},"
                    "\"contract\":{\"number\":"
                    "\"C-1\",\"class\":\"business\",\"tariff\":\"TOU\",\"tariff_name\":"
                    "\"Business time of use\"},"
                    "\"period\":{\"from\":\"2026-10-01\",\"until\":\"2026-10-31\",\"days\":31},"
                    "\"parts\":[{\"version\":"
                    "1,\"from_day\":20727,\"to_day\":20742},{\"version\":2,\"from_day\":20742,"
                    "\"to_day\":20758}],"
                    "\"meters\":[{\"serial\":\"M-OLD\",\"from\":\"2026-10-01\",\"until\":\"2026-10-"
                    "12\",\"multiplier\":"
                    "\"40\",\"start\":null,\"end\":null,\"status\":\"measured\"},{\"serial\":"
                    "\"M-NEW\",\"from\":"
                    "\"2026-10-12\",\"until\":\"2026-11-01\",\"multiplier\":\"60\",\"start\":\"0\","
                    "\"end\":\"13.25\","
                    "\"status\":\"mixed\"}],\"quantity\":\"1234.5\",\"unit\":\"kWh\",");
        put_charts(b);
        buf_put_str(b, "\"lines\":[");
        for (int i = 0; i < lines; i++)
                put_line(b, i, i < lines / 2 ? 1 : 2, i % 2 ? "energy_peak" : "energy_offpeak",
                         "charge",
                         lines < 10
                                 ? "Energy"
                                 : "Energy charge with a name that is rather long for its column",
                         "617.25", "kWh", "0.2987", 18437);
        buf_printf(b, "],\"net\":%d,\"tax\":0,\"total\":%d,\"credit\":1000,\"amount_due\":%d}",
                   lines * 18437, lines * 18437, lines * 18437 - 1000);
}

/* Renders and returns what pdftotext reads, page by page; keeps the PDF where HEADRACE_KEEP says.
 */
static char *pdf_text(const char *name, const char *content, const char *language)
{
        static char text[65536];
        const char *keep = getenv("HEADRACE_KEEP");
        char path[512], command[600];
        char *template = template_of(language);
        struct buf a = BUF_INIT, b = BUF_INIT;
        FILE *f;

        CU_ASSERT_EQUAL_FATAL(invoice_render(&a, content, template, NULL), 0);
        CU_ASSERT_EQUAL_FATAL(invoice_render(&b, content, template, NULL), 0);
        /* A reprint is the same file. */
        CU_ASSERT_TRUE(a.len == b.len && memcmp(a.p, b.p, a.len) == 0);
        snprintf(path, sizeof path, "%s/headrace-test-%s-%d.pdf", keep ? keep : "/tmp", name,
                 keep ? 0 : (int)getpid());
        f = fopen(path, "wb");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        fwrite(a.p, 1, a.len, f);
        fclose(f);
        snprintf(command, sizeof command, "pdftotext -layout '%s' -", path);
        f = popen(command, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        text[fread(text, 1, sizeof text - 1, f)] = '\0';
        pclose(f);
        if (!keep)
                unlink(path);
        buf_deinit(&a);
        buf_deinit(&b);
        free(template);
        return text;
}

static void has(const char *text, const char *part)
{
        if (!strstr(text, part))
                printf("\nmissing: %s\n", part);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, part));
}

static void test_vietnamese(void)
{
        struct buf content = BUF_INIT;
        const char *text;

        vietnamese(&content);
        text = pdf_text("vi", buf_cstr(&content), "vi");
        has(text, "Vì sao có số tiền này");
        has(text, "+16.308 ₫");
        has(text, "+102.082 ₫"); /* 591322 - 489240 */
        has(text, "205 kWh");
        has(text, "30 ngày");
        has(text, "ít hơn 4% so với cùng kỳ năm trước");
        has(text, "chuyển khoản với nội dung HN-2026-000017");
        has(text, "Kính gửi Nguyễn Thị Thu Hường: từ ngày");
        has(text, "Hóa đơn");
        has(text, "Nguyễn Thị Thu Hường");
        has(text, "Số tiền phải thanh toán");
        has(text, "591.322 ₫");
        has(text, "17/11/2026");
        has(text, "bậc 4");
        has(text, "2.998");
        has(text, "8%");
        has(text, "12.345,678 – 12.585,678");
        has(text, "Ngân hàng TMCP Á Châu");
        buf_deinit(&content);
}

static void test_english(void)
{
        struct buf content = BUF_INIT;
        const char *text;

        english(&content, 6);
        text = pdf_text("en", buf_cstr(&content), "en");
        has(text, "Invoice");
        has(text, "Ada Lovelace");
        has(text, "€1,106.22");
        has(text, "€1,096.22");
        has(text, "17 Nov 2026");
        has(text, "DE89 3704 0044 0532 0130 00");
        has(text, "Tariff version 2");
        has(text, "partly estimated");
        has(text, "off-peak");
        CU_ASSERT_PTR_NULL(strchr(text, '\f')[1] ? strchr(text, '\f') + 1 : NULL);
        buf_deinit(&content);
}

static void test_overflow(void)
{
        struct buf content = BUF_INIT;
        const char *text, *page;
        int pages = 0, rows = 0;

        english(&content, 90);
        text = pdf_text("long", buf_cstr(&content), "en");
        for (page = text; (page = strchr(page, '\f')); page++)
                pages++;
        for (page = text; (page = strstr(page, "617.25")); page++)
                rows++;
        CU_ASSERT_EQUAL(rows, 90);
        CU_ASSERT_TRUE(pages >= 3);
        has(text, "Page 3");
        buf_deinit(&content);
}

static void test_arabic(void)
{
        struct buf content = BUF_INIT;
        char *template = template_of("ar");

        vietnamese(&content);
        pdf_text("ar", buf_cstr(&content), "ar");
        free(template);
        buf_deinit(&content);
}

struct printer {
        const char *content, *template;
        const struct buf *want;
        atomic_int *wrong;
};

static void *print_some(void *arg)
{
        struct printer *p = arg;

        for (int i = 0; i < 10; i++) {
                struct buf out = BUF_INIT;

                if (invoice_render(&out, p->content, p->template, NULL) != 0 ||
                    out.len != p->want->len || memcmp(out.p, p->want->p, out.len) != 0)
                        atomic_fetch_add(p->wrong, 1);
                buf_deinit(&out);
        }
        return NULL;
}

/* Worker threads print at the same time; each gets the same bytes. */
static void test_threads(void)
{
        struct buf content = BUF_INIT, want = BUF_INIT;
        char *template = template_of("vi");
        atomic_int wrong = 0;
        pthread_t threads[4];
        struct printer p;

        vietnamese(&content);
        p = (struct printer){ buf_cstr(&content), template, &want, &wrong };
        CU_ASSERT_EQUAL_FATAL(invoice_render(&want, p.content, p.template, NULL), 0);
        for (int i = 0; i < 4; i++)
                CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, print_some, &p), 0);
        for (int i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
        buf_deinit(&content);
        buf_deinit(&want);
        free(template);
}

static void test_bad_documents(void)
{
        static const char *const bad[] = { "", "[]", "{", "null", "\"x\"" };
        struct buf out = BUF_INIT;

        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                CU_ASSERT_EQUAL(invoice_render(&out, bad[i], "{}", NULL), -EINVAL);
                CU_ASSERT_EQUAL(invoice_render(&out, "{}", bad[i], NULL), -EINVAL);
        }
        /* Nothing known but that it is an object: an empty form, no crash. */
        CU_ASSERT_EQUAL(invoice_render(&out, "{}", "{}", NULL), 0);
        CU_ASSERT_EQUAL(invoice_payment_code(&out, "{\"amount_due\":5,\"currency\":\"VND\"}"),
                        -ENOENT);
        CU_ASSERT_EQUAL(invoice_payment_code(&out, "x"), -EINVAL);
        buf_deinit(&out);
}

static void test_payment_code(void)
{
        struct buf content = BUF_INIT, code = BUF_INIT;

        vietnamese(&content);
        CU_ASSERT_EQUAL(invoice_payment_code(&code, buf_cstr(&content)), 0);
        CU_ASSERT_TRUE(qr_emv_check(buf_cstr(&code)));
        has(buf_cstr(&code), "5406591322");
        has(buf_cstr(&code), "0814HN-2026-000017");
        buf_reset(&content);
        buf_reset(&code);
        english(&content, 6);
        CU_ASSERT_EQUAL(invoice_payment_code(&code, buf_cstr(&content)), 0);
        has(buf_cstr(&code), "\nEUR1096.22\n");
        has(buf_cstr(&code), "DE-2026-000123 A-100");
        buf_deinit(&content);
        buf_deinit(&code);
}

static void test_formats(void)
{
        struct doc d;
        struct buf out = BUF_INIT;

        CU_ASSERT_EQUAL_FATAL(
                doc_open(&d, "{\"currency\":\"EUR\",\"minor_digits\":2}",
                         "{\"thousands\":\".\",\"point\":\",\",\"money\":\"{amount} {symbol}\","
                         "\"date\":\"{dd}/{mm}/{y}\"}"),
                0);
        CU_ASSERT_STRING_EQUAL(doc_money(&d, &out, 123456789), "1.234.567,89\u00a0€");
        CU_ASSERT_STRING_EQUAL(doc_money(&d, &out, -5), "−0,05\u00a0€");
        CU_ASSERT_STRING_EQUAL(doc_number(&d, &out, "1000", -1), "1.000");
        CU_ASSERT_STRING_EQUAL(doc_number(&d, &out, "0.12345", 3), "0,123");
        CU_ASSERT_STRING_EQUAL(doc_number(&d, &out, "999", 0), "999");
        CU_ASSERT_STRING_EQUAL(doc_date(&d, &out, "2026-02-09T00:00:00Z"), "09/02/2026");
        CU_ASSERT_STRING_EQUAL(doc_date(&d, &out, "soon"), "");
        buf_deinit(&out);
        doc_close(&d);
}

/* ---- templates ---- */

static void test_plurals(void)
{
        static const struct {
                const char *language;
                int64_t n;
                const char *category;
        } cases[] = {
                { "en", 1, "one" },   { "en", 0, "other" },   { "en", 2, "other" },
                { "vi", 1, "other" }, { "ar", 0, "zero" },    { "ar", 1, "one" },
                { "ar", 2, "two" },   { "ar", 3, "few" },     { "ar", 10, "few" },
                { "ar", 11, "many" }, { "ar", 99, "many" },   { "ar", 100, "other" },
                { "ar", 103, "few" }, { "ar", 102, "other" }, { "ru", 21, "one" },
                { "ru", 11, "many" }, { "ru", 22, "few" },    { "ru", 12, "many" },
                { "pl", 21, "many" }, { "pl", 3, "few" },     { "cs", 4, "few" },
                { "cs", 5, "other" }, { "he", 2, "two" },     { "fr", 0, "one" },
                { "xx", 1, "one" },
        };
        struct doc d;
        struct buf out = BUF_INIT;

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                CU_ASSERT_STRING_EQUAL(plural_category(cases[i].language, cases[i].n),
                                       cases[i].category);
        char *template = template_of("ar");

        CU_ASSERT_EQUAL_FATAL(doc_open(&d, "{}", template), 0);
        CU_ASSERT_STRING_EQUAL(doc_count(&d, &out, "days_count", 2), "يومان");
        CU_ASSERT_STRING_EQUAL(doc_count(&d, &out, "days_count", 31), "31 يوما");
        CU_ASSERT_STRING_EQUAL(doc_count(&d, &out, "days_count", 5), "5 أيام");
        CU_ASSERT_STRING_EQUAL(doc_measure(&d, &out, "1240.25", 1, "m3"), "\u2066"
                                                                          "1,240.3 m³"
                                                                          "\u2069");
        CU_ASSERT_STRING_EQUAL(doc_count(&d, &out, "no such text", 5), "no such text");
        d.symbol = "EGP";
        d.minor_digits = 2;
        CU_ASSERT_STRING_EQUAL(doc_money(&d, &out, -491438), "\u2066"
                                                             "−4,914.38\u00a0EGP"
                                                             "\u2069");
        doc_close(&d);
        free(template);
        buf_deinit(&out);
}

static void refuses(json_t *doc, const char *expected)
{
        char why[TEMPLATE_WHY_SIZE] = "";

        CU_ASSERT_EQUAL(template_check(doc, "en", why), -EINVAL);
        has(why, expected);
        json_decref(doc);
}

static json_t *with(const char *member, json_t *v)
{
        json_t *doc = template_json("en");

        json_object_set_new(doc, member, v);
        return doc;
}

static json_t *with_text(const char *name, json_t *v)
{
        json_t *doc = template_json("en");

        json_object_set_new(json_object_get(doc, "text"), name, v);
        return doc;
}

static json_t *without(const char *member, const char *name)
{
        json_t *doc = template_json("en");

        json_object_del(name ? json_object_get(doc, member) : doc, name ? name : member);
        return doc;
}

static void test_template_check(void)
{
        static const char *const languages[] = { "en", "vi", "ar" };
        char why[TEMPLATE_WHY_SIZE];

        for (size_t i = 0; i < 3; i++) {
                json_t *doc = template_json(languages[i]);

                if (template_check(doc, languages[i], why) != 0)
                        printf("\n%s: %s\n", languages[i], why);
                CU_ASSERT_EQUAL(template_check(doc, languages[i], why), 0);
                json_decref(doc);
        }
        refuses(json_array(), "must be a JSON object");
        refuses(with_text("pay_how", json_string("Pay {nummer} now")),
                "text.pay_how: unknown placeholder {nummer}; known here: number");
        refuses(with_text("due", json_string("Pay by {due}")),
                "text.due: unknown placeholder {due}; known here: none");
        refuses(with_text("due", json_string("Pay by }")), "a brace without its partner");
        refuses(with_text("due", json_string("Pay by {due")), "a brace without its partner");
        refuses(with_text("due", json_integer(1)), "text.due must be a text or");
        refuses(with_text("days_count", json_pack("{ss}", "one", "{n} day")),
                "form \"other\" is missing");
        refuses(with_text("days_count", json_pack("{ssss}", "other", "{n}", "lots", "{n}")),
                "unknown plural form \"lots\"");
        refuses(with_text("days_count", json_pack("{ssss}", "other", "{n}", "one", "{m}")),
                "unknown placeholder {m}");
        refuses(without("text", "scan"), "text.scan is missing");
        refuses(without("accent", NULL), "accent is missing");
        refuses(with("accent", json_string("blue")), "accent must be a colour");
        refuses(with("money", json_string("{amount} {currency}")),
                "unknown placeholder {currency}");
        refuses(with("months", json_pack("[s]", "Jan")), "twelve names");
        refuses(with("rtl", json_integer(1)), "rtl must be");
        refuses(with("blocks", json_pack("[sss]", "due", "lines", "chart")),
                "unknown block \"chart\"");
        refuses(with("blocks", json_pack("[ss]", "due", "lines")), "\"totals\"");
        refuses(with("blocks", json_pack("[ssss]", "due", "lines", "due", "totals")),
                "\"due\" stands twice");
        refuses(with("colour", json_string("x")), "unknown member \"colour\"");
        refuses(with("language", json_string("fr")), "\"fr\" in the document but \"en\"");
        CU_ASSERT_EQUAL(template_check_message("Dear {name}, {days} until {due}", why), 0);
        CU_ASSERT_EQUAL(template_check_message("Dear {nam}", why), -EINVAL);
        has(why, "{nam}");
}

/* What pdftotext reads, in the file's order. Valid until the next call. */
static const char *raw_text(const struct buf *pdf)
{
        static char text[65536];
        char path[] = "/tmp/headrace-raw.XXXXXX", command[96];
        FILE *p = fdopen(mkstemp(path), "wb");

        fwrite(pdf->p, 1, pdf->len, p);
        fclose(p);
        snprintf(command, sizeof command, "pdftotext -raw %s -", path);
        p = popen(command, "r");
        text[fread(text, 1, sizeof text - 1, p)] = '\0';
        pclose(p);
        unlink(path);
        return text;
}

/* Blocks are drawn in the template's order and left out when it does not name them. */
static void test_blocks(void)
{
        struct buf content = BUF_INIT, pdf = BUF_INIT;
        json_t *doc = with("blocks", json_pack("[sss]", "lines", "totals", "due"));
        char *template = json_dumps(doc, JSON_COMPACT);
        const char *text;

        english(&content, 6);
        CU_ASSERT_EQUAL_FATAL(invoice_render(&pdf, buf_cstr(&content), template, "copy"), 0);
        text = raw_text(&pdf);
        has(text, "COPY");
        CU_ASSERT_PTR_NULL(strstr(text, "How to pay"));
        CU_ASSERT_PTR_NULL(strstr(text, "Ada Lovelace"));
        CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(text, "Amount due"));
        CU_ASSERT_TRUE(strstr(text, "Description") < strstr(text, "Amount due"));
        json_decref(doc);
        free(template);
        buf_deinit(&content);
        buf_deinit(&pdf);
}

/* Every page of a copy says that it is one. */
static void test_copy(void)
{
        struct buf content = BUF_INIT, pdf = BUF_INIT;
        char *template = template_of("en");
        size_t pages = 0, marks = 0;
        const char *text;

        english(&content, 90);
        CU_ASSERT_EQUAL_FATAL(invoice_render(&pdf, buf_cstr(&content), template, "copy"), 0);
        text = raw_text(&pdf);
        for (const char *p = text; (p = strchr(p, '\f')); p++)
                pages++;
        for (const char *p = text; (p = strstr(p, "COPY")); p++)
                marks++;
        CU_ASSERT_TRUE(pages >= 4 && marks == pages);
        free(template);
        buf_deinit(&content);
        buf_deinit(&pdf);
}

/* Nobody is told to scan what is not there. */
static void test_no_code(void)
{
        struct buf content = BUF_INIT, pdf = BUF_INIT;
        char *template = template_of("en"), *iban;

        english(&content, 6);
        CU_ASSERT_EQUAL_FATAL(invoice_render(&pdf, buf_cstr(&content), template, NULL), 0);
        has(raw_text(&pdf), "Scan the code below");
        iban = strstr((char *)content.p, "DE89370400440532013000");
        CU_ASSERT_PTR_NOT_NULL_FATAL(iban);
        *iban = '!';
        buf_reset(&pdf);
        CU_ASSERT_EQUAL_FATAL(invoice_render(&pdf, buf_cstr(&content), template, NULL), 0);
        CU_ASSERT_PTR_NULL(strstr(raw_text(&pdf), "Scan the code below"));
        has(raw_text(&pdf), "How to pay");
        free(template);
        buf_deinit(&content);
        buf_deinit(&pdf);
}

static size_t count(const struct buf *b, const char *what)
{
        size_t n = 0, len = strlen(what);

        for (size_t i = 0; i + len <= b->len; i++)
                n += memcmp(b->p + i, what, len) == 0;
        return n;
}

/* The table behind the catalogue is where the file says it is, and the file says its language. */
static void test_file_structure(void)
{
        struct buf content = BUF_INIT, pdf = BUF_INIT;
        char *template = template_of("vi");
        const char *start;
        size_t at;

        vietnamese(&content);
        CU_ASSERT_EQUAL_FATAL(invoice_render(&pdf, buf_cstr(&content), template, NULL), 0);
        CU_ASSERT_EQUAL(count(&pdf, "/Lang (vi)"), 1);
        CU_ASSERT_EQUAL(count(&pdf, "/DisplayDocTitle true"), 1);
        CU_ASSERT_EQUAL(count(&pdf, "/Marked true"), 1);
        CU_ASSERT_EQUAL(count(&pdf, "/S /H1"), 1);
        CU_ASSERT_EQUAL(count(&pdf, "/S /Table"), 3);
        CU_ASSERT_TRUE(count(&pdf, "/S /TD") >= 20);
        buf_put_u8(&pdf, 0);
        start = memmem(pdf.p + pdf.len - 64, 64, "startxref\n", 10);
        CU_ASSERT_PTR_NOT_NULL_FATAL(start);
        at = strtoul(start + 10, NULL, 10);
        CU_ASSERT_TRUE_FATAL(at + 5 < pdf.len);
        CU_ASSERT_EQUAL(memcmp(pdf.p + at, "xref\n", 5), 0);
        free(template);
        buf_deinit(&content);
        buf_deinit(&pdf);
}

static void test_many_in_a_file(void)
{
        struct buf a = BUF_INIT, b = BUF_INIT, out = BUF_INIT, whole = BUF_INIT;
        char *vi = template_of("vi"), *en = template_of("en"), *ar = template_of("ar");
        struct invoice_printer *p;
        int pages = 0, sum = 0;

        vietnamese(&a);
        english(&b, 90);
        CU_ASSERT_EQUAL_FATAL(invoice_printer_open(&p, &out, "Run 7", "2026-11-03T02:00:00Z"), 0);
        for (int i = 0; i < 20; i++) {
                const char *content = i % 4 == 3 ? buf_cstr(&b) : buf_cstr(&a);

                CU_ASSERT_EQUAL(invoice_printer_add(p, content,
                                                    i % 4 == 3 ? en
                                                    : i % 2    ? ar
                                                               : vi,
                                                    &pages),
                                0);
                CU_ASSERT_TRUE(i % 4 == 3 ? pages > 3 : pages == 1);
                sum += pages;
                buf_put(&whole, out.p, out.len);
                buf_reset(&out);
        }
        CU_ASSERT_EQUAL(invoice_printer_add(p, "[]", en, &pages), -EINVAL);
        CU_ASSERT_EQUAL(invoice_printer_close(p), 0);
        buf_put(&whole, out.p, out.len);
        CU_ASSERT_EQUAL(count(&whole, "/Type /Page %"), (size_t)sum);
        /* Fonts once, not twenty times. */
        CU_ASSERT_TRUE(count(&whole, "/Type /FontDescriptor") <= 16);
        CU_ASSERT_EQUAL(invoice_printer_close(NULL), 0);
        free(vi);
        free(en);
        free(ar);
        buf_deinit(&a);
        buf_deinit(&b);
        buf_deinit(&out);
        buf_deinit(&whole);
}

HR_TESTS("invoice", { "VietQR strings byte for byte", test_vietqr },
         { "published payment codes are judged right", test_published_codes },
         { "codes that are none", test_code_grammar }, { "numbers, money, days", test_formats },
         { "payment code of an invoice", test_payment_code },
         { "Vietnamese invoice: text can be selected", test_vietnamese },
         { "English invoice: parts, credit, IBAN", test_english },
         { "lines overflow to more pages", test_overflow },
         { "a right-to-left invoice is drawn", test_arabic },
         { "four threads, the same bytes", test_threads },
         { "documents that are none", test_bad_documents }, { "plural forms", test_plurals },
         { "templates are checked, mistakes named", test_template_check },
         { "blocks of a template", test_blocks }, { "a copy says so on every page", test_copy },
         { "no code, no word of it", test_no_code },
         { "language, title, roles", test_file_structure },
         { "many invoices in a file", test_many_in_a_file })
