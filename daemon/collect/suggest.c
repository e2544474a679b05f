#include "suggest.h"

#include <stdlib.h>
#include <string.h>

enum { ELECTRICITY = 1, HEAT = 6, GAS = 7, WATER_COLD = 8, WATER_HOT = 9 };

struct meaning {
        uint8_t medium, c, d, e;
        const char *channel, *unit;
};

static const struct meaning meanings[] = {
        { ELECTRICITY, 1, 8, 0, "energy.import.total", "Wh" },
        { ELECTRICITY, 2, 8, 0, "energy.export.total", "Wh" },
        { ELECTRICITY, 3, 8, 0, "reactive.import.total", "varh" },
        { ELECTRICITY, 4, 8, 0, "reactive.export.total", "varh" },
        { ELECTRICITY, 1, 7, 0, "power.import", "W" },
        { ELECTRICITY, 2, 7, 0, "power.export", "W" },
        { ELECTRICITY, 31, 7, 0, "current.l1", "A" },
        { ELECTRICITY, 51, 7, 0, "current.l2", "A" },
        { ELECTRICITY, 71, 7, 0, "current.l3", "A" },
        { ELECTRICITY, 32, 7, 0, "voltage.l1", "V" },
        { ELECTRICITY, 52, 7, 0, "voltage.l2", "V" },
        { ELECTRICITY, 72, 7, 0, "voltage.l3", "V" },
        { ELECTRICITY, 14, 7, 0, "frequency", "Hz" },
        { ELECTRICITY, 13, 7, 0, "power.factor", "1" },
        { HEAT, 1, 0, 0, "heat.energy.total", "Wh" },
        { GAS, 3, 0, 0, "gas.volume.total", "m3" },
        { GAS, 3, 1, 0, "gas.volume.total", "m3" },
        { WATER_COLD, 1, 0, 0, "water.volume.total", "m3" },
        { WATER_HOT, 1, 0, 0, "water.volume.total", "m3" },
};

bool suggest_is_name(const struct obis *o)
{
        static const struct obis known[] = { OBIS(0, 0, 42, 0, 0, 255), OBIS(0, 0, 96, 1, 0, 255),
                                             OBIS(0, 0, 96, 1, 1, 255), OBIS(1, 1, 0, 0, 5, 255),
                                             OBIS(1, 0, 0, 0, 0, 255) };

        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                if (obis_equal(o, &known[i]))
                        return true;
        return false;
}

/* Without a scaler from the meter: what the size of the number says. */
static int8_t guess_scaler(const char *unit, int64_t v)
{
        int64_t size = v < 0 ? -v : v;

        if (strcmp(unit, "V") == 0)
                return size >= 1000 ? -1 : 0;
        if (strcmp(unit, "Hz") == 0)
                return size >= 40000 ? -3 : size >= 4000 ? -2 : size >= 400 ? -1 : 0;
        if (strcmp(unit, "A") == 0)
                return -2;
        if (strcmp(unit, "1") == 0)
                return size > 1 ? -3 : 0;
        if (strcmp(unit, "m3") == 0)
                return -3;
        return 0;
}

struct suggestion suggest_channel(const struct dlms_object *o)
{
        struct suggestion s = { .unit = "", .why = "no channel has this meaning" };
        const struct meaning *m = meanings, *end = m + sizeof meanings / sizeof *meanings;
        int64_t v = 0;

        if (!o->has_obis || o->is_time || (o->attribute && o->attribute != 2) ||
            !axdr_is_integer(&o->value, &v))
                return s;
        while (m < end && (m->medium != o->obis.v[0] || m->c != o->obis.v[2] ||
                           m->d != o->obis.v[3] || m->e != o->obis.v[4]))
                m++;
        if (m == end)
                return s;
        s.channel = channel_by_code(m->channel);
        if (!s.channel)
                return s;
        if (o->has_scaler && *dlms_unit_text(o->unit) &&
            channel_check_unit(s.channel, dlms_unit_text(o->unit)) == 0) {
                s.unit = dlms_unit_text(o->unit);
                s.scaler = o->scaler;
                s.sure = true;
                s.why = "by its code; unit and scaler are the meter's own";
        } else {
                s.unit = m->unit;
                s.scaler = guess_scaler(m->unit, v);
                s.why = "by its code; compare the value with the meter's display";
        }
        return s;
}
