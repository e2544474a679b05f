#pragma once

/*
 * An invoice's PDF from its frozen contents and its template's document (both JSON). Deterministic:
 * the same contents, template and installed fonts give the same bytes. Thread-safe.
 */

#include "buf.h"

/* Appends the PDF to @out, tagged for screen readers. @mark is the template's text to print across
 * the pages, "copy" or "preview", or NULL. 0, -EINVAL (not the JSON it should be), -ENOMEM, -EIO.
 */
int invoice_render(struct buf *out, const char *content, const char *template, const char *mark);

/* Many invoices in one file, for a print shop: fonts are in it once. The caller may write out and
 * empty @out after each invoice, so that memory does not grow with the file. */
struct invoice_printer;

/* 0 or -ENOMEM. @created is RFC 3339, the only time in the file. @out is borrowed. */
int invoice_printer_open(struct invoice_printer **ret, struct buf *out, const char *title,
                         const char *created);
/* Each invoice begins on a page of its own. As invoice_render; *@ret_pages is how many it took. */
int invoice_printer_add(struct invoice_printer *p, const char *content, const char *template,
                        int *ret_pages);
/* Ends the file and frees. 0, -ENOMEM, -EIO. NULL is fine. */
int invoice_printer_close(struct invoice_printer *p);

/* The payment code of the contents: VietQR for VND, EPC for EUR; nothing appended and -ENOENT when
 * there is nothing to pay or the payee has no account of that kind. */
int invoice_payment_code(struct buf *out, const char *content);
