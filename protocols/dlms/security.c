#include "security.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "apdu.h"
#include "envelope.h"

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
static size_t make_aad(uint8_t aad[static AAD_MAX], const uint8_t *ak, size_t size, uint8_t sc)
{
        aad[0] = sc;
        memcpy(aad + 1, ak, size);
        return size + 1;
}

static bool feed_aad(EVP_CIPHER_CTX *ctx, const uint8_t *p, size_t n)
{
        int len;

        return n == 0 || EVP_CipherUpdate(ctx, NULL, &len, p, (int)n) == 1;
}

/* Keys of the association as material of one message; .key NULL when there is none. */
static struct dlms_material pick(const struct dlms_keys *keys, bool dedicated, uint8_t sc)
{
        struct dlms_material m = { .suite = keys->suite, .ak = keys->has_ak ? keys->ak : NULL };

        if (sc & DLMS_SC_BROADCAST)
                m.key = keys->has_broadcast ? keys->broadcast : NULL;
        else if (dedicated)
                m.key = keys->has_dedicated ? keys->dedicated : NULL;
        else
                m.key = keys->has_ek ? keys->ek : NULL;
        return m;
}

/* Encrypts or decrypts in place and leaves the context before its tag. */
static EVP_CIPHER_CTX *run(struct dlms_crypto *c, bool encrypt, const struct dlms_material *m,
                           uint8_t sc, const uint8_t *title, uint32_t ic, uint8_t *text, size_t n)
{
        size_t size = dlms_key_size(m->suite);
        uint8_t iv[IV_SIZE], aad[AAD_MAX];
        EVP_CIPHER_CTX *ctx;
        int len;

        make_iv(iv, title, ic);
        ctx = begin(c, encrypt, m->key, size, iv);
        if (!ctx)
                return NULL;
        if (sc & DLMS_SC_AUTHENTICATED && m->ak &&
            (!feed_aad(ctx, aad, make_aad(aad, m->ak, size, sc)) ||
             !feed_aad(ctx, m->aad, m->aad_len)))
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

/* Suites 0 and 1 protect alike, and some meters write the one and mean the other. */
static int check_control(uint8_t sc, unsigned suite)
{
        if (sc & DLMS_SC_COMPRESSED)
                return DLMS_E_COMPRESSED;
        if ((sc & DLMS_SC_SUITE) > 2 || !(sc & DLMS_POLICY_AUTHENTICATED_ENCRYPTED))
                return DLMS_E_SECURITY;
        return dlms_key_size(sc & DLMS_SC_SUITE) == dlms_key_size(suite) ? 0 : DLMS_E_SUITE;
}

int dlms_protect_with(struct dlms_crypto *c, const struct dlms_material *m, uint8_t sc,
                      const uint8_t title[static DLMS_TITLE_SIZE], uint32_t ic,
                      const uint8_t *plain, size_t n, uint8_t *out, size_t cap, size_t *ret_len)
{
        size_t tag = sc & DLMS_SC_AUTHENTICATED ? DLMS_TAG_SIZE : 0;
        EVP_CIPHER_CTX *ctx;
        int e = check_control(sc, m->suite);

        if (e)
                return e;
        if (!c || !m->key || (tag && !m->ak))
                return DLMS_E_KEY_MISSING;
        if (n > cap || cap - n < DLMS_SC_HEADER_SIZE + tag)
                return DLMS_E_TOO_LONG;
        memmove(out + DLMS_SC_HEADER_SIZE, plain, n);
        out[0] = sc;
        out[1] = (uint8_t)(ic >> 24);
        out[2] = (uint8_t)(ic >> 16);
        out[3] = (uint8_t)(ic >> 8);
        out[4] = (uint8_t)ic;
        ctx = run(c, true, m, sc, title, ic, out + DLMS_SC_HEADER_SIZE, n);
        if (!ctx || (tag && !get_tag(ctx, out + DLMS_SC_HEADER_SIZE + n)))
                return DLMS_E_CRYPTO;
        *ret_len = DLMS_SC_HEADER_SIZE + n + tag;
        return 0;
}

int dlms_protect(struct dlms_crypto *c, const struct dlms_keys *keys, bool dedicated, uint8_t sc,
                 const uint8_t title[static DLMS_TITLE_SIZE], uint32_t ic, const uint8_t *plain,
                 size_t n, uint8_t *out, size_t cap, size_t *ret_len)
{
        struct dlms_material m = pick(keys, dedicated, sc);

        return dlms_protect_with(c, &m, sc, title, ic, plain, n, out, cap, ret_len);
}

/* ---- opening, and why it fails ---- */

/* A right key gives an APDU; besides the plain ones, protected text may hold one that is signed, or
 * protected once more. */
static bool is_apdu(const uint8_t *p, size_t n)
{
        struct apdu_envelope env;
        struct apdu_general g;
        struct apdu_signed s;

        if (n < 2)
                return false;
        switch (p[0]) {
        case APDU_ACCESS_REQUEST:
        case APDU_ACCESS_RESPONSE: /* long-invoke-id, date-time of 0 or 12 bytes, count */
                return n >= 8 && (p[5] == 0 || (p[5] == 12 && n >= 20));
        case APDU_GENERAL_SIGNING:
                return apdu_signed_decode(p, n, &s) == 0;
        case APDU_GENERAL_CIPHERING:
                return apdu_general_decode(p, n, &g) == 0;
        default:
                if (apdu_is_ciphered(p[0]))
                        return apdu_envelope_decode(p, n, &env) == 0;
                return apdu_plausible(p, n);
        }
}

/* Whether @text, ciphered, gives an APDU under @title. Deciphers in place and back again: without
 * the tag GCM is its own inverse. */
static bool gives_apdu(struct dlms_crypto *c, const struct dlms_material *m, const uint8_t *title,
                       uint32_t ic, uint8_t *text, size_t n)
{
        bool good;

        if (!run(c, true, m, DLMS_SC_ENCRYPTED, title, ic, text, n))
                return false;
        good = is_apdu(text, n);
        run(c, true, m, DLMS_SC_ENCRYPTED, title, ic, text, n);
        return good;
}

static bool check_tag(EVP_CIPHER_CTX *ctx, uint8_t *tag)
{
        uint8_t none[16];
        int len;

        return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, DLMS_TAG_SIZE, tag) == 1 &&
               EVP_CipherFinal_ex(ctx, none, &len) == 1;
}

/* The message did not open: which secret is the wrong one? @text is as received, its tag (if it has
 * one we can check) behind it. */
static int diagnose(struct dlms_crypto *c, const struct dlms_material *m, const uint8_t *title,
                    const uint8_t *known_title, const struct dlms_protection *prot, uint8_t *text,
                    size_t n)
{
        bool other = known_title && memcmp(title, known_title, DLMS_TITLE_SIZE) != 0;
        EVP_CIPHER_CTX *ctx;

        if (!(prot->sc & DLMS_SC_ENCRYPTED)) {
                ctx = other ? run(c, false, m, prot->sc, known_title, prot->ic, text, n) : NULL;
                return ctx && check_tag(ctx, text + n) ? DLMS_E_TITLE : DLMS_E_TAG;
        }
        if (gives_apdu(c, m, title, prot->ic, text, n))
                return DLMS_E_AUTHENTICATION_KEY;
        if (other && gives_apdu(c, m, known_title, prot->ic, text, n))
                return DLMS_E_TITLE;
        return DLMS_E_ENCRYPTION_KEY;
}

/* Deciphers @text in place; false when it is not what the keys' owner sent. */
static bool opens(struct dlms_crypto *c, const struct dlms_material *m, const uint8_t *title,
                  const struct dlms_protection *prot, uint8_t *text, size_t n)
{
        EVP_CIPHER_CTX *ctx = run(c, false, m, prot->sc, title, prot->ic, text, n);

        if (!ctx)
                return false;
        if (prot->tag_checked)
                return check_tag(ctx, text + n);
        return !(prot->sc & DLMS_SC_ENCRYPTED) || is_apdu(text, n);
}

int dlms_open_with(struct dlms_crypto *c, const struct dlms_material *m,
                   const uint8_t title[static DLMS_TITLE_SIZE], const uint8_t *known_title,
                   uint8_t *in, size_t n, struct dlms_protection *ret, uint8_t **ret_plain,
                   size_t *ret_len)
{
        struct dlms_protection prot = { 0 };
        size_t tag, len;
        uint8_t *text;
        int e;

        if (n < DLMS_SC_HEADER_SIZE)
                return DLMS_E_TRUNCATED;
        prot.sc = in[0];
        prot.ic = (uint32_t)in[1] << 24 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 8 | in[4];
        *ret = prot;
        e = check_control(prot.sc, m->suite);
        if (e)
                return e;
        if (!c || !m->key)
                return DLMS_E_KEY_MISSING;
        tag = prot.sc & DLMS_SC_AUTHENTICATED ? DLMS_TAG_SIZE : 0;
        if (n - DLMS_SC_HEADER_SIZE < tag)
                return DLMS_E_TRUNCATED;
        text = in + DLMS_SC_HEADER_SIZE;
        len = n - DLMS_SC_HEADER_SIZE - tag;
        ret->tag_checked = prot.tag_checked = tag && m->ak;
        if (!opens(c, m, title, &prot, text, len)) {
                if (prot.sc & DLMS_SC_ENCRYPTED)
                        run(c, true, m, DLMS_SC_ENCRYPTED, title, prot.ic, text, len);
                return diagnose(c, m, title, known_title, &prot, text, len);
        }
        *ret_plain = text;
        *ret_len = len;
        return 0;
}

int dlms_open(struct dlms_crypto *c, const struct dlms_keys *keys, bool dedicated,
              const uint8_t title[static DLMS_TITLE_SIZE], const uint8_t *known_title, uint8_t *in,
              size_t n, struct dlms_protection *ret, uint8_t **ret_plain, size_t *ret_len)
{
        struct dlms_material m = { 0 };

        if (keys && n > 0)
                m = pick(keys, dedicated, in[0]);
        return dlms_open_with(c, &m, title, known_title, in, n, ret, ret_plain, ret_len);
}

int dlms_gmac(struct dlms_crypto *c, const struct dlms_keys *keys, uint8_t sc,
              const uint8_t title[static DLMS_TITLE_SIZE], uint32_t ic, const uint8_t *challenge,
              size_t n, uint8_t tag[static DLMS_TAG_SIZE])
{
        size_t size = dlms_key_size(keys->suite);
        uint8_t iv[IV_SIZE], aad[AAD_MAX];
        EVP_CIPHER_CTX *ctx;

        if (!c || !keys->has_ek || !keys->has_ak)
                return DLMS_E_KEY_MISSING;
        make_iv(iv, title, ic);
        ctx = begin(c, true, keys->ek, size, iv);
        if (!ctx || !feed_aad(ctx, aad, make_aad(aad, keys->ak, size, sc)) ||
            !feed_aad(ctx, challenge, n) || !get_tag(ctx, tag))
                return DLMS_E_CRYPTO;
        return 0;
}

static int wrap(bool encrypt, const uint8_t *kek, size_t kek_len, const uint8_t *in, size_t n,
                uint8_t *out, size_t out_len)
{
        const char *name = kek_len == 32 ? "AES-256-WRAP" : "AES-128-WRAP";
        uint8_t tmp[DLMS_KEY_MAX + 16];
        EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
        bool made = ctx && cipher, ok;
        int len = 0;

        if (ctx)
                EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
        ok = made && EVP_CipherInit_ex2(ctx, cipher, kek, NULL, encrypt, NULL) == 1 &&
             EVP_CipherUpdate(ctx, tmp, &len, in, (int)n) == 1 && (size_t)len == out_len;
        if (ok)
                memcpy(out, tmp, out_len);
        OPENSSL_cleanse(tmp, sizeof tmp);
        EVP_CIPHER_CTX_free(ctx);
        EVP_CIPHER_free(cipher);
        if (ok)
                return 0;
        return made && !encrypt ? DLMS_E_KEY_WRAP : DLMS_E_CRYPTO;
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
