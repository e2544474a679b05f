#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "ingest.h"
#include "loader.h"
#include "log.h"
#include "message.h"
#include "spool.h"

enum {
        QUEUE_MESSAGES = 200000,
        QUEUE_BYTES = 64 << 20,
        BATCH_BYTES = 8 << 20,
        FULL_PAUSE_MS = 1000, /* after a full disk, before the next batch is tried */
};

struct pending {
        struct pending *next;
        ingest_done *done;
        void *arg;
        int status;
        size_t len;
        uint8_t body[];
};

struct list {
        struct pending *head, **tail;
};

struct ingest {
        uv_async_t async; /* first: the handle's memory is the ingest's */
        struct ingest_options options;
        struct spool *spool;
        struct loader *loader; /* NULL without a database */
        pthread_t writer;
        struct buf frames; /* writer only */

        pthread_mutex_t lock; /* guards what follows */
        pthread_cond_t wake;
        struct list queue, done;
        size_t queue_bytes;
        bool stop;
        bool failed_told; /* loop only */
        int failed;
        int64_t full_until_ms;
        struct ingest_stats stats;
};

static int64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void list_init(struct list *l)
{
        l->head = NULL;
        l->tail = &l->head;
}

static void list_add(struct list *l, struct pending *p)
{
        p->next = NULL;
        *l->tail = p;
        l->tail = &p->next;
}

static void list_join(struct list *to, struct list *from)
{
        if (!from->head)
                return;
        *to->tail = from->head;
        to->tail = from->tail;
        list_init(from);
}

/* ---- writer thread ---- */

/* Waits for messages and takes as many as make a batch. False at the end. */
static bool take_batch(struct ingest *in, struct list *ret)
{
        size_t bytes = 0;

        list_init(ret);
        pthread_mutex_lock(&in->lock);
        while (!in->queue.head && !in->stop)
                pthread_cond_wait(&in->wake, &in->lock);
        if (in->queue.head && in->options.batch_ms && !in->stop) {
                struct timespec until;

                clock_gettime(CLOCK_MONOTONIC, &until);
                until.tv_nsec += (long)in->options.batch_ms * 1000000;
                until.tv_sec += until.tv_nsec / 1000000000;
                until.tv_nsec %= 1000000000;
                while (!in->stop && in->queue_bytes < BATCH_BYTES &&
                       pthread_cond_timedwait(&in->wake, &in->lock, &until) != ETIMEDOUT)
                        ;
        }
        while (in->queue.head && bytes < BATCH_BYTES) {
                struct pending *p = in->queue.head;

                in->queue.head = p->next;
                if (!in->queue.head)
                        in->queue.tail = &in->queue.head;
                bytes += p->len;
                list_add(ret, p);
        }
        in->queue_bytes -= bytes;
        pthread_mutex_unlock(&in->lock);
        return ret->head != NULL;
}

static int write_batch(struct ingest *in, struct list *batch)
{
        buf_reset(&in->frames);
        for (struct pending *p = batch->head; p; p = p->next)
                if (!spool_frame(&in->frames, p->body, p->len))
                        return -ENOMEM;
        return spool_append(in->spool, in->frames.p, in->frames.len);
}

static void batch_done(struct ingest *in, struct list *batch, int status)
{
        uint64_t n = 0;
        bool was_full;

        for (struct pending *p = batch->head; p; p = p->next, n++)
                p->status = status;
        pthread_mutex_lock(&in->lock);
        was_full = in->stats.full;
        in->stats.queued -= n;
        if (!status)
                in->stats.durable += n;
        in->stats.full = status == -ENOSPC || status == -EDQUOT;
        if (in->stats.full)
                in->full_until_ms = now_ms() + FULL_PAUSE_MS;
        else if (status && status != -ENOMEM)
                in->failed = status;
        list_join(&in->done, batch);
        pthread_mutex_unlock(&in->lock);
        if (status && !was_full)
                log_error(NULL, "the spool did not take a batch; its senders are not acknowledged",
                          LOG_S("error", strerror(-status)), LOG_I("messages", n));
        uv_async_send(&in->async);
        if (!status && in->loader)
                loader_wake(in->loader);
}

static void *writer_thread(void *arg)
{
        struct ingest *in = arg;
        struct list batch;

        while (take_batch(in, &batch))
                batch_done(in, &batch, write_batch(in, &batch));
        return NULL;
}

/* ---- loop thread ---- */

static void run_done(struct ingest *in)
{
        struct list done;
        int failed;

        list_init(&done);
        pthread_mutex_lock(&in->lock);
        list_join(&done, &in->done);
        failed = in->failed;
        pthread_mutex_unlock(&in->lock);
        while (done.head) {
                struct pending *p = done.head;

                done.head = p->next;
                if (p->done)
                        p->done(p->arg, p->status);
                free(p);
        }
        if (failed && !in->failed_told) {
                in->failed_told = true;
                if (in->options.failed)
                        in->options.failed(in->options.arg, failed);
        }
}

static void on_async(uv_async_t *h)
{
        run_done(h->data);
}

static void on_report(void *arg, const char *what, uint64_t segment, uint64_t offset,
                      uint64_t bytes)
{
        struct ingest *in = arg;

        pthread_mutex_lock(&in->lock);
        in->stats.damaged++;
        pthread_mutex_unlock(&in->lock);
        log_warn(NULL, what, LOG_I("segment", segment), LOG_I("offset", offset),
                 LOG_I("bytes", bytes));
}

static void ingest_free(struct ingest *in)
{
        spool_close(in->spool);
        buf_deinit(&in->frames);
        pthread_cond_destroy(&in->wake);
        pthread_mutex_destroy(&in->lock);
        free(in);
}

static void on_closed(uv_handle_t *h)
{
        ingest_free(h->data);
}

int ingest_open(struct ingest **ret, struct uv_loop_s *loop, const struct ingest_options *options)
{
        struct ingest *in = calloc(1, sizeof *in);
        struct spool_options spool = { options->segment_bytes, options->spool_max_bytes, on_report,
                                       in };
        pthread_condattr_t attr;
        int r;

        if (!in)
                return -ENOMEM;
        in->options = *options;
        list_init(&in->queue);
        list_init(&in->done);
        pthread_mutex_init(&in->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&in->wake, &attr);
        pthread_condattr_destroy(&attr);
        r = spool_open(&in->spool, options->spool_dir, &spool);
        if (!r)
                r = uv_async_init(loop, &in->async, on_async);
        if (r) {
                ingest_free(in);
                return r;
        }
        in->async.data = in;
        if (options->conninfo)
                r = loader_start(&in->loader, in->spool, options->conninfo);
        if (!r)
                r = -pthread_create(&in->writer, NULL, writer_thread, in);
        if (r) {
                loader_stop(in->loader);
                uv_close((uv_handle_t *)&in->async, on_closed);
                return r;
        }
        *ret = in;
        return 0;
}

void ingest_close(struct ingest *in)
{
        if (!in)
                return;
        pthread_mutex_lock(&in->lock);
        in->stop = true;
        pthread_cond_signal(&in->wake);
        pthread_mutex_unlock(&in->lock);
        pthread_join(in->writer, NULL);
        loader_stop(in->loader);
        in->loader = NULL;
        run_done(in);
        uv_close((uv_handle_t *)&in->async, on_closed);
}

static int check_message(const struct ingest_msg *m)
{
        if (!m->len || m->len > INGEST_MAX_PAYLOAD)
                return -EINVAL;
        switch (m->kind) {
        case INGEST_READINGS:
        case INGEST_EVENTS:
                return m->meter_id && m->meter_id <= INT32_MAX && !message_check(m->payload, m->len)
                               ? 0
                               : -EINVAL;
        case INGEST_UNKNOWN:
                return 0;
        }
        return -EINVAL;
}

static struct pending *pending_new(const struct ingest_msg *m)
{
        struct buf b = BUF_INIT;
        struct pending *p = NULL;

        loader_put_record(&b, m);
        if (!b.failed)
                p = malloc(sizeof *p + b.len);
        if (p) {
                *p = (struct pending){ .len = b.len };
                memcpy(p->body, b.p, b.len);
        }
        buf_deinit(&b);
        return p;
}

int ingest_submit(struct ingest *in, const struct ingest_msg *msg, ingest_done *done, void *arg)
{
        struct pending *p;
        int r = check_message(msg);

        if (r)
                return r;
        p = pending_new(msg);
        if (!p)
                return -EAGAIN;
        p->done = done;
        p->arg = arg;
        pthread_mutex_lock(&in->lock);
        if (in->stop || in->failed)
                r = -ESHUTDOWN;
        else if (in->stats.queued >= QUEUE_MESSAGES || in->queue_bytes + p->len > QUEUE_BYTES ||
                 (in->stats.full && now_ms() < in->full_until_ms))
                r = -EAGAIN;
        if (r) {
                in->stats.refused++;
        } else {
                list_add(&in->queue, p);
                in->queue_bytes += p->len;
                in->stats.submitted++;
                in->stats.queued++;
                pthread_cond_signal(&in->wake);
        }
        pthread_mutex_unlock(&in->lock);
        if (r)
                free(p);
        return r;
}

void ingest_stats(struct ingest *in, struct ingest_stats *ret)
{
        pthread_mutex_lock(&in->lock);
        *ret = in->stats;
        ret->failed = in->failed != 0;
        pthread_mutex_unlock(&in->lock);
        ret->spool_bytes = spool_bytes(in->spool);
        if (in->loader)
                loader_stats(in->loader, ret);
}

bool ingest_drained(struct ingest *in)
{
        bool idle;

        pthread_mutex_lock(&in->lock);
        idle = !in->stats.queued;
        pthread_mutex_unlock(&in->lock);
        return idle && in->loader && loader_reached(in->loader, spool_end(in->spool));
}

struct spool *ingest_spool(struct ingest *in)
{
        return in->spool;
}
