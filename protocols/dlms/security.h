#pragma once

/*
 * DLMS security suites (Green Book 9.2): AES-GCM protection of APDUs, GMAC for HLS 5, key wrap.
 * Suite 0 and 1 use AES-128, suite 2 AES-256; the tag has 12 bytes in all of them.
 *
 * No I/O, no clock. struct dlms_crypto is the only thing with heap inside (OpenSSL contexts): make
 * one a thread and lend it to every session of that thread. It remembers which key it has loaded,
 * so that a run of messages under one key pays the key schedule once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dlms.h"

/* Security control byte (9.2.7.2.4.1): low nibble the suite. */
enum {
        DLMS_SC_SUITE = 0x0F,
        DLMS_SC_AUTHENTICATED = 0x10,
        DLMS_SC_ENCRYPTED = 0x20,
        DLMS_SC_BROADCAST = 0x40, /* key set: global broadcast */
        DLMS_SC_COMPRESSED = 0x80,
};

enum dlms_policy {
        DLMS_POLICY_NONE = 0,
        DLMS_POLICY_AUTHENTICATED = DLMS_SC_AUTHENTICATED,
        DLMS_POLICY_ENCRYPTED = DLMS_SC_ENCRYPTED,
        DLMS_POLICY_AUTHENTICATED_ENCRYPTED = DLMS_SC_AUTHENTICATED | DLMS_SC_ENCRYPTED,
};

enum { DLMS_TAG_SIZE = 12, DLMS_SC_HEADER_SIZE = 5 };

/* The keys of one association. Copied by value; wipe with dlms_keys_wipe(). */
struct dlms_keys {
        uint8_t suite; /* 0, 1, 2 */
        bool has_ek, has_ak, has_dedicated;
        uint8_t ek[DLMS_KEY_MAX]; /* global unicast encryption key */
        uint8_t ak[DLMS_KEY_MAX]; /* authentication key */
        uint8_t dedicated[DLMS_KEY_MAX];
};

static inline size_t dlms_key_size(unsigned suite)
{
        return suite == 2 ? 32 : 16;
}
void dlms_keys_wipe(struct dlms_keys *k);

struct dlms_crypto;

/* Owned by the caller. NULL when out of memory. */
struct dlms_crypto *dlms_crypto_new(void);
void dlms_crypto_free(struct dlms_crypto *c);

/* Protects @plain (@n bytes) into @out: SC, invocation counter, ciphertext, tag. @sc says what is
 * applied and the suite; @dedicated picks the key. *@ret_len bytes written. @out may overlap
 * @plain (ciphering in place).
 * 0, DLMS_E_TOO_LONG, DLMS_E_KEY_MISSING, DLMS_E_SECURITY, DLMS_E_CRYPTO. */
int dlms_protect(struct dlms_crypto *c, const struct dlms_keys *keys, bool dedicated, uint8_t sc,
                 const uint8_t title[static DLMS_TITLE_SIZE], uint32_t ic, const uint8_t *plain,
                 size_t n, uint8_t *out, size_t cap, size_t *ret_len);

/* What one protected message said about itself. */
struct dlms_protection {
        uint8_t sc;
        uint32_t ic;
        bool tag_checked; /* false: no tag, or no authentication key to check it with */
};

/* Opens @in (SC, counter, ciphertext, tag; @n bytes) in place; *@ret_plain points into @in.
 * @title is the sender's title as the message (or the AARE) gave it; @known_title, or NULL, the
 * one the caller expected. When the tag fails the kind of failure is found out by trying: an APDU
 * that parses under @title means the authentication key is wrong (DLMS_E_AUTHENTICATION_KEY), one
 * that opens only under @known_title means the title (DLMS_E_TITLE), else DLMS_E_ENCRYPTION_KEY.
 * A message that is only authenticated cannot tell its keys apart: DLMS_E_TAG. One that is only
 * encrypted gives DLMS_E_ENCRYPTION_KEY when no APDU comes out.
 * Contents of @in are lost on failure. */
int dlms_open(struct dlms_crypto *c, const struct dlms_keys *keys, bool dedicated,
              const uint8_t title[static DLMS_TITLE_SIZE], const uint8_t *known_title, uint8_t *in,
              size_t n, struct dlms_protection *ret, uint8_t **ret_plain, size_t *ret_len);

/* GMAC over SC || AK || @challenge (HLS 5 pass 3 and 4; @sc with DLMS_SC_AUTHENTICATED). */
int dlms_gmac(struct dlms_crypto *c, const struct dlms_keys *keys, uint8_t sc,
              const uint8_t title[static DLMS_TITLE_SIZE], uint32_t ic, const uint8_t *challenge,
              size_t n, uint8_t tag[static DLMS_TAG_SIZE]);

/* HLS 3, 4, 6 (digests; titles may be NULL for 3 and 4). *@ret_len is the digest's length. */
int dlms_hls_digest(enum dlms_auth auth, const uint8_t *secret, size_t secret_len,
                    const uint8_t *title_from, const uint8_t *title_to, const uint8_t *challenge_a,
                    size_t len_a, const uint8_t *challenge_b, size_t len_b,
                    uint8_t out[static DLMS_CHALLENGE_MAX], size_t *ret_len);

/* RFC 3394 key wrap under the master key, for key_transfer; @n a multiple of 8, 16 to 32 bytes;
 * @out has n + 8 bytes. 0, DLMS_E_ARGUMENT or DLMS_E_CRYPTO (also: does not unwrap). */
int dlms_key_wrap(const uint8_t *kek, size_t kek_len, const uint8_t *key, size_t n, uint8_t *out);
int dlms_key_unwrap(const uint8_t *kek, size_t kek_len, const uint8_t *wrapped, size_t n,
                    uint8_t *out);
