/* Demand: measured peak, ratchet, minimum, and what is charged for it. */

#include <stdio.h>

#include "tariff.h"

static int compare_max(struct decimal *max, struct decimal v)
{
        if (decimal_cmp(v, *max) <= 0)
                return 0;
        *max = v;
        return 1;
}

/* Months from @year/@month back to the bill's month. */
static int months_ago(const struct run *run, int year, int month)
{
        return (run->year - year) * 12 + run->month - month;
}

/* A month's peak counts with the percentage of that month, looking back over the last N months or
 * at named months, and the bill's own month among them. */
static int apply_ratchet(struct run *run, const struct ratchet *r, struct decimal peak,
                         struct decimal *ret)
{
        struct decimal best = DECIMAL_ZERO, v;
        int e;

        for (size_t i = 0; i <= run->in->n_peaks; i++) {
                bool own = i == run->in->n_peaks;
                int year = own ? run->year : run->in->peaks[i].year;
                int month = own ? run->month : run->in->peaks[i].month;
                int ago = months_ago(run, year, month);

                if (month < 1 || month > 12)
                        return rating_fail(run->err, RATING_E_INPUT,
                                           "a peak of month %d was handed in", month);
                if (r->named ? !(r->named >> (month - 1) & 1) || ago > 12
                             : ago < 0 || ago > r->lookback)
                        continue;
                if (!own && ago <= 0)
                        continue; /* the bill's own month is measured, not remembered */
                e = muldiv(run, own ? peak : run->in->peaks[i].kw, r->percent[month - 1],
                           decimal_int(100), &v);
                if (e)
                        return e;
                compare_max(&best, v);
        }
        if (r->use_current[run->month - 1])
                compare_max(&best, peak);
        *ret = best;
        return 0;
}

static struct decimal counted_peak(const struct demand *d,
                                   const struct decimal peaks[MAX_PERIODS + 1])
{
        struct decimal max = DECIMAL_ZERO;

        if (d->schedule < 0 || d->periods == UINT64_MAX)
                return peaks[MAX_PERIODS];
        for (int p = 0; p < MAX_PERIODS; p++)
                if (d->periods >> p & 1)
                        compare_max(&max, peaks[p]);
        return max;
}

/* Billing demand of one definition for the whole bill. */
static int demand_compute(struct run *run, const struct demand *d, struct decimal *ret_peak,
                          struct decimal *ret)
{
        struct span whole = { run->in->from_day, run->in->to_day, false };
        struct decimal peaks[MAX_PERIODS + 1], v;
        int e = measure_peak(run, d->quantity ? d->quantity : run->t->quantity, d->window_s,
                             d->schedule, &whole, peaks);

        if (e)
                return e;
        *ret_peak = *ret = counted_peak(d, peaks);
        if (d->ratchet.on)
                e = apply_ratchet(run, &d->ratchet, *ret_peak, ret);
        compare_max(ret, d->minimum);
        if (!e && !decimal_is_zero(d->contract_percent)) {
                e = muldiv(run, run->in->contract_kw, d->contract_percent, decimal_int(100), &v);
                if (!e)
                        compare_max(ret, v);
        }
        return e;
}

int demand_need(struct run *run)
{
        int e;

        if (run->have_demand)
                return 0;
        e = demand_compute(run, &run->t->demand, &run->peak_kw, &run->billing_kw);
        run->have_demand = e == 0;
        return e;
}

/* A peak is never scaled by days, its price is. */
static int demand_price(struct run *run, const struct component *c, const struct span *s,
                        struct decimal rate, struct decimal *ret)
{
        int e = indexed(run, c, rate, &rate);

        if (e)
                return e;
        *ret = rate;
        if (c->proration == PRORATE_DAYS) {
                struct decimal n = decimal_int(span_days(s));

                if (!decimal_is_zero(c->proration_times))
                        e = mul(run, n, c->proration_times, &n);
                if (!e)
                        e = muldiv(run, rate, n, c->proration_days, ret);
        } else if (c->proration == PRORATE_FULL_PERIOD)
                e = muldiv(run, rate, decimal_int(span_days(s)), run->full_days, ret);
        else if (s->part)
                e = muldiv(run, rate, decimal_int(span_days(s)), decimal_int(run->days), ret);
        if (!e && decimal_cmp(rate, *ret) != 0)
                step(run, "price %s for the month, %s for %d days", rating_text(run, rate),
                     rating_text(run, *ret), span_days(s));
        return e;
}

static int demand_lines(struct run *run, const struct component *c, const struct span *s,
                        const struct tiers *tiers, const char *period, struct decimal kw)
{
        const char *unit = c->unit ? c->unit : "kW";
        struct filled f;
        int e = tiers_fill(run, c, tiers, kw, run->days, &f);

        for (unsigned k = 0; !e && k < tiers->n; k++) {
                struct decimal price, exact;
                char suffix[80];

                if (decimal_is_zero(f.quantity[k]) && tiers->n > 1)
                        continue;
                if (tiers->n > 1)
                        snprintf(suffix, sizeof(suffix), "%s%s_t%u", period ? "_" : "",
                                 period ? period : "", k + 1);
                else
                        snprintf(suffix, sizeof(suffix), "%s%s", period ? "_" : "",
                                 period ? period : "");
                step(run, "billing demand %s %s", rating_text(run, kw), unit);
                if (tiers->n > 1)
                        step(run, "tier %u", k + 1);
                e = demand_price(run, c, s, tiers->tier[k].rate, &price);
                if (!e)
                        e = mul(run, f.quantity[k], price, &exact);
                if (!e)
                        step(run, "%s %s × %s = %s", rating_text(run, f.quantity[k]), unit,
                             rating_text(run, price), rating_text(run, exact));
                if (!e)
                        e = line_add(run, c, s, RATING_CHARGE, suffix, f.quantity[k], unit, price,
                                     exact);
        }
        return e;
}

int charge_demand(struct run *run, const struct component *c, const struct span *s)
{
        const struct demand *d = c->own_demand ? &c->demand : &run->t->demand;
        const char *name = d->quantity ? d->quantity : run->t->quantity;
        const struct schedule *sched;
        struct decimal peaks[MAX_PERIODS + 1], kw, peak;
        int e;

        if (c->schedule < 0) {
                e = c->own_demand ? demand_compute(run, d, &peak, &kw) : demand_need(run);
                if (!c->own_demand) {
                        kw = run->billing_kw;
                        peak = run->peak_kw;
                }
                if (e)
                        return e;
                if (c->has_by_month) {
                        struct tier by_month = { .open = true,
                                                 .rate = c->by_month[run->month - 1] };
                        struct tiers one = { &by_month, 1 };

                        return demand_lines(run, c, s, &one, NULL, kw);
                }
                if (decimal_cmp(peak, kw) != 0)
                        step(run, "measured %s, after ratchet and minimum %s",
                             rating_text(run, peak), rating_text(run, kw));
                return demand_lines(run, c, s, &c->tiers[c->tiers_by_month ? run->month - 1 : 0],
                                    NULL, kw);
        }
        e = measure_peak(run, name, d->window_s, c->schedule, s, peaks);
        if (!e && c->billing_peak)
                e = demand_need(run);
        sched = run->t->schedule[c->schedule];
        for (unsigned p = 0; !e && p < sched->n_periods; p++) {
                kw = peaks[p];
                if (c->billing_peak && d->periods >> p & 1 &&
                    sched->in_month[run->month - 1] >> p & 1)
                        kw = run->billing_kw;
                if (decimal_is_zero(kw))
                        continue;
                e = demand_lines(run, c, s, &c->tiers[p], sched->period[p], kw);
                if (run->t->has_demand)
                        continue;
                compare_max(&run->peak_kw, peaks[p]);
                compare_max(&run->billing_kw, peaks[p]);
        }
        return e;
}

/* Demand above the contract: tiers by percent of the contract, each a multiple of the price. */
int charge_over_contract(struct run *run, const struct component *c, const struct span *s)
{
        struct decimal over, below = DECIMAL_ZERO, limit, q, price, exact;
        int e = demand_need(run);

        if (e)
                return e;
        e = minus(run, run->peak_kw, run->in->contract_kw, &over);
        if (e)
                return e;
        for (unsigned k = 0; k < c->tiers[0].n && decimal_cmp(over, below) > 0; k++) {
                const struct tier *t = &c->tiers[0].tier[k];
                char suffix[16];

                limit = over;
                if (!t->open) {
                        e = muldiv(run, run->in->contract_kw, t->upto, decimal_int(100), &limit);
                        if (!e && decimal_cmp(limit, over) > 0)
                                limit = over;
                }
                if (!e)
                        e = minus(run, limit, below, &q);
                if (!e)
                        e = mul(run, c->rate, t->rate, &price);
                if (!e)
                        e = mul(run, q, price, &exact);
                if (e)
                        return e;
                step(run, "%s kW over the contract of %s kW, times %s the price",
                     rating_text(run, q), rating_text(run, run->in->contract_kw),
                     rating_text(run, t->rate));
                snprintf(suffix, sizeof(suffix), "_t%u", k + 1);
                e = line_add(run, c, s, RATING_CHARGE, suffix, q, "kW", price, exact);
                if (e)
                        return e;
                below = limit;
        }
        return 0;
}
