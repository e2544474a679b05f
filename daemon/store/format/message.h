#pragma once

/*
 * Payload of one received message: what stands in the spool and in mdm.inbox.payload.
 *
 *   sections, one after the other:
 *     intervals: 0x01 channel:u8 start:varint(minutes since 2000-01-01T00:00Z)
 * period:varint(minutes) n:varint status:u8 zigzag value[0], then zigzag differences registers:
 * 0x02 channel:u8 at:varint(seconds since 2000-01-01T00:00Z) status:u8 zigzag value event:     0x03
 * at:varint(seconds) code:varint len:varint text
 *
 * Values are int64 in the channel's unit × 10^scaler (mdm.channel). Interval start is the start
 * of the first interval; consecutive intervals follow at the period. In an intervals section of a
 * register channel (128 and above: a load profile that captures the register) the times are the
 * instants of the values. Instants that do not come in a series are register sections, whatever
 * their channel. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum reading_status {
        READING_RAW = 0,
        READING_VALID = 1,
        READING_EST_LINEAR = 2,
        READING_EST_LIKEDAY = 3,
        READING_EST_PROFILE = 4,
        READING_EST_SCALAR = 5,
        READING_EDITED = 6,
        READING_CUSTOMER = 7,
        READING_REJECTED = 8,
        READING_CLOCK_DOUBT = 16, /* flag: the meter's clock was off by more than its limit */
};

enum message_section_type { MESSAGE_INTERVALS = 1, MESSAGE_REGISTER = 2, MESSAGE_EVENT = 3 };

#define MESSAGE_EPOCH 946684800LL  /* 2000-01-01T00:00:00Z */
#define MESSAGE_END   7258118400LL /* 2200-01-01T00:00:00Z: no time is at or after it */
/* Values are between -MESSAGE_MAX_VALUE and MESSAGE_MAX_VALUE: differences never overflow. */
#define MESSAGE_MAX_VALUE (INT64_C(1) << 61)
enum { MESSAGE_MAX_INTERVALS = 10000, MESSAGE_MAX_TEXT = 1000 };

struct message_section {
        enum message_section_type type;
        uint8_t channel;
        uint8_t status;
        int64_t at;          /* UTC seconds: interval start, register instant, event time */
        uint32_t period_s;   /* intervals */
        uint32_t n;          /* intervals */
        int64_t value;       /* register value */
        uint32_t code;       /* event */
        const uint8_t *text; /* event; borrowed from the payload */
        size_t text_len;
        struct rd values; /* intervals: take them with message_next_value() */
        int64_t last;     /* intervals: the value taken last */
};

/* Writers append to @b. 0, -ENOMEM (b failed), or -EINVAL and nothing appended: @at outside
 * MESSAGE_EPOCH..MESSAGE_END, channel 0; for intervals also @at no whole minute, @period_s no whole
 * minutes or over one day, @n 0 or over MESSAGE_MAX_INTERVALS; a value beyond MESSAGE_MAX_VALUE; a
 * text over MESSAGE_MAX_TEXT. */
int message_put_intervals(struct buf *b, uint8_t channel, int64_t at, uint32_t period_s,
                          uint8_t status, const int64_t *values, size_t n);
int message_put_register(struct buf *b, uint8_t channel, int64_t at, uint8_t status, int64_t value);
int message_put_event(struct buf *b, int64_t at, uint32_t code, const char *text);

/* Next section of a payload: 1, 0 at its end, -EBADMSG for damage (also times out of range). */
int message_next(struct rd *payload, struct message_section *ret);
/* The next of an intervals section's n values; 0 beyond the last. */
int64_t message_next_value(struct message_section *s);
/* Checks a whole payload: 0 or -EBADMSG. */
int message_check(const void *payload, size_t n);
