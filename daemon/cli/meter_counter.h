#pragma once

/*
 * Invocation counters of the technician's tool, and its own system title: a small text file, for
 * this user. Numbers are reserved in it, on the disk, before the first one is used, and never go
 * back; two tools at once get different ones. The tool has a system title of its own, so that its
 * counters never meet those of the head-end under the same key.
 */

#include <stddef.h>
#include <stdint.h>

#include "dlms/dlms.h"

enum { METER_COUNTER_SESSION = 512 };

/* The title in @path, made up (letters HRT and five random bytes) and stored when there is none.
 * 0 or -errno. */
int meter_counter_title(const char *path, uint8_t ret[static DLMS_TITLE_SIZE]);
/* Numbers [*@ret_first, + METER_COUNTER_SESSION) for this key and title, none below @floor. 0,
 * -EOVERFLOW (32 bits used up: the meter needs new keys), -EBADMSG (no such file), or -errno. */
int meter_counter_reserve(const char *path, const uint8_t *key, size_t key_len,
                          const uint8_t title[static DLMS_TITLE_SIZE], uint64_t floor,
                          uint64_t *ret_first);
