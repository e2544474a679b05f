/* Security without a session: published test values, envelopes both ways, security setup data. */
#include "hr_test.h"

#include "dlms/agreement.h"
#include "dlms/envelope.h"
#include "dlms/protect.h"
#include "dlms/security.h"
#include "dlms/setup.h"
#include "dlms/unpack.h"
#include "hex.h"

static struct dlms_crypto *crypto;

static const uint8_t client[8] = "HDR00001", server[8] = "MTR00001", other[8] = "MTR00002";
static const uint8_t get[] = { 0xC0, 0x01, 0xC1, 0, 8, 0, 0, 1, 0, 0, 255, 2, 0 };

static size_t bytes(const char *hex, uint8_t *out, size_t cap)
{
        ssize_t n = hex_decode(hex, strlen(hex), out, cap);

        CU_ASSERT_FATAL(n >= 0);
        return (size_t)n;
}

static struct dlms_keys keys_of(unsigned suite)
{
        struct dlms_keys k = { .suite = (uint8_t)suite,
                               .has_ek = true,
                               .has_ak = true,
                               .has_broadcast = true,
                               .has_master = true,
                               .has_session = true };

        if (!crypto)
                crypto = dlms_crypto_new();
        memset(k.ek, 0x11, sizeof k.ek);
        memset(k.ak, 0x22, sizeof k.ak);
        memset(k.broadcast, 0x33, sizeof k.broadcast);
        memset(k.master, 0x44, sizeof k.master);
        memset(k.session, 0x55, sizeof k.session);
        return k;
}

/* ---- single messages ---- */

/* A message of the meter's under right keys and @sc, then @change made to what we hold. */
static int open_changed(uint8_t sc, void (*change)(struct dlms_keys *k, uint8_t *in),
                        const uint8_t *title, const uint8_t *known)
{
        static const uint8_t plain[] = { 0xC4, 1, 0xC1, 0, 6, 0, 0, 0, 9 };
        struct dlms_keys k = keys_of(1);
        struct dlms_protection prot;
        uint8_t out[64], *copy, *p;
        size_t n, len;
        int e;

        CU_ASSERT_EQUAL(dlms_protect(crypto, &k, false, sc, server, 7, plain, sizeof plain, out,
                                     sizeof out, &n),
                        0);
        if (change)
                change(&k, out);
        copy = malloc(n);
        memcpy(copy, out, n);
        e = dlms_open(crypto, &k, false, title, known, copy, n, &prot, &p, &len);
        if (!e)
                CU_ASSERT(len == sizeof plain && memcmp(p, plain, len) == 0);
        CU_ASSERT_EQUAL(prot.ic, 7);
        free(copy);
        return e;
}

static void bad_ek(struct dlms_keys *k, uint8_t *in)
{
        (void)in;
        k->ek[0] ^= 1;
}

static void bad_ak(struct dlms_keys *k, uint8_t *in)
{
        (void)in;
        k->ak[0] ^= 1;
}

static void no_ek(struct dlms_keys *k, uint8_t *in)
{
        (void)in;
        k->has_ek = false;
}

static void bad_broadcast(struct dlms_keys *k, uint8_t *in)
{
        (void)in;
        k->broadcast[0] ^= 1;
}

static void no_broadcast(struct dlms_keys *k, uint8_t *in)
{
        (void)in;
        k->has_broadcast = false;
}

static void bad_suite(struct dlms_keys *k, uint8_t *in)
{
        (void)in;
        k->suite = 2;
}

static void suite_0(struct dlms_keys *k, uint8_t *in)
{
        (void)in;
        k->suite = 0;
}

static void compressed(struct dlms_keys *k, uint8_t *in)
{
        (void)k;
        in[0] |= DLMS_SC_COMPRESSED;
}

static void unprotected(struct dlms_keys *k, uint8_t *in)
{
        (void)k;
        in[0] = 1;
}

static void each_fault(void)
{
        static const struct {
                uint8_t sc;
                void (*change)(struct dlms_keys *k, uint8_t *in);
                const uint8_t *title, *known;
                int error;
        } cases[] = {
                { 0x31, NULL, server, server, 0 },
                { 0x21, NULL, server, server, 0 },
                { 0x11, NULL, server, server, 0 },
                { 0x71, NULL, server, server, 0 },
                { 0x31, suite_0, server, server, 0 },
                { 0x31, bad_ek, server, server, DLMS_E_ENCRYPTION_KEY },
                { 0x31, bad_ak, server, server, DLMS_E_AUTHENTICATION_KEY },
                { 0x31, NULL, other, server, DLMS_E_TITLE },
                { 0x31, NULL, other, other, DLMS_E_ENCRYPTION_KEY },
                { 0x31, NULL, other, NULL, DLMS_E_ENCRYPTION_KEY },
                { 0x21, bad_ek, server, server, DLMS_E_ENCRYPTION_KEY },
                { 0x21, bad_ak, server, server, 0 },
                { 0x21, NULL, other, server, DLMS_E_TITLE },
                { 0x11, bad_ek, server, server, DLMS_E_TAG },
                { 0x11, bad_ak, server, server, DLMS_E_TAG },
                { 0x11, NULL, other, server, DLMS_E_TITLE },
                { 0x31, no_ek, server, server, DLMS_E_KEY_MISSING },
                { 0x71, no_ek, server, server, 0 },
                { 0x71, bad_broadcast, server, server, DLMS_E_ENCRYPTION_KEY },
                { 0x71, no_broadcast, server, server, DLMS_E_KEY_MISSING },
                { 0x31, bad_suite, server, server, DLMS_E_SUITE },
                { 0x31, compressed, server, server, DLMS_E_COMPRESSED },
                { 0x31, unprotected, server, server, DLMS_E_SECURITY },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                int e = open_changed(cases[i].sc, cases[i].change, cases[i].title, cases[i].known);

                if (e != cases[i].error)
                        printf("case %zu: %s\n", i, dlms_error_name((unsigned)e));
                CU_ASSERT_EQUAL(e, cases[i].error);
        }
}

/* The named fault is the right one for nearly every key: a wrong one gives an APDU by chance only.
 */
static void faults_told_reliably(void)
{
        struct dlms_keys k = keys_of(0), wrong;
        unsigned mistaken = 0;

        for (unsigned i = 1; i < 4000; i++) {
                struct dlms_protection prot;
                uint8_t out[128], *p;
                size_t n, len;

                CU_ASSERT_EQUAL(dlms_protect(crypto, &k, false, 0x30, server, i, get, sizeof get,
                                             out, sizeof out, &n),
                                0);
                wrong = k;
                wrong.ek[0] ^= (uint8_t)i;
                wrong.ek[1] ^= (uint8_t)(i >> 8);
                if (memcmp(wrong.ek, k.ek, sizeof k.ek) == 0)
                        continue;
                mistaken += dlms_open(crypto, &wrong, false, server, NULL, out, n, &prot, &p,
                                      &len) != DLMS_E_ENCRYPTION_KEY;
        }
        printf("%u of 4000 wrong encryption keys named otherwise; ", mistaken);
        CU_ASSERT(mistaken < 8);
}

/* ---- published values ---- */

static void key_wrap_published(void)
{
        static const char *const cases[][3] = {
                /* RFC 3394 4.1, 4.6 */
                { "000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF",
                  "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5" },
                { "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
                  "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
                  "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD2"
                  "1" },
        };

        for (size_t i = 0; i < 2; i++) {
                uint8_t kek[32], key[32], wrapped[40], out[40], back[32];
                size_t kek_n = bytes(cases[i][0], kek, 32), n = bytes(cases[i][1], key, 32);

                bytes(cases[i][2], wrapped, 40);
                CU_ASSERT_EQUAL(dlms_key_wrap(kek, kek_n, key, n, out), 0);
                CU_ASSERT(memcmp(out, wrapped, n + 8) == 0);
                CU_ASSERT_EQUAL(dlms_key_unwrap(kek, kek_n, out, n + 8, back), 0);
                CU_ASSERT(memcmp(back, key, n) == 0);
                for (size_t k = 0; k < n + 8; k++) {
                        out[k] ^= 0x10;
                        CU_ASSERT_EQUAL(dlms_key_unwrap(kek, kek_n, out, n + 8, back),
                                        DLMS_E_KEY_WRAP);
                        out[k] ^= 0x10;
                }
                kek[0] ^= 1;
                CU_ASSERT_EQUAL(dlms_key_unwrap(kek, kek_n, out, n + 8, back), DLMS_E_KEY_WRAP);
                CU_ASSERT_EQUAL(dlms_key_unwrap(kek, kek_n, out, n + 7, back), DLMS_E_ARGUMENT);
                CU_ASSERT_EQUAL(dlms_key_wrap(kek, 24, key, n, out), DLMS_E_ARGUMENT);
        }
}

/* RFC 6979 A.2.5 and A.2.6: private key, public key and a signature of "sample". */
static const struct {
        const char *private_key, *public_key, *signature;
} ecdsa[] = {
        { "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",
          "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
          "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
          "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
          "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8" },
        { "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA"
          "60D2EDF5",
          "EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A25451"
          "5480BC13"
          "8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD25"
          "33264720",
          "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E"
          "80FABE46"
          "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A"
          "38628AC8" },
};

static void signatures(void)
{
        for (unsigned suite = 1; suite <= 2; suite++) {
                struct dlms_part whole = { (const uint8_t *)"sample", 6 };
                struct dlms_part split[] = { { (const uint8_t *)"sam", 3 },
                                             { NULL, 0 },
                                             { (const uint8_t *)"ple", 3 } };
                uint8_t own[DLMS_EC_MAX], pub[2 * DLMS_EC_MAX], made[2 * DLMS_EC_MAX];
                uint8_t sig[2 * DLMS_EC_MAX];
                size_t n = bytes(ecdsa[suite - 1].private_key, own, sizeof own);

                CU_ASSERT_EQUAL(n, dlms_ec_size(suite));
                bytes(ecdsa[suite - 1].public_key, pub, sizeof pub);
                bytes(ecdsa[suite - 1].signature, sig, sizeof sig);
                CU_ASSERT_EQUAL(dlms_ec_public(suite, own, made), 0);
                CU_ASSERT(memcmp(made, pub, 2 * n) == 0);
                CU_ASSERT_EQUAL(dlms_ecdsa_verify(suite, pub, &whole, 1, sig), 0);
                CU_ASSERT_EQUAL(dlms_ecdsa_verify(suite, pub, split, 3, sig), 0);
                CU_ASSERT_EQUAL(dlms_ecdsa_sign(suite, own, split, 3, sig), 0);
                CU_ASSERT_EQUAL(dlms_ecdsa_verify(suite, pub, &whole, 1, sig), 0);
                whole.n = 5;
                CU_ASSERT_EQUAL(dlms_ecdsa_verify(suite, pub, &whole, 1, sig), DLMS_E_SIGNATURE);
                whole.n = 6;
                sig[2 * n - 1] ^= 1;
                CU_ASSERT_EQUAL(dlms_ecdsa_verify(suite, pub, &whole, 1, sig), DLMS_E_SIGNATURE);
                memset(sig, 0, sizeof sig);
                CU_ASSERT_EQUAL(dlms_ecdsa_verify(suite, pub, &whole, 1, sig), DLMS_E_SIGNATURE);
                pub[3] ^= 1; /* off the curve */
                CU_ASSERT_EQUAL(dlms_ecdsa_verify(suite, pub, &whole, 1, sig), DLMS_E_ARGUMENT);
                memset(own, 0, sizeof own);
                CU_ASSERT_EQUAL(dlms_ec_public(suite, own, made), DLMS_E_ARGUMENT);
                memset(own, 0xFF, sizeof own);
                CU_ASSERT_EQUAL(dlms_ec_public(suite, own, made), DLMS_E_ARGUMENT);
        }
        CU_ASSERT_EQUAL(dlms_ec_size(0), 0);
}

/* ---- envelopes ---- */

static struct dlms_pki make_pki(unsigned suite, const uint8_t *peer_sign_of,
                                const uint8_t *peer_agree_of)
{
        struct dlms_pki p = { .has_sign = true, .has_agree = true, .has_ephemeral = true };
        uint8_t spare[2 * DLMS_EC_MAX];

        CU_ASSERT_EQUAL(dlms_ec_generate(suite, p.sign, spare), 0);
        CU_ASSERT_EQUAL(dlms_ec_generate(suite, p.agree, spare), 0);
        CU_ASSERT_EQUAL(dlms_ec_generate(suite, p.ephemeral, spare), 0);
        if (peer_sign_of) {
                p.has_peer_sign = p.has_peer_agree = true;
                CU_ASSERT_EQUAL(dlms_ec_public(suite, peer_sign_of, p.peer_sign), 0);
                CU_ASSERT_EQUAL(dlms_ec_public(suite, peer_agree_of, p.peer_agree), 0);
        }
        return p;
}

/* Messages that stand alone, as pushes do: sealed, cut at every byte, opened by unpack. */
static void alone(void)
{
        for (unsigned env = 0; env < DLMS_N_ENVELOPES; env++)
                for (unsigned i = 0; i < 8; i++) {
                        bool sign = i & 1, broadcast = i & 2;
                        unsigned suite = i & 4 ? 2 : 1;
                        struct dlms_keys k = keys_of(suite), mine = k;
                        struct dlms_pki meter = make_pki(suite, NULL, NULL);
                        struct dlms_pki us = make_pki(suite, meter.sign, meter.agree);
                        struct dlms_end end = { .crypto = crypto,
                                                .keys = &k,
                                                .own = server,
                                                .peer = client,
                                                .policy = DLMS_POLICY_AUTHENTICATED_ENCRYPTED,
                                                .envelope = (enum dlms_envelope)env,
                                                .broadcast = broadcast,
                                                .sign = sign };
                        uint8_t out[1024], buf[1024];
                        struct dlms_unpacked u;
                        size_t n;

                        if ((broadcast && env > DLMS_ENVELOPE_IDENTIFIED) || (sign && env == 0))
                                continue;
                        meter.has_peer_sign = meter.has_peer_agree = true;
                        dlms_ec_public(suite, us.sign, meter.peer_sign);
                        dlms_ec_public(suite, us.agree, meter.peer_agree);
                        k.pki = &meter;
                        mine.pki = &us;
                        CU_ASSERT_EQUAL_FATAL(
                                dlms_seal(&end, 77, get, sizeof get, out, sizeof out, &n), 0);
                        CU_ASSERT_EQUAL(n, dlms_seal_size(&end, sizeof get));
                        CU_ASSERT_EQUAL(dlms_seal(&end, 78, get, sizeof get, buf, n - 1, &n),
                                        DLMS_E_TOO_LONG);
                        n = dlms_seal_size(&end, sizeof get);
                        CU_ASSERT_EQUAL(dlms_unpack(out, n, false, crypto, &mine, server, buf,
                                                    sizeof buf, &u),
                                        0);
                        CU_ASSERT(u.apdu_len == sizeof get && !memcmp(u.apdu, get, sizeof get));
                        CU_ASSERT_EQUAL(u.protection.ic, 77);
                        CU_ASSERT_EQUAL(u.protection.tag_checked, true);
                        CU_ASSERT_EQUAL(u.is_signed, sign);
                        CU_ASSERT_EQUAL(u.protection.sc, 0x30 | suite | (broadcast ? 0x40 : 0));
                        CU_ASSERT_EQUAL(
                                dlms_unpack(out, n, false, NULL, NULL, NULL, buf, sizeof buf, &u),
                                DLMS_E_KEY_MISSING);
                        for (size_t cut = 1; cut < n; cut++) {
                                uint8_t *copy = malloc(cut);

                                memcpy(copy, out, cut);
                                CU_ASSERT(dlms_unpack(copy, cut, false, crypto, &mine, server, buf,
                                                      sizeof buf, &u) != 0);
                                free(copy);
                        }
                }
}

static void parties(void)
{
        struct dlms_keys k = keys_of(1);
        struct dlms_end from = { .crypto = crypto,
                                 .keys = &k,
                                 .own = server,
                                 .peer = client,
                                 .policy = DLMS_POLICY_AUTHENTICATED,
                                 .envelope = DLMS_ENVELOPE_IDENTIFIED };
        struct dlms_end to = { .crypto = crypto, .keys = &k, .own = client, .peer = server };
        struct dlms_opened o;
        uint8_t out[256];
        size_t n;

        CU_ASSERT_EQUAL(dlms_seal(&from, 1, get, sizeof get, out, sizeof out, &n), 0);
        CU_ASSERT_EQUAL(dlms_unseal(&to, out, n, &o), 0);
        CU_ASSERT(!o.foreign && o.n == sizeof get);
        CU_ASSERT_EQUAL(dlms_unseal(&to, o.p, o.n, &o), 0); /* nothing to open */
        CU_ASSERT(!o.ciphered && o.n == sizeof get);
        dlms_seal(&from, 2, get, sizeof get, out, sizeof out, &n);
        to.own = other;
        CU_ASSERT_EQUAL(dlms_unseal(&to, out, n, &o), DLMS_E_RECIPIENT);
        to.own = client;
        to.peer = other;
        dlms_seal(&from, 3, get, sizeof get, out, sizeof out, &n);
        CU_ASSERT_EQUAL(dlms_unseal(&to, out, n, &o), 0);
        CU_ASSERT(o.foreign);
        /* A header that was altered does not verify. */
        to.peer = server;
        dlms_seal(&from, 4, get, sizeof get, out, sizeof out, &n);
        out[3] ^= 1; /* transaction-id */
        CU_ASSERT_EQUAL(dlms_unseal(&to, out, n, &o), DLMS_E_TAG);
        /* A key number nobody knows. */
        dlms_seal(&from, 5, get, sizeof get, out, sizeof out, &n);
        out[32] = 5;
        CU_ASSERT_EQUAL(dlms_unseal(&to, out, n, &o), DLMS_E_KEY_MISSING);
        /* Key-info left out, and no message before. */
        CU_ASSERT_EQUAL(dlms_unseal(&to, out, 0, &o), DLMS_E_TRUNCATED);
        from.policy = DLMS_POLICY_NONE;
        CU_ASSERT_EQUAL(dlms_seal(&from, 6, get, sizeof get, out, sizeof out, &n),
                        DLMS_E_KEY_MISSING);
}

/* Three layers at most. */
static void layers(void)
{
        struct dlms_keys k = keys_of(0);
        struct dlms_end end = { .crypto = crypto,
                                .keys = &k,
                                .own = server,
                                .policy = DLMS_POLICY_ENCRYPTED,
                                .envelope = DLMS_ENVELOPE_GENERAL };
        uint8_t out[256], again[256];
        struct dlms_opened o;
        size_t n = sizeof get;

        memcpy(out, get, n);
        for (unsigned layer = 1; layer <= 4; layer++) {
                CU_ASSERT_EQUAL(dlms_seal(&end, layer, out, n, out, sizeof out, &n), 0);
                memcpy(again, out, n);
                CU_ASSERT_EQUAL(dlms_unseal(&end, again, n, &o), layer == 4 ? DLMS_E_DEPTH : 0);
        }
        /* A service-specific tag cannot carry another service. */
        end.envelope = DLMS_ENVELOPE_SERVICE;
        end.peer = server;
        CU_ASSERT_EQUAL(dlms_seal(&end, 9, get, sizeof get, out, sizeof out, &n), 0);
        out[0] = 0xC9;
        CU_ASSERT_EQUAL(dlms_unseal(&end, out, n, &o), DLMS_E_APDU);
        CU_ASSERT_EQUAL(dlms_seal(&end, 9, (const uint8_t *)"\x0F\x01", 2, out, sizeof out, &n),
                        DLMS_E_APDU);
}

static void service_tags(void)
{
        unsigned known = 0;

        for (unsigned tag = 0; tag < 256; tag++)
                for (unsigned d = 0; d < 2; d++) {
                        uint8_t c = apdu_ciphered_tag((uint8_t)tag, d);

                        if (!c)
                                continue;
                        known++;
                        CU_ASSERT_EQUAL(apdu_plain_tag(c), tag);
                        CU_ASSERT(apdu_is_ciphered(c) && apdu_is_protected(c));
                        CU_ASSERT(!apdu_is_protected((uint8_t)tag));
                }
        CU_ASSERT_EQUAL(known, 32);
        CU_ASSERT_EQUAL(apdu_ciphered_tag(APDU_READ_REQUEST, false), 37);
        CU_ASSERT_EQUAL(apdu_ciphered_tag(APDU_EVENT_NOTIFICATION, true), 210);
        CU_ASSERT(apdu_is_protected(APDU_GENERAL_SIGNING) && !apdu_is_ciphered(0xDD));
}

/* ---- security setup ---- */

static void policies(void)
{
        uint8_t data[4];
        struct axdr_writer w = axdr_writer_of(data, sizeof data);

        CU_ASSERT_EQUAL(dlms_setup_policy(0, DLMS_POLICY_NONE, false), 0);
        CU_ASSERT_EQUAL(dlms_setup_policy(0, DLMS_POLICY_AUTHENTICATED, false), 1);
        CU_ASSERT_EQUAL(dlms_setup_policy(0, DLMS_POLICY_AUTHENTICATED_ENCRYPTED, false), 3);
        CU_ASSERT_EQUAL(dlms_setup_policy(0, DLMS_POLICY_ENCRYPTED, true), -1);
        CU_ASSERT_EQUAL(dlms_setup_policy(1, DLMS_POLICY_AUTHENTICATED, false), 0x24);
        CU_ASSERT_EQUAL(dlms_setup_policy(1, DLMS_POLICY_AUTHENTICATED_ENCRYPTED, false), 0x6C);
        CU_ASSERT_EQUAL(dlms_setup_policy(1, DLMS_POLICY_AUTHENTICATED_ENCRYPTED, true), 0xFC);
        CU_ASSERT_EQUAL(dlms_setup_policy(2, DLMS_POLICY_ENCRYPTED, false), -1);
        dlms_setup_put_activate(&w, 3);
        CU_ASSERT(w.len == 2 && data[0] == AXDR_ENUM && data[1] == 3);
}

static void key_transfer(void)
{
        for (unsigned suite = 0; suite < 3; suite++) {
                struct dlms_new_key keys[] = { { DLMS_KEY_AUTHENTICATION, { 1, 2, 3 } },
                                               { DLMS_KEY_MASTER, { 4, 5, 6 } } };
                struct dlms_new_key got[DLMS_N_KEY_IDS];
                uint8_t master[DLMS_KEY_MAX] = { 9, 9 }, data[256], *copy;
                struct axdr_writer w = axdr_writer_of(data, sizeof data);
                size_t size = dlms_key_size(suite), n;

                CU_ASSERT_EQUAL(dlms_setup_put_keys(&w, suite, master, keys, 2), 0);
                CU_ASSERT_EQUAL(w.len, 2 + 2 * (2 + 2 + 2 + size + 8));
                CU_ASSERT_EQUAL(axdr_check(data, w.len), 0);
                CU_ASSERT_EQUAL(dlms_setup_take_keys(data, w.len, suite, master, got, &n), 0);
                CU_ASSERT_EQUAL(n, 2);
                CU_ASSERT(got[0].id == DLMS_KEY_AUTHENTICATION && got[1].id == DLMS_KEY_MASTER);
                CU_ASSERT(!memcmp(got[0].key, keys[0].key, size));
                CU_ASSERT(!memcmp(got[1].key, keys[1].key, size));
                for (size_t cut = 0; cut < w.len; cut++) {
                        copy = malloc(cut + 1);
                        memcpy(copy, data, cut);
                        CU_ASSERT(dlms_setup_take_keys(copy, cut, suite, master, got, &n) != 0);
                        free(copy);
                }
                master[0] ^= 1;
                CU_ASSERT_EQUAL(dlms_setup_take_keys(data, w.len, suite, master, got, &n),
                                DLMS_E_KEY_WRAP);
                CU_ASSERT_EQUAL(got[0].key[0], 0); /* nothing of a half-read list stays */
                keys[1].id = DLMS_KEY_AUTHENTICATION;
                w = axdr_writer_of(data, sizeof data);
                CU_ASSERT_EQUAL(dlms_setup_put_keys(&w, suite, master, keys, 2), DLMS_E_ARGUMENT);
                w = axdr_writer_of(data, 40);
                keys[1].id = DLMS_KEY_MASTER;
                CU_ASSERT_EQUAL(dlms_setup_put_keys(&w, suite, master, keys, 2), DLMS_E_TOO_LONG);
                CU_ASSERT_EQUAL(dlms_setup_put_keys(&w, suite, master, keys, 0), DLMS_E_ARGUMENT);
        }
}

static void key_agreement(void)
{
        static const enum dlms_key_id ids[] = { DLMS_KEY_UNICAST, DLMS_KEY_MASTER };

        for (unsigned suite = 1; suite < 3; suite++) {
                struct dlms_pki us = make_pki(suite, NULL, NULL),
                                meter = make_pki(suite, NULL, NULL);
                uint8_t ours[2][DLMS_EC_MAX], theirs[2][DLMS_EC_MAX], spare[2 * DLMS_EC_MAX];
                uint8_t sign_us[2 * DLMS_EC_MAX], sign_meter[2 * DLMS_EC_MAX], to[1024], back[1024];
                struct axdr_writer w = axdr_writer_of(to, sizeof to), b;
                struct dlms_agreement a[DLMS_N_KEY_IDS], r[DLMS_N_KEY_IDS];
                size_t n, m;

                for (int i = 0; i < 2; i++) {
                        dlms_ec_generate(suite, ours[i], spare);
                        dlms_ec_generate(suite, theirs[i], spare);
                }
                dlms_ec_public(suite, us.sign, sign_us);
                dlms_ec_public(suite, meter.sign, sign_meter);
                b = axdr_writer_of(back, sizeof back);
                CU_ASSERT_EQUAL(dlms_setup_put_agreement(&w, suite, us.sign, ids, 2, ours[0]), 0);
                CU_ASSERT_EQUAL(dlms_setup_put_agreement(&b, suite, meter.sign, ids, 2, theirs[0]),
                                0);
                CU_ASSERT_EQUAL(dlms_setup_take_agreement(to, w.len, suite, sign_us, a, &n), 0);
                CU_ASSERT_EQUAL(dlms_setup_take_agreement(back, b.len, suite, sign_meter, r, &m),
                                0);
                CU_ASSERT(n == 2 && m == 2);
                for (int i = 0; i < 2; i++) {
                        uint8_t x[DLMS_KEY_MAX] = { 0 }, y[DLMS_KEY_MAX] = { 1 };

                        CU_ASSERT_EQUAL(a[i].id, ids[i]);
                        CU_ASSERT_EQUAL(
                                dlms_setup_agreed_key(suite, ours[i], &r[i], client, server, x), 0);
                        CU_ASSERT_EQUAL(
                                dlms_setup_agreed_key(suite, theirs[i], &a[i], client, server, y),
                                0);
                        CU_ASSERT(!memcmp(x, y, dlms_key_size(suite)));
                        /* A key for wrapping is another than one for ciphering. */
                        r[i].id = r[i].id == DLMS_KEY_MASTER ? DLMS_KEY_UNICAST : DLMS_KEY_MASTER;
                        dlms_setup_agreed_key(suite, ours[i], &r[i], client, server, x);
                        CU_ASSERT(memcmp(x, y, dlms_key_size(suite)) != 0);
                }
                CU_ASSERT_EQUAL(dlms_setup_take_agreement(to, w.len, suite, sign_meter, a, &n),
                                DLMS_E_KEY_AGREEMENT);
                to[5] ^= 1; /* key-id: signed too */
                CU_ASSERT_EQUAL(dlms_setup_take_agreement(to, w.len, suite, sign_us, a, &n),
                                DLMS_E_KEY_AGREEMENT);
                CU_ASSERT_EQUAL(dlms_setup_take_agreement(to, w.len - 1, suite, sign_us, a, &n),
                                DLMS_E_KEY_AGREEMENT);
                CU_ASSERT_EQUAL(dlms_setup_take_agreement(to, w.len, 0, sign_us, a, &n),
                                DLMS_E_ARGUMENT);
        }
}

HR_TESTS("dlms security", { "one thing wrong, its own error", each_fault },
         { "a wrong key is hardly ever taken for another fault", faults_told_reliably },
         { "key wrap, published values", key_wrap_published },
         { "ECDSA, published values", signatures }, { "messages that stand alone", alone },
         { "sender and recipient", parties }, { "layers", layers },
         { "tags of service-specific ciphering", service_tags }, { "security policies", policies },
         { "key transfer", key_transfer }, { "key agreement", key_agreement })
