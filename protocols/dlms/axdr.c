#include "axdr.h"
#include "dlms.h"

#include <endian.h>
#include <string.h>

void axdr_reader_init(struct axdr_reader *r, const void *p, size_t n)
{
        r->p = (const uint8_t *)p;
        r->end = r->p ? r->p + n : NULL;
        r->error = 0;
}

static bool fail(struct axdr_reader *r, int error)
{
        if (!r->error)
                r->error = error;
        return false;
}

static inline bool need(struct axdr_reader *r, size_t n)
{
        return (size_t)(r->end - r->p) >= n || fail(r, DLMS_E_TRUNCATED);
}

static inline uint64_t be(const uint8_t *p, unsigned n)
{
        uint64_t v = 0;
        uint32_t v4;

        switch (n) {
        case 1:
                return p[0];
        case 2:
                return (uint64_t)p[0] << 8 | p[1];
        case 4:
                memcpy(&v4, p, 4);
                return be32toh(v4);
        case 8:
                memcpy(&v, p, 8);
                return be64toh(v);
        default:
                break;
        }
        for (unsigned i = 0; i < n; i++)
                v = v << 8 | p[i];
        return v;
}

bool axdr_length(struct axdr_reader *r, size_t *ret)
{
        unsigned n;

        if (r->error || !need(r, 1))
                return false;
        n = *r->p++;
        if (n < 0x80) {
                *ret = n;
                return true;
        }
        n &= 0x7F;
        if (n == 0 || n > 4)
                return fail(r, DLMS_E_TYPE);
        if (!need(r, n))
                return false;
        *ret = (size_t)be(r->p, n);
        r->p += n;
        return true;
}

/* Bytes of a value of fixed size; signedness and kind beside it. */
enum kind { K_NONE, K_SIGNED, K_UNSIGNED, K_FLOAT, K_BYTES, K_STRING, K_COUNT, K_BITS, K_COMPACT };

static const struct {
        uint8_t kind, size;
} tags[34] = {
        [AXDR_NULL] = { K_UNSIGNED, 0 },
        [AXDR_ARRAY] = { K_COUNT, 0 },
        [AXDR_STRUCTURE] = { K_COUNT, 0 },
        [AXDR_BOOLEAN] = { K_UNSIGNED, 1 },
        [AXDR_BIT_STRING] = { K_BITS, 0 },
        [AXDR_INT32] = { K_SIGNED, 4 },
        [AXDR_UINT32] = { K_UNSIGNED, 4 },
        [AXDR_OCTET_STRING] = { K_STRING, 0 },
        [AXDR_VISIBLE_STRING] = { K_STRING, 0 },
        [AXDR_UTF8_STRING] = { K_STRING, 0 },
        [AXDR_BCD] = { K_UNSIGNED, 1 },
        [AXDR_INT8] = { K_SIGNED, 1 },
        [AXDR_INT16] = { K_SIGNED, 2 },
        [AXDR_UINT8] = { K_UNSIGNED, 1 },
        [AXDR_UINT16] = { K_UNSIGNED, 2 },
        [AXDR_COMPACT_ARRAY] = { K_COMPACT, 0 },
        [AXDR_INT64] = { K_SIGNED, 8 },
        [AXDR_UINT64] = { K_UNSIGNED, 8 },
        [AXDR_ENUM] = { K_UNSIGNED, 1 },
        [AXDR_FLOAT32] = { K_FLOAT, 4 },
        [AXDR_FLOAT64] = { K_FLOAT, 8 },
        [AXDR_DATE_TIME] = { K_BYTES, 12 },
        [AXDR_DATE] = { K_BYTES, 5 },
        [AXDR_TIME] = { K_BYTES, 4 },
        [AXDR_DELTA_INT8] = { K_SIGNED, 1 },
        [AXDR_DELTA_INT16] = { K_SIGNED, 2 },
        [AXDR_DELTA_INT32] = { K_SIGNED, 4 },
        [AXDR_DELTA_UINT8] = { K_UNSIGNED, 1 },
        [AXDR_DELTA_UINT16] = { K_UNSIGNED, 2 },
        [AXDR_DELTA_UINT32] = { K_UNSIGNED, 4 },
};

static bool read_float(struct axdr_reader *r, unsigned size, struct axdr_value *v)
{
        if (size == 4) {
                uint32_t bits = (uint32_t)be(r->p, 4);
                float f;

                memcpy(&f, &bits, sizeof f);
                v->f = (double)f;
        } else {
                uint64_t bits = be(r->p, 8);

                memcpy(&v->f, &bits, sizeof v->f);
        }
        r->p += size;
        return true;
}

/* Type description: a tag; array: tag, count (2 bytes), type; structure: tag, count, types. */
static bool skip_type(struct axdr_reader *r, unsigned depth)
{
        size_t count;
        uint8_t tag;

        if (depth > AXDR_DEPTH_MAX)
                return fail(r, DLMS_E_DEPTH);
        if (!need(r, 1))
                return false;
        tag = *r->p++;
        if (tag == AXDR_ARRAY) {
                if (!need(r, 2))
                        return false;
                r->p += 2;
                return skip_type(r, depth + 1);
        }
        if (tag == AXDR_STRUCTURE) {
                if (!axdr_length(r, &count))
                        return false;
                if (!need(r, count))
                        return false;
                while (count-- > 0)
                        if (!skip_type(r, depth + 1))
                                return false;
        }
        return true;
}

static bool read_compact(struct axdr_reader *r, struct axdr_value *v)
{
        v->type = r->p;
        if (!skip_type(r, 0))
                return false;
        v->type_n = (size_t)(r->p - v->type);
        if (!axdr_length(r, &v->n) || !need(r, v->n))
                return false;
        v->p = r->p;
        r->p += v->n;
        return true;
}

static bool read_contents(struct axdr_reader *r, uint8_t tag, struct axdr_value *v)
{
        unsigned size, bytes;

        v->tag = tag;
        v->p = NULL; /* "has bytes" is asked by looking at it */
        if (tag == AXDR_DONT_CARE) {
                v->i = 0;
                return true;
        }
        if (tag >= sizeof tags / sizeof *tags)
                return fail(r, DLMS_E_TYPE);
        size = tags[tag].size;
        switch (tags[tag].kind) {
        case K_UNSIGNED:
                if (!need(r, size))
                        return false;
                v->u = be(r->p, size);
                r->p += size;
                return true;
        case K_SIGNED:
                if (!need(r, size))
                        return false;
                bytes = 64 - 8 * size;
                v->i = (int64_t)(be(r->p, size) << bytes) >> bytes;
                r->p += size;
                return true;
        case K_FLOAT:
                return need(r, size) && read_float(r, size, v);
        case K_BYTES:
                if (!need(r, size))
                        return false;
                v->p = r->p;
                v->n = size;
                r->p += size;
                return true;
        case K_STRING:
                if (!axdr_length(r, &v->n) || !need(r, v->n))
                        return false;
                v->p = r->p;
                r->p += v->n;
                return true;
        case K_BITS:
                if (!axdr_length(r, &v->n))
                        return false;
                if (!need(r, v->n / 8 + (v->n % 8 != 0)))
                        return false;
                v->p = r->p;
                r->p += v->n / 8 + (v->n % 8 != 0);
                return true;
        case K_COUNT:
                /* Each element has a byte at least. */
                return axdr_length(r, &v->n) && need(r, v->n);
        case K_COMPACT:
                return read_compact(r, v);
        default:
                return fail(r, DLMS_E_TYPE);
        }
}

bool axdr_next(struct axdr_reader *r, struct axdr_value *ret)
{
        if (r->error || !need(r, 1))
                return false;
        return read_contents(r, *r->p++, ret);
}

bool axdr_expect(struct axdr_reader *r, uint8_t tag, struct axdr_value *ret)
{
        if (r->error || !need(r, 1))
                return false;
        if (*r->p != tag)
                return fail(r, DLMS_E_TYPE);
        return axdr_next(r, ret);
}

/* Steps over a value of fixed size or a short string, which most are; false: look closer. */
static inline bool skip_simple(struct axdr_reader *r)
{
        size_t left = (size_t)(r->end - r->p), size;
        uint8_t tag;

        if (left < 2 || r->error)
                return false;
        tag = r->p[0];
        if (tag >= sizeof tags / sizeof *tags)
                return false;
        switch (tags[tag].kind) {
        case K_UNSIGNED:
        case K_SIGNED:
        case K_FLOAT:
        case K_BYTES:
                size = 1u + tags[tag].size;
                break;
        case K_STRING:
                if (r->p[1] > 0x7F)
                        return false;
                size = 2u + r->p[1];
                break;
        default:
                return false;
        }
        if (size > left)
                return false;
        r->p += size;
        return true;
}

bool axdr_skip(struct axdr_reader *r)
{
        size_t left[AXDR_DEPTH_MAX];
        unsigned depth = 0;
        struct axdr_value v;

        left[0] = 1;
        for (;;) {
                while (left[depth] == 0) {
                        if (depth == 0)
                                return true;
                        depth--;
                }
                left[depth]--;
                if (skip_simple(r))
                        continue;
                if (!axdr_next(r, &v))
                        return false;
                if (v.tag == AXDR_ARRAY || v.tag == AXDR_STRUCTURE) {
                        if (++depth == AXDR_DEPTH_MAX)
                                return fail(r, DLMS_E_DEPTH);
                        left[depth] = v.n;
                }
        }
}

bool axdr_is_integer(const struct axdr_value *v, int64_t *ret)
{
        if (v->tag >= sizeof tags / sizeof *tags || v->tag == AXDR_NULL)
                return false;
        if (tags[v->tag].kind != K_SIGNED && tags[v->tag].kind != K_UNSIGNED)
                return false;
        if (v->tag == AXDR_UINT64 && v->u > INT64_MAX)
                return false;
        *ret = v->i;
        return true;
}

int axdr_check(const void *p, size_t n)
{
        struct axdr_reader r;

        axdr_reader_init(&r, p, n);
        if (!axdr_skip(&r))
                return r.error;
        return r.p == r.end ? 0 : DLMS_E_TRAILING;
}

/* ---- writer ---- */

void axdr_put_raw(struct axdr_writer *w, const void *p, size_t n)
{
        if (w->failed || w->cap - w->len < n) {
                w->failed = true;
                return;
        }
        if (n > 0)
                memcpy(w->p + w->len, p, n);
        w->len += n;
}

void axdr_put_byte(struct axdr_writer *w, uint8_t v)
{
        if (w->failed || w->len == w->cap) {
                w->failed = true;
                return;
        }
        w->p[w->len++] = v;
}

static void put_be(struct axdr_writer *w, uint64_t v, unsigned n)
{
        uint8_t b[8];

        for (unsigned i = 0; i < n; i++)
                b[i] = (uint8_t)(v >> 8 * (n - 1 - i));
        axdr_put_raw(w, b, n);
}

void axdr_put_be16(struct axdr_writer *w, uint16_t v)
{
        put_be(w, v, 2);
}

void axdr_put_be32(struct axdr_writer *w, uint32_t v)
{
        put_be(w, v, 4);
}

void axdr_put_length(struct axdr_writer *w, size_t n)
{
        if (n < 0x80) {
                axdr_put_byte(w, (uint8_t)n);
        } else if (n < 0x100) {
                axdr_put_byte(w, 0x81);
                axdr_put_byte(w, (uint8_t)n);
        } else if (n < 0x10000) {
                axdr_put_byte(w, 0x82);
                put_be(w, n, 2);
        } else {
                axdr_put_byte(w, 0x84);
                put_be(w, n, 4);
        }
}

static void put_tagged(struct axdr_writer *w, uint8_t tag, uint64_t v, unsigned n)
{
        axdr_put_byte(w, tag);
        put_be(w, v, n);
}

void axdr_put_null(struct axdr_writer *w)
{
        axdr_put_byte(w, AXDR_NULL);
}

void axdr_put_array(struct axdr_writer *w, size_t n)
{
        axdr_put_byte(w, AXDR_ARRAY);
        axdr_put_length(w, n);
}

void axdr_put_structure(struct axdr_writer *w, size_t n)
{
        axdr_put_byte(w, AXDR_STRUCTURE);
        axdr_put_length(w, n);
}

void axdr_put_bool(struct axdr_writer *w, bool v)
{
        put_tagged(w, AXDR_BOOLEAN, v, 1);
}

void axdr_put_enum(struct axdr_writer *w, uint8_t v)
{
        put_tagged(w, AXDR_ENUM, v, 1);
}

void axdr_put_int8(struct axdr_writer *w, int8_t v)
{
        put_tagged(w, AXDR_INT8, (uint64_t)v, 1);
}

void axdr_put_uint8(struct axdr_writer *w, uint8_t v)
{
        put_tagged(w, AXDR_UINT8, v, 1);
}

void axdr_put_int16(struct axdr_writer *w, int16_t v)
{
        put_tagged(w, AXDR_INT16, (uint64_t)v, 2);
}

void axdr_put_uint16(struct axdr_writer *w, uint16_t v)
{
        put_tagged(w, AXDR_UINT16, v, 2);
}

void axdr_put_int32(struct axdr_writer *w, int32_t v)
{
        put_tagged(w, AXDR_INT32, (uint64_t)v, 4);
}

void axdr_put_uint32(struct axdr_writer *w, uint32_t v)
{
        put_tagged(w, AXDR_UINT32, v, 4);
}

void axdr_put_int64(struct axdr_writer *w, int64_t v)
{
        put_tagged(w, AXDR_INT64, (uint64_t)v, 8);
}

void axdr_put_uint64(struct axdr_writer *w, uint64_t v)
{
        put_tagged(w, AXDR_UINT64, v, 8);
}

void axdr_put_octets(struct axdr_writer *w, const void *p, size_t n)
{
        axdr_put_byte(w, AXDR_OCTET_STRING);
        axdr_put_length(w, n);
        axdr_put_raw(w, p, n);
}

void axdr_put_visible(struct axdr_writer *w, const char *s)
{
        size_t n = strlen(s);

        axdr_put_byte(w, AXDR_VISIBLE_STRING);
        axdr_put_length(w, n);
        axdr_put_raw(w, s, n);
}

void axdr_put_utf8(struct axdr_writer *w, const void *p, size_t n)
{
        axdr_put_byte(w, AXDR_UTF8_STRING);
        axdr_put_length(w, n);
        axdr_put_raw(w, p, n);
}

void axdr_put_float32(struct axdr_writer *w, float v)
{
        uint32_t bits;

        memcpy(&bits, &v, sizeof bits);
        put_tagged(w, AXDR_FLOAT32, bits, 4);
}

void axdr_put_float64(struct axdr_writer *w, double v)
{
        uint64_t bits;

        memcpy(&bits, &v, sizeof bits);
        put_tagged(w, AXDR_FLOAT64, bits, 8);
}

void axdr_put_bits(struct axdr_writer *w, const uint8_t *p, size_t n)
{
        axdr_put_byte(w, AXDR_BIT_STRING);
        axdr_put_length(w, n);
        axdr_put_raw(w, p, n / 8 + (n % 8 != 0));
}

void axdr_put_time(struct axdr_writer *w, uint8_t tag, const uint8_t *p)
{
        if (tag != AXDR_DATE_TIME && tag != AXDR_DATE && tag != AXDR_TIME)
                w->failed = true;
        axdr_put_byte(w, tag);
        axdr_put_raw(w, p, w->failed ? 0 : tags[tag].size);
}

void axdr_put_compact(struct axdr_writer *w, const uint8_t *type, size_t type_n, const uint8_t *p,
                      size_t n)
{
        axdr_put_byte(w, AXDR_COMPACT_ARRAY);
        axdr_put_raw(w, type, type_n);
        axdr_put_length(w, n);
        axdr_put_raw(w, p, n);
}

void axdr_put_value(struct axdr_writer *w, const struct axdr_value *v)
{
        if (v->tag >= sizeof tags / sizeof *tags) {
                axdr_put_byte(w, v->tag);
                w->failed |= v->tag != AXDR_DONT_CARE;
                return;
        }
        switch (tags[v->tag].kind) {
        case K_UNSIGNED:
        case K_SIGNED:
                put_tagged(w, v->tag, v->u, tags[v->tag].size);
                return;
        case K_FLOAT:
                if (v->tag == AXDR_FLOAT32)
                        axdr_put_float32(w, (float)v->f);
                else
                        axdr_put_float64(w, v->f);
                return;
        case K_BYTES:
                axdr_put_time(w, v->tag, v->p);
                return;
        case K_BITS:
                axdr_put_bits(w, v->p, v->n);
                return;
        case K_COMPACT:
                axdr_put_compact(w, v->type, v->type_n, v->p, v->n);
                return;
        case K_COUNT:
        case K_STRING:
                axdr_put_byte(w, v->tag);
                axdr_put_length(w, v->n);
                if (tags[v->tag].kind == K_STRING)
                        axdr_put_raw(w, v->p, v->n);
                return;
        default:
                w->failed = true;
        }
}

void axdr_put_obis(struct axdr_writer *w, const struct obis *o)
{
        axdr_put_octets(w, o->v, sizeof o->v);
}

void axdr_put_scaler_unit(struct axdr_writer *w, int8_t scaler, uint8_t unit)
{
        axdr_put_structure(w, 2);
        axdr_put_int8(w, scaler);
        axdr_put_enum(w, unit);
}

/* ---- compact-array ---- */

/* One element by @type, its contents from @in, tagged into @w. */
static bool expand(struct axdr_reader *type, struct axdr_reader *in, struct axdr_writer *w,
                   unsigned depth)
{
        struct axdr_value v;
        const uint8_t *start, *element;
        size_t count;
        uint8_t tag;

        if (depth > AXDR_DEPTH_MAX)
                return fail(in, DLMS_E_DEPTH);
        if (!need(type, 1))
                return fail(in, DLMS_E_TRUNCATED);
        tag = *type->p++;
        if (w->failed)
                return fail(in, DLMS_E_TOO_LONG);
        switch (tag) {
        case AXDR_ARRAY:
                count = (size_t)be(type->p, 2);
                type->p += 2;
                axdr_put_array(w, count);
                element = type->p;
                for (size_t i = 0; i < count; i++) {
                        type->p = element;
                        if (!expand(type, in, w, depth + 1))
                                return false;
                }
                if (count == 0)
                        return skip_type(type, depth);
                return true;
        case AXDR_STRUCTURE:
                if (!axdr_length(type, &count))
                        return fail(in, type->error);
                axdr_put_structure(w, count);
                for (size_t i = 0; i < count; i++)
                        if (!expand(type, in, w, depth + 1))
                                return false;
                return true;
        case AXDR_COMPACT_ARRAY:
                return fail(in, DLMS_E_TYPE);
        default:
                start = in->p;
                if (!read_contents(in, tag, &v))
                        return false;
                axdr_put_byte(w, tag);
                axdr_put_raw(w, start, (size_t)(in->p - start));
                return true;
        }
}

int axdr_expand_compact(const struct axdr_value *compact, struct axdr_writer *w)
{
        struct axdr_reader type, in;
        struct axdr_writer body;
        size_t count = 0, head;

        if (compact->tag != AXDR_COMPACT_ARRAY || w->failed || w->cap - w->len < 4)
                return DLMS_E_TOO_LONG;
        /* The count is known only at the end: leave room for tag and a three-byte length. */
        body = axdr_writer_of(w->p + w->len + 4, w->cap - w->len - 4);
        axdr_reader_init(&in, compact->p, compact->n);
        while (axdr_left(&in) > 0) {
                const uint8_t *before = in.p;

                axdr_reader_init(&type, compact->type, compact->type_n);
                if (!expand(&type, &in, &body, 0))
                        return in.error;
                if (in.p == before)
                        return DLMS_E_TYPE; /* elements without contents would never end */
                count++;
        }
        if (in.error)
                return in.error;
        if (body.failed || count > 0xFFFF)
                return DLMS_E_TOO_LONG;
        head = w->len;
        axdr_put_array(w, count);
        memmove(w->p + w->len, body.p, body.len);
        w->len += body.len;
        return w->len > head ? 0 : DLMS_E_TOO_LONG;
}
