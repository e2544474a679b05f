#pragma once

/*
 * Reading JSON with a path for every complaint: "components[2].tiers[1].upto: ...". Internal to
 * billing/rating. All results are copied into the arena. After the first failure every call
 * fails, so that a whole object is read and checked once.
 */

#include <jansson.h>

#include "tariff.h"

struct jdoc {
        struct arena *arena;      /* borrowed */
        struct rating_error *err; /* borrowed */
        int failed;               /* 0 or the first error's code */
        char path[300];
        char where[400]; /* path of the first failure; "" = the document as a whole */
};

/* Parses the text; NULL and an error with line and column when it is no JSON object. Release with
 * json_decref. */
json_t *jdoc_parse(struct jdoc *d, const char *json, size_t n, const char *what);
int jdoc_fail(struct jdoc *d, const char *key, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/* Steps into a member or element; returns the path's old length for jdoc_leave. */
size_t jdoc_enter(struct jdoc *d, const char *key);
size_t jdoc_enter_at(struct jdoc *d, const char *key, size_t i);
void jdoc_leave(struct jdoc *d, size_t old);

/* Complains about members that are not in @known ("a|b|c"). */
void jdoc_known(struct jdoc *d, json_t *o, const char *known);
/* @otherwise NULL: the member is required. */
const char *jdoc_text(struct jdoc *d, json_t *o, const char *key, const char *otherwise);
bool jdoc_bool(struct jdoc *d, json_t *o, const char *key, bool otherwise);
int64_t jdoc_int(struct jdoc *d, json_t *o, const char *key, int64_t otherwise, int64_t min,
                 int64_t max);
/* A number or text such as "0.0568". Numbers are taken with 15 significant digits. False (and
 * *@ret zero) when absent. */
bool jdoc_decimal(struct jdoc *d, json_t *o, const char *key, struct decimal *ret);
struct decimal jdoc_need_decimal(struct jdoc *d, json_t *o, const char *key);
struct decimal jdoc_value(struct jdoc *d, json_t *v, const char *key);
/* Index of the member's text in "a|b|c"; @otherwise when absent, -1 = required. */
int jdoc_choice(struct jdoc *d, json_t *o, const char *key, const char *choices, int otherwise);
int64_t jdoc_day(struct jdoc *d, json_t *v, const char *key);
/* Array or object member; NULL when absent (and an error when @required or of another type). */
json_t *jdoc_array(struct jdoc *d, json_t *o, const char *key, bool required);
json_t *jdoc_object(struct jdoc *d, json_t *o, const char *key, bool required);
void *jdoc_alloc(struct jdoc *d, size_t n, size_t size);
const char *jdoc_copy(struct jdoc *d, const char *s);

/* locate.c: line and column, from 1, of what "components[2].tiers" names in the text, or of the
 * nearest thing around it. */
void json_locate(const char *json, size_t n, const char *path, int *ret_line, int *ret_column);
/* Adds them to the error. */
void jdoc_place(struct jdoc *d, const char *json, size_t n);

/* Members every component may have. */
#define JDOC_COMMON "type|code|text|unit|from|versions|tax|subtract|when|note"

/* load_component.c */
struct component *load_component(struct jdoc *d, struct rating_tariff *t, json_t *o, bool nested);
void need_quantity(struct jdoc *d, struct rating_tariff *t, const char *name);
/* load_demand.c */
void load_demand(struct jdoc *d, struct rating_tariff *t, json_t *o, struct demand *ret);
void load_demand_charge(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c);
void load_month_amounts(struct jdoc *d, json_t *o, struct component *c);
void load_proration(struct jdoc *d, json_t *o, struct component *c);
/* load_tiers.c */
const char *load_quantity(struct jdoc *d, struct rating_tariff *t, json_t *o); /* NULL = default */
int load_schedule_ref(struct jdoc *d, struct rating_tariff *t, json_t *o);     /* -1 = none */
void load_tier_list(struct jdoc *d, json_t *list, bool nested, struct tiers *ret);
void load_tiers_or_rate(struct jdoc *d, json_t *o, const char *key, struct tiers *ret);
void load_prices(struct jdoc *d, struct rating_tariff *t, json_t *o, struct component *c);
/* "fill": how tiers and price periods go together. */
void load_fill(struct jdoc *d, json_t *o, struct component *c);
void load_check_pool(struct jdoc *d, const struct rating_tariff *t, const struct component *c);
void load_days(struct jdoc *d, json_t *o, const char *key, struct decimal *ret_days,
               struct decimal *ret_times);
void load_scale(struct jdoc *d, json_t *o, struct limit_scale *ret);
/* load_calendar.c */
void load_calendar(struct jdoc *d, struct rating_tariff *t, json_t *root);
/* input.c */
void load_input(struct jdoc *d, json_t *o, struct rating_input *ret, const char **ret_tz);
