#pragma once

/* Plain words for what DLMS/COSEM names by numbers: OBIS codes (IEC 62056-6-1), interface classes
 * and their attributes (IEC 62056-6-2). Pure. */

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "dlms/axdr.h"
#include "dlms/dlms.h"

/* "active energy import, total", put together from the value groups; nothing when unknown. */
void meter_name_obis(struct buf *b, const struct obis *o);
/* "register", or NULL. */
const char *meter_name_class(unsigned class_id);
/* "value", "scaler and unit"; NULL when the class or number is not known. */
const char *meter_name_attribute(unsigned class_id, int attribute);
const char *meter_name_method(unsigned class_id, int method);
/* "1.0.1.8.0.255 active energy import, total: value". */
void meter_name_attr(struct buf *b, const struct dlms_attr *a);

/* A value in words: numbers as they are, texts in quotes, times and OBIS codes recognised; of
 * arrays at most @max elements, the rest counted. */
void meter_say_value(struct buf *b, const uint8_t *p, size_t n, unsigned max);
/* "23" or "1.5 kW" from a number with its scaler and unit. */
void meter_say_scaled(struct buf *b, int64_t value, int scaler, unsigned unit);
