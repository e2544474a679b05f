/* Where in the text of a JSON document a member stands, so that a complaint can name line and
 * column. The text has been parsed before: this only walks it. */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

struct walk {
        const char *p, *end;
};

static void blanks(struct walk *w)
{
        while (w->p < w->end && strchr(" \t\r\n", *w->p))
                w->p++;
}

static void skip_text(struct walk *w)
{
        for (w->p++; w->p < w->end && *w->p != '"'; w->p++)
                if (*w->p == '\\')
                        w->p++;
        w->p++;
}

/* Past one value of any kind. */
static void skip_value(struct walk *w)
{
        int depth = 0;

        do {
                blanks(w);
                if (w->p >= w->end)
                        return;
                if (*w->p == '"') {
                        skip_text(w);
                } else if (strchr("{[", *w->p)) {
                        depth++;
                        w->p++;
                } else if (strchr("}]", *w->p)) {
                        depth--;
                        w->p++;
                } else if (strchr(",:", *w->p)) {
                        w->p++;
                } else {
                        while (w->p < w->end && !strchr(" \t\r\n,:{}[]\"", *w->p))
                                w->p++;
                }
        } while (depth > 0);
}

/* To the value of member @name, @n bytes; where it stands in *@ret_key. False when absent. */
static bool to_member(struct walk *w, const char *name, size_t n, const char **ret_key)
{
        blanks(w);
        if (w->p >= w->end || *w->p != '{')
                return false;
        for (w->p++;;) {
                const char *key;
                bool same;

                blanks(w);
                if (w->p >= w->end || *w->p != '"')
                        return false;
                key = w->p;
                skip_text(w);
                same = (size_t)(w->p - key) == n + 2 && memcmp(key + 1, name, n) == 0;
                blanks(w);
                if (w->p < w->end)
                        w->p++; /* : */
                blanks(w);
                if (same) {
                        *ret_key = key;
                        return true;
                }
                skip_value(w);
                blanks(w);
                if (w->p >= w->end || *w->p++ != ',')
                        return false;
        }
}

static bool to_element(struct walk *w, unsigned long i)
{
        blanks(w);
        if (w->p >= w->end || *w->p != '[')
                return false;
        w->p++;
        for (blanks(w); i > 0; i--) {
                skip_value(w);
                blanks(w);
                if (w->p >= w->end || *w->p++ != ',')
                        return false;
                blanks(w);
        }
        return w->p < w->end && *w->p != ']';
}

/* The longest part of @path that is there: a member that is missing is looked for in vain, its
 * object is found. */
void json_locate(const char *json, size_t n, const char *path, int *ret_line, int *ret_column)
{
        struct walk w = { json, json + n };
        const char *found = json;
        bool there = true;

        blanks(&w);
        found = w.p;
        while (there && *path) {
                if (*path == '[') {
                        char *end;
                        unsigned long i = strtoul(path + 1, &end, 10);

                        path = *end == ']' ? end + 1 : "";
                        there = to_element(&w, i);
                        found = there ? w.p : found;
                } else {
                        size_t len;

                        path += *path == '.';
                        len = strcspn(path, ".[");
                        there = len > 0 && to_member(&w, path, len, &found);
                        path += len;
                }
        }
        *ret_line = *ret_column = 1;
        for (const char *p = json; p < found && p < json + n; p++) {
                *ret_column = *p == '\n' ? 1 : *ret_column + 1;
                *ret_line += *p == '\n';
        }
}
