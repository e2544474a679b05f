#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "billing_fixture.h"

/* A bill run killed with SIGKILL between two of its transactions, and two runs at one contract. */

enum { CONTRACTS = 350 };

static const char digest_sql[] = "select md5(string_agg(concat_ws('|', b.contract_id, b.period, "
                                 "b.total, b.tax, b.quantity, b.inputs, b.carry, l.lines,"
                                 " d.readings), ';' order by b.contract_id)) from billing.bill b"
                                 " cross join lateral (select string_agg(encode(hash, 'hex') || "
                                 "trace, ',' order by line_no) as lines from"
                                 " billing.bill_line l where l.bill_id = b.bill_id) l"
                                 " cross join lateral (select string_agg(encode(readings, 'hex'), "
                                 "',') as readings from billing.determinant d"
                                 " where d.bill_id = b.bill_id) d where b.run_id = %lld";

static const char *digest(int64_t run)
{
        static char sql[1024];

        snprintf(sql, sizeof sql, digest_sql, (long long)run);
        return fixture_sql(f, sql);
}

/* In a process of its own: makes the town, starts the run, dies in the middle of it. */
static void child(void)
{
        char *reply;

        billing_open(CONTRACTS);
        fixture_call_as(f, "maker", "run.create",
                        "{\"branch\":\"HN\",\"from\":\"2026-10-01\",\"to\":\"2026-11-01\"}",
                        &reply);
        for (int i = 0; i < 20000; i++) {
                if (number("select done from billing.run") >= 100)
                        kill(getpid(), SIGKILL);
                usleep(500);
        }
        _exit(3);
}

static void test_kill(void)
{
        static const char *const plugins[] = {
                "crm/customer/customer.so",   "billing/tariff/tariff.so",
                "billing/vee/vee.so",         "billing/ledger/ledger.so",
                "billing/billrun/billrun.so", "billing/invoice/invoice.so",
                "billing/payment/payment.so", NULL
        };
        char first[64], *reply;
        pid_t pid;
        int64_t again, before;
        int status;

        if (!getenv("HEADRACE_TEST_DB"))
                exit(77);
        /* Two at a run, and two runs at once. */
        setenv("HEADRACE_TEST_JOB_WORKERS", "2", 1);
        fflush(stdout);
        pid = fork();
        if (pid == 0)
                child();
        CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
        CU_ASSERT_TRUE_FATAL(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

        f = fixture_new(plugins);
        before = number("select count(*) from billing.bill");
        fixture_drain(f);
        CU_ASSERT_TRUE(before >= 100 && before < CONTRACTS);
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill"), CONTRACTS);
        CU_ASSERT_EQUAL(number("select count(distinct contract_id) from billing.bill"), CONTRACTS);
        CU_ASSERT_EQUAL(number("select done from billing.run"), CONTRACTS);
        CU_ASSERT_EQUAL(number("select skipped from billing.run"), 0);
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select computed_at is not null from billing.run"),
                               "t");
        snprintf(first, sizeof first, "%s", digest(1));
        CU_ASSERT_EQUAL(strlen(first), 32);
        /* The same bills as a run nobody interrupts. */
        CU_ASSERT_EQUAL(run_call("maker", "run.cancel", 1, &reply), 200);
        again = run_of("2026-10-01", "2026-11-01", NULL);
        CU_ASSERT_STRING_EQUAL(digest(again), first);
        issue(again);
}

static int64_t created(const char *from, const char *to)
{
        char json[128], *reply;

        snprintf(json, sizeof json, "{\"branch\":\"HN\",\"from\":\"%s\",\"to\":\"%s\"}", from, to);
        CU_ASSERT_EQUAL_FATAL(fixture_call_as(f, "maker", "run.create", json, &reply), 201);
        return strtoll(fixture_json(f, reply, "run"), NULL, 10);
}

static int64_t of_run(const char *what, int64_t run)
{
        char sql[256];

        snprintf(sql, sizeof sql, "select %s = %lld", what, (long long)run);
        return number(sql);
}

/* Two runs of the same days in the same minutes: a contract gets its bill from one of them. */
static void test_two_runs(void)
{
        int64_t a = created("2026-09-01", "2026-10-01"), b = created("2026-09-01", "2026-10-01");

        fixture_drain(f);
        CU_ASSERT_EQUAL(of_run("count(*) from billing.bill where run_id", a) +
                                of_run("count(*) from billing.bill where run_id", b),
                        CONTRACTS);
        CU_ASSERT_EQUAL(number("select count(distinct contract_id) from billing.bill where "
                               "lower(period) = '2026-09-01'"),
                        CONTRACTS);
        CU_ASSERT_EQUAL(of_run("skipped from billing.run where run_id", a) +
                                of_run("skipped from billing.run where run_id", b),
                        CONTRACTS);
        CU_ASSERT_EQUAL(of_run("done from billing.run where run_id", a), CONTRACTS);
        CU_ASSERT_EQUAL(of_run("done from billing.run where run_id", b), CONTRACTS);
        run_call("maker", "run.cancel", a, NULL);
        run_call("maker", "run.cancel", b, NULL);
}

/* Cancelled while it is computed: no bill of it is left open, and the days can be billed again. */
static void test_cancel(void)
{
        int64_t run = created("2026-09-01", "2026-10-01");

        for (int i = 0; i < 20000 && of_run("done from billing.run where run_id", run) == 0; i++)
                usleep(500);
        CU_ASSERT_EQUAL(run_call("maker", "run.cancel", run, NULL), 200);
        fixture_drain(f);
        CU_ASSERT_TRUE(of_run("done from billing.run where run_id", run) < CONTRACTS);
        CU_ASSERT_EQUAL(of_run("count(*) from billing.bill where state in ('draft', 'held') and "
                               "run_id",
                               run),
                        0);
        CU_ASSERT_EQUAL(of_run("(computed_at is not null)::int from billing.run where run_id", run),
                        0);
        CU_ASSERT_EQUAL(number("select count(*) from core.job where status not in ('done', "
                               "'cancelled')"),
                        0);
        run = run_of("2026-09-01", "2026-10-01", NULL);
        CU_ASSERT_EQUAL(of_run("count(*) from billing.bill where state = 'draft' and run_id", run),
                        CONTRACTS);
}

struct saver {
        const char *run;
        pthread_barrier_t *start;
        long saved, failed;
};

static const char bill_json[] = "[{\"contract_id\":%d,\"account_id\":1,\"service_point_id\":1,"
                                "\"from_day\":20900,\"to_day\":20930,\"state\":\"draft\","
                                "\"total\":0,\"tax\":0,\"unit\":\"\",\"currency\":\"VND\","
                                "\"carry\":[],\"exceptions\":[],\"inputs\":{},"
                                "\"determinants\":[],\"lines\":[]}]";

static void *save_all(void *arg)
{
        struct saver *s = arg;

        pthread_barrier_wait(s->start);
        for (int i = 1; i <= 100; i++) {
                struct db_conn *c = db_take(fixture_db(f), 5000, NULL);
                struct db_rows *rows = NULL;
                char json[512];
                const char *params[] = { s->run, json };

                snprintf(json, sizeof json, bill_json, i);
                if (c && db_begin(c, "*", false) == DB_OK &&
                    db_query(c, "select saved from billing.save_bills($1::bigint, $2::jsonb)", 2,
                             params, &rows) == DB_OK) {
                        s->saved += db_rows_int(rows, 0, 0);
                        s->failed += db_commit(c) != DB_OK;
                } else {
                        s->failed++;
                }
                db_rows_free(rows);
                db_give(fixture_db(f), c);
        }
        return NULL;
}

/* Two runs save the same hundred contracts at the same time: each contract gets one bill. */
static void test_parallel(void)
{
        struct saver savers[2];
        pthread_barrier_t start;
        pthread_t threads[2];
        char runs[2][24];

        pthread_barrier_init(&start, NULL, 2);
        for (int i = 0; i < 2; i++) {
                snprintf(runs[i], sizeof runs[i], "%lld",
                         (long long)number("insert into billing.run (branch_id, cycle, period, "
                                           "created_by) values (1, 'monthly',"
                                           " '[2027-03-01,2027-04-01)', 'x') returning run_id"));
                savers[i] = (struct saver){ runs[i], &start, 0, 0 };
                CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, save_all, &savers[i]), 0);
        }
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        CU_ASSERT_EQUAL(savers[0].saved + savers[1].saved, 100);
        /* The later one skips; it does not fail its whole batch. */
        CU_ASSERT_EQUAL(savers[0].failed + savers[1].failed, 0);
        CU_ASSERT_EQUAL(
                number("select count(*) from billing.bill where lower(period) > '2027-01-01'"),
                100);
        CU_ASSERT_EQUAL(number("select count(distinct contract_id) from billing.bill where "
                               "lower(period) > '2027-01-01'"),
                        100);
        pthread_barrier_destroy(&start);
        fixture_free(f);
}

HR_TESTS("billrun resume", { "killed in the middle, the same bills, none twice", test_kill },
         { "two runs of the same days", test_two_runs }, { "cancelled in the middle", test_cancel },
         { "two runs at once, one bill a contract", test_parallel })
