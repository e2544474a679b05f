#include "model.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vat.h"

static const char *text(const json_t *o, const char *name)
{
        const char *s = json_string_value(json_object_get(o, name));

        return s ? s : "";
}

static int64_t integer(const json_t *o, const char *name)
{
        return json_integer_value(json_object_get(o, name));
}

int einvoice_fail(char why[static EINVOICE_WHY_SIZE], const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(why, EINVOICE_WHY_SIZE, fmt, ap);
        va_end(ap);
        return -EINVAL;
}

void einvoice_money(const struct einvoice *e, int64_t minor, char out[static DECIMAL_TEXT_SIZE])
{
        decimal_format((struct decimal){ minor, (int8_t)e->minor_digits }, e->minor_digits, out);
}

static bool is_peppol(const struct einvoice *e)
{
        return strcmp(text(e->settings, "profile"), "peppol") == 0;
}

/* ---- parties ---- */

static void read_party(struct einvoice_party *p, const json_t *o)
{
        p->name = text(o, "name");
        p->street = text(o, "street");
        p->city = text(o, "city");
        p->postcode = text(o, "postcode");
        p->country = text(o, "country");
        p->vat_id = text(o, "vat_id");
        p->tax_id = text(o, "tax_id");
        p->legal_id = text(o, "legal_id");
        p->endpoint = text(o, "endpoint");
        p->endpoint_scheme = text(o, "endpoint_scheme");
        p->phone = text(o, "phone");
        p->email = text(o, "email");
}

static bool is_country(const char *s)
{
        return isupper((unsigned char)s[0]) && isupper((unsigned char)s[1]) && !s[2];
}

/* GS1's check digit of a global location number, which scheme 0088 stands for (PEPPOL-COMMON-R040).
 */
static bool is_gln(const char *s)
{
        int sum = 0;

        if (strlen(s) != 13 || strspn(s, "0123456789") != 13)
                return false;
        for (int i = 0; i < 13; i++)
                sum += (s[i] - '0') * (i % 2 ? 3 : 1);
        return sum % 10 == 0;
}

static int check_endpoint(const struct einvoice_party *p, const char *who, bool peppol,
                          char why[static EINVOICE_WHY_SIZE])
{
        if (*p->endpoint && !*p->endpoint_scheme)
                return einvoice_fail(why,
                                     "The %s's electronic address '%s' needs a scheme (BR-62, "
                                     "BR-63)",
                                     who, p->endpoint);
        if (!peppol)
                return 0;
        if (!*p->endpoint)
                return einvoice_fail(why,
                                     "Peppol needs an electronic address of the %s "
                                     "(PEPPOL-EN16931-R010, R020); set it first",
                                     who);
        if (strlen(p->endpoint_scheme) != 4 || strspn(p->endpoint_scheme, "0123456789") != 4)
                return einvoice_fail(why,
                                     "The %s's electronic address needs a scheme of four digits "
                                     "such as 0088 (PEPPOL-EN16931-CL008); it is '%s'",
                                     who, p->endpoint_scheme);
        if (strcmp(p->endpoint_scheme, "0088") == 0 && !is_gln(p->endpoint))
                return einvoice_fail(why,
                                     "The %s's electronic address '%s' is no global location "
                                     "number of 13 digits (PEPPOL-COMMON-R040)",
                                     who, p->endpoint);
        return 0;
}

static int check_party(const struct einvoice_party *p, const char *who, bool peppol,
                       char why[static EINVOICE_WHY_SIZE])
{
        if (!*p->name)
                return einvoice_fail(why, "The %s has no name (EN 16931 BR-06, BR-07)", who);
        if (!is_country(p->country))
                return einvoice_fail(why,
                                     "The %s's country must be two capital letters such as DE "
                                     "(BR-09, BR-11); it is '%s'",
                                     who, p->country);
        if (*p->vat_id &&
            (!isalpha((unsigned char)p->vat_id[0]) || !isalpha((unsigned char)p->vat_id[1])))
                return einvoice_fail(why,
                                     "The %s's VAT identifier '%s' needs its country's prefix "
                                     "(BR-CO-09)",
                                     who, p->vat_id);
        return check_endpoint(p, who, peppol, why);
}

/* ---- head ---- */

static int read_head(struct einvoice *e, char why[static EINVOICE_WHY_SIZE])
{
        const json_t *period = json_object_get(e->content, "period");
        bool peppol = is_peppol(e);
        int rc;

        e->credit_note = strcmp(text(e->content, "kind"), "credit_note") == 0;
        e->customization = peppol ? "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:"
                                    "poacc:billing:3.0"
                                  : "urn:cen.eu:en16931:2017";
        e->profile = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0";
        e->number = text(e->content, "number");
        e->issued = text(e->content, "issued");
        e->due = text(e->content, "due");
        e->currency = text(e->content, "currency");
        e->minor_digits = (int)integer(e->content, "minor_digits");
        e->buyer_reference = text(e->settings, "buyer_reference");
        e->period_from = text(period, "from");
        e->period_until = text(period, "until");
        read_party(&e->seller, json_object_get(e->settings, "seller"));
        read_party(&e->buyer, json_object_get(e->settings, "buyer"));
        if (!*e->number || !*e->issued || strlen(e->currency) != 3)
                return einvoice_fail(why, "Number, day of issue or currency is missing (BR-02, "
                                          "BR-03, BR-05)");
        if (e->minor_digits < 0 || e->minor_digits > 2)
                return einvoice_fail(why,
                                     "EN 16931 knows amounts with at most two decimals; %s has %d",
                                     e->currency, e->minor_digits);
        rc = check_party(&e->seller, "seller", peppol, why);
        if (rc == 0)
                rc = check_party(&e->buyer, "buyer", peppol, why);
        if (rc == 0 && !*e->seller.vat_id && !*e->seller.legal_id && !*e->seller.tax_id)
                rc = einvoice_fail(why, "The seller needs a VAT identifier, a registration or a "
                                        "tax number (BR-CO-26)");
        if (rc == 0 && peppol && !*e->buyer_reference)
                rc = einvoice_fail(why, "Peppol needs a buyer reference (PEPPOL-EN16931-R003)");
        return rc;
}

/* ---- lines ---- */

static const char *unit_code(const char *unit)
{
        static const struct {
                const char *unit, *code;
        } known[] = { { "kWh", "KWH" },  { "MWh", "MWH" },   { "Wh", "WHR" },    { "m3", "MTQ" },
                      { "L", "LTR" },    { "kW", "KWT" },    { "kVA", "KVA" },   { "kvar", "KVR" },
                      { "MJ", "3B" },    { "GJ", "GV" },     { "kvarh", "K3" },  { "day", "DAY" },
                      { "days", "DAY" }, { "month", "MON" }, { "months", "MON" } };

        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                if (strcmp(unit, known[i].unit) == 0)
                        return known[i].code;
        return "C62"; /* one */
}

static struct decimal absolute(struct decimal d)
{
        return (struct decimal){ d.m < 0 ? -d.m : d.m, d.scale };
}

/* Whether quantity × price is the amount, to the minor unit; for Peppol but for 0.01, half of what
 * it allows in every currency, dong as well (PEPPOL-EN16931-R120). */
static bool price_fits(const struct einvoice *e, struct decimal q, struct decimal p,
                       struct decimal amount)
{
        struct decimal product, rounded, over;

        if (decimal_mul(q, p, &product) < 0 || decimal_sub(product, amount, &over) < 0)
                return false;
        if (decimal_cmp(absolute(over), (struct decimal){ 1, 2 }) <= 0)
                return true;
        return !is_peppol(e) &&
               decimal_rescale(product, e->minor_digits, DECIMAL_HALF_UP, &rounded) == 0 &&
               decimal_cmp(rounded, amount) == 0;
}

/* Gives @l a quantity, a price that is not negative and a base, so that they make its amount. */
static void set_price(const struct einvoice *e, struct einvoice_line *l, struct decimal q,
                      struct decimal p)
{
        int64_t amount = l->amount < 0 ? -l->amount : l->amount;
        struct decimal money = { amount, (int8_t)e->minor_digits };

        q = absolute(q);
        p = absolute(p);
        l->base = decimal_int(1);
        if (price_fits(e, q, p, money)) {
                l->price = p;
        } else if (!decimal_is_zero(q)) {
                l->price = money;
                l->base = q;
        } else {
                q = decimal_int(1);
                l->unit = "C62";
                l->price = money;
        }
        l->quantity = l->amount < 0 ? (struct decimal){ -q.m, q.scale } : q;
}

static void set_period(const struct einvoice *e, struct einvoice_line *l, int64_t part)
{
        const json_t *p =
                part > 0 ? json_array_get(json_object_get(e->content, "parts"), (size_t)part - 1)
                         : NULL;

        if (!p)
                return;
        l->from_day = (int)integer(p, "from_day");
        l->to_day = (int)integer(p, "to_day") - 1;
        if (l->to_day < l->from_day)
                l->from_day = l->to_day = 0;
}

struct einvoice_line *einvoice_add_line(struct einvoice *e, const json_t *source, int64_t amount,
                                        struct decimal quantity)
{
        struct einvoice_line *l;
        struct decimal price = DECIMAL_ZERO;
        const char *unit = text(source, "unit");

        if (e->n_lines == EINVOICE_MAX_LINES)
                return NULL;
        l = &e->lines[e->n_lines++];
        l->name = *text(source, "label") ? text(source, "label") : text(source, "code");
        l->code = text(source, "code");
        l->amount = amount;
        l->unit = unit_code(unit);
        decimal_parse(text(source, "price"), &price);
        /* A percentage of money is one charge, not so many euros at a factor. */
        if (strcmp(unit, e->currency) == 0 || !*unit)
                set_price(e, l, decimal_int(1),
                          (struct decimal){ amount, (int8_t)e->minor_digits });
        else
                set_price(e, l, quantity, price);
        set_period(e, l, integer(source, "part"));
        return l;
}

/* ---- totals ---- */

static int add_up(struct einvoice *e, char why[static EINVOICE_WHY_SIZE])
{
        int64_t total = integer(e->content, "total"), credit = integer(e->content, "credit");

        for (size_t i = 0; i < e->n_lines; i++)
                e->net += e->lines[i].amount;
        for (size_t i = 0; i < e->n_vat; i++)
                e->tax += e->vat[i].tax;
        e->gross = e->net + e->tax;
        e->prepaid = e->credit_note ? 0 : credit;
        e->rounding = total - e->gross;
        e->due_amount = e->gross - e->prepaid + e->rounding;
        if (e->rounding > 100 || e->rounding < -100)
                return einvoice_fail(why,
                                     "Lines and VAT come to %lld minor units, the bill says %lld: "
                                     "too far apart for a rounding; check which taxes are VAT",
                                     (long long)e->gross, (long long)total);
        if (e->n_lines == 0)
                return einvoice_fail(why, "An invoice needs at least one line (BR-16)");
        if (e->due_amount > 0 && !e->credit_note && !*e->due)
                return einvoice_fail(why, "An amount to pay needs a due date (BR-CO-25)");
        return 0;
}

int einvoice_build(struct einvoice *e, const json_t *content, const json_t *settings,
                   char why[static EINVOICE_WHY_SIZE])
{
        int rc;

        memset(e, 0, sizeof *e);
        *why = '\0';
        if (!json_is_object(content) || !json_is_object(settings))
                return einvoice_fail(why, "Contents and settings must be JSON objects");
        e->content = content;
        e->settings = settings;
        e->lines = calloc(EINVOICE_MAX_LINES, sizeof *e->lines);
        if (!e->lines)
                return -ENOMEM;
        rc = read_head(e, why);
        if (rc == 0)
                rc = einvoice_tax_lines(e, why);
        if (rc == 0)
                rc = add_up(e, why);
        if (rc < 0)
                einvoice_deinit(e);
        return rc;
}

void einvoice_deinit(struct einvoice *e)
{
        free(e->lines);
        e->lines = NULL;
}
