/* Why the amount is what it is: the period before beside this one, and the difference by cause; and
 * what the company has to say. */

#include <stdio.h>
#include <string.h>

#include "sheet.h"

enum { COL_LAST = 150, COL_NOW = 235, COL_CAUSE = 270, WHY_ROW = 13 };

static const json_t *compare(const struct sheet *s, const char *path)
{
        return doc_get(doc_get(s->d.content, "compare"), path);
}

static void column_row(struct sheet *s, const char *name, const char *last, const char *now)
{
        page_begin(s->page, "TR");
        s->page->tag = "TD";
        page_text(s->page, SHEET_LEFT, s->y + 1, 80, START, &sheet_small, sheet_label(s, name));
        page_text(s->page, SHEET_LEFT + COL_LAST - 75, s->y, 75, END, &sheet_body, last);
        page_text(s->page, SHEET_LEFT + COL_NOW - 80, s->y, 80, END, &sheet_bold, now);
        s->page->tag = "P";
        page_end(s->page, "TR");
        s->y += WHY_ROW;
}

static void periods(struct sheet *s, const json_t *previous)
{
        struct buf last = BUF_INIT, now = BUF_INIT;

        page_begin(s->page, "Table");
        page_begin(s->page, "TR");
        s->page->tag = "TH";
        page_text(s->page, SHEET_LEFT + COL_LAST - 75, s->y, 75, END, &sheet_head,
                  sheet_label(s, "last_period"));
        page_text(s->page, SHEET_LEFT + COL_NOW - 80, s->y, 80, END, &sheet_head,
                  sheet_label(s, "this_period"));
        page_end(s->page, "TR");
        s->y += 12;
        doc_money(&s->d, &last, doc_int(previous, "total"));
        doc_money(&s->d, &now, doc_int(s->d.content, "total"));
        column_row(s, "amount", buf_cstr(&last), buf_cstr(&now));
        if (*doc_text(previous, "quantity") && *sheet_text(s, "quantity")) {
                doc_measure(&s->d, &last, doc_text(previous, "quantity"), 1, sheet_text(s, "unit"));
                doc_measure(&s->d, &now, sheet_text(s, "quantity"), 1, sheet_text(s, "unit"));
                column_row(s, "quantity", buf_cstr(&last), buf_cstr(&now));
        }
        doc_count(&s->d, &last, "days_count", doc_int(previous, "days"));
        doc_count(&s->d, &now, "days_count", doc_int(s->d.content, "period.days"));
        column_row(s, "period", buf_cstr(&last), buf_cstr(&now));
        page_end(s->page, "Table");
        buf_deinit(&last);
        buf_deinit(&now);
}

static void cause_row(struct sheet *s, double y, const char *name, int64_t amount, bool strong)
{
        struct page_font font = strong ? sheet_bold : sheet_body;
        double x = SHEET_LEFT + COL_CAUSE;
        char line[96];

        page_begin(s->page, "TR");
        s->page->tag = "TD";
        page_text(s->page, x, y, 150, START, &font, sheet_label(s, name));
        font.color = amount > 0 ? SHEET_UP : amount < 0 ? SHEET_DOWN : SHEET_INK;
        snprintf(line, sizeof line, "%s%s%s%s", s->d.rtl ? "\u2066" : "", amount > 0 ? "+" : "",
                 sheet_money(s, amount), s->d.rtl ? "\u2069" : "");
        page_text(s->page, x + 150, y, SHEET_WIDTH - COL_CAUSE - 150, END, &font, line);
        s->page->tag = "P";
        page_end(s->page, "TR");
}

static void causes(struct sheet *s, double y, const json_t *previous)
{
        page_begin(s->page, "Table");
        cause_row(s, y, "cause_days", doc_int(compare(s, "causes"), "days"), false);
        cause_row(s, y + WHY_ROW, "cause_use", doc_int(compare(s, "causes"), "use"), false);
        cause_row(s, y + 2 * WHY_ROW, "cause_price", doc_int(compare(s, "causes"), "price"), false);
        page_rule(s->page, SHEET_LEFT + COL_CAUSE, y + 3 * WHY_ROW - 1, SHEET_WIDTH - COL_CAUSE,
                  0.5, SHEET_LINE);
        cause_row(s, y + 3 * WHY_ROW, "change",
                  doc_int(s->d.content, "total") - doc_int(previous, "total"), true);
        page_end(s->page, "Table");
}

/* Use per day against a year ago, or against the period before while there is no such year. */
static void sentence(struct sheet *s)
{
        const json_t *year = compare(s, "year_percent"), *before = compare(s, "previous_percent");
        int64_t percent = json_integer_value(year ? year : before);
        char name[40];

        if (!year && !before)
                return;
        snprintf(name, sizeof name, "%s_%s",
                 percent > 0   ? "more_than"
                 : percent < 0 ? "less_than"
                               : "same_as",
                 year ? "year" : "previous");
        s->y += page_wrap(s->page, SHEET_LEFT, s->y, SHEET_WIDTH, 2, &sheet_body,
                          doc_count(&s->d, &s->text, name, percent < 0 ? -percent : percent));
}

void draw_why(struct sheet *s)
{
        const json_t *previous = compare(s, "previous");
        double top;

        if (sheet_is_credit_note(s) || !doc_get(s->d.content, "compare"))
                return;
        s->page->tag = "H2";
        s->y += page_text(s->page, SHEET_LEFT, s->y, SHEET_WIDTH, START, &sheet_bold,
                          sheet_label(s, "why")) +
                3;
        s->page->tag = "P";
        if (previous) {
                top = s->y;
                periods(s, previous);
                causes(s, top, previous);
                s->y = top + 4 * WHY_ROW + 4;
                sentence(s);
        } else {
                s->y += page_wrap(s->page, SHEET_LEFT, s->y, SHEET_WIDTH, 2, &sheet_body,
                                  sheet_label(s, "first_bill"));
        }
        s->y += 9;
}

/* ---- messages ---- */

struct values {
        struct sheet *s;
        struct buf *text;
};

static const char *message_value(void *arg, const char *name)
{
        struct values *v = arg;
        const struct doc *d = &v->s->d;

        if (strcmp(name, "name") == 0)
                return sheet_text(v->s, "customer.name");
        if (strcmp(name, "account") == 0)
                return sheet_text(v->s, "customer.account");
        if (strcmp(name, "number") == 0)
                return sheet_text(v->s, "number");
        if (strcmp(name, "amount") == 0)
                return doc_money(d, v->text, doc_int(d->content, "amount_due"));
        if (strcmp(name, "due") == 0)
                return doc_date(d, v->text, sheet_text(v->s, "due"));
        if (strcmp(name, "from") == 0)
                return doc_date(d, v->text, sheet_text(v->s, "period.from"));
        if (strcmp(name, "until") == 0)
                return doc_date(d, v->text, sheet_text(v->s, "period.until"));
        if (strcmp(name, "quantity") == 0)
                return doc_number(d, v->text, sheet_text(v->s, "quantity"), 1);
        if (strcmp(name, "unit") == 0)
                return sheet_text(v->s, "unit");
        if (strcmp(name, "days") == 0)
                return doc_count(d, v->text, "days_count", doc_int(d->content, "period.days"));
        return NULL;
}

void draw_messages(struct sheet *s)
{
        const json_t *messages = doc_get(s->d.content, "messages");
        struct buf value = BUF_INIT, filled = BUF_INIT;
        struct values values = { s, &value };

        if (json_array_size(messages) == 0)
                return;
        if (s->y + 16 + 26 * (double)json_array_size(messages) > SHEET_BOTTOM)
                sheet_next_page(s);
        s->y += 6;
        s->page->tag = "H2";
        s->y += page_text(s->page, SHEET_LEFT, s->y, SHEET_WIDTH, START, &sheet_bold,
                          sheet_label(s, "messages")) +
                2;
        s->page->tag = "P";
        for (size_t i = 0; i < json_array_size(messages); i++) {
                const char *body = json_string_value(json_array_get(messages, i));

                page_box(s->page, SHEET_LEFT, s->y + 2, 2, 8, s->accent);
                s->y += page_wrap(s->page, SHEET_LEFT + 8, s->y, SHEET_WIDTH - 8, 3, &sheet_body,
                                  doc_fill(&filled, body ? body : "", message_value, &values)) +
                        3;
        }
        buf_deinit(&value);
        buf_deinit(&filled);
}
