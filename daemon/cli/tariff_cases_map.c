/* Components of a case, as components of a tariff document. What is not known is named. */

#include <stdlib.h>
#include <string.h>

#include "tariff_cases_internal.h"

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

        for (const char *p = strstr(list, word); p; p = strstr(p + 1, word))
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

/* One factor of a rule behind "limit": "*days/30", "*months", "*households", "*kw". */
static const char *map_factor(const char *p, json_t *limits)
{
        static const struct {
                const char *word, *member;
        } words[] = { { "*months", "months" },
                      { "*households", "households" },
                      { "*kw", "contract_kw" } };
        unsigned days;
        int n = 0;

        if (sscanf(p, "*days/%3u%n", &days, &n) == 1 && n && days) {
                json_object_set_new(limits, "per_days", json_integer(days));
                return p + n;
        }
        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
                if (strncmp(p, words[i].word, strlen(words[i].word)) == 0) {
                        json_object_set_new(limits, words[i].member, json_true());
                        return p + strlen(words[i].word);
                }
        return NULL;
}

bool map_days_rule(const char *text, json_t **ret)
{
        bool round = strncmp(text, "round(limit", 11) == 0;
        const char *p = text + (round ? 11 : 5);
        json_t *limits = json_object();

        *ret = NULL;
        if (!round && strncmp(text, "limit", 5) != 0)
                p = NULL;
        while (p && *p && strcmp(p, ")") != 0)
                p = map_factor(p, limits);
        if (!p || (round ? strcmp(p, ")") != 0 : *p != '\0') || json_object_size(limits) == 0) {
                json_decref(limits);
                return false;
        }
        json_object_set_new(limits, "round", json_string(round ? "limits" : "none"));
        *ret = limits;
        return true;
}

/* "days<25 or days>35", or one of the two. */
static bool map_when(const char *text, json_t *limits)
{
        for (const char *p = text; *p;) {
                unsigned days;
                int n = 0;
                char sign;

                if (sscanf(p, "days%c%3u%n", &sign, &days, &n) != 2 || (sign != '<' && sign != '>'))
                        return false;
                json_object_set_new(limits, sign == '<' ? "below_days" : "above_days",
                                    json_integer(days));
                p += n;
                if (strncmp(p, " or ", 4) == 0 && p[4])
                        p += 4;
                else if (*p)
                        return false;
        }
        return true;
}

/* How the case's tariff scales limits: its "proration" member, @key the rule it is under. */
static enum verdict map_limits(struct mapping *m, const char *key, json_t *component)
{
        json_t *proration = json_object_get(m->c->tariff, "proration"), *limits;
        const char *rule = case_member(proration, key), *when = case_member(proration, "when");

        if (!*rule)
                return CASE_PASS;
        if (!map_days_rule(rule, &limits))
                return case_unsupported(m->c, "proration rule \"%s\"", rule);
        json_object_set_new(component, "limits", limits);
        if (*when && !map_when(when, limits))
                return case_unsupported(m->c, "proration condition \"%s\"", when);
        if (!*when && json_object_get(limits, "per_days") &&
            !json_is_true(json_object_get(proration, "always")))
                return case_unsupported(m->c, "proration rule \"%s\" without saying when", rule);
        return CASE_PASS;
}

/* tiers_per_day, tiers_30day, tiers_monthly, tiers: limits for a day, 30 days, a month, the bill.
 */
static enum verdict map_tiers(struct mapping *m, json_t *from, json_t *to)
{
        const char *rule = case_member(json_object_get(m->c->tariff, "proration"), "tier_limits");
        const char *key;
        json_t *v;

        json_object_foreach(from, key, v)
        {
                unsigned days = 0, a, b;
                int n = 0;

                if (strncmp(key, "tiers", 5) != 0)
                        continue;
                json_object_set(to, "tiers", v);
                if (strcmp(key, "tiers") == 0)
                        return map_limits(m, "tier_limits", to);
                if (strcmp(key, "tiers_per_day") == 0)
                        days = 1;
                else if (sscanf(key, "tiers_%3uday%n", &days, &n) == 1 && n && !key[n])
                        ;
                else if (strcmp(key, "tiers_monthly") == 0) {
                        if (*rule && (sscanf(rule, "x%u when read and billed every %u months%n", &a,
                                             &b, &n) != 2 ||
                                      rule[n] || a != b))
                                return case_unsupported(m->c, "proration rule \"%s\"", rule);
                        json_object_set_new(to, "limits", json_pack("{s:b}", "months", 1));
                        return CASE_PASS;
                } else
                        return case_unsupported(m->c, "tier limits given as %s", key);
                if (*rule)
                        return map_limits(m, "tier_limits", to);
                json_object_set_new(to, "limits", json_pack("{s:i}", "per_days", (int)days));
                return CASE_PASS;
        }
        return case_unsupported(m->c, "a tiered component without tiers");
}

static void set_quantity(struct mapping *m, json_t *from, json_t *to)
{
        const char *unit = case_member(from, "unit");
        char *lower = strdup(unit);

        for (char *p = lower; p && *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p = (char)(*p + 32);
        if (lower && *lower && json_object_get(m->c->usage, lower))
                json_object_set_new(to, "quantity", json_string(lower));
        else if (m->quantity)
                json_object_set_new(to, "quantity", json_string(m->quantity));
        free(lower);
}

static enum verdict map_tiered(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "energy", "tiered");
        enum verdict v = check_members(
                m, o, "tiers tiers_30day tiers_per_day tiers_monthly mode block_size unit");

        set_quantity(m, o, to);
        copy(to, o, "mode", "mode");
        copy(to, o, "block_size", "block_size");
        if (v == CASE_PASS)
                v = map_tiers(m, o, to);
        if (v == CASE_PASS)
                return add(m, to);
        json_decref(to);
        return v;
}

static enum verdict map_rate(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "energy", "rate");
        enum verdict v = check_members(m, o, "rate unit");

        set_quantity(m, o, to);
        copy(to, o, "rate", "rate");
        if (v == CASE_PASS)
                return add(m, to);
        json_decref(to);
        return v;
}

/* "days/30", "amount*days/30", "rate*days/30": by a month of so many days. */
static bool map_month_days(const char *proration, json_t *to)
{
        const char *p = strstr(proration, "days/");
        unsigned days;
        int n = 0;

        if (!p ||
            (p != proration && strncmp(proration, "amount*days/", 12) != 0 &&
             strncmp(proration, "rate*days/", 10) != 0) ||
            sscanf(p, "days/%3u%n", &days, &n) != 1 || p[n] || !days)
                return false;
        json_object_set_new(to, "proration", json_string("days"));
        json_object_set_new(to, "proration_days", json_integer(days));
        return true;
}

static enum verdict map_fixed(struct mapping *m, json_t *o)
{
        const char *proration = case_member(o, "proration");
        json_t *to = begin(o, "fixed", "fixed");
        enum verdict v = check_members(m, o, "amount per proration");

        copy(to, o, "amount", "amount");
        copy(to, o, "per", "per");
        if (strcmp(proration, "billable_days/period_days") == 0 ||
            strcmp(proration, "days/days_in_the_full_period_it_belongs_to") == 0)
                json_object_set_new(to, "proration", json_string("full_period"));
        else if (*proration && !map_month_days(proration, to))
                v = case_unsupported(m->c, "proration \"%s\" of a fixed charge", proration);
        if (v == CASE_PASS)
                return add(m, to);
        json_decref(to);
        return v;
}

static enum verdict map_percent(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "percent", "percent");
        enum verdict v = check_members(m, o, "pct of per_line");

        copy(to, o, "pct", "pct");
        copy(to, o, "of", "of");
        copy(to, o, "per_line", "per_line");
        if (v == CASE_PASS)
                return add(m, to);
        json_decref(to);
        return v;
}

static enum verdict map_demand(struct mapping *m, json_t *o)
{
        const char *proration = case_member(o, "proration");
        json_t *to = begin(o, "demand", "demand"),
               *days = json_object_get(m->c->tariff, "normal_days");
        enum verdict v = check_members(m, o, "rate tiers measures_peak proration");

        copy(to, o, "rate", "rate");
        copy(to, o, "tiers", "tiers");
        if (strcmp(proration, "rate*calc_days/normal_days") == 0 && days) {
                json_object_set_new(to, "proration", json_string("days"));
                json_object_set(to, "proration_days", days);
        } else if (*proration && !map_month_days(proration, to)) {
                v = case_unsupported(m->c, "proration \"%s\" of a demand charge", proration);
        }
        if (!m->demand)
                m->demand = json_object();
        if (v == CASE_PASS)
                return add(m, to);
        json_decref(to);
        return v;
}

static enum verdict map_ratchet(struct mapping *m, json_t *o)
{
        json_t *ratchet = json_object();
        enum verdict v =
                check_members(m, o, "percent peak_taken_from_months lookback_months minimum_kw");

        copy(ratchet, o, "percent", "percent");
        copy(ratchet, o, "peak_taken_from_months", "months");
        copy(ratchet, o, "lookback_months", "lookback_months");
        if (!m->demand)
                m->demand = json_object();
        json_object_set_new(m->demand, "ratchet", ratchet);
        copy(m->demand, o, "minimum_kw", "minimum");
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

static enum verdict map_plain(struct mapping *m, json_t *o, const char *type, const char *members)
{
        json_t *to = begin(o, type, type);
        enum verdict v = check_members(m, o, members);
        const char *key;
        json_t *value;

        set_quantity(m, o, to);
        json_object_foreach(o, key, value)
        {
                if (is_known(members, key))
                        json_object_set(to, key, value);
        }
        if (v == CASE_PASS)
                return add(m, to);
        json_decref(to);
        return v;
}

static enum verdict map_slab(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "slab_switch", "slab"), *cases = json_array(), *v;
        enum verdict verdict = check_members(m, o, "by cases");
        const char *code = case_member(to, "code"), *by = case_member(o, "by");
        size_t i;

        json_object_set_new(to, "quantity", json_string(*by ? by : m->quantity));
        json_object_set_new(to, "cases", cases);
        json_array_foreach(json_object_get(o, "cases"), i, v)
        {
                json_t *parts = json_array();
                json_t *slab = json_pack("{s:o}", "components", parts);
                char fixed[80];

                copy(slab, v, "upto", "upto");
                json_array_append_new(cases, slab);
                if (json_object_get(v, "tiers")) {
                        json_t *energy = json_pack("{s:s, s:s, s:O}", "type", "energy", "code",
                                                   code, "tiers", json_object_get(v, "tiers"));

                        json_object_set_new(energy, "quantity",
                                            json_string(*by ? by : m->quantity));
                        json_array_append_new(parts, energy);
                }
                snprintf(fixed, sizeof(fixed), "%s_fixed", code);
                if (json_object_get(v, "fixed"))
                        json_array_append_new(parts, json_pack("{s:s, s:s, s:O}", "type", "fixed",
                                                               "code", fixed, "amount",
                                                               json_object_get(v, "fixed")));
        }
        if (verdict == CASE_PASS)
                return add(m, to);
        json_decref(to);
        return verdict;
}

static enum verdict map_rebate(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "energy", "rebate");
        enum verdict v = check_members(m, o, "bands");

        set_quantity(m, o, to);
        copy(to, o, "bands", "tiers");
        json_object_set_new(to, "mode", json_string("volume"));
        json_object_set_new(to, "subtract", json_true());
        if (v == CASE_PASS)
                v = map_limits(m, "bands", to);
        if (v == CASE_PASS)
                return add(m, to);
        json_decref(to);
        return v;
}

static enum verdict map_band_fixed(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "band_fixed", "band");
        enum verdict v = check_members(m, o, "bands tiers");

        set_quantity(m, o, to);
        copy(to, o, "tiers", "tiers");
        copy(to, o, "bands", "tiers");
        if (v == CASE_PASS)
                return add(m, to);
        json_decref(to);
        return v;
}

/* rate_per_60: the price is for 60 units. */
static enum verdict map_increment(struct mapping *m, json_t *o)
{
        json_t *to = begin(o, "increment", "increment"), *v;
        const char *key;
        unsigned per;

        set_quantity(m, o, to);
        copy(to, o, "first", "first");
        copy(to, o, "then", "then");
        json_object_foreach(o, key, v)
        {
                if (sscanf(key, "rate_per_%6u", &per) == 1) {
                        json_object_set(to, "rate", v);
                        json_object_set_new(to, "per_units", json_integer(per));
                } else if (!is_known("type code note first then", key)) {
                        json_decref(to);
                        return case_unsupported(m->c, "member %s of an increment component", key);
                }
        }
        return add(m, to);
}

static enum verdict map_one(struct mapping *m, json_t *o)
{
        static const struct {
                const char *type;
                enum verdict (*map)(struct mapping *m, json_t *o);
        } types[] = { { "tiered", map_tiered },        { "rate", map_rate },
                      { "fixed", map_fixed },          { "percent", map_percent },
                      { "demand", map_demand },        { "demand_flat", map_demand_flat },
                      { "ratchet", map_ratchet },      { "slab_switch", map_slab },
                      { "volume_rebate", map_rebate }, { "band_fixed", map_band_fixed },
                      { "increment", map_increment } };
        const char *type = case_member(o, "type");

        for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
                if (strcmp(types[i].type, type) == 0)
                        return types[i].map(m, o);
        if (strcmp(type, "package") == 0)
                return map_plain(m, o, type, "package_size amount free_units");
        if (strcmp(type, "tiered_percentage") == 0)
                return map_plain(m, o, type, "tiers");
        if (strcmp(type, "minimum_bill") == 0 || strcmp(type, "given") == 0) {
                json_t *to = begin(o, type, type);

                copy(to, o, "amount", "amount");
                return check_members(m, o, "amount") == CASE_PASS
                               ? add(m, to)
                               : (json_decref(to), CASE_UNSUPPORTED);
        }
        return case_unsupported(m->c, "component type %s", *type ? type : "(none)");
}

enum verdict map_components(struct mapping *m, json_t *list)
{
        json_t *v, *minimum = json_object_get(m->c->tariff, "minimum_bill");
        json_t *ratchet = json_object_get(m->c->tariff, "ratchet");
        enum verdict verdict;
        size_t i;

        json_array_foreach(list, i, v)
        {
                verdict = map_one(m, v);
                if (verdict != CASE_PASS)
                        return verdict;
        }
        if (ratchet && (verdict = map_ratchet(m, ratchet)) != CASE_PASS)
                return verdict;
        if (minimum)
                return add(m, json_pack("{s:s, s:s, s:O}", "type", "minimum_bill", "code",
                                        "minimum_bill", "amount", minimum));
        return CASE_PASS;
}
