/* Case files: reading, the verdict on each, the sum at the end. */

#include "tariff_cases.h"

#include <libgen.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tariff_cases_internal.h"

enum verdict case_fail(struct bill_case *c, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(c->why, sizeof(c->why), fmt, ap);
        va_end(ap);
        return CASE_FAIL;
}

enum verdict case_unsupported(struct bill_case *c, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(c->why, sizeof(c->why), fmt, ap);
        va_end(ap);
        return CASE_UNSUPPORTED;
}

bool case_number(json_t *v, struct decimal *ret)
{
        char text[400];

        if (json_is_integer(v)) {
                *ret = decimal_int(json_integer_value(v));
                return true;
        }
        if (!json_is_real(v))
                return false;
        snprintf(text, sizeof(text), "%.15g", json_real_value(v));
        if (strchr(text, 'e'))
                snprintf(text, sizeof(text), "%.15f", json_real_value(v));
        return decimal_parse(text, ret) == 0;
}

bool case_near(const struct bill_case *c, struct decimal want, struct decimal have)
{
        struct decimal diff;

        if (decimal_sub(want, have, &diff) < 0)
                return false;
        if (diff.m < 0)
                diff.m = -diff.m;
        return decimal_cmp(diff, c->tolerance) <= 0;
}

const char *case_text(struct bill_case *c, struct decimal d)
{
        char text[DECIMAL_TEXT_SIZE];
        const char *s;

        decimal_format(d, 0, text);
        s = arena_str(&c->arena, text);
        return s ? s : "?";
}

const char *case_member(json_t *o, const char *key)
{
        const char *s = json_string_value(json_object_get(o, key));

        return s ? s : "";
}

int case_digits(const struct bill_case *c, bool whole)
{
        static const char none[] = "JPY KRW VND CLP ISK PYG XAF XOF UGX RWF ";
        const char *currency = case_member(c->json, "currency");
        int digits = whole || (strlen(currency) == 3 && strstr(none, currency)) ? 0 : 2;

        /* Amounts expected far finer than money are not rounded to money. */
        for (; digits < 12; digits++) {
                struct decimal unit = { 1, (int8_t)digits }, four;

                if (decimal_mul(c->tolerance, decimal_int(4), &four) < 0 ||
                    decimal_cmp(unit, four) <= 0)
                        break;
        }
        return digits;
}

enum verdict case_load(struct bill_case *c, json_t *document, struct rating_tariff **ret)
{
        char *text = json_dumps(document, JSON_COMPACT);
        struct rating_error err = { 0 };
        int e;

        if (!text)
                return case_fail(c, "out of memory");
        e = rating_tariff_load(ret, text, strlen(text), &err);
        free(text);
        return e ? case_fail(c, "the tariff is refused: %s", err.text) : CASE_PASS;
}

/* A tariff that must be refused: what it is refused for is said. */
static enum verdict run_refused(struct bill_case *c, bool urdb)
{
        struct rating_tariff *t = NULL;
        enum verdict v;

        if (!urdb && !json_object_get(c->tariff, "components"))
                return case_unsupported(c, "expect_error without a tariff to refuse");
        v = urdb ? case_urdb_load(c, &t) : case_components_load(c, &t);
        rating_tariff_free(t);
        if (v == CASE_PASS)
                return case_fail(c, "the tariff must be refused and was accepted");
        return CASE_PASS;
}

static enum verdict run_case(struct bill_case *c)
{
        bool urdb = strcmp(case_member(c->tariff, "schema"), "urdb-like-v1") == 0 ||
                    json_object_get(c->tariff, "energy_rates") ||
                    json_object_get(c->tariff, "energyratestructure");

        if (!json_is_object(c->tariff))
                return case_unsupported(c, "no tariff in the case");
        if (json_is_true(json_object_get(c->json, "expect_error")))
                return run_refused(c, urdb);
        if (!json_is_object(c->expected))
                return case_unsupported(c, "nothing expected");
        if (urdb)
                return case_urdb(c);
        if (json_object_get(c->tariff, "schema"))
                return case_unsupported(c, "tariff schema %s", case_member(c->tariff, "schema"));
        return json_object_get(c->tariff, "components") ? case_components(c) : case_rule(c);
}

/* {"kwh": {"peak": 10, "off": 20}} is used as "kwh:peak" and "kwh:off". Owned result. */
static json_t *flat_usage(json_t *usage)
{
        json_t *flat = json_object(), *v, *part;
        const char *key, *name;
        char joined[120];

        json_object_foreach(usage, key, v)
        {
                if (!json_is_object(v)) {
                        json_object_set(flat, key, v);
                        continue;
                }
                json_object_foreach(v, name, part)
                {
                        snprintf(joined, sizeof(joined), "%s:%s", key, name);
                        json_object_set(flat, joined, part);
                }
        }
        return flat;
}

static void report(FILE *out, enum verdict v, const struct bill_case *c, unsigned long counts[3])
{
        static const char *const words[] = { "pass", "FAIL", "unsupported" };

        counts[v]++;
        fprintf(out, "%s %s%s%s\n", words[v], c->id, c->why[0] ? ": " : "", c->why);
}

int tariff_cases_run(const char *path, FILE *out)
{
        unsigned long counts[3] = { 0 };
        json_error_t error;
        json_t *file = json_load_file(path, 0, &error), *v;
        char *copy, *folder;
        size_t i;

        if (!json_is_array(file)) {
                fprintf(out, "%s: %s (line %d); give a JSON list of cases\n", path,
                        file ? "is no list" : error.text, file ? 1 : error.line);
                json_decref(file);
                return 2;
        }
        copy = strdup(path);
        folder = copy ? dirname(copy) : NULL;
        json_array_foreach(file, i, v)
        {
                struct bill_case c = { .json = v, .folder = folder ? folder : "." };
                enum verdict verdict;

                arena_init(&c.arena, 0);
                c.tariff = json_object_get(v, "tariff");
                c.usage = flat_usage(json_object_get(v, "usage"));
                c.expected = json_object_get(v, "expected");
                c.id = case_member(v, "id");
                if (!case_number(json_object_get(v, "tolerance"), &c.tolerance))
                        c.tolerance = (struct decimal){ 5, 3 };
                verdict = run_case(&c);
                if (verdict == CASE_PASS && !json_is_true(json_object_get(v, "expect_error")))
                        c.why[0] = '\0';
                report(out, verdict, &c, counts);
                json_decref(c.usage);
                arena_deinit(&c.arena);
        }
        fprintf(out, "%lu passed, %lu failed, %lu unsupported\n", counts[CASE_PASS],
                counts[CASE_FAIL], counts[CASE_UNSUPPORTED]);
        free(copy);
        json_decref(file);
        return counts[CASE_FAIL] || counts[CASE_UNSUPPORTED] ? 1 : 0;
}
