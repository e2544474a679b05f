#pragma once

/* Shared by the importers. */

#include <stdarg.h>

#include "import.h"

struct importer {
        const struct import_options *options;
        struct rating_error *err;
        int failed;         /* 0 or the first error's code */
        json_t *document;   /* being made, owned */
        json_t *components; /* borrowed from the document */
        json_t *schedules;  /* borrowed from the document once used, else NULL */
};

/* Remembers the first failure and returns it. */
int import_fail(struct importer *x, int code, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/* An empty document with its head; NULL is reported as -ENOMEM. */
int import_begin(struct importer *x, const char *code, const char *name, const char *commodity);
/* 0 and the document handed over, or the failure and everything released. */
int import_end(struct importer *x, json_t **ret);
/* Text member, "" when absent. */
const char *import_text(json_t *o, const char *key);
/* Whether @word is in "a b c". */
bool import_listed(const char *list, const char *word);
/* Names every member of @o that is in neither list: unsupported. */
int import_known(struct importer *x, json_t *o, const char *where, const char *known,
                 const char *documentation);
/* A code of up to 40 upper-case letters, digits, "._-" from free text; owned by the caller. */
char *import_code(const char *text);
bool import_is_zero(json_t *number);

/* urdb_native.c: a rate as the API gives it -> flattened form; owned, NULL after a failure. */
json_t *urdb_flatten(struct importer *x, json_t *rate);
/* urdb_prices.c: "rates" are lists of tiers by period number, schedules 12 rows of 24 of these. */
enum urdb_limits { URDB_NONE, URDB_MONTHLY, URDB_DAILY };
int urdb_schedule(struct importer *x, const char *name, json_t *weekday, json_t *weekend,
                  json_t *rates);
int urdb_prices(struct importer *x, json_t *rates, json_t *component);
int urdb_tiers(struct importer *x, json_t *rows, enum urdb_limits *ret_limits, json_t **ret);
/* Refuses periods that meet in one month with different tier limits. */
int urdb_same_limits(struct importer *x, const char *name, json_t *weekday, json_t *weekend,
                     json_t *rates);

int import_owrs(const char *text, size_t n, struct importer *x);
int import_csv(const char *text, size_t n, struct importer *x);
