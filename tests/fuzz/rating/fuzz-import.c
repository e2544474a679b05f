/* The first byte chooses the format; what comes out must load or be refused with a reason. */
#include <stdlib.h>
#include <string.h>

#include "document_diff.h"
#include "import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static const struct import_fact facts[] = { { "meter_size", "5/8\"" }, { "hhsize", "3" } };
        struct import_options options = { .fact = facts, .n_facts = 2 };
        struct rating_error err = { 0 };
        struct rating_tariff *t = NULL;
        json_t *document = NULL;
        int e;

        if (n == 0)
                return 0;
        e = import_tariff((enum import_format)(data[0] % 3), (const char *)data + 1, n - 1,
                          &options, &document, &err);
        if (e > 0 && !err.text[0])
                abort();
        if (!e) {
                char *text = json_dumps(document, JSON_COMPACT);
                json_t *diff = rating_document_diff(document, document);

                if (!text || json_array_size(diff) != 0)
                        abort();
                if (rating_tariff_load(&t, text, strlen(text), &err) > 0 && !err.text[0])
                        abort();
                rating_tariff_free(t);
                json_decref(diff);
                free(text);
        }
        json_decref(document);
        return 0;
}
