#include "document_diff.h"

#include <stdio.h>
#include <string.h>

#include "decimal.h"

enum { PATH_SIZE = 400 };

struct diff {
        json_t *list;
        char path[PATH_SIZE];
};

static void differ(struct diff *d, json_t *before, json_t *after);

static void put(struct diff *d, json_t *before, json_t *after)
{
        json_t *o = json_pack("{s:s}", "path", d->path);

        if (before)
                json_object_set(o, "before", before);
        if (after)
                json_object_set(o, "after", after);
        json_array_append_new(d->list, o);
}

static size_t enter(struct diff *d, const char *open, const char *name, const char *close)
{
        size_t old = strlen(d->path);

        snprintf(d->path + old, sizeof(d->path) - old, "%s%s%s",
                 old            ? open
                 : *open == '.' ? ""
                                : open,
                 name, close);
        return old;
}

static void objects(struct diff *d, json_t *before, json_t *after)
{
        const char *key;
        json_t *v;
        size_t old;

        json_object_foreach(before, key, v)
        {
                old = enter(d, ".", key, "");
                differ(d, v, json_object_get(after, key));
                d->path[old] = '\0';
        }
        json_object_foreach(after, key, v)
        {
                if (json_object_get(before, key))
                        continue;
                old = enter(d, ".", key, "");
                differ(d, NULL, v);
                d->path[old] = '\0';
        }
}

/* The name of a list's entry: its code or name. */
static const char *name_of(json_t *entry)
{
        const char *s = json_string_value(json_object_get(entry, "code"));

        return s ? s : json_string_value(json_object_get(entry, "name"));
}

static json_t *find(json_t *list, const char *name, size_t *ret_at)
{
        json_t *v;
        size_t i;

        json_array_foreach(list, i, v)
        {
                const char *have = name_of(v);

                if (have && strcmp(have, name) == 0) {
                        *ret_at = i;
                        return v;
                }
        }
        return NULL;
}

/* Each entry has a name of its own. */
static bool all_named(json_t *list)
{
        json_t *v;
        size_t i, at;

        json_array_foreach(list, i, v)
        {
                if (!name_of(v) || (find(list, name_of(v), &at) && at != i))
                        return false;
        }
        return json_array_size(list) > 0;
}

static void named_lists(struct diff *d, json_t *before, json_t *after)
{
        size_t i, at = 0, last = 0, old;
        bool moved = false;
        json_t *v, *other;

        json_array_foreach(before, i, v)
        {
                old = enter(d, "[", name_of(v), "]");
                other = find(after, name_of(v), &at);
                moved = moved || (other && at < last);
                last = other ? at : last;
                differ(d, v, other);
                d->path[old] = '\0';
        }
        json_array_foreach(after, i, v)
        {
                if (find(before, name_of(v), &at))
                        continue;
                old = enter(d, "[", name_of(v), "]");
                differ(d, NULL, v);
                d->path[old] = '\0';
        }
        if (moved) {
                old = enter(d, ".", "order", "");
                put(d, NULL, NULL);
                d->path[old] = '\0';
        }
}

static void plain_lists(struct diff *d, json_t *before, json_t *after)
{
        size_t n = json_array_size(before), m = json_array_size(after);
        char at[24];

        for (size_t i = 0; i < (n > m ? n : m); i++) {
                size_t old;

                snprintf(at, sizeof(at), "%zu", i);
                old = enter(d, "[", at, "]");
                differ(d, json_array_get(before, i), json_array_get(after, i));
                d->path[old] = '\0';
        }
}

/* 0.1 and "0.10" are the same price. */
static bool same_number(json_t *a, json_t *b)
{
        struct decimal x[2];
        json_t *v[2] = { a, b };

        for (int i = 0; i < 2; i++) {
                char text[64];

                if (json_is_string(v[i]))
                        snprintf(text, sizeof(text), "%.60s", json_string_value(v[i]));
                else if (json_is_number(v[i]))
                        snprintf(text, sizeof(text), json_is_real(v[i]) ? "%.15g" : "%.0f",
                                 json_number_value(v[i]));
                else
                        return false;
                if (decimal_parse(text, &x[i]) < 0)
                        return false;
        }
        return decimal_cmp(x[0], x[1]) == 0;
}

static void differ(struct diff *d, json_t *before, json_t *after)
{
        if (json_is_object(before) && json_is_object(after))
                objects(d, before, after);
        else if (all_named(before) && all_named(after))
                named_lists(d, before, after);
        else if (json_is_array(before) && json_is_array(after))
                plain_lists(d, before, after);
        else if (!before || !after || (!json_equal(before, after) && !same_number(before, after)))
                put(d, before, after);
}

json_t *rating_document_diff(json_t *before, json_t *after)
{
        struct diff d = { .list = json_array() };

        if (d.list)
                differ(&d, before, after);
        return d.list;
}
