#pragma once

/*
 * Modbus: names, limits and the two framings (Modbus Application Protocol V1.1b3; Messaging on
 * TCP/IP V1.0b; Serial Line V1.02). Pure: no I/O, no clock, no allocation.
 *
 * A frame (ADU) is an address part, the PDU (function code and its data) and, on serial lines, a
 * CRC. Everything a parser returns points into the bytes it was given.
 */

#include <stddef.h>
#include <stdint.h>

enum {
        MODBUS_PDU_MAX = 253,
        MODBUS_ADU_MAX = 260, /* MBAP header 7 + PDU 253 */
        MODBUS_READ_REGISTERS_MAX = 125,
        MODBUS_WRITE_REGISTERS_MAX = 123,
        MODBUS_READ_BITS_MAX = 2000,
};

enum modbus_transport {
        MODBUS_TCP, /* MBAP header; the transaction id pairs request and response */
        MODBUS_RTU, /* unit, PDU, CRC-16: a serial line, or such a line behind a plain TCP bridge */
};

enum modbus_function {
        MODBUS_READ_COILS = 1,
        MODBUS_READ_DISCRETE = 2,
        MODBUS_READ_HOLDING = 3,
        MODBUS_READ_INPUT = 4,
        MODBUS_WRITE_REGISTER = 6,
        MODBUS_WRITE_REGISTERS = 16,
};

enum modbus_table { MODBUS_COILS, MODBUS_DISCRETE, MODBUS_HOLDING, MODBUS_INPUT };

/* Exception codes, as on the wire. */
enum modbus_exception {
        MODBUS_X_ILLEGAL_FUNCTION = 1,
        MODBUS_X_ILLEGAL_ADDRESS = 2,
        MODBUS_X_ILLEGAL_VALUE = 3,
        MODBUS_X_DEVICE_FAILURE = 4,
        MODBUS_X_ACKNOWLEDGE = 5,
        MODBUS_X_BUSY = 6,
        MODBUS_X_NEGATIVE_ACKNOWLEDGE = 7,
        MODBUS_X_PARITY = 8,
        MODBUS_X_GATEWAY_PATH = 10,
        MODBUS_X_GATEWAY_TARGET = 11,
};

enum modbus_error {
        MODBUS_OK,
        MODBUS_E_SHORT, /* more bytes are needed */
        MODBUS_E_FRAME, /* no Modbus frame: protocol id, length */
        MODBUS_E_CRC,
        MODBUS_E_REPLY,     /* a frame, but not the answer to this request */
        MODBUS_E_EXCEPTION, /* the device refused: see its exception code */
        MODBUS_E_TIMEOUT,
        MODBUS_E_CLOSED,   /* the peer closed the connection, or it broke */
        MODBUS_E_BUSY,     /* the window is full: wait for an event */
        MODBUS_E_ARGUMENT, /* function, count or address out of the protocol's range */
        MODBUS_E_NAN,      /* a float register that holds no number */
};

/* Static texts: "illegal data address", "no answer in time"; unknown numbers too have one. */
const char *modbus_exception_name(unsigned code);
const char *modbus_error_name(enum modbus_error error);

/* CRC-16 of the serial line, to be sent low byte first. */
uint16_t modbus_crc16(const uint8_t *p, size_t n);

struct modbus_adu {
        uint16_t transaction; /* TCP only */
        uint8_t unit;
        const uint8_t *pdu; /* borrowed from the input */
        size_t pdu_len;     /* 1 .. MODBUS_PDU_MAX */
        size_t size;        /* of the whole frame */
};

enum modbus_direction { MODBUS_REQUEST, MODBUS_RESPONSE };

/*
 * The frame at the start of @in. RTU frames carry no length: it follows from the function code, and
 * so depends on the direction. MODBUS_OK, MODBUS_E_SHORT, MODBUS_E_FRAME, MODBUS_E_CRC.
 */
enum modbus_error modbus_frame_parse(enum modbus_transport transport,
                                     enum modbus_direction direction, const uint8_t *in, size_t n,
                                     struct modbus_adu *ret);
/* Bytes written to @out, which holds MODBUS_ADU_MAX; 0 when @pdu_len is out of range. */
size_t modbus_frame_put(enum modbus_transport transport, uint16_t transaction, uint8_t unit,
                        const uint8_t *pdu, size_t pdu_len, uint8_t *out);
