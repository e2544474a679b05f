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

/*
 * What the second octet of GET, SET and ACTION says. Each service numbers its kinds in its own way;
 * these names are common to all. With block transfer a long value goes in numbered blocks of raw
 * data: FIRST and LIST_FIRST open it, BLOCK goes on, NEXT acknowledges one and asks for the next,
 * LAST and LIST_LAST answer the last one.
 */
enum apdu_kind {
        APDU_NORMAL = 1,
        APDU_BLOCK = 2, /* a block; of a GET request: next, .block is the one acknowledged */
        APDU_LIST = 3,
        APDU_FIRST = 4,      /* SET, ACTION request: descriptor and first block */
        APDU_LIST_FIRST = 5, /* SET, ACTION request: descriptors and first block */
        APDU_NEXT = 6,       /* SET, ACTION: .block acknowledged */
        APDU_LAST = 7,       /* SET response to the last block */
        APDU_LIST_LAST = 8,  /* the same with a result an item */
        APDU_N_KINDS
};

enum { APDU_INVOKE_CONFIRMED = 0x40, APDU_INVOKE_PRIORITY = 0x80 };

/* The three bytes every GET, SET and ACTION begins with; w->failed when the service has no such
 * kind. */
void apdu_put_head(struct axdr_writer *w, uint8_t tag, uint8_t kind, uint8_t invoke);

/* Whether the bytes start like an APDU and hold together: tells a right key from a wrong one. */
bool apdu_plausible(const uint8_t *p, size_t n);

/* ---- requests ---- */

struct apdu_request {
        uint8_t tag; /* plain: GET, SET or ACTION request */
        uint8_t kind;
        uint8_t invoke; /* invoke-id-and-priority as sent */
        struct dlms_attr attr;
        struct dlms_selection selection;
        bool last;      /* a block: the last one */
        uint32_t block; /* a block's number; GET next, NEXT: the one acknowledged */
        /* SET value, ACTION parameters (NULL = none), LIST: the values one behind the other (GET:
         * the items), a block: its raw data. */
        const uint8_t *data;
        size_t n;
        const uint8_t *items; /* LIST, LIST_FIRST: the descriptors */
        size_t items_len;
        size_t count; /* of items */
};

void apdu_put_get_next(struct axdr_writer *w, uint8_t invoke, uint32_t block);
void apdu_put_action(struct axdr_writer *w, uint8_t invoke, const struct dlms_attr *method,
                     const uint8_t *params, size_t n);
/* Any request; the inverse of apdu_request_decode(). A kind the service has not: w->failed. */
void apdu_put_request(struct axdr_writer *w, const struct apdu_request *q);
/* Descriptor of an item of a list: attribute with selection, or method (@service ACTION). */
void apdu_put_descriptor(struct axdr_writer *w, enum dlms_service service,
                         const struct dlms_attr *attr, const struct dlms_selection *selection);

/* 0 or DLMS_E_*. */
int apdu_request_decode(const uint8_t *p, size_t n, struct apdu_request *ret);
/* The next attribute of a GET or SET with list; @r over request.items. */
bool apdu_list_next(struct axdr_reader *r, struct dlms_attr *ret_attr,
                    struct dlms_selection *ret_selection);
/* The next method of an ACTION with list. */
bool apdu_method_next(struct axdr_reader *r, struct dlms_attr *ret);
/* The next value of a SET or ACTION with list; @r over request.data. */
bool apdu_value_next(struct axdr_reader *r, const uint8_t **ret_data, size_t *ret_n);

/* ---- responses ---- */

struct apdu_response {
        uint8_t tag, kind, invoke;
        uint8_t result; /* data-access-result or action-result; 0 = success */
        bool last;      /* BLOCK */
        uint32_t block;
        /* A-XDR value, raw block, or the items of a LIST (SET: a result a byte); NULL = none */
        const uint8_t *data;
        size_t n;
        size_t count; /* LIST, LIST_LAST */
};

int apdu_response_decode(const uint8_t *p, size_t n, struct apdu_response *ret);
/* Any response; the inverse of apdu_response_decode(). */
void apdu_put_response(struct axdr_writer *w, const struct apdu_response *a);
/* The next item of a get-response-with-list; *@ret_data NULL when the result is not 0. */
bool apdu_result_next(struct axdr_reader *r, uint8_t *ret_result, const uint8_t **ret_data,
                      size_t *ret_n);
/* The next item of an action-response-with-list; *@ret_data NULL = without return parameters. */
bool apdu_action_next(struct axdr_reader *r, uint8_t *ret_result, const uint8_t **ret_data,
                      size_t *ret_n);

void apdu_put_get_result(struct axdr_writer *w, uint8_t invoke, uint8_t result);
/* Head of get-response-normal with data; the value follows. */
void apdu_put_get_data(struct axdr_writer *w, uint8_t invoke);
void apdu_put_set_result(struct axdr_writer *w, uint8_t invoke, uint8_t result);
void apdu_put_action_result(struct axdr_writer *w, uint8_t invoke, uint8_t result,
                            const uint8_t *data, size_t n);

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

/* confirmed-service-error: which service failed, and a reason of a kind (application-reference,
 * hardware-resource, vde-state-error, service, definition, access, initiate, ...). */
struct apdu_service_error {
        uint8_t service; /* 1 initiate, 5 read, 6 write, ... */
        uint8_t kind;    /* 0 application-reference ... 9 task */
        uint8_t reason;
};

int apdu_service_error_decode(const uint8_t *p, size_t n, struct apdu_service_error *ret);
void apdu_put_service_error(struct axdr_writer *w, const struct apdu_service_error *e);
/* "access: object-undefined"; never NULL. */
const char *apdu_service_error_text(const struct apdu_service_error *e);

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
/* The inverse, but for the tag some meters put before the time. */
void apdu_put_notification(struct axdr_writer *w, const struct apdu_notification *note);

/* ---- general block transfer ---- */

struct apdu_block {
        bool last, streaming;
        uint8_t window;
        uint16_t number, ack;
        const uint8_t *data;
        size_t n;
};

int apdu_block_decode(const uint8_t *p, size_t n, struct apdu_block *ret);
void apdu_put_block(struct axdr_writer *w, const struct apdu_block *b);
/* Bytes before and around the data of a block. */
enum { APDU_BLOCK_HEAD_MAX = 1 + 1 + 2 + 2 + 3 };

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
