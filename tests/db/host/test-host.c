#include "host_fixture.h"
#include "hr_test.h"

static struct fixture *f;

static void test_login(void)
{
        char *reply;

        CU_ASSERT_EQUAL(host_bootstrap_admin(fixture_host(f), "ada", "short"), -22);
        CU_ASSERT_EQUAL(host_bootstrap_admin(fixture_host(f), "ada", "correct horse battery"), 0);
        CU_ASSERT_EQUAL(host_bootstrap_admin(fixture_host(f), "bob", "correct horse battery"), 1);
        CU_ASSERT_EQUAL(fixture_call(f, "auth.login",
                                     "{\"user\":\"ada\",\"password\":\"correct horse battery\"}",
                                     &reply),
                        200);
        CU_ASSERT_EQUAL(strlen(fixture_json(f, reply, "token")), 67);
        CU_ASSERT_EQUAL(
                fixture_call(f, "auth.login", "{\"user\":\"ada\",\"password\":\"wrong\"}", &reply),
                401);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "code"), "login_refused");
        CU_ASSERT_EQUAL(fixture_call_as(f, "ada", "auth.me", NULL, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "user"), "ada");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "grants.0.permissions"), "*");
        for (int i = 0; i < 5; i++)
                fixture_call(f, "auth.login", "{\"user\":\"eve\",\"password\":\"wrong\"}", &reply);
        CU_ASSERT_EQUAL(
                fixture_call(f, "auth.login", "{\"user\":\"eve\",\"password\":\"wrong\"}", &reply),
                429);
}

static void test_status(void)
{
        char *reply;

        CU_ASSERT_EQUAL(fixture_call(f, "status.show", NULL, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "ok");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "components.database.state"), "ok");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "components.plugins.plugins.0.name"), "host");
}

static void open_host(void)
{
        f = fixture_new(NULL);
        CU_ASSERT_PTR_NOT_NULL(f);
}

static void close_host(void)
{
        fixture_free(f);
        CU_PASS("closed");
}

HR_TESTS("host", { "a host starts", open_host },
         { "logins, the first one and wrong ones", test_login },
         { "status names every component", test_status }, { "a host ends", close_host })
