/*
 * Cost of a ciphered push on our side: a 272-byte data-notification in general-glo-ciphering
 * (authenticated and encrypted, suite 0) behind the wrapper's header is unpacked, opened and
 * decoded to its objects.
 *
 *     dlms_push [N]      prints how many a second
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dlms/axdr.h"
#include "dlms/push.h"
#include "dlms/security.h"
#include "dlms/server.h"
#include "dlms/unpack.h"

enum { WANTED = 272, OBJECTS = 64 };

static void die(const char *what)
{
        fprintf(stderr, "dlms_push: %s\n", what);
        exit(1);
}

/* OBIS code, register value, scaler and unit, as many as make the message as long as wanted. */
static size_t build_body(uint8_t *out, size_t cap, unsigned n)
{
        struct axdr_writer w = axdr_writer_of(out, cap);

        axdr_put_array(&w, n);
        for (unsigned i = 0; i < n; i++) {
                axdr_put_structure(&w, 3);
                axdr_put_obis(&w, &OBIS(1, 0, (uint8_t)(1 + i), 8, 0, 255));
                axdr_put_uint32(&w, 1000000 + i);
                axdr_put_scaler_unit(&w, 0, 30);
        }
        return w.failed ? 0 : w.len;
}

int main(int argc, char **argv)
{
        long n = argc > 1 ? atol(argv[1]) : 1000000;
        struct dlms_server_config c = { .framing = DLMS_FRAMING_WRAPPER,
                                        .policy = DLMS_POLICY_AUTHENTICATED_ENCRYPTED,
                                        .server_sap = 1,
                                        .title = { 'H', 'R', 'S', 0, 0, 0, 0, 1 } };
        struct dlms_server_counters counters = { .tx = 1 };
        static struct dlms_object objects[OBJECTS];
        uint8_t body[1024], apdu[1024], framed[1100], work[1100];
        struct dlms_notification note;
        struct dlms_unpacked u;
        struct timespec t0, t1;
        size_t len = 0, values = 0;
        double seconds;

        c.crypto = dlms_crypto_new();
        c.keys.has_ek = c.keys.has_ak = true;
        memset(c.keys.ek, 0x11, 16);
        memset(c.keys.ak, 0x22, 16);
        for (unsigned k = 1; len < WANTED && k < 40; k++) {
                size_t got, b = build_body(body, sizeof body, k);

                if (dlms_push_build(&c, &counters, k, NULL, body, b, apdu, sizeof apdu, &got) ||
                    dlms_push_frame(&c, 0x66, apdu, got, framed, sizeof framed, &len))
                        die("cannot be built");
        }
        clock_gettime(CLOCK_MONOTONIC, &t0);
        for (long i = 0; i < n; i++) {
                if (dlms_unpack(framed, len, false, c.crypto, &c.keys, NULL, work, sizeof work,
                                &u) ||
                    !u.ciphered || !u.protection.tag_checked ||
                    dlms_push_decode(u.apdu, u.apdu_len, &note, objects, OBJECTS))
                        die("does not decode");
                values += note.n_objects;
        }
        clock_gettime(CLOCK_MONOTONIC, &t1);
        seconds = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
        printf("%.0f pushes a second, %zu bytes, %zu values each\n", (double)n / seconds, len,
               n ? values / (size_t)n : 0);
        dlms_crypto_free(c.crypto);
        return 0;
}
