#include <stdlib.h>

#include "message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What is read can be written again, and is then the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static int64_t values[MESSAGE_MAX_INTERVALS];
        struct rd r = rd_of(data, n);
        struct message_section s, t;

        while (message_next(&r, &s) > 0) {
                struct buf b = BUF_INIT;
                struct rd again;
                int e = 0;

                if (s.type == MESSAGE_INTERVALS) {
                        for (uint32_t i = 0; i < s.n; i++)
                                values[i] = message_next_value(&s);
                        e = message_put_intervals(&b, s.channel, s.at, s.period_s, s.status, values,
                                                  s.n);
                } else if (s.type == MESSAGE_REGISTER) {
                        e = message_put_register(&b, s.channel, s.at, s.status, s.value);
                } else {
                        continue;
                }
                again = rd_of(b.p, b.len);
                if (e || message_next(&again, &t) != 1 || t.at != s.at || t.n != s.n ||
                    t.value != s.value || again.n)
                        abort();
                for (uint32_t i = 0; i < t.n; i++)
                        if (message_next_value(&t) != values[i])
                                abort();
                buf_deinit(&b);
        }
        return 0;
}
