#pragma once

/* Between client.c (states, GET), client_long.c (SET, ACTION), client_associate.c (AARQ, AARE, HLS)
 * and client_reply.c. */

#include "apdu.h"
#include "client.h"

#define HLS_FIRST DLMS_AUTH_HLS

static inline bool client_uses_hls(const struct dlms_client *c)
{
        return c->cfg.auth >= HLS_FIRST;
}

static inline bool client_is_ciphered(const struct dlms_client *c)
{
        return c->cfg.policy != DLMS_POLICY_NONE;
}

/* The one place where the state changes; a state that waits gets its deadline. */
void client_enter(struct dlms_client *c, enum dlms_client_state next, int64_t now_ms);
void client_fail(struct dlms_client *c, enum dlms_error error);
void client_emit(struct dlms_client *c, const struct dlms_event *ev);
/* The next invocation counter; DLMS_E_COUNTER_EXHAUSTED when there is none. */
int client_take_counter(struct dlms_client *c, uint32_t *ret);

/* A plain APDU is written through the writer, then sent, ciphered as the association demands. */
struct axdr_writer client_begin(struct dlms_client *c);
int client_send(struct dlms_client *c, struct axdr_writer *w);
/* Without ciphering: AARQ, RLRQ. */
struct axdr_writer client_begin_plain(struct dlms_client *c);
int client_send_plain(struct dlms_client *c, struct axdr_writer *w);

/* What protection adds to an APDU at most. */
size_t client_overhead(struct dlms_client *c);

/* Commands wait until everything the last one brought is fetched. */
bool client_ready(const struct dlms_client *c);
/* Begins a request: its invoke-id-and-priority, and a clean slate for the reply. */
uint8_t client_begin_request(struct dlms_client *c);
/* Sends and enters the state that waits for the answer. */
int client_send_request(struct dlms_client *c, struct axdr_writer *w, enum dlms_client_state next,
                        int64_t now_ms);

/* client_reply.c: 0 or the error to fail with. */
/* Opens @p in place when it is ciphered; *@ret_p, *@ret_n the plain APDU. */
int client_open_apdu(struct dlms_client *c, uint8_t *p, size_t n, uint8_t **ret_p, size_t *ret_n);

int client_on_exception(struct dlms_client *c, const uint8_t *apdu, size_t n);
int client_on_response(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms);
int client_on_set_response(struct dlms_client *c, const struct apdu_response *a, int64_t now_ms);
int client_on_action_response(struct dlms_client *c, const struct apdu_response *a, int64_t now_ms);
void client_emit_result(struct dlms_client *c, uint8_t result, const uint8_t *data, size_t n,
                        bool last);

/* What the items of a with-list reply look like. */
enum client_items {
        CLIENT_ITEMS_DATA,    /* Get-Data-Result */
        CLIENT_ITEMS_RESULTS, /* one byte */
        CLIENT_ITEMS_ANSWERS, /* of methods */
};
/* They are told one by one from next_event(). */
int client_begin_items(struct dlms_client *c, enum client_items kind, const uint8_t *p, size_t n,
                       size_t count);
/* The next result of a with-list reply; false when it does not hold together. */
bool client_next_item(struct dlms_client *c, struct dlms_event *ret);

/* client_associate.c. Our means of protecting, and the material of the mechanism. */
struct dlms_end client_end(struct dlms_client *c);
struct dlms_hls client_hls(const struct dlms_client *c);
/* 0 or the error to fail with. */
int client_send_aarq(struct dlms_client *c);
int client_on_aare(struct dlms_client *c, uint8_t *apdu, size_t n, int64_t now_ms);
int client_on_pass4(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms);
int client_send_rlrq(struct dlms_client *c);
