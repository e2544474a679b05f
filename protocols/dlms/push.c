#include "push.h"

#include <string.h>

#include "apdu.h"

/* Where decoded objects go. */
struct sink {
        struct dlms_object *objects; /* lent */
        size_t n, cap;
};

enum { DEPTH_MAX = 8 };

static struct dlms_object *add(struct sink *s, struct axdr_reader *r)
{
        if (s->n == s->cap) {
                r->error = DLMS_E_TOO_LONG;
                return NULL;
        }
        s->objects[s->n] = (struct dlms_object){ 0 };
        return &s->objects[s->n++];
}

/* Octet-strings of 12 bytes that hold together as a date-time are one. */
static void set_value(struct dlms_object *o, const struct axdr_value *v)
{
        o->value = *v;
        if (v->tag == AXDR_OCTET_STRING || v->tag == AXDR_DATE_TIME)
                o->is_time = dlms_datetime_read(v->p, v->n, &o->time);
}

/* One value whatever it is; arrays and structures become their encoding. */
static bool take_any(struct axdr_reader *r, struct axdr_value *ret)
{
        const uint8_t *start = r->p;

        if (!axdr_next(r, ret))
                return false;
        if (ret->tag == AXDR_ARRAY || ret->tag == AXDR_STRUCTURE) {
                r->p = start;
                if (!axdr_skip(r))
                        return false;
                ret->p = start;
                ret->n = (size_t)(r->p - start);
        }
        return true;
}

static bool is_obis(const struct axdr_value *v)
{
        return v->tag == AXDR_OCTET_STRING && v->n == 6 && obis_plausible(v->p);
}

/* ---- push object list ---- */

/* One entry: class, logical name, attribute, data index, maybe restriction and columns. */
static bool read_definition(struct axdr_reader *r, struct dlms_object *ret)
{
        struct axdr_value v, field[3];
        int64_t class_id, attribute;

        if (!axdr_next(r, &v) || v.tag != AXDR_STRUCTURE || v.n < 4)
                return false;
        for (int i = 0; i < 3; i++)
                if (!axdr_next(r, &field[i]))
                        return false;
        if (field[0].tag != AXDR_UINT16 || field[1].tag != AXDR_OCTET_STRING || field[1].n != 6 ||
            field[2].tag != AXDR_INT8)
                return false;
        axdr_is_integer(&field[0], &class_id);
        axdr_is_integer(&field[2], &attribute);
        *ret = (struct dlms_object){ .has_obis = true,
                                     .is_definition = true,
                                     .class_id = (uint16_t)class_id,
                                     .attribute = (int8_t)attribute };
        memcpy(ret->obis.v, field[1].p, 6);
        if (!axdr_next(r, &ret->value) || ret->value.tag != AXDR_UINT16)
                return false;
        for (size_t i = 4; i < v.n; i++)
                if (!axdr_skip(r))
                        return false;
        return true;
}

/* Whether a push object list of @r's next value stands first among @n elements; @ret_list reads its
 * entries, *@ret_count of them. */
static bool list_comes_first(const struct axdr_reader *r, size_t n, struct axdr_reader *ret_list,
                             size_t *ret_count)
{
        struct axdr_reader probe = *r, list;
        struct dlms_object definition;
        struct axdr_value v;

        if (n < 2 || !axdr_next(&probe, &v) || v.tag != AXDR_ARRAY || v.n == 0)
                return false;
        if (v.n != n && v.n != n - 1)
                return false;
        list = probe;
        for (size_t i = 0; i < v.n; i++)
                if (!read_definition(&probe, &definition))
                        return false;
        *ret_list = list;
        *ret_count = v.n;
        return true;
}

/* The list names the elements beside it: itself included when it has as many entries as the
 * structure has elements, else only those behind it. */
static bool walk_by_list(struct sink *s, struct axdr_reader *r, size_t n, struct axdr_reader list,
                         size_t count)
{
        struct axdr_reader again = list;
        struct dlms_object definition;
        struct axdr_value v;
        bool restricted = false;

        if (count == n)
                read_definition(&list, &definition);
        if (!axdr_skip(r))
                return false;
        for (size_t i = 1; i < n; i++) {
                struct dlms_object *o;

                if (!read_definition(&list, &definition) || !take_any(r, &v))
                        return false;
                o = add(s, r);
                if (!o)
                        return false;
                *o = definition;
                o->is_definition = false;
                set_value(o, &v);
        }
        /* Entries with restriction are told too: what they select is part of the message. */
        for (size_t i = 0; i < count; i++) {
                struct dlms_object *o;

                v.n = 0;
                restricted = again.p[0] == AXDR_STRUCTURE && again.p[1] > 4;
                if (!read_definition(&again, &definition) || !restricted)
                        break;
                o = add(s, r);
                if (!o)
                        return false;
                *o = definition;
        }
        return true;
}

/* ---- lists of objects ---- */

/* cosem-attribute-descriptor without tags in place of a structure's first element: class id, six
 * bytes of OBIS, attribute, then the value's tag. */
static bool is_untagged(const struct axdr_reader *r)
{
        const uint8_t *p = r->p;

        return axdr_left(r) >= 10 && p[0] == 0 && p[1] != 0 && p[7] == 0xFF && p[8] >= 1 &&
               p[8] <= 30 && p[9] <= AXDR_TIME && obis_plausible(p + 2);
}

static bool take_untagged(struct sink *s, struct axdr_reader *r)
{
        const uint8_t *p = r->p;
        struct dlms_object *o;
        struct axdr_value v;

        r->p += 9;
        if (!take_any(r, &v))
                return false;
        o = add(s, r);
        if (!o)
                return false;
        o->has_obis = true;
        o->class_id = (uint16_t)(p[0] << 8 | p[1]);
        memcpy(o->obis.v, p + 2, 6);
        o->attribute = (int8_t)p[8];
        set_value(o, &v);
        return true;
}

/* structure { scaler int8, unit enum } behind a value. */
static bool take_scaler(struct axdr_reader *r, struct dlms_object *o)
{
        const uint8_t *p = r->p;

        if (axdr_left(r) < 6 || p[0] != AXDR_STRUCTURE || p[1] != 2 || p[2] != AXDR_INT8 ||
            p[4] != AXDR_ENUM)
                return false;
        o->has_scaler = true;
        o->scaler = (int8_t)p[3];
        o->unit = p[5];
        r->p += 6;
        return true;
}

/* class, logical name, attribute and value in one structure. */
static bool is_described(const struct axdr_reader *r, size_t n)
{
        const uint8_t *p = r->p;

        return n >= 4 && axdr_left(r) >= 14 && p[0] == AXDR_UINT16 && p[3] == AXDR_OCTET_STRING &&
               p[4] == 6 && p[11] == AXDR_INT8;
}

static bool walk(struct sink *s, struct axdr_reader *r, size_t n, unsigned depth);

static bool take_described(struct sink *s, struct axdr_reader *r, size_t n)
{
        const uint8_t *p = r->p;
        struct dlms_object *o;
        struct axdr_value v;

        r->p += 13;
        if (!take_any(r, &v))
                return false;
        o = add(s, r);
        if (!o)
                return false;
        o->has_obis = true;
        o->class_id = (uint16_t)(p[1] << 8 | p[2]);
        memcpy(o->obis.v, p + 5, 6);
        o->attribute = (int8_t)p[12];
        set_value(o, &v);
        for (size_t i = 4; i < n; i++)
                if (!take_scaler(r, o) && !axdr_skip(r))
                        return false;
        return true;
}

static bool walk_into(struct sink *s, struct axdr_reader *r, const struct axdr_value *v,
                      unsigned depth)
{
        if (v->tag == AXDR_STRUCTURE && v->n == 2 && is_untagged(r))
                return take_untagged(s, r);
        if (v->tag == AXDR_STRUCTURE && is_described(r, v->n))
                return take_described(s, r, v->n);
        if (depth == DEPTH_MAX) {
                r->error = DLMS_E_DEPTH;
                return false;
        }
        return walk(s, r, v->n, depth + 1);
}

/* @n elements: an OBIS code names the value behind it; a scaler structure belongs to the value
 * before it; what has no name stands alone. */
static bool walk(struct sink *s, struct axdr_reader *r, size_t n, unsigned depth)
{
        const uint8_t *name = NULL;
        struct dlms_object *last = NULL, *o;
        struct axdr_reader list;
        struct axdr_value v;
        size_t count;

        if (list_comes_first(r, n, &list, &count))
                return walk_by_list(s, r, n, list, count);
        for (size_t i = 0; i < n; i++) {
                if (last && take_scaler(r, last)) {
                        last = NULL;
                        continue;
                }
                if (!name) {
                        if (!axdr_next(r, &v))
                                return false;
                        last = NULL;
                        if (v.tag == AXDR_ARRAY || v.tag == AXDR_STRUCTURE) {
                                if (!walk_into(s, r, &v, depth))
                                        return false;
                                continue;
                        }
                        if (is_obis(&v) && i + 1 < n) {
                                name = v.p;
                                continue;
                        }
                        if (v.tag == AXDR_NULL)
                                continue;
                } else if (!take_any(r, &v)) {
                        return false;
                }
                o = add(s, r);
                if (!o)
                        return false;
                if (name) {
                        o->has_obis = true;
                        memcpy(o->obis.v, name, 6);
                        last = o;
                }
                set_value(o, &v);
                name = NULL;
        }
        return true;
}

int dlms_push_decode_body(const uint8_t *body, size_t n, struct dlms_object *objects, size_t cap,
                          size_t *ret_n)
{
        struct sink s = { .objects = objects, .cap = cap };
        struct axdr_reader r;

        axdr_reader_init(&r, body, n);
        if (!walk(&s, &r, 1, 0))
                return r.error ? r.error : DLMS_E_TYPE;
        if (axdr_left(&r) > 0)
                return DLMS_E_TRAILING;
        *ret_n = s.n;
        return 0;
}

/* The value of one attribute: named by the APDU when it is a single one. */
static int decode_attribute(const struct dlms_attr *attr, const uint8_t *body, size_t n,
                            struct dlms_object *objects, size_t cap, size_t *ret_n)
{
        int e = dlms_push_decode_body(body, n, objects, cap, ret_n);

        if (e || *ret_n != 1 || objects[0].has_obis)
                return e;
        objects[0].has_obis = true;
        objects[0].obis = attr->obis;
        objects[0].class_id = attr->class_id;
        objects[0].attribute = attr->id;
        return 0;
}

int dlms_push_decode(const uint8_t *apdu, size_t n, struct dlms_notification *ret,
                     struct dlms_object *objects, size_t cap)
{
        struct dlms_notification note = { 0 };
        struct apdu_notification raw;
        struct apdu_response response;
        int e;

        if (n == 0)
                return DLMS_E_TRUNCATED;
        if (apdu[0] == APDU_GET_RESPONSE) {
                e = apdu_response_decode(apdu, n, &response);
                if (e)
                        return e;
                if (response.kind != APDU_NORMAL || response.result != 0)
                        return DLMS_E_UNEXPECTED;
                note.kind = DLMS_NOTIFY_GET;
                note.body = response.data;
                note.body_len = response.n;
                e = dlms_push_decode_body(note.body, note.body_len, objects, cap, &note.n_objects);
        } else {
                e = apdu_notification_decode(apdu, n, &raw);
                if (e)
                        return e;
                note.kind =
                        raw.tag == APDU_DATA_NOTIFICATION ? DLMS_NOTIFY_DATA : DLMS_NOTIFY_EVENT;
                note.invoke_id = raw.invoke;
                note.body = raw.body;
                note.body_len = raw.n;
                if (raw.time)
                        note.has_time = dlms_datetime_read(raw.time, DATETIME_SIZE, &note.time);
                if (note.kind == DLMS_NOTIFY_EVENT)
                        e = decode_attribute(&raw.attr, raw.body, raw.n, objects, cap,
                                             &note.n_objects);
                else
                        e = dlms_push_decode_body(raw.body, raw.n, objects, cap, &note.n_objects);
        }
        if (!e)
                *ret = note;
        return e;
}

const char *dlms_unit_text(uint8_t unit)
{
        static const char *const units[] = {
                [1] = "a",        [2] = "mo",        [3] = "wk",       [4] = "d",
                [5] = "h",        [6] = "min",       [7] = "s",        [8] = "°",
                [9] = "°C",       [10] = "currency", [11] = "m",       [12] = "m/s",
                [13] = "m³",      [14] = "m³",       [15] = "m³/h",    [16] = "m³/h",
                [17] = "m³/d",    [18] = "m³/d",     [19] = "l",       [20] = "kg",
                [21] = "N",       [22] = "Nm",       [23] = "Pa",      [24] = "bar",
                [25] = "J",       [26] = "J/h",      [27] = "W",       [28] = "VA",
                [29] = "var",     [30] = "Wh",       [31] = "VAh",     [32] = "varh",
                [33] = "A",       [34] = "C",        [35] = "V",       [36] = "V/m",
                [37] = "F",       [38] = "Ω",        [39] = "Ωm²/m",   [40] = "Wb",
                [41] = "T",       [42] = "A/m",      [43] = "H",       [44] = "Hz",
                [45] = "1/(Wh)",  [46] = "1/(varh)", [47] = "1/(VAh)", [48] = "V²h",
                [49] = "A²h",     [50] = "kg/s",     [51] = "S",       [52] = "K",
                [53] = "1/(V²h)", [54] = "1/(A²h)",  [55] = "1/m³",    [56] = "%",
                [57] = "Ah",      [60] = "Wh/m³",    [61] = "J/m³",    [62] = "Mol %",
                [63] = "g/m³",    [64] = "Pa s",     [65] = "J/kg",    [66] = "g/cm²",
                [67] = "atm",     [70] = "dBm",      [71] = "dBµV",    [72] = "dB",
        };

        if (unit >= sizeof units / sizeof *units || !units[unit])
                return "";
        return units[unit];
}
