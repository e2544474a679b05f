#include "apdu_internal.h"

#include <string.h>

static bool plausible_notification(const uint8_t *p, size_t n)
{
        struct apdu_notification note;

        return apdu_notification_decode(p, n, &note) == 0 && note.n > 0 &&
               (note.body[0] <= AXDR_TIME || note.body[0] == AXDR_DONT_CARE);
}

bool apdu_plausible(const uint8_t *p, size_t n)
{
        struct apdu_request request;
        struct apdu_response response;
        struct apdu_block block;

        if (n < 2)
                return false;
        switch (p[0]) {
        case APDU_INITIATE_REQUEST:
        case APDU_INITIATE_RESPONSE:
                return n >= 13 && p[1] <= 1 && memmem(p, n, "\x06\x5F", 2);
        case APDU_CONFIRMED_SERVICE_ERROR:
                return n == 4 && p[1] <= 8;
        case APDU_DATA_NOTIFICATION:
        case APDU_EVENT_NOTIFICATION:
                return plausible_notification(p, n);
        case APDU_GET_REQUEST:
        case APDU_SET_REQUEST:
        case APDU_ACTION_REQUEST:
                return apdu_request_decode(p, n, &request) == 0;
        case APDU_GET_RESPONSE:
        case APDU_SET_RESPONSE:
        case APDU_ACTION_RESPONSE:
                return apdu_response_decode(p, n, &response) == 0;
        case APDU_EXCEPTION:
                return n <= 7 && n >= 3 && p[1] >= 1 && p[1] <= 2 && p[2] >= 1 && p[2] <= 6;
        case APDU_ACCESS_REQUEST:
        case APDU_ACCESS_RESPONSE:
                return n >= 8;
        case APDU_GENERAL_BLOCK:
                return apdu_block_decode(p, n, &block) == 0;
        default:
                return false;
        }
}

/* ---- requests ---- */

void apdu_put_attr(struct axdr_writer *w, const struct dlms_attr *attr)
{
        axdr_put_be16(w, attr->class_id);
        axdr_put_raw(w, attr->obis.v, 6);
        axdr_put_byte(w, (uint8_t)attr->id);
}

void apdu_put_selection(struct axdr_writer *w, const struct dlms_selection *s)
{
        if (!s || s->selector == 0) {
                axdr_put_byte(w, 0);
                return;
        }
        axdr_put_byte(w, 1);
        axdr_put_byte(w, s->selector);
        axdr_put_raw(w, s->params, s->n);
}

void apdu_put_head(struct axdr_writer *w, uint8_t tag, uint8_t kind, uint8_t invoke)
{
        uint8_t head[3] = { tag, kind, invoke };

        axdr_put_raw(w, head, sizeof head);
}

void apdu_put_get(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *attr,
                  const struct dlms_selection *selection)
{
        apdu_put_head(w, APDU_GET_REQUEST, APDU_NORMAL, invoke);
        apdu_put_attr(w, attr);
        apdu_put_selection(w, selection);
}

void apdu_put_get_next(struct axdr_writer *w, uint8_t invoke, uint32_t block)
{
        apdu_put_head(w, APDU_GET_REQUEST, APDU_BLOCK, invoke);
        axdr_put_be32(w, block);
}

void apdu_put_get_list(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *attrs,
                       size_t n)
{
        apdu_put_head(w, APDU_GET_REQUEST, APDU_LIST, invoke);
        axdr_put_length(w, n);
        for (size_t i = 0; i < n; i++) {
                apdu_put_attr(w, &attrs[i]);
                axdr_put_byte(w, 0);
        }
}

void apdu_put_set(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *attr,
                  const uint8_t *data, size_t n)
{
        apdu_put_head(w, APDU_SET_REQUEST, APDU_NORMAL, invoke);
        apdu_put_attr(w, attr);
        axdr_put_byte(w, 0);
        axdr_put_raw(w, data, n);
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

uint32_t apdu_take_be32(struct axdr_reader *r)
{
        const uint8_t *p = apdu_take(r, 4);

        return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

void apdu_take_attr(struct axdr_reader *r, struct dlms_attr *ret)
{
        const uint8_t *p = apdu_take(r, 9);

        if (!p)
                return;
        ret->class_id = (uint16_t)(p[0] << 8 | p[1]);
        memcpy(ret->obis.v, p + 2, 6);
        ret->id = (int8_t)p[8];
}

void apdu_take_selection(struct axdr_reader *r, struct dlms_selection *ret)
{
        *ret = (struct dlms_selection){ 0 };
        if (apdu_take_byte(r) == 0 || r->error)
                return;
        ret->selector = apdu_take_byte(r);
        ret->params = r->p;
        if (axdr_skip(r))
                ret->n = (size_t)(r->p - ret->params);
}

/* One whole A-XDR value up to the end. */
void apdu_take_value(struct axdr_reader *r, const uint8_t **ret, size_t *ret_n)
{
        const uint8_t *start = r->p;

        if (!axdr_skip(r))
                return;
        *ret = start;
        *ret_n = (size_t)(r->p - start);
}

static int decode_get_request(struct axdr_reader *r, struct apdu_request *q)
{
        switch (q->kind) {
        case APDU_NORMAL:
                apdu_take_attr(r, &q->attr);
                apdu_take_selection(r, &q->selection);
                return apdu_finish(r);
        case APDU_BLOCK:
                q->block = apdu_take_be32(r);
                return apdu_finish(r);
        case APDU_LIST: {
                struct dlms_selection selection;
                struct dlms_attr attr;

                if (!axdr_length(r, &q->count))
                        return r->error;
                q->data = r->p;
                q->n = (size_t)(r->end - r->p);
                for (size_t i = 0; i < q->count; i++)
                        if (!apdu_list_next(r, &attr, &selection))
                                return r->error;
                return apdu_finish(r);
        }
        default:
                return DLMS_E_APDU;
        }
}

bool apdu_list_next(struct axdr_reader *r, struct dlms_attr *ret_attr,
                    struct dlms_selection *ret_selection)
{
        apdu_take_attr(r, ret_attr);
        apdu_take_selection(r, ret_selection);
        return r->error == 0;
}

int apdu_request_decode(const uint8_t *p, size_t n, struct apdu_request *ret)
{
        struct apdu_request q = { 0 };
        struct axdr_reader r;
        int e;

        axdr_reader_init(&r, p, n);
        q.tag = apdu_take_byte(&r);
        q.kind = apdu_take_byte(&r);
        q.invoke = apdu_take_byte(&r);
        if (r.error)
                return r.error;
        switch (q.tag) {
        case APDU_GET_REQUEST:
                e = decode_get_request(&r, &q);
                break;
        case APDU_SET_REQUEST:
                e = apdu_take_set_request(&r, &q);
                break;
        case APDU_ACTION_REQUEST:
                e = apdu_take_action_request(&r, &q);
                break;
        default:
                return DLMS_E_APDU;
        }
        if (!e)
                *ret = q;
        return e;
}

/* ---- responses ---- */

/* Get-Data-Result: 0 and a value, or 1 and a result. */
void apdu_take_data_result(struct axdr_reader *r, uint8_t *ret_result, const uint8_t **ret_data,
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
        apdu_take_data_result(r, ret_result, ret_data, ret_n);
        return r->error == 0;
}

static int decode_get_response(struct axdr_reader *r, struct apdu_response *a)
{
        uint8_t choice;

        switch (a->kind) {
        case APDU_NORMAL:
                /* A widespread server library repeats the value of a clock behind it: the first
                 * whole value counts, what follows is ignored. */
                apdu_take_data_result(r, &a->result, &a->data, &a->n);
                return r->error;
        case APDU_BLOCK:
                a->last = apdu_take_byte(r) != 0;
                a->block = apdu_take_be32(r);
                choice = apdu_take_byte(r);
                if (r->error)
                        return r->error;
                if (choice == 1) {
                        a->result = apdu_take_byte(r);
                        return apdu_finish(r);
                }
                if (choice != 0)
                        return DLMS_E_APDU;
                if (axdr_length(r, &a->n))
                        a->data = apdu_take(r, a->n);
                return apdu_finish(r);
        case APDU_LIST:
                if (!axdr_length(r, &a->count))
                        return r->error;
                a->data = r->p;
                a->n = (size_t)(r->end - r->p);
                for (size_t i = 0; i < a->count; i++) {
                        const uint8_t *data;
                        uint8_t result;
                        size_t n;

                        if (!apdu_result_next(r, &result, &data, &n))
                                return r->error;
                }
                return apdu_finish(r);
        default:
                return DLMS_E_APDU;
        }
}

int apdu_response_decode(const uint8_t *p, size_t n, struct apdu_response *ret)
{
        struct apdu_response a = { 0 };
        struct axdr_reader r;
        int e;

        axdr_reader_init(&r, p, n);
        a.tag = apdu_take_byte(&r);
        a.kind = apdu_take_byte(&r);
        a.invoke = apdu_take_byte(&r);
        if (r.error)
                return r.error;
        switch (a.tag) {
        case APDU_GET_RESPONSE:
                e = decode_get_response(&r, &a);
                break;
        case APDU_SET_RESPONSE:
                e = apdu_take_set_response(&r, &a);
                break;
        case APDU_ACTION_RESPONSE:
                e = apdu_take_action_response(&r, &a);
                break;
        default:
                return DLMS_E_APDU;
        }
        if (!e)
                *ret = a;
        return e;
}

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

void apdu_put_get_block(struct axdr_writer *w, uint8_t invoke, bool last, uint32_t block,
                        const uint8_t *data, size_t n)
{
        apdu_put_head(w, APDU_GET_RESPONSE, APDU_BLOCK, invoke);
        axdr_put_byte(w, last);
        axdr_put_be32(w, block);
        axdr_put_byte(w, 0);
        axdr_put_length(w, n);
        axdr_put_raw(w, data, n);
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
        apdu_put_action_answer(w, result, data, n);
}

/* ---- exceptions ---- */

int apdu_exception_decode(const uint8_t *p, size_t n, struct apdu_exception *ret)
{
        struct apdu_exception e = { 0 };
        struct axdr_reader r;

        axdr_reader_init(&r, p, n);
        if (apdu_take_byte(&r) != APDU_EXCEPTION)
                return DLMS_E_APDU;
        e.state = apdu_take_byte(&r);
        e.service = apdu_take_byte(&r);
        if (r.error)
                return r.error;
        if (e.service == APDU_EXC_COUNTER && axdr_left(&r) >= 4)
                e.counter = apdu_take_be32(&r);
        *ret = e;
        return 0;
}

void apdu_put_exception(struct axdr_writer *w, uint8_t state, uint8_t service, uint32_t counter)
{
        apdu_put_head(w, APDU_EXCEPTION, state, service);
        if (service == APDU_EXC_COUNTER)
                axdr_put_be32(w, counter);
}

enum dlms_error apdu_exception_error(const struct apdu_exception *e)
{
        switch (e->service) {
        case APDU_EXC_TOO_LONG:
                return DLMS_E_EXCEPTION_TOO_LONG;
        case APDU_EXC_DECIPHERING:
                return DLMS_E_EXCEPTION_DECIPHERING;
        case APDU_EXC_COUNTER:
                return DLMS_E_EXCEPTION_COUNTER;
        case APDU_EXC_NOT_POSSIBLE:
                return e->state == 1 ? DLMS_E_EXCEPTION_NOT_ALLOWED : DLMS_E_EXCEPTION_NOT_POSSIBLE;
        case APDU_EXC_NOT_SUPPORTED:
                return e->state == 2 ? DLMS_E_EXCEPTION_UNKNOWN : DLMS_E_EXCEPTION_NOT_SUPPORTED;
        default:
                return e->state == 1   ? DLMS_E_EXCEPTION_NOT_ALLOWED
                       : e->state == 2 ? DLMS_E_EXCEPTION_UNKNOWN
                                       : DLMS_E_EXCEPTION;
        }
}

/* ---- notifications ---- */

/* Date-time of a data-notification: an octet-string without tag, of 0 or 12 bytes. Some meters
 * (Kaifa) put the tag before it all the same. */
static const uint8_t *take_notification_time(struct axdr_reader *r)
{
        uint8_t n = apdu_take_byte(r);

        if (n == AXDR_OCTET_STRING && axdr_left(r) > 0 && *r->p == 12)
                n = apdu_take_byte(r);
        if (n == 0 || r->error)
                return NULL;
        if (n != 12) {
                r->error = DLMS_E_APDU;
                return NULL;
        }
        return apdu_take(r, n);
}

int apdu_notification_decode(const uint8_t *p, size_t n, struct apdu_notification *ret)
{
        struct apdu_notification note = { 0 };
        struct axdr_reader r;

        axdr_reader_init(&r, p, n);
        note.tag = apdu_take_byte(&r);
        if (note.tag == APDU_DATA_NOTIFICATION) {
                note.invoke = apdu_take_be32(&r);
                note.time = take_notification_time(&r);
        } else if (note.tag == APDU_EVENT_NOTIFICATION) {
                if (apdu_take_byte(&r))
                        note.time = take_notification_time(&r);
                apdu_take_attr(&r, &note.attr);
        } else {
                return DLMS_E_APDU;
        }
        if (r.error)
                return r.error;
        note.body = r.p;
        note.n = (size_t)(r.end - r.p);
        *ret = note;
        return 0;
}
