#pragma once

/* Between hdlc.c and hdlc_crc.c. */

#include <stddef.h>
#include <stdint.h>

/* Takes @n more bytes into the register of CRC-16/X.25, which begins as FFFF and is complemented at
 * the end. */
uint16_t hdlc_crc_step(uint16_t crc, const uint8_t *p, size_t n);
