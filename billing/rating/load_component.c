/* Components of the document. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

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

static void load_energy(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
{
        jdoc_known(d, o,
                   JDOC_COMMON "|quantity|schedule|rate|tiers|prices|mode|fill|limits|block_size|"
                               "quantity_digits|minimum_quantity|index|sell");
        jdoc_decimal(d, o, "minimum_quantity", &c->least);
        c->quantity = load_quantity(d, t, o);
        c->schedule = load_schedule_ref(d, t, o);
        c->volume = jdoc_choice(d, o, "mode", "graduated|volume", 0) == 1;
        load_fill(d, o, c);
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
                load_check_pool(d, t, c);
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
        jdoc_known(d, o, JDOC_COMMON "|amount|by_month|per|proration|proration_days|index");
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
        jdoc_known(d, o, JDOC_COMMON "|amount|per|annual|of|proration|proration_days|below_zero");
        c->amount = jdoc_need_decimal(d, o, "amount");
        c->per = (enum fixed_per)jdoc_choice(d, o, "per", "bill|month|day|kw", 0);
        c->annual = jdoc_bool(d, o, "annual", false);
        c->no_credit = jdoc_choice(d, o, "below_zero", "count|zero", 0) == 1;
        load_proration(d, o, c);
        load_of(d, t, o, c);
}

static void load_percent(struct jdoc *d, const struct rating_tariff *t, json_t *o,
                         struct component *c)
{
        jdoc_known(d, o, JDOC_COMMON "|pct|of|per_line|index");
        c->pct = jdoc_need_decimal(d, o, "pct");
        c->per_line = jdoc_bool(d, o, "per_line", false);
        load_of(d, t, o, c);
}

static void load_slab(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
{
        json_t *cases = jdoc_array(d, o, "cases", true), *v, *part;
        size_t n = json_array_size(cases), i, k, old, inner;

        jdoc_known(d, o, JDOC_COMMON "|quantity|cases|limits");
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
        jdoc_known(d, o, JDOC_COMMON "|quantity|package_size|amount|free_units");
        c->quantity = load_quantity(d, t, o);
        c->size = jdoc_need_decimal(d, o, "package_size");
        c->amount = jdoc_need_decimal(d, o, "amount");
        jdoc_decimal(d, o, "free_units", &c->free_units);
        if (c->size.m <= 0)
                jdoc_fail(d, "package_size", "must be above 0");
}

static void load_increment(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c)
{
        jdoc_known(d, o, JDOC_COMMON "|quantity|first|then|rate|per_units");
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
                   JDOC_COMMON "|quantity|of|method|target|digits|factor_digits|floor|floor_pct|"
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
        jdoc_known(d, o, JDOC_COMMON "|amount|quantity");
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
                   JDOC_COMMON
                   "|quantity|export|schedule|rate|sell|tiers|prices|fill|limits|mode|true_"
                   "up_month|settle|"
                   "settle_rate|apply|carry_at_hours|carry_unmapped");
        c->quantity = load_quantity(d, t, o);
        c->net.export_quantity = jdoc_text(d, o, "export", "energy.export");
        need_quantity(d, t, c->net.export_quantity);
        c->schedule = load_schedule_ref(d, t, o);
        load_fill(d, o, c);
        load_scale(d, o, &c->scale);
        c->net.mode = (enum net_mode)jdoc_choice(
                d, o, "mode", "energy_rollover|money_rollover|billing|billing_carry", -1);
        c->net.true_up_month = (int)jdoc_int(d, o, "true_up_month", 0, 1, 12);
        c->net.settle =
                (enum net_settle)jdoc_choice(d, o, "settle", "keep|pay|credit|expire|pay_keep", 0);
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
                load_check_pool(d, t, c);
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
                jdoc_known(d, o, JDOC_COMMON "|quantity|tiers|limits");
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
                jdoc_known(d, o, JDOC_COMMON "|tiers|rate");
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
