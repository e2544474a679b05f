#include "visit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void visit_fail(struct visit *v, enum visit_cause cause, const char *fmt, ...)
{
        va_list ap;

        if (v->failed)
                return;
        v->failed = true;
        v->result.cause = cause;
        va_start(ap, fmt);
        vsnprintf(v->result.detail, sizeof v->result.detail, fmt, ap);
        va_end(ap);
}

static void on_start_closed(uv_handle_t *h)
{
        struct visit *v = h->data;

        if (!normalise_flush(&v->normal)) {
                v->payload.len = 0;
                v->failed = false;
                visit_fail(v, VISIT_INTERNAL, "out of memory");
        }
        v->result.payload = &v->payload;
        v->result.counts = v->normal.counts;
        v->result.duration_ms = (int64_t)uv_now(v->shared->loop) - v->started_ms;
        v->done(v->arg, &v->result);
        normalise_deinit(&v->normal);
        buf_deinit(&v->payload);
        v->ops->free(v);
}

void visit_finish(struct visit *v)
{
        if (v->finished)
                return;
        v->finished = true;
        uv_close((uv_handle_t *)&v->start, on_start_closed);
}

static void on_start(uv_timer_t *t)
{
        struct visit *v = t->data;
        char why[VISIT_DETAIL_MAX - 32];

        if (v->failed) {
                visit_finish(v);
                return;
        }
        if (model_address(v->request.model, v->request.meter, &v->address, why, sizeof why) < 0) {
                visit_fail(v, VISIT_ADDRESS, "%s", why);
                visit_finish(v);
                return;
        }
        v->ops->begin(v);
}

struct visit *visit_start(const struct visit_shared *shared, const struct visit_request *request,
                          visit_done *done, void *arg)
{
        struct visit *v =
                request->model->protocol == METER_DLMS ? dlms_visit_new() : modbus_visit_new();

        if (!v)
                return NULL;
        v->shared = shared;
        v->request = *request;
        v->done = done;
        v->arg = arg;
        v->result.cause = VISIT_READ;
        v->started_ms = (int64_t)uv_now(shared->loop);
        normalise_init(&v->normal, &v->payload, request->now_s);
        uv_timer_init(shared->loop, &v->start);
        v->start.data = v;
        uv_timer_start(&v->start, on_start, 0, 0);
        return v;
}

static void on_waited(uv_timer_t *t)
{
        struct visit *v = t->data;

        v->then(v);
}

void visit_wait(struct visit *v, uint32_t ms, void (*then)(struct visit *v))
{
        v->then = then;
        uv_timer_start(&v->start, on_waited, ms, 0);
}

void visit_unwait(struct visit *v)
{
        uv_timer_stop(&v->start);
}

void visit_abort(struct visit *v)
{
        if (v->finished)
                return;
        visit_fail(v, VISIT_SHUTDOWN, "the daemon was ending");
        v->ops->abort(v);
}
