/* The two long pieces of work: computing a run's bills, and issuing them. Each transaction takes a
 * range or a batch and stores where it got to; killed anywhere, it goes on there. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "billrun.h"
#include "billrun_sql.h"

struct work {
        char run[24], actor[128];
        int64_t done, total;
        int batch;
        bool shared; /* helpers were asked for */
};

enum { MAX_HELPERS = 15 };

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
        w->done = billrun_host->rows_int(rows, 0, "done");
        w->shared = billrun_host->rows_text(rows, 0, "shared")[0] == 't';
        w->batch = batch ? atoi(batch) : 0;
        if (w->batch < 1 || w->batch > 5000)
                w->batch = 100;
        return HR_OK;
}

static enum hr_status commit(struct hr_call *call, struct hr_job *job, const struct work *w)
{
        char state[96];

        snprintf(state, sizeof state, "{\"shared\":%s,\"done\":%lld}", w->shared ? "true" : "false",
                 (long long)w->done);
        return billrun_host->job_commit(call, job, state, w->done, w->total);
}

/* ---- computing ---- */

/* Deals out the contracts, once, and asks for a second pair of hands a core: jobs of their own, so
 * that as many help as this daemon lets work on jobs. */
static enum hr_status plan(struct hr_call *call, struct hr_job *job, struct work *w)
{
        const char *run = w->run;
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_run_plan, 1, &run, &rows);
        int64_t ranges, helpers = sysconf(_SC_NPROCESSORS_ONLN) - 1, id;

        if (s != HR_OK)
                return s;
        ranges = billrun_host->rows_int(rows, 0, "ranges");
        helpers = helpers > MAX_HELPERS ? MAX_HELPERS : helpers;
        for (int64_t i = 0; i < helpers && i < ranges - 1 && !w->shared && s == HR_OK; i++)
                s = billrun_host->submit_job(call, "billrun.share",
                                             billrun_host->format(call, "{\"run\":%s}", run), &id);
        w->shared = true;
        return s == HR_OK ? commit(call, job, w) : s;
}

/* Ranges until none is free; then, when @wait, those that others do not come to an end with. */
static enum hr_status work_off(struct hr_call *call, struct hr_job *job, struct work *w, bool wait)
{
        struct range_work r = { .run = w->run };
        enum hr_status s = HR_OK;
        bool more = true, waiting = false;

        while (s == HR_OK && (more || (wait && !waiting))) {
                waiting = !more;
                s = range_step(call, &r, waiting, &more);
                w->done = r.done;
                w->total = r.total;
                if (s == HR_OK && more) {
                        s = commit(call, job, w);
                        waiting = false;
                }
        }
        range_work_deinit(&r);
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
        struct work w = { 0 };
        enum hr_status s = begin(call, job, &w);

        if (s == HR_OK)
                s = plan(call, job, &w);
        if (s == HR_OK)
                s = work_off(call, job, &w, true);
        return s == HR_OK ? computed(call, &w) : s;
}

enum hr_status billrun_job_share(struct hr_call *call, struct hr_job *job)
{
        struct work w = { 0 };
        enum hr_status s = begin(call, job, &w);

        return s == HR_OK ? work_off(call, job, &w, false) : s;
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
