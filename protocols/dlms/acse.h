#pragma once

/*
 * ACSE: AARQ, AARE, RLRQ, RLRE (BER) and the initiate request and response inside them (A-XDR),
 * Green Book 9.4.2 and 9.5. Pure; decoded bytes are borrowed from the input.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "axdr.h"
#include "dlms.h"

enum acse_context {
        ACSE_LN = 1, /* logical names */
        ACSE_SN = 2,
        ACSE_LN_CIPHERED = 3,
        ACSE_SN_CIPHERED = 4,
};

/* Result-source-diagnostic, choice acse-service-user. */
enum acse_diagnostic {
        ACSE_DIAG_NULL = 0,
        ACSE_DIAG_NO_REASON = 1,
        ACSE_DIAG_CONTEXT_NOT_SUPPORTED = 2,
        ACSE_DIAG_CALLING_TITLE_NOT_RECOGNIZED = 3,
        ACSE_DIAG_CALLING_INVOCATION_NOT_RECOGNIZED = 4,
        ACSE_DIAG_CALLING_QUALIFIER_NOT_RECOGNIZED = 5,
        ACSE_DIAG_CALLING_AE_INVOCATION_NOT_RECOGNIZED = 6, /* user id */
        ACSE_DIAG_CALLED_TITLE_NOT_RECOGNIZED = 7,
        ACSE_DIAG_CALLED_INVOCATION_NOT_RECOGNIZED = 8,
        ACSE_DIAG_CALLED_QUALIFIER_NOT_RECOGNIZED = 9,
        ACSE_DIAG_CALLED_AE_INVOCATION_NOT_RECOGNIZED = 10,
        ACSE_DIAG_MECHANISM_NOT_RECOGNISED = 11,
        ACSE_DIAG_MECHANISM_REQUIRED = 12,
        ACSE_DIAG_AUTHENTICATION_FAILURE = 13,
        ACSE_DIAG_AUTHENTICATION_REQUIRED = 14, /* HLS: pass 3 expected */
};

/* AARQ and AARE share most fields. */
struct acse_associate {
        uint8_t tag;          /* APDU_AARQ or APDU_AARE */
        uint8_t context;      /* enum acse_context */
        bool has_auth;        /* sender-ACSE-requirements says authentication */
        uint8_t mechanism;    /* enum dlms_auth */
        const uint8_t *title; /* calling or responding AP title, 8 bytes; NULL = none */
        /* AE qualifier: the certificate of the signing key, suites 1 and 2. Not to be trusted
         * before its chain is verified. NULL = none. */
        const uint8_t *qualifier;
        size_t qualifier_len;
        bool has_user_id; /* calling or responding AE invocation id */
        uint8_t user_id;
        const uint8_t *auth_value;
        size_t auth_len;
        const uint8_t *user_info; /* initiate APDU, maybe ciphered */
        size_t user_info_len;
        uint8_t result;            /* AARE: 0 accepted, 1 rejected permanent, 2 transient */
        uint8_t diagnostic_source; /* AARE: 1 service user, 2 service provider */
        uint8_t diagnostic;
};

int acse_associate_decode(const uint8_t *p, size_t n, struct acse_associate *ret);
void acse_put_associate(struct axdr_writer *w, const struct acse_associate *a);
/* The error that names a rejection; DLMS_E_OK when accepted. */
enum dlms_error acse_rejection(const struct acse_associate *aare);

struct acse_release {
        uint8_t tag; /* APDU_RLRQ or APDU_RLRE */
        uint8_t reason;
        const uint8_t *user_info;
        size_t user_info_len;
};

int acse_release_decode(const uint8_t *p, size_t n, struct acse_release *ret);
void acse_put_release(struct axdr_writer *w, const struct acse_release *a);

struct acse_initiate {
        bool response;            /* initiate-response */
        const uint8_t *dedicated; /* request: NULL = none */
        size_t dedicated_len;
        bool response_allowed;
        bool has_qos;
        uint8_t qos;
        uint8_t version;      /* 6 */
        uint32_t conformance; /* 24 bits */
        uint16_t max_pdu;     /* 0 = unlimited */
        uint16_t vaa;         /* response: 0x0007 with logical names */
};

int acse_initiate_decode(const uint8_t *p, size_t n, struct acse_initiate *ret);
void acse_put_initiate(struct axdr_writer *w, const struct acse_initiate *i);
