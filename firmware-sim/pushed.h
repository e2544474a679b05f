#pragma once

/*
 * Meters that speak unasked. Each has a message on its way at a time and goes on when that is
 * acknowledged; what is not acknowledged is sent again, for ever. The three ways (mqtt.c, coap.c,
 * notify.c) share the progress of a meter here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

struct sim;
struct meter;

struct pusher {
        struct meter *meter; /* borrowed */
        int64_t next;        /* start of the first interval not acknowledged */
        unsigned sent;       /* intervals in the message on its way; 0 = none */
};

void pusher_init(struct pusher *p, struct sim *s, struct meter *m);
/* How many intervals the next message would carry now; 0 = nothing to say. */
unsigned pusher_due(const struct pusher *p, const struct sim *s, unsigned max);
/* Has said everything up to the end of the history. */
bool pusher_done(const struct pusher *p, const struct sim *s);
/* The message with @n intervals from p->next on, as the meter's model writes it. */
void pusher_message(const struct pusher *p, unsigned n, struct buf *b);
/* An acknowledgement arrived. False when it gets lost on the simulated way: send again. */
bool pusher_acknowledge(struct pusher *p, struct sim *s);

int sim_mqtt_open(struct sim *s);
void sim_mqtt_tick(struct sim *s);
bool sim_mqtt_done(const struct sim *s);
void sim_mqtt_close(struct sim *s);
void sim_mqtt_free(struct sim *s);

int sim_coap_open(struct sim *s);
void sim_coap_tick(struct sim *s);
bool sim_coap_done(const struct sim *s);
void sim_coap_close(struct sim *s);
void sim_coap_free(struct sim *s);

int sim_push_open(struct sim *s);
void sim_push_tick(struct sim *s);
bool sim_push_done(const struct sim *s);
void sim_push_close(struct sim *s);
void sim_push_free(struct sim *s);
