#include "push.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDLE_MS = 300000, PEER_MAX = 64 };

struct push_connection {
        uv_tcp_t tcp;
        uv_timer_t idle;
        struct push_server *server;
        struct push_connection *prev, *next;
        unsigned open_handles;
        uint64_t number; /* from 1; never used again */
        char peer[PEER_MAX];
        size_t len;
        uint8_t in[PUSH_MESSAGE_MAX];
};

struct push_server {
        uv_loop_t *loop;
        struct push_handlers handlers;
        void *arg;
        uv_tcp_t tcp;
        uv_udp_t udp;
        bool has_tcp, has_udp, closing, failed;
        unsigned open_handles, max_connections;
        struct push_connection *connections;
        uint64_t last_number;
        struct push_origin origin; /* of the message being delivered */
        struct push_stats stats;
        uint8_t datagram[65536];
};

static void name_of(const struct sockaddr *a, char *out)
{
        char ip[INET6_ADDRSTRLEN] = "?";
        unsigned port = 0;

        if (a->sa_family == AF_INET) {
                const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;

                uv_ip4_name(v4, ip, sizeof ip);
                port = ntohs(v4->sin_port);
        } else if (a->sa_family == AF_INET6) {
                const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;

                uv_ip6_name(v6, ip, sizeof ip);
                port = ntohs(v6->sin6_port);
        }
        snprintf(out, PEER_MAX, "%s:%u", ip, port);
}

static void maybe_free(struct push_server *s)
{
        void (*closed)(void *) = s->handlers.closed;
        void *arg = s->arg;

        if (!s->closing || s->open_handles || s->connections)
                return;
        if (s->failed)
                closed = NULL;
        free(s);
        if (closed)
                closed(arg);
}

/* Bytes of the message at the start of @in: 0 = not known yet, SIZE_MAX = no wrapper. */
static size_t message_size(const uint8_t *in, size_t n)
{
        size_t len;

        if ((n >= 1 && in[0] != 0) || (n >= 2 && in[1] != 1))
                return SIZE_MAX;
        if (n < PUSH_HEADER)
                return 0;
        len = (size_t)in[6] << 8 | in[7];
        return len == 0 || len > PUSH_MESSAGE_MAX - PUSH_HEADER ? SIZE_MAX : PUSH_HEADER + len;
}

static void deliver(struct push_server *s, const char *peer, const uint8_t *p, size_t n)
{
        s->stats.messages++;
        s->stats.bytes += n;
        s->handlers.message(s->arg, peer, p, n);
}

/* ---- TCP ---- */

static void on_connection_closed(uv_handle_t *h)
{
        struct push_connection *c = h->data;
        struct push_server *s = c->server;

        if (--c->open_handles)
                return;
        if (c->prev)
                c->prev->next = c->next;
        else
                s->connections = c->next;
        if (c->next)
                c->next->prev = c->prev;
        s->stats.connections--;
        free(c);
        maybe_free(s);
}

static void drop(struct push_connection *c)
{
        if (uv_is_closing((uv_handle_t *)&c->tcp))
                return;
        uv_close((uv_handle_t *)&c->tcp, on_connection_closed);
        uv_close((uv_handle_t *)&c->idle, on_connection_closed);
}

static void on_idle(uv_timer_t *t)
{
        drop(t->data);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
        struct push_connection *c = h->data;

        (void)suggested;
        *b = uv_buf_init((char *)c->in + c->len, (unsigned)(sizeof c->in - c->len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
        struct push_connection *c = stream->data;
        size_t size;

        (void)b;
        if (n < 0) {
                drop(c);
                return;
        }
        c->len += (size_t)n;
        uv_timer_again(&c->idle);
        while ((size = message_size(c->in, c->len)) != 0) {
                if (size == SIZE_MAX) {
                        c->server->stats.bad_frames++;
                        drop(c);
                        return;
                }
                if (c->len < size)
                        return;
                c->server->origin = (struct push_origin){ .connection = c->number };
                deliver(c->server, c->peer, c->in, size);
                /* Who took it may have closed the server. */
                if (uv_is_closing((uv_handle_t *)&c->tcp))
                        return;
                c->len -= size;
                memmove(c->in, c->in + size, c->len);
        }
}

static void on_connection(uv_stream_t *listener, int status)
{
        struct push_server *s = listener->data;
        struct push_connection *c = status < 0 ? NULL : calloc(1, sizeof *c);
        struct sockaddr_storage a;
        int n = sizeof a;

        if (!c)
                return;
        c->server = s;
        c->open_handles = 2;
        c->number = ++s->last_number;
        uv_tcp_init(s->loop, &c->tcp);
        uv_timer_init(s->loop, &c->idle);
        c->tcp.data = c->idle.data = c;
        c->next = s->connections;
        if (c->next)
                c->next->prev = c;
        s->connections = c;
        s->stats.connections++;
        if (uv_accept(listener, (uv_stream_t *)&c->tcp) < 0 ||
            s->stats.connections > s->max_connections) {
                s->stats.refused_connections++;
                drop(c);
                return;
        }
        if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&a, &n) == 0)
                name_of((struct sockaddr *)&a, c->peer);
        uv_tcp_keepalive(&c->tcp, 1, 60);
        uv_timer_start(&c->idle, on_idle, IDLE_MS, IDLE_MS);
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

/* ---- UDP ---- */

static void on_datagram_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
        struct push_server *s = h->data;

        (void)suggested;
        *b = uv_buf_init((char *)s->datagram, sizeof s->datagram);
}

static void on_datagram(uv_udp_t *u, ssize_t n, const uv_buf_t *b, const struct sockaddr *from,
                        unsigned flags)
{
        struct push_server *s = u->data;
        char peer[PEER_MAX];

        (void)b;
        if (n <= 0 || !from)
                return;
        if ((flags & UV_UDP_PARTIAL) || message_size(s->datagram, (size_t)n) != (size_t)n) {
                s->stats.bad_frames++;
                return;
        }
        name_of(from, peer);
        s->origin = (struct push_origin){ 0 };
        memcpy(&s->origin.peer, from,
               from->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                           : sizeof(struct sockaddr_in));
        deliver(s, peer, s->datagram, (size_t)n);
}

/* ---- answers ---- */

void push_server_origin(const struct push_server *s, struct push_origin *ret)
{
        *ret = s->origin;
}

int push_server_reply(struct push_server *s, const struct push_origin *to, const uint8_t *p,
                      size_t n)
{
        struct push_connection *c = s->connections;
        uint8_t copy[PUSH_REPLY_MAX];
        uv_buf_t b = uv_buf_init((char *)copy, (unsigned)n);
        int r;

        if (n > sizeof copy)
                return UV_EMSGSIZE;
        memcpy(copy, p, n);
        if (s->closing)
                return UV_ENOTCONN;
        if (!to->connection) {
                if (!s->has_udp)
                        return UV_ENOTCONN;
                r = uv_udp_try_send(&s->udp, &b, 1, (const struct sockaddr *)&to->peer);
                return r < 0 ? r : 0;
        }
        while (c && c->number != to->connection)
                c = c->next;
        if (!c || uv_is_closing((uv_handle_t *)&c->tcp))
                return UV_ENOTCONN;
        /* A few bytes always fit a connection that takes any: half of them would ruin it. */
        r = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
        if (r >= 0 && (size_t)r < n) {
                drop(c);
                return UV_ENOTCONN;
        }
        return r < 0 ? r : 0;
}

/* ---- open, close ---- */

static int address_of(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
        int r = uv_ip6_addr(text, port, (struct sockaddr_in6 *)ret);

        return r == 0 ? 0 : uv_ip4_addr(text, port, (struct sockaddr_in *)ret);
}

static int listen_all(struct push_server *s, const struct push_config *c)
{
        struct sockaddr_storage a;
        int r = 0;

        if (c->tcp_port) {
                uv_tcp_init(s->loop, &s->tcp);
                s->tcp.data = s;
                s->has_tcp = true;
                s->open_handles++;
                r = address_of(c->address ? c->address : "::", c->tcp_port, &a);
                if (r == 0)
                        r = uv_tcp_bind(&s->tcp, (struct sockaddr *)&a, 0);
                if (r == 0)
                        r = uv_listen((uv_stream_t *)&s->tcp, 1024, on_connection);
        }
        if (r == 0 && c->udp_port) {
                int size = 4 << 20;

                uv_udp_init(s->loop, &s->udp);
                s->udp.data = s;
                s->has_udp = true;
                s->open_handles++;
                r = address_of(c->address ? c->address : "::", c->udp_port, &a);
                if (r == 0)
                        r = uv_udp_bind(&s->udp, (struct sockaddr *)&a, 0);
                if (r == 0) {
                        uv_recv_buffer_size((uv_handle_t *)&s->udp, &size);
                        r = uv_udp_recv_start(&s->udp, on_datagram_alloc, on_datagram);
                }
        }
        return r;
}

int push_server_open(struct push_server **ret, uv_loop_t *loop, const struct push_config *config,
                     const struct push_handlers *handlers, void *arg)
{
        struct push_server *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return UV_ENOMEM;
        s->loop = loop;
        s->handlers = *handlers;
        s->arg = arg;
        s->max_connections = config->max_connections ? config->max_connections : 2000;
        r = listen_all(s, config);
        if (r < 0) {
                s->failed = true;
                push_server_close(s);
                return r;
        }
        *ret = s;
        return 0;
}

void push_server_get_stats(const struct push_server *s, struct push_stats *ret)
{
        *ret = s->stats;
}

static void on_listener_closed(uv_handle_t *h)
{
        struct push_server *s = h->data;

        s->open_handles--;
        maybe_free(s);
}

void push_server_close(struct push_server *s)
{
        if (!s || s->closing)
                return;
        s->closing = true;
        for (struct push_connection *c = s->connections, *next; c; c = next) {
                next = c->next;
                drop(c);
        }
        if (s->has_tcp)
                uv_close((uv_handle_t *)&s->tcp, on_listener_closed);
        if (s->has_udp)
                uv_close((uv_handle_t *)&s->udp, on_listener_closed);
}
