#include "server_internal.h"

#include <string.h>

#include "acse.h"
#include "envelope.h"

enum { INTER_OCTET_MS = 1000, IDLE_DEFAULT_MS = 120000 };

static void finish(struct dlms_server *s, enum dlms_error error)
{
        s->state = DLMS_SERVER_CLOSED;
        s->error = error;
        s->deadline_ms = CORE_NO_DEADLINE;
}

static void touch(struct dlms_server *s, int64_t now_ms)
{
        s->deadline_ms = now_ms + (s->cfg->idle_ms ? s->cfg->idle_ms : IDLE_DEFAULT_MS);
}

static bool settings_good(const struct dlms_server_config *cfg)
{
        struct dlms_hls hls = {
                .auth = cfg->auth,
                .crypto = cfg->crypto,
                .keys = &cfg->keys,
                .secret = cfg->secret,
                .secret_len = cfg->secret_len,
                .transform = cfg->transform,
        };

        if (!cfg->objects || !cfg->objects->get || cfg->keys.suite > 2 || cfg->window > 7)
                return false;
        if (!dlms_hls_usable(&hls) || (cfg->auth == DLMS_AUTH_LLS && cfg->secret_len == 0))
                return false;
        if (cfg->max_pdu > DLMS_SERVER_PDU_MAX ||
            cfg->policy & ~DLMS_POLICY_AUTHENTICATED_ENCRYPTED)
                return false;
        return cfg->policy == DLMS_POLICY_NONE ||
               (cfg->crypto && cfg->keys.has_ek && cfg->keys.has_ak);
}

int dlms_server_init(struct dlms_server *s, const struct dlms_server_config *config,
                     struct dlms_server_counters *counters, void *meter, uint8_t *scratch,
                     size_t scratch_size, const uint8_t challenge[static 16], int64_t now_ms)
{
        struct dlms_channel *ch = &s->channel;
        uint16_t info = config->max_info ? config->max_info : HDLC_INFO_DEFAULT;

        if (!settings_good(config) || !counters || !scratch || scratch_size < 16)
                return DLMS_E_ARGUMENT;
        memset(s, 0, offsetof(struct dlms_server, channel));
        memset(ch, 0, offsetof(struct dlms_channel, frame));
        s->cfg = config;
        s->counters = counters;
        s->meter = meter;
        s->scratch = scratch;
        s->scratch_size = scratch_size;
        s->keys = config->keys;
        s->stoc_len = 16;
        memcpy(s->stoc, challenge, 16);
        s->peer_pdu = UINT16_MAX;
        s->state = config->framing == DLMS_FRAMING_HDLC ? DLMS_SERVER_LISTENING
                                                        : DLMS_SERVER_CONNECTED;
        if (info > HDLC_INFO_MAX)
                info = HDLC_INFO_MAX;
        ch->framing = config->framing;
        ch->server = true;
        ch->server_sap = config->server_sap;
        ch->physical = config->physical;
        ch->server_size = hdlc_address_size(config->server_sap, config->physical);
        ch->proposed = (struct hdlc_params){ info, info, config->window ? config->window : 1,
                                             config->window ? config->window : 1 };
        ch->params = ch->proposed;
        ch->apdu = s->apdu;
        ch->apdu_cap = sizeof s->apdu;
        ch->tx = s->tx;
        ch->tx_cap = sizeof s->tx;
        ch->out = s->out;
        ch->out_cap = sizeof s->out;
        touch(s, now_ms);
        return 0;
}

/* ---- sending ---- */

struct axdr_writer server_begin_plain(struct dlms_server *s)
{
        size_t cap;
        uint8_t *p = channel_tx(&s->channel, &cap);

        return axdr_writer_of(p, cap < DLMS_SERVER_TX_MAX ? cap : DLMS_SERVER_TX_MAX);
}

void server_send_plain(struct dlms_server *s, struct axdr_writer *w)
{
        if (w->failed)
                finish(s, DLMS_E_TOO_LONG);
        else
                channel_send(&s->channel, w->len);
}

size_t server_overhead(struct dlms_server *s)
{
        enum { LENGTH_CODES = 6 }; /* of a long text over those of none */
        struct dlms_end end = server_end(s);

        return s->reply_ciphered ? dlms_seal_size(&end, 0) + LENGTH_CODES : 0;
}

struct axdr_writer server_begin(struct dlms_server *s)
{
        struct axdr_writer w = server_begin_plain(s);
        size_t add = server_overhead(s);

        return axdr_writer_of(w.p + add, w.cap - add);
}

void server_send(struct dlms_server *s, struct axdr_writer *w)
{
        struct dlms_end end = server_end(s);
        size_t cap, n;
        uint8_t *out;

        if (s->in_gbt && !w->failed) {
                /* What answers general blocks goes in general blocks, however short. */
                if (w->len > s->scratch_size - s->used) {
                        finish(s, DLMS_E_TOO_LONG);
                        return;
                }
                memcpy(s->scratch + s->used, w->p, w->len);
                if (!server_send_gbt(s, s->scratch + s->used, w->len))
                        finish(s, DLMS_E_TOO_LONG);
                return;
        }
        if (!s->reply_ciphered || w->failed) {
                server_send_plain(s, w);
                return;
        }
        out = channel_tx(&s->channel, &cap);
        if (dlms_seal(&end, s->counters->tx++, w->p, w->len, out, cap, &n))
                finish(s, DLMS_E_CRYPTO);
        else
                channel_send(&s->channel, n);
}

void server_refuse(struct dlms_server *s, uint8_t state, uint8_t service)
{
        struct axdr_writer w = server_begin_plain(s);

        apdu_put_exception(&w, state, service, s->counters->rx);
        server_send_plain(s, &w);
}

/* ---- receiving ---- */

static int check_counter(struct dlms_server *s, bool dedicated, uint32_t ic)
{
        if (dedicated) {
                if (ic < s->rx_dedicated)
                        return DLMS_E_REPLAY;
                s->rx_dedicated = (uint64_t)ic + 1;
                return 0;
        }
        if (ic < s->counters->rx || ic == UINT32_MAX)
                return DLMS_E_REPLAY;
        s->counters->rx = ic + 1;
        return 0;
}

/* What is wrong with an opened APDU beyond its protection itself. */
static int check_opened(const struct dlms_server *s, const struct dlms_opened *o)
{
        if (o->foreign)
                return DLMS_E_TITLE;
        if (!o->ciphered)
                return DLMS_E_NOT_CIPHERED;
        if (s->cfg->sign && !o->is_signed && s->state >= DLMS_SERVER_AUTHENTICATING)
                return DLMS_E_NOT_SIGNED;
        if ((o->protection.sc & s->cfg->policy) != s->cfg->policy)
                return DLMS_E_SECURITY;
        return 0;
}

/* What the client is told: protected too little is another thing than garbled. */
static uint8_t refusal(int error)
{
        if (error == DLMS_E_APDU || error == DLMS_E_TRAILING)
                return APDU_EXC_OTHER;
        if (error == DLMS_E_SECURITY || error == DLMS_E_NOT_SIGNED || error == DLMS_E_NOT_CIPHERED)
                return APDU_EXC_NOT_POSSIBLE;
        return APDU_EXC_DECIPHERING;
}

int server_open_apdu(struct dlms_server *s, uint8_t *p, size_t n, uint8_t **ret_p, size_t *ret_n)
{
        struct dlms_end end;
        struct dlms_opened o;
        int e;

        s->reply_ciphered = apdu_is_protected(p[0]);
        if (!s->reply_ciphered) {
                *ret_p = p;
                *ret_n = n;
                return 0;
        }
        end = server_end(s);
        e = dlms_unseal(&end, p, n, &o);
        s->reply_envelope = o.envelope;
        s->reply_dedicated = o.dedicated;
        s->reply_signed = o.is_signed;
        if (!e)
                e = check_opened(s, &o);
        if (e) {
                s->refused = (enum dlms_error)e;
                server_refuse(s, 1, refusal(e));
                return e;
        }
        *ret_p = o.p;
        *ret_n = o.n;
        e = check_counter(s, o.dedicated, o.protection.ic);
        if (e) {
                s->refused = (enum dlms_error)e;
                server_refuse(s, 1, APDU_EXC_COUNTER);
        }
        return e;
}

static void on_release(struct dlms_server *s)
{
        struct acse_release rlre = { .tag = APDU_RLRE };
        struct axdr_writer w = server_begin_plain(s);

        acse_put_release(&w, &rlre);
        server_send_plain(s, &w);
        s->state = DLMS_SERVER_CONNECTED;
}

/* The client asks for another logical device behind the same link: what was is over. */
static void switch_device(struct dlms_server *s)
{
        for (size_t i = 0; i < s->n_devices; i++) {
                const struct dlms_server_device *d = &s->devices[i];

                if (d->config->server_sap != s->channel.server_sap)
                        continue;
                s->cfg = d->config;
                s->counters = d->counters;
                s->meter = d->meter;
        }
        s->keys = s->cfg->keys;
        s->incoming.active = s->gbt_active = s->short_names = false;
        s->reply_len = 0;
        if (s->state > DLMS_SERVER_CONNECTED)
                s->state = DLMS_SERVER_CONNECTED;
}

int dlms_server_add_devices(struct dlms_server *s, const struct dlms_server_device *devices,
                            size_t n)
{
        if (n > DLMS_SERVER_DEVICES_MAX)
                return DLMS_E_ARGUMENT;
        for (size_t i = 0; i < n; i++) {
                if (!settings_good(devices[i].config) || !devices[i].counters ||
                    devices[i].config->framing != s->cfg->framing)
                        return DLMS_E_ARGUMENT;
                s->device_saps[i] = devices[i].config->server_sap;
        }
        s->devices = devices;
        s->n_devices = n;
        s->channel.saps = s->device_saps;
        s->channel.n_saps = n;
        return 0;
}

static void on_request(struct dlms_server *s, uint8_t *p, size_t n)
{
        if (s->state != DLMS_SERVER_ASSOCIATED && s->state != DLMS_SERVER_AUTHENTICATING) {
                server_refuse(s, 1, APDU_EXC_NOT_POSSIBLE);
                return;
        }
        if (apdu_is_protected(p[0]) != s->ciphered) {
                s->refused = DLMS_E_NOT_CIPHERED;
                server_refuse(s, 1, APDU_EXC_NOT_POSSIBLE);
                return;
        }
        if (server_open_apdu(s, p, n, &p, &n) == 0)
                server_on_request(s, p, n);
}

/* ---- general block transfer ---- */

static void pump_blocks(struct dlms_server *s)
{
        struct apdu_block b;
        struct axdr_writer w;

        if (!s->gbt_active || s->channel.out_len > 0 || !gbt_next(&s->gbt, &b))
                return;
        w = server_begin_plain(s);
        apdu_put_block(&w, &b);
        server_send_plain(s, &w);
}

static uint8_t gbt_window(const struct dlms_server *s)
{
        return s->cfg->gbt_window ? s->cfg->gbt_window : 1;
}

bool server_send_gbt(struct dlms_server *s, uint8_t *p, size_t n)
{
        struct dlms_end end = server_end(s);
        size_t max = s->peer_pdu < DLMS_SERVER_TX_MAX ? s->peer_pdu : DLMS_SERVER_TX_MAX;
        uint8_t *out = s->scratch + s->used;

        if (max <= APDU_BLOCK_HEAD_MAX)
                return false;
        if (s->reply_ciphered) {
                if (dlms_seal_size(&end, n) > s->scratch_size - s->used)
                        return false;
                if (dlms_seal(&end, s->counters->tx++, p, n, out, s->scratch_size - s->used, &n)) {
                        finish(s, DLMS_E_CRYPTO);
                        return true;
                }
                p = out;
        }
        if (!s->in_gbt)
                gbt_init(&s->gbt, gbt_window(s), NULL, 0);
        if (!gbt_send(&s->gbt, p, n, max - APDU_BLOCK_HEAD_MAX))
                return false;
        s->gbt_active = true;
        pump_blocks(s);
        return true;
}

static void on_block(struct dlms_server *s, const uint8_t *p, size_t n)
{
        struct apdu_block b;
        int step;

        if (!(s->conformance & DLMS_CONF_GENERAL_BLOCK_TRANSFER) ||
            s->state != DLMS_SERVER_ASSOCIATED || apdu_block_decode(p, n, &b)) {
                server_refuse(s, 2, APDU_EXC_NOT_SUPPORTED);
                return;
        }
        /* A first block with data begins another transfer when nothing of ours is on its way. */
        if (!s->gbt_active || (b.number == 1 && b.n > 0 && s->gbt.blocks > 0)) {
                gbt_init(&s->gbt, gbt_window(s), s->scratch, s->scratch_size);
                s->gbt_active = true;
                s->incoming.active = false;
                s->reply_len = 0;
        }
        step = gbt_take(&s->gbt, &b);
        if (step < 0) {
                s->gbt_active = false;
                server_refuse(s, 2, APDU_EXC_TOO_LONG);
        } else if (step == GBT_WHOLE && s->gbt.blocks == 0 && s->gbt.rx_len > 0) {
                s->used = s->gbt.rx_len;
                s->in_gbt = true;
                on_request(s, s->scratch, s->gbt.rx_len);
        } else {
                /* An acknowledgement of everything needs no answer. */
                s->gbt.turn &= gbt_sending(&s->gbt) || s->gbt.blocks == 0;
                pump_blocks(s);
                if (s->channel.out_len == 0)
                        channel_yield(&s->channel);
        }
}

static void on_apdu(struct dlms_server *s, uint8_t *p, size_t n)
{
        s->requests++;
        s->reply_ciphered = s->in_gbt = false;
        if (s->n_devices > 0 && s->channel.server_sap != s->cfg->server_sap)
                switch_device(s);
        if (p[0] == APDU_GENERAL_BLOCK) {
                on_block(s, p, n);
                return;
        }
        s->gbt_active = false;
        s->used = 0;
        if (p[0] == APDU_AARQ)
                server_on_aarq(s, p, n);
        else if (p[0] == APDU_RLRQ && !s->cfg->refuses_release)
                on_release(s);
        else if (p[0] == APDU_RLRQ)
                server_refuse(s, 2, APDU_EXC_NOT_SUPPORTED);
        else
                on_request(s, p, n);
}

static size_t server_recv(void *core, const uint8_t *in, size_t n, int64_t now_ms)
{
        struct dlms_server *s = core;
        enum channel_event ev;
        size_t taken;

        if (s->state == DLMS_SERVER_CLOSED)
                return 0;
        /* A damaged length field must not swallow the repetitions that follow. */
        if (n > 0 && now_ms - s->heard_ms >= INTER_OCTET_MS &&
            s->channel.framing == DLMS_FRAMING_HDLC)
                s->channel.frame_len = 0;
        s->heard_ms = now_ms;
        taken = channel_recv(&s->channel, in, n, &ev);
        switch (ev) {
        case CHANNEL_APDU:
                touch(s, now_ms);
                on_apdu(s, s->apdu, s->channel.apdu_len);
                break;
        case CHANNEL_POLL:
                touch(s, now_ms);
                pump_blocks(s);
                if (s->channel.out_len == 0)
                        channel_yield(&s->channel);
                break;
        case CHANNEL_CONNECTED:
                touch(s, now_ms);
                s->gbt_active = false;
                s->state = DLMS_SERVER_CONNECTED;
                break;
        case CHANNEL_DISCONNECTED:
                touch(s, now_ms);
                s->state = DLMS_SERVER_LISTENING;
                break;
        case CHANNEL_ERROR:
                finish(s, s->channel.error);
                break;
        case CHANNEL_NOTHING:
        case CHANNEL_NOTIFICATION:
        case CHANNEL_REJECTED:
                break;
        }
        return taken;
}

static void server_expire(void *core, int64_t now_ms)
{
        struct dlms_server *s = core;

        if (now_ms >= s->deadline_ms)
                finish(s, DLMS_E_TIMEOUT_REQUEST);
}

static void server_closed(void *core, int error, int64_t now_ms)
{
        struct dlms_server *s = core;

        (void)now_ms;
        if (s->state != DLMS_SERVER_CLOSED)
                finish(s, error ? DLMS_E_TRANSPORT_CLOSED : DLMS_E_OK);
}

static size_t server_output(void *core, const uint8_t **ret)
{
        return channel_output(&((struct dlms_server *)core)->channel, ret);
}

static void server_output_done(void *core, size_t n)
{
        struct dlms_server *s = core;

        channel_output_done(&s->channel, n);
        /* Over HDLC the client hands the turn back first. */
        if (s->channel.framing == DLMS_FRAMING_WRAPPER && s->state != DLMS_SERVER_CLOSED)
                pump_blocks(s);
}

static int64_t server_deadline(void *core)
{
        return ((struct dlms_server *)core)->deadline_ms;
}

const struct core_ops dlms_server_core = {
        .recv = server_recv,
        .expire = server_expire,
        .closed = server_closed,
        .output = server_output,
        .output_done = server_output_done,
        .deadline = server_deadline,
};
