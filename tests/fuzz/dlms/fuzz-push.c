/* Whole messages: unpacking, opening, and the objects of what comes out. */
#include <stdlib.h>
#include <string.h>

#include "dlms/push.h"
#include "dlms/unpack.h"
#include "hex.h"

enum { OBJECTS = 128 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static struct dlms_crypto *crypto;
        static struct dlms_object objects[OBJECTS];
        struct dlms_keys keys = { .has_ek = true, .has_ak = true };
        struct dlms_notification note;
        struct dlms_unpacked u;
        uint8_t *buf;

        if (!crypto)
                crypto = dlms_crypto_new();
        if (n > 65536)
                return 0;
        hex_decode("5C316162209EBB790B52EB0E7FC5B11C", 32, keys.ek, 16);
        hex_decode("92705C5C97286064EABAE38D190F87A4", 32, keys.ak, 16);
        buf = malloc(n ? n : 1);
        if (dlms_unpack(data, n, n & 1, crypto, &keys, NULL, buf, n, &u) == 0) {
                if (u.apdu < buf || u.apdu + u.apdu_len > buf + n)
                        abort();
                if (dlms_push_decode(u.apdu, u.apdu_len, &note, objects, OBJECTS) == 0) {
                        if (note.n_objects > OBJECTS)
                                abort();
                        for (size_t i = 0; i < note.n_objects; i++) {
                                const struct axdr_value *v = &objects[i].value;

                                if ((v->tag == AXDR_OCTET_STRING || v->tag == AXDR_STRUCTURE) &&
                                    (v->p < buf || v->p + v->n > buf + n))
                                        abort();
                                dlms_unit_text(objects[i].unit);
                        }
                }
        }
        for (size_t at = 0; at < n;) { /* captures of several messages always move on */
                if (dlms_unpack_first(data + at, n - at, false, NULL, NULL, NULL, buf, n, &u))
                        break;
                if (u.used == 0 || u.used > n - at)
                        abort();
                at += u.used;
        }
        free(buf);
        return 0;
}
