#pragma once

/*
 * One CUnit program a component: HR_TESTS(name, { "what it shows", function }, ...) makes main().
 * Exit 0 all passed, 1 some failed, 77 skipped (meson's convention).
 */

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hr_test {
        const char *what;
        void (*run)(void);
};

static inline int hr_test_main(const char *suite, const struct hr_test *tests, size_t n)
{
        CU_pSuite s;
        unsigned failed;

        if (CU_initialize_registry() != CUE_SUCCESS)
                return 1;
        s = CU_add_suite(suite, NULL, NULL);
        for (size_t i = 0; s && i < n; i++)
                if (!CU_add_test(s, tests[i].what, tests[i].run))
                        return 1;
        CU_basic_set_mode(CU_BRM_VERBOSE);
        CU_basic_run_tests();
        failed = CU_get_number_of_tests_failed() + CU_get_number_of_suites_failed() +
                 (CU_get_number_of_asserts() == 0);
        CU_cleanup_registry();
        return failed ? 1 : 0;
}

#define HR_TESTS(suite, ...)                                                                       \
        int main(void)                                                                             \
        {                                                                                          \
                static const struct hr_test tests_[] = { __VA_ARGS__ };                            \
                return hr_test_main(suite, tests_, sizeof tests_ / sizeof *tests_);                \
        }

/* Path below the shared data folder, or exits 77 with a word when it is not on this machine. */
static inline const char *hr_shared(const char *file)
{
        static char path[4096];
        const char *dir = getenv("HEADRACE_SHARED");
        FILE *f;

        snprintf(path, sizeof path, "%s/%s", dir ? dir : "../shared", file);
        f = fopen(path, "rb");
        if (!f) {
                printf("SKIP: %s is not on this machine\n", path);
                exit(77);
        }
        fclose(f);
        return path;
}
