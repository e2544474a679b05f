#include <errno.h>
#include <stdlib.h>

#include "usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { DAY = 20726, DAY_S = 86400 };

static void check(int rc)
{
        if (rc != 0 && rc != -EBADMSG)
                abort();
}

/* Values of a segment lie in it, in the order of their days' blocks. */
static void expand(const struct readings *r, int32_t meter)
{
        struct bill_segment s = { .meter_id = meter,
                                  .channel = 1,
                                  .reg = 129,
                                  .digits = 6,
                                  .from = r->from,
                                  .to = r->to };
        struct usage u;
        int rc;

        usage_init(&u);
        usage_present(r, &s);
        usage_in_blocks(r, &s);
        rc = usage_packed(&u, r, &s);
        check(rc);
        for (size_t i = 0; rc == 0 && i < u.series.n; i++)
                if (u.series.at[i] < s.from || u.series.at[i] >= s.to)
                        abort();
        usage_deinit(&u);
}

/* First byte: what kind of rows; the rest: a piece of a COPY. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static const int32_t meters[] = { 7, 8 };
        struct readings r;

        if (n == 0)
                return 0;
        readings_init(&r);
        if (readings_begin(&r, meters, 2, (int64_t)DAY * DAY_S, (int64_t)(DAY + 2) * DAY_S) != 0)
                abort();
        check(readings_take(&r, (enum readings_kind)(data[0] % 3), data + 1, n - 1));
        expand(&r, 7);
        expand(&r, 8);
        readings_deinit(&r);
        return 0;
}
