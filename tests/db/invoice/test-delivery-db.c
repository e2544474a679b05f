/* From the template to the customer: templates and messages, why a bill changed, printing in bulk,
 * e-mail through a mail server that sometimes refuses, and the archive behind all of it. */

#include <sys/stat.h>

#include "billing_fixture.h"
#include "smtp_sink.h"

enum { CONTRACTS = 10 };

static struct smtp_sink sink;
static char print_dir[64] = "/tmp/headrace-print.XXXXXX";

static char *call(const char *who, const char *operation, const char *json, int status)
{
        char *reply;
        int got = fixture_call_as(f, who, operation, json, &reply);

        if (got != status)
                printf("\n%s %.200s: %d %s\n", operation, json, got, reply);
        CU_ASSERT_EQUAL(got, status);
        return reply;
}

static const char *output_of(const char *command)
{
        static char text[65536];
        FILE *p = popen(command, "r");

        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
        text[fread(text, 1, sizeof text - 1, p)] = '\0';
        pclose(p);
        if (*text && text[strlen(text) - 1] == '\n')
                text[strlen(text) - 1] = '\0';
        return text;
}

static void open_host(void)
{
        char url[64];

        smtp_sink_open(&sink);
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(print_dir));
        snprintf(url, sizeof url, "smtp://127.0.0.1:%d", sink.port);
        setenv("invoice.smtp_url", url, 1);
        setenv("invoice.smtp_tls", "no", 1);
        setenv("invoice.mail_from", "hoadon@example.vn", 1);
        setenv("invoice.print_dir", print_dir, 1);
        billing_open(CONTRACTS);
        call("maker", "payee.set",
             "{\"branch\":\"HN\",\"name\":\"Công ty Điện lực Hà Nội\",\"tax_id\":\"0100101114\","
             "\"bank_bin\":\"970416\",\"bank_account\":\"257678859\"}",
             200);
}

/* ---- templates ---- */

/* The newest Vietnamese template with one text replaced, as a draft for @class. */
static char *draft(const char *class, const char *day, const char *name, const char *text,
                   int status)
{
        struct buf json = BUF_INIT;
        char sql[512], *reply;

        snprintf(sql, sizeof sql,
                 "select jsonb_set(document, '{text,%s}', to_jsonb('%s'::text)) from "
                 "billing.invoice_template where language = 'vi' order by version desc limit 1",
                 name, text);
        buf_printf(&json,
                   "{\"class\":\"%s\",\"language\":\"vi\",\"valid_from\":\"%s\",\"document\":%s}",
                   class, day, fixture_sql(f, sql));
        reply = call("maker", "template.draft", buf_cstr(&json), status);
        buf_deinit(&json);
        return reply;
}

static void decide(const char *who, const char *operation, const char *draft_id, int status,
                   const char *expected)
{
        char json[64], *reply;

        snprintf(json, sizeof json, "{\"draft\":%s}", draft_id);
        reply = call(who, operation, json, status);
        if (!strstr(reply, expected))
                printf("\nexpected %s\ngot %s\n", expected, reply);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, expected));
}

static void test_templates(void)
{
        char today[16], *reply;
        char id[24], later[24];

        snprintf(today, sizeof today, "%s", fixture_sql(f, "select current_date"));
        reply = draft("residential", today, "pay_how", "Chuyển khoản: {reference}", 422);
        CU_ASSERT_PTR_NOT_NULL(
                strstr(reply, "unknown placeholder {reference}; known here: number"));
        reply = draft("residential", today, "invoice", "Hóa đơn tiền điện", 201);
        snprintf(id, sizeof id, "%s", fixture_json(f, reply, "draft"));
        decide("maker", "template.approve", id, 422, "someone other than the person who wrote it");
        decide("checker", "template.approve", id, 200, "\"version\": 1");
        decide("checker", "template.approve", id, 422, "is approved");
        /* One for the far future is not used now, one for the past is refused. */
        reply = draft("residential", "2999-01-01", "invoice", "Hóa đơn tương lai", 201);
        snprintf(later, sizeof later, "%s", fixture_json(f, reply, "draft"));
        decide("checker", "template.approve", later, 200, "\"version\": 2");
        reply = draft("residential", "2020-01-01", "invoice", "x", 201);
        snprintf(later, sizeof later, "%s", fixture_json(f, reply, "draft"));
        decide("checker", "template.approve", later, 422, "Choose a later day");
        decide("maker", "template.withdraw", later, 200, "withdrawn");
        decide("maker", "template.withdraw", "999", 404, "no draft 999");
        reply = call("maker", "template.list", "{\"language\":\"vi\"}", 200);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\"approved_by\": \"checker\""));
}

/* ---- what stands on the invoices ---- */

static void test_messages(void)
{
        char *reply =
                call("maker", "message.add",
                     "{\"branch\":\"HN\",\"language\":\"vi\",\"from\":\"2020-01-01\",\"until\":"
                     "\"2999-01-01\",\"body\":\"Chào {nam}\"}",
                     422);

        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "unknown placeholder {nam}"));
        call("maker", "message.add",
             "{\"branch\":\"HN\",\"language\":\"vi\",\"from\":\"2020-01-01\",\"until\":\"2999-01-"
             "01\","
             "\"rule\":\"first\",\"body\":\"Chào mừng {name}\"}",
             201);
        call("maker", "message.add",
             "{\"branch\":\"HN\",\"language\":\"vi\",\"from\":\"2020-01-01\",\"until\":\"2999-01-"
             "01\","
             "\"rule\":\"higher\",\"percent\":50,\"body\":\"Tăng nhiều\"}",
             201);
        call("maker", "message.add",
             "{\"branch\":\"HN\",\"language\":\"vi\",\"from\":\"2020-01-01\",\"until\":\"2020-12-"
             "31\","
             "\"body\":\"Đã hết hạn\"}",
             201);
        call("stranger", "message.list", "{\"branch\":\"HN\"}", 200);
        CU_ASSERT_EQUAL(number("select count(*) from billing.invoice_message"), 3);
        call("maker", "message.end", "{\"message\":99}", 404);
}

static const char *content(int account, const char *period_from, const char *path)
{
        char sql[256];

        snprintf(sql, sizeof sql,
                 "select content #>> '{%s}' from billing.invoice where account_id = %d and "
                 "content->'period'->>'from' = '%s'",
                 path, account, period_from);
        return fixture_sql(f, sql);
}

static void test_compare(void)
{
        /* The second contract uses three times as much in October. */
        fixture_exec(f, "update t.reading set value = value * 3 where meter = 2 and at >= "
                        "'2026-09-30 17:00+00'");
        call("maker", "delivery.prefer", "{\"account\":\"A2\",\"channel\":\"email\"}", 200);
        call("maker", "delivery.prefer",
             "{\"account\":\"A3\",\"channel\":\"email\",\"address\":\"ba@x.vn>\"}", 422);
        call("maker", "delivery.prefer",
             "{\"account\":\"A3\",\"channel\":\"email\",\"address\":\"ba@example.vn\"}", 200);
        call("maker", "delivery.prefer",
             "{\"account\":\"A4\",\"channel\":\"email\",\"address\":\"later@example.vn\"}", 200);
        call("maker", "delivery.prefer",
             "{\"account\":\"A5\",\"channel\":\"email\",\"address\":\"never@example.vn\"}", 200);
        call("maker", "delivery.prefer", "{\"account\":\"A6\",\"channel\":\"app\"}", 200);
        issue(run_of("2026-09-01", "2026-10-01", NULL));
        issue(run_of("2026-10-01", "2026-11-01", NULL));
        CU_ASSERT_STRING_EQUAL(content(1, "2026-09-01", "messages,0"), "Chào mừng {name}");
        CU_ASSERT_STRING_EQUAL(content(1, "2026-10-01", "messages"), "[]");
        CU_ASSERT_STRING_EQUAL(content(2, "2026-10-01", "messages,0"), "Tăng nhiều");
        CU_ASSERT_STRING_EQUAL(content(2, "2026-10-01", "compare,previous_percent"), "200");
        CU_ASSERT_STRING_EQUAL(content(1, "2026-09-01", "compare"), "{}");
        /* Days, use and prices explain the difference to the dong, on every invoice. */
        CU_ASSERT_EQUAL(number("select count(*) from billing.invoice i, lateral (select "
                               "i.content->'compare' as c) x where x.c ? 'previous' and i.total - "
                               "(c->'previous'->>'total')::bigint = (c->'causes'->>'days')::bigint "
                               "+ (c->'causes'->>'use')::bigint + (c->'causes'->>'price')::bigint"),
                        CONTRACTS);
        CU_ASSERT_EQUAL(number("select (content->'compare'->'causes'->>'days')::bigint - "
                               "round((content->'compare'->'previous'->>'total')::numeric / 30) "
                               "from billing.invoice where account_id = 1 and "
                               "content->'compare' ? 'previous'"),
                        0);
        CU_ASSERT_EQUAL(number("select count(*) from billing.invoice where template_class = "
                               "'residential' and template_version = 1"),
                        2 * CONTRACTS);
}

static void test_preview(void)
{
        struct buf pdf = BUF_INIT;
        char json[64];

        CU_ASSERT_EQUAL(
                host_call_as(fixture_host(f), "maker", "invoice.preview", "{\"draft\":1}", &pdf),
                200);
        CU_ASSERT_TRUE(pdf.len > 1000 && memcmp(pdf.p, "%PDF-1.5", 8) == 0);
        buf_reset(&pdf);
        snprintf(json, sizeof json, "{\"bill\":%s}",
                 fixture_sql(f, "select max(bill_id) from billing.bill"));
        CU_ASSERT_EQUAL(host_call_as(fixture_host(f), "maker", "invoice.preview", json, &pdf), 200);
        call("maker", "invoice.preview", "{\"draft\":999}", 404);
        call("maker", "invoice.preview", "{\"number\":\"none\"}", 404);
        call("stranger", "invoice.preview", "{}", 404);
        buf_deinit(&pdf);
}

/* ---- e-mail and app ---- */

static const char *delivery(int account, const char *column)
{
        char sql[256];

        snprintf(sql, sizeof sql,
                 "select string_agg(d.channel || ' ' || d.%s, ', ' order by d.delivery_id) from "
                 "billing.delivery d join billing.invoice i using (number) where account_id = %d "
                 "and i.content->'period'->>'from' = '2026-10-01'",
                 column, account);
        return fixture_sql(f, sql);
}

static void test_delivery(void)
{
        CU_ASSERT_STRING_EQUAL(delivery(1, "state"), "print queued");
        CU_ASSERT_STRING_EQUAL(delivery(2, "state"), "print queued"); /* no address is known */
        CU_ASSERT_STRING_EQUAL(delivery(3, "state"), "email sent");
        CU_ASSERT_STRING_EQUAL(delivery(4, "state"), "email failed");
        CU_ASSERT_STRING_EQUAL(delivery(4, "reason"), "email 451 4.2.2 mailbox busy, later");
        CU_ASSERT_STRING_EQUAL(delivery(4, "attempts"), "email 1");
        CU_ASSERT_STRING_EQUAL(delivery(5, "state"), "email dead, print queued");
        CU_ASSERT_STRING_EQUAL(delivery(6, "state"), "app sent");
        CU_ASSERT_EQUAL(number("select count(*) from core.event where type = 'delivery.dead'"), 2);
        CU_ASSERT_EQUAL(number("select count(*) from core.event where type = 'invoice.available'"),
                        2);
        CU_ASSERT_EQUAL(atomic_load(&sink.messages), 2);
        /* The next try is a job that waits, one for all. */
        CU_ASSERT_EQUAL(number("select count(*) from core.job where type = 'invoice.deliver' and "
                               "status = 'queued' and run_after > now() + interval '3 minutes'"),
                        1);
}

/* The message as another program reads it: sender, subject, and the attachment byte for byte. */
static void test_message(void)
{
        char command[1024], expected[512];

        snprintf(command, sizeof command,
                 "python3 -c \"\n"
                 "import email, email.policy, hashlib\n"
                 "m = email.message_from_binary_file(open('%s/2.eml', 'rb'), "
                 "policy=email.policy.default)\n"
                 "a = next(m.iter_attachments())\n"
                 "print(m['From'], '|', m['To'], '|', m['Subject'], '|', a.get_filename(), '|', "
                 "a.get_content_type(), '|', hashlib.sha256(a.get_content()).hexdigest(), '|', "
                 "m['Message-ID'].count('@'))\"",
                 sink.dir);
        snprintf(expected, sizeof expected, "%s",
                 fixture_sql(f, "select 'Công ty Điện lực Hà Nội <hoadon@example.vn> | "
                                "ba@example.vn | Hóa đơn tiền điện ' || number || ' | ' || "
                                "number || '.pdf | application/pdf | ' || encode(a.digest, 'hex') "
                                "|| ' | 1' from billing.archive a join billing.invoice i using "
                                "(number) where account_id = 3 and form = 'pdf' order by i.seq "
                                "desc limit 1"));
        CU_ASSERT_STRING_EQUAL(output_of(command), expected);
        if (strcmp(output_of(command), expected) != 0)
                printf("\nexpected %s\ngot      %s\n", expected, output_of(command));
}

/* Six tries, then paper; a clerk may start over; an e-mail may come back later. */
static void test_retries(void)
{
        char json[96];

        for (int i = 0; i < 5; i++) {
                fixture_exec(f,
                             "update billing.delivery set next_at = now() where state = 'failed'");
                fixture_exec(f, "delete from core.job where type = 'invoice.deliver' and status = "
                                "'queued'");
                call("maker", "delivery.run", "{}", 202);
                fixture_drain(f);
        }
        CU_ASSERT_STRING_EQUAL(delivery(4, "state"), "email dead, print queued");
        CU_ASSERT_STRING_EQUAL(delivery(4, "attempts"), "email 6, print 0");
        snprintf(json, sizeof json, "{\"delivery\":%s}",
                 fixture_sql(f,
                             "select max(delivery_id) from billing.delivery where state = 'dead' "
                             "and address like 'later%'"));
        fixture_exec(f, "update billing.delivery set address = 'today@example.vn' where address "
                        "like 'later%'");
        call("stranger", "delivery.retry", json, 409);
        call("maker", "delivery.retry", json, 200);
        fixture_drain(f);
        call("maker", "delivery.retry", json, 409);
        CU_ASSERT_STRING_EQUAL(delivery(4, "state"), "email sent, print queued");
        snprintf(json, sizeof json, "{\"delivery\":%s,\"reason\":\"550 mailbox full\"}",
                 fixture_sql(f,
                             "select max(delivery_id) from billing.delivery where state = 'sent' "
                             "and address like 'ba@%'"));
        call("maker", "delivery.bounce", json, 200);
        CU_ASSERT_STRING_EQUAL(delivery(3, "state"), "email dead, print queued");
        CU_ASSERT_PTR_NOT_NULL(strstr(call("maker", "delivery.list", "{\"state\":\"dead\"}", 200),
                                      "\"550 mailbox full\""));
}

/* ---- printing ---- */

static const char *in_dir(const char *what)
{
        char command[1024];

        snprintf(command, sizeof command, "cd %s && %s", print_dir, what);
        return output_of(command);
}

static void test_print(void)
{
        int64_t paper = number("select count(*) from billing.delivery where channel = 'print' and "
                               "state = 'queued'");
        char job[32], command[256], expected[64];
        char *reply;

        fixture_exec(f, "update crm.premise set postcode = 'x'");
        reply = call("maker", "invoice.print", "{\"branch\":\"HN\",\"per_file\":5}", 202);
        snprintf(job, sizeof job, "%s", fixture_json(f, reply, "job_id"));
        fixture_drain(f);
        CU_ASSERT_TRUE(paper > 10);
        CU_ASSERT_EQUAL(number("select count(*) from billing.delivery where channel = 'print' and "
                               "state = 'queued'"),
                        0);
        snprintf(expected, sizeof expected, "%d", (int)(paper + 4) / 5);
        CU_ASSERT_STRING_EQUAL(in_dir("ls *.pdf | wc -l"), expected);
        CU_ASSERT_STRING_EQUAL(in_dir("ls *.part 2>/dev/null | wc -l"), "0");
        CU_ASSERT_STRING_EQUAL(in_dir("for f in *.pdf; do pdfinfo $f | awk '/^Pages/ {print $2}'; "
                                      "done | paste -sd+ | bc 2>/dev/null | head -1"),
                               in_dir("cat *.csv | grep -v ^number | wc -l"));
        /* The list says on which page an invoice begins. */
        snprintf(command, sizeof command,
                 "n=$(sed -n 4p print-%s-00001.pdf.csv | cut -d'\"' -f2); p=$(sed -n 4p "
                 "print-%s-00001.pdf.csv | cut -d, -f4); pdftotext -f $p -l $p print-%s-00001.pdf "
                 "- | grep -c $n",
                 job, job, job);
        CU_ASSERT_TRUE(atoi(in_dir(command)) >= 2);
        snprintf(expected, sizeof expected, "%d",
                 (int)number("select count(distinct number) from billing.delivery where channel = "
                             "'print' and receipt like 'print-%'"));
        CU_ASSERT_EQUAL(atoi(expected), paper);
        CU_ASSERT_EQUAL(number("select count(*) from billing.print_item"), 0);
}

/* A disk that refuses stops the job with a word; it goes on with the file it was at, prints nothing
 * twice and leaves nothing out. */
static void test_print_resumes(void)
{
        const char *last = fixture_sql(f, "select max(job_id) from core.job");
        long job = strtol(last, NULL, 10) + 1;
        char blocker[128], command[512], before[80];

        snprintf(blocker, sizeof blocker, "%s/print-%ld-00003.pdf.part", print_dir, job);
        CU_ASSERT_EQUAL_FATAL(mkdir(blocker, 0700), 0);
        call("maker", "invoice.print", "{\"branch\":\"HN\",\"per_file\":6,\"paper\":false}", 202);
        fixture_drain(f);
        snprintf(command, sizeof command,
                 "select status || ' ' || error from core.job where job_id = %ld", job);
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_sql(f, command), "failed "));
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_sql(f, command), "cannot be written"));
        snprintf(command, sizeof command,
                 "cat print-%ld-*.pdf | sha256sum; ls print-%ld-*.pdf | wc -l", job, job);
        snprintf(before, sizeof before, "%s", in_dir(command));
        CU_ASSERT_STRING_EQUAL(before + strlen(before) - 1, "2");
        CU_ASSERT_EQUAL(rmdir(blocker), 0);
        snprintf(command, sizeof command,
                 "update core.job set status = 'queued', attempts = 0, run_after = now() where "
                 "job_id = "
                 "%ld",
                 job);
        fixture_exec(f, command);
        call("maker", "delivery.run", "{}", 202); /* wakes the workers */
        fixture_drain(f);
        snprintf(command, sizeof command, "cat print-%ld-0000[12].pdf | sha256sum; echo 2", job);
        CU_ASSERT_STRING_EQUAL(in_dir(command), before);
        snprintf(command, sizeof command,
                 "cat print-%ld-*.csv | grep -v ^number | cut -d, -f1 | sort -u | wc -l", job);
        CU_ASSERT_EQUAL(atoi(in_dir(command)), 2 * CONTRACTS);
        snprintf(command, sizeof command, "cat print-%ld-*.csv | grep -vc ^number", job);
        CU_ASSERT_EQUAL(atoi(in_dir(command)), 2 * CONTRACTS);
}

/* Single files in a ZIP are the archive's bytes. */
static void test_zip(void)
{
        char job[32], command[512];
        char *reply = call("maker", "invoice.print",
                           "{\"branch\":\"HN\",\"format\":\"zip\",\"paper\":false,\"from\":"
                           "\"2026-01-01\",\"order\":\"account\"}",
                           202);

        snprintf(job, sizeof job, "%s", fixture_json(f, reply, "job_id"));
        fixture_drain(f);
        snprintf(command, sizeof command, "unzip -tq print-%s-00001.zip | grep -c 'No errors'",
                 job);
        CU_ASSERT_STRING_EQUAL(in_dir(command), "1");
        snprintf(command, sizeof command,
                 "unzip -p print-%s-00001.zip $(sed -n 2p print-%s-00001.zip.csv | cut -d'\"' "
                 "-f2).pdf | sha256sum | cut -c1-64",
                 job, job);
        CU_ASSERT_STRING_EQUAL(in_dir(command),
                               fixture_sql(f, "select encode(a.digest, 'hex') from billing.archive "
                                              "a join billing.invoice i using (number) where form "
                                              "= 'pdf' and account_id = 1 order by i.kind, i.seq "
                                              "limit 1"));
        CU_ASSERT_EQUAL(number("select count(*) from billing.archive where form = 'pdf'"),
                        2 * CONTRACTS);
}

/* ---- the archive ---- */

static void test_archive(void)
{
        struct buf a = BUF_INIT, b = BUF_INIT;
        char json[64], *reply;

        snprintf(json, sizeof json, "{\"number\":\"%s\"}",
                 fixture_sql(f, "select number from billing.invoice where account_id = 1 limit 1"));
        CU_ASSERT_EQUAL(host_call_as(fixture_host(f), "maker", "invoice.pdf", json, &a), 200);
        /* Even a program that draws otherwise hands out what was issued. */
        forge("update billing.invoice_template set document = jsonb_set(document, '{accent}', "
              "'\\\"#ff0000\\\"')");
        CU_ASSERT_EQUAL(host_call_as(fixture_host(f), "maker", "invoice.pdf", json, &b), 200);
        CU_ASSERT_TRUE(a.len == b.len && memcmp(a.p, b.p, a.len) == 0);
        buf_reset(&b);
        CU_ASSERT_EQUAL(host_call_as(fixture_host(f), "maker", "invoice.copy", json, &b), 200);
        CU_ASSERT_TRUE(b.len > 1000 && (a.len != b.len || memcmp(a.p, b.p, a.len) != 0));
        CU_ASSERT_TRUE(number("select count(*) from core.audit where what = 'invoice.copied'") ==
                       1);
        reply = call("maker", "invoice.verify", "{\"branch\":\"HN\"}", 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "faults"), "[]");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "documents"), "20");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "archived"), "20");
        forge("update billing.archive set document = set_byte(document, 500, 0) where seq = 3");
        reply = call("maker", "invoice.verify", "{\"branch\":\"HN\"}", 200);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "the archived bytes do not match"));
        snprintf(json, sizeof json, "{\"number\":\"%s\"}",
                 fixture_sql(f, "select number from billing.archive where seq = 3"));
        call("maker", "invoice.pdf", json, 409);
        call("stranger", "invoice.verify", "{\"branch\":\"XX\"}", 404);
        buf_deinit(&a);
        buf_deinit(&b);
}

static void close_all(void)
{
        char command[128];

        fixture_free(f);
        smtp_sink_close(&sink);
        snprintf(command, sizeof command, "rm -rf %s", print_dir);
        CU_ASSERT_EQUAL(system(command), 0);
}

HR_TESTS("delivery database", { "opens", open_host },
         { "templates: checked, approved by another, from a day on", test_templates },
         { "messages by rule", test_messages }, { "why the amount changed adds up", test_compare },
         { "previews", test_preview }, { "e-mail, app, paper", test_delivery },
         { "the message another reads", test_message }, { "tries, bounces", test_retries },
         { "print files", test_print }, { "printing goes on where it stopped", test_print_resumes },
         { "single files in a ZIP", test_zip }, { "archive, copies, verify", test_archive },
         { "closes", close_all })
