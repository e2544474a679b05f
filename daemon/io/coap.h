#pragma once

/*
 * CoAP server behind DTLS with pre-shared keys, on the loop. Each request gets its answer later,
 * as a separate response: after what it carried is durable. Only POST to the paths configured;
 * block-wise transfers are refused (libcoap 4.3.1 is not safe with them), bodies are limited.
 *
 * An identity the caller does not know is refused in the handshake, as is a wrong key.
 * Loop thread only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct coap_server;
/* One request waiting for its answer; borrowed until coap_exchange_answer(). */
struct coap_exchange;

enum { COAP_IDENTITY_MAX = 255, COAP_BODY_MAX = 1152 };

/* Codes as class * 100 + detail. */
enum {
        COAP_CHANGED = 204,
        COAP_BAD_REQUEST = 400,
        COAP_BAD_OPTION = 402,
        COAP_TOO_LARGE = 413,
        COAP_UNSUPPORTED_FORMAT = 415,
        COAP_UNPROCESSABLE = 422,
        COAP_UNAVAILABLE = 503,
};

struct coap_input {
        const char *identity; /* of the handshake; borrowed during the callback, like all here */
        const char *path;     /* "v1/telemetry" */
        int content_format;   /* -1 = not said; 110 SenML JSON, 50 JSON, 112 SenML CBOR */
        const uint8_t *body;
        size_t len;
};

struct coap_handlers {
        /* Key of @identity into @key; returns its length, 0 = unknown. */
        size_t (*key)(void *arg, const char *identity, uint8_t *key, size_t cap);
        /* Answer now or later, exactly once. */
        void (*request)(void *arg, struct coap_exchange *x, const struct coap_input *in);
        /* coap_server_close() is complete. May be NULL. */
        void (*closed)(void *arg);
};

struct coap_config {
        const char *address;        /* NULL = all, both families */
        uint16_t port;              /* 0 = 5684 */
        const char *const *paths;   /* NULL-ended, without leading slash */
        unsigned max_idle_sessions; /* 0 = 2000: every I/O call of libcoap walks them all */
        unsigned max_handshakes;    /* 0 = 500 */
        unsigned session_timeout_s; /* idle; 0 = 300 */
        unsigned max_pending;       /* requests waiting for durability; 0 = 20000 */
        int receive_buffer;         /* bytes; 0 = 8 MiB */
};

struct coap_stats {
        uint64_t requests, answered, refused_identity, refused_block, refused_busy,
                handshake_errors;
        unsigned pending;
        int receive_buffer; /* granted by the system */
};

/* 0, -EADDRINUSE (or another reason not to bind), -ENOMEM, -EIO. */
int coap_server_open(struct coap_server **ret, uv_loop_t *loop, const struct coap_config *config,
                     const struct coap_handlers *handlers, void *arg);
/* @text may be NULL. Frees @x; does so too when the session is gone. */
void coap_exchange_answer(struct coap_exchange *x, int code, const char *text);
void coap_server_get_stats(const struct coap_server *s, struct coap_stats *ret);
/* Requests still waiting get 5.03; their exchanges stay valid for one (then silent) answer. */
void coap_server_close(struct coap_server *s);
