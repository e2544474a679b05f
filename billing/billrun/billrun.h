#pragma once

/* What the files of plugin "billrun" share: the host table, loading of bill inputs, saving. */

#include "bill.h"
#include "headrace/plugin.h"
#include "readings.h"
#include "usage.h"

extern const struct hr_host *billrun_host; /* set by init() */

/* ---- tariff versions, loaded once per job or call ---- */

struct tariffs {
        struct tariff_entry *first; /* owned list */
};

void tariffs_deinit(struct tariffs *t);

/* ---- inputs of bills ---- */

/* Readings of a segment that the store had to merge; NULL where the packed ones are enough. */
struct load_listed {
        const char *intervals, *registers;
        bool wanted;
};

struct load_contract {
        int64_t contract_id, account_id, service_point_id;
        int64_t previous_bill, rebill_of; /* 0 = none */
        bool billed;                      /* has an active bill for some of these days */
        const char *number, *tariff, *class_name;
        struct bill_input in;
        struct bill_part *parts;
        struct bill_segment *segments;
        struct load_listed *listed; /* one a segment */
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
        struct bill_maps maps;
        struct readings readings; /* packed, of all contracts */
        struct usage usage;       /* scratch */
        bool packed;              /* segments are filled by load_expand(), contract by contract */
};

/* Limits from the plugin's configuration. */
void load_init(struct load *l, struct hr_call *call, struct tariffs *tariffs);
void load_deinit(struct load *l);
/* Contracts @contracts ("{1,2,3}") of a run, with everything but those already billed filled in. */
enum hr_status load_run_range(struct load *l, const char *run, const char *contracts);
/* Fills the segments of one contract of load_run_range(); memory from @arena. */
enum hr_status load_expand(struct load *l, struct load_contract *c, struct arena *arena);
/* Like load_run_range() for other work, with all segments filled: @branch_sql with parameter
 * @branch gives the row of a sql_run_branch, @sql the rows of a sql_range_contracts. */
enum hr_status load_spans(struct load *l, const char *branch_sql, const char *branch,
                          const char *sql, size_t n, const char *const params[]);
/* What bill @bill was computed from, as it froze it; readings as they are stored now. l->n is 0 for
 * an unknown bill. */
enum hr_status load_frozen(struct load *l, const char *bill);

/* Between the files of loading. scan.c: fetches the readings of all segments, packed. */
enum hr_status scan_readings(struct load *l);
/* The readings of all segments, filled in unless l->packed; with @validated, what validation holds
 * back. */
enum hr_status load_readings(struct load *l, bool validated);
/* A column's text in the load's arena; NULL when out of memory. */
const char *load_keep(struct load *l, const struct hr_rows *rows, size_t row, const char *column);
/* An SQL array "{1,2,3}": item by item, then whole; borrowed from @b. */
void load_put_item(struct buf *b, int64_t v);
const char *load_array_text(struct buf *b);

/* ---- saving ---- */

/* Appends one bill as a JSON object to @out, as billing.save_bills() takes it. */
void save_bill_json(struct buf *out, const struct load *l, const struct load_contract *c,
                    const struct bill *b);
/* Its JSON columns one by one. @sources: of the segments with channel code @only, NULL = all. */
void save_inputs(struct buf *out, const struct load *l, const struct bill_input *in);
void save_sources(struct buf *out, const struct bill_input *in, const char *only);
void save_daily(struct buf *out, const struct bill_input *in, const struct bill_determinant *d);
void save_carry(struct buf *out, const struct rating_carry *carry, size_t n);
void save_exceptions(struct buf *out, const struct bill *b);

/* Bills on their way into the tables, as three binary COPY streams. */
struct stage {
        struct buf bills, determinants, lines; /* owned */
        size_t n;
};

void stage_begin(struct stage *s);
void stage_deinit(struct stage *s);
void stage_put(struct stage *s, const struct load *l, const struct load_contract *c,
               int64_t bill_id, const struct bill *b);
/* Stores them; *@ret_skipped: contracts that got an active bill from elsewhere meanwhile. */
enum hr_status stage_save(struct stage *s, struct hr_call *call, const char *run,
                          int64_t *ret_skipped);

/* ---- ranges of a run ---- */

struct range_work {
        struct tariffs tariffs;
        struct stage stage;
        const char *run;
        int64_t done, total; /* contracts of the whole run */
};

/* Takes the next range nobody works at (or, when @wait, one that somebody does, once they are
 * gone), computes and stores its bills in the call's transaction; the caller commits. *@ret_more:
 * there was one. */
enum hr_status range_step(struct hr_call *call, struct range_work *w, bool wait, bool *ret_more);
void range_work_deinit(struct range_work *w);

/* ---- jobs and operations of other files ---- */

enum hr_status billrun_job_run(struct hr_call *call, struct hr_job *job);
/* A second pair of hands for billrun_job_run(). */
enum hr_status billrun_job_share(struct hr_call *call, struct hr_job *job);
enum hr_status billrun_job_issue(struct hr_call *call, struct hr_job *job);
enum hr_status billrun_op_replay(struct hr_call *call);
enum hr_status billrun_op_explain(struct hr_call *call);
/* Replies with column "doc" of the first row; 404 @code when there is no row. */
enum hr_status billrun_reply_doc(struct hr_call *call, const struct hr_rows *rows,
                                 const char *param);
