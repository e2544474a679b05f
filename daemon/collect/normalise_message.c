/* Pushed messages: SenML and flat JSON by the model's map, DLMS notifications by OBIS code. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "dlms/push.h"
#include "dlms/unpack.h"
#include "message.h"
#include "normalise.h"
#include "payload/payload.h"

enum { PUSH_OBJECTS_MAX = 128 };

static void map_of(const struct meter_model *m, struct payload_field *fields,
                   struct payload_map *map)
{
        for (size_t i = 0; i < m->n_fields; i++)
                fields[i] = (struct payload_field){ .name = m->fields[i].name,
                                                    .channel = m->fields[i].to.channel,
                                                    .unit = m->fields[i].to.unit[0]
                                                                    ? m->fields[i].to.unit
                                                                    : NULL,
                                                    .period_s = m->fields[i].to.period_s };
        *map = (struct payload_map){
                .fields = fields,
                .n_fields = m->n_fields,
                .stamp = m->stamp == MODEL_STAMP_END ? PAYLOAD_STAMP_END : PAYLOAD_STAMP_START,
                .time_field = m->time_field,
                .time_format = m->time_format == MODEL_TIME_UNIX      ? PAYLOAD_TIME_UNIX
                               : m->time_format == MODEL_TIME_UNIX_MS ? PAYLOAD_TIME_UNIX_MS
                                                                      : PAYLOAD_TIME_RFC3339,
                .identity_field = m->identity_field[0] ? m->identity_field : NULL
        };
}

/* "urn:dev:mac:0024befffe804ff1" names the meter 0024befffe804ff1 too. */
static bool names_meter(const char *said, const char *identity)
{
        size_t n = strlen(said), k = strlen(identity);

        if (!n)
                return true;
        if (n < k || strcasecmp(said + n - k, identity) != 0)
                return false;
        return n == k || said[n - k - 1] == ':' || said[n - k - 1] == '/';
}

static enum normalise_refusal take_records(struct normaliser *n, const struct payload_result *r,
                                           char *why, size_t why_size)
{
        enum normalise_refusal last = NORMALISE_NONE;

        for (size_t i = 0; i < r->n; i++) {
                const struct payload_record *p = &r->records[i];
                struct model_target to = { .channel = p->channel, .scaler = p->channel->scaler };
                enum normalise_refusal e =
                        normalise_value(n, &to, p->at, p->period_s, 0, decimal_int(p->value), NULL);

                if (e != NORMALISE_NONE) {
                        last = e;
                        snprintf(why, why_size, "%s", p->channel->code);
                }
        }
        n->counts.refused[NORMALISE_UNMAPPED] += r->ignored;
        if (n->counts.values)
                return NORMALISE_NONE;
        if (last != NORMALISE_NONE)
                return last;
        if (r->ignored)
                snprintf(why, why_size, "the model's map does not know \"%.100s\"",
                         r->first_ignored);
        else
                snprintf(why, why_size, "there is no value in it");
        return NORMALISE_UNKNOWN_LAYOUT;
}

static enum normalise_refusal telemetry(struct normaliser *n, const struct registry_meter *meter,
                                        const struct meter_model *model, const void *raw,
                                        size_t len, char *why, size_t why_size)
{
        struct payload_field fields[MODEL_FIELDS_MAX];
        struct payload_map map;
        struct payload_result r = { .max = len / 8 + 1 };
        char text[PAYLOAD_ERROR_TEXT] = "";
        enum payload_error e;
        enum normalise_refusal out;

        if (r.max > PAYLOAD_MAX_RECORDS)
                r.max = PAYLOAD_MAX_RECORDS;
        r.records = calloc(r.max, sizeof *r.records);
        if (!r.records) {
                n->failed = true;
                return NORMALISE_TOO_LARGE;
        }
        map_of(model, fields, &map);
        if (model->payload == MODEL_PAYLOAD_SENML)
                e = payload_senml_decode(raw, len, &map, n->now_s, &r, text);
        else
                e = payload_flat_decode(raw, len, &map, n->now_s, &r, text);
        if (e != PAYLOAD_OK) {
                snprintf(why, why_size, "%s", text);
                out = e == PAYLOAD_E_SYNTAX  ? NORMALISE_MALFORMED
                      : e == PAYLOAD_E_LIMIT ? NORMALISE_TOO_LARGE
                      : e == PAYLOAD_E_VALUE ? NORMALISE_RANGE
                                             : NORMALISE_UNKNOWN_LAYOUT;
        } else if (!names_meter(r.identity, meter->identity) &&
                   !names_meter(r.identity, meter->serial)) {
                snprintf(why, why_size, "it calls itself \"%.100s\"", r.identity);
                out = NORMALISE_IDENTITY;
        } else {
                out = take_records(n, &r, why, why_size);
        }
        free(r.records);
        return out;
}

/* ---- DLMS ---- */

static const struct model_object *object_of(const struct meter_model *m, const struct obis *o)
{
        for (size_t i = 0; i < m->n_push; i++)
                if (obis_equal(&m->push[i].attr.obis, o))
                        return &m->push[i];
        return NULL;
}

/* Gives the objects of a list without codes the codes its length stands for. */
static void name_by_place(const struct meter_model *m, struct dlms_object *objects, size_t n)
{
        static const struct obis none;

        for (size_t i = 0; i < n; i++)
                if (objects[i].has_obis)
                        return;
        for (uint8_t k = 0; k < m->n_lists; k++) {
                if (m->lists[k].n != n)
                        continue;
                for (size_t i = 0; i < n; i++) {
                        objects[i].obis = m->lists[k].at[i];
                        objects[i].has_obis = !obis_equal(&objects[i].obis, &none);
                }
                return;
        }
}

static bool says_other_meter(const struct meter_model *model, const struct registry_meter *meter,
                             const struct dlms_object *o)
{
        size_t n = strlen(meter->serial), k = strlen(meter->identity);

        if (!model->has_identity || !o->has_obis || !obis_equal(&o->obis, &model->identity) ||
            !o->value.p)
                return false;
        return !(o->value.n >= n && memcmp(o->value.p + o->value.n - n, meter->serial, n) == 0) &&
               !(o->value.n == k && memcmp(o->value.p, meter->identity, k) == 0);
}

static int64_t time_of(const struct dlms_notification *note, const struct dlms_object *objects,
                       int64_t now_s)
{
        int64_t t;

        for (size_t i = 0; i < note->n_objects; i++)
                if (objects[i].is_time &&
                    dlms_datetime_utc(&objects[i].time, DATETIME_STANDARD, 0, &t) == 0)
                        return t;
        if (note->has_time && dlms_datetime_utc(&note->time, DATETIME_STANDARD, 0, &t) == 0)
                return t;
        return now_s;
}

/* Event codes (0.0.96.11.e.255) are pushed as they are written to the log 0.0.99.98.e.255: told in
 * the same words, so that the log's entry read later is the same event. */
static bool take_event(struct normaliser *n, const struct meter_model *model,
                       const struct dlms_object *o, int64_t at)
{
        static const struct model_log standard;
        const struct model_log *log = &standard;
        struct obis of_log = OBIS(0, 0, 99, 98, 0, 255);
        char obis[OBIS_TEXT_SIZE], text[96];
        int64_t own;

        if (!o->has_obis || o->obis.v[0] != 0 || o->obis.v[2] != 96 || o->obis.v[3] != 11 ||
            !axdr_is_integer(&o->value, &own) || own < 0 || own > UINT16_MAX)
                return false;
        of_log.v[4] = o->obis.v[4];
        for (uint8_t i = 0; i < model->n_logs; i++)
                if (obis_equal(&model->logs[i].obis, &of_log))
                        log = &model->logs[i];
        obis_format(&of_log, obis);
        snprintf(text, sizeof text, "log %s code %u", obis, (unsigned)own);
        if (message_put_event(n->out, at, model_event_code(log, (uint32_t)own), text) < 0)
                return false;
        n->counts.values++;
        return true;
}

static enum normalise_refusal take_objects(struct normaliser *n, const struct registry_meter *meter,
                                           const struct meter_model *model,
                                           const struct dlms_notification *note,
                                           const struct dlms_object *objects, char *why,
                                           size_t why_size)
{
        int64_t at = time_of(note, objects, n->now_s);
        enum normalise_refusal last = NORMALISE_UNKNOWN_LAYOUT;

        for (size_t i = 0; i < note->n_objects; i++)
                if (says_other_meter(model, meter, &objects[i])) {
                        snprintf(why, why_size, "it calls itself \"%.*s\"",
                                 (int)(objects[i].value.n < 60 ? objects[i].value.n : 60),
                                 (const char *)objects[i].value.p);
                        return NORMALISE_IDENTITY;
                }
        snprintf(why, why_size, "none of its %zu objects is in the model's push map",
                 note->n_objects);
        for (size_t i = 0; i < note->n_objects; i++) {
                const struct dlms_object *o = &objects[i];
                const struct model_object *to = o->has_obis ? object_of(model, &o->obis) : NULL;
                struct model_target target;
                enum normalise_refusal e;
                int64_t v;

                if ((!to || !to->to.channel) && take_event(n, model, o, at))
                        continue;
                if (!to || !to->to.channel) {
                        n->counts.refused[NORMALISE_UNMAPPED]++;
                        continue;
                }
                target = to->to;
                if (o->has_scaler)
                        target.scaler = o->scaler;
                if (!axdr_is_integer(&o->value, &v))
                        e = normalise_refuse(n, NORMALISE_RANGE);
                else
                        e = normalise_value(n, &target, at, 0, 0, decimal_int(v),
                                            o->has_scaler ? dlms_unit_text(o->unit) : NULL);
                if (e != NORMALISE_NONE) {
                        last = e;
                        snprintf(why, why_size, "%s", to->to.channel->code);
                }
        }
        return n->counts.values ? NORMALISE_NONE : last;
}

static enum normalise_refusal notification(struct normaliser *n, const struct registry_meter *meter,
                                           const struct meter_model *model, const void *raw,
                                           size_t len, char *why, size_t why_size)
{
        struct dlms_keys keys = { .suite = model->suite };
        struct dlms_crypto *crypto = dlms_crypto_new();
        struct dlms_object *objects = calloc(PUSH_OBJECTS_MAX, sizeof *objects);
        uint8_t *copy = malloc(len);
        struct dlms_unpacked u;
        struct dlms_notification note;
        enum normalise_refusal out = NORMALISE_MALFORMED;
        int e;

        if (!crypto || !objects || !copy) {
                n->failed = true;
        } else {
                if (meter->guek.len && meter->guek.len <= sizeof keys.ek) {
                        keys.has_ek = true;
                        memcpy(keys.ek, meter->guek.bytes, meter->guek.len);
                }
                if (meter->gak.len && meter->gak.len <= sizeof keys.ak) {
                        keys.has_ak = true;
                        memcpy(keys.ak, meter->gak.bytes, meter->gak.len);
                }
                e = dlms_unpack(raw, len, false, crypto, &keys, NULL, copy, len, &u);
                if (e == 0)
                        e = dlms_push_decode(u.apdu, u.apdu_len, &note, objects, PUSH_OBJECTS_MAX);
                if (e == 0) {
                        name_by_place(model, objects, note.n_objects);
                        out = take_objects(n, meter, model, &note, objects, why, why_size);
                } else {
                        snprintf(why, why_size, "%s", dlms_error_text((unsigned)e));
                        if (e == DLMS_E_ENCRYPTION_KEY || e == DLMS_E_AUTHENTICATION_KEY ||
                            e == DLMS_E_TAG || e == DLMS_E_TITLE || e == DLMS_E_KEY_MISSING)
                                out = NORMALISE_KEY;
                }
        }
        dlms_keys_wipe(&keys);
        dlms_crypto_free(crypto);
        free(objects);
        free(copy);
        return out;
}

enum normalise_refusal normalise_message(const struct registry_meter *meter,
                                         const struct meter_model *model, const void *raw, size_t n,
                                         int64_t now_s, struct buf *out,
                                         struct normalise_counts *counts, char *why,
                                         size_t why_size)
{
        struct normaliser norm;
        enum normalise_refusal r;
        size_t before = out->len;

        normalise_init(&norm, out, now_s);
        why[0] = 0;
        if (meter->protocol == METER_DLMS)
                r = notification(&norm, meter, model, raw, n, why, why_size);
        else if (model->payload != MODEL_PAYLOAD_NONE)
                r = telemetry(&norm, meter, model, raw, n, why, why_size);
        else
                r = NORMALISE_UNKNOWN_LAYOUT;
        if (!normalise_flush(&norm) && r == NORMALISE_NONE) {
                snprintf(why, why_size, "out of memory");
                r = NORMALISE_TOO_LARGE;
        }
        if (r != NORMALISE_NONE) {
                /* Nothing of a refused message is stored. */
                out->len = before;
                norm.counts.values = 0;
                if (!norm.counts.refused[r])
                        norm.counts.refused[r]++;
        }
        normalise_counts_add(counts, &norm.counts);
        normalise_deinit(&norm);
        return r;
}

int normalise_raw(const struct registry_meter *meter, const char *detail, const void *raw, size_t n,
                  struct buf *out_payload, char *why, size_t why_size)
{
        struct normalise_counts counts = { 0 };
        struct meter_model *model = NULL;
        enum normalise_refusal r;
        char text[200];

        (void)detail;
        if (model_parse(&model, meter->profile ? meter->profile : "", text, sizeof text) < 0) {
                snprintf(why, why_size, "model %s: %s", meter->model, text);
                return -EINVAL;
        }
        r = normalise_message(meter, model, raw, n, (int64_t)time(NULL), out_payload, &counts, text,
                              sizeof text);
        free(model);
        if (r == NORMALISE_NONE)
                return 0;
        snprintf(why, why_size, "%s%s%s", normalise_refusal_text(r), text[0] ? ": " : "", text);
        return -EINVAL;
}
