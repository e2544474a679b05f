#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "civil.h"
#include "message.h"
#include "seal.h"
#include "store_sql.h"

enum { PG_EPOCH_DAY = 10957, FUTURE = 2 * BLOCK_DAY };

struct point {
        struct block_value v;
        uint32_t meter;
        uint32_t order; /* 0: was in the block, else by arrival */
};

struct mark {
        uint32_t meter;
        int64_t seq;
};

/* The block or register_day that was there. */
struct old {
        uint32_t meter;
        int64_t day;
        int32_t ver;
        const uint8_t *data;
        size_t n;
};

/* Rows to write of one kind. */
struct output {
        struct buf copy; /* binary COPY */
        struct buf meters, days,
                counts; /* of old rows that go: array literals; counts: changed values */
        size_t rows, removed, changed;
};

struct work {
        struct db_conn *c;
        const struct seal_cut *cut;
        uint32_t lo, hi;
        struct point *points;
        size_t n, cap, fresh;
        uint32_t order; /* of the section taken last */
        struct mark *marks;
        size_t n_marks, cap_marks;
        struct old *old[2]; /* blocks, register days; ordered by meter and day */
        size_t n_old[2];
        struct db_rows *old_rows[2];
        struct output out[2];
        struct buf events, days; /* JSON of events; literal of the days touched */
        size_t n_events;
        bool failed; /* out of memory, or a block that does not unpack */
        const char *damage;
        struct seal_stats stats;
};

static bool grow(void **p, size_t *cap, size_t n, size_t size)
{
        size_t want = *cap ? 2 * *cap : 1024;
        void *q;

        if (n < *cap)
                return true;
        q = realloc(*p, want * size);
        if (!q)
                return false;
        *p = q;
        *cap = want;
        return true;
}

static void add_point(struct work *w, uint32_t meter, uint32_t order, const struct block_value *v)
{
        void *p = w->points;

        if (!grow(&p, &w->cap, w->n, sizeof *w->points)) {
                w->failed = true;
                return;
        }
        w->points = p;
        w->points[w->n++] = (struct point){ *v, meter, order };
}

/* ---- reading the inbox ---- */

static int64_t be(const uint8_t *p, size_t n)
{
        uint64_t v = 0;

        for (size_t i = 0; i < n; i++)
                v = v << 8 | p[i];
        return n == 2 ? (int16_t)v : n == 4 ? (int32_t)v : (int64_t)v;
}

static int64_t field(const struct db_rows *rows, size_t row, int column)
{
        size_t n;
        const uint8_t *p = db_rows_bytes(rows, row, column, &n);

        return be(p, n);
}

/* Whether every value of the message lies in a closed day. Times far in the future are a wrong
 * clock's: nobody waits for those days to close. */
static bool is_closed(const struct work *w, const uint8_t *payload, size_t n)
{
        struct rd r = rd_of(payload, n);
        struct message_section s;

        while (message_next(&r, &s) > 0) {
                int64_t last =
                        s.at + (s.type == MESSAGE_INTERVALS ? (int64_t)(s.n - 1) * s.period_s : 0);

                if (s.type != MESSAGE_EVENT && last >= w->cut->before_day * BLOCK_DAY &&
                    last < w->cut->now + FUTURE)
                        return false;
        }
        return true;
}

static void take_event(struct work *w, uint32_t meter, uint8_t source, int64_t recv,
                       const struct message_section *s)
{
        buf_printf(&w->events, "%s{\"m\":%" PRIu32 ",\"a\":%" PRId64 ",\"c\":%" PRIu32 ",\"t\":",
                   w->n_events++ ? "," : "[", meter, s->at, s->code);
        buf_put_json_str(&w->events, (const char *)s->text, s->text_len);
        buf_printf(&w->events, ",\"s\":%u,\"r\":%" PRId64 "}", source, recv);
}

static void take_message(struct work *w, uint32_t meter, uint8_t source, int64_t recv,
                         const uint8_t *payload, size_t n)
{
        struct rd r = rd_of(payload, n);
        struct message_section s;

        while (message_next(&r, &s) > 0) {
                struct block_value v = {
                        .at = s.at, .channel = s.channel, .status = s.status, .source = source
                };

                w->order++; /* sections of one message come in their order, too */
                switch (s.type) {
                case MESSAGE_INTERVALS:
                        v.period_s = s.period_s;
                        for (uint32_t i = 0; i < s.n; i++, v.at += s.period_s) {
                                v.value = message_next_value(&s);
                                add_point(w, meter, w->order, &v);
                        }
                        break;
                case MESSAGE_REGISTER:
                        v.value = s.value;
                        add_point(w, meter, w->order, &v);
                        break;
                case MESSAGE_EVENT:
                        take_event(w, meter, source, recv, &s);
                        break;
                }
        }
        w->stats.messages++;
}

static void set_mark(struct work *w, uint32_t meter, int64_t seq)
{
        void *p = w->marks;

        if (w->n_marks && w->marks[w->n_marks - 1].meter == meter) {
                w->marks[w->n_marks - 1].seq = seq;
                return;
        }
        if (!grow(&p, &w->cap_marks, w->n_marks, sizeof *w->marks)) {
                w->failed = true;
                return;
        }
        w->marks = p;
        w->marks[w->n_marks++] = (struct mark){ meter, seq };
}

static void take_rows(struct work *w, const struct db_rows *rows)
{
        uint32_t waiting = 0; /* the meter whose rest waits for a day to close */

        for (size_t i = 0; i < db_rows_count(rows) && !w->failed; i++) {
                uint32_t meter = (uint32_t)field(rows, i, 0);
                size_t n;
                const uint8_t *payload = db_rows_bytes(rows, i, 3, &n);

                if (meter == waiting)
                        continue;
                if (!is_closed(w, payload, n)) {
                        waiting = meter;
                        continue;
                }
                take_message(w, meter, (uint8_t)field(rows, i, 2), field(rows, i, 4), payload, n);
                set_mark(w, meter, field(rows, i, 1));
        }
        w->fresh = w->n;
}

static enum db_status read_inbox(struct work *w)
{
        char lo[16], hi[16], upto[24];
        const char *params[] = { lo, hi, upto };
        struct db_rows *rows = NULL;
        enum db_status st;

        snprintf(lo, sizeof lo, "%" PRIu32, w->lo);
        snprintf(hi, sizeof hi, "%" PRIu32, w->hi);
        snprintf(upto, sizeof upto, "%" PRId64, w->cut->upto);
        st = db_query_binary(w->c, sql_seal_messages, 3, params, &rows);
        if (st == DB_OK)
                take_rows(w, rows);
        db_rows_free(rows);
        return st;
}

/* ---- what was there ---- */

static int64_t day_of(int64_t at)
{
        return at / BLOCK_DAY; /* no time is before 2000 */
}

static int order_days(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

        return x < y ? -1 : x > y;
}

static void put_date(struct buf *b, int64_t day)
{
        int y, m, d;

        civil_from_day(day, &y, &m, &d);
        buf_printf(b, "%s%04d-%02d-%02d", b->len > 1 ? "," : "", y, m, d);
}

/* The days of the points, as an array literal. */
static void collect_days(struct work *w)
{
        int64_t *days = NULL, last = INT64_MIN;
        size_t n = 0, cap = 0;

        for (size_t i = 0; i < w->n; i++) {
                int64_t day = day_of(w->points[i].v.at);
                void *p = days;

                if (n && days[n - 1] == day)
                        continue;
                if (!grow(&p, &cap, n, sizeof *days)) {
                        w->failed = true;
                        break;
                }
                days = p;
                days[n++] = day;
        }
        if (n)
                qsort(days, n, sizeof *days, order_days);
        buf_put_u8(&w->days, '{');
        for (size_t i = 0; i < n; i++)
                if (days[i] != last)
                        put_date(&w->days, last = days[i]);
        buf_put_u8(&w->days, '}');
        free(days);
}

static enum db_status read_old(struct work *w, int kind)
{
        char lo[16], hi[16];
        const char *params[] = { buf_cstr(&w->days), lo, hi };
        enum db_status st;
        size_t n;

        snprintf(lo, sizeof lo, "%" PRIu32, w->lo);
        snprintf(hi, sizeof hi, "%" PRIu32, w->hi);
        st = db_query_binary(w->c, kind ? sql_seal_registers : sql_seal_blocks, 3, params,
                             &w->old_rows[kind]);
        if (st != DB_OK)
                return st;
        n = db_rows_count(w->old_rows[kind]);
        w->old[kind] = calloc(n + 1, sizeof *w->old[kind]);
        if (!w->old[kind]) {
                w->failed = true;
                return DB_OK;
        }
        w->n_old[kind] = n;
        for (size_t i = 0; i < n; i++) {
                struct old *o = &w->old[kind][i];

                o->meter = (uint32_t)field(w->old_rows[kind], i, 0);
                o->day = field(w->old_rows[kind], i, 1) + PG_EPOCH_DAY;
                o->ver = (int32_t)field(w->old_rows[kind], i, 2);
                o->data = db_rows_bytes(w->old_rows[kind], i, 3, &o->n);
        }
        return DB_OK;
}

static const struct old *find_old(const struct work *w, int kind, uint32_t meter, int64_t day)
{
        size_t lo = 0, hi = w->n_old[kind];

        while (lo < hi) {
                size_t mid = (lo + hi) / 2;
                const struct old *o = &w->old[kind][mid];

                if (o->meter < meter || (o->meter == meter && o->day < day))
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo < w->n_old[kind] && w->old[kind][lo].meter == meter && w->old[kind][lo].day == day
                       ? &w->old[kind][lo]
                       : NULL;
}

struct unpack {
        struct work *w;
        uint32_t meter;
};

static void old_value(void *arg, const struct block_value *v)
{
        struct unpack *u = arg;

        add_point(u->w, u->meter, 0, v);
}

/* ---- merging ---- */

static int compare_points(const void *a, const void *b)
{
        const struct point *x = a, *y = b;
        int64_t dx = day_of(x->v.at), dy = day_of(y->v.at);

        if (x->meter != y->meter)
                return x->meter < y->meter ? -1 : 1;
        if (dx != dy)
                return dx < dy ? -1 : 1;
        if (!x->v.period_s != !y->v.period_s)
                return x->v.period_s ? -1 : 1;
        if (x->v.channel != y->v.channel)
                return x->v.channel < y->v.channel ? -1 : 1;
        if (x->v.at != y->v.at)
                return x->v.at < y->v.at ? -1 : 1;
        return x->order < y->order ? -1 : x->order > y->order;
}

/* Same meter, day and kind. */
static bool same_block(const struct point *a, const struct point *b)
{
        return a->meter == b->meter && day_of(a->v.at) == day_of(b->v.at) &&
               !a->v.period_s == !b->v.period_s;
}

/* Adds the values of the blocks that the new points fall into. */
static void add_old(struct work *w)
{
        size_t fresh = w->n;

        for (size_t i = 0; i < fresh && !w->failed; i++) {
                struct point p = w->points[i];
                int kind = !p.v.period_s;
                const struct old *o;
                struct unpack u = { w, p.meter };

                if (i && same_block(&w->points[i - 1], &p))
                        continue;
                o = find_old(w, kind, p.meter, day_of(p.v.at));
                if (o && (kind ? block_unpack_registers(o->day, o->data, o->n, old_value, &u)
                               : block_unpack(o->day, o->data, o->n, old_value, &u))) {
                        w->failed = true;
                        w->damage = "a block does not unpack; restore it from mdm.block_hist or a "
                                    "backup";
                }
        }
}

/* Folds the points of one block into @v, one value an instant. Returns how many; counts. */
static size_t fold(struct work *w, const struct point *p, size_t n, struct block_value *v,
                   uint32_t *ret_changed)
{
        size_t out = 0;

        *ret_changed = 0;
        for (size_t i = 0, k; i < n; i = k) {
                struct block_value had = p[i].v;

                v[out] = had;
                for (k = i + 1; k < n && p[k].v.channel == had.channel && p[k].v.at == had.at; k++)
                        if (block_prefers(&v[out], &p[k].v))
                                v[out] = p[k].v;
                w->stats.dups += k - i - 1;
                *ret_changed +=
                        !p[i].order && (v[out].value != had.value || v[out].status != had.status);
                out++;
        }
        return out;
}

static void put_i16(struct buf *b, int16_t v)
{
        buf_put_be32(b, 2);
        buf_put_be16(b, (uint16_t)v);
}

static void put_i32(struct buf *b, int64_t v)
{
        buf_put_be32(b, 4);
        buf_put_be32(b, (uint32_t)v);
}

static void output_begin(struct output *o)
{
        static const uint8_t head[19] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";

        buf_put(&o->copy, head, sizeof head);
        buf_put_u8(&o->meters, '{');
        buf_put_u8(&o->days, '{');
        buf_put_u8(&o->counts, '{');
}

static void output_row(struct output *o, int kind, uint32_t meter, int64_t day, int32_t ver,
                       size_t n, const struct block_counts *c, const struct buf *data)
{
        buf_put_be16(&o->copy, kind ? 5 : 8);
        put_i32(&o->copy, meter);
        put_i32(&o->copy, day - PG_EPOCH_DAY);
        put_i32(&o->copy, ver);
        if (kind) {
                put_i32(&o->copy, (int64_t)n);
        } else {
                put_i32(&o->copy, c->expected);
                put_i32(&o->copy, c->measured);
                put_i32(&o->copy, c->estimated);
                put_i16(&o->copy, c->overlap);
        }
        buf_put_be32(&o->copy, (uint32_t)data->len);
        buf_put(&o->copy, data->p, data->len);
        o->rows++;
}

static void output_removed(struct output *o, uint32_t meter, int64_t day, uint32_t changed)
{
        const char *sep = o->removed++ ? "," : "";

        buf_printf(&o->meters, "%s%" PRIu32, sep, meter);
        put_date(&o->days, day);
        buf_printf(&o->counts, "%s%" PRIu32, sep, changed);
        o->changed += changed;
}

static void merge_block(struct work *w, const struct point *p, size_t n, struct block_value *v,
                        struct buf *data)
{
        int kind = !p->v.period_s;
        int64_t day = day_of(p->v.at);
        const struct old *o = find_old(w, kind, p->meter, day);
        struct block_counts counts = { 0 };
        uint32_t changed;
        size_t m = fold(w, p, n, v, &changed);
        int r;

        buf_reset(data);
        r = kind ? block_pack_registers(day, v, m, data) : block_pack(day, v, m, data, &counts);
        if (r) {
                w->failed = true;
                w->damage = r == -EINVAL ? "values that passed the inbox do not fit a block" : NULL;
                return;
        }
        if (o && o->n == data->len && !memcmp(o->data, data->p, data->len))
                return;
        if (o)
                output_removed(&w->out[kind], p->meter, day, changed);
        output_row(&w->out[kind], kind, p->meter, day, o ? o->ver + 1 : 1, m, &counts, data);
        w->stats.changed += changed;
        w->stats.blocks++;
}

static void merge(struct work *w)
{
        struct buf data = BUF_INIT;
        struct block_value *v;

        qsort(w->points, w->n, sizeof *w->points, compare_points);
        add_old(w);
        if (w->n > w->fresh)
                qsort(w->points, w->n, sizeof *w->points, compare_points);
        v = malloc((w->n + 1) * sizeof *v);
        if (!v)
                w->failed = true;
        for (size_t i = 0, k; i < w->n && !w->failed; i = k) {
                for (k = i + 1; k < w->n && same_block(&w->points[i], &w->points[k]);)
                        k++;
                merge_block(w, &w->points[i], k - i, v, &data);
        }
        w->stats.values += w->fresh;
        free(v);
        buf_deinit(&data);
}

/* ---- writing ---- */

static enum db_status write_kind(struct work *w, int kind)
{
        struct output *o = &w->out[kind];
        const char *params[3];
        enum db_status st = DB_OK;

        buf_put_be16(&o->copy, 0xffff);
        buf_put_u8(&o->meters, '}');
        buf_put_u8(&o->days, '}');
        buf_put_u8(&o->counts, '}');
        if (o->copy.failed || o->meters.failed || o->days.failed || o->counts.failed) {
                w->failed = true;
                return DB_RETRY;
        }
        params[0] = buf_cstr(&o->meters);
        params[1] = buf_cstr(&o->days);
        params[2] = buf_cstr(&o->counts);
        if (o->changed)
                st = db_query(w->c, kind ? sql_seal_keep_registers : sql_seal_keep_blocks, 3,
                              params, NULL);
        if (st == DB_OK && o->removed)
                st = db_query(w->c, kind ? sql_seal_remove_registers : sql_seal_remove_blocks, 2,
                              params, NULL);
        if (st == DB_OK && o->rows)
                st = db_copy_in(w->c, kind ? sql_seal_copy_registers : sql_seal_copy_blocks,
                                o->copy.p, o->copy.len);
        if (st == DB_OK && o->changed)
                st = db_query(w->c, sql_seal_changed, 3, params, NULL);
        return st;
}

static enum db_status write_marks(struct work *w)
{
        struct buf meters = BUF_INIT, seqs = BUF_INIT;
        const char *params[2];
        enum db_status st = DB_OK;

        for (size_t i = 0; i < w->n_marks; i++) {
                buf_printf(&meters, "%c%" PRIu32, i ? ',' : '{', w->marks[i].meter);
                buf_printf(&seqs, "%c%" PRId64, i ? ',' : '{', w->marks[i].seq);
        }
        buf_put_u8(&meters, '}');
        buf_put_u8(&seqs, '}');
        params[0] = buf_cstr(&meters);
        params[1] = buf_cstr(&seqs);
        if (meters.failed || seqs.failed)
                st = DB_RETRY;
        else if (w->n_marks)
                st = db_query(w->c, sql_seal_advance, 2, params, NULL);
        buf_deinit(&meters);
        buf_deinit(&seqs);
        return st;
}

static void range_params(const struct work *w, char text[3][24])
{
        int y, m, d;

        civil_from_day(w->cut->before_day, &y, &m, &d);
        snprintf(text[0], 24, "%" PRId64, w->cut->upto);
        snprintf(text[1], 24, "%04d-%02d-%02d", y % 10000, m, d);
        snprintf(text[2], 24, "%" PRIu32, w->lo);
}

static enum db_status note(struct work *w)
{
        char key[3][24], text[5][24];
        const uint64_t counts[] = { w->stats.messages, w->stats.values, w->stats.dups,
                                    w->stats.changed, w->stats.blocks };
        const char *params[] = {
                key[0], key[1], key[2], text[0], text[1], text[2], text[3], text[4]
        };

        range_params(w, key);
        for (int i = 0; i < 5; i++)
                snprintf(text[i], 24, "%" PRIu64, counts[i]);
        return db_query(w->c, sql_seal_note, 8, params, NULL);
}

/* *@ret_mine: this range is not sealed up to this cut yet. */
static enum db_status claim(struct work *w, bool *ret_mine)
{
        char key[3][24], hi[16];
        const char *params[] = { key[0], key[1], key[2], hi };
        struct db_rows *rows = NULL;
        enum db_status st = db_query(w->c, sql_seal_lock, 0, NULL, NULL);

        range_params(w, key);
        snprintf(hi, sizeof hi, "%" PRIu32, w->hi);
        if (st == DB_OK)
                st = db_query(w->c, sql_seal_claim, 4, params, &rows);
        *ret_mine = st == DB_OK && db_rows_count(rows);
        db_rows_free(rows);
        return st;
}

static enum db_status write_all(struct work *w)
{
        const char *days = buf_cstr(&w->days), *events;
        enum db_status st = DB_OK;

        if (w->n_events) {
                buf_put_u8(&w->events, ']');
                events = buf_cstr(&w->events);
                st = w->events.failed ? DB_RETRY
                                      : db_query(w->c, sql_events_insert, 1, &events, NULL);
        }
        if (st == DB_OK)
                st = write_kind(w, 0);
        if (st == DB_OK)
                st = write_kind(w, 1);
        if (st == DB_OK && w->out[0].rows)
                st = db_query(w->c, sql_seal_dirty, 1, &days, NULL);
        if (st == DB_OK)
                st = write_marks(w);
        return st == DB_OK ? note(w) : st;
}

static enum db_status seal_work(struct work *w)
{
        const char *days;
        bool mine;
        enum db_status st = claim(w, &mine);

        if (st != DB_OK || !mine) {
                w->stats.skipped += st == DB_OK;
                return st;
        }
        st = read_inbox(w);
        if (st != DB_OK || w->failed)
                return st;
        collect_days(w);
        days = buf_cstr(&w->days);
        if (w->n)
                st = db_query(w->c, sql_seal_partitions, 1, &days, NULL);
        if (st == DB_OK && w->n)
                st = read_old(w, 0);
        if (st == DB_OK && w->n)
                st = read_old(w, 1);
        if (st != DB_OK || w->failed)
                return st;
        output_begin(&w->out[0]);
        output_begin(&w->out[1]);
        if (w->n)
                merge(w);
        if (!w->failed)
                st = write_all(w);
        w->stats.ranges++;
        return st;
}

static void work_deinit(struct work *w)
{
        free(w->points);
        free(w->marks);
        for (int i = 0; i < 2; i++) {
                free(w->old[i]);
                db_rows_free(w->old_rows[i]);
                buf_deinit(&w->out[i].copy);
                buf_deinit(&w->out[i].meters);
                buf_deinit(&w->out[i].days);
                buf_deinit(&w->out[i].counts);
        }
        buf_deinit(&w->events);
        buf_deinit(&w->days);
}

enum db_status seal_range(struct db_conn *c, const struct seal_cut *cut, uint32_t lo, uint32_t hi,
                          struct seal_stats *stats)
{
        struct work w = { .c = c, .cut = cut, .lo = lo, .hi = hi };
        enum db_status st = seal_work(&w);

        if (st == DB_OK && w.failed) {
                db_fail(c, w.damage ? w.damage : "out of memory");
                st = w.damage ? DB_ERROR : DB_RETRY;
        }
        if (st == DB_OK) {
                stats->messages += w.stats.messages;
                stats->values += w.stats.values;
                stats->dups += w.stats.dups;
                stats->changed += w.stats.changed;
                stats->blocks += w.stats.blocks;
                stats->ranges += w.stats.ranges;
                stats->skipped += w.stats.skipped;
        }
        work_deinit(&w);
        return st;
}

enum db_status seal_cut(struct db_conn *c, int64_t before_day, struct seal_cut *ret)
{
        struct db_rows *rows = NULL;
        enum db_status st = db_query(c, sql_seal_wait, 0, NULL, NULL);

        if (st == DB_OK)
                st = db_query(c, sql_seal_upto, 0, NULL, &rows);
        if (st == DB_OK)
                *ret = (struct seal_cut){ db_rows_int(rows, 0, 0), before_day,
                                          db_rows_int(rows, 0, 1) };
        db_rows_free(rows);
        return st;
}

enum db_status seal_next(struct db_conn *c, const struct seal_cut *cut, uint32_t after,
                         uint32_t *ret_lo, uint32_t *ret_hi)
{
        char from[16], upto[24];
        const char *params[] = { from, upto };
        struct db_rows *rows = NULL;
        enum db_status st;

        snprintf(from, sizeof from, "%" PRIu32, after);
        snprintf(upto, sizeof upto, "%" PRId64, cut->upto);
        st = db_query(c, sql_seal_next, 2, params, &rows);
        if (st == DB_OK) {
                uint32_t first = (uint32_t)db_rows_int(rows, 0, 0);

                /* Ranges lie on a grid, so that a second run meets the same ones. */
                *ret_lo = first ? first - first % SEAL_METERS : 0;
                *ret_hi = *ret_lo + SEAL_METERS - 1;
                if (first && !*ret_lo)
                        *ret_lo = 1;
        }
        db_rows_free(rows);
        return st;
}

enum db_status seal_finish(struct db_conn *c)
{
        return db_query(c, sql_seal_finish, 0, NULL, NULL);
}
