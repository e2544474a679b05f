#include "client_internal.h"

#include <openssl/crypto.h>
#include <string.h>

enum { TIMEOUT_DEFAULT_MS = 5000 };

/*
 * The conversation, one line a state: what the meter owes us there (0 = nothing: an APDU is
 * unexpected) and what its silence means.
 */
static const struct {
        const char *name;
        uint8_t expects;
        bool waits;
        enum dlms_error silence;
} states[DLMS_CLIENT_N_STATES] = {
        [DLMS_CLIENT_IDLE] = { "idle", 0, false, DLMS_E_OK },
        [DLMS_CLIENT_CONNECTING] = { "connecting", 0, true, DLMS_E_TIMEOUT_CONNECT },
        [DLMS_CLIENT_ASSOCIATING] = { "associating", APDU_AARE, true, DLMS_E_TIMEOUT_ASSOCIATE },
        [DLMS_CLIENT_AUTHENTICATING] = { "authenticating", APDU_ACTION_RESPONSE, true,
                                         DLMS_E_TIMEOUT_HLS },
        [DLMS_CLIENT_READY] = { "ready", 0, false, DLMS_E_OK },
        [DLMS_CLIENT_GETTING] = { "getting", APDU_GET_RESPONSE, true, DLMS_E_TIMEOUT_REQUEST },
        [DLMS_CLIENT_SETTING] = { "setting", APDU_SET_RESPONSE, true, DLMS_E_TIMEOUT_REQUEST },
        [DLMS_CLIENT_ACTING] = { "acting", APDU_ACTION_RESPONSE, true, DLMS_E_TIMEOUT_REQUEST },
        [DLMS_CLIENT_ACCESSING] = { "accessing", APDU_ACCESS_RESPONSE, true,
                                    DLMS_E_TIMEOUT_REQUEST },
        [DLMS_CLIENT_READING] = { "reading", APDU_READ_RESPONSE, true, DLMS_E_TIMEOUT_REQUEST },
        [DLMS_CLIENT_RELEASING] = { "releasing", APDU_RLRE, true, DLMS_E_OK },
        [DLMS_CLIENT_DISCONNECTING] = { "disconnecting", 0, true, DLMS_E_OK },
        [DLMS_CLIENT_CLOSED] = { "closed", 0, false, DLMS_E_OK },
        [DLMS_CLIENT_FAILED] = { "failed", 0, false, DLMS_E_OK },
};

const char *dlms_client_state_name(enum dlms_client_state s)
{
        return states[s].name;
}

void client_enter(struct dlms_client *c, enum dlms_client_state next, int64_t now_ms)
{
        c->state = next;
        if (!states[next].waits) {
                c->deadline_ms = CORE_NO_DEADLINE;
                return;
        }
        c->failed_detail = 0;
        c->deadline_ms = now_ms + c->cfg.timeout_ms;
        c->retries_left = c->cfg.retries;
        c->channel.error = DLMS_E_OK;
        c->round_trips++;
}

void client_emit(struct dlms_client *c, const struct dlms_event *ev)
{
        c->event = *ev;
}

void client_fail(struct dlms_client *c, enum dlms_error error)
{
        if (c->state == DLMS_CLIENT_FAILED || c->state == DLMS_CLIENT_CLOSED)
                return;
        client_enter(c, DLMS_CLIENT_FAILED, 0);
        c->request.next = false;
        c->failed = error;
}

static void finish(struct dlms_client *c)
{
        client_enter(c, DLMS_CLIENT_CLOSED, 0);
        c->closed = true;
}

int client_take_counter(struct dlms_client *c, uint32_t *ret)
{
        if (c->ic_next >= c->cfg.ic_end)
                return DLMS_E_COUNTER_EXHAUSTED;
        *ret = (uint32_t)c->ic_next++;
        return 0;
}

/* ---- settings ---- */

static bool security_good(struct dlms_client *c)
{
        const struct dlms_client_config *cfg = &c->cfg;
        struct dlms_hls hls = client_hls(c);
        struct dlms_end end = client_end(c);

        if (cfg->policy & ~DLMS_POLICY_AUTHENTICATED_ENCRYPTED || cfg->keys.suite > 2)
                return false;
        if (!dlms_hls_usable(&hls))
                return false;
        if (cfg->policy == DLMS_POLICY_NONE)
                return !cfg->sign && cfg->envelope == DLMS_ENVELOPE_SERVICE;
        /* The initiate-request is ciphered with the global key in every envelope. */
        if (!cfg->keys.has_ek || cfg->envelope >= DLMS_N_ENVELOPES)
                return false;
        /* A title yet to come from the AARE is not missed before. */
        end.peer = c->server_title;
        return dlms_end_usable(&end);
}

static bool settings_good(struct dlms_client *c)
{
        const struct dlms_client_config *cfg = &c->cfg;
        bool counts = cfg->policy != DLMS_POLICY_NONE || cfg->auth == DLMS_AUTH_GMAC;

        if (!security_good(c) || (counts && cfg->ic_end > (uint64_t)UINT32_MAX + 1))
                return false;
        if (cfg->auth >= HLS_FIRST &&
            (cfg->challenge_len < 8 || cfg->challenge_len > DLMS_CHALLENGE_MAX))
                return false;
        if (cfg->secret_len > 128 || (cfg->secret_len > 0 && !cfg->secret))
                return false;
        if (cfg->window_tx > 7 || cfg->window_rx > 7 || cfg->address_size == 3 ||
            cfg->address_size > 4)
                return false;
        if (cfg->gbt_window > GBT_WINDOW_MAX || (cfg->gbt_window > 0 && !cfg->scratch))
                return false;
        return cfg->scratch || cfg->scratch_size == 0;
}

static void init_channel(struct dlms_client *c)
{
        const struct dlms_client_config *cfg = &c->cfg;
        struct dlms_channel *ch = &c->channel;

        ch->framing = cfg->framing;
        ch->client_sap = cfg->client_sap;
        ch->server_sap = cfg->server_sap;
        ch->physical = cfg->physical;
        ch->server_size = cfg->address_size ? cfg->address_size
                                            : hdlc_address_size(cfg->server_sap, cfg->physical);
        ch->proposed = (struct hdlc_params){
                .info_tx = cfg->max_info_tx ? cfg->max_info_tx : HDLC_INFO_DEFAULT,
                .info_rx = cfg->max_info_rx ? cfg->max_info_rx : 1024,
                .window_tx = cfg->window_tx ? cfg->window_tx : 1,
                .window_rx = cfg->window_rx ? cfg->window_rx : 7,
        };
        if (ch->proposed.info_tx > 1024)
                ch->proposed.info_tx = 1024;
        if (ch->proposed.info_rx > HDLC_INFO_MAX)
                ch->proposed.info_rx = HDLC_INFO_MAX;
        ch->params = ch->proposed;
        ch->apdu = c->apdu;
        ch->apdu_cap = sizeof c->apdu;
        ch->tx = c->tx;
        ch->tx_cap = sizeof c->tx;
        ch->out = c->out;
        ch->out_cap = sizeof c->out;
}

int dlms_client_init(struct dlms_client *c, const struct dlms_client_config *config)
{
        static const uint8_t unknown[DLMS_TITLE_SIZE];

        /* The buffers need no zeroes: only what lies before them is set. */
        memset(c, 0, offsetof(struct dlms_client, channel));
        memset(&c->channel, 0, offsetof(struct dlms_channel, frame));
        c->cfg = *config;
        if (!settings_good(c)) {
                dlms_client_deinit(c);
                return DLMS_E_ARGUMENT;
        }
        if (c->cfg.max_pdu == 0 || c->cfg.max_pdu > DLMS_CLIENT_PDU_MAX)
                c->cfg.max_pdu = DLMS_CLIENT_PDU_MAX;
        if (c->cfg.timeout_ms == 0)
                c->cfg.timeout_ms = TIMEOUT_DEFAULT_MS;
        c->has_server_title = memcmp(config->server_title, unknown, sizeof unknown) != 0;
        memcpy(c->server_title, config->server_title, DLMS_TITLE_SIZE);
        c->ic_next = config->ic_first;
        c->server_ic = config->server_ic;
        c->peer_pdu = UINT16_MAX;
        c->deadline_ms = CORE_NO_DEADLINE;
        init_channel(c);
        return 0;
}

void dlms_client_deinit(struct dlms_client *c)
{
        dlms_keys_wipe(&c->cfg.keys);
        OPENSSL_cleanse(&c->session, sizeof c->session);
}

/* ---- sending ---- */

struct axdr_writer client_begin_plain(struct dlms_client *c)
{
        size_t cap;
        uint8_t *p = channel_tx(&c->channel, &cap);

        return axdr_writer_of(p, cap);
}

int client_send_plain(struct dlms_client *c, struct axdr_writer *w)
{
        if (w->failed || w->len > c->peer_pdu)
                return DLMS_E_TOO_LONG;
        channel_send(&c->channel, w->len);
        return 0;
}

struct axdr_writer client_begin(struct dlms_client *c)
{
        enum { ROOM = APDU_ENVELOPE_MAX + DLMS_SC_HEADER_SIZE };
        struct axdr_writer w = client_begin_plain(c);

        if (!client_is_ciphered(c))
                return w;
        return axdr_writer_of(w.p + ROOM, w.cap - ROOM - DLMS_TAG_SIZE);
}

struct dlms_end client_end_for(struct dlms_client *c, uint8_t tag)
{
        struct dlms_end end = client_end(c);

        if (end.envelope == DLMS_ENVELOPE_SERVICE && !apdu_ciphered_tag(tag, false))
                end.envelope = DLMS_ENVELOPE_GENERAL;
        return end;
}

int client_send(struct dlms_client *c, struct axdr_writer *w)
{
        struct dlms_end end = client_end_for(c, w->len > 0 ? w->p[0] : 0);
        uint8_t *out;
        size_t cap, n;
        uint32_t ic;
        int e;

        if (!client_is_ciphered(c))
                return client_send_plain(c, w);
        out = channel_tx(&c->channel, &cap);
        n = dlms_seal_size(&end, w->len);
        if (w->failed || n > c->peer_pdu || n > cap)
                return DLMS_E_TOO_LONG;
        e = client_take_counter(c, &ic);
        if (!e)
                e = dlms_seal(&end, ic, w->p, w->len, out, cap, &n);
        if (!e)
                channel_send(&c->channel, n);
        return e;
}

/* ---- commands ---- */

int dlms_client_open(struct dlms_client *c, int64_t now_ms)
{
        int e;

        if (c->state != DLMS_CLIENT_IDLE)
                return DLMS_E_BUSY;
        if (c->cfg.framing == DLMS_FRAMING_HDLC) {
                channel_connect(&c->channel);
                client_enter(c, DLMS_CLIENT_CONNECTING, now_ms);
                return 0;
        }
        e = client_send_aarq(c);
        if (!e)
                client_enter(c, DLMS_CLIENT_ASSOCIATING, now_ms);
        return e;
}

int client_send_request(struct dlms_client *c, struct axdr_writer *w, enum dlms_client_state next,
                        int64_t now_ms)
{
        int e = client_send(c, w);

        if (!e)
                client_enter(c, next, now_ms);
        return e;
}

static void hang_up(struct dlms_client *c, int64_t now_ms)
{
        c->request.next = false;
        if (c->cfg.framing == DLMS_FRAMING_HDLC && c->channel.connected) {
                channel_disconnect(&c->channel);
                client_enter(c, DLMS_CLIENT_DISCONNECTING, now_ms);
        } else {
                finish(c);
        }
}

int dlms_client_close(struct dlms_client *c, int64_t now_ms)
{
        switch (c->state) {
        case DLMS_CLIENT_IDLE:
        case DLMS_CLIENT_CLOSED:
        case DLMS_CLIENT_FAILED:
        case DLMS_CLIENT_RELEASING:
        case DLMS_CLIENT_DISCONNECTING:
                return DLMS_E_BUSY;
        case DLMS_CLIENT_READY:
                if (c->channel.out_len > 0)
                        return DLMS_E_BUSY;
                if (!c->cfg.no_release && client_send_rlrq(c) == 0) {
                        client_enter(c, DLMS_CLIENT_RELEASING, now_ms);
                        return 0;
                }
                hang_up(c, now_ms);
                return 0;
        case DLMS_CLIENT_CONNECTING:
        case DLMS_CLIENT_ASSOCIATING:
        case DLMS_CLIENT_AUTHENTICATING:
        case DLMS_CLIENT_GETTING:
        case DLMS_CLIENT_SETTING:
        case DLMS_CLIENT_ACTING:
        case DLMS_CLIENT_ACCESSING:
        case DLMS_CLIENT_READING:
        case DLMS_CLIENT_N_STATES:
                break;
        }
        if (c->channel.out_len > 0)
                return DLMS_E_BUSY;
        hang_up(c, now_ms);
        return 0;
}

/* ---- receiving ---- */

static bool is_notification(uint8_t tag)
{
        return tag == APDU_DATA_NOTIFICATION || tag == APDU_EVENT_NOTIFICATION ||
               tag == APDU_INFORMATION_REPORT;
}

static int on_plain(struct dlms_client *c, uint8_t *p, size_t n, int64_t now_ms)
{
        uint8_t expects = states[c->state].expects;

        if (is_notification(p[0])) {
                client_emit(c, &(struct dlms_event){
                                       .type = DLMS_EV_NOTIFICATION, .data = p, .len = n });
                return 0;
        }
        if (p[0] == APDU_EXCEPTION)
                return client_on_exception(c, p, n, now_ms);
        if (p[0] == APDU_CONFIRMED_SERVICE_ERROR)
                return client_on_service_error(c, p, n, now_ms);
        if (c->state == DLMS_CLIENT_AUTHENTICATING && c->cfg.short_names)
                expects = APDU_READ_RESPONSE;
        if (expects == 0 || p[0] != expects)
                return DLMS_E_UNEXPECTED;
        /* An answer in one piece ends a transfer in which all of ours was said. */
        c->gbt_active = false;
        if (c->state == DLMS_CLIENT_AUTHENTICATING)
                return client_on_pass4(c, p, n, now_ms);
        return client_on_response(c, p, n, now_ms);
}

static int on_apdu(struct dlms_client *c, uint8_t *p, size_t n, int64_t now_ms)
{
        bool whole = false;
        int e;

        if (c->state == DLMS_CLIENT_RELEASING) {
                /* Whatever it says, the association is over. */
                hang_up(c, now_ms);
                return 0;
        }
        if (states[c->state].expects == APDU_AARE && p[0] == APDU_AARE)
                return client_on_aare(c, p, n, now_ms);
        if (p[0] == APDU_GENERAL_BLOCK) {
                e = client_on_gbt(c, p, n, now_ms, &whole);
                if (e || !whole)
                        return e;
                p = c->gbt.rx;
                n = c->gbt.rx_len;
                if (n == 0)
                        return DLMS_E_TRUNCATED;
        }
        e = client_open_apdu(c, p, n, &p, &n);
        return e ? e : on_plain(c, p, n, now_ms);
}

static int on_event(struct dlms_client *c, enum channel_event ev, int64_t now_ms)
{
        int e;

        switch (ev) {
        case CHANNEL_NOTHING:
                return 0;
        case CHANNEL_APDU:
        case CHANNEL_NOTIFICATION:
                c->unnumbered = ev == CHANNEL_NOTIFICATION;
                return on_apdu(c, c->apdu, c->channel.apdu_len, now_ms);
        case CHANNEL_POLL:
                client_pump_blocks(c);
                return 0;
        case CHANNEL_CONNECTED:
                if (c->state == DLMS_CLIENT_DISCONNECTING) {
                        finish(c);
                        return 0;
                }
                if (c->state != DLMS_CLIENT_CONNECTING)
                        return 0; /* a second UA, to a repeated SNRM */
                e = client_send_aarq(c);
                if (!e)
                        client_enter(c, DLMS_CLIENT_ASSOCIATING, now_ms);
                return e;
        case CHANNEL_DISCONNECTED:
                if (c->state == DLMS_CLIENT_DISCONNECTING || c->state == DLMS_CLIENT_RELEASING) {
                        finish(c);
                        return 0;
                }
                return c->state == DLMS_CLIENT_CONNECTING ? DLMS_E_HDLC_REFUSED
                                                          : DLMS_E_TRANSPORT_CLOSED;
        case CHANNEL_REJECTED:
                return DLMS_E_HDLC_REJECTED;
        case CHANNEL_ERROR:
                return (int)c->channel.error;
        }
        return 0;
}

static size_t client_recv(void *core, const uint8_t *in, size_t n, int64_t now_ms)
{
        struct dlms_client *c = core;
        uint8_t vr = c->channel.vr, va = c->channel.va;
        enum channel_event ev;
        size_t taken;
        int e;

        if (c->state == DLMS_CLIENT_FAILED || c->state == DLMS_CLIENT_CLOSED ||
            c->event.type != DLMS_EV_NONE || c->list_at < c->list_n || c->request.next)
                return 0;
        taken = channel_recv(&c->channel, in, n, &ev);
        e = on_event(c, ev, now_ms);
        if (e) {
                client_fail(c, (enum dlms_error)e);
        } else if ((vr != c->channel.vr || va != c->channel.va) && states[c->state].waits) {
                /* It goes on frame by frame: each one may take its time and its tries. */
                c->deadline_ms = now_ms + c->cfg.timeout_ms;
                c->retries_left = c->cfg.retries;
                if (c->channel.out_len > 0 && ev == CHANNEL_NOTHING)
                        c->round_trips++;
        }
        return taken;
}

/* A meter that said "not ready" is alive: it is asked again and again, for a while. */
static bool may_repeat(struct dlms_client *c)
{
        enum { BUSY_POLLS_MAX = 30 };

        if (c->channel.peer_busy && c->channel.framing == DLMS_FRAMING_HDLC) {
                if (c->busy_polls == BUSY_POLLS_MAX) {
                        c->channel.error = DLMS_E_HDLC_BUSY;
                        return false;
                }
                c->busy_polls++;
                return true;
        }
        if (c->retries_left == 0 || (c->channel.framing != DLMS_FRAMING_HDLC && !c->gbt_active))
                return false;
        c->retries_left--;
        return true;
}

static bool try_again(struct dlms_client *c, int64_t now_ms)
{
        if (!may_repeat(c))
                return false;
        c->deadline_ms = now_ms + c->cfg.timeout_ms;
        c->channel.out_len = c->channel.out_done = 0;
        if (c->channel.framing != DLMS_FRAMING_HDLC) {
                gbt_repeat(&c->gbt);
                client_pump_blocks(c);
        } else if (c->state == DLMS_CLIENT_CONNECTING) {
                channel_connect(&c->channel);
        } else {
                channel_repeat(&c->channel);
        }
        return true;
}

static void client_expire(void *core, int64_t now_ms)
{
        struct dlms_client *c = core;
        enum dlms_error error = states[c->state].silence;

        if (!states[c->state].waits || now_ms < c->deadline_ms)
                return;
        if (c->state == DLMS_CLIENT_RELEASING) {
                c->channel.out_len = c->channel.out_done = 0;
                hang_up(c, now_ms);
                return;
        }
        if (c->state == DLMS_CLIENT_DISCONNECTING) {
                finish(c);
                return;
        }
        if (try_again(c, now_ms))
                return;
        /* Silence, or answers too damaged to read? */
        client_fail(c, c->channel.error ? c->channel.error : error);
}

static void client_closed(void *core, int error, int64_t now_ms)
{
        struct dlms_client *c = core;

        (void)now_ms;
        if (c->state == DLMS_CLIENT_RELEASING || c->state == DLMS_CLIENT_DISCONNECTING)
                finish(c);
        else if (c->state == DLMS_CLIENT_IDLE && error)
                client_fail(c, DLMS_E_TRANSPORT_CONNECT);
        else if (c->state == DLMS_CLIENT_ASSOCIATING && c->channel.frame_len == 0)
                client_fail(c, DLMS_E_ASSOCIATION_CLOSED);
        else
                client_fail(c, DLMS_E_TRANSPORT_CLOSED);
}

bool dlms_client_next_event(struct dlms_client *c, struct dlms_event *ret)
{
        if (c->event.type != DLMS_EV_NONE) {
                *ret = c->event;
                c->event.type = DLMS_EV_NONE;
                return true;
        }
        if (c->list_at < c->list_n && client_next_item(c, ret))
                return true;
        if (c->request.next) {
                int e = client_next_single(c, c->request.next_ms);

                if (e)
                        client_fail(c, (enum dlms_error)e);
        }
        if (c->failed) {
                *ret = (struct dlms_event){ .type = DLMS_EV_FAILED,
                                            .error = c->failed,
                                            .detail = c->failed_detail,
                                            .counter = c->failed_counter };
                c->failed = DLMS_E_OK;
                return true;
        }
        if (c->closed) {
                *ret = (struct dlms_event){ .type = DLMS_EV_CLOSED };
                c->closed = false;
                return true;
        }
        return false;
}

static size_t client_output(void *core, const uint8_t **ret)
{
        return channel_output(&((struct dlms_client *)core)->channel, ret);
}

static void client_output_done(void *core, size_t n)
{
        struct dlms_client *c = core;

        channel_output_done(&c->channel, n);
        /* Over HDLC the meter hands the turn back first. */
        if (c->channel.framing == DLMS_FRAMING_WRAPPER)
                client_pump_blocks(c);
}

static int64_t client_deadline(void *core)
{
        return ((struct dlms_client *)core)->deadline_ms;
}

const struct core_ops dlms_client_core = {
        .recv = client_recv,
        .expire = client_expire,
        .closed = client_closed,
        .output = client_output,
        .output_done = client_output_done,
        .deadline = client_deadline,
};
