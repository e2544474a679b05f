#pragma once

/*
 * The technician's commands: `headrace read|scan|diagnose|trace|replay` against one meter, without
 * a daemon. Each takes the words behind its name and returns its exit code.
 *
 * Exit codes: 0 done; 1 something was refused or could not be read; 2 wrong usage; 3 no way to the
 * meter (name, route, port, serial line); 4 the meter is silent (wrong HDLC address, SAP, speed);
 * 5 the meter refuses us (password, keys, security, client); 6 invocation counter; 7 the meter's
 * answer is damaged or against the protocol; 8 the meter answers, but something needs attention
 * (diagnose: clock, profile).
 */

#include "cli.h"

enum meter_exit {
        METER_OK = 0,
        METER_FAILED = 1,
        METER_USAGE = 2,
        METER_NO_ROUTE = 3,
        METER_SILENT = 4,
        METER_REFUSED = 5,
        METER_COUNTER = 6,
        METER_BAD_ANSWER = 7,
        METER_ATTENTION = 8,
};

int meter_read_run(const struct cli_options *cli, int argc, char **argv);
int meter_scan_run(const struct cli_options *cli, int argc, char **argv);
int meter_diagnose_run(const struct cli_options *cli, int argc, char **argv);
int meter_trace_run(const struct cli_options *cli, int argc, char **argv);
int meter_replay_run(const struct cli_options *cli, int argc, char **argv);

/* Whether @word is one of these commands; it is run, and *@ret_exit set. */
bool meter_dispatch(const struct cli_options *cli, int argc, char **argv, int *ret_exit);
