#pragma once

/* A meter's COSEM objects behind protocols/dlms' server core. */

#include "dlms/server.h"

#include "dlms_objects.h"
#include "meter.h"

struct sim;

/* What the callbacks of a session see. */
struct dlms_meter {
        struct sim *sim;
        struct meter *meter;
        struct dlms_server_config config;
        struct dlms_server_counters counters;
        struct dlms_objects objects;
};

void dlms_meter_init(struct dlms_meter *d, struct sim *s, struct meter *m);
void dlms_meter_deinit(struct dlms_meter *d);

/* A profile row has at most so many bytes; 62 days of quarter hours are kept. The object list fits
 * in the rest. */
enum { DLMS_METER_ROW = 32, DLMS_METER_ROWS = 62 * 96, DLMS_METER_REST = 2048 };

/* Bytes of the largest answer these meters can give. */
size_t dlms_meter_scratch(const struct sim *s);
