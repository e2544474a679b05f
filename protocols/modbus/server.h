#pragma once

/*
 * The device's side of Modbus: a request PDU in, the answer PDU out. Functions 1, 2, 3, 4, 6 and
 * 16; anything else, and anything malformed, is answered with the exception the specification
 * names. Pure; the registers are the caller's, behind two functions.
 */

#include <stddef.h>
#include <stdint.h>

#include "modbus.h"

struct modbus_server_ops {
        /* @count words of @table from @address to @ret, bits as 0 or 1. Ranges beyond 65536 are
         * refused before. 0 or an exception code; NULL = illegal function. */
        unsigned (*read)(void *device, enum modbus_table table, uint16_t address, uint16_t count,
                         uint16_t *ret);
        /* Holding registers. 0 or an exception code; NULL = illegal function. */
        unsigned (*write)(void *device, uint16_t address, uint16_t count, const uint16_t *values);
};

/* Always an answer, of at most MODBUS_PDU_MAX bytes; returns its length. @n at least 1. */
size_t modbus_server_answer(const struct modbus_server_ops *ops, void *device, const uint8_t *pdu,
                            size_t n, uint8_t out[static MODBUS_PDU_MAX]);
