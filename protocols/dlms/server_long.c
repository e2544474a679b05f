/* SET and ACTION at the meter: in one piece, with lists, arriving in blocks, answered in blocks. */
#include "server_internal.h"

#include <string.h>

enum {
        LIST_MAX = 64,
        ANSWER_HEAD = 3, /* tag, kind, invoke-id */
        BLOCK_ROOM_MIN = 3 + 1 + 4 + 3 + 16,
};

static unsigned set_one(struct dlms_server *s, const struct dlms_attr *attr, const uint8_t *data,
                        size_t n)
{
        const struct dlms_server_objects *o = s->cfg->objects;

        return o->set ? o->set(s->meter, attr, data, n) : DLMS_ACCESS_READ_WRITE_DENIED;
}

/* One answer of a method, appended to @w. */
static void act_one(struct dlms_server *s, const struct dlms_attr *method, const uint8_t *params,
                    size_t n, struct axdr_writer *w)
{
        const struct dlms_server_objects *o = s->cfg->objects;
        size_t start = w->len, head = 3; /* result, presence, choice */
        struct axdr_writer ret;
        unsigned result = DLMS_ACCESS_READ_WRITE_DENIED;

        if (n == 1 && params[0] == AXDR_NULL)
                params = NULL, n = 0;
        if (w->failed || w->cap - w->len < head) {
                w->failed = true;
                return;
        }
        /* What it returns is written behind its head. */
        ret = axdr_writer_of(w->p + start + head, w->cap - start - head);
        if (o->action)
                result = o->action(s->meter, method, params, n, &ret);
        if (ret.failed)
                result = DLMS_ACCESS_OTHER;
        axdr_put_byte(w, (uint8_t)result);
        axdr_put_byte(w, !result && ret.len > 0);
        if (result || ret.len == 0)
                return;
        axdr_put_byte(w, 0);
        w->len += ret.len;
}

/* ---- answers ---- */

static void answer_set(struct dlms_server *s, uint8_t invoke, unsigned result, uint32_t block)
{
        struct axdr_writer w = server_begin(s);

        if (block)
                apdu_put_set_last_block(&w, invoke, (uint8_t)result, block);
        else
                apdu_put_set_result(&w, invoke, (uint8_t)result);
        server_send(s, &w);
}

static void refuse_action(struct dlms_server *s, uint8_t invoke, unsigned result)
{
        struct axdr_writer w = server_begin(s);

        apdu_put_action_result(&w, invoke, (uint8_t)result, NULL, 0);
        server_send(s, &w);
}

/* @n bytes of answers from @at in scratch on. */
static void answer_action(struct dlms_server *s, uint8_t invoke, bool list, size_t at, size_t n)
{
        struct axdr_writer w;

        if (n <= server_room(s, ANSWER_HEAD)) {
                w = server_begin(s);
                axdr_put_raw(&w,
                             (uint8_t[]){ APDU_ACTION_RESPONSE,
                                          list ? APDU_ACTION_RESULTS : APDU_NORMAL, invoke },
                             3);
                axdr_put_raw(&w, s->scratch + at, n);
                server_send(s, &w);
                return;
        }
        if (!(s->conformance & DLMS_CONF_BLOCK_ACTION) || server_room(s, 0) < BLOCK_ROOM_MIN) {
                refuse_action(s, invoke, DLMS_ACCESS_OTHER);
                return;
        }
        memmove(s->scratch, s->scratch + at, n);
        server_begin_blocks(s, APDU_ACTION_RESPONSE, n);
        server_send_block(s, invoke);
}

/* ---- the service itself, all of its value there ---- */

static void do_set_list(struct dlms_server *s, uint8_t invoke, const uint8_t *items, size_t items_n,
                        size_t count, const uint8_t *values, size_t n, uint32_t block)
{
        struct axdr_reader attrs, data;
        uint8_t results[LIST_MAX];
        struct axdr_writer w;

        axdr_reader_init(&attrs, items, items_n);
        axdr_reader_init(&data, values, n);
        for (size_t i = 0; i < count; i++) {
                struct dlms_selection selection;
                struct dlms_attr attr;
                const uint8_t *start = data.p;

                if (!apdu_list_next(&attrs, &attr, &selection) || !axdr_skip(&data))
                        results[i] = DLMS_ACCESS_TYPE_UNMATCHED;
                else
                        results[i] = (uint8_t)set_one(s, &attr, start, (size_t)(data.p - start));
        }
        w = server_begin(s);
        apdu_put_set_results(&w, invoke, results, count, block);
        server_send(s, &w);
}

static void do_action(struct dlms_server *s, uint8_t invoke, const struct dlms_attr *method,
                      const uint8_t *params, size_t n, size_t keep)
{
        struct axdr_writer w = axdr_writer_of(s->scratch + keep, s->scratch_size - keep);

        act_one(s, method, params, n, &w);
        if (w.failed)
                refuse_action(s, invoke, DLMS_ACCESS_OTHER);
        else
                answer_action(s, invoke, false, keep, w.len);
}

static void do_action_list(struct dlms_server *s, const struct apdu_request *q)
{
        struct axdr_writer w = axdr_writer_of(s->scratch, s->scratch_size);
        struct axdr_reader methods, data;

        axdr_reader_init(&methods, q->items, q->items_n);
        axdr_reader_init(&data, q->data, q->n);
        axdr_put_length(&w, q->count);
        for (size_t i = 0; i < q->count; i++) {
                const uint8_t *start = data.p;
                struct dlms_attr method;

                if (!apdu_method_next(&methods, &method) || !axdr_skip(&data))
                        break;
                act_one(s, &method, start, (size_t)(data.p - start), &w);
        }
        if (w.failed || methods.error || data.error)
                refuse_action(s, q->invoke, DLMS_ACCESS_OTHER);
        else
                answer_action(s, q->invoke, true, 0, w.len);
}

/* ---- blocks arriving ---- */

static void answer_put(struct dlms_server *s, uint8_t tag, uint8_t invoke, unsigned result,
                       uint32_t block)
{
        s->put_tag = 0;
        if (tag == APDU_SET_REQUEST)
                answer_set(s, invoke, result, block);
        else
                refuse_action(s, invoke, result);
}

static void finish_put(struct dlms_server *s, uint8_t invoke)
{
        const uint8_t *value = s->scratch + s->put_items;
        size_t n = s->put_len - s->put_items, count;
        struct axdr_reader r;

        axdr_reader_init(&r, value, n);
        if (s->put_tag == APDU_SET_REQUEST && s->put_count > 0) {
                if (!axdr_length(&r, &count) || count != s->put_count) {
                        answer_put(s, s->put_tag, invoke, DLMS_ACCESS_TYPE_UNMATCHED, s->put_block);
                        return;
                }
                s->put_tag = 0;
                do_set_list(s, invoke, s->scratch, s->put_items, s->put_count, r.p, axdr_left(&r),
                            s->put_block);
                return;
        }
        if (axdr_check(value, n)) {
                answer_put(s, s->put_tag, invoke, DLMS_ACCESS_TYPE_UNMATCHED, s->put_block);
                return;
        }
        if (s->put_tag == APDU_SET_REQUEST) {
                answer_put(s, s->put_tag, invoke, set_one(s, &s->put_attr, value, n), s->put_block);
                return;
        }
        s->put_tag = 0;
        do_action(s, invoke, &s->put_attr, value, n, s->put_len);
}

static void begin_put(struct dlms_server *s, const struct apdu_request *q)
{
        s->put_tag = q->tag;
        s->put_attr = q->attr;
        s->put_block = 0;
        s->put_count = q->count;
        s->put_items = s->put_len = 0;
        s->reply_len = 0;
        if (q->items_n > 0 && q->items_n <= s->scratch_size) {
                memcpy(s->scratch, q->items, q->items_n);
                s->put_items = s->put_len = q->items_n;
        }
}

static void on_put_block(struct dlms_server *s, const struct apdu_request *q, bool first)
{
        bool set = q->tag == APDU_SET_REQUEST;
        struct axdr_writer w;

        if (!(s->conformance & (set ? DLMS_CONF_BLOCK_SET : DLMS_CONF_BLOCK_ACTION)) ||
            (!set && q->count > 0)) {
                server_refuse(s, 2, APDU_EXC_NOT_SUPPORTED);
                return;
        }
        if (first)
                begin_put(s, q);
        if (s->put_tag != q->tag) {
                answer_put(s, q->tag, q->invoke, DLMS_ACCESS_NO_LONG_SET, 0);
                return;
        }
        if (q->block != s->put_block + 1) {
                answer_put(s, q->tag, q->invoke, DLMS_ACCESS_DATA_BLOCK_NUMBER_INVALID, q->block);
                return;
        }
        if (q->count > LIST_MAX || q->n > s->scratch_size - s->put_len) {
                answer_put(s, q->tag, q->invoke, DLMS_ACCESS_LONG_SET_ABORTED, q->block);
                return;
        }
        memcpy(s->scratch + s->put_len, q->data, q->n);
        s->put_len += q->n;
        s->put_block = q->block;
        if (q->last) {
                finish_put(s, q->invoke);
                return;
        }
        w = server_begin(s);
        if (set)
                apdu_put_set_block_taken(&w, q->invoke, q->block);
        else
                apdu_put_action_block_taken(&w, q->invoke, q->block);
        server_send(s, &w);
}

/* ---- requests ---- */

void server_on_set(struct dlms_server *s, const struct apdu_request *q)
{
        switch (q->kind) {
        case APDU_NORMAL:
                answer_set(s, q->invoke, set_one(s, &q->attr, q->data, q->n), 0);
                return;
        case APDU_SET_LIST:
                if (q->count <= LIST_MAX && s->conformance & DLMS_CONF_MULTIPLE_REFERENCES)
                        do_set_list(s, q->invoke, q->items, q->items_n, q->count, q->data, q->n, 0);
                else
                        server_refuse(s, 2, APDU_EXC_NOT_SUPPORTED);
                return;
        case APDU_SET_FIRST_BLOCK:
        case APDU_SET_LIST_FIRST_BLOCK:
                on_put_block(s, q, true);
                return;
        default:
                on_put_block(s, q, false);
        }
}

void server_on_action(struct dlms_server *s, const struct apdu_request *q)
{
        switch (q->kind) {
        case APDU_NORMAL:
                do_action(s, q->invoke, &q->attr, q->data, q->n, 0);
                return;
        case APDU_ACTION_LIST:
                if (s->conformance & DLMS_CONF_MULTIPLE_REFERENCES)
                        do_action_list(s, q);
                else
                        server_refuse(s, 2, APDU_EXC_NOT_SUPPORTED);
                return;
        case APDU_ACTION_NEXT:
                if (s->reply_len == 0 || s->reply_tag != APDU_ACTION_RESPONSE ||
                    q->block != s->block)
                        refuse_action(s, q->invoke, DLMS_ACCESS_DATA_BLOCK_NUMBER_INVALID);
                else
                        server_send_block(s, q->invoke);
                return;
        case APDU_ACTION_FIRST_BLOCK:
        case APDU_ACTION_LIST_FIRST_BLOCK:
                on_put_block(s, q, true);
                return;
        default:
                on_put_block(s, q, false);
        }
}
