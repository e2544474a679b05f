/* GET, SET and ACTION requests of every kind, both ways (Green Book 9.5). */
#include <string.h>

#include "apdu_internal.h"

/* ---- writing ---- */

void apdu_put_descriptor(struct axdr_writer *w, enum dlms_service service,
                         const struct dlms_attr *attr, const struct dlms_selection *selection)
{
        apdu_put_attr(w, attr);
        if (service != DLMS_ACTION)
                apdu_put_selection(w, selection);
}

static void put_data_block(struct axdr_writer *w, const struct apdu_request *q)
{
        axdr_put_byte(w, q->last);
        axdr_put_be32(w, q->block);
        apdu_put_octets(w, q->data, q->n);
}

static void put_normal(struct axdr_writer *w, const struct apdu_request *q)
{
        apdu_put_attr(w, &q->attr);
        if (q->tag != APDU_ACTION_REQUEST)
                apdu_put_selection(w, &q->selection);
        if (q->kind == APDU_FIRST) {
                put_data_block(w, q);
                return;
        }
        if (q->tag == APDU_ACTION_REQUEST)
                axdr_put_byte(w, q->data != NULL);
        if (q->tag != APDU_GET_REQUEST && q->data)
                axdr_put_raw(w, q->data, q->n);
}

static void put_list(struct axdr_writer *w, const struct apdu_request *q)
{
        axdr_put_length(w, q->count);
        axdr_put_raw(w, q->items, q->items_len);
        if (q->kind == APDU_LIST_FIRST) {
                put_data_block(w, q);
        } else if (q->tag != APDU_GET_REQUEST) {
                axdr_put_length(w, q->count);
                axdr_put_raw(w, q->data, q->n);
        }
}

void apdu_put_request(struct axdr_writer *w, const struct apdu_request *q)
{
        apdu_put_head(w, q->tag, q->kind, q->invoke);
        switch (q->kind) {
        case APDU_NORMAL:
        case APDU_FIRST:
                put_normal(w, q);
                return;
        case APDU_LIST:
        case APDU_LIST_FIRST:
                put_list(w, q);
                return;
        case APDU_BLOCK:
                if (q->tag != APDU_GET_REQUEST) {
                        put_data_block(w, q);
                        return;
                }
                axdr_put_be32(w, q->block);
                return;
        default: /* NEXT */
                axdr_put_be32(w, q->block);
        }
}

void apdu_put_get_next(struct axdr_writer *w, uint8_t invoke, uint32_t block)
{
        apdu_put_head(w, APDU_GET_REQUEST, APDU_BLOCK, invoke);
        axdr_put_be32(w, block);
}

void apdu_put_action(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *method,
                     const uint8_t *params, size_t n)
{
        apdu_put_head(w, APDU_ACTION_REQUEST, APDU_NORMAL, invoke);
        apdu_put_attr(w, method);
        axdr_put_byte(w, params != NULL);
        if (params)
                axdr_put_raw(w, params, n);
}

/* ---- reading ---- */

bool apdu_list_next(struct axdr_reader *r, struct dlms_attr *ret_attr,
                    struct dlms_selection *ret_selection)
{
        apdu_take_attr(r, ret_attr);
        apdu_take_selection(r, ret_selection);
        return r->error == 0;
}

bool apdu_method_next(struct axdr_reader *r, struct dlms_attr *ret)
{
        apdu_take_attr(r, ret);
        return r->error == 0;
}

bool apdu_value_next(struct axdr_reader *r, const uint8_t **ret_data, size_t *ret_n)
{
        apdu_take_value(r, ret_data, ret_n);
        return r->error == 0;
}

static void take_data_block(struct axdr_reader *r, struct apdu_request *q)
{
        q->last = apdu_take_byte(r) != 0;
        q->block = apdu_take_be32(r);
        apdu_take_octets(r, &q->data, &q->n);
}

static void take_normal(struct axdr_reader *r, struct apdu_request *q)
{
        apdu_take_attr(r, &q->attr);
        if (q->tag != APDU_ACTION_REQUEST)
                apdu_take_selection(r, &q->selection);
        if (q->kind == APDU_FIRST)
                take_data_block(r, q);
        else if (q->tag == APDU_SET_REQUEST || (q->tag == APDU_ACTION_REQUEST && apdu_take_byte(r)))
                apdu_take_value(r, &q->data, &q->n);
}

static void take_items(struct axdr_reader *r, struct apdu_request *q)
{
        struct dlms_selection selection;
        struct dlms_attr attr;

        if (!axdr_length(r, &q->count))
                return;
        q->items = r->p;
        for (size_t i = 0; i < q->count && !r->error; i++) {
                if (q->tag == APDU_ACTION_REQUEST)
                        apdu_method_next(r, &attr);
                else
                        apdu_list_next(r, &attr, &selection);
        }
        q->items_len = (size_t)(r->p - q->items);
}

static void take_values(struct axdr_reader *r, struct apdu_request *q)
{
        const uint8_t *value;
        size_t count, n;

        if (!axdr_length(r, &count))
                return;
        if (count != q->count) {
                r->error = DLMS_E_APDU;
                return;
        }
        q->data = r->p;
        for (size_t i = 0; i < count && !r->error; i++)
                apdu_take_value(r, &value, &n);
        q->n = (size_t)(r->p - q->data);
}

static void take_list(struct axdr_reader *r, struct apdu_request *q)
{
        take_items(r, q);
        if (r->error)
                return;
        if (q->kind == APDU_LIST_FIRST) {
                take_data_block(r, q);
        } else if (q->tag != APDU_GET_REQUEST) {
                take_values(r, q);
        } else {
                q->data = q->items;
                q->n = q->items_len;
        }
}

int apdu_request_decode(const uint8_t *p, size_t n, struct apdu_request *ret)
{
        struct apdu_request q = { 0 };
        struct axdr_reader r;
        const uint8_t *head;
        int e;

        axdr_reader_init(&r, p, n);
        head = apdu_take(&r, 3);
        if (!head)
                return r.error;
        q.tag = head[0];
        if (q.tag != APDU_GET_REQUEST && q.tag != APDU_SET_REQUEST && q.tag != APDU_ACTION_REQUEST)
                return DLMS_E_APDU;
        q.kind = apdu_kind_of(q.tag, head[1]);
        q.invoke = head[2];
        if (q.kind == 0)
                return DLMS_E_APDU;
        if (q.kind == APDU_NORMAL || q.kind == APDU_FIRST)
                take_normal(&r, &q);
        else if (q.kind == APDU_LIST || q.kind == APDU_LIST_FIRST)
                take_list(&r, &q);
        else if (q.kind == APDU_BLOCK && q.tag != APDU_GET_REQUEST)
                take_data_block(&r, &q);
        else
                q.block = apdu_take_be32(&r);
        e = apdu_finish(&r);
        if (!e)
                *ret = q;
        return e;
}
