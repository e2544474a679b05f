/* Plugin "billrun": bill runs from draft to issued, and what a bill says about itself. */

#include <string.h>

#include "billrun.h"
#include "billrun_sql.h"

const struct hr_host *billrun_host;

static enum hr_status init(const struct hr_host *h)
{
        billrun_host = h;
        return HR_OK;
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

/* One query whose parameters are the operation's, in order. */
static enum hr_status query_doc(struct hr_call *call, const char *sql, size_t n,
                                const char *const names[], const char *missing)
{
        const char *params[8];
        struct hr_rows *rows;
        enum hr_status s;

        for (size_t i = 0; i < n; i++)
                params[i] = billrun_host->param(call, names[i]);
        s = billrun_host->query(call, sql, n, params, &rows);
        return s == HR_OK ? billrun_reply_doc(call, rows, missing) : s;
}

static bool single_operator(struct hr_call *call)
{
        const char *v = billrun_host->config(call, "single_operator");

        return v && (strcmp(v, "yes") == 0 || strcmp(v, "true") == 0 || strcmp(v, "on") == 0);
}

/* ---- runs ---- */

static enum hr_status check_run(struct hr_call *call, const char **ret_cycle)
{
        const char *contract = billrun_host->param(call, "contract");
        const char *params[] = { billrun_host->param(call, "branch"), contract,
                                 billrun_host->param(call, "from"),
                                 billrun_host->param(call, "to") };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_run_check, 4, params, &rows);
        int64_t days;

        if (s != HR_OK)
                return s;
        if (billrun_host->rows_int(rows, 0, "branches") == 0)
                return billrun_host->reject(call, 404, "unknown_branch", "branch",
                                            "There is no branch %s", params[0]);
        days = billrun_host->rows_int(rows, 0, "days");
        if (days < 1 || days > 400)
                return billrun_host->reject(
                        call, 422, "bad_period", "to",
                        "The period has %lld days; `to` is the day after its last day, 1 to "
                        "400 days after `from`",
                        (long long)days);
        if (contract && billrun_host->rows_int(rows, 0, "contracts") == 0)
                return billrun_host->reject(call, 404, "unknown_contract", "contract",
                                            "There is no contract %s", contract);
        *ret_cycle = billrun_host->param(call, "cycle");
        if (!*ret_cycle)
                *ret_cycle =
                        contract ? billrun_host->rows_text(rows, 0, "contract_cycle") : "monthly";
        return HR_OK;
}

static enum hr_status check_cycle(struct hr_call *call, const char *cycle)
{
        const char *params[] = { billrun_host->param(call, "branch"), cycle };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_cycle_exists, 2, params, NULL);

        if (s == HR_OK)
                s = billrun_host->query(call, sql_cycle_find, 2, params, &rows);
        if (s == HR_OK && billrun_host->rows_count(rows) == 0)
                s = billrun_host->reject(call, 422, "unknown_cycle", "cycle",
                                         "No contract of branch %s has cycle %s", params[0], cycle);
        return s;
}

static enum hr_status op_run_create(struct hr_call *call)
{
        const char *cycle = NULL, *run;
        struct hr_rows *rows;
        enum hr_status s = check_run(call, &cycle);
        int64_t job = 0;

        if (s == HR_OK)
                s = check_cycle(call, cycle);
        if (s != HR_OK)
                return s;
        const char *params[] = {
                billrun_host->param(call, "branch"),     cycle,
                billrun_host->param(call, "from"),       billrun_host->param(call, "to"),
                billrun_host->param(call, "contract"),   billrun_host->actor(call),
                single_operator(call) ? "true" : "false"
        };

        s = billrun_host->query(call, sql_run_create, 7, params, &rows);
        if (s != HR_OK)
                return s;
        run = billrun_host->rows_text(rows, 0, "run_id");
        s = billrun_host->submit_job(call, "billrun.run",
                                     billrun_host->format(call, "{\"run\":%s}", run), &job);
        if (s != HR_OK)
                return s;
        const char *set[] = { run, billrun_host->format(call, "%lld", (long long)job) };

        s = billrun_host->query(call, sql_run_set_job, 2, set, NULL);
        if (s != HR_OK)
                return s;
        char *doc = billrun_host->format(
                call, "{\"run\":%s,\"state\":\"draft\",\"job_id\":%lld,\"contracts\":%s}", run,
                (long long)job, billrun_host->rows_text(rows, 0, "contracts"));

        billrun_host->reply_status(call, 201);
        billrun_host->reply_json(call, doc, strlen(doc));
        return billrun_host->publish(call, "run.created", run, doc);
}

static enum hr_status op_run_list(struct hr_call *call)
{
        static const char *const names[] = { "state", "branch", "limit" };

        return query_doc(call, sql_run_list, 3, names, "run");
}

static enum hr_status op_run_show(struct hr_call *call)
{
        static const char *const names[] = { "run" };

        return query_doc(call, sql_run_show, 1, names, "run");
}

static enum hr_status run_exists(struct hr_call *call, struct hr_rows **ret)
{
        const char *run = billrun_host->param(call, "run");
        enum hr_status s = billrun_host->query(call, sql_run_counts, 1, &run, ret);

        if (s == HR_OK && billrun_host->rows_count(*ret) == 0)
                s = billrun_host->reject(call, 404, "unknown_run", "run", "There is no bill run %s",
                                         run);
        return s;
}

/* The state machine and the four eyes are the table's own; its refusals become the reply. */
static enum hr_status change_run(struct hr_call *call, const char *sql)
{
        const char *params[] = { billrun_host->param(call, "run"), billrun_host->actor(call) };
        struct hr_rows *rows;
        enum hr_status s = run_exists(call, &rows);

        if (s == HR_OK)
                s = billrun_host->query(call, sql, 2, params, NULL);
        return s == HR_OK ? op_run_show(call) : s;
}

static enum hr_status op_run_approve(struct hr_call *call)
{
        const char *run = billrun_host->param(call, "run");
        enum hr_status s = change_run(call, sql_run_approve);

        return s == HR_OK ? billrun_host->publish(call, "run.approved", run,
                                                  billrun_host->format(call, "{\"run\":%s}", run))
                          : s;
}

static enum hr_status op_run_cancel(struct hr_call *call)
{
        return change_run(call, sql_run_cancel);
}

static enum hr_status op_run_issue(struct hr_call *call)
{
        const char *run = billrun_host->param(call, "run"), *state,
                   *actor = billrun_host->actor(call);
        struct buf json = BUF_INIT;
        struct hr_rows *rows;
        enum hr_status s = run_exists(call, &rows);
        int64_t job = 0;

        if (s != HR_OK)
                return s;
        state = billrun_host->rows_text(rows, 0, "state");
        if (strcmp(state, "issued") == 0 || !billrun_host->rows_null(rows, 0, "issue_job_id"))
                return op_run_show(call);
        if (strcmp(state, "approved") != 0)
                return billrun_host->reject(
                        call, 409, "not_approved", "run",
                        "Bill run %s is %s; a second person approves it before it is issued", run,
                        state);
        buf_printf(&json, "{\"run\":%s,\"actor\":", run);
        buf_put_json_str(&json, actor, strlen(actor));
        buf_put_str(&json, "}");
        s = billrun_host->submit_job(call, "billrun.issue", buf_cstr(&json), &job);
        buf_deinit(&json);
        if (s != HR_OK)
                return s;
        const char *params[] = { run, billrun_host->format(call, "%lld", (long long)job) };

        s = billrun_host->query(call, sql_run_issue, 2, params, NULL);
        return s == HR_OK ? op_run_show(call) : s;
}

/* ---- bills ---- */

static enum hr_status op_bill_list(struct hr_call *call)
{
        static const char *const names[] = { "run",       "state",  "account", "contract",
                                             "exception", "before", "cursor",  "limit" };

        return query_doc(call, sql_bill_list, 8, names, "bill");
}

static enum hr_status op_bill_show(struct hr_call *call)
{
        static const char *const names[] = { "bill" };

        return query_doc(call, sql_bill_show, 1, names, "bill");
}

static enum hr_status op_bill_release(struct hr_call *call)
{
        const char *params[] = { billrun_host->param(call, "bill"), billrun_host->actor(call),
                                 billrun_host->param(call, "reason") };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_bill_release, 3, params, &rows);

        if (s != HR_OK)
                return s;
        if (billrun_host->rows_count(rows) == 0)
                return billrun_host->reject(
                        call, 409, "not_releasable", "bill",
                        "Bill %s is not held, or held for what cannot be overlooked; mend the "
                        "cause and run again",
                        params[0]);
        return op_bill_show(call);
}

static enum hr_status op_bill_reverse(struct hr_call *call)
{
        const char *bill = billrun_host->param(call, "bill");
        const char *params[] = { bill, billrun_host->param(call, "reason"),
                                 billrun_host->actor(call) };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_bill_exists, 1, params, &rows);

        if (s == HR_OK && billrun_host->rows_count(rows) == 0)
                s = billrun_host->reject(call, 404, "unknown_bill", "bill", "There is no bill %s",
                                         bill);
        if (s == HR_OK)
                s = billrun_host->query(call, sql_bill_reverse, 3, params, NULL);
        if (s == HR_OK)
                s = billrun_host->publish(call, "bill.reversed", bill,
                                          billrun_host->format(call, "{\"bill\":%s}", bill));
        return s == HR_OK ? op_bill_show(call) : s;
}

/* ---- index values ---- */

static enum hr_status op_index_add(struct hr_call *call)
{
        const char *params[] = { billrun_host->param(call, "name"),
                                 billrun_host->param(call, "day"),
                                 billrun_host->param(call, "value"),
                                 billrun_host->param(call, "source"), billrun_host->actor(call) };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_index_add, 5, params, NULL);

        if (s == HR_OK)
                s = billrun_host->query(call, sql_index_find, 4, params, &rows);
        if (s != HR_OK)
                return s;
        if (billrun_host->rows_text(rows, 0, "same")[0] != 't')
                return billrun_host->reject(
                        call, 409, "index_exists", "day",
                        "Index %s already has another value for %s; published values stay",
                        params[0], params[1]);
        return billrun_reply_doc(call, rows, "name");
}

static enum hr_status op_index_list(struct hr_call *call)
{
        static const char *const names[] = { "name" };

        return query_doc(call, sql_index_list, 1, names, "name");
}

/* ---- descriptor ---- */

static const struct hr_param run_create_params[] = {
        { "branch", HR_TEXT, HR_BODY, true, "Branch code" },
        { "cycle", HR_TEXT, HR_BODY, false, "Billing cycle, monthly when absent" },
        { "from", HR_DATE, HR_BODY, true, "First day of the period" },
        { "to", HR_DATE, HR_BODY, true, "The day after the period's last day" },
        { "contract", HR_TEXT, HR_BODY, false, "Bill this contract only" },
        { 0 },
};

static const struct hr_param run_list_params[] = {
        { "state", HR_TEXT, HR_QUERY, false, "Only runs in this state",
          "draft|approved|issued|cancelled" },
        { "branch", HR_TEXT, HR_QUERY, false, "Only this branch's runs" },
        { "limit", HR_INT, HR_QUERY, false, "At most this many", NULL, 1, 1000 },
        { 0 },
};

static const struct hr_param run_params[] = {
        { "run", HR_INT, HR_PATH, true, "Number of the bill run", NULL, 1, INT64_MAX },
        { 0 },
};

static const struct hr_param bill_list_params[] = {
        { "run", HR_INT, HR_QUERY, false, "Only bills of this run", NULL, 1, INT64_MAX },
        { "state", HR_TEXT, HR_QUERY, false, "Only bills in this state",
          "draft|held|issued|reversed|cancelled" },
        { "account", HR_TEXT, HR_QUERY, false, "Only bills of this account" },
        { "contract", HR_TEXT, HR_QUERY, false, "Only bills of this contract" },
        { "exception", HR_TEXT, HR_QUERY, false, "Only bills with this exception" },
        { "cursor", HR_INT, HR_QUERY, false, "`next` of the last page", NULL, 1, INT64_MAX },
        { "before", HR_INT, HR_QUERY, false, "Only bills below this number", NULL, 1, INT64_MAX },
        { "limit", HR_INT, HR_QUERY, false, "At most this many", NULL, 1, 1000 },
        { 0 },
};

static const struct hr_param bill_params[] = {
        { "bill", HR_INT, HR_PATH, true, "Number of the bill", NULL, 1, INT64_MAX },
        { 0 },
};

static const struct hr_param bill_reason_params[] = {
        { "bill", HR_INT, HR_PATH, true, "Number of the bill", NULL, 1, INT64_MAX },
        { "reason", HR_TEXT, HR_BODY, true, "Why, for the audit trail", NULL, 3, 500 },
        { 0 },
};

static const struct hr_param index_add_params[] = {
        { "name", HR_TEXT, HR_BODY, true, "Name the tariff uses", NULL, 1, 64 },
        { "day", HR_DATE, HR_BODY, true, "Day it was published for" },
        { "value", HR_DECIMAL, HR_BODY, true, "Factor or price" },
        { "source", HR_TEXT, HR_BODY, true, "Who published it, where", NULL, 1, 300 },
        { 0 },
};

static const struct hr_param index_list_params[] = {
        { "name", HR_TEXT, HR_QUERY, false, "Only this index" },
        { 0 },
};

static const struct hr_operation operations[] = {
        { "index.add", "tariff.write", "POST", "/v1/indices", "index add",
          "Add the published value of an index that prices follow", index_add_params, HR_OP_WRITE,
          op_index_add },
        { "index.list", "tariff.read", "GET", "/v1/indices", "index list", "Published index values",
          index_list_params, HR_OP_READ, op_index_list, "items:name,day,value,source" },
        { "run.create", "run.write", "POST", "/v1/runs", "run create",
          "Create a bill run and compute its bills", run_create_params, HR_OP_WRITE,
          op_run_create },
        { "run.list", "run.read", "GET", "/v1/runs", "run list",
          "Bill runs with counts and amounts", run_list_params, HR_OP_READ, op_run_list,
          "items:run,branch,cycle,from,to,state,contracts,done,bills,held,total,currency" },
        { "run.show", "run.read", "GET", "/v1/runs/{run}", "run show RUN",
          "One bill run: progress, counts, amounts, exceptions by cause, largest changes",
          run_params, HR_OP_READ, op_run_show },
        { "run.approve", "run.approve", "POST", "/v1/runs/{run}/approve", "run approve RUN",
          "Approve a computed bill run; someone other than its creator", run_params, HR_OP_WRITE,
          op_run_approve },
        { "run.issue", "run.write", "POST", "/v1/runs/{run}/issue", "run issue RUN",
          "Issue an approved run's bills: ledger entries, invoices, events", run_params,
          HR_OP_WRITE, op_run_issue },
        { "run.cancel", "run.write", "POST", "/v1/runs/{run}/cancel", "run cancel RUN",
          "Cancel a bill run that is not issued yet", run_params, HR_OP_WRITE | HR_OP_CONFIRM,
          op_run_cancel },
        { "bill.list", "bill.read", "GET", "/v1/bills", "bill list",
          "Bills by run, state, account or exception", bill_list_params, HR_OP_READ, op_bill_list,
          "items:bill,contract,party,from,to,state,quantity,unit,total,currency" },
        { "bill.show", "bill.read", "GET", "/v1/bills/{bill}", "bill show BILL",
          "One bill with its lines", bill_params, HR_OP_READ, op_bill_show,
          "lines:line,label,quantity,unit,price,amount" },
        { "bill.explain", "bill.read", "GET", "/v1/bills/{bill}/explain", "bill explain BILL",
          "Each line with readings, tariff version and steps; why it differs from the last bill",
          bill_params, HR_OP_READ, billrun_op_explain },
        { "bill.replay", "bill.read", "GET", "/v1/bills/{bill}/replay", "bill replay BILL",
          "Compute a bill again from what it froze and name every byte that differs", bill_params,
          HR_OP_READ, billrun_op_replay, "differences:what,stored,computed" },
        { "bill.release", "bill.write", "POST", "/v1/bills/{bill}/release", "bill release BILL",
          "Let a held bill go after review", bill_reason_params, HR_OP_WRITE, op_bill_release },
        { "bill.reverse", "bill.write", "POST", "/v1/bills/{bill}/reverse", "bill reverse BILL",
          "Reverse an issued bill; its days can be billed again", bill_reason_params,
          HR_OP_WRITE | HR_OP_CONFIRM, op_bill_reverse },
        { 0 },
};

static const struct hr_job_type jobs[] = {
        { "billrun.run", "run.write", "Compute the bills of a run", billrun_job_run },
        { "billrun.share", "run.write", "Help to compute the bills of a run", billrun_job_share },
        { "billrun.issue", "run.write", "Issue the bills of a run", billrun_job_issue },
        { 0 },
};

static const struct hr_config_key config[] = {
        { "batch", "100", "Bills computed or issued in one transaction" },
        { "single_operator", "no", "Whether the creator of a bill run may approve it" },
        { "complete_permille", "1000",
          "Share of the period that must have usable readings, in thousandths" },
        { "high_percent", "300",
          "Use per day against the last bill, in percent, that holds a bill; 0 = never" },
        { "estimated_percent", "50",
          "Share of estimated readings, in percent, that holds a bill; 0 = never" },
        { 0 },
};

static const char *const needs[] = { "tariff", "ledger", "vee", NULL };

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "billrun",
        .version = HEADRACE_VERSION,
        .summary = "Bill runs, bills and their explanation",
        .needs = needs,
        .config = config,
        .migrations = billrun_migrations,
        .operations = operations,
        .jobs = jobs,
        .init = init,
};
