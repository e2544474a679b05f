#include "tz.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "civil.h"

enum {
        DAY_S = 86400,
        FILE_MAX = 1 << 20, /* the largest zone file in use is a few kilobytes */
};

struct tz_type {
        int32_t offset;
        bool dst;
};

/* One of the two dates of a POSIX rule (RFC 8536 section 3.3, POSIX TZ). */
struct tz_date {
        char kind; /* 'J' day 1-365 without leap day, 'N' day 0-365, 'M' month.week.day */
        int month, week, day; /* day: of the week 0 = Sunday for 'M' */
        int32_t time;         /* seconds after local midnight, may be negative or beyond a day */
};

struct tz {
        char *name;     /* owned */
        int64_t *at;    /* owned, ascending instants */
        uint8_t *index; /* owned, type in force from at[i] */
        size_t count;
        struct tz_type types[256];
        struct tz_type first; /* before the first transition */
        bool has_rule, rule_dst;
        struct tz_type std, dst;
        struct tz_date start, end; /* of daylight time */
};

/* --- the footer: "CET-1CEST,M3.5.0,M10.5.0/3" --- */

static bool parse_name(const char **p)
{
        const char *s = *p;
        size_t n = 0;

        if (*s == '<') {
                for (s++; *s && *s != '>'; s++)
                        n++;
                if (*s++ != '>')
                        return false;
        } else {
                for (; isalpha((unsigned char)*s); s++)
                        n++;
        }
        *p = s;
        return n >= 3;
}

static bool parse_number(const char **p, int max, int *ret)
{
        int v = 0;

        if (!isdigit((unsigned char)**p))
                return false;
        for (; isdigit((unsigned char)**p); (*p)++) {
                v = v * 10 + (**p - '0');
                if (v > max)
                        return false;
        }
        *ret = v;
        return true;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool parse_time(const char **p, int32_t *ret)
{
        int sign = 1, h, m = 0, s = 0;

        if (**p == '-' || **p == '+')
                sign = *(*p)++ == '-' ? -1 : 1;
        if (!parse_number(p, 167, &h))
                return false;
        if (**p == ':' && ((*p)++, !parse_number(p, 59, &m)))
                return false;
        if (**p == ':' && ((*p)++, !parse_number(p, 59, &s)))
                return false;
        *ret = sign * (h * 3600 + m * 60 + s);
        return true;
}

static bool parse_date(const char **p, struct tz_date *ret)
{
        struct tz_date d = { .kind = 'N', .time = 7200 };

        if (**p == 'M') {
                (*p)++;
                d.kind = 'M';
                if (!parse_number(p, 12, &d.month) || d.month < 1 || *(*p)++ != '.')
                        return false;
                if (!parse_number(p, 5, &d.week) || d.week < 1 || *(*p)++ != '.')
                        return false;
                if (!parse_number(p, 6, &d.day))
                        return false;
        } else {
                if (**p == 'J') {
                        (*p)++;
                        d.kind = 'J';
                }
                if (!parse_number(p, 365, &d.day) || (d.kind == 'J' && d.day < 1))
                        return false;
        }
        if (**p == '/' && ((*p)++, !parse_time(p, &d.time)))
                return false;
        *ret = d;
        return true;
}

static bool parse_rule(struct tz *tz, const char *s)
{
        int32_t west;

        if (!*s)
                return true; /* no rule: the last transition holds for ever */
        if (!parse_name(&s) || !parse_time(&s, &west))
                return false;
        tz->std = (struct tz_type){ .offset = -west };
        tz->has_rule = true;
        if (!*s)
                return true;
        if (!parse_name(&s))
                return false;
        tz->dst = (struct tz_type){ .offset = tz->std.offset + 3600, .dst = true };
        if (*s && *s != ',') {
                if (!parse_time(&s, &west))
                        return false;
                tz->dst.offset = -west;
        }
        if (*s++ != ',' || !parse_date(&s, &tz->start))
                return false;
        if (*s++ != ',' || !parse_date(&s, &tz->end) || *s)
                return false;
        tz->rule_dst = true;
        return true;
}

/* Local time "as if UTC" at which the rule's date strikes in @year. */
static int64_t date_in_year(const struct tz_date *d, int year)
{
        int64_t first = civil_to_day(year, 1, 1), day;

        if (d->kind == 'M') {
                int64_t month = civil_to_day(year, d->month, 1);
                int sunday0 = (civil_weekday(month) + 1) % 7; /* 0 = Sunday */

                day = month + (d->day - sunday0 + 7) % 7 + (d->week - 1) * 7;
                if (day >= month + civil_days_in_month(year, d->month))
                        day -= 7;
        } else if (d->kind == 'J') {
                bool leap = civil_days_in_month(year, 2) == 29;

                day = first + d->day - 1 + (leap && d->day >= 60 ? 1 : 0);
        } else {
                day = first + d->day;
        }
        return day * DAY_S + d->time;
}

static int year_of(int64_t utc)
{
        int64_t day = utc / DAY_S - (utc % DAY_S < 0 ? 1 : 0);
        int y, m, d;

        civil_from_day(day, &y, &m, &d);
        return y;
}

static struct tz_type rule_at(const struct tz *tz, int64_t utc)
{
        int64_t start, end;
        int year;

        if (!tz->rule_dst)
                return tz->std;
        year = year_of(utc + tz->std.offset);
        start = date_in_year(&tz->start, year) - tz->std.offset;
        end = date_in_year(&tz->end, year) - tz->dst.offset;
        if (start < end)
                return utc >= start && utc < end ? tz->dst : tz->std;
        return utc >= start || utc < end ? tz->dst : tz->std; /* southern hemisphere */
}

/* --- the file --- */

struct header {
        uint8_t version;
        uint32_t isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt;
};

static bool read_header(struct rd *r, struct header *ret)
{
        const uint8_t *magic = rd_take(r, 4);

        if (!magic || memcmp(magic, "TZif", 4) != 0)
                return false;
        ret->version = rd_u8(r);
        rd_skip(r, 15);
        ret->isutcnt = rd_be32(r);
        ret->isstdcnt = rd_be32(r);
        ret->leapcnt = rd_be32(r);
        ret->timecnt = rd_be32(r);
        ret->typecnt = rd_be32(r);
        ret->charcnt = rd_be32(r);
        return !r->failed && ret->typecnt >= 1 && ret->typecnt <= 256 && ret->timecnt < FILE_MAX &&
               ret->charcnt < FILE_MAX && ret->leapcnt < FILE_MAX && ret->isstdcnt <= 256 &&
               ret->isutcnt <= 256;
}

static int read_block(struct tz *tz, struct rd *r, const struct header *h)
{
        tz->count = h->timecnt;
        if (r->n < (size_t)h->timecnt * 9)
                return -EINVAL;
        tz->at = calloc(h->timecnt + 1, sizeof(*tz->at));
        tz->index = calloc(h->timecnt + 1, 1);
        if (!tz->at || !tz->index)
                return -ENOMEM;
        for (uint32_t i = 0; i < h->timecnt; i++) {
                tz->at[i] = (int64_t)rd_be64(r);
                if (i > 0 && tz->at[i] <= tz->at[i - 1])
                        return -EINVAL;
        }
        for (uint32_t i = 0; i < h->timecnt; i++) {
                tz->index[i] = rd_u8(r);
                if (tz->index[i] >= h->typecnt)
                        return -EINVAL;
        }
        for (uint32_t i = 0; i < h->typecnt; i++) {
                tz->types[i].offset = (int32_t)rd_be32(r);
                tz->types[i].dst = rd_u8(r) != 0;
                rd_u8(r);
                if (tz->types[i].offset < -25 * 3600 || tz->types[i].offset > 26 * 3600)
                        return -EINVAL;
        }
        tz->first = tz->types[0];
        rd_skip(r, h->charcnt + (size_t)h->leapcnt * 12 + h->isstdcnt + h->isutcnt);
        return r->failed ? -EINVAL : 0;
}

static int parse_file(struct tz *tz, const uint8_t *p, size_t n)
{
        struct rd r = rd_of(p, n);
        struct header h;
        char rule[128];
        size_t len;
        int e;

        if (!read_header(&r, &h) || h.version < '2')
                return -EINVAL;
        rd_skip(&r, (size_t)h.timecnt * 5 + (size_t)h.typecnt * 6 + h.charcnt +
                            (size_t)h.leapcnt * 8 + h.isstdcnt + h.isutcnt);
        if (!read_header(&r, &h))
                return -EINVAL;
        e = read_block(tz, &r, &h);
        if (e < 0)
                return e;
        if (rd_u8(&r) != '\n')
                return -EINVAL;
        for (len = 0; r.n > 0 && *r.p != '\n'; len++) {
                if (len >= sizeof(rule) - 1)
                        return -EINVAL;
                rule[len] = (char)rd_u8(&r);
        }
        rule[len] = '\0';
        if (rd_u8(&r) != '\n' || r.failed || strlen(rule) != len)
                return -EINVAL;
        return parse_rule(tz, rule) ? 0 : -EINVAL;
}

int tz_parse(struct tz **ret, const char *name, const void *p, size_t n)
{
        struct tz *tz = calloc(1, sizeof(*tz));
        int e;

        if (!tz)
                return -ENOMEM;
        tz->name = strdup(name);
        e = tz->name ? parse_file(tz, p, n) : -ENOMEM;
        if (e < 0) {
                tz_free(tz);
                return e;
        }
        *ret = tz;
        return 0;
}

static bool name_valid(const char *name)
{
        if (!*name || *name == '/' || strlen(name) > 64 || strstr(name, ".."))
                return false;
        for (const char *s = name; *s; s++)
                if (!isalnum((unsigned char)*s) && !strchr("/_+-", *s))
                        return false;
        return true;
}

static int load_file(struct tz **ret, const char *name)
{
        const char *dir = getenv("TZDIR");
        char path[512];
        uint8_t *bytes;
        size_t n;
        FILE *f;
        int e;

        if (snprintf(path, sizeof(path), "%s/%s", dir && *dir ? dir : "/usr/share/zoneinfo",
                     name) >= (int)sizeof(path))
                return -EINVAL;
        f = fopen(path, "re");
        if (!f)
                return errno == ENOTDIR ? -ENOENT : -errno;
        bytes = malloc(FILE_MAX);
        if (!bytes) {
                fclose(f);
                return -ENOMEM;
        }
        n = fread(bytes, 1, FILE_MAX, f);
        e = ferror(f) || n == FILE_MAX ? -EINVAL : tz_parse(ret, name, bytes, n);
        free(bytes);
        fclose(f);
        return e;
}

int tz_load(struct tz **ret, const char *name)
{
        struct tz *tz;
        int e;

        if (!name_valid(name))
                return -EINVAL;
        e = load_file(ret, name);
        if (e != -ENOENT || strcmp(name, "UTC") != 0)
                return e;
        /* UTC needs no file. */
        tz = calloc(1, sizeof(*tz));
        if (!tz || !(tz->name = strdup(name))) {
                tz_free(tz);
                return -ENOMEM;
        }
        tz->has_rule = true;
        *ret = tz;
        return 0;
}

void tz_free(struct tz *tz)
{
        if (!tz)
                return;
        free(tz->name);
        free(tz->at);
        free(tz->index);
        free(tz);
}

const char *tz_name(const struct tz *tz)
{
        return tz->name;
}

/* How many transitions are at or before @utc. */
static size_t passed(const struct tz *tz, int64_t utc)
{
        size_t lo = 0, hi = tz->count;

        while (lo < hi) {
                size_t mid = lo + (hi - lo) / 2;

                if (tz->at[mid] <= utc)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo;
}

static struct tz_type type_at(const struct tz *tz, int64_t utc)
{
        size_t n = passed(tz, utc);

        if (n == tz->count && tz->has_rule)
                return rule_at(tz, utc);
        return n == 0 ? tz->first : tz->types[tz->index[n - 1]];
}

int32_t tz_offset(const struct tz *tz, int64_t utc, bool *ret_dst)
{
        struct tz_type t = type_at(tz, utc);

        if (ret_dst)
                *ret_dst = t.dst;
        return t.offset;
}

int64_t tz_local_to_utc(const struct tz *tz, int64_t local)
{
        int32_t before = tz_offset(tz, local - DAY_S, NULL);
        int32_t after = tz_offset(tz, local + DAY_S, NULL);
        int64_t first = local - (before > after ? before : after);
        int64_t second = local - (before > after ? after : before);

        /* In an overlap both offsets give @local back: the earlier instant is the first
         * occurrence. In a gap neither does: with the offset before the change the instant lies
         * as far after the gap as @local was into it. */
        if (first + tz_offset(tz, first, NULL) == local)
                return first;
        if (second + tz_offset(tz, second, NULL) == local)
                return second;
        return local - before;
}

int64_t tz_day_start(const struct tz *tz, int64_t local_day)
{
        int64_t local = local_day * DAY_S, utc = tz_local_to_utc(tz, local), c;

        if (utc + tz_offset(tz, utc, NULL) == local)
                return utc;
        /* Midnight does not exist: the day begins at the change itself. */
        c = tz_next_change(tz, utc - DAY_S);
        return c <= utc ? c : utc;
}

int64_t tz_day_of(const struct tz *tz, int64_t utc)
{
        int64_t local = utc + tz_offset(tz, utc, NULL);

        return local / DAY_S - (local % DAY_S < 0 ? 1 : 0);
}

static int64_t rule_next(const struct tz *tz, int64_t utc)
{
        int year = year_of(utc + tz->std.offset);
        int64_t best = INT64_MAX;

        if (!tz->rule_dst || tz->std.offset == tz->dst.offset)
                return INT64_MAX;
        for (int y = year - 1; y <= year + 1; y++) {
                int64_t c[2] = { date_in_year(&tz->start, y) - tz->std.offset,
                                 date_in_year(&tz->end, y) - tz->dst.offset };

                for (int i = 0; i < 2; i++)
                        if (c[i] > utc && c[i] < best &&
                            rule_at(tz, c[i]).offset != rule_at(tz, c[i] - 1).offset)
                                best = c[i];
        }
        return best;
}

int64_t tz_next_change(const struct tz *tz, int64_t utc)
{
        int32_t now = tz_offset(tz, utc, NULL);
        int64_t last = utc;

        for (size_t i = passed(tz, utc); i < tz->count; i++) {
                if (tz_offset(tz, tz->at[i], NULL) != now)
                        return tz->at[i];
                last = tz->at[i];
        }
        return tz->has_rule ? rule_next(tz, last) : INT64_MAX;
}
