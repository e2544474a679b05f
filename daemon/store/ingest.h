#pragma once

/*
 * The way in for readings: a normalised message goes to the spool; the sender hears "received"
 * only after the batch it went with is on disk. From there the loader COPYs it into mdm.inbox,
 * with the spool position in the same transaction.
 *
 * Threads: ingest_submit() and every callback on the loop thread that created the ingest; the
 * writer and the loader are threads of its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ingest;

enum ingest_kind {
        INGEST_READINGS = 1,   /* payload: message.h sections, meter_id known */
        INGEST_EVENTS = 3,     /* payload: message.h event sections */
        INGEST_UNKNOWN = 9,    /* quarantine: payload is raw, identity says from whom; meter_id 0 */
};

enum ingest_source {
        SOURCE_PUSH = 1, SOURCE_PULL = 2, SOURCE_MANUAL = 3, SOURCE_VEE = 4, SOURCE_IMPORT = 5,
        SOURCE_ON_DEMAND = 6,
};

struct ingest_msg {
        uint32_t meter_id;       /* mdm.meter; 0 with INGEST_UNKNOWN */
        enum ingest_kind kind;
        enum ingest_source source;
        int64_t received_us;     /* UTC microseconds of arrival */
        const void *payload;     /* copied by ingest_submit */
        size_t len;              /* 1 .. INGEST_MAX_PAYLOAD */
        /* INGEST_UNKNOWN only: */
        const char *protocol;    /* "dlms", "modbus", "mqtt", "coap" */
        const char *identity;    /* what the sender calls itself, at most 255 bytes */
        const char *reason;      /* "unknown meter", "unknown layout", ... at most 255 bytes */
        const char *detail;      /* topic, path, peer address; may be NULL */
};

enum { INGEST_MAX_PAYLOAD = 1 << 20 };

/* @status 0: durable. Negative: -errno (-ENOSPC disk full, -EIO): not stored, do not acknowledge. */
typedef void ingest_done(void *arg, int status);

/* Queues one message. 0, -EINVAL (bad length), -EAGAIN (queue or spool full: refuse the sender now;
 * @done is not called), -ESHUTDOWN. */
int ingest_submit(struct ingest *in, const struct ingest_msg *msg, ingest_done *done, void *arg);
