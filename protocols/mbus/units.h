#pragma once

/* What a value information block says (EN 13757-3, tables 10 to 16). Internal to protocols/mbus. */

#include "mbus.h"

/* Fills quantity, unit, scaler and factor of @r from its vif, table and vife. */
void mbus_name_value(struct mbus_record *r);
/* Whether the value is a point in time: date when two bytes long, else date and time. */
bool mbus_is_time(const struct mbus_record *r);
