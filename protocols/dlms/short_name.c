#include "short_name.h"

#include <string.h>

#include "apdu_internal.h"

/* ---- objects ---- */

static bool take_object(struct axdr_reader *r, struct sn_object *ret)
{
        struct axdr_value v;
        int64_t number[3];

        if (!axdr_expect(r, AXDR_STRUCTURE, &v))
                return false;
        if (v.n != 4) {
                r->error = DLMS_E_TYPE;
                return false;
        }
        for (int i = 0; i < 3; i++)
                if (!axdr_next(r, &v) || !axdr_is_integer(&v, &number[i]) ||
                    number[i] < INT16_MIN || number[i] > UINT16_MAX) {
                        r->error = r->error ? r->error : DLMS_E_TYPE;
                        return false;
                }
        if (!axdr_expect(r, AXDR_OCTET_STRING, &v))
                return false;
        if (v.n != sizeof ret->obis.v) {
                r->error = DLMS_E_TYPE;
                return false;
        }
        ret->base = (uint16_t)number[0];
        ret->class_id = (uint16_t)number[1];
        ret->version = (uint8_t)number[2];
        memcpy(ret->obis.v, v.p, sizeof ret->obis.v);
        return true;
}

int sn_objects_decode(const uint8_t *data, size_t n, struct sn_object *out, size_t cap,
                      size_t *ret_n)
{
        struct axdr_reader r;
        struct axdr_value v;

        axdr_reader_init(&r, data, n);
        if (!axdr_expect(&r, AXDR_ARRAY, &v))
                return r.error;
        if (v.n > cap)
                return DLMS_E_TOO_LONG;
        for (size_t i = 0; i < v.n; i++)
                if (!take_object(&r, &out[i]))
                        return r.error;
        if (r.p != r.end)
                return DLMS_E_TRAILING;
        *ret_n = v.n;
        return 0;
}

bool sn_name_of(const struct sn_object *objects, size_t n, const struct dlms_attr *attr,
                uint16_t *ret)
{
        static const struct obis association = { { 0, 0, 40, 0, 0, 255 } };
        uint16_t base = 0;
        bool found = false;

        if (attr->id < 1)
                return false;
        /* The association itself has its name before any list is read. */
        if (attr->class_id == 12 && obis_equal(&attr->obis, &association)) {
                base = SN_ASSOCIATION;
                found = true;
        }
        for (size_t i = 0; i < n && !found; i++)
                if (objects[i].class_id == attr->class_id &&
                    obis_equal(&objects[i].obis, &attr->obis)) {
                        base = objects[i].base;
                        found = true;
                }
        *ret = (uint16_t)(base + SN_ATTRIBUTE_STEP * (attr->id - 1));
        return found;
}

bool sn_attr_of(const struct sn_object *objects, size_t n, uint16_t name, struct dlms_attr *ret)
{
        const struct sn_object *best = NULL;

        if (name % SN_ATTRIBUTE_STEP != 0)
                return false;
        for (size_t i = 0; i < n; i++)
                if (objects[i].base <= name && (!best || objects[i].base > best->base))
                        best = &objects[i];
        if (!best || (name - best->base) / SN_ATTRIBUTE_STEP >= INT8_MAX)
                return false;
        *ret = (struct dlms_attr){ best->class_id, best->obis,
                                   (int8_t)((name - best->base) / SN_ATTRIBUTE_STEP + 1) };
        return true;
}

/* ---- requests ---- */

bool sn_spec_next(struct axdr_reader *r, struct sn_spec *ret)
{
        uint8_t choice = apdu_take_byte(r);
        struct sn_spec s = { 0 };

        switch (choice) {
        case SN_VARIABLE:
                s.name = apdu_take_be16(r);
                break;
        case SN_PARAMETERISED:
                s.name = apdu_take_be16(r);
                s.selection.selector = apdu_take_byte(r);
                apdu_take_value(r, &s.selection.params, &s.selection.n);
                break;
        case SN_BLOCK_NUMBER:
                s.block = apdu_take_be16(r);
                break;
        default:
                r->error = r->error ? r->error : DLMS_E_APDU;
        }
        if (r->error)
                return false;
        s.access = (enum sn_access)choice;
        *ret = s;
        return true;
}

int sn_read_decode(const uint8_t *p, size_t n, struct sn_read *ret)
{
        struct sn_read q = { 0 };
        struct axdr_reader r;
        struct sn_spec spec;
        int e;

        axdr_reader_init(&r, p, n);
        if (apdu_take_byte(&r) != APDU_READ_REQUEST)
                return r.error ? r.error : DLMS_E_APDU;
        if (!axdr_length(&r, &q.count))
                return r.error;
        q.specs = r.p;
        q.n = (size_t)(r.end - r.p);
        for (size_t i = 0; i < q.count; i++)
                if (!sn_spec_next(&r, &spec))
                        return r.error;
        e = apdu_finish(&r);
        if (!e)
                *ret = q;
        return e;
}

void sn_put_read(struct axdr_writer *w, size_t count)
{
        axdr_put_byte(w, APDU_READ_REQUEST);
        axdr_put_length(w, count);
}

void sn_put_spec(struct axdr_writer *w, const struct sn_spec *s)
{
        axdr_put_byte(w, (uint8_t)s->access);
        axdr_put_be16(w, s->access == SN_BLOCK_NUMBER ? s->block : s->name);
        if (s->access == SN_PARAMETERISED) {
                axdr_put_byte(w, s->selection.selector);
                axdr_put_raw(w, s->selection.params, s->selection.n);
        }
}

/* ---- responses ---- */

bool sn_result_next(struct axdr_reader *r, struct sn_result *ret)
{
        struct sn_result s = { 0 };
        uint8_t choice = apdu_take_byte(r);

        if (r->error)
                return false;
        switch (choice) {
        case SN_DATA:
                apdu_take_value(r, &s.data, &s.n);
                break;
        case SN_ERROR:
                s.error = apdu_take_byte(r);
                if (!r->error && s.error == 0)
                        r->error = DLMS_E_APDU;
                break;
        case SN_DATA_BLOCK:
                s.last = apdu_take_byte(r) != 0;
                s.block = apdu_take_be16(r);
                apdu_take_octets(r, &s.data, &s.n);
                break;
        case SN_NEXT:
                s.block = apdu_take_be16(r);
                break;
        default:
                r->error = DLMS_E_APDU;
        }
        if (r->error)
                return false;
        s.choice = (enum sn_choice)choice;
        *ret = s;
        return true;
}

int sn_results_decode(const uint8_t *p, size_t n, struct sn_response *ret)
{
        struct sn_response a = { 0 };
        struct sn_result result;
        struct axdr_reader r;
        int e;

        axdr_reader_init(&r, p, n);
        if (!axdr_length(&r, &a.count))
                return r.error;
        a.results = r.p;
        a.n = (size_t)(r.end - r.p);
        for (size_t i = 0; i < a.count; i++)
                if (!sn_result_next(&r, &result))
                        return r.error;
        e = apdu_finish(&r);
        if (!e)
                *ret = a;
        return e;
}

int sn_response_decode(const uint8_t *p, size_t n, struct sn_response *ret)
{
        if (n == 0)
                return DLMS_E_TRUNCATED;
        if (p[0] != APDU_READ_RESPONSE)
                return DLMS_E_APDU;
        return sn_results_decode(p + 1, n - 1, ret);
}

void sn_put_response(struct axdr_writer *w, size_t count)
{
        axdr_put_byte(w, APDU_READ_RESPONSE);
        axdr_put_length(w, count);
}

void sn_put_result(struct axdr_writer *w, const struct sn_result *s)
{
        axdr_put_byte(w, (uint8_t)s->choice);
        switch (s->choice) {
        case SN_DATA:
                axdr_put_raw(w, s->data, s->n);
                return;
        case SN_ERROR:
                axdr_put_byte(w, s->error);
                return;
        case SN_DATA_BLOCK:
                axdr_put_byte(w, s->last);
                axdr_put_be16(w, s->block);
                apdu_put_octets(w, s->data, s->n);
                return;
        case SN_NEXT:
                axdr_put_be16(w, s->block);
                return;
        }
}
