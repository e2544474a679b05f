#include "security.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "apdu.h"

enum { IV_SIZE = DLMS_TITLE_SIZE + 4, AAD_MAX = 1 + DLMS_KEY_MAX };

/* One direction's cipher context and the key it holds. */
struct slot {
        EVP_CIPHER_CTX *ctx;
        size_t key_size; /* 0 = none loaded */
        uint8_t key[DLMS_KEY_MAX];
};

struct dlms_crypto {
        struct slot slot[2]; /* 0 decrypts, 1 encrypts */
        EVP_CIPHER *gcm128, *gcm256;
};

void dlms_keys_wipe(struct dlms_keys *k)
{
        OPENSSL_cleanse(k, sizeof *k);
}

struct dlms_crypto *dlms_crypto_new(void)
{
        struct dlms_crypto *c = calloc(1, sizeof *c);

        if (!c)
                return NULL;
        c->gcm128 = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
        c->gcm256 = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
        c->slot[0].ctx = EVP_CIPHER_CTX_new();
        c->slot[1].ctx = EVP_CIPHER_CTX_new();
        if (!c->gcm128 || !c->gcm256 || !c->slot[0].ctx || !c->slot[1].ctx) {
                dlms_crypto_free(c);
                return NULL;
        }
        return c;
}

void dlms_crypto_free(struct dlms_crypto *c)
{
        if (!c)
                return;
        EVP_CIPHER_CTX_free(c->slot[0].ctx);
        EVP_CIPHER_CTX_free(c->slot[1].ctx);
        EVP_CIPHER_free(c->gcm128);
        EVP_CIPHER_free(c->gcm256);
        OPENSSL_cleanse(c, sizeof *c);
        free(c);
}

/* Context ready for a message under @key with @iv; NULL on failure. */
static EVP_CIPHER_CTX *begin(struct dlms_crypto *c, bool encrypt, const uint8_t *key, size_t size,
                             const uint8_t iv[static IV_SIZE])
{
        struct slot *s = &c->slot[encrypt];
        int ok;

        if (s->key_size == size && CRYPTO_memcmp(s->key, key, size) == 0) {
                ok = EVP_CipherInit_ex2(s->ctx, NULL, NULL, iv, encrypt, NULL);
        } else {
                const EVP_CIPHER *gcm = s->key_size == size ? NULL
                                        : size == 32        ? c->gcm256
                                                            : c->gcm128;

                /* A 12-byte IV is the default of GCM. */
                ok = EVP_CipherInit_ex2(s->ctx, gcm, key, iv, encrypt, NULL);
                memcpy(s->key, key, size);
                s->key_size = size;
        }
        if (ok != 1) {
                s->key_size = 0;
                return NULL;
        }
        return s->ctx;
}

static void make_iv(uint8_t iv[static IV_SIZE], const uint8_t *title, uint32_t ic)
{
        memcpy(iv, title, DLMS_TITLE_SIZE);
        iv[8] = (uint8_t)(ic >> 24);
        iv[9] = (uint8_t)(ic >> 16);
        iv[10] = (uint8_t)(ic >> 8);
        iv[11] = (uint8_t)ic;
}

/* Additional data of every tag: SC || AK. */
static size_t make_aad(uint8_t aad[static AAD_MAX], const struct dlms_keys *keys, uint8_t sc)
{
        size_t n = dlms_key_size(keys->suite);

        aad[0] = sc;
        memcpy(aad + 1, keys->ak, n);
        return n + 1;
}

static bool feed_aad(EVP_CIPHER_CTX *ctx, const uint8_t *p, size_t n)
{
        int len;

        return n == 0 || EVP_CipherUpdate(ctx, NULL, &len, p, (int)n) == 1;
}

static const uint8_t *pick_key(const struct dlms_keys *keys, bool dedicated)
{
        if (dedicated)
                return keys->has_dedicated ? keys->dedicated : NULL;
        return keys->has_ek ? keys->ek : NULL;
}

/* Encrypts or decrypts in place and leaves the context before its tag. */
static EVP_CIPHER_CTX *run(struct dlms_crypto *c, bool encrypt, const struct dlms_keys *keys,
                           bool dedicated, uint8_t sc, const uint8_t *title, uint32_t ic,
                           uint8_t *text, size_t n)
{
        const uint8_t *key = pick_key(keys, dedicated);
        uint8_t iv[IV_SIZE], aad[AAD_MAX];
        EVP_CIPHER_CTX *ctx;
        int len;

        make_iv(iv, title, ic);
        ctx = begin(c, encrypt, key, dlms_key_size(keys->suite), iv);
        if (!ctx)
                return NULL;
        if (sc & DLMS_SC_AUTHENTICATED && !feed_aad(ctx, aad, make_aad(aad, keys, sc)))
                return NULL;
        if (sc & DLMS_SC_ENCRYPTED) {
                if (n > 0 && EVP_CipherUpdate(ctx, text, &len, text, (int)n) != 1)
                        return NULL;
        } else if (!feed_aad(ctx, text, n)) {
                return NULL;
        }
        return ctx;
}

static bool get_tag(EVP_CIPHER_CTX *ctx, uint8_t *tag)
{
        uint8_t none[16];
        int len;

        return EVP_CipherFinal_ex(ctx, none, &len) == 1 &&
               EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, DLMS_TAG_SIZE, tag) == 1;
}

int dlms_protect(struct dlms_crypto *c, const struct dlms_keys *keys, bool dedicated, uint8_t sc,
                 const uint8_t title[static DLMS_TITLE_SIZE], uint32_t ic, const uint8_t *plain,
                 size_t n, uint8_t *out, size_t cap, size_t *ret_len)
{
        size_t tag = sc & DLMS_SC_AUTHENTICATED ? DLMS_TAG_SIZE : 0;
        EVP_CIPHER_CTX *ctx;

        if ((sc & DLMS_SC_SUITE) > 2 || !(sc & DLMS_POLICY_AUTHENTICATED_ENCRYPTED))
                return DLMS_E_SECURITY;
        if (!c || !pick_key(keys, dedicated) || (tag && !keys->has_ak))
                return DLMS_E_KEY_MISSING;
        if (n > cap || cap - n < DLMS_SC_HEADER_SIZE + tag)
                return DLMS_E_TOO_LONG;
        memmove(out + DLMS_SC_HEADER_SIZE, plain, n);
        out[0] = sc;
        out[1] = (uint8_t)(ic >> 24);
        out[2] = (uint8_t)(ic >> 16);
        out[3] = (uint8_t)(ic >> 8);
        out[4] = (uint8_t)ic;
        ctx = run(c, true, keys, dedicated, sc, title, ic, out + DLMS_SC_HEADER_SIZE, n);
        if (!ctx || (tag && !get_tag(ctx, out + DLMS_SC_HEADER_SIZE + n)))
                return DLMS_E_CRYPTO;
        *ret_len = DLMS_SC_HEADER_SIZE + n + tag;
        return 0;
}

/* Whether @text, ciphered, gives an APDU under @title. Deciphers in place and back again: without
 * the tag GCM is its own inverse. */
static bool gives_apdu(struct dlms_crypto *c, const struct dlms_keys *keys, bool dedicated,
                       const uint8_t *title, uint32_t ic, uint8_t *text, size_t n)
{
        bool good;

        if (!run(c, true, keys, dedicated, DLMS_SC_ENCRYPTED, title, ic, text, n))
                return false;
        good = apdu_plausible(text, n);
        run(c, true, keys, dedicated, DLMS_SC_ENCRYPTED, title, ic, text, n);
        return good;
}

/* The tag did not verify: which secret is the wrong one? @text is ciphertext again. */
static int diagnose(struct dlms_crypto *c, const struct dlms_keys *keys, bool dedicated,
                    const uint8_t *title, const uint8_t *known_title, uint32_t ic, uint8_t *text,
                    size_t n)
{
        if (gives_apdu(c, keys, dedicated, title, ic, text, n))
                return DLMS_E_AUTHENTICATION_KEY;
        if (known_title && memcmp(title, known_title, DLMS_TITLE_SIZE) != 0 &&
            gives_apdu(c, keys, dedicated, known_title, ic, text, n))
                return DLMS_E_TITLE;
        return DLMS_E_ENCRYPTION_KEY;
}

static bool check_tag(EVP_CIPHER_CTX *ctx, uint8_t *tag)
{
        uint8_t none[16];
        int len;

        return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, DLMS_TAG_SIZE, tag) == 1 &&
               EVP_CipherFinal_ex(ctx, none, &len) == 1;
}

int dlms_open(struct dlms_crypto *c, const struct dlms_keys *keys, bool dedicated,
              const uint8_t title[static DLMS_TITLE_SIZE], const uint8_t *known_title, uint8_t *in,
              size_t n, struct dlms_protection *ret, uint8_t **ret_plain, size_t *ret_len)
{
        struct dlms_protection prot = { 0 };
        size_t tag, len;
        EVP_CIPHER_CTX *ctx;
        uint8_t *text;

        if (n < DLMS_SC_HEADER_SIZE)
                return DLMS_E_TRUNCATED;
        prot.sc = in[0];
        prot.ic = (uint32_t)in[1] << 24 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 8 | in[4];
        if ((prot.sc & DLMS_SC_SUITE) > 2 || prot.sc & DLMS_SC_COMPRESSED ||
            !(prot.sc & DLMS_POLICY_AUTHENTICATED_ENCRYPTED))
                return DLMS_E_SECURITY;
        if (!c || !keys || !pick_key(keys, dedicated))
                return DLMS_E_KEY_MISSING;
        tag = prot.sc & DLMS_SC_AUTHENTICATED ? DLMS_TAG_SIZE : 0;
        if (n - DLMS_SC_HEADER_SIZE < tag)
                return DLMS_E_TRUNCATED;
        text = in + DLMS_SC_HEADER_SIZE;
        len = n - DLMS_SC_HEADER_SIZE - tag;
        prot.tag_checked = tag && keys->has_ak;
        ctx = run(c, false, keys, dedicated, prot.sc, title, prot.ic, text, len);
        if (!ctx)
                return DLMS_E_CRYPTO;
        *ret = prot;
        if (prot.tag_checked && !check_tag(ctx, text + len)) {
                if (!(prot.sc & DLMS_SC_ENCRYPTED))
                        return DLMS_E_TAG;
                run(c, true, keys, dedicated, DLMS_SC_ENCRYPTED, title, prot.ic, text, len);
                return diagnose(c, keys, dedicated, title, known_title, prot.ic, text, len);
        }
        if (!prot.tag_checked && prot.sc & DLMS_SC_ENCRYPTED && !apdu_plausible(text, len))
                return DLMS_E_ENCRYPTION_KEY;
        *ret_plain = text;
        *ret_len = len;
        return 0;
}

int dlms_gmac(struct dlms_crypto *c, const struct dlms_keys *keys, uint8_t sc,
              const uint8_t title[static DLMS_TITLE_SIZE], uint32_t ic, const uint8_t *challenge,
              size_t n, uint8_t tag[static DLMS_TAG_SIZE])
{
        uint8_t iv[IV_SIZE], aad[AAD_MAX];
        EVP_CIPHER_CTX *ctx;

        if (!c || !keys->has_ek || !keys->has_ak)
                return DLMS_E_KEY_MISSING;
        make_iv(iv, title, ic);
        ctx = begin(c, true, keys->ek, dlms_key_size(keys->suite), iv);
        if (!ctx || !feed_aad(ctx, aad, make_aad(aad, keys, sc)) || !feed_aad(ctx, challenge, n) ||
            !get_tag(ctx, tag))
                return DLMS_E_CRYPTO;
        return 0;
}

int dlms_hls_digest(enum dlms_auth auth, const uint8_t *secret, size_t secret_len,
                    const uint8_t *title_from, const uint8_t *title_to, const uint8_t *challenge_a,
                    size_t len_a, const uint8_t *challenge_b, size_t len_b,
                    uint8_t out[static DLMS_CHALLENGE_MAX], size_t *ret_len)
{
        const char *name = auth == DLMS_AUTH_HLS_MD5      ? "MD5"
                           : auth == DLMS_AUTH_HLS_SHA1   ? "SHA1"
                           : auth == DLMS_AUTH_HLS_SHA256 ? "SHA256"
                                                          : NULL;
        bool sha256 = auth == DLMS_AUTH_HLS_SHA256;
        unsigned len = 0;
        EVP_MD_CTX *ctx;
        EVP_MD *md;
        bool ok;

        if (!name || (sha256 && (!title_from || !title_to)))
                return DLMS_E_ARGUMENT;
        md = EVP_MD_fetch(NULL, name, NULL);
        ctx = EVP_MD_CTX_new();
        ok = md && ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1;
        /* 3, 4: challenge || secret; 6: secret || titles || both challenges (9.2.7.4) */
        if (ok && sha256)
                ok = EVP_DigestUpdate(ctx, secret, secret_len) == 1 &&
                     EVP_DigestUpdate(ctx, title_from, DLMS_TITLE_SIZE) == 1 &&
                     EVP_DigestUpdate(ctx, title_to, DLMS_TITLE_SIZE) == 1 &&
                     EVP_DigestUpdate(ctx, challenge_a, len_a) == 1 &&
                     EVP_DigestUpdate(ctx, challenge_b, len_b) == 1;
        else if (ok)
                ok = EVP_DigestUpdate(ctx, challenge_a, len_a) == 1 &&
                     EVP_DigestUpdate(ctx, secret, secret_len) == 1;
        ok = ok && EVP_DigestFinal_ex(ctx, out, &len) == 1;
        EVP_MD_CTX_free(ctx);
        EVP_MD_free(md);
        *ret_len = len;
        return ok ? 0 : DLMS_E_CRYPTO;
}

static int wrap(bool encrypt, const uint8_t *kek, size_t kek_len, const uint8_t *in, size_t n,
                uint8_t *out, size_t out_len)
{
        const char *name = kek_len == 32 ? "AES-256-WRAP" : "AES-128-WRAP";
        uint8_t tmp[DLMS_KEY_MAX + 16];
        EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
        int len = 0;
        bool ok;

        if (ctx)
                EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
        ok = ctx && cipher && EVP_CipherInit_ex2(ctx, cipher, kek, NULL, encrypt, NULL) == 1 &&
             EVP_CipherUpdate(ctx, tmp, &len, in, (int)n) == 1 && (size_t)len == out_len;
        if (ok)
                memcpy(out, tmp, out_len);
        OPENSSL_cleanse(tmp, sizeof tmp);
        EVP_CIPHER_CTX_free(ctx);
        EVP_CIPHER_free(cipher);
        return ok ? 0 : DLMS_E_CRYPTO;
}

int dlms_key_wrap(const uint8_t *kek, size_t kek_len, const uint8_t *key, size_t n, uint8_t *out)
{
        if ((kek_len != 16 && kek_len != 32) || n % 8 || n < 16 || n > DLMS_KEY_MAX)
                return DLMS_E_ARGUMENT;
        return wrap(true, kek, kek_len, key, n, out, n + 8);
}

int dlms_key_unwrap(const uint8_t *kek, size_t kek_len, const uint8_t *wrapped, size_t n,
                    uint8_t *out)
{
        if ((kek_len != 16 && kek_len != 32) || n % 8 || n < 24 || n > DLMS_KEY_MAX + 8)
                return DLMS_E_ARGUMENT;
        return wrap(false, kek, kek_len, wrapped, n, out, n - 8);
}
