#pragma once

/*
 * The objects of a simulated meter that can be changed: disconnect control, limiter, activity
 * calendar, image transfer, security setup, clock correction, event log. State lives as long as
 * the simulator.
 */

#include <stdbool.h>
#include <stdint.h>

#include "dlms/server.h"

struct dlms_meter;

enum { OBJECTS_CALENDAR_MAX = 512, OBJECTS_LOG_MAX = 200, OBJECTS_BLOCK = 200 };

struct dlms_log_entry {
        int64_t at; /* the meter's own time */
        uint8_t code;
};

struct dlms_objects {
        int64_t clock_offset_s;
        /* disconnect control */
        bool output, stuck; /* stuck: takes commands and does not move */
        uint8_t control_state, control_mode;
        unsigned switched; /* how often the relay moved */
        /* limiter */
        uint32_t threshold, over_s;
        /* activity calendar: name, seasons, weeks, days; passive, then active */
        struct {
                uint16_t n;
                uint8_t bytes[OBJECTS_CALENDAR_MAX];
        } calendar[2][4];
        /* image transfer */
        char version[32], image_id[64];
        uint8_t image_id_len, image_status, verifying;
        uint8_t *image, *image_blocks; /* owned */
        uint32_t image_size, n_blocks;
        uint64_t blocks_taken; /* also those taken twice */
        /* event log, the newest at the end */
        uint16_t n_log;
        struct dlms_log_entry log[OBJECTS_LOG_MAX];
};

void dlms_objects_init(struct dlms_meter *d);
void dlms_objects_deinit(struct dlms_meter *d);
/* Adds to the event log. */
void dlms_objects_note(struct dlms_meter *d, uint8_t code);

/* True when the object is one of these; *@ret is the data-access- or action-result then. */
bool dlms_objects_get(struct dlms_meter *d, const struct dlms_attr *a,
                      const struct dlms_selection *selection, struct axdr_writer *w, unsigned *ret);
unsigned dlms_objects_set(struct dlms_meter *d, const struct dlms_attr *a, const uint8_t *data,
                          size_t n);
unsigned dlms_objects_action(struct dlms_meter *d, const struct dlms_attr *a, const uint8_t *data,
                             size_t n);
