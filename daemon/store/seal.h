#pragma once

/*
 * Sealing: merges received messages into packed blocks, one per meter and UTC day, and moves each
 * meter's mark (mdm.meter_seal) in the same transaction. A meter's messages are taken in the order
 * they were received, up to the first one with a value of a day not closed yet; so each is merged
 * once, and what was received later always comes later. Killed at any point and begun again, the
 * result is the same.
 *
 * A value that was there already and changes leaves the old version in mdm.block_hist and an event
 * reading.changed. Blocks that come out unchanged are not written.
 */

#include "db.h"

enum { SEAL_METERS = 128 }; /* numbers of a range at most */

/* One cut through the inbox; a run of the seal works through all meters up to it. */
struct seal_cut {
        int64_t upto;       /* mdm.inbox.seq */
        int64_t before_day; /* UTC day number; days before it are closed */
        int64_t now;        /* UTC seconds */
};

struct seal_stats {
        uint64_t messages, values; /* merged */
        uint64_t dups;             /* values that were there already, or came twice */
        uint64_t changed;          /* values that replaced another one */
        uint64_t blocks;           /* written, register days included */
        uint64_t ranges, skipped;  /* skipped: this range was sealed up to this cut before */
};

/* All of these work inside the caller's open transaction, which needs branch scope "*". */

/* Waits for the messages being inserted, then says where the cut is. @before_day: UTC day number.
 */
enum db_status seal_cut(struct db_conn *c, int64_t before_day, struct seal_cut *ret);
/* The next range after meter number @after; *@ret_lo is 0 when there is none. */
enum db_status seal_next(struct db_conn *c, const struct seal_cut *cut, uint32_t after,
                         uint32_t *ret_lo, uint32_t *ret_hi);
/* Seals one range; adds to @stats once. */
enum db_status seal_range(struct db_conn *c, const struct seal_cut *cut, uint32_t lo, uint32_t hi,
                          struct seal_stats *stats);
/* Rolls up the days touched and drops inbox partitions that are sealed whole. */
enum db_status seal_finish(struct db_conn *c);

/* All of the above with a transaction each, waiting for and retrying what may be retried. 0,
 * -ECANCELED (database away or @stop), -EPROTO with @error. @stop may be NULL. */
int seal_run(struct db *db, int64_t before_day, struct seal_stats *stats, bool (*stop)(void *arg),
             void *arg, char *error, size_t error_size);

/* ---- by itself ---- */

struct sealer;

/* A thread that seals closed days every @interval_s seconds. @db is borrowed. 0 or -errno. */
int sealer_start(struct sealer **ret, struct db *db, unsigned interval_s);
void sealer_stop(struct sealer *s);
