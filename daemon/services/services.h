#pragma once

/*
 * Embedded PostgreSQL and MQTT broker: private to this daemon, made on first use, started,
 * watched and restarted, ended with it. Unix socket (database) and loopback (broker) only.
 *
 * services_open() blocks until both answer: it is for the time before the loop runs. After that
 * everything happens on the loop: a child that ends is started again, with back-off.
 *
 * PostgreSQL refuses to run as root: started by root, both children run as an unprivileged user.
 * When that user cannot reach the state directory, or the path is too long for a unix socket,
 * the data lies below /var/tmp, and state_dir/embedded says where.
 */

#include <uv.h>

#include "buf.h"

struct services;

struct services_options {
        const char *state_dir; /* absolute; made if missing */
        const char *run_as;    /* user when started by root */
        bool postgres, broker; /* which of the two */
        int broker_port;       /* 127.0.0.1 */
};

/* 0 or -errno with a text for people in @error. */
int services_open(struct services **ret, uv_loop_t *loop, const struct services_options *o,
                  struct buf *error);
/* libpq connection string of the owner of the database "headrace"; NULL without postgres. */
const char *services_database(const struct services *s);
/* How often a child had to be restarted. */
unsigned services_restarts(const struct services *s);
/* Asks the children to end, waits for them (at most 20 s each, then kills), frees. NULL is fine.
 * The loop must still be usable: handles are closed on it. */
void services_close(struct services *s);
