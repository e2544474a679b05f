/* The flattened form of a URDB rate as a tariff document. */

#include <stdio.h>
#include <string.h>

#include "internal.h"

static long number(json_t *o, const char *key)
{
        return (long)json_number_value(json_object_get(o, key));
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
                        if (!import_is_zero(json_object_get(v, "rate")))
                                return false;
                }
        }
        return true;
}

/* ---- energy and metering ---- */

static int set_metering(struct importer *x, json_t *source, json_t *energy)
{
        static const struct {
                const char *name, *mode;
                bool timed; /* tiers fill interval by interval, not on the month's total */
        } modes[] = { { "net_metering_kwh_rollover", "energy_rollover", false },
                      { "net_metering_dollar_rollover", "money_rollover", false },
                      { "net_billing", "billing", true },
                      { "net_billing_dollar_carryover", "billing_carry", true },
                      { "buy_all_sell_all", "billing", true } };
        const char *name = import_text(source, "metering"), *settle = "keep";
        long month = number(source, "credit_month");
        size_t i;

        if (!*name || strcmp(name, "none") == 0)
                return 0;
        for (i = 0; i < sizeof(modes) / sizeof(*modes) && strcmp(modes[i].name, name) != 0; i++)
                ;
        if (i == sizeof(modes) / sizeof(*modes))
                return import_fail(x, IMPORT_E_UNSUPPORTED, "metering %s", name);
        json_object_set_new(energy, "type", json_string("net_metering"));
        json_object_set_new(energy, "mode", json_string(modes[i].mode));
        json_object_set_new(energy, "true_up_month", json_integer(month));
        /* Energy left over is paid, or becomes money for later bills; money is paid, and stays as
         * well where it may roll over, or is lost. */
        if (i == 0)
                settle = number(source, "credit_rollover") ? "credit" : "pay";
        if (i == 1)
                settle = number(source, "credit_rollover") ? "pay_keep" : "pay";
        if (i == 3)
                settle = number(source, "nb_credit_expire") ? "expire" : "pay";
        if (modes[i].timed)
                json_object_set_new(energy, "fill", json_string("time"));
        json_object_set_new(energy, "settle", json_string(settle));
        if (json_object_get(source, "nm_yearend_sell_rate"))
                json_object_set(energy, "settle_rate",
                                json_object_get(source, "nm_yearend_sell_rate"));
        if (i == 1 || (i == 3 && number(source, "nb_apply_credit_current_month")))
                json_object_set_new(energy, "apply", json_string("now"));
        /* Hours of the weekday at which the reference engine looks where a credit goes. */
        json_object_set_new(energy, "carry_at_hours", json_pack("[i,i,i,i]", 0, 5, 11, 17));
        json_object_set_new(energy, "carry_unmapped", json_string("expire"));
        return 0;
}

static int make_energy(struct importer *x, json_t *source)
{
        json_t *rates = json_object_get(source, "energy_rates");
        json_t *weekday = json_object_get(source, "energy_weekday_schedule"),
               *weekend = json_object_get(source, "energy_weekend_schedule");
        json_t *to = json_pack("{s:s, s:s, s:s, s:s}", "type", "energy", "code", "energy",
                               "schedule", "energy", "fill", "total");

        json_array_append_new(x->components, to);
        if (!json_is_object(rates))
                return import_fail(x, IMPORT_E_DOCUMENT, "energy_rates is missing");
        urdb_schedule(x, "energy", weekday, weekend, rates);
        urdb_prices(x, rates, to);
        return x->failed ? x->failed : set_metering(x, source, to);
}

/* ---- demand ---- */

static int make_ratchet(struct importer *x, json_t *source, json_t *demand, bool has_periods)
{
        json_t *from = json_object_get(source, "ratchet"), *to, *periods, *v;
        size_t i;

        if (!from)
                return 0;
        if (import_known(x, from, "ratchet",
                         "minimum_kw lookback_months percent_by_month percent use_current_month "
                         "periods months",
                         "prior_year_peaks_kw note"))
                return x->failed;
        to = json_object();
        json_object_set_new(demand, "ratchet", to);
        if (json_object_get(from, "minimum_kw"))
                json_object_set(demand, "minimum", json_object_get(from, "minimum_kw"));
        if (json_object_get(from, "lookback_months"))
                json_object_set(to, "lookback_months", json_object_get(from, "lookback_months"));
        if (json_object_get(from, "months"))
                json_object_set(to, "months", json_object_get(from, "months"));
        if (json_object_get(from, "percent"))
                json_object_set(to, "percent", json_object_get(from, "percent"));
        if (json_object_get(from, "percent_by_month"))
                json_object_set(to, "percent_by_month", json_object_get(from, "percent_by_month"));
        if (json_object_get(from, "use_current_month"))
                json_object_set(to, "use_current_by_month",
                                json_object_get(from, "use_current_month"));
        if (!json_object_get(from, "periods"))
                return 0;
        if (!has_periods)
                return import_fail(x, IMPORT_E_DOCUMENT, "a ratchet by periods without any");
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
        if (json_array_size(periods) == 0)
                return import_fail(x, IMPORT_E_DOCUMENT,
                                   "a ratchet must count the demand of at least one period");
        return 0;
}

/* One price or one list of tiers a month, on the billing demand. */
static int make_flat_demand(struct importer *x, json_t *rates)
{
        json_t *by_month = json_array(), *tiers_by_month = json_array(), *to;
        bool tiered = false;

        for (int m = 1; m <= 12 && !x->failed; m++) {
                enum urdb_limits limits;
                json_t *rows, *tiers;
                char key[8];

                snprintf(key, sizeof(key), "%d", m);
                rows = json_object_get(rates, key);
                urdb_tiers(x, rows, &limits, &tiers);
                if (!x->failed && limits == URDB_DAILY)
                        import_fail(x, IMPORT_E_UNSUPPORTED, "demand tiers per day");
                tiered = tiered || json_array_size(tiers) != 1;
                json_array_append(by_month, json_object_get(json_array_get(tiers, 0), "rate"));
                json_array_append_new(tiers_by_month, tiers);
        }
        to = json_pack("{s:s, s:s}", "type", "demand", "code", "demand_flat");
        if (tiered)
                json_object_set(to, "tiers_by_month", tiers_by_month);
        else
                json_object_set(to, "by_month", by_month);
        json_decref(by_month);
        json_decref(tiers_by_month);
        json_array_append_new(x->components, to);
        return x->failed;
}

/* Whether any energy tier counts hours of use. */
static bool by_hours_of_use(json_t *rates)
{
        json_t *list, *v;
        const char *key;
        size_t i;

        json_object_foreach(rates, key, list)
        {
                json_array_foreach(list, i, v)
                {
                        if (strncmp(import_text(v, "unit"), "kWh/kW", 6) == 0)
                                return true;
                }
        }
        return false;
}

static int make_demand(struct importer *x, json_t *source)
{
        json_t *tou = json_object_get(source, "demand_tou_rates"), *demand = json_object(), *to;
        json_t *flat = json_object_get(source, "demand_flat_by_month");
        json_t *weekday = json_object_get(source, "demand_weekday_schedule"),
               *weekend = json_object_get(source, "demand_weekend_schedule");
        json_t *window = json_object_get(source, "demand_window_minutes");

        if (!json_is_true(json_object_get(source, "demand_enabled")) &&
            !by_hours_of_use(json_object_get(source, "energy_rates"))) {
                json_decref(demand);
                return 0;
        }
        json_object_set_new(x->document, "demand", demand);
        if (window)
                json_object_set(demand, "window_minutes", window);
        if (!json_is_true(json_object_get(source, "demand_enabled")))
                return 0;
        if (tou && !urdb_schedule(x, "demand", weekday, weekend, tou))
                urdb_same_limits(x, "demand", weekday, weekend, tou);
        if (!x->failed)
                make_ratchet(x, source, demand, tou != NULL);
        if (!x->failed && flat && !all_zero(flat))
                make_flat_demand(x, flat);
        if (x->failed || !tou || all_zero(tou))
                return x->failed;
        to = json_pack("{s:s, s:s, s:s}", "type", "demand", "code", "demand_tou", "schedule",
                       "demand");
        if (json_object_get(json_object_get(source, "ratchet"), "periods"))
                json_object_set_new(to, "peak", json_string("billing"));
        json_array_append_new(x->components, to);
        return urdb_prices(x, tou, to);
}

/* ---- the rest ---- */

static void make_fixed(struct importer *x, json_t *source)
{
        static const struct {
                const char *member, *per;
        } fixed[] = { { "fixed_monthly", "month" }, { "fixed_daily", "day" } };

        for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++) {
                json_t *amount = json_object_get(source, fixed[i].member);

                if (!import_is_zero(amount))
                        json_array_append_new(x->components,
                                              json_pack("{s:s, s:s, s:s, s:O}", "type", "fixed",
                                                        "code", i ? "fixed_day" : "fixed", "per",
                                                        fixed[i].per, "amount", amount));
        }
}

static void make_minimum(struct importer *x, json_t *source)
{
        static const struct {
                const char *member, *code, *per;
        } minimum[] = { { "min_monthly", "minimum_month", "month" },
                        { "min_daily", "minimum_day", "day" },
                        { "min_annual", "minimum_year", "bill" } };

        json_t *of = json_array(), *v;
        size_t k;

        /* Minimums stand beside each other, on the charges and not on each other. */
        json_array_foreach(x->components, k, v)
        {
                json_array_append(of, json_object_get(v, "code"));
                if (strcmp(import_text(v, "type"), "net_metering") == 0)
                        json_array_append_new(of,
                                              json_sprintf("%s_export", import_text(v, "code")));
        }
        for (size_t i = 0; i < sizeof(minimum) / sizeof(*minimum); i++) {
                json_t *amount = json_object_get(source, minimum[i].member);
                bool annual = strcmp(minimum[i].member, "min_annual") == 0;

                if (import_is_zero(amount))
                        continue;
                json_array_append_new(x->components,
                                      json_pack("{s:s, s:s, s:s, s:O, s:b, s:s, s:O}", "type",
                                                "minimum_bill", "code", minimum[i].code, "per",
                                                minimum[i].per, "amount", amount, "annual", annual,
                                                "below_zero", "zero", "of", of));
        }
        json_decref(of);
}

static int import_flat(struct importer *x, json_t *source)
{
        static const char known[] =
                "schema fixed_monthly fixed_daily min_monthly min_daily min_annual "
                "energy_weekday_schedule energy_weekend_schedule energy_rates metering "
                "nm_yearend_sell_rate credit_month credit_rollover nb_credit_expire "
                "nb_apply_credit_current_month demand_enabled demand_weekday_schedule "
                "demand_weekend_schedule demand_tou_rates demand_flat_by_month ratchet "
                "demand_window_minutes valid_from valid_to name";
        const char *name = import_text(source, "name");

        if (import_known(x, source, "", known, "calendar note source url notes"))
                return x->failed;
        if (import_begin(x, *name ? name : "URDB", name, "electricity"))
                return x->failed;
        if (json_object_get(source, "valid_from"))
                json_object_set(x->document, "valid_from", json_object_get(source, "valid_from"));
        if (json_object_get(source, "valid_to"))
                json_object_set(x->document, "valid_to", json_object_get(source, "valid_to"));
        make_fixed(x, source);
        if (!make_energy(x, source))
                make_demand(x, source);
        make_minimum(x, source);
        return x->failed;
}

int import_urdb(json_t *source, const struct import_options *options, json_t **ret_document,
                struct rating_error *err)
{
        struct importer x = { .options = options, .err = err };
        json_t *flat;

        if (!json_is_object(source))
                return import_fail(&x, IMPORT_E_DOCUMENT, "a rate must be a JSON object");
        if (json_object_get(source, "energy_rates") ||
            strcmp(import_text(source, "schema"), "urdb-like-v1") == 0)
                flat = json_incref(source);
        else
                flat = urdb_flatten(&x, source);
        if (flat)
                import_flat(&x, flat);
        json_decref(flat);
        return import_end(&x, ret_document);
}
