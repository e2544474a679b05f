#pragma once

/* The files and lines the simulator writes for others. */

struct sim;

/* The fleet file, in one step (written beside and renamed). 0 or -errno. */
int sim_write_fleet(const struct sim *s);
/* What the polled meters offer: their whole history. */
void sim_write_offered(struct sim *s);
/* One line of JSON on standard output. */
void sim_print_summary(const struct sim *s, const char *what);
