#pragma once

/* The two JSON documents an invoice is printed from, contents and template, and how the template
 * writes numbers, money and days. Pure; no double touches an amount. */

#include <jansson.h>
#include <stdbool.h>

#include "buf.h"

struct doc {
        json_t *content, *template; /* owned */
        const char *symbol;         /* of the currency; static or borrowed from content */
        int minor_digits;
        bool rtl;
};

/* 0, -EINVAL (no JSON object), -ENOMEM. */
int doc_open(struct doc *d, const char *content, const char *template);
void doc_close(struct doc *d);

/* Member by path "customer.name" of @o; "" when absent or no text. Borrowed. */
const char *doc_text(const json_t *o, const char *path);
int64_t doc_int(const json_t *o, const char *path);
const json_t *doc_get(const json_t *o, const char *path);
/* The template's text of that name; the name itself when the template has none. */
const char *doc_label(const struct doc *d, const char *name);

/* Value of a placeholder, or NULL when there is none of that name. Borrowed until the next call. */
typedef const char *doc_value(void *arg, const char *name);
/* @pattern with every {name} replaced; one that @value does not know stays as it is. */
const char *doc_fill(struct buf *out, const char *pattern, doc_value *value, void *arg);
/* The template's text @name in the plural form that goes with @n, its {n}, {percent} and the like
 * replaced by the number. */
const char *doc_count(const struct doc *d, struct buf *out, const char *name, int64_t n);

/* Formatted into @out, which is emptied first; returns its text. */
const char *doc_money(const struct doc *d, struct buf *out, int64_t minor);
/* "240 kWh", kept together and in this order on a right-to-left page too. @unit may be "". */
const char *doc_measure(const struct doc *d, struct buf *out, const char *decimal, int places,
                        const char *unit);
/* @decimal "1234.5" with the template's separators; at most @places digits after the point (-1
 * all). */
const char *doc_number(const struct doc *d, struct buf *out, const char *decimal, int places);
/* @date "2026-11-23..." as the template writes days. */
const char *doc_date(const struct doc *d, struct buf *out, const char *date);
