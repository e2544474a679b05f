#include "agreement.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

#include "security.h"

/* SEQUENCE of two INTEGERs, each a byte longer when its first bit is set. */
enum { DER_MAX = 3 + 2 * (3 + DLMS_EC_MAX) };

void dlms_pki_wipe(struct dlms_pki *p)
{
        OPENSSL_cleanse(p, sizeof *p);
}

size_t dlms_ec_size(unsigned suite)
{
        return suite == 1 ? 32 : suite == 2 ? 48 : 0;
}

static const char *curve_name(unsigned suite)
{
        return suite == 2 ? "P-384" : "P-256";
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
                                                   curve_name(suite), 0) == 1;
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

/* Uncompressed point as x || y. */
static int bare_point(EVP_PKEY *key, size_t size, uint8_t *public_key)
{
        uint8_t point[1 + 2 * DLMS_EC_MAX];
        size_t len = 0;

        if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
                                            &len) != 1 ||
            len != 1 + 2 * size || point[0] != 4)
                return DLMS_E_CRYPTO;
        memcpy(public_key, point + 1, 2 * size);
        return 0;
}

int dlms_ec_generate(unsigned suite, uint8_t *private_key, uint8_t *public_key)
{
        size_t size = dlms_ec_size(suite);
        BIGNUM *secret = NULL;
        EVP_PKEY *key;
        int e;

        if (size == 0)
                return DLMS_E_ARGUMENT;
        key = EVP_EC_gen(curve_name(suite));
        if (!key)
                return DLMS_E_CRYPTO;
        e = bare_point(key, size, public_key);
        if (!e && (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &secret) != 1 ||
                   BN_bn2binpad(secret, private_key, (int)size) < 0))
                e = DLMS_E_CRYPTO;
        BN_clear_free(secret);
        EVP_PKEY_free(key);
        return e;
}

int dlms_ec_public(unsigned suite, const uint8_t *private_key, uint8_t *public_key)
{
        size_t size = dlms_ec_size(suite);
        EC_GROUP *group;
        EC_POINT *point;
        BIGNUM *secret, *x = BN_new(), *y = BN_new();
        int e = DLMS_E_ARGUMENT;

        group = EC_GROUP_new_by_curve_name(suite == 2 ? NID_secp384r1 : NID_X9_62_prime256v1);
        point = group ? EC_POINT_new(group) : NULL;
        secret = size ? BN_bin2bn(private_key, (int)size, BN_secure_new()) : NULL;
        if (point && secret && !BN_is_zero(secret) &&
            BN_cmp(secret, EC_GROUP_get0_order(group)) < 0) {
                BN_set_flags(secret, BN_FLG_CONSTTIME);
                e = x && y && EC_POINT_mul(group, point, secret, NULL, NULL, NULL) == 1 &&
                                    EC_POINT_get_affine_coordinates(group, point, x, y, NULL) ==
                                            1 &&
                                    BN_bn2binpad(x, public_key, (int)size) >= 0 &&
                                    BN_bn2binpad(y, public_key + size, (int)size) >= 0
                            ? 0
                            : DLMS_E_CRYPTO;
        }
        BN_free(x);
        BN_free(y);
        BN_clear_free(secret);
        EC_POINT_free(point);
        EC_GROUP_free(group);
        return e;
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

static bool add_parts(EVP_MD_CTX *ctx, bool sign, const struct dlms_part *parts, size_t n_parts)
{
        for (size_t i = 0; i < n_parts; i++)
                if ((sign ? EVP_DigestSignUpdate(ctx, parts[i].p, parts[i].n)
                          : EVP_DigestVerifyUpdate(ctx, parts[i].p, parts[i].n)) != 1)
                        return false;
        return true;
}

int dlms_ecdsa_verify(unsigned suite, const uint8_t *public_key, const struct dlms_part *parts,
                      size_t n_parts, const uint8_t *signature)
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
            EVP_DigestVerifyInit_ex(ctx, NULL, digest_name(suite), NULL, NULL, key, NULL) == 1 &&
            add_parts(ctx, false, parts, n_parts))
                e = EVP_DigestVerifyFinal(ctx, der, der_len) == 1 ? 0 : DLMS_E_SIGNATURE;
        EVP_MD_CTX_free(ctx);
        OPENSSL_free(der);
        EVP_PKEY_free(key);
        return e;
}

/* DER as OpenSSL makes it, as r || s. */
static bool bare_signature(size_t size, const uint8_t *der, size_t n, uint8_t *signature)
{
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
        bool ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, (int)size) >= 0 &&
                  BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + size, (int)size) >= 0;

        ECDSA_SIG_free(sig);
        return ok;
}

int dlms_ecdsa_sign(unsigned suite, const uint8_t *private_key, const struct dlms_part *parts,
                    size_t n_parts, uint8_t *signature)
{
        uint8_t der[DER_MAX];
        size_t size = dlms_ec_size(suite), len = sizeof der;
        EVP_MD_CTX *ctx;
        EVP_PKEY *key;
        bool ok;

        if (size == 0)
                return DLMS_E_ARGUMENT;
        key = make_key(suite, NULL, private_key);
        if (!key)
                return DLMS_E_ARGUMENT;
        ctx = EVP_MD_CTX_new();
        ok = ctx &&
             EVP_DigestSignInit_ex(ctx, NULL, digest_name(suite), NULL, NULL, key, NULL) == 1 &&
             add_parts(ctx, true, parts, n_parts) && EVP_DigestSignFinal(ctx, der, &len) == 1 &&
             bare_signature(size, der, len, signature);
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(key);
        return ok ? 0 : DLMS_E_CRYPTO;
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

const uint8_t *dlms_kdf_algorithm(unsigned suite, bool wrap)
{
        static const uint8_t algorithms[4][7] = {
                { 0x60, 0x85, 0x74, 0x05, 0x08, 0x03, 0x00 }, /* AES-GCM-128 */
                { 0x60, 0x85, 0x74, 0x05, 0x08, 0x03, 0x01 }, /* AES-GCM-256 */
                { 0x60, 0x85, 0x74, 0x05, 0x08, 0x03, 0x02 }, /* AES-WRAP-128 */
                { 0x60, 0x85, 0x74, 0x05, 0x08, 0x03, 0x03 }, /* AES-WRAP-256 */
        };

        return algorithms[(suite == 2 ? 1 : 0) + (wrap ? 2 : 0)];
}
