#pragma once

/* Between protect.c (opening) and seal.c. */

#include "protect.h"

/* Numbers of keys and key-parameters in key-info (Green Book 9.2.7.2.4.4). */
enum { KEY_ID_UNICAST = 0, KEY_ID_BROADCAST = 1, KEK_ID_MASTER = 0, ONE_PASS = 1, STATIC = 2 };

/* Both agreements: Z, then the KDF over who tells whom. C(0e,2s) has the transaction-id as a nonce
 * (@nonce, else NULL) behind the first title, because its Z is always the same (9.2.3.4.6.4).
 * 0, DLMS_E_KEY_AGREEMENT, DLMS_E_CRYPTO. */
int protect_agree(unsigned suite, const uint8_t *own, const uint8_t *peer, const uint8_t *from,
                  const uint8_t *to, const struct apdu_field *nonce, uint8_t *key);
