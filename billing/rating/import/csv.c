/*
 * A table of components. The first row names the columns; every other row is a component, or one
 * more tier of the component above when it has the same code. A row of type "tariff" gives the
 * head. Columns, in any order, empty cells meaning "not said":
 *
 *   type code text unit quantity per amount rate upto flat pct of tax mode subtract
 *   name commodity currency valid_from valid_to          (of the "tariff" row)
 *
 * "of" lists codes with blanks between them. Cells may be quoted; separators are "," or ";".
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { MAX_COLUMNS = 32, MAX_CELL = 400 };

struct table {
        struct importer *x;
        const char *p, *end;
        char separator;
        unsigned line;
        char name[MAX_COLUMNS][24];
        unsigned n_columns;
        char cell[MAX_COLUMNS][MAX_CELL];
        unsigned n;
};

static const char known[] =
        "type code text unit quantity per amount rate upto flat pct of tax mode "
        "subtract name commodity currency valid_from valid_to";

/* One cell up to the separator or the line's end; quotes may hold both. */
static void read_cell(struct table *t, char out[static MAX_CELL])
{
        bool quoted = t->p < t->end && *t->p == '"';
        size_t n = 0;

        if (quoted)
                t->p++;
        for (; t->p < t->end; t->p++) {
                if (quoted && *t->p == '"') {
                        if (t->p + 1 >= t->end || t->p[1] != '"') {
                                t->p++;
                                break;
                        }
                        t->p++;
                } else if (!quoted && (*t->p == t->separator || *t->p == '\n')) {
                        break;
                }
                if (*t->p == '\n')
                        t->line++;
                if (n + 1 >= MAX_CELL) {
                        import_fail(t->x, IMPORT_E_DOCUMENT,
                                    "line %u: a cell of more than %d bytes", t->line, MAX_CELL - 1);
                        break;
                }
                out[n++] = *t->p;
        }
        while (n > 0 && (out[n - 1] == '\r' || out[n - 1] == ' '))
                n--;
        out[n] = '\0';
}

/* The next line that holds anything; false at the end. */
static bool read_row(struct table *t)
{
        while (t->p < t->end && !t->x->failed) {
                bool more = true, any = false;

                t->n = 0;
                t->line++;
                while (more && !t->x->failed) {
                        if (t->n == MAX_COLUMNS) {
                                import_fail(t->x, IMPORT_E_DOCUMENT,
                                            "line %u: more than %d columns", t->line, MAX_COLUMNS);
                                return false;
                        }
                        read_cell(t, t->cell[t->n]);
                        any = any || t->cell[t->n][0];
                        t->n++;
                        more = t->p < t->end && *t->p == t->separator;
                        if (!more && t->p < t->end && *t->p != '\n' && *t->p != '\r')
                                import_fail(t->x, IMPORT_E_DOCUMENT,
                                            "line %u: text behind a closing quote", t->line);
                        if (t->p < t->end)
                                t->p++;
                }
                if (any && !t->x->failed)
                        return true;
        }
        return false;
}

static void read_names(struct table *t)
{
        size_t commas = 0, semicolons = 0;

        for (const char *p = t->p; p < t->end && *p != '\n'; p++) {
                commas += *p == ',';
                semicolons += *p == ';';
        }
        t->separator = semicolons > commas ? ';' : ',';
        if (!read_row(t)) {
                import_fail(t->x, IMPORT_E_DOCUMENT, "the first row must name the columns");
                return;
        }
        for (unsigned i = 0; i < t->n; i++) {
                if (!import_listed(known, t->cell[i])) {
                        import_fail(t->x, IMPORT_E_UNSUPPORTED,
                                    "column \"%.30s\" is not known; known are %s", t->cell[i],
                                    known);
                        return;
                }
                memcpy(t->name[i], t->cell[i], strnlen(t->cell[i], sizeof(t->name[i]) - 1));
        }
        t->n_columns = t->n;
}

static const char *cell(const struct table *t, const char *name)
{
        for (unsigned i = 0; i < t->n_columns && i < t->n; i++)
                if (strcmp(t->name[i], name) == 0)
                        return t->cell[i];
        return "";
}

static void take(const struct table *t, json_t *o, const char *name)
{
        const char *s = cell(t, name);

        if (*s)
                json_object_set_new(o, name, json_string(s));
}

static bool flag(const struct table *t, const char *name)
{
        return import_listed("1 yes true x", cell(t, name));
}

static void take_head(struct table *t)
{
        static const char *const members[] = { "code",     "name",       "commodity",
                                               "currency", "valid_from", "valid_to" };

        for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
                take(t, t->x->document, members[i]);
}

static json_t *one_tier(const struct table *t)
{
        static const char *const members[] = { "upto", "rate", "flat", "pct" };
        json_t *tier = json_object();

        for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
                take(t, tier, members[i]);
        return tier;
}

static json_t *codes_of(const char *text)
{
        json_t *list = json_array();

        while (*text) {
                size_t n = strcspn(text, " ");

                if (n)
                        json_array_append_new(list, json_stringn(text, n));
                text += n + (text[n] == ' ');
        }
        return list;
}

static void take_component(struct table *t)
{
        static const char *const members[] = { "type",     "code", "text",   "unit",
                                               "quantity", "per",  "amount", "mode" };
        static const char tiered[] = "energy demand tiered_percentage band_fixed over_contract";
        json_t *o = json_object(), *of = codes_of(cell(t, "of"));
        bool by_tier = import_listed(tiered, cell(t, "type")) &&
                       (*cell(t, "upto") || *cell(t, "flat") || !*cell(t, "rate"));

        for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
                take(t, o, members[i]);
        if (flag(t, "tax"))
                json_object_set_new(o, "tax", json_true());
        if (flag(t, "subtract"))
                json_object_set_new(o, "subtract", json_true());
        if (json_array_size(of) > 0)
                json_object_set(o, "of", of);
        json_decref(of);
        if (by_tier) {
                json_object_set_new(o, "tiers", json_pack("[o]", one_tier(t)));
        } else {
                take(t, o, "rate");
                take(t, o, "pct");
        }
        json_array_append_new(t->x->components, o);
}

static void take_row(struct table *t)
{
        size_t n = json_array_size(t->x->components);
        json_t *last = n ? json_array_get(t->x->components, n - 1) : NULL;

        if (t->n > t->n_columns) {
                import_fail(t->x, IMPORT_E_DOCUMENT, "line %u: %u cells, but %u columns", t->line,
                            t->n, t->n_columns);
        } else if (strcmp(cell(t, "type"), "tariff") == 0) {
                take_head(t);
        } else if (!*cell(t, "code")) {
                import_fail(t->x, IMPORT_E_DOCUMENT, "line %u: there is no code", t->line);
        } else if (last && strcmp(import_text(last, "code"), cell(t, "code")) == 0) {
                json_t *tiers = json_object_get(last, "tiers");

                if (tiers)
                        json_array_append_new(tiers, one_tier(t));
                else
                        import_fail(t->x, IMPORT_E_DOCUMENT,
                                    "line %u: %s has a price already; give the tiers above a "
                                    "limit in the column upto",
                                    t->line, cell(t, "code"));
        } else if (!*cell(t, "type")) {
                import_fail(t->x, IMPORT_E_DOCUMENT, "line %u: there is no type", t->line);
        } else {
                take_component(t);
        }
}

int import_csv(const char *text, size_t n, struct importer *x)
{
        struct table *t = calloc(1, sizeof(*t));

        if (!t || import_begin(x, "CSV", "", "electricity")) {
                free(t);
                return x->failed ? x->failed : import_fail(x, IMPORT_E_DOCUMENT, "out of memory");
        }
        t->x = x;
        t->p = text;
        t->end = text + n;
        if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
                t->p += 3;
        read_names(t);
        while (!x->failed && read_row(t))
                take_row(t);
        if (x->options->code)
                json_object_set_new(x->document, "code", json_string(x->options->code));
        if (x->options->currency)
                json_object_set_new(x->document, "currency", json_string(x->options->currency));
        free(t);
        return x->failed;
}
