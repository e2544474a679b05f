/* Telemetry over CoAP: the DTLS identity is the meter, 2.04 when durable. */

#include <stdlib.h>
#include <string.h>

#include "collect_internal.h"

static size_t key_of(void *arg, const char *identity, uint8_t *key, size_t cap)
{
        struct collect *c = arg;
        const struct registry_meter *m =
                registry_by_identity(c->fleet->snapshot, METER_COAP, identity);

        if (!m || !m->psk.len || m->psk.len > cap)
                return 0;
        memcpy(key, m->psk.bytes, m->psk.len);
        return m->psk.len;
}

static void on_stored(void *arg, enum intake_outcome outcome, int error, const char *why)
{
        struct coap_exchange *x = arg;

        (void)error;
        switch (outcome) {
        case INTAKE_STORED:
        case INTAKE_QUARANTINED:
                coap_exchange_answer(x, COAP_CHANGED, NULL);
                return;
        case INTAKE_REFUSED:
                coap_exchange_answer(x, COAP_BAD_REQUEST, why);
                return;
        case INTAKE_BUSY:
                coap_exchange_answer(x, COAP_UNAVAILABLE, "not stored, try again later");
                return;
        }
}

static void on_request(void *arg, struct coap_exchange *x, const struct coap_input *in)
{
        struct collect *c = arg;

        if (c->closing) {
                coap_exchange_answer(x, COAP_UNAVAILABLE, "closing, try again");
                return;
        }
        if (in->content_format != -1 && in->content_format != 110 && in->content_format != 50) {
                coap_exchange_answer(x, COAP_UNSUPPORTED_FORMAT, "SenML JSON (110) or JSON (50)");
                return;
        }
        intake(c,
               &(struct intake_message){ .source = SOURCE_KIND_COAP,
                                         .protocol = METER_COAP,
                                         .identity = in->identity,
                                         .detail = in->path,
                                         .raw = in->body,
                                         .len = in->len,
                                         .refuse_malformed = true },
               on_stored, x);
}

static void on_closed(void *arg)
{
        collect_part_closed(arg);
}

int coap_source_open(struct collect *c, struct buf *error)
{
        static const struct coap_handlers handlers = { key_of, on_request, on_closed };
        const struct config *f = c->config;
        const char *path = config_text(f, "coap", "path");
        const char *paths[] = { *path == '/' ? path + 1 : path, NULL };
        struct coap_config k = {
                .address = config_text(f, "coap", "address"),
                .port = (uint16_t)config_int(f, "coap", "port"),
                .paths = paths,
                .max_idle_sessions = (unsigned)config_int(f, "coap", "max_sessions"),
                .session_timeout_s = (unsigned)(config_int(f, "coap", "session_timeout") / 1000)
        };
        int r;

        if (!config_bool(f, "coap", "enabled"))
                return 0;
        r = coap_server_open(&c->coap, c->loop, &k, &handlers, c);
        if (r < 0)
                buf_printf(error, "[coap]: cannot listen on %s port %u: %s\n", k.address, k.port,
                           strerror(-r));
        return r;
}
