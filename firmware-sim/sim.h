#pragma once

/*
 * The simulator's shared state: options, clock, meters, files it writes. One loop, one thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <uv.h>

#include "faults.h"
#include "meter.h"
#include "options.h"

struct dlms_crypto;

struct sim_stats {
        uint64_t connections, polls, answers_dropped, restarts;           /* polled meters */
        uint64_t pushed, acknowledged, acks_dropped, duplicates, refused; /* messages */
        uint64_t values;                                                  /* acknowledged */
        struct fault_stats faults;
};

struct sim {
        struct sim_options opt;
        uv_loop_t loop;
        uv_signal_t on_term, on_int;
        uv_timer_t tick; /* rate, live intervals, completion */
        bool stopping, complete;
        uint64_t started_ms, ticked_ms, reported_ms;
        uint64_t random;
        double tokens; /* messages that may leave now, under --rate */
        struct series *series;
        unsigned n_series;
        struct meter *meters; /* owned, n */
        unsigned n;
        struct dlms_crypto *crypto;
        FILE *truth;
        struct sim_stats stats;
        struct sim_polled *polled; /* owned by polled.c */
        struct sim_mqtt *mqtt;
        struct sim_coap *coap;
        struct sim_push *push;
};

/* The meters' clock, UTC seconds. */
int64_t sim_now(const struct sim *s);
/* End of what the meters have measured: the last whole quarter before the clock, at most --to
 * unless --live. */
int64_t sim_data_end(const struct sim *s);
/* Where others reach the polled meters: --host, or loopback when they listen everywhere. */
const char *sim_public_host(const struct sim *s);
/* Where others reach this polled meter; @out holds 128 bytes. */
void sim_meter_host(const struct sim *s, const struct meter *m, char *out);
/* True with a chance of @percent. */
bool sim_chance(struct sim *s, double percent);
/* Whether a message may leave now; counts it. */
bool sim_take_token(struct sim *s);

/* One truth line: @n values of the channel from @start on; interval channels their use, register
 * channels what the register showed. */
void sim_write_truth(struct sim *s, const struct meter *m, unsigned channel, int64_t start,
                     unsigned n);
/* An acknowledged push: intervals from @start and the register after them. */
void sim_acknowledged(struct sim *s, const struct meter *m, int64_t start, unsigned n);

/* Runs until SIGTERM or done; the process's exit code. */
int sim_run(const struct sim_options *o);
