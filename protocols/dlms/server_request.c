/* What a client asks of the meter: GET, SET, ACTION of every kind; replies in every form. */
#include "server_internal.h"

#include <string.h>

#include "short_name.h"

enum {
        REPLY_ROOM = 64, /* before a reply in scratch: its head, or protection in place */
        BLOCK_FIELDS = 3 + 1 + 4 + 1 + 3,
        BLOCK_DATA_MIN = 16,
        LIST_MAX = 64,
        BODY_ROOM = 8, /* between the request's bytes and what follows */
};

/* ---- replies ---- */

/* Bytes of data that fit one APDU behind a head of @head bytes. */
static size_t room(struct dlms_server *s, size_t head)
{
        size_t max = s->peer_pdu < DLMS_SERVER_TX_MAX ? s->peer_pdu : DLMS_SERVER_TX_MAX;

        head += server_overhead(s);
        return max > head ? max - head : 0;
}

struct axdr_writer server_body(struct dlms_server *s)
{
        size_t before = s->used + REPLY_ROOM;

        if (before >= s->scratch_size)
                return (struct axdr_writer){ .failed = true };
        return axdr_writer_of(s->scratch + before, s->scratch_size - before);
}

static void send_bytes(struct dlms_server *s, const uint8_t *head, size_t head_len,
                       const uint8_t *p, size_t n)
{
        struct axdr_writer w = server_begin(s);

        axdr_put_raw(&w, head, head_len);
        axdr_put_raw(&w, p, n);
        server_send(s, &w);
}

static void send_refusal(struct dlms_server *s, uint8_t request_tag, uint8_t invoke, uint8_t result)
{
        struct axdr_writer w = server_begin(s);

        if (request_tag == APDU_GET_REQUEST)
                apdu_put_get_result(&w, invoke, result);
        else if (request_tag == APDU_SET_REQUEST)
                apdu_put_set_result(&w, invoke, result);
        else
                apdu_put_action_result(&w, invoke, result, NULL, 0);
        server_send(s, &w);
}

static void put_block_head(struct dlms_server *s, struct axdr_writer *w, uint8_t invoke, bool last)
{
        if (s->reply_tag == APDU_READ_RESPONSE) {
                sn_put_response(w, 1);
                axdr_put_byte(w, SN_DATA_BLOCK);
                axdr_put_byte(w, last);
                axdr_put_be16(w, (uint16_t)s->block);
                return;
        }
        apdu_put_head(w, s->reply_tag, APDU_BLOCK, invoke);
        axdr_put_byte(w, last);
        axdr_put_be32(w, s->block);
        if (s->reply_tag == APDU_GET_RESPONSE)
                axdr_put_byte(w, 0);
}

void server_send_block(struct dlms_server *s, uint8_t invoke)
{
        size_t left = s->reply_len - s->reply_done, part = room(s, BLOCK_FIELDS);
        struct axdr_writer w = server_begin(s);
        bool last;

        if (part > left)
                part = left;
        last = part == left;
        s->block++;
        put_block_head(s, &w, invoke, last);
        axdr_put_length(&w, part);
        axdr_put_raw(&w, s->reply + s->reply_done, part);
        s->reply_done += part;
        if (last)
                s->reply_len = 0;
        server_send(s, &w);
}

static bool blocks_granted(struct dlms_server *s, uint8_t tag)
{
        uint32_t bit = tag == APDU_ACTION_RESPONSE ? DLMS_CONF_BLOCK_ACTION : DLMS_CONF_BLOCK_GET;

        return tag != APDU_ACCESS_RESPONSE && s->conformance & bit &&
               room(s, BLOCK_FIELDS) >= BLOCK_DATA_MIN;
}

bool server_send_body(struct dlms_server *s, uint8_t invoke, const uint8_t *head, size_t head_len,
                      const struct axdr_writer *w, size_t skip)
{
        bool general = s->conformance & DLMS_CONF_GENERAL_BLOCK_TRANSFER;

        if (w->failed)
                return false;
        if (s->in_gbt || (general && w->len > room(s, head_len) &&
                          (s->cfg->prefer_gbt || !blocks_granted(s, head[0])))) {
                memcpy(w->p - head_len, head, head_len);
                return server_send_gbt(s, w->p - head_len, head_len + w->len);
        }
        if (w->len <= room(s, head_len)) {
                send_bytes(s, head, head_len, w->p, w->len);
                return true;
        }
        if (!blocks_granted(s, head[0]))
                return false;
        s->reply_tag = head[0];
        s->reply = w->p + skip;
        s->reply_len = w->len - skip;
        s->reply_done = 0;
        s->block = 0;
        server_send_block(s, invoke);
        return true;
}

/* ---- GET ---- */

unsigned server_get(struct dlms_server *s, const struct dlms_attr *attr,
                    const struct dlms_selection *selection, struct axdr_writer *w)
{
        if (selection->selector &&
            !(s->conformance &
              (DLMS_CONF_SELECTIVE_ACCESS | DLMS_CONF_PARAMETERIZED_ACCESS | DLMS_CONF_ACCESS)))
                return DLMS_ACCESS_SCOPE_VIOLATED;
        return s->cfg->objects->get(s->meter, attr, selection, w);
}

/* Get-Data-Result. */
static void put_result(struct dlms_server *s, const struct dlms_attr *attr,
                       const struct dlms_selection *selection, struct axdr_writer *w)
{
        size_t start = w->len;
        unsigned result;

        axdr_put_byte(w, 0);
        result = server_get(s, attr, selection, w);
        if (result) {
                w->len = start;
                axdr_put_byte(w, 1);
                axdr_put_byte(w, (uint8_t)result);
        }
}

static void on_get(struct dlms_server *s, const struct apdu_request *q)
{
        uint8_t head[] = { APDU_GET_RESPONSE, 1, q->invoke };
        struct axdr_writer w = server_body(s);

        put_result(s, &q->attr, &q->selection, &w);
        if (!server_send_body(s, q->invoke, head, sizeof head, &w, 1))
                send_refusal(s, q->tag, q->invoke, DLMS_ACCESS_LONG_GET_ABORTED);
}

static void on_get_list(struct dlms_server *s, const struct apdu_request *q)
{
        uint8_t head[] = { APDU_GET_RESPONSE, 3, q->invoke };
        struct axdr_writer w = server_body(s);
        struct axdr_reader r;

        axdr_reader_init(&r, q->items, q->items_len);
        axdr_put_length(&w, q->count);
        for (size_t i = 0; i < q->count && !w.failed; i++) {
                struct dlms_selection selection;
                struct dlms_attr attr;

                if (!apdu_list_next(&r, &attr, &selection))
                        break;
                put_result(s, &attr, &selection, &w);
        }
        if (r.error || !server_send_body(s, q->invoke, head, sizeof head, &w, 0))
                send_refusal(s, q->tag, q->invoke, DLMS_ACCESS_LONG_GET_ABORTED);
}

/* The client has block q->block and wants the next one. */
static void on_next(struct dlms_server *s, const struct apdu_request *q)
{
        uint8_t tag = q->tag == APDU_GET_REQUEST ? APDU_GET_RESPONSE : APDU_ACTION_RESPONSE;

        if (s->reply_len == 0 || s->reply_tag != tag) {
                send_refusal(s, q->tag, q->invoke, DLMS_ACCESS_NO_LONG_GET);
        } else if (q->block != s->block) {
                s->reply_len = 0;
                send_refusal(s, q->tag, q->invoke,
                             tag == APDU_GET_RESPONSE ? DLMS_ACCESS_DATA_BLOCK_NUMBER_INVALID
                                                      : DLMS_ACCESS_LONG_GET_ABORTED);
        } else {
                server_send_block(s, q->invoke);
        }
}

/* ---- SET ---- */

uint8_t server_set(struct dlms_server *s, const struct dlms_attr *attr,
                   const struct dlms_selection *selection, const uint8_t *data, size_t n)
{
        const struct dlms_server_objects *o = s->cfg->objects;

        if (!o->set)
                return DLMS_ACCESS_READ_WRITE_DENIED;
        if (selection->selector)
                return DLMS_ACCESS_SCOPE_VIOLATED;
        return (uint8_t)o->set(s->meter, attr, data, n);
}

/* A byte an item into @results. */
static int set_list(struct dlms_server *s, const struct apdu_request *q,
                    uint8_t results[static LIST_MAX])
{
        struct axdr_reader items, values;

        if (q->count > LIST_MAX)
                return DLMS_E_TOO_LONG;
        axdr_reader_init(&items, q->items, q->items_len);
        axdr_reader_init(&values, q->data, q->n);
        for (size_t i = 0; i < q->count; i++) {
                struct dlms_selection selection;
                struct dlms_attr attr;
                const uint8_t *data;
                size_t n;

                if (!apdu_list_next(&items, &attr, &selection) ||
                    !apdu_value_next(&values, &data, &n))
                        return DLMS_E_APDU;
                results[i] = server_set(s, &attr, &selection, data, n);
        }
        return 0;
}

/* NORMAL, or LIST; after blocks as LAST and LIST_LAST. */
static void on_set(struct dlms_server *s, const struct apdu_request *q, bool blocks)
{
        struct apdu_response a = { .tag = APDU_SET_RESPONSE,
                                   .invoke = q->invoke,
                                   .block = s->incoming.block };
        uint8_t results[LIST_MAX];
        struct axdr_writer w;

        if (q->kind == APDU_LIST) {
                a.kind = blocks ? APDU_LIST_LAST : APDU_LIST;
                a.data = results;
                a.n = a.count = q->count;
                if (set_list(s, q, results)) {
                        server_refuse(s, 2, APDU_EXC_OTHER);
                        return;
                }
        } else {
                a.kind = blocks ? APDU_LAST : APDU_NORMAL;
                a.result = server_set(s, &q->attr, &q->selection, q->data, q->n);
        }
        w = server_begin(s);
        apdu_put_response(&w, &a);
        server_send(s, &w);
}

/* ---- ACTION ---- */

/* Action-Response-With-Optional-Data. */
static void put_action(struct dlms_server *s, const struct dlms_attr *method, const uint8_t *params,
                       size_t n, struct axdr_writer *w)
{
        const struct dlms_server_objects *o = s->cfg->objects;
        unsigned result = DLMS_ACCESS_READ_WRITE_DENIED;
        size_t start = w->len, data;

        axdr_put_raw(w, (uint8_t[]){ 0, 1, 0 }, 3);
        data = w->len;
        if (o->action && !w->failed)
                result = o->action(s->meter, method, params, n, w);
        if (w->failed || (!result && w->len > data))
                return;
        w->len = start;
        axdr_put_byte(w, (uint8_t)result);
        axdr_put_byte(w, 0);
}

static void on_action(struct dlms_server *s, const struct apdu_request *q)
{
        bool list = q->kind == APDU_LIST;
        uint8_t head[] = { APDU_ACTION_RESPONSE, list ? 3 : 1, q->invoke };
        struct axdr_writer w = server_body(s);
        struct axdr_reader items, values;

        axdr_reader_init(&items, q->items, q->items_len);
        axdr_reader_init(&values, q->data, q->n);
        if (list)
                axdr_put_length(&w, q->count);
        else
                put_action(s, &q->attr, q->data, q->n, &w);
        for (size_t i = 0; list && i < q->count && !w.failed; i++) {
                struct dlms_attr method;
                const uint8_t *params;
                size_t n;

                if (!apdu_method_next(&items, &method) || !apdu_value_next(&values, &params, &n))
                        break;
                if (n == 1 && *params == AXDR_NULL)
                        params = NULL;
                put_action(s, &method, params, params ? n : 0, &w);
        }
        if (items.error || !server_send_body(s, q->invoke, head, sizeof head, &w, 0))
                send_refusal(s, q->tag, q->invoke, DLMS_ACCESS_OTHER);
}

/* ---- SET and ACTION in blocks from the client ---- */

static void send_next(struct dlms_server *s, const struct apdu_request *q)
{
        struct apdu_response a = {
                .tag = q->tag == APDU_SET_REQUEST ? APDU_SET_RESPONSE : APDU_ACTION_RESPONSE,
                .kind = APDU_NEXT,
                .invoke = q->invoke,
                .block = q->block,
        };
        struct axdr_writer w = server_begin(s);

        apdu_put_response(&w, &a);
        server_send(s, &w);
}

/* The transfer is over; @result says why. */
static void abort_blocks(struct dlms_server *s, const struct apdu_request *q, uint8_t result)
{
        struct apdu_response a = { .tag = APDU_SET_RESPONSE,
                                   .kind = APDU_LAST,
                                   .invoke = q->invoke,
                                   .result = result,
                                   .block = q->block };
        struct axdr_writer w;

        s->incoming.active = false;
        if (q->tag != APDU_SET_REQUEST) {
                send_refusal(s, q->tag, q->invoke, result);
                return;
        }
        w = server_begin(s);
        apdu_put_response(&w, &a);
        server_send(s, &w);
}

/* All values are there, behind the descriptors in scratch. */
static void finish_blocks(struct dlms_server *s, const struct apdu_request *last)
{
        struct server_incoming *in = &s->incoming;
        struct apdu_request q = {
                .tag = in->tag,
                .kind = in->kind == APDU_LIST_FIRST ? APDU_LIST : APDU_NORMAL,
                .invoke = last->invoke,
                .attr = in->attr,
                .items = s->scratch,
                .items_len = in->items_len,
                .count = in->count,
                .data = s->scratch + in->items_len,
                .n = in->len,
        };
        struct axdr_reader r;
        size_t count;

        in->active = false;
        s->used = in->items_len + in->len;
        if (q.kind == APDU_LIST) {
                axdr_reader_init(&r, q.data, q.n);
                if (!axdr_length(&r, &count) || count != q.count) {
                        abort_blocks(s, last, DLMS_ACCESS_LONG_SET_ABORTED);
                        return;
                }
                q.data = r.p;
                q.n = axdr_left(&r);
        } else if (axdr_check(q.data, q.n)) {
                abort_blocks(s, last, DLMS_ACCESS_LONG_SET_ABORTED);
                return;
        }
        if (q.tag == APDU_SET_REQUEST)
                on_set(s, &q, true);
        else
                on_action(s, &q);
}

static void on_data_block(struct dlms_server *s, const struct apdu_request *q)
{
        struct server_incoming *in = &s->incoming;
        bool set = q->tag == APDU_SET_REQUEST;

        if (!in->active || in->tag != q->tag) {
                abort_blocks(s, q, set ? DLMS_ACCESS_NO_LONG_SET : DLMS_ACCESS_NO_LONG_GET);
                return;
        }
        if (q->block != in->block + 1) {
                abort_blocks(s, q,
                             set ? DLMS_ACCESS_DATA_BLOCK_NUMBER_INVALID
                                 : DLMS_ACCESS_LONG_GET_ABORTED);
                return;
        }
        if (q->n > s->scratch_size - in->items_len - in->len - BODY_ROOM) {
                abort_blocks(s, q,
                             set ? DLMS_ACCESS_LONG_SET_ABORTED : DLMS_ACCESS_LONG_GET_ABORTED);
                return;
        }
        memmove(s->scratch + in->items_len + in->len, q->data, q->n);
        in->len += q->n;
        in->block = q->block;
        if (q->last)
                finish_blocks(s, q);
        else
                send_next(s, q);
}

static void on_first_block(struct dlms_server *s, const struct apdu_request *q)
{
        struct server_incoming *in = &s->incoming;
        uint32_t bit = q->tag == APDU_SET_REQUEST ? DLMS_CONF_BLOCK_SET : DLMS_CONF_BLOCK_ACTION;

        *in = (struct server_incoming){ 0 };
        s->reply_len = 0;
        if (!(s->conformance & bit)) {
                server_refuse(s, 2, APDU_EXC_NOT_SUPPORTED);
                return;
        }
        if (q->items_len > s->scratch_size - BODY_ROOM || q->selection.selector) {
                abort_blocks(s, q, DLMS_ACCESS_LONG_SET_ABORTED);
                return;
        }
        /* The request itself may lie in scratch, joined from general blocks. */
        in->active = true;
        in->tag = q->tag;
        in->kind = q->kind;
        in->attr = q->attr;
        in->count = q->count;
        in->items_len = q->items_len;
        if (q->items_len > 0)
                memmove(s->scratch, q->items, q->items_len);
        on_data_block(s, q);
}

/* ---- dispatch ---- */

static void on_service(struct dlms_server *s, const struct apdu_request *q)
{
        bool next = q->kind == APDU_NEXT || (q->tag == APDU_GET_REQUEST && q->kind == APDU_BLOCK);
        bool list = q->kind == APDU_LIST || q->kind == APDU_LIST_FIRST;
        uint32_t service = q->tag == APDU_GET_REQUEST   ? DLMS_CONF_GET
                           : q->tag == APDU_SET_REQUEST ? DLMS_CONF_SET
                                                        : DLMS_CONF_ACTION;

        if (!(s->conformance & service) ||
            (list && !(s->conformance & ~s->cfg->breaks & DLMS_CONF_MULTIPLE_REFERENCES))) {
                server_refuse(s, 2, APDU_EXC_NOT_SUPPORTED);
                return;
        }
        if (next) {
                on_next(s, q);
                return;
        }
        s->reply_len = 0;
        if (q->kind == APDU_FIRST || q->kind == APDU_LIST_FIRST)
                on_first_block(s, q);
        else if (q->kind == APDU_BLOCK)
                on_data_block(s, q);
        else if (q->tag == APDU_SET_REQUEST)
                on_set(s, q, false);
        else if (q->tag == APDU_ACTION_REQUEST)
                on_action(s, q);
        else if (q->kind == APDU_LIST)
                on_get_list(s, q);
        else
                on_get(s, q);
}

void server_on_request(struct dlms_server *s, const uint8_t *p, size_t n)
{
        bool access =
                p[0] == APDU_ACCESS_REQUEST && s->conformance & ~s->cfg->breaks & DLMS_CONF_ACCESS;
        bool read = p[0] == APDU_READ_REQUEST;
        bool service =
                p[0] == APDU_GET_REQUEST || p[0] == APDU_SET_REQUEST || p[0] == APDU_ACTION_REQUEST;
        struct apdu_request q;

        if (s->short_names ? !read : !access && !service) {
                server_refuse(s, 2, APDU_EXC_NOT_SUPPORTED);
        } else if (s->state == DLMS_SERVER_AUTHENTICATING) {
                server_authenticate(s, p, n);
        } else if (access) {
                server_on_access(s, p, n);
        } else if (read) {
                server_on_read(s, p, n);
        } else if (apdu_request_decode(p, n, &q)) {
                server_refuse(s, 2, APDU_EXC_OTHER);
        } else {
                on_service(s, &q);
        }
}
