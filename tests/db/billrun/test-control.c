#define BILLING_FIXTURE_BILLOPS
#include "billing_fixture.h"

/* Between computing and issuing: rules that hold bills, review, four eyes, undo, trial runs,
 * stopping and going on. */

enum { CONTRACTS = 24 };

static int64_t october;

static int call(const char *who, const char *operation, const char *json, char **reply)
{
        return fixture_call_as(f, who, operation, json, reply);
}

static void rule(const char *json)
{
        char *reply;

        CU_ASSERT_EQUAL(call("maker", "outsort.set", json, &reply), 200);
}

static void open_host(void)
{
        billing_open(CONTRACTS);
        fixture_exec(f, "update core.login set name = 'Lan  Tran' where login = 'maker'");
        issue(run_of("2026-09-01", "2026-10-01", NULL));
}

static const char *codes(int contract)
{
        char sql[512];

        snprintf(sql, sizeof sql,
                 "select state || ':' || coalesce(string_agg(e->>'code', ',' order by e->>'code'), "
                 "'')"
                 " from billing.bill b left join jsonb_array_elements(b.exceptions) e on true"
                 " where b.run_id = %lld and b.contract_id = %d group by bill_id",
                 (long long)october, contract);
        return fixture_sql(f, sql);
}

/* One contract made odd for each rule. */
static void test_outsort(void)
{
        char *reply, json[128];

        forge("update t.reading set value = value * 2 where meter = 1 and at >= '2026-10-01'");
        forge("update t.reading set value = value / 4 where meter = 2 and at >= '2026-10-01'");
        forge("update t.reading set value = 0 where meter = 3 and at >= '2026-09-30 17:00+00'");
        forge("update t.reading set status = 2 where meter = 4 and at >= '2026-09-30 17:00+00'");
        forge("update t.reading set status = 2 where meter = 5 and at = '2026-10-05 00:00+00'");
        fixture_exec(f, "update crm.contract set class = 'vip' where contract_id in (6, 7)");
        rule("{\"branch\":\"HN\",\"kind\":\"high\",\"threshold\":\"150\"}");
        rule("{\"branch\":\"HN\",\"kind\":\"low\",\"threshold\":\"50\"}");
        rule("{\"branch\":\"HN\",\"kind\":\"zero\",\"action\":\"off\"}");
        rule("{\"branch\":\"HN\",\"kind\":\"estimated\",\"threshold\":\"0\"}");
        rule("{\"branch\":\"HN\",\"kind\":\"amount\",\"threshold\":\"1000000000\"}");
        rule("{\"branch\":\"HN\",\"kind\":\"amount\",\"class\":\"vip\",\"threshold\":\"1\","
             "\"action\":\"note\"}");
        CU_ASSERT_EQUAL(call("maker", "outsort.set",
                             "{\"branch\":\"HN\",\"kind\":\"odd\",\"threshold\":\"1\"}", &reply),
                        422);
        october = run_of("2026-10-01", "2026-11-01", NULL);
        CU_ASSERT_STRING_EQUAL(codes(1), "held:high");
        CU_ASSERT_STRING_EQUAL(codes(2), "held:low");
        CU_ASSERT_STRING_EQUAL(codes(3), "draft:");
        /* The computation's own "many_estimates" gives way to the branch's rule. */
        CU_ASSERT_STRING_EQUAL(codes(4), "held:estimated");
        CU_ASSERT_STRING_EQUAL(codes(5), "held:estimated");
        CU_ASSERT_STRING_EQUAL(codes(6), "draft:amount");
        CU_ASSERT_STRING_EQUAL(codes(8), "draft:");
        snprintf(json, sizeof json, "{\"run\":%lld}", (long long)october);
        CU_ASSERT_EQUAL(call("checker", "run.outsort", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "held"), "4");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "causes.0.code"), "estimated");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "causes.0.held"), "2");
        CU_ASSERT_EQUAL(strtoll(fixture_json(f, reply, "causes.0.total"), NULL, 10),
                        number("select sum(total) from billing.bill b"
                               " where contract_id in (4, 5) and b.state = 'held'"));
}

static void test_trial(void)
{
        char *reply, json[128];
        int64_t bills = number("select count(*) from billing.bill");

        CU_ASSERT_EQUAL(run_call("maker", "run.cancel", october, &reply), 200);
        CU_ASSERT_EQUAL(call("maker", "trial.create",
                             "{\"branch\":\"HN\",\"from\":\"2026-10-01\",\"to\":\"2026-11-01\"}",
                             &reply),
                        201);
        snprintf(json, sizeof json, "{\"trial\":%s}", fixture_json(f, reply, "trial"));
        fixture_drain(f);
        CU_ASSERT_EQUAL(call("maker", "trial.show", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "done"), "true");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "contracts"), "24");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "held"), "4");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "bills"), "20");
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill"), bills);
        CU_ASSERT_EQUAL(number("select count(*) from ledger.entry where kind <> 'bill'"), 0);
        /* What the trial says is what the run then makes. */
        october = run_of("2026-10-01", "2026-11-01", NULL);
        CU_ASSERT_EQUAL(
                number("select count(*) from billing.trial_bill t join billing.bill b using "
                       "(contract_id, period) where b.state in ('draft', 'held') and"
                       " (b.total, b.tax, b.quantity, b.state, b.exceptions) ="
                       " (t.total, t.tax, t.quantity, t.state, t.exceptions)"),
                CONTRACTS);
        CU_ASSERT_EQUAL(call("stranger", "trial.show", json, &reply), 404);
}

static void test_hold_release(void)
{
        char *reply, json[256];

        snprintf(json, sizeof json, "{\"bill\":%s,\"reason\":\"customer called\"}",
                 fixture_sql(f, "select bill_id from billing.bill where contract_id = 9 and state "
                                "= 'draft'"));
        CU_ASSERT_EQUAL(call("maker", "bill.hold", json, &reply), 200);
        CU_ASSERT_EQUAL(call("maker", "bill.hold", json, &reply), 409);
        CU_ASSERT_STRING_EQUAL(codes(9), "held:manual");
        snprintf(json, sizeof json,
                 "{\"run\":%lld,\"cause\":\"estimated\",\"reason\":\"looked at\"}",
                 (long long)october);
        CU_ASSERT_EQUAL(call("maker", "run.release", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "released"), "2");
        CU_ASSERT_STRING_EQUAL(codes(4), "draft:estimated");
        snprintf(json, sizeof json, "{\"run\":%lld,\"reason\":\"all looked at\"}",
                 (long long)october);
        CU_ASSERT_EQUAL(call("maker", "run.release", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "released"), "3");
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill where state = 'held'"), 0);
        /* In bulk: the two with a note, of which one is over the amount. */
        snprintf(json, sizeof json, "{\"run\":%lld,\"reason\":\"all of them\"}",
                 (long long)october);
        CU_ASSERT_EQUAL(call("maker", "run.hold", json, &reply), 422);
        snprintf(json, sizeof json,
                 "{\"run\":%lld,\"cause\":\"amount\",\"over\":%s,\"reason\":\"ask them\"}",
                 (long long)october,
                 fixture_sql(f,
                             "select total - 1 from billing.bill where contract_id = 7 and state = "
                             "'draft'"));
        CU_ASSERT_EQUAL(call("maker", "run.hold", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "held"), "1");
        CU_ASSERT_STRING_EQUAL(codes(7), "held:amount,manual");
        snprintf(json, sizeof json, "{\"run\":%lld,\"reason\":\"all looked at\"}",
                 (long long)october);
        CU_ASSERT_EQUAL(call("maker", "run.release", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(codes(7), "draft:amount,manual");
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select release_reason from billing.bill where "
                                              "contract_id = 1 and state = 'draft'"),
                               "all looked at");
}

/* Three actions: review, approve, issue; the approver must have seen the run as it is. */
static void test_review_and_approve(void)
{
        char *reply, json[256];

        CU_ASSERT_EQUAL(call("maker", "policy.set",
                             "{\"branch\":\"HN\",\"review_required\":true,\"sample\":5}", &reply),
                        200);
        CU_ASSERT_EQUAL(run_call("checker", "run.approve", october, &reply), 422);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "Review bill run"));
        CU_ASSERT_EQUAL(run_call("checker", "run.review", october, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "sample"), "5");
        /* 1, 2, 4, 5, 9 and the two with a note. */
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "outliers"), "7");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.outlier"), "true");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.11.outlier"), "false");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.12.outlier"), "");
        /* Something changes after the review: it does not count any more. */
        snprintf(json, sizeof json, "{\"bill\":%s,\"reason\":\"wait\"}",
                 fixture_sql(f, "select bill_id from billing.bill where contract_id = 10 and state "
                                "= 'draft'"));
        CU_ASSERT_EQUAL(call("maker", "bill.hold", json, &reply), 200);
        CU_ASSERT_EQUAL(run_call("checker", "run.approve", october, &reply), 422);
        CU_ASSERT_EQUAL(run_call("checker", "run.review", october, &reply), 200);
        CU_ASSERT_EQUAL(run_call("checker", "run.approve", october, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "approved");
        CU_ASSERT_EQUAL(run_call("checker", "run.reviews", october, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.reviewer"), "checker");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.0.current"), "true");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "items.1.current"), "false");
        /* What was approved is what is issued. */
        snprintf(json, sizeof json, "{\"run\":%lld,\"reason\":\"let go\"}", (long long)october);
        CU_ASSERT_EQUAL(call("maker", "run.release", json, &reply), 422);
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "take the approval back"));
}

/* The creator's second login, by the record of who is who and by the same full name. */
static void test_same_person(void)
{
        char *reply, json[128];

        snprintf(json, sizeof json, "{\"run\":%lld,\"reason\":\"once more\"}", (long long)october);
        CU_ASSERT_EQUAL(call("checker", "run.undo", json, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "state"), "draft");
        CU_ASSERT_EQUAL(call("checker", "run.undo", json, &reply), 409);
        fixture_user(f, "second", "admin", "HN");
        fixture_user(f, "third", "admin", "HN");
        fixture_exec(f, "update core.login set name = ' lan tran' where login = 'third'");
        CU_ASSERT_EQUAL(fixture_call(f, "login.person",
                                     "{\"login\":\"maker\",\"person\":\"staff 17\"}", &reply),
                        200);
        CU_ASSERT_EQUAL(fixture_call(f, "login.person",
                                     "{\"login\":\"second\",\"person\":\"staff 17\"}", &reply),
                        200);
        CU_ASSERT_EQUAL(
                fixture_call(f, "login.person", "{\"login\":\"nobody\",\"person\":\"x\"}", &reply),
                404);
        for (int i = 0; i < 2; i++) {
                const char *who = i ? "third" : "second";

                CU_ASSERT_EQUAL(run_call(who, "run.review", october, &reply), 200);
                CU_ASSERT_EQUAL(run_call(who, "run.approve", october, &reply), 422);
                CU_ASSERT_PTR_NOT_NULL(strstr(reply, "someone other than"));
        }
        CU_ASSERT_EQUAL(run_call("maker", "run.approve", october, &reply), 422);
        refused("update billing.run set state = 'approved', approved_by = 'second', approved_at = "
                "now()"
                " where state = 'draft'",
                "someone other than");
        CU_ASSERT_EQUAL(run_call("checker", "run.review", october, &reply), 200);
        issue(october);
        CU_ASSERT_EQUAL(number("select sum(debit) - sum(credit) from ledger.line"), 0);
        snprintf(json, sizeof json, "{\"run\":%lld,\"reason\":\"too late\"}", (long long)october);
        CU_ASSERT_EQUAL(call("checker", "run.undo", json, &reply), 409);
        CU_ASSERT_EQUAL(
                number("select count(*) from billing.bill b join billing.run r using (run_id)"
                       " where b.state = 'issued' and lower(b.period) = '2026-10-01'"),
                CONTRACTS - 1);
}

/* A job stopped half-way is shown, and goes on to the same end. */
static void test_stop_and_go_on(void)
{
        char *reply, json[64];
        int64_t run;

        fixture_exec(
                f,
                "insert into t.reading select m, 1, h, 3600, 100, 0 from generate_series(1, 24) m,"
                " generate_series(timestamptz '2026-10-31 17:00+00', '2026-11-30 16:00+00',"
                " '1 hour') h");
        CU_ASSERT_EQUAL(call("maker", "run.create",
                             "{\"branch\":\"HN\",\"from\":\"2026-11-01\",\"to\":\"2026-12-01\"}",
                             &reply),
                        201);
        run = strtoll(fixture_json(f, reply, "run"), NULL, 10);
        snprintf(json, sizeof json, "{\"id\":%s}", fixture_json(f, reply, "job_id"));
        CU_ASSERT_EQUAL(fixture_call(f, "job.cancel", json, &reply), 200);
        fixture_drain(f);
        CU_ASSERT_EQUAL(run_call("maker", "run.monitor", run, &reply), 200);
        if (strcmp(fixture_json(f, reply, "status"), "done") != 0) {
                CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "status"), "cancelled");
                CU_ASSERT_EQUAL(run_call("maker", "run.approve", run, &reply), 422);
                CU_ASSERT_EQUAL(run_call("maker", "run.resume", run, &reply), 200);
                fixture_drain(f);
        }
        CU_ASSERT_EQUAL(run_call("maker", "run.monitor", run, &reply), 200);
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "status"), "done");
        CU_ASSERT_STRING_EQUAL(fixture_json(f, reply, "done"), "24");
        CU_ASSERT_EQUAL(run_call("maker", "run.resume", run, &reply), 409);
        CU_ASSERT_EQUAL(run_call("maker", "run.monitor", 999999, &reply), 404);
        fixture_free(f);
}

HR_TESTS("bill run control", { "opens", open_host }, { "outsort rules are data", test_outsort },
         { "a trial keeps nothing and foretells the run", test_trial },
         { "hold and release, singly and in bulk", test_hold_release },
         { "review, then approve", test_review_and_approve },
         { "not one's own run, whatever the login; undo", test_same_person },
         { "stop and go on", test_stop_and_go_on })
