/* The service plugin on a real database: types as data, one thread, states, time limit, duplicates.
 */

#include "hr_test.h"
#include "host_fixture.h"

static struct fixture *f;
static char number[64];

static void setup(void)
{
        static const char *const plugins[] = { "crm/customer/customer.so", "crm/service/service.so",
                                               NULL };

        f = fixture_new(plugins);
        fixture_branch(f, 1, "HN", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_branch(f, 2, "CT", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_user(f, "hn", "clerk", "HN");
        fixture_user(f, "ct", "clerk", "CT");
        fixture_exec(f,
                     "insert into crm.party (branch_id, kind, name, phone) values (1, 'person', "
                     "'Nguyễn An', '84912345678');"
                     "insert into crm.account (branch_id, number, party_id) values (1, 'A-1', 1)");
}

/* The fixture keeps the last eight answers, and each look into one is an answer too: copies. */
static int call_as(const char *login, const char *operation, const char *json, char **ret)
{
        static char kept[65536];
        int status = fixture_call_as(f, login, operation, json, ret);

        snprintf(kept, sizeof kept, "%s", *ret);
        *ret = kept;
        return status;
}

static int call(const char *operation, const char *json, char **ret)
{
        return call_as("hn", operation, json, ret);
}

/* @json with a %s for the request's number. */
static int call_number(const char *operation, const char *json, char **ret)
{
        char text[512];

        snprintf(text, sizeof text, "{\"number\":\"%s\"%s%s}", number, *json ? "," : "", json);
        return call(operation, text, ret);
}

static void is(const char *json, const char *path, const char *expected)
{
        const char *got = fixture_json(f, json, path);

        if (strcmp(got, expected) != 0)
                printf("  %s is \"%s\", not \"%s\"\n", path, got, expected);
        CU_ASSERT_STRING_EQUAL(got, expected);
}

static void create(void)
{
        char *reply;

        CU_ASSERT_EQUAL(
                call("request.create",
                     "{\"type\":\"outage\",\"customer\":\"A-1\",\"text\":\"No "
                     "light\",\"channel\":\"callcentre\",\"form\":{\"neighbours\":\"yes\"}}",
                     &reply),
                201);
        snprintf(number, sizeof number, "%s", fixture_json(f, reply, "number"));
        CU_ASSERT_PTR_NOT_NULL(strstr(number, "HN-R"));
        is(reply, "step", "reported");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(
                        f, "select type || ' ' || key from core.event where type like 'request.%'"),
                fixture_sql(f, "select 'request.opened ' || number from crm.request"));
        CU_ASSERT_EQUAL(call_number("request.show", "", &reply), 200);
        is(reply, "thread.0.text", "No light");
        is(reply, "thread.0.actor", "hn");
        is(reply, "thread.0.channel", "callcentre");
        is(reply, "form.neighbours", "yes");
        is(reply, "account", "A-1");
}

static void refusals(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call("request.create", "{\"type\":\"other\",\"text\":\"x\"}", &reply), 422);
        is(reply, "code", "customer_missing");
        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"other\",\"account\":\"A-9\",\"text\":\"x\"}", &reply),
                        422);
        is(reply, "code", "unknown_customer");

        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"nothing\",\"customer\":\"A-1\",\"text\":\"x\"}", &reply),
                        422);
        is(reply, "code", "unknown_type");
        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"meter_fault\",\"customer\":\"A-1\",\"text\":\"x\"}",
                             &reply),
                        422);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "seen is needed"));
        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"outage\",\"customer\":\"A-1\",\"text\":\"x\",\"form\":{"
                             "\"neighbours\":\"maybe\"}}",
                             &reply),
                        422);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "yes, no, unknown"));
        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"outage\",\"customer\":\"A-1\",\"text\":\"x\",\"form\":{"
                             "\"colour\":\"red\"}}",
                             &reply),
                        422);
        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"outage\",\"customer\":\"A-9\",\"text\":\"x\"}", &reply),
                        422);
        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"outage\",\"customer\":\"A-1\",\"text\":\"x\",\"service_"
                             "point\":\"none\"}",
                             &reply),
                        422);
        CU_ASSERT_EQUAL(call_as("ct", "request.create",
                                "{\"type\":\"other\",\"customer\":\"A-1\",\"text\":\"x\"}", &reply),
                        422);
        is(reply, "code", "unknown_customer");
}

static void duplicate(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"outage\",\"customer\":\"1\",\"text\":\"Still dark\"}",
                             &reply),
                        409);
        is(reply, "code", "same_request");
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, number));
        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"outage\",\"customer\":\"1\",\"text\":\"Still "
                             "dark\",\"force\":true}",
                             &reply),
                        201);
        /* of another type, and "other", which no one calls a duplicate */
        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"high_bill\",\"customer\":\"1\",\"text\":\"Too much\"}",
                             &reply),
                        201);
        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"other\",\"customer\":\"1\",\"text\":\"a\"}", &reply),
                        201);
        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"other\",\"customer\":\"1\",\"text\":\"b\"}", &reply),
                        201);
}

static void thread(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call_number("request.reply",
                                    "\"text\":\"Crew on its "
                                    "way\",\"channel\":\"field\",\"step\":\"dispatched\"",
                                    &reply),
                        200);
        is(reply, "step", "dispatched");
        is(reply, "thread.1.text", "Crew on its way");
        is(reply, "thread.2.text", "step: dispatched");
        CU_ASSERT_EQUAL(call_number("request.reply", "\"text\":\"x\",\"step\":\"flown\"", &reply),
                        422);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "reported, dispatched, restored"));
        CU_ASSERT_EQUAL(
                call_number("request.reply", "\"text\":\"Ask the boss\",\"internal\":true", &reply),
                200);
        is(reply, "thread.3.kind", "note");
        CU_ASSERT_EQUAL(
                call_number("request.assign", "\"to\":\"tech1\",\"queue\":\"field\"", &reply), 200);
        is(reply, "assigned_to", "tech1");
        CU_ASSERT_EQUAL(call_as("ct", "request.show", "{\"number\":\"HN-R0000001\"}", &reply), 404);
}

static void waiting_stops_the_clock(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call_number("request.reply",
                                    "\"text\":\"Waiting for a part\",\"state\":\"waiting\"",
                                    &reply),
                        200);
        is(reply, "state", "waiting");
        is(reply, "pause_reason", "Waiting for a part");
        fixture_exec(f, "update crm.request set paused_at = paused_at - interval '5 hours', due_at "
                        "= due_at - interval '5 hours' where request_id = 1;");
        CU_ASSERT_EQUAL(call_number("request.reply", "\"text\":\"Part is here\",\"state\":\"open\"",
                                    &reply),
                        200);
        is(reply, "state", "open");
        is(reply, "overdue", "false");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select due_at - opened_at between interval '4 "
                                              "hours' and interval '4 hours 1 minute' "
                                              "from crm.request where request_id = 1"),
                               "t");
}

static void close_and_reopen(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call_number("request.reopen", "\"text\":\"not closed\"", &reply), 409);
        CU_ASSERT_EQUAL(call_number("request.close",
                                    "\"outcome\":\"done\",\"text\":\"Supply is back\"", &reply),
                        200);
        is(reply, "state", "closed");
        is(reply, "step", "restored");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select count(*) from core.event where type = 'request.closed'"),
                "1");
        CU_ASSERT_EQUAL(call_number("request.reply", "\"text\":\"too late\"", &reply), 409);
        CU_ASSERT_EQUAL(call_number("request.close", "", &reply), 409);
        CU_ASSERT_EQUAL(call_number("request.reopen", "\"text\":\"Dark again\"", &reply), 200);
        is(reply, "state", "open");
        is(reply, "reopened", "1");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select count(*) from crm.request where state <> 'closed'"), "5");
}

static void list_and_types(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call("request.list", "{\"state\":\"active\",\"limit\":2}", &reply), 200);
        is(reply, "open", "5");
        is(reply, "items.1.customer_name", "Nguyễn An");
        is(reply, "items.2", "");
        CU_ASSERT_EQUAL(call("request.list", "{\"type\":\"high_bill\"}", &reply), 200);
        is(reply, "items.0.type_name.en", "Bill higher than expected");
        is(reply, "items.1", "");
        CU_ASSERT_EQUAL(call_as("ct", "request.list", "{}", &reply), 200);
        is(reply, "items.0", "");
        is(reply, "open", "0");
        /* a new type without code */
        CU_ASSERT_EQUAL(fixture_call(f, "request.define",
                                     "{\"code\":\"tree\",\"name\":{\"en\":\"Tree in the "
                                     "line\"},\"sla_hours\":8,\"steps\":[\"seen\",\"cut\"]}",
                                     &reply),
                        200);
        CU_ASSERT_EQUAL(call("request.create",
                             "{\"type\":\"tree\",\"customer\":\"1\",\"text\":\"Oak\"}", &reply),
                        201);
        is(reply, "step", "seen");
}

static void thread_is_kept(void)
{
        /* The fixture ends the program where a statement fails in any other way. */
        fixture_exec(
                f, "do $$ begin update crm.request_message set text = 'x'; raise 'it was changed'; "
                   "exception when sqlstate 'HR001' then null; end $$;"
                   "do $$ begin delete from crm.request_message; raise 'it was removed'; "
                   "exception when sqlstate 'HR001' then null; end $$;");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select count(*) from crm.request_message where text = 'x'"), "0");
        CU_ASSERT_STRING_NOT_EQUAL(fixture_sql(f, "select count(*) from crm.request_message"), "0");
}

static const struct hr_test tests[] = {
        { "a request gets a number, its first step and its first message", create },
        { "what a type's form refuses, and unknown things", refusals },
        { "a second request of the same type is questioned", duplicate },
        { "one thread: messages, notes, steps, assignment", thread },
        { "waiting stops the time limit", waiting_stops_the_clock },
        { "closing and opening again", close_and_reopen },
        { "lists by state, type and branch; a type made by data", list_and_types },
        { "messages are protected against change", thread_is_kept },
};

int main(void)
{
        int r;

        setup();
        r = hr_test_main("service", tests, sizeof tests / sizeof *tests);
        fixture_free(f);
        return r;
}
