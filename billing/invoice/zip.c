#include "zip.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

enum { LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, VERSION = 10, UTF8 = 0x0800 };
enum { MIDNIGHT_1980 = 1 << 5 | 1 }; /* the same bytes whenever it is written */

void zip_init(struct zip *z, struct buf *out)
{
        memset(z, 0, sizeof *z);
        z->out = out;
}

void zip_deinit(struct zip *z)
{
        buf_deinit(&z->directory);
}

/* What local header and directory say alike (4.3.7, 4.3.12). */
static void put_common(struct buf *b, uint32_t crc, size_t n, size_t name)
{
        buf_put_le16(b, VERSION);
        buf_put_le16(b, UTF8);
        buf_put_le16(b, 0); /* stored */
        buf_put_le16(b, 0);
        buf_put_le16(b, MIDNIGHT_1980);
        buf_put_le32(b, crc);
        buf_put_le32(b, (uint32_t)n);
        buf_put_le32(b, (uint32_t)n);
        buf_put_le16(b, (uint16_t)name);
        buf_put_le16(b, 0);
}

static int done(const struct zip *z)
{
        return z->out->failed || z->directory.failed ? -ENOMEM : 0;
}

int zip_add(struct zip *z, const char *name, const void *data, size_t n)
{
        size_t len = strlen(name), before = z->out->len;
        uint32_t crc = (uint32_t)crc32(0, data, (uInt)n);

        if (z->n == 65535 || len > 65535 || z->written + n + len + 30 > UINT32_MAX - 65536)
                return -EFBIG;
        buf_put_le32(z->out, LOCAL);
        put_common(z->out, crc, n, len);
        buf_put(z->out, name, len);
        buf_put(z->out, data, n);
        buf_put_le32(&z->directory, CENTRAL);
        buf_put_le16(&z->directory, VERSION);
        put_common(&z->directory, crc, n, len);
        buf_put_le16(&z->directory, 0);              /* comment */
        buf_put_le16(&z->directory, 0);              /* disk */
        buf_put_le16(&z->directory, 0);              /* inside: binary */
        buf_put_le32(&z->directory, 0100644u << 16); /* outside: readable by all */
        buf_put_le32(&z->directory, (uint32_t)z->written);
        buf_put(&z->directory, name, len);
        z->written += z->out->len - before;
        z->n++;
        return done(z);
}

int zip_finish(struct zip *z)
{
        buf_put(z->out, z->directory.p, z->directory.len);
        buf_put_le32(z->out, END);
        buf_put_le32(z->out, 0);
        buf_put_le16(z->out, (uint16_t)z->n);
        buf_put_le16(z->out, (uint16_t)z->n);
        buf_put_le32(z->out, (uint32_t)z->directory.len);
        buf_put_le32(z->out, (uint32_t)z->written);
        buf_put_le16(z->out, 0);
        return done(z);
}
