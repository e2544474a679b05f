#pragma once

/*
 * Commands in the collect role: which are due, claiming them for a visit (conditions, limits, keys
 * and images, all in one transaction before the first octet), telling how they ended. Loop thread,
 * but for what runs at the desk.
 */

#include "collect_internal.h"
#include "command.h"

/* What a visit needs from the database before it begins. */
struct prepare {
        struct desk_work work;
        struct collect *collect;
        uint32_t meter_id;
        const struct meter_model *model; /* borrowed from the fleet of the visit */
        bool claim, seek_gaps, seek_events;
        int64_t from, to;
        uint32_t period_s;
        uint8_t channel; /* whose gaps */
        /* Results. */
        struct visit_gap gaps[VISIT_GAPS_MAX];
        uint8_t n_gaps;
        bool gaps_known;
        int64_t events_until;
        struct command *commands[VISIT_COMMANDS_MAX]; /* owned until taken */
        uint8_t n_commands;
};

/* At the desk; in prepare.c. */
enum db_status prepare_run(struct desk_work *w, struct db_conn *c);
void prepare_drop_commands(struct prepare *p);

/* After a visit: writes down how its commands ended, what the meter said of itself, why it was
 * unread. Takes the commands. */
void notes_put(struct collect *c, const struct registry_meter *m, const struct meter_model *model,
               const struct visit_result *result, struct command **commands, uint8_t n_commands,
               bool cause_news);
/* Progress of a command under way. */
void notes_milestone(struct collect *c, struct command *command);

int commands_open(struct collect *c, const struct collect_options *o, struct buf *error);
/* Stops asking; the desk is closed by the caller. */
void commands_close(struct collect *c);
void commands_free(struct collect *c);
/* Asks for due commands soon. */
void commands_look(struct collect *c);
/* Whether the last answer named this meter; taken from it. */
bool commands_take_due(struct collect *c, uint32_t meter_id);
