#include "masterkey.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hex.h"

static int take(struct secret *ret, const char *text, const char *from, struct buf *error)
{
        uint8_t key[MASTERKEY_SIZE];
        ssize_t n = hex_decode(text, strlen(text), key, sizeof key);

        if (n == MASTERKEY_SIZE)
                secret_set(ret, key, sizeof key);
        else
                buf_printf(error, "the master key in %s is not 64 hexadecimal digits", from);
        explicit_bzero(key, sizeof key);
        return n == MASTERKEY_SIZE ? 0 : -EINVAL;
}

static int make(const char *path, struct buf *error)
{
        uint8_t key[MASTERKEY_SIZE];
        char temp[PATH_MAX + 8];
        struct buf text;
        int fd, ok;

        buf_init(&text);
        snprintf(temp, sizeof temp, "%s.new", path);
        fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ok = fd >= 0 && getrandom(key, sizeof key, 0) == (ssize_t)sizeof key;
        buf_put_hex(&text, key, sizeof key);
        buf_put_u8(&text, '\n');
        ok = ok && !text.failed && write(fd, text.p, text.len) == (ssize_t)text.len &&
             fsync(fd) == 0;
        if (fd >= 0)
                close(fd);
        ok = ok && rename(temp, path) == 0;
        if (!ok)
                buf_printf(error, "cannot make the master key %s: %s", path, strerror(errno));
        explicit_bzero(key, sizeof key);
        if (text.p)
                explicit_bzero(text.p, text.len);
        buf_deinit(&text);
        return ok ? 0 : -EIO;
}

int masterkey_load(struct secret *ret, const char *text, const char *state_dir, struct buf *error)
{
        char path[PATH_MAX], line[128] = "";
        struct stat st;
        FILE *f;
        int r;

        if (text)
                return take(ret, text, "the configuration", error);
        snprintf(path, sizeof path, "%s/master.key", state_dir);
        if (access(path, F_OK)) {
                r = make(path, error);
                if (r)
                        return r;
        }
        f = fopen(path, "re");
        if (!f || fstat(fileno(f), &st)) {
                buf_printf(error, "cannot read the master key %s: %s", path, strerror(errno));
                if (f)
                        fclose(f);
                return -EIO;
        }
        if (st.st_mode & (S_IRWXG | S_IRWXO)) {
                buf_printf(error, "the master key %s can be read by others: chmod 600 it", path);
                fclose(f);
                return -EPERM;
        }
        if (!fgets(line, sizeof line, f))
                line[0] = 0;
        fclose(f);
        line[strcspn(line, "\r\n")] = 0;
        r = take(ret, line, path, error);
        explicit_bzero(line, sizeof line);
        return r;
}
