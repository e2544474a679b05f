#include "hr_test.h"
#include "key.h"

static void test_sealed_keys(void)
{
        struct secret master = { .len = KEY_MASTER_SIZE }, other = { .len = KEY_MASTER_SIZE };
        struct secret key, back = { .len = 0 };
        uint8_t a[KEY_SEALED_MAX], b[KEY_SEALED_MAX];
        size_t n;

        memset(master.bytes, 1, sizeof master.bytes);
        memset(other.bytes, 2, sizeof other.bytes);
        for (uint8_t len = 1; len <= SECRET_MAX; len++) {
                memset(&key, 0, sizeof key);
                for (uint8_t i = 0; i < len; i++)
                        key.bytes[i] = (uint8_t)(i * 3 + len);
                key.len = len;
                n = key_seal(&master, 7, "guek", &key, a);
                CU_ASSERT_EQUAL_FATAL(n, 29u + len);
                CU_ASSERT_EQUAL(key_seal(&master, 7, "guek", &key, b), n);
                CU_ASSERT_NOT_EQUAL(memcmp(a, b, n), 0); /* a nonce is used once */
                CU_ASSERT_TRUE(key_open(&master, 7, "guek", a, n, &back));
                CU_ASSERT_TRUE(back.len == len && !memcmp(back.bytes, key.bytes, len));
        }
        CU_ASSERT_FALSE(key_open(&master, 8, "guek", a, n, &back)); /* another meter's row */
        CU_ASSERT_EQUAL(back.len, 0);
        CU_ASSERT_FALSE(key_open(&master, 7, "gak", a, n, &back));
        CU_ASSERT_FALSE(key_open(&other, 7, "guek", a, n, &back));
        for (size_t i = 0; i < n; i++) {
                a[i] ^= 1;
                CU_ASSERT_FALSE(key_open(&master, 7, "guek", a, n, &back));
                a[i] ^= 1;
                CU_ASSERT_FALSE(key_open(&master, 7, "guek", a, i, &back));
        }
        key.len = 0;
        CU_ASSERT_EQUAL(key_seal(&master, 7, "guek", &key, a), 0);
        master.len = 16;
        key.len = 4;
        CU_ASSERT_EQUAL(key_seal(&master, 7, "guek", &key, a), 0);
}

HR_TESTS("store.key",
         { "a sealed key opens for its meter, kind and master key only", test_sealed_keys })
