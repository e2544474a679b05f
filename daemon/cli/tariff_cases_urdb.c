/* Cases of schema urdb-like-v1: 12 × 24 schedules, a year of interval data, twelve bills. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "civil.h"
#include "tariff_cases_internal.h"

enum { YEAR = 2018, YEAR_HOURS = 8760, SCALE = 9 /* series in 10^-9 kWh */ };

/* ---- the document ---- */

static long number(json_t *tariff, const char *key)
{
        return (long)json_number_value(json_object_get(tariff, key));
}

/* One row of 24 periods as rules for one month and day type. */
static bool add_row(json_t *rules, json_t *row, int month, const char *days)
{
        size_t from = 0;

        if (json_array_size(row) != 24)
                return false;
        for (size_t h = 1; h <= 24; h++) {
                json_int_t p = json_integer_value(json_array_get(row, from));
                char begin[8], end[8], period[24];

                if (h < 24 && json_integer_value(json_array_get(row, h)) == p)
                        continue;
                snprintf(begin, sizeof(begin), "%02u:00", (unsigned)from % 25);
                snprintf(end, sizeof(end), "%02u:00", (unsigned)h % 25);
                snprintf(period, sizeof(period), "%lld", (long long)p);
                json_array_append_new(rules, json_pack("{s:[i], s:[s], s:s, s:s, s:s}", "months",
                                                       month, "days", days, "from", begin, "to",
                                                       end, "period", period));
                from = h;
        }
        return true;
}

/* The months whose rows are equal share their rules, so that a year stays small. */
static void merge_rules(json_t *rules, json_t *added)
{
        json_t *a, *r;
        size_t i, k;

        json_array_foreach(added, i, a)
        {
                bool merged = false;

                json_array_foreach(rules, k, r)
                {
                        json_t *months = json_object_get(r, "months"),
                               *month = json_object_get(a, "months");
                        json_t *copy = json_deep_copy(r);

                        json_object_set(copy, "months", month);
                        if (json_equal(copy, a)) {
                                json_array_extend(months, month);
                                merged = true;
                        }
                        json_decref(copy);
                        if (merged)
                                break;
                }
                if (!merged)
                        json_array_append(rules, a);
        }
}

static enum verdict make_schedule(struct bill_case *c, json_t *schedules, const char *name,
                                  json_t *weekday, json_t *weekend, json_t *rates)
{
        json_t *rules = json_array(), *periods = json_array();
        const char *key;
        json_t *v;
        bool ok = json_array_size(weekday) == 12 && json_array_size(weekend) == 12;

        for (size_t m = 0; ok && m < 12; m++) {
                json_t *added = json_array();

                ok = add_row(added, json_array_get(weekday, m), (int)m + 1, "weekday") &&
                     add_row(added, json_array_get(weekend, m), (int)m + 1, "weekend");
                merge_rules(rules, added);
                json_decref(added);
        }
        json_object_foreach(rates, key, v) json_array_append_new(periods, json_string(key));
        json_object_set_new(schedules, name,
                            json_pack("{s:o, s:o}", "periods", periods, "rules", rules));
        return ok ? CASE_PASS : case_unsupported(c, "%s schedule that is not 12 × 24", name);
}

enum unit { UNIT_KWH, UNIT_DAILY, UNIT_KW, UNIT_OTHER };

static enum unit tier_unit(json_t *tier)
{
        const char *s = case_member(tier, "unit");

        if (!*s || strcmp(s, "kWh") == 0 || strcmp(s, "kW") == 0)
                return UNIT_KWH;
        return strcmp(s, "kWh daily") == 0 ? UNIT_DAILY
               : strcmp(s, "kWh/kW") == 0  ? UNIT_KW
                                           : UNIT_OTHER;
}

static json_t *make_tier(json_t *from)
{
        json_t *t = json_object(), *max = json_object_get(from, "max");

        if (max && !json_is_null(max))
                json_object_set(t, "upto", max);
        json_object_set(t, "rate", json_object_get(from, "rate"));
        if (json_object_get(from, "sell"))
                json_object_set(t, "sell", json_object_get(from, "sell"));
        if (tier_unit(from) == UNIT_KW && max && !json_is_null(max))
                json_object_set_new(t, "per", json_string("kw"));
        return t;
}

/* Rows of kWh behind a row of kWh/kW price the inside of that block of hours of use; its own
 * price does not count then. */
static enum verdict make_tiers(struct bill_case *c, json_t *rows, bool *daily, json_t **ret)
{
        json_t *tiers = json_array(), *block = NULL, *v;
        bool mixed = false, any_kw = false;
        size_t i;

        *ret = tiers;
        json_array_foreach(rows, i, v)
        {
                any_kw = any_kw || tier_unit(v) == UNIT_KW;
        }
        json_array_foreach(rows, i, v)
        {
                enum unit u = tier_unit(v);
                json_t *t = make_tier(v);

                if (u == UNIT_OTHER) {
                        json_decref(t);
                        return case_unsupported(c, "tier unit %s", case_member(v, "unit"));
                }
                if (any_kw && u == UNIT_KWH) {
                        if (!block || json_array_size(tiers) != 1) {
                                json_decref(t);
                                return case_unsupported(c, "kWh tiers mixed with kWh/kW tiers "
                                                           "other than inside the first");
                        }
                        if (!json_object_get(block, "tiers"))
                                json_object_set_new(block, "tiers", json_array());
                        json_array_append_new(json_object_get(block, "tiers"), t);
                        continue;
                }
                mixed = mixed || (i > 0 && u != tier_unit(json_array_get(rows, 0)));
                *daily = *daily || u == UNIT_DAILY;
                json_array_append_new(tiers, t);
                block = t;
        }
        return mixed ? case_unsupported(c, "tier units mixed in one period") : CASE_PASS;
}

static enum verdict make_prices(struct bill_case *c, json_t *rates, bool *daily, json_t *component)
{
        json_t *prices = json_object(), *v;
        enum verdict verdict = CASE_PASS;
        bool all_daily = true, any_limit = false;
        const char *key;

        json_object_set_new(component, "prices", prices);
        json_object_foreach(rates, key, v)
        {
                json_t *tiers;
                bool d = false;

                if (verdict != CASE_PASS)
                        break;
                verdict = make_tiers(c, v, &d, &tiers);
                all_daily = all_daily && d;
                any_limit = any_limit || d;
                json_object_set_new(prices, key, json_pack("{s:o}", "tiers", tiers));
        }
        if (verdict == CASE_PASS && any_limit && !all_daily)
                return case_unsupported(c, "daily tiers in some periods only");
        *daily = any_limit;
        return verdict;
}

static json_t *months_schedule(void)
{
        json_t *rules = json_array(), *periods = json_array();

        for (int m = 1; m <= 12; m++) {
                char name[8];

                snprintf(name, sizeof(name), "%d", m);
                json_array_append_new(periods, json_string(name));
                json_array_append_new(rules,
                                      json_pack("{s:[i], s:s}", "months", m, "period", name));
        }
        return json_pack("{s:o, s:o}", "periods", periods, "rules", rules);
}

static bool all_zero(json_t *rates)
{
        const char *key;
        json_t *list, *v;
        size_t i;

        json_object_foreach(rates, key, list)
        {
                json_array_foreach(list, i, v)
                {
                        if (json_number_value(json_object_get(v, "rate")) != 0)
                                return false;
                }
        }
        return true;
}

static enum verdict make_ratchet(struct bill_case *c, json_t *demand, bool has_periods)
{
        json_t *from = json_object_get(c->tariff, "ratchet"), *to, *periods, *v;
        size_t i;

        if (!from)
                return CASE_PASS;
        to = json_object();
        json_object_set_new(demand, "ratchet", to);
        json_object_set(demand, "minimum", json_object_get(from, "minimum_kw"));
        json_object_set(to, "lookback_months", json_object_get(from, "lookback_months"));
        json_object_set(to, "percent_by_month", json_object_get(from, "percent_by_month"));
        json_object_set(to, "use_current_by_month", json_object_get(from, "use_current_month"));
        if (!has_periods)
                return case_unsupported(c, "a ratchet without demand periods");
        json_object_set_new(demand, "schedule", json_string("demand"));
        json_object_set_new(demand, "periods", periods = json_array());
        json_array_foreach(json_object_get(from, "periods"), i, v)
        {
                char name[24];

                snprintf(name, sizeof(name), "%lld",
                         (long long)json_integer_value(json_array_get(v, 0)));
                if (json_integer_value(json_array_get(v, 1)))
                        json_array_append_new(periods, json_string(name));
        }
        return CASE_PASS;
}

/* Flat demand of one price a month: on the billing demand. Tiers by month: on the month's peak. */
static enum verdict make_flat_demand(struct bill_case *c, json_t *components, json_t *schedules,
                                     json_t *rates)
{
        json_t *by_month = json_array(), *to;
        bool ratchet = json_object_get(c->tariff, "ratchet"), tiers = false;
        enum verdict v;
        bool daily;

        for (int m = 1; m <= 12; m++) {
                char key[8];
                json_t *rows;

                snprintf(key, sizeof(key), "%d", m);
                rows = json_object_get(rates, key);
                tiers = tiers || json_array_size(rows) != 1;
                json_array_append(by_month, json_object_get(json_array_get(rows, 0), "rate"));
        }
        to = json_pack("{s:s, s:s}", "type", "demand", "code", "demand_flat");
        if (!tiers) {
                json_object_set_new(to, "by_month", by_month);
                json_array_append_new(components, to);
                return CASE_PASS;
        }
        json_decref(by_month);
        json_object_set_new(to, "schedule", json_string("month"));
        json_object_set_new(schedules, "month", months_schedule());
        v = make_prices(c, rates, &daily, to);
        json_array_append_new(components, to);
        return v == CASE_PASS && ratchet
                       ? case_unsupported(c, "a ratchet with demand tiers by month")
                       : v;
}

static enum verdict make_demand(struct bill_case *c, json_t *document, json_t *components,
                                json_t *schedules)
{
        json_t *tou = json_object_get(c->tariff, "demand_tou_rates"), *demand = json_object(), *to;
        json_t *flat = json_object_get(c->tariff, "demand_flat_by_month");
        enum verdict v = CASE_PASS;
        bool daily;

        json_object_set_new(document, "demand", demand);
        if (!json_is_true(json_object_get(c->tariff, "demand_enabled")))
                return CASE_PASS;
        if (tou)
                v = make_schedule(c, schedules, "demand",
                                  json_object_get(c->tariff, "demand_weekday_schedule"),
                                  json_object_get(c->tariff, "demand_weekend_schedule"), tou);
        if (v == CASE_PASS)
                v = make_ratchet(c, demand, tou != NULL);
        if (v == CASE_PASS && flat && !all_zero(flat))
                v = make_flat_demand(c, components, schedules, flat);
        if (v != CASE_PASS || !tou || all_zero(tou))
                return v;
        if (json_object_get(c->tariff, "ratchet"))
                return case_unsupported(c, "a ratchet with demand prices by period");
        to = json_pack("{s:s, s:s, s:s}", "type", "demand", "code", "demand_tou", "schedule",
                       "demand");
        v = make_prices(c, tou, &daily, to);
        json_array_append_new(components, to);
        return v;
}

static enum verdict set_metering(struct bill_case *c, json_t *energy)
{
        static const struct {
                const char *name, *mode;
                bool settles_energy, settles_money;
        } modes[] = { { "net_metering_kwh_rollover", "energy_rollover", true, false },
                      { "net_metering_dollar_rollover", "money_rollover", false, false },
                      { "net_billing", "billing", false, false },
                      { "net_billing_dollar_carryover", "billing_carry", false, true },
                      { "buy_all_sell_all", "billing", false, false } };
        const char *name = case_member(c->tariff, "metering"), *settle = "keep";
        long month = number(c->tariff, "credit_month");
        size_t i;

        for (i = 0; i < sizeof(modes) / sizeof(*modes) && strcmp(modes[i].name, name) != 0; i++)
                ;
        if (i == sizeof(modes) / sizeof(*modes))
                return case_unsupported(c, "metering %s", name);
        json_object_set_new(energy, "type", json_string("net_metering"));
        json_object_set_new(energy, "mode", json_string(modes[i].mode));
        json_object_set_new(energy, "true_up_month", json_integer(month));
        if (modes[i].settles_energy)
                settle = number(c->tariff, "credit_rollover") ? "credit" : "pay";
        if (modes[i].settles_money)
                settle = number(c->tariff, "nb_credit_expire")  ? "expire"
                         : number(c->tariff, "credit_rollover") ? "keep"
                                                                : "pay";
        json_object_set_new(energy, "settle", json_string(settle));
        json_object_set(energy, "settle_rate", json_object_get(c->tariff, "nm_yearend_sell_rate"));
        if (number(c->tariff, "nb_apply_credit_current_month"))
                json_object_set_new(energy, "apply", json_string("now"));
        json_object_set_new(energy, "carry_at_hours", json_pack("[i,i,i,i]", 0, 6, 12, 18));
        return CASE_PASS;
}

static enum verdict make_energy(struct bill_case *c, json_t *components, json_t *schedules)
{
        json_t *rates = json_object_get(c->tariff, "energy_rates"), *to;
        bool daily;
        enum verdict v;

        to = json_pack("{s:s, s:s, s:s, s:s}", "type", "energy", "code", "energy", "schedule",
                       "energy", "fill", "total");
        json_array_append_new(components, to);
        v = make_schedule(c, schedules, "energy",
                          json_object_get(c->tariff, "energy_weekday_schedule"),
                          json_object_get(c->tariff, "energy_weekend_schedule"), rates);
        if (v == CASE_PASS)
                v = make_prices(c, rates, &daily, to);
        if (v == CASE_PASS && daily)
                json_object_set_new(to, "limits", json_pack("{s:i}", "per_days", 1));
        return v == CASE_PASS ? set_metering(c, to) : v;
}

static void make_fixed(struct bill_case *c, json_t *components)
{
        if (json_number_value(json_object_get(c->tariff, "fixed_monthly")) != 0)
                json_array_append_new(components,
                                      json_pack("{s:s, s:s, s:O}", "type", "fixed", "code", "fixed",
                                                "amount",
                                                json_object_get(c->tariff, "fixed_monthly")));
}

static void make_minimum(struct bill_case *c, json_t *components)
{
        if (json_number_value(json_object_get(c->tariff, "min_monthly")) != 0)
                json_array_append_new(components,
                                      json_pack("{s:s, s:s, s:O}", "type", "minimum_bill", "code",
                                                "minimum_month", "amount",
                                                json_object_get(c->tariff, "min_monthly")));
        if (json_number_value(json_object_get(c->tariff, "min_annual")) != 0)
                json_array_append_new(components,
                                      json_pack("{s:s, s:s, s:O, s:b}", "type", "minimum_bill",
                                                "code", "minimum_year", "amount",
                                                json_object_get(c->tariff, "min_annual"), "annual",
                                                1));
}

enum verdict case_urdb_load(struct bill_case *c, struct rating_tariff **ret)
{
        json_t *components = json_array(), *schedules = json_object();
        const char *currency = case_member(c->json, "currency");
        json_t *document =
                json_pack("{s:s, s:s, s:s, s:s, s:i, s:{s:s}, s:o, s:o}", "schema",
                          "headrace-tariff-v1", "code", c->id, "commodity", "electricity",
                          "currency", *currency ? currency : "XXX", "minor_digits", 6, "rounding",
                          "of", "total", "schedules", schedules, "components", components);
        enum verdict v;

        make_fixed(c, components);
        v = make_energy(c, components, schedules);
        if (v == CASE_PASS)
                v = make_demand(c, document, components, schedules);
        make_minimum(c, components);
        if (v == CASE_PASS)
                v = case_load(c, document, ret);
        json_decref(document);
        return v;
}

/* ---- interval data ---- */

struct year {
        int64_t *value; /* owned, 10^-9 kWh an interval */
        size_t n;
};

static int64_t scaled(const char *text, struct decimal factor, int64_t per_hour)
{
        struct decimal kw, r;
        char cut[24];

        /* Files hold up to 17 digits; what is beyond 10^-9 kW makes no difference. */
        snprintf(cut, sizeof(cut), "%.18s", text);
        if (strpbrk(cut, "eE"))
                snprintf(cut, sizeof(cut), "%.12f", strtod(text, NULL));
        if (decimal_parse(cut, &kw) < 0 ||
            decimal_muldiv(kw, factor, decimal_int(per_hour), SCALE, DECIMAL_HALF_EVEN, &r) < 0)
                return 0;
        return r.m;
}

static enum verdict read_year(struct bill_case *c, const char *member, struct decimal factor,
                              struct year *ret)
{
        const char *name = case_member(c->usage, member);
        size_t cap = 4 * YEAR_HOURS, rows = 0;
        char path[1024], line[64];
        int64_t per_hour;
        FILE *f;

        *ret = (struct year){ 0 };
        if (!*name)
                return CASE_PASS;
        if (strstr(name, "..") ||
            snprintf(path, sizeof(path), "%s/%s", c->folder, name) >= (int)sizeof(path))
                return case_unsupported(c, "usage file %s", name);
        f = fopen(path, "re");
        if (!f)
                return case_unsupported(c, "usage file %s: %s", path, strerror(errno));
        while (fgets(line, sizeof(line), f))
                rows++;
        rewind(f);
        rows = rows > 0 ? rows - 1 : 0;
        ret->value = calloc(cap, sizeof(*ret->value));
        if (rows % YEAR_HOURS != 0 || rows == 0 || rows > cap || !ret->value ||
            !fgets(line, sizeof(line), f)) {
                fclose(f);
                return case_unsupported(c, "usage file %s of %zu rows; 8760 or 35040 are known",
                                        path, rows);
        }
        per_hour = (int64_t)(rows / YEAR_HOURS);
        while (ret->n < rows && fgets(line, sizeof(line), f)) {
                line[strcspn(line, "\r\n")] = '\0';
                ret->value[ret->n++] = scaled(line, factor, per_hour);
        }
        fclose(f);
        return CASE_PASS;
}

/* An hour as four equal quarters. */
static bool refine(struct year *y, size_t n)
{
        size_t k = y->n ? n / y->n : 0;

        if (y->n == 0 || y->n == n)
                return true;
        if (k * y->n != n)
                return false;
        for (size_t i = n; i-- > 0;)
                y->value[i] = y->value[i / k] / (int64_t)k;
        y->n = n;
        return true;
}

/* What the meters at the site would show. One meter sees import and export apart; under buy all,
 * sell all use and generation have a meter each. */
static void through_meters(struct year *load, struct year *gen, bool two_meters)
{
        for (size_t i = 0; i < load->n; i++) {
                int64_t l = load->value[i], g = gen->value[i], net = l - g;

                if (two_meters) {
                        load->value[i] = l + (g < 0 ? -g : 0);
                        gen->value[i] = g > 0 ? g : 0;
                } else {
                        load->value[i] = net > 0 ? net : 0;
                        gen->value[i] = net < 0 ? -net : 0;
                }
        }
}

/* ---- twelve bills ---- */

struct months {
        struct decimal fixed[12], energy[12], demand_flat[12], demand_tou[12], minimum_adder[12],
                total[12], kw[12];
};

static bool begins(const char *s, const char *with)
{
        return strncmp(s, with, strlen(with)) == 0;
}

/* 9 digits are far below any tolerance and leave room for the sum. */
static void add(struct decimal *sum, struct decimal d)
{
        (void)decimal_rescale(d, 9, DECIMAL_HALF_EVEN, &d);
        (void)decimal_add(*sum, d, sum);
}

static void collect(struct months *out, int m, const struct rating_result *r)
{
        for (size_t i = 0; i < r->n_lines; i++) {
                const struct rating_line *l = &r->lines[i];
                size_t n = strlen(l->code);

                if (l->kind == RATING_ROUNDING)
                        continue;
                add(&out->total[m], l->exact);
                if (begins(l->code, "fixed"))
                        add(&out->fixed[m], l->exact);
                else if (begins(l->code, "demand_flat"))
                        add(&out->demand_flat[m], l->exact);
                else if (begins(l->code, "demand_tou"))
                        add(&out->demand_tou[m], l->exact);
                else if (l->kind == RATING_MINIMUM)
                        add(&out->minimum_adder[m], l->exact);
                else if (n <= 8 || strcmp(l->code + n - 8, "_true_up") != 0)
                        add(&out->energy[m], l->exact);
        }
        out->kw[m] = r->billing_kw;
}

static enum verdict rate_month(struct bill_case *c, const struct rating_tariff *t,
                               const struct year *import, const struct year *export, int m,
                               struct rating_input *in, struct months *out,
                               struct rating_peak *peaks)
{
        size_t per_day = import->n / 365;
        int64_t first = civil_to_day(YEAR, 1, 1);
        struct rating_series series[2];
        struct rating_error err = { 0 };
        struct rating_result r;
        struct rating_carry *carry;
        size_t at, n;

        in->from_day = civil_to_day(YEAR, m + 1, 1);
        in->to_day = in->from_day + civil_days_in_month(YEAR, m + 1);
        at = (size_t)(in->from_day - first) * per_day;
        n = (size_t)(in->to_day - in->from_day) * per_day;
        series[0] = (struct rating_series){ .name = "energy.import",
                                            .unit = "kWh",
                                            .scale = SCALE,
                                            .at = in->from_day * 86400,
                                            .period_s = (uint32_t)(86400 / per_day),
                                            .n = n,
                                            .value = import->value + at };
        series[1] = series[0];
        series[1].name = "energy.export";
        series[1].value = export->value + at;
        in->series = series;
        in->n_series = 2;
        in->peaks = peaks;
        in->n_peaks = (size_t)(12 + m);
        if (rating_run(t, in, &r, &err))
                return case_fail(c, "month %d not rated: %s", m + 1, err.text);
        collect(out, m, &r);
        peaks[12 + m].kw = r.peak_kw;
        carry = arena_alloc(&c->arena, (r.n_carry + 1) * sizeof(*carry));
        for (size_t i = 0; carry && i < r.n_carry; i++)
                carry[i] = (struct rating_carry){ arena_str(&c->arena, r.carry[i].name),
                                                  r.carry[i].value };
        in->carry = carry;
        in->n_carry = carry ? r.n_carry : 0;
        rating_result_deinit(&r);
        return CASE_PASS;
}

static enum verdict rate_year(struct bill_case *c, const struct rating_tariff *t,
                              const struct year *import, const struct year *export,
                              struct months *out)
{
        json_t *before =
                json_object_get(json_object_get(c->tariff, "ratchet"), "prior_year_peaks_kw");
        struct rating_peak peaks[24];
        struct rating_input in = { .months = 1 };
        enum verdict v = CASE_PASS;

        memset(out, 0, sizeof(*out));
        for (int i = 0; i < 24; i++) {
                peaks[i] = (struct rating_peak){ .year = YEAR - 1 + i / 12, .month = i % 12 + 1 };
                if (i < 12)
                        (void)case_number(json_array_get(before, (size_t)i), &peaks[i].kw);
        }
        for (int m = 0; m < 12 && v == CASE_PASS; m++)
                v = rate_month(c, t, import, export, m, &in, out, peaks);
        return v;
}

static enum verdict compare_months(struct bill_case *c, const char *which, json_t *expected,
                                   const char *member, const struct decimal have[12])
{
        json_t *list = json_object_get(expected, member);

        for (size_t m = 0; list && m < 12; m++) {
                struct decimal want;

                if (case_number(json_array_get(list, m), &want) && !case_near(c, want, have[m]))
                        return case_fail(c, "%s, month %zu: %s should be %s, is %s", which, m + 1,
                                         member, case_text(c, want), case_text(c, have[m]));
        }
        return CASE_PASS;
}

static enum verdict compare_year(struct bill_case *c, const char *which, const struct months *have)
{
        json_t *expected = json_object_get(c->expected, which), *wanted = NULL, *kw;
        const struct {
                const char *member;
                const struct decimal *value;
        } parts[] = { { "fixed", have->fixed },
                      { "energy", have->energy },
                      { "demand_flat", have->demand_flat },
                      { "demand_tou", have->demand_tou },
                      { "minimum_adder", have->minimum_adder },
                      { "total", have->total } };
        enum verdict v = CASE_PASS;

        for (size_t i = 0; i < sizeof(parts) / sizeof(*parts) && v == CASE_PASS; i++)
                v = compare_months(c, which, expected, parts[i].member, parts[i].value);
        if (v == CASE_PASS && strcmp(which, "without_generation") == 0 &&
            json_object_get(c->expected, "billing_demand_kw")) {
                wanted = c->expected;
                v = compare_months(c, which, wanted, "billing_demand_kw", have->kw);
        }
        kw = json_object_get(c->expected, "credits");
        if (v == CASE_PASS && kw)
                v = compare_months(c, which, kw,
                                   strcmp(which, "with_generation") == 0 ? "billing_demand_w_sys"
                                                                         : "billing_demand_wo_sys",
                                   have->kw);
        return v;
}

static enum verdict run_years(struct bill_case *c, const struct rating_tariff *t, struct year *load,
                              struct year *gen)
{
        bool two_meters = strcmp(case_member(c->tariff, "metering"), "buy_all_sell_all") == 0;
        struct year none = { calloc(4 * YEAR_HOURS, sizeof(int64_t)), load->n };
        struct months out;
        enum verdict v;

        if (!none.value)
                return case_fail(c, "out of memory");
        v = rate_year(c, t, load, &none, &out);
        free(none.value);
        if (v == CASE_PASS)
                v = compare_year(c, "without_generation", &out);
        if (v != CASE_PASS || !json_object_get(c->expected, "with_generation"))
                return v;
        if (gen->n == 0)
                return case_unsupported(c, "with_generation expected without generation data");
        if (!refine(load, gen->n > load->n ? gen->n : load->n) || !refine(gen, load->n))
                return case_unsupported(c, "load and generation of lengths that do not fit");
        through_meters(load, gen, two_meters);
        v = rate_year(c, t, load, gen, &out);
        return v == CASE_PASS ? compare_year(c, "with_generation", &out) : v;
}

enum verdict case_urdb(struct bill_case *c)
{
        struct decimal factor = decimal_int(1);
        struct rating_tariff *t = NULL;
        struct year load = { 0 }, gen = { 0 };
        enum verdict v = case_urdb_load(c, &t);

        (void)case_number(json_object_get(c->usage, "scale"), &factor);
        if (v == CASE_PASS)
                v = read_year(c, "load_kw_csv", factor, &load);
        if (v == CASE_PASS)
                v = read_year(c, "generation_kw_csv", decimal_int(1), &gen);
        if (v == CASE_PASS && load.n == 0)
                v = case_unsupported(c, "no load_kw_csv");
        if (v == CASE_PASS)
                v = run_years(c, t, &load, &gen);
        free(load.value);
        free(gen.value);
        rating_tariff_free(t);
        return v;
}
