#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "civil.h"
#include "decimal.h"
#include "params.h"

static const char *const type_names[] = { "text", "int",  "bool", "decimal",
                                          "date", "time", "json", "bytes" };

const char *params_type_name(enum hr_type type)
{
        return (unsigned)type < sizeof type_names / sizeof *type_names ? type_names[type] : NULL;
}

const struct param_value *params_find(const struct params *p, const char *name)
{
        for (size_t i = 0; i < p->n; i++)
                if (!strcmp(p->values[i].param->name, name))
                        return &p->values[i];
        return NULL;
}

/* ---- the checks, one a type; a value comes as decoded text ---- */

struct check {
        struct arena *arena;
        const struct hr_param *param;
        struct param_value *value;
        struct problem *problem;
};

static int wrong(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int wrong(struct check *c, const char *fmt, ...)
{
        char what[PROBLEM_TEXT_SIZE / 2];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(what, sizeof what, fmt, ap);
        va_end(ap);
        return problem_set(c->problem, 422, "invalid_parameter", c->param->name, "%s %s",
                           c->param->name, what);
}

static int check_choices(struct check *c, const char *s)
{
        size_t n = strlen(s);

        for (const char *p = c->param->choices; p; p = strchr(p, '|')) {
                p += *p == '|';
                if (strcspn(p, "|") == n && !memcmp(p, s, n))
                        return 0;
        }
        return wrong(c, "must be one of %s", c->param->choices);
}

static int check_text(struct check *c, const char *s)
{
        size_t length = utf8_length(s, strlen(s));
        const struct hr_param *p = c->param;

        if (p->choices)
                return check_choices(c, s);
        if (strlen(s) > PARAMS_MAX_TEXT)
                return wrong(c, "is longer than %d bytes", PARAMS_MAX_TEXT);
        if (p->max && length > (size_t)p->max)
                return wrong(c, "has %zu characters; at most %" PRId64 " are allowed", length,
                             p->max);
        if (length < (size_t)p->min)
                return wrong(c, "has %zu characters; at least %" PRId64 " are needed", length,
                             p->min);
        if (!length && p->required)
                return wrong(c, "must not be empty");
        return 0;
}

static int check_int(struct check *c, const char *s)
{
        const struct hr_param *p = c->param;
        long long v;
        char *end;

        errno = 0;
        v = strtoll(s, &end, 10);
        if (!*s || *end || !strchr("-0123456789", *s))
                return wrong(c, "must be a whole number");
        if (errno == ERANGE)
                return wrong(c, "does not fit in 64 bits");
        if ((p->min || p->max) && (v < p->min || v > p->max))
                return wrong(c, "is %lld; it must be between %" PRId64 " and %" PRId64, v, p->min,
                             p->max);
        return p->choices ? check_choices(c, s) : 0;
}

static int check_bool(struct check *c, const char *s)
{
        bool yes = !strcmp(s, "true") || !strcmp(s, "1");

        if (!yes && strcmp(s, "false") && strcmp(s, "0"))
                return wrong(c, "must be true or false");
        c->value->text = yes ? "true" : "false";
        return 0;
}

static int check_decimal(struct check *c, const char *s)
{
        struct decimal d;
        int r = decimal_parse(s, &d);

        if (r == -ERANGE)
                return wrong(c, "has too many digits; 18 fit");
        return r ? wrong(c, "must be a decimal number such as 12.50, without exponent") : 0;
}

static int check_date(struct check *c, const char *s)
{
        int64_t day;

        return civil_parse_date(s, &day) ? wrong(c, "must be a date such as 2026-01-31") : 0;
}

static int check_time(struct check *c, const char *s)
{
        int64_t utc;

        return civil_parse(s, &utc, NULL)
                       ? wrong(c, "must be an instant with its zone, such as 2026-01-31T23:00:00Z")
                       : 0;
}

static int check_json(struct check *c, const char *s)
{
        json_error_t e;
        json_t *j;

        if (s[0] != '{' && s[0] != '[')
                return wrong(c, "must be a JSON object or array");
        j = json_loads(s, JSON_REJECT_DUPLICATES, &e);
        if (!j)
                return wrong(c, "is not well-formed JSON: line %d, column %d: %s", e.line, e.column,
                             e.text);
        json_decref(j);
        return 0;
}

static int base64_digit(char ch)
{
        return ch >= 'A' && ch <= 'Z'   ? ch - 'A'
               : ch >= 'a' && ch <= 'z' ? ch - 'a' + 26
               : ch >= '0' && ch <= '9' ? ch - '0' + 52
               : ch == '+'              ? 62
               : ch == '/'              ? 63
                                        : -1;
}

static int check_bytes(struct check *c, const char *s)
{
        size_t n = strlen(s), len = 0;
        uint8_t *out = arena_alloc(c->arena, n / 4 * 3 + 1);
        uint32_t acc = 0;

        if (!out)
                return -ENOMEM;
        if (n % 4)
                return wrong(c, "must be base64: its length is no multiple of 4");
        for (size_t i = 0; i < n; i++) {
                size_t pad = s[i] == '=' && i + 2 >= n && (i + 1 == n || s[n - 1] == '=');
                int d = pad ? 0 : base64_digit(s[i]);

                if (d < 0)
                        return wrong(c, "must be base64: character %zu is none of it", i + 1);
                acc = acc << 6 | (uint32_t)d;
                if (i % 4 == 3) {
                        out[len++] = (uint8_t)(acc >> 16);
                        out[len++] = (uint8_t)(acc >> 8);
                        out[len++] = (uint8_t)acc;
                }
        }
        if (n && s[n - 1] == '=')
                len -= s[n - 2] == '=' ? 2 : 1;
        c->value->bytes = out;
        c->value->n = len;
        return 0;
}

static int check_value(struct check *c, const char *s)
{
        static int (*const checks[])(struct check *, const char *) = {
                [HR_TEXT] = check_text,       [HR_INT] = check_int,     [HR_BOOL] = check_bool,
                [HR_DECIMAL] = check_decimal, [HR_DATE] = check_date,   [HR_TIME] = check_time,
                [HR_JSON] = check_json,       [HR_BYTES] = check_bytes,
        };

        c->value->text = s;
        return checks[c->param->type](c, s);
}

/* ---- the sources ---- */

static const struct hr_param *table_find(const struct hr_param *table, const char *name)
{
        for (; table && table->name; table++)
                if (!strcmp(table->name, name))
                        return table;
        return NULL;
}

static struct param_value *value_of(struct params *p, const struct hr_param *param)
{
        for (size_t i = 0; i < p->n; i++)
                if (p->values[i].param == param)
                        return &p->values[i];
        return NULL;
}

/* Names the parameter that was probably meant: the same letters up to one edit. */
static const char *nearest(const struct hr_param *table, const char *name, enum hr_where where,
                           bool anywhere)
{
        size_t n = strlen(name);

        for (; table && table->name; table++) {
                size_t m = strlen(table->name), head = 0, tail = 0, longer = n > m ? n : m;

                if (table->where != where && !anywhere)
                        continue;
                while (head < n && head < m && name[head] == table->name[head])
                        head++;
                while (tail < n - head && tail < m - head &&
                       name[n - 1 - tail] == table->name[m - 1 - tail])
                        tail++;
                if (longer > 2 && longer - head - tail <= 1)
                        return table->name;
        }
        return NULL;
}

static int unknown(const struct hr_param *table, const char *name, enum hr_where where,
                   bool anywhere, struct problem *problem)
{
        const char *meant = nearest(table, name, where, anywhere);
        const struct hr_param *elsewhere = table_find(table, name);
        char shown[PROBLEM_CODE_SIZE];

        snprintf(shown, sizeof shown, "%.*s", 40, name);
        for (char *s = shown; *s; s++)
                if ((unsigned char)*s >= 0x80 || *s < ' ')
                        *s = '?';
        if (elsewhere)
                return problem_set(problem, 422, "misplaced_parameter", shown,
                                   "%s belongs in the %s", shown,
                                   elsewhere->where == HR_BODY   ? "JSON body"
                                   : elsewhere->where == HR_PATH ? "path"
                                                                 : "query");
        return problem_set(problem, 422, "unknown_parameter", shown,
                           "There is no parameter %s here%s%s%s", shown, meant ? "; is " : "",
                           meant ? meant : "", meant ? " meant?" : "");
}

static int take(struct arena *a, struct params *p, const struct hr_param *param, const char *text,
                struct problem *problem)
{
        struct check c = {
                .arena = a, .param = param, .value = value_of(p, param), .problem = problem
        };
        int r;

        if (c.value->text)
                return problem_set(problem, 422, "double_parameter", param->name,
                                   "%s is given twice", param->name);
        r = check_value(&c, text);
        if (r == -ENOMEM)
                problem_set(problem, 503, "out_of_memory", NULL, "The server is short of memory");
        return r;
}

static int read_query(struct arena *a, const struct hr_param *table, const char *query,
                      struct params *p, struct problem *problem)
{
        while (query && *query) {
                size_t n = strcspn(query, "&"), k = strcspn(query, "=&");
                const struct hr_param *param;
                char *name, *value;
                int r;

                name = route_decode(a, query, k, true);
                value = k < n ? route_decode(a, query + k + 1, n - k - 1, true)
                              : route_decode(a, "", 0, true);
                if (!name || !value)
                        return problem_set(problem, 400, "bad_query", NULL,
                                           "The query is not percent-encoded UTF-8");
                param = table_find(table, name);
                if (n && (!param || param->where != HR_QUERY))
                        return unknown(table, name, HR_QUERY, false, problem);
                /* "?q=" means no q. */
                r = n && *value ? take(a, p, param, value, problem) : 0;
                if (r)
                        return r;
                query += n + (query[n] == '&');
        }
        return 0;
}

/* Skips one JSON value or string; @s is well formed. */
static const char *json_skip(const char *s, const char *end)
{
        int depth = 0;

        do {
                if (*s == '"') {
                        for (s++; s < end && *s != '"'; s++)
                                s += *s == '\\';
                        s++;
                } else if (*s == '{' || *s == '[') {
                        depth++;
                        s++;
                } else if (*s == '}' || *s == ']') {
                        depth--;
                        s++;
                } else if (depth) {
                        s++;
                } else {
                        while (s < end && !strchr(",]} \t\r\n", *s))
                                s++;
                }
        } while (depth && s < end);
        return s < end ? s : end;
}

static const char *json_blank(const char *s, const char *end)
{
        while (s < end && strchr(" \t\r\n,:", *s) && *s)
                s++;
        return s;
}

static bool key_is(const char *raw, size_t n, const char *name)
{
        json_t *j;
        bool same;

        if (!memchr(raw, '\\', n))
                return n == strlen(name) + 2 && !memcmp(raw + 1, name, n - 2);
        j = json_loadb(raw, n, JSON_DECODE_ANY, NULL);
        same = j && !strcmp(json_string_value(j), name);
        json_decref(j);
        return same;
}

const char *json_member_raw(const char *json, size_t n, const char *name, size_t *ret_n)
{
        const char *end = json + n, *s = json_blank(json, end);

        if (s == end || *s != '{')
                return NULL;
        for (s = json_blank(s + 1, end); s < end && *s == '"'; s = json_blank(s, end)) {
                const char *key = s, *key_end = json_skip(s, end), *value;

                value = json_blank(key_end, end);
                s = json_skip(value, end);
                if (key_is(key, (size_t)(key_end - key), name)) {
                        *ret_n = (size_t)(s - value);
                        return value;
                }
        }
        return NULL;
}

static const char *json_kind(const json_t *j)
{
        static const char *const kinds[] = { "an object",      "an array", "text",
                                             "a whole number", "a number", "true or false",
                                             "true or false",  "null" };

        return kinds[json_typeof(j)];
}

/* The text a JSON value stands for, or NULL if its kind does not suit the parameter. */
static const char *member_text(struct arena *a, const struct hr_param *param, const json_t *j,
                               const struct params *p)
{
        const char *raw;
        size_t n = 0;

        switch (param->type) {
        case HR_TEXT:
        case HR_DATE:
        case HR_TIME:
        case HR_BYTES:
                return json_string_value(j) ? arena_str(a, json_string_value(j)) : NULL;
        case HR_BOOL:
                return json_is_boolean(j) ? (json_is_true(j) ? "true" : "false") : NULL;
        case HR_INT:
                return json_is_integer(j)
                               ? arena_printf(a, "%" JSON_INTEGER_FORMAT, json_integer_value(j))
                               : NULL;
        case HR_DECIMAL:
                if (json_is_string(j))
                        return arena_str(a, json_string_value(j));
                if (!json_is_number(j))
                        return NULL;
                break;
        case HR_JSON:
                if (!json_is_object(j) && !json_is_array(j))
                        return NULL;
                break;
        default:
                return NULL;
        }
        /* As it stands in the body: a double would change 0.1. */
        raw = json_member_raw(p->body, p->body_len, param->name, &n);
        return raw ? arena_strn(a, raw, n) : NULL;
}

static int read_member(struct arena *a, const struct hr_param *param, const json_t *j,
                       struct params *p, struct problem *problem)
{
        static const char *const wanted[] = { "text",
                                              "a whole number",
                                              "true or false",
                                              "a decimal number, best as text such as \"12.50\"",
                                              "a date as text",
                                              "an instant as text",
                                              "an object or array",
                                              "base64 text" };
        const char *text;

        if (json_is_null(j))
                return 0;
        text = member_text(a, param, j, p);
        if (!text)
                return problem_set(problem, 422, "invalid_parameter", param->name,
                                   "%s must be %s, not %s", param->name, wanted[param->type],
                                   json_kind(j));
        return take(a, p, param, text, problem);
}

static bool takes_body(const struct hr_param *table)
{
        for (; table && table->name; table++)
                if (table->where == HR_BODY)
                        return true;
        return false;
}

static int read_members(struct arena *a, const struct hr_param *table, json_t *body, bool anywhere,
                        struct params *p, struct problem *problem)
{
        bool strict = takes_body(table);
        const char *name;
        json_t *j;
        int r;

        json_object_foreach(body, name, j)
        {
                const struct hr_param *param = table_find(table, name);

                if (!param || (param->where != HR_BODY && !anywhere)) {
                        if (!strict && (!param || !anywhere))
                                continue; /* a document of the operation's own form */
                        return unknown(table, name, HR_BODY, anywhere, problem);
                }
                r = read_member(a, param, j, p, problem);
                if (r)
                        return r;
        }
        return 0;
}

static int read_body(struct arena *a, const struct hr_param *table, const struct params_input *in,
                     struct params *p, struct problem *problem)
{
        json_error_t e;
        json_t *body;
        int r = 0;

        p->body = "{}";
        p->body_len = 2;
        if (!in->body || !in->body_len)
                return 0;
        body = json_loadb(in->body, in->body_len, JSON_REJECT_DUPLICATES, &e);
        if (!body)
                return problem_set(problem, 400, "malformed_json", NULL,
                                   "The body is not JSON: line %d, column %d: %s", e.line, e.column,
                                   e.text);
        p->body = arena_strn(a, in->body, in->body_len);
        p->body_len = in->body_len;
        if (!p->body)
                r = problem_set(problem, 503, "out_of_memory", NULL,
                                "The server is short of memory");
        else if (json_is_object(body))
                r = read_members(a, table, body, in->anywhere, p, problem);
        else if (takes_body(table))
                r = problem_set(problem, 422, "not_an_object", NULL,
                                "The body must be a JSON object with the parameters");
        json_decref(body);
        return r;
}

static int read_captures(struct arena *a, const struct hr_param *table,
                         const struct params_input *in, struct params *p, struct problem *problem)
{
        for (size_t i = 0; i < in->captures_n; i++) {
                const struct hr_param *param = table_find(table, in->captures[i].name);
                int r = param ? take(a, p, param, in->captures[i].value, problem) : 0;

                if (r)
                        return r;
        }
        return 0;
}

int params_read(struct arena *a, const struct hr_param *table, const struct params_input *in,
                struct params *ret, struct problem *problem)
{
        int r;

        memset(ret, 0, sizeof *ret);
        for (const struct hr_param *p = table; p && p->name && ret->n < PARAMS_MAX; p++)
                ret->values[ret->n++].param = p;
        r = read_captures(a, table, in, ret, problem);
        if (!r)
                r = read_query(a, table, in->query, ret, problem);
        if (!r)
                r = read_body(a, table, in, ret, problem);
        for (size_t i = 0; !r && i < ret->n; i++)
                if (ret->values[i].param->required && !ret->values[i].text)
                        r = problem_set(problem, 422, "missing_parameter",
                                        ret->values[i].param->name, "%s is missing: %s",
                                        ret->values[i].param->name,
                                        ret->values[i].param->help ? ret->values[i].param->help
                                                                   : "it is required");
        return r;
}

static bool name_valid(const char *s)
{
        size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");

        return n && !s[n] && n < PROBLEM_CODE_SIZE && *s >= 'a';
}

static bool in_route(const char *path, const char *name)
{
        char braced[PROBLEM_CODE_SIZE + 2];

        snprintf(braced, sizeof braced, "{%s}", name);
        return strstr(path, braced) != NULL;
}

bool params_table_valid(const struct hr_param *table, const char *path, const char **why)
{
        size_t n = 0, captures = 0;

        for (const char *s = path; (s = strchr(s, '{')); s++)
                captures++;
        for (const struct hr_param *p = table; p && p->name; p++, n++) {
                bool is_path = p->where == HR_PATH;

                if (!name_valid(p->name))
                        *why = "a parameter's name is not snake_case";
                else if (!params_type_name(p->type) || (unsigned)p->where > HR_BODY)
                        *why = "a parameter's type or place is unknown";
                else if (is_path != in_route(path, p->name))
                        *why = "a path parameter is missing in the route, or the other way round";
                else if (table_find(table, p->name) != p)
                        *why = "a parameter is listed twice";
                else if (n >= PARAMS_MAX)
                        *why = "there are more than 64 parameters";
                else {
                        captures -= is_path;
                        continue;
                }
                return false;
        }
        if (captures)
                *why = "a {capture} of the route has no parameter";
        return !captures;
}
