/* What else a client may ask of the meter: ACCESS, and Read by short names. */
#include "server_internal.h"

#include <string.h>

#include "access.h"
#include "short_name.h"

enum { HEAD_MAX = 16, LIST_MAX = 64 };

/* ---- ACCESS ---- */

static unsigned access_one(struct dlms_server *s, const struct dlms_item *item, const uint8_t *data,
                           size_t n, struct axdr_writer *w)
{
        const struct dlms_server_objects *o = s->cfg->objects;
        size_t start = w->len;
        unsigned result = DLMS_ACCESS_READ_WRITE_DENIED;

        if (item->service == DLMS_GET)
                result = server_get(s, &item->attr, &item->selection, w);
        else if (item->service == DLMS_SET)
                result = server_set(s, &item->attr, &item->selection, data, n);
        else if (o->action)
                result = o->action(s->meter, &item->attr, n == 1 && *data == 0 ? NULL : data, n, w);
        if (result)
                w->len = start;
        if (w->len == start)
                axdr_put_null(w);
        return result;
}

void server_on_access(struct dlms_server *s, const uint8_t *p, size_t n)
{
        uint8_t head[HEAD_MAX], results[2 * LIST_MAX];
        struct axdr_writer h = axdr_writer_of(head, sizeof head), w = server_body(s);
        struct axdr_reader specs, values;
        struct access_request q;
        struct dlms_item item;
        bool stopped = false;

        if (access_request_decode(p, n, &q) || q.count > LIST_MAX) {
                server_refuse(s, 2, APDU_EXC_OTHER);
                return;
        }
        axdr_put_byte(&h, APDU_ACCESS_RESPONSE);
        axdr_put_be32(&h, q.invoke);
        axdr_put_raw(&h, (uint8_t[]){ 0, 0 }, 2); /* no time, no specification repeated */
        axdr_reader_init(&specs, q.specs, q.specs_len);
        axdr_reader_init(&values, q.data, q.data_len);
        axdr_put_length(&w, q.count);
        for (size_t i = 0; i < q.count; i++) {
                const uint8_t *data = NULL;
                unsigned result = DLMS_ACCESS_OTHER;
                size_t len = 0;

                access_spec_next(&specs, &item);
                apdu_value_next(&values, &data, &len);
                if (stopped)
                        axdr_put_null(&w);
                else
                        result = access_one(s, &item, data, len, &w);
                stopped |= result && q.invoke & ACCESS_BREAK_ON_ERROR;
                results[2 * i] = (uint8_t)item.service;
                results[2 * i + 1] = (uint8_t)result;
        }
        axdr_put_length(&w, q.count);
        axdr_put_raw(&w, results, 2 * q.count);
        if (!server_send_body(s, 0, head, h.len, &w, 0))
                server_refuse(s, 2, APDU_EXC_TOO_LONG);
}

/* ---- Read, by short names ---- */

static void put_sn_list(struct dlms_server *s, struct axdr_writer *w)
{
        axdr_put_array(w, s->cfg->n_sn_objects);
        for (size_t i = 0; i < s->cfg->n_sn_objects; i++) {
                const struct sn_object *o = &s->cfg->sn_objects[i];

                axdr_put_structure(w, 4);
                axdr_put_int16(w, (int16_t)o->base);
                axdr_put_uint16(w, o->class_id);
                axdr_put_uint8(w, o->version);
                axdr_put_obis(w, &o->obis);
        }
}

static void read_one(struct dlms_server *s, const struct sn_spec *spec, struct axdr_writer *w)
{
        size_t start = w->len;
        unsigned result = DLMS_ACCESS_OBJECT_UNDEFINED;
        struct dlms_attr attr;

        axdr_put_byte(w, SN_DATA);
        if (spec->name == SN_ASSOCIATION + SN_ATTRIBUTE_STEP) {
                put_sn_list(s, w);
                result = 0;
        } else if (sn_attr_of(s->cfg->sn_objects, s->cfg->n_sn_objects, spec->name, &attr)) {
                result = server_get(s, &attr, &spec->selection, w);
        }
        if (result) {
                w->len = start;
                axdr_put_byte(w, SN_ERROR);
                axdr_put_byte(w, (uint8_t)result);
        }
}

static void send_read_error(struct dlms_server *s, uint8_t result)
{
        struct sn_result error = { .choice = SN_ERROR, .error = result };
        struct axdr_writer w = server_begin(s);

        sn_put_response(&w, 1);
        sn_put_result(&w, &error);
        server_send(s, &w);
}

static void on_read_next(struct dlms_server *s, const struct sn_spec *spec)
{
        if (s->reply_len == 0 || s->reply_tag != APDU_READ_RESPONSE) {
                send_read_error(s, DLMS_ACCESS_NO_LONG_GET);
        } else if (spec->block != s->block) {
                s->reply_len = 0;
                send_read_error(s, DLMS_ACCESS_DATA_BLOCK_NUMBER_INVALID);
        } else {
                server_send_block(s, 0);
        }
}

void server_on_read(struct dlms_server *s, const uint8_t *p, size_t n)
{
        static const uint8_t head[] = { APDU_READ_RESPONSE };
        struct axdr_writer w = server_body(s);
        struct axdr_reader r;
        struct sn_spec spec;
        struct sn_read q;

        if (sn_read_decode(p, n, &q)) {
                server_refuse(s, 2, APDU_EXC_OTHER);
                return;
        }
        axdr_reader_init(&r, q.specs, q.n);
        axdr_put_length(&w, q.count);
        for (size_t i = 0; i < q.count && sn_spec_next(&r, &spec); i++) {
                if (spec.access == SN_BLOCK_NUMBER) {
                        on_read_next(s, &spec);
                        return;
                }
                s->reply_len = 0;
                read_one(s, &spec, &w);
        }
        if (!server_send_body(s, 0, head, sizeof head, &w, 0))
                send_read_error(s, DLMS_ACCESS_LONG_GET_ABORTED);
}
