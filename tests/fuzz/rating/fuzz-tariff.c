/* A tariff document, and a zero byte before an input: loaded, its examples run, the input rated. */
#include <stdlib.h>
#include <string.h>

#include "rating.h"
#include "rating_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void rate(const struct rating_tariff *t, const char *json, size_t n)
{
        struct rating_error err = { 0 };
        struct rating_result r, again;
        struct rating_input in;
        struct arena a;
        struct tz *tz = NULL;

        arena_init(&a, 16 << 20);
        if (rating_input_load(&a, json, n, &in, &tz, &err) == 0 &&
            rating_run(t, &in, &r, &err) == 0) {
                struct buf x, y;
                int64_t sum = 0;

                buf_init(&x);
                buf_init(&y);
                rating_result_json(t, &r, &x);
                for (size_t i = 0; i < r.n_lines; i++)
                        sum += r.lines[i].amount;
                if (sum != r.total)
                        abort();
                if (rating_run(t, &in, &again, &err) != 0)
                        abort();
                rating_result_json(t, &again, &y);
                if (x.len != y.len || (x.len && memcmp(x.p, y.p, x.len) != 0))
                        abort();
                rating_result_deinit(&again);
                rating_result_deinit(&r);
                buf_deinit(&x);
                buf_deinit(&y);
        }
        tz_free(tz);
        arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        const uint8_t *cut = n ? memchr(data, 0, n) : NULL;
        size_t len = cut ? (size_t)(cut - data) : n;
        struct rating_error err = { 0 };
        struct rating_tariff *t = NULL;
        int e = rating_tariff_load(&t, (const char *)data, len, &err);

        if (e > 0 && !err.text[0])
                abort();
        if (e != 0)
                return 0;
        (void)rating_tariff_check_examples(t, NULL, &err);
        if (cut)
                rate(t, (const char *)cut + 1, n - len - 1);
        rating_tariff_free(t);
        return 0;
}
