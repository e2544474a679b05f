#include "caps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "crc.h"

enum { RECORD_SIZE = 24, RECORD_MAGIC = 0x43445248, HOUR = 3600, DAY = 86400, ENTRIES_MAX = 1 << 20 };

struct entry {
        int64_t command, at;
};

struct caps {
        int fd;
        unsigned per_hour, per_day;
        struct entry *entries; /* owned; of the last day, in order */
        size_t n, cap;
        bool failed;
};

static bool add(struct caps *c, int64_t command, int64_t at)
{
        if (c->n == c->cap) {
                size_t cap = c->cap ? 2 * c->cap : 64;
                struct entry *p = cap > ENTRIES_MAX ? NULL : realloc(c->entries, cap * sizeof *p);

                if (!p)
                        return false;
                c->entries = p;
                c->cap = cap;
        }
        c->entries[c->n++] = (struct entry){ command, at };
        return true;
}

static void put_record(struct buf *b, int64_t command, int64_t at)
{
        size_t start = b->len;

        buf_put_le32(b, RECORD_MAGIC);
        buf_put_le64(b, (uint64_t)command);
        buf_put_le64(b, (uint64_t)at);
        if (!b->failed)
                buf_put_le32(b, crc32c(0, b->p + start, RECORD_SIZE - 4));
}

static int load(struct caps *c, const uint8_t *p, size_t n, int64_t now_s)
{
        for (size_t at = 0; n - at >= RECORD_SIZE; at += RECORD_SIZE) {
                struct rd r = rd_of(p + at, RECORD_SIZE);
                bool good = rd_le32(&r) == RECORD_MAGIC;
                int64_t command = (int64_t)rd_le64(&r), when = (int64_t)rd_le64(&r);

                /* A torn record can only be the last one: its command was not sent. */
                if (!good || rd_le32(&r) != crc32c(0, p + at, RECORD_SIZE - 4))
                        return n - at < 2 * RECORD_SIZE ? 0 : -EBADMSG;
                if (when > now_s - DAY && !add(c, command, when))
                        return -ENOMEM;
        }
        return 0;
}

static int load_file(struct caps *c, const char *path, int64_t now_s)
{
        FILE *f = fopen(path, "rbe");
        struct buf b = BUF_INIT;
        uint8_t piece[4096];
        size_t n;
        int r;

        if (!f)
                return errno == ENOENT ? 0 : -errno;
        while ((n = fread(piece, 1, sizeof piece, f)) > 0)
                buf_put(&b, piece, n);
        r = ferror(f) ? -EIO : b.failed ? -ENOMEM : load(c, b.p, b.len, now_s);
        fclose(f);
        buf_deinit(&b);
        return r;
}

/* Anew beside and renamed over: whole at every moment. */
static int rewrite(struct caps *c, const char *path)
{
        struct buf b = BUF_INIT;
        char beside[4096];
        int r = 0;

        if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
                return -ENAMETOOLONG;
        for (size_t i = 0; i < c->n; i++)
                put_record(&b, c->entries[i].command, c->entries[i].at);
        errno = 0;
        c->fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (c->fd < 0 || b.failed || (b.len && write(c->fd, b.p, b.len) != (ssize_t)b.len) ||
            fdatasync(c->fd) < 0 || rename(beside, path) < 0 || fcntl(c->fd, F_SETFL, O_APPEND) < 0)
                r = errno ? -errno : -EIO;
        buf_deinit(&b);
        return r;
}

int caps_open(struct caps **ret, const char *path, unsigned per_hour, unsigned per_day,
              int64_t now_s)
{
        struct caps *c = calloc(1, sizeof *c);
        int r;

        if (!c)
                return -ENOMEM;
        c->fd = -1;
        c->per_hour = per_hour;
        c->per_day = per_day;
        r = load_file(c, path, now_s);
        if (r == 0)
                r = rewrite(c, path);
        if (r < 0) {
                caps_close(c);
                return r;
        }
        *ret = c;
        return 0;
}

void caps_close(struct caps *c)
{
        if (!c)
                return;
        if (c->fd >= 0)
                close(c->fd);
        free(c->entries);
        free(c);
}

/* The entry whose age frees a place under the limit; NULL: there is a place. */
static const struct entry *full(const struct caps *c, unsigned limit, int64_t since)
{
        size_t n = 0;

        for (size_t i = c->n; i-- > 0;) {
                if (c->entries[i].at <= since)
                        continue;
                if (++n >= limit)
                        return &c->entries[i];
        }
        return NULL;
}

bool caps_allow(struct caps *c, int64_t command, int64_t now_s, int32_t *ret_wait_s, char *why,
                size_t why_size)
{
        const struct entry *hour, *day;
        int64_t wait;

        for (size_t i = 0; i < c->n; i++)
                if (c->entries[i].command == command && c->entries[i].at > now_s - DAY)
                        return true;
        hour = full(c, c->per_hour, now_s - HOUR);
        day = full(c, c->per_day, now_s - DAY);
        if (!c->failed && c->per_hour && c->per_day && !hour && !day)
                return true;
        if (c->failed)
                snprintf(why, why_size, "the count of disconnections cannot be written to disk");
        else if (day || !c->per_day)
                snprintf(why, why_size, "the limit of %u disconnections a day is reached",
                         c->per_day);
        else
                snprintf(why, why_size, "the limit of %u disconnections an hour is reached",
                         c->per_hour);
        wait = day ? day->at + DAY - now_s : hour ? hour->at + HOUR - now_s : HOUR;
        *ret_wait_s = (int32_t)(wait < 1 ? 1 : wait > DAY ? DAY : wait) + 1;
        return false;
}

int caps_take(struct caps *c, int64_t command, int64_t now_s)
{
        struct buf b = BUF_INIT;
        char why[160];
        int32_t wait;
        int r = 0;

        if (!caps_allow(c, command, now_s, &wait, why, sizeof why))
                return -EBUSY;
        for (size_t i = 0; i < c->n; i++)
                if (c->entries[i].command == command && c->entries[i].at > now_s - DAY)
                        return 0;
        put_record(&b, command, now_s);
        errno = 0;
        if (b.failed || write(c->fd, b.p, b.len) != (ssize_t)b.len || fdatasync(c->fd) < 0) {
                r = errno ? -errno : -EIO;
                c->failed = true; /* a torn record may stand there */
        } else if (!add(c, command, now_s)) {
                r = -ENOMEM;
        }
        buf_deinit(&b);
        return r;
}
