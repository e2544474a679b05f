#pragma once

/*
 * Time zones from the system's TZif files (RFC 8536, version 2+ data and POSIX footer rule).
 * Local days may have 23, 24 or 25 hours. Reads the file once; immutable and thread-safe after.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tz;

/* "Europe/Berlin", "UTC", "Asia/Ho_Chi_Minh". Owned result. 0, -ENOENT (unknown name), -EINVAL
 * (name or file malformed), -ENOMEM. */
int tz_load(struct tz **ret, const char *name);
/* From a TZif file's bytes, borrowed for the call. Same errors. */
int tz_parse(struct tz **ret, const char *name, const void *p, size_t n);
void tz_free(struct tz *tz);
const char *tz_name(const struct tz *tz);

/* Seconds east of UTC in force at @utc; *@ret_dst (may be NULL) says whether daylight time. */
int32_t tz_offset(const struct tz *tz, int64_t utc, bool *ret_dst);
/* Instant of a local civil time given "as if UTC". In a gap the time after it, in an overlap the
 * first occurrence. */
int64_t tz_local_to_utc(const struct tz *tz, int64_t local);
/* First instant of the local day number (days since 1970-01-01 of the local calendar). */
int64_t tz_day_start(const struct tz *tz, int64_t local_day);
/* The local day number an instant falls in. */
int64_t tz_day_of(const struct tz *tz, int64_t utc);
/* First instant after @utc at which the offset changes, INT64_MAX if none. */
int64_t tz_next_change(const struct tz *tz, int64_t utc);
