#pragma once

/* Meters that wait to be asked: a TCP listener each, DLMS or Modbus behind it. */

struct sim;

/* Opens every listener and gives each polled meter its port. 0 or -errno, having said which meter
 * could not listen. */
int sim_polled_open(struct sim *s);
void sim_polled_close(struct sim *s);
/* After the loop has run its close callbacks. */
void sim_polled_free(struct sim *s);
