/* Plugin "ledger": double-entry books per branch with a sub-ledger per customer account. The rules
 * stand in sql/ as constraints and triggers; other plugins post with the SQL function
 * ledger.post(). */

#include <string.h>

#include "headrace/plugin.h"
#include "ledger_sql.h"

static const struct hr_host *host;

static enum hr_status init(const struct hr_host *h)
{
        host = h;
        return HR_OK;
}

/* Replies with column "doc" of the first row. */
static enum hr_status reply_doc(struct hr_call *call, const struct hr_rows *rows)
{
        const char *doc = host->rows_text(rows, 0, "doc");

        host->reply_json(call, doc, strlen(doc));
        return HR_OK;
}

static enum hr_status op_sums(struct hr_call *call)
{
        const char *params[] = { host->param(call, "at"), host->param(call, "branch") };
        struct hr_rows *rows;
        enum hr_status s = host->query(call, sql_ledger_sums, 2, params, &rows);

        return s == HR_OK ? reply_doc(call, rows) : s;
}

static enum hr_status op_account_ledger(struct hr_call *call)
{
        const char *number = host->param(call, "number");
        struct hr_rows *rows;
        enum hr_status s = host->query(call, sql_account_find, 1, &number, &rows);

        if (s != HR_OK)
                return s;
        if (host->rows_count(rows) == 0)
                return host->reject(call, 404, "unknown_account", "number",
                                    "There is no account %s; search for the customer first",
                                    number);
        const char *params[] = { host->rows_text(rows, 0, "account_id"), host->param(call, "at") };

        s = host->query(call, sql_account_ledger, 2, params, &rows);
        return s == HR_OK ? reply_doc(call, rows) : s;
}

static const struct hr_param sums_params[] = {
        { "branch", HR_TEXT, HR_QUERY, false, "Only this branch's books" },
        { "at", HR_TIME, HR_QUERY, false, "As of this instant" },
        { 0 },
};

static const struct hr_param account_ledger_params[] = {
        { "number", HR_TEXT, HR_PATH, true, "Account number" },
        { "at", HR_TIME, HR_QUERY, false, "As of this instant" },
        { 0 },
};

static const struct hr_operation operations[] = {
        { "ledger.sums", "ledger.read", "GET", "/v1/ledger/sums", "ledger sums",
          "Debit and credit per branch and ledger account; proves that the books balance",
          sums_params, HR_OP_READ, op_sums,
          "items:branch,gl,name,type,currency,debit,credit,balance" },
        { "account.ledger", "account.read", "GET", "/v1/accounts/{number}/ledger",
          "account ledger NUMBER", "A customer account's postings, open debts and balance",
          account_ledger_params, HR_OP_READ, op_account_ledger,
          "items:at,kind,ref,debit,credit,open,balance" },
        { 0 },
};

static const char *const needs[] = { "customer", NULL };

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "ledger",
        .version = HEADRACE_VERSION,
        .summary = "Double-entry ledger with customer sub-ledger",
        .needs = needs,
        .migrations = ledger_migrations,
        .operations = operations,
        .init = init,
};
