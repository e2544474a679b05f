#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "seal.h"

enum { ATTEMPTS = 8 };

struct run {
        struct db *db;
        struct seal_cut cut;
        uint32_t after, lo, hi;
        struct seal_stats *stats;
        char *error;
        size_t error_size;
};

typedef enum db_status step(struct db_conn *c, struct run *run, struct seal_stats *stats);

static enum db_status step_cut(struct db_conn *c, struct run *run, struct seal_stats *stats)
{
        (void)stats;
        return seal_cut(c, run->cut.before_day, &run->cut);
}

static enum db_status step_range(struct db_conn *c, struct run *run, struct seal_stats *stats)
{
        enum db_status st = seal_next(c, &run->cut, run->after, &run->lo, &run->hi);

        return st == DB_OK && run->lo ? seal_range(c, &run->cut, run->lo, run->hi, stats) : st;
}

static enum db_status step_finish(struct db_conn *c, struct run *run, struct seal_stats *stats)
{
        (void)run;
        (void)stats;
        return seal_finish(c);
}

/* One transaction, tried again while that may help: what is sealed already is skipped then. */
static int transact(struct run *run, step *fn)
{
        enum db_status st = DB_RETRY;

        for (int i = 0; i < ATTEMPTS && (st == DB_RETRY || st == DB_UNKNOWN); i++) {
                struct db_error e = { 0 };
                struct db_conn *c = db_take(run->db, 10000, &e);
                struct seal_stats stats = { 0 };
                struct timespec pause = { i / 2, (i % 2) * 500000000L };

                if (i)
                        nanosleep(&pause, NULL);
                st = c ? db_begin(c, "*", false) : DB_RETRY;
                if (st == DB_OK)
                        st = fn(c, run, &stats);
                if (st == DB_OK)
                        st = db_commit(c);
                if (c && st != DB_OK)
                        e = *db_last_error(c);
                if (c)
                        db_give(run->db, c);
                if (st == DB_OK) {
                        run->stats->messages += stats.messages;
                        run->stats->values += stats.values;
                        run->stats->dups += stats.dups;
                        run->stats->changed += stats.changed;
                        run->stats->blocks += stats.blocks;
                        run->stats->ranges += stats.ranges;
                        run->stats->skipped += stats.skipped;
                        return 0;
                }
                snprintf(run->error, run->error_size, "%s", e.message);
        }
        return st == DB_RETRY || st == DB_UNKNOWN ? -ECANCELED : -EPROTO;
}

int seal_run(struct db *db, int64_t before_day, struct seal_stats *stats, bool (*stop)(void *arg),
             void *arg, char *error, size_t error_size)
{
        struct run run = { .db = db,
                           .cut = { .before_day = before_day },
                           .stats = stats,
                           .error = error,
                           .error_size = error_size };
        int r = transact(&run, step_cut);

        while (!r) {
                if (stop && stop(arg))
                        return -ECANCELED;
                r = transact(&run, step_range);
                if (r || !run.lo)
                        break;
                run.after = run.hi;
        }
        return r ? r : transact(&run, step_finish);
}

/* ---- the thread ---- */

struct sealer {
        struct db *db;
        unsigned interval_s;
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        atomic_bool stop;
};

static bool stopped(void *arg)
{
        struct sealer *s = arg;

        return atomic_load(&s->stop);
}

static void seal_once(struct sealer *s)
{
        struct seal_stats stats = { 0 };
        char text[512] = "";
        const char *error = text;
        int r = seal_run(s->db, time(NULL) / 86400, &stats, stopped, s, text, sizeof text);

        if (r && !stopped(s))
                log_error(NULL, "sealing readings failed; it is tried again later",
                          LOG_S("error", error));
        else if (stats.messages)
                log_info(NULL, "readings sealed", LOG_I("messages", stats.messages),
                         LOG_I("values", stats.values), LOG_I("changed", stats.changed),
                         LOG_I("blocks", stats.blocks));
}

static void *sealer_thread(void *arg)
{
        struct sealer *s = arg;

        while (!stopped(s)) {
                struct timespec until;

                clock_gettime(CLOCK_MONOTONIC, &until);
                until.tv_sec += s->interval_s;
                pthread_mutex_lock(&s->lock);
                while (!stopped(s) &&
                       pthread_cond_timedwait(&s->wake, &s->lock, &until) != ETIMEDOUT)
                        ;
                pthread_mutex_unlock(&s->lock);
                if (!stopped(s))
                        seal_once(s);
        }
        return NULL;
}

static void sealer_free(struct sealer *s)
{
        pthread_cond_destroy(&s->wake);
        pthread_mutex_destroy(&s->lock);
        free(s);
}

int sealer_start(struct sealer **ret, struct db *db, unsigned interval_s)
{
        struct sealer *s = calloc(1, sizeof *s);
        pthread_condattr_t attr;
        int r;

        if (!s)
                return -ENOMEM;
        s->db = db;
        s->interval_s = interval_s ? interval_s : 1;
        pthread_mutex_init(&s->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&s->wake, &attr);
        pthread_condattr_destroy(&attr);
        r = -pthread_create(&s->thread, NULL, sealer_thread, s);
        if (r) {
                sealer_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

void sealer_stop(struct sealer *s)
{
        if (!s)
                return;
        pthread_mutex_lock(&s->lock);
        atomic_store(&s->stop, true);
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
        sealer_free(s);
}
