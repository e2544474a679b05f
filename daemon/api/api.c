#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "api.h"
#include "files.h"
#include "http.h"
#include "log.h"
#include "problem.h"

enum { TOKEN_SIZE = 128, EVENT_PAGE = 200, HEARTBEAT_MS = 15000, MAX_HEADERS = 16 };

#define COOKIE "headrace_session"
#define CSP                                                                                        \
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "    \
        "connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; "            \
        "frame-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

static const struct config_key api_keys[] = {
        { "address", CONFIG_TEXT, "127.0.0.1",
          "Numeric address to listen on. Anything but loopback needs tls_cert" },
        { "port", CONFIG_INT, "8480", "TCP port; 0 picks a free one", NULL, 0, 65535 },
        { "socket", CONFIG_PATH, "headraced.sock", "Unix socket for the command line" },
        { "tls_cert", CONFIG_PATH, NULL, "Certificate chain, PEM" },
        { "tls_key", CONFIG_PATH, NULL, "Its private key, PEM" },
        { "console_dir", CONFIG_PATH, NULL,
          "Folder of the web console. Unset: the one of the installation" },
        { "body_limit", CONFIG_SIZE, "1M", "Largest request body", NULL, 1024, 1 << 26 },
        { "import_limit", CONFIG_SIZE, "32M", "Largest body of an import", NULL, 1024, 1 << 26 },
        { "max_connections", CONFIG_INT, "256", "Connections at once; more are closed", NULL, 4,
          10000 },
        { "timeout", CONFIG_DURATION, "20s", "Longest time a header or a body may take", NULL, 1000,
          600000 },
        { NULL },
};
const struct config_section api_config[] = {
        { "api", "HTTP interface and console", api_keys },
        { NULL },
};

struct stream; /* one SSE client */

struct api {
        struct api_options o;
        struct http *http;
        int port;
        uv_async_t wake;
        uv_timer_t heartbeat;
        int handles;
        struct mailbox *mail;
        struct stream *streams;
};

/* Where workers leave what they have done. Outlives the api while replies are under way. */
struct mailbox {
        pthread_mutex_t lock;
        struct api *api; /* NULL once it is gone */
        struct letter *letters;
        bool events, closed;
        int refs;
};

struct letter {
        struct letter *next;
        struct mailbox *mail;
        struct http_exchange *x; /* a reference; only touched on the loop */
        bool stream;             /* a page of events instead of a reply */
        bool head;
        int status, retry_after_s;
        char content_type[128], file_name[200], request_id[64], allow[64], session[TOKEN_SIZE];
        bool has_file, has_allow, has_session;
        struct buf body;
};

struct stream {
        struct stream *next;
        struct http_exchange *x;
        int64_t after;
        bool asking, again, started;
};

/* ---- mailbox ---- */

static void mail_unref(struct mailbox *m)
{
        bool last;

        pthread_mutex_lock(&m->lock);
        last = --m->refs == 0;
        pthread_mutex_unlock(&m->lock);
        if (!last)
                return;
        pthread_mutex_destroy(&m->lock);
        free(m);
}

static void letter_free(struct letter *l)
{
        buf_deinit(&l->body);
        mail_unref(l->mail);
        free(l);
}

static void copy(char *out, size_t size, const char *s)
{
        snprintf(out, size, "%s", s ? s : "");
}

/* On a worker. */
static void on_done(void *arg, struct host_reply *reply)
{
        struct letter *l = arg;
        struct mailbox *m = l->mail;
        bool closed;

        l->status = reply->status;
        l->retry_after_s = reply->retry_after_s;
        copy(l->content_type, sizeof l->content_type, reply->content_type);
        copy(l->file_name, sizeof l->file_name, reply->file_name);
        copy(l->request_id, sizeof l->request_id, reply->request_id);
        copy(l->allow, sizeof l->allow, reply->allow);
        copy(l->session, sizeof l->session, reply->session);
        l->has_file = reply->file_name != NULL;
        l->has_allow = reply->allow != NULL;
        l->has_session = reply->session != NULL;
        l->body = reply->body;
        buf_init(&reply->body);
        pthread_mutex_lock(&m->lock);
        closed = m->closed;
        if (!closed) {
                l->next = m->letters;
                m->letters = l;
        }
        if (m->api)
                uv_async_send(&m->api->wake);
        pthread_mutex_unlock(&m->lock);
        if (closed) { /* nobody else holds the exchange any more */
                http_unref(l->x);
                letter_free(l);
        }
}

static void on_events_changed(void *arg)
{
        struct mailbox *m = arg;

        pthread_mutex_lock(&m->lock);
        m->events = true;
        if (m->api)
                uv_async_send(&m->api->wake);
        pthread_mutex_unlock(&m->lock);
}

static struct letter *letter_new(struct api *a, struct http_exchange *x)
{
        struct letter *l = calloc(1, sizeof *l);

        if (!l)
                return NULL;
        l->mail = a->mail;
        l->x = http_ref(x);
        buf_init(&l->body);
        pthread_mutex_lock(&a->mail->lock);
        a->mail->refs++;
        pthread_mutex_unlock(&a->mail->lock);
        return l;
}

/* ---- replies ---- */

struct headers {
        struct http_header list[MAX_HEADERS + 1];
        size_t n;
};

static void add(struct headers *h, const char *name, const char *value)
{
        if (h->n < MAX_HEADERS)
                h->list[h->n++] = (struct http_header){ name, value };
}

static void add_security(struct headers *h, const struct http_exchange *x)
{
        add(h, "x-content-type-options", "nosniff");
        add(h, "referrer-policy", "same-origin");
        add(h, "content-security-policy", CSP);
        add(h, "cross-origin-resource-policy", "same-origin");
        if (x->tls)
                add(h, "strict-transport-security", "max-age=31536000");
}

static void reply_problem(struct http_exchange *x, int status, const char *code, const char *text)
{
        struct headers h = { 0 };
        struct problem p = { 0 };
        struct buf body = BUF_INIT;

        problem_set(&p, status, code, NULL, "%s", text);
        problem_write(&p, NULL, &body);
        add(&h, "content-type", "application/problem+json");
        add_security(&h, x);
        if (status == 405)
                add(&h, "allow", "GET, HEAD");
        http_reply(x, status, h.list, &body);
        buf_deinit(&body);
}

/* A file name as a header may carry it. */
static void disposition(char *out, size_t size, const char *name)
{
        size_t n = (size_t)snprintf(out, size, "inline; filename=\"");

        for (; *name && n + 2 < size; name++)
                out[n++] = (*name >= '0' && *name <= '9') || (*name >= 'A' && *name <= 'Z') ||
                                           (*name >= 'a' && *name <= 'z') || strchr("-_. ", *name)
                                   ? *name
                                   : '_';
        snprintf(out + n, size - n, "\"");
}

static void cookie_set(char *out, size_t size, const char *token, bool tls)
{
        snprintf(out, size, COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s", token,
                 *token ? 43200 : 0, tls ? "; Secure" : "");
}

static void reply_letter(struct http_exchange *x, struct letter *l)
{
        char name[256], cookie[TOKEN_SIZE + 128], wait[16];
        struct headers h = { 0 };

        add(&h, "content-type", l->content_type);
        add(&h, "x-request-id", l->request_id);
        add_security(&h, x);
        if (l->has_file) {
                disposition(name, sizeof name, l->file_name);
                add(&h, "content-disposition", name);
        }
        if (l->has_allow)
                add(&h, "allow", l->allow);
        if (l->status == 401)
                add(&h, "www-authenticate", "Bearer");
        if (l->retry_after_s) {
                snprintf(wait, sizeof wait, "%d", l->retry_after_s);
                add(&h, "retry-after", wait);
        }
        if (l->has_session) {
                cookie_set(cookie, sizeof cookie, l->session, x->tls);
                add(&h, "set-cookie", cookie);
        }
        http_reply(x, l->status, h.list, &l->body);
}

/* ---- who asks ---- */

/* The cookie's value: true if there is one that fits. */
static bool cookie_token(const char *cookie, char out[TOKEN_SIZE])
{
        while (cookie && *cookie) {
                size_t n;

                cookie += strspn(cookie, " ;");
                n = strcspn(cookie, ";");
                if (!strncmp(cookie, COOKIE "=", strlen(COOKIE) + 1) && n < TOKEN_SIZE) {
                        size_t skip = strlen(COOKIE) + 1;

                        memcpy(out, cookie + skip, n - skip);
                        out[n - skip] = 0;
                        return n > skip;
                }
                cookie += n;
        }
        return false;
}

static bool origin_is_host(const struct http_exchange *x)
{
        const char *host = x->origin ? strstr(x->origin, "://") : NULL;

        return host && x->host && !strcasecmp(host + 3, x->host);
}

/* What a browser sends along by itself counts only from our own pages. */
static bool forged(const struct http_exchange *x)
{
        if (!strcmp(x->method, "GET") || !strcmp(x->method, "HEAD"))
                return false;
        if (x->origin)
                return !origin_is_host(x);
        return !x->custom;
}

static bool credentials(struct http_exchange *x, struct host_request *r, char token[TOKEN_SIZE])
{
        const char *a = x->authorization;

        r->local_admin = x->local && (x->uid == 0 || x->uid == geteuid());
        if (a && !strncasecmp(a, "Bearer ", 7)) {
                r->token = a + 7 + strspn(a + 7, " ");
        } else if (cookie_token(x->cookie, token)) {
                if (forged(x)) {
                        reply_problem(x, 403, "forged_request",
                                      "A write with the session cookie must come from this host's "
                                      "own pages, or carry the header X-Headrace");
                        return false;
                }
                r->token = token;
        }
        return true;
}

static bool body_is_json(const struct http_exchange *x)
{
        return !x->body.len || !x->content_type ||
               !strncasecmp(x->content_type, "application/json", 16);
}

/* ---- events ---- */

static void stream_ask(struct api *a, struct stream *s)
{
        char query[96], token[TOKEN_SIZE];
        struct host_request r = {
                .method = "GET", .path = "/v1/events", .query = query, .peer = s->x->peer
        };
        struct letter *l;

        if (s->asking) {
                s->again = true;
                return;
        }
        l = letter_new(a, s->x);
        if (!l || !credentials(s->x, &r, token)) {
                http_end(s->x);
                return;
        }
        snprintf(query, sizeof query, "after=%" PRId64 "&limit=%d", s->after, EVENT_PAGE);
        l->stream = true;
        s->asking = true;
        s->again = false;
        host_submit(a->o.host, &r, on_done, l);
}

static void stream_start(struct http_exchange *x)
{
        struct headers h = { 0 };

        add(&h, "content-type", "text/event-stream");
        add_security(&h, x);
        http_stream(x, h.list);
        http_send(x, "retry: 2000\n\n", 13);
}

static void stream_item(struct stream *s, const json_t *item)
{
        struct buf b = BUF_INIT;
        json_int_t id = json_integer_value(json_object_get(item, "event_id"));
        const char *type = json_string_value(json_object_get(item, "type"));
        char *data = json_dumps(item, JSON_COMPACT | JSON_REAL_PRECISION(15));

        buf_printf(&b, "id: %" JSON_INTEGER_FORMAT "\nevent: %s\ndata: %s\n\n", id,
                   type ? type : "message", data ? data : "{}");
        if (!b.failed)
                http_send(s->x, b.p, b.len);
        s->after = id;
        free(data);
        buf_deinit(&b);
}

/* A page of events, or the refusal of the first one. */
static void stream_page(struct api *a, struct stream *s, struct letter *l)
{
        json_t *root = json_loadb((const char *)l->body.p, l->body.len, 0, NULL), *item;
        const json_t *items = json_object_get(root, "items");
        size_t i, n = json_array_size(items);

        s->asking = false;
        if (l->status != 200) {
                json_decref(root);
                if (!s->started)
                        reply_letter(s->x, l);
                else if (l->status != 503)
                        http_end(s->x); /* logged out, or no longer allowed */
                return;
        }
        if (!s->started)
                stream_start(s->x);
        s->started = true;
        json_array_foreach(items, i, item) stream_item(s, item);
        if (n < EVENT_PAGE)
                s->after = json_integer_value(json_object_get(root, "last"));
        json_decref(root);
        if (n == EVENT_PAGE || s->again)
                stream_ask(a, s);
}

static int64_t stream_begin(const struct http_exchange *x)
{
        const char *after = x->query ? strstr(x->query, "after=") : NULL;

        if (x->last_event_id)
                return strtoll(x->last_event_id, NULL, 10);
        return after ? strtoll(after + 6, NULL, 10) : INT64_MAX; /* from now on */
}

static void stream_new(struct api *a, struct http_exchange *x)
{
        struct stream *s = calloc(1, sizeof *s);

        if (!s) {
                reply_problem(x, 503, "out_of_memory", "The server is short of memory");
                return;
        }
        s->x = x;
        s->after = stream_begin(x);
        if (s->after < 0)
                s->after = 0;
        x->user = s;
        s->next = a->streams;
        a->streams = s;
        stream_ask(a, s);
}

static void on_closed(void *arg, struct http_exchange *x)
{
        struct api *a = arg;

        for (struct stream **s = &a->streams; *s; s = &(*s)->next)
                if (*s == x->user) {
                        struct stream *gone = *s;

                        *s = gone->next;
                        free(gone);
                        break;
                }
        x->user = NULL;
}

static void on_heartbeat(uv_timer_t *timer)
{
        struct api *a = timer->data;

        for (struct stream *s = a->streams, *next; s; s = next) {
                next = s->next;
                if (s->started && http_send(s->x, ":\n\n", 3))
                        stream_ask(a, s); /* also finds out whether the session has ended */
        }
}

/* ---- requests ---- */

static bool starts(const char *path, const char *prefix)
{
        return !strncmp(path, prefix, strlen(prefix));
}

static bool is_api(const char *path)
{
        return starts(path, "/v1/") || !strcmp(path, "/v1") || !strcmp(path, "/metrics");
}

static void serve_file(struct api *a, struct http_exchange *x)
{
        bool gzip = x->accept_encoding && strstr(x->accept_encoding, "gzip");
        struct headers h = { 0 };
        struct file f;
        int r = a->o.console_dir ? file_read(a->o.console_dir, x->path, gzip, &f) : -ENOENT;

        if (r) {
                reply_problem(x, r == -ENOENT ? 404 : 500,
                              r == -ENOENT ? "unknown_route" : "internal",
                              a->o.console_dir ? "There is no such page"
                                               : "This daemon serves no console; set console_dir");
                return;
        }
        add(&h, "content-type", f.content_type);
        add(&h, "etag", f.etag);
        add(&h, "cache-control", f.immutable ? "public, max-age=31536000, immutable" : "no-cache");
        add(&h, "vary", "accept-encoding");
        if (f.gzip)
                add(&h, "content-encoding", "gzip");
        add_security(&h, x);
        if (x->if_none_match && strstr(x->if_none_match, f.etag))
                http_reply(x, 304, h.list, NULL);
        else
                http_reply(x, 200, h.list, &f.body);
        file_deinit(&f);
}

static void serve_operation(struct api *a, struct http_exchange *x)
{
        char token[TOKEN_SIZE];
        struct host_request r = {
                .method = !strcmp(x->method, "HEAD") ? "GET" : x->method,
                .path = x->path,
                .query = x->query,
                .body = x->body.p,
                .body_len = x->body.len,
                .peer = x->peer,
                .idempotency_key = x->idempotency_key,
        };
        struct letter *l;

        if (!body_is_json(x)) {
                reply_problem(x, 415, "not_json",
                              "Send the body as Content-Type: application/json");
                return;
        }
        if (!credentials(x, &r, token))
                return;
        l = letter_new(a, x);
        if (l)
                host_submit(a->o.host, &r, on_done, l);
        else
                reply_problem(x, 503, "out_of_memory", "The server is short of memory");
}

static void on_request(void *arg, struct http_exchange *x)
{
        struct api *a = arg;
        bool get = !strcmp(x->method, "GET") || !strcmp(x->method, "HEAD");

        if (get && !strcmp(x->path, "/v1/events") && x->accept &&
            strstr(x->accept, "text/event-stream"))
                stream_new(a, x);
        else if (is_api(x->path))
                serve_operation(a, x);
        else if (get)
                serve_file(a, x);
        else
                reply_problem(x, 405, "method_not_allowed", "Pages are only read");
}

static void on_refuse(void *arg, struct http_exchange *x, int status, const char *code,
                      const char *text)
{
        (void)arg;
        reply_problem(x, status, code, text);
}

/* ---- the loop's side of the mailbox ---- */

static void open_letter(struct api *a, struct letter *l)
{
        struct http_exchange *x = l->x;

        if (x->wsi && l->stream && x->user)
                stream_page(a, x->user, l);
        else if (x->wsi && !l->stream)
                reply_letter(x, l);
        http_unref(x);
        letter_free(l);
}

static void open_all(struct api *a, struct mailbox *m)
{
        struct letter *list, *sorted = NULL;
        bool events;

        pthread_mutex_lock(&m->lock);
        list = m->letters;
        m->letters = NULL;
        events = m->events;
        m->events = false;
        pthread_mutex_unlock(&m->lock);
        while (list) { /* oldest first */
                struct letter *next = list->next;

                list->next = sorted;
                sorted = list;
                list = next;
        }
        while (sorted) {
                struct letter *next = sorted->next;

                open_letter(a, sorted);
                sorted = next;
        }
        for (struct stream *s = events ? a->streams : NULL, *next; s; s = next) {
                next = s->next;
                stream_ask(a, s);
        }
}

static void on_wake(uv_async_t *wake)
{
        struct api *a = wake->data;

        open_all(a, a->mail);
}

/* ---- life ---- */

void api_options_read(struct api_options *o, const struct config *c)
{
        o->address = config_text(c, "api", "address");
        o->port = (int)config_int(c, "api", "port");
        o->socket = config_text(c, "api", "socket");
        o->tls_cert = config_text(c, "api", "tls_cert");
        o->tls_key = config_text(c, "api", "tls_key");
        o->console_dir = config_text(c, "api", "console_dir");
        o->body_limit = config_int(c, "api", "body_limit");
        o->import_limit = config_int(c, "api", "import_limit");
        o->max_connections = (int)config_int(c, "api", "max_connections");
        o->timeout_s = (int)(config_int(c, "api", "timeout") / 1000);
}

static bool is_loopback(const char *address)
{
        return starts(address, "127.") || !strcmp(address, "::1");
}

static int listen_all(struct api *a, struct buf *errors)
{
        const struct api_options *o = &a->o;
        int r = 0;

        if (o->address && !o->tls_cert && !is_loopback(o->address)) {
                buf_printf(errors, "api: %s is not loopback: set tls_cert and tls_key in [api]\n",
                           o->address);
                return -EINVAL;
        }
        if (o->address) {
                r = http_listen_tcp(a->http, o->address, o->port, errors);
                a->port = r > 0 ? r : 0;
        }
        if (r >= 0 && o->socket)
                r = http_listen_unix(a->http, o->socket, errors);
        return r < 0 ? r : 0;
}

static struct mailbox *mail_new(struct api *a)
{
        struct mailbox *m = calloc(1, sizeof *m);

        if (!m)
                return NULL;
        pthread_mutex_init(&m->lock, NULL);
        m->api = a;
        m->refs = 1;
        return m;
}

int api_new(struct api **ret, const struct api_options *o, struct buf *errors)
{
        struct api *a = calloc(1, sizeof *a);
        struct http_options http = {
                .loop = o->loop,
                .tls_cert = o->tls_cert,
                .tls_key = o->tls_key,
                .body_limit = o->body_limit ? (size_t)o->body_limit : 1 << 20,
                .import_limit = o->import_limit ? (size_t)o->import_limit : 32 << 20,
                .max_connections = o->max_connections ? o->max_connections : 256,
                .body_timeout_s = o->timeout_s ? o->timeout_s : 20,
                .header_timeout_s = o->timeout_s ? o->timeout_s : 20,
                .on_request = on_request,
                .on_refuse = on_refuse,
                .on_closed = on_closed,
        };
        int r;

        if (a)
                a->mail = mail_new(a);
        if (!a || !a->mail) {
                free(a);
                return -ENOMEM;
        }
        a->o = *o;
        http.arg = a;
        uv_async_init(o->loop, &a->wake, on_wake);
        uv_timer_init(o->loop, &a->heartbeat);
        a->wake.data = a->heartbeat.data = a;
        a->handles = 2;
        uv_timer_start(&a->heartbeat, on_heartbeat, HEARTBEAT_MS, HEARTBEAT_MS);
        r = http_new(&a->http, &http, errors);
        if (!r)
                r = listen_all(a, errors);
        if (r) {
                api_free(a);
                return r;
        }
        host_on_events(o->host, on_events_changed, a->mail);
        *ret = a;
        return 0;
}

int api_port(const struct api *a)
{
        return a->port;
}

static void on_handle_closed(uv_handle_t *handle)
{
        struct api *a = handle->data;

        if (--a->handles)
                return;
        pthread_mutex_lock(&a->mail->lock);
        a->mail->closed = true;
        pthread_mutex_unlock(&a->mail->lock);
        open_all(a, a->mail);
        mail_unref(a->mail);
        free(a);
}

void api_free(struct api *a)
{
        if (!a)
                return;
        host_on_events(a->o.host, NULL, NULL);
        pthread_mutex_lock(&a->mail->lock);
        a->mail->api = NULL;
        pthread_mutex_unlock(&a->mail->lock);
        http_free(a->http);
        a->http = NULL;
        uv_close((uv_handle_t *)&a->wake, on_handle_closed);
        uv_close((uv_handle_t *)&a->heartbeat, on_handle_closed);
}
