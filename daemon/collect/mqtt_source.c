/* Telemetry from the broker: headrace/v1/ID/telemetry, acknowledged when durable. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collect_internal.h"

struct held {
        struct collect *collect;
        uint64_t batch;
        bool inside; /* still in the message callback */
        enum intake_outcome outcome;
        int error;
        bool answered;
};

static void on_stored(void *arg, enum intake_outcome outcome, int error, const char *why)
{
        struct held *h = arg;
        struct collect *c = h->collect;

        (void)why;
        if (h->inside) {
                h->answered = true;
                h->outcome = outcome;
                h->error = error;
                return;
        }
        if (c->mqtt)
                mqtt_message_done(c->mqtt, h->batch,
                                  outcome == INTAKE_BUSY ? (error ? error : -EAGAIN) : 0);
        free(h);
}

/* The third level; levels before it may differ (a shared or bridged broker). */
static bool identity_of(const char *topic, char *out, size_t cap)
{
        const char *end = strrchr(topic, '/'), *begin = end;

        if (!end || strcmp(end, "/telemetry") != 0)
                return false;
        while (begin > topic && begin[-1] != '/')
                begin--;
        if (begin == end || (size_t)(end - begin) >= cap)
                return false;
        memcpy(out, begin, (size_t)(end - begin));
        out[end - begin] = 0;
        return true;
}

/* "headrace/v1/up/ID": a record of a concentrator's spool. False: none of ours. */
static bool forwarded(const struct mqtt_message *msg, struct forward_record *r,
                      struct intake_message *m)
{
        static const char *const protocols[] = { "dlms", "modbus", "mqtt", "coap" };

        if (forward_parse(msg->payload, msg->len, r) < 0)
                return false;
        for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
                if (strcmp(r->protocol, protocols[i]) == 0) {
                        m->protocol = (enum meter_protocol)i;
                        m->identity = r->identity;
                        m->detail = r->detail;
                        m->raw = r->raw;
                        m->len = r->len;
                        return true;
                }
        return false;
}

static bool from_concentrator(const char *topic)
{
        const char *id = strrchr(topic, '/');

        return id && id - topic >= 3 && strncmp(id - 3, "/up", 3) == 0;
}

static int on_message(void *arg, uint64_t batch, const struct mqtt_message *msg)
{
        struct collect *c = arg;
        char identity[256];
        struct intake_message m = { .source = SOURCE_KIND_MQTT,
                                    .protocol = METER_MQTT,
                                    .identity = identity,
                                    .detail = msg->topic,
                                    .raw = msg->payload,
                                    .len = msg->len };
        struct forward_record record;
        struct held *h;
        int r = 1;

        if (!msg->len && msg->retained)
                return 0;
        if (from_concentrator(msg->topic) ? !forwarded(msg, &record, &m)
                                          : !identity_of(msg->topic, identity, sizeof identity)) {
                c->sources[SOURCE_KIND_MQTT].messages++;
                c->sources[SOURCE_KIND_MQTT].counts.refused[NORMALISE_UNKNOWN_METER]++;
                return 0;
        }
        h = calloc(1, sizeof *h);
        if (!h)
                return -ENOMEM;
        *h = (struct held){ .collect = c, .batch = batch, .inside = true };
        intake(c, &m, on_stored, h);
        if (h->answered) {
                r = h->outcome == INTAKE_BUSY ? (h->error ? h->error : -EAGAIN) : 0;
                free(h);
        } else {
                h->inside = false;
        }
        return r;
}

static void on_state(void *arg, bool connected, const char *why)
{
        struct collect *c = arg;

        if (connected)
                log_info(&c->scope, "connected to the broker");
        else
                log_warn(&c->scope, "no connection to the broker", LOG_S("why", why));
}

static void on_closed(void *arg)
{
        struct collect *c = arg;

        c->mqtt = NULL;
        collect_part_closed(c);
}

int mqtt_source_open(struct collect *c, const struct collect_options *o, struct buf *error)
{
        static const struct mqtt_handlers handlers = { .message = on_message,
                                                       .state = on_state,
                                                       .closed = on_closed };
        const struct config *f = c->config;
        const char *topics[] = { config_text(f, "mqtt", "topic"),
                                 config_text(f, "mqtt", "concentrators"), NULL };
        struct mqtt_config m = {
                .host = o->mqtt_host ? o->mqtt_host : config_text(f, "mqtt", "host"),
                .port = o->mqtt_host ? o->mqtt_port : (uint16_t)config_int(f, "mqtt", "port"),
                .client_id = config_text(f, "mqtt", "client_id"),
                .user = config_text(f, "mqtt", "user"),
                .password = config_text(f, "mqtt", "password"),
                .ca_file = config_text(f, "mqtt", "ca_file"),
                .cert_file = config_text(f, "mqtt", "cert_file"),
                .key_file = config_text(f, "mqtt", "key_file"),
                .topics = topics,
                .batch_max = (unsigned)config_int(f, "mqtt", "batch")
        };
        int r;

        if (!m.host)
                return 0;
        r = mqtt_open(&c->mqtt, c->loop, &m, &handlers, c);
        if (r < 0)
                buf_printf(error, "[mqtt]: %s; check host, client_id and topic\n", strerror(-r));
        return r;
}
