#include "association.h"

#include "dlms/axdr.h"

static struct dlms_crypto *crypto_client, *crypto_server;

struct association assoc;

static const struct dlms_attr clock_time = { 8, { { 0, 0, 1, 0, 0, 255 } }, 2 };
static const struct dlms_attr profile = { 7, { { 1, 0, 99, 1, 0, 255 } }, 2 };
static const struct dlms_attr limit = { 3, { { 1, 0, 1, 8, 0, 255 } }, 2 };

/* Key pairs of both ends for a suite, each knowing the other's public ones. */
static void make_pki(struct association *l, unsigned suite)
{
        uint8_t spare[2 * DLMS_EC_MAX];

        if (dlms_ec_size(suite) == 0)
                return;
        CU_ASSERT_EQUAL(dlms_ec_generate(suite, l->cpki.sign, l->spki.peer_sign), 0);
        CU_ASSERT_EQUAL(dlms_ec_generate(suite, l->spki.sign, l->cpki.peer_sign), 0);
        CU_ASSERT_EQUAL(dlms_ec_generate(suite, l->cpki.agree, l->spki.peer_agree), 0);
        CU_ASSERT_EQUAL(dlms_ec_generate(suite, l->spki.agree, l->cpki.peer_agree), 0);
        CU_ASSERT_EQUAL(dlms_ec_generate(suite, l->cpki.ephemeral, spare), 0);
        l->cpki.has_sign = l->cpki.has_agree = l->cpki.has_peer_sign = true;
        l->cpki.has_peer_agree = l->cpki.has_ephemeral = true;
        l->spki.has_sign = l->spki.has_agree = l->spki.has_peer_sign = true;
        l->spki.has_peer_agree = true;
        l->ccfg.keys.pki = &l->cpki;
        l->scfg.keys.pki = &l->spki;
}

static void make_keys(struct association *l, unsigned suite)
{
        struct dlms_keys *k = &l->ccfg.keys;

        *k = (struct dlms_keys){ .suite = (uint8_t)suite,
                                 .has_ek = true,
                                 .has_ak = true,
                                 .has_master = true,
                                 .has_broadcast = true };
        for (unsigned i = 0; i < DLMS_KEY_MAX; i++) {
                k->ek[i] = (uint8_t)(i + 1);
                k->ak[i] = (uint8_t)(0xD0 + i);
                k->master[i] = (uint8_t)(0x40 ^ i);
                k->broadcast[i] = (uint8_t)(0x80 + i);
        }
        l->scfg.keys = *k;
        k->has_session = true; /* the client's own choice */
        memset(k->session, 0x5A, sizeof k->session);
        make_pki(l, suite);
}

void association_setup(enum dlms_framing framing, enum dlms_auth auth, unsigned suite,
                       enum dlms_policy policy)
{
        struct association *l = &assoc;

        if (!crypto_client) {
                crypto_client = dlms_crypto_new();
                crypto_server = dlms_crypto_new();
        }
        memset(l, 0, sizeof *l);
        meter_settings(framing, METER_LLS, false, false, crypto_client, &l->ccfg, &l->scfg);
        l->scfg.crypto = crypto_server;
        l->ccfg.scratch = l->client_scratch;
        l->ccfg.scratch_size = sizeof l->client_scratch;
        l->ccfg.auth = l->scfg.auth = auth;
        l->ccfg.policy = l->scfg.policy = policy;
        l->ccfg.secret = l->scfg.secret = (const uint8_t *)"sixteen-byte-key";
        l->ccfg.secret_len = l->scfg.secret_len = 16;
        make_keys(l, suite);
        memcpy(l->challenge, meter_challenge, sizeof l->challenge);
        l->now = 1000;
}

static void next(struct association *l)
{
        uint8_t data[8];
        struct axdr_writer w = axdr_writer_of(data, sizeof data);
        int e = 0;

        switch (l->step++) {
        case 0:
                e = dlms_client_get(&l->client, &clock_time, NULL, l->now);
                break;
        case 1:
                e = dlms_client_get(&l->client, &profile, NULL, l->now);
                break;
        case 2:
                axdr_put_int32(&w, -7);
                e = dlms_client_set(&l->client, &limit, data, w.len, l->now);
                break;
        default:
                e = dlms_client_close(&l->client, l->now);
        }
        CU_ASSERT_EQUAL(e, 0);
        if (e == 0 && l->step == 1 && l->sent)
                l->sent(l);
}

static void drain(struct association *l)
{
        struct dlms_event ev;

        while (dlms_client_next_event(&l->client, &ev)) {
                CU_ASSERT(!l->failed && !l->closed);
                if (ev.type == DLMS_EV_FAILED) {
                        l->failed = ev.error;
                        l->counter = ev.counter;
                } else if (ev.type == DLMS_EV_CLOSED) {
                        l->closed = true;
                } else {
                        l->associated = true;
                        CU_ASSERT_EQUAL(ev.result, 0);
                        if (l->step == 1)
                                CU_ASSERT_EQUAL(ev.len, 14);
                        if (l->step == 2)
                                CU_ASSERT(ev.len > 2000);
                        next(l);
                }
        }
}

/* All one end has to say, to the other, in exact-size heap bytes. */
static bool carry(struct association *l, bool to_client)
{
        const struct core_ops *from = to_client ? &dlms_server_core : &dlms_client_core;
        const struct core_ops *to = to_client ? &dlms_client_core : &dlms_server_core;
        void *src = to_client ? (void *)&l->server : (void *)&l->client;
        void *dst = to_client ? (void *)&l->client : (void *)&l->server;
        const uint8_t *out;
        size_t n = from->output(src, &out), at = 0;
        uint8_t *bytes;

        if (n == 0)
                return false;
        bytes = malloc(n);
        memcpy(bytes, out, n);
        from->output_done(src, n);
        if (to_client && l->said)
                l->said(l, bytes, n);
        l->bursts += to_client;
        if (!to_client && l->associated && !l->first_tag && l->ccfg.framing == DLMS_FRAMING_WRAPPER)
                l->first_tag = bytes[8];
        for (int idle = 0; at < n && idle < 2;) {
                uint8_t *copy = malloc(n - at);
                size_t taken;

                memcpy(copy, bytes + at, n - at);
                taken = to->recv(dst, copy, n - at, l->now);
                free(copy);
                at += taken;
                idle = taken ? 0 : idle + 1;
                if (to_client)
                        drain(l);
        }
        free(bytes);
        return true;
}

/* From opening to the end; the error it failed with. */
enum dlms_error association_run(void)
{
        struct association *l = &assoc;

        CU_ASSERT_EQUAL_FATAL(dlms_client_init(&l->client, &l->ccfg), 0);
        CU_ASSERT_EQUAL_FATAL(dlms_server_init(&l->server, &l->scfg, &l->counters, &l->meter,
                                               l->server_scratch, sizeof l->server_scratch,
                                               l->challenge, l->now),
                              0);
        CU_ASSERT_EQUAL_FATAL(dlms_client_open(&l->client, l->now), 0);
        for (int turn = 0; turn < 1000 && !l->failed && !l->closed; turn++) {
                bool moved = carry(l, false);

                moved |= carry(l, true);
                drain(l);
                if (!moved && dlms_server_done(&l->server)) {
                        dlms_client_core.closed(&l->client, 0, l->now);
                } else if (!moved) {
                        l->now = dlms_client_core.deadline(&l->client);
                        dlms_client_core.expire(&l->client, l->now);
                }
                drain(l);
        }
        CU_ASSERT(l->failed || l->closed);
        return l->failed;
}

void association_good(const char *what, unsigned a, unsigned b, unsigned c)
{
        enum dlms_error e = association_run();

        if (e || !assoc.closed || assoc.meter.limit != -7)
                printf("%s %u %u %u: %s, the meter: %s\n", what, a, b, c, dlms_error_text(e),
                       dlms_error_text(assoc.server.refused));
        CU_ASSERT(!e && assoc.associated && assoc.closed);
        CU_ASSERT_EQUAL(assoc.meter.limit, -7);
}

void association_ciphered(enum dlms_envelope envelope)
{
        association_setup(DLMS_FRAMING_WRAPPER, DLMS_AUTH_LLS, 1,
                          DLMS_POLICY_AUTHENTICATED_ENCRYPTED);
        assoc.ccfg.general = envelope == DLMS_ENVELOPE_GENERAL;
        if (envelope > DLMS_ENVELOPE_GENERAL)
                assoc.ccfg.envelope = envelope;
}
