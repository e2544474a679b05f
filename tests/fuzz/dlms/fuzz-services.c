/* Decoders of all services: what decodes points into the input, and what is encoded from it decodes
 * again to the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "dlms/access.h"
#include "dlms/apdu.h"
#include "dlms/gbt.h"
#include "dlms/short_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { CAP = 1 << 16 };

static uint8_t out[CAP], again[CAP];

static void inside(const uint8_t *p, size_t len, const uint8_t *data, size_t n)
{
        if (p && (p < data || len > n || p + len > data + n))
                abort();
}

static void requests(const uint8_t *data, size_t n)
{
        struct axdr_writer w = axdr_writer_of(out, CAP), v = axdr_writer_of(again, CAP);
        struct dlms_selection s;
        struct apdu_request q;
        struct dlms_attr attr;
        struct axdr_reader r;
        const uint8_t *value;
        size_t len;

        if (apdu_request_decode(data, n, &q))
                return;
        inside(q.data, q.n, data, n);
        inside(q.items, q.items_len, data, n);
        inside(q.selection.params, q.selection.n, data, n);
        axdr_reader_init(&r, q.items, q.items_len);
        for (size_t i = 0; i < q.count; i++)
                if (!(q.tag == APDU_ACTION_REQUEST ? apdu_method_next(&r, &attr)
                                                   : apdu_list_next(&r, &attr, &s)))
                        abort();
        axdr_reader_init(&r, q.data, q.n);
        for (size_t i = 0; q.kind == APDU_LIST && q.tag != APDU_GET_REQUEST && i < q.count; i++)
                if (!apdu_value_next(&r, &value, &len))
                        abort();
        apdu_put_request(&w, &q);
        if (w.failed || apdu_request_decode(out, w.len, &q))
                abort();
        apdu_put_request(&v, &q);
        if (v.len != w.len || memcmp(out, again, w.len) != 0)
                abort();
}

static void responses(const uint8_t *data, size_t n)
{
        struct axdr_writer w = axdr_writer_of(out, CAP), v = axdr_writer_of(again, CAP);
        struct apdu_response a;
        struct axdr_reader r;
        const uint8_t *value;
        uint8_t result;
        size_t len;

        if (apdu_response_decode(data, n, &a))
                return;
        inside(a.data, a.n, data, n);
        axdr_reader_init(&r, a.data, a.n);
        for (size_t i = 0; a.kind == APDU_LIST && a.tag != APDU_SET_RESPONSE && i < a.count; i++)
                if (!(a.tag == APDU_GET_RESPONSE ? apdu_result_next(&r, &result, &value, &len)
                                                 : apdu_action_next(&r, &result, &value, &len)))
                        abort();
        apdu_put_response(&w, &a);
        if (w.failed || apdu_response_decode(out, w.len, &a))
                abort();
        apdu_put_response(&v, &a);
        if (v.len != w.len || memcmp(out, again, w.len) != 0)
                abort();
}

static void access_both(const uint8_t *data, size_t n)
{
        struct axdr_writer w = axdr_writer_of(out, CAP);
        struct dlms_item items[64];
        struct access_response a;
        struct access_request q;
        struct axdr_reader r, values;

        if (access_request_decode(data, n, &q) == 0 && q.count <= 64) {
                axdr_reader_init(&r, q.specs, q.specs_len);
                axdr_reader_init(&values, q.data, q.data_len);
                for (size_t i = 0; i < q.count; i++) {
                        if (!access_spec_next(&r, &items[i]) ||
                            !apdu_value_next(&values, &items[i].data, &items[i].n))
                                abort();
                        inside(items[i].data, items[i].n, data, n);
                }
                access_put_request(&w, q.invoke, items, q.count);
                if (w.len != access_request_size(items, q.count) ||
                    access_request_decode(out, w.len, &q))
                        abort();
        }
        if (access_response_decode(data, n, &a))
                return;
        inside(a.data, a.data_len, data, n);
        inside(a.results, 2 * a.count, data, n);
        w = axdr_writer_of(out, CAP);
        access_put_response(&w, &a);
        if (access_response_decode(out, w.len, &a))
                abort();
}

static void short_names(const uint8_t *data, size_t n)
{
        struct sn_object objects[32];
        struct sn_response a;
        struct sn_result result;
        struct axdr_writer w = axdr_writer_of(out, CAP);
        struct axdr_reader r;
        struct sn_spec spec;
        struct sn_read q;
        size_t count;

        if (sn_read_decode(data, n, &q) == 0) {
                axdr_reader_init(&r, q.specs, q.n);
                sn_put_read(&w, q.count);
                for (size_t i = 0; i < q.count; i++) {
                        if (!sn_spec_next(&r, &spec))
                                abort();
                        sn_put_spec(&w, &spec);
                }
                if (sn_read_decode(out, w.len, &q))
                        abort();
        }
        w = axdr_writer_of(out, CAP);
        if (sn_response_decode(data, n, &a) == 0) {
                axdr_reader_init(&r, a.results, a.n);
                sn_put_response(&w, a.count);
                for (size_t i = 0; i < a.count; i++) {
                        if (!sn_result_next(&r, &result))
                                abort();
                        inside(result.data, result.n, data, n);
                        sn_put_result(&w, &result);
                }
                if (sn_response_decode(out, w.len, &a))
                        abort();
        }
        if (sn_objects_decode(data, n, objects, 32, &count) == 0)
                for (size_t i = 0; i < count; i++) {
                        struct dlms_attr attr = { objects[i].class_id, objects[i].obis, 2 };
                        uint16_t name;

                        if (!sn_name_of(objects, count, &attr, &name))
                                abort();
                        sn_attr_of(objects, count, name, &attr);
                }
}

/* Blocks one behind the other, each behind its length: any order, never more than fits. */
static void blocks(const uint8_t *data, size_t n)
{
        static uint8_t rx[300];
        static const uint8_t tx[200];
        struct apdu_block b;
        struct gbt g;

        gbt_init(&g, 3, rx, sizeof rx);
        if (n > 0 && data[0] & 1)
                gbt_send(&g, tx, sizeof tx, 1 + data[0] / 2);
        while (n > 1) {
                size_t len = data[0] < n - 1 ? data[0] : n - 1;

                if (apdu_block_decode(data + 1, len, &b) == 0) {
                        struct axdr_writer w = axdr_writer_of(out, CAP);

                        apdu_put_block(&w, &b);
                        if (w.len < len - 4)
                                abort();
                        if (gbt_take(&g, &b) < 0)
                                return;
                        for (int i = 0; gbt_next(&g, &b); i++)
                                if (i > 256 || b.n > 200 ||
                                    (b.data && (b.data < tx || b.data + b.n > tx + sizeof tx)))
                                        abort();
                }
                if (len == 0)
                        gbt_repeat(&g);
                data += 1 + len;
                n -= 1 + len;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct apdu_service_error error;

        if (n > CAP / 4)
                return 0;
        requests(data, n);
        responses(data, n);
        access_both(data, n);
        short_names(data, n);
        blocks(data, n);
        if (apdu_service_error_decode(data, n, &error) == 0 && !apdu_service_error_text(&error)[0])
                abort();
        return 0;
}
