#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

enum { FILE_LIMIT = 16 << 20, NAME_SIZE = 256, DEPTH = 8 };

static const char *type_of(const char *name)
{
        static const struct {
                const char *suffix, *type;
        } types[] = {
                { ".html", "text/html; charset=utf-8" },
                { ".js", "text/javascript; charset=utf-8" },
                { ".mjs", "text/javascript; charset=utf-8" },
                { ".css", "text/css; charset=utf-8" },
                { ".json", "application/json" },
                { ".webmanifest", "application/manifest+json" },
                { ".svg", "image/svg+xml" },
                { ".png", "image/png" },
                { ".jpg", "image/jpeg" },
                { ".ico", "image/x-icon" },
                { ".woff2", "font/woff2" },
                { ".txt", "text/plain; charset=utf-8" },
                { ".map", "application/json" },
        };
        const char *dot = strrchr(name, '.');

        for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
                if (!strcmp(dot, types[i].suffix))
                        return types[i].type;
        return "application/octet-stream";
}

/* "app-0a1b2c3d.js": eight hexadecimal digits between a dash or dot and a dot. */
static bool hashed(const char *name)
{
        for (const char *s = name; (s = strpbrk(s, "-.")); s++)
                if (strspn(s + 1, "0123456789abcdef") >= 8 &&
                    s[1 + strspn(s + 1, "0123456789abcdef")] == '.')
                        return true;
        return false;
}

/* One segment: letters, digits and -_.~@ only, not hidden; so nothing can climb or be decoded. */
static bool segment_ok(const char *s, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
                      (s[i] >= '0' && s[i] <= '9') || (s[i] && strchr("-_.~@", s[i]))))
                        return false;
        return n && n < NAME_SIZE && s[0] != '.';
}

/* Opens segment by segment, following no link: -1 with errno. */
static int open_below(const char *dir, const char *path, const char *suffix)
{
        int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), depth = 0;

        while (fd >= 0 && *path == '/') {
                size_t n = strcspn(++path, "/");
                bool last = !path[n];
                char name[NAME_SIZE + 4];
                int next = -1;

                if (segment_ok(path, n) && ++depth <= DEPTH) {
                        snprintf(name, sizeof name, "%.*s%s", (int)n, path, last ? suffix : "");
                        next = openat(fd, name,
                                      (last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY) |
                                              O_NOFOLLOW | O_CLOEXEC);
                } else {
                        errno = ENOENT;
                }
                close(fd);
                fd = next;
                path += n;
        }
        return fd;
}

static int read_fd(int fd, struct file *ret)
{
        struct stat st;
        ssize_t got = 0;
        uint8_t *p;

        if (fstat(fd, &st))
                return -EIO;
        if (!S_ISREG(st.st_mode))
                return -ENOENT;
        if (st.st_size > FILE_LIMIT)
                return -EFBIG;
        buf_init_limited(&ret->body, FILE_LIMIT);
        p = buf_extend(&ret->body, (size_t)st.st_size);
        for (off_t at = 0; st.st_size && p && at < st.st_size; at += got) {
                got = pread(fd, p + at, (size_t)(st.st_size - at), at);
                if (got <= 0)
                        return -EIO;
        }
        snprintf(ret->etag, sizeof ret->etag, "\"%llx-%llx%s\"", (unsigned long long)st.st_size,
                 (unsigned long long)st.st_mtim.tv_sec * 1000000000u +
                         (unsigned long long)st.st_mtim.tv_nsec,
                 ret->gzip ? "g" : "");
        return st.st_size && !p ? -ENOMEM : 0;
}

static int read_path(const char *dir, const char *path, bool gzip, struct file *ret)
{
        int fd = gzip ? open_below(dir, path, ".gz") : -1, r;

        ret->gzip = fd >= 0;
        if (fd < 0)
                fd = open_below(dir, path, "");
        if (fd < 0)
                return -ENOENT;
        r = read_fd(fd, ret);
        close(fd);
        if (r)
                buf_deinit(&ret->body);
        ret->content_type = type_of(path);
        ret->immutable = hashed(path);
        return r;
}

int file_read(const char *dir, const char *path, bool gzip, struct file *ret)
{
        const char *name = strrchr(path, '/');
        int r;

        memset(ret, 0, sizeof *ret);
        if (path[0] != '/')
                return -ENOENT;
        r = name[1] ? read_path(dir, path, gzip, ret) : -ENOENT;
        if (r == -ENOENT && name && !strpbrk(name, ".%"))
                r = read_path(dir, "/index.html", gzip, ret);
        return r;
}

void file_deinit(struct file *f)
{
        buf_deinit(&f->body);
}
