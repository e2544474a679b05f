#pragma once

/*
 * The schedule of polled meters: who is visited next, how many at once, when again after a failure,
 * and why whoever is unread is unread. Pure: no I/O, no clock, no randomness but the seed given; so
 * thousands of meters run in virtual time in the tests.
 *
 * A meter is due when its group's period has passed or its back-off is over. Due meters wait in the
 * queue of their link (host:port); links take turns, so that one large or dead link does not slow
 * the others. A link whose connections fail rests, with its own back-off, and its meters are told
 * so without being tried. On-demand visits overtake everything and have places of their own.
 *
 * Times are milliseconds of the caller's clock but for readings' times, UTC seconds.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "visit.h"

struct sweep;

struct sweep_config {
        unsigned max_visits;    /* at once; 0 = 100 */
        unsigned on_demand;     /* further places for on-demand visits; 0 = 10 */
        unsigned per_link;      /* at once on one host:port; 0 = 4 */
        unsigned per_cell;      /* at once in one cell; 0 = no limit */
        int64_t period_ms;      /* between two visits of a meter; 0 = 1 h */
        int64_t jitter_ms;      /* spread over at most this; 0 = none */
        int64_t retry_min_ms;   /* back-off after a failure, doubled each time; 0 = 30 s */
        int64_t retry_max_ms;   /* 0 = 30 min */
        unsigned link_failures; /* in a row before a link rests; 0 = 3 */
        uint64_t seed;
};

/* What the sweep knows of one meter; borrowed until the next call. */
struct sweep_meter {
        uint32_t meter_id;
        uint32_t period_s; /* of its readings */
        uint8_t priority;  /* 0 first */
        bool visiting, read_once;
        enum visit_cause cause; /* of the last visit; NOT_TRIED before */
        char detail[96];
        int64_t have_until;         /* readings before it are stored; 0 = none */
        int64_t want_from, want_to; /* period asked for by sweep_request(); 0 = none */
        int64_t last_try_ms, last_read_ms, due_ms;
        unsigned failures; /* in a row */
        uint64_t visits, values;
        int64_t clock_offset_s;
        int64_t ended_ms;           /* last visit */
        int64_t events_until;       /* newest event stored; 0 = none, -1 = not known */
        int64_t deadline_ms;        /* of the visit that is due; INT64_MAX = none */
        unsigned late;              /* deadlines missed since the start */
        enum visit_cause noted;     /* sweep_note() */
        int32_t noted_day;
};

struct sweep_next {
        uint32_t meter_id;
        int64_t from, to; /* readings wanted, UTC; from >= to: registers only */
        bool continues;   /* what is at @from is stored already */
        bool on_demand;
};

struct sweep_progress {
        size_t meters, read, failing, not_tried, visiting, waiting;
        size_t links, links_resting, cells, late;
        uint64_t visits, values;
        size_t causes[VISIT_N_CAUSES]; /* meters by the cause of their last visit */
        /* of the period asked for last */
        int64_t from, to;
        size_t wanted, done;
        int64_t started_ms, finished_ms; /* finished 0: still running */
        int64_t forecast_ms;             /* when it is likely to be done; 0 = cannot be said */
};

/* NULL when out of memory. */
struct sweep *sweep_new(const struct sweep_config *config);
void sweep_free(struct sweep *s);

/* Adds a meter, or changes link, period and priority of a known one. @link is copied. False when
 * out of memory. */
bool sweep_set_meter(struct sweep *s, uint32_t meter_id, const char *link, uint32_t period_s,
                     uint8_t priority, int64_t now_ms);
/* Its place in the schedule: cell ("" = none; copied), priority (0 first), time between two visits (0
 * = the configuration's), and by when after it is due it must be read (0 = no deadline). False when
 * out of memory. */
bool sweep_set_schedule(struct sweep *s, uint32_t meter_id, const char *cell, uint8_t priority,
                        int64_t period_ms, int64_t deadline_ms);
/* True when the cause, or the UTC day, is another than at the last call for this meter. */
bool sweep_note(struct sweep *s, uint32_t meter_id, enum visit_cause cause, int32_t day);
void sweep_events(struct sweep *s, uint32_t meter_id, int64_t until);
/* A meter that left the registry; one being visited goes when its visit ends. */
void sweep_remove_meter(struct sweep *s, uint32_t meter_id);
/* What the store has: readings before @until (UTC). Only raises. */
void sweep_have(struct sweep *s, uint32_t meter_id, int64_t until);
const struct sweep_meter *sweep_find(const struct sweep *s, uint32_t meter_id);
size_t sweep_count(const struct sweep *s);
/* In the order they were added; meter_id 0 for one that was removed, NULL beyond the last. */
const struct sweep_meter *sweep_at(const struct sweep *s, size_t i);

/* Every meter, or the one with @meter_id, is to be read for [from, to). Due at once. */
void sweep_request(struct sweep *s, uint32_t meter_id, int64_t from, int64_t to, int64_t now_ms);
/* One meter now, before all others; 0, -ENOENT, or -EALREADY when it is being visited. */
int sweep_demand(struct sweep *s, uint32_t meter_id, int64_t now_ms);

/* The next meter to visit, marked as being visited. @now_s gives the end of what can be asked
 * for. @back_s: how far back a meter that has nothing is read. */
bool sweep_next(struct sweep *s, int64_t now_ms, int64_t now_s, int64_t back_s,
                struct sweep_next *ret);
/* How the visit ended. @until as in struct visit_result; counted only when @stored. */
void sweep_result(struct sweep *s, uint32_t meter_id, const struct visit_result *result,
                  bool stored, int64_t now_ms);
/* When sweep_next() may give something that it does not give now; INT64_MAX: only after a
 * result or a request. */
int64_t sweep_deadline(const struct sweep *s, int64_t now_ms);
void sweep_get_progress(const struct sweep *s, int64_t now_ms, struct sweep_progress *ret);
