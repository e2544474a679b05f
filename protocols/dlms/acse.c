#include "acse.h"
#include "apdu.h"

#include <string.h>

/* joint-iso-ccitt(2) country(16) country-name(756) identified-organisation(5) DLMS-UA(8), then
 * application-context(1) or mechanism-name(2), and the number. */
static const uint8_t oid_prefix[] = { 0x60, 0x85, 0x74, 0x05, 0x08 };

enum { OID_SIZE = 7, OID_CONTEXT = 1, OID_MECHANISM = 2 };

struct ber {
        uint8_t tag;
        const uint8_t *p;
        size_t n;
};

/* One tag-length-value; BER's length code is that of A-XDR. */
static bool ber_next(struct axdr_reader *r, struct ber *ret)
{
        if (axdr_left(r) == 0)
                return false;
        ret->tag = *r->p++;
        if (!axdr_length(r, &ret->n))
                return false;
        if ((size_t)(r->end - r->p) < ret->n) {
                r->error = DLMS_E_TRUNCATED;
                return false;
        }
        ret->p = r->p;
        r->p += ret->n;
        return true;
}

/* @b must contain exactly one value of @tag. */
static bool ber_inner(const struct ber *b, uint8_t tag, struct ber *ret)
{
        struct axdr_reader r;

        axdr_reader_init(&r, b->p, b->n);
        return ber_next(&r, ret) && ret->tag == tag && axdr_left(&r) == 0;
}

static bool read_oid(const uint8_t *p, size_t n, uint8_t kind, uint8_t *ret)
{
        if (n != OID_SIZE || memcmp(p, oid_prefix, sizeof oid_prefix) != 0 || p[5] != kind)
                return false;
        *ret = p[6];
        return true;
}

static bool read_integer(const struct ber *b, uint8_t *ret)
{
        struct ber in;

        if (!ber_inner(b, 0x02, &in) || in.n != 1)
                return false;
        *ret = in.p[0];
        return true;
}

static bool read_diagnostic(const struct ber *b, struct acse_associate *a)
{
        struct ber choice;

        if (!ber_inner(b, 0xA1, &choice) && !ber_inner(b, 0xA2, &choice))
                return false;
        a->diagnostic_source = choice.tag & 0x0F;
        return read_integer(&choice, &a->diagnostic);
}

static bool read_title(const struct ber *b, struct acse_associate *a)
{
        struct ber in;

        if (!ber_inner(b, 0x04, &in))
                return false;
        if (in.n == DLMS_TITLE_SIZE)
                a->title = in.p;
        return in.n == DLMS_TITLE_SIZE || in.n == 0;
}

/* A qualifier that holds something else than octets is none we can use. */
static bool read_qualifier(const struct ber *b, struct acse_associate *a)
{
        struct ber in;

        if (ber_inner(b, 0x04, &in)) {
                a->qualifier = in.p;
                a->qualifier_len = in.n;
        }
        return true;
}

static bool read_user_id(const struct ber *b, struct acse_associate *a)
{
        a->has_user_id = read_integer(b, &a->user_id);
        return true;
}

static bool read_field(const struct ber *b, struct acse_associate *a)
{
        bool aare = a->tag == APDU_AARE;
        struct ber in;

        switch (b->tag) {
        case 0xA1: /* application-context-name */
                return ber_inner(b, 0x06, &in) && read_oid(in.p, in.n, OID_CONTEXT, &a->context);
        case 0xA2: /* AARE: result; AARQ: called-AP-title */
                return !aare || read_integer(b, &a->result);
        case 0xA3: /* AARE: result-source-diagnostic; AARQ: called-AE-qualifier */
                return !aare || read_diagnostic(b, a);
        case 0xA4: /* AARE: responding-AP-title */
                return !aare || read_title(b, a);
        case 0xA5: /* AARE: responding-AE-qualifier; AARQ: called-AE-invocation-id */
                return !aare || read_qualifier(b, a);
        case 0xA7: /* AARQ: calling-AE-qualifier; AARE: responding-AE-invocation-id */
                return aare ? read_user_id(b, a) : read_qualifier(b, a);
        case 0xA9: /* AARQ: calling-AE-invocation-id */
                return aare || read_user_id(b, a);
        case 0xA6: /* AARQ: calling-AP-title */
                return aare || read_title(b, a);
        case 0x88: /* AARE: responder-ACSE-requirements */
        case 0x8A: /* AARQ: sender-ACSE-requirements; one bit, authentication */
                if ((b->tag == 0x88) != aare)
                        return true;
                a->has_auth = b->n == 2 && b->p[1] & 0x80;
                return b->n == 2;
        case 0x89: /* AARE: mechanism-name */
        case 0x8B: /* AARQ: mechanism-name */
                if ((b->tag == 0x89) != aare)
                        return true;
                return read_oid(b->p, b->n, OID_MECHANISM, &a->mechanism);
        case 0xAA: /* AARE: responding-authentication-value */
        case 0xAC: /* AARQ: calling-authentication-value */
                if ((b->tag == 0xAA) != aare)
                        return true;
                if (!ber_inner(b, 0x80, &in) && !ber_inner(b, 0x81, &in))
                        return false;
                a->auth_value = in.p;
                a->auth_len = in.n;
                return true;
        case 0xBE: /* user-information */
                if (!ber_inner(b, 0x04, &in))
                        return false;
                a->user_info = in.p;
                a->user_info_len = in.n;
                return true;
        default: /* protocol version, AE qualifiers, invocation ids: nothing we use */
                return true;
        }
}

int acse_associate_decode(const uint8_t *p, size_t n, struct acse_associate *ret)
{
        struct acse_associate a = { 0 };
        struct axdr_reader r;
        struct ber outer, field;

        axdr_reader_init(&r, p, n);
        if (!ber_next(&r, &outer))
                return DLMS_E_TRUNCATED;
        if (outer.tag != APDU_AARQ && outer.tag != APDU_AARE)
                return DLMS_E_APDU;
        if (axdr_left(&r) > 0)
                return DLMS_E_TRAILING;
        a.tag = outer.tag;
        axdr_reader_init(&r, outer.p, outer.n);
        while (ber_next(&r, &field))
                if (!read_field(&field, &a))
                        return DLMS_E_APDU;
        if (r.error)
                return r.error;
        if (a.context == 0)
                return DLMS_E_APDU;
        *ret = a;
        return 0;
}

static void put_oid(struct axdr_writer *w, uint8_t kind, uint8_t number)
{
        axdr_put_raw(w, oid_prefix, sizeof oid_prefix);
        axdr_put_byte(w, kind);
        axdr_put_byte(w, number);
}

/* Outer tag, length code of 1 to 3 bytes, contents @w already holds from @start. */
static void wrap(struct axdr_writer *w, size_t start, uint8_t tag)
{
        size_t n = w->len - start;
        uint8_t head[6];
        struct axdr_writer h = axdr_writer_of(head, sizeof head);

        axdr_put_byte(&h, tag);
        axdr_put_length(&h, n);
        if (w->failed || w->cap - w->len < h.len) {
                w->failed = true;
                return;
        }
        memmove(w->p + start + h.len, w->p + start, n);
        memcpy(w->p + start, head, h.len);
        w->len += h.len;
}

static void put_nested(struct axdr_writer *w, uint8_t outer, uint8_t inner, const uint8_t *p,
                       size_t n)
{
        size_t start = w->len;

        axdr_put_byte(w, inner);
        axdr_put_length(w, n);
        axdr_put_raw(w, p, n);
        wrap(w, start, outer);
}

void acse_put_associate(struct axdr_writer *w, const struct acse_associate *a)
{
        static const uint8_t requirements[] = { 0x02, 0x07, 0x80 };
        bool aare = a->tag == APDU_AARE;
        size_t start = w->len, field;

        axdr_put_raw(w, "\xA1\x09\x06\x07", 4);
        put_oid(w, OID_CONTEXT, a->context);
        if (aare) {
                axdr_put_raw(w, "\xA2\x03\x02\x01", 4);
                axdr_put_byte(w, a->result);
                field = w->len;
                put_nested(w, (uint8_t)(0xA0 | a->diagnostic_source), 0x02, &a->diagnostic, 1);
                wrap(w, field, 0xA3);
        }
        if (a->title)
                put_nested(w, aare ? 0xA4 : 0xA6, 0x04, a->title, DLMS_TITLE_SIZE);
        if (a->qualifier)
                put_nested(w, aare ? 0xA5 : 0xA7, 0x04, a->qualifier, a->qualifier_len);
        if (a->has_user_id)
                put_nested(w, aare ? 0xA7 : 0xA9, 0x02, &a->user_id, 1);
        if (a->has_auth) {
                axdr_put_byte(w, aare ? 0x88 : 0x8A);
                axdr_put_raw(w, requirements, sizeof requirements);
                axdr_put_byte(w, aare ? 0x89 : 0x8B);
                axdr_put_byte(w, OID_SIZE);
                put_oid(w, OID_MECHANISM, a->mechanism);
                if (a->auth_len > 0)
                        put_nested(w, aare ? 0xAA : 0xAC, 0x80, a->auth_value, a->auth_len);
        }
        if (a->user_info_len > 0)
                put_nested(w, 0xBE, 0x04, a->user_info, a->user_info_len);
        wrap(w, start, a->tag);
}

enum dlms_error acse_rejection(const struct acse_associate *aare)
{
        if (aare->result == 0)
                return DLMS_E_OK;
        if (aare->diagnostic_source == 2)
                return aare->diagnostic == 2 ? DLMS_E_ASSOCIATION_VERSION
                                             : DLMS_E_ASSOCIATION_REJECTED;
        switch (aare->diagnostic) {
        case ACSE_DIAG_CONTEXT_NOT_SUPPORTED:
                return DLMS_E_ASSOCIATION_CONTEXT;
        case ACSE_DIAG_CALLING_TITLE_NOT_RECOGNIZED:
                return DLMS_E_ASSOCIATION_TITLE;
        case ACSE_DIAG_CALLING_INVOCATION_NOT_RECOGNIZED:
        case ACSE_DIAG_CALLING_QUALIFIER_NOT_RECOGNIZED:
        case ACSE_DIAG_CALLING_AE_INVOCATION_NOT_RECOGNIZED:
                return DLMS_E_ASSOCIATION_CALLING;
        case ACSE_DIAG_CALLED_TITLE_NOT_RECOGNIZED:
        case ACSE_DIAG_CALLED_INVOCATION_NOT_RECOGNIZED:
        case ACSE_DIAG_CALLED_QUALIFIER_NOT_RECOGNIZED:
        case ACSE_DIAG_CALLED_AE_INVOCATION_NOT_RECOGNIZED:
                return DLMS_E_ASSOCIATION_CALLED;
        case ACSE_DIAG_MECHANISM_NOT_RECOGNISED:
                return DLMS_E_ASSOCIATION_MECHANISM;
        case ACSE_DIAG_MECHANISM_REQUIRED:
        case ACSE_DIAG_AUTHENTICATION_REQUIRED:
                return DLMS_E_ASSOCIATION_REQUIRED;
        case ACSE_DIAG_AUTHENTICATION_FAILURE:
                return DLMS_E_ASSOCIATION_AUTHENTICATION;
        default:
                return DLMS_E_ASSOCIATION_REJECTED;
        }
}

int acse_release_decode(const uint8_t *p, size_t n, struct acse_release *ret)
{
        struct acse_release a = { 0 };
        struct axdr_reader r;
        struct ber outer, field, in;

        axdr_reader_init(&r, p, n);
        if (!ber_next(&r, &outer))
                return DLMS_E_TRUNCATED;
        if (outer.tag != APDU_RLRQ && outer.tag != APDU_RLRE)
                return DLMS_E_APDU;
        if (axdr_left(&r) > 0)
                return DLMS_E_TRAILING;
        a.tag = outer.tag;
        axdr_reader_init(&r, outer.p, outer.n);
        while (ber_next(&r, &field)) {
                if (field.tag == 0x80 && field.n == 1) {
                        a.reason = field.p[0];
                } else if (field.tag == 0xBE) {
                        if (!ber_inner(&field, 0x04, &in))
                                return DLMS_E_APDU;
                        a.user_info = in.p;
                        a.user_info_len = in.n;
                }
        }
        if (r.error)
                return r.error;
        *ret = a;
        return 0;
}

void acse_put_release(struct axdr_writer *w, const struct acse_release *a)
{
        size_t start = w->len;

        axdr_put_raw(w, "\x80\x01", 2);
        axdr_put_byte(w, a->reason);
        if (a->user_info_len > 0)
                put_nested(w, 0xBE, 0x04, a->user_info, a->user_info_len);
        wrap(w, start, a->tag);
}

/* Conformance: [APPLICATION 31] BIT STRING, tag 5F 1F; some write 5F alone. */
static bool read_conformance(struct axdr_reader *r, uint32_t *ret)
{
        static const uint8_t head[] = { 0x04, 0x00 };

        if (axdr_left(r) < 8 || r->p[0] != 0x5F)
                return false;
        r->p += r->p[1] == 0x1F ? 2 : 1;
        if (memcmp(r->p, head, 2) != 0 || axdr_left(r) < 5)
                return false;
        *ret = (uint32_t)r->p[2] << 16 | (uint32_t)r->p[3] << 8 | r->p[4];
        r->p += 5;
        return true;
}

static uint8_t take_byte(struct axdr_reader *r)
{
        if (axdr_left(r) == 0) {
                r->error = DLMS_E_TRUNCATED;
                return 0;
        }
        return *r->p++;
}

static uint16_t take_be16(struct axdr_reader *r)
{
        uint16_t v = (uint16_t)(take_byte(r) << 8);

        return v | take_byte(r);
}

int acse_initiate_decode(const uint8_t *p, size_t n, struct acse_initiate *ret)
{
        struct acse_initiate i = { .response_allowed = true };
        struct axdr_reader r;
        uint8_t tag;

        axdr_reader_init(&r, p, n);
        tag = take_byte(&r);
        if (r.error || (tag != APDU_INITIATE_REQUEST && tag != APDU_INITIATE_RESPONSE))
                return r.error ? r.error : DLMS_E_APDU;
        i.response = tag == APDU_INITIATE_RESPONSE;
        if (!i.response) {
                if (take_byte(&r)) {
                        if (!axdr_length(&r, &i.dedicated_len) || axdr_left(&r) < i.dedicated_len)
                                return DLMS_E_TRUNCATED;
                        i.dedicated = r.p;
                        r.p += i.dedicated_len;
                }
                if (take_byte(&r))
                        i.response_allowed = take_byte(&r) != 0;
        }
        if (take_byte(&r)) {
                i.has_qos = true;
                i.qos = take_byte(&r);
        }
        i.version = take_byte(&r);
        if (r.error)
                return r.error;
        if (!read_conformance(&r, &i.conformance))
                return DLMS_E_APDU;
        i.max_pdu = take_be16(&r);
        if (i.response)
                i.vaa = take_be16(&r);
        if (r.error)
                return r.error;
        if (axdr_left(&r) > 0)
                return DLMS_E_TRAILING;
        *ret = i;
        return 0;
}

void acse_put_initiate(struct axdr_writer *w, const struct acse_initiate *i)
{
        if (i->response) {
                axdr_put_byte(w, APDU_INITIATE_RESPONSE);
        } else {
                axdr_put_byte(w, APDU_INITIATE_REQUEST);
                axdr_put_byte(w, i->dedicated != NULL);
                if (i->dedicated) {
                        axdr_put_length(w, i->dedicated_len);
                        axdr_put_raw(w, i->dedicated, i->dedicated_len);
                }
                axdr_put_byte(w, !i->response_allowed);
                if (!i->response_allowed)
                        axdr_put_byte(w, 0);
        }
        axdr_put_byte(w, i->has_qos);
        if (i->has_qos)
                axdr_put_byte(w, i->qos);
        axdr_put_byte(w, i->version);
        axdr_put_raw(w, "\x5F\x1F\x04\x00", 4);
        axdr_put_byte(w, (uint8_t)(i->conformance >> 16));
        axdr_put_be16(w, (uint16_t)i->conformance);
        axdr_put_be16(w, i->max_pdu);
        if (i->response)
                axdr_put_be16(w, i->vaa);
}
