/* Bills computed and not kept: a trial run of a cycle, and what was used but not billed yet as of a
 * day. The same loader and rating as a bill run's; only the last step differs. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billops.h"
#include "billops_sql.h"

enum hr_status ops_begin(struct hr_call *call, struct hr_job *job, struct ops_work *w)
{
        const char *params[] = { billrun_host->job_params(job), billrun_host->job_state(job) };
        const char *batch = billrun_host->config(call, "batch");
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_job_state, 2, params, &rows);

        if (s != HR_OK)
                return s;
        snprintf(w->id, sizeof w->id, "%s", billrun_host->rows_text(rows, 0, "id"));
        w->after = billrun_host->rows_int(rows, 0, "after");
        w->done = billrun_host->rows_int(rows, 0, "done");
        w->batch = batch ? atoi(batch) : 0;
        if (w->batch < 1 || w->batch > 5000)
                w->batch = 100;
        return HR_OK;
}

enum hr_status ops_commit(struct hr_call *call, struct hr_job *job, const struct ops_work *w)
{
        char state[96];

        snprintf(state, sizeof state, "{\"after\":%lld,\"done\":%lld}", (long long)w->after,
                 (long long)w->done);
        return billrun_host->job_commit(call, job, state, w->done, w->total);
}

enum hr_status ops_submit(struct hr_call *call, const char *type, const char *id,
                          const char *set_sql, int64_t *ret_job)
{
        enum hr_status s = billrun_host->submit_job(
                call, type, billrun_host->format(call, "{\"id\":%s}", id), ret_job);

        if (s != HR_OK)
                return s;
        const char *params[] = { id, billrun_host->format(call, "%lld", (long long)*ret_job) };

        return billrun_host->query(call, set_sql, 2, params, NULL);
}

/* ---- a computed bill as a row ---- */

static void put_text(struct buf *out, const char *name, const char *value)
{
        buf_printf(out, "\"%s\":", name);
        buf_put_json_str(out, value ? value : "", value ? strlen(value) : 0);
}

static const char *status_of(const struct bill_input *in, const struct bill *b)
{
        for (size_t i = 0; i < b->n_determinants; i++)
                if (in->main_code && strcmp(b->determinants[i].name, in->main_code) == 0)
                        return bill_quality_name(b->determinants[i].quality);
        return "";
}

static void put_details(struct buf *out, const struct bill *b)
{
        buf_put_str(out, ",\"lines\":[");
        for (size_t i = 0; i < b->n_lines; i++) {
                buf_printf(out, "%s{\"kind\":\"%s\",\"amount\":%lld,", i ? "," : "",
                           bill_kind_name(b->lines[i].kind), (long long)b->lines[i].amount);
                put_text(out, "component", b->lines[i].component);
                buf_put_str(out, "}");
        }
        buf_put_str(out, "],\"exceptions\":[");
        for (size_t i = 0; i < b->n_exceptions; i++) {
                buf_put_str(out, i ? ",{" : "{");
                put_text(out, "code", b->exceptions[i].code);
                buf_put_str(out, ",");
                put_text(out, "text", b->exceptions[i].text);
                buf_printf(out, ",\"hard\":%s}", b->exceptions[i].hard ? "true" : "false");
        }
        buf_put_str(out, "]}");
}

static void put_row(struct buf *out, const struct load_contract *c, const struct bill *b)
{
        char quantity[DECIMAL_TEXT_SIZE];

        buf_printf(out, "%s{\"contract_id\":%lld,\"from_day\":%lld,\"to_day\":%lld",
                   out->len > 1 ? "," : "", (long long)c->contract_id, (long long)c->in.from_day,
                   (long long)c->in.to_day);
        if (c->previous_bill)
                buf_printf(out, ",\"previous_bill_id\":%lld", (long long)c->previous_bill);
        if (!b) {
                buf_put_str(out, ",\"state\":\"skipped\",\"total\":0,\"tax\":0,\"unit\":\"\","
                                 "\"lines\":[],\"exceptions\":[{\"code\":\"billed\",\"text\":\""
                                 "Some of these days are billed already\",\"hard\":true}]}");
                return;
        }
        decimal_format(b->quantity, 0, quantity);
        buf_printf(out, ",\"state\":\"%s\",\"total\":%lld,\"tax\":%lld,\"quantity\":\"%s\",",
                   b->held ? "held" : "draft", (long long)b->total, (long long)b->tax, quantity);
        put_text(out, "unit", b->unit);
        buf_put_str(out, ",");
        put_text(out, "status", status_of(&c->in, b));
        put_details(out, b);
}

/* ---- the job ---- */

static enum hr_status compute(struct hr_call *call, const char *id, const struct load *l,
                              bool accrual)
{
        struct buf json = BUF_INIT;
        enum hr_status s = HR_OK;

        buf_put_str(&json, "[");
        for (size_t i = 0; i < l->n && s == HR_OK; i++) {
                struct load_contract *c = &l->contracts[i];
                struct bill b;

                if (c->billed && !accrual) {
                        put_row(&json, c, NULL);
                        continue;
                }
                if (bill_compute(&c->in, &b) != 0) {
                        s = HR_RETRY;
                        break;
                }
                put_row(&json, c, &b);
                bill_deinit(&b);
        }
        buf_put_str(&json, "]");
        const char *params[] = { id, buf_cstr(&json) };

        if (s == HR_OK)
                s = json.failed ? HR_RETRY
                                : billrun_host->query(call, sql_trial_save, 2, params, NULL);
        buf_deinit(&json);
        return s;
}

static enum hr_status trial_step(struct hr_call *call, struct ops_work *w, struct tariffs *tariffs,
                                 bool *ret_more)
{
        const char *id = w->id;
        const char *params[] = { id, billrun_host->format(call, "%lld", (long long)w->after),
                                 billrun_host->format(call, "%d", w->batch) };
        struct hr_rows *rows;
        struct load l;
        bool accrual;
        enum hr_status s = billrun_host->query(call, sql_trial_branch, 1, &id, &rows);

        *ret_more = false;
        if (s != HR_OK || billrun_host->rows_count(rows) == 0 ||
            billrun_host->rows_text(rows, 0, "done")[0] == 't')
                return s;
        w->total = billrun_host->rows_int(rows, 0, "contracts");
        accrual = strcmp(billrun_host->rows_text(rows, 0, "kind"), "accrual") == 0;
        load_init(&l, call, tariffs);
        /* An accrual prices what there is; nobody is going to be sent it. */
        if (accrual)
                l.limits = (struct bill_limits){ 0 };
        s = load_spans(&l, sql_trial_branch, id, sql_trial_contracts, 3, params);
        if (s == HR_OK && l.n > 0) {
                s = compute(call, id, &l, accrual);
                w->after = l.contracts[l.n - 1].contract_id;
                w->done += (int64_t)l.n;
                *ret_more = true;
        }
        load_deinit(&l);
        return s;
}

enum hr_status ops_job_trial(struct hr_call *call, struct hr_job *job)
{
        struct tariffs tariffs = { 0 };
        struct ops_work w = { 0 };
        enum hr_status s = ops_begin(call, job, &w);
        const char *id = w.id;
        bool more = s == HR_OK;

        while (more) {
                s = trial_step(call, &w, &tariffs, &more);
                if (s == HR_OK && more)
                        s = ops_commit(call, job, &w);
                if (s != HR_OK)
                        more = false;
        }
        tariffs_deinit(&tariffs);
        return s == HR_OK ? billrun_host->query(call, sql_trial_done, 1, &id, NULL) : s;
}

/* ---- operations ---- */

static enum hr_status create(struct hr_call *call, const char *member, const char *kind,
                             const char *cycle, const char *from, const char *to)
{
        const char *params[] = { billrun_host->param(call, "branch"),
                                 kind,
                                 cycle,
                                 from,
                                 to,
                                 billrun_host->actor(call) };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_trial_create, 6, params, &rows);
        const char *id;
        int64_t job;
        char *doc;

        if (s != HR_OK)
                return s;
        if (billrun_host->rows_count(rows) == 0)
                return billrun_host->reject(call, 404, "unknown_branch", "branch",
                                            "There is no branch %s", params[0]);
        id = billrun_host->rows_text(rows, 0, "trial_id");
        s = ops_submit(call, "billops.trial", id, sql_trial_set_job, &job);
        if (s != HR_OK)
                return s;
        doc = billrun_host->format(call, "{\"%s\":%s,\"job_id\":%lld,\"contracts\":%s}", member, id,
                                   (long long)job, billrun_host->rows_text(rows, 0, "contracts"));
        billrun_host->reply_status(call, 201);
        billrun_host->reply_json(call, doc, strlen(doc));
        return HR_OK;
}

enum hr_status ops_trial_create(struct hr_call *call)
{
        const char *cycle = billrun_host->param(call, "cycle");
        const char *from = billrun_host->param(call, "from"), *to = billrun_host->param(call, "to");

        if (strcmp(from, to) >= 0)
                return billrun_host->reject(call, 422, "bad_period", "to",
                                            "`to` is the day after the period's last day");
        return create(call, "trial", "run", cycle ? cycle : "monthly", from, to);
}

enum hr_status ops_accrual_create(struct hr_call *call)
{
        const char *day = billrun_host->param(call, "as_of");
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_day_after, 1, &day, &rows);

        return s == HR_OK ? create(call, "accrual", "accrual", billrun_host->param(call, "cycle"),
                                   day, billrun_host->rows_text(rows, 0, "day"))
                          : s;
}

OPS_DOC(ops_trial_show, sql_trial_show, "trial", "trial", "percent")
OPS_DOC(ops_accrual_show, sql_accrual_show, "accrual", "accrual")
