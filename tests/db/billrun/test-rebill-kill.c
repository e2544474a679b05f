#define BILLING_FIXTURE_BILLOPS
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "billing_fixture.h"

/* A re-bill killed with SIGKILL between two of its transactions goes on where it was: every bill
 * once reversed, once billed again, the ledger moved by the change that was approved. */

enum { CONTRACTS = 220 };

static int64_t simulate(void)
{
        char *reply;

        fixture_call_as(f, "maker", "rebill.create",
                        "{\"branch\":\"HN\",\"reason\":\"meter factor\",\"tariff\":\"VN\"}",
                        &reply);
        fixture_drain(f);
        return strtoll(fixture_json(f, reply, "rebill"), NULL, 10);
}

/* In a process of its own: bills a month, changes every meter, approves, dies half-way. */
static void child(void)
{
        char *reply, json[64];

        billing_open(CONTRACTS);
        issue(run_of("2026-10-01", "2026-11-01", NULL));
        forge("update t.reading set value = value + 1 where at >= '2026-09-30 17:00+00'");
        snprintf(json, sizeof json, "{\"rebill\":%lld}", (long long)simulate());
        fixture_call_as(f, "checker", "rebill.approve", json, &reply);
        for (int i = 0; i < 20000; i++) {
                if (number("select count(*) from billing.rebill_item where state = 'done'") >= 50)
                        kill(getpid(), SIGKILL);
                usleep(500);
        }
        _exit(3);
}

static void test_kill(void)
{
        static const char *const plugins[] = { "crm/customer/customer.so",
                                               "billing/tariff/tariff.so",
                                               "billing/vee/vee.so",
                                               "billing/ledger/ledger.so",
                                               "billing/billrun/billrun.so",
                                               "billing/invoice/invoice.so",
                                               "billing/payment/payment.so",
                                               "billing/billops/billops.so",
                                               NULL };
        pid_t pid;
        int64_t before;
        int status;

        if (!getenv("HEADRACE_TEST_DB"))
                exit(77);
        fflush(stdout);
        pid = fork();
        if (pid == 0)
                child();
        CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
        CU_ASSERT_TRUE_FATAL(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

        f = fixture_new(plugins);
        before = number("select count(*) from billing.rebill_item where state = 'done'");
        fixture_drain(f);
        CU_ASSERT_TRUE(before >= 50 && before < CONTRACTS);
        CU_ASSERT_EQUAL(number("select count(*) from billing.rebill_item where state = 'done'"),
                        CONTRACTS);
        CU_ASSERT_STRING_EQUAL(fixture_sql(f, "select state from billing.rebill"), "done");
        CU_ASSERT_EQUAL(number("select count(*) from billing.run where kind = 'rebill'"), 1);
        CU_ASSERT_STRING_EQUAL(
                fixture_sql(f, "select state from billing.run where kind = 'rebill'"), "issued");
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill where state = 'issued'"),
                        CONTRACTS);
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill where state = 'reversed'"),
                        CONTRACTS);
        CU_ASSERT_EQUAL(number("select count(*) from billing.bill"), 2 * CONTRACTS);
        CU_ASSERT_EQUAL(number("select sum(debit - credit) from ledger.line where gl = '1200'"),
                        number("select sum(new_total) from billing.rebill_item"));
        CU_ASSERT_EQUAL(number("select sum(debit - credit) from ledger.line"), 0);
        CU_ASSERT_EQUAL(number("select count(*) from (select kind, max(seq) - count(*) as gap from "
                               "billing.invoice group by kind) x where gap <> 0"),
                        0);
        CU_ASSERT_EQUAL(number("select count(*) from core.event where type = 'bill.reversed'"),
                        CONTRACTS);
        CU_ASSERT_EQUAL(number("select count(*) from core.event where type = 'rebill.done'"), 1);
        fixture_free(f);
}

HR_TESTS("re-bill killed", { "killed and resumed", test_kill })
