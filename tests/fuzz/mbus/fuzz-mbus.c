/* Telegrams of either kind, opened with a key where they ask for one, and their records. */
#include <stdlib.h>

#include "mbus/mbus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static const uint8_t key[MBUS_KEY_SIZE] = { 1, 2, 3 };
        struct mbus_telegram t;
        struct mbus_reader r;
        struct mbus_record v;
        uint8_t *work, *opened;
        int e;

        if (n > 4096)
                return 0;
        work = malloc(n ? n : 1);
        opened = malloc(n ? n : 1);
        e = mbus_telegram_parse(data, n, work, &t);
        if (!e && t.encrypted)
                e = mbus_telegram_decrypt(&t, key, opened);
        if (!e && !t.acknowledge) {
                size_t at = 0;

                mbus_reader_init(&r, &t);
                while (mbus_next(&r, &v) > 0) {
                        if (!v.quantity || v.raw_len > t.body_len || (!r.fixed && r.at <= at))
                                abort(); /* a reader that stands still never ends */
                        at = r.at;
                }
        }
        /* Whatever the link says: bytes as a body. */
        t = (struct mbus_telegram){ .body = data, .body_len = n, .fixed = n & 1 };
        mbus_reader_init(&r, &t);
        while (mbus_next(&r, &v) > 0)
                if (!v.quantity)
                        abort();
        free(work);
        free(opened);
        return 0;
}
