#pragma once

/*
 * The host of plugins: one table of operations, events and jobs, whoever brings them.
 *
 * Life: host_new(), then host_add_builtin() and host_load_dir() / host_load_file() in any order,
 * then host_start(), which sorts by needs, checks names and routes against each other, migrates
 * and initialises, and only then runs threads. host_submit() from any thread afterwards.
 * host_free() stops taking work, ends what runs and joins.
 *
 * A call that fails at start says why in @errors, one line each, "plugin: what; what to do".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "config.h"
#include "db.h"
#include "headrace/plugin.h"

struct host;

/* Section [host] of the daemon's configuration, ended by a NULL name. */
extern const struct config_section host_config[];

struct host_options {
        struct db
                *db; /* borrowed, outlives the host; needs workers + job_workers + 2 connections */
        int workers; /* threads that run operations; 0 = 4 */
        int job_workers; /* threads that run jobs; 0 = 2, -1 = none (another process runs them) */
        int queue;       /* operations waiting at most; 0 = 256. Beyond: 503 with Retry-After */
        bool no_events;  /* do not deliver events here (another process does) */
        const char
                *instance; /* who holds a job's lease; NULL = "headraced". Unique among daemons */
        /* Value of @key in the plugin's section, NULL = its default. Any thread. May be NULL. */
        const char *(*config)(void *arg, const char *plugin, const char *key);
        void *config_arg;
};

/* 0 or -ENOMEM. Owned result. */
int host_new(struct host **ret, const struct host_options *options);
void host_free(struct host *h);

/* A descriptor linked into the daemon, treated as a loaded one; borrowed, usually static. The
 * same checks. 0 or -EINVAL (@errors may be NULL). */
int host_add_builtin(struct host *h, const struct hr_plugin *plugin, struct buf *errors);
/* Loads one shared object and checks its descriptor; none of its functions runs before
 * host_start(). 0, -ENOENT, -EINVAL. */
int host_load_file(struct host *h, const char *path, struct buf *errors);
/* Every *.so of the folder, by name. What is refused is named in @errors, the rest is loaded:
 * 0, or the first error. */
int host_load_dir(struct host *h, const char *dir, struct buf *errors);

/* The [NAME] sections the loaded plugins and builtins ask for, ended by a NULL name; borrowed
 * from the host. For the second, complete read of the configuration. */
const struct config_section *host_plugin_sections(struct host *h);

/* Start order and operations table only, without a database: what the documents below need.
 * 0, -EINVAL (missing need, cycle, double name or route). host_start() does it by itself. */
int host_plan(struct host *h, struct buf *errors);

/* 0; -EINVAL (missing need, cycle, double name or route), -EBADMSG / -EPROTO / -ECANCELED of
 * migrate_run(), -EIO (an init() failed). */
int host_start(struct host *h, struct buf *errors);

/* What only parts of the daemon need from a builtin operation: pointers to the registry, the
 * spool, the scheduler, by name. Set before host_start(); borrowed. NULL when there is none. */
int host_set_object(struct host *h, const char *name, void *object);
void *host_object(struct hr_call *call, const char *name);
/* The call's open transaction; NULL when the database is away (then return HR_RETRY). Borrowed
 * until the call returns; builtins only. Neither commit nor roll back on it. */
struct db_conn *host_conn(struct hr_call *call);
/* The table every callback may use. */
extern const struct hr_host *const host_table;

/* One component's health: appends a JSON object, {"state":"ok"|"degraded"|"failed", ...}; numbers
 * in it also appear in /metrics as headrace_NAME_MEMBER. Called on worker threads, must not block.
 * @name is a static string [a-z_]+. */
typedef void host_status_fn(void *arg, struct buf *json);
int host_add_status(struct host *h, const char *name, host_status_fn *fn, void *arg);
/* The whole status document; works without a database. */
void host_status(struct host *h, struct buf *json);
/* The same as Prometheus text. */
void host_metrics(struct host *h, struct buf *text);

/* Makes @login an administrator of every branch if there is no user yet: 0, 1 there are users
 * already, -EINVAL (login or password not acceptable), -EIO (database). */
int host_bootstrap_admin(struct host *h, const char *login, const char *password);

/* ---- one request ---- */

struct host_request {
        const char *method; /* "GET" */
        const char *path;   /* still percent-encoded, without the query */
        const char *query;  /* without '?'; NULL = none */
        const void *body;   /* NULL = none */
        size_t body_len;
        const char *token;           /* bearer token or session cookie; NULL = none */
        bool local_admin;            /* a unix socket peer with uid 0 or the daemon's own */
        const char *peer;            /* address for limits and the audit trail */
        const char *idempotency_key; /* NULL = none */
        const char *request_id;      /* NULL = the host makes one */
};

struct host_reply {
        int status;               /* HTTP */
        const char *content_type; /* borrowed or static */
        const char *file_name;    /* NULL unless a file; borrowed from the reply */
        const char *request_id;
        const char
                *session;  /* token to set as the session cookie, "" to clear it, NULL = neither */
        int retry_after_s; /* 0 = none */
        const char *allow; /* with 405: methods the path has */
        struct buf body;
};

/* @reply is borrowed for the call; take the body by copying the struct buf and setting it to
 * BUF_INIT. Called once, on a worker thread. */
typedef void host_done(void *arg, struct host_reply *reply);

/* Copies what it needs. Always leads to one call of @done, possibly before it returns (queue
 * full, shutting down). */
void host_submit(struct host *h, const struct host_request *request, host_done *done, void *arg);

/* Runs an operation by name as the administrator, on the calling thread (never the loop thread):
 * @json holds all parameters, whatever their place. Appends the reply's body to @ret and returns
 * the HTTP status. For tests, the demo and housekeeping. */
int host_call(struct host *h, const char *operation, const char *json, struct buf *ret);
/* The same under a login's own roles and branches; unknown login: 401. */
int host_call_as(struct host *h, const char *login, const char *operation, const char *json,
                 struct buf *ret);

/* Waits until events published so far are delivered and queued jobs have ended, at most
 * @timeout_ms: 0 or -ETIMEDOUT. For tests and the demo. */
int host_drain(struct host *h, int timeout_ms);

/* ---- events for the outside (SSE) ---- */

/* @changed runs on a host thread whenever events were committed; one listener. */
void host_on_events(struct host *h, void (*changed)(void *arg), void *arg);

/* ---- the table, for documents ---- */

/* OpenAPI 3.1 and the command line's table (name, method, path, cli, summary, params, table). */
void host_openapi(struct host *h, struct buf *json);
void host_operations(struct host *h, struct buf *json);
