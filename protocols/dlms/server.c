#include "server_internal.h"

#include <string.h>

#include "acse.h"
#include "envelope.h"

enum {
        INTER_OCTET_MS = 1000,
        IDLE_DEFAULT_MS = 120000,
        BLOCK_HEAD_MAX = 3 + 1 + 4 + 1 + 3,
        NORMAL_HEAD = 4
};

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
        ch->params = (struct hdlc_params){ info, info, config->window ? config->window : 1,
                                           config->window ? config->window : 1 };
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

/* What protection adds to a reply at most. */
static size_t overhead(struct dlms_server *s)
{
        enum { LENGTH_CODES = 6 }; /* of a long text over those of none */
        struct dlms_end end = server_end(s);

        return s->reply_ciphered ? dlms_seal_size(&end, 0) + LENGTH_CODES : 0;
}

struct axdr_writer server_begin(struct dlms_server *s)
{
        struct axdr_writer w = server_begin_plain(s);
        size_t add = overhead(s);

        return axdr_writer_of(w.p + add, w.cap - add);
}

void server_send(struct dlms_server *s, struct axdr_writer *w)
{
        struct dlms_end end = server_end(s);
        size_t cap, n;
        uint8_t *out;

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

/* ---- replies ---- */

size_t server_room(struct dlms_server *s, size_t head)
{
        size_t max = s->peer_pdu < DLMS_SERVER_TX_MAX ? s->peer_pdu : DLMS_SERVER_TX_MAX;

        head += overhead(s);
        return max > head ? max - head : 0;
}

void server_begin_blocks(struct dlms_server *s, uint8_t tag, size_t n)
{
        s->reply_tag = tag;
        s->reply_len = n;
        s->reply_done = 0;
        s->block = 0;
}

void server_send_block(struct dlms_server *s, uint8_t invoke)
{
        struct axdr_writer w = server_begin(s);
        size_t left = s->reply_len - s->reply_done, part = server_room(s, BLOCK_HEAD_MAX);
        bool last;

        if (part > left)
                part = left;
        last = part == left;
        s->block++;
        if (s->reply_tag == APDU_ACTION_RESPONSE)
                apdu_put_action_answer_block(&w, invoke, last, s->block, s->scratch + s->reply_done,
                                             part);
        else
                apdu_put_get_block(&w, invoke, last, s->block, s->scratch + s->reply_done, part);
        s->reply_done += part;
        if (last)
                s->reply_len = 0;
        server_send(s, &w);
}

static void send_result(struct dlms_server *s, uint8_t invoke, uint8_t result)
{
        struct axdr_writer w = server_begin(s);

        apdu_put_get_result(&w, invoke, result);
        server_send(s, &w);
}

/* Data (or, of a list, count and items) is in scratch: as one response, or the first block. */
static void send_data(struct dlms_server *s, uint8_t invoke, bool list, size_t n)
{
        struct axdr_writer w;

        if (n <= server_room(s, NORMAL_HEAD)) {
                w = server_begin(s);
                if (list)
                        axdr_put_raw(&w, (uint8_t[]){ APDU_GET_RESPONSE, APDU_LIST, invoke }, 3);
                else
                        apdu_put_get_data(&w, invoke);
                axdr_put_raw(&w, s->scratch, n);
                server_send(s, &w);
                return;
        }
        if (!(s->conformance & DLMS_CONF_BLOCK_GET) || server_room(s, BLOCK_HEAD_MAX) < 16) {
                send_result(s, invoke, DLMS_ACCESS_LONG_GET_ABORTED);
                return;
        }
        server_begin_blocks(s, APDU_GET_RESPONSE, n);
        server_send_block(s, invoke);
}

static void on_get(struct dlms_server *s, const struct apdu_request *q)
{
        struct axdr_writer data = axdr_writer_of(s->scratch, s->scratch_size);
        unsigned result = s->cfg->objects->get(s->meter, &q->attr, &q->selection, &data);

        if (!result && data.failed)
                result = DLMS_ACCESS_LONG_GET_ABORTED;
        if (result)
                send_result(s, q->invoke, (uint8_t)result);
        else
                send_data(s, q->invoke, false, data.len);
}

static void on_get_next(struct dlms_server *s, const struct apdu_request *q)
{
        if (s->reply_len == 0 || s->reply_tag != APDU_GET_RESPONSE)
                send_result(s, q->invoke, DLMS_ACCESS_NO_LONG_GET);
        else if (q->block != s->block)
                send_result(s, q->invoke, DLMS_ACCESS_DATA_BLOCK_NUMBER_INVALID);
        else
                server_send_block(s, q->invoke);
}

static void on_get_list(struct dlms_server *s, const struct apdu_request *q)
{
        struct axdr_writer all = axdr_writer_of(s->scratch, s->scratch_size);
        struct axdr_reader r;

        axdr_reader_init(&r, q->data, q->n);
        axdr_put_length(&all, q->count);
        for (size_t i = 0; i < q->count; i++) {
                struct dlms_selection selection;
                struct dlms_attr attr;
                size_t start = all.len;
                unsigned result;

                if (!apdu_list_next(&r, &attr, &selection))
                        break;
                axdr_put_byte(&all, 0);
                result = s->cfg->objects->get(s->meter, &attr, &selection, &all);
                if (result) {
                        all.len = start;
                        axdr_put_byte(&all, 1);
                        axdr_put_byte(&all, (uint8_t)result);
                }
        }
        if (all.failed || r.error)
                send_result(s, q->invoke, DLMS_ACCESS_LONG_GET_ABORTED);
        else
                send_data(s, q->invoke, true, all.len);
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
                server_refuse(s, 1,
                              e == DLMS_E_APDU || e == DLMS_E_TRAILING ? APDU_EXC_OTHER
                              : e == DLMS_E_SECURITY ? APDU_EXC_NOT_POSSIBLE /* too little, not garbled */
                                                     : APDU_EXC_DECIPHERING);
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

static void on_request(struct dlms_server *s, const uint8_t *p, size_t n)
{
        struct apdu_request q;

        if (p[0] != APDU_GET_REQUEST && p[0] != APDU_SET_REQUEST && p[0] != APDU_ACTION_REQUEST) {
                server_refuse(s, 2, APDU_EXC_NOT_SUPPORTED);
                return;
        }
        if (apdu_request_decode(p, n, &q)) {
                server_refuse(s, 2, APDU_EXC_OTHER);
                return;
        }
        if (s->state == DLMS_SERVER_AUTHENTICATING) {
                if (server_is_pass3(&q))
                        server_on_pass3(s, &q);
                else
                        server_refuse(s, 1, APDU_EXC_NOT_POSSIBLE);
                return;
        }
        if (q.tag == APDU_GET_REQUEST)
                s->put_tag = 0; /* its blocks lie where an answer is built */
        if (q.tag == APDU_SET_REQUEST)
                server_on_set(s, &q);
        else if (q.tag == APDU_ACTION_REQUEST)
                server_on_action(s, &q);
        else if (q.kind == APDU_BLOCK)
                on_get_next(s, &q);
        else if (q.kind == APDU_LIST && (s->cfg->breaks & DLMS_CONF_MULTIPLE_REFERENCES))
                server_refuse(s, 2, APDU_EXC_NOT_SUPPORTED);
        else if (q.kind == APDU_LIST)
                on_get_list(s, &q);
        else
                on_get(s, &q);
}

static void on_apdu(struct dlms_server *s, uint8_t *p, size_t n)
{
        s->requests++;
        s->reply_ciphered = false;
        switch (p[0]) {
        case APDU_AARQ:
                server_on_aarq(s, p, n);
                return;
        case APDU_RLRQ:
                if (s->cfg->refuses_release)
                        server_refuse(s, 2, APDU_EXC_NOT_SUPPORTED);
                else
                        on_release(s);
                return;
        default:
                break;
        }
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
        case CHANNEL_CONNECTED:
                touch(s, now_ms);
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
        channel_output_done(&((struct dlms_server *)core)->channel, n);
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

/* ---- push ---- */

int dlms_push_build(const struct dlms_server_config *config, struct dlms_server_counters *counters,
                    uint32_t invoke_id, const uint8_t *datetime, const uint8_t *body, size_t n,
                    uint8_t *out, size_t cap, size_t *ret_len)
{
        struct dlms_end end = {
                .crypto = config->crypto,
                .keys = &config->keys,
                .own = config->title,
                .policy = config->policy,
                .envelope = DLMS_ENVELOPE_GENERAL,
        };
        bool ciphered = config->policy != DLMS_POLICY_NONE;
        size_t before = ciphered ? APDU_ENVELOPE_MAX + DLMS_SC_HEADER_SIZE : 0;
        struct axdr_writer w;

        if (cap < before)
                return DLMS_E_TOO_LONG;
        w = axdr_writer_of(out + before, cap - before);
        axdr_put_byte(&w, APDU_DATA_NOTIFICATION);
        axdr_put_be32(&w, invoke_id);
        axdr_put_byte(&w, datetime ? 12 : 0);
        if (datetime)
                axdr_put_raw(&w, datetime, 12);
        axdr_put_raw(&w, body, n);
        if (w.failed)
                return DLMS_E_TOO_LONG;
        if (ciphered)
                return dlms_seal(&end, counters->tx++, w.p, w.len, out, cap, ret_len);
        *ret_len = w.len;
        return 0;
}

static int frame_hdlc(const struct dlms_server_config *config, uint16_t client_sap,
                      const uint8_t *apdu, size_t n, uint8_t *out, size_t cap, size_t *ret_len)
{
        static const uint8_t llc[] = { 0xE6, 0xE7, 0x00 };
        uint8_t size = hdlc_address_size(config->server_sap, config->physical);
        size_t info = config->max_info ? config->max_info : HDLC_INFO_DEFAULT, at = 0, len = 0;
        uint8_t part[HDLC_INFO_MAX];
        bool first = true;

        if (info > HDLC_INFO_MAX)
                info = HDLC_INFO_MAX;
        if (info < 16)
                return DLMS_E_ARGUMENT;
        while (at < n) {
                size_t head = first ? sizeof llc : 0;
                size_t take = n - at < info - head ? n - at : info - head, written;
                struct hdlc_frame f = {
                        .dst = hdlc_address(client_sap, 0, 1),
                        .dst_size = 1,
                        .src = hdlc_address(config->server_sap, config->physical, size),
                        .src_size = size,
                        .segmented = at + take < n,
                        .info = part,
                        .info_len = head + take,
                };

                f.control = f.segmented ? HDLC_UI : HDLC_UI | HDLC_POLL_FINAL;
                memcpy(part, llc, head);
                memcpy(part + head, apdu + at, take);
                written = hdlc_frame_write(&f, out + len, cap - len);
                if (written == 0)
                        return DLMS_E_TOO_LONG;
                len += written;
                at += take;
                first = false;
        }
        *ret_len = len;
        return 0;
}

int dlms_push_frame(const struct dlms_server_config *config, uint16_t client_sap,
                    const uint8_t *apdu, size_t n, uint8_t *out, size_t cap, size_t *ret_len)
{
        if (config->framing == DLMS_FRAMING_HDLC)
                return frame_hdlc(config, client_sap, apdu, n, out, cap, ret_len);
        if (n > UINT16_MAX || cap < WRAPPER_HEADER_SIZE || n > cap - WRAPPER_HEADER_SIZE)
                return DLMS_E_TOO_LONG;
        wrapper_write(out, config->server_sap, client_sap, (uint16_t)n);
        memcpy(out + WRAPPER_HEADER_SIZE, apdu, n);
        *ret_len = WRAPPER_HEADER_SIZE + n;
        return 0;
}
