#include "usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "message.h"
#include "series.h"

enum { STATUS_MASK = 15, MAX_DIGITS = 18, DAY_MINUTES = 1440 };

void usage_init(struct usage *u)
{
        memset(u, 0, sizeof *u);
}

static void series_free(struct usage_series *s)
{
        free(s->at);
        free(s->value);
        free(s->period_s);
        free(s->status);
        free(s->source);
        memset(s, 0, sizeof *s);
}

void usage_deinit(struct usage *u)
{
        series_free(&u->series);
        buf_deinit(&u->instants);
        buf_deinit(&u->registers);
}

static void begin(struct usage *u)
{
        u->series.n = 0;
        buf_reset(&u->instants);
        buf_reset(&u->registers);
}

static bool rejected(uint8_t status)
{
        return (status & STATUS_MASK) == READING_REJECTED;
}

/* ---- growing ---- */

static bool widen(void *array, size_t n, size_t size)
{
        void **p = array;
        void *wider = realloc(*p, n * size);

        if (wider)
                *p = wider;
        return wider != NULL;
}

static bool reserve(struct usage_series *s, size_t n)
{
        size_t cap = s->cap ? s->cap : 4096;

        if (s->n + n <= s->cap)
                return true;
        while (cap < s->n + n)
                cap *= 2;
        if (!widen(&s->at, cap, sizeof *s->at) || !widen(&s->value, cap, sizeof *s->value) ||
            !widen(&s->period_s, cap, sizeof *s->period_s) ||
            !widen(&s->status, cap, sizeof *s->status) ||
            !widen(&s->source, cap, sizeof *s->source))
                return false;
        s->cap = cap;
        return true;
}

static int put_run(struct usage_series *s, int64_t at, uint32_t period_s, uint8_t status,
                   uint8_t source, const int64_t *value, size_t n)
{
        if (!reserve(s, n))
                return -ENOMEM;
        for (size_t i = 0; i < n; i++, at += period_s) {
                s->at[s->n + i] = at;
                s->period_s[s->n + i] = period_s;
        }
        memcpy(s->value + s->n, value, n * sizeof *value);
        memset(s->status + s->n, status, n);
        memset(s->source + s->n, source, n);
        s->n += n;
        return 0;
}

/* ---- packed readings ---- */

struct span {
        int64_t from, to; /* [from, to) */
};

static int put_packed(struct usage *u, const struct block_series *series,
                      const struct block_run *run, const int64_t *value, const struct span *span,
                      bool instants)
{
        int64_t p = series->period_s, first = 0, end = run->n;

        if (run->at < span->from)
                first = (span->from - run->at + p - 1) / p;
        if (run->at + end * p > span->to)
                end = (span->to - run->at + p - 1) / p;
        if (first >= end)
                return 0;
        if (!instants)
                return put_run(&u->series, run->at + first * p, series->period_s, run->status,
                               run->source, value + first, (size_t)(end - first));
        for (int64_t i = first; i < end; i++) {
                struct usage_instant x = { run->at + i * p, value[i], series->period_s, run->status,
                                           run->source };

                buf_put(&u->instants, &x, sizeof x);
        }
        return u->instants.failed ? -ENOMEM : 0;
}

static int take_series(struct usage *u, struct block_series *series, const struct span *span,
                       bool instants)
{
        int64_t value[DAY_MINUTES];
        struct block_run run;
        int rc;

        while ((rc = block_next_run(series, &run)) > 0) {
                if (!block_values(series, run.n, value))
                        return -EBADMSG;
                if (rejected(run.status))
                        continue;
                rc = put_packed(u, series, &run, value, span, instants);
                if (rc < 0)
                        return rc;
        }
        return rc < 0 ? rc : series->values.n > 0 ? -EBADMSG : 0;
}

static int take_block(struct usage *u, const uint8_t *p, size_t n, int64_t day, int channel,
                      const struct span *span, bool instants)
{
        struct block_series series;
        struct rd rd;
        int rc;

        if (!block_open(&rd, p, n))
                return -EBADMSG;
        while ((rc = block_next(&rd, day, &series)) > 0) {
                if (series.channel != channel)
                        continue;
                rc = take_series(u, &series, span, instants);
                if (rc < 0)
                        return rc;
        }
        return rc;
}

static int take_blocks(struct usage *u, const struct readings *r, const struct readings_meter *m,
                       int channel, const struct span *span, bool instants)
{
        for (const struct readings_row *row = readings_row(r, m->first[READINGS_BLOCKS]); row;
             row = readings_row(r, row->next)) {
                int64_t start = (int64_t)row->day * BLOCK_DAY;
                int rc;

                if (start >= span->to || start + BLOCK_DAY <= span->from)
                        continue;
                rc = take_block(u, r->data.p + row->offset, row->len, row->day, channel, span,
                                instants);
                if (rc == -EBADMSG)
                        u->damaged_day = row->day;
                if (rc < 0)
                        return rc;
        }
        return 0;
}

struct single {
        struct usage *u;
        int channel;
        const struct span *span;
};

static void take_single(void *arg, const struct block_value *v)
{
        const struct single *s = arg;
        struct usage_instant x = { v->at, v->value, 0, v->status, v->source };

        if (v->channel == s->channel && !rejected(v->status) && v->at >= s->span->from &&
            v->at < s->span->to)
                buf_put(&s->u->instants, &x, sizeof x);
}

static int take_registers(struct usage *u, const struct readings *r, const struct readings_meter *m,
                          int channel, const struct span *span)
{
        struct single single = { u, channel, span };

        for (const struct readings_row *row = readings_row(r, m->first[READINGS_REGISTERS]); row;
             row = readings_row(r, row->next)) {
                if (block_unpack_registers(row->day, r->data.p + row->offset, row->len, take_single,
                                           &single) == 0)
                        continue;
                u->damaged_day = row->day;
                return -EBADMSG;
        }
        return u->instants.failed ? -ENOMEM : 0;
}

/* ---- register differences ---- */

static int by_time(const void *a, const void *b)
{
        const struct usage_instant *x = a, *y = b;

        if (x->at != y->at)
                return x->at < y->at ? -1 : 1;
        return x->period_s > y->period_s ? -1 : x->period_s < y->period_s;
}

static int put_evidence(struct usage *u, const struct usage_instant *x, size_t n)
{
        for (size_t i = 0; i < n; i++)
                series_encode(&u->registers, 1, &x[i].at, &x[i].value, &x[i].period_s, &x[i].status,
                              &x[i].source);
        return u->registers.failed ? -ENOMEM : 0;
}

/* What was used between two readings; false for a register that was set back. */
static bool difference(int64_t a, int64_t b, int64_t turn, int64_t *ret)
{
        if (b >= a)
                *ret = b - a;
        else if (a < turn && a >= turn - turn / 10 && b < turn / 10)
                *ret = b + turn - a; /* turned over */
        else
                return false;
        return true;
}

static int put_differences(struct usage *u, const struct bill_segment *s)
{
        struct usage_instant *x = (struct usage_instant *)(void *)u->instants.p;
        size_t n = u->instants.len / sizeof *x, kept = 0;
        int64_t turn = 1, d;
        int rc = 0;

        if (n == 0)
                return 0;
        for (int i = 0; i < s->digits && i < MAX_DIGITS; i++)
                turn *= 10;
        qsort(x, n, sizeof *x, by_time);
        for (size_t i = 0; i < n; i++)
                if (kept == 0 || x[i].at != x[kept - 1].at)
                        x[kept++] = x[i];
        for (size_t i = 1; i < kept && rc == 0; i++) {
                uint8_t a = x[i - 1].status, b = x[i].status;
                uint8_t weaker = block_rank(b) < block_rank(a) ? b : a;
                uint8_t status =
                        (uint8_t)((weaker & STATUS_MASK) | ((a | b) & READING_CLOCK_DOUBT));

                if (difference(x[i - 1].value, x[i].value, turn, &d))
                        rc = put_run(&u->series, x[i - 1].at, (uint32_t)(x[i].at - x[i - 1].at),
                                     status, x[i].source, &d, 1);
        }
        return rc == 0 ? put_evidence(u, x, kept) : rc;
}

/* ---- what is called ---- */

/* Whether a block of a day wholly inside [@from, @to) holds channel @a or @b. One that cannot be
 * read counts: it is to be said so. */
static bool block_has(const struct readings *r, const struct readings_meter *m, int a, int b,
                      int64_t from, int64_t to)
{
        for (const struct readings_row *row = readings_row(r, m->first[READINGS_BLOCKS]); row;
             row = readings_row(r, row->next)) {
                int64_t start = (int64_t)row->day * BLOCK_DAY;
                struct block_series series;
                struct rd rd;

                if (start < from || start + BLOCK_DAY > to)
                        continue;
                if (!block_open(&rd, r->data.p + row->offset, row->len))
                        return true;
                while (block_next(&rd, row->day, &series) > 0)
                        if (series.channel == a || series.channel == b)
                                return true;
        }
        return false;
}

bool usage_present(const struct readings *r, const struct bill_segment *s)
{
        const struct readings_meter *m = readings_find(r, s->meter_id);

        return m && ((s->reg && m->first[READINGS_REGISTERS] != READINGS_NONE) ||
                     block_has(r, m, s->channel, s->reg ? s->reg : s->channel, s->from - BLOCK_DAY,
                               s->to + 1 + BLOCK_DAY));
}

bool usage_in_blocks(const struct readings *r, const struct bill_segment *s)
{
        const struct readings_meter *m = readings_find(r, s->meter_id);

        return m && block_has(r, m, s->channel, s->channel, s->from, s->to);
}

int usage_packed(struct usage *u, const struct readings *r, const struct bill_segment *s)
{
        const struct readings_meter *m = readings_find(r, s->meter_id);
        struct span span = { s->from, s->to };
        int rc;

        begin(u);
        if (!m)
                return 0;
        rc = take_blocks(u, r, m, s->channel, &span, false);
        if (rc < 0 || u->series.n > 0 || !s->reg)
                return rc;
        span.to++; /* the reading at the end counts */
        rc = take_blocks(u, r, m, s->reg, &span, true);
        if (rc == 0)
                rc = take_registers(u, r, m, s->reg, &span);
        return rc == 0 ? put_differences(u, s) : rc;
}

/* The next of "at,period,value,status,source;..."; NULL at the end. */
static const char *next_listed(const char *p, struct usage_instant *ret)
{
        char *end;

        if (!p || !*p)
                return NULL;
        ret->at = strtoll(p, &end, 10);
        ret->period_s = (uint32_t)strtoul(end + 1, &end, 10);
        ret->value = strtoll(end + 1, &end, 10);
        ret->status = (uint8_t)strtoul(end + 1, &end, 10);
        ret->source = (uint8_t)strtoul(end + 1, &end, 10);
        return end + (*end == ';');
}

int usage_listed(struct usage *u, const struct bill_segment *s, const char *intervals,
                 const char *registers)
{
        struct usage_instant x;

        begin(u);
        while ((intervals = next_listed(intervals, &x)))
                if (x.period_s > 0 && !rejected(x.status) &&
                    put_run(&u->series, x.at, x.period_s, x.status, x.source, &x.value, 1) < 0)
                        return -ENOMEM;
        if (u->series.n > 0 || !s->reg)
                return 0;
        while ((registers = next_listed(registers, &x)))
                if (!rejected(x.status))
                        buf_put(&u->instants, &x, sizeof x);
        return u->instants.failed ? -ENOMEM : put_differences(u, s);
}

int usage_give(const struct usage *u, struct arena *arena, struct bill_segment *s)
{
        const struct usage_series *x = &u->series;

        s->n = x->n;
        s->at = arena_copy(arena, x->at, x->n * sizeof *x->at);
        s->value = arena_copy(arena, x->value, x->n * sizeof *x->value);
        s->period_s = arena_copy(arena, x->period_s, x->n * sizeof *x->period_s);
        s->status = arena_copy(arena, x->status, x->n);
        s->source = arena_copy(arena, x->source, x->n);
        s->n_registers = u->registers.len;
        s->registers = arena_copy(arena, u->registers.p, u->registers.len);
        return s->at && s->value && s->period_s && s->status && s->source && s->registers ? 0
                                                                                          : -ENOMEM;
}
