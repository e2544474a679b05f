/*
 * What is stored already, asked once at the start: readings of polled meters are complete from the
 * first day on up to the first hole. Behind it, everything is read again; doubles fall to the key.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collect_sql.h"
#include "hex.h"
#include "message.h"
#include "polling.h"

struct seed_meter {
        uint32_t meter_id;
        int64_t until;
};

struct seed {
        uv_work_t work;
        struct collect *collect;
        struct db *db;
        int64_t back_s;
        struct seed_meter *meters; /* by id, in the order of the query */
        size_t n, cap;
        bool failed;
        char why[512];
};

static struct seed_meter *meter_of(struct seed *s, uint32_t id)
{
        size_t lo = 0, hi = s->n;

        while (lo < hi) {
                size_t mid = (lo + hi) / 2;

                if (s->meters[mid].meter_id < id)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo < s->n && s->meters[lo].meter_id == id ? &s->meters[lo] : NULL;
}

static bool take_days(struct seed *s, const struct db_rows *rows)
{
        size_t n = db_rows_count(rows);
        int id = db_rows_column(rows, "meter_id"), until = db_rows_column(rows, "until");

        s->meters = calloc(n ? n : 1, sizeof *s->meters);
        if (!s->meters)
                return false;
        for (size_t i = 0; i < n; i++)
                s->meters[i] = (struct seed_meter){ (uint32_t)db_rows_int(rows, i, id),
                                                    db_rows_int(rows, i, until) };
        s->n = n;
        return true;
}

/* A message not sealed yet carries the watermark on when it begins where that ends. */
static void take_payload(struct seed_meter *m, const uint8_t *p, size_t n)
{
        struct rd r = rd_of(p, n);
        struct message_section sec;

        while (message_next(&r, &sec) > 0) {
                int64_t end = sec.at;

                if (sec.type == MESSAGE_INTERVALS)
                        end += (int64_t)sec.n * (int64_t)sec.period_s;
                else if (sec.type != MESSAGE_REGISTER || sec.at % 900)
                        continue; /* a register of the moment of a visit says nothing of the profile
                                   */
                if (end > m->until && (!m->until || sec.at <= m->until + 3600))
                        m->until = end;
        }
}

static bool take_line(void *arg, const void *data, size_t n)
{
        struct seed *s = arg;
        const char *line = data, *tab = memchr(line, '\t', n);
        struct seed_meter *m;
        uint8_t *bytes;
        ssize_t k;

        if (!tab)
                return true;
        m = meter_of(s, (uint32_t)strtoul(line, NULL, 10));
        bytes = m ? malloc(n) : NULL;
        if (!bytes)
                return true;
        n -= (size_t)(tab + 1 - line);
        while (n && (tab[n] == '\n' || tab[n] == '\r'))
                n--;
        k = hex_decode(tab + 1, n, bytes, n);
        if (k > 0)
                take_payload(m, bytes, (size_t)k);
        free(bytes);
        return true;
}

static void seed_run(uv_work_t *w)
{
        struct seed *s = w->data;
        struct db_error e = { 0 };
        struct db_conn *c = db_take(s->db, 30000, &e);
        struct db_rows *rows = NULL;
        char since[32];
        const char *params[] = { since };

        s->failed = true;
        if (!c) {
                snprintf(s->why, sizeof s->why, "%s", e.message);
                return;
        }
        snprintf(since, sizeof since, "%lld", (long long)(time(NULL) - s->back_s));
        if (db_begin(c, "*", true) == DB_OK &&
            db_query(c, sql_stored_days, 1, params, &rows) == DB_OK && take_days(s, rows) &&
            db_copy_out(c, sql_unsealed, take_line, s) == DB_OK)
                s->failed = false;
        else
                snprintf(s->why, sizeof s->why, "%s", db_last_error(c)->message);
        db_rows_free(rows);
        db_give(s->db, c);
}

static void seed_done(uv_work_t *w, int status)
{
        struct seed *s = w->data;
        struct collect *c = s->collect;
        size_t known = 0;

        (void)status;
        if (s->failed)
                log_warn(&c->scope, "cannot learn what is stored: polled meters are read anew",
                         LOG_S("why", s->why));
        for (size_t i = 0; i < s->n && !c->closing; i++) {
                sweep_have(c->sweep, s->meters[i].meter_id, s->meters[i].until);
                known += s->meters[i].until != 0;
        }
        free(s->meters);
        free(s);
        c->seed = NULL;
        c->seeded = true;
        if (c->closing) {
                collect_part_closed(c);
                return;
        }
        log_info(&c->scope, "the schedule begins", LOG_I("meters", sweep_count(c->sweep)),
                 LOG_I("with_readings", known));
        poll_turn(c);
}

void seed_start(struct collect *c)
{
        struct seed *s;

        if (c->seed)
                return;
        s = calloc(1, sizeof *s);
        if (s) {
                *s = (struct seed){ .collect = c, .db = c->db, .back_s = c->back_s };
                s->work.data = s;
                c->seed = s;
                if (uv_queue_work(c->loop, &s->work, seed_run, seed_done) == 0)
                        return;
                free(s);
                c->seed = NULL;
        }
        c->seeded = true;
}
