#pragma once

/*
 * MQTT client on the loop that acknowledges only what is durable.
 *
 * Messages are read in batches; every acknowledgement of a batch stays queued in the client until
 * each message of it was reported done. If one fails, the connection is dropped unacknowledged
 * and the broker delivers the batch again (duplicates fall to the reading's key). The client id is
 * fixed and the session kept, so what arrives while we are away waits in the broker.
 *
 * Loop thread only; connecting (the resolver blocks) runs on libuv's thread pool. What the caller
 * gives is copied; callbacks never run inside mqtt_open().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct mqtt;

struct mqtt_message {
        const char *topic; /* borrowed during the callback, as is the payload */
        const uint8_t *payload;
        size_t len;
        bool retained, duplicate;
};

struct mqtt_handlers {
        /* 1: held, mqtt_message_done() follows; 0: nothing to wait for; negative (-errno): cannot
         * be taken now, the batch is delivered again after a back-off. May be NULL. */
        int (*message)(void *arg, uint64_t batch, const struct mqtt_message *msg);
        /* @why is NULL when connected; else why the connection failed or ended. May be NULL. */
        void (*state)(void *arg, bool connected, const char *why);
        /* The broker has taken what mqtt_publish() numbered @id. May be NULL. */
        void (*published)(void *arg, int id);
        /* mqtt_close() is complete; the struct mqtt is gone. May be NULL. */
        void (*closed)(void *arg);
};

struct mqtt_config {
        const char *host;
        uint16_t port;
        const char *client_id;                      /* fixed, unique in the broker */
        const char *user, *password;                /* NULL = none */
        const char *ca_file, *cert_file, *key_file; /* ca_file NULL = no TLS */
        const char *const *topics; /* NULL-ended filters, subscribed at QoS 1; may be NULL */
        int keepalive_s;           /* 0 = 60 */
        unsigned batch_max;        /* messages held at once; 0 = 2000 */
        int64_t backoff_min_ms, backoff_max_ms; /* 0 = 500 and 60000 */
};

struct mqtt_stats {
        uint64_t messages, batches, failed_batches, connects, published;
        unsigned held; /* messages waiting to become durable */
        bool connected;
};

/* 0, -EINVAL, -ENOMEM or -errno. */
int mqtt_open(struct mqtt **ret, uv_loop_t *loop, const struct mqtt_config *config,
              const struct mqtt_handlers *handlers, void *arg);
/* The message handed over in @batch is durable (@status 0) or could not be stored (-errno). Of an
 * older batch: ignored. */
void mqtt_message_done(struct mqtt *m, uint64_t batch, int status);
/* Queues at QoS 1. 0, -ENOTCONN, -EINVAL, -EAGAIN, -ENOMEM. What was not reported published when
 * the connection ends is forgotten: publish it again. */
int mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t n, int *ret_id);
void mqtt_get_stats(const struct mqtt *m, struct mqtt_stats *ret);
/* Waits (at most 3 s) for the batch in hand, acknowledges it, says goodbye, frees @m. */
void mqtt_close(struct mqtt *m);
