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
        INGEST_READINGS = 1, /* payload: message.h sections, meter_id known */
        INGEST_EVENTS = 3,   /* payload: message.h event sections */
        INGEST_UNKNOWN = 9,  /* quarantine: payload is raw, identity says from whom; meter_id 0 */
};

enum ingest_source {
        SOURCE_PUSH = 1,
        SOURCE_PULL = 2,
        SOURCE_MANUAL = 3,
        SOURCE_VEE = 4,
        SOURCE_IMPORT = 5,
        SOURCE_ON_DEMAND = 6,
};

struct ingest_msg {
        uint32_t meter_id; /* mdm.meter; 0 with INGEST_UNKNOWN */
        enum ingest_kind kind;
        enum ingest_source source;
        int64_t received_us; /* UTC microseconds of arrival */
        const void *payload; /* copied by ingest_submit */
        size_t len;          /* 1 .. INGEST_MAX_PAYLOAD */
        /* INGEST_UNKNOWN only: */
        const char *protocol; /* "dlms", "modbus", "mqtt", "coap" */
        const char *identity; /* what the sender calls itself, at most 255 bytes */
        const char *reason;   /* "unknown meter", "unknown layout", ... at most 255 bytes */
        const char *detail;   /* topic, path, peer address; may be NULL */
};

enum { INGEST_MAX_PAYLOAD = 1 << 20 };

/* @status 0: durable. Negative: -errno (-ENOSPC disk full, -EIO): not stored, do not acknowledge.
 */
typedef void ingest_done(void *arg, int status);

/* Queues one message. 0, -EINVAL (bad length), -EAGAIN (queue or spool full: refuse the sender now;
 * @done is not called), -ESHUTDOWN. */
int ingest_submit(struct ingest *in, const struct ingest_msg *msg, ingest_done *done, void *arg);

struct uv_loop_s;
struct spool;

struct ingest_options {
        const char *spool_dir;    /* made if it is not there */
        const char *conninfo;     /* the loader's database; NULL = no loader (a concentrator) */
        uint64_t spool_max_bytes; /* 0 = 8 GiB; beyond: -EAGAIN */
        uint64_t segment_bytes;   /* 0 = 64 MiB */
        unsigned batch_ms;        /* waits so long for company before a batch is written; 0 = none:
                                     what arrives during one fdatasync goes with the next */
        /* On the loop, once, when the spool failed for good (-errno of fdatasync or write): end the
         * process, so that it starts again on what the disk really has. May be NULL. */
        void (*failed)(void *arg, int error);
        void *arg;
};

/* Owned result. 0, -EBUSY (the spool is open in another process), or -errno. The loop is borrowed
 * and must be run by the calling thread. */
int ingest_open(struct ingest **ret, struct uv_loop_s *loop, const struct ingest_options *options);
/* Makes everything submitted durable, calls the callbacks that are due and stops both threads (at
 * most for one transaction of the loader; the rest is loaded at the next start). The memory goes
 * with the next turns of the loop. NULL is fine. */
void ingest_close(struct ingest *in);

struct ingest_stats {
        uint64_t submitted, durable, refused; /* messages since start; refused: -EAGAIN */
        uint64_t loaded;                      /* messages committed to the database */
        uint64_t damaged;     /* places of the spool set aside for a wrong checksum */
        uint64_t unloadable;  /* messages the database refused, set aside in files */
        uint64_t queued;      /* waiting for the disk now */
        uint64_t spool_bytes; /* on disk, loaded segments not counted */
        int64_t lag_us;       /* age of the message loaded last, when it was */
        bool database_away, full, failed;
        char database_error[256]; /* while it is away */
};
/* The spool behind it, for a concentrator that forwards it; borrowed until ingest_close(). */
struct spool *ingest_spool(struct ingest *in);
/* Any thread. */
void ingest_stats(struct ingest *in, struct ingest_stats *ret);
/* True when all that is durable is loaded. Any thread. */
bool ingest_drained(struct ingest *in);
