/*
 * Whole protected APDUs. The first byte chooses: any bytes are opened; or they are a plain APDU
 * that is sealed and opened again, whole and with one bit altered.
 */
#include <stdlib.h>
#include <string.h>

#include "dlms/agreement.h"
#include "dlms/protect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { PLAIN_MAX = 600, SEALED_MAX = 2048 };

static struct dlms_crypto *crypto;
static struct dlms_pki meter[3], us[3];

static void make_pki(unsigned suite)
{
        dlms_ec_generate(suite, meter[suite].sign, us[suite].peer_sign);
        dlms_ec_generate(suite, meter[suite].agree, us[suite].peer_agree);
        dlms_ec_generate(suite, us[suite].sign, meter[suite].peer_sign);
        dlms_ec_generate(suite, us[suite].agree, meter[suite].peer_agree);
        dlms_ec_generate(suite, meter[suite].ephemeral, us[0].peer_sign);
        meter[suite].has_sign = meter[suite].has_agree = meter[suite].has_ephemeral = true;
        meter[suite].has_peer_agree = true;
        us[suite].has_agree = us[suite].has_peer_sign = us[suite].has_peer_agree = true;
}

/* Keys of the shared records, so that they open. */
static struct dlms_keys keys_of(unsigned suite)
{
        struct dlms_keys k = { .suite = (uint8_t)suite,
                               .has_ek = true,
                               .has_ak = true,
                               .has_broadcast = true,
                               .has_dedicated = true,
                               .has_master = true,
                               .has_session = true };

        for (unsigned i = 0; i < DLMS_KEY_MAX; i++) {
                k.ek[i] = (uint8_t)i;
                k.ak[i] = (uint8_t)(0xD0 + i);
        }
        return k;
}

static void open_any(unsigned suite, uint8_t *p, size_t n)
{
        static const uint8_t titles[2][DLMS_TITLE_SIZE] = {
                { 0x4D, 0x4D, 0x4D, 0, 0, 0, 0, 1 }, { 0x4D, 0x4D, 0x4D, 0, 0, 0xBC, 0x61, 0x4E }
        };
        struct dlms_session_keys session = { .has_rx = true };
        struct dlms_keys k = keys_of(suite);
        struct dlms_end end = { .crypto = crypto,
                                .keys = &k,
                                .own = titles[0],
                                .peer = titles[1],
                                .session = &session };
        struct dlms_opened o;

        k.pki = suite ? &us[suite] : NULL;
        if (dlms_unseal(&end, p, n, &o))
                return;
        if (o.n == 0 || o.p < p || o.p + o.n > p + n)
                abort();
        if (o.ciphered && o.protection.sc & DLMS_SC_AUTHENTICATED && !o.protection.tag_checked)
                abort();
}

static void seal_and_open(unsigned suite, uint8_t how, uint8_t flip, const uint8_t *plain, size_t n)
{
        static const uint8_t from[DLMS_TITLE_SIZE] = "MTR00001", to[DLMS_TITLE_SIZE] = "HDR00001";
        struct dlms_keys k = keys_of(suite), mine = k;
        struct dlms_end end = { .crypto = crypto,
                                .keys = &k,
                                .own = from,
                                .peer = to,
                                .policy = how & 8 ? DLMS_POLICY_AUTHENTICATED
                                                  : DLMS_POLICY_AUTHENTICATED_ENCRYPTED,
                                .envelope = (enum dlms_envelope)(how % DLMS_N_ENVELOPES),
                                .dedicated = how & 16,
                                .broadcast = how & 32,
                                .sign = how & 64 };
        struct dlms_end back = { .crypto = crypto, .keys = &mine, .own = to, .peer = from };
        uint8_t sealed[SEALED_MAX], *copy;
        struct dlms_opened o;
        size_t len;

        k.pki = suite ? &meter[suite] : NULL;
        mine.pki = suite ? &us[suite] : NULL;
        if (dlms_seal(&end, 7, plain, n, sealed, sizeof sealed, &len))
                return;
        if (len != dlms_seal_size(&end, n))
                abort();
        copy = malloc(len);
        memcpy(copy, sealed, len);
        /* A plain text that is protected itself is opened too: then it need not be as it was. */
        if (dlms_unseal(&back, copy, len, &o) == 0 && o.n == n && memcmp(o.p, plain, n) != 0)
                abort();
        memcpy(copy, sealed, len);
        copy[len - 1] ^= (uint8_t)(1u << flip % 8); /* in the tag */
        if (dlms_unseal(&back, copy, len, &o) == 0)
                abort();
        free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        unsigned suite;
        uint8_t *copy;

        if (!crypto) {
                crypto = dlms_crypto_new();
                make_pki(1);
                make_pki(2);
        }
        if (n < 3 || n > PLAIN_MAX)
                return 0;
        suite = (data[0] & 0x7F) % 3;
        if (data[0] & 0x80) {
                seal_and_open(suite, data[1], data[2], data + 3, n - 3);
                return 0;
        }
        copy = malloc(n - 1);
        memcpy(copy, data + 1, n - 1);
        open_any(suite, copy, n - 1);
        free(copy);
        return 0;
}
