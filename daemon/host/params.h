#pragma once

/*
 * A request's input against an operation's parameter table: every value checked by its type, so
 * that operations never see malformed input. Numbers keep their text: nothing passes through a
 * double. Pure.
 */

#include "arena.h"
#include "headrace/plugin.h"
#include "problem.h"
#include "route.h"

enum { PARAMS_MAX = 64, PARAMS_MAX_TEXT = 65536 };

struct param_value {
        const struct hr_param *param;
        const char *text;  /* NULL = absent; as hr_host.param() gives it */
        const void *bytes; /* HR_BYTES */
        size_t n;
};

struct params {
        struct param_value values[PARAMS_MAX];
        size_t n;
        const char *body; /* the JSON text, "{}" when there was none */
        size_t body_len;
};

struct params_input {
        const struct route_capture *captures;
        size_t captures_n;
        const char *query; /* NULL = none */
        const char *body;  /* NULL = none */
        size_t body_len;
        bool anywhere; /* the body may hold path and query parameters too */
};

/* Fills *@ret, memory in @a. 0; -EINVAL with *@problem; -ENOMEM with a 503 problem. */
int params_read(struct arena *a, const struct hr_param *table, const struct params_input *in,
                struct params *ret, struct problem *problem);
/* NULL when @name is not in the table. */
const struct param_value *params_find(const struct params *p, const char *name);

/* Is the table itself in order (names, types, path parameters in the route and required)? @why is
 * set when not. */
bool params_table_valid(const struct hr_param *table, const char *path, const char **why);
/* "text", "int", ... as in /v1/operations; NULL for a number that is no type. */
const char *params_type_name(enum hr_type type);

/* The value text of member @name of the JSON object @json (already known to be well formed), as it
 * stands there. NULL when absent. */
const char *json_member_raw(const char *json, size_t n, const char *name, size_t *ret_n);
