#include "doc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"
#include "plural.h"

static const char *currency_symbol(const char *code)
{
        static const struct {
                const char *code, *symbol;
        } known[] = {
                { "VND", "₫" }, { "EUR", "€" }, { "USD", "$" }, { "GBP", "£" }, { "JPY", "¥" }
        };

        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                if (strcmp(code, known[i].code) == 0)
                        return known[i].symbol;
        return code;
}

int doc_open(struct doc *d, const char *content, const char *template)
{
        json_error_t error;

        d->content = json_loads(content, 0, &error);
        d->template = json_loads(template, 0, &error);
        if (!json_is_object(d->content) || !json_is_object(d->template)) {
                doc_close(d);
                return -EINVAL;
        }
        d->symbol = currency_symbol(doc_text(d->content, "currency"));
        d->minor_digits = (int)doc_int(d->content, "minor_digits");
        d->rtl = json_is_true(json_object_get(d->template, "rtl"));
        return 0;
}

void doc_close(struct doc *d)
{
        json_decref(d->content);
        json_decref(d->template);
        d->content = d->template = NULL;
}

const json_t *doc_get(const json_t *o, const char *path)
{
        char name[64];

        while (o && *path) {
                size_t n = strcspn(path, ".");

                snprintf(name, sizeof name, "%.*s", (int)n, path);
                o = json_object_get(o, name);
                path += n + (path[n] == '.');
        }
        return o;
}

const char *doc_text(const json_t *o, const char *path)
{
        const char *s = json_string_value(doc_get(o, path));

        return s ? s : "";
}

int64_t doc_int(const json_t *o, const char *path)
{
        return json_integer_value(doc_get(o, path));
}

const char *doc_label(const struct doc *d, const char *name)
{
        const char *s = json_string_value(json_object_get(doc_get(d->template, "text"), name));

        return s ? s : name;
}

const char *doc_fill(struct buf *out, const char *pattern, doc_value *value, void *arg)
{
        buf_reset(out);
        while (*pattern) {
                size_t plain = strcspn(pattern, "{"), n = strcspn(pattern + plain, "}");
                char name[40];
                const char *v;

                buf_put(out, pattern, plain);
                pattern += plain;
                if (*pattern != '{')
                        break;
                snprintf(name, sizeof name, "%.*s", (int)(n ? n - 1 : 0), pattern + 1);
                v = pattern[n] == '}' ? value(arg, name) : NULL;
                if (v)
                        buf_put_str(out, v);
                else
                        buf_put(out, pattern, n + (pattern[n] == '}'));
                pattern += n + (pattern[n] == '}');
        }
        return buf_cstr(out);
}

static const char *the_number(void *arg, const char *name)
{
        (void)name;
        return arg;
}

const char *doc_count(const struct doc *d, struct buf *out, const char *name, int64_t n)
{
        const json_t *text = json_object_get(doc_get(d->template, "text"), name);
        const char *language = doc_text(d->template, "language");
        const char *s = json_string_value(text);
        struct buf number = BUF_INIT;
        char digits[24];

        if (json_is_object(text)) {
                s = json_string_value(json_object_get(text, plural_category(language, n)));
                if (!s)
                        s = json_string_value(json_object_get(text, "other"));
        }
        snprintf(digits, sizeof digits, "%" PRId64, n);
        doc_number(d, &number, digits, 0);
        doc_fill(out, s ? s : name, the_number, (void *)(uintptr_t)buf_cstr(&number));
        buf_deinit(&number);
        return buf_cstr(out);
}

/* Digits in groups of three. */
static void put_grouped(const struct doc *d, struct buf *out, const char *digits, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                if (i > 0 && (n - i) % 3 == 0)
                        buf_put_str(out, doc_text(d->template, "thousands"));
                buf_put_u8(out, (uint8_t)digits[i]);
        }
}

static void put_number(const struct doc *d, struct buf *out, const char *s)
{
        size_t n;

        if (*s == '-') {
                buf_put_str(out, "−");
                s++;
        }
        n = strspn(s, "0123456789");
        put_grouped(d, out, s, n);
        if (s[n] == '.')
                buf_printf(out, "%s%s", doc_text(d->template, "point"), s + n + 1);
}

const char *doc_number(const struct doc *d, struct buf *out, const char *decimal, int places)
{
        char text[DECIMAL_TEXT_SIZE];
        struct decimal v;

        buf_reset(out);
        if (decimal_parse(decimal, &v) == 0) {
                if (places >= 0 && v.scale > places)
                        decimal_rescale(v, places, DECIMAL_HALF_UP, &v);
                decimal_format(v, 0, text);
                put_number(d, out, text);
        } else {
                buf_put_str(out, decimal);
        }
        return buf_cstr(out);
}

const char *doc_measure(const struct doc *d, struct buf *out, const char *decimal, int places,
                        const char *unit)
{
        struct buf number = BUF_INIT;

        doc_number(d, &number, decimal, places);
        buf_reset(out);
        buf_printf(out, "%s%s%s%s%s", d->rtl ? "\u2066" : "", buf_cstr(&number), *unit ? " " : "",
                   strcmp(unit, "m3") == 0 ? "m³" : unit, d->rtl ? "\u2069" : "");
        if (number.failed)
                out->failed = true;
        buf_deinit(&number);
        return buf_cstr(out);
}

const char *doc_money(const struct doc *d, struct buf *out, int64_t minor)
{
        const char *form = doc_text(d->template, "money");
        struct decimal v = { minor < 0 ? -minor : minor, (int8_t)d->minor_digits };
        char text[DECIMAL_TEXT_SIZE];

        decimal_format(v, d->minor_digits, text);
        buf_reset(out);
        /* Sign, number and currency keep their order on a right-to-left page. */
        if (d->rtl)
                buf_put_str(out, "\u2066");
        if (minor < 0)
                buf_put_str(out, "−");
        for (; *form; form++) {
                if (strncmp(form, "{amount}", 8) == 0) {
                        put_number(d, out, text);
                        form += 7;
                } else if (strncmp(form, "{symbol}", 8) == 0) {
                        buf_put_str(out, d->symbol);
                        form += 7;
                } else if (*form == ' ') {
                        buf_put_str(out, "\u00a0"); /* an amount does not break */
                } else {
                        buf_put_u8(out, (uint8_t)*form);
                }
        }
        if (d->rtl)
                buf_put_str(out, "\u2069");
        return buf_cstr(out);
}

const char *doc_date(const struct doc *d, struct buf *out, const char *date)
{
        const char *form = doc_text(d->template, "date");
        int y = 0, m = 0, day = 0;

        buf_reset(out);
        if (sscanf(date, "%d-%d-%d", &y, &m, &day) != 3)
                return "";
        for (; *form; form++) {
                size_t n = strcspn(form, "}");

                if (*form != '{') {
                        buf_put_u8(out, (uint8_t)*form);
                        continue;
                }
                if (strncmp(form, "{dd}", 4) == 0)
                        buf_printf(out, "%02d", day);
                else if (strncmp(form, "{d}", 3) == 0)
                        buf_printf(out, "%d", day);
                else if (strncmp(form, "{mm}", 4) == 0)
                        buf_printf(out, "%02d", m);
                else if (strncmp(form, "{y}", 3) == 0)
                        buf_printf(out, "%d", y);
                else if (strncmp(form, "{mon}", 5) == 0)
                        buf_put_str(out, json_string_value(json_array_get(
                                                 doc_get(d->template, "months"), (size_t)m - 1)));
                form += form[n] ? n : n - 1;
        }
        return buf_cstr(out);
}
