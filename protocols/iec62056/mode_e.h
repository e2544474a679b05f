#pragma once

/*
 * Start of a session over an optical head: IEC 62056-21 sign-on and the change to HDLC, "mode E"
 * (IEC 62056-21 annex E, IEC 62056-46 annex A). A state machine without I/O, clock or heap; driven
 * as protocols/core.h says.
 *
 *     us     /?ADDRESS!                 300 baud, 7E1
 *     meter  /XXXZ\2IDENT               who it is, its fastest rate Z, \2 = "I speak mode E"
 *     us     ACK 2 Z 2                  protocol 2 (HDLC), rate Z, binary mode
 *     meter  ACK 2 Z 2                  confirms (some do not)
 *     both   change to rate Z, 8N1: MODE_E_EV_SWITCH
 *
 * After MODE_E_EV_SWITCH the driver sets the line and gives it to an HDLC client; this core is done
 * then. Optical heads throw our own bytes back: such an echo is passed over. Parity is the line's;
 * the top bit of what arrives is not looked at, so a line at 8N1 serves, too, for receiving.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core.h"

enum {
        MODE_E_ADDRESS_MAX = 32, /* characters, IEC 62056-21 6.3.1 */
        MODE_E_IDENT_MAX = 64,   /* our own bound: the standard allows 16 and the \W pairs */
        MODE_E_START_BAUD = 300,
};

#define MODE_E_ERROR_MAP(XX)                                                                       \
        XX(OK, ok, "no error")                                                                     \
        XX(ARGUMENT, argument, "the device address is too long or holds characters not allowed")   \
        XX(SILENT, silent,                                                                         \
           "no answer to the sign-on (/?!) at 300 baud 7E1: check the optical head's position, "   \
           "its "                                                                                  \
           "cable, and that the meter has power")                                                  \
        XX(GARBLED, garbled,                                                                       \
           "what arrived is no identification line: check that the line is at 300 baud 7E1 and "   \
           "that no other light falls into the head")                                              \
        XX(NOT_OFFERED, not_offered,                                                               \
           "the meter identifies itself but does not offer HDLC (mode E) on its optical port")     \
        XX(RATE, rate, "the meter's identification names a baud rate that does not exist")         \
        XX(CLOSED, closed, "the serial line was lost during the sign-on")

enum mode_e_error {
#define XX(name, word, text) MODE_E_##name,
        MODE_E_ERROR_MAP(XX)
#undef XX
                MODE_E_N_ERRORS
};

const char *mode_e_error_name(unsigned error);
const char *mode_e_error_text(unsigned error);

struct mode_e_config {
        char address[MODE_E_ADDRESS_MAX + 1]; /* "" = whoever is in front of the head */
        uint32_t max_baud;                    /* go no faster than this; 0 = as the meter offers */
        bool wake_up;                         /* battery meters: zeros first (annex B) */
        bool insist;                          /* go on when the meter does not announce mode E */
        uint8_t tries;                        /* of the sign-on; 0 = 3 */
};

enum mode_e_event_type {
        MODE_E_EV_NONE,
        MODE_E_EV_IDENTIFIED, /* .identification; go on as it came */
        MODE_E_EV_SWITCH,     /* set the line to .baud, 8N1, and start HDLC; the last event */
        MODE_E_EV_FAILED,     /* .error; the last event */
};

struct mode_e_event {
        enum mode_e_event_type type;
        enum mode_e_error error;
        uint32_t baud;
        bool confirmed; /* SWITCH: the meter repeated our acknowledgement */
};

enum mode_e_state {
        MODE_E_IDLE,
        MODE_E_WAKING,     /* zeros sent, the pause behind them runs */
        MODE_E_CALLING,    /* /?! sent, identification expected */
        MODE_E_CONFIRMING, /* ACK 2 Z 2 sent, its repetition expected */
        MODE_E_DONE,
};

/* Embed; not to be moved between output() and output_done(). Read-only outside mode_e.c. */
struct mode_e {
        struct mode_e_config cfg;
        enum mode_e_state state;
        struct mode_e_event events[2];
        uint8_t n_events, tries_left;
        bool seen; /* something arrived that was no identification */
        bool echoes,
                echoed; /* the head throws our bytes back; it did so with the acknowledgement */
        char identification[MODE_E_IDENT_MAX + 1]; /* without "/" and line end; "" = not yet */
        uint32_t baud;
        size_t line_len;
        char line[MODE_E_IDENT_MAX + 4];
        size_t out_len, out_done;
        uint8_t out[96];
        uint8_t ack[6];
        uint8_t ack_seen;
        int64_t deadline_ms;
};

extern const struct core_ops mode_e_core;

/* 0 or MODE_E_ARGUMENT. */
int mode_e_init(struct mode_e *m, const struct mode_e_config *config);
/* Begins to call; once. */
void mode_e_open(struct mode_e *m, int64_t now_ms);
bool mode_e_next_event(struct mode_e *m, struct mode_e_event *ret);

/* Manufacturer of an identification ("EMH"), "" when it has none; @out holds 4 bytes. */
void mode_e_maker(const char *identification, char out[static 4]);
