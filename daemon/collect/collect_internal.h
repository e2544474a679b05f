#pragma once

/* What the files of the collect role share. Loop thread only but for calls_*. */

#include <pthread.h>

#include "caps.h"
#include "coap.h"
#include "collect.h"
#include "counters.h"
#include "desk.h"
#include "forward.h"
#include "layout.h"
#include "log.h"
#include "models.h"
#include "mqtt.h"
#include "push.h"
#include "sweep.h"
#include "visit.h"

/* A registry snapshot with its models parsed; visits keep a reference. */
struct fleet {
        unsigned refs;
        struct registry_snapshot *snapshot; /* owned reference; NULL in a concentrator */
        size_t n_models, cap_models;
        struct fleet_model {
                const char *profile;       /* the snapshot's pointer */
                struct meter_model *model; /* owned; NULL: why says what is wrong with it */
                char why[160];
        } * models;
};

struct fleet *fleet_new(struct registry_snapshot *s); /* takes the reference; NULL: out of memory */
struct fleet *fleet_ref(struct fleet *f);
void fleet_unref(struct fleet *f);
/* The model of a meter of this fleet; NULL with *@why when its JSON cannot be used. */
const struct meter_model *fleet_model(struct fleet *f, const struct registry_meter *m,
                                      const char **why);

enum source_kind {
        SOURCE_KIND_MQTT,
        SOURCE_KIND_COAP,
        SOURCE_KIND_DLMS_PUSH,
        SOURCE_KIND_POLL,
        SOURCE_KINDS
};

struct source_stats {
        uint64_t messages, quarantined, stored, not_stored, busy;
        struct normalise_counts counts;
};

/* ---- pushed messages ---- */

enum intake_outcome {
        INTAKE_STORED,      /* durable, as readings */
        INTAKE_QUARANTINED, /* durable, raw */
        INTAKE_REFUSED,     /* nothing stored; @why says why; do not send it again */
        INTAKE_BUSY,        /* nothing stored; send it again later */
};
typedef void intake_done(void *arg, enum intake_outcome outcome, int error, const char *why);

struct intake_message {
        enum source_kind source;
        enum meter_protocol protocol;
        const char *identity, *detail;
        const void *raw;
        size_t len;
        bool refuse_malformed; /* the sender can be told: nothing is kept */
};

/* Looks the meter up, normalises, hands to the ingest. @done once, maybe inside the call. */
void intake(struct collect *c, const struct intake_message *m, intake_done *done, void *arg);

/* ---- polling ---- */

struct poll_visit;
struct due;
struct groups;

/* What is done about a clock that is off; [clock]. */
struct clock_policy {
        const char *policy; /* record, shift, set; borrowed from the configuration */
        int64_t tolerance_s, shift_limit_s;
};

struct collect {
        uv_loop_t *loop;
        const struct config *config;
        struct registry *registry;
        struct ingest *ingest;
        struct db *db;
        struct log_scope scope;
        struct fleet *fleet;
        uint64_t fleet_version;
        uv_timer_t refresh;

        struct source_stats sources[SOURCE_KINDS];
        size_t in_ingest; /* messages whose ingest_done is outstanding */

        struct mqtt *mqtt;
        struct coap_server *coap;
        struct push_server *push;
        struct forward *forward;

        bool polling, seeded;
        struct sweep *sweep;
        struct visit_shared visits;
        uv_timer_t poll_timer, sync_timer;
        size_t sync_at;
        bool sync_due; /* the fleet changed and no synchronising has begun */
        uint32_t sync_round;
        struct poll_visit *running;  /* list */
        struct read_waiter *waiters; /* list */
        struct seed *seed;
        int64_t back_s;

        /* Commands; NULL without a database. The desk's thread alone uses caps. */
        struct desk *desk;
        struct caps *caps;
        const struct secret *master;
        const char *instance;
        struct clock_policy clock;
        uv_timer_t command_timer;
        struct groups *groups; /* owned */
        struct due *due; /* the question for due commands; owned */

        /* Calls from other threads. */
        uv_async_t async;
        pthread_mutex_t lock;
        struct call *calls; /* list, under lock */
        bool shut;          /* under lock */

        bool closing, failed_open;
        unsigned open_handles, open_parts;
        void (*closed)(void *);
        void *closed_arg;
};

int64_t collect_now_us(void);
/* Takes the registry's newest snapshot if it is not the one in use. */
void collect_refresh(struct collect *c);
/* One thing less to wait for; the last one frees. */
void collect_part_closed(struct collect *c);

int mqtt_source_open(struct collect *c, const struct collect_options *o, struct buf *error);
int coap_source_open(struct collect *c, struct buf *error);
int push_source_open(struct collect *c, struct buf *error);

int poll_open(struct collect *c, const struct collect_options *o, struct buf *error);
void poll_fleet_changed(struct collect *c);
void poll_close(struct collect *c);
void poll_free(struct collect *c);
/* True when no visit runs. */
bool poll_idle(const struct collect *c);

int calls_open(struct collect *c);
void calls_close(struct collect *c);
