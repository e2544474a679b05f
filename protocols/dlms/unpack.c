#include "unpack.h"

#include <string.h>

#include "apdu.h"
#include "channel.h"
#include "envelope.h"
#include "hdlc.h"
#include "protect.h"

enum { LLC_SIZE = 3, LAYERS_MAX = 4, MBUS_HEAD = 9 };

static bool has_llc(const uint8_t *p, size_t n)
{
        return n > LLC_SIZE && p[0] == 0xE6 && (p[1] == 0xE6 || p[1] == 0xE7) && p[2] == 0;
}

/* Information fields of the frames of one message, joined; the LLC header is on its first frame
 * only, so that one behind a complete message begins the next. */
static int join_hdlc(const uint8_t *in, size_t n, bool lenient, uint8_t *buf, size_t *ret_len,
                     size_t *ret_used, bool *ret_damaged)
{
        size_t at = 0, len = 0;
        bool more = false;

        while (at < n) {
                struct hdlc_frame f;
                int size, e;

                /* Fill, line ends of a log, or a flag shared by two frames. */
                if (in[at] != HDLC_FLAG || (at + 1 < n && in[at + 1] == HDLC_FLAG)) {
                        at++;
                        continue;
                }
                if (at + 1 == n && len > 0) {
                        at = n;
                        break;
                }
                size = hdlc_frame_size(in + at, n - at);
                if (size < 0)
                        return -size;
                if (size == 0 || (size_t)size > n - at)
                        return DLMS_E_TRUNCATED;
                e = hdlc_frame_parse(in + at, (size_t)size, &f);
                if (e == DLMS_E_HDLC_FCS && lenient)
                        *ret_damaged = true;
                else if (e)
                        return e;
                if (len > 0 && !more && has_llc(f.info, f.info_len))
                        break;
                at += (size_t)size;
                if (f.info_len == 0)
                        continue;
                if (len == 0 && has_llc(f.info, f.info_len)) {
                        f.info += LLC_SIZE;
                        f.info_len -= LLC_SIZE;
                }
                memcpy(buf + len, f.info, f.info_len);
                len += f.info_len;
                more = f.segmented;
        }
        *ret_len = len;
        *ret_used = at;
        if (len == 0)
                return DLMS_E_TRUNCATED;
        return more ? DLMS_E_TRUNCATED : 0;
}

/* M-Bus long frames with the DLMS transport layer: 68 L L 68 C A CI STSAP DTSAP data CS 16; CI
 * counts segments in its low nibble and says "last" with bit 4. */
static int join_mbus(const uint8_t *in, size_t n, uint8_t *buf, size_t *ret_len, size_t *ret_used)
{
        size_t at = 0, len = 0;
        unsigned sequence = 0;
        bool last = false;

        while (at < n && !last) {
                uint8_t sum = 0;
                size_t size;

                if (n - at < 4 || in[at] != 0x68 || in[at + 3] != 0x68 || in[at + 1] != in[at + 2])
                        return DLMS_E_APDU;
                size = in[at + 1];
                if (size < MBUS_HEAD - 4 || n - at < size + 6)
                        return DLMS_E_TRUNCATED;
                for (size_t i = 0; i < size; i++)
                        sum = (uint8_t)(sum + in[at + 4 + i]);
                if (sum != in[at + 4 + size] || in[at + 5 + size] != 0x16)
                        return DLMS_E_HDLC_FCS;
                if (in[at + 6] > 0x1F)
                        return DLMS_E_APDU; /* M-Bus data, not DLMS */
                if ((in[at + 6] & 0x0F) != (sequence++ & 0x0F))
                        return DLMS_E_BLOCK_NUMBER;
                last = in[at + 6] & 0x10;
                memcpy(buf + len, in + at + MBUS_HEAD, size - (MBUS_HEAD - 4));
                len += size - (MBUS_HEAD - 4);
                at += size + 6;
        }
        *ret_len = len;
        *ret_used = at;
        return last ? 0 : DLMS_E_TRUNCATED;
}

/* Blocks of a general block transfer, one behind the other in @p; joined in place. A series that
 * starts again at 1 replaces what came before, a lost block ends it: nothing is ever spliced. */
static int join_blocks(uint8_t *p, size_t n, size_t *ret_len)
{
        size_t at = 0, len = 0;
        unsigned expected = 1;
        bool last = false;

        while (at < n) {
                struct axdr_reader r;
                struct apdu_block b;
                size_t length, whole;
                int e;

                if (n - at < 7 || p[at] != APDU_GENERAL_BLOCK)
                        return DLMS_E_TRAILING;
                axdr_reader_init(&r, p + at + 6, n - at - 6);
                if (!axdr_length(&r, &length))
                        return r.error;
                whole = (size_t)(r.p - (p + at)) + length;
                if (length > n - at || whole > n - at)
                        return DLMS_E_TRUNCATED;
                e = apdu_block_decode(p + at, whole, &b);
                if (e)
                        return e;
                if (b.number == 1 && expected != 1) {
                        len = 0;
                        expected = 1;
                }
                if (b.number != expected++ || last)
                        return DLMS_E_BLOCK_NUMBER;
                memmove(p + len, b.data, b.n);
                len += b.n;
                last = b.last;
                at += whole;
        }
        *ret_len = len;
        return last ? 0 : DLMS_E_TRUNCATED;
}

static int join(const uint8_t *in, size_t n, bool lenient, uint8_t *buf, struct dlms_unpacked *u)
{
        uint16_t src, dst, length;

        u->used = n;
        if (in[0] == HDLC_FLAG) {
                u->layer = DLMS_LAYER_HDLC;
                return join_hdlc(in, n, lenient, buf, &u->apdu_len, &u->used, &u->damaged);
        }
        if (n >= 4 && in[0] == 0x68 && in[3] == 0x68) {
                u->layer = DLMS_LAYER_MBUS;
                return join_mbus(in, n, buf, &u->apdu_len, &u->used);
        }
        if (n > WRAPPER_HEADER_SIZE && wrapper_read(in, &src, &dst, &length) == 0) {
                u->layer = DLMS_LAYER_WRAPPER;
                if (length > n - WRAPPER_HEADER_SIZE)
                        return DLMS_E_TRUNCATED;
                u->used = WRAPPER_HEADER_SIZE + length;
                memcpy(buf, in + WRAPPER_HEADER_SIZE, length);
                u->apdu_len = length;
                return 0;
        }
        u->layer = DLMS_LAYER_APDU;
        if (has_llc(in, n)) {
                in += LLC_SIZE;
                n -= LLC_SIZE;
        }
        memcpy(buf, in, n);
        u->apdu_len = n;
        return 0;
}

static int open_layers(struct dlms_crypto *crypto, const struct dlms_keys *keys,
                       const uint8_t *title, uint8_t **p, size_t *n, struct dlms_unpacked *u)
{
        struct dlms_end end = { .crypto = crypto, .keys = keys, .peer = title };
        struct dlms_opened o;
        int e = dlms_unseal(&end, *p, *n, &o);

        u->ciphered |= o.ciphered;
        u->is_signed |= o.is_signed;
        if (o.has_title) {
                memcpy(u->title, o.title, sizeof u->title);
                u->has_title = true;
        }
        u->protection = o.protection;
        *p = o.p;
        *n = o.n;
        return e;
}

int dlms_unpack_first(const uint8_t *in, size_t n, bool lenient, struct dlms_crypto *crypto,
                      const struct dlms_keys *keys, const uint8_t *title, uint8_t *buf, size_t cap,
                      struct dlms_unpacked *ret)
{
        struct dlms_unpacked u = { 0 };
        uint8_t *p = buf;
        int e;

        if (n == 0)
                return DLMS_E_TRUNCATED;
        if (cap < n)
                return DLMS_E_TOO_LONG;
        e = join(in, n, lenient, buf, &u);
        for (int layer = 0; !e && layer < LAYERS_MAX && u.apdu_len > 0; layer++) {
                if (p[0] == APDU_GENERAL_BLOCK)
                        e = join_blocks(p, u.apdu_len, &u.apdu_len);
                else if (apdu_is_protected(p[0]))
                        e = open_layers(crypto, keys, title, &p, &u.apdu_len, &u);
                else
                        break;
        }
        if (!e && u.apdu_len == 0)
                e = DLMS_E_TRUNCATED;
        u.apdu = p;
        *ret = u;
        return e;
}

int dlms_unpack(const uint8_t *in, size_t n, bool lenient, struct dlms_crypto *crypto,
                const struct dlms_keys *keys, const uint8_t *title, uint8_t *buf, size_t cap,
                struct dlms_unpacked *ret)
{
        int e = dlms_unpack_first(in, n, lenient, crypto, keys, title, buf, cap, ret);

        return !e && ret->used < n ? DLMS_E_TRAILING : e;
}
