/* The bill's lines and what they come to. */

#include "decimal.h"
#include "sheet.h"

#include <stdio.h>
#include <string.h>

enum { COL_QUANTITY = 235, COL_PRICE = 335, COL_AMOUNT = 425 };

static void lines_head(struct sheet *s)
{
        page_box(s->page, SHEET_LEFT, s->y, SHEET_WIDTH, 16, s->tint);
        page_begin(s->page, "Table");
        page_begin(s->page, "TR");
        s->page->tag = "TH";
        page_text(s->page, SHEET_LEFT + 6, s->y + 3, 220, START, &sheet_head,
                  sheet_label(s, "description"));
        page_text(s->page, SHEET_LEFT + COL_QUANTITY, s->y + 3, 95, END, &sheet_head,
                  sheet_label(s, "quantity"));
        page_text(s->page, SHEET_LEFT + COL_PRICE, s->y + 3, 85, END, &sheet_head,
                  sheet_label(s, "price"));
        page_text(s->page, SHEET_LEFT + COL_AMOUNT, s->y + 3, SHEET_WIDTH - COL_AMOUNT - 6, END,
                  &sheet_head, sheet_label(s, "amount"));
        s->page->tag = "TD";
        page_end(s->page, "TR");
        s->y += 19;
}

static void lines_end(struct sheet *s)
{
        page_end(s->page, "Table");
        s->page->tag = "P";
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
                        buf_printf(out, " · %s %s", sheet_label(s, "tier"), token + 1);
                else if (*token)
                        buf_printf(out, " · %s", sheet_label(s, token));
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
        bool measured = *unit && strcmp(unit, doc_text(s->d.content, "currency")) != 0;

        doc_measure(&s->d, &quantity, doc_text(line, "quantity"), *unit ? 3 : s->d.minor_digits,
                    measured ? unit : "");
        if (measured) {
                buf_put_str(&rate, doc_number(&s->d, &s->text, price, -1));
        } else if (decimal_parse(price, &p) == 0 && decimal_mul(p, decimal_int(100), &p) == 0) {
                while (p.scale > 0 && p.m % 10 == 0) {
                        p.m /= 10;
                        p.scale--;
                }
                decimal_format(p, 0, percent);
                buf_printf(&rate, "%s%%", doc_number(&s->d, &s->text, percent, -1));
        }
        page_text(s->page, SHEET_LEFT + COL_QUANTITY, s->y, 95, END, &sheet_body,
                  buf_cstr(&quantity));
        page_text(s->page, SHEET_LEFT + COL_PRICE, s->y, 85, END, &sheet_body, buf_cstr(&rate));
        buf_deinit(&quantity);
        buf_deinit(&rate);
}

static void line_row(struct sheet *s, const json_t *line)
{
        struct buf description = BUF_INIT;
        int64_t sign = sheet_is_credit_note(s) ? -1 : 1;
        double h;

        put_description(s, &description, line);
        page_begin(s->page, "TR");
        h = page_wrap(s->page, SHEET_LEFT + 6, s->y, COL_QUANTITY - 8, 2, &sheet_body,
                      buf_cstr(&description));
        if (strcmp(doc_text(line, "kind"), "rounding") != 0)
                put_quantity_and_price(s, line);
        page_text(s->page, SHEET_LEFT + COL_AMOUNT, s->y, SHEET_WIDTH - COL_AMOUNT - 6, END,
                  &sheet_body, sheet_money(s, sign * doc_int(line, "amount")));
        page_end(s->page, "TR");
        s->y += h > SHEET_ROW ? h + 3 : SHEET_ROW;
        page_rule(s->page, SHEET_LEFT, s->y - 3, SHEET_WIDTH, 0.4, SHEET_LINE);
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
        snprintf(line, sizeof line, "%s %lld · %lld %s", sheet_label(s, "part"),
                 (long long)doc_int(p, "version"),
                 (long long)(doc_int(p, "to_day") - doc_int(p, "from_day")),
                 sheet_label(s, "days"));
        page_begin(s->page, "TR");
        page_text(s->page, SHEET_LEFT + 6, s->y, SHEET_WIDTH - 12, START, &sheet_bold, line);
        page_end(s->page, "TR");
        s->y += SHEET_ROW;
}

void draw_lines(struct sheet *s)
{
        const json_t *lines = doc_get(s->d.content, "lines");
        int64_t part = 0;

        lines_head(s);
        for (size_t i = 0; i < json_array_size(lines); i++) {
                const json_t *line = json_array_get(lines, i);

                if (s->y + 2 * SHEET_ROW > SHEET_BOTTOM) {
                        lines_end(s);
                        sheet_next_page(s);
                        lines_head(s);
                }
                if (doc_int(line, "part") != part)
                        part_row(s, part = doc_int(line, "part"));
                line_row(s, line);
        }
        lines_end(s);
}

static void total_row(struct sheet *s, const char *name, int64_t amount,
                      const struct page_font *font)
{
        page_text(s->page, SHEET_LEFT + 200, s->y, COL_AMOUNT - 210, END, font,
                  sheet_label(s, name));
        page_text(s->page, SHEET_LEFT + COL_AMOUNT - 40, s->y, SHEET_WIDTH - COL_AMOUNT + 34, END,
                  font, sheet_money(s, amount));
        s->y += font->size + 6.5;
}

void draw_totals(struct sheet *s)
{
        const struct page_font strong = { 11, true, s->accent };
        int64_t sign = sheet_is_credit_note(s) ? -1 : 1;
        int64_t credit = doc_int(s->d.content, "credit");

        if (s->y + 70 > SHEET_BOTTOM)
                sheet_next_page(s);
        s->y += 4;
        total_row(s, "net", sign * doc_int(s->d.content, "net"), &sheet_body);
        total_row(s, "tax", sign * doc_int(s->d.content, "tax"), &sheet_body);
        page_rule(s->page, SHEET_LEFT + 250, s->y - 2, SHEET_WIDTH - 250, 0.8, s->accent);
        s->y += 2;
        total_row(s, "total", sign * doc_int(s->d.content, "total"), &strong);
        if (credit > 0) {
                total_row(s, "credit", -credit, &sheet_body);
                total_row(s, "to_pay", doc_int(s->d.content, "amount_due"), &sheet_bold);
        }
        if (*sheet_text(s, "reason")) {
                page_text(s->page, SHEET_LEFT, s->y, 60, START, &sheet_small,
                          sheet_label(s, "reason"));
                s->y += page_wrap(s->page, SHEET_LEFT + 60, s->y - 1, SHEET_WIDTH - 60, 3,
                                  &sheet_body, sheet_text(s, "reason")) +
                        4;
        }
}
