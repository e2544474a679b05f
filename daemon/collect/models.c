#include "models.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_files.h"

struct parse {
        struct meter_model *m;
        char *why;
        size_t why_size;
        bool failed;
};

static bool fail(struct parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The first thing wrong is the one told. */
static bool fail(struct parse *p, const char *fmt, ...)
{
        va_list ap;

        if (!p->failed) {
                va_start(ap, fmt);
                vsnprintf(p->why, p->why_size, fmt, ap);
                va_end(ap);
        }
        p->failed = true;
        return false;
}

static const char *text(const json_t *o, const char *name)
{
        return json_string_value(json_object_get(o, name));
}

static int64_t integer(struct parse *p, const json_t *o, const char *name, int64_t otherwise,
                       int64_t min, int64_t max)
{
        const json_t *v = json_object_get(o, name);
        int64_t i = otherwise;

        if (json_is_integer(v)) {
                i = json_integer_value(v);
        } else if (json_is_string(v)) { /* addresses may stand in hexadecimal */
                const char *s = json_string_value(v);
                char *end;

                i = strtoll(s, &end, 0);
                if (!*s || *end)
                        fail(p, "\"%s\": \"%s\" is no whole number", name, s);
        } else if (v) {
                fail(p, "\"%s\" must be a whole number", name);
        }
        if (i != otherwise && (i < min || i > max))
                fail(p, "\"%s\": %lld is not between %lld and %lld", name, (long long)i,
                     (long long)min, (long long)max);
        return p->failed ? otherwise : i;
}

static void copy_name(struct parse *p, char *out, size_t cap, const char *s, const char *what)
{
        if (strlen(s) >= cap)
                fail(p, "%s \"%.20s...\" is longer than %zu characters", what, s, cap - 1);
        else
                strcpy(out, s);
}

static bool obis_of(struct parse *p, const json_t *o, const char *name, struct obis *ret)
{
        const char *s = text(o, name);

        if (!s)
                return false;
        if (obis_parse(s, ret) < 0)
                return fail(p, "\"%s\": \"%s\" is no OBIS code (like 1.0.1.8.0.255)", name, s);
        return true;
}

static void target_of(struct parse *p, const json_t *o, struct model_target *ret, const char *where)
{
        const char *code = text(o, "channel"), *unit = text(o, "unit");

        if (!code)
                return;
        ret->channel = channel_by_code(code);
        if (!ret->channel) {
                fail(p, "%s: there is no channel \"%s\"", where, code);
                return;
        }
        if (unit)
                copy_name(p, ret->unit, sizeof ret->unit, unit, "unit");
        if (unit && channel_check_unit(ret->channel, unit) != 0)
                fail(p, "%s: \"%s\" is no unit for channel %s (%s)", where, unit, code,
                     ret->channel->unit);
        ret->scaler = (int8_t)integer(p, o, "scaler", 0, -9, 9);
        ret->period_s = (uint32_t)integer(p, o, "period_s", 0, 60, 86400);
        if (ret->period_s % 60)
                fail(p, "%s: a period is a whole number of minutes", where);
}

static size_t objects_of(struct parse *p, const json_t *list, struct model_object *out,
                         const char *where)
{
        const json_t *o;
        size_t i;

        if (json_array_size(list) > MODEL_OBJECTS_MAX) {
                fail(p, "%s: more than %d objects", where, MODEL_OBJECTS_MAX);
                return 0;
        }
        json_array_foreach(list, i, o)
        {
                struct model_object *to = &out[i];

                if (!obis_of(p, o, "obis", &to->attr.obis)) {
                        fail(p, "%s[%zu]: \"obis\" is missing", where, i);
                        return 0;
                }
                to->attr.class_id = (uint16_t)integer(p, o, "class", 3, 1, 65535);
                to->attr.id = (int8_t)integer(p, o, "attribute", 2, -128, 127);
                target_of(p, o, &to->to, where);
        }
        return json_array_size(list);
}

static enum model_stamp stamp_of(struct parse *p, const json_t *o, enum model_stamp otherwise)
{
        const char *s = text(o, "stamp");

        if (!s)
                return otherwise;
        if (strcmp(s, "end") == 0)
                return MODEL_STAMP_END;
        if (strcmp(s, "start") == 0)
                return MODEL_STAMP_START;
        if (strcmp(s, "instant") == 0)
                return MODEL_STAMP_INSTANT;
        fail(p, "\"stamp\": \"%s\" is none of end, start, instant", s);
        return otherwise;
}

static bool transport_of(struct parse *p, const char *s, enum dlms_framing *ret)
{
        if (!s || strcmp(s, "tcp-wrapper") == 0)
                *ret = DLMS_FRAMING_WRAPPER;
        else if (strcmp(s, "tcp-hdlc") == 0)
                *ret = DLMS_FRAMING_HDLC;
        else
                return fail(p, "\"transport\": \"%s\" is none of tcp-wrapper, tcp-hdlc, push", s);
        return true;
}

static void security_of(struct parse *p, const json_t *o, enum dlms_auth *auth,
                        enum dlms_policy *policy)
{
        const char *a = text(o, "auth"), *s = text(o, "security");

        if (a && strcmp(a, "none") == 0)
                *auth = DLMS_AUTH_NONE;
        else if (a && strcmp(a, "lls") == 0)
                *auth = DLMS_AUTH_LLS;
        else if (a && strcmp(a, "gmac") == 0)
                *auth = DLMS_AUTH_GMAC;
        else if (a && strcmp(a, "hls-md5") == 0)
                *auth = DLMS_AUTH_HLS_MD5;
        else if (a && strcmp(a, "hls-sha1") == 0)
                *auth = DLMS_AUTH_HLS_SHA1;
        else if (a && strcmp(a, "hls-sha256") == 0)
                *auth = DLMS_AUTH_HLS_SHA256;
        else if (a)
                fail(p, "\"auth\": \"%s\" is none of none, lls, hls-md5, hls-sha1, hls-sha256, gmac",
                     a);
        if (s && strcmp(s, "none") == 0)
                *policy = DLMS_POLICY_NONE;
        else if (s && strcmp(s, "authenticated") == 0)
                *policy = DLMS_POLICY_AUTHENTICATED;
        else if (s && strcmp(s, "encrypted") == 0)
                *policy = DLMS_POLICY_ENCRYPTED;
        else if (s && strcmp(s, "authenticated-encrypted") == 0)
                *policy = DLMS_POLICY_AUTHENTICATED_ENCRYPTED;
        else if (s)
                fail(p,
                     "\"security\": \"%s\" is none of none, authenticated, encrypted, "
                     "authenticated-encrypted",
                     s);
}

static void parse_push(struct parse *p, const json_t *push)
{
        const char *key;
        json_t *map = json_object_get(push, "map"), *o;

        json_object_foreach(map, key, o)
        {
                struct model_object *to = &p->m->push[p->m->n_push];

                if (p->m->n_push == MODEL_OBJECTS_MAX) {
                        fail(p, "push: more than %d objects", MODEL_OBJECTS_MAX);
                        return;
                }
                if (obis_parse(key, &to->attr.obis) < 0) {
                        fail(p, "push: \"%s\" is no OBIS code", key);
                        return;
                }
                target_of(p, o, &to->to, "push");
                p->m->n_push++;
        }
}

/* Lists of values without codes, told apart by their length: "" where nothing of ours stands. */
static void parse_lists(struct parse *p, const json_t *all)
{
        json_t *list, *code;
        size_t i, k;

        json_array_foreach(all, i, list)
        {
                struct model_list *to = &p->m->lists[p->m->n_lists];

                if (p->m->n_lists == MODEL_LISTS_MAX || !json_array_size(list) ||
                    json_array_size(list) > MODEL_OBJECTS_MAX) {
                        fail(p, "push: at most %d \"lists\", each of 1 to %d codes", MODEL_LISTS_MAX,
                             MODEL_OBJECTS_MAX);
                        return;
                }
                json_array_foreach(list, k, code)
                {
                        const char *s = json_string_value(code);

                        if (!s || (*s && obis_parse(s, &to->at[k]) < 0)) {
                                fail(p, "push: \"lists\": \"%s\" is no OBIS code", s ? s : "");
                                return;
                        }
                }
                to->n = (uint8_t)json_array_size(list);
                p->m->n_lists++;
        }
}

static void place_of(struct parse *p, const json_t *o, const char *name, struct model_place *ret,
                     uint16_t class_id, struct obis otherwise)
{
        *ret = (struct model_place){ class_id, otherwise };
        obis_of(p, o, name, &ret->obis);
}

static void parse_places(struct parse *p, const json_t *o)
{
        struct model_places *m = &p->m->places;

        m->clock = (struct model_place){ 8, p->m->clock };
        place_of(p, o, "control", &m->control, 70, OBIS(0, 0, 96, 3, 10, 255));
        place_of(p, o, "limiter", &m->limiter, 71, OBIS(0, 0, 17, 0, 0, 255));
        place_of(p, o, "calendar", &m->calendar, 20, OBIS(0, 0, 13, 0, 0, 255));
        place_of(p, o, "security", &m->security, 64, OBIS(0, 0, 43, 0, 0, 255));
        place_of(p, o, "image", &m->image, 18, OBIS(0, 0, 44, 0, 0, 255));
        place_of(p, o, "firmware", &m->firmware, 1, OBIS(1, 0, 0, 2, 0, 255));
}

static void parse_log(struct parse *p, const json_t *o, struct model_log *log)
{
        const char *key;
        json_t *to;

        if (!obis_of(p, o, "obis", &log->obis)) {
                fail(p, "events: \"obis\" is missing");
                return;
        }
        json_object_foreach(json_object_get(o, "map"), key, to)
        {
                char *end;
                unsigned long own = strtoul(key, &end, 10);

                if (log->n == MODEL_CODES_MAX || !*key || *end || own > UINT16_MAX ||
                    !json_is_integer(to) || json_integer_value(to) < 0 ||
                    json_integer_value(to) > UINT16_MAX) {
                        fail(p, "events: \"map\" gives a standard code for each of at most %d codes",
                             MODEL_CODES_MAX);
                        return;
                }
                log->map[log->n].own = (uint16_t)own;
                log->map[log->n++].standard = (uint16_t)json_integer_value(to);
        }
}

static void parse_logs(struct parse *p, const json_t *list)
{
        const json_t *o;
        size_t i;

        if (json_array_size(list) > MODEL_LOGS_MAX) {
                fail(p, "events: more than %d logs", MODEL_LOGS_MAX);
                return;
        }
        json_array_foreach(list, i, o) parse_log(p, o, &p->m->logs[i]);
        p->m->n_logs = (uint8_t)json_array_size(list);
}

uint32_t model_event_code(const struct model_log *log, uint32_t own)
{
        for (unsigned i = 0; i < log->n; i++)
                if (log->map[i].own == own)
                        return log->map[i].standard;
        return own <= 255 && !log->n ? own : MODEL_CODE_OWN + own;
}

/* What a model does otherwise than the standard says. */
static void parse_quirks(struct parse *p, const json_t *o)
{
        struct meter_model *m = p->m;
        const char *deviation = text(o, "deviation");

        m->no_release = json_is_true(json_object_get(o, "no_release"));
        m->no_lists = json_is_true(json_object_get(o, "no_lists"));
        m->pause_ms = (uint32_t)integer(p, o, "pause_s", 0, 0, 600) * 1000;
        m->one_connection = m->pause_ms > 0;
        m->places.clock_inverted = deviation && strcmp(deviation, "inverted") == 0;
        if (deviation && !m->places.clock_inverted && strcmp(deviation, "standard") != 0)
                fail(p, "quirks: \"deviation\": \"%s\" is neither standard nor inverted", deviation);
}

static void parse_dlms(struct parse *p, const json_t *doc)
{
        const json_t *profile = json_object_get(doc, "profile");
        struct meter_model *m = p->m;
        const char *transport = text(doc, "transport");

        m->push_only = transport && strcmp(transport, "push") == 0;
        if (!m->push_only)
                transport_of(p, transport, &m->framing);
        security_of(p, doc, &m->auth, &m->policy);
        m->suite = (uint8_t)integer(p, doc, "suite", 0, 0, 2);
        m->client_sap = (uint16_t)integer(p, doc, "client_sap", 16, 1, 65535);
        m->server_sap = (uint16_t)integer(p, doc, "server_sap", 1, 0, 65535);
        m->clock = OBIS(0, 0, 1, 0, 0, 255);
        obis_of(p, doc, "clock", &m->clock);
        m->has_counter = obis_of(p, doc, "invocation_counter", &m->counter);
        m->has_identity = obis_of(p, json_object_get(doc, "identity"), "obis", &m->identity);
        if (profile) {
                struct model_profile *f = &m->profile;

                f->present = obis_of(p, profile, "obis", &f->obis);
                if (!f->present)
                        fail(p, "profile: \"obis\" is missing");
                f->period_s = (uint32_t)integer(p, profile, "period_s", 900, 60, 86400);
                f->days = (uint32_t)integer(p, profile, "days", 62, 1, 4000);
                if (f->period_s % 60 || 86400 % f->period_s)
                        fail(p, "profile: a period of %u s does not divide the day into minutes",
                             f->period_s);
                f->stamp = stamp_of(p, profile, MODEL_STAMP_END);
                f->n = (uint8_t)objects_of(p, json_object_get(profile, "capture"), f->capture,
                                           "profile.capture");
        }
        m->n_registers = (uint8_t)objects_of(p, json_object_get(doc, "registers"), m->registers,
                                             "registers");
        parse_push(p, json_object_get(doc, "push"));
        parse_lists(p, json_object_get(json_object_get(doc, "push"), "lists"));
        parse_places(p, json_object_get(doc, "objects"));
        parse_logs(p, json_object_get(doc, "events"));
        parse_quirks(p, json_object_get(doc, "quirks"));
}

static void modbus_place(struct parse *p, const json_t *o, struct modbus_register *r,
                         const char *where)
{
        const char *table = text(o, "table"), *type = text(o, "type");
        const char *words = text(o, "word_order"), *bytes = text(o, "byte_order");

        r->address = (uint16_t)integer(p, o, "address", -1, 0, 65535);
        if (!json_object_get(o, "address"))
                fail(p, "%s: \"address\" is missing", where);
        if (modbus_table_parse(table ? table : "holding", &r->table) < 0)
                fail(p, "%s: table \"%s\" is neither holding nor input", where, table);
        if (!type || modbus_type_parse(type, &r->type) < 0)
                fail(p, "%s: type \"%s\" is none of u16 s16 u32 s32 u64 s64 f32", where,
                     type ? type : "");
        r->low_word_first = words && strcmp(words, "little") == 0;
        r->low_byte_first = bytes && strcmp(bytes, "little") == 0;
}

static void modbus_entry(struct parse *p, const json_t *o, size_t i)
{
        struct modbus_register *r = &p->m->modbus[i];
        const char *name = text(o, "name"), *unit = text(o, "unit"), *scale = text(o, "scale");
        const char *channel = text(o, "channel"), *role = text(o, "role");
        char where[32], wrong[160];

        snprintf(where, sizeof where, "registers[%zu]", i);
        modbus_place(p, o, r, where);
        copy_name(p, p->m->modbus_name[i], MODEL_NAME_MAX, name ? name : where, "name");
        r->name = p->m->modbus_name[i];
        if (unit) {
                copy_name(p, p->m->modbus_unit[i], MODEL_UNIT_MAX, unit, "unit");
                r->unit = p->m->modbus_unit[i];
        }
        if (scale && decimal_parse(scale, &r->scale) < 0)
                fail(p, "%s: scale \"%s\" is no number", where, scale);
        r->channel = channel ? channel_by_code(channel) : NULL;
        if (!r->channel)
                fail(p, "%s: there is no channel \"%s\"", where, channel ? channel : "");
        p->m->modbus_history[i] = role && strcmp(role, "history") == 0;
        if (!p->failed && modbus_register_check(r, wrong, sizeof wrong) < 0)
                fail(p, "%s: %s", where, wrong);
}

static void parse_modbus(struct parse *p, const json_t *doc)
{
        const json_t *list = json_object_get(doc, "registers"), *o;
        const json_t *history = json_object_get(doc, "history");
        size_t i;

        if (json_array_size(list) < 1 || json_array_size(list) > MODEL_OBJECTS_MAX) {
                fail(p, "\"registers\" must list 1 to %d registers", MODEL_OBJECTS_MAX);
                return;
        }
        json_array_foreach(list, i, o) modbus_entry(p, o, i);
        p->m->n_modbus = (uint8_t)json_array_size(list);
        if (!history)
                return;
        p->m->has_history = true;
        modbus_place(p, json_object_get(history, "freeze"), &p->m->freeze, "history.freeze");
        p->m->history_period_s = (uint32_t)integer(p, history, "period_s", 900, 60, 86400);
        p->m->history_days = (uint32_t)integer(p, history, "days", 62, 1, 4000);
}

static void parse_payload(struct parse *p, const json_t *doc)
{
        const json_t *time = json_object_get(doc, "time");
        const char *kind = text(doc, "payload"), *format = text(time, "format"), *key;
        json_t *map = json_object_get(doc, "map"), *o;
        struct meter_model *m = p->m;

        if (kind && strcmp(kind, "senml") == 0)
                m->payload = MODEL_PAYLOAD_SENML;
        else if (kind && strcmp(kind, "flat") == 0)
                m->payload = MODEL_PAYLOAD_FLAT;
        else
                fail(p, "\"payload\": \"%s\" is neither senml nor flat", kind ? kind : "");
        m->stamp = stamp_of(p, doc, MODEL_STAMP_START);
        copy_name(p, m->time_field, sizeof m->time_field,
                  text(time, "field") ? text(time, "field") : "ts", "time field");
        if (!format || strcmp(format, "rfc3339") == 0)
                m->time_format = MODEL_TIME_RFC3339;
        else if (strcmp(format, "unix") == 0)
                m->time_format = MODEL_TIME_UNIX;
        else if (strcmp(format, "unix_ms") == 0)
                m->time_format = MODEL_TIME_UNIX_MS;
        else
                fail(p, "time: format \"%s\" is none of rfc3339, unix, unix_ms", format);
        if (text(json_object_get(doc, "identity"), "field"))
                copy_name(p, m->identity_field, sizeof m->identity_field,
                          text(json_object_get(doc, "identity"), "field"), "identity field");
        json_object_foreach(map, key, o)
        {
                struct model_field *f = &m->fields[m->n_fields];

                if (m->n_fields == MODEL_FIELDS_MAX) {
                        fail(p, "map: more than %d fields", MODEL_FIELDS_MAX);
                        return;
                }
                copy_name(p, f->name, sizeof f->name, key, "map: field");
                target_of(p, o, &f->to, key);
                if (!f->to.channel)
                        fail(p, "map: \"%s\" names no channel", key);
                else if (f->to.channel->kind == CHANNEL_INTERVAL && !f->to.period_s)
                        fail(p, "map: \"%s\" is an interval channel and needs \"period_s\"", key);
                m->n_fields++;
        }
        if (!m->n_fields)
                fail(p, "\"map\" is empty");
}

static bool protocol_of(const char *s, enum meter_protocol *ret)
{
        static const char *const names[] = { "dlms", "modbus", "mqtt", "coap", "manual" };

        for (size_t i = 0; s && i < sizeof names / sizeof *names; i++)
                if (strcmp(s, names[i]) == 0) {
                        *ret = (enum meter_protocol)i;
                        return true;
                }
        return false;
}

int model_parse(struct meter_model **ret, const char *json, char *why, size_t why_size)
{
        struct parse p = { .why = why, .why_size = why_size };
        json_error_t e;
        json_t *doc;

        p.m = calloc(1, sizeof *p.m);
        if (!p.m)
                return -ENOMEM;
        doc = json_loads(json, JSON_REJECT_DUPLICATES, &e);
        if (!json_is_object(doc)) {
                fail(&p, "no JSON object: %s", doc ? "" : e.text);
        } else if (!protocol_of(text(doc, "protocol"), &p.m->protocol)) {
                fail(&p, "\"protocol\" is none of dlms, modbus, mqtt, coap, manual");
        } else {
                copy_name(&p, p.m->name, sizeof p.m->name,
                          text(doc, "model") ? text(doc, "model") : "", "model");
                p.m->clock_limit_s = integer(&p, doc, "clock_limit_s", 60, 1, 86400);
                if (p.m->protocol == METER_DLMS)
                        parse_dlms(&p, doc);
                else if (p.m->protocol == METER_MODBUS)
                        parse_modbus(&p, doc);
                else if (p.m->protocol != METER_MANUAL)
                        parse_payload(&p, doc);
        }
        json_decref(doc);
        if (p.failed) {
                free(p.m);
                return -EINVAL;
        }
        *ret = p.m;
        return 0;
}

int model_address(const struct meter_model *model, const struct registry_meter *meter,
                  struct meter_address *ret, char *why, size_t why_size)
{
        struct parse p = { .why = why, .why_size = why_size };
        json_t *doc = json_loads(meter->address ? meter->address : "{}", 0, NULL);
        const char *host = text(doc, "host"), *framing = text(doc, "framing");

        *ret = (struct meter_address){ .framing = model->framing,
                                       .auth = model->auth,
                                       .policy = model->policy };
        if (!json_is_object(doc) || !host || !*host)
                fail(&p, "the meter's address has no \"host\"");
        else
                copy_name(&p, ret->host, sizeof ret->host, host, "host");
        ret->port = (uint16_t)integer(&p, doc, "port", model->protocol == METER_DLMS ? 4059 : 502,
                                      1, 65535);
        ret->client_sap = (uint16_t)integer(&p, doc, "client_sap", model->client_sap, 1, 65535);
        ret->server_sap = (uint16_t)integer(&p, doc, "server_sap", model->server_sap, 0, 65535);
        ret->physical = (uint16_t)integer(&p, doc, "physical", 0, 0, 16383);
        ret->unit = (uint8_t)integer(&p, doc, "unit", 1, 0, 255);
        if (text(doc, "cell"))
                copy_name(&p, ret->cell, sizeof ret->cell, text(doc, "cell"), "cell");
        if (text(doc, "group"))
                copy_name(&p, ret->group, sizeof ret->group, text(doc, "group"), "group");
        ret->rtu = framing && strcmp(framing, "rtu") == 0;
        if (text(doc, "transport"))
                transport_of(&p, text(doc, "transport"), &ret->framing);
        security_of(&p, doc, &ret->auth, &ret->policy);
        json_decref(doc);
        return p.failed ? -EINVAL : 0;
}

const struct model_file *model_builtin(void)
{
        return model_files;
}
