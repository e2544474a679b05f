#pragma once

/*
 * Protection of whole APDUs (Green Book 9.2.7.2): service-specific ciphering (glo-, ded-),
 * general-glo, general-ded, general-ciphering with an identified, wrapped or agreed key, and
 * general-signing inside any of them. One call seals, one opens all layers, for either end of an
 * association and for messages that stand alone (pushes).
 *
 * No I/O, no clock, no heap; random numbers only as agreement.h says. Keys and titles are borrowed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "apdu.h"
#include "dlms.h"
#include "security.h"

enum { DLMS_TRANSACTION_MAX = 32 };

/* What a protected APDU travels in. */
enum dlms_envelope {
        DLMS_ENVELOPE_SERVICE = 0, /* glo- or ded- tag of the service */
        DLMS_ENVELOPE_GENERAL,     /* general-glo or general-ded-ciphering */
        DLMS_ENVELOPE_IDENTIFIED,  /* general-ciphering, the global key by its number */
        DLMS_ENVELOPE_WRAPPED,     /* general-ciphering, keys->session wrapped by keys->master */
        DLMS_ENVELOPE_ONE_PASS,    /* general-ciphering, C(1e,1s): pki->ephemeral, ->peer_agree */
        DLMS_ENVELOPE_STATIC,      /* general-ciphering, C(0e,2s): pki->agree, ->peer_agree */
        DLMS_N_ENVELOPES
};

/* What an association remembers of general-ciphering: the key each end sent, so that key-info goes
 * only with the first message; the transaction opened last, which an answer repeats. Zero at its beginning; wipe it. */
struct dlms_session_keys {
        bool has_tx, has_rx;
        uint8_t transaction_len;
        uint8_t transaction[DLMS_TRANSACTION_MAX];
        uint8_t tx[DLMS_KEY_MAX], rx[DLMS_KEY_MAX];
};

/* One end's means. */
struct dlms_end {
        struct dlms_crypto *crypto;
        const struct dlms_keys *keys;
        const uint8_t *own;                /* our system title */
        const uint8_t *peer;               /* the other's; NULL = not known */
        struct dlms_session_keys *session; /* NULL = each message stands alone */
        enum dlms_policy policy;           /* what is applied; not NONE to seal */
        enum dlms_envelope envelope;
        bool dedicated; /* SERVICE, GENERAL: under the dedicated key */
        bool broadcast; /* under the global broadcast key */
        bool sign;      /* general-signing inside */
        bool answer;    /* the transaction-id is that of the request opened last */
};

/* Whether keys and titles for what @end says are there. */
bool dlms_end_usable(const struct dlms_end *end);

/* Bytes @n plain ones become; what is added never exceeds dlms_seal_size(end, 0) + 6. */
size_t dlms_seal_size(const struct dlms_end *end, size_t n);

/* Seals a plain APDU into @out, which may overlap it. @ic: a number never used before under these
 * keys. *@ret_len bytes. 0, DLMS_E_TOO_LONG, DLMS_E_APDU (no service-specific tag for it),
 * DLMS_E_KEY_MISSING, DLMS_E_KEY_AGREEMENT, DLMS_E_CRYPTO. */
int dlms_seal(const struct dlms_end *end, uint32_t ic, const uint8_t *plain, size_t n, uint8_t *out,
              size_t cap, size_t *ret_len);

/* What was found inside. */
struct dlms_opened {
        uint8_t *p; /* the plain APDU, in the input */
        size_t n;
        bool ciphered, is_signed;
        bool dedicated; /* under the dedicated key */
        enum dlms_envelope envelope;
        struct dlms_protection protection;
        bool has_title, foreign;        /* foreign: the title is not @end->peer */
        uint8_t title[DLMS_TITLE_SIZE]; /* the sender's, as the message gave it */
};

/* Opens all layers in place; an APDU without any is returned as it is. @end->peer is the title we
 * know; a message without one is opened under it. Signatures are verified when keys->pki holds the
 * peer's key, else DLMS_E_KEY_MISSING. *@ret is filled as far as it came. 0, DLMS_E_APDU,
 * DLMS_E_TRUNCATED, DLMS_E_TRAILING, DLMS_E_DEPTH, DLMS_E_RECIPIENT, DLMS_E_SIGNATURE,
 * DLMS_E_KEY_WRAP, DLMS_E_KEY_AGREEMENT, or as dlms_open(). The caller looks for replay
 * (protection.ic) and at .foreign. */
int dlms_unseal(const struct dlms_end *end, uint8_t *p, size_t n, struct dlms_opened *ret);
