#pragma once

/*
 * Structured log: one line a record on standard error (logfmt), or the journal's native
 * protocol when standard error is connected to it. Thread-safe; never blocks on a lock while
 * writing. Scopes chain upwards (daemon -> meter -> session) and add their field to every
 * record below them.
 *
 * Only mains and daemon/ components log; libraries (base, protocols, pure cores) return errors.
 * Secrets (struct secret) have no formatter and so cannot be logged.
 */

#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log_scope {
        const struct log_scope *parent; /* borrowed; outlives this scope */
        const char *key;                /* static string, [a-z_]+ */
        const char *value;              /* borrowed while the scope is used */
};

struct log_field {
        const char *key; /* NULL ends the list; [a-z_]+ */
        const char *s;   /* text, or NULL: then @i counts */
        int64_t i;
};

/* Missing text is logged as "". */
static inline const char *log_text(const char *s)
{
        return s ? s : "";
}

#define LOG_S(k, v)                                                                                \
        {                                                                                          \
                .key = (k), .s = log_text(v)                                                       \
        }
#define LOG_I(k, v)                                                                                \
        {                                                                                          \
                .key = (k), .s = 0, .i = (int64_t)(v)                                              \
        }

/* Records above @level are dropped. Default LOG_INFO. */
void log_set_level(enum log_level level);
int log_level_parse(const char *name, enum log_level *ret_level); /* 0 or -EINVAL */

/* Use through log_error(scope, "what happened", LOG_S("why", text), ...). @scope may be NULL. */
void log_write(enum log_level level, const struct log_scope *scope, const char *msg,
               const struct log_field *fields);

#define log_at(level, scope, msg, ...)                                                             \
        log_write((level), (scope), (msg),                                                         \
                  (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ .key = 0 } })
#define log_error(scope, msg, ...) log_at(LOG_ERROR, scope, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_warn(scope, msg, ...)  log_at(LOG_WARN, scope, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_info(scope, msg, ...)  log_at(LOG_INFO, scope, msg __VA_OPT__(, ) __VA_ARGS__)
#define log_debug(scope, msg, ...) log_at(LOG_DEBUG, scope, msg __VA_OPT__(, ) __VA_ARGS__)
