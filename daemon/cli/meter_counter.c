#include "meter_counter.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "hex.h"

enum { PATH_SIZE = 1100, NAME_SIZE = 17, EPOCH_2020 = 1577836800 };

/* The file while it is ours: its old lines, the new ones. */
struct store {
        char path[PATH_SIZE];
        int lock;
        FILE *old;
        struct buf out;
};

static int make_folder(const char *path)
{
        char copy[PATH_SIZE];

        snprintf(copy, sizeof copy, "%s", path);
        for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = 0;
                if (mkdir(copy, 0700) && errno != EEXIST)
                        return -errno;
                *slash = '/';
        }
        return 0;
}

static int store_open(struct store *s, const char *path)
{
        char lock[PATH_SIZE + 8];
        int r = make_folder(path);

        *s = (struct store){ .lock = -1 };
        if (r)
                return r;
        snprintf(s->path, sizeof s->path, "%s", path);
        snprintf(lock, sizeof lock, "%s.lock", path);
        s->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (s->lock < 0 || flock(s->lock, LOCK_EX))
                return -errno;
        s->old = fopen(path, "r");
        return s->old || errno == ENOENT ? 0 : -errno;
}

static void store_close(struct store *s)
{
        if (s->old)
                fclose(s->old);
        if (s->lock >= 0)
                close(s->lock);
        buf_deinit(&s->out);
}

static int sync_folder(const char *path)
{
        char copy[PATH_SIZE];
        int fd, r = 0;

        snprintf(copy, sizeof copy, "%s", path);
        fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd))
                r = -errno;
        if (fd >= 0)
                close(fd);
        return r;
}

/* The new lines take the place of the old ones, whole and on the disk. */
static int store_write(struct store *s)
{
        char beside[PATH_SIZE + 8];
        int fd, r = 0;

        snprintf(beside, sizeof beside, "%s.new", s->path);
        fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        if (s->out.failed)
                r = -ENOMEM;
        else if (write(fd, s->out.p, s->out.len) != (ssize_t)s->out.len || fsync(fd))
                r = errno ? -errno : -EIO;
        close(fd);
        if (!r && rename(beside, s->path))
                r = -errno;
        return r ? r : sync_folder(s->path);
}

int meter_counter_title(const char *path, uint8_t ret[static DLMS_TITLE_SIZE])
{
        char line[128], hex[NAME_SIZE];
        struct store s;
        bool found = false;
        int r = store_open(&s, path);

        while (!r && s.old && fgets(line, sizeof line, s.old)) {
                buf_put_str(&s.out, line);
                if (sscanf(line, "title %16s", hex) == 1)
                        found = hex_decode(hex, strlen(hex), ret, DLMS_TITLE_SIZE) ==
                                DLMS_TITLE_SIZE;
        }
        if (!r && !found) {
                memcpy(ret, "HRT", 3);
                if (getrandom(ret + 3, DLMS_TITLE_SIZE - 3, 0) != DLMS_TITLE_SIZE - 3)
                        r = -EIO;
                buf_put_str(&s.out, "title ");
                buf_put_hex(&s.out, ret, DLMS_TITLE_SIZE);
                buf_put_str(&s.out, "\n");
                if (!r)
                        r = store_write(&s);
        }
        store_close(&s);
        return r;
}

/* A key and title under a name that gives neither away. */
static int name_of(const uint8_t *key, size_t key_len, const uint8_t *title, char out[NAME_SIZE])
{
        uint8_t in[64], digest[EVP_MAX_MD_SIZE];
        unsigned n;
        int ok;

        if (key_len > sizeof in - DLMS_TITLE_SIZE)
                return -EINVAL;
        memcpy(in, key, key_len);
        memcpy(in + key_len, title, DLMS_TITLE_SIZE);
        ok = EVP_Digest(in, key_len + DLMS_TITLE_SIZE, digest, &n, EVP_sha256(), NULL);
        explicit_bzero(in, sizeof in);
        if (!ok)
                return -EIO;
        for (int i = 0; i < 8; i++)
                snprintf(out + 2 * i, 3, "%02X", digest[i]);
        return 0;
}

int meter_counter_reserve(const char *path, const uint8_t *key, size_t key_len,
                          const uint8_t title[static DLMS_TITLE_SIZE], uint64_t floor,
                          uint64_t *ret_first)
{
        /* A number never used before, even if an older file was lost. */
        uint64_t first = (uint64_t)time(NULL) - EPOCH_2020, seen;
        char line[128], name[NAME_SIZE], of[NAME_SIZE];
        struct store s;
        int r = store_open(&s, path);

        if (!r)
                r = name_of(key, key_len, title, name);
        while (!r && s.old && fgets(line, sizeof line, s.old)) {
                if (sscanf(line, "counter %16s %" SCNu64, of, &seen) != 2) {
                        if (strncmp(line, "title ", 6) != 0)
                                r = -EBADMSG;
                        buf_put_str(&s.out, line);
                } else if (strcmp(of, name) == 0) {
                        first = seen;
                } else {
                        buf_put_str(&s.out, line);
                }
        }
        if (first < floor)
                first = floor;
        if (!r && first + METER_COUNTER_SESSION > UINT32_MAX)
                r = -EOVERFLOW;
        buf_printf(&s.out, "counter %s %" PRIu64 "\n", name, first + METER_COUNTER_SESSION);
        if (!r)
                r = store_write(&s);
        store_close(&s);
        if (!r)
                *ret_first = first;
        return r;
}
