#pragma once

/* OBIS codes (IEC 62056-6-1): six value groups A-B:C.D.E*F. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct obis {
        uint8_t v[6];
};

enum { OBIS_TEXT_SIZE = 24 };

#define OBIS(a, b, c, d, e, f) ((struct obis){ { a, b, c, d, e, f } })

/* "1.0.1.8.0.255" into @out. */
void obis_format(const struct obis *o, char out[static OBIS_TEXT_SIZE]);
/* Takes "1.0.1.8.0.255", "1-0:1.8.0*255", "1-0:1.8.0" (F = 255). 0 or -EINVAL. */
int obis_parse(const char *s, struct obis *ret);
bool obis_equal(const struct obis *a, const struct obis *b);
/* Whether six bytes look like the OBIS code of a meter's object rather than like text or a
 * number: used where a push body carries no types to tell them apart. */
bool obis_plausible(const uint8_t v[static 6]);
