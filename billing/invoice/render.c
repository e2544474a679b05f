#include "render.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sheet.h"

struct invoice_printer {
        struct page page;
};

/* ---- what every block uses ---- */

const char *sheet_label(const struct sheet *s, const char *name)
{
        return doc_label(&s->d, name);
}

const char *sheet_text(const struct sheet *s, const char *path)
{
        return doc_text(s->d.content, path);
}

const char *sheet_money(struct sheet *s, int64_t minor)
{
        return doc_money(&s->d, &s->text, minor);
}

bool sheet_is_credit_note(const struct sheet *s)
{
        return strcmp(sheet_text(s, "kind"), "credit_note") == 0;
}

/* ---- head of the first page ---- */

static void footer(struct sheet *s)
{
        const char *phone = sheet_text(s, "payee.phone"), *email = sheet_text(s, "payee.email");
        char line[256];

        page_rule(s->page, SHEET_LEFT, 812, SHEET_WIDTH, 0.5, SHEET_LINE);
        /* Groups of a telephone number keep their order on a right-to-left page. */
        snprintf(line, sizeof line, "%s%s%s%s%s%s%s", sheet_text(s, "payee.name"),
                 *phone ? "  ·  " : "", s->d.rtl ? "\u2066" : "", phone, s->d.rtl ? "\u2069" : "",
                 *email ? "  ·  " : "", email);
        page_text(s->page, SHEET_LEFT, 817, SHEET_WIDTH - 130, START, &sheet_small, line);
        snprintf(line, sizeof line, "%s · %s %d", sheet_text(s, "number"), sheet_label(s, "page"),
                 s->number);
        page_text(s->page, SHEET_LEFT + SHEET_WIDTH - 130, 817, 130, END, &sheet_small, line);
}

void sheet_next_page(struct sheet *s)
{
        footer(s);
        page_next(s->page);
        s->number++;
        if (s->mark)
                page_mark(s->page, s->mark);
        page_box(s->page, 0, 0, PAGE_WIDTH, 6, s->accent);
        s->y = SHEET_TOP;
}

static void draw_head(struct sheet *s)
{
        const struct page_font name = { 13, true, s->accent }, title = { 21, true, s->accent };
        const char *payee = sheet_text(s, "payee.name");
        char line[160];
        double y;

        page_box(s->page, 0, 0, PAGE_WIDTH, 6, s->accent);
        y = SHEET_TOP + page_text(s->page, SHEET_LEFT, SHEET_TOP, 300, START, &name,
                                  *payee ? payee : sheet_text(s, "branch.name"));
        y += page_wrap(s->page, SHEET_LEFT, y + 2, 260, 2, &sheet_small,
                       sheet_text(s, "payee.address"));
        if (*sheet_text(s, "payee.tax_id")) {
                snprintf(line, sizeof line, "%s: %s", sheet_label(s, "tax_id"),
                         sheet_text(s, "payee.tax_id"));
                page_text(s->page, SHEET_LEFT, y + 3, 260, START, &sheet_small, line);
        }
        s->page->tag = "H1";
        page_text(s->page, SHEET_LEFT + 250, SHEET_TOP - 8, SHEET_WIDTH - 250, END, &title,
                  sheet_label(s, sheet_text(s, "kind")));
        s->page->tag = "P";
        page_text(s->page, SHEET_LEFT + 300, SHEET_TOP + 22, SHEET_WIDTH - 300, END, &sheet_bold,
                  sheet_text(s, "number"));
        page_text(s->page, SHEET_LEFT + 300, SHEET_TOP + 35, SHEET_WIDTH - 300, END, &sheet_body,
                  sheet_label(s, sheet_text(s, "premise.commodity")));
        s->y = SHEET_TOP + 58;
}

static void info_row(struct sheet *s, double y, const char *name, const char *value)
{
        page_text(s->page, SHEET_LEFT + 270, y, 75, START, &sheet_small, sheet_label(s, name));
        page_text(s->page, SHEET_LEFT + 348, y - 1.5, SHEET_WIDTH - 348, START, &sheet_body, value);
}

static void draw_customer(struct sheet *s)
{
        const struct page_font name = { 11, true, SHEET_INK };
        char place[256];
        double y = s->y;

        y += page_text(s->page, SHEET_LEFT, y, 265, START, &name, sheet_text(s, "customer.name")) +
             3;
        y += page_wrap(s->page, SHEET_LEFT, y, 265, 3, &sheet_body,
                       sheet_text(s, "premise.address"));
        snprintf(place, sizeof place, "%s%s%s", sheet_text(s, "premise.postcode"),
                 *sheet_text(s, "premise.postcode") ? " " : "", sheet_text(s, "premise.city"));
        y += page_text(s->page, SHEET_LEFT, y, 265, START, &sheet_body, place);
        if (*sheet_text(s, "customer.tax_id")) {
                snprintf(place, sizeof place, "%s: %s", sheet_label(s, "tax_id"),
                         sheet_text(s, "customer.tax_id"));
                page_text(s->page, SHEET_LEFT, y + 3, 265, START, &sheet_small, place);
        }
}

static void draw_info(struct sheet *s)
{
        struct buf until = BUF_INIT, period = BUF_INIT;
        const char *tariff = sheet_text(s, "contract.tariff_name");
        double y = s->y + 2;

        info_row(s, y, "account", sheet_text(s, "customer.account"));
        info_row(s, y += 13, "contract", sheet_text(s, "contract.number"));
        info_row(s, y += 13, "service_point", sheet_text(s, "premise.service_point"));
        info_row(s, y += 13, "tariff", *tariff ? tariff : sheet_text(s, "contract.tariff"));
        buf_printf(&period, "%s – %s", doc_date(&s->d, &s->text, sheet_text(s, "period.from")),
                   doc_date(&s->d, &until, sheet_text(s, "period.until")));
        buf_printf(&period, " (%lld %s)", (long long)doc_int(s->d.content, "period.days"),
                   sheet_label(s, "days"));
        info_row(s, y += 13, "period", buf_cstr(&period));
        info_row(s, y += 13, "issued", doc_date(&s->d, &s->text, sheet_text(s, "issued")));
        if (*sheet_text(s, "corrects"))
                info_row(s, y += 13, "corrects", sheet_text(s, "corrects"));
        buf_deinit(&until);
        buf_deinit(&period);
        s->y = y + 20;
}

static const char *number_value(void *arg, const char *name)
{
        return strcmp(name, "number") == 0 ? sheet_text(arg, "number") : NULL;
}

/* The three things a reader looks for: how much, until when, how. */
static void draw_due(struct sheet *s)
{
        const struct page_font amount = { 22, true, s->accent }, day = { 13, true, SHEET_INK };
        bool credit_note = sheet_is_credit_note(s);
        int64_t due = doc_int(s->d.content, "amount_due");
        bool how = sheet_has_payment_code(s) && doc_get(s->d.template, "text.pay_how");
        double h = how ? 66 : 52;

        page_round_box(s->page, SHEET_LEFT, s->y, SHEET_WIDTH, h, 5, s->tint);
        page_text(s->page, SHEET_LEFT + 16, s->y + 8, 260, START, &sheet_small,
                  sheet_label(s, credit_note ? "credit_note"
                                 : due > 0   ? "amount_due"
                                             : "nothing_due"));
        page_text(s->page, SHEET_LEFT + 16, s->y + 18, 320, START, &amount,
                  sheet_money(s, credit_note ? -doc_int(s->d.content, "total") : due));
        if (!credit_note && due > 0) {
                page_text(s->page, SHEET_LEFT + 340, s->y + 8, SHEET_WIDTH - 356, END, &sheet_small,
                          sheet_label(s, "due"));
                page_text(s->page, SHEET_LEFT + 340, s->y + 22, SHEET_WIDTH - 356, END, &day,
                          doc_date(&s->d, &s->text, sheet_text(s, "due")));
        }
        if (how)
                page_text(s->page, SHEET_LEFT + 16, s->y + 49, SHEET_WIDTH - 32, START, &sheet_body,
                          doc_fill(&s->text, sheet_label(s, "pay_how"), number_value, s));
        s->y += h + 9;
}

static void draw_addresses(struct sheet *s)
{
        draw_customer(s);
        draw_info(s);
}

/* ---- blocks in the template's order ---- */

static const struct {
        const char *name;
        void (*draw)(struct sheet *s);
} blocks[] = {
        { "customer", draw_addresses }, { "due", draw_due },           { "why", draw_why },
        { "charts", draw_charts },      { "meters", draw_meters },     { "lines", draw_lines },
        { "totals", draw_totals },      { "messages", draw_messages }, { "slip", draw_slip },
};

static void draw_block(struct sheet *s, const char *name)
{
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
                if (name && strcmp(blocks[i].name, name) == 0)
                        blocks[i].draw(s);
}

static void draw(struct sheet *s)
{
        const json_t *order = doc_get(s->d.template, "blocks");

        draw_head(s);
        /* Templates from before blocks could be chosen. */
        for (size_t i = 0; !order && i < sizeof blocks / sizeof *blocks; i++)
                blocks[i].draw(s);
        for (size_t i = 0; i < json_array_size(order); i++)
                draw_block(s, json_string_value(json_array_get(order, i)));
        footer(s);
}

static void sheet_begin(struct sheet *s, struct page *page)
{
        s->page = page;
        s->number = 1;
        s->accent = doc_text(s->d.template, "accent");
        s->tint = doc_text(s->d.template, "tint");
        page_style(page, doc_text(s->d.template, "font"),
                   json_is_true(doc_get(s->d.template, "rtl")));
}

/* ---- one file ---- */

int invoice_render(struct buf *out, const char *content, const char *template, const char *mark)
{
        struct sheet s = { 0 };
        struct page page;
        char title[160];
        int rc = doc_open(&s.d, content, template);

        if (rc < 0)
                return rc;
        snprintf(title, sizeof title, "%s %s", sheet_label(&s, sheet_text(&s, "kind")),
                 sheet_text(&s, "number"));
        rc = page_open(&page, out, true, title, sheet_text(&s, "payee.name"),
                       sheet_text(&s, "issued_at"));
        if (rc == 0) {
                sheet_begin(&s, &page);
                s.mark = mark ? sheet_label(&s, mark) : NULL;
                if (s.mark)
                        page_mark(&page, s.mark);
                draw(&s);
                page_next(&page);
                rc = page_close(&page, doc_text(s.d.template, "language"));
        }
        if (rc == 0 && (out->failed || s.text.failed))
                rc = -ENOMEM;
        buf_deinit(&s.text);
        doc_close(&s.d);
        return rc;
}

/* ---- many in a file ---- */

int invoice_printer_open(struct invoice_printer **ret, struct buf *out, const char *title,
                         const char *created)
{
        struct invoice_printer *p = calloc(1, sizeof *p);
        int rc = p ? page_open(&p->page, out, false, title, "", created) : -ENOMEM;

        if (rc < 0) {
                invoice_printer_close(p);
                return rc;
        }
        *ret = p;
        return 0;
}

int invoice_printer_add(struct invoice_printer *p, const char *content, const char *template,
                        int *ret_pages)
{
        struct sheet s = { 0 };
        int rc = doc_open(&s.d, content, template);

        if (rc < 0)
                return rc;
        sheet_begin(&s, &p->page);
        draw(&s);
        page_next(&p->page);
        *ret_pages = s.number;
        rc = s.text.failed || p->page.out->failed ? -ENOMEM : 0;
        buf_deinit(&s.text);
        doc_close(&s.d);
        return rc;
}

int invoice_printer_close(struct invoice_printer *p)
{
        int rc = p ? page_close(&p->page, NULL) : 0;

        free(p);
        return rc;
}
