/* A day of quarter hours as SenML, decoded to channel values, against jansson building its tree of
 * the same bytes (and nothing more). Prints one row of the table. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "payload.h"

enum { RECORDS = 97, ROUNDS = 20000 };

static double seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make(struct buf *b, const struct payload_field *f)
{
        struct payload_record r[RECORDS];

        for (int i = 0; i < RECORDS; i++)
                r[i] = (struct payload_record){ .field = &f[i == RECORDS - 1],
                                                .channel = f[i == RECORDS - 1].channel,
                                                .at = 1790812800 + 900 * (int64_t)i,
                                                .value = 100 + 7919 * (int64_t)i % 500 };
        payload_senml_encode(b, "HRM000001:", PAYLOAD_STAMP_START, r, RECORDS);
}

int main(void)
{
        struct payload_field f[] = {
                { .name = "energy.import", .channel = channel_by_number(1), .period_s = 900 },
                { .name = "energy.import.total", .channel = channel_by_number(129) },
        };
        struct payload_map map = { .fields = f, .n_fields = 2 };
        struct payload_record out[128];
        struct payload_result result = { .records = out, .max = 128 };
        char text[PAYLOAD_ERROR_TEXT];
        struct buf b = BUF_INIT;
        double ours = 0, theirs = 0, t;

        make(&b, f);
        /* In turns, so that both see the same noise. */
        for (int part = 0; part < 10; part++) {
                t = seconds();
                for (int i = 0; i < ROUNDS / 10; i++)
                        if (payload_senml_decode(b.p, b.len, &map, 0, &result, text) ||
                            result.n != RECORDS)
                                return 1;
                ours += seconds() - t;
                t = seconds();
                for (int i = 0; i < ROUNDS / 10; i++) {
                        json_t *j = json_loadb((const char *)b.p, b.len, 0, NULL);

                        if (!j)
                                return 1;
                        json_decref(j);
                }
                theirs += seconds() - t;
        }
        printf("SenML decoded|%.2f M values a second|jansson's tree of it: %.2f M|%.1f|"
               "%d rounds of a day, %zu bytes\n",
               ROUNDS * RECORDS / ours / 1e6, ROUNDS * RECORDS / theirs / 1e6, theirs / ours,
               ROUNDS, b.len);
        buf_deinit(&b);
        return 0;
}
