#pragma once

/*
 * xDLMS APDUs: GET, SET, ACTION, notifications, exceptions, block transfer, and the envelope of
 * ciphered ones (Green Book 9.4 and 9.5). Pure; what is decoded is borrowed from the input.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "axdr.h"
#include "dlms.h"

enum apdu_tag {
        APDU_INITIATE_REQUEST = 0x01,
        APDU_READ_REQUEST = 0x05,
        APDU_WRITE_REQUEST = 0x06,
        APDU_INITIATE_RESPONSE = 0x08,
        APDU_READ_RESPONSE = 0x0C,
        APDU_WRITE_RESPONSE = 0x0D,
        APDU_CONFIRMED_SERVICE_ERROR = 0x0E,
        APDU_DATA_NOTIFICATION = 0x0F,
        APDU_UNCONFIRMED_WRITE = 0x16,
        APDU_INFORMATION_REPORT = 0x18,
        APDU_GLO_INITIATE_REQUEST = 0x21,
        APDU_GLO_INITIATE_RESPONSE = 0x28,
        APDU_GLO_SERVICE_ERROR = 0x2E,
        APDU_AARQ = 0x60,
        APDU_AARE = 0x61,
        APDU_RLRQ = 0x62,
        APDU_RLRE = 0x63,
        APDU_GET_REQUEST = 0xC0,
        APDU_SET_REQUEST = 0xC1,
        APDU_EVENT_NOTIFICATION = 0xC2,
        APDU_ACTION_REQUEST = 0xC3,
        APDU_GET_RESPONSE = 0xC4,
        APDU_SET_RESPONSE = 0xC5,
        APDU_ACTION_RESPONSE = 0xC7,
        APDU_GLO_GET_REQUEST = 0xC8, /* glo- = plain + 8, ded- = plain + 16 */
        APDU_DED_GET_REQUEST = 0xD0,
        APDU_EXCEPTION = 0xD8,
        APDU_ACCESS_REQUEST = 0xD9,
        APDU_ACCESS_RESPONSE = 0xDA,
        APDU_GENERAL_GLO = 0xDB,
        APDU_GENERAL_DED = 0xDC,
        APDU_GENERAL_CIPHERING = 0xDD,
        APDU_GENERAL_SIGNING = 0xDF,
        APDU_GENERAL_BLOCK = 0xE0,
};

/* Second octet of GET, SET and ACTION. */
enum apdu_kind { APDU_NORMAL = 1, APDU_BLOCK = 2, APDU_LIST = 3 };

/* The kinds of SET and ACTION, which number theirs differently. */
enum apdu_set_kind {
        APDU_SET_FIRST_BLOCK = 2,
        APDU_SET_BLOCK = 3,
        APDU_SET_LIST = 4,
        APDU_SET_LIST_FIRST_BLOCK = 5,
};
enum apdu_set_answer {
        APDU_SET_BLOCK_TAKEN = 2,
        APDU_SET_LAST_BLOCK = 3,
        APDU_SET_LAST_BLOCK_LIST = 4,
        APDU_SET_RESULTS = 5,
};
enum apdu_action_kind {
        APDU_ACTION_NEXT = 2, /* more of the answer, please */
        APDU_ACTION_LIST = 3,
        APDU_ACTION_FIRST_BLOCK = 4,
        APDU_ACTION_LIST_FIRST_BLOCK = 5,
        APDU_ACTION_BLOCK = 6,
};
enum apdu_action_answer {
        APDU_ACTION_ANSWER_BLOCK = 2,
        APDU_ACTION_RESULTS = 3,
        APDU_ACTION_BLOCK_TAKEN = 4,
};

enum { APDU_INVOKE_CONFIRMED = 0x40, APDU_INVOKE_PRIORITY = 0x80 };

/* Whether the bytes start like an APDU and hold together: tells a right key from a wrong one. */
bool apdu_plausible(const uint8_t *p, size_t n);

/* ---- requests ---- */

struct apdu_request {
        uint8_t tag; /* plain: GET, SET or ACTION request */
        uint8_t kind;
        uint8_t invoke; /* invoke-id-and-priority as sent */
        struct dlms_attr attr;
        struct dlms_selection selection;
        uint32_t block; /* of the block; GET and ACTION next: the one acknowledged */
        bool last;      /* of the blocks */
        /* SET value, ACTION parameters (NULL = none), raw bytes of a block; GET list: items. */
        const uint8_t *data;
        size_t n;
        size_t count; /* LIST: items */
        /* SET and ACTION list: the attributes or methods; their values are in data, one after the
         * other (kind LIST) or with their count before them in the blocks. */
        const uint8_t *items;
        size_t items_n;
};

void apdu_put_get(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *attr,
                  const struct dlms_selection *selection);
void apdu_put_get_next(struct axdr_writer *w, uint8_t invoke, uint32_t block);
void apdu_put_get_list(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *attrs,
                       size_t n);
void apdu_put_set(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *attr,
                  const uint8_t *data, size_t n);
void apdu_put_action(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *method,
                     const uint8_t *params, size_t n);

/* In blocks: @attr only with the first one, else NULL. */
void apdu_put_set_block(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *attr,
                        bool last, uint32_t block, const uint8_t *data, size_t n);
void apdu_put_action_block(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *method,
                           bool last, uint32_t block, const uint8_t *data, size_t n);
void apdu_put_action_next(struct axdr_writer *w, uint8_t invoke, uint32_t block);
/* @values: one A-XDR value an attribute, n_values bytes in all; of methods null-data = none. */
void apdu_put_set_list(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *attrs,
                       size_t n, const uint8_t *values, size_t n_values);
void apdu_put_action_list(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *methods,
                          size_t n, const uint8_t *values, size_t n_values);

/* 0 or DLMS_E_*. Requests of kinds this core does not serve: DLMS_E_APDU. */
int apdu_request_decode(const uint8_t *p, size_t n, struct apdu_request *ret);
/* The next attribute of a get-request-with-list; @r over request.data. */
bool apdu_list_next(struct axdr_reader *r, struct dlms_attr *ret_attr,
                    struct dlms_selection *ret_selection);
/* The same of an action-request-with-list; @r over request.items. */
bool apdu_method_next(struct axdr_reader *r, struct dlms_attr *ret);

/* ---- responses ---- */

struct apdu_response {
        uint8_t tag, kind, invoke;
        uint8_t result;      /* data-access-result or action-result; 0 = success */
        bool last;           /* BLOCK */
        uint32_t block;      /* of a block, or of the one taken */
        const uint8_t *data; /* A-XDR value, raw block, or the items of a LIST; NULL = none */
        size_t n;
        size_t count; /* LIST */
};

int apdu_response_decode(const uint8_t *p, size_t n, struct apdu_response *ret);
/* The next item of a get-response-with-list; *@ret_data NULL when the result is not 0. */
bool apdu_result_next(struct axdr_reader *r, uint8_t *ret_result, const uint8_t **ret_data,
                      size_t *ret_n);

void apdu_put_get_result(struct axdr_writer *w, uint8_t invoke, uint8_t result);
/* Head of get-response-normal with data; the value follows. */
void apdu_put_get_data(struct axdr_writer *w, uint8_t invoke);
void apdu_put_get_block(struct axdr_writer *w, uint8_t invoke, bool last, uint32_t block,
                        const uint8_t *data, size_t n);
void apdu_put_set_result(struct axdr_writer *w, uint8_t invoke, uint8_t result);
void apdu_put_action_result(struct axdr_writer *w, uint8_t invoke, uint8_t result,
                            const uint8_t *data, size_t n);

void apdu_put_set_block_taken(struct axdr_writer *w, uint8_t invoke, uint32_t block);
void apdu_put_set_last_block(struct axdr_writer *w, uint8_t invoke, uint8_t result, uint32_t block);
/* @block 0: the request came in one piece. */
void apdu_put_set_results(struct axdr_writer *w, uint8_t invoke, const uint8_t *results, size_t n,
                          uint32_t block);
void apdu_put_action_block_taken(struct axdr_writer *w, uint8_t invoke, uint32_t block);
void apdu_put_action_answer_block(struct axdr_writer *w, uint8_t invoke, bool last, uint32_t block,
                                  const uint8_t *data, size_t n);
/* One answer inside an action-response: what follows the invoke-id of a normal one, an item of a
 * list, the bytes of all blocks of an answer together. */
void apdu_put_action_answer(struct axdr_writer *w, uint8_t result, const uint8_t *data, size_t n);
bool apdu_action_answer_next(struct axdr_reader *r, uint8_t *ret_result, const uint8_t **ret_data,
                             size_t *ret_n);

/* ---- exceptions ---- */

enum apdu_exception_service {
        APDU_EXC_NOT_POSSIBLE = 1,
        APDU_EXC_NOT_SUPPORTED = 2,
        APDU_EXC_OTHER = 3,
        APDU_EXC_TOO_LONG = 4,
        APDU_EXC_DECIPHERING = 5,
        APDU_EXC_COUNTER = 6,
};

struct apdu_exception {
        uint8_t state;    /* 1 service not allowed, 2 service unknown */
        uint8_t service;  /* enum apdu_exception_service */
        uint32_t counter; /* with APDU_EXC_COUNTER: the one expected */
};

int apdu_exception_decode(const uint8_t *p, size_t n, struct apdu_exception *ret);
void apdu_put_exception(struct axdr_writer *w, uint8_t state, uint8_t service, uint32_t counter);
/* The error that names it. */
enum dlms_error apdu_exception_error(const struct apdu_exception *e);

/* ---- notifications ---- */

struct apdu_notification {
        uint8_t tag;           /* data-notification or event-notification */
        uint32_t invoke;       /* long-invoke-id-and-priority; 0 for events */
        const uint8_t *time;   /* 12 bytes or NULL */
        struct dlms_attr attr; /* event-notification only */
        const uint8_t *body;   /* what follows; an A-XDR value unless the meter has its own ideas */
        size_t n;
};

int apdu_notification_decode(const uint8_t *p, size_t n, struct apdu_notification *ret);

/* ---- general block transfer ---- */

struct apdu_block {
        bool last, streaming;
        uint8_t window;
        uint16_t number, ack;
        const uint8_t *data;
        size_t n;
};

int apdu_block_decode(const uint8_t *p, size_t n, struct apdu_block *ret);

/* ---- the envelope of ciphered APDUs ---- */

struct apdu_envelope {
        uint8_t tag;
        bool general, dedicated;
        const uint8_t *title; /* general only; NULL when empty */
        size_t offset, n;     /* of SC, counter, ciphertext, tag in the input */
};

bool apdu_is_ciphered(uint8_t tag);
/* 0, DLMS_E_APDU (no ciphered APDU this core knows), DLMS_E_TRUNCATED, DLMS_E_TRAILING. */
int apdu_envelope_decode(const uint8_t *p, size_t n, struct apdu_envelope *ret);
/* glo- or ded- tag of a plain one; 0 = there is none. */
uint8_t apdu_ciphered_tag(uint8_t plain, bool dedicated);
/* general-ciphering: who to whom, and which key (Green Book 9.5). Borrowed from the input. */
struct apdu_field {
        const uint8_t *p;
        size_t n;
};

enum apdu_key_choice {
        APDU_KEY_NONE = -1,
        APDU_KEY_IDENTIFIED = 0, /* key_id */
        APDU_KEY_WRAPPED = 1,    /* kek_id in key_id, wrapped key in key_data */
        APDU_KEY_AGREED = 2,     /* parameters and data of the key agreement */
};

struct apdu_general {
        struct apdu_field head; /* from transaction-id to other-information, with length codes */
        struct apdu_field transaction, originator, recipient, time, other;
        enum apdu_key_choice choice;
        uint8_t key_id;
        struct apdu_field key_parameters, key_data;
        size_t offset, n; /* of SC, counter, ciphertext, tag in the input */
};

int apdu_general_decode(const uint8_t *p, size_t n, struct apdu_general *ret);

/* Bytes an envelope puts before a protected text of @n bytes. */
size_t apdu_put_envelope(uint8_t *out, uint8_t tag, const uint8_t *title, size_t n);
enum { APDU_ENVELOPE_MAX = 1 + 9 + 5 };
