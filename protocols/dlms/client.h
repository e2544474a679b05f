#pragma once

/*
 * DLMS/COSEM client session: HDLC or wrapper, association, requests, release. A state machine
 * without I/O, clock, randomness or heap; driven as protocols/core.h says.
 *
 *     dlms_client_init(&c, &config)            settings are copied, lent things borrowed
 *     dlms_client_open(&c, now)                SNRM/UA (HDLC), AARQ/AARE, HLS pass 3 and 4
 *       ... DLMS_EV_ASSOCIATED
 *     dlms_client_get(&c, &attr, NULL, now)    one request at a time
 *       ... DLMS_EV_RESULT
 *     dlms_client_close(&c, now)               RLRQ/RLRE, DISC/UA
 *       ... DLMS_EV_CLOSED                     close the transport
 *
 * At any moment DLMS_EV_FAILED may come instead: the last event, with one exact error. A request
 * the meter answers with a data-access-result is no failure: DLMS_EV_RESULT carries it.
 *
 * One link may carry several associations one after the other, to other logical devices: after
 * DLMS_EV_CLOSED the transport can be kept and the same bytes go on under a new dlms_client_init()
 * with another server_sap. To HDLC that is a connection of its own.
 *
 * Invocation counters are the caller's: reserve a block in durable storage, pass it as
 * [ic_first, ic_end) and never pass a number twice. The session takes them in order and fails
 * with DLMS_E_COUNTER_EXHAUSTED rather than repeat one.
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

enum { DLMS_CLIENT_PDU_MAX = 2048, DLMS_CLIENT_LIST_MAX = 32 };

struct dlms_client_config {
        enum dlms_framing framing;
        uint16_t client_sap; /* 16 = public client, 1 = management */
        uint16_t server_sap; /* logical device; 1 = management logical device */
        /* HDLC only */
        uint16_t physical;                 /* lower address; 0 = none (one-byte server address) */
        uint8_t address_size;              /* bytes of the server address: 1, 2, 4; 0 = shortest */
        uint16_t max_info_tx, max_info_rx; /* proposed in SNRM; 0 = 128 and 1024 */
        uint8_t window_tx, window_rx;      /* proposed, 1-7; 0 = 1 and 7 */
        /* Association */
        enum dlms_auth auth;
        const uint8_t *secret; /* LLS password or HLS secret; borrowed until associated */
        size_t secret_len;
        uint8_t challenge[DLMS_CHALLENGE_MAX]; /* CtoS: fresh random bytes for each session */
        uint8_t challenge_len;                 /* 8-64; 0 only when the mechanism is not HLS */
        uint32_t conformance;                  /* proposed; 0 = all this client can use */
        uint16_t max_pdu; /* largest APDU we take; 0 or more than PDU_MAX = PDU_MAX */
        /* Security */
        enum dlms_policy policy;
        bool general; /* general-glo/-ded instead of service-specific ciphering */
        bool sign;    /* general-signing inside, both ways; suites 1 and 2, keys.pki */
        enum dlms_envelope envelope;            /* general-ciphering; SERVICE: as .general says */
        const struct dlms_transform *transform; /* HLS 2; borrowed until associated */
        struct dlms_keys keys;
        uint8_t client_title[DLMS_TITLE_SIZE];
        uint8_t server_title[DLMS_TITLE_SIZE]; /* known title; all zero = take the meter's word */
        uint64_t ic_first, ic_end;
        uint64_t server_ic;         /* highest counter seen from this meter + 1; 0 = not known */
        struct dlms_crypto *crypto; /* borrowed; NULL only without security and GMAC */
        /* Behaviour */
        bool no_release;     /* some meters dislike RLRQ: DISC or close only */
        uint32_t timeout_ms; /* to wait for an answer; 0 = 5000 */
        uint8_t retries;     /* HDLC: repeats of a frame before giving up */
        /* Services. A bit of @assume is used even if the meter does not grant it, one of @avoid is
         * not used even if it does (both: enum dlms_conformance); what this session learnt to avoid
         * is dlms_client_broken(), to be remembered for the meter's model. */
        uint32_t assume, avoid;
        bool prefer_access; /* ACCESS rather than a request with list */
        /* An exception or service error in answer to a request is its RESULT, "other reason" with
         * .error and .detail, and the session goes on; else it fails the session. What says that
         * the association itself is broken (deciphering, counter) fails it always. */
        bool exceptions_are_results;
        uint8_t gbt_window; /* general block transfer: blocks we take in a row, 1-63; 0 = none */
        bool gbt_requests;  /* requests in a block too, so that the meter knows the window */
        bool short_names;   /* short-name referencing; reading only */
        const struct sn_object *sn_objects; /* the meter's; borrowed. NULL: the association only */
        size_t n_sn_objects;
        /* Where a reply in blocks is put together: borrowed until the session ends. Without it
         * (NULL) every block comes as an event of its own and only the last has .last set; lists
         * and general block transfer need it. */
        uint8_t *scratch;
        size_t scratch_size;
};

#define DLMS_CLIENT_STATE_MAP(XX)                                                                  \
        XX(IDLE, "nothing sent yet")                                                               \
        XX(CONNECTING, "SNRM sent, UA expected")                                                   \
        XX(ASSOCIATING, "AARQ sent, AARE expected")                                                \
        XX(AUTHENTICATING, "HLS pass 3 sent, pass 4 expected")                                     \
        XX(READY, "associated, no request in flight")                                              \
        XX(GETTING, "GET sent, response or next block expected")                                   \
        XX(SETTING, "SET sent, response expected")                                                 \
        XX(ACTING, "ACTION sent, response expected")                                               \
        XX(ACCESSING, "ACCESS sent, response expected")                                            \
        XX(READING, "Read (short names) sent, response expected")                                  \
        XX(RELEASING, "RLRQ sent, RLRE expected")                                                  \
        XX(DISCONNECTING, "DISC sent, UA expected")                                                \
        XX(CLOSED, "done: close the transport")                                                    \
        XX(FAILED, "failed: close the transport")

enum dlms_client_state {
#define XX(name, text) DLMS_CLIENT_##name,
        DLMS_CLIENT_STATE_MAP(XX)
#undef XX
                DLMS_CLIENT_N_STATES
};

enum dlms_event_type {
        DLMS_EV_NONE,
        DLMS_EV_ASSOCIATED,   /* associated and authenticated: requests may follow */
        DLMS_EV_RESULT,       /* of a GET, SET or ACTION; .last ends the request */
        DLMS_EV_NOTIFICATION, /* unasked data-notification or event-notification: .data = APDU */
        DLMS_EV_CLOSED,       /* released; the last event */
        DLMS_EV_FAILED,       /* .error; the last event */
};

struct dlms_event {
        enum dlms_event_type type;
        bool last;           /* RESULT: the request is done */
        uint8_t index;       /* RESULT: item of the request */
        uint8_t result;      /* RESULT: enum dlms_access_result or action-result, 0 = success */
        const uint8_t *data; /* RESULT: A-XDR value; borrowed until the next call but output */
        size_t len;
        enum dlms_error error; /* FAILED; RESULT: of an exception taken for a result, else 0 */
        uint8_t detail;        /* with .error: diagnostic, exception or service error as received */
        uint32_t counter;      /* FAILED, EXCEPTION_COUNTER: the one the meter expects, 0 unknown */
};

/* How the items of a request go to the meter. */
enum dlms_client_form {
        DLMS_FORM_NORMAL,  /* one item, one request */
        DLMS_FORM_LIST,    /* GET, SET or ACTION with list; Read with several names */
        DLMS_FORM_ACCESS,  /* ACCESS */
        DLMS_FORM_SINGLES, /* one request an item */
};

/* The request in flight. */
struct dlms_client_request {
        enum dlms_client_form form;
        const struct dlms_item *items; /* borrowed until the last RESULT; NULL: attrs */
        uint8_t n, at;                 /* SINGLES: at = the item asked for */
        bool next;                     /* SINGLES: the next item follows once the event is taken */
        int64_t next_ms;               /* when that became known */
        bool blocks;                   /* SET, ACTION: values go in blocks */
        bool by_name;                  /* READ: of @name, whatever lies there */
        uint16_t name;
        size_t done, part, total; /* bytes of the values: acknowledged, in flight, all */
        struct dlms_item one;
        /* Without items: of this service, with these values one behind the other. */
        enum dlms_service service;
        const uint8_t *values;
        size_t values_len;
        struct dlms_attr attrs[DLMS_CLIENT_LIST_MAX];
};

/* Embed it in the session object; not to be moved after init. Read-only outside client*.c. */
struct dlms_client {
        struct dlms_client_config cfg;
        enum dlms_client_state state;
        enum dlms_error failed; /* FAILED event still to be told */
        bool closed;            /* CLOSED event still to be told */
        bool collecting;        /* blocks go to cfg.scratch */
        bool gbt_active;        /* a general block transfer is under way */
        bool unnumbered;        /* what came last did so in HDLC UI frames: nobody waits for us */
        uint8_t busy_polls;     /* HDLC: how often the meter said RNR to this request */
        uint8_t invoke_id, retries_left, failed_detail;
        uint8_t list_at, list_n; /* items of the reply still to be told */
        uint8_t server_challenge_len;
        uint8_t server_challenge[DLMS_CHALLENGE_MAX];
        uint8_t server_title[DLMS_TITLE_SIZE]; /* configured, or from the AARE */
        bool has_server_title;
        uint16_t peer_pdu;    /* largest APDU the meter takes */
        uint32_t conformance; /* granted, with cfg.assume and without cfg.avoid */
        uint32_t broken;      /* granted, but seen not to work */
        uint32_t failed_counter;
        uint32_t block;       /* number awaited */
        uint32_t round_trips; /* how often the meter was waited for */
        uint64_t ic_next, server_ic, server_ic_dedicated;
        size_t scratch_len;
        int64_t deadline_ms;
        struct dlms_event event;
        struct dlms_session_keys session; /* of general-ciphering */
        struct axdr_reader items;
        const uint8_t *results; /* ACCESS: a pair of bytes an item */
        struct dlms_client_request request;
        struct gbt gbt;
        struct dlms_channel channel;
        uint8_t apdu[DLMS_CLIENT_PDU_MAX + 64];
        uint8_t tx[1024 + 64];
        uint8_t out[1024 + 128];
};

extern const struct core_ops dlms_client_core;

/* 0, DLMS_E_ARGUMENT (settings that contradict each other: GMAC without keys, no counters ...). */
int dlms_client_init(struct dlms_client *c, const struct dlms_client_config *config);
/* Wipes the keys. */
void dlms_client_deinit(struct dlms_client *c);

/* Commands: 0, DLMS_E_BUSY (state does not allow it), DLMS_E_ARGUMENT, DLMS_E_TOO_LONG,
 * DLMS_E_CONFORMANCE (meter did not grant the service), DLMS_E_COUNTER_EXHAUSTED; then nothing was
 * sent and the state is unchanged. Values and selections are borrowed until the last RESULT: what
 * does not fit one APDU goes in blocks. */
int dlms_client_open(struct dlms_client *c, int64_t now_ms);
int dlms_client_get(struct dlms_client *c, const struct dlms_attr *attr,
                    const struct dlms_selection *selection, int64_t now_ms);
/* At most DLMS_CLIENT_LIST_MAX, copied; as dlms_client_ask(). */
int dlms_client_get_list(struct dlms_client *c, const struct dlms_attr *attrs, size_t n,
                         int64_t now_ms);
/* @data is one A-XDR value (axdr.h writes it). */
int dlms_client_set(struct dlms_client *c, const struct dlms_attr *attr, const uint8_t *data,
                    size_t n, int64_t now_ms);
/* @params NULL = without. The RESULT event may carry return data. */
int dlms_client_action(struct dlms_client *c, const struct dlms_attr *method, const uint8_t *params,
                       size_t n, int64_t now_ms);
/*
 * Up to DLMS_CLIENT_LIST_MAX items, of one service or mixed, in the fewest exchanges this meter
 * grants: with list, by ACCESS, else one request an item; a meter that refuses the list or ACCESS
 * it granted is asked item by item (dlms_client_broken() tells). One RESULT an item, in order,
 * .index says which; .last with the last one. @items is borrowed until then.
 */
int dlms_client_ask(struct dlms_client *c, const struct dlms_item *items, size_t n, int64_t now_ms);
/* SET or ACTION of several: @values holds one A-XDR value for each, n_values bytes in all
 * (null-data for a method without parameters), borrowed until the last RESULT; as
 * dlms_client_ask(). */
int dlms_client_set_list(struct dlms_client *c, const struct dlms_attr *attrs, size_t n,
                         const uint8_t *values, size_t n_values, int64_t now_ms);
int dlms_client_action_list(struct dlms_client *c, const struct dlms_attr *methods, size_t n,
                            const uint8_t *values, size_t n_values, int64_t now_ms);
/* Short names: what is found under @name. */
int dlms_client_read(struct dlms_client *c, uint16_t name, const struct dlms_selection *selection,
                     int64_t now_ms);
/* Releases politely as far as the state allows; in IDLE, CLOSED and FAILED DLMS_E_BUSY. */
int dlms_client_close(struct dlms_client *c, int64_t now_ms);

bool dlms_client_next_event(struct dlms_client *c, struct dlms_event *ret);

/* First counter not used yet, to be stored; everything below it is gone. */
static inline uint64_t dlms_client_ic(const struct dlms_client *c)
{
        return c->ic_next;
}
/* Next server counter acceptable: pass as config.server_ic next time. */
static inline uint64_t dlms_client_server_ic(const struct dlms_client *c)
{
        return c->server_ic;
}
/* Conformance bits the meter granted and then broke: config.avoid for its model. */
static inline uint32_t dlms_client_broken(const struct dlms_client *c)
{
        return c->broken;
}
const char *dlms_client_state_name(enum dlms_client_state s);
