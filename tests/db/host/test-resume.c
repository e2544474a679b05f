/* A daemon killed in the middle of a job: the next one goes on where it stopped, nothing twice. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host_fixture.h"

enum { STEPS = 120, KILLS = 3 };

static const char *const plugins[] = { "tests/db/host/plug.so", NULL };

static int serve(const char *first)
{
        struct fixture *f = fixture_new(plugins);

        if (!strcmp(first, "submit")) {
                char json[32];

                snprintf(json, sizeof json, "{\"to\":%d}", STEPS);
                if (fixture_call(f, "plug.count", json, NULL) != 200)
                        return 1;
        }
        for (;;)
                pause();
}

static pid_t start(const char *self, const char *mode)
{
        pid_t pid = fork();

        if (pid == 0) {
                execl(self, self, mode, (char *)NULL);
                _exit(127);
        }
        return pid;
}

/* Steps counted so far, on a connection of our own; -1 before there is a table. */
static int steps(struct db *db)
{
        struct db_conn *c = db_take(db, 2000, NULL);
        struct db_rows *rows = NULL;
        int n = -1;

        if (c && db_query(c, "select count(*) from plug.step", 0, NULL, &rows) == DB_OK)
                n = (int)db_rows_int(rows, 0, 0);
        db_rows_free(rows);
        if (c)
                db_give(db, c);
        return n;
}

static int expect(struct fixture *f, const char *sql, const char *wanted)
{
        const char *got = fixture_sql(f, sql);

        if (!strcmp(got, wanted))
                return 0;
        printf("%s: %s instead of %s\n", sql, got, wanted);
        return 1;
}

int main(int argc, char **argv)
{
        struct db *db;
        struct fixture *f;
        char wanted[16];
        int failed, before;

        if (argc > 1)
                return serve(argv[1]);
        if (!getenv("HEADRACE_TEST_DB"))
                return 77;
        if (db_open(&db, getenv("HEADRACE_TEST_DB"), 2))
                return 1;
        for (int i = 0; i < KILLS; i++) {
                pid_t pid = start(argv[0], i ? "go on" : "submit");

                before = steps(db);
                for (int t = 0; t < 600 && steps(db) < (before < 0 ? 0 : before) + 15; t++)
                        usleep(20000);
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                printf("killed after %d of %d steps\n", steps(db), STEPS);
                if (steps(db) >= STEPS || steps(db) <= before)
                        return 1; /* the test itself would show nothing */
        }
        db_close(db);
        f = fixture_new(plugins);
        fixture_drain(f);
        snprintf(wanted, sizeof wanted, "%d", STEPS);
        failed = expect(f, "select count(*) from plug.step", wanted);
        failed += expect(f, "select count(distinct n) from plug.step", wanted);
        failed += expect(f, "select status from core.job", "done");
        failed += expect(f, "select epoch from core.job", "4");
        fixture_free(f);
        printf("%s\n", failed ? "FAILED" : "resumed each time, every step once");
        return failed ? 1 : 0;
}
