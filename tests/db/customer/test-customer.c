/* The customer plugin on a real database: search, bulk load, versions, contracts, meter exchange.
 */

#include "hr_test.h"
#include "host_fixture.h"

static struct fixture *f;

static const char document[] =
        "{\"branch\":\"HN\","
        "\"parties\":[{\"code\":\"C1\",\"name\":\"Nguyễn Văn "
        "Đức\",\"phone\":\"84912345678\",\"tax_id\":\"T1\"},"
        "{\"code\":\"C2\",\"name\":\"Trần Thị Bình\",\"phone\":\"84987654321\"},"
        "{\"code\":\"C3\",\"name\":\"Lê Minh Châu\",\"phone\":\"84905551234\"}],"
        "\"accounts\":[{\"number\":\"A-100\",\"party\":\"C1\"},{\"number\":\"A-200\",\"party\":"
        "\"C2\"}],"
        "\"premises\":[{\"code\":\"P1\",\"address\":\"12 Trần Phú\",\"city\":\"Hà Nội\"},"
        "{\"code\":\"P2\",\"address\":\"7 Lê Lợi\",\"city\":\"Hà Nội\"}],"
        "\"service_points\":[{\"code\":\"SP1\",\"premise\":\"P1\",\"commodity\":\"electricity\"},"
        "{\"code\":\"SP2\",\"premise\":\"P2\",\"commodity\":\"electricity\"}],"
        "\"installations\":[{\"service_point\":\"SP1\",\"meter\":\"EL-1\",\"from\":\"2026-01-01T00:"
        "00:00Z\","
        "\"start_read\":{\"energy.import.total\":\"1000\"}}],"
        "\"contracts\":[{\"number\":\"K-1\",\"account\":\"A-100\",\"service_point\":\"SP1\","
        "\"tariff\":\"VN-RES\","
        "\"from\":\"2026-01-01\"}]}";

static void setup(void)
{
        static const char *const plugins[] = { "crm/customer/customer.so", NULL };

        f = fixture_new(plugins);
        fixture_branch(f, 1, "HN", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_branch(f, 2, "CT", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_user(f, "hn", "clerk", "HN");
        fixture_user(f, "ct", "clerk", "CT");
        fixture_exec(
                f,
                "insert into mdm.meter_model (model, protocol, profile) values ('m', 'dlms', '{}');"
                "insert into mdm.meter (branch_id, serial, model, commodity, identity) values "
                "(1, 'EL-1', 'm', 'electricity', 'AA1'), (1, 'EL-2', 'm', 'electricity', 'AA2'),"
                "(1, 'W-1', 'm', 'water', 'AA3'), (2, 'EL-9', 'm', 'electricity', 'AA9')");
}

/* The fixture keeps the last eight answers, and each look into one is an answer too: copies. */
static int call(const char *operation, const char *json, char **ret)
{
        static char kept[65536];
        int status = fixture_call(f, operation, json, ret);

        snprintf(kept, sizeof kept, "%s", *ret);
        *ret = kept;
        return status;
}

static void is(const char *json, const char *path, const char *expected)
{
        const char *got = fixture_json(f, json, path);

        if (strcmp(got, expected) != 0)
                printf("  %s is \"%s\", not \"%s\"\n", path, got, expected);
        CU_ASSERT_STRING_EQUAL(got, expected);
}

/* First hit of a search as the login. */
static void finds(const char *login, const char *q, const char *kind, const char *title)
{
        char json[256], *reply;

        snprintf(json, sizeof json, "{\"q\":\"%s\"}", q);
        CU_ASSERT_EQUAL(fixture_call_as(f, login, "search", json, &reply), 200);
        is(reply, "items.0.kind", kind);
        is(reply, "items.0.title", title);
}

static void import_twice(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call("customer.import", document, &reply), 200);
        is(reply, "parties.new", "3");
        is(reply, "contracts.new", "1");
        is(reply, "refused.0", "");
        CU_ASSERT_EQUAL(call("customer.import", document, &reply), 200);
        is(reply, "parties.new", "0");
        is(reply, "parties.same", "3");
        is(reply, "installations.same", "1");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select count(*) from crm.party"), "3");
}

static void import_names_what_it_refuses(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call("customer.import",
                             "{\"branch\":\"HN\",\"parties\":[{\"code\":\"C9\",\"name\":\"Same "
                             "tax\",\"tax_id\":\"T1\"},5,"
                             "{\"code\":\"C8\",\"name\":\"Taken all the same\"}],"
                             "\"installations\":[{\"service_point\":\"SP1\",\"meter\":\"EL-2\","
                             "\"from\":\"2026-02-01T00:00:00Z\"},"
                             "{\"service_point\":\"SP2\",\"meter\":\"W-1\",\"from\":\"2026-02-"
                             "01T00:00:00Z\"},"
                             "{\"service_point\":\"SP2\",\"meter\":\"EL-9\",\"from\":\"2026-02-"
                             "01T00:00:00Z\"}],"
                             "\"contracts\":[{\"number\":\"K-9\",\"account\":\"A-200\",\"service_"
                             "point\":\"SP1\","
                             "\"tariff\":\"X\",\"from\":\"2026-05-01\"}]}",
                             &reply),
                        200);
        is(reply, "parties.new", "1");
        is(reply, "parties.refused", "2");
        is(reply, "refused.0.item", "C9");
        is(reply, "refused.0.reason", "Another customer of this branch has the same tax number");
        is(reply, "refused.1.number", "2");
        is(reply, "refused.2.reason",
           "The service point already has a meter in part of this period; use a meter exchange");
        is(reply, "refused.3.reason", "meter W-1 does not measure electricity");
        is(reply, "refused.4.reason", "meter EL-9 is not registered in this branch");
        is(reply, "refused.5.item", "K-9");
        is(reply, "contracts.refused", "1");
        CU_ASSERT_EQUAL(
                call("customer.import", "{\"branch\":\"HN\",\"parties\":{\"a\":1}}", &reply), 422);
}

static void search_finds(void)
{
        finds("hn", "345678", "customer", "Nguyễn Văn Đức");
        finds("hn", "0912345678", "customer", "Nguyễn Văn Đức");
        finds("hn", "nguyen van duc", "customer", "Nguyễn Văn Đức");
        finds("hn", "nguyne dcu", "customer", "Nguyễn Văn Đức");
        finds("hn", "Chau Le", "customer", "Lê Minh Châu");
        finds("hn", "12 tran phu", "address", "12 Trần Phú, Hà Nội");
        finds("hn", "el-1", "meter", "EL-1");
        finds("hn", "A-200", "account", "A-200");
        finds("hn", "k1", "contract", "K-1");
        finds("hn", "SP2", "service_point", "SP2");
        finds("hn", "T1", "customer", "Nguyễn Văn Đức");
}

static void search_shows_no_other_branch(void)
{
        char *reply;

        finds("ct", "345678", "", "");
        finds("ct", "nguyen van duc", "", "");
        finds("ct", "el-1", "", "");
        finds("hn", "el-9", "", "");
        CU_ASSERT_EQUAL(
                fixture_call_as(f, "ct", "customer.show", "{\"customer\":\"A-100\"}", &reply), 404);
        CU_ASSERT_EQUAL(fixture_call_as(f, "ct", "customer.list", "{}", &reply), 200);
        is(reply, "items.0", "");
}

static void search_takes_anything(void)
{
        static const char *const odd[] = {
                "%",       "'; drop table crm.party; --",
                "\\\\",    "& | ! ( ) : *",
                "\\u0001", "aa:*",
                "    ",    "\\ud83d\\ude00",
                "a' & 'b", "00000000000000000000000000000000000000000000"
        };
        char json[256], *reply;

        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
                snprintf(json, sizeof json, "{\"q\":\"%s\"}", odd[i]);
                CU_ASSERT_EQUAL(call("search", json, &reply), 200);
        }
        CU_ASSERT_EQUAL(call("search", "{}", &reply), 422);
}

static void view(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call("customer.show", "{\"customer\":\"A-100\"}", &reply), 200);
        is(reply, "name", "Nguyễn Văn Đức");
        is(reply, "currency", "VND");
        is(reply, "accounts.0.number", "A-100");
        is(reply, "contracts.0.tariff", "VN-RES");
        is(reply, "contracts.0.from", "2026-01-01");
        is(reply, "service_points.0.installations.0.serial", "EL-1");
        is(reply, "service_points.0.installations.0.start_read.energy.import.total", "");
        is(reply, "requests.0", "");
        is(reply, "bills.0", "");
        CU_ASSERT_EQUAL(call("customer.show", "{\"customer\":\"999999\"}", &reply), 404);
        CU_ASSERT_EQUAL(call("customer.list", "{\"limit\":2}", &reply), 200);
        is(reply, "items.0.name", "Nguyễn Văn Đức");
        is(reply, "items.2", "");
        CU_ASSERT_STRING_NOT_EQUAL(fixture_json(f, reply, "next"), "");
        CU_ASSERT_EQUAL(call("customer.list", "{\"q\":\"binh\"}", &reply), 200);
        is(reply, "items.0.name", "Trần Thị Bình");
        is(reply, "items.1", "");
}

static void create_offers_the_match(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call("customer.create",
                             "{\"branch\":\"HN\",\"name\":\"Nguyen Van Duc\",\"phone\":\"+84 "
                             "912-345-678\"}",
                             &reply),
                        409);
        is(reply, "code", "possible_duplicate");
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "A-100"));
        CU_ASSERT_EQUAL(call("customer.create",
                             "{\"branch\":\"HN\",\"name\":\"Somebody "
                             "Else\",\"tax_id\":\"t1\",\"force\":true}",
                             &reply),
                        409);
        is(reply, "code", "same_tax_id");
        CU_ASSERT_EQUAL(call("customer.create",
                             "{\"branch\":\"HN\",\"name\":\"Phạm Mai\",\"phone\":\"84912345678\"}",
                             &reply),
                        201);
        CU_ASSERT_EQUAL(call("customer.create",
                             "{\"branch\":\"HN\",\"name\":\"Nguyễn Văn "
                             "Đức\",\"phone\":\"84912345678\",\"force\":true}",
                             &reply),
                        201);
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_json(f, reply, "account"), "HN-A"));
        CU_ASSERT_EQUAL(call("customer.create",
                             "{\"branch\":\"HN\",\"name\":\"X Y\",\"phone\":\"call me\"}", &reply),
                        422);
        is(reply, "param", "phone");
        CU_ASSERT_EQUAL(call("customer.create", "{\"branch\":\"XX\",\"name\":\"X Y\"}", &reply),
                        422);
        CU_ASSERT_EQUAL(fixture_call_as(f, "ct", "customer.create",
                                        "{\"branch\":\"HN\",\"name\":\"Across\"}", &reply),
                        422);
}

static void update_keeps_versions(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call("customer.update",
                             "{\"customer\":\"A-200\",\"name\":\"Trần Thị Bình "
                             "Minh\",\"reason\":\"married\"}",
                             &reply),
                        200);
        is(reply, "version", "2");
        CU_ASSERT_EQUAL(call("customer.update", "{\"customer\":\"A-200\",\"phone\":\"\"}", &reply),
                        200);
        is(reply, "version", "3");
        CU_ASSERT_EQUAL(call("customer.history", "{\"customer\":\"A-200\"}", &reply), 200);
        is(reply, "items.0.was.phone", "84987654321");
        is(reply, "items.1.was.name", "Trần Thị Bình");
        is(reply, "items.1.reason", "married");
        finds("hn", "binh minh", "customer", "Trần Thị Bình Minh");
        CU_ASSERT_EQUAL(call("search", "{\"q\":\"654321\"}", &reply), 200);
        is(reply, "items.0", "");
}

static void contracts(void)
{
        char *reply;

        CU_ASSERT_EQUAL(call("contract.open",
                             "{\"account\":\"A-200\",\"service_point\":\"SP1\",\"tariff\":\"T\","
                             "\"from\":\"2026-06-01\"}",
                             &reply),
                        409);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "close that one first"));
        CU_ASSERT_EQUAL(
                call("contract.close", "{\"number\":\"K-1\",\"to\":\"2026-01-01\"}", &reply), 422);
        CU_ASSERT_EQUAL(call("contract.close",
                             "{\"number\":\"K-1\",\"to\":\"2026-06-01\",\"final_read\":{\"energy."
                             "import.total\":\"1500\"}}",
                             &reply),
                        200);
        is(reply, "to", "2026-06-01");
        CU_ASSERT_EQUAL(
                call("contract.close", "{\"number\":\"K-1\",\"to\":\"2026-07-01\"}", &reply), 409);
        CU_ASSERT_EQUAL(call("contract.open",
                             "{\"account\":\"A-200\",\"service_point\":\"SP1\",\"tariff\":\"T\","
                             "\"from\":\"2026-06-01\"}",
                             &reply),
                        201);
        CU_ASSERT_PTR_NOT_NULL(strstr(fixture_json(f, reply, "number"), "HN-C"));
        CU_ASSERT_EQUAL(call("contract.open",
                             "{\"account\":\"none\",\"service_point\":\"SP2\",\"tariff\":\"T\","
                             "\"from\":\"2026-06-01\"}",
                             &reply),
                        422);
        CU_ASSERT_EQUAL(call("contract.open",
                             "{\"account\":\"A-200\",\"service_point\":\"none\",\"tariff\":\"T\","
                             "\"from\":\"2026-06-01\"}",
                             &reply),
                        404);
}

static void exchange(void)
{
        static const char good[] =
                "{\"code\":\"SP1\",\"meter\":\"EL-2\",\"at\":\"2026-03-10T08:00:00Z\","
                "\"final_read\":{\"energy.import.total\":\"1234\"},\"start_read\":{\"energy.import."
                "total\":\"0\"}}";
        char *reply;

        CU_ASSERT_EQUAL(call("meter.exchange",
                             "{\"code\":\"SP1\",\"meter\":\"W-1\",\"at\":\"2026-03-10T08:00:00Z\"}",
                             &reply),
                        422);
        CU_ASSERT_EQUAL(
                call("meter.exchange",
                     "{\"code\":\"SP1\",\"meter\":\"EL-2\",\"at\":\"2025-03-10T08:00:00Z\"}",
                     &reply),
                422);
        is(reply, "code", "before_installation");
        CU_ASSERT_EQUAL(
                call("meter.exchange",
                     "{\"code\":\"SP1\",\"meter\":\"EL-2\",\"at\":\"2099-03-10T08:00:00Z\"}",
                     &reply),
                422);
        CU_ASSERT_EQUAL(call("meter.exchange",
                             "{\"code\":\"SP1\",\"meter\":\"EL-2\",\"at\":\"2026-03-10T08:00:00Z\","
                             "\"final_read\":{\"energy.import.total\":\"999\"}}",
                             &reply),
                        422);
        is(reply, "code", "read_below_start");
        CU_ASSERT_EQUAL(
                call("meter.exchange",
                     "{\"code\":\"SP1\",\"meter\":\"EL-1\",\"at\":\"2026-03-10T08:00:00Z\"}",
                     &reply),
                422);
        is(reply, "code", "same_meter");
        CU_ASSERT_EQUAL(call("meter.exchange", good, &reply), 200);
        is(reply, "removed", "EL-1");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select string_agg(m.serial || valid::text, ' ' "
                                              "order by lower(valid)) from crm.installation "
                                              "join mdm.meter m using (meter_id)"),
                               "EL-1[\"2026-01-01 00:00:00+00\",\"2026-03-10 08:00:00+00\") "
                               "EL-2[\"2026-03-10 08:00:00+00\",)");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select end_read->>'energy.import.total' from "
                                              "crm.installation where end_read is not null"),
                               "1234");
        CU_ASSERT_EQUAL(call("meter.installations", "{\"meter\":\"EL-2\"}", &reply), 200);
        is(reply, "items.0.service_point", "SP1");
        is(reply, "items.0.installed", "true");
        is(reply, "items.0.address", "12 Trần Phú, Hà Nội");
        CU_ASSERT_EQUAL(call("meter.installations", "{\"meter\":\"EL-1\"}", &reply), 200);
        is(reply, "items.0.installed", "false");
        is(reply, "items.0.customer", "");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select state from mdm.meter where serial = 'EL-1'"),
                               "removed");
        CU_ASSERT_EQUAL(
                call("meter.exchange",
                     "{\"code\":\"SP2\",\"meter\":\"EL-1\",\"at\":\"2026-03-10T08:00:00Z\"}",
                     &reply),
                409);
        is(reply, "code", "no_meter");
}

static const struct hr_test tests[] = {
        { "a document loads once, however often it is sent", import_twice },
        { "refused items are named with their reason and cost only themselves",
          import_names_what_it_refuses },
        { "search by phone, name, typing error, address, meter, account, contract, point, tax "
          "number",
          search_finds },
        { "search shows nothing of another branch", search_shows_no_other_branch },
        { "search takes any text", search_takes_anything },
        { "the 360 degree view and the list", view },
        { "a customer who may exist already is offered", create_offers_the_match },
        { "updates keep the values before them", update_keeps_versions },
        { "contracts open and close without overlap", contracts },
        { "a meter exchange leaves no gap and no overlap", exchange },
};

int main(void)
{
        int r;

        setup();
        r = hr_test_main("customer", tests, sizeof tests / sizeof *tests);
        fixture_free(f);
        return r;
}
