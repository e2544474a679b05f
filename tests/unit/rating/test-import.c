/* Published tariffs of other formats: what they become, and why some cannot become anything. */

#include "hr_test.h"

#include "document_diff.h"
#include "import.h"

/* The document as compact text, or the error's text. In one of four static buffers. */
static const char *imported(enum import_format format, const char *text,
                            const struct import_options *options)
{
        static char out[4][6000];
        static int k;
        char *o = out[++k % 4], *copy = malloc(strlen(text)), *json;
        struct rating_error err = { 0 };
        struct rating_tariff *t = NULL;
        json_t *document = NULL;
        int e;

        memcpy(copy, text, strlen(text));
        e = import_tariff(format, copy, strlen(text), options, &document, &err);
        free(copy);
        if (e) {
                snprintf(o, 6000, "%d: %s", e, err.text);
                return o;
        }
        json = json_dumps(document, JSON_COMPACT);
        snprintf(o, 6000, "%s", json);
        /* What an importer makes must load. */
        e = rating_tariff_load(&t, json, strlen(json), &err);
        if (e)
                snprintf(o, 6000, "does not load: %s\n%s", err.text, json);
        rating_tariff_free(t);
        free(json);
        json_decref(document);
        return o;
}

static void expect(const char *have, const char *part)
{
        if (!strstr(have, part))
                printf("\nexpected: %s\nin: %s\n", part, have);
        CU_ASSERT_PTR_NOT_NULL(strstr(have, part));
}

/* ---- URDB ---- */

#define DAY "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,1,1,1,1,0,0,0]"
#define FLAT "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]"
#define YEAR(row) "[" row "," row "," row "," row "," row "," row "," row "," row "," row "," row "," row "," row "]"
#define SCHEDULES \
        "\"energyweekdayschedule\":" YEAR(DAY) ",\"energyweekendschedule\":" YEAR(FLAT)

static const struct import_options plain = { .code = NULL };

static void urdb_rate(void)
{
        const char *s = imported(
                IMPORT_URDB,
                "{\"items\":[{\"label\":\"x1\",\"utility\":\"U\",\"name\":\"Time of Use - 2\","
                "\"startdate\":1483228800,\"enddate\":1514678400,\"approved\":true,"
                "\"fixedchargefirstmeter\":12.5,\"fixedchargeunits\":\"$/month\","
                "\"mincharge\":0.5,\"minchargeunits\":\"$/day\","
                "\"energyratestructure\":[[{\"max\":300,\"rate\":0.1,\"adj\":0.01,\"unit\":\"kWh\"},"
                "{\"rate\":0.2}],[{\"max\":300,\"rate\":0.3},{\"rate\":0.4}]]," SCHEDULES
                ",\"flatdemandstructure\":[[{\"rate\":4}],[{\"max\":20,\"rate\":5},{\"rate\":6}]],"
                "\"flatdemandmonths\":[0,0,0,0,0,1,1,1,1,0,0,0],\"demandwindow\":30}]}",
                &plain);

        expect(s, "\"code\":\"TIME-OF-USE-2\"");
        expect(s, "\"valid_from\":\"2017-01-01\"");
        expect(s, "\"valid_to\":\"2018-01-01\"");
        expect(s, "\"per\":\"month\",\"amount\":12.5");
        expect(s, "\"minimum_day\",\"per\":\"day\",\"amount\":0.5");
        expect(s, "{\"1\":{\"tiers\":[{\"upto\":300,\"rate\":0.11");
        expect(s, "\"window_minutes\":30");
        expect(s, "\"tiers_by_month\"");
        expect(s, "\"type\":\"energy\"");
}

static void urdb_reasons(void)
{
        static const struct {
                const char *extra, *why;
        } t[] = {
                { "\"coincidentratestructure\":[[{\"rate\":1}]]", "100: coincidentratestructure" },
                { "\"demandreactivepowercharge\":0.5", "100: demandreactivepowercharge" },
                { "\"demandrateunit\":\"kVA\",\"demandratestructure\":[[{\"rate\":1}]],"
                  "\"demandweekdayschedule\":" YEAR(FLAT) ",\"demandweekendschedule\":" YEAR(FLAT),
                  "100: demandrateunit kVA" },
                { "\"fixedchargefirstmeter\":3,\"fixedchargeunits\":\"$/year\"",
                  "100: a charge in $/year" },
                { "\"dgrules\":\"Feed-In\"", "100: dgrules Feed-In" },
                { "\"windfall\":1", "100: member windfall is not known" },
                { "\"flatdemandstructure\":[[{\"rate\":4}]],"
                  "\"flatdemandmonths\":[0,0,0,0,0,1,1,1,1,0,0,0]",
                  "1: flatdemandmonths names period 1 of flatdemandstructure, which has 1" },
        };

        for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
                char text[6000];

                snprintf(text, sizeof(text),
                         "{\"energyratestructure\":[[{\"rate\":0.1}],[{\"rate\":0.2}]]," SCHEDULES
                         ",%s}",
                         t[i].extra);
                expect(imported(IMPORT_URDB, text, &plain), t[i].why);
        }
        expect(imported(IMPORT_URDB,
                        "{\"energyratestructure\":[[{\"rate\":0.1}]]," SCHEDULES "}", &plain),
               "1: energy schedule: names a period for which there is no price");
        expect(imported(IMPORT_URDB, "{\"energyratestructure\":[[", &plain), "1: line 1, column");
        expect(imported(IMPORT_URDB, "{\"items\":[]}", &plain), "1: \"items\" holds 0 rates");
}

/* ---- OWRS ---- */

static const char owrs[] = "---\n"
                           "metadata:\n"
                           "  effective_date: 07-01-2016\n"
                           "  utility_name: \"Example Water\"\n"
                           "  bill_unit: ccf\n"
                           "rate_structure:\n"
                           "  RESIDENTIAL_SINGLE:\n"
                           "    service_charge:\n"
                           "      depends_on: meter_size\n"
                           "      values:\n"
                           "         5/8\": 10.50\n"
                           "         1\"  : 20\n"
                           "    tier_starts: [0, 11, 21]\n"
                           "    tier_prices:\n"
                           "      - 1.10\n"
                           "      - 2.20\n"
                           "      - 3.30\n"
                           "    commodity_charge: Tiered\n"
                           "    fund: 0.25\n"
                           "    fund_charge: fund*usage_ccf+1\n"
                           "    bill: 1.02*(service_charge+commodity_charge)+fund_charge\n"
                           "  IRRIGATION:\n"
                           "    gpcd: 60\n"
                           "    days_in_period: 30\n"
                           "    indoor: \"gpcd*hhsize*days_in_period*(1/750)\"\n"
                           "    outdoor: 10\n"
                           "    budget: indoor+outdoor\n"
                           "    tier_starts: [0, indoor, 100%, 150%]\n"
                           "    tier_prices: [1, 2, 3, 4]\n"
                           "    commodity_charge: Budget\n"
                           "    bill: commodity_charge\n";

static void owrs_class(void)
{
        static const struct import_fact size = { "meter_size", "5/8\"" }, people = { "hhsize", "3" };
        struct import_options options = { .fact = &size, .n_facts = 1 };
        const char *s = imported(IMPORT_OWRS, owrs, &options);

        expect(s, "\"code\":\"EXAMPLE-WATER\"");
        expect(s, "\"valid_from\":\"2016-07-01\"");
        expect(s, "\"code\":\"service_charge\",\"amount\":\"10.5\"");
        expect(s, "\"tiers\":[{\"rate\":\"1.1\",\"upto\":\"10\"},{\"rate\":\"2.2\",\"upto\":\"20\"},"
                  "{\"rate\":\"3.3\"}]");
        expect(s, "\"of\":[\"service_charge\",\"commodity_charge\"],\"pct\":\"2\"");
        expect(s, "\"code\":\"fund_charge_use\",\"rate\":\"0.25\"");
        expect(s, "\"code\":\"fund_charge\",\"amount\":\"1\"");
        expect(s, "\"ccf\":{\"unit\":\"ccf\",\"multiply\":[\"water.volume\"],\"divide\":"
                  "[\"2.8316846592\"]}");
        options = (struct import_options){ .class = "irrigation", .fact = &people, .n_facts = 1 };
        s = imported(IMPORT_OWRS, owrs, &options);
        expect(s, "{\"rate\":\"1\",\"upto\":\"7.2");
        expect(s, "{\"rate\":\"2\",\"upto\":\"17.2");
        expect(s, "{\"rate\":\"3\",\"upto\":\"25.8");
}

static void owrs_reasons(void)
{
        static const struct import_fact size = { "meter_size", "9\"" };
        struct import_options other = { .fact = &size, .n_facts = 1 },
                              class = { .class = "FIRE" };

        expect(imported(IMPORT_OWRS, owrs, &plain), "100: service_charge depends on meter_size");
        expect(imported(IMPORT_OWRS, owrs, &other), "100: service_charge has no value for \"9\"");
        expect(imported(IMPORT_OWRS, owrs, &class),
               "100: there is no customer class FIRE; there are RESIDENTIAL_SINGLE, IRRIGATION");
        expect(imported(IMPORT_OWRS, "a: [1\nb: 2", &plain), "1: line 2, column 2");
        expect(imported(IMPORT_OWRS,
                        "rate_structure: {RESIDENTIAL_SINGLE: {a: b, b: a, bill: a+b}}", &plain),
               "1: a formula that leads back to itself");
        expect(imported(IMPORT_OWRS,
                        "rate_structure: {RESIDENTIAL_SINGLE: {bill: usage_ccf*usage_ccf}}", &plain),
               "100: a formula that is not money plus so much a unit");
        expect(imported(IMPORT_OWRS, "rate_structure: {RESIDENTIAL_SINGLE: {bill: 2*(3+4}}",
                        &plain),
               "1: bill: a bracket is not closed");
}

/* ---- CSV ---- */

static void csv_table(void)
{
        const char *s = imported(IMPORT_CSV,
                                 "type;code;upto;rate;amount;per;pct;of;tax;name;currency\r\n"
                                 "tariff;T7;;;;;;;;\"Seven; \"\"new\"\"\";EUR\r\n"
                                 "fixed;base;;;5.00;month;;;;;\r\n"
                                 "energy;e;100;0.10;;;;;;;\r\n"
                                 "energy;e;;0.20;;;;;;;\r\n"
                                 "percent;vat;;;;;19;base e;yes;;\r\n",
                                 &plain);

        expect(s, "\"code\":\"T7\"");
        expect(s, "\"name\":\"Seven; \\\"new\\\"\"");
        expect(s, "\"currency\":\"EUR\"");
        expect(s, "{\"type\":\"fixed\",\"code\":\"base\",\"per\":\"month\",\"amount\":\"5.00\"}");
        expect(s, "\"tiers\":[{\"upto\":\"100\",\"rate\":\"0.10\"},{\"rate\":\"0.20\"}]");
        expect(s, "\"tax\":true,\"of\":[\"base\",\"e\"],\"pct\":\"19\"");
        expect(imported(IMPORT_CSV, "type,code,colour\n", &plain),
               "100: column \"colour\" is not known");
        expect(imported(IMPORT_CSV, "type,code,rate\nenergy,,1\n", &plain),
               "1: line 2: there is no code");
        expect(imported(IMPORT_CSV, "type,code,rate\nfixed,a,1\nfixed,a,2\n", &plain),
               "1: line 3: a has a price already");
        expect(imported(IMPORT_CSV, "type,code\nfixed,a,1\n", &plain), "1: line 2: 3 cells");
        expect(imported(IMPORT_CSV, "", &plain), "1: the first row must name the columns");
}

/* ---- differences ---- */

static void differences(void)
{
        json_t *a = json_loads("{\"name\":\"A\",\"components\":[{\"code\":\"f\",\"amount\":5},"
                               "{\"code\":\"e\",\"tiers\":[{\"upto\":50,\"rate\":\"0.10\"},{\"rate\":1"
                               "}]}]}",
                               0, NULL),
               *b = json_loads("{\"name\":\"A\",\"components\":[{\"code\":\"e\",\"tiers\":[{\"upto\":"
                               "50,\"rate\":0.1},{\"rate\":2}]},{\"code\":\"f\",\"amount\":5,\"per\":"
                               "\"day\"},{\"code\":\"g\"}]}",
                               0, NULL);
        json_t *d = rating_document_diff(a, b), *same = rating_document_diff(a, a);
        char *s = json_dumps(d, JSON_COMPACT);

        CU_ASSERT_EQUAL(json_array_size(same), 0);
        CU_ASSERT_STRING_EQUAL(
                s, "[{\"path\":\"components[f].per\",\"after\":\"day\"},"
                   "{\"path\":\"components[e].tiers[1].rate\",\"before\":1,\"after\":2},"
                   "{\"path\":\"components[g]\",\"after\":{\"code\":\"g\"}},"
                   "{\"path\":\"components.order\"}]");
        if (strstr(s, "0.1"))
                printf("\n%s\n", s);
        free(s);
        json_decref(a);
        json_decref(b);
        json_decref(d);
        json_decref(same);
}

HR_TESTS("tariff import", { "urdb rate", urdb_rate }, { "urdb reasons", urdb_reasons },
         { "owrs class", owrs_class }, { "owrs reasons", owrs_reasons }, { "csv", csv_table },
         { "differences", differences })
