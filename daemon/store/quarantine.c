#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "hex.h"
#include "message.h"
#include "quarantine.h"
#include "store_sql.h"

enum { ID, PROTOCOL, IDENTITY, DETAIL, SOURCE, PAYLOAD };

static enum db_status hold(struct db_conn *c, const char *id, const char *why)
{
        const char *params[] = { id, why };

        return db_query(c, sql_quarantine_hold, 2, params, NULL);
}

/* *@ret_done is cleared when the meter has come meanwhile: the row stays due. */
static enum db_status unknown(struct db_conn *c, const char *id, bool *ret_done)
{
        struct db_rows *rows = NULL;
        enum db_status st = db_query(c, sql_quarantine_unknown, 1, &id, &rows);

        *ret_done = st != DB_OK || db_rows_count(rows);
        db_rows_free(rows);
        return st;
}

static enum db_status take_in(struct db_conn *c, const char *id, const struct registry_meter *m,
                              const char *source, const struct buf *payload)
{
        struct buf hex = BUF_INIT;
        char meter[12];
        const char *params[] = { id, meter, source, NULL };
        enum db_status st;

        snprintf(meter, sizeof meter, "%" PRIu32, m->meter_id);
        buf_put_str(&hex, "\\x");
        buf_put_hex(&hex, payload->p, payload->len);
        params[3] = buf_cstr(&hex);
        st = hex.failed ? DB_RETRY : db_query(c, sql_quarantine_take, 4, params, NULL);
        buf_deinit(&hex);
        return st;
}

static enum db_status replay_row(struct db_conn *c, const struct db_rows *rows, size_t row,
                                 const struct registry_snapshot *s, registry_normalise *normalise,
                                 bool *ret_done)
{
        int protocol = registry_protocol(db_rows_text(rows, row, PROTOCOL));
        const char *id = db_rows_text(rows, row, ID), *hex = db_rows_text(rows, row, PAYLOAD);
        const struct registry_meter *m =
                protocol < 0 ? NULL
                             : registry_by_identity(s, (enum meter_protocol)protocol,
                                                    db_rows_text(rows, row, IDENTITY));
        size_t n = strlen(hex) / 2;
        uint8_t *raw;
        struct buf payload = BUF_INIT;
        char why[256] = "unknown layout";
        enum db_status st;

        *ret_done = true;
        if (!m)
                return unknown(c, id, ret_done);
        raw = malloc(n + 1);
        if (!raw)
                return DB_RETRY;
        if (hex_decode(hex, 2 * n, raw, n) != (ssize_t)n ||
            normalise(m, db_rows_text(rows, row, DETAIL), raw, n, &payload, why, sizeof why) ||
            payload.failed || message_check(payload.p, payload.len))
                st = hold(c, id, why);
        else
                st = take_in(c, id, m, db_rows_text(rows, row, SOURCE), &payload);
        free(raw);
        buf_deinit(&payload);
        return st;
}

int quarantine_replay(struct db_conn *c, const struct registry_snapshot *s,
                      registry_normalise *normalise)
{
        struct db_rows *rows = NULL;
        enum db_status st = db_begin(c, "*", false);
        int n = 0;

        if (st == DB_OK)
                st = db_query(c, sql_inbox_partition_now, 0, NULL, NULL);
        if (st == DB_OK)
                st = db_query(c, sql_quarantine_due, 0, NULL, &rows);
        for (size_t i = 0; st == DB_OK && i < db_rows_count(rows); i++) {
                bool done = true;

                st = replay_row(c, rows, i, s, normalise, &done);
                n += done;
        }
        db_rows_free(rows);
        if (st == DB_OK)
                st = db_commit(c);
        if (st != DB_OK)
                db_rollback(c);
        return st == DB_OK ? n : -1;
}
