/* Data of key_transfer and key_agreement, under the keys corpus.py wrapped some of it with. */
#include <stdlib.h>
#include <string.h>

#include "dlms/setup.h"
#include "hex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static const char signer[] = /* of the shared records */
                "BAAFFDE06A8CB1C9DAE8D94023C601DBBB249254BA22EDD827E820BCA2BCC643"
                "62FBB83D86A82B87BB8B7161D2AAB5521911A946B97A284A90F7785CD9047D25";
        struct dlms_new_key keys[DLMS_N_KEY_IDS];
        struct dlms_agreement peers[DLMS_N_KEY_IDS];
        uint8_t master[DLMS_KEY_MAX], pub[2 * DLMS_EC_MAX], *copy;
        size_t count = 0;

        for (uint8_t i = 0; i < DLMS_KEY_MAX; i++)
                master[i] = i;
        hex_decode(signer, sizeof signer - 1, pub, sizeof pub);
        copy = malloc(n + 1);
        memcpy(copy, data, n);
        for (unsigned suite = 0; suite < 3; suite += 2)
                if (dlms_setup_take_keys(copy, n, suite, master, keys, &count) == 0 &&
                    (count == 0 || count > DLMS_N_KEY_IDS))
                        abort();
        if (dlms_setup_take_agreement(copy, n, 1, pub, peers, &count) == 0)
                for (size_t i = 0; i < count; i++)
                        if (peers[i].id >= DLMS_N_KEY_IDS)
                                abort();
        free(copy);
        return 0;
}
