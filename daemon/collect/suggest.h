#pragma once

/* What an object's OBIS code means (Blue Book, part 2), as a channel: suggestions for layouts nobody
 * has mapped yet. Pure. */

#include <stdbool.h>

#include "dlms/push.h"
#include "models.h"

struct suggestion {
        const struct channel *channel; /* NULL: nothing of ours */
        const char *unit;              /* static; what the value is likely in */
        int8_t scaler;                 /* likely */
        bool sure;                     /* unit and scaler are the meter's own words */
        const char *why;               /* static: for people */
};

struct suggestion suggest_channel(const struct dlms_object *o);
/* Whether the object names the meter (serial, device id). */
bool suggest_is_name(const struct obis *o);
