#include "mqtt.h"

#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        TICK_MS = 1000,
        CONNECT_TIMEOUT_MS = 15000,
        CLOSE_WAIT_MS = 3000,
        STABLE_MS = 10000, /* a connection this old forgives earlier failures */
        MAX_TOPICS = 16,
};

enum mqtt_phase { PHASE_WAITING, PHASE_CONNECTING, PHASE_GREETING, PHASE_UP };

struct mqtt {
        uv_loop_t *loop;
        struct mqtt_handlers handlers;
        void *arg;
        char *host, *client_id, *user, *password, *ca_file, *cert_file, *key_file;
        char *topics[MAX_TOPICS + 1];
        uint16_t port;
        int keepalive_s;
        unsigned batch_max;
        int64_t backoff_min_ms, backoff_max_ms, backoff_ms;

        enum mqtt_phase phase;
        int64_t phase_since_ms;
        struct mosquitto *client; /* a new one for each connection: no state survives it */
        uv_poll_t *poll;          /* on a duplicate: the client closes its own descriptor */
        int poll_fd;
        uv_timer_t timer, tick;
        uv_work_t work;
        int work_result;
        bool working, closing;
        int64_t close_deadline_ms;

        uint64_t batch;
        unsigned batch_count, held;
        bool batch_failed, in_client, dropped;
        int batch_error;
        const char *drop_why;
        int open_handles;
        struct mqtt_stats stats;
};

static void settle(struct mqtt *m);
static void finish_close(struct mqtt *m);
static void start_connect(struct mqtt *m);

static int64_t now_ms(struct mqtt *m)
{
        return (int64_t)uv_now(m->loop);
}

static void enter(struct mqtt *m, enum mqtt_phase phase)
{
        m->phase = phase;
        m->phase_since_ms = now_ms(m);
        m->stats.connected = phase == PHASE_UP;
}

static void on_poll_closed(uv_handle_t *h)
{
        free(h);
}

static void stop_watching(struct mqtt *m)
{
        if (!m->poll)
                return;
        uv_poll_stop(m->poll);
        uv_close((uv_handle_t *)m->poll, on_poll_closed);
        m->poll = NULL;
        close(m->poll_fd);
        m->poll_fd = -1;
}

static void on_backoff_over(uv_timer_t *t)
{
        struct mqtt *m = t->data;

        if (!m->closing)
                start_connect(m);
}

static uint64_t next_backoff(struct mqtt *m)
{
        int64_t wait = m->backoff_ms;
        unsigned r = 0;

        m->backoff_ms =
                m->backoff_ms * 2 < m->backoff_max_ms ? m->backoff_ms * 2 : m->backoff_max_ms;
        uv_random(NULL, NULL, &r, sizeof r, 0, NULL);
        /* Half fixed, half chance: a thousand daemons do not come back in the same second. */
        return (uint64_t)(wait / 2 + (int64_t)(r % (uint64_t)(wait / 2 + 1)));
}

/* Ends the connection without sending what is queued. What was not acknowledged comes again. */
static void drop(struct mqtt *m, const char *why)
{
        if (m->in_client) {
                /* The client may not be destroyed below its own callback. */
                m->dropped = true;
                m->drop_why = why;
                return;
        }
        stop_watching(m);
        if (m->client)
                mosquitto_destroy(m->client);
        m->client = NULL;
        m->batch++; /* reports about the old batch mean nothing now */
        m->held = m->batch_count = 0;
        m->batch_failed = m->dropped = false;
        enter(m, PHASE_WAITING);
        if (m->handlers.state)
                m->handlers.state(m->arg, false, why);
        if (m->closing)
                finish_close(m);
        else
                uv_timer_start(&m->timer, on_backoff_over, next_backoff(m), 0);
}

static void on_poll(uv_poll_t *p, int status, int events);

static void watch(struct mqtt *m)
{
        int events = 0;

        if (!m->poll)
                return;
        if (!m->held && !m->closing)
                events |= UV_READABLE;
        if (!m->held && mosquitto_want_write(m->client))
                events |= UV_WRITABLE;
        if (events)
                uv_poll_start(m->poll, events, on_poll);
        else
                uv_poll_stop(m->poll);
}

/* True when the connection survived the call that returned @rc. */
static bool still_up(struct mqtt *m, int rc)
{
        m->in_client = false;
        if (m->dropped) {
                drop(m, m->drop_why);
                return false;
        }
        if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(m->client) < 0) {
                drop(m, rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
                return false;
        }
        return true;
}

static bool flush(struct mqtt *m)
{
        int rc;

        if (m->held || !mosquitto_want_write(m->client))
                return true;
        m->in_client = true;
        rc = mosquitto_loop_write(m->client, 1);
        return still_up(m, rc);
}

/* By asking the socket, not by errno: the client's internal wake-up pair leaves EAGAIN behind. */
static bool more_to_read(struct mqtt *m)
{
        struct pollfd p = { .fd = m->poll_fd, .events = POLLIN };
        SSL *ssl = m->ca_file ? mosquitto_ssl_get(m->client) : NULL;

        return (ssl && SSL_pending(ssl) > 0) || poll(&p, 1, 0) > 0;
}

static void read_batch(struct mqtt *m)
{
        m->batch++;
        m->batch_count = 0;
        m->batch_failed = false;
        while (m->batch_count < m->batch_max && !m->batch_failed && more_to_read(m)) {
                int rc;

                m->in_client = true;
                rc = mosquitto_loop_read(m->client, 1);
                if (!still_up(m, rc))
                        return;
        }
        if (!m->held)
                settle(m);
        else
                watch(m);
}

/* Every message of the batch was reported: let the acknowledgements go, or the connection. */
static void settle(struct mqtt *m)
{
        if (m->batch_failed) {
                m->stats.failed_batches++;
                drop(m, strerror(-m->batch_error));
                return;
        }
        if (m->batch_count) {
                m->stats.batches++;
                m->backoff_ms = m->backoff_min_ms;
        }
        m->batch_count = 0;
        if (!flush(m))
                return;
        if (m->closing)
                finish_close(m);
        else
                watch(m);
}

void mqtt_message_done(struct mqtt *m, uint64_t batch, int status)
{
        if (batch != m->batch || !m->held || uv_is_closing((uv_handle_t *)&m->timer))
                return;
        if (status < 0) {
                m->batch_failed = true;
                m->batch_error = status;
        }
        if (--m->held == 0 && !m->in_client)
                settle(m);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
        struct mqtt *m = p->data;

        if (status < 0) {
                drop(m, uv_strerror(status));
                return;
        }
        if ((events & UV_WRITABLE) && !flush(m))
                return;
        if ((events & UV_READABLE) && !m->held)
                read_batch(m);
        else
                watch(m);
}

static void on_connect(struct mosquitto *c, void *arg, int rc)
{
        struct mqtt *m = arg;

        if (rc != 0) {
                drop(m, mosquitto_connack_string(rc));
                return;
        }
        enter(m, PHASE_UP);
        m->stats.connects++;
        for (size_t i = 0; m->topics[i]; i++)
                if (mosquitto_subscribe(c, NULL, m->topics[i], 1) != MOSQ_ERR_SUCCESS) {
                        drop(m, "the broker's connection does not take subscriptions");
                        return;
                }
        if (m->handlers.state)
                m->handlers.state(m->arg, true, NULL);
}

static void on_message(struct mosquitto *c, void *arg, const struct mosquitto_message *msg)
{
        struct mqtt *m = arg;
        struct mqtt_message out = { .topic = msg->topic,
                                    .payload = msg->payload,
                                    .len = msg->payloadlen > 0 ? (size_t)msg->payloadlen : 0,
                                    .retained = msg->retain };
        int r;

        (void)c;
        /* After a refusal the rest of the batch waits for its next delivery, in order. */
        if (m->batch_failed)
                return;
        m->batch_count++;
        m->stats.messages++;
        m->held++;
        r = m->handlers.message ? m->handlers.message(m->arg, m->batch, &out) : 0;
        if (r <= 0 && m->held)
                m->held--;
        if (r < 0) {
                m->batch_failed = true;
                m->batch_error = r;
        }
}

static void on_publish(struct mosquitto *c, void *arg, int id)
{
        struct mqtt *m = arg;

        (void)c;
        m->stats.published++;
        if (m->handlers.published)
                m->handlers.published(m->arg, id);
}

static void connect_work(uv_work_t *w)
{
        struct mqtt *m = w->data;

        m->work_result = mosquitto_connect_async(m->client, m->host, m->port, m->keepalive_s);
        if (m->work_result == MOSQ_ERR_ERRNO)
                m->work_result = -errno - 1000; /* keep errno: it is this thread's */
}

static void connect_done(uv_work_t *w, int status)
{
        struct mqtt *m = w->data;
        int fd, rc = m->work_result;

        m->working = false;
        if (m->closing || status < 0) {
                drop(m, "closed");
                return;
        }
        if (rc <= -1000) {
                drop(m, strerror(-(rc + 1000)));
                return;
        }
        fd = mosquitto_socket(m->client);
        if (rc > 0 || fd < 0) {
                drop(m, rc > 0 ? mosquitto_strerror(rc) : "no connection");
                return;
        }
        m->poll_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        m->poll = m->poll_fd < 0 ? NULL : calloc(1, sizeof *m->poll);
        if (!m->poll || uv_poll_init(m->loop, m->poll, m->poll_fd) < 0) {
                if (m->poll_fd >= 0)
                        close(m->poll_fd);
                free(m->poll);
                m->poll = NULL;
                drop(m, "cannot watch the connection");
                return;
        }
        m->poll->data = m;
        enter(m, PHASE_GREETING);
        watch(m);
}

static int new_client(struct mqtt *m)
{
        struct mosquitto *c = mosquitto_new(m->client_id, false, m);

        if (!c)
                return -ENOMEM;
        m->client = c;
        /* Packets are queued until mosquitto_loop_write(): this is what holds acknowledgements. */
        mosquitto_threaded_set(c, true);
        mosquitto_max_inflight_messages_set(c, 0);
        mosquitto_connect_callback_set(c, on_connect);
        mosquitto_message_callback_set(c, on_message);
        mosquitto_publish_callback_set(c, on_publish);
        if (m->user && mosquitto_username_pw_set(c, m->user, m->password) != MOSQ_ERR_SUCCESS)
                return -EINVAL;
        if (m->ca_file && mosquitto_tls_set(c, m->ca_file, NULL, m->cert_file, m->key_file, NULL) !=
                                  MOSQ_ERR_SUCCESS)
                return -EINVAL;
        return 0;
}

static void start_connect(struct mqtt *m)
{
        int r = new_client(m);

        enter(m, PHASE_CONNECTING);
        if (r < 0) {
                drop(m,
                     r == -EINVAL ? "user, password or TLS files cannot be used" : "out of memory");
                return;
        }
        m->work.data = m;
        m->working = true;
        if (uv_queue_work(m->loop, &m->work, connect_work, connect_done) < 0) {
                m->working = false;
                drop(m, "no thread to connect with");
        }
}

static void on_tick(uv_timer_t *t)
{
        struct mqtt *m = t->data;
        int64_t age = now_ms(m) - m->phase_since_ms;
        int rc;

        if (m->closing && !m->working && now_ms(m) >= m->close_deadline_ms) {
                finish_close(m);
                return;
        }
        if (m->phase == PHASE_GREETING && age > CONNECT_TIMEOUT_MS) {
                drop(m, "the broker does not answer");
                return;
        }
        if (m->phase != PHASE_UP && m->phase != PHASE_GREETING)
                return;
        if (age > STABLE_MS && !m->held)
                m->backoff_ms = m->backoff_min_ms;
        m->in_client = true;
        rc = mosquitto_loop_misc(m->client);
        if (still_up(m, rc) && flush(m))
                watch(m);
}

static void free_all(struct mqtt *m)
{
        void (*closed)(void *) = m->handlers.closed;
        void *arg = m->arg;

        for (size_t i = 0; m->topics[i]; i++)
                free(m->topics[i]);
        if (m->password)
                explicit_bzero(m->password, strlen(m->password));
        free(m->host);
        free(m->client_id);
        free(m->user);
        free(m->password);
        free(m->ca_file);
        free(m->cert_file);
        free(m->key_file);
        free(m);
        mosquitto_lib_cleanup();
        if (closed)
                closed(arg);
}

static void on_handle_closed(uv_handle_t *h)
{
        struct mqtt *m = h->data;

        if (--m->open_handles == 0)
                free_all(m);
}

static void finish_close(struct mqtt *m)
{
        if (uv_is_closing((uv_handle_t *)&m->timer))
                return;
        if (m->client && m->phase == PHASE_UP && !m->held) {
                mosquitto_disconnect(m->client);
                if (mosquitto_socket(m->client) >= 0)
                        mosquitto_loop_write(m->client, 1);
        }
        stop_watching(m);
        if (m->client)
                mosquitto_destroy(m->client);
        m->client = NULL;
        uv_close((uv_handle_t *)&m->timer, on_handle_closed);
        uv_close((uv_handle_t *)&m->tick, on_handle_closed);
}

void mqtt_close(struct mqtt *m)
{
        if (!m || m->closing)
                return;
        m->closing = true;
        m->close_deadline_ms = now_ms(m) + CLOSE_WAIT_MS;
        uv_timer_stop(&m->timer);
        if (!m->working && !m->held && !m->in_client)
                finish_close(m);
}

static char *copy(const char *s, bool *failed)
{
        char *c = s ? strdup(s) : NULL;

        if (s && !c)
                *failed = true;
        return c;
}

static int take_config(struct mqtt *m, const struct mqtt_config *c)
{
        bool failed = false;

        m->host = copy(c->host, &failed);
        m->client_id = copy(c->client_id, &failed);
        m->user = copy(c->user, &failed);
        m->password = copy(c->password, &failed);
        m->ca_file = copy(c->ca_file, &failed);
        m->cert_file = copy(c->cert_file, &failed);
        m->key_file = copy(c->key_file, &failed);
        for (size_t i = 0; c->topics && c->topics[i]; i++) {
                if (i == MAX_TOPICS || mosquitto_sub_topic_check(c->topics[i]) != MOSQ_ERR_SUCCESS)
                        return -EINVAL;
                m->topics[i] = copy(c->topics[i], &failed);
        }
        m->port = c->port;
        m->keepalive_s = c->keepalive_s ? c->keepalive_s : 60;
        m->batch_max = c->batch_max ? c->batch_max : 2000;
        m->backoff_min_ms = c->backoff_min_ms ? c->backoff_min_ms : 500;
        m->backoff_max_ms = c->backoff_max_ms ? c->backoff_max_ms : 60000;
        m->backoff_ms = m->backoff_min_ms;
        return failed ? -ENOMEM : 0;
}

int mqtt_open(struct mqtt **ret, uv_loop_t *loop, const struct mqtt_config *config,
              const struct mqtt_handlers *handlers, void *arg)
{
        struct mqtt *m;
        int r;

        if (!config->host || !config->port || !config->client_id || !*config->client_id)
                return -EINVAL;
        m = calloc(1, sizeof *m);
        if (!m)
                return -ENOMEM;
        mosquitto_lib_init();
        m->loop = loop;
        m->poll_fd = -1;
        r = take_config(m, config);
        if (r < 0) {
                free_all(m);
                return r;
        }
        m->handlers = *handlers;
        m->arg = arg;
        uv_timer_init(loop, &m->timer);
        uv_timer_init(loop, &m->tick);
        m->timer.data = m->tick.data = m;
        m->open_handles = 2;
        uv_timer_start(&m->timer, on_backoff_over, 0, 0);
        uv_timer_start(&m->tick, on_tick, TICK_MS, TICK_MS);
        *ret = m;
        return 0;
}

int mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t n, int *ret_id)
{
        int rc;

        if (m->phase != PHASE_UP || m->closing)
                return -ENOTCONN;
        rc = mosquitto_publish(m->client, ret_id, topic, (int)n, payload, 1, false);
        switch (rc) {
        case MOSQ_ERR_SUCCESS:
                if (!m->in_client && flush(m))
                        watch(m);
                return 0;
        case MOSQ_ERR_NOMEM:
                return -ENOMEM;
        case MOSQ_ERR_NO_CONN:
                return -ENOTCONN;
        default:
                return -EINVAL;
        }
}

void mqtt_get_stats(const struct mqtt *m, struct mqtt_stats *ret)
{
        *ret = m->stats;
        ret->held = m->held;
}
