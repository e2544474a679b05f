/*
 * Open Water Rate Specification: a customer class's "bill" as components. Each name in the bill's
 * sum becomes a charge of that name: money, so much a unit, "Tiered" or "Budget". A tier starts AT
 * its tier_start, so the tier below ends one unit before; budgets are shares of a computed amount
 * and end exactly there. A factor around the sum becomes a percentage of what it encloses.
 */

#include "owrs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "civil.h"
#include "yaml_json.h"

static void put_decimal(json_t *o, const char *key, struct decimal d)
{
        char text[DECIMAL_TEXT_SIZE];

        decimal_format(d, 0, text);
        json_object_set_new(o, key, json_string(text));
}

static void add_component(struct owrs *o, const char *code, const char *suffix, const char *type,
                          const char *key, struct decimal value, json_t *codes)
{
        json_t *c = json_pack("{s:s, s:s++}", "type", type, "code", code, suffix, "");

        put_decimal(c, key, value);
        if (strcmp(type, "energy") == 0) {
                json_object_set_new(c, "quantity", json_string(o->unit));
                json_object_set_new(c, "unit", json_string(o->unit));
        }
        json_array_append(codes, json_object_get(c, "code"));
        json_array_append_new(o->x->components, c);
}

/* Money and so much a unit as one component each; nothing for nothing. */
static int add_linear(struct owrs *o, const char *code, const struct node *n, json_t *codes)
{
        struct linear v;

        if (owrs_linear(o, n, 0, &v))
                return o->x->failed;
        if (!decimal_is_zero(v.per_unit))
                add_component(o, code, decimal_is_zero(v.fixed) ? "" : "_use", "energy", "rate",
                              v.per_unit, codes);
        if (!decimal_is_zero(v.fixed))
                add_component(o, code, "", "fixed", "amount", v.fixed, codes);
        return 0;
}

/* ---- tiers ---- */

/* "tier_starts_commodity" for "commodity_charge", else "tier_starts". */
static const char *member_for(struct owrs *o, const char *base, const char *charge, char out[120])
{
        static const char *const prefixes[] = { "variable_", "" };

        for (size_t i = 0; i < 2; i++) {
                size_t skip = strncmp(charge, prefixes[i], strlen(prefixes[i])) == 0
                                      ? strlen(prefixes[i])
                                      : 0;
                int n = (int)strcspn(charge + skip, "_");

                snprintf(out, 120, "%s_%.*s", base, n, charge + skip);
                if (json_object_get(o->class, out))
                        return out;
        }
        snprintf(out, 120, "%s", base);
        return out;
}

/* A start: a number, a formula, or a percentage of the budget. */
static int tier_start(struct owrs *o, const char *charge, json_t *v, struct decimal *ret)
{
        const char *text = json_string_value(v), *percent = text ? strchr(text, '%') : NULL;
        char name[120], number[24];
        struct decimal share, budget;

        if (!percent) {
                /* Formulas divide; a millionth of a unit is far below any reading. */
                if (owrs_number(o, v, "a tier start", ret))
                        return o->x->failed;
                return decimal_rescale(*ret, ret->scale < 6 ? ret->scale : 6, DECIMAL_HALF_EVEN,
                                       ret);
        }
        snprintf(number, sizeof(number), "%.*s", (int)(percent - text), text);
        if (decimal_parse(number, &share) < 0)
                return import_fail(o->x, IMPORT_E_DOCUMENT, "a tier start \"%s\"", text);
        member_for(o, "budget", charge, name);
        if (owrs_number(o, owrs_member(o, name), name, &budget))
                return o->x->failed;
        return decimal_muldiv(budget, share, decimal_int(100), 6, DECIMAL_HALF_EVEN, ret) < 0
                       ? import_fail(o->x, IMPORT_E_DOCUMENT, "a budget that is too large")
                       : 0;
}

static int add_tiers(struct owrs *o, const char *code, bool budget, json_t *codes)
{
        char starts_name[120], prices_name[120], charge[40];
        json_t *starts, *prices, *tiers, *v;
        struct decimal start, price, before = DECIMAL_ZERO;
        size_t i;

        snprintf(charge, sizeof(charge), "%.*s", (int)strcspn(code, "_"), code);
        o->charge = charge;
        member_for(o, "tier_starts", code, starts_name);
        member_for(o, "tier_prices", code, prices_name);
        starts = owrs_member(o, starts_name);
        prices = o->x->failed ? NULL : owrs_member(o, prices_name);
        if (!o->x->failed && (!json_is_array(starts) || json_array_size(starts) == 0 ||
                              json_array_size(prices) != json_array_size(starts)))
                import_fail(o->x, IMPORT_E_DOCUMENT, "%s: %s and %s must be lists of one length",
                            code, starts_name, prices_name);
        if (o->x->failed) {
                o->charge = NULL;
                return o->x->failed;
        }
        tiers = json_array();
        json_array_foreach(starts, i, v)
        {
                json_t *t = json_object();

                if (tier_start(o, code, v, &start) ||
                    owrs_number(o, json_array_get(prices, i), prices_name, &price)) {
                        json_decref(t);
                        break;
                }
                if (i > 0 && !budget)
                        (void)decimal_sub(start, decimal_int(1), &start);
                if (i > 0)
                        put_decimal(json_array_get(tiers, i - 1), "upto", start);
                if (i > 0 && decimal_cmp(start, before) <= 0)
                        import_fail(o->x, IMPORT_E_DOCUMENT, "%s: starts must rise", starts_name);
                before = start;
                put_decimal(t, "rate", price);
                json_array_append_new(tiers, t);
        }
        json_array_append_new(o->x->components,
                              json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", "energy", "code", code,
                                        "quantity", o->unit, "unit", o->unit, "tiers", tiers));
        json_array_append_new(codes, json_string(code));
        o->charge = NULL;
        return o->x->failed;
}

/* ---- the bill's formula ---- */

static int add_charge(struct owrs *o, const char *name, json_t *codes)
{
        const char *text;
        json_t *v;
        const struct node *n;

        if (!json_object_get(o->class, name))
                return import_fail(o->x, IMPORT_E_DOCUMENT, "the bill names %s, which is not there",
                                   name);
        v = owrs_member(o, name);
        if (o->x->failed)
                return o->x->failed;
        text = json_string_value(v);
        if (!text)
                return import_fail(o->x, IMPORT_E_DOCUMENT, "%s is no number or formula", name);
        if (strcasecmp(text, "tiered") == 0 || strcasecmp(text, "budget") == 0)
                return add_tiers(o, name, strcasecmp(text, "budget") == 0, codes);
        n = owrs_parse(o, text, name);
        return n ? add_linear(o, name, n, codes) : o->x->failed;
}

static int add_terms(struct owrs *o, const struct node *n, int depth, json_t *codes);

/* "1.02*(a+b)": a and b, and a percentage of both. */
static int add_multiple(struct owrs *o, struct decimal factor, const struct node *n, int depth,
                        json_t *codes)
{
        json_t *inner = json_array(), *c;
        struct decimal pct;
        char code[40];

        if (!add_terms(o, n, depth + 1, inner) && json_array_size(inner) > 0 &&
            decimal_sub(factor, decimal_int(1), &pct) == 0 &&
            decimal_mul(pct, decimal_int(100), &pct) == 0) {
                snprintf(code, sizeof(code), "surcharge%u", ++o->n_charges);
                c = json_pack("{s:s, s:s, s:O}", "type", "percent", "code", code, "of", inner);
                put_decimal(c, "pct", pct);
                json_array_append_new(o->x->components, c);
                json_array_extend(codes, inner);
                json_array_append_new(codes, json_string(code));
        }
        json_decref(inner);
        return o->x->failed;
}

static bool is_sum(const struct node *n)
{
        return n->type == NODE_ADD || n->type == NODE_SUB;
}

static int add_terms(struct owrs *o, const struct node *n, int depth, json_t *codes)
{
        char code[40];

        if (depth > OWRS_DEPTH)
                return import_fail(o->x, IMPORT_E_UNSUPPORTED, "bill: nested too deeply");
        if (n->type == NODE_ADD)
                return add_terms(o, n->left, depth + 1, codes)
                               ? o->x->failed
                               : add_terms(o, n->right, depth + 1, codes);
        if (n->type == NODE_NAME && strncmp(n->name, "usage", 5) != 0)
                return add_charge(o, n->name, codes);
        if (n->type == NODE_MUL && n->left->type == NODE_NUMBER && is_sum(n->right))
                return add_multiple(o, n->left->number, n->right, depth, codes);
        if (n->type == NODE_MUL && n->right->type == NODE_NUMBER && is_sum(n->left))
                return add_multiple(o, n->right->number, n->left, depth, codes);
        snprintf(code, sizeof(code), "charge%u", ++o->n_charges);
        return add_linear(o, code, n, codes);
}

/* ---- the head ---- */

/* "2016-01-01", "07-01-2016", "7/1/2016". */
static void set_date(struct importer *x, const char *text)
{
        unsigned y, m, d;
        char day[16] = "";
        int64_t parsed;

        if (sscanf(text, "%4u-%2u-%2u", &y, &m, &d) == 3 && y > 1000)
                snprintf(day, sizeof(day), "%04u-%02u-%02u", y % 10000, m % 100, d % 100);
        else if (sscanf(text, "%2u%*1[-/]%2u%*1[-/]%4u", &m, &d, &y) == 3)
                snprintf(day, sizeof(day), "%04u-%02u-%02u", y % 10000, m % 100, d % 100);
        if (civil_parse_date(day, &parsed) == 0)
                json_object_set_new(x->document, "valid_from", json_string(day));
}

/* The billing unit as a quantity made of cubic metres, so that meters can be billed. */
static int set_unit(struct owrs *o, json_t *metadata)
{
        static const struct {
                const char *unit, *as, *m3;
        } units[] = { { "", "ccf", "2.8316846592" },
                      { "ccf", "ccf", "2.8316846592" },
                      { "hcf", "ccf", "2.8316846592" },
                      { "kgal", "kgal", "3.785411784" },
                      { "gal", "gal", "0.003785411784" } };
        const char *unit = import_text(metadata, "bill_unit");

        for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
                if (strcasecmp(units[i].unit, unit) != 0)
                        continue;
                o->unit = units[i].as;
                json_object_set_new(o->x->document, "quantities",
                                    json_pack("{s:{s:s, s:[s], s:[s]}}", o->unit, "unit", o->unit,
                                              "multiply", "water.volume", "divide", units[i].m3));
                return 0;
        }
        return import_fail(o->x, IMPORT_E_UNSUPPORTED, "bill_unit %s", unit);
}

static json_t *find_class(struct importer *x, json_t *structure)
{
        const char *name = x->options->class ? x->options->class : "RESIDENTIAL_SINGLE", *key;
        char known[200] = "";
        json_t *v;

        json_object_foreach(structure, key, v)
        {
                size_t n = strlen(known);

                if (strcasecmp(key, name) == 0 && json_is_object(v))
                        return v;
                snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", key);
        }
        import_fail(x, IMPORT_E_UNSUPPORTED, "there is no customer class %s; there are %s", name,
                    known);
        return NULL;
}

int import_owrs(const char *text, size_t n, struct importer *x)
{
        json_t *root = yaml_json(x, text, n);
        json_t *metadata = json_object_get(root, "metadata");
        struct owrs *o = calloc(1, sizeof(*o));
        json_t *codes = json_array();
        const struct node *bill;
        const char *formula, *name;

        if (o && root) {
                o->x = x;
                if (!json_is_object(metadata)) /* some files have its members at the top */
                        metadata = root;
                o->class = find_class(x, json_object_get(root, "rate_structure"));
                name = import_text(metadata, "utility_name");
                if (o->class && !import_begin(x, *name ? name : "OWRS", name, "water") &&
                    !set_unit(o, metadata)) {
                        set_date(x, import_text(metadata, "effective_date"));
                        formula = import_text(o->class, "bill");
                        bill = owrs_parse(o, *formula ? formula : "service_charge+commodity_charge",
                                          "bill");
                        if (bill)
                                add_terms(o, bill, 0, codes);
                }
        }
        json_decref(codes);
        json_decref(root);
        free(o);
        return x->failed;
}
