#pragma once

/* What the files of plugin "billrun" share: the host table, loading of bill inputs, saving. */

#include "bill.h"
#include "headrace/plugin.h"

extern const struct hr_host *billrun_host; /* set by init() */

/* ---- tariff versions, loaded once per job or call ---- */

struct tariffs {
        struct tariff_entry *first; /* owned list */
};

void tariffs_deinit(struct tariffs *t);

/* ---- inputs of bills ---- */

struct load_contract {
        int64_t contract_id, account_id, service_point_id;
        int64_t previous_bill, rebill_of; /* 0 = none */
        bool billed;                      /* has an active bill for some of these days */
        const char *number, *tariff, *class_name;
        struct bill_input in;
        struct bill_part *parts;
        struct bill_segment *segments;
};

struct load {
        struct hr_call *call;    /* borrowed */
        struct tariffs *tariffs; /* borrowed */
        struct arena arena;      /* owns what the inputs point to, besides rows of the call */
        struct tz *tz;           /* owned: the branch's */
        const char *branch, *tz_name, *currency;
        int64_t branch_id;
        int minor_digits;
        struct bill_limits limits;
        struct load_contract *contracts;
        size_t n;
};

/* Limits from the plugin's configuration. */
void load_init(struct load *l, struct hr_call *call, struct tariffs *tariffs);
void load_deinit(struct load *l);
/* The next @limit contracts of a run after contract @after, with everything but those already
 * billed filled in. l->n = 0 when there are no more. */
enum hr_status load_run_batch(struct load *l, const char *run, int64_t after, int limit);
/* Like load_run_batch() for other work: @branch_sql with parameter @branch gives the row of a
 * sql_run_branch, @sql the rows of a sql_batch_contracts. */
enum hr_status load_spans(struct load *l, const char *branch_sql, const char *branch,
                          const char *sql, size_t n, const char *const params[]);
/* What bill @bill was computed from, as it froze it; readings as they are stored now. l->n is 0 for
 * an unknown bill. */
enum hr_status load_frozen(struct load *l, const char *bill);

/* ---- saving ---- */

/* Appends one bill as a JSON object to @out, as billing.save_bills() takes it. */
void save_bill_json(struct buf *out, const struct load *l, const struct load_contract *c,
                    const struct bill *b);

/* ---- jobs and operations of other files ---- */

enum hr_status billrun_job_run(struct hr_call *call, struct hr_job *job);
enum hr_status billrun_job_issue(struct hr_call *call, struct hr_job *job);
enum hr_status billrun_op_replay(struct hr_call *call);
enum hr_status billrun_op_explain(struct hr_call *call);
/* Replies with column "doc" of the first row; 404 @code when there is no row. */
enum hr_status billrun_reply_doc(struct hr_call *call, const struct hr_rows *rows,
                                 const char *param);
