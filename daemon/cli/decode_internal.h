#pragma once

/* Between the decode_*.c files. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "dlms/dlms.h"
#include "dlms/push.h"
#include "dlms/security.h"
#include "dlms/unpack.h"

enum { DECODE_OBJECTS_MAX = 1024 };

struct decode {
        struct dlms_crypto *crypto;
        struct dlms_object *objects; /* DECODE_OBJECTS_MAX, scratch */
        uint8_t *bytes, *work;       /* scratch for one line */
        size_t cap;
        struct buf extra;  /* further members of the answer, each ",\"key\":value" */
        struct buf found;  /* elements of "objects", separated by commas */
        struct buf values; /* elements of "values" */
        char error[256];   /* "" = decoded */
};

/* Sets the line's error, the first one stays. */
void decode_fail(struct decode *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void decode_fail_dlms(struct decode *d, int error);

/* Bytes of a hexadecimal member, at most @cap; -1 when absent or no hexadecimal. */
long decode_hex_member(const json_t *o, const char *key, uint8_t *out, size_t cap);
/* A key member of exactly its size; sets @ret_has. */
void decode_key_member(const json_t *o, const char *key, uint8_t *out, bool *ret_has);

void decode_put_hex(struct buf *b, const void *p, size_t n);
/* Begins ",\"key\":" in extra. */
struct buf *decode_member(struct decode *d, const char *key);
/* One object into "objects", or "values" when it has no name. @named: others in the body have. */
void decode_put_object(struct decode *d, const struct dlms_object *o, bool named);

/* decode_apdu.c: a plain APDU in words, as a JSON object. */
void decode_describe(struct buf *b, const uint8_t *p, size_t n);
/* One A-XDR value as JSON. */
void decode_put_value(struct buf *b, const uint8_t *p, size_t n);
/* decode_services.c: false when it is none of an association's services. */
bool decode_describe_service(struct buf *b, const uint8_t *p, size_t n);
/* Why such an APDU is refused; 0 when it is not. */
int decode_refused_service(const uint8_t *p, size_t n);
void decode_put_attr(struct buf *b, const struct dlms_attr *a);
/* The objects of an APDU that carries some. @framed: it came in a plain HDLC frame. */
void decode_objects(struct decode *d, const uint8_t *p, size_t n, bool framed);

/* decode_text.c: P1 and IEC 62056-21 telegrams. */
void decode_text(struct decode *d, const char *text, size_t n);
/* m × 10^scaler, exact. */
void decode_put_scaled(struct buf *b, int64_t m, int scaler);
/* decode_mbus.c: M-Bus telegrams that carry records, not DLMS. @key: 16 bytes or NULL. */
bool decode_is_mbus(const uint8_t *p, size_t n);
void decode_mbus(struct decode *d, const uint8_t *p, size_t n, const uint8_t *key);
/* decode_session.c: recorded exchanges. */
void decode_session(struct decode *d, const json_t *line, struct dlms_keys *keys);
/* decode_crypto.c: one cryptographic operation with its published result. */
void decode_crypto(struct decode *d, const json_t *line, const char *op);
