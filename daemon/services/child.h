#pragma once

/* A child process that ends with this one and runs as an unprivileged user. Linux only. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child {
        const char *name;     /* for the log */
        char *const *argv;    /* argv[0] is a path */
        const char *dir;      /* working directory */
        const char *log_path; /* standard output and error are appended here */
        int end_signal;       /* asks it to end cleanly */
        uid_t uid;            /* used when we are root */
        gid_t gid;
        pid_t pid;          /* 0 = not running */
        int64_t started_ms; /* CLOCK_MONOTONIC */
};

/* 0 or -errno. */
int child_start(struct child *c);
/* True once it has ended; reaps it and clears pid. */
bool child_ended(struct child *c, int *ret_status);
/* Asks, waits at most @timeout_ms, kills. */
void child_stop(struct child *c, int timeout_ms);
/* Runs a command to its end with input from nowhere: exit status, or -errno. */
int child_run(struct child *c);
