#include "town.h"

#include <sys/poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hr_test.h"
#include "sim.h"

void town_init(struct town *t)
{
        char bad[256];

        memset(t, 0, sizeof *t);
        strcpy(t->dir, "/tmp/hr-sim-XXXXXX");
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(t->dir));
        snprintf(t->fleet_path, sizeof t->fleet_path, "%s/fleet.json", t->dir);
        snprintf(t->truth_path, sizeof t->truth_path, "%s/truth.jsonl", t->dir);
        /* As the child will: the same series in both. */
        if (series_load("../shared/data/intervals", &t->series, &t->n_series, bad))
                CU_ASSERT_EQUAL_FATAL(series_make(1, &t->series, &t->n_series), 0);
}

void town_deinit(struct town *t)
{
        struct stat st;

        CU_ASSERT_EQUAL(stat(t->truth_path, &st), 0);
        unlink(t->fleet_path);
        unlink(t->truth_path);
        rmdir(t->dir);
        series_free(t->series, t->n_series);
}

void town_start(struct town *t, char **options)
{
        char *argv[32] = { NULL };
        char name[] = "headrace-sim", from[] = "--from=2026-10-01", to[] = "--to=2026-10-03",
             quiet[] = "--progress=0", fleet[96], truth[96];
        int argc = 0;

        snprintf(fleet, sizeof fleet, "--fleet=%s", t->fleet_path);
        snprintf(truth, sizeof truth, "--truth=%s", t->truth_path);
        unlink(t->fleet_path);
        argv[argc++] = name;
        argv[argc++] = from;
        argv[argc++] = to;
        argv[argc++] = quiet;
        argv[argc++] = fleet;
        argv[argc++] = truth;
        while (*options)
                argv[argc++] = *options++;
        CU_ASSERT_EQUAL_FATAL(sim_options_parse(argc, argv, &t->opt), SIM_RUN);
        fflush(NULL);
        t->child = fork();
        if (t->child == 0) {
                int r;

                prctl(PR_SET_PDEATHSIG, SIGKILL);
                r = sim_run(&t->opt);
                fflush(NULL);
                /* Not exit(): libuv's threads of the parent are not there to be joined. */
                _exit(r);
        }
}

void town_stop(struct town *t)
{
        int status = -1;

        kill(t->child, SIGTERM);
        waitpid(t->child, &status, 0);
        CU_ASSERT_EQUAL(status, 0);
}

json_t *town_fleet(struct town *t)
{
        for (int i = 0; i < 500; i++) {
                json_t *j = json_load_file(t->fleet_path, 0, NULL);

                if (j)
                        return j;
                poll(NULL, 0, 20);
        }
        CU_FAIL_FATAL("no fleet file in ten seconds");
        return NULL;
}

json_t *town_find(json_t *fleet, const char *model, unsigned n)
{
        json_t *m;
        size_t i;

        json_array_foreach(json_object_get(fleet, "meters"), i, m)
        {
                if (!strcmp(json_string_value(json_object_get(m, "model")), model) && n-- == 0)
                        return m;
        }
        CU_FAIL_FATAL("no such meter in the fleet file");
        return NULL;
}

void town_meter(const struct town *t, enum sim_kind kind, unsigned number, struct meter *ret)
{
        meter_init(ret, &t->opt, kind, number, t->series, t->n_series);
}
