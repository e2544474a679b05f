/* The embedded database and broker really run: made, killed, restarted, ended. */
#include "services.h"
#include "hr_test.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static int free_port(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof a;
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
        getsockname(fd, (struct sockaddr *)&a, &n);
        close(fd);
        return ntohs(a.sin_port);
}

/* Process id in the first line of the cluster's postmaster.pid. */
static pid_t postmaster(const char *conninfo)
{
        char path[PATH_MAX];
        long pid = 0;
        FILE *f;

        snprintf(path, sizeof path, "%.*s/pg/postmaster.pid", (int)strcspn(conninfo + 5, " "),
                 conninfo + 5);
        f = fopen(path, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        CU_ASSERT_EQUAL(fscanf(f, "%ld", &pid), 1);
        fclose(f);
        return (pid_t)pid;
}

static bool stop_waiting;

static void on_timer(uv_timer_t *t)
{
        (void)t;
        stop_waiting = true;
}

static bool answers_within(uv_loop_t *loop, const char *conninfo, uint64_t ms)
{
        uv_timer_t timer;
        bool ok = false;

        stop_waiting = false;
        uv_timer_init(loop, &timer);
        uv_timer_start(&timer, on_timer, ms, 0);
        while (!stop_waiting && !ok) {
                uv_run(loop, UV_RUN_NOWAIT);
                ok = PQping(conninfo) == PQPING_OK;
                usleep(20000);
        }
        uv_close((uv_handle_t *)&timer, NULL);
        uv_run(loop, UV_RUN_NOWAIT);
        return ok;
}

static void made_killed_restarted_ended(void)
{
        char dir[] = "/tmp/hrsvc.XXXXXX", conninfo[PATH_MAX], command[PATH_MAX];
        struct services_options o = { .run_as = "postgres", .postgres = true, .broker = true };
        struct buf error = BUF_INIT;
        struct services *s = NULL;
        uv_loop_t loop;
        PGresult *rows;
        PGconn *conn;
        pid_t pid;

        if (access("/usr/sbin/mosquitto", X_OK)) {
                printf("SKIP: mosquitto is not installed\n");
                exit(77);
        }
        CU_ASSERT_PTR_NOT_NULL_FATAL(
                mkdtemp(dir)); /* mode 0700: root's own, not reachable for others */
        o.state_dir = dir;
        o.broker_port = free_port();
        uv_loop_init(&loop);
        CU_ASSERT_EQUAL(services_open(&s, &loop, &o, &error), 0);
        if (error.len)
                printf("%s\n", buf_cstr(&error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        snprintf(conninfo, sizeof conninfo, "%s", services_database(s));
        conn = PQconnectdb(conninfo);
        CU_ASSERT_EQUAL(PQstatus(conn), CONNECTION_OK);
        PQclear(PQexec(conn, "create table kept (a int)"));
        PQfinish(conn);

        pid = postmaster(conninfo);
        CU_ASSERT_EQUAL(kill(pid, SIGKILL), 0);
        CU_ASSERT_TRUE(answers_within(&loop, conninfo, 30000));
        CU_ASSERT_EQUAL(services_restarts(s), 1);
        conn = PQconnectdb(conninfo);
        rows = PQexec(conn, "select * from kept");
        CU_ASSERT_EQUAL(PQresultStatus(rows), PGRES_TUPLES_OK);
        PQclear(rows);
        PQfinish(conn);

        services_close(s);
        CU_ASSERT_NOT_EQUAL(PQping(conninfo), PQPING_OK);
        uv_run(&loop, UV_RUN_DEFAULT);
        CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
        buf_deinit(&error);
        snprintf(command, sizeof command, "rm -rf %s '%.*s'", dir, (int)strcspn(conninfo + 5, " "),
                 conninfo + 5);
        CU_ASSERT_EQUAL(system(command), 0);
}

HR_TESTS("services", { "embedded database and broker: made, killed, restarted, ended",
                       made_killed_restarted_ended })
