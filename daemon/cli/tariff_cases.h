#pragma once

/*
 * `headrace tariff cases FILE.json`: bills with expected amounts, rated by the billing engine.
 * Needs no daemon. Reads the file and the interval data it names (paths relative to the file).
 */

#include <stdio.h>

/* One line per case on @out ("pass ID", "FAIL ID: what differs", "unsupported ID: what is not
 * known"), then "N passed, N failed, N unsupported". 0 when no case failed or was unsupported, 1
 * when some did, 2 when the file cannot be read (said on @out). */
int tariff_cases_run(const char *path, FILE *out);
