/* Seasons, day types and minute edges of the document, compiled to one profile a day. Every
 * minute of every day must get exactly one price period. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "civil.h"
#include "json.h"

enum { MAX_SEASONS = 32, ALL_DAYS = 0xff, WEEKDAYS = 0x1f, WEEKEND = 0x60, HOLIDAY = 0x80 };

struct season {
        const char *name;
        int from, to; /* date slots, both inclusive; from > to goes over the new year */
};

struct rule {
        uint16_t months; /* bit month-1; 0 = by season or always */
        const struct season *season;
        uint8_t days; /* bit 0 = Monday ... 7 = holiday */
        int from, to; /* minutes; from >= to goes over midnight of the same day */
        uint8_t period;
};

struct rules {
        struct season season[MAX_SEASONS];
        unsigned n_seasons;
        struct rule rule[MAX_RULES];
        unsigned n;
        int otherwise; /* -1 = the rules must cover every minute */
};

static int date_slot(struct jdoc *d, json_t *o, const char *key)
{
        const char *s = jdoc_text(d, o, key, NULL);
        int m = 0, day = 0, n = 0;

        if (sscanf(s, "%2d-%2d%n", &m, &day, &n) != 2 || s[n] || m < 1 || m > 12 || day < 1 ||
            day > civil_days_in_month(2024, m)) {
                jdoc_fail(d, key, "must be month and day such as \"06-01\"");
                return 0;
        }
        return (m - 1) * 31 + day - 1;
}

static void load_seasons(struct jdoc *d, json_t *calendar, struct rules *r)
{
        json_t *seasons = calendar ? jdoc_object(d, calendar, "seasons", false) : NULL, *v;
        size_t old = jdoc_enter(d, "calendar.seasons"), inner;
        const char *key;

        json_object_foreach(seasons, key, v)
        {
                struct season *s = &r->season[r->n_seasons];

                inner = jdoc_enter(d, key);
                if (!json_is_object(v) || r->n_seasons == MAX_SEASONS) {
                        jdoc_fail(d, NULL, "must be an object, one of at most %d", MAX_SEASONS);
                        return;
                }
                jdoc_known(d, v, "from|to");
                s->name = jdoc_copy(d, key);
                s->from = date_slot(d, v, "from");
                s->to = date_slot(d, v, "to");
                r->n_seasons++;
                jdoc_leave(d, inner);
        }
        jdoc_leave(d, old);
}

static int minute_of(struct jdoc *d, json_t *o, const char *key, const char *otherwise)
{
        const char *s = jdoc_text(d, o, key, otherwise);
        int h = 0, m = 0, n = 0;

        if (sscanf(s, "%2d:%2d%n", &h, &m, &n) != 2 || s[n] || h < 0 || m < 0 || m > 59 ||
            h * 60 + m > 1440) {
                jdoc_fail(d, key, "must be a time of day from \"00:00\" to \"24:00\"");
                return 0;
        }
        return h * 60 + m;
}

static uint8_t day_mask(struct jdoc *d, json_t *o)
{
        static const struct {
                const char *name;
                uint8_t mask;
        } names[] = { { "mon", 1 },           { "tue", 2 },           { "wed", 4 },
                      { "thu", 8 },           { "fri", 16 },          { "sat", 32 },
                      { "sun", 64 },          { "holiday", HOLIDAY }, { "weekday", WEEKDAYS },
                      { "weekend", WEEKEND }, { "all", ALL_DAYS } };
        json_t *list = jdoc_array(d, o, "days", false), *v;
        uint8_t mask = 0;
        size_t i;

        if (!list)
                return ALL_DAYS;
        json_array_foreach(list, i, v)
        {
                uint8_t before = mask;

                for (size_t k = 0; json_is_string(v) && k < sizeof(names) / sizeof(*names); k++)
                        if (strcmp(names[k].name, json_string_value(v)) == 0)
                                mask |= names[k].mask;
                if (mask == before)
                        jdoc_fail(
                                d, "days",
                                "entry %zu is none of mon ... sun, weekday, weekend, holiday, all, "
                                "or was named before",
                                i);
        }
        return mask;
}

static void load_rule(struct jdoc *d, struct rules *r, struct schedule *s, json_t *o)
{
        struct rule *rule = &r->rule[r->n];
        const char *season;
        json_t *months, *v;
        int p;
        size_t i;

        if (!json_is_object(o) || r->n == MAX_RULES) {
                jdoc_fail(d, NULL, "must be an object, one of at most %d", MAX_RULES);
                return;
        }
        jdoc_known(d, o, "season|months|days|from|to|period");
        season = jdoc_text(d, o, "season", "");
        for (i = 0; i < r->n_seasons; i++)
                if (strcmp(r->season[i].name, season) == 0)
                        rule->season = &r->season[i];
        if (*season && !rule->season)
                jdoc_fail(d, "season", "'%s' is not among calendar.seasons", season);
        months = jdoc_array(d, o, "months", false);
        json_array_foreach(months, i, v)
        {
                if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 12)
                        jdoc_fail(d, "months", "must hold numbers from 1 to 12");
                else
                        rule->months |= (uint16_t)(1u << (json_integer_value(v) - 1));
        }
        rule->days = day_mask(d, o);
        rule->from = minute_of(d, o, "from", "00:00");
        rule->to = minute_of(d, o, "to", "24:00");
        p = period_find(s, jdoc_text(d, o, "period", NULL));
        if (p < 0)
                jdoc_fail(d, "period", "is not among the schedule's periods");
        rule->period = (uint8_t)(p < 0 ? 0 : p);
        r->n++;
}

static bool on_date(const struct rule *r, int slot)
{
        if (r->months && !(r->months >> slot / 31 & 1))
                return false;
        if (!r->season)
                return true;
        if (r->season->from <= r->season->to)
                return slot >= r->season->from && slot <= r->season->to;
        return slot >= r->season->from || slot <= r->season->to;
}

static void describe_day(int slot, int type, int minute, char *out, size_t n)
{
        static const char *const names[] = { "Monday", "Tuesday",  "Wednesday", "Thursday",
                                             "Friday", "Saturday", "Sunday",    "holiday" };

        snprintf(out, n, "%s %02d-%02d at %02d:%02d", names[type], slot / 31 + 1, slot % 31 + 1,
                 minute / 60, minute % 60);
}

/* Paints the rules over one day; each minute must be painted once. */
static void paint(struct jdoc *d, const struct rules *r, int slot, int type,
                  int16_t minute[static 1440])
{
        char where[48];

        for (int m = 0; m < 1440; m++)
                minute[m] = (int16_t)r->otherwise;
        for (unsigned i = 0; i < r->n && !d->failed; i++) {
                const struct rule *rule = &r->rule[i];
                int len = rule->to - rule->from + (rule->to <= rule->from ? 1440 : 0);

                if (!(rule->days >> type & 1) || !on_date(rule, slot))
                        continue;
                for (int k = 0; k < len; k++) {
                        int m = (rule->from + k) % 1440;

                        /* 1000: painted by a rule already */
                        if (minute[m] >= 1000) {
                                describe_day(slot, type, m, where, sizeof(where));
                                jdoc_fail(d, "rules",
                                          "two of them hold on %s; every minute must have one "
                                          "price period",
                                          where);
                                return;
                        }
                        minute[m] = (int16_t)(1000 + rule->period);
                }
        }
        for (int m = 0; m < 1440; m++) {
                if (minute[m] >= 1000)
                        minute[m] = (int16_t)(minute[m] - 1000);
                if (minute[m] < 0) {
                        describe_day(slot, type, m, where, sizeof(where));
                        jdoc_fail(d, "rules", "none holds on %s; add a rule or \"otherwise\"",
                                  where);
                        return;
                }
        }
}

static size_t put_segments(struct segment *out, const int16_t minute[static 1440])
{
        size_t n = 0;

        for (int m = 0; m < 1440; m++)
                if (m == 1439 || minute[m + 1] != minute[m])
                        out[n++] = (struct segment){ (uint16_t)(m + 1), (uint8_t)minute[m] };
        return n;
}

/* Rules that hold on a date, as bits: dates of equal rules share their profiles. */
static void date_key(const struct rules *r, int slot, uint8_t key[static MAX_RULES / 8])
{
        memset(key, 0, MAX_RULES / 8);
        for (unsigned i = 0; i < r->n; i++)
                if (on_date(&r->rule[i], slot))
                        key[i / 8] |= (uint8_t)(1u << i % 8);
}

static bool add_profile(struct jdoc *d, struct schedule *s, const struct segment *seg, size_t n,
                        size_t *used, size_t *cap, uint16_t *ret)
{
        for (size_t i = 0; i + n <= *used; i++) {
                bool begins = i == 0 || s->segments[i - 1].end == 1440;

                if (begins && memcmp(&s->segments[i], seg, n * sizeof(*seg)) == 0) {
                        *ret = (uint16_t)i;
                        return true;
                }
        }
        if (*used + n > UINT16_MAX) {
                jdoc_fail(d, "rules", "too many different days");
                return false;
        }
        if (*used + n > *cap) {
                struct segment *wider = realloc(s->segments, (*used + n) * 2 * sizeof(*wider));

                if (!wider) {
                        d->failed = -ENOMEM;
                        return false;
                }
                s->segments = wider;
                *cap = (*used + n) * 2;
        }
        memcpy(&s->segments[*used], seg, n * sizeof(*seg));
        *ret = (uint16_t)*used;
        *used += n;
        return true;
}

static void compile(struct jdoc *d, const struct rules *r, struct schedule *s)
{
        uint8_t(*keys)[MAX_RULES / 8] = calloc(DATE_SLOTS, sizeof(*keys));
        static const struct segment none = { 1440, 0 };
        size_t used = 0, cap = 0, n;
        int16_t minute[1440];
        struct segment seg[1440];

        if (!keys)
                d->failed = -ENOMEM;
        for (int slot = 0; slot < DATE_SLOTS && !d->failed; slot++) {
                bool real = slot % 31 < civil_days_in_month(2024, slot / 31 + 1);
                int same = -1;

                date_key(r, slot, keys[slot]);
                for (int k = slot - 1; real && k >= 0 && same < 0; k--)
                        if (memcmp(keys[k], keys[slot], sizeof(*keys)) == 0 &&
                            k % 31 < civil_days_in_month(2024, k / 31 + 1))
                                same = k;
                for (int type = 0; type < DAY_TYPES && !d->failed; type++) {
                        uint16_t *at = &s->profile[slot][type];

                        if (!real) {
                                add_profile(d, s, &none, 1, &used, &cap, at);
                                continue;
                        }
                        if (same >= 0) {
                                *at = s->profile[same][type];
                                continue;
                        }
                        /* A schedule without holidays treats them as the weekday they fall on. */
                        paint(d, r, slot, type == 7 && !s->holidays ? 0 : type, minute);
                        if (d->failed)
                                break;
                        n = put_segments(seg, minute);
                        add_profile(d, s, seg, n, &used, &cap, at);
                }
        }
        free(keys);
}

static void note_months(struct schedule *s)
{
        for (int slot = 0; slot < DATE_SLOTS; slot++) {
                if (slot % 31 >= civil_days_in_month(2024, slot / 31 + 1))
                        continue;
                for (int type = 0; type < DAY_TYPES; type++) {
                        const struct segment *g = &s->segments[s->profile[slot][type]];

                        for (;; g++) {
                                s->in_month[slot / 31] |= (uint64_t)1 << g->period;
                                if (g->end >= 1440)
                                        break;
                        }
                }
        }
}

static void load_schedule(struct jdoc *d, struct rating_tariff *t, struct rules *r,
                          const char *name, json_t *o)
{
        struct schedule *s = jdoc_alloc(d, 1, sizeof(*s));
        const char *otherwise;
        json_t *list, *v;
        size_t i, old;

        if (!s)
                return;
        if (!json_is_object(o) || t->n_schedules == MAX_SCHEDULES) {
                jdoc_fail(d, NULL, "must be an object, one of at most %d", MAX_SCHEDULES);
                return;
        }
        jdoc_known(d, o, "periods|rules|otherwise");
        t->schedule[t->n_schedules++] = s;
        s->name = jdoc_copy(d, name);
        list = jdoc_array(d, o, "periods", true);
        json_array_foreach(list, i, v)
        {
                const char *text = json_string_value(v);

                if (!text || !*text || strlen(text) > 40 || i >= MAX_PERIODS ||
                    period_find(s, text) >= 0)
                        jdoc_fail(d, "periods", "must be up to %d different short names",
                                  MAX_PERIODS);
                else
                        s->period[s->n_periods++] = jdoc_copy(d, text);
        }
        if (!d->failed && s->n_periods == 0)
                jdoc_fail(d, "periods", "must name at least one price period");
        r->n = 0;
        memset(r->rule, 0, sizeof(r->rule));
        list = jdoc_array(d, o, "rules", false);
        json_array_foreach(list, i, v)
        {
                old = jdoc_enter_at(d, "rules", i);
                load_rule(d, r, s, v);
                jdoc_leave(d, old);
        }
        /* A rule that names holidays beside other days, or only them, makes them days of their own;
         * "all" does not. */
        for (i = 0; i < r->n; i++)
                s->holidays =
                        s->holidays || (r->rule[i].days & HOLIDAY && r->rule[i].days != ALL_DAYS);
        otherwise = jdoc_text(d, o, "otherwise", "");
        r->otherwise = *otherwise ? period_find(s, otherwise) : -1;
        if (*otherwise && r->otherwise < 0)
                jdoc_fail(d, "otherwise", "'%s' is not among the schedule's periods", otherwise);
        if (!d->failed)
                compile(d, r, s);
        if (!d->failed)
                note_months(s);
}

void load_calendar(struct jdoc *d, struct rating_tariff *t, json_t *root)
{
        json_t *calendar = jdoc_object(d, root, "calendar", false), *list, *v;
        json_t *schedules = jdoc_object(d, root, "schedules", false);
        struct rules *r = calloc(1, sizeof(*r));
        const char *key;
        size_t i, old, inner;

        if (!r) {
                d->failed = -ENOMEM;
                return;
        }
        if (calendar) {
                old = jdoc_enter(d, "calendar");
                jdoc_known(d, calendar, "holidays|seasons|note");
                list = jdoc_array(d, calendar, "holidays", false);
                t->holidays = jdoc_alloc(d, json_array_size(list), sizeof(*t->holidays));
                json_array_foreach(list, i, v)
                {
                        int64_t day = jdoc_day(d, v, "holidays");

                        if (t->holidays)
                                t->holidays[t->n_holidays++] = day;
                }
                jdoc_leave(d, old);
                load_seasons(d, calendar, r);
        }
        old = jdoc_enter(d, "schedules");
        json_object_foreach(schedules, key, v)
        {
                if (d->failed)
                        break;
                inner = jdoc_enter(d, key);
                load_schedule(d, t, r, key, v);
                jdoc_leave(d, inner);
        }
        jdoc_leave(d, old);
        free(r);
}
