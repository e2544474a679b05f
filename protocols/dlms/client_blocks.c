/* General block transfer in a session: under the services, over the line. */
#include "client_internal.h"

int client_send_gbt(struct dlms_client *c, size_t at, size_t n)
{
        uint8_t *p = c->cfg.scratch + at;
        struct dlms_end end = client_end_for(c, p[0]);
        size_t cap, max;
        uint32_t ic;
        int e = 0;

        channel_tx(&c->channel, &cap);
        max = cap < c->peer_pdu ? cap : c->peer_pdu;
        if (max <= APDU_BLOCK_HEAD_MAX)
                return DLMS_E_TOO_LONG;
        if (client_is_ciphered(c)) {
                if (dlms_seal_size(&end, n) > c->cfg.scratch_size)
                        return DLMS_E_TOO_LONG;
                e = client_take_counter(c, &ic);
                if (!e)
                        e = dlms_seal(&end, ic, p, n, c->cfg.scratch, c->cfg.scratch_size, &n);
                p = c->cfg.scratch;
        }
        if (e)
                return e;
        gbt_init(&c->gbt, c->cfg.gbt_window, c->cfg.scratch, c->cfg.scratch_size);
        if (!gbt_send(&c->gbt, p, n, max - APDU_BLOCK_HEAD_MAX))
                return DLMS_E_TOO_LONG;
        c->gbt_active = true;
        client_pump_blocks(c);
        return 0;
}

void client_pump_blocks(struct dlms_client *c)
{
        struct apdu_block b;
        struct axdr_writer w;

        if (!c->gbt_active || c->channel.out_len > 0 || !gbt_next(&c->gbt, &b))
                return;
        w = client_begin_plain(c);
        apdu_put_block(&w, &b);
        channel_send(&c->channel, w.len);
}

/* The transfer begins with the meter's first block: it goes behind what is joined already. */
static int begin(struct dlms_client *c)
{
        if (!c->cfg.scratch)
                return DLMS_E_TOO_LONG;
        gbt_init(&c->gbt, c->cfg.gbt_window ? c->cfg.gbt_window : 1,
                 c->cfg.scratch + c->scratch_len, c->cfg.scratch_size - c->scratch_len);
        c->gbt_active = true;
        return 0;
}

int client_on_gbt(struct dlms_client *c, const uint8_t *p, size_t n, int64_t now_ms,
                  bool *ret_whole)
{
        struct apdu_block b;
        int e = apdu_block_decode(p, n, &b), step;

        if (!e && !c->gbt_active)
                e = begin(c);
        if (e)
                return e;
        step = gbt_take(&c->gbt, &b);
        if (step < 0)
                return -step;
        if (c->deadline_ms != CORE_NO_DEADLINE) {
                c->deadline_ms = now_ms + c->cfg.timeout_ms;
                c->retries_left = c->cfg.retries;
        }
        if (step == GBT_WHOLE) {
                c->gbt_active = false;
                *ret_whole = true;
        } else if (c->unnumbered) {
                c->gbt.turn = false;
        } else if (step == GBT_TURN) {
                c->round_trips++;
                client_pump_blocks(c);
        } else {
                channel_yield(&c->channel);
        }
        return 0;
}
