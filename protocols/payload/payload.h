#pragma once

/*
 * Telemetry documents to readings: SenML JSON (RFC 8428) and mapped flat JSON. What a name means
 * is data (struct payload_map, from a device model), not code. Numbers stay decimals from the text
 * to the channel's int64. Pure, no allocation; everything is bounded by the caller's array.
 *
 * SenML: base fields bn bt bu bv (bs bver) and n u t v; records whose value is no number, and names
 * the map does not know, are counted and left out. A time below 2^28 is relative to @now.
 *
 * Flat: one object, or an array of them, each with its own time; members of inner objects are
 * named "outer.inner". A number may also stand in a string; null means absent.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "channel.h"

enum {
        PAYLOAD_MAX_BYTES = 256 * 1024,
        PAYLOAD_MAX_RECORDS = 8192, /* even when the caller's array is larger */
        PAYLOAD_NAME_MAX = 256,
};

/* What the time of an interval value says. */
enum payload_stamp { PAYLOAD_STAMP_START, PAYLOAD_STAMP_END };

enum payload_time_format { PAYLOAD_TIME_RFC3339, PAYLOAD_TIME_UNIX, PAYLOAD_TIME_UNIX_MS };

struct payload_field {
        const char *name; /* SenML: n, or the whole resolved name, or its end after ':' or '/'.
                           * Flat: the member */
        const struct channel *channel;
        const char *unit;     /* when the message names none; NULL = the channel's */
        struct decimal scale; /* value × scale is in the unit; 0 = 1 */
        uint32_t period_s;    /* interval channels: 60 to 86400 */
};

/* All strings borrowed. */
struct payload_map {
        const struct payload_field *fields;
        size_t n_fields;
        enum payload_stamp stamp;
        /* Flat only: */
        const char *time_field; /* NULL: the time of arrival */
        enum payload_time_format time_format;
        const char *period_field;   /* seconds, instead of the field's period; may be NULL */
        const char *identity_field; /* whose message it is; may be NULL */
};

struct payload_record {
        const struct payload_field *field; /* of the map */
        const struct channel *channel;
        int64_t at;        /* UTC seconds: intervals their start, else the instant */
        uint32_t period_s; /* intervals; else 0 */
        int64_t value;     /* in the channel's unit × 10^scaler */
        bool exact;        /* false: rounded to what the channel holds */
};

struct payload_result {
        struct payload_record *records; /* the caller's array */
        size_t max, n;
        /* SenML: the first base name without the ':' or '/' at its end; flat: identity_field. */
        char identity[PAYLOAD_NAME_MAX];
        size_t ignored;                       /* values left out: unknown names, no numbers */
        char first_ignored[PAYLOAD_NAME_MAX]; /* one of their names */
};

enum payload_error {
        PAYLOAD_OK,
        PAYLOAD_E_SYNTAX, /* no JSON */
        PAYLOAD_E_LAYOUT, /* JSON, but not as the map or RFC 8428 say */
        PAYLOAD_E_VALUE,  /* a number, unit or time that cannot be taken */
        PAYLOAD_E_LIMIT,  /* too many bytes or records, nested too deeply */
};

enum { PAYLOAD_ERROR_TEXT = 256 };

/*
 * Decode the whole document or nothing: after an error @ret->n is 0 and @text (PAYLOAD_ERROR_TEXT
 * bytes) says what is wrong and where. @ret->records and max are the caller's; @now is the time of
 * arrival, UTC seconds.
 */
enum payload_error payload_senml_decode(const void *bytes, size_t n, const struct payload_map *map,
                                        int64_t now, struct payload_result *ret, char *text);
enum payload_error payload_flat_decode(const void *bytes, size_t n, const struct payload_map *map,
                                       int64_t now, struct payload_result *ret, char *text);

/* 0, or -EINVAL with what is wrong with the map in @text. */
int payload_map_check(const struct payload_map *map, char *text);

/* Decimal text of a channel's value in the channel's unit: 230100 of voltage.l1 is "230.1". */
void payload_format_value(const struct channel *ch, int64_t value,
                          char out[static DECIMAL_TEXT_SIZE]);
/*
 * Appends a SenML JSON pack of @records under @base_name (which should end in ':' or '/'); names
 * are the field's, or the channel's code; interval times by @stamp. Check b->failed.
 */
void payload_senml_encode(struct buf *b, const char *base_name, enum payload_stamp stamp,
                          const struct payload_record *records, size_t n);
