#include "masterkey.h"
#include "hr_test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static void made_once_and_kept(void)
{
        char dir[] = "/tmp/hrkey.XXXXXX", path[64];
        struct secret a = { 0 }, b = { 0 };
        struct buf error = BUF_INIT;
        struct stat st;

        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/master.key", dir);
        CU_ASSERT_EQUAL(masterkey_load(&a, NULL, dir, &error), 0);
        CU_ASSERT_EQUAL(a.len, MASTERKEY_SIZE);
        CU_ASSERT_EQUAL(stat(path, &st), 0);
        CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
        CU_ASSERT_EQUAL(masterkey_load(&b, NULL, dir, &error), 0);
        CU_ASSERT_TRUE(secret_equal(a.bytes, b.bytes, MASTERKEY_SIZE));
        CU_ASSERT_EQUAL(chmod(path, 0644), 0);
        CU_ASSERT_EQUAL(masterkey_load(&b, NULL, dir, &error), -EPERM);
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&error), "chmod 600"));
        unlink(path);
        rmdir(dir);
        buf_deinit(&error);
}

static void from_text(void)
{
        struct buf error = BUF_INIT;
        struct secret k = { 0 };

        CU_ASSERT_EQUAL(
                masterkey_load(&k,
                               "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
                               "/", &error),
                0);
        CU_ASSERT_EQUAL(k.bytes[31], 0x1f);
        CU_ASSERT_EQUAL(masterkey_load(&k, "0001", "/", &error), -EINVAL);
        CU_ASSERT_EQUAL(masterkey_load(&k, "zz", "/", &error), -EINVAL);
        /* The text itself is never repeated. */
        CU_ASSERT_PTR_NULL(strstr(buf_cstr(&error), "0001"));
        buf_deinit(&error);
}

HR_TESTS("masterkey", { "made once, kept, private", made_once_and_kept },
         { "from text", from_text })
