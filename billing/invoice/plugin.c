/* Plugin "invoice": numbers, frozen contents and the printed page. Invoices are made in the issuing
 * transaction by SQL (billing.on_issue); here they are listed, shown, printed and announced. */

#include <curl/curl.h>
#include <string.h>

#include "invoice.h"
#include "invoice_sql.h"
#include "render.h"

const struct hr_host *invoice_host;

static enum hr_status init(const struct hr_host *h)
{
        invoice_host = h;
        return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? HR_OK : HR_FATAL;
}

static enum hr_status reply_doc(struct hr_call *call, const struct hr_rows *rows, const char *param)
{
        const char *doc;

        if (invoice_host->rows_count(rows) == 0)
                return invoice_host->reject(call, 404, "not_found", param,
                                            "Nothing is known under %s %s", param,
                                            invoice_host->param(call, param));
        doc = invoice_host->rows_text(rows, 0, "doc");
        invoice_host->reply_json(call, doc, strlen(doc));
        return HR_OK;
}

enum hr_status invoice_query_doc(struct hr_call *call, const char *sql, size_t n,
                                 const char *const names[], const char *missing)
{
        const char *params[12];
        struct hr_rows *rows;
        enum hr_status s;

        for (size_t i = 0; i < n; i++)
                params[i] = invoice_host->param(call, names[i]);
        s = invoice_host->query(call, sql, n, params, &rows);
        return s == HR_OK ? reply_doc(call, rows, missing) : s;
}

static enum hr_status op_list(struct hr_call *call)
{
        static const char *const names[] = { "account", "branch", "kind", "cursor", "limit" };

        return invoice_query_doc(call, sql_invoice_list, 5, names, "cursor");
}

static enum hr_status op_show(struct hr_call *call)
{
        static const char *const names[] = { "number" };

        return invoice_query_doc(call, sql_invoice_show, 1, names, "number");
}

enum hr_status invoice_archive(struct hr_call *call, const char *number, const struct buf *pdf)
{
        struct buf hex = BUF_INIT;
        enum hr_status s;

        buf_put_hex(&hex, pdf->p, pdf->len);
        const char *params[] = { number, buf_cstr(&hex) };

        s = hex.failed ? HR_RETRY : invoice_host->query(call, sql_archive_pdf, 2, params, NULL);
        buf_deinit(&hex);
        return s;
}

static enum hr_status draw(struct hr_call *call, const char *number, const struct hr_rows *rows,
                           const char *mark, struct buf *out)
{
        int rc = invoice_render(out, invoice_host->rows_text(rows, 0, "content"),
                                invoice_host->rows_text(rows, 0, "template"), mark);

        if (rc == 0)
                return HR_OK;
        invoice_host->log(call, HR_ERROR, "invoice %s cannot be printed: %s", number,
                          strerror(-rc));
        return HR_FATAL;
}

static enum hr_status load(struct hr_call *call, const char *number, struct hr_rows **rows)
{
        enum hr_status s = invoice_host->query(call, sql_invoice_pdf, 1, &number, rows);

        if (s != HR_OK)
                return s;
        if (invoice_host->rows_count(*rows) == 0)
                return invoice_host->reject(call, 404, "unknown_invoice", "number",
                                            "There is no invoice %s", number);
        if (invoice_host->rows_text(*rows, 0, "intact")[0] != 't' ||
            invoice_host->rows_text(*rows, 0, "archived_intact")[0] == 'f')
                return invoice_host->reject(
                        call, 409, "invoice_altered", "number",
                        "The stored contents of invoice %s do not match their hash; "
                        "they were changed "
                        "outside the program and are not printed",
                        number);
        return HR_OK;
}

enum hr_status invoice_document(struct hr_call *call, const char *number, bool keep,
                                struct buf *out)
{
        struct hr_rows *rows;
        enum hr_status s = load(call, number, &rows);

        if (s != HR_OK)
                return s;
        if (!invoice_host->rows_null(rows, 0, "archived")) {
                size_t n;
                const void *pdf = invoice_host->rows_bytes(rows, 0, "archived", &n);

                buf_put(out, pdf, n);
                return out->failed ? HR_RETRY : HR_OK;
        }
        s = draw(call, number, rows, NULL, out);
        return s == HR_OK && keep ? invoice_archive(call, number, out) : s;
}

static enum hr_status op_pdf(struct hr_call *call)
{
        const char *number = invoice_host->param(call, "number");
        struct buf pdf = BUF_INIT;
        enum hr_status s = invoice_document(call, number, false, &pdf);

        if (s == HR_OK)
                invoice_host->reply_file(call, "application/pdf",
                                         invoice_host->format(call, "%s.pdf", number), pdf.p,
                                         pdf.len);
        buf_deinit(&pdf);
        return s;
}

/* A duplicate says that it is one, and who made it is in the audit trail. */
static enum hr_status op_copy(struct hr_call *call)
{
        const char *number = invoice_host->param(call, "number");
        struct buf pdf = BUF_INIT;
        struct hr_rows *rows;
        enum hr_status s = load(call, number, &rows);

        if (s == HR_OK)
                s = draw(call, number, rows, "copy", &pdf);
        if (s == HR_OK)
                s = invoice_host->audit(call, "invoice.copied", number, "{}");
        if (s == HR_OK)
                invoice_host->reply_file(call, "application/pdf",
                                         invoice_host->format(call, "%s-copy.pdf", number), pdf.p,
                                         pdf.len);
        buf_deinit(&pdf);
        return s;
}

static enum hr_status op_verify(struct hr_call *call)
{
        static const char *const names[] = { "branch", "from", "until", "number" };

        return invoice_query_doc(call, sql_invoice_verify, 4, names, "branch");
}

static enum hr_status op_payee_set(struct hr_call *call)
{
        static const char *const names[] = { "branch", "name",     "address",     "tax_id",
                                             "phone",  "email",    "bank_name",   "iban",
                                             "bic",    "bank_bin", "bank_account" };

        return invoice_query_doc(call, sql_payee_set, 11, names, "branch");
}

static enum hr_status op_payee_show(struct hr_call *call)
{
        static const char *const names[] = { "branch" };

        return invoice_query_doc(call, sql_payee_show, 1, names, "branch");
}

/* The number was given when the bill was issued; this tells the rest of the world. */
static enum hr_status announce(struct hr_call *call, const struct hr_event *event, const char *kind,
                               const char *type)
{
        const char *params[] = { event->key, kind };
        struct hr_rows *rows;
        enum hr_status s = invoice_host->query(call, sql_invoice_of_bill, 2, params, &rows);

        if (s != HR_OK || invoice_host->rows_count(rows) == 0)
                return s;
        const char *number = invoice_host->rows_text(rows, 0, "number");

        s = invoice_host->publish(
                call, type, number,
                invoice_host->format(
                        call, "{\"number\":\"%s\",\"bill\":%s,\"total\":%s,\"currency\":\"%s\"}",
                        number, event->key, invoice_host->rows_text(rows, 0, "total"),
                        invoice_host->rows_text(rows, 0, "currency")));
        return s == HR_OK ? invoice_deliver_soon(call, number) : s;
}

static enum hr_status on_bill_issued(struct hr_call *call, const struct hr_event *event)
{
        return announce(call, event, "invoice", "invoice.issued");
}

static enum hr_status on_bill_reversed(struct hr_call *call, const struct hr_event *event)
{
        return announce(call, event, "credit_note", "credit_note.issued");
}

static const struct hr_param list_params[] = {
        { "account", HR_TEXT, HR_QUERY, false, "Only this account's" },
        { "branch", HR_TEXT, HR_QUERY, false, "Only this branch's" },
        { "kind", HR_TEXT, HR_QUERY, false, "Only this kind", "invoice|credit_note" },
        { "cursor", HR_TEXT, HR_QUERY, false, "`next` of the last page" },
        { "limit", HR_INT, HR_QUERY, false, "At most this many", NULL, 1, 1000 },
        { 0 },
};

static const struct hr_param verify_params[] = {
        { "branch", HR_TEXT, HR_QUERY, false, "Only this branch's" },
        { "from", HR_DATE, HR_QUERY, false, "Issued on this day or later" },
        { "until", HR_DATE, HR_QUERY, false, "Issued on this day or earlier" },
        { "number", HR_TEXT, HR_QUERY, false, "Only this invoice" },
        { 0 },
};

static const struct hr_param number_params[] = {
        { "number", HR_TEXT, HR_PATH, true, "Invoice number" },
        { 0 },
};

static const struct hr_param payee_params[] = {
        { "branch", HR_TEXT, HR_PATH, true, "Branch code" },
        { "name", HR_TEXT, HR_BODY, true, "Name as the bank knows it" },
        { "address", HR_TEXT, HR_BODY, false, "Postal address" },
        { "tax_id", HR_TEXT, HR_BODY, false, "Tax number" },
        { "phone", HR_TEXT, HR_BODY, false, "Customer service" },
        { "email", HR_TEXT, HR_BODY, false, "Customer service" },
        { "bank_name", HR_TEXT, HR_BODY, false, "Name of the bank" },
        { "iban", HR_TEXT, HR_BODY, false, "IBAN without blanks, for EPC codes" },
        { "bic", HR_TEXT, HR_BODY, false, "BIC" },
        { "bank_bin", HR_TEXT, HR_BODY, false, "Six digits of the bank, for VietQR codes" },
        { "bank_account", HR_TEXT, HR_BODY, false, "Account number, for VietQR codes" },
        { 0 },
};

static const struct hr_param branch_params[] = {
        { "branch", HR_TEXT, HR_PATH, true, "Branch code" },
        { 0 },
};

static const struct hr_param no_params[] = {
        { 0 },
};

static const struct hr_operation operations[] = {
        { "invoice.list", "invoice.read", "GET", "/v1/invoices", "invoice list",
          "Invoices and credit notes", list_params, HR_OP_READ, op_list,
          "items:number,kind,account,party,issued_at,due,total,open,currency" },
        { "invoice.show", "invoice.read", "GET", "/v1/invoices/{number}", "invoice show NUMBER",
          "An invoice as it was issued, and what is still open", number_params, HR_OP_READ,
          op_show },
        { "invoice.pdf", "invoice.read", "GET", "/v1/invoices/{number}/pdf", "invoice pdf NUMBER",
          "The printed invoice; the same bytes each time", number_params, HR_OP_READ | HR_OP_FILE,
          op_pdf },
        { "invoice.copy", "invoice.read", "POST", "/v1/invoices/{number}/copy",
          "invoice copy NUMBER", "A duplicate of the printed invoice, marked as one and audited",
          number_params, HR_OP_WRITE | HR_OP_FILE, op_copy },
        { "invoice.verify", "invoice.read", "GET", "/v1/invoice-archive/verify", "invoice verify",
          "Whether every issued document is still what it was", verify_params, HR_OP_READ,
          op_verify, "faults:number,form,fault" },
        { "invoice.preview", "invoice.read", "GET", "/v1/invoice-templates/preview",
          "invoice preview", "A draft of a template or a bill not yet issued, as it would look",
          invoice_preview_params, HR_OP_READ | HR_OP_FILE, invoice_op_preview },
        { "invoice.print", "invoice.write", "POST", "/v1/invoice-prints", "invoice print",
          "Print many invoices into files, in the postman's order", invoice_print_params,
          HR_OP_WRITE, invoice_op_print },
        { "template.list", "invoice.read", "GET", "/v1/invoice-templates", "template list",
          "Invoice templates, and drafts waiting for a second person", invoice_template_list_params,
          HR_OP_READ, invoice_op_template_list,
          "items:class,language,version,valid_from,created_by,approved_by" },
        { "template.show", "invoice.read", "GET", "/v1/invoice-templates/{class}/{language}",
          "template show CLASS LANGUAGE", "An invoice template as a document",
          invoice_template_show_params, HR_OP_READ, invoice_op_template_show },
        { "template.draft", "template.write", "POST", "/v1/invoice-templates", "template draft",
          "Propose a version of an invoice template; it is checked", invoice_template_draft_params,
          HR_OP_WRITE, invoice_op_template_draft },
        { "template.approve", "template.approve", "POST",
          "/v1/invoice-template-drafts/{draft}/approve", "template approve DRAFT",
          "Put a draft in force from its day; by a second person", invoice_draft_params,
          HR_OP_WRITE, invoice_op_template_approve },
        { "template.withdraw", "template.write", "POST",
          "/v1/invoice-template-drafts/{draft}/withdraw", "template withdraw DRAFT",
          "Give up a draft", invoice_draft_params, HR_OP_WRITE, invoice_op_template_withdraw },
        { "message.add", "template.write", "POST", "/v1/invoice-messages", "message add",
          "A message printed on invoices by rule", invoice_message_params, HR_OP_WRITE,
          invoice_op_message_add },
        { "message.list", "invoice.read", "GET", "/v1/invoice-messages", "message list",
          "Messages printed on invoices", invoice_message_list_params, HR_OP_READ,
          invoice_op_message_list, "items:message,branch,language,class,from,until,rule,body" },
        { "message.end", "template.write", "DELETE", "/v1/invoice-messages/{message}",
          "message end MESSAGE", "Print a message no longer", invoice_message_end_params,
          HR_OP_WRITE, invoice_op_message_end },
        { "delivery.list", "invoice.read", "GET", "/v1/deliveries", "delivery list",
          "How invoices reach their customers, and what failed", invoice_delivery_list_params,
          HR_OP_READ, invoice_op_delivery_list,
          "items:delivery,number,channel,address,state,attempts,reason" },
        { "delivery.prefer", "invoice.write", "PUT", "/v1/accounts/{account}/delivery",
          "delivery prefer ACCOUNT", "How an account's invoices are delivered",
          invoice_delivery_prefer_params, HR_OP_WRITE, invoice_op_delivery_prefer },
        { "delivery.retry", "invoice.write", "POST", "/v1/deliveries/{delivery}/retry",
          "delivery retry DELIVERY", "Try again what failed", invoice_delivery_params, HR_OP_WRITE,
          invoice_op_delivery_retry },
        { "delivery.bounce", "invoice.write", "POST", "/v1/deliveries/{delivery}/bounce",
          "delivery bounce DELIVERY", "An e-mail came back: on paper instead",
          invoice_delivery_bounce_params, HR_OP_WRITE, invoice_op_delivery_bounce },
        { "delivery.run", "invoice.write", "POST", "/v1/deliveries/run", "delivery run",
          "Deliver now what is due", no_params, HR_OP_WRITE, invoice_op_delivery_run },
        { "payee.set", "payee.write", "PUT", "/v1/branches/{branch}/payee", "payee set BRANCH",
          "Who is paid, as printed on the branch's invoices", payee_params, HR_OP_WRITE,
          op_payee_set },
        { "payee.show", "invoice.read", "GET", "/v1/branches/{branch}/payee", "payee show BRANCH",
          "Who is paid on the branch's invoices", branch_params, HR_OP_READ, op_payee_show },
        { 0 },
};

static const struct hr_subscription subscriptions[] = {
        { "bill.issued", on_bill_issued },
        { "bill.reversed", on_bill_reversed },
        { 0 },
};

static const struct hr_job_type jobs[] = {
        { "invoice.print", "invoice.write", "Print many invoices into files", invoice_job_print },
        { "invoice.deliver", "invoice.read", "Send invoices by e-mail and to the app",
          invoice_job_deliver },
        { 0 },
};

static const struct hr_config_key config[] = {
        { "print_dir", "/var/lib/headrace/print", "Folder of print files" },
        { "single_operator", "no", "Whether the author of a template may release it" },
        { "smtp_url", "", "Mail server, such as smtp://mail.example.com:587; empty: no e-mail" },
        { "smtp_user", "", "Login at the mail server" },
        { "smtp_password_file", "", "File with its password, such as a systemd credential" },
        { "smtp_tls", "yes", "no: send without encryption when the server has none" },
        { "mail_from", "", "Sender of e-mails, such as invoices@example.com" },
        { 0 },
};

static const char *const needs[] = { "billrun", NULL };

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "invoice",
        .version = HEADRACE_VERSION,
        .summary = "Invoices: numbers, contents, templates, PDF, printing, delivery, archive",
        .needs = needs,
        .config = config,
        .migrations = invoice_migrations,
        .operations = operations,
        .subscriptions = subscriptions,
        .jobs = jobs,
        .init = init,
};
