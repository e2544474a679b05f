#pragma once

/* CRC-32C (Castagnoli, reflected 0x82F63B78) of the spool's and blocks' records. Pure. */

#include <stddef.h>
#include <stdint.h>

/* Continues @crc (0 to begin) over @n bytes. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
