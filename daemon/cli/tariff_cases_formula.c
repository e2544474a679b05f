/* Cases of a rule without components: a conversion, a factor, a percentage that changes. */

#include <stdio.h>
#include <string.h>

#include "civil.h"
#include "tariff_cases_internal.h"

/* "hcf*2.83*1.02264*CV/3.6": names of usage and numbers, multiplied and divided. */
static enum verdict product_rule(struct bill_case *c, const char *text, json_t **ret)
{
        json_t *multiply = json_array(), *divide = json_array();
        char op = '*', word[40];
        const char *p = text;

        *ret = json_pack("{s:o, s:o}", "multiply", multiply, "divide", divide);
        while (*p) {
                size_t n = strcspn(p, "*/");
                struct decimal d;

                if (n == 0 || n >= sizeof(word))
                        return case_unsupported(c, "rule \"%s\"", text);
                for (size_t i = 0; i < n; i++)
                        word[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
                word[n] = '\0';
                if (decimal_parse(word, &d) < 0 && !json_object_get(c->usage, word))
                        return case_unsupported(c, "rule \"%s\": %s is not in the usage", text,
                                                word);
                json_array_append_new(op == '*' ? multiply : divide, json_string(word));
                p += n;
                if (*p && (op = *p++, !*p))
                        return case_unsupported(c, "rule \"%s\"", text);
        }
        return CASE_PASS;
}

/* The one expected member that is a number, against the value of a product. */
static enum verdict run_product(struct bill_case *c, const char *text)
{
        struct rating_quantity quantities[MAX_GIVEN];
        struct rating_input in = { .from_day = SOME_DAY, .to_day = SOME_DAY + 30 };
        const char *billed, *key;
        struct rating_tariff *t = NULL;
        struct rating_error err = { 0 };
        struct rating_result r;
        json_t *document, *product, *v;
        struct decimal want;
        enum verdict verdict = case_quantities(c, &in, quantities, &billed);

        /* Days are a quantity here. */
        if (case_number(json_object_get(c->usage, "days"), &quantities[in.n_given].value)) {
                quantities[in.n_given].name = quantities[in.n_given].unit = "days";
                in.n_given++;
        }
        if (verdict != CASE_PASS)
                return verdict;
        document = case_document(c, "result");
        verdict = product_rule(c, text, &product);
        json_object_set_new(document, "quantities", json_pack("{s:o}", "result", product));
        json_object_set_new(document, "minor_digits", json_integer(8));
        json_object_set_new(document, "components",
                            json_pack("[{s:s, s:s, s:s}]", "type", "given", "code", "result",
                                      "quantity", "result"));
        if (verdict == CASE_PASS)
                verdict = case_load(c, document, &t);
        if (verdict == CASE_PASS && rating_run(t, &in, &r, &err))
                verdict = case_fail(c, "not rated: %s", err.text);
        if (verdict == CASE_PASS) {
                json_object_foreach(c->expected, key, v)
                {
                        if (case_number(v, &want) && !case_near(c, want, r.lines[0].exact))
                                verdict = case_fail(c, "%s should be %s, is %s", key,
                                                    case_text(c, want),
                                                    case_text(c, r.lines[0].exact));
                }
                rating_result_deinit(&r);
        }
        rating_tariff_free(t);
        json_decref(document);
        return verdict;
}

/* "k%=(0.9/cosphi-1)*100 rounded to 2 decimals; 0 from 0.90; below 0.60 use 52.54" */
static enum verdict run_power_factor(struct bill_case *c, const char *text)
{
        char target[16], from[16], floor[16], pct[16];
        json_t *list = json_object_get(c->usage, "cosphi"),
               *want = json_object_get(c->expected, "k_percent"), *v;
        json_t *document;
        struct rating_tariff *t = NULL;
        enum verdict verdict;
        int digits, n = 0;
        size_t i;

        if (sscanf(text,
                   "k%%=(%15[0-9.]/cosphi-1)*100 rounded to %d decimals; 0 from %15[0-9.]; below "
                   "%15[0-9.] use %15[0-9.]%n",
                   target, &digits, from, floor, pct, &n) != 5 ||
            text[n] || !list || !want)
                return case_unsupported(c, "formula \"%s\"", text);
        document = case_document(c, NULL);
        json_object_set_new(document, "minor_digits", json_integer(4));
        json_object_set_new(document, "components",
                            json_pack("[{s:s, s:s, s:i}, {s:s, s:s, s:s, s:s, s:i, s:s, s:s}]",
                                      "type", "given", "code", "base", "amount", 100, "type",
                                      "power_factor", "code", "k", "quantity", "cosphi", "target",
                                      target, "digits", digits, "floor", floor, "floor_pct", pct));
        verdict = case_load(c, document, &t);
        json_decref(document);
        json_array_foreach(list, i, v)
        {
                struct rating_quantity q = { .name = "cosphi", .unit = "" };
                struct rating_input in = {
                        .from_day = SOME_DAY, .to_day = SOME_DAY + 30, .given = &q, .n_given = 1
                };
                struct rating_error err = { 0 };
                struct rating_result r;
                struct decimal w;

                if (verdict != CASE_PASS)
                        break;
                if (!case_number(v, &q.value) || !case_number(json_array_get(want, i), &w))
                        verdict = case_unsupported(
                                c, "formula without one expected number for each cosphi");
                else if (rating_run(t, &in, &r, &err))
                        verdict = case_fail(c, "cosphi %s not rated: %s", case_text(c, q.value),
                                            err.text);
                else {
                        /* On a base of 100 the amount is the percentage. */
                        if (!case_near(c, w, r.lines[1].exact))
                                verdict = case_fail(c, "cosphi %s: k should be %s, is %s",
                                                    case_text(c, q.value), case_text(c, w),
                                                    case_text(c, r.lines[1].exact));
                        rating_result_deinit(&r);
                }
        }
        rating_tariff_free(t);
        return verdict;
}

static enum verdict check_shares(struct bill_case *c, const struct rating_result *r)
{
        json_t *factors = json_object_get(c->expected, "factors");
        json_t *amounts = json_object_get(c->expected, "on_base_100");
        size_t n = r->n_lines - 1;
        struct decimal want, share;

        if (n != (size_t)json_integer_value(json_object_get(c->expected, "lines")))
                return case_fail(
                        c, "%zu lines instead of %lld", n,
                        (long long)json_integer_value(json_object_get(c->expected, "lines")));
        for (size_t i = 0; i < n; i++) {
                const struct rating_line *l = &r->lines[i + 1];

                if (decimal_div(l->quantity, decimal_int(100), 12, DECIMAL_HALF_EVEN, &share) < 0)
                        return case_fail(c, "line %zu is too large", i + 1);
                if (case_number(json_array_get(factors, i), &want) && !case_near(c, want, share))
                        return case_fail(c, "line %zu: factor should be %s, is %s", i + 1,
                                         case_text(c, want), case_text(c, share));
                if (case_number(json_array_get(amounts, i), &want) && !case_near(c, want, l->exact))
                        return case_fail(c, "line %zu should be %s, is %s", i + 1,
                                         case_text(c, want), case_text(c, l->exact));
        }
        return CASE_PASS;
}

/* A percentage that changes inside the period, on a base of 100. */
static enum verdict run_percent_versions(struct bill_case *c, json_t *versions)
{
        json_t *period = json_object_get(c->usage, "calc_period"), *percent, *later, *document;
        const char *from = json_string_value(json_array_get(period, 0)),
                   *to = json_string_value(json_array_get(period, 1));
        struct rating_input in = { 0 };
        struct rating_tariff *t = NULL;
        struct rating_error err = { 0 };
        struct rating_result r;
        enum verdict v;

        if (!from || !to || civil_parse_date(from, &in.from_day) < 0 ||
            civil_parse_date(to, &in.to_day) < 0 || json_array_size(versions) == 0)
                return case_unsupported(c, "percent_versions without calc_period of two dates");
        in.to_day++;
        percent = json_deep_copy(json_array_get(versions, 0));
        later = json_deep_copy(versions);
        json_array_remove(later, 0);
        json_object_set_new(percent, "type", json_string("percent"));
        json_object_set_new(percent, "code", json_string("percent"));
        json_object_set_new(percent, "versions", later);
        document = case_document(c, NULL);
        json_object_set_new(document, "minor_digits", json_integer(8));
        json_object_set_new(document, "components",
                            json_pack("[{s:s, s:s, s:i}, o]", "type", "given", "code", "base",
                                      "amount", 100, percent));
        v = case_load(c, document, &t);
        json_decref(document);
        if (v == CASE_PASS && rating_run(t, &in, &r, &err))
                v = case_fail(c, "not rated: %s", err.text);
        else if (v == CASE_PASS) {
                v = check_shares(c, &r);
                rating_result_deinit(&r);
        }
        rating_tariff_free(t);
        return v;
}

enum verdict case_rule(struct bill_case *c)
{
        json_t *versions = json_object_get(c->tariff, "percent_versions");
        const char *conversion = case_member(c->tariff, "conversion"),
                   *formula = case_member(c->tariff, "formula");
        const char *factor = case_member(json_object_get(c->tariff, "proration"), "factor");

        if (versions)
                return run_percent_versions(c, versions);
        if (*conversion)
                return run_product(c, conversion);
        if (*factor)
                return run_product(c, factor);
        if (*formula)
                return run_power_factor(c, formula);
        return case_unsupported(c, "a tariff without components or a rule known here");
}
