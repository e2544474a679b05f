#pragma once

/*
 * Invocation counters of DLMS sessions, one a meter, that never go back: blocks are reserved in a
 * file (appended, fdatasync) before the first number of them is used. What a killed daemon had
 * reserved and not used is skipped. A meter not in the file begins at the seconds since 2020, so
 * that even a lost file hardly repeats a number.
 *
 * Loop thread only; the disk is written on libuv's thread pool.
 */

#include <stdint.h>
#include <uv.h>

struct counters;

enum { COUNTERS_BLOCK = 4096, COUNTERS_SESSION_MIN = 512 };

/* @status 0: numbers @first .. @end - 1 are the caller's until counters_used(). Negative: -errno of
 * the disk, -EOVERFLOW (the 32 bits are used up: the meter needs a new key), -ENOMEM. */
typedef void counters_done(void *arg, int status, uint64_t first, uint64_t end);

/* Loads @path, made when it is not there, and writes it anew without outdated lines. Owned result.
 * 0, -EBADMSG (not such a file), or -errno. */
int counters_open(struct counters **ret, uv_loop_t *loop, const char *path);
/* When nothing is being written; else after it. */
void counters_close(struct counters *c);
/* At least COUNTERS_SESSION_MIN numbers, none below @floor. @done may run inside the call. */
void counters_reserve(struct counters *c, uint32_t meter_id, uint64_t floor, counters_done *done,
                      void *arg);
/* The session used everything below @next. */
void counters_used(struct counters *c, uint32_t meter_id, uint64_t next);
