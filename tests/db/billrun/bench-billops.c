#define BILLING_FIXTURE_BILLOPS
#include <time.h>

#include "billing_fixture.h"

/* The work around a bill run, through the whole program: trial, rules, review, re-bill. Contracts
 * from the command line, hourly readings of two months each. */

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void drain_long(void)
{
        while (host_drain(fixture_host(f), 60000) != 0)
                ;
}

static void done(const char *what, int n, double since)
{
        double s = now() - since;

        printf("%-28s %7.2f s  %8.0f contracts/s\n", what, s, n / s);
}

/* Creates a run of October and issues it. */
static void bill(int n)
{
        char *reply;
        double t = now();

        fixture_call_as(f, "maker", "run.create",
                        "{\"branch\":\"HN\",\"from\":\"2026-10-01\",\"to\":\"2026-11-01\"}",
                        &reply);
        drain_long();
        done("run with 5 outsort rules", n, t);
        t = now();
        fixture_exec(f, "select billing.outsort_run(1)");
        done("of which the rules", n, t);
        t = now();
        run_call("checker", "run.review", 1, &reply);
        done("review", n, t);
        run_call("checker", "run.approve", 1, &reply);
        run_call("maker", "run.issue", 1, &reply);
        drain_long();
}

static void rebill(int n)
{
        char *reply;
        double t = now();

        fixture_call_as(f, "maker", "rebill.create",
                        "{\"branch\":\"HN\",\"reason\":\"bench\",\"tariff\":\"VN\"}", &reply);
        drain_long();
        done("re-bill simulated", n, t);
        t = now();
        fixture_call_as(f, "checker", "rebill.approve", "{\"rebill\":1}", &reply);
        drain_long();
        done("re-bill carried out", n, t);
        fixture_call(f, "rebill.show", "{\"rebill\":1}", &reply);
        printf("done %s of %s, change %s\n", fixture_json(f, reply, "done"),
               fixture_json(f, reply, "bills"), fixture_json(f, reply, "change"));
}

int main(int argc, char **argv)
{
        static const char *const rules[] = { "high", "low", "first", "changed",
                                             "estimated_periods" };
        int n = argc > 1 ? atoi(argv[1]) : 1000;
        char *reply;
        double t;

        if (CU_initialize_registry() != CUE_SUCCESS)
                return 1;
        billing_open(n);
        for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
                char json[128];

                snprintf(json, sizeof json,
                         "{\"branch\":\"HN\",\"kind\":\"%s\",\"threshold\":\"50\",\"action\":"
                         "\"note\"}",
                         rules[i]);
                fixture_call_as(f, "maker", "outsort.set", json, &reply);
        }
        t = now();
        fixture_call_as(f, "maker", "trial.create",
                        "{\"branch\":\"HN\",\"from\":\"2026-10-01\",\"to\":\"2026-11-01\"}",
                        &reply);
        drain_long();
        done("trial", n, t);
        bill(n);
        fixture_exec(f, "update t.reading set value = value + 1 where at >= '2026-09-30 17:00+00'");
        rebill(n);
        fixture_free(f);
        return 0;
}
