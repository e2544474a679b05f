#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "host_int.h"
#include "hr_test.h"

/* ---- routes ---- */

static int find(struct routes *r, const char *method, const char *path, struct arena *a,
                struct route_match *m, struct problem *p)
{
        memset(p, 0, sizeof *p);
        return routes_find(r, method, path, a, m, p);
}

static void test_routes(void)
{
        static int list, show, curve, import;
        struct route_match m;
        struct problem p;
        struct routes r;
        struct arena a;

        routes_init(&r);
        arena_init(&a, 0);
        CU_ASSERT_EQUAL(routes_add(&r, "GET", "/v1/meters", &list), 0);
        CU_ASSERT_EQUAL(routes_add(&r, "GET", "/v1/meters/{meter}", &show), 0);
        CU_ASSERT_EQUAL(routes_add(&r, "GET", "/v1/meters/{meter}/curve", &curve), 0);
        CU_ASSERT_EQUAL(routes_add(&r, "POST", "/v1/meters/import", &import), 0);
        CU_ASSERT_EQUAL(routes_add(&r, "GET", "/v1/meters/{id}", &show), -EEXIST);
        CU_ASSERT_EQUAL(routes_add(&r, "BREW", "/v1/tea", &show), -EINVAL);
        CU_ASSERT_EQUAL(routes_add(&r, "GET", "v1", &show), -EINVAL);
        CU_ASSERT_EQUAL(routes_add(&r, "GET", "/v1//x", &show), -EINVAL);
        CU_ASSERT_EQUAL(routes_add(&r, "GET", "/v1/{Meter}", &show), -EINVAL);

        CU_ASSERT_EQUAL(find(&r, "GET", "/v1/meters", &a, &m, &p), 0);
        CU_ASSERT_PTR_EQUAL(m.target, &list);
        CU_ASSERT_EQUAL(find(&r, "GET", "/v1/meters/A%2FB%20%C3%BC", &a, &m, &p), 0);
        CU_ASSERT_PTR_EQUAL(m.target, &show);
        CU_ASSERT_STRING_EQUAL(m.captures[0].value, "A/B ü");
        CU_ASSERT_EQUAL(find(&r, "POST", "/v1/meters/import", &a, &m, &p), 0);
        CU_ASSERT_PTR_EQUAL(m.target, &import);
        CU_ASSERT_EQUAL(find(&r, "GET", "/v1/meters/import", &a, &m, &p), 0);
        CU_ASSERT_PTR_EQUAL(m.target, &show);
        CU_ASSERT_EQUAL(find(&r, "DELETE", "/v1/meters/import", &a, &m, &p), -EINVAL);
        CU_ASSERT_EQUAL(p.status, 405);
        CU_ASSERT_STRING_EQUAL(m.allow, "GET, POST");
        CU_ASSERT_EQUAL(find(&r, "GET", "/v1/meters/", &a, &m, &p), -EINVAL);
        CU_ASSERT_EQUAL(p.status, 404);
        CU_ASSERT_EQUAL(find(&r, "GET", "/v1/meters/%zz", &a, &m, &p), -EINVAL);
        CU_ASSERT_EQUAL(p.status, 400);
        CU_ASSERT_EQUAL(find(&r, "GET", "/v1/meters/%00", &a, &m, &p), -EINVAL);
        CU_ASSERT_EQUAL(p.status, 400);
        CU_ASSERT_EQUAL(find(&r, "GET", "/v1/meters/%ff", &a, &m, &p), -EINVAL);
        CU_ASSERT_EQUAL(find(&r, "GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13", &a, &m, &p), -EINVAL);
        CU_ASSERT_EQUAL(find(&r, "GET", "nonsense", &a, &m, &p), -EINVAL);
        arena_deinit(&a);
        routes_deinit(&r);
}

static void test_utf8(void)
{
        CU_ASSERT_TRUE(utf8_valid("Hà Nội €", strlen("Hà Nội €")));
        CU_ASSERT_TRUE(utf8_valid("\xf0\x9f\x98\x80", 4));
        CU_ASSERT_FALSE(utf8_valid("\xc0\xaf", 2));         /* overlong */
        CU_ASSERT_FALSE(utf8_valid("\xe0\x80\xaf", 3));     /* overlong */
        CU_ASSERT_FALSE(utf8_valid("\xed\xa0\x80", 3));     /* surrogate */
        CU_ASSERT_FALSE(utf8_valid("\xf4\x90\x80\x80", 4)); /* beyond U+10FFFF */
        CU_ASSERT_FALSE(utf8_valid("\xe2\x82", 2));         /* cut off */
        CU_ASSERT_FALSE(utf8_valid("a\0b", 3));
        CU_ASSERT_EQUAL(utf8_length("Hà Nội", strlen("Hà Nội")), 6);
}

/* ---- parameters ---- */

static const struct hr_param table[] = {
        { "meter", HR_TEXT, HR_PATH, true, "Meter", NULL, 1, 20 },
        { "limit", HR_INT, HR_QUERY, false, "Rows", NULL, 1, 100 },
        { "state", HR_TEXT, HR_QUERY, false, "State", "on|off" },
        { "name", HR_TEXT, HR_BODY, true, "Name", NULL, 1, 5 },
        { "count", HR_INT, HR_BODY, false, "Count" },
        { "price", HR_DECIMAL, HR_BODY, false, "Price" },
        { "day", HR_DATE, HR_BODY, false, "Day" },
        { "at", HR_TIME, HR_BODY, false, "Instant" },
        { "urgent", HR_BOOL, HR_BODY, false, "Urgent" },
        { "items", HR_JSON, HR_BODY, false, "Items" },
        { "data", HR_BYTES, HR_BODY, false, "Bytes" },
        { NULL },
};

struct reading {
        struct arena a;
        struct params p;
        struct problem problem;
};

/* The body in an exact-size heap copy, so that the sanitizer sees a step beyond its end. */
static int read_input(struct reading *r, const char *meter, const char *query, const char *body)
{
        struct route_capture capture = { "meter", meter };
        size_t n = body ? strlen(body) : 0;
        char *copy = n ? malloc(n) : NULL;
        struct params_input in = { .captures = &capture,
                                   .captures_n = meter ? 1 : 0,
                                   .query = query,
                                   .body = copy,
                                   .body_len = n };
        int e;

        if (copy)
                memcpy(copy, body, n);
        memset(r, 0, sizeof *r);
        arena_init(&r->a, 1 << 20);
        e = params_read(&r->a, table, &in, &r->p, &r->problem);
        free(copy);
        return e;
}

static const char *value(struct reading *r, const char *name)
{
        return params_find(&r->p, name)->text;
}

static void test_params_good(void)
{
        struct reading r;
        size_t n;

        CU_ASSERT_EQUAL(read_input(&r, "M1", "limit=10&state=on",
                                   "{\"name\":\"H\\u00e0\",\"count\":-7,\"price\":0.10,"
                                   "\"day\":\"2026-02-28\",\"at\":\"2026-01-31T00:00:00+07:00\","
                                   "\"urgent\":true,\"items\":[ {\"a\":0.1} ],\"data\":\"aGkh\"}"),
                        0);
        CU_ASSERT_STRING_EQUAL(value(&r, "meter"), "M1");
        CU_ASSERT_STRING_EQUAL(value(&r, "limit"), "10");
        CU_ASSERT_STRING_EQUAL(value(&r, "name"), "Hà");
        CU_ASSERT_STRING_EQUAL(value(&r, "count"), "-7");
        CU_ASSERT_STRING_EQUAL(value(&r, "price"), "0.10"); /* exactly as written */
        CU_ASSERT_STRING_EQUAL(value(&r, "items"), "[ {\"a\":0.1} ]");
        CU_ASSERT_STRING_EQUAL(value(&r, "urgent"), "true");
        n = params_find(&r.p, "data")->n;
        CU_ASSERT_EQUAL(n, 3);
        CU_ASSERT_EQUAL(memcmp(params_find(&r.p, "data")->bytes, "hi!", 3), 0);
        arena_deinit(&r.a);
        CU_ASSERT_EQUAL(read_input(&r, "M1", "limit=&", "{\"name\":\"x\",\"count\":null}"), 0);
        CU_ASSERT_PTR_NULL(value(&r, "limit"));
        CU_ASSERT_PTR_NULL(value(&r, "count"));
        arena_deinit(&r.a);
}

static void test_params_bad(void)
{
        static const struct {
                const char *query, *body;
                int status;
                const char *param, *says;
        } cases[] = {
                { NULL, "{}", 422, "name", "name is missing" },
                { NULL, "{\"name\":\"\"}", 422, "name", "at least 1" },
                { NULL, "{\"name\":\"toolong\"}", 422, "name", "at most 5" },
                { NULL, "{\"name\":7}", 422, "name", "must be text, not a whole number" },
                { NULL, "{\"name\":\"x\",\"count\":1.5}", 422, "count", "must be a whole number" },
                { NULL, "{\"name\":\"x\",\"count\":\"1\"}", 422, "count",
                  "must be a whole number" },
                { NULL, "{\"name\":\"x\",\"count\":9223372036854775808}", 400, "", "too big" },
                { NULL, "{\"name\":\"x\",\"price\":1e3}", 422, "price", "without exponent" },
                { NULL, "{\"name\":\"x\",\"price\":\"1,5\"}", 422, "price", "decimal number" },
                { NULL, "{\"name\":\"x\",\"price\":\"99999999999999999999\"}", 422, "price",
                  "digits" },
                { NULL, "{\"name\":\"x\",\"day\":\"2026-02-30\"}", 422, "day", "must be a date" },
                { NULL, "{\"name\":\"x\",\"at\":\"2026-01-31T00:00:00\"}", 422, "at",
                  "with its zone" },
                { NULL, "{\"name\":\"x\",\"urgent\":1}", 422, "urgent", "true or false" },
                { NULL, "{\"name\":\"x\",\"items\":\"[]\"}", 422, "items", "object or array" },
                { NULL, "{\"name\":\"x\",\"data\":\"a===\"}", 422, "data", "base64" },
                { NULL, "{\"name\":\"x\",\"data\":\"abc\"}", 422, "data", "base64" },
                { NULL, "{\"name\":\"x\",\"nmae\":1}", 422, "nmae", "no parameter nmae" },
                { NULL, "{\"name\":\"x\",\"limit\":1}", 422, "limit", "belongs in the query" },
                { NULL, "{\"name\":\"x\",\"name\":\"y\"}", 400, "", "duplicate" },
                { NULL, "[]", 422, "", "must be a JSON object" },
                { NULL, "{", 400, "", "not JSON" },
                { NULL, "\"text\"", 400, "", "not JSON" },
                { "limit=0", "{\"name\":\"x\"}", 422, "limit", "between 1 and 100" },
                { "limit=1x", "{\"name\":\"x\"}", 422, "limit", "whole number" },
                { "limit=1&limit=2", "{\"name\":\"x\"}", 422, "limit", "given twice" },
                { "state=maybe", "{\"name\":\"x\"}", 422, "state", "one of on|off" },
                { "stat=on", "{\"name\":\"x\"}", 422, "stat", "is state meant?" },
                { "name=x", "{\"name\":\"x\"}", 422, "name", "belongs in the JSON body" },
                { "limit=%4", "{\"name\":\"x\"}", 400, "", "percent-encoded" },
                { "%ff=1", "{\"name\":\"x\"}", 400, "", "percent-encoded" },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct reading r;

                CU_ASSERT_EQUAL(read_input(&r, "M1", cases[i].query, cases[i].body), -EINVAL);
                CU_ASSERT_EQUAL(r.problem.status, cases[i].status);
                CU_ASSERT_STRING_EQUAL(r.problem.param, cases[i].param);
                CU_ASSERT_PTR_NOT_NULL(strstr(r.problem.text, cases[i].says));
                if (!strstr(r.problem.text, cases[i].says))
                        printf("%s %s: %s\n", cases[i].query ? cases[i].query : "", cases[i].body,
                               r.problem.text);
                arena_deinit(&r.a);
        }
}

static void test_member_raw(void)
{
        static const struct {
                const char *json, *name, *raw;
        } cases[] = {
                { "{\"a\":1,\"b\":2.50}", "b", "2.50" },
                { " { \"a\" : {\"b\":1} , \"b\" : [1, {\"b\":3}] } ", "b", "[1, {\"b\":3}]" },
                { "{\"a\":\"\\\"b\\\":9\",\"b\":true}", "b", "true" },
                { "{\"\\u0062\":7}", "b", "7" },
                { "{\"a\":\"}\",\"b\":\"{\"}", "b", "\"{\"" },
                { "{\"a\":1}", "b", NULL },
                { "{}", "b", NULL },
                { "[1]", "b", NULL },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                size_t n = 0, len = strlen(cases[i].json);
                char *copy = malloc(len);
                const char *raw;

                memcpy(copy, cases[i].json, len);
                raw = json_member_raw(copy, len, cases[i].name, &n);
                CU_ASSERT_EQUAL(raw == NULL, cases[i].raw == NULL);
                if (raw && cases[i].raw) {
                        CU_ASSERT_EQUAL(n, strlen(cases[i].raw));
                        CU_ASSERT_EQUAL(memcmp(raw, cases[i].raw, n), 0);
                }
                free(copy);
        }
}

static void test_tables(void)
{
        static const struct hr_param twice[] = { { "a", HR_INT, HR_QUERY },
                                                 { "a", HR_INT, HR_BODY },
                                                 { NULL } };
        static const struct hr_param strange[] = { { "a", (enum hr_type)99, HR_QUERY }, { NULL } };
        static const struct hr_param camel[] = { { "aB", HR_INT, HR_QUERY }, { NULL } };
        const char *why = NULL;

        CU_ASSERT_TRUE(params_table_valid(table, "/v1/meters/{meter}", &why));
        CU_ASSERT_FALSE(params_table_valid(table, "/v1/meters", &why));
        CU_ASSERT_FALSE(params_table_valid(table, "/v1/meters/{meter}/{other}", &why));
        CU_ASSERT_FALSE(params_table_valid(twice, "/v1", &why));
        CU_ASSERT_FALSE(params_table_valid(strange, "/v1", &why));
        CU_ASSERT_FALSE(params_table_valid(camel, "/v1", &why));
        CU_ASSERT_TRUE(params_table_valid(NULL, "/v1", &why));
}

/* ---- permissions, problems, audit ---- */

static void test_permissions(void)
{
        struct identity who = { .known = true, .n = 3 };
        char scope[HOST_SCOPE_SIZE];

        CU_ASSERT_TRUE(permission_matches("meter.*", "meter.read"));
        CU_ASSERT_FALSE(permission_matches("meter.*", "meters.read"));
        CU_ASSERT_FALSE(permission_matches("meter.*", "meter"));
        CU_ASSERT_FALSE(permission_matches("met*", "meter.read"));
        CU_ASSERT_TRUE(permission_matches("a.b *", "run.approve"));
        CU_ASSERT_FALSE(permission_matches("run.read run.write", "run.approve"));
        CU_ASSERT_FALSE(permission_matches("run.readx", "run.read"));
        CU_ASSERT_FALSE(permission_matches("", "run.read"));
        who.grants[0] = (struct grant){ "run.read run.write", 1 };
        who.grants[1] = (struct grant){ "run.read", 2 };
        who.grants[2] = (struct grant){ "meter.*", -1 };
        CU_ASSERT_TRUE(call_scope(&who, "run.read", scope));
        CU_ASSERT_STRING_EQUAL(scope, "{1,2}");
        CU_ASSERT_TRUE(call_scope(&who, "run.write", scope));
        CU_ASSERT_STRING_EQUAL(scope, "{1}");
        CU_ASSERT_TRUE(call_scope(&who, "meter.read", scope));
        CU_ASSERT_STRING_EQUAL(scope, "*");
        CU_ASSERT_FALSE(call_scope(&who, "run.approve", scope));
        CU_ASSERT_STRING_EQUAL(scope, "{}");
        CU_ASSERT_TRUE(identity_may(&who, "auth.self"));
        who.narrowed = "meter.read";
        CU_ASSERT_FALSE(identity_may(&who, "run.read"));
        CU_ASSERT_TRUE(identity_may(&who, "meter.read"));
        CU_ASSERT_FALSE(identity_may(&who, "meter.write"));
        who.known = false;
        CU_ASSERT_FALSE(identity_may(&who, "meter.read"));
        CU_ASSERT_FALSE(identity_may(&who, "auth.self"));
}

static void test_scope_overflow(void)
{
        struct identity who = { .known = true };
        char scope[HOST_SCOPE_SIZE];

        for (; who.n < HOST_MAX_GRANTS; who.n++)
                who.grants[who.n] = (struct grant){ "run.read", 100000000 + (int)who.n };
        CU_ASSERT_TRUE(call_scope(&who, "run.read", scope));
        CU_ASSERT_TRUE(strlen(scope) < HOST_SCOPE_SIZE);
        CU_ASSERT_EQUAL(scope[strlen(scope) - 1], '}');
}

static void test_problem(void)
{
        struct problem p = { 0 };
        struct buf json = BUF_INIT;
        json_t *root;

        CU_ASSERT_EQUAL(problem_set(&p, 422, "invalid", "x", "%s \"quoted\"\n", "is"), -EINVAL);
        problem_write(&p, "r1", &json);
        root = json_loadb((const char *)json.p, json.len, JSON_REJECT_DUPLICATES, NULL);
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(root, "detail")),
                               "is \"quoted\"\n");
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(root, "request_id")), "r1");
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(root, "param")), "x");
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(root, "title")),
                               "Unprocessable Content");
        json_decref(root);
        buf_deinit(&json);
}

static void test_audit_masks(void)
{
        static const struct hr_param free_form[] = { { NULL } };
        const char *body =
                "{\"meters\":[{\"serial\":\"1\",\"keys\":{\"guek\":\"00FF\",\"gak\":\"11\"}}],"
                "\"new_password\":\"p\"}";
        struct params_input in = { .body = body, .body_len = strlen(body) };
        struct problem problem = { 0 };
        struct buf json = BUF_INIT;
        struct params p;
        struct arena a;
        char *big;

        arena_init(&a, 0);
        CU_ASSERT_EQUAL(params_read(&a, free_form, &in, &p, &problem), 0);
        audit_params(&p, &json);
        CU_ASSERT_STRING_EQUAL(
                buf_cstr(&json),
                "{\"body\":{\"meters\":[{\"serial\":\"1\",\"keys\":{\"guek\":\"***\","
                "\"gak\":\"***\"}}],\"new_password\":\"***\"}}");
        buf_reset(&json);
        big = malloc(5003);
        memset(big, ' ', 5002);
        big[0] = '{';
        big[5001] = '}';
        big[5002] = 0;
        in = (struct params_input){ .body = big, .body_len = 5002 };
        CU_ASSERT_EQUAL(params_read(&a, free_form, &in, &p, &problem), 0);
        audit_params(&p, &json);
        CU_ASSERT_EQUAL(strncmp(buf_cstr(&json), "{\"body\":{\"bytes\":5002,\"sha256\":\"", 31), 0);
        free(big);
        buf_deinit(&json);
        arena_deinit(&a);
}

static void test_passwords(void)
{
        char hash[128], again[128];

        CU_ASSERT_EQUAL(password_hash("correct horse", hash), 0);
        CU_ASSERT_EQUAL(password_hash("correct horse", again), 0);
        CU_ASSERT_STRING_NOT_EQUAL(hash, again);
        CU_ASSERT_TRUE(password_verify(hash, "correct horse"));
        CU_ASSERT_FALSE(password_verify(hash, "correct horsf"));
        CU_ASSERT_FALSE(password_verify("", ""));
        CU_ASSERT_FALSE(password_verify(NULL, "x"));
        CU_ASSERT_FALSE(password_verify("no hash at all", "x"));
}

static void test_bytes(void)
{
        struct arena a;
        size_t n;
        const uint8_t *p;

        arena_init(&a, 0);
        p = call_bytes(&a, "\\x00ff10", &n);
        CU_ASSERT_EQUAL(n, 3);
        CU_ASSERT_TRUE(p && p[0] == 0 && p[1] == 255 && p[2] == 16);
        CU_ASSERT_PTR_NULL(call_bytes(&a, "\\x0", &n));
        CU_ASSERT_PTR_NULL(call_bytes(&a, "\\x0g", &n));
        CU_ASSERT_PTR_NULL(call_bytes(&a, "", &n));
        arena_deinit(&a);
}

HR_TESTS("host", { "routes: literal before capture, decoding, 404, 405", test_routes },
         { "UTF-8 is checked", test_utf8 }, { "parameters of every type", test_params_good },
         { "what is wrong is named", test_params_bad },
         { "members keep their text", test_member_raw },
         { "parameter tables are checked", test_tables },
         { "permissions, wildcards, branches, narrowing", test_permissions },
         { "a scope too long gets narrower, never wider", test_scope_overflow },
         { "problems are JSON", test_problem },
         { "the audit trail keeps no secret and no megabyte", test_audit_masks },
         { "passwords", test_passwords }, { "bytea", test_bytes })
