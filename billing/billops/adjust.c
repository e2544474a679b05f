/* Credit and debit notes by hand, and budget plans: sql/005_adjust.sql. */

#include <string.h>

#include "billops.h"
#include "billops_sql.h"

OPS_DOC(ops_adjustment_list, sql_adjustment_list, "state", "state", "account", "bill", "limit")
OPS_DOC(ops_adjustment_show, sql_adjustment_show, "adjustment", "adjustment")
OPS_DOC(ops_budget_list, sql_budget_list, "branch", "branch", "state", "contract")
OPS_DOC(ops_budget_show, sql_budget_show, "budget", "budget")

/* What a decision led to: the reply, and the event once it is in the ledger. */
static enum hr_status show_adjustment(struct hr_call *call, const char *id)
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_adjustment_show, 1, &id, &rows);
        const char *doc;

        if (s != HR_OK)
                return s;
        doc = billrun_host->rows_text(rows, 0, "doc");
        billrun_host->reply_json(call, doc, strlen(doc));
        return strstr(doc, "\"state\": \"posted\"")
                       ? billrun_host->publish(call, "adjustment.posted", id, doc)
                       : HR_OK;
}

enum hr_status ops_adjustment_create(struct hr_call *call)
{
        const char *params[] = {
                billrun_host->param(call, "kind"),   billrun_host->param(call, "contract"),
                billrun_host->param(call, "bill"),   billrun_host->param(call, "amount"),
                billrun_host->param(call, "reason"), billrun_host->actor(call)
        };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_adjustment_create, 6, params, &rows);

        if (s == HR_OK)
                s = show_adjustment(call, billrun_host->rows_text(rows, 0, "id"));
        if (s == HR_OK)
                billrun_host->reply_status(call, 201);
        return s;
}

enum hr_status ops_adjustment_approve(struct hr_call *call)
{
        const char *params[] = { billrun_host->param(call, "adjustment"),
                                 billrun_host->actor(call) };
        enum hr_status s = billrun_host->query(call, sql_adjustment_approve, 2, params, NULL);

        return s == HR_OK ? show_adjustment(call, params[0]) : s;
}

enum hr_status ops_adjustment_reject(struct hr_call *call)
{
        const char *params[] = { billrun_host->param(call, "adjustment"),
                                 billrun_host->param(call, "reason"), billrun_host->actor(call) };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_adjustment_reject, 3, params, &rows);

        if (s == HR_OK && billrun_host->rows_count(rows) == 0)
                return billrun_host->reject(call, 409, "not_proposed", "adjustment",
                                            "Adjustment %s is not open any more, or there is none",
                                            params[0]);
        return s == HR_OK ? show_adjustment(call, params[0]) : s;
}

enum hr_status ops_budget_create(struct hr_call *call)
{
        const char *params[] = { billrun_host->param(call, "contract"),
                                 billrun_host->param(call, "from"),
                                 billrun_host->param(call, "months"),
                                 billrun_host->param(call, "amount"), billrun_host->actor(call) };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_budget_create, 5, params, &rows);

        if (s == HR_OK)
                s = ops_show(call, sql_budget_show, billrun_host->rows_text(rows, 0, "id"),
                             "budget");
        if (s == HR_OK)
                billrun_host->reply_status(call, 201);
        return s;
}

enum hr_status ops_budget_settle(struct hr_call *call)
{
        const char *params[] = { billrun_host->param(call, "budget"),
                                 billrun_host->param(call, "early"), billrun_host->actor(call) };
        enum hr_status s = billrun_host->query(call, sql_budget_settle, 3, params, NULL);

        if (s == HR_OK)
                s = billrun_host->publish(call, "budget.settled", params[0],
                                          billrun_host->format(call, "{\"budget\":%s}", params[0]));
        return s == HR_OK ? ops_show(call, sql_budget_show, params[0], "budget") : s;
}
