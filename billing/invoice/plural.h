#pragma once

/* Plural categories of whole numbers after Unicode CLDR: which form of a text goes with a count.
 * Pure. */

#include <stdint.h>

/* "zero", "one", "two", "few", "many" or "other" for @n >= 0 in the language (ISO 639-1); "other"
 * always in languages without plurals, the English rule in those not known here. */
const char *plural_category(const char *language, int64_t n);
