#pragma once

/*
 * The host's operations over HTTP: /v1/... and /metrics, events as SSE, and the console's files.
 * Loop thread only; operations run on the host's workers.
 *
 * Who is it: a Bearer token; or the session cookie, with which writes also need an Origin of this
 * host or the header X-Headrace; or, on the unix socket, being uid 0 or the daemon's own.
 */

#include <uv.h>

#include "buf.h"
#include "config.h"
#include "host.h"

struct api;

/* Section [api], ended by a NULL name. */
extern const struct config_section api_config[];

struct api_options {
        uv_loop_t *loop;
        struct host *host;              /* outlives the api */
        const char *address;            /* numeric; NULL = no TCP */
        int port;                       /* 0 = a free one */
        const char *socket;             /* path of the unix socket; NULL = none */
        const char *tls_cert, *tls_key; /* NULL = plain */
        const char *console_dir;        /* NULL = no console */
        int64_t body_limit;             /* bytes; 0 = 1 MiB */
        int64_t import_limit;           /* for paths that end in /import; 0 = 32 MiB */
        int max_connections;            /* 0 = 256 */
        int timeout_s;                  /* for a header, for a body; 0 = 20 */
};

/* From the configuration's section [api]. */
void api_options_read(struct api_options *o, const struct config *c);
/* Listens. 0, or -errno with why in @errors. */
int api_new(struct api **ret, const struct api_options *o, struct buf *errors);
int api_port(const struct api *a); /* 0 without TCP */
/* Closes all connections; release the host only after the loop has run out. Free the host's
 * workers first or after, either way: late replies are dropped. */
void api_free(struct api *a);
