#include "datetime.h"

#include <errno.h>
#include <stdio.h>

#include "civil.h"

static bool within(uint8_t v, uint8_t low, uint8_t high)
{
        return v == DATETIME_ANY || (v >= low && v <= high);
}

bool dlms_datetime_read(const uint8_t *p, size_t n, struct dlms_datetime *ret)
{
        struct dlms_datetime t;

        if (n != DATETIME_SIZE)
                return false;
        t = (struct dlms_datetime){
                .year = (uint16_t)(p[0] << 8 | p[1]),
                .month = p[2],
                .day = p[3],
                .weekday = p[4],
                .hour = p[5],
                .minute = p[6],
                .second = p[7],
                .hundredths = p[8],
                .deviation = (int16_t)(p[9] << 8 | p[10]),
                .status = p[11],
        };
        if (t.year != DATETIME_ANY_YEAR && (t.year < 1970 || t.year > 2999))
                return false;
        /* Months FD, FE: daylight saving begins, ends. Days FD, FE: second last and last. */
        if (!within(t.month, 1, 12) && t.month < 0xFD)
                return false;
        if (!within(t.day, 1, 31) && t.day < 0xFD)
                return false;
        if (!within(t.hour, 0, 23) || !within(t.minute, 0, 59) || !within(t.second, 0, 59))
                return false;
        if (!within(t.weekday, 0, 7) || !within(t.hundredths, 0, 99))
                return false;
        *ret = t;
        return true;
}

void dlms_datetime_write(const struct dlms_datetime *t, uint8_t out[static DATETIME_SIZE])
{
        uint16_t deviation = (uint16_t)t->deviation;

        out[0] = (uint8_t)(t->year >> 8);
        out[1] = (uint8_t)t->year;
        out[2] = t->month;
        out[3] = t->day;
        out[4] = t->weekday;
        out[5] = t->hour;
        out[6] = t->minute;
        out[7] = t->second;
        out[8] = t->hundredths;
        out[9] = (uint8_t)(deviation >> 8);
        out[10] = (uint8_t)deviation;
        out[11] = t->status;
}

static int or_zero(uint8_t v)
{
        return v == DATETIME_ANY ? 0 : v;
}

int dlms_datetime_utc(const struct dlms_datetime *t, enum datetime_sign sign,
                      int default_offset_min, int64_t *ret_utc)
{
        struct civil c = {
                .year = t->year,
                .month = t->month,
                .day = t->day,
                .hour = or_zero(t->hour),
                .minute = or_zero(t->minute),
                .second = or_zero(t->second),
        };
        int offset = default_offset_min;

        if (t->year == DATETIME_ANY_YEAR || !civil_valid(&c))
                return -EINVAL;
        if (t->deviation != DATETIME_NO_DEVIATION)
                offset = sign == DATETIME_STANDARD ? -t->deviation : t->deviation;
        *ret_utc = civil_to_utc(&c) - (int64_t)offset * 60;
        return 0;
}

void dlms_datetime_from_utc(int64_t utc, int offset_min, bool dst, struct dlms_datetime *ret)
{
        int64_t local = utc + (int64_t)offset_min * 60;
        struct civil c;
        int64_t day = local / 86400;

        if (local % 86400 < 0)
                day--;
        civil_from_utc(local, &c);
        *ret = (struct dlms_datetime){
                .year = (uint16_t)c.year,
                .month = (uint8_t)c.month,
                .day = (uint8_t)c.day,
                .weekday = (uint8_t)(civil_weekday(day) + 1),
                .hour = (uint8_t)c.hour,
                .minute = (uint8_t)c.minute,
                .second = (uint8_t)c.second,
                .hundredths = 0,
                .deviation = (int16_t)-offset_min,
                .status = dst ? DATETIME_DST : 0,
        };
}

static char *put(char *p, unsigned v, unsigned digits, bool any)
{
        if (any) {
                *p++ = '*';
                return p;
        }
        for (unsigned i = digits; i > 0; i--, v /= 10)
                p[i - 1] = (char)('0' + v % 10);
        return p + digits;
}

void dlms_datetime_format(const struct dlms_datetime *t, char out[static DATETIME_TEXT_SIZE])
{
        const uint8_t v[] = { t->month, t->day, t->hour, t->minute, t->second };
        static const char before[] = "-- ::";
        char *p = put(out, t->year, 4, t->year == DATETIME_ANY_YEAR);

        for (unsigned i = 0; i < sizeof v; i++) {
                *p++ = before[i];
                p = put(p, v[i], 2, v[i] == DATETIME_ANY);
        }
        *p = 0;
}
