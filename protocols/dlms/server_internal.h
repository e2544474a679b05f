#pragma once

/* Between server.c (framing, GET), server_long.c (SET, ACTION) and server_associate.c (AARQ, AARE,
 * HLS). */

#include "apdu.h"
#include "server.h"

/* Writes a plain APDU and sends it, ciphered the way the request was. */
struct axdr_writer server_begin(struct dlms_server *s);
void server_send(struct dlms_server *s, struct axdr_writer *w);
struct axdr_writer server_begin_plain(struct dlms_server *s);
void server_send_plain(struct dlms_server *s, struct axdr_writer *w);
/* Exception-response, in plain. */
void server_refuse(struct dlms_server *s, uint8_t state, uint8_t service);

/* Opens a ciphered APDU in place; 0 or the error, of which the client has then been told. */
int server_open_apdu(struct dlms_server *s, uint8_t *p, size_t n, uint8_t **ret_p, size_t *ret_n);

/* server_associate.c: our means of protecting, and the material of the mechanism. */
struct dlms_end server_end(struct dlms_server *s);
struct dlms_hls server_hls(const struct dlms_server *s);

void server_on_aarq(struct dlms_server *s, uint8_t *apdu, size_t n);
void server_on_pass3(struct dlms_server *s, const struct apdu_request *q);
bool server_is_pass3(const struct apdu_request *q);

/* Bytes of data that fit one APDU behind a head of @head bytes. */
size_t server_room(struct dlms_server *s, size_t head);
/* The @n bytes in scratch are the answer, to go in blocks: the first, and each one asked for. */
void server_begin_blocks(struct dlms_server *s, uint8_t tag, size_t n);
void server_send_block(struct dlms_server *s, uint8_t invoke);

void server_on_set(struct dlms_server *s, const struct apdu_request *q);
void server_on_action(struct dlms_server *s, const struct apdu_request *q);
