/*
 * CoAP meters: each its own DTLS session under its own pre-shared key, one confirmable POST at a
 * time, sent again until 2.04 comes. A few sessions are open at a time, as radios would be.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include <coap3/coap.h>

#include "pushed.h"
#include "sim.h"

enum {
        PER_MESSAGE = 16,  /* intervals: stays below one datagram, without blocks */
        ANSWER_MS = 15000, /* then the session is taken for dead */
        RETRY_MIN_MS = 500,
        RETRY_MAX_MS = 5000,
};

struct coap_meter {
        struct pusher p;
        struct sim *sim;
        coap_session_t *session; /* NULL = closed */
        bool finished;           /* close the session outside of callbacks */
        bool failed;
        uint8_t token[8]; /* of the request in flight */
        size_t token_len;
        uint64_t answer_by, retry_at, retry_ms;
};

struct sim_coap {
        coap_context_t *context;
        coap_address_t server;
        uv_poll_t poll;
        bool polling;
        struct coap_meter *meters; /* owned */
        unsigned n, turn, open;
};

static void give_up(struct coap_meter *m)
{
        m->failed = m->finished = true;
        m->p.sent = 0;
}

/* A retransmitted request may be answered twice; the second answer must not count for the next. */
static bool answers_request(const struct coap_meter *m, const coap_pdu_t *received)
{
        coap_bin_const_t token = coap_pdu_get_token(received);

        return m->p.sent > 0 && token.length == m->token_len &&
               memcmp(token.s, m->token, m->token_len) == 0;
}

static coap_response_t on_response(coap_session_t *session, const coap_pdu_t *sent,
                                   const coap_pdu_t *received, const coap_mid_t mid)
{
        struct coap_meter *m = coap_session_get_app_data(session);

        (void)sent, (void)mid;
        if (!m || !answers_request(m, received))
                return COAP_RESPONSE_OK;
        if (coap_pdu_get_code(received) != COAP_RESPONSE_CODE_CHANGED) {
                m->sim->stats.refused++;
                give_up(m);
                return COAP_RESPONSE_OK;
        }
        m->retry_ms = RETRY_MIN_MS;
        pusher_acknowledge(&m->p, m->sim);
        if (sim_chance(m->sim, m->sim->opt.restart)) {
                m->sim->stats.restarts++;
                m->finished = true;
        }
        return COAP_RESPONSE_OK;
}

static void on_nack(coap_session_t *session, const coap_pdu_t *sent,
                    const coap_nack_reason_t reason, const coap_mid_t mid)
{
        struct coap_meter *m = coap_session_get_app_data(session);

        (void)sent, (void)reason, (void)mid;
        if (m)
                give_up(m);
}

static int on_event(coap_session_t *session, const coap_event_t event)
{
        struct coap_meter *m = coap_session_get_app_data(session);

        if (m && (event == COAP_EVENT_DTLS_ERROR || event == COAP_EVENT_DTLS_CLOSED ||
                  event == COAP_EVENT_SESSION_CLOSED))
                give_up(m);
        return 0;
}

static bool open_session(struct sim_coap *c, struct coap_meter *m)
{
        coap_dtls_cpsk_t psk;

        memset(&psk, 0, sizeof psk);
        psk.version = COAP_DTLS_CPSK_SETUP_VERSION;
        psk.psk_info.identity.s = (const uint8_t *)m->p.meter->identity;
        psk.psk_info.identity.length = strlen(m->p.meter->identity);
        psk.psk_info.key.s = m->p.meter->psk;
        psk.psk_info.key.length = sizeof m->p.meter->psk;
        m->session =
                coap_new_client_session_psk2(c->context, NULL, &c->server, COAP_PROTO_DTLS, &psk);
        if (!m->session)
                return false;
        coap_session_set_app_data(m->session, m);
        m->finished = m->failed = false;
        c->open++;
        return true;
}

static void close_session(struct sim_coap *c, struct coap_meter *m)
{
        uint64_t now = uv_now(&m->sim->loop);

        coap_session_set_app_data(m->session, NULL);
        coap_session_release(m->session);
        m->session = NULL;
        m->finished = false;
        m->p.sent = 0;
        c->open--;
        if (m->failed) {
                m->retry_ms = m->retry_ms * 2 < RETRY_MAX_MS ? m->retry_ms * 2 : RETRY_MAX_MS;
                if (m->retry_ms < RETRY_MIN_MS)
                        m->retry_ms = RETRY_MIN_MS;
                m->retry_at = now + m->retry_ms;
        }
        m->failed = false;
}

static bool add_post(coap_pdu_t *pdu, struct coap_meter *m, const struct buf *body)
{
        uint8_t format[4];

        coap_session_new_token(m->session, &m->token_len, m->token);
        return coap_add_token(pdu, m->token_len, m->token) &&
               coap_add_option(pdu, COAP_OPTION_URI_PATH, 2, (const uint8_t *)"v1") &&
               coap_add_option(pdu, COAP_OPTION_URI_PATH, 9, (const uint8_t *)"telemetry") &&
               coap_add_option(pdu, COAP_OPTION_CONTENT_FORMAT,
                               coap_encode_var_safe(format, sizeof format,
                                                    COAP_MEDIATYPE_APPLICATION_SENML_JSON),
                               format) &&
               coap_add_data(pdu, body->len, body->p);
}

static void post(struct coap_meter *m, unsigned n)
{
        struct sim *s = m->sim;
        struct buf body = BUF_INIT;
        coap_pdu_t *pdu = coap_new_pdu(COAP_MESSAGE_CON, COAP_REQUEST_CODE_POST, m->session);

        pusher_message(&m->p, n, &body);
        if (!pdu || body.failed || !add_post(pdu, m, &body)) {
                coap_delete_pdu(pdu);
                give_up(m);
        } else {
                m->p.sent = n;
                m->answer_by = uv_now(&s->loop) + ANSWER_MS;
                s->stats.pushed++;
                if (coap_send(m->session, pdu) == COAP_INVALID_MID)
                        give_up(m);
        }
        buf_deinit(&body);
}

static void step(struct sim_coap *c, struct coap_meter *m)
{
        struct sim *s = m->sim;
        unsigned max = s->opt.per_message < PER_MESSAGE ? s->opt.per_message : PER_MESSAGE;
        unsigned n = m->p.sent ? 0 : pusher_due(&m->p, s, max);
        uint64_t now = uv_now(&s->loop);

        if (m->session && m->p.sent && now >= m->answer_by)
                give_up(m);
        if (m->session && (m->finished || (n == 0 && !m->p.sent)))
                close_session(c, m);
        if (m->p.sent || n == 0 || now < m->retry_at)
                return;
        if (!m->session && (c->open >= s->opt.coap_sessions || !open_session(c, m)))
                return;
        if (sim_take_token(s))
                post(m, n);
}

void sim_coap_tick(struct sim *s)
{
        struct sim_coap *c = s->coap;

        if (!c || c->n == 0)
                return;
        coap_io_process(c->context, COAP_IO_NO_WAIT);
        /* Begin where the last round ended, so that none waits for ever for a session. */
        for (unsigned i = 0; i < c->n; i++)
                step(c, &c->meters[(c->turn + i) % c->n]);
        c->turn = (c->turn + 1) % c->n;
        coap_io_process(c->context, COAP_IO_NO_WAIT);
}

static void on_ready(uv_poll_t *h, int status, int events)
{
        struct sim *s = h->data;
        struct sim_coap *c = s->coap;

        (void)status, (void)events;
        coap_io_process(c->context, COAP_IO_NO_WAIT);
        for (unsigned i = 0; i < c->n; i++)
                if (c->meters[i].session)
                        step(c, &c->meters[i]);
}

bool sim_coap_done(const struct sim *s)
{
        for (unsigned i = 0; s->coap && i < s->coap->n; i++) {
                const struct coap_meter *m = &s->coap->meters[i];

                /* The handshake of these is refused for ever: nothing to wait for. */
                if (!m->p.meter->unknown && !m->p.meter->wrong_key && !pusher_done(&m->p, s))
                        return false;
        }
        return true;
}

static int resolve(const struct sim_address *a, coap_address_t *ret)
{
        struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *list;
        char port[8];

        snprintf(port, sizeof port, "%u", a->port);
        if (getaddrinfo(a->host, port, &hints, &list) != 0)
                return -EHOSTUNREACH;
        coap_address_init(ret);
        ret->size = list->ai_addrlen;
        memcpy(&ret->addr, list->ai_addr, list->ai_addrlen);
        freeaddrinfo(list);
        return 0;
}

int sim_coap_open(struct sim *s)
{
        struct sim_coap *c = calloc(1, sizeof *c);
        int r;

        if (!c)
                return -ENOMEM;
        s->coap = c;
        if (s->opt.count[SIM_COAP] == 0)
                return 0;
        r = resolve(&s->opt.coap, &c->server);
        if (r) {
                fprintf(stderr, "headrace-sim: --coap-server %s: no such host\n", s->opt.coap.host);
                return r;
        }
        c->meters = calloc(s->opt.count[SIM_COAP], sizeof *c->meters);
        coap_startup();
        coap_set_log_level(LOG_EMERG);
        coap_dtls_set_log_level(LOG_EMERG);
        c->context = coap_new_context(NULL);
        if (!c->meters || !c->context)
                return -ENOMEM;
        for (unsigned i = 0; i < s->n; i++)
                if (s->meters[i].kind == SIM_COAP) {
                        pusher_init(&c->meters[c->n].p, s, &s->meters[i]);
                        c->meters[c->n].retry_ms = RETRY_MIN_MS;
                        c->meters[c->n++].sim = s;
                }
        coap_register_response_handler(c->context, on_response);
        coap_register_nack_handler(c->context, on_nack);
        coap_register_event_handler(c->context, on_event);
        r = uv_poll_init(&s->loop, &c->poll, coap_context_get_coap_fd(c->context));
        if (r)
                return r;
        c->polling = true;
        c->poll.data = s;
        return uv_poll_start(&c->poll, UV_READABLE, on_ready);
}

void sim_coap_close(struct sim *s)
{
        if (!s->coap)
                return;
        for (unsigned i = 0; i < s->coap->n; i++)
                if (s->coap->meters[i].session)
                        close_session(s->coap, &s->coap->meters[i]);
        if (s->coap->polling) {
                uv_poll_stop(&s->coap->poll);
                uv_close((uv_handle_t *)&s->coap->poll, NULL);
        }
}

void sim_coap_free(struct sim *s)
{
        if (!s->coap)
                return;
        if (s->coap->context) {
                coap_free_context(s->coap->context);
                coap_cleanup();
        }
        free(s->coap->meters);
        free(s->coap);
        s->coap = NULL;
}
