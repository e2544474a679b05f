/* What a bill would be: the billing engine on quantities handed in, or on an account's readings. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "civil.h"
#include "rating_input.h"
#include "tariff_sql.h"
#include "whatif.h"

static enum hr_status find_tariff(struct whatif *w, const char *day, struct rating_tariff **ret)
{
        const char *text = tariff_host->param(w->call, "document");
        const char *params[] = { tariff_host->param(w->call, "code"),
                                 tariff_host->param(w->call, "version"), day };
        struct hr_rows *rows;
        enum hr_status s;

        w->code = params[0];
        w->version = "0";
        if (text)
                return tariff_load(w->call, text, ret);
        s = tariff_host->query(w->call, sql_tariff_document, 3, params, &rows);
        if (s != HR_OK)
                return s;
        if (tariff_host->rows_count(rows) == 0)
                return tariff_host->reject(
                        w->call, 404, "tariff_unknown", "code",
                        "There is no such tariff or version; see the list of tariffs");
        w->version = tariff_host->rows_text(rows, 0, "version");
        return tariff_load(w->call, tariff_host->rows_text(rows, 0, "document_text"), ret);
}

/* ---- an account's readings ---- */

/* Value × multiplier, exact at three digits more than stored. */
static bool multiplied(int64_t value, const char *multiplier, int64_t *ret)
{
        struct decimal m, v;

        if (decimal_parse(multiplier, &m) < 0 ||
            decimal_muldiv(decimal_int(value), m, decimal_int(1), 3, DECIMAL_HALF_EVEN, &v) < 0)
                return false;
        *ret = v.m;
        return true;
}

/* Rows in time order become one series for each stretch of consecutive intervals of one length. */
static enum hr_status add_series(struct whatif *w, struct hr_rows *rows, const char *name,
                                 const char *unit, int8_t scale)
{
        size_t n = tariff_host->rows_count(rows);
        int64_t *value = arena_alloc(&w->arena, (n + 1) * sizeof(*value)), next = 0;
        struct rating_series *s = NULL;

        for (size_t i = 0; i < n; i++) {
                int64_t at = tariff_host->rows_int(rows, i, "at"),
                        period = tariff_host->rows_int(rows, i, "period_s");

                if (!value || !multiplied(tariff_host->rows_int(rows, i, "value"),
                                          tariff_host->rows_text(rows, i, "multiplier"), &value[i]))
                        return HR_FATAL;
                if (!s || at != next || (uint32_t)period != s->period_s) {
                        if (w->in.n_series == MAX_SERIES)
                                return tariff_host->reject(w->call, 422, "readings_incomplete",
                                                           "account",
                                                           "The readings of %s have more than %d "
                                                           "gaps; estimate them first",
                                                           name, MAX_SERIES);
                        s = &w->series[w->in.n_series++];
                        *s = (struct rating_series){ .name = name,
                                                     .unit = unit,
                                                     .scale = scale,
                                                     .at = at,
                                                     .period_s = (uint32_t)period,
                                                     .value = &value[i] };
                }
                s->n++;
                next = at + period;
        }
        return HR_OK;
}

static enum hr_status read_channel(struct whatif *w, struct hr_rows *c, size_t i)
{
        const char *unit = tariff_host->rows_text(c, i, "unit");
        /* Wh -> kWh, litre -> cubic metre; three more digits for the multiplier. */
        int scale = 6 - (int)tariff_host->rows_int(c, i, "scaler");
        const char *billed = strcmp(unit, "Wh") == 0     ? "kWh"
                             : strcmp(unit, "varh") == 0 ? "kvarh"
                                                         : "m3";
        const char *params[] = { tariff_host->rows_text(c, i, "service_point_id"),
                                 tariff_host->rows_text(c, i, "channel"),
                                 tariff_host->rows_text(c, i, "from_utc"),
                                 tariff_host->rows_text(c, i, "to_utc") };
        struct hr_rows *rows;
        enum hr_status s = tariff_host->query(w->call, sql_whatif_usage, 4, params, &rows);

        return s != HR_OK ? s
                          : add_series(w, rows, tariff_host->rows_text(c, i, "channel_code"),
                                       billed, (int8_t)scale);
}

static enum hr_status read_account(struct whatif *w)
{
        const char *params[] = { tariff_host->param(w->call, "account"),
                                 tariff_host->param(w->call, "service_point"),
                                 tariff_host->param(w->call, "from"),
                                 tariff_host->param(w->call, "to") };
        struct hr_rows *c;
        enum hr_status s;

        if (!params[2] || !params[3])
                return tariff_host->reject(
                        w->call, 422, "period_missing", "from",
                        "Give from and to, the first day and the day after the last");
        s = tariff_host->query(w->call, sql_whatif_contract, 4, params, &c);
        if (s != HR_OK)
                return s;
        if (tariff_host->rows_count(c) == 0)
                return tariff_host->reject(w->call, 404, "account_unknown", "account",
                                           "Account %s has no contract in this period", params[0]);
        if (civil_parse_date(params[2], &w->in.from_day) < 0 ||
            civil_parse_date(params[3], &w->in.to_day) < 0)
                return HR_FATAL;
        w->commodity = tariff_host->rows_text(c, 0, "commodity");
        w->in.households = (int)tariff_host->rows_int(c, 0, "households");
        (void)decimal_parse(tariff_host->rows_text(c, 0, "contract_kw"), &w->in.contract_kw);
        if (tz_load(&w->tz, tariff_host->rows_text(c, 0, "tz")) < 0)
                return HR_FATAL;
        w->in.tz = w->tz;
        w->in.series = w->series;
        for (size_t i = 0; i < tariff_host->rows_count(c) && s == HR_OK; i++)
                if (strcmp(tariff_host->rows_text(c, i, "number"),
                           tariff_host->rows_text(c, 0, "number")) == 0)
                        s = read_channel(w, c, i);
        return s;
}

static enum hr_status read_input(struct whatif *w)
{
        const char *text = tariff_host->param(w->call, "input");
        struct rating_error err = { 0 };
        int e = rating_input_load(&w->arena, text, strlen(text), &w->in, &w->tz, &err);

        if (e > 0)
                return tariff_host->reject(w->call, 422, "input", "input", "%s", err.text);
        return e < 0 ? HR_RETRY : HR_OK;
}

static enum hr_status rate(struct whatif *w, const struct rating_tariff *t)
{
        struct rating_error err = { 0 };
        struct rating_result r;
        struct buf b;
        int e = rating_run(t, &w->in, &r, &err);
        enum hr_status s = HR_OK;

        if (e > 0)
                return tariff_host->reject(w->call, 422, "not_rated", NULL, "%s", err.text);
        if (e < 0)
                return HR_RETRY;
        buf_init(&b);
        rating_result_json(t, &r, &b);
        /* "version" goes in front of what the engine says. */
        if (!b.failed && b.len > 1) {
                char *json = tariff_host->format(w->call, "{\"version\":%s,%s", w->version,
                                                 buf_cstr(&b) + 1);

                if (json)
                        tariff_host->reply_json(w->call, json, strlen(json));
                else
                        s = HR_RETRY;
        } else {
                s = HR_RETRY;
        }
        buf_deinit(&b);
        rating_result_deinit(&r);
        return s;
}

enum hr_status whatif_read(struct hr_call *call, struct whatif **ret)
{
        struct whatif *w = calloc(1, sizeof(*w));
        enum hr_status s;

        *ret = w;
        if (!w)
                return HR_RETRY;
        w->call = call;
        arena_init(&w->arena, 256 << 20);
        if (tariff_host->param(call, "input"))
                s = read_input(w);
        else if (tariff_host->param(call, "account"))
                s = read_account(w);
        else
                s = tariff_host->reject(
                        call, 422, "input_missing", "input",
                        "Give an input with quantities or series, or an account with from and to");
        civil_format(w->in.from_day * 86400, 0, w->day);
        w->day[10] = '\0';
        return s;
}

void whatif_free(struct whatif *w)
{
        if (!w)
                return;
        tz_free(w->tz);
        arena_deinit(&w->arena);
        free(w);
}

enum hr_status tariff_whatif(struct hr_call *call)
{
        struct rating_tariff *t = NULL;
        struct whatif *w;
        enum hr_status s = whatif_read(call, &w);

        if (s == HR_OK)
                s = find_tariff(w, w->day, &t);
        if (s == HR_OK)
                s = rate(w, t);
        rating_tariff_free(t);
        whatif_free(w);
        return s;
}
