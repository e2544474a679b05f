#pragma once

/*
 * General block transfer (Green Book 9.3.13, 9.4.6.13): any APDU, ciphered or not, in numbered
 * blocks, a window of them in a row; the receiver acknowledges the last one that came in order and
 * the sender goes on, or back, from there. One struct serves both directions and both ends. Pure:
 * blocks in, blocks out; buffers are lent.
 *
 *     gbt_send()              an APDU to send
 *     gbt_next()              blocks to put on the line, until false
 *     gbt_take()              a block that came: WAIT, TURN (ask gbt_next()), or WHOLE
 *     gbt_repeat()            nothing came: say again where we are
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apdu.h"

enum { GBT_WINDOW_MAX = 63 };

enum gbt_step {
        GBT_WAIT,  /* more blocks are to come */
        GBT_TURN,  /* it is our turn: gbt_next() */
        GBT_WHOLE, /* the APDU is in rx, rx_len bytes */
};

struct gbt {
        /* Sending. */
        const uint8_t *tx; /* borrowed until all is acknowledged; NULL = nothing to send */
        size_t tx_len, block_size;
        uint16_t sent, acked, blocks; /* sent, acknowledged, how many there are */
        uint16_t base;                /* number before the first of them */
        uint16_t acks; /* acknowledgements without data sent; they are numbered too */
        bool turn;
        uint8_t peer_window; /* blocks the peer takes in a row */
        /* Receiving. */
        uint8_t *rx; /* lent */
        size_t rx_cap, rx_len;
        uint16_t received;   /* last in order */
        uint16_t peer_empty; /* highest number of a block without data */
        uint8_t window;      /* ours */
        bool whole;
};

/* @window blocks in a row are taken into @rx (@cap bytes). Nothing is sent yet. */
void gbt_init(struct gbt *g, uint8_t window, uint8_t *rx, size_t cap);
/* Sends @p (@n bytes, borrowed) in blocks of @block_size data bytes. False: more than 65535. */
bool gbt_send(struct gbt *g, const uint8_t *p, size_t n, size_t block_size);
/* Whether something is left that the peer has not acknowledged. */
static inline bool gbt_sending(const struct gbt *g)
{
        return g->tx && g->acked < g->blocks;
}
/* The next block to send now; false when the turn is the peer's. */
bool gbt_next(struct gbt *g, struct apdu_block *ret);
/* A block of the peer. enum gbt_step, or -DLMS_E_TOO_LONG when it does not fit. */
int gbt_take(struct gbt *g, const struct apdu_block *b);
/* After silence: what was not acknowledged again, or the last acknowledgement. */
void gbt_repeat(struct gbt *g);
