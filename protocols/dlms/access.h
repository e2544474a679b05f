#pragma once

/*
 * The ACCESS service: reads, writes and invokes several things in one exchange, each answered with
 * a value and a result of its own (Green Book 9.3.5, 9.5 Access-Request, Access-Response). Pure;
 * what is decoded is borrowed from the input.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "axdr.h"
#include "dlms.h"

/* Long-invoke-id-and-priority: the number itself and what stands above it. */
enum {
        ACCESS_INVOKE_MASK = 0x00FFFFFF,
        ACCESS_BREAK_ON_ERROR = 0x20000000,
        ACCESS_CONFIRMED = 0x40000000,
        ACCESS_PRIORITY = (int)0x80000000,
};

struct access_request {
        uint32_t invoke;
        const uint8_t *time; /* 12 bytes or NULL */
        size_t count;
        const uint8_t *specs, *data; /* @count each, one behind the other */
        size_t specs_len, data_len;
};

/* 0, DLMS_E_APDU, DLMS_E_TRUNCATED, DLMS_E_TRAILING or what is wrong with a value. */
int access_request_decode(const uint8_t *p, size_t n, struct access_request *ret);
/* The next specification; @r over request.specs. ->data is not set: apdu_value_next() gives it. */
bool access_spec_next(struct axdr_reader *r, struct dlms_item *ret);

/* The items' values go behind all specifications, null-data for a GET and a method without. */
void access_put_request(struct axdr_writer *w, uint32_t invoke, const struct dlms_item *items,
                        size_t n);
/* Bytes access_put_request() writes. */
size_t access_request_size(const struct dlms_item *items, size_t n);

struct access_response {
        uint32_t invoke;
        const uint8_t *time;
        size_t n_specs; /* repeated from the request; usually none */
        const uint8_t *specs;
        size_t specs_len;
        size_t count;
        const uint8_t *data; /* @count values, null-data where there is none */
        size_t data_len;
        const uint8_t *results; /* @count pairs: enum dlms_service, result */
};

int access_response_decode(const uint8_t *p, size_t n, struct access_response *ret);
void access_put_response(struct axdr_writer *w, const struct access_response *a);
