#include <string.h>

#include "decode_internal.h"
#include "dlms/acse.h"
#include "dlms/apdu.h"

/* ---- A-XDR data ---- */

static const char *tag_name(uint8_t tag)
{
        static const char *const names[] = {
                [AXDR_ARRAY] = "array",
                [AXDR_STRUCTURE] = "structure",
                [AXDR_BOOLEAN] = "boolean",
                [AXDR_BIT_STRING] = "bit-string",
                [AXDR_INT32] = "int32",
                [AXDR_UINT32] = "uint32",
                [AXDR_OCTET_STRING] = "octet-string",
                [AXDR_VISIBLE_STRING] = "visible-string",
                [AXDR_UTF8_STRING] = "utf8-string",
                [AXDR_BCD] = "bcd",
                [AXDR_INT8] = "int8",
                [AXDR_INT16] = "int16",
                [AXDR_UINT8] = "uint8",
                [AXDR_UINT16] = "uint16",
                [AXDR_COMPACT_ARRAY] = "compact-array",
                [AXDR_INT64] = "int64",
                [AXDR_UINT64] = "uint64",
                [AXDR_ENUM] = "enum",
                [AXDR_FLOAT32] = "float32",
                [AXDR_FLOAT64] = "float64",
                [AXDR_DATE_TIME] = "date-time",
                [AXDR_DATE] = "date",
                [AXDR_TIME] = "time",
        };

        return tag < sizeof names / sizeof *names && names[tag] ? names[tag] : "other";
}

static void put_data(struct buf *b, struct axdr_reader *r, unsigned depth)
{
        struct axdr_value v;
        int64_t i;

        if (depth > AXDR_DEPTH_MAX || !axdr_next(r, &v) || v.tag == AXDR_NULL) {
                if (depth > AXDR_DEPTH_MAX)
                        r->error = DLMS_E_DEPTH;
                buf_put_str(b, "null");
                return;
        }
        buf_printf(b, "{\"%s\":", tag_name(v.tag));
        if (v.tag == AXDR_ARRAY || v.tag == AXDR_STRUCTURE) {
                buf_put_u8(b, '[');
                for (size_t k = 0; k < v.n && !r->error; k++) {
                        if (k > 0)
                                buf_put_u8(b, ',');
                        put_data(b, r, depth + 1);
                }
                buf_put_u8(b, ']');
        } else if (v.tag == AXDR_BOOLEAN) {
                buf_put_str(b, v.u ? "true" : "false");
        } else if (axdr_is_integer(&v, &i)) {
                buf_printf(b, "%lld", (long long)i);
        } else if (v.tag == AXDR_UINT64) {
                buf_printf(b, "%llu", (unsigned long long)v.u);
        } else if (v.tag == AXDR_FLOAT32 || v.tag == AXDR_FLOAT64) {
                buf_printf(b, "\"%.9g\"", v.f);
        } else if (v.tag == AXDR_VISIBLE_STRING || v.tag == AXDR_UTF8_STRING) {
                buf_put_json_str(b, (const char *)v.p, v.n);
        } else if (v.tag == AXDR_DONT_CARE) {
                buf_put_str(b, "null");
        } else {
                decode_put_hex(b, v.p, v.tag == AXDR_BIT_STRING ? (v.n + 7) / 8 : v.n);
        }
        buf_put_u8(b, '}');
}

void decode_put_value(struct buf *b, const uint8_t *p, size_t n)
{
        struct axdr_reader r;

        axdr_reader_init(&r, p, n);
        put_data(b, &r, 0);
}

/* ---- association ---- */

static void put_initiate(struct buf *b, const struct acse_initiate *i)
{
        uint8_t block[3] = { (uint8_t)(i->conformance >> 16), (uint8_t)(i->conformance >> 8),
                             (uint8_t)i->conformance };
        const char *comma = "";

        buf_printf(b, "{\"pdu\":\"initiate-%s\"", i->response ? "response" : "request");
        if (i->dedicated) {
                buf_put_str(b, ",\"dedicated_key\":");
                decode_put_hex(b, i->dedicated, i->dedicated_len);
        }
        if (!i->response)
                buf_printf(b, ",\"response_allowed\":%s", i->response_allowed ? "true" : "false");
        if (i->has_qos)
                buf_printf(b, ",\"qos\":%u", i->qos);
        buf_printf(b, ",\"dlms_version\":%u,\"conformance_hex\":", i->version);
        decode_put_hex(b, block, sizeof block);
        buf_put_str(b, ",\"conformance\":[");
        for (unsigned bit = 0; bit < 24; bit++) {
                if (!(i->conformance >> (23 - bit) & 1))
                        continue;
                buf_printf(b, "%s\"%s\"", comma, dlms_conformance_name(bit));
                comma = ",";
        }
        buf_printf(b, "],\"max_receive_pdu\":%u", i->max_pdu);
        if (i->response)
                buf_printf(b, ",\"vaa\":%u", i->vaa);
        buf_put_u8(b, '}');
}

static void put_user_info(struct buf *b, const uint8_t *p, size_t n)
{
        struct acse_initiate i;

        if (n == 0)
                return;
        buf_put_str(b, ",\"user_information_hex\":");
        decode_put_hex(b, p, n);
        if (acse_initiate_decode(p, n, &i))
                return;
        buf_put_str(b, ",\"user_information\":");
        put_initiate(b, &i);
}

static void put_associate(struct buf *b, const struct acse_associate *a)
{
        bool aare = a->tag == APDU_AARE;

        buf_printf(b,
                   "{\"pdu\":\"%s\",\"application_context\":%u,"
                   "\"application_context_oid_hex\":\"060760857405080%u%02X\"",
                   aare ? "AARE" : "AARQ", a->context, 1, a->context);
        if (aare)
                buf_printf(b,
                           ",\"result\":%u,\"result_source_diagnostic\":{\"choice\":\"acse-service-"
                           "%s\","
                           "\"value\":%u}",
                           a->result, a->diagnostic_source == 2 ? "provider" : "user",
                           a->diagnostic);
        if (a->title) {
                buf_printf(b, ",\"%s_ap_title\":", aare ? "responding" : "calling");
                decode_put_hex(b, a->title, DLMS_TITLE_SIZE);
        }
        if (a->has_auth)
                buf_put_str(b, ",\"acse_requirements\":\"0780\"");
        if (a->mechanism)
                buf_printf(b, ",\"mechanism\":%u", a->mechanism);
        if (a->auth_value) {
                buf_put_str(b, ",\"authentication_value\":");
                decode_put_hex(b, a->auth_value, a->auth_len);
                buf_put_str(b, ",\"authentication_value_choice\":128");
        }
        put_user_info(b, a->user_info, a->user_info_len);
        buf_put_u8(b, '}');
}

/* ---- notifications ---- */

static void put_notification(struct buf *b, const struct apdu_notification *note)
{
        bool event = note->tag == APDU_EVENT_NOTIFICATION;

        buf_printf(b, "{\"pdu\":\"%s-notification\"", event ? "event" : "data");
        if (!event)
                buf_printf(b, ",\"long_invoke_id_and_priority\":\"%08X\"", note->invoke);
        buf_put_str(b, ",\"date_time\":");
        if (note->time)
                decode_put_hex(b, note->time, 12);
        else
                buf_put_str(b, "null");
        if (event) {
                buf_put_str(b, ",\"attr\":");
                decode_put_attr(b, &note->attr);
        }
        buf_put_u8(b, '}');
}

void decode_describe(struct buf *b, const uint8_t *p, size_t n)
{
        struct apdu_notification note;
        struct acse_associate associate;
        struct acse_initiate initiate;
        struct acse_release release;
        struct apdu_exception exception;

        if (acse_associate_decode(p, n, &associate) == 0) {
                put_associate(b, &associate);
        } else if (acse_release_decode(p, n, &release) == 0) {
                buf_printf(b, "{\"pdu\":\"%s\",\"reason\":%u",
                           release.tag == APDU_RLRQ ? "RLRQ" : "RLRE", release.reason);
                put_user_info(b, release.user_info, release.user_info_len);
                buf_put_u8(b, '}');
        } else if (acse_initiate_decode(p, n, &initiate) == 0) {
                put_initiate(b, &initiate);
        } else if (apdu_exception_decode(p, n, &exception) == 0) {
                buf_printf(b, "{\"pdu\":\"exception-response\",\"state\":%u,\"service\":%u}",
                           exception.state, exception.service);
        } else if (apdu_notification_decode(p, n, &note) == 0) {
                put_notification(b, &note);
        } else if (!decode_describe_service(b, p, n)) {
                buf_put_str(b, "null");
        }
}

/* Why an APDU that none of the decoders took is refused. */
static int why_refused(const uint8_t *p, size_t n)
{
        struct acse_associate associate;
        struct acse_initiate initiate;
        struct acse_release release;
        struct apdu_exception exception;

        switch (p[0]) {
        case APDU_AARQ:
        case APDU_AARE:
                return acse_associate_decode(p, n, &associate);
        case APDU_RLRQ:
        case APDU_RLRE:
                return acse_release_decode(p, n, &release);
        case APDU_INITIATE_REQUEST:
        case APDU_INITIATE_RESPONSE:
                return acse_initiate_decode(p, n, &initiate);
        case APDU_EXCEPTION:
                return apdu_exception_decode(p, n, &exception);
        default:
                return decode_refused_service(p, n);
        }
}

/* What stands in a good frame may be part of a longer exchange: not understanding it is told, but
 * the frame is decoded. */
static void refuse(struct decode *d, const uint8_t *p, int e, bool framed)
{
        struct buf *b;

        if (framed) {
                b = decode_member(d, "apdu_error");
                buf_put_json_str(b, dlms_error_text((unsigned)e),
                                 strlen(dlms_error_text((unsigned)e)));
        } else if (e == DLMS_E_APDU) {
                decode_fail(d, "apdu: no DLMS APDU known here starts like this (%02X)", p[0]);
        } else {
                decode_fail_dlms(d, e);
        }
}

void decode_objects(struct decode *d, const uint8_t *p, size_t n, bool framed)
{
        struct dlms_notification note;
        bool named = false;
        int e;

        if (p[0] != APDU_DATA_NOTIFICATION && p[0] != APDU_EVENT_NOTIFICATION) {
                e = why_refused(p, n);
                if (e)
                        refuse(d, p, e, framed);
                if (e || p[0] != APDU_GET_RESPONSE)
                        return;
                /* A block or a refusal has no value of its own. */
                if (dlms_push_decode(p, n, &note, d->objects, DECODE_OBJECTS_MAX))
                        return;
        } else {
                e = dlms_push_decode(p, n, &note, d->objects, DECODE_OBJECTS_MAX);
                if (e) {
                        decode_fail_dlms(d, e);
                        return;
                }
        }
        for (size_t i = 0; i < note.n_objects; i++)
                named |= d->objects[i].has_obis;
        for (size_t i = 0; i < note.n_objects; i++)
                decode_put_object(d, &d->objects[i], named);
}
