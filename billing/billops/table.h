#pragma once

/*
 * Rows of a report as JSON objects or as CSV (RFC 4180, CRLF, UTF-8). Pure: the caller hands the
 * cells in, row by row; nothing is kept.
 *
 * A text cell that a spreadsheet would take for a formula (it begins with = + - @, a tab or a
 * carriage return) gets an apostrophe before it. Number cells are checked to be plain decimal
 * numbers and go as they are, with their minus sign; what is no number is treated as text.
 */

#include <stdbool.h>

#include "buf.h"

enum table_type { TABLE_TEXT, TABLE_NUMBER };

struct table_column {
        const char *name; /* NULL ends a list; also the JSON member */
        enum table_type type;
};

/* First line of a CSV. */
void table_csv_head(struct buf *out, const struct table_column *columns);
/* One cell and what follows it; NULL = empty. @last ends the line. */
void table_csv_cell(struct buf *out, enum table_type type, const char *value, bool last);
/* One JSON value: a number, a string, or null for NULL. */
void table_json_value(struct buf *out, enum table_type type, const char *value);
/* True for an optional minus, digits, and at most one point with digits after it. */
bool table_is_number(const char *value);
