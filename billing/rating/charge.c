/* Components other than energy and demand, and the dispatch over all of them. */

#include <errno.h>
#include <string.h>

#include "tariff.h"

/* × days / days of the period the amount was meant for. */
static int prorate(struct run *run, const struct component *c, const struct span *s,
                   struct decimal amount, struct decimal *ret)
{
        struct decimal days = decimal_int(span_days(s)), of = decimal_int(run->days);

        *ret = amount;
        if (c->proration == PRORATE_FULL_PERIOD)
                of = run->full_days;
        else if (c->proration == PRORATE_DAYS)
                of = c->proration_days;
        else if (!s->part)
                return 0;
        if (c->proration == PRORATE_DAYS && !decimal_is_zero(c->proration_times)) {
                int e = mul(run, days, c->proration_times, &days);

                if (e)
                        return e;
        }
        step(run, "%s × %s of %s days", rating_text(run, amount), rating_text(run, days),
             rating_text(run, of));
        return muldiv(run, amount, days, of, ret);
}

int charge_fixed(struct run *run, const struct component *c, const struct span *s)
{
        struct decimal price = c->has_by_month ? c->by_month[run->month - 1] : c->amount;
        struct decimal count = decimal_int(1), quantity, exact;
        const char *unit = c->unit ? c->unit : "";
        int e;

        switch (c->per) {
        case PER_BILL:
                break;
        case PER_MONTH:
                if (c->proration == PRORATE_NONE)
                        count = decimal_int(run->months);
                unit = "month";
                break;
        case PER_DAY:
                count = decimal_int(span_days(s));
                unit = "day";
                break;
        case PER_KW:
        case PER_KW_MONTH:
                count = run->in->contract_kw;
                unit = "kW";
                break;
        case PER_HOUSEHOLD:
                count = decimal_int(run->households);
                unit = "household";
                break;
        default:
                return -EINVAL;
        }
        quantity = count;
        e = indexed(run, c, price, &price);
        if (!e)
                e = mul(run, count, price, &exact);
        if (!e && c->per == PER_KW_MONTH)
                e = mul(run, exact, decimal_int(run->months), &exact);
        if (!e && c->per != PER_DAY) {
                struct decimal whole = exact;

                e = prorate(run, c, s, whole, &exact);
                if (!e && (c->proration != PRORATE_NONE || s->part) && c->per <= PER_MONTH) {
                        quantity = decimal_int(span_days(s));
                        unit = "day";
                }
        }
        if (e)
                return e;
        step(run, "%s %s × %s = %s", rating_text(run, count), unit, rating_text(run, price),
             rating_text(run, exact));
        return line_add(run, c, s, RATING_CHARGE, "", quantity, unit, price, exact);
}

static int charge_package(struct run *run, const struct component *c, const struct span *s)
{
        struct decimal over, n, exact;
        struct measured m;
        int e = measure_quantity(run, c, s, c->quantity ? c->quantity : run->t->quantity, -1, &m);

        if (e)
                return e;
        if (decimal_sub(m.total, c->free_units, &over) < 0 ||
            decimal_div(over.m > 0 ? over : DECIMAL_ZERO, c->size, 0, DECIMAL_CEILING, &n) < 0)
                return rating_fail(run->err, RATING_E_RANGE, "component %s: quantity", c->code);
        e = mul(run, n, c->amount, &exact);
        step(run, "%s less %s free, in begun packages of %s: %s", rating_text(run, m.total),
             rating_text(run, c->free_units), rating_text(run, c->size), rating_text(run, n));
        return e ? e : line_add(run, c, s, RATING_CHARGE, "", n, "package", c->amount, exact);
}

static int charge_increment(struct run *run, const struct component *c, const struct span *s)
{
        struct decimal q, more, n, exact;
        struct measured m;
        int e = measure_quantity(run, c, s, c->quantity ? c->quantity : run->t->quantity, -1, &m);

        if (e)
                return e;
        q = m.total;
        if (q.m > 0 && decimal_cmp(q, c->first) <= 0) {
                q = c->first;
        } else if (q.m > 0) {
                if (decimal_sub(q, c->first, &more) < 0 ||
                    decimal_div(more, c->then, 0, DECIMAL_CEILING, &n) < 0)
                        return rating_fail(run->err, RATING_E_RANGE, "component %s: quantity",
                                           c->code);
                e = mul(run, n, c->then, &more);
                q = c->first;
                if (!e)
                        e = add_to(run, &q, more);
        }
        step(run, "%s rounded up to %s, then in steps of %s: %s", rating_text(run, m.total),
             rating_text(run, c->first), rating_text(run, c->then), rating_text(run, q));
        if (!e)
                e = muldiv(run, q, c->rate, c->per_units, &exact);
        return e ? e
                 : line_add(run, c, s, RATING_CHARGE, "", q, c->unit ? c->unit : m.unit, c->rate,
                            exact);
}

static int charge_tiered_percent(struct run *run, const struct component *c, const struct span *s)
{
        const struct tiers *tiers = &c->tiers[0];
        struct measured m;
        struct filled f;
        int e = measure_quantity(run, c, s, c->quantity ? c->quantity : run->t->quantity, -1, &m);

        if (!e)
                e = tiers_fill(run, c, tiers, m.total, span_days(s), &f);
        for (unsigned k = 0; !e && k < tiers->n; k++) {
                struct decimal factor, exact;
                char suffix[] = { '_', 't', (char)('1' + k % 9), '\0' };

                if (!f.touched[k])
                        continue;
                e = muldiv(run, tiers->tier[k].rate, decimal_int(1), decimal_int(100), &factor);
                if (!e)
                        e = mul(run, f.quantity[k], factor, &exact);
                if (!e && tiers->tier[k].has_flat)
                        e = add_to(run, &exact, tiers->tier[k].flat);
                step(run, "tier %u: %s %% of %s%s%s", k + 1, rating_text(run, tiers->tier[k].rate),
                     rating_text(run, f.quantity[k]), tiers->tier[k].has_flat ? " and once " : "",
                     tiers->tier[k].has_flat ? rating_text(run, tiers->tier[k].flat) : "");
                if (!e)
                        e = line_add(run, c, s, RATING_CHARGE, suffix, f.quantity[k],
                                     c->unit ? c->unit : m.unit, factor, exact);
        }
        return e;
}

/* ---- on other lines ---- */

static bool covers(const struct component *c, const struct rating_line *line)
{
        /* Its own lines under an earlier price are no base. */
        if (strcmp(c->code, line->component) == 0)
                return false;
        if (c->n_of == 0)
                return true;
        for (unsigned i = 0; i < c->n_of; i++)
                if (strcmp(c->of[i], line->component) == 0 || strcmp(c->of[i], line->code) == 0)
                        return true;
        return false;
}

/* What the lines before come to: rounded where lines are what is billed. */
static struct decimal line_value(const struct run *run, const struct rating_line *line)
{
        if (run->t->round_lines)
                return (struct decimal){ line->amount, (int8_t)run->t->minor_digits };
        return line->exact;
}

int base_of(struct run *run, const struct component *c, size_t n, struct decimal *ret)
{
        int e = 0;

        *ret = DECIMAL_ZERO;
        for (size_t i = 0; !e && i < n; i++)
                if (covers(c, &run->r->lines[i]))
                        e = add_to(run, ret, line_value(run, &run->r->lines[i]));
        return e;
}

int percent_line(struct run *run, const struct component *c, const struct span *s,
                 const char *suffix, struct decimal base, struct decimal pct)
{
        struct decimal factor, exact;
        int e = muldiv(run, pct, decimal_int(1), decimal_int(100), &factor);

        if (!e && s->part) {
                struct decimal whole = base;

                e = muldiv(run, whole, decimal_int(span_days(s)), decimal_int(run->days), &base);
                step(run, "%s × %d of %d days = %s", rating_text(run, whole), span_days(s),
                     run->days, rating_text(run, base));
        }
        if (!e)
                e = mul(run, base, factor, &exact);
        if (e)
                return e;
        step(run, "%s %% of %s = %s", rating_text(run, pct), rating_text(run, base),
             rating_text(run, exact));
        return line_add(run, c, s, c->tax ? RATING_TAX : RATING_CHARGE, suffix, base,
                        run->t->currency, factor, exact);
}

static int charge_percent(struct run *run, const struct component *c, const struct span *s)
{
        size_t n = run->r->n_lines;
        struct decimal base, pct;
        int e = indexed(run, c, c->pct, &pct);

        if (e)
                return e;
        if (!c->per_line) {
                e = base_of(run, c, n, &base);
                return e ? e : percent_line(run, c, s, "", base, pct);
        }
        for (size_t i = 0; !e && i < n; i++) {
                const struct rating_line *line = &run->r->lines[i];

                if (!covers(c, line))
                        continue;
                step(run, "on line %s", line->code);
                e = percent_line(run, c, s, line->code + strlen(line->component),
                                 line_value(run, line), pct);
        }
        return e;
}

/* The payout of a true-up is no charge: it is put back into the sum. */
static int without_true_up(struct run *run, const struct component *c, struct decimal *sum)
{
        int e = 0;

        for (size_t i = 0; !e && i < run->r->n_lines; i++) {
                const struct rating_line *l = &run->r->lines[i];
                size_t n = strlen(l->code);

                if (l->kind == RATING_CREDIT && n > 8 && strcmp(l->code + n - 8, "_true_up") == 0 &&
                    covers(c, l))
                        e = minus(run, *sum, line_value(run, l), sum);
        }
        return e;
}

/* Over a calendar year: bills before are carried, and the minimum asked for in December. */
static int year_so_far(struct run *run, struct decimal *sum)
{
        const struct rating_carry *before = carry_in(run, "charged_year");
        int e = before ? add_to(run, sum, before->value) : 0;

        return e ? e : carry_out(run, "charged_year", run->month == 12 ? DECIMAL_ZERO : *sum);
}

static int charge_minimum(struct run *run, const struct component *c, const struct span *s)
{
        struct span whole = { run->in->from_day, run->in->to_day, false };
        struct decimal sum, least = c->amount, lack;
        int e = base_of(run, c, run->r->n_lines, &sum);

        (void)s;
        if (!e && c->per == PER_DAY)
                e = mul(run, least, decimal_int(run->days), &least);
        else if (!e && c->per == PER_MONTH && c->proration == PRORATE_NONE)
                e = mul(run, least, decimal_int(run->months), &least);
        else if (!e && c->per == PER_KW)
                e = mul(run, least, run->in->contract_kw, &least);
        if (!e && c->proration != PRORATE_NONE)
                e = prorate(run, c, &whole, least, &least);
        if (!e)
                e = without_true_up(run, c, &sum);
        if (c->no_credit && sum.m < 0)
                sum = DECIMAL_ZERO;
        if (!e && c->annual)
                e = year_so_far(run, &sum);
        if (e || (c->annual && run->month != 12) || decimal_cmp(sum, least) >= 0)
                return e;
        e = minus(run, least, sum, &lack);
        if (e)
                return e;
        step(run, "charges of %s are below the minimum of %s", rating_text(run, sum),
             rating_text(run, least));
        return line_add(run, c, &whole, RATING_MINIMUM, "", decimal_int(1), "", lack, lack);
}

static int charge_slab(struct run *run, const struct component *c, const struct span *s)
{
        struct tiers limits = { c->slab, c->n_slab };
        struct measured m;
        int k, e = measure_quantity(run, c, s, c->quantity ? c->quantity : run->t->quantity, -1,
                                    &m);

        if (!e)
                e = tiers_pick(run, c, &limits, m.total, span_days(s), &k);
        if (e)
                return e;
        if (k < 0)
                return rating_fail(run->err, RATING_E_INPUT,
                                   "component %s: %s is beyond the last slab", c->code,
                                   rating_text(run, m.total));
        for (const struct component *part = c->slab_part[k]; part && !e; part = part->slab_next) {
                bool holds = true;

                step(run, "%s puts the whole bill into slab %d", rating_text(run, m.total), k + 1);
                e = condition_holds(run, part, s, &holds);
                if (!e && holds)
                        e = charge_component(run, part, s);
                buf_reset(&run->steps);
        }
        return e;
}

static int charge_band_fixed(struct run *run, const struct component *c, const struct span *s)
{
        struct measured m;
        int k, e = measure_quantity(run, c, s, c->quantity ? c->quantity : run->t->quantity, -1,
                                    &m);

        if (!e)
                e = tiers_pick(run, c, &c->tiers[0], m.total, span_days(s), &k);
        if (e || k < 0)
                return e;
        step(run, "%s lies in band %d", rating_text(run, m.total), k + 1);
        return line_add(run, c, s, RATING_CHARGE, "", decimal_int(1), "", c->tiers[0].tier[k].rate,
                        c->tiers[0].tier[k].rate);
}

static int charge_given(struct run *run, const struct component *c, const struct span *s)
{
        struct decimal amount = c->amount;
        struct measured m;
        int e = 0;

        if (c->quantity) {
                e = measure_quantity(run, c, s, c->quantity, -1, &m);
                amount = m.total;
        } else if (s->part) {
                e = muldiv(run, c->amount, decimal_int(span_days(s)), decimal_int(run->days),
                           &amount);
        }
        step(run, "amount %s as given", rating_text(run, amount));
        return e ? e : line_add(run, c, s, RATING_GIVEN, "", decimal_int(1), "", amount, amount);
}

int condition_holds(struct run *run, const struct component *c, const struct span *s, bool *ret)
{
        struct span whole = { run->in->from_day, run->in->to_day, false };
        const struct condition *w = &c->when;
        struct measured m;
        int e;

        (void)s;
        *ret = true;
        if (!w->quantity)
                return 0;
        e = measure_quantity(run, c, &whole, w->quantity, -1, &m);
        if (e == RATING_E_QUANTITY && w->absent_skips) {
                *ret = false;
                return 0;
        }
        if (e)
                return e;
        *ret = (!w->has_above || decimal_cmp(m.total, w->above) > 0) &&
               (!w->has_upto || decimal_cmp(m.total, w->upto) <= 0);
        if (*ret)
                step(run, "counts because %s is %s", w->quantity, rating_text(run, m.total));
        return 0;
}

int charge_component(struct run *run, const struct component *c, const struct span *s)
{
        switch (c->type) {
        case COMPONENT_FIXED:
                return charge_fixed(run, c, s);
        case COMPONENT_ENERGY:
                return charge_energy(run, c, s);
        case COMPONENT_PACKAGE:
                return charge_package(run, c, s);
        case COMPONENT_TIERED_PERCENT:
                return charge_tiered_percent(run, c, s);
        case COMPONENT_DEMAND:
                return charge_demand(run, c, s);
        case COMPONENT_PERCENT:
                return charge_percent(run, c, s);
        case COMPONENT_MINIMUM:
                return charge_minimum(run, c, s);
        case COMPONENT_SLAB:
                return charge_slab(run, c, s);
        case COMPONENT_BAND_FIXED:
                return charge_band_fixed(run, c, s);
        case COMPONENT_INCREMENT:
                return charge_increment(run, c, s);
        case COMPONENT_GIVEN:
                return charge_given(run, c, s);
        case COMPONENT_POWER_FACTOR:
                return charge_power_factor(run, c, s);
        case COMPONENT_OVER_CONTRACT:
                return charge_over_contract(run, c, s);
        case COMPONENT_NET:
                return charge_net(run, c, s);
        default:
                return -EINVAL;
        }
}
