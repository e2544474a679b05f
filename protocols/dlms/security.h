#pragma once

/*
 * DLMS security suites (Green Book 9.2): AES-GCM protection of APDUs, GMAC for HLS 5, key wrap.
 * Suite 0 and 1 use AES-128, suite 2 AES-256; the tag has 12 bytes in all of them. What carries the
 * protected bytes (glo-, ded-, general- APDUs, signatures) is protect.h.
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

struct dlms_pki; /* agreement.h */

/* The keys of one association. Copied by value; wipe with dlms_keys_wipe(). */
struct dlms_keys {
        uint8_t suite; /* 0, 1, 2 */
        bool has_ek, has_ak, has_dedicated, has_broadcast, has_master, has_session;
        uint8_t ek[DLMS_KEY_MAX]; /* global unicast encryption key */
        uint8_t ak[DLMS_KEY_MAX]; /* authentication key */
        uint8_t dedicated[DLMS_KEY_MAX];
        uint8_t broadcast[DLMS_KEY_MAX]; /* global broadcast encryption key */
        uint8_t master[DLMS_KEY_MAX];    /* key encryption key: wraps others */
        uint8_t session[DLMS_KEY_MAX];   /* fresh random one for general-ciphering, sent wrapped */
        const struct dlms_pki *pki;      /* suites 1 and 2; borrowed, NULL = none */
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

/* What one message is protected with when its envelope names a key of its own. Borrowed. */
struct dlms_material {
        unsigned suite;
        const uint8_t *key; /* dlms_key_size(suite) bytes; NULL = none */
        const uint8_t *ak;  /* the same; NULL = none */
        const uint8_t *aad; /* authenticated too, behind SC and AK (general-ciphering's header) */
        size_t aad_len;
};

/* Protects @plain (@n bytes) into @out: SC, invocation counter, ciphertext, tag. @sc says what is
 * applied and the suite; @dedicated picks the key, unless DLMS_SC_BROADCAST in @sc does. *@ret_len
 * bytes written. @out may overlap @plain (ciphering in place).
 * 0, DLMS_E_TOO_LONG, DLMS_E_KEY_MISSING, DLMS_E_SECURITY (nothing applied), DLMS_E_SUITE (not the
 * keys'), DLMS_E_COMPRESSED, DLMS_E_CRYPTO. */
int dlms_protect(struct dlms_crypto *c, const struct dlms_keys *keys, bool dedicated, uint8_t sc,
                 const uint8_t title[static DLMS_TITLE_SIZE], uint32_t ic, const uint8_t *plain,
                 size_t n, uint8_t *out, size_t cap, size_t *ret_len);
int dlms_protect_with(struct dlms_crypto *c, const struct dlms_material *m, uint8_t sc,
                      const uint8_t title[static DLMS_TITLE_SIZE], uint32_t ic,
                      const uint8_t *plain, size_t n, uint8_t *out, size_t cap, size_t *ret_len);

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
 * A message that is only authenticated cannot tell its keys apart: DLMS_E_TITLE when it verifies
 * under @known_title, else DLMS_E_TAG. One that is only encrypted gives DLMS_E_TITLE or
 * DLMS_E_ENCRYPTION_KEY when no APDU comes out.
 * Before that: DLMS_E_TRUNCATED, DLMS_E_SECURITY (protects nothing), DLMS_E_COMPRESSED,
 * DLMS_E_SUITE (key length of another suite; 0 and 1 protect alike), DLMS_E_KEY_MISSING.
 * Contents of @in are lost on failure. */
int dlms_open(struct dlms_crypto *c, const struct dlms_keys *keys, bool dedicated,
              const uint8_t title[static DLMS_TITLE_SIZE], const uint8_t *known_title, uint8_t *in,
              size_t n, struct dlms_protection *ret, uint8_t **ret_plain, size_t *ret_len);
int dlms_open_with(struct dlms_crypto *c, const struct dlms_material *m,
                   const uint8_t title[static DLMS_TITLE_SIZE], const uint8_t *known_title,
                   uint8_t *in, size_t n, struct dlms_protection *ret, uint8_t **ret_plain,
                   size_t *ret_len);

/* GMAC over SC || AK || @challenge (HLS 5 pass 3 and 4; @sc with DLMS_SC_AUTHENTICATED). */
int dlms_gmac(struct dlms_crypto *c, const struct dlms_keys *keys, uint8_t sc,
              const uint8_t title[static DLMS_TITLE_SIZE], uint32_t ic, const uint8_t *challenge,
              size_t n, uint8_t tag[static DLMS_TAG_SIZE]);

/* RFC 3394 key wrap under the master key, for key_transfer; @n a multiple of 8, 16 to 32 bytes, and
 * 8 more for what is unwrapped; @out has n + 8 bytes, or n - 8. 0, DLMS_E_ARGUMENT, DLMS_E_KEY_WRAP
 * (does not unwrap: another master key) or DLMS_E_CRYPTO. */
int dlms_key_wrap(const uint8_t *kek, size_t kek_len, const uint8_t *key, size_t n, uint8_t *out);
int dlms_key_unwrap(const uint8_t *kek, size_t kek_len, const uint8_t *wrapped, size_t n,
                    uint8_t *out);
