/* The two long pieces of work: computing a run's bills, and issuing them. Each transaction takes a
 * batch and stores where it got to; killed anywhere, it goes on there. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billrun.h"
#include "billrun_sql.h"

struct work {
        char run[24], actor[128];
        int64_t after, done, total;
        int batch;
};

static enum hr_status begin(struct hr_call *call, struct hr_job *job, struct work *w)
{
        const char *params[] = { billrun_host->job_params(job), billrun_host->job_state(job) };
        const char *batch = billrun_host->config(call, "batch");
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_job_state, 2, params, &rows);

        if (s != HR_OK)
                return s;
        snprintf(w->run, sizeof w->run, "%s", billrun_host->rows_text(rows, 0, "run"));
        snprintf(w->actor, sizeof w->actor, "%s", billrun_host->rows_text(rows, 0, "actor"));
        w->after = billrun_host->rows_int(rows, 0, "after");
        w->done = billrun_host->rows_int(rows, 0, "done");
        w->batch = batch ? atoi(batch) : 0;
        if (w->batch < 1 || w->batch > 5000)
                w->batch = 100;
        return HR_OK;
}

static enum hr_status commit(struct hr_call *call, struct hr_job *job, const struct work *w)
{
        char state[96];

        snprintf(state, sizeof state, "{\"after\":%lld,\"done\":%lld}", (long long)w->after,
                 (long long)w->done);
        return billrun_host->job_commit(call, job, state, w->done, w->total);
}

/* ---- computing ---- */

static enum hr_status save(struct hr_call *call, const struct work *w, struct buf *json,
                           int64_t *ret_skipped)
{
        const char *params[] = { w->run, buf_cstr(json) };
        struct hr_rows *rows;
        enum hr_status s;

        if (json->failed)
                return HR_RETRY;
        s = billrun_host->query(call, sql_save_bills, 2, params, &rows);
        if (s == HR_OK)
                *ret_skipped += billrun_host->rows_int(rows, 0, "skipped");
        return s;
}

static enum hr_status compute_batch(struct hr_call *call, const struct work *w,
                                    const struct load *l)
{
        struct buf json = BUF_INIT;
        int64_t skipped = 0;
        enum hr_status s = HR_OK;
        int rc = 0;

        buf_put_str(&json, "[");
        for (size_t i = 0; i < l->n && rc == 0; i++) {
                struct bill b;

                if (l->contracts[i].billed) {
                        skipped++;
                        continue;
                }
                rc = bill_compute(&l->contracts[i].in, &b);
                if (rc != 0)
                        break;
                if (json.len > 1)
                        buf_put_str(&json, ",");
                save_bill_json(&json, l, &l->contracts[i], &b);
                bill_deinit(&b);
        }
        buf_put_str(&json, "]");
        s = rc == 0 ? save(call, w, &json, &skipped) : HR_RETRY;
        buf_deinit(&json);
        if (s != HR_OK)
                return s;
        const char *params[] = { w->run, billrun_host->format(call, "%zu", l->n),
                                 billrun_host->format(call, "%lld", (long long)skipped) };

        return billrun_host->query(call, sql_run_advance, 3, params, NULL);
}

/* How a step ended: HR_OK and *@ret_more, or a status to return. */
static enum hr_status compute_step(struct hr_call *call, struct work *w, struct tariffs *tariffs,
                                   bool *ret_more)
{
        struct hr_rows *rows;
        struct load l;
        const char *run = w->run;
        enum hr_status s = billrun_host->query(call, sql_run_counts, 1, &run, &rows);

        *ret_more = false;
        /* Cancelled meanwhile: nothing left to do. */
        if (s != HR_OK || billrun_host->rows_count(rows) == 0 ||
            strcmp(billrun_host->rows_text(rows, 0, "state"), "draft") != 0)
                return s;
        w->total = billrun_host->rows_int(rows, 0, "contracts");
        load_init(&l, call, tariffs);
        s = load_run_batch(&l, run, w->after, w->batch);
        if (s == HR_OK && l.n > 0) {
                s = compute_batch(call, w, &l);
                w->after = l.contracts[l.n - 1].contract_id;
                w->done += (int64_t)l.n;
                *ret_more = true;
        }
        load_deinit(&l);
        return s;
}

static enum hr_status computed(struct hr_call *call, const struct work *w)
{
        const char *run = w->run;
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_run_computed, 1, &run, &rows);

        if (s != HR_OK || billrun_host->rows_count(rows) == 0)
                return s;
        return billrun_host->publish(
                call, "run.computed", run,
                billrun_host->format(call, "{\"run\":%s,\"bills\":%lld}", run,
                                     (long long)billrun_host->rows_int(rows, 0, "bills")));
}

enum hr_status billrun_job_run(struct hr_call *call, struct hr_job *job)
{
        struct tariffs tariffs = { 0 };
        struct work w = { 0 };
        enum hr_status s = begin(call, job, &w);
        bool more = s == HR_OK;

        while (more) {
                s = compute_step(call, &w, &tariffs, &more);
                if (s == HR_OK && more)
                        s = commit(call, job, &w);
                if (s != HR_OK)
                        more = false;
        }
        tariffs_deinit(&tariffs);
        return s == HR_OK ? computed(call, &w) : s;
}

/* ---- issuing ---- */

static enum hr_status publish_issued(struct hr_call *call, const struct hr_rows *rows)
{
        for (size_t i = 0; i < billrun_host->rows_count(rows); i++) {
                const char *bill = billrun_host->rows_text(rows, i, "bill_id");
                struct buf json = BUF_INIT;
                const char *account = billrun_host->rows_text(rows, i, "account");
                enum hr_status s;

                buf_printf(&json, "{\"bill\":%s,\"account\":", bill);
                buf_put_json_str(&json, account, strlen(account));
                buf_printf(&json, ",\"total\":%s,\"currency\":\"%s\"}",
                           billrun_host->rows_text(rows, i, "total"),
                           billrun_host->rows_text(rows, i, "currency"));
                s = billrun_host->publish(call, "bill.issued", bill, buf_cstr(&json));
                buf_deinit(&json);
                if (s != HR_OK)
                        return s;
        }
        return HR_OK;
}

static enum hr_status issue_step(struct hr_call *call, struct work *w, bool *ret_more)
{
        const char *params[] = { w->run, billrun_host->format(call, "%d", w->batch), w->actor };
        struct hr_rows *rows;
        enum hr_status s;
        size_t n;

        *ret_more = false;
        if (w->total == 0) {
                s = billrun_host->query(call, sql_run_counts, 1, params, &rows);
                if (s != HR_OK)
                        return s;
                w->total = w->done + billrun_host->rows_int(rows, 0, "drafts");
        }
        s = billrun_host->query(call, sql_issue_bills, 3, params, &rows);
        if (s != HR_OK)
                return s;
        n = billrun_host->rows_count(rows);
        if (n == 0)
                return HR_OK;
        s = publish_issued(call, rows);
        w->done += (int64_t)n;
        *ret_more = true;
        return s;
}

enum hr_status billrun_job_issue(struct hr_call *call, struct hr_job *job)
{
        struct work w = { 0 };
        enum hr_status s = begin(call, job, &w);
        bool more = s == HR_OK;
        const char *run = w.run;

        while (more) {
                s = issue_step(call, &w, &more);
                if (s == HR_OK && more)
                        s = commit(call, job, &w);
                if (s != HR_OK)
                        more = false;
        }
        if (s == HR_OK)
                s = billrun_host->query(call, sql_run_issued, 1, &run, NULL);
        if (s == HR_OK)
                s = billrun_host->publish(call, "run.issued", run,
                                          billrun_host->format(call, "{\"run\":%s,\"bills\":%lld}",
                                                               run, (long long)w.done));
        return s;
}
