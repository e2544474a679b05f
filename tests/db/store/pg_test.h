#pragma once

/* What the store's database tests share: a pool on the private PostgreSQL of with-pg.sh. */

#include <stdlib.h>
#include <unistd.h>

#include "db.h"
#include "migrate.h"
#include "hr_test.h"

static inline const char *pg_conninfo(void)
{
        const char *s = getenv("HEADRACE_TEST_DB");

        if (!s) {
                printf("SKIP: run through tests/db/with-pg.sh\n");
                exit(77);
        }
        return s;
}

static inline struct db *pg_open(int max)
{
        struct db *db = NULL;

        CU_ASSERT_EQUAL_FATAL(db_open(&db, pg_conninfo(), max), 0);
        return db;
}

static inline struct db_conn *pg_take(struct db *db)
{
        struct db_error e = { 0 };
        struct db_conn *c = db_take(db, 5000, &e);

        if (!c)
                printf("%s\n", e.message);
        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        return c;
}

/* Runs statements in one transaction as '*'; prints what went wrong. */
static inline enum db_status pg_run(struct db *db, const char *sql)
{
        struct db_conn *c = pg_take(db);
        enum db_status st = db_begin(c, "*", false);

        if (st == DB_OK)
                st = db_exec(c, sql);
        if (st == DB_OK)
                st = db_commit(c);
        if (st != DB_OK)
                printf("[%s: %s]\n", sql, db_last_error(c)->message);
        db_give(db, c);
        return st;
}

/* First column of the first row as text, "" when there is none; overwritten by the next call. */
static inline const char *pg_text(struct db *db, const char *sql)
{
        static char text[8192];
        struct db_conn *c = pg_take(db);
        struct db_rows *rows = NULL;

        text[0] = 0;
        if (db_begin(c, "*", true) != DB_OK || db_query(c, sql, 0, NULL, &rows) != DB_OK) {
                printf("[%s: %s]\n", sql, db_last_error(c)->message);
                snprintf(text, sizeof text, "FAILED");
        } else if (db_rows_count(rows)) {
                snprintf(text, sizeof text, "%s", db_rows_text(rows, 0, 0));
        }
        db_rows_free(rows);
        db_give(db, c);
        return text;
}

static inline long long pg_int(struct db *db, const char *sql)
{
        return atoll(pg_text(db, sql));
}

static inline void pg_migrate(struct db *db)
{
        char error[512] = "";

        CU_ASSERT_EQUAL_FATAL(migrate_run(db, "core", store_migrations, error, sizeof error), 0);
}

/* The private server, stopped hard and started again. */
static inline void pg_ctl(const char *what)
{
        const char *dir = getenv("HEADRACE_TEST_PG_DIR");
        char cmd[2048];

        CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
        snprintf(cmd, sizeof cmd,
                 "cd / && %s $(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)/pg_ctl -D "
                 "%s/data -w -l %s/log "
                 "-m immediate %s >/dev/null 2>&1",
                 getuid() ? "" : "setpriv --reuid=nobody --regid=nogroup --clear-groups", dir, dir,
                 what);
        if (system(cmd))
                printf("[%s failed]\n", cmd);
}

static inline void pg_stop(void)
{
        pg_ctl("stop");
}

static inline void pg_start(void)
{
        char what[600];

        snprintf(what, sizeof what,
                 "-o '-c listen_addresses= -c unix_socket_directories=%s -c max_connections=60 -c "
                 "timezone=UTC' start",
                 getenv("HEADRACE_TEST_PG_DIR"));
        pg_ctl(what);
}
