#pragma once

/* Between apdu.c and envelope.c. */

#include "apdu.h"

/* Untagged fields through the A-XDR reader's sticky error. */
static inline const uint8_t *apdu_take(struct axdr_reader *r, size_t n)
{
        const uint8_t *p = r->p;

        if (r->error || (size_t)(r->end - r->p) < n) {
                if (!r->error)
                        r->error = DLMS_E_TRUNCATED;
                return NULL;
        }
        r->p += n;
        return p;
}

static inline uint8_t apdu_take_byte(struct axdr_reader *r)
{
        const uint8_t *p = apdu_take(r, 1);

        return p ? *p : 0;
}

static inline int apdu_finish(struct axdr_reader *r)
{
        if (r->error)
                return r->error;
        return r->p == r->end ? 0 : DLMS_E_TRAILING;
}
