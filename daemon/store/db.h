#pragma once

/*
 * PostgreSQL for worker threads: a bounded pool of blocking libpq connections, transactions and
 * results. No call here may run on the loop thread.
 *
 * Every transaction begins with the caller's branch scope (headrace.branches) set locally.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;      /* the pool; thread-safe */
struct db_conn; /* one connection, used by one thread at a time */
struct db_rows; /* a result; owned by the caller, db_rows_free() */

enum db_status {
        DB_OK = 0,
        DB_RETRY = 1,      /* serialization failure, deadlock, connection lost before COMMIT */
        DB_CONSTRAINT = 2, /* unique, check, foreign key, exclusion, or RAISE with code HR001 */
        DB_ERROR = 3,      /* the statement is wrong */
        DB_UNKNOWN = 4,    /* connection lost during COMMIT: it may or may not have happened */
};

struct db_error {
        char sqlstate[6];
        char constraint[64];
        char column[64];
        char message[512]; /* server's primary message; for HR001 the text meant for the person */
        char hint[256];
        int position; /* character of the statement where it went wrong, from 1; 0 = unknown */
};

/* @conninfo is a libpq connection string or URL. Connects lazily. 0 or -ENOMEM. */
int db_open(struct db **ret, const char *conninfo, int max_connections);
/* Waits until every connection taken has been given back. */
void db_close(struct db *db);

/* Takes a connection, waiting at most @timeout_ms. NULL: none free, or the database is away (then
 * *@ret_err says why; NULL allowed). */
struct db_conn *db_take(struct db *db, int timeout_ms, struct db_error *ret_err);
/* Gives it back; an open transaction is rolled back, a broken connection closed. */
void db_give(struct db *db, struct db_conn *c);

/* @branches: "*", "{1,2}" or NULL (no row visible). */
enum db_status db_begin(struct db_conn *c, const char *branches, bool read_only);
enum db_status db_commit(struct db_conn *c);
void db_rollback(struct db_conn *c);

/* Text parameters and results. @ret may be NULL. On error db_last_error() says what. */
enum db_status db_query(struct db_conn *c, const char *sql, size_t n, const char *const params[],
                        struct db_rows **ret);
/* Text parameters, binary results: read them with db_rows_bytes(). */
enum db_status db_query_binary(struct db_conn *c, const char *sql, size_t n,
                               const char *const params[], struct db_rows **ret);
/* Several statements in one string, no parameters (migrations). */
enum db_status db_exec(struct db_conn *c, const char *sql);
enum db_status db_copy_in(struct db_conn *c, const char *sql, const void *data, size_t n);
enum db_status db_copy_out(struct db_conn *c, const char *sql,
                           bool (*each)(void *arg, const void *data, size_t n), void *arg);
/* Makes db_last_error() say @message: for code above that found the trouble itself. */
void db_fail(struct db_conn *c, const char *message);
const struct db_error *db_last_error(const struct db_conn *c);
/* The PGconn, for what this façade does not have (COPY with several buffers, LISTEN). */
void *db_raw(struct db_conn *c);

size_t db_rows_count(const struct db_rows *r);
size_t db_rows_columns(const struct db_rows *r);
const char *db_rows_column_name(const struct db_rows *r, size_t column);
int db_rows_column(const struct db_rows *r, const char *name);             /* -1 unknown */
const char *db_rows_text(const struct db_rows *r, size_t row, int column); /* "" for NULL */
bool db_rows_null(const struct db_rows *r, size_t row, int column);
int64_t db_rows_int(const struct db_rows *r, size_t row, int column);
/* The value as the server sent it; borrowed from the rows. */
const uint8_t *db_rows_bytes(const struct db_rows *r, size_t row, int column, size_t *ret_n);
void db_rows_free(struct db_rows *r);
