/* Components of the document. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

#define COMMON "type|code|text|unit|from|versions|tax|subtract|when|note"

/* Remembers what the tariff asks of its input. */
void need_quantity(struct jdoc *d, struct rating_tariff *t, const char *name)
{
        for (unsigned i = 0; i < t->n_derived; i++)
                if (strcmp(t->derived[i].name, name) == 0)
                        return;
        for (unsigned i = 0; i < t->n_needs; i++)
                if (strcmp(t->needs[i], name) == 0)
                        return;
        if (t->n_needs == sizeof(t->needs) / sizeof(*t->needs))
                jdoc_fail(d, "quantity", "more than %zu different quantities",
                          sizeof(t->needs) / sizeof(*t->needs));
        else
                t->needs[t->n_needs++] = name;
}

static const char *load_quantity(struct jdoc *d, struct rating_tariff *t, json_t *o)
{
        const char *name = jdoc_text(d, o, "quantity", "");

        need_quantity(d, t, *name ? name : t->quantity);
        return *name ? name : NULL;
}

static int load_schedule_ref(struct jdoc *d, struct rating_tariff *t, json_t *o)
{
        const char *name = jdoc_text(d, o, "schedule", "");
        int s = *name ? schedule_find(t, name) : -1;

        if (*name && s < 0)
                jdoc_fail(d, "schedule", "'%s' is not among the document's schedules", name);
        return s;
}

/* ---- tiers ---- */

static void load_tier_list(struct jdoc *d, json_t *list, bool nested, struct tiers *ret);

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

static void load_tier_list(struct jdoc *d, json_t *list, bool nested, struct tiers *ret)
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
static void load_tiers_or_rate(struct jdoc *d, json_t *o, const char *key, struct tiers *ret)
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
static void load_prices(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
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
static void check_pool(struct jdoc *d, const struct rating_tariff *t, const struct component *c)
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
static void load_days(struct jdoc *d, json_t *o, const char *key, struct decimal *ret_days,
                      struct decimal *ret_times)
{
        const char *s = json_string_value(json_object_get(o, key)), *slash = s ? strchr(s, '/') : NULL;
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

static void load_scale(struct jdoc *d, json_t *o, struct limit_scale *ret)
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
        ret->how = round < 3   ? DECIMAL_HALF_UP
                   : round < 5 ? DECIMAL_FLOOR
                               : DECIMAL_CEILING;
        jdoc_leave(d, old);
}

static void load_energy(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
{
        jdoc_known(d, o,
                   COMMON "|quantity|schedule|rate|tiers|prices|mode|fill|limits|block_size|"
                          "quantity_digits|minimum_quantity|index|sell");
        jdoc_decimal(d, o, "minimum_quantity", &c->least);
        c->quantity = load_quantity(d, t, o);
        c->schedule = load_schedule_ref(d, t, o);
        c->volume = jdoc_choice(d, o, "mode", "graduated|volume", 0) == 1;
        c->pooled = jdoc_choice(d, o, "fill", "period|total", 0) == 1;
        c->quantity_digits = (int)jdoc_int(d, o, "quantity_digits", -1, 0, 12);
        if (jdoc_decimal(d, o, "block_size", &c->block) && c->block.m <= 0)
                jdoc_fail(d, "block_size", "must be above 0");
        load_scale(d, o, &c->scale);
        if (c->schedule < 0) {
                load_tiers_or_rate(d, o, "tiers", &c->tiers[0]);
                return;
        }
        if (c->volume)
                jdoc_fail(d, "mode", "volume prices cannot be combined with a schedule");
        if (!decimal_is_zero(c->least))
                jdoc_fail(d, "minimum_quantity", "cannot be combined with a schedule");
        t->intervals = true;
        load_prices(d, t, o, c);
        if (c->pooled && !d->failed)
                check_pool(d, t, c);
}

/* ---- demand ---- */

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

static void load_month_amounts(struct jdoc *d, json_t *o, struct component *c)
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

static void load_proration(struct jdoc *d, json_t *o, struct component *c)
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

static void load_demand_charge(struct jdoc *d, struct rating_tariff *t, json_t *o,
                               struct component *c)
{
        jdoc_known(d, o,
                   COMMON "|quantity|schedule|rate|tiers|tiers_by_month|prices|by_month|limits|"
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

/* ---- the others ---- */

/* "energy_t2": one line of a component further up. */
static bool is_line_of(const struct component *c, const char *code)
{
        size_t n = strlen(c->code);

        return strncmp(c->code, code, n) == 0 && code[n] == '_' && code[n + 1];
}

static void load_when(struct jdoc *d, struct rating_tariff *t, json_t *o, struct condition *ret)
{
        json_t *when = jdoc_object(d, o, "when", false);
        size_t old = jdoc_enter(d, "when");

        if (when) {
                jdoc_known(d, when, "quantity|above|upto|absent");
                ret->quantity = jdoc_text(d, when, "quantity", t->quantity);
                ret->has_above = jdoc_decimal(d, when, "above", &ret->above);
                ret->has_upto = jdoc_decimal(d, when, "upto", &ret->upto);
                ret->absent_skips = jdoc_choice(d, when, "absent", "stop|skip", 0) == 1;
                if (!ret->has_above && !ret->has_upto)
                        jdoc_fail(d, NULL, "must say above or upto");
                if (!d->failed && !ret->absent_skips)
                        need_quantity(d, t, ret->quantity);
        }
        jdoc_leave(d, old);
}

static void load_of(struct jdoc *d, const struct rating_tariff *t, json_t *o, struct component *c)
{
        json_t *of = json_object_get(o, "of"), *v;
        size_t i;

        if (!of || (json_is_string(of) && strcmp(json_string_value(of), "all") == 0))
                return;
        if (!json_is_array(of) || json_array_size(of) == 0) {
                jdoc_fail(d, "of", "must be \"all\" or a list of codes");
                return;
        }
        c->of = jdoc_alloc(d, json_array_size(of), sizeof(*c->of));
        json_array_foreach(of, i, v)
        {
                const char *code = json_string_value(v);
                bool before = false;

                for (unsigned k = 0; code && k < t->n_components; k++) {
                        before = before || strcmp(t->component[k]->code, code) == 0 ||
                                 is_line_of(t->component[k], code);
                        for (unsigned p = 0;
                             t->component[k]->type == COMPONENT_SLAB && p < t->component[k]->n_slab;
                             p++)
                                for (struct component *x = t->component[k]->slab_part[p]; x;
                                     x = x->slab_next)
                                        before = before || strcmp(x->code, code) == 0;
                }
                if (!before || !c->of)
                        jdoc_fail(d, "of", "entry %zu is no component listed before this one", i);
                else
                        c->of[c->n_of++] = jdoc_copy(d, code);
        }
}

static void load_fixed(struct jdoc *d, json_t *o, struct component *c)
{
        jdoc_known(d, o, COMMON "|amount|by_month|per|proration|proration_days|index");
        c->per =
                (enum fixed_per)jdoc_choice(d, o, "per", "bill|month|day|kw|kw_month|household", 0);
        load_proration(d, o, c);
        load_month_amounts(d, o, c);
        if (!c->has_by_month)
                c->amount = jdoc_need_decimal(d, o, "amount");
}

static void load_minimum(struct jdoc *d, const struct rating_tariff *t, json_t *o,
                         struct component *c)
{
        jdoc_known(d, o, COMMON "|amount|per|annual|of|proration|proration_days");
        c->amount = jdoc_need_decimal(d, o, "amount");
        c->per = (enum fixed_per)jdoc_choice(d, o, "per", "bill|month|day|kw", 0);
        c->annual = jdoc_bool(d, o, "annual", false);
        load_proration(d, o, c);
        load_of(d, t, o, c);
}

static void load_percent(struct jdoc *d, const struct rating_tariff *t, json_t *o,
                         struct component *c)
{
        jdoc_known(d, o, COMMON "|pct|of|per_line|index");
        c->pct = jdoc_need_decimal(d, o, "pct");
        c->per_line = jdoc_bool(d, o, "per_line", false);
        load_of(d, t, o, c);
}

static void load_slab(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
{
        json_t *cases = jdoc_array(d, o, "cases", true), *v, *part;
        size_t n = json_array_size(cases), i, k, old, inner;

        jdoc_known(d, o, COMMON "|quantity|cases|limits");
        c->quantity = load_quantity(d, t, o);
        load_scale(d, o, &c->scale);
        c->slab = jdoc_alloc(d, n, sizeof(*c->slab));
        c->slab_part = jdoc_alloc(d, n, sizeof(*c->slab_part));
        if (n == 0 || n > MAX_TIERS)
                jdoc_fail(d, "cases", "must hold 1 to %d cases", MAX_TIERS);
        json_array_foreach(cases, i, v)
        {
                struct component **tail = c->slab_part ? &c->slab_part[i] : NULL;
                json_t *parts;

                if (d->failed)
                        return;
                old = jdoc_enter_at(d, "cases", i);
                if (!json_is_object(v)) {
                        jdoc_fail(d, NULL, "must be an object");
                        return;
                }
                jdoc_known(d, v, "upto|components");
                c->slab[i].open = !jdoc_decimal(d, v, "upto", &c->slab[i].upto);
                if (c->slab[i].open && i + 1 < n)
                        jdoc_fail(d, "upto", "only the last case may be without a limit");
                if (i > 0 && !c->slab[i].open &&
                    decimal_cmp(c->slab[i].upto, c->slab[i - 1].upto) <= 0)
                        jdoc_fail(d, "upto", "must be above the limit of the case before");
                parts = jdoc_array(d, v, "components", true);
                json_array_foreach(parts, k, part)
                {
                        inner = jdoc_enter_at(d, "components", k);
                        *tail = load_component(d, t, part, true);
                        jdoc_leave(d, inner);
                        if (d->failed)
                                return;
                        tail = &(*tail)->slab_next;
                }
                c->n_slab++;
                jdoc_leave(d, old);
        }
}

static void load_package(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
{
        jdoc_known(d, o, COMMON "|quantity|package_size|amount|free_units");
        c->quantity = load_quantity(d, t, o);
        c->size = jdoc_need_decimal(d, o, "package_size");
        c->amount = jdoc_need_decimal(d, o, "amount");
        jdoc_decimal(d, o, "free_units", &c->free_units);
        if (c->size.m <= 0)
                jdoc_fail(d, "package_size", "must be above 0");
}

static void load_increment(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
{
        jdoc_known(d, o, COMMON "|quantity|first|then|rate|per_units");
        c->quantity = load_quantity(d, t, o);
        c->first = jdoc_need_decimal(d, o, "first");
        c->then = jdoc_need_decimal(d, o, "then");
        c->rate = jdoc_need_decimal(d, o, "rate");
        if (!jdoc_decimal(d, o, "per_units", &c->per_units))
                c->per_units = decimal_int(1);
        if (c->first.m <= 0 || c->then.m <= 0 || c->per_units.m <= 0)
                jdoc_fail(d, "first", "first, then and per_units must be above 0");
}

static void load_power_factor(struct jdoc *d, struct rating_tariff *t, json_t *o,
                              struct component *c)
{
        const char *name = jdoc_text(d, o, "quantity", "");

        jdoc_known(d, o,
                   COMMON "|quantity|of|method|target|digits|factor_digits|floor|floor_pct|"
                          "step_pct|cap_pct|table");
        c->quantity = *name ? name : NULL;
        if (c->quantity)
                need_quantity(d, t, c->quantity);
        else
                need_quantity(d, t, "reactive.import");
        c->pf_step = jdoc_choice(d, o, "method", "ratio|step|table", 0) == 1;
        c->pf_round = (int)jdoc_int(d, o, "factor_digits", -1, 0, 6);
        if (strcmp(jdoc_text(d, o, "method", ""), "table") == 0) {
                load_tiers_or_rate(d, o, "table", &c->tiers[0]);
                load_of(d, t, o, c);
                return;
        }
        c->pf_target = jdoc_need_decimal(d, o, "target");
        c->pf_digits = (int)jdoc_int(d, o, "digits", 2, 0, 6);
        if (jdoc_decimal(d, o, "floor", &c->pf_floor))
                c->pf_floor_pct = jdoc_need_decimal(d, o, "floor_pct");
        if (c->pf_step)
                c->pf_step_pct = jdoc_need_decimal(d, o, "step_pct");
        jdoc_decimal(d, o, "cap_pct", &c->pf_cap);
        load_of(d, t, o, c);
}

static void load_given(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
{
        jdoc_known(d, o, COMMON "|amount|quantity");
        if (json_object_get(o, "quantity"))
                c->quantity = load_quantity(d, t, o);
        else
                c->amount = jdoc_need_decimal(d, o, "amount");
}

static void load_carry_at(struct jdoc *d, json_t *o, struct net *net)
{
        json_t *list = jdoc_array(d, o, "carry_at_hours", false), *v;
        size_t i;

        json_array_foreach(list, i, v)
        {
                if (!json_is_integer(v) || json_integer_value(v) < 0 ||
                    json_integer_value(v) > 23 || i >= 8)
                        jdoc_fail(d, "carry_at_hours", "must hold up to 8 hours from 0 to 23");
                else
                        net->carry_at[net->n_carry_at++] = (int)json_integer_value(v) * 60;
        }
}

static void load_net(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
{
        jdoc_known(d, o,
                   COMMON "|quantity|export|schedule|rate|sell|tiers|prices|fill|limits|mode|true_"
                          "up_month|settle|"
                          "settle_rate|apply|carry_at_hours|carry_unmapped");
        c->quantity = load_quantity(d, t, o);
        c->net.export_quantity = jdoc_text(d, o, "export", "energy.export");
        need_quantity(d, t, c->net.export_quantity);
        c->schedule = load_schedule_ref(d, t, o);
        c->pooled = jdoc_choice(d, o, "fill", "period|total", 0) == 1;
        load_scale(d, o, &c->scale);
        c->net.mode = (enum net_mode)jdoc_choice(
                d, o, "mode", "energy_rollover|money_rollover|billing|billing_carry", -1);
        c->net.true_up_month = (int)jdoc_int(d, o, "true_up_month", 0, 1, 12);
        c->net.settle = (enum net_settle)jdoc_choice(d, o, "settle", "keep|pay|credit|expire", 0);
        if (c->net.settle != SETTLE_KEEP && c->net.true_up_month == 0)
                jdoc_fail(d, "true_up_month",
                          "is missing; say with which month's bill balances are settled");
        jdoc_decimal(d, o, "settle_rate", &c->net.settle_rate);
        c->net.apply_now = jdoc_choice(d, o, "apply", "next|now", 0) == 1;
        load_carry_at(d, o, &c->net);
        c->net.expire_unmapped = jdoc_choice(d, o, "carry_unmapped", "keep|expire", 0) == 1;
        if (c->schedule < 0) {
                load_tiers_or_rate(d, o, "tiers", &c->tiers[0]);
                return;
        }
        t->intervals = true;
        load_prices(d, t, o, c);
        if (c->pooled && !d->failed)
                check_pool(d, t, c);
}

static void load_by_type(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
{
        switch (c->type) {
        case COMPONENT_FIXED:
                load_fixed(d, o, c);
                break;
        case COMPONENT_ENERGY:
                load_energy(d, t, o, c);
                break;
        case COMPONENT_PACKAGE:
                load_package(d, t, o, c);
                break;
        case COMPONENT_TIERED_PERCENT:
        case COMPONENT_BAND_FIXED:
                jdoc_known(d, o, COMMON "|quantity|tiers|limits");
                c->quantity = load_quantity(d, t, o);
                load_scale(d, o, &c->scale);
                load_tiers_or_rate(d, o, "tiers", &c->tiers[0]);
                break;
        case COMPONENT_DEMAND:
                load_demand_charge(d, t, o, c);
                break;
        case COMPONENT_PERCENT:
                load_percent(d, t, o, c);
                break;
        case COMPONENT_MINIMUM:
                load_minimum(d, t, o, c);
                break;
        case COMPONENT_SLAB:
                load_slab(d, t, o, c);
                break;
        case COMPONENT_INCREMENT:
                load_increment(d, t, o, c);
                break;
        case COMPONENT_GIVEN:
                load_given(d, t, o, c);
                break;
        case COMPONENT_POWER_FACTOR:
                load_power_factor(d, t, o, c);
                break;
        case COMPONENT_OVER_CONTRACT:
                jdoc_known(d, o, COMMON "|tiers|rate");
                c->rate = jdoc_need_decimal(d, o, "rate");
                load_tiers_or_rate(d, o, "tiers", &c->tiers[0]);
                if (!t->has_demand)
                        jdoc_fail(d, NULL,
                                  "the document must say what its billing demand is (\"demand\")");
                break;
        case COMPONENT_NET:
                load_net(d, t, o, c);
                break;
        default:
                break;
        }
}

static bool by_hours_of_use(const struct component *c)
{
        for (unsigned p = 0; p < MAX_PERIODS; p++)
                for (unsigned k = 0; k < c->tiers[p].n; k++)
                        if (c->tiers[p].tier[k].kw)
                                return true;
        return false;
}

static struct component *load_one(struct jdoc *d, struct rating_tariff *t, json_t *o)
{
        struct component *c = jdoc_alloc(d, 1, sizeof(*c));
        json_t *from;

        if (!c || d->failed)
                return NULL;
        c->type = (enum component_type)jdoc_choice(
                d, o, "type",
                "fixed|energy|package|tiered_percentage|demand|percent|minimum_bill|"
                "slab_switch|band_fixed|increment|given|power_factor|over_contract|net_metering",
                -1);
        c->code = jdoc_text(d, o, "code", NULL);
        if (!d->failed && (!*c->code || strlen(c->code) > 60))
                jdoc_fail(d, "code", "must have 1 to 60 characters");
        c->text = jdoc_text(d, o, "text", c->code);
        c->unit = jdoc_text(d, o, "unit", "");
        if (!*c->unit)
                c->unit = NULL;
        c->tax = jdoc_bool(d, o, "tax", false);
        c->subtract = jdoc_bool(d, o, "subtract", false);
        c->schedule = c->quantity_digits = -1;
        c->index = jdoc_text(d, o, "index", "");
        if (!*c->index)
                c->index = NULL;
        load_when(d, t, o, &c->when);
        from = json_object_get(o, "from");
        c->from_day = from ? jdoc_day(d, from, "from") : INT64_MIN;
        if (!d->failed)
                load_by_type(d, t, o, c);
        if (!d->failed && !t->has_demand && by_hours_of_use(c))
                jdoc_fail(d, "tiers",
                          "count hours of use; the document must say what its billing demand is "
                          "(\"demand\")");
        return c;
}

/* "versions": [{"from": "2026-07-01", "rate": ...}]: the component as it stands, with these
 * members replaced from that day on. */
struct component *load_component(struct jdoc *d, struct rating_tariff *t, json_t *o, bool nested)
{
        struct component *first, *last;
        json_t *versions, *v;
        size_t i, old;

        if (!json_is_object(o)) {
                jdoc_fail(d, NULL, "must be an object");
                return NULL;
        }
        if (nested &&
            (json_object_get(o, "versions") ||
             (json_is_string(json_object_get(o, "type")) &&
              strcmp(json_string_value(json_object_get(o, "type")), "slab_switch") == 0))) {
                jdoc_fail(d, NULL, "a slab's components can hold neither versions nor slabs");
                return NULL;
        }
        first = last = load_one(d, t, o);
        versions = jdoc_array(d, o, "versions", false);
        json_array_foreach(versions, i, v)
        {
                json_t *merged;

                if (d->failed)
                        break;
                old = jdoc_enter_at(d, "versions", i);
                if (!json_is_object(v) || !json_object_get(v, "from"))
                        jdoc_fail(d, "from", "is missing; give the day this price begins");
                merged = d->failed ? NULL : json_copy(o);
                if (merged) {
                        json_object_del(merged, "versions");
                        json_object_update(merged, v);
                        last->next = load_one(d, t, merged);
                        json_decref(merged);
                        if (!d->failed && last->next->from_day <= last->from_day)
                                jdoc_fail(d, "from", "must be after the price before");
                        if (!d->failed && strcmp(last->next->code, last->code) != 0)
                                jdoc_fail(d, "code", "must stay the same");
                        if (!d->failed)
                                last = last->next;
                }
                jdoc_leave(d, old);
        }
        return d->failed ? NULL : first;
}
