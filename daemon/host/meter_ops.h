#pragma once

/*
 * The builtin "meter": registry, load curves, completeness, quarantine, sealing. Needs of the host
 * (host_set_object): "master_key", a const struct secret *, to import meters with keys.
 */

#include "headrace/plugin.h"

extern const struct hr_plugin meter_plugin;
