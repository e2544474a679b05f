/* Reports: one query for the rows, one for a summary that proves them; as JSON or as a CSV file. */

#include <string.h>

#include "billops.h"
#include "billops_sql.h"
#include "table.h"

struct report {
        const char *name, *sql, *summary;
        size_t n_params;
        const char *const *params;
        const struct table_column *columns;
};

static const char *const run_param[] = { "run" };
static const char *const period_params[] = { "branch", "from", "to" };

static const struct table_column control_columns[] = {
        { "tariff", TABLE_TEXT },
        { "class", TABLE_TEXT },
        { "unit", TABLE_TEXT },
        { "bills", TABLE_NUMBER },
        { "held", TABLE_NUMBER },
        { "left_out", TABLE_NUMBER },
        { "quantity", TABLE_NUMBER },
        { "net", TABLE_NUMBER },
        { "tax", TABLE_NUMBER },
        { "total", TABLE_NUMBER },
        { "smallest", TABLE_NUMBER },
        { "largest", TABLE_NUMBER },
        { "compared", TABLE_NUMBER },
        { "previous", TABLE_NUMBER },
        { "change", TABLE_NUMBER },
        { "change_percent", TABLE_NUMBER },
        { 0 },
};
static const struct table_column unbilled_columns[] = {
        { "service_point", TABLE_TEXT },
        { "contract", TABLE_TEXT },
        { "cycle", TABLE_TEXT },
        { "from", TABLE_TEXT },
        { "to", TABLE_TEXT },
        { "days", TABLE_NUMBER },
        { "reason", TABLE_TEXT },
        { "text", TABLE_TEXT },
        { "bill", TABLE_NUMBER },
        { "run", TABLE_NUMBER },
        { 0 },
};
static const struct table_column consumption_columns[] = {
        { "tariff", TABLE_TEXT },
        { "class", TABLE_TEXT },
        { "zone", TABLE_TEXT },
        { "commodity", TABLE_TEXT },
        { "unit", TABLE_TEXT },
        { "bills", TABLE_NUMBER },
        { "points", TABLE_NUMBER },
        { "quantity", TABLE_NUMBER },
        { "mean_a_day", TABLE_NUMBER },
        { "net", TABLE_NUMBER },
        { "tax", TABLE_NUMBER },
        { "total", TABLE_NUMBER },
        { 0 },
};
static const struct table_column revenue_columns[] = {
        { "branch", TABLE_TEXT },   { "tariff", TABLE_TEXT },   { "class", TABLE_TEXT },
        { "gl", TABLE_TEXT },       { "name", TABLE_TEXT },     { "source", TABLE_TEXT },
        { "currency", TABLE_TEXT }, { "amount", TABLE_NUMBER }, { 0 },
};

static const struct report control = { "control", sql_report_control, sql_summary_control,
                                       1,         run_param,          control_columns };
static const struct report unbilled = { "unbilled", sql_report_unbilled, sql_summary_unbilled,
                                        3,          period_params,       unbilled_columns };
static const struct report consumption = { "consumption",           sql_report_consumption,
                                           sql_summary_consumption, 3,
                                           period_params,           consumption_columns };
static const struct report revenue = { "revenue", sql_report_revenue, sql_summary_revenue,
                                       3,         period_params,      revenue_columns };

static const char *cell(const struct hr_rows *rows, size_t i, const struct table_column *c)
{
        return billrun_host->rows_null(rows, i, c->name)
                       ? NULL
                       : billrun_host->rows_text(rows, i, c->name);
}

static void put_csv(struct buf *out, const struct report *r, const struct hr_rows *rows)
{
        table_csv_head(out, r->columns);
        for (size_t i = 0; i < billrun_host->rows_count(rows); i++)
                for (const struct table_column *c = r->columns; c->name; c++)
                        table_csv_cell(out, c->type, cell(rows, i, c), !c[1].name);
}

static void put_json(struct buf *out, const struct report *r, const struct hr_rows *rows,
                     const char *summary)
{
        buf_printf(out, "{\"report\":\"%s\",\"summary\":", r->name);
        buf_put_str(out, summary);
        buf_put_str(out, ",\"items\":[");
        for (size_t i = 0; i < billrun_host->rows_count(rows); i++) {
                buf_put_str(out, i ? ",{" : "{");
                for (const struct table_column *c = r->columns; c->name; c++) {
                        buf_printf(out, "%s\"%s\":", c == r->columns ? "" : ",", c->name);
                        table_json_value(out, c->type, cell(rows, i, c));
                }
                buf_put_str(out, "}");
        }
        buf_put_str(out, "]}");
}

static enum hr_status check(struct hr_call *call, const struct report *r,
                            const char *const params[])
{
        struct hr_rows *rows;
        enum hr_status s;

        if (r->n_params < 3)
                return HR_OK;
        if (strcmp(params[1], params[2]) >= 0)
                return billrun_host->reject(call, 422, "bad_period", "to",
                                            "`to` is the day after the last day; it comes after "
                                            "`from`");
        if (!params[0])
                return HR_OK;
        s = billrun_host->query(call, sql_branch_id, 1, params, &rows);
        if (s == HR_OK && billrun_host->rows_count(rows) == 0)
                s = billrun_host->reject(call, 404, "unknown_branch", "branch",
                                         "There is no branch %s", params[0]);
        return s;
}

static enum hr_status make(struct hr_call *call, const struct report *r, bool csv)
{
        const char *params[3];
        struct hr_rows *rows, *summary;
        struct buf out = BUF_INIT;
        enum hr_status s;

        for (size_t i = 0; i < r->n_params; i++)
                params[i] = billrun_host->param(call, r->params[i]);
        s = check(call, r, params);
        if (s == HR_OK)
                s = billrun_host->query(call, r->sql, r->n_params, params, &rows);
        if (s == HR_OK)
                s = billrun_host->query(call, r->summary, r->n_params, params, &summary);
        if (s != HR_OK)
                return s;
        if (billrun_host->rows_count(summary) == 0)
                return billrun_host->reject(call, 404, "not_found", r->params[0],
                                            "There is no %s %s", r->params[0], params[0]);
        if (csv)
                put_csv(&out, r, rows);
        else
                put_json(&out, r, rows, billrun_host->rows_text(summary, 0, "doc"));
        if (out.failed)
                s = HR_RETRY;
        else if (csv)
                billrun_host->reply_file(call, "text/csv; charset=utf-8",
                                         billrun_host->format(call, "%s.csv", r->name), out.p,
                                         out.len);
        else
                billrun_host->reply_json(call, buf_cstr(&out), out.len);
        buf_deinit(&out);
        return s;
}

#define REPORT(report)                                                                             \
        enum hr_status ops_report_##report(struct hr_call *call)                                   \
        {                                                                                          \
                return make(call, &report, false);                                                 \
        }                                                                                          \
        enum hr_status ops_report_##report##_csv(struct hr_call *call)                             \
        {                                                                                          \
                return make(call, &report, true);                                                  \
        }

REPORT(control)
REPORT(unbilled)
REPORT(consumption)
REPORT(revenue)
