#pragma once

/*
 * COSEM date-time, 12 bytes (Green Book 4.1.6.1): year, month, day, weekday, hour, minute, second,
 * hundredths, deviation (minutes, local to UTC), clock status. Pure.
 *
 * Quirks handled: any field FF ("not specified"), deviation 0x8000 ("not specified"), and
 * companions that write the deviation with the opposite sign (DATETIME_INVERTED).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DATETIME_SIZE = 12, DATETIME_TEXT_SIZE = 40 };

enum { DATETIME_ANY = 0xFF, DATETIME_ANY_YEAR = 0xFFFF, DATETIME_NO_DEVIATION = -32768 };

/* Clock status bits. */
enum {
        DATETIME_INVALID = 0x01,
        DATETIME_DOUBTFUL = 0x02,
        DATETIME_DIFFERENT_BASE = 0x04,
        DATETIME_INVALID_STATUS = 0x08,
        DATETIME_DST = 0x80,
};

struct dlms_datetime {
        uint16_t year;
        uint8_t month, day, weekday, hour, minute, second, hundredths;
        int16_t deviation; /* minutes to add to local time for UTC: -60 for UTC+1 */
        uint8_t status;
};

enum datetime_sign {
        DATETIME_STANDARD, /* UTC = local + deviation */
        DATETIME_INVERTED, /* UTC = local - deviation */
};

/* False when @n is not 12 or a field is neither valid nor "not specified". */
bool dlms_datetime_read(const uint8_t *p, size_t n, struct dlms_datetime *ret);
void dlms_datetime_write(const struct dlms_datetime *t, uint8_t out[static DATETIME_SIZE]);

/* UTC seconds. @default_offset_min (local minus UTC) serves when the deviation is not given. Not
 * specified hours, minutes and seconds count as 0. 0, or -EINVAL when the date is not whole. */
int dlms_datetime_utc(const struct dlms_datetime *t, enum datetime_sign sign,
                      int default_offset_min, int64_t *ret_utc);
/* @offset_min: local minus UTC, stored as standard deviation; @dst sets the status bit. */
void dlms_datetime_from_utc(int64_t utc, int offset_min, bool dst, struct dlms_datetime *ret);
/* "2019-12-16 07:59:40" as the meter wrote it, unspecified fields as "*". */
void dlms_datetime_format(const struct dlms_datetime *t, char out[static DATETIME_TEXT_SIZE]);
