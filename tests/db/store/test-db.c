#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "migrate.h"
#include "pg_test.h"

#define KILL_ME "select pg_terminate_backend(pg_backend_pid())"

static void test_scope_is_per_transaction(void)
{
        struct db *db = pg_open(1);
        struct db_conn *c = pg_take(db);
        struct db_rows *rows;

        CU_ASSERT_EQUAL(db_begin(c, "{1,7}", true), DB_OK);
        CU_ASSERT_EQUAL(db_query(c, "select current_setting('headrace.branches'), null, '-12'", 0,
                                 NULL, &rows),
                        DB_OK);
        CU_ASSERT_STRING_EQUAL(db_rows_text(rows, 0, 0), "{1,7}");
        CU_ASSERT_TRUE(db_rows_null(rows, 0, 1));
        CU_ASSERT_STRING_EQUAL(db_rows_text(rows, 0, 1), "");
        CU_ASSERT_EQUAL(db_rows_int(rows, 0, 2), -12);
        CU_ASSERT_EQUAL(db_rows_column(rows, "current_setting"), 0);
        CU_ASSERT_EQUAL(db_rows_column(rows, "nothing"), -1);
        CU_ASSERT_EQUAL(db_rows_columns(rows), 3);
        db_rows_free(rows);
        CU_ASSERT_EQUAL(db_exec(c, "create table refused (x int)"), DB_ERROR); /* read only */
        db_give(db, c);
        CU_ASSERT_STRING_EQUAL(pg_text(db, "select current_setting('headrace.branches')"), "*");
        c = pg_take(db);
        CU_ASSERT_EQUAL(
                db_query(c, "select current_setting('headrace.branches', true)", 0, NULL, &rows),
                DB_OK);
        CU_ASSERT_STRING_EQUAL(db_rows_text(rows, 0, 0), "");
        db_rows_free(rows);
        CU_ASSERT_EQUAL(db_begin(c, "*'; drop table x; --", false), DB_ERROR);
        db_give(db, c);
        db_close(db);
}

static void test_failures_have_their_class(void)
{
        struct db *db = pg_open(2);
        struct db_conn *c;
        const char *p[] = { "1" };

        CU_ASSERT_EQUAL(pg_run(db,
                               "create table f (x int constraint f_key unique deferrable initially "
                               "deferred, y int constraint f_y check (y > 0)); insert into f "
                               "values (1, 1)"),
                        DB_OK);
        c = pg_take(db);
        CU_ASSERT_EQUAL(db_begin(c, "*", false), DB_OK);
        CU_ASSERT_EQUAL(db_query(c, "insert into f values (2, -$1::int)", 1, p, NULL),
                        DB_CONSTRAINT);
        CU_ASSERT_STRING_EQUAL(db_last_error(c)->constraint, "f_y");
        CU_ASSERT_STRING_EQUAL(db_last_error(c)->sqlstate, "23514");
        CU_ASSERT_EQUAL(db_commit(c), DB_ERROR); /* the server rolls back: that is no success */

        CU_ASSERT_EQUAL(db_begin(c, "*", false), DB_OK);
        CU_ASSERT_EQUAL(db_query(c, "insert into f values ($1::int, 1)", 1, p, NULL), DB_OK);
        CU_ASSERT_EQUAL(db_commit(c), DB_CONSTRAINT); /* deferred: found at COMMIT */
        CU_ASSERT_STRING_EQUAL(db_last_error(c)->constraint, "f_key");

        CU_ASSERT_EQUAL(db_begin(c, "*", false), DB_OK);
        CU_ASSERT_EQUAL(
                db_exec(c,
                        "do $$ begin raise exception 'not before Monday' using errcode = 'HR001', "
                        "hint = 'wait'; end $$"),
                DB_CONSTRAINT);
        CU_ASSERT_STRING_EQUAL(db_last_error(c)->message, "not before Monday");
        CU_ASSERT_STRING_EQUAL(db_last_error(c)->hint, "wait");
        db_rollback(c);
        CU_ASSERT_EQUAL(db_exec(c, "select 1;\nselect nothing"), DB_ERROR);
        CU_ASSERT_EQUAL(db_last_error(c)->position, 18);
        CU_ASSERT_EQUAL(
                db_exec(c, "do $$ begin raise exception 'x' using errcode = '40001'; end $$"),
                DB_RETRY);
        db_give(db, c);
        CU_ASSERT_EQUAL(pg_int(db, "select count(*) from f"), 1);
        db_close(db);
}

static void test_lost_connections(void)
{
        struct db *db = pg_open(1);
        struct db_conn *c = pg_take(db);

        CU_ASSERT_EQUAL(db_begin(c, "*", false), DB_OK);
        CU_ASSERT_EQUAL(db_exec(c, "create table lost (x int)"), DB_OK);
        CU_ASSERT_EQUAL(db_exec(c, KILL_ME), DB_RETRY);
        db_give(db, c);
        CU_ASSERT_STRING_EQUAL(pg_text(db, "select to_regclass('lost') is null"), "t");

        /* A trigger that ends the session while it commits. */
        CU_ASSERT_EQUAL(
                pg_run(db,
                       "create table lost (x int);"
                       "create function die() returns trigger language plpgsql as "
                       "$$ begin perform pg_terminate_backend(pg_backend_pid()); return null; end "
                       "$$;"
                       "create constraint trigger die after insert on lost deferrable initially "
                       "deferred for each row execute function die()"),
                DB_OK);
        c = pg_take(db);
        CU_ASSERT_EQUAL(db_begin(c, "*", false), DB_OK);
        CU_ASSERT_EQUAL(db_exec(c, "insert into lost values (1)"), DB_OK);
        CU_ASSERT_EQUAL(db_commit(c), DB_UNKNOWN);
        CU_ASSERT_EQUAL(db_query(c, "select 1", 0, NULL, NULL), DB_RETRY);
        db_give(db, c);

        /* One that dies while idle in the pool is replaced unseen. */
        {
                struct db *other = pg_open(1);
                char sql[128];

                snprintf(sql, sizeof sql, "select pg_terminate_backend(%lld)",
                         pg_int(db, "select pg_backend_pid()"));
                CU_ASSERT_STRING_EQUAL(pg_text(other, sql), "t");
                usleep(100000);
                db_close(other);
        }
        CU_ASSERT_EQUAL(pg_int(db, "select 5"), 5);
        db_close(db);
}

static void test_away_is_said(void)
{
        struct db *db = NULL;
        struct db_error e = { 0 };

        CU_ASSERT_EQUAL_FATAL(db_open(&db, "host=/nonexistent-headrace dbname=x", 1), 0);
        CU_ASSERT_PTR_NULL(db_take(db, 10, &e));
        CU_ASSERT_STRING_EQUAL(e.sqlstate, "08001");
        CU_ASSERT_PTR_NOT_NULL(strstr(e.message, "nonexistent-headrace"));
        db_close(db);
}

static void *give_later(void *arg)
{
        void **p = arg;

        usleep(50000);
        db_give(p[0], p[1]);
        return NULL;
}

static void test_pool_is_bounded(void)
{
        struct db *db = pg_open(2);
        struct db_conn *a = pg_take(db), *b = pg_take(db), *c;
        void *arg[] = { db, b };
        pthread_t t;

        CU_ASSERT_PTR_NULL(db_take(db, 20, NULL));
        CU_ASSERT_PTR_NULL(db_take(db, 0, NULL));
        pthread_create(&t, NULL, give_later, arg);
        c = db_take(db, 5000, NULL);
        CU_ASSERT_PTR_EQUAL(c, b); /* the same connection, open already */
        pthread_join(t, NULL);
        db_give(db, a);
        db_give(db, c);
        db_close(db);
}

static bool collect(void *arg, const void *data, size_t n)
{
        char *all = arg;

        strncat(all, data, n);
        return strlen(all) < 4;
}

static void test_copy(void)
{
        struct db *db = pg_open(1);
        struct db_conn *c = pg_take(db);
        char all[64] = "";

        CU_ASSERT_EQUAL(db_begin(c, "*", false), DB_OK);
        CU_ASSERT_EQUAL(db_exec(c, "create table k (x int primary key)"), DB_OK);
        CU_ASSERT_EQUAL(db_copy_in(c, "copy k from stdin", "1\n2\n3\n", 6), DB_OK);
        CU_ASSERT_EQUAL(db_copy_out(c, "copy (select x from k order by x) to stdout", collect, all),
                        DB_OK);
        CU_ASSERT_STRING_EQUAL(all, "1\n2\n");
        CU_ASSERT_EQUAL(db_commit(c), DB_OK); /* a stopped COPY leaves the transaction alive */
        CU_ASSERT_EQUAL(db_begin(c, "*", false), DB_OK);
        CU_ASSERT_EQUAL(db_copy_in(c, "copy k from stdin", "4\n1\n", 4), DB_CONSTRAINT);
        CU_ASSERT_STRING_EQUAL(db_last_error(c)->constraint, "k_pkey");
        db_rollback(c);
        CU_ASSERT_EQUAL(db_copy_in(c, "select 1", "4\n", 2), DB_ERROR);
        CU_ASSERT_EQUAL(db_copy_out(c, "copy k from stdin", collect, all), DB_ERROR);
        db_give(db, c);
        CU_ASSERT_EQUAL(pg_int(db, "select sum(x) from k"), 6);
        db_close(db);
}

static const struct hr_migration two[] = {
        { 1, "001_a", "create table mig_a (x int); insert into mig_a values (1);" },
        { 2, "002_b", "insert into mig_a values (2);" },
        { 0, NULL, NULL },
};

static void *migrate_thread(void *arg)
{
        char error[512];

        return migrate_run(arg, "race", two, error, sizeof error) ? (void *)1 : NULL;
}

static void test_migrations(void)
{
        struct db *db = pg_open(8);
        struct hr_migration bad[] = { two[0],
                                      two[1],
                                      { 3, "003_c", "create table mig_c (x int);\n\nselect oops;" },
                                      { 0, NULL, NULL } };
        char error[512] = "";
        pthread_t t[4];

        for (int i = 0; i < 4; i++)
                pthread_create(&t[i], NULL, migrate_thread, db);
        for (int i = 0; i < 4; i++) {
                void *failed;

                pthread_join(t[i], &failed);
                CU_ASSERT_PTR_NULL(failed);
        }
        CU_ASSERT_EQUAL(pg_int(db, "select sum(x) from mig_a"), 3);
        CU_ASSERT_EQUAL(migrate_run(db, "race", bad, error, sizeof error), -EPROTO);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, "race/003_c, line 3"));
        CU_ASSERT_PTR_NOT_NULL(strstr(error, "oops"));
        CU_ASSERT_STRING_EQUAL(pg_text(db, "select to_regclass('mig_c') is null"), "t");
        bad[1].sql = "insert into mig_a values (3);";
        CU_ASSERT_EQUAL(migrate_run(db, "race", bad, error, sizeof error), -EBADMSG);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, "race/002_b has changed"));
        bad[1].version = 0;
        CU_ASSERT_EQUAL(migrate_run(db, "race", bad, error, sizeof error), -EBADMSG);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, "002_b, which this program does not know"));
        CU_ASSERT_EQUAL(pg_int(db, "select sum(x) from mig_a"), 3);
        db_close(db);
}

static void test_own_schema(void)
{
        struct db *db = pg_open(2);
        char error[512] = "";

        CU_ASSERT_EQUAL(migrate_run(db, "core", store_migrations, error, sizeof error), 0);
        CU_ASSERT_STRING_EQUAL(error, "");
        CU_ASSERT_EQUAL(migrate_run(db, "core", store_migrations, error, sizeof error), 0);
        CU_ASSERT_TRUE(pg_int(db, "select count(*) from mdm.channel") > 20);
        db_close(db);
}

HR_TESTS("store.db", { "branch scope is set per transaction", test_scope_is_per_transaction },
         { "failures are told apart", test_failures_have_their_class },
         { "a lost connection: retry before COMMIT, unknown in it", test_lost_connections },
         { "a database that is away is said", test_away_is_said },
         { "the pool is bounded and wakes waiters", test_pool_is_bounded },
         { "COPY in and out", test_copy },
         { "migrations run once, together, and refuse changed texts", test_migrations },
         { "the store's own schema", test_own_schema })
