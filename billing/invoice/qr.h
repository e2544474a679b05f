#pragma once

/*
 * Payment codes: the text a bank's app reads from the QR on the invoice. Pure.
 * EMVCo merchant-presented mode with the NAPAS (VietQR) template for VND; EPC069-12 version 002
 * for SEPA credit transfers in EUR.
 */

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

struct qr_vietqr {
        const char *bank_bin; /* 6 digits */
        const char *account;  /* 1-19 letters or digits */
        int64_t amount;       /* dong; 0 = the payer types it */
        const char *purpose; /* at most 25 characters used, letters, digits, blank, - ; may be "" */
};

struct qr_epc {
        const char *bic;  /* may be "" within the EEA */
        const char *name; /* at most 70 characters used */
        const char *iban;
        int64_t cents;    /* 1 .. 99999999999 */
        const char *text; /* remittance, at most 140 characters used */
};

/* Both append to @out. 0, or -EINVAL when a member has no place in the code. */
int qr_put_vietqr(struct buf *out, const struct qr_vietqr *q);
int qr_put_epc(struct buf *out, const struct qr_epc *q);

/* Whether an EMVCo string is made of whole tag-length-value fields and ends in the right CRC
 * (CRC-16/CCITT-FALSE; either case of hexadecimal digits). */
bool qr_emv_check(const char *s);
