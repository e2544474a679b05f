#pragma once

/* Between the apdu*.c files and envelope.c. */

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

/* ---- apdu.c: pieces several services share ---- */

void apdu_put_head(struct axdr_writer *w, uint8_t tag, uint8_t kind, uint8_t invoke);
void apdu_put_attr(struct axdr_writer *w, const struct dlms_attr *attr);
void apdu_put_selection(struct axdr_writer *w, const struct dlms_selection *s);
uint32_t apdu_take_be32(struct axdr_reader *r);
void apdu_take_attr(struct axdr_reader *r, struct dlms_attr *ret);
void apdu_take_selection(struct axdr_reader *r, struct dlms_selection *ret);
/* One whole A-XDR value. */
void apdu_take_value(struct axdr_reader *r, const uint8_t **ret, size_t *ret_n);
/* Get-Data-Result: a value, or a result other than success. */
void apdu_take_data_result(struct axdr_reader *r, uint8_t *ret_result, const uint8_t **ret_data,
                           size_t *ret_n);

/* ---- apdu_long.c: what follows tag, kind and invoke-id; 0 or DLMS_E_* ---- */

int apdu_take_set_request(struct axdr_reader *r, struct apdu_request *q);
int apdu_take_action_request(struct axdr_reader *r, struct apdu_request *q);
int apdu_take_set_response(struct axdr_reader *r, struct apdu_response *a);
int apdu_take_action_response(struct axdr_reader *r, struct apdu_response *a);
