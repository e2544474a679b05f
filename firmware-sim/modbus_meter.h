#pragma once

/*
 * The registers of a HR-MODBUS-E1:
 *   input 0x0100-0101   total active energy imported, 0.01 kWh, high word first
 *   input 0x0110-0111   active power, W, signed
 *   holding 0x0200-0201 freeze instant, seconds since 1970 UTC, high word first; 0 = none
 * While an instant is frozen, the energy register shows its value of then; an instant outside the
 * history is refused with exception 3.
 */

#include "server.h"

#include "meter.h"

struct sim;

struct modbus_meter {
        struct sim *sim;
        struct meter *meter;
        uint32_t frozen; /* 0 = none */
};

extern const struct modbus_server_ops modbus_meter_ops;
