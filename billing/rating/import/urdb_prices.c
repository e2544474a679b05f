/* Schedules of 12 months × 24 hours, and prices by period and tier. */

#include <stdio.h>
#include <string.h>

#include "internal.h"

/* One row of 24 periods as rules for one month and day type. */
static bool add_row(json_t *rules, json_t *row, int month, const char *days)
{
        size_t from = 0;

        if (json_array_size(row) != 24)
                return false;
        for (size_t h = 1; h <= 24; h++) {
                json_int_t p = json_integer_value(json_array_get(row, from));
                char begin[8], end[8], period[24];

                if (!json_is_integer(json_array_get(row, h - 1)))
                        return false;
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
                        json_t *copy = json_copy(r);

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

/* The periods that occur, in the order of the rates; each of them must have a price. */
static json_t *periods_used(json_t *rules, json_t *rates)
{
        json_t *periods = json_array(), *v, *r;
        const char *key;
        size_t i;

        json_object_foreach(rates, key, v) json_array_append_new(periods, json_string(key));
        json_array_foreach(rules, i, r)
        {
                if (!json_object_get(rates, import_text(r, "period"))) {
                        json_decref(periods);
                        return NULL;
                }
        }
        return periods;
}

int urdb_schedule(struct importer *x, const char *name, json_t *weekday, json_t *weekend,
                  json_t *rates)
{
        json_t *rules = json_array(), *periods;
        bool ok = json_array_size(weekday) == 12 && json_array_size(weekend) == 12;

        for (size_t m = 0; ok && m < 12; m++) {
                json_t *added = json_array();

                ok = add_row(added, json_array_get(weekday, m), (int)m + 1, "weekday") &&
                     add_row(added, json_array_get(weekend, m), (int)m + 1, "weekend");
                merge_rules(rules, added);
                json_decref(added);
        }
        if (!ok) {
                json_decref(rules);
                return import_fail(x, IMPORT_E_DOCUMENT,
                                   "%s schedule: must be 12 months of 24 whole numbers", name);
        }
        periods = periods_used(rules, rates);
        if (!periods) {
                json_decref(rules);
                return import_fail(x, IMPORT_E_DOCUMENT,
                                   "%s schedule: names a period for which there is no price", name);
        }
        if (!x->schedules) {
                x->schedules = json_object();
                json_object_set_new(x->document, "schedules", x->schedules);
        }
        json_object_set_new(x->schedules, name,
                            json_pack("{s:o, s:o}", "periods", periods, "rules", rules));
        return 0;
}

/* ---- tiers ---- */

enum unit { UNIT_PLAIN, UNIT_DAILY, UNIT_PER_KW, UNIT_PER_KW_DAILY, UNIT_OTHER };

static enum unit tier_unit(json_t *tier)
{
        static const struct {
                const char *name;
                enum unit unit;
        } units[] = { { "", UNIT_PLAIN },        { "kWh", UNIT_PLAIN },
                      { "kW", UNIT_PLAIN },      { "kWh daily", UNIT_DAILY },
                      { "kWh/kW", UNIT_PER_KW }, { "kWh/kW daily", UNIT_PER_KW_DAILY } };
        const char *s = import_text(tier, "unit");

        for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
                if (strcmp(units[i].name, s) == 0)
                        return units[i].unit;
        return UNIT_OTHER;
}

static bool per_kw(json_t *tier)
{
        enum unit u = tier_unit(tier);

        return u == UNIT_PER_KW || u == UNIT_PER_KW_DAILY;
}

static bool endless(json_t *max)
{
        /* Some tools write a huge number where others leave it out. */
        return !max || json_is_null(max) || json_number_value(max) >= 1e30;
}

static json_t *make_tier(struct importer *x, json_t *from)
{
        json_t *t = json_object(), *max = json_object_get(from, "max");

        import_known(x, from, "tier", "max unit rate sell", "note");
        if (tier_unit(from) == UNIT_OTHER)
                import_fail(x, IMPORT_E_UNSUPPORTED, "tier unit %s", import_text(from, "unit"));
        if (!json_is_number(json_object_get(from, "rate")))
                import_fail(x, IMPORT_E_DOCUMENT, "a tier has no rate");
        if (!endless(max))
                json_object_set(t, "upto", max);
        json_object_set(t, "rate", json_object_get(from, "rate"));
        if (json_object_get(from, "sell"))
                json_object_set(t, "sell", json_object_get(from, "sell"));
        if (per_kw(from) && !endless(max))
                json_object_set_new(t, "per", json_string("kw"));
        return t;
}

/* Rows of kWh behind a row of kWh/kW price the inside of that block of hours of use; its own
 * price does not count then. Their limits count from the bill's zero. */
static void put_inside(struct importer *x, json_t *block, json_t *tier)
{
        json_t *inside = json_object_get(block, "tiers");

        if (!block) {
                import_fail(x, IMPORT_E_UNSUPPORTED,
                            "kWh tiers before the first kWh/kW tier of a period");
                json_decref(tier);
                return;
        }
        if (!inside) {
                inside = json_array();
                json_object_set_new(block, "tiers", inside);
                json_object_set_new(block, "count", json_string("bill"));
        }
        json_array_append_new(inside, tier);
}

/* The last row inside a block holds for what is left of the block. */
static void open_last(json_t *tiers)
{
        json_t *t;
        size_t i;

        json_array_foreach(tiers, i, t)
        {
                json_t *inside = json_object_get(t, "tiers");

                if (inside)
                        json_object_del(json_array_get(inside, json_array_size(inside) - 1),
                                        "upto");
        }
}

int urdb_tiers(struct importer *x, json_t *rows, enum urdb_limits *ret_limits, json_t **ret)
{
        json_t *tiers = json_array(), *block = NULL, *v;
        bool any_kw = false, daily = false, plain = false;
        size_t i;

        *ret = tiers;
        if (json_array_size(rows) == 0)
                return import_fail(x, IMPORT_E_DOCUMENT, "a period without any tier");
        json_array_foreach(rows, i, v) any_kw = any_kw || per_kw(v);
        json_array_foreach(rows, i, v)
        {
                enum unit u = tier_unit(v);
                json_t *t = make_tier(x, v);

                /* The unit of a row without a limit makes no difference. */
                if (!endless(json_object_get(v, "max"))) {
                        daily = daily || u == UNIT_DAILY || u == UNIT_PER_KW_DAILY;
                        plain = plain || u == UNIT_PLAIN || u == UNIT_PER_KW;
                }
                if (any_kw && !per_kw(v)) {
                        put_inside(x, block, t);
                } else {
                        json_array_append_new(tiers, t);
                        block = t;
                }
        }
        open_last(tiers);
        if (daily && plain)
                return import_fail(x, IMPORT_E_UNSUPPORTED,
                                   "tiers per day and per month mixed in one period");
        *ret_limits = daily ? URDB_DAILY : plain ? URDB_MONTHLY : URDB_NONE;
        return x->failed;
}

int urdb_prices(struct importer *x, json_t *rates, json_t *component)
{
        json_t *prices = json_object(), *v;
        enum urdb_limits all = URDB_NONE;
        const char *key;

        json_object_set_new(component, "prices", prices);
        json_object_foreach(rates, key, v)
        {
                enum urdb_limits limits = URDB_NONE;
                json_t *tiers;

                if (x->failed)
                        break;
                urdb_tiers(x, v, &limits, &tiers);
                json_object_set_new(prices, key, json_pack("{s:o}", "tiers", tiers));
                if (limits != URDB_NONE && all != URDB_NONE && limits != all)
                        return import_fail(x, IMPORT_E_UNSUPPORTED,
                                           "tiers per day in some periods, per month in others");
                if (limits != URDB_NONE)
                        all = limits;
        }
        if (all == URDB_DAILY)
                json_object_set_new(component, "limits", json_pack("{s:i}", "per_days", 1));
        return x->failed;
}

/* ---- what the periods of one month must share ---- */

static bool same_limits(json_t *a, json_t *b)
{
        json_t *v;
        size_t i;

        if (json_array_size(a) != json_array_size(b))
                return false;
        json_array_foreach(a, i, v)
        {
                json_t *m = json_object_get(v, "max"),
                       *o = json_object_get(json_array_get(b, i), "max");

                if (endless(m) != endless(o) ||
                    (!endless(m) && json_number_value(m) != json_number_value(o)))
                        return false;
        }
        return true;
}

int urdb_same_limits(struct importer *x, const char *name, json_t *weekday, json_t *weekend,
                     json_t *rates)
{
        for (size_t m = 0; m < 12; m++) {
                json_t *first = NULL;

                for (size_t i = 0; i < 48; i++) {
                        json_t *row = json_array_get(i < 24 ? weekday : weekend, m);
                        char key[24];
                        json_t *tiers;

                        snprintf(key, sizeof(key), "%lld",
                                 (long long)json_integer_value(json_array_get(row, i % 24)));
                        tiers = json_object_get(rates, key);
                        first = first ? first : tiers;
                        if (!same_limits(first, tiers))
                                return import_fail(
                                        x, IMPORT_E_DOCUMENT,
                                        "%s prices: the tiers of period %s have other limits than "
                                        "those of another period of month %zu; this format fills "
                                        "the tiers of all periods of a month together",
                                        name, key, m + 1);
                }
        }
        return 0;
}
