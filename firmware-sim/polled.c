#include "polled.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "buf.h"
#include "dlms_meter.h"
#include "modbus_meter.h"
#include "sim.h"

enum { IN_SIZE = 2304, BACKLOG = 16, SHARED_BACKLOG = 4096, OUT_MAX = 1 << 20 };

struct listener {
        uv_tcp_t tcp;
        struct sim *sim;
        struct meter *meter;
        struct conn *first;   /* open connections */
        uint64_t rests_until; /* loop time: FAULT_ONE_CONNECTION with --pause */
        union {
                struct dlms_meter dlms;
                struct modbus_meter modbus;
        };
};

/* --addresses: one port for all meters of a kind. */
struct shared {
        uv_tcp_t tcp;
        struct sim *sim;
        struct listener *first; /* meter number 1 of the kind; NULL = not used */
        unsigned n;
        uint16_t port;
};

struct sim_polled {
        struct shared shared[SIM_N_KINDS];
        struct listener *listeners; /* n; freed when all handles are closed */
        unsigned n;
};

struct conn {
        uv_tcp_t tcp;
        uv_timer_t timer; /* the core's deadline */
        uv_timer_t delay; /* --delay: when out may leave */
        struct listener *at;
        struct conn *next, **link;
        int handles;
        bool closing, finish;
        struct fault_link faults;
        struct buf out; /* waits for its delay */
        size_t have;
        uint8_t in[IN_SIZE];
        struct dlms_server *dlms; /* owned; NULL = Modbus */
        uint8_t *scratch;         /* owned */
};

struct outgoing {
        uv_write_t req;
        struct conn *conn;
        bool last;
        uint8_t bytes[];
};

static void on_conn_closed(uv_handle_t *h)
{
        struct conn *c = h->data;

        if (--c->handles > 0)
                return;
        buf_deinit(&c->out);
        free(c->dlms);
        free(c->scratch);
        free(c);
}

static void conn_close(struct conn *c)
{
        if (c->closing)
                return;
        c->closing = true;
        if (c->link) {
                *c->link = c->next;
                c->at->rests_until = uv_now(&c->at->sim->loop) + c->at->sim->opt.pause_ms;
        }
        if (c->next)
                c->next->link = c->link;
        uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
        uv_close((uv_handle_t *)&c->timer, on_conn_closed);
        uv_close((uv_handle_t *)&c->delay, on_conn_closed);
}

static void on_written(uv_write_t *req, int status)
{
        struct outgoing *o = (struct outgoing *)req;

        if (status < 0 || o->last)
                conn_close(o->conn);
        free(o);
}

/* Sends what waits; closes behind it when the session is over. */
static void conn_send(struct conn *c)
{
        struct outgoing *o;
        uv_buf_t b;

        if (c->closing || uv_is_active((uv_handle_t *)&c->delay))
                return;
        if (c->out.len == 0) {
                if (c->finish)
                        conn_close(c);
                return;
        }
        o = malloc(sizeof *o + c->out.len);
        if (!o) {
                conn_close(c);
                return;
        }
        o->conn = c;
        o->last = c->finish;
        memcpy(o->bytes, c->out.p, c->out.len);
        b = uv_buf_init((char *)o->bytes, (unsigned)c->out.len);
        buf_reset(&c->out);
        if (uv_write(&o->req, (uv_stream_t *)&c->tcp, &b, 1, on_written)) {
                free(o);
                conn_close(c);
        }
}

static void on_delay(uv_timer_t *t)
{
        conn_send(t->data);
}

/* Whether the answer is part of a longer one that is still to come. */
static bool is_transferring(const struct conn *c)
{
        return c->dlms && c->dlms->reply_done > 0 && c->dlms->reply_done < c->dlms->reply_len;
}

/* After an answer was made: it may get lost, be late, or be the last of this connection. */
static void conn_answer(struct conn *c, size_t before)
{
        unsigned delay_ms = 0;

        if (c->out.failed) {
                conn_close(c);
                return;
        }
        if (c->out.len > before) {
                switch (fault_answer(c->at->sim, &c->faults, is_transferring(c), &delay_ms)) {
                case FAULT_CUT:
                        conn_close(c);
                        return;
                case FAULT_LOSE:
                        c->out.len = before;
                        break;
                case FAULT_DELIVER:
                        break;
                }
                if (delay_ms)
                        uv_timer_start(&c->delay, on_delay, delay_ms, 0);
        }
        conn_send(c);
}

static void on_deadline(uv_timer_t *t);

static void dlms_step(struct conn *c)
{
        const struct core_ops *core = &dlms_server_core;
        const uint8_t *out;
        size_t n, before = c->out.len;
        int64_t deadline, now = (int64_t)uv_now(&c->at->sim->loop);

        while ((n = core->output(c->dlms, &out)) > 0) {
                buf_put(&c->out, out, n);
                core->output_done(c->dlms, n);
        }
        c->finish = dlms_server_done(c->dlms);
        deadline = core->deadline(c->dlms);
        if (deadline == CORE_NO_DEADLINE)
                uv_timer_stop(&c->timer);
        else
                uv_timer_start(&c->timer, on_deadline,
                               deadline > now ? (uint64_t)(deadline - now) : 0, 0);
        conn_answer(c, before);
}

static void on_deadline(uv_timer_t *t)
{
        struct conn *c = t->data;

        dlms_server_core.expire(c->dlms, (int64_t)uv_now(&c->at->sim->loop));
        dlms_step(c);
}

static void dlms_input(struct conn *c)
{
        uint32_t before = c->dlms->requests;

        while (c->have > 0 && !c->closing && !c->finish) {
                size_t n = dlms_server_core.recv(c->dlms, c->in, c->have,
                                                 (int64_t)uv_now(&c->at->sim->loop));

                memmove(c->in, c->in + n, c->have - n);
                c->have -= n;
                dlms_step(c);
                if (n == 0)
                        break;
        }
        c->at->sim->stats.polls += c->dlms->requests - before;
}

static void modbus_input(struct conn *c)
{
        struct modbus_adu adu;
        uint8_t pdu[MODBUS_PDU_MAX], frame[MODBUS_ADU_MAX];

        while (!c->closing && c->have > 0) {
                size_t n, before = c->out.len;
                enum modbus_error e;

                e = modbus_frame_parse(MODBUS_TCP, MODBUS_REQUEST, c->in, c->have, &adu);
                if (e == MODBUS_E_SHORT)
                        return;
                if (e) {
                        conn_close(c);
                        return;
                }
                n = modbus_server_answer(&modbus_meter_ops, &c->at->modbus, adu.pdu, adu.pdu_len,
                                         pdu);
                n = modbus_frame_put(MODBUS_TCP, adu.transaction, adu.unit, pdu, n, frame);
                buf_put(&c->out, frame, n);
                c->have -= adu.size;
                memmove(c->in, c->in + adu.size, c->have);
                c->at->sim->stats.polls++;
                conn_answer(c, before);
        }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
        struct conn *c = h->data;

        (void)suggested;
        *ret = uv_buf_init((char *)c->in + c->have, (unsigned)(sizeof c->in - c->have));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
        struct conn *c = stream->data;

        (void)b;
        if (n == 0)
                return;
        if (n < 0) {
                conn_close(c);
                return;
        }
        c->have += (size_t)n;
        if (c->dlms)
                dlms_input(c);
        else
                modbus_input(c);
        /* Nothing legal is as long as the buffer. */
        if (!c->closing && c->have == sizeof c->in)
                conn_close(c);
}

static bool open_dlms(struct conn *c)
{
        struct dlms_meter *d = &c->at->dlms;
        size_t size = dlms_meter_scratch(c->at->sim);
        uint8_t challenge[16];

        c->dlms = malloc(sizeof *c->dlms);
        c->scratch = malloc(size);
        return c->dlms && c->scratch &&
               getrandom(challenge, sizeof challenge, 0) == (ssize_t)sizeof challenge &&
               dlms_server_init(c->dlms, &d->config, &d->counters, d, c->scratch, size, challenge,
                                (int64_t)uv_now(&c->at->sim->loop)) == 0;
}

/* Accepted, not yet of a meter. NULL: not accepted. */
static struct conn *conn_accept(struct sim *s, uv_stream_t *server)
{
        struct conn *c = calloc(1, sizeof *c);

        if (!c)
                return NULL;
        buf_init_limited(&c->out, OUT_MAX);
        c->handles = 3;
        uv_tcp_init(&s->loop, &c->tcp);
        uv_timer_init(&s->loop, &c->timer);
        uv_timer_init(&s->loop, &c->delay);
        c->tcp.data = c->timer.data = c->delay.data = c;
        s->stats.connections++;
        if (uv_accept(server, (uv_stream_t *)&c->tcp) == 0)
                return c;
        conn_close(c);
        return NULL;
}

/* A meter with one place takes nobody else, and rests after each. */
static bool is_taken(const struct listener *l)
{
        return (l->meter->faults & FAULT_ONE_CONNECTION) &&
               (l->first || uv_now(&l->sim->loop) < l->rests_until);
}

static void conn_begin(struct conn *c, struct listener *l)
{
        bool ok;

        if (is_taken(l)) {
                l->sim->stats.faults.connections_refused++;
                conn_close(c);
                return;
        }
        c->at = l;
        c->next = l->first;
        c->link = &l->first;
        if (c->next)
                c->next->link = &c->next;
        l->first = c;
        fault_link_begin(l->sim, &c->faults);
        ok = l->meter->kind == SIM_MODBUS || open_dlms(c);
        ok = ok && uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0;
        if (!ok)
                conn_close(c);
        else if (c->dlms)
                dlms_step(c);
}

static void on_connection(uv_stream_t *server, int status)
{
        struct listener *l = server->data;
        struct conn *c;

        if (status < 0 || l->sim->stopping)
                return;
        c = conn_accept(l->sim, server);
        if (c)
                conn_begin(c, l);
}

/* ---- one port for all: the address called says which meter ---- */

static struct listener *called(const struct shared *sh, const struct conn *c)
{
        struct sockaddr_storage a;
        int len = sizeof a;
        uint32_t ip, number;

        if (uv_tcp_getsockname(&c->tcp, (struct sockaddr *)&a, &len) || a.ss_family != AF_INET)
                return NULL;
        ip = ntohl(((struct sockaddr_in *)&a)->sin_addr.s_addr);
        number = ip & 0xFFFF;
        if (ip >> 16 != (127u << 8 | (16 + (uint32_t)sh->first->meter->kind)) || number < 1 ||
            number > sh->n)
                return NULL;
        return &sh->first[number - 1];
}

static void on_shared_connection(uv_stream_t *server, int status)
{
        struct shared *sh = server->data;
        struct listener *l;
        struct conn *c;

        if (status < 0 || sh->sim->stopping)
                return;
        c = conn_accept(sh->sim, server);
        if (!c)
                return;
        l = called(sh, c);
        if (l)
                conn_begin(c, l);
        else
                conn_close(c);
}

/* Binds and listens; *@ret_port is the port it got. */
static int listen_at(uv_tcp_t *tcp, const char *host, unsigned port, int backlog,
                     uv_connection_cb on, uint16_t *ret_port)
{
        struct sockaddr_storage a;
        int len = sizeof a, r;

        r = uv_ip4_addr(host, (int)port, (struct sockaddr_in *)&a);
        if (r)
                r = uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)&a);
        if (!r)
                r = uv_tcp_bind(tcp, (struct sockaddr *)&a, 0);
        if (!r)
                r = uv_listen((uv_stream_t *)tcp, backlog, on);
        if (!r)
                r = uv_tcp_getsockname(tcp, (struct sockaddr *)&a, &len);
        if (!r)
                *ret_port = ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                                          : ((struct sockaddr_in *)&a)->sin_port);
        return r;
}

/* The first meter of a kind opens the port for all. Loopback addresses cannot be bound as a range,
 * so it is open on every interface; but only calls to a meter's own address are served. */
static int listen_shared(struct sim_polled *p, struct listener *l, unsigned port)
{
        struct shared *sh = &p->shared[l->meter->kind];
        int r = 0;

        if (!sh->first) {
                sh->sim = l->sim;
                sh->first = l;
                uv_tcp_init(&l->sim->loop, &sh->tcp);
                sh->tcp.data = sh;
                r = listen_at(&sh->tcp, "0.0.0.0", port, SHARED_BACKLOG, on_shared_connection,
                              &sh->port);
        }
        sh->n++;
        l->meter->port = sh->port;
        return r;
}

static int listen_one(struct sim_polled *p, struct listener *l, unsigned port)
{
        char host[128];
        int r;

        if (l->sim->opt.addresses) {
                r = listen_shared(p, l, port);
        } else {
                uv_tcp_init(&l->sim->loop, &l->tcp);
                l->tcp.data = l;
                r = listen_at(&l->tcp, l->sim->opt.host, port, BACKLOG, on_connection,
                              &l->meter->port);
        }
        if (r)
                return r;
        sim_meter_host(l->sim, l->meter, host);
        if (l->meter->kind == SIM_MODBUS)
                snprintf(l->meter->identity, sizeof l->meter->identity, "%s:%u/1", host,
                         l->meter->port);
        return 0;
}

static bool is_polled(const struct meter *m)
{
        return !meter_kinds[m->kind].pushes;
}

int sim_polled_open(struct sim *s)
{
        struct sim_polled *p = calloc(1, sizeof *p);
        unsigned want = 0;

        for (unsigned i = 0; i < s->n; i++)
                want += is_polled(&s->meters[i]);
        if (p)
                p->listeners = calloc(want ? want : 1, sizeof *p->listeners);
        if (!p || !p->listeners) {
                free(p);
                return -ENOMEM;
        }
        s->polled = p;
        for (unsigned i = 0; i < s->n; i++) {
                struct listener *l = &p->listeners[p->n];
                unsigned port;
                int r;

                if (!is_polled(&s->meters[i]))
                        continue;
                l->sim = s;
                l->meter = &s->meters[i];
                if (l->meter->kind == SIM_MODBUS)
                        l->modbus = (struct modbus_meter){ .sim = s, .meter = l->meter };
                else
                        dlms_meter_init(&l->dlms, s, l->meter);
                /* Sharing, a kind needs one port. */
                port = s->opt.base_port == 0 ? 0
                       : s->opt.addresses    ? s->opt.base_port + (unsigned)l->meter->kind
                                             : s->opt.base_port + p->n;
                p->n++;
                r = port > 65535 ? -EINVAL : listen_one(p, l, port);
                if (r) {
                        fprintf(stderr, "headrace-sim: meter %s cannot listen on %s port %u: %s\n",
                                l->meter->serial, s->opt.host, port, uv_strerror(r));
                        return r;
                }
        }
        return 0;
}

void sim_polled_close(struct sim *s)
{
        for (unsigned i = 0; s->polled && i < s->polled->n; i++) {
                struct listener *l = &s->polled->listeners[i];

                while (l->first)
                        conn_close(l->first);
                if (!s->opt.addresses && l->tcp.loop && !uv_is_closing((uv_handle_t *)&l->tcp))
                        uv_close((uv_handle_t *)&l->tcp, NULL);
        }
        for (unsigned k = 0; s->polled && k < SIM_N_KINDS; k++)
                if (s->polled->shared[k].first &&
                    !uv_is_closing((uv_handle_t *)&s->polled->shared[k].tcp))
                        uv_close((uv_handle_t *)&s->polled->shared[k].tcp, NULL);
}

void sim_polled_free(struct sim *s)
{
        if (!s->polled)
                return;
        for (unsigned i = 0; i < s->polled->n; i++)
                if (s->polled->listeners[i].meter->kind != SIM_MODBUS)
                        dlms_meter_deinit(&s->polled->listeners[i].dlms);
        free(s->polled->listeners);
        free(s->polled);
        s->polled = NULL;
}
