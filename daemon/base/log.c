#include "log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"

static _Atomic int max_level = LOG_INFO;

static const char *const names[] = { "error", "warn", "info", "debug" };
/* sd-daemon(3) prefixes: the journal reads the priority from them. */
static const char *const prefixes[] = { "<3>", "<4>", "<6>", "<7>" };

void log_set_level(enum log_level level)
{
        max_level = (int)level;
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
        for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
                if (strcmp(name, names[i]) == 0) {
                        *ret_level = (enum log_level)i;
                        return 0;
                }
        return -EINVAL;
}

/* logfmt: quotes only where the value needs them; control characters never get through raw. */
static void put_value(struct buf *b, const char *s)
{
        bool plain = *s != 0;

        for (const char *p = s; *p; p++)
                if ((unsigned char)*p <= ' ' || *p == '"' || *p == '=' || *p == '\\' || *p == 127)
                        plain = false;
        if (plain)
                buf_put_str(b, s);
        else
                buf_put_json_str(b, s, strlen(s));
}

static void put_scope(struct buf *b, const struct log_scope *scope)
{
        if (!scope)
                return;
        put_scope(b, scope->parent);
        if (!scope->key)
                return;
        buf_printf(b, " %s=", scope->key);
        put_value(b, scope->value ? scope->value : "");
}

static void put_time(struct buf *b)
{
        struct timespec ts;
        struct tm tm;

        clock_gettime(CLOCK_REALTIME, &ts);
        gmtime_r(&ts.tv_sec, &tm);
        buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ ", tm.tm_year + 1900, tm.tm_mon + 1,
                   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000);
}

void log_write(enum log_level level, const struct log_scope *scope, const char *msg,
               const struct log_field *fields)
{
        struct buf b = BUF_INIT;
        ssize_t r;

        if ((int)level > max_level)
                return;
        if (getenv("JOURNAL_STREAM"))
                buf_put_str(&b, prefixes[level]);
        else
                put_time(&b);
        buf_printf(&b, "%s msg=", names[level]);
        buf_put_json_str(&b, msg, strlen(msg));
        put_scope(&b, scope);
        for (const struct log_field *f = fields; f && f->key; f++) {
                buf_printf(&b, " %s=", f->key);
                if (f->s)
                        put_value(&b, f->s);
                else
                        buf_printf(&b, "%lld", (long long)f->i);
        }
        buf_put_u8(&b, '\n');
        /* One write a record: lines of several threads never mix. A full pipe loses the record,
         * not the daemon. */
        if (!b.failed)
                do
                        r = write(STDERR_FILENO, b.p, b.len);
                while (r < 0 && errno == EINTR);
        buf_deinit(&b);
}
