/* Delivery: e-mails go out one a transaction, so that what was sent is known to be sent; what
 * failed waits longer each time. What the customer gets is what the archive keeps. */

#include <stdio.h>
#include <stdlib.h>

#include "invoice.h"
#include "invoice_sql.h"
#include "mail.h"

/* ---- starting ---- */

/* One job waits at most; @at is when, NULL for now. */
static enum hr_status wake(struct hr_call *call, const char *at)
{
        struct hr_rows *rows;
        int64_t job;
        enum hr_status s = invoice_host->query(call, sql_deliver_wake, 1, &at, &rows);

        if (s != HR_OK || invoice_host->rows_count(rows) == 0)
                return s;
        s = invoice_host->submit_job(call, "invoice.deliver", "{}", &job);
        if (s != HR_OK)
                return s;
        const char *params[] = { invoice_host->format(call, "%lld", (long long)job),
                                 invoice_host->rows_text(rows, 0, "at") };

        return invoice_host->query(call, sql_job_run_after, 2, params, NULL);
}

enum hr_status invoice_deliver_soon(struct hr_call *call, const char *number)
{
        struct hr_rows *rows;
        enum hr_status s = invoice_host->query(call, sql_deliver_wanted, 1, &number, &rows);

        return s == HR_OK && invoice_host->rows_count(rows) > 0 ? wake(call, NULL) : s;
}

/* ---- one delivery ---- */

/* The first line of a file that only the daemon can read. */
static void read_password(const char *path, char out[static 256])
{
        FILE *f = *path ? fopen(path, "r") : NULL;

        *out = '\0';
        if (f && fgets(out, 256, f))
                out[strcspn(out, "\r\n")] = '\0';
        if (f)
                fclose(f);
}

static enum mail_result send_mail(struct hr_call *call, const struct hr_rows *rows,
                                  const struct buf *pdf, char why[static MAIL_WHY_SIZE])
{
        const char *number = invoice_host->rows_text(rows, 0, "number");
        const char *title = invoice_host->rows_text(rows, 0, "title");
        const char *tls = invoice_host->config(call, "smtp_tls");
        char password[256];
        struct mail_server server = { .url = invoice_host->config(call, "smtp_url"),
                                      .user = invoice_host->config(call, "smtp_user"),
                                      .password = password,
                                      .tls = strcmp(tls, "no") != 0,
                                      .timeout_s = 60 };
        struct mail mail = {
                .from = invoice_host->config(call, "mail_from"),
                .from_name = invoice_host->rows_text(rows, 0, "payee"),
                .to = invoice_host->rows_text(rows, 0, "address"),
                .subject = invoice_host->format(call, "%s %s", title, number),
                .text = invoice_host->format(call, "%s\r\n\r\n%s %s\r\n\r\n%s\r\n",
                                             invoice_host->rows_text(rows, 0, "customer"), title,
                                             number, invoice_host->rows_text(rows, 0, "payee")),
                .id = invoice_host->format(call, "%s.%s", number,
                                           invoice_host->rows_text(rows, 0, "delivery_id")),
                .date = invoice_host->rows_int(rows, 0, "issued_s"),
                .parts = { { invoice_host->format(call, "%s.pdf", number), "application/pdf",
                             pdf->p, pdf->len } },
                .n_parts = 1
        };

        if (!invoice_host->rows_null(rows, 0, "ubl")) {
                struct mail_part *x = &mail.parts[mail.n_parts++];

                x->name = invoice_host->format(call, "%s.xml", number);
                x->type = "application/xml";
                x->data = invoice_host->rows_bytes(rows, 0, "ubl", &x->n);
        }
        if (!*server.url || !*mail.from) {
                snprintf(why, MAIL_WHY_SIZE,
                         "smtp_url or mail_from is not set in [plugin invoice]");
                return MAIL_LATER;
        }
        read_password(invoice_host->config(call, "smtp_password_file"), password);
        return mail_send(&server, &mail, why);
}

static enum hr_status record(struct hr_call *call, const struct hr_rows *rows,
                             enum mail_result result, const char *why)
{
        static const char *const outcomes[] = { "sent", "later", "never" };
        const char *number = invoice_host->rows_text(rows, 0, "number");
        const char *params[] = { invoice_host->rows_text(rows, 0, "delivery_id"), outcomes[result],
                                 result == MAIL_SENT ? "" : why, result == MAIL_SENT ? why : "" };
        struct hr_rows *after;
        enum hr_status s = invoice_host->query(call, sql_deliver_result, 4, params, &after);

        if (s != HR_OK || strcmp(invoice_host->rows_text(after, 0, "state"), "dead") != 0)
                return s;
        invoice_host->log(call, HR_WARN, "invoice %s cannot be delivered by %s: %s", number,
                          invoice_host->rows_text(rows, 0, "channel"), why);
        return invoice_host->publish(call, "delivery.dead", number,
                                     invoice_host->format(call, "{\"number\":\"%s\"}", number));
}

static enum hr_status deliver_one(struct hr_call *call, const struct hr_rows *rows)
{
        const char *number = invoice_host->rows_text(rows, 0, "number");
        char why[MAIL_WHY_SIZE] = "";
        enum mail_result result = MAIL_SENT;
        struct buf pdf = BUF_INIT;
        enum hr_status s;

        /* One altered invoice does not hold up the others. */
        if (invoice_host->rows_text(rows, 0, "intact")[0] != 't')
                return record(call, rows, MAIL_NEVER,
                              "the stored contents do not match their hash");
        s = invoice_document(call, number, true, &pdf);
        if (s == HR_OK && strcmp(invoice_host->rows_text(rows, 0, "channel"), "email") == 0)
                result = send_mail(call, rows, &pdf, why);
        else if (s == HR_OK)
                s = invoice_host->publish(
                        call, "invoice.available", number,
                        invoice_host->format(call, "{\"number\":\"%s\"}", number));
        buf_deinit(&pdf);
        if (s == HR_OK)
                s = record(call, rows, result, why);
        return s;
}

enum hr_status invoice_job_deliver(struct hr_call *call, struct hr_job *job)
{
        struct hr_rows *rows;
        int64_t done = 0;
        enum hr_status s;

        while ((s = invoice_host->query(call, sql_deliver_next, 0, NULL, &rows)) == HR_OK &&
               invoice_host->rows_count(rows) > 0) {
                s = deliver_one(call, rows);
                if (s == HR_OK)
                        s = invoice_host->job_commit(call, job, "{}", ++done, 0);
                if (s != HR_OK)
                        return s;
        }
        /* What failed is tried again by a later job. */
        if (s == HR_OK)
                s = invoice_host->query(call, sql_deliver_counts, 0, NULL, &rows);
        if (s == HR_OK && !invoice_host->rows_null(rows, 0, "next_at"))
                s = wake(call, invoice_host->rows_text(rows, 0, "next_at"));
        return s;
}

/* ---- operations ---- */

enum hr_status invoice_op_delivery_list(struct hr_call *call)
{
        static const char *const names[] = { "branch", "state",  "channel",
                                             "number", "cursor", "limit" };

        return invoice_query_doc(call, sql_delivery_list, 6, names, "cursor");
}

enum hr_status invoice_op_delivery_prefer(struct hr_call *call)
{
        static const char *const names[] = { "account", "channel", "address" };

        return invoice_query_doc(call, sql_delivery_prefer, 3, names, "account");
}

static enum hr_status change(struct hr_call *call, const char *sql, size_t n,
                             const char *const params[], const char *not_possible)
{
        struct hr_rows *rows;
        const char *doc;
        enum hr_status s = invoice_host->query(call, sql, n, params, &rows);

        if (s != HR_OK)
                return s;
        if (invoice_host->rows_count(rows) == 0)
                return invoice_host->reject(call, 409, "not_possible", "delivery", "%s",
                                            not_possible);
        s = invoice_deliver_soon(call, invoice_host->rows_text(rows, 0, "number"));
        if (s != HR_OK)
                return s;
        doc = invoice_host->rows_text(rows, 0, "doc");
        invoice_host->reply_json(call, doc, strlen(doc));
        return HR_OK;
}

enum hr_status invoice_op_delivery_retry(struct hr_call *call)
{
        const char *delivery = invoice_host->param(call, "delivery");

        return change(call, sql_delivery_retry, 1, &delivery,
                      "There is no such delivery that failed; only those are tried again");
}

enum hr_status invoice_op_delivery_bounce(struct hr_call *call)
{
        const char *params[] = { invoice_host->param(call, "delivery"),
                                 invoice_host->param(call, "reason") };

        return change(call, sql_delivery_bounce, 2, params,
                      "There is no such e-mail that was sent; only those can come back");
}

enum hr_status invoice_op_delivery_run(struct hr_call *call)
{
        enum hr_status s = wake(call, NULL);

        if (s == HR_OK) {
                invoice_host->reply_json(call, "{\"started\":true}", 16);
                invoice_host->reply_status(call, 202);
        }
        return s;
}

const struct hr_param invoice_delivery_list_params[] = {
        { "branch", HR_TEXT, HR_QUERY, false, "Only this branch's" },
        { "state", HR_TEXT, HR_QUERY, false, "Only in this state", "queued|sent|failed|dead" },
        { "channel", HR_TEXT, HR_QUERY, false, "Only this way", "print|email|app" },
        { "number", HR_TEXT, HR_QUERY, false, "Only of this invoice" },
        { "cursor", HR_INT, HR_QUERY, false, "`next` of the last page" },
        { "limit", HR_INT, HR_QUERY, false, "At most this many", NULL, 1, 1000 },
        { 0 },
};

const struct hr_param invoice_delivery_prefer_params[] = {
        { "account", HR_TEXT, HR_PATH, true, "Account number" },
        { "channel", HR_TEXT, HR_BODY, true, "How its invoices are delivered", "print|email|app" },
        { "address", HR_TEXT, HR_BODY, false, "E-mail address, if not the customer's" },
        { 0 },
};

const struct hr_param invoice_delivery_params[] = {
        { "delivery", HR_INT, HR_PATH, true, "Number of the delivery" },
        { 0 },
};

const struct hr_param invoice_delivery_bounce_params[] = {
        { "delivery", HR_INT, HR_PATH, true, "Number of the delivery" },
        { "reason", HR_TEXT, HR_BODY, true, "What the returned mail says", NULL, 1, 200 },
        { 0 },
};
