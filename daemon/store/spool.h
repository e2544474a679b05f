#pragma once

/*
 * Spool: records on disk, appended in durable batches, read back in order, deleted when loaded.
 *
 *   directory  id            16 hexadecimal digits, made once; names this spool in the database
 *              lock          held while open
 *              NNN.seg       segments, number in 16 hexadecimal digits, increasing
 *              NNN-OFF.bad   bytes set aside because their checksum was wrong
 *   segment    head: "HRSPOOL1" number:le64
 *              records: magic:le32 len:le32 crc32c:le32 (over len and body) body
 *
 * One thread appends (spool_append), one reads and releases (spool_cursor_*, spool_release); the
 * two may differ. A segment that was written before a restart is never appended to: what the
 * page cache still showed of it but the disk may not have is then at its end only.
 *
 * A failed fdatasync is final: the kernel may have dropped the pages, so a second one that
 * succeeds proves nothing. The spool refuses everything from then on; end the process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

struct spool;

enum { SPOOL_MAX_BODY = (1 << 20) + 4096, SPOOL_ID_SIZE = 17 };

struct spool_options {
        uint64_t segment_bytes; /* a new segment is begun beyond it; 0 = 64 MiB */
        uint64_t max_bytes;     /* of all segments: -ENOSPC beyond it; 0 = 8 GiB */
        /* Damage and repairs, for the log; may be NULL. @offset of @segment. */
        void (*report)(void *arg, const char *what, uint64_t segment, uint64_t offset,
                       uint64_t bytes);
        void *arg;
};

struct spool_position {
        uint64_t segment, offset;
};

/* Makes @dir if it is not there, checks the last segment and cuts a torn record off its end.
 * Owned result. 0, -EBUSY (another process has it open), or -errno. */
int spool_open(struct spool **ret, const char *dir, const struct spool_options *options);
void spool_close(struct spool *s);
const char *spool_id(const struct spool *s);
const char *spool_dir(const struct spool *s);

/* Appends one framed record to @b. False when @n is 0 or over SPOOL_MAX_BODY, or out of memory. */
bool spool_frame(struct buf *b, const void *body, size_t n);
/* Writes framed records with one pwrite and one fdatasync. 0 = durable; -ENOSPC: nothing of it
 * stays, may be tried again when there is room; any other error is final (see above). */
int spool_append(struct spool *s, const void *frames, size_t n);
/* Bytes in all segments. Any thread. */
uint64_t spool_bytes(struct spool *s);
/* End of what is durable. Any thread. */
struct spool_position spool_end(struct spool *s);
/* Begin of the oldest segment, or the end when there is none. Any thread. */
struct spool_position spool_begin(struct spool *s);

struct spool_cursor {
        struct spool *spool;      /* borrowed */
        struct spool_position at; /* of the next record */
        int fd;
        uint64_t fd_segment, limit; /* readable bytes of the open segment */
        struct buf data;            /* bytes read ahead, from data_at */
        uint64_t data_at;
};

/* A position before the oldest segment, or in one that is gone, moves to the next one there. */
void spool_cursor_init(struct spool_cursor *c, struct spool *s, struct spool_position at);
void spool_cursor_deinit(struct spool_cursor *c);
/* Next durable record: 1 and its body, borrowed until the next call; 0 at the end (more may come);
 * -errno when the disk cannot be read. Damaged bytes are reported, set aside and passed over. */
int spool_cursor_next(struct spool_cursor *c, const uint8_t **ret_body, size_t *ret_n);

/* Deletes the segments wholly before @at. 0 or -errno of the first that could not be. */
int spool_release(struct spool *s, struct spool_position at);
