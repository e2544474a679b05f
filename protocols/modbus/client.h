#pragma once

/*
 * The master's side of a Modbus connection: requests out, answers in, over TCP (MBAP) or RTU
 * framing. A state machine without I/O, clock or heap; core.h drives it:
 *
 *     modbus_client_init(&c, &(struct modbus_client_config){ .transport = MODBUS_TCP });
 *     modbus_client_request(&c, &request, now)      at most `window` without an answer
 *     modbus_client_next_event(&c, &event)          one DONE per request, or FAILED for all
 *
 * Answers are paired by transaction id (TCP) and checked against their request: unit, function,
 * length, echo. A late answer to a request that timed out is dropped and counted, never taken for
 * another's. A timeout or an exception costs its request only; the connection goes on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core.h"
#include "modbus.h"

enum {
        MODBUS_WINDOW_MAX = 8,
        MODBUS_TIMEOUT_MS = 3000,
        MODBUS_STRAY_MAX = 64, /* strays without a good answer between: the peer talks nonsense */
};

struct modbus_client_config {
        enum modbus_transport transport;
        uint8_t window;      /* requests in flight, 1-8; 0 = 1. RTU: always 1 */
        uint32_t timeout_ms; /* for one answer; 0 = MODBUS_TIMEOUT_MS */
};

struct modbus_request {
        uint8_t unit;           /* 0-255; over TCP mostly 1 or 255 */
        uint8_t function;       /* enum modbus_function */
        uint16_t address;       /* as on the wire, from 0 */
        uint16_t count;         /* registers or bits; 1 with function 6 */
        const uint16_t *values; /* functions 6, 16: @count registers; borrowed for the call */
        uint32_t tag;           /* the caller's, comes back with the event */
};

enum modbus_event_type {
        MODBUS_EV_NONE,
        MODBUS_EV_DONE,   /* one request has its answer, or @error says why not */
        MODBUS_EV_FAILED, /* the connection is of no more use; every request is lost. Close it */
};

struct modbus_event {
        enum modbus_event_type type;
        enum modbus_error
                error;     /* DONE: 0, EXCEPTION, TIMEOUT, REPLY, CRC. FAILED: FRAME, CLOSED */
        uint8_t exception; /* with MODBUS_E_EXCEPTION: modbus_exception_name() */
        int os_error;      /* FAILED with CLOSED: what closed() was given */
        uint32_t tag;
        uint8_t unit, function; /* of the request */
        uint16_t address, count;
        const uint8_t *data; /* reads: registers, high byte first, or bits packed from the lowest;
                              * borrowed until the next call */
        size_t len;
};

struct modbus_client_slot {
        bool used;
        uint16_t transaction, address, count;
        uint8_t unit, function;
        uint32_t tag;
        int64_t deadline_ms;
};

struct modbus_client {
        struct modbus_client_config cfg;
        bool failed;
        uint16_t next_transaction;
        unsigned strays_in_row;
        struct modbus_client_slot slots[MODBUS_WINDOW_MAX];
        struct modbus_event event;
        size_t in_len, out_len, out_done;
        uint64_t requests, replies, timeouts, strays;
        uint8_t data[MODBUS_PDU_MAX];
        uint8_t in[MODBUS_ADU_MAX];
        uint8_t out[MODBUS_WINDOW_MAX * MODBUS_ADU_MAX];
};

extern const struct core_ops modbus_client_core;

void modbus_client_init(struct modbus_client *c, const struct modbus_client_config *config);
/* Queues the request's frame. 0, MODBUS_E_BUSY, MODBUS_E_CLOSED (failed before) or
 * MODBUS_E_ARGUMENT. */
enum modbus_error modbus_client_request(struct modbus_client *c, const struct modbus_request *req,
                                        int64_t now_ms);
/* Requests without an answer. */
unsigned modbus_client_pending(const struct modbus_client *c);
bool modbus_client_next_event(struct modbus_client *c, struct modbus_event *ret);
