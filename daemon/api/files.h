#pragma once

/* Static files below one folder, never outside of it. */

#include <stdbool.h>

#include "buf.h"

struct file {
        struct buf body;
        const char *content_type; /* static */
        char etag[48];            /* with its quotes */
        bool immutable;           /* its name carries a hash of its contents */
        bool gzip;                /* body is the file's .gz neighbour */
};

/* Reads the file @path ("/", "/assets/app.js", percent-encoded) names. A path without a dot in
 * its last segment that is no file gives index.html: the console routes in the browser. @gzip: the
 * client takes it. 0; -ENOENT (nothing, hidden, or outside), -EFBIG, -EIO. */
int file_read(const char *dir, const char *path, bool gzip, struct file *ret);
void file_deinit(struct file *f);
