#include "access.h"

#include "apdu_internal.h"

/* Access-Request-Specification: the services of enum dlms_service and two with a selection. */
enum { SPEC_GET_SELECTED = 4, SPEC_SET_SELECTED = 5, RESULT_SIZE = 2, TIME_SIZE = 12 };

static const uint8_t *take_time(struct axdr_reader *r)
{
        const uint8_t *p = NULL;
        size_t n = 0;

        apdu_take_octets(r, &p, &n);
        if (!r->error && n != 0 && n != TIME_SIZE)
                r->error = DLMS_E_APDU;
        return n ? p : NULL;
}

bool access_spec_next(struct axdr_reader *r, struct dlms_item *ret)
{
        uint8_t choice = apdu_take_byte(r);
        struct dlms_item item = { 0 };

        apdu_take_attr(r, &item.attr);
        if (choice == SPEC_GET_SELECTED || choice == SPEC_SET_SELECTED) {
                item.selection.selector = apdu_take_byte(r);
                apdu_take_value(r, &item.selection.params, &item.selection.n);
                choice = choice == SPEC_GET_SELECTED ? DLMS_GET : DLMS_SET;
        }
        if (!r->error && (choice < DLMS_GET || choice > DLMS_ACTION))
                r->error = DLMS_E_APDU;
        if (r->error)
                return false;
        item.service = (enum dlms_service)choice;
        *ret = item;
        return true;
}

static void take_specs(struct axdr_reader *r, size_t *ret_count, const uint8_t **ret, size_t *ret_n)
{
        struct dlms_item item;

        if (!axdr_length(r, ret_count))
                return;
        *ret = r->p;
        for (size_t i = 0; i < *ret_count; i++)
                if (!access_spec_next(r, &item))
                        return;
        *ret_n = (size_t)(r->p - *ret);
}

static void take_values(struct axdr_reader *r, size_t *ret_count, const uint8_t **ret,
                        size_t *ret_n)
{
        if (!axdr_length(r, ret_count))
                return;
        *ret = r->p;
        for (size_t i = 0; i < *ret_count; i++)
                if (!axdr_skip(r))
                        return;
        *ret_n = (size_t)(r->p - *ret);
}

int access_request_decode(const uint8_t *p, size_t n, struct access_request *ret)
{
        struct access_request q = { 0 };
        struct axdr_reader r;
        size_t values = 0;
        int e;

        axdr_reader_init(&r, p, n);
        if (apdu_take_byte(&r) != APDU_ACCESS_REQUEST)
                return r.error ? r.error : DLMS_E_APDU;
        q.invoke = apdu_take_be32(&r);
        q.time = take_time(&r);
        take_specs(&r, &q.count, &q.specs, &q.specs_len);
        take_values(&r, &values, &q.data, &q.data_len);
        e = apdu_finish(&r);
        if (!e && values != q.count)
                e = DLMS_E_APDU;
        if (!e)
                *ret = q;
        return e;
}

static void put_head(struct axdr_writer *w, uint8_t tag, uint32_t invoke, const uint8_t *time)
{
        axdr_put_byte(w, tag);
        axdr_put_be32(w, invoke);
        apdu_put_octets(w, time, time ? TIME_SIZE : 0);
}

void access_put_request(struct axdr_writer *w, uint32_t invoke, const struct dlms_item *items,
                        size_t n)
{
        put_head(w, APDU_ACCESS_REQUEST, invoke, NULL);
        axdr_put_length(w, n);
        for (size_t i = 0; i < n; i++) {
                const struct dlms_selection *s = &items[i].selection;
                uint8_t choice = (uint8_t)items[i].service;

                if (s->selector && items[i].service != DLMS_ACTION)
                        choice = choice == DLMS_GET ? SPEC_GET_SELECTED : SPEC_SET_SELECTED;
                axdr_put_byte(w, choice);
                apdu_put_attr(w, &items[i].attr);
                if (choice > DLMS_ACTION) {
                        axdr_put_byte(w, s->selector);
                        axdr_put_raw(w, s->params, s->n);
                }
        }
        axdr_put_length(w, n);
        for (size_t i = 0; i < n; i++) {
                if (items[i].service != DLMS_GET && items[i].data)
                        axdr_put_raw(w, items[i].data, items[i].n);
                else
                        axdr_put_null(w);
        }
}

size_t access_request_size(const struct dlms_item *items, size_t n)
{
        size_t size = 1 + 4 + 1 + 2 * (n < 0x80 ? 1 : 2);

        for (size_t i = 0; i < n; i++) {
                size += 1 + 9;
                if (items[i].selection.selector && items[i].service != DLMS_ACTION)
                        size += 1 + items[i].selection.n;
                size += items[i].service != DLMS_GET && items[i].data ? items[i].n : 1;
        }
        return size;
}

int access_response_decode(const uint8_t *p, size_t n, struct access_response *ret)
{
        struct access_response a = { 0 };
        struct axdr_reader r;
        size_t results = 0;
        int e;

        axdr_reader_init(&r, p, n);
        if (apdu_take_byte(&r) != APDU_ACCESS_RESPONSE)
                return r.error ? r.error : DLMS_E_APDU;
        a.invoke = apdu_take_be32(&r);
        a.time = take_time(&r);
        if (apdu_take_byte(&r))
                take_specs(&r, &a.n_specs, &a.specs, &a.specs_len);
        take_values(&r, &a.count, &a.data, &a.data_len);
        if (axdr_length(&r, &results)) {
                a.results =
                        apdu_take(&r, results > axdr_left(&r) ? SIZE_MAX : RESULT_SIZE * results);
                for (size_t i = 0; a.results && i < results; i++)
                        if (a.results[RESULT_SIZE * i] < DLMS_GET ||
                            a.results[RESULT_SIZE * i] > DLMS_ACTION)
                                r.error = DLMS_E_APDU;
        }
        e = apdu_finish(&r);
        if (!e && results != a.count)
                e = DLMS_E_APDU;
        if (!e)
                *ret = a;
        return e;
}

void access_put_response(struct axdr_writer *w, const struct access_response *a)
{
        put_head(w, APDU_ACCESS_RESPONSE, a->invoke, a->time);
        axdr_put_byte(w, a->n_specs > 0);
        if (a->n_specs > 0) {
                axdr_put_length(w, a->n_specs);
                axdr_put_raw(w, a->specs, a->specs_len);
        }
        axdr_put_length(w, a->count);
        axdr_put_raw(w, a->data, a->data_len);
        axdr_put_length(w, a->count);
        axdr_put_raw(w, a->results, RESULT_SIZE * a->count);
}
