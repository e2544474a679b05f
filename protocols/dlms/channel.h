#pragma once

/*
 * Whole APDUs over HDLC or the TCP wrapper, for both ends: framing, HDLC connection, segmentation,
 * windows and repetition. No I/O, no clock, no heap; bytes of what the peer sends only ever go into
 * the buffers lent here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dlms.h"
#include "hdlc.h"

enum { WRAPPER_HEADER_SIZE = 8 };

enum channel_event {
        CHANNEL_NOTHING,      /* more bytes needed */
        CHANNEL_APDU,         /* channel->apdu holds a whole APDU, until the next recv */
        CHANNEL_NOTIFICATION, /* the same, from an HDLC UI frame */
        CHANNEL_CONNECTED,    /* server: SNRM taken, UA queued; client: UA arrived */
        CHANNEL_POLL,         /* HDLC: the peer has all we sent and gave us the turn */
        CHANNEL_DISCONNECTED, /* server: DISC; client: DM */
        CHANNEL_REJECTED,     /* FRMR */
        CHANNEL_ERROR,        /* channel->error: the stream cannot go on */
};

struct dlms_channel {
        enum dlms_framing framing;
        bool server, connected, whole;
        bool peer_busy;                            /* its last word was RNR */
        bool unnumbered;                           /* apdu is being joined from UI frames */
        uint16_t client_sap, server_sap, physical; /* physical 0: any, at the server */
        uint8_t server_size;                       /* bytes of the server's HDLC address */
        const uint16_t *saps;                      /* server: further logical devices; borrowed */
        size_t n_saps;
        struct hdlc_params proposed; /* by this end */
        struct hdlc_params params;   /* granted, as seen from this end */
        uint8_t vs, va, vr;          /* next to send, oldest not acknowledged, next expected */
        enum dlms_error error;       /* last damaged frame, or why the stream ended */
        uint8_t *apdu, *tx, *out;    /* lent */
        size_t apdu_cap, tx_cap, out_cap;
        size_t frame_len, apdu_len, apdu_want;
        size_t tx_len, tx_acked; /* LLC and APDU being sent */
        size_t out_len, out_done;
        uint8_t frame[HDLC_FRAME_MAX];
};

/* What is sent in one APDU: channel_tx() bytes to fill, then channel_send(). */
uint8_t *channel_tx(struct dlms_channel *c, size_t *ret_cap);
/* Frames the first @n bytes of channel_tx(). The last burst must be done. */
void channel_send(struct dlms_channel *c, size_t n);

/* Client: SNRM and DISC. */
void channel_connect(struct dlms_channel *c);
void channel_disconnect(struct dlms_channel *c);
/* HDLC: hands the turn back without an APDU (RR). Nothing over the wrapper. */
void channel_yield(struct dlms_channel *c);
/* Client, after a timeout: sends again what was not answered. False when it cannot (wrapper). */
bool channel_repeat(struct dlms_channel *c);

/* Takes at most @n bytes, up to one event; none while output waits. */
size_t channel_recv(struct dlms_channel *c, const uint8_t *in, size_t n, enum channel_event *ret);

size_t channel_output(struct dlms_channel *c, const uint8_t **ret);
void channel_output_done(struct dlms_channel *c, size_t n);

/* Wrapper header alone, for pushes. */
void wrapper_write(uint8_t out[static WRAPPER_HEADER_SIZE], uint16_t src, uint16_t dst,
                   uint16_t length);
/* 0, DLMS_E_WRAPPER_VERSION. */
int wrapper_read(const uint8_t p[static WRAPPER_HEADER_SIZE], uint16_t *ret_src, uint16_t *ret_dst,
                 uint16_t *ret_length);
