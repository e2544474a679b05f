#include <stdlib.h>
#include <string.h>

#include "decode_internal.h"
#include "dlms/apdu.h"
#include "dlms/channel.h"
#include "dlms/hdlc.h"
#include "hex.h"

/* One direction of a recorded session: the APDU being put together from HDLC segments. */
struct side {
        uint8_t apdu[65536];
        size_t n;
        uint8_t title[DLMS_TITLE_SIZE];
};

struct session {
        struct decode *d;
        struct dlms_keys *keys;
        bool hdlc;
        struct side side[2];    /* 0 client, 1 server */
        struct dlms_attr asked; /* of the last GET */
        uint8_t blocks[65536];  /* value of a GET answered in blocks */
        size_t blocks_n;
        const char *comma;
};

static void put_value(struct session *s, const uint8_t *p, size_t n)
{
        struct dlms_object o = { .has_obis = true,
                                 .obis = s->asked.obis,
                                 .class_id = s->asked.class_id,
                                 .attribute = s->asked.id };
        struct axdr_reader r;

        axdr_reader_init(&r, p, n);
        if (!axdr_next(&r, &o.value))
                return;
        if (o.value.tag == AXDR_ARRAY || o.value.tag == AXDR_STRUCTURE) {
                o.value.p = p;
                o.value.n = n;
        } else if (o.value.tag == AXDR_OCTET_STRING) {
                o.is_time = dlms_datetime_read(o.value.p, o.value.n, &o.time);
        }
        decode_put_object(s->d, &o, true);
}

/* Values of GET responses become objects under the name the request gave. */
static void follow(struct session *s, const uint8_t *p, size_t n)
{
        struct apdu_response a;
        struct apdu_request q;

        if (apdu_request_decode(p, n, &q) == 0 && q.tag == APDU_GET_REQUEST &&
            q.kind == APDU_NORMAL) {
                s->asked = q.attr;
                s->blocks_n = 0;
        }
        if (apdu_response_decode(p, n, &a) || a.tag != APDU_GET_RESPONSE || !a.data)
                return;
        if (a.kind == APDU_NORMAL) {
                put_value(s, a.data, a.n);
        } else if (a.kind == APDU_BLOCK && a.n <= sizeof s->blocks - s->blocks_n) {
                memcpy(s->blocks + s->blocks_n, a.data, a.n);
                s->blocks_n += a.n;
                if (a.last)
                        put_value(s, s->blocks, s->blocks_n);
        }
}

static void on_apdu(struct session *s, int from, uint8_t *p, size_t n)
{
        struct buf *b = &s->d->extra;
        struct dlms_protection protection;
        struct apdu_envelope env;
        uint8_t title[DLMS_TITLE_SIZE];
        bool ciphered = n > 0 && apdu_is_ciphered(p[0]);
        int e = 0;

        if (n == 0)
                return;
        if (ciphered) {
                e = apdu_envelope_decode(p, n, &env);
                if (!e) {
                        memcpy(title, env.title ? env.title : s->side[from].title, sizeof title);
                        e = dlms_open(s->d->crypto, s->keys, env.dedicated, title,
                                      s->side[from].title, p + env.offset, env.n, &protection, &p,
                                      &n);
                }
        }
        buf_printf(b, "%s{\"from\":\"%s\",\"ciphered\":%s,\"apdu\":", s->comma,
                   from ? "server" : "client", ciphered ? "true" : "false");
        s->comma = ",";
        if (e) {
                decode_fail_dlms(s->d, e);
                buf_put_str(b, "null}");
                return;
        }
        decode_describe(b, p, n);
        buf_put_u8(b, '}');
        follow(s, p, n);
}

static void on_bytes(struct session *s, int from, const uint8_t *p, size_t n)
{
        struct side *side = &s->side[from];
        struct hdlc_frame f;
        size_t llc;
        int e;

        if (!s->hdlc) {
                uint16_t src, dst, length;

                if (n < WRAPPER_HEADER_SIZE || wrapper_read(p, &src, &dst, &length) ||
                    (size_t)length + WRAPPER_HEADER_SIZE != n) {
                        decode_fail_dlms(s->d, DLMS_E_WRAPPER_VERSION);
                        return;
                }
                memcpy(side->apdu, p + WRAPPER_HEADER_SIZE, length);
                on_apdu(s, from, side->apdu, length);
                return;
        }
        e = hdlc_frame_parse(p, n, &f);
        if (e) {
                decode_fail_dlms(s->d, e);
                return;
        }
        if (f.control & 1 || f.info_len == 0)
                return; /* link frames */
        llc = side->n == 0 ? 3 : 0;
        if (f.info_len < llc || f.info_len - llc > sizeof side->apdu - side->n) {
                decode_fail_dlms(s->d, DLMS_E_HDLC_LLC);
                return;
        }
        memcpy(side->apdu + side->n, f.info + llc, f.info_len - llc);
        side->n += f.info_len - llc;
        if (f.segmented)
                return;
        on_apdu(s, from, side->apdu, side->n);
        side->n = 0;
}

static void run(struct session *s, const json_t *steps)
{
        size_t i, k;
        json_t *step, *exchange;

        json_array_foreach(steps, i, step)
        {
                json_array_foreach(json_object_get(step, "ex"), k, exchange)
                {
                        const char *dir = json_string_value(json_array_get(exchange, 0));
                        const json_t *hex = json_array_get(exchange, 1);
                        ssize_t n;

                        if (!dir || !json_is_string(hex))
                                continue;
                        n = hex_decode(json_string_value(hex), json_string_length(hex), s->d->bytes,
                                       s->d->cap);
                        if (n <= 0)
                                decode_fail(s->d, "an exchange is no hexadecimal text");
                        else
                                on_bytes(s, strcmp(dir, "rx") == 0, s->d->bytes, (size_t)n);
                }
        }
}

void decode_session(struct decode *d, const json_t *line, struct dlms_keys *keys)
{
        const char *framing = json_string_value(json_object_get(line, "framing"));
        const json_t *titles = json_object_get(line, "keys");
        struct session *s = calloc(1, sizeof *s);

        if (!s) {
                decode_fail(d, "out of memory");
                return;
        }
        s->d = d;
        s->keys = keys;
        s->hdlc = framing && strcmp(framing, "hdlc") == 0;
        s->comma = "";
        decode_hex_member(titles, "client_system_title", s->side[0].title, DLMS_TITLE_SIZE);
        decode_hex_member(titles, "server_system_title", s->side[1].title, DLMS_TITLE_SIZE);
        buf_put_u8(decode_member(d, "apdus"), '[');
        run(s, json_object_get(line, "steps"));
        buf_put_u8(&d->extra, ']');
        free(s);
}
