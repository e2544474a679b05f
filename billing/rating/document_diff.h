#pragma once

/*
 * What two tariff documents say differently, member by member: for the person who approves a new
 * version. Components, examples, schedules' periods and other lists of named things are compared by
 * their code or name, whatever their order; where the order itself changed, that is said. Pure.
 */

#include <jansson.h>

/* Owned list of {"path": "components[energy].tiers[1].rate", "before": ..., "after": ...}; a side
 * that has no such member lacks "before" or "after". Empty = the same. NULL when out of memory. */
json_t *rating_document_diff(json_t *before, json_t *after);
