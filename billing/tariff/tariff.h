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
enum hr_status tariff_compare(struct hr_call *call);
enum hr_status tariff_import(struct hr_call *call);
enum hr_status tariff_test(struct hr_call *call);
enum hr_status tariff_diff(struct hr_call *call);
enum hr_status tariff_holidays(struct hr_call *call);
enum hr_status tariff_set_holidays(struct hr_call *call);

/* A version of the call's tariff, locked, after its own examples were run; texts are the call's. */
struct tariff_version {
        const char *code, *version, *state, *created_by;
        size_t n_examples;
};
enum hr_status tariff_checked_version(struct hr_call *call, struct tariff_version *ret);
/* Stores a document as a draft and replies with it; the same document once more is no new one. */
enum hr_status tariff_take_in(struct hr_call *call, const char *given);
/* Owned tariff of @text, or a rejection that names member and fault. */
enum hr_status tariff_load(struct hr_call *call, const char *text, struct rating_tariff **ret);
