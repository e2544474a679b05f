#pragma once

/*
 * Readings as the bytes a determinant's hash is taken over. Pure.
 *
 * The same readings give the same bytes, however they are stored at the moment (received, sealed
 * into blocks, read through SQL): values are gathered into the longest runs of equal period,
 * status and source that follow each other without a gap.
 */

#include "buf.h"

/* Appends @n readings in time order:
 *   run     zigzag(start - end of the run before) varint(period) status:u8 source:u8 varint(n)
 *   values  zigzag differences
 * @source NULL = all 0. */
void series_encode(struct buf *out, size_t n, const int64_t *at, const int64_t *value,
                   const uint32_t *period_s, const uint8_t *status, const uint8_t *source);
