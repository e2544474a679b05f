#pragma once

/* What the technician's commands share: options with the recording and the trace that watch a
 * session, progress, and values made fit for people. */

#include <jansson.h>

#include "meter_options.h"
#include "meter_session.h"

struct meter_record;
struct meter_trace;

struct meter_tool {
        struct meter_options o;
        struct meter_watch watch; /* for meter_session_open() */
        struct meter_record *record;
        struct meter_trace *trace;
        struct dlms_keys keys;
        struct dlms_crypto *crypto;
        int64_t started_ms;
        bool progress; /* a line is being shown */
};

/* Parses, opens recording and trace (on @trace_out when --trace or @always_trace). 0 = go on, -1 =
 * help was shown, else the exit code. */
int meter_tool_open(struct meter_tool *t, const struct cli_options *cli, enum meter_wants wants,
                    const char *usage, bool always_trace, int argc, char **argv);
/* The exit code: @exit, or METER_FAILED when the recording could not be written. */
int meter_tool_close(struct meter_tool *t, int exit);

/* Says on standard error what is done now; only on a terminal. NULL ends it. */
void meter_tool_progress(struct meter_tool *t, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* ---- values ---- */

/* Scaler and unit of a register, as far as the meter told. */
struct meter_unit {
        bool known;
        int8_t scaler;
        uint8_t unit;
};

/* An exact decimal number or words, and the unit. */
void meter_value_text(struct buf *b, const uint8_t *p, size_t n, const struct meter_unit *u);
/* The class an object of this OBIS code nearly always has; 0 = anything. */
uint16_t meter_class_guess(const struct obis *o);
/* Reads an attribute whose class may not be known; fills in attr->class_id. 0 with *@ret_result,
 * or the exit code. */
int meter_tool_get(struct meter_tool *t, struct meter_session *s, struct dlms_attr *attr,
                   struct buf *value, uint8_t *ret_result, struct meter_fault *fault);
/* Scaler and unit of a register's value; unknown for other attributes. 0 or the exit code. */
int meter_tool_unit(struct meter_session *s, const struct dlms_attr *attr, struct meter_unit *ret,
                    struct meter_fault *fault);

/* The meter's clock. 0; METER_FAILED when it is not set or refused (*@ret_refused: the
 * access-result, 0 = not set); or the exit code with @fault. */
int meter_tool_clock(struct meter_session *s, const struct obis *clock, int64_t *ret_utc,
                     int *ret_offset_min, uint8_t *ret_refused, struct meter_fault *fault);

/* A load profile between two instants: {"columns":[...],"rows":[{"time":...,"c1":...}]}. *@ret
 * owned, NULL when the meter refused (*@ret_refused). 0 or the exit code. */
int meter_tool_profile(struct meter_tool *t, struct meter_session *s, const struct obis *profile,
                       int64_t from, int64_t to, json_t **ret, uint8_t *ret_refused,
                       struct meter_fault *fault);
