#pragma once

/*
 * Puts the meter models into the database: those that come with the daemon, then every *.json of a
 * folder of the operator's, which may replace them. A new meter model is a file, not code.
 * Worker threads only: talks to the database.
 */

#include "buf.h"
#include "db.h"

/* @dir NULL: none. A faulty file is named in @errors, one line each, and left out; the rest goes
 * in. 0, -EINVAL (some were left out), -ECANCELED (database away). */
int models_install(struct db *db, const char *dir, struct buf *errors);
