/* Components of a case, as components of a tariff document. What is not known is named. */

#include <stdio.h>
#include <string.h>

#include "tariff_cases_internal.h"

static enum verdict map_list(struct mapping *m, json_t *list);

static enum verdict map_tiered(struct mapping *m, json_t *o)
{
        json_t *to = map_begin(o, "energy", "tiered");
        enum verdict v = map_check(m, o,
                                   "tiers tiers_30day tiers_per_day tiers_daily tiers_monthly "
                                   "tiers_per_month tiers_per_household tiers_per_kw "
                                   "tiers_annual tiers_per_year mode block_size unit "
                                   "minimum_quantity proration when");

        map_copy(to, o, "block_size", "block_size");
        map_copy(to, o, "minimum_quantity", "minimum_quantity");
        if (v == CASE_PASS)
                v = map_quantity(m, o, to);
        if (v == CASE_PASS)
                v = map_mode(m, o, to);
        if (v == CASE_PASS)
                v = map_tiers(m, o, to);
        return map_finish(m, to, v);
}

/* The usage member that is the part @name of something: "peak", "kwh:peak", "kwh_peak",
 * "peak_kwh". */
static const char *named_part(struct mapping *m, const char *name)
{
        size_t n = strlen(name);
        const char *key;
        json_t *v;

        json_object_foreach(m->c->usage, key, v)
        {
                const char *at = strstr(key, name);

                if (json_is_number(v) && at && (at == key || at[-1] == '_' || at[-1] == ':') &&
                    (!at[n] || at[n] == '_'))
                        return key;
        }
        return NULL;
}

/* Prices by name, each for a quantity of that name. */
static enum verdict map_named_rates(struct mapping *m, json_t *o, json_t *rates)
{
        const char *code = case_member(o, "code"), *key;
        json_t *v, *to, *tiers;

        json_object_foreach(rates, key, v)
        {
                const char *name = named_part(m, key);
                enum verdict verdict = CASE_PASS;
                char line[100];

                if (!name)
                        return case_unsupported(m->c, "no usage for the rate %s", key);
                snprintf(line, sizeof(line), "%s_%s", *code ? code : "rate", key);
                to = json_pack("{s:s, s:s, s:s}", "type", "energy", "code", line, "quantity", name);
                if (json_is_array(v)) {
                        verdict = map_tier_list(m, v, &tiers);
                        json_object_set_new(to, "tiers", tiers);
                } else {
                        json_object_set(to, "rate", v);
                }
                verdict = map_finish(m, to, verdict);
                if (verdict != CASE_PASS)
                        return verdict;
        }
        return CASE_PASS;
}

static enum verdict map_rate(struct mapping *m, json_t *o)
{
        json_t *rates = json_object_get(o, "rates") ? json_object_get(o, "rates")
                                                    : json_object_get(o, "prices");
        json_t *to;
        enum verdict v = map_check(m, o, "rate rates prices unit minimum_quantity when");

        if (v == CASE_PASS && json_is_object(rates))
                return map_named_rates(m, o, rates);
        to = map_begin(o, "energy", "rate");
        map_copy(to, o, "rate", "rate");
        map_copy(to, o, "minimum_quantity", "minimum_quantity");
        if (v == CASE_PASS)
                v = map_quantity(m, o, to);
        return map_finish(m, to, v);
}

/* Use less generation behind one meter; what is left over counts against the bill when it has a
 * price. */
static enum verdict map_net_energy(struct mapping *m, json_t *o)
{
        static const char *const in_names[] = { "import_kwh", "imported_kwh", "usage_kwh", "kwh" },
                                 *const out_names[] = { "export_kwh", "exported_kwh",
                                                        "generation_kwh", "generated_kwh" };
        static const char *const sells[] = { "export_rate", "sell_rate", "credit_rate", "sell" };
        const char *in = NULL, *out = NULL;
        json_t *to = map_begin(o, "energy", "net_energy"), *sale, *price = NULL;
        char code[100];
        enum verdict v = map_check(
                m, o, "rate tiers unit export_rate sell_rate credit_rate sell import_rate");

        for (size_t i = 4; i-- > 0;) {
                in = json_object_get(m->c->usage, in_names[i]) ? in_names[i] : in;
                out = json_object_get(m->c->usage, out_names[i]) ? out_names[i] : out;
                price = json_object_get(o, sells[i]) ? json_object_get(o, sells[i]) : price;
        }
        if (v == CASE_PASS && (!in || !out))
                v = case_unsupported(m->c, "net energy without use and export in the usage");
        if (v != CASE_PASS)
                return map_finish(m, to, v);
        if (!m->quantities)
                m->quantities = json_object();
        json_object_set_new(m->quantities, "net",
                            json_pack("{s:s, s:[s], s:[s], s:i}", "unit", "kWh", "add", in,
                                      "subtract", out, "at_least", 0));
        map_copy(to, o, "import_rate", "rate");
        map_copy(to, o, "rate", "rate");
        map_copy(to, o, "tiers", "tiers");
        json_object_set_new(to, "quantity", json_string("net"));
        snprintf(code, sizeof(code), "%s_export", case_member(to, "code"));
        if (map_add(m, to) != CASE_PASS || !price)
                return CASE_PASS;
        json_object_set_new(m->quantities, "surplus",
                            json_pack("{s:s, s:[s], s:[s], s:i}", "unit", "kWh", "add", out,
                                      "subtract", in, "at_least", 0));
        sale = json_pack("{s:s, s:s, s:s, s:O, s:b}", "type", "energy", "code", code, "quantity",
                         "surplus", "rate", price, "subtract", 1);
        return map_add(m, sale);
}

/* A fixed charge for each of something that is counted: pumps, lamps, connections. */
static bool counted_per(struct mapping *m, json_t *o, json_t *to)
{
        static const char *const loads[] = { "sanctioned_load_kw", "connected_load_kw",
                                             "contracted_kw", "kw" };
        const char *per = case_member(o, "per");

        if (!*per || map_known("bill month day household", per))
                return false;
        if (map_known("kw kw_month", per)) {
                for (size_t i = 0; i < sizeof(loads) / sizeof(*loads); i++)
                        if (!json_object_get(m->c->usage, "contract_kw") &&
                            json_object_get(m->c->usage, loads[i]))
                                per = loads[i];
                if (map_known("kw_month", per) || json_object_get(m->c->usage, "contract_kw"))
                        return false;
        }
        if (!json_is_number(json_object_get(m->c->usage, per)))
                return false;
        json_object_set_new(to, "type", json_string("energy"));
        json_object_set_new(to, "quantity", json_string(per));
        map_copy(to, o, "amount", "rate");
        return true;
}

static enum verdict map_fixed(struct mapping *m, json_t *o)
{
        const char *proration = case_member(o, "proration"), *when = case_member(o, "when");
        json_t *to = map_begin(o, "fixed", "fixed");
        enum verdict v = map_check(m, o, "amount rate by_month per proration when");

        if (!*proration)
                proration = case_member(json_object_get(m->c->tariff, "proration"), "fixed");
        if (!counted_per(m, o, to)) {
                map_copy(to, o, "rate", "amount");
                map_copy(to, o, "amount", "amount");
                map_copy(to, o, "by_month", "by_month");
                map_copy(to, o, "per", "per");
                if (map_known("kw kw_month", case_member(o, "per")) &&
                    !json_object_get(m->c->usage, "contract_kw"))
                        v = case_unsupported(m->c, "a charge per kW without contract_kw");
                if (v == CASE_PASS && *proration && strcmp(proration, "none") != 0 &&
                    strcmp(case_member(o, "per"), "day") != 0 &&
                    !rule_proration(m->c, proration, to))
                        v = case_unsupported(m->c, "proration \"%s\" of a fixed charge", proration);
        }
        if (v == CASE_PASS && *when && !rule_when_quantity(m->c, when, to))
                v = case_unsupported(m->c, "condition \"%s\"", when);
        return map_finish(m, to, v);
}

static enum verdict map_percent(struct mapping *m, json_t *o)
{
        const char *when = case_member(o, "when");
        json_t *to = map_begin(o, "percent", "percent");
        enum verdict v = map_check(m, o, "pct of per_line when");

        map_copy(to, o, "pct", "pct");
        map_copy(to, o, "of", "of");
        map_copy(to, o, "per_line", "per_line");
        if (v == CASE_PASS && *when && !rule_when_quantity(m->c, when, to))
                v = case_unsupported(m->c, "condition \"%s\"", when);
        return map_finish(m, to, v);
}

/* A demand that stands in the usage ready to be billed, in kVA or under a name of its own. */
static bool demand_by_name(struct mapping *m, json_t *o, json_t *to)
{
        static const char *const names[] = { "billing_demand_kw",
                                             "demand_kw",
                                             "max_demand_kw",
                                             "billing_kw",
                                             "demand_kva",
                                             "peak_kva",
                                             "max_demand_kva",
                                             "billing_kva",
                                             "kva",
                                             "kw",
                                             "maximum_demand_kva",
                                             "maximum_demand_kw",
                                             "md_kw",
                                             "md_kva" };

        if (json_object_get(m->c->usage, "peak_kw") ||
            json_object_get(m->c->usage, "monthly_peak_kw") || *case_member(o, "proration"))
                return false;
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
                if (json_is_number(json_object_get(m->c->usage, names[i]))) {
                        json_object_set_new(to, "type", json_string("energy"));
                        json_object_set_new(to, "quantity", json_string(names[i]));
                        return true;
                }
        return false;
}

static enum verdict map_demand(struct mapping *m, json_t *o)
{
        const char *proration = case_member(o, "proration");
        json_t *to, *rates = json_object_get(o, "rates"), *tiers;
        bool peak = true;
        enum verdict v = map_check(m, o, "rate rates tiers measures_peak proration unit");

        if (v == CASE_PASS && json_is_object(rates))
                return map_named_rates(m, o, rates);
        to = map_begin(o, "demand", "demand");
        if (demand_by_name(m, o, to))
                peak = false;
        map_copy(to, o, "rate", "rate");
        if (json_object_get(o, "tiers")) {
                if (v == CASE_PASS)
                        v = map_tier_list(m, json_object_get(o, "tiers"), &tiers);
                if (v == CASE_PASS)
                        json_object_set_new(to, "tiers", tiers);
        }
        if (v == CASE_PASS && *proration && !rule_proration(m->c, proration, to))
                v = case_unsupported(m->c, "proration \"%s\" of a demand charge", proration);
        if (!m->demand && peak)
                m->demand = json_object();
        return map_finish(m, to, v);
}

static enum verdict map_ratchet(struct mapping *m, json_t *o)
{
        json_t *ratchet = json_object();
        enum verdict v = map_check(m, o,
                                   "percent percent_by_month peak_taken_from_months months "
                                   "lookback_months minimum_kw use_current_month contract_percent");

        map_copy(ratchet, o, "percent", "percent");
        map_copy(ratchet, o, "percent_by_month", "percent_by_month");
        map_copy(ratchet, o, "months", "months");
        map_copy(ratchet, o, "use_current_month",
                 json_is_array(json_object_get(o, "use_current_month")) ? "use_current_by_month"
                                                                        : "use_current");
        map_copy(ratchet, o, "peak_taken_from_months", "months");
        map_copy(ratchet, o, "lookback_months", "lookback_months");
        if (!m->demand)
                m->demand = json_object();
        json_object_set_new(m->demand, "ratchet", ratchet);
        map_copy(m->demand, o, "minimum_kw", "minimum");
        map_copy(m->demand, o, "contract_percent", "contract_percent");
        return v;
}

static enum verdict map_demand_flat(struct mapping *m, json_t *o)
{
        json_t *to = map_begin(o, "demand", "demand_flat"), *months = json_array();
        json_t *by_month = json_object_get(o, "by_month");
        enum verdict v = map_check(m, o, "by_month rate");
        char key[3];

        for (int i = 1; by_month && i <= 12; i++) {
                snprintf(key, sizeof(key), "%d", i % 100);
                if (json_array_append(months, json_object_get(by_month, key)) < 0)
                        v = case_unsupported(m->c, "demand_flat without a rate for month %d", i);
        }
        map_copy(to, o, "rate", "rate");
        if (by_month)
                json_object_set(to, "by_month", months);
        json_decref(months);
        if (!m->demand)
                m->demand = json_object();
        if (v == CASE_PASS)
                return map_add(m, to);
        json_decref(to);
        return v;
}

/* Members that mean the same in a document, tiers aside. */
static enum verdict map_plain(struct mapping *m, json_t *o, const char *type, const char *members)
{
        json_t *to = map_begin(o, type, type), *value, *tiers;
        enum verdict v = map_check(m, o, members);
        const char *key;

        json_object_foreach(o, key, value)
        {
                bool list = strcmp(key, "tiers") == 0 || strcmp(key, "bands") == 0;

                if (v != CASE_PASS || map_known("type code note unit when", key))
                        continue;
                if (list)
                        v = map_tier_list(m, value, &tiers);
                if (list)
                        json_object_set_new(to, "tiers", tiers);
                else
                        json_object_set(to, key, value);
        }
        if (v == CASE_PASS)
                v = map_quantity(m, o, to);
        return map_finish(m, to, v);
}

static enum verdict map_package(struct mapping *m, json_t *o)
{
        return map_plain(m, o, "package", "package_size amount free_units unit when");
}

static enum verdict map_tiered_percentage(struct mapping *m, json_t *o)
{
        return map_plain(m, o, "tiered_percentage", "tiers unit when");
}

/* One case of a slab switch: prices and a fixed charge, or whole components. */
static enum verdict map_slab_case(struct mapping *m, json_t *from, const char *code,
                                  const char *quantity, json_t *slab)
{
        struct mapping inner = *m;
        enum verdict v = CASE_PASS;
        char fixed[80];
        json_t *tiers, *part;
        const char *key;

        inner.components = json_array();
        json_object_set_new(slab, "components", inner.components);
        json_object_foreach(from, key, part)
        {
                if (!map_known("upto tiers rate fixed amount components note name", key))
                        return case_unsupported(m->c, "member %s of a slab", key);
        }
        map_copy(slab, from, "upto", "upto");
        if (json_object_get(from, "tiers") || json_object_get(from, "rate")) {
                json_t *energy = json_pack("{s:s, s:s, s:s}", "type", "energy", "code", code,
                                           "quantity", quantity);

                map_copy(energy, from, "rate", "rate");
                if (json_object_get(from, "tiers")) {
                        v = map_tier_list(m, json_object_get(from, "tiers"), &tiers);
                        json_object_set_new(energy, "tiers", tiers);
                }
                if (v == CASE_PASS)
                        v = map_limits(m, "tier_limits", energy);
                json_array_append_new(inner.components, energy);
        }
        snprintf(fixed, sizeof(fixed), "%s_fixed", code);
        part = json_object_get(from, "fixed") ? json_object_get(from, "fixed")
                                              : json_object_get(from, "amount");
        if (part)
                json_array_append_new(inner.components,
                                      json_pack("{s:s, s:s, s:O}", "type", "fixed", "code", fixed,
                                                "amount", part));
        if (v == CASE_PASS && json_object_get(from, "components"))
                v = map_list(&inner, json_object_get(from, "components"));
        m->demand = inner.demand;
        m->quantities = inner.quantities;
        return v;
}

static enum verdict map_slab(struct mapping *m, json_t *o)
{
        json_t *to = map_begin(o, "slab_switch", "slab"), *cases = json_array(), *v;
        enum verdict verdict = map_check(m, o, "by cases unit");
        const char *code = case_member(to, "code"), *by = case_member(o, "by");
        const char *quantity = unit_quantity(m, *by ? by : case_member(o, "unit"));
        size_t i;

        json_object_set_new(to, "cases", cases);
        if (verdict == CASE_PASS && !quantity)
                verdict = case_unsupported(m->c, "a slab switch by %s", by);
        if (quantity)
                json_object_set_new(to, "quantity", json_string(quantity));
        if (verdict == CASE_PASS)
                verdict = map_limits(m, "tier_limits", to);
        json_array_foreach(json_object_get(o, "cases"), i, v)
        {
                json_t *slab = json_object();

                json_array_append_new(cases, slab);
                if (verdict == CASE_PASS)
                        verdict = map_slab_case(m, v, code, quantity, slab);
        }
        return map_finish(m, to, verdict);
}

static enum verdict map_rebate(struct mapping *m, json_t *o)
{
        json_t *to = map_begin(o, "energy", "rebate"), *tiers,
               *bands = json_object_get(o, "bands") ? json_object_get(o, "bands")
                                                    : json_object_get(o, "tiers");
        enum verdict v = map_check(m, o, "bands tiers unit when");

        if (v == CASE_PASS)
                v = map_quantity(m, o, to);
        if (v == CASE_PASS) {
                v = map_tier_list(m, bands, &tiers);
                json_object_set_new(to, "tiers", tiers);
        }
        json_object_set_new(to, "mode", json_string("volume"));
        /* A rebate written as a negative price is one already. */
        if (json_number_value(json_object_get(json_array_get(bands, 0), "rate")) >= 0)
                json_object_set_new(to, "subtract", json_true());
        if (v == CASE_PASS)
                v = map_limits(m, "bands", to);
        return map_finish(m, to, v);
}

static enum verdict map_band_fixed(struct mapping *m, json_t *o)
{
        json_t *to = map_begin(o, "band_fixed", "band"), *tiers,
               *proration = json_object_get(m->c->tariff, "proration"),
               *bands = json_object_get(o, "bands") ? json_object_get(o, "bands")
                                                    : json_object_get(o, "tiers");
        enum verdict v = map_check(m, o, "bands tiers unit when");

        if (v == CASE_PASS)
                v = map_quantity(m, o, to);
        if (v == CASE_PASS) {
                v = map_tier_list(m, bands, &tiers);
                json_object_set_new(to, "tiers", tiers);
        }
        if (v == CASE_PASS)
                v = map_limits(m, *case_member(proration, "bands") ? "bands" : "tier_limits", to);
        return map_finish(m, to, v);
}

/* rate_per_60: the price is for 60 units. */
static enum verdict map_increment(struct mapping *m, json_t *o)
{
        json_t *to = map_begin(o, "increment", "increment"), *v;
        enum verdict verdict = map_quantity(m, o, to);
        const char *key;
        unsigned per;

        map_copy(to, o, "first", "first");
        map_copy(to, o, "then", "then");
        map_copy(to, o, "rate", "rate");
        json_object_foreach(o, key, v)
        {
                if (sscanf(key, "rate_per_%6u", &per) == 1) {
                        json_object_set(to, "rate", v);
                        json_object_set_new(to, "per_units", json_integer(per));
                } else if (!map_known("type code note first then rate unit when", key)) {
                        verdict =
                                case_unsupported(m->c, "member %s of an increment component", key);
                }
        }
        return map_finish(m, to, verdict);
}

static enum verdict map_minimum(struct mapping *m, json_t *o)
{
        const char *proration = case_member(o, "proration");
        json_t *to = map_begin(o, "minimum_bill", "minimum_bill");
        enum verdict v = map_check(m, o, "amount per of proration annual");

        map_copy(to, o, "amount", "amount");
        map_copy(to, o, "per", "per");
        map_copy(to, o, "of", "of");
        map_copy(to, o, "annual", "annual");
        if (v == CASE_PASS && *proration && !rule_proration(m->c, proration, to))
                v = case_unsupported(m->c, "proration \"%s\" of a minimum", proration);
        return map_finish(m, to, v);
}

static enum verdict map_given(struct mapping *m, json_t *o)
{
        json_t *to = map_begin(o, "given", "given");
        enum verdict v = map_check(m, o, "amount");

        map_copy(to, o, "amount", "amount");
        return map_finish(m, to, v);
}

/* Types and members as they stand in a document; the loader names what it does not know. */
static enum verdict map_native(struct mapping *m, json_t *o)
{
        json_t *to = json_deep_copy(o);

        if (!json_object_get(to, "code"))
                json_object_set(to, "code", json_object_get(to, "type"));
        if (map_known("over_contract", case_member(o, "type")) && !m->demand)
                m->demand = json_object();
        return map_add(m, to);
}

static enum verdict map_one(struct mapping *m, json_t *o)
{
        static const struct {
                const char *types;
                enum verdict (*map)(struct mapping *m, json_t *o);
        } types[] = { { "tiered block_rate", map_tiered },
                      { "rate flat_rate volumetric tou time_of_use", map_rate },
                      { "fixed service_charge", map_fixed },
                      { "percent tax surcharge", map_percent },
                      { "demand demand_tou", map_demand },
                      { "demand_flat", map_demand_flat },
                      { "ratchet", map_ratchet },
                      { "slab_switch", map_slab },
                      { "volume_rebate", map_rebate },
                      { "band_fixed", map_band_fixed },
                      { "increment", map_increment },
                      { "package", map_package },
                      { "tiered_percentage", map_tiered_percentage },
                      { "minimum_bill minimum", map_minimum },
                      { "net_energy", map_net_energy },
                      { "given", map_given },
                      { "energy power_factor over_contract net_metering", map_native } };
        const char *type = case_member(o, "type");

        for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
                if (*type && map_known(types[i].types, type))
                        return types[i].map(m, o);
        return case_unsupported(m->c, "component type %s", *type ? type : "(none)");
}

static enum verdict map_list(struct mapping *m, json_t *list)
{
        json_t *v;
        size_t i;

        json_array_foreach(list, i, v)
        {
                enum verdict verdict = map_one(m, v);

                if (verdict != CASE_PASS)
                        return verdict;
        }
        return CASE_PASS;
}

/* Members beside the components. */
static enum verdict check_tariff(struct mapping *m)
{
        static const char known[] =
                "components proration minimum_bill ratchet normal_days bill_frequency context note "
                "notes name schema source valid_from valid_to month_days";
        static const char rules[] = "tier_limits bands fixed when always note";
        const char *key;
        json_t *v;

        json_object_foreach(m->c->tariff, key, v)
        {
                if (!map_known(known, key))
                        return case_unsupported(m->c, "member %s of the tariff", key);
        }
        json_object_foreach(json_object_get(m->c->tariff, "proration"), key, v)
        {
                if (!map_known(rules, key))
                        return case_unsupported(m->c, "proration of %s", key);
        }
        return CASE_PASS;
}

enum verdict map_components(struct mapping *m, json_t *list)
{
        json_t *minimum = json_object_get(m->c->tariff, "minimum_bill");
        json_t *ratchet = json_object_get(m->c->tariff, "ratchet");
        enum verdict verdict = check_tariff(m);

        if (verdict == CASE_PASS)
                verdict = map_list(m, list);
        if (verdict == CASE_PASS && ratchet)
                verdict = map_ratchet(m, ratchet);
        if (verdict == CASE_PASS && json_is_object(minimum))
                return map_minimum(m, minimum);
        if (verdict == CASE_PASS && minimum)
                return map_add(m, json_pack("{s:s, s:s, s:O}", "type", "minimum_bill", "code",
                                            "minimum_bill", "amount", minimum));
        return verdict;
}
