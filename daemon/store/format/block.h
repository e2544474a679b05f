#pragma once

/*
 * Packed readings of one meter and UTC day. Pure.
 *
 *   block     version:u8 (1), segments ordered by channel and time
 *   segment   channel:u8 length:varint (of what follows)
 *             first:varint (minutes after 00:00Z) period:varint (minutes) runs:varint
 *             runs × { n:varint status:u8 source:u8 }     status 255: n values are missing
 *             zigzag value[0], then zigzag differences, over the values that are there
 *   register  version:u8 (1), readings ordered by channel and time:
 *             channel:u8 second:varint (after 00:00Z) status:u8 source:u8 zigzag value
 *
 * The SQL functions mdm.block_values and mdm.register_values read the same bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

struct block_value {
        int64_t at; /* UTC seconds: start of the interval, or instant */
        int64_t value;
        uint32_t period_s; /* 0: a single instant, kept in the register_day */
        uint8_t channel, status, source;
};

struct block_counts {
        uint32_t expected, measured, estimated; /* intervals of the channels that are there */
        bool overlap;                           /* an interval begins inside the one before it */
};

enum { BLOCK_GAP = 255, BLOCK_DAY = 86400 };

/* What a status is worth: 3 edited, 2 measured, 1 estimated, 0 rejected. */
int block_rank(uint8_t status);
/* Whether @fresh, which came later, stands for the instant instead of @had. Edited before measured
 * before estimated, then the later one. A rejection replaces all but an edit, and is replaced by an
 * estimate, an edit or another measured value. What says the same again changes nothing. */
bool block_prefers(const struct block_value *had, const struct block_value *fresh);

/* Packs intervals of UTC day number @day, ordered by channel and time, one per instant. Appends to
 * @out. 0, -EINVAL (order, time, period), -ENOMEM. @ret may be NULL. */
int block_pack(int64_t day, const struct block_value *v, size_t n, struct buf *out,
               struct block_counts *ret);
/* The same for single instants. */
int block_pack_registers(int64_t day, const struct block_value *v, size_t n, struct buf *out);

/* One channel's series of a block, values still packed. */
struct block_series {
        uint8_t channel;
        uint32_t period_s;
        int64_t at;     /* of the next run */
        int64_t end;    /* of the day */
        uint32_t runs;  /* left */
        int64_t last;   /* value decoded last */
        struct rd head; /* runs not yet taken */
        struct rd values;
};

struct block_run {
        int64_t at;
        uint32_t n;
        uint8_t status, source;
};

/* Opens a block: @r is then read by block_next(). False: no block of a known version. */
bool block_open(struct rd *r, const void *data, size_t n);
/* Next series: 1, 0 at the end, -EBADMSG. */
int block_next(struct rd *r, int64_t day, struct block_series *ret);
/* Next run of values that are there (gaps are passed over): 1, 0, -EBADMSG. Take its values with
 * block_values() before the next run. */
int block_next_run(struct block_series *s, struct block_run *ret);
/* Decodes the @n values of the run just taken. False: damaged. */
bool block_values(struct block_series *s, uint32_t n, int64_t *ret);

/* Everything, one call per value. 0 or -EBADMSG (what came before it was delivered). */
typedef void block_each(void *arg, const struct block_value *v);
int block_unpack(int64_t day, const void *data, size_t n, block_each *each, void *arg);
int block_unpack_registers(int64_t day, const void *data, size_t n, block_each *each, void *arg);
