#pragma once

/* What the SenML and the flat decoder share. Internal to protocols/payload. */

#include <stdarg.h>

#include "json.h"
#include "payload.h"

struct payload_decode {
        struct json_reader json;
        const struct payload_map *map;
        struct payload_result *ret;
        int64_t now;
        char *text; /* error text, PAYLOAD_ERROR_TEXT bytes */
        enum payload_error error;
        size_t record; /* number of the one in work, from 1 */
};

enum payload_error payload_begin(struct payload_decode *d, const void *bytes, size_t n,
                                 const struct payload_map *map, int64_t now,
                                 struct payload_result *ret, char *text);
/* Turns a reader's error into this one's, empties the result on errors. */
enum payload_error payload_end(struct payload_decode *d);
/* Sets the first error, prefixed with the record. */
void payload_fail(struct payload_decode *d, enum payload_error error, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
bool payload_failed(const struct payload_decode *d);

void payload_ignore(struct payload_decode *d, const char *name);
/* Whole seconds of a time, rounded down; *@ret untouched when it is beyond all calendars. */
void payload_seconds(struct decimal time, int64_t *ret);
/* Appends a value as a record at @time; @unit NULL = the field's; @period_s 0 = the field's. */
void payload_add(struct payload_decode *d, const struct payload_field *f, int64_t time,
                 struct decimal value, const char *unit, uint32_t period_s);
