#pragma once

/*
 * What a meter says unasked: from an APDU (data-notification, event-notification, or a GET
 * response's value) to a list of objects with OBIS code, value, unit and time. Pure, no heap: the
 * caller lends the array, values are borrowed from the APDU.
 *
 * Every shape seen in the field is understood from the data alone: flat OBIS/value pairs, arrays
 * of structures with or without scaler and unit, the push object list first and the values behind
 * it, untagged attribute descriptors inside a structure, bare positional lists (objects without an
 * OBIS code then).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "axdr.h"
#include "datetime.h"
#include "dlms.h"

/* A value that is an array or structure is kept as its encoding: value.tag says which, value.p and
 * value.n are its bytes. */
struct dlms_object {
        bool has_obis;
        bool is_definition; /* entry of a push object list; value = its data index */
        struct obis obis;
        uint16_t class_id;       /* 0 = not said */
        int8_t attribute;        /* 0 = not said */
        struct axdr_value value; /* scalar or string; borrowed from the APDU */
        bool has_scaler;
        int8_t scaler; /* value × 10^scaler */
        uint8_t unit;  /* COSEM unit enum, 255 or 0 = none */
        bool is_time;  /* value is a date-time: in time */
        struct dlms_datetime time;
};

enum dlms_notification_kind {
        DLMS_NOTIFY_DATA,  /* data-notification */
        DLMS_NOTIFY_EVENT, /* event-notification-request */
        DLMS_NOTIFY_GET,   /* a GET response taken for its value */
};

struct dlms_notification {
        enum dlms_notification_kind kind;
        uint32_t invoke_id;
        bool has_time;
        struct dlms_datetime time; /* of the APDU; some meters leave it empty */
        const uint8_t *body;       /* the A-XDR value; borrowed */
        size_t body_len;
        size_t n_objects; /* in the array lent */
};

/* Decodes a plain APDU. At most @cap objects are kept; more are DLMS_E_TOO_LONG. 0 or DLMS_E_*. */
int dlms_push_decode(const uint8_t *apdu, size_t n, struct dlms_notification *ret,
                     struct dlms_object *objects, size_t cap);
/* Only the body: any A-XDR value. *@ret_n objects. */
int dlms_push_decode_body(const uint8_t *body, size_t n, struct dlms_object *objects, size_t cap,
                          size_t *ret_n);

/* "Wh", "V", ... as the Blue Book's table of units; "" when unknown or without unit. */
const char *dlms_unit_text(uint8_t unit);
