#include "payload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "decode.h"

/* Readings outside of these are a broken clock, not a time: 2000-01-01 and 2100-01-01. */
static const int64_t TIME_MIN = 946684800, TIME_MAX = 4102444800;

bool payload_failed(const struct payload_decode *d)
{
        return d->error != PAYLOAD_OK || d->json.error;
}

void payload_fail(struct payload_decode *d, enum payload_error error, const char *fmt, ...)
{
        va_list ap;
        int len = 0;

        if (payload_failed(d))
                return;
        d->error = error;
        if (d->record > 0)
                len = snprintf(d->text, PAYLOAD_ERROR_TEXT, "record %zu: ", d->record);
        va_start(ap, fmt);
        vsnprintf(d->text + len, PAYLOAD_ERROR_TEXT - (size_t)len, fmt, ap);
        va_end(ap);
        jread_fail(&d->json, "stopped");
}

enum payload_error payload_begin(struct payload_decode *d, const void *bytes, size_t n,
                                 const struct payload_map *map, int64_t now,
                                 struct payload_result *ret, char *text)
{
        *d = (struct payload_decode){ .map = map, .ret = ret, .now = now, .text = text };
        text[0] = '\0';
        ret->n = ret->ignored = 0;
        ret->identity[0] = ret->first_ignored[0] = '\0';
        jread_init(&d->json, bytes, n);
        if (n > PAYLOAD_MAX_BYTES)
                payload_fail(d, PAYLOAD_E_LIMIT, "message of %zu bytes, at most %d are taken", n,
                             PAYLOAD_MAX_BYTES);
        return d->error;
}

enum payload_error payload_end(struct payload_decode *d)
{
        jread_finish(&d->json);
        if (d->error == PAYLOAD_OK && d->json.error) {
                snprintf(d->text, PAYLOAD_ERROR_TEXT, "byte %zu: %s", d->json.at, d->json.error);
                d->error = d->json.depth > JSON_DEPTH_MAX ? PAYLOAD_E_LIMIT : PAYLOAD_E_SYNTAX;
        }
        if (d->error != PAYLOAD_OK)
                d->ret->n = 0;
        return d->error;
}

void payload_ignore(struct payload_decode *d, const char *name)
{
        if (d->ret->ignored++ == 0)
                snprintf(d->ret->first_ignored, sizeof d->ret->first_ignored, "%s", name);
}

void payload_seconds(struct decimal time, int64_t *ret)
{
        struct decimal whole;

        if (!decimal_rescale(time, 0, DECIMAL_FLOOR, &whole))
                *ret = whole.m;
}

static bool put_time(struct payload_decode *d, const struct payload_field *f, int64_t time,
                     uint32_t period_s, struct payload_record *rec)
{
        if (time < TIME_MIN || time >= TIME_MAX) {
                payload_fail(d, PAYLOAD_E_VALUE,
                             "time %lld of %s is not between the years 2000 and 2100",
                             (long long)time, f->name);
                return false;
        }
        rec->at = time;
        if (f->channel->kind != CHANNEL_INTERVAL)
                return true;
        rec->period_s = period_s ? period_s : f->period_s;
        if (rec->period_s < 60 || rec->period_s > 86400) {
                payload_fail(d, PAYLOAD_E_VALUE, "period of %u s of %s is not 60 to 86400",
                             rec->period_s, f->name);
                return false;
        }
        if (d->map->stamp == PAYLOAD_STAMP_END)
                rec->at -= rec->period_s;
        return true;
}

void payload_add(struct payload_decode *d, const struct payload_field *f, int64_t time,
                 struct decimal value, const char *unit, uint32_t period_s)
{
        struct payload_record rec = { .field = f, .channel = f->channel };
        size_t max = d->ret->max < PAYLOAD_MAX_RECORDS ? d->ret->max : PAYLOAD_MAX_RECORDS;
        int r = 0;

        if (payload_failed(d) || !put_time(d, f, time, period_s, &rec))
                return;
        if (d->ret->n >= max) {
                payload_fail(d, PAYLOAD_E_LIMIT, "more than %zu values in one message", max);
                return;
        }
        if (!unit || !*unit)
                unit = f->unit ? f->unit : f->channel->unit;
        if (f->scale.m != 0)
                r = decimal_mul(value, f->scale, &value);
        if (!r)
                r = channel_convert(f->channel, value, unit, &rec.value, &rec.exact);
        if (r == CHANNEL_E_UNIT || r == CHANNEL_E_QUANTITY)
                payload_fail(d, PAYLOAD_E_VALUE, "unit %s of %s cannot be converted to %s", unit,
                             f->name, f->channel->unit);
        else if (r)
                payload_fail(d, PAYLOAD_E_VALUE, "value of %s is too large", f->name);
        else
                d->ret->records[d->ret->n++] = rec;
}

int payload_map_check(const struct payload_map *map, char *text)
{
        for (size_t i = 0; i < map->n_fields; i++) {
                const struct payload_field *f = &map->fields[i];

                if (!f->name || !f->channel)
                        snprintf(text, PAYLOAD_ERROR_TEXT, "map entry %zu: no %s", i + 1,
                                 f->name ? "channel" : "name");
                else if (channel_check_unit(f->channel, f->unit))
                        snprintf(text, PAYLOAD_ERROR_TEXT,
                                 "%s: unit %s cannot be converted to %s of channel %s", f->name,
                                 f->unit, f->channel->unit, f->channel->code);
                else if (f->channel->kind == CHANNEL_INTERVAL && !map->period_field &&
                         (f->period_s < 60 || f->period_s > 86400))
                        snprintf(text, PAYLOAD_ERROR_TEXT,
                                 "%s: interval channel %s needs a period of 60 to 86400 s", f->name,
                                 f->channel->code);
                else
                        continue;
                return -EINVAL;
        }
        return 0;
}

void payload_format_value(const struct channel *ch, int64_t value,
                          char out[static DECIMAL_TEXT_SIZE])
{
        decimal_format((struct decimal){ value, (int8_t)-ch->scaler }, 0, out);
}
