#pragma once

/*
 * An invoice's PDF from its frozen contents and its template's document (both JSON). Deterministic:
 * the same contents, template and installed fonts give the same bytes. Thread-safe.
 */

#include "buf.h"

/* Appends the PDF to @out. 0, -EINVAL (not the JSON it should be), -ENOMEM, -EIO. */
int invoice_render(struct buf *out, const char *content, const char *template);

/* The payment code of the contents: VietQR for VND, EPC for EUR; nothing appended and -ENOENT when
 * there is nothing to pay or the payee has no account of that kind. */
int invoice_payment_code(struct buf *out, const char *content);
