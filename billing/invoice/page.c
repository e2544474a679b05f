#include "page.h"

#include <errno.h>
#include <math.h>
#include <qrencode.h>
#include <stdlib.h>
#include <string.h>

static cairo_status_t write_out(void *arg, const unsigned char *data, unsigned n)
{
        struct buf *out = arg;

        buf_put(out, data, n);
        return out->failed ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

void page_style(struct page *p, const char *family, bool rtl)
{
        PangoContext *context = pango_layout_get_context(p->layout);
        cairo_font_options_t *options = cairo_font_options_create();

        p->family = family;
        p->rtl = rtl;
        /* Outlines only: nothing of the screen's hinting goes into the file. */
        cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
        cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
        cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
        pango_cairo_context_set_font_options(context, options);
        cairo_font_options_destroy(options);
        pango_cairo_context_set_resolution(context, 72);
        pango_context_set_base_dir(context, rtl ? PANGO_DIRECTION_RTL : PANGO_DIRECTION_LTR);
        pango_layout_context_changed(p->layout);
        /* Direction is the page's: a Latin name on an Arabic page stays on its own side. */
        pango_layout_set_auto_dir(p->layout, FALSE);
}

int page_open(struct page *p, struct buf *out, bool tagged, const char *title, const char *author,
              const char *created)
{
        *p = (struct page){ .tagged = tagged, .tag = "P", .out = out };
        p->surface = cairo_pdf_surface_create_for_stream(write_out, out, PAGE_WIDTH, PAGE_HEIGHT);
        cairo_pdf_surface_restrict_to_version(p->surface, CAIRO_PDF_VERSION_1_5);
        cairo_pdf_surface_set_metadata(p->surface, CAIRO_PDF_METADATA_TITLE, title);
        cairo_pdf_surface_set_metadata(p->surface, CAIRO_PDF_METADATA_AUTHOR, author);
        cairo_pdf_surface_set_metadata(p->surface, CAIRO_PDF_METADATA_CREATOR, "Headrace");
        cairo_pdf_surface_set_metadata(p->surface, CAIRO_PDF_METADATA_CREATE_DATE, created);
        cairo_pdf_surface_set_metadata(p->surface, CAIRO_PDF_METADATA_MOD_DATE, created);
        p->cr = cairo_create(p->surface);
        p->layout = pango_cairo_create_layout(p->cr);
        return !p->layout || cairo_status(p->cr) != CAIRO_STATUS_SUCCESS ? -ENOMEM : 0;
}

void page_begin(struct page *p, const char *role)
{
        if (p->tagged)
                cairo_tag_begin(p->cr, role, NULL);
}

void page_end(struct page *p, const char *role)
{
        if (p->tagged)
                cairo_tag_end(p->cr, role);
}

/* Last place of @what in @out, or NULL. */
static uint8_t *last_of(const struct buf *out, const char *what)
{
        size_t n = strlen(what);

        for (size_t i = out->len; i >= n; i--)
                if (memcmp(out->p + i - n, what, n) == 0)
                        return out->p + i - n;
        return NULL;
}

/* The document's language and that its title is shown: members of the catalogue (PDF 1.7, 7.7.2)
 * that cairo does not write. The catalogue is its last object, so that only the place of the table
 * behind it changes. */
static void put_language(struct buf *out, const char *language, bool tagged)
{
        static const char catalog[] = "/Type /Catalog", start[] = "startxref\n";
        uint8_t *at = last_of(out, catalog), *table = last_of(out, start);
        struct buf tail = BUF_INIT;
        char extra[128];
        int n;

        if (!at || !table || table < at || strlen(language) != 2)
                return;
        n = snprintf(
                extra, sizeof extra,
                "\n   /Lang (%s)\n   /ViewerPreferences << /DisplayDocTitle true >>%s", language,
                tagged && !last_of(out, "/MarkInfo") ? "\n   /MarkInfo << /Marked true >>" : "");
        at += strlen(catalog);
        buf_printf(&tail, "%s%.*s%s%lu\n%%%%EOF\n", extra, (int)(table - at), (const char *)at,
                   start,
                   strtoul((const char *)table + strlen(start), NULL, 10) + (unsigned long)n);
        out->len = (size_t)(at - out->p);
        buf_put(out, tail.p, tail.len);
        if (tail.failed)
                out->failed = true;
        buf_deinit(&tail);
}

void page_next(struct page *p)
{
        cairo_show_page(p->cr);
}

int page_close(struct page *p, const char *language)
{
        cairo_status_t status;

        g_clear_object(&p->layout);
        status = cairo_status(p->cr);
        cairo_destroy(p->cr);
        cairo_surface_finish(p->surface);
        if (status == CAIRO_STATUS_SUCCESS)
                status = cairo_surface_status(p->surface);
        cairo_surface_destroy(p->surface);
        if (language && !p->out->failed && p->out->len)
                put_language(p->out, language, p->tagged);
        return status == CAIRO_STATUS_SUCCESS ? 0 : -EIO;
}

void page_color(struct page *p, const char *color)
{
        unsigned long v = *color == '#' ? strtoul(color + 1, NULL, 16) : 0;

        cairo_set_source_rgb(p->cr, (double)(v >> 16 & 255) / 255, (double)(v >> 8 & 255) / 255,
                             (double)(v & 255) / 255);
}

static double left_of(const struct page *p, double x, double w)
{
        return p->rtl ? PAGE_WIDTH - x - w : x;
}

void page_box(struct page *p, double x, double y, double w, double h, const char *color)
{
        page_color(p, color);
        cairo_rectangle(p->cr, left_of(p, x, w), y, w, h);
        cairo_fill(p->cr);
}

void page_round_box(struct page *p, double x, double y, double w, double h, double r,
                    const char *color)
{
        double l = left_of(p, x, w);

        page_color(p, color);
        cairo_new_sub_path(p->cr);
        cairo_arc(p->cr, l + w - r, y + r, r, -M_PI / 2, 0);
        cairo_arc(p->cr, l + w - r, y + h - r, r, 0, M_PI / 2);
        cairo_arc(p->cr, l + r, y + h - r, r, M_PI / 2, M_PI);
        cairo_arc(p->cr, l + r, y + r, r, M_PI, 3 * M_PI / 2);
        cairo_close_path(p->cr);
        cairo_fill(p->cr);
}

void page_rule(struct page *p, double x, double y, double w, double thickness, const char *color)
{
        page_box(p, x, y, w, thickness, color);
}

/* Fonts of one line differ in height (Arabic beside Latin): lines sit on a common baseline, at the
 * place it has in the main font. */
#define ASCENT      1.069
#define LINE_HEIGHT 1.362

static double top_of(struct page *p, double y, const struct page_font *font)
{
        return y + ASCENT * font->size - (double)pango_layout_get_baseline(p->layout) / PANGO_SCALE;
}

static void set_font(struct page *p, const struct page_font *font)
{
        PangoFontDescription *d = pango_font_description_from_string(p->family);

        pango_font_description_set_size(d, (int)(font->size * PANGO_SCALE));
        pango_font_description_set_weight(d, font->bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
        pango_layout_set_font_description(p->layout, d);
        pango_font_description_free(d);
}

static void show(struct page *p)
{
        page_begin(p, p->tag);
        pango_cairo_show_layout(p->cr, p->layout);
        page_end(p, p->tag);
}

void page_mark(struct page *p, const char *text)
{
        const struct page_font font = { 96, true, "#e9edf0" };
        PangoRectangle logical;

        set_font(p, &font);
        pango_layout_set_text(p->layout, text, -1);
        pango_layout_set_width(p->layout, -1);
        pango_layout_get_extents(p->layout, NULL, &logical);
        cairo_save(p->cr);
        page_color(p, font.color);
        cairo_translate(p->cr, PAGE_WIDTH / 2, PAGE_HEIGHT / 2);
        cairo_rotate(p->cr, -M_PI / 5);
        cairo_move_to(p->cr, -(double)logical.width / PANGO_SCALE / 2,
                      -(double)logical.height / PANGO_SCALE / 2);
        pango_cairo_show_layout(p->cr, p->layout);
        cairo_restore(p->cr);
        pango_cairo_update_layout(p->cr, p->layout);
}

double page_text(struct page *p, double x, double y, double w, enum page_align align,
                 const struct page_font *font, const char *text)
{
        double left = left_of(p, x, w), at = left;
        bool right = align == END ? !p->rtl : p->rtl;
        PangoRectangle logical;

        if (!*text)
                return 0;
        set_font(p, font);
        pango_layout_set_text(p->layout, text, -1);
        pango_layout_set_width(p->layout, -1);
        pango_layout_get_extents(p->layout, NULL, &logical);
        if (logical.width > (int)(w * PANGO_SCALE)) {
                pango_layout_set_ellipsize(p->layout, PANGO_ELLIPSIZE_END);
                pango_layout_set_width(p->layout, (int)(w * PANGO_SCALE));
                pango_layout_get_extents(p->layout, NULL, &logical);
        }
        if (align == CENTER)
                at = left + (w - (double)logical.width / PANGO_SCALE) / 2;
        else if (right)
                at = left + w - (double)logical.width / PANGO_SCALE;
        page_color(p, font->color);
        cairo_move_to(p->cr, at - (double)logical.x / PANGO_SCALE, top_of(p, y, font));
        show(p);
        pango_layout_set_ellipsize(p->layout, PANGO_ELLIPSIZE_NONE);
        return LINE_HEIGHT * font->size;
}

double page_wrap(struct page *p, double x, double y, double w, int lines,
                 const struct page_font *font, const char *text)
{
        double height;

        if (!*text)
                return 0;
        set_font(p, font);
        pango_layout_set_text(p->layout, text, -1);
        pango_layout_set_width(p->layout, (int)(w * PANGO_SCALE));
        pango_layout_set_wrap(p->layout, PANGO_WRAP_WORD_CHAR);
        pango_layout_set_height(p->layout, -lines);
        pango_layout_set_ellipsize(p->layout, PANGO_ELLIPSIZE_END);
        pango_layout_set_alignment(p->layout, p->rtl ? PANGO_ALIGN_RIGHT : PANGO_ALIGN_LEFT);
        height = LINE_HEIGHT * font->size * pango_layout_get_line_count(p->layout);
        page_color(p, font->color);
        cairo_move_to(p->cr, left_of(p, x, w), top_of(p, y, font));
        show(p);
        pango_layout_set_ellipsize(p->layout, PANGO_ELLIPSIZE_NONE);
        pango_layout_set_height(p->layout, -1);
        return height;
}

/* Dark modules that touch are one rectangle: half as many numbers in the file. */
static void qr_row(struct page *p, const QRcode *qr, int row, double left, double y, double module)
{
        const unsigned char *line = qr->data + (size_t)row * (size_t)qr->width;

        for (int col = 0, end; col < qr->width; col = end + 1) {
                for (end = col; end < qr->width && line[end] & 1; end++)
                        ;
                if (end > col)
                        cairo_rectangle(p->cr, left + (col + 4) * module, y + (row + 4) * module,
                                        (end - col) * module, module);
        }
}

bool page_qr(struct page *p, double x, double y, double size, const char *text)
{
        QRcode *qr = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
        double module, left = left_of(p, x, size);

        if (!qr)
                return false;
        page_box(p, x, y, size, size, "#ffffff");
        module = size / (qr->width + 8);
        page_color(p, "#000000");
        for (int row = 0; row < qr->width; row++)
                qr_row(p, qr, row, left, y, module);
        cairo_set_antialias(p->cr, CAIRO_ANTIALIAS_NONE);
        cairo_fill(p->cr);
        cairo_set_antialias(p->cr, CAIRO_ANTIALIAS_DEFAULT);
        QRcode_free(qr);
        return true;
}
