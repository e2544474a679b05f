#pragma once

/* Tariff plugin: catalogue, versions, activation, what-if. Shared by its files. */

#include "headrace/plugin.h"
#include "rating.h"

extern const struct hr_host *tariff_host;

enum hr_status tariff_list(struct hr_call *call);
enum hr_status tariff_show(struct hr_call *call);
enum hr_status tariff_create(struct hr_call *call);
enum hr_status tariff_approve(struct hr_call *call);
enum hr_status tariff_activate(struct hr_call *call);
enum hr_status tariff_whatif(struct hr_call *call);
enum hr_status tariff_holidays(struct hr_call *call);
enum hr_status tariff_set_holidays(struct hr_call *call);

/* Owned tariff of @text, or a rejection that names member and fault. */
enum hr_status tariff_load(struct hr_call *call, const char *text, struct rating_tariff **ret);
