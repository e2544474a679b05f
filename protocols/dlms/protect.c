#include "protect.h"

#include <openssl/crypto.h>
#include <string.h>

#include "agreement.h"
#include "envelope.h"

enum {
        LAYERS_MAX = 3,
        KEY_ID_UNICAST = 0,
        KEY_ID_BROADCAST = 1,
        KEK_ID_MASTER = 0,
        ONE_PASS = 1, /* key-parameters */
        STATIC = 2,
        OWN_TRANSACTION_SIZE = 8,
        HEAD_MAX = 1 + 1 + DLMS_TRANSACTION_MAX + 2 * (1 + DLMS_TITLE_SIZE) + 2,
        KEY_INFO_MAX = 2 + 2 + 3 + 4 * DLMS_EC_MAX,
};

/* ---- keys of general-ciphering ---- */

/* Both agreements: Z, then the KDF over who tells whom; C(0e,2s) has the transaction-id as a nonce
 * behind the first title, because its Z is always the same (9.2.3.4.6.4). */
static int agree(unsigned suite, const uint8_t *own, const uint8_t *peer, const uint8_t *from,
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
        return agree(keys->suite, pki->agree, point, g->originator.p, g->recipient.p, NULL, key);
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
        return agree(keys->suite, pki->agree, pki->peer_agree, g->originator.p, g->recipient.p,
                     &g->transaction, key);
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
        return dlms_open(end->crypto, end->keys, env.dedicated, title, end->peer, o->p + env.offset,
                         env.n, &o->protection, &o->p, &o->n);
}

static void remember(struct dlms_session_keys *s, const struct apdu_general *g, const uint8_t *key,
                     size_t size)
{
        if (!s)
                return;
        if (g->choice == APDU_KEY_WRAPPED || g->choice == APDU_KEY_AGREED) {
                memcpy(s->rx, key, size);
                s->has_rx = true;
        }
        if (g->transaction.n <= DLMS_TRANSACTION_MAX) {
                s->transaction_len = (uint8_t)g->transaction.n;
                if (g->transaction.n > 0)
                        memcpy(s->transaction, g->transaction.p, g->transaction.n);
        }
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
        if (!e)
                remember(end->session, &g, key, dlms_key_size(end->keys->suite));
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

/* ---- sealing ---- */

static bool agrees(const struct dlms_end *end)
{
        const struct dlms_keys *k = end->keys;
        const struct dlms_session_keys *s = end->session;

        /* Who was sent a key may answer under it. */
        if (end->answer && s && s->has_rx && end->envelope != DLMS_ENVELOPE_STATIC)
                return true;
        if (!k->pki || dlms_ec_size(k->suite) == 0 || !end->peer || !k->pki->has_peer_agree)
                return false;
        return end->envelope == DLMS_ENVELOPE_STATIC ? k->pki->has_agree
                                                     : k->pki->has_ephemeral && k->pki->has_sign;
}

static bool has_key(const struct dlms_end *end)
{
        const struct dlms_keys *k = end->keys;

        switch (end->envelope) {
        case DLMS_ENVELOPE_SERVICE:
        case DLMS_ENVELOPE_GENERAL:
        case DLMS_ENVELOPE_IDENTIFIED:
                return end->broadcast   ? k->has_broadcast
                       : end->dedicated ? k->has_dedicated
                                        : k->has_ek;
        case DLMS_ENVELOPE_WRAPPED:
                return (k->has_master && k->has_session) ||
                       (end->answer && end->session && end->session->has_rx);
        case DLMS_ENVELOPE_ONE_PASS:
        case DLMS_ENVELOPE_STATIC:
                return agrees(end);
        case DLMS_N_ENVELOPES:
                break;
        }
        return false;
}

bool dlms_end_usable(const struct dlms_end *end)
{
        const struct dlms_keys *k = end->keys;

        if (!k || !end->crypto || !end->own || k->suite > 2 || !has_key(end))
                return false;
        if (end->policy == DLMS_POLICY_NONE || end->policy & ~DLMS_POLICY_AUTHENTICATED_ENCRYPTED)
                return false;
        if (end->policy & DLMS_SC_AUTHENTICATED && !k->has_ak)
                return false;
        return !end->sign || (k->pki && k->pki->has_sign && dlms_ec_size(k->suite) > 0);
}

/* A key for @g's key-info, which is made to say it. */
struct tx {
        struct apdu_general info;
        uint8_t key[DLMS_KEY_MAX];
        uint8_t transaction[DLMS_TRANSACTION_MAX];
        uint8_t data[4 * DLMS_EC_MAX];
};

static int make_wrapped(const struct dlms_end *end, struct tx *t)
{
        size_t size = dlms_key_size(end->keys->suite);

        memcpy(t->key, end->keys->session, size);
        t->info.choice = APDU_KEY_WRAPPED;
        t->info.key_id = KEK_ID_MASTER;
        t->info.key_data = (struct apdu_field){ t->data, size + 8 };
        return dlms_key_wrap(end->keys->master, size, t->key, size, t->data);
}

static int make_agreed(const struct dlms_end *end, struct tx *t)
{
        static const uint8_t parameters[] = { ONE_PASS, STATIC };
        const struct dlms_pki *pki = end->keys->pki;
        bool fixed = end->envelope == DLMS_ENVELOPE_STATIC;
        unsigned suite = end->keys->suite;
        size_t size = dlms_ec_size(suite);
        struct dlms_part part = { t->data, 2 * size };
        int e;

        t->info.choice = APDU_KEY_AGREED;
        t->info.key_parameters = (struct apdu_field){ &parameters[fixed], 1 };
        if (fixed)
                return agree(suite, pki->agree, pki->peer_agree, end->own, end->peer,
                             &t->info.transaction, t->key);
        t->info.key_data = (struct apdu_field){ t->data, 4 * size };
        e = dlms_ec_public(suite, pki->ephemeral, t->data);
        if (!e)
                e = dlms_ecdsa_sign(suite, pki->sign, &part, 1, t->data + 2 * size);
        if (!e)
                e = agree(suite, pki->ephemeral, pki->peer_agree, end->own, end->peer, NULL,
                          t->key);
        return e == DLMS_E_ARGUMENT ? DLMS_E_KEY_AGREEMENT : e;
}

/* Whether the key is one told before: then key-info is left out. */
static bool told(const struct dlms_end *end)
{
        const struct dlms_session_keys *s = end->session;

        if (!s ||
            (end->envelope != DLMS_ENVELOPE_WRAPPED && end->envelope != DLMS_ENVELOPE_ONE_PASS))
                return false;
        return s->has_tx || (end->answer && s->has_rx);
}

static int make_key(const struct dlms_end *end, struct tx *t)
{
        struct dlms_session_keys *s = end->session;
        size_t size = dlms_key_size(end->keys->suite);
        int e;

        t->info.choice = APDU_KEY_NONE;
        if (told(end)) {
                memcpy(t->key, s->has_tx ? s->tx : s->rx, size);
                return 0;
        }
        if (end->envelope == DLMS_ENVELOPE_IDENTIFIED) {
                t->info.choice = APDU_KEY_IDENTIFIED;
                t->info.key_id = end->broadcast ? KEY_ID_BROADCAST : KEY_ID_UNICAST;
                memcpy(t->key, end->broadcast ? end->keys->broadcast : end->keys->ek, size);
                return 0;
        }
        e = end->envelope == DLMS_ENVELOPE_WRAPPED ? make_wrapped(end, t) : make_agreed(end, t);
        if (!e && s && end->envelope != DLMS_ENVELOPE_STATIC) {
                memcpy(s->tx, t->key, size);
                s->has_tx = true;
        }
        return e;
}

/* The transaction-id: the request's, else eight bytes with the invocation counter. */
static void make_transaction(const struct dlms_end *end, uint32_t ic, struct tx *t)
{
        struct dlms_session_keys *s = end->session;

        t->info.transaction = (struct apdu_field){ t->transaction, OWN_TRANSACTION_SIZE };
        if (end->answer && s && s->transaction_len > 0) {
                memcpy(t->transaction, s->transaction, s->transaction_len);
                t->info.transaction.n = s->transaction_len;
                return;
        }
        memset(t->transaction, 0, OWN_TRANSACTION_SIZE);
        t->transaction[4] = (uint8_t)(ic >> 24);
        t->transaction[5] = (uint8_t)(ic >> 16);
        t->transaction[6] = (uint8_t)(ic >> 8);
        t->transaction[7] = (uint8_t)ic;
}

static size_t length_size(size_t n)
{
        return n < 0x80 ? 1 : n < 0x100 ? 2 : n < 0x10000 ? 3 : 5;
}

static bool is_general_ciphering(const struct dlms_end *end)
{
        return end->envelope >= DLMS_ENVELOPE_IDENTIFIED;
}

/* Tag and head of general-ciphering and -signing. */
static size_t head_size(const struct dlms_end *end)
{
        const struct dlms_session_keys *s = end->session;
        size_t id = end->answer && s && s->transaction_len > 0 ? s->transaction_len
                                                               : OWN_TRANSACTION_SIZE;

        return 1 + 1 + id + 1 + DLMS_TITLE_SIZE + 1 + (end->peer ? DLMS_TITLE_SIZE : 0) + 2;
}

static size_t key_info_size(const struct dlms_end *end)
{
        if (told(end))
                return 1;
        switch (end->envelope) {
        case DLMS_ENVELOPE_IDENTIFIED:
                return 3;
        case DLMS_ENVELOPE_WRAPPED:
                return 4 + dlms_key_size(end->keys->suite) + 8;
        case DLMS_ENVELOPE_ONE_PASS:
                return 4 + 2 + 4 * dlms_ec_size(end->keys->suite);
        case DLMS_ENVELOPE_STATIC:
                return 5;
        case DLMS_ENVELOPE_SERVICE:
        case DLMS_ENVELOPE_GENERAL:
        case DLMS_N_ENVELOPES:
                break;
        }
        return 0;
}

static size_t signed_size(const struct dlms_end *end, size_t n)
{
        size_t signature = 2 * dlms_ec_size(end->keys->suite);

        if (!end->sign)
                return n;
        return head_size(end) + length_size(n) + n + length_size(signature) + signature;
}

/* What stands before SC for @n protected bytes, SC and tag among them. */
static size_t envelope_size(const struct dlms_end *end, size_t n)
{
        if (is_general_ciphering(end))
                return head_size(end) + key_info_size(end) + length_size(n);
        return 1 + (end->envelope == DLMS_ENVELOPE_GENERAL ? 1 + DLMS_TITLE_SIZE : 0) +
               length_size(n);
}

static size_t protected_size(const struct dlms_end *end, size_t n)
{
        return DLMS_SC_HEADER_SIZE + signed_size(end, n) +
               (end->policy & DLMS_SC_AUTHENTICATED ? DLMS_TAG_SIZE : 0);
}

size_t dlms_seal_size(const struct dlms_end *end, size_t n)
{
        size_t inner = protected_size(end, n);

        return envelope_size(end, inner) + inner;
}

/* Puts general-signing around the @n bytes that stand at @at + what goes before them. */
static int put_signed(const struct dlms_end *end, const struct tx *t, uint8_t *at, size_t n)
{
        size_t head = head_size(end) + length_size(n), size = 2 * dlms_ec_size(end->keys->suite);
        struct axdr_writer w = axdr_writer_of(at, head);
        struct dlms_part parts[2];

        apdu_put_general_head(&w, APDU_GENERAL_SIGNING, &t->info.transaction, end->own, end->peer,
                              NULL, NULL);
        parts[0] = (struct dlms_part){ at + 1, w.len - 1 };
        parts[1] = (struct dlms_part){ at + head, n };
        axdr_put_length(&w, n);
        w = axdr_writer_of(at + head + n, length_size(size));
        axdr_put_length(&w, size);
        return dlms_ecdsa_sign(end->keys->suite, end->keys->pki->sign, parts, 2,
                               at + head + n + w.len);
}

/* general-ciphering of the @n bytes at @out + @head. */
static int seal_general(const struct dlms_end *end, struct tx *t, uint8_t sc, uint32_t ic,
                        uint8_t *out, size_t head, size_t n, size_t inner)
{
        struct dlms_material m = { .suite = end->keys->suite,
                                   .key = t->key,
                                   .ak = end->keys->has_ak ? end->keys->ak : NULL };
        struct axdr_writer w = axdr_writer_of(out, head);
        size_t len;

        apdu_put_general_head(&w, APDU_GENERAL_CIPHERING, &t->info.transaction, end->own, end->peer,
                              NULL, NULL);
        m.aad = out + 1;
        m.aad_len = w.len - 1;
        apdu_put_key_info(&w, &t->info);
        axdr_put_length(&w, inner);
        if (w.failed || w.len != head)
                return DLMS_E_CRYPTO;
        return dlms_protect_with(end->crypto, &m, sc, end->own, ic,
                                 out + head + DLMS_SC_HEADER_SIZE, n, out + head, inner, &len);
}

static int seal_simple(const struct dlms_end *end, uint8_t tag, uint8_t sc, uint32_t ic,
                       uint8_t *out, size_t head, size_t n, size_t inner)
{
        bool general = end->envelope == DLMS_ENVELOPE_GENERAL;
        size_t len;

        apdu_put_envelope(out, tag, general ? end->own : NULL, inner);
        return dlms_protect(end->crypto, end->keys, end->dedicated, sc, end->own, ic,
                            out + head + DLMS_SC_HEADER_SIZE, n, out + head, inner, &len);
}

int dlms_seal(const struct dlms_end *end, uint32_t ic, const uint8_t *plain, size_t n, uint8_t *out,
              size_t cap, size_t *ret_len)
{
        size_t inner, head, before;
        uint8_t tag, sc;
        struct tx t;
        int e = 0;

        if (n == 0 || !dlms_end_usable(end))
                return n == 0 ? DLMS_E_APDU : DLMS_E_KEY_MISSING;
        tag = end->envelope == DLMS_ENVELOPE_GENERAL
                      ? (end->dedicated ? APDU_GENERAL_DED : APDU_GENERAL_GLO)
                      : apdu_ciphered_tag(end->sign ? 0 : plain[0], end->dedicated);
        if (!is_general_ciphering(end) && tag == 0)
                return DLMS_E_APDU;
        inner = protected_size(end, n);
        head = envelope_size(end, inner);
        if (head + inner > cap)
                return DLMS_E_TOO_LONG;
        before = end->sign ? head_size(end) + length_size(n) : 0;
        memmove(out + head + DLMS_SC_HEADER_SIZE + before, plain, n);
        sc = (uint8_t)(end->policy | end->keys->suite);
        if (end->broadcast)
                sc |= DLMS_SC_BROADCAST;
        if (end->sign || is_general_ciphering(end))
                make_transaction(end, ic, &t);
        if (end->sign)
                e = put_signed(end, &t, out + head + DLMS_SC_HEADER_SIZE, n);
        n = signed_size(end, n);
        if (!e && is_general_ciphering(end)) {
                e = make_key(end, &t);
                if (!e)
                        e = seal_general(end, &t, sc, ic, out, head, n, inner);
                OPENSSL_cleanse(t.key, sizeof t.key);
        } else if (!e) {
                e = seal_simple(end, tag, sc, ic, out, head, n, inner);
        }
        *ret_len = head + inner;
        return e;
}
