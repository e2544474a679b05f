#include "meter_session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "meter.h"
#include "meter_counter.h"
#include "meter_fault.h"
#include "pump.h"

enum { SCRATCH_SIZE = 4 << 20, CHALLENGE = 16 };

/* Stands between the pump and the core that speaks, so that every byte is seen. */
struct tap {
        const struct core_ops *ops;
        void *core;
        const struct meter_watch *watch;
};

struct meter_session {
        const struct meter_options *o;
        uv_loop_t loop;
        struct pump pump;
        struct tap tap;
        struct mode_e mode_e;
        struct dlms_client client;
        struct dlms_crypto *crypto;
        bool loop_open, pump_open, client_made, signing_on, begun;
        bool associated, closed, failed, done, told;
        uint8_t result;
        int64_t started_ms, connect_ms, associate_ms;
        struct buf *value; /* borrowed: of the request in flight */
        struct meter_fault fault;
        uint8_t *scratch;
};

/* ---- the tap ---- */

static size_t tap_recv(void *core, const uint8_t *in, size_t n, int64_t now_ms)
{
        struct tap *t = core;
        size_t taken = t->ops->recv(t->core, in, n, now_ms);

        if (taken && t->watch && t->watch->bytes)
                t->watch->bytes(t->watch->arg, false, in, taken);
        return taken;
}

static void tap_expire(void *core, int64_t now_ms)
{
        struct tap *t = core;

        t->ops->expire(t->core, now_ms);
}

static void tap_closed(void *core, int error, int64_t now_ms)
{
        struct tap *t = core;

        t->ops->closed(t->core, error, now_ms);
}

static size_t tap_output(void *core, const uint8_t **ret)
{
        struct tap *t = core;

        return t->ops->output(t->core, ret);
}

static void tap_output_done(void *core, size_t n)
{
        struct tap *t = core;
        const uint8_t *p;

        if (t->watch && t->watch->bytes && t->ops->output(t->core, &p) >= n)
                t->watch->bytes(t->watch->arg, true, p, n);
        t->ops->output_done(t->core, n);
}

static int64_t tap_deadline(void *core)
{
        struct tap *t = core;

        return t->ops->deadline(t->core);
}

static const struct core_ops tap_ops = { tap_recv,   tap_expire,      tap_closed,
                                         tap_output, tap_output_done, tap_deadline };

static void tap_speak(struct meter_session *s, const struct core_ops *ops, void *core,
                      const char *phase)
{
        s->tap.ops = ops;
        s->tap.core = core;
        if (s->tap.watch && s->tap.watch->connected)
                s->tap.watch->connected(s->tap.watch->arg, phase);
}

/* ---- what happens on the line ---- */

static int64_t now_ms(struct meter_session *s)
{
        return (int64_t)uv_now(&s->loop);
}

static void begin_client(struct meter_session *s)
{
        s->begun = true;
        tap_speak(s, &dlms_client_core, &s->client,
                  s->o->framing == DLMS_FRAMING_HDLC ? "hdlc" : "wrapper");
        dlms_client_open(&s->client, now_ms(s));
}

static void on_sign_on(struct meter_session *s)
{
        struct mode_e_event ev;

        while (mode_e_next_event(&s->mode_e, &ev)) {
                if (ev.type == MODE_E_EV_FAILED) {
                        meter_fault_sign_on(&s->fault, ev.error, s->mode_e.identification);
                        s->failed = true;
                        pump_close(&s->pump);
                } else if (ev.type == MODE_E_EV_SWITCH) {
                        struct line_settings line = { ev.baud, LINE_8N1 };

                        s->signing_on = false;
                        pump_set_line(&s->pump, &line);
                }
        }
}

static void on_event(struct meter_session *s, const struct dlms_event *ev)
{
        switch (ev->type) {
        case DLMS_EV_ASSOCIATED:
                s->associated = true;
                s->associate_ms = now_ms(s) - s->started_ms;
                break;
        case DLMS_EV_RESULT:
                s->result = ev->result;
                s->done |= ev->last;
                if (s->value && ev->result == 0 && ev->data)
                        buf_put(s->value, ev->data, ev->len);
                break;
        case DLMS_EV_CLOSED:
                s->closed = true;
                pump_close(&s->pump);
                break;
        case DLMS_EV_FAILED:
                if (!s->failed && !s->closed)
                        meter_fault_session(&s->fault, s->o, &s->client, ev, s->associated);
                s->failed = true;
                pump_close(&s->pump);
                break;
        case DLMS_EV_NONE:
        case DLMS_EV_NOTIFICATION:
                break;
        }
}

static void on_drain(struct pump *p, void *arg)
{
        struct meter_session *s = arg;
        struct dlms_event ev;

        if (!s->told && p->connected) {
                s->told = true;
                s->connect_ms = now_ms(s) - s->started_ms;
                if (s->signing_on) {
                        tap_speak(s, &mode_e_core, &s->mode_e, "iec62056-21");
                        mode_e_open(&s->mode_e, now_ms(s));
                }
        }
        if (s->signing_on && p->connected)
                on_sign_on(s);
        /* Once the line is at its new rate. */
        if (!s->signing_on && !s->begun && p->connected && !p->changing && !p->closing)
                begin_client(s);
        while (s->begun && !p->closing && dlms_client_next_event(&s->client, &ev))
                on_event(s, &ev);
}

static void on_lost(struct pump *p, int error, bool connected, void *arg)
{
        struct meter_session *s = arg;

        (void)p;
        /* Of a connection that stood, the session tells more in its last event. */
        if (!connected) {
                meter_fault_transport(&s->fault, s->o, error);
                s->failed = true;
        }
}

static void on_closed(struct pump *p, void *arg)
{
        struct meter_session *s = arg;

        (void)p;
        s->pump_open = false;
}

static const struct pump_owner owner = { on_drain, on_lost, on_closed };

/* ---- making a session ---- */

static int fill_config(struct meter_session *s, bool as_public, uint64_t first,
                       const uint8_t *title, struct dlms_client_config *c)
{
        const struct meter_options *o = s->o;

        *c = (struct dlms_client_config){ .framing = o->framing,
                                          .client_sap = as_public ? 16 : o->client_sap,
                                          .server_sap = o->server_sap,
                                          .physical = o->physical,
                                          .address_size = o->address_size,
                                          .crypto = s->crypto,
                                          .timeout_ms = o->timeout_ms,
                                          .retries = o->retries,
                                          .no_release = o->no_release,
                                          .scratch = s->scratch,
                                          .scratch_size = SCRATCH_SIZE };
        if (as_public)
                return 0;
        c->auth = o->auth;
        c->policy = o->policy;
        c->general = o->general;
        c->secret = o->password.bytes;
        c->secret_len = o->password.len;
        c->challenge_len = CHALLENGE;
        if (getrandom(c->challenge, CHALLENGE, 0) != CHALLENGE)
                return -EIO;
        memcpy(c->client_title, title, DLMS_TITLE_SIZE);
        if (o->has_server_title)
                memcpy(c->server_title, o->server_title, DLMS_TITLE_SIZE);
        c->keys.suite = o->suite;
        c->keys.has_ek = o->guek.len > 0;
        c->keys.has_ak = o->gak.len > 0;
        memcpy(c->keys.ek, o->guek.bytes, o->guek.len <= DLMS_KEY_MAX ? o->guek.len : 0);
        memcpy(c->keys.ak, o->gak.bytes, o->gak.len <= DLMS_KEY_MAX ? o->gak.len : 0);
        c->ic_first = first;
        c->ic_end = first ? first + METER_COUNTER_SESSION : 0;
        return 0;
}

/* Our title and, when ciphered, numbers for this session. */
static int prepare(struct meter_session *s, bool as_public, uint64_t floor,
                   uint8_t title[static DLMS_TITLE_SIZE], uint64_t *ret_first)
{
        const struct meter_options *o = s->o;
        bool titled = meter_options_ciphered(o) || o->auth == DLMS_AUTH_HLS_SHA256;
        int r = 0;

        memcpy(title, o->client_title, DLMS_TITLE_SIZE);
        *ret_first = 0;
        if (as_public || !titled)
                return 0;
        if (!o->has_client_title)
                r = meter_counter_title(o->counter_file, title);
        if (!r && meter_options_ciphered(o))
                r = meter_counter_reserve(o->counter_file, o->guek.bytes, o->guek.len, title, floor,
                                          ret_first);
        if (r)
                meter_fault_counter_file(&s->fault, o->counter_file, r);
        return r;
}

static int open_pump(struct meter_session *s)
{
        const struct meter_route *r = &s->o->route;

        s->signing_on = r->optical;
        if (r->optical && mode_e_init(&s->mode_e, &r->mode_e)) {
                meter_fault_sign_on(&s->fault, MODE_E_ARGUMENT, "");
                return -EINVAL;
        }
        if (r->serial)
                return pump_open_line(&s->pump, &s->loop, &tap_ops, &s->tap, r->host, &r->line,
                                      &owner, s);
        return pump_open(&s->pump, &s->loop, &tap_ops, &s->tap, r->host, r->port, s->o->connect_ms,
                         &owner, s);
}

static int start(struct meter_session *s, bool as_public, uint64_t floor)
{
        uint8_t title[DLMS_TITLE_SIZE];
        struct dlms_client_config c;
        uint64_t first;
        int r;

        s->crypto = dlms_crypto_new();
        s->scratch = malloc(SCRATCH_SIZE);
        if (!s->crypto || !s->scratch || uv_loop_init(&s->loop))
                return -ENOMEM;
        s->loop_open = true;
        s->started_ms = now_ms(s);
        r = prepare(s, as_public, floor, title, &first);
        if (!r)
                r = fill_config(s, as_public, first, title, &c);
        if (r)
                return r;
        r = dlms_client_init(&s->client, &c);
        dlms_keys_wipe(&c.keys);
        if (r) {
                meter_fault_settings(&s->fault, (unsigned)r);
                return -EINVAL;
        }
        s->client_made = true;
        /* Until something is to be said, the client listens: nothing arrives before that. */
        s->tap.ops = &dlms_client_core;
        s->tap.core = &s->client;
        r = open_pump(s);
        s->pump_open = r == 0;
        return r;
}

static void run_until(struct meter_session *s, const bool *flag)
{
        while (!*flag && s->pump_open)
                uv_run(&s->loop, UV_RUN_ONCE);
}

static int open_at(struct meter_session **ret, const struct meter_options *o, bool as_public,
                   uint64_t floor, const struct meter_watch *watch, struct meter_fault *fault)
{
        struct meter_session *s = calloc(1, sizeof *s);
        int r;

        *fault = (struct meter_fault){ .exit = METER_FAILED, .what = "out of memory" };
        if (!s)
                return METER_FAILED;
        s->o = o;
        s->tap.watch = watch;
        s->fault = *fault;
        r = start(s, as_public, floor);
        if (r == 0)
                run_until(s, &s->associated);
        if (r == 0 && s->associated) {
                *ret = s;
                return 0;
        }
        *fault = s->fault;
        meter_session_close(s);
        return fault->exit;
}

int meter_session_open(struct meter_session **ret, const struct meter_options *o, bool as_public,
                       const struct meter_watch *watch, struct meter_fault *fault)
{
        return open_at(ret, o, as_public, 0, watch, fault);
}

/* The counter the meter last saw, as its public client is told; 0 = it does not say. */
static uint64_t ask_counter(const struct meter_options *o, const struct meter_watch *watch)
{
        const struct dlms_attr attr = { 1, o->counter, 2 };
        struct meter_session *s;
        struct meter_fault fault;
        struct axdr_reader r;
        struct axdr_value v;
        struct buf value = BUF_INIT;
        uint64_t seen = 0;
        uint8_t result;
        int64_t i;

        if (meter_session_open(&s, o, true, watch, &fault))
                return 0;
        if (meter_session_get(s, &attr, NULL, &value, &result, &fault) == 0 && result == 0) {
                axdr_reader_init(&r, value.p, value.len);
                if (axdr_next(&r, &v) && axdr_is_integer(&v, &i) && i > 0 && i < UINT32_MAX)
                        seen = (uint64_t)i;
        }
        meter_session_close(s);
        buf_deinit(&value);
        return seen;
}

/* Whether a meter that is ahead of us could have caused it: few say so plainly. */
static bool counter_suspect(const struct meter_fault *f)
{
        switch (f->error) {
        case DLMS_E_EXCEPTION_COUNTER:
        case DLMS_E_EXCEPTION_DECIPHERING:
        case DLMS_E_EXCEPTION_NOT_ALLOWED:
        case DLMS_E_EXCEPTION:
        case DLMS_E_HLS_REFUSED:
        case DLMS_E_ASSOCIATION_CLOSED:
        case DLMS_E_TIMEOUT_HLS:
        case DLMS_E_ASSOCIATION_AUTHENTICATION:
        case DLMS_E_TRANSPORT_CLOSED:
                return true;
        default:
                return false;
        }
}

int meter_session_open_counted(struct meter_session **ret, const struct meter_options *o,
                               const struct meter_watch *watch, struct meter_fault *fault)
{
        struct meter_fault second;
        uint64_t seen, ours;
        int r = meter_session_open(ret, o, false, watch, fault);

        if (r == 0 || !meter_options_ciphered(o) || !counter_suspect(fault))
                return r;
        seen = fault->counter ? fault->counter : ask_counter(o, watch);
        /* Only a meter that is ahead of us refuses for that reason. */
        ours = fault->counter_used;
        if (seen < ours)
                return r;
        r = open_at(ret, o, false, seen + 1, watch, &second);
        if (r)
                *fault = second;
        return r;
}

/* ---- using it ---- */

int meter_session_get(struct meter_session *s, const struct dlms_attr *attr,
                      const struct dlms_selection *selection, struct buf *value,
                      uint8_t *ret_result, struct meter_fault *fault)
{
        int e;

        buf_reset(value);
        s->value = value;
        s->done = false;
        uv_update_time(&s->loop);
        e = s->failed ? DLMS_E_BUSY : dlms_client_get(&s->client, attr, selection, now_ms(s));
        if (e == 0) {
                pump_kick(&s->pump);
                run_until(s, &s->done);
        } else if (!s->failed) {
                meter_fault_command(&s->fault, (unsigned)e);
        }
        s->value = NULL;
        if (e == 0 && s->done && !value->failed) {
                *ret_result = s->result;
                return 0;
        }
        *fault = s->fault;
        return fault->exit;
}

const struct dlms_client *meter_session_client(const struct meter_session *s)
{
        return &s->client;
}

const char *meter_session_identification(const struct meter_session *s)
{
        return s->mode_e.identification;
}

int64_t meter_session_connect_ms(const struct meter_session *s)
{
        return s->connect_ms;
}

int64_t meter_session_associate_ms(const struct meter_session *s)
{
        return s->associate_ms;
}

void meter_session_close(struct meter_session *s)
{
        if (!s)
                return;
        if (s->pump_open) {
                uv_update_time(&s->loop);
                if (s->associated && !s->failed && dlms_client_close(&s->client, now_ms(s)) == 0)
                        pump_kick(&s->pump);
                else
                        pump_close(&s->pump);
        }
        while (s->pump_open)
                uv_run(&s->loop, UV_RUN_ONCE);
        if (s->loop_open)
                uv_loop_close(&s->loop);
        if (s->client_made)
                dlms_client_deinit(&s->client);
        dlms_crypto_free(s->crypto);
        free(s->scratch);
        free(s);
}
