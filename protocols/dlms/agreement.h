#pragma once

/*
 * Public-key part of security suites 1 and 2 (Green Book 9.2.3.4): ECDSA signatures and key
 * agreement. Suite 1: P-256 and SHA-256; suite 2: P-384 and SHA-384. Keys and signatures are the
 * bare numbers DLMS sends: public keys x || y, signatures r || s.
 *
 * Rare and slow beside the symmetric part, so each call makes its own contexts; no state, no I/O.
 */

#include <stddef.h>
#include <stdint.h>

#include "dlms.h"

enum { DLMS_EC_MAX = 48, DLMS_KDF_PARTY_MAX = 64 };

/* Bytes of a coordinate: 32 in suite 1, 48 in suite 2, 0 = the suite has no curve. */
size_t dlms_ec_size(unsigned suite);

/* @public_key and @signature have 2 × dlms_ec_size() bytes. 0, DLMS_E_TAG (does not verify),
 * DLMS_E_ARGUMENT (no point of the curve, wrong suite), DLMS_E_CRYPTO. */
int dlms_ecdsa_verify(unsigned suite, const uint8_t *public_key, const uint8_t *message, size_t n,
                      const uint8_t *signature);

/* Shared secret Z of our private key and the peer's public one; @z has dlms_ec_size() bytes. */
int dlms_ecdh(unsigned suite, const uint8_t *private_key, const uint8_t *peer_public, uint8_t *z);

/* Concatenation KDF, one round: hash(00000001 || Z || AlgorithmID || PartyU || PartyV), its left 16
 * (suite 1) or 32 bytes (suite 2) in @key. AlgorithmID has 7 bytes. */
int dlms_kdf(unsigned suite, const uint8_t *z, const uint8_t algorithm_id[static 7],
             const uint8_t *party_u, size_t u_len, const uint8_t *party_v, size_t v_len,
             uint8_t *key);
