/* Templates and messages: drafts that are checked, looked at, and released by a second person. */

#include <errno.h>
#include <jansson.h>

#include "invoice.h"
#include "invoice_sql.h"
#include "render.h"
#include "template.h"

enum hr_status invoice_op_template_list(struct hr_call *call)
{
        static const char *const names[] = { "language" };

        return invoice_query_doc(call, sql_template_list, 1, names, "language");
}

enum hr_status invoice_op_template_show(struct hr_call *call)
{
        static const char *const names[] = { "class", "language", "version" };

        return invoice_query_doc(call, sql_template_show, 3, names, "class");
}

static enum hr_status reply_first(struct hr_call *call, const struct hr_rows *rows, int status)
{
        const char *doc = invoice_host->rows_text(rows, 0, "doc");

        invoice_host->reply_json(call, doc, strlen(doc));
        invoice_host->reply_status(call, status);
        return HR_OK;
}

enum hr_status invoice_op_template_draft(struct hr_call *call)
{
        const char *document = invoice_host->param(call, "document");
        const char *language = invoice_host->param(call, "language");
        const char *single = invoice_host->config(call, "single_operator");
        const char *params[] = { invoice_host->param(call, "class"),
                                 language,
                                 invoice_host->param(call, "valid_from"),
                                 document,
                                 invoice_host->param(call, "note"),
                                 invoice_host->actor(call),
                                 single && strcmp(single, "yes") == 0 ? "true" : "false" };
        json_error_t error;
        json_t *doc = json_loads(document, 0, &error);
        char why[TEMPLATE_WHY_SIZE];
        struct hr_rows *rows;
        enum hr_status s;
        int rc = template_check(doc, language, why);

        json_decref(doc);
        if (rc < 0)
                return invoice_host->reject(call, 422, "bad_template", "document", "%s", why);
        s = invoice_host->query(call, sql_template_draft, 7, params, &rows);
        return s == HR_OK ? reply_first(call, rows, 201) : s;
}

static enum hr_status decide(struct hr_call *call, const char *state)
{
        const char *draft = invoice_host->param(call, "draft");
        const char *params[] = { draft, state, invoice_host->actor(call) };
        struct hr_rows *rows;
        enum hr_status s = invoice_host->query(call, sql_template_decide, 3, params, &rows);

        if (s != HR_OK)
                return s;
        if (invoice_host->rows_count(rows) == 0)
                return invoice_host->reject(call, 404, "unknown_draft", "draft",
                                            "There is no draft %s of a template", draft);
        return reply_first(call, rows, 200);
}

enum hr_status invoice_op_template_approve(struct hr_call *call)
{
        return decide(call, "approved");
}

enum hr_status invoice_op_template_withdraw(struct hr_call *call)
{
        return decide(call, "withdrawn");
}

enum hr_status invoice_op_preview(struct hr_call *call)
{
        const char *params[] = { invoice_host->param(call, "draft"),
                                 invoice_host->param(call, "number"),
                                 invoice_host->param(call, "bill") };
        struct buf pdf = BUF_INIT;
        struct hr_rows *rows;
        enum hr_status s = invoice_host->query(call, sql_preview, 3, params, &rows);

        if (s != HR_OK)
                return s;
        if (invoice_host->rows_count(rows) == 0)
                return invoice_host->reject(call, 404, "nothing_to_show", NULL,
                                            "There is no such invoice or bill to show it on");
        if (invoice_host->rows_text(rows, 0, "known_draft")[0] != 't')
                return invoice_host->reject(call, 404, "unknown_draft", "draft",
                                            "There is no draft %s of a template", params[0]);
        if (invoice_render(&pdf, invoice_host->rows_text(rows, 0, "content"),
                           invoice_host->rows_text(rows, 0, "template"), "preview") == 0)
                invoice_host->reply_file(call, "application/pdf", "preview.pdf", pdf.p, pdf.len);
        else
                s = HR_FATAL;
        buf_deinit(&pdf);
        return s;
}

/* ---- messages ---- */

enum hr_status invoice_op_message_add(struct hr_call *call)
{
        static const char *const names[] = { "branch", "language", "class",   "commodity", "from",
                                             "until",  "rule",     "percent", "rank",      "body" };
        const char *params[11];
        char why[TEMPLATE_WHY_SIZE];
        struct hr_rows *rows;
        enum hr_status s;

        for (size_t i = 0; i < 10; i++)
                params[i] = invoice_host->param(call, names[i]);
        params[10] = invoice_host->actor(call);
        if (template_check_message(params[9], why) < 0)
                return invoice_host->reject(call, 422, "bad_message", "body", "%s", why);
        s = invoice_host->query(call, sql_message_add, 11, params, &rows);
        if (s != HR_OK)
                return s;
        if (invoice_host->rows_count(rows) == 0)
                return invoice_host->reject(call, 404, "unknown_branch", "branch",
                                            "There is no branch %s", params[0]);
        return reply_first(call, rows, 201);
}

enum hr_status invoice_op_message_list(struct hr_call *call)
{
        static const char *const names[] = { "branch" };

        return invoice_query_doc(call, sql_message_list, 1, names, "branch");
}

enum hr_status invoice_op_message_end(struct hr_call *call)
{
        static const char *const names[] = { "message" };

        return invoice_query_doc(call, sql_message_end, 1, names, "message");
}

/* ---- parameters ---- */

const struct hr_param invoice_template_list_params[] = {
        { "language", HR_TEXT, HR_QUERY, false, "Only this language" },
        { 0 },
};

const struct hr_param invoice_template_show_params[] = {
        { "class", HR_TEXT, HR_PATH, true, "Class of customers, or default" },
        { "language", HR_TEXT, HR_PATH, true, "Two letters" },
        { "version", HR_INT, HR_QUERY, false, "The newest unless given", NULL, 1, 1000000 },
        { 0 },
};

const struct hr_param invoice_template_draft_params[] = {
        { "class", HR_TEXT, HR_BODY, true, "Class of customers, or default" },
        { "language", HR_TEXT, HR_BODY, true, "Two letters", NULL, 2, 2 },
        { "valid_from", HR_DATE, HR_BODY, true, "First day of issue it is used for" },
        { "document", HR_JSON, HR_BODY, true, "Layout and texts; see `template show`" },
        { "note", HR_TEXT, HR_BODY, false, "What is new" },
        { 0 },
};

const struct hr_param invoice_draft_params[] = {
        { "draft", HR_INT, HR_PATH, true, "Number of the draft" },
        { 0 },
};

const struct hr_param invoice_preview_params[] = {
        { "draft", HR_INT, HR_QUERY, false, "A draft of a template" },
        { "number", HR_TEXT, HR_QUERY, false, "Show this invoice with it" },
        { "bill", HR_INT, HR_QUERY, false, "Show this bill, as if it were issued now" },
        { 0 },
};

const struct hr_param invoice_message_params[] = {
        { "branch", HR_TEXT, HR_BODY, true, "Branch code" },
        { "language", HR_TEXT, HR_BODY, true, "Language of the invoices it stands on", NULL, 2, 2 },
        { "class", HR_TEXT, HR_BODY, false, "Only this class of customers" },
        { "commodity", HR_TEXT, HR_BODY, false, "Only for this", "electricity|water|gas|heat" },
        { "from", HR_DATE, HR_BODY, true, "First day of issue" },
        { "until", HR_DATE, HR_BODY, true, "Last day of issue" },
        { "rule", HR_TEXT, HR_BODY, false, "On which invoices",
          "always|estimated|higher|lower|first|credit" },
        { "percent", HR_INT, HR_BODY, false, "For higher and lower: more than this, use per day",
          NULL, 1, 1000 },
        { "rank", HR_INT, HR_BODY, false, "Smaller comes first; three are printed", NULL, 0,
          10000 },
        { "body", HR_TEXT, HR_BODY, true,
          "With {name} {account} {number} {amount} {due} {quantity} {unit} {days} {from} {until}",
          NULL, 1, 500 },
        { 0 },
};

const struct hr_param invoice_message_list_params[] = {
        { "branch", HR_TEXT, HR_QUERY, false, "Only this branch's" },
        { 0 },
};

const struct hr_param invoice_message_end_params[] = {
        { "message", HR_INT, HR_PATH, true, "Number of the message" },
        { 0 },
};
