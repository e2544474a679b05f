#include "modbus_meter.h"

#include "sim.h"

enum { ENERGY = 0x0100, POWER = 0x0110, FREEZE = 0x0200 };

static uint16_t word(uint32_t value, unsigned i)
{
        return (uint16_t)(i == 0 ? value >> 16 : value);
}

static unsigned read_words(void *device, enum modbus_table table, uint16_t address, uint16_t count,
                           uint16_t *ret)
{
        const struct modbus_meter *d = device;
        int64_t end = sim_data_end(d->sim), at = d->frozen ? d->frozen : end;

        if (table != MODBUS_INPUT && table != MODBUS_HOLDING)
                return MODBUS_X_ILLEGAL_FUNCTION;
        for (unsigned i = 0; i < count; i++) {
                unsigned a = address + i;

                if (table == MODBUS_INPUT && (a & ~1u) == ENERGY)
                        ret[i] = word((uint32_t)(meter_register(d->meter, at) / 10), a & 1);
                else if (table == MODBUS_INPUT && (a & ~1u) == POWER)
                        ret[i] = word((uint32_t)meter_power(d->meter, end - 1), a & 1);
                else if (table == MODBUS_HOLDING && (a & ~1u) == FREEZE)
                        ret[i] = word(d->frozen, a & 1);
                else
                        return MODBUS_X_ILLEGAL_ADDRESS;
        }
        return 0;
}

static unsigned write_words(void *device, uint16_t address, uint16_t count, const uint16_t *values)
{
        struct modbus_meter *d = device;
        uint32_t at;

        if (address != FREEZE || count != 2)
                return MODBUS_X_ILLEGAL_ADDRESS;
        at = (uint32_t)values[0] << 16 | values[1];
        if (at != 0 && (at < d->sim->opt.from || at > sim_data_end(d->sim)))
                return MODBUS_X_ILLEGAL_VALUE;
        d->frozen = at;
        return 0;
}

const struct modbus_server_ops modbus_meter_ops = { read_words, write_words };
