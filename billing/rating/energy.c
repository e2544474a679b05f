/* Quantity × price: flat, by tiers, by price period, or both. */

#include <stdio.h>
#include <string.h>

#include "civil.h"
#include "tariff.h"

int indexed(struct run *run, const struct component *c, struct decimal rate, struct decimal *ret)
{
        char day[CIVIL_RFC3339_SIZE];

        const struct rating_index *x = NULL;

        *ret = rate;
        if (!c->index)
                return 0;
        for (size_t i = 0; i < run->in->n_indices; i++) {
                const struct rating_index *v = &run->in->indices[i];

                /* Of several the latest one, whatever order they came in. */
                if (strcmp(v->name, c->index) == 0 && (!x || v->day > x->day))
                        x = v;
        }
        if (x) {
                civil_format(x->day * 86400, 0, day);
                day[10] = '\0';
                step(run, "index %s = %s of %s, source %s", x->name, rating_text(run, x->value),
                     day, x->source ? x->source : "not named");
                return mul(run, rate, x->value, ret);
        }
        return rating_fail(
                run->err, RATING_E_INDEX,
                "component %s: the index %s has no value for this period; enter it with its "
                "source and date",
                c->code, c->index);
}

/* One tier's line. */
int energy_tier_line(struct run *run, const struct component *c, const struct span *s,
                     const struct tier *tier, const char *suffix, struct decimal quantity,
                     const char *unit)
{
        struct decimal price, exact;
        int e = indexed(run, c, tier->rate, &price);

        if (!e)
                e = mul(run, quantity, price, &exact);
        if (e)
                return e;
        step(run, "%s %s × %s = %s", rating_text(run, quantity), unit ? unit : "",
             rating_text(run, price), rating_text(run, exact));
        if (tier->has_flat) {
                e = add_to(run, &exact, tier->flat);
                step(run, "+ %s once for the tier = %s", rating_text(run, tier->flat),
                     rating_text(run, exact));
        }
        return e ? e : line_add(run, c, s, RATING_CHARGE, suffix, quantity, unit, price, exact);
}

/* Prices inside one block of hours of use: limits from the block's own zero, in plain units. */
static int sub_fill(struct run *run, const struct component *c, const struct tier *tier,
                    struct decimal below, struct decimal quantity, int days, struct filled *ret)
{
        struct tiers sub = { .tier = tier->sub, .n = tier->n_sub };
        struct filled before;
        int e;

        if (!tier->sub_from_zero || decimal_is_zero(below))
                return tiers_fill(run, c, &sub, quantity, days, ret);
        e = tiers_fill(run, c, &sub, below, days, &before);
        if (!e)
                e = add_to(run, &quantity, below);
        if (!e)
                e = tiers_fill(run, c, &sub, quantity, days, ret);
        for (unsigned k = 0; !e && k < sub.n; k++)
                e = minus(run, ret->quantity[k], before.quantity[k], &ret->quantity[k]);
        return e;
}

/* @quantity lies in @tier, @below under it; of each block inside, the share @part of @whole. */
static int sub_lines(struct run *run, const struct component *c, const struct span *s,
                     const struct tier *tier, const char *suffix, struct decimal below,
                     struct decimal quantity, struct decimal part, struct decimal whole,
                     const char *unit)
{
        struct filled f;
        int e = sub_fill(run, c, tier, below, quantity, span_days(s), &f);

        for (unsigned k = 0; !e && k < tier->n_sub; k++) {
                struct decimal q = f.quantity[k];
                char text[96];

                if (decimal_is_zero(q) && !(tier->sub[k].has_flat && f.touched[k]))
                        continue;
                snprintf(text, sizeof(text), "%s%c", suffix, (char)('a' + k % 26));
                step(run, "block inside the tier");
                if (decimal_cmp(part, whole) != 0)
                        e = muldiv(run, q, part, whole, &q);
                if (!e)
                        e = energy_tier_line(run, c, s, &tier->sub[k], text, q, unit);
        }
        return e;
}

static void describe_tier(struct run *run, const struct tiers *tiers, const struct filled *f,
                          unsigned k)
{
        if (tiers->n < 2)
                return;
        if (tiers->tier[k].open)
                step(run, "tier %u: all above", k + 1);
        else
                step(run, "tier %u: up to %s", k + 1, rating_text(run, f->limit[k]));
}

/* @part of @whole in each tier: the tiers are filled on the whole, the part takes its share. */
static int tier_lines(struct run *run, const struct component *c, const struct span *s,
                      const struct tiers *tiers, const char *period, struct decimal part,
                      struct decimal whole, int days, const char *unit)
{
        bool shared = decimal_cmp(part, whole) != 0, single = tiers->n == 1;
        struct filled f;
        int e = tiers_fill(run, c, tiers, whole, days, &f);

        for (unsigned k = 0; !e && k < tiers->n; k++) {
                struct decimal q = f.quantity[k];
                char suffix[80];

                if (decimal_is_zero(q) && !(tiers->tier[k].has_flat && f.touched[k]) && !single)
                        continue;
                describe_tier(run, tiers, &f, k);
                if (shared) {
                        e = muldiv(run, q, part, whole, &q);
                        step(run, "%s in this tier × %s of %s in this price period",
                             rating_text(run, f.quantity[k]), rating_text(run, part),
                             rating_text(run, whole));
                }
                if (single)
                        snprintf(suffix, sizeof(suffix), "%s%s", period ? "_" : "",
                                 period ? period : "");
                else
                        snprintf(suffix, sizeof(suffix), "%s%s_t%u", period ? "_" : "",
                                 period ? period : "", k + 1);
                if (!e && tiers->tier[k].n_sub)
                        e = sub_lines(run, c, s, &tiers->tier[k], suffix,
                                      k > 0 ? f.limit[k - 1] : DECIMAL_ZERO, f.quantity[k], part,
                                      whole, unit);
                else if (!e)
                        e = energy_tier_line(run, c, s, &tiers->tier[k], suffix, q, unit);
        }
        return e;
}

static int volume_line(struct run *run, const struct component *c, const struct span *s,
                       const struct tiers *tiers, const char *suffix, struct decimal quantity,
                       const char *unit)
{
        int k, e = tiers_pick(run, c, tiers, quantity, span_days(s), &k);

        if (e)
                return e;
        if (k < 0)
                return 0; /* a rebate or price that ends with the last band */
        step(run, "%s lies in band %d, whose price holds for all of it", rating_text(run, quantity),
             k + 1);
        return energy_tier_line(run, c, s, &tiers->tier[k], suffix, quantity, unit);
}

static int round_quantity(struct run *run, const struct component *c, struct decimal *q)
{
        struct decimal before = *q;

        if (c->quantity_digits >= 0 &&
            decimal_rescale(*q, c->quantity_digits, DECIMAL_HALF_UP, q) < 0)
                return rating_fail(run->err, RATING_E_RANGE, "component %s: quantity", c->code);
        if (!decimal_is_zero(c->block) && decimal_div(*q, c->block, 0, DECIMAL_CEILING, q) < 0)
                return rating_fail(run->err, RATING_E_RANGE, "component %s: quantity", c->code);
        if (decimal_cmp(before, *q) != 0)
                step(run, "%s counts as %s", rating_text(run, before), rating_text(run, *q));
        return 0;
}

static void describe_quantity(struct run *run, const struct component *c, const struct measured *m)
{
        const char *name = c->quantity ? c->quantity : run->t->quantity;

        if (m->n_intervals)
                step(run, "%s = %s %s over %zu intervals", name, rating_text(run, m->total),
                     m->unit, m->n_intervals);
        else
                step(run, "%s = %s %s", name, rating_text(run, m->total), m->unit ? m->unit : "");
}

/* A minimum quantity is billed even when less was used. */
static int at_least(struct run *run, const struct component *c, const struct span *s,
                    struct decimal *q)
{
        struct tier least = { .upto = c->least };
        struct decimal limit;
        int e;

        if (decimal_is_zero(c->least))
                return 0;
        e = tier_limit(run, c, &least, span_days(s), &limit);
        if (e || decimal_cmp(*q, limit) >= 0)
                return e;
        step(run, "less than the minimum quantity: %s counts as %s", rating_text(run, *q),
             rating_text(run, limit));
        *q = limit;
        return 0;
}

static int charge_flat(struct run *run, const struct component *c, const struct span *s)
{
        const char *unit;
        struct measured m;
        struct decimal q;
        int e = measure_quantity(run, c, s, c->quantity ? c->quantity : run->t->quantity, -1, &m);

        if (e)
                return e;
        unit = c->unit ? c->unit : m.unit ? m.unit : run->t->unit;
        q = m.total;
        describe_quantity(run, c, &m);
        e = round_quantity(run, c, &q);
        if (!e)
                e = at_least(run, c, s, &q);
        if (e)
                return e;
        if (c->volume)
                return volume_line(run, c, s, &c->tiers[0], "", q, unit);
        return tier_lines(run, c, s, &c->tiers[0], NULL, q, q, span_days(s), unit);
}

static bool same_limits(const struct tiers *a, const struct tiers *b)
{
        if (a->n != b->n)
                return false;
        for (unsigned k = 0; k < a->n; k++)
                if (a->tier[k].open != b->tier[k].open || a->tier[k].kw != b->tier[k].kw ||
                    (!a->tier[k].open && decimal_cmp(a->tier[k].upto, b->tier[k].upto) != 0))
                        return false;
        return true;
}

/* Days of the span on which one of @periods occurs: a season's share of a bill across its edge. */
static int days_with(const struct run *run, const struct component *c, const struct span *s,
                     uint64_t periods)
{
        const struct schedule *sched = run->t->schedule[c->schedule];
        int n = 0;

        for (int64_t day = s->from_day; day < s->to_day; day++) {
                int y, m, d;

                civil_from_day(day, &y, &m, &d);
                for (int type = 0, hit = 0; type < DAY_TYPES && !hit; type++) {
                        const struct segment *g =
                                &sched->segments[sched->profile[(m - 1) * 31 + d - 1][type]];

                        for (;; g++) {
                                hit = hit || (periods >> g->period & 1);
                                if (g->end >= 1440)
                                        break;
                        }
                        n += hit;
                }
        }
        return n;
}

/* Tiers over a time-of-use schedule: periods of equal limits fill their tiers together. */
static int charge_pooled(struct run *run, const struct component *c, const struct span *s,
                         const struct measured *m, const char *unit)
{
        const struct schedule *sched = run->t->schedule[c->schedule];
        uint64_t done = 0;
        int e = 0;

        for (unsigned p = 0; !e && p < sched->n_periods; p++) {
                struct decimal whole = DECIMAL_ZERO;
                uint64_t group = 0;
                int days;

                if (done >> p & 1)
                        continue;
                for (unsigned q = p; !e && q < sched->n_periods; q++)
                        if (same_limits(&c->tiers[p], &c->tiers[q])) {
                                group |= (uint64_t)1 << q;
                                e = add_to(run, &whole, m->by_period[q]);
                        }
                done |= group;
                days = days_with(run, c, s, group);
                if (c->timed) {
                        e = e              ? e
                            : !m->name     ? rating_fail(run->err, RATING_E_QUANTITY,
                                                         "component %s fills its tiers in the order "
                                                             "of time and needs interval data",
                                                         c->code)
                            : whole.m == 0 ? 0
                                           : charge_timed(run, c, s, m->name, group, days, unit);
                        continue;
                }
                for (unsigned q = p; !e && q < sched->n_periods; q++)
                        if (group >> q & 1 && !decimal_is_zero(m->by_period[q]))
                                e = tier_lines(run, c, s, &c->tiers[q], sched->period[q],
                                               m->by_period[q], whole, days, unit);
        }
        return e;
}

int energy_lines(struct run *run, const struct component *c, const struct span *s,
                 const struct measured *m, const char *unit)
{
        const char *name = c->quantity ? c->quantity : run->t->quantity;
        const struct schedule *sched;
        int e = 0;

        if (c->schedule < 0)
                return tier_lines(run, c, s, &c->tiers[0], NULL, m->by_period[0], m->by_period[0],
                                  span_days(s), unit);
        if (c->pooled)
                return charge_pooled(run, c, s, m, unit);
        sched = run->t->schedule[c->schedule];
        for (unsigned p = 0; !e && p < sched->n_periods; p++) {
                if (decimal_is_zero(m->by_period[p]))
                        continue;
                step(run, "%s in price period %s of schedule %s: %s %s", name, sched->period[p],
                     sched->name, rating_text(run, m->by_period[p]), unit);
                e = tier_lines(run, c, s, &c->tiers[p], sched->period[p], m->by_period[p],
                               m->by_period[p], span_days(s), unit);
        }
        return e;
}

int charge_energy(struct run *run, const struct component *c, const struct span *s)
{
        const struct schedule *sched;
        struct measured m;
        int e;

        if (c->schedule < 0)
                return charge_flat(run, c, s);
        e = measure_quantity(run, c, s, c->quantity ? c->quantity : run->t->quantity, c->schedule,
                             &m);
        if (e)
                return e;
        sched = run->t->schedule[c->schedule];
        for (unsigned p = 0; !e && p < sched->n_periods; p++)
                e = round_quantity(run, c, &m.by_period[p]);
        buf_reset(&run->steps);
        return e ? e
                 : energy_lines(run, c, s, &m,
                                c->unit  ? c->unit
                                : m.unit ? m.unit
                                         : run->t->unit);
}
