/*
 * What is signed, agreed and authenticated, put together here from its parts once more: two ends
 * that make the same mistake would understand each other.
 */
#include "hr_test.h"

#include "dlms/acse.h"
#include "dlms/agreement.h"
#include "dlms/envelope.h"
#include "dlms/hls.h"
#include "dlms/protect.h"
#include "hex.h"

static const uint8_t client[8] = "HDR00001", server[8] = "MTR00001";
static const uint8_t ctos[16] = "challenge of cli", stoc[16] = "challenge of met";
static const uint8_t get[] = { 0xC0, 0x01, 0xC1, 0, 8, 0, 0, 1, 0, 0, 255, 2, 0 };

static struct dlms_crypto *crypto;
static struct dlms_pki us, meter;
static struct dlms_keys keys;
static uint8_t sign_us[2 * DLMS_EC_MAX];

static size_t bytes(const char *hex, uint8_t *out, size_t cap)
{
        ssize_t n = hex_decode(hex, strlen(hex), out, cap);

        CU_ASSERT_FATAL(n >= 0);
        return (size_t)n;
}

static void setup(unsigned suite)
{
        uint8_t spare[2 * DLMS_EC_MAX];

        if (!crypto)
                crypto = dlms_crypto_new();
        us = (struct dlms_pki){ .has_sign = true,
                                .has_agree = true,
                                .has_ephemeral = true,
                                .has_peer_sign = true,
                                .has_peer_agree = true };
        meter = us;
        dlms_ec_generate(suite, us.sign, meter.peer_sign);
        memcpy(sign_us, meter.peer_sign, sizeof sign_us);
        dlms_ec_generate(suite, us.agree, meter.peer_agree);
        dlms_ec_generate(suite, us.ephemeral, spare);
        dlms_ec_generate(suite, meter.sign, us.peer_sign);
        dlms_ec_generate(suite, meter.agree, us.peer_agree);
        keys = (struct dlms_keys){ .suite = (uint8_t)suite, .has_ek = true, .has_ak = true };
        memset(keys.ek, 0x11, sizeof keys.ek);
        memset(keys.ak, 0x22, sizeof keys.ak);
        keys.pki = &us;
}

static struct dlms_hls hls_of(enum dlms_auth auth)
{
        return (struct dlms_hls){
                .auth = auth,
                .crypto = crypto,
                .keys = &keys,
                .secret = (const uint8_t *)"sixteen-byte-key",
                .secret_len = 16,
                .title = { client, server },
                .challenge = { ctos, stoc },
                .challenge_len = { sizeof ctos, sizeof stoc },
        };
}

/* Mechanism 7: both titles, the signer's first, then both challenges, the peer's first. */
static void signed_answers(void)
{
        for (unsigned suite = 1; suite <= 2; suite++) {
                uint8_t answer[DLMS_HLS_ANSWER_MAX], message[48];
                struct dlms_part part = { message, sizeof message };
                struct dlms_hls h;
                size_t n;

                setup(suite);
                h = hls_of(DLMS_AUTH_HLS_ECDSA);
                memcpy(message, client, 8);
                memcpy(message + 8, server, 8);
                memcpy(message + 16, stoc, 16);
                memcpy(message + 32, ctos, 16);
                CU_ASSERT_EQUAL(dlms_hls_answer(&h, false, 0, answer, &n), 0);
                CU_ASSERT_EQUAL(n, suite == 1 ? 64 : 96);
                CU_ASSERT_EQUAL(dlms_ecdsa_verify(suite, sign_us, &part, 1, answer), 0);
                /* The meter's. */
                memcpy(message, server, 8);
                memcpy(message + 8, client, 8);
                memcpy(message + 16, ctos, 16);
                memcpy(message + 32, stoc, 16);
                CU_ASSERT_EQUAL(dlms_ecdsa_sign(suite, meter.sign, &part, 1, answer), 0);
                CU_ASSERT_EQUAL(dlms_hls_check(&h, true, answer, n), 0);
                CU_ASSERT_EQUAL(dlms_hls_check(&h, true, answer, n - 1),
                                DLMS_E_HLS_SERVER_SIGNATURE);
                answer[0] ^= 1;
                CU_ASSERT_EQUAL(dlms_hls_check(&h, true, answer, n), DLMS_E_HLS_SERVER_SIGNATURE);
        }
}

/* Mechanism 2 without a transform: FIPS 197, appendix C.1; a short block is filled with zeroes. */
static void enciphered_answers(void)
{
        static uint8_t challenge[2][24], secret[16], expected[32], answer[DLMS_HLS_ANSWER_MAX];
        struct dlms_hls h;
        size_t n;

        setup(1);
        h = hls_of(DLMS_AUTH_HLS);
        h.secret = secret;
        h.challenge[1] = challenge[1];
        h.challenge_len[1] = 24;
        bytes("000102030405060708090A0B0C0D0E0F", secret, 16);
        bytes("00112233445566778899AABBCCDDEEFF", challenge[1], 16);
        bytes("69C4E0D86A7B0430D8CDB78070B4C55AC6A13B37878F5B826F4F8162A1C8D879", expected, 32);
        CU_ASSERT_EQUAL(dlms_hls_answer(&h, false, 0, answer, &n), 0);
        CU_ASSERT(n == 32 && memcmp(answer, expected, 32) == 0);
        h.challenge_len[1] = 16;
        CU_ASSERT_EQUAL(dlms_hls_answer(&h, false, 0, answer, &n), 0);
        CU_ASSERT(n == 16 && memcmp(answer, expected, 16) == 0);
}

/* Each mechanism: an answer is the one end's, to the one challenge, and no other. */
static void answers_are_of_one_end(void)
{
        for (int auth = DLMS_AUTH_HLS_MD5; auth <= DLMS_AUTH_HLS_ECDSA; auth++) {
                uint8_t answer[DLMS_HLS_ANSWER_MAX];
                struct dlms_pki both;
                struct dlms_hls h;
                size_t n;

                setup(1);
                both = us;
                memcpy(both.peer_sign, sign_us, sizeof sign_us);
                keys.pki = &both;
                h = hls_of((enum dlms_auth)auth);
                CU_ASSERT_EQUAL(dlms_hls_answer(&h, false, 5, answer, &n), 0);
                CU_ASSERT_EQUAL(dlms_hls_check(&h, false, answer, n), 0);
                CU_ASSERT_EQUAL(dlms_hls_check(&h, true, answer, n), (int)dlms_hls_wrong(h.auth));
                CU_ASSERT_EQUAL(dlms_hls_check(&h, false, answer, 0), (int)dlms_hls_wrong(h.auth));
                h.challenge[1] = ctos;
                CU_ASSERT_EQUAL(dlms_hls_check(&h, false, answer, n), (int)dlms_hls_wrong(h.auth));
        }
}

/* ---- agreed keys: U is the sender, its static agreement has the transaction-id as nonce ---- */

static void open_with(const uint8_t *key, const uint8_t *sealed, size_t n)
{
        struct dlms_material m = { .suite = keys.suite, .key = key, .ak = keys.ak };
        struct dlms_protection prot;
        uint8_t copy[1024], aad[64], *p;
        struct apdu_general g;
        size_t len = 0;

        memcpy(copy, sealed, n);
        CU_ASSERT_EQUAL_FATAL(apdu_general_decode(copy, n, &g), 0);
        /* 08 transaction-id, 08 originator, 08 recipient, no date-time, nothing else */
        aad[len++] = 8;
        memcpy(aad + len, "\0\0\0\0\0\0\0\x2A", 8);
        len += 8;
        aad[len++] = 8;
        memcpy(aad + len, client, 8);
        len += 8;
        aad[len++] = 8;
        memcpy(aad + len, server, 8);
        len += 8;
        aad[len++] = 0;
        aad[len++] = 0;
        m.aad = aad;
        m.aad_len = len;
        CU_ASSERT_EQUAL(
                dlms_open_with(crypto, &m, client, NULL, copy + g.offset, g.n, &prot, &p, &len), 0);
        CU_ASSERT(len == sizeof get && memcmp(p, get, len) == 0);
        CU_ASSERT(prot.tag_checked);
}

static void agreed_keys(void)
{
        for (unsigned suite = 1; suite <= 2; suite++) {
                struct dlms_end end = { .crypto = crypto,
                                        .keys = &keys,
                                        .own = client,
                                        .peer = server,
                                        .policy = DLMS_POLICY_AUTHENTICATED_ENCRYPTED };
                uint8_t sealed[1024], z[DLMS_EC_MAX], key[DLMS_KEY_MAX], u[17],
                        pub[2 * DLMS_EC_MAX];
                struct dlms_part part = { pub, 2 * dlms_ec_size(suite) };
                struct apdu_general g;
                size_t n;

                setup(suite);
                end.crypto = crypto;
                end.envelope = DLMS_ENVELOPE_STATIC;
                CU_ASSERT_EQUAL(dlms_seal(&end, 42, get, sizeof get, sealed, sizeof sealed, &n), 0);
                memcpy(u, client, 8);
                memcpy(u + 8, "\x08\0\0\0\0\0\0\0\x2A", 9);
                CU_ASSERT_EQUAL(dlms_ecdh(suite, meter.agree, meter.peer_agree, z), 0);
                dlms_kdf(suite, z, dlms_kdf_algorithm(suite, false), u, 17, server, 8, key);
                open_with(key, sealed, n);

                end.envelope = DLMS_ENVELOPE_ONE_PASS;
                CU_ASSERT_EQUAL(dlms_seal(&end, 42, get, sizeof get, sealed, sizeof sealed, &n), 0);
                CU_ASSERT_EQUAL(apdu_general_decode(sealed, n, &g), 0);
                CU_ASSERT(g.key_parameters.n == 1 && g.key_parameters.p[0] == 1);
                CU_ASSERT_EQUAL(g.key_data.n, 2 * part.n);
                dlms_ec_public(suite, us.ephemeral, pub);
                CU_ASSERT(memcmp(g.key_data.p, pub, part.n) == 0);
                CU_ASSERT_EQUAL(dlms_ecdsa_verify(suite, sign_us, &part, 1, g.key_data.p + part.n),
                                0);
                dlms_ecdh(suite, meter.agree, pub, z);
                dlms_kdf(suite, z, dlms_kdf_algorithm(suite, false), client, 8, server, 8, key);
                open_with(key, sealed, n);
        }
        CU_ASSERT(memcmp(dlms_kdf_algorithm(2, false), "\x60\x85\x74\x05\x08\x03\x01", 7) == 0);
        CU_ASSERT(memcmp(dlms_kdf_algorithm(1, true), "\x60\x85\x74\x05\x08\x03\x02", 7) == 0);
        CU_ASSERT(memcmp(dlms_kdf_algorithm(2, true), "\x60\x85\x74\x05\x08\x03\x03", 7) == 0);
}

/* general-signing: the fields with their length codes, then the content without. */
static void signed_apdus(void)
{
        struct dlms_end end = { .own = client,
                                .peer = server,
                                .policy = DLMS_POLICY_AUTHENTICATED,
                                .envelope = DLMS_ENVELOPE_GENERAL,
                                .sign = true };
        uint8_t sealed[512], message[64];
        struct dlms_part part = { message, 0 };
        struct apdu_signed s;
        const uint8_t *inner;
        size_t n;

        setup(1);
        end.crypto = crypto;
        end.keys = &keys;
        CU_ASSERT_EQUAL(dlms_seal(&end, 42, get, sizeof get, sealed, sizeof sealed, &n), 0);
        /* DB 08 title, length, SC IC; only authenticated, so the text is readable */
        inner = sealed + 1 + 9 + 1 + 5;
        CU_ASSERT_EQUAL_FATAL(apdu_signed_decode(inner, (size_t)(sealed + n - 12 - inner), &s), 0);
        memcpy(message, inner + 1, 29);
        memcpy(message + 29, get, sizeof get);
        part.n = 29 + sizeof get;
        CU_ASSERT_EQUAL(dlms_ecdsa_verify(1, sign_us, &part, 1, s.signature.p), 0);
        CU_ASSERT(s.n == sizeof get && memcmp(inner + s.offset, get, sizeof get) == 0);
        CU_ASSERT(memcmp(message + 1, "\0\0\0\0\0\0\0\x2A\x08", 9) == 0);
}

/* An answer repeats the transaction-id of its request, whichever layer it came in. */
static void transactions(void)
{
        for (unsigned i = 0; i < 2; i++) {
                struct dlms_session_keys session = { 0 };
                struct dlms_end end = { .own = client,
                                        .peer = server,
                                        .policy = DLMS_POLICY_AUTHENTICATED,
                                        .envelope = i ? DLMS_ENVELOPE_IDENTIFIED
                                                      : DLMS_ENVELOPE_GENERAL,
                                        .sign = i == 0 };
                struct dlms_end answer = end;
                uint8_t sealed[512];
                struct dlms_keys k;
                struct dlms_opened o;
                size_t n, m;

                setup(1);
                k = keys;
                k.pki = &meter;
                end.crypto = answer.crypto = crypto;
                end.keys = &keys;
                answer.keys = &k;
                answer.own = server;
                answer.peer = client;
                answer.session = &session;
                answer.answer = true;
                CU_ASSERT_EQUAL(dlms_seal(&end, 42, get, sizeof get, sealed, sizeof sealed, &n), 0);
                CU_ASSERT_EQUAL(dlms_unseal(&answer, sealed, n, &o), 0);
                CU_ASSERT_EQUAL(dlms_seal(&answer, 7, get, sizeof get, sealed, sizeof sealed, &m),
                                0);
                CU_ASSERT_EQUAL(m, n);
                CU_ASSERT(memmem(sealed, m, "\x08\0\0\0\0\0\0\0\x2A\x08MTR00001", 18) != NULL);
        }
}

/* ---- fields of the association that name who asks ---- */

static void associations(void)
{
        /* context, calling title, calling AE qualifier, user id 3, mechanism 7, challenge */
        static const char *const cases[] = {
                "603DA109060760857405080103A60A04084844523030303031A7060404AABBCCDDA903020103"
                "8A0207808B0760857405080207AC0A80083132333435363738",
                /* result, diagnostic 14, responding title, qualifier, user id, mechanism, challenge
                 */
                "6149A109060760857405080103A203020100A305A10302010EA40A04084D54523030303031"
                "A5060404AABBCCDDA70302010488020780890760857405080207AA0A80083837363534333231",
        };

        for (int i = 0; i < 2; i++) {
                uint8_t in[128], out[128];
                struct axdr_writer w = axdr_writer_of(out, sizeof out);
                struct acse_associate a;
                size_t n = bytes(cases[i], in, sizeof in);

                CU_ASSERT_EQUAL_FATAL(acse_associate_decode(in, n, &a), 0);
                CU_ASSERT(a.qualifier && a.qualifier_len == 4 && a.qualifier[0] == 0xAA);
                CU_ASSERT(a.has_user_id && a.user_id == 3 + i);
                CU_ASSERT(a.title && a.mechanism == DLMS_AUTH_HLS_ECDSA && a.auth_len == 8);
                acse_put_associate(&w, &a);
                CU_ASSERT(w.len == n && memcmp(out, in, n) == 0);
        }
}

/* Every diagnostic has a name of its own kind. */
static void diagnostics(void)
{
        static const enum dlms_error errors[] = {
                [ACSE_DIAG_NULL] = DLMS_E_ASSOCIATION_REJECTED,
                [ACSE_DIAG_NO_REASON] = DLMS_E_ASSOCIATION_REJECTED,
                [ACSE_DIAG_CONTEXT_NOT_SUPPORTED] = DLMS_E_ASSOCIATION_CONTEXT,
                [ACSE_DIAG_CALLING_TITLE_NOT_RECOGNIZED] = DLMS_E_ASSOCIATION_TITLE,
                [ACSE_DIAG_CALLING_INVOCATION_NOT_RECOGNIZED] = DLMS_E_ASSOCIATION_CALLING,
                [ACSE_DIAG_CALLING_QUALIFIER_NOT_RECOGNIZED] = DLMS_E_ASSOCIATION_CALLING,
                [ACSE_DIAG_CALLING_AE_INVOCATION_NOT_RECOGNIZED] = DLMS_E_ASSOCIATION_CALLING,
                [ACSE_DIAG_CALLED_TITLE_NOT_RECOGNIZED] = DLMS_E_ASSOCIATION_CALLED,
                [ACSE_DIAG_CALLED_INVOCATION_NOT_RECOGNIZED] = DLMS_E_ASSOCIATION_CALLED,
                [ACSE_DIAG_CALLED_QUALIFIER_NOT_RECOGNIZED] = DLMS_E_ASSOCIATION_CALLED,
                [ACSE_DIAG_CALLED_AE_INVOCATION_NOT_RECOGNIZED] = DLMS_E_ASSOCIATION_CALLED,
                [ACSE_DIAG_MECHANISM_NOT_RECOGNISED] = DLMS_E_ASSOCIATION_MECHANISM,
                [ACSE_DIAG_MECHANISM_REQUIRED] = DLMS_E_ASSOCIATION_REQUIRED,
                [ACSE_DIAG_AUTHENTICATION_FAILURE] = DLMS_E_ASSOCIATION_AUTHENTICATION,
                [ACSE_DIAG_AUTHENTICATION_REQUIRED] = DLMS_E_ASSOCIATION_REQUIRED,
        };

        for (uint8_t i = 0; i < sizeof errors / sizeof *errors; i++) {
                struct acse_associate a = {
                        .tag = APDU_AARE, .result = 1, .diagnostic_source = 1, .diagnostic = i
                };

                CU_ASSERT_EQUAL(acse_rejection(&a), errors[i]);
                a.result = 0;
                CU_ASSERT_EQUAL(acse_rejection(&a), DLMS_E_OK);
        }
}

HR_TESTS("dlms what is signed and agreed", { "answers of mechanism 7", signed_answers },
         { "answers of mechanism 2", enciphered_answers },
         { "an answer is of one end", answers_are_of_one_end }, { "agreed keys", agreed_keys },
         { "signed APDUs", signed_apdus }, { "transaction-ids", transactions },
         { "qualifier and user id", associations }, { "diagnostics", diagnostics })
