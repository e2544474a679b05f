/* What the meter answers: opening, exceptions, results, blocks, lists. */
#include "client_internal.h"
#include "envelope.h"

#include <string.h>

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

int client_on_exception(struct dlms_client *c, const uint8_t *apdu, size_t n)
{
        struct apdu_exception x;
        int e = apdu_exception_decode(apdu, n, &x);

        if (e)
                return e;
        c->failed_detail = (uint8_t)(x.state << 4 | x.service);
        c->failed_counter = x.counter;
        return apdu_exception_error(&x);
}

void client_emit_result(struct dlms_client *c, uint8_t result, const uint8_t *data, size_t n,
                        bool last)
{
        client_emit(c, &(struct dlms_event){ .type = DLMS_EV_RESULT,
                                             .last = last,
                                             .result = result,
                                             .data = data,
                                             .len = n });
}

int client_begin_items(struct dlms_client *c, enum client_items kind, const uint8_t *p, size_t n,
                       size_t count)
{
        if (count == 0 || count > DLMS_CLIENT_LIST_MAX)
                return DLMS_E_APDU;
        axdr_reader_init(&c->items, p, n);
        c->items_kind = (uint8_t)kind;
        c->list_at = 0;
        c->list_n = (uint8_t)count;
        return 0;
}

static int finish_blocks(struct dlms_client *c)
{
        struct axdr_reader r;
        size_t count;

        if (!c->list) {
                client_emit_result(c, 0, c->cfg.scratch, c->scratch_len, true);
                return 0;
        }
        axdr_reader_init(&r, c->cfg.scratch, c->scratch_len);
        if (!axdr_length(&r, &count))
                return r.error;
        return client_begin_items(c, CLIENT_ITEMS_DATA, r.p, axdr_left(&r), count);
}

static int on_block(struct dlms_client *c, const struct apdu_response *a, int64_t now_ms)
{
        struct axdr_writer w;

        if (a->result != 0) {
                client_enter(c, DLMS_CLIENT_READY, now_ms);
                client_emit_result(c, a->result, NULL, 0, true);
                return 0;
        }
        if (a->block != c->block)
                return DLMS_E_BLOCK_NUMBER;
        if (c->cfg.scratch) {
                if (a->n > c->cfg.scratch_size - c->scratch_len)
                        return DLMS_E_TOO_LONG;
                memcpy(c->cfg.scratch + c->scratch_len, a->data, a->n);
                c->scratch_len += a->n;
        } else if (c->list) {
                return DLMS_E_TOO_LONG;
        } else {
                client_emit_result(c, 0, a->data, a->n, a->last);
        }
        if (a->last) {
                client_enter(c, DLMS_CLIENT_READY, now_ms);
                return c->cfg.scratch ? finish_blocks(c) : 0;
        }
        w = client_begin(c);
        apdu_put_get_next(&w, APDU_INVOKE_CONFIRMED | APDU_INVOKE_PRIORITY | c->invoke_id,
                          c->block);
        c->block++;
        return client_send_request(c, &w, DLMS_CLIENT_GETTING, now_ms);
}

int client_on_response(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms)
{
        struct apdu_response a;
        int e = apdu_response_decode(apdu, n, &a);

        if (e)
                return e;
        if ((a.invoke & 0x0F) != c->invoke_id)
                return DLMS_E_INVOKE_ID;
        if (a.tag == APDU_SET_RESPONSE)
                return client_on_set_response(c, &a, now_ms);
        if (a.tag == APDU_ACTION_RESPONSE)
                return client_on_action_response(c, &a, now_ms);
        if (a.kind == APDU_BLOCK)
                return on_block(c, &a, now_ms);
        if (a.kind == APDU_LIST && !c->list)
                return DLMS_E_UNEXPECTED;
        client_enter(c, DLMS_CLIENT_READY, now_ms);
        if (a.kind == APDU_LIST)
                return client_begin_items(c, CLIENT_ITEMS_DATA, a.data, a.n, a.count);
        client_emit_result(c, a.result, a.data, a.n, true);
        return 0;
}

static bool take_item(struct dlms_client *c, struct dlms_event *ev)
{
        switch ((enum client_items)c->items_kind) {
        case CLIENT_ITEMS_DATA:
                return apdu_result_next(&c->items, &ev->result, &ev->data, &ev->len);
        case CLIENT_ITEMS_ANSWERS:
                return apdu_action_answer_next(&c->items, &ev->result, &ev->data, &ev->len);
        case CLIENT_ITEMS_RESULTS:
                ev->result = *c->items.p++; /* as many bytes as items: decoded before */
                return true;
        }
        return false;
}

bool client_next_item(struct dlms_client *c, struct dlms_event *ret)
{
        struct dlms_event ev = { .type = DLMS_EV_RESULT, .index = c->list_at };

        if (!take_item(c, &ev)) {
                c->list_at = c->list_n;
                client_fail(c, (enum dlms_error)c->items.error);
                return false;
        }
        c->list_at++;
        ev.last = c->list_at == c->list_n;
        *ret = ev;
        return true;
}
