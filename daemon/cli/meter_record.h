#pragma once

/*
 * Recordings: JSON lines. The first says what was recorded:
 *     {"headrace_recording":1,"meter":"tcp://...","started":"2026-10-01T08:00:00Z"}
 * then, with milliseconds since the start, in order:
 *     {"at_ms":12,"phase":"wrapper"}              a transport begins (or HDLC after a sign-on)
 *     {"at_ms":13,"dir":"out","hex":"..."}        bytes to ("out") and from ("in") the meter
 * Bytes are kept as they passed: keys never do, but a low-level password does, so the file is
 * readable for its owner only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "meter_trace.h"

struct meter_record;

/* Owned. 0 or -errno. An older file of this name is replaced. */
int meter_record_open(struct meter_record **ret, const char *path, const char *meter);
void meter_record_phase(struct meter_record *r, int64_t at_ms, enum meter_phase phase);
void meter_record_bytes(struct meter_record *r, int64_t at_ms, bool out, const uint8_t *p,
                        size_t n);
/* NULL is fine. 0, or -errno when something could not be written. */
int meter_record_close(struct meter_record *r);

/* Plays @path into @trace. 0; -errno; -EBADMSG with @why (which line, and what is wrong). */
int meter_record_play(const char *path, struct meter_trace *trace, char *why, size_t why_size);
