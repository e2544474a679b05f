#pragma once

/* Shared by tariff_cases*.c: one case on its way through the engine. */

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "rating.h"

enum verdict { CASE_PASS, CASE_FAIL, CASE_UNSUPPORTED };

struct bill_case {
        json_t *json; /* borrowed: the whole case */
        json_t *tariff, *usage, *expected;
        const char *id, *folder;
        struct decimal tolerance;
        struct arena arena; /* of this case */
        char why[600];      /* of a failure or of what is not supported */
};

enum verdict case_fail(struct bill_case *c, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
enum verdict case_unsupported(struct bill_case *c, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

/* A number member as an exact decimal; false when absent or no number. */
bool case_number(json_t *v, struct decimal *ret);
bool case_near(const struct bill_case *c, struct decimal want, struct decimal have);
const char *case_text(struct bill_case *c, struct decimal d);
/* Digits money is rounded to: the currency's, more where the tolerance is finer than money. */
int case_digits(const struct bill_case *c, bool whole);
/* Loads a document made of the case; CASE_PASS, or why not. */
enum verdict case_load(struct bill_case *c, json_t *document, struct rating_tariff **ret);
const char *case_member(json_t *o, const char *key);

enum verdict case_components(struct bill_case *c);
/* Whether the tariff is accepted at all, for cases that must be refused. */
enum verdict case_components_load(struct bill_case *c, struct rating_tariff **ret);
enum verdict case_rule(struct bill_case *c);
enum verdict case_urdb(struct bill_case *c);
/* Whether the tariff is accepted at all, for cases that must be refused. */
enum verdict case_urdb_load(struct bill_case *c, struct rating_tariff **ret);

/* tariff_cases_map.c: "components" of a case as components of a tariff document. */
struct mapping {
        struct bill_case *c;
        json_t *components;   /* being made, owned */
        json_t *demand;       /* owned or NULL */
        json_t *quantities;   /* made of others; owned or NULL */
        const char *quantity; /* usage member that is billed */
        struct rating_input *in;
};
enum verdict map_components(struct mapping *m, json_t *list);

/* tariff_cases_bill.c: an empty document billing @quantity; the numbers of the usage in @q (at
 * least MAX_GIVEN) and which of them is billed. */
enum { MAX_GIVEN = 16, SOME_DAY = 20089 /* 2025-01-01 */ };
json_t *case_document(struct bill_case *c, const char *quantity);
enum verdict case_quantities(struct bill_case *c, struct rating_input *in,
                             struct rating_quantity *q, const char **ret_billed);

/* tariff_cases_tiers.c */
bool map_known(const char *list, const char *word); /* "a b c" has "b" */
/* A component of @type with its code; what it has beside @known is named. */
json_t *map_begin(json_t *from, const char *type, const char *otherwise);
enum verdict map_check(struct mapping *m, json_t *o, const char *known);
void map_copy(json_t *to, json_t *from, const char *key, const char *as);
/* Takes @component over: added, or released when @v is no pass. */
enum verdict map_add(struct mapping *m, json_t *component);
enum verdict map_finish(struct mapping *m, json_t *to, enum verdict v);
enum verdict map_limits(struct mapping *m, const char *key, json_t *component);
enum verdict map_tier_list(struct mapping *m, json_t *list, json_t **ret);
enum verdict map_tiers(struct mapping *m, json_t *from, json_t *to);
enum verdict map_mode(struct mapping *m, json_t *from, json_t *to);
enum verdict map_quantity(struct mapping *m, json_t *from, json_t *to);

/* tariff_cases_rule.c: false when the text is none of what it knows. */
bool rule_limits(struct bill_case *c, const char *text, json_t **ret_limits);
bool rule_proration(struct bill_case *c, const char *text, json_t *component);
bool rule_when_days(const char *text, json_t *limits);
bool rule_when_quantity(struct bill_case *c, const char *text, json_t *component);
/* tariff_cases_unit.c: the quantity that is billed in @unit, "" = what the case bills; NULL when
 * the usage has nothing that could be meant. */
const char *unit_quantity(struct mapping *m, const char *unit);
/* How likely a usage member of this name is what the case bills: 3 drawn from the network, 2 energy
 * or volume, 1 a plain count, 0 anything else (a peak, a number of people). */
int unit_billed(const char *name);
