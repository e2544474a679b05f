/* One secret, title, counter or bit is wrong: exactly one error for each, from the meter's side and
 * from ours. */
#include "association.h"

/* ---- one thing wrong: what the meter tells us ---- */

static void told_by_meter(void)
{
        static const uint16_t saps[] = { 2, 16 };

        association_ciphered(DLMS_ENVELOPE_SERVICE);
        assoc.ccfg.keys.ek[7] ^= 1;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_EXCEPTION_DECIPHERING);
        CU_ASSERT_EQUAL(assoc.server.refused, DLMS_E_ENCRYPTION_KEY);

        association_ciphered(DLMS_ENVELOPE_SERVICE);
        assoc.ccfg.keys.ak[7] ^= 1;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_EXCEPTION_DECIPHERING);
        CU_ASSERT_EQUAL(assoc.server.refused, DLMS_E_AUTHENTICATION_KEY);

        association_ciphered(DLMS_ENVELOPE_SERVICE);
        memcpy(assoc.scfg.known_client, "HDROTHER", 8);
        CU_ASSERT_EQUAL(association_run(), DLMS_E_ASSOCIATION_TITLE);

        association_ciphered(DLMS_ENVELOPE_SERVICE);
        assoc.counters.rx = 5000;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_EXCEPTION_COUNTER);
        CU_ASSERT_EQUAL(assoc.counter, 5000);
        CU_ASSERT_EQUAL(assoc.server.refused, DLMS_E_REPLAY);

        association_ciphered(DLMS_ENVELOPE_SERVICE);
        assoc.ccfg.secret = (const uint8_t *)"another-password";
        CU_ASSERT_EQUAL(association_run(), DLMS_E_ASSOCIATION_AUTHENTICATION);

        /* Unknown client, unknown logical device. */
        association_ciphered(DLMS_ENVELOPE_SERVICE);
        assoc.scfg.client_saps = saps;
        assoc.scfg.n_client_saps = 2;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_ASSOCIATION_REJECTED);
        association_ciphered(DLMS_ENVELOPE_SERVICE);
        assoc.ccfg.server_sap = 17;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_ASSOCIATION_CLOSED);
        association_ciphered(DLMS_ENVELOPE_SERVICE);
        assoc.ccfg.framing = assoc.scfg.framing = DLMS_FRAMING_HDLC;
        assoc.ccfg.server_sap = 17;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_TIMEOUT_CONNECT);

        association_ciphered(DLMS_ENVELOPE_SERVICE);
        assoc.ccfg.policy = DLMS_POLICY_NONE;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_ASSOCIATION_CONTEXT);
        association_ciphered(DLMS_ENVELOPE_SERVICE); /* less protection than the meter demands */
        assoc.ccfg.policy = DLMS_POLICY_ENCRYPTED;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_EXCEPTION_NOT_ALLOWED);
        CU_ASSERT_EQUAL(assoc.server.refused, DLMS_E_SECURITY);
        association_ciphered(DLMS_ENVELOPE_GENERAL); /* not signed */
        assoc.scfg.sign = true;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_EXCEPTION_NOT_ALLOWED);
        CU_ASSERT_EQUAL(assoc.server.refused, DLMS_E_NOT_SIGNED);
}

/* Keys of general-ciphering and general-signing, one of them another than the meter's. */
static void told_of_agreements(void)
{
        static const struct {
                enum dlms_envelope envelope;
                int what; /* 0 master, 1 the key we agree with, 2 our signing key, 3 title */
                enum dlms_error found;
        } cases[] = {
                { DLMS_ENVELOPE_WRAPPED, 0, DLMS_E_KEY_WRAP },
                { DLMS_ENVELOPE_ONE_PASS, 1, DLMS_E_ENCRYPTION_KEY },
                { DLMS_ENVELOPE_STATIC, 1, DLMS_E_ENCRYPTION_KEY },
                { DLMS_ENVELOPE_ONE_PASS, 2, DLMS_E_KEY_AGREEMENT },
                { DLMS_ENVELOPE_GENERAL, 2, DLMS_E_SIGNATURE },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                association_ciphered(cases[i].envelope);
                assoc.ccfg.sign = cases[i].envelope == DLMS_ENVELOPE_GENERAL;
                if (cases[i].what == 0)
                        assoc.ccfg.keys.master[0] ^= 1;
                else if (cases[i].what == 1)
                        memcpy(assoc.cpki.peer_agree, assoc.cpki.peer_sign,
                               sizeof assoc.cpki.peer_agree);
                else
                        memcpy(assoc.cpki.sign, assoc.cpki.agree, sizeof assoc.cpki.sign);
                CU_ASSERT_EQUAL(association_run(), DLMS_E_EXCEPTION_DECIPHERING);
                CU_ASSERT_EQUAL(assoc.server.refused, cases[i].found);
        }
}

/* ---- one thing wrong: what we find in the meter's answer ---- */

static void wrong_ek(struct association *l)
{
        l->client.cfg.keys.ek[1] ^= 1;
}

static void wrong_ak(struct association *l)
{
        l->client.cfg.keys.ak[1] ^= 1;
}

static void wrong_title(struct association *l)
{
        l->client.server_title[7] ^= 1;
}

static void stale(struct association *l)
{
        l->client.server_ic = 1000;
}

static void wrong_key(struct association *l)
{
        /* The key both sent: remembered wrongly at our end. */
        l->client.session.tx[0] ^= 1;
}

static void wrong_own_title(struct association *l)
{
        l->client.cfg.client_title[7] ^= 1;
}

static void wrong_peer_sign(struct association *l)
{
        memcpy(l->cpki.peer_sign, l->cpki.peer_agree, sizeof l->cpki.peer_sign);
}

static void unsigned_answer(struct association *l)
{
        l->spki.has_sign = false;
}

static void found_by_us(void)
{
        static const struct {
                enum dlms_envelope envelope;
                bool sign;
                void (*sent)(struct association *l);
                enum dlms_error error;
        } cases[] = {
                { DLMS_ENVELOPE_SERVICE, false, wrong_ek, DLMS_E_ENCRYPTION_KEY },
                { DLMS_ENVELOPE_SERVICE, false, wrong_ak, DLMS_E_AUTHENTICATION_KEY },
                /* Without a title in the message it is part of the key: the AARE tells them apart.
                 */
                { DLMS_ENVELOPE_SERVICE, false, wrong_title, DLMS_E_ENCRYPTION_KEY },
                { DLMS_ENVELOPE_SERVICE, false, stale, DLMS_E_REPLAY },
                { DLMS_ENVELOPE_GENERAL, false, wrong_ek, DLMS_E_ENCRYPTION_KEY },
                { DLMS_ENVELOPE_GENERAL, false, wrong_ak, DLMS_E_AUTHENTICATION_KEY },
                { DLMS_ENVELOPE_GENERAL, false, wrong_title, DLMS_E_TITLE },
                { DLMS_ENVELOPE_GENERAL, false, stale, DLMS_E_REPLAY },
                { DLMS_ENVELOPE_IDENTIFIED, false, wrong_ek, DLMS_E_ENCRYPTION_KEY },
                { DLMS_ENVELOPE_IDENTIFIED, false, wrong_ak, DLMS_E_AUTHENTICATION_KEY },
                { DLMS_ENVELOPE_IDENTIFIED, false, wrong_title, DLMS_E_TITLE },
                { DLMS_ENVELOPE_IDENTIFIED, false, wrong_own_title, DLMS_E_RECIPIENT },
                { DLMS_ENVELOPE_IDENTIFIED, false, stale, DLMS_E_REPLAY },
                { DLMS_ENVELOPE_WRAPPED, false, wrong_key, DLMS_E_ENCRYPTION_KEY },
                { DLMS_ENVELOPE_WRAPPED, false, wrong_ak, DLMS_E_AUTHENTICATION_KEY },
                { DLMS_ENVELOPE_ONE_PASS, false, wrong_key, DLMS_E_ENCRYPTION_KEY },
                { DLMS_ENVELOPE_STATIC, false, wrong_ak, DLMS_E_AUTHENTICATION_KEY },
                { DLMS_ENVELOPE_GENERAL, true, wrong_peer_sign, DLMS_E_SIGNATURE },
                { DLMS_ENVELOPE_GENERAL, true, unsigned_answer, DLMS_E_NOT_SIGNED },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                enum dlms_error e;

                association_ciphered(cases[i].envelope);
                assoc.ccfg.sign = cases[i].sign;
                assoc.sent = cases[i].sent;
                e = association_run();
                if (e != cases[i].error)
                        printf("case %zu: %s\n", i, dlms_error_text(e));
                CU_ASSERT_EQUAL(e, cases[i].error);
                CU_ASSERT(assoc.associated);
        }
        /* At the association itself. */
        association_ciphered(DLMS_ENVELOPE_SERVICE);
        memcpy(assoc.ccfg.server_title, "MTROTHER", 8);
        CU_ASSERT_EQUAL(association_run(), DLMS_E_TITLE);
        association_ciphered(DLMS_ENVELOPE_SERVICE);
        assoc.ccfg.server_ic = 1000;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_REPLAY);
}

/* The meter's answer is altered on its way: compressed, less protected, in plain. */
static void compress(struct association *l, uint8_t *p, size_t n)
{
        if (l->associated && n > 12)
                p[10] |= DLMS_SC_COMPRESSED;
}

static void other_control(struct association *l, uint8_t *p, size_t n)
{
        if (l->associated && n > 12)
                p[10] = 0x01;
}

static void other_suite_said(struct association *l, uint8_t *p, size_t n)
{
        if (l->associated && n > 12)
                p[10] = 0x32;
}

static void plain_said(struct association *l, uint8_t *p, size_t n)
{
        if (l->associated && n > 12)
                p[8] = 0xC4;
}

/* An AARE whose responding title became a field nobody reads. */
static void titleless(struct association *l, uint8_t *p, size_t n)
{
        static const uint8_t title[] = { 0xA4, 0x0A, 0x04, 0x08 };

        if (l->bursts > 0)
                return;
        for (size_t i = 8; i + sizeof title < n; i++)
                if (memcmp(p + i, title, sizeof title) == 0)
                        p[i] = 0xA6;
}

static void altered(void)
{
        static const struct {
                void (*said)(struct association *l, uint8_t *p, size_t n);
                enum dlms_error error;
        } cases[] = { { compress, DLMS_E_COMPRESSED },
                      { other_control, DLMS_E_SECURITY },
                      { other_suite_said, DLMS_E_SUITE },
                      { plain_said, DLMS_E_NOT_CIPHERED } };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                association_ciphered(DLMS_ENVELOPE_SERVICE);
                assoc.said = cases[i].said;
                CU_ASSERT_EQUAL(association_run(), cases[i].error);
        }
        association_ciphered(DLMS_ENVELOPE_SERVICE);
        assoc.said = titleless;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_TITLE_MISSING);
        association_ciphered(DLMS_ENVELOPE_SERVICE);
        assoc.said = titleless;
        memcpy(assoc.ccfg.server_title, assoc.scfg.title, DLMS_TITLE_SIZE);
        CU_ASSERT_EQUAL(association_run(), DLMS_E_OK);
}

/* Every bit of the meter's answer flipped, one a session: never a value, always one error. In
 * general-ciphering any octet but zero says that key-info is present. */
enum { KEY_INFO_PRESENT = 1 + 3 * 9 + 2 };

static size_t flip;
static bool flipped;

static void flip_bit(struct association *l, uint8_t *p, size_t n)
{
        if (l->bursts != 1 || flip / 8 >= n - 8)
                return;
        p[8 + flip / 8] ^= (uint8_t)(1u << flip % 8);
        flipped = true;
}

static void nothing_altered_passes(void)
{
        static const enum dlms_envelope envelopes[] = { DLMS_ENVELOPE_SERVICE,
                                                        DLMS_ENVELOPE_GENERAL,
                                                        DLMS_ENVELOPE_IDENTIFIED };

        for (size_t i = 0; i < 3; i++) {
                flipped = true;
                for (flip = 0; flipped; flip++) {
                        bool harmless = i == 2 && flip / 8 == KEY_INFO_PRESENT;

                        flipped = false;
                        association_ciphered(envelopes[i]);
                        assoc.said = flip_bit;
                        association_run();
                        CU_ASSERT_EQUAL(assoc.failed != 0, flipped && !assoc.closed);
                        CU_ASSERT(assoc.failed ? assoc.step == 1 : !flipped || harmless);
                }
                CU_ASSERT(flip > 8 * 33);
        }
}

HR_TESTS("dlms wrong secrets", { "one thing wrong, told by the meter", told_by_meter },
         { "agreements and signatures, told by the meter", told_of_agreements },
         { "one thing wrong, found by us", found_by_us }, { "answers altered on the way", altered },
         { "no flipped bit passes", nothing_altered_passes })
