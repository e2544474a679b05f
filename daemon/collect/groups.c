/* Groups of the schedule, read whenever the registry changes. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect_sql.h"
#include "polling.h"

enum { GROUPS_MAX = 64 };

struct read_group {
        char name[33];
        uint8_t priority;
        int64_t period_ms, deadline_ms;
};

struct groups {
        struct desk_work work;
        struct collect *collect;
        void (*done)(struct collect *c);
        size_t n;
        struct read_group group[GROUPS_MAX];
};

static enum db_status groups_run(struct desk_work *w, struct db_conn *c)
{
        struct groups *g = (struct groups *)w;
        struct db_rows *rows = NULL;
        enum db_status st = db_query(c, sql_read_groups, 0, NULL, &rows);

        g->n = 0;
        for (size_t i = 0; st == DB_OK && i < db_rows_count(rows) && i < GROUPS_MAX; i++) {
                struct read_group *r = &g->group[g->n++];

                snprintf(r->name, sizeof r->name, "%s", db_rows_text(rows, i, 0));
                r->priority = (uint8_t)db_rows_int(rows, i, 1);
                r->period_ms = db_rows_int(rows, i, 2) * 1000;
                r->deadline_ms = db_rows_int(rows, i, 3) * 1000;
        }
        db_rows_free(rows);
        return st;
}

static void groups_done(struct desk_work *w, enum db_status st)
{
        struct groups *g = (struct groups *)w;
        struct collect *c = g->collect;
        void (*done)(struct collect *) = g->done;

        if (st == DB_OK) {
                free(c->groups);
                c->groups = g;
        } else {
                free(g); /* those known so far stay */
        }
        if (!c->closing)
                done(c);
}

void groups_read(struct collect *c, void (*done)(struct collect *c))
{
        struct groups *g = c->desk ? calloc(1, sizeof *g) : NULL;

        if (!g) {
                done(c);
                return;
        }
        g->collect = c;
        g->done = done;
        g->work = (struct desk_work){ .run = groups_run, .done = groups_done };
        desk_submit(c->desk, &g->work);
}

void groups_free(struct collect *c)
{
        free(c->groups);
        c->groups = NULL;
}

bool groups_of(const struct collect *c, const char *name, uint8_t *ret_priority,
               int64_t *ret_period_ms, int64_t *ret_deadline_ms)
{
        for (size_t i = 0; c->groups && *name && i < c->groups->n; i++) {
                const struct read_group *r = &c->groups->group[i];

                if (strcmp(r->name, name) != 0)
                        continue;
                *ret_priority = r->priority;
                *ret_period_ms = r->period_ms;
                *ret_deadline_ms = r->deadline_ms;
                return true;
        }
        return false;
}
