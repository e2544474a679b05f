#pragma once

/*
 * Exchanges with a meter in plain words: fed with the bytes of both directions as they pass, from
 * a live session or a recording, it finds frames and APDUs, opens what is ciphered when it has the
 * keys, and says each in words beside its bytes. Pure but for the FILE it writes to.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "dlms/security.h"

enum meter_phase { METER_PHASE_SIGN_ON, METER_PHASE_HDLC, METER_PHASE_WRAPPER };

struct meter_trace_config {
        FILE *out;                    /* borrowed */
        bool json;                    /* one JSON object a line instead of text */
        const struct dlms_keys *keys; /* borrowed; has_ek false = ciphered APDUs stay closed */
        struct dlms_crypto *crypto;   /* borrowed */
        const uint8_t *server_title;  /* 8 bytes, borrowed; NULL = from the AARE */
        const uint8_t *secret;        /* borrowed: its bytes are not shown; NULL = none */
        size_t secret_len;
};

struct meter_trace;

/* Owned. NULL when out of memory. */
struct meter_trace *meter_trace_new(const struct meter_trace_config *config);
void meter_trace_free(struct meter_trace *t);
/* A transport begins, or the line changes its protocol. */
void meter_trace_phase(struct meter_trace *t, int64_t at_ms, enum meter_phase phase);
void meter_trace_bytes(struct meter_trace *t, int64_t at_ms, bool out, const uint8_t *p, size_t n);
/* What stayed incomplete is shown, too. */
void meter_trace_end(struct meter_trace *t, int64_t at_ms);
/* How many frames and APDUs could not be understood. */
unsigned meter_trace_damaged(const struct meter_trace *t);

const char *meter_phase_name(enum meter_phase phase);
/* False for a name that is none. */
bool meter_phase_parse(const char *name, enum meter_phase *ret);
