/*
 * The shared records of associations and of cryptography: decoded, compared with what their sources
 * publish, and encoded again. The encoding is canonical wherever no test says why it is not.
 */
#include "hr_test.h"

#include <jansson.h>

#include "dlms/acse.h"
#include "dlms/agreement.h"
#include "dlms/envelope.h"
#include "dlms/protect.h"
#include "dlms/security.h"
#include "dlms/unpack.h"
#include "hex.h"

enum { CAP = 2048 };

static struct dlms_crypto *crypto;

static json_t *load(const char *file)
{
        json_t *all = json_array(), *line;
        FILE *f = fopen(hr_shared(file), "rb");

        if (!crypto)
                crypto = dlms_crypto_new();
        CU_ASSERT_FATAL(f != NULL);
        while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)))
                json_array_append_new(all, line);
        fclose(f);
        CU_ASSERT_FATAL(json_array_size(all) > 0);
        return all;
}

static const char *text(const json_t *o, const char *key)
{
        return json_string_value(json_object_get(o, key));
}

static const char *name_of(const json_t *line)
{
        return text(line, "name");
}

/* Bytes of a member; 0 when it is not there. */
static size_t member(const json_t *o, const char *key, uint8_t out[static CAP])
{
        const char *hex = text(o, key);
        ssize_t n = hex ? hex_decode(hex, strlen(hex), out, CAP) : 0;

        CU_ASSERT_FATAL(n >= 0);
        return (size_t)n;
}

static bool same(const json_t *o, const char *key, const uint8_t *p, size_t n)
{
        uint8_t b[CAP];
        size_t len = member(o, key, b);

        return len == n && (n == 0 || memcmp(b, p, n) == 0);
}

static bool same_number(const json_t *o, const char *key, json_int_t v)
{
        const json_t *m = json_object_get(o, key);

        return !m || json_integer_value(m) == v;
}

#define CHECK(line, what)                                                                          \
        do {                                                                                       \
                bool good_ = (what);                                                               \
                if (!good_)                                                                        \
                        printf("%s: ", name_of(line));                                             \
                CU_ASSERT(good_);                                                                  \
        } while (0)

/* ---- ACSE ---- */

/* The initiate APDU inside, when it is plain: @o is the other decoder's opinion of it. */
static void check_initiate(const json_t *line, const uint8_t *p, size_t n)
{
        const json_t *o = json_object_get(json_object_get(line, "decoded"), "user_information");
        struct acse_initiate i;
        uint8_t out[CAP], conformance[3];
        struct axdr_writer w = axdr_writer_of(out, sizeof out);

        if (n == 0 || apdu_is_ciphered(p[0])) {
                CHECK(line, !o);
                return;
        }
        CHECK(line, acse_initiate_decode(p, n, &i) == 0);
        conformance[0] = (uint8_t)(i.conformance >> 16);
        conformance[1] = (uint8_t)(i.conformance >> 8);
        conformance[2] = (uint8_t)i.conformance;
        CHECK(line, same(o, "conformance_hex", conformance, 3));
        CHECK(line, same_number(o, "dlms_version", i.version));
        CHECK(line, same_number(o, "max_receive_pdu", i.max_pdu));
        CHECK(line, same_number(o, "vaa", i.vaa));
        CHECK(line, same_number(o, "qos", i.qos));
        CHECK(line, i.has_qos == (json_object_get(o, "qos") != NULL));
        CHECK(line,
              strcmp(text(o, "pdu"), i.response ? "initiate-response" : "initiate-request") == 0);
        acse_put_initiate(&w, &i);
        CHECK(line, w.len == n && memcmp(out, p, n) == 0);
}

static void check_associate(const json_t *line, const uint8_t *p, size_t n)
{
        const json_t *o = json_object_get(line, "decoded");
        const json_t *diagnostic = json_object_get(o, "result_source_diagnostic");
        struct acse_associate a;
        uint8_t out[CAP];
        struct axdr_writer w = axdr_writer_of(out, sizeof out);
        bool aarq = strcmp(text(o, "pdu"), "AARQ") == 0;

        CHECK(line, acse_associate_decode(p, n, &a) == 0);
        CHECK(line, a.tag == (aarq ? APDU_AARQ : APDU_AARE));
        CHECK(line, same_number(o, "application_context", a.context));
        CHECK(line, a.has_auth == (json_object_get(o, "mechanism") != NULL));
        CHECK(line, same_number(o, "mechanism", a.mechanism));
        CHECK(line, same(o, "authentication_value", a.auth_value, a.auth_len));
        CHECK(line, same(o, aarq ? "calling_ap_title" : "responding_ap_title", a.title,
                         a.title ? DLMS_TITLE_SIZE : 0));
        CHECK(line, same(o, "user_information_hex", a.user_info, a.user_info_len));
        CHECK(line, same_number(o, "result", a.result));
        if (diagnostic) {
                CHECK(line, a.diagnostic_source == 1);
                CHECK(line, same_number(diagnostic, "value", a.diagnostic));
        }
        check_initiate(line, a.user_info, a.user_info_len);
        acse_put_associate(&w, &a);
        CHECK(line, !w.failed && w.len == n && memcmp(out, p, n) == 0);
}

static void check_release(const json_t *line, const uint8_t *p, size_t n)
{
        const json_t *o = json_object_get(line, "decoded");
        struct acse_release a;
        uint8_t out[CAP];
        struct axdr_writer w = axdr_writer_of(out, sizeof out);

        CHECK(line, acse_release_decode(p, n, &a) == 0);
        CHECK(line, a.tag == (strcmp(text(o, "pdu"), "RLRQ") == 0 ? APDU_RLRQ : APDU_RLRE));
        CHECK(line, same_number(o, "reason", a.reason));
        CHECK(line, same(o, "user_information_hex", a.user_info, a.user_info_len));
        check_initiate(line, a.user_info, a.user_info_len);
        acse_put_release(&w, &a);
        CHECK(line, w.len == n && memcmp(out, p, n) == 0);
}

/* All 16 are canonical: same fields, same bytes. */
static void acse(void)
{
        json_t *all = load("vectors/acse.jsonl"), *line;
        uint8_t p[CAP];
        size_t i;

        json_array_foreach(all, i, line)
        {
                const char *pdu = text(json_object_get(line, "decoded"), "pdu");
                size_t n = member(line, "hex", p);

                if (pdu[0] == 'A')
                        check_associate(line, p, n);
                else
                        check_release(line, p, n);
        }
        json_decref(all);
}

/* ---- suite 0 ---- */

struct material {
        struct dlms_keys keys;
        uint8_t title[CAP];
        uint32_t ic;
        uint8_t sc;
};

static struct material material_of(const json_t *line)
{
        struct material m = { .sc = DLMS_SC_AUTHENTICATED };
        uint8_t b[CAP];

        m.keys.has_ek = member(line, "ek", b) == 16;
        memcpy(m.keys.ek, b, 16);
        m.keys.has_ak = member(line, "ak", b) == 16;
        memcpy(m.keys.ak, b, 16);
        CU_ASSERT_EQUAL(member(line, "system_title", m.title), DLMS_TITLE_SIZE);
        if (member(line, "ic", b) == 4)
                m.ic = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
        if (member(line, "sc", b) == 1)
                m.sc = b[0];
        return m;
}

/* Opened, compared, and sealed again under what the message said of itself: the same bytes. */
static void check_sealed(const json_t *line, const uint8_t *p, size_t n, const struct dlms_keys *k,
                         const uint8_t *title, const char *plain_key, const json_t *expected)
{
        uint8_t buf[CAP], out[CAP];
        struct dlms_unpacked u;
        struct dlms_end end = { .crypto = crypto, .keys = k, .own = title };
        size_t len;

        CHECK(line, dlms_unpack(p, n, false, crypto, k, title, buf, sizeof buf, &u) == 0);
        if (json_object_get(expected, plain_key))
                CHECK(line, same(expected, plain_key, u.apdu, u.apdu_len));
        end.policy = (enum dlms_policy)(u.protection.sc & DLMS_POLICY_AUTHENTICATED_ENCRYPTED);
        end.envelope = u.has_title ? DLMS_ENVELOPE_GENERAL : DLMS_ENVELOPE_SERVICE;
        CHECK(line,
              dlms_seal(&end, u.protection.ic, u.apdu, u.apdu_len, out, sizeof out, &len) == 0);
        CHECK(line, len == n && memcmp(out, p, n) == 0);
}

static void check_wrap(const json_t *line)
{
        uint8_t kek[CAP], key[CAP], out[CAP], back[CAP];
        size_t kek_n = member(line, "kek", kek), n = member(line, "key", key);

        CHECK(line, dlms_key_wrap(kek, kek_n, key, n, out) == 0);
        CHECK(line, same(line, "out", out, n + 8));
        CHECK(line, dlms_key_unwrap(kek, kek_n, out, n + 8, back) == 0 && !memcmp(key, back, n));
}

static void suite_0(void)
{
        json_t *all = load("vectors/crypto.jsonl"), *line;
        uint8_t b[CAP], out[CAP];
        size_t i, n, len;

        json_array_foreach(all, i, line)
        {
                const char *op = text(line, "op");
                struct material m;

                if (strcmp(op, "keywrap") == 0) {
                        check_wrap(line);
                        continue;
                }
                m = material_of(line);
                if (strcmp(op, "apdu") == 0) {
                        n = member(line, "apdu", b);
                        check_sealed(line, b, n, &m.keys, m.title, "plain", line);
                } else if (strcmp(op, "gmac") == 0) {
                        n = member(line, "challenge", b);
                        CHECK(line,
                              dlms_gmac(crypto, &m.keys, m.sc, m.title, m.ic, b, n, out) == 0);
                        CHECK(line, same(line, "tag", out, DLMS_TAG_SIZE));
                } else {
                        n = member(line, "plain", b);
                        CHECK(line, strcmp(op, "gcm") == 0);
                        CHECK(line, dlms_protect(crypto, &m.keys, false, m.sc, m.title, m.ic, b, n,
                                                 out, sizeof out, &len) == 0);
                        CHECK(line, same(line, "out", out + DLMS_SC_HEADER_SIZE,
                                         len - DLMS_SC_HEADER_SIZE));
                }
        }
        json_decref(all);
}

/* ---- suite 1 ---- */

/* Ours differ from the published one, since the nonce is another: both must verify. */
static void check_signature(const json_t *line)
{
        uint8_t pub[CAP], message[CAP], signature[CAP], own[CAP], made[CAP];
        struct dlms_part part = { message, member(line, "message", message) };
        bool valid = json_is_true(json_object_get(line, "valid"));

        CHECK(line,
              member(line, "public", pub) == 64 && member(line, "signature", signature) == 64);
        CHECK(line, (dlms_ecdsa_verify(1, pub, &part, 1, signature) == 0) == valid);
        if (member(line, "private", own) != 32)
                return;
        CHECK(line, dlms_ec_public(1, own, made) == 0 && memcmp(made, pub, 64) == 0);
        CHECK(line, dlms_ecdsa_sign(1, own, &part, 1, made) == 0);
        CHECK(line, dlms_ecdsa_verify(1, pub, &part, 1, made) == 0);
}

static void check_agreement(const json_t *line)
{
        uint8_t own[CAP], peer[CAP], z[CAP], u[CAP], v[CAP], id[CAP], key[CAP];
        size_t u_len = member(line, "party_u", u), v_len = member(line, "party_v", v);

        member(line, "private", own);
        member(line, "peer_public", peer);
        CHECK(line, dlms_ecdh(1, own, peer, z) == 0 && same(line, "z", z, 32));
        CHECK(line, same(line, "algorithm_id", dlms_kdf_algorithm(1, false), 7));
        member(line, "algorithm_id", id);
        CHECK(line, dlms_kdf(1, z, id, u, u_len, v, v_len, key) == 0 && same(line, "key", key, 16));
}

/*
 * Green Book table 41. Its text deciphers and its ephemeral key is signed as published, but its tag
 * is not the one of SC, AK and the header as additional data (nor any other reading of the clause
 * that was tried); so the bytes encoded again are the same up to the tag.
 */
static void check_general(const json_t *line)
{
        uint8_t p[CAP], copy[CAP], key[CAP], ak[CAP], plain[CAP], out[CAP];
        size_t n = member(line, "apdu", p), len, plain_len = member(line, "plain", plain);
        struct dlms_material m = { .suite = 1, .key = key };
        struct dlms_protection prot;
        struct apdu_general g;
        struct axdr_writer w = axdr_writer_of(out, sizeof out);
        uint8_t *text_at;

        member(line, "key", key);
        member(line, "ak", ak);
        CHECK(line, apdu_general_decode(p, n, &g) == 0);
        CHECK(line, same(line, "transaction_id", g.transaction.p, g.transaction.n));
        CHECK(line, same(line, "originator", g.originator.p, g.originator.n));
        CHECK(line, same(line, "recipient", g.recipient.p, g.recipient.n));
        CHECK(line, g.choice == APDU_KEY_AGREED && g.key_parameters.n == 1);
        CHECK(line, g.key_parameters.p[0] == 1 && g.key_data.n == 128);
        memcpy(copy, p, n);
        CHECK(line, dlms_open_with(crypto, &m, g.originator.p, NULL, copy + g.offset, g.n, &prot,
                                   &text_at, &len) == 0);
        CHECK(line, len == plain_len && memcmp(text_at, plain, len) == 0);
        CHECK(line, prot.sc == 0x31 && prot.ic == 0 && !prot.tag_checked);
        m.ak = ak;
        m.aad = g.head.p;
        m.aad_len = g.head.n;
        memcpy(copy, p, n);
        CHECK(line, dlms_open_with(crypto, &m, g.originator.p, NULL, copy + g.offset, g.n, &prot,
                                   &text_at, &len) == DLMS_E_AUTHENTICATION_KEY);
        apdu_put_general(&w, &g);
        CHECK(line, w.len == g.offset);
        CHECK(line, dlms_protect_with(crypto, &m, 0x31, g.originator.p, 0, plain, plain_len,
                                      out + w.len, sizeof out - w.len, &len) == 0);
        CHECK(line, w.len + len == n && memcmp(out, p, n - DLMS_TAG_SIZE) == 0);
}

static void suite_1(void)
{
        json_t *all = load("vectors/crypto_suite1.jsonl"), *line;
        unsigned seen = 0;
        size_t i;

        json_array_foreach(all, i, line)
        {
                const char *op = text(line, "op");

                if (strcmp(op, "ecdsa-verify") == 0)
                        check_signature(line);
                else if (strcmp(op, "ecdh-kdf") == 0)
                        check_agreement(line);
                else if (strcmp(op, "general-ciphering") == 0)
                        check_general(line);
                else
                        CU_FAIL("an operation nobody knows");
                seen++;
        }
        CU_ASSERT_EQUAL(seen, 5);
        json_decref(all);
}

/* ---- ciphered pushes over M-Bus ---- */

/* The segments' headers and sums are not written by us (a head-end sends none): what is encoded
 * again is the APDU they carry. @out receives it, from the frames themselves. */
static size_t strip_mbus(const uint8_t *p, size_t n, uint8_t *out)
{
        size_t len = 0;

        for (size_t at = 0; at + 6 < n; at += p[at + 1] + 6u) {
                memcpy(out + len, p + at + 9, p[at + 1] - 5u);
                len += p[at + 1] - 5u;
        }
        return len;
}

static void mbus(void)
{
        json_t *all = load("vectors/push_mbus_ciphered.jsonl"), *line;
        uint8_t p[CAP], apdu[CAP], buf[CAP], b[CAP];
        size_t i;

        json_array_foreach(all, i, line)
        {
                const json_t *message = json_array_get(
                        json_object_get(json_object_get(line, "decoded"), "messages"), 0);
                const json_t *ciphering = json_object_get(message, "ciphering");
                struct dlms_keys k = { 0 };
                struct dlms_unpacked u;
                size_t n = member(line, "hex", p), len = strip_mbus(p, n, apdu);
                int e;

                k.has_ek = member(json_object_get(line, "keys"), "guek", b) == 16;
                memcpy(k.ek, b, 16);
                e = dlms_unpack(p, n, false, crypto, &k, NULL, buf, sizeof buf, &u);
                CHECK(line, u.layer == DLMS_LAYER_MBUS && u.ciphered && u.has_title);
                if (!k.has_ek) { /* its key was never published */
                        CHECK(line, e == DLMS_E_KEY_MISSING);
                        continue;
                }
                CHECK(line, e == 0);
                CHECK(line,
                      same(json_object_get(line, "expected"), "plain_hex", u.apdu, u.apdu_len));
                CHECK(line, same(ciphering, "system_title", u.title, sizeof u.title));
                CHECK(line, same(ciphering, "security_control", &u.protection.sc, 1));
                CHECK(line, same_number(ciphering, "invocation_counter", u.protection.ic));
                CHECK(line, !u.protection.tag_checked);
                /* SC says suite 1 where the keys are of suite 0: both protect alike. */
                k.suite = u.protection.sc & DLMS_SC_SUITE;
                check_sealed(line, apdu, len, &k, u.title, "plain_hex",
                             json_object_get(line, "expected"));
        }
        json_decref(all);
}

HR_TESTS("dlms vectors", { "ACSE: decoded, and the same bytes again", acse },
         { "suite 0: ciphering, GMAC, key wrap", suite_0 },
         { "suite 1: signatures, agreement, general-ciphering", suite_1 },
         { "ciphered pushes over M-Bus", mbus })
