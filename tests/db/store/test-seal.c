#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>

#include "message.h"
#include "pg_test.h"
#include "seal.h"

/* An expectation computed slot by slot, without the store's code, against SQL before and after
 * sealing. */

enum { DAY0 = 20454, DAYS = 4, METERS = 5, SLOTS = DAYS * 96, CHANNELS = 3, REGISTERS = 40 };
#define T0 ((int64_t)DAY0 * 86400)

static const int meter_ids[METERS] = { 1, 2, 127, 128, 400 };

struct slot {
        bool there;
        int64_t value;
        int status;
};

static struct slot want[METERS][CHANNELS][SLOTS];
static struct slot registers[METERS][REGISTERS];
static uint32_t seed;
static int days_used; /* messages fall into the first so many */

static uint32_t rnd(uint32_t n)
{
        seed = seed * 1664525 + 1013904223;
        return (seed >> 8) % n;
}

/* edited > measured > estimated, then the later; a rejection takes what is not edited, and gives
 * way to anything but the same measured value. */
static void apply(struct slot *s, int64_t value, int status)
{
        static const int rank[] = { 2, 2, 1, 1, 1, 1, 3, 2, 0 };
        int had = s->there ? rank[s->status & 15] : -1, now = rank[status & 15];

        if (had < 0)
                ;
        else if (status == 8) {
                if (had == 3)
                        return;
        } else if (s->status == 8) {
                if (now == 2 && value == s->value)
                        return;
        } else if (now < had) {
                return;
        } else if (now == had && value == s->value && (status == s->status || status == 0)) {
                return;
        }
        *s = (struct slot){ true, value, status };
}

static void insert_message(struct db_conn *c, int meter, int source, int hour, const struct buf *b)
{
        struct buf hex = BUF_INIT;
        char id[16], src[16], at[64];
        const char *params[] = { at, id, src, NULL };

        buf_put_str(&hex, "\\x");
        buf_put_hex(&hex, b->p, b->len);
        snprintf(id, sizeof id, "%d", meter);
        snprintf(src, sizeof src, "%d", source);
        snprintf(at, sizeof at, "2026-01-05 %02d:30:00Z", hour);
        params[3] = buf_cstr(&hex);
        CU_ASSERT_EQUAL(
                db_query(c,
                         "insert into mdm.inbox (recv_at, meter_id, source, payload) values "
                         "($1::timestamptz, $2::int, $3::smallint, $4::bytea)",
                         4, params, NULL),
                DB_OK);
        buf_deinit(&hex);
}

static void random_message(struct db_conn *c, int hour)
{
        static const int statuses[] = { 0, 0, 0, 0, 0, 1, 2, 6, 8, 16 };
        int m = (int)rnd(METERS), status = statuses[rnd(10)];
        struct buf b = BUF_INIT;

        for (int sections = 1 + (int)rnd(3); sections; sections--) {
                int ch = (int)rnd(CHANNELS), first = (int)rnd((uint32_t)days_used * 96),
                    n = 1 + (int)rnd(100);
                int64_t values[100];

                if (first + n > days_used * 96)
                        n = days_used * 96 - first;
                for (int i = 0; i < n; i++) {
                        values[i] = rnd(3) ? (first + i) * 10 : (int64_t)rnd(1000) - 200;
                        apply(&want[m][ch][first + i], values[i], status);
                }
                message_put_intervals(&b, (uint8_t)(ch + 1), T0 + 900 * first, 900, (uint8_t)status,
                                      values, (size_t)n);
        }
        if (rnd(2)) {
                int r = (int)rnd((uint32_t)(REGISTERS * days_used / DAYS));
                int64_t value = rnd(50) * 100;

                apply(&registers[m][r], value, status);
                message_put_register(&b, 129, T0 + r * 8000 + 17, (uint8_t)status, value);
        }
        insert_message(c, meter_ids[m], 1 + (int)rnd(2), hour, &b);
        buf_deinit(&b);
}

static void insert_many(struct db *db, int n, int hour)
{
        struct db_conn *c = pg_take(db);

        CU_ASSERT_EQUAL(db_begin(c, "*", false), DB_OK);
        for (int i = 0; i < n; i++)
                random_message(c, hour);
        CU_ASSERT_EQUAL(db_commit(c), DB_OK);
        db_give(db, c);
}

static size_t check_channel(struct db_conn *c, int m, int channel, const struct slot *expect, int n,
                            int64_t first, int step, int period)
{
        char id[16], ch[16];
        const char *params[] = { id, ch };
        struct db_rows *rows = NULL;
        size_t row = 0, wrong = 0;

        snprintf(id, sizeof id, "%d", meter_ids[m]);
        snprintf(ch, sizeof ch, "%d", channel);
        CU_ASSERT_EQUAL_FATAL(
                db_query(c,
                         "select extract(epoch from at)::bigint, period_s, value, status from "
                         "mdm.readings($1::int, $2::smallint, '2026-01-01', '2026-01-05')",
                         2, params, &rows),
                DB_OK);
        for (int i = 0; i < n; i++) {
                if (!expect[i].there)
                        continue;
                if (row >= db_rows_count(rows) ||
                    db_rows_int(rows, row, 0) != first + (int64_t)i * step ||
                    db_rows_int(rows, row, 1) != period ||
                    db_rows_int(rows, row, 2) != expect[i].value ||
                    db_rows_int(rows, row, 3) != expect[i].status)
                        wrong++;
                row++;
        }
        wrong += row != db_rows_count(rows);
        db_rows_free(rows);
        return wrong;
}

static void check_all(struct db *db)
{
        struct db_conn *c = pg_take(db);
        size_t wrong = 0;

        CU_ASSERT_EQUAL(db_begin(c, "*", true), DB_OK);
        for (int m = 0; m < METERS; m++) {
                for (int ch = 0; ch < CHANNELS; ch++)
                        wrong += check_channel(c, m, ch + 1, want[m][ch], SLOTS, T0, 900, 900);
                wrong += check_channel(c, m, 129, registers[m], REGISTERS, T0 + 17, 8000, 0);
        }
        CU_ASSERT_EQUAL(wrong, 0);
        db_give(db, c);
}

static struct seal_stats seal(struct db *db, int64_t before_day)
{
        struct seal_stats st = { 0 };
        char error[512] = "";
        int r = seal_run(db, before_day, &st, NULL, NULL, error, sizeof error);

        CU_ASSERT_EQUAL(r, 0);
        if (r)
                printf("[%s]\n", error);
        return st;
}

static void begin(struct db *db, uint32_t with_seed)
{
        seed = with_seed;
        days_used = DAYS;
        memset(want, 0, sizeof want);
        memset(registers, 0, sizeof registers);
        pg_migrate(db);
        pg_run(db,
               "truncate mdm.inbox, mdm.block, mdm.register_day, mdm.block_hist, mdm.meter_seal, "
               "mdm.seal_log, "
               "mdm.branch_day, mdm.branch_day_dirty;"
               "insert into core.branch (branch_id, code, name) values (1, 'HN', 'Hanoi') on "
               "conflict do nothing;"
               "insert into mdm.meter_model (model, protocol, profile) values ('T', 'mqtt', '{}') "
               "on conflict do nothing;"
               "insert into mdm.meter (meter_id, branch_id, serial, model, commodity, identity) "
               "select i, 1, 's' || i, 'T', 'electricity', 'i' || i from unnest(array[1, 2, 127, "
               "128, 400]) i on conflict do nothing;"
               "select mdm.make_inbox_partition('2026-01-05 00:00Z'), "
               "mdm.make_inbox_partition('2026-01-05 01:00Z'), "
               "mdm.make_inbox_partition('2026-01-05 02:00Z')");
}

static void test_sealing_changes_no_reading(void)
{
        struct db *db = pg_open(2);
        struct seal_stats st;

        begin(db, 42);
        days_used = 2;
        insert_many(db, 100, 0);
        days_used = DAYS;
        insert_many(db, 50, 0);
        check_all(db);
        st = seal(db, DAY0 + 2); /* two days are closed */
        CU_ASSERT_TRUE(st.messages > 90 && st.messages < 150);
        check_all(db);
        insert_many(db, 100, 1); /* late, doubled, edited, rejected */
        check_all(db);
        st = seal(db, DAY0 + DAYS);
        CU_ASSERT_TRUE(st.changed > 0 && st.dups > st.changed);
        check_all(db);
        CU_ASSERT_EQUAL(pg_int(db, "select count(*) from mdm.inbox i join mdm.meter_seal s using "
                                   "(meter_id) where i.seq > s.seq"),
                        0);
        insert_many(db, 60, 2);
        st = seal(db, DAY0 + DAYS);
        CU_ASSERT_EQUAL(st.messages, 60);
        check_all(db);
        CU_ASSERT_TRUE(pg_int(db, "select count(*) from mdm.block_hist where kind = 1") > 10);
        CU_ASSERT_TRUE(pg_int(db, "select count(*) from mdm.block_hist where kind = 2") > 0);
        CU_ASSERT_EQUAL(pg_int(db, "select count(*) from mdm.block b where ver < 1 + (select "
                                   "count(*) from mdm.block_hist h "
                                   "where h.meter_id = b.meter_id and h.day = b.day and kind = 1)"),
                        0);
        /* Hours sealed whole are gone. */
        CU_ASSERT_STRING_EQUAL(pg_text(db, "select to_regclass('mdm.inbox_2026010500') is null and "
                                           "to_regclass('mdm.inbox_2026010502') is null"),
                               "t");
        CU_ASSERT_EQUAL(pg_int(db, "select sum(n_ok) from mdm.branch_day"),
                        pg_int(db, "select sum(n_ok) from mdm.block"));
        CU_ASSERT_EQUAL(pg_int(db, "select max(n_exp) from mdm.block"), 96 * CHANNELS);
        db_close(db);
}

static void test_seal_twice(void)
{
        struct db *db = pg_open(2);
        struct seal_stats st;
        struct seal_cut cut;
        struct db_conn *c;
        char before[64];

        begin(db, 7);
        insert_many(db, 100, 0);
        c = pg_take(db);
        CU_ASSERT_EQUAL(db_begin(c, "*", false), DB_OK);
        CU_ASSERT_EQUAL(seal_cut(c, DAY0 + DAYS, &cut), DB_OK);
        memset(&st, 0, sizeof st);
        CU_ASSERT_EQUAL(seal_range(c, &cut, 1, 127, &st), DB_OK);
        CU_ASSERT_TRUE(st.ranges == 1 && st.blocks > 0);
        memset(&st, 0, sizeof st);
        CU_ASSERT_EQUAL(seal_range(c, &cut, 1, 127, &st), DB_OK); /* the seal log refuses */
        CU_ASSERT_TRUE(st.skipped == 1 && !st.messages && !st.ranges);
        CU_ASSERT_EQUAL(db_commit(c), DB_OK);
        db_give(db, c);
        seal(db, DAY0 + DAYS);
        snprintf(before, sizeof before, "%s",
                 pg_text(db, "select md5(string_agg(meter_id || ' ' || day || ' ' || ver || "
                             "encode(data, 'hex'), "
                             "',' order by meter_id, day)) from mdm.block"));
        pg_run(db, "delete from mdm.seal_log");
        st = seal(db, DAY0 + DAYS); /* without the log the marks refuse */
        CU_ASSERT_TRUE(!st.messages && !st.blocks);
        /* The same messages once more: nothing is written. */
        pg_run(db, "select mdm.put_intervals(1, 9::smallint, '2026-01-01', 900, 0::smallint, "
                   "1::smallint, array[4,5])");
        seal(db, DAY0 + DAYS);
        pg_run(db, "select mdm.put_intervals(1, 9::smallint, '2026-01-01', 900, 0::smallint, "
                   "2::smallint, array[4,5])");
        st = seal(db, DAY0 + DAYS);
        CU_ASSERT_TRUE(st.messages == 1 && st.dups == 2 && !st.blocks && !st.changed);
        CU_ASSERT_STRING_NOT_EQUAL(before,
                                   pg_text(db, "select md5(string_agg(meter_id || ' ' || day || ' "
                                               "' || ver || encode(data, 'hex'), "
                                               "',' order by meter_id, day)) from mdm.block"));
        check_all(db);
        db_close(db);
}

#define RESULT                                                                                     \
        "select md5(string_agg(x, ',' order by x)) from (select concat_ws(' ', 'b', meter_id, "    \
        "day, ver, n_exp, n_ok, n_est, "                                                           \
        "encode(data, 'hex')) x from mdm.block union all select concat_ws(' ', 'r', meter_id, "    \
        "day, ver, n, encode(data, 'hex')) "                                                       \
        "from mdm.register_day union all select concat_ws(' ', 'h', meter_id, day, kind, ver, "    \
        "n_changed, encode(data, 'hex')) "                                                         \
        "from mdm.block_hist union all select concat_ws(' ', 's', meter_id, seq) from "            \
        "mdm.meter_seal union all "                                                                \
        "select concat_ws(' ', 'd', day, branch_id, n_meter, n_exp, n_ok, n_est) from "            \
        "mdm.branch_day) t"

static void test_killed(void)
{
        char whole[64];
        int kills = 0;

        for (int pass = 0; pass < 2; pass++) {
                struct db *db = pg_open(2);

                begin(db, 99);
                pg_run(db, "alter sequence mdm.inbox_seq restart");
                insert_many(db, 120, 0);
                seal(db, DAY0 + 1);
                insert_many(db, 120, 1);
                for (int round = 0; pass && round < 40; round++) {
                        pid_t pid;
                        int status;

                        db_close(db);
                        pid = fork();
                        if (!pid) {
                                struct seal_stats st = { 0 };
                                char error[512];

                                db = pg_open(2);
                                seal_run(db, DAY0 + DAYS, &st, NULL, NULL, error, sizeof error);
                                _exit(0);
                        }
                        usleep((useconds_t)(1000 + round * 700));
                        kill(pid, SIGKILL);
                        waitpid(pid, &status, 0);
                        kills += WIFSIGNALED(status);
                        db = pg_open(2);
                }
                seal(db, DAY0 + DAYS);
                check_all(db);
                if (!pass)
                        snprintf(whole, sizeof whole, "%s", pg_text(db, RESULT));
                else
                        CU_ASSERT_STRING_EQUAL(whole, pg_text(db, RESULT));
                db_close(db);
        }
        printf("[%d kills] ", kills);
        CU_ASSERT_TRUE(kills > 5);
}

static void test_usage_and_registers(void)
{
        struct db *db = pg_open(2);

        begin(db, 1);
        pg_run(db, "update mdm.meter_model set digits = 6 where model = 'T';"
                   "select mdm.put_intervals(1, 129::smallint, '2026-01-01', 900, 0::smallint, "
                   "2::smallint, "
                   "array[999900, 999950, 10, 30, 30, 5, 40])"); /* turns over, stands still, is
                                                                    reset */
        for (int sealed = 0; sealed < 2; sealed++) {
                CU_ASSERT_STRING_EQUAL(
                        pg_text(db, "select string_agg(to_char(at, 'HH24MI') || '=' || value || "
                                    "'/' || period_s || '/' || status, ' ' order by at) "
                                    "from mdm.usage(1, 1::smallint, '2026-01-01', '2026-01-02')"),
                        "0000=50/900/0 0015=60/900/0 0030=20/900/0 0045=0/900/0 0115=35/900/0");
                CU_ASSERT_STRING_EQUAL(
                        pg_text(db, "select concat_ws('|', to_char(at, 'HH24MI'), value) from "
                                    "mdm.register_at(1, 129::smallint, '2026-01-01 00:50Z')"),
                        "0045|30");
                CU_ASSERT_STRING_EQUAL(
                        pg_text(db, "select concat_ws('|', to_char(at, 'HH24MI'), value) from "
                                    "mdm.register_at(1, 129::smallint, '2026-01-20')"),
                        "0130|40");
                CU_ASSERT_STRING_EQUAL(pg_text(db, "select count(*) from mdm.register_at(1, "
                                                   "129::smallint, '2025-12-31')"),
                                       "0");
                CU_ASSERT_STRING_EQUAL(
                        pg_text(db, "select count(*) from mdm.readings(1, 129::smallint, "
                                    "'2026-01-01 00:15Z', '2026-01-01 00:30Z')"),
                        "1");
                CU_ASSERT_STRING_EQUAL(pg_text(db, "select count(*) from mdm.readings(99, "
                                                   "129::smallint, '2026-01-01', '2026-01-02')"),
                                       "0");
                /* A century holds what its days hold; before and after them there is nothing. */
                CU_ASSERT_STRING_EQUAL(
                        pg_text(db, "select (select count(*) from mdm.readings(1, 129::smallint, "
                                    "'2000-01-01', '2100-01-01')) = (select count(*) from "
                                    "mdm.readings(1, 129::smallint, '2025-12-01', '2026-03-01')) "
                                    "and exists (select from mdm.readings(1, 129::smallint, "
                                    "'2000-01-01', '2100-01-01'))"),
                        "t");
                CU_ASSERT_STRING_EQUAL(
                        pg_text(db, "select (select count(*) from mdm.readings(1, 129::smallint, "
                                    "'2000-01-01', '2020-01-01')) + (select count(*) from "
                                    "mdm.readings(1, 129::smallint, '2040-01-01', '2060-01-01'))"),
                        "0");
                seal(db, DAY0 + DAYS);
        }
        /* Interval values, once there are any, come before differences. */
        pg_run(db, "select mdm.put_intervals(1, 1::smallint, '2026-01-01', 3600, 0::smallint, "
                   "2::smallint, array[77])");
        CU_ASSERT_STRING_EQUAL(pg_text(db, "select string_agg(value || '/' || period_s, ' ') from "
                                           "mdm.usage(1, 1::smallint, '2026-01-01', '2026-01-02')"),
                               "77/3600");
        db_close(db);
}

static void test_by_itself(void)
{
        struct db *db = pg_open(3);
        struct sealer *s = NULL;

        begin(db, 5);
        insert_many(db, 30, 0);
        CU_ASSERT_EQUAL_FATAL(sealer_start(&s, db, 1), 0);
        for (int i = 0; i < 500 && pg_int(db, "select count(*) from mdm.branch_day") == 0; i++)
                usleep(10000);
        sealer_stop(s);
        CU_ASSERT_EQUAL(pg_int(db, "select sum(messages) from mdm.seal_log"), 30);
        check_all(db);
        db_close(db);
}

HR_TESTS("store.seal", { "sealing changes no reading", test_sealing_changes_no_reading },
         { "a range is sealed once", test_seal_twice },
         { "killed at any point, the result is the same", test_killed },
         { "usage from registers, register in force", test_usage_and_registers },
         { "the sealer works by itself", test_by_itself })
