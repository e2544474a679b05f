/*
 * Connections that die at any moment, COMMIT included: what was answered with success is there,
 * once; what was answered with failure is not there.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host_fixture.h"

enum { WRITERS = 3, EACH = 100 };

static const char *const plugins[] = { "tests/db/host/plug.so", NULL };
static struct fixture *f;
static atomic_bool over;
static atomic_int kills;

struct writer {
        pthread_t thread;
        int number;
        bool done[EACH];
        int answered[3]; /* 201, 503, other */
};

static void *write_items(void *arg)
{
        struct writer *w = arg;

        for (int i = 0; i < EACH; i++) {
                struct buf reply = BUF_INIT;
                char json[80];
                int status;

                snprintf(json, sizeof json,
                         "{\"branch_id\":1,\"name\":\"w%d-%d\",\"sleep\":\"0.002\"}", w->number, i);
                status = host_call(fixture_host(f), "plug.create", json, &reply);
                w->done[i] = status == 201;
                w->answered[status == 201 ? 0 : status == 503 ? 1 : 2]++;
                if (status != 201 && status != 503)
                        printf("%d %s\n", status, buf_cstr(&reply));
                buf_deinit(&reply);
        }
        return NULL;
}

/* Ends other sessions as an administrator or a fail-over would. */
static void *cut(void *arg)
{
        const char *sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where "
                          "pid <> pg_backend_pid() and usename = current_user and random() < 0.3";
        struct db *db = arg;

        while (!atomic_load(&over)) {
                struct db_conn *c = db_take(db, 1000, NULL);
                struct db_rows *rows = NULL;

                if (c && db_query(c, sql, 0, NULL, &rows) == DB_OK)
                        atomic_fetch_add(&kills, (int)db_rows_int(rows, 0, 0));
                db_rows_free(rows);
                if (c)
                        db_give(db, c);
                usleep(15000);
        }
        return NULL;
}

static int check(const struct writer *w)
{
        int failed = 0;

        for (int i = 0; i < EACH; i++) {
                char sql[120];
                int n;

                snprintf(sql, sizeof sql, "select count(*) from plug.item where name = 'w%d-%d'",
                         w->number, i);
                n = atoi(fixture_sql(f, sql));
                if (n != w->done[i]) {
                        printf("w%d-%d: answered %s, stored %d times\n", w->number, i,
                               w->done[i] ? "201" : "503", n);
                        failed++;
                }
        }
        return failed + w->answered[2];
}

int main(void)
{
        struct writer writers[WRITERS] = { 0 };
        struct db *db;
        pthread_t cutter;
        int failed = 0, good = 0;

        f = fixture_new(plugins);
        fixture_branch(f, 1, "HN", "UTC", "EUR", 2);
        if (db_open(&db, getenv("HEADRACE_TEST_DB"), 1))
                return 1;
        pthread_create(&cutter, NULL, cut, db);
        for (int i = 0; i < WRITERS; i++) {
                writers[i].number = i;
                pthread_create(&writers[i].thread, NULL, write_items, &writers[i]);
        }
        for (int i = 0; i < WRITERS; i++)
                pthread_join(writers[i].thread, NULL);
        atomic_store(&over, true);
        pthread_join(cutter, NULL);
        db_close(db);
        for (int i = 0; i < WRITERS; i++) {
                failed += check(&writers[i]);
                good += writers[i].answered[0];
        }
        fixture_drain(f);
        /* Every event told once, the chain of the audit trail whole. */
        failed += strcmp(fixture_sql(f, "select count(*) = count(distinct event_id) and count(*) = "
                                        "(select count(*) from plug.item) from plug.seen"),
                         "t") != 0;
        failed += atoi(fixture_sql(f, "select count(*) from core.audit_verify()")) != 0;
        printf("%d sessions cut, %d of %d writes answered with success, %d faults\n",
               atomic_load(&kills), good, WRITERS * EACH, failed);
        if (atomic_load(&kills) < 20 || good < WRITERS * EACH / 4)
                failed++; /* then the test shows nothing */
        fixture_free(f);
        return failed ? 1 : 0;
}
