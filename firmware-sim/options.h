#pragma once

/* Command line of headrace-sim. */

#include <stdbool.h>
#include <stdint.h>

enum sim_kind {
        SIM_DLMS_WRAPPER,
        SIM_DLMS_HDLC,
        SIM_MODBUS,
        SIM_MQTT_SENML,
        SIM_MQTT_FLAT,
        SIM_COAP,
        SIM_DLMS_PUSH,
        SIM_N_KINDS,
};

struct sim_address {
        char host[128];
        uint16_t port; /* 0 = not given */
};

struct sim_options {
        unsigned count[SIM_N_KINDS];
        uint64_t seed;
        int64_t from, to, now; /* UTC; now: INT64_MIN = the real clock */
        double speed;          /* of the clock after --now; 0 = it stands still */
        bool live;             /* go on after --to */
        bool exit_when_pushed;
        int utc_offset_min;
        char host[128]; /* where the polled meters listen */
        unsigned base_port;
        struct sim_address broker, coap, push;
        char user[64], password[64];
        char lls[32]; /* of DLMS wrapper meters, for clients other than the public one */
        char series[1024], fleet[1024], truth[1024], ready[1024], branch[16];
        unsigned per_message, inflight, per_connection, coap_sessions;
        double rate; /* messages a second over all pushing meters; 0 = as acknowledged */
        double drop, duplicate, restart; /* per cent */
        unsigned delay_ms, wrong_key, unknown;
        /* faults.h: of links, in per cent of ... */
        double cut;            /* connections */
        double late;           /* answers */
        double reset_transfer; /* block transfers */
        unsigned late_ms;
        /* of meters: how many have them */
        unsigned ahead, drift, drift_s, no_release, one_connection, pause_ms, breaks;
        bool addresses; /* an address of its own in 127.0.0.0/8 for each polled meter */
        unsigned clock_offset, stuck, tamper, counter_ahead;
        unsigned progress_s;
        char prefix[16]; /* of the MQTT client ids */
};

enum sim_parsed { SIM_RUN, SIM_EXIT_OK, SIM_EXIT_USAGE };

/* Fills @ret; prints help, or what is wrong with which option, itself. */
enum sim_parsed sim_options_parse(int argc, char **argv, struct sim_options *ret);
