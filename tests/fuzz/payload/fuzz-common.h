#pragma once

/* What both payload fuzz targets check: bounds, whole or nothing, and that what was understood is
 * written as SenML and read back the same. */

#include <stdlib.h>
#include <string.h>

#include "payload.h"

static const int64_t FUZZ_NOW = 1790000000;

static inline void check(bool ok)
{
        if (!ok)
                abort();
}

static inline void fuzz_payload(bool senml, const uint8_t *data, size_t n)
{
        static struct payload_record records[200], again[200];
        struct payload_field fields[] = {
                { .name = "e", .channel = channel_by_number(1), .unit = "kWh", .period_s = 900 },
                { .name = "t", .channel = channel_by_number(129) },
                { .name = "v.l1", .channel = channel_by_number(10), .scale = { 5, 1 } },
                { .name = "c", .channel = channel_by_number(19), .unit = "K" },
        };
        struct payload_map map = { .fields = fields,
                                   .n_fields = 4,
                                   .stamp = PAYLOAD_STAMP_END,
                                   .time_field = "ts",
                                   .period_field = "p",
                                   .identity_field = "id" };
        struct payload_result r = { .records = records, .max = 200 };
        struct payload_result r2 = { .records = again, .max = 200 };
        char text[PAYLOAD_ERROR_TEXT];
        struct buf b = BUF_INIT;
        enum payload_error e;

        map.time_format = (enum payload_time_format)(n % 3);
        e = (senml ? payload_senml_decode : payload_flat_decode)(data, n, &map, FUZZ_NOW, &r, text);
        check((e == PAYLOAD_OK) == (text[0] == '\0'));
        check(e == PAYLOAD_OK || r.n == 0);
        check(r.n <= 200 && memchr(r.identity, 0, sizeof r.identity));
        if (r.n == 0)
                return;
        /* The encoder writes the channel's unit, unscaled. */
        fields[2].scale = DECIMAL_ZERO;
        map.period_field = NULL;
        for (size_t i = 0; i < r.n; i++)
                if (records[i].period_s)
                        records[i].period_s = 900;
        payload_senml_encode(&b, "M1:", map.stamp, records, r.n);
        check(!b.failed);
        check(payload_senml_decode(b.p, b.len, &map, FUZZ_NOW, &r2, text) == PAYLOAD_OK ||
              strstr(text, "not between"));
        for (size_t i = 0; i < r2.n; i++)
                check(again[i].value == records[i].value && again[i].at == records[i].at);
        buf_deinit(&b);
}
