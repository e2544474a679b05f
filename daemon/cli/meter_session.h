#pragma once

/*
 * One meter, spoken to in plain synchronous steps: a loop of its own runs until a step is done.
 * Every byte both ways can be watched.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "dlms/client.h"
#include "meter_options.h"

enum meter_stage {
        METER_STAGE_NAME,      /* the host's name */
        METER_STAGE_CONNECT,   /* TCP, or opening the serial line */
        METER_STAGE_SIGN_ON,   /* optical head */
        METER_STAGE_LINK,      /* HDLC: SNRM, UA */
        METER_STAGE_ASSOCIATE, /* AARQ, AARE, HLS */
        METER_STAGE_REQUEST,
};

/* What went wrong: where, how, and what a person does about it. */
struct meter_fault {
        enum meter_stage stage;
        int exit;       /* enum meter_exit */
        unsigned error; /* enum dlms_error of the session; 0 = not the session's */
        bool refused, timed_out;
        uint32_t counter;      /* the meter told which one it expects; 0 = not */
        uint64_t counter_used; /* ours got this far */
        char what[300];
        const char *advice; /* static; NULL = none */
};

/* Watches the bytes; @phase is "iec62056-21", "hdlc" or "wrapper". NULL members are skipped. */
struct meter_watch {
        void (*connected)(void *arg, const char *phase);
        void (*bytes)(void *arg, bool out, const uint8_t *p, size_t n);
        void *arg;
};

struct meter_session;

/* Connects and associates. @as_public: as client 16 without security, whatever the options say.
 * @watch borrowed, or NULL. 0, or an enum meter_exit with *@fault filled in. Owned result. */
int meter_session_open(struct meter_session **ret, const struct meter_options *o, bool as_public,
                       const struct meter_watch *watch, struct meter_fault *fault);
/* The same; a meter that refuses our invocation counter is asked for its own and tried once more.
 */
int meter_session_open_counted(struct meter_session **ret, const struct meter_options *o,
                               const struct meter_watch *watch, struct meter_fault *fault);
/* Reads one attribute into @value (emptied first). 0 with *@ret_result (0 = success: @value holds
 * A-XDR), or an enum meter_exit: then the session is over. */
int meter_session_get(struct meter_session *s, const struct dlms_attr *attr,
                      const struct dlms_selection *selection, struct buf *value,
                      uint8_t *ret_result, struct meter_fault *fault);
/* The client machine, to look at what was negotiated. */
const struct dlms_client *meter_session_client(const struct meter_session *s);
/* The optical sign-on's identification; "" without. */
const char *meter_session_identification(const struct meter_session *s);
/* Milliseconds from the start until the transport stood, and until associated. */
int64_t meter_session_connect_ms(const struct meter_session *s);
int64_t meter_session_associate_ms(const struct meter_session *s);
/* Releases politely as far as possible. NULL is fine. */
void meter_session_close(struct meter_session *s);
