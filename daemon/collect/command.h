#pragma once

/*
 * A command to a meter as a conversation: what to ask next, what an answer means, and what it all
 * proves. Pure: no I/O and no clock; a visit carries it out (dlms_command.c) and tests play the
 * meter.
 *
 * Every kind begins by asking the meter for its state and ends by reading it back, so that a
 * command that may have been sent before (a killed daemon, a cut line) is not repeated when it has
 * taken effect: what counts is what the meter says.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "dlms/axdr.h"
#include "dlms/dlms.h"
#include "models.h"
#include "secret.h"

#define COMMAND_KIND_MAP(XX)                                                                       \
        XX(CLOCK, clock)                                                                           \
        XX(DISCONNECT, disconnect)                                                                 \
        XX(RECONNECT, reconnect)                                                                   \
        XX(ARM, arm)                                                                               \
        XX(LIMITER, limiter)                                                                       \
        XX(CALENDAR, calendar)                                                                     \
        XX(KEYS, keys)                                                                             \
        XX(FIRMWARE, firmware)

enum command_type {
#define XX(name, word) COMMAND_##name,
        COMMAND_KIND_MAP(XX)
#undef XX
                COMMAND_N_TYPES
};

/* -1 unknown. */
int command_type_of(const char *name);
const char *command_type_name(enum command_type type);

enum command_op {
        COMMAND_GET,
        COMMAND_SET,
        COMMAND_ACTION,
        COMMAND_WAIT,  /* ask again after wait_ms */
        COMMAND_REKEY, /* release, and associate under the new keys */
        COMMAND_END,
};

struct command_step {
        enum command_op op;
        struct dlms_attr attr;
        const uint8_t *data; /* SET, ACTION: one A-XDR value; borrowed until the next call */
        size_t n;
        uint32_t wait_ms;
};

enum command_outcome {
        COMMAND_UNDECIDED,
        COMMAND_CONFIRMED, /* the meter itself shows the effect: proof */
        COMMAND_FAILED,    /* it is not in effect and is not tried again: error */
        COMMAND_AGAIN,     /* not decided: after again_s, beginning with the meter's state */
        COMMAND_UNREACHED, /* nothing of it was sent */
};

struct command;

/* What the database says of a command that is to be carried out now. */
struct command_order {
        int64_t command_id;
        uint32_t attempt;
        enum command_type type;
        const char *params, *progress; /* JSON objects */
        bool sent_before;              /* an earlier attempt may have taken effect */
        bool verify_only;              /* ask, but send nothing any more */
        int32_t window_wait_s;         /* firmware: until it may be activated */
        /* keys: the new ones; the meter's master key to wrap them with */
        struct secret guek_next, gak_next, kek;
        bool rekeyed; /* the visit is associated under the new keys already */
        /* firmware */
        const uint8_t *image; /* copied */
        size_t image_len;
        const char *identifier, *version; /* copied */
};

/* Owned result. 0, -ENOMEM, -EINVAL with what is wrong with the parameters in @why. */
int command_new(struct command **ret, const struct command_order *order,
                const struct meter_model *model, char *why, size_t why_size);
/* Wipes keys. NULL is fine. */
void command_free(struct command *c);

int64_t command_id(const struct command *c);
uint32_t command_attempt(const struct command *c);
enum command_type command_type(const struct command *c);
/* After everything else of a visit: it ends the association or takes long. */
bool command_is_late(const struct command *c);
/* Keys on trial: NULL for other kinds. Borrowed. */
const struct secret *command_new_guek(const struct command *c);
const struct secret *command_new_gak(const struct command *c);

/* What is to be done now; the same until command_result() or command_waited(). @now_s: UTC. */
void command_next(struct command *c, int64_t now_s, struct command_step *ret);
/* Of a GET, SET or ACTION: data-access- or action-result, and the value if there is one. */
void command_result(struct command *c, int64_t now_s, unsigned result, const uint8_t *data,
                    size_t n);
void command_waited(struct command *c);
/* Of REKEY: whether the meter associates under the new keys. */
void command_rekeyed(struct command *c, bool works);
/* The association was lost or refused before the end; @why for people. */
void command_cut(struct command *c, const char *why);

enum command_outcome command_outcome(const struct command *c);
const char *command_error(const struct command *c); /* "" = none */
int32_t command_again_s(const struct command *c);
/* JSON object of what the meter said; owned by the caller as text, free(). NULL: out of memory. */
char *command_proof(const struct command *c);
/* Likewise how far it came ("{}": nothing to keep). */
char *command_progress(const struct command *c);
/* How far it came is worth being stored now: true once for each such point. */
bool command_milestone(struct command *c);
