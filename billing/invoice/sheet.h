#pragma once

/* The sheet an invoice is drawn on, and the blocks a template puts on it: internal to the printing.
 */

#include "doc.h"
#include "page.h"

#define SHEET_INK  "#1f2933"
#define SHEET_GREY "#66727f"
#define SHEET_LINE "#d5dde3"
#define SHEET_UP   "#a4391f"
#define SHEET_DOWN "#1d7044"

enum { SHEET_LEFT = 42, SHEET_TOP = 40, SHEET_BOTTOM = 805, SHEET_ROW = 14 };
#define SHEET_WIDTH (PAGE_WIDTH - 2 * SHEET_LEFT)

struct sheet {
        struct doc d;
        struct page *page;         /* borrowed */
        double y;                  /* of the next block, points from the top */
        int number;                /* of the page, from 1 */
        const char *accent, *tint; /* borrowed from the template */
        const char *mark;          /* text across every page, or NULL; borrowed */
        struct buf text;           /* scratch of the formatters */
};

static const struct page_font sheet_small = { 7, false, SHEET_GREY };
static const struct page_font sheet_body = { 8.5, false, SHEET_INK };
static const struct page_font sheet_bold = { 8.5, true, SHEET_INK };
static const struct page_font sheet_head = { 7, true, SHEET_GREY };

/* The template's text, the contents' text by path, an amount: borrowed until the next call. */
const char *sheet_label(const struct sheet *s, const char *name);
const char *sheet_text(const struct sheet *s, const char *path);
const char *sheet_money(struct sheet *s, int64_t minor);
bool sheet_is_credit_note(const struct sheet *s);
/* Whether there is something to pay and an account to make a payment code of. */
bool sheet_has_payment_code(const struct sheet *s);

/* Ends the page with its footer and begins the next. */
void sheet_next_page(struct sheet *s);

/* Blocks: each draws at s->y and moves it. */
void draw_why(struct sheet *s);
void draw_charts(struct sheet *s);
void draw_meters(struct sheet *s);
void draw_lines(struct sheet *s);
void draw_totals(struct sheet *s);
void draw_messages(struct sheet *s);
void draw_slip(struct sheet *s);
