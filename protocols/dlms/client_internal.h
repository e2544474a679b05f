#pragma once

/* Between client.c (states, requests), client_associate.c (AARQ, AARE, HLS) and client_reply.c. */

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

/* Our means of protecting an APDU of this plain tag. */
struct dlms_end client_end_for(struct dlms_client *c, uint8_t tag);

static inline bool client_can(const struct dlms_client *c, uint32_t conformance)
{
        return (c->conformance & conformance) == conformance;
}

static inline uint8_t client_invoke(const struct dlms_client *c)
{
        return APDU_INVOKE_CONFIRMED | APDU_INVOKE_PRIORITY | c->invoke_id;
}

/* Sends and enters the state that waits for the answer. */
int client_send_request(struct dlms_client *c, struct axdr_writer *w, enum dlms_client_state next,
                        int64_t now_ms);

/* client_request.c. The item in flight; of a list @i. */
const struct dlms_item *client_item(struct dlms_client *c, size_t i, struct dlms_item *buf);
/* The next block of the values, after the peer took the one before. */
int client_send_next_block(struct dlms_client *c, int64_t now_ms);
/* SINGLES: asks for the next item. */
int client_next_single(struct dlms_client *c, int64_t now_ms);
/* The meter refused a request with list or ACCESS: item by item instead. @broken: it does not do
 * what it granted, so not again. False when it was no such request. */
bool client_fall_back(struct dlms_client *c, bool broken, int64_t now_ms, int *ret_error);

/* client_blocks.c: general block transfer. */
/* Seals and sends a plain APDU of scratch, @at bytes from its beginning, in blocks. */
int client_send_gbt(struct dlms_client *c, size_t at, size_t n);
/* Puts the next block on the line when it is our turn and the line is free. */
void client_pump_blocks(struct dlms_client *c);
/* A block came. *@ret_whole: an APDU is in gbt.rx. */
int client_on_gbt(struct dlms_client *c, const uint8_t *p, size_t n, int64_t now_ms,
                  bool *ret_whole);

/* client_reply.c: 0 or the error to fail with. */
/* Opens @p in place when it is ciphered; *@ret_p, *@ret_n the plain APDU. */
int client_open_apdu(struct dlms_client *c, uint8_t *p, size_t n, uint8_t **ret_p, size_t *ret_n);

int client_on_exception(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms);
int client_on_service_error(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms);
int client_on_response(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms);
/* The next result of a reply with several; false when it does not hold together. */
bool client_next_item(struct dlms_client *c, struct dlms_event *ret);

/* client_associate.c. Our means of protecting, and the material of the mechanism. */
struct dlms_end client_end(struct dlms_client *c);
struct dlms_hls client_hls(const struct dlms_client *c);
/* 0 or the error to fail with. */
int client_send_aarq(struct dlms_client *c);
int client_on_aare(struct dlms_client *c, uint8_t *apdu, size_t n, int64_t now_ms);
int client_on_pass4(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms);
int client_send_rlrq(struct dlms_client *c);
