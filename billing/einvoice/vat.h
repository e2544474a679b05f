#pragma once

/* Which line is under which VAT: internal to the model. A tariff says for each of its taxes what it
 * is a percentage of; from that every line of the bill gets its VAT category, or is divided where
 * the rate changed inside the period. */

#include "model.h"

/* Puts the bill's lines and VAT breakdowns into @e. As einvoice_build. */
int einvoice_tax_lines(struct einvoice *e, char why[static EINVOICE_WHY_SIZE]);

/* One more line of @amount from the bill's line @source; NULL when there are too many. */
struct einvoice_line *einvoice_add_line(struct einvoice *e, const json_t *source, int64_t amount,
                                        struct decimal quantity);

/* Always -EINVAL. */
int einvoice_fail(char why[static EINVOICE_WHY_SIZE], const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
