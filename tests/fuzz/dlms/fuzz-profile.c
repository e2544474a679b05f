/* Profile generic: capture objects, rows, selections. */
#include <stdlib.h>

#include "dlms/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

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
        if (n > 0)
                profile_selection_decode(
                        &(struct dlms_selection){ 1 + (data[0] & 1), data + 1, n - 1 }, 0, &range);
        return 0;
}
