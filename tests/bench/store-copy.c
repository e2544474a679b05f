/*
 * Figures of the reading store, each against a yardstick of the same run:
 * name|figure|yardstick|ratio|how. Needs HEADRACE_TEST_DB, an empty database.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "block.h"
#include "db.h"
#include "ingest.h"
#include "message.h"
#include "migrate.h"
#include "seal.h"

enum { MESSAGES = 200000, PER_COPY = 20000, METERS = 2000, DAY0 = 20454 };
#define T0 ((int64_t)DAY0 * 86400)

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, const char *why)
{
        fprintf(stderr, "%s: %s\n", what, why);
        exit(1);
}

static void run(struct db_conn *c, const char *sql)
{
        if (db_begin(c, "*", false) != DB_OK || db_exec(c, sql) != DB_OK || db_commit(c) != DB_OK)
                die(sql, db_last_error(c)->message);
}

/* A push: one quarter of an hour of two channels, and a register. */
static void message(struct buf *b, uint32_t i)
{
        int64_t at = T0 + 900 * (i / METERS % 96), v[2] = { 100 + i % 57, 3 };

        message_put_intervals(b, 1, at, 900, 0, v, 1);
        message_put_intervals(b, 2, at, 900, 0, v + 1, 1);
        message_put_register(b, 129, at, 0, 1000000 + i);
}

static void put_row(struct buf *b, uint32_t i)
{
        struct buf m = BUF_INIT;

        message(&m, i);
        buf_put_be16(b, 4);
        buf_put_be32(b, 8);
        buf_put_be64(b, (uint64_t)((T0 - MESSAGE_EPOCH) * 1000000));
        buf_put_be32(b, 4);
        buf_put_be32(b, 1 + i % METERS);
        buf_put_be32(b, 2);
        buf_put_be16(b, 1);
        buf_put_be32(b, (uint32_t)m.len);
        buf_put(b, m.p, m.len);
        buf_deinit(&m);
}

static double copy_all(struct db_conn *c, const char *sql)
{
        struct buf b = BUF_INIT;
        double spent = 0;

        for (uint32_t i = 0; i < MESSAGES; i += PER_COPY) {
                double t;

                buf_reset(&b);
                buf_put(&b, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
                for (uint32_t k = i; k < i + PER_COPY; k++)
                        put_row(&b, k);
                buf_put_be16(&b, 0xffff);
                t = now();
                if (db_begin(c, "*", false) != DB_OK || db_copy_in(c, sql, b.p, b.len) != DB_OK ||
                    db_commit(c) != DB_OK)
                        die("COPY", db_last_error(c)->message);
                spent += now() - t;
        }
        buf_deinit(&b);
        return spent;
}

static void bench_copy(struct db_conn *c)
{
        double raw, inbox;

        run(c, "create table bench_raw (recv_at timestamptz, meter_id int, source smallint, "
               "payload bytea);"
               "select mdm.make_inbox_partition('2026-01-01 00:00Z')");
        copy_all(c, "copy bench_raw from stdin (format binary)");
        run(c, "truncate bench_raw");
        raw = copy_all(c, "copy bench_raw from stdin (format binary)");
        inbox = copy_all(
                c,
                "copy mdm.inbox (recv_at, meter_id, source, payload) from stdin (format binary)");
        printf("inbox COPY|%.0f k messages/s|raw COPY of the same rows %.0f k/s|%.2f|%d messages, "
               "%d a transaction, "
               "partitioned, indexed, numbered\n",
               MESSAGES / inbox / 1e3, MESSAGES / raw / 1e3, raw / inbox, MESSAGES, PER_COPY);
}

static void bench_seal(struct db *db, struct db_conn *c)
{
        struct seal_stats st = { 0 };
        char error[512] = "";
        double t = now(), spent;

        if (seal_run(db, DAY0 + 1, &st, NULL, NULL, error, sizeof error))
                die("seal", error);
        spent = now() - t;
        run(c, "truncate bench_raw");
        printf("seal|%.2f M values/s|raw COPY floor 4.2 M values/s (design)|%.2f|%" PRIu64
               " values of %d meters into "
               "%" PRIu64 " rows\n",
               (double)st.values / spent / 1e6, (double)st.values / spent / 4.2e6, st.values,
               METERS, st.blocks);
}

static void count_done(void *arg, int status)
{
        if (status)
                die("spool", strerror(-status));
        ++*(unsigned *)arg;
}

static struct ingest *ingest(uv_loop_t *loop, const char *dir, const char *conninfo)
{
        struct ingest_options o = { .spool_dir = dir, .conninfo = conninfo };
        struct ingest *in = NULL;
        int r = ingest_open(&in, loop, &o);

        if (r)
                die("ingest", strerror(-r));
        return in;
}

static void ingest_end(uv_loop_t *loop, struct ingest *in)
{
        ingest_close(in);
        uv_run(loop, UV_RUN_DEFAULT);
        uv_loop_close(loop);
}

/* First the spool alone, then the loader alone, on what the spool holds. */
static void bench_loader(const char *conninfo)
{
        char dir[] = "/tmp/hrbench.XXXXXX", cmd[64];
        uv_loop_t loop;
        struct ingest *in;
        unsigned done = 0;
        double t, spool, load;

        if (!mkdtemp(dir))
                die(dir, "cannot be made");
        uv_loop_init(&loop);
        in = ingest(&loop, dir, NULL);
        t = now();
        for (uint32_t i = 0; i < MESSAGES; i++) {
                struct buf b = BUF_INIT;
                struct ingest_msg m = { .meter_id = 1 + i % METERS,
                                        .kind = INGEST_READINGS,
                                        .source = SOURCE_PUSH,
                                        .received_us = T0 * 1000000 };

                message(&b, i);
                m.payload = b.p;
                m.len = b.len;
                while (ingest_submit(in, &m, count_done, &done))
                        uv_run(&loop, UV_RUN_ONCE);
                buf_deinit(&b);
        }
        while (done < MESSAGES)
                uv_run(&loop, UV_RUN_ONCE);
        spool = now() - t;
        ingest_end(&loop, in);
        uv_loop_init(&loop);
        t = now();
        in = ingest(&loop, dir, conninfo);
        while (!ingest_drained(in))
                usleep(500);
        load = now() - t;
        ingest_end(&loop, in);
        snprintf(cmd, sizeof cmd, "rm -r %s", dir);
        if (system(cmd))
                die(dir, "could not be removed");
        printf("spool, durable|%.0f k messages/s|30 k messages/s wanted|%.2f|%d messages, "
               "fdatasync a batch\n",
               MESSAGES / spool / 1e3, MESSAGES / spool / 3e4, MESSAGES);
        printf("loader|%.0f k messages/s|30 k messages/s wanted|%.2f|spool to mdm.inbox with the "
               "position in the "
               "transaction\n",
               MESSAGES / load / 1e3, MESSAGES / load / 3e4);
}

static void bench_decode(void)
{
        struct block_value v[96];
        struct buf b = BUF_INIT;
        int64_t out[96], sum = 0;
        double t, fast, plain;
        enum { ROUNDS = 300000 };

        for (int i = 0; i < 96; i++)
                v[i] = (struct block_value){ T0 + 900 * i, 200 + i * i % 60, 900, 1, 0, 1 };
        block_pack(DAY0, v, 96, &b, NULL);
        t = now();
        for (int i = 0; i < ROUNDS; i++) {
                struct block_series s;
                struct block_run r;
                struct rd rd;

                if (!block_open(&rd, b.p, b.len) || block_next(&rd, DAY0, &s) != 1 ||
                    block_next_run(&s, &r) != 1 || !block_values(&s, r.n, out))
                        die("block", "does not unpack");
                sum += out[i % 96];
        }
        fast = now() - t;
        t = now();
        for (int i = 0; i < ROUNDS; i++) {
                struct rd rd = rd_of(b.p + b.len - 97, 97);
                int64_t last = 0;

                for (int k = 0; k < 96; k++)
                        last += rd_zigzag(&rd);
                sum += last;
        }
        plain = now() - t;
        printf("block decode|%.0f M values/s|a varint reader per value %.0f M/s|%.2f|96 values, "
               "%zu bytes (sum %" PRId64 ")\n",
               96e-6 * ROUNDS / fast, 96e-6 * ROUNDS / plain, plain / fast, b.len, sum % 10);
        buf_deinit(&b);
}

static void bench_sql(struct db_conn *c)
{
        double t, best = 1e9;

        run(c, "insert into core.branch (branch_id, code, name) values (1, 'HN', 'Hanoi');"
               "insert into mdm.meter_model (model, protocol, profile) values ('B', 'mqtt', '{}');"
               "insert into mdm.meter (meter_id, branch_id, serial, model, commodity, identity) "
               "values "
               "(900000, 1, 'b', 'B', 'electricity', 'b');"
               "select mdm.put_intervals(900000, 1::smallint, '2026-03-01'::timestamptz + d * "
               "interval '1 day', 900, "
               "0::smallint, 1::smallint, (select array_agg(100 + g * d % 77) from "
               "generate_series(1, 96) g)) "
               "from generate_series(0, 30) d");
        for (int i = 0; i < 5; i++) {
                t = now();
                run(c, "select count(*) from mdm.readings(900000, 1::smallint, '2026-03-01', "
                       "'2026-04-01')");
                t = now() - t;
                best = t < best ? t : best;
        }
        printf("a month of one meter in SQL|%.1f ms|100 ms wanted|%.1f|mdm.readings, 2,976 values, "
               "not sealed yet\n",
               best * 1e3, 0.1 / best);
}

int main(void)
{
        const char *conninfo = getenv("HEADRACE_TEST_DB");
        char error[512];
        struct db *db = NULL;
        struct db_conn *c;

        if (!conninfo)
                die("HEADRACE_TEST_DB", "not set; run through tests/db/with-pg.sh");
        if (db_open(&db, conninfo, 3) ||
            migrate_run(db, "core", store_migrations, error, sizeof error))
                die("database", error);
        c = db_take(db, 5000, NULL);
        if (!c)
                die("database", "away");
        bench_copy(c);
        bench_seal(db, c);
        bench_loader(conninfo);
        bench_decode();
        bench_sql(c);
        db_give(db, c);
        db_close(db);
        return 0;
}
