/* A result as canonical bytes, and what a tariff says about itself. */

#include <string.h>

#include "tariff.h"

static void put_decimal(struct buf *b, struct decimal d)
{
        char text[DECIMAL_TEXT_SIZE];

        decimal_format(d, 0, text);
        buf_printf(b, "\"%s\"", text);
}

static void put_text(struct buf *b, const char *key, const char *s)
{
        buf_printf(b, "\"%s\":", key);
        buf_put_json_str(b, s, strlen(s));
}

static const char *kind_name(enum rating_line_kind kind)
{
        static const char *const names[] = { "charge",   "tax",   "minimum",
                                             "rounding", "given", "credit" };

        return names[kind];
}

static void put_line(struct buf *b, const struct rating_line *line)
{
        buf_put_u8(b, '{');
        put_text(b, "kind", kind_name(line->kind));
        buf_put_u8(b, ',');
        put_text(b, "code", line->code);
        buf_put_u8(b, ',');
        put_text(b, "text", line->text);
        buf_put_str(b, ",\"quantity\":");
        put_decimal(b, line->quantity);
        buf_put_u8(b, ',');
        put_text(b, "unit", line->unit);
        buf_put_str(b, ",\"price\":");
        put_decimal(b, line->price);
        buf_printf(b, ",\"amount\":%lld,\"exact\":", (long long)line->amount);
        put_decimal(b, line->exact);
        buf_put_str(b, ",\"trace\":");
        buf_put_str(b, line->trace);
        buf_put_u8(b, '}');
}

void rating_result_json(const struct rating_tariff *t, const struct rating_result *r,
                        struct buf *out)
{
        buf_put_u8(out, '{');
        put_text(out, "tariff", t->code);
        buf_put_u8(out, ',');
        put_text(out, "currency", t->currency);
        buf_printf(out, ",\"minor_digits\":%d,\"lines\":[", t->minor_digits);
        for (size_t i = 0; i < r->n_lines; i++) {
                if (i > 0)
                        buf_put_u8(out, ',');
                put_line(out, &r->lines[i]);
        }
        buf_printf(out, "],\"total\":%lld,\"exact_total\":", (long long)r->total);
        put_decimal(out, r->exact_total);
        buf_put_str(out, ",\"peak_kw\":");
        put_decimal(out, r->peak_kw);
        buf_put_str(out, ",\"billing_kw\":");
        put_decimal(out, r->billing_kw);
        buf_put_str(out, ",\"carry\":{");
        for (size_t i = 0; i < r->n_carry; i++) {
                if (i > 0)
                        buf_put_u8(out, ',');
                buf_put_json_str(out, r->carry[i].name, strlen(r->carry[i].name));
                buf_put_u8(out, ':');
                put_decimal(out, r->carry[i].value);
        }
        buf_put_str(out, "}}");
}

const char *rating_tariff_code(const struct rating_tariff *t)
{
        return t->code;
}

const char *rating_tariff_name(const struct rating_tariff *t)
{
        return t->name;
}

const char *rating_tariff_commodity(const struct rating_tariff *t)
{
        return t->commodity;
}

const char *rating_tariff_currency(const struct rating_tariff *t)
{
        return t->currency;
}

int rating_tariff_minor_digits(const struct rating_tariff *t)
{
        return t->minor_digits;
}

const char *rating_tariff_valid_from(const struct rating_tariff *t)
{
        return t->valid_from;
}

const char *rating_tariff_valid_to(const struct rating_tariff *t)
{
        return t->valid_to;
}

const char *rating_tariff_quantity(const struct rating_tariff *t, size_t i)
{
        return i < t->n_needs ? t->needs[i] : NULL;
}

bool rating_tariff_needs_intervals(const struct rating_tariff *t)
{
        return t->intervals;
}
