#pragma once

/*
 * Configuration: `[section]` and `key = value` lines, `#` comments. Every module brings one
 * const table of its keys; unknown sections and keys, wrong types and values out of range are
 * errors with file, line, key and, where one is near, the key that was meant.
 *
 * config_load() reads the file and then, sorted by name, FILE's directory's conf.d/ *.conf;
 * later values replace earlier ones. Values may be "quoted"; @NAME as a value of a secret key
 * reads the systemd credential NAME or the file of that path.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "secret.h"

enum config_type {
        CONFIG_TEXT,     /* const char * */
        CONFIG_INT,      /* int64_t, min..max */
        CONFIG_BOOL,     /* true|false|yes|no|on|off */
        CONFIG_DURATION, /* int64_t milliseconds: 250ms, 10s, 5m, 2h, 1d; min..max in ms */
        CONFIG_SIZE,     /* int64_t bytes: 512, 64K, 16M, 2G */
        CONFIG_ENUM,     /* const char *, one of choices "a|b|c" */
        CONFIG_PATH,     /* const char *, absolute or relative to the daemon's state directory */
        CONFIG_SECRET,   /* const char *, never printed */
};

struct config_key {
        const char *name; /* NULL ends the table */
        enum config_type type;
        const char *default_value; /* as it would stand in the file; NULL = none (key is unset) */
        const char *help;          /* one sentence, for the manual page and --help-config */
        const char *choices;       /* CONFIG_ENUM */
        int64_t min, max;          /* both 0 = any; of texts the length */
};

struct config_section {
        const char *name;
        const char *help;
        const struct config_key *keys;
};

struct config; /* opaque, immutable after load; safe to read from any thread */

/* Owned result in *@ret. @path NULL: defaults only. 0, or -EINVAL with everything that is wrong,
 * one line each "file:line: key: what is wrong; what to do", appended to @errors. @sections is
 * an array ended by a NULL name, borrowed for the life of the config. */
int config_load(struct config **ret, const char *path, const struct config_section *sections,
                struct buf *errors);
void config_free(struct config *c);

/* The key must exist in the tables (a programming error otherwise: aborts). */
const char *config_text(const struct config *c, const char *section,
                        const char *key); /* NULL if unset */
int64_t config_int(const struct config *c, const char *section,
                   const char *key); /* also duration, size */
bool config_bool(const struct config *c, const char *section, const char *key);

/*
 * Sections named [plugin NAME] are not in the tables: their keys are declared by the plugin, which
 * is loaded after the configuration. They are kept as text and checked then.
 */
/* Text as it stands in the file, NULL if the key is absent there. */
const char *config_plugin_text(const struct config *c, const char *plugin, const char *key);
/* Appends an error line for every key of [plugin @plugin] for which @known says no, and with
 * @known NULL for the whole section (no such plugin). */
void config_plugin_check(const struct config *c, const char *plugin,
                         bool (*known)(void *arg, const char *key), void *arg, struct buf *errors);
/* Calls @each once for every plugin that has a section. */
void config_plugin_each(const struct config *c, void (*each)(void *arg, const char *plugin),
                        void *arg);

/* All keys with types, defaults and help, as an example file (`headraced --help-config`). */
void config_describe(const struct config_section *sections, struct buf *out);
