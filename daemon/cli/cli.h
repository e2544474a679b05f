#pragma once

/*
 * The command line's own vocabulary. Exit codes: 0 done, 1 refused or failed, 2 wrong usage,
 * 3 the daemon cannot be reached, 4 not allowed. Data goes to standard output, all else to
 * standard error.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_UNREACHABLE = 3, CLI_DENIED = 4 };

struct cli_options {
        const char *socket; /* the daemon's unix socket */
        const char *url;    /* or its address; then @token is needed */
        const char *token;
        const char *output;  /* file to write a document to; NULL = its own name */
        const char *confirm; /* --confirm NAME */
        const char *key;     /* Idempotency-Key; NULL = a fresh one per call */
        const char *body;    /* --body FILE or "-": the whole JSON body */
        bool json, plain, no_input, dry_run, wait;
};

/* ---- client.c: one HTTP exchange with the daemon ---- */

struct cli_reply {
        long status;
        struct buf body; /* owned: buf_deinit() */
        char content_type[128];
        char file_name[256];
};

/* 0, or CLI_UNREACHABLE after saying why on standard error. @json NULL = no body. */
int client_call(const struct cli_options *o, const char *method, const char *path, const char *json,
                size_t n, struct cli_reply *ret);
/* Percent-encodes @s as one path or query element. */
void client_escape(struct buf *out, const char *s);
/* Says what a problem reply (RFC 9457) means; returns the exit code. */
int client_problem(const struct cli_reply *reply);

/* ---- verbs.c: words to an operation and back ---- */

/* Runs `words...` as an operation of the daemon's table. */
int verbs_run(const struct cli_options *o, int argc, char **argv);
/* The verbs with their summaries; of one verb its parameters when @words are given. */
int verbs_help(const struct cli_options *o, int argc, char **argv);
/* One candidate a line for the words typed so far. */
int verbs_complete(const struct cli_options *o, int argc, char **argv);

/* ---- show.c: a reply for people ---- */

/* @table is hr_operation.table or NULL. */
void show_reply(const struct cli_options *o, const json_t *reply, const char *table);
/* Follows a job until it ends, with a progress line on a terminal. */
int show_job(const struct cli_options *o, json_int_t job_id);
