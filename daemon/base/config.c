#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

enum { MAX_FILE = 1 << 20 };

struct value {
        const struct config_section *section;
        const struct config_key *key;
        char *text;     /* arena; NULL = unset */
        int64_t number; /* also bool, duration, size */
        struct value *next;
};

/* A key of a [plugin NAME] section, as found. */
struct plugin_value {
        const char *plugin, *key, *text, *path; /* arena */
        int line;
        struct plugin_value *next;
};

struct config {
        struct arena arena;
        struct plugin_value *plugin_values; /* newest first */
        const struct config_section *sections;
        struct value *values;
};

/* Where the line being read stands, for errors. */
struct reader {
        struct config *config;
        struct buf *errors;
        const char *path;
        int line;
        const struct config_section *section;
        const char *plugin; /* inside [plugin NAME]: its name */
        bool skip;          /* inside an unknown section: its keys were reported with it */
};

__attribute__((format(printf, 2, 3))) static void complain(struct reader *r, const char *fmt, ...)
{
        va_list ap;

        buf_printf(r->errors, "%s:%d: ", r->path, r->line);
        va_start(ap, fmt);
        buf_vprintf(r->errors, fmt, ap);
        va_end(ap);
        buf_put_u8(r->errors, '\n');
}

/* Levenshtein distance, small words only. */
static size_t distance(const char *a, const char *b)
{
        size_t n = strlen(b), row[64];

        if (n >= 63 || strlen(a) >= 63)
                return 63;
        for (size_t j = 0; j <= n; j++)
                row[j] = j;
        for (size_t i = 1; a[i - 1]; i++) {
                size_t diag = row[0];

                row[0] = i;
                for (size_t j = 1; j <= n; j++) {
                        size_t up = row[j];
                        size_t best = diag + (a[i - 1] != b[j - 1]);

                        if (up + 1 < best)
                                best = up + 1;
                        if (row[j - 1] + 1 < best)
                                best = row[j - 1] + 1;
                        row[j] = best;
                        diag = up;
                }
        }
        return row[n];
}

static const char *nearest_section(const struct config_section *sections, const char *name)
{
        const char *best = NULL;
        size_t least = 4;

        for (; sections->name; sections++) {
                size_t d = distance(name, sections->name);

                if (d < least) {
                        least = d;
                        best = sections->name;
                }
        }
        return best;
}

static const char *nearest_key(const struct config_key *keys, const char *name)
{
        const char *best = NULL;
        size_t least = 4;

        for (; keys->name; keys++) {
                size_t d = distance(name, keys->name);

                if (d < least) {
                        least = d;
                        best = keys->name;
                }
        }
        return best;
}

static bool one_of(const char *choices, const char *s)
{
        size_t n = strlen(s);

        for (const char *p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
                if (strncmp(p, s, n) == 0 && (p[n] == '|' || p[n] == 0))
                        return true;
        return false;
}

/* A whole number, then a unit out of @units ("ms\0..." pairs). */
struct unit {
        const char *name;
        int64_t factor;
};
static const struct unit durations[] = { { "ms", 1 },      { "s", 1000 },     { "m", 60000 },
                                         { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };
static const struct unit sizes[] = {
        { "", 1 }, { "K", 1024 }, { "M", 1 << 20 }, { "G", 1 << 30 }, { NULL, 0 }
};
static const struct unit plain[] = { { "", 1 }, { NULL, 0 } };

static int number(const char *s, const struct unit *units, int64_t *ret)
{
        char *end;
        long long v;

        errno = 0;
        v = strtoll(s, &end, 10);
        if (end == s || errno)
                return -EINVAL;
        for (; units->name; units++) {
                if (strcmp(end, units->name) != 0)
                        continue;
                return __builtin_mul_overflow((int64_t)v, units->factor, ret) ? -ERANGE : 0;
        }
        return -EINVAL;
}

static int boolean(const char *s, int64_t *ret)
{
        *ret = one_of("true|yes|on", s);
        return *ret || one_of("false|no|off", s) ? 0 : -EINVAL;
}

static const char *expected(enum config_type type)
{
        switch (type) {
        case CONFIG_INT:
                return "a whole number";
        case CONFIG_BOOL:
                return "true or false";
        case CONFIG_DURATION:
                return "a duration such as 250ms, 10s, 5m, 2h or 1d";
        case CONFIG_SIZE:
                return "a size such as 512, 64K, 16M or 2G";
        case CONFIG_TEXT:
        case CONFIG_ENUM:
        case CONFIG_PATH:
        case CONFIG_SECRET:
                break;
        }
        return "text";
}

static const char *range_of(enum config_type type)
{
        switch (type) {
        case CONFIG_DURATION:
                return " milliseconds";
        case CONFIG_TEXT:
        case CONFIG_PATH:
        case CONFIG_SECRET:
                return " characters";
        case CONFIG_INT:
        case CONFIG_BOOL:
        case CONFIG_SIZE:
        case CONFIG_ENUM:
                break;
        }
        return "";
}

static int convert(const struct config_key *key, const char *text, int64_t *ret)
{
        *ret = 0;
        switch (key->type) {
        case CONFIG_INT:
                return number(text, plain, ret);
        case CONFIG_DURATION:
                return number(text, durations, ret);
        case CONFIG_SIZE:
                return number(text, sizes, ret);
        case CONFIG_BOOL:
                return boolean(text, ret);
        case CONFIG_ENUM:
                return one_of(key->choices, text) ? 0 : -EINVAL;
        case CONFIG_TEXT:
        case CONFIG_PATH:
        case CONFIG_SECRET:
                *ret = (int64_t)strlen(text);
                return 0;
        }
        return -EINVAL;
}

/* "@name": the systemd credential of that name, or a file. First line, without its newline. */
static const char *read_secret(struct reader *r, const struct config_key *key, const char *name)
{
        const char *dir = getenv("CREDENTIALS_DIRECTORY");
        char path[PATH_MAX], text[4096];
        FILE *f = NULL;
        size_t n;

        if (dir && !strchr(name, '/')) {
                snprintf(path, sizeof path, "%s/%s", dir, name);
                f = fopen(path, "re");
        }
        if (!f)
                f = fopen(name, "re");
        if (!f) {
                complain(r,
                         "%s: no credential and no readable file \"%s\": %s; pass it with "
                         "LoadCredential= or "
                         "name a file",
                         key->name, name, strerror(errno));
                return NULL;
        }
        n = fread(text, 1, sizeof text - 1, f);
        fclose(f);
        text[n] = 0;
        text[strcspn(text, "\r\n")] = 0;
        name = arena_str(&r->config->arena, text);
        explicit_bzero(text, sizeof text);
        return name;
}

static struct value *slot(struct config *c, const char *section, const char *key)
{
        for (struct value *v = c->values; v; v = v->next)
                if (strcmp(v->section->name, section) == 0 && strcmp(v->key->name, key) == 0)
                        return v;
        return NULL;
}

static void assign(struct reader *r, struct value *v, const char *text)
{
        const struct config_key *key = v->key;
        int64_t n;
        int e;

        if (key->type == CONFIG_SECRET && text[0] == '@') {
                text = read_secret(r, key, text + 1);
                if (!text)
                        return;
        }
        e = convert(key, text, &n);
        if (e == -EINVAL && key->type == CONFIG_ENUM)
                complain(r, "%s: \"%s\" is none of %s", key->name, text, key->choices);
        else if (e)
                complain(r, "%s: \"%s\" is not %s", key->name, text, expected(key->type));
        else if ((key->min || key->max) && (n < key->min || n > key->max))
                complain(r, "%s: %s is out of range; allowed are %lld to %lld%s", key->name,
                         key->type == CONFIG_SECRET ? "the secret" : text, (long long)key->min,
                         (long long)key->max, range_of(key->type));
        else {
                v->text = arena_str(&r->config->arena, text);
                v->number = n;
        }
}

static char *trim(char *s)
{
        char *end;

        while (isspace((unsigned char)*s))
                s++;
        end = s + strlen(s);
        while (end > s && isspace((unsigned char)end[-1]))
                *--end = 0;
        return s;
}

static void read_section(struct reader *r, char *s)
{
        char *end = strchr(s, ']');
        const char *near;

        r->skip = true;
        if (!end || *trim(end + 1)) {
                complain(r, "a section is written [name] alone on its line");
                return;
        }
        *end = 0;
        s = trim(s + 1);
        r->plugin = NULL;
        if (strncmp(s, "plugin ", 7) == 0) {
                r->plugin = arena_str(&r->config->arena, trim(s + 7));
                r->skip = false;
                return;
        }
        for (const struct config_section *t = r->config->sections; t->name; t++)
                if (strcmp(t->name, s) == 0) {
                        r->section = t;
                        r->skip = false;
                        return;
                }
        near = nearest_section(r->config->sections, s);
        complain(r, "there is no section [%s]%s%s%s", s, near ? "; did you mean [" : "",
                 near ? near : "", near ? "]?" : "");
}

/* A value in quotes keeps blanks and '#'; without quotes a '#' after a blank begins a comment. */
static char *read_value(struct reader *r, char *s)
{
        if (*s == '"') {
                char *end = strchr(s + 1, '"');

                if (!end || (*trim(end + 1) && *trim(end + 1) != '#')) {
                        complain(r, "the quotes of this value are not closed");
                        return NULL;
                }
                *end = 0;
                return s + 1;
        }
        for (char *p = s; *p; p++)
                if (*p == '#' && (p == s || isspace((unsigned char)p[-1]))) {
                        *p = 0;
                        break;
                }
        return trim(s);
}

static void read_plugin_key(struct reader *r, char *s, char *eq)
{
        struct arena *a = &r->config->arena;
        struct plugin_value *v = arena_alloc(a, sizeof *v);
        char *text = read_value(r, trim(eq + 1));

        if (!v || !text)
                return;
        *eq = 0;
        *v = (struct plugin_value){ .plugin = r->plugin,
                                    .key = arena_str(a, trim(s)),
                                    .text = arena_str(a, text),
                                    .path = arena_str(a, r->path),
                                    .line = r->line,
                                    .next = r->config->plugin_values };
        r->config->plugin_values = v;
}

static void read_key(struct reader *r, char *s)
{
        char *eq = strchr(s, '=');
        struct value *v;
        const char *near;

        if (!eq) {
                complain(r, "\"%.40s\" is neither [section] nor key = value", s);
                return;
        }
        if (r->skip)
                return;
        if (r->plugin) {
                read_plugin_key(r, s, eq);
                return;
        }
        if (!r->section) {
                complain(r, "a key stands before the first [section]");
                return;
        }
        *eq = 0;
        s = trim(s);
        v = slot(r->config, r->section->name, s);
        if (!v) {
                near = nearest_key(r->section->keys, s);
                complain(r, "there is no key \"%s\" in [%s]%s%s%s", s, r->section->name,
                         near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
                return;
        }
        s = read_value(r, trim(eq + 1));
        if (s)
                assign(r, v, s);
}

static void read_line(struct reader *r, char *line)
{
        char *s = trim(line);

        if (*s == 0 || *s == '#')
                return;
        if (*s == '[')
                read_section(r, s);
        else
                read_key(r, s);
}

static void read_file(struct reader *r)
{
        FILE *f = fopen(r->path, "re");
        char *text;
        size_t n;

        r->line = 0;
        r->section = NULL;
        r->plugin = NULL;
        r->skip = false;
        if (!f) {
                complain(r, "cannot read it: %s", strerror(errno));
                return;
        }
        text = malloc(MAX_FILE + 1);
        n = text ? fread(text, 1, MAX_FILE + 1, f) : 0;
        if (!text || ferror(f))
                complain(r, "cannot read it: %s", strerror(errno));
        else if (n > MAX_FILE)
                complain(r, "larger than 1 MiB; this is no configuration file");
        else if (memchr(text, 0, n))
                complain(r, "holds a NUL byte; this is no text file");
        else {
                char *save = text;

                text[n] = 0;
                for (char *line; (line = strsep(&save, "\n"));) {
                        r->line++;
                        read_line(r, line);
                }
        }
        if (text)
                explicit_bzero(text, MAX_FILE + 1);
        free(text);
        fclose(f);
}

static int is_conf(const struct dirent *e)
{
        size_t n = strlen(e->d_name);

        return n > 5 && e->d_name[0] != '.' && strcmp(e->d_name + n - 5, ".conf") == 0;
}

static void read_conf_d(struct reader *r, const char *path)
{
        const char *slash = strrchr(path, '/');
        char dir[PATH_MAX], file[PATH_MAX + 258];
        struct dirent **list;
        int n;

        snprintf(dir, sizeof dir, "%.*sconf.d", slash ? (int)(slash - path + 1) : 0, path);
        n = scandir(dir, &list, is_conf, alphasort);
        for (int i = 0; i < n; i++) {
                snprintf(file, sizeof file, "%s/%s", dir, list[i]->d_name);
                r->path = file;
                read_file(r);
                free(list[i]);
        }
        if (n >= 0)
                free(list);
}

static bool add_defaults(struct reader *r)
{
        for (const struct config_section *s = r->config->sections; s->name; s++)
                for (const struct config_key *k = s->keys; k->name; k++) {
                        struct value *v = arena_alloc(&r->config->arena, sizeof *v);

                        if (!v)
                                return false;
                        *v = (struct value){ .section = s, .key = k, .next = r->config->values };
                        r->config->values = v;
                        r->path = "built-in default";
                        if (k->default_value)
                                assign(r, v, k->default_value);
                }
        return true;
}

int config_load(struct config **ret, const char *path, const struct config_section *sections,
                struct buf *errors)
{
        struct config *c = calloc(1, sizeof *c);
        struct reader r = { .config = c, .errors = errors };
        size_t before = errors->len;

        if (!c)
                return -ENOMEM;
        arena_init(&c->arena, 0);
        c->sections = sections;
        if (!add_defaults(&r)) {
                config_free(c);
                return -ENOMEM;
        }
        if (path) {
                r.path = path;
                read_file(&r);
                read_conf_d(&r, path);
        }
        if (errors->len != before || errors->failed) {
                config_free(c);
                return -EINVAL;
        }
        *ret = c;
        return 0;
}

void config_free(struct config *c)
{
        if (!c)
                return;
        for (struct value *v = c->values; v; v = v->next)
                if (v->key->type == CONFIG_SECRET && v->text)
                        explicit_bzero(v->text, strlen(v->text));
        arena_deinit(&c->arena);
        free(c);
}

static const struct value *must(const struct config *c, const char *section, const char *key)
{
        for (const struct value *v = c->values; v; v = v->next)
                if (strcmp(v->section->name, section) == 0 && strcmp(v->key->name, key) == 0)
                        return v;
        fprintf(stderr, "configuration key [%s] %s is asked for but declared nowhere\n", section,
                key);
        abort();
}

const char *config_text(const struct config *c, const char *section, const char *key)
{
        return must(c, section, key)->text;
}

int64_t config_int(const struct config *c, const char *section, const char *key)
{
        return must(c, section, key)->number;
}

bool config_bool(const struct config *c, const char *section, const char *key)
{
        return must(c, section, key)->number != 0;
}

const char *config_plugin_text(const struct config *c, const char *plugin, const char *key)
{
        for (const struct plugin_value *v = c->plugin_values; v; v = v->next)
                if (strcmp(v->plugin, plugin) == 0 && strcmp(v->key, key) == 0)
                        return v->text;
        return NULL;
}

void config_plugin_check(const struct config *c, const char *plugin,
                         bool (*known)(void *arg, const char *key), void *arg, struct buf *errors)
{
        for (const struct plugin_value *v = c->plugin_values; v; v = v->next) {
                if (strcmp(v->plugin, plugin) != 0)
                        continue;
                if (!known)
                        buf_printf(errors,
                                   "%s:%d: there is no plugin \"%s\"; remove the section or "
                                   "install it\n",
                                   v->path, v->line, plugin);
                else if (!known(arg, v->key))
                        buf_printf(errors, "%s:%d: plugin \"%s\" has no key \"%s\"\n", v->path,
                                   v->line, plugin, v->key);
        }
}

void config_plugin_each(const struct config *c, void (*each)(void *arg, const char *plugin),
                        void *arg)
{
        for (const struct plugin_value *v = c->plugin_values; v; v = v->next) {
                bool again = false;

                for (const struct plugin_value *w = v->next; w && !again; w = w->next)
                        again = strcmp(w->plugin, v->plugin) == 0;
                if (!again)
                        each(arg, v->plugin);
        }
}

static const char *type_name(const struct config_key *k)
{
        switch (k->type) {
        case CONFIG_TEXT:
                return "text";
        case CONFIG_INT:
                return "number";
        case CONFIG_BOOL:
                return "true|false";
        case CONFIG_DURATION:
                return "duration (ms, s, m, h, d)";
        case CONFIG_SIZE:
                return "size (K, M, G)";
        case CONFIG_ENUM:
                return k->choices;
        case CONFIG_PATH:
                return "path";
        case CONFIG_SECRET:
                return "secret (@credential or @/file)";
        }
        return "";
}

void config_describe(const struct config_section *sections, struct buf *out)
{
        for (const struct config_section *s = sections; s->name; s++) {
                buf_printf(out, "# %s\n[%s]\n", s->help, s->name);
                for (const struct config_key *k = s->keys; k->name; k++) {
                        buf_printf(out, "# %s [%s", k->help, type_name(k));
                        if (k->min || k->max)
                                buf_printf(out, ", %lld to %lld", (long long)k->min,
                                           (long long)k->max);
                        buf_printf(out, "]\n%s%s = %s\n", k->default_value ? "" : "#", k->name,
                                   k->default_value ? k->default_value : "");
                }
                buf_put_u8(out, '\n');
        }
}
