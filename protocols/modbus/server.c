#include "server.h"

#include <string.h>

static uint16_t get_u16(const uint8_t *p)
{
        return (uint16_t)(p[0] << 8 | p[1]);
}

static void put_u16(uint8_t *p, uint16_t v)
{
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
}

static unsigned read_values(const struct modbus_server_ops *ops, void *device,
                            enum modbus_table table, const uint8_t *pdu, size_t n, unsigned max,
                            uint16_t *ret)
{
        uint16_t address, count;

        if (!ops->read)
                return MODBUS_X_ILLEGAL_FUNCTION;
        if (n != 5)
                return MODBUS_X_ILLEGAL_VALUE;
        address = get_u16(pdu + 1);
        count = get_u16(pdu + 3);
        if (count < 1 || count > max)
                return MODBUS_X_ILLEGAL_VALUE;
        if ((uint32_t)address + count > 0x10000)
                return MODBUS_X_ILLEGAL_ADDRESS;
        memset(ret, 0, count * sizeof *ret);
        return ops->read(device, table, address, count, ret);
}

static unsigned answer_bits(const struct modbus_server_ops *ops, void *device, const uint8_t *pdu,
                            size_t n, uint8_t *out, size_t *ret_len)
{
        uint16_t bits[MODBUS_READ_BITS_MAX];
        enum modbus_table table = pdu[0] == MODBUS_READ_COILS ? MODBUS_COILS : MODBUS_DISCRETE;
        unsigned x, count;

        x = read_values(ops, device, table, pdu, n, MODBUS_READ_BITS_MAX, bits);
        if (x)
                return x;
        count = get_u16(pdu + 3);
        out[1] = (uint8_t)((count + 7) / 8);
        memset(out + 2, 0, out[1]);
        for (unsigned i = 0; i < count; i++)
                if (bits[i])
                        out[2 + i / 8] |= (uint8_t)(1u << i % 8);
        *ret_len = 2 + (size_t)out[1];
        return 0;
}

static unsigned answer_registers(const struct modbus_server_ops *ops, void *device,
                                 const uint8_t *pdu, size_t n, uint8_t *out, size_t *ret_len)
{
        uint16_t words[MODBUS_READ_REGISTERS_MAX];
        enum modbus_table table = pdu[0] == MODBUS_READ_HOLDING ? MODBUS_HOLDING : MODBUS_INPUT;
        unsigned x, count;

        x = read_values(ops, device, table, pdu, n, MODBUS_READ_REGISTERS_MAX, words);
        if (x)
                return x;
        count = get_u16(pdu + 3);
        out[1] = (uint8_t)(2 * count);
        for (unsigned i = 0; i < count; i++)
                put_u16(out + 2 + 2 * (size_t)i, words[i]);
        *ret_len = 2 + 2 * (size_t)count;
        return 0;
}

static unsigned answer_write(const struct modbus_server_ops *ops, void *device, const uint8_t *pdu,
                             size_t n, uint8_t *out, size_t *ret_len)
{
        uint16_t words[MODBUS_WRITE_REGISTERS_MAX], count = 1;
        const uint8_t *p = pdu + 3;
        unsigned x;

        if (!ops->write)
                return MODBUS_X_ILLEGAL_FUNCTION;
        if (n < 5)
                return MODBUS_X_ILLEGAL_VALUE;
        if (pdu[0] == MODBUS_WRITE_REGISTERS) {
                count = get_u16(pdu + 3);
                if (count < 1 || count > MODBUS_WRITE_REGISTERS_MAX || n != 6 + 2 * (size_t)count ||
                    pdu[5] != 2 * count)
                        return MODBUS_X_ILLEGAL_VALUE;
                p = pdu + 6;
        } else if (n != 5) {
                return MODBUS_X_ILLEGAL_VALUE;
        }
        if ((uint32_t)get_u16(pdu + 1) + count > 0x10000)
                return MODBUS_X_ILLEGAL_ADDRESS;
        for (size_t i = 0; i < count; i++)
                words[i] = get_u16(p + 2 * i);
        x = ops->write(device, get_u16(pdu + 1), count, words);
        if (x)
                return x;
        memcpy(out + 1, pdu + 1, 4);
        *ret_len = 5;
        return 0;
}

size_t modbus_server_answer(const struct modbus_server_ops *ops, void *device, const uint8_t *pdu,
                            size_t n, uint8_t out[static MODBUS_PDU_MAX])
{
        unsigned x = MODBUS_X_ILLEGAL_FUNCTION;
        size_t len = 2;

        out[0] = n > 0 ? pdu[0] : 0;
        switch (out[0]) {
        case MODBUS_READ_COILS:
        case MODBUS_READ_DISCRETE:
                x = answer_bits(ops, device, pdu, n, out, &len);
                break;
        case MODBUS_READ_HOLDING:
        case MODBUS_READ_INPUT:
                x = answer_registers(ops, device, pdu, n, out, &len);
                break;
        case MODBUS_WRITE_REGISTER:
        case MODBUS_WRITE_REGISTERS:
                x = answer_write(ops, device, pdu, n, out, &len);
                break;
        default:
                break;
        }
        if (!x)
                return len;
        out[0] |= 0x80;
        out[1] = (uint8_t)x;
        return 2;
}
