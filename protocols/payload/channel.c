#include "channel.h"

#include <errno.h>
#include <string.h>

static const struct channel channels[] = {
        { 1, "energy.import", "electricity", "Wh", 0, CHANNEL_INTERVAL, 0 },
        { 2, "energy.export", "electricity", "Wh", 0, CHANNEL_INTERVAL, 0 },
        { 3, "reactive.import", "electricity", "varh", 0, CHANNEL_INTERVAL, 0 },
        { 4, "reactive.export", "electricity", "varh", 0, CHANNEL_INTERVAL, 0 },
        { 5, "water.volume", "water", "L", 0, CHANNEL_INTERVAL, 0 },
        { 6, "gas.volume", "gas", "L", 0, CHANNEL_INTERVAL, 0 },
        { 7, "heat.energy", "heat", "Wh", 0, CHANNEL_INTERVAL, 0 },
        { 8, "power.import", "electricity", "W", 0, CHANNEL_INSTANT, 0 },
        { 9, "power.export", "electricity", "W", 0, CHANNEL_INSTANT, 0 },
        { 10, "voltage.l1", "electricity", "V", -3, CHANNEL_INSTANT, 0 },
        { 11, "voltage.l2", "electricity", "V", -3, CHANNEL_INSTANT, 0 },
        { 12, "voltage.l3", "electricity", "V", -3, CHANNEL_INSTANT, 0 },
        { 13, "current.l1", "electricity", "A", -3, CHANNEL_INSTANT, 0 },
        { 14, "current.l2", "electricity", "A", -3, CHANNEL_INSTANT, 0 },
        { 15, "current.l3", "electricity", "A", -3, CHANNEL_INSTANT, 0 },
        { 16, "frequency", "electricity", "Hz", -3, CHANNEL_INSTANT, 0 },
        { 17, "power.factor", "electricity", "1", -3, CHANNEL_INSTANT, 0 },
        { 18, "flow", "any", "L/h", 0, CHANNEL_INSTANT, 0 },
        { 19, "temperature", "any", "Cel", -2, CHANNEL_INSTANT, 0 },
        { 129, "energy.import.total", "electricity", "Wh", 0, CHANNEL_REGISTER, 1 },
        { 130, "energy.export.total", "electricity", "Wh", 0, CHANNEL_REGISTER, 2 },
        { 131, "reactive.import.total", "electricity", "varh", 0, CHANNEL_REGISTER, 3 },
        { 132, "reactive.export.total", "electricity", "varh", 0, CHANNEL_REGISTER, 4 },
        { 133, "water.volume.total", "water", "L", 0, CHANNEL_REGISTER, 5 },
        { 134, "gas.volume.total", "gas", "L", 0, CHANNEL_REGISTER, 6 },
        { 135, "heat.energy.total", "heat", "Wh", 0, CHANNEL_REGISTER, 7 },
};

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* One unit is num/den of the first unit of its quantity; Kelvin also shifts. */
struct unit {
        const char *name, *quantity;
        int64_t num, den;
        int32_t shift_e2; /* hundredths of the first unit, added before anything else */
};

static const struct unit units[] = {
        { "Wh", "Wh", 1, 1, 0 },
        { "kWh", "Wh", 1000, 1, 0 },
        { "MWh", "Wh", 1000000, 1, 0 },
        { "GWh", "Wh", 1000000000, 1, 0 },
        { "J", "Wh", 1, 3600, 0 },
        { "kJ", "Wh", 10, 36, 0 },
        { "MJ", "Wh", 10000, 36, 0 },
        { "GJ", "Wh", 10000000, 36, 0 },
        { "varh", "varh", 1, 1, 0 },
        { "kvarh", "varh", 1000, 1, 0 },
        { "Mvarh", "varh", 1000000, 1, 0 },
        { "L", "L", 1, 1, 0 },
        { "l", "L", 1, 1, 0 },
        { "dm3", "L", 1, 1, 0 },
        { "hL", "L", 100, 1, 0 },
        { "m3", "L", 1000, 1, 0 },
        { "m\xC2\xB3", "L", 1000, 1, 0 },
        { "ft3", "L", 28316846592, 1000000000, 0 },
        { "gal", "L", 3785411784, 1000000000, 0 },
        { "W", "W", 1, 1, 0 },
        { "kW", "W", 1000, 1, 0 },
        { "MW", "W", 1000000, 1, 0 },
        { "V", "V", 1, 1, 0 },
        { "mV", "V", 1, 1000, 0 },
        { "kV", "V", 1000, 1, 0 },
        { "A", "A", 1, 1, 0 },
        { "mA", "A", 1, 1000, 0 },
        { "Hz", "Hz", 1, 1, 0 },
        { "mHz", "Hz", 1, 1000, 0 },
        { "kHz", "Hz", 1000, 1, 0 },
        { "1", "1", 1, 1, 0 },
        { "/", "1", 1, 1, 0 },
        { "%", "1", 1, 100, 0 },
        { "L/h", "L/h", 1, 1, 0 },
        { "l/h", "L/h", 1, 1, 0 },
        { "L/min", "L/h", 60, 1, 0 },
        { "l/min", "L/h", 60, 1, 0 },
        { "L/s", "L/h", 3600, 1, 0 },
        { "l/s", "L/h", 3600, 1, 0 },
        { "m3/h", "L/h", 1000, 1, 0 },
        { "m3/s", "L/h", 3600000, 1, 0 },
        { "Cel", "Cel", 1, 1, 0 },
        { "\xC2\xB0"
          "C",
          "Cel", 1, 1, 0 },
        { "degC", "Cel", 1, 1, 0 },
        { "K", "Cel", 1, 1, -27315 },
};

const struct channel *channel_list(size_t *ret_n)
{
        *ret_n = N(channels);
        return channels;
}

const struct channel *channel_by_code(const char *code)
{
        for (size_t i = 0; i < N(channels); i++)
                if (!strcmp(channels[i].code, code))
                        return &channels[i];
        return NULL;
}

const struct channel *channel_by_number(unsigned number)
{
        for (size_t i = 0; i < N(channels); i++)
                if (channels[i].number == number)
                        return &channels[i];
        return NULL;
}

const char *channel_kind_name(enum channel_kind kind)
{
        switch (kind) {
        case CHANNEL_INTERVAL:
                return "interval";
        case CHANNEL_REGISTER:
                return "register";
        case CHANNEL_INSTANT:
                return "instant";
        }
        return "?";
}

static int find_unit(const struct channel *ch, const char *name, const struct unit **ret)
{
        if (!name || !*name)
                name = ch->unit;
        for (size_t i = 0; i < N(units); i++) {
                if (strcmp(units[i].name, name))
                        continue;
                if (strcmp(units[i].quantity, ch->unit))
                        return CHANNEL_E_QUANTITY;
                *ret = &units[i];
                return 0;
        }
        return CHANNEL_E_UNIT;
}

int channel_check_unit(const struct channel *ch, const char *unit)
{
        const struct unit *u;

        return find_unit(ch, unit, &u);
}

/* a × b, false when it leaves 126 bits; b > 0. By hand: clang's built-in needs compiler-rt. */
static bool multiply(__int128 *a, __int128 b)
{
        const __int128 max = (__int128)1 << 126;

        if (*a > max / b || *a < -(max / b))
                return false;
        *a *= b;
        return true;
}

static bool multiply_pow10(__int128 *a, int exponent)
{
        while (exponent-- > 0)
                if (!multiply(a, 10))
                        return false;
        return true;
}

static __int128 divide_half_even(__int128 num, __int128 den, bool *ret_exact)
{
        __int128 q = num / den, rest = num % den, twice = (rest < 0 ? -rest : rest) * 2;

        *ret_exact = rest == 0;
        if (twice > den || (twice == den && q % 2 != 0))
                q += num < 0 ? -1 : 1;
        return q;
}

int channel_convert(const struct channel *ch, struct decimal value, const char *unit, int64_t *ret,
                    bool *ret_exact)
{
        const struct unit *u;
        __int128 num, den, q;
        bool exact;
        int r, exponent;

        r = find_unit(ch, unit, &u);
        if (r)
                return r;
        if (u->shift_e2) {
                r = decimal_add(value, (struct decimal){ u->shift_e2, 2 }, &value);
                if (r)
                        return r;
        }

        num = value.m;
        den = u->den;
        exponent = -ch->scaler - value.scale;
        if (!multiply(&num, u->num) || !multiply_pow10(&num, exponent) ||
            !multiply_pow10(&den, -exponent))
                return -ERANGE;
        q = divide_half_even(num, den, &exact);
        if (q > INT64_MAX || q < INT64_MIN)
                return -ERANGE;
        *ret = (int64_t)q;
        if (ret_exact)
                *ret_exact = exact;
        return 0;
}
