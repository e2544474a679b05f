/* What the meter answers: opening, exceptions, results, blocks, lists. */
#include "client_internal.h"
#include "envelope.h"

#include <string.h>

#include "access.h"

static int check_counter(struct dlms_client *c, bool dedicated, uint32_t ic)
{
        uint64_t *seen = dedicated ? &c->server_ic_dedicated : &c->server_ic;

        if (ic < *seen)
                return DLMS_E_REPLAY;
        *seen = (uint64_t)ic + 1;
        return 0;
}

/* Not the initiate-response in an AARE, nor what a meter pushes into the session. */
static bool must_be_signed(const struct dlms_client *c, uint8_t tag)
{
        return c->state != DLMS_CLIENT_ASSOCIATING && tag != APDU_DATA_NOTIFICATION &&
               tag != APDU_EVENT_NOTIFICATION;
}

int client_open_apdu(struct dlms_client *c, uint8_t *p, size_t n, uint8_t **ret_p, size_t *ret_n)
{
        struct dlms_end end = client_end(c);
        struct dlms_opened o;
        int e;

        if (!apdu_is_protected(p[0])) {
                bool error = p[0] == APDU_EXCEPTION || p[0] == APDU_CONFIRMED_SERVICE_ERROR;

                if (client_is_ciphered(c) && !error)
                        return DLMS_E_NOT_CIPHERED;
                *ret_p = p;
                *ret_n = n;
                return 0;
        }
        e = dlms_unseal(&end, p, n, &o);
        if (e)
                return e;
        if (o.foreign)
                return DLMS_E_TITLE;
        if (c->cfg.sign && !o.is_signed && must_be_signed(c, o.p[0]))
                return DLMS_E_NOT_SIGNED;
        if (!o.ciphered)
                return client_is_ciphered(c) ? DLMS_E_NOT_CIPHERED : DLMS_E_UNEXPECTED;
        if ((o.protection.sc & c->cfg.policy) != c->cfg.policy)
                return DLMS_E_SECURITY;
        *ret_p = o.p;
        *ret_n = o.n;
        return check_counter(c, o.dedicated, o.protection.ic);
}

/* ---- refusals ---- */

/* Whether a request in another form may do where this error came. */
static bool is_curable(enum dlms_error e)
{
        return e == DLMS_E_EXCEPTION || e == DLMS_E_EXCEPTION_NOT_ALLOWED ||
               e == DLMS_E_EXCEPTION_UNKNOWN || e == DLMS_E_EXCEPTION_NOT_POSSIBLE ||
               e == DLMS_E_EXCEPTION_NOT_SUPPORTED || e == DLMS_E_EXCEPTION_TOO_LONG;
}

static int done(struct dlms_client *c, uint8_t result, const uint8_t *data, size_t n,
                int64_t now_ms);

/* The request's own result, if the caller wants it so: 0, else the session's error. */
static int refused(struct dlms_client *c, enum dlms_error error, uint8_t detail, int64_t now_ms)
{
        if (!c->cfg.exceptions_are_results) {
                c->failed_detail = detail;
                return (int)error;
        }
        done(c, DLMS_ACCESS_OTHER, NULL, 0, now_ms);
        c->event.error = error;
        c->event.detail = detail;
        return 0;
}

static bool is_requesting(const struct dlms_client *c)
{
        return c->state == DLMS_CLIENT_GETTING || c->state == DLMS_CLIENT_SETTING ||
               c->state == DLMS_CLIENT_ACTING || c->state == DLMS_CLIENT_ACCESSING ||
               c->state == DLMS_CLIENT_READING;
}

int client_on_exception(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms)
{
        struct apdu_exception x;
        enum dlms_error error;
        int e = apdu_exception_decode(apdu, n, &x);

        if (e)
                return e;
        error = apdu_exception_error(&x);
        c->gbt_active = false;
        if (is_requesting(c) && is_curable(error)) {
                if (client_fall_back(c, error != DLMS_E_EXCEPTION_TOO_LONG, now_ms, &e))
                        return e;
                return refused(c, error, (uint8_t)(x.state << 4 | x.service), now_ms);
        }
        c->failed_detail = (uint8_t)(x.state << 4 | x.service);
        c->failed_counter = x.counter;
        return (int)error;
}

int client_on_service_error(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms)
{
        struct apdu_service_error x;
        int e = apdu_service_error_decode(apdu, n, &x);

        if (e)
                return e;
        c->gbt_active = false;
        if (is_requesting(c)) {
                if (client_fall_back(c, true, now_ms, &e))
                        return e;
                return refused(c, DLMS_E_SERVICE_ERROR, (uint8_t)(x.kind << 4 | (x.reason & 0x0F)),
                               now_ms);
        }
        c->failed_detail = (uint8_t)(x.kind << 4 | (x.reason & 0x0F));
        return c->state == DLMS_CLIENT_ASSOCIATING ? DLMS_E_ASSOCIATION_INITIATE
                                                   : DLMS_E_SERVICE_ERROR;
}

/* ---- results ---- */

static void emit_result(struct dlms_client *c, uint8_t result, const uint8_t *data, size_t n,
                        bool last)
{
        client_emit(c, &(struct dlms_event){ .type = DLMS_EV_RESULT,
                                             .last = last,
                                             .index = c->request.at,
                                             .result = result,
                                             .data = data,
                                             .len = n });
}

/* The answer to a request of one item; of several asked one by one the next follows. */
static int done(struct dlms_client *c, uint8_t result, const uint8_t *data, size_t n,
                int64_t now_ms)
{
        struct dlms_client_request *q = &c->request;
        bool last = q->form != DLMS_FORM_SINGLES || q->at + 1 == q->n;

        if (last)
                client_enter(c, DLMS_CLIENT_READY, now_ms);
        emit_result(c, result, data, n, last);
        /* The next request may be built where this value lies: when it was taken. */
        q->next = !last;
        q->next_ms = now_ms;
        return 0;
}

/* Items of a reply with several are told one by one from next_event(). */
static int begin_items(struct dlms_client *c, const uint8_t *p, size_t n, size_t count,
                       int64_t now_ms)
{
        if (count != c->request.n)
                return count == 0 ? DLMS_E_APDU : DLMS_E_UNEXPECTED;
        client_enter(c, DLMS_CLIENT_READY, now_ms);
        axdr_reader_init(&c->items, p, n);
        c->list_at = 0;
        c->list_n = (uint8_t)count;
        return 0;
}

/* SET answers a byte an item. */
static bool set_result_next(struct axdr_reader *r, uint8_t *ret_result)
{
        if (axdr_left(r) == 0) {
                r->error = DLMS_E_TRUNCATED;
                return false;
        }
        *ret_result = *r->p++;
        return true;
}

static bool read_result_next(struct axdr_reader *r, struct dlms_event *ev)
{
        struct sn_result s;

        if (!sn_result_next(r, &s))
                return false;
        if (s.choice != SN_DATA && s.choice != SN_ERROR) {
                r->error = DLMS_E_UNEXPECTED;
                return false;
        }
        ev->result = s.error;
        ev->data = s.data;
        ev->len = s.n;
        return true;
}

static bool access_result_next(struct dlms_client *c, struct dlms_event *ev)
{
        const uint8_t *start = c->items.p;
        uint8_t choice = c->results[2 * ev->index];

        if (!axdr_skip(&c->items))
                return false;
        ev->result = c->results[2 * ev->index + 1];
        /* null-data stands for "none" unless it is the value that was read */
        if (ev->result == 0 && (choice == DLMS_GET || *start != AXDR_NULL)) {
                ev->data = start;
                ev->len = (size_t)(c->items.p - start);
        }
        return true;
}

bool client_next_item(struct dlms_client *c, struct dlms_event *ret)
{
        struct dlms_event ev = { .type = DLMS_EV_RESULT, .index = c->list_at };
        struct dlms_item buf;
        bool good;

        if (c->request.form == DLMS_FORM_ACCESS) {
                good = access_result_next(c, &ev);
        } else if (c->cfg.short_names) {
                good = read_result_next(&c->items, &ev);
        } else {
                enum dlms_service service = client_item(c, 0, &buf)->service;

                good = service == DLMS_GET
                               ? apdu_result_next(&c->items, &ev.result, &ev.data, &ev.len)
                       : service == DLMS_SET
                               ? set_result_next(&c->items, &ev.result)
                               : apdu_action_next(&c->items, &ev.result, &ev.data, &ev.len);
        }
        if (!good) {
                c->list_at = c->list_n;
                client_fail(c, (enum dlms_error)c->items.error);
                return false;
        }
        c->list_at++;
        ev.last = c->list_at == c->list_n;
        *ret = ev;
        return true;
}

/* ---- replies in blocks ---- */

static int take_block(struct dlms_client *c, uint32_t number, const uint8_t *p, size_t n)
{
        if (number != c->block)
                return DLMS_E_BLOCK_NUMBER;
        if (n > c->cfg.scratch_size - c->scratch_len)
                return DLMS_E_TOO_LONG;
        /* A block joined from general blocks lies in scratch itself, behind the ones before. */
        memmove(c->cfg.scratch + c->scratch_len, p, n);
        c->scratch_len += n;
        return 0;
}

/* Return parameters in blocks: the value alone, or as in a normal response. */
static int finish_action_blocks(struct dlms_client *c, int64_t now_ms)
{
        const uint8_t *data = c->cfg.scratch;
        size_t n = c->scratch_len;
        struct axdr_reader r;
        uint8_t result = 0;

        if (axdr_check(data, n)) {
                axdr_reader_init(&r, data, n);
                if (!apdu_action_next(&r, &result, &data, &n))
                        return r.error;
                if (axdr_left(&r) > 0)
                        return DLMS_E_TRAILING;
        }
        return done(c, result, data, n, now_ms);
}

static int finish_blocks(struct dlms_client *c, int64_t now_ms)
{
        struct axdr_reader r;
        size_t count;

        if (c->request.form != DLMS_FORM_LIST)
                return c->state == DLMS_CLIENT_ACTING
                               ? finish_action_blocks(c, now_ms)
                               : done(c, 0, c->cfg.scratch, c->scratch_len, now_ms);
        axdr_reader_init(&r, c->cfg.scratch, c->scratch_len);
        if (!axdr_length(&r, &count))
                return r.error;
        return begin_items(c, r.p, axdr_left(&r), count, now_ms);
}

static int ask_next_block(struct dlms_client *c, int64_t now_ms)
{
        struct axdr_writer w = client_begin(c);
        struct apdu_request q = {
                .tag = APDU_ACTION_REQUEST,
                .kind = APDU_NEXT,
                .invoke = client_invoke(c),
                .block = c->block,
        };

        if (c->state == DLMS_CLIENT_ACTING)
                apdu_put_request(&w, &q);
        else
                apdu_put_get_next(&w, client_invoke(c), c->block);
        c->block++;
        return client_send_request(c, &w, c->state, now_ms);
}

static int on_block(struct dlms_client *c, const struct apdu_response *a, int64_t now_ms)
{
        bool joined = c->cfg.scratch != NULL;
        int e = 0;

        if (a->result != 0)
                return done(c, a->result, NULL, 0, now_ms);
        if (c->request.blocks) {
                /* Our own blocks are all through; those of the answer count from 1. */
                if (c->request.done + c->request.part != c->request.total)
                        return DLMS_E_BLOCK_NUMBER;
                c->request.blocks = false;
                c->block = 1;
        }
        if (joined)
                e = take_block(c, a->block, a->data, a->n);
        else if (a->block != c->block)
                return DLMS_E_BLOCK_NUMBER;
        else if (c->request.form != DLMS_FORM_NORMAL || c->state != DLMS_CLIENT_GETTING)
                return DLMS_E_TOO_LONG;
        if (e)
                return e;
        if (a->last && joined)
                return finish_blocks(c, now_ms);
        if (a->last)
                return done(c, 0, a->data, a->n, now_ms);
        if (!joined)
                emit_result(c, 0, a->data, a->n, false);
        return ask_next_block(c, now_ms);
}

/* ---- our blocks, acknowledged ---- */

static int on_next(struct dlms_client *c, const struct apdu_response *a, int64_t now_ms)
{
        const struct dlms_client_request *q = &c->request;

        if (!q->blocks)
                return DLMS_E_UNEXPECTED;
        if (a->block != c->block || q->done + q->part >= q->total)
                return DLMS_E_BLOCK_NUMBER;
        return client_send_next_block(c, now_ms);
}

static int on_last(struct dlms_client *c, const struct apdu_response *a, int64_t now_ms)
{
        const struct dlms_client_request *q = &c->request;

        if (!q->blocks)
                return DLMS_E_UNEXPECTED;
        /* Given up in the middle: only with a reason. */
        if (a->block != c->block ||
            (q->done + q->part < q->total && a->kind == APDU_LAST && a->result == 0))
                return DLMS_E_BLOCK_NUMBER;
        if (a->kind == APDU_LAST)
                return q->form == DLMS_FORM_LIST ? DLMS_E_UNEXPECTED
                                                 : done(c, a->result, NULL, 0, now_ms);
        if (q->form != DLMS_FORM_LIST)
                return DLMS_E_UNEXPECTED;
        return begin_items(c, a->data, a->n, a->count, now_ms);
}

static int on_normal(struct dlms_client *c, const struct apdu_response *a, int64_t now_ms)
{
        int e;

        if (c->request.form != DLMS_FORM_LIST)
                return done(c, a->result, a->data, a->n, now_ms);
        /* One refusal for a whole list: it may have been too much, or an item the meter dislikes.
         */
        if (a->result != 0 && client_fall_back(c, false, now_ms, &e))
                return e;
        return DLMS_E_UNEXPECTED;
}

/* ---- ACCESS, Read ---- */

static int on_access(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms)
{
        struct access_response a;
        int e = access_response_decode(apdu, n, &a);

        if (e)
                return e;
        if ((a.invoke & ACCESS_INVOKE_MASK) != c->invoke_id)
                return DLMS_E_INVOKE_ID;
        c->results = a.results;
        return begin_items(c, a.data, a.data_len, a.count, now_ms);
}

static int on_read_results(struct dlms_client *c, const struct sn_response *a, int64_t now_ms)
{
        struct dlms_event ev = { 0 };
        struct axdr_reader r;

        if (c->request.form == DLMS_FORM_LIST)
                return begin_items(c, a->results, a->n, a->count, now_ms);
        if (a->count != 1)
                return DLMS_E_UNEXPECTED;
        axdr_reader_init(&r, a->results, a->n);
        if (!read_result_next(&r, &ev))
                return r.error;
        return done(c, ev.result, ev.data, ev.len, now_ms);
}

static int on_read_block(struct dlms_client *c, const struct sn_result *s, int64_t now_ms)
{
        struct sn_spec next = { .access = SN_BLOCK_NUMBER, .block = (uint16_t)c->block };
        struct sn_response a;
        struct axdr_writer w;
        int e;

        if (!c->cfg.scratch)
                return DLMS_E_TOO_LONG;
        e = take_block(c, s->block, s->data, s->n);
        if (!e && s->last) {
                e = sn_results_decode(c->cfg.scratch, c->scratch_len, &a);
                return e ? e : on_read_results(c, &a, now_ms);
        }
        if (e)
                return e;
        c->block++;
        w = client_begin(c);
        sn_put_read(&w, 1);
        sn_put_spec(&w, &next);
        return client_send_request(c, &w, c->state, now_ms);
}

static int on_read(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms)
{
        struct sn_response a;
        struct sn_result first;
        struct axdr_reader r;
        int e = sn_response_decode(apdu, n, &a);

        if (e)
                return e;
        axdr_reader_init(&r, a.results, a.n);
        if (a.count == 1 && sn_result_next(&r, &first) && first.choice == SN_DATA_BLOCK)
                return on_read_block(c, &first, now_ms);
        return on_read_results(c, &a, now_ms);
}

int client_on_response(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms)
{
        struct apdu_response a;
        int e;

        if (c->state == DLMS_CLIENT_ACCESSING)
                return on_access(c, apdu, n, now_ms);
        if (c->state == DLMS_CLIENT_READING)
                return on_read(c, apdu, n, now_ms);
        e = apdu_response_decode(apdu, n, &a);
        if (e)
                return e;
        if ((a.invoke & 0x0F) != c->invoke_id)
                return DLMS_E_INVOKE_ID;
        switch (a.kind) {
        case APDU_BLOCK:
                return on_block(c, &a, now_ms);
        case APDU_NEXT:
                return on_next(c, &a, now_ms);
        case APDU_LAST:
        case APDU_LIST_LAST:
                return on_last(c, &a, now_ms);
        case APDU_LIST:
                if (c->request.form != DLMS_FORM_LIST)
                        return DLMS_E_UNEXPECTED;
                return begin_items(c, a.data, a.n, a.count, now_ms);
        default:
                return on_normal(c, &a, now_ms);
        }
}
