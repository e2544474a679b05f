/* Cycles and their calendar: sql/002_calendar.sql. */

#include <string.h>

#include "billops.h"
#include "billops_sql.h"

OPS_DOC(ops_cycle_set, sql_cycle_set, "branch", "branch", "cycle", "name", "months", "due_days",
        "start_day", "read_before", "read_after", "bill_after", "due_kind", "due_roll")
OPS_DOC(ops_cycle_list, sql_cycle_list, "branch", "branch")
OPS_DOC(ops_cycle_plan, sql_cycle_plan, "branch", "branch", "cycle", "from", "months")
OPS_DOC(ops_cycle_calendar, sql_cycle_calendar, "branch", "branch", "cycle", "from")
OPS_DOC(ops_contract_cycle, sql_contract_cycle, "contract", "contract", "cycle")

/* The run of the calendar's period that holds a day; one run a period unless that was cancelled. */
enum hr_status ops_cycle_run(struct hr_call *call)
{
        const char *params[] = { billrun_host->param(call, "branch"),
                                 billrun_host->param(call, "cycle"),
                                 billrun_host->param(call, "day") };
        struct hr_rows *rows;
        const char *run = NULL, *branch;
        enum hr_status s = billrun_host->query(call, sql_cycle_period_find, 3, params, &rows);

        if (s != HR_OK)
                return s;
        if (billrun_host->rows_count(rows) == 0)
                return billrun_host->reject(call, 404, "not_planned", "day",
                                            "The calendar of cycle %s has no period with %s; plan "
                                            "it first",
                                            params[1], params[2]);
        if (!billrun_host->rows_null(rows, 0, "run_id") &&
            strcmp(billrun_host->rows_text(rows, 0, "state"), "cancelled") != 0)
                return billrun_host->reject(call, 409, "run_exists", "day",
                                            "Bill run %s is this period's; cancel it or make one "
                                            "by hand",
                                            billrun_host->rows_text(rows, 0, "run_id"));
        branch = billrun_host->rows_text(rows, 0, "branch_id");
        const char *insert[] = { branch,
                                 params[1],
                                 billrun_host->rows_text(rows, 0, "d0"),
                                 billrun_host->rows_text(rows, 0, "d1"),
                                 NULL,
                                 billrun_host->actor(call),
                                 "cycle" };

        s = ops_start_run(call, insert, &run);
        if (s != HR_OK)
                return s;
        const char *set[] = { branch, params[1], params[2], run };

        return billrun_host->query(call, sql_cycle_period_run, 4, set, NULL);
}
