/* GET, SET and ACTION responses of every kind, both ways (Green Book 9.5). */
#include "apdu_internal.h"

/* ---- reading ---- */

/* Get-Data-Result: 0 and a value, or 1 and a result. */
static void take_data_result(struct axdr_reader *r, uint8_t *ret_result, const uint8_t **ret_data,
                             size_t *ret_n)
{
        uint8_t choice = apdu_take_byte(r);

        *ret_data = NULL;
        *ret_n = 0;
        *ret_result = 0;
        if (r->error)
                return;
        if (choice == 0) {
                apdu_take_value(r, ret_data, ret_n);
        } else if (choice == 1) {
                *ret_result = apdu_take_byte(r);
                if (!r->error && *ret_result == 0)
                        r->error = DLMS_E_APDU; /* "success" without data */
        } else {
                r->error = DLMS_E_APDU;
        }
}

bool apdu_result_next(struct axdr_reader *r, uint8_t *ret_result, const uint8_t **ret_data,
                      size_t *ret_n)
{
        take_data_result(r, ret_result, ret_data, ret_n);
        return r->error == 0;
}

bool apdu_action_next(struct axdr_reader *r, uint8_t *ret_result, const uint8_t **ret_data,
                      size_t *ret_n)
{
        uint8_t inner = 0;

        *ret_data = NULL;
        *ret_n = 0;
        *ret_result = apdu_take_byte(r);
        if (apdu_take_byte(r))
                take_data_result(r, &inner, ret_data, ret_n);
        if (*ret_result == 0)
                *ret_result = inner;
        return r->error == 0;
}

static void take_block(struct axdr_reader *r, struct apdu_response *a)
{
        uint8_t choice = 0;

        a->last = apdu_take_byte(r) != 0;
        a->block = apdu_take_be32(r);
        if (a->tag == APDU_GET_RESPONSE)
                choice = apdu_take_byte(r);
        if (r->error)
                return;
        if (choice == 0) {
                apdu_take_octets(r, &a->data, &a->n);
        } else if (choice == 1) {
                a->result = apdu_take_byte(r);
                if (!r->error && a->result == 0)
                        r->error = DLMS_E_APDU;
        } else {
                r->error = DLMS_E_APDU;
        }
}

static void take_list(struct axdr_reader *r, struct apdu_response *a)
{
        const uint8_t *data;
        uint8_t result;
        size_t n;

        if (!axdr_length(r, &a->count))
                return;
        a->data = r->p;
        if (a->tag == APDU_SET_RESPONSE) {
                apdu_take(r, a->count);
        } else {
                for (size_t i = 0; i < a->count && !r->error; i++) {
                        if (a->tag == APDU_GET_RESPONSE)
                                apdu_result_next(r, &result, &data, &n);
                        else
                                apdu_action_next(r, &result, &data, &n);
                }
        }
        a->n = (size_t)(r->p - a->data);
}

static void take_normal(struct axdr_reader *r, struct apdu_response *a)
{
        if (a->tag == APDU_GET_RESPONSE)
                take_data_result(r, &a->result, &a->data, &a->n);
        else if (a->tag == APDU_ACTION_RESPONSE)
                apdu_action_next(r, &a->result, &a->data, &a->n);
        else
                a->result = apdu_take_byte(r);
}

static void take_body(struct axdr_reader *r, struct apdu_response *a)
{
        switch (a->kind) {
        case APDU_NORMAL:
                take_normal(r, a);
                return;
        case APDU_BLOCK:
                take_block(r, a);
                return;
        case APDU_LIST:
                take_list(r, a);
                return;
        case APDU_LAST:
                a->result = apdu_take_byte(r);
                break;
        case APDU_LIST_LAST:
                take_list(r, a);
                break;
        default: /* NEXT */
                break;
        }
        a->block = apdu_take_be32(r);
}

int apdu_response_decode(const uint8_t *p, size_t n, struct apdu_response *ret)
{
        struct apdu_response a = { 0 };
        struct axdr_reader r;
        const uint8_t *head;
        int e;

        axdr_reader_init(&r, p, n);
        head = apdu_take(&r, 3);
        if (!head)
                return r.error;
        a.tag = head[0];
        if (a.tag != APDU_GET_RESPONSE && a.tag != APDU_SET_RESPONSE &&
            a.tag != APDU_ACTION_RESPONSE)
                return DLMS_E_APDU;
        a.kind = apdu_kind_of(a.tag, head[1]);
        a.invoke = head[2];
        if (a.kind == 0)
                return DLMS_E_APDU;
        take_body(&r, &a);
        /* A widespread server library repeats the value of a clock behind it: the first whole value
         * counts, what follows is ignored. */
        if (a.tag == APDU_GET_RESPONSE && a.kind == APDU_NORMAL)
                e = r.error;
        else
                e = apdu_finish(&r);
        if (!e)
                *ret = a;
        return e;
}

/* ---- writing ---- */

void apdu_put_get_result(struct axdr_writer *w, uint8_t invoke, uint8_t result)
{
        apdu_put_head(w, APDU_GET_RESPONSE, APDU_NORMAL, invoke);
        axdr_put_byte(w, 1);
        axdr_put_byte(w, result);
}

void apdu_put_get_data(struct axdr_writer *w, uint8_t invoke)
{
        apdu_put_head(w, APDU_GET_RESPONSE, APDU_NORMAL, invoke);
        axdr_put_byte(w, 0);
}

void apdu_put_set_result(struct axdr_writer *w, uint8_t invoke, uint8_t result)
{
        apdu_put_head(w, APDU_SET_RESPONSE, APDU_NORMAL, invoke);
        axdr_put_byte(w, result);
}

void apdu_put_action_result(struct axdr_writer *w, uint8_t invoke, uint8_t result,
                            const uint8_t *data, size_t n)
{
        apdu_put_head(w, APDU_ACTION_RESPONSE, APDU_NORMAL, invoke);
        axdr_put_byte(w, result);
        if (n == 0) {
                axdr_put_byte(w, 0);
                return;
        }
        axdr_put_byte(w, 1);
        axdr_put_byte(w, 0);
        axdr_put_raw(w, data, n);
}

static void put_block(struct axdr_writer *w, const struct apdu_response *a)
{
        axdr_put_byte(w, a->last);
        axdr_put_be32(w, a->block);
        if (a->tag == APDU_GET_RESPONSE) {
                axdr_put_byte(w, a->data == NULL);
                if (!a->data) {
                        axdr_put_byte(w, a->result);
                        return;
                }
        }
        apdu_put_octets(w, a->data, a->n);
}

static void put_normal(struct axdr_writer *w, const struct apdu_response *a)
{
        if (a->tag == APDU_ACTION_RESPONSE) {
                apdu_put_action_result(w, a->invoke, a->result, a->data, a->n);
        } else if (a->tag == APDU_SET_RESPONSE) {
                apdu_put_set_result(w, a->invoke, a->result);
        } else if (a->data) {
                apdu_put_get_data(w, a->invoke);
                axdr_put_raw(w, a->data, a->n);
        } else {
                apdu_put_get_result(w, a->invoke, a->result);
        }
}

void apdu_put_response(struct axdr_writer *w, const struct apdu_response *a)
{
        if (a->kind == APDU_NORMAL) {
                put_normal(w, a);
                return;
        }
        apdu_put_head(w, a->tag, a->kind, a->invoke);
        if (a->kind == APDU_BLOCK) {
                put_block(w, a);
                return;
        }
        if (a->kind == APDU_LIST || a->kind == APDU_LIST_LAST) {
                axdr_put_length(w, a->count);
                axdr_put_raw(w, a->data, a->n);
        }
        if (a->kind == APDU_LAST)
                axdr_put_byte(w, a->result);
        if (a->kind != APDU_LIST)
                axdr_put_be32(w, a->block);
}
