/* Sealing plain APDUs: sizes first, then the text is moved to its place and protected there. */
#include <openssl/crypto.h>
#include <string.h>

#include "agreement.h"
#include "envelope.h"
#include "protect_internal.h"

enum { OWN_TRANSACTION_SIZE = 8 };

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
                return end->broadcast   ? k->has_broadcast
                       : end->dedicated ? k->has_dedicated
                                        : k->has_ek;
        case DLMS_ENVELOPE_IDENTIFIED:
                return end->broadcast ? k->has_broadcast : k->has_ek;
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
                return protect_agree(suite, pki->agree, pki->peer_agree, end->own, end->peer,
                                     &t->info.transaction, t->key);
        t->info.key_data = (struct apdu_field){ t->data, 4 * size };
        e = dlms_ec_public(suite, pki->ephemeral, t->data);
        if (!e)
                e = dlms_ecdsa_sign(suite, pki->sign, &part, 1, t->data + 2 * size);
        if (!e)
                e = protect_agree(suite, pki->ephemeral, pki->peer_agree, end->own, end->peer, NULL,
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
        t->info.key_data = (struct apdu_field){ 0 };
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
