#pragma once

/* A4 pages of a PDF in memory: text and boxes in points from the top left. With a right-to-left
 * template everything is mirrored: x counts from the right edge, START is the right side. */

#include <cairo-pdf.h>
#include <pango/pangocairo.h>
#include <stdbool.h>

#include "buf.h"

#define PAGE_WIDTH  595.28
#define PAGE_HEIGHT 841.89

enum page_align { START, END, CENTER };

struct page_font {
        double size;
        bool bold;
        const char *color; /* "#rrggbb" */
};

struct page {
        cairo_surface_t *surface; /* owned */
        cairo_t *cr;              /* owned */
        PangoLayout *layout;      /* owned, reused */
        const char *family;       /* borrowed */
        bool rtl;
        bool tagged;     /* reading order and roles for screen readers (PDF 1.7, 14.8) */
        const char *tag; /* role of the texts that follow: "P" at first, "H1", "TD" ... */
        struct buf *out; /* borrowed */
};

/* Writes to @out as pages are finished; the caller may take what is there at any time. @created is
 * RFC 3339 and the only time in the file, so that a reprint has the same bytes. page_style() before
 * the first text. 0 or -ENOMEM. */
int page_open(struct page *p, struct buf *out, bool tagged, const char *title, const char *author,
              const char *created);
/* Fonts and direction of what follows; again for each document of a file. @family is borrowed. */
void page_style(struct page *p, const char *family, bool rtl);
void page_next(struct page *p);
/* @language "vi" of the file, or NULL. 0 or -EIO. */
int page_close(struct page *p, const char *language);

/* Structure around texts: "Table", "TR". Closed on the page it was opened on. */
void page_begin(struct page *p, const char *role);
void page_end(struct page *p, const char *role);
/* One word across the page, pale, behind everything: copies and previews. */
void page_mark(struct page *p, const char *text);

void page_color(struct page *p, const char *color);
void page_box(struct page *p, double x, double y, double w, double h, const char *color);
void page_round_box(struct page *p, double x, double y, double w, double h, double r,
                    const char *color);
void page_rule(struct page *p, double x, double y, double w, double thickness, const char *color);
/* One line in a box of width @w, ellipsized if need be. Returns its height. */
double page_text(struct page *p, double x, double y, double w, enum page_align align,
                 const struct page_font *font, const char *text);
/* The same, wrapped to at most @lines lines. */
double page_wrap(struct page *p, double x, double y, double w, int lines,
                 const struct page_font *font, const char *text);
/* A QR code with its four modules of margin in a square of @size. False when @text is too long. */
bool page_qr(struct page *p, double x, double y, double size, const char *text);
