#include "vat.h"

#include <errno.h>
#include <string.h>

enum { MAX_RATES = 4 };

/* The VAT a line is under: one rate as a rule, more when the rate changed inside the period; then
 * the bases the bill taxed at each say how the line is divided. */
struct cover {
        const json_t *tax; /* of settings.taxes; NULL: no VAT */
        struct decimal factor[MAX_RATES], base[MAX_RATES];
        unsigned n;
};

static const char *text(const json_t *o, const char *name)
{
        const char *s = json_string_value(json_object_get(o, name));

        return s ? s : "";
}

static int64_t integer(const json_t *o, const char *name)
{
        return json_integer_value(json_object_get(o, name));
}

/* The settings' word about a tax line; NULL when it is none. */
static const json_t *tax_of(const struct einvoice *e, const json_t *line)
{
        const json_t *taxes = json_object_get(e->settings, "taxes");

        if (strcmp(text(line, "kind"), "tax") != 0)
                return NULL;
        for (size_t i = 0; i < json_array_size(taxes); i++) {
                const json_t *t = json_array_get(taxes, i);

                if (strcmp(text(t, "component"), text(line, "component")) == 0 &&
                    integer(t, "part") == integer(line, "part"))
                        return t;
        }
        return NULL;
}

static bool is_vat(const struct einvoice *e, const json_t *line)
{
        return json_is_true(json_object_get(tax_of(e, line), "vat"));
}

/* Whether @tax is a percentage of @line; without a list it is one of everything before it. */
static bool covers(const json_t *tax, const json_t *line)
{
        const json_t *of = json_object_get(tax, "of");

        if (strcmp(text(tax, "component"), text(line, "component")) == 0 ||
            integer(tax, "part") != integer(line, "part"))
                return false;
        if (json_array_size(of) == 0)
                return true;
        for (size_t i = 0; i < json_array_size(of); i++) {
                const char *name = json_string_value(json_array_get(of, i));

                if (name && strcmp(name, text(line, "component")) == 0)
                        return true;
        }
        return false;
}

static int add_rate(struct cover *c, const json_t *tax, const json_t *line,
                    char why[static EINVOICE_WHY_SIZE])
{
        struct decimal factor, base;

        if (decimal_parse(text(line, "price"), &factor) < 0 ||
            decimal_parse(text(line, "quantity"), &base) < 0)
                return einvoice_fail(why, "Tax line %s has no rate or no base", text(line, "code"));
        if (c->tax && strcmp(text(c->tax, "component"), text(tax, "component")) != 0)
                return einvoice_fail(why, "Two value added taxes on one line: %s and %s",
                                     text(c->tax, "component"), text(tax, "component"));
        c->tax = tax;
        for (unsigned i = 0; i < c->n; i++)
                if (decimal_cmp(c->factor[i], factor) == 0)
                        return decimal_add(c->base[i], base, &c->base[i]);
        if (c->n == MAX_RATES)
                return einvoice_fail(why, "Tax %s has more than %d rates in one period",
                                     text(line, "component"), MAX_RATES);
        c->factor[c->n] = factor;
        c->base[c->n++] = base;
        return 0;
}

/* VAT lines after line @at of the bill that are a percentage of it. */
static int find_cover(const struct einvoice *e, const json_t *lines, size_t at, struct cover *c,
                      char why[static EINVOICE_WHY_SIZE])
{
        int rc = 0;

        memset(c, 0, sizeof *c);
        for (size_t i = at + 1; rc == 0 && i < json_array_size(lines); i++) {
                const json_t *line = json_array_get(lines, i);

                if (is_vat(e, line) && covers(tax_of(e, line), json_array_get(lines, at)))
                        rc = add_rate(c, tax_of(e, line), line, why);
        }
        return rc;
}

/* ---- categories ---- */

static int add_category(struct einvoice *e, const struct einvoice_category *c, unsigned *ret,
                        char why[static EINVOICE_WHY_SIZE])
{
        for (*ret = 0; *ret < e->n_vat; (*ret)++)
                if (strcmp(e->vat[*ret].category.id, c->id) == 0 &&
                    decimal_cmp(e->vat[*ret].category.percent, c->percent) == 0)
                        return 0;
        if (e->n_vat == EINVOICE_MAX_VAT)
                return einvoice_fail(why, "More than %d VAT categories", EINVOICE_MAX_VAT);
        e->vat[e->n_vat++].category = *c;
        return 0;
}

static void set_id(struct einvoice_category *c, const char *id)
{
        size_t n = strlen(id);

        memcpy(c->id, id, n < sizeof c->id ? n + 1 : 0);
}

static int taxed(struct einvoice *e, const json_t *tax, struct decimal factor, unsigned *ret,
                 char why[static EINVOICE_WHY_SIZE])
{
        struct einvoice_category c = { .reason = text(tax, "reason"),
                                       .reason_code = text(tax, "reason_code") };
        const char *id = text(tax, "category");

        if (decimal_mul(factor, decimal_int(100), &c.percent) < 0)
                return einvoice_fail(why, "The rate of tax %s is out of range",
                                     text(tax, "component"));
        while (c.percent.scale > 0 && c.percent.m % 10 == 0) {
                c.percent.m /= 10;
                c.percent.scale--;
        }
        /* A standard rate of nothing is the zero rate (BR-S-05, BR-Z-05). */
        if (decimal_is_zero(c.percent) && (!*id || strcmp(id, "S") == 0))
                id = "Z";
        set_id(&c, *id ? id : "S");
        return add_category(e, &c, ret, why);
}

/* Without VAT: as the branch has set, else outside its scope for a seller who has no VAT identifier
 * (one category alone then, BR-O-11), else exempt. */
static int untaxed(struct einvoice *e, unsigned *ret, char why[static EINVOICE_WHY_SIZE])
{
        const json_t *set = json_object_get(e->settings, "untaxed");
        struct einvoice_category c = { .reason = text(set, "reason"),
                                       .reason_code = text(set, "reason_code") };
        const json_t *lines = json_object_get(e->content, "lines");
        bool any = *e->seller.vat_id != '\0';

        for (size_t i = 0; i < json_array_size(lines); i++)
                any = any || is_vat(e, json_array_get(lines, i));
        set_id(&c, *text(set, "category") ? text(set, "category") : any ? "E" : "O");
        if (strcmp(c.id, "Z") == 0)
                c.reason = c.reason_code = "";
        else if (!*c.reason && !*c.reason_code)
                c.reason = strcmp(c.id, "O") == 0 ? "Not subject to VAT" : "Exempt from VAT";
        return add_category(e, &c, ret, why);
}

/* ---- lines ---- */

static int put_line(struct einvoice *e, const json_t *source, unsigned vat, int64_t amount,
                    struct decimal quantity, char why[static EINVOICE_WHY_SIZE])
{
        struct einvoice_line *l = einvoice_add_line(e, source, amount, quantity);

        if (!l)
                return einvoice_fail(why, "More than %d lines", EINVOICE_MAX_LINES);
        l->vat = vat;
        e->vat[vat].base += amount;
        return 0;
}

/* Shares of a line in proportion to the bases; the last one gets what is left. */
static int divide_line(struct einvoice *e, const json_t *source, const struct cover *c,
                       struct decimal quantity, char why[static EINVOICE_WHY_SIZE])
{
        int64_t left = integer(source, "amount"), amount = left;
        struct decimal sum = DECIMAL_ZERO, rest = quantity;
        int rc = 0;

        for (unsigned i = 0; i < c->n; i++)
                if (decimal_add(sum, c->base[i], &sum) < 0)
                        return einvoice_fail(why, "The bases of a tax are out of range");
        if (decimal_is_zero(sum))
                return einvoice_fail(why, "Tax %s changed its rate on a base of nothing",
                                     text(c->tax, "component"));
        for (unsigned i = 0; rc == 0 && i < c->n; i++) {
                struct decimal share = { left, 0 }, part = rest;
                unsigned vat;

                if (i + 1 < c->n &&
                    (decimal_muldiv(decimal_int(amount), c->base[i], sum, 0, DECIMAL_HALF_UP,
                                    &share) < 0 ||
                     decimal_muldiv(quantity, c->base[i], sum, 6, DECIMAL_HALF_UP, &part) < 0 ||
                     decimal_sub(rest, part, &rest) < 0))
                        return einvoice_fail(why, "A share of line %s is out of range",
                                             text(source, "code"));
                left -= share.m;
                rc = taxed(e, c->tax, c->factor[i], &vat, why);
                if (rc == 0)
                        rc = put_line(e, source, vat, share.m, part, why);
        }
        return rc;
}

static int bill_line(struct einvoice *e, const json_t *lines, size_t at,
                     char why[static EINVOICE_WHY_SIZE])
{
        const json_t *line = json_array_get(lines, at);
        struct decimal quantity = DECIMAL_ZERO;
        struct cover c;
        unsigned vat = 0;
        int rc = find_cover(e, lines, at, &c, why);

        decimal_parse(text(line, "quantity"), &quantity);
        if (rc < 0)
                return rc;
        if (c.n > 1)
                return divide_line(e, line, &c, quantity, why);
        rc = c.n == 1 ? taxed(e, c.tax, c.factor[0], &vat, why) : untaxed(e, &vat, why);
        return rc < 0 ? rc : put_line(e, line, vat, integer(line, "amount"), quantity, why);
}

static int tax_amounts(struct einvoice *e, char why[static EINVOICE_WHY_SIZE])
{
        for (size_t i = 0; i < e->n_vat; i++) {
                struct einvoice_vat *v = &e->vat[i];
                struct decimal tax;

                if (decimal_muldiv(decimal_int(v->base), v->category.percent, decimal_int(100), 0,
                                   DECIMAL_HALF_UP, &tax) < 0)
                        return einvoice_fail(why, "VAT on %lld minor units is out of range",
                                             (long long)v->base);
                v->tax = tax.m;
        }
        return 0;
}

int einvoice_tax_lines(struct einvoice *e, char why[static EINVOICE_WHY_SIZE])
{
        const json_t *lines = json_object_get(e->content, "lines");
        int rc = 0;

        for (size_t i = 0; rc == 0 && i < json_array_size(lines); i++) {
                const json_t *line = json_array_get(lines, i);

                /* VAT is in the breakdown, the bill's rounding in BT-114. */
                if (!is_vat(e, line) && strcmp(text(line, "kind"), "rounding") != 0)
                        rc = bill_line(e, lines, i, why);
        }
        return rc < 0 ? rc : tax_amounts(e, why);
}
