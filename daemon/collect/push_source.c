/* DLMS meters that connect to us: each message is known by the system title it is ciphered with, or
 * by the name it carries; else by the address it came from. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect_internal.h"
#include "dlms/apdu.h"
#include "dlms/channel.h"
#include "dlms/push.h"
#include "dlms/unpack.h"

enum { NAME_OBJECTS = 64 };

/* Objects that name a meter: COSEM logical device name, device ids, and Kamstrup's number. */
static bool names(const struct obis *o)
{
        static const struct obis known[] = { OBIS(0, 0, 42, 0, 0, 255), OBIS(0, 0, 96, 1, 0, 255),
                                             OBIS(0, 0, 96, 1, 1, 255), OBIS(1, 1, 0, 0, 5, 255),
                                             OBIS(1, 0, 0, 0, 0, 255) };

        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                if (obis_equal(o, &known[i]))
                        return true;
        return false;
}

static void name_in(const struct dlms_unpacked *u, const struct registry_snapshot *s, char *out,
                    size_t cap)
{
        struct dlms_object *objects = calloc(NAME_OBJECTS, sizeof *objects);
        struct dlms_notification note;
        bool found = false;

        if (objects && dlms_push_decode(u->apdu, u->apdu_len, &note, objects, NAME_OBJECTS) == 0)
                for (size_t i = 0; i < note.n_objects && !found; i++) {
                        const struct dlms_object *o = &objects[i];

                        if (!o->has_obis || !names(&o->obis) || !o->value.p || !o->value.n ||
                            o->value.n >= cap)
                                continue;
                        memcpy(out, o->value.p, o->value.n);
                        out[o->value.n] = 0;
                        /* The first that is known decides; the last serves for quarantine. */
                        found = s && registry_by_identity(s, METER_DLMS, out);
                }
        free(objects);
}

static void identify(struct collect *c, const uint8_t *raw, size_t n, const char *peer, char *out,
                     size_t cap)
{
        uint8_t *copy = malloc(n);
        struct dlms_unpacked u = { 0 };
        int e;

        out[0] = 0;
        if (!copy)
                goto by_address;
        e = dlms_unpack(raw, n, true, NULL, NULL, NULL, copy, n, &u);
        if (u.has_title) {
                for (size_t i = 0; i < DLMS_TITLE_SIZE; i++)
                        snprintf(out + 2 * i, cap - 2 * i, "%02X", u.title[i]);
        } else if (e == 0) {
                name_in(&u, c->fleet->snapshot, out, cap);
        }
        free(copy);
by_address:
        if (!out[0])
                snprintf(out, cap, "%s", peer);
}

/* A meter that pushes confirmed (service class in the invoke id) is told once its message is
 * durable; without an answer it sends again. */
struct confirm {
        struct collect *collect;
        struct push_origin origin;
        uint16_t source, destination; /* wrapper ports as they came */
        uint32_t invoke;
};

enum { INVOKE_CONFIRMED = 0x40000000, DATA_NOTIFICATION_CONFIRM = 0x10 };

/* NULL: no answer is wanted, or none can be given (ciphered). */
static struct confirm *confirm_of(struct collect *c, const uint8_t *raw, size_t n)
{
        struct apdu_notification note;
        struct confirm *f;
        uint16_t length;

        if (n <= PUSH_HEADER || raw[PUSH_HEADER] != APDU_DATA_NOTIFICATION ||
            apdu_notification_decode(raw + PUSH_HEADER, n - PUSH_HEADER, &note) ||
            !(note.invoke & INVOKE_CONFIRMED))
                return NULL;
        f = calloc(1, sizeof *f);
        if (!f)
                return NULL;
        f->collect = c;
        f->invoke = note.invoke;
        push_server_origin(c->push, &f->origin);
        wrapper_read(raw, &f->source, &f->destination, &length);
        return f;
}

static void send_confirm(const struct confirm *f)
{
        enum { SIZE = 6 }; /* tag, invoke id, no time */
        uint8_t out[WRAPPER_HEADER_SIZE + SIZE];
        struct axdr_writer w = axdr_writer_of(out + WRAPPER_HEADER_SIZE, SIZE);

        wrapper_write(out, f->destination, f->source, SIZE);
        axdr_put_byte(&w, DATA_NOTIFICATION_CONFIRM);
        axdr_put_be32(&w, f->invoke);
        axdr_put_byte(&w, 0);
        push_server_reply(f->collect->push, &f->origin, out, sizeof out);
}

/* A push without confirmation has no acknowledgement above TCP's: what could not be stored is read
 * again later. */
static void on_stored(void *arg, enum intake_outcome outcome, int error, const char *why)
{
        struct confirm *f = arg;

        (void)error;
        (void)why;
        if (f && outcome != INTAKE_BUSY && outcome != INTAKE_REFUSED && !f->collect->closing &&
            f->collect->push)
                send_confirm(f);
        free(f);
}

static void on_push(void *arg, const char *peer, const uint8_t *raw, size_t n)
{
        struct collect *c = arg;
        char identity[256];

        if (c->closing)
                return;
        identify(c, raw, n, peer, identity, sizeof identity);
        intake(c,
               &(struct intake_message){ .source = SOURCE_KIND_DLMS_PUSH,
                                         .protocol = METER_DLMS,
                                         .identity = identity,
                                         .detail = peer,
                                         .raw = raw,
                                         .len = n },
               on_stored, confirm_of(c, raw, n));
}

static void on_closed(void *arg)
{
        collect_part_closed(arg);
}

int push_source_open(struct collect *c, struct buf *error)
{
        static const struct push_handlers handlers = { on_push, on_closed };
        const struct config *f = c->config;
        struct push_config p = { .address = config_text(f, "push", "address"),
                                 .tcp_port = (uint16_t)config_int(f, "push", "tcp_port"),
                                 .udp_port = (uint16_t)config_int(f, "push", "udp_port"),
                                 .max_connections =
                                         (unsigned)config_int(f, "push", "max_connections") };
        int r;

        if (!p.tcp_port && !p.udp_port)
                return 0;
        r = push_server_open(&c->push, c->loop, &p, &handlers, c);
        if (r < 0)
                buf_printf(error, "[push]: cannot listen on %s: %s\n", p.address, uv_strerror(r));
        return r;
}
