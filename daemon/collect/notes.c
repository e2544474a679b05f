/* At the desk, after a visit: how commands ended, what the meter said of itself, why it was unread. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect_sql.h"
#include "commands.h"
#include "key.h"

enum { NUMBER = 24, OUTCOMES = 5 };

struct ended {
        int64_t command_id;
        uint32_t attempt;
        enum command_type type;
        enum command_outcome outcome;
        char error[200];
        char *proof, *progress; /* owned */
        int32_t again_s;
        struct secret guek, gak; /* proven */
};

struct notes {
        struct desk_work work;
        struct collect *collect;
        uint32_t meter_id;
        bool has_clock, cause_news;
        int64_t offset_s, limit_s, at;
        const char *cause; /* static */
        char detail[VISIT_DETAIL_MAX];
        struct visit_gap holes[VISIT_GAPS_MAX];
        uint8_t n_holes;
        struct ended ended[VISIT_COMMANDS_MAX];
        uint8_t n_ended;
};

static const char *const outcomes[] = { "again", "confirmed", "failed", "again", "unreached" };

static char *number(char text[NUMBER], int64_t v)
{
        snprintf(text, NUMBER, "%lld", (long long)v);
        return text;
}

/* ---- commands ---- */

static enum db_status put_key(struct notes *n, struct db_conn *c, const char *kind,
                              const struct secret *key)
{
        uint8_t sealed[KEY_SEALED_MAX];
        struct buf hex = BUF_INIT;
        char meter[NUMBER];
        const char *params[] = { number(meter, n->meter_id), kind, NULL };
        size_t len = key_seal(n->collect->master, n->meter_id, kind, key, sealed);
        enum db_status st = DB_ERROR;

        if (len) {
                buf_put_hex(&hex, sealed, len);
                params[2] = buf_cstr(&hex);
                st = hex.failed ? DB_RETRY : db_query(c, sql_key_put, 3, params, NULL);
        }
        buf_deinit(&hex);
        return st;
}

/* The proven keys take the place of the old ones, in the transaction that says so. */
static enum db_status swap_keys(struct notes *n, struct db_conn *c, const struct ended *e)
{
        char meter[NUMBER];
        const char *params[] = { number(meter, n->meter_id) };
        enum db_status st = put_key(n, c, "guek", &e->guek);

        if (st == DB_OK)
                st = put_key(n, c, "gak", &e->gak);
        if (st == DB_OK)
                st = db_query(c, sql_trial_keys_end, 1, params, NULL);
        return st;
}

static bool is_switch(enum command_type t)
{
        return t == COMMAND_DISCONNECT || t == COMMAND_RECONNECT || t == COMMAND_ARM;
}

/* What the proof says of the meter, whether or not it is what was wanted. */
static enum db_status put_seen(struct notes *n, struct db_conn *c, const struct ended *e)
{
        char meter[NUMBER], id[NUMBER];
        json_t *proof = json_loads(e->proof ? e->proof : "{}", 0, NULL);
        const char *version = json_string_value(json_object_get(proof, "version"));
        enum db_status st = DB_OK;

        if (is_switch(e->type) && json_object_get(proof, "control_state")) {
                const char *params[] = { number(meter, n->meter_id), e->proof,
                                         number(id, e->command_id) };

                st = db_query(c, sql_switch_seen, 3, params, NULL);
        } else if (e->type == COMMAND_FIRMWARE && version) {
                const char *params[] = { number(meter, n->meter_id), version };

                st = db_query(c, sql_firmware_seen, 2, params, NULL);
        }
        json_decref(proof);
        return st;
}

static enum db_status put_ended(struct notes *n, struct db_conn *c, const struct ended *e)
{
        char id[NUMBER], nr[NUMBER], again[NUMBER];
        const char *params[] = { number(id, e->command_id),
                                 number(nr, e->attempt),
                                 outcomes[e->outcome],
                                 e->error,
                                 e->proof ? e->proof : "",
                                 e->progress ? e->progress : "{}",
                                 number(again, e->again_s) };
        enum db_status st = DB_OK;

        if (e->outcome == COMMAND_CONFIRMED && e->type == COMMAND_KEYS)
                st = swap_keys(n, c, e);
        if (st == DB_OK)
                st = put_seen(n, c, e);
        return st == DB_OK ? db_query(c, sql_command_finish, 7, params, NULL) : st;
}

/* ---- the meter ---- */

static enum db_status put_clock(struct notes *n, struct db_conn *c)
{
        const struct clock_policy *policy = &n->collect->clock;
        char meter[NUMBER], offset[NUMBER], limit[NUMBER];
        const char *seen[] = { number(meter, n->meter_id), number(offset, n->offset_s),
                               number(limit, n->limit_s) };
        enum db_status st = db_query(c, sql_clock_seen, 3, seen, NULL);
        char text[160];

        if (st != DB_OK || strcmp(policy->policy, "record") == 0 ||
            llabs(n->offset_s) <= policy->tolerance_s)
                return st;
        snprintf(text, sizeof text,
                 "{\"policy\":\"%s\",\"tolerance_s\":%lld,\"shift_limit_s\":%lld}", policy->policy,
                 (long long)policy->tolerance_s, (long long)policy->shift_limit_s);
        return db_query(c, sql_clock_correct, 2, (const char *[]){ meter, text }, NULL);
}

static enum db_status put_cause(struct notes *n, struct db_conn *c)
{
        char meter[NUMBER], at[NUMBER];
        const char *params[] = { number(meter, n->meter_id), n->cause, n->detail,
                                 number(at, n->at) };

        return db_query(c, sql_cause_put, 4, params, NULL);
}

static enum db_status put_holes(struct notes *n, struct db_conn *c)
{
        char meter[NUMBER], lo[NUMBER], hi[NUMBER];
        enum db_status st = DB_OK;

        for (uint8_t i = 0; st == DB_OK && i < n->n_holes; i++) {
                const char *params[] = { number(meter, n->meter_id), number(lo, n->holes[i].from),
                                         number(hi, n->holes[i].to) };

                st = db_query(c, sql_hole_put, 3, params, NULL);
        }
        return st;
}

static enum db_status notes_run(struct desk_work *w, struct db_conn *c)
{
        struct notes *n = (struct notes *)w;
        enum db_status st = put_holes(n, c);

        if (st == DB_OK && n->has_clock)
                st = put_clock(n, c);
        if (st == DB_OK && n->cause_news)
                st = put_cause(n, c);
        /* Events are published last: the outbox is locked until the commit. */
        for (uint8_t i = 0; st == DB_OK && i < n->n_ended; i++)
                st = put_ended(n, c, &n->ended[i]);
        return st;
}

static void notes_done(struct desk_work *w, enum db_status st)
{
        struct notes *n = (struct notes *)w;
        struct collect *c = n->collect;

        if (st != DB_OK && n->n_ended)
                log_error(&c->scope, "how a command ended could not be written down; the meter "
                                     "will be asked",
                          LOG_I("meter", n->meter_id));
        for (uint8_t i = 0; i < n->n_ended; i++) {
                secret_wipe(&n->ended[i].guek);
                secret_wipe(&n->ended[i].gak);
                free(n->ended[i].proof);
                free(n->ended[i].progress);
        }
        if (n->n_ended || n->has_clock)
                commands_look(c); /* the next may be due */
        free(n);
}

static void take_ended(struct notes *n, struct command *k)
{
        struct ended *e = &n->ended[n->n_ended++];

        command_cut(k, "the visit ended before it");
        e->command_id = command_id(k);
        e->attempt = command_attempt(k);
        e->type = command_type(k);
        e->outcome = command_outcome(k);
        e->again_s = command_again_s(k);
        snprintf(e->error, sizeof e->error, "%s", command_error(k));
        e->proof = command_proof(k);
        e->progress = command_progress(k);
        if (e->type == COMMAND_KEYS && e->outcome == COMMAND_CONFIRMED) {
                e->guek = *command_new_guek(k);
                e->gak = *command_new_gak(k);
        }
        command_free(k);
}

void notes_put(struct collect *c, const struct registry_meter *m, const struct meter_model *model,
               const struct visit_result *result, struct command **commands, uint8_t n_commands,
               bool cause_news)
{
        struct notes *n = calloc(1, sizeof *n);

        if (!n) {
                /* The attempts stay open: after their time the meters are asked. */
                for (uint8_t i = 0; i < n_commands; i++)
                        command_free(commands[i]);
                return;
        }
        n->collect = c;
        n->work = (struct desk_work){ .run = notes_run, .done = notes_done, .must = n_commands > 0 };
        n->meter_id = m->meter_id;
        n->at = collect_now_us() / 1000000;
        n->cause_news = cause_news;
        n->cause = visit_cause_name(result->cause);
        snprintf(n->detail, sizeof n->detail, "%s", result->detail);
        n->offset_s = result->clock_offset_s;
        n->limit_s = model->clock_limit_s;
        /* Small drift is worth a row a day, not one a visit. */
        n->has_clock = result->has_clock && model->protocol == METER_DLMS &&
                       (cause_news || llabs(n->offset_s) > c->clock.tolerance_s);
        memcpy(n->holes, result->holes, sizeof n->holes);
        n->n_holes = result->n_holes;
        for (uint8_t i = 0; i < n_commands; i++)
                take_ended(n, commands[i]);
        if (n->n_ended || n->has_clock || n->cause_news || n->n_holes)
                desk_submit(c->desk, &n->work);
        else
                free(n);
}

/* ---- progress ---- */

struct milestone {
        struct desk_work work;
        int64_t command_id;
        char *progress; /* owned */
};

static enum db_status milestone_run(struct desk_work *w, struct db_conn *c)
{
        struct milestone *m = (struct milestone *)w;
        char id[NUMBER];
        const char *params[] = { number(id, m->command_id), m->progress };

        return db_query(c, sql_command_progress, 2, params, NULL);
}

static void milestone_done(struct desk_work *w, enum db_status st)
{
        struct milestone *m = (struct milestone *)w;

        (void)st; /* without it the next attempt does a little twice */
        free(m->progress);
        free(m);
}

void notes_milestone(struct collect *c, struct command *command)
{
        struct milestone *m = calloc(1, sizeof *m);

        if (!m)
                return;
        m->work = (struct desk_work){ .run = milestone_run, .done = milestone_done };
        m->command_id = command_id(command);
        m->progress = command_progress(command);
        if (m->progress) {
                desk_submit(c->desk, &m->work);
                return;
        }
        free(m);
}
