#include "pump.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long the peer may take to accept our last bytes before the socket is closed regardless. */
enum { LINGER_MS = 1000, KEEPALIVE_S = 30 };
/* How often a serial line is asked whether all is sent, and what a converter's own buffer may still
 * hold then. */
enum { LINE_POLL_MS = 10, LINE_GUARD_MS = 30 };

/* Between on_alloc() and on_read() libuv does nothing else, so one buffer serves all. */
static _Thread_local uint8_t shared_in[PUMP_BUFFER];

static void step(struct pump *p);
static void connect_next(struct pump *p);

static int64_t now_ms(const struct pump *p)
{
        return (int64_t)uv_now(p->loop);
}

/* Of no use once connected. */
static void forget_address(struct pump *p)
{
        if (p->addresses)
                uv_freeaddrinfo(p->addresses);
        p->addresses = p->next_address = NULL;
        free(p->host);
        p->host = NULL;
}

static void release(struct pump *p)
{
        if (--p->pending > 0)
                return;
        forget_address(p);
        free(p->kept);
        p->kept = p->in = NULL;
        p->owner->closed(p, p->arg);
}

static void on_closed(uv_handle_t *h)
{
        release(h->data);
}

static void close_now(struct pump *p)
{
        if (p->link_open && !uv_is_closing(&p->link.handle))
                uv_close(&p->link.handle, on_closed);
        if (!uv_is_closing((uv_handle_t *)&p->timer))
                uv_close((uv_handle_t *)&p->timer, on_closed);
}

static void on_linger(uv_timer_t *t)
{
        close_now(t->data);
}

static int descriptor(struct pump *p)
{
        uv_os_fd_t fd = -1;

        return uv_fileno(&p->link.handle, &fd) == 0 ? fd : -1;
}

/* A serial line has no end to send: the last bytes leave, then it is closed. What will not leave is
 * dropped, for the kernel would wait for it in close(). */
static void on_line_linger(uv_timer_t *t)
{
        struct pump *p = t->data;

        if ((p->writing || line_queued(descriptor(p)) > 0) && now_ms(p) < p->connect_deadline_ms)
                return;
        line_flush(descriptor(p));
        close_now(p);
}

/* All is in the kernel's hands: FIN goes behind it. */
static void hang_up(struct pump *p)
{
        shutdown(descriptor(p), SHUT_WR);
        close_now(p);
}

void pump_close(struct pump *p)
{
        if (p->closing)
                return;
        p->closing = true;
        if (p->resolving)
                uv_cancel((uv_req_t *)&p->request.resolve);
        if (p->serial && p->connected && !p->eof) {
                uv_read_stop(&p->link.stream);
                p->connect_deadline_ms = now_ms(p) + LINGER_MS;
                uv_timer_start(&p->timer, on_line_linger, 0, LINE_POLL_MS);
        } else if (!p->connected || p->eof || p->last_error) {
                close_now(p);
        } else if (p->writing) {
                uv_read_stop(&p->link.stream);
                uv_timer_start(&p->timer, on_linger, LINGER_MS, 0);
        } else {
                hang_up(p);
        }
}

/* The transport is gone: tell the core, let the owner see its last event, close. */
static void lose(struct pump *p, int error)
{
        if (p->closing || p->told)
                return;
        p->told = true;
        p->last_error = error;
        p->eof = true;
        p->ops->closed(p->core, error, now_ms(p));
        if (p->owner->lost)
                p->owner->lost(p, error, p->connected, p->arg);
        if (!p->closing)
                p->owner->drain(p, p->arg);
        pump_close(p);
}

static void on_written(uv_write_t *w, int status)
{
        struct pump *p = w->handle->data;
        size_t n = p->out_len;

        p->writing = false;
        if (p->closing) {
                if (status == 0 && !p->serial)
                        hang_up(p);
                return;
        }
        if (status < 0) {
                lose(p, status);
                return;
        }
        p->bytes_out += n;
        p->ops->output_done(p->core, n);
        step(p);
}

/* One write at a time, straight from the core's memory; nothing is fed meanwhile. */
static void write_output(struct pump *p)
{
        const uint8_t *out;
        size_t n;

        while (!p->writing && !p->closing && !p->told && (n = p->ops->output(p->core, &out)) > 0) {
                union {
                        const uint8_t *in;
                        char *out;
                } bytes = { .in = out };
                uv_buf_t b = uv_buf_init(bytes.out, (unsigned)n);
                int r = uv_try_write(&p->link.stream, &b, 1);

                if (r > 0) {
                        p->bytes_out += (size_t)r;
                        p->ops->output_done(p->core, (size_t)r);
                        continue;
                }
                if (r != UV_EAGAIN && r < 0) {
                        lose(p, r);
                        return;
                }
                p->out_len = n;
                r = uv_write(&p->request.write, &p->link.stream, &b, 1, on_written);
                if (r < 0) {
                        lose(p, r);
                        return;
                }
                p->writing = true;
        }
}

static void on_timer(uv_timer_t *t)
{
        struct pump *p = t->data;

        if (p->closing)
                return;
        if (!p->connected) {
                lose(p, UV_ETIMEDOUT);
                return;
        }
        p->ops->expire(p->core, now_ms(p));
        step(p);
}

static void arm(struct pump *p)
{
        int64_t at = p->connected ? p->ops->deadline(p->core) : p->connect_deadline_ms;
        int64_t now = now_ms(p);

        if (at == CORE_NO_DEADLINE)
                uv_timer_stop(&p->timer);
        else
                uv_timer_start(&p->timer, on_timer, at > now ? (uint64_t)(at - now) : 0, 0);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
        struct pump *p = h->data;
        uint8_t *at = p->kept ? p->kept : shared_in;

        (void)suggested;
        *b = uv_buf_init((char *)at + p->in_len, (unsigned)(PUMP_BUFFER - p->in_len));
}

/* What the core did not take moves out of the shared buffer, or gives its memory back. */
static void keep(struct pump *p)
{
        if (p->in_len == 0) {
                free(p->kept);
                p->kept = p->in = NULL;
                return;
        }
        if (!p->kept)
                p->kept = malloc(PUMP_BUFFER);
        if (!p->kept) {
                lose(p, UV_ENOMEM);
                return;
        }
        memmove(p->kept, p->in, p->in_len);
        p->in = p->kept;
}

/* Peers that send two answers in two small segments wait for our acknowledgement of the first
 * (Nagle), which the kernel delays by 40 ms: it forgets the option, so it is set after each read.
 */
static void acknowledge_at_once(struct pump *p)
{
        uv_os_fd_t fd;
        int on = 1;

        if (uv_fileno(&p->link.handle, &fd) == 0)
                setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
        struct pump *p = s->data;

        (void)b;
        if (p->closing || n == 0)
                return;
        if (n < 0) {
                /* What arrived before the end is still fed first. */
                step(p);
                if (!p->closing)
                        lose(p, n == UV_EOF ? 0 : (int)n);
                return;
        }
        p->bytes_in += (size_t)n;
        /* Sent at the old rate, or heard at the wrong one. */
        if (p->changing)
                return;
        p->in = p->kept ? p->kept : shared_in;
        p->in_len += (size_t)n;
        if (!p->serial)
                acknowledge_at_once(p);
        step(p);
}

/* Reads only while there is room: a peer that floods us waits in its own send buffer. */
static void watch(struct pump *p)
{
        bool want = p->in_len < PUMP_BUFFER;

        if (want == p->reading)
                return;
        if (want)
                uv_read_start(&p->link.stream, on_alloc, on_read);
        else
                uv_read_stop(&p->link.stream);
        p->reading = want;
}

/* Feeds and drains until nothing more can be done now. */
static void turn(struct pump *p)
{
        for (;;) {
                size_t taken;

                p->owner->drain(p, p->arg);
                if (!p->closing && !p->changing)
                        write_output(p);
                if (p->closing || p->changing || !p->in_len || p->writing)
                        return;
                taken = p->ops->recv(p->core, p->in, p->in_len, now_ms(p));
                p->in_len -= taken;
                p->in += taken;
                if (taken)
                        continue;
                /* No core may refuse a full buffer with nothing left to drain. */
                if (p->in_len == PUMP_BUFFER)
                        lose(p, UV_EPROTO);
                return;
        }
}

static void step(struct pump *p)
{
        if (p->in_step || p->closing || p->changing)
                return;
        p->in_step = true;
        turn(p);
        if (!p->closing)
                keep(p);
        p->in_step = false;
        if (p->closing)
                return;
        watch(p);
        if (!p->changing)
                arm(p);
}

void pump_kick(struct pump *p)
{
        if (p->connected)
                step(p);
}

static void on_connect(uv_connect_t *r, int status)
{
        struct pump *p = r->handle->data;

        if (p->closing)
                return;
        if (status == 0) {
                p->connected = true;
                forget_address(p);
                uv_tcp_nodelay(&p->link.tcp, 1);
                uv_tcp_keepalive(&p->link.tcp, 1, KEEPALIVE_S);
                step(p);
                return;
        }
        p->last_error = status;
        connect_next(p);
}

/* A failed connect spoils the socket, so each address gets a new handle. */
static void on_retry_closed(uv_handle_t *h)
{
        struct pump *p = h->data;

        p->link_open = false;
        if (p->closing)
                release(p);
        else {
                p->pending--;
                connect_next(p);
        }
}

static void connect_next(struct pump *p)
{
        struct addrinfo *a = p->next_address;
        int r;

        if (p->link_open) {
                if (!a) {
                        lose(p, p->last_error);
                        return;
                }
                uv_close(&p->link.handle, on_retry_closed);
                return;
        }
        if (!a) {
                lose(p, p->last_error ? p->last_error : UV_EAI_NONAME);
                return;
        }
        p->next_address = a->ai_next;
        r = uv_tcp_init(p->loop, &p->link.tcp);
        if (r < 0) {
                lose(p, r);
                return;
        }
        p->link.handle.data = p;
        p->link_open = true;
        p->pending++;
        r = uv_tcp_connect(&p->request.connect, &p->link.tcp, a->ai_addr, on_connect);
        if (r < 0) {
                p->last_error = r;
                connect_next(p);
        }
}

static void on_resolved(uv_getaddrinfo_t *r, int status, struct addrinfo *res)
{
        struct pump *p = r->data;

        p->resolving = false;
        p->addresses = res;
        p->next_address = res;
        if (!p->closing) {
                if (status < 0)
                        lose(p, status);
                else
                        connect_next(p);
        }
        release(p);
}

/* ---- serial lines ---- */

static void on_changing(uv_timer_t *t)
{
        struct pump *p = t->data;
        int fd = descriptor(p), r;

        if (p->closing)
                return;
        if (p->writing || line_queued(fd) > 0) {
                p->changed_ms = 0;
                return;
        }
        if (!p->changed_ms)
                p->changed_ms = uv_now(p->loop);
        if (uv_now(p->loop) - p->changed_ms < LINE_GUARD_MS)
                return;
        uv_timer_stop(t);
        p->changing = false;
        r = line_set(fd, &p->line);
        if (r < 0)
                lose(p, r);
        else
                step(p);
}

int pump_set_line(struct pump *p, const struct line_settings *settings)
{
        if (!p->serial || !p->connected || p->closing)
                return -EINVAL;
        p->line = *settings;
        p->changing = true;
        p->changed_ms = 0;
        return uv_timer_start(&p->timer, on_changing, LINE_POLL_MS, LINE_POLL_MS);
}

static void on_begin_line(uv_timer_t *t)
{
        struct pump *p = t->data;
        int fd, r;

        if (p->closing)
                return;
        r = line_open(p->host, &p->line, &fd);
        if (r < 0) {
                lose(p, r);
                return;
        }
        uv_pipe_init(p->loop, &p->link.line, 0);
        p->link.handle.data = p;
        p->link_open = true;
        p->pending++;
        r = uv_pipe_open(&p->link.line, fd);
        if (r < 0) {
                close(fd);
                lose(p, r);
                return;
        }
        p->connected = true;
        step(p);
}

/* ---- opening ---- */

/* First turn of the loop after pump_open(), so that no callback runs inside it. */
static void on_begin(uv_timer_t *t)
{
        struct pump *p = t->data;
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
        char service[8];
        int r;

        if (p->closing)
                return;
        snprintf(service, sizeof service, "%u", p->port);
        /* An address needs no resolver: a dead name server must not hold up the rest. */
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
        arm(p);
        if (getaddrinfo(p->host, service, &hints, &p->addresses) == 0) {
                p->next_address = p->addresses;
                connect_next(p);
                return;
        }
        hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
        p->request.resolve.data = p;
        p->resolving = true;
        r = uv_getaddrinfo(p->loop, &p->request.resolve, on_resolved, p->host, service, &hints);
        if (r == 0) {
                p->pending++;
                return;
        }
        p->resolving = false;
        lose(p, r);
}

static int open_begin(struct pump *p, const char *name, uv_timer_cb begin)
{
        int r;

        p->host = strdup(name);
        if (!p->host)
                return -ENOMEM;
        r = uv_timer_init(p->loop, &p->timer);
        if (r < 0) {
                free(p->host);
                return r;
        }
        p->timer.data = p;
        p->pending = 1;
        return uv_timer_start(&p->timer, begin, 0, 0);
}

int pump_open(struct pump *p, uv_loop_t *loop, const struct core_ops *ops, void *core,
              const char *host, uint16_t port, int64_t connect_timeout_ms,
              const struct pump_owner *owner, void *arg)
{
        if (!port || !host || !*host || strlen(host) >= PUMP_NAME_MAX)
                return -EINVAL;
        *p = (struct pump){ .loop = loop, .ops = ops, .core = core, .owner = owner, .arg = arg };
        p->port = port;
        p->connect_deadline_ms = now_ms(p) + connect_timeout_ms;
        return open_begin(p, host, on_begin);
}

int pump_open_line(struct pump *p, uv_loop_t *loop, const struct core_ops *ops, void *core,
                   const char *path, const struct line_settings *settings,
                   const struct pump_owner *owner, void *arg)
{
        if (!path || !*path || strlen(path) >= PUMP_NAME_MAX)
                return -EINVAL;
        *p = (struct pump){ .loop = loop, .ops = ops, .core = core, .owner = owner, .arg = arg };
        p->serial = true;
        p->line = *settings;
        return open_begin(p, path, on_begin_line);
}

void pump_set_core(struct pump *p, const struct core_ops *ops, void *core)
{
        p->ops = ops;
        p->core = core;
}
