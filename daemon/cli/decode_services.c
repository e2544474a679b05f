/* Services of an association in words: GET, SET, ACTION, ACCESS, Read, blocks and refusals. */
#include "decode_internal.h"
#include "dlms/access.h"
#include "dlms/apdu.h"
#include "dlms/short_name.h"

void decode_put_attr(struct buf *b, const struct dlms_attr *a)
{
        char obis[OBIS_TEXT_SIZE];

        obis_format(&a->obis, obis);
        buf_printf(b, "{\"class_id\":%u,\"obis\":\"%s\",\"id\":%d}", a->class_id, obis, a->id);
}

static void put_access(struct buf *b, const struct dlms_selection *s)
{
        buf_put_str(b, ",\"access\":");
        if (s->selector == 0) {
                buf_put_str(b, "null");
                return;
        }
        buf_printf(b, "{\"selector\":%u,\"parameters\":", s->selector);
        decode_put_value(b, s->params, s->n);
        buf_put_u8(b, '}');
}

/* Items of a list, each with its value when the request carries one. */
static void put_list(struct buf *b, const struct apdu_request *q)
{
        bool action = q->tag == APDU_ACTION_REQUEST;
        struct dlms_selection selection = { 0 };
        struct axdr_reader r, values;
        const uint8_t *value;
        struct dlms_attr attr;
        size_t n;

        buf_put_str(b, ",\"list\":[");
        axdr_reader_init(&r, q->items, q->items_len);
        axdr_reader_init(&values, q->data, q->n);
        for (size_t i = 0; i < q->count; i++) {
                if (!(action ? apdu_method_next(&r, &attr) : apdu_list_next(&r, &attr, &selection)))
                        break;
                buf_printf(b, "%s{\"%s\":", i ? "," : "", action ? "method" : "attr");
                decode_put_attr(b, &attr);
                if (!action)
                        put_access(b, &selection);
                if (q->kind == APDU_LIST && q->tag != APDU_GET_REQUEST &&
                    apdu_value_next(&values, &value, &n)) {
                        buf_put_str(b, ",\"data\":");
                        decode_put_value(b, value, n);
                }
                buf_put_u8(b, '}');
        }
        buf_put_u8(b, ']');
}

static const char *service_name(uint8_t tag)
{
        switch (tag) {
        case APDU_GET_REQUEST:
        case APDU_GET_RESPONSE:
                return "get";
        case APDU_SET_REQUEST:
        case APDU_SET_RESPONSE:
                return "set";
        default:
                return "action";
        }
}

/* The standard's name of a request's kind; SET has data blocks, ACTION parameter blocks. */
static const char *request_kind(const struct apdu_request *q)
{
        bool set = q->tag == APDU_SET_REQUEST;

        switch (q->kind) {
        case APDU_LIST:
                return "with-list";
        case APDU_FIRST:
                return set ? "with-first-datablock" : "with-first-pblock";
        case APDU_LIST_FIRST:
                return set ? "with-list-and-first-datablock" : "with-list-and-first-pblock";
        case APDU_BLOCK:
                return q->tag == APDU_GET_REQUEST ? "next" : set ? "with-datablock" : "with-pblock";
        case APDU_NEXT:
                return "next-pblock";
        default:
                return "normal";
        }
}

static void put_raw_block(struct buf *b, bool last, uint32_t number, const uint8_t *p, size_t n)
{
        buf_printf(b, ",\"last_block\":%s,\"block_number\":%u,\"raw\":", last ? "true" : "false",
                   number);
        decode_put_hex(b, p, n);
}

static void put_request(struct buf *b, const struct apdu_request *q)
{
        bool action = q->tag == APDU_ACTION_REQUEST;

        buf_printf(b, "{\"invoke\":%u,\"pdu\":\"%s-request-%s\"", q->invoke, service_name(q->tag),
                   request_kind(q));
        if (q->kind == APDU_LIST || q->kind == APDU_LIST_FIRST)
                put_list(b, q);
        if (q->kind == APDU_NORMAL || q->kind == APDU_FIRST) {
                buf_put_str(b, action ? ",\"method\":" : ",\"attr\":");
                decode_put_attr(b, &q->attr);
                if (!action)
                        put_access(b, &q->selection);
        }
        if (q->kind == APDU_NORMAL && q->data) {
                buf_put_str(b, action ? ",\"parameters\":" : ",\"data\":");
                decode_put_value(b, q->data, q->n);
        } else if (q->kind == APDU_NEXT || (q->kind == APDU_BLOCK && q->tag == APDU_GET_REQUEST)) {
                buf_printf(b, ",\"block_number\":%u", q->block);
        } else if (q->kind != APDU_NORMAL && q->kind != APDU_LIST) {
                put_raw_block(b, q->last, q->block, q->data, q->n);
        }
        buf_put_u8(b, '}');
}

static void put_result(struct buf *b, uint8_t tag, uint8_t result, const uint8_t *data, size_t n)
{
        if (tag != APDU_GET_RESPONSE)
                buf_printf(b, "{\"result\":%u", result);
        else if (!data)
                buf_printf(b, "{\"data_access_result\":%u", result);
        if (data) {
                buf_put_str(b, tag == APDU_GET_RESPONSE ? "{\"data\":" : ",\"data\":");
                decode_put_value(b, data, n);
        }
        buf_put_u8(b, '}');
}

static void put_results(struct buf *b, const struct apdu_response *a)
{
        struct axdr_reader r;

        buf_put_str(b, ",\"list\":[");
        axdr_reader_init(&r, a->data, a->n);
        for (size_t i = 0; i < a->count; i++) {
                const uint8_t *data = NULL;
                uint8_t result = 0;
                bool good = true;
                size_t n = 0;

                if (a->tag == APDU_SET_RESPONSE)
                        result = a->data[i];
                else if (a->tag == APDU_GET_RESPONSE)
                        good = apdu_result_next(&r, &result, &data, &n);
                else
                        good = apdu_action_next(&r, &result, &data, &n);
                if (!good)
                        break;
                if (i > 0)
                        buf_put_u8(b, ',');
                put_result(b, a->tag, result, data, n);
        }
        buf_put_u8(b, ']');
}

static const char *response_kind(const struct apdu_response *a)
{
        switch (a->kind) {
        case APDU_LIST:
                return "with-list";
        case APDU_BLOCK:
                return a->tag == APDU_GET_RESPONSE ? "with-datablock" : "with-pblock";
        case APDU_NEXT:
                return a->tag == APDU_SET_RESPONSE ? "datablock" : "next-pblock";
        case APDU_LAST:
                return "last-datablock";
        case APDU_LIST_LAST:
                return "last-datablock-with-list";
        default:
                return "normal";
        }
}

static void put_response(struct buf *b, const struct apdu_response *a)
{
        bool get = a->tag == APDU_GET_RESPONSE;

        buf_printf(b, "{\"invoke\":%u,\"pdu\":\"%s-response-%s\"", a->invoke, service_name(a->tag),
                   response_kind(a));
        if (!get && (a->kind == APDU_NORMAL || a->kind == APDU_LAST))
                buf_printf(b, ",\"result\":%u", a->result);
        if (a->kind == APDU_LIST || a->kind == APDU_LIST_LAST)
                put_results(b, a);
        if (a->kind == APDU_BLOCK && a->data) {
                put_raw_block(b, a->last, a->block, a->data, a->n);
        } else if (a->kind == APDU_BLOCK) {
                buf_printf(b, ",\"last_block\":%s,\"block_number\":%u,\"data_access_result\":%u",
                           a->last ? "true" : "false", a->block, a->result);
        } else if (a->kind != APDU_NORMAL && a->kind != APDU_LIST) {
                buf_printf(b, ",\"block_number\":%u", a->block);
        } else if (a->kind == APDU_NORMAL && a->data) {
                buf_put_str(b, get ? ",\"data\":" : ",\"return\":{\"data\":");
                decode_put_value(b, a->data, a->n);
                if (!get)
                        buf_put_u8(b, '}');
        } else if (a->kind == APDU_NORMAL && get) {
                buf_printf(b, ",\"data_access_result\":%u", a->result);
        }
        buf_put_u8(b, '}');
}

/* ---- ACCESS ---- */

static void put_long_head(struct buf *b, const char *pdu, uint32_t invoke, const uint8_t *time)
{
        buf_printf(b,
                   "{\"pdu\":\"%s\",\"long_invoke_id_and_priority\":\"%08X\",\"date_time\":", pdu,
                   invoke);
        if (time)
                decode_put_hex(b, time, 12);
        else
                buf_put_str(b, "null");
}

static void put_access_request(struct buf *b, const struct access_request *q)
{
        static const char *const names[] = { "", "get", "set", "action" };
        struct axdr_reader r, values;
        struct dlms_item item;
        const uint8_t *value;
        size_t n;

        put_long_head(b, "access-request", q->invoke, q->time);
        buf_put_str(b, ",\"list\":[");
        axdr_reader_init(&r, q->specs, q->specs_len);
        axdr_reader_init(&values, q->data, q->data_len);
        for (size_t i = 0; i < q->count; i++) {
                bool action;

                if (!access_spec_next(&r, &item) || !apdu_value_next(&values, &value, &n))
                        break;
                action = item.service == DLMS_ACTION;
                buf_printf(b, "%s{\"service\":\"%s\",\"%s\":", i ? "," : "", names[item.service],
                           action ? "method" : "attr");
                decode_put_attr(b, &item.attr);
                if (!action)
                        put_access(b, &item.selection);
                if (item.service != DLMS_GET) {
                        buf_put_str(b, ",\"data\":");
                        decode_put_value(b, value, n);
                }
                buf_put_u8(b, '}');
        }
        buf_put_str(b, "]}");
}

static void put_access_response(struct buf *b, const struct access_response *a)
{
        struct axdr_reader values;
        const uint8_t *value;
        size_t n;

        put_long_head(b, "access-response", a->invoke, a->time);
        buf_put_str(b, ",\"list\":[");
        axdr_reader_init(&values, a->data, a->data_len);
        for (size_t i = 0; i < a->count && apdu_value_next(&values, &value, &n); i++) {
                buf_printf(b, "%s{\"result\":%u,\"data\":", i ? "," : "", a->results[2 * i + 1]);
                decode_put_value(b, value, n);
                buf_put_u8(b, '}');
        }
        buf_put_str(b, "]}");
}

/* ---- Read, by short names ---- */

static void put_read_request(struct buf *b, const struct sn_read *q)
{
        struct axdr_reader r;
        struct sn_spec s;

        buf_put_str(b, "{\"pdu\":\"read-request\",\"list\":[");
        axdr_reader_init(&r, q->specs, q->n);
        for (size_t i = 0; i < q->count && sn_spec_next(&r, &s); i++) {
                buf_put_str(b, i ? "," : "");
                if (s.access == SN_BLOCK_NUMBER) {
                        buf_printf(b, "{\"block_number\":%u}", s.block);
                        continue;
                }
                buf_printf(b, "{\"name\":\"%04X\"", s.name);
                put_access(b, &s.selection);
                buf_put_u8(b, '}');
        }
        buf_put_str(b, "]}");
}

static void put_read_response(struct buf *b, const struct sn_response *a)
{
        struct axdr_reader r;
        struct sn_result s;

        buf_put_str(b, "{\"pdu\":\"read-response\",\"list\":[");
        axdr_reader_init(&r, a->results, a->n);
        for (size_t i = 0; i < a->count && sn_result_next(&r, &s); i++) {
                buf_put_str(b, i ? "," : "");
                switch (s.choice) {
                case SN_DATA:
                        buf_put_str(b, "{\"data\":");
                        decode_put_value(b, s.data, s.n);
                        break;
                case SN_ERROR:
                        buf_printf(b, "{\"data_access_result\":%u", s.error);
                        break;
                case SN_DATA_BLOCK:
                        buf_printf(b, "{\"kind\":\"block\"");
                        put_raw_block(b, s.last, s.block, s.data, s.n);
                        break;
                case SN_NEXT:
                        buf_printf(b, "{\"block_number\":%u", s.block);
                        break;
                }
                buf_put_u8(b, '}');
        }
        buf_put_str(b, "]}");
}

/* ---- blocks and refusals ---- */

static void put_block(struct buf *b, const struct apdu_block *block)
{
        buf_printf(b,
                   "{\"pdu\":\"general-block-transfer\",\"last_block\":%s,\"streaming\":%s,"
                   "\"window\":%u,\"block_number\":%u,\"block_number_ack\":%u,\"raw\":",
                   block->last ? "true" : "false", block->streaming ? "true" : "false",
                   block->window, block->number, block->ack);
        decode_put_hex(b, block->data, block->n);
        buf_put_u8(b, '}');
}

static void put_service_error(struct buf *b, const struct apdu_service_error *e)
{
        buf_printf(b,
                   "{\"pdu\":\"confirmed-service-error\",\"service\":%u,\"kind\":%u,\"reason\":%u,"
                   "\"text\":\"%s\"}",
                   e->service, e->kind, e->reason, apdu_service_error_text(e));
}

bool decode_describe_service(struct buf *b, const uint8_t *p, size_t n)
{
        struct apdu_service_error error;
        struct access_response answers;
        struct access_request access;
        struct apdu_response response;
        struct apdu_request request;
        struct sn_response results;
        struct apdu_block block;
        struct sn_read read;

        if (apdu_request_decode(p, n, &request) == 0)
                put_request(b, &request);
        else if (apdu_response_decode(p, n, &response) == 0)
                put_response(b, &response);
        else if (access_request_decode(p, n, &access) == 0)
                put_access_request(b, &access);
        else if (access_response_decode(p, n, &answers) == 0)
                put_access_response(b, &answers);
        else if (sn_read_decode(p, n, &read) == 0)
                put_read_request(b, &read);
        else if (sn_response_decode(p, n, &results) == 0)
                put_read_response(b, &results);
        else if (apdu_block_decode(p, n, &block) == 0)
                put_block(b, &block);
        else if (apdu_service_error_decode(p, n, &error) == 0)
                put_service_error(b, &error);
        else
                return false;
        return true;
}

int decode_refused_service(const uint8_t *p, size_t n)
{
        struct apdu_service_error error;
        struct access_response answers;
        struct access_request access;
        struct apdu_response response;
        struct apdu_request request;
        struct sn_response results;
        struct apdu_block block;
        struct sn_read read;

        switch (p[0]) {
        case APDU_GET_REQUEST:
        case APDU_SET_REQUEST:
        case APDU_ACTION_REQUEST:
                return apdu_request_decode(p, n, &request);
        case APDU_GET_RESPONSE:
        case APDU_SET_RESPONSE:
        case APDU_ACTION_RESPONSE:
                return apdu_response_decode(p, n, &response);
        case APDU_ACCESS_REQUEST:
                return access_request_decode(p, n, &access);
        case APDU_ACCESS_RESPONSE:
                return access_response_decode(p, n, &answers);
        case APDU_READ_REQUEST:
                return sn_read_decode(p, n, &read);
        case APDU_READ_RESPONSE:
                return sn_response_decode(p, n, &results);
        case APDU_GENERAL_BLOCK:
                return apdu_block_decode(p, n, &block);
        case APDU_CONFIRMED_SERVICE_ERROR:
                return apdu_service_error_decode(p, n, &error);
        default:
                return DLMS_E_APDU;
        }
}
