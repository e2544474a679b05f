#include "json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "civil.h"

int jdoc_fail(struct jdoc *d, const char *key, const char *fmt, ...)
{
        char text[300];
        va_list ap;

        if (d->failed)
                return d->failed;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        snprintf(d->where, sizeof(d->where), "%s%s%s", d->path, d->path[0] && key ? "." : "",
                 key ? key : "");
        d->failed = rating_fail(d->err, RATING_E_DOCUMENT, "%s%s%s: %s", d->path,
                                d->path[0] && key ? "." : "",
                                key          ? key
                                : d->path[0] ? ""
                                             : "document",
                                text);
        return d->failed;
}

void jdoc_place(struct jdoc *d, const char *json, size_t n)
{
        size_t len = strlen(d->err->text);
        int line, column;

        if (d->failed != RATING_E_DOCUMENT)
                return;
        json_locate(json, n, d->where, &line, &column);
        snprintf(d->err->text + len, sizeof(d->err->text) - len, " (line %d, column %d)", line,
                 column);
}

json_t *jdoc_parse(struct jdoc *d, const char *json, size_t n, const char *what)
{
        json_error_t e;
        json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &e);

        if (!root) {
                d->failed = rating_fail(d->err, RATING_E_DOCUMENT, "%s: line %d, column %d: %s",
                                        what, e.line, e.column, e.text);
                return NULL;
        }
        if (!json_is_object(root)) {
                json_decref(root);
                d->failed =
                        rating_fail(d->err, RATING_E_DOCUMENT, "%s: must be a JSON object", what);
                return NULL;
        }
        return root;
}

size_t jdoc_enter(struct jdoc *d, const char *key)
{
        size_t old = strlen(d->path);

        snprintf(d->path + old, sizeof(d->path) - old, "%s%s", old ? "." : "", key);
        return old;
}

size_t jdoc_enter_at(struct jdoc *d, const char *key, size_t i)
{
        size_t old = strlen(d->path);

        snprintf(d->path + old, sizeof(d->path) - old, "%s%s[%zu]", old && *key ? "." : "", key, i);
        return old;
}

void jdoc_leave(struct jdoc *d, size_t old)
{
        d->path[old] = '\0';
}

static bool in_list(const char *list, const char *word, int *ret_index)
{
        size_t len = strlen(word);
        int i = 0;

        for (const char *p = list; p; i++) {
                const char *end = strchr(p, '|');
                size_t n = end ? (size_t)(end - p) : strlen(p);

                if (n == len && memcmp(p, word, n) == 0) {
                        if (ret_index)
                                *ret_index = i;
                        return true;
                }
                p = end ? end + 1 : NULL;
        }
        return false;
}

void jdoc_known(struct jdoc *d, json_t *o, const char *known)
{
        const char *key;
        json_t *v;

        json_object_foreach(o, key, v)
        {
                if (!in_list(known, key, NULL))
                        jdoc_fail(d, key, "not a member known here; known are %s", known);
        }
}

void *jdoc_alloc(struct jdoc *d, size_t n, size_t size)
{
        void *p = NULL;

        if (n < SIZE_MAX / size)
                p = arena_alloc(d->arena, (n ? n : 1) * size);
        if (!p && !d->failed)
                d->failed = -ENOMEM;
        return p;
}

const char *jdoc_copy(struct jdoc *d, const char *s)
{
        const char *copy = arena_str(d->arena, s);

        if (!copy && !d->failed)
                d->failed = -ENOMEM;
        return copy ? copy : "";
}

const char *jdoc_text(struct jdoc *d, json_t *o, const char *key, const char *otherwise)
{
        json_t *v = json_object_get(o, key);

        if (!v || json_is_null(v)) {
                if (!otherwise)
                        jdoc_fail(d, key, "is missing; give a text");
                return otherwise ? otherwise : "";
        }
        if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v)) {
                jdoc_fail(d, key, "must be a text");
                return "";
        }
        return jdoc_copy(d, json_string_value(v));
}

bool jdoc_bool(struct jdoc *d, json_t *o, const char *key, bool otherwise)
{
        json_t *v = json_object_get(o, key);

        if (!v)
                return otherwise;
        if (!json_is_boolean(v))
                jdoc_fail(d, key, "must be true or false");
        return json_is_true(v);
}

int64_t jdoc_int(struct jdoc *d, json_t *o, const char *key, int64_t otherwise, int64_t min,
                 int64_t max)
{
        json_t *v = json_object_get(o, key);

        if (!v)
                return otherwise;
        if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
                jdoc_fail(d, key, "must be a whole number from %lld to %lld", (long long)min,
                          (long long)max);
                return otherwise;
        }
        return json_integer_value(v);
}

struct decimal jdoc_value(struct jdoc *d, json_t *v, const char *key)
{
        struct decimal r = DECIMAL_ZERO;
        char text[400];

        if (json_is_integer(v))
                return decimal_int(json_integer_value(v));
        if (json_is_real(v)) {
                snprintf(text, sizeof(text), "%.15g", json_real_value(v));
                if (strchr(text, 'e'))
                        snprintf(text, sizeof(text), "%.15f", json_real_value(v));
        } else if (json_is_string(v)) {
                snprintf(text, sizeof(text), "%s", json_string_value(v));
        } else {
                jdoc_fail(d, key, "must be a number, or a text holding one");
                return r;
        }
        if (decimal_parse(text, &r) < 0)
                jdoc_fail(d, key, "'%.40s' is no number of up to 18 digits; write it as 12.50",
                          text);
        return r;
}

bool jdoc_decimal(struct jdoc *d, json_t *o, const char *key, struct decimal *ret)
{
        json_t *v = json_object_get(o, key);

        *ret = DECIMAL_ZERO;
        if (!v || json_is_null(v))
                return false;
        *ret = jdoc_value(d, v, key);
        return true;
}

struct decimal jdoc_need_decimal(struct jdoc *d, json_t *o, const char *key)
{
        struct decimal r;

        if (!jdoc_decimal(d, o, key, &r))
                jdoc_fail(d, key, "is missing; give a number");
        return r;
}

int jdoc_choice(struct jdoc *d, json_t *o, const char *key, const char *choices, int otherwise)
{
        const char *s = jdoc_text(d, o, key, otherwise >= 0 ? "" : NULL);
        int i = otherwise;

        if (*s && !in_list(choices, s, &i))
                jdoc_fail(d, key, "'%s' is none of %s", s, choices);
        return i < 0 ? 0 : i;
}

int64_t jdoc_day(struct jdoc *d, json_t *v, const char *key)
{
        int64_t day = 0;

        if (!json_is_string(v) || civil_parse_date(json_string_value(v), &day) < 0)
                jdoc_fail(d, key, "must be a date such as \"2026-01-31\"");
        return day;
}

json_t *jdoc_array(struct jdoc *d, json_t *o, const char *key, bool required)
{
        json_t *v = json_object_get(o, key);

        if (v && !json_is_array(v)) {
                jdoc_fail(d, key, "must be a list");
                return NULL;
        }
        if (!v && required)
                jdoc_fail(d, key, "is missing; give a list");
        return v;
}

json_t *jdoc_object(struct jdoc *d, json_t *o, const char *key, bool required)
{
        json_t *v = json_object_get(o, key);

        if (v && !json_is_object(v)) {
                jdoc_fail(d, key, "must be an object");
                return NULL;
        }
        if (!v && required)
                jdoc_fail(d, key, "is missing; give an object");
        return v;
}
