#pragma once

/*
 * From meter values to what a tariff asks for: determinants of the whole bill, and the series or
 * totals of one tariff part. Pure; memory comes from the bill's arena.
 */

#include "bill.h"

struct measure {
        struct arena *arena; /* borrowed: the bill's */
        struct buf series;   /* struct rating_series of the part being priced */
        struct buf given;    /* struct rating_quantity of it */
};

void measure_init(struct measure *m, struct arena *arena);
void measure_deinit(struct measure *m);

/* One determinant per channel code among the segments: quantity, quality, hash of the readings,
 * use per local day. Sets the bill's main quantity. 0, -ENOMEM, -ERANGE (sum too large). */
int measure_determinants(struct measure *m, const struct bill_input *in, struct bill *b);

/* Fills series, given and their counts of @ret for @part: interval series when the tariff needs
 * them, else one total per channel. Borrowed until the next call. 0, -ENOMEM, -ERANGE. */
int measure_part(struct measure *m, const struct bill_input *in, const struct bill_part *part,
                 struct rating_input *ret);
