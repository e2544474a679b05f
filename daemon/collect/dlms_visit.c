/*
 * A visit to a DLMS/COSEM meter: connections, associations, what went wrong with them. One
 * association does all that is due (dlms_read.c). Further ones only to learn the invocation counter
 * a meter is ahead with, to find out which key is wrong, after requests in lists broke the session,
 * and to prove new keys.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dlms_visit_internal.h"
#include "hex.h"

enum {
        /* A plain answer may not push the counter to its end: no farther at once than this. */
        COUNTER_JUMP_MAX = 1 << 26,
        PUBLIC_CLIENT = 16,
};

static void open_leg(struct dlms_visit *d);

int64_t dlms_visit_now_ms(const struct dlms_visit *d)
{
        return (int64_t)uv_now(d->v.shared->loop);
}

int64_t dlms_visit_now_s(const struct dlms_visit *d)
{
        return d->v.request.now_s + (dlms_visit_now_ms(d) - d->v.started_ms) / 1000;
}

static enum visit_cause cause_of(unsigned error)
{
        switch (error) {
        case DLMS_E_TRANSPORT_CONNECT:
                return VISIT_NO_ROUTE;
        case DLMS_E_TRANSPORT_CLOSED:
                return VISIT_LOST;
        case DLMS_E_TIMEOUT_CONNECT:
        case DLMS_E_TIMEOUT_ASSOCIATE:
        case DLMS_E_ASSOCIATION_CLOSED:
        case DLMS_E_WRAPPER_ADDRESS:
                return VISIT_SAP;
        case DLMS_E_TIMEOUT_HLS:
        case DLMS_E_TIMEOUT_REQUEST:
                return VISIT_TIMEOUT;
        case DLMS_E_ENCRYPTION_KEY:
                return VISIT_WRONG_EK;
        case DLMS_E_AUTHENTICATION_KEY:
                return VISIT_WRONG_AK;
        case DLMS_E_TAG:
        case DLMS_E_HLS_REFUSED:
        case DLMS_E_HLS_REFUSED_SIGNATURE:
        case DLMS_E_HLS_SERVER:
        case DLMS_E_HLS_SERVER_SIGNATURE:
        case DLMS_E_HLS_CHALLENGE:
        case DLMS_E_SIGNATURE:
        case DLMS_E_NOT_SIGNED:
        case DLMS_E_KEY_WRAP:
        case DLMS_E_KEY_AGREEMENT:
        case DLMS_E_SUITE:
        case DLMS_E_EXCEPTION_DECIPHERING:
                return VISIT_WRONG_KEY;
        case DLMS_E_KEY_MISSING:
                return VISIT_KEY_MISSING;
        case DLMS_E_EXCEPTION_COUNTER:
        case DLMS_E_COUNTER_EXHAUSTED:
        case DLMS_E_REPLAY:
                return VISIT_COUNTER;
        case DLMS_E_TITLE:
        case DLMS_E_TITLE_MISSING:
        case DLMS_E_RECIPIENT:
                return VISIT_TITLE;
        case DLMS_E_ASSOCIATION_AUTHENTICATION:
        case DLMS_E_HLS_REFUSED_SECRET:
        case DLMS_E_HLS_SERVER_SECRET:
                return VISIT_PASSWORD;
        case DLMS_E_HDLC_REFUSED:
        case DLMS_E_ASSOCIATION_REJECTED:
        case DLMS_E_ASSOCIATION_CONTEXT:
        case DLMS_E_ASSOCIATION_TITLE:
        case DLMS_E_ASSOCIATION_CALLING:
        case DLMS_E_ASSOCIATION_CALLED:
        case DLMS_E_ASSOCIATION_MECHANISM:
        case DLMS_E_ASSOCIATION_REQUIRED:
        case DLMS_E_ASSOCIATION_VERSION:
        case DLMS_E_ASSOCIATION_INITIATE:
        case DLMS_E_EXCEPTION_NOT_ALLOWED:
                return VISIT_NOT_ASSOCIATED;
        case DLMS_E_ARGUMENT:
                return VISIT_ADDRESS;
        case DLMS_E_CRYPTO:
                return VISIT_INTERNAL;
        default:
                return VISIT_BAD_FRAME;
        }
}

void dlms_visit_leave(struct dlms_visit *d)
{
        d->want = WANT_CLOSE;
        if (dlms_client_close(&d->client, dlms_visit_now_ms(d)) != 0)
                pump_close(&d->pump);
}

void dlms_visit_client_error(struct dlms_visit *d, int error)
{
        visit_fail(&d->v, cause_of((unsigned)error), "%s", dlms_error_text((unsigned)error));
        dlms_visit_leave(d);
}

void dlms_visit_get(struct dlms_visit *d, const struct dlms_attr *attr,
                    const struct dlms_selection *selection)
{
        int r = dlms_client_get(&d->client, attr, selection, dlms_visit_now_ms(d));

        if (r)
                dlms_visit_client_error(d, r);
}

void dlms_visit_rekey(struct dlms_visit *d)
{
        d->leg = LEG_REKEY;
        d->new_keys = true;
        d->retry = true;
        dlms_visit_leave(d);
}

/* ---- legs ---- */

static bool key_suspect(unsigned error)
{
        return error == DLMS_E_EXCEPTION_DECIPHERING || error == DLMS_E_HLS_REFUSED ||
               error == DLMS_E_ENCRYPTION_KEY || error == DLMS_E_AUTHENTICATION_KEY ||
               error == DLMS_E_TAG || error == DLMS_E_HLS_SERVER;
}

/* The counter is not what was wrong: do the keys of an earlier change work, or which key is it? */
static bool key_leg(struct dlms_visit *d)
{
        struct command *keys = dlms_visit_key_command(d);

        if (keys && !d->new_keys && key_suspect(d->first_error)) {
                d->leg = LEG_REKEY;
                d->new_keys = true;
                return true;
        }
        if (!d->probe_tried && d->first_error == DLMS_E_EXCEPTION_DECIPHERING &&
            d->v.address.policy == DLMS_POLICY_AUTHENTICATED_ENCRYPTED) {
                d->probe_tried = true;
                d->leg = LEG_PROBE;
                return true;
        }
        return false;
}

static void on_counter(struct dlms_visit *d, const struct dlms_event *ev)
{
        struct axdr_reader r;
        struct axdr_value v;
        int64_t seen;

        axdr_reader_init(&r, ev->data, ev->len);
        if (ev->result == DLMS_ACCESS_SUCCESS && axdr_next(&r, &v) && axdr_is_integer(&v, &seen) &&
            seen >= 0 && (uint64_t)seen >= d->ic_first &&
            (uint64_t)seen < d->ic_first + COUNTER_JUMP_MAX) {
                d->counter_floor = (uint64_t)seen + 1;
                d->retry = true;
        } else {
                d->retry = key_leg(d);
        }
        dlms_visit_leave(d);
}

static void on_associated(struct dlms_visit *d)
{
        const struct meter_model *m = d->v.request.model;

        switch (d->leg) {
        case LEG_COUNTER:
                d->want = WANT_COUNTER;
                d->attrs[0] = (struct dlms_attr){ 1, m->counter, 2 };
                break;
        case LEG_PROBE:
                /* Deciphered without a tag to check: it is the authentication key that is wrong. */
                d->v.failed = false;
                visit_fail(&d->v, VISIT_WRONG_AK,
                           "the meter deciphers what we send and refuses its authentication tag");
                dlms_visit_leave(d);
                return;
        case LEG_REKEY:
                command_rekeyed(dlms_visit_key_command(d), true);
                if (d->registers_done) {
                        d->want = WANT_LATE_COMMANDS;
                        dlms_visit_advance(d);
                        return;
                }
                __attribute__((fallthrough)); /* an earlier attempt changed them: a visit as any */
        case LEG_MAIN:
                d->want = WANT_CLOCK;
                d->attrs[0] = (struct dlms_attr){ 8, m->clock, 2 };
                break;
        }
        dlms_visit_get(d, &d->attrs[0], NULL);
}

/* Whether a meter that is ahead of our counter could have caused it. */
static bool counter_suspect(unsigned error)
{
        return error == DLMS_E_EXCEPTION_COUNTER || error == DLMS_E_EXCEPTION_DECIPHERING ||
               error == DLMS_E_HLS_REFUSED || error == DLMS_E_TIMEOUT_HLS ||
               error == DLMS_E_TRANSPORT_CLOSED || error == DLMS_E_ASSOCIATION_CLOSED ||
               error == DLMS_E_ASSOCIATION_AUTHENTICATION ||
               error == DLMS_E_EXCEPTION_NOT_ALLOWED || error == DLMS_E_EXCEPTION;
}

/* Another leg may still make this visit a good one, or tell its failure better. */
static bool another_leg(struct dlms_visit *d, unsigned error, uint64_t counter)
{
        const struct meter_model *m = d->v.request.model;

        if (dlms_visit_lists(d) && error != DLMS_E_TRANSPORT_CLOSED &&
            error != DLMS_E_TIMEOUT_REQUEST) {
                /* It granted lists, and answers one with nonsense: remembered for its model. */
                d->layout->no_lists = true;
                return true;
        }
        if (d->leg != LEG_MAIN || !d->ic_end || d->v.failed)
                return false;
        if (d->want != WANT_CLOCK) /* it understood us: neither counter nor keys */
                return false;
        d->first_error = error;
        if (!d->counter_tried && counter_suspect(error)) {
                d->counter_tried = true;
                if (counter > d->ic_first && counter < d->ic_first + COUNTER_JUMP_MAX) {
                        d->counter_floor = counter;
                        return true;
                }
                if (m->has_counter) {
                        d->leg = LEG_COUNTER;
                        return true;
                }
        }
        return key_leg(d);
}

static void on_probe_failed(struct dlms_visit *d, unsigned error)
{
        if (error != DLMS_E_EXCEPTION_DECIPHERING && error != DLMS_E_HLS_REFUSED &&
            error != DLMS_E_EXCEPTION_NOT_ALLOWED && error != DLMS_E_EXCEPTION_NOT_POSSIBLE &&
            error != DLMS_E_HLS_SERVER)
                return; /* the first failure stays the one told */
        d->v.failed = false;
        if (error == DLMS_E_EXCEPTION_DECIPHERING)
                visit_fail(&d->v, VISIT_WRONG_EK,
                           "the meter cannot decipher what we send, with or without an "
                           "authentication tag");
        else
                visit_fail(&d->v, VISIT_WRONG_AK,
                           "the meter deciphers what we send and refuses its authentication tag");
}

static void on_failed(struct dlms_visit *d, const struct dlms_event *ev)
{
        unsigned error = (unsigned)ev->error;

        if (d->want == WANT_CLOSE) {
                pump_close(&d->pump); /* what was to be done is done; the goodbye does not matter */
                return;
        }
        if (d->leg == LEG_PROBE) {
                on_probe_failed(d, error);
        } else if (d->leg == LEG_REKEY) {
                command_rekeyed(dlms_visit_key_command(d), false);
                if (!d->registers_done)
                        visit_fail(&d->v, cause_of(error), "%s", dlms_error_text(error));
        } else {
                d->retry = another_leg(d, error, ev->counter);
                visit_fail(&d->v, cause_of(error), "%s", dlms_error_text(error));
        }
        if (!d->retry)
                dlms_visit_cut_commands(d, dlms_error_text(error));
        pump_close(&d->pump);
}

static void on_drain(struct pump *p, void *arg)
{
        struct dlms_visit *d = arg;
        struct dlms_event ev;

        if (d->connecting && p->connected) {
                d->connecting = false;
                d->v.result.connections++;
                dlms_client_open(&d->client, dlms_visit_now_ms(d));
        }
        while (!p->closing && dlms_client_next_event(&d->client, &ev)) {
                if (ev.type == DLMS_EV_ASSOCIATED)
                        on_associated(d);
                else if (ev.type == DLMS_EV_RESULT && d->want == WANT_COUNTER)
                        on_counter(d, &ev);
                else if (ev.type == DLMS_EV_RESULT)
                        dlms_visit_result(d, &ev);
                else if (ev.type == DLMS_EV_CLOSED)
                        pump_close(p);
                else if (ev.type == DLMS_EV_FAILED)
                        on_failed(d, &ev);
        }
}

static void on_lost(struct pump *p, int error, bool connected, void *arg)
{
        struct dlms_visit *d = arg;

        (void)p;
        /* Of a connection that stood, the session tells more in its last event. */
        if (!connected)
                visit_fail(&d->v, visit_cause_of_transport(error, false), "%s port %u: %s",
                           d->v.address.host, d->v.address.port,
                           error ? uv_strerror(error) : "closed at once");
}

/* What comes after a leg that ended with another one wanted. */
static void next_leg(struct visit *v)
{
        open_leg((struct dlms_visit *)v);
}

static void on_pump_closed(struct pump *p, void *arg)
{
        struct dlms_visit *d = arg;
        bool stopped = d->v.result.cause == VISIT_SHUTDOWN;

        (void)p;
        visit_unwait(&d->v);
        d->v.result.round_trips += d->client.round_trips;
        if (d->ic_end) /* whatever the leg: a number taken once is not taken again */
                counters_used(d->v.shared->counters, d->v.request.meter->meter_id,
                              dlms_client_ic(&d->client));
        dlms_client_deinit(&d->client);
        d->client_made = false;
        if (!d->retry || stopped) {
                dlms_visit_cut_commands(d, d->v.failed ? d->v.result.detail
                                                       : "the connection ended");
                visit_finish(&d->v);
                return;
        }
        d->retry = false;
        if (d->leg == LEG_COUNTER && d->counter_floor)
                d->leg = LEG_MAIN;
        if (d->leg == LEG_MAIN || (d->leg == LEG_REKEY && d->v.failed)) {
                /* What went wrong before is to be mended by this leg; it does not count. */
                d->v.failed = false;
                d->v.result.cause = VISIT_READ;
                d->v.result.detail[0] = 0;
        }
        visit_wait(&d->v, d->v.request.model->pause_ms, next_leg);
}

static const struct pump_owner owner = { on_drain, on_lost, on_pump_closed };

/* ---- connecting ---- */

static bool needs_counter(const struct dlms_visit *d)
{
        return d->leg != LEG_COUNTER &&
               (d->v.address.policy != DLMS_POLICY_NONE || d->v.address.auth == DLMS_AUTH_GMAC);
}

static void take_key(bool *ret_has, uint8_t *to, const struct secret *key, unsigned suite)
{
        *ret_has = key->len == dlms_key_size(suite);
        if (*ret_has)
                memcpy(to, key->bytes, key->len);
}

static void fill_security(struct dlms_visit *d, struct dlms_client_config *c)
{
        const struct registry_meter *meter = d->v.request.meter;
        struct command *keys = d->new_keys ? dlms_visit_key_command(d) : NULL;
        const struct secret *secret = d->v.address.auth >= DLMS_AUTH_HLS ? &meter->hls : &meter->lls;

        c->auth = d->v.address.auth;
        c->policy = d->leg == LEG_PROBE ? DLMS_POLICY_ENCRYPTED : d->v.address.policy;
        c->secret = secret->bytes;
        c->secret_len = secret->len;
        c->challenge_len = 16;
        uv_random(NULL, NULL, c->challenge, c->challenge_len, 0, NULL);
        memcpy(c->client_title, d->v.shared->client_title, sizeof c->client_title);
        if (hex_decode(meter->identity, strlen(meter->identity), c->server_title,
                       sizeof c->server_title) != DLMS_TITLE_SIZE)
                memset(c->server_title, 0, sizeof c->server_title);
        c->keys.suite = d->v.request.model->suite;
        take_key(&c->keys.has_ek, c->keys.ek, keys ? command_new_guek(keys) : &meter->guek,
                 c->keys.suite);
        take_key(&c->keys.has_ak, c->keys.ak, keys ? command_new_gak(keys) : &meter->gak,
                 c->keys.suite);
        c->ic_first = d->ic_first;
        c->ic_end = d->ic_end;
}

static void fill_config(struct dlms_visit *d, struct dlms_client_config *c)
{
        const struct meter_address *a = &d->v.address;

        *c = (struct dlms_client_config){
                .framing = a->framing,
                .client_sap = d->leg == LEG_COUNTER ? PUBLIC_CLIENT : a->client_sap,
                .server_sap = a->server_sap,
                .physical = a->physical,
                .crypto = d->v.shared->crypto,
                .timeout_ms = d->v.shared->answer_timeout_ms,
                .retries = 2,
                .no_release = d->v.request.model->no_release,
                .scratch = d->scratch,
                .scratch_size = sizeof d->scratch
        };
        if (d->leg != LEG_COUNTER)
                fill_security(d, c);
}

/* Before anything was connected. */
static void give_up(struct dlms_visit *d)
{
        dlms_visit_cut_commands(d, d->v.result.detail);
        visit_finish(&d->v);
}

static void connect_leg(struct dlms_visit *d)
{
        struct dlms_client_config c;
        int r;

        if (needs_counter(d) && (!d->v.request.meter->guek.len || !d->v.request.meter->gak.len)) {
                visit_fail(&d->v, VISIT_KEY_MISSING,
                           "the registry has no encryption or authentication key for it");
                give_up(d);
                return;
        }
        fill_config(d, &c);
        r = dlms_client_init(&d->client, &c);
        dlms_keys_wipe(&c.keys);
        if (r == 0) {
                d->client_made = true;
                d->connecting = true;
                d->want = WANT_CLOCK;
                r = pump_open(&d->pump, d->v.shared->loop, &dlms_client_core, &d->client,
                              d->v.address.host, d->v.address.port, d->v.shared->connect_timeout_ms,
                              &owner, d);
                if (r == 0)
                        return;
                dlms_client_deinit(&d->client);
                d->client_made = false;
                visit_fail(&d->v, VISIT_ADDRESS, "%s", uv_strerror(r));
        } else {
                visit_fail(&d->v, VISIT_ADDRESS, "%s", dlms_error_text((unsigned)r));
        }
        give_up(d);
}

static void on_counters(void *arg, int status, uint64_t first, uint64_t end)
{
        struct dlms_visit *d = arg;

        d->reserving = false;
        if (status < 0)
                visit_fail(&d->v, status == -EOVERFLOW ? VISIT_COUNTER : VISIT_NOT_STORED,
                           "invocation counters cannot be reserved: %s", strerror(-status));
        if (status < 0 || d->v.result.cause == VISIT_SHUTDOWN) {
                give_up(d);
                return;
        }
        d->ic_first = first;
        d->ic_end = end;
        connect_leg(d);
}

static void open_leg(struct dlms_visit *d)
{
        if (!needs_counter(d)) {
                connect_leg(d);
                return;
        }
        d->reserving = true;
        counters_reserve(d->v.shared->counters, d->v.request.meter->meter_id, d->counter_floor,
                         on_counters, d);
}

static void begin(struct visit *v)
{
        struct dlms_visit *d = (struct dlms_visit *)v;

        d->next_from = INT64_MIN;
        d->period_s = v->request.meter->period_s ? v->request.meter->period_s
                                                 : v->request.model->profile.period_s;
        d->layout = layout_take(v->shared->layouts, v->request.model->name);
        if (!d->layout) {
                visit_fail(v, VISIT_INTERNAL, "out of memory");
                give_up(d);
                return;
        }
        if (v->request.wait_ms)
                visit_wait(v, v->request.wait_ms, next_leg);
        else
                open_leg(d);
}

static void stop(struct visit *v)
{
        struct dlms_visit *d = (struct dlms_visit *)v;

        d->retry = false;
        if (d->client_made) {
                pump_close(&d->pump);
        } else if (!d->reserving && d->layout) { /* waiting between two legs */
                visit_unwait(v);
                give_up(d);
        }
}

static void release(struct visit *v)
{
        struct dlms_visit *d = (struct dlms_visit *)v;

        layout_give(v->shared->layouts, d->layout);
        free(d);
}

static const struct visit_ops ops = { begin, stop, release };

struct visit *dlms_visit_new(void)
{
        struct dlms_visit *d = calloc(1, sizeof *d);

        if (!d)
                return NULL;
        d->v.ops = &ops;
        return &d->v;
}
