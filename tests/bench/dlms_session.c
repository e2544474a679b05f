/*
 * Cost of a meter's visit on the client's side: associate, clock, capture objects, 96 rows of
 * profile, release. One session is held with the server core and what the server said is recorded;
 * then @N client sessions are played against the record, so that the program's cost is theirs.
 *
 *     dlms_session [-c] [-f wrapper|hdlc] [-a none|lls|gmac] [-i INFO] [-w WINDOW] [N]
 *
 * -c: the capture objects are known from an earlier visit (warm cache); clock and profile are read
 * in one request with list.
 *
 * Instructions: valgrind --tool=callgrind --toggle-collect=play_session dlms_session 100
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../conv/dlms/meter.h"
#include "dlms/profile.h"

enum { SAID_MAX = 256, SCRATCH_SIZE = 16384 };

static struct {
        size_t n, total;
        struct {
                uint8_t *p;
                size_t n;
        } said[SAID_MAX];
} record;

static bool warm;
static struct profile_columns known;
static struct dlms_client_config client_cfg;
static struct dlms_server_config server_cfg;
static uint8_t client_scratch[SCRATCH_SIZE];

static void die(const char *what, enum dlms_error e)
{
        fprintf(stderr, "dlms_session: %s: %s\n", what, dlms_error_text(e));
        exit(1);
}

struct visit {
        struct dlms_client client;
        struct profile_columns columns;
        int step;
        bool done;
        uint64_t sum;
};

static int next_request(struct visit *v)
{
        static const struct dlms_attr attrs[] = {
                { 8, { { 0, 0, 1, 0, 0, 255 } }, 2 },
                { 7, { { 1, 0, 99, 1, 0, 255 } }, 3 },
                { 7, { { 1, 0, 99, 1, 0, 255 } }, 2 },
        };

        static const struct dlms_attr both[] = {
                { 8, { { 0, 0, 1, 0, 0, 255 } }, 2 },
                { 7, { { 1, 0, 99, 1, 0, 255 } }, 2 },
        };

        if (warm && v->step == 0) {
                v->step = 3;
                return dlms_client_get_list(&v->client, both, 2, 0);
        }
        if (v->step < 3)
                return dlms_client_get(&v->client, &attrs[v->step++], NULL, 0);
        return dlms_client_close(&v->client, 0);
}

static void take_result(struct visit *v, const struct dlms_event *ev)
{
        struct profile_reader r;
        struct profile_row row;

        if (ev->result)
                die("result", DLMS_E_UNEXPECTED);
        if (v->step == 2)
                profile_columns_decode(ev->data, ev->len, &v->columns);
        if (v->step != 3 || (warm && ev->index == 0))
                return;
        if (warm)
                v->columns = known;
        if (profile_reader_init(&r, &v->columns, 900, ev->data, ev->len))
                die("profile", DLMS_E_TYPE);
        while (profile_next(&r, &row) == 1)
                v->sum += (uint64_t)row.value[2].i;
}

static void drain(struct visit *v)
{
        struct dlms_event ev;

        while (dlms_client_next_event(&v->client, &ev)) {
                if (ev.type == DLMS_EV_FAILED)
                        die("session", ev.error);
                if (ev.type == DLMS_EV_RESULT)
                        take_result(v, &ev);
                if (ev.type == DLMS_EV_CLOSED)
                        v->done = true;
                else if (ev.type != DLMS_EV_RESULT || ev.last)
                        next_request(v);
        }
}

static void begin(struct visit *v)
{
        v->step = 0;
        v->done = false;
        v->sum = 0;
        if (dlms_client_init(&v->client, &client_cfg) || dlms_client_open(&v->client, 0))
                die("open", DLMS_E_ARGUMENT);
}

/* What the client had to say is dropped: the record knows the answers. */
static void silence(struct visit *v)
{
        const uint8_t *out;

        dlms_client_core.output_done(&v->client, dlms_client_core.output(&v->client, &out));
}

void play_session(struct visit *v);

__attribute__((noinline)) void play_session(struct visit *v)
{
        begin(v);
        silence(v);
        for (size_t i = 0; i < record.n; i++) {
                const uint8_t *p = record.said[i].p;
                size_t n = record.said[i].n;

                while (n > 0) {
                        size_t taken = dlms_client_core.recv(&v->client, p, n, 0);

                        p += taken;
                        n -= taken;
                        drain(v);
                        silence(v);
                }
        }
        if (!v->done || v->sum != 95 * 96 / 2 * 10)
                die("session did not complete", DLMS_E_UNEXPECTED);
}

static void note(const uint8_t *p, size_t n)
{
        if (record.n == SAID_MAX)
                die("record", DLMS_E_TOO_LONG);
        record.said[record.n].p = malloc(n);
        memcpy(record.said[record.n].p, p, n);
        record.said[record.n++].n = n;
        record.total += n;
}

/* What an earlier visit left in the cache. */
static void learn_columns(void)
{
        static const struct dlms_attr columns = { 7, { { 1, 0, 99, 1, 0, 255 } }, 3 };
        const struct dlms_selection all = { 0 };
        struct meter meter = { 0 };
        uint8_t data[512];
        struct axdr_writer w = axdr_writer_of(data, sizeof data);

        if (meter_objects.get(&meter, &columns, &all, &w) ||
            profile_columns_decode(data, w.len, &known))
                die("capture objects", DLMS_E_TYPE);
}

static void record_session(struct visit *v)
{
        static struct dlms_server server;
        static uint8_t scratch[SCRATCH_SIZE];
        static struct meter meter;
        static struct dlms_server_counters counters;
        const uint8_t *out;
        uint8_t copy[8192];

        if (dlms_server_init(&server, &server_cfg, &counters, &meter, scratch, sizeof scratch,
                             meter_challenge, 0))
                die("server", DLMS_E_ARGUMENT);
        begin(v);
        while (!v->done) {
                size_t n = dlms_client_core.output(&v->client, &out), at = 0;

                memcpy(copy, out, n);
                dlms_client_core.output_done(&v->client, n);
                while (at < n)
                        at += dlms_server_core.recv(&server, copy + at, n - at, 0);
                n = dlms_server_core.output(&server, &out);
                if (n == 0)
                        die("server is silent", server.error);
                memcpy(copy, out, n);
                dlms_server_core.output_done(&server, n);
                note(copy, n);
                for (at = 0; at < n;) {
                        at += dlms_client_core.recv(&v->client, copy + at, n - at, 0);
                        drain(v);
                }
        }
}

int main(int argc, char **argv)
{
        enum dlms_framing framing = DLMS_FRAMING_HDLC;
        enum meter_auth auth = METER_GMAC;
        struct dlms_crypto *crypto = dlms_crypto_new();
        static struct visit visit;
        struct timespec t0, t1;
        uint16_t info = 0;
        uint8_t window = 0;
        double seconds;
        long n;
        int opt;

        while ((opt = getopt(argc, argv, "cf:a:i:w:")) != -1) {
                if (opt == 'c')
                        warm = true;
                else if (opt == 'f')
                        framing = strcmp(optarg, "hdlc") == 0 ? DLMS_FRAMING_HDLC
                                                              : DLMS_FRAMING_WRAPPER;
                else if (opt == 'a')
                        auth = strcmp(optarg, "gmac") == 0  ? METER_GMAC
                               : strcmp(optarg, "lls") == 0 ? METER_LLS
                                                            : METER_NONE;
                else if (opt == 'i')
                        info = (uint16_t)atoi(optarg);
                else if (opt == 'w')
                        window = (uint8_t)atoi(optarg);
                else
                        return 2;
        }
        n = optind < argc ? atol(argv[optind]) : 1000;
        meter_settings(framing, auth, true, false, crypto, &client_cfg, &server_cfg);
        server_cfg.max_info = info;
        server_cfg.window = window;
        client_cfg.scratch = client_scratch;
        client_cfg.scratch_size = sizeof client_scratch;
        if (warm)
                learn_columns();
        record_session(&visit);
        clock_gettime(CLOCK_MONOTONIC, &t0);
        for (long i = 0; i < n; i++)
                play_session(&visit);
        clock_gettime(CLOCK_MONOTONIC, &t1);
        seconds = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
        printf("%s %s: %ld sessions, %.1f us each, %u round trips, %zu bytes from the meter, "
               "%zu bytes a session\n",
               framing == DLMS_FRAMING_HDLC ? "hdlc" : "wrapper",
               auth == METER_GMAC  ? "gmac"
               : auth == METER_LLS ? "lls"
                                   : "none",
               n, n ? seconds * 1e6 / (double)n : 0.0, visit.client.round_trips, record.total,
               sizeof(struct dlms_client));
        for (size_t i = 0; i < record.n; i++)
                free(record.said[i].p);
        dlms_crypto_free(crypto);
        return 0;
}
