/* Power factor: from active and reactive energy, and the percentage it costs. */

#include "tariff.h"

static uint64_t root(unsigned __int128 v)
{
        unsigned __int128 r = 0, bit = (unsigned __int128)1 << 126;

        while (bit > v)
                bit >>= 2;
        for (; bit; bit >>= 2) {
                if (v >= r + bit) {
                        v -= r + bit;
                        r = (r >> 1) + bit;
                } else {
                        r >>= 1;
                }
        }
        return (uint64_t)r;
}

/* kWh / sqrt(kWh² + kvarh²), 6 digits; as handed in under the component's own quantity first. */
static int power_factor(struct run *run, const struct component *c, const struct span *s,
                        struct decimal *ret)
{
        struct measured active, reactive;
        struct decimal p, q;
        uint64_t apparent;
        int e;

        if (measure_quantity(run, c, s, c->quantity ? c->quantity : "cosphi", -1, &active) == 0) {
                *ret = active.total;
                return 0;
        }
        e = measure_quantity(run, c, s, run->t->quantity, -1, &active);
        if (!e)
                e = measure_quantity(run, c, s, "reactive.import", -1, &reactive);
        if (e)
                return e;
        if (decimal_rescale(active.total, 3, DECIMAL_HALF_UP, &p) < 0 ||
            decimal_rescale(reactive.total, 3, DECIMAL_HALF_UP, &q) < 0)
                return rating_fail(run->err, RATING_E_RANGE, "component %s: energy", c->code);
        apparent = root((unsigned __int128)((__int128)p.m * p.m) +
                        (unsigned __int128)((__int128)q.m * q.m));
        if (apparent == 0) {
                *ret = decimal_int(1);
                return 0;
        }
        step(run, "active %s, reactive %s", rating_text(run, p), rating_text(run, q));
        return muldiv(run, p, decimal_int(1), (struct decimal){ (int64_t)apparent, 3 }, ret);
}

/* Percentage on the base: (target / cos phi - 1) × 100 below the target, or so much a whole
 * hundredth away from it. */
static int factor_percent(struct run *run, const struct component *c, struct decimal pf,
                          struct decimal *ret)
{
        struct decimal ratio, off;
        int e;

        *ret = DECIMAL_ZERO;
        if (c->pf_round >= 0 && decimal_rescale(pf, c->pf_round, DECIMAL_HALF_UP, &pf) < 0)
                return rating_fail(run->err, RATING_E_RANGE, "component %s: power factor", c->code);
        if (c->tiers[0].n > 0) {
                int row;

                e = tiers_pick(run, c, &c->tiers[0], pf, run->days, &row);
                if (!e && row >= 0)
                        *ret = c->tiers[0].tier[row].rate;
                return e;
        }
        if (c->pf_step) {
                if (decimal_sub(c->pf_target, pf, &off) < 0 ||
                    decimal_muldiv(off, decimal_int(100), decimal_int(1), 0, DECIMAL_DOWN, &off) <
                            0)
                        return rating_fail(run->err, RATING_E_RANGE, "component %s: power factor",
                                           c->code);
                e = mul(run, off, c->pf_step_pct, ret);
                if (!e && !decimal_is_zero(c->pf_cap) && ret->m < 0) {
                        struct decimal least = { -c->pf_cap.m, c->pf_cap.scale };

                        if (decimal_cmp(*ret, least) < 0)
                                *ret = least;
                }
                return e;
        }
        if (decimal_cmp(pf, c->pf_target) >= 0)
                return 0;
        if (!decimal_is_zero(c->pf_floor) && decimal_cmp(pf, c->pf_floor) < 0) {
                *ret = c->pf_floor_pct;
                return 0;
        }
        if (pf.m <= 0)
                return rating_fail(run->err, RATING_E_INPUT, "component %s: power factor %s",
                                   c->code, rating_text(run, pf));
        e = muldiv(run, c->pf_target, decimal_int(100), pf, &ratio);
        if (!e && (decimal_sub(ratio, decimal_int(100), ret) < 0 ||
                   decimal_rescale(*ret, c->pf_digits, DECIMAL_HALF_UP, ret) < 0))
                e = rating_fail(run->err, RATING_E_RANGE, "component %s: power factor", c->code);
        return e;
}

int charge_power_factor(struct run *run, const struct component *c, const struct span *s)
{
        struct decimal pf, pct, base;
        int e = power_factor(run, c, s, &pf);

        if (!e)
                e = factor_percent(run, c, pf, &pct);
        if (!e)
                e = base_of(run, c, run->r->n_lines, &base);
        if (e)
                return e;
        step(run, "power factor %s against %s: %s %%", rating_text(run, pf),
             rating_text(run, c->pf_target), rating_text(run, pct));
        return percent_line(run, c, s, "", base, pct);
}
