/* What the components of a case have in common: members, tiers, limits, the quantity billed. */

#include <stdio.h>
#include <string.h>

#include "tariff_cases_internal.h"

enum verdict map_add(struct mapping *m, json_t *component)
{
        if (!component || json_array_append_new(m->components, component) < 0)
                return case_fail(m->c, "out of memory");
        return CASE_PASS;
}

void map_copy(json_t *to, json_t *from, const char *key, const char *as)
{
        json_t *v = json_object_get(from, key);

        if (v)
                json_object_set(to, as, v);
}

/* A component of @type with the members every one has. */
json_t *map_begin(json_t *from, const char *type, const char *otherwise)
{
        json_t *o = json_object();
        const char *code = case_member(from, "code");

        json_object_set_new(o, "type", json_string(type));
        json_object_set_new(o, "code", json_string(*code ? code : otherwise));
        return o;
}

bool map_known(const char *list, const char *word)
{
        size_t n = strlen(word);

        for (const char *p = n ? strstr(list, word) : NULL; p; p = strstr(p + 1, word))
                if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
                        return true;
        return false;
}

enum verdict map_check(struct mapping *m, json_t *o, const char *known)
{
        const char *key;
        json_t *v;

        json_object_foreach(o, key, v)
        {
                if (!map_known("type code note", key) && !map_known(known, key))
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
enum verdict map_limits(struct mapping *m, const char *key, json_t *component)
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
enum verdict map_tier_list(struct mapping *m, json_t *list, json_t **ret)
{
        static const struct {
                const char *word, *as;
        } words[] = { { "upto", "upto" },    { "up_to", "upto" }, { "max", "upto" },
                      { "to", "upto" },      { "limit", "upto" }, { "rate", "rate" },
                      { "price", "rate" },   { "flat", "flat" },  { "flat_fee", "flat" },
                      { "fixed", "flat" },   { "pct", "pct" },    { "percent", "pct" },
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

                        while (k < sizeof(words) / sizeof(*words) &&
                               strcmp(words[k].word, key) != 0)
                                k++;
                        if (k < sizeof(words) / sizeof(*words))
                                json_object_set(t, words[k].as, member);
                        else if (!map_known("note name tier", key))
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
        if (sscanf(key, "tiers_%3uday%n", &days, &n) != 1 || !n ||
            (key[n] && strcmp(key + n, "s")) || !days)
                return NULL;
        snprintf(out, 40, "limit*days/%u", days);
        return out;
}

/* The tariff's own words about its limits go before what their member's name says. */
enum verdict map_tiers(struct mapping *m, json_t *from, json_t *to)
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

enum verdict map_quantity(struct mapping *m, json_t *from, json_t *to)
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
enum verdict map_mode(struct mapping *m, json_t *from, json_t *to)
{
        static const char graduated[] =
                "graduated telescopic progressive incremental marginal stepped";
        static const char volume[] = "volume non_telescopic non-telescopic all_units bulk";
        const char *mode = case_member(from, "mode");

        if (!*mode)
                return CASE_PASS;
        if (!map_known(graduated, mode) && !map_known(volume, mode))
                return case_unsupported(m->c, "tier mode %s", mode);
        json_object_set_new(to, "mode",
                            json_string(map_known(volume, mode) ? "volume" : "graduated"));
        return CASE_PASS;
}

enum verdict map_finish(struct mapping *m, json_t *to, enum verdict v)
{
        if (v == CASE_PASS)
                return map_add(m, to);
        json_decref(to);
        return v;
}
