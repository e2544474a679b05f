#pragma once

/* Inside the polling part of the collect role. Loop thread. */

#include "collect_internal.h"

/* What the registry has now is in the schedule, unless it is very large: then soon. */
void poll_sync(struct collect *c);
/* Gives the schedule a chance to start visits. */
void poll_turn(struct collect *c);
/* Asks the database, on a worker thread, what is stored of each polled meter; sets c->seeded and
 * turns the schedule when it is known, or cannot be had. */
void seed_start(struct collect *c);
