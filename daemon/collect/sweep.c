#include "sweep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRIORITIES = 3, NOWHERE = UINT32_MAX };

/* Idle meters and resting links wait in one heap for their time. */
struct timer {
        int64_t at;
        size_t pos; /* in the heap, from 1; 0 = not in it */
        bool is_link;
        uint32_t index;
};

enum meter_state { METER_IDLE, METER_QUEUED, METER_VISITING };

struct meter {
        struct sweep_meter pub;
        struct timer timer;
        enum meter_state state;
        bool removed, demanded, wanted;
        bool visit_wanted, visit_demanded; /* of the visit under way */
        uint32_t link, next;               /* next in the link's queue */
        uint32_t cell;                     /* NOWHERE = none */
        uint32_t visit_cell;               /* of the visit under way */
        int64_t period_ms, deadline_after_ms;
        int64_t visit_from;
};

struct link {
        char *name; /* owned */
        struct timer timer;
        uint32_t head[PRIORITIES], tail[PRIORITIES];
        size_t waiting;
        unsigned active, failures;
        bool resting;
        size_t ready_pos; /* in ready[], from 1; 0 = not in it */
        uint32_t blocked; /* its next meter's cell is full: that cell; NOWHERE = none */
        uint32_t next_blocked;
};

/* Meters behind one radio cell, on whatever links. */
struct cell {
        char *name; /* owned */
        unsigned active;
        uint32_t first_blocked; /* links */
};

struct sweep {
        struct sweep_config cfg;
        struct meter **meters; /* owned; never moves, so that indices stay */
        size_t n_meters, cap_meters;
        uint32_t *by_id, *by_name; /* open addressing: index + 1 */
        size_t cap_by_id, cap_by_name;
        struct cell *cells; /* few: looked up one by one */
        size_t n_cells, cap_cells;
        struct link **links;
        size_t n_links, cap_links;
        uint32_t *ready; /* links that can give a meter now */
        size_t n_ready, cap_ready, turn;
        struct timer **heap;
        size_t n_heap, cap_heap;
        uint32_t *demand; /* meters, in order */
        size_t n_demand, cap_demand;
        unsigned active, active_demand;
        uint64_t random, visits, values;
        int64_t now_ms; /* of the call under way */
        int64_t run_from, run_to, run_started_ms, run_finished_ms;
        size_t run_wanted, run_done;
};

static uint64_t chance(struct sweep *s)
{
        /* splitmix64 */
        uint64_t z = s->random += 0x9E3779B97F4A7C15u;

        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
}

/* ---- heap ---- */

static void heap_place(struct sweep *s, size_t i, struct timer *t)
{
        s->heap[i - 1] = t;
        t->pos = i;
}

static void heap_up(struct sweep *s, size_t i, struct timer *t)
{
        for (; i > 1 && s->heap[i / 2 - 1]->at > t->at; i /= 2)
                heap_place(s, i, s->heap[i / 2 - 1]);
        heap_place(s, i, t);
}

static void heap_down(struct sweep *s, size_t i, struct timer *t)
{
        for (;;) {
                size_t c = 2 * i;

                if (c > s->n_heap)
                        break;
                if (c < s->n_heap && s->heap[c]->at < s->heap[c - 1]->at)
                        c++;
                if (s->heap[c - 1]->at >= t->at)
                        break;
                heap_place(s, i, s->heap[c - 1]);
                i = c;
        }
        heap_place(s, i, t);
}

static void heap_remove(struct sweep *s, struct timer *t)
{
        size_t i = t->pos;
        struct timer *last;

        if (!i)
                return;
        t->pos = 0;
        last = s->heap[--s->n_heap];
        if (last == t)
                return;
        if (i > 1 && s->heap[i / 2 - 1]->at > last->at)
                heap_up(s, i, last);
        else
                heap_down(s, i, last);
}

/* There is room for every meter and link: see reserve_heap(). */
static void heap_set(struct sweep *s, struct timer *t, int64_t at)
{
        heap_remove(s, t);
        t->at = at;
        heap_up(s, ++s->n_heap, t);
}

/* ---- growing ---- */

static bool reserve(void *array_of, size_t *cap, size_t need, size_t size)
{
        void **array = array_of;
        size_t n = *cap ? *cap : 64;
        void *p;

        if (need <= *cap)
                return true;
        while (n < need)
                n *= 2;
        p = realloc(*array, n * size);
        if (!p)
                return false;
        *array = p;
        *cap = n;
        return true;
}

static uint64_t hash_id(uint32_t id)
{
        return (uint64_t)id * 0x9E3779B97F4A7C15u >> 32;
}

static uint64_t hash_name(const char *s)
{
        uint64_t h = 14695981039346656037u;

        while (*s)
                h = (h ^ (uint8_t)*s++) * 1099511628211u;
        return h ^ (h >> 29);
}

static uint32_t meter_slot(const struct sweep *s, uint32_t id)
{
        size_t i = hash_id(id) & (s->cap_by_id - 1);

        while (s->by_id[i] && s->meters[s->by_id[i] - 1]->pub.meter_id != id)
                i = (i + 1) & (s->cap_by_id - 1);
        return (uint32_t)i;
}

static struct meter *find(const struct sweep *s, uint32_t id)
{
        uint32_t k = s->cap_by_id ? s->by_id[meter_slot(s, id)] : 0;

        return k ? s->meters[k - 1] : NULL;
}

static uint32_t link_slot(const struct sweep *s, const char *name)
{
        size_t i = hash_name(name) & (s->cap_by_name - 1);

        while (s->by_name[i] && strcmp(s->links[s->by_name[i] - 1]->name, name) != 0)
                i = (i + 1) & (s->cap_by_name - 1);
        return (uint32_t)i;
}

static bool grow_ids(struct sweep *s)
{
        size_t cap = s->cap_by_id ? s->cap_by_id * 2 : 256;
        uint32_t *table = calloc(cap, sizeof *table);

        if (!table)
                return false;
        free(s->by_id);
        s->by_id = table;
        s->cap_by_id = cap;
        for (size_t i = 0; i < s->n_meters; i++)
                table[meter_slot(s, s->meters[i]->pub.meter_id)] = (uint32_t)i + 1;
        return true;
}

static bool grow_names(struct sweep *s)
{
        size_t cap = s->cap_by_name ? s->cap_by_name * 2 : 64;
        uint32_t *table = calloc(cap, sizeof *table);

        if (!table)
                return false;
        free(s->by_name);
        s->by_name = table;
        s->cap_by_name = cap;
        for (size_t i = 0; i < s->n_links; i++)
                table[link_slot(s, s->links[i]->name)] = (uint32_t)i + 1;
        return true;
}

static bool reserve_heap(struct sweep *s)
{
        return reserve(&s->heap, &s->cap_heap, s->n_meters + s->n_links + 2, sizeof *s->heap);
}

static uint32_t link_of(struct sweep *s, const char *name)
{
        struct link *l;
        uint32_t slot;

        if (2 * (s->n_links + 1) > s->cap_by_name && !grow_names(s))
                return NOWHERE;
        slot = link_slot(s, name);
        if (s->by_name[slot])
                return s->by_name[slot] - 1;
        if (!reserve(&s->links, &s->cap_links, s->n_links + 1, sizeof *s->links) ||
            !reserve(&s->ready, &s->cap_ready, s->n_links + 1, sizeof *s->ready) ||
            !reserve_heap(s))
                return NOWHERE;
        l = calloc(1, sizeof *l);
        if (!l || !(l->name = strdup(name))) {
                free(l);
                return NOWHERE;
        }
        for (size_t i = 0; i < PRIORITIES; i++)
                l->head[i] = l->tail[i] = NOWHERE;
        l->blocked = NOWHERE;
        l->timer.is_link = true;
        l->timer.index = (uint32_t)s->n_links;
        s->links[s->n_links++] = l;
        s->by_name[slot] = (uint32_t)s->n_links;
        return (uint32_t)s->n_links - 1;
}

/* ---- links ---- */

/* A link that failed is tried with one visit until one gets through. */
static unsigned link_limit(const struct sweep *s, const struct link *l)
{
        return l->failures >= s->cfg.link_failures ? 1 : s->cfg.per_link;
}

static void link_update(struct sweep *s, struct link *l)
{
        bool can = l->waiting && !l->resting && l->blocked == NOWHERE &&
                   l->active < link_limit(s, l);

        if (can && !l->ready_pos) {
                s->ready[s->n_ready++] = l->timer.index;
                l->ready_pos = s->n_ready;
        } else if (!can && l->ready_pos) {
                uint32_t last = s->ready[--s->n_ready];

                s->ready[l->ready_pos - 1] = last;
                s->links[last]->ready_pos = l->ready_pos;
                l->ready_pos = 0;
        }
}

static void enqueue(struct sweep *s, struct meter *m, uint32_t index)
{
        struct link *l = s->links[m->link];
        unsigned p = m->pub.priority < PRIORITIES ? m->pub.priority : PRIORITIES - 1;

        /* In the last quarter of its time a meter goes before its group. */
        if (p && m->deadline_after_ms &&
            m->pub.deadline_ms - s->now_ms <= m->deadline_after_ms / 4)
                p--;
        m->state = METER_QUEUED;
        m->next = NOWHERE;
        if (l->tail[p] == NOWHERE)
                l->head[p] = index;
        else
                s->meters[l->tail[p]]->next = index;
        l->tail[p] = index;
        l->waiting++;
        if (l->resting && m->pub.cause != VISIT_LINK_DOWN && !visit_cause_is_link(m->pub.cause)) {
                m->pub.cause = VISIT_LINK_DOWN;
                snprintf(m->pub.detail, sizeof m->pub.detail, "%s", l->name);
        }
        link_update(s, l);
}

static uint32_t dequeue(struct sweep *s, struct link *l)
{
        for (size_t p = 0; p < PRIORITIES; p++) {
                uint32_t i = l->head[p];

                if (i == NOWHERE)
                        continue;
                l->head[p] = s->meters[i]->next;
                if (l->head[p] == NOWHERE)
                        l->tail[p] = NOWHERE;
                l->waiting--;
                return i;
        }
        return NOWHERE;
}

static void link_rest(struct sweep *s, struct link *l, int64_t now_ms)
{
        unsigned over = l->failures - s->cfg.link_failures;
        int64_t wait = s->cfg.retry_min_ms << (over < 16 ? over : 16);

        if (wait > s->cfg.retry_max_ms)
                wait = s->cfg.retry_max_ms;
        l->resting = true;
        heap_set(s, &l->timer, now_ms + wait);
        for (size_t p = 0; p < PRIORITIES; p++)
                for (uint32_t i = l->head[p]; i != NOWHERE; i = s->meters[i]->next)
                        if (!visit_cause_is_link(s->meters[i]->pub.cause)) {
                                s->meters[i]->pub.cause = VISIT_LINK_DOWN;
                                snprintf(s->meters[i]->pub.detail, sizeof s->meters[i]->pub.detail,
                                         "%s", l->name);
                        }
        link_update(s, l);
}

/* ---- meters ---- */

static void set_due(struct sweep *s, struct meter *m, int64_t at)
{
        m->pub.due_ms = at;
        /* A deadline runs from the first time a visit is due until one reads the meter. */
        if (m->deadline_after_ms && m->pub.deadline_ms == INT64_MAX)
                m->pub.deadline_ms = at + m->deadline_after_ms;
        heap_set(s, &m->timer, at);
}

struct sweep *sweep_new(const struct sweep_config *config)
{
        struct sweep *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;
        s->cfg = *config;
        if (!s->cfg.max_visits)
                s->cfg.max_visits = 100;
        if (!s->cfg.on_demand)
                s->cfg.on_demand = 10;
        if (!s->cfg.per_link)
                s->cfg.per_link = 4;
        if (!s->cfg.period_ms)
                s->cfg.period_ms = 3600 * 1000;
        if (!s->cfg.retry_min_ms)
                s->cfg.retry_min_ms = 30 * 1000;
        if (!s->cfg.retry_max_ms)
                s->cfg.retry_max_ms = 30 * 60 * 1000;
        if (!s->cfg.link_failures)
                s->cfg.link_failures = 3;
        s->random = config->seed;
        return s;
}

void sweep_free(struct sweep *s)
{
        if (!s)
                return;
        for (size_t i = 0; i < s->n_meters; i++)
                free(s->meters[i]);
        for (size_t i = 0; i < s->n_cells; i++)
                free(s->cells[i].name);
        free(s->cells);
        for (size_t i = 0; i < s->n_links; i++) {
                free(s->links[i]->name);
                free(s->links[i]);
        }
        free(s->meters);
        free(s->by_id);
        free(s->by_name);
        free(s->links);
        free(s->ready);
        free(s->heap);
        free(s->demand);
        free(s);
}

static struct meter *add_meter(struct sweep *s, uint32_t id)
{
        struct meter *m;

        if (2 * (s->n_meters + 1) > s->cap_by_id && !grow_ids(s))
                return NULL;
        if (!reserve(&s->meters, &s->cap_meters, s->n_meters + 1, sizeof *s->meters) ||
            !reserve(&s->demand, &s->cap_demand, s->n_meters + 1, sizeof *s->demand) ||
            !reserve_heap(s))
                return NULL;
        m = calloc(1, sizeof *m);
        if (!m)
                return NULL;
        m->pub.meter_id = id;
        m->pub.cause = m->pub.noted = VISIT_NOT_TRIED;
        m->pub.events_until = -1;
        m->pub.deadline_ms = INT64_MAX;
        m->cell = m->visit_cell = NOWHERE;
        m->timer.index = (uint32_t)s->n_meters;
        m->removed = true; /* until it is put in place */
        s->by_id[meter_slot(s, id)] = (uint32_t)s->n_meters + 1;
        s->meters[s->n_meters++] = m;
        return m;
}

bool sweep_set_meter(struct sweep *s, uint32_t meter_id, const char *link, uint32_t period_s,
                     uint8_t priority, int64_t now_ms)
{
        uint32_t l = link_of(s, link);
        struct meter *m = find(s, meter_id);

        if (l == NOWHERE || (!m && !(m = add_meter(s, meter_id))))
                return false;
        m->pub.period_s = period_s ? period_s : 900;
        m->pub.priority = priority;
        /* One that waits or is visited keeps its place on the old link until then. */
        if (m->state == METER_IDLE)
                m->link = l;
        if (m->removed) {
                m->removed = false;
                if (m->state == METER_IDLE)
                        set_due(s, m,
                                now_ms + (s->cfg.jitter_ms ? (int64_t)(chance(s) %
                                                                       (uint64_t)s->cfg.jitter_ms)
                                                           : 0));
        }
        return true;
}

static uint32_t cell_of(struct sweep *s, const char *name)
{
        for (size_t i = 0; i < s->n_cells; i++)
                if (strcmp(s->cells[i].name, name) == 0)
                        return (uint32_t)i;
        if (!reserve(&s->cells, &s->cap_cells, s->n_cells + 1, sizeof *s->cells))
                return NOWHERE;
        s->cells[s->n_cells] = (struct cell){ .name = strdup(name), .first_blocked = NOWHERE };
        return s->cells[s->n_cells].name ? (uint32_t)s->n_cells++ : NOWHERE;
}

bool sweep_set_schedule(struct sweep *s, uint32_t meter_id, const char *cell, uint8_t priority,
                        int64_t period_ms, int64_t deadline_ms)
{
        struct meter *m = find(s, meter_id);

        if (!m)
                return false;
        m->pub.priority = priority;
        m->period_ms = period_ms;
        m->deadline_after_ms = deadline_ms;
        if (!deadline_ms)
                m->pub.deadline_ms = INT64_MAX;
        if (!cell || !*cell) {
                m->cell = NOWHERE;
                return true;
        }
        if (m->cell == NOWHERE || strcmp(s->cells[m->cell].name, cell) != 0)
                m->cell = cell_of(s, cell);
        return m->cell != NOWHERE;
}

bool sweep_note(struct sweep *s, uint32_t meter_id, enum visit_cause cause, int32_t day)
{
        struct meter *m = find(s, meter_id);

        if (!m || (m->pub.noted == cause && m->pub.noted_day == day))
                return false;
        m->pub.noted = cause;
        m->pub.noted_day = day;
        return true;
}

void sweep_events(struct sweep *s, uint32_t meter_id, int64_t until)
{
        struct meter *m = find(s, meter_id);

        if (m && until > m->pub.events_until)
                m->pub.events_until = until;
}

static void run_count(struct sweep *s, struct meter *m, bool done, int64_t now_ms)
{
        if (!m->wanted)
                return;
        m->wanted = false;
        m->pub.want_from = m->pub.want_to = 0;
        if (done)
                s->run_done++;
        else
                s->run_wanted--;
        if (s->run_done >= s->run_wanted && !s->run_finished_ms)
                s->run_finished_ms = now_ms;
}

void sweep_remove_meter(struct sweep *s, uint32_t meter_id)
{
        struct meter *m = find(s, meter_id);

        if (!m || m->removed)
                return;
        m->removed = true;
        run_count(s, m, false, s->run_started_ms);
        heap_remove(s, &m->timer);
}

void sweep_have(struct sweep *s, uint32_t meter_id, int64_t until)
{
        struct meter *m = find(s, meter_id);

        if (m && until > m->pub.have_until)
                m->pub.have_until = until;
}

const struct sweep_meter *sweep_find(const struct sweep *s, uint32_t meter_id)
{
        const struct meter *m = find(s, meter_id);

        return m && !m->removed ? &m->pub : NULL;
}

size_t sweep_count(const struct sweep *s)
{
        return s->n_meters;
}

const struct sweep_meter *sweep_at(const struct sweep *s, size_t i)
{
        static const struct sweep_meter gone;

        if (i >= s->n_meters)
                return NULL;
        return s->meters[i]->removed ? &gone : &s->meters[i]->pub;
}

static void want(struct sweep *s, struct meter *m, int64_t from, int64_t to, int64_t now_ms)
{
        if (m->removed)
                return;
        m->pub.want_from = from;
        m->pub.want_to = to;
        m->wanted = true;
        s->run_wanted++;
        if (m->state == METER_IDLE)
                set_due(s, m, now_ms);
}

void sweep_request(struct sweep *s, uint32_t meter_id, int64_t from, int64_t to, int64_t now_ms)
{
        s->run_from = from;
        s->run_to = to;
        s->run_started_ms = now_ms;
        s->run_finished_ms = 0;
        s->run_wanted = s->run_done = 0;
        for (size_t i = 0; i < s->n_meters; i++) {
                s->meters[i]->wanted = false;
                if (!meter_id || s->meters[i]->pub.meter_id == meter_id)
                        want(s, s->meters[i], from, to, now_ms);
        }
        /* What rested is tried again now: somebody asked. */
        for (size_t i = 0; i < s->n_links; i++)
                if (s->links[i]->resting)
                        heap_set(s, &s->links[i]->timer, now_ms);
        if (!s->run_wanted)
                s->run_finished_ms = now_ms;
}

int sweep_demand(struct sweep *s, uint32_t meter_id, int64_t now_ms)
{
        struct meter *m = find(s, meter_id);

        (void)now_ms;
        if (!m || m->removed)
                return -ENOENT;
        if (m->state == METER_VISITING)
                return -EALREADY;
        if (m->demanded)
                return 0;
        m->demanded = true;
        s->demand[s->n_demand++] = m->timer.index;
        return 0;
}

/* ---- what next ---- */

static void wake(struct sweep *s, int64_t now_ms)
{
        s->now_ms = now_ms;
        while (s->n_heap && s->heap[0]->at <= now_ms) {
                struct timer *t = s->heap[0];

                heap_remove(s, t);
                if (t->is_link) {
                        s->links[t->index]->resting = false;
                        link_update(s, s->links[t->index]);
                } else if (!s->meters[t->index]->removed) {
                        enqueue(s, s->meters[t->index], t->index);
                }
        }
}

static void start(struct sweep *s, struct meter *m, bool on_demand, int64_t now_ms, int64_t now_s,
                  int64_t back_s, struct sweep_next *ret)
{
        int64_t p = (int64_t)m->pub.period_s, complete = now_s / p * p;

        *ret = (struct sweep_next){ .meter_id = m->pub.meter_id, .on_demand = on_demand };
        if (m->wanted) {
                ret->from = m->pub.want_from / p * p;
                ret->to = m->pub.want_to < complete ? m->pub.want_to / p * p : complete;
                ret->continues = ret->from > s->run_from;
        } else {
                ret->from = m->pub.have_until ? m->pub.have_until : (now_s - back_s) / p * p;
                ret->to = complete;
                ret->continues = m->pub.have_until != 0;
        }
        if (ret->to < ret->from)
                ret->to = ret->from;
        m->visit_from = ret->from;
        m->visit_wanted = m->wanted;
        m->visit_demanded = on_demand;
        m->state = METER_VISITING;
        m->pub.visiting = true;
        m->pub.last_try_ms = now_ms;
        s->links[m->link]->active++;
        link_update(s, s->links[m->link]);
        m->visit_cell = m->cell;
        if (m->cell != NOWHERE)
                s->cells[m->cell].active++;
        s->active++;
        s->active_demand += on_demand;
}

static void unqueue(struct sweep *s, struct meter *m, uint32_t index)
{
        struct link *l = s->links[m->link];

        for (size_t p = 0; p < PRIORITIES; p++) {
                uint32_t before = NOWHERE, i = l->head[p];

                for (; i != NOWHERE && i != index; i = s->meters[i]->next)
                        before = i;
                if (i == NOWHERE)
                        continue;
                if (before == NOWHERE)
                        l->head[p] = m->next;
                else
                        s->meters[before]->next = m->next;
                if (l->tail[p] == index)
                        l->tail[p] = before;
                l->waiting--;
                link_update(s, l);
                return;
        }
}

/* The link's next meter waits for a place in its cell: the link does, too. */
static bool blocked_by_cell(struct sweep *s, struct link *l)
{
        uint32_t i = NOWHERE;
        struct cell *c;

        if (!s->cfg.per_cell)
                return false;
        for (size_t p = 0; p < PRIORITIES && i == NOWHERE; p++)
                i = l->head[p];
        if (s->meters[i]->cell == NOWHERE)
                return false;
        c = &s->cells[s->meters[i]->cell];
        if (c->active < s->cfg.per_cell)
                return false;
        l->blocked = s->meters[i]->cell;
        l->next_blocked = c->first_blocked;
        c->first_blocked = l->timer.index;
        link_update(s, l);
        return true;
}

static void leave_cell(struct sweep *s, struct meter *m)
{
        struct cell *c;

        if (m->visit_cell == NOWHERE)
                return;
        c = &s->cells[m->visit_cell];
        m->visit_cell = NOWHERE;
        c->active--;
        while (c->first_blocked != NOWHERE) {
                struct link *l = s->links[c->first_blocked];

                c->first_blocked = l->next_blocked;
                l->blocked = NOWHERE;
                link_update(s, l);
        }
}

static bool next_demanded(struct sweep *s, int64_t now_ms, int64_t now_s, int64_t back_s,
                          struct sweep_next *ret)
{
        while (s->n_demand && s->active_demand < s->cfg.on_demand) {
                uint32_t i = s->demand[0];
                struct meter *m = s->meters[i];

                memmove(s->demand, s->demand + 1, --s->n_demand * sizeof *s->demand);
                m->demanded = false;
                if (m->removed || m->state == METER_VISITING)
                        continue;
                if (m->state == METER_QUEUED)
                        unqueue(s, m, i);
                heap_remove(s, &m->timer);
                start(s, m, true, now_ms, now_s, back_s, ret);
                return true;
        }
        return false;
}

bool sweep_next(struct sweep *s, int64_t now_ms, int64_t now_s, int64_t back_s,
                struct sweep_next *ret)
{
        wake(s, now_ms);
        if (next_demanded(s, now_ms, now_s, back_s, ret))
                return true;
        while (s->n_ready && s->active - s->active_demand < s->cfg.max_visits) {
                struct link *l = s->links[s->ready[s->turn++ % s->n_ready]];
                struct meter *m;

                if (blocked_by_cell(s, l))
                        continue;
                m = s->meters[dequeue(s, l)];
                link_update(s, l);
                m->state = METER_IDLE;
                if (m->removed)
                        continue;
                start(s, m, false, now_ms, now_s, back_s, ret);
                return true;
        }
        return false;
}

static int64_t backoff(struct sweep *s, unsigned failures)
{
        unsigned n = failures > 16 ? 16 : failures;
        int64_t wait = n ? s->cfg.retry_min_ms << (n - 1) : s->cfg.retry_min_ms;

        if (wait > s->cfg.retry_max_ms)
                wait = s->cfg.retry_max_ms;
        return wait - (int64_t)(chance(s) % (uint64_t)(wait / 4 + 1));
}

static void take_result(struct sweep *s, struct meter *m, const struct visit_result *r, bool stored,
                        int64_t now_ms)
{
        bool moved = r->until > (m->visit_wanted ? m->pub.want_from : m->pub.have_until);

        m->pub.cause = r->cause;
        snprintf(m->pub.detail, sizeof m->pub.detail, "%.*s", (int)sizeof m->pub.detail - 1,
                 r->detail);
        m->pub.visits++;
        s->visits++;
        if (r->has_clock)
                m->pub.clock_offset_s = r->clock_offset_s;
        if (stored) {
                m->pub.values += r->counts.values;
                s->values += r->counts.values;
                /* Behind a hole the watermark does not move: the hole is still to be read. */
                if (r->until > m->pub.have_until &&
                    (!m->pub.have_until || m->visit_from <= m->pub.have_until))
                        m->pub.have_until = r->until;
                if (m->wanted && m->visit_wanted && r->until > m->pub.want_from &&
                    r->until <= m->pub.want_to)
                        m->pub.want_from = r->until;
        }
        if (r->cause == VISIT_READ) {
                m->pub.late += now_ms > m->pub.deadline_ms;
                m->pub.deadline_ms = INT64_MAX;
                m->pub.read_once = true;
                m->pub.last_read_ms = now_ms;
                m->pub.failures = 0;
                if (m->visit_wanted)
                        run_count(s, m, true, now_ms);
        } else {
                /* One that brought something on is no repeated failure: it goes on soon. */
                m->pub.failures = stored && moved ? 1 : m->pub.failures + 1;
        }
}

void sweep_result(struct sweep *s, uint32_t meter_id, const struct visit_result *result,
                  bool stored, int64_t now_ms)
{
        struct meter *m = find(s, meter_id);
        struct link *l;
        int64_t jitter = 0;

        if (!m || m->state != METER_VISITING)
                return;
        l = s->links[m->link];
        leave_cell(s, m);
        m->state = METER_IDLE;
        m->pub.visiting = false;
        m->pub.ended_ms = now_ms;
        s->active--;
        s->active_demand -= m->visit_demanded;
        l->active--;
        take_result(s, m, result, stored, now_ms);
        if (visit_cause_is_link(result->cause)) {
                l->failures++;
                if (l->failures >= s->cfg.link_failures && !l->resting)
                        link_rest(s, l, now_ms);
        } else if (result->cause != VISIT_SHUTDOWN && result->cause != VISIT_ADDRESS &&
                   result->cause != VISIT_KEY_MISSING) {
                l->failures = 0;
                if (l->resting) {
                        l->resting = false;
                        heap_remove(s, &l->timer);
                }
        }
        link_update(s, l);
        if (m->removed)
                return;
        if (m->wanted && !m->visit_wanted) { /* asked for while the visit was under way */
                set_due(s, m, now_ms);
                return;
        }
        if (s->cfg.jitter_ms)
                jitter = (int64_t)(chance(s) % (uint64_t)s->cfg.jitter_ms);
        set_due(s, m,
                now_ms + (result->cause == VISIT_READ ? (m->period_ms ? m->period_ms : s->cfg.period_ms) + jitter
                                                      : backoff(s, m->pub.failures)));
}

int64_t sweep_deadline(const struct sweep *s, int64_t now_ms)
{
        if (s->n_demand && s->active_demand < s->cfg.on_demand)
                return now_ms;
        if (s->n_ready && s->active - s->active_demand < s->cfg.max_visits)
                return now_ms;
        return s->n_heap ? s->heap[0]->at : INT64_MAX;
}

void sweep_get_progress(const struct sweep *s, int64_t now_ms, struct sweep_progress *ret)
{
        *ret = (struct sweep_progress){ .visits = s->visits,
                                        .values = s->values,
                                        .links = s->n_links,
                                        .cells = s->n_cells,
                                        .from = s->run_from,
                                        .to = s->run_to,
                                        .wanted = s->run_wanted,
                                        .done = s->run_done,
                                        .started_ms = s->run_started_ms,
                                        .finished_ms = s->run_finished_ms };
        for (size_t i = 0; i < s->n_links; i++)
                ret->links_resting += s->links[i]->resting;
        for (size_t i = 0; i < s->n_meters; i++) {
                const struct meter *m = s->meters[i];

                if (m->removed)
                        continue;
                ret->meters++;
                ret->causes[m->pub.cause]++;
                ret->late += now_ms > m->pub.deadline_ms;
                ret->visiting += m->state == METER_VISITING;
                ret->waiting += m->state == METER_QUEUED;
                if (m->pub.cause == VISIT_READ)
                        ret->read++;
                else if (m->pub.cause == VISIT_NOT_TRIED)
                        ret->not_tried++;
                else
                        ret->failing++;
        }
        if (s->run_wanted && !s->run_finished_ms && s->run_done && now_ms > s->run_started_ms)
                ret->forecast_ms = now_ms + (now_ms - s->run_started_ms) *
                                                    (int64_t)(s->run_wanted - s->run_done) /
                                                    (int64_t)s->run_done;
}
