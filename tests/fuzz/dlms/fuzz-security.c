/* Opening protected text: never more bytes out than in, and never an answer without the tag. */
#include <stdlib.h>
#include <string.h>

#include "dlms/security.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static struct dlms_crypto *crypto;
        static const uint8_t title[8] = "MTR00001", known[8] = "MTR00002";
        struct dlms_keys keys = { .has_ek = true, .has_ak = true };
        struct dlms_protection prot;
        uint8_t *copy, *p;
        size_t len;

        if (!crypto)
                crypto = dlms_crypto_new();
        if (n == 0 || n > 4096)
                return 0;
        keys.suite = data[0] % 3;
        keys.has_ak = !(data[0] & 0x80);
        copy = malloc(n);
        memcpy(copy, data, n);
        if (dlms_open(crypto, &keys, false, title, known, copy + 1, n - 1, &prot, &p, &len) == 0) {
                if (len > n - 1 - DLMS_SC_HEADER_SIZE || p != copy + 1 + DLMS_SC_HEADER_SIZE)
                        abort();
                if (prot.sc & DLMS_SC_AUTHENTICATED && keys.has_ak && !prot.tag_checked)
                        abort();
        }
        free(copy);
        return 0;
}
