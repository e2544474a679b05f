#include "setup.h"

#include <openssl/crypto.h>
#include <string.h>

int dlms_setup_policy(unsigned version, enum dlms_policy policy, bool sign)
{
        enum { BOTH_WAYS = 1 | 1 << 3, REQUEST_AUTHENTICATED = 2 }; /* bits 2-4, and 5-7 */
        unsigned each = (policy & DLMS_SC_AUTHENTICATED ? 1u : 0) |
                        (policy & DLMS_SC_ENCRYPTED ? 2u : 0) | (sign ? 4u : 0);

        if (version == 0)
                return sign ? -1 : (int)each;
        return version == 1 ? (int)(each * BOTH_WAYS << REQUEST_AUTHENTICATED) : -1;
}

void dlms_setup_put_activate(struct axdr_writer *w, uint8_t policy)
{
        axdr_put_enum(w, policy);
}

/* Each of the known keys at most once; @seen collects them. */
static bool is_new(unsigned id, unsigned *seen)
{
        if (id >= DLMS_N_KEY_IDS || *seen & 1u << id)
                return false;
        *seen |= 1u << id;
        return true;
}

static void put_entry(struct axdr_writer *w, enum dlms_key_id id, const uint8_t *p, size_t n)
{
        axdr_put_structure(w, 2);
        axdr_put_enum(w, (uint8_t)id);
        axdr_put_octets(w, p, n);
}

int dlms_setup_put_keys(struct axdr_writer *w, unsigned suite, const uint8_t *master,
                        const struct dlms_new_key *keys, size_t n)
{
        size_t size = dlms_key_size(suite);
        uint8_t wrapped[DLMS_KEY_MAX + 8];
        unsigned seen = 0;
        int e;

        if (n == 0 || n > DLMS_N_KEY_IDS)
                return DLMS_E_ARGUMENT;
        axdr_put_array(w, n);
        for (size_t i = 0; i < n; i++) {
                if (!is_new(keys[i].id, &seen))
                        return DLMS_E_ARGUMENT;
                e = dlms_key_wrap(master, size, keys[i].key, size, wrapped);
                if (e)
                        return e;
                put_entry(w, keys[i].id, wrapped, size + 8);
        }
        return w->failed ? DLMS_E_TOO_LONG : 0;
}

/* ---- reading: array of { key-id, octet-string } ---- */

static int begin_entries(struct axdr_reader *r, const uint8_t *data, size_t n, size_t *ret_count)
{
        struct axdr_value v;

        axdr_reader_init(r, data, n);
        if (!axdr_expect(r, AXDR_ARRAY, &v))
                return r->error;
        if (v.n == 0 || v.n > DLMS_N_KEY_IDS)
                return DLMS_E_ARGUMENT;
        *ret_count = v.n;
        return 0;
}

static int take_entry(struct axdr_reader *r, unsigned *seen, enum dlms_key_id *ret_id,
                      struct axdr_value *ret)
{
        struct axdr_value v, id;

        if (!axdr_expect(r, AXDR_STRUCTURE, &v) || v.n != 2 || !axdr_expect(r, AXDR_ENUM, &id) ||
            !axdr_expect(r, AXDR_OCTET_STRING, ret))
                return r->error ? r->error : DLMS_E_TYPE;
        if (!is_new((unsigned)id.u, seen))
                return DLMS_E_ARGUMENT;
        *ret_id = (enum dlms_key_id)id.u;
        return 0;
}

int dlms_setup_take_keys(const uint8_t *data, size_t n, unsigned suite, const uint8_t *master,
                         struct dlms_new_key keys[static DLMS_N_KEY_IDS], size_t *ret_n)
{
        size_t size = dlms_key_size(suite), count = 0;
        struct axdr_reader r;
        struct axdr_value v;
        unsigned seen = 0;
        int e = begin_entries(&r, data, n, &count);

        for (size_t i = 0; !e && i < count; i++) {
                e = take_entry(&r, &seen, &keys[i].id, &v);
                if (!e && v.n != size + 8)
                        e = DLMS_E_KEY_WRAP;
                if (!e)
                        e = dlms_key_unwrap(master, size, v.p, v.n, keys[i].key);
        }
        if (!e && axdr_left(&r) > 0)
                e = DLMS_E_TRAILING;
        if (e) {
                OPENSSL_cleanse(keys, DLMS_N_KEY_IDS * sizeof *keys);
                return e;
        }
        *ret_n = count;
        return 0;
}

/* ---- agreement ---- */

int dlms_setup_put_agreement(struct axdr_writer *w, unsigned suite, const uint8_t *sign,
                             const enum dlms_key_id *ids, size_t n, const uint8_t *ephemeral)
{
        uint8_t text[1 + 4 * DLMS_EC_MAX]; /* key-id, point, signature of both */
        size_t size = dlms_ec_size(suite);
        struct dlms_part part = { text, 1 + 2 * size };
        unsigned seen = 0;
        int e;

        if (size == 0 || n == 0 || n > DLMS_N_KEY_IDS)
                return DLMS_E_ARGUMENT;
        axdr_put_array(w, n);
        for (size_t i = 0; i < n; i++) {
                if (!is_new(ids[i], &seen))
                        return DLMS_E_ARGUMENT;
                text[0] = (uint8_t)ids[i];
                e = dlms_ec_public(suite, ephemeral + i * DLMS_EC_MAX, text + 1);
                if (!e)
                        e = dlms_ecdsa_sign(suite, sign, &part, 1, text + 1 + 2 * size);
                if (e)
                        return e;
                put_entry(w, ids[i], text + 1, 4 * size);
        }
        return w->failed ? DLMS_E_TOO_LONG : 0;
}

int dlms_setup_take_agreement(const uint8_t *data, size_t n, unsigned suite,
                              const uint8_t *peer_sign,
                              struct dlms_agreement peers[static DLMS_N_KEY_IDS], size_t *ret_n)
{
        size_t size = dlms_ec_size(suite), count = 0;
        struct dlms_part parts[2];
        struct axdr_reader r;
        struct axdr_value v;
        unsigned seen = 0;
        uint8_t id;
        int e = size ? begin_entries(&r, data, n, &count) : DLMS_E_ARGUMENT;

        for (size_t i = 0; !e && i < count; i++) {
                e = take_entry(&r, &seen, &peers[i].id, &v);
                if (!e && v.n != 4 * size)
                        e = DLMS_E_KEY_AGREEMENT;
                if (e)
                        return e;
                id = (uint8_t)peers[i].id;
                parts[0] = (struct dlms_part){ &id, 1 };
                parts[1] = (struct dlms_part){ v.p, 2 * size };
                e = dlms_ecdsa_verify(suite, peer_sign, parts, 2, v.p + 2 * size);
                if (e == DLMS_E_SIGNATURE)
                        e = DLMS_E_KEY_AGREEMENT;
                memcpy(peers[i].point, v.p, 2 * size);
        }
        if (!e && axdr_left(&r) > 0)
                e = DLMS_E_TRAILING;
        if (!e)
                *ret_n = count;
        return e;
}

int dlms_setup_agreed_key(unsigned suite, const uint8_t *ephemeral,
                          const struct dlms_agreement *peer,
                          const uint8_t client[static DLMS_TITLE_SIZE],
                          const uint8_t server[static DLMS_TITLE_SIZE], uint8_t *key)
{
        const uint8_t *algorithm = dlms_kdf_algorithm(suite, peer->id == DLMS_KEY_MASTER);
        uint8_t z[DLMS_EC_MAX];
        int e = dlms_ecdh(suite, ephemeral, peer->point, z);

        if (!e)
                e = dlms_kdf(suite, z, algorithm, client, DLMS_TITLE_SIZE, server, DLMS_TITLE_SIZE,
                             key);
        OPENSSL_cleanse(z, sizeof z);
        return e == DLMS_E_ARGUMENT ? DLMS_E_KEY_AGREEMENT : e;
}
