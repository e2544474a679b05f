#pragma once

/*
 * Civil dates and UTC instants. Pure.
 *
 * An instant is int64 seconds since 1970-01-01T00:00:00Z; a day number counts days since
 * 1970-01-01. Proleptic Gregorian calendar, years -9999 to 9999. Local time is tz.h.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct civil {
        int year, month, day;     /* month 1-12, day 1-31 */
        int hour, minute, second; /* 0-23, 0-59, 0-59 */
};

int64_t civil_to_day(int year, int month, int day);
void civil_from_day(int64_t day, int *ret_year, int *ret_month, int *ret_day);
/* 0 = Monday ... 6 = Sunday. */
int civil_weekday(int64_t day);
int civil_days_in_month(int year, int month);
bool civil_valid(const struct civil *c);

/* As if the civil time were UTC. */
int64_t civil_to_utc(const struct civil *c);
void civil_from_utc(int64_t utc, struct civil *ret);

/* "2026-01-31T23:59:59Z", or with an offset of minutes "...+07:00". @out holds 26 bytes. */
enum { CIVIL_RFC3339_SIZE = 26 };
void civil_format(int64_t utc, int offset_min, char out[static CIVIL_RFC3339_SIZE]);

/* RFC 3339 date-time; blank or 'T' between date and time, fraction of a second allowed and
 * dropped, zone 'Z' or ±hh[:mm]. Without a zone *@ret_has_zone is false and the value is read
 * as UTC. 0 or -EINVAL. @ret_has_zone may be NULL, then a missing zone is -EINVAL. */
int civil_parse(const char *s, int64_t *ret_utc, bool *ret_has_zone);
/* "2026-01-31". 0 or -EINVAL. */
int civil_parse_date(const char *s, int64_t *ret_day);
