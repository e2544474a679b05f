#include "collect_internal.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "polling.h"

enum { REFRESH_MS = 500 };

static void on_handle_closed(uv_handle_t *h)
{
        collect_part_closed(h->data);
}

static void end(struct collect *c)
{
        void (*closed)(void *) = c->closed;
        void *arg = c->closed_arg;

        poll_free(c);
        fleet_unref(c->fleet);
        if (c->failed_open)
                collect_free(c);
        if (closed)
                closed(arg);
}

void collect_free(struct collect *c)
{
        if (!c)
                return;
        pthread_mutex_destroy(&c->lock);
        free(c);
}

/* Also the desk's. */
static void on_forward_closed(void *arg)
{
        collect_part_closed(arg);
}

/* These go when nothing is on its way to the disk any more: they answer what was. */
static void close_listeners(struct collect *c)
{
        struct coap_server *coap = c->coap;
        struct push_server *push = c->push;
        struct forward *forward = c->forward;
        struct desk *desk = c->desk;

        c->desk = NULL;
        if (desk)
                desk_close(desk, on_forward_closed, c);
        c->coap = NULL;
        c->push = NULL;
        c->forward = NULL;
        coap_server_close(coap);
        push_server_close(push);
        if (forward)
                forward_close(forward, on_forward_closed, c);
}

static void close_handles(struct collect *c)
{
        uv_close((uv_handle_t *)&c->refresh, on_handle_closed);
        uv_close((uv_handle_t *)&c->poll_timer, on_handle_closed);
        uv_close((uv_handle_t *)&c->sync_timer, on_handle_closed);
        uv_close((uv_handle_t *)&c->command_timer, on_handle_closed);
        uv_close((uv_handle_t *)&c->async, on_handle_closed);
}

void collect_part_closed(struct collect *c)
{
        if (--c->open_parts > 0)
                return;
        if (c->coap || c->push || c->forward || c->desk) {
                c->open_parts = (c->coap != NULL) + (c->push != NULL) + (c->forward != NULL) +
                                (c->desk != NULL);
                close_listeners(c);
        } else if (c->open_handles) {
                c->open_parts = c->open_handles;
                c->open_handles = 0;
                close_handles(c);
        } else {
                end(c);
        }
}

void collect_close(struct collect *c, void (*closed)(void *), void *arg)
{
        if (!c) {
                if (closed)
                        closed(arg);
                return;
        }
        c->closing = true;
        c->closed = closed;
        c->closed_arg = arg;
        c->open_parts = 1 + (unsigned)c->in_ingest;
        calls_close(c);
        uv_timer_stop(&c->refresh);
        if (c->mqtt) { /* acknowledges the batch in hand first */
                c->open_parts++;
                mqtt_close(c->mqtt);
        }
        if (c->polling) {
                uv_timer_stop(&c->poll_timer);
                uv_timer_stop(&c->sync_timer);
                poll_close(c);
        }
        collect_part_closed(c);
}

/* A new registry snapshot is taken as a whole; visits under way keep theirs. */
void collect_refresh(struct collect *c)
{
        struct registry_snapshot *s = registry_get(c->registry);
        struct fleet *f;

        if (registry_version(s) == c->fleet_version) {
                registry_unref(s);
                return;
        }
        f = fleet_new(s);
        if (!f) {
                registry_unref(s);
                return;
        }
        fleet_unref(c->fleet);
        c->fleet = f;
        c->fleet_version = registry_version(s);
        log_info(&c->scope, "the registry changed", LOG_I("meters", registry_count(s)));
        poll_fleet_changed(c);
}

static void on_refresh(uv_timer_t *t)
{
        collect_refresh(t->data);
}

static int open_parts(struct collect *c, const struct collect_options *o, struct buf *error)
{
        int r = o->registry ? poll_open(c, o, error)
                            : forward_open(&c->forward, c->loop, o->spool, c->config, o->state_dir,
                                           error);

        if (r >= 0)
                r = mqtt_source_open(c, o, error);
        if (r == 0 && o->registry)
                r = coap_source_open(c, error);
        if (r == 0)
                r = push_source_open(c, error);
        return r;
}

int collect_open(struct collect **ret, const struct collect_options *options, struct buf *error)
{
        struct collect *c = calloc(1, sizeof *c);
        struct registry_snapshot *s;
        int r;

        if (!c)
                return -ENOMEM;
        c->loop = options->loop;
        c->config = options->config;
        c->registry = options->registry;
        c->ingest = options->ingest;
        c->db = options->db;
        c->scope = (struct log_scope){ .key = "part", .value = "collect" };
        s = c->registry ? registry_get(c->registry) : NULL;
        c->fleet = fleet_new(s);
        if (!c->fleet) {
                if (s)
                        registry_unref(s);
                free(c);
                return -ENOMEM;
        }
        /* Not its version yet: the first refresh announces it. */
        c->fleet_version = UINT64_MAX;
        pthread_mutex_init(&c->lock, NULL);
        uv_timer_init(c->loop, &c->refresh);
        uv_timer_init(c->loop, &c->poll_timer);
        uv_timer_init(c->loop, &c->sync_timer);
        uv_timer_init(c->loop, &c->command_timer);
        c->refresh.data = c->poll_timer.data = c->sync_timer.data = c->command_timer.data = c;
        c->open_handles = 5;
        calls_open(c);
        r = open_parts(c, options, error);
        if (r < 0) {
                /* What was opened goes with the next turns of the loop. */
                c->failed_open = true;
                collect_close(c, NULL, NULL);
                return r;
        }
        if (c->registry)
                uv_timer_start(&c->refresh, on_refresh, 0, REFRESH_MS);
        *ret = c;
        return 0;
}
