/* Which quantity of the usage a component bills, and in which unit. */

#include <stdlib.h>
#include <string.h>

#include "tariff_cases_internal.h"

enum dimension { DIM_ENERGY = 1, DIM_VOLUME, DIM_POWER };

/* Exact: 1 unit = num / den of the dimension's first. */
static const struct unit {
        const char *name;
        enum dimension dimension;
        const char *num, *den;
} units[] = { { "kwh", DIM_ENERGY, "1", "1" },
              { "wh", DIM_ENERGY, "1", "1000" },
              { "mwh", DIM_ENERGY, "1000", "1" },
              { "mj", DIM_ENERGY, "1", "3.6" },
              { "gj", DIM_ENERGY, "1000", "3.6" },
              { "gcal", DIM_ENERGY, "1163", "1" },
              { "therm", DIM_ENERGY, "105.505585262", "3.6" },
              { "m3", DIM_VOLUME, "1", "1" },
              { "cubic_metres", DIM_VOLUME, "1", "1" },
              { "kl", DIM_VOLUME, "1", "1" },
              { "l", DIM_VOLUME, "1", "1000" },
              { "litres", DIM_VOLUME, "1", "1000" },
              { "cf", DIM_VOLUME, "0.028316846592", "1" },
              { "ccf", DIM_VOLUME, "2.8316846592", "1" },
              { "hcf", DIM_VOLUME, "2.8316846592", "1" },
              { "mcf", DIM_VOLUME, "28.316846592", "1" },
              { "gal", DIM_VOLUME, "0.003785411784", "1" },
              { "kgal", DIM_VOLUME, "3.785411784", "1" },
              { "kw", DIM_POWER, "1", "1" },
              { "kva", DIM_POWER, "1", "1" } };

/* "m3" of "m3", of "import_m3" and of "m3_used". */
static const struct unit *unit_named(const char *name)
{
        const struct unit *best = NULL;

        for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
                const char *at = strstr(name, units[i].name);
                size_t n = strlen(units[i].name);

                if (!at || (at != name && at[-1] != '_') || (at[n] && at[n] != '_' && at[n] != ':'))
                        continue;
                if (!best || strlen(best->name) < n)
                        best = &units[i];
        }
        return best;
}

int unit_billed(const char *name)
{
        static const char counts[] =
                " units unit usage quantity consumption seconds minutes calls count volume ";
        const struct unit *u = unit_named(name);
        char padded[60];

        snprintf(padded, sizeof(padded), " %.50s ", name);
        if (strncmp(name, "import_", 7) == 0)
                return 3;
        if (u && u->dimension != DIM_POWER && strncmp(name, "export", 6) != 0 &&
            strncmp(name, "gener", 5) != 0)
                return 2;
        return strstr(counts, padded) ? 1 : 0;
}

static void lower(const char *text, char out[static 40])
{
        size_t n = 0;

        for (; text[n] && n < 39; n++)
                out[n] = text[n] >= 'A' && text[n] <= 'Z' ? (char)(text[n] + 32)
                         : text[n] == ' '                 ? '_'
                                                          : text[n];
        out[n] = '\0';
}

/* The quantity @from in @to's unit, as a quantity of its own. */
static const char *convert(struct mapping *m, const char *from, const struct unit *have,
                           const struct unit *want)
{
        char name[100];

        if (strcmp(have->num, want->num) == 0 && strcmp(have->den, want->den) == 0)
                return from;
        snprintf(name, sizeof(name), "%s in %s", from, want->name);
        if (!m->quantities)
                m->quantities = json_object();
        json_object_set_new(m->quantities, name,
                            json_pack("{s:s, s:[s, s, s], s:[s, s]}", "unit", want->name,
                                      "multiply", from, have->num, want->den, "divide", have->den,
                                      want->num));
        return arena_str(&m->c->arena, name);
}

const char *unit_quantity(struct mapping *m, const char *unit)
{
        char name[40];
        const struct unit *want, *have;
        const char *key;
        json_t *v;
        const char *currency = case_member(m->c->json, "currency");
        size_t n = strlen(currency);

        /* "USD/kWh" is kWh; a price in another money is not read as one in the case's. */
        if (n && strncmp(unit, currency, n) == 0 && unit[n] == '/')
                unit += n + 1;
        if (strchr(unit, '/'))
                return NULL;
        lower(unit, name);
        if (!*name)
                return m->quantity;
        if (json_is_number(json_object_get(m->c->usage, name)))
                return arena_str(&m->c->arena, name);
        want = unit_named(name);
        if (!want)
                return m->quantity; /* "unit", "block", "call": what is billed in this case */
        json_object_foreach(m->c->usage, key, v)
        {
                have = json_is_number(v) ? unit_named(key) : NULL;
                if (have && have->dimension == want->dimension &&
                    (strncmp(key, "import_", 7) == 0 || !m->quantity ||
                     strcmp(key, m->quantity) == 0 || want->dimension == DIM_POWER))
                        return convert(m,
                                       strcmp(key, "peak_kw") == 0 ? "energy.import:peak_kw" : key,
                                       have, want);
        }
        have = m->quantity ? unit_named(m->quantity) : NULL;
        return have ? NULL : m->quantity; /* units without a name may be any */
}
