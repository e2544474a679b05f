#include "render.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "decimal.h"
#include "doc.h"
#include "page.h"
#include "qr.h"

#define INK  "#1f2933"
#define GREY "#66727f"
#define LINE "#d5dde3"

enum { LEFT = 42, TOP = 40, BOTTOM = 800, SLIP_HEIGHT = 132, ROW = 15 };
static const double width = PAGE_WIDTH - 2 * LEFT;

struct sheet {
        struct doc d;
        struct page page;
        double y;
        int number;
        const char *accent, *tint;
        struct buf text; /* scratch of the formatters */
};

static const struct page_font font_small = { 7, false, GREY };
static const struct page_font font_body = { 8.5, false, INK };
static const struct page_font font_bold = { 8.5, true, INK };
static const struct page_font font_head = { 7, true, GREY };

/* ---- payment code ---- */

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

int invoice_payment_code(struct buf *out, const char *content)
{
        json_error_t error;
        json_t *c = json_loads(content, 0, &error);
        int rc = json_is_object(c) ? payment_code(out, c) : -EINVAL;

        json_decref(c);
        return rc;
}

/* ---- head of the first page ---- */

static const char *label(const struct sheet *s, const char *name)
{
        return doc_label(&s->d, name);
}

static const char *text(const struct sheet *s, const char *path)
{
        return doc_text(s->d.content, path);
}

static const char *money(struct sheet *s, int64_t minor)
{
        return doc_money(&s->d, &s->text, minor);
}

static void footer(struct sheet *s)
{
        char line[256];

        page_rule(&s->page, LEFT, 812, width, 0.5, LINE);
        snprintf(line, sizeof line, "%s%s%s%s%s", text(s, "payee.name"),
                 *text(s, "payee.phone") ? "  ·  " : "", text(s, "payee.phone"),
                 *text(s, "payee.email") ? "  ·  " : "", text(s, "payee.email"));
        page_text(&s->page, LEFT, 817, width - 130, START, &font_small, line);
        snprintf(line, sizeof line, "%s · %s %d", text(s, "number"), label(s, "page"), s->number);
        page_text(&s->page, LEFT + width - 130, 817, 130, END, &font_small, line);
}

static void next_page(struct sheet *s)
{
        footer(s);
        page_next(&s->page);
        s->number++;
        page_box(&s->page, 0, 0, PAGE_WIDTH, 6, s->accent);
        s->y = TOP;
}

static void draw_head(struct sheet *s)
{
        const struct page_font name = { 13, true, s->accent }, title = { 21, true, s->accent };
        const char *payee = text(s, "payee.name");
        char line[160];
        double y;

        page_box(&s->page, 0, 0, PAGE_WIDTH, 6, s->accent);
        y = TOP + page_text(&s->page, LEFT, TOP, 300, START, &name,
                            *payee ? payee : text(s, "branch.name"));
        y += page_wrap(&s->page, LEFT, y + 2, 260, 2, &font_small, text(s, "payee.address"));
        if (*text(s, "payee.tax_id")) {
                snprintf(line, sizeof line, "%s: %s", label(s, "tax_id"), text(s, "payee.tax_id"));
                page_text(&s->page, LEFT, y + 3, 260, START, &font_small, line);
        }
        page_text(&s->page, LEFT + 250, TOP - 8, width - 250, END, &title,
                  label(s, text(s, "kind")));
        page_text(&s->page, LEFT + 300, TOP + 22, width - 300, END, &font_bold, text(s, "number"));
        page_text(&s->page, LEFT + 300, TOP + 35, width - 300, END, &font_body,
                  label(s, text(s, "premise.commodity")));
        s->y = TOP + 68;
}

static void info_row(struct sheet *s, double y, const char *name, const char *value)
{
        page_text(&s->page, LEFT + 270, y, 75, START, &font_small, label(s, name));
        page_text(&s->page, LEFT + 348, y - 1.5, width - 348, START, &font_body, value);
}

static void draw_customer(struct sheet *s)
{
        const struct page_font name = { 11, true, INK };
        char place[256];
        double y = s->y;

        y += page_text(&s->page, LEFT, y, 265, START, &name, text(s, "customer.name")) + 3;
        y += page_wrap(&s->page, LEFT, y, 265, 3, &font_body, text(s, "premise.address"));
        snprintf(place, sizeof place, "%s%s%s", text(s, "premise.postcode"),
                 *text(s, "premise.postcode") ? " " : "", text(s, "premise.city"));
        y += page_text(&s->page, LEFT, y, 265, START, &font_body, place);
        if (*text(s, "customer.tax_id")) {
                snprintf(place, sizeof place, "%s: %s", label(s, "tax_id"),
                         text(s, "customer.tax_id"));
                page_text(&s->page, LEFT, y + 3, 265, START, &font_small, place);
        }
}

static void draw_info(struct sheet *s)
{
        struct buf until = BUF_INIT, period = BUF_INIT;
        const char *tariff = text(s, "contract.tariff_name");
        double y = s->y + 2;

        info_row(s, y, "account", text(s, "customer.account"));
        info_row(s, y += 13, "contract", text(s, "contract.number"));
        info_row(s, y += 13, "service_point", text(s, "premise.service_point"));
        info_row(s, y += 13, "tariff", *tariff ? tariff : text(s, "contract.tariff"));
        buf_printf(&period, "%s – %s", doc_date(&s->d, &s->text, text(s, "period.from")),
                   doc_date(&s->d, &until, text(s, "period.until")));
        buf_printf(&period, " (%lld %s)", (long long)doc_int(s->d.content, "period.days"),
                   label(s, "days"));
        info_row(s, y += 13, "period", buf_cstr(&period));
        info_row(s, y += 13, "issued", doc_date(&s->d, &s->text, text(s, "issued")));
        if (*text(s, "corrects"))
                info_row(s, y += 13, "corrects", text(s, "corrects"));
        buf_deinit(&until);
        buf_deinit(&period);
        s->y = y + 26;
}

static void draw_due(struct sheet *s)
{
        const struct page_font amount = { 22, true, s->accent }, day = { 13, true, INK };
        bool credit_note = strcmp(text(s, "kind"), "credit_note") == 0;
        int64_t due = doc_int(s->d.content, "amount_due");

        page_round_box(&s->page, LEFT, s->y, width, 56, 5, s->tint);
        page_text(&s->page, LEFT + 16, s->y + 9, 260, START, &font_small,
                  label(s, credit_note ? "credit_note" : "amount_due"));
        page_text(&s->page, LEFT + 16, s->y + 20, 320, START, &amount,
                  money(s, credit_note ? -doc_int(s->d.content, "total") : due));
        if (!credit_note && due > 0) {
                page_text(&s->page, LEFT + 340, s->y + 9, width - 356, END, &font_small,
                          label(s, "due"));
                page_text(&s->page, LEFT + 340, s->y + 24, width - 356, END, &day,
                          doc_date(&s->d, &s->text, text(s, "due")));
        }
        s->y += 68;
}

/* ---- use ---- */

static const char *month_label(const struct doc *d, const json_t *values, size_t i, struct buf *out)
{
        const char *from = doc_text(json_array_get(values, i), "from");
        int y = 0, m = 0;
        const char *name;

        if (sscanf(from, "%d-%d", &y, &m) != 2)
                return "";
        name = json_string_value(json_array_get(doc_get(d->template, "months"), (size_t)m - 1));
        buf_reset(out);
        buf_put_str(out, name ? name : "");
        return buf_cstr(out);
}

/* Day of the month under the first and every fifth bar. */
static const char *day_label(const struct doc *d, const json_t *values, size_t i, struct buf *out)
{
        int y = 0, m = 0, day = 0;

        (void)values;
        if (sscanf(doc_text(d->content, "period.from"), "%d-%d-%d", &y, &m, &day) != 3 ||
            (i > 0 && (i + 1) % 5 != 0))
                return "";
        buf_reset(out);
        if (day == 1)
                buf_printf(out, "%zu", i + 1);
        else if (i == 0)
                buf_printf(out, "%d", day);
        return buf_cstr(out);
}

static void draw_charts(struct sheet *s)
{
        const json_t *history = doc_get(s->d.content, "history"),
                     *daily = doc_get(s->d.content, "daily");
        struct chart c = { .x = LEFT,
                           .y = s->y,
                           .w = width / 2 - 12,
                           .h = 94,
                           .title = label(s, "history"),
                           .unit = text(s, "unit"),
                           .values = history,
                           .highlight_last = true,
                           .label = month_label };

        if (json_array_size(daily) == 0)
                return;
        if (json_array_size(history) > 0)
                chart_draw(&s->page, &s->d, &c);
        c.x = LEFT + width / 2 + 12;
        c.title = label(s, "daily");
        c.values = daily;
        c.highlight_last = false;
        c.label = day_label;
        chart_draw(&s->page, &s->d, &c);
        s->y += 106;
}

static void meter_row(struct sheet *s, const json_t *m)
{
        struct buf line = BUF_INIT;
        const char *start = doc_text(m, "start"), *end = doc_text(m, "end");

        page_text(&s->page, LEFT, s->y, 120, START, &font_body, doc_text(m, "serial"));
        page_text(&s->page, LEFT + 125, s->y, 75, START, &font_body,
                  doc_date(&s->d, &s->text, doc_text(m, "from")));
        page_text(&s->page, LEFT + 200, s->y, 75, START, &font_body,
                  doc_date(&s->d, &s->text, doc_text(m, "until")));
        if (*start && *end) {
                buf_put_str(&line, doc_number(&s->d, &s->text, start, 3));
                buf_printf(&line, " – %s", doc_number(&s->d, &s->text, end, 3));
        }
        page_text(&s->page, LEFT + 275, s->y, 120, START, &font_body, buf_cstr(&line));
        page_text(&s->page, LEFT + 400, s->y, 40, END, &font_body,
                  doc_number(&s->d, &s->text, doc_text(m, "multiplier"), -1));
        page_text(&s->page, LEFT + 440, s->y, width - 440, END, &font_small,
                  label(s, doc_text(m, "status")));
        s->y += 13;
        buf_deinit(&line);
}

static void draw_meters(struct sheet *s)
{
        const json_t *meters = doc_get(s->d.content, "meters");

        if (json_array_size(meters) == 0)
                return;
        page_text(&s->page, LEFT, s->y, 120, START, &font_head, label(s, "meter"));
        page_text(&s->page, LEFT + 125, s->y, 75, START, &font_head, label(s, "from"));
        page_text(&s->page, LEFT + 200, s->y, 75, START, &font_head, label(s, "until"));
        page_text(&s->page, LEFT + 275, s->y, 120, START, &font_head, label(s, "reading"));
        page_text(&s->page, LEFT + 400, s->y, 40, END, &font_head, label(s, "multiplier"));
        s->y += 12;
        page_rule(&s->page, LEFT, s->y, width, 0.5, LINE);
        s->y += 3;
        for (size_t i = 0; i < json_array_size(meters); i++) {
                if (s->y > BOTTOM - 20)
                        next_page(s);
                meter_row(s, json_array_get(meters, i));
        }
        s->y += 10;
}

/* ---- lines ---- */

enum { COL_QUANTITY = 235, COL_PRICE = 335, COL_AMOUNT = 425 };

static void lines_head(struct sheet *s)
{
        page_box(&s->page, LEFT, s->y, width, 16, s->tint);
        page_text(&s->page, LEFT + 6, s->y + 3, 220, START, &font_head, label(s, "description"));
        page_text(&s->page, LEFT + COL_QUANTITY, s->y + 3, 95, END, &font_head,
                  label(s, "quantity"));
        page_text(&s->page, LEFT + COL_PRICE, s->y + 3, 85, END, &font_head, label(s, "price"));
        page_text(&s->page, LEFT + COL_AMOUNT, s->y + 3, width - COL_AMOUNT - 6, END, &font_head,
                  label(s, "amount"));
        s->y += 19;
}

/* "Energy · tier 2 · peak": the component's text and what its code adds. */
static void put_description(struct sheet *s, struct buf *out, const json_t *line)
{
        const char *code = doc_text(line, "code"), *component = doc_text(line, "component");
        size_t n = strlen(component);
        char token[48];

        buf_put_str(out, doc_text(line, "label"));
        if (strncmp(code, component, n) != 0)
                return;
        for (code += n; *code; code += strlen(token)) {
                code += strspn(code, "_:");
                snprintf(token, sizeof token, "%.*s", (int)strcspn(code, "_:"), code);
                if (token[0] == 't' && token[1] &&
                    strspn(token + 1, "0123456789") == strlen(token + 1))
                        buf_printf(out, " · %s %s", label(s, "tier"), token + 1);
                else if (*token)
                        buf_printf(out, " · %s", label(s, token));
                if (!*token)
                        break;
        }
}

/* A percentage stands as a factor on an amount of money, which has no unit. */
static void put_quantity_and_price(struct sheet *s, const json_t *line)
{
        const char *unit = doc_text(line, "unit"), *price = doc_text(line, "price");
        struct buf quantity = BUF_INIT, rate = BUF_INIT;
        struct decimal p;
        char percent[DECIMAL_TEXT_SIZE];

        buf_put_str(&quantity, doc_number(&s->d, &s->text, doc_text(line, "quantity"),
                                          *unit ? 3 : s->d.minor_digits));
        if (*unit && strcmp(unit, doc_text(s->d.content, "currency")) != 0) {
                buf_printf(&quantity, " %s", strcmp(unit, "m3") == 0 ? "m³" : unit);
                buf_put_str(&rate, doc_number(&s->d, &s->text, price, -1));
        } else if (decimal_parse(price, &p) == 0 && decimal_mul(p, decimal_int(100), &p) == 0) {
                while (p.scale > 0 && p.m % 10 == 0) {
                        p.m /= 10;
                        p.scale--;
                }
                decimal_format(p, 0, percent);
                buf_printf(&rate, "%s%%", doc_number(&s->d, &s->text, percent, -1));
        }
        page_text(&s->page, LEFT + COL_QUANTITY, s->y, 95, END, &font_body, buf_cstr(&quantity));
        page_text(&s->page, LEFT + COL_PRICE, s->y, 85, END, &font_body, buf_cstr(&rate));
        buf_deinit(&quantity);
        buf_deinit(&rate);
}

static void line_row(struct sheet *s, const json_t *line)
{
        struct buf description = BUF_INIT;
        int64_t sign = strcmp(text(s, "kind"), "credit_note") == 0 ? -1 : 1;
        double h;

        put_description(s, &description, line);
        h = page_wrap(&s->page, LEFT + 6, s->y, COL_QUANTITY - 8, 2, &font_body,
                      buf_cstr(&description));
        if (strcmp(doc_text(line, "kind"), "rounding") != 0)
                put_quantity_and_price(s, line);
        page_text(&s->page, LEFT + COL_AMOUNT, s->y, width - COL_AMOUNT - 6, END, &font_body,
                  money(s, sign * doc_int(line, "amount")));
        s->y += h > ROW ? h + 3 : ROW;
        page_rule(&s->page, LEFT, s->y - 3, width, 0.4, LINE);
        buf_deinit(&description);
}

/* Before the first line of a part when a tariff version changed inside the period. */
static void part_row(struct sheet *s, int64_t part)
{
        const json_t *parts = doc_get(s->d.content, "parts"),
                     *p = json_array_get(parts, (size_t)part - 1);
        char line[160];

        if (json_array_size(parts) < 2 || !p)
                return;
        snprintf(line, sizeof line, "%s %lld · %lld %s", label(s, "part"),
                 (long long)doc_int(p, "version"),
                 (long long)(doc_int(p, "to_day") - doc_int(p, "from_day")), label(s, "days"));
        page_text(&s->page, LEFT + 6, s->y, width - 12, START, &font_bold, line);
        s->y += ROW;
}

static void draw_lines(struct sheet *s)
{
        const json_t *lines = doc_get(s->d.content, "lines");
        int64_t part = 0;

        lines_head(s);
        for (size_t i = 0; i < json_array_size(lines); i++) {
                const json_t *line = json_array_get(lines, i);

                if (s->y + 2 * ROW > BOTTOM) {
                        next_page(s);
                        lines_head(s);
                }
                if (doc_int(line, "part") != part)
                        part_row(s, part = doc_int(line, "part"));
                line_row(s, line);
        }
}

static void total_row(struct sheet *s, const char *name, int64_t amount,
                      const struct page_font *font)
{
        page_text(&s->page, LEFT + 200, s->y, COL_AMOUNT - 210, END, font, label(s, name));
        page_text(&s->page, LEFT + COL_AMOUNT - 40, s->y, width - COL_AMOUNT + 34, END, font,
                  money(s, amount));
        s->y += font->size + 6.5;
}

static void draw_totals(struct sheet *s)
{
        const struct page_font strong = { 11, true, s->accent };
        int64_t sign = strcmp(text(s, "kind"), "credit_note") == 0 ? -1 : 1;
        int64_t credit = doc_int(s->d.content, "credit");

        if (s->y + 70 > BOTTOM)
                next_page(s);
        s->y += 4;
        total_row(s, "net", sign * doc_int(s->d.content, "net"), &font_body);
        total_row(s, "tax", sign * doc_int(s->d.content, "tax"), &font_body);
        page_rule(&s->page, LEFT + 250, s->y - 2, width - 250, 0.8, s->accent);
        s->y += 2;
        total_row(s, "total", sign * doc_int(s->d.content, "total"), &strong);
        if (credit > 0) {
                total_row(s, "credit", -credit, &font_body);
                total_row(s, "to_pay", doc_int(s->d.content, "amount_due"), &font_bold);
        }
        if (*text(s, "reason")) {
                page_text(&s->page, LEFT, s->y, 60, START, &font_small, label(s, "reason"));
                s->y += page_wrap(&s->page, LEFT + 60, s->y - 1, width - 60, 3, &font_body,
                                  text(s, "reason")) +
                        4;
        }
}

/* ---- payment slip ---- */

static void slip_row(struct sheet *s, double *y, const char *name, const char *value,
                     const struct page_font *font)
{
        if (!*value)
                return;
        page_text(&s->page, LEFT + 128, *y + 1, 92, START, &font_small, label(s, name));
        page_text(&s->page, LEFT + 222, *y, width - 232, START, font, value);
        *y += 14.5;
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

static void draw_slip(struct sheet *s)
{
        const struct page_font title = { 9, true, s->accent };
        bool vietnam = strcmp(text(s, "currency"), "VND") == 0;
        struct buf code = BUF_INIT;
        double y;

        if (doc_int(s->d.content, "amount_due") <= 0 || strcmp(text(s, "kind"), "invoice") != 0 ||
            !*text(s, "payee.name"))
                return;
        if (s->y + SLIP_HEIGHT + 14 > BOTTOM)
                next_page(s);
        y = BOTTOM - SLIP_HEIGHT;
        page_round_box(&s->page, LEFT, y, width, SLIP_HEIGHT, 5, s->tint);
        if (payment_code(&code, s->d.content) == 0 &&
            page_qr(&s->page, LEFT + 12, y + 8, 102, buf_cstr(&code)))
                page_text(&s->page, LEFT + 4, y + 114, 118, CENTER, &font_small, label(s, "scan"));
        page_text(&s->page, LEFT + 128, y + 9, 250, START, &title, label(s, "payment"));
        y += 29;
        slip_row(s, &y, "payee", text(s, "payee.name"), &font_bold);
        slip_row(s, &y, "bank", text(s, "payee.bank_name"), &font_body);
        if (vietnam) {
                slip_row(s, &y, "bank_account", text(s, "payee.bank_account"), &font_body);
        } else {
                slip_row(s, &y, "iban", grouped_iban(&s->text, text(s, "payee.iban")), &font_body);
                slip_row(s, &y, "bic", text(s, "payee.bic"), &font_body);
        }
        slip_row(s, &y, "reference", text(s, "number"), &font_bold);
        slip_row(s, &y, "amount", money(s, doc_int(s->d.content, "amount_due")), &font_bold);
        slip_row(s, &y, "due", doc_date(&s->d, &s->text, text(s, "due")), &font_body);
        buf_deinit(&code);
}

int invoice_render(struct buf *out, const char *content, const char *template)
{
        struct sheet s = { .number = 1 };
        char title[96];
        int rc = doc_open(&s.d, content, template);

        if (rc < 0)
                return rc;
        s.accent = doc_text(s.d.template, "accent");
        s.tint = doc_text(s.d.template, "tint");
        snprintf(title, sizeof title, "%s %s", label(&s, text(&s, "kind")), text(&s, "number"));
        rc = page_open(&s.page, out, doc_text(s.d.template, "font"),
                       json_is_true(doc_get(s.d.template, "rtl")), title, text(&s, "payee.name"),
                       text(&s, "issued_at"));
        if (rc == 0) {
                draw_head(&s);
                draw_customer(&s);
                draw_info(&s);
                draw_due(&s);
                draw_charts(&s);
                draw_meters(&s);
                draw_lines(&s);
                draw_totals(&s);
                draw_slip(&s);
                footer(&s);
                rc = page_close(&s.page);
        }
        if (rc == 0 && (out->failed || s.text.failed))
                rc = -ENOMEM;
        buf_deinit(&s.text);
        doc_close(&s.d);
        return rc;
}
