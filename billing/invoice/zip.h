#pragma once

/* A ZIP archive of files that are stored as they are (PDFs are compressed already), written forward
 * only. Pure: bytes out. No ZIP64: at most 65,535 files and 4 GiB (APPNOTE 6.3, 4.3). */

#include "buf.h"

struct zip {
        struct buf *out;      /* borrowed; may be emptied between calls */
        struct buf directory; /* owned */
        uint64_t written;     /* bytes so far */
        unsigned n;
};

void zip_init(struct zip *z, struct buf *out);
void zip_deinit(struct zip *z);
/* 0, -EFBIG (no room in the format), -ENOMEM. */
int zip_add(struct zip *z, const char *name, const void *data, size_t n);
/* The directory at the end. As zip_add. */
int zip_finish(struct zip *z);
