/* Associations of every mechanism, suite, policy and envelope between client and server core. */
#include "association.h"

/* ---- mechanisms ---- */

static const enum dlms_auth mechanisms[] = {
        DLMS_AUTH_NONE,     DLMS_AUTH_LLS,  DLMS_AUTH_HLS,        DLMS_AUTH_HLS_MD5,
        DLMS_AUTH_HLS_SHA1, DLMS_AUTH_GMAC, DLMS_AUTH_HLS_SHA256, DLMS_AUTH_HLS_ECDSA,
};

enum { N_MECHANISMS = sizeof mechanisms / sizeof *mechanisms };

static void all_mechanisms(void)
{
        static const enum dlms_policy policies[] = { DLMS_POLICY_NONE,
                                                     DLMS_POLICY_AUTHENTICATED_ENCRYPTED };

        for (unsigned m = 0; m < N_MECHANISMS; m++)
                for (unsigned suite = 0; suite < 3; suite++)
                        for (unsigned i = 0; i < 4; i++) {
                                if (mechanisms[m] == DLMS_AUTH_HLS_ECDSA && suite == 0)
                                        continue;
                                association_setup(i & 1 ? DLMS_FRAMING_HDLC : DLMS_FRAMING_WRAPPER,
                                                  mechanisms[m], suite, policies[i >> 1]);
                                association_good("mechanism, suite, case", mechanisms[m], suite, i);
                        }
}

/* A client of one mechanism at a meter of another. */
static void each_against_each(void)
{
        for (unsigned c = 0; c < N_MECHANISMS; c++)
                for (unsigned s = 0; s < N_MECHANISMS; s++) {
                        enum dlms_error expected = c == s   ? DLMS_E_OK
                                                   : c == 0 ? DLMS_E_ASSOCIATION_REQUIRED
                                                            : DLMS_E_ASSOCIATION_MECHANISM,
                                        e;

                        association_setup(DLMS_FRAMING_WRAPPER, mechanisms[c], 1, DLMS_POLICY_NONE);
                        assoc.scfg.auth = mechanisms[s];
                        e = association_run();
                        CU_ASSERT_EQUAL(e, expected);
                        CU_ASSERT_EQUAL(assoc.server.refused, expected);
                }
}

static size_t reversed(void *user, bool server, const uint8_t *challenge, size_t n,
                       uint8_t out[static DLMS_HLS_ANSWER_MAX])
{
        uint8_t mask = *(const uint8_t *)user;

        for (size_t i = 0; i < n; i++)
                out[i] = challenge[n - 1 - i] ^ mask ^ server;
        return n;
}

static size_t mute(void *user, bool server, const uint8_t *challenge, size_t n,
                   uint8_t out[static DLMS_HLS_ANSWER_MAX])
{
        (void)user, (void)server, (void)challenge, (void)n, (void)out;
        return 0;
}

static void transforms(void)
{
        static uint8_t one = 1, two = 2;
        static const struct dlms_transform right = { reversed, &one }, wrong = { reversed, &two };
        static const struct dlms_transform silent = { mute, NULL };

        association_setup(DLMS_FRAMING_HDLC, DLMS_AUTH_HLS, 0, DLMS_POLICY_NONE);
        assoc.ccfg.transform = assoc.scfg.transform = &right;
        assoc.ccfg.secret = NULL;
        assoc.ccfg.secret_len = 0;
        association_good("transform", 0, 0, 0);
        association_setup(DLMS_FRAMING_HDLC, DLMS_AUTH_HLS, 0, DLMS_POLICY_NONE);
        assoc.ccfg.transform = &wrong;
        assoc.scfg.transform = &right;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_HLS_REFUSED_SECRET);
        association_setup(DLMS_FRAMING_HDLC, DLMS_AUTH_HLS, 0, DLMS_POLICY_NONE);
        assoc.ccfg.transform = &silent;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_ARGUMENT);
        /* AES-128-ECB needs 16 bytes. */
        association_setup(DLMS_FRAMING_HDLC, DLMS_AUTH_HLS, 0, DLMS_POLICY_NONE);
        assoc.ccfg.secret_len = 15;
        CU_ASSERT_EQUAL(dlms_client_init(&assoc.client, &assoc.ccfg), DLMS_E_ARGUMENT);
}

/* The client's secret is not the meter's. */
static void wrong_secrets(void)
{
        for (unsigned m = 1; m < N_MECHANISMS; m++) {
                enum dlms_auth auth = mechanisms[m];
                enum dlms_error expected = auth == DLMS_AUTH_LLS ? DLMS_E_ASSOCIATION_AUTHENTICATION
                                           : auth == DLMS_AUTH_GMAC ? DLMS_E_HLS_REFUSED
                                           : auth == DLMS_AUTH_HLS_ECDSA
                                                   ? DLMS_E_HLS_REFUSED_SIGNATURE
                                                   : DLMS_E_HLS_REFUSED_SECRET;

                association_setup(DLMS_FRAMING_WRAPPER, auth, 1, DLMS_POLICY_NONE);
                assoc.ccfg.secret = (const uint8_t *)"another-key-here";
                assoc.ccfg.keys.ek[3] ^= 1;
                memcpy(assoc.cpki.sign, assoc.cpki.agree, sizeof assoc.cpki.sign);
                CU_ASSERT_EQUAL(association_run(), expected);
                CU_ASSERT(assoc.server.refused != 0);
        }
        association_setup(DLMS_FRAMING_WRAPPER, DLMS_AUTH_GMAC, 1, DLMS_POLICY_NONE);
        assoc.ccfg.keys.ak[3] ^= 1;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_HLS_REFUSED);
        association_setup(DLMS_FRAMING_WRAPPER, DLMS_AUTH_LLS, 1, DLMS_POLICY_NONE);
        assoc.ccfg.secret_len = 15;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_ASSOCIATION_AUTHENTICATION);
}

/* A meter that takes any answer and gives a wrong one: its last byte is another. */
static void spoil_pass4(struct association *l, uint8_t *p, size_t n)
{
        if (l->bursts == 1)
                p[n - 1] ^= 1;
}

static void false_meters(void)
{
        for (unsigned m = 2; m < N_MECHANISMS; m++) {
                enum dlms_auth auth = mechanisms[m];

                association_setup(DLMS_FRAMING_WRAPPER, auth, 2, DLMS_POLICY_NONE);
                assoc.said = spoil_pass4;
                CU_ASSERT_EQUAL(association_run(), dlms_hls_wrong(auth));
                CU_ASSERT(!assoc.associated);
                /* One that sends our challenge back is not answered at all. */
                association_setup(DLMS_FRAMING_WRAPPER, auth, 2, DLMS_POLICY_NONE);
                memcpy(assoc.challenge, assoc.ccfg.challenge, sizeof assoc.challenge);
                CU_ASSERT_EQUAL(association_run(), DLMS_E_HLS_CHALLENGE);
                CU_ASSERT_EQUAL(assoc.server.state, DLMS_SERVER_AUTHENTICATING);
        }
        /* The meter's signature is by a key we do not know. */
        association_setup(DLMS_FRAMING_HDLC, DLMS_AUTH_HLS_ECDSA, 1,
                          DLMS_POLICY_AUTHENTICATED_ENCRYPTED);
        memcpy(assoc.cpki.peer_sign, assoc.cpki.peer_agree, sizeof assoc.cpki.peer_sign);
        CU_ASSERT_EQUAL(association_run(), DLMS_E_HLS_SERVER_SIGNATURE);
}

/* ---- envelopes ---- */

static void all_envelopes(void)
{
        static const enum dlms_policy policies[] = { DLMS_POLICY_AUTHENTICATED,
                                                     DLMS_POLICY_ENCRYPTED,
                                                     DLMS_POLICY_AUTHENTICATED_ENCRYPTED };
        /* What is seen on the wire: glo-get, general-glo, general-ciphering. */
        static const uint8_t tags[DLMS_N_ENVELOPES] = { 0xC8, 0xDB, 0xDD, 0xDD, 0xDD, 0xDD };

        for (unsigned env = 0; env < DLMS_N_ENVELOPES; env++)
                for (unsigned suite = 0; suite < 3; suite++)
                        for (unsigned i = 0; i < 12; i++) {
                                bool hdlc = i & 1, sign = i & 2;

                                if (suite == 0 && (sign || env >= DLMS_ENVELOPE_ONE_PASS))
                                        continue;
                                if (sign && env == DLMS_ENVELOPE_SERVICE)
                                        continue; /* there is no tag for it */
                                association_setup(hdlc ? DLMS_FRAMING_HDLC : DLMS_FRAMING_WRAPPER,
                                                  DLMS_AUTH_GMAC, suite, policies[i >> 2]);
                                assoc.ccfg.general = env == DLMS_ENVELOPE_GENERAL;
                                if (env > DLMS_ENVELOPE_GENERAL)
                                        assoc.ccfg.envelope = (enum dlms_envelope)env;
                                assoc.ccfg.sign = assoc.scfg.sign = sign;
                                association_good("envelope, suite, case", env, suite, i);
                                if (!hdlc)
                                        CU_ASSERT_EQUAL(assoc.first_tag, tags[env]);
                        }
}

static void dedicated_keys(void)
{
        for (unsigned suite = 0; suite < 3; suite++)
                for (unsigned general = 0; general < 2; general++) {
                        association_setup(DLMS_FRAMING_WRAPPER, DLMS_AUTH_GMAC, suite,
                                          DLMS_POLICY_AUTHENTICATED_ENCRYPTED);
                        assoc.ccfg.general = general;
                        assoc.ccfg.keys.has_dedicated = true;
                        memset(assoc.ccfg.keys.dedicated, 0x66, dlms_key_size(suite));
                        association_good("dedicated, general", suite, general, 0);
                        CU_ASSERT_EQUAL(assoc.first_tag, general ? 0xDC : 0xD0);
                }
}

/* Suites of the two ends differ: 0 and 1 protect alike, 2 does not. */
static void other_suite(void)
{
        association_setup(DLMS_FRAMING_WRAPPER, DLMS_AUTH_GMAC, 2,
                          DLMS_POLICY_AUTHENTICATED_ENCRYPTED);
        assoc.scfg.keys.suite = 1;
        CU_ASSERT_EQUAL(association_run(), DLMS_E_EXCEPTION_DECIPHERING);
        CU_ASSERT_EQUAL(assoc.server.refused, DLMS_E_SUITE);
}

/* Settings that cannot work are refused before anything is sent. */
static void settings_refused(void)
{
        struct dlms_client *c = &assoc.client;

        association_setup(DLMS_FRAMING_WRAPPER, DLMS_AUTH_HLS_ECDSA, 0, DLMS_POLICY_NONE);
        CU_ASSERT_EQUAL(dlms_client_init(c, &assoc.ccfg), DLMS_E_ARGUMENT);
        association_setup(DLMS_FRAMING_WRAPPER, DLMS_AUTH_LLS, 1, DLMS_POLICY_NONE);
        assoc.ccfg.sign = true; /* nothing to carry the signature */
        CU_ASSERT_EQUAL(dlms_client_init(c, &assoc.ccfg), DLMS_E_ARGUMENT);
        association_setup(DLMS_FRAMING_WRAPPER, DLMS_AUTH_LLS, 1, DLMS_POLICY_AUTHENTICATED);
        assoc.ccfg.keys.has_ak = false;
        CU_ASSERT_EQUAL(dlms_client_init(c, &assoc.ccfg), DLMS_E_ARGUMENT);
        association_setup(DLMS_FRAMING_WRAPPER, DLMS_AUTH_LLS, 1, DLMS_POLICY_ENCRYPTED);
        assoc.ccfg.envelope = DLMS_ENVELOPE_WRAPPED;
        assoc.ccfg.keys.has_master = false;
        CU_ASSERT_EQUAL(dlms_client_init(c, &assoc.ccfg), DLMS_E_ARGUMENT);
        association_setup(DLMS_FRAMING_WRAPPER, DLMS_AUTH_LLS, 1, DLMS_POLICY_ENCRYPTED);
        assoc.ccfg.envelope = DLMS_ENVELOPE_ONE_PASS;
        assoc.cpki.has_ephemeral = false;
        CU_ASSERT_EQUAL(dlms_client_init(c, &assoc.ccfg), DLMS_E_ARGUMENT);
        association_setup(DLMS_FRAMING_WRAPPER, DLMS_AUTH_LLS, 3, DLMS_POLICY_ENCRYPTED);
        CU_ASSERT_EQUAL(dlms_client_init(c, &assoc.ccfg), DLMS_E_ARGUMENT);
}

HR_TESTS("dlms associations", { "every mechanism, suite, framing", all_mechanisms },
         { "each mechanism at each meter", each_against_each },
         { "a manufacturer's own mechanism", transforms },
         { "wrong secret of each mechanism", wrong_secrets },
         { "meters that cannot authenticate", false_meters },
         { "every envelope, suite, policy, signature", all_envelopes },
         { "dedicated keys", dedicated_keys }, { "suites that differ", other_suite },
         { "settings that cannot work", settings_refused })
