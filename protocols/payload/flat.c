/* Mapped flat JSON: {"ts":"2026-01-01T00:15:00Z","id":"W1","use_l":12,"volume_m3":4.012} */
#include <stdio.h>
#include <string.h>

#include "civil.h"
#include "decode.h"

enum { TEXT_SIZE = 64 };

/* What one object has told until now. Its values wait for its time, which may come last. */
struct object {
        bool has_time;
        int64_t time;
        uint32_t period_s;
        size_t n;
        struct {
                const struct payload_field *field;
                struct decimal value;
        } values[64];
};

static bool is(const char *field, const char *name)
{
        return field && !strcmp(field, name);
}

/* A number, or a string that holds nothing else; false for null. */
static bool read_number(struct payload_decode *d, const char *name, struct decimal *ret)
{
        struct json_reader inner;
        char text[TEXT_SIZE];

        switch (jread_peek(&d->json)) {
        case JSON_NUMBER:
                jread_decimal(&d->json, ret);
                return true;
        case JSON_STRING:
                jread_string(&d->json, text, sizeof text, NULL);
                jread_init(&inner, text, strlen(text));
                jread_decimal(&inner, ret);
                jread_finish(&inner);
                if (inner.error)
                        payload_fail(d, PAYLOAD_E_VALUE, "%s is no number: \"%s\"", name, text);
                return true;
        case JSON_NULL:
                jread_skip(&d->json);
                return false;
        case JSON_OBJECT:
        case JSON_ARRAY:
        case JSON_TRUE:
        case JSON_FALSE:
        case JSON_END:
                break;
        }
        payload_fail(d, PAYLOAD_E_VALUE, "%s is no number", name);
        return false;
}

static void read_time(struct payload_decode *d, const char *name, struct object *o)
{
        struct decimal number = DECIMAL_ZERO;
        char text[TEXT_SIZE];

        o->has_time = true;
        o->time = INT64_MAX;
        if (d->map->time_format == PAYLOAD_TIME_RFC3339) {
                jread_string(&d->json, text, sizeof text, NULL);
                if (!d->json.error && civil_parse(text, &o->time, NULL))
                        payload_fail(d, PAYLOAD_E_VALUE,
                                     "%s is no RFC 3339 time with a zone: \"%s\"", name, text);
                return;
        }
        o->has_time = read_number(d, name, &number);
        if (d->map->time_format == PAYLOAD_TIME_UNIX_MS &&
            decimal_mul(number, (struct decimal){ 1, 3 }, &number))
                return;
        payload_seconds(number, &o->time);
}

static void read_period(struct payload_decode *d, const char *name, struct object *o)
{
        struct decimal number = DECIMAL_ZERO;
        int64_t seconds = 0;

        if (!read_number(d, name, &number))
                return;
        payload_seconds(number, &seconds);
        if (seconds < 60 || seconds > 86400)
                payload_fail(d, PAYLOAD_E_VALUE, "%s is not 60 to 86400 seconds", name);
        else
                o->period_s = (uint32_t)seconds;
}

static void read_identity(struct payload_decode *d)
{
        char identity[PAYLOAD_NAME_MAX];
        struct decimal number = DECIMAL_ZERO;

        if (jread_peek(&d->json) == JSON_NUMBER) {
                jread_decimal(&d->json, &number);
                decimal_format(number, 0, identity);
        } else {
                jread_string(&d->json, identity, sizeof identity, NULL);
        }
        if (payload_failed(d))
                return;
        if (d->ret->identity[0] && strcmp(d->ret->identity, identity) != 0)
                payload_fail(d, PAYLOAD_E_LAYOUT, "one message names two devices: %.60s and %.60s",
                             d->ret->identity, identity);
        else
                snprintf(d->ret->identity, sizeof d->ret->identity, "%s", identity);
}

static void read_value(struct payload_decode *d, const struct payload_field *f, struct object *o)
{
        struct decimal value = DECIMAL_ZERO;

        if (!read_number(d, f->name, &value))
                return;
        if (o->n == sizeof o->values / sizeof *o->values) {
                payload_fail(d, PAYLOAD_E_LIMIT, "more than %zu values in one object", o->n);
                return;
        }
        o->values[o->n].field = f;
        o->values[o->n++].value = value;
}

static const struct payload_field *find_field(const struct payload_map *map, const char *name)
{
        for (size_t i = 0; i < map->n_fields; i++)
                if (!strcmp(map->fields[i].name, name))
                        return &map->fields[i];
        return NULL;
}

/* @path: names of the objects around, each with a '.' behind it. Recursion ends at the reader's
 * depth. */
static void read_object(struct payload_decode *d, const char *path, struct object *o)
{
        char member[PAYLOAD_NAME_MAX], name[2 * PAYLOAD_NAME_MAX], inner[PAYLOAD_NAME_MAX];

        jread_begin_object(&d->json);
        while (jread_next_member(&d->json, member, sizeof member)) {
                const struct payload_field *f;

                snprintf(name, sizeof name, "%s%s", path, member);
                f = find_field(d->map, name);
                if (is(d->map->time_field, name)) {
                        read_time(d, name, o);
                } else if (is(d->map->period_field, name)) {
                        read_period(d, name, o);
                } else if (is(d->map->identity_field, name)) {
                        read_identity(d);
                } else if (f) {
                        read_value(d, f, o);
                } else if (jread_peek(&d->json) == JSON_OBJECT && strlen(name) + 2 < sizeof inner) {
                        memcpy(inner, name, strlen(name));
                        memcpy(inner + strlen(name), ".", 2);
                        read_object(d, inner, o);
                } else {
                        payload_ignore(d, name);
                        jread_skip(&d->json);
                }
        }
}

static void read_top_object(struct payload_decode *d)
{
        struct object o;

        o.has_time = false;
        o.time = 0;
        o.period_s = 0;
        o.n = 0;
        d->record++;
        read_object(d, "", &o);
        if (payload_failed(d))
                return;
        if (!o.has_time && d->map->time_field && o.n > 0) {
                payload_fail(d, PAYLOAD_E_LAYOUT, "member %s with the time is missing",
                             d->map->time_field);
                return;
        }
        for (size_t i = 0; i < o.n; i++)
                payload_add(d, o.values[i].field, o.has_time ? o.time : d->now, o.values[i].value,
                            NULL, o.period_s);
}

enum payload_error payload_flat_decode(const void *bytes, size_t n, const struct payload_map *map,
                                       int64_t now, struct payload_result *ret, char *text)
{
        struct payload_decode d;

        if (payload_begin(&d, bytes, n, map, now, ret, text))
                return payload_end(&d);
        if (jread_peek(&d.json) == JSON_ARRAY) {
                jread_begin_array(&d.json);
                while (jread_next_element(&d.json))
                        read_top_object(&d);
        } else {
                read_top_object(&d);
        }
        return payload_end(&d);
}
