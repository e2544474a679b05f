/*
 * Links: HDLC that loses, repeats and damages frames in both directions, a busy meter, refused
 * frames, pushes in UI frames; several logical devices behind one link; short names over all of it.
 */
#include "meter.h"
#include "pair.h"

#include "dlms/apdu.h"
#include "dlms/axdr.h"
#include "dlms/hdlc.h"
#include "dlms/profile.h"
#include "dlms/short_name.h"
#include "hex.h"

static struct dlms_crypto *crypto[2];

static struct {
        struct joined j;
        struct meter meter;
        struct dlms_client_config ccfg;
        struct dlms_server_config scfg;
        uint8_t client_scratch[16384], server_scratch[16384];
        int step;
        size_t lens[8];
        unsigned results[8];
        uint8_t data[8][4096];
} b;

static void setup(enum dlms_framing framing, enum meter_auth auth)
{
        if (!crypto[0]) {
                crypto[0] = dlms_crypto_new();
                crypto[1] = dlms_crypto_new();
        }
        memset(&b, 0, sizeof b);
        meter_settings(framing, auth, false, false, crypto[0], &b.ccfg, &b.scfg);
        b.scfg.crypto = crypto[1];
        b.ccfg.scratch = b.client_scratch;
        b.ccfg.scratch_size = sizeof b.client_scratch;
        b.ccfg.ic_end = 100000;
        b.j.chunk = SIZE_MAX;
        b.j.now = 1000;
        b.meter.limit = 77;
}

static void start_client(void)
{
        b.j.closed = b.j.failed = false;
        b.step = 0;
        CU_ASSERT_EQUAL_FATAL(dlms_client_init(&b.j.client, &b.ccfg), 0);
        CU_ASSERT_EQUAL_FATAL(dlms_client_open(&b.j.client, b.j.now), 0);
}

static void start_server(void)
{
        static const uint8_t challenge[16] = { 1, 4, 1, 4, 2, 1, 3, 5 };

        CU_ASSERT_EQUAL_FATAL(dlms_server_init(&b.j.server, &b.scfg, &b.j.counters, &b.meter,
                                               b.server_scratch, sizeof b.server_scratch, challenge,
                                               b.j.now),
                              0);
}

static const struct dlms_attr clock_time = { 8, { { 0, 0, 1, 0, 0, 255 } }, 2 };
static const struct dlms_attr energy = { 3, { { 1, 0, 1, 8, 0, 255 } }, 2 };
static const struct dlms_attr profile = { 7, { { 1, 0, 99, 1, 0, 255 } }, 2 };

static void note(const struct dlms_event *ev)
{
        CU_ASSERT_FATAL(b.step < 8 && ev->len <= sizeof b.data[0]);
        b.results[b.step] = ev->result;
        b.lens[b.step] = ev->len;
        if (ev->len)
                memcpy(b.data[b.step], ev->data, ev->len);
}

/* Clock, register, profile, close. */
static void read_all(struct joined *j, const struct dlms_event *ev)
{
        const struct dlms_attr *want[] = { &clock_time, &energy, &profile };

        if (ev->type == DLMS_EV_NOTIFICATION)
                return;
        if (ev->type == DLMS_EV_RESULT) {
                note(ev);
                b.step++;
        }
        CU_ASSERT_EQUAL(b.step < 3 ? dlms_client_get(&j->client, want[b.step], NULL, j->now)
                                   : dlms_client_close(&j->client, j->now),
                        0);
}

static void check_all(void)
{
        if (b.j.failed)
                printf("failed: %s; ", dlms_error_text(b.j.failure.error));
        CU_ASSERT(b.j.closed && !b.j.failed);
        CU_ASSERT_EQUAL(b.step, 3);
        CU_ASSERT_EQUAL(b.lens[0], 14);
        CU_ASSERT_EQUAL(b.lens[1], 5);
        CU_ASSERT(b.data[1][0] == AXDR_INT32 && b.data[1][4] == 77);
        CU_ASSERT_EQUAL(b.lens[2], 2 + METER_ROWS * (2 + 14 + 2 + 5));
}

/* ---- HDLC under faults ---- */

static unsigned dice;

static unsigned roll(unsigned n)
{
        dice = dice * 1103515245 + 12345;
        return (dice >> 16) % n;
}

/* Frames in one burst, each lost, doubled or damaged with a chance of 1 in @odds. */
static size_t spoil(const uint8_t *in, size_t n, uint8_t *out, unsigned odds)
{
        size_t at = 0, len = 0;

        while (at < n) {
                int size = hdlc_frame_size(in + at, n - at);
                unsigned fate = roll(odds * 3);

                CU_ASSERT_FATAL(size > 0 && (size_t)size <= n - at);
                for (int copies = fate == 1 ? 2 : fate == 0 ? 0 : 1; copies > 0; copies--) {
                        memcpy(out + len, in + at, (size_t)size);
                        if (fate == 2)
                                out[len + 1 + roll((unsigned)size - 2)] ^= (uint8_t)(1 + roll(255));
                        len += (size_t)size;
                }
                at += (size_t)size;
        }
        return len;
}

/* Bytes on their way, in order: [0] to the meter, [1] to the client. */
static struct {
        uint8_t p[1 << 17];
        size_t n;
} way[2];

static bool carry_spoilt(bool to_client, unsigned odds)
{
        const struct core_ops *from = to_client ? &dlms_server_core : &dlms_client_core;
        const struct core_ops *to = to_client ? &dlms_client_core : &dlms_server_core;
        void *src = to_client ? (void *)&b.j.server : (void *)&b.j.client;
        void *dst = to_client ? (void *)&b.j.client : (void *)&b.j.server;
        const uint8_t *out;
        size_t n = from->output(src, &out), taken = 0;
        bool moved = n > 0;

        if (n > 0) {
                CU_ASSERT_FATAL(way[to_client].n + 2 * n <= sizeof way[0].p);
                way[to_client].n += spoil(out, n, way[to_client].p + way[to_client].n, odds);
                from->output_done(src, n);
        }
        if (way[to_client].n > 0)
                taken = to->recv(dst, way[to_client].p, way[to_client].n, b.j.now);
        if (to_client)
                joined_drain(&b.j);
        way[to_client].n -= taken;
        memmove(way[to_client].p, way[to_client].p + taken, way[to_client].n);
        return moved || taken > 0;
}

static void run_spoilt(unsigned odds)
{
        way[0].n = way[1].n = 0;
        for (int turns = 0; turns < 50000 && !b.j.closed && !b.j.failed; turns++) {
                bool moved = carry_spoilt(false, odds);

                moved |= carry_spoilt(true, odds);
                if (!moved && !b.j.closed && !b.j.failed) {
                        b.j.now = dlms_client_core.deadline(&b.j.client);
                        dlms_client_core.expire(&b.j.client, b.j.now);
                        joined_drain(&b.j);
                }
        }
}

/* Writes a register's neighbour: long values, so that our side sends windows of segments too. */
static uint8_t long_value[700];

static void write_and_read(struct joined *j, const struct dlms_event *ev)
{
        if (b.step == 0 && ev->type == DLMS_EV_ASSOCIATED) {
                b.step = 3;
                CU_ASSERT_EQUAL(
                        dlms_client_set(&j->client, &energy, long_value, sizeof long_value, j->now),
                        0);
                return;
        }
        if (ev->type == DLMS_EV_RESULT && b.step == 3) {
                /* The meter wants an int32: the value arrived whole, or it would be malformed. */
                CU_ASSERT_EQUAL(ev->result, DLMS_ACCESS_TYPE_UNMATCHED);
                b.step = 0;
                read_all(j, &(struct dlms_event){ .type = DLMS_EV_ASSOCIATED });
                return;
        }
        read_all(j, ev);
}

static void frames_lost_doubled_damaged(void)
{
        static const uint8_t windows[] = { 1, 2, 4, 7 };
        unsigned good = 0, total = 0;
        struct axdr_writer w = axdr_writer_of(long_value, sizeof long_value);

        axdr_put_byte(&w, AXDR_OCTET_STRING);
        axdr_put_length(&w, sizeof long_value - 4);
        for (unsigned seed = 1; seed <= 200; seed++) {
                dice = seed;
                setup(DLMS_FRAMING_HDLC, seed & 1 ? METER_GMAC : METER_NONE);
                b.ccfg.retries = 12;
                b.ccfg.window_tx = b.ccfg.window_rx = windows[seed / 2 % 4];
                b.scfg.window = windows[seed / 8 % 4];
                b.ccfg.max_info_tx = b.ccfg.max_info_rx = 64;
                b.scfg.max_info = 64;
                start_server();
                start_client();
                b.j.on_event = write_and_read;
                run_spoilt(7);
                total++;
                good += b.j.closed && !b.j.failed;
                if (b.j.closed && !b.j.failed)
                        check_all();
                else
                        printf("seed %u: %s; ", seed, dlms_error_text(b.j.failure.error));
        }
        /* One frame in seven is lost, doubled or damaged: all sessions complete. */
        CU_ASSERT_EQUAL(good, total);
}

static void negotiated(void)
{
        static const struct {
                uint16_t ask_tx, ask_rx, offer;
                uint8_t window_tx, window_rx, window, want_tx, want_rx;
                uint16_t got_tx, got_rx;
        } cases[] = {
                { 128, 128, 128, 1, 1, 1, 1, 1, 128, 128 },
                { 500, 1000, 300, 3, 7, 5, 3, 5, 300, 300 },
                { 64, 2000, 2030, 7, 2, 7, 7, 2, 64, 2000 },
                { 0, 0, 0, 0, 0, 0, 1, 1, 128, 128 },
                { 0, 0, 2030, 0, 0, 7, 1, 7, 128, 1024 },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct hdlc_params *p = &b.j.client.channel.params;

                setup(DLMS_FRAMING_HDLC, METER_LLS);
                b.ccfg.max_info_tx = cases[i].ask_tx;
                b.ccfg.max_info_rx = cases[i].ask_rx;
                b.ccfg.window_tx = cases[i].window_tx;
                b.ccfg.window_rx = cases[i].window_rx;
                b.scfg.max_info = cases[i].offer;
                b.scfg.window = cases[i].window;
                start_server();
                start_client();
                b.j.on_event = read_all;
                joined_run(&b.j);
                check_all();
                CU_ASSERT(p->info_tx == cases[i].got_tx && p->info_rx == cases[i].got_rx);
                CU_ASSERT(p->window_tx == cases[i].want_tx && p->window_rx == cases[i].want_rx);
        }
}

static void addresses(void)
{
        static const struct {
                uint16_t sap, physical;
                uint8_t size, got;
        } cases[] = {
                { 1, 0, 0, 1 },    { 1, 17, 0, 2 },     { 1, 17, 4, 4 },  { 16, 0x3FFF, 0, 4 },
                { 1, 1000, 0, 4 }, { 0x3FFF, 0, 0, 4 }, { 127, 1, 2, 2 },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                setup(DLMS_FRAMING_HDLC, METER_LLS);
                b.ccfg.server_sap = b.scfg.server_sap = cases[i].sap;
                b.ccfg.physical = b.scfg.physical = cases[i].physical;
                b.ccfg.address_size = cases[i].size;
                start_server();
                start_client();
                b.j.on_event = read_all;
                joined_run(&b.j);
                check_all();
                CU_ASSERT_EQUAL(b.j.client.channel.server_size, cases[i].got);
                CU_ASSERT_EQUAL(b.j.server.channel.server_size, cases[i].got);
        }
}

/* Any one bit of what the meter sends arrives changed. Over HDLC the frame is repeated and nothing
 * is noticed; over the wrapper it is the same or one error, and under a tag never a wrong value. */
static void one_bit_wrong(void)
{
        for (int i = 0; i < 2; i++) {
                size_t total = 8 * 4000;

                for (size_t bit = 1; bit < total; bit++) {
                        setup(i ? DLMS_FRAMING_WRAPPER : DLMS_FRAMING_HDLC, METER_GMAC);
                        b.ccfg.retries = 3;
                        b.j.flip = bit;
                        start_server();
                        start_client();
                        b.j.on_event = read_all;
                        joined_run(&b.j);
                        total = bit == 1 ? 8 * b.j.delivered : total;
                        if (i == 0 || !b.j.failed)
                                check_all();
                        CU_ASSERT(b.j.failed != b.j.closed);
                }
        }
}

/* ---- single frames, by hand ---- */

static size_t frame_of(uint8_t control, bool to_client, const char *info_hex, uint8_t *out)
{
        uint8_t info[256];
        ssize_t n = info_hex[0] ? hex_decode(info_hex, strlen(info_hex), info, sizeof info) : 0;
        struct hdlc_frame f = {
                .control = control,
                .dst = to_client ? hdlc_address(16, 0, 1) : hdlc_address(1, 17, 2),
                .src = to_client ? hdlc_address(1, 17, 2) : hdlc_address(16, 0, 1),
                .dst_size = to_client ? 1 : 2,
                .src_size = to_client ? 2 : 1,
                .info = info,
                .info_len = (size_t)n,
        };

        CU_ASSERT_FATAL(n >= 0);
        return hdlc_frame_write(&f, out, HDLC_FRAME_MAX);
}

static void client_gets(uint8_t control, const char *info)
{
        uint8_t bytes[HDLC_FRAME_MAX];
        size_t n = frame_of(control, true, info, bytes), at = 0;

        while (at < n) {
                size_t taken = dlms_client_core.recv(&b.j.client, bytes + at, n - at, b.j.now);

                if (taken == 0)
                        break;
                at += taken;
        }
}

/* Control field of the frame the core has to send, which is done then; 0 = none. */
static uint8_t control_sent(const struct core_ops *core, void *c)
{
        const uint8_t *out;
        size_t n = core->output(c, &out);
        struct hdlc_frame f;
        int size;

        if (n == 0)
                return 0;
        size = hdlc_frame_size(out, n);
        CU_ASSERT_FATAL(size > 0 && hdlc_frame_parse(out, (size_t)size, &f) == 0);
        core->output_done(c, n);
        return f.control;
}

#define AARE                                                                                       \
        "E6E7006129A109060760857405080101A203020100A305A103020100BE10040E0800065F1F040000521F0400" \
        "0007"

/* Until the client waits for the answer to its first GET: its I-frame has number 1. */
static void client_asks(void)
{
        setup(DLMS_FRAMING_HDLC, METER_NONE);
        b.ccfg.retries = 2;
        start_client();
        b.j.on_event = read_all;
        CU_ASSERT_EQUAL(control_sent(&dlms_client_core, &b.j.client), HDLC_SNRM | 0x10);
        client_gets(HDLC_UA | 0x10, "");
        CU_ASSERT_EQUAL(control_sent(&dlms_client_core, &b.j.client), 0x10);
        client_gets(0x30, AARE);
        joined_drain(&b.j);
        CU_ASSERT_EQUAL(control_sent(&dlms_client_core, &b.j.client), 0x32);
        CU_ASSERT_EQUAL(b.j.client.state, DLMS_CLIENT_GETTING);
}

static void expire(void)
{
        b.j.now = dlms_client_core.deadline(&b.j.client);
        dlms_client_core.expire(&b.j.client, b.j.now);
        joined_drain(&b.j);
}

static void busy_meter(void)
{
        client_asks();
        /* RNR, our frame not taken: we ask how it is, ten times, longer than retries allow. */
        for (int i = 0; i < 10; i++) {
                client_gets(0x20 | 0x10 | HDLC_RNR, "");
                CU_ASSERT_EQUAL(control_sent(&dlms_client_core, &b.j.client), 0);
                expire();
                CU_ASSERT_EQUAL(control_sent(&dlms_client_core, &b.j.client), 0x31);
        }
        /* Ready again: the frame goes out once more, and is answered. */
        client_gets(0x20 | 0x10 | HDLC_RR, "");
        CU_ASSERT_EQUAL(control_sent(&dlms_client_core, &b.j.client), 0x32);
        client_gets(0x52, "E6E700C401C1000500000007");
        joined_drain(&b.j);
        CU_ASSERT_EQUAL(b.step, 1);
        /* One that never gets ready is given up by name. */
        client_asks();
        for (int i = 0; i < 40 && !b.j.failed; i++) {
                client_gets(0x20 | 0x10 | HDLC_RNR, "");
                expire();
                control_sent(&dlms_client_core, &b.j.client);
        }
        CU_ASSERT(b.j.failed);
        CU_ASSERT_EQUAL(b.j.failure.error, DLMS_E_HDLC_BUSY);
}

static void rejected_frames(void)
{
        /* REJ: the meter lacks our frame. */
        client_asks();
        client_gets(0x20 | 0x10 | HDLC_REJ, "");
        CU_ASSERT_EQUAL(control_sent(&dlms_client_core, &b.j.client), 0x32);
        /* FRMR and DM end the session by name. */
        client_asks();
        client_gets(HDLC_FRMR | 0x10, "100001");
        joined_drain(&b.j);
        CU_ASSERT(b.j.failed && b.j.failure.error == DLMS_E_HDLC_REJECTED);
        client_asks();
        client_gets(HDLC_DM | 0x10, "");
        joined_drain(&b.j);
        CU_ASSERT(b.j.failed && b.j.failure.error == DLMS_E_TRANSPORT_CLOSED);
        setup(DLMS_FRAMING_HDLC, METER_NONE);
        start_client();
        control_sent(&dlms_client_core, &b.j.client);
        client_gets(HDLC_DM | 0x10, "");
        joined_drain(&b.j);
        CU_ASSERT(b.j.failed && b.j.failure.error == DLMS_E_HDLC_REFUSED);
        /* The same answer twice: the second one only counts as acknowledged. */
        client_asks();
        client_gets(0x52, "E6E700C401C1000500000007");
        joined_drain(&b.j);
        CU_ASSERT_EQUAL(control_sent(&dlms_client_core, &b.j.client), 0x54);
        client_gets(0x52, "E6E700C401C1000500000007");
        joined_drain(&b.j);
        CU_ASSERT_EQUAL(b.step, 1);
        CU_ASSERT_EQUAL(control_sent(&dlms_client_core, &b.j.client), 0x51);
}

static uint8_t server_gets(uint8_t control, const char *info)
{
        uint8_t bytes[HDLC_FRAME_MAX];
        size_t n = frame_of(control, false, info, bytes);

        CU_ASSERT_EQUAL(dlms_server_core.recv(&b.j.server, bytes, n, b.j.now), n);
        return control_sent(&dlms_server_core, &b.j.server);
}

static void the_meters_side(void)
{
        setup(DLMS_FRAMING_HDLC, METER_NONE);
        start_server();
        CU_ASSERT_EQUAL(server_gets(0x11, ""), HDLC_DM | 0x10);
        CU_ASSERT_EQUAL(server_gets(0x10, "E6E60060"), HDLC_DM | 0x10);
        CU_ASSERT_EQUAL(server_gets(HDLC_DISC | 0x10, ""), HDLC_DM | 0x10);
        CU_ASSERT_EQUAL(server_gets(HDLC_SNRM | 0x10, ""), HDLC_UA | 0x10);
        CU_ASSERT_EQUAL(server_gets(0x11, ""), 0x11);
        CU_ASSERT_EQUAL(server_gets(0x10 | HDLC_RNR, ""), 0x11);
        CU_ASSERT_EQUAL(server_gets(0xFF, ""), HDLC_FRMR | 0x10); /* no such control field */
        CU_ASSERT_EQUAL(server_gets(0x71, ""), HDLC_FRMR | 0x10); /* N(R) of frames never sent */
        CU_ASSERT_EQUAL(server_gets(0x14, "E6E60062"), 0x11);     /* N(S) 2 before 0: not taken */
        /* A request that comes again, because its answer was lost, is answered again at once. */
        CU_ASSERT_EQUAL(server_gets(0x10, "E6E600C001C100080000010000FF0200"), 0x30);
        CU_ASSERT_EQUAL(server_gets(0x10, "E6E600C001C100080000010000FF0200"), 0x30);
        CU_ASSERT_EQUAL(b.j.server.requests, 1);
        CU_ASSERT_EQUAL(server_gets(HDLC_DISC | 0x10, ""), HDLC_UA | 0x10);
        CU_ASSERT_EQUAL(server_gets(HDLC_SNRM | 0x10, ""), HDLC_UA | 0x10);
        CU_ASSERT_EQUAL(server_gets(0x10, "E6E700C001C1"), 0);
        CU_ASSERT(dlms_server_done(&b.j.server));
        CU_ASSERT_EQUAL(b.j.server.error, DLMS_E_HDLC_LLC);
}

/* ---- pushes in UI frames ---- */

static unsigned pushes;
static size_t push_len;

static void count_pushes(struct joined *j, const struct dlms_event *ev)
{
        if (ev->type == DLMS_EV_NOTIFICATION) {
                pushes++;
                push_len = ev->len;
                CU_ASSERT(ev->len > 4 && ev->data[0] == APDU_DATA_NOTIFICATION);
                return;
        }
        read_all(j, ev);
}

static void client_gets_bytes(const uint8_t *bytes, size_t n)
{
        for (size_t at = 0; at < n;) {
                size_t taken = dlms_client_core.recv(&b.j.client, bytes + at, n - at, b.j.now);

                joined_drain(&b.j);
                CU_ASSERT_FATAL(taken > 0);
                at += taken;
        }
}

static void pushes_between_answers(void)
{
        uint8_t body[900], apdu[1200], frames[2400], block[300];
        struct axdr_writer w = axdr_writer_of(body, sizeof body);
        size_t n, len;

        axdr_put_byte(&w, AXDR_OCTET_STRING);
        axdr_put_length(&w, sizeof body - 4);
        memset(body + 4, 0x5A, sizeof body - 4);
        client_asks();
        b.j.on_event = count_pushes;
        pushes = 0;
        b.scfg.max_info = 100;
        CU_ASSERT_EQUAL(dlms_push_build(&b.scfg, &b.j.counters, 7, NULL, body, sizeof body, apdu,
                                        sizeof apdu, &n),
                        0);
        /* One in ten UI frames, one in general blocks each in a UI frame of its own. */
        CU_ASSERT_EQUAL(dlms_push_frame(&b.scfg, 16, apdu, n, frames, sizeof frames, &len), 0);
        client_gets_bytes(frames, len);
        CU_ASSERT_EQUAL(pushes, 1);
        CU_ASSERT_EQUAL(push_len, n);
        b.scfg.max_info = 400;
        for (unsigned i = 0;; i++) {
                CU_ASSERT_EQUAL(dlms_push_block(apdu, n, 200, i, block, sizeof block, &len), 0);
                if (len == 0)
                        break;
                CU_ASSERT_EQUAL(
                        dlms_push_frame(&b.scfg, 16, block, len, frames, sizeof frames, &len), 0);
                client_gets_bytes(frames, len);
        }
        CU_ASSERT_EQUAL(pushes, 2);
        CU_ASSERT_EQUAL(push_len, n);
        /* A push that broke off in its middle does not spoil the answer. */
        b.scfg.max_info = 100;
        CU_ASSERT_EQUAL(dlms_push_frame(&b.scfg, 16, apdu, n, frames, sizeof frames, &len), 0);
        client_gets_bytes(frames, (size_t)hdlc_frame_size(frames, len));
        client_gets(0x52, "E6E700C401C1000500000007");
        joined_drain(&b.j);
        CU_ASSERT_EQUAL(b.step, 1);
        CU_ASSERT_EQUAL(pushes, 2);
}

/* ---- several devices behind one link ---- */

static void devices_one_after_the_other(void)
{
        static const enum dlms_framing framings[] = { DLMS_FRAMING_WRAPPER, DLMS_FRAMING_HDLC };

        for (int i = 0; i < 4; i++) {
                static struct dlms_client_config unused;
                struct dlms_server_config other[2];
                struct dlms_server_counters counters[2] = { { 0 } };
                struct meter meters[2] = { { .limit = 1002 }, { .limit = 1003 } };
                struct dlms_server_device devices[2];

                setup(framings[i & 1], i & 2 ? METER_GMAC : METER_NONE);
                for (int k = 0; k < 2; k++) {
                        meter_settings(framings[i & 1], i & 2 ? METER_GMAC : METER_NONE, false,
                                       false, crypto[1], &unused, &other[k]);
                        other[k].server_sap = (uint16_t)(2 + k);
                        other[k].title[7] = (uint8_t)(50 + k);
                        devices[k] =
                                (struct dlms_server_device){ &other[k], &counters[k], &meters[k] };
                }
                start_server();
                CU_ASSERT_EQUAL(dlms_server_add_devices(&b.j.server, devices, 2), 0);
                b.j.on_event = read_all;
                for (uint16_t sap = 1; sap <= 4; sap++) {
                        static const int32_t limits[] = { 0, 77, 1002, 1003 };

                        b.ccfg.server_sap = sap;
                        start_client();
                        joined_run(&b.j);
                        if (sap == 4) { /* nobody there */
                                CU_ASSERT(b.j.failed);
                                continue;
                        }
                        CU_ASSERT(b.j.closed && !b.j.failed);
                        CU_ASSERT_EQUAL(b.data[1][3] << 8 | b.data[1][4], limits[sap]);
                        if (i & 2)
                                CU_ASSERT_EQUAL(b.j.client.server_title[7],
                                                sap == 1 ? 7 : 48 + sap);
                }
        }
}

/* ---- short names ---- */

static const struct sn_object names[] = {
        { 0xFA00, 12, 1, { { 0, 0, 40, 0, 0, 255 } } },
        { 0x2BC0, 8, 0, { { 0, 0, 1, 0, 0, 255 } } },
        { 0x0500, 3, 0, { { 1, 0, 1, 8, 0, 255 } } },
        { 0x6000, 7, 1, { { 1, 0, 99, 1, 0, 255 } } },
};

enum { N_NAMES = sizeof names / sizeof *names };

static struct sn_object list[16];
static size_t list_n;
static bool by_entry;

/* Reads the object list first, then by it. */
static void read_by_list(struct joined *j, const struct dlms_event *ev)
{
        static const struct dlms_attr object_list = { 12, { { 0, 0, 40, 0, 0, 255 } }, 2 };
        static const struct dlms_attr two[] = { { 8, { { 0, 0, 1, 0, 0, 255 } }, 2 },
                                                { 3, { { 1, 0, 1, 8, 0, 255 } }, 3 } };
        static uint8_t out[PROFILE_SELECTION_MAX];
        struct dlms_selection s;

        if (ev->type == DLMS_EV_RESULT) {
                note(ev);
                if (!ev->last)
                        return;
                b.step++;
        }
        switch (b.step) {
        case 0:
                CU_ASSERT_EQUAL(dlms_client_get(&j->client, &clock_time, NULL, j->now),
                                DLMS_E_ARGUMENT); /* not in the list, which is still empty */
                CU_ASSERT_EQUAL(dlms_client_get(&j->client, &object_list, NULL, j->now), 0);
                return;
        case 1:
                CU_ASSERT_EQUAL(sn_objects_decode(b.data[0], b.lens[0], list, 16, &list_n), 0);
                j->client.cfg.sn_objects = list;
                j->client.cfg.n_sn_objects = list_n;
                CU_ASSERT_EQUAL(dlms_client_set(&j->client, &energy,
                                                (const uint8_t *)"\x05\0\0\0\1", 5, j->now),
                                DLMS_E_CONFORMANCE);
                CU_ASSERT_EQUAL(dlms_client_get(&j->client, &profile, NULL, j->now), 0);
                return;
        case 2:
                CU_ASSERT_EQUAL(dlms_client_get_list(&j->client, two, 2, j->now), 0);
                return;
        case 3:
                CU_ASSERT_EQUAL(dlms_client_read(&j->client, 0x0500 + 8, NULL, j->now), 0);
                return;
        case 4:
                s = profile_select_entries(5, 14, out);
                CU_ASSERT_EQUAL(dlms_client_get(&j->client, &profile, &s, j->now),
                                by_entry ? 0 : DLMS_E_CONFORMANCE);
                if (by_entry)
                        return;
                CU_ASSERT_EQUAL(dlms_client_read(&j->client, 0x1234, NULL, j->now), 0);
                return;
        default:
                CU_ASSERT_EQUAL(dlms_client_close(&j->client, j->now), 0);
        }
}

static void short_names(void)
{
        static const enum meter_auth auths[] = { METER_NONE, METER_LLS, METER_GMAC,
                                                 METER_GMAC_PLAIN };

        for (int i = 0; i < 32; i++) {
                setup(i & 1 ? DLMS_FRAMING_HDLC : DLMS_FRAMING_WRAPPER, auths[i / 2 % 4]);
                by_entry = i & 8;
                b.j.chunk = i & 16 ? 1 : SIZE_MAX;
                b.ccfg.short_names = true;
                b.ccfg.max_pdu = 200;
                b.scfg.sn_objects = names;
                b.scfg.n_sn_objects = N_NAMES;
                if (!by_entry)
                        b.scfg.conformance = DLMS_CONF_READ | DLMS_CONF_BLOCK_GET;
                start_server();
                start_client();
                b.j.on_event = read_by_list;
                joined_run(&b.j);
                if (b.j.failed)
                        printf("%d: %s; ", i, dlms_error_text(b.j.failure.error));
                CU_ASSERT(b.j.closed && !b.j.failed);
                CU_ASSERT_EQUAL(b.step, 5);
                CU_ASSERT(list_n == N_NAMES && memcmp(list, names, sizeof names) == 0);
                CU_ASSERT_EQUAL(b.lens[1], 2 + METER_ROWS * (2 + 14 + 2 + 5));
                CU_ASSERT_EQUAL(b.lens[2], 6); /* the last of two: scaler and unit */
                CU_ASSERT(b.lens[3] == 5 && b.data[3][4] == 77);
                CU_ASSERT_EQUAL(b.lens[4], by_entry ? 2 + 10 * (2 + 14 + 2 + 5) : 0);
                CU_ASSERT_EQUAL(b.results[4], by_entry ? 0 : DLMS_ACCESS_OBJECT_UNDEFINED);
        }
        /* A meter without: its refusal has a name. */
        setup(DLMS_FRAMING_WRAPPER, METER_NONE);
        b.ccfg.short_names = true;
        start_server();
        start_client();
        b.j.on_event = read_by_list;
        joined_run(&b.j);
        CU_ASSERT(b.j.failed && b.j.failure.error == DLMS_E_ASSOCIATION_CONTEXT);
}

HR_TESTS("dlms links", { "HDLC frames lost, doubled, damaged", frames_lost_doubled_damaged },
         { "one bit wrong", one_bit_wrong }, { "HDLC lengths and windows negotiated", negotiated },
         { "HDLC addresses", addresses }, { "a busy meter", busy_meter },
         { "rejected and repeated frames", rejected_frames },
         { "frames to the meter", the_meters_side },
         { "pushes between answers", pushes_between_answers },
         { "devices one after the other", devices_one_after_the_other },
         { "short names", short_names })
