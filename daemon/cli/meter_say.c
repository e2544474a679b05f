#include "meter_say.h"

#include <string.h>

#include "dlms/acse.h"
#include "dlms/apdu.h"
#include "dlms/push.h"
#include "meter_names.h"
#include "meter_options.h"

enum { ELEMENTS = 3, OBJECTS = 64 };

static const char *context_text(unsigned context)
{
        switch (context) {
        case ACSE_LN:
                return "logical names, plain";
        case ACSE_SN:
                return "short names, plain";
        case ACSE_LN_CIPHERED:
                return "logical names, ciphered";
        case ACSE_SN_CIPHERED:
                return "short names, ciphered";
        default:
                return "unknown context";
        }
}

static void say_conformance(struct buf *b, uint32_t conformance)
{
        const char *comma = "";

        for (unsigned bit = 0; bit < 24; bit++)
                if (conformance >> (23 - bit) & 1) {
                        buf_printf(b, "%s%s", comma, dlms_conformance_name(bit));
                        comma = ", ";
                }
}

static void say_initiate(struct buf *b, const struct acse_initiate *i)
{
        buf_printf(b, "%s: ", i->response ? "grants" : "wants");
        say_conformance(b, i->conformance);
        buf_printf(b, "; takes APDUs up to %u bytes", i->max_pdu);
        if (i->dedicated)
                buf_put_str(b, "; brings a dedicated key");
}

static void say_associate(struct buf *b, const struct acse_associate *a)
{
        struct acse_initiate i;

        if (a->tag == APDU_AARE && a->result) {
                buf_printf(b, "AARE: association REFUSED: %s",
                           dlms_error_text((unsigned)acse_rejection(a)));
                return;
        }
        buf_printf(b, "%s, %s",
                   a->tag == APDU_AARE ? "AARE: association accepted" : "AARQ: association wanted",
                   context_text(a->context));
        if (a->mechanism)
                buf_printf(b, ", %s", meter_auth_text((enum dlms_auth)a->mechanism));
        if (a->auth_value)
                buf_printf(b, ", %s of %zu bytes",
                           a->mechanism == DLMS_AUTH_LLS ? "password" : "challenge", a->auth_len);
        if (a->title) {
                buf_put_str(b, ", system title ");
                buf_put_hex(b, a->title, DLMS_TITLE_SIZE);
        }
        if (a->tag == APDU_AARE && a->diagnostic == ACSE_DIAG_AUTHENTICATION_REQUIRED)
                buf_put_str(b, "; authentication is still to come");
        if (a->user_info_len == 0)
                return;
        buf_put_str(b, "; ");
        if (acse_initiate_decode(a->user_info, a->user_info_len, &i) == 0)
                say_initiate(b, &i);
        else
                buf_put_str(b, "what it wants or grants is ciphered");
}

static void say_selection(struct buf *b, const struct dlms_selection *s)
{
        if (s->selector == 0)
                return;
        buf_printf(b, ", %s ",
                   s->selector == 1   ? "rows by range"
                   : s->selector == 2 ? "rows by number"
                                      : "selected");
        meter_say_value(b, s->params, s->n, 8);
}

static void say_request(struct meter_say *s, struct buf *b, const struct apdu_request *q)
{
        const char *verb = q->tag == APDU_GET_REQUEST   ? "GET"
                           : q->tag == APDU_SET_REQUEST ? "SET"
                                                        : "ACTION";
        struct dlms_selection selection;
        struct axdr_reader r;
        struct dlms_attr attr;

        if (q->kind == APDU_BLOCK && q->tag == APDU_GET_REQUEST) {
                buf_printf(b, "GET: block %u arrived, the next, please", q->block);
                return;
        }
        if (q->kind == APDU_LIST) {
                buf_printf(b, "%s of %zu: ", verb, q->count);
                axdr_reader_init(&r, q->data, q->n);
                for (size_t i = 0; i < q->count && apdu_list_next(&r, &attr, &selection); i++) {
                        buf_put_str(b, i ? "; " : "");
                        meter_name_attr(b, &attr);
                        s->asked = attr;
                }
                return;
        }
        s->asked = q->attr;
        buf_printf(b, "%s ", verb);
        if (q->tag == APDU_ACTION_REQUEST) {
                const char *method = meter_name_method(q->attr.class_id, q->attr.id);
                char obis[OBIS_TEXT_SIZE];

                obis_format(&q->attr.obis, obis);
                buf_printf(b, "%s ", obis);
                meter_name_obis(b, &q->attr.obis);
                buf_printf(b, ": %s", method ? method : "method");
        } else {
                meter_name_attr(b, &q->attr);
                say_selection(b, &q->selection);
        }
        if (q->data) {
                buf_put_str(b, q->tag == APDU_SET_REQUEST ? " = " : " with ");
                meter_say_value(b, q->data, q->n, ELEMENTS);
        }
}

static void say_results(struct buf *b, const struct apdu_response *a)
{
        struct axdr_reader r;
        const uint8_t *data;
        uint8_t result;
        size_t n;

        buf_printf(b, "%zu results: ", a->count);
        axdr_reader_init(&r, a->data, a->n);
        for (size_t i = 0; i < a->count && apdu_result_next(&r, &result, &data, &n); i++) {
                buf_put_str(b, i ? "; " : "");
                if (data)
                        meter_say_value(b, data, n, ELEMENTS);
                else
                        buf_printf(b, "refused: %s", dlms_access_text(result));
        }
}

/* A scaler and unit reads better as what it means. */
static bool say_unit(const struct meter_say *s, struct buf *b, const uint8_t *p, size_t n)
{
        struct axdr_value scaler, unit, v;
        struct axdr_reader r;

        if ((s->asked.class_id != 3 && s->asked.class_id != 4) || s->asked.id != 3)
                return false;
        axdr_reader_init(&r, p, n);
        if (!axdr_expect(&r, AXDR_STRUCTURE, &v) || v.n != 2 ||
            !axdr_expect(&r, AXDR_INT8, &scaler) || !axdr_expect(&r, AXDR_ENUM, &unit))
                return false;
        buf_printf(b, "in 10^%d %s", (int)scaler.i, dlms_unit_text((uint8_t)unit.i));
        return true;
}

static void say_response(struct meter_say *s, struct buf *b, const struct apdu_response *a)
{
        if (a->kind == APDU_LIST) {
                say_results(b, a);
        } else if (a->kind == APDU_BLOCK && a->data) {
                buf_printf(b, "block %u of the answer, %zu bytes%s", a->block, a->n,
                           a->last ? ", the last" : "");
        } else if (a->result) {
                buf_printf(b, "refused: %s", dlms_access_text(a->result));
        } else if (!a->data) {
                buf_put_str(b, "done");
        } else if (!say_unit(s, b, a->data, a->n)) {
                buf_put_str(b, "= ");
                meter_say_value(b, a->data, a->n, ELEMENTS);
        }
}

static bool say_notification(struct buf *b, const uint8_t *p, size_t n)
{
        static _Thread_local struct dlms_object objects[OBJECTS];
        struct dlms_notification note;
        char obis[OBIS_TEXT_SIZE];
        int64_t i;

        if (dlms_push_decode(p, n, &note, objects, OBJECTS))
                return false;
        buf_printf(b, "%s with %zu values",
                   note.kind == DLMS_NOTIFY_EVENT ? "event notification" : "push", note.n_objects);
        for (size_t k = 0; k < note.n_objects && k < 8; k++) {
                obis_format(&objects[k].obis, obis);
                buf_printf(b, "; %s", objects[k].has_obis ? obis : "(unnamed)");
                if (axdr_is_integer(&objects[k].value, &i)) {
                        buf_put_str(b, " = ");
                        meter_say_scaled(b, i, objects[k].has_scaler ? objects[k].scaler : 0,
                                         objects[k].unit);
                }
        }
        return true;
}

static bool say_exception(struct buf *b, const uint8_t *p, size_t n)
{
        struct apdu_exception x;

        if (apdu_exception_decode(p, n, &x))
                return false;
        buf_printf(b, "EXCEPTION: %s", dlms_error_text((unsigned)apdu_exception_error(&x)));
        if (x.service == APDU_EXC_COUNTER)
                buf_printf(b, " (expects %u)", x.counter);
        return true;
}

bool meter_say_apdu(struct meter_say *s, struct buf *b, const uint8_t *p, size_t n)
{
        struct acse_associate associate;
        struct acse_initiate initiate;
        struct acse_release release;
        struct apdu_response response;
        struct apdu_request request;

        if (n == 0) {
                buf_put_str(b, "an empty APDU");
                return false;
        }
        if (acse_associate_decode(p, n, &associate) == 0) {
                say_associate(b, &associate);
        } else if (acse_release_decode(p, n, &release) == 0) {
                buf_put_str(b, release.tag == APDU_RLRQ ? "RLRQ: association ends"
                                                        : "RLRE: association ended");
        } else if (acse_initiate_decode(p, n, &initiate) == 0) {
                say_initiate(b, &initiate);
        } else if (apdu_request_decode(p, n, &request) == 0) {
                say_request(s, b, &request);
        } else if (apdu_response_decode(p, n, &response) == 0) {
                say_response(s, b, &response);
        } else if (p[0] == APDU_CONFIRMED_SERVICE_ERROR && n == 4) {
                buf_printf(b, "SERVICE ERROR %u, %u, %u", p[1], p[2], p[3]);
        } else if (!say_exception(b, p, n) && !say_notification(b, p, n)) {
                buf_printf(b, "an APDU not known here (%02X), %zu bytes", p[0], n);
                return false;
        }
        return true;
}
