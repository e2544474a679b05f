#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "db.h"

struct db_conn {
        struct db *db;
        struct db_conn *next; /* in the idle list */
        PGconn *pg;           /* owned */
        struct db_error error;
};

struct db {
        pthread_mutex_t lock;
        pthread_cond_t changed; /* a connection was given back */
        char *conninfo;         /* owned */
        struct db_conn *idle;
        int max, out; /* out: taken and not given back */
};

struct db_rows {
        PGresult *pg; /* owned */
};

static void error_set(struct db_error *e, const char *sqlstate, const char *message)
{
        size_t n;

        memset(e, 0, sizeof *e);
        snprintf(e->sqlstate, sizeof e->sqlstate, "%s", sqlstate);
        snprintf(e->message, sizeof e->message, "%s", message ? message : "");
        for (n = strlen(e->message); n && e->message[n - 1] == '\n'; n--)
                e->message[n - 1] = 0;
}

static void field_copy(char *to, size_t size, const PGresult *r, int field)
{
        const char *s = PQresultErrorField(r, field);

        snprintf(to, size, "%s", s ? s : "");
}

static void error_from_result(struct db_conn *c, const PGresult *r)
{
        struct db_error *e = &c->error;
        const char *position = PQresultErrorField(r, PG_DIAG_STATEMENT_POSITION);

        error_set(e, "", PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY));
        if (!e->message[0])
                error_set(e, "", PQerrorMessage(c->pg));
        field_copy(e->sqlstate, sizeof e->sqlstate, r, PG_DIAG_SQLSTATE);
        field_copy(e->constraint, sizeof e->constraint, r, PG_DIAG_CONSTRAINT_NAME);
        field_copy(e->column, sizeof e->column, r, PG_DIAG_COLUMN_NAME);
        field_copy(e->hint, sizeof e->hint, r, PG_DIAG_MESSAGE_HINT);
        e->position = position ? atoi(position) : 0;
}

static enum db_status status_of_sqlstate(const char *s)
{
        static const char *const retry[] = {
                "40",    /* serialization failure, deadlock */
                "08",    /* connection */
                "53",    /* disk full, out of memory, too many connections */
                "55P03", /* lock not available */
                "57P0",  /* server shutting down, crashed, starting */
        };

        for (size_t i = 0; i < sizeof retry / sizeof *retry; i++)
                if (!strncmp(s, retry[i], strlen(retry[i])))
                        return DB_RETRY;
        return !strncmp(s, "23", 2) || !strcmp(s, "HR001") ? DB_CONSTRAINT : DB_ERROR;
}

static enum db_status lost(struct db_conn *c)
{
        error_set(&c->error, "08006", PQerrorMessage(c->pg));
        return DB_RETRY;
}

/* Status of a failed result; a broken connection is always the cause that counts. */
static enum db_status failure(struct db_conn *c, const PGresult *r)
{
        if (!r)
                return lost(c);
        error_from_result(c, r);
        if (PQresultStatus(r) != PGRES_FATAL_ERROR && PQresultStatus(r) != PGRES_BAD_RESPONSE) {
                error_set(&c->error, "42601", "a statement of this kind does not belong here");
                return DB_ERROR;
        }
        /* An error without a code comes from libpq itself: the connection is going. */
        if (PQstatus(c->pg) != CONNECTION_OK || !c->error.sqlstate[0])
                return DB_RETRY;
        return status_of_sqlstate(c->error.sqlstate);
}

int db_open(struct db **ret, const char *conninfo, int max_connections)
{
        struct db *db = calloc(1, sizeof *db);
        pthread_condattr_t attr;

        if (!db)
                return -ENOMEM;
        db->conninfo = strdup(conninfo);
        if (!db->conninfo) {
                free(db);
                return -ENOMEM;
        }
        db->max = max_connections > 0 ? max_connections : 1;
        pthread_mutex_init(&db->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&db->changed, &attr);
        pthread_condattr_destroy(&attr);
        *ret = db;
        return 0;
}

static void conn_free(struct db_conn *c)
{
        if (!c)
                return;
        PQfinish(c->pg);
        free(c);
}

void db_close(struct db *db)
{
        if (!db)
                return;
        pthread_mutex_lock(&db->lock);
        while (db->out)
                pthread_cond_wait(&db->changed, &db->lock);
        while (db->idle) {
                struct db_conn *c = db->idle;

                db->idle = c->next;
                conn_free(c);
        }
        pthread_mutex_unlock(&db->lock);
        pthread_cond_destroy(&db->changed);
        pthread_mutex_destroy(&db->lock);
        free(db->conninfo);
        free(db);
}

static void notice_ignore(void *arg, const char *message)
{
        (void)arg;
        (void)message;
}

/* A session always speaks UTC, ISO dates and hexadecimal bytes, whatever the server's defaults. */
static const char session_setup[] =
        "set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'iso_8601'; "
        "set bytea_output = 'hex'; set client_min_messages = warning; "
        /* Functions that unpack blocks look dear to the planner; compiling for them costs more
         * (0.3 s a statement) than it ever saves. */
        "set jit = off; "
        "set idle_in_transaction_session_timeout = '15min'";

static struct db_conn *conn_new(struct db *db, struct db_error *ret_err)
{
        /* Named before dbname, so that the same keyword in the connection string wins. */
        static const char *const keys[] = {
                "connect_timeout",     "application_name", "client_encoding", "keepalives_idle",
                "keepalives_interval", "tcp_user_timeout", "dbname",          NULL
        };
        const char *const values[] = { "5", "headrace", "UTF8",       "10",
                                       "5", "30000",    db->conninfo, NULL };
        struct db_conn *c = calloc(1, sizeof *c);
        PGresult *r;

        if (!c) {
                error_set(ret_err, "53200", "out of memory");
                return NULL;
        }
        c->db = db;
        c->pg = PQconnectdbParams(keys, values, 1);
        if (PQstatus(c->pg) != CONNECTION_OK) {
                error_set(ret_err, "08001", c->pg ? PQerrorMessage(c->pg) : "out of memory");
                conn_free(c);
                return NULL;
        }
        PQsetNoticeProcessor(c->pg, notice_ignore, NULL);
        r = PQexec(c->pg, session_setup);
        if (PQresultStatus(r) != PGRES_COMMAND_OK) {
                error_set(ret_err, "08001", PQerrorMessage(c->pg));
                conn_free(c);
                c = NULL;
        }
        PQclear(r);
        return c;
}

/* An idle connection has nothing to read; if it has, the server said good-bye meanwhile. */
static bool conn_alive(struct db_conn *c)
{
        struct pollfd p = { .fd = PQsocket(c->pg), .events = POLLIN };

        return PQstatus(c->pg) == CONNECTION_OK && p.fd >= 0 && poll(&p, 1, 0) == 0;
}

static struct timespec deadline_in(int timeout_ms)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_sec += timeout_ms / 1000;
        t.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        if (t.tv_nsec >= 1000000000) {
                t.tv_sec++;
                t.tv_nsec -= 1000000000;
        }
        return t;
}

/* Reserves one of the pool's places; *@ret_idle is an open connection or NULL. */
static bool place_take(struct db *db, int timeout_ms, struct db_conn **ret_idle)
{
        struct timespec until = deadline_in(timeout_ms);
        bool got;

        pthread_mutex_lock(&db->lock);
        while (db->out >= db->max && timeout_ms > 0)
                if (pthread_cond_timedwait(&db->changed, &db->lock, &until) == ETIMEDOUT)
                        break;
        got = db->out < db->max;
        if (got) {
                db->out++;
                *ret_idle = db->idle;
                if (db->idle)
                        db->idle = db->idle->next;
        }
        pthread_mutex_unlock(&db->lock);
        return got;
}

static void place_give(struct db *db, struct db_conn *idle)
{
        pthread_mutex_lock(&db->lock);
        db->out--;
        if (idle) {
                idle->next = db->idle;
                db->idle = idle;
        }
        pthread_cond_broadcast(&db->changed);
        pthread_mutex_unlock(&db->lock);
}

struct db_conn *db_take(struct db *db, int timeout_ms, struct db_error *ret_err)
{
        struct db_conn *c = NULL;
        struct db_error e;

        if (!ret_err)
                ret_err = &e;
        if (!place_take(db, timeout_ms, &c)) {
                error_set(ret_err, "53300", "all database connections are in use");
                return NULL;
        }
        if (c && !conn_alive(c)) {
                conn_free(c);
                c = NULL;
        }
        if (!c)
                c = conn_new(db, ret_err);
        if (!c) {
                place_give(db, NULL);
                return NULL;
        }
        memset(&c->error, 0, sizeof c->error);
        return c;
}

void db_give(struct db *db, struct db_conn *c)
{
        if (!c)
                return;
        if (PQtransactionStatus(c->pg) != PQTRANS_IDLE)
                db_rollback(c);
        if (PQstatus(c->pg) != CONNECTION_OK || PQtransactionStatus(c->pg) != PQTRANS_IDLE) {
                conn_free(c);
                c = NULL;
        }
        place_give(db, c);
}

enum db_status db_begin(struct db_conn *c, const char *branches, bool read_only)
{
        char sql[1024];
        enum db_status st;

        if (!branches)
                branches = "";
        /* SET takes no parameters; the scope is "*" or an array of numbers, nothing else. */
        if (branches[strspn(branches, "*{}0123456789,")] || strlen(branches) > sizeof sql - 128) {
                error_set(&c->error, "22023", "the branch scope is neither * nor {1,2,...}");
                return DB_ERROR;
        }
        snprintf(sql, sizeof sql, "begin %s; set local headrace.branches = '%s'",
                 read_only ? "read only" : "read write", branches);
        st = db_exec(c, sql);
        if (st != DB_OK)
                db_rollback(c);
        return st;
}

enum db_status db_commit(struct db_conn *c)
{
        PGresult *r = PQexec(c->pg, "commit");
        enum db_status st = DB_OK;

        if (PQstatus(c->pg) != CONNECTION_OK) {
                lost(c);
                st = DB_UNKNOWN;
        } else if (PQresultStatus(r) != PGRES_COMMAND_OK) {
                st = failure(c, r);
        } else if (strcmp(PQcmdStatus(r), "COMMIT")) {
                error_set(&c->error, "25P02",
                          "a statement of the transaction had failed: rolled back");
                st = DB_ERROR;
        }
        PQclear(r);
        return st;
}

void db_rollback(struct db_conn *c)
{
        if (PQtransactionStatus(c->pg) == PQTRANS_ACTIVE) {
                /* Left in the middle of a COPY or a row-by-row result: not worth untangling. */
                PQfinish(c->pg);
                c->pg = NULL;
                return;
        }
        if (PQstatus(c->pg) == CONNECTION_OK && PQtransactionStatus(c->pg) != PQTRANS_IDLE)
                PQclear(PQexec(c->pg, "rollback"));
}

static enum db_status query(struct db_conn *c, const char *sql, size_t n,
                            const char *const params[], int format, struct db_rows **ret)
{
        PGresult *r = PQexecParams(c->pg, sql, (int)n, NULL, params, NULL, NULL, format);
        ExecStatusType st = PQresultStatus(r);
        enum db_status failed;
        struct db_rows *rows;

        if (st != PGRES_TUPLES_OK && st != PGRES_COMMAND_OK) {
                failed = failure(c, r);
                PQclear(r);
                return failed;
        }
        if (!ret) {
                PQclear(r);
                return DB_OK;
        }
        rows = malloc(sizeof *rows);
        if (!rows) {
                PQclear(r);
                error_set(&c->error, "53200", "out of memory");
                return DB_RETRY;
        }
        rows->pg = r;
        *ret = rows;
        return DB_OK;
}

enum db_status db_query(struct db_conn *c, const char *sql, size_t n, const char *const params[],
                        struct db_rows **ret)
{
        return query(c, sql, n, params, 0, ret);
}

enum db_status db_query_binary(struct db_conn *c, const char *sql, size_t n,
                               const char *const params[], struct db_rows **ret)
{
        return query(c, sql, n, params, 1, ret);
}

enum db_status db_exec(struct db_conn *c, const char *sql)
{
        PGresult *r = PQexec(c->pg, sql);
        ExecStatusType st = PQresultStatus(r);
        enum db_status failed = DB_OK;

        if (st != PGRES_TUPLES_OK && st != PGRES_COMMAND_OK && st != PGRES_EMPTY_QUERY)
                failed = failure(c, r);
        PQclear(r);
        return failed;
}

/* Reads results to the end, as libpq demands; the first failure is the one reported. */
static enum db_status finish_copy(struct db_conn *c)
{
        enum db_status st = DB_OK;
        PGresult *r;

        while ((r = PQgetResult(c->pg))) {
                if (st == DB_OK && PQresultStatus(r) != PGRES_COMMAND_OK)
                        st = failure(c, r);
                PQclear(r);
                if (PQstatus(c->pg) != CONNECTION_OK)
                        break;
        }
        if (PQstatus(c->pg) != CONNECTION_OK)
                return lost(c);
        return st;
}

static enum db_status begin_copy(struct db_conn *c, const char *sql, ExecStatusType want)
{
        PGresult *r = PQexec(c->pg, sql);
        enum db_status st = DB_OK;

        if (PQresultStatus(r) != want)
                st = failure(c, r);
        PQclear(r);
        return st;
}

enum db_status db_copy_in(struct db_conn *c, const char *sql, const void *data, size_t n)
{
        const char *p = data;
        enum db_status st = begin_copy(c, sql, PGRES_COPY_IN);

        if (st != DB_OK)
                return st;
        while (n) {
                size_t piece = n < (1 << 20) ? n : 1 << 20;

                if (PQputCopyData(c->pg, p, (int)piece) != 1)
                        break;
                p += piece;
                n -= piece;
        }
        PQputCopyEnd(c->pg, n ? "the sender failed" : NULL);
        return finish_copy(c);
}

enum db_status db_copy_out(struct db_conn *c, const char *sql,
                           bool (*each)(void *arg, const void *data, size_t n), void *arg)
{
        enum db_status st = begin_copy(c, sql, PGRES_COPY_OUT);
        bool more = true;
        char *piece;
        int n;

        if (st != DB_OK)
                return st;
        /* After a stop the rest is read and dropped, so that the transaction goes on. */
        while ((n = PQgetCopyData(c->pg, &piece, 0)) > 0) {
                if (more)
                        more = each(arg, piece, (size_t)n);
                PQfreemem(piece);
        }
        return finish_copy(c);
}

void db_fail(struct db_conn *c, const char *message)
{
        error_set(&c->error, "", message);
}

const struct db_error *db_last_error(const struct db_conn *c)
{
        return &c->error;
}

void *db_raw(struct db_conn *c)
{
        return c->pg;
}

size_t db_rows_count(const struct db_rows *r)
{
        return r ? (size_t)PQntuples(r->pg) : 0;
}

size_t db_rows_columns(const struct db_rows *r)
{
        return r ? (size_t)PQnfields(r->pg) : 0;
}

const char *db_rows_column_name(const struct db_rows *r, size_t column)
{
        return PQfname(r->pg, (int)column);
}

int db_rows_column(const struct db_rows *r, const char *name)
{
        for (int i = 0; i < PQnfields(r->pg); i++)
                if (!strcmp(PQfname(r->pg, i), name))
                        return i;
        return -1;
}

const char *db_rows_text(const struct db_rows *r, size_t row, int column)
{
        const char *s = PQgetvalue(r->pg, (int)row, column);

        return s ? s : "";
}

bool db_rows_null(const struct db_rows *r, size_t row, int column)
{
        return PQgetisnull(r->pg, (int)row, column);
}

int64_t db_rows_int(const struct db_rows *r, size_t row, int column)
{
        return strtoll(db_rows_text(r, row, column), NULL, 10);
}

const uint8_t *db_rows_bytes(const struct db_rows *r, size_t row, int column, size_t *ret_n)
{
        *ret_n = (size_t)PQgetlength(r->pg, (int)row, column);
        return (const uint8_t *)PQgetvalue(r->pg, (int)row, column);
}

void db_rows_free(struct db_rows *r)
{
        if (!r)
                return;
        PQclear(r->pg);
        free(r);
}
