/* Every shared bill file through the engine: nothing may fail or be left out. */

#include "hr_test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tariff_cases.h"

static void run_file(const char *file, unsigned long least)
{
        const char *path = hr_shared(file);
        char *text = NULL, *last;
        size_t n = 0;
        unsigned long passed = 0, failed = 1, unsupported = 1;
        FILE *out = open_memstream(&text, &n);

        CU_ASSERT_EQUAL(tariff_cases_run(path, out), 0);
        fclose(out);
        last = strrchr(text, '\n');
        while (last > text && last[-1] != '\n')
                last--;
        CU_ASSERT_EQUAL(sscanf(last, "%lu passed, %lu failed, %lu unsupported", &passed, &failed,
                               &unsupported),
                        3);
        CU_ASSERT(passed >= least && failed == 0 && unsupported == 0);
        if (failed || unsupported)
                fputs(text, stdout);
        free(text);
}

static void published(void)
{
        run_file("bills/published.json", 39);
}

static void derived(void)
{
        run_file("bills/derived.json", 28);
}

static void water(void)
{
        run_file("bills/water_owrs.json", 252);
}

static void engine(void)
{
        run_file("bills/engine.json", 33);
}

/* Random rates of the American database, computed by the reference engine: tiers of every unit,
 * ratchets, five ways of metering, minimums. The interval data is the shared one. */
static void reference(void)
{
        char folder[] = "/tmp/hr-cases-XXXXXX", file[4096], to[64], usage[4096], *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);

        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
        snprintf(usage, sizeof(usage), "%s", hr_shared("bills/usage/res_60min_8760.csv"));
        *strrchr(usage, '/') = '\0';
        CU_ASSERT_PTR_NOT_NULL_FATAL(realpath(usage, file));
        snprintf(to, sizeof(to), "%s/usage", folder);
        CU_ASSERT_EQUAL(symlink(file, to), 0);
        snprintf(file, sizeof(file), "%s/tests/unit/rating/reference.json",
                 getenv("HEADRACE_SOURCE"));
        snprintf(to, sizeof(to), "%s/cases.json", folder);
        CU_ASSERT_EQUAL(symlink(file, to), 0);
        CU_ASSERT_EQUAL(tariff_cases_run(to, out), 0);
        fclose(out);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "44 passed, 0 failed, 0 unsupported\n"));
        if (!strstr(text, " 0 failed, 0 unsupported"))
                fputs(text, stdout);
        free(text);
        remove(to);
        snprintf(to, sizeof(to), "%s/usage", folder);
        remove(to);
        rmdir(folder);
}

/* Other words for the same rules, units, conditions; what must be refused. */
static void words(void)
{
        char path[512], *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n);

        snprintf(path, sizeof(path), "%s/tests/unit/rating/words.json", getenv("HEADRACE_SOURCE"));
        CU_ASSERT_EQUAL(tariff_cases_run(path, out), 1);
        fclose(out);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "unit sen/kWh, of which the usage says nothing"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "a charge per kW without contract_kw"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "21 passed, 0 failed, 2 unsupported\n"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "must be above the limit of the tier before"));
        if (!strstr(text, " 0 failed, 2 unsupported"))
                fputs(text, stdout);
        free(text);
}

/* The runner itself must see a wrong bill, an unknown kind and a file that is none. */
static void finds_what_is_wrong(void)
{
        static const char cases[] = "[{\"id\":\"right\",\"currency\":\"USD\",\"tolerance\":0.005,"
                                    "\"rounding\":\"each line half-up to minor unit\","
                                    "\"tariff\":{\"components\":[{\"type\":\"rate\",\"code\":\"e\","
                                    "\"rate\":0.5}]},\"usage\":{\"kwh\":3},"
                                    "\"expected\":{\"lines\":[{\"code\":\"e\",\"qty\":3,\"rate\":0."
                                    "5,\"amount\":1.5}],\"total\":1.5}},"
                                    "{\"id\":\"wrong\",\"currency\":\"USD\",\"tolerance\":0.005,"
                                    "\"rounding\":\"each line half-up to minor unit\","
                                    "\"tariff\":{\"components\":[{\"type\":\"rate\",\"code\":\"e\","
                                    "\"rate\":0.5}]},\"usage\":{\"kwh\":3},"
                                    "\"expected\":{\"lines\":[{\"code\":\"e\",\"amount\":1.51}]}},"
                                    "{\"id\":\"unlisted\",\"currency\":\"USD\",\"tolerance\":0.005,"
                                    "\"rounding\":\"each line half-up to minor unit\","
                                    "\"tariff\":{\"components\":[{\"type\":\"rate\",\"code\":\"e\","
                                    "\"rate\":0.5},{\"type\":\"fixed\",\"code\":"
                                    "\"f\",\"amount\":1}]},\"usage\":{\"kwh\":3},\"expected\":{"
                                    "\"lines\":[{\"code\":\"e\",\"amount\":1.5}]}},"
                                    "{\"id\":\"new\",\"currency\":\"USD\",\"tolerance\":0.005,"
                                    "\"rounding\":\"each line half-up to minor unit\","
                                    "\"tariff\":{\"components\":[{\"type\":\"lottery\",\"code\":"
                                    "\"e\"}]},\"usage\":{\"kwh\":3},\"expected\":{}}]";
        char name[] = "/tmp/hr-cases-XXXXXX", *text = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&text, &n), *f;
        int fd = mkstemp(name);

        CU_ASSERT_FATAL(fd >= 0);
        f = fdopen(fd, "w");
        fputs(cases, f);
        fclose(f);
        CU_ASSERT_EQUAL(tariff_cases_run(name, out), 1);
        CU_ASSERT_EQUAL(tariff_cases_run("/nonexistent.json", out), 2);
        fclose(out);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "pass right\n"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "FAIL wrong: line e: amount should be 1.51, is 1.5\n"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "FAIL unlisted: line f of 1 is not expected\n"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "unsupported new: component type lottery\n"));
        CU_ASSERT_PTR_NOT_NULL(strstr(text, "1 passed, 2 failed, 1 unsupported\n"));
        free(text);
        remove(name);
}

/* Rules of regulators in other words than those of the shared files. */
static void knows_rules_in_other_words(void)
{
        static const struct {
                const char *tariff, *usage, *expected, *verdict;
        } t[] = {
                /* limits × 45 / 30 beyond 31 days only */
                { "\"components\":[{\"type\":\"tiered\",\"code\":\"e\",\"tiers\":[{\"upto\":200,"
                  "\"rate\":1},{\"upto\":null,"
                  "\"rate\":2}]}],\"proration\":{\"tier_limits\":\"limit*days/"
                  "30\",\"when\":\"days>31\"}",
                  "{\"kwh\":400,\"days\":45}", "{\"lines\":[],\"total\":500}", "pass" },
                { "\"components\":[{\"type\":\"tiered\",\"code\":\"e\",\"tiers\":[{\"upto\":200,"
                  "\"rate\":1},{\"upto\":null,"
                  "\"rate\":2}]}],\"proration\":{\"tier_limits\":\"limit*days/"
                  "30\",\"when\":\"days>31\"}",
                  "{\"kwh\":400,\"days\":31}", "{\"lines\":[],\"total\":600}", "pass" },
                /* 50 × 20/30 × 2 households = 66.67 -> 67 */
                { "\"components\":[{\"type\":\"tiered\",\"code\":\"e\",\"tiers\":[{\"upto\":50,"
                  "\"rate\":1},{\"upto\":null,"
                  "\"rate\":2}]}],\"proration\":{\"tier_limits\":\"round(limit*days/"
                  "30*households)\",\"always\":true}",
                  "{\"kwh\":100,\"days\":20,\"households\":2}", "{\"lines\":[],\"total\":133}",
                  "pass" },
                { "\"components\":[{\"type\":\"fixed\",\"code\":\"f\",\"amount\":30,\"proration\":"
                  "\"days/30\"}]",
                  "{\"days\":20}", "{\"lines\":[{\"code\":\"f\",\"amount\":20}]}", "pass" },
                { "\"components\":[{\"type\":\"demand\",\"code\":\"d\",\"rate\":2},{\"type\":"
                  "\"rate\",\"code\":\"e\",\"rate\":"
                  "0.1}]",
                  "{\"peak_kw\":12,\"kwh\":50}", "{\"lines\":[],\"total\":29}", "pass" },
                { "\"components\":[{\"type\":\"tiered\",\"code\":\"e\",\"tiers\":[{\"upto\":null,"
                  "\"rate\":1}]}],\"proration\":"
                  "{\"tier_limits\":\"limit*moons\"}",
                  "{\"kwh\":1}", "{\"total\":1}", "unsupported a: proration rule \"limit*moons\"" },
        };

        for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
                char name[] = "/tmp/hr-cases-XXXXXX", *text = NULL;
                size_t n = 0;
                FILE *out = open_memstream(&text, &n), *f = fdopen(mkstemp(name), "w");

                CU_ASSERT_PTR_NOT_NULL_FATAL(f);
                fprintf(f,
                        "[{\"id\":\"a\",\"currency\":\"USD\",\"tolerance\":0.005,\"rounding\":"
                        "\"each line half-up to minor "
                        "unit\",\"tariff\":{%s},\"usage\":%s,\"expected\":%s}]",
                        t[i].tariff, t[i].usage, t[i].expected);
                fclose(f);
                tariff_cases_run(name, out);
                fclose(out);
                if (strncmp(text, t[i].verdict, strlen(t[i].verdict)) != 0)
                        printf("\ncase %zu: %s", i, text);
                CU_ASSERT(strncmp(text, t[i].verdict, strlen(t[i].verdict)) == 0);
                free(text);
                remove(name);
        }
}

HR_TESTS("tariff cases", { "finds what is wrong", finds_what_is_wrong },
         { "knows rules in other words", knows_rules_in_other_words }, { "words", words },
         { "reference", reference }, { "published", published }, { "derived", derived },
         { "water", water }, { "engine", engine })
