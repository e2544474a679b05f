/*
 * bill.explain: each line with what it was computed from, and why the bill differs from the one
 * before. The difference is taken apart so that the four parts add up to it exactly:
 *
 *   price      the bill's readings at its own prices minus the same at the previous bill's
 *   days       the previous bill for one day, times the days more or less
 *   estimates  of what is left, the share that rests on estimated readings in either bill
 *   use        the rest
 *
 * Both pricings are the real one (bill_compute), not a mean price.
 */

#include <string.h>

#include "billrun.h"
#include "billrun_sql.h"

enum { STATUS_MASK = 15, STATUS_FIRST_ESTIMATE = 2, STATUS_LAST_ESTIMATE = 5, STATUS_REJECTED = 8 };

struct difference {
        int64_t by_price;      /* minor units */
        int64_t estimated_ppm; /* of both bills' use, millionths */
};

/* Use of the main quantity in raw units, and what of it was estimated. Meters of other factors
 * count by their values: it is a share, not a quantity. */
static void add_estimates(const struct bill_input *in, int64_t *all, int64_t *estimated)
{
        for (size_t i = 0; i < in->n_segments; i++) {
                const struct bill_segment *s = &in->segments[i];

                if (!in->main_code || strcmp(s->code, in->main_code) != 0)
                        continue;
                for (size_t k = 0; k < s->n; k++) {
                        uint8_t how = s->status[k] & STATUS_MASK;
                        int64_t v = s->value[k] < 0 ? -s->value[k] : s->value[k];

                        if (how == STATUS_REJECTED || v > INT32_MAX)
                                continue;
                        *all += v;
                        if (how >= STATUS_FIRST_ESTIMATE && how <= STATUS_LAST_ESTIMATE)
                                *estimated += v;
                }
        }
}

static bool same_versions(const struct load_contract *a, const struct load_contract *b)
{
        const struct bill_part *last = &b->parts[b->in.n_parts - 1];

        for (size_t i = 0; i < a->in.n_parts; i++)
                if (a->parts[i].version != last->version ||
                    strcmp(a->parts[i].code, last->code) != 0)
                        return false;
        return true;
}

/* @now with its own tariff versions, and with the last one of @before. A bill that only one of them
 * can price has no part by price. */
static enum hr_status reprice(const struct load_contract *now, const struct load_contract *before,
                              struct difference *d)
{
        struct bill_part part = before->parts[before->in.n_parts - 1];
        struct bill_input in = now->in;
        struct bill own, old;

        if (same_versions(now, before))
                return HR_OK;
        in.limits = (struct bill_limits){ 0 };
        if (bill_compute(&in, &own) != 0)
                return HR_RETRY;
        part.from_day = in.from_day;
        part.to_day = in.to_day;
        in.parts = &part;
        in.n_parts = 1;
        if (bill_compute(&in, &old) != 0) {
                bill_deinit(&own);
                return HR_RETRY;
        }
        if (own.priced && old.priced)
                d->by_price = own.total - old.total;
        bill_deinit(&old);
        bill_deinit(&own);
        return HR_OK;
}

static enum hr_status take_apart(struct hr_call *call, const char *bill, const char *previous,
                                 struct difference *d)
{
        struct tariffs tariffs = { 0 };
        struct load now, before;
        int64_t all = 0, estimated = 0;
        enum hr_status s;

        load_init(&now, call, &tariffs);
        load_init(&before, call, &tariffs);
        s = load_frozen(&now, bill);
        if (s == HR_OK)
                s = load_frozen(&before, previous);
        if (s == HR_OK && now.n > 0 && before.n > 0 && now.contracts[0].in.n_parts > 0 &&
            before.contracts[0].in.n_parts > 0) {
                add_estimates(&now.contracts[0].in, &all, &estimated);
                add_estimates(&before.contracts[0].in, &all, &estimated);
                d->estimated_ppm = all > 0 ? (int64_t)((__int128)estimated * 1000000 / all) : 0;
                s = reprice(&now.contracts[0], &before.contracts[0], d);
        }
        load_deinit(&before);
        load_deinit(&now);
        tariffs_deinit(&tariffs);
        return s;
}

enum hr_status billrun_op_explain(struct hr_call *call)
{
        const char *bill = billrun_host->param(call, "bill");
        struct difference d = { 0 };
        struct hr_rows *rows;
        enum hr_status s = billrun_host->query(call, sql_bill_previous, 1, &bill, &rows);

        if (s == HR_OK && billrun_host->rows_count(rows) == 0)
                return billrun_host->reject(call, 404, "not_found", "bill", "There is no bill %s",
                                            bill);
        if (s == HR_OK && !billrun_host->rows_null(rows, 0, "previous_bill_id"))
                s = take_apart(call, bill, billrun_host->rows_text(rows, 0, "previous_bill_id"),
                               &d);
        if (s != HR_OK)
                return s;
        const char *params[] = { bill, billrun_host->format(call, "%lld", (long long)d.by_price),
                                 billrun_host->format(call, "%lld", (long long)d.estimated_ppm) };

        s = billrun_host->query(call, sql_bill_explain, 3, params, &rows);
        return s == HR_OK ? billrun_reply_doc(call, rows, "bill") : s;
}
