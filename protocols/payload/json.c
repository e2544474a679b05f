#include "json.h"

#include <string.h>

void jread_init(struct json_reader *r, const void *text, size_t n)
{
        *r = (struct json_reader){ .text = text, .n = n };
}

void jread_fail(struct json_reader *r, const char *error)
{
        if (!r->error)
                r->error = error;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Next byte that is no blank, not taken; -1 at the end or after an error. */
static int peek_byte(struct json_reader *r)
{
        if (r->error)
                return -1;
        while (r->at < r->n && is_blank(r->text[r->at]))
                r->at++;
        return r->at < r->n ? (unsigned char)r->text[r->at] : -1;
}

static bool take(struct json_reader *r, char c)
{
        if (r->at < r->n && r->text[r->at] == c) {
                r->at++;
                return true;
        }
        return false;
}

enum json_type jread_peek(struct json_reader *r)
{
        int c = peek_byte(r);

        switch (c) {
        case '{':
                return JSON_OBJECT;
        case '[':
                return JSON_ARRAY;
        case '"':
                return JSON_STRING;
        case 't':
                return JSON_TRUE;
        case 'f':
                return JSON_FALSE;
        case 'n':
                return JSON_NULL;
        default:
                if (c == '-' || (c >= '0' && c <= '9'))
                        return JSON_NUMBER;
                return JSON_END;
        }
}

static void begin(struct json_reader *r, char c, const char *error)
{
        if (peek_byte(r) != c) {
                jread_fail(r, error);
                return;
        }
        if (++r->depth > JSON_DEPTH_MAX) {
                jread_fail(r, "nested too deeply");
                return;
        }
        r->at++;
        r->first = true;
}

void jread_begin_object(struct json_reader *r)
{
        begin(r, '{', "an object is expected");
}

void jread_begin_array(struct json_reader *r)
{
        begin(r, '[', "an array is expected");
}

/* The comma before another value, or the end of the container. */
static bool next(struct json_reader *r, char end)
{
        int c = peek_byte(r);

        if (c == end) {
                r->at++;
                r->depth--;
                r->first = false;
                return false;
        }
        if (!r->first) {
                if (c != ',') {
                        jread_fail(r, "a comma or the end is expected");
                        return false;
                }
                r->at++;
        }
        r->first = false;
        if (peek_byte(r) < 0) {
                jread_fail(r, "the text ends too early");
                return false;
        }
        return true;
}

bool jread_next_element(struct json_reader *r)
{
        return !r->error && next(r, ']');
}

bool jread_next_member(struct json_reader *r, char *name, size_t cap)
{
        if (r->error || !next(r, '}'))
                return false;
        jread_string(r, name, cap, NULL);
        if (peek_byte(r) != ':') {
                jread_fail(r, "a colon is expected");
                return false;
        }
        r->at++;
        return true;
}

static int hex4(struct json_reader *r)
{
        int v = 0;

        if (r->n - r->at < 4)
                return -1;
        for (int i = 0; i < 4; i++) {
                char c = r->text[r->at++];

                if (c >= '0' && c <= '9')
                        v = v << 4 | (c - '0');
                else if ((c | 32) >= 'a' && (c | 32) <= 'f')
                        v = v << 4 | ((c | 32) - 'a' + 10);
                else
                        return -1;
        }
        return v;
}

struct text_out {
        char *p;
        size_t cap, len;
};

static void put(struct text_out *o, unsigned byte)
{
        if (o->len + 1 < o->cap)
                o->p[o->len] = (char)byte;
        o->len++;
}

static void put_utf8(struct text_out *o, unsigned c)
{
        if (c < 0x80) {
                put(o, c);
        } else if (c < 0x800) {
                put(o, 0xC0 | c >> 6);
                put(o, 0x80 | (c & 63));
        } else if (c < 0x10000) {
                put(o, 0xE0 | c >> 12);
                put(o, 0x80 | (c >> 6 & 63));
                put(o, 0x80 | (c & 63));
        } else {
                put(o, 0xF0 | c >> 18);
                put(o, 0x80 | (c >> 12 & 63));
                put(o, 0x80 | (c >> 6 & 63));
                put(o, 0x80 | (c & 63));
        }
}

/* After "\u". A NUL is refused: names and identities are C strings here. */
static void unicode_escape(struct json_reader *r, struct text_out *o)
{
        int c = hex4(r), low;

        if (c >= 0xD800 && c < 0xDC00) {
                low = take(r, '\\') && take(r, 'u') ? hex4(r) : -1;
                c = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((c - 0xD800) << 10) + low - 0xDC00
                                                  : -1;
        } else if (c >= 0xDC00 && c < 0xE000) {
                c = -1;
        }
        if (c <= 0)
                jread_fail(r, "bad \\u escape");
        else
                put_utf8(o, (unsigned)c);
}

static void escape(struct json_reader *r, struct text_out *o)
{
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *p;
        char c;

        if (r->at == r->n) {
                jread_fail(r, "the text ends too early");
                return;
        }
        c = r->text[r->at++];
        p = c ? strchr(from, c) : NULL;
        if (p)
                put(o, (unsigned char)to[p - from]);
        else if (c == 'u')
                unicode_escape(r, o);
        else
                jread_fail(r, "unknown escape in a string");
}

void jread_string(struct json_reader *r, char *out, size_t cap, size_t *ret_len)
{
        struct text_out o = { .p = out, .cap = cap };

        if (cap > 0)
                out[0] = '\0';
        if (peek_byte(r) != '"') {
                jread_fail(r, "a string is expected");
                return;
        }
        r->at++;
        while (!r->error && !take(r, '"')) {
                unsigned char c;

                if (r->at == r->n) {
                        jread_fail(r, "the text ends within a string");
                        break;
                }
                c = (unsigned char)r->text[r->at++];
                if (c < 0x20)
                        jread_fail(r, "control character in a string");
                else if (c == '\\')
                        escape(r, &o);
                else
                        put(&o, c);
        }
        if (cap > 0)
                out[o.len < cap ? o.len : cap - 1] = '\0';
        if (ret_len)
                *ret_len = o.len;
}

struct number {
        uint64_t m;
        int places; /* digits of m after the point */
        bool full;  /* no further digit fits */
        bool overflow;
};

/* Run of digits; false when there is none. */
static bool digits(struct json_reader *r, struct number *num, bool fraction)
{
        size_t start = r->at;

        for (; r->at < r->n && r->text[r->at] >= '0' && r->text[r->at] <= '9'; r->at++) {
                unsigned d = (unsigned)(r->text[r->at] - '0');

                if (num->full || num->m > ((uint64_t)INT64_MAX - d) / 10) {
                        /* Before the point the value is too large, behind it only too fine. */
                        num->full = true;
                        num->overflow |= !fraction;
                        continue;
                }
                num->m = num->m * 10 + d;
                num->places += fraction;
        }
        return r->at > start;
}

static bool exponent(struct json_reader *r, int *ret)
{
        bool minus = false;
        struct number e = { 0 };

        *ret = 0;
        if (!take(r, 'e') && !take(r, 'E'))
                return true;
        if (take(r, '-'))
                minus = true;
        else
                take(r, '+');
        if (!digits(r, &e, false))
                return false;
        *ret = e.overflow || e.m > 1000 ? 1000 : (int)e.m;
        if (minus)
                *ret = -*ret;
        return true;
}

static bool scale_number(struct number *num, int exp10)
{
        int scale = num->places - exp10;

        if (num->m == 0)
                scale = 0;
        for (; scale < 0; scale++) {
                if (num->m > INT64_MAX / 10)
                        return false;
                num->m *= 10;
        }
        for (; scale > 18 && num->m > 0; scale--)
                num->m /= 10;
        num->places = num->m == 0 ? 0 : scale;
        return true;
}

/* RFC 8259 knows no leading zeros: 0 stands alone before the point. */
static bool integer_part(struct json_reader *r, struct number *num)
{
        size_t start = r->at;

        return digits(r, num, false) && (r->text[start] != '0' || r->at == start + 1);
}

void jread_decimal(struct json_reader *r, struct decimal *ret)
{
        struct number num = { 0 };
        bool minus;
        int exp10 = 0;

        if (jread_peek(r) != JSON_NUMBER) {
                jread_fail(r, "a number is expected");
                return;
        }
        minus = take(r, '-');
        if (!integer_part(r, &num) || (take(r, '.') && !digits(r, &num, true)) ||
            !exponent(r, &exp10))
                jread_fail(r, "malformed number");
        else if (num.overflow || !scale_number(&num, exp10))
                jread_fail(r, "number too large");
        else
                *ret = (struct decimal){ minus ? -(int64_t)num.m : (int64_t)num.m,
                                         (int8_t)num.places };
}

static void word(struct json_reader *r, const char *text)
{
        size_t len = strlen(text);

        if (r->n - r->at < len || memcmp(r->text + r->at, text, len) != 0)
                jread_fail(r, "a value is expected");
        else
                r->at += len;
}

static void skip_scalar(struct json_reader *r, enum json_type type)
{
        struct number num = { 0 };
        int exp10;

        switch (type) {
        case JSON_STRING:
                jread_string(r, NULL, 0, NULL);
                break;
        case JSON_NUMBER:
                take(r, '-');
                if (!integer_part(r, &num) || (take(r, '.') && !digits(r, &num, true)) ||
                    !exponent(r, &exp10))
                        jread_fail(r, "malformed number");
                break;
        case JSON_TRUE:
                word(r, "true");
                break;
        case JSON_FALSE:
                word(r, "false");
                break;
        case JSON_NULL:
                word(r, "null");
                break;
        case JSON_OBJECT:
        case JSON_ARRAY:
        case JSON_END:
                jread_fail(r, "a value is expected");
                break;
        }
}

void jread_skip(struct json_reader *r)
{
        bool object[JSON_DEPTH_MAX + 1];
        unsigned base = r->depth;

        do {
                enum json_type type = jread_peek(r);

                if (type == JSON_OBJECT || type == JSON_ARRAY) {
                        if (type == JSON_OBJECT)
                                jread_begin_object(r);
                        else
                                jread_begin_array(r);
                        if (!r->error)
                                object[r->depth] = type == JSON_OBJECT;
                } else {
                        skip_scalar(r, type);
                }
                /* Leave every container that ends here, stop before the next value. */
                while (!r->error && r->depth > base) {
                        if (object[r->depth] ? jread_next_member(r, NULL, 0)
                                             : jread_next_element(r))
                                break;
                }
        } while (!r->error && r->depth > base);
}

void jread_finish(struct json_reader *r)
{
        if (!r->error && peek_byte(r) >= 0)
                jread_fail(r, "something follows the end");
}
