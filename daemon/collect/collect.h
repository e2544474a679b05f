#pragma once

/*
 * The collect role: meters' values on their way to the store. Listens (MQTT, CoAP), visits polled
 * meters by schedule, normalises, hands over to the ingest and acknowledges what is durable.
 *
 * Everything on the loop thread but what says otherwise; nothing here blocks it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "buf.h"
#include "config.h"
#include "db.h"
#include "ingest.h"
#include "normalise.h"
#include "registry.h"

struct collect;

/* Sections [mqtt], [coap], [push], [sweep], [dlms], [clock], [commands]; ended by a NULL name. */
extern const struct config_section collect_config[];

struct collect_options {
        uv_loop_t *loop;
        const struct config *config; /* borrowed, outlives the collect, like all here */
        /* NULL: a concentrator. Everything pushed to it is kept raw and forwarded to [upstream]. */
        struct registry *registry;
        struct ingest *ingest;
        struct spool *spool;   /* a concentrator's: ingest_spool() */
        struct db *db;         /* asked once what is stored already; NULL: read anew */
        const char *state_dir; /* invocation counters, count of disconnections */
        /* Opens and seals keys on trial; NULL: keys cannot be changed. */
        const struct secret *master;
        const char *instance; /* this daemon among several; NULL = "headraced" */
        /* The embedded broker: wins over [mqtt] host and port. NULL = as configured. */
        const char *mqtt_host;
        uint16_t mqtt_port;
};

/* Owned result. 0, or -errno with a sentence for people in @error. */
int collect_open(struct collect **ret, const struct collect_options *options, struct buf *error);
/* Takes nothing more, ends visits, waits for what was handed to the ingest, acknowledges it, then
 * calls @closed (may be NULL). Close the ingest after that. NULL: @closed at once. */
void collect_close(struct collect *c, void (*closed)(void *arg), void *arg);
/* The memory of a closed collect, when no other thread can call it any more; until then calls
 * answer -ESHUTDOWN. NULL is fine. */
void collect_free(struct collect *c);

/* Appends a JSON object of every listener's and the sweep's figures and "state": "ok" or
 * "degraded". Any thread; fits host_add_status(). */
void collect_status(void *collect, struct buf *json);

struct collect_read {
        enum {
                COLLECT_READ,
                COLLECT_FAILED,
                COLLECT_UNKNOWN,
                COLLECT_NOT_POLLED,
                COLLECT_BUSY
        } outcome;
        const char *cause, *text; /* static: visit_cause_name(), visit_cause_text() */
        char detail[200];
        uint64_t values;
        int64_t until; /* intervals before it are stored; 0 = none */
        int64_t duration_ms;
        bool has_clock;
        int64_t clock_offset_s;
};
typedef void collect_read_done(void *arg, const struct collect_read *result);

/* One meter now, before all others. @done once, maybe inside the call. */
void collect_read_now(struct collect *c, uint32_t meter_id, collect_read_done *done, void *arg);

/* ---- any thread ---- */

/* Runs @fn on the loop and waits for it, at most @timeout_ms: 0, -ETIMEDOUT (it may still run: @arg
 * is given back by @release then, else before the return), -ESHUTDOWN. */
int collect_call(struct collect *c, void (*fn)(struct collect *c, void *arg),
                 void (*release)(void *arg), void *arg, int timeout_ms);
/* collect_read_now() from a worker thread: 0 or -ETIMEDOUT, -ESHUTDOWN. */
int collect_read_wait(struct collect *c, uint32_t meter_id, int timeout_ms,
                      struct collect_read *ret);
/* Has every polled meter, or one (0 = all), read for [from, to). */
int collect_sweep_start(struct collect *c, uint32_t meter_id, int64_t from, int64_t to);
/* JSON: the sweep's progress; unread meters with their causes, at most @limit. */
int collect_sweep_json(struct collect *c, struct buf *json);
/* @meter_id: that meter alone, even when it is read; 0 = all that are not. */
int collect_unread_json(struct collect *c, const char *cause, uint32_t meter_id, unsigned limit,
                        struct buf *json);
