#pragma once

/*
 * Published tariffs of other formats as tariff documents (schema "headrace-tariff-v1", see
 * docs/tariffs.md). Pure: text in, document out. A member that is not known, or that the document
 * cannot express, is an error with its name; nothing is left out silently. Members that only
 * describe (name, source, comments ...) are taken over where there is a place for them.
 *
 * What comes out is a draft: it loads, it has no example bills yet, and it cannot be put in force
 * before a person has added them.
 *
 *   urdb  Utility Rate Database (OpenEI), API versions 3 to 8: one rate, or the first of "items".
 *         Also the flattened form "urdb-like-v1" of bill case files.
 *   owrs  Open Water Rate Specification (YAML): one customer class in one context.
 *   csv   a table of components, one a row; see import_csv.c.
 */

#include <jansson.h>
#include <stddef.h>

#include "rating.h"

enum import_format { IMPORT_URDB, IMPORT_OWRS, IMPORT_CSV };

enum {
        IMPORT_E_DOCUMENT = RATING_E_DOCUMENT, /* the source contradicts itself or its format */
        IMPORT_E_UNSUPPORTED = 100,            /* understood, but no tariff document says this */
};

/* A fact about the customer that the source's prices depend on: "meter_size" = "3/4\"". */
struct import_fact {
        const char *name, *value;
};

struct import_options {
        const char *code;     /* of the tariff; NULL = made from the source's names */
        const char *currency; /* NULL = USD, which both American formats mean */
        const char *class;    /* owrs: customer class; NULL = RESIDENTIAL_SINGLE */
        const struct import_fact *fact;
        size_t n_facts;
};

/* "urdb", "owrs", "csv" -> *@ret; false for anything else. */
bool import_format_named(const char *name, enum import_format *ret);

/* Owned document in *@ret_document (json_decref). @text is @n bytes, borrowed. 0, -ENOMEM,
 * IMPORT_E_DOCUMENT or IMPORT_E_UNSUPPORTED with @err saying what and where. */
int import_tariff(enum import_format format, const char *text, size_t n,
                  const struct import_options *options, json_t **ret_document,
                  struct rating_error *err);

/* The same from a parsed object, as it stands in a bill case. */
int import_urdb(json_t *source, const struct import_options *options, json_t **ret_document,
                struct rating_error *err);
