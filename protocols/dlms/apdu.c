#include "apdu_internal.h"

#include <string.h>

#include "access.h"
#include "short_name.h"

static bool plausible_notification(const uint8_t *p, size_t n)
{
        struct apdu_notification note;

        return apdu_notification_decode(p, n, &note) == 0 && note.n > 0 &&
               (note.body[0] <= AXDR_TIME || note.body[0] == AXDR_DONT_CARE);
}

bool apdu_plausible(const uint8_t *p, size_t n)
{
        struct apdu_request request;
        struct apdu_response response;
        struct access_response answers;
        struct access_request access;
        struct sn_response results;
        struct apdu_block block;
        struct sn_read read;

        if (n < 2)
                return false;
        switch (p[0]) {
        case APDU_INITIATE_REQUEST:
        case APDU_INITIATE_RESPONSE:
                return n >= 13 && p[1] <= 1 && memmem(p, n, "\x06\x5F", 2);
        case APDU_CONFIRMED_SERVICE_ERROR:
                return n == 4 && p[1] <= 8;
        case APDU_DATA_NOTIFICATION:
        case APDU_EVENT_NOTIFICATION:
                return plausible_notification(p, n);
        case APDU_GET_REQUEST:
        case APDU_SET_REQUEST:
        case APDU_ACTION_REQUEST:
                return apdu_request_decode(p, n, &request) == 0;
        case APDU_GET_RESPONSE:
        case APDU_SET_RESPONSE:
        case APDU_ACTION_RESPONSE:
                return apdu_response_decode(p, n, &response) == 0;
        case APDU_EXCEPTION:
                return n <= 7 && n >= 3 && p[1] >= 1 && p[1] <= 2 && p[2] >= 1 && p[2] <= 6;
        case APDU_ACCESS_REQUEST:
                return access_request_decode(p, n, &access) == 0;
        case APDU_ACCESS_RESPONSE:
                return access_response_decode(p, n, &answers) == 0;
        case APDU_READ_REQUEST:
                return sn_read_decode(p, n, &read) == 0;
        case APDU_READ_RESPONSE:
                return sn_response_decode(p, n, &results) == 0;
        case APDU_GENERAL_BLOCK:
                return apdu_block_decode(p, n, &block) == 0;
        default:
                return false;
        }
}

/* ---- fields ---- */

void apdu_put_attr(struct axdr_writer *w, const struct dlms_attr *attr)
{
        uint8_t b[9] = { (uint8_t)(attr->class_id >> 8), (uint8_t)attr->class_id };

        memcpy(b + 2, attr->obis.v, 6);
        b[8] = (uint8_t)attr->id;
        axdr_put_raw(w, b, sizeof b);
}

void apdu_put_selection(struct axdr_writer *w, const struct dlms_selection *s)
{
        if (!s || s->selector == 0) {
                axdr_put_byte(w, 0);
                return;
        }
        axdr_put_byte(w, 1);
        axdr_put_byte(w, s->selector);
        axdr_put_raw(w, s->params, s->n);
}

void apdu_put_octets(struct axdr_writer *w, const void *p, size_t n)
{
        axdr_put_length(w, n);
        axdr_put_raw(w, p, n);
}

void apdu_take_attr(struct axdr_reader *r, struct dlms_attr *ret)
{
        const uint8_t *p = apdu_take(r, 9);

        if (!p)
                return;
        ret->class_id = (uint16_t)(p[0] << 8 | p[1]);
        memcpy(ret->obis.v, p + 2, 6);
        ret->id = (int8_t)p[8];
}

void apdu_take_selection(struct axdr_reader *r, struct dlms_selection *ret)
{
        *ret = (struct dlms_selection){ 0 };
        if (apdu_take_byte(r) == 0 || r->error)
                return;
        ret->selector = apdu_take_byte(r);
        apdu_take_value(r, &ret->params, &ret->n);
}

void apdu_take_value(struct axdr_reader *r, const uint8_t **ret, size_t *ret_n)
{
        const uint8_t *start = r->p;

        if (r->error || !axdr_skip(r))
                return;
        *ret = start;
        *ret_n = (size_t)(r->p - start);
}

void apdu_take_octets(struct axdr_reader *r, const uint8_t **ret, size_t *ret_n)
{
        size_t n;

        if (!axdr_length(r, &n))
                return;
        *ret = apdu_take(r, n);
        *ret_n = *ret ? n : 0;
}

/* ---- kinds ---- */

enum { WIRE_MAX = 6 };

/* By tag, from GET request on: what the numbers 1 to 6 mean. */
static const uint8_t kinds[APDU_ACTION_RESPONSE - APDU_GET_REQUEST + 1][WIRE_MAX] = {
        { APDU_NORMAL, APDU_BLOCK, APDU_LIST },
        { APDU_NORMAL, APDU_FIRST, APDU_BLOCK, APDU_LIST, APDU_LIST_FIRST },
        { 0 }, /* event-notification */
        { APDU_NORMAL, APDU_NEXT, APDU_LIST, APDU_FIRST, APDU_LIST_FIRST, APDU_BLOCK },
        { APDU_NORMAL, APDU_BLOCK, APDU_LIST },
        { APDU_NORMAL, APDU_NEXT, APDU_LAST, APDU_LIST_LAST, APDU_LIST },
        { 0 },
        { APDU_NORMAL, APDU_BLOCK, APDU_LIST, APDU_NEXT },
};

uint8_t apdu_kind_of(uint8_t tag, uint8_t wire)
{
        return wire >= 1 && wire <= WIRE_MAX ? kinds[tag - APDU_GET_REQUEST][wire - 1] : 0;
}

uint8_t apdu_kind_wire(uint8_t tag, uint8_t kind)
{
        const uint8_t *row = kinds[(tag - APDU_GET_REQUEST) & 7];

        for (uint8_t i = 0; i < WIRE_MAX; i++)
                if (kind != 0 && row[i] == kind)
                        return (uint8_t)(i + 1);
        return 0;
}

void apdu_put_head(struct axdr_writer *w, uint8_t tag, uint8_t kind, uint8_t invoke)
{
        uint8_t head[3] = { tag, apdu_kind_wire(tag, kind), invoke };

        if (head[1] == 0)
                w->failed = true;
        axdr_put_raw(w, head, sizeof head);
}

/* ---- exceptions ---- */

int apdu_exception_decode(const uint8_t *p, size_t n, struct apdu_exception *ret)
{
        struct apdu_exception e = { 0 };
        struct axdr_reader r;

        axdr_reader_init(&r, p, n);
        if (apdu_take_byte(&r) != APDU_EXCEPTION)
                return DLMS_E_APDU;
        e.state = apdu_take_byte(&r);
        e.service = apdu_take_byte(&r);
        if (r.error)
                return r.error;
        if (e.service == APDU_EXC_COUNTER && axdr_left(&r) >= 4)
                e.counter = apdu_take_be32(&r);
        *ret = e;
        return 0;
}

void apdu_put_exception(struct axdr_writer *w, uint8_t state, uint8_t service, uint32_t counter)
{
        axdr_put_raw(w, (uint8_t[]){ APDU_EXCEPTION, state, service }, 3);
        if (service == APDU_EXC_COUNTER)
                axdr_put_be32(w, counter);
}

enum dlms_error apdu_exception_error(const struct apdu_exception *e)
{
        switch (e->service) {
        case APDU_EXC_TOO_LONG:
                return DLMS_E_EXCEPTION_TOO_LONG;
        case APDU_EXC_DECIPHERING:
                return DLMS_E_EXCEPTION_DECIPHERING;
        case APDU_EXC_COUNTER:
                return DLMS_E_EXCEPTION_COUNTER;
        case APDU_EXC_NOT_POSSIBLE:
                return e->state == 1 ? DLMS_E_EXCEPTION_NOT_ALLOWED : DLMS_E_EXCEPTION_NOT_POSSIBLE;
        case APDU_EXC_NOT_SUPPORTED:
                return e->state == 2 ? DLMS_E_EXCEPTION_UNKNOWN : DLMS_E_EXCEPTION_NOT_SUPPORTED;
        default:
                return e->state == 1   ? DLMS_E_EXCEPTION_NOT_ALLOWED
                       : e->state == 2 ? DLMS_E_EXCEPTION_UNKNOWN
                                       : DLMS_E_EXCEPTION;
        }
}

/* ---- confirmed service errors ---- */

int apdu_service_error_decode(const uint8_t *p, size_t n, struct apdu_service_error *ret)
{
        struct axdr_reader r;
        const uint8_t *b;

        axdr_reader_init(&r, p, n);
        b = apdu_take(&r, 4);
        if (!b)
                return r.error;
        if (b[0] != APDU_CONFIRMED_SERVICE_ERROR)
                return DLMS_E_APDU;
        *ret = (struct apdu_service_error){ b[1], b[2], b[3] };
        return apdu_finish(&r);
}

void apdu_put_service_error(struct axdr_writer *w, const struct apdu_service_error *e)
{
        axdr_put_raw(w, (uint8_t[]){ APDU_CONFIRMED_SERVICE_ERROR, e->service, e->kind, e->reason },
                     4);
}

enum { SERVICE_ERROR_KINDS = 10, SERVICE_ERROR_REASONS = 7 };

const char *apdu_service_error_text(const struct apdu_service_error *e)
{
        static const char *const texts[SERVICE_ERROR_KINDS][SERVICE_ERROR_REASONS] = {
                { "application: other reason", "application: time elapsed",
                  "application: the meter's application cannot be reached",
                  "application: invalid reference", "application: unsupported context",
                  "application: provider communication error", "application: deciphering error" },
                { "hardware: other reason", "hardware: memory not available",
                  "hardware: processor not available", "hardware: mass storage not available",
                  "hardware: other resource not available" },
                { "state: other reason", "state: no DLMS context", "state: loading a data set",
                  "state: no change possible", "state: not operable" },
                { "service: other reason", "service: too long for the meter",
                  "service: not supported" },
                { "definition: other reason", "definition: object undefined",
                  "definition: class of the object inconsistent",
                  "definition: attribute inconsistent" },
                { "access: other reason", "access: scope of access violated",
                  "access: object access invalid", "access: hardware fault",
                  "access: object not available" },
                { "initiate: other reason", "initiate: DLMS version too low",
                  "initiate: incompatible conformance", "initiate: PDU size too short",
                  "initiate: refused by the meter" },
                { "load: other reason", "load: primitive out of sequence", "load: not loadable",
                  "load: data set size too large", "load: segment not awaited",
                  "load: interpretation failed", "load: storage failed" },
                { "data scope" },
                { "task: other reason", "task: no remote control", "task: stopped", "task: running",
                  "task: not usable" },
        };
        const char *text = NULL;

        if (e->kind < SERVICE_ERROR_KINDS && e->reason < SERVICE_ERROR_REASONS)
                text = texts[e->kind][e->reason];
        return text ? text : "unknown reason";
}

/* ---- notifications ---- */

/* Date-time of a data-notification: an octet-string without tag, of 0 or 12 bytes. Some meters
 * (Kaifa) put the tag before it all the same. */
static const uint8_t *take_notification_time(struct axdr_reader *r)
{
        uint8_t n = apdu_take_byte(r);

        if (n == AXDR_OCTET_STRING && axdr_left(r) > 0 && *r->p == 12)
                n = apdu_take_byte(r);
        if (n == 0 || r->error)
                return NULL;
        if (n != 12) {
                r->error = DLMS_E_APDU;
                return NULL;
        }
        return apdu_take(r, n);
}

int apdu_notification_decode(const uint8_t *p, size_t n, struct apdu_notification *ret)
{
        struct apdu_notification note = { 0 };
        struct axdr_reader r;

        axdr_reader_init(&r, p, n);
        note.tag = apdu_take_byte(&r);
        if (note.tag == APDU_DATA_NOTIFICATION) {
                note.invoke = apdu_take_be32(&r);
                note.time = take_notification_time(&r);
        } else if (note.tag == APDU_EVENT_NOTIFICATION) {
                if (apdu_take_byte(&r))
                        note.time = take_notification_time(&r);
                apdu_take_attr(&r, &note.attr);
        } else {
                return DLMS_E_APDU;
        }
        if (r.error)
                return r.error;
        note.body = r.p;
        note.n = (size_t)(r.end - r.p);
        *ret = note;
        return 0;
}

void apdu_put_notification(struct axdr_writer *w, const struct apdu_notification *note)
{
        axdr_put_byte(w, note->tag);
        if (note->tag == APDU_DATA_NOTIFICATION)
                axdr_put_be32(w, note->invoke);
        else
                axdr_put_byte(w, note->time != NULL);
        if (note->time)
                apdu_put_octets(w, note->time, 12);
        else if (note->tag == APDU_DATA_NOTIFICATION)
                axdr_put_byte(w, 0);
        if (note->tag == APDU_EVENT_NOTIFICATION)
                apdu_put_attr(w, &note->attr);
        axdr_put_raw(w, note->body, note->n);
}
