/*
 * MQTT meters: many of them behind one connection with a persistent session, QoS 1. A message
 * counts when its PUBACK is there. The connection is made again for ever.
 */
#include <errno.h>
#include <mosquitto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pushed.h"
#include "sim.h"

enum { KEEPALIVE_S = 60, RECONNECT_MS = 1000 };

struct mqtt_meter {
        struct pusher p;
        int mid; /* of the message on its way; 0 = none */
};

struct mqtt_link {
        struct sim *sim;
        struct mosquitto *m;
        uv_poll_t *poll; /* on a duplicate of the socket: libmosquitto closes its own at will */
        int poll_fd, watched;
        bool connected;
        uint64_t retry_at;
        struct mqtt_meter *meters; /* borrowed from sim_mqtt */
        unsigned n, turn, inflight;
};

struct sim_mqtt {
        struct mqtt_link *links;   /* owned */
        struct mqtt_meter *meters; /* owned */
        unsigned n_links, n_meters;
};

static void watch(struct mqtt_link *l);

static void on_poll_closed(uv_handle_t *h)
{
        free(h);
}

static void unwatch(struct mqtt_link *l)
{
        if (!l->poll)
                return;
        uv_poll_stop(l->poll);
        uv_close((uv_handle_t *)l->poll, on_poll_closed);
        close(l->poll_fd);
        l->poll = NULL;
        l->watched = -1;
}

static void on_ready(uv_poll_t *h, int status, int events)
{
        struct mqtt_link *l = h->data;

        if (status < 0 || events & UV_READABLE)
                mosquitto_loop_read(l->m, 64);
        if (events & UV_WRITABLE)
                mosquitto_loop_write(l->m, 64);
        watch(l);
}

/* Follows the library's socket: watch it while it is there, for writing while it wants to. */
static void watch(struct mqtt_link *l)
{
        int fd = mosquitto_socket(l->m);
        int events = UV_READABLE;

        if (l->poll && fd != l->watched)
                unwatch(l);
        if (fd < 0 || l->sim->stopping)
                return;
        if (!l->poll) {
                l->poll_fd = dup(fd);
                l->poll = calloc(1, sizeof *l->poll);
                if (l->poll_fd < 0 || !l->poll ||
                    uv_poll_init(&l->sim->loop, l->poll, l->poll_fd)) {
                        free(l->poll);
                        l->poll = NULL;
                        return;
                }
                l->poll->data = l;
                l->watched = fd;
        }
        if (mosquitto_want_write(l->m))
                events |= UV_WRITABLE;
        uv_poll_start(l->poll, events, on_ready);
}

static void on_connect(struct mosquitto *m, void *arg, int rc)
{
        struct mqtt_link *l = arg;

        (void)m;
        l->connected = rc == 0;
        if (rc != 0)
                fprintf(stderr, "headrace-sim: the broker refuses the connection: %s\n",
                        mosquitto_connack_string(rc));
}

static void on_disconnect(struct mosquitto *m, void *arg, int rc)
{
        struct mqtt_link *l = arg;

        (void)m, (void)rc;
        l->connected = false;
        l->retry_at = uv_now(&l->sim->loop) + RECONNECT_MS;
}

static void on_publish(struct mosquitto *m, void *arg, int mid)
{
        struct mqtt_link *l = arg;
        struct sim *s = l->sim;

        for (unsigned i = 0; i < l->n; i++) {
                struct mqtt_meter *meter = &l->meters[i];

                if (meter->mid != mid)
                        continue;
                meter->mid = 0;
                l->inflight--;
                pusher_acknowledge(&meter->p, s);
                if (sim_chance(s, s->opt.restart)) {
                        s->stats.restarts++;
                        shutdown(mosquitto_socket(m), SHUT_RDWR);
                }
                return;
        }
}

static void send_message(struct mqtt_link *l, struct mqtt_meter *meter, unsigned n)
{
        struct sim *s = l->sim;
        struct buf b = BUF_INIT;
        char topic[256];
        int mid = 0;

        pusher_message(&meter->p, n, &b);
        snprintf(topic, sizeof topic, "headrace/v1/%s/telemetry", meter->p.meter->identity);
        if (!b.failed &&
            mosquitto_publish(l->m, &mid, topic, (int)b.len, b.p, 1, false) == MOSQ_ERR_SUCCESS) {
                meter->p.sent = n;
                meter->mid = mid;
                l->inflight++;
                s->stats.pushed++;
                if (sim_chance(s, s->opt.duplicate) &&
                    mosquitto_publish(l->m, NULL, topic, (int)b.len, b.p, 1, false) == 0)
                        s->stats.duplicates++;
        }
        buf_deinit(&b);
}

/* Round robin over the link's meters until its window or the rate is used up. */
static void send_due(struct mqtt_link *l)
{
        struct sim *s = l->sim;

        for (unsigned i = 0; i < l->n && l->inflight < s->opt.inflight; i++) {
                struct mqtt_meter *meter = &l->meters[l->turn++ % l->n];
                unsigned n = meter->mid ? 0 : pusher_due(&meter->p, s, s->opt.per_message);

                if (n == 0)
                        continue;
                if (!sim_take_token(s))
                        return;
                send_message(l, meter, n);
        }
}

static void try_connect(struct mqtt_link *l)
{
        struct sim *s = l->sim;

        l->retry_at = uv_now(&s->loop) + RECONNECT_MS;
        mosquitto_connect(l->m, s->opt.broker.host, s->opt.broker.port, KEEPALIVE_S);
}

void sim_mqtt_tick(struct sim *s)
{
        for (unsigned i = 0; s->mqtt && i < s->mqtt->n_links; i++) {
                struct mqtt_link *l = &s->mqtt->links[i];

                if (mosquitto_socket(l->m) < 0 && uv_now(&s->loop) >= l->retry_at)
                        try_connect(l);
                if (l->connected)
                        send_due(l);
                mosquitto_loop_misc(l->m);
                watch(l);
        }
}

bool sim_mqtt_done(const struct sim *s)
{
        for (unsigned i = 0; s->mqtt && i < s->mqtt->n_meters; i++)
                if (!pusher_done(&s->mqtt->meters[i].p, s))
                        return false;
        return true;
}

static int open_link(struct mqtt_link *l, struct sim *s, unsigned number)
{
        char id[64];

        l->sim = s;
        l->watched = -1;
        snprintf(id, sizeof id, "%s-%llu-%u", s->opt.prefix, (unsigned long long)s->opt.seed,
                 number);
        l->m = mosquitto_new(id, false, l);
        if (!l->m)
                return -ENOMEM;
        if (s->opt.user[0])
                mosquitto_username_pw_set(l->m, s->opt.user, s->opt.password);
        mosquitto_connect_callback_set(l->m, on_connect);
        mosquitto_disconnect_callback_set(l->m, on_disconnect);
        mosquitto_publish_callback_set(l->m, on_publish);
        mosquitto_max_inflight_messages_set(l->m, s->opt.inflight);
        return 0;
}

static bool is_mqtt(const struct meter *m)
{
        return m->kind == SIM_MQTT_SENML || m->kind == SIM_MQTT_FLAT;
}

int sim_mqtt_open(struct sim *s)
{
        struct sim_mqtt *q = calloc(1, sizeof *q);
        unsigned n = s->opt.count[SIM_MQTT_SENML] + s->opt.count[SIM_MQTT_FLAT], done = 0;
        int r = 0;

        if (!q)
                return -ENOMEM;
        s->mqtt = q;
        if (n == 0)
                return 0;
        mosquitto_lib_init();
        q->meters = calloc(n, sizeof *q->meters);
        q->links = calloc(n / s->opt.per_connection + 1, sizeof *q->links);
        if (!q->meters || !q->links)
                return -ENOMEM;
        for (unsigned i = 0; i < s->n; i++)
                if (is_mqtt(&s->meters[i]))
                        pusher_init(&q->meters[q->n_meters++].p, s, &s->meters[i]);
        while (done < q->n_meters && !r) {
                struct mqtt_link *l = &q->links[q->n_links];

                r = open_link(l, s, q->n_links);
                q->n_links += !r;
                l->meters = q->meters + done;
                l->n = q->n_meters - done < s->opt.per_connection ? q->n_meters - done
                                                                  : s->opt.per_connection;
                done += l->n;
        }
        return r;
}

void sim_mqtt_close(struct sim *s)
{
        for (unsigned i = 0; s->mqtt && i < s->mqtt->n_links; i++) {
                mosquitto_disconnect(s->mqtt->links[i].m);
                unwatch(&s->mqtt->links[i]);
        }
}

void sim_mqtt_free(struct sim *s)
{
        if (!s->mqtt)
                return;
        for (unsigned i = 0; i < s->mqtt->n_links; i++)
                mosquitto_destroy(s->mqtt->links[i].m);
        if (s->mqtt->n_links > 0)
                mosquitto_lib_cleanup();
        free(s->mqtt->links);
        free(s->mqtt->meters);
        free(s->mqtt);
        s->mqtt = NULL;
}
