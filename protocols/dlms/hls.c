#include "hls.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "agreement.h"

enum { BLOCK_SIZE = 16 };

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

/* The challenge, filled with zeroes to whole blocks, enciphered block by block under the secret. */
static int ecb(const uint8_t *secret, size_t secret_len, const uint8_t *challenge, size_t n,
               uint8_t *out, size_t *ret_len)
{
        uint8_t text[DLMS_CHALLENGE_MAX] = { 0 };
        size_t whole = (n + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
        EVP_CIPHER_CTX *ctx;
        EVP_CIPHER *cipher;
        int len = 0;
        bool ok;

        if (secret_len != 16 || n == 0 || n > sizeof text)
                return DLMS_E_ARGUMENT;
        memcpy(text, challenge, n);
        ctx = EVP_CIPHER_CTX_new();
        cipher = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);
        ok = ctx && cipher && EVP_EncryptInit_ex2(ctx, cipher, secret, NULL, NULL) == 1 &&
             EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
             EVP_EncryptUpdate(ctx, out, &len, text, (int)whole) == 1 && (size_t)len == whole;
        EVP_CIPHER_CTX_free(ctx);
        EVP_CIPHER_free(cipher);
        *ret_len = whole;
        return ok ? 0 : DLMS_E_CRYPTO;
}

static bool can_sign(const struct dlms_keys *keys)
{
        return keys && keys->pki && dlms_ec_size(keys->suite) > 0;
}

bool dlms_hls_usable(const struct dlms_hls *h)
{
        switch (h->auth) {
        case DLMS_AUTH_NONE:
                return true;
        case DLMS_AUTH_LLS:
                return h->secret_len == 0 || h->secret;
        case DLMS_AUTH_HLS:
                return (h->transform && h->transform->fn) || (h->secret && h->secret_len == 16);
        case DLMS_AUTH_HLS_MD5:
        case DLMS_AUTH_HLS_SHA1:
        case DLMS_AUTH_HLS_SHA256:
                return h->secret && h->secret_len > 0;
        case DLMS_AUTH_GMAC:
                return h->crypto && h->keys && h->keys->has_ek && h->keys->has_ak;
        case DLMS_AUTH_HLS_ECDSA:
                return can_sign(h->keys) && h->keys->pki->has_sign && h->keys->pki->has_peer_sign;
        }
        return false;
}

/* Titles and challenges as mechanisms 6 and 7 have them; false when a title is missing. */
static bool make_parts(const struct dlms_hls *h, bool server, struct dlms_part parts[static 4])
{
        if (!h->title[0] || !h->title[1])
                return false;
        parts[0] = (struct dlms_part){ h->title[server], DLMS_TITLE_SIZE };
        parts[1] = (struct dlms_part){ h->title[!server], DLMS_TITLE_SIZE };
        parts[2] = (struct dlms_part){ h->challenge[!server], h->challenge_len[!server] };
        parts[3] = (struct dlms_part){ h->challenge[server], h->challenge_len[server] };
        return true;
}

static int gmac_token(const struct dlms_hls *h, bool server, uint8_t sc, uint32_t ic, uint8_t *out)
{
        if (!h->title[server])
                return DLMS_E_ARGUMENT;
        out[0] = sc;
        out[1] = (uint8_t)(ic >> 24);
        out[2] = (uint8_t)(ic >> 16);
        out[3] = (uint8_t)(ic >> 8);
        out[4] = (uint8_t)ic;
        return dlms_gmac(h->crypto, h->keys, sc, h->title[server], ic, h->challenge[!server],
                         h->challenge_len[!server], out + 5);
}

int dlms_hls_answer(const struct dlms_hls *h, bool server, uint32_t ic,
                    uint8_t out[static DLMS_HLS_ANSWER_MAX], size_t *ret_len)
{
        struct dlms_part parts[4];

        if (!dlms_hls_usable(h))
                return DLMS_E_KEY_MISSING;
        switch (h->auth) {
        case DLMS_AUTH_HLS:
                if (!h->transform)
                        return ecb(h->secret, h->secret_len, h->challenge[!server],
                                   h->challenge_len[!server], out, ret_len);
                *ret_len = h->transform->fn(h->transform->user, server, h->challenge[!server],
                                            h->challenge_len[!server], out);
                return *ret_len > 0 && *ret_len <= DLMS_HLS_ANSWER_MAX ? 0 : DLMS_E_ARGUMENT;
        case DLMS_AUTH_HLS_MD5:
        case DLMS_AUTH_HLS_SHA1:
        case DLMS_AUTH_HLS_SHA256:
                return dlms_hls_digest(h->auth, h->secret, h->secret_len, h->title[server],
                                       h->title[!server], h->challenge[!server],
                                       h->challenge_len[!server], h->challenge[server],
                                       h->challenge_len[server], out, ret_len);
        case DLMS_AUTH_GMAC:
                *ret_len = DLMS_GMAC_TOKEN_SIZE;
                return gmac_token(h, server, (uint8_t)(DLMS_SC_AUTHENTICATED | h->keys->suite), ic,
                                  out);
        case DLMS_AUTH_HLS_ECDSA:
                if (!make_parts(h, server, parts))
                        return DLMS_E_ARGUMENT;
                *ret_len = 2 * dlms_ec_size(h->keys->suite);
                return dlms_ecdsa_sign(h->keys->suite, h->keys->pki->sign, parts, 4, out);
        case DLMS_AUTH_NONE:
        case DLMS_AUTH_LLS:
                break;
        }
        return DLMS_E_ARGUMENT;
}

static int check_signature(const struct dlms_hls *h, bool server, const uint8_t *answer, size_t n)
{
        struct dlms_part parts[4];
        int e;

        if (!dlms_hls_usable(h))
                return DLMS_E_KEY_MISSING;
        if (!make_parts(h, server, parts))
                return DLMS_E_ARGUMENT;
        if (n != 2 * dlms_ec_size(h->keys->suite))
                return (int)dlms_hls_wrong(h->auth);
        e = dlms_ecdsa_verify(h->keys->suite, h->keys->pki->peer_sign, parts, 4, answer);
        return e == DLMS_E_SIGNATURE ? (int)dlms_hls_wrong(h->auth) : e;
}

int dlms_hls_check(const struct dlms_hls *h, bool server, const uint8_t *answer, size_t n)
{
        uint8_t expected[DLMS_HLS_ANSWER_MAX];
        size_t len = 0;
        uint32_t ic;
        int e;

        if (h->auth == DLMS_AUTH_HLS_ECDSA)
                return check_signature(h, server, answer, n);
        if (h->auth == DLMS_AUTH_GMAC) {
                if (n != DLMS_GMAC_TOKEN_SIZE)
                        return (int)dlms_hls_wrong(h->auth);
                if (!dlms_hls_usable(h))
                        return DLMS_E_KEY_MISSING;
                ic = (uint32_t)answer[1] << 24 | (uint32_t)answer[2] << 16 |
                     (uint32_t)answer[3] << 8 | answer[4];
                len = n;
                e = gmac_token(h, server, answer[0], ic, expected);
        } else {
                e = dlms_hls_answer(h, server, 0, expected, &len);
        }
        if (!e && (n != len || CRYPTO_memcmp(answer, expected, len) != 0))
                e = (int)dlms_hls_wrong(h->auth);
        OPENSSL_cleanse(expected, sizeof expected);
        return e;
}

enum dlms_error dlms_hls_refused(enum dlms_auth auth)
{
        return auth == DLMS_AUTH_GMAC        ? DLMS_E_HLS_REFUSED
               : auth == DLMS_AUTH_HLS_ECDSA ? DLMS_E_HLS_REFUSED_SIGNATURE
                                             : DLMS_E_HLS_REFUSED_SECRET;
}

enum dlms_error dlms_hls_wrong(enum dlms_auth auth)
{
        return auth == DLMS_AUTH_GMAC        ? DLMS_E_HLS_SERVER
               : auth == DLMS_AUTH_HLS_ECDSA ? DLMS_E_HLS_SERVER_SIGNATURE
                                             : DLMS_E_HLS_SERVER_SECRET;
}
