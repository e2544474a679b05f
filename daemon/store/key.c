#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "key.h"

enum { VERSION = 1, NONCE = 12, TAG = 16, AAD_MAX = 64 };

static int put_aad(char aad[AAD_MAX], uint32_t meter_id, const char *kind)
{
        return snprintf(aad, AAD_MAX, "headrace.meter_key %u %s", meter_id, kind);
}

size_t key_seal(const struct secret *master, uint32_t meter_id, const char *kind,
                const struct secret *key, uint8_t out[static KEY_SEALED_MAX])
{
        EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
        char aad[AAD_MAX];
        int n, aad_len = put_aad(aad, meter_id, kind);
        bool ok;

        out[0] = VERSION;
        ok = c && key->len && master->len == KEY_MASTER_SIZE && aad_len < AAD_MAX &&
             RAND_bytes(out + 1, NONCE) == 1 &&
             EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, master->bytes, out + 1) == 1 &&
             EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)aad, aad_len) == 1 &&
             EVP_EncryptUpdate(c, out + 1 + NONCE, &n, key->bytes, key->len) == 1 &&
             EVP_EncryptFinal_ex(c, out + 1 + NONCE + key->len, &n) == 1 &&
             EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, out + 1 + NONCE + key->len) == 1;
        EVP_CIPHER_CTX_free(c);
        return ok ? (size_t)(1 + NONCE + key->len + TAG) : 0;
}

bool key_open(const struct secret *master, uint32_t meter_id, const char *kind, const void *sealed,
              size_t n, struct secret *ret)
{
        const uint8_t *p = sealed;
        uint8_t plain[SECRET_MAX], tag[TAG];
        EVP_CIPHER_CTX *c;
        char aad[AAD_MAX];
        int len, aad_len = put_aad(aad, meter_id, kind), body = (int)n - 1 - NONCE - TAG;
        bool ok;

        secret_wipe(ret);
        if (body <= 0 || body > SECRET_MAX || p[0] != VERSION || master->len != KEY_MASTER_SIZE ||
            aad_len >= AAD_MAX)
                return false;
        memcpy(tag, p + 1 + NONCE + body, TAG);
        c = EVP_CIPHER_CTX_new();
        ok = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, master->bytes, p + 1) == 1 &&
             EVP_DecryptUpdate(c, NULL, &len, (const uint8_t *)aad, aad_len) == 1 &&
             EVP_DecryptUpdate(c, plain, &len, p + 1 + NONCE, body) == 1 &&
             EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
             EVP_DecryptFinal_ex(c, plain + len, &len) == 1 && secret_set(ret, plain, (size_t)body);
        EVP_CIPHER_CTX_free(c);
        explicit_bzero(plain, sizeof plain);
        return ok;
}
