#pragma once

/* VEE plugin: shared by its files. */

#include "headrace/plugin.h"

extern const struct hr_host *vee_host;

enum hr_status vee_job_run(struct hr_call *call, struct hr_job *job);
