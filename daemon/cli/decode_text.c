#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "decode_internal.h"

/* CRC-16/ARC from the '/' to the '!', both included (DSMR 5.2.1). */
static uint16_t crc16(const char *p, size_t n)
{
        uint16_t crc = 0;

        for (size_t i = 0; i < n; i++) {
                crc ^= (uint8_t)p[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc & 1 ? (uint16_t)(crc >> 1 ^ 0xA001) : (uint16_t)(crc >> 1);
        }
        return crc;
}

/* A plain decimal number, as JSON: sign, no leading zeros. False when it is none. */
static bool put_decimal(struct buf *b, const char *p, size_t n)
{
        size_t i = 0, digits = 0, point = 0;
        bool minus = false;

        while (i < n && p[i] == ' ')
                i++;
        if (i < n && (p[i] == '-' || p[i] == '+'))
                minus = p[i++] == '-';
        for (size_t k = i; k < n; k++) {
                if (p[k] == '.' && !point && k > i && k + 1 < n)
                        point = k;
                else if (p[k] >= '0' && p[k] <= '9')
                        digits++;
                else
                        return false;
        }
        if (digits == 0 || digits > 18)
                return false;
        while (i + 1 < n && p[i] == '0' && p[i + 1] != '.')
                i++;
        if (minus)
                buf_put_u8(b, '-');
        buf_put(b, p + i, n - i);
        return true;
}

/* "(a)(b*u)(c)": the last group is the value, the ones before belong to it (times, buffers). */
static void put_line(struct decode *d, const char *code, size_t code_n, const char *groups,
                     size_t n)
{
        struct buf *b = &d->found;
        const char *last = groups, *end, *star;
        size_t len;
        bool number;

        for (size_t i = 0; i < n; i++)
                if (groups[i] == '(')
                        last = groups + i;
        last++;
        end = memchr(last, ')', n - (size_t)(last - groups));
        if (!end) {
                decode_fail(d, "value without closing parenthesis after %.*s", (int)code_n, code);
                return;
        }
        len = (size_t)(end - last);
        star = memchr(last, '*', len);
        if (b->len > 0)
                buf_put_u8(b, ',');
        buf_put_str(b, "{\"obis\":");
        buf_put_json_str(b, code, code_n);
        buf_put_str(b, ",\"value\":");
        number = put_decimal(b, last, star ? (size_t)(star - last) : len);
        if (!number)
                buf_put_str(b, "null");
        buf_put_str(b, ",\"unit\":");
        if (star && number)
                buf_put_json_str(b, star + 1, len - (size_t)(star + 1 - last));
        else
                buf_put_str(b, "null");
        buf_put_str(b, ",\"text\":");
        buf_put_json_str(b, last, len);
        buf_put_str(b, ",\"time\":null,\"groups\":");
        buf_put_json_str(b, groups, n);
        buf_put_u8(b, '}');
}

/* Hexadecimal digits behind the '!', when there are four. */
static void check_crc(struct decode *d, const char *start, const char *bang, const char *end)
{
        char digits[5] = { 0 };
        struct buf *b;
        unsigned long crc;

        if (end - bang < 5)
                return;
        memcpy(digits, bang + 1, 4);
        for (int i = 0; i < 4; i++)
                if (!isxdigit((unsigned char)digits[i]))
                        return;
        crc = strtoul(digits, NULL, 16);
        b = decode_member(d, "crc");
        buf_printf(b, "\"%s\"", digits);
        if (crc16(start, (size_t)(bang + 1 - start)) != crc)
                decode_fail(
                        d,
                        "checksum of the telegram does not match: it says %s, the text gives %04X",
                        digits, crc16(start, (size_t)(bang + 1 - start)));
}

void decode_text(struct decode *d, const char *text, size_t n)
{
        const char *end = text + n, *start = memchr(text, '/', n), *p, *bang = NULL;
        const char *code = NULL, *groups = NULL;
        size_t code_n = 0, groups_n = 0;

        if (!start) {
                decode_fail(d, "no identification line (\"/\") in the text");
                return;
        }
        p = memchr(start, '\n', (size_t)(end - start));
        if (!p) {
                decode_fail(d, "the text ends within its identification line");
                return;
        }
        buf_put_json_str(decode_member(d, "identification"), start + 1,
                         (size_t)(p - start - 1) - (p[-1] == '\r'));
        while (++p < end && !bang) {
                const char *stop = memchr(p, '\n', (size_t)(end - p));
                const char *open;
                size_t len;

                if (!stop)
                        stop = end;
                len = (size_t)(stop - p);
                while (len > 0 && (p[len - 1] == '\r' || p[len - 1] == ' '))
                        len--;
                open = memchr(p, '(', len);
                if (len > 0 && *p == '!') {
                        bang = p;
                } else if (open == p && code) {
                        /* Gas reading of DSMR 3: its value is on a line of its own. */
                        groups_n = (size_t)(p + len - groups);
                } else if (open) {
                        if (code)
                                put_line(d, code, code_n, groups, groups_n);
                        code = p;
                        code_n = (size_t)(open - p);
                        groups = open;
                        groups_n = len - code_n;
                }
                p = stop;
        }
        if (code)
                put_line(d, code, code_n, groups, groups_n);
        if (!bang)
                decode_fail(d, "the text ends before its closing line (\"!\")");
        else
                check_crc(d, start, bang, end);
}
