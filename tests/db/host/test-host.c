#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "host_fixture.h"
#include "hr_test.h"

static struct fixture *f;

static void open_host(void)
{
        static const char *const plugins[] = { "tests/db/host/plug.so", NULL };

        f = fixture_new(plugins);
        fixture_branch(f, 1, "HN", "Asia/Ho_Chi_Minh", "VND", 0);
        fixture_branch(f, 2, "SG", "Asia/Ho_Chi_Minh", "VND", 0);
        CU_ASSERT_PTR_NOT_NULL(f);
}

static void close_host(void)
{
        fixture_free(f);
        CU_PASS("closed");
}

/* ---- logins ---- */

#define GOOD_LOGIN "{\"user\":\"ada\",\"password\":\"correct horse battery\"}"

static void test_login(void)
{
        char *reply;

        CU_ASSERT_EQUAL(host_bootstrap_admin(fixture_host(f), "ada", "short"), -EINVAL);
        CU_ASSERT_EQUAL(host_bootstrap_admin(fixture_host(f), "Ada!", "correct horse battery"),
                        -EINVAL);
        CU_ASSERT_EQUAL(host_bootstrap_admin(fixture_host(f), "ada", "correct horse battery"), 0);
        CU_ASSERT_EQUAL(host_bootstrap_admin(fixture_host(f), "bob", "correct horse battery"), 1);
        CU_ASSERT_EQUAL(fixture_call(f, "auth.login", GOOD_LOGIN, &reply), 200);
        CU_ASSERT_EQUAL(strlen(fixture_json(f, reply, "token")), 67);
        CU_ASSERT_EQUAL(
                fixture_call(f, "auth.login", "{\"user\":\"ada\",\"password\":\"wrong\"}", &reply),
                401);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "code"), "login_refused");
        CU_ASSERT_EQUAL(fixture_call_as(f, "ada", "auth.me", NULL, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "user"), "ada");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "grants.0.permissions"), "*");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select left(password, 31) from core.login where login = 'ada'"),
                "$argon2id$v=19$m=19456,t=2,p=1$");
}

static void test_login_rate(void)
{
        char *reply;

        for (int i = 0; i < 5; i++)
                CU_ASSERT_EQUAL(fixture_call(f, "auth.login",
                                             "{\"user\":\"eve\",\"password\":\"wrong\"}", &reply),
                                401);
        CU_ASSERT_EQUAL(
                fixture_call(f, "auth.login", "{\"user\":\"eve\",\"password\":\"wrong\"}", &reply),
                429);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "code"), "too_many_attempts");
        /* Others are not shut out by it. */
        CU_ASSERT_EQUAL(fixture_call(f, "auth.login", GOOD_LOGIN, NULL), 200);
}

/* ---- requests through the queue ---- */

struct answer {
        sem_t done;
        int status;
        char body[2048];
        char type[64];
};

static void on_done(void *arg, struct host_reply *reply)
{
        struct answer *a = arg;

        a->status = reply->status;
        snprintf(a->body, sizeof a->body, "%s", buf_cstr(&reply->body));
        snprintf(a->type, sizeof a->type, "%s", reply->content_type);
        sem_post(&a->done);
}

static void submit(struct answer *a, const char *token, const char *path, const char *body,
                   const char *key)
{
        struct host_request r = { .method = body ? "POST" : "GET",
                                  .path = path,
                                  .body = body,
                                  .body_len = body ? strlen(body) : 0,
                                  .token = token,
                                  .local_admin = !token,
                                  .idempotency_key = key };

        sem_init(&a->done, 0, 0);
        host_submit(fixture_host(f), &r, on_done, a);
}

static int finish(struct answer *a)
{
        sem_wait(&a->done);
        sem_destroy(&a->done);
        return a->status;
}

static void test_idempotency(void)
{
        const char *body = "{\"branch_id\":1,\"name\":\"once\",\"sleep\":\"0.2\"}";
        struct answer a, b, c, d;

        submit(&a, NULL, "/v1/plug", body, "key-1");
        submit(&b, NULL, "/v1/plug", body, "key-1"); /* while the first one runs */
        CU_ASSERT_EQUAL(finish(&a), 201);
        CU_ASSERT_EQUAL(finish(&b), 201);
        CU_ASSERT_STRING_EQUAL(a.body, b.body);
        submit(&c, NULL, "/v1/plug", body, "key-1"); /* long afterwards */
        CU_ASSERT_EQUAL(finish(&c), 201);
        CU_ASSERT_STRING_EQUAL(a.body, c.body);
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select count(*) from plug.item where name = 'once'"),
                               "1");
        submit(&d, NULL, "/v1/plug", "{\"branch_id\":1,\"name\":\"other\"}", "key-1");
        CU_ASSERT_EQUAL(finish(&d), 422);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, d.body, "code"), "idempotency_key_reused");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select count(*) from plug.item where name = 'other'"), "0");
        submit(&d, NULL, "/v1/plug", body, "auto:1");
        CU_ASSERT_EQUAL(finish(&d), 400);
}

static void test_refusals(void)
{
        char *reply;

        CU_ASSERT_EQUAL(fixture_call(f, "plug.create", "{\"branch_id\":1,\"name\":\"twin\"}", NULL),
                        201);
        CU_ASSERT_EQUAL(
                fixture_call(f, "plug.create", "{\"branch_id\":1,\"name\":\"twin\"}", &reply), 409);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "detail"),
                               "There is an item of this name; choose another");
        CU_ASSERT_EQUAL(fixture_call(f, "plug.create", "{\"branch_id\":77,\"name\":\"x\"}", &reply),
                        422);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "code"), "unknown_reference");
        CU_ASSERT_EQUAL(
                fixture_call(f, "plug.create", "{\"branch_id\":1,\"name\":\"refused\"}", &reply),
                422);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "param"), "name");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select count(*) from plug.item where name in ('refused', 'x')"),
                "0");
        CU_ASSERT_EQUAL(fixture_call(f, "plug.broken", NULL, &reply), 500);
        CU_ASSERT_EQUAL(fixture_call(f, "plug.nothing", NULL, &reply), 404);
}

/* ---- branches and roles ---- */

static void test_scope(void)
{
        char *reply;

        fixture_exec(f, "insert into core.role values ('plugger', '{plug.*}')");
        fixture_user(f, "hanoi", "plugger", "HN");
        fixture_user(f, "clerk1", "clerk", "HN,SG");
        CU_ASSERT_EQUAL(
                fixture_call(f, "plug.create", "{\"branch_id\":2,\"name\":\"saigon\"}", NULL), 201);
        CU_ASSERT_EQUAL(fixture_call_as(f, "hanoi", "plug.list", NULL, &reply), 200);
        CU_ASSERT_PTR_NULL(strstr(reply, "saigon"));
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "once"));
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "greeting"), "hello");
        CU_ASSERT_EQUAL(fixture_call_as(f, "hanoi", "plug.create",
                                        "{\"branch_id\":2,\"name\":\"smuggled\"}", &reply),
                        403);
        CU_ASSERT_EQUAL(fixture_call_as(f, "clerk1", "plug.list", NULL, &reply), 403);
        CU_ASSERT_EQUAL(fixture_call_as(f, "nobody", "plug.list", NULL, &reply), 401);
        CU_ASSERT_EQUAL(fixture_call_as(f, "hanoi", "branch.list", NULL, &reply), 403);
        CU_ASSERT_EQUAL(fixture_call_as(f, "clerk1", "branch.list", NULL, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.1.code"), "SG");
        /* Events of other branches are not seen either. */
        fixture_exec(f, "insert into core.role values ('watcher', '{event.read}')");
        fixture_user(f, "watcher", "watcher", "HN");
        CU_ASSERT_EQUAL(fixture_call_as(f, "watcher", "event.list", NULL, &reply), 200);
        CU_ASSERT_PTR_NULL(strstr(reply, "saigon"));
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "once"));
}

static void test_tokens(void)
{
        char *reply, token[80];
        struct answer a;

        CU_ASSERT_EQUAL(fixture_call_as(f, "hanoi", "token.create",
                                        "{\"name\":\"t\",\"permissions\":\"plug.read\"}", &reply),
                        201);
        snprintf(token, sizeof token, "%s", fixture_json(f, reply, "token"));
        submit(&a, token, "/v1/plug", NULL, NULL);
        CU_ASSERT_EQUAL(finish(&a), 200);
        submit(&a, token, "/v1/plug", "{\"branch_id\":1,\"name\":\"narrow\"}", NULL);
        CU_ASSERT_EQUAL(finish(&a), 403); /* narrowed to reading */
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select count(*) from core.idempotency where "
                                              "encode(reply, 'escape') like '%hr\\_%'"),
                               "0"); /* no secret is kept */
        CU_ASSERT_EQUAL(
                fixture_call(f, "user.update", "{\"login\":\"hanoi\",\"active\":false}", &reply),
                200);
        submit(&a, token, "/v1/plug", NULL, NULL);
        CU_ASSERT_EQUAL(finish(&a), 401);
        CU_ASSERT_EQUAL(
                fixture_call(f, "user.update", "{\"login\":\"hanoi\",\"active\":true}", &reply),
                200);
        submit(&a, token, "/v1/plug", NULL, NULL);
        CU_ASSERT_EQUAL(finish(&a), 401); /* revoked, not only asleep */
        CU_ASSERT_EQUAL(fixture_call(f, "user.update", "{\"login\":\"nobody\"}", &reply), 404);
        CU_ASSERT_EQUAL(fixture_call_as(f, "hanoi", "token.create", "{\"name\":\"t\"}", &reply),
                        201);
        snprintf(token, sizeof token, "%s", fixture_json(f, reply, "token"));
        submit(&a, token, "/v1/plug", NULL, NULL);
        CU_ASSERT_EQUAL(finish(&a), 200);
        fixture_exec(f, "update core.token set expires_at = now()");
        submit(&a, token, "/v1/plug", NULL, NULL);
        CU_ASSERT_EQUAL(finish(&a), 401);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, a.body, "code"), "bad_token");
        token[10] = token[10] == 'a' ? 'b' : 'a';
        submit(&a, token, "/v1/plug", NULL, NULL);
        CU_ASSERT_EQUAL(finish(&a), 401);
}

/* ---- audit ---- */

static bool audit_refuses(const char *sql)
{
        struct db_conn *c = db_take(fixture_db(f), 1000, NULL);
        bool refused = db_begin(c, "*", false) == DB_OK && db_exec(c, sql) == DB_CONSTRAINT;

        db_give(fixture_db(f), c);
        return refused;
}

static void test_audit(void)
{
        char *reply;
        int before = atoi(fixture_sql(f, "select audit_seq from core.log_head"));

        CU_ASSERT_EQUAL(
                fixture_call_as(f, "hanoi", "plug.create",
                                "{\"branch_id\":1,\"name\":\"told\",\"password\":\"hush!\"}",
                                &reply),
                201);
        CU_ASSERT_EQUAL(atoi(fixture_sql(f, "select audit_seq from core.log_head")), before + 1);
        CU_ASSERT_EQUAL(fixture_call(f, "audit.list", "{\"actor\":\"hanoi\",\"limit\":1}", &reply),
                        200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.what"), "plug.create");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.params.name"), "told");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.params.password"), "***");
        CU_ASSERT_EQUAL(fixture_call(f, "audit.verify", NULL, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "intact"), "true");
        CU_ASSERT_TRUE(audit_refuses("update core.audit set actor = 'x'"));
        CU_ASSERT_TRUE(audit_refuses("truncate core.audit"));
        CU_ASSERT_TRUE(audit_refuses("delete from core.audit"));
        /* The hand of a database administrator, who can remove the guards. */
        fixture_exec(f, "alter table core.audit disable trigger all;"
                        "alter table core.audit no force row level security;"
                        "update core.audit set actor = 'mallory' where seq = 2");
        CU_ASSERT_EQUAL(fixture_call(f, "audit.verify", NULL, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "intact"), "false");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "broken_at"), "2");
        fixture_exec(f, "delete from core.audit where seq = 2");
        CU_ASSERT_EQUAL(fixture_call(f, "audit.verify", NULL, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "reason"), "row is missing");
        fixture_exec(f, "delete from core.audit");
        CU_ASSERT_EQUAL(fixture_call(f, "audit.verify", NULL, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "intact"), "false");
        fixture_exec(f, "alter table core.audit enable trigger all;"
                        "alter table core.audit force row level security");
}

/* ---- events ---- */

static void test_events(void)
{
        char *reply;

        fixture_drain(f);
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select count(*) from plug.seen"),
                               fixture_sql(f, "select count(*) from core.event where type = "
                                              "'plug.created'"));
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select count(*) - count(distinct event_id) from plug.seen"), "0");
        CU_ASSERT_EQUAL(
                fixture_call(f, "plug.create", "{\"branch_id\":1,\"name\":\"poison\"}", NULL), 201);
        CU_ASSERT_EQUAL(
                fixture_call(f, "plug.create", "{\"branch_id\":1,\"name\":\"after\"}", NULL), 201);
        for (int i = 0; i < 200; i++) {
                fixture_call(f, "status.show", NULL, &reply);
                if (!strcmp(fixture_json(f, reply, "components.plugins.state"), "degraded"))
                        break;
                usleep(50000);
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\"suspended\":true"));
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "plug.created: failed"));
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select count(*) from plug.seen where name in ('poison', 'after')"),
                "0"); /* what failed left nothing behind, and nothing overtook it */
        CU_ASSERT_EQUAL(
                fixture_call(f, "event.resume", "{\"plugin\":\"plug\",\"skip\":true}", &reply),
                200);
        fixture_drain(f);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select count(*) from plug.seen where name = 'after'"), "1");
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select count(*) from plug.seen where name = 'poison'"), "0");
}

/* ---- jobs ---- */

static void test_jobs(void)
{
        char *reply, json[64];

        CU_ASSERT_EQUAL(fixture_call(f, "plug.count", "{\"to\":20}", &reply), 200);
        snprintf(json, sizeof json, "{\"id\":%s}", fixture_json(f, reply, "job_id"));
        fixture_drain(f);
        CU_ASSERT_EQUAL(fixture_call(f, "job.show", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "status"), "done");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "done"), "20");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "result.counted"), "true");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select count(*) from plug.step"), "20");

        CU_ASSERT_EQUAL(fixture_call(f, "plug.count", "{\"to\":100000}", &reply), 200);
        snprintf(json, sizeof json, "{\"id\":%s}", fixture_json(f, reply, "job_id"));
        for (int i = 0; i < 100; i++) {
                usleep(20000);
                fixture_call(f, "job.show", json, &reply);
                if (atoi(fixture_json(f, reply, "done")) > 3)
                        break;
        }
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "status"), "running"); /* progress is live */
        CU_ASSERT_EQUAL(fixture_call_as(f, "watcher", "job.cancel", json, &reply), 403);
        CU_ASSERT_EQUAL(fixture_call(f, "job.cancel", json, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(fixture_call(f, "job.show", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "status"), "cancelled");
        CU_ASSERT_EQUAL(fixture_call(f, "job.cancel", json, &reply), 409);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select string_agg(type, ' ' order by event_id) from core.event "
                               "where type in ('job.done', 'job.cancelled')"),
                "job.done job.cancelled");
}

static void test_pages(void)
{
        char *reply, json[64];

        for (int i = 0; i < 5; i++)
                CU_ASSERT_EQUAL(fixture_call(f, "plug.count", "{\"to\":1}", NULL), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(fixture_call(f, "job.list", "{\"limit\":3}", &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.job_id"), "7");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "next"), "5");
        snprintf(json, sizeof json, "{\"limit\":5,\"before\":%s}", fixture_json(f, reply, "next"));
        CU_ASSERT_EQUAL(fixture_call(f, "job.list", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.job_id"), "4");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.3.job_id"), "1");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "next"), "");
}

/* ---- more than can be done ---- */

static void test_overload(void)
{
        enum { MANY = 330 };
        static struct answer answers[MANY];
        int done = 0, refused = 0;

        for (int i = 0; i < MANY; i++) {
                char body[80];

                snprintf(body, sizeof body,
                         "{\"branch_id\":1,\"name\":\"load%d\",\"sleep\":\"0.01\"}", i);
                submit(&answers[i], NULL, "/v1/plug", body, NULL);
        }
        for (int i = 0; i < MANY; i++) {
                int status = finish(&answers[i]);

                done += status == 201;
                refused += status == 503 && strstr(answers[i].body, "overloaded");
        }
        CU_ASSERT_EQUAL(done + refused, MANY); /* everybody hears */
        CU_ASSERT_TRUE(refused > 20);
        CU_ASSERT_TRUE(done >= 256);
        CU_ASSERT_EQUAL(
                atoi(fixture_sql(f, "select count(*) from plug.item where name like 'load%'")),
                done);
}

/* ---- status and documents ---- */

static void status_extra(void *arg, struct buf *json)
{
        buf_put_str(json, arg);
}

static void test_status(void)
{
        static char good[] = "{\"state\":\"ok\",\"lag_seconds\":2.5,\"rows_total\":7}";
        static char bad[] = "no json";
        struct buf text = BUF_INIT;
        char *reply;

        CU_ASSERT_EQUAL(fixture_call(f, "status.show", NULL, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "ok");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "components.database.state"), "ok");
        host_add_status(fixture_host(f), "spool", status_extra, good);
        host_add_status(fixture_host(f), "broken", status_extra, bad);
        CU_ASSERT_EQUAL(fixture_call(f, "status.show", NULL, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "failed");
        host_metrics(fixture_host(f), &text);
        CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&text), "\nheadrace_spool_lag_seconds 2.5\n"));
        CU_ASSERT_PTR_NOT_NULL(
                strstr(buf_cstr(&text), "# TYPE headrace_spool_rows_total counter\n"));
        CU_ASSERT_PTR_NOT_NULL(
                strstr(buf_cstr(&text), "headrace_component_up{component=\"broken\"} 0"));
        buf_deinit(&text);
}

static void test_documents(void)
{
        struct buf text = BUF_INIT;
        json_t *root, *op;

        host_openapi(fixture_host(f), &text);
        root = json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(root);
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(root, "openapi")), "3.1.0");
        op = json_object_get(json_object_get(json_object_get(root, "paths"), "/v1/plug"), "post");
        CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(op, "operationId")),
                               "plug.create");
        op = json_object_get(op, "requestBody");
        op = json_object_get(json_object_get(op, "content"), "application/json");
        op = json_object_get(json_object_get(op, "schema"), "required");
        CU_ASSERT_EQUAL(json_array_size(op), 2);
        json_decref(root);
        buf_reset(&text);
        host_operations(fixture_host(f), &text);
        root = json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
        CU_ASSERT_TRUE(json_array_size(json_object_get(root, "operations")) > 20);
        json_decref(root);
        buf_deinit(&text);
}

/* ---- plugins that are refused ---- */

static int try_plugins(int a, int b, struct buf *errors)
{
        const char *build = getenv("HEADRACE_BUILD");
        struct host *h;
        char path[4096];
        int list[] = { a, b }, r = 0;

        host_new(&h, &(struct host_options){ .db = fixture_db(f), .job_workers = -1 });
        for (int i = 0; i < 2 && !r && list[i]; i++) {
                snprintf(path, sizeof path, "%s/tests/db/host/bad%d.so", build ? build : ".",
                         list[i]);
                r = host_load_file(h, path, errors);
        }
        if (!r)
                r = host_start(h, errors);
        host_free(h);
        return r;
}

static void test_bad_plugins(void)
{
        static const struct {
                int a, b;
                const char *says;
        } cases[] = {
                { 1, 0, "wrong magic" },
                { 2, 0, "another ABI version" },
                { 3, 0, "descriptor is shorter" },
                { 4, 0, "operation bad.run: method, path, summary or run is NULL" },
                { 5, 0, "path parameter is missing in the route" },
                { 6, 0, "needs plugin nowhere, which is not there" },
                { 7, 0, "operation status.show is already there, by host" },
                { 8, 0, "route GET /v1/jobs/{number} is already taken" },
                { 9, 10, "circle" },
                { 11, 0, "name is not" },
                { 12, 0, "version or summary is NULL" },
                { 13, 0, "migrations are not numbered" },
        };
        struct buf errors = BUF_INIT;

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                buf_reset(&errors);
                CU_ASSERT_EQUAL(try_plugins(cases[i].a, cases[i].b, &errors), -EINVAL);
                CU_ASSERT_PTR_NOT_NULL(strstr(buf_cstr(&errors), cases[i].says));
                if (!strstr(buf_cstr(&errors), cases[i].says))
                        printf("bad%d says: %s", cases[i].a, buf_cstr(&errors));
        }
        buf_deinit(&errors);
}

HR_TESTS("host", { "a host starts", open_host },
         { "logins, the first one and wrong ones", test_login },
         { "guessing passwords is slowed down", test_login_rate },
         { "the same key twice does a thing once", test_idempotency },
         { "constraints and refusals become problems", test_refusals },
         { "a login sees its branches only", test_scope },
         { "tokens are narrowed, expire, and are kept nowhere", test_tokens },
         { "events are told once, a poisoned one suspends", test_events },
         { "the audit chain shows every change", test_audit },
         { "jobs run, show progress, stop", test_jobs }, { "pages", test_pages },
         { "a full queue says so", test_overload },
         { "status and metrics name every component", test_status },
         { "OpenAPI and the operations table are well formed", test_documents },
         { "plugins with faults are refused by name", test_bad_plugins },
         { "a host ends", close_host })
