#pragma once

/*
 * Operations of the collect role, as a builtin of the host: meter.read, sweep.show, sweep.start,
 * meter.unread. They find the collect by host_object(call, "collect"); without one (another
 * process collects) they say so.
 */

#include "headrace/plugin.h"

extern const struct hr_plugin collect_plugin;
