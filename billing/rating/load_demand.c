/* Billing demand, ratchets and what is charged for demand. */

#include <string.h>

#include "json.h"

static void load_ratchet(struct jdoc *d, json_t *o, struct ratchet *ret)
{
        json_t *list, *v;
        struct decimal percent;
        size_t i, old = jdoc_enter(d, "ratchet");
        bool current = jdoc_bool(d, o, "use_current", true);

        jdoc_known(
                d, o,
                "percent|percent_by_month|use_current|use_current_by_month|lookback_months|months");
        ret->on = true;
        if (!jdoc_decimal(d, o, "percent", &percent))
                percent = decimal_int(100);
        for (i = 0; i < 12; i++) {
                ret->percent[i] = percent;
                ret->use_current[i] = current;
        }
        list = jdoc_array(d, o, "percent_by_month", false);
        if (list && json_array_size(list) != 12)
                jdoc_fail(d, "percent_by_month", "must hold 12 numbers");
        json_array_foreach(list, i, v) if (i < 12) ret->percent[i] =
                jdoc_value(d, v, "percent_by_month");
        list = jdoc_array(d, o, "use_current_by_month", false);
        if (list && json_array_size(list) != 12)
                jdoc_fail(d, "use_current_by_month", "must hold 12 entries");
        json_array_foreach(list, i, v) if (i < 12) ret->use_current[i] =
                json_is_true(v) || json_integer_value(v) != 0;
        ret->lookback = (int)jdoc_int(d, o, "lookback_months", 11, 0, 60);
        list = jdoc_array(d, o, "months", false);
        json_array_foreach(list, i, v)
        {
                if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 12)
                        jdoc_fail(d, "months", "must hold numbers from 1 to 12");
                else
                        ret->named |= (uint16_t)(1u << (json_integer_value(v) - 1));
        }
        jdoc_leave(d, old);
}

void load_demand(struct jdoc *d, struct rating_tariff *t, json_t *o, struct demand *ret)
{
        json_t *ratchet = jdoc_object(d, o, "ratchet", false);
        json_t *list = jdoc_array(d, o, "periods", false), *v;
        size_t i;

        ret->quantity = load_quantity(d, t, o);
        ret->window_s = (uint32_t)jdoc_int(d, o, "window_minutes", 0, 0, 1440) * 60;
        jdoc_decimal(d, o, "minimum", &ret->minimum);
        jdoc_decimal(d, o, "contract_percent", &ret->contract_percent);
        ret->schedule = load_schedule_ref(d, t, o);
        ret->periods = list ? 0 : UINT64_MAX;
        json_array_foreach(list, i, v)
        {
                int p = ret->schedule >= 0 && json_is_string(v)
                                ? period_find(t->schedule[ret->schedule], json_string_value(v))
                                : -1;

                if (p < 0)
                        jdoc_fail(d, "periods", "entry %zu is no price period of the schedule", i);
                else
                        ret->periods |= (uint64_t)1 << p;
        }
        if (ratchet)
                load_ratchet(d, ratchet, &ret->ratchet);
        t->intervals = true;
}

void load_month_amounts(struct jdoc *d, json_t *o, struct component *c)
{
        json_t *list = jdoc_array(d, o, "by_month", false), *v;
        size_t i;

        if (!list)
                return;
        c->has_by_month = true;
        if (json_array_size(list) != 12)
                jdoc_fail(d, "by_month", "must hold 12 amounts, January first");
        json_array_foreach(list, i, v) if (i < 12) c->by_month[i] = jdoc_value(d, v, "by_month");
}

void load_proration(struct jdoc *d, json_t *o, struct component *c)
{
        c->proration = (enum proration)jdoc_choice(d, o, "proration", "none|full_period|days", 0);
        if (c->proration == PRORATE_DAYS) {
                if (!json_object_get(o, "proration_days"))
                        jdoc_fail(d, "proration_days", "is missing; give the days of a month");
                load_days(d, o, "proration_days", &c->proration_days, &c->proration_times);
        }
}

static void load_tiers_by_month(struct jdoc *d, json_t *o, struct component *c)
{
        json_t *list = jdoc_array(d, o, "tiers_by_month", true), *v;
        size_t i, old;

        c->tiers_by_month = true;
        if (json_array_size(list) != 12 || c->has_by_month) {
                jdoc_fail(d, "tiers_by_month",
                          "must hold 12 lists of tiers, January first, and no by_month beside it");
                return;
        }
        json_array_foreach(list, i, v)
        {
                old = jdoc_enter_at(d, "tiers_by_month", i);
                load_tier_list(d, v, false, &c->tiers[i]);
                jdoc_leave(d, old);
        }
}

/* "peak": "billing": price periods that count for the billing demand are charged for it. */
static void load_peak_choice(struct jdoc *d, const struct rating_tariff *t, json_t *o,
                             struct component *c)
{
        c->billing_peak = jdoc_choice(d, o, "peak", "period|billing", 0) == 1;
        if (c->billing_peak &&
            (c->own_demand || c->schedule < 0 || t->demand.schedule != c->schedule))
                jdoc_fail(d, "peak",
                          "\"billing\" needs prices by the periods of the schedule that the "
                          "document's demand names");
}

void load_demand_charge(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
{
        jdoc_known(d, o,
                   JDOC_COMMON
                   "|quantity|schedule|rate|tiers|tiers_by_month|prices|by_month|limits|"
                   "proration|proration_days|demand|peak|index");
        c->schedule = load_schedule_ref(d, t, o);
        load_scale(d, o, &c->scale);
        load_proration(d, o, c);
        load_month_amounts(d, o, c);
        if (json_object_get(o, "demand")) {
                json_t *own = jdoc_object(d, o, "demand", true);
                size_t old = jdoc_enter(d, "demand");

                if (own)
                        load_demand(d, t, own, &c->demand);
                c->own_demand = true;
                jdoc_leave(d, old);
        } else if (!t->has_demand) {
                jdoc_fail(d, "demand",
                          "the tariff does not say what its billing demand is; add \"demand\" to "
                          "the document or to this component");
        }
        load_peak_choice(d, t, o, c);
        if (c->schedule >= 0)
                load_prices(d, t, o, c);
        else if (json_object_get(o, "tiers_by_month"))
                load_tiers_by_month(d, o, c);
        else if (!c->has_by_month)
                load_tiers_or_rate(d, o, "tiers", &c->tiers[0]);
        t->intervals = true;
}
