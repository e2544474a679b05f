/* Calls from other threads into the loop, and what operations ask for. */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "civil.h"
#include "collect_internal.h"
#include "polling.h"

enum { CALL_TIMEOUT_MS = 5000, STATUS_TIMEOUT_MS = 1000 };

struct call {
        struct call *next;
        void (*fn)(struct collect *c, void *arg);
        void (*release)(void *arg);
        void *arg;
        pthread_mutex_t lock;
        pthread_cond_t done_cond;
        bool done, shut, abandoned;
};

static void call_free(struct call *k)
{
        pthread_mutex_destroy(&k->lock);
        pthread_cond_destroy(&k->done_cond);
        free(k);
}

/* Wakes the caller, or cleans up after one that went. */
static void call_end(struct call *k, bool shut)
{
        bool abandoned;

        pthread_mutex_lock(&k->lock);
        k->done = true;
        k->shut = shut;
        abandoned = k->abandoned;
        if (!abandoned)
                pthread_cond_signal(&k->done_cond);
        pthread_mutex_unlock(&k->lock);
        if (abandoned) {
                if (k->release)
                        k->release(k->arg);
                call_free(k);
        }
}

static struct call *take_calls(struct collect *c, bool shut)
{
        struct call *list, *in_order = NULL;

        pthread_mutex_lock(&c->lock);
        list = c->calls;
        c->calls = NULL;
        if (shut)
                c->shut = true;
        pthread_mutex_unlock(&c->lock);
        while (list) {
                struct call *k = list;

                list = k->next;
                k->next = in_order;
                in_order = k;
        }
        return in_order;
}

static void on_async(uv_async_t *a)
{
        struct collect *c = a->data;

        for (struct call *k = take_calls(c, false), *next; k; k = next) {
                next = k->next;
                k->fn(c, k->arg);
                call_end(k, false);
        }
}

int calls_open(struct collect *c)
{
        c->async.data = c;
        return uv_async_init(c->loop, &c->async, on_async);
}

void calls_close(struct collect *c)
{
        for (struct call *k = take_calls(c, true), *next; k; k = next) {
                next = k->next;
                call_end(k, true);
        }
}

static void deadline_in(int timeout_ms, struct timespec *ret)
{
        clock_gettime(CLOCK_MONOTONIC, ret);
        ret->tv_sec += timeout_ms / 1000;
        ret->tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        if (ret->tv_nsec >= 1000000000) {
                ret->tv_nsec -= 1000000000;
                ret->tv_sec++;
        }
}

static void cond_init(pthread_cond_t *c)
{
        pthread_condattr_t a;

        pthread_condattr_init(&a);
        pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
        pthread_cond_init(c, &a);
        pthread_condattr_destroy(&a);
}

int collect_call(struct collect *c, void (*fn)(struct collect *c, void *arg),
                 void (*release)(void *arg), void *arg, int timeout_ms)
{
        struct call *k = calloc(1, sizeof *k);
        struct timespec until;
        int r = 0;

        if (!k) {
                if (release)
                        release(arg);
                return -ENOMEM;
        }
        *k = (struct call){ .fn = fn, .release = release, .arg = arg };
        pthread_mutex_init(&k->lock, NULL);
        cond_init(&k->done_cond);
        pthread_mutex_lock(&c->lock);
        if (c->shut) {
                pthread_mutex_unlock(&c->lock);
                call_free(k);
                if (release)
                        release(arg);
                return -ESHUTDOWN;
        }
        k->next = c->calls;
        c->calls = k;
        uv_async_send(&c->async);
        pthread_mutex_unlock(&c->lock);
        deadline_in(timeout_ms, &until);
        pthread_mutex_lock(&k->lock);
        while (!k->done && r != ETIMEDOUT)
                r = pthread_cond_timedwait(&k->done_cond, &k->lock, &until);
        if (!k->done) {
                k->abandoned = true;
                pthread_mutex_unlock(&k->lock);
                return -ETIMEDOUT;
        }
        r = k->shut ? -ESHUTDOWN : 0;
        pthread_mutex_unlock(&k->lock);
        if (release)
                release(arg);
        call_free(k);
        return r;
}

/* ---- read now, waited for ---- */

/* Shared by the waiting thread and the loop; the last one frees. */
struct read_wait {
        pthread_mutex_t lock;
        pthread_cond_t done_cond;
        unsigned refs;
        bool done;
        uint32_t meter_id;
        struct collect_read result;
};

static void read_wait_unref(void *arg)
{
        struct read_wait *w = arg;
        unsigned left;

        pthread_mutex_lock(&w->lock);
        left = --w->refs;
        pthread_mutex_unlock(&w->lock);
        if (left)
                return;
        pthread_mutex_destroy(&w->lock);
        pthread_cond_destroy(&w->done_cond);
        free(w);
}

static void read_wait_done(void *arg, const struct collect_read *result)
{
        struct read_wait *w = arg;

        pthread_mutex_lock(&w->lock);
        w->result = *result;
        w->done = true;
        pthread_cond_signal(&w->done_cond);
        pthread_mutex_unlock(&w->lock);
        read_wait_unref(w);
}

static void read_wait_start(struct collect *c, void *arg)
{
        struct read_wait *w = arg;

        pthread_mutex_lock(&w->lock);
        w->refs++;
        pthread_mutex_unlock(&w->lock);
        collect_read_now(c, w->meter_id, read_wait_done, w);
}

int collect_read_wait(struct collect *c, uint32_t meter_id, int timeout_ms,
                      struct collect_read *ret)
{
        struct read_wait *w = calloc(1, sizeof *w);
        struct timespec until;
        int r;

        if (!w)
                return -ENOMEM;
        pthread_mutex_init(&w->lock, NULL);
        cond_init(&w->done_cond);
        w->meter_id = meter_id;
        w->refs = 2; /* ours and the call's */
        r = collect_call(c, read_wait_start, read_wait_unref, w, timeout_ms);
        deadline_in(timeout_ms, &until);
        pthread_mutex_lock(&w->lock);
        for (int e = 0; r == 0 && !w->done && e != ETIMEDOUT;)
                e = pthread_cond_timedwait(&w->done_cond, &w->lock, &until);
        if (r == 0 && !w->done)
                r = -ETIMEDOUT;
        if (r == 0)
                *ret = w->result;
        pthread_mutex_unlock(&w->lock);
        read_wait_unref(w);
        return r;
}

/* ---- sweep ---- */

struct sweep_ask {
        uint32_t meter_id;
        int64_t from, to;
        bool polling;
};

static void sweep_ask(struct collect *c, void *arg)
{
        struct sweep_ask *a = arg;

        a->polling = c->polling;
        if (!c->polling)
                return;
        /* Meters imported a moment ago belong to it. */
        poll_sync(c);
        sweep_request(c->sweep, a->meter_id, a->from, a->to, (int64_t)uv_now(c->loop));
        poll_turn(c);
}

int collect_sweep_start(struct collect *c, uint32_t meter_id, int64_t from, int64_t to)
{
        struct sweep_ask *a = calloc(1, sizeof *a);

        if (!a)
                return -ENOMEM;
        *a = (struct sweep_ask){ meter_id, from, to, false };
        return collect_call(c, sweep_ask, free, a, CALL_TIMEOUT_MS);
}

/* ---- documents: made on the loop into a buffer of their own, copied by the caller ---- */

/* Filled on the loop; the caller's reference and the call's. */
struct document {
        struct buf json;
        char cause[48];
        uint32_t meter_id; /* 0 = all */
        unsigned limit;
        atomic_uint refs;
};

static void document_unref(void *arg)
{
        struct document *d = arg;

        if (atomic_fetch_sub(&d->refs, 1) > 1)
                return;
        buf_deinit(&d->json);
        free(d);
}

static int document_of(struct collect *c, void (*fill)(struct collect *, void *), const char *cause,
                       uint32_t meter_id, unsigned limit, int timeout_ms, struct buf *out)
{
        struct document *d = calloc(1, sizeof *d);
        int r;

        if (!d)
                return -ENOMEM;
        d->refs = 2;
        d->limit = limit;
        d->meter_id = meter_id;
        if (cause)
                strncpy(d->cause, cause, sizeof d->cause - 1);
        r = collect_call(c, fill, document_unref, d, timeout_ms);
        if (r == 0)
                buf_put(out, d->json.p, d->json.len);
        document_unref(d);
        return r;
}

static void put_time(struct buf *b, const char *name, int64_t utc)
{
        char t[CIVIL_RFC3339_SIZE];

        if (!utc) {
                buf_printf(b, ",\"%s\":null", name);
                return;
        }
        civil_format(utc, 0, t);
        buf_printf(b, ",\"%s\":\"%s\"", name, t);
}

/* The caller's clock of the loop to UTC. */
static int64_t utc_of(struct collect *c, int64_t ms)
{
        return ms ? collect_now_us() / 1000000 + (ms - (int64_t)uv_now(c->loop)) / 1000 : 0;
}

static void fill_sweep(struct collect *c, void *arg)
{
        struct buf *b = &((struct document *)arg)->json;
        struct sweep_progress p;
        const char *comma = "";

        if (!c->polling) {
                buf_put_str(b, "{\"enabled\":false}");
                return;
        }
        sweep_get_progress(c->sweep, (int64_t)uv_now(c->loop), &p);
        buf_printf(b,
                   "{\"enabled\":true,\"begun\":%s,\"meters\":%zu,\"read\":%zu,\"failing\":%zu,"
                   "\"not_tried\":%zu,"
                   "\"visiting\":%zu,\"waiting\":%zu,\"links\":%zu,\"links_resting\":%zu,"
                   "\"cells\":%zu,\"late\":%zu,\"visits\":%llu,"
                   "\"values\":%llu,\"causes\":{",
                   c->seeded ? "true" : "false", p.meters, p.read, p.failing, p.not_tried,
                   p.visiting, p.waiting, p.links, p.links_resting, p.cells, p.late,
                   (unsigned long long)p.visits, (unsigned long long)p.values);
        for (unsigned i = 0; i < VISIT_N_CAUSES; i++) {
                size_t n = p.causes[i];

                /* Several of ours may share a word: told once, with the first of them. */
                for (unsigned k = i + 1; k < VISIT_N_CAUSES; k++)
                        if (strcmp(visit_cause_name(k), visit_cause_name(i)) == 0)
                                n += p.causes[k];
                for (unsigned k = 0; n && k < i; k++)
                        if (strcmp(visit_cause_name(k), visit_cause_name(i)) == 0)
                                n = 0;
                if (!n)
                        continue;
                buf_printf(b, "%s\"%s\":%zu", comma, visit_cause_name(i), n);
                comma = ",";
        }
        buf_put_str(b, "},\"run\":");
        if (!p.started_ms) {
                buf_put_str(b, "null}");
                return;
        }
        buf_printf(b, "{\"meters\":%zu,\"done\":%zu", p.wanted, p.done);
        put_time(b, "from", p.from);
        put_time(b, "to", p.to);
        put_time(b, "started", utc_of(c, p.started_ms));
        put_time(b, "finished", utc_of(c, p.finished_ms));
        put_time(b, "forecast", utc_of(c, p.forecast_ms));
        buf_put_str(b, "}}");
}

int collect_sweep_json(struct collect *c, struct buf *json)
{
        return document_of(c, fill_sweep, NULL, 0, 0, CALL_TIMEOUT_MS, json);
}

static void put_unread(struct collect *c, struct buf *b, const struct sweep_meter *m)
{
        const struct registry_meter *r = registry_by_id(c->fleet->snapshot, m->meter_id);

        buf_printf(b, "{\"meter\":%u,\"serial\":", m->meter_id);
        buf_put_json_str(b, r ? r->serial : "", r ? strlen(r->serial) : 0);
        buf_printf(b, ",\"cause\":\"%s\",\"text\":\"%s\",\"detail\":", visit_cause_name(m->cause),
                   visit_cause_text(m->cause));
        buf_put_json_str(b, m->detail, strlen(m->detail));
        buf_printf(b, ",\"next_step\":\"%s\",\"failures\":%u",
                   visit_cause_next(visit_cause_name(m->cause)), m->failures);
        put_time(b, "stored_until", m->have_until);
        put_time(b, "last_try", utc_of(c, m->last_try_ms));
        put_time(b, "last_read", utc_of(c, m->last_read_ms));
        put_time(b, "next_try", utc_of(c, m->due_ms));
        buf_put_u8(b, '}');
}

static void fill_unread(struct collect *c, void *arg)
{
        struct document *d = arg;
        size_t total = 0, shown = 0;

        buf_put_str(&d->json, "{\"items\":[");
        for (size_t i = 0; c->polling && i < sweep_count(c->sweep); i++) {
                const struct sweep_meter *m = sweep_at(c->sweep, i);

                if (!m->meter_id || (d->meter_id && d->meter_id != m->meter_id) ||
                    (m->cause == VISIT_READ && !d->meter_id) ||
                    (d->cause[0] && strcmp(d->cause, visit_cause_name(m->cause)) != 0))
                        continue;
                total++;
                if (shown == d->limit)
                        continue;
                if (shown++)
                        buf_put_u8(&d->json, ',');
                put_unread(c, &d->json, m);
        }
        buf_printf(&d->json, "],\"total\":%zu}", total);
}

int collect_unread_json(struct collect *c, const char *cause, uint32_t meter_id, unsigned limit,
                        struct buf *json)
{
        return document_of(c, fill_unread, cause, meter_id, limit, CALL_TIMEOUT_MS, json);
}

static void put_source(struct buf *b, const char *name, const struct source_stats *s)
{
        buf_printf(b,
                   "\"%s_messages\":%llu,\"%s_stored\":%llu,\"%s_values\":%llu,\"%s_quarantined\":%"
                   "llu,"
                   "\"%s_not_stored\":%llu,",
                   name, (unsigned long long)s->messages, name, (unsigned long long)s->stored, name,
                   (unsigned long long)s->counts.values, name, (unsigned long long)s->quarantined,
                   name, (unsigned long long)(s->not_stored + s->busy));
        for (unsigned i = 1; i < NORMALISE_N_REFUSALS; i++)
                if (s->counts.refused[i])
                        buf_printf(b, "\"%s_refused_%s\":%llu,", name, normalise_refusal_name(i),
                                   (unsigned long long)s->counts.refused[i]);
}

static void fill_status(struct collect *c, void *arg)
{
        static const char *const names[] = { "mqtt", "coap", "push", "poll" };
        struct buf *b = &((struct document *)arg)->json;
        struct mqtt_stats mqtt = { .connected = true };
        struct coap_stats coap = { 0 };

        if (c->mqtt)
                mqtt_get_stats(c->mqtt, &mqtt);
        if (c->coap)
                coap_server_get_stats(c->coap, &coap);
        buf_put_u8(b, '{');
        for (unsigned i = 0; i < SOURCE_KINDS; i++)
                put_source(b, names[i], &c->sources[i]);
        if (c->mqtt)
                buf_printf(b,
                           "\"mqtt_connected\":%s,\"mqtt_held\":%u,\"mqtt_failed_batches\":%llu,",
                           mqtt.connected ? "true" : "false", mqtt.held,
                           (unsigned long long)mqtt.failed_batches);
        if (c->coap)
                buf_printf(b,
                           "\"coap_pending\":%u,\"coap_refused_identity\":%llu,"
                           "\"coap_handshake_errors\":%llu,\"coap_refused_block\":%llu,",
                           coap.pending, (unsigned long long)coap.refused_identity,
                           (unsigned long long)coap.handshake_errors,
                           (unsigned long long)coap.refused_block);
        if (c->forward) {
                struct forward_stats up;

                forward_get_stats(c->forward, &up);
                buf_printf(b,
                           "\"upstream_connected\":%s,\"upstream_sent\":%llu,\"upstream_"
                           "acknowledged\":%llu,",
                           up.connected ? "true" : "false", (unsigned long long)up.sent,
                           (unsigned long long)up.acknowledged);
        }
        buf_printf(b, "\"meters\":%zu,\"state\":\"%s\"",
                   c->fleet->snapshot ? registry_count(c->fleet->snapshot) : 0,
                   mqtt.connected ? "ok" : "degraded");
        if (!mqtt.connected)
                buf_put_str(b, ",\"reason\":\"no connection to the MQTT broker\"");
        buf_put_u8(b, '}');
}

void collect_status(void *collect, struct buf *json)
{
        size_t at = json->len;
        int r = document_of(collect, fill_status, NULL, 0, 0, STATUS_TIMEOUT_MS, json);

        if (r == 0)
                return;
        json->len = at;
        buf_printf(json, "{\"state\":\"degraded\",\"reason\":\"%s\"}",
                   r == -ETIMEDOUT ? "the loop does not answer" : "closing");
}
