/* One range of a bill run: load, scan, price, store, all in one transaction. The range's row is
 * locked until then, so no two threads, daemons or lives of a daemon bill a contract twice. */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "billrun.h"
#include "billrun_sql.h"

struct range {
        const char *no, *contracts;
        const char *bills; /* "{7,8,9}": numbers of the bills, by contract */
        int64_t skipped;
        int64_t scan_us, rate_us, write_us;
};

static int64_t now_us(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* The next of "{1,2,3}"; false at its end. */
static bool next_id(const char **list, int64_t *ret)
{
        const char *p = *list;
        char *end;

        while (*p == '{' || *p == ',')
                p++;
        if (*p < '0' || *p > '9')
                return false;
        *ret = strtoll(p, &end, 10);
        *list = end;
        return true;
}

static int64_t count_ids(const char *list)
{
        int64_t n = 0, id;

        while (next_id(&list, &id))
                n++;
        return n;
}

/* The number dealt out for @contract: both lists are in contract order, and so are the calls. */
static int64_t bill_of(const char **contracts, const char **bills, int64_t contract)
{
        int64_t id, bill = 0;

        while (next_id(contracts, &id) && next_id(bills, &bill) && id < contract)
                ;
        return bill;
}

static enum hr_status price_contract(struct load *l, struct load_contract *c, int64_t bill_id,
                                     struct stage *stage)
{
        struct arena scratch;
        enum hr_status s;
        struct bill b;

        arena_init(&scratch, 0);
        s = load_expand(l, c, &scratch);
        if (s == HR_OK && bill_compute(&c->in, &b) != 0)
                s = HR_RETRY;
        else if (s == HR_OK) {
                stage_put(stage, l, c, bill_id, &b);
                bill_deinit(&b);
        }
        arena_deinit(&scratch);
        return s;
}

static enum hr_status price_range(struct load *l, struct range *r, struct stage *stage)
{
        const char *contracts = r->contracts, *bills = r->bills;
        enum hr_status s = HR_OK;

        stage_begin(stage);
        for (size_t i = 0; i < l->n && s == HR_OK; i++) {
                int64_t bill = bill_of(&contracts, &bills, l->contracts[i].contract_id);

                if (l->contracts[i].billed)
                        r->skipped++;
                else
                        s = price_contract(l, &l->contracts[i], bill, stage);
        }
        return s;
}

static enum hr_status compute(struct hr_call *call, struct range_work *w, struct range *r)
{
        int64_t t0 = now_us(), t1 = t0, t2 = t0;
        struct load l;
        enum hr_status s;

        load_init(&l, call, &w->tariffs);
        s = load_run_range(&l, w->run, r->contracts);
        t1 = now_us();
        if (s == HR_OK)
                s = price_range(&l, r, &w->stage);
        t2 = now_us();
        load_deinit(&l);
        if (s == HR_OK)
                s = stage_save(&w->stage, call, w->run, &r->skipped);
        r->scan_us = t1 - t0;
        r->rate_us = t2 - t1;
        r->write_us = now_us() - t2;
        return s;
}

static enum hr_status finish(struct hr_call *call, struct range_work *w, const struct range *r)
{
        const char *params[] = {
                w->run,
                r->no,
                billrun_host->format(call, "%lld", (long long)count_ids(r->contracts)),
                billrun_host->format(call, "%lld", (long long)r->skipped),
                billrun_host->format(call, "%lld", (long long)r->scan_us),
                billrun_host->format(call, "%lld", (long long)r->rate_us),
                billrun_host->format(call, "%lld", (long long)r->write_us),
        };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_range_finish, 7, params, &rows);

        if (s != HR_OK)
                return s;
        /* Cancelled while it was computed: nothing of it is kept; the next try finds nothing to do.
         */
        if (billrun_host->rows_count(rows) == 0)
                return HR_RETRY;
        w->done = billrun_host->rows_int(rows, 0, "done");
        w->total = billrun_host->rows_int(rows, 0, "contracts");
        return HR_OK;
}

enum hr_status range_step(struct hr_call *call, struct range_work *w, bool wait, bool *ret_more)
{
        struct range r = { 0 };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_run_branch, 1, &w->run, &rows);

        *ret_more = false;
        /* Cancelled meanwhile: nothing left to do. */
        if (s != HR_OK || billrun_host->rows_count(rows) == 0 ||
            strcmp(billrun_host->rows_text(rows, 0, "state"), "draft") != 0)
                return s;
        s = billrun_host->query(call, wait ? sql_range_wait : sql_range_take, 1, &w->run, &rows);
        if (s != HR_OK || billrun_host->rows_count(rows) == 0)
                return s;
        r.no = billrun_host->rows_text(rows, 0, "no");
        r.contracts = billrun_host->rows_text(rows, 0, "contracts");
        r.bills = billrun_host->rows_text(rows, 0, "bills");
        s = compute(call, w, &r);
        if (s == HR_OK)
                s = finish(call, w, &r);
        *ret_more = s == HR_OK;
        return s;
}

void range_work_deinit(struct range_work *w)
{
        stage_deinit(&w->stage);
        tariffs_deinit(&w->tariffs);
}
