/* SET and ACTION: in one piece, in blocks, with lists, and answers that come in blocks. */
#include "client_internal.h"

#include <string.h>

enum {
        ATTR_SIZE = 9,
        HEAD = 3,
        BLOCK_HEAD = 1 + 4 + 3, /* last, number, length */
        INVOKE_FLAGS = APDU_INVOKE_CONFIRMED | APDU_INVOKE_PRIORITY,
};

/* Bytes a plain APDU may have here: the meter's limit, our buffer, less what protection adds. */
static size_t room(struct dlms_client *c)
{
        size_t add = client_overhead(c), max;

        channel_tx(&c->channel, &max);
        if (max > c->peer_pdu)
                max = c->peer_pdu;
        return max > add ? max - add : 0;
}

static void put_block(struct dlms_client *c, struct axdr_writer *w, const struct dlms_attr *attr)
{
        bool set = c->put_tag == APDU_SET_REQUEST;
        size_t head = HEAD + BLOCK_HEAD + (attr ? ATTR_SIZE + set : 0), max = room(c);
        size_t left = c->put_len - c->put_at, part = max > head ? max - head : 0;
        bool last;

        if (part > left)
                part = left;
        last = part == left;
        if (set)
                apdu_put_set_block(w, INVOKE_FLAGS | c->invoke_id, attr, last, c->block,
                                   c->put + c->put_at, part);
        else
                apdu_put_action_block(w, INVOKE_FLAGS | c->invoke_id, attr, last, c->block,
                                      c->put + c->put_at, part);
        c->put_at += part;
}

/* The first block of a value that is too long for one APDU. */
static int send_long(struct dlms_client *c, uint8_t tag, const struct dlms_attr *attr,
                     const uint8_t *data, size_t n, enum dlms_client_state next, int64_t now_ms)
{
        uint32_t need = tag == APDU_SET_REQUEST ? DLMS_CONF_BLOCK_SET : DLMS_CONF_BLOCK_ACTION;
        struct axdr_writer w;
        int e;

        if (!(c->conformance & need) || room(c) < HEAD + BLOCK_HEAD + ATTR_SIZE + 16)
                return DLMS_E_TOO_LONG;
        c->put_tag = tag;
        c->put = data;
        c->put_len = n;
        c->put_at = 0;
        w = client_begin(c);
        put_block(c, &w, attr);
        e = client_send_request(c, &w, next, now_ms);
        if (e)
                c->put = NULL;
        return e;
}

int dlms_client_set(struct dlms_client *c, const struct dlms_attr *attr, const uint8_t *data,
                    size_t n, int64_t now_ms)
{
        struct axdr_writer w;
        uint8_t invoke;

        if (!client_ready(c))
                return DLMS_E_BUSY;
        if (axdr_check(data, n))
                return DLMS_E_ARGUMENT;
        invoke = client_begin_request(c);
        if (HEAD + ATTR_SIZE + 1 + n > room(c))
                return send_long(c, APDU_SET_REQUEST, attr, data, n, DLMS_CLIENT_SETTING, now_ms);
        w = client_begin(c);
        apdu_put_set(&w, invoke, attr, data, n);
        return client_send_request(c, &w, DLMS_CLIENT_SETTING, now_ms);
}

int dlms_client_action(struct dlms_client *c, const struct dlms_attr *method, const uint8_t *params,
                       size_t n, int64_t now_ms)
{
        struct axdr_writer w;
        uint8_t invoke;

        if (!client_ready(c))
                return DLMS_E_BUSY;
        if (params && axdr_check(params, n))
                return DLMS_E_ARGUMENT;
        invoke = client_begin_request(c);
        if (params && HEAD + ATTR_SIZE + 1 + n > room(c))
                return send_long(c, APDU_ACTION_REQUEST, method, params, n, DLMS_CLIENT_ACTING,
                                 now_ms);
        w = client_begin(c);
        apdu_put_action(&w, invoke, method, params, n);
        return client_send_request(c, &w, DLMS_CLIENT_ACTING, now_ms);
}

/* @n whole values and nothing else. */
static bool are_values(const uint8_t *values, size_t n_values, size_t n)
{
        struct axdr_reader r;

        axdr_reader_init(&r, values, n_values);
        for (size_t i = 0; i < n; i++)
                if (!axdr_skip(&r))
                        return false;
        return axdr_left(&r) == 0;
}

static int list_possible(const struct dlms_client *c, const uint8_t *values, size_t n_values,
                         size_t n)
{
        if (!client_ready(c))
                return DLMS_E_BUSY;
        if (n == 0 || n > DLMS_CLIENT_LIST_MAX || !are_values(values, n_values, n))
                return DLMS_E_ARGUMENT;
        return c->conformance & DLMS_CONF_MULTIPLE_REFERENCES ? 0 : DLMS_E_CONFORMANCE;
}

int dlms_client_set_list(struct dlms_client *c, const struct dlms_attr *attrs, size_t n,
                         const uint8_t *values, size_t n_values, int64_t now_ms)
{
        int e = list_possible(c, values, n_values, n);
        struct axdr_writer w;
        uint8_t invoke;

        if (e)
                return e;
        w = client_begin(c);
        invoke = client_begin_request(c);
        c->list = true;
        apdu_put_set_list(&w, invoke, attrs, n, values, n_values);
        return client_send_request(c, &w, DLMS_CLIENT_SETTING, now_ms);
}

int dlms_client_action_list(struct dlms_client *c, const struct dlms_attr *methods, size_t n,
                            const uint8_t *values, size_t n_values, int64_t now_ms)
{
        int e = list_possible(c, values, n_values, n);
        struct axdr_writer w;
        uint8_t invoke;

        if (e)
                return e;
        w = client_begin(c);
        invoke = client_begin_request(c);
        c->list = true;
        apdu_put_action_list(&w, invoke, methods, n, values, n_values);
        return client_send_request(c, &w, DLMS_CLIENT_ACTING, now_ms);
}

/* ---- what comes back ---- */

static int next_block(struct dlms_client *c, uint32_t taken, int64_t now_ms)
{
        enum dlms_client_state state = c->state;
        struct axdr_writer w;

        if (!c->put || c->put_at == c->put_len)
                return DLMS_E_UNEXPECTED;
        if (taken != c->block)
                return DLMS_E_BLOCK_NUMBER;
        c->block++;
        w = client_begin(c);
        put_block(c, &w, NULL);
        return client_send_request(c, &w, state, now_ms);
}

int client_on_set_response(struct dlms_client *c, const struct apdu_response *a, int64_t now_ms)
{
        switch (a->kind) {
        case APDU_SET_BLOCK_TAKEN:
                return next_block(c, a->block, now_ms);
        case APDU_SET_LAST_BLOCK:
                if (!c->put)
                        return DLMS_E_UNEXPECTED;
                /* Before the last block it is a refusal; behind it, of that block. */
                if (a->result == 0 && (c->put_at < c->put_len || a->block != c->block))
                        return DLMS_E_BLOCK_NUMBER;
                break;
        case APDU_SET_RESULTS:
                if (!c->list)
                        return DLMS_E_UNEXPECTED;
                client_enter(c, DLMS_CLIENT_READY, now_ms);
                return client_begin_items(c, CLIENT_ITEMS_RESULTS, a->data, a->n, a->count);
        case APDU_NORMAL:
                /* In the middle of blocks only a refusal makes sense. */
                if (c->put && a->result == 0)
                        return DLMS_E_UNEXPECTED;
                break;
        default:
                return DLMS_E_UNEXPECTED;
        }
        client_enter(c, DLMS_CLIENT_READY, now_ms);
        client_emit_result(c, a->result, NULL, 0, true);
        return 0;
}

/* All blocks of an answer are together: one answer, or a list of them. */
static int finish_answer(struct dlms_client *c)
{
        const uint8_t *data;
        struct axdr_reader r;
        uint8_t result;
        size_t n;

        axdr_reader_init(&r, c->cfg.scratch, c->scratch_len);
        if (c->list) {
                if (!axdr_length(&r, &n))
                        return r.error;
                return client_begin_items(c, CLIENT_ITEMS_ANSWERS, r.p, axdr_left(&r), n);
        }
        if (!apdu_action_answer_next(&r, &result, &data, &n))
                return r.error;
        client_emit_result(c, result, data, n, true);
        return 0;
}

static int on_answer_block(struct dlms_client *c, const struct apdu_response *a, int64_t now_ms)
{
        struct axdr_writer w;

        if (a->block != c->answer_block + 1)
                return DLMS_E_BLOCK_NUMBER;
        if (!c->cfg.scratch || a->n > c->cfg.scratch_size - c->scratch_len)
                return DLMS_E_TOO_LONG;
        c->answer_block++;
        memcpy(c->cfg.scratch + c->scratch_len, a->data, a->n);
        c->scratch_len += a->n;
        if (a->last) {
                client_enter(c, DLMS_CLIENT_READY, now_ms);
                return finish_answer(c);
        }
        w = client_begin(c);
        apdu_put_action_next(&w, INVOKE_FLAGS | c->invoke_id, a->block);
        return client_send_request(c, &w, DLMS_CLIENT_ACTING, now_ms);
}

int client_on_action_response(struct dlms_client *c, const struct apdu_response *a, int64_t now_ms)
{
        if (a->kind == APDU_ACTION_BLOCK_TAKEN)
                return next_block(c, a->block, now_ms);
        if (c->put && c->put_at < c->put_len && a->result == 0)
                return DLMS_E_UNEXPECTED;
        if (a->kind == APDU_ACTION_ANSWER_BLOCK)
                return on_answer_block(c, a, now_ms);
        if ((a->kind == APDU_ACTION_RESULTS) != c->list)
                return DLMS_E_UNEXPECTED;
        client_enter(c, DLMS_CLIENT_READY, now_ms);
        if (c->list)
                return client_begin_items(c, CLIENT_ITEMS_ANSWERS, a->data, a->n, a->count);
        client_emit_result(c, a->result, a->data, a->n, true);
        return 0;
}
