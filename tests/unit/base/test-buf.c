#include "arena.h"
#include "buf.h"
#include "civil.h"
#include "crc.h"
#include "hex.h"
#include "hr_test.h"
#include "secret.h"

#include <errno.h>

static void numbers_round_trip(void)
{
        static const int64_t v[] = { 0,   1,   -1,        63,        64,        -64,      -65,
                                     127, 128, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN };
        struct buf b = BUF_INIT;
        struct rd r;

        for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
                buf_put_zigzag(&b, v[i]);
                buf_put_be64(&b, (uint64_t)v[i]);
                buf_put_le32(&b, (uint32_t)v[i]);
                buf_put_be16(&b, (uint16_t)v[i]);
        }
        r = rd_of(b.p, b.len);
        for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
                CU_ASSERT_EQUAL(rd_zigzag(&r), v[i]);
                CU_ASSERT_EQUAL(rd_be64(&r), (uint64_t)v[i]);
                CU_ASSERT_EQUAL(rd_le32(&r), (uint32_t)v[i]);
                CU_ASSERT_EQUAL(rd_be16(&r), (uint16_t)v[i]);
        }
        CU_ASSERT_EQUAL(r.n, 0);
        CU_ASSERT_FALSE(r.failed);
        CU_ASSERT_EQUAL(rd_u8(&r), 0);
        CU_ASSERT_TRUE(r.failed);
        buf_deinit(&b);
}

static void overlong_varint_is_refused(void)
{
        static const uint8_t eleven[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                          0x80, 0x80, 0x80, 0x80, 0x01 };
        static const uint8_t too_big[] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                           0xFF, 0xFF, 0xFF, 0xFF, 0x02 };
        struct rd r = rd_of(eleven, sizeof eleven);

        rd_varint(&r);
        CU_ASSERT_TRUE(r.failed);
        r = rd_of(too_big, sizeof too_big);
        rd_varint(&r);
        CU_ASSERT_TRUE(r.failed);
}

static void limit_holds_and_sticks(void)
{
        struct buf b;

        buf_init_limited(&b, 10);
        buf_put(&b, "0123456789", 10);
        CU_ASSERT_FALSE(b.failed);
        buf_put_u8(&b, 'x');
        CU_ASSERT_TRUE(b.failed);
        CU_ASSERT_EQUAL(b.len, 10);
        buf_reset(&b);
        buf_put_u8(&b, 'y');
        CU_ASSERT_EQUAL(b.len, 1);
        buf_consume(&b, 5);
        CU_ASSERT_EQUAL(b.len, 0);
        buf_deinit(&b);
}

static void json_strings_are_safe(void)
{
        struct buf b = BUF_INIT;

        buf_put_json_str(&b, "a\"b\\c\n\x01\xC3\xA9\xFF\xED\xA0\x80", 13);
        CU_ASSERT_STRING_EQUAL(
                buf_cstr(&b),
                "\"a\\\"b\\\\c\\u000a\\u0001\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
                "\xEF\xBF\xBD\"");
        buf_deinit(&b);
}

static void crc_and_hex(void)
{
        uint8_t out[4];

        /* Check value of CRC-32C: RFC 3720 appendix B.4 and the catalogue's "123456789". */
        CU_ASSERT_EQUAL(crc32c(0, "123456789", 9), 0xE3069283u);
        CU_ASSERT_EQUAL(crc32c(crc32c(0, "12345", 5), "6789", 4), 0xE3069283u);
        CU_ASSERT_EQUAL(hex_decode("0a FF\n10", 8, out, 4), 3);
        CU_ASSERT_EQUAL(memcmp(out, "\x0A\xFF\x10", 3), 0);
        CU_ASSERT_EQUAL(hex_decode("0", 1, out, 4), -EINVAL);
        CU_ASSERT_EQUAL(hex_decode("0g", 2, out, 4), -EINVAL);
        CU_ASSERT_EQUAL(hex_decode("0011223344", 10, out, 4), -ENOSPC);
}

static void civil_dates(void)
{
        char text[CIVIL_RFC3339_SIZE];
        int64_t t;
        bool zone;

        for (int64_t d = -800000; d < 800000; d += 37) {
                int y, m, day;

                civil_from_day(d, &y, &m, &day);
                CU_ASSERT_EQUAL(civil_to_day(y, m, day), d);
        }
        CU_ASSERT_EQUAL(civil_weekday(civil_to_day(2026, 11, 23)), 0);
        CU_ASSERT_EQUAL(civil_parse("2024-02-29T23:59:60+07:00", &t, NULL), 0);
        CU_ASSERT_EQUAL(t, 1709225999);
        civil_format(t, 420, text);
        CU_ASSERT_STRING_EQUAL(text, "2024-02-29T23:59:59+07:00");
        CU_ASSERT_EQUAL(civil_parse("2023-02-29T00:00:00Z", &t, NULL), -EINVAL);
        CU_ASSERT_EQUAL(civil_parse("2023-02-28T00:00:00", &t, NULL), -EINVAL);
        CU_ASSERT_EQUAL(civil_parse("2023-02-28 00:00:00.123", &t, &zone), 0);
        CU_ASSERT_FALSE(zone);
        CU_ASSERT_EQUAL(civil_parse("2023-02-28T24:00:00Z", &t, NULL), -EINVAL);
        CU_ASSERT_EQUAL(civil_parse("2023-02-28T00:00:00Zx", &t, NULL), -EINVAL);
}

static void arena_limits(void)
{
        struct arena a;
        char *s;

        arena_init(&a, 100000);
        for (int i = 0; i < 100; i++) {
                s = arena_printf(&a, "%d-%s", i, "abcdefghijklmnopqrstuvwxyz");
                CU_ASSERT_PTR_NOT_NULL_FATAL(s);
                CU_ASSERT_EQUAL((uintptr_t)s % _Alignof(max_align_t), 0);
        }
        CU_ASSERT_PTR_NOT_NULL(arena_alloc(&a, 20000));
        CU_ASSERT_PTR_NULL(arena_alloc(&a, 100000));
        CU_ASSERT_PTR_NULL(arena_alloc(&a, SIZE_MAX));
        arena_deinit(&a);
}

static void secrets_wipe(void)
{
        struct secret s = { 0 };
        uint8_t big[SECRET_MAX + 1] = { 0 };

        CU_ASSERT_TRUE(secret_set(&s, "key", 3));
        CU_ASSERT_FALSE(secret_set(&s, big, sizeof big));
        CU_ASSERT_EQUAL(s.len, 3);
        CU_ASSERT_TRUE(secret_equal(s.bytes, "key", 3));
        CU_ASSERT_FALSE(secret_equal(s.bytes, "kez", 3));
        secret_wipe(&s);
        CU_ASSERT_EQUAL(s.len, 0);
        CU_ASSERT_EQUAL(s.bytes[0], 0);
}

HR_TESTS("buf", { "numbers round trip", numbers_round_trip },
         { "overlong varints are refused", overlong_varint_is_refused },
         { "the limit holds and the error sticks", limit_holds_and_sticks },
         { "JSON strings are safe", json_strings_are_safe },
         { "CRC-32C and hexadecimal", crc_and_hex }, { "civil dates", civil_dates },
         { "arena limits", arena_limits }, { "secrets wipe", secrets_wipe })
