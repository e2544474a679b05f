/* The codecs one by one: A-XDR, OBIS, date-times, HDLC, security, profile rows, pushes. */
#include "hr_test.h"

#include <stdbool.h>
#include <stdint.h>

#include "dlms/acse.h"
#include "dlms/apdu.h"
#include "dlms/axdr.h"
#include "dlms/datetime.h"
#include "dlms/hdlc.h"
#include "dlms/obis.h"
#include "dlms/profile.h"
#include "dlms/push.h"
#include "dlms/hls.h"
#include "dlms/security.h"
#include "dlms/server.h"
#include "dlms/unpack.h"
#include "hex.h"

static size_t bytes(const char *hex, uint8_t *out, size_t cap)
{
        ssize_t n = hex_decode(hex, strlen(hex), out, cap);

        CU_ASSERT_FATAL(n >= 0);
        return (size_t)n;
}

/* ---- A-XDR ---- */

static void axdr_values(void)
{
        static const struct {
                const char *hex;
                int64_t value;
        } numbers[] = {
                { "0300", 0 },
                { "0FFF", -1 },
                { "10FF38", -200 },
                { "11FF", 255 },
                { "12FFFF", 65535 },
                { "05FFFFFFFE", -2 },
                { "06FFFFFFFF", 4294967295 },
                { "14FFFFFFFFFFFFFFFF", -1 },
                { "150000000000000005", 5 },
                { "161E", 30 },
        };
        uint8_t b[64];
        struct axdr_reader r;
        struct axdr_value v;
        int64_t i;

        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
                size_t n = bytes(numbers[k].hex, b, sizeof b);

                axdr_reader_init(&r, b, n);
                CU_ASSERT(axdr_next(&r, &v));
                CU_ASSERT(axdr_is_integer(&v, &i));
                CU_ASSERT_EQUAL(i, numbers[k].value);
                CU_ASSERT_EQUAL(axdr_check(b, n), 0);
                for (size_t cut = 0; cut < n; cut++)
                        CU_ASSERT_EQUAL(axdr_check(b, cut), DLMS_E_TRUNCATED);
                b[n] = 0;
                CU_ASSERT_EQUAL(axdr_check(b, n + 1), DLMS_E_TRAILING);
        }
        axdr_reader_init(&r, b, bytes("1742BF0000", b, sizeof b));
        CU_ASSERT(axdr_next(&r, &v) && v.tag == AXDR_FLOAT32 && v.f > 95.49 && v.f < 95.51);
        CU_ASSERT_EQUAL(axdr_check(b, bytes("15FFFFFFFFFFFFFFFF", b, sizeof b)), 0);
        axdr_reader_init(&r, b, 9);
        CU_ASSERT(axdr_next(&r, &v));
        CU_ASSERT(!axdr_is_integer(&v, &i));
        CU_ASSERT_EQUAL(v.u, UINT64_MAX);
}

static void axdr_refuses(void)
{
        uint8_t deep[64];
        uint8_t b[64];

        CU_ASSERT_EQUAL(axdr_check(b, bytes("07", b, sizeof b)), DLMS_E_TYPE);
        CU_ASSERT_EQUAL(axdr_check(b, bytes("0985FFFFFFFFFF", b, sizeof b)), DLMS_E_TYPE);
        CU_ASSERT_EQUAL(axdr_check(b, bytes("0984FFFFFFFF00", b, sizeof b)), DLMS_E_TRUNCATED);
        CU_ASSERT_EQUAL(axdr_check(b, bytes("0184FFFFFFFF00", b, sizeof b)), DLMS_E_TRUNCATED);
        memset(deep, 1, sizeof deep); /* array of one array of one array ... */
        CU_ASSERT_EQUAL(axdr_check(deep, sizeof deep), DLMS_E_DEPTH);
}

static void axdr_compact(void)
{
        uint8_t b[64], out[64];
        struct axdr_writer w = axdr_writer_of(out, sizeof out);
        struct axdr_reader r;
        struct axdr_value v;
        uint8_t expected[64];
        size_t n;

        /* structure { uint16, octet-string }, twice */
        n = bytes("1302021209"
                  "0B"
                  "000102AABB"
                  "000203010203",
                  b, sizeof b);
        axdr_reader_init(&r, b, n);
        CU_ASSERT_FATAL(axdr_next(&r, &v));
        CU_ASSERT_EQUAL(v.tag, AXDR_COMPACT_ARRAY);
        CU_ASSERT_EQUAL(axdr_expand_compact(&v, &w), 0);
        n = bytes("0102"
                  "0202120001"
                  "0902AABB"
                  "0202120002"
                  "0903010203",
                  expected, sizeof expected);
        CU_ASSERT_EQUAL(w.len, n);
        CU_ASSERT(memcmp(out, expected, n) == 0);
        /* Too small a buffer is an error, elements without contents do not loop. */
        w = axdr_writer_of(out, 12);
        CU_ASSERT_EQUAL(axdr_expand_compact(&v, &w), DLMS_E_TOO_LONG);
        axdr_reader_init(&r, b, bytes("13000101", b, sizeof b));
        CU_ASSERT_FATAL(axdr_next(&r, &v));
        w = axdr_writer_of(out, sizeof out);
        CU_ASSERT_EQUAL(axdr_expand_compact(&v, &w), DLMS_E_TYPE);
}

static void axdr_writes(void)
{
        uint8_t out[64], expected[64];
        struct axdr_writer w = axdr_writer_of(out, sizeof out);
        struct obis o = OBIS(1, 0, 1, 8, 0, 255);
        size_t n;

        axdr_put_structure(&w, 4);
        axdr_put_obis(&w, &o);
        axdr_put_int16(&w, -2);
        axdr_put_uint64(&w, 258);
        axdr_put_scaler_unit(&w, -1, 35);
        n = bytes("0204"
                  "09060100010800FF"
                  "10FFFE"
                  "150000000000000102"
                  "02020FFF1623",
                  expected, sizeof expected);
        CU_ASSERT(!w.failed && w.len == n && memcmp(out, expected, n) == 0);
        w = axdr_writer_of(out, 3);
        axdr_put_uint32(&w, 1);
        CU_ASSERT(w.failed);
        axdr_put_null(&w);
        CU_ASSERT(w.failed);
}

/* ---- OBIS, time ---- */

static void obis_codes(void)
{
        static const char *const forms[] = { "1.0.1.8.0.255", "1-0:1.8.0*255", "1-0:1.8.0" };
        static const char *const bad[] = { "",
                                           "1",
                                           "1.0.1.8",
                                           "1.0.1.8.0.256",
                                           "1.0.1.8.0.255.1",
                                           "1.0.1.8.0.",
                                           "a.0.1.8.0.255" };
        struct obis o, expected = OBIS(1, 0, 1, 8, 0, 255);
        char text[OBIS_TEXT_SIZE];

        for (size_t i = 0; i < 3; i++) {
                CU_ASSERT_EQUAL(obis_parse(forms[i], &o), 0);
                CU_ASSERT(obis_equal(&o, &expected));
        }
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CU_ASSERT(obis_parse(bad[i], &o) != 0);
        obis_format(&expected, text);
        CU_ASSERT_STRING_EQUAL(text, "1.0.1.8.0.255");
}

static void times(void)
{
        uint8_t b[12], back[12];
        struct dlms_datetime t;
        int64_t utc;

        /* 2019-12-16 08:59:40 at UTC+1: standard deviation -60 */
        CU_ASSERT(dlms_datetime_read(b, bytes("07E30C10FF083B2800FFC400", b, 12), &t));
        CU_ASSERT_EQUAL(dlms_datetime_utc(&t, DATETIME_STANDARD, 0, &utc), 0);
        CU_ASSERT_EQUAL(utc, 1576483180);
        CU_ASSERT_EQUAL(dlms_datetime_utc(&t, DATETIME_INVERTED, 0, &utc), 0);
        CU_ASSERT_EQUAL(utc, 1576483180 + 7200);
        dlms_datetime_write(&t, back);
        CU_ASSERT(memcmp(b, back, 12) == 0);
        /* 0x8000: deviation not specified, the caller's offset serves. */
        CU_ASSERT(dlms_datetime_read(b, bytes("07E30C1001083B28FF8000FF", b, 12), &t));
        CU_ASSERT_EQUAL(dlms_datetime_utc(&t, DATETIME_STANDARD, 60, &utc), 0);
        CU_ASSERT_EQUAL(utc, 1576483180);
        /* Wildcards: no date, no instant; missing seconds count as 0. */
        CU_ASSERT(dlms_datetime_read(b, bytes("FFFF0C10FF083B28FF8000FF", b, 12), &t));
        CU_ASSERT(dlms_datetime_utc(&t, DATETIME_STANDARD, 0, &utc) != 0);
        CU_ASSERT(dlms_datetime_read(b, bytes("07E30C10FF083BFFFFFFC400", b, 12), &t));
        CU_ASSERT_EQUAL(dlms_datetime_utc(&t, DATETIME_STANDARD, 0, &utc), 0);
        CU_ASSERT_EQUAL(utc, 1576483180 - 40);
        CU_ASSERT(!dlms_datetime_read(b, bytes("07E30D10FF083B2800FFC400", b, 12), &t));
        CU_ASSERT(!dlms_datetime_read(b, bytes("07E30C10FF183B2800FFC400", b, 12), &t));
        CU_ASSERT(!dlms_datetime_read(b, 11, &t));
        /* There and back, Hanoi. */
        dlms_datetime_from_utc(1767225600, 420, false, &t);
        CU_ASSERT_EQUAL(t.hour, 7);
        CU_ASSERT_EQUAL(t.deviation, -420);
        CU_ASSERT_EQUAL(t.weekday, 4);
        CU_ASSERT_EQUAL(dlms_datetime_utc(&t, DATETIME_STANDARD, 0, &utc), 0);
        CU_ASSERT_EQUAL(utc, 1767225600);
}

/* ---- HDLC ---- */

static void hdlc_codec(void)
{
        static const uint8_t sizes[] = { 1, 2, 4 };
        uint8_t info[200], out[HDLC_FRAME_MAX];
        struct hdlc_frame f, g;

        memset(info, 0x7E, sizeof info); /* flags inside change nothing */
        for (int i = 0; i < 9; i++) {
                uint16_t upper, lower;
                size_t n;

                f = (struct hdlc_frame){ .dst_size = sizes[i / 3],
                                         .src_size = sizes[i % 3],
                                         .control = 0x32,
                                         .segmented = i & 1,
                                         .info = info,
                                         .info_len = (size_t)i * 25 };
                f.dst = hdlc_address(17, 35, f.dst_size);
                f.src = hdlc_address(1, 0, f.src_size);
                n = hdlc_frame_write(&f, out, sizeof out);
                CU_ASSERT(n > 0);
                CU_ASSERT_EQUAL(hdlc_frame_size(out, 3), (int)n);
                CU_ASSERT_EQUAL_FATAL(hdlc_frame_parse(out, n, &g), 0);
                CU_ASSERT(g.dst == f.dst && g.src == f.src && g.control == f.control);
                CU_ASSERT(g.segmented == f.segmented && g.info_len == f.info_len);
                hdlc_address_split(g.dst, g.dst_size, &upper, &lower);
                CU_ASSERT_EQUAL(upper, 17);
                CU_ASSERT_EQUAL(lower, g.dst_size == 1 ? 0 : 35);
                /* Every flipped bit is found. */
                for (size_t bit = 0; bit < 8 * n; bit++) {
                        out[bit / 8] ^= (uint8_t)(1 << bit % 8);
                        CU_ASSERT(hdlc_frame_parse(out, n, &g) != 0);
                        out[bit / 8] ^= (uint8_t)(1 << bit % 8);
                }
        }
        CU_ASSERT_EQUAL(hdlc_frame_write(&f, out, 20), 0);
        CU_ASSERT_EQUAL(hdlc_address_size(1, 0), 1);
        CU_ASSERT_EQUAL(hdlc_address_size(1, 17), 2);
        CU_ASSERT_EQUAL(hdlc_address_size(1, 1000), 4);
}

static void hdlc_stream(void)
{
        uint8_t stream[128], buf[HDLC_FRAME_MAX];
        size_t len = 0, at = 0, frames = 0;
        /* noise, a frame, a shared flag and the next frame, fill, a frame, an end cut off */
        size_t n = bytes("0011A0"
                         "7EA0070303938C11"
                         "7EA0070303938C117E"
                         "7E7E"
                         "7EA0070303938C117E"
                         "7EA00703",
                         stream, sizeof stream);

        while (at < n) {
                bool whole;
                struct hdlc_frame f;

                at += hdlc_collect(buf, &len, stream + at, n - at, &whole);
                if (!whole)
                        continue;
                CU_ASSERT_EQUAL(hdlc_frame_parse(buf, len, &f), 0);
                frames++;
                len = 1;
        }
        CU_ASSERT_EQUAL(frames, 3);
}

/* ---- security ---- */

static const uint8_t title[8] = "MTR00001", other_title[8] = "MTR00002";

static struct dlms_keys test_keys(void)
{
        struct dlms_keys k = { .has_ek = true, .has_ak = true };

        memset(k.ek, 0x11, 16);
        memset(k.ak, 0x22, 16);
        return k;
}

static int open_with(struct dlms_crypto *c, const struct dlms_keys *keys, const uint8_t *sender,
                     const uint8_t *known, uint8_t sc)
{
        static const uint8_t plain[] = { 0xC4, 0x01, 0xC1, 0x00, 0x06, 0, 0, 1, 2 };
        struct dlms_keys right = test_keys();
        uint8_t out[64], *p;
        struct dlms_protection prot;
        size_t n;
        int e;

        CU_ASSERT_EQUAL(dlms_protect(c, &right, false, sc, title, 7, plain, sizeof plain, out,
                                     sizeof out, &n),
                        0);
        e = dlms_open(c, keys, false, sender, known, out, n, &prot, &p, &n);
        if (!e) {
                CU_ASSERT(n == sizeof plain && memcmp(p, plain, n) == 0);
                CU_ASSERT_EQUAL(prot.ic, 7);
        }
        return e;
}

static void secrets_told_apart(void)
{
        struct dlms_crypto *c = dlms_crypto_new();
        struct dlms_keys k = test_keys();

        CU_ASSERT_EQUAL(open_with(c, &k, title, title, 0x30), 0);
        CU_ASSERT_EQUAL(open_with(c, &k, title, NULL, 0x20), 0);
        CU_ASSERT_EQUAL(open_with(c, &k, title, NULL, 0x10), 0);
        k.ak[5] ^= 1;
        CU_ASSERT_EQUAL(open_with(c, &k, title, title, 0x30), DLMS_E_AUTHENTICATION_KEY);
        CU_ASSERT_EQUAL(open_with(c, &k, title, title, 0x10), DLMS_E_TAG);
        k = test_keys();
        k.ek[5] ^= 1;
        CU_ASSERT_EQUAL(open_with(c, &k, title, title, 0x30), DLMS_E_ENCRYPTION_KEY);
        CU_ASSERT_EQUAL(open_with(c, &k, title, title, 0x20), DLMS_E_ENCRYPTION_KEY);
        k = test_keys();
        CU_ASSERT_EQUAL(open_with(c, &k, other_title, title, 0x30), DLMS_E_TITLE);
        k.has_ek = false;
        CU_ASSERT_EQUAL(open_with(c, &k, title, title, 0x30), DLMS_E_KEY_MISSING);
        dlms_crypto_free(c);
}

static void security_refuses(void)
{
        struct dlms_crypto *c = dlms_crypto_new();
        struct dlms_keys k = test_keys();
        struct dlms_protection prot;
        uint8_t b[32] = { 0 }, *p;
        size_t n;

        CU_ASSERT_EQUAL(dlms_open(c, &k, false, title, NULL, b, 4, &prot, &p, &n),
                        DLMS_E_TRUNCATED);
        b[0] = 0x33;
        CU_ASSERT_EQUAL(dlms_open(c, &k, false, title, NULL, b, 32, &prot, &p, &n),
                        DLMS_E_SECURITY);
        b[0] = 0x30;
        CU_ASSERT_EQUAL(dlms_open(c, &k, false, title, NULL, b, 16, &prot, &p, &n),
                        DLMS_E_TRUNCATED);
        CU_ASSERT_EQUAL(dlms_protect(c, &k, false, 0x30, title, 1, b, 8, b, 20, &n),
                        DLMS_E_TOO_LONG);
        CU_ASSERT_EQUAL(dlms_protect(c, &k, true, 0x30, title, 1, b, 8, b, 32, &n),
                        DLMS_E_KEY_MISSING);
        dlms_crypto_free(c);
}

/* Suite 2: 32-byte keys, 12-byte tags all the same. */
static void suite_2(void)
{
        static const uint8_t plain[] = { 0xC5, 0x01, 0xC1, 0x00 };
        struct dlms_crypto *c = dlms_crypto_new();
        struct dlms_keys k = { .suite = 2, .has_ek = true, .has_ak = true }, short_key;
        struct dlms_protection prot;
        uint8_t out[64], *p;
        size_t n, len;

        memset(k.ek, 0x31, 32);
        memset(k.ak, 0x32, 32);
        CU_ASSERT_EQUAL(dlms_protect(c, &k, false, 0x32, title, 9, plain, 4, out, sizeof out, &n),
                        0);
        CU_ASSERT_EQUAL(n, 5 + 4 + 12);
        /* Under the first half of the keys it does not open: all 32 bytes count. */
        short_key = k;
        short_key.suite = 0;
        CU_ASSERT(dlms_open(c, &short_key, false, title, NULL, out, n, &prot, &p, &len) != 0);
        CU_ASSERT_EQUAL(dlms_protect(c, &k, false, 0x32, title, 9, plain, 4, out, sizeof out, &n),
                        0);
        CU_ASSERT_EQUAL(dlms_open(c, &k, false, title, NULL, out, n, &prot, &p, &len), 0);
        CU_ASSERT(len == 4 && memcmp(p, plain, 4) == 0);
        dlms_crypto_free(c);
}

static void hls_digests(void)
{
        static const struct {
                enum dlms_auth auth;
                const char *digest;
        } cases[] = {
                { DLMS_AUTH_HLS_MD5, "8F369C7A27366B6052C2CD6D16A27B26" },
                { DLMS_AUTH_HLS_SHA1, "8F53043406BFC6D9686384F5AD2B041DA5A41CB6" },
                { DLMS_AUTH_HLS_SHA256,
                  "5407E1C4C58CE3B0F5B46CD46BA1EB275FBC0A70F8A6261D46C878C9454CA8EB" },
        };
        const uint8_t *ctos = (const uint8_t *)"CHALLENGE-123456";
        const uint8_t *stoc = (const uint8_t *)"SERVERCHALLENGE!";

        for (size_t i = 0; i < 3; i++) {
                uint8_t out[DLMS_CHALLENGE_MAX], expected[DLMS_CHALLENGE_MAX];
                size_t n, len = bytes(cases[i].digest, expected, sizeof expected);

                CU_ASSERT_EQUAL(dlms_hls_digest(cases[i].auth, (const uint8_t *)"secret", 6,
                                                (const uint8_t *)"CLIENT01",
                                                (const uint8_t *)"SERVER01", ctos, 16, stoc, 16,
                                                out, &n),
                                0);
                CU_ASSERT(n == len && memcmp(out, expected, n) == 0);
        }
}

static void key_wrap(void)
{
        uint8_t kek[16], key[16], out[24], back[16];

        bytes("000102030405060708090A0B0C0D0E0F", kek, 16);
        bytes("00112233445566778899AABBCCDDEEFF", key, 16);
        CU_ASSERT_EQUAL(dlms_key_wrap(kek, 16, key, 16, out), 0);
        CU_ASSERT_EQUAL(dlms_key_unwrap(kek, 16, out, 24, back), 0);
        CU_ASSERT(memcmp(key, back, 16) == 0);
        out[3] ^= 1;
        CU_ASSERT_EQUAL(dlms_key_unwrap(kek, 16, out, 24, back), DLMS_E_KEY_WRAP);
        CU_ASSERT_EQUAL(dlms_key_wrap(kek, 16, key, 15, out), DLMS_E_ARGUMENT);
}

/* ---- profile ---- */

static void profile_rows(void)
{
        /* time, status, value; row 2: null for all; row 3: null time, new value; row 4: own time */
        static const char buffer[] = "0104"
                                     "0203"
                                     "090C07EA01010400000000000000"
                                     "1100"
                                     "0600000064"
                                     "0203"
                                     "00"
                                     "00"
                                     "00"
                                     "0203"
                                     "00"
                                     "1108"
                                     "06000000C8"
                                     "0203"
                                     "090C07EA01010402000000000000"
                                     "00"
                                     "00";
        static const int64_t expected[] = { 1767225600, 1767226500, 1767227400, 1767232800 };
        static const int64_t values[] = { 100, 100, 200, 200 }, status[] = { 0, 0, 8, 8 };
        struct profile_columns columns;
        struct profile_reader r;
        struct profile_row row;
        uint8_t b[256];
        size_t n, rows = 0;

        n = bytes("0103"
                  "020412000809060000010000FF0F02120000"
                  "02041200010906000060 0A01FF0F02120000"
                  "020412000309060100011D00FF0F02120000",
                  b, sizeof b);
        CU_ASSERT_EQUAL_FATAL(profile_columns_decode(b, n, &columns), 0);
        CU_ASSERT(columns.n == 3 && columns.clock == 0 && columns.column[2].attr.class_id == 3);
        n = bytes(buffer, b, sizeof b);
        CU_ASSERT_EQUAL_FATAL(profile_reader_init(&r, &columns, 900, b, n), 0);
        while (profile_next(&r, &row) == 1) {
                CU_ASSERT_FATAL(rows < 4);
                CU_ASSERT(row.has_time && row.time == expected[rows]);
                CU_ASSERT_EQUAL(row.value[1].i, status[rows]);
                CU_ASSERT_EQUAL(row.value[2].i, values[rows]);
                rows++;
        }
        CU_ASSERT_EQUAL(rows, 4);
        /* Cut anywhere: an error, never a row too many. */
        for (size_t cut = 0; cut < n; cut++) {
                int e = profile_reader_init(&r, &columns, 900, b, cut), got = 1;

                for (rows = 0; !e && (got = profile_next(&r, &row)) == 1;)
                        rows++;
                CU_ASSERT(e || (got < 0 && rows < 4));
        }
        /* A row of another width than the capture objects is refused. */
        n = bytes("01010202060000000106000000 02", b, sizeof b);
        CU_ASSERT_EQUAL(profile_reader_init(&r, &columns, 900, b, n), 0);
        CU_ASSERT_EQUAL(profile_next(&r, &row), -DLMS_E_TYPE);
}

static void selections(void)
{
        uint8_t out[PROFILE_SELECTION_MAX];
        struct dlms_selection s = profile_select_range(1767225600, 1767312000, 420, out);
        struct profile_range range;

        CU_ASSERT_EQUAL(s.selector, 1);
        CU_ASSERT_EQUAL(axdr_check(s.params, s.n), 0);
        CU_ASSERT_EQUAL(profile_selection_decode(&s, 0, &range), 0);
        CU_ASSERT(!range.by_entry && range.from == 1767225600 && range.to == 1767312000);
        s = profile_select_entries(1, 96, out);
        CU_ASSERT_EQUAL(profile_selection_decode(&s, 0, &range), 0);
        CU_ASSERT(range.by_entry && range.from == 1 && range.to == 96);
        s.selector = 3;
        CU_ASSERT_EQUAL(profile_selection_decode(&s, 0, &range), DLMS_E_ARGUMENT);
}

/* ---- push ---- */

static void push_roundtrip(void)
{
        static struct dlms_object objects[16];
        struct dlms_crypto *c = dlms_crypto_new();
        struct dlms_server_config cfg = {
                .server_sap = 1, .keys = test_keys(), .crypto = c, .max_info = 32
        };
        static const enum dlms_policy policies[] = { DLMS_POLICY_NONE,
                                                     DLMS_POLICY_AUTHENTICATED_ENCRYPTED,
                                                     DLMS_POLICY_ENCRYPTED };
        struct obis energy = OBIS(1, 0, 1, 8, 0, 255);
        uint8_t body[64], apdu[256], framed[512], buf[512], when[12];
        struct axdr_writer w = axdr_writer_of(body, sizeof body);

        memcpy(cfg.title, title, 8);
        axdr_put_structure(&w, 1);
        axdr_put_structure(&w, 3);
        axdr_put_obis(&w, &energy);
        axdr_put_uint32(&w, 12345);
        axdr_put_scaler_unit(&w, -1, 30);
        bytes("07EA0101FF0000000080 0000", when, 12);
        for (int i = 0; i < 6; i++) {
                struct dlms_server_counters counters = { .tx = 77 };
                struct dlms_notification note;
                struct dlms_unpacked u;
                size_t n, len;

                cfg.policy = policies[i / 2];
                cfg.framing = i % 2 ? DLMS_FRAMING_HDLC : DLMS_FRAMING_WRAPPER;
                CU_ASSERT_EQUAL_FATAL(dlms_push_build(&cfg, &counters, 5, when, body, w.len, apdu,
                                                      sizeof apdu, &n),
                                      0);
                CU_ASSERT_EQUAL_FATAL(
                        dlms_push_frame(&cfg, 1, apdu, n, framed, sizeof framed, &len), 0);
                CU_ASSERT_EQUAL_FATAL(
                        dlms_unpack(framed, len, false, c, &cfg.keys, title, buf, sizeof buf, &u),
                        0);
                CU_ASSERT_EQUAL(u.layer, cfg.framing == DLMS_FRAMING_HDLC ? DLMS_LAYER_HDLC
                                                                          : DLMS_LAYER_WRAPPER);
                CU_ASSERT_EQUAL(u.ciphered, cfg.policy != DLMS_POLICY_NONE);
                if (u.ciphered) {
                        CU_ASSERT_EQUAL(u.protection.ic, 77);
                        CU_ASSERT_EQUAL(counters.tx, 78);
                        CU_ASSERT(u.has_title && memcmp(u.title, title, 8) == 0);
                }
                CU_ASSERT_EQUAL(dlms_push_decode(u.apdu, u.apdu_len, &note, objects, 16), 0);
                CU_ASSERT(note.n_objects == 1 && note.has_time && note.invoke_id == 5);
                CU_ASSERT(objects[0].has_obis && objects[0].value.i == 12345);
                CU_ASSERT(objects[0].scaler == -1 && objects[0].unit == 30);
                CU_ASSERT_STRING_EQUAL(dlms_unit_text(objects[0].unit), "Wh");
        }
        dlms_crypto_free(c);
}

static void blocks_never_spliced(void)
{
        static const struct {
                const char *hex;
                int error;
        } cases[] = {
                /* 0F, invoke 4, no time, uint8: in two blocks */
                { "E0 40 0001 0000 03 0F0000"
                  "E0 C0 0002 0000 05 0000001105",
                  0 },
                { "E0 40 0001 0000 03 0F0000"
                  "E0 40 0001 0000 03 0F0000"
                  "E0 C0 0002 0000 05 0000001105",
                  0 },
                { "E0 40 0001 0000 03 0F0000"
                  "E0 C0 0003 0000 05 0000001105",
                  DLMS_E_BLOCK_NUMBER },
                { "E0 C0 0002 0000 05 0000001105", DLMS_E_BLOCK_NUMBER },
                { "E0 40 0001 0000 03 0F0000", DLMS_E_TRUNCATED },
                { "E0 40 0001 0000 7F 0F0000", DLMS_E_TRUNCATED },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                uint8_t in[64], buf[64];
                struct dlms_unpacked u;
                size_t n = bytes(cases[i].hex, in, sizeof in);

                CU_ASSERT_EQUAL(dlms_unpack(in, n, false, NULL, NULL, NULL, buf, sizeof buf, &u),
                                cases[i].error);
                if (!cases[i].error) {
                        CU_ASSERT_EQUAL(u.apdu_len, 8);
                        CU_ASSERT_EQUAL(u.apdu[7], 5);
                }
        }
}

/* One call takes one message: what is behind it is an error, never dropped. */
static void whole_messages(void)
{
        static const char frame[] = "7EA027010201105A87E6E7000F40000000090C07E5031702131A3AFF800000"
                                    "02010600000BF35B057E";
        uint8_t in[256], buf[256];
        struct dlms_unpacked u;
        size_t one = bytes(frame, in, sizeof in), n = one + bytes(frame, in + one, sizeof in - one);

        CU_ASSERT_EQUAL(dlms_unpack(in, one, false, NULL, NULL, NULL, buf, sizeof buf, &u), 0);
        CU_ASSERT_EQUAL(u.used, one);
        CU_ASSERT_EQUAL(dlms_unpack(in, n, false, NULL, NULL, NULL, buf, sizeof buf, &u),
                        DLMS_E_TRAILING);
        CU_ASSERT_EQUAL(dlms_unpack_first(in, n, false, NULL, NULL, NULL, buf, sizeof buf, &u), 0);
        CU_ASSERT_EQUAL(u.used, one);
        /* Flags between and behind frames are no message. */
        in[one] = in[one + 1] = HDLC_FLAG;
        CU_ASSERT_EQUAL(dlms_unpack(in, one + 2, false, NULL, NULL, NULL, buf, sizeof buf, &u), 0);
        n = bytes("00010001001000020E01"
                  "FF",
                  in, sizeof in);
        CU_ASSERT_EQUAL(dlms_unpack(in, n - 1, false, NULL, NULL, NULL, buf, sizeof buf, &u), 0);
        CU_ASSERT_EQUAL(dlms_unpack(in, n, false, NULL, NULL, NULL, buf, sizeof buf, &u),
                        DLMS_E_TRAILING);
        CU_ASSERT_EQUAL(dlms_unpack(in, n - 2, false, NULL, NULL, NULL, buf, sizeof buf, &u),
                        DLMS_E_TRUNCATED);
}

static void exceptions(void)
{
        static const struct {
                const char *hex;
                enum dlms_error error;
        } cases[] = {
                { "D80101", DLMS_E_EXCEPTION_NOT_ALLOWED },
                { "D80102", DLMS_E_EXCEPTION_NOT_SUPPORTED },
                { "D80202", DLMS_E_EXCEPTION_UNKNOWN },
                { "D80105", DLMS_E_EXCEPTION_DECIPHERING },
                { "D80106000001F4", DLMS_E_EXCEPTION_COUNTER },
                { "D80104", DLMS_E_EXCEPTION_TOO_LONG },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct apdu_exception x;
                uint8_t b[8];

                CU_ASSERT_EQUAL(apdu_exception_decode(b, bytes(cases[i].hex, b, 8), &x), 0);
                CU_ASSERT_EQUAL(apdu_exception_error(&x), cases[i].error);
        }
        for (unsigned e = 0; e < DLMS_N_ERRORS; e++) {
                CU_ASSERT(dlms_error_name(e)[0] && dlms_error_text(e)[0]);
                for (unsigned f = 0; f < e; f++)
                        CU_ASSERT(strcmp(dlms_error_text(e), dlms_error_text(f)) != 0);
        }
}

/* The check sequence bit by bit, as the standard defines it, for every length up to two steps. */
static void check_sequences(void)
{
        for (size_t n = 0; n < 40; n++) {
                uint8_t *p = malloc(n ? n : 1);
                uint16_t crc = 0xFFFF;

                for (size_t i = 0; i < n; i++) {
                        p[i] = (uint8_t)(i * 73 + n * 11 + i * i);
                        crc ^= p[i];
                        for (int bit = 0; bit < 8; bit++)
                                crc = (uint16_t)(crc >> 1 ^ (crc & 1 ? 0x8408 : 0));
                }
                CU_ASSERT_EQUAL(hdlc_crc(p, n), (uint16_t)(crc ^ 0xFFFF));
                free(p);
        }
        /* Every entry of every table. */
        for (unsigned at = 0; at < 8; at++)
                for (unsigned v = 0; v < 256; v++) {
                        uint8_t p[8] = { 0 };
                        uint16_t crc = 0xFFFF;

                        p[at] = (uint8_t)v;
                        for (int i = 0; i < 64; i++)
                                crc = (uint16_t)(crc >> 1 ^
                                                 ((crc ^ p[i / 8] >> i % 8) & 1 ? 0x8408 : 0));
                        CU_ASSERT_EQUAL(hdlc_crc(p, 8), (uint16_t)(crc ^ 0xFFFF));
                }
}

HR_TESTS("dlms codecs", { "check sequences", check_sequences }, { "A-XDR numbers, every truncation", axdr_values },
         { "A-XDR refuses", axdr_refuses }, { "compact-array", axdr_compact },
         { "A-XDR writer", axdr_writes }, { "OBIS codes", obis_codes },
         { "date-times, their quirks", times }, { "HDLC frames, every flipped bit", hdlc_codec },
         { "HDLC frames in a stream", hdlc_stream },
         { "wrong key, wrong authentication key, wrong title", secrets_told_apart },
         { "protection that cannot be", security_refuses }, { "security suite 2", suite_2 },
         { "HLS digests", hls_digests }, { "key wrap", key_wrap },
         { "profile rows with null-data", profile_rows }, { "selective access", selections },
         { "pushes built and read", push_roundtrip },
         { "block transfer is never spliced", blocks_never_spliced },
         { "one message a call", whole_messages }, { "exceptions and error names", exceptions })
