#pragma once

/*
 * One visit to one polled meter: connect, read everything that is due, say goodbye. Ends with one
 * result that names one cause. Loop thread only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "buf.h"
#include "counters.h"
#include "models.h"
#include "normalise.h"
#include "registry.h"

struct command;

/*
 * Why a visit brought nothing: the causes a person sees are the words, at most twenty of them, each
 * with a next step (visit_cause_next()); several of ours may share a word, their texts say which.
 */
#define VISIT_CAUSE_MAP(XX)                                                                        \
        XX(READ, read, "read")                                                                     \
        XX(NOT_TRIED, not_tried, "not tried yet")                                                  \
        XX(UNKNOWN_HOST, no_route, "the address's host name is not known")                         \
        XX(NO_ROUTE, no_route, "no route to the address")                                          \
        XX(REFUSED, connection_refused, "the connection was refused")                              \
        XX(CONNECT_TIMEOUT, no_route, "the connection was not made in time")                       \
        XX(LINK_DOWN, link_down, "its link failed for other meters and rests before the next try") \
        XX(TIMEOUT, timeout, "no answer in time")                                                  \
        XX(LOST, connection_lost, "the connection was lost")                                       \
        XX(SAP, unknown_sap, "it connects, but no meter answers under its address (SAP)")          \
        XX(WRONG_EK, wrong_encryption_key, "the encryption key is not the meter's")                \
        XX(WRONG_AK, wrong_authentication_key, "the authentication key is not the meter's")        \
        XX(WRONG_KEY, wrong_key, "a key does not fit")                                             \
        XX(COUNTER, counter, "the meter refuses the invocation counter")                           \
        XX(TITLE, wrong_title, "another meter answers: its system title is not this meter's")      \
        XX(NOT_ASSOCIATED, not_associated, "the meter refused the association")                    \
        XX(PASSWORD, wrong_password, "the meter refused the password")                             \
        XX(OBJECT, object, "the meter does not have an object of its model")                       \
        XX(DENIED, object, "the meter does not let us read an object")                             \
        XX(DEVICE, object, "the device answered with an exception")                                \
        XX(PROFILE_CHANGED, profile_changed, "the load profile is not the model's")                \
        XX(UNIT, profile_changed, "a unit does not fit its channel")                               \
        XX(CLOCK, clock_doubtful, "the meter's clock is wrong by more than a day")                 \
        XX(NO_DATA, no_data, "the meter has nothing for the period")                               \
        XX(BAD_FRAME, bad_frame, "what the meter sent cannot be understood")                       \
        XX(ADDRESS, registry, "its address or model in the registry cannot be used")               \
        XX(KEY_MISSING, registry, "no key for it is in the registry")                              \
        XX(QUEUE_FULL, ours, "read, but the store takes nothing at the moment")                    \
        XX(NOT_STORED, ours, "read, but it could not be written to disk")                          \
        XX(SHUTDOWN, ours, "the daemon was ending")                                                \
        XX(INTERNAL, ours, "out of memory or another fault of ours")

enum visit_cause {
#define XX(name, word, text) VISIT_##name,
        VISIT_CAUSE_MAP(XX)
#undef XX
                VISIT_N_CAUSES
};

/* "connection_refused"; "the connection was refused". Static strings. */
const char *visit_cause_name(enum visit_cause cause);
const char *visit_cause_text(enum visit_cause cause);
/* What to do about it; by the word, so that it serves for stored causes too. "" unknown. */
const char *visit_cause_next(const char *name);
/* Whether it speaks of the way to the meter and so of its neighbours on the same link. */
bool visit_cause_is_link(enum visit_cause cause);
/* Of a connection that failed with -errno or a libuv error (0: the peer closed it). */
enum visit_cause visit_cause_of_transport(int error, bool connected);

enum { VISIT_DETAIL_MAX = 200, VISIT_TITLE_SIZE = 8 };

enum { VISIT_GAPS_MAX = 32, VISIT_COMMANDS_MAX = 4 };

struct visit_gap {
        int64_t from, to; /* [from, to) UTC, on the period's grid */
};

struct visit_result {
        enum visit_cause cause;
        char detail[VISIT_DETAIL_MAX];
        const struct buf *payload; /* message.h sections read so far, also of a failed visit */
        struct normalise_counts counts;
        int64_t until; /* intervals before it were read; 0 = none */
        bool has_clock;
        int64_t clock_offset_s; /* meter minus ours */
        int64_t events_until;   /* newest event read; 0 = none */
        unsigned events;
        /* Parts of what was asked for that the meter itself does not have. */
        struct visit_gap holes[VISIT_GAPS_MAX];
        uint8_t n_holes;
        unsigned round_trips, connections;
        int64_t duration_ms;
};

/* What all visits of a daemon share; loop thread. Borrowed by the visits. */
struct visit_shared {
        uv_loop_t *loop;
        struct dlms_crypto *crypto;
        struct counters *counters;
        struct layout_cache *layouts; /* capture objects by model */
        uint8_t client_title[VISIT_TITLE_SIZE];
        int64_t connect_timeout_ms;
        uint32_t answer_timeout_ms;
};

struct visit_request {
        const struct registry_meter *meter; /* borrowed until done */
        const struct meter_model *model;    /* borrowed until done */
        int64_t from, to; /* intervals wanted, [from, to) UTC; from >= to: registers only */
        bool continues;   /* register values at @from are stored already */
        int64_t now_s;    /* UTC */
        /* What is missing of [from, to), ascending; none: all of it. */
        struct visit_gap gaps[VISIT_GAPS_MAX];
        uint8_t n_gaps;
        int64_t events_from; /* event logs from here on; 0 = they are not read */
        uint32_t wait_ms;    /* before the first connection: the meter's pause */
        /* Carried out in this visit; borrowed until done, their outcomes are read then. */
        struct command *commands[VISIT_COMMANDS_MAX];
        uint8_t n_commands;
        /* Progress of a command is worth being stored now. May be NULL. */
        void (*milestone)(void *arg, struct command *command);
};

/* Called exactly once; the visit is gone afterwards. */
typedef void visit_done(void *arg, const struct visit_result *result);

struct visit;

/* Begins the visit the meter's protocol asks for. NULL when out of memory; @done never runs inside
 * the call. */
struct visit *visit_start(const struct visit_shared *shared, const struct visit_request *request,
                          visit_done *done, void *arg);
/* Ends it soon, with cause SHUTDOWN. */
void visit_abort(struct visit *v);

/* ---- for the protocols' files ---- */

struct visit_ops {
        void (*begin)(struct visit *v);
        void (*abort)(struct visit *v);
        void (*free)(struct visit *v);
};

struct visit {
        const struct visit_ops *ops;
        const struct visit_shared *shared;
        struct visit_request request;
        struct meter_address address;
        struct normaliser normal;
        struct visit_result result;
        struct buf payload;
        visit_done *done;
        void *arg;
        uv_timer_t start; /* the first turn, then visit_wait() */
        void (*then)(struct visit *v);
        int64_t started_ms;
        bool failed, finished;
};

struct visit *dlms_visit_new(void);
struct visit *modbus_visit_new(void);

/* The first failure is the one told. */
void visit_fail(struct visit *v, enum visit_cause cause, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/* Calls @then once, @ms from now; only one at a time. visit_finish() and visit_unwait() end it. */
void visit_wait(struct visit *v, uint32_t ms, void (*then)(struct visit *v));
void visit_unwait(struct visit *v);
/* All of the protocol's handles are closed: tells the result and frees. */
void visit_finish(struct visit *v);
