/* Invocation counters never go back: not over a restart, a kill, a torn file, a lost one. */
#include "hr_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "counters.h"

static char dir[] = "/tmp/headrace-counters-XXXXXX";
static char path[128];

struct got {
        int status;
        uint64_t first, end;
        unsigned calls;
};

static void on_reserved(void *arg, int status, uint64_t first, uint64_t end)
{
        struct got *g = arg;

        *g = (struct got){ status, first, end, g->calls + 1 };
}

static struct got reserve(struct counters *c, uv_loop_t *loop, uint32_t id, uint64_t floor)
{
        struct got g = { 0 };

        counters_reserve(c, id, floor, on_reserved, &g);
        uv_run(loop, UV_RUN_DEFAULT);
        CU_ASSERT_EQUAL(g.calls, 1);
        return g;
}

static void rises_within_and_over_restarts(void)
{
        uint64_t highest[50] = { 0 };

        for (int round = 0; round < 3; round++) {
                struct counters *c;
                uv_loop_t loop;

                uv_loop_init(&loop);
                CU_ASSERT_EQUAL_FATAL(counters_open(&c, &loop, path), 0);
                for (uint32_t id = 1; id < 50; id++)
                        for (int session = 0; session < 4; session++) {
                                struct got g = reserve(c, &loop, id, 0);

                                CU_ASSERT_EQUAL(g.status, 0);
                                CU_ASSERT(g.first >= highest[id]);
                                CU_ASSERT(g.end - g.first >= COUNTERS_SESSION_MIN);
                                highest[id] = g.first + 300;
                                counters_used(c, id, highest[id]);
                        }
                counters_close(c);
                uv_loop_close(&loop);
        }
        /* A new meter begins far above what a lost file could have used. */
        CU_ASSERT(highest[1] > (uint64_t)time(NULL) - 1577836800);
}

static void a_floor_lifts(void)
{
        struct counters *c;
        uv_loop_t loop;
        struct got g;

        uv_loop_init(&loop);
        CU_ASSERT_EQUAL_FATAL(counters_open(&c, &loop, path), 0);
        g = reserve(c, &loop, 7, 3000000000u);
        CU_ASSERT_EQUAL(g.status, 0);
        CU_ASSERT_EQUAL(g.first, 3000000000u);
        g = reserve(c, &loop, 7, 5);
        CU_ASSERT(g.first >= 3000000000u);
        g = reserve(c, &loop, 8, UINT32_MAX - 10);
        CU_ASSERT_EQUAL(g.status, -EOVERFLOW);
        counters_close(c);
        uv_loop_close(&loop);
        uv_loop_init(&loop);
        CU_ASSERT_EQUAL_FATAL(counters_open(&c, &loop, path), 0);
        g = reserve(c, &loop, 7, 0);
        CU_ASSERT(g.first >= 3000000000u + COUNTERS_SESSION_MIN);
        counters_close(c);
        uv_loop_close(&loop);
}

/* What a killed process said it uses is in the file before it says so. */
static void kill_9_forgets_nothing(void)
{
        uint64_t before = 0;

        for (int round = 0; round < 5; round++) {
                uint64_t told[2] = { 0 };
                int p[2];
                pid_t child;

                CU_ASSERT_EQUAL_FATAL(pipe(p), 0);
                child = fork();
                if (child == 0) {
                        struct counters *c;
                        uv_loop_t loop;
                        struct got g;

                        uv_loop_init(&loop);
                        if (counters_open(&c, &loop, path) != 0)
                                _exit(1);
                        g = reserve(c, &loop, 33, 0);
                        told[0] = g.first;
                        told[1] = g.end;
                        (void)!write(p[1], told, sizeof told);
                        pause();
                }
                CU_ASSERT_EQUAL(read(p[0], told, sizeof told), sizeof told);
                kill(child, SIGKILL);
                waitpid(child, NULL, 0);
                close(p[0]);
                close(p[1]);
                CU_ASSERT(told[0] >= before);
                before = told[1];
        }
}

static void a_torn_end_is_cut_damage_is_refused(void)
{
        struct counters *c = NULL;
        struct stat st;
        uv_loop_t loop;
        struct got g;
        int fd;

        uv_loop_init(&loop);
        fd = open(path, O_WRONLY | O_APPEND);
        CU_ASSERT_EQUAL(write(fd, "\x52\x48\x43\x49half", 8), 8);
        close(fd);
        CU_ASSERT_EQUAL_FATAL(counters_open(&c, &loop, path), 0);
        g = reserve(c, &loop, 7, 0);
        CU_ASSERT(g.first >= 3000000000u);
        counters_close(c);
        fd = open(path, O_WRONLY);
        CU_ASSERT_EQUAL(pwrite(fd, "X", 1, 25), 1);
        fstat(fd, &st);
        CU_ASSERT(st.st_size > 100);
        close(fd);
        c = NULL;
        CU_ASSERT_EQUAL(counters_open(&c, &loop, path), -EBADMSG);
        CU_ASSERT_EQUAL(counters_open(&c, &loop, "/nowhere/at/all"), -ENOENT);
        uv_loop_close(&loop);
}

static void begin(void)
{
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/counters", dir);
}

static void end(void)
{
        char cmd[64];

        snprintf(cmd, sizeof cmd, "rm -r %s", dir);
        CU_ASSERT_EQUAL(system(cmd), 0);
}

HR_TESTS("counters", { "a place for the file", begin },
         { "rises within and over restarts", rises_within_and_over_restarts },
         { "a floor lifts it, for good", a_floor_lifts },
         { "kill -9 forgets nothing", kill_9_forgets_nothing },
         { "a torn end is cut, damage is refused", a_torn_end_is_cut_damage_is_refused },
         { "the file goes", end })
