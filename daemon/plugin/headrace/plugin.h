#pragma once

/*
 * Headrace plugin ABI, version 1.
 *
 * A plugin is a shared object that exports one symbol, headrace_plugin_v1: a const descriptor
 * that the host checks and documents before it runs any code of the plugin. The host hands every
 * callback an opaque struct hr_call: one transaction, one arena, the caller's identity and
 * branch scope. Callbacks run on worker threads, in plain synchronous code, and return an
 * hr_status; the host commits on HR_OK and rolls back otherwise.
 *
 * Ownership: everything a host function returns is borrowed from the call and dies with it (in
 * a job: with the current transaction, see job_commit). Descriptor tables are static.
 *
 * Changes since version 1: none. The host table and the descriptors only grow at their ends;
 * `size` fields tell which members exist.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HR_ABI_VERSION 1u
#define HR_PLUGIN_MAGIC 0x48524131u /* "HRA1" */

enum hr_status {
        HR_OK = 0,
        HR_RETRY = 1,  /* transient (serialization, lock, dependency away): the host retries with
                          back-off, at most 5 times for an operation */
        HR_REJECT = 2, /* the caller's mistake; say why with host->reject() */
        HR_FATAL = 3,  /* a defect: rolled back, logged, counted against the plugin */
};

enum hr_level { HR_ERROR, HR_WARN, HR_INFO, HR_DEBUG };

enum hr_type {
        HR_TEXT,
        HR_INT,      /* int64 */
        HR_BOOL,
        HR_DECIMAL,  /* text such as "12.50"; exact */
        HR_DATE,     /* 2026-01-31 */
        HR_TIME,     /* RFC 3339 instant */
        HR_JSON,     /* object or array, kept as text */
        HR_BYTES,    /* base64 in JSON; a file argument on the command line */
};

enum hr_where { HR_QUERY, HR_PATH, HR_BODY };

struct hr_param {
        const char *name;    /* NULL ends the list; snake_case, same in JSON, query, --cli-option */
        enum hr_type type;
        enum hr_where where; /* HR_PATH must occur in the route as {name} */
        bool required;
        const char *help;    /* one line, no full stop */
        const char *choices; /* "a|b|c" or NULL */
        int64_t min, max;    /* HR_INT value, HR_TEXT length; both 0 = host's limits */
};

struct hr_call;
struct hr_rows;
struct hr_job;

enum hr_op_flags {
        HR_OP_READ = 0,      /* runs in a read-only transaction */
        HR_OP_WRITE = 1,     /* POST/PUT/PATCH/DELETE: takes an Idempotency-Key, audited */
        HR_OP_CONFIRM = 2,   /* destructive: the command line asks for --confirm NAME */
        HR_OP_PUBLIC = 4,    /* no authentication (login, health) */
        HR_OP_FILE = 8,      /* replies with reply_file(), not JSON */
};

/* One row: HTTP route, OpenAPI operation, CLI verb, help, permission and audit entry. */
struct hr_operation {
        const char *name;       /* "invoice.show"; NULL ends the list */
        const char *permission; /* "invoice.read"; NULL with HR_OP_PUBLIC only */
        const char *method;     /* "GET", "POST", ... */
        const char *path;       /* "/v1/invoices/{number}" */
        const char *cli;        /* "invoice show NUMBER": words, then positional parameters in
                                   capitals (NUMBER = parameter "number"); NULL = not on the CLI */
        const char *summary;    /* one line */
        const struct hr_param *params;
        unsigned flags;
        enum hr_status (*run)(struct hr_call *call);
        const char *table;      /* how people see a JSON array in the reply: "items:number,party,total"
                                   = member, then columns; NULL = key: value lines */
};

struct hr_event {
        int64_t id;        /* increases; deliver-at-least-once key */
        const char *type;  /* "bill.issued" */
        const char *key;   /* ordering key, such as the bill number */
        const char *json;  /* body */
};

struct hr_subscription {
        const char *type;  /* NULL ends the list */
        enum hr_status (*handle)(struct hr_call *call, const struct hr_event *event);
};

/*
 * A job is a row with parameters, progress and a state the plugin chooses. run() works in many
 * transactions: after each piece it calls host->job_commit(), which stores rows, state and
 * progress together and begins the next transaction. Killed and started again, run() is called
 * with the last state committed.
 */
struct hr_job_type {
        const char *name;       /* "billrun.run"; NULL ends the list */
        const char *permission; /* to submit or cancel it */
        const char *summary;
        enum hr_status (*run)(struct hr_call *call, struct hr_job *job);
};

struct hr_migration {
        int version;      /* 1, 2, 3 ...; 0 ends the list */
        const char *name; /* file name without .sql */
        const char *sql;  /* run whole, in one transaction, once; its checksum is recorded */
};

struct hr_config_key {
        const char *name;          /* NULL ends the list; stands in section [PLUGIN NAME] */
        const char *default_value; /* NULL = unset */
        const char *help;
};

/* Every JSON document and text is UTF-8. SQL parameters are text and cast in the statement
 * ($1::bigint). No parameter is ever pasted into SQL. */
struct hr_host {
        size_t size;
        uint32_t abi;

        /* ---- caller and input ---- */
        /* Value of a declared parameter as text; NULL when absent. Types were checked already. */
        const char *(*param)(struct hr_call *call, const char *name);
        /* @otherwise when absent. */
        int64_t (*param_int)(struct hr_call *call, const char *name, int64_t otherwise);
        const void *(*param_bytes)(struct hr_call *call, const char *name, size_t *ret_n);
        /* The whole JSON body, "{}" if there was none. */
        const char *(*body)(struct hr_call *call);
        const char *(*actor)(struct hr_call *call);        /* login name, "system" for jobs */
        const char *(*request_id)(struct hr_call *call);
        bool (*may)(struct hr_call *call, const char *permission);
        const char *(*config)(struct hr_call *call, const char *key);

        /* ---- database: the call's own transaction ---- */
        /* HR_OK, HR_RETRY (serialization failure, deadlock, connection lost), HR_REJECT (a
         * constraint: already turned into a reply with the constraint's comment as its text), or
         * HR_FATAL (the statement is wrong; logged). Callers return anything but HR_OK at once.
         * @ret may be NULL. */
        enum hr_status (*query)(struct hr_call *call, const char *sql, size_t n,
                                const char *const params[], struct hr_rows **ret);
        size_t (*rows_count)(const struct hr_rows *rows);
        /* Text form, "" for NULL; see rows_null. Aborts on a column that is not there. */
        const char *(*rows_text)(const struct hr_rows *rows, size_t row, const char *column);
        bool (*rows_null)(const struct hr_rows *rows, size_t row, const char *column);
        int64_t (*rows_int)(const struct hr_rows *rows, size_t row, const char *column);
        /* bytea column, decoded. */
        const void *(*rows_bytes)(const struct hr_rows *rows, size_t row, const char *column,
                                  size_t *ret_n);
        /* COPY ... TO STDOUT: @each gets one CopyData piece; false stops it. */
        enum hr_status (*copy_out)(struct hr_call *call, const char *sql,
                                   bool (*each)(void *arg, const void *data, size_t n), void *arg);
        /* COPY ... FROM STDIN of @n bytes already in the format the statement names. */
        enum hr_status (*copy_in)(struct hr_call *call, const char *sql, const void *data, size_t n);

        /* ---- memory of the call ---- */
        void *(*alloc)(struct hr_call *call, size_t n);    /* zeroed; NULL when out of memory */
        char *(*format)(struct hr_call *call, const char *fmt, ...)
                __attribute__((format(printf, 2, 3)));

        /* ---- answer ---- */
        /* Replaces the reply. HTTP status 200 unless reply_status() said otherwise. */
        void (*reply_json)(struct hr_call *call, const char *json, size_t n);
        void (*reply_file)(struct hr_call *call, const char *content_type, const char *file_name,
                           const void *data, size_t n);
        void (*reply_status)(struct hr_call *call, int http_status);
        /* RFC 9457 problem: @status 400-499, @code snake_case and stable, @param the parameter at
         * fault or NULL, text what is wrong and what to do. Returns HR_REJECT. */
        enum hr_status (*reject)(struct hr_call *call, int status, const char *code,
                                 const char *param, const char *fmt, ...)
                __attribute__((format(printf, 5, 6)));

        /* ---- effects, all inside the call's transaction ---- */
        enum hr_status (*publish)(struct hr_call *call, const char *type, const char *key,
                                  const char *json);
        enum hr_status (*submit_job)(struct hr_call *call, const char *job_type, const char *json,
                                     int64_t *ret_job_id);
        /* Line in the audit trail beyond the one every HR_OP_WRITE gets. */
        enum hr_status (*audit)(struct hr_call *call, const char *what, const char *object,
                                const char *json);

        /* ---- jobs ---- */
        const char *(*job_params)(struct hr_job *job);     /* JSON */
        const char *(*job_state)(struct hr_job *job);      /* JSON of the last job_commit; "{}" first */
        int64_t (*job_id)(struct hr_job *job);
        /* Commits rows + state + progress and begins the next transaction; everything borrowed
         * from the call is gone afterwards. HR_REJECT when a person asked to stop: return it. */
        enum hr_status (*job_commit)(struct hr_call *call, struct hr_job *job, const char *state_json,
                                     int64_t done, int64_t total);

        /* ---- log ---- */
        void (*log)(struct hr_call *call, enum hr_level level, const char *fmt, ...)
                __attribute__((format(printf, 3, 4)));
};

struct hr_plugin {
        uint32_t magic;               /* HR_PLUGIN_MAGIC */
        uint32_t abi;                 /* HR_ABI_VERSION it was built for */
        size_t size;                  /* sizeof(struct hr_plugin) */
        const char *name;             /* [a-z][a-z0-9]*, also its database schema's owner name */
        const char *version;
        const char *summary;
        const char *const *needs;     /* NULL-ended names of plugins loaded (and migrated) before */
        const struct hr_config_key *config;
        const struct hr_migration *migrations;
        const struct hr_operation *operations;
        const struct hr_subscription *subscriptions;
        const struct hr_job_type *jobs;
        /* Once, after loading and before anything else; keep the pointer. HR_OK or HR_FATAL. */
        enum hr_status (*init)(const struct hr_host *host);
};

#define HR_PLUGIN_SYMBOL "headrace_plugin_v1"
#define HR_EXPORT __attribute__((visibility("default")))
/* In the plugin: HR_EXPORT extern const struct hr_plugin headrace_plugin_v1; then define it. */
