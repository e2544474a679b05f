#pragma once

/* Hexadecimal text to bytes. Pure. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Decodes @n characters of hexadecimal text, blanks between bytes skipped, into at most @cap
 * bytes. Returns how many bytes, or -EINVAL for a character that is no digit or half a
 * byte, -ENOSPC when @out is too small. */
ssize_t hex_decode(const char *s, size_t n, uint8_t *out, size_t cap);
