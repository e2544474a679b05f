#pragma once

/* What the host's own files share. Not for anyone else. */

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <stdio.h>

#include "arena.h"
#include "host.h"
#include "log.h"
#include "params.h"
#include "problem.h"
#include "route.h"

enum {
        HOST_ATTEMPTS = 5, /* of an operation or job piece that asks for another try */
        HOST_MAX_PLUGINS = 64,
        HOST_MAX_STATUS = 48,
        HOST_MAX_GRANTS = 64,
        HOST_SCOPE_SIZE = 512,
        HOST_ID_SIZE = 64,
        HOST_TOKEN_BYTES = 32,
        HOST_TOKEN_TEXT = 68, /* "hr_" + 64 hexadecimal digits + NUL */
        HOST_LOGIN_SIZE = 65,
        HOST_EVENT_FAILURES = 5, /* in a row, then the plugin's events are suspended */
        HOST_JOB_ATTEMPTS = 5,   /* without progress, then the job has failed */
        HOST_CALL_MEMORY = 512 << 20,
};

struct host_plugin {
        const struct hr_plugin *p; /* borrowed: static in the daemon or the shared object */
        void *dl;                  /* owned; NULL = builtin */
        char *path;                /* owned; NULL = builtin */
        struct host_plugin *next;  /* in the order found */
        int order;                 /* place in start order; -1 before */
        int mark;                  /* of the topological sort */
        bool running;              /* init() returned HR_OK */
        atomic_ulong calls, failures;
};

struct host_op {
        const struct hr_operation *op;
        struct host_plugin *plugin;
        atomic_ulong calls, rejected, failed, micros;
};

struct grant {
        const char *permissions; /* blank-separated; request memory */
        int branch_id;           /* -1 = all */
};

struct identity {
        bool known;
        bool all; /* administrator by the socket, or the system itself */
        int user_id, token_id;
        char login[HOST_LOGIN_SIZE];
        const char *name;
        const char *narrowed; /* the token's own permissions, NULL = no narrowing */
        struct grant grants[HOST_MAX_GRANTS];
        size_t n;
};

struct rate; /* login attempts, identity.c */

struct status_entry {
        const char *name;
        host_status_fn *fn;
        void *arg;
};

struct host_request_item;

struct host {
        bool planned; /* order, operations and names are worked out */
        struct db *db;
        struct host_options options;
        char *instance;

        struct host_plugin *plugins; /* as found */
        struct host_plugin *ordered[HOST_MAX_PLUGINS];
        int plugins_n, ordered_n;
        struct config_section *sections; /* owned; made on demand */
        struct arena sections_arena;

        struct host_op *ops; /* owned, fixed after start */
        size_t ops_n;
        struct routes routes;
        char *job_types;     /* blank-separated names, for SQL; owned */
        char *event_plugins; /* those with subscriptions */

        struct {
                const char *name;
                void *object;
        } objects[32];
        struct status_entry status[HOST_MAX_STATUS];
        int status_n;
        int64_t started_at;

        /* worker pool: everything below under lock */
        pthread_mutex_t lock;
        pthread_cond_t work, idle;
        struct host_request_item *head, **tail;
        int queued, busy;
        int64_t working_since[32]; /* by worker, 0 = idle; monotonic ms */
        int workers_n;
        bool started, stopping;
        pthread_t threads[64];
        int threads_n;

        /* jobs, events, housekeeping */
        pthread_cond_t job_wake, event_wake;
        uint64_t job_serial, event_serial; /* grow with each local commit */
        struct {
                int64_t job_id;
                int epoch;
        } leases[16];
        void (*events_changed)(void *arg);
        void *events_changed_arg;

        struct rate *rate;
        atomic_ulong refused_busy, audit_rows, events_out, logins_failed;
        atomic_bool db_away;
};

struct hr_rows {
        struct db_rows *rows;
        struct hr_call *call;
        struct hr_rows *next;
};

struct hr_call {
        struct host *host;
        struct host_plugin *plugin;
        const struct hr_operation *op; /* NULL in an event handler or a job */
        const struct identity *who;
        struct hr_job *job;          /* NULL unless in a job */
        char scope[HOST_SCOPE_SIZE]; /* "*" or "{1,2}" */
        const char *actor;
        const char *request_id, *peer;
        const struct params *params; /* NULL in an event handler or a job */

        struct arena arena; /* reset at every try */
        struct db_conn *conn;
        bool in_tx;
        enum hr_status broken; /* first failure of a statement; nothing runs after it */
        struct hr_rows *rows;
        struct problem problem;
        struct buf audits, events; /* JSON array members of this transaction, comma-separated */
        bool submitted;            /* a job was queued */
        const char *object;        /* for the audit line: last path parameter */

        /* reply */
        int status;
        const char *content_type, *file_name;
        struct buf body;
        char session[HOST_TOKEN_TEXT];
        bool session_set;
        const char *stored_reply; /* kept for repetitions instead of a body with a secret */
        int retry_after_s;
};

struct hr_job {
        int64_t id;
        int epoch;
        const char *type, *params; /* borrowed from the job thread */
        char *state;               /* owned: as last committed */
        int64_t done, total;
        int64_t told_ms; /* last progress event */
        bool lost;       /* another daemon holds it now */
        bool parked;     /* the daemon ends; the next one goes on */
};

/* One request from submit to reply. */
struct host_request_item {
        struct host_request_item *next;
        struct host *host;
        struct arena arena;
        struct host_request in; /* strings in the arena */
        void *body;             /* owned */
        host_done *done;
        void *arg;
        char request_id[HOST_ID_SIZE];
};

/* ---- call.c, callbacks.c ---- */
void call_init(struct hr_call *c, struct host *h, struct host_plugin *plugin,
               const struct identity *who);
/* Gives back the connection (rolled back) and all memory. */
void call_deinit(struct hr_call *c);
/* Ends the transaction without effect and forgets what the try produced. */
void call_reset(struct hr_call *c);
/* Opens the transaction if there is none. */
enum hr_status call_begin(struct hr_call *c);
/* Writes audits and events, commits. DB_UNKNOWN as HR_RETRY with *ret_unknown set. */
enum hr_status call_commit(struct hr_call *c, bool *ret_unknown);
/* A statement of the host's own in the call's transaction, errors turned into statuses. */
enum hr_status call_query(struct hr_call *c, const char *sql, size_t n, const char *const params[],
                          struct hr_rows **ret);
enum hr_status call_copy_out(struct hr_call *c, const char *sql,
                             bool (*each)(void *, const void *, size_t), void *arg);
enum hr_status call_copy_in(struct hr_call *c, const char *sql, const void *data, size_t n);
/* Nothing more runs in this try; returns @st. */
enum hr_status call_broken(struct hr_call *c, enum hr_status st);
/* Frees results, arena and what was to be published; the transaction stays. */
void call_memory_reset(struct hr_call *c);
/* The scope in which @who has @permission: false if in no branch. */
bool call_scope(const struct identity *who, const char *permission, char ret[HOST_SCOPE_SIZE]);
enum hr_status call_reject(struct hr_call *c, int status, const char *code, const char *param,
                           const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void call_audit(struct hr_call *c, const char *what, const char *object, const char *json);
/* After a commit that published or submitted: wakes who waits for it. */
void call_tell(struct hr_call *c, bool events, bool jobs);
/* bytea in text form: "\x..." in the arena. */
const char *call_bytea(struct hr_call *c, const void *p, size_t n);
/* "\x..." decoded; NULL if it is none. */
void *call_bytes(struct arena *a, const char *text, size_t *ret_n);
/* For statements outside a call: a pool connection in a transaction over all branches. */
int64_t host_now_ms(void);
struct timespec host_deadline(int ms);
void host_random_hex(char *out, size_t n);

/* ---- run.c: one operation, with identity, idempotency, audit and retries ---- */
struct run_input {
        struct host_op *op;
        const struct identity *who;
        const struct params *params;
        const char *request_id, *peer, *idempotency_key;
        const char *object;  /* last path parameter, for the audit trail; NULL = none */
        const uint8_t *hash; /* SHA-256 of the request; NULL = no idempotency */
        struct arena *arena; /* the reply's strings */
};
void run_operation(struct host *h, const struct run_input *in, struct host_reply *reply);
void reply_problem(struct host_reply *reply, const struct problem *p);
/* An operation's input as JSON for the audit trail: secrets masked, long values as a digest. */
void audit_params(const struct params *params, struct buf *json);
struct host_op *host_find_op(struct host *h, const char *name);

/* ---- identity.c ---- */
enum identity_result { IDENTITY_OK, IDENTITY_UNKNOWN, IDENTITY_AWAY };
enum identity_result identity_by_token(struct host *h, const char *token, struct arena *a,
                                       struct identity *ret);
enum identity_result identity_by_login(struct host *h, const char *login, struct arena *a,
                                       struct identity *ret);
void identity_system(struct identity *ret, const char *login);
bool identity_may(const struct identity *who, const char *permission);
bool permission_matches(const char *list, const char *permission);
void token_digest(const char *token, uint8_t out[32]);
/* Argon2id of @password, encoded. 0 or -ENOMEM. */
int password_hash(const char *password, char out[static 128]);
bool password_verify(const char *encoded, const char *password);
/* 0 = may try; otherwise seconds to wait. */
int rate_check(struct host *h, const char *login, const char *peer);
void rate_failed(struct host *h, const char *login, const char *peer);
struct rate *rate_new(void);
void rate_free(struct rate *r);

/* ---- jobs.c, events.c, keep.c: thread mains, arg = struct host * ---- */
void *job_thread(void *host);
void *event_thread(void *host);
void *keep_thread(void *host);
void *worker_thread(void *host);
/* Before the first job thread: what this daemon held when it died is taken up at once. */
void jobs_release_own(struct host *h);
/* Before anything is published: from where each plugin is told. 0 or -ECANCELED. */
int events_register(struct host *h);
bool host_stopping(struct host *h);
const struct hr_job_type *job_type_find(struct host *h, const char *name, struct host_plugin **ret);

/* ---- status.c ---- */
void status_init(struct host *h);

/* ---- core_ops.c ---- */
extern const struct hr_plugin core_plugin;

/* ---- loader.c ---- */
int plugin_check(const struct hr_plugin *p, const char *where, struct buf *errors);
int plugins_order(struct host *h, struct buf *errors);
void host_say(struct buf *errors, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
