#pragma once

/*
 * Meter keys at rest: AES-256-GCM under the master key, the row's meter_id and kind as associated
 * data, so that a sealed key moved to another row does not open.
 *
 *   sealed  version:u8 (1) nonce[12] ciphertext tag[16]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"

enum { KEY_MASTER_SIZE = 32, KEY_SEALED_MAX = 1 + 12 + SECRET_MAX + 16 };

/* @master has KEY_MASTER_SIZE bytes. Returns how many bytes of @out are the sealed key, 0 when
 * @key is empty, @master is none, or the random source or cipher failed. */
size_t key_seal(const struct secret *master, uint32_t meter_id, const char *kind,
                const struct secret *key, uint8_t out[static KEY_SEALED_MAX]);
/* False when it was not sealed by this master key for this meter and kind; *@ret is empty then. */
bool key_open(const struct secret *master, uint32_t meter_id, const char *kind, const void *sealed,
              size_t n, struct secret *ret);
