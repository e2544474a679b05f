#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "db.h"
#include "loader.h"
#include "log.h"
#include "message.h"
#include "store_sql.h"

enum {
        BATCH_MESSAGES = 20000,
        BATCH_BYTES = 8 << 20,
        BACKOFF_FIRST_MS = 100,
        BACKOFF_MAX_MS = 10000,
        HOURS = 64,
};
/* PostgreSQL counts microseconds from 2000-01-01. */
#define PG_EPOCH_US (MESSAGE_EPOCH * 1000000)
#define HOUR_US     3600000000LL

struct record {
        uint8_t kind, source;
        uint32_t meter_id;
        int64_t received_us;
        struct rd text[4]; /* protocol, identity, reason, detail */
        const uint8_t *payload;
        size_t len;
};

struct batch {
        struct buf inbox, quarantine, events; /* binary COPY, binary COPY, JSON array */
        size_t n, n_inbox, n_quarantine, n_events;
        struct spool_position begin, end;
        int64_t last_received_us;
        int64_t hours[HOURS]; /* hours of arrival in it that may need a partition */
        size_t n_hours;
};

struct loader {
        struct spool *spool;
        struct db *db;
        struct db_conn *conn; /* NULL while the database is away */
        pthread_t thread;
        struct batch batch;
        struct spool_cursor cursor;
        bool positioned;
        size_t limit; /* messages of the next batch: fewer after the database refused one */
        unsigned backoff_ms;
        int64_t known_hours[HOURS]; /* ring of hours that have their partition */
        size_t known_at;

        pthread_mutex_t lock; /* guards what follows */
        pthread_cond_t wake;
        bool woken, stop;
        struct spool_position committed;
        struct ingest_stats stats;
};

/* ---- records ---- */

static void put_text(struct buf *b, const char *s)
{
        size_t n = s ? strnlen(s, 1024) : 0;

        buf_put_le16(b, (uint16_t)n);
        buf_put(b, s, n);
}

void loader_put_record(struct buf *b, const struct ingest_msg *m)
{
        buf_put_u8(b, (uint8_t)m->kind);
        buf_put_u8(b, (uint8_t)m->source);
        buf_put_le32(b, m->meter_id);
        buf_put_le64(b, (uint64_t)m->received_us);
        if (m->kind == INGEST_UNKNOWN) {
                put_text(b, m->protocol);
                put_text(b, m->identity);
                put_text(b, m->reason);
                put_text(b, m->detail);
        }
        buf_put(b, m->payload, m->len);
}

static bool record_parse(const uint8_t *body, size_t n, struct record *ret)
{
        struct rd r = rd_of(body, n);

        *ret = (struct record){ .kind = rd_u8(&r), .source = rd_u8(&r) };
        ret->meter_id = rd_le32(&r);
        ret->received_us = (int64_t)rd_le64(&r);
        for (int i = 0; ret->kind == INGEST_UNKNOWN && i < 4; i++) {
                size_t len = rd_le16(&r);
                const uint8_t *p = rd_take(&r, len);

                ret->text[i] = rd_of(p, p ? len : 0);
        }
        ret->payload = r.p;
        ret->len = r.n;
        return !r.failed;
}

/* ---- rows in the form the server wants ---- */

/* Length of the UTF-8 sequence at @p, 0 when it is none. NUL counts as none: text cannot hold it.
 */
static size_t utf8_len(const uint8_t *p, size_t n)
{
        size_t len = p[0] < 0x80                   ? 1
                     : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                     : (p[0] & 0xf0) == 0xe0       ? 3
                     : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                                   : 0;

        if (!len || len > n || !p[0])
                return 0;
        for (size_t i = 1; i < len; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
            (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
                return 0;
        return len;
}

/* Text as the database takes it: what is no UTF-8 becomes '?'. */
static void put_clean(struct buf *b, const uint8_t *p, size_t n)
{
        while (n) {
                size_t len = utf8_len(p, n);

                if (len)
                        buf_put(b, p, len);
                else
                        buf_put_u8(b, '?');
                p += len ? len : 1;
                n -= len ? len : 1;
        }
}

static void field_i16(struct buf *b, int16_t v)
{
        buf_put_be32(b, 2);
        buf_put_be16(b, (uint16_t)v);
}

static void field_i32(struct buf *b, uint32_t v)
{
        buf_put_be32(b, 4);
        buf_put_be32(b, v);
}

static void field_i64(struct buf *b, int64_t v)
{
        buf_put_be32(b, 8);
        buf_put_be64(b, (uint64_t)v);
}

static void field_bytes(struct buf *b, const void *p, size_t n)
{
        buf_put_be32(b, (uint32_t)n);
        buf_put(b, p, n);
}

static void field_text(struct buf *b, const void *p, size_t n)
{
        size_t at = b->len;
        uint32_t len;

        buf_put_be32(b, 0);
        put_clean(b, p, n);
        if (b->failed)
                return;
        len = (uint32_t)(b->len - at - 4);
        for (int i = 0; i < 4; i++)
                b->p[at + (size_t)i] = (uint8_t)(len >> (24 - 8 * i));
}

static void copy_begin(struct buf *b)
{
        static const uint8_t head[19] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";

        buf_reset(b);
        buf_put(b, head, sizeof head);
}

/* Kept within what a timestamp of the inbox may be, whatever the clock said. */
static int64_t pg_time(int64_t us)
{
        if (us < PG_EPOCH_US)
                us = PG_EPOCH_US;
        if (us >= MESSAGE_END * 1000000)
                us = MESSAGE_END * 1000000 - 1;
        return us - PG_EPOCH_US;
}

static void batch_hour(struct batch *b, int64_t us)
{
        int64_t hour = (pg_time(us) + PG_EPOCH_US) / HOUR_US;

        for (size_t i = 0; i < b->n_hours; i++)
                if (b->hours[i] == hour)
                        return;
        if (b->n_hours < HOURS) /* beyond: the default partition takes them */
                b->hours[b->n_hours++] = hour;
}

static void batch_inbox(struct batch *b, const struct record *r)
{
        buf_put_be16(&b->inbox, 4);
        field_i64(&b->inbox, pg_time(r->received_us));
        field_i32(&b->inbox, r->meter_id);
        field_i16(&b->inbox, r->source);
        field_bytes(&b->inbox, r->payload, r->len);
        b->n_inbox++;
        batch_hour(b, r->received_us);
}

static void batch_quarantine(struct batch *b, const struct record *r, const char *reason)
{
        static const char *const otherwise[4] = { "unknown", "", "", "" };

        buf_put_be16(&b->quarantine, 7);
        field_i64(&b->quarantine, pg_time(r->received_us));
        for (int i = 0; i < 4; i++) {
                const char *s = i == 2 && reason ? reason : otherwise[i];

                if (r->text[i].n && !(i == 2 && reason))
                        field_text(&b->quarantine, r->text[i].p, r->text[i].n);
                else
                        field_text(&b->quarantine, s, strlen(s));
        }
        field_i16(&b->quarantine, r->source);
        field_bytes(&b->quarantine, r->payload, r->len);
        b->n_quarantine++;
}

static void batch_event(struct batch *b, const struct record *r, const struct message_section *s)
{
        struct buf text = BUF_INIT;

        put_clean(&text, s->text, s->text_len);
        buf_printf(&b->events, "%s{\"m\":%" PRIu32 ",\"a\":%" PRId64 ",\"c\":%" PRIu32 ",\"t\":",
                   b->n_events ? "," : "[", r->meter_id, s->at, s->code);
        buf_put_json_str(&b->events, buf_cstr(&text), text.len);
        buf_printf(&b->events, ",\"s\":%d,\"r\":%" PRId64 "}", r->source,
                   (int64_t)(pg_time(r->received_us) + PG_EPOCH_US) / 1000000);
        b->n_events++;
        b->events.failed |= text.failed;
        buf_deinit(&text);
}

/* Events go to their own table at once; a message that has more also goes to the inbox. */
static void batch_sections(struct batch *b, const struct record *r)
{
        struct rd rd = rd_of(r->payload, r->len);
        struct message_section s;
        bool values = false;

        while (message_next(&rd, &s) > 0) {
                if (s.type == MESSAGE_EVENT)
                        batch_event(b, r, &s);
                else
                        values = true;
        }
        if (values)
                batch_inbox(b, r);
}

static void batch_add(struct batch *b, const uint8_t *body, size_t n)
{
        struct record r;

        b->n++;
        if (!record_parse(body, n, &r)) {
                r = (struct record){ .payload = body, .len = n };
                batch_quarantine(b, &r, "record of the spool not understood");
                return;
        }
        b->last_received_us = r.received_us;
        if (r.kind == INGEST_UNKNOWN)
                batch_quarantine(b, &r, NULL);
        else if (message_check(r.payload, r.len))
                batch_quarantine(b, &r, "damaged payload");
        else
                batch_sections(b, &r);
}

static void batch_begin(struct batch *b, struct spool_position at)
{
        copy_begin(&b->inbox);
        copy_begin(&b->quarantine);
        buf_reset(&b->events);
        b->n = b->n_inbox = b->n_quarantine = b->n_events = b->n_hours = 0;
        b->begin = b->end = at;
}

static bool batch_end(struct batch *b)
{
        buf_put_be16(&b->inbox, 0xffff);
        buf_put_be16(&b->quarantine, 0xffff);
        if (b->n_events)
                buf_put_u8(&b->events, ']');
        return !b->inbox.failed && !b->quarantine.failed && !b->events.failed;
}

static int batch_read(struct loader *l)
{
        struct batch *b = &l->batch;
        int r = 0;

        batch_begin(b, l->cursor.at);
        while (b->n < l->limit && b->inbox.len + b->quarantine.len < BATCH_BYTES) {
                const uint8_t *body;
                size_t n;

                r = spool_cursor_next(&l->cursor, &body, &n);
                if (r <= 0)
                        break;
                batch_add(b, body, n);
        }
        b->end = l->cursor.at;
        if (!batch_end(b))
                return -ENOMEM;
        return b->n ? 0 : r;
}

/* ---- one transaction ---- */

static enum db_status ensure_partition(struct loader *l, int64_t hour)
{
        char text[24];
        const char *p = text;
        enum db_status st;

        for (size_t i = 0; i < HOURS; i++)
                if (l->known_hours[i] == hour)
                        return DB_OK;
        snprintf(text, sizeof text, "%" PRId64, hour * 3600);
        st = db_query(l->conn, sql_inbox_partition, 1, &p, NULL);
        if (st == DB_RETRY)
                return st;
        if (st != DB_OK)
                log_warn(
                        NULL,
                        "no partition for an hour of the inbox; the default one takes its messages",
                        LOG_S("error", db_last_error(l->conn)->message));
        l->known_hours[l->known_at++ % HOURS] = hour;
        return DB_OK;
}

static enum db_status ensure_partitions(struct loader *l)
{
        int64_t now = (int64_t)time(NULL) / 3600;
        enum db_status st = DB_OK;

        for (size_t i = 0; st == DB_OK && i < l->batch.n_hours; i++)
                st = ensure_partition(l, l->batch.hours[i]);
        /* The next hour's ahead of time, so that no batch at the turn of the hour waits for it. */
        for (size_t i = 0; st == DB_OK && i < l->batch.n_hours; i++)
                if (l->batch.hours[i] == now)
                        st = ensure_partition(l, now + 1);
        return st;
}

static void position_params(char text[4][24], struct spool_position to, struct spool_position from)
{
        snprintf(text[0], 24, "%" PRIu64, to.segment);
        snprintf(text[1], 24, "%" PRIu64, to.offset);
        snprintf(text[2], 24, "%" PRIu64, from.segment);
        snprintf(text[3], 24, "%" PRIu64, from.offset);
}

/* Moves the position if it still is where this loader believes; else DB_RETRY: read it again. */
static enum db_status move_position(struct loader *l)
{
        struct batch *b = &l->batch;
        char text[4][24];
        const char *params[] = { spool_id(l->spool), text[0], text[1], text[2], text[3] };
        struct db_rows *rows = NULL;
        enum db_status st;

        position_params(text, b->end, b->begin);
        st = db_query(l->conn, sql_spool_move, 5, params, &rows);
        if (st == DB_OK && !db_rows_count(rows))
                st = DB_RETRY;
        db_rows_free(rows);
        return st;
}

static enum db_status load_batch(struct loader *l, bool rows)
{
        struct batch *b = &l->batch;
        const char *events = b->n_events ? buf_cstr(&b->events) : NULL;
        enum db_status st = ensure_partitions(l);

        if (st == DB_OK)
                st = db_begin(l->conn, "*", false);
        if (st == DB_OK)
                st = move_position(l);
        if (rows && st == DB_OK && b->n_inbox)
                st = db_copy_in(l->conn, sql_inbox_copy, b->inbox.p, b->inbox.len);
        if (rows && st == DB_OK && b->n_quarantine)
                st = db_copy_in(l->conn, sql_quarantine_copy, b->quarantine.p, b->quarantine.len);
        if (rows && st == DB_OK && b->n_events)
                st = db_query(l->conn, sql_events_insert, 1, &events, NULL);
        if (st == DB_OK)
                st = db_commit(l->conn);
        if (st != DB_OK && st != DB_UNKNOWN)
                db_rollback(l->conn);
        return st;
}

static enum db_status read_position(struct loader *l)
{
        const char *id = spool_id(l->spool);
        struct spool_position at, end = spool_end(l->spool);
        struct db_rows *rows = NULL;
        enum db_status st = db_query(l->conn, sql_spool_position, 1, &id, &rows);

        if (st != DB_OK)
                return st;
        at.segment = (uint64_t)db_rows_int(rows, 0, 0);
        at.offset = (uint64_t)db_rows_int(rows, 0, 1);
        db_rows_free(rows);
        if (at.segment > end.segment) {
                /* A spool put back from a backup. Loading twice is harmless, not at all is not. */
                char text[4][24];
                const char *params[] = { id, text[0], text[1], text[2], text[3] };

                log_warn(NULL, "the database's position is beyond the spool's end: loading from "
                               "its begin");
                position_params(text, (struct spool_position){ 0 }, at);
                st = db_query(l->conn, sql_spool_move, 5, params, NULL);
                at = (struct spool_position){ 0 };
        }
        spool_cursor_deinit(&l->cursor);
        spool_cursor_init(&l->cursor, l->spool, at);
        l->positioned = st == DB_OK;
        pthread_mutex_lock(&l->lock);
        l->committed = at;
        pthread_mutex_unlock(&l->lock);
        return st;
}

/* ---- the thread ---- */

static int64_t now_us(void)
{
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Until woken (@for_work), told to stop, or @ms have passed. */
static void pause_ms(struct loader *l, unsigned ms, bool for_work)
{
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += ms / 1000;
        until.tv_nsec += (long)(ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000;
        }
        pthread_mutex_lock(&l->lock);
        while (!l->stop && !(for_work && l->woken))
                if (pthread_cond_timedwait(&l->wake, &l->lock, &until) == ETIMEDOUT)
                        break;
        l->woken = false;
        pthread_mutex_unlock(&l->lock);
}

static void back_off(struct loader *l)
{
        pause_ms(l, l->backoff_ms, false);
        l->backoff_ms = l->backoff_ms < BACKOFF_MAX_MS / 2 ? 2 * l->backoff_ms : BACKOFF_MAX_MS;
}

static void database_gone(struct loader *l, const char *why)
{
        bool first;

        db_give(l->db, l->conn);
        l->conn = NULL;
        l->positioned = false;
        pthread_mutex_lock(&l->lock);
        first = !l->stats.database_away;
        l->stats.database_away = true;
        snprintf(l->stats.database_error, sizeof l->stats.database_error, "%.255s", why);
        pthread_mutex_unlock(&l->lock);
        if (first)
                log_warn(NULL, "readings wait in the spool: the database is away",
                         LOG_S("error", why));
        back_off(l);
}

static void batch_loaded(struct loader *l)
{
        struct batch *b = &l->batch;
        bool back;
        int r;

        l->backoff_ms = BACKOFF_FIRST_MS;
        l->limit = l->limit < BATCH_MESSAGES / 2 ? 2 * l->limit : BATCH_MESSAGES;
        pthread_mutex_lock(&l->lock);
        back = l->stats.database_away;
        l->stats.database_away = false;
        l->stats.loaded += b->n;
        l->stats.lag_us = now_us() - b->last_received_us;
        l->committed = b->end;
        pthread_mutex_unlock(&l->lock);
        if (back)
                log_info(NULL, "the database is back: loading from the spool goes on");
        r = spool_release(l->spool, b->end);
        if (r)
                log_warn(NULL, "a loaded segment of the spool could not be deleted",
                         LOG_S("error", strerror(-r)));
}

/* A message the database will never take is kept in a file beside the spool, and passed over. */
static bool set_aside(struct loader *l, const char *why)
{
        char path[4200];
        const char *file;
        const uint8_t *body;
        size_t n;
        int fd, r;

        spool_cursor_deinit(&l->cursor);
        spool_cursor_init(&l->cursor, l->spool, l->batch.begin);
        r = spool_cursor_next(&l->cursor, &body, &n);
        if (r <= 0)
                return false;
        snprintf(path, sizeof path, "%s/%016" PRIx64 "-%" PRIu64 ".refused", spool_dir(l->spool),
                 l->batch.begin.segment, l->batch.begin.offset);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return false;
        r = write(fd, body, n) == (ssize_t)n && !fdatasync(fd);
        close(fd);
        if (!r || load_batch(l, false) != DB_OK)
                return false;
        file = path;
        log_error(NULL, "the database refused a message; it is kept in a file", LOG_S("file", file),
                  LOG_S("error", why));
        pthread_mutex_lock(&l->lock);
        l->stats.unloadable++;
        l->committed = l->batch.end;
        pthread_mutex_unlock(&l->lock);
        return true;
}

static void load_failed(struct loader *l, enum db_status st)
{
        struct db_error e = *db_last_error(l->conn);
        const char *why = e.message;

        if (st == DB_RETRY || st == DB_UNKNOWN) {
                database_gone(l, why[0] ? why : "another loader moved the spool's position");
                return;
        }
        if (l->batch.n == 1) {
                if (!set_aside(l, why))
                        database_gone(l, why);
        } else {
                log_warn(NULL, "the database refused a batch; trying smaller ones",
                         LOG_S("error", why));
                l->limit = l->batch.n / 2;
        }
        l->positioned = false;
}

static void load_some(struct loader *l)
{
        enum db_status st;
        int r;

        if (!l->conn) {
                struct db_error e;

                l->conn = db_take(l->db, 0, &e);
                if (!l->conn) {
                        database_gone(l, e.message);
                        return;
                }
        }
        if (!l->positioned) {
                st = read_position(l);
                if (st != DB_OK) {
                        database_gone(l, db_last_error(l->conn)->message);
                        return;
                }
        }
        r = batch_read(l);
        if (r) {
                log_error(NULL, "the spool cannot be read", LOG_S("error", strerror(-r)));
                l->positioned = false;
                back_off(l);
                return;
        }
        if (!l->batch.n) {
                pause_ms(l, 1000, true);
                return;
        }
        st = load_batch(l, true);
        if (st == DB_OK)
                batch_loaded(l);
        else
                load_failed(l, st);
}

static void *loader_thread(void *arg)
{
        struct loader *l = arg;

        for (;;) {
                bool stop;

                pthread_mutex_lock(&l->lock);
                stop = l->stop;
                pthread_mutex_unlock(&l->lock);
                if (stop)
                        break;
                load_some(l);
        }
        db_give(l->db, l->conn);
        spool_cursor_deinit(&l->cursor);
        return NULL;
}

static void loader_free(struct loader *l)
{
        db_close(l->db);
        buf_deinit(&l->batch.inbox);
        buf_deinit(&l->batch.quarantine);
        buf_deinit(&l->batch.events);
        pthread_cond_destroy(&l->wake);
        pthread_mutex_destroy(&l->lock);
        free(l);
}

int loader_start(struct loader **ret, struct spool *spool, const char *conninfo)
{
        struct loader *l = calloc(1, sizeof *l);
        pthread_condattr_t attr;
        int r;

        if (!l)
                return -ENOMEM;
        pthread_mutex_init(&l->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&l->wake, &attr);
        pthread_condattr_destroy(&attr);
        l->spool = spool;
        l->limit = BATCH_MESSAGES;
        l->backoff_ms = BACKOFF_FIRST_MS;
        l->batch.inbox.limit = l->batch.quarantine.limit = BATCH_BYTES + 2 * SPOOL_MAX_BODY;
        spool_cursor_init(&l->cursor, spool, (struct spool_position){ 0 });
        r = db_open(&l->db, conninfo, 1);
        if (!r)
                r = -pthread_create(&l->thread, NULL, loader_thread, l);
        if (r) {
                loader_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

void loader_wake(struct loader *l)
{
        pthread_mutex_lock(&l->lock);
        l->woken = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->lock);
}

void loader_stop(struct loader *l)
{
        if (!l)
                return;
        pthread_mutex_lock(&l->lock);
        l->stop = true;
        pthread_cond_signal(&l->wake);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
        loader_free(l);
}

void loader_stats(struct loader *l, struct ingest_stats *ret)
{
        pthread_mutex_lock(&l->lock);
        ret->loaded = l->stats.loaded;
        ret->unloadable = l->stats.unloadable;
        ret->lag_us = l->stats.lag_us;
        ret->database_away = l->stats.database_away;
        snprintf(ret->database_error, sizeof ret->database_error, "%s",
                 l->stats.database_away ? l->stats.database_error : "");
        pthread_mutex_unlock(&l->lock);
}

bool loader_reached(struct loader *l, struct spool_position end)
{
        bool reached;

        pthread_mutex_lock(&l->lock);
        reached = l->committed.segment > end.segment ||
                  (l->committed.segment == end.segment && l->committed.offset >= end.offset);
        pthread_mutex_unlock(&l->lock);
        return reached;
}
