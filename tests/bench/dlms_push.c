/*
 * Cost of a ciphered push as the head-end takes it: wrapper, general-glo-ciphering (suite 0,
 * authenticated and encrypted), data-notification of 19 registers with OBIS codes, 272 bytes. Each
 * meter has keys of its own, so that every message pays its key schedule unless one meter sends all.
 *
 *     dlms_push [-m METERS] [N]
 *
 * Instructions a push: callgrind over two
 * runs of different N, the difference divided by the difference of N.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dlms/channel.h"
#include "dlms/push.h"
#include "dlms/server.h"
#include "dlms/unpack.h"

enum { METERS_MAX = 1024, REGISTERS = 19, FRAME_MAX = 512 };

static struct {
        struct dlms_keys keys;
        uint8_t frame[FRAME_MAX];
        size_t n;
} meters[METERS_MAX];

static void die(const char *what, int e)
{
        fprintf(stderr, "dlms_push: %s: %s\n", what, dlms_error_text((unsigned)e));
        exit(1);
}

static size_t make_body(uint8_t *out, size_t cap, unsigned meter)
{
        struct axdr_writer w = axdr_writer_of(out, cap);

        axdr_put_structure(&w, 2 * REGISTERS);
        for (uint8_t i = 0; i < REGISTERS; i++) {
                struct obis name = { { 1, 0, (uint8_t)(1 + i), 8, 0, 255 } };

                axdr_put_obis(&w, &name);
                axdr_put_uint32(&w, meter * 1000 + i);
        }
        return w.len;
}

static unsigned no_objects(void *meter, const struct dlms_attr *attr,
                           const struct dlms_selection *selection, struct axdr_writer *w)
{
        (void)meter, (void)attr, (void)selection, (void)w;
        return DLMS_ACCESS_OBJECT_UNDEFINED;
}

static void make_meter(unsigned i, struct dlms_crypto *crypto)
{
        static const struct dlms_server_objects none = { .get = no_objects };
        struct dlms_server_config cfg = {
                .framing = DLMS_FRAMING_WRAPPER,
                .server_sap = 1,
                .policy = DLMS_POLICY_AUTHENTICATED_ENCRYPTED,
                .title = { 'M', 'T', 'R', 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i },
                .crypto = crypto,
                .objects = &none,
        };
        struct dlms_server_counters counters = { .tx = 1000 + i };
        uint8_t body[FRAME_MAX], apdu[FRAME_MAX];
        size_t n;
        int e;

        cfg.keys.has_ek = cfg.keys.has_ak = true;
        for (unsigned k = 0; k < 16; k++) {
                cfg.keys.ek[k] = (uint8_t)(i * 7 + k);
                cfg.keys.ak[k] = (uint8_t)(i * 5 + k);
        }
        meters[i].keys = cfg.keys;
        n = make_body(body, sizeof body, i);
        e = dlms_push_build(&cfg, &counters, i, NULL, body, n, apdu, sizeof apdu, &n);
        if (!e)
                e = dlms_push_frame(&cfg, 1, apdu, n, meters[i].frame, FRAME_MAX, &meters[i].n);
        if (e)
                die("build", e);
}

static uint64_t take(unsigned i, struct dlms_crypto *crypto)
{
        struct dlms_object objects[REGISTERS];
        struct dlms_notification note;
        struct dlms_unpacked u;
        uint8_t buf[FRAME_MAX];
        uint64_t sum = 0;
        int e = dlms_unpack(meters[i].frame, meters[i].n, false, crypto, &meters[i].keys, NULL, buf,
                            sizeof buf, &u);

        if (!e)
                e = dlms_push_decode(u.apdu, u.apdu_len, &note, objects, REGISTERS);
        if (e)
                die("push", e);
        if (note.n_objects != REGISTERS || !u.protection.tag_checked)
                die("push is incomplete", DLMS_E_UNEXPECTED);
        for (size_t k = 0; k < note.n_objects; k++)
                sum += objects[k].value.u;
        return sum;
}

int main(int argc, char **argv)
{
        struct dlms_crypto *crypto = dlms_crypto_new();
        unsigned n_meters = METERS_MAX;
        struct timespec t0, t1;
        uint64_t sum = 0;
        double seconds;
        long n;
        int opt;

        while ((opt = getopt(argc, argv, "m:")) != -1) {
                if (opt != 'm')
                        return 2;
                n_meters = (unsigned)atoi(optarg);
        }
        if (n_meters == 0 || n_meters > METERS_MAX || !crypto)
                return 2;
        n = optind < argc ? atol(argv[optind]) : 100000;
        for (unsigned i = 0; i < n_meters; i++)
                make_meter(i, crypto);
        clock_gettime(CLOCK_MONOTONIC, &t0);
        for (long i = 0; i < n; i++)
                sum += take((unsigned)((unsigned long)i % n_meters), crypto);
        clock_gettime(CLOCK_MONOTONIC, &t1);
        seconds = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
        printf("push of %zu bytes, %u meters: %ld pushes, %.2f us each, %.0f a second, sum %llu\n",
               meters[0].n, n_meters, n, n ? seconds * 1e6 / (double)n : 0.0,
               seconds > 0 ? (double)n / seconds : 0.0, (unsigned long long)sum);
        dlms_crypto_free(crypto);
        return 0;
}
