#pragma once

/* Inside a visit to a DLMS/COSEM meter: connections and association (dlms_visit.c), what is read
 * and in which order (dlms_read.c), event logs (dlms_events.c), commands (dlms_command.c). */

#include "command.h"
#include "dlms/client.h"
#include "dlms/datetime.h"
#include "dlms/profile.h"
#include "layout.h"
#include "pump.h"
#include "visit.h"

enum { DLMS_SCRATCH_SIZE = 48 * 1024 };

/* What an association is for: COUNTER asks for the meter's invocation counter without security,
 * PROBE finds out which key is wrong, REKEY proves new keys. */
enum dlms_leg { LEG_MAIN, LEG_COUNTER, LEG_PROBE, LEG_REKEY };

/* In this order. */
enum dlms_want {
        WANT_COUNTER,
        WANT_CLOCK,
        WANT_COMMANDS, /* those that do not end the association */
        WANT_COLUMNS,
        WANT_UNITS,
        WANT_PROFILE,
        WANT_REGISTERS,
        WANT_EVENTS,
        WANT_LATE_COMMANDS,
        WANT_CLOSE, /* everything was read, or no more can be */
};

struct dlms_visit {
        struct visit v;
        struct pump pump;
        struct dlms_client client;
        enum dlms_leg leg;
        enum dlms_want want;
        bool connecting, client_made, reserving, counter_tried, probe_tried, retry;
        bool new_keys;        /* associated, or associating, under the keys of a command */
        unsigned first_error; /* of the main association */
        uint64_t counter_floor, ic_first, ic_end;
        struct layout *layout;
        bool relearned;
        struct dlms_attr attrs[2 * MODEL_OBJECTS_MAX];
        size_t n_attrs, at;
        /* profile */
        size_t gap;
        int64_t next_from, chunk_to;
        uint32_t period_s;
        unsigned rows, chunk_rows;
        int64_t row_until; /* up to it the gap has rows, or is noted as a hole */
        int offset_min;    /* of the meter's clock: local minus UTC */
        bool clock_doubt;
        bool registers_done;
        /* events */
        uint8_t log;
        /* commands */
        uint8_t command;
        uint8_t scratch[DLMS_SCRATCH_SIZE];
};

int64_t dlms_visit_now_ms(const struct dlms_visit *d);
int64_t dlms_visit_now_s(const struct dlms_visit *d);

/* dlms_visit.c: says goodbye as far as the session allows, then closes. */
void dlms_visit_leave(struct dlms_visit *d);
/* Fails with the client's error and leaves. */
void dlms_visit_client_error(struct dlms_visit *d, int error);
void dlms_visit_get(struct dlms_visit *d, const struct dlms_attr *attr,
                    const struct dlms_selection *selection);
/* Another association after this one ended: under a command's new keys. */
void dlms_visit_rekey(struct dlms_visit *d);

/* dlms_read.c */
enum datetime_sign dlms_visit_sign(const struct dlms_visit *d);
/* What was wanted is here: asks for the next thing. */
void dlms_visit_advance(struct dlms_visit *d);
/* Of whatever is wanted now. */
void dlms_visit_result(struct dlms_visit *d, const struct dlms_event *ev);
/* Whether several attributes are asked for at once just now. */
bool dlms_visit_lists(const struct dlms_visit *d);

/* dlms_events.c: false when there is no (further) log to read. */
bool dlms_visit_want_events(struct dlms_visit *d);
void dlms_visit_on_events(struct dlms_visit *d, const struct dlms_event *ev);

/* dlms_command.c: false when none is (or remains) to be carried out now. */
bool dlms_visit_want_command(struct dlms_visit *d, bool late);
void dlms_visit_on_command(struct dlms_visit *d, const struct dlms_event *ev);
/* The association is gone: tells those not finished. */
void dlms_visit_cut_commands(struct dlms_visit *d, const char *why);
/* The command whose new keys are on trial; NULL: none. */
struct command *dlms_visit_key_command(const struct dlms_visit *d);
