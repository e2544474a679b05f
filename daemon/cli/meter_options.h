#pragma once

/* What the technician's commands are told: where the meter is, how it is spoken to, its keys. */

#include "cli.h"
#include "models.h"
#include "secret.h"
#include "iec62056/mode_e.h"
#include "line.h"

enum { METER_LIST_MAX = 64, METER_PATH_MAX = 1024 };

/* How the meter is reached. */
struct meter_route {
        char url[300];  /* as given, for people */
        bool serial;    /* over a serial line: @path; else TCP: @host and @port */
        bool optical;   /* sign-on of IEC 62056-21 mode E first */
        char host[256]; /* or the path of the line */
        uint16_t port;
        struct line_settings line;
        struct mode_e_config mode_e;
};

/* Reading: what was asked for, in order. */
struct meter_item {
        struct dlms_attr attr; /* class 0 = to be found out */
        bool optional;         /* not asked for by name: may be missing */
};

struct meter_numbers {
        size_t n;
        uint16_t value[METER_LIST_MAX];
};

struct meter_options {
        const struct cli_options *cli;
        struct meter_route route;
        enum dlms_framing framing;
        uint16_t client_sap, server_sap, physical;
        uint8_t address_size;
        enum dlms_auth auth;
        enum dlms_policy policy;
        uint8_t suite;
        bool general, no_release;
        struct secret guek, gak, password; /* wiped by meter_options_deinit() */
        uint8_t client_title[DLMS_TITLE_SIZE], server_title[DLMS_TITLE_SIZE];
        bool has_client_title, has_server_title;
        uint32_t timeout_ms, connect_ms;
        uint8_t retries;
        struct meter_model *model; /* owned; NULL = none given */
        struct obis clock, counter;
        char counter_file[METER_PATH_MAX];
        const char *record; /* file; NULL = none */
        bool trace;         /* read: show the exchanges on standard error */
        size_t n_items;
        struct meter_item items[METER_LIST_MAX];
        bool has_profile, has_range;
        struct obis profile;
        int64_t from, to;
        struct meter_numbers clients, servers, physicals; /* scan */
        bool no_objects;                                  /* scan: addresses only */
        const char *file;                                 /* replay */
};

enum meter_wants { METER_WANTS_URL, METER_WANTS_FILE };

/* Fills *@ret from the words; asks for a secret that is missing when it may. Prints what is wrong,
 * or @usage with --help, itself. 0 = go on; METER_USAGE; -1 = help was shown: exit 0. */
int meter_options_parse(struct meter_options *ret, const struct cli_options *cli,
                        enum meter_wants wants, const char *usage, int argc, char **argv);
void meter_options_deinit(struct meter_options *o);

/* The options all commands share, for their --help. */
extern const char meter_options_help[];

/* Whether the association uses invocation counters of ours. */
bool meter_options_ciphered(const struct meter_options *o);
/* "HLS 5 (GMAC)" and the like. */
const char *meter_auth_text(enum dlms_auth auth);
const char *meter_policy_text(enum dlms_policy policy);

/* meter_secrets.c: keys from a file, the environment, or typed. */
/* Reads "guek = HEX" lines. 0 or METER_USAGE after saying which line is wrong. */
int meter_secrets_file(struct meter_options *o, const char *path);
/* HEADRACE_GUEK, HEADRACE_GAK, HEADRACE_PASSWORD, where nothing else was given. 0, METER_USAGE. */
int meter_secrets_environment(struct meter_options *o);
/* Asks on the terminal for what the association needs and is still missing. 0, METER_USAGE. */
int meter_secrets_complete(struct meter_options *o);
