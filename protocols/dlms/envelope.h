#pragma once

/*
 * Envelopes of protected APDUs beyond those of apdu.h: writing general-ciphering, and
 * general-signing both ways (Green Book 9.2.7.2.4, 9.5). Pure; what is decoded is borrowed.
 */

#include "apdu.h"

/* general-signing: who signs for whom, an APDU (plain or protected), its signature r || s. */
struct apdu_signed {
        struct apdu_field head; /* from transaction-id to other-information, with length codes */
        struct apdu_field transaction, originator, recipient, time, other;
        size_t offset, n; /* of the content in the input */
        struct apdu_field signature;
};

/* 0, DLMS_E_APDU, DLMS_E_TRUNCATED, DLMS_E_TRAILING. */
int apdu_signed_decode(const uint8_t *p, size_t n, struct apdu_signed *ret);

/* Tag and the five fields both have in common, behind which general-signing has its content. */
void apdu_put_general_head(struct axdr_writer *w, uint8_t tag, const struct apdu_field *transaction,
                           const uint8_t *originator, const uint8_t *recipient,
                           const struct apdu_field *time, const struct apdu_field *other);
/* key-info of @g (its choice, key_id, key_parameters, key_data; APDU_KEY_NONE: absent). */
void apdu_put_key_info(struct axdr_writer *w, const struct apdu_general *g);
/* All of a decoded general-ciphering APDU but its protected bytes, with their length. */
void apdu_put_general(struct axdr_writer *w, const struct apdu_general *g);

/* Ciphered as apdu_is_ciphered() says, general-ciphering or general-signing. */
bool apdu_is_protected(uint8_t tag);
/* The plain tag a glo- or ded- one stands for; 0 for general ones and all others. */
uint8_t apdu_plain_tag(uint8_t ciphered);
