/*
 * DLMS meters that send data-notifications over TCP, one per quarter hour, with the register of its
 * end. Nothing acknowledges a data-notification; a batch counts as delivered when the receiver has
 * taken all bytes and closed its side in good order after ours.
 */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "dlms/datetime.h"
#include "dlms/server.h"
#include "pushed.h"
#include "sim.h"

enum { SESSIONS = 32, TIMEOUT_MS = 15000, RETRY_MS = 1000, APDU_MAX = 256, FRAME_MAX = 512 };

struct notifier {
        struct pusher p;
        struct sim *sim;
        struct dlms_server_config config;
        struct dlms_server_counters counters;
        struct connection *c; /* NULL = closed */
        uint64_t retry_at;
        uint32_t invoke_id;
};

/* One batch; lives until its handle is closed. */
struct connection {
        uv_tcp_t tcp;
        uv_connect_t connect;
        uv_write_t write;
        uv_shutdown_t shutdown;
        struct notifier *n; /* NULL = the simulator ends */
        struct buf out;
        uint64_t give_up_at;
        bool flushed, delivered; /* all bytes are out; and the receiver closed after that */
        char in[64];
};

struct sim_push {
        struct sockaddr_storage to;
        struct notifier *meters; /* owned */
        unsigned n, open;
};

static void put_register(struct axdr_writer *w, struct obis obis, int64_t value)
{
        axdr_put_obis(w, &obis);
        if (value <= UINT32_MAX)
                axdr_put_uint32(w, (uint32_t)value);
        else
                axdr_put_uint64(w, (uint64_t)value);
}

/* Logical name and value in turn: who, when, the register, the power. */
static size_t put_body(const struct notifier *n, int64_t at, const uint8_t *time, uint8_t *out,
                       size_t cap)
{
        const struct meter *m = n->p.meter;
        struct axdr_writer w = axdr_writer_of(out, cap);

        axdr_put_structure(&w, 8);
        axdr_put_obis(&w, &OBIS(0, 0, 96, 1, 0, 255));
        axdr_put_octets(&w, m->serial, strlen(m->serial));
        axdr_put_obis(&w, &OBIS(0, 0, 1, 0, 0, 255));
        axdr_put_octets(&w, time, DATETIME_SIZE);
        put_register(&w, OBIS(1, 0, 1, 8, 0, 255), meter_register(m, at));
        put_register(&w, OBIS(1, 0, 1, 7, 0, 255), meter_power(m, at - 1));
        return w.failed ? 0 : w.len;
}

static void put_notification(struct notifier *n, int64_t at, struct buf *out)
{
        uint8_t body[APDU_MAX], apdu[APDU_MAX], frame[FRAME_MAX], time[DATETIME_SIZE];
        struct dlms_datetime t;
        size_t len, frame_len = 0;

        dlms_datetime_from_utc(at, n->sim->opt.utc_offset_min, false, &t);
        dlms_datetime_write(&t, time);
        len = put_body(n, at, time, body, sizeof body);
        if (len == 0 ||
            dlms_push_build(&n->config, &n->counters, ++n->invoke_id & 0xFFFFFF, time, body, len,
                            apdu, sizeof apdu, &len) ||
            dlms_push_frame(&n->config, 1, apdu, len, frame, sizeof frame, &frame_len))
                out->failed = true;
        else
                buf_put(out, frame, frame_len);
}

static void on_closed(uv_handle_t *h)
{
        struct connection *c = h->data;

        buf_deinit(&c->out);
        free(c);
}

static void finish(struct connection *c)
{
        struct notifier *n = c->n;

        if (uv_is_closing((uv_handle_t *)&c->tcp))
                return;
        uv_close((uv_handle_t *)&c->tcp, on_closed);
        if (!n)
                return;
        n->c = NULL;
        n->sim->push->open--;
        if (!c->delivered || !pusher_acknowledge(&n->p, n->sim)) {
                n->p.sent = 0;
                n->retry_at = uv_now(&n->sim->loop) + RETRY_MS;
        }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
        struct connection *c = h->data;

        (void)suggested;
        *ret = uv_buf_init(c->in, sizeof c->in);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
        struct connection *c = s->data;

        (void)b;
        if (n >= 0)
                return;
        c->delivered = n == UV_EOF && c->flushed;
        finish(c);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
        struct connection *c = req->data;

        if (status < 0)
                finish(c);
        else
                c->flushed = true;
}

static void on_written(uv_write_t *req, int status)
{
        struct connection *c = req->data;

        if (status < 0) {
                finish(c);
                return;
        }
        c->shutdown.data = c;
        if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown))
                finish(c);
}

static void on_connect(uv_connect_t *req, int status)
{
        struct connection *c = req->data;
        uv_buf_t b = uv_buf_init((char *)c->out.p, (unsigned)c->out.len);

        c->write.data = c;
        if (status < 0 || uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) ||
            uv_write(&c->write, (uv_stream_t *)&c->tcp, &b, 1, on_written))
                finish(c);
}

static void send_batch(struct notifier *n, unsigned count)
{
        struct sim *s = n->sim;
        struct connection *c = calloc(1, sizeof *c);

        if (!c)
                return;
        uv_tcp_init(&s->loop, &c->tcp);
        c->tcp.data = c->connect.data = c;
        c->n = n;
        c->give_up_at = uv_now(&s->loop) + TIMEOUT_MS;
        n->c = c;
        n->p.sent = count;
        s->push->open++;
        s->stats.pushed++;
        for (unsigned i = 1; i <= count; i++)
                put_notification(n, n->p.next + (int64_t)i * METER_PERIOD_S, &c->out);
        if (c->out.failed ||
            uv_tcp_connect(&c->connect, &c->tcp, (const struct sockaddr *)&s->push->to, on_connect))
                finish(c);
}

void sim_push_tick(struct sim *s)
{
        struct sim_push *p = s->push;
        uint64_t now = uv_now(&s->loop);

        for (unsigned i = 0; p && i < p->n; i++) {
                struct notifier *n = &p->meters[i];
                unsigned due = n->c ? 0 : pusher_due(&n->p, s, s->opt.per_message);

                if (n->c && now >= n->c->give_up_at)
                        finish(n->c);
                if (due > 0 && now >= n->retry_at && p->open < SESSIONS && sim_take_token(s))
                        send_batch(n, due);
        }
}

bool sim_push_done(const struct sim *s)
{
        for (unsigned i = 0; s->push && i < s->push->n; i++)
                if (!pusher_done(&s->push->meters[i].p, s))
                        return false;
        return true;
}

static int resolve(const struct sim_address *a, struct sockaddr_storage *ret)
{
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
        char port[8];

        snprintf(port, sizeof port, "%u", a->port);
        if (getaddrinfo(a->host, port, &hints, &list) != 0)
                return -EHOSTUNREACH;
        memcpy(ret, list->ai_addr, list->ai_addrlen);
        freeaddrinfo(list);
        return 0;
}

int sim_push_open(struct sim *s)
{
        struct sim_push *p = calloc(1, sizeof *p);
        int r;

        if (!p)
                return -ENOMEM;
        s->push = p;
        if (s->opt.count[SIM_DLMS_PUSH] == 0)
                return 0;
        r = resolve(&s->opt.push, &p->to);
        if (r) {
                fprintf(stderr, "headrace-sim: --push %s: no such host\n", s->opt.push.host);
                return r;
        }
        p->meters = calloc(s->opt.count[SIM_DLMS_PUSH], sizeof *p->meters);
        if (!p->meters)
                return -ENOMEM;
        for (unsigned i = 0; i < s->n; i++) {
                struct notifier *n = &p->meters[p->n];

                if (s->meters[i].kind != SIM_DLMS_PUSH)
                        continue;
                p->n++;
                n->sim = s;
                pusher_init(&n->p, s, &s->meters[i]);
                n->config.server_sap = 1;
                n->counters.tx = 1;
                memcpy(n->config.title, s->meters[i].title, sizeof n->config.title);
        }
        return 0;
}

void sim_push_close(struct sim *s)
{
        for (unsigned i = 0; s->push && i < s->push->n; i++) {
                struct connection *c = s->push->meters[i].c;

                if (!c)
                        continue;
                c->n = NULL;
                finish(c);
        }
}

void sim_push_free(struct sim *s)
{
        if (!s->push)
                return;
        free(s->push->meters);
        free(s->push);
        s->push = NULL;
}
