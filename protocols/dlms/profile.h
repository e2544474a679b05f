#pragma once

/*
 * Profile generic (class 7): capture objects, buffer rows, selective access. Pure, no heap.
 *
 * Rows are walked one at a time; "null-data" is resolved while walking: same value as in the row
 * above, and for the clock the time above + capture period.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "axdr.h"
#include "datetime.h"
#include "dlms.h"

enum { PROFILE_COLUMNS_MAX = 32, PROFILE_SELECTION_MAX = 96 };

struct profile_column {
        struct dlms_attr attr;
        uint16_t data_index;
};

struct profile_columns {
        uint8_t n;
        uint8_t clock; /* index of the clock column, n = none */
        struct profile_column column[PROFILE_COLUMNS_MAX];
};

/* Attribute 3 (capture_objects) as read. 0 or DLMS_E_*. */
int profile_columns_decode(const uint8_t *data, size_t n, struct profile_columns *ret);

struct profile_reader {
        const struct profile_columns *columns; /* borrowed; may be NULL: any width, no clock */
        uint32_t period_s;                     /* capture period; 0 = unknown */
        enum datetime_sign sign;
        int default_offset_min;
        struct axdr_reader in;
        size_t rows_left, row;
        bool has_time;
        int64_t time; /* UTC of the row above */
        bool has_day; /* the date last reckoned: its bytes, and when its midnight was */
        uint8_t day[DATETIME_SIZE];
        int64_t midnight;
        struct axdr_value above[PROFILE_COLUMNS_MAX];
};

struct profile_row {
        bool has_time;
        int64_t time;   /* UTC, as captured: usually the end of the interval */
        uint8_t status; /* clock status of the row's own time, 0 when inferred */
        uint8_t n;
        struct axdr_value value[PROFILE_COLUMNS_MAX]; /* null-data resolved; borrowed */
};

/* @data is attribute 2 (buffer): array of structures; a compact-array must be expanded first
 * (axdr_expand_compact). Period: attribute 4. 0 or DLMS_E_*. */
int profile_reader_init(struct profile_reader *r, const struct profile_columns *columns,
                        uint32_t period_s, const uint8_t *data, size_t n);
/* 1 = a row, 0 = no more, negative = -DLMS_E_* . */
int profile_next(struct profile_reader *r, struct profile_row *ret);

/* Selection by range (selector 1) over the clock column: [from, to] inclusive as the meter counts,
 * in the meter's local time given by @offset_min. Writes the parameters into @out; the result can
 * be passed to dlms_client_get(). */
struct dlms_selection profile_select_range(int64_t from_utc, int64_t to_utc, int offset_min,
                                           uint8_t out[static PROFILE_SELECTION_MAX]);
/* Selection by entry (selector 2): 1-based, @to 0 = last; all columns. */
struct dlms_selection profile_select_entries(uint32_t from, uint32_t to,
                                             uint8_t out[static PROFILE_SELECTION_MAX]);

/* The meter's side: what a client selected. */
struct profile_range {
        bool by_entry;
        int64_t from, to;                /* UTC, inclusive; by entry: 1-based, to 0 = last */
        uint16_t from_column, to_column; /* by entry: 1-based, to 0 = last */
};

/* 0, or DLMS_E_TYPE / DLMS_E_ARGUMENT for a selector it does not know. */
int profile_selection_decode(const struct dlms_selection *s, int default_offset_min,
                             struct profile_range *ret);
