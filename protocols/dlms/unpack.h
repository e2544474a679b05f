#pragma once

/*
 * From bytes of a transport to APDUs: detects wrapper, HDLC (segmented or not) and M-Bus link
 * frames and bare APDUs from the bytes, joins segments and general block transfer, and opens
 * all protection (protect.h). For whole messages in memory (decode tool, MQTT, UDP), not for
 * streams.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dlms.h"
#include "security.h"

enum dlms_layer { DLMS_LAYER_APDU, DLMS_LAYER_WRAPPER, DLMS_LAYER_HDLC, DLMS_LAYER_MBUS };

struct dlms_unpacked {
        enum dlms_layer layer;
        bool ciphered, is_signed;
        struct dlms_protection protection;
        uint8_t title[DLMS_TITLE_SIZE]; /* sender's, when ciphered and given */
        bool has_title;
        bool damaged;        /* a check sequence did not match but all bytes are there */
        const uint8_t *apdu; /* plain; points into the caller's buffer */
        size_t apdu_len;
        size_t used; /* bytes of the input this message took; another may follow */
};

/* @buf (cap at least n) receives the joined and opened message, which must be all of @in. @keys and
 * @crypto NULL = none; @title NULL = as in the message. Signatures are verified: without the
 * signer's key in @keys->pki DLMS_E_KEY_MISSING. With @lenient frames whose FCS fails are used and
 * .damaged set, else DLMS_E_HDLC_FCS. 0 or DLMS_E_*; *@ret says what was found so far. */
int dlms_unpack(const uint8_t *in, size_t n, bool lenient, struct dlms_crypto *crypto,
                const struct dlms_keys *keys, const uint8_t *title, uint8_t *buf, size_t cap,
                struct dlms_unpacked *ret);
/* The same for the first of several messages: go on at in + ret->used. */
int dlms_unpack_first(const uint8_t *in, size_t n, bool lenient, struct dlms_crypto *crypto,
                      const struct dlms_keys *keys, const uint8_t *title, uint8_t *buf, size_t cap,
                      struct dlms_unpacked *ret);
