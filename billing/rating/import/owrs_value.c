/* What a member of a customer class comes to in one context. */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "owrs.h"

static const char *fact(const struct owrs *o, const char *name)
{
        const struct import_options *p = o->x->options;

        for (size_t i = 0; i < p->n_facts; i++)
                if (strcasecmp(p->fact[i].name, name) == 0)
                        return p->fact[i].value;
        return NULL;
}

/* "Summer|1|Low": the facts in the order they are asked for. */
static bool join_facts(struct owrs *o, const char *member, json_t *depends, char *out, size_t size)
{
        json_t *one = json_is_string(depends) ? json_pack("[O]", depends) : json_incref(depends);
        size_t i, n = 0;
        json_t *v;

        *out = '\0';
        json_array_foreach(one, i, v)
        {
                const char *name = json_string_value(v), *value = name ? fact(o, name) : NULL;

                if (!value) {
                        import_fail(o->x, IMPORT_E_UNSUPPORTED,
                                    "%s depends on %s; give it, such as --fact %s=VALUE", member,
                                    name ? name : "(nothing)", name ? name : "NAME");
                        break;
                }
                n += (size_t)snprintf(out + n, size - n, "%s%s", i ? "|" : "", value);
                if (n >= size)
                        n = size - 1;
        }
        json_decref(one);
        return !o->x->failed;
}

json_t *owrs_member(struct owrs *o, const char *name)
{
        json_t *v = json_object_get(o->class, name), *values, *found;
        char wanted[200];
        const char *key;

        if (!json_is_object(v))
                return v;
        values = json_object_get(v, "values");
        if (!json_is_object(values)) {
                import_fail(o->x, IMPORT_E_DOCUMENT, "%s: a mapping without depends_on and values",
                            name);
                return NULL;
        }
        if (!join_facts(o, name, json_object_get(v, "depends_on"), wanted, sizeof(wanted)))
                return NULL;
        json_object_foreach(values, key, found)
        {
                if (strcasecmp(key, wanted) == 0)
                        return found;
        }
        import_fail(o->x, IMPORT_E_UNSUPPORTED, "%s has no value for \"%s\"", name, wanted);
        return NULL;
}

static bool is_constant(struct linear v)
{
        return decimal_is_zero(v.per_unit);
}

/* a ∘ b for numbers that are money plus so much a unit. */
static bool combine(enum node_type op, struct linear a, struct linear b, struct linear *ret)
{
        struct decimal k;

        switch (op) {
        case NODE_ADD:
                return decimal_add(a.fixed, b.fixed, &ret->fixed) == 0 &&
                       decimal_add(a.per_unit, b.per_unit, &ret->per_unit) == 0;
        case NODE_SUB:
                return decimal_sub(a.fixed, b.fixed, &ret->fixed) == 0 &&
                       decimal_sub(a.per_unit, b.per_unit, &ret->per_unit) == 0;
        case NODE_MUL:
                if (!is_constant(a) && !is_constant(b))
                        return false;
                k = is_constant(a) ? a.fixed : b.fixed;
                b = is_constant(a) ? b : a;
                return decimal_mul(k, b.fixed, &ret->fixed) == 0 &&
                       decimal_mul(k, b.per_unit, &ret->per_unit) == 0;
        case NODE_DIV:
                return is_constant(b) &&
                       decimal_div(a.fixed, b.fixed, 12, DECIMAL_HALF_EVEN, &ret->fixed) == 0 &&
                       decimal_div(a.per_unit, b.fixed, 12, DECIMAL_HALF_EVEN, &ret->per_unit) == 0;
        case NODE_NUMBER:
        case NODE_NAME:
        default:
                return false;
        }
}

static int named(struct owrs *o, const char *name, int depth, struct linear *ret)
{
        char longer[120];
        json_t *v;
        const char *text;
        const struct node *n;

        if (strcmp(name, "usage_ccf") == 0 || strcmp(name, "usage") == 0 ||
            strcmp(name, "usage_kgal") == 0) {
                ret->per_unit = decimal_int(1);
                return 0;
        }
        /* "indoor" of the commodity charge may be called indoor_commodity. */
        if (!json_object_get(o->class, name) && o->charge && !fact(o, name)) {
                snprintf(longer, sizeof(longer), "%s_%s", name, o->charge);
                if (json_object_get(o->class, longer))
                        name = longer;
        }
        v = json_object_get(o->class, name) ? owrs_member(o, name) : NULL;
        text = v ? json_string_value(v) : fact(o, name);
        if (o->x->failed)
                return o->x->failed;
        if (!text)
                return import_fail(o->x, IMPORT_E_UNSUPPORTED,
                                   "%s is neither a member of the class nor among the facts", name);
        n = owrs_parse(o, text, name);
        return n ? owrs_linear(o, n, depth + 1, ret) : o->x->failed;
}

int owrs_linear(struct owrs *o, const struct node *n, int depth, struct linear *ret)
{
        struct linear a = { DECIMAL_ZERO, DECIMAL_ZERO }, b = a;

        *ret = a;
        if (depth > OWRS_DEPTH)
                return import_fail(o->x, IMPORT_E_DOCUMENT, "a formula that leads back to itself");
        if (n->type == NODE_NUMBER) {
                ret->fixed = n->number;
                return 0;
        }
        if (n->type == NODE_NAME)
                return named(o, n->name, depth, ret);
        if (owrs_linear(o, n->left, depth, &a) || owrs_linear(o, n->right, depth, &b))
                return o->x->failed;
        if (!combine(n->type, a, b, ret))
                return import_fail(o->x, IMPORT_E_UNSUPPORTED,
                                   "a formula that is not money plus so much a unit");
        return 0;
}

int owrs_number(struct owrs *o, json_t *value, const char *where, struct decimal *ret)
{
        const char *text = json_string_value(value);
        const struct node *n = text ? owrs_parse(o, text, where) : NULL;
        struct linear v;

        if (!n || owrs_linear(o, n, 0, &v))
                return import_fail(o->x, IMPORT_E_DOCUMENT, "%s: must be a number", where);
        if (!is_constant(v))
                return import_fail(o->x, IMPORT_E_UNSUPPORTED, "%s depends on the use", where);
        *ret = v.fixed;
        return 0;
}
