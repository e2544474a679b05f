/* SenML JSON, RFC 8428. Section numbers below are the RFC's. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "decode.h"

enum {
        SENML_VERSION = 10,
        SENML_RELATIVE = 1 << 28, /* 4.5.3: times below are relative to now */
        UNIT_SIZE = 16,
};

/* One record as it stands in the text. */
struct record {
        char name[PAYLOAD_NAME_MAX], unit[UNIT_SIZE];
        struct decimal time, value;
        bool has_value, other_value, has_base;
};

struct base {
        char name[PAYLOAD_NAME_MAX], unit[UNIT_SIZE];
        struct decimal time, value;
};

static void read_version(struct payload_decode *d)
{
        struct decimal version = DECIMAL_ZERO;

        jread_decimal(&d->json, &version);
        if (version.scale != 0 || version.m < 1 || version.m > SENML_VERSION)
                payload_fail(d, PAYLOAD_E_LAYOUT, "SenML version is not 1 to %d", SENML_VERSION);
}

static void read_base_name(struct payload_decode *d, struct base *b)
{
        size_t len;

        jread_string(&d->json, b->name, sizeof b->name, &len);
        if (len >= sizeof b->name)
                payload_fail(d, PAYLOAD_E_LIMIT, "base name longer than %d bytes",
                             PAYLOAD_NAME_MAX - 1);
        len = strlen(b->name);
        if (d->ret->identity[0] || len == 0)
                return;
        if (b->name[len - 1] == ':' || b->name[len - 1] == '/')
                len--;
        memcpy(d->ret->identity, b->name, len);
        d->ret->identity[len] = '\0';
}

/* 4.1: base fields hold from their record on, also for it, wherever in it they stand. */
static bool read_base_member(struct payload_decode *d, const char *member, struct base *b)
{
        if (!strcmp(member, "bn"))
                read_base_name(d, b);
        else if (!strcmp(member, "bt"))
                jread_decimal(&d->json, &b->time);
        else if (!strcmp(member, "bu"))
                jread_string(&d->json, b->unit, sizeof b->unit, NULL);
        else if (!strcmp(member, "bv"))
                jread_decimal(&d->json, &b->value);
        else if (!strcmp(member, "bver"))
                read_version(d);
        else if (!strcmp(member, "bs"))
                jread_skip(&d->json);
        else
                return false;
        return true;
}

static void read_member(struct payload_decode *d, const char *member, struct record *r,
                        struct base *b)
{
        size_t len = 0;

        if (read_base_member(d, member, b)) {
                r->has_base = true;
        } else if (!strcmp(member, "n")) {
                jread_string(&d->json, r->name, sizeof r->name, &len);
                if (len >= sizeof r->name)
                        payload_fail(d, PAYLOAD_E_LIMIT, "name longer than %d bytes",
                                     PAYLOAD_NAME_MAX - 1);
        } else if (!strcmp(member, "u")) {
                jread_string(&d->json, r->unit, sizeof r->unit, NULL);
        } else if (!strcmp(member, "t")) {
                jread_decimal(&d->json, &r->time);
        } else if (!strcmp(member, "v")) {
                jread_decimal(&d->json, &r->value);
                r->has_value = true;
        } else {
                /* 4.4: an unknown member whose name ends in '_' must be understood. */
                len = strlen(member);
                if (len > 0 && member[len - 1] == '_')
                        payload_fail(d, PAYLOAD_E_LAYOUT, "member %s is mandatory and unknown",
                                     member);
                r->other_value |= !strcmp(member, "vs") || !strcmp(member, "vb") ||
                                  !strcmp(member, "vd") || !strcmp(member, "s");
                jread_skip(&d->json);
        }
}

static const struct payload_field *find_field(const struct payload_map *map, const char *name,
                                              const char *resolved)
{
        size_t len = strlen(resolved);

        for (size_t i = 0; i < map->n_fields; i++) {
                const char *want = map->fields[i].name;
                size_t n = strlen(want);

                if (!strcmp(want, name) || !strcmp(want, resolved))
                        return &map->fields[i];
                if (n < len && !strcmp(resolved + len - n, want) &&
                    strchr(":/", resolved[len - n - 1]))
                        return &map->fields[i];
        }
        return NULL;
}

static void resolve(struct payload_decode *d, const struct record *r, const struct base *b)
{
        char name[2 * PAYLOAD_NAME_MAX];
        const struct payload_field *f;
        struct decimal time, value;
        int64_t at = INT64_MAX;

        if (!r->has_value) {
                if (r->other_value)
                        payload_ignore(d, r->name[0] ? r->name : b->name);
                else if (!r->has_base)
                        payload_fail(d, PAYLOAD_E_LAYOUT, "no value");
                return;
        }
        snprintf(name, sizeof name, "%s%s", b->name, r->name);
        if (!name[0]) {
                payload_fail(d, PAYLOAD_E_LAYOUT, "no name");
                return;
        }
        f = find_field(d->map, r->name, name);
        if (!f) {
                payload_ignore(d, name);
                return;
        }
        if (decimal_add(b->time, r->time, &time) || decimal_add(b->value, r->value, &value)) {
                payload_fail(d, PAYLOAD_E_VALUE, "time or value of %s is too large", f->name);
                return;
        }
        payload_seconds(time, &at);
        if (at < SENML_RELATIVE)
                at += d->now;
        payload_add(d, f, at, value, r->unit[0] ? r->unit : b->unit, 0);
}

enum payload_error payload_senml_decode(const void *bytes, size_t n, const struct payload_map *map,
                                        int64_t now, struct payload_result *ret, char *text)
{
        struct payload_decode d;
        struct base base = { { 0 }, { 0 }, DECIMAL_ZERO, DECIMAL_ZERO };
        char member[32];

        if (payload_begin(&d, bytes, n, map, now, ret, text))
                return payload_end(&d);
        jread_begin_array(&d.json);
        while (jread_next_element(&d.json)) {
                struct record r = { { 0 }, { 0 }, DECIMAL_ZERO, DECIMAL_ZERO, false, false, false };

                d.record++;
                jread_begin_object(&d.json);
                while (jread_next_member(&d.json, member, sizeof member))
                        read_member(&d, member, &r, &base);
                if (!payload_failed(&d))
                        resolve(&d, &r, &base);
        }
        return payload_end(&d);
}

void payload_senml_encode(struct buf *b, const char *base_name, enum payload_stamp stamp,
                          const struct payload_record *records, size_t n)
{
        int64_t base_time = 0;

        buf_put_str(b, "[");
        for (size_t i = 0; i < n; i++) {
                const struct payload_record *r = &records[i];
                const char *name = r->field && r->field->name ? r->field->name : r->channel->code;
                char value[DECIMAL_TEXT_SIZE];
                int64_t at = r->at + (stamp == PAYLOAD_STAMP_END ? r->period_s : 0);

                buf_put_str(b, i == 0 ? "{" : ",{");
                if (i == 0) {
                        base_time = at;
                        buf_put_str(b, "\"bn\":");
                        buf_put_json_str(b, base_name, strlen(base_name));
                        buf_printf(b, ",\"bt\":%" PRId64 ",", base_time);
                } else if (at != base_time) {
                        buf_printf(b, "\"t\":%" PRId64 ",", at - base_time);
                }
                buf_put_str(b, "\"n\":");
                buf_put_json_str(b, name, strlen(name));
                payload_format_value(r->channel, r->value, value);
                buf_printf(b, ",\"u\":\"%s\",\"v\":%s}", r->channel->unit, value);
        }
        buf_put_str(b, "]");
}
