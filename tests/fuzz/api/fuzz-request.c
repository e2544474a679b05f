/*
 * A request's way from its address and body to checked parameters: the first line of the input is
 * "METHOD PATH?QUERY", the rest the body.
 */
#include <stdlib.h>
#include <string.h>

#include "host_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct hr_param table[] = {
        { "thing", HR_TEXT, HR_PATH, true, "Thing", NULL, 1, 40 },
        { "limit", HR_INT, HR_QUERY, false, "Rows", NULL, 1, 100 },
        { "from", HR_TIME, HR_QUERY, false, "From" },
        { "day", HR_DATE, HR_QUERY, false, "Day" },
        { "state", HR_TEXT, HR_QUERY, false, "State", "on|off" },
        { "name", HR_TEXT, HR_BODY, false, "Name", NULL, 1, 200 },
        { "amount", HR_DECIMAL, HR_BODY, false, "Amount" },
        { "count", HR_INT, HR_BODY, false, "Count" },
        { "urgent", HR_BOOL, HR_BODY, false, "Urgent" },
        { "items", HR_JSON, HR_BODY, false, "Items" },
        { "data", HR_BYTES, HR_BODY, false, "Bytes" },
        { NULL },
};

/* What was accepted must be what the types promise. */
static void check(const struct params *p)
{
        for (size_t i = 0; i < p->n; i++) {
                const struct param_value *v = &p->values[i];

                if (!v->text)
                        continue;
                if (!utf8_valid(v->text, strlen(v->text)))
                        abort();
                if (v->param->type == HR_INT && v->param->max &&
                    (atoll(v->text) < v->param->min || atoll(v->text) > v->param->max))
                        abort();
                if (v->param->type == HR_BOOL && strcmp(v->text, "true") &&
                    strcmp(v->text, "false"))
                        abort();
                if (v->param->type == HR_JSON && v->text[0] != '{' && v->text[0] != '[')
                        abort();
        }
}

static void request(struct routes *routes, const char *method, char *path, const char *body,
                    size_t n, bool anywhere)
{
        struct params_input in = { .body = body, .body_len = n, .anywhere = anywhere };
        char *query = strchr(path, '?');
        struct problem problem = { 0 };
        struct route_match match;
        struct buf audit = BUF_INIT;
        struct params *params;
        struct arena a;

        if (query)
                *query++ = 0;
        arena_init(&a, 4 << 20);
        params = arena_alloc(&a, sizeof *params);
        if (routes_find(routes, method, path, &a, &match, &problem) == 0) {
                in.query = query;
                in.captures = match.captures;
                in.captures_n = match.n;
                if (params_read(&a, table, &in, params, &problem) == 0) {
                        check(params);
                        audit_params(params, &audit);
                }
        }
        if (problem.status)
                problem_write(&problem, "r", &audit);
        if (audit.len && !utf8_valid((const char *)audit.p, audit.len))
                abort();
        buf_deinit(&audit);
        arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        const uint8_t *end = memchr(data, '\n', n), *body = end ? end + 1 : data + n;
        size_t line = end ? (size_t)(end - data) : n;
        struct routes routes;
        char *text, *path;

        text = malloc(line + 1);
        if (!text)
                return 0;
        memcpy(text, data, line);
        text[line] = 0;
        path = strchr(text, ' ');
        routes_init(&routes);
        routes_add(&routes, "GET", "/v1/things/{thing}", &routes);
        routes_add(&routes, "POST", "/v1/things/{thing}/parts", &routes);
        if (path) {
                *path++ = 0;
                request(&routes, text, path, (const char *)body, n - (size_t)(body - data),
                        line & 1);
        }
        routes_deinit(&routes);
        free(text);
        return 0;
}
