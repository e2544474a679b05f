/* How to pay: account, reference, and the code a bank's app reads. */

#include "render.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qr.h"
#include "sheet.h"

enum { SLIP_HEIGHT = 120 };

static int payment_code(struct buf *out, const json_t *c)
{
        const char *currency = doc_text(c, "currency"), *number = doc_text(c, "number");
        int64_t due = doc_int(c, "amount_due");
        char reference[160];
        int rc = -ENOENT;

        if (due <= 0 || strcmp(doc_text(c, "kind"), "invoice") != 0)
                return -ENOENT;
        snprintf(reference, sizeof reference, "%s %s", number, doc_text(c, "customer.account"));
        if (strcmp(currency, "VND") == 0)
                rc = qr_put_vietqr(out, &(struct qr_vietqr){ doc_text(c, "payee.bank_bin"),
                                                             doc_text(c, "payee.bank_account"), due,
                                                             number });
        else if (strcmp(currency, "EUR") == 0)
                rc = qr_put_epc(out, &(struct qr_epc){ doc_text(c, "payee.bic"),
                                                       doc_text(c, "payee.name"),
                                                       doc_text(c, "payee.iban"), due, reference });
        return rc == 0 ? 0 : -ENOENT;
}

bool sheet_has_payment_code(const struct sheet *s)
{
        struct buf code = BUF_INIT;
        bool has = payment_code(&code, s->d.content) == 0;

        buf_deinit(&code);
        return has;
}

int invoice_payment_code(struct buf *out, const char *content)
{
        json_error_t error;
        json_t *c = json_loads(content, 0, &error);
        int rc = json_is_object(c) ? payment_code(out, c) : -EINVAL;

        json_decref(c);
        return rc;
}

static void slip_row(struct sheet *s, double *y, const char *name, const char *value,
                     const struct page_font *font)
{
        if (!*value)
                return;
        page_text(s->page, SHEET_LEFT + 128, *y + 1, 92, START, &sheet_small, sheet_label(s, name));
        page_text(s->page, SHEET_LEFT + 222, *y, SHEET_WIDTH - 232, START, font, value);
        *y += 13.2;
}

/* DE89 3704 0044 ... */
static const char *grouped_iban(struct buf *out, const char *iban)
{
        buf_reset(out);
        for (size_t i = 0; iban[i]; i++) {
                if (i > 0 && i % 4 == 0)
                        buf_put_u8(out, ' ');
                buf_put_u8(out, (uint8_t)iban[i]);
        }
        return buf_cstr(out);
}

void draw_slip(struct sheet *s)
{
        const struct page_font title = { 9, true, s->accent };
        bool vietnam = strcmp(sheet_text(s, "currency"), "VND") == 0;
        struct buf code = BUF_INIT;
        double y;

        if (doc_int(s->d.content, "amount_due") <= 0 ||
            strcmp(sheet_text(s, "kind"), "invoice") != 0 || !*sheet_text(s, "payee.name"))
                return;
        if (s->y + SLIP_HEIGHT + 6 > SHEET_BOTTOM)
                sheet_next_page(s);
        y = SHEET_BOTTOM - SLIP_HEIGHT;
        page_round_box(s->page, SHEET_LEFT, y, SHEET_WIDTH, SLIP_HEIGHT, 5, s->tint);
        if (payment_code(&code, s->d.content) == 0 &&
            page_qr(s->page, SHEET_LEFT + 12, y + 6, 96, buf_cstr(&code)))
                page_text(s->page, SHEET_LEFT - 1, y + 104, 122, CENTER, &sheet_small,
                          sheet_label(s, "scan"));
        page_text(s->page, SHEET_LEFT + 128, y + 8, 250, START, &title, sheet_label(s, "payment"));
        y += 26;
        slip_row(s, &y, "payee", sheet_text(s, "payee.name"), &sheet_bold);
        slip_row(s, &y, "bank", sheet_text(s, "payee.bank_name"), &sheet_body);
        if (vietnam) {
                slip_row(s, &y, "bank_account", sheet_text(s, "payee.bank_account"), &sheet_body);
        } else {
                slip_row(s, &y, "iban", grouped_iban(&s->text, sheet_text(s, "payee.iban")),
                         &sheet_body);
                slip_row(s, &y, "bic", sheet_text(s, "payee.bic"), &sheet_body);
        }
        slip_row(s, &y, "reference", sheet_text(s, "number"), &sheet_bold);
        slip_row(s, &y, "amount", sheet_money(s, doc_int(s->d.content, "amount_due")), &sheet_bold);
        slip_row(s, &y, "due", doc_date(&s->d, &s->text, sheet_text(s, "due")), &sheet_body);
        buf_deinit(&code);
}
