#pragma once

/*
 * The loader: one thread with its own connection that COPYs the spool's records into
 * mdm.inbox, mdm.quarantine and mdm.meter_event, with mdm.spool_position moved in the same
 * transaction. Internal to the store; the rest uses ingest.h.
 *
 *   record body  kind:u8 source:u8 meter_id:le32 received_us:le64
 *                INGEST_UNKNOWN: protocol, identity, reason, detail, each len:le16 bytes
 *                payload: the rest
 */

#include "buf.h"
#include "ingest.h"
#include "spool.h"

struct loader;

/* The body of @m appended to @b; check b->failed. */
void loader_put_record(struct buf *b, const struct ingest_msg *m);

/* Starts the thread. @spool is borrowed. 0 or -errno. */
int loader_start(struct loader **ret, struct spool *spool, const char *conninfo);
/* There is more in the spool. Any thread. */
void loader_wake(struct loader *l);
/* Ends after the transaction under way and frees. */
void loader_stop(struct loader *l);
/* Fills the members that are the loader's. */
void loader_stats(struct loader *l, struct ingest_stats *ret);
/* True when the position committed is @end or beyond it. */
bool loader_reached(struct loader *l, struct spool_position end);
