/* Plugin "einvoice": UBL documents of issued invoices, made once, kept in the archive, and their
 * way through sending, acceptance or rejection. */

#include <errno.h>
#include <string.h>

#include "einvoice_sql.h"
#include "headrace/plugin.h"
#include "ubl.h"

static const struct hr_host *host;

static enum hr_status init(const struct hr_host *h)
{
        host = h;
        return HR_OK;
}

static enum hr_status query_doc(struct hr_call *call, const char *sql, size_t n,
                                const char *const names[], const char *missing)
{
        const char *params[16], *doc;
        struct hr_rows *rows;
        enum hr_status s;

        for (size_t i = 0; i < n; i++)
                params[i] = host->param(call, names[i]);
        s = host->query(call, sql, n, params, &rows);
        if (s != HR_OK)
                return s;
        if (host->rows_count(rows) == 0)
                return host->reject(call, 404, "not_found", missing, "Nothing is known under %s %s",
                                    missing, host->param(call, missing));
        doc = host->rows_text(rows, 0, "doc");
        host->reply_json(call, doc, strlen(doc));
        return HR_OK;
}

/* ---- making ---- */

static enum hr_status keep(struct hr_call *call, const char *number, const char *profile,
                           const struct buf *xml, const char *why)
{
        struct buf hex = BUF_INIT;
        enum hr_status s;

        if (!why)
                buf_put_hex(&hex, xml->p, xml->len);
        const char *params[] = { number, profile, why ? NULL : buf_cstr(&hex), why,
                                 host->actor(call) };

        s = hex.failed ? HR_RETRY : host->query(call, sql_einvoice_put, 5, params, NULL);
        buf_deinit(&hex);
        if (s != HR_OK)
                return s;
        return host->publish(call, why ? "einvoice.invalid" : "einvoice.made", number,
                             host->format(call, "{\"number\":\"%s\"}", number));
}

/* A document that cannot be made is a state with its reason, not an error: it waits for the branch
 * or the buyer's data to be mended. */
static enum hr_status make(struct hr_call *call, const struct hr_rows *rows, const char *number)
{
        const char *profile = host->rows_text(rows, 0, "profile");
        struct buf xml = BUF_INIT;
        char why[EINVOICE_WHY_SIZE];
        enum hr_status s;
        int rc;

        if (host->rows_text(rows, 0, "intact")[0] != 't')
                return keep(call, number, profile, NULL,
                            "The stored contents of the invoice do not match their hash");
        rc = einvoice_ubl(&xml, host->rows_text(rows, 0, "content"),
                          host->rows_text(rows, 0, "settings"), why);
        s = rc == -ENOMEM ? HR_RETRY : keep(call, number, profile, &xml, rc < 0 ? why : NULL);
        buf_deinit(&xml);
        return s;
}

static bool open_state(const char *state)
{
        return !*state || strcmp(state, "invalid") == 0;
}

static enum hr_status op_make(struct hr_call *call)
{
        static const char *const names[] = { "number" };
        const char *number = host->param(call, "number");
        struct hr_rows *rows;
        enum hr_status s = host->query(call, sql_einvoice_source, 1, &number, &rows);

        if (s != HR_OK)
                return s;
        if (host->rows_count(rows) == 0)
                return host->reject(call, 404, "unknown_invoice", "number",
                                    "There is no invoice %s", number);
        if (host->rows_null(rows, 0, "settings"))
                return host->reject(call, 409, "no_seller", NULL,
                                    "The branch has said nothing about its e-invoices; set it with "
                                    "`einvoice seller` first");
        if (open_state(host->rows_text(rows, 0, "state"))) {
                s = make(call, rows, number);
                if (s != HR_OK)
                        return s;
        }
        return query_doc(call, sql_einvoice_show, 1, names, "number");
}

static enum hr_status on_issued(struct hr_call *call, const struct hr_event *event)
{
        struct hr_rows *rows;
        enum hr_status s = host->query(call, sql_einvoice_source, 1, &event->key, &rows);

        if (s != HR_OK || host->rows_count(rows) == 0 || host->rows_null(rows, 0, "settings") ||
            host->rows_text(rows, 0, "wanted")[0] != 't' ||
            !open_state(host->rows_text(rows, 0, "state")))
                return s;
        return make(call, rows, event->key);
}

/* ---- the rest ---- */

static enum hr_status op_show(struct hr_call *call)
{
        static const char *const names[] = { "number" };

        return query_doc(call, sql_einvoice_show, 1, names, "number");
}

static enum hr_status op_list(struct hr_call *call)
{
        static const char *const names[] = { "branch", "state", "cursor", "limit" };

        return query_doc(call, sql_einvoice_list, 4, names, "cursor");
}

static enum hr_status op_xml(struct hr_call *call)
{
        const char *number = host->param(call, "number");
        const void *xml;
        struct hr_rows *rows;
        size_t n;
        enum hr_status s = host->query(call, sql_einvoice_xml, 1, &number, &rows);

        if (s != HR_OK)
                return s;
        if (host->rows_count(rows) == 0)
                return host->reject(call, 404, "no_einvoice", "number",
                                    "There is no e-invoice of %s; make it first", number);
        if (host->rows_text(rows, 0, "intact")[0] != 't')
                return host->reject(call, 409, "einvoice_altered", "number",
                                    "The archived e-invoice of %s does not match its hash; it was "
                                    "changed outside the program and is not handed out",
                                    number);
        xml = host->rows_bytes(rows, 0, "document", &n);
        host->reply_file(call, "application/xml", host->format(call, "%s.xml", number), xml, n);
        return HR_OK;
}

static enum hr_status op_mark(struct hr_call *call)
{
        static const char *const names[] = { "number" };
        const char *number = host->param(call, "number"), *state = host->param(call, "state");
        const char *reason = host->param(call, "reason");
        const char *params[] = { number, state, reason, host->param(call, "receipt"),
                                 host->actor(call) };
        struct hr_rows *rows;
        enum hr_status s;

        if (strcmp(state, "rejected") == 0 && (!reason || !*reason))
                return host->reject(call, 422, "reason_missing", "reason",
                                    "A rejection needs its reason, best with the rule's number");
        s = host->query(call, sql_einvoice_mark, 5, params, &rows);
        if (s != HR_OK)
                return s;
        if (host->rows_count(rows) == 0)
                return host->reject(call, 404, "no_einvoice", "number",
                                    "There is no e-invoice of %s; make it first", number);
        s = host->publish(call, host->format(call, "einvoice.%s", state), number,
                          host->format(call, "{\"number\":\"%s\"}", number));
        return s == HR_OK ? query_doc(call, sql_einvoice_show, 1, names, "number") : s;
}

static enum hr_status op_seller_set(struct hr_call *call)
{
        static const char *const names[] = { "branch",   "profile",  "everyone",        "street",
                                             "city",     "postcode", "country",         "vat_id",
                                             "legal_id", "endpoint", "endpoint_scheme", "vat_codes",
                                             "untaxed" };

        return query_doc(call, sql_seller_set, 13, names, "branch");
}

static enum hr_status op_seller_show(struct hr_call *call)
{
        static const char *const names[] = { "branch" };

        return query_doc(call, sql_seller_show, 1, names, "branch");
}

static enum hr_status op_buyer_set(struct hr_call *call)
{
        static const char *const names[] = {
                "account",  "profile",  "country",         "vat_id",
                "legal_id", "endpoint", "endpoint_scheme", "reference"
        };

        return query_doc(call, sql_buyer_set, 8, names, "account");
}

static enum hr_status op_buyer_show(struct hr_call *call)
{
        static const char *const names[] = { "account" };

        return query_doc(call, sql_buyer_show, 1, names, "account");
}

static const struct hr_param number_params[] = {
        { "number", HR_TEXT, HR_PATH, true, "Invoice number" },
        { 0 },
};

static const struct hr_param list_params[] = {
        { "branch", HR_TEXT, HR_QUERY, false, "Only this branch's" },
        { "state", HR_TEXT, HR_QUERY, false, "Only in this state",
          "invalid|made|sent|accepted|rejected" },
        { "cursor", HR_TEXT, HR_QUERY, false, "`next` of the last page" },
        { "limit", HR_INT, HR_QUERY, false, "At most this many", NULL, 1, 1000 },
        { 0 },
};

static const struct hr_param mark_params[] = {
        { "number", HR_TEXT, HR_PATH, true, "Invoice number" },
        { "state", HR_TEXT, HR_BODY, true, "What happened to it", "sent|accepted|rejected" },
        { "reason", HR_TEXT, HR_BODY, false, "Why it was rejected, with the rule" },
        { "receipt", HR_TEXT, HR_BODY, false, "Receipt of the network or authority" },
        { 0 },
};

static const struct hr_param seller_params[] = {
        { "branch", HR_TEXT, HR_PATH, true, "Branch code" },
        { "profile", HR_TEXT, HR_BODY, false, "Rules to follow", "en16931|peppol" },
        { "everyone", HR_BOOL, HR_BODY, false,
          "E-invoices of all accounts, not only of those set" },
        { "street", HR_TEXT, HR_BODY, false, "Street and number" },
        { "city", HR_TEXT, HR_BODY, false, "City" },
        { "postcode", HR_TEXT, HR_BODY, false, "Postcode" },
        { "country", HR_TEXT, HR_BODY, true, "Two capital letters" },
        { "vat_id", HR_TEXT, HR_BODY, false, "VAT identifier with its country's prefix" },
        { "legal_id", HR_TEXT, HR_BODY, false, "Number in the company register" },
        { "endpoint", HR_TEXT, HR_BODY, false, "Electronic address" },
        { "endpoint_scheme", HR_TEXT, HR_BODY, false, "Its scheme, such as 0088 or EM" },
        { "vat_codes", HR_TEXT, HR_BODY, false,
          "How the codes of taxes that are VAT begin, with commas" },
        { "untaxed", HR_JSON, HR_BODY, false,
          "category, reason and reason_code of lines without VAT" },
        { 0 },
};

static const struct hr_param branch_params[] = {
        { "branch", HR_TEXT, HR_PATH, true, "Branch code" },
        { 0 },
};

static const struct hr_param buyer_params[] = {
        { "account", HR_TEXT, HR_PATH, true, "Account number" },
        { "profile", HR_TEXT, HR_BODY, false, "Rules to follow, if not the branch's",
          "en16931|peppol" },
        { "country", HR_TEXT, HR_BODY, false, "Two capital letters, if not the branch's" },
        { "vat_id", HR_TEXT, HR_BODY, false, "VAT identifier with its country's prefix" },
        { "legal_id", HR_TEXT, HR_BODY, false, "Number in the company register" },
        { "endpoint", HR_TEXT, HR_BODY, false, "Electronic address" },
        { "endpoint_scheme", HR_TEXT, HR_BODY, false, "Its scheme, such as 0088 or EM" },
        { "reference", HR_TEXT, HR_BODY, false, "What the buyer wants to read on every invoice" },
        { 0 },
};

static const struct hr_param account_params[] = {
        { "account", HR_TEXT, HR_PATH, true, "Account number" },
        { 0 },
};

static const struct hr_operation operations[] = {
        { "einvoice.list", "invoice.read", "GET", "/v1/einvoices", "einvoice list",
          "E-invoices and their state", list_params, HR_OP_READ, op_list,
          "items:number,kind,party,profile,state,reason,changed_at" },
        { "einvoice.make", "invoice.write", "POST", "/v1/invoices/{number}/einvoice",
          "einvoice make NUMBER", "Make the UBL document of an invoice, if there is none",
          number_params, HR_OP_WRITE, op_make },
        { "einvoice.show", "invoice.read", "GET", "/v1/invoices/{number}/einvoice",
          "einvoice show NUMBER", "State and history of an e-invoice", number_params, HR_OP_READ,
          op_show },
        { "einvoice.xml", "invoice.read", "GET", "/v1/invoices/{number}/ubl", "einvoice xml NUMBER",
          "The UBL document as it was archived", number_params, HR_OP_READ | HR_OP_FILE, op_xml },
        { "einvoice.mark", "invoice.write", "POST", "/v1/invoices/{number}/einvoice/state",
          "einvoice mark NUMBER", "Record that an e-invoice was sent, accepted or rejected",
          mark_params, HR_OP_WRITE, op_mark },
        { "einvoice.seller.set", "payee.write", "PUT", "/v1/branches/{branch}/einvoice",
          "einvoice seller BRANCH", "What the branch's e-invoices say about the seller",
          seller_params, HR_OP_WRITE, op_seller_set },
        { "einvoice.seller.show", "invoice.read", "GET", "/v1/branches/{branch}/einvoice",
          "einvoice seller-show BRANCH", "What the branch's e-invoices say about the seller",
          branch_params, HR_OP_READ, op_seller_show },
        { "einvoice.buyer.set", "invoice.write", "PUT", "/v1/accounts/{account}/einvoice",
          "einvoice buyer ACCOUNT", "The account wants e-invoices, and under which address",
          buyer_params, HR_OP_WRITE, op_buyer_set },
        { "einvoice.buyer.show", "invoice.read", "GET", "/v1/accounts/{account}/einvoice",
          "einvoice buyer-show ACCOUNT", "Electronic address of an account's e-invoices",
          account_params, HR_OP_READ, op_buyer_show },
        { 0 },
};

static const struct hr_subscription subscriptions[] = {
        { "invoice.issued", on_issued },
        { "credit_note.issued", on_issued },
        { 0 },
};

static const char *const needs[] = { "invoice", NULL };

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "einvoice",
        .version = HEADRACE_VERSION,
        .summary = "E-invoices: UBL 2.1 after EN 16931, their states, the archive",
        .needs = needs,
        .migrations = einvoice_migrations,
        .operations = operations,
        .subscriptions = subscriptions,
        .init = init,
};
