#include <errno.h>
#include <string.h>

#include "block.h"
#include "message.h"

enum { VERSION = 1, DAY_MINUTES = 1440 };

int block_rank(uint8_t status)
{
        switch (status & 15) {
        case READING_EDITED:
                return 3;
        case READING_RAW:
        case READING_VALID:
        case READING_CUSTOMER:
                return 2;
        case READING_REJECTED:
                return 0;
        default:
                return 1;
        }
}

bool block_prefers(const struct block_value *had, const struct block_value *fresh)
{
        int a = block_rank(had->status), b = block_rank(fresh->status);

        if (b == 0)
                return a != 3;
        if (a == 0)
                return b != 2 || fresh->value != had->value;
        if (a != b)
                return b > a;
        return fresh->value != had->value || fresh->period_s != had->period_s ||
               (fresh->status != had->status && fresh->status != READING_RAW);
}

/* ---- packing ---- */

static bool value_ok(int64_t day, const struct block_value *v)
{
        int64_t second = v->at - day * BLOCK_DAY;

        return v->channel && v->status != BLOCK_GAP && second >= 0 && second < BLOCK_DAY &&
               v->value >= -MESSAGE_MAX_VALUE && v->value <= MESSAGE_MAX_VALUE;
}

static bool interval_ok(int64_t day, const struct block_value *v)
{
        return value_ok(day, v) && v->at % 60 == 0 && v->period_s && v->period_s <= BLOCK_DAY &&
               v->period_s % 60 == 0;
}

/* How many values from @v on make one segment. */
static size_t segment_length(const struct block_value *v, size_t n)
{
        size_t i = 1;

        while (i < n && v[i].channel == v->channel && v[i].period_s == v->period_s &&
               (v[i].at - v->at) % v->period_s == 0)
                i++;
        return i;
}

static void put_run(struct buf *b, uint64_t n, uint8_t status, uint8_t source)
{
        buf_put_varint(b, n);
        buf_put_u8(b, status);
        buf_put_u8(b, source);
}

/* Runs of equal status and source, and of missing values; returns how many. */
static uint32_t put_runs(const struct block_value *v, size_t n, struct buf *b)
{
        uint32_t runs = 0;

        for (size_t i = 0, k; i < n; i = k) {
                for (k = i + 1; k < n && v[k].at == v[k - 1].at + v->period_s &&
                                v[k].status == v[i].status && v[k].source == v[i].source;)
                        k++;
                put_run(b, k - i, v[i].status, v[i].source);
                runs++;
                if (k < n && v[k].at > v[k - 1].at + v->period_s) {
                        put_run(b, (uint64_t)(v[k].at - v[k - 1].at) / v->period_s - 1, BLOCK_GAP,
                                0);
                        runs++;
                }
        }
        return runs;
}

static void put_segment(int64_t day, const struct block_value *v, size_t n, struct buf *out,
                        struct buf *runs, struct buf *body)
{
        int64_t last = 0;

        buf_reset(runs);
        buf_reset(body);
        buf_put_varint(body, (uint64_t)(v->at - day * BLOCK_DAY) / 60);
        buf_put_varint(body, v->period_s / 60);
        buf_put_varint(body, put_runs(v, n, runs));
        buf_put(body, runs->p, runs->len);
        for (size_t i = 0; i < n; i++) {
                buf_put_zigzag(body, v[i].value - last);
                last = v[i].value;
        }
        buf_put_u8(out, v->channel);
        buf_put_varint(out, body->len);
        buf_put(out, body->p, body->len);
        out->failed |= runs->failed || body->failed;
}

static void count(const struct block_value *v, size_t i, struct block_counts *c)
{
        int rank = block_rank(v[i].status);
        bool first = !i || v[i - 1].channel != v[i].channel;

        if (first)
                c->expected += BLOCK_DAY / v[i].period_s;
        else if (v[i].at < v[i - 1].at + v[i - 1].period_s)
                c->overlap = true;
        c->measured += rank >= 2;
        c->estimated += rank == 1;
}

int block_pack(int64_t day, const struct block_value *v, size_t n, struct buf *out,
               struct block_counts *ret)
{
        struct buf runs = BUF_INIT, body = BUF_INIT;
        struct block_counts counts = { 0 };

        for (size_t i = 0; i < n; i++) {
                if (!interval_ok(day, &v[i]) ||
                    (i && (v[i].channel < v[i - 1].channel ||
                           (v[i].channel == v[i - 1].channel && v[i].at <= v[i - 1].at))))
                        return -EINVAL;
                count(v, i, &counts);
        }
        buf_put_u8(out, VERSION);
        for (size_t i = 0, k; i < n; i += k) {
                k = segment_length(v + i, n - i);
                put_segment(day, v + i, k, out, &runs, &body);
        }
        buf_deinit(&runs);
        buf_deinit(&body);
        if (ret)
                *ret = counts;
        return out->failed ? -ENOMEM : 0;
}

int block_pack_registers(int64_t day, const struct block_value *v, size_t n, struct buf *out)
{
        for (size_t i = 0; i < n; i++)
                if (!value_ok(day, &v[i]) || v[i].period_s ||
                    (i && (v[i].channel < v[i - 1].channel ||
                           (v[i].channel == v[i - 1].channel && v[i].at <= v[i - 1].at))))
                        return -EINVAL;
        buf_put_u8(out, VERSION);
        for (size_t i = 0; i < n; i++) {
                buf_put_u8(out, v[i].channel);
                buf_put_varint(out, (uint64_t)(v[i].at - day * BLOCK_DAY));
                buf_put_u8(out, v[i].status);
                buf_put_u8(out, v[i].source);
                buf_put_zigzag(out, v[i].value);
        }
        return out->failed ? -ENOMEM : 0;
}

/* ---- unpacking ---- */

bool block_open(struct rd *r, const void *data, size_t n)
{
        *r = rd_of(data, n);
        return rd_u8(r) == VERSION && !r->failed;
}

int block_next(struct rd *r, int64_t day, struct block_series *ret)
{
        struct block_series s = { 0 };
        uint64_t len, first, period, runs;
        const uint8_t *p;

        if (!r->n && !r->failed)
                return 0;
        s.channel = rd_u8(r);
        len = rd_varint(r);
        p = rd_take(r, len <= r->n ? (size_t)len : r->n + 1);
        if (!p || !s.channel)
                return -EBADMSG;
        s.head = rd_of(p, (size_t)len);
        first = rd_varint(&s.head);
        period = rd_varint(&s.head);
        runs = rd_varint(&s.head);
        if (s.head.failed || first >= DAY_MINUTES || !period || period > DAY_MINUTES || !runs ||
            runs > DAY_MINUTES)
                return -EBADMSG;
        s.at = day * BLOCK_DAY + (int64_t)first * 60;
        s.end = (day + 1) * BLOCK_DAY;
        s.period_s = (uint32_t)period * 60;
        s.runs = (uint32_t)runs;
        s.values = s.head;
        for (uint64_t i = 0; i < runs; i++) {
                rd_varint(&s.values);
                rd_skip(&s.values, 2);
        }
        if (s.values.failed)
                return -EBADMSG;
        *ret = s;
        return 1;
}

int block_next_run(struct block_series *s, struct block_run *ret)
{
        while (s->runs) {
                uint64_t n = rd_varint(&s->head);
                uint8_t status = rd_u8(&s->head), source = rd_u8(&s->head);

                s->runs--;
                /* The last interval begins before the day ends. */
                if (s->head.failed || !n || n > DAY_MINUTES ||
                    s->at + ((int64_t)n - 1) * s->period_s >= s->end)
                        return -EBADMSG;
                *ret = (struct block_run){ s->at, (uint32_t)n, status, source };
                s->at += (int64_t)n * s->period_s;
                if (status != BLOCK_GAP)
                        return 1;
                if (!s->runs || s->at >= s->end) /* a gap stands between values */
                        return -EBADMSG;
        }
        return 0;
}

bool block_values(struct block_series *s, uint32_t n, int64_t *ret)
{
        const uint8_t *p = s->values.p, *end = p + s->values.n;
        int64_t last = s->last;

        for (uint32_t i = 0; i < n; i++) {
                /* Most differences take one byte. */
                if (p < end && *p < 0x80) {
                        last += (int64_t)(*p >> 1) ^ -(int64_t)(*p & 1);
                        p++;
                } else {
                        struct rd r = { .p = p, .n = (size_t)(end - p) };

                        if (__builtin_add_overflow(last, rd_zigzag(&r), &last) || r.failed)
                                return false;
                        p = r.p;
                }
                if (last > MESSAGE_MAX_VALUE || last < -MESSAGE_MAX_VALUE)
                        return false;
                ret[i] = last;
        }
        s->values = (struct rd){ .p = p, .n = (size_t)(end - p) };
        s->last = last;
        return true;
}

static int unpack_series(struct block_series *s, block_each *each, void *arg)
{
        int64_t values[DAY_MINUTES];
        struct block_run run;
        int r;

        while ((r = block_next_run(s, &run)) > 0) {
                struct block_value v = { .at = run.at,
                                         .period_s = s->period_s,
                                         .channel = s->channel,
                                         .status = run.status,
                                         .source = run.source };

                if (!block_values(s, run.n, values))
                        return -EBADMSG;
                for (uint32_t i = 0; i < run.n; i++, v.at += s->period_s) {
                        v.value = values[i];
                        each(arg, &v);
                }
        }
        return r ? r : s->values.n ? -EBADMSG : 0;
}

int block_unpack(int64_t day, const void *data, size_t n, block_each *each, void *arg)
{
        struct block_series s;
        struct rd rd;
        int r;

        if (!block_open(&rd, data, n))
                return -EBADMSG;
        while ((r = block_next(&rd, day, &s)) > 0) {
                r = unpack_series(&s, each, arg);
                if (r)
                        return r;
        }
        return r;
}

int block_unpack_registers(int64_t day, const void *data, size_t n, block_each *each, void *arg)
{
        struct rd r;

        if (!block_open(&r, data, n))
                return -EBADMSG;
        while (r.n) {
                struct block_value v = { .channel = rd_u8(&r) };
                uint64_t second = rd_varint(&r);

                v.status = rd_u8(&r);
                v.source = rd_u8(&r);
                v.value = rd_zigzag(&r);
                if (r.failed || second >= BLOCK_DAY)
                        return -EBADMSG;
                v.at = day * BLOCK_DAY + (int64_t)second;
                if (!value_ok(day, &v))
                        return -EBADMSG;
                each(arg, &v);
        }
        return r.failed ? -EBADMSG : 0;
}
