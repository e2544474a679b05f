/* Invoices printed a second on one core: single tagged files, and many in one file. Yardstick: a
 * bare cairo page with as many pieces of the same text in the same font, nothing laid out.
 *
 * usage: bench_pdf invoice.json     prints name|figure|yardstick|ratio|how */

#include <cairo-pdf.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "render.h"

static double seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static cairo_status_t count(void *arg, const unsigned char *data, unsigned n)
{
        (void)data;
        *(size_t *)arg += n;
        return CAIRO_STATUS_SUCCESS;
}

/* 85 pieces of text, about 1,000 letters: what the invoice has. */
static void bare_page(const char *const *texts, size_t n)
{
        size_t bytes = 0;
        cairo_surface_t *s = cairo_pdf_surface_create_for_stream(count, &bytes, 595, 842);
        cairo_t *c = cairo_create(s);

        cairo_select_font_face(c, "Noto Sans", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
        cairo_set_font_size(c, 8.5);
        for (size_t i = 0; i < 85; i++) {
                if (i == 60)
                        cairo_select_font_face(c, "Noto Sans", CAIRO_FONT_SLANT_NORMAL,
                                               CAIRO_FONT_WEIGHT_BOLD);
                cairo_move_to(c, i % 2 ? 300 : 40, 40 + 9.0 * (double)i);
                cairo_show_text(c, texts[i % n]);
        }
        cairo_show_page(c);
        cairo_destroy(c);
        cairo_surface_destroy(s);
}

static double bare_rate(void)
{
        static const char *const texts[] = { "Công ty Điện lực", "PD0100012345",   "31/10/2026",
                                             "591.322 ₫",        "Điện sinh hoạt", "99.200 ₫",
                                             "Số tài khoản" };
        double began = seconds();
        int n = 0;

        for (; seconds() - began < 2; n++)
                bare_page(texts, sizeof texts / sizeof *texts);
        return n / (seconds() - began);
}

static double single_rate(const char *content, const char *template, size_t *ret_bytes)
{
        double began = seconds();
        int n = 0;

        for (; seconds() - began < 3; n++) {
                struct buf out = BUF_INIT;

                if (invoice_render(&out, content, template, NULL) != 0)
                        exit(1);
                *ret_bytes = out.len;
                buf_deinit(&out);
        }
        return n / (seconds() - began);
}

static double merged_rate(const char *content, const char *template, size_t *ret_bytes)
{
        struct buf out = BUF_INIT;
        struct invoice_printer *p;
        double began = seconds();
        size_t bytes = 0;
        int pages;

        if (invoice_printer_open(&p, &out, "bench", "2026-11-03T02:00:00Z") != 0)
                exit(1);
        for (int i = 0; i < 1000; i++) {
                if (invoice_printer_add(p, content, template, &pages) != 0)
                        exit(1);
                bytes += out.len;
                buf_reset(&out);
        }
        if (invoice_printer_close(p) != 0)
                exit(1);
        *ret_bytes = (bytes + out.len) / 1000;
        buf_deinit(&out);
        return 1000 / (seconds() - began);
}

int main(int argc, char **argv)
{
        json_error_t error;
        json_t *doc = argc == 2 ? json_load_file(argv[1], 0, &error) : NULL;
        char *content = json_dumps(json_object_get(doc, "content"), JSON_COMPACT);
        char *template = json_dumps(json_object_get(doc, "template"), JSON_COMPACT);
        double bare, single, merged;
        size_t one = 0, each = 0;

        if (!content || !template)
                return 2;
        bare_rate(); /* fonts are found once */
        bare = bare_rate();
        single = single_rate(content, template, &one);
        merged = merged_rate(content, template, &each);
        printf("invoice PDF, one file each|%.0f a second and core|bare cairo page: "
               "%.0f|%.2f|tagged, "
               "chart, QR, 85 texts; %zu KB; 500,000 in %.1f h\n",
               single, bare, single / bare, one / 1024, 500000 / single / 3600);
        printf("invoice PDF, 1,000 a file|%.0f a second and core|bare cairo page: %.0f|%.2f|print "
               "file, fonts once; %zu KB each; 500,000 in %.1f h\n",
               merged, bare, merged / bare, each / 1024, 500000 / merged / 3600);
        free(content);
        free(template);
        json_decref(doc);
        return 0;
}
