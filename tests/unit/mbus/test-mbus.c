/* M-Bus telegrams against published readings of real meters, then against everything that can go
 * wrong on a line. */
#include "hr_test.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>

#include "hex.h"
#include "mbus/mbus.h"

enum { TELEGRAM_MAX = 600, RECORDS_MAX = 128 };

struct decoded {
        struct mbus_telegram t;
        struct mbus_record record[RECORDS_MAX];
        size_t n;
        int error;
        uint8_t work[TELEGRAM_MAX], opened[TELEGRAM_MAX];
};

/* From a copy of exactly its size, so that a read beyond it is seen. */
static void decode(const uint8_t *p, size_t n, const uint8_t *key, struct decoded *d)
{
        uint8_t *copy = malloc(n ? n : 1);
        struct mbus_reader r;
        int e;

        memcpy(copy, p, n);
        d->n = 0;
        e = mbus_telegram_parse(copy, n, d->work, &d->t);
        if (!e && d->t.encrypted)
                e = key ? mbus_telegram_decrypt(&d->t, key, d->opened) : MBUS_E_KEY_MISSING;
        if (!e && d->t.encrypted)
                e = mbus_telegram_decrypt(&d->t, key, d->opened);
        if (!e && !d->t.acknowledge) {
                mbus_reader_init(&r, &d->t);
                while (d->n < RECORDS_MAX && (e = mbus_next(&r, &d->record[d->n])) > 0)
                        d->n++;
                e = -e;
        }
        d->error = e;
        free(copy);
}

static size_t bytes_of(const json_t *o, const char *key, uint8_t *out, size_t cap)
{
        ssize_t n = hex_decode(json_string_value(json_object_get(o, key)),
                               json_string_length(json_object_get(o, key)), out, cap);

        CU_ASSERT_FATAL(n > 0);
        return (size_t)n;
}

static double number_of(const struct mbus_record *r)
{
        double v = r->kind == MBUS_REAL      ? r->real
                   : r->kind == MBUS_INTEGER ? (double)r->integer
                                             : NAN;

        return v * pow(10, r->scaler) * r->factor;
}

static bool near(double a, double b)
{
        return fabs(a - b) <= 1e-6 * fmax(1, fabs(a)) + 5e-7;
}

/* ---- wired: record by record ---- */

static unsigned compare_record(const json_t *want, const struct mbus_record *r)
{
        const char *value = json_string_value(json_object_get(want, "Value"));
        const char *storage = json_string_value(json_object_get(want, "StorageNumber"));
        const char *quantity = json_string_value(json_object_get(want, "Quantity"));
        char *end;
        double number;

        /* Without a quantity it is the maker's own block, printed in another way. */
        if (!value || !quantity || !*quantity)
                return 0;
        CU_ASSERT_STRING_EQUAL(r->quantity, quantity);
        CU_ASSERT_EQUAL(r->storage, storage ? strtoull(storage, NULL, 10) : 0);
        if (r->kind == MBUS_DATE || r->kind == MBUS_DATETIME) {
                CU_ASSERT_NSTRING_EQUAL(value, r->text, strlen(r->text));
                return 1;
        }
        number = strtod(value, &end);
        if (*end || end == value || r->kind == MBUS_NOTHING || r->kind == MBUS_BYTES ||
            r->kind == MBUS_TEXT)
                return 0;
        if (!near(number, number_of(r))) {
                printf("%s: published %s, decoded %.9g\n", quantity, value, number_of(r));
                CU_FAIL("published value");
        }
        return 1;
}

static void wired_meters(void)
{
        FILE *f = fopen(hr_shared("vectors/mbus_wired.jsonl"), "rb");
        unsigned meters = 0, values = 0, refused = 0;
        static struct decoded d;
        json_t *line;

        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL))) {
                json_t *records = json_object_get(json_object_get(line, "expected"), "records");
                uint8_t p[TELEGRAM_MAX];
                size_t n = bytes_of(line, "hex", p, sizeof p);

                decode(p, n, NULL, &d);
                if (json_array_size(records) > 0) {
                        meters++;
                        CU_ASSERT_EQUAL(d.error, 0);
                        CU_ASSERT_EQUAL(d.n, json_array_size(records));
                        for (size_t i = 0; i < d.n && !d.t.fixed; i++)
                                values += compare_record(json_array_get(records, i), &d.record[i]);
                } else if (json_object_get(line, "note")) {
                        refused++;
                        CU_ASSERT(d.error != 0);
                }
                json_decref(line);
        }
        fclose(f);
        printf("%u meters, %u published values, %u broken telegrams refused ", meters, values,
               refused);
        CU_ASSERT(meters >= 40 && values >= 470 && refused >= 10);
}

/* ---- wireless: the published totals are among the records ---- */

static double unit_factor(const char *key)
{
        static const struct {
                const char *end;
                double factor;
        } units[] = { { "_m3", 1 }, { "_kwh", 1000 }, { "_kw", 1000 }, { "_c", 1 }, { "_hca", 1 } };

        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
                size_t n = strlen(key), k = strlen(units[i].end);

                if (n > k && strcmp(key + n - k, units[i].end) == 0)
                        return units[i].factor;
        }
        return 0;
}

static bool has_value(const struct decoded *d, double want)
{
        for (size_t i = 0; i < d->n; i++)
                if (near(want, number_of(&d->record[i])))
                        return true;
        return false;
}

static void wireless_meters(void)
{
        FILE *f = fopen(hr_shared("vectors/wmbus.jsonl"), "rb");
        unsigned meters = 0, ids = 0, values = 0, found = 0;
        static struct decoded d;
        json_t *line;

        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL))) {
                json_t *expected = json_object_get(line, "expected"), *v, *keys;
                uint8_t p[TELEGRAM_MAX], key[MBUS_KEY_SIZE];
                size_t n = bytes_of(line, "hex", p, sizeof p);
                const char *name;
                char id[9];

                keys = json_object_get(line, "keys");
                if (keys)
                        bytes_of(keys, "aes", key, sizeof key);
                decode(p, n, keys ? key : NULL, &d);
                if (d.n > 0) {
                        meters++;
                        mbus_id(mbus_address(&d.t), id);
                        ids += strcasecmp(id, json_string_value(json_object_get(expected, "id"))) ==
                               0;
                        json_object_foreach(expected, name, v)
                        {
                                double factor = unit_factor(name);

                                if (!json_is_number(v) || factor == 0)
                                        continue;
                                values++;
                                found += has_value(&d, json_number_value(v) * factor);
                        }
                }
                json_decref(line);
        }
        fclose(f);
        printf("%u meters, %u of %u published values ", meters, found, values);
        CU_ASSERT(meters >= 180);
        CU_ASSERT_EQUAL(ids, meters);
        /* The rest stands in blocks of the makers' own making, or is computed by the publisher. */
        CU_ASSERT(found * 100 >= values * 85);
}

/* ---- what can go wrong ---- */

static const char heat[] =
        "68A6A66808037210003810C51401041E0000000478EA629E00046D3214861604158100000004FB00"
        "080000008420FB00000000008430FB0000000000043D00000000042D00000000025B5F00025F2B00"
        "04618A1400000227FA0101FD1700049028A0860100426C7F1C44158100000044FB0008000000C420"
        "FB0000000000C430FB000000000082016C5F1C840115540000008401FB00050000008421FB000000"
        "00008431FB0000000000B716";

static void a_flipped_bit_is_refused(void)
{
        uint8_t p[TELEGRAM_MAX];
        ssize_t n = hex_decode(heat, strlen(heat), p, sizeof p);
        static struct decoded d;

        CU_ASSERT_FATAL(n > 0);
        decode(p, (size_t)n, NULL, &d);
        CU_ASSERT_EQUAL(d.error, 0);
        for (size_t bit = 0; bit < 8 * (size_t)n; bit++) {
                p[bit / 8] ^= (uint8_t)(1 << bit % 8);
                decode(p, (size_t)n, NULL, &d);
                CU_ASSERT(d.error != 0);
                p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t cut = 0; cut < (size_t)n; cut++) {
                decode(p, cut, NULL, &d);
                CU_ASSERT(d.error != 0);
        }
}

/* One record in a telegram without header. */
static int one(const char *hex, struct mbus_record *ret)
{
        uint8_t p[TELEGRAM_MAX];
        ssize_t n = hex_decode(hex, strlen(hex), p, sizeof p);
        struct mbus_telegram t = { .body = p, .body_len = (size_t)n };
        struct mbus_reader r;

        mbus_reader_init(&r, &t);
        return mbus_next(&r, ret);
}

static void records_mean_what_they_say(void)
{
        struct mbus_record r;

        CU_ASSERT_EQUAL(one("0413FFFFFFFF", &r), 1); /* -1 litre */
        CU_ASSERT_EQUAL(r.integer, -1);
        CU_ASSERT_EQUAL(r.scaler, -3);
        CU_ASSERT_EQUAL(one("0C06120000F0", &r), 1); /* BCD with a minus sign */
        CU_ASSERT_EQUAL(r.integer, -12);
        CU_ASSERT_EQUAL(one("0C06120000A0", &r), 1);
        CU_ASSERT(r.kind == MBUS_NOTHING && r.invalid);
        CU_ASSERT_EQUAL(one("02279A00", &r), 1); /* days of operation */
        CU_ASSERT(r.factor == 86400 && r.integer == 154);
        CU_ASSERT_EQUAL(one("04FB0D01000000", &r), 1); /* 1 Mcal × 10 */
        CU_ASSERT(r.scaler == 6 && strcmp(r.unit, "cal") == 0);
        CU_ASSERT_EQUAL(one("02FD4600E1", &r), 1); /* 10^-3 V */
        CU_ASSERT(r.scaler == -3 && strcmp(r.quantity, "Voltage") == 0);
        CU_ASSERT_EQUAL(one("0493741D000000", &r), 1); /* × 10^-2 by an extension */
        CU_ASSERT(r.scaler == -5);
        CU_ASSERT_EQUAL(one("8C9043067856341200", &r), 1); /* two storage and tariff extensions */
        CU_ASSERT(r.storage == 96 && r.tariff == 1 && r.subunit == 2);
        CU_ASSERT_EQUAL(one("026C5F1C", &r), 1);
        CU_ASSERT_STRING_EQUAL(r.text, "2010-12-31");
        CU_ASSERT_EQUAL(one("026C0000", &r), 1);
        CU_ASSERT(r.kind == MBUS_NOTHING && r.invalid);
        CU_ASSERT_EQUAL(one("066D2A1E0C7F1C00", &r), 1);
        CU_ASSERT_STRING_EQUAL(r.text, "2011-12-31T12:30:42");
        CU_ASSERT_EQUAL(one("0DFD0F05332E322E31", &r), 1);
        CU_ASSERT_STRING_EQUAL(r.text, "1.2.3");
        CU_ASSERT_EQUAL(one("0D78C21234", &r), 1); /* LVAR with BCD */
        CU_ASSERT_EQUAL(r.integer, 3412);
        CU_ASSERT_EQUAL(one("2F2F2F", &r), 0);
        CU_ASSERT_EQUAL(one("0D78FF", &r), -MBUS_E_TYPE);
        CU_ASSERT_EQUAL(one("0413010000", &r), -MBUS_E_TRUNCATED);
        CU_ASSERT_EQUAL(one("8080808080808080808080800013", &r), -MBUS_E_EXTENSIONS);
        CU_ASSERT_EQUAL(one("7F", &r), -MBUS_E_TYPE);
}

/* A published telegram under its published key: a wrong key must not pass for a reading. */
static void keys_are_told_apart(void)
{
        FILE *f = fopen(hr_shared("vectors/wmbus.jsonl"), "rb");
        static struct decoded d;
        unsigned tried = 0;
        json_t *line;

        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL))) {
                uint8_t p[TELEGRAM_MAX], key[MBUS_KEY_SIZE], work[TELEGRAM_MAX];
                size_t n = bytes_of(line, "hex", p, sizeof p);
                json_t *keys = json_object_get(line, "keys");

                if (keys && mbus_telegram_parse(p, n, work, &d.t) == 0 && d.t.encrypted &&
                    (d.t.mode == 5 || d.t.extended)) {
                        bytes_of(keys, "aes", key, sizeof key);
                        decode(p, n, NULL, &d);
                        CU_ASSERT_EQUAL(d.error, MBUS_E_KEY_MISSING);
                        key[3] ^= 1;
                        decode(p, n, key, &d);
                        CU_ASSERT_EQUAL(d.error, MBUS_E_KEY_WRONG);
                        tried++;
                }
                json_decref(line);
        }
        fclose(f);
        CU_ASSERT(tried >= 8);
}

/* CRC of EN 13757-4, bit by bit as the standard writes it: frames with their CRCs read the same. */
static uint16_t crc(const uint8_t *p, size_t n)
{
        uint16_t c = 0;

        for (size_t bit = 0; bit < 8 * n; bit++) {
                unsigned in = p[bit / 8] >> (7 - bit % 8) & 1, top = c >> 15;

                c = (uint16_t)(c << 1);
                if (in ^ top)
                        c ^= 0x3D65;
        }
        return (uint16_t)~c;
}

static size_t with_crcs(const uint8_t *p, size_t n, uint8_t *out)
{
        size_t put = 0;

        for (size_t at = 0; at < n;) {
                size_t block = at == 0 ? 10 : n - at < 16 ? n - at : 16;
                uint16_t c = crc(p + at, block);

                memcpy(out + put, p + at, block);
                out[put + block] = (uint8_t)(c >> 8);
                out[put + block + 1] = (uint8_t)c;
                put += block + 2;
                at += block;
        }
        return put;
}

static void radio_frames_with_their_crcs(void)
{
        static const char water[] =
                "2E44FA129999551100077A070020252F2F046D0F28C22404139540000002FD1700"
                "0001FD481D2F2F2F2F2F2F2F2F2F";
        uint8_t p[TELEGRAM_MAX], framed[TELEGRAM_MAX];
        ssize_t n = hex_decode(water, strlen(water), p, sizeof p);
        static struct decoded d;
        size_t size;

        CU_ASSERT_FATAL(n > 0);
        size = with_crcs(p, (size_t)n, framed);
        decode(framed, size, NULL, &d);
        CU_ASSERT_EQUAL(d.error, 0);
        CU_ASSERT_TRUE(has_value(&d, 16.533));
        framed[20] ^= 1;
        decode(framed, size, NULL, &d);
        CU_ASSERT_EQUAL(d.error, MBUS_E_CRC);
}

HR_TESTS("mbus", { "wired meters: every published value", wired_meters },
         { "radio meters: the published totals", wireless_meters },
         { "one flipped bit, one missing byte", a_flipped_bit_is_refused },
         { "records mean what they say", records_mean_what_they_say },
         { "missing and wrong keys are told apart", keys_are_told_apart },
         { "radio frames with their CRCs", radio_frames_with_their_crcs })
