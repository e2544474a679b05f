/* Components of a case, as components of a tariff document. What is not known is named. */

#include <stdio.h>
#include <string.h>

#include "tariff_cases_internal.h"

static enum verdict map_list(struct mapping *m, json_t *list);

static enum verdict add(struct mapping *m, json_t *component)
{
        if (!component || json_array_append_new(m->components, component) < 0)
                return case_fail(m->c, "out of memory");
        return CASE_PASS;
}

static void copy(json_t *to, json_t *from, const char *key, const char *as)
{
        json_t *v = json_object_get(from, key);

        if (v)
                json_object_set(to, as, v);
}

/* A component of @type with the members every one has. */
static json_t *begin(json_t *from, const char *type, const char *otherwise)
{
        json_t *o = json_object();
        const char *code = case_member(from, "code");

        json_object_set_new(o, "type", json_string(type));
        json_object_set_new(o, "code", json_string(*code ? code : otherwise));
        return o;
}

static bool is_known(const char *list, const char *word)
{
        size_t n = strlen(word);

        for (const char *p = n ? strstr(list, word) : NULL; p; p = strstr(p + 1, word))
                if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
                        return true;
        return false;
}

static enum verdict check_members(struct mapping *m, json_t *o, const char *known)
{
        const char *key;
        json_t *v;

        json_object_foreach(o, key, v)
        {
                if (!is_known("type code note", key) && !is_known(known, key))
                        return case_unsupported(m->c, "member %s of a %s component", key,
                                                case_member(o, "type"));
        }
        return CASE_PASS;
}

/* Scaling of limits by @rule, which holds @when or always. */
static enum verdict add_limits(struct mapping *m, const char *rule, const char *when,
                               json_t *component)
{
        json_t *limits;

        if (!rule_limits(m->c, rule, &limits))
                return case_unsupported(m->c, "proration rule \"%s\"", rule);
        json_object_set_new(component, "limits", limits);
        if (*when && !rule_when_days(when, limits))
                return case_unsupported(m->c, "proration condition \"%s\"", when);
        return CASE_PASS;
}

/* How the case's tariff scales limits: its "proration" member, @key the rule it is under. */
static enum verdict map_limits(struct mapping *m, const char *key, json_t *component)
{
        json_t *proration = json_object_get(m->c->tariff, "proration");
        const char *rule = case_member(proration, key), *when = case_member(proration, "when");

        if (!*rule)
                return CASE_PASS;
        if (!*when && json_is_false(json_object_get(proration, "always")))
                return case_unsupported(m->c, "proration rule \"%s\" without saying when", rule);
        return add_limits(m, rule, when, component);
}

/* A list of tiers with the words of the documents: upto, rate, flat, pct. */
static enum verdict map_tier_list(struct mapping *m, json_t *list, json_t **ret)
{
        static const struct {
                const char *word, *as;
        } words[] = { { "upto", "upto" },   { "up_to", "upto" },  { "max", "upto" },
                      { "to", "upto" },     { "limit", "upto" },  { "rate", "rate" },
                      { "price", "rate" },  { "flat", "flat" },   { "flat_fee", "flat" },
                      { "fixed", "flat" },  { "pct", "pct" },     { "percent", "pct" },
                      { "amount", "amount" } };
        json_t *to = json_array(), *v, *member;
        const char *key;
        size_t i;

        *ret = to;
        json_array_foreach(list, i, v)
        {
                json_t *t = json_object();

                json_array_append_new(to, t);
                json_object_foreach(v, key, member)
                {
                        size_t k = 0;

                        while (k < sizeof(words) / sizeof(*words) && strcmp(words[k].word, key) != 0)
                                k++;
                        if (k < sizeof(words) / sizeof(*words))
                                json_object_set(t, words[k].as, member);
                        else if (!is_known("note name tier", key))
                                return case_unsupported(m->c, "member %s of a tier", key);
                }
        }
        return CASE_PASS;
}

/* What the name of the member says its limits are for: "tiers_per_day", "tiers_30day" ... */
static const char *tiers_rule(const char *key, char out[static 40])
{
        static const struct {
                const char *name, *rule;
        } names[] = { { "tiers", "" },
                      { "tiers_per_day", "limit*days/1" },
                      { "tiers_daily", "limit*days/1" },
                      { "tiers_monthly", "limit*months" },
                      { "tiers_per_month", "limit*months" },
                      { "tiers_per_household", "limit*households" },
                      { "tiers_per_kw", "limit*kw" },
                      { "tiers_annual", "limit*days/365" },
                      { "tiers_per_year", "limit*days/365" } };
        unsigned days;
        int n = 0;

        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
                if (strcmp(names[i].name, key) == 0)
                        return names[i].rule;
        if (sscanf(key, "tiers_%3uday%n", &days, &n) != 1 || !n || (key[n] && strcmp(key + n, "s")) ||
            !days)
                return NULL;
        snprintf(out, 40, "limit*days/%u", days);
        return out;
}

/* The tariff's own words about its limits go before what their member's name says. */
static enum verdict map_tiers(struct mapping *m, json_t *from, json_t *to)
{
        const char *rule = case_member(json_object_get(m->c->tariff, "proration"), "tier_limits");
        const char *key, *own, *component_rule = case_member(from, "proration");
        char text[40];
        json_t *v, *tiers;

        json_object_foreach(from, key, v)
        {
                unsigned a, b;
                int n = 0;
                enum verdict verdict;

                if (strncmp(key, "tiers", 5) != 0)
                        continue;
                own = tiers_rule(key, text);
                if (!own)
                        return case_unsupported(m->c, "tier limits given as %s", key);
                verdict = map_tier_list(m, v, &tiers);
                json_object_set_new(to, "tiers", tiers);
                if (verdict != CASE_PASS)
                        return verdict;
                if (*component_rule)
                        return add_limits(m, component_rule, "", to);
                if (sscanf(rule, "x%u when read and billed every %u months%n", &a, &b, &n) == 2 &&
                    n && !rule[n] && a == b)
                        return add_limits(m, "limit*months", "", to);
                if (*rule)
                        return map_limits(m, "tier_limits", to);
                return *own ? add_limits(m, own, "", to) : CASE_PASS;
        }
        return case_unsupported(m->c, "a tiered component without tiers");
}

static enum verdict set_quantity(struct mapping *m, json_t *from, json_t *to)
{
        const char *unit = case_member(from, "unit"), *name = unit_quantity(m, unit);
        const char *when = case_member(from, "when");

        if (!name && *unit)
                return case_unsupported(m->c, "unit %s, of which the usage says nothing", unit);
        if (name)
                json_object_set_new(to, "quantity", json_string(name));
        if (*when && !rule_when_quantity(m->c, when, to))
                return case_unsupported(m->c, "condition \"%s\"", when);
        return CASE_PASS;
}

/* Other words for the ways tiers are filled. */
static enum verdict set_mode(struct mapping *m, json_t *from, json_t *to)
{
        static const char graduated[] =
                "graduated telescopic progressive incremental marginal stepped";
        static const char volume[] = "volume non_telescopic non-telescopic all_units bulk";
        const char *mode = case_member(from, "mode");

        if (!*mode)
                return CASE_PASS;
        if (!is_known(graduated, mode) && !is_known(volume, mode))
                return case_unsupported(m->c, "tier mode %s", mode);
        json_object_set_new(to, "mode",
                            json_string(is_known(volume, mode) ? "volume" : "graduated"));
        return CASE_PASS;
}

static enum verdict finish(struct mapping *m, json_t *to, enum verdict v)
{
        if (v == CASE_PASS)
                return add(m, to);
        json_decref(to);
        return v;
}

static enum verdict map_tiered(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "energy", "tiered");
        enum verdict v = check_members(m, o,
                                       "tiers tiers_30day tiers_per_day tiers_daily tiers_monthly "
                                       "tiers_per_month tiers_per_household tiers_per_kw "
                                       "tiers_annual tiers_per_year mode block_size unit "
                                       "minimum_quantity proration when");

        copy(to, o, "block_size", "block_size");
        copy(to, o, "minimum_quantity", "minimum_quantity");
        if (v == CASE_PASS)
                v = set_quantity(m, o, to);
        if (v == CASE_PASS)
                v = set_mode(m, o, to);
        if (v == CASE_PASS)
                v = map_tiers(m, o, to);
        return finish(m, to, v);
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
                verdict = finish(m, to, verdict);
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
        enum verdict v = check_members(m, o, "rate rates prices unit minimum_quantity when");

        if (v == CASE_PASS && json_is_object(rates))
                return map_named_rates(m, o, rates);
        to = begin(o, "energy", "rate");
        copy(to, o, "rate", "rate");
        copy(to, o, "minimum_quantity", "minimum_quantity");
        if (v == CASE_PASS)
                v = set_quantity(m, o, to);
        return finish(m, to, v);
}

/* Use less generation behind one meter; what is left over counts against the bill when it has a
 * price. */
static enum verdict map_net_energy(struct mapping *m, json_t *o)
{
        static const char *const in_names[] = { "import_kwh", "imported_kwh", "usage_kwh", "kwh" },
                          *const out_names[] = { "export_kwh", "exported_kwh", "generation_kwh",
                                                 "generated_kwh" };
        static const char *const sells[] = { "export_rate", "sell_rate", "credit_rate", "sell" };
        const char *in = NULL, *out = NULL;
        json_t *to = begin(o, "energy", "net_energy"), *sale, *price = NULL;
        char code[100];
        enum verdict v = check_members(
                m, o, "rate tiers unit export_rate sell_rate credit_rate sell import_rate");

        for (size_t i = 4; i-- > 0;) {
                in = json_object_get(m->c->usage, in_names[i]) ? in_names[i] : in;
                out = json_object_get(m->c->usage, out_names[i]) ? out_names[i] : out;
                price = json_object_get(o, sells[i]) ? json_object_get(o, sells[i]) : price;
        }
        if (v == CASE_PASS && (!in || !out))
                v = case_unsupported(m->c, "net energy without use and export in the usage");
        if (v != CASE_PASS)
                return finish(m, to, v);
        if (!m->quantities)
                m->quantities = json_object();
        json_object_set_new(m->quantities, "net",
                            json_pack("{s:s, s:[s], s:[s], s:i}", "unit", "kWh", "add", in,
                                      "subtract", out, "at_least", 0));
        copy(to, o, "import_rate", "rate");
        copy(to, o, "rate", "rate");
        copy(to, o, "tiers", "tiers");
        json_object_set_new(to, "quantity", json_string("net"));
        snprintf(code, sizeof(code), "%s_export", case_member(to, "code"));
        if (add(m, to) != CASE_PASS || !price)
                return CASE_PASS;
        json_object_set_new(m->quantities, "surplus",
                            json_pack("{s:s, s:[s], s:[s], s:i}", "unit", "kWh", "add", out,
                                      "subtract", in, "at_least", 0));
        sale = json_pack("{s:s, s:s, s:s, s:O, s:b}", "type", "energy", "code", code, "quantity",
                         "surplus", "rate", price, "subtract", 1);
        return add(m, sale);
}

/* A fixed charge for each of something that is counted: pumps, lamps, connections. */
static bool counted_per(struct mapping *m, json_t *o, json_t *to)
{
        static const char *const loads[] = { "sanctioned_load_kw", "connected_load_kw",
                                             "contracted_kw", "kw" };
        const char *per = case_member(o, "per");

        if (!*per || is_known("bill month day household", per))
                return false;
        if (is_known("kw kw_month", per)) {
                for (size_t i = 0; i < sizeof(loads) / sizeof(*loads); i++)
                        if (!json_object_get(m->c->usage, "contract_kw") &&
                            json_object_get(m->c->usage, loads[i]))
                                per = loads[i];
                if (is_known("kw_month", per) || json_object_get(m->c->usage, "contract_kw"))
                        return false;
        }
        if (!json_is_number(json_object_get(m->c->usage, per)))
                return false;
        json_object_set_new(to, "type", json_string("energy"));
        json_object_set_new(to, "quantity", json_string(per));
        copy(to, o, "amount", "rate");
        return true;
}

static enum verdict map_fixed(struct mapping *m, json_t *o)
{
        const char *proration = case_member(o, "proration"), *when = case_member(o, "when");
        json_t *to = begin(o, "fixed", "fixed");
        enum verdict v = check_members(m, o, "amount rate by_month per proration when");

        if (!*proration)
                proration = case_member(json_object_get(m->c->tariff, "proration"), "fixed");
        if (!counted_per(m, o, to)) {
                copy(to, o, "rate", "amount");
                copy(to, o, "amount", "amount");
                copy(to, o, "by_month", "by_month");
                copy(to, o, "per", "per");
                if (is_known("kw kw_month", case_member(o, "per")) &&
                    !json_object_get(m->c->usage, "contract_kw"))
                        v = case_unsupported(m->c, "a charge per kW without contract_kw");
                if (v == CASE_PASS && *proration && strcmp(proration, "none") != 0 &&
                    strcmp(case_member(o, "per"), "day") != 0 &&
                    !rule_proration(m->c, proration, to))
                        v = case_unsupported(m->c, "proration \"%s\" of a fixed charge",
                                             proration);
        }
        if (v == CASE_PASS && *when && !rule_when_quantity(m->c, when, to))
                v = case_unsupported(m->c, "condition \"%s\"", when);
        return finish(m, to, v);
}

static enum verdict map_percent(struct mapping *m, json_t *o)
{
        const char *when = case_member(o, "when");
        json_t *to = begin(o, "percent", "percent");
        enum verdict v = check_members(m, o, "pct of per_line when");

        copy(to, o, "pct", "pct");
        copy(to, o, "of", "of");
        copy(to, o, "per_line", "per_line");
        if (v == CASE_PASS && *when && !rule_when_quantity(m->c, when, to))
                v = case_unsupported(m->c, "condition \"%s\"", when);
        return finish(m, to, v);
}

/* A demand that stands in the usage ready to be billed, in kVA or under a name of its own. */
static bool demand_by_name(struct mapping *m, json_t *o, json_t *to)
{
        static const char *const names[] = { "billing_demand_kw", "demand_kw",      "max_demand_kw",
                                             "billing_kw",        "demand_kva",     "peak_kva",
                                             "max_demand_kva",    "billing_kva",    "kva",
                                             "kw",                "maximum_demand_kva",
                                             "maximum_demand_kw", "md_kw",          "md_kva" };

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
        enum verdict v = check_members(m, o, "rate rates tiers measures_peak proration unit");

        if (v == CASE_PASS && json_is_object(rates))
                return map_named_rates(m, o, rates);
        to = begin(o, "demand", "demand");
        if (demand_by_name(m, o, to))
                peak = false;
        copy(to, o, "rate", "rate");
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
        return finish(m, to, v);
}

static enum verdict map_ratchet(struct mapping *m, json_t *o)
{
        json_t *ratchet = json_object();
        enum verdict v =
                check_members(m, o, "percent percent_by_month peak_taken_from_months months "
                                    "lookback_months minimum_kw use_current_month contract_percent");

        copy(ratchet, o, "percent", "percent");
        copy(ratchet, o, "percent_by_month", "percent_by_month");
        copy(ratchet, o, "months", "months");
        copy(ratchet, o, "use_current_month",
             json_is_array(json_object_get(o, "use_current_month")) ? "use_current_by_month"
                                                                    : "use_current");
        copy(ratchet, o, "peak_taken_from_months", "months");
        copy(ratchet, o, "lookback_months", "lookback_months");
        if (!m->demand)
                m->demand = json_object();
        json_object_set_new(m->demand, "ratchet", ratchet);
        copy(m->demand, o, "minimum_kw", "minimum");
        copy(m->demand, o, "contract_percent", "contract_percent");
        return v;
}

static enum verdict map_demand_flat(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "demand", "demand_flat"), *months = json_array();
        json_t *by_month = json_object_get(o, "by_month");
        enum verdict v = check_members(m, o, "by_month rate");
        char key[3];

        for (int i = 1; by_month && i <= 12; i++) {
                snprintf(key, sizeof(key), "%d", i % 100);
                if (json_array_append(months, json_object_get(by_month, key)) < 0)
                        v = case_unsupported(m->c, "demand_flat without a rate for month %d", i);
        }
        copy(to, o, "rate", "rate");
        if (by_month)
                json_object_set(to, "by_month", months);
        json_decref(months);
        if (!m->demand)
                m->demand = json_object();
        if (v == CASE_PASS)
                return add(m, to);
        json_decref(to);
        return v;
}

/* Members that mean the same in a document, tiers aside. */
static enum verdict map_plain(struct mapping *m, json_t *o, const char *type, const char *members)
{
        json_t *to = begin(o, type, type), *value, *tiers;
        enum verdict v = check_members(m, o, members);
        const char *key;

        json_object_foreach(o, key, value)
        {
                bool list = strcmp(key, "tiers") == 0 || strcmp(key, "bands") == 0;

                if (v != CASE_PASS || is_known("type code note unit when", key))
                        continue;
                if (list)
                        v = map_tier_list(m, value, &tiers);
                if (list)
                        json_object_set_new(to, "tiers", tiers);
                else
                        json_object_set(to, key, value);
        }
        if (v == CASE_PASS)
                v = set_quantity(m, o, to);
        return finish(m, to, v);
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
                if (!is_known("upto tiers rate fixed amount components note name", key))
                        return case_unsupported(m->c, "member %s of a slab", key);
        }
        copy(slab, from, "upto", "upto");
        if (json_object_get(from, "tiers") || json_object_get(from, "rate")) {
                json_t *energy = json_pack("{s:s, s:s, s:s}", "type", "energy", "code", code,
                                           "quantity", quantity);

                copy(energy, from, "rate", "rate");
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
        json_t *to = begin(o, "slab_switch", "slab"), *cases = json_array(), *v;
        enum verdict verdict = check_members(m, o, "by cases unit");
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
        return finish(m, to, verdict);
}

static enum verdict map_rebate(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "energy", "rebate"), *tiers,
               *bands = json_object_get(o, "bands") ? json_object_get(o, "bands")
                                                    : json_object_get(o, "tiers");
        enum verdict v = check_members(m, o, "bands tiers unit when");

        if (v == CASE_PASS)
                v = set_quantity(m, o, to);
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
        return finish(m, to, v);
}

static enum verdict map_band_fixed(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "band_fixed", "band"), *tiers,
               *proration = json_object_get(m->c->tariff, "proration"),
               *bands = json_object_get(o, "bands") ? json_object_get(o, "bands")
                                                    : json_object_get(o, "tiers");
        enum verdict v = check_members(m, o, "bands tiers unit when");

        if (v == CASE_PASS)
                v = set_quantity(m, o, to);
        if (v == CASE_PASS) {
                v = map_tier_list(m, bands, &tiers);
                json_object_set_new(to, "tiers", tiers);
        }
        if (v == CASE_PASS)
                v = map_limits(m, *case_member(proration, "bands") ? "bands" : "tier_limits", to);
        return finish(m, to, v);
}

/* rate_per_60: the price is for 60 units. */
static enum verdict map_increment(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "increment", "increment"), *v;
        enum verdict verdict = set_quantity(m, o, to);
        const char *key;
        unsigned per;

        copy(to, o, "first", "first");
        copy(to, o, "then", "then");
        copy(to, o, "rate", "rate");
        json_object_foreach(o, key, v)
        {
                if (sscanf(key, "rate_per_%6u", &per) == 1) {
                        json_object_set(to, "rate", v);
                        json_object_set_new(to, "per_units", json_integer(per));
                } else if (!is_known("type code note first then rate unit when", key)) {
                        verdict = case_unsupported(m->c, "member %s of an increment component",
                                                   key);
                }
        }
        return finish(m, to, verdict);
}

static enum verdict map_minimum(struct mapping *m, json_t *o)
{
        const char *proration = case_member(o, "proration");
        json_t *to = begin(o, "minimum_bill", "minimum_bill");
        enum verdict v = check_members(m, o, "amount per of proration annual");

        copy(to, o, "amount", "amount");
        copy(to, o, "per", "per");
        copy(to, o, "of", "of");
        copy(to, o, "annual", "annual");
        if (v == CASE_PASS && *proration && !rule_proration(m->c, proration, to))
                v = case_unsupported(m->c, "proration \"%s\" of a minimum", proration);
        return finish(m, to, v);
}

static enum verdict map_given(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "given", "given");
        enum verdict v = check_members(m, o, "amount");

        copy(to, o, "amount", "amount");
        return finish(m, to, v);
}

/* Types and members as they stand in a document; the loader names what it does not know. */
static enum verdict map_native(struct mapping *m, json_t *o)
{
        json_t *to = json_deep_copy(o);

        if (!json_object_get(to, "code"))
                json_object_set(to, "code", json_object_get(to, "type"));
        if (is_known("over_contract", case_member(o, "type")) && !m->demand)
                m->demand = json_object();
        return add(m, to);
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
                if (*type && is_known(types[i].types, type))
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
                if (!is_known(known, key))
                        return case_unsupported(m->c, "member %s of the tariff", key);
        }
        json_object_foreach(json_object_get(m->c->tariff, "proration"), key, v)
        {
                if (!is_known(rules, key))
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
                return add(m, json_pack("{s:s, s:s, s:O}", "type", "minimum_bill", "code",
                                        "minimum_bill", "amount", minimum));
        return verdict;
}
