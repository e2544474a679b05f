/* The tariff document as a whole. Its parts: load_calendar.c, load_component.c, input.c. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "civil.h"
#include "json.h"

/* ISO 4217: digits after the point where these are not two. */
static int currency_digits(const char *currency)
{
        static const char none[] =
                "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF ";
        static const char three[] = "BHD IQD JOD KWD LYD OMR TND ";

        if (strlen(currency) != 3)
                return 2;
        return strstr(none, currency) ? 0 : strstr(three, currency) ? 3 : 2;
}

static void load_head(struct jdoc *d, struct rating_tariff *t, json_t *root)
{
        static const struct {
                const char *commodity, *quantity, *unit;
        } defaults[] = { { "electricity", "energy.import", "kWh" },
                         { "water", "water.volume", "m3" },
                         { "gas", "gas.volume", "m3" },
                         { "heat", "heat.energy", "kWh" },
                         { "any", "units", "" } };
        int c;

        jdoc_known(d, root,
                   "schema|code|name|valid_from|valid_to|commodity|currency|minor_digits|unit|"
                   "quantity|source|note|"
                   "rounding|"
                   "calendar|schedules|quantities|demand|components|examples");
        if (json_object_get(root, "valid_from")) {
                jdoc_day(d, json_object_get(root, "valid_from"), "valid_from");
                t->valid_from = jdoc_text(d, root, "valid_from", NULL);
        }
        if (json_object_get(root, "valid_to")) {
                jdoc_day(d, json_object_get(root, "valid_to"), "valid_to");
                t->valid_to = jdoc_text(d, root, "valid_to", NULL);
        }
        if (strcmp(jdoc_text(d, root, "schema", NULL), "headrace-tariff-v1") != 0)
                jdoc_fail(d, "schema", "must be \"headrace-tariff-v1\"");
        t->code = jdoc_text(d, root, "code", NULL);
        t->name = jdoc_text(d, root, "name", t->code);
        c = jdoc_choice(d, root, "commodity", "electricity|water|gas|heat|any", -1);
        t->commodity = defaults[c].commodity;
        t->quantity = jdoc_text(d, root, "quantity", defaults[c].quantity);
        t->unit = jdoc_text(d, root, "unit", defaults[c].unit);
        t->currency = jdoc_text(d, root, "currency", NULL);
        t->minor_digits =
                (int)jdoc_int(d, root, "minor_digits", currency_digits(t->currency), 0, 12);
}

static void load_rounding(struct jdoc *d, struct rating_tariff *t, json_t *root)
{
        json_t *o = jdoc_object(d, root, "rounding", false);
        size_t old = jdoc_enter(d, "rounding");

        t->round_lines = true;
        t->rounding = DECIMAL_HALF_UP;
        if (o) {
                jdoc_known(d, o, "mode|of|step");
                if (jdoc_decimal(d, o, "step", &t->round_step) && t->round_step.m <= 0)
                        jdoc_fail(d, "step", "must be above 0, such as \"0.05\"");
                t->rounding = (enum decimal_round)jdoc_choice(
                        d, o, "mode", "half_up|half_even|down|up|floor|ceiling", 0);
                t->round_lines = jdoc_choice(d, o, "of", "lines|total", 0) == 0;
        }
        jdoc_leave(d, old);
}

static void load_factors(struct jdoc *d, json_t *o, const char *key, enum factor_use use,
                         struct derived *q)
{
        json_t *list = jdoc_array(d, o, key, false), *v;
        size_t i;

        json_array_foreach(list, i, v)
        {
                struct decimal ignored;

                if (q->n == FACTOR_MAX) {
                        jdoc_fail(d, key, "more than %d factors", FACTOR_MAX);
                        return;
                }
                q->factor[q->n].use = use;
                if (json_is_string(v) && decimal_parse(json_string_value(v), &ignored) < 0)
                        q->factor[q->n].name = jdoc_copy(d, json_string_value(v));
                else
                        q->factor[q->n].number = jdoc_value(d, v, key);
                q->n++;
        }
}

static void check_derived(struct jdoc *d, struct rating_tariff *t);

static void load_derived(struct jdoc *d, struct rating_tariff *t, json_t *root)
{
        json_t *o = jdoc_object(d, root, "quantities", false), *v;
        size_t old = jdoc_enter(d, "quantities"), inner;
        const char *key;

        t->derived = jdoc_alloc(d, json_object_size(o), sizeof(*t->derived));
        json_object_foreach(o, key, v)
        {
                struct derived *q = t->derived ? &t->derived[t->n_derived] : NULL;

                if (!q || d->failed)
                        break;
                inner = jdoc_enter(d, key);
                if (!json_is_object(v)) {
                        jdoc_fail(d, NULL, "must be an object");
                        break;
                }
                jdoc_known(d, v, "unit|add|subtract|multiply|divide|digits|at_least");
                q->name = jdoc_copy(d, key);
                q->unit = jdoc_text(d, v, "unit", "");
                q->digits = (int)jdoc_int(d, v, "digits", -1, 0, 12);
                q->has_least = jdoc_decimal(d, v, "at_least", &q->least);
                load_factors(d, v, "add", FACTOR_ADD, q);
                load_factors(d, v, "subtract", FACTOR_SUBTRACT, q);
                load_factors(d, v, "multiply", FACTOR_MULTIPLY, q);
                load_factors(d, v, "divide", FACTOR_DIVIDE, q);
                t->n_derived++;
                jdoc_leave(d, inner);
        }
        check_derived(d, t);
        jdoc_leave(d, old);
}

/* A factor is handed in, or derived further up: no circles. */
static void check_derived(struct jdoc *d, struct rating_tariff *t)
{
        for (unsigned k = 0; k < t->n_derived && !d->failed; k++)
                for (unsigned i = 0; i < t->derived[k].n; i++) {
                        const char *name = t->derived[k].factor[i].name;

                        for (unsigned j = k; name && j < t->n_derived; j++)
                                if (strcmp(t->derived[j].name, name) == 0)
                                        jdoc_fail(d, t->derived[k].name,
                                                  "is made from %s, which must be listed before it",
                                                  name);
                        if (name)
                                need_quantity(d, t, name);
                }
}

static void load_components(struct jdoc *d, struct rating_tariff *t, json_t *root)
{
        json_t *list = jdoc_array(d, root, "components", true), *v;
        size_t i, old;

        json_array_foreach(list, i, v)
        {
                struct component *c;

                old = jdoc_enter_at(d, "components", i);
                if (i >= MAX_COMPONENTS)
                        jdoc_fail(d, NULL, "more than %d components", MAX_COMPONENTS);
                c = d->failed ? NULL : load_component(d, t, v, false);
                for (unsigned k = 0; c && k < t->n_components; k++)
                        if (strcmp(t->component[k]->code, c->code) == 0)
                                jdoc_fail(d, "code", "'%s' is taken by another component", c->code);
                if (d->failed)
                        return;
                t->component[t->n_components++] = c;
                jdoc_leave(d, old);
        }
}

static void load_example(struct jdoc *d, json_t *o, struct example *ret)
{
        json_t *input, *expect, *lines, *v;
        const char *key;
        size_t old;

        if (!json_is_object(o)) {
                jdoc_fail(d, NULL, "must be an object");
                return;
        }
        jdoc_known(d, o, "name|input|expect|note|source");
        ret->name = jdoc_text(d, o, "name", NULL);
        input = jdoc_object(d, o, "input", true);
        expect = jdoc_object(d, o, "expect", true);
        if (d->failed)
                return;
        old = jdoc_enter(d, "input");
        load_input(d, input, &ret->in, &ret->tz);
        jdoc_leave(d, old);
        old = jdoc_enter(d, "expect");
        jdoc_known(d, expect, "total|lines");
        ret->has_total = jdoc_decimal(d, expect, "total", &ret->total);
        lines = jdoc_object(d, expect, "lines", false);
        if (!ret->has_total && json_object_size(lines) == 0)
                jdoc_fail(d, NULL, "must name a total or lines");
        ret->line = jdoc_alloc(d, json_object_size(lines), sizeof(*ret->line));
        json_object_foreach(lines, key, v)
        {
                if (!ret->line)
                        break;
                ret->line[ret->n_lines].code = jdoc_copy(d, key);
                ret->line[ret->n_lines++].amount = jdoc_value(d, v, key);
        }
        jdoc_leave(d, old);
}

static void load_examples(struct jdoc *d, struct rating_tariff *t, json_t *root)
{
        json_t *list = jdoc_array(d, root, "examples", false), *v;
        size_t i, old;

        t->example = jdoc_alloc(d, json_array_size(list), sizeof(*t->example));
        json_array_foreach(list, i, v)
        {
                if (d->failed)
                        return;
                old = jdoc_enter_at(d, "examples", i);
                load_example(d, v, &t->example[t->n_examples++]);
                jdoc_leave(d, old);
        }
}

static void load_all(struct jdoc *d, struct rating_tariff *t, json_t *root)
{
        json_t *demand;
        size_t old;

        load_head(d, t, root);
        load_rounding(d, t, root);
        if (!d->failed)
                load_calendar(d, t, root);
        if (!d->failed)
                load_derived(d, t, root);
        demand = jdoc_object(d, root, "demand", false);
        if (demand && !d->failed) {
                old = jdoc_enter(d, "demand");
                jdoc_known(d, demand,
                           "quantity|window_minutes|minimum|contract_percent|schedule|periods|"
                           "ratchet");
                load_demand(d, t, demand, &t->demand);
                t->has_demand = true;
                jdoc_leave(d, old);
        }
        if (!d->failed)
                load_components(d, t, root);
        if (!d->failed)
                load_examples(d, t, root);
}

int rating_tariff_load(struct rating_tariff **ret, const char *json, size_t n,
                       struct rating_error *err)
{
        struct rating_error dummy;
        struct jdoc d = { .err = err ? err : &dummy };
        struct rating_tariff *t = calloc(1, sizeof(*t));
        json_t *root;

        if (!t)
                return -ENOMEM;
        arena_init(&t->arena, 64 << 20);
        d.arena = &t->arena;
        root = jdoc_parse(&d, json, n, "tariff");
        if (root) {
                load_all(&d, t, root);
                json_decref(root);
                jdoc_place(&d, json, n);
        }
        if (d.failed) {
                rating_tariff_free(t);
                return d.failed;
        }
        *ret = t;
        return 0;
}

void rating_tariff_free(struct rating_tariff *t)
{
        if (!t)
                return;
        for (unsigned i = 0; i < t->n_schedules; i++)
                free(t->schedule[i]->segments);
        arena_deinit(&t->arena);
        free(t);
}
