/* Decimal text and TZif bytes. */
#include <stdlib.h>
#include <string.h>

#include "decimal.h"
#include "tz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        char *text = malloc(n + 1), out[DECIMAL_TEXT_SIZE];
        struct decimal d, back;
        struct tz *tz;

        if (!text)
                return 0;
        if (n)
                memcpy(text, data, n);
        text[n] = '\0';
        if (decimal_parse(text, &d) == 0) {
                decimal_format(d, (int)(n % 19), out);
                if (decimal_parse(out, &back) < 0 || decimal_cmp(d, back) != 0)
                        abort();
        }
        free(text);
        if (tz_parse(&tz, "fuzz", data, n) == 0) {
                for (int64_t t = -5000000000; t < 9000000000; t += 100000007) {
                        tz_local_to_utc(tz, t);
                        if (tz_next_change(tz, t) <= t)
                                abort();
                }
                tz_free(tz);
        }
        return 0;
}
