#pragma once

/* One plain APDU in words. Pure. */

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "dlms/dlms.h"

/* What a conversation remembers so that an answer can be said with its question. */
struct meter_say {
        struct dlms_attr asked; /* of the last GET, SET or ACTION; class 0 = none */
};

/* Appends the words; false (and why in words) when the bytes are no APDU known here. */
bool meter_say_apdu(struct meter_say *s, struct buf *b, const uint8_t *p, size_t n);
