#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http.h"
#include "log.h"

enum {
        HEADER_BYTES = 8192, /* of one request, all together */
        CHUNK = 16384,
        BODIES = 4,             /* times the largest body allowed: what is held of all of them */
        BACKLOG = 1 << 20,      /* a stream's client may be so many bytes behind */
        DRAIN_LIMIT = 64 << 20, /* of a refused body read past, so that the answer arrives */
        LISTENERS = 8,
};

struct http_output {
        int status;
        struct buf head; /* LWS_PRE bytes, then header lines */
        struct buf body;
        size_t sent;
        bool head_sent, stream, ended, close;
};

struct listener {
        uv_poll_t poll;
        struct http *server;
        int fd;
        bool local, active;
        char *path; /* owned; unix */
};

struct http {
        struct http_options o;
        struct lws_context *context;
        struct lws_vhost *plain, *tls;
        struct listener listeners[LISTENERS];
        int listeners_n, connections;
        size_t announced;  /* bytes of all bodies being received or worked on */
        uv_timer_t closer; /* libwebsockets lets go of the loop in several steps */
        int open_handles;
        int closing_turns;
};

/* Behind each connection: the exchange under way, and who is at the other end. */
struct session {
        struct http_exchange *x;
        bool counted;
};

/* ---- exchanges ---- */

struct http_exchange *http_ref(struct http_exchange *x)
{
        x->refs++;
        return x;
}

static void output_free(struct http_output *out)
{
        if (!out)
                return;
        buf_deinit(&out->head);
        buf_deinit(&out->body);
        free(out);
}

void http_unref(struct http_exchange *x)
{
        char **strings[] = { &x->path,          &x->query,           &x->authorization,
                             &x->cookie,        &x->origin,          &x->host,
                             &x->content_type,  &x->accept,          &x->accept_encoding,
                             &x->if_none_match, &x->idempotency_key, &x->last_event_id,
                             &x->custom };

        if (--x->refs)
                return;
        for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
                free(*strings[i]);
        buf_deinit(&x->body);
        output_free(x->out);
        free(x);
}

static char *header(struct lws *wsi, enum lws_token_indexes token)
{
        int n = lws_hdr_total_length(wsi, token);
        char *s = n > 0 ? malloc((size_t)n + 1) : NULL;

        if (s && lws_hdr_copy(wsi, s, n + 1, token) < 0)
                s[0] = 0;
        return s;
}

static char *header_custom(struct lws *wsi, const char *name)
{
        int len = (int)strlen(name), n = lws_hdr_custom_length(wsi, name, len);
        char *s = n > 0 ? malloc((size_t)n + 1) : NULL;

        if (s && lws_hdr_custom_copy(wsi, s, n + 1, name, len) < 0)
                s[0] = 0;
        return s;
}

/* libwebsockets decodes the address; the rest of the daemon takes it encoded. */
static void encode(struct buf *b, const char *s, size_t n, const char *keep)
{
        for (size_t i = 0; i < n; i++) {
                char c = s[i];
                bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || (c && strchr(keep, c));

                if (plain)
                        buf_put_u8(b, (uint8_t)c);
                else
                        buf_printf(b, "%%%02X", (uint8_t)c);
        }
}

static char *detach(struct buf *b)
{
        char *s;

        buf_put_u8(b, 0);
        s = b->failed ? NULL : (char *)b->p;
        if (!s)
                buf_deinit(b);
        return s;
}

static char *query_of(struct lws *wsi)
{
        struct buf b = BUF_INIT;
        char fragment[HEADER_BYTES];
        int n;

        for (int i = 0; (n = lws_hdr_copy_fragment(wsi, fragment, sizeof fragment,
                                                   WSI_TOKEN_HTTP_URI_ARGS, i)) >= 0;
             i++) {
                const char *equals = memchr(fragment, '=', (size_t)n);
                size_t name = equals ? (size_t)(equals - fragment) : (size_t)n;

                if (b.len)
                        buf_put_u8(&b, '&');
                encode(&b, fragment, name, "-_.~");
                if (equals) {
                        buf_put_u8(&b, '=');
                        encode(&b, equals + 1, (size_t)n - name - 1, "-_.~:,");
                }
        }
        return b.len ? detach(&b) : NULL;
}

static void peer_of(struct http_exchange *x, struct lws *wsi)
{
        struct sockaddr_storage address;
        socklen_t n = sizeof address;
        int fd = lws_get_socket_fd(wsi);
        struct ucred cred;
        socklen_t cred_len = sizeof cred;

        snprintf(x->peer, sizeof x->peer, "unknown");
        x->uid = (uid_t)-1;
        if (getpeername(fd, (struct sockaddr *)&address, &n))
                return;
        if (address.ss_family == AF_UNIX) {
                x->local = true;
                if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len))
                        x->uid = cred.uid;
                snprintf(x->peer, sizeof x->peer, "unix:%d", (int)x->uid);
        } else {
                getnameinfo((struct sockaddr *)&address, n, x->peer, sizeof x->peer, NULL, 0,
                            NI_NUMERICHOST);
        }
}

static bool is_import(const char *path)
{
        static const char end[] = "/import";
        size_t n = strlen(path);

        return n >= sizeof end - 1 && !strcmp(path + n - (sizeof end - 1), end);
}

static struct http_exchange *exchange_new(struct http *h, struct lws *wsi)
{
        static const char *const methods[] = {
                [LWSHUMETH_GET] = "GET",         [LWSHUMETH_POST] = "POST",
                [LWSHUMETH_OPTIONS] = "OPTIONS", [LWSHUMETH_PUT] = "PUT",
                [LWSHUMETH_PATCH] = "PATCH",     [LWSHUMETH_DELETE] = "DELETE",
                [LWSHUMETH_CONNECT] = "CONNECT", [LWSHUMETH_HEAD] = "HEAD",
        };
        struct http_exchange *x = calloc(1, sizeof *x);
        struct buf path = BUF_INIT;
        char *uri = NULL;
        int n = 0, method = lws_http_get_uri_and_method(wsi, &uri, &n);

        if (!x || method < 0 || method > LWSHUMETH_HEAD) {
                free(x);
                return NULL;
        }
        x->refs = 1;
        x->server = h;
        x->wsi = wsi;
        x->method = methods[method];
        x->tls = lws_is_ssl(wsi);
        encode(&path, uri, (size_t)n, "/-_.~:@,");
        x->path = detach(&path);
        x->query = query_of(wsi);
        x->authorization = header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION);
        x->cookie = header(wsi, WSI_TOKEN_HTTP_COOKIE);
        x->origin = header(wsi, WSI_TOKEN_ORIGIN);
        x->host = header(wsi, WSI_TOKEN_HOST);
        x->content_type = header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE);
        x->accept = header(wsi, WSI_TOKEN_HTTP_ACCEPT);
        x->accept_encoding = header(wsi, WSI_TOKEN_HTTP_ACCEPT_ENCODING);
        x->if_none_match = header(wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH);
        x->idempotency_key = header_custom(wsi, "idempotency-key:");
        x->last_event_id = header_custom(wsi, "last-event-id:");
        x->custom = header_custom(wsi, "x-headrace:");
        peer_of(x, wsi);
        if (!x->path) {
                http_unref(x);
                return NULL;
        }
        x->limit = is_import(x->path) ? h->o.import_limit : h->o.body_limit;
        buf_init_limited(&x->body, x->limit);
        return x;
}

/* ---- replies ---- */

static bool output_begin(struct http_exchange *x, int status, const struct http_header *headers)
{
        struct http_output *out;

        if (!x->wsi || x->out)
                return false;
        out = calloc(1, sizeof *out);
        if (!out)
                return false;
        out->status = status;
        buf_init_limited(&out->head, 16384);
        buf_init(&out->body);
        for (const struct http_header *f = headers; f && f->name; f++)
                if (f->value) {
                        buf_put(&out->head, f->name, strlen(f->name));
                        buf_put(&out->head, ":", 2);
                        buf_put(&out->head, f->value, strlen(f->value) + 1);
                }
        x->out = out;
        return true;
}

void http_reply(struct http_exchange *x, int status, const struct http_header *headers,
                struct buf *body)
{
        if (!output_begin(x, status, headers)) {
                if (body)
                        buf_deinit(body);
                return;
        }
        if (body) {
                x->out->body = *body;
                buf_init(body);
        }
        x->out->ended = true;
        x->out->close = x->refused || x->must_close;
        lws_callback_on_writable(x->wsi);
}

void http_stream(struct http_exchange *x, const struct http_header *headers)
{
        if (!output_begin(x, 200, headers))
                return;
        buf_init_limited(&x->out->body, BACKLOG);
        x->out->stream = x->out->close = true;
        lws_callback_on_writable(x->wsi);
}

bool http_send(struct http_exchange *x, const void *p, size_t n)
{
        struct http_output *out = x->out;

        if (!x->wsi || !out || out->ended)
                return false;
        if (out->sent) {
                buf_consume(&out->body, out->sent);
                out->sent = 0;
        }
        buf_put(&out->body, p, n);
        if (out->body.failed) {
                http_end(x);
                return false;
        }
        lws_callback_on_writable(x->wsi);
        return true;
}

void http_end(struct http_exchange *x)
{
        if (!x->wsi || !x->out)
                return;
        x->out->ended = true;
        lws_callback_on_writable(x->wsi);
}

/* -1 when the header does not fit. */
static int write_head(struct lws *wsi, struct http_exchange *x)
{
        static const struct http_header always[] = { { "cache-control:", "no-store" } };
        unsigned char buffer[LWS_PRE + 16384], *start = buffer + LWS_PRE, *p = start;
        unsigned char *end = buffer + sizeof buffer - 1;
        struct http_output *out = x->out;
        const char *s = (const char *)out->head.p, *stop = s + out->head.len;
        bool cache = false;

        if (out->head.failed || lws_add_http_header_status(wsi, (unsigned)out->status, &p, end))
                return -1;
        while (s < stop) {
                const char *value = s + strlen(s) + 1;

                cache |= !strcmp(s, always[0].name);
                if (lws_add_http_header_by_name(wsi, (const unsigned char *)s,
                                                (const unsigned char *)value, (int)strlen(value),
                                                &p, end))
                        return -1;
                s = value + strlen(value) + 1;
        }
        if (!cache && lws_add_http_header_by_name(wsi, (const unsigned char *)always[0].name,
                                                  (const unsigned char *)always[0].value,
                                                  (int)strlen(always[0].value), &p, end))
                return -1;
        if (out->close && lws_add_http_header_by_name(wsi, (const unsigned char *)"connection:",
                                                      (const unsigned char *)"close", 5, &p, end))
                return -1;
        if (!out->stream && out->status != 304 &&
            lws_add_http_header_content_length(wsi, out->body.len, &p, end))
                return -1;
        return lws_finalize_write_http_header(wsi, start, &p, end) ? -1 : 0;
}

static void over(struct http_exchange *x)
{
        x->wsi = NULL;
        x->server->announced -= x->announced;
        x->announced = 0;
        x->server->o.on_closed(x->server->o.arg, x);
        http_unref(x);
}

static int complete(struct lws *wsi, struct session *s)
{
        struct http_exchange *x = s->x;
        bool close = x->out->close;

        s->x = NULL;
        over(x);
        return close || lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int write_some(struct lws *wsi, struct session *s)
{
        unsigned char buffer[LWS_PRE + CHUNK];
        struct http_exchange *x = s->x;
        struct http_output *out = x ? x->out : NULL;
        size_t n;

        if (!out)
                return 0;
        if (!out->head_sent) {
                out->head_sent = true;
                if (write_head(wsi, x))
                        return -1;
                if (!strcmp(x->method, "HEAD") || out->status == 304)
                        out->sent = out->body.len;
                lws_set_timeout(wsi,
                                out->stream ? NO_PENDING_TIMEOUT : PENDING_TIMEOUT_HTTP_CONTENT,
                                out->stream ? 0 : x->server->o.body_timeout_s);
                if (!out->ended || out->sent < out->body.len) {
                        lws_callback_on_writable(wsi);
                        return 0;
                }
        }
        n = out->body.len - out->sent;
        if (n > CHUNK)
                n = CHUNK;
        if (n) {
                bool last = out->ended && out->sent + n == out->body.len;

                memcpy(buffer + LWS_PRE, out->body.p + out->sent, n);
                if (lws_write(wsi, buffer + LWS_PRE, n,
                              last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < (int)n)
                        return -1;
                out->sent += n;
                if (!out->stream)
                        lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT,
                                        x->server->o.body_timeout_s);
        }
        if (out->sent < out->body.len) {
                lws_callback_on_writable(wsi);
                return 0;
        }
        return out->ended ? complete(wsi, s) : 0;
}

/* ---- requests ---- */

static void refuse(struct http_exchange *x, int status, const char *code, const char *text)
{
        x->refused = status;
        x->server->o.on_refuse(x->server->o.arg, x, status, code, text);
}

static void refuse_length(struct http_exchange *x)
{
        char text[128];

        snprintf(text, sizeof text, "The body is larger than the %zu bytes this server takes",
                 x->limit);
        refuse(x, 413, "body_too_large", text);
}

static void dispatch(struct lws *wsi, struct http_exchange *x)
{
        /* The body's timer stays: cancelling it fires it in 4.1.6. */
        x->dispatched = true;
        lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
        if (x->refused == 503)
                refuse(x, 503, "overloaded",
                       "Too many large bodies at once; try again in a moment");
        else if (x->refused || x->body.failed)
                refuse_length(x);
        else
                x->server->o.on_request(x->server->o.arg, x);
}

/* -1 for what is no number. */
static long long content_length(struct lws *wsi)
{
        char *text = header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH), *end;
        long long n = 0;

        if (text) {
                errno = 0;
                n = strtoll(text, &end, 10);
                if (*end || end == text || errno || n < 0 || *text == '+' || *text == ' ')
                        n = -1;
        }
        free(text);
        return n;
}

static int on_header(struct http *h, struct lws *wsi, struct session *s)
{
        bool chunked = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
        long long n = content_length(wsi);
        struct http_exchange *x;

        if (s->x) /* a second request before the first was answered */
                return -1;
        x = exchange_new(h, wsi);
        if (!x)
                return -1;
        s->x = x;
        if (chunked || n < 0) {
                lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
                refuse(x, chunked ? 501 : 400, chunked ? "chunked_request" : "bad_content_length",
                       chunked ? "Send the body with a Content-Length, not chunked"
                               : "The Content-Length is no number");
                return 0;
        }
        if (n > DRAIN_LIMIT) {
                lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
                refuse_length(x);
                return 0;
        }
        if (!n) {
                /* Without a length, libwebsockets would take what follows a POST for its body. */
                x->must_close = strcmp(x->method, "GET") && strcmp(x->method, "HEAD") &&
                                !lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
                dispatch(wsi, x);
                return 0;
        }
        if ((size_t)n > x->limit) {
                x->refused = 413;
        } else if (h->announced + (size_t)n > BODIES * h->o.import_limit) {
                x->refused = 503; /* whoever they are, together they fill no memory */
        } else {
                x->announced = (size_t)n;
                h->announced += x->announced;
        }
        lws_set_timer_usecs(wsi, (lws_usec_t)h->o.body_timeout_s * LWS_US_PER_SEC);
        return 0;
}

static void on_body(struct http_exchange *x, const void *p, size_t n)
{
        if (!x->out && !x->refused)
                buf_put(&x->body, p, n);
}

static void on_gone(struct http *h, struct session *s)
{
        struct http_exchange *x = s->x;

        s->x = NULL;
        if (s->counted)
                h->connections--;
        s->counted = false;
        if (x)
                over(x);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
        struct lws_context *context = wsi ? lws_get_context(wsi) : NULL;
        struct http *h = context ? lws_context_user(context) : NULL;
        struct session *s = user;

        switch ((int)reason) {
        case LWS_CALLBACK_HTTP:
                return on_header(h, wsi, s);
        case LWS_CALLBACK_HTTP_BODY:
                if (s->x)
                        on_body(s->x, in, len);
                return 0;
        case LWS_CALLBACK_HTTP_BODY_COMPLETION:
                if (s->x && !s->x->dispatched && !s->x->out)
                        dispatch(wsi, s->x);
                return 0;
        case LWS_CALLBACK_HTTP_WRITEABLE:
                return write_some(wsi, s);
        case LWS_CALLBACK_TIMER:
                return s->x && !s->x->dispatched ? -1 : 0; /* the body took too long */
        case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
                return -1;
        case LWS_CALLBACK_CLOSED_HTTP:
                if (s)
                        on_gone(h, s);
                return 0;
        case LWS_CALLBACK_WSI_DESTROY:
                return 0;
        default:
                return 0;
        }
}

/* ---- sockets ---- */

static int say(struct buf *errors, const char *what, int e)
{
        buf_printf(errors, "api: %s: %s\n", what, strerror(e));
        return -e;
}

static void adopt(struct listener *l, int fd)
{
        struct http *h = l->server;
        struct lws_vhost *vhost = l->local || !h->tls ? h->plain : h->tls;
        lws_adoption_type type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP;
        lws_sock_file_fd_type u = { .sockfd = fd };
        struct session *s;
        struct lws *wsi;
        int one = 1;

        if (!l->local)
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (vhost == h->tls)
                type |= LWS_ADOPT_ALLOW_SSL;
        wsi = lws_adopt_descriptor_vhost(vhost, type, u, NULL, NULL);
        if (!wsi)
                return; /* it closed the socket */
        h->connections++;
        s = lws_wsi_user(wsi);
        if (s)
                s->counted = true;
        else
                h->connections--;
}

static void on_incoming(uv_poll_t *poll, int status, int events)
{
        struct listener *l = poll->data;

        (void)events;
        for (int i = 0; status == 0 && i < 32; i++) {
                int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd < 0)
                        return;
                if (l->server->connections >= l->server->o.max_connections)
                        close(fd);
                else
                        adopt(l, fd);
        }
}

static int listener_add(struct http *h, int fd, const char *path, struct buf *errors)
{
        struct listener *l = &h->listeners[h->listeners_n];
        int r;

        if (h->listeners_n == LISTENERS || listen(fd, 128)) {
                r = say(errors, path ? path : "listen",
                        h->listeners_n == LISTENERS ? ENOSPC : errno);
                close(fd);
                return r;
        }
        l->server = h;
        l->fd = fd;
        l->local = path != NULL;
        l->path = path ? strdup(path) : NULL;
        r = uv_poll_init(h->o.loop, &l->poll, fd);
        if (r) {
                close(fd);
                free(l->path);
                return say(errors, "listen", -r);
        }
        l->poll.data = l;
        l->active = true;
        h->listeners_n++;
        h->open_handles++;
        return -uv_poll_start(&l->poll, UV_READABLE, on_incoming);
}

int http_listen_tcp(struct http *h, const char *address, int port, struct buf *errors)
{
        struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE,
                                  .ai_socktype = SOCK_STREAM };
        struct sockaddr_storage bound;
        socklen_t n = sizeof bound;
        struct addrinfo *ai = NULL;
        char service[12], what[128];
        int one = 1, fd, r;

        snprintf(service, sizeof service, "%d", port);
        snprintf(what, sizeof what, "%.64s port %d", address, port);
        if (getaddrinfo(address, service, &hints, &ai))
                return say(errors, what, EINVAL);
        fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
            bind(fd, ai->ai_addr, ai->ai_addrlen)) {
                r = say(errors, what, errno);
                freeaddrinfo(ai);
                if (fd >= 0)
                        close(fd);
                return r;
        }
        freeaddrinfo(ai);
        if (getsockname(fd, (struct sockaddr *)&bound, &n))
                port = 0;
        else if (bound.ss_family == AF_INET6)
                port = ntohs(((struct sockaddr_in6 *)(void *)&bound)->sin6_port);
        else
                port = ntohs(((struct sockaddr_in *)(void *)&bound)->sin_port);
        r = listener_add(h, fd, NULL, errors);
        return r ? r : port;
}

/* Somebody answers there: not ours to replace. */
static bool in_use(const struct sockaddr_un *address)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        bool yes = fd >= 0 && (!connect(fd, (const struct sockaddr *)address, sizeof *address) ||
                               errno == EAGAIN);

        if (fd >= 0)
                close(fd);
        return yes;
}

int http_listen_unix(struct http *h, const char *path, struct buf *errors)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct stat st;
        int fd, r;

        if (strlen(path) >= sizeof address.sun_path)
                return say(errors, path, ENAMETOOLONG);
        strcpy(address.sun_path, path);
        if (!lstat(path, &st)) {
                if (!S_ISSOCK(st.st_mode) || in_use(&address))
                        return say(errors, path, EADDRINUSE);
                unlink(path);
        }
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || chmod(path, 0666)) {
                r = say(errors, path, errno);
                if (fd >= 0)
                        close(fd);
                return r;
        }
        return listener_add(h, fd, path, errors);
}

/* ---- life ---- */

static void lws_log(int level, const char *line)
{
        char text[512];

        snprintf(text, sizeof text, "%s", line);
        text[strcspn(text, "\n")] = 0;
        log_at(level == LLL_ERR ? LOG_WARN : LOG_DEBUG, NULL, "http library",
               LOG_S("says", &text[0]));
}

static const struct lws_protocols protocols[] = {
        { .name = "http", .callback = callback, .per_session_data_size = sizeof(struct session) },
        { .name = NULL },
};

static struct lws_vhost *vhost_new(struct http *h, const char *name, bool tls)
{
        struct lws_context_creation_info info = { 0 };

        info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
        info.vhost_name = name;
        info.protocols = protocols;
        info.keepalive_timeout = 60;
        info.timeout_secs = (unsigned)h->o.header_timeout_s;
        info.alpn = "http/1.1";
        if (tls) {
                info.ssl_cert_filepath = h->o.tls_cert;
                info.ssl_private_key_filepath = h->o.tls_key;
                info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
                info.ssl_options_set =
                        (long)(SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_RENEGOTIATION);
        }
        return lws_create_vhost(h->context, &info);
}

/*
 * On a foreign loop libwebsockets 4.1 frees its context together with uv handles whose close
 * callbacks have not run yet. So while closing, what it frees is only noted, and released when the
 * loop has turned. Loop thread only.
 */
struct memory_note {
        struct memory_note *next;
        void *p;
};
static struct memory_note *memory_noted;
static bool memory_defer;

static void *memory_allocate(void *p, size_t n, const char *reason)
{
        struct memory_note *note;

        (void)reason;
        if (n)
                return realloc(p, n);
        note = p && memory_defer ? malloc(sizeof *note) : NULL;
        if (note) {
                *note = (struct memory_note){ memory_noted, p };
                memory_noted = note;
        } else {
                free(p);
        }
        return NULL;
}

static void memory_release(void)
{
        memory_defer = false;
        while (memory_noted) {
                struct memory_note *note = memory_noted;

                memory_noted = note->next;
                free(note->p);
                free(note);
        }
}

int http_new(struct http **ret, const struct http_options *o, struct buf *errors)
{
        struct http *h = calloc(1, sizeof *h);
        struct lws_context_creation_info info = { 0 };
        void *loops[] = { o->loop };

        if (!h)
                return -ENOMEM;
        h->o = *o;
        lws_set_log_level(LLL_ERR | LLL_WARN, lws_log);
        lws_set_allocator(memory_allocate);
        info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                       (o->tls_cert ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0);
        info.foreign_loops = loops;
        info.user = h;
        info.pcontext = &h->context;
        info.server_string = "headrace";
        info.max_http_header_data = HEADER_BYTES;
        info.max_http_header_pool2 = (unsigned)o->max_connections + 8;
        info.fd_limit_per_thread = (unsigned)o->max_connections + 32;
        info.timeout_secs = (unsigned)o->header_timeout_s;
        info.timeout_secs_ah_idle = (unsigned)o->header_timeout_s;
        info.alpn = "http/1.1";
        h->context = lws_create_context(&info);
        /* Destroying the context unloads this plugin of libwebsockets while close callbacks of its
         * handles still wait in the loop: it has to stay. */
        if (h->context &&
            !dlopen("libwebsockets-evlib_uv.so", RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE))
                log_debug(NULL, "the event library plugin cannot be kept", LOG_S("why", dlerror()));
        if (h->context)
                h->plain = vhost_new(h, "plain", false);
        if (h->plain && o->tls_cert)
                h->tls = vhost_new(h, "tls", true);
        if (!h->plain || (o->tls_cert && !h->tls)) {
                buf_printf(errors, "api: %s\n",
                           !h->context ? "cannot start libwebsockets on libuv; is "
                                         "libwebsockets-evlib-uv installed?"
                           : !h->plain ? "out of memory"
                                       : "the certificate or key cannot be used; check tls_cert "
                                         "and tls_key in [api]");
                if (h->context)
                        lws_context_destroy(h->context);
                free(h);
                return -EINVAL;
        }
        *ret = h;
        return 0;
}

int http_connections(const struct http *h)
{
        return h->connections;
}

static void on_closer_closed(uv_handle_t *handle)
{
        free(handle->data);
        memory_release();
}

static void on_listener_closed(uv_handle_t *handle)
{
        struct listener *l = handle->data;

        close(l->fd);
        if (l->path)
                unlink(l->path);
        free(l->path);
        l->server->open_handles--;
}

/* One turn of the loop each: connections close first, then the context goes, then the handles it
 * leaves behind. Nothing here may be hurried; libwebsockets would touch what it freed. */
static void on_closer(uv_timer_t *timer)
{
        enum { TURNS = 3 };
        struct http *h = timer->data;

        if (++h->closing_turns < TURNS)
                return;
        if (h->context) {
                lws_context_destroy(h->context);
                h->closing_turns = 0;
        } else if (!h->open_handles) {
                uv_close((uv_handle_t *)timer, on_closer_closed);
        }
}

void http_free(struct http *h)
{
        if (!h)
                return;
        memory_defer = true;
        uv_timer_init(h->o.loop, &h->closer);
        h->closer.data = h;
        uv_timer_start(&h->closer, on_closer, 1, 1);
        for (int i = 0; i < h->listeners_n; i++)
                if (h->listeners[i].active)
                        uv_close((uv_handle_t *)&h->listeners[i].poll, on_listener_closed);
        lws_context_destroy(h->context);
}
