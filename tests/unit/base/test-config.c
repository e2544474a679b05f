#include "config.h"
#include "hr_test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct config_key api_keys[] = {
        { "listen", CONFIG_TEXT, "127.0.0.1", "Address", NULL, 0, 0 },
        { "port", CONFIG_INT, "8080", "Port", NULL, 1, 65535 },
        { "tls", CONFIG_BOOL, "no", "TLS", NULL, 0, 0 },
        { "idle", CONFIG_DURATION, "30s", "Idle limit", NULL, 1000, 3600000 },
        { "body_limit", CONFIG_SIZE, "1M", "Largest body", NULL, 0, 0 },
        { "level", CONFIG_ENUM, "info", "Log level", "error|warn|info|debug", 0, 0 },
        { "secret", CONFIG_SECRET, NULL, "Master key", NULL, 0, 0 },
        { NULL, CONFIG_TEXT, NULL, NULL, NULL, 0, 0 },
};
static const struct config_section sections[] = {
        { "api", "HTTP", api_keys },
        { NULL, NULL, NULL },
};

static char dir[] = "/tmp/hrconf.XXXXXX";

static const char *put(const char *name, const char *text)
{
        static char path[256];
        FILE *f;

        if (strstr(dir, "XXXXXX"))
                CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/%s", dir, name);
        f = fopen(path, "w");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        fputs(text, f);
        fclose(f);
        return path;
}

static void values_and_defaults(void)
{
        struct buf errors = BUF_INIT;
        struct config *c;

        CU_ASSERT_EQUAL_FATAL(
                config_load(&c,
                            put("a.conf", "# comment\n[api]\nport = 9000 # why\nidle=2m\n"
                                          "listen = \"a # b\"\nbody_limit = 64K\n"),
                            sections, &errors),
                0);
        CU_ASSERT_EQUAL(config_int(c, "api", "port"), 9000);
        CU_ASSERT_EQUAL(config_int(c, "api", "idle"), 120000);
        CU_ASSERT_EQUAL(config_int(c, "api", "body_limit"), 65536);
        CU_ASSERT_STRING_EQUAL(config_text(c, "api", "listen"), "a # b");
        CU_ASSERT_STRING_EQUAL(config_text(c, "api", "level"), "info");
        CU_ASSERT_FALSE(config_bool(c, "api", "tls"));
        CU_ASSERT_PTR_NULL(config_text(c, "api", "secret"));
        config_free(c);
        buf_deinit(&errors);
}

/* Every kind of mistake, each named with its line; all of them in one go. */
static void every_mistake_is_named(void)
{
        struct buf errors = BUF_INIT;
        struct config *c = NULL;
        const char *text;

        put("b.conf", "stray = 1\n[api]\nprot = 80\nport = 70000\nport = x\ntls = maybe\nidle = 5\n"
                      "level = loud\nnonsense\nlisten = \"open\n[apo]\nport = 1\n");
        CU_ASSERT_EQUAL(
                config_load(&c,
                            put("b.conf", "stray = 1\n[api]\nprot = 80\nport = 70000\nport = x\n"
                                          "tls = maybe\nidle = 5\nlevel = loud\nnonsense\n"
                                          "listen = \"open\n[apo]\nport = 1\n"),
                            sections, &errors),
                -EINVAL);
        text = buf_cstr(&errors);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "b.conf:1: a key stands before the first [section]"));
        CU_ASSERT_PTR_NOT_NULL(strstr(
                text, "b.conf:3: there is no key \"prot\" in [api]; did you mean \"port\"?"));
        CU_ASSERT_PTR_NOT_NULL(
                strstr(text, "b.conf:4: port: 70000 is out of range; allowed are 1 to 65535"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "b.conf:5: port: \"x\" is not a whole number"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "b.conf:6: tls: \"maybe\" is not true or false"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "b.conf:7: idle: \"5\" is not a duration"));
        CU_ASSERT_PTR_NOT_NULL(
                strstr(text, "b.conf:8: level: \"loud\" is none of error|warn|info|debug"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "b.conf:9: \"nonsense\" is neither"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "b.conf:10: the quotes"));
        CU_ASSERT_PTR_NOT_NULL(
                strstr(text, "b.conf:11: there is no section [apo]; did you mean [api]?"));
        CU_ASSERT_PTR_NULL(strstr(text, "b.conf:12"));
        buf_deinit(&errors);
}

static void missing_file_and_secret(void)
{
        struct buf errors = BUF_INIT;
        struct config *c;

        CU_ASSERT_EQUAL(config_load(&c, "/nonexistent/h.conf", sections, &errors), -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&errors), "/nonexistent/h.conf:0: cannot read it"));
        buf_reset(&errors);
        CU_ASSERT_EQUAL(config_load(&c, put("c.conf", "[api]\nsecret = @/nonexistent/key\n"),
                                    sections, &errors),
                        -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&errors), "no credential"));
        buf_reset(&errors);
        put("key", "hunter2\n");
        setenv("CREDENTIALS_DIRECTORY", dir, 1);
        CU_ASSERT_EQUAL_FATAL(
                config_load(&c, put("c.conf", "[api]\nsecret = @key\n"), sections, &errors), 0);
        CU_ASSERT_STRING_EQUAL(config_text(c, "api", "secret"), "hunter2");
        config_free(c);
        buf_deinit(&errors);
}

static void conf_d_replaces(void)
{
        struct buf errors = BUF_INIT;
        struct config *c;
        char sub[256];

        snprintf(sub, sizeof sub, "%s/conf.d", dir);
        mkdir(sub, 0700);
        put("conf.d/10-a.conf", "[api]\nport = 1001\n");
        put("conf.d/20-b.conf", "[api]\nport = 1002\n");
        put("conf.d/30-no.txt", "rubbish");
        CU_ASSERT_EQUAL_FATAL(
                config_load(&c, put("d.conf", "[api]\nport = 1000\n"), sections, &errors), 0);
        CU_ASSERT_EQUAL(config_int(c, "api", "port"), 1002);
        config_free(c);
        unlink(put("conf.d/10-a.conf", ""));
        unlink(put("conf.d/20-b.conf", ""));
        buf_deinit(&errors);
}

static bool knows_rate(void *arg, const char *key)
{
        (void)arg;
        return strcmp(key, "rate") == 0;
}

static void plugin_sections(void)
{
        struct buf errors = BUF_INIT;
        struct config *c;

        CU_ASSERT_EQUAL_FATAL(
                config_load(&c, put("e.conf", "[plugin vee]\nrate = 3\nrat = 4\n[api]\nport=5\n"),
                            sections, &errors),
                0);
        CU_ASSERT_STRING_EQUAL(config_plugin_text(c, "vee", "rate"), "3");
        CU_ASSERT_PTR_NULL(config_plugin_text(c, "vee", "other"));
        config_plugin_check(c, "vee", knows_rate, NULL, &errors);
        CU_ASSERT_PTR_NOT_NULL(
                strstr(buf_cstr(&errors), "e.conf:3: plugin \"vee\" has no key \"rat\""));
        CU_ASSERT_PTR_NULL(strstr(buf_cstr(&errors), "e.conf:2"));
        config_free(c);
        buf_deinit(&errors);
}

static void description_loads_again(void)
{
        struct buf text = BUF_INIT, errors = BUF_INIT;
        struct config *c;

        config_describe(sections, &text);
        CU_ASSERT_EQUAL_FATAL(config_load(&c, put("f.conf", buf_cstr(&text)), sections, &errors),
                              0);
        config_free(c);
        buf_deinit(&text);
        buf_deinit(&errors);
}

HR_TESTS("config", { "values, defaults, comments, quotes, units", values_and_defaults },
         { "every mistake is named with its line", every_mistake_is_named },
         { "missing file, secret from a credential", missing_file_and_secret },
         { "conf.d replaces in name order", conf_d_replaces },
         { "plugin sections are kept and checked later", plugin_sections },
         { "the described file loads", description_loads_again })
