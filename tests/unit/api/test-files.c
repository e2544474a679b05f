#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "hr_test.h"

static char dir[] = "/tmp/hrfilesXXXXXX";

static void put(const char *name, const char *text)
{
        char path[128];
        FILE *f;

        snprintf(path, sizeof path, "%s/%s", dir, name);
        f = fopen(path, "w");
        if (!f)
                exit(1);
        fputs(text, f);
        fclose(f);
}

static void setup(void)
{
        char path[128];

        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/web", dir);
        mkdir(path, 0755);
        snprintf(path, sizeof path, "%s/web/assets", dir);
        mkdir(path, 0755);
        put("secret.txt", "secret");
        put("web/index.html", "index");
        put("web/app.js", "app");
        put("web/app.js.gz", "zipped");
        put("web/assets/x-0123abcd.css", "css");
        put("web/empty.txt", "");
        put("web/.hidden", "hidden");
        snprintf(path, sizeof path, "%s/web/link.txt", dir);
        CU_ASSERT_EQUAL(symlink("../secret.txt", path), 0);
        snprintf(path, sizeof path, "%s/web/up", dir);
        CU_ASSERT_EQUAL(symlink("..", path), 0);
        strcat(strcpy(path, dir), "/web");
}

static int get(const char *path, bool gzip, struct file *f)
{
        char web[64];

        snprintf(web, sizeof web, "%s/web", dir);
        return file_read(web, path, gzip, f);
}

static bool is(const char *path, bool gzip, const char *text)
{
        struct file f;
        int r = get(path, gzip, &f);
        bool same = !r && f.body.len == strlen(text) &&
                    !memcmp(f.body.p ? f.body.p : (uint8_t *)"", text, f.body.len);

        file_deinit(&f);
        return same;
}

static void test_serves(void)
{
        struct file f;

        CU_ASSERT_TRUE(is("/", false, "index"));
        CU_ASSERT_TRUE(is("/customers/7", false, "index"));
        CU_ASSERT_TRUE(is("/app.js", false, "app"));
        CU_ASSERT_TRUE(is("/app.js", true, "zipped"));
        CU_ASSERT_TRUE(is("/index.html", true, "index"));
        CU_ASSERT_TRUE(is("/empty.txt", false, ""));
        CU_ASSERT_EQUAL(get("/assets/x-0123abcd.css", false, &f), 0);
        CU_ASSERT_TRUE(f.immutable);
        CU_ASSERT_STRING_EQUAL(f.content_type, "text/css; charset=utf-8");
        CU_ASSERT_EQUAL(f.etag[0], '"');
        file_deinit(&f);
        CU_ASSERT_EQUAL(get("/app.js", false, &f), 0);
        CU_ASSERT_FALSE(f.immutable);
        file_deinit(&f);
        CU_ASSERT_EQUAL(get("/nothing.js", false, &f), -ENOENT);
        file_deinit(&f);
}

static void test_traversal(void)
{
        static const char *const paths[] = {
                "/../secret.txt",
                "/assets/../../secret.txt",
                "/./../secret.txt",
                "//../secret.txt",
                "/%2e%2e/secret.txt",
                "/..%2fsecret.txt",
                "/link.txt",
                "/up/secret.txt",
                "/.hidden",
                "/assets/../app.js",
                "/\\..\\secret.txt",
                "secret.txt",
                "../secret.txt",
                "/assets/",
                "/a/b/c/d/e/f/g/h/i/j.txt",
                "/app.js/x.txt",
                "/%00.txt",
                "",
        };

        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
                struct file f;
                int r = get(paths[i], false, &f);

                /* Refused, or the console's page: never anything else. */
                CU_ASSERT_TRUE(r == -ENOENT || (f.body.len == 5 && !memcmp(f.body.p, "index", 5)));
                file_deinit(&f);
        }
}

static void cleanup(void)
{
        char command[64];

        snprintf(command, sizeof command, "rm -r %s", dir);
        CU_ASSERT_EQUAL(system(command), 0);
}

HR_TESTS("api files", { "a folder is made", setup }, { "files, pages, compression", test_serves },
         { "nothing outside of the folder", test_traversal }, { "and removed", cleanup })
