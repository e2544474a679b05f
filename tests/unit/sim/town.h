#pragma once

/* A simulator in a child process, for tests: 2026-10-01 to 2026-10-03, files in a folder of its
 * own. Both sides compute the meters from the same seed, so what arrives can be compared with them.
 */

#include <jansson.h>
#include <sys/types.h>

#include "meter.h"
#include "options.h"

#define TOWN_FROM 1790812800 /* 2026-10-01T00:00:00Z */

struct town {
        char dir[64], fleet_path[80], truth_path[80];
        struct sim_options opt;
        struct series *series;
        unsigned n_series;
        pid_t child;
};

void town_init(struct town *t);
void town_deinit(struct town *t);
/* Starts the simulator with further options, NULL-ended. */
void town_start(struct town *t, char **options);
/* Ends it; asserts that it ended well. */
void town_stop(struct town *t);
/* The fleet file once it is there; owned. */
json_t *town_fleet(struct town *t);
/* n-th meter of a model in the fleet; borrowed. */
json_t *town_find(json_t *fleet, const char *model, unsigned n);
/* The same meter as the child's. */
void town_meter(const struct town *t, enum sim_kind kind, unsigned number, struct meter *ret);
