#pragma once

/*
 * UBL 2.1 Invoice and CreditNote in the syntax binding of EN 16931 (CEN/TS 16931-3-2). Pure: JSON
 * in, bytes out; the same input gives the same bytes.
 */

#include "buf.h"
#include "model.h"

/* Appends the document of @e, UTF-8 with an XML declaration. 0, -ENOMEM. */
int einvoice_put_ubl(struct buf *out, const struct einvoice *e);

/* Both steps from the JSON texts (see einvoice_build). 0, -EINVAL with @why, -ENOMEM. */
int einvoice_ubl(struct buf *out, const char *content, const char *settings,
                 char why[static EINVOICE_WHY_SIZE]);
