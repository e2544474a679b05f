#include "modbus.h"

#include <string.h>

enum { MBAP_SIZE = 7, CRC_SIZE = 2 };

static uint16_t get_u16(const uint8_t *p)
{
        return (uint16_t)(p[0] << 8 | p[1]);
}

static void put_u16(uint8_t *p, size_t v)
{
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
}

const char *modbus_exception_name(unsigned code)
{
        static const char *const names[] = {
                [MODBUS_X_ILLEGAL_FUNCTION] = "illegal function",
                [MODBUS_X_ILLEGAL_ADDRESS] = "illegal data address",
                [MODBUS_X_ILLEGAL_VALUE] = "illegal data value",
                [MODBUS_X_DEVICE_FAILURE] = "device failure",
                [MODBUS_X_ACKNOWLEDGE] = "acknowledged, still working",
                [MODBUS_X_BUSY] = "device busy",
                [MODBUS_X_NEGATIVE_ACKNOWLEDGE] = "negative acknowledge",
                [MODBUS_X_PARITY] = "memory parity error",
                [MODBUS_X_GATEWAY_PATH] = "gateway path unavailable",
                [MODBUS_X_GATEWAY_TARGET] = "device behind the gateway does not answer",
        };

        if (code < sizeof names / sizeof *names && names[code])
                return names[code];
        return "unknown exception";
}

const char *modbus_error_name(enum modbus_error error)
{
        static const char *const names[] = {
                [MODBUS_OK] = "no error",
                [MODBUS_E_SHORT] = "frame incomplete",
                [MODBUS_E_FRAME] = "not a Modbus frame",
                [MODBUS_E_CRC] = "wrong CRC",
                [MODBUS_E_REPLY] = "the answer does not fit the request",
                [MODBUS_E_EXCEPTION] = "refused by the device",
                [MODBUS_E_TIMEOUT] = "no answer in time",
                [MODBUS_E_CLOSED] = "connection lost",
                [MODBUS_E_BUSY] = "too many requests in flight",
                [MODBUS_E_ARGUMENT] = "function, count or address out of range",
                [MODBUS_E_NAN] = "register holds no number",
        };

        if ((unsigned)error < sizeof names / sizeof *names)
                return names[error];
        return "unknown error";
}

uint16_t modbus_crc16(const uint8_t *p, size_t n)
{
        uint16_t crc = 0xFFFF;

        while (n-- > 0) {
                crc ^= *p++;
                for (int bit = 0; bit < 8; bit++)
                        crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xA001 : crc >> 1);
        }
        return crc;
}

static enum modbus_error parse_tcp(const uint8_t *in, size_t n, struct modbus_adu *ret)
{
        size_t len;

        if (n >= 4 && get_u16(in + 2) != 0)
                return MODBUS_E_FRAME;
        if (n < 6)
                return MODBUS_E_SHORT;
        /* The length counts the unit and the PDU. */
        len = get_u16(in + 4);
        if (len < 2 || len > MODBUS_PDU_MAX + 1)
                return MODBUS_E_FRAME;
        if (n < 6 + len)
                return MODBUS_E_SHORT;
        *ret = (struct modbus_adu){
                .transaction = get_u16(in),
                .unit = in[6],
                .pdu = in + MBAP_SIZE,
                .pdu_len = len - 1,
                .size = 6 + len,
        };
        return MODBUS_OK;
}

/* Length of the PDU at @pdu of which @n bytes are known; 0 = not known yet, -1 = no such function.
 */
static int rtu_pdu_len(enum modbus_direction direction, const uint8_t *pdu, size_t n)
{
        if (n < 1)
                return 0;
        if (direction == MODBUS_RESPONSE && pdu[0] & 0x80)
                return 2;
        switch (pdu[0]) {
        case MODBUS_READ_COILS:
        case MODBUS_READ_DISCRETE:
        case MODBUS_READ_HOLDING:
        case MODBUS_READ_INPUT:
                if (direction == MODBUS_REQUEST)
                        return 5;
                return n < 2 ? 0 : 2 + pdu[1];
        case MODBUS_WRITE_REGISTER:
                return 5;
        case MODBUS_WRITE_REGISTERS:
                if (direction == MODBUS_RESPONSE)
                        return 5;
                return n < 6 ? 0 : 6 + pdu[5];
        default:
                return -1;
        }
}

static enum modbus_error parse_rtu(enum modbus_direction direction, const uint8_t *in, size_t n,
                                   struct modbus_adu *ret)
{
        int len;
        size_t size;
        uint16_t crc;

        if (n < 2)
                return MODBUS_E_SHORT;
        len = rtu_pdu_len(direction, in + 1, n - 1);
        if (len < 0 || len > MODBUS_PDU_MAX)
                return MODBUS_E_FRAME;
        size = 1 + (size_t)len + CRC_SIZE;
        if (len == 0 || n < size)
                return MODBUS_E_SHORT;
        crc = modbus_crc16(in, size - CRC_SIZE);
        if (in[size - 2] != (crc & 0xFF) || in[size - 1] != crc >> 8)
                return MODBUS_E_CRC;
        *ret = (struct modbus_adu){
                .unit = in[0], .pdu = in + 1, .pdu_len = (size_t)len, .size = size
        };
        return MODBUS_OK;
}

enum modbus_error modbus_frame_parse(enum modbus_transport transport,
                                     enum modbus_direction direction, const uint8_t *in, size_t n,
                                     struct modbus_adu *ret)
{
        return transport == MODBUS_TCP ? parse_tcp(in, n, ret) : parse_rtu(direction, in, n, ret);
}

size_t modbus_frame_put(enum modbus_transport transport, uint16_t transaction, uint8_t unit,
                        const uint8_t *pdu, size_t pdu_len, uint8_t *out)
{
        uint16_t crc;

        if (pdu_len < 1 || pdu_len > MODBUS_PDU_MAX)
                return 0;
        if (transport == MODBUS_TCP) {
                put_u16(out, transaction);
                put_u16(out + 2, 0);
                put_u16(out + 4, pdu_len + 1);
                out[6] = unit;
                memcpy(out + MBAP_SIZE, pdu, pdu_len);
                return MBAP_SIZE + pdu_len;
        }
        out[0] = unit;
        memcpy(out + 1, pdu, pdu_len);
        crc = modbus_crc16(out, 1 + pdu_len);
        out[1 + pdu_len] = (uint8_t)crc;
        out[2 + pdu_len] = (uint8_t)(crc >> 8);
        return 1 + pdu_len + CRC_SIZE;
}
