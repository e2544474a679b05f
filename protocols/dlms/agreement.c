#include "agreement.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

#include "security.h"

size_t dlms_ec_size(unsigned suite)
{
        return suite == 1 ? 32 : suite == 2 ? 48 : 0;
}

static const char *digest_name(unsigned suite)
{
        return suite == 2 ? "SHA384" : "SHA256";
}

/* From bare numbers; either may be NULL. Freed by the caller. */
static EVP_PKEY *make_key(unsigned suite, const uint8_t *public_key, const uint8_t *private_key)
{
        size_t size = dlms_ec_size(suite);
        uint8_t point[1 + 2 * DLMS_EC_MAX] = { 4 }; /* uncompressed */
        OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
        OSSL_PARAM *params = NULL;
        BIGNUM *secret = NULL;
        EVP_PKEY *key = NULL;
        bool ok = builder && ctx;

        ok = ok && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME,
                                                   suite == 2 ? "P-384" : "P-256", 0) == 1;
        if (ok && public_key) {
                memcpy(point + 1, public_key, 2 * size);
                ok = OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point,
                                                      1 + 2 * size) == 1;
        }
        if (ok && private_key) {
                secret = BN_secure_new();
                ok = secret && BN_bin2bn(private_key, (int)size, secret) &&
                     OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, secret) == 1;
        }
        if (ok)
                params = OSSL_PARAM_BLD_to_param(builder);
        if (params && EVP_PKEY_fromdata_init(ctx) == 1)
                EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
        OSSL_PARAM_free(params);
        OSSL_PARAM_BLD_free(builder);
        BN_clear_free(secret);
        EVP_PKEY_CTX_free(ctx);
        return key;
}

/* r || s as the DER sequence OpenSSL wants; owned by the caller, OPENSSL_free(). */
static uint8_t *make_signature(size_t size, const uint8_t *signature, size_t *ret_len)
{
        ECDSA_SIG *sig = ECDSA_SIG_new();
        BIGNUM *r = BN_bin2bn(signature, (int)size, NULL);
        BIGNUM *s = BN_bin2bn(signature + size, (int)size, NULL);
        uint8_t *der = NULL;
        int n = 0;

        if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
                n = i2d_ECDSA_SIG(sig, &der);
        } else {
                BN_free(r);
                BN_free(s);
        }
        ECDSA_SIG_free(sig);
        *ret_len = n > 0 ? (size_t)n : 0;
        return n > 0 ? der : NULL;
}

int dlms_ecdsa_verify(unsigned suite, const uint8_t *public_key, const uint8_t *message, size_t n,
                      const uint8_t *signature)
{
        size_t size = dlms_ec_size(suite), der_len;
        EVP_MD_CTX *ctx;
        EVP_PKEY *key;
        uint8_t *der;
        int e = DLMS_E_CRYPTO;

        if (size == 0)
                return DLMS_E_ARGUMENT;
        key = make_key(suite, public_key, NULL);
        if (!key)
                return DLMS_E_ARGUMENT;
        der = make_signature(size, signature, &der_len);
        ctx = EVP_MD_CTX_new();
        if (der && ctx &&
            EVP_DigestVerifyInit_ex(ctx, NULL, digest_name(suite), NULL, NULL, key, NULL) == 1)
                e = EVP_DigestVerify(ctx, der, der_len, message, n) == 1 ? 0 : DLMS_E_TAG;
        EVP_MD_CTX_free(ctx);
        OPENSSL_free(der);
        EVP_PKEY_free(key);
        return e;
}

int dlms_ecdh(unsigned suite, const uint8_t *private_key, const uint8_t *peer_public, uint8_t *z)
{
        size_t size = dlms_ec_size(suite), len = size;
        EVP_PKEY *own, *peer;
        EVP_PKEY_CTX *ctx = NULL;
        int e = DLMS_E_ARGUMENT;

        if (size == 0)
                return DLMS_E_ARGUMENT;
        own = make_key(suite, NULL, private_key);
        peer = make_key(suite, peer_public, NULL);
        if (own && peer) {
                ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
                e = ctx && EVP_PKEY_derive_init(ctx) == 1 &&
                                    EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
                                    EVP_PKEY_derive(ctx, z, &len) == 1 && len == size
                            ? 0
                            : DLMS_E_CRYPTO;
        }
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(own);
        EVP_PKEY_free(peer);
        return e;
}

int dlms_kdf(unsigned suite, const uint8_t *z, const uint8_t algorithm_id[static 7],
             const uint8_t *party_u, size_t u_len, const uint8_t *party_v, size_t v_len,
             uint8_t *key)
{
        uint8_t text[4 + DLMS_EC_MAX + 7 + 2 * DLMS_KDF_PARTY_MAX] = { 0, 0, 0, 1 };
        uint8_t digest[EVP_MAX_MD_SIZE], *p = text + 4;
        size_t size = dlms_ec_size(suite), len = 0;
        int e = 0;

        if (size == 0 || u_len > DLMS_KDF_PARTY_MAX || v_len > DLMS_KDF_PARTY_MAX)
                return DLMS_E_ARGUMENT;
        memcpy(p, z, size);
        p += size;
        memcpy(p, algorithm_id, 7);
        p += 7;
        memcpy(p, party_u, u_len);
        p += u_len;
        memcpy(p, party_v, v_len);
        p += v_len;
        if (EVP_Q_digest(NULL, digest_name(suite), NULL, text, (size_t)(p - text), digest, &len) !=
            1)
                e = DLMS_E_CRYPTO;
        else
                memcpy(key, digest, dlms_key_size(suite));
        OPENSSL_cleanse(text, sizeof text);
        OPENSSL_cleanse(digest, sizeof digest);
        return e;
}
