/* SET and ACTION beyond the normal ones: in blocks, with lists, answers in blocks (Green Book 9.4
 * and 9.5). */
#include "apdu_internal.h"

static void put_block(struct axdr_writer *w, bool last, uint32_t block, const uint8_t *data,
                      size_t n)
{
        axdr_put_byte(w, last);
        axdr_put_be32(w, block);
        axdr_put_length(w, n);
        axdr_put_raw(w, data, n);
}

void apdu_put_set_block(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *attr,
                        bool last, uint32_t block, const uint8_t *data, size_t n)
{
        apdu_put_head(w, APDU_SET_REQUEST, attr ? APDU_SET_FIRST_BLOCK : APDU_SET_BLOCK, invoke);
        if (attr) {
                apdu_put_attr(w, attr);
                axdr_put_byte(w, 0);
        }
        put_block(w, last, block, data, n);
}

void apdu_put_action_block(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *method,
                           bool last, uint32_t block, const uint8_t *data, size_t n)
{
        apdu_put_head(w, APDU_ACTION_REQUEST, method ? APDU_ACTION_FIRST_BLOCK : APDU_ACTION_BLOCK,
                      invoke);
        if (method)
                apdu_put_attr(w, method);
        put_block(w, last, block, data, n);
}

void apdu_put_action_next(struct axdr_writer *w, uint8_t invoke, uint32_t block)
{
        apdu_put_head(w, APDU_ACTION_REQUEST, APDU_ACTION_NEXT, invoke);
        axdr_put_be32(w, block);
}

void apdu_put_set_list(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *attrs,
                       size_t n, const uint8_t *values, size_t n_values)
{
        apdu_put_head(w, APDU_SET_REQUEST, APDU_SET_LIST, invoke);
        axdr_put_length(w, n);
        for (size_t i = 0; i < n; i++) {
                apdu_put_attr(w, &attrs[i]);
                axdr_put_byte(w, 0);
        }
        axdr_put_length(w, n);
        axdr_put_raw(w, values, n_values);
}

void apdu_put_action_list(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *methods,
                          size_t n, const uint8_t *values, size_t n_values)
{
        apdu_put_head(w, APDU_ACTION_REQUEST, APDU_ACTION_LIST, invoke);
        axdr_put_length(w, n);
        for (size_t i = 0; i < n; i++)
                apdu_put_attr(w, &methods[i]);
        axdr_put_length(w, n);
        axdr_put_raw(w, values, n_values);
}

void apdu_put_set_block_taken(struct axdr_writer *w, uint8_t invoke, uint32_t block)
{
        apdu_put_head(w, APDU_SET_RESPONSE, APDU_SET_BLOCK_TAKEN, invoke);
        axdr_put_be32(w, block);
}

void apdu_put_set_last_block(struct axdr_writer *w, uint8_t invoke, uint8_t result, uint32_t block)
{
        apdu_put_head(w, APDU_SET_RESPONSE, APDU_SET_LAST_BLOCK, invoke);
        axdr_put_byte(w, result);
        axdr_put_be32(w, block);
}

void apdu_put_set_results(struct axdr_writer *w, uint8_t invoke, const uint8_t *results, size_t n,
                          uint32_t block)
{
        apdu_put_head(w, APDU_SET_RESPONSE, block ? APDU_SET_LAST_BLOCK_LIST : APDU_SET_RESULTS,
                      invoke);
        axdr_put_length(w, n);
        axdr_put_raw(w, results, n);
        if (block)
                axdr_put_be32(w, block);
}

void apdu_put_action_block_taken(struct axdr_writer *w, uint8_t invoke, uint32_t block)
{
        apdu_put_head(w, APDU_ACTION_RESPONSE, APDU_ACTION_BLOCK_TAKEN, invoke);
        axdr_put_be32(w, block);
}

void apdu_put_action_answer_block(struct axdr_writer *w, uint8_t invoke, bool last, uint32_t block,
                                  const uint8_t *data, size_t n)
{
        apdu_put_head(w, APDU_ACTION_RESPONSE, APDU_ACTION_ANSWER_BLOCK, invoke);
        put_block(w, last, block, data, n);
}

void apdu_put_action_answer(struct axdr_writer *w, uint8_t result, const uint8_t *data, size_t n)
{
        axdr_put_byte(w, result);
        axdr_put_byte(w, n > 0);
        if (n == 0)
                return;
        axdr_put_byte(w, 0);
        axdr_put_raw(w, data, n);
}

/* ---- decoding ---- */

static int take_block(struct axdr_reader *r, struct apdu_request *q)
{
        q->last = apdu_take_byte(r) != 0;
        q->block = apdu_take_be32(r);
        if (axdr_length(r, &q->n))
                q->data = apdu_take(r, q->n);
        return apdu_finish(r);
}

bool apdu_method_next(struct axdr_reader *r, struct dlms_attr *ret)
{
        apdu_take_attr(r, ret);
        return r->error == 0;
}

/* The attributes or methods of a list. */
static void take_items(struct axdr_reader *r, struct apdu_request *q)
{
        struct dlms_selection selection;
        struct dlms_attr attr;

        if (!axdr_length(r, &q->count))
                return;
        q->items = r->p;
        for (size_t i = 0; i < q->count && !r->error; i++) {
                apdu_take_attr(r, &attr);
                if (q->tag == APDU_SET_REQUEST)
                        apdu_take_selection(r, &selection);
        }
        q->items_n = (size_t)(r->p - q->items);
}

/* As many values as items, one after the other. */
static int take_values(struct axdr_reader *r, struct apdu_request *q)
{
        size_t count;

        if (r->error || !axdr_length(r, &count))
                return r->error;
        if (count != q->count)
                return DLMS_E_APDU;
        q->data = r->p;
        for (size_t i = 0; i < count; i++)
                if (!axdr_skip(r))
                        return r->error;
        q->n = (size_t)(r->p - q->data);
        return apdu_finish(r);
}

int apdu_take_set_request(struct axdr_reader *r, struct apdu_request *q)
{
        switch (q->kind) {
        case APDU_NORMAL:
                apdu_take_attr(r, &q->attr);
                apdu_take_selection(r, &q->selection);
                apdu_take_value(r, &q->data, &q->n);
                return apdu_finish(r);
        case APDU_SET_FIRST_BLOCK:
                apdu_take_attr(r, &q->attr);
                apdu_take_selection(r, &q->selection);
                return take_block(r, q);
        case APDU_SET_BLOCK:
                return take_block(r, q);
        case APDU_SET_LIST:
                take_items(r, q);
                return take_values(r, q);
        case APDU_SET_LIST_FIRST_BLOCK:
                take_items(r, q);
                return take_block(r, q);
        default:
                return DLMS_E_APDU;
        }
}

int apdu_take_action_request(struct axdr_reader *r, struct apdu_request *q)
{
        switch (q->kind) {
        case APDU_NORMAL:
                apdu_take_attr(r, &q->attr);
                if (apdu_take_byte(r))
                        apdu_take_value(r, &q->data, &q->n);
                return apdu_finish(r);
        case APDU_ACTION_NEXT:
                q->block = apdu_take_be32(r);
                return apdu_finish(r);
        case APDU_ACTION_LIST:
                take_items(r, q);
                return take_values(r, q);
        case APDU_ACTION_FIRST_BLOCK:
                apdu_take_attr(r, &q->attr);
                return take_block(r, q);
        case APDU_ACTION_LIST_FIRST_BLOCK:
                take_items(r, q);
                return take_block(r, q);
        case APDU_ACTION_BLOCK:
                return take_block(r, q);
        default:
                return DLMS_E_APDU;
        }
}

static void take_results(struct axdr_reader *r, struct apdu_response *a)
{
        if (!axdr_length(r, &a->count))
                return;
        a->n = a->count;
        a->data = apdu_take(r, a->n);
}

int apdu_take_set_response(struct axdr_reader *r, struct apdu_response *a)
{
        switch (a->kind) {
        case APDU_NORMAL:
                a->result = apdu_take_byte(r);
                return apdu_finish(r);
        case APDU_SET_BLOCK_TAKEN:
                a->block = apdu_take_be32(r);
                return apdu_finish(r);
        case APDU_SET_LAST_BLOCK:
                a->result = apdu_take_byte(r);
                a->block = apdu_take_be32(r);
                return apdu_finish(r);
        case APDU_SET_LAST_BLOCK_LIST:
                take_results(r, a);
                a->block = apdu_take_be32(r);
                return apdu_finish(r);
        case APDU_SET_RESULTS:
                take_results(r, a);
                return apdu_finish(r);
        default:
                return DLMS_E_APDU;
        }
}

bool apdu_action_answer_next(struct axdr_reader *r, uint8_t *ret_result, const uint8_t **ret_data,
                             size_t *ret_n)
{
        uint8_t result;

        *ret_data = NULL;
        *ret_n = 0;
        *ret_result = apdu_take_byte(r);
        if (apdu_take_byte(r)) {
                apdu_take_data_result(r, &result, ret_data, ret_n);
                if (*ret_result == 0)
                        *ret_result = result;
        }
        return r->error == 0;
}

int apdu_take_action_response(struct axdr_reader *r, struct apdu_response *a)
{
        const uint8_t *data;
        uint8_t result;
        size_t n;

        switch (a->kind) {
        case APDU_NORMAL:
                apdu_action_answer_next(r, &a->result, &a->data, &a->n);
                return apdu_finish(r);
        case APDU_ACTION_ANSWER_BLOCK:
                a->last = apdu_take_byte(r) != 0;
                a->block = apdu_take_be32(r);
                if (axdr_length(r, &a->n))
                        a->data = apdu_take(r, a->n);
                return apdu_finish(r);
        case APDU_ACTION_RESULTS:
                if (!axdr_length(r, &a->count))
                        return r->error;
                a->data = r->p;
                for (size_t i = 0; i < a->count; i++)
                        if (!apdu_action_answer_next(r, &result, &data, &n))
                                return r->error;
                a->n = (size_t)(r->p - a->data);
                return apdu_finish(r);
        case APDU_ACTION_BLOCK_TAKEN:
                a->block = apdu_take_be32(r);
                return apdu_finish(r);
        default:
                return DLMS_E_APDU;
        }
}
