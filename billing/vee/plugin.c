/* Validation, estimation and editing: runs, the exception queue, rule sets. */

#include "vee_plugin.h"

#include <string.h>

#include "vee_sql.h"

const struct hr_host *vee_host;

static enum hr_status init(const struct hr_host *host)
{
        vee_host = host;
        return HR_OK;
}

static enum hr_status reply_query(struct hr_call *call, const char *sql, size_t n,
                                  const char *const params[])
{
        struct hr_rows *rows;
        enum hr_status s = vee_host->query(call, sql, n, params, &rows);
        const char *json;

        if (s != HR_OK)
                return s;
        json = vee_host->rows_text(rows, 0, "reply");
        vee_host->reply_json(call, json, strlen(json));
        return HR_OK;
}

static enum hr_status run_start(struct hr_call *call)
{
        const char *params[] = { vee_host->param(call, "branch"), vee_host->param(call, "from"),
                                 vee_host->param(call, "to"), vee_host->actor(call) };
        const char *meter = vee_host->param(call, "meter");
        struct hr_rows *rows;
        int64_t job = 0;
        char *json;
        enum hr_status s;

        if (strcmp(params[1], params[2]) >= 0)
                return vee_host->reject(call, 422, "period_empty", "to",
                                        "The period ends before it begins; to is the day after "
                                        "the last");
        s = vee_host->query(call, sql_run_create, 4, params, &rows);
        if (s != HR_OK)
                return s;
        if (vee_host->rows_count(rows) == 0)
                return vee_host->reject(call, 422, "branch_unknown", "branch",
                                        "There is no branch \"%s\"", params[0]);
        json = vee_host->format(call, meter ? "{\"run\":%s,\"meter\":\"%s\"}" : "{\"run\":%s}",
                                vee_host->rows_text(rows, 0, "run_id"), meter);
        if (!json)
                return HR_RETRY;
        s = vee_host->submit_job(call, "vee.run", json, &job);
        if (s != HR_OK)
                return s;
        json = vee_host->format(call, "{\"run\":%s,\"job_id\":%lld}",
                                vee_host->rows_text(rows, 0, "run_id"), (long long)job);
        vee_host->reply_status(call, 202);
        vee_host->reply_json(call, json, strlen(json));
        return HR_OK;
}

static enum hr_status run_list(struct hr_call *call)
{
        return reply_query(call, sql_run_list, 0, NULL);
}

static enum hr_status exception_list(struct hr_call *call)
{
        const char *params[] = { vee_host->param(call, "state"), vee_host->param(call, "branch"),
                                 vee_host->param(call, "meter"), vee_host->param(call, "severity"),
                                 vee_host->param(call, "after"), vee_host->param(call, "limit") };

        return reply_query(call, sql_exception_list, 6, params);
}

static enum hr_status exception_accept(struct hr_call *call)
{
        const char *params[] = { vee_host->param(call, "exception"), vee_host->actor(call),
                                 vee_host->param(call, "note") };
        struct hr_rows *rows;
        const char *json;
        enum hr_status s = vee_host->query(call, sql_exception_accept, 3, params, &rows);

        if (s != HR_OK)
                return s;
        if (vee_host->rows_count(rows) == 0) {
                s = vee_host->query(call, sql_exception_state, 1, params, &rows);
                if (s != HR_OK)
                        return s;
                if (vee_host->rows_count(rows) == 0)
                        return vee_host->reject(call, 404, "exception_unknown", "exception",
                                                "There is no exception %s", params[0]);
                return vee_host->reject(call, 409, "exception_closed", "exception",
                                        "Exception %s is %s already", params[0],
                                        vee_host->rows_text(rows, 0, "state"));
        }
        json = vee_host->rows_text(rows, 0, "reply");
        vee_host->reply_json(call, json, strlen(json));
        return HR_OK;
}

static enum hr_status rule_list(struct hr_call *call)
{
        return reply_query(call, sql_rule_list, 0, NULL);
}

static const struct hr_param run_params[] = {
        { "branch", HR_TEXT, HR_BODY, true, "branch code" },
        { "from", HR_DATE, HR_BODY, true, "first day, local" },
        { "to", HR_DATE, HR_BODY, true, "day after the last, local" },
        { "meter", HR_TEXT, HR_BODY, false, "only the meter of this serial number" },
        { NULL },
};
static const struct hr_param exception_params[] = {
        { "state", HR_TEXT, HR_QUERY, false, "open unless said otherwise",
          "open|accepted|resolved" },
        { "branch", HR_TEXT, HR_QUERY, false, "only this branch" },
        { "meter", HR_TEXT, HR_QUERY, false, "only the meter of this serial number" },
        { "severity", HR_TEXT, HR_QUERY, false, "only this severity", "info|warn|block" },
        { "after", HR_INT, HR_QUERY, false, "number of the last one of the page before" },
        { "limit", HR_INT, HR_QUERY, false, "how many (100)", NULL, 1, 1000 },
        { NULL },
};
static const struct hr_param accept_params[] = {
        { "exception", HR_INT, HR_PATH, true, "number of the exception" },
        { "note", HR_TEXT, HR_BODY, true, "why the reading may be billed", NULL, 3, 500 },
        { NULL },
};
static const struct hr_param no_params[] = { { NULL } };

static const struct hr_operation operations[] = {
        { "vee.run", "vee.write", "POST", "/v1/vee/runs", "vee run",
          "Validate and estimate a branch's readings", run_params, HR_OP_WRITE, run_start, NULL },
        { "vee.runs", "vee.read", "GET", "/v1/vee/runs", "vee runs", "List validation runs",
          no_params, HR_OP_READ, run_list,
          "items:run,branch,from,to,state,meters,estimated,findings" },
        { "vee.exceptions", "vee.read", "GET", "/v1/vee/exceptions", "vee exceptions",
          "List questioned readings", exception_params, HR_OP_READ, exception_list,
          "items:exception,branch,meter,rule,severity,from,to,text" },
        { "vee.accept", "vee.write", "POST", "/v1/vee/exceptions/{exception}/accept",
          "vee accept EXCEPTION", "Let a questioned reading be billed", accept_params, HR_OP_WRITE,
          exception_accept, NULL },
        { "vee.rules", "vee.read", "GET", "/v1/vee/rules", "vee rules", "List rule sets", no_params,
          HR_OP_READ, rule_list, "items:version,branch,note" },
        { NULL },
};

static const struct hr_job_type jobs[] = {
        { "vee.run", "vee.write", "Validates and estimates a branch's readings", vee_job_run },
        { NULL },
};

static const char *const needs[] = { "customer", NULL };

HR_EXPORT extern const struct hr_plugin headrace_plugin_v1;
const struct hr_plugin headrace_plugin_v1 = {
        .magic = HR_PLUGIN_MAGIC,
        .abi = HR_ABI_VERSION,
        .size = sizeof(struct hr_plugin),
        .name = "vee",
        .version = HEADRACE_VERSION,
        .summary = "Validation and estimation of readings before they are billed",
        .needs = needs,
        .migrations = vee_migrations,
        .operations = operations,
        .jobs = jobs,
        .init = init,
};
