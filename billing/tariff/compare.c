/* The same use under several tariffs, cheapest first. */

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tariff_sql.h"
#include "whatif.h"

struct offer {
        const char *code, *version, *name, *currency;
        bool rated;
        int digits;
        int64_t total;   /* minor units */
        const char *why; /* not rated */
};

/* Rated ones by currency and total, then those that could not be rated. */
static int cheaper(const void *a, const void *b)
{
        const struct offer *x = a, *y = b;
        int c = strcmp(x->currency, y->currency);

        if (x->rated != y->rated)
                return x->rated ? -1 : 1;
        if (c != 0)
                return c;
        if (x->total != y->total)
                return x->total < y->total ? -1 : 1;
        return strcmp(x->code, y->code);
}

static int rate_offer(struct whatif *w, const char *text, struct offer *o)
{
        struct rating_error err = { 0 };
        struct rating_tariff *t = NULL;
        struct rating_result r;
        int e = rating_tariff_load(&t, text, strlen(text), &err);

        if (!e)
                e = rating_run(t, &w->in, &r, &err);
        if (!e) {
                o->rated = true;
                o->total = r.total;
                o->digits = rating_tariff_minor_digits(t);
                rating_result_deinit(&r);
        } else if (e > 0) {
                o->why = tariff_host->format(w->call, "%s", err.text);
        }
        rating_tariff_free(t);
        return e < 0 ? e : 0;
}

static void put_offer(struct buf *b, const struct offer *o)
{
        char total[DECIMAL_TEXT_SIZE];

        buf_printf(b, "{\"code\":\"%s\",\"version\":%s,\"name\":", o->code, o->version);
        buf_put_json_str(b, o->name, strlen(o->name));
        buf_printf(b, ",\"currency\":\"%s\"", o->currency);
        if (o->rated) {
                decimal_format((struct decimal){ o->total, (int8_t)o->digits }, o->digits, total);
                buf_printf(b, ",\"total\":\"%s\"", total);
        } else {
                buf_put_str(b, ",\"reason\":");
                buf_put_json_str(b, o->why ? o->why : "", o->why ? strlen(o->why) : 0);
        }
        buf_put_str(b, "}");
}

static enum hr_status reply_offers(struct hr_call *call, struct offer *offers, size_t n)
{
        enum hr_status s = HR_OK;
        struct buf b;

        qsort(offers, n, sizeof(*offers), cheaper);
        buf_init(&b);
        buf_put_str(&b, "{\"items\":[");
        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        buf_put_str(&b, ",");
                put_offer(&b, &offers[i]);
        }
        buf_put_str(&b, "]}");
        if (b.failed)
                s = HR_RETRY;
        else
                tariff_host->reply_json(call, buf_cstr(&b), b.len);
        buf_deinit(&b);
        return s;
}

static enum hr_status compare(struct whatif *w)
{
        const char *params[] = { tariff_host->param(w->call, "codes"), w->day, w->commodity };
        struct offer *offers;
        struct hr_rows *rows;
        enum hr_status s = tariff_host->query(w->call, sql_tariff_offers, 3, params, &rows);
        size_t n;

        if (s != HR_OK)
                return s;
        n = tariff_host->rows_count(rows);
        if (n == 0)
                return tariff_host->reject(w->call, 404, "tariff_unknown", "codes",
                                           "None of these tariffs is in force on %s", w->day);
        offers = calloc(n, sizeof(*offers));
        for (size_t i = 0; offers && i < n && s == HR_OK; i++) {
                offers[i].code = tariff_host->rows_text(rows, i, "code");
                offers[i].version = tariff_host->rows_text(rows, i, "version");
                offers[i].name = tariff_host->rows_text(rows, i, "name");
                offers[i].currency = tariff_host->rows_text(rows, i, "currency");
                if (rate_offer(w, tariff_host->rows_text(rows, i, "document_text"), &offers[i]))
                        s = HR_RETRY;
        }
        if (s == HR_OK)
                s = offers ? reply_offers(w->call, offers, n) : HR_RETRY;
        free(offers);
        return s;
}

enum hr_status tariff_compare(struct hr_call *call)
{
        struct whatif *w;
        enum hr_status s = whatif_read(call, &w);

        if (s == HR_OK)
                s = compare(w);
        whatif_free(w);
        return s;
}
