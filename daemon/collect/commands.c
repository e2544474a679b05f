#include "commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect_sql.h"
#include "polling.h"

enum { LOOK_MS = 1000, DUE_MAX = 1000, TIDY_EVERY = 30, TRIM_EVERY = 3600 };

/* The question which meters have commands that are due, and its last answer. */
struct due {
        struct desk_work work;
        struct collect *collect;
        bool asking, again, recovered;
        unsigned round;
        size_t n, n_found;
        uint32_t found[DUE_MAX]; /* at the desk */
        uint32_t meters[DUE_MAX];
};

static enum db_status due_run(struct desk_work *w, struct db_conn *c)
{
        struct due *d = (struct due *)w;
        struct db_rows *rows = NULL;
        const char *holder[] = { d->collect->instance };
        enum db_status st = DB_OK;

        if (!d->recovered)
                st = db_query(c, sql_command_recover, 1, holder, NULL);
        if (st == DB_OK && d->round % TRIM_EVERY == 1)
                st = db_query(c, sql_causes_trim, 0, NULL, NULL);
        if (st == DB_OK)
                st = db_query(c, sql_command_due, 0, NULL, &rows);
        d->n_found = 0;
        for (size_t i = 0; st == DB_OK && i < db_rows_count(rows) && i < DUE_MAX; i++)
                d->found[d->n_found++] = (uint32_t)db_rows_int(rows, i, 0);
        db_rows_free(rows);
        /* Both publish: the last of the transaction. */
        if (st == DB_OK && d->round % TIDY_EVERY == 0)
                st = db_query(c, sql_command_sweep, 0, NULL, NULL);
        return st == DB_OK ? db_query(c, sql_alarms_tell, 0, NULL, NULL) : st;
}

static void due_done(struct desk_work *w, enum db_status st)
{
        struct due *d = (struct due *)w;
        struct collect *c = d->collect;
        int64_t now = (int64_t)uv_now(c->loop);

        d->asking = false;
        if (st == DB_OK) {
                d->recovered = true;
                d->round++;
                d->n = d->n_found;
                memcpy(d->meters, d->found, d->n * sizeof *d->meters);
        }
        if (c->closing)
                return;
        for (size_t i = 0; st == DB_OK && i < d->n; i++)
                sweep_demand(c->sweep, d->meters[i], now);
        if (d->again)
                commands_look(c);
        poll_turn(c);
}

void commands_look(struct collect *c)
{
        struct due *d = c->due;

        if (!d || c->closing)
                return;
        d->again = d->asking;
        if (d->asking)
                return;
        d->asking = true;
        d->work = (struct desk_work){ .run = due_run, .done = due_done };
        desk_submit(c->desk, &d->work);
}

static void on_timer(uv_timer_t *t)
{
        commands_look(t->data);
}

bool commands_take_due(struct collect *c, uint32_t meter_id)
{
        struct due *d = c->due;

        for (size_t i = 0; d && i < d->n; i++)
                if (d->meters[i] == meter_id) {
                        d->meters[i] = d->meters[--d->n];
                        return true;
                }
        return false;
}

int commands_open(struct collect *c, const struct collect_options *o, struct buf *error)
{
        const struct config *f = c->config;
        char path[4096];
        int r;

        c->clock.policy = config_text(f, "clock", "policy");
        c->clock.tolerance_s = config_int(f, "clock", "tolerance") / 1000;
        c->clock.shift_limit_s = config_int(f, "clock", "shift_limit") / 1000;
        c->master = o->master;
        c->instance = o->instance ? o->instance : "headraced";
        if (strcmp(c->clock.policy, "record") != 0 && strcmp(c->clock.policy, "shift") != 0 &&
            strcmp(c->clock.policy, "set") != 0) {
                buf_printf(error, "[clock] policy: \"%s\" is none of record, shift, set\n",
                           c->clock.policy);
                return -EINVAL;
        }
        if (!c->db)
                return 0;
        snprintf(path, sizeof path, "%s/disconnections", o->state_dir);
        r = caps_open(&c->caps, path,
                      (unsigned)config_int(f, "commands", "disconnects_per_hour"),
                      (unsigned)config_int(f, "commands", "disconnects_per_day"),
                      collect_now_us() / 1000000);
        if (r < 0) {
                buf_printf(error,
                           "%s: %s; the file counts the disconnections of the last day and may not "
                           "be lost\n",
                           path, r == -EBADMSG ? "it is damaged" : strerror(-r));
                return r;
        }
        r = desk_open(&c->desk, c->loop, c->db);
        if (r < 0)
                return r;
        c->due = calloc(1, sizeof *c->due);
        if (!c->due)
                return -ENOMEM;
        c->due->collect = c;
        c->command_timer.data = c;
        uv_timer_start(&c->command_timer, on_timer, 0, LOOK_MS);
        return 0;
}

void commands_close(struct collect *c)
{
        uv_timer_stop(&c->command_timer);
}

void commands_free(struct collect *c)
{
        free(c->due);
        caps_close(c->caps);
}
