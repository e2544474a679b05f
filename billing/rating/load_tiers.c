/* Tiers, price periods and limits: what several kinds of components have in common. */

#include <stdio.h>
#include <string.h>

#include "json.h"

const char *load_quantity(struct jdoc *d, struct rating_tariff *t, json_t *o)
{
        const char *name = jdoc_text(d, o, "quantity", "");

        need_quantity(d, t, *name ? name : t->quantity);
        return *name ? name : NULL;
}

int load_schedule_ref(struct jdoc *d, struct rating_tariff *t, json_t *o)
{
        const char *name = jdoc_text(d, o, "schedule", "");
        int s = *name ? schedule_find(t, name) : -1;

        if (*name && s < 0)
                jdoc_fail(d, "schedule", "'%s' is not among the document's schedules", name);
        return s;
}

/* ---- tiers ---- */

static void load_tier(struct jdoc *d, json_t *o, bool nested, bool last, struct tier *ret)
{
        const char *per;
        json_t *sub;

        if (!json_is_object(o)) {
                jdoc_fail(d, NULL, "must be an object");
                return;
        }
        jdoc_known(d, o, "upto|per|rate|pct|flat|amount|tiers|count|sell");
        ret->open = !jdoc_decimal(d, o, "upto", &ret->upto);
        per = jdoc_text(d, o, "per", "");
        ret->kw = strcmp(per, "kw") == 0;
        if (*per && !ret->kw)
                jdoc_fail(d, "per", "'%s' is not known; \"kw\" counts hours of use", per);
        if (ret->open && !last)
                jdoc_fail(d, "upto", "only the last tier may be without a limit");
        if (!ret->open && ret->upto.m < 0)
                jdoc_fail(d, "upto", "must not be negative");
        sub = jdoc_array(d, o, "tiers", false);
        ret->sub_from_zero = jdoc_choice(d, o, "count", "block|bill", 0) == 1;
        if (!jdoc_decimal(d, o, "rate", &ret->rate) && !jdoc_decimal(d, o, "pct", &ret->rate) &&
            !jdoc_decimal(d, o, "amount", &ret->rate) && !sub)
                jdoc_fail(d, "rate", "is missing; give the price of this tier");
        jdoc_decimal(d, o, "sell", &ret->sell);
        ret->has_flat = jdoc_decimal(d, o, "flat", &ret->flat);
        if (sub && nested)
                jdoc_fail(d, "tiers", "cannot be nested twice");
        else if (sub) {
                struct tiers inner = { 0 };
                size_t old = jdoc_enter(d, "tiers");

                load_tier_list(d, sub, true, &inner);
                ret->sub = inner.tier;
                ret->n_sub = inner.n;
                jdoc_leave(d, old);
        }
}

void load_tier_list(struct jdoc *d, json_t *list, bool nested, struct tiers *ret)
{
        size_t n = json_array_size(list), i, old;
        json_t *v;

        if (n == 0 || n > MAX_TIERS) {
                jdoc_fail(d, NULL, "must hold 1 to %d tiers", MAX_TIERS);
                return;
        }
        ret->tier = jdoc_alloc(d, n, sizeof(*ret->tier));
        if (!ret->tier)
                return;
        json_array_foreach(list, i, v)
        {
                const struct tier *before = i > 0 ? &ret->tier[i - 1] : NULL;

                old = jdoc_enter_at(d, "", i);
                load_tier(d, v, nested, i + 1 == n, &ret->tier[i]);
                if (!d->failed && before && !ret->tier[i].open && before->kw == ret->tier[i].kw &&
                    decimal_cmp(ret->tier[i].upto, before->upto) <= 0)
                        jdoc_fail(d, "upto", "must be above the limit of the tier before");
                ret->n++;
                jdoc_leave(d, old);
        }
}

/* A list, or a single "rate" as one endless tier. */
void load_tiers_or_rate(struct jdoc *d, json_t *o, const char *key, struct tiers *ret)
{
        json_t *list = json_object_get(o, key);
        size_t old;

        if (!list) {
                ret->tier = jdoc_alloc(d, 1, sizeof(*ret->tier));
                if (!ret->tier)
                        return;
                ret->n = 1;
                ret->tier->open = true;
                ret->tier->rate = jdoc_need_decimal(d, o, "rate");
                jdoc_decimal(d, o, "sell", &ret->tier->sell);
                return;
        }
        old = jdoc_enter(d, key);
        if (!json_is_array(list))
                jdoc_fail(d, NULL, "must be a list of tiers");
        else
                load_tier_list(d, list, false, ret);
        jdoc_leave(d, old);
}

/* "prices": {"peak": {"rate": ...}, "off_peak": {"tiers": [...]}}: every period has its price. */
void load_prices(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
{
        const struct schedule *s = t->schedule[c->schedule];
        json_t *prices = jdoc_object(d, o, "prices", true), *v;
        size_t old = jdoc_enter(d, "prices"), inner;
        const char *key;

        json_object_foreach(prices, key, v)
        {
                int p = period_find(s, key);

                inner = jdoc_enter(d, key);
                if (p < 0)
                        jdoc_fail(d, NULL, "is no price period of schedule %s", s->name);
                else if (!json_is_object(v))
                        jdoc_fail(d, NULL, "must be an object with rate or tiers");
                else {
                        jdoc_known(d, v, "rate|tiers|sell");
                        load_tiers_or_rate(d, v, "tiers", &c->tiers[p]);
                }
                jdoc_leave(d, inner);
        }
        for (unsigned p = 0; p < s->n_periods && !d->failed; p++)
                if (c->tiers[p].n == 0)
                        jdoc_fail(d, s->period[p],
                                  "is missing: every price period needs its price");
        jdoc_leave(d, old);
}

static bool equal_limits(const struct tiers *a, const struct tiers *b)
{
        if (a->n != b->n)
                return false;
        for (unsigned k = 0; k < a->n; k++)
                if (a->tier[k].open != b->tier[k].open || a->tier[k].kw != b->tier[k].kw ||
                    decimal_cmp(a->tier[k].upto, b->tier[k].upto) != 0)
                        return false;
        return true;
}

/* Tiers filled together must have the same limits in all periods that meet in one month. */
void load_check_pool(struct jdoc *d, const struct rating_tariff *t, const struct component *c)
{
        const struct schedule *s = t->schedule[c->schedule];

        for (int m = 0; m < 12; m++)
                for (unsigned p = 0; p < s->n_periods; p++)
                        for (unsigned q = p + 1; q < s->n_periods; q++) {
                                if (!(s->in_month[m] >> p & 1) || !(s->in_month[m] >> q & 1))
                                        continue;
                                if (!equal_limits(&c->tiers[p], &c->tiers[q]))
                                        jdoc_fail(d, "prices",
                                                  "tiers of %s and %s meet in month %d with "
                                                  "different limits; tiers "
                                                  "filled on the total need the same",
                                                  s->period[p], s->period[q], m + 1);
                        }
}

/* A number of days, or a text such as "365/12": days, and how many times. */
void load_days(struct jdoc *d, json_t *o, const char *key, struct decimal *ret_days,
               struct decimal *ret_times)
{
        const char *s = json_string_value(json_object_get(o, key)),
                   *slash = s ? strchr(s, '/') : NULL;
        char days[24];

        *ret_times = DECIMAL_ZERO;
        if (!slash) {
                if (jdoc_decimal(d, o, key, ret_days) && ret_days->m <= 0)
                        jdoc_fail(d, key, "must be above 0");
                return;
        }
        snprintf(days, sizeof(days), "%.*s", (int)(slash - s), s);
        if (decimal_parse(days, ret_days) < 0 || decimal_parse(slash + 1, ret_times) < 0 ||
            ret_days->m <= 0 || ret_times->m <= 0)
                jdoc_fail(d, key, "'%.40s' is no number of days such as 30 or \"365/12\"", s);
}

void load_scale(struct jdoc *d, json_t *o, struct limit_scale *ret)
{
        json_t *s = jdoc_object(d, o, "limits", false);
        size_t old;
        int round;

        if (!s)
                return;
        old = jdoc_enter(d, "limits");
        jdoc_known(d, s, "per_days|below_days|above_days|months|households|contract_kw|round");
        if (json_is_string(json_object_get(s, "per_days")) &&
            strcmp(json_string_value(json_object_get(s, "per_days")), "full_period") == 0)
                ret->full_period = true;
        else
                load_days(d, s, "per_days", &ret->days, &ret->times);
        ret->below = (int)jdoc_int(d, s, "below_days", 0, 0, 1000);
        ret->above = (int)jdoc_int(d, s, "above_days", 0, 0, 1000);
        ret->months = jdoc_bool(d, s, "months", false);
        ret->households = jdoc_bool(d, s, "households", false);
        ret->kw = jdoc_bool(d, s, "contract_kw", false);
        round = jdoc_choice(d, s, "round",
                            "none|limits|blocks|limits_down|blocks_down|limits_up|blocks_up", 0);
        ret->whole = round % 2 == 1;
        ret->whole_blocks = round > 0 && round % 2 == 0;
        ret->how = round < 3 ? DECIMAL_HALF_UP : round < 5 ? DECIMAL_FLOOR : DECIMAL_CEILING;
        jdoc_leave(d, old);
}

void load_fill(struct jdoc *d, json_t *o, struct component *c)
{
        int fill = jdoc_choice(d, o, "fill", "period|total|time", 0);

        c->pooled = fill >= 1;
        c->timed = fill == 2;
}
