#pragma once

/*
 * A-XDR data (IEC 61334-6 as used by COSEM, Green Book 9.5 "Data"). Pure, no heap.
 *
 * The reader hands out one value at a time, borrowed from the input; an array or structure gives
 * its count and its elements follow as further values. The writer fills a buffer it was lent. Both
 * have a sticky error: read or write a whole thing, look once at the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "obis.h"

enum axdr_tag {
        AXDR_NULL = 0,
        AXDR_ARRAY = 1,
        AXDR_STRUCTURE = 2,
        AXDR_BOOLEAN = 3,
        AXDR_BIT_STRING = 4,
        AXDR_INT32 = 5,
        AXDR_UINT32 = 6,
        AXDR_OCTET_STRING = 9,
        AXDR_VISIBLE_STRING = 10,
        AXDR_UTF8_STRING = 12,
        AXDR_BCD = 13,
        AXDR_INT8 = 15,
        AXDR_INT16 = 16,
        AXDR_UINT8 = 17,
        AXDR_UINT16 = 18,
        AXDR_COMPACT_ARRAY = 19,
        AXDR_INT64 = 20,
        AXDR_UINT64 = 21,
        AXDR_ENUM = 22,
        AXDR_FLOAT32 = 23,
        AXDR_FLOAT64 = 24,
        AXDR_DATE_TIME = 25,
        AXDR_DATE = 26,
        AXDR_TIME = 27,
        AXDR_DELTA_INT8 = 28,
        AXDR_DELTA_INT16 = 29,
        AXDR_DELTA_INT32 = 30,
        AXDR_DELTA_UINT8 = 31,
        AXDR_DELTA_UINT16 = 32,
        AXDR_DELTA_UINT32 = 33,
        AXDR_DONT_CARE = 255,
};

enum { AXDR_DEPTH_MAX = 16 };

struct axdr_value {
        uint8_t tag;
        /* Numbers, boolean, enum: in i (uint64 above INT64_MAX: u). Floats: f. */
        union {
                int64_t i;
                uint64_t u;
                double f;
        };
        const uint8_t *p;    /* borrowed: strings, bit-string, date-times; compact-array: contents;
                                NULL for all others */
        size_t n;            /* bytes; bit-string: bits; array and structure: elements */
        const uint8_t *type; /* compact-array: type description */
        size_t type_n;
};

struct axdr_reader {
        const uint8_t *p, *end; /* borrowed */
        int error;              /* 0 or enum dlms_error, sticky */
};

void axdr_reader_init(struct axdr_reader *r, const void *p, size_t n);
/* The next value; false at the error (or the end: then error is DLMS_E_TRUNCATED). The elements of
 * an array or structure are the values that follow. A count that cannot fit what is left of the
 * input is refused, so that loops over it are bounded by the input. */
bool axdr_next(struct axdr_reader *r, struct axdr_value *ret);
/* The next value must have this tag. */
bool axdr_expect(struct axdr_reader *r, uint8_t tag, struct axdr_value *ret);
/* Steps over one whole value with everything in it; at most AXDR_DEPTH_MAX deep. */
bool axdr_skip(struct axdr_reader *r);
/* Length code (1 byte, or 81/82/83/84 and 1-4 bytes). */
bool axdr_length(struct axdr_reader *r, size_t *ret);
static inline size_t axdr_left(const struct axdr_reader *r)
{
        return r->error ? 0 : (size_t)(r->end - r->p);
}
/* Whether the value is a whole number, and it in *@ret. */
bool axdr_is_integer(const struct axdr_value *v, int64_t *ret);
/* One whole value, nothing behind it: 0 or the error. */
int axdr_check(const void *p, size_t n);

struct axdr_writer {
        uint8_t *p; /* borrowed */
        size_t len, cap;
        bool failed; /* did not fit */
};

static inline struct axdr_writer axdr_writer_of(void *p, size_t cap)
{
        return (struct axdr_writer){ .p = (uint8_t *)p, .cap = cap };
}

void axdr_put_raw(struct axdr_writer *w, const void *p, size_t n);
void axdr_put_byte(struct axdr_writer *w, uint8_t v);
void axdr_put_length(struct axdr_writer *w, size_t n);
/* Untagged, for APDU fields. */
void axdr_put_be16(struct axdr_writer *w, uint16_t v);
void axdr_put_be32(struct axdr_writer *w, uint32_t v);

/* Tagged values. array and structure: @n elements must follow. */
void axdr_put_null(struct axdr_writer *w);
void axdr_put_array(struct axdr_writer *w, size_t n);
void axdr_put_structure(struct axdr_writer *w, size_t n);
void axdr_put_bool(struct axdr_writer *w, bool v);
void axdr_put_enum(struct axdr_writer *w, uint8_t v);
void axdr_put_int8(struct axdr_writer *w, int8_t v);
void axdr_put_uint8(struct axdr_writer *w, uint8_t v);
void axdr_put_int16(struct axdr_writer *w, int16_t v);
void axdr_put_uint16(struct axdr_writer *w, uint16_t v);
void axdr_put_int32(struct axdr_writer *w, int32_t v);
void axdr_put_uint32(struct axdr_writer *w, uint32_t v);
void axdr_put_int64(struct axdr_writer *w, int64_t v);
void axdr_put_uint64(struct axdr_writer *w, uint64_t v);
void axdr_put_octets(struct axdr_writer *w, const void *p, size_t n);
void axdr_put_visible(struct axdr_writer *w, const char *s);
void axdr_put_utf8(struct axdr_writer *w, const void *p, size_t n);
void axdr_put_float32(struct axdr_writer *w, float v);
void axdr_put_float64(struct axdr_writer *w, double v);
/* @n bits, the first one the most significant of the first byte; bits behind them as they are. */
void axdr_put_bits(struct axdr_writer *w, const uint8_t *p, size_t n);
/* DATE_TIME (12 bytes), DATE (5) and TIME (4) under their own tags; @tag says which. */
void axdr_put_time(struct axdr_writer *w, uint8_t tag, const uint8_t *p);
/* A compact-array of a type description (tag; array: tag, count in 2 bytes, type; structure: tag,
 * count, types) and its contents, without tags. */
void axdr_put_compact(struct axdr_writer *w, const uint8_t *type, size_t type_n, const uint8_t *p,
                      size_t n);
/* Any value as it was read; of an array or structure its head, elements must follow. */
void axdr_put_value(struct axdr_writer *w, const struct axdr_value *v);
void axdr_put_obis(struct axdr_writer *w, const struct obis *o);
/* structure { scaler int8, unit enum }, attribute 3 of a register. */
void axdr_put_scaler_unit(struct axdr_writer *w, int8_t scaler, uint8_t unit);

/* Writes a compact-array as the ordinary array it stands for, so that only one form has to be
 * understood behind it. 0 or an error; DLMS_E_TOO_LONG when it does not fit. */
int axdr_expand_compact(const struct axdr_value *compact, struct axdr_writer *w);
