#pragma once

/*
 * Public-key part of security suites 1 and 2 (Green Book 9.2.3.4): ECDSA signatures and key
 * agreement. Suite 1: P-256 and SHA-256; suite 2: P-384 and SHA-384. Keys and signatures are the
 * bare numbers DLMS sends: public keys x || y, signatures r || s.
 *
 * Rare and slow beside the symmetric part, so each call makes its own contexts; no state, no I/O.
 * Random numbers (ephemeral keys, the nonce in a signature) come from libcrypto: the one place of
 * the core that does not take them as arguments, because a nonce used twice gives the private key
 * away.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dlms.h"

enum { DLMS_EC_MAX = 48, DLMS_KDF_PARTY_MAX = 64 };

/* Bytes of a coordinate: 32 in suite 1, 48 in suite 2, 0 = the suite has no curve. */
size_t dlms_ec_size(unsigned suite);

/* Keys of the two ends of an association, as numbers. Keys for signing and for key agreement are
 * different ones (9.2.3.4.1). Wipe with dlms_pki_wipe(). */
struct dlms_pki {
        bool has_sign, has_agree, has_ephemeral; /* our private keys */
        bool has_peer_sign, has_peer_agree;      /* the peer's public keys */
        uint8_t sign[DLMS_EC_MAX];               /* signs challenges, APDUs and ephemeral keys */
        uint8_t agree[DLMS_EC_MAX];              /* static */
        uint8_t ephemeral[DLMS_EC_MAX];          /* fresh for each session: dlms_ec_generate() */
        uint8_t peer_sign[2 * DLMS_EC_MAX];
        uint8_t peer_agree[2 * DLMS_EC_MAX]; /* static */
};

void dlms_pki_wipe(struct dlms_pki *p);

/* A fresh key pair, from the library's random generator. @private_key has dlms_ec_size() bytes,
 * @public_key twice as many. 0, DLMS_E_ARGUMENT (wrong suite), DLMS_E_CRYPTO. */
int dlms_ec_generate(unsigned suite, uint8_t *private_key, uint8_t *public_key);
/* The public key of a private one. DLMS_E_ARGUMENT also when it is no key of the curve. */
int dlms_ec_public(unsigned suite, const uint8_t *private_key, uint8_t *public_key);

/* What is signed, in pieces that are taken one behind the other. Borrowed. */
struct dlms_part {
        const uint8_t *p;
        size_t n;
};

/* @public_key and @signature have 2 × dlms_ec_size() bytes. 0, DLMS_E_SIGNATURE (does not verify),
 * DLMS_E_ARGUMENT (no point of the curve, wrong suite), DLMS_E_CRYPTO. */
int dlms_ecdsa_verify(unsigned suite, const uint8_t *public_key, const struct dlms_part *parts,
                      size_t n_parts, const uint8_t *signature);
/* The nonce is the library's: two signatures of one message differ. @signature as above. */
int dlms_ecdsa_sign(unsigned suite, const uint8_t *private_key, const struct dlms_part *parts,
                    size_t n_parts, uint8_t *signature);

/* Shared secret Z of our private key and the peer's public one; @z has dlms_ec_size() bytes: to be
 * wiped once the key is derived. DLMS_E_ARGUMENT when a key is none of the curve's. */
int dlms_ecdh(unsigned suite, const uint8_t *private_key, const uint8_t *peer_public, uint8_t *z);

/* Concatenation KDF, one round: hash(00000001 || Z || AlgorithmID || PartyU || PartyV), its left 16
 * (suite 1) or 32 bytes (suite 2) in @key. AlgorithmID has 7 bytes. */
int dlms_kdf(unsigned suite, const uint8_t *z, const uint8_t algorithm_id[static 7],
             const uint8_t *party_u, size_t u_len, const uint8_t *party_v, size_t v_len,
             uint8_t *key);
/* AlgorithmID of a derived AES-GCM key, or (@wrap) of a key encryption key. Static. */
const uint8_t *dlms_kdf_algorithm(unsigned suite, bool wrap);
