#pragma once

/* What the files of plugin "billops" share. The host table is billrun.h's billrun_host, which the
 * loader of bill inputs uses too; plugin.c sets it. */

#include "billrun.h"

/* Where a long piece of work stands: kept in the job's state, so that it goes on there. */
struct ops_work {
        char id[24]; /* trial or re-bill */
        int64_t after, done, total;
        int batch;
};

enum hr_status ops_begin(struct hr_call *call, struct hr_job *job, struct ops_work *w);
enum hr_status ops_commit(struct hr_call *call, struct hr_job *job, const struct ops_work *w);
/* Submits job @type with {"id": @id}, stores its number with @set_sql(id, job). */
enum hr_status ops_submit(struct hr_call *call, const char *type, const char *id,
                          const char *set_sql, int64_t *ret_job);

/* One query whose parameters are the operation's in order ("@actor" is the caller); replies with
 * its column "doc", or 404 about parameter @missing when there is no row. */
enum hr_status ops_doc(struct hr_call *call, const char *sql, size_t n, const char *const names[],
                       const char *missing);
/* Runs @sql with one id and replies with its "doc". */
enum hr_status ops_show(struct hr_call *call, const char *sql, const char *id, const char *what);

/* An operation that is one query. */
#define OPS_DOC(function, sql, missing, ...)                                                       \
        enum hr_status function(struct hr_call *call)                                              \
        {                                                                                          \
                static const char *const names[] = { __VA_ARGS__ };                                \
                                                                                                   \
                return ops_doc(call, sql, sizeof names / sizeof *names, names, missing);           \
        }

/* ---- control.c ---- */
enum hr_status ops_policy_set(struct hr_call *call);
enum hr_status ops_policy_show(struct hr_call *call);
enum hr_status ops_person_set(struct hr_call *call);
enum hr_status ops_outsort_set(struct hr_call *call);
enum hr_status ops_outsort_rules(struct hr_call *call);
enum hr_status ops_run_outsort(struct hr_call *call);
enum hr_status ops_run_review(struct hr_call *call);
enum hr_status ops_run_reviews(struct hr_call *call);
enum hr_status ops_run_undo(struct hr_call *call);
enum hr_status ops_run_release(struct hr_call *call);
enum hr_status ops_run_hold(struct hr_call *call);
enum hr_status ops_run_monitor(struct hr_call *call);
enum hr_status ops_run_resume(struct hr_call *call);
enum hr_status ops_bill_hold(struct hr_call *call);
enum hr_status ops_bill_final(struct hr_call *call);
/* Inserts a run (branch id, cycle, from, to, contract id or NULL, actor, kind), submits its job,
 * replies 201. *@ret_run borrowed. */
enum hr_status ops_start_run(struct hr_call *call, const char *const params[7],
                             const char **ret_run);

/* ---- cycle.c ---- */
enum hr_status ops_cycle_set(struct hr_call *call);
enum hr_status ops_cycle_list(struct hr_call *call);
enum hr_status ops_cycle_plan(struct hr_call *call);
enum hr_status ops_cycle_calendar(struct hr_call *call);
enum hr_status ops_cycle_run(struct hr_call *call);
enum hr_status ops_contract_cycle(struct hr_call *call);

/* ---- trial.c ---- */
enum hr_status ops_trial_create(struct hr_call *call);
enum hr_status ops_trial_show(struct hr_call *call);
enum hr_status ops_accrual_create(struct hr_call *call);
enum hr_status ops_accrual_show(struct hr_call *call);
enum hr_status ops_job_trial(struct hr_call *call, struct hr_job *job);

/* ---- rebill.c ---- */
enum hr_status ops_rebill_create(struct hr_call *call);
enum hr_status ops_rebill_list(struct hr_call *call);
enum hr_status ops_rebill_show(struct hr_call *call);
enum hr_status ops_rebill_approve(struct hr_call *call);
enum hr_status ops_rebill_execute(struct hr_call *call);
enum hr_status ops_rebill_cancel(struct hr_call *call);
enum hr_status ops_proposal_list(struct hr_call *call);
enum hr_status ops_proposal_dismiss(struct hr_call *call);
enum hr_status ops_estimate_list(struct hr_call *call);
enum hr_status ops_job_simulate(struct hr_call *call, struct hr_job *job);
enum hr_status ops_job_rebill(struct hr_call *call, struct hr_job *job);
enum hr_status ops_reading_changed(struct hr_call *call, const struct hr_event *event);

/* ---- adjust.c ---- */
enum hr_status ops_adjustment_create(struct hr_call *call);
enum hr_status ops_adjustment_list(struct hr_call *call);
enum hr_status ops_adjustment_show(struct hr_call *call);
enum hr_status ops_adjustment_approve(struct hr_call *call);
enum hr_status ops_adjustment_reject(struct hr_call *call);
enum hr_status ops_budget_create(struct hr_call *call);
enum hr_status ops_budget_list(struct hr_call *call);
enum hr_status ops_budget_show(struct hr_call *call);
enum hr_status ops_budget_settle(struct hr_call *call);

/* ---- report.c: each as JSON and as a CSV file ---- */
enum hr_status ops_report_control(struct hr_call *call);
enum hr_status ops_report_control_csv(struct hr_call *call);
enum hr_status ops_report_unbilled(struct hr_call *call);
enum hr_status ops_report_unbilled_csv(struct hr_call *call);
enum hr_status ops_report_consumption(struct hr_call *call);
enum hr_status ops_report_consumption_csv(struct hr_call *call);
enum hr_status ops_report_revenue(struct hr_call *call);
enum hr_status ops_report_revenue_csv(struct hr_call *call);
