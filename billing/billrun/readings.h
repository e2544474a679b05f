#pragma once

/*
 * Packed readings of many meters, as they come out of the store: blocks and register days of some
 * weeks, found again by meter. Pure; owns its copies.
 *
 * Filled from the pieces of a COPY ... (format binary) with the columns meter number, day number,
 * bytes. Rows of one meter are kept in the order of their days.
 */

#include "buf.h"

enum readings_kind {
        READINGS_BLOCKS,
        READINGS_REGISTERS,
        READINGS_MESSAGES, /* not kept: a message with a value of the span marks its meter unsealed
                            */
};

struct readings_row {
        uint32_t next; /* row of the same meter and kind; READINGS_NONE */
        int32_t day;   /* UTC day number */
        uint32_t len;
        size_t offset; /* in data */
};

#define READINGS_NONE UINT32_MAX

struct readings_meter {
        int32_t meter_id;
        uint32_t first[2], last[2]; /* rows, by kind; READINGS_NONE */
        bool unsealed;              /* some of its readings are in no block yet */
};

struct readings {
        struct readings_meter *meters; /* owned; by number */
        size_t n_meters, cursor;
        struct buf rows, data;
        int64_t from, to; /* UTC seconds: what messages are looked through for */
};

void readings_init(struct readings *r);
void readings_deinit(struct readings *r);
/* Empties and sets the meters: @n numbers, ascending, each once; and the span [from, to]. 0 or
 * -ENOMEM. */
int readings_begin(struct readings *r, const int32_t *meters, size_t n, int64_t from, int64_t to);
/* One piece of the COPY; rows of other meters are passed over. 0, -ENOMEM, -EBADMSG. */
int readings_take(struct readings *r, enum readings_kind kind, const void *piece, size_t n);
/* NULL: not one of the meters. Borrowed. */
const struct readings_meter *readings_find(const struct readings *r, int32_t meter_id);

static inline const struct readings_row *readings_row(const struct readings *r, uint32_t i)
{
        return i == READINGS_NONE ? NULL
                                  : &((const struct readings_row *)(const void *)r->rows.p)[i];
}
