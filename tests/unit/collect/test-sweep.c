/* The schedule in virtual time: fairness, limits, back-off, causes, on-demand, gaps. */
#include "hr_test.h"

#include <errno.h>

#include "sweep.h"

/* A fleet whose visits end as each meter's fate says. */
enum fate { FATE_READ, FATE_REFUSED, FATE_WRONG_KEY, FATE_NO_DATA };

struct visit_sim {
        uint32_t meter_id;
        int64_t ends_ms;
        struct sweep_next next;
        unsigned link;
};

struct town {
        struct sweep *s;
        int64_t now_ms, now_s0;
        unsigned n, links, per_link[4096];
        uint32_t link_of[20001];
        enum fate fate[20001];
        struct visit_sim running[600];
        size_t n_running, most_running, most_per_link;
        unsigned tries[20001], visits;
        int64_t first_read_ms[20001];
        int64_t visit_ms;
        uint32_t order[64];
        size_t n_order;
};

static int64_t now_s(const struct town *t)
{
        return t->now_s0 + t->now_ms / 1000;
}

static void town_open(struct town *t, const struct sweep_config *c)
{
        memset(t, 0, sizeof *t);
        t->s = sweep_new(c);
        t->now_s0 = 1750000000;
        t->visit_ms = 200;
        CU_ASSERT_PTR_NOT_NULL_FATAL(t->s);
}

static void add(struct town *t, uint32_t id, unsigned link, enum fate fate, uint8_t priority)
{
        char name[32];

        snprintf(name, sizeof name, "10.0.%u.%u:4059", link / 256, link % 256);
        t->link_of[id] = link;
        t->fate[id] = fate;
        t->n = id > t->n ? id : t->n;
        CU_ASSERT_TRUE(sweep_set_meter(t->s, id, name, 900, priority, t->now_ms));
}

static void start_all(struct town *t)
{
        struct sweep_next n;

        while (sweep_next(t->s, t->now_ms, now_s(t), 86400, &n)) {
                struct visit_sim *v = &t->running[t->n_running++];
                unsigned l = t->link_of[n.meter_id];

                CU_ASSERT_FATAL(t->n_running < 600);
                *v = (struct visit_sim){ n.meter_id, t->now_ms + t->visit_ms, n, l };
                t->tries[n.meter_id]++;
                t->visits++;
                t->per_link[l]++;
                if (t->per_link[l] > t->most_per_link)
                        t->most_per_link = t->per_link[l];
                if (t->n_running > t->most_running)
                        t->most_running = t->n_running;
                if (t->n_order < 64)
                        t->order[t->n_order++] = n.meter_id;
        }
}

static void end_one(struct town *t, size_t i)
{
        struct visit_sim v = t->running[i];
        struct visit_result r = { .cause = VISIT_READ, .until = v.next.to };

        t->running[i] = t->running[--t->n_running];
        t->per_link[v.link]--;
        r.counts.values = (uint64_t)((v.next.to - v.next.from) / 900);
        if (t->fate[v.meter_id] == FATE_REFUSED)
                r = (struct visit_result){ .cause = VISIT_REFUSED, .detail = "refused" };
        else if (t->fate[v.meter_id] == FATE_WRONG_KEY)
                r = (struct visit_result){ .cause = VISIT_WRONG_KEY };
        else if (t->fate[v.meter_id] == FATE_NO_DATA)
                r = (struct visit_result){ .cause = VISIT_NO_DATA };
        else if (!t->first_read_ms[v.meter_id])
                t->first_read_ms[v.meter_id] = t->now_ms;
        sweep_result(t->s, v.meter_id, &r, true, t->now_ms);
}

/* Virtual time until @until_ms; returns how many steps it took. */
static unsigned run(struct town *t, int64_t until_ms)
{
        unsigned steps = 0;

        for (;;) {
                int64_t at;

                start_all(t);
                at = sweep_deadline(t->s, t->now_ms);
                CU_ASSERT(at > t->now_ms || at == INT64_MAX);
                for (size_t i = 0; i < t->n_running; i++)
                        if (t->running[i].ends_ms < at)
                                at = t->running[i].ends_ms;
                if (at > until_ms)
                        break;
                t->now_ms = at;
                for (size_t i = 0; i < t->n_running;)
                        if (t->running[i].ends_ms <= t->now_ms)
                                end_one(t, i);
                        else
                                i++;
                CU_ASSERT_FATAL(++steps < 2000000);
        }
        t->now_ms = until_ms;
        return steps;
}

static void a_town_is_read_fairly(void)
{
        static struct town t;
        struct sweep_progress p;
        int64_t worst_small = 0, worst_large = 0;

        town_open(&t, &(struct sweep_config){
                              .max_visits = 100, .per_link = 4, .period_ms = 3600000, .seed = 1 });
        /* 2,000 meters behind one concentrator, 4,000 on links of their own, 500 behind a dead one.
         */
        for (uint32_t i = 1; i <= 2000; i++)
                add(&t, i, 0, FATE_READ, 1);
        for (uint32_t i = 2001; i <= 6000; i++)
                add(&t, i, 2 + (i % 2000), FATE_READ, 1);
        for (uint32_t i = 6001; i <= 6500; i++)
                add(&t, i, 1, FATE_REFUSED, 1);
        run(&t, 600000);
        for (uint32_t i = 1; i <= 6000; i++) {
                int64_t *worst = i <= 2000 ? &worst_large : &worst_small;

                CU_ASSERT_FATAL(t.first_read_ms[i] > 0);
                if (t.first_read_ms[i] > *worst)
                        *worst = t.first_read_ms[i];
        }
        CU_ASSERT_EQUAL(t.most_running, 100);
        CU_ASSERT(t.most_per_link <= 4);
        /* 4,000 visits of 0.2 s, 100 at once = 8 s when the large and the dead link do not matter.
         */
        CU_ASSERT(worst_small < 9000);
        /* Four at once from the moment the small links are done. */
        CU_ASSERT(worst_large <= 2000 / 4 * 200 + 9000);
        sweep_get_progress(t.s, t.now_ms, &p);
        CU_ASSERT_EQUAL(p.meters, 6500);
        CU_ASSERT_EQUAL(p.read, 6000);
        CU_ASSERT_EQUAL(p.failing, 500);
        CU_ASSERT_EQUAL(p.causes[VISIT_REFUSED] + p.causes[VISIT_LINK_DOWN], 500);
        CU_ASSERT_EQUAL(p.values, 6000u * 96u);
        sweep_free(t.s);
}

static void a_dead_link_rests(void)
{
        static struct town t;
        struct sweep_progress p;
        unsigned tries = 0;

        town_open(&t, &(struct sweep_config){ .retry_min_ms = 30000,
                                              .retry_max_ms = 1800000,
                                              .per_link = 4,
                                              .seed = 2 });
        for (uint32_t i = 1; i <= 200; i++)
                add(&t, i, 0, FATE_REFUSED, 1);
        run(&t, 6 * 3600 * 1000);
        for (uint32_t i = 1; i <= 200; i++)
                tries += t.tries[i];
        /* Each rest is longer, up to half an hour: some 20 tries in six hours, not 200 an hour. */
        CU_ASSERT(tries >= 15);
        CU_ASSERT(tries <= 40);
        sweep_get_progress(t.s, t.now_ms, &p);
        CU_ASSERT_EQUAL(p.causes[VISIT_NOT_TRIED], 0);
        CU_ASSERT_EQUAL(p.links_resting, 1);
        /* It comes back: everybody is read after the next probe, without a queue of old debts. */
        for (uint32_t i = 1; i <= 200; i++)
                t.fate[i] = FATE_READ;
        run(&t, 6 * 3600 * 1000 + 1900 * 1000);
        sweep_get_progress(t.s, t.now_ms, &p);
        CU_ASSERT_EQUAL(p.read, 200);
        CU_ASSERT_EQUAL(p.links_resting, 0);
        sweep_free(t.s);
}

static void a_failing_meter_backs_off(void)
{
        static struct town t;
        const struct sweep_meter *m;

        town_open(&t, &(struct sweep_config){ .retry_min_ms = 10000,
                                              .retry_max_ms = 80000,
                                              .period_ms = 3600000,
                                              .seed = 3 });
        add(&t, 1, 0, FATE_WRONG_KEY, 1);
        add(&t, 2, 0, FATE_READ, 1);
        run(&t, 10 * 60000);
        m = sweep_find(t.s, 1);
        CU_ASSERT_EQUAL(m->cause, VISIT_WRONG_KEY);
        /* 10, 20, 40, 80, 80 ... seconds less a quarter at most: 9 to 13 tries in ten minutes. */
        CU_ASSERT(t.tries[1] >= 9 && t.tries[1] <= 13);
        CU_ASSERT_EQUAL(m->failures, t.tries[1]);
        CU_ASSERT_EQUAL(t.tries[2], 1);
        CU_ASSERT_PTR_NULL(sweep_find(t.s, 3));
        sweep_free(t.s);
}

static void only_what_is_missing_is_asked_for(void)
{
        struct sweep *s = sweep_new(&(struct sweep_config){ .seed = 4 });
        int64_t now = 1750000000 / 900 * 900 + 100;
        struct sweep_next n;
        struct visit_result r = { .cause = VISIT_READ };

        CU_ASSERT_TRUE(sweep_set_meter(s, 1, "a:1", 900, 1, 0));
        sweep_have(s, 1, now - 100 - 4 * 900);
        CU_ASSERT_TRUE(sweep_next(s, 0, now, 86400, &n));
        CU_ASSERT_EQUAL(n.from, now - 100 - 4 * 900);
        CU_ASSERT_EQUAL(n.to, now - 100);
        CU_ASSERT_TRUE(n.continues);
        /* Half of it came before the line broke: only that half counts. */
        r.cause = VISIT_LOST;
        r.until = now - 100 - 2 * 900;
        sweep_result(s, 1, &r, true, 0);
        CU_ASSERT_TRUE(sweep_next(s, 3600000, now, 86400, &n));
        CU_ASSERT_EQUAL(n.from, now - 100 - 2 * 900);
        /* Read but not stored: asked for again. */
        r.cause = VISIT_NOT_STORED;
        r.until = now - 100;
        sweep_result(s, 1, &r, false, 3600000);
        CU_ASSERT_TRUE(sweep_next(s, 2 * 3600000, now, 86400, &n));
        CU_ASSERT_EQUAL(n.from, now - 100 - 2 * 900);
        r.cause = VISIT_READ;
        sweep_result(s, 1, &r, true, 2 * 3600000);
        CU_ASSERT_EQUAL(sweep_find(s, 1)->have_until, now - 100);
        /* Nothing new yet: registers only. */
        CU_ASSERT_TRUE(sweep_next(s, 9 * 3600000, now, 86400, &n));
        CU_ASSERT_EQUAL(n.from, n.to);
        sweep_free(s);
}

static void on_demand_overtakes(void)
{
        static struct town t;
        struct sweep_next n;

        town_open(&t, &(struct sweep_config){
                              .max_visits = 2, .on_demand = 1, .per_link = 1, .seed = 5 });
        for (uint32_t i = 1; i <= 50; i++)
                add(&t, i, 0, FATE_READ, 1);
        for (uint32_t i = 51; i <= 60; i++)
                add(&t, i, i, FATE_READ, 1);
        start_all(&t);
        CU_ASSERT_EQUAL(t.n_running, 2);
        CU_ASSERT_EQUAL(sweep_demand(t.s, 49, 0), 0);
        CU_ASSERT_EQUAL(sweep_demand(t.s, 49, 0), 0);
        CU_ASSERT_EQUAL(sweep_demand(t.s, 48, 0), 0);
        CU_ASSERT_EQUAL(sweep_demand(t.s, 999, 0), -ENOENT);
        CU_ASSERT_EQUAL(sweep_demand(t.s, t.order[0], 0), -EALREADY);
        /* Though every place is taken, also that of its link. */
        CU_ASSERT_TRUE(sweep_next(t.s, 0, now_s(&t), 86400, &n));
        CU_ASSERT_EQUAL(n.meter_id, 49);
        CU_ASSERT_TRUE(n.on_demand);
        CU_ASSERT_FALSE(sweep_next(t.s, 0, now_s(&t), 86400, &n));
        t.running[t.n_running++] = (struct visit_sim){ 49, 1, n, 0 };
        t.running[2].next.to = t.running[2].next.from = 0;
        t.per_link[0]++;
        run(&t, 60000);
        CU_ASSERT_EQUAL(t.order[2], 48);
        for (uint32_t i = 1; i <= 60; i++)
                CU_ASSERT(t.first_read_ms[i] > 0);
        sweep_free(t.s);
}

static void a_period_asked_for_is_followed(void)
{
        static struct town t;
        struct sweep_progress p;
        int64_t from, to;

        town_open(&t, &(struct sweep_config){ .max_visits = 10, .retry_min_ms = 5000, .seed = 6 });
        for (uint32_t i = 1; i <= 100; i++)
                add(&t, i, i, i == 7 ? FATE_NO_DATA : FATE_READ, 1);
        run(&t, 60000);
        from = (t.now_s0 - 30 * 86400) / 86400 * 86400;
        to = from + 30 * 86400;
        sweep_request(t.s, 0, from, to, t.now_ms);
        sweep_get_progress(t.s, t.now_ms, &p);
        CU_ASSERT_EQUAL(p.wanted, 100);
        CU_ASSERT_EQUAL(p.done, 0);
        run(&t, t.now_ms + 1000);
        sweep_get_progress(t.s, t.now_ms, &p);
        CU_ASSERT(p.done >= 40 && p.done <= 50);
        CU_ASSERT(p.forecast_ms > t.now_ms);
        run(&t, t.now_ms + 30000);
        sweep_get_progress(t.s, t.now_ms, &p);
        CU_ASSERT_EQUAL(p.done, 99);
        CU_ASSERT_EQUAL(p.finished_ms, 0);
        CU_ASSERT_EQUAL(sweep_find(t.s, 7)->cause, VISIT_NO_DATA);
        CU_ASSERT_EQUAL(sweep_find(t.s, 7)->want_from, from);
        t.fate[7] = FATE_READ;
        run(&t, t.now_ms + 120000);
        sweep_get_progress(t.s, t.now_ms, &p);
        CU_ASSERT_EQUAL(p.done, 100);
        CU_ASSERT(p.finished_ms > 0);
        sweep_free(t.s);
}

static void meters_come_and_go(void)
{
        static struct town t;
        struct sweep_progress p;

        town_open(&t, &(struct sweep_config){
                              .max_visits = 4, .period_ms = 60000, .jitter_ms = 1000, .seed = 7 });
        for (uint32_t i = 1; i <= 40; i++)
                add(&t, i, i % 5, FATE_READ, (uint8_t)(i % 4));
        start_all(&t);
        for (uint32_t i = 1; i <= 40; i += 2)
                sweep_remove_meter(t.s, i); /* idle, waiting and visited ones */
        run(&t, 30000);
        sweep_get_progress(t.s, t.now_ms, &p);
        CU_ASSERT_EQUAL(p.meters, 20);
        CU_ASSERT_EQUAL(p.read, 20);
        for (uint32_t i = 1; i <= 40; i += 2)
                add(&t, i, i % 5, FATE_READ, 0);
        run(&t, 120000);
        sweep_get_progress(t.s, t.now_ms, &p);
        CU_ASSERT_EQUAL(p.meters, 40);
        CU_ASSERT_EQUAL(p.read, 40);
        sweep_free(t.s);
}

static void twenty_thousand_in_a_moment(void)
{
        static struct town t;
        unsigned steps;

        town_open(&t,
                  &(struct sweep_config){
                          .max_visits = 500, .period_ms = 900000, .jitter_ms = 600000, .seed = 8 });
        for (uint32_t i = 1; i <= 20000; i++)
                add(&t, i, i % 4000, i % 50 ? FATE_READ : FATE_WRONG_KEY, 1);
        steps = run(&t, 4 * 900000);
        CU_ASSERT(steps > 0);
        CU_ASSERT(t.visits > 40000);
        for (uint32_t i = 1; i <= 20000; i++)
                CU_ASSERT(t.tries[i] >= 2);
        sweep_free(t.s);
}

/* Two links in one cell of two places, a third link elsewhere: the cell holds, the other goes on.
 */
static void a_cell_has_its_places(void)
{
        struct sweep *s =
                sweep_new(&(struct sweep_config){ .per_link = 4, .per_cell = 2, .seed = 9 });
        struct visit_result r = { .cause = VISIT_READ };
        unsigned in_cell = 0, beyond = 0, rounds = 0;
        struct sweep_next n;
        uint32_t running[16];
        size_t k = 0;

        for (uint32_t i = 1; i <= 12; i++) {
                char link[16];

                snprintf(link, sizeof link, "l%u", i % 3);
                CU_ASSERT_TRUE(sweep_set_meter(s, i, link, 900, 1, 0));
                CU_ASSERT_TRUE(sweep_set_schedule(s, i, i % 3 == 2 ? "" : "C1", 1, 0, 0));
        }
        while (sweep_next(s, 0, 1750000000, 86400, &n)) {
                running[k++] = n.meter_id;
                if (n.meter_id % 3 == 2)
                        beyond++;
                else
                        in_cell++;
        }
        CU_ASSERT_EQUAL(in_cell, 2);
        CU_ASSERT_EQUAL(beyond, 4);                       /* the link's own limit */
        CU_ASSERT_EQUAL(sweep_deadline(s, 0), INT64_MAX); /* only a result makes room */
        /* Each that ends lets exactly one follow; in the end all were visited. */
        while (k && rounds++ < 50) {
                sweep_result(s, running[--k], &r, true, 10);
                while (sweep_next(s, 10, 1750000000, 86400, &n))
                        running[k++] = n.meter_id;
                CU_ASSERT(k <= 6);
        }
        for (uint32_t i = 1; i <= 12; i++)
                CU_ASSERT_EQUAL(sweep_find(s, i)->visits, 1);
        sweep_free(s);
}

static void a_deadline_comes_first(void)
{
        struct sweep *s = sweep_new(&(struct sweep_config){ .max_visits = 1, .seed = 10 });
        struct visit_result r = { .cause = VISIT_READ };
        struct sweep_progress p;
        struct sweep_next n;

        /* Meter 3 of the last priority, with a minute; it waits behind 1 and 2 until time presses.
         */
        for (uint32_t i = 1; i <= 3; i++)
                CU_ASSERT_TRUE(sweep_set_meter(s, i, "a:1", 900, i == 3 ? 2 : 1, 0));
        CU_ASSERT_TRUE(sweep_set_schedule(s, 3, "", 2, 5000, 60000));
        CU_ASSERT_TRUE(sweep_next(s, 0, 1750000000, 0, &n));
        CU_ASSERT_EQUAL(n.meter_id, 1);
        sweep_get_progress(s, 61000, &p);
        CU_ASSERT_EQUAL(p.late, 0); /* it has a deadline from the first time it is due */
        sweep_result(s, 1, &r, true, 100);
        CU_ASSERT_TRUE(sweep_next(s, 100, 1750000000, 0, &n));
        sweep_result(s, n.meter_id, &r, true, 200);
        CU_ASSERT_TRUE(sweep_next(s, 200, 1750000000, 0, &n));
        CU_ASSERT_EQUAL(n.meter_id, 3);
        sweep_result(s, 3, &r, true, 300);
        /* Visited again by its own period; failing past the deadline it is late. */
        CU_ASSERT_EQUAL(sweep_find(s, 3)->due_ms, 5300);
        CU_ASSERT_EQUAL(sweep_find(s, 3)->deadline_ms, 65300);
        CU_ASSERT_TRUE(sweep_next(s, 5300, 1750000000, 0, &n));
        r.cause = VISIT_TIMEOUT;
        sweep_result(s, 3, &r, false, 5400);
        sweep_get_progress(s, 65301, &p);
        CU_ASSERT_EQUAL(p.late, 1);
        CU_ASSERT_TRUE(sweep_next(s, 70000, 1750000000, 0, &n));
        r.cause = VISIT_READ;
        sweep_result(s, 3, &r, true, 70001);
        CU_ASSERT_EQUAL(sweep_find(s, 3)->late, 1);
        sweep_get_progress(s, 70002, &p);
        CU_ASSERT_EQUAL(p.late, 0);
        CU_ASSERT_TRUE(sweep_note(s, 3, VISIT_READ, 5));
        CU_ASSERT_FALSE(sweep_note(s, 3, VISIT_READ, 5));
        CU_ASSERT_TRUE(sweep_note(s, 3, VISIT_READ, 6));
        sweep_free(s);
}

/* What a person sees: at most twenty causes, each with something to do. */
static void twenty_causes(void)
{
        const char *seen[VISIT_N_CAUSES];
        size_t n = 0;

        for (unsigned i = VISIT_NOT_TRIED + 1; i < VISIT_N_CAUSES; i++) {
                const char *name = visit_cause_name(i);
                size_t k = 0;

                while (k < n && strcmp(seen[k], name) != 0)
                        k++;
                if (k == n)
                        seen[n++] = name;
                CU_ASSERT_TRUE(*visit_cause_next(name) != 0);
                for (unsigned other = 0; other < i; other++)
                        CU_ASSERT_STRING_NOT_EQUAL(visit_cause_text(i), visit_cause_text(other));
        }
        CU_ASSERT(n <= 20);
        if (n > 20)
                printf("[%zu causes]", n);
}

HR_TESTS("sweep", { "a town is read fairly", a_town_is_read_fairly },
         { "a dead link rests", a_dead_link_rests },
         { "a failing meter backs off", a_failing_meter_backs_off },
         { "only what is missing is asked for", only_what_is_missing_is_asked_for },
         { "on-demand overtakes", on_demand_overtakes },
         { "a period asked for is followed to its end", a_period_asked_for_is_followed },
         { "meters come and go", meters_come_and_go },
         { "twenty thousand in a moment", twenty_thousand_in_a_moment },
         { "a cell has its places", a_cell_has_its_places },
         { "a deadline comes first", a_deadline_comes_first },
         { "twenty causes at most", twenty_causes })
