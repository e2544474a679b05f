#include "civil.h"

#include <errno.h>
#include <stdio.h>

int64_t civil_to_day(int year, int month, int day)
{
        /* The year begins in March here, so that the leap day is its last. */
        int64_t y = year - (month <= 2);
        int64_t era = (y >= 0 ? y : y - 399) / 400;
        int64_t yoe = y - era * 400;
        int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
        int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

        return era * 146097 + doe - 719468;
}

void civil_from_day(int64_t day, int *ret_year, int *ret_month, int *ret_day)
{
        int64_t z = day + 719468;
        int64_t era = (z >= 0 ? z : z - 146096) / 146097;
        int64_t doe = z - era * 146097;
        int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
        int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        int64_t mp = (5 * doy + 2) / 153;

        *ret_day = (int)(doy - (153 * mp + 2) / 5 + 1);
        *ret_month = (int)(mp < 10 ? mp + 3 : mp - 9);
        *ret_year = (int)(yoe + era * 400 + (*ret_month <= 2));
}

int civil_weekday(int64_t day)
{
        /* 1970-01-01 was a Thursday. */
        return (int)(((day + 3) % 7 + 7) % 7);
}

int civil_days_in_month(int year, int month)
{
        static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

        return month == 2 && leap ? 29 : days[month - 1];
}

bool civil_valid(const struct civil *c)
{
        return c->year >= -9999 && c->year <= 9999 && c->month >= 1 && c->month <= 12 &&
               c->day >= 1 && c->day <= civil_days_in_month(c->year, c->month) && c->hour >= 0 &&
               c->hour <= 23 && c->minute >= 0 && c->minute <= 59 && c->second >= 0 &&
               c->second <= 59;
}

int64_t civil_to_utc(const struct civil *c)
{
        return civil_to_day(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 +
               c->second;
}

void civil_from_utc(int64_t utc, struct civil *ret)
{
        int64_t day = utc / 86400;
        int64_t rest = utc % 86400;

        if (rest < 0) {
                rest += 86400;
                day--;
        }
        civil_from_day(day, &ret->year, &ret->month, &ret->day);
        ret->hour = (int)(rest / 3600);
        ret->minute = (int)(rest / 60 % 60);
        ret->second = (int)(rest % 60);
}

void civil_format(int64_t utc, int offset_min, char out[static CIVIL_RFC3339_SIZE])
{
        struct civil c;
        int n;

        civil_from_utc(utc + (int64_t)offset_min * 60, &c);
        n = snprintf(out, CIVIL_RFC3339_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d", c.year % 10000,
                     c.month, c.day, c.hour, c.minute, c.second);
        if (n < 0 || n > CIVIL_RFC3339_SIZE - 7)
                return;
        if (offset_min == 0)
                snprintf(out + n, (size_t)(CIVIL_RFC3339_SIZE - n), "Z");
        else
                snprintf(out + n, (size_t)(CIVIL_RFC3339_SIZE - n), "%c%02d:%02d",
                         offset_min < 0 ? '-' : '+',
                         (offset_min < 0 ? -offset_min : offset_min) / 60 % 100,
                         (offset_min < 0 ? -offset_min : offset_min) % 60);
}

/* Exactly @n digits at *@s, moved past. */
static int digits(const char **s, int n, int *ret)
{
        int v = 0;

        for (int i = 0; i < n; i++, (*s)++) {
                if (**s < '0' || **s > '9')
                        return -EINVAL;
                v = v * 10 + (**s - '0');
        }
        *ret = v;
        return 0;
}

static int date(const char **s, struct civil *c)
{
        if (digits(s, 4, &c->year) || *(*s)++ != '-' || digits(s, 2, &c->month) || *(*s)++ != '-' ||
            digits(s, 2, &c->day) || !civil_valid(c))
                return -EINVAL;
        return 0;
}

int civil_parse_date(const char *s, int64_t *ret_day)
{
        struct civil c = { 0 };

        if (date(&s, &c) || *s)
                return -EINVAL;
        *ret_day = civil_to_day(c.year, c.month, c.day);
        return 0;
}

static int zone(const char *s, int *ret_min, bool *ret_has_zone)
{
        int h, m = 0, sign = *s == '-' ? -1 : 1;

        *ret_min = 0;
        *ret_has_zone = *s != 0;
        if (*s == 0 || ((*s == 'Z' || *s == 'z') && s[1] == 0))
                return 0;
        if (*s != '+' && *s != '-')
                return -EINVAL;
        s++;
        if (digits(&s, 2, &h))
                return -EINVAL;
        if (*s == ':')
                s++;
        if (*s && digits(&s, 2, &m))
                return -EINVAL;
        if (*s || h > 23 || m > 59)
                return -EINVAL;
        *ret_min = sign * (h * 60 + m);
        return 0;
}

int civil_parse(const char *s, int64_t *ret_utc, bool *ret_has_zone)
{
        struct civil c = { 0 };
        bool has_zone;
        int offset;

        if (date(&s, &c) || (*s != 'T' && *s != 't' && *s != ' '))
                return -EINVAL;
        s++;
        if (digits(&s, 2, &c.hour) || *s++ != ':' || digits(&s, 2, &c.minute))
                return -EINVAL;
        if (*s == ':') {
                s++;
                if (digits(&s, 2, &c.second))
                        return -EINVAL;
        }
        if (*s == '.')
                for (s++; *s >= '0' && *s <= '9';)
                        s++;
        /* A leap second is the last one again. */
        if (c.second == 60)
                c.second = 59;
        if (!civil_valid(&c) || zone(s, &offset, &has_zone) || (!ret_has_zone && !has_zone))
                return -EINVAL;
        *ret_utc = civil_to_utc(&c) - (int64_t)offset * 60;
        if (ret_has_zone)
                *ret_has_zone = has_zone;
        return 0;
}
