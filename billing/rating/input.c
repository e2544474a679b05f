/* What is billed, from JSON: golden examples and what-if questions. */

#include <stdlib.h>
#include <string.h>

#include "civil.h"
#include "json.h"
#include "rating_input.h"

static void load_quantities(struct jdoc *d, json_t *o, struct rating_input *in)
{
        json_t *list = jdoc_object(d, o, "quantities", false), *v;
        struct rating_quantity *q = jdoc_alloc(d, json_object_size(list), sizeof(*q));
        size_t old = jdoc_enter(d, "quantities"), inner;
        const char *key;

        json_object_foreach(list, key, v)
        {
                if (!q)
                        return;
                inner = jdoc_enter(d, key);
                q[in->n_given].name = jdoc_copy(d, key);
                q[in->n_given].unit = json_is_object(v) ? jdoc_text(d, v, "unit", "") : "";
                q[in->n_given].value = json_is_object(v) ? jdoc_need_decimal(d, v, "value")
                                                         : jdoc_value(d, v, NULL);
                in->n_given++;
                jdoc_leave(d, inner);
        }
        in->given = q;
        jdoc_leave(d, old);
}

static int64_t instant(struct jdoc *d, json_t *o, const char *key)
{
        const char *s = jdoc_text(d, o, key, NULL);
        int64_t utc = 0;

        if (civil_parse(s, &utc, NULL) < 0)
                jdoc_fail(d, key,
                          "must be an instant with its zone, such as \"2026-01-31T17:00:00Z\"");
        return utc;
}

static void load_one_series(struct jdoc *d, json_t *o, struct rating_series *ret)
{
        json_t *list, *v;
        int64_t *value;
        uint8_t *status;
        size_t n, i;

        if (!json_is_object(o)) {
                jdoc_fail(d, NULL, "must be an object");
                return;
        }
        jdoc_known(d, o, "name|unit|scale|at|period_s|values");
        list = jdoc_array(d, o, "values", true);
        n = json_array_size(list);
        value = jdoc_alloc(d, n, sizeof(*value));
        status = jdoc_alloc(d, n, 1);
        ret->name = jdoc_text(d, o, "name", NULL);
        ret->unit = jdoc_text(d, o, "unit", "kWh");
        ret->scale = (int8_t)jdoc_int(d, o, "scale", 3, 0, 12);
        ret->at = instant(d, o, "at");
        ret->period_s = (uint32_t)jdoc_int(d, o, "period_s", 900, 60, 86400);
        json_array_foreach(list, i, v)
        {
                if (!value || !status)
                        return;
                if (json_is_null(v))
                        status[i] = RATING_MISSING;
                else if (json_is_integer(v))
                        value[i] = json_integer_value(v);
                else
                        jdoc_fail(d, "values",
                                  "entry %zu must be a whole number of 10^-scale units, or null",
                                  i);
        }
        ret->n = n;
        ret->value = value;
        ret->status = status;
}

static void load_all_series(struct jdoc *d, json_t *o, struct rating_input *in)
{
        json_t *list = jdoc_array(d, o, "series", false), *v;
        struct rating_series *s = jdoc_alloc(d, json_array_size(list), sizeof(*s));
        size_t i, old;

        json_array_foreach(list, i, v)
        {
                if (!s || d->failed)
                        return;
                old = jdoc_enter_at(d, "series", i);
                load_one_series(d, v, &s[i]);
                jdoc_leave(d, old);
        }
        in->series = s;
        in->n_series = json_array_size(list);
}

static void load_indices(struct jdoc *d, json_t *o, struct rating_input *in)
{
        json_t *list = jdoc_array(d, o, "indices", false), *v;
        struct rating_index *x = jdoc_alloc(d, json_array_size(list), sizeof(*x));
        size_t i, old;

        json_array_foreach(list, i, v)
        {
                if (!x || d->failed)
                        return;
                old = jdoc_enter_at(d, "indices", i);
                if (!json_is_object(v)) {
                        jdoc_fail(d, NULL, "must be an object");
                        return;
                }
                x[i].name = jdoc_text(d, v, "name", NULL);
                x[i].value = jdoc_need_decimal(d, v, "value");
                x[i].source = jdoc_text(d, v, "source", NULL);
                x[i].day = jdoc_day(d, json_object_get(v, "day"), "day");
                jdoc_leave(d, old);
        }
        in->indices = x;
        in->n_indices = json_array_size(list);
}

static void load_peaks(struct jdoc *d, json_t *o, struct rating_input *in)
{
        json_t *list = jdoc_array(d, o, "peaks", false), *v;
        struct rating_peak *p = jdoc_alloc(d, json_array_size(list), sizeof(*p));
        size_t i, old;

        json_array_foreach(list, i, v)
        {
                if (!p || d->failed)
                        return;
                old = jdoc_enter_at(d, "peaks", i);
                if (!json_is_object(v)) {
                        jdoc_fail(d, NULL, "must be an object");
                        return;
                }
                p[i].year = (int)jdoc_int(d, v, "year", 0, 1900, 2999);
                p[i].month = (int)jdoc_int(d, v, "month", 0, 1, 12);
                p[i].kw = jdoc_need_decimal(d, v, "kw");
                jdoc_leave(d, old);
        }
        in->peaks = p;
        in->n_peaks = json_array_size(list);
}

static void load_carry(struct jdoc *d, json_t *o, struct rating_input *in)
{
        json_t *list = jdoc_object(d, o, "carry", false), *v;
        struct rating_carry *c = jdoc_alloc(d, json_object_size(list), sizeof(*c));
        const char *key;

        json_object_foreach(list, key, v)
        {
                if (!c)
                        return;
                c[in->n_carry].name = jdoc_copy(d, key);
                c[in->n_carry++].value = jdoc_value(d, v, "carry");
        }
        in->carry = c;
}

void load_input(struct jdoc *d, json_t *o, struct rating_input *ret, const char **ret_tz)
{
        json_t *list, *v;
        int64_t *holidays;
        size_t i;

        memset(ret, 0, sizeof(*ret));
        jdoc_known(d, o,
                   "from|to|full_days|months|households|contract_kw|tz|holidays|quantities|series|"
                   "indices|peaks|carry|note");
        ret->from_day = jdoc_day(d, json_object_get(o, "from"), "from");
        ret->to_day = jdoc_day(d, json_object_get(o, "to"), "to");
        ret->full_days = (int)jdoc_int(d, o, "full_days", 0, 1, 1200);
        ret->months = (int)jdoc_int(d, o, "months", 0, 1, 60);
        ret->households = (int)jdoc_int(d, o, "households", 0, 1, 100000);
        jdoc_decimal(d, o, "contract_kw", &ret->contract_kw);
        *ret_tz = jdoc_text(d, o, "tz", "UTC");
        list = jdoc_array(d, o, "holidays", false);
        holidays = jdoc_alloc(d, json_array_size(list), sizeof(*holidays));
        json_array_foreach(list, i, v) if (holidays) holidays[ret->n_holidays++] =
                jdoc_day(d, v, "holidays");
        ret->holidays = holidays;
        load_quantities(d, o, ret);
        load_all_series(d, o, ret);
        load_indices(d, o, ret);
        load_peaks(d, o, ret);
        load_carry(d, o, ret);
}

int rating_input_load(struct arena *arena, const char *json, size_t n, struct rating_input *ret,
                      struct tz **ret_tz, struct rating_error *err)
{
        struct jdoc d = { .arena = arena, .err = err };
        json_t *root = jdoc_parse(&d, json, n, "input");
        const char *tz = "UTC";

        *ret_tz = NULL;
        if (!root)
                return d.failed;
        load_input(&d, root, ret, &tz);
        json_decref(root);
        if (!d.failed && tz_load(ret_tz, tz) < 0)
                jdoc_fail(&d, "tz", "'%s' is not a time zone of this machine", tz);
        jdoc_place(&d, json, n);
        ret->tz = *ret_tz;
        return d.failed;
}
