#include "template.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* What each text is filled with; a text not named here is filled with nothing. */
static const struct {
        const char *text, *placeholders; /* between blanks */
} filled[] = {
        { "days_count", " n " },
        { "more_than_year", " percent " },
        { "less_than_year", " percent " },
        { "more_than_previous", " percent " },
        { "less_than_previous", " percent " },
        { "pay_how", " number " },
};

static const char message_placeholders[] =
        " name account number amount due quantity unit days from until ";

static const char *const needed[] = {
        "invoice",
        "credit_note",
        "issued",
        "period",
        "account",
        "contract",
        "tariff",
        "service_point",
        "amount_due",
        "due",
        "tax_id",
        "description",
        "quantity",
        "price",
        "amount",
        "net",
        "tax",
        "total",
        "credit",
        "to_pay",
        "meter",
        "from",
        "until",
        "reading",
        "multiplier",
        "history",
        "daily",
        "part",
        "measured",
        "estimated",
        "mixed",
        "payment",
        "payee",
        "bank",
        "bank_account",
        "iban",
        "bic",
        "reference",
        "scan",
        "page",
        "corrects",
        "reason",
        "nothing_due",
        "tier",
        "electricity",
        "water",
        "gas",
        "heat",
        "why",
        "this_period",
        "last_period",
        "change",
        "cause_days",
        "cause_use",
        "cause_price",
        "days_count",
        "more_than_year",
        "less_than_year",
        "same_as_year",
        "more_than_previous",
        "less_than_previous",
        "same_as_previous",
        "first_bill",
        "pay_how",
        "messages",
        "copy",
        "preview",
};

static const char blocks[] = " customer due why charts meters lines totals messages slip ";
static const char plurals[] = " zero one two few many other ";

static int fail(char why[static TEMPLATE_WHY_SIZE], const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
static int fail(char why[static TEMPLATE_WHY_SIZE], const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(why, TEMPLATE_WHY_SIZE, fmt, ap);
        va_end(ap);
        return -EINVAL;
}

/* Whether " word " is in the list " a b c ". */
static bool listed(const char *list, const char *word, size_t n)
{
        char padded[40];

        if (n == 0 || n + 3 > sizeof padded || memchr(word, ' ', n))
                return false;
        snprintf(padded, sizeof padded, " %.*s ", (int)n, word);
        return strstr(list, padded) != NULL;
}

/* Every {name} of @s is in @allowed. */
static int check_placeholders(const char *where, const char *s, const char *allowed,
                              char why[static TEMPLATE_WHY_SIZE])
{
        while ((s = strpbrk(s, "{}"))) {
                size_t n = strcspn(s + 1, "{}");

                if (*s == '}' || s[1 + n] != '}')
                        return fail(why, "%s: a brace without its partner at '%.20s'", where, s);
                if (!listed(allowed, s + 1, n))
                        return fail(why, "%s: unknown placeholder {%.*s}; known here:%s", where,
                                    (int)(n > 40 ? 40 : n), s + 1, *allowed ? allowed : " none");
                s += n + 2;
        }
        return 0;
}

static const char *placeholders_of(const char *text)
{
        for (size_t i = 0; i < sizeof filled / sizeof *filled; i++)
                if (strcmp(filled[i].text, text) == 0)
                        return filled[i].placeholders;
        return "";
}

static int check_plural(const char *where, const json_t *forms, const char *allowed,
                        char why[static TEMPLATE_WHY_SIZE])
{
        const char *form;
        const json_t *v;

        if (!json_is_string(json_object_get(forms, "other")))
                return fail(why, "%s: the form \"other\" is missing", where);
        json_object_foreach((json_t *)(uintptr_t)forms, form, v)
        {
                int rc;

                if (!listed(plurals, form, strlen(form)) || !json_is_string(v))
                        return fail(why, "%s: unknown plural form \"%.20s\"; known:%s", where, form,
                                    plurals);
                rc = check_placeholders(where, json_string_value(v), allowed, why);
                if (rc < 0)
                        return rc;
        }
        return 0;
}

static int check_texts(const json_t *texts, char why[static TEMPLATE_WHY_SIZE])
{
        const char *name;
        const json_t *v;

        for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
                if (!json_object_get(texts, needed[i]))
                        return fail(why, "text.%s is missing", needed[i]);
        json_object_foreach((json_t *)(uintptr_t)texts, name, v)
        {
                const char *allowed = placeholders_of(name);
                char where[64];
                int rc = -EINVAL;

                snprintf(where, sizeof where, "text.%.40s", name);
                if (json_is_string(v))
                        rc = check_placeholders(where, json_string_value(v), allowed, why);
                else if (json_is_object(v))
                        rc = check_plural(where, v, allowed, why);
                else
                        fail(why, "%s must be a text or an object of plural forms", where);
                if (rc < 0)
                        return rc;
        }
        return 0;
}

static int check_color(const json_t *v, const char *name, char why[static TEMPLATE_WHY_SIZE])
{
        const char *s = json_string_value(v);

        if (!s || strlen(s) != 7 || *s != '#' || strspn(s + 1, "0123456789abcdefABCDEF") != 6)
                return fail(why, "%s must be a colour such as \"#0b5c8a\"", name);
        return 0;
}

static int check_pattern(const json_t *v, const char *name, const char *allowed,
                         char why[static TEMPLATE_WHY_SIZE])
{
        if (!json_is_string(v) || !*json_string_value(v))
                return fail(why, "%s is missing; it can hold:%s", name, allowed);
        return check_placeholders(name, json_string_value(v), allowed, why);
}

static int check_blocks(const json_t *v, char why[static TEMPLATE_WHY_SIZE])
{
        bool due = false, lines = false, totals = false;

        if (!json_is_array(v))
                return fail(why, "blocks must be an array of:%s", blocks);
        for (size_t i = 0; i < json_array_size(v); i++) {
                const char *s = json_string_value(json_array_get(v, i));

                if (!s || !listed(blocks, s, strlen(s)))
                        return fail(why, "blocks: unknown block \"%.30s\"; known:%s", s ? s : "",
                                    blocks);
                for (size_t k = 0; k < i; k++)
                        if (strcmp(s, json_string_value(json_array_get(v, k))) == 0)
                                return fail(why, "blocks: \"%s\" stands twice", s);
                due = due || strcmp(s, "due") == 0;
                lines = lines || strcmp(s, "lines") == 0;
                totals = totals || strcmp(s, "totals") == 0;
        }
        return due && lines && totals
                       ? 0
                       : fail(why, "blocks: an invoice needs \"due\", \"lines\" and \"totals\"");
}

static int check_months(const json_t *v, char why[static TEMPLATE_WHY_SIZE])
{
        for (size_t i = 0; i < 12; i++)
                if (json_array_size(v) != 12 || !json_is_string(json_array_get(v, i)))
                        return fail(why, "months must be an array of twelve names");
        return 0;
}

static int check_member(const char *name, const json_t *v, char why[static TEMPLATE_WHY_SIZE])
{
        static const char colors[] = " accent tint bar bar_now ";
        static const char texts[] = " font thousands point language ";

        if (listed(colors, name, strlen(name)))
                return check_color(v, name, why);
        if (strcmp(name, "money") == 0)
                return check_pattern(v, name, " amount symbol ", why);
        if (strcmp(name, "date") == 0)
                return check_pattern(v, name, " d dd mm mon y ", why);
        if (strcmp(name, "blocks") == 0)
                return check_blocks(v, why);
        if (strcmp(name, "months") == 0)
                return check_months(v, why);
        if (strcmp(name, "text") == 0)
                return json_is_object(v) ? check_texts(v, why)
                                         : fail(why, "text must be an object");
        if (strcmp(name, "rtl") == 0)
                return json_is_boolean(v) ? 0 : fail(why, "rtl must be true or false");
        if (listed(texts, name, strlen(name)))
                return json_is_string(v) ? 0 : fail(why, "%s must be a text", name);
        return fail(why,
                    "unknown member \"%.40s\"; known: language, rtl, font, accent, tint, bar, "
                    "bar_now, thousands, point, money, date, months, blocks, text",
                    name);
}

int template_check(const json_t *document, const char *language, char why[static TEMPLATE_WHY_SIZE])
{
        static const char *const members[] = { "language", "font",   "accent",    "tint", "bar",
                                               "bar_now",  "point",  "thousands", "rtl",  "money",
                                               "date",     "months", "blocks",    "text" };
        const char *name, *own = json_string_value(json_object_get(document, "language"));
        const json_t *v;

        if (!json_is_object(document))
                return fail(why, "A template must be a JSON object");
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
                if (!json_object_get(document, members[i]))
                        return fail(why, "%s is missing", members[i]);
        json_object_foreach((json_t *)(uintptr_t)document, name, v)
        {
                int rc = check_member(name, v, why);

                if (rc < 0)
                        return rc;
        }
        if (strcmp(own, language) != 0)
                return fail(why, "language is \"%s\" in the document but \"%s\" in the request",
                            own, language);
        return 0;
}

int template_check_message(const char *body, char why[static TEMPLATE_WHY_SIZE])
{
        return check_placeholders("body", body, message_placeholders, why);
}
