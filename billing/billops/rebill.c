/*
 * Cancelling and billing again. One pass does the real thing for a few contracts: reverses the
 * listed bills, computes and issues new ones, oldest first, so that each begins with what the one
 * before hands on. A simulation makes the pass inside a savepoint and keeps only its figures; the
 * execution keeps the pass when every bill came out as it was approved, else it takes it back and
 * goes on without the contracts that differ.
 */

#include <stdio.h>
#include <string.h>

#include "billops.h"
#include "billops_sql.h"

enum { CONTRACTS_A_STEP = 50 };

struct pass {
        struct hr_call *call;
        struct ops_work *w;
        struct tariffs *tariffs;
        const char *contracts; /* bigint[] as text */
        const char *state;     /* of the items to work on: "open" or "ready" */
        const char *run, *actor;
        bool cancel;         /* reverse only */
        const char *results; /* what came out, JSON */
};

static enum hr_status exec(struct hr_call *call, const char *sql)
{
        return billrun_host->query(call, sql, 0, NULL, NULL);
}

/* ---- one pass ---- */

static enum hr_status compute_bills(struct pass *p, const struct load *l)
{
        struct buf json = BUF_INIT;
        enum hr_status s = HR_OK;

        buf_put_str(&json, "[");
        for (size_t i = 0; i < l->n && s == HR_OK; i++) {
                struct load_contract *c = &l->contracts[i];
                struct bill b;

                /* Other active bills in these days: none comes out, and the results say so. */
                if (c->billed)
                        continue;
                if (bill_compute(&c->in, &b) != 0) {
                        s = HR_RETRY;
                        break;
                }
                if (json.len > 1)
                        buf_put_str(&json, ",");
                save_bill_json(&json, l, c, &b);
                bill_deinit(&b);
        }
        buf_put_str(&json, "]");
        const char *params[] = { p->run, buf_cstr(&json) };

        if (s == HR_OK)
                s = json.failed ? HR_RETRY
                                : billrun_host->query(p->call, sql_rebill_save, 2, params, NULL);
        buf_deinit(&json);
        return s;
}

static enum hr_status bill_nth(struct pass *p, int64_t nth)
{
        const char *params[] = { p->w->id, p->contracts,
                                 billrun_host->format(p->call, "%lld", (long long)nth), p->state };
        const char *issue[] = { p->w->id, p->run, p->actor };
        struct load l;
        enum hr_status s;

        load_init(&l, p->call, p->tariffs);
        s = load_spans(&l, sql_rebill_branch, p->w->id, sql_rebill_contracts, 4, params);
        if (s == HR_OK && l.n > 0)
                s = compute_bills(p, &l);
        load_deinit(&l);
        return s == HR_OK ? billrun_host->query(p->call, sql_rebill_issue, 3, issue, NULL) : s;
}

static enum hr_status run_pass(struct pass *p)
{
        const char *reverse[] = { p->w->id, p->contracts, p->state, p->actor };
        const char *ranks[] = { p->w->id, p->contracts, p->state };
        const char *results[] = { p->w->id, p->run, p->contracts, p->state };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(p->call, sql_rebill_reverse, 4, reverse, NULL);
        int64_t n = 0;

        if (s == HR_OK && !p->cancel) {
                s = billrun_host->query(p->call, sql_rebill_ranks, 3, ranks, &rows);
                n = s == HR_OK ? billrun_host->rows_int(rows, 0, "nth") : 0;
        }
        for (int64_t nth = 1; nth <= n && s == HR_OK; nth++)
                s = bill_nth(p, nth);
        if (s == HR_OK)
                s = billrun_host->query(p->call, sql_rebill_results, 4, results, &rows);
        if (s == HR_OK)
                p->results = billrun_host->rows_text(rows, 0, "doc");
        return s;
}

static enum hr_status find_run(struct pass *p)
{
        const char *id = p->w->id;
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(p->call, sql_rebill_run, 1, &id, &rows);

        if (s == HR_OK)
                p->run = billrun_host->rows_text(rows, 0, "run");
        return s;
}

static enum hr_status take_back(struct pass *p)
{
        enum hr_status s = exec(p->call, sql_rollback_savepoint);

        return s == HR_OK ? exec(p->call, sql_release_savepoint) : s;
}

/* ---- simulating ---- */

static enum hr_status simulate(struct pass *p)
{
        enum hr_status s = exec(p->call, sql_savepoint);

        if (s == HR_OK)
                s = find_run(p);
        if (s == HR_OK)
                s = run_pass(p);
        if (s == HR_OK)
                s = take_back(p);
        if (s != HR_OK)
                return s;
        const char *params[] = { p->w->id, p->results };

        return billrun_host->query(p->call, sql_rebill_simulated, 2, params, NULL);
}

/* ---- executing ---- */

static enum hr_status tell(struct pass *p)
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(p->call, sql_rebill_changes, 1, &p->results, &rows);

        for (size_t i = 0; s == HR_OK && i < billrun_host->rows_count(rows); i++) {
                const char *old = billrun_host->rows_text(rows, i, "bill_id");
                const char *account = billrun_host->rows_text(rows, i, "account");
                const char *bill = billrun_host->rows_text(rows, i, "new_bill");
                struct buf json = BUF_INIT;

                s = billrun_host->publish(p->call, "bill.reversed", old,
                                          billrun_host->format(p->call, "{\"bill\":%s}", old));
                if (s != HR_OK || !*bill)
                        continue;
                buf_printf(&json, "{\"bill\":%s,\"account\":", bill);
                buf_put_json_str(&json, account, strlen(account));
                buf_printf(&json, ",\"total\":%s,\"currency\":\"%s\",\"rebill_of\":%s}",
                           billrun_host->rows_text(rows, i, "total"),
                           billrun_host->rows_text(rows, i, "currency"), old);
                s = billrun_host->publish(p->call, "bill.issued", bill, buf_cstr(&json));
                buf_deinit(&json);
        }
        return s;
}

static enum hr_status keep(struct pass *p)
{
        const char *params[] = { p->w->id, p->results };
        enum hr_status s = exec(p->call, sql_release_savepoint);

        if (s == HR_OK)
                s = billrun_host->query(p->call, sql_rebill_keep, 2, params, NULL);
        return s == HR_OK ? tell(p) : s;
}

/* Each round without a kept pass marks at least one contract, so it ends. */
static enum hr_status execute(struct pass *p)
{
        enum hr_status s = find_run(p);
        const char *set[] = { p->w->id, p->run };

        if (s == HR_OK)
                s = billrun_host->query(p->call, sql_rebill_set_run, 2, set, NULL);
        while (s == HR_OK) {
                const char *params[] = { p->w->id, NULL };
                struct hr_rows *rows;

                s = exec(p->call, sql_savepoint);
                if (s == HR_OK)
                        s = run_pass(p);
                params[1] = p->results;
                if (s == HR_OK)
                        s = billrun_host->query(p->call, sql_rebill_differing, 2, params, &rows);
                if (s != HR_OK)
                        break;
                if (billrun_host->rows_null(rows, 0, "contracts"))
                        return keep(p);
                params[1] = billrun_host->rows_text(rows, 0, "contracts");
                s = take_back(p);
                if (s == HR_OK)
                        s = billrun_host->query(p->call, sql_rebill_refuse, 2, params, NULL);
        }
        return s;
}

/* ---- the jobs ---- */

static enum hr_status rebill_step(struct hr_call *call, struct ops_work *w, struct tariffs *tariffs,
                                  bool simulation, bool *ret_more)
{
        struct pass p = {
                .call = call, .w = w, .tariffs = tariffs, .state = simulation ? "open" : "ready"
        };
        const char *next[] = { w->id, billrun_host->format(call, "%lld", (long long)w->after),
                               billrun_host->format(call, "%d", CONTRACTS_A_STEP), p.state };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_rebill_counts, 1, next, &rows);

        *ret_more = false;
        /* Cancelled meanwhile, or done by another holder of the job. */
        if (s != HR_OK || billrun_host->rows_count(rows) == 0 ||
            strcmp(billrun_host->rows_text(rows, 0, "state"), simulation ? "draft" : "approved") !=
                    0)
                return s;
        w->total = billrun_host->rows_int(rows, 0, "contracts");
        p.cancel = strcmp(billrun_host->rows_text(rows, 0, "mode"), "cancel") == 0;
        p.actor = billrun_host->rows_text(rows, 0, simulation ? "created_by" : "approved_by");
        s = billrun_host->query(call, sql_rebill_next, 4, next, &rows);
        if (s != HR_OK || billrun_host->rows_null(rows, 0, "contracts"))
                return s;
        p.contracts = billrun_host->rows_text(rows, 0, "contracts");
        w->after = billrun_host->rows_int(rows, 0, "last");
        w->done += billrun_host->rows_int(rows, 0, "n");
        *ret_more = true;
        const char *stale[] = { w->id, p.contracts, p.state };

        s = billrun_host->query(call, sql_rebill_stale, 3, stale, NULL);
        if (s == HR_OK)
                s = simulation ? simulate(&p) : execute(&p);
        return s;
}

static enum hr_status work(struct hr_call *call, struct hr_job *job, bool simulation)
{
        struct tariffs tariffs = { 0 };
        struct ops_work w = { 0 };
        enum hr_status s = ops_begin(call, job, &w);
        const char *id = w.id;
        bool more = s == HR_OK;

        while (more) {
                s = rebill_step(call, &w, &tariffs, simulation, &more);
                if (s == HR_OK && more)
                        s = ops_commit(call, job, &w);
                if (s != HR_OK)
                        more = false;
        }
        tariffs_deinit(&tariffs);
        if (s == HR_OK)
                s = billrun_host->query(call,
                                        simulation ? sql_rebill_end_simulation : sql_rebill_end, 1,
                                        &id, NULL);
        return s == HR_OK
                       ? billrun_host->publish(call,
                                               simulation ? "rebill.simulated" : "rebill.done", id,
                                               billrun_host->format(call, "{\"rebill\":%s}", id))
                       : s;
}

enum hr_status ops_job_simulate(struct hr_call *call, struct hr_job *job)
{
        return work(call, job, true);
}

enum hr_status ops_job_rebill(struct hr_call *call, struct hr_job *job)
{
        return work(call, job, false);
}

/* ---- operations ---- */

OPS_DOC(ops_rebill_list, sql_rebill_list, "state", "state", "branch", "limit")
OPS_DOC(ops_rebill_show, sql_rebill_show, "rebill", "rebill")
OPS_DOC(ops_proposal_list, sql_proposal_list, "state", "state", "branch", "limit")
OPS_DOC(ops_proposal_dismiss, sql_proposal_dismiss, "proposal", "proposal", "reason", "@actor")
OPS_DOC(ops_estimate_list, sql_estimate_list, "branch", "branch", "at_least")

enum hr_status ops_rebill_create(struct hr_call *call)
{
        const char *params[] = {
                billrun_host->param(call, "branch"), billrun_host->param(call, "mode"),
                billrun_host->param(call, "reason"), billrun_host->actor(call),
                billrun_host->param(call, "bills"),  billrun_host->param(call, "contract"),
                billrun_host->param(call, "tariff"), billrun_host->param(call, "class"),
                billrun_host->param(call, "from"),   billrun_host->param(call, "to"),
                billrun_host->param(call, "run"),    billrun_host->param(call, "estimated")
        };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_rebill_create, 12, params, &rows);
        int64_t job;

        if (s != HR_OK)
                return s;
        if (billrun_host->rows_count(rows) == 0)
                return billrun_host->reject(call, 404, "unknown_branch", "branch",
                                            "There is no branch %s", params[0]);
        const char *id = billrun_host->rows_text(rows, 0, "id");
        const char *take[] = { id, params[3] };

        s = billrun_host->query(call, sql_rebill_take, 2, take, NULL);
        if (s == HR_OK)
                s = ops_submit(call, "billops.simulate", id, sql_rebill_set_job, &job);
        if (s == HR_OK)
                s = ops_show(call, sql_rebill_show, id, "rebill");
        if (s == HR_OK)
                billrun_host->reply_status(call, 201);
        return s;
}

static enum hr_status approve(struct hr_call *call, const char *job_type)
{
        const char *params[] = { billrun_host->param(call, "rebill"), billrun_host->actor(call) };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_rebill_counts, 1, params, &rows);
        int64_t job;

        if (s != HR_OK)
                return s;
        if (billrun_host->rows_count(rows) == 0)
                return billrun_host->reject(call, 404, "unknown_rebill", "rebill",
                                            "There is no re-bill %s", params[0]);
        if (strcmp(billrun_host->rows_text(rows, 0, "state"), "simulated") != 0)
                return billrun_host->reject(call, 409, "not_simulated", "rebill",
                                            "Re-bill %s is %s; it is approved once it is simulated",
                                            params[0], billrun_host->rows_text(rows, 0, "state"));
        s = billrun_host->query(call, sql_rebill_approve, 2, params, NULL);
        if (s == HR_OK)
                s = ops_submit(call, job_type, params[0], sql_rebill_set_job, &job);
        return s == HR_OK ? ops_show(call, sql_rebill_show, params[0], "rebill") : s;
}

enum hr_status ops_rebill_approve(struct hr_call *call)
{
        return approve(call, "billops.rebill");
}

/* Within the branch's limit whoever made the list carries it out; over it, the table's trigger asks
 * for another person, and that one needs the permission to approve. */
enum hr_status ops_rebill_execute(struct hr_call *call)
{
        const char *params[] = { billrun_host->param(call, "rebill"), billrun_host->actor(call) };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_rebill_counts, 1, params, &rows);

        if (s == HR_OK && billrun_host->rows_count(rows) > 0 &&
            strcmp(billrun_host->rows_text(rows, 0, "created_by"), params[1]) != 0)
                return billrun_host->reject(call, 403, "not_yours", "rebill",
                                            "Re-bill %s was made by %s; approve it instead",
                                            params[0],
                                            billrun_host->rows_text(rows, 0, "created_by"));
        return s == HR_OK ? approve(call, "billops.execute") : s;
}

enum hr_status ops_rebill_cancel(struct hr_call *call)
{
        const char *id = billrun_host->param(call, "rebill");
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_rebill_cancel, 1, &id, &rows);

        if (s == HR_OK && billrun_host->rows_count(rows) > 0)
                s = billrun_host->query(call, sql_rebill_reopen, 1, &id, NULL);
        return s == HR_OK ? ops_show(call, sql_rebill_show, id, "rebill") : s;
}

/* Late or changed readings: a proposal for each issued bill they belong to, never a silent change.
 */
enum hr_status ops_reading_changed(struct hr_call *call, const struct hr_event *event)
{
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_event_days, 1, &event->json, &rows);

        if (s != HR_OK || billrun_host->rows_count(rows) == 0)
                return s;
        const char *params[] = { billrun_host->rows_text(rows, 0, "meter_id"),
                                 billrun_host->rows_text(rows, 0, "days") };

        s = billrun_host->query(call, sql_readings_changed, 2, params, &rows);
        for (size_t i = 0; s == HR_OK && i < billrun_host->rows_count(rows); i++) {
                const char *bill = billrun_host->rows_text(rows, i, "bill");

                s = billrun_host->publish(
                        call, "rebill.proposed", bill,
                        billrun_host->format(call, "{\"bill\":%s,\"cause\":\"readings_changed\"}",
                                             bill));
        }
        return s;
}
