#pragma once

/*
 * The collect role's desk at the database: one thread with one connection that does, in order, what
 * the loop may not wait for: gaps of a meter, commands claimed and ended, causes noted. Each piece
 * of work is one transaction over all branches.
 *
 * desk_submit() on the loop thread; run() on the desk's thread; done() on the loop again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "db.h"

struct desk;

/* Embed it; owned by whoever submits it until done() ran. */
struct desk_work {
        struct desk_work *next; /* the desk's */
        /* In an open transaction; may run again after DB_RETRY. */
        enum db_status (*run)(struct desk_work *w, struct db_conn *c);
        /* @st: DB_OK committed; DB_UNKNOWN it may have been; else it was not. */
        void (*done)(struct desk_work *w, enum db_status st);
        /* Tried until it is committed or refused, while the database is away too; when the desk is
         * closing, once more. Else it ends as DB_RETRY when the database is away. */
        bool must;
        enum db_status status; /* the desk's */
};

/* Owned result. 0, -ENOMEM, or what libuv says. @db is borrowed. */
int desk_open(struct desk **ret, uv_loop_t *loop, struct db *db);
/* Does what is queued (at most one try each), then calls @closed on the loop; nothing may be
 * submitted any more. */
void desk_close(struct desk *d, void (*closed)(void *arg), void *arg);
void desk_submit(struct desk *d, struct desk_work *w);
/* Pieces of work waiting or under way. */
size_t desk_waiting(const struct desk *d);
