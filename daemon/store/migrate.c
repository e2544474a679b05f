#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "migrate.h"
#include "store_sql.h"

const struct hr_migration *const store_migrations = core_migrations;

enum { DIGEST_HEX = 65, ATTEMPTS = 5 };

/* Session lock of the database while migrations run ("HRMG"). */
#define LOCK_SQL   "select pg_advisory_lock(1213353287)"
#define UNLOCK_SQL "select pg_advisory_unlock(1213353287)"

static void digest(const char *text, char out[DIGEST_HEX])
{
        unsigned char md[EVP_MAX_MD_SIZE];
        unsigned n = 0;

        if (!EVP_Digest(text, strlen(text), md, &n, EVP_sha256(), NULL))
                n = 0;
        for (unsigned i = 0; i < n && i < 32; i++)
                snprintf(out + 2 * i, 3, "%02x", md[i]);
        out[2 * (n < 32 ? n : 32)] = 0;
}

static int line_of(const char *sql, int position)
{
        int line = 1;

        for (int i = 0; i < position - 1 && sql[i]; i++)
                line += sql[i] == '\n';
        return line;
}

/* The recorded digests say what ran: *@ret_done the versions that need no run. */
static int check_recorded(const char *owner, const struct hr_migration *m, struct db_rows *rows,
                          int *ret_done, char *error, size_t error_size)
{
        size_t n = db_rows_count(rows);
        char hex[DIGEST_HEX];

        for (size_t i = 0; i < n; i++, m++) {
                if (!m->version) {
                        snprintf(
                                error, error_size,
                                "database has migration %s/%s, which this program does not know; "
                                "run the newer program again, or restore the backup made before it",
                                owner, db_rows_text(rows, i, 1));
                        return -EBADMSG;
                }
                digest(m->sql, hex);
                if (db_rows_int(rows, i, 0) != m->version ||
                    strcmp(db_rows_text(rows, i, 2), hex)) {
                        snprintf(error, error_size,
                                 "migration %s/%s has changed since it ran on this database; "
                                 "restore its text and put the change into a new migration",
                                 owner, m->name);
                        return -EBADMSG;
                }
        }
        *ret_done = (int)n;
        return 0;
}

static int say(struct db_conn *c, enum db_status st, const char *what, char *error, size_t size)
{
        const struct db_error *e = db_last_error(c);

        snprintf(error, size, "%s: %s%s%s", what, e->message, e->sqlstate[0] ? ", SQLSTATE " : "",
                 e->sqlstate);
        return st == DB_RETRY || st == DB_UNKNOWN ? -ECANCELED : -EPROTO;
}

static int run_one(struct db_conn *c, const char *owner, const struct hr_migration *m, char *error,
                   size_t error_size)
{
        char version[12], hex[DIGEST_HEX], what[256];
        const char *params[] = { owner, version, m->name, hex };
        enum db_status st;

        snprintf(version, sizeof version, "%d", m->version);
        digest(m->sql, hex);
        snprintf(what, sizeof what, "migration %s/%s", owner, m->name);
        st = db_begin(c, "*", false);
        if (st == DB_OK) {
                st = db_exec(c, m->sql);
                if (st != DB_OK && db_last_error(c)->position)
                        snprintf(what, sizeof what, "migration %s/%s, line %d", owner, m->name,
                                 line_of(m->sql, db_last_error(c)->position));
        }
        if (st == DB_OK)
                st = db_query(c, sql_migration_record, 4, params, NULL);
        if (st == DB_OK)
                st = db_commit(c);
        if (st == DB_OK)
                return 0;
        say(c, st, what, error, error_size);
        db_rollback(c);
        return st == DB_RETRY || st == DB_UNKNOWN ? -ECANCELED : -EPROTO;
}

static int run_locked(struct db_conn *c, const char *owner, const struct hr_migration *m,
                      char *error, size_t error_size)
{
        struct db_rows *rows;
        enum db_status st = db_exec(c, sql_migration_prepare);
        int r, done = 0;

        if (st == DB_OK)
                st = db_query(c, sql_migration_list, 1, &owner, &rows);
        if (st != DB_OK)
                return say(c, st, "reading core.migration", error, error_size);
        r = check_recorded(owner, m, rows, &done, error, error_size);
        db_rows_free(rows);
        for (m += r ? 0 : done; !r && m->version; m++)
                r = run_one(c, owner, m, error, error_size);
        return r;
}

static int run_once(struct db *db, const char *owner, const struct hr_migration *m, char *error,
                    size_t error_size)
{
        struct db_error e;
        struct db_conn *c = db_take(db, 30000, &e);
        enum db_status st;
        int r;

        if (!c) {
                snprintf(error, error_size, "database is away: %s", e.message);
                return -ECANCELED;
        }
        st = db_exec(c, LOCK_SQL);
        if (st != DB_OK) {
                r = say(c, st, "waiting for other migrations", error, error_size);
        } else {
                r = run_locked(c, owner, m, error, error_size);
                db_exec(c, UNLOCK_SQL);
        }
        db_give(db, c);
        return r;
}

int migrate_run(struct db *db, const char *owner, const struct hr_migration *migrations,
                char *error, size_t error_size)
{
        int r = -ECANCELED;

        if (!migrations || !migrations->version)
                return 0;
        /* After a connection lost in COMMIT the next round reads what really ran. */
        for (int i = 0; i < ATTEMPTS && r == -ECANCELED; i++)
                r = run_once(db, owner, migrations, error, error_size);
        return r;
}
