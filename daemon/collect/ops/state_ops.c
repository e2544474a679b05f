/* What the head-end knows of one meter besides readings: supply, firmware, clock, causes, events;
 * groups of the schedule; suggested mappings of what lies in quarantine. */

#include <stdlib.h>
#include <string.h>

#include "collect_ops_internal.h"
#include "dlms/unpack.h"
#include "registry.h"
#include "suggest.h"
#include "visit.h"

enum { CAUSE_DAYS = 90, EVENTS = 100, EVENTS_MAX = 1000, OBJECTS = 128 };

#define METER { "meter", HR_TEXT, HR_PATH, true, "Number or serial of the meter", NULL, 1, 64 }

const struct hr_param meter_params[] = { METER, { 0 } };
const struct hr_param causes_params[] = {
        METER,
        { "days", HR_INT, HR_QUERY, false, "How far back; 90 when absent", NULL, 1, CAUSE_DAYS },
        { 0 },
};
const struct hr_param events_params[] = {
        METER,
        { "from", HR_TIME, HR_QUERY, false, "Not before", NULL, 0, 0 },
        { "severity", HR_TEXT, HR_QUERY, false, "Only of this severity", "info|warning|alarm", 0, 0 },
        { "limit", HR_INT, HR_QUERY, false, "Rows at most", NULL, 1, EVENTS_MAX },
        { 0 },
};
const struct hr_param group_put_params[] = {
        { "name", HR_TEXT, HR_BODY, true, "Name meters give as \"group\" in their address", NULL, 1,
          32 },
        { "priority", HR_INT, HR_BODY, true, "0 first, 2 last", NULL, 0, 2 },
        { "period_s", HR_INT, HR_BODY, true, "Seconds between two visits", NULL, 60, 86400 },
        { "deadline_s", HR_INT, HR_BODY, false,
          "Read at most so long after a visit is due; none when absent", NULL, 0, 86400 },
        { 0 },
};
const struct hr_param suggest_params[] = {
        { "quarantine_id", HR_INT, HR_PATH, true, "Number of the message", NULL, 1, INT64_MAX },
        { 0 },
};

enum hr_status meter_state(struct hr_call *call)
{
        uint32_t meter = 0;
        enum hr_status st = ops_find_meter(call, HOST->param(call, "meter"), &meter);
        const char *id = ops_number(call, meter);

        return st == HR_OK ? ops_reply_doc(call, sql_meter_state, 1, &id, "meter") : st;
}

/* Now from the schedule in this process, before from the database, each with its next step. */
enum hr_status meter_causes(struct hr_call *call)
{
        struct collect *c = ops_collect(call);
        struct buf now = BUF_INIT, json = BUF_INIT;
        struct hr_rows *rows;
        uint32_t meter = 0;
        enum hr_status st = ops_find_meter(call, HOST->param(call, "meter"), &meter);
        const char *params[] = { ops_number(call, meter),
                                 ops_number(call, HOST->param_int(call, "days", CAUSE_DAYS)) };

        if (st == HR_OK)
                st = HOST->query(call, sql_meter_causes, 2, params, &rows);
        if (st != HR_OK)
                return st;
        buf_printf(&json, "{\"meter_id\":%u,\"now\":", meter);
        if (c && collect_unread_json(c, NULL, meter, 1, &now) == 0 && !now.failed)
                buf_put(&json, now.p, now.len);
        else
                buf_put_str(&json, "null");
        buf_printf(&json, ",\"items\":%s}", HOST->rows_text(rows, 0, "items"));
        if (json.failed)
                st = HR_RETRY;
        else
                HOST->reply_json(call, buf_cstr(&json), json.len);
        buf_deinit(&now);
        buf_deinit(&json);
        return st;
}

enum hr_status meter_events(struct hr_call *call)
{
        uint32_t meter = 0;
        enum hr_status st = ops_find_meter(call, HOST->param(call, "meter"), &meter);
        const char *params[] = { ops_number(call, meter), ops_text(call, "from", ""),
                                 ops_text(call, "severity", ""),
                                 ops_number(call, HOST->param_int(call, "limit", EVENTS)) };

        return st == HR_OK ? ops_reply_items(call, sql_meter_events, 4, params) : st;
}

/* ---- groups ---- */

enum hr_status group_list(struct hr_call *call)
{
        return ops_reply_items(call, sql_group_list, 0, NULL);
}

enum hr_status group_put(struct hr_call *call)
{
        const char *params[] = { HOST->param(call, "name"),
                                 ops_number(call, HOST->param_int(call, "priority", 1)),
                                 ops_number(call, HOST->param_int(call, "period_s", 900)),
                                 ops_number(call, HOST->param_int(call, "deadline_s", 0)) };
        enum hr_status st = HOST->query(call, sql_group_put, 4, params, NULL);

        if (st == HR_OK)
                st = HOST->query(call, sql_registry_touch, 0, NULL, NULL);
        return st == HR_OK ? group_list(call) : st;
}

/* ---- suggested mappings ---- */

static void put_object(struct buf *b, const struct dlms_object *o, bool first)
{
        struct suggestion s = suggest_channel(o);
        char obis[OBIS_TEXT_SIZE] = "";
        int64_t v;

        if (o->has_obis)
                obis_format(&o->obis, obis);
        buf_printf(b, "%s{\"obis\":\"%s\",\"value\":", first ? "" : ",", obis);
        if (axdr_is_integer(&o->value, &v))
                buf_printf(b, "%lld", (long long)v);
        else if (o->value.tag == AXDR_VISIBLE_STRING || o->value.tag == AXDR_UTF8_STRING)
                buf_put_json_str(b, (const char *)o->value.p, o->value.n);
        else
                buf_put_str(b, "null");
        buf_printf(b, ",\"names_meter\":%s,\"channel\":", o->has_obis && suggest_is_name(&o->obis)
                                                                  ? "true"
                                                                  : "false");
        if (s.channel)
                buf_printf(b, "\"%s\",\"unit\":\"%s\",\"scaler\":%d,\"sure\":%s", s.channel->code,
                           s.unit, s.scaler, s.sure ? "true" : "false");
        else
                buf_put_str(b, "null,\"unit\":null,\"scaler\":null,\"sure\":false");
        buf_printf(b, ",\"why\":\"%s\"}", o->has_obis ? s.why : "the message gives no code here");
}

/* The same as a model file to begin with. */
static void put_model(struct buf *b, const struct dlms_object *objects, size_t n)
{
        const char *comma = "";
        char obis[OBIS_TEXT_SIZE];

        buf_put_str(b, ",\"model\":{\"model\":\"NEW-MODEL\",\"maker\":\"\",\"protocol\":\"dlms\","
                       "\"commodity\":\"electricity\",\"digits\":9,\"transport\":\"push\"");
        for (size_t i = 0; i < n; i++)
                if (objects[i].has_obis && suggest_is_name(&objects[i].obis)) {
                        obis_format(&objects[i].obis, obis);
                        buf_printf(b, ",\"identity\":{\"obis\":\"%s\"}", obis);
                        break;
                }
        buf_put_str(b, ",\"push\":{\"map\":{");
        for (size_t i = 0; i < n; i++) {
                struct suggestion s = suggest_channel(&objects[i]);

                if (!s.channel)
                        continue;
                obis_format(&objects[i].obis, obis);
                buf_printf(b, "%s\"%s\":{\"channel\":\"%s\",\"unit\":\"%s\",\"scaler\":%d}", comma,
                           obis, s.channel->code, s.unit, s.scaler);
                comma = ",";
        }
        buf_put_str(b, "}}}");
}

static void take_keys(struct hr_call *call, uint32_t meter_id, struct dlms_keys *ret)
{
        struct registry *r = host_object(call, "registry");
        struct registry_snapshot *s = r && meter_id ? registry_get(r) : NULL;
        const struct registry_meter *m = s ? registry_by_id(s, meter_id) : NULL;

        if (m && m->guek.len && m->guek.len <= sizeof ret->ek) {
                ret->has_ek = true;
                memcpy(ret->ek, m->guek.bytes, m->guek.len);
        }
        if (m && m->gak.len && m->gak.len <= sizeof ret->ak) {
                ret->has_ak = true;
                memcpy(ret->ak, m->gak.bytes, m->gak.len);
        }
        if (s)
                registry_unref(s);
}

static enum hr_status suggest(struct hr_call *call, const uint8_t *raw, size_t n, uint32_t meter_id,
                              struct dlms_object *objects, uint8_t *copy)
{
        struct dlms_crypto *crypto = dlms_crypto_new();
        struct dlms_keys keys = { 0 };
        struct dlms_notification note = { 0 };
        struct dlms_unpacked u = { 0 };
        struct buf json = BUF_INIT;
        enum hr_status st = HR_OK;
        int e;

        take_keys(call, meter_id, &keys);
        e = crypto ? dlms_unpack(raw, n, true, crypto, &keys, NULL, copy, n, &u) : DLMS_E_CRYPTO;
        if (!e)
                e = dlms_push_decode(u.apdu, u.apdu_len, &note, objects, OBJECTS);
        if (e) {
                st = HOST->reject(call, 422, "not_decoded", "quarantine_id",
                                  "the message cannot be decoded: %s%s", dlms_error_text((unsigned)e),
                                  u.ciphered ? " (it is ciphered: register its meter with its keys)"
                                             : "");
        } else {
                buf_printf(&json, "{\"quarantine_id\":%s,\"items\":[",
                           HOST->param(call, "quarantine_id"));
                for (size_t i = 0; i < note.n_objects; i++)
                        put_object(&json, &objects[i], i == 0);
                buf_put_u8(&json, ']');
                put_model(&json, objects, note.n_objects);
                buf_put_u8(&json, '}');
                if (json.failed)
                        st = HR_RETRY;
                else
                        HOST->reply_json(call, buf_cstr(&json), json.len);
        }
        dlms_keys_wipe(&keys);
        dlms_crypto_free(crypto);
        buf_deinit(&json);
        return st;
}

enum hr_status quarantine_suggest(struct hr_call *call)
{
        const char *id = HOST->param(call, "quarantine_id");
        struct dlms_object *objects;
        struct hr_rows *rows;
        const uint8_t *raw;
        uint8_t *copy;
        size_t n;
        enum hr_status st = HOST->query(call, sql_quarantine_message, 1, &id, &rows);

        if (st != HR_OK)
                return st;
        if (!HOST->rows_count(rows))
                return HOST->reject(call, 404, "not_found", "quarantine_id",
                                    "there is no message %s in quarantine", id);
        if (strcmp(HOST->rows_text(rows, 0, "protocol"), "dlms") != 0)
                return HOST->reject(call, 422, "not_dlms", "quarantine_id",
                                    "message %s came over %s; mappings are suggested for DLMS "
                                    "pushes",
                                    id, HOST->rows_text(rows, 0, "protocol"));
        raw = HOST->rows_bytes(rows, 0, "payload", &n);
        objects = HOST->alloc(call, OBJECTS * sizeof *objects);
        copy = HOST->alloc(call, n ? n : 1);
        if (!objects || !copy)
                return HR_RETRY;
        return suggest(call, raw, n, (uint32_t)HOST->rows_int(rows, 0, "meter_id"), objects, copy);
}
