#include "qr.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint16_t crc16(const char *s, size_t n)
{
        uint16_t crc = 0xffff;

        for (size_t i = 0; i < n; i++) {
                crc ^= (uint16_t)((uint8_t)s[i] << 8);
                for (int bit = 0; bit < 8; bit++)
                        crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
        }
        return crc;
}

/* Tag, two digits of length, value. */
static bool put_field(struct buf *out, const char *tag, const char *value)
{
        size_t n = strlen(value);

        if (n == 0 || n > 99)
                return false;
        buf_printf(out, "%s%02zu%s", tag, n, value);
        return true;
}

static bool all(const char *s, int (*is)(int), size_t min, size_t max)
{
        size_t n = strlen(s);

        for (size_t i = 0; i < n; i++)
                if (!is((unsigned char)s[i]))
                        return false;
        return n >= min && n <= max;
}

/* The purpose reaches the payee's statement through many hands: plain ASCII, at most 25 of it. */
static void plain(const char *s, char out[static 26])
{
        size_t n = 0;

        for (; *s && n < 25; s++)
                if (isalnum((unsigned char)*s) || *s == ' ' || *s == '-')
                        out[n++] = *s;
        out[n] = '\0';
}

int qr_put_vietqr(struct buf *out, const struct qr_vietqr *q)
{
        char bank[64], merchant[96], amount[24], purpose[26], extra[40];
        struct buf b = BUF_INIT;
        int rc = 0;

        if (!all(q->bank_bin, isdigit, 6, 6) || !all(q->account, isalnum, 1, 19) || q->amount < 0 ||
            q->amount > 9999999999999)
                return -EINVAL;
        snprintf(bank, sizeof bank, "00%02zu%s01%02zu%s", strlen(q->bank_bin), q->bank_bin,
                 strlen(q->account), q->account);
        snprintf(merchant, sizeof merchant, "0010A00000072701%02zu%s0208QRIBFTTA", strlen(bank),
                 bank);
        put_field(&b, "00", "01");
        put_field(&b, "01", q->amount > 0 ? "12" : "11");
        put_field(&b, "38", merchant);
        put_field(&b, "53", "704");
        if (q->amount > 0) {
                snprintf(amount, sizeof amount, "%lld", (long long)q->amount);
                put_field(&b, "54", amount);
        }
        put_field(&b, "58", "VN");
        plain(q->purpose, purpose);
        if (*purpose) {
                snprintf(extra, sizeof extra, "08%02zu%s", strlen(purpose), purpose);
                put_field(&b, "62", extra);
        }
        buf_put_str(&b, "6304");
        if (b.failed)
                rc = -EINVAL;
        else
                buf_printf(out, "%s%04X", buf_cstr(&b), crc16((const char *)b.p, b.len));
        buf_deinit(&b);
        return rc;
}

/* At most @n bytes, cut between characters, without line breaks. */
static void put_cut(struct buf *out, const char *s, size_t n)
{
        size_t len = strlen(s);

        if (len > n) {
                for (len = n; len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80; len--)
                        ;
        }
        for (size_t i = 0; i < len; i++)
                buf_put_u8(out, (unsigned char)s[i] < ' ' ? ' ' : (uint8_t)s[i]);
}

int qr_put_epc(struct buf *out, const struct qr_epc *q)
{
        size_t bic = strlen(q->bic);

        if (!all(q->iban, isalnum, 15, 34) || !all(q->bic, isalnum, 0, 11) ||
            (bic && bic != 8 && bic != 11) || !*q->name || q->cents < 1 || q->cents > 99999999999)
                return -EINVAL;
        buf_put_str(out, "BCD\n002\n1\nSCT\n");
        buf_printf(out, "%s\n", q->bic);
        put_cut(out, q->name, 70);
        buf_printf(out, "\n%s\nEUR%lld.%02lld\n\n\n", q->iban, (long long)(q->cents / 100),
                   (long long)(q->cents % 100));
        put_cut(out, q->text, 140);
        buf_put_str(out, "\n");
        return out->failed ? -EINVAL : 0;
}

bool qr_emv_check(const char *s)
{
        size_t n = strlen(s), at = 0;
        char *end;

        if (n < 8 || strncmp(s + n - 8, "6304", 4) != 0)
                return false;
        while (at + 4 <= n) {
                if (!isdigit((unsigned char)s[at + 2]) || !isdigit((unsigned char)s[at + 3]))
                        return false;
                at += 4 + (size_t)(s[at + 2] - '0') * 10 + (size_t)(s[at + 3] - '0');
        }
        for (size_t i = n - 4; i < n; i++)
                if (!isxdigit((unsigned char)s[i]))
                        return false;
        return at == n && strtoul(s + n - 4, &end, 16) == crc16(s, n - 4);
}
