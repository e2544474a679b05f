#pragma once

/*
 * Growable byte buffer (struct buf) and bounded reader (struct rd).
 *
 * Pure: no I/O. Both carry a sticky error, so that a codec writes or reads a whole
 * message and checks once at the end: after a failure every call does nothing and
 * readers return 0. A buf owns its memory; a rd borrows the bytes it was given.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
        uint8_t *p; /* owned; NULL until the first byte */
        size_t len, cap;
        size_t limit; /* largest length allowed, bytes; 0 = 1 GiB */
        bool failed;  /* out of memory or over the limit; contents up to len stay valid */
};

#define BUF_INIT                                                                                   \
        {                                                                                          \
                0                                                                                  \
        }

void buf_init(struct buf *b);
/* Never grows beyond @limit bytes: what a peer sends cannot exhaust memory. */
void buf_init_limited(struct buf *b, size_t limit);
void buf_deinit(struct buf *b);
/* Empties; keeps the memory and the limit, clears the error. */
void buf_reset(struct buf *b);
/* Makes room for @n more bytes; false (and failed set) when it cannot. */
bool buf_reserve(struct buf *b, size_t n);
/* Room for @n bytes, already counted in len; NULL on failure. */
uint8_t *buf_extend(struct buf *b, size_t n);
/* Drops the first @n bytes. */
void buf_consume(struct buf *b, size_t n);

void buf_put(struct buf *b, const void *p, size_t n);
void buf_put_str(struct buf *b, const char *s);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_be16(struct buf *b, uint16_t v);
void buf_put_be32(struct buf *b, uint32_t v);
void buf_put_be64(struct buf *b, uint64_t v);
void buf_put_le16(struct buf *b, uint16_t v);
void buf_put_le32(struct buf *b, uint32_t v);
void buf_put_le64(struct buf *b, uint64_t v);
/* LEB128, 1-10 bytes; the zigzag form for signed numbers. */
void buf_put_varint(struct buf *b, uint64_t v);
void buf_put_zigzag(struct buf *b, int64_t v);
/* Upper-case hexadecimal. */
void buf_put_hex(struct buf *b, const void *p, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* A JSON string literal with its quotes; bytes that are no UTF-8 become U+FFFD. */
void buf_put_json_str(struct buf *b, const char *s, size_t n);
/* NUL-terminates without counting the NUL; "" when nothing could be stored. Borrowed. */
const char *buf_cstr(struct buf *b);

struct rd {
        const uint8_t *p; /* borrowed */
        size_t n;         /* bytes left */
        bool failed;
};

static inline struct rd rd_of(const void *p, size_t n)
{
        return (struct rd){ .p = (const uint8_t *)p, .n = n };
}

/* @n bytes, or NULL (and failed set) if fewer are left. */
const uint8_t *rd_take(struct rd *r, size_t n);
void rd_skip(struct rd *r, size_t n);
uint8_t rd_u8(struct rd *r);
uint16_t rd_be16(struct rd *r);
uint32_t rd_be32(struct rd *r);
uint64_t rd_be64(struct rd *r);
uint16_t rd_le16(struct rd *r);
uint32_t rd_le32(struct rd *r);
uint64_t rd_le64(struct rd *r);
uint64_t rd_varint(struct rd *r);
int64_t rd_zigzag(struct rd *r);
