#include "protect.h"

#include <openssl/crypto.h>
#include <string.h>

#include "agreement.h"
#include "envelope.h"
#include "protect_internal.h"

enum { LAYERS_MAX = 3 };

/* ---- keys of general-ciphering ---- */

int protect_agree(unsigned suite, const uint8_t *own, const uint8_t *peer, const uint8_t *from,
                  const uint8_t *to, const struct apdu_field *nonce, uint8_t *key)
{
        uint8_t z[DLMS_EC_MAX], u[DLMS_KDF_PARTY_MAX];
        size_t u_len = DLMS_TITLE_SIZE;
        int e;

        memcpy(u, from, DLMS_TITLE_SIZE);
        if (nonce) {
                if (nonce->n > DLMS_TRANSACTION_MAX)
                        return DLMS_E_KEY_AGREEMENT;
                u[u_len++] = (uint8_t)nonce->n;
                if (nonce->n > 0)
                        memcpy(u + u_len, nonce->p, nonce->n);
                u_len += nonce->n;
        }
        e = dlms_ecdh(suite, own, peer, z);
        if (!e)
                e = dlms_kdf(suite, z, dlms_kdf_algorithm(suite, false), u, u_len, to,
                             DLMS_TITLE_SIZE, key);
        OPENSSL_cleanse(z, sizeof z);
        return e == DLMS_E_ARGUMENT ? DLMS_E_KEY_AGREEMENT : e;
}

/* The key the other end sent, from key-info. */
static int take_wrapped(const struct dlms_keys *keys, const struct apdu_general *g, uint8_t *key)
{
        size_t size = dlms_key_size(keys->suite);

        if (!keys->has_master || g->key_id != KEK_ID_MASTER)
                return DLMS_E_KEY_MISSING;
        if (g->key_data.n != size + 8)
                return DLMS_E_KEY_WRAP;
        return dlms_key_unwrap(keys->master, size, g->key_data.p, g->key_data.n, key);
}

static int take_one_pass(const struct dlms_keys *keys, const struct apdu_general *g, uint8_t *key)
{
        size_t size = dlms_ec_size(keys->suite);
        const struct dlms_pki *pki = keys->pki;
        const uint8_t *point = g->key_data.p;
        struct dlms_part part = { point, 2 * size };
        int e;

        if (!pki->has_agree || !pki->has_peer_sign)
                return DLMS_E_KEY_MISSING;
        if (g->key_data.n != 4 * size)
                return DLMS_E_KEY_AGREEMENT;
        /* Who sent it is known only by this signature. */
        e = dlms_ecdsa_verify(keys->suite, pki->peer_sign, &part, 1, point + 2 * size);
        if (e)
                return e == DLMS_E_SIGNATURE ? DLMS_E_KEY_AGREEMENT : e;
        return protect_agree(keys->suite, pki->agree, point, g->originator.p, g->recipient.p, NULL,
                             key);
}

static int take_agreed(const struct dlms_keys *keys, const struct apdu_general *g, uint8_t *key)
{
        const struct dlms_pki *pki = keys->pki;

        if (!pki || dlms_ec_size(keys->suite) == 0)
                return DLMS_E_KEY_MISSING;
        if (g->originator.n != DLMS_TITLE_SIZE || g->recipient.n != DLMS_TITLE_SIZE ||
            g->key_parameters.n != 1)
                return DLMS_E_KEY_AGREEMENT;
        if (g->key_parameters.p[0] == ONE_PASS)
                return take_one_pass(keys, g, key);
        if (g->key_parameters.p[0] != STATIC || g->key_data.n != 0)
                return DLMS_E_KEY_AGREEMENT;
        if (!pki->has_agree || !pki->has_peer_agree)
                return DLMS_E_KEY_MISSING;
        return protect_agree(keys->suite, pki->agree, pki->peer_agree, g->originator.p,
                             g->recipient.p, &g->transaction, key);
}

static int copy_key(const struct dlms_keys *keys, bool has, const uint8_t *from, uint8_t *key)
{
        if (!has)
                return DLMS_E_KEY_MISSING;
        memcpy(key, from, dlms_key_size(keys->suite));
        return 0;
}

/* Which key protects @g, in @key; what it was given by in *@ret_envelope. */
static int take_key(const struct dlms_end *end, const struct apdu_general *g, uint8_t *key,
                    enum dlms_envelope *ret_envelope)
{
        const struct dlms_keys *keys = end->keys;
        struct dlms_session_keys *session = end->session;
        int e = DLMS_E_KEY_MISSING;

        switch (g->choice) {
        case APDU_KEY_IDENTIFIED:
                *ret_envelope = DLMS_ENVELOPE_IDENTIFIED;
                if (g->key_id == KEY_ID_UNICAST)
                        return copy_key(keys, keys->has_ek, keys->ek, key);
                return copy_key(keys, keys->has_broadcast && g->key_id == KEY_ID_BROADCAST,
                                keys->broadcast, key);
        case APDU_KEY_WRAPPED:
                *ret_envelope = DLMS_ENVELOPE_WRAPPED;
                e = take_wrapped(keys, g, key);
                break;
        case APDU_KEY_AGREED:
                *ret_envelope = g->key_parameters.n == 1 && g->key_parameters.p[0] == STATIC
                                        ? DLMS_ENVELOPE_STATIC
                                        : DLMS_ENVELOPE_ONE_PASS;
                e = take_agreed(keys, g, key);
                break;
        case APDU_KEY_NONE:
                /* The sender's key of before, or the one we sent ourselves. */
                *ret_envelope = end->envelope;
                if (session && session->has_rx)
                        return copy_key(keys, true, session->rx, key);
                return copy_key(keys, session && session->has_tx, session ? session->tx : NULL,
                                key);
        }
        return e;
}

/* ---- opening ---- */

static bool is_title(const struct apdu_field *f, const uint8_t *title)
{
        return f->n == DLMS_TITLE_SIZE && memcmp(f->p, title, DLMS_TITLE_SIZE) == 0;
}

/* Sender and recipient of a general-ciphering or -signing APDU are we two. */
static int check_parties(const struct dlms_end *end, const struct apdu_field *originator,
                         const struct apdu_field *recipient, struct dlms_opened *o)
{
        if (originator->n != 0 && originator->n != DLMS_TITLE_SIZE)
                return DLMS_E_APDU;
        if (recipient->n > 0 && end->own && !is_title(recipient, end->own))
                return DLMS_E_RECIPIENT;
        if (originator->n == 0)
                return 0;
        memcpy(o->title, originator->p, DLMS_TITLE_SIZE);
        o->has_title = true;
        return 0;
}

/* The sender's title: the message's, else the one we know, else zeroes. */
static void sender(const struct dlms_end *end, const struct dlms_opened *o,
                   uint8_t title[static DLMS_TITLE_SIZE])
{
        memset(title, 0, DLMS_TITLE_SIZE);
        if (o->has_title)
                memcpy(title, o->title, DLMS_TITLE_SIZE);
        else if (end->peer)
                memcpy(title, end->peer, DLMS_TITLE_SIZE);
}

/* A service-specific tag is not authenticated: what is inside must be the service it names, or an
 * error in its place. */
static bool is_service(uint8_t tag, uint8_t inner)
{
        return inner == apdu_plain_tag(tag) || inner == APDU_EXCEPTION ||
               inner == APDU_CONFIRMED_SERVICE_ERROR;
}

static int open_envelope(const struct dlms_end *end, struct dlms_opened *o)
{
        struct apdu_envelope env;
        uint8_t title[DLMS_TITLE_SIZE];
        int e = apdu_envelope_decode(o->p, o->n, &env);

        if (e)
                return e;
        o->ciphered = true;
        o->dedicated = env.dedicated;
        o->envelope = env.general ? DLMS_ENVELOPE_GENERAL : DLMS_ENVELOPE_SERVICE;
        if (env.title) {
                memcpy(o->title, env.title, sizeof o->title);
                o->has_title = true;
        }
        sender(end, o, title);
        if (!end->keys || !end->crypto)
                return DLMS_E_KEY_MISSING;
        e = dlms_open(end->crypto, end->keys, env.dedicated, title, end->peer, o->p + env.offset,
                      env.n, &o->protection, &o->p, &o->n);
        if (!e && !env.general && o->n > 0 && !is_service(env.tag, o->p[0]))
                return DLMS_E_APDU;
        return e;
}

/* An answer has the transaction-id of its request. */
static void remember_transaction(struct dlms_session_keys *s, const struct apdu_field *id)
{
        if (!s || id->n > DLMS_TRANSACTION_MAX)
                return;
        s->transaction_len = (uint8_t)id->n;
        if (id->n > 0)
                memcpy(s->transaction, id->p, id->n);
}

static void remember_key(struct dlms_session_keys *s, const struct apdu_general *g,
                         const uint8_t *key, size_t size)
{
        if (!s || (g->choice != APDU_KEY_WRAPPED && g->choice != APDU_KEY_AGREED))
                return;
        memcpy(s->rx, key, size);
        s->has_rx = true;
}

static int open_general(const struct dlms_end *end, struct dlms_opened *o)
{
        uint8_t key[DLMS_KEY_MAX], title[DLMS_TITLE_SIZE];
        struct dlms_material m;
        struct apdu_general g;
        int e = apdu_general_decode(o->p, o->n, &g);

        if (!e)
                e = check_parties(end, &g.originator, &g.recipient, o);
        if (e)
                return e;
        o->ciphered = true;
        o->envelope = DLMS_ENVELOPE_IDENTIFIED;
        if (!end->keys || !end->crypto)
                return DLMS_E_KEY_MISSING;
        e = take_key(end, &g, key, &o->envelope);
        if (e)
                return e;
        sender(end, o, title);
        m = (struct dlms_material){ .suite = end->keys->suite,
                                    .key = key,
                                    .ak = end->keys->has_ak ? end->keys->ak : NULL,
                                    .aad = g.head.p,
                                    .aad_len = g.head.n };
        e = dlms_open_with(end->crypto, &m, title, end->peer, o->p + g.offset, g.n, &o->protection,
                           &o->p, &o->n);
        if (!e) {
                remember_key(end->session, &g, key, dlms_key_size(end->keys->suite));
                remember_transaction(end->session, &g.transaction);
        }
        OPENSSL_cleanse(key, sizeof key);
        return e;
}

static int open_signed(const struct dlms_end *end, struct dlms_opened *o)
{
        const struct dlms_keys *keys = end->keys;
        struct dlms_part parts[2];
        struct apdu_signed s;
        int e = apdu_signed_decode(o->p, o->n, &s);

        if (!e)
                e = check_parties(end, &s.originator, &s.recipient, o);
        if (e)
                return e;
        o->is_signed = true;
        if (!keys || !keys->pki || !keys->pki->has_peer_sign || dlms_ec_size(keys->suite) == 0)
                return DLMS_E_KEY_MISSING;
        if (s.signature.n != 2 * dlms_ec_size(keys->suite))
                return DLMS_E_SIGNATURE;
        /* The length code of the content is not signed, those of the head are. */
        parts[0] = (struct dlms_part){ s.head.p, s.head.n };
        parts[1] = (struct dlms_part){ o->p + s.offset, s.n };
        e = dlms_ecdsa_verify(keys->suite, keys->pki->peer_sign, parts, 2, s.signature.p);
        if (!e)
                remember_transaction(end->session, &s.transaction);
        o->p += s.offset;
        o->n = s.n;
        return e;
}

int dlms_unseal(const struct dlms_end *end, uint8_t *p, size_t n, struct dlms_opened *ret)
{
        int e = 0;

        *ret = (struct dlms_opened){ .p = p, .n = n };
        for (int layer = 0; !e; layer++) {
                if (ret->n == 0)
                        return DLMS_E_TRUNCATED;
                if (!apdu_is_protected(ret->p[0]))
                        break;
                if (layer == LAYERS_MAX)
                        return DLMS_E_DEPTH;
                if (ret->p[0] == APDU_GENERAL_CIPHERING)
                        e = open_general(end, ret);
                else if (ret->p[0] == APDU_GENERAL_SIGNING)
                        e = open_signed(end, ret);
                else
                        e = open_envelope(end, ret);
        }
        ret->foreign =
                ret->has_title && end->peer && memcmp(ret->title, end->peer, DLMS_TITLE_SIZE) != 0;
        return e;
}
