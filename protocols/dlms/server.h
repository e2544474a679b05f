#pragma once

/*
 * The meter's side of a DLMS/COSEM session, for simulated meters: HDLC or wrapper, association
 * with any mechanism, ciphering and signing of all suites, GET, SET and ACTION with lists and
 * blocks both ways, selective access, ACCESS, general block transfer, reading by short names,
 * release. A state machine without I/O, clock, randomness or heap (core.h drives it); the objects
 * are the caller's, behind three functions.
 *
 * One struct dlms_server serves one connection; the meter's identity and keys are in
 * dlms_server_config, shared by all connections of a meter and borrowed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core.h"
#include "axdr.h"
#include "channel.h"
#include "dlms.h"
#include "gbt.h"
#include "hls.h"
#include "protect.h"
#include "security.h"
#include "short_name.h"

enum { DLMS_SERVER_PDU_MAX = 1024, DLMS_SERVER_TX_MAX = 2048, DLMS_SERVER_DEVICES_MAX = 8 };

/*
 * The objects of a meter. @meter is the caller's pointer. They return an enum dlms_access_result
 * (0 = success). What they write must fit the writer: else axdr's failed flag makes the answer
 * "long-get-aborted".
 */
struct dlms_server_objects {
        /* Writes the attribute's value. @selection->selector 0 = everything. */
        unsigned (*get)(void *meter, const struct dlms_attr *attr,
                        const struct dlms_selection *selection, struct axdr_writer *w);
        /* NULL = nothing may be written. */
        unsigned (*set)(void *meter, const struct dlms_attr *attr, const uint8_t *data, size_t n);
        /* NULL = no methods. @ret: return data, may stay empty. */
        unsigned (*action)(void *meter, const struct dlms_attr *method, const uint8_t *params,
                           size_t n, struct axdr_writer *ret);
};

struct dlms_server_config {
        enum dlms_framing framing;
        uint16_t server_sap;   /* logical device */
        uint16_t physical;     /* HDLC lower address; 0 = any */
        uint16_t max_info;     /* HDLC information field we take and send; 0 = 128 */
        uint8_t window;        /* HDLC, 1-7; 0 = 1 */
        enum dlms_auth auth;   /* required of every client but the public one (SAP 16) */
        const uint8_t *secret; /* LLS password or HLS secret; borrowed */
        size_t secret_len;
        const struct dlms_transform *transform; /* HLS 2; borrowed, NULL = AES-128-ECB */
        const uint16_t *client_saps;            /* known clients; borrowed, NULL = all */
        size_t n_client_saps;
        uint8_t known_client[DLMS_TITLE_SIZE]; /* the client's title; all zero = any */
        bool sign;                             /* every APDU must be signed */
        enum dlms_policy policy;               /* required of every APDU once associated */
        struct dlms_keys keys;
        uint8_t title[DLMS_TITLE_SIZE];
        uint32_t conformance;       /* offered; 0 = all this server can do */
        uint16_t max_pdu;           /* largest APDU taken, at most DLMS_SERVER_PDU_MAX; 0 = that */
        struct dlms_crypto *crypto; /* borrowed, one a thread; NULL only without security */
        uint8_t gbt_window;         /* general blocks taken in a row, 1-63; 0 = 1 */
        bool prefer_gbt; /* long replies in general blocks even if the client has others */
        const struct sn_object *sn_objects; /* short-name contexts too; borrowed, NULL = none */
        size_t n_sn_objects;
        uint32_t idle_ms; /* closes the session when nothing comes; 0 = 120000 */
        /* Misbehaviour seen in the field, for simulated meters */
        bool refuses_release; /* RLRQ is answered with an exception */
        uint32_t breaks; /* granted and answered with an exception: MULTIPLE_REFERENCES, ACCESS */
        const struct dlms_server_objects *objects;
};

/* The counters of a meter outlive its connections: the caller keeps them. */
struct dlms_server_counters {
        uint32_t tx; /* next invocation counter to send with */
        uint32_t rx; /* lowest one accepted from clients; older: exception */
};

/* A further logical device behind the same link. All borrowed. */
struct dlms_server_device {
        const struct dlms_server_config *config; /* its server_sap is the device's address */
        struct dlms_server_counters *counters;
        void *meter;
};

/* A value the client sends in blocks of SET or ACTION; it is joined in scratch. */
struct server_incoming {
        bool active;
        uint8_t tag, kind;
        struct dlms_attr attr;
        uint32_t block; /* taken last */
        size_t items_len, count, len;
};

enum dlms_server_state {
        DLMS_SERVER_LISTENING,      /* HDLC: not connected */
        DLMS_SERVER_CONNECTED,      /* no association */
        DLMS_SERVER_AUTHENTICATING, /* AARE sent, HLS pass 3 expected */
        DLMS_SERVER_ASSOCIATED,
        DLMS_SERVER_CLOSED, /* close the transport */
};

/* Not to be moved after init. Read-only outside server*.c. */
struct dlms_server {
        const struct dlms_server_config *cfg;  /* borrowed */
        struct dlms_server_counters *counters; /* borrowed */
        void *meter;                           /* borrowed, for the callbacks */
        enum dlms_server_state state;
        enum dlms_error error;   /* why CLOSED; 0 = as the client wished */
        enum dlms_error refused; /* what was wrong with the last APDU or association refused */
        bool ciphered;           /* this association's application context */
        uint8_t auth;
        bool reply_ciphered, reply_dedicated, reply_signed; /* as the request was */
        enum dlms_envelope reply_envelope;
        struct dlms_session_keys session; /* of general-ciphering */
        uint8_t ctos_len, stoc_len;
        uint8_t ctos[DLMS_CHALLENGE_MAX], stoc[DLMS_CHALLENGE_MAX];
        uint8_t client_title[DLMS_TITLE_SIZE];
        struct dlms_keys keys; /* the meter's, with this session's dedicated key */
        uint16_t peer_pdu;     /* largest APDU the client takes */
        uint32_t conformance;
        uint64_t rx_dedicated;
        bool short_names; /* this association's application context */
        uint32_t block;   /* of the reply: number sent last */
        uint8_t reply_tag;
        const uint8_t *reply; /* in scratch */
        size_t reply_len, reply_done;
        struct server_incoming incoming;
        size_t used; /* of scratch, by the request */
        struct gbt gbt;
        bool gbt_active;
        bool in_gbt;                              /* the request came in general blocks */
        const struct dlms_server_device *devices; /* borrowed */
        size_t n_devices;
        uint16_t device_saps[DLMS_SERVER_DEVICES_MAX];
        uint32_t requests; /* APDUs served */
        int64_t deadline_ms, heard_ms;
        uint8_t *scratch; /* lent */
        size_t scratch_size;
        struct dlms_channel channel;
        uint8_t apdu[DLMS_SERVER_PDU_MAX + 64];
        uint8_t tx[DLMS_SERVER_TX_MAX + 64];
        uint8_t out[DLMS_SERVER_TX_MAX + 128];
};

extern const struct core_ops dlms_server_core;

/* @config, @counters and @scratch (where a reply is built: as large as the largest one, say 16 KiB
 * for a day of a profile) stay the caller's and live as long as the session; @challenge (StoC) is
 * 16 random bytes, fresh for each connection. 0 or DLMS_E_ARGUMENT. */
int dlms_server_init(struct dlms_server *s, const struct dlms_server_config *config,
                     struct dlms_server_counters *counters, void *meter, uint8_t *scratch,
                     size_t scratch_size, const uint8_t challenge[static 16], int64_t now_ms);

/* Further logical devices, each with objects and keys of its own, reached over the same connection
 * one after the other: an association request (with HDLC, SNRM) to another address ends what was.
 * Their framing is the first one's. @devices is borrowed. 0 or DLMS_E_ARGUMENT. */
int dlms_server_add_devices(struct dlms_server *s, const struct dlms_server_device *devices,
                            size_t n);

/* True once the transport should be closed; s->error says why. */
static inline bool dlms_server_done(const struct dlms_server *s)
{
        return s->state == DLMS_SERVER_CLOSED;
}

/*
 * Push: a data-notification APDU with @body (one A-XDR value), plain when config->policy is NONE,
 * else inside general-glo-ciphering with the next counters->tx. @datetime is the 12 bytes of a
 * COSEM date-time or NULL. 0, DLMS_E_TOO_LONG or what dlms_protect() says.
 */
int dlms_push_build(const struct dlms_server_config *config, struct dlms_server_counters *counters,
                    uint32_t invoke_id, const uint8_t *datetime, const uint8_t *body, size_t n,
                    uint8_t *out, size_t cap, size_t *ret_len);
/* The same APDU in its framing: wrapper, or HDLC UI frames, segmented at config->max_info.
 * @apdu must not overlap @out. */
int dlms_push_frame(const struct dlms_server_config *config, uint16_t client_sap,
                    const uint8_t *apdu, size_t n, uint8_t *out, size_t cap, size_t *ret_len);
/* Block @index (from 0) of an APDU pushed in general blocks: unconfirmed, so nothing is waited for.
 * *@ret_len 0: there is no such block. @block_size data bytes a block. 0, DLMS_E_TOO_LONG,
 * DLMS_E_ARGUMENT. */
int dlms_push_block(const uint8_t *apdu, size_t n, size_t block_size, unsigned index, uint8_t *out,
                    size_t cap, size_t *ret_len);
