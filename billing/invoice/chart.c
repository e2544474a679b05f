#include "chart.h"

#include <stdlib.h>
#include <string.h>

#define INK  "#1f2933"
#define GREY "#66727f"
#define LINE "#d5dde3"

static const char *value_text(const json_t *values, size_t i)
{
        const json_t *v = json_array_get(values, i);
        const char *s = json_is_object(v) ? doc_text(v, "quantity") : json_string_value(v);

        return s ? s : "0";
}

/* A round number not below @v: 1, 2, 2.5 or 5 times a power of ten. */
static double nice_above(double v)
{
        static const double steps[] = { 1, 2, 2.5, 5, 10 };
        double power = 1;

        if (v <= 0)
                return 1;
        while (power * 10 < v)
                power *= 10;
        while (power >= v * 10)
                power /= 10;
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
                if (steps[i] * power >= v)
                        return steps[i] * power;
        return 10 * power;
}

static void draw_grid(struct page *p, const struct doc *d, const struct chart *c, double top,
                      double base, double max)
{
        const struct page_font small = { 6.5, false, GREY };
        struct buf text = BUF_INIT;
        char number[32];

        for (int i = 0; i <= 2; i++) {
                double y = base - (base - top) * i / 2;

                page_rule(p, c->x + 30, y - 0.25, c->w - 30, 0.5, LINE);
                snprintf(number, sizeof number, "%g", max * i / 2);
                page_text(p, c->x, y - 4.5, 26, END, &small, doc_number(d, &text, number, 2));
        }
        buf_deinit(&text);
}

void chart_draw(struct page *p, const struct doc *d, const struct chart *c)
{
        const struct page_font title = { 8, true, INK }, small = { 6.5, false, GREY },
                               strong = { 6.5, true, INK };
        const char *bar = doc_text(d->template, "bar"), *now = doc_text(d->template, "bar_now");
        size_t n = json_array_size(c->values);
        double top = c->y + 22, base = c->y + c->h - 13, max = 0, slot, width;
        struct buf text = BUF_INIT;

        page_text(p, c->x, c->y, c->w - 40, START, &title, c->title);
        page_text(p, c->x + c->w - 40, c->y + 1, 40, END, &small, c->unit);
        for (size_t i = 0; i < n; i++)
                max = strtod(value_text(c->values, i), NULL) > max
                              ? strtod(value_text(c->values, i), NULL)
                              : max;
        max = nice_above(max);
        draw_grid(p, d, c, top, base, max);
        slot = n ? (c->w - 34) / (double)n : 0;
        slot = slot > 40 ? 40 : slot;
        width = slot * 0.68;
        for (size_t i = 0; i < n; i++) {
                double v = strtod(value_text(c->values, i), NULL),
                       h = v > 0 ? (base - top) * v / max : 0;
                double x = c->x + 34 + slot * (double)i;
                bool last = c->highlight_last && i == n - 1;

                if (h > 0)
                        page_box(p, x + (slot - width) / 2, base - h, width, h, last ? now : bar);
                page_text(p, x - 6, base + 3, slot + 12, CENTER, last ? &strong : &small,
                          c->label(d, c->values, i, &text));
        }
        page_rule(p, c->x + 30, base - 0.25, c->w - 30, 0.75, GREY);
        buf_deinit(&text);
}
