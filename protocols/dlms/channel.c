#include "channel.h"

#include <string.h>

enum { LLC_SIZE = 3 };

static const uint8_t llc_command[LLC_SIZE] = { 0xE6, 0xE6, 0x00 };
static const uint8_t llc_response[LLC_SIZE] = { 0xE6, 0xE7, 0x00 };

/* ---- wrapper ---- */

void wrapper_write(uint8_t out[static WRAPPER_HEADER_SIZE], uint16_t src, uint16_t dst,
                   uint16_t length)
{
        const uint16_t v[4] = { 1, src, dst, length };

        for (int i = 0; i < 4; i++) {
                out[2 * i] = (uint8_t)(v[i] >> 8);
                out[2 * i + 1] = (uint8_t)v[i];
        }
}

int wrapper_read(const uint8_t p[static WRAPPER_HEADER_SIZE], uint16_t *ret_src, uint16_t *ret_dst,
                 uint16_t *ret_length)
{
        if (p[0] != 0 || p[1] != 1)
                return DLMS_E_WRAPPER_VERSION;
        *ret_src = (uint16_t)(p[2] << 8 | p[3]);
        *ret_dst = (uint16_t)(p[4] << 8 | p[5]);
        *ret_length = (uint16_t)(p[6] << 8 | p[7]);
        return 0;
}

static enum channel_event fail(struct dlms_channel *c, enum dlms_error error)
{
        c->error = error;
        return CHANNEL_ERROR;
}

/* Whether a logical device of this address is behind the link. */
static bool is_device(const struct dlms_channel *c, uint16_t sap)
{
        bool known = sap == c->server_sap;

        for (size_t i = 0; c->server && i < c->n_saps; i++)
                known |= sap == c->saps[i];
        return known;
}

static enum channel_event take_header(struct dlms_channel *c)
{
        uint16_t src, dst, length;
        int e = wrapper_read(c->frame, &src, &dst, &length);

        if (e)
                return fail(c, (enum dlms_error)e);
        if (c->server) {
                if (!is_device(c, dst))
                        return fail(c, DLMS_E_WRAPPER_ADDRESS);
                c->server_sap = dst;
                c->client_sap = src;
        } else if (src != c->server_sap || dst != c->client_sap) {
                return fail(c, DLMS_E_WRAPPER_ADDRESS);
        }
        if (length > c->apdu_cap)
                return fail(c, DLMS_E_TOO_LONG);
        if (length == 0)
                return fail(c, DLMS_E_TRUNCATED);
        c->apdu_want = length;
        return CHANNEL_NOTHING;
}

static size_t wrapper_recv(struct dlms_channel *c, const uint8_t *in, size_t n,
                           enum channel_event *ret)
{
        size_t taken = 0, part;

        if (c->frame_len < WRAPPER_HEADER_SIZE) {
                part = WRAPPER_HEADER_SIZE - c->frame_len;
                part = part < n ? part : n;
                memcpy(c->frame + c->frame_len, in, part);
                c->frame_len += part;
                taken = part;
                if (c->frame_len < WRAPPER_HEADER_SIZE)
                        return taken;
                *ret = take_header(c);
                if (*ret != CHANNEL_NOTHING)
                        return taken;
        }
        part = c->apdu_want - c->apdu_len;
        part = part < n - taken ? part : n - taken;
        memcpy(c->apdu + c->apdu_len, in + taken, part);
        c->apdu_len += part;
        taken += part;
        if (c->apdu_len == c->apdu_want) {
                c->frame_len = 0;
                c->whole = true;
                *ret = CHANNEL_APDU;
        }
        return taken;
}

/* ---- HDLC, sending ---- */

static void put_frame(struct dlms_channel *c, uint8_t control, bool segmented, const uint8_t *info,
                      size_t info_len)
{
        struct hdlc_frame f = {
                .control = control, .segmented = segmented, .info = info, .info_len = info_len
        };
        uint32_t client = hdlc_address(c->client_sap, 0, 1);
        uint32_t server = hdlc_address(c->server_sap, c->physical, c->server_size);

        f.dst = c->server ? client : server;
        f.src = c->server ? server : client;
        f.dst_size = c->server ? 1 : c->server_size;
        f.src_size = c->server ? c->server_size : 1;
        c->out_len += hdlc_frame_write(&f, c->out + c->out_len, c->out_cap - c->out_len);
}

static void put_rr(struct dlms_channel *c)
{
        put_frame(c, (uint8_t)(c->vr << 5 | HDLC_POLL_FINAL | HDLC_RR), false, NULL, 0);
}

void channel_yield(struct dlms_channel *c)
{
        if (c->framing == DLMS_FRAMING_HDLC && c->connected)
                put_rr(c);
}

static void put_dm(struct dlms_channel *c)
{
        put_frame(c, HDLC_DM | HDLC_POLL_FINAL, false, NULL, 0);
}

/* Frame reject: the control field refused, where we are, and why (ISO/IEC 13239 5.5.3.4.2). */
static void put_frmr(struct dlms_channel *c, uint8_t control, uint8_t why)
{
        uint8_t info[3] = { control, (uint8_t)(c->vr << 5 | c->vs << 1), why };

        put_frame(c, HDLC_FRMR | HDLC_POLL_FINAL, false, info, sizeof info);
}

/* Sends segments from the first not sent yet, as many as window and buffer take; the last one of
 * the burst hands the turn to the peer. */
static void put_burst(struct dlms_channel *c)
{
        unsigned open = (c->vs - c->va) & 7, window = c->params.window_tx;
        size_t info = c->params.info_tx;
        size_t at = c->tx_acked + open * info;

        while (at < c->tx_len && open < window) {
                size_t part = c->tx_len - at < info ? c->tx_len - at : info;
                bool more = at + part < c->tx_len;
                bool last = !more || open + 1 == window ||
                            c->out_cap - c->out_len < 2 * (info + HDLC_OVERHEAD);
                uint8_t control = (uint8_t)(c->vr << 5 | c->vs << 1);

                if (last)
                        control |= HDLC_POLL_FINAL;
                put_frame(c, control, more, c->tx + at, part);
                c->vs = (c->vs + 1) & 7;
                open++;
                at += part;
                if (last)
                        break;
        }
}

uint8_t *channel_tx(struct dlms_channel *c, size_t *ret_cap)
{
        if (c->framing == DLMS_FRAMING_WRAPPER) {
                *ret_cap = c->out_cap - WRAPPER_HEADER_SIZE;
                return c->out + WRAPPER_HEADER_SIZE;
        }
        *ret_cap = c->tx_cap - LLC_SIZE;
        return c->tx + LLC_SIZE;
}

void channel_send(struct dlms_channel *c, size_t n)
{
        if (c->framing == DLMS_FRAMING_WRAPPER) {
                wrapper_write(c->out, c->server ? c->server_sap : c->client_sap,
                              c->server ? c->client_sap : c->server_sap, (uint16_t)n);
                c->out_len = WRAPPER_HEADER_SIZE + n;
                c->out_done = 0;
                return;
        }
        memcpy(c->tx, c->server ? llc_response : llc_command, LLC_SIZE);
        c->tx_len = LLC_SIZE + n;
        c->tx_acked = 0;
        c->va = c->vs;
        put_burst(c);
}

void channel_connect(struct dlms_channel *c)
{
        uint8_t info[32];

        c->connected = false;
        c->frame_len = 0; /* a damaged length must not swallow the answer to a repetition */
        put_frame(c, HDLC_SNRM | HDLC_POLL_FINAL, false, info,
                  hdlc_params_write(&c->proposed, info));
}

void channel_disconnect(struct dlms_channel *c)
{
        put_frame(c, HDLC_DISC | HDLC_POLL_FINAL, false, NULL, 0);
}

bool channel_repeat(struct dlms_channel *c)
{
        if (c->framing != DLMS_FRAMING_HDLC)
                return false;
        c->frame_len = 0;
        if (c->va != c->vs && !c->peer_busy) {
                c->vs = c->va;
                put_burst(c);
        } else {
                put_rr(c);
        }
        return true;
}

/* ---- HDLC, receiving ---- */

/* The peer expects @nr next: what lies before is acknowledged. False when @nr makes no sense. */
static bool acknowledge(struct dlms_channel *c, uint8_t nr)
{
        unsigned open = (c->vs - c->va) & 7, n = (nr - c->va) & 7;

        if (n > open)
                return false;
        c->tx_acked += n * c->params.info_tx;
        if (c->tx_acked > c->tx_len)
                c->tx_acked = c->tx_len;
        c->va = nr;
        return true;
}

static void restart(struct dlms_channel *c)
{
        c->vs = c->va = c->vr = 0;
        c->apdu_len = c->tx_len = c->tx_acked = 0;
        c->peer_busy = c->unnumbered = false;
        c->connected = true;
}

static uint16_t least(uint16_t a, uint16_t b)
{
        return a < b ? a : b;
}

/* SNRM and UA carry what their sender can do; missing means the standard's defaults. */
static int negotiate(struct dlms_channel *c, const struct hdlc_frame *f)
{
        struct hdlc_params peer = { HDLC_INFO_DEFAULT, HDLC_INFO_DEFAULT, 1, 1 };

        if (hdlc_params_read(f->info, f->info_len, &peer))
                return DLMS_E_HDLC_FORMAT;
        /* From what was proposed, not from what an earlier connection got. */
        c->params.info_tx = least(c->proposed.info_tx, peer.info_rx);
        c->params.info_rx = least(c->proposed.info_rx, peer.info_tx);
        c->params.window_tx = (uint8_t)least(c->proposed.window_tx, peer.window_rx);
        c->params.window_rx = (uint8_t)least(c->proposed.window_rx, peer.window_tx);
        return 0;
}

static bool is_mine(struct dlms_channel *c, const struct hdlc_frame *f)
{
        uint32_t server = c->server ? f->dst : f->src;
        uint8_t size = c->server ? f->dst_size : f->src_size;
        uint16_t client, upper, lower;

        hdlc_address_split(c->server ? f->src : f->dst, c->server ? f->src_size : f->dst_size,
                           &client, &lower);
        hdlc_address_split(server, size, &upper, &lower);
        /* Another device behind the same link is called by an SNRM of its own. */
        if (upper != c->server_sap &&
            ((f->control & ~HDLC_POLL_FINAL) != HDLC_SNRM || !is_device(c, upper)))
                return false;
        if (!c->server)
                return client == c->client_sap && (size == 1 || lower == c->physical);
        if (c->connected && (f->control & ~HDLC_POLL_FINAL) != HDLC_SNRM)
                return client == c->client_sap;
        return size == 1 || c->physical == 0 || lower == c->physical;
}

/* A client opens the link: from now on answers go where it came from. */
static enum channel_event on_snrm(struct dlms_channel *c, const struct hdlc_frame *f)
{
        uint8_t info[32];
        uint16_t unused;

        if (negotiate(c, f)) {
                c->error = DLMS_E_HDLC_FORMAT;
                return CHANNEL_NOTHING;
        }
        hdlc_address_split(f->src, f->src_size, &c->client_sap, &unused);
        hdlc_address_split(f->dst, f->dst_size, &c->server_sap, &c->physical);
        c->server_size = f->dst_size;
        restart(c);
        put_frame(c, HDLC_UA | HDLC_POLL_FINAL, false, info, hdlc_params_write(&c->params, info));
        return CHANNEL_CONNECTED;
}

/* Why a frame is rejected: the control field is unknown, or N(R) makes no sense. */
enum { FRMR_CONTROL = 0x01, FRMR_NUMBER = 0x08 };

/* A push in UI frames. The LLC header is on the first one of a series only; a meter that pushes
 * general blocks, each in a frame of its own, leaves it out from the second one on. */
static enum channel_event on_unnumbered_information(struct dlms_channel *c,
                                                    const struct hdlc_frame *f)
{
        const uint8_t *p = f->info;
        size_t n = f->info_len;

        if (c->apdu_len > 0 && !c->unnumbered)
                return CHANNEL_NOTHING; /* in the middle of an answer */
        if (c->apdu_len == 0 && n > LLC_SIZE && p[0] == llc_response[0] &&
            (p[1] == llc_response[1] || p[1] == llc_command[1]) && p[2] == 0) {
                p += LLC_SIZE;
                n -= LLC_SIZE;
        }
        if (n == 0 || n > c->apdu_cap - c->apdu_len) {
                c->apdu_len = 0;
                c->unnumbered = false;
                return CHANNEL_NOTHING;
        }
        memcpy(c->apdu + c->apdu_len, p, n);
        c->apdu_len += n;
        c->unnumbered = f->segmented;
        if (f->segmented)
                return CHANNEL_NOTHING;
        c->whole = true;
        return CHANNEL_NOTIFICATION;
}

static enum channel_event on_unnumbered(struct dlms_channel *c, const struct hdlc_frame *f)
{
        switch (f->control & ~HDLC_POLL_FINAL) {
        case HDLC_SNRM:
                return c->server ? on_snrm(c, f) : CHANNEL_NOTHING;
        case HDLC_DISC:
                if (!c->server)
                        return CHANNEL_NOTHING;
                if (c->connected)
                        put_frame(c, HDLC_UA | HDLC_POLL_FINAL, false, NULL, 0);
                else
                        put_dm(c);
                c->connected = false;
                return CHANNEL_DISCONNECTED;
        case HDLC_UA:
                if (c->server)
                        return CHANNEL_NOTHING;
                if (c->connected) /* to DISC, or a second one to a repeated SNRM */
                        return CHANNEL_CONNECTED;
                if (negotiate(c, f))
                        return fail(c, DLMS_E_HDLC_FORMAT);
                restart(c);
                return CHANNEL_CONNECTED;
        case HDLC_DM:
                return c->server ? CHANNEL_NOTHING : CHANNEL_DISCONNECTED;
        case HDLC_FRMR:
                return CHANNEL_REJECTED;
        case HDLC_UI:
                return c->server ? CHANNEL_NOTHING : on_unnumbered_information(c, f);
        default:
                if (c->server && c->connected && f->control & HDLC_POLL_FINAL)
                        put_frmr(c, f->control, FRMR_CONTROL);
                return CHANNEL_NOTHING;
        }
}

static enum channel_event on_supervisory(struct dlms_channel *c, const struct hdlc_frame *f)
{
        bool turn = f->control & HDLC_POLL_FINAL;

        if (!c->connected) {
                if (c->server && turn)
                        put_dm(c);
                return CHANNEL_NOTHING;
        }
        if (!acknowledge(c, f->control >> 5)) {
                if (c->server && turn)
                        put_frmr(c, f->control, FRMR_NUMBER);
                return CHANNEL_NOTHING;
        }
        c->peer_busy = (f->control & 0x0F) == HDLC_RNR;
        if (!turn)
                return CHANNEL_NOTHING;
        if (c->peer_busy) {
                if (c->server)
                        put_rr(c);
                return CHANNEL_NOTHING;
        }
        /* RR or REJ, the turn is ours: repeat what the peer lacks, else go on. */
        c->vs = c->va;
        if (c->tx_acked == c->tx_len)
                return CHANNEL_POLL;
        put_burst(c);
        return CHANNEL_NOTHING;
}

static enum channel_event append(struct dlms_channel *c, const struct hdlc_frame *f)
{
        const uint8_t *p = f->info;
        size_t n = f->info_len;

        if (c->apdu_len == 0) {
                const uint8_t *llc = c->server ? llc_command : llc_response;

                if (n <= LLC_SIZE || memcmp(p, llc, LLC_SIZE) != 0)
                        return fail(c, DLMS_E_HDLC_LLC);
                p += LLC_SIZE;
                n -= LLC_SIZE;
        }
        if (n > c->apdu_cap - c->apdu_len)
                return fail(c, DLMS_E_TOO_LONG);
        if (n > 0)
                memcpy(c->apdu + c->apdu_len, p, n);
        c->apdu_len += n;
        return CHANNEL_NOTHING;
}

static enum channel_event on_information(struct dlms_channel *c, const struct hdlc_frame *f)
{
        uint8_t ns = f->control >> 1 & 7;
        bool turn = f->control & HDLC_POLL_FINAL;
        enum channel_event e;

        if (!c->connected) {
                if (c->server)
                        put_dm(c);
                return CHANNEL_NOTHING;
        }
        if (ns != c->vr) {
                c->error = DLMS_E_HDLC_SEQUENCE;
                if (!turn)
                        return CHANNEL_NOTHING;
                /* Repeated request: our answer was lost. Else: ask for what is missing. */
                if (c->server && ns == ((c->vr - 1) & 7) && c->va != c->vs) {
                        c->vs = c->va;
                        put_burst(c);
                } else {
                        put_rr(c);
                }
                return CHANNEL_NOTHING;
        }
        acknowledge(c, f->control >> 5);
        c->peer_busy = false;
        c->vr = (c->vr + 1) & 7;
        if (c->unnumbered) { /* a push that broke off */
                c->unnumbered = false;
                c->apdu_len = 0;
        }
        e = append(c, f);
        if (e != CHANNEL_NOTHING)
                return e;
        if (!f->segmented) {
                c->whole = true;
                return CHANNEL_APDU;
        }
        if (turn)
                put_rr(c);
        return CHANNEL_NOTHING;
}

static enum channel_event on_frame(struct dlms_channel *c)
{
        struct hdlc_frame f;
        int e = hdlc_frame_parse(c->frame, c->frame_len, &f);

        c->frame_len = 1;
        if (e) {
                c->error = (enum dlms_error)e;
                return CHANNEL_NOTHING;
        }
        if (!is_mine(c, &f)) {
                c->error = DLMS_E_HDLC_ADDRESS;
                return CHANNEL_NOTHING;
        }
        if ((f.control & 1) == 0)
                return on_information(c, &f);
        if ((f.control & 3) == 1)
                return on_supervisory(c, &f);
        return on_unnumbered(c, &f);
}

static size_t hdlc_recv(struct dlms_channel *c, const uint8_t *in, size_t n,
                        enum channel_event *ret)
{
        size_t taken = 0;
        bool whole;

        while (taken < n && *ret == CHANNEL_NOTHING && c->out_len == 0) {
                taken += hdlc_collect(c->frame, &c->frame_len, in + taken, n - taken, &whole);
                if (whole)
                        *ret = on_frame(c);
        }
        return taken;
}

size_t channel_recv(struct dlms_channel *c, const uint8_t *in, size_t n, enum channel_event *ret)
{
        *ret = CHANNEL_NOTHING;
        if (n == 0 || c->out_len > 0)
                return 0;
        if (c->whole) {
                c->whole = false;
                c->apdu_len = 0;
        }
        if (c->framing == DLMS_FRAMING_WRAPPER)
                return wrapper_recv(c, in, n, ret);
        return hdlc_recv(c, in, n, ret);
}

size_t channel_output(struct dlms_channel *c, const uint8_t **ret)
{
        *ret = c->out + c->out_done;
        return c->out_len - c->out_done;
}

void channel_output_done(struct dlms_channel *c, size_t n)
{
        size_t left = c->out_len - c->out_done;

        c->out_done += n < left ? n : left;
        if (c->out_done == c->out_len)
                c->out_done = c->out_len = 0;
}
