#include "desk.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "log.h"

enum { TAKE_MS = 2000, RETRY_MS = 200, RETRIES = 5 };

struct list {
        struct desk_work *first, **end;
};

struct desk {
        struct db *db;
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t more;
        struct list queue, finished; /* under lock */
        bool closing;                /* under lock */
        bool told;                   /* that the database is away: the thread's own */
        uv_async_t async;
        size_t waiting; /* loop */
        void (*closed)(void *arg);
        void *closed_arg;
};

static void list_init(struct list *l)
{
        l->first = NULL;
        l->end = &l->first;
}

static void append(struct list *l, struct desk_work *w)
{
        w->next = NULL;
        *l->end = w;
        l->end = &w->next;
}

static bool is_closing(struct desk *d)
{
        bool closing;

        pthread_mutex_lock(&d->lock);
        closing = d->closing;
        pthread_mutex_unlock(&d->lock);
        return closing;
}

static enum db_status once(struct desk *d, struct desk_work *w)
{
        struct db_error e = { 0 };
        struct db_conn *c = db_take(d->db, TAKE_MS, &e);
        enum db_status st;

        if (!c) {
                if (!d->told)
                        log_warn(NULL, "the database is away: commands and causes wait",
                                 LOG_S("error", e.message));
                d->told = true;
                return DB_RETRY;
        }
        d->told = false;
        st = db_begin(c, "*", false);
        if (st == DB_OK)
                st = w->run(w, c);
        if (st == DB_OK)
                st = db_commit(c);
        else
                db_rollback(c);
        if (st == DB_ERROR || st == DB_CONSTRAINT)
                log_error(NULL, "the database refused a piece of the collect role's work",
                          LOG_S("error", db_last_error(c)->message));
        db_give(d->db, c);
        return st;
}

static void pause_some(void)
{
        nanosleep(&(struct timespec){ .tv_nsec = RETRY_MS * 1000000L }, NULL);
}

/* An unknown end of a commit is retried only for work that says so: its statements bear it. */
static void work(struct desk *d, struct desk_work *w)
{
        for (unsigned n = 0;; n++) {
                w->status = once(d, w);
                if (w->status != DB_RETRY && !(w->must && w->status == DB_UNKNOWN))
                        return;
                if (w->must ? is_closing(d) && n > 0 : d->told || n >= RETRIES)
                        return;
                pause_some();
        }
}

static void *run(void *arg)
{
        struct desk *d = arg;

        pthread_mutex_lock(&d->lock);
        for (;;) {
                struct desk_work *w = d->queue.first;

                if (!w && d->closing)
                        break;
                if (!w) {
                        pthread_cond_wait(&d->more, &d->lock);
                        continue;
                }
                d->queue.first = w->next;
                if (!w->next)
                        list_init(&d->queue);
                pthread_mutex_unlock(&d->lock);
                work(d, w);
                pthread_mutex_lock(&d->lock);
                append(&d->finished, w);
                uv_async_send(&d->async);
        }
        pthread_mutex_unlock(&d->lock);
        return NULL;
}

static void on_closed(uv_handle_t *h)
{
        struct desk *d = h->data;
        void (*closed)(void *) = d->closed;
        void *arg = d->closed_arg;

        pthread_mutex_destroy(&d->lock);
        pthread_cond_destroy(&d->more);
        free(d);
        if (closed)
                closed(arg);
}

static void on_async(uv_async_t *a)
{
        struct desk *d = a->data;
        struct desk_work *w;
        bool closing;

        pthread_mutex_lock(&d->lock);
        w = d->finished.first;
        list_init(&d->finished);
        closing = d->closing;
        pthread_mutex_unlock(&d->lock);
        for (struct desk_work *next; w; w = next) {
                next = w->next;
                d->waiting--;
                w->done(w, w->status);
        }
        if (closing && !d->waiting && !uv_is_closing((uv_handle_t *)a)) {
                pthread_join(d->thread, NULL);
                uv_close((uv_handle_t *)a, on_closed);
        }
}

int desk_open(struct desk **ret, uv_loop_t *loop, struct db *db)
{
        struct desk *d = calloc(1, sizeof *d);
        int r;

        if (!d)
                return -ENOMEM;
        d->db = db;
        d->async.data = d;
        list_init(&d->queue);
        list_init(&d->finished);
        pthread_mutex_init(&d->lock, NULL);
        pthread_cond_init(&d->more, NULL);
        r = uv_async_init(loop, &d->async, on_async);
        if (r == 0) {
                r = -pthread_create(&d->thread, NULL, run, d);
                if (r < 0) {
                        d->closing = true;
                        uv_close((uv_handle_t *)&d->async, on_closed);
                        return r;
                }
                *ret = d;
                return 0;
        }
        pthread_mutex_destroy(&d->lock);
        pthread_cond_destroy(&d->more);
        free(d);
        return r;
}

void desk_close(struct desk *d, void (*closed)(void *), void *arg)
{
        d->closed = closed;
        d->closed_arg = arg;
        pthread_mutex_lock(&d->lock);
        d->closing = true;
        pthread_cond_signal(&d->more);
        uv_async_send(&d->async);
        pthread_mutex_unlock(&d->lock);
}

void desk_submit(struct desk *d, struct desk_work *w)
{
        d->waiting++;
        pthread_mutex_lock(&d->lock);
        append(&d->queue, w);
        pthread_cond_signal(&d->more);
        pthread_mutex_unlock(&d->lock);
}

size_t desk_waiting(const struct desk *d)
{
        return d->waiting;
}
