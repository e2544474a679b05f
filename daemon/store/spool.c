#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc.h"
#include "spool.h"

static const char head_magic[8] = "HRSPOOL1";
enum { HEAD = 16, RECORD_HEAD = 12, READ_AHEAD = 1 << 20 };
#define RECORD_MAGIC 0x31724853u /* "SHr1" */

struct segment {
        uint64_t number, bytes;
};

struct spool {
        struct spool_options options;
        char *dir; /* owned */
        int dir_fd, lock_fd;
        char id[SPOOL_ID_SIZE];

        pthread_mutex_t lock;     /* guards what follows */
        struct segment *segments; /* owned, ascending; the last one may be open for appending */
        size_t n, cap;
        uint64_t total;

        int fd;     /* of the last segment while it is appended to, else -1; writer only */
        int failed; /* -errno of the failure that ended it; writer only */
};

static void report(struct spool *s, const char *what, uint64_t segment, uint64_t offset, uint64_t n)
{
        if (s->options.report)
                s->options.report(s->options.arg, what, segment, offset, n);
}

static void segment_name(char out[static 32], uint64_t number)
{
        snprintf(out, 32, "%016" PRIx64 ".seg", number);
}

static int write_all(int fd, const void *p, size_t n, uint64_t at)
{
        const uint8_t *b = p;

        while (n) {
                ssize_t k = pwrite(fd, b, n, (off_t)at);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return k ? -errno : -EIO;
                b += k;
                at += (uint64_t)k;
                n -= (size_t)k;
        }
        return 0;
}

/* Bytes read (fewer at the end of the file), or -errno. */
static ssize_t read_some(int fd, void *p, size_t n, uint64_t at)
{
        size_t got = 0;

        while (got < n) {
                ssize_t k = pread(fd, (uint8_t *)p + got, n - got, (off_t)(at + got));

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (!k)
                        break;
                got += (size_t)k;
        }
        return (ssize_t)got;
}

static int segment_add(struct spool *s, uint64_t number, uint64_t bytes)
{
        if (s->n == s->cap) {
                size_t cap = s->cap ? 2 * s->cap : 16;
                struct segment *p = realloc(s->segments, cap * sizeof *p);

                if (!p)
                        return -ENOMEM;
                s->segments = p;
                s->cap = cap;
        }
        s->segments[s->n++] = (struct segment){ number, bytes };
        s->total += bytes;
        return 0;
}

/* ---- records ---- */

bool spool_frame(struct buf *b, const void *body, size_t n)
{
        uint8_t len[4];
        uint32_t crc;

        if (!n || n > SPOOL_MAX_BODY || !buf_reserve(b, RECORD_HEAD + n))
                return false;
        for (int i = 0; i < 4; i++)
                len[i] = (uint8_t)(n >> 8 * i);
        crc = crc32c(crc32c(0, len, 4), body, n);
        buf_put_le32(b, RECORD_MAGIC);
        buf_put_le32(b, (uint32_t)n);
        buf_put_le32(b, crc);
        buf_put(b, body, n);
        return !b->failed;
}

/* Length of the whole record at @p, 0 when it needs more than @n bytes, -1 when it is damaged. */
static ssize_t record_check(const uint8_t *p, size_t n)
{
        struct rd r = rd_of(p, n);
        uint32_t magic = rd_le32(&r), len = rd_le32(&r), crc = rd_le32(&r);

        if (r.failed)
                return 0;
        if (magic != RECORD_MAGIC || !len || len > SPOOL_MAX_BODY)
                return -1;
        if (r.n < len)
                return 0;
        return crc32c(crc32c(0, p + 4, 4), r.p, len) == crc ? (ssize_t)(RECORD_HEAD + len) : -1;
}

/* Offset in @p of the next whole, valid record after the first byte, or @n. */
static size_t record_search(const uint8_t *p, size_t n)
{
        for (size_t i = 1; i + RECORD_HEAD < n; i++) {
                const uint8_t *q = memchr(p + i, (int)(RECORD_MAGIC & 0xff), n - i);

                if (!q)
                        break;
                i = (size_t)(q - p);
                if (record_check(q, n - i) > 0)
                        return i;
        }
        return n;
}

/* ---- opening ---- */

static int id_load(struct spool *s)
{
        uint64_t v;
        int fd = openat(s->dir_fd, "id", O_RDONLY | O_CLOEXEC), r = 0;

        if (fd >= 0) {
                ssize_t k = read_some(fd, s->id, 16, 0);

                close(fd);
                s->id[16] = 0;
                if (k < 0)
                        return (int)k;
                if (k == 16 && strspn(s->id, "0123456789abcdef") == 16)
                        return 0;
        }
        /* A new identity is safe at any time: whatever is still here is loaded from its begin. */
        if (getrandom(&v, sizeof v, 0) != sizeof v)
                return -EIO;
        snprintf(s->id, sizeof s->id, "%016" PRIx64, v);
        fd = openat(s->dir_fd, "id.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        r = write_all(fd, s->id, 16, 0);
        if (!r && fdatasync(fd))
                r = -errno;
        close(fd);
        if (!r && renameat(s->dir_fd, "id.new", s->dir_fd, "id"))
                r = -errno;
        if (!r && fsync(s->dir_fd))
                r = -errno;
        return r;
}

static int segment_order(const void *a, const void *b)
{
        const struct segment *x = a, *y = b;

        return x->number < y->number ? -1 : x->number > y->number;
}

static int segments_list(struct spool *s)
{
        int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *e;

        if (!d) {
                r = -errno;
                if (fd >= 0)
                        close(fd);
                return r;
        }
        while (!r && (e = readdir(d))) {
                char name[32];
                struct stat st;
                uint64_t number = strtoull(e->d_name, NULL, 16);

                segment_name(name, number);
                if (strcmp(name, e->d_name))
                        continue;
                r = fstatat(s->dir_fd, name, &st, 0) ? -errno
                                                     : segment_add(s, number, (uint64_t)st.st_size);
        }
        closedir(d);
        if (s->n)
                qsort(s->segments, s->n, sizeof *s->segments, segment_order);
        return r;
}

static int tail_cut(struct spool *s, int fd, struct segment *g, uint64_t end)
{
        report(s, "a torn batch, never acknowledged, was cut off", g->number, end, g->bytes - end);
        if (ftruncate(fd, (off_t)end) || fdatasync(fd))
                return -errno;
        s->total -= g->bytes - end;
        g->bytes = end;
        return 0;
}

/* A kill in the middle of a batch leaves a torn record at the end of the last segment. Damage
 * with whole records behind it is something else, left to the reader, who sets it aside. */
static int tail_repair(struct spool *s)
{
        struct segment *g = s->n ? &s->segments[s->n - 1] : NULL;
        struct buf all = BUF_INIT;
        char name[32];
        ssize_t k = 0;
        size_t at = HEAD;
        int fd, r = 0;

        if (!g)
                return 0;
        segment_name(name, g->number);
        fd = openat(s->dir_fd, name, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (g->bytes && !buf_extend(&all, g->bytes))
                r = -ENOMEM;
        if (!r && g->bytes)
                k = read_some(fd, all.p, g->bytes, 0);
        if (k < 0)
                r = (int)k;
        if (!r && g->bytes && g->bytes < HEAD) {
                r = tail_cut(s, fd, g, 0);
        } else if (!r) {
                while (at < all.len) {
                        ssize_t len = record_check(all.p + at, all.len - at);
                        size_t next = len > 0 ? at + (size_t)len
                                              : at + record_search(all.p + at, all.len - at);

                        if (len <= 0 && next == all.len)
                                break;
                        at = next;
                }
                if (at < all.len)
                        r = tail_cut(s, fd, g, at);
        }
        close(fd);
        buf_deinit(&all);
        return r;
}

static int open_all(struct spool *s)
{
        int r;

        if (mkdir(s->dir, 0700) && errno != EEXIST)
                return -errno;
        s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->dir_fd < 0)
                return -errno;
        s->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (s->lock_fd < 0)
                return -errno;
        if (flock(s->lock_fd, LOCK_EX | LOCK_NB))
                return errno == EWOULDBLOCK ? -EBUSY : -errno;
        r = id_load(s);
        if (!r)
                r = segments_list(s);
        if (!r)
                r = tail_repair(s);
        return r;
}

int spool_open(struct spool **ret, const char *dir, const struct spool_options *options)
{
        struct spool *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        pthread_mutex_init(&s->lock, NULL);
        s->fd = s->dir_fd = s->lock_fd = -1;
        if (options)
                s->options = *options;
        if (!s->options.segment_bytes)
                s->options.segment_bytes = 64u << 20;
        if (!s->options.max_bytes)
                s->options.max_bytes = 8ull << 30;
        /* The newest segment is never deleted: it must stay a small part of the whole. */
        if (s->options.segment_bytes > s->options.max_bytes / 4)
                s->options.segment_bytes = s->options.max_bytes / 4;
        s->dir = strdup(dir);
        r = s->dir ? open_all(s) : -ENOMEM;
        if (r) {
                spool_close(s);
                return r;
        }
        *ret = s;
        return 0;
}

void spool_close(struct spool *s)
{
        if (!s)
                return;
        if (s->fd >= 0)
                close(s->fd);
        if (s->lock_fd >= 0)
                close(s->lock_fd);
        if (s->dir_fd >= 0)
                close(s->dir_fd);
        pthread_mutex_destroy(&s->lock);
        free(s->segments);
        free(s->dir);
        free(s);
}

const char *spool_id(const struct spool *s)
{
        return s->id;
}

const char *spool_dir(const struct spool *s)
{
        return s->dir;
}

/* ---- appending ---- */

static uint64_t last_bytes(struct spool *s)
{
        return s->n ? s->segments[s->n - 1].bytes : 0;
}

static int segment_begin(struct spool *s)
{
        uint64_t number = s->n ? s->segments[s->n - 1].number + 1 : 1;
        struct buf head = BUF_INIT;
        char name[32];
        int fd, r;

        segment_name(name, number);
        fd = openat(s->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        /* Room for the whole segment where the file system can promise it. */
        if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)s->options.segment_bytes) &&
            errno == ENOSPC) {
                r = -ENOSPC;
                goto undo;
        }
        buf_put(&head, head_magic, sizeof head_magic);
        buf_put_le64(&head, number);
        r = head.failed ? -ENOMEM : write_all(fd, head.p, head.len, 0);
        buf_deinit(&head);
        if (r)
                goto undo;
        if (fdatasync(fd) || fsync(s->dir_fd)) {
                r = s->failed = -errno;
                close(fd);
                return r;
        }
        pthread_mutex_lock(&s->lock);
        r = segment_add(s, number, HEAD);
        pthread_mutex_unlock(&s->lock);
        if (r)
                goto undo;
        if (s->fd >= 0)
                close(s->fd);
        s->fd = fd;
        return 0;
undo:
        close(fd);
        unlinkat(s->dir_fd, name, 0);
        return r;
}

int spool_append(struct spool *s, const void *frames, size_t n)
{
        uint64_t at;
        int r = 0;

        if (s->failed)
                return s->failed;
        if (!n)
                return 0;
        if (spool_bytes(s) + n > s->options.max_bytes)
                return -ENOSPC;
        if (s->fd < 0 || (last_bytes(s) > HEAD && last_bytes(s) + n > s->options.segment_bytes))
                r = segment_begin(s);
        if (r)
                return r;
        at = last_bytes(s);
        r = write_all(s->fd, frames, n, at);
        if (r == -ENOSPC || r == -EDQUOT) {
                /* Half a batch must not stay: the next one would stand behind damage. */
                if (ftruncate(s->fd, (off_t)at))
                        return s->failed = -errno;
                return -ENOSPC;
        }
        if (r)
                return s->failed = r;
        if (fdatasync(s->fd))
                return s->failed = -errno;
        pthread_mutex_lock(&s->lock);
        s->segments[s->n - 1].bytes = at + n;
        s->total += n;
        pthread_mutex_unlock(&s->lock);
        return 0;
}

uint64_t spool_bytes(struct spool *s)
{
        uint64_t n;

        pthread_mutex_lock(&s->lock);
        n = s->total;
        pthread_mutex_unlock(&s->lock);
        return n;
}

struct spool_position spool_end(struct spool *s)
{
        struct spool_position p = { 0 };

        pthread_mutex_lock(&s->lock);
        if (s->n)
                p = (struct spool_position){ s->segments[s->n - 1].number,
                                             s->segments[s->n - 1].bytes };
        pthread_mutex_unlock(&s->lock);
        return p;
}

struct spool_position spool_begin(struct spool *s)
{
        struct spool_position p = { 0 };

        pthread_mutex_lock(&s->lock);
        if (s->n)
                p = (struct spool_position){ s->segments[0].number, HEAD };
        pthread_mutex_unlock(&s->lock);
        return p;
}

/* ---- reading ---- */

void spool_cursor_init(struct spool_cursor *c, struct spool *s, struct spool_position at)
{
        *c = (struct spool_cursor){ .spool = s, .at = at, .fd = -1 };
}

void spool_cursor_deinit(struct spool_cursor *c)
{
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
        buf_deinit(&c->data);
}

/* The segment at or after the cursor's: 1 and its durable size, *@ret_last when it is the newest;
 * 0 when there is none. */
static int segment_find(struct spool_cursor *c, uint64_t *ret_bytes, bool *ret_last)
{
        struct spool *s = c->spool;
        int found = 0;

        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < s->n && !found; i++) {
                if (s->segments[i].number < c->at.segment)
                        continue;
                found = 1;
                if (s->segments[i].number != c->at.segment)
                        c->at = (struct spool_position){ s->segments[i].number, HEAD };
                *ret_bytes = s->segments[i].bytes;
                *ret_last = i + 1 == s->n;
        }
        pthread_mutex_unlock(&s->lock);
        return found;
}

static int segment_attach(struct spool_cursor *c)
{
        char name[32];

        if (c->fd >= 0 && c->fd_segment == c->at.segment)
                return 0;
        if (c->fd >= 0)
                close(c->fd);
        segment_name(name, c->at.segment);
        c->fd = openat(c->spool->dir_fd, name, O_RDONLY | O_CLOEXEC);
        if (c->fd < 0)
                return -errno;
        c->fd_segment = c->at.segment;
        buf_reset(&c->data);
        return 0;
}

/* Makes at least @want bytes (or all there are) stand in data from the cursor's offset on. */
static ssize_t fill(struct spool_cursor *c, size_t want)
{
        uint64_t have_to = c->data_at + c->data.len;
        uint64_t left = c->limit - c->at.offset;
        size_t n;
        ssize_t k;

        if (want > left)
                want = (size_t)left;
        if (c->at.offset >= c->data_at && c->at.offset + want <= have_to && c->data.len)
                return (ssize_t)(have_to - c->at.offset);
        n = want > READ_AHEAD ? want : READ_AHEAD;
        if (n > left)
                n = (size_t)left;
        buf_reset(&c->data);
        if (n && !buf_extend(&c->data, n)) {
                buf_reset(&c->data);
                return -ENOMEM;
        }
        k = n ? read_some(c->fd, c->data.p, n, c->at.offset) : 0;
        c->data_at = c->at.offset;
        c->data.len = k > 0 ? (size_t)k : 0;
        return k;
}

static int set_aside(struct spool_cursor *c, size_t n)
{
        char name[64];
        int fd, r;

        report(c->spool, "damaged bytes were set aside", c->at.segment, c->at.offset, n);
        snprintf(name, sizeof name, "%016" PRIx64 "-%" PRIu64 ".bad", c->at.segment, c->at.offset);
        fd = openat(c->spool->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        r = write_all(fd, c->data.p, n, 0);
        if (!r && fdatasync(fd))
                r = -errno;
        close(fd);
        return r;
}

/* Past damage: to the next valid record, or the end of the segment. */
static int skip_damage(struct spool_cursor *c)
{
        ssize_t have = fill(c, (size_t)(c->limit - c->at.offset));
        size_t skip;
        int r;

        if (have < 0)
                return (int)have;
        skip = have ? record_search(c->data.p + (c->at.offset - c->data_at), (size_t)have) : 0;
        if (c->at.offset != c->data_at) {
                buf_consume(&c->data, (size_t)(c->at.offset - c->data_at));
                c->data_at = c->at.offset;
        }
        r = skip ? set_aside(c, skip) : 0;
        if (r)
                return r;
        /* A file shorter than it was (not of our making): nothing more is to be had of it. */
        c->at.offset = skip ? c->at.offset + skip : c->limit;
        return 0;
}

int spool_cursor_next(struct spool_cursor *c, const uint8_t **ret_body, size_t *ret_n)
{
        for (;;) {
                bool last = false;
                ssize_t have, len;
                const uint8_t *p;
                int r;

                if (!segment_find(c, &c->limit, &last))
                        return 0;
                if (c->at.offset < HEAD)
                        c->at.offset = HEAD;
                if (c->at.offset >= c->limit) {
                        if (last)
                                return 0;
                        c->at = (struct spool_position){ c->at.segment + 1, HEAD };
                        continue;
                }
                r = segment_attach(c);
                if (r)
                        return r;
                have = fill(c, RECORD_HEAD);
                if (have < 0)
                        return (int)have;
                p = c->data.p + (c->at.offset - c->data_at);
                len = have ? record_check(p, (size_t)have) : -1;
                if (!len) {
                        have = fill(c, RECORD_HEAD + SPOOL_MAX_BODY);
                        if (have < 0)
                                return (int)have;
                        p = c->data.p + (c->at.offset - c->data_at);
                        len = have ? record_check(p, (size_t)have) : -1;
                }
                if (len > 0) {
                        c->at.offset += (uint64_t)len;
                        *ret_body = p + RECORD_HEAD;
                        *ret_n = (size_t)len - RECORD_HEAD;
                        return 1;
                }
                r = skip_damage(c);
                if (r)
                        return r;
        }
}

int spool_release(struct spool *s, struct spool_position at)
{
        int r = 0;

        for (;;) {
                struct segment g = { 0 };
                char name[32];

                pthread_mutex_lock(&s->lock);
                /* The newest stays: its number must not be used a second time. */
                if (s->n > 1 && s->segments[0].number < at.segment)
                        g = s->segments[0];
                pthread_mutex_unlock(&s->lock);
                if (!g.number)
                        return r;
                segment_name(name, g.number);
                if (unlinkat(s->dir_fd, name, 0) && errno != ENOENT)
                        return -errno;
                pthread_mutex_lock(&s->lock);
                memmove(s->segments, s->segments + 1, --s->n * sizeof *s->segments);
                s->total -= g.bytes;
                pthread_mutex_unlock(&s->lock);
        }
}
