#include "series.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "civil.h"
#include "json.h"

enum { STEPS_MAX = 200000, FILES_MAX = 32, WEEK_S = 7 * 86400 };

uint64_t sim_random(uint64_t *state)
{
        uint64_t z = *state += 0x9E3779B97F4A7C15;

        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
        z = (z ^ z >> 27) * 0x94D049BB133111EB;
        return z ^ z >> 31;
}

int64_t series_sum(const struct series *s, int64_t k)
{
        int64_t turns = k / s->n, rest = k % s->n;

        if (rest < 0) {
                rest += s->n;
                turns--;
        }
        return turns * s->sum[s->n] + s->sum[rest];
}

void series_free(struct series *s, unsigned n)
{
        for (unsigned i = 0; s && i < n; i++)
                free(s[i].sum);
        free(s);
}

/* Cuts to whole weeks, so that weekdays stay weekdays when it repeats; makes the sums. */
static int finish(struct series *s, const int64_t *steps, int64_t n)
{
        int64_t a_week = WEEK_S / s->step_s;

        s->n = n / a_week * a_week;
        if (s->n == 0)
                return -ENODATA;
        s->sum = calloc((size_t)s->n + 1, sizeof *s->sum);
        if (!s->sum)
                return -ENOMEM;
        for (int64_t i = 0; i < s->n; i++)
                s->sum[i + 1] = s->sum[i] + steps[i];
        return 0;
}

/* "2015-11-22T00:00:00-06:00,0.29" */
static bool parse_row(char *line, int64_t *ret_utc, int64_t *ret_local, int64_t *ret_milli_wh)
{
        char *comma = strchr(line, ','), local[20] = "";
        struct json_reader r;
        struct decimal kwh = DECIMAL_ZERO;
        bool has_zone;

        if (!comma || comma - line < 19)
                return false;
        *comma = '\0';
        memcpy(local, line, 19);
        if (civil_parse(line, ret_utc, &has_zone) || civil_parse(local, ret_local, &has_zone))
                return false;
        jread_init(&r, comma + 1, strlen(comma + 1));
        jread_decimal(&r, &kwh);
        if (r.error || decimal_rescale(kwh, 6, DECIMAL_HALF_EVEN, &kwh))
                return false;
        *ret_milli_wh = kwh.m > 0 ? kwh.m : 0;
        return true;
}

/* Rows into @steps by their time; returns how many steps they span, or -errno. */
static int64_t read_rows(gzFile f, struct series *s, int64_t *steps)
{
        int64_t first = 0, n = 0, rows = 0, utc, local, value;
        int64_t second_value = 0;
        char line[128];

        while (gzgets(f, line, sizeof line)) {
                int64_t at;

                if (!parse_row(line, &utc, &local, &value)) {
                        if (rows == 0)
                                continue; /* the header */
                        return -EINVAL;
                }
                if (rows == 0) {
                        first = utc;
                        s->local_start = local;
                        steps[0] = value;
                } else if (rows == 1) {
                        s->step_s = (uint32_t)(utc - first);
                        if (s->step_s != 3600 && s->step_s != 1800 && s->step_s != 900)
                                return -EINVAL;
                        second_value = value;
                }
                at = rows ? (utc - first) / s->step_s : 0;
                if (at < 0 || at >= STEPS_MAX)
                        return -EINVAL;
                steps[at] = rows == 1 ? second_value : value;
                n = at + 1 > n ? at + 1 : n;
                rows++;
        }
        return n;
}

static int load_file(const char *path, const char *name, struct series *s)
{
        gzFile f = gzopen(path, "rb");
        int64_t *steps, n;
        int r;

        if (!f)
                return -errno;
        steps = calloc(STEPS_MAX, sizeof *steps);
        snprintf(s->name, sizeof s->name, "%s", name);
        s->kind = strstr(name, "gas") ? SERIES_GAS : SERIES_ELECTRICITY;
        n = steps ? read_rows(f, s, steps) : -ENOMEM;
        r = n < 0 ? (int)n : finish(s, steps, n);
        free(steps);
        gzclose(f);
        return r;
}

static int wanted(const struct dirent *e)
{
        size_t n = strlen(e->d_name);

        return n > 7 && !strcmp(e->d_name + n - 7, ".csv.gz");
}

int series_load(const char *dir, struct series **ret, unsigned *ret_n, char *bad)
{
        struct dirent **files;
        struct series *s;
        int n = scandir(dir, &files, wanted, alphasort), r = 0;
        unsigned have = 0;

        snprintf(bad, 256, "%s", dir);
        if (n < 0)
                return -errno;
        s = calloc(FILES_MAX, sizeof *s);
        if (!s)
                r = -ENOMEM;
        for (int i = 0; i < n; i++) {
                char path[4096];

                if (!r && have < FILES_MAX) {
                        snprintf(path, sizeof path, "%s/%s", dir, files[i]->d_name);
                        snprintf(bad, 256, "%s", files[i]->d_name);
                        r = load_file(path, files[i]->d_name, &s[have]);
                        have += !r;
                }
                free(files[i]);
        }
        free(files);
        if (!r && have == 0)
                r = -ENODATA;
        if (r) {
                series_free(s, have);
                return r;
        }
        *ret = s;
        *ret_n = have;
        return 0;
}

/* Thousandths of a Wh in an hour of a household: low at night, a morning and an evening peak. */
static int64_t household(int hour, uint64_t noise)
{
        static const int watts[24] = { 150, 130, 120, 120, 130, 200, 420, 520, 380, 300, 280, 320,
                                       410, 350, 290, 280, 330, 520, 780, 860, 760, 560, 360, 220 };

        return watts[hour] * (int64_t)(500 + noise % 1000);
}

static int64_t heating(int64_t hour_of_year, uint64_t noise)
{
        int64_t day = hour_of_year / 24, from_winter = day < 183 ? day : 365 - day;
        int64_t watts = from_winter < 120 ? 3000 - 23 * from_winter : 250;

        return watts * (int64_t)(500 + noise % 1000);
}

int series_make(uint64_t seed, struct series **ret, unsigned *ret_n)
{
        enum { HOURS = 52 * 7 * 24 };
        struct series *s = calloc(2, sizeof *s);
        int64_t *steps = calloc(HOURS, sizeof *steps);
        int r = s && steps ? 0 : -ENOMEM;

        for (unsigned i = 0; i < 2 && !r; i++) {
                s[i].kind = i == 0 ? SERIES_ELECTRICITY : SERIES_GAS;
                snprintf(s[i].name, sizeof s[i].name, "%s",
                         i == 0 ? "made-up household" : "made-up heating");
                s[i].step_s = 3600;
                s[i].local_start = civil_to_day(2024, 1, 1) * 86400;
                for (int64_t h = 0; h < HOURS; h++)
                        steps[h] = i == 0 ? household((int)(h % 24), sim_random(&seed))
                                          : heating(h, sim_random(&seed));
                r = finish(&s[i], steps, HOURS);
        }
        free(steps);
        if (r) {
                series_free(s, 2);
                return r;
        }
        *ret = s;
        *ret_n = 2;
        return 0;
}
