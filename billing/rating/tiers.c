/* Tier limits as the tariff scales them, and how a quantity fills them. */

#include "tariff.h"

static bool scales_by_days(const struct run *run, const struct limit_scale *s)
{
        if (decimal_is_zero(s->days) && !s->full_period)
                return false;
        if (s->below == 0 && s->above == 0)
                return true;
        return run->days < s->below || (s->above > 0 && run->days > s->above);
}

/* limit × days / (days / times): a month of 365/12 days is 365 days, 12 times. */
static int by_days(struct run *run, const struct limit_scale *s, struct decimal limit, int days,
                   struct decimal *ret)
{
        struct decimal n = decimal_int(days);
        int e = 0;

        if (s->full_period)
                return muldiv(run, limit, n, run->full_days, ret);
        if (!decimal_is_zero(s->times))
                e = mul(run, n, s->times, &n);
        return e ? e : muldiv(run, limit, n, s->days, ret);
}

static int scale_limit(struct run *run, const struct component *c, struct decimal limit, int days,
                       struct decimal *ret)
{
        const struct limit_scale *s = &c->scale;
        int e = 0;

        if (scales_by_days(run, s))
                e = by_days(run, s, limit, days, &limit);
        else if (days != run->days)
                e = muldiv(run, limit, decimal_int(days), decimal_int(run->days), &limit);
        if (!e && s->months)
                e = mul(run, limit, decimal_int(run->months), &limit);
        if (!e && s->households)
                e = mul(run, limit, decimal_int(run->households), &limit);
        if (!e && s->kw)
                e = mul(run, limit, run->in->contract_kw, &limit);
        *ret = limit;
        return e;
}

static int whole(struct run *run, const struct component *c, struct decimal *d)
{
        if (decimal_rescale(*d, 0, c->scale.how, d) == 0)
                return 0;
        return rating_fail(run->err, RATING_E_RANGE, "component %s: a tier limit is too large",
                           c->code);
}

int tier_limit(struct run *run, const struct component *c, const struct tier *tier, int days,
               struct decimal *ret)
{
        int e;

        if (tier->kw) {
                e = demand_need(run);
                if (!e)
                        e = mul(run, tier->upto, run->billing_kw, ret);
                if (!e && scales_by_days(run, &c->scale))
                        e = by_days(run, &c->scale, *ret, days, ret);
                return e;
        }
        e = scale_limit(run, c, tier->upto, days, ret);
        if (!e && c->scale.whole)
                e = whole(run, c, ret);
        return e;
}

/* Where blocks, not limits, are rounded, each limit is the sum of the rounded blocks below. */
static int block_limit(struct run *run, const struct component *c, const struct tiers *tiers,
                       unsigned k, int days, struct decimal before, struct decimal *ret)
{
        struct decimal width = tiers->tier[k].upto;
        int e;

        if (!c->scale.whole_blocks)
                return tier_limit(run, c, &tiers->tier[k], days, ret);
        if (k > 0 && (e = minus(run, width, tiers->tier[k - 1].upto, &width)) != 0)
                return e;
        e = scale_limit(run, c, width, days, &width);
        if (!e)
                e = whole(run, c, &width);
        *ret = before;
        return e ? e : add_to(run, ret, width);
}

int tiers_fill(struct run *run, const struct component *c, const struct tiers *tiers,
               struct decimal quantity, int days, struct filled *ret)
{
        struct decimal before = DECIMAL_ZERO, limit = DECIMAL_ZERO;
        bool done = false;
        int e;

        for (unsigned k = 0; k < tiers->n; k++) {
                struct decimal top = quantity;

                ret->touched[k] = k == 0 || (!done && decimal_cmp(quantity, before) > 0);
                ret->quantity[k] = DECIMAL_ZERO;
                if (!tiers->tier[k].open) {
                        e = block_limit(run, c, tiers, k, days, before, &limit);
                        if (e)
                                return e;
                        if (k > 0 && decimal_cmp(limit, before) < 0)
                                limit = before;
                        ret->limit[k] = limit;
                        if (decimal_cmp(quantity, limit) > 0)
                                top = limit;
                        else
                                done = done || decimal_cmp(quantity, limit) <= 0;
                } else {
                        done = true;
                }
                if (ret->touched[k] && (e = minus(run, top, before, &ret->quantity[k])) != 0)
                        return e;
                before = limit;
        }
        if (!done)
                return rating_fail(run->err, RATING_E_INPUT,
                                   "component %s: %s is beyond the last tier, which ends at %s",
                                   c->code, rating_text(run, quantity), rating_text(run, limit));
        return 0;
}

int tiers_pick(struct run *run, const struct component *c, const struct tiers *tiers,
               struct decimal quantity, int days, int *ret)
{
        struct decimal limit = DECIMAL_ZERO;

        *ret = -1;
        for (unsigned k = 0; k < tiers->n && *ret < 0; k++) {
                int e = 0;

                if (!tiers->tier[k].open)
                        e = block_limit(run, c, tiers, k, days, limit, &limit);
                if (e)
                        return e;
                if (tiers->tier[k].open || decimal_cmp(quantity, limit) <= 0)
                        *ret = (int)k;
        }
        return 0;
}
