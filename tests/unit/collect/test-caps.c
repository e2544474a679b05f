/* The limit on disconnections: counted on disk, over restarts, torn ends and damage. */
#include "hr_test.h"

#include <errno.h>
#include <unistd.h>

#include "caps.h"

#define NOW 1790812800

static char path[] = "/tmp/hr-caps-XXXXXX";

static struct caps *open_at(unsigned hour, unsigned day, int64_t now)
{
        struct caps *c = NULL;

        CU_ASSERT_EQUAL_FATAL(caps_open(&c, path, hour, day, now), 0);
        return c;
}

static void begin(void)
{
        close(mkstemp(path));
        unlink(path);
}

static void limits(void)
{
        struct caps *c = open_at(3, 5, NOW);
        char why[160];
        int32_t wait = 0;

        for (int i = 1; i <= 3; i++)
                CU_ASSERT_EQUAL(caps_take(c, i, NOW + i), 0);
        CU_ASSERT_EQUAL(caps_take(c, 2, NOW + 10), 0); /* the same command counts once */
        CU_ASSERT_EQUAL(caps_take(c, 4, NOW + 10), -EBUSY);
        CU_ASSERT_FALSE(caps_allow(c, 4, NOW + 10, &wait, why, sizeof why));
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "an hour"));
        CU_ASSERT_EQUAL(wait, 3600 - 9 + 1);
        CU_ASSERT_EQUAL(caps_take(c, 4, NOW + 10 + wait), 0); /* the first is an hour old */
        caps_close(c);
        /* After a restart they still count. */
        c = open_at(3, 5, NOW + 3700);
        CU_ASSERT_EQUAL(caps_take(c, 5, NOW + 3700), 0);
        CU_ASSERT_FALSE(caps_allow(c, 6, NOW + 3 * 3600, &wait, why, sizeof why));
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "a day"));
        CU_ASSERT_TRUE(caps_allow(c, 6, NOW + 86402, &wait, why, sizeof why));
        caps_close(c);
        c = open_at(0, 100, NOW + 90000);
        CU_ASSERT_EQUAL(caps_take(c, 9, NOW + 90000), -EBUSY); /* none at all */
        caps_close(c);
}

static void damage(void)
{
        struct caps *c = open_at(10, 10, NOW);
        char why[160];
        int32_t wait;
        long size;
        FILE *f;

        for (int i = 20; i < 25; i++)
                CU_ASSERT_EQUAL(caps_take(c, i, NOW), 0);
        caps_close(c);
        f = fopen(path, "r+b");
        fseek(f, 0, SEEK_END);
        size = ftell(f);
        CU_ASSERT_EQUAL(ftruncate(fileno(f), size - 7), 0); /* torn: the last was not sent */
        fclose(f);
        c = open_at(4, 10, NOW);
        CU_ASSERT_FALSE(caps_allow(c, 99, NOW, &wait, why, sizeof why));
        CU_ASSERT_TRUE(caps_allow(c, 23, NOW, &wait, why, sizeof why));
        CU_ASSERT_FALSE(caps_allow(c, 24, NOW, &wait, why, sizeof why));
        caps_close(c);
        f = fopen(path, "r+b");
        fseek(f, 9, SEEK_SET);
        fputc(0xFF, f);
        fclose(f);
        CU_ASSERT_EQUAL(caps_open(&c, path, 4, 10, NOW), -EBADMSG);
        unlink(path);
}

HR_TESTS("limit on disconnections", { "a file", begin }, { "an hour and a day", limits },
         { "torn and damaged", damage })
