#include <errno.h>
#include <string.h>

#include "message.h"

static bool time_ok(int64_t at)
{
        return at >= MESSAGE_EPOCH && at < MESSAGE_END;
}

static bool period_ok(uint64_t period_s)
{
        return period_s && period_s <= 86400 && period_s % 60 == 0;
}

static bool value_ok(int64_t v)
{
        return v >= -MESSAGE_MAX_VALUE && v <= MESSAGE_MAX_VALUE;
}

static int written(const struct buf *b)
{
        return b->failed ? -ENOMEM : 0;
}

int message_put_intervals(struct buf *b, uint8_t channel, int64_t at, uint32_t period_s,
                          uint8_t status, const int64_t *values, size_t n)
{
        int64_t last = 0;

        if (!channel || !time_ok(at) || at % 60 || !period_ok(period_s) || !n ||
            n > MESSAGE_MAX_INTERVALS || !time_ok(at + (int64_t)n * period_s - 1))
                return -EINVAL;
        for (size_t i = 0; i < n; i++)
                if (!value_ok(values[i]))
                        return -EINVAL;
        buf_put_u8(b, MESSAGE_INTERVALS);
        buf_put_u8(b, channel);
        buf_put_varint(b, (uint64_t)(at - MESSAGE_EPOCH) / 60);
        buf_put_varint(b, period_s / 60);
        buf_put_varint(b, n);
        buf_put_u8(b, status);
        for (size_t i = 0; i < n; i++) {
                buf_put_zigzag(b, values[i] - last);
                last = values[i];
        }
        return written(b);
}

int message_put_register(struct buf *b, uint8_t channel, int64_t at, uint8_t status, int64_t value)
{
        if (!channel || !time_ok(at) || !value_ok(value))
                return -EINVAL;
        buf_put_u8(b, MESSAGE_REGISTER);
        buf_put_u8(b, channel);
        buf_put_varint(b, (uint64_t)(at - MESSAGE_EPOCH));
        buf_put_u8(b, status);
        buf_put_zigzag(b, value);
        return written(b);
}

int message_put_event(struct buf *b, int64_t at, uint32_t code, const char *text)
{
        size_t n = text ? strlen(text) : 0;

        if (!time_ok(at) || n > MESSAGE_MAX_TEXT)
                return -EINVAL;
        buf_put_u8(b, MESSAGE_EVENT);
        buf_put_varint(b, (uint64_t)(at - MESSAGE_EPOCH));
        buf_put_varint(b, code);
        buf_put_varint(b, n);
        buf_put(b, text, n);
        return written(b);
}

/* A time of @unit seconds since the epoch; 0 (which is before it) when out of range. */
static int64_t read_time(struct rd *r, int unit)
{
        uint64_t v = rd_varint(r);

        if (v >= (uint64_t)(MESSAGE_END - MESSAGE_EPOCH) / (uint64_t)unit)
                return 0;
        return MESSAGE_EPOCH + (int64_t)v * unit;
}

static bool read_intervals(struct rd *r, struct message_section *s)
{
        uint64_t period, n;
        const uint8_t *begin;
        int64_t last = 0;

        s->channel = rd_u8(r);
        s->at = read_time(r, 60);
        period = rd_varint(r);
        n = rd_varint(r);
        s->status = rd_u8(r);
        /* Each value takes a byte at least: a count beyond that is damage, found before the loop.
         */
        if (r->failed || !s->channel || !period || period > 1440 || !n ||
            n > MESSAGE_MAX_INTERVALS || n > r->n || !time_ok(s->at) ||
            !time_ok(s->at + (int64_t)(n * period * 60) - 1))
                return false;
        s->period_s = (uint32_t)period * 60;
        s->n = (uint32_t)n;
        begin = r->p;
        for (uint32_t i = 0; i < s->n; i++)
                if (__builtin_add_overflow(last, rd_zigzag(r), &last) || !value_ok(last))
                        return false;
        s->values = rd_of(begin, r->failed ? 0 : (size_t)(r->p - begin));
        return true;
}

static bool read_register(struct rd *r, struct message_section *s)
{
        s->channel = rd_u8(r);
        s->at = read_time(r, 1);
        s->status = rd_u8(r);
        s->value = rd_zigzag(r);
        return s->channel && time_ok(s->at) && value_ok(s->value);
}

static bool read_event(struct rd *r, struct message_section *s)
{
        uint64_t code, n;

        s->at = read_time(r, 1);
        code = rd_varint(r);
        n = rd_varint(r);
        if (r->failed || code > UINT32_MAX || n > MESSAGE_MAX_TEXT || !time_ok(s->at))
                return false;
        s->code = (uint32_t)code;
        s->text_len = (size_t)n;
        s->text = rd_take(r, s->text_len);
        return true;
}

int message_next(struct rd *payload, struct message_section *ret)
{
        struct message_section s = { 0 };
        bool ok = false;

        if (!payload->n && !payload->failed)
                return 0;
        s.type = rd_u8(payload);
        switch (s.type) {
        case MESSAGE_INTERVALS:
                ok = read_intervals(payload, &s);
                break;
        case MESSAGE_REGISTER:
                ok = read_register(payload, &s);
                break;
        case MESSAGE_EVENT:
                ok = read_event(payload, &s);
                break;
        }
        if (!ok || payload->failed) {
                payload->failed = true;
                return -EBADMSG;
        }
        *ret = s;
        return 1;
}

int64_t message_next_value(struct message_section *s)
{
        if (!s->values.n)
                return 0;
        s->last += rd_zigzag(&s->values);
        return s->last;
}

int message_check(const void *payload, size_t n)
{
        struct rd r = rd_of(payload, n);
        struct message_section s;
        int k;

        if (!n)
                return -EBADMSG;
        while ((k = message_next(&r, &s)) > 0)
                ;
        return k;
}
