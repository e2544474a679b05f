#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <uv.h>

#include "ingest.h"
#include "message.h"
#include "pg_test.h"

#define T0 1767225600LL /* 2026-01-01T00:00:00Z */

static char dir[64];

static void dir_make(void)
{
        snprintf(dir, sizeof dir, "/tmp/hringest.XXXXXX");
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
}

static int dir_remove(const char *suffix)
{
        DIR *d = opendir(dir);
        struct dirent *e;
        char path[400];
        int n = 0;

        while (d && (e = readdir(d))) {
                snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
                n += strstr(e->d_name, suffix) != NULL;
                if (e->d_name[0] != '.')
                        unlink(path);
        }
        if (d)
                closedir(d);
        rmdir(dir);
        return n;
}

static struct ingest *open_ingest(uv_loop_t *loop, uint64_t max_bytes)
{
        struct ingest_options o = { .spool_dir = dir,
                                    .conninfo = pg_conninfo(),
                                    .spool_max_bytes = max_bytes,
                                    .segment_bytes = 20000 };
        struct ingest *in = NULL;
        int r = ingest_open(&in, loop, &o);

        if (r)
                printf("[ingest_open: %s]\n", strerror(-r));
        return in;
}

static bool drain(uv_loop_t *loop, struct ingest *in, int ms)
{
        while (ms-- > 0 && !ingest_drained(in)) {
                uv_run(loop, UV_RUN_NOWAIT);
                usleep(1000);
        }
        return ingest_drained(in);
}

static void close_all(uv_loop_t *loop, struct ingest *in)
{
        ingest_close(in);
        uv_run(loop, UV_RUN_DEFAULT);
        CU_ASSERT_EQUAL(uv_loop_close(loop), 0);
}

/* ---- the child that is killed ---- */

struct child {
        uv_loop_t loop;
        struct ingest *in;
        uint32_t next;
        int pipe, in_flight;
};

struct flight {
        struct child *c;
        uint32_t id;
};

static int submit_id(struct ingest *in, uint32_t id, ingest_done *done, void *arg)
{
        struct buf b = BUF_INIT;
        struct ingest_msg m = { .meter_id = 1,
                                .kind = INGEST_READINGS,
                                .source = SOURCE_PUSH,
                                .received_us = (int64_t)time(NULL) * 1000000 };
        int r;

        message_put_register(&b, 129, T0, READING_RAW, id);
        m.payload = b.p;
        m.len = b.len;
        r = ingest_submit(in, &m, done, arg);
        buf_deinit(&b);
        return r;
}

static void on_done(void *arg, int status)
{
        struct flight *f = arg;

        if (!status && write(f->c->pipe, &f->id, 4) != 4)
                _exit(1);
        f->c->in_flight--;
        free(f);
}

static void child_run(uint32_t from, int fd)
{
        static struct child c;

        c.next = from;
        c.pipe = fd;
        uv_loop_init(&c.loop);
        c.in = open_ingest(&c.loop, 1 << 24);
        if (!c.in)
                _exit(1);
        for (;;) {
                while (c.in_flight < 40) {
                        struct flight *f = malloc(sizeof *f);

                        *f = (struct flight){ &c, c.next };
                        if (submit_id(c.in, c.next, on_done, f)) {
                                free(f);
                                break;
                        }
                        c.next++;
                        c.in_flight++;
                }
                uv_run(&c.loop, UV_RUN_ONCE);
        }
}

static uint8_t *acked; /* by id */
enum { MAX_ID = 4000000 };

static void kill_round(int round, uint32_t from)
{
        uint32_t id;
        int p[2];
        pid_t pid;

        CU_ASSERT_EQUAL_FATAL(pipe(p), 0);
        pid = fork();
        if (!pid) {
                close(p[0]);
                child_run(from, p[1]);
        }
        close(p[1]);
        if (round == 4 || round == 9) {
                usleep(30000);
                pg_stop();
        }
        usleep((useconds_t)(20000 + (round * 7919) % 60000));
        if (round == 6 || round == 9)
                pg_start();
        kill(pid, SIGKILL);
        while (read(p[0], &id, 4) == 4)
                if (id < MAX_ID)
                        acked[id] = 1;
        close(p[0]);
        waitpid(pid, NULL, 0);
}

static void check_stored(struct db *db)
{
        uint8_t *stored = calloc(1, MAX_ID);
        struct db_conn *c = pg_take(db);
        struct db_rows *rows = NULL;
        size_t lost = 0, doubled = 0, n_acked = 0;

        CU_ASSERT_EQUAL_FATAL(
                db_query(c, "select encode(payload, 'hex') from mdm.inbox", 0, NULL, &rows), DB_OK);
        for (size_t i = 0; i < db_rows_count(rows); i++) {
                const char *hex = db_rows_text(rows, i, 0);
                uint8_t bytes[64];
                struct message_section s;
                size_t n = strlen(hex) / 2;
                struct rd r;

                for (size_t k = 0; k < n && k < sizeof bytes; k++)
                        sscanf(hex + 2 * k, "%2hhx", &bytes[k]);
                r = rd_of(bytes, n);
                CU_ASSERT_EQUAL_FATAL(message_next(&r, &s), 1);
                doubled += stored[s.value]++ > 0;
        }
        for (size_t i = 0; i < MAX_ID; i++) {
                n_acked += acked[i];
                lost += acked[i] && !stored[i];
        }
        printf("[%zu acknowledged, %zu stored] ", n_acked, db_rows_count(rows));
        CU_ASSERT_EQUAL(lost, 0);
        CU_ASSERT_EQUAL(doubled, 0);
        CU_ASSERT_TRUE(n_acked > 1000);
        db_rows_free(rows);
        db_give(db, c);
        free(stored);
}

static void test_kill_loop(void)
{
        struct db *db = pg_open(1);
        uv_loop_t loop;
        struct ingest *in;

        pg_migrate(db);
        db_close(db);
        dir_make();
        acked = calloc(1, MAX_ID);
        for (int round = 0; round < 12; round++)
                kill_round(round, (uint32_t)round * 300000);
        uv_loop_init(&loop);
        in = open_ingest(&loop, 1 << 24);
        CU_ASSERT_PTR_NOT_NULL_FATAL(in);
        CU_ASSERT_TRUE(drain(&loop, in, 60000));
        close_all(&loop, in);
        db = pg_open(1);
        check_stored(db);
        CU_ASSERT_EQUAL(pg_int(db, "select count(*) from mdm.inbox_default"), 0);
        pg_run(db, "truncate mdm.inbox; delete from mdm.spool_position");
        db_close(db);
        free(acked);
        CU_ASSERT_EQUAL(dir_remove(".bad"), 0);
}

/* ---- everything else ---- */

static int done_count, done_status;

static void count_done(void *arg, int status)
{
        (void)arg;
        done_count++;
        done_status = status;
}

static void test_kinds(void)
{
        struct db *db = pg_open(1);
        uv_loop_t loop;
        struct ingest *in;
        struct buf b = BUF_INIT;
        struct ingest_msg m = { .meter_id = 7,
                                .kind = INGEST_EVENTS,
                                .source = SOURCE_PULL,
                                .received_us = (T0 + 5) * 1000000 };
        struct ingest_stats st;

        pg_migrate(db);
        dir_make();
        uv_loop_init(&loop);
        in = open_ingest(&loop, 0);
        done_count = 0;
        message_put_event(&b, T0, 42, "cover \xff\"open\"");
        message_put_register(&b, 129, T0, 0, 5);
        m.payload = b.p;
        m.len = b.len;
        CU_ASSERT_EQUAL(ingest_submit(in, &m, count_done, NULL), 0);
        CU_ASSERT_EQUAL(ingest_submit(in, &m, count_done, NULL), 0);
        m.meter_id = 0;
        CU_ASSERT_EQUAL(ingest_submit(in, &m, count_done, NULL), -EINVAL);
        m = (struct ingest_msg){ .kind = INGEST_UNKNOWN,
                                 .source = SOURCE_PUSH,
                                 .received_us = -5,
                                 .payload = "\0\xff{}",
                                 .len = 4,
                                 .protocol = "mqtt",
                                 .identity = "m\xc3\xa9ter\x80-1",
                                 .reason = "unknown meter" };
        CU_ASSERT_EQUAL(ingest_submit(in, &m, count_done, NULL), 0);
        m.kind = INGEST_READINGS;
        m.meter_id = 7;
        CU_ASSERT_EQUAL(ingest_submit(in, &m, count_done, NULL), -EINVAL); /* no sections */
        m.len = 0;
        CU_ASSERT_EQUAL(ingest_submit(in, &m, count_done, NULL), -EINVAL);
        CU_ASSERT_TRUE(drain(&loop, in, 10000));
        ingest_stats(in, &st);
        CU_ASSERT_TRUE(st.submitted == 3 && st.durable == 3 && st.loaded == 3 && !st.queued);
        close_all(&loop, in);
        CU_ASSERT_EQUAL(done_count, 3);
        CU_ASSERT_EQUAL(done_status, 0);
        CU_ASSERT_EQUAL(pg_int(db, "select count(*) from mdm.inbox where meter_id = 7"), 2);
        CU_ASSERT_STRING_EQUAL(pg_text(db, "select string_agg(concat_ws('|', meter_id, "
                                           "extract(epoch from at)::bigint, "
                                           "code, text, source), ' ') from mdm.meter_event"),
                               "7|1767225600|42|cover ?\"open\"|2");
        CU_ASSERT_STRING_EQUAL(pg_text(db,
                                       "select concat_ws('|', protocol, identity, reason, detail, "
                                       "encode(payload, 'hex'), state) from mdm.quarantine"),
                               "mqtt|m\xc3\xa9ter?-1|unknown meter||00ff7b7d|held");
        CU_ASSERT_STRING_EQUAL(
                pg_text(db, "select to_regclass('mdm.inbox_2026010100') is not null"), "t");
        pg_run(db, "truncate mdm.inbox; truncate mdm.quarantine; truncate mdm.meter_event");
        buf_deinit(&b);
        db_close(db);
        dir_remove("");
}

static void test_database_away_and_spool_full(void)
{
        struct db *db = pg_open(1);
        uv_loop_t loop;
        struct ingest *in;
        struct ingest_stats st = { 0 };
        uint32_t id = 0;

        pg_migrate(db);
        db_close(db);
        dir_make();
        uv_loop_init(&loop);
        in = open_ingest(&loop, 100000);
        pg_stop();
        done_count = 0;
        done_status = 0;
        while (id < 100000 && !done_status && submit_id(in, id, count_done, NULL) == 0) {
                id++;
                for (int ms = 0; ms < 5000 && id % 100 == 0 && done_count < (int)id; ms++) {
                        uv_run(&loop, UV_RUN_NOWAIT);
                        usleep(1000);
                }
        }
        for (int ms = 0; ms < 5000 && done_count < (int)id; ms++) {
                uv_run(&loop, UV_RUN_NOWAIT);
                usleep(1000);
        }
        ingest_stats(in, &st);
        CU_ASSERT_EQUAL(done_status, -ENOSPC);
        CU_ASSERT_TRUE(st.full && st.database_away && st.database_error[0] && !st.failed);
        CU_ASSERT_EQUAL(submit_id(in, id, count_done, NULL), -EAGAIN); /* refused, not swallowed */
        pg_start();
        CU_ASSERT_TRUE(drain(&loop, in, 30000));
        ingest_stats(in, &st);
        CU_ASSERT_EQUAL(st.loaded, st.durable);
        usleep(1100000);
        CU_ASSERT_EQUAL(submit_id(in, id, count_done, NULL), 0); /* by itself again */
        CU_ASSERT_TRUE(drain(&loop, in, 10000));
        ingest_stats(in, &st);
        CU_ASSERT_TRUE(!st.full && !st.database_away);
        close_all(&loop, in);
        CU_ASSERT_EQUAL(done_status, 0);
        db = pg_open(1);
        CU_ASSERT_EQUAL((uint64_t)pg_int(db, "select count(*) from mdm.inbox"), st.loaded);
        CU_ASSERT_EQUAL((uint64_t)pg_int(db, "select count(distinct payload) from mdm.inbox"),
                        st.loaded);
        pg_run(db, "truncate mdm.inbox");
        db_close(db);
        dir_remove("");
}

static void test_refused_message_does_not_block(void)
{
        struct db *db = pg_open(1);
        uv_loop_t loop;
        struct ingest *in;
        struct ingest_stats st;

        pg_migrate(db);
        pg_run(db,
               "alter table mdm.inbox add constraint poison check (payload <> '\\x0281000014')");
        dir_make();
        uv_loop_init(&loop);
        in = open_ingest(&loop, 0);
        for (uint32_t i = 0; i < 500; i++) {
                struct buf b = BUF_INIT;
                struct ingest_msg m = { .meter_id = 1,
                                        .kind = INGEST_READINGS,
                                        .source = SOURCE_PUSH,
                                        .received_us = T0 * 1000000 };

                message_put_register(&b, 129, MESSAGE_EPOCH, READING_RAW, i);
                m.payload = b.p;
                m.len = b.len;
                CU_ASSERT_EQUAL(ingest_submit(in, &m, NULL, NULL), 0);
                buf_deinit(&b);
        }
        CU_ASSERT_TRUE(drain(&loop, in, 20000));
        ingest_stats(in, &st);
        CU_ASSERT_EQUAL(st.unloadable, 1);
        close_all(&loop, in);
        CU_ASSERT_EQUAL(pg_int(db, "select count(*) from mdm.inbox"), 499);
        CU_ASSERT_EQUAL(dir_remove(".refused"), 1);
        pg_run(db, "alter table mdm.inbox drop constraint poison; truncate mdm.inbox");
        db_close(db);
}

HR_TESTS("store.ingest", { "readings, events and unknown senders find their tables", test_kinds },
         { "a message the database refuses does not block the rest",
           test_refused_message_does_not_block },
         { "database away, spool full, and back", test_database_away_and_spool_full },
         { "kill -9 and outages: acknowledged is stored, once", test_kill_loop })
