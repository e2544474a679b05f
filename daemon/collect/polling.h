#pragma once

/* Inside the polling part of the collect role. Loop thread. */

#include "collect_internal.h"

/* What the registry has now is in the schedule, unless it is very large: then soon. */
void poll_sync(struct collect *c);
/* Gives the schedule a chance to start visits. */
void poll_turn(struct collect *c);
/* Reads the groups of the schedule, then calls @done; at once without a database. */
void groups_read(struct collect *c, void (*done)(struct collect *c));
void groups_free(struct collect *c);
/* False when there is no such group: the configuration serves. */
bool groups_of(const struct collect *c, const char *name, uint8_t *ret_priority,
               int64_t *ret_period_ms, int64_t *ret_deadline_ms);
/* Asks the database, on a worker thread, what is stored of each polled meter; sets c->seeded and
 * turns the schedule when it is known, or cannot be had. */
void seed_start(struct collect *c);
