/* At the desk, before a visit: what is missing of the meter, and the commands it is to be given. */

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collect_sql.h"
#include "commands.h"
#include "hex.h"
#include "key.h"

enum { NUMBER = 24 };

void prepare_drop_commands(struct prepare *p)
{
        for (uint8_t i = 0; i < p->n_commands; i++)
                command_free(p->commands[i]);
        p->n_commands = 0;
}

static enum db_status find_gaps(struct prepare *p, struct db_conn *c)
{
        char meter[NUMBER], channel[NUMBER], from[NUMBER], to[NUMBER], period[NUMBER];
        const char *params[] = { meter, channel, from, to, period };
        struct db_rows *rows = NULL;
        enum db_status st;

        snprintf(meter, sizeof meter, "%u", p->meter_id);
        snprintf(channel, sizeof channel, "%u", p->channel);
        snprintf(from, sizeof from, "%lld", (long long)p->from);
        snprintf(to, sizeof to, "%lld", (long long)p->to);
        snprintf(period, sizeof period, "%u", p->period_s);
        st = db_query(c, sql_gaps, 5, params, &rows);
        p->n_gaps = 0;
        for (size_t i = 0; st == DB_OK && i < db_rows_count(rows); i++) {
                struct visit_gap g = { db_rows_int(rows, i, 0), db_rows_int(rows, i, 1) };

                /* More holes than places: the last place takes the rest as one. */
                if (p->n_gaps < VISIT_GAPS_MAX)
                        p->gaps[p->n_gaps++] = g;
                else
                        p->gaps[VISIT_GAPS_MAX - 1].to = g.to;
        }
        p->gaps_known = st == DB_OK;
        db_rows_free(rows);
        return st;
}

static enum db_status find_events(struct prepare *p, struct db_conn *c)
{
        char meter[NUMBER];
        const char *params[] = { meter };
        struct db_rows *rows = NULL;
        enum db_status st;

        snprintf(meter, sizeof meter, "%u", p->meter_id);
        st = db_query(c, sql_events_until, 1, params, &rows);
        p->events_until = st == DB_OK ? db_rows_int(rows, 0, 0) : 0;
        db_rows_free(rows);
        return st;
}

/* ---- what a command needs ---- */

static struct secret *place_of(struct command_order *o, const char *kind)
{
        return !strcmp(kind, "kek")         ? &o->kek
               : !strcmp(kind, "guek_next") ? &o->guek_next
                                            : &o->gak_next;
}

static enum db_status read_keys(struct prepare *p, struct db_conn *c, struct command_order *o)
{
        char meter[NUMBER];
        const char *params[] = { meter };
        struct db_rows *rows = NULL;
        enum db_status st;

        snprintf(meter, sizeof meter, "%u", p->meter_id);
        st = db_query(c, sql_trial_keys, 1, params, &rows);
        for (size_t i = 0; st == DB_OK && i < db_rows_count(rows); i++) {
                const char *kind = db_rows_text(rows, i, 0), *hex = db_rows_text(rows, i, 1);
                uint8_t sealed[KEY_SEALED_MAX];
                ssize_t n = hex_decode(hex, strlen(hex), sealed, sizeof sealed);

                if (n > 0)
                        key_open(p->collect->master, p->meter_id, kind, sealed, (size_t)n,
                                 place_of(o, kind));
        }
        db_rows_free(rows);
        return st;
}

/* Made once and kept, sealed, until the meter has proven that it uses them. */
static enum db_status make_key(struct prepare *p, struct db_conn *c, const char *kind,
                               struct secret *key)
{
        uint8_t bytes[32], sealed[KEY_SEALED_MAX];
        struct buf hex = BUF_INIT;
        char meter[NUMBER];
        const char *params[3] = { meter, kind };
        size_t size = dlms_key_size(p->model->suite), n;
        enum db_status st = DB_ERROR;

        if (key->len)
                return DB_OK;
        snprintf(meter, sizeof meter, "%u", p->meter_id);
        if (RAND_bytes(bytes, (int)size) == 1 && secret_set(key, bytes, size) &&
            (n = key_seal(p->collect->master, p->meter_id, kind, key, sealed)) > 0) {
                buf_put_hex(&hex, sealed, n);
                params[2] = buf_cstr(&hex);
                st = hex.failed ? DB_RETRY : db_query(c, sql_key_put, 3, params, NULL);
        }
        explicit_bzero(bytes, sizeof bytes);
        buf_deinit(&hex);
        return st;
}

static enum db_status take_keys(struct prepare *p, struct db_conn *c, struct command_order *o)
{
        enum db_status st;

        if (!p->collect->master || !p->collect->master->len)
                return DB_OK; /* the command says what it misses */
        st = read_keys(p, c, o);
        if (st == DB_OK && o->kek.len)
                st = make_key(p, c, "guek_next", &o->guek_next);
        if (st == DB_OK && o->kek.len)
                st = make_key(p, c, "gak_next", &o->gak_next);
        return st;
}

static enum db_status take_image(struct db_conn *c, struct command_order *o, struct db_rows **rows)
{
        char id[NUMBER];
        const char *params[] = { id };
        enum db_status st;

        snprintf(id, sizeof id, "%lld", (long long)o->command_id);
        st = db_query_binary(c, sql_command_image, 1, params, rows);
        if (st == DB_OK && db_rows_count(*rows)) {
                o->image = db_rows_bytes(*rows, 0, 0, &o->image_len);
                o->identifier = db_rows_text(*rows, 0, 1);
                o->version = db_rows_text(*rows, 0, 2);
        }
        return st;
}

/* ---- claiming ---- */

static enum db_status put_back(struct db_conn *c, const struct command_order *o, const char *why,
                               int32_t wait_s)
{
        char id[NUMBER], nr[NUMBER], wait[NUMBER];
        const char *params[] = { id, nr, why, wait };

        snprintf(id, sizeof id, "%lld", (long long)o->command_id);
        snprintf(nr, sizeof nr, "%u", o->attempt);
        snprintf(wait, sizeof wait, "%d", wait_s);
        return db_query(c, sql_command_put_back, 4, params, NULL);
}

static enum db_status end_claimed(struct db_conn *c, const struct command_order *o,
                                  const char *outcome, const char *why, int32_t again_s)
{
        char id[NUMBER], nr[NUMBER], again[NUMBER];
        const char *params[] = { id, nr, outcome, why, "", "{}", again };

        snprintf(id, sizeof id, "%lld", (long long)o->command_id);
        snprintf(nr, sizeof nr, "%u", o->attempt);
        snprintf(again, sizeof again, "%d", again_s);
        return db_query(c, sql_command_finish, 7, params, NULL);
}

/* The limit, counted on this process's own disk before anything is sent. True: it may go on. */
static bool within_limit(struct prepare *p, struct db_conn *c, const struct command_order *o,
                         enum db_status *ret_st)
{
        int64_t now = (int64_t)time(NULL);
        char why[160] = "the count of disconnections cannot be kept";
        int32_t wait = 300;

        *ret_st = DB_OK;
        if (o->sent_before)
                return true; /* counted when it was sent first */
        if (p->collect->caps &&
            caps_allow(p->collect->caps, o->command_id, now, &wait, why, sizeof why) &&
            caps_take(p->collect->caps, o->command_id, now) == 0)
                return true;
        *ret_st = put_back(c, o, why, wait);
        return false;
}

static enum db_status make_command(struct prepare *p, struct db_conn *c, struct command_order *o)
{
        struct db_rows *image = NULL;
        enum db_status st = DB_OK;
        char why[200] = "";
        int r = 0;

        if (o->type == COMMAND_KEYS)
                st = take_keys(p, c, o);
        else if (o->type == COMMAND_FIRMWARE)
                st = take_image(c, o, &image);
        if (st == DB_OK && p->model->protocol != METER_DLMS)
                st = end_claimed(c, o, "failed", "meters of this protocol take no commands", 0);
        else if (st == DB_OK)
                r = command_new(&p->commands[p->n_commands], o, p->model, why, sizeof why);
        if (st == DB_OK && r == 0 && p->model->protocol == METER_DLMS)
                p->n_commands++;
        else if (st == DB_OK && r)
                st = r == -ENOMEM ? end_claimed(c, o, "unreached", "out of memory", 60)
                                  : end_claimed(c, o, "failed", why, 0);
        db_rows_free(image);
        secret_wipe(&o->guek_next);
        secret_wipe(&o->gak_next);
        secret_wipe(&o->kek);
        return st;
}

/* One command; *@ret_more: there may be another. */
static enum db_status claim_one(struct prepare *p, struct db_conn *c, bool *ret_more)
{
        char meter[NUMBER];
        const char *params[] = { meter, p->collect->instance };
        struct db_rows *rows = NULL;
        struct command_order o = { 0 };
        enum db_status st;
        int type;

        snprintf(meter, sizeof meter, "%u", p->meter_id);
        *ret_more = false;
        st = db_query(c, sql_command_claim, 2, params, &rows);
        if (st == DB_OK && db_rows_count(rows)) {
                *ret_more = true;
                type = command_type_of(db_rows_text(rows, 0, 1));
                o.command_id = db_rows_int(rows, 0, 0);
                o.type = type < 0 ? COMMAND_CLOCK : (enum command_type)type;
                o.attempt = (uint32_t)db_rows_int(rows, 0, 2);
                o.sent_before = db_rows_int(rows, 0, 3) != 0;
                o.verify_only = db_rows_int(rows, 0, 4) != 0;
                o.params = db_rows_text(rows, 0, 5);
                o.progress = db_rows_text(rows, 0, 6);
                o.window_wait_s = (int32_t)db_rows_int(rows, 0, 7);
                if (type < 0)
                        st = end_claimed(c, &o, "failed", "this daemon does not know the kind", 0);
                else if (!db_rows_int(rows, 0, 8) || within_limit(p, c, &o, &st))
                        st = make_command(p, c, &o);
        }
        db_rows_free(rows);
        return st;
}

/* Those that end the association stand last. */
static void sort_commands(struct prepare *p)
{
        struct command *late[VISIT_COMMANDS_MAX];
        uint8_t n = 0, n_late = 0;

        for (uint8_t i = 0; i < p->n_commands; i++)
                if (command_is_late(p->commands[i]))
                        late[n_late++] = p->commands[i];
                else
                        p->commands[n++] = p->commands[i];
        memcpy(p->commands + n, late, n_late * sizeof *late);
}

enum db_status prepare_run(struct desk_work *w, struct db_conn *c)
{
        struct prepare *p = (struct prepare *)w;
        enum db_status st = DB_OK;
        bool more = p->claim;

        prepare_drop_commands(p); /* it may be the second try */
        if (p->seek_gaps)
                st = find_gaps(p, c);
        if (st == DB_OK && p->seek_events)
                st = find_events(p, c);
        while (st == DB_OK && more && p->n_commands < VISIT_COMMANDS_MAX)
                st = claim_one(p, c, &more);
        sort_commands(p);
        return st;
}
