#pragma once

/*
 * High-level security authentication (Green Book 9.2.7.4): what client and server each answer to
 * the other's challenge, for every mechanism, and how an answer is checked. Pure but for the nonce
 * of a signature (agreement.h).
 *
 *     mechanism  f(challenge)
 *     2          the manufacturer's: a transform, or AES-128-ECB under a secret of 16 bytes, as
 *                IS 15959 and others have it
 *     3, 4       MD5, SHA-1 (challenge || secret)
 *     5          SC || IC || GMAC(SC || AK || challenge)
 *     6          SHA-256(secret || own title || peer's title || challenge || own challenge)
 *     7          ECDSA(own title || peer's title || challenge || own challenge)
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dlms.h"
#include "security.h"

enum { DLMS_GMAC_TOKEN_SIZE = 1 + 4 + DLMS_TAG_SIZE };

/* Mechanism 2 of a manufacturer. @fn writes f(@challenge) as the client (@server false) or the
 * server computes it and returns its length, 0 = it cannot. An answer known beforehand is a @fn
 * that returns it. Borrowed. */
struct dlms_transform {
        size_t (*fn)(void *user, bool server, const uint8_t *challenge, size_t n,
                     uint8_t out[static DLMS_HLS_ANSWER_MAX]);
        void *user;
};

/* Everything borrowed; [0] is the client's, [1] the server's. */
struct dlms_hls {
        enum dlms_auth auth;
        struct dlms_crypto *crypto;   /* GMAC */
        const struct dlms_keys *keys; /* GMAC, ECDSA (its pki) */
        const uint8_t *secret;        /* 2, 3, 4, 6 */
        size_t secret_len;
        const struct dlms_transform *transform; /* 2; NULL = AES-128-ECB */
        const uint8_t *title[2];
        const uint8_t *challenge[2];
        size_t challenge_len[2];
};

/* Whether the material for the mechanism is there; challenges and titles are not looked at. */
bool dlms_hls_usable(const struct dlms_hls *h);

/* The answer of one end (@server or client) to the other's challenge. @ic: GMAC. *@ret_len bytes.
 * 0, DLMS_E_ARGUMENT, DLMS_E_KEY_MISSING, DLMS_E_CRYPTO. */
int dlms_hls_answer(const struct dlms_hls *h, bool server, uint32_t ic,
                    uint8_t out[static DLMS_HLS_ANSWER_MAX], size_t *ret_len);

/* Whether @answer is that end's. 0, dlms_hls_wrong() or an error as above. */
int dlms_hls_check(const struct dlms_hls *h, bool server, const uint8_t *answer, size_t n);

/* The error that says whose secret is suspect: the meter refused our answer, or gave a wrong one.
 */
enum dlms_error dlms_hls_refused(enum dlms_auth auth);
enum dlms_error dlms_hls_wrong(enum dlms_auth auth);

/* HLS 3, 4, 6 (digests; titles may be NULL for 3 and 4). *@ret_len is the digest's length. */
int dlms_hls_digest(enum dlms_auth auth, const uint8_t *secret, size_t secret_len,
                    const uint8_t *title_from, const uint8_t *title_to, const uint8_t *challenge_a,
                    size_t len_a, const uint8_t *challenge_b, size_t len_b,
                    uint8_t out[static DLMS_CHALLENGE_MAX], size_t *ret_len);
