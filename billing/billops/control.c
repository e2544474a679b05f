/* Bill runs between computing and issuing: rules that hold bills, review, release, undo, and the
 * run's progress. The rules themselves stand in sql/001_control.sql. */

#include <string.h>

#include "billops.h"
#include "billops_sql.h"

/* ---- shared ---- */

enum hr_status ops_doc(struct hr_call *call, const char *sql, size_t n, const char *const names[],
                       const char *missing)
{
        const char *params[16];
        struct hr_rows *rows;
        enum hr_status s;

        for (size_t i = 0; i < n; i++)
                params[i] = strcmp(names[i], "@actor") == 0 ? billrun_host->actor(call)
                                                            : billrun_host->param(call, names[i]);
        s = billrun_host->query(call, sql, n, params, &rows);
        return s == HR_OK ? billrun_reply_doc(call, rows, missing) : s;
}

enum hr_status ops_show(struct hr_call *call, const char *sql, const char *id, const char *what)
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql, 1, &id, &rows);

        if (s == HR_OK && billrun_host->rows_count(rows) == 0)
                return billrun_host->reject(call, 404, "not_found", what, "There is no %s %s", what,
                                            id);
        if (s == HR_OK) {
                const char *doc = billrun_host->rows_text(rows, 0, "doc");

                billrun_host->reply_json(call, doc, strlen(doc));
        }
        return s;
}

enum hr_status billrun_reply_doc(struct hr_call *call, const struct hr_rows *rows,
                                 const char *param)
{
        const char *doc;

        if (billrun_host->rows_count(rows) == 0)
                return billrun_host->reject(call, 404, "not_found", param, "There is no %s %s",
                                            param, billrun_host->param(call, param));
        doc = billrun_host->rows_text(rows, 0, "doc");
        billrun_host->reply_json(call, doc, strlen(doc));
        return HR_OK;
}

/* ---- rules ---- */

OPS_DOC(ops_policy_set, sql_policy_set, "branch", "branch", "review_required", "sample",
        "adjust_limit", "estimate_limit", "weekend", "calendar")
OPS_DOC(ops_policy_show, sql_policy_show, "branch", "branch")
OPS_DOC(ops_person_set, sql_person_set, "login", "login", "person")
OPS_DOC(ops_outsort_set, sql_outsort_set, "branch", "branch", "kind", "class", "threshold",
        "action", "@actor")
OPS_DOC(ops_outsort_rules, sql_outsort_rules, "branch", "branch")
OPS_DOC(ops_run_outsort, sql_run_outsort, "run", "run", "cause", "limit")
OPS_DOC(ops_run_review, sql_run_review, "run", "run", "@actor")
OPS_DOC(ops_run_reviews, sql_run_reviews, "run", "run")
OPS_DOC(ops_run_monitor, sql_run_monitor, "run", "run")

/* ---- runs ---- */

static enum hr_status run_state(struct hr_call *call, struct hr_rows **ret)
{
        const char *run = billrun_host->param(call, "run");
        enum hr_status s = billrun_host->query(call, sql_run_state, 1, &run, ret);

        if (s == HR_OK && billrun_host->rows_count(*ret) == 0)
                s = billrun_host->reject(call, 404, "unknown_run", "run", "There is no bill run %s",
                                         run);
        return s;
}

enum hr_status ops_run_undo(struct hr_call *call)
{
        const char *run = billrun_host->param(call, "run"), *state;
        struct hr_rows *rows;
        enum hr_status s = run_state(call, &rows);

        if (s != HR_OK)
                return s;
        state = billrun_host->rows_text(rows, 0, "state");
        if (strcmp(state, "approved") != 0)
                return billrun_host->reject(
                        call, 409, "not_approved", "run",
                        "Bill run %s is %s; only an approval that was not issued yet is taken back",
                        run, state);
        s = billrun_host->query(call, sql_run_undo, 1, &run, &rows);
        if (s == HR_OK)
                s = billrun_reply_doc(call, rows, "run");
        return s == HR_OK ? billrun_host->publish(call, "run.undone", run,
                                                  billrun_host->format(call, "{\"run\":%s}", run))
                          : s;
}

enum hr_status ops_run_release(struct hr_call *call)
{
        static const char *const names[] = { "run", "bill", "cause", "reason", "@actor" };
        struct hr_rows *rows;
        enum hr_status s = run_state(call, &rows);

        return s == HR_OK ? ops_doc(call, sql_run_release, 5, names, "run") : s;
}

enum hr_status ops_run_hold(struct hr_call *call)
{
        static const char *const names[] = { "run", "cause", "over", "reason", "@actor" };
        struct hr_rows *rows;
        enum hr_status s = run_state(call, &rows);

        return s == HR_OK ? ops_doc(call, sql_run_hold_many, 5, names, "run") : s;
}

enum hr_status ops_run_resume(struct hr_call *call)
{
        const char *run = billrun_host->param(call, "run");
        struct hr_rows *rows;
        enum hr_status s = run_state(call, &rows);

        if (s == HR_OK)
                s = billrun_host->query(call, sql_run_resume, 1, &run, &rows);
        if (s == HR_OK && billrun_host->rows_count(rows) == 0)
                return billrun_host->reject(
                        call, 409, "not_stopped", "run",
                        "The job of bill run %s was neither stopped nor failed, or its work is "
                        "done; see the run's monitor",
                        run);
        return s == HR_OK ? ops_run_monitor(call) : s;
}

enum hr_status ops_bill_hold(struct hr_call *call)
{
        const char *bill = billrun_host->param(call, "bill");
        const char *params[] = { bill, billrun_host->param(call, "reason"),
                                 billrun_host->actor(call) };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_bill_hold, 3, params, &rows);
        char *doc;

        if (s != HR_OK)
                return s;
        if (billrun_host->rows_count(rows) == 0)
                return billrun_host->reject(call, 404, "unknown_bill", "bill",
                                            "There is no bill %s", bill);
        if (billrun_host->rows_int(rows, 0, "n") == 0)
                return billrun_host->reject(call, 409, "not_draft", "bill",
                                            "Bill %s is %s; only a draft can be held", bill,
                                            billrun_host->rows_text(rows, 0, "state"));
        doc = billrun_host->format(call, "{\"bill\":%s,\"state\":\"held\"}", bill);
        billrun_host->reply_json(call, doc, strlen(doc));
        return HR_OK;
}

enum hr_status ops_start_run(struct hr_call *call, const char *const params[7],
                             const char **ret_run)
{
        const char *single = billrun_host->config(call, "single_operator");
        const char *all[] = { params[0], params[1], params[2], params[3],
                              params[4], params[5], params[6], single ? single : "no" };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_run_insert, 8, all, &rows);
        int64_t job = 0;
        char *doc;

        if (s != HR_OK)
                return s;
        *ret_run = billrun_host->rows_text(rows, 0, "run_id");
        s = billrun_host->submit_job(call, "billrun.run",
                                     billrun_host->format(call, "{\"run\":%s}", *ret_run), &job);
        if (s != HR_OK)
                return s;
        const char *set[] = { *ret_run, billrun_host->format(call, "%lld", (long long)job) };

        s = billrun_host->query(call, sql_run_set_job, 2, set, NULL);
        if (s != HR_OK)
                return s;
        doc = billrun_host->format(
                call,
                "{\"run\":%s,\"state\":\"draft\",\"job_id\":%lld,\"contracts\":%s,\"from\":\"%s\","
                "\"to\":\"%s\"}",
                *ret_run, (long long)job, billrun_host->rows_text(rows, 0, "contracts"), params[2],
                params[3]);
        billrun_host->reply_status(call, 201);
        billrun_host->reply_json(call, doc, strlen(doc));
        return billrun_host->publish(call, "run.created", *ret_run, doc);
}

enum hr_status ops_bill_final(struct hr_call *call)
{
        const char *params[] = { billrun_host->param(call, "contract"),
                                 billrun_host->param(call, "until") };
        struct hr_rows *rows;
        const char *run;
        enum hr_status s = billrun_host->query(call, sql_bill_final, 2, params, &rows);

        if (s != HR_OK)
                return s;
        if (billrun_host->rows_count(rows) == 0)
                return billrun_host->reject(call, 404, "unknown_contract", "contract",
                                            "There is no contract %s", params[0]);
        if (billrun_host->rows_text(rows, 0, "no_end")[0] == 't')
                return billrun_host->reject(
                        call, 422, "contract_open", "until",
                        "Contract %s has no end; end it first or say until which day", params[0]);
        if (billrun_host->rows_int(rows, 0, "days") < 1)
                return billrun_host->reject(call, 409, "billed_already", "contract",
                                            "Contract %s is billed up to %s already", params[0],
                                            billrun_host->rows_text(rows, 0, "d0"));
        if (billrun_host->rows_int(rows, 0, "days") > 400)
                return billrun_host->reject(
                        call, 422, "bad_period", "contract",
                        "%s days of contract %s are not billed; bill its older periods first",
                        billrun_host->rows_text(rows, 0, "days"), params[0]);
        const char *insert[] = { billrun_host->rows_text(rows, 0, "branch_id"),
                                 billrun_host->rows_text(rows, 0, "cycle"),
                                 billrun_host->rows_text(rows, 0, "d0"),
                                 billrun_host->rows_text(rows, 0, "d1"),
                                 billrun_host->rows_text(rows, 0, "contract_id"),
                                 billrun_host->actor(call),
                                 "final" };

        return ops_start_run(call, insert, &run);
}
