#pragma once

/*
 * HTTP/1.1 server on the daemon's libuv loop: a thin façade over libwebsockets, so that nothing
 * else knows it. Plain or TLS on TCP, plain on a unix socket. No WebSocket, no HTTP/2, no
 * chunked requests. Everything runs on the loop thread.
 *
 * An exchange lives from its request to the end of its reply or of its connection; who keeps it
 * beyond on_request() takes a reference. Replies to an exchange whose client has gone are dropped.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "buf.h"

struct http;

struct http_exchange {
        /* the request; strings owned by the exchange, NULL or "" where absent */
        const char *method; /* static */
        char *path;         /* percent-encoded anew */
        char *query;        /* likewise, NULL = none */
        char *authorization, *cookie, *origin, *host, *content_type, *accept, *accept_encoding;
        char *if_none_match, *idempotency_key, *last_event_id, *custom; /* custom: X-Headrace */
        struct buf body;
        char peer[64]; /* address, or "unix:UID" */
        bool local;    /* a unix socket */
        uid_t uid;     /* of the peer, local only */
        bool tls;
        /* the server's own */
        struct http *server;
        void *wsi; /* NULL once the connection is gone */
        int refs;
        void *user;              /* the handler's; see on_closed */
        struct http_output *out; /* owned; NULL until a reply begins */
        int refused;             /* status to answer once the body has been read past */
        size_t limit;            /* of the body, bytes */
        size_t announced;        /* counted against all bodies together */
        bool dispatched;         /* the body is complete */
        bool must_close;         /* where its end is unsure, nothing may follow on the connection */
};

struct http_options {
        uv_loop_t *loop;
        const char *tls_cert, *tls_key; /* PEM files; both or neither */
        size_t body_limit;              /* bytes; beyond: 413 */
        size_t import_limit;            /* the same for paths that end in /import */
        int max_connections;            /* beyond: closed at once */
        int body_timeout_s;             /* from the header to the end of the body */
        int header_timeout_s;           /* from the connection's begin to the header's end */
        /* A whole request. Reply now or later. */
        void (*on_request)(void *arg, struct http_exchange *x);
        /* The façade refuses by itself (413, 501, ...): fill in a reply with http_reply(). */
        void (*on_refuse)(void *arg, struct http_exchange *x, int status, const char *code,
                          const char *text);
        /* The exchange is over, answered or not; x->user may be released. */
        void (*on_closed)(void *arg, struct http_exchange *x);
        void *arg;
};

/* One name and value of a reply; the list ends with a NULL name. Lower-case names without colon. */
struct http_header {
        const char *name, *value;
};

/* 0; -EINVAL (certificate), -ENOMEM; why in @errors. */
int http_new(struct http **ret, const struct http_options *o, struct buf *errors);
/* The port bound (0 picks a free one), or -errno. */
int http_listen_tcp(struct http *h, const char *address, int port, struct buf *errors);
/* Replaces a socket nobody listens on; -EADDRINUSE if somebody does. Mode 0666: who may do what
 * is decided by the peer's uid and its token. */
int http_listen_unix(struct http *h, const char *path, struct buf *errors);
/* Closes everything; the loop must run until it has nothing left to do. */
void http_free(struct http *h);
/* Connections open now. */
int http_connections(const struct http *h);

struct http_exchange *http_ref(struct http_exchange *x);
void http_unref(struct http_exchange *x);

/* Takes the body (may be NULL), leaves it empty. */
void http_reply(struct http_exchange *x, int status, const struct http_header *headers,
                struct buf *body);
/* Begins a reply without an end (SSE); then any number of http_send(). */
void http_stream(struct http_exchange *x, const struct http_header *headers);
/* false: the client is gone, or has not read for so long that it is cut off. */
bool http_send(struct http_exchange *x, const void *p, size_t n);
void http_end(struct http_exchange *x);
