/* Tiers over price periods, filled in the order of time: the first units used are the cheap ones,
 * and each unit has the price of the period it was used in. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tariff.h"

enum { MAX_FLAT = 2 * MAX_TIERS };

/* A tier, or a block inside one, with its upper end counted from the bill's zero. */
struct flat {
        bool open;
        struct decimal upto;
        unsigned tier;
        int sub; /* -1 = the tier itself */
};

struct timed {
        const struct component *c;
        const uint8_t *period; /* of the map */
        uint64_t group;        /* periods that fill together */
        struct flat flat[MAX_FLAT];
        unsigned n, at;        /* being filled */
        struct decimal before; /* used so far */
        __int128 acc[MAX_PERIODS];
        struct decimal used[MAX_FLAT][MAX_PERIODS];
        uint8_t scale;
        const char *unit;
};

static bool add_flat(struct timed *x, struct flat f)
{
        if (x->n == MAX_FLAT)
                return false;
        x->flat[x->n++] = f;
        return true;
}

/* Blocks inside tier @k: cut at the tier's own end, the last one reaches it. */
static int flatten_inside(struct run *run, struct timed *x, const struct tier *t, unsigned k,
                          struct decimal below, const struct filled *outer, int days)
{
        struct tiers sub = { .tier = t->sub, .n = t->n_sub };
        struct filled f;
        int e = tiers_fill(run, x->c, &sub, DECIMAL_ZERO, days, &f);

        for (unsigned i = 0; !e && i < sub.n; i++) {
                struct flat to = { t->open, outer->limit[k], k, (int)i };
                bool last = i + 1 == sub.n || sub.tier[i].open;
                struct decimal end = f.limit[i];

                if (!last && !t->sub_from_zero)
                        e = add_to(run, &end, below);
                if (!last && (t->open || decimal_cmp(end, outer->limit[k]) < 0)) {
                        to.open = false;
                        to.upto = end;
                }
                if (!last && decimal_cmp(to.upto, below) <= 0)
                        continue;
                if (!e && !add_flat(x, to))
                        return rating_fail(run->err, RATING_E_RANGE, "component %s: tiers",
                                           x->c->code);
                if (last || (!t->open && decimal_cmp(to.upto, outer->limit[k]) == 0))
                        break;
                below = to.upto;
        }
        return e;
}

static int flatten(struct run *run, struct timed *x, const struct tiers *tiers, int days)
{
        struct decimal below = DECIMAL_ZERO;
        struct filled f;
        int e = tiers_fill(run, x->c, tiers, DECIMAL_ZERO, days, &f);

        for (unsigned k = 0; !e && k < tiers->n; k++) {
                const struct tier *t = &tiers->tier[k];

                if (t->n_sub)
                        e = flatten_inside(run, x, t, k, below, &f, days);
                else if (!add_flat(x, (struct flat){ t->open, f.limit[k], k, -1 }))
                        e = RATING_E_RANGE;
                below = f.limit[k];
        }
        return e;
}

/* What was summed up goes to the tier being filled. */
static int flush(struct run *run, struct timed *x)
{
        for (int p = 0; p < MAX_PERIODS; p++) {
                struct decimal d = { (int64_t)x->acc[p], (int8_t)x->scale };
                int e;

                if (x->acc[p] == 0)
                        continue;
                if (x->acc[p] > INT64_MAX || x->acc[p] < INT64_MIN)
                        return rating_fail(run->err, RATING_E_RANGE, "component %s: values",
                                           x->c->code);
                e = add_to(run, &x->used[x->at][p], d);
                if (!e)
                        e = add_to(run, &x->before, d);
                if (e)
                        return e;
                x->acc[p] = 0;
        }
        return 0;
}

/* One interval that passes the end of the tier, or several. */
static int cross(struct run *run, struct timed *x, int p, int64_t value)
{
        struct decimal rest = { value, (int8_t)x->scale }, room;
        int e = flush(run, x);

        while (!e && !x->flat[x->at].open) {
                e = minus(run, x->flat[x->at].upto, x->before, &room);
                if (e || decimal_cmp(rest, room) <= 0)
                        break;
                if (x->at + 1 == x->n)
                        return rating_fail(run->err, RATING_E_INPUT,
                                           "component %s: the use is beyond the last tier",
                                           x->c->code);
                e = add_to(run, &x->used[x->at][p], room);
                if (!e)
                        e = add_to(run, &x->before, room);
                if (!e)
                        e = minus(run, rest, room, &rest);
                x->at++;
        }
        if (!e)
                e = add_to(run, &x->used[x->at][p], rest);
        return e ? e : add_to(run, &x->before, rest);
}

static int timed_stretch(struct run *run, void *arg, const struct rating_series *series,
                         const int64_t *value, size_t first, size_t end)
{
        struct timed *x = arg;
        __int128 room = -1; /* in the series' own digits, rounded down; -1 = not known */

        x->scale = (uint8_t)series->scale;
        x->unit = series->unit;
        for (size_t i = first; i < end; i++) {
                int p = x->period[i];
                int64_t v = value[i - first];
                struct decimal left;
                int e;

                if (!(x->group >> p & 1) || v == 0)
                        continue;
                if (room < 0 && !x->flat[x->at].open) {
                        e = flush(run, x);
                        if (!e)
                                e = minus(run, x->flat[x->at].upto, x->before, &left);
                        if (!e && decimal_rescale(left, series->scale, DECIMAL_FLOOR, &left) < 0)
                                left = (struct decimal){ INT64_MAX, 0 };
                        if (e)
                                return e;
                        room = left.m;
                }
                if (!x->flat[x->at].open && v > room) {
                        e = cross(run, x, p, v);
                        if (e)
                                return e;
                        room = -1;
                        continue;
                }
                x->acc[p] += v;
                room -= x->flat[x->at].open ? 0 : v;
                if (room < 0)
                        room = x->flat[x->at].open ? -1 : 0;
        }
        return flush(run, x);
}

static int timed_lines(struct run *run, const struct timed *x, const struct span *s,
                       const char *unit)
{
        const struct schedule *sched = run->t->schedule[x->c->schedule];
        int e = 0;

        for (unsigned p = 0; !e && p < sched->n_periods; p++)
                for (unsigned k = 0; !e && x->group >> p & 1 && k < x->n; k++) {
                        const struct flat *f = &x->flat[k];
                        const struct tiers *tiers = &x->c->tiers[p];
                        const struct tier *t = &tiers->tier[f->tier];
                        char suffix[100];
                        int n;

                        if (decimal_is_zero(x->used[k][p]))
                                continue;
                        n = snprintf(suffix, sizeof(suffix), "_%s", sched->period[p]);
                        if (tiers->n > 1)
                                n += snprintf(suffix + n, sizeof(suffix) - (size_t)n, "_t%u",
                                              f->tier + 1);
                        if (f->sub >= 0)
                                snprintf(suffix + n, sizeof(suffix) - (size_t)n, "%c",
                                         (char)('a' + f->sub % 26));
                        step(run, "tiers are filled in the order of use");
                        e = energy_tier_line(run, x->c, s, f->sub >= 0 ? &t->sub[f->sub] : t,
                                             suffix, x->used[k][p], unit);
                }
        return e;
}

int charge_timed(struct run *run, const struct component *c, const struct span *s, const char *name,
                 uint64_t group, int days, const char *unit)
{
        struct timed *x = arena_alloc(&run->r->arena, sizeof(*x));
        int e = run_need_map(run);
        unsigned p = 0;

        if (!x)
                return -ENOMEM;
        memset(x, 0, sizeof(*x));
        x->c = c;
        x->group = group;
        while (!(group >> p & 1))
                p++;
        if (!e)
                e = flatten(run, x, &c->tiers[p], days);
        if (!e) {
                x->period = run->map->period[c->schedule];
                e = measure_each(run, name, s, timed_stretch, x);
        }
        return e ? e : timed_lines(run, x, s, unit);
}
