#pragma once

/*
 * A concentrator's way upstream: the spool's records, in order, to the topic headrace/v1/up/ID of
 * another broker at QoS 1, at a bounded rate. The position is moved, and disk space released, only
 * behind what the broker acknowledged; after a restart what was under way is sent again.
 *
 * One message is the body of one spool record: kind:u8 source:u8 meter_id:le32 received_us:le64,
 * then protocol, identity, reason and detail, each len:le16 and bytes, then the raw payload
 * (forward_parse()). Loop thread; the disk is read and the position written on libuv's threads.
 */

#include <stdint.h>
#include <uv.h>

#include "buf.h"
#include "config.h"
#include "spool.h"

struct forward;

extern const struct config_key forward_keys[]; /* of [upstream] */

struct forward_stats {
        uint64_t sent, acknowledged, resent;
        unsigned in_flight;
        bool connected;
};

/* @spool is borrowed until @closed of forward_close(). 0, 1 (no upstream configured: *@ret NULL),
 * or -errno with a sentence in @error. */
int forward_open(struct forward **ret, uv_loop_t *loop, struct spool *spool,
                 const struct config *config, const char *state_dir, struct buf *error);
void forward_get_stats(const struct forward *f, struct forward_stats *ret);
void forward_close(struct forward *f, void (*closed)(void *arg), void *arg);

struct forward_record {
        int64_t received_us;
        char protocol[16], identity[256], detail[256];
        const uint8_t *raw; /* borrowed */
        size_t len;
};
/* 0, or -EBADMSG: no record, or one with readings of a meter only the sender knows. */
int forward_parse(const void *message, size_t n, struct forward_record *ret);
