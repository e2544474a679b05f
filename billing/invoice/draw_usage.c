/* Charts and meters. */

#include "chart.h"
#include "sheet.h"

#include <stdio.h>
#include <string.h>

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

void draw_charts(struct sheet *s)
{
        const json_t *history = doc_get(s->d.content, "history"),
                     *daily = doc_get(s->d.content, "daily");
        struct chart c = { .x = SHEET_LEFT,
                           .y = s->y,
                           .w = SHEET_WIDTH / 2 - 12,
                           .h = 80,
                           .title = sheet_label(s, "history"),
                           .unit = sheet_text(s, "unit"),
                           .values = history,
                           .highlight_last = true,
                           .label = month_label };

        if (json_array_size(daily) == 0)
                return;
        if (json_array_size(history) > 0)
                chart_draw(s->page, &s->d, &c);
        c.x = SHEET_LEFT + SHEET_WIDTH / 2 + 12;
        c.title = sheet_label(s, "daily");
        c.values = daily;
        c.highlight_last = false;
        c.label = day_label;
        chart_draw(s->page, &s->d, &c);
        s->y += 90;
}

static void meter_row(struct sheet *s, const json_t *m)
{
        struct buf line = BUF_INIT;
        const char *start = doc_text(m, "start"), *end = doc_text(m, "end");

        page_text(s->page, SHEET_LEFT, s->y, 120, START, &sheet_body, doc_text(m, "serial"));
        page_text(s->page, SHEET_LEFT + 125, s->y, 75, START, &sheet_body,
                  doc_date(&s->d, &s->text, doc_text(m, "from")));
        page_text(s->page, SHEET_LEFT + 200, s->y, 75, START, &sheet_body,
                  doc_date(&s->d, &s->text, doc_text(m, "until")));
        if (*start && *end) {
                buf_put_str(&line, doc_number(&s->d, &s->text, start, 3));
                buf_printf(&line, " – %s", doc_number(&s->d, &s->text, end, 3));
        }
        page_text(s->page, SHEET_LEFT + 275, s->y, 120, START, &sheet_body, buf_cstr(&line));
        page_text(s->page, SHEET_LEFT + 400, s->y, 40, END, &sheet_body,
                  doc_number(&s->d, &s->text, doc_text(m, "multiplier"), -1));
        page_text(s->page, SHEET_LEFT + 440, s->y, SHEET_WIDTH - 440, END, &sheet_small,
                  sheet_label(s, doc_text(m, "status")));
        s->y += 13;
        buf_deinit(&line);
}

void draw_meters(struct sheet *s)
{
        const json_t *meters = doc_get(s->d.content, "meters");

        if (json_array_size(meters) == 0)
                return;
        page_text(s->page, SHEET_LEFT, s->y, 120, START, &sheet_head, sheet_label(s, "meter"));
        page_text(s->page, SHEET_LEFT + 125, s->y, 75, START, &sheet_head, sheet_label(s, "from"));
        page_text(s->page, SHEET_LEFT + 200, s->y, 75, START, &sheet_head, sheet_label(s, "until"));
        page_text(s->page, SHEET_LEFT + 275, s->y, 120, START, &sheet_head,
                  sheet_label(s, "reading"));
        page_text(s->page, SHEET_LEFT + 400, s->y, 40, END, &sheet_head,
                  sheet_label(s, "multiplier"));
        s->y += 12;
        page_rule(s->page, SHEET_LEFT, s->y, SHEET_WIDTH, 0.5, SHEET_LINE);
        s->y += 3;
        for (size_t i = 0; i < json_array_size(meters); i++) {
                if (s->y > SHEET_BOTTOM - 20)
                        sheet_next_page(s);
                meter_row(s, json_array_get(meters, i));
        }
        s->y += 6;
}
