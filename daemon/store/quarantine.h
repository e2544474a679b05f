#pragma once

/* Replay of quarantined messages whose meter or layout has become known. */

#include "db.h"
#include "registry.h"

/* Name in mdm.meter_model.protocol and mdm.quarantine.protocol to enum meter_protocol; -1 unknown.
 */
int registry_protocol(const char *name);

/* One transaction: a batch of messages that are due is normalised into mdm.inbox and marked, so
 * each is replayed once whatever happens. What still cannot be normalised is held again with its
 * reason. Returns how many were due, or -1 (database; see db_last_error). */
int quarantine_replay(struct db_conn *c, const struct registry_snapshot *s,
                      registry_normalise *normalise);
