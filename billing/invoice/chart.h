#pragma once

/* Bar charts of an invoice: use per period and use per day. Bar heights are drawn, not computed
 * with. */

#include "doc.h"
#include "page.h"

struct chart {
        double x, y, w, h;
        const char *title, *unit;
        const json_t *values; /* array of decimal texts, or of objects with "quantity" */
        bool highlight_last;
        /* Text under bar @i, "" for none; formatted into @out. */
        const char *(*label)(const struct doc *d, const json_t *values, size_t i, struct buf *out);
};

void chart_draw(struct page *p, const struct doc *d, const struct chart *c);
