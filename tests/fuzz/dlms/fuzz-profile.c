/* Profile generic: capture objects, rows, selections. */
#include <stdlib.h>
#include <string.h>

#include "dlms/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Rows under columns that are known from before. */
static void rows_of_a_meter(const uint8_t *data, size_t n)
{
        static const struct profile_columns columns = {
                .n = 3,
                .column = { { { 8, { { 0, 0, 1, 0, 0, 255 } }, 2 }, 0 },
                            { { 1, { { 0, 0, 96, 10, 1, 255 } }, 2 }, 0 },
                            { { 3, { { 1, 0, 1, 29, 0, 255 } }, 2 }, 0 } },
        };
        struct profile_reader r;
        struct profile_row row;
        size_t rows = 0;

        if (profile_reader_init(&r, &columns, 900, data, n))
                return;
        while (profile_next(&r, &row) == 1)
                if (++rows > n || row.n != 3)
                        abort();
}

/* Date-times and OBIS codes, and what selects by them. */
static void times(const uint8_t *data, size_t n)
{
        char text[DATETIME_TEXT_SIZE], obis_text[OBIS_TEXT_SIZE];
        uint8_t out[PROFILE_SELECTION_MAX], raw[DATETIME_SIZE];
        struct profile_range range;
        struct dlms_selection s;
        struct dlms_datetime t;
        struct obis obis;
        int64_t utc;

        if (dlms_datetime_read(data, n < DATETIME_SIZE ? n : DATETIME_SIZE, &t)) {
                dlms_datetime_write(&t, raw);
                if (memcmp(raw, data, DATETIME_SIZE) != 0)
                        abort();
                dlms_datetime_format(&t, text);
                if (dlms_datetime_utc(&t, (enum datetime_sign)(n & 1), 60, &utc) == 0) {
                        s = profile_select_range(utc, utc + 86400, 60, out);
                        if (utc > 0 && (profile_selection_decode(&s, 0, &range) ||
                                        range.from != utc || range.to != utc + 86400))
                                abort();
                }
        }
        if (n >= 8) {
                s = profile_select_entries(data[0], data[1], out);
                if (profile_selection_decode(&s, 0, &range) || range.from != data[0])
                        abort();
        }
        if (n >= sizeof obis.v) {
                memcpy(obis.v, data, sizeof obis.v);
                obis_format(&obis, obis_text);
                if (obis_parse(obis_text, &obis) || memcmp(obis.v, data, sizeof obis.v) != 0)
                        abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct profile_columns columns;
        struct profile_reader r;
        struct profile_row row;
        struct profile_range range;
        bool known;
        size_t rows = 0;

        known = profile_columns_decode(data, n, &columns) == 0;
        if (known && (columns.n > PROFILE_COLUMNS_MAX || columns.clock > columns.n))
                abort();
        if (profile_reader_init(&r, known ? &columns : NULL, 900, data, n) == 0)
                while (profile_next(&r, &row) == 1)
                        if (++rows > n || row.n > PROFILE_COLUMNS_MAX)
                                abort();
        rows_of_a_meter(data, n);
        times(data, n);
        if (n > 0)
                profile_selection_decode(
                        &(struct dlms_selection){ 1 + (data[0] & 1), data + 1, n - 1 }, 0, &range);
        return 0;
}
