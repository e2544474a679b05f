#pragma once

/* Between server.c (framing, blocks), server_request.c (services), server_associate.c (AARQ, AARE,
 * HLS) and server_push.c. */

#include "apdu.h"
#include "server.h"

/* Writes a plain APDU and sends it, ciphered the way the request was. */
struct axdr_writer server_begin(struct dlms_server *s);
void server_send(struct dlms_server *s, struct axdr_writer *w);
struct axdr_writer server_begin_plain(struct dlms_server *s);
void server_send_plain(struct dlms_server *s, struct axdr_writer *w);
/* What protection adds to a reply at most. */
size_t server_overhead(struct dlms_server *s);
/* Sends the plain APDU @p, which lies in scratch with room before it, in general blocks, sealed
 * first as the request was. False when it cannot go this way. */
bool server_send_gbt(struct dlms_server *s, uint8_t *p, size_t n);
/* Exception-response, in plain. */
void server_refuse(struct dlms_server *s, uint8_t state, uint8_t service);

/* Opens a ciphered APDU in place; 0 or the error, of which the client has then been told. */
int server_open_apdu(struct dlms_server *s, uint8_t *p, size_t n, uint8_t **ret_p, size_t *ret_n);

/* server_request.c: a plain APDU of an association. */
void server_on_request(struct dlms_server *s, const uint8_t *p, size_t n);
/* Where a reply's body is written, in scratch behind the request's own bytes. */
struct axdr_writer server_body(struct dlms_server *s);
/* A reply whose body was written there: in one APDU, in blocks of the service from @skip bytes on,
 * or in general blocks. False when it can go in none of them. @head at most 16 bytes. */
bool server_send_body(struct dlms_server *s, uint8_t invoke, const uint8_t *head, size_t head_len,
                      const struct axdr_writer *w, size_t skip);
/* The next block of the reply begun so. */
void server_send_block(struct dlms_server *s, uint8_t invoke);
/* The objects, as the association allows. */
unsigned server_get(struct dlms_server *s, const struct dlms_attr *attr,
                    const struct dlms_selection *selection, struct axdr_writer *w);
uint8_t server_set(struct dlms_server *s, const struct dlms_attr *attr,
                   const struct dlms_selection *selection, const uint8_t *data, size_t n);

/* server_access.c: ACCESS and Read requests. */
void server_on_access(struct dlms_server *s, const uint8_t *p, size_t n);
void server_on_read(struct dlms_server *s, const uint8_t *p, size_t n);

/* server_associate.c: our means of protecting, and the material of the mechanism. */
struct dlms_end server_end(struct dlms_server *s);
struct dlms_hls server_hls(const struct dlms_server *s);

void server_on_aarq(struct dlms_server *s, uint8_t *apdu, size_t n);
void server_on_pass3(struct dlms_server *s, const struct apdu_request *q);
bool server_is_pass3(const struct apdu_request *q);
/* The request of an association that is not authenticated yet: HLS pass 3, or refused. */
void server_authenticate(struct dlms_server *s, const uint8_t *p, size_t n);
