#include "buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 64 };
static const size_t HARD_LIMIT = (size_t)1 << 30;

void buf_init(struct buf *b)
{
        *b = (struct buf)BUF_INIT;
}

void buf_init_limited(struct buf *b, size_t limit)
{
        *b = (struct buf){ .limit = limit };
}

void buf_deinit(struct buf *b)
{
        free(b->p);
        *b = (struct buf){ .limit = b->limit };
}

void buf_reset(struct buf *b)
{
        b->len = 0;
        b->failed = false;
}

bool buf_reserve(struct buf *b, size_t n)
{
        size_t limit = b->limit ? b->limit : HARD_LIMIT;
        size_t cap;
        uint8_t *p;

        if (b->failed)
                return false;
        if (n > limit || b->len > limit - n) {
                b->failed = true;
                return false;
        }
        if (b->cap - b->len >= n && b->p)
                return true;

        cap = b->cap ? b->cap : FIRST_CAP;
        while (cap < b->len + n)
                cap *= 2;
        p = realloc(b->p, cap);
        if (!p) {
                b->failed = true;
                return false;
        }
        b->p = p;
        b->cap = cap;
        return true;
}

uint8_t *buf_extend(struct buf *b, size_t n)
{
        uint8_t *p;

        if (!buf_reserve(b, n))
                return NULL;
        p = b->p + b->len;
        b->len += n;
        return p;
}

void buf_consume(struct buf *b, size_t n)
{
        if (n >= b->len) {
                b->len = 0;
                return;
        }
        memmove(b->p, b->p + n, b->len - n);
        b->len -= n;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
        uint8_t *to;

        if (n == 0)
                return;
        to = buf_extend(b, n);
        if (to)
                memcpy(to, p, n);
}

void buf_put_str(struct buf *b, const char *s)
{
        buf_put(b, s, strlen(s));
}

void buf_put_u8(struct buf *b, uint8_t v)
{
        buf_put(b, &v, 1);
}

static void put_be(struct buf *b, uint64_t v, size_t n)
{
        uint8_t *to = buf_extend(b, n);

        for (size_t i = 0; to && i < n; i++)
                to[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static void put_le(struct buf *b, uint64_t v, size_t n)
{
        uint8_t *to = buf_extend(b, n);

        for (size_t i = 0; to && i < n; i++)
                to[i] = (uint8_t)(v >> (8 * i));
}

void buf_put_be16(struct buf *b, uint16_t v)
{
        put_be(b, v, 2);
}

void buf_put_be32(struct buf *b, uint32_t v)
{
        put_be(b, v, 4);
}

void buf_put_be64(struct buf *b, uint64_t v)
{
        put_be(b, v, 8);
}

void buf_put_le16(struct buf *b, uint16_t v)
{
        put_le(b, v, 2);
}

void buf_put_le32(struct buf *b, uint32_t v)
{
        put_le(b, v, 4);
}

void buf_put_le64(struct buf *b, uint64_t v)
{
        put_le(b, v, 8);
}

void buf_put_varint(struct buf *b, uint64_t v)
{
        uint8_t out[10];
        size_t n = 0;

        while (v >= 0x80) {
                out[n++] = (uint8_t)(v | 0x80);
                v >>= 7;
        }
        out[n++] = (uint8_t)v;
        buf_put(b, out, n);
}

void buf_put_zigzag(struct buf *b, int64_t v)
{
        buf_put_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void buf_put_hex(struct buf *b, const void *p, size_t n)
{
        static const char digit[] = "0123456789ABCDEF";
        const uint8_t *from = p;
        uint8_t *to = buf_extend(b, 2 * n);

        for (size_t i = 0; to && i < n; i++) {
                to[2 * i] = (uint8_t)digit[from[i] >> 4];
                to[2 * i + 1] = (uint8_t)digit[from[i] & 15];
        }
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
        va_list again;
        int n;

        va_copy(again, ap);
        n = vsnprintf(NULL, 0, fmt, again);
        va_end(again);
        if (n < 0 || !buf_reserve(b, (size_t)n + 1)) {
                b->failed = true;
                return;
        }
        vsnprintf((char *)b->p + b->len, (size_t)n + 1, fmt, ap);
        b->len += (size_t)n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        buf_vprintf(b, fmt, ap);
        va_end(ap);
}

/* Length of the valid UTF-8 sequence at @s, or 0. Surrogates and overlong forms are invalid. */
static size_t utf8_len(const uint8_t *s, size_t n)
{
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t len = s[0] < 0x80             ? 1
                     : (s[0] & 0xE0) == 0xC0 ? 2
                     : (s[0] & 0xF0) == 0xE0 ? 3
                     : (s[0] & 0xF8) == 0xF0 ? 4
                                             : 0;
        uint32_t c;

        if (len < 2)
                return len;
        if (len > n)
                return 0;
        c = s[0] & (0x7Fu >> len);
        for (size_t i = 1; i < len; i++) {
                if ((s[i] & 0xC0) != 0x80)
                        return 0;
                c = c << 6 | (s[i] & 0x3F);
        }
        return c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000) ? 0 : len;
}

void buf_put_json_str(struct buf *b, const char *s, size_t n)
{
        const uint8_t *p = (const uint8_t *)s;

        buf_put_u8(b, '"');
        for (size_t i = 0; i < n;) {
                size_t len = utf8_len(p + i, n - i);

                if (len == 0) {
                        buf_put_str(b, "\xEF\xBF\xBD");
                        i++;
                        continue;
                }
                if (p[i] == '"' || p[i] == '\\')
                        buf_printf(b, "\\%c", p[i]);
                else if (p[i] < 0x20)
                        buf_printf(b, "\\u%04x", p[i]);
                else
                        buf_put(b, p + i, len);
                i += len;
        }
        buf_put_u8(b, '"');
}

const char *buf_cstr(struct buf *b)
{
        if (!buf_reserve(b, 1))
                return "";
        b->p[b->len] = 0;
        return (const char *)b->p;
}

const uint8_t *rd_take(struct rd *r, size_t n)
{
        const uint8_t *p = r->p;

        if (r->failed || n > r->n) {
                r->failed = true;
                return NULL;
        }
        r->p += n;
        r->n -= n;
        return p;
}

void rd_skip(struct rd *r, size_t n)
{
        rd_take(r, n);
}

static uint64_t get_be(struct rd *r, size_t n)
{
        const uint8_t *p = rd_take(r, n);
        uint64_t v = 0;

        for (size_t i = 0; p && i < n; i++)
                v = v << 8 | p[i];
        return v;
}

static uint64_t get_le(struct rd *r, size_t n)
{
        const uint8_t *p = rd_take(r, n);
        uint64_t v = 0;

        for (size_t i = n; p && i > 0; i--)
                v = v << 8 | p[i - 1];
        return v;
}

uint8_t rd_u8(struct rd *r)
{
        return (uint8_t)get_be(r, 1);
}

uint16_t rd_be16(struct rd *r)
{
        return (uint16_t)get_be(r, 2);
}

uint32_t rd_be32(struct rd *r)
{
        return (uint32_t)get_be(r, 4);
}

uint64_t rd_be64(struct rd *r)
{
        return get_be(r, 8);
}

uint16_t rd_le16(struct rd *r)
{
        return (uint16_t)get_le(r, 2);
}

uint32_t rd_le32(struct rd *r)
{
        return (uint32_t)get_le(r, 4);
}

uint64_t rd_le64(struct rd *r)
{
        return get_le(r, 8);
}

uint64_t rd_varint(struct rd *r)
{
        uint64_t v = 0;

        for (unsigned shift = 0; shift < 64; shift += 7) {
                uint8_t c = rd_u8(r);

                /* The tenth byte has room for one bit only. */
                if (r->failed || (shift == 63 && c > 1))
                        break;
                v |= (uint64_t)(c & 0x7F) << shift;
                if (!(c & 0x80))
                        return v;
        }
        r->failed = true;
        return 0;
}

int64_t rd_zigzag(struct rd *r)
{
        uint64_t v = rd_varint(r);

        return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}
