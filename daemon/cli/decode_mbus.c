/* M-Bus telegrams, wired and wireless, in words. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "decode_internal.h"
#include "mbus/mbus.h"

enum { WIRED_CI = 6, CI_RECORDS_FIRST = 0x50, TRAILING_MAX = 2 };

/* A long frame whose control information names no DLMS segment, or a radio telegram's head. */
bool decode_is_mbus(const uint8_t *p, size_t n)
{
        if (n == 1)
                return p[0] == 0xE5;
        if (n >= 4 && p[0] == 0x68 && p[3] == 0x68)
                return n <= WIRED_CI || p[WIRED_CI] >= CI_RECORDS_FIRST;
        if (n == 5 && p[0] == 0x10)
                return p[4] == 0x16;
        /* Its length byte counts what follows, without or with the CRCs. */
        return n > 11 && (p[1] == 0x44 || p[1] == 0x46 || p[1] == 0x47 || p[1] == 0x48) &&
               (size_t)p[0] + 1 <= n && n <= (size_t)p[0] + 1 + 2 * (p[0] / 16 + 2u);
}

static void fail_mbus(struct decode *d, int error)
{
        decode_fail(d, "%s: %s", mbus_error_name((unsigned)error),
                    mbus_error_text((unsigned)error));
}

static void put_telegram(struct decode *d, const struct mbus_telegram *t)
{
        const uint8_t *a = mbus_address(t);
        struct buf *b;
        char maker[4], id[9];

        buf_printf(decode_member(d, "layer"), "\"%s\"", t->wireless ? "wmbus" : "mbus");
        if (!a)
                return;
        b = decode_member(d, "meter");
        mbus_maker(a, maker);
        mbus_id(a, id);
        buf_printf(b, "{\"id\":\"%s\",\"manufacturer\":", id);
        buf_put_json_str(b, t->fixed ? "" : maker, t->fixed ? 0 : 3);
        buf_printf(b, ",\"version\":%u,\"medium\":", a[6]);
        buf_put_json_str(b, mbus_medium_text(a[7]), strlen(mbus_medium_text(a[7])));
        buf_printf(b, ",\"access\":%u,\"status\":\"%02X\",\"mode\":%u}", t->access, t->status,
                   t->mode);
}

/* OBIS of the meter's main figure: current value, no tariff. Groups as IEC 62056-61 names media. */
static void put_obis(struct buf *b, const struct mbus_record *r, uint8_t medium)
{
        bool energy = r->table != 0xFF && r->quantity && strcmp(r->quantity, "Energy") == 0;
        bool volume = r->table != 0xFF && r->quantity && strcmp(r->quantity, "Volume") == 0;
        const char *code = NULL;

        if (r->function == MBUS_INSTANT && r->storage == 0 && r->tariff == 0 && r->subunit == 0 &&
            r->n_vife == 0) {
                if (medium == 0x02 && energy)
                        code = "1.0.1.8.0.255";
                else if ((medium == 0x04 || medium == 0x0C || medium == 0x0D) && energy)
                        code = "6.0.1.0.0.255";
                else if ((medium == 0x04 || medium == 0x0C || medium == 0x0D) && volume)
                        code = "6.0.2.0.0.255";
                else if (medium == 0x03 && volume)
                        code = "7.0.3.0.0.255";
                else if ((medium == 0x07 || medium == 0x16) && volume)
                        code = "8.0.1.0.0.255";
                else if ((medium == 0x06 || medium == 0x15) && volume)
                        code = "9.0.1.0.0.255";
                else if (medium == 0x08 && r->vif == 0x6E && r->table == 0)
                        code = "4.0.1.0.0.255";
        }
        if (code)
                buf_printf(b, "{\"obis\":\"%s\",\"value\":", code);
        else
                buf_put_str(b, "{\"obis\":null,\"value\":");
}

static void put_value(struct buf *b, const struct mbus_record *r)
{
        if (r->kind == MBUS_REAL && isfinite(r->real))
                buf_printf(b, "%.7g", r->real * pow(10, r->scaler) * r->factor);
        else if (r->kind == MBUS_INTEGER && r->factor == 1)
                decode_put_scaled(b, r->integer, r->scaler);
        else if (r->kind == MBUS_INTEGER)
                buf_printf(b, "%.15g", (double)r->integer * r->factor * pow(10, r->scaler));
        else
                buf_put_str(b, "null");
}

static void put_record(struct decode *d, const struct mbus_record *r, uint8_t medium)
{
        static const char *const functions[] = { "instantaneous", "maximum", "minimum",
                                                 "error state" };
        bool words = r->kind == MBUS_TEXT || r->kind == MBUS_BYTES;
        struct buf *b = &d->found;

        if (b->len > 0)
                buf_put_u8(b, ',');
        put_obis(b, r, medium);
        put_value(b, r);
        buf_put_str(b, ",\"unit\":");
        if (r->unit)
                buf_put_json_str(b, r->unit, strlen(r->unit));
        else
                buf_put_str(b, "null");
        buf_put_str(b, ",\"text\":");
        if (words)
                buf_put_json_str(b, r->text, strlen(r->text));
        else
                buf_put_str(b, "null");
        buf_put_str(b, ",\"time\":");
        if (r->kind == MBUS_DATE || r->kind == MBUS_DATETIME)
                buf_printf(b, "\"%s\"", r->text);
        else
                buf_put_str(b, "null");
        buf_put_str(b, ",\"quantity\":");
        buf_put_json_str(b, r->quantity, strlen(r->quantity));
        buf_printf(b, ",\"function\":\"%s\",\"storage\":%" PRIu64 ",\"tariff\":%u,\"subunit\":%u}",
                   functions[r->function], r->storage, r->tariff, r->subunit);
}

static void put_records(struct decode *d, const struct mbus_telegram *t)
{
        const uint8_t *a = mbus_address(t);
        struct mbus_reader r;
        struct mbus_record v;
        size_t good = 0;
        int e;

        mbus_reader_init(&r, t);
        while ((e = mbus_next(&r, &v)) > 0) {
                put_record(d, &v, a ? a[7] : 0);
                good = r.at;
        }
        /* Receivers leave a CRC or a byte of noise behind the last record: told, but no error. */
        if (e < 0 && good > 0 && t->body_len - good <= TRAILING_MAX)
                decode_put_hex(decode_member(d, "trailing_hex"), t->body + good,
                               t->body_len - good);
        else if (e < 0)
                fail_mbus(d, -e);
}

void decode_mbus(struct decode *d, const uint8_t *p, size_t n, const uint8_t *key)
{
        struct mbus_telegram t;
        uint8_t *opened = malloc(n ? n : 1);
        int e = opened ? mbus_telegram_parse(p, n, d->work, &t) : MBUS_E_CRYPTO;

        if (opened && e != MBUS_E_START)
                put_telegram(d, &t);
        if (!e && t.encrypted)
                e = key ? mbus_telegram_decrypt(&t, key, opened) : MBUS_E_KEY_MISSING;
        /* Radio link and transport layer may both be ciphered, under one key. */
        if (!e && t.encrypted)
                e = mbus_telegram_decrypt(&t, key, opened);
        if (e == MBUS_E_APPLICATION)
                decode_fail(d, "application: the meter reports application error %u",
                            t.application_error);
        else if (e)
                fail_mbus(d, e);
        else if (!t.acknowledge)
                put_records(d, &t);
        free(opened);
}
