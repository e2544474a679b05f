#pragma once

/* Between apdu.c, requests.c, responses.c, access.c, short_name.c and envelope.c. */

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

static inline uint16_t apdu_take_be16(struct axdr_reader *r)
{
        const uint8_t *p = apdu_take(r, 2);

        return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t apdu_take_be32(struct axdr_reader *r)
{
        const uint8_t *p = apdu_take(r, 4);

        return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline int apdu_finish(struct axdr_reader *r)
{
        if (r->error)
                return r->error;
        return r->p == r->end ? 0 : DLMS_E_TRAILING;
}

/* Nine bytes: class, OBIS code, attribute or method. */
void apdu_take_attr(struct axdr_reader *r, struct dlms_attr *ret);
/* Optional access-selection: a flag before it. */
void apdu_take_selection(struct axdr_reader *r, struct dlms_selection *ret);
/* One whole A-XDR value. */
void apdu_take_value(struct axdr_reader *r, const uint8_t **ret, size_t *ret_n);
/* An octet-string without tag: its length and bytes. */
void apdu_take_octets(struct axdr_reader *r, const uint8_t **ret, size_t *ret_n);

void apdu_put_attr(struct axdr_writer *w, const struct dlms_attr *attr);
void apdu_put_selection(struct axdr_writer *w, const struct dlms_selection *s);
void apdu_put_octets(struct axdr_writer *w, const void *p, size_t n);

/* The kind the second octet @wire of @tag stands for, 0 = none; and back. */
uint8_t apdu_kind_of(uint8_t tag, uint8_t wire);
uint8_t apdu_kind_wire(uint8_t tag, uint8_t kind);
