#pragma once

/*
 * Decoded values of a meter into the payload of daemon/store/format/message.h: channel numbers, the
 * channel's unit as scaled int64, interval start in UTC. What cannot be taken is refused with one
 * reason each and counted; nothing is dropped silently, nothing of a refused value is stored.
 *
 * No I/O; the clock is an argument, but for normalise_raw() which takes the system's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "decimal.h"
#include "models.h"
#include "registry.h"

#define NORMALISE_REFUSAL_MAP(XX)                                                                  \
        XX(NONE, none, "taken")                                                                    \
        XX(UNKNOWN_METER, unknown_meter, "unknown meter")                                          \
        XX(UNKNOWN_LAYOUT, unknown_layout, "unknown layout")                                       \
        XX(UNMAPPED, unmapped, "no channel of the model has this name")                            \
        XX(IDENTITY, identity, "the message names another meter")                                  \
        XX(UNIT, unit, "the unit does not fit the channel")                                        \
        XX(TIME, time, "the time is missing, in the future or off the period")                     \
        XX(RANGE, range, "the value is larger than a reading can be")                              \
        XX(MALFORMED, malformed, "the message cannot be decoded")                                  \
        XX(KEY, key, "the message does not open with the meter's keys")                            \
        XX(TOO_LARGE, too_large, "the message is larger than is taken")

enum normalise_refusal {
#define XX(name, word, text) NORMALISE_##name,
        NORMALISE_REFUSAL_MAP(XX)
#undef XX
                NORMALISE_N_REFUSALS
};

const char *normalise_refusal_name(enum normalise_refusal r);
const char *normalise_refusal_text(enum normalise_refusal r);

struct normalise_counts {
        uint64_t values;
        uint64_t refused[NORMALISE_N_REFUSALS];
};

enum { NORMALISE_RUNS = 8, NORMALISE_FUTURE_S = 86400, NORMALISE_SNAP_S = 10 };

/* Intervals one after the other, not yet written. */
struct normalise_run {
        uint8_t channel, status; /* channel 0 = free */
        int64_t at;
        uint32_t period_s;
        struct buf values; /* int64 each */
};

struct normaliser {
        struct buf *out; /* borrowed */
        int64_t now_s;
        bool failed; /* out of memory */
        struct normalise_counts counts;
        struct normalise_run runs[NORMALISE_RUNS];
};

void normalise_init(struct normaliser *n, struct buf *out, int64_t now_s);
void normalise_deinit(struct normaliser *n);

/* One value of @target: @value × 10^target->scaler in @unit (NULL or "": the target's). @at is UTC
 * seconds; for an interval channel the start of the interval of @period_s (0 = the target's). Times
 * up to NORMALISE_SNAP_S off the period's grid are put on it. */
enum normalise_refusal normalise_value(struct normaliser *n, const struct model_target *target,
                                       int64_t at, uint32_t period_s, uint8_t status,
                                       struct decimal value, const char *unit);
/* Counts a refusal and returns it. */
enum normalise_refusal normalise_refuse(struct normaliser *n, enum normalise_refusal why);
/* Writes what is still held. False when memory ran out: do not use the payload. */
bool normalise_flush(struct normaliser *n);

/* Everything of one pushed message of a known meter. @out is appended to. Returns
 * NORMALISE_NONE when something was taken, else the reason with a sentence in @why. */
enum normalise_refusal normalise_message(const struct registry_meter *meter,
                                         const struct meter_model *model, const void *raw, size_t n,
                                         int64_t now_s, struct buf *out,
                                         struct normalise_counts *counts, char *why,
                                         size_t why_size);

/* The same for the replay of quarantined messages: the model comes from the registry. @detail is
 * what the message was quarantined with. Any thread. 0, or -EINVAL with @why. */
int normalise_raw(const struct registry_meter *meter, const char *detail, const void *raw, size_t n,
                  struct buf *out_payload, char *why, size_t why_size);

void normalise_counts_add(struct normalise_counts *to, const struct normalise_counts *more);
