#include "gbt.h"

#include <string.h>

void gbt_init(struct gbt *g, uint8_t window, uint8_t *rx, size_t cap)
{
        *g = (struct gbt){ .peer_window = 1, .window = window, .rx = rx, .rx_cap = cap };
}

bool gbt_send(struct gbt *g, const uint8_t *p, size_t n, size_t block_size)
{
        if (block_size == 0 || (n + block_size - 1) / block_size > UINT16_MAX)
                return false;
        g->tx = p;
        g->tx_len = n;
        g->block_size = block_size;
        g->blocks = (uint16_t)((n + block_size - 1) / block_size);
        g->sent = g->acked = 0;
        g->base = g->acks;
        g->turn = true;
        return true;
}

static void put_data(struct gbt *g, struct apdu_block *b)
{
        size_t at = g->sent * g->block_size;

        b->data = g->tx + at;
        b->n = g->tx_len - at < g->block_size ? g->tx_len - at : g->block_size;
        g->sent++;
        b->number = (uint16_t)(g->base + g->sent);
        b->last = g->sent == g->blocks;
        b->streaming = !b->last && g->sent - g->acked < g->peer_window;
}

bool gbt_next(struct gbt *g, struct apdu_block *ret)
{
        struct apdu_block b = { .window = g->window, .ack = g->received };

        if (!g->turn)
                return false;
        if (gbt_sending(g)) {
                put_data(g, &b);
        } else {
                /* Only an acknowledgement: we have nothing (more) to say. */
                b.number = (uint16_t)(g->blocks + ++g->acks);
                b.last = true;
        }
        g->turn = b.streaming;
        *ret = b;
        return true;
}

/* The peer has everything up to @ack; it goes on from there. */
static void take_ack(struct gbt *g, const struct apdu_block *b)
{
        uint16_t n = (uint16_t)(b->ack - g->base);

        if (!gbt_sending(g))
                return;
        if (b->ack > g->base && n > g->acked && n <= g->sent)
                g->acked = n;
        if (!b->streaming)
                g->sent = g->acked;
}

static int take_data(struct gbt *g, const struct apdu_block *b)
{
        bool next = b->number == (uint16_t)(g->received + 1);

        /* Before its first data the peer may have numbered acknowledgements. */
        if (g->received == 0 && g->peer_empty && b->number == (uint16_t)(g->peer_empty + 1)) {
                next = true;
                g->received = g->peer_empty;
        }
        if (!next || g->whole)
                return 0;
        if (b->n > g->rx_cap - g->rx_len)
                return -DLMS_E_TOO_LONG;
        memcpy(g->rx + g->rx_len, b->data, b->n);
        g->rx_len += b->n;
        g->received = b->number;
        g->whole = b->last;
        return 0;
}

int gbt_take(struct gbt *g, const struct apdu_block *b)
{
        if (b->window > 0)
                g->peer_window = b->window;
        take_ack(g, b);
        if (b->n == 0) {
                if (b->number > g->peer_empty)
                        g->peer_empty = b->number;
        } else if (!gbt_sending(g)) {
                /* Before it has all of ours the peer's data answers nothing. */
                int e = take_data(g, b);

                if (e)
                        return e;
        }
        g->turn = !b->streaming;
        if (g->whole)
                return GBT_WHOLE;
        return b->streaming ? GBT_WAIT : GBT_TURN;
}

void gbt_repeat(struct gbt *g)
{
        g->sent = g->acked;
        g->turn = true;
}
