#pragma once

/*
 * The catalogue of channels (mdm.channel of daemon/store/sql/002_registry.sql, which a test
 * compares with this table) and the exact way from a number with a unit to a channel's value.
 * Pure, no allocation; every returned string is static.
 *
 * A channel's value is int64 in its unit × 10^scaler: energy.import 1500 = 1500 Wh, voltage.l1
 * 230100 = 230.100 V.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decimal.h"

enum channel_kind {
        CHANNEL_INTERVAL, /* use over a period, stamped with the start of the interval */
        CHANNEL_REGISTER, /* cumulative, stamped with the instant */
        CHANNEL_INSTANT,  /* momentary, stamped with the instant */
};

enum {
        CHANNEL_ENERGY_IMPORT = 1,
        CHANNEL_ENERGY_EXPORT = 2,
        CHANNEL_REACTIVE_IMPORT = 3,
        CHANNEL_REACTIVE_EXPORT = 4,
        CHANNEL_WATER_VOLUME = 5,
        CHANNEL_GAS_VOLUME = 6,
        CHANNEL_HEAT_ENERGY = 7,
        CHANNEL_POWER_IMPORT = 8,
        CHANNEL_POWER_EXPORT = 9,
        CHANNEL_ENERGY_IMPORT_TOTAL = 129,
        CHANNEL_ENERGY_EXPORT_TOTAL = 130,
        CHANNEL_WATER_VOLUME_TOTAL = 133,
        CHANNEL_GAS_VOLUME_TOTAL = 134,
        CHANNEL_HEAT_ENERGY_TOTAL = 135,
};

struct channel {
        uint8_t number; /* mdm.channel.channel, 1-255; registers from 128 */
        const char *code;
        const char *commodity; /* "electricity", "water", "gas", "heat", "any" */
        const char *unit;
        int8_t scaler; /* power of ten of the value's unit, -9 to 0 */
        enum channel_kind kind;
        uint8_t register_of; /* register: the interval channel of its difference; else 0 */
};

/* All channels in the order of their number. */
const struct channel *channel_list(size_t *ret_n);
/* NULL when there is none. */
const struct channel *channel_by_code(const char *code);
const struct channel *channel_by_number(unsigned number);
/* "interval", "register", "instant" */
const char *channel_kind_name(enum channel_kind kind);

enum {
        CHANNEL_E_UNIT = 1, /* no such unit */
        CHANNEL_E_QUANTITY, /* a unit of another quantity: L for energy */
};

/*
 * @value in @unit as a value of @ch. Units: Wh kWh MWh GWh J kJ MJ GJ, varh kvarh Mvarh, L l dm3
 * hL m3 m³ ft3 gal, W kW MW, V mV kV, A mA, Hz mHz kHz, 1 / %, L/h l/h L/min l/min L/s l/s m3/h
 * m3/s, Cel °C degC K. A NULL or empty unit means the channel's own.
 * What is finer than the channel can hold is rounded half-even, *@ret_exact (may be NULL) says so.
 * 0, CHANNEL_E_UNIT, CHANNEL_E_QUANTITY, or -ERANGE when the value does not fit.
 */
int channel_convert(const struct channel *ch, struct decimal value, const char *unit, int64_t *ret,
                    bool *ret_exact);
/* Whether channel_convert() would take the unit: 0 or one of its positive errors. */
int channel_check_unit(const struct channel *ch, const char *unit);
