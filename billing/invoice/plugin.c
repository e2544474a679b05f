/* Plugin "invoice": numbers, frozen contents and the printed page. Invoices are made in the issuing
 * transaction by SQL (billing.on_issue); here they are listed, shown, printed and announced. */

#include <string.h>

#include "headrace/plugin.h"
#include "invoice_sql.h"
#include "render.h"

static const struct hr_host *host;

static enum hr_status init(const struct hr_host *h)
{
        host = h;
        return HR_OK;
}

static enum hr_status reply_doc(struct hr_call *call, const struct hr_rows *rows, const char *param)
{
        const char *doc;

        if (host->rows_count(rows) == 0)
                return host->reject(call, 404, "not_found", param, "Nothing is known under %s %s",
                                    param, host->param(call, param));
        doc = host->rows_text(rows, 0, "doc");
        host->reply_json(call, doc, strlen(doc));
        return HR_OK;
}

static enum hr_status query_doc(struct hr_call *call, const char *sql, size_t n,
                                const char *const names[], const char *missing)
{
        const char *params[12];
        struct hr_rows *rows;
        enum hr_status s;

        for (size_t i = 0; i < n; i++)
                params[i] = host->param(call, names[i]);
        s = host->query(call, sql, n, params, &rows);
        return s == HR_OK ? reply_doc(call, rows, missing) : s;
}

static enum hr_status op_list(struct hr_call *call)
{
        static const char *const names[] = { "account", "branch", "kind", "cursor", "limit" };

        return query_doc(call, sql_invoice_list, 5, names, "cursor");
}

static enum hr_status op_show(struct hr_call *call)
{
        static const char *const names[] = { "number" };

        return query_doc(call, sql_invoice_show, 1, names, "number");
}

static enum hr_status op_pdf(struct hr_call *call)
{
        const char *number = host->param(call, "number");
        struct buf pdf = BUF_INIT;
        struct hr_rows *rows;
        enum hr_status s = host->query(call, sql_invoice_pdf, 1, &number, &rows);
        int rc;

        if (s != HR_OK)
                return s;
        if (host->rows_count(rows) == 0)
                return host->reject(call, 404, "unknown_invoice", "number",
                                    "There is no invoice %s", number);
        if (host->rows_text(rows, 0, "intact")[0] != 't')
                return host->reject(call, 409, "invoice_altered", "number",
                                    "The stored contents of invoice %s do not match their hash; "
                                    "they were changed "
                                    "outside the program and are not printed",
                                    number);
        rc = invoice_render(&pdf, host->rows_text(rows, 0, "content"),
                            host->rows_text(rows, 0, "template"));
        if (rc == 0) {
                host->reply_file(call, "application/pdf", host->format(call, "%s.pdf", number),
                                 pdf.p, pdf.len);
        } else {
                host->log(call, HR_ERROR, "invoice %s cannot be printed: %s", number,
                          strerror(-rc));
                s = HR_FATAL;
        }
        buf_deinit(&pdf);
        return s;
}

static enum hr_status op_payee_set(struct hr_call *call)
{
        static const char *const names[] = { "branch", "name",     "address",     "tax_id",
                                             "phone",  "email",    "bank_name",   "iban",
                                             "bic",    "bank_bin", "bank_account" };

        return query_doc(call, sql_payee_set, 11, names, "branch");
}

static enum hr_status op_payee_show(struct hr_call *call)
{
        static const char *const names[] = { "branch" };

        return query_doc(call, sql_payee_show, 1, names, "branch");
}

/* The number was given when the bill was issued; this tells the rest of the world. */
static enum hr_status announce(struct hr_call *call, const struct hr_event *event, const char *kind,
                               const char *type)
{
        const char *params[] = { event->key, kind };
        struct hr_rows *rows;
        enum hr_status s = host->query(call, sql_invoice_of_bill, 2, params, &rows);

        if (s != HR_OK || host->rows_count(rows) == 0)
                return s;
        const char *number = host->rows_text(rows, 0, "number");

        return host->publish(
                call, type, number,
                host->format(call,
                             "{\"number\":\"%s\",\"bill\":%s,\"total\":%s,\"currency\":\"%s\"}",
                             number, event->key, host->rows_text(rows, 0, "total"),
                             host->rows_text(rows, 0, "currency")));
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

static const char *const needs[] = { "billrun", NULL };

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "invoice",
        .version = HEADRACE_VERSION,
        .summary = "Invoices: numbers, contents, PDF, payment codes",
        .needs = needs,
        .migrations = invoice_migrations,
        .operations = operations,
        .subscriptions = subscriptions,
        .init = init,
};
