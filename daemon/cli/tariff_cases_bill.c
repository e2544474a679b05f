/* Cases made of components: one bill (or twelve, for monthly peaks) against its lines. */

#include <string.h>

#include "civil.h"
#include "tariff_cases_internal.h"

/* ---- what was used ---- */

/* Members of usage that are no quantities. */
static bool describes(const char *key)
{
        static const char *const words[] = {
                "days",          "months",           "period",      "service_start",
                "billable_days", "full_period_days", "from",        "to",
                "calc_days",     "calc_period",      "season",      "class",
                "note",          "households",       "contract_kw", "rows"
        };

        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
                if (strcmp(words[i], key) == 0)
                        return true;
        return false;
}

/* Every plain number is a quantity of its own name. Where a site has several energies, the one
 * drawn from the network is what is billed. */
enum verdict case_quantities(struct bill_case *c, struct rating_input *in,
                             struct rating_quantity *q, const char **ret_billed)
{
        const char *key;
        json_t *v;

        *ret_billed = NULL;
        json_object_foreach(c->usage, key, v)
        {
                if (describes(key) || json_is_array(v) || json_is_string(v) || json_is_null(v))
                        continue;
                if (in->n_given == MAX_GIVEN || !case_number(v, &q[in->n_given].value))
                        return case_unsupported(c, "usage member %s", key);
                q[in->n_given].name = strcmp(key, "peak_kw") == 0 ? "energy.import:peak_kw" : key;
                q[in->n_given].unit = strncmp(key, "import_", 7) == 0 ? key + 7 : key;
                in->n_given++;
                if (!*ret_billed || unit_billed(key) > unit_billed(*ret_billed))
                        *ret_billed = key;
        }
        in->given = q;
        return CASE_PASS;
}

static int days_of(struct bill_case *c, const char *key)
{
        return (int)json_integer_value(json_object_get(c->usage, key));
}

static enum verdict read_dates(struct bill_case *c, struct rating_input *in)
{
        const char *from = case_member(c->usage, "from"), *to = case_member(c->usage, "to");
        const char *period = case_member(c->usage, "period"),
                   *start = case_member(c->usage, "service_start");
        int days = days_of(c, "days") ? days_of(c, "days") : days_of(c, "calc_days");
        char first[11] = "";

        in->months = days_of(c, "months");
        in->households = days_of(c, "households");
        in->full_days = days_of(c, "full_period_days");
        (void)case_number(json_object_get(c->usage, "contract_kw"), &in->contract_kw);
        in->from_day = SOME_DAY;
        in->to_day = in->from_day + (days ? days : 30);
        if (*from &&
            (civil_parse_date(from, &in->from_day) < 0 || civil_parse_date(to, &in->to_day) < 0))
                return case_unsupported(c, "dates from \"%s\" to \"%s\"", from, to);
        if (*period) {
                /* "2025-04-01..2025-04-30", both days included */
                if (strlen(period) != 22 || memcmp(period + 10, "..", 2) != 0)
                        return case_unsupported(c, "period \"%s\"", period);
                memcpy(first, period, 10);
                if (civil_parse_date(first, &in->from_day) < 0 ||
                    civil_parse_date(period + 12, &in->to_day) < 0)
                        return case_unsupported(c, "period \"%s\"", period);
                in->to_day++;
                in->full_days = (int)(in->to_day - in->from_day);
                if (*start && civil_parse_date(start, &in->from_day) < 0)
                        return case_unsupported(c, "service_start \"%s\"", start);
        }
        if (days_of(c, "billable_days") && days_of(c, "billable_days") != in->to_day - in->from_day)
                return case_fail(c, "%d billable days, but the dates give %lld",
                                 days_of(c, "billable_days"),
                                 (long long)(in->to_day - in->from_day));
        if (*from && days && days != in->to_day - in->from_day)
                return case_fail(c, "%d days, but the dates give %lld", days,
                                 (long long)(in->to_day - in->from_day));
        return CASE_PASS;
}

/* ---- the document ---- */

/* "nearest 0.05": the smallest coin; *@ret owned. */
static bool rounding_step(const char *text, json_t **ret)
{
        const char *nearest = strstr(text, "nearest 0.");
        char step[12];

        if (strstr(text, "total to whole") || strstr(text, "bill to whole") ||
            strstr(text, "rounded to whole")) {
                *ret = json_string("1");
                return true;
        }
        if (!nearest || sscanf(nearest, "nearest %11[0-9.]", step) != 1)
                return false;
        *ret = json_string(step);
        return true;
}

/* The rounding policy in the words of the case: what is rounded, how, to how many digits. */
static enum verdict read_rounding(struct bill_case *c, json_t *document)
{
        const char *text = case_member(c->json, "rounding");
        bool whole = strncmp(text, "whole ", 6) == 0 || strstr(text, "each line whole");
        bool lines = whole || strstr(text, "each line") || strstr(text, "per line") || !*text;
        bool total = strstr(text, "unrounded") || strncmp(text, "none", 4) == 0 ||
                     strncmp(text, "total", 5) == 0 || strncmp(text, "bill ", 5) == 0;
        const char *mode = strstr(text, "half-even") || strstr(text, "half even") ? "half_even"
                           : strstr(text, "truncat") || strstr(text, "round down") ||
                                           strstr(text, "rounded down")
                                   ? "down"
                           : strstr(text, "round up") || strstr(text, "rounded up") ? "up"
                                                                                    : "half_up";
        json_t *rounding, *step;

        if (!lines && !total)
                return case_unsupported(c, "rounding \"%s\"", text);
        json_object_set_new(document, "minor_digits", json_integer(case_digits(c, whole)));
        rounding = json_pack("{s:s, s:s}", "mode", mode, "of", total ? "total" : "lines");
        if (rounding_step(text, &step))
                json_object_set_new(rounding, "step", step);
        json_object_set_new(document, "rounding", rounding);
        return CASE_PASS;
}

json_t *case_document(struct bill_case *c, const char *quantity)
{
        json_t *d = json_pack("{s:s, s:s, s:s}", "schema", "headrace-tariff-v1", "code", c->id,
                              "commodity", "any");
        const char *currency = case_member(c->json, "currency");

        json_object_set_new(d, "currency", json_string(*currency ? currency : "XXX"));
        if (quantity)
                json_object_set_new(d, "quantity", json_string(quantity));
        return d;
}

/* ---- the comparison ---- */

/* "water_t1" for the only line of component "water". */
static bool code_matches(const char *want, const struct rating_line *line, bool only)
{
        size_t n = strlen(line->code);

        if (strcmp(want, line->code) == 0)
                return true;
        return only && strncmp(want, line->code, n) == 0 && strncmp(want + n, "_t", 2) == 0;
}

static const struct rating_line *find_line(const struct rating_result *r, const char *code)
{
        for (size_t i = 0; i < r->n_lines; i++) {
                size_t same = 0;

                for (size_t k = 0; k < r->n_lines; k++)
                        same += strcmp(r->lines[k].component, r->lines[i].component) == 0;
                if (code_matches(code, &r->lines[i], same == 1))
                        return &r->lines[i];
        }
        return NULL;
}

static struct decimal line_amount(const struct rating_tariff *t, const struct rating_line *l)
{
        return (struct decimal){ l->amount, (int8_t)rating_tariff_minor_digits(t) };
}

static enum verdict compare_number(struct bill_case *c, const char *code, const char *what,
                                   json_t *want, struct decimal have)
{
        struct decimal w;

        if (!case_number(want, &w) || case_near(c, w, have))
                return CASE_PASS;
        return case_fail(c, "line %s: %s should be %s, is %s", code, what, case_text(c, w),
                         case_text(c, have));
}

static enum verdict compare_lines(struct bill_case *c, const struct rating_tariff *t,
                                  const struct rating_result *r)
{
        json_t *lines = json_object_get(c->expected, "lines"), *v;
        size_t i;

        json_array_foreach(lines, i, v)
        {
                const char *code = case_member(v, "code");
                const struct rating_line *l = find_line(r, code);
                enum verdict verdict;

                if (!l)
                        return case_fail(c, "line %s is missing", code);
                verdict =
                        compare_number(c, code, "quantity", json_object_get(v, "qty"), l->quantity);
                if (verdict == CASE_PASS)
                        verdict = compare_number(c, code, "price", json_object_get(v, "rate"),
                                                 l->price);
                if (verdict == CASE_PASS)
                        verdict = compare_number(c, code, "amount", json_object_get(v, "amount"),
                                                 line_amount(t, l));
                if (verdict != CASE_PASS)
                        return verdict;
        }
        /* Where lines are listed, nothing else may be charged but what was given and a minimum. */
        for (size_t k = 0; json_array_size(lines) > 0 && k < r->n_lines; k++) {
                const struct rating_line *l = &r->lines[k];
                bool listed = l->amount == 0 || l->kind == RATING_GIVEN ||
                              l->kind == RATING_MINIMUM || l->kind == RATING_ROUNDING;

                json_array_foreach(lines, i, v) listed =
                        listed || find_line(r, case_member(v, "code")) == l;
                if (!listed)
                        return case_fail(c, "line %s of %s is not expected", l->code,
                                         case_text(c, line_amount(t, l)));
        }
        return CASE_PASS;
}

static enum verdict compare_total(struct bill_case *c, struct decimal have)
{
        struct decimal want;

        if (!case_number(json_object_get(c->expected, "total"), &want))
                return CASE_PASS;
        if (!case_near(c, want, have))
                return case_fail(c, "the total should be %s, is %s", case_text(c, want),
                                 case_text(c, have));
        return CASE_PASS;
}

/* ---- one bill ---- */

static enum verdict run_one(struct bill_case *c, const struct rating_tariff *t,
                            const struct rating_input *in)
{
        struct rating_error err = { 0 };
        struct rating_result r;
        enum verdict v;

        if (rating_run(t, in, &r, &err))
                return case_fail(c, "not rated: %s", err.text);
        v = compare_lines(c, t, &r);
        if (v == CASE_PASS)
                v = compare_total(
                        c, (struct decimal){ r.total, (int8_t)rating_tariff_minor_digits(t) });
        rating_result_deinit(&r);
        return v;
}

/* ---- twelve bills of monthly peaks ---- */

static enum verdict check_month(struct bill_case *c, const char *member, int month,
                                struct decimal have)
{
        json_t *list = json_object_get(c->expected, member);
        struct decimal want;

        if (!list || !case_number(json_array_get(list, (size_t)month), &want))
                return CASE_PASS;
        if (!case_near(c, want, have))
                return case_fail(c, "%s of month %d should be %s, is %s", member, month + 1,
                                 case_text(c, want), case_text(c, have));
        return CASE_PASS;
}

/* A year that repeats: months not yet billed show the peak they had a year ago. */
static enum verdict run_year(struct bill_case *c, const struct rating_tariff *t, json_t *peaks)
{
        struct rating_peak before[24];
        struct decimal total = DECIMAL_ZERO;
        enum verdict v = CASE_PASS;

        for (int i = 0; i < 24; i++) {
                before[i] = (struct rating_peak){ .year = 2017 + i / 12, .month = i % 12 + 1 };
                if (!case_number(json_array_get(peaks, (size_t)(i % 12)), &before[i].kw))
                        return case_unsupported(
                                c, "usage member monthly_peak_kw must hold 12 numbers");
        }
        for (int m = 0; m < 12 && v == CASE_PASS; m++) {
                struct rating_quantity q = { "energy.import:peak_kw", "kW", before[m].kw };
                struct rating_input in = { .from_day = civil_to_day(2018, m + 1, 1),
                                           .given = &q,
                                           .n_given = 1,
                                           .peaks = before,
                                           .n_peaks = (size_t)(12 + m) };
                struct rating_error err = { 0 };
                struct rating_result r;

                in.to_day = in.from_day + civil_days_in_month(2018, m + 1);
                if (rating_run(t, &in, &r, &err))
                        return case_fail(c, "month %d not rated: %s", m + 1, err.text);
                if (decimal_add(total,
                                (struct decimal){ r.total, (int8_t)rating_tariff_minor_digits(t) },
                                &total) < 0)
                        v = case_fail(c, "the total is too large");
                else
                        v = check_month(c, "billing_demand_kw", m, r.billing_kw);
                rating_result_deinit(&r);
        }
        return v == CASE_PASS ? compare_total(c, total) : v;
}

static enum verdict make_document(struct bill_case *c, struct rating_input *in, const char *billed,
                                  json_t **ret)
{
        struct mapping m = { .c = c, .in = in, .quantity = billed, .components = json_array() };
        json_t *document = case_document(c, billed);
        enum verdict v = map_components(&m, json_object_get(c->tariff, "components"));

        *ret = document;
        json_object_set_new(document, "components", m.components);
        if (m.quantities)
                json_object_set_new(document, "quantities", m.quantities);
        if (m.demand) {
                json_object_set_new(m.demand, "quantity", json_string("energy.import"));
                json_object_set_new(document, "demand", m.demand);
        }
        return v == CASE_PASS ? read_rounding(c, document) : v;
}

enum verdict case_components_load(struct bill_case *c, struct rating_tariff **ret)
{
        struct rating_quantity quantities[MAX_GIVEN];
        struct rating_input in = { 0 };
        const char *billed = NULL;
        json_t *document;
        enum verdict v = case_quantities(c, &in, quantities, &billed);

        if (v != CASE_PASS)
                return v;
        v = make_document(c, &in, billed, &document);
        if (v == CASE_PASS)
                v = case_load(c, document, ret);
        json_decref(document);
        return v;
}

enum verdict case_components(struct bill_case *c)
{
        struct rating_quantity quantities[MAX_GIVEN];
        struct rating_input in = { 0 };
        struct rating_tariff *t = NULL;
        const char *billed = NULL;
        json_t *document, *peaks = json_object_get(c->usage, "monthly_peak_kw");
        enum verdict v = case_quantities(c, &in, quantities, &billed);

        if (v == CASE_PASS)
                v = read_dates(c, &in);
        if (v != CASE_PASS)
                return v;
        v = make_document(c, &in, billed, &document);
        if (v == CASE_PASS)
                v = case_load(c, document, &t);
        if (v == CASE_PASS)
                v = peaks ? run_year(c, t, peaks) : run_one(c, t, &in);
        rating_tariff_free(t);
        json_decref(document);
        return v;
}
