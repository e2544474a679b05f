/* A stream of bytes through the HDLC collector and parser; what parses is written back the same. */
#include <stdlib.h>
#include <string.h>

#include "dlms/dlms.h"
#include "dlms/hdlc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void parsed(const uint8_t *p, size_t n, const struct hdlc_frame *f)
{
        uint8_t out[HDLC_FRAME_MAX];
        struct hdlc_params params = { 128, 128, 1, 1 };

        if (f->info_len > 0 && (f->info < p || f->info + f->info_len > p + n))
                abort();
        if (f->info_len > 0 && hdlc_params_read(f->info, f->info_len, &params) == 0 &&
            (params.info_tx < 16 || params.window_tx < 1 || params.window_tx > 7))
                abort();
        /* An empty information field with its own HCS is legal and written without. */
        if (f->info_len > 0 &&
            (hdlc_frame_write(f, out, sizeof out) != n || (out[1] & 0xF8) != (p[1] & 0xF8) ||
             memcmp(out + 2, p + 2, n - 2) != 0))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        uint8_t buf[HDLC_FRAME_MAX];
        size_t len = 0, at = 0;
        struct hdlc_frame f;

        if (hdlc_frame_parse(data, n, &f) == 0)
                parsed(data, n, &f);
        while (at < n) {
                bool whole;
                size_t taken = hdlc_collect(buf, &len, data + at, n - at, &whole);

                if (taken == 0 || taken > n - at || len > sizeof buf)
                        abort();
                at += taken;
                if (!whole)
                        continue;
                if (hdlc_frame_parse(buf, len, &f) == 0)
                        parsed(buf, len, &f);
                len = 1;
        }
        return 0;
}
