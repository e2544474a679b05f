#include "counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "crc.h"

enum { RECORD_SIZE = 20, RECORD_MAGIC = 0x49434852, EPOCH_2020 = 1577836800 };

struct counter {
        uint32_t meter_id; /* 0 = free slot */
        uint64_t next, ceiling;
};

struct counters {
        uv_loop_t *loop;
        int fd;
        struct counter *slots; /* open addressing, a power of two */
        size_t n, cap;
        unsigned writing;
        bool closing, failed;
};

struct reserve {
        uv_work_t work;
        struct counters *counters;
        uint32_t meter_id;
        uint64_t first, ceiling;
        int status;
        counters_done *done;
        void *arg;
};

static size_t slot_of(const struct counter *slots, size_t cap, uint32_t id)
{
        size_t i = (id * 2654435761u) & (cap - 1);

        while (slots[i].meter_id && slots[i].meter_id != id)
                i = (i + 1) & (cap - 1);
        return i;
}

static bool grow(struct counters *c)
{
        size_t cap = c->cap ? c->cap * 2 : 256;
        struct counter *slots = calloc(cap, sizeof *slots);

        if (!slots)
                return false;
        for (size_t i = 0; i < c->cap; i++)
                if (c->slots[i].meter_id)
                        slots[slot_of(slots, cap, c->slots[i].meter_id)] = c->slots[i];
        free(c->slots);
        c->slots = slots;
        c->cap = cap;
        return true;
}

/* The meter's counter, made if there is none; NULL when out of memory. */
static struct counter *counter_of(struct counters *c, uint32_t id)
{
        size_t i;

        if (2 * c->n >= c->cap && !grow(c))
                return NULL;
        i = slot_of(c->slots, c->cap, id);
        if (!c->slots[i].meter_id) {
                c->slots[i].meter_id = id;
                c->n++;
        }
        return &c->slots[i];
}

static void put_record(struct buf *b, uint32_t id, uint64_t ceiling)
{
        size_t at = b->len;

        buf_put_le32(b, RECORD_MAGIC);
        buf_put_le32(b, id);
        buf_put_le64(b, ceiling);
        if (!b->failed)
                buf_put_le32(b, crc32c(0, b->p + at, 16));
}

/* A torn record can only be the last one: its block was never used. */
static int load(struct counters *c, const uint8_t *p, size_t n)
{
        for (size_t at = 0; n - at >= RECORD_SIZE; at += RECORD_SIZE) {
                struct rd r = rd_of(p + at, RECORD_SIZE);
                bool magic = rd_le32(&r) == RECORD_MAGIC;
                uint32_t id = rd_le32(&r);
                uint64_t ceiling = rd_le64(&r);
                struct counter *slot;

                if (!magic || !id || rd_le32(&r) != crc32c(0, p + at, 16)) {
                        if (n - at < 2 * RECORD_SIZE)
                                return 0;
                        return -EBADMSG;
                }
                slot = counter_of(c, id);
                if (!slot)
                        return -ENOMEM;
                if (ceiling > slot->ceiling)
                        slot->next = slot->ceiling = ceiling;
        }
        return 0;
}

static int load_file(struct counters *c, const char *path)
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
        r = ferror(f) ? -EIO : b.failed ? -ENOMEM : load(c, b.p, b.len);
        fclose(f);
        buf_deinit(&b);
        return r;
}

static int sync_folder(const char *path)
{
        char folder[4096];
        const char *slash = strrchr(path, '/');
        int fd, r = 0;

        snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1,
                 slash ? path : ".");
        fd = open(*folder ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                r = -errno;
        if (fd >= 0)
                close(fd);
        return r;
}

/* Written beside and renamed over: at every moment one of the two is whole. */
static int rewrite(struct counters *c, const char *path)
{
        struct buf b = BUF_INIT;
        char beside[4096];
        int r = 0;

        if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
                return -ENAMETOOLONG;
        for (size_t i = 0; i < c->cap; i++)
                if (c->slots[i].meter_id)
                        put_record(&b, c->slots[i].meter_id, c->slots[i].ceiling);
        c->fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (c->fd < 0)
                r = -errno;
        else if (b.failed)
                r = -ENOMEM;
        else if (b.len && write(c->fd, b.p, b.len) != (ssize_t)b.len)
                r = errno ? -errno : -EIO;
        else if (fdatasync(c->fd) < 0 || rename(beside, path) < 0)
                r = -errno;
        else if (fcntl(c->fd, F_SETFL, O_APPEND) < 0)
                r = -errno;
        else
                r = sync_folder(path);
        buf_deinit(&b);
        return r;
}

static void destroy(struct counters *c)
{
        if (c->fd >= 0)
                close(c->fd);
        free(c->slots);
        free(c);
}

int counters_open(struct counters **ret, uv_loop_t *loop, const char *path)
{
        struct counters *c = calloc(1, sizeof *c);
        int r;

        if (!c)
                return -ENOMEM;
        c->loop = loop;
        c->fd = -1;
        r = load_file(c, path);
        if (r == 0)
                r = rewrite(c, path);
        if (r < 0) {
                destroy(c);
                return r;
        }
        *ret = c;
        return 0;
}

void counters_close(struct counters *c)
{
        if (!c)
                return;
        c->closing = true;
        if (!c->writing)
                destroy(c);
}

static void reserve_run(uv_work_t *w)
{
        struct reserve *v = w->data;
        struct buf b = BUF_INIT;

        put_record(&b, v->meter_id, v->ceiling);
        errno = 0;
        if (b.failed)
                v->status = -ENOMEM;
        else if (write(v->counters->fd, b.p, b.len) != (ssize_t)b.len ||
                 fdatasync(v->counters->fd) < 0)
                v->status = errno ? -errno : -EIO;
        buf_deinit(&b);
}

static void reserve_done(uv_work_t *w, int status)
{
        struct reserve *v = w->data;
        struct counters *c = v->counters;
        struct counter *slot = counter_of(c, v->meter_id);

        if (status < 0)
                v->status = status;
        if (v->status < 0) {
                /* A torn record may stand there now: nothing more is appended behind it. */
                c->failed = true;
        } else if (slot) {
                slot->next = v->first;
                slot->ceiling = v->ceiling;
        }
        c->writing--;
        v->done(v->arg, v->status, v->first, v->ceiling);
        free(v);
        if (c->closing && !c->writing)
                destroy(c);
}

void counters_reserve(struct counters *c, uint32_t meter_id, uint64_t floor, counters_done *done,
                      void *arg)
{
        struct counter *slot = counter_of(c, meter_id);
        struct reserve *v;
        uint64_t first;

        if (!slot) {
                done(arg, -ENOMEM, 0, 0);
                return;
        }
        first = slot->next;
        if (!slot->ceiling)
                first = (uint64_t)time(NULL) - EPOCH_2020;
        if (floor > first)
                first = floor;
        if (first + COUNTERS_SESSION_MIN <= slot->ceiling) {
                slot->next = first;
                done(arg, 0, first, slot->ceiling);
                return;
        }
        if (first + COUNTERS_BLOCK > UINT32_MAX || c->failed) {
                done(arg, c->failed ? -EIO : -EOVERFLOW, 0, 0);
                return;
        }
        v = calloc(1, sizeof *v);
        if (!v) {
                done(arg, -ENOMEM, 0, 0);
                return;
        }
        *v = (struct reserve){ .counters = c,
                               .meter_id = meter_id,
                               .first = first,
                               .ceiling = first + COUNTERS_BLOCK,
                               .done = done,
                               .arg = arg };
        v->work.data = v;
        c->writing++;
        if (uv_queue_work(c->loop, &v->work, reserve_run, reserve_done) < 0) {
                c->writing--;
                free(v);
                done(arg, -EAGAIN, 0, 0);
        }
}

void counters_used(struct counters *c, uint32_t meter_id, uint64_t next)
{
        struct counter *slot = counter_of(c, meter_id);

        if (slot && next > slot->next)
                slot->next = next;
}
