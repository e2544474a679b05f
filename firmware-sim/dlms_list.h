#pragma once

/* The association object (class 15) of a simulated meter: which objects it has, and what may be
 * done with them. */

#include "dlms_meter.h"

/* An enum dlms_access_result. */
unsigned dlms_list_get(const struct dlms_meter *d, int8_t attribute, struct axdr_writer *w);
