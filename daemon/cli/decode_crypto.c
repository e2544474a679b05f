#include <string.h>

#include "decode_internal.h"
#include "dlms/agreement.h"
#include "dlms/apdu.h"

struct material {
        struct dlms_keys keys;
        uint8_t title[DLMS_TITLE_SIZE];
        uint32_t ic;
        uint8_t sc;
};

static bool read_material(const json_t *line, struct material *ret)
{
        uint8_t raw[4];

        *ret = (struct material){ .sc = DLMS_SC_AUTHENTICATED };
        decode_key_member(line, "ek", ret->keys.ek, &ret->keys.has_ek);
        decode_key_member(line, "ak", ret->keys.ak, &ret->keys.has_ak);
        if (json_string_length(json_object_get(line, "ek")) == 64)
                ret->keys.suite = 2;
        if (decode_hex_member(line, "ic", raw, 4) == 4)
                ret->ic = (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 | (uint32_t)raw[2] << 8 |
                          raw[3];
        if (decode_hex_member(line, "sc", raw, 1) == 1)
                ret->sc = raw[0];
        return decode_hex_member(line, "system_title", ret->title, DLMS_TITLE_SIZE) ==
               DLMS_TITLE_SIZE;
}

/* Shows what was computed; it must be what the line publishes under @key, when it does. */
static void compare(struct decode *d, const json_t *line, const char *key, const char *shown,
                    const uint8_t *p, size_t n)
{
        long len = decode_hex_member(line, key, d->bytes, d->cap);

        decode_put_hex(decode_member(d, shown), p, n);
        if (len >= 0 && ((size_t)len != n || memcmp(d->bytes, p, n) != 0))
                decode_fail(d, "\"%s\" is not what the published keys give", key);
}

static void do_apdu(struct decode *d, const json_t *line, struct material *m)
{
        long n = decode_hex_member(line, "apdu", d->bytes, d->cap);
        struct dlms_unpacked u;
        int e;

        if (n <= 0) {
                decode_fail(d, "\"apdu\" is missing or no hexadecimal text");
                return;
        }
        e = dlms_unpack(d->bytes, (size_t)n, false, d->crypto, &m->keys, m->title, d->work, d->cap,
                        &u);
        if (e) {
                decode_fail_dlms(d, e);
                return;
        }
        compare(d, line, "plain", "plain_hex", u.apdu, u.apdu_len);
        decode_describe(decode_member(d, "apdu"), u.apdu, u.apdu_len);
        if (u.apdu[0] == APDU_DATA_NOTIFICATION || u.apdu[0] == APDU_GET_RESPONSE)
                decode_objects(d, u.apdu, u.apdu_len, false);
}

static void do_gmac(struct decode *d, const json_t *line, struct material *m)
{
        long n = decode_hex_member(line, "challenge", d->bytes, d->cap);
        uint8_t tag[DLMS_TAG_SIZE];
        int e;

        if (n < 0) {
                decode_fail(d, "\"challenge\" is missing or no hexadecimal text");
                return;
        }
        e = dlms_gmac(d->crypto, &m->keys, m->sc, m->title, m->ic, d->bytes, (size_t)n, tag);
        if (e)
                decode_fail_dlms(d, e);
        else
                compare(d, line, "tag", "tag", tag, sizeof tag);
}

static void do_gcm(struct decode *d, const json_t *line, struct material *m)
{
        long n = decode_hex_member(line, "plain", d->bytes, d->cap);
        size_t len;
        int e;

        if (n < 0) {
                decode_fail(d, "\"plain\" is missing or no hexadecimal text");
                return;
        }
        e = dlms_protect(d->crypto, &m->keys, false, m->sc, m->title, m->ic, d->bytes, (size_t)n,
                         d->work, d->cap, &len);
        if (e)
                decode_fail_dlms(d, e);
        else
                compare(d, line, "out", "out", d->work + DLMS_SC_HEADER_SIZE,
                        len - DLMS_SC_HEADER_SIZE);
}

static void do_keywrap(struct decode *d, const json_t *line)
{
        uint8_t kek[DLMS_KEY_MAX], key[DLMS_KEY_MAX], out[DLMS_KEY_MAX + 8];
        long kek_len = decode_hex_member(line, "kek", kek, sizeof kek);
        long n = decode_hex_member(line, "key", key, sizeof key);
        int e = DLMS_E_ARGUMENT;

        if (kek_len > 0 && n > 0)
                e = dlms_key_wrap(kek, (size_t)kek_len, key, (size_t)n, out);
        if (e)
                decode_fail_dlms(d, e);
        else
                compare(d, line, "out", "out", out, (size_t)n + 8);
}

/* ---- suites 1 and 2 ---- */

static unsigned curve_suite(const json_t *line)
{
        const char *curve = json_string_value(json_object_get(line, "curve"));

        return curve && strcmp(curve, "P-384") == 0 ? 2 : 1;
}

static void do_ecdsa(struct decode *d, const json_t *line)
{
        const json_t *expected = json_object_get(line, "valid");
        uint8_t key[2 * DLMS_EC_MAX], signature[2 * DLMS_EC_MAX];
        unsigned suite = curve_suite(line);
        long size = 2 * (long)dlms_ec_size(suite), n;
        struct dlms_part message;
        int e;

        n = decode_hex_member(line, "message", d->bytes, d->cap);
        if (n < 0 || decode_hex_member(line, "public", key, sizeof key) != size ||
            decode_hex_member(line, "signature", signature, sizeof signature) != size) {
                decode_fail(d, "\"public\", \"message\" or \"signature\" is missing or has another "
                               "length than its curve's");
                return;
        }
        message = (struct dlms_part){ d->bytes, (size_t)n };
        e = dlms_ecdsa_verify(suite, key, &message, 1, signature);
        buf_put_str(decode_member(d, "valid"), e ? "false" : "true");
        if (expected ? json_is_true(expected) != !e : e != 0)
                decode_fail_dlms(d, e ? e : DLMS_E_SIGNATURE);
}

static void do_agreement(struct decode *d, const json_t *line)
{
        uint8_t own[DLMS_EC_MAX], peer[2 * DLMS_EC_MAX], z[DLMS_EC_MAX], algorithm[7];
        uint8_t u[DLMS_KDF_PARTY_MAX], v[DLMS_KDF_PARTY_MAX], key[DLMS_KEY_MAX];
        unsigned suite = curve_suite(line);
        long size = (long)dlms_ec_size(suite), u_len, v_len;
        int e;

        u_len = decode_hex_member(line, "party_u", u, sizeof u);
        v_len = decode_hex_member(line, "party_v", v, sizeof v);
        if (decode_hex_member(line, "private", own, sizeof own) != size || u_len < 0 || v_len < 0 ||
            decode_hex_member(line, "peer_public", peer, sizeof peer) != 2 * size ||
            decode_hex_member(line, "algorithm_id", algorithm, sizeof algorithm) != 7) {
                decode_fail(d,
                            "a key, \"algorithm_id\" or a party is missing or has a wrong length");
                return;
        }
        e = dlms_ecdh(suite, own, peer, z);
        if (!e)
                e = dlms_kdf(suite, z, algorithm, u, (size_t)u_len, v, (size_t)v_len, key);
        if (e) {
                decode_fail_dlms(d, e);
                return;
        }
        compare(d, line, "z", "z", z, (size_t)size);
        compare(d, line, "key", "key", key, dlms_key_size(suite));
}

static void put_key_info(struct decode *d, const struct apdu_general *g)
{
        static const char *const choices[] = { "identified-key", "wrapped-key", "agreed-key" };
        struct buf *b = decode_member(d, "key_info");

        if (g->choice == APDU_KEY_NONE) {
                buf_put_str(b, "null");
                return;
        }
        buf_printf(b, "{\"choice\":\"%s\",", choices[g->choice]);
        if (g->choice == APDU_KEY_AGREED) {
                buf_put_str(b, "\"parameters\":");
                decode_put_hex(b, g->key_parameters.p, g->key_parameters.n);
        } else {
                buf_printf(b, "\"key_id\":%u", g->key_id);
        }
        buf_put_u8(b, '}');
}

static void put_control(struct decode *d, const struct dlms_protection *p, bool tag_ok)
{
        decode_put_hex(decode_member(d, "sc"), &p->sc, 1);
        buf_printf(decode_member(d, "ic"), "%u", p->ic);
        buf_put_str(decode_member(d, "tag_ok"), tag_ok ? "true" : "false");
}

/* Deciphers a general-ciphering APDU with its agreed key, and says whether the tag verifies: the
 * one published example has a tag that does not, and is no less worth reading. @work receives a
 * copy for the second try. */
static int open_general(struct decode *d, struct dlms_keys *keys, const struct apdu_general *g,
                        struct dlms_protection *prot, uint8_t **p, size_t *len, bool *ret_tag_ok)
{
        struct dlms_material m = { .suite = keys->suite,
                                   .key = keys->has_ek ? keys->ek : NULL,
                                   .ak = keys->has_ak ? keys->ak : NULL,
                                   .aad = g->head.p,
                                   .aad_len = g->head.n };
        uint8_t title[DLMS_TITLE_SIZE] = { 0 };
        int e;

        if (g->originator.n == DLMS_TITLE_SIZE)
                memcpy(title, g->originator.p, sizeof title);
        memcpy(d->bytes, d->work + g->offset, g->n);
        e = dlms_open_with(d->crypto, &m, title, NULL, d->work + g->offset, g->n, prot, p, len);
        *ret_tag_ok = e == 0 && prot->tag_checked;
        if (e != DLMS_E_AUTHENTICATION_KEY)
                return e;
        m.ak = NULL;
        memcpy(d->work + g->offset, d->bytes, g->n);
        return dlms_open_with(d->crypto, &m, title, NULL, d->work + g->offset, g->n, prot, p, len);
}

static void do_general(struct decode *d, const json_t *line)
{
        struct dlms_keys keys = { .suite = 1 };
        long n = decode_hex_member(line, "apdu", d->work, d->cap);
        struct dlms_protection protection;
        struct apdu_general g;
        bool tag_ok = false;
        uint8_t *p;
        size_t len;
        int e;

        decode_key_member(line, "key", keys.ek, &keys.has_ek);
        decode_key_member(line, "ak", keys.ak, &keys.has_ak);
        if (n <= 0) {
                decode_fail(d, "\"apdu\" is missing or no hexadecimal text");
                return;
        }
        e = apdu_general_decode(d->work, (size_t)n, &g);
        if (!e) {
                compare(d, line, "transaction_id", "transaction_id", g.transaction.p,
                        g.transaction.n);
                compare(d, line, "originator", "originator", g.originator.p, g.originator.n);
                compare(d, line, "recipient", "recipient", g.recipient.p, g.recipient.n);
                put_key_info(d, &g);
                e = open_general(d, &keys, &g, &protection, &p, &len, &tag_ok);
        }
        dlms_keys_wipe(&keys);
        if (e) {
                decode_fail_dlms(d, e);
                return;
        }
        put_control(d, &protection, tag_ok);
        compare(d, line, "plain", "plain_hex", p, len);
        decode_describe(decode_member(d, "apdu"), p, len);
}

void decode_crypto(struct decode *d, const json_t *line, const char *op)
{
        struct material m;

        if (strcmp(op, "keywrap") == 0) {
                do_keywrap(d, line);
                return;
        }
        if (strcmp(op, "ecdsa-verify") == 0) {
                do_ecdsa(d, line);
                return;
        }
        if (strcmp(op, "ecdh-kdf") == 0) {
                do_agreement(d, line);
                return;
        }
        if (strcmp(op, "general-ciphering") == 0) {
                do_general(d, line);
                return;
        }
        if (strcmp(op, "apdu") != 0 && strcmp(op, "gmac") != 0 && strcmp(op, "gcm") != 0) {
                decode_fail(d, "operation \"%.40s\" is not known", op);
                return;
        }
        if (!read_material(line, &m) || !m.keys.has_ek) {
                decode_fail(d, "\"ek\" or \"system_title\" is missing");
                return;
        }
        if (strcmp(op, "apdu") == 0)
                do_apdu(d, line, &m);
        else if (strcmp(op, "gmac") == 0)
                do_gmac(d, line, &m);
        else
                do_gcm(d, line, &m);
        dlms_keys_wipe(&m.keys);
}
