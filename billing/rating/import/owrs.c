#include "internal.h"
int import_owrs(const char *text, size_t n, struct importer *x)
{
        (void)text;
        (void)n;
        return import_fail(x, IMPORT_E_UNSUPPORTED, "owrs");
}
int import_csv(const char *text, size_t n, struct importer *x)
{
        (void)text;
        (void)n;
        return import_fail(x, IMPORT_E_UNSUPPORTED, "csv");
}
