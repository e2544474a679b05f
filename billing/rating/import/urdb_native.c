/*
 * A rate as the Utility Rate Database gives it, flattened: periods numbered from 1, adjustments
 * added to rates, fixed and minimum charges by their units, demand that goes by months told from
 * demand that goes by the hour.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "civil.h"
#include "decimal.h"
#include "internal.h"

/* What a rate says that changes no bill. */
static const char documentation[] =
        "label name utility eiaid uri approved sector servicetype description source sourceparent "
        "basicinformationcomments supercedes country country_code is_default revisions version "
        "voltagecategory phasewiring voltageminimum voltagemaximum peakkwcapacitymin "
        "peakkwcapacitymax peakkwcapacityhistory peakkwhusagemin peakkwhusagemax "
        "peakkwhusagehistory demandcomments energycomments demandattrs energyattrs fixedattrs "
        "demandunits dgrulescomments author latest created updated lastupdated tags enddate "
        "startdate";

static const char known[] =
        "fixedchargefirstmeter fixedchargeeaaddl fixedchargeunits fixedmonthlycharge mincharge "
        "minchargeunits minmonthlycharge annualmincharge energyratestructure energyweekdayschedule "
        "energyweekendschedule demandratestructure demandweekdayschedule demandweekendschedule "
        "demandrateunit demandwindow flatdemandstructure flatdemandmonths flatdemandunit dgrules "
        "usenetmetering demandratchetpercentage lookbackmonths lookbackpercent lookbackrange "
        "demandreactivepowercharge coincidentratestructure coincidentrateschedule "
        "coincidentrateunit";

/* The API writes its names in different cases over its versions. */
static json_t *lower_names(json_t *rate)
{
        json_t *o = json_object(), *v;
        const char *key;

        json_object_foreach(rate, key, v)
        {
                char name[80];
                size_t n = 0;

                for (; key[n] && n < sizeof(name) - 1; n++)
                        name[n] = key[n] >= 'A' && key[n] <= 'Z' ? (char)(key[n] + 32) : key[n];
                name[n] = '\0';
                json_object_set(o, name, v);
        }
        return o;
}

/* rate + adj as exact text. */
static json_t *price(struct importer *x, json_t *tier)
{
        static const char *const parts[] = { "rate", "adj" };
        struct decimal sum = DECIMAL_ZERO, d;
        char text[DECIMAL_TEXT_SIZE + 16];

        for (size_t i = 0; i < 2; i++) {
                json_t *v = json_object_get(tier, parts[i]);

                if (!v || json_is_null(v))
                        continue;
                if (!json_is_number(v)) {
                        import_fail(x, IMPORT_E_DOCUMENT, "%s of a tier is no number", parts[i]);
                        return NULL;
                }
                snprintf(text, sizeof(text), "%.10f", json_number_value(v));
                if (decimal_parse(text, &d) < 0 || decimal_add(sum, d, &sum) < 0)
                        import_fail(x, IMPORT_E_DOCUMENT, "%s of a tier is too large", parts[i]);
        }
        decimal_format(sum, 0, text);
        return json_real(strtod(text, NULL));
}

static json_t *flat_tiers(struct importer *x, json_t *rows)
{
        json_t *list = json_array(), *v;
        size_t i;

        json_array_foreach(rows, i, v)
        {
                json_t *t = json_object(), *unit = json_object_get(v, "unit");

                if (!json_is_object(v))
                        import_fail(x, IMPORT_E_DOCUMENT, "a tier must be an object");
                import_known(x, v, "tier", "rate adj max unit sell", "");
                if (json_object_get(v, "max"))
                        json_object_set(t, "max", json_object_get(v, "max"));
                if (unit)
                        json_object_set(t, "unit", unit);
                if (json_object_get(v, "sell"))
                        json_object_set(t, "sell", json_object_get(v, "sell"));
                json_object_set_new(t, "rate", price(x, v));
                json_array_append_new(list, t);
        }
        return list;
}

/* Lists by period, numbered from 1. */
static json_t *flat_rates(struct importer *x, json_t *structure)
{
        json_t *rates = json_object(), *v;
        char key[24];
        size_t i;

        json_array_foreach(structure, i, v)
        {
                snprintf(key, sizeof(key), "%zu", i + 1);
                json_object_set_new(rates, key, flat_tiers(x, v));
        }
        return rates;
}

static json_t *from_one(json_t *schedule)
{
        json_t *to = json_array(), *row, *v;
        size_t m, h;

        json_array_foreach(schedule, m, row)
        {
                json_t *hours = json_array();

                json_array_foreach(row, h, v) json_array_append_new(
                        hours,
                        json_is_integer(v) ? json_integer(json_integer_value(v) + 1) : json_null());
                json_array_append_new(to, hours);
        }
        return to;
}

static void flatten_energy(struct importer *x, json_t *rate, json_t *to)
{
        json_t *structure = json_object_get(rate, "energyratestructure");

        if (!json_is_array(structure)) {
                import_fail(x, IMPORT_E_UNSUPPORTED,
                            "energyratestructure is missing; rates of periods in single members "
                            "(API before 3) are not read");
                return;
        }
        json_object_set_new(to, "energy_rates", flat_rates(x, structure));
        json_object_set_new(to, "energy_weekday_schedule",
                            from_one(json_object_get(rate, "energyweekdayschedule")));
        json_object_set_new(to, "energy_weekend_schedule",
                            from_one(json_object_get(rate, "energyweekendschedule")));
}

/* ---- demand ---- */

static bool plain_kw(struct importer *x, json_t *rate, const char *member)
{
        const char *unit = import_text(rate, member);

        if (!*unit || strcmp(unit, "kW") == 0)
                return true;
        import_fail(x, IMPORT_E_UNSUPPORTED, "%s %s; only kW is known", member, unit);
        return false;
}

static void flatten_flat_demand(struct importer *x, json_t *rate, json_t *to)
{
        json_t *structure = json_object_get(rate, "flatdemandstructure"),
               *months = json_object_get(rate, "flatdemandmonths"), *by_month = json_object();

        json_object_set_new(to, "demand_flat_by_month", by_month);
        for (int m = 0; m < 12; m++) {
                size_t p = (size_t)json_integer_value(json_array_get(months, (size_t)m));
                char key[8];

                if (months && json_array_size(months) != 12)
                        import_fail(x, IMPORT_E_DOCUMENT, "flatdemandmonths must hold 12 numbers");
                if (p >= json_array_size(structure))
                        import_fail(x, IMPORT_E_DOCUMENT,
                                    "flatdemandmonths names period %zu of flatdemandstructure, "
                                    "which has %zu",
                                    p, json_array_size(structure));
                snprintf(key, sizeof(key), "%d", m + 1);
                json_object_set_new(by_month, key, flat_tiers(x, json_array_get(structure, p)));
        }
}

/* lookbackRange: the months before; lookbackMonths: named months; either with lookbackPercent. */
static void flatten_ratchet(struct importer *x, json_t *rate, json_t *to)
{
        json_t *percent = json_object_get(rate, "lookbackpercent"),
               *named = json_object_get(rate, "lookbackmonths"), *list, *v, *ratchet;
        json_t *by_month = json_object_get(rate, "demandratchetpercentage");
        size_t i;

        json_array_foreach(by_month, i, v)
        {
                if (!import_is_zero(v))
                        import_fail(x, IMPORT_E_UNSUPPORTED,
                                    "demandratchetpercentage, which does not say how many months "
                                    "it looks back");
        }
        if (import_is_zero(percent))
                return;
        list = json_array();
        json_array_foreach(named, i, v) if (json_is_true(v) || json_integer_value(v) != 0)
                json_array_append_new(list, json_integer((json_int_t)i + 1));
        ratchet = json_object();
        json_object_set_new(to, "ratchet", ratchet);
        /* A share or a percentage: nobody's demand counts for less than 1 %. */
        json_object_set_new(ratchet, "percent",
                            json_real(json_number_value(percent) *
                                      (json_number_value(percent) <= 1 ? 100 : 1)));
        if (json_array_size(list) > 0)
                json_object_set(ratchet, "months", list);
        else
                json_object_set_new(
                        ratchet, "lookback_months",
                        json_integer(json_integer_value(json_object_get(rate, "lookbackrange"))));
        json_decref(list);
}

static void flatten_demand(struct importer *x, json_t *rate, json_t *to)
{
        json_t *tou = json_object_get(rate, "demandratestructure"),
               *flat = json_object_get(rate, "flatdemandstructure"),
               *window = json_object_get(rate, "demandwindow");

        if (window && json_number_value(window) > 0)
                json_object_set_new(to, "demand_window_minutes",
                                    json_integer((json_int_t)json_number_value(window)));
        if (!tou && !flat)
                return;
        json_object_set_new(to, "demand_enabled", json_true());
        if (tou && plain_kw(x, rate, "demandrateunit")) {
                json_object_set_new(to, "demand_tou_rates", flat_rates(x, tou));
                json_object_set_new(to, "demand_weekday_schedule",
                                    from_one(json_object_get(rate, "demandweekdayschedule")));
                json_object_set_new(to, "demand_weekend_schedule",
                                    from_one(json_object_get(rate, "demandweekendschedule")));
        }
        if (flat && plain_kw(x, rate, "flatdemandunit"))
                flatten_flat_demand(x, rate, to);
        flatten_ratchet(x, rate, to);
}

/* ---- fixed, minimum, metering ---- */

/* An amount by its unit: "$/month", "$/day", "$/year". */
static void by_unit(struct importer *x, json_t *to, json_t *amount, const char *unit,
                    const char *otherwise, const char *const members[3])
{
        static const char *const units[] = { "$/month", "$/day", "$/year" };

        if (!*unit)
                unit = otherwise;
        for (size_t i = 0; i < 3; i++)
                if (strcmp(units[i], unit) == 0 && members[i]) {
                        json_object_set(to, members[i], amount);
                        return;
                }
        if (!import_is_zero(amount))
                import_fail(x, IMPORT_E_UNSUPPORTED, "a charge in %s", unit);
}

static void flatten_fixed(struct importer *x, json_t *rate, json_t *to)
{
        static const char *const fixed[] = { "fixed_monthly", "fixed_daily", NULL };
        static const char *const minimum[] = { "min_monthly", "min_daily", "min_annual" };

        if (json_object_get(rate, "fixedmonthlycharge"))
                json_object_set(to, "fixed_monthly", json_object_get(rate, "fixedmonthlycharge"));
        if (json_object_get(rate, "fixedchargefirstmeter"))
                by_unit(x, to, json_object_get(rate, "fixedchargefirstmeter"),
                        import_text(rate, "fixedchargeunits"), "$/month", fixed);
        if (json_object_get(rate, "minmonthlycharge"))
                json_object_set(to, "min_monthly", json_object_get(rate, "minmonthlycharge"));
        if (json_object_get(rate, "annualmincharge"))
                json_object_set(to, "min_annual", json_object_get(rate, "annualmincharge"));
        if (json_object_get(rate, "mincharge"))
                by_unit(x, to, json_object_get(rate, "mincharge"),
                        import_text(rate, "minchargeunits"), "$/month", minimum);
}

static void flatten_metering(struct importer *x, json_t *rate, json_t *to)
{
        static const struct {
                const char *rules, *metering;
        } rules[] = { { "Net Metering", "net_metering_kwh_rollover" },
                      { "Net Billing Instantaneous", "net_billing" },
                      { "Net Billing Hourly", "net_billing" },
                      { "Buy All Sell All", "buy_all_sell_all" } };
        const char *name = import_text(rate, "dgrules");
        const char *metering =
                json_is_true(json_object_get(rate, "usenetmetering")) ? rules[0].metering : "none";

        for (size_t i = 0; *name && i < sizeof(rules) / sizeof(*rules); i++)
                if (strcmp(rules[i].rules, name) == 0) {
                        metering = rules[i].metering;
                        name = "";
                }
        if (*name)
                import_fail(x, IMPORT_E_UNSUPPORTED, "dgrules %s", name);
        json_object_set_new(to, "metering", json_string(metering));
        json_object_set_new(to, "credit_month", json_integer(12));
}

/* "2017-01-01", "2017-01-01T08:00:00.000Z" or seconds since 1970, as a day; @later days on. */
static void flatten_day(json_t *rate, const char *member, json_t *to, const char *as, int later)
{
        json_t *v = json_object_get(rate, member);
        char day[CIVIL_RFC3339_SIZE] = "";
        int64_t parsed;

        if (json_is_integer(v) && json_integer_value(v) > 0 &&
            json_integer_value(v) < INT64_C(100000000000))
                civil_format(json_integer_value(v), 0, day);
        else if (json_is_string(v))
                snprintf(day, sizeof(day), "%.10s", json_string_value(v));
        day[10] = '\0';
        if (civil_parse_date(day, &parsed) < 0)
                return;
        civil_format((parsed + later) * 86400, 0, day);
        day[10] = '\0';
        json_object_set_new(to, as, json_string(day));
}

/* Charges that are known by name and can be expressed in no tariff document. */
static void refuse_rest(struct importer *x, json_t *rate)
{
        static const char *const members[] = { "demandreactivepowercharge", "fixedchargeeaaddl" };

        for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
                if (!import_is_zero(json_object_get(rate, members[i])))
                        import_fail(x, IMPORT_E_UNSUPPORTED, "%s", members[i]);
        if (json_array_size(json_object_get(rate, "coincidentratestructure")) > 0)
                import_fail(x, IMPORT_E_UNSUPPORTED,
                            "coincidentratestructure: the utility's own peak hour is not measured");
}

json_t *urdb_flatten(struct importer *x, json_t *source)
{
        json_t *rate = lower_names(source), *to = json_object();

        import_known(x, rate, "", known, documentation);
        json_object_set_new(to, "schema", json_string("urdb-like-v1"));
        json_object_set_new(
                to, "name",
                json_string(*import_text(rate, "name") ? import_text(rate, "name") : "URDB"));
        flatten_day(rate, "startdate", to, "valid_from", 0);
        flatten_day(rate, "enddate", to, "valid_to", 1); /* their last day, our first without */
        refuse_rest(x, rate);
        flatten_fixed(x, rate, to);
        flatten_metering(x, rate, to);
        flatten_energy(x, rate, to);
        flatten_demand(x, rate, to);
        json_decref(rate);
        if (!x->failed)
                return to;
        json_decref(to);
        return NULL;
}
