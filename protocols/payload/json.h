#pragma once

/*
 * A reader of JSON text (RFC 8259) for telemetry: one pass, no tree, no allocation, and numbers as
 * the decimals that stand in the text – a double in between would change 0.1 and everything above
 * 2^53. Pure; borrows the text.
 *
 * The caller walks what it expects and skips what it does not:
 *
 *     jread_begin_object(r)
 *     while (jread_next_member(r, key, sizeof key))
 *             if (!strcmp(key, "v")) jread_decimal(r, &v); else jread_skip(r);
 *
 * The error is sticky: after one, every call does nothing and the loops end. Check r->error once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decimal.h"

enum { JSON_DEPTH_MAX = 16 };

enum json_type {
        JSON_END, /* of the text, or after an error */
        JSON_OBJECT,
        JSON_ARRAY,
        JSON_STRING,
        JSON_NUMBER,
        JSON_TRUE,
        JSON_FALSE,
        JSON_NULL,
};

struct json_reader {
        const char *text; /* borrowed; need not end in NUL */
        size_t n, at;     /* at: offset of the next byte, or of the error */
        unsigned depth;
        bool first;        /* the container just begun has had no member yet */
        const char *error; /* static text; NULL = fine so far */
};

void jread_init(struct json_reader *r, const void *text, size_t n);
/* Type of the value that comes next. */
enum json_type jread_peek(struct json_reader *r);

void jread_begin_object(struct json_reader *r);
/* The next member's name, NUL-terminated; false at the object's end, which it leaves. A name too
 * long for @cap comes cut: it will match nothing. */
bool jread_next_member(struct json_reader *r, char *name, size_t cap);
void jread_begin_array(struct json_reader *r);
/* False at the array's end, which it leaves. */
bool jread_next_element(struct json_reader *r);

/* A string with its escapes resolved, NUL-terminated; cut when too long for @cap. @ret_len (may be
 * NULL): length before it was cut. */
void jread_string(struct json_reader *r, char *out, size_t cap, size_t *ret_len);
/* Exactly the number that stands there; digits beyond 18 places after the point are dropped.
 * Larger than a decimal: error "number too large". */
void jread_decimal(struct json_reader *r, struct decimal *ret);
/* Any value; error when nested deeper than JSON_DEPTH_MAX. */
void jread_skip(struct json_reader *r);
/* Nothing but blanks may follow. */
void jread_finish(struct json_reader *r);
/* Sets an error of the caller's at the present place, unless there is one. */
void jread_fail(struct json_reader *r, const char *error);
