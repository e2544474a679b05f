/* What the importers share. */

#include "import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int import_fail(struct importer *x, int code, const char *fmt, ...)
{
        va_list ap;

        if (x->failed)
                return x->failed;
        x->failed = code;
        x->err->code = code;
        va_start(ap, fmt);
        vsnprintf(x->err->text, sizeof(x->err->text), fmt, ap);
        va_end(ap);
        return code;
}

const char *import_text(json_t *o, const char *key)
{
        const char *s = json_string_value(json_object_get(o, key));

        return s ? s : "";
}

bool import_listed(const char *list, const char *word)
{
        size_t n = strlen(word);

        for (const char *p = n ? strstr(list, word) : NULL; p; p = strstr(p + 1, word))
                if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
                        return true;
        return false;
}

int import_known(struct importer *x, json_t *o, const char *where, const char *known,
                 const char *documentation)
{
        const char *key;
        json_t *v;

        json_object_foreach(o, key, v)
        {
                if (!import_listed(known, key) && !import_listed(documentation, key) &&
                    !json_is_null(v))
                        return import_fail(x, IMPORT_E_UNSUPPORTED,
                                           "%s%smember %s is not known to the importer", where,
                                           *where ? ": " : "", key);
        }
        return x->failed;
}

bool import_is_zero(json_t *number)
{
        return json_number_value(number) == 0;
}

char *import_code(const char *text)
{
        char *code = malloc(41);
        size_t n = 0;

        for (const char *p = text; code && *p && n < 40; p++) {
                char c = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
                bool word = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

                if (word)
                        code[n++] = c;
                else if (n > 0 && code[n - 1] != '-')
                        code[n++] = '-';
        }
        while (n > 0 && code[n - 1] == '-')
                n--;
        if (code && n == 0)
                code[n++] = 'X';
        if (code)
                code[n] = '\0';
        return code;
}

int import_begin(struct importer *x, const char *code, const char *name, const char *commodity)
{
        const char *currency = x->options->currency ? x->options->currency : "USD";
        char *made = x->options->code ? NULL : import_code(code);

        x->components = json_array();
        x->document =
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "schema", "headrace-tariff-v1", "code",
                          x->options->code ? x->options->code
                          : made           ? made
                                           : "X",
                          "name", *name ? name : code, "commodity", commodity, "currency", currency,
                          "components", x->components);
        free(made);
        return x->document ? 0 : import_fail(x, IMPORT_E_DOCUMENT, "the names in it are not UTF-8");
}

int import_end(struct importer *x, json_t **ret)
{
        if (!x->failed && json_array_size(x->components) == 0)
                import_fail(x, IMPORT_E_DOCUMENT, "there is no charge in it");
        if (x->failed) {
                json_decref(x->document);
                return x->failed;
        }
        *ret = x->document;
        return 0;
}

bool import_format_named(const char *name, enum import_format *ret)
{
        static const char *const names[] = { "urdb", "owrs", "csv" };

        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
                if (strcmp(names[i], name) == 0) {
                        *ret = (enum import_format)i;
                        return true;
                }
        return false;
}

static int import_urdb_text(const char *text, size_t n, const struct import_options *options,
                            json_t **ret, struct rating_error *err)
{
        struct importer x = { .options = options, .err = err };
        json_error_t e;
        json_t *root = json_loadb(text, n, 0, &e), *items = json_object_get(root, "items");
        int r;

        if (!root)
                return import_fail(&x, IMPORT_E_DOCUMENT, "line %d, column %d: %s", e.line,
                                   e.column, e.text);
        if (items && json_array_size(items) != 1)
                r = import_fail(&x, IMPORT_E_DOCUMENT,
                                "\"items\" holds %zu rates; give one rate at a time",
                                json_array_size(items));
        else
                r = import_urdb(items ? json_array_get(items, 0) : root, options, ret, err);
        json_decref(root);
        return r;
}

int import_tariff(enum import_format format, const char *text, size_t n,
                  const struct import_options *options, json_t **ret_document,
                  struct rating_error *err)
{
        struct importer x = { .options = options, .err = err };

        if (format == IMPORT_URDB)
                return import_urdb_text(text, n, options, ret_document, err);
        if (format == IMPORT_OWRS)
                import_owrs(text, n, &x);
        else
                import_csv(text, n, &x);
        return import_end(&x, ret_document);
}
