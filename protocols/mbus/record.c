/* Data records: data information block, value information block, data (EN 13757-3 clause 6). */
#include <stdio.h>
#include <string.h>

#include "units.h"

enum {
        DIF_MAKER = 0x0F,
        DIF_MORE = 0x1F,
        DIF_FILLER = 0x2F,
        DIF_GLOBAL = 0x7F,
        EXTENDED = 0x80,
        VIF_TEXT = 0x7C,
        LVAR = 0x0D,
};

void mbus_reader_init(struct mbus_reader *r, const struct mbus_telegram *t)
{
        memset(r, 0, sizeof *r);
        r->p = t->body;
        r->n = t->body_len;
        r->fixed = t->fixed;
        r->binary = t->status & 0x01;
}

static bool take(struct mbus_reader *r, uint8_t *ret)
{
        if (r->at >= r->n)
                return false;
        *ret = r->p[r->at++];
        return true;
}

static int read_dib(struct mbus_reader *r, struct mbus_record *v, uint8_t *ret_dif)
{
        uint8_t b, n = 0;

        if (!take(r, ret_dif))
                return 0;
        v->function = *ret_dif >> 4 & 3;
        v->storage = *ret_dif >> 6 & 1;
        if (*ret_dif == DIF_MAKER || *ret_dif == DIF_MORE || *ret_dif == DIF_FILLER ||
            *ret_dif == DIF_GLOBAL)
                return 1;
        for (b = *ret_dif; b & EXTENDED; n++) {
                if (n == MBUS_EXTENSIONS_MAX)
                        return -MBUS_E_EXTENSIONS;
                if (!take(r, &b))
                        return -MBUS_E_TRUNCATED;
                v->storage |= (uint64_t)(b & 0x0F) << (1 + 4 * n);
                v->tariff |= n < 10 ? (uint32_t)(b >> 4 & 3) << 2 * n : 0;
                v->subunit |= (uint32_t)(b >> 6 & 1) << n;
        }
        return 1;
}

/* A unit in plain text, sent backwards. */
static int read_unit_text(struct mbus_reader *r, struct mbus_record *v)
{
        uint8_t n;

        if (!take(r, &n) || n > r->n - r->at)
                return -MBUS_E_TRUNCATED;
        for (unsigned i = 0; i < n && i < sizeof v->text_quantity - 1; i++) {
                uint8_t c = r->p[r->at + n - 1 - i];

                v->text_quantity[i] = c >= 0x20 && c < 0x7F ? (char)c : '?';
        }
        r->at += n;
        return 1;
}

static int read_vib(struct mbus_reader *r, struct mbus_record *v)
{
        uint8_t b;
        int e = 1;

        if (!take(r, &b))
                return -MBUS_E_TRUNCATED;
        v->vif = b & 0x7F;
        if ((b & 0x7F) == VIF_TEXT)
                e = read_unit_text(r, v);
        if (e < 0)
                return e;
        if (b == 0xFB || b == 0xFD || b == 0xEF) {
                v->table = b;
                if (!take(r, &b))
                        return -MBUS_E_TRUNCATED;
                v->vif = b & 0x7F;
        } else if (b == 0xFF) {
                v->table = 0xFF;
        }
        while (b & EXTENDED) {
                if (v->n_vife == MBUS_EXTENSIONS_MAX)
                        return -MBUS_E_EXTENSIONS;
                if (!take(r, &b))
                        return -MBUS_E_TRUNCATED;
                v->vife[v->n_vife++] = b;
        }
        return 1;
}

/* ---- data ---- */

static uint64_t little(const uint8_t *p, size_t n)
{
        uint64_t u = 0;

        for (size_t i = n; i-- > 0;)
                u = u << 8 | p[i];
        return u;
}

static void put_integer(struct mbus_record *v, const uint8_t *p, size_t n)
{
        uint64_t u = little(p, n), sign = 1ull << (8 * n - 1);

        v->kind = MBUS_INTEGER;
        v->integer = n < 8 && u & sign ? (int64_t)u - (int64_t)(sign << 1) : (int64_t)u;
}

/* Packed decimal, lowest digits first; F as the highest digit is a minus sign, other letters say
 * that there is no value (A to E may stand for a display's overflow). */
static void put_decimal(struct mbus_record *v, const uint8_t *p, size_t n, bool negative)
{
        int64_t value = 0;

        v->kind = MBUS_INTEGER;
        for (size_t i = n; i-- > 0;) {
                for (int half = 4; half >= 0; half -= 4) {
                        unsigned digit = p[i] >> half & 15;

                        if (digit == 15 && i == n - 1 && half == 4) {
                                negative = true;
                                continue;
                        }
                        if (digit > 9)
                                v->invalid = true;
                        value = value * 10 + (digit > 9 ? 0 : digit);
                }
        }
        v->integer = negative ? -value : value;
        if (v->invalid)
                v->kind = MBUS_NOTHING;
}

static void put_real(struct mbus_record *v, const uint8_t *p)
{
        uint32_t u = (uint32_t)little(p, 4);
        float f;

        memcpy(&f, &u, sizeof f);
        v->kind = MBUS_REAL;
        v->real = (double)f;
}

static void put_bytes(struct mbus_record *v, const uint8_t *p, size_t n)
{
        static const char digits[] = "0123456789ABCDEF";
        size_t k = 0;

        v->kind = MBUS_BYTES;
        for (size_t i = 0; i < n && k + 3 < sizeof v->text; i++) {
                v->text[k++] = digits[p[i] >> 4];
                v->text[k++] = digits[p[i] & 15];
        }
        v->text[k] = 0;
}

/* ISO 8859-1, sent backwards; becomes UTF-8. */
static void put_string(struct mbus_record *v, const uint8_t *p, size_t n)
{
        size_t k = 0;

        v->kind = MBUS_TEXT;
        for (size_t i = n; i-- > 0 && k + 3 < sizeof v->text;) {
                uint8_t c = p[i];

                if (c >= 0xA0) {
                        v->text[k++] = (char)(0xC0 | c >> 6);
                        v->text[k++] = (char)(0x80 | (c & 0x3F));
                } else {
                        v->text[k++] = c >= 0x20 && c < 0x7F ? (char)c : ' ';
                }
        }
        v->text[k] = 0;
}

static bool date_good(unsigned month, unsigned day)
{
        return month >= 1 && month <= 12 && day >= 1;
}

/* Type G, two bytes: day, month, year from 2000 on (81 to 99: 1981 to 1999). */
static unsigned date_of(const uint8_t *p, unsigned *ret_month, unsigned *ret_day)
{
        unsigned year = p[0] >> 5 | (p[1] >> 4) << 3;

        *ret_day = p[0] & 0x1F;
        *ret_month = p[1] & 0x0F;
        return year >= 81 && year <= 99 ? 1900 + year : 2000 + year;
}

static void put_date(struct mbus_record *v, const uint8_t *p)
{
        unsigned month, day, year = date_of(p, &month, &day);

        v->kind = MBUS_DATE;
        v->invalid = !date_good(month, day);
        if (v->invalid)
                v->kind = MBUS_NOTHING;
        else
                snprintf(v->text, sizeof v->text, "%04u-%02u-%02u", year, month, day);
}

/* Type F, four bytes; type I, six bytes, with seconds before it. */
static void put_datetime(struct mbus_record *v, const uint8_t *p, size_t n)
{
        unsigned second = n == 6 ? p[0] & 0x3F : 0, minute, hour, month, day, year;

        p += n == 6;
        minute = p[0] & 0x3F;
        hour = p[1] & 0x1F;
        year = date_of(p + 2, &month, &day);
        v->invalid = p[0] & 0x80 || !date_good(month, day) || minute > 59 || hour > 23;
        v->kind = v->invalid ? MBUS_NOTHING : MBUS_DATETIME;
        if (!v->invalid)
                snprintf(v->text, sizeof v->text, "%04u-%02u-%02uT%02u:%02u:%02u", year, month, day,
                         hour, minute, second);
}

static bool put_time(struct mbus_record *v, const uint8_t *p, size_t n, unsigned coding)
{
        if (coding == 5 || coding > 7 || !mbus_is_time(v))
                return false;
        if (n == 2)
                put_date(v, p);
        else if (n == 4 || n == 6)
                put_datetime(v, p, n);
        else
                return false;
        return true;
}

static int read_variable(struct mbus_reader *r, struct mbus_record *v)
{
        uint8_t len;
        size_t n;

        if (!take(r, &len))
                return -MBUS_E_TRUNCATED;
        n = len < 0xC0                   ? len
            : len >= 0xC0 && len <= 0xC9 ? len - 0xC0u
            : len >= 0xD0 && len <= 0xD9 ? len - 0xD0u
            : len >= 0xE0 && len <= 0xEF ? len - 0xE0u
            : len >= 0xF0 && len <= 0xF4 ? 4 * (len - 0xECu)
            : len == 0xF5                ? 48
            : len == 0xF6                ? 64
                                         : r->n + 1;
        if (n == r->n + 1)
                return -MBUS_E_TYPE;
        if (n > r->n - r->at)
                return -MBUS_E_TRUNCATED;
        v->raw = r->p + r->at;
        v->raw_len = n;
        r->at += n;
        if (len < 0xC0)
                put_string(v, v->raw, n);
        else if (len < 0xE0)
                put_decimal(v, v->raw, n, len >= 0xD0);
        else
                put_bytes(v, v->raw, n);
        return 1;
}

static int read_data(struct mbus_reader *r, struct mbus_record *v, unsigned coding)
{
        static const uint8_t sizes[16] = { 0, 1, 2, 3, 4, 4, 6, 8, 0, 1, 2, 3, 4, 0, 6, 0 };
        size_t n = sizes[coding];
        const uint8_t *p = r->p + r->at;

        if (coding == LVAR)
                return read_variable(r, v);
        if (coding == 15)
                return -MBUS_E_TYPE;
        if (n > r->n - r->at)
                return -MBUS_E_TRUNCATED;
        v->raw = p;
        v->raw_len = n;
        r->at += n;
        if (n == 0 || put_time(v, p, n, coding))
                return 1;
        if (coding == 5)
                put_real(v, p);
        else if (coding < 8)
                put_integer(v, p, n);
        else
                put_decimal(v, p, n, false);
        return 1;
}

static int special(struct mbus_reader *r, struct mbus_record *v, uint8_t dif)
{
        v->manufacturer = dif == DIF_MAKER;
        v->more = dif == DIF_MORE;
        v->quantity = dif == DIF_MORE ? "More records follow" : "Manufacturer specific";
        v->factor = 1;
        v->raw = r->p + r->at;
        v->raw_len = r->n - r->at;
        r->at = r->n;
        put_bytes(v, v->raw, v->raw_len);
        return 1;
}

/* ---- fixed structure (CI 73): two counters of four bytes ---- */

static int next_fixed(struct mbus_reader *r, struct mbus_record *v)
{
        static const struct {
                const char *quantity, *unit;
                int8_t scaler;
        } units[64] = {
                [2] = { "Energy", "Wh", 0 },          [3] = { "Energy", "Wh", 1 },
                [4] = { "Energy", "Wh", 2 },          [5] = { "Energy", "Wh", 3 },
                [6] = { "Energy", "Wh", 4 },          [7] = { "Energy", "Wh", 5 },
                [8] = { "Energy", "Wh", 6 },          [9] = { "Energy", "Wh", 7 },
                [10] = { "Energy", "Wh", 8 },         [11] = { "Energy", "J", 3 },
                [12] = { "Energy", "J", 4 },          [13] = { "Energy", "J", 5 },
                [14] = { "Energy", "J", 6 },          [15] = { "Energy", "J", 7 },
                [16] = { "Energy", "J", 8 },          [17] = { "Energy", "J", 9 },
                [18] = { "Energy", "J", 10 },         [19] = { "Energy", "J", 11 },
                [20] = { "Power", "W", 0 },           [21] = { "Power", "W", 1 },
                [22] = { "Power", "W", 2 },           [23] = { "Power", "W", 3 },
                [24] = { "Power", "W", 4 },           [25] = { "Power", "W", 5 },
                [26] = { "Power", "W", 6 },           [27] = { "Power", "W", 7 },
                [28] = { "Power", "W", 8 },           [29] = { "Power", "J/h", 3 },
                [30] = { "Power", "J/h", 4 },         [31] = { "Power", "J/h", 5 },
                [32] = { "Power", "J/h", 6 },         [33] = { "Power", "J/h", 7 },
                [34] = { "Power", "J/h", 8 },         [35] = { "Power", "J/h", 9 },
                [36] = { "Power", "J/h", 10 },        [37] = { "Power", "J/h", 11 },
                [38] = { "Volume", "m3", -6 },        [39] = { "Volume", "m3", -5 },
                [40] = { "Volume", "m3", -4 },        [41] = { "Volume", "m3", -3 },
                [42] = { "Volume", "m3", -2 },        [43] = { "Volume", "m3", -1 },
                [44] = { "Volume", "m3", 0 },         [45] = { "Volume", "m3", 1 },
                [46] = { "Volume", "m3", 2 },         [47] = { "Volume flow", "m3/h", -6 },
                [48] = { "Volume flow", "m3/h", -5 }, [49] = { "Volume flow", "m3/h", -4 },
                [50] = { "Volume flow", "m3/h", -3 }, [51] = { "Volume flow", "m3/h", -2 },
                [52] = { "Volume flow", "m3/h", -1 }, [53] = { "Volume flow", "m3/h", 0 },
                [54] = { "Volume flow", "m3/h", 1 },  [55] = { "Volume flow", "m3/h", 2 },
                [56] = { "Temperature", "°C", -3 },   [57] = { "H.C.A.", "Units for H.C.A.", 0 },
        };
        uint8_t unit[2];

        if (r->counter == 2)
                return 0;
        if (r->n < 10)
                return -MBUS_E_TRUNCATED;
        unit[0] = r->p[0] & 0x3F;
        unit[1] = r->p[1] & 0x3F;
        /* 62: the same unit as the other counter, of a stored value. */
        if (r->counter == 1 && unit[1] == 62) {
                unit[1] = unit[0];
                v->storage = 1;
        }
        v->quantity = units[unit[r->counter]].quantity;
        v->unit = units[unit[r->counter]].unit;
        v->scaler = units[unit[r->counter]].scaler;
        if (!v->quantity)
                v->quantity = "Reserved";
        v->factor = 1;
        v->raw = r->p + 2 + 4 * r->counter;
        v->raw_len = 4;
        if (r->binary)
                put_integer(v, v->raw, 4);
        else
                put_decimal(v, v->raw, 4, false);
        r->counter++;
        return 1;
}

int mbus_next(struct mbus_reader *r, struct mbus_record *ret)
{
        uint8_t dif;
        int e;

        do {
                memset(ret, 0, sizeof *ret);
                if (r->fixed)
                        return next_fixed(r, ret);
                e = read_dib(r, ret, &dif);
                if (e <= 0)
                        return e;
        } while (dif == DIF_FILLER);
        if (dif == DIF_MAKER || dif == DIF_MORE)
                return special(r, ret, dif);
        if (dif == DIF_GLOBAL)
                return -MBUS_E_TYPE;
        e = read_vib(r, ret);
        if (e < 0)
                return e;
        mbus_name_value(ret);
        return read_data(r, ret, dif & 15);
}
