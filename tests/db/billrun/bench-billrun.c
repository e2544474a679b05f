#include <time.h>

#include "billing_fixture.h"

/* Bills and PDFs a second through the whole program: run, issue, print. Contracts from the command
 * line, hourly readings of one month each. */

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

int main(int argc, char **argv)
{
        int n = argc > 1 ? atoi(argv[1]) : 1000, pdfs = n < 300 ? n : 300;
        char json[64], *reply;
        double t;

        if (CU_initialize_registry() != CUE_SUCCESS)
                return 1;
        billing_open(n);
        t = now();
        fixture_call_as(f, "maker", "run.create",
                        "{\"branch\":\"HN\",\"from\":\"2026-10-01\",\"to\":\"2026-11-01\"}",
                        &reply);
        drain_long();
        printf("computed %lld bills: %.0f bills/s\n",
               (long long)number("select count(*) from billing.bill"), n / (now() - t));
        run_call("checker", "run.approve", 1, &reply);
        t = now();
        run_call("maker", "run.issue", 1, &reply);
        while (number("select count(*) from billing.run where state = 'issued'") == 0)
                nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
        printf("issued: %.0f bills/s\n", n / (now() - t));
        drain_long();
        printf("issued and announced: %.0f bills/s\n", n / (now() - t));
        t = now();
        for (int i = 1; i <= pdfs; i++) {
                struct buf pdf = BUF_INIT;

                snprintf(
                        json, sizeof json, "{\"number\":\"%s\"}",
                        fixture_sql(
                                f, "select number from billing.invoice order by random() limit 1"));
                if (host_call(fixture_host(f), "invoice.pdf", json, &pdf) != 200)
                        return 1;
                buf_deinit(&pdf);
        }
        printf("printed: %.0f PDF/s\n", pdfs / (now() - t));
        fixture_free(f);
        return 0;
}
