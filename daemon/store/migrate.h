#pragma once

/*
 * Migrations: each owner ("core", or a plugin's name) has numbered SQL texts that run once, in
 * order, each in a transaction, under one advisory lock for the whole database. What ran is in
 * core.migration with its checksum; a text that changed afterwards is refused by name.
 */

#include "db.h"
#include "headrace/plugin.h"

/* The store's own: schemas core and mdm. Owner "core". */
extern const struct hr_migration *const store_migrations;

/* Runs what is missing. 0; -EBADMSG (a text that already ran has changed), -EPROTO (a statement
 * failed), -ECANCELED (database away); @error gets the text for people, at most @error_size. */
int migrate_run(struct db *db, const char *owner, const struct hr_migration *migrations,
                char *error, size_t error_size);
