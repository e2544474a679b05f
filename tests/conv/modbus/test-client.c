/*
 * Conversations of the client core as tables: what is asked, what the device sends, what the caller
 * hears. Each is run whole, byte by byte, and cut after every byte (then it must time out).
 */
#include <stdbool.h>

#include "client.h"
#include "hr_test.h"

struct step {
        struct modbus_request ask; /* function 0 = nothing asked */
        const char *reply;
        size_t len;
        enum modbus_event_type event;
        enum modbus_error error;
        uint8_t exception;
        size_t data_len;
        uint32_t tag;
};

#define READ(f, a, c, t)                                                                           \
        {                                                                                          \
                .unit = 1, .function = (f), .address = (a), .count = (c), .tag = (t)               \
        }
#define REPLY(s) s, sizeof(s) - 1

static const uint16_t two[] = { 0x1234, 0x5678 };

static const struct step good[] = {
        { READ(4, 0x100, 2, 7), REPLY("\0\1\0\0\0\7\1\4\4\0\1\xE2\x40"), MODBUS_EV_DONE, MODBUS_OK,
          0, 4, 7 },
        { READ(1, 3, 9, 8), REPLY("\0\2\0\0\0\5\1\1\2\xFF\1"), MODBUS_EV_DONE, MODBUS_OK, 0, 2, 8 },
        { { 1, 16, 0x200, 2, two, 9 },
          REPLY("\0\3\0\0\0\6\1\x10\2\0\0\2"),
          MODBUS_EV_DONE,
          MODBUS_OK,
          0,
          0,
          9 },
        { { 1, 6, 0x200, 1, two, 10 },
          REPLY("\0\4\0\0\0\6\1\6\2\0\x12\x34"),
          MODBUS_EV_DONE,
          MODBUS_OK,
          0,
          0,
          10 },
        { READ(3, 0, 1, 11), REPLY("\0\5\0\0\0\3\1\x83\2"), MODBUS_EV_DONE, MODBUS_E_EXCEPTION, 2,
          0, 11 },
};
static const struct step late_answer[] = {
        { READ(4, 0, 1, 1), REPLY("\0\7\0\0\0\5\1\4\2\0\1\0\1\0\0\0\5\1\4\2\0\2"), MODBUS_EV_DONE,
          MODBUS_OK, 0, 2, 1 },
};
static const struct step wrong_unit[] = {
        { READ(4, 0, 1, 1), REPLY("\0\1\0\0\0\5\2\4\2\0\1"), MODBUS_EV_DONE, MODBUS_E_REPLY, 0, 0,
          1 },
};
static const struct step wrong_function[] = {
        { READ(4, 0, 1, 1), REPLY("\0\1\0\0\0\5\1\3\2\0\1"), MODBUS_EV_DONE, MODBUS_E_REPLY, 0, 0,
          1 },
};
static const struct step wrong_count[] = {
        { READ(4, 0, 2, 1), REPLY("\0\1\0\0\0\5\1\4\2\0\1"), MODBUS_EV_DONE, MODBUS_E_REPLY, 0, 0,
          1 },
        { READ(4, 0, 1, 2), REPLY("\0\2\0\0\0\6\1\4\2\0\1\0"), MODBUS_EV_DONE, MODBUS_E_REPLY, 0, 0,
          2 },
};
static const struct step wrong_echo[] = {
        { { 1, 6, 0x200, 1, two, 1 },
          REPLY("\0\1\0\0\0\6\1\6\2\0\x12\x35"),
          MODBUS_EV_DONE,
          MODBUS_E_REPLY,
          0,
          0,
          1 },
};
static const struct step no_modbus[] = {
        { READ(4, 0, 1, 1), REPLY("HTTP/1.1 400"), MODBUS_EV_FAILED, MODBUS_E_FRAME, 0, 0, 0 },
};
static const struct step rtu[] = {
        { { 0x11, 3, 0x6B, 3, NULL, 1 },
          REPLY("\x11\x03\x06\xAE\x41\x56\x52\x43\x40\x49\xAD"),
          MODBUS_EV_DONE,
          MODBUS_OK,
          0,
          6,
          1 },
        { { 0x11, 3, 0x6B, 3, NULL, 2 },
          REPLY("\x11\x03\x06\xAE\x41\x56\x52\x43\x41\x49\xAD"),
          MODBUS_EV_DONE,
          MODBUS_E_CRC,
          0,
          0,
          2 },
        { { 0x11, 3, 0x6B, 3, NULL, 3 },
          REPLY("\x11\x03\x06\xAE\x41\x56\x52\x43\x40\x49\xAD"),
          MODBUS_EV_DONE,
          MODBUS_OK,
          0,
          6,
          3 },
};

static void flush(struct modbus_client *c)
{
        const uint8_t *out;

        modbus_client_core.output_done(c, modbus_client_core.output(c, &out));
}

/* Offers exactly @n heap bytes. */
static size_t offer(struct modbus_client *c, const char *in, size_t n)
{
        uint8_t *copy = malloc(n);
        size_t taken;

        memcpy(copy, in, n);
        taken = modbus_client_core.recv(c, copy, n, 0);
        free(copy);
        return taken;
}

static void feed(struct modbus_client *c, const char *in, size_t n, size_t chunk)
{
        while (n > 0) {
                size_t taken = offer(c, in, n < chunk ? n : chunk);

                if (taken == 0)
                        return;
                in += taken;
                n -= taken;
        }
}

static void begin(struct modbus_client *c, enum modbus_transport t)
{
        modbus_client_init(c, &(struct modbus_client_config){ .transport = t });
}

static void check_step(struct modbus_client *c, const struct step *s, size_t chunk)
{
        struct modbus_event ev = { 0 };

        CU_ASSERT_EQUAL(modbus_client_request(c, &s->ask, 0), MODBUS_OK);
        CU_ASSERT_EQUAL(modbus_client_request(c, &s->ask, 0), MODBUS_E_BUSY);
        flush(c);
        feed(c, s->reply, s->len, chunk);
        CU_ASSERT_TRUE(modbus_client_next_event(c, &ev));
        CU_ASSERT_EQUAL(ev.type, s->event);
        CU_ASSERT_EQUAL(ev.error, s->error);
        CU_ASSERT_EQUAL(ev.exception, s->exception);
        CU_ASSERT_EQUAL(ev.len, s->data_len);
        CU_ASSERT_EQUAL(ev.tag, s->tag);
        CU_ASSERT_FALSE(modbus_client_next_event(c, &ev));
        CU_ASSERT_EQUAL(modbus_client_pending(c), 0);
        CU_ASSERT_EQUAL(modbus_client_core.deadline(c), CORE_NO_DEADLINE);
}

static void converse(enum modbus_transport t, const struct step *steps, size_t n)
{
        struct modbus_client c;
        struct modbus_event ev = { 0 };

        for (size_t chunk = 1; chunk <= 64; chunk += 21) {
                begin(&c, t);
                for (size_t i = 0; i < n; i++)
                        check_step(&c, &steps[i], chunk);
        }
        /* Cut anywhere within the first answer: one timeout, and then the line is free again. */
        for (size_t cut = 0; cut + 1 < steps[0].len && steps[0].error == MODBUS_OK; cut++) {
                begin(&c, t);
                modbus_client_request(&c, &steps[0].ask, 1000);
                flush(&c);
                feed(&c, steps[0].reply, cut, 64);
                CU_ASSERT_EQUAL(modbus_client_core.deadline(&c), 1000 + MODBUS_TIMEOUT_MS);
                modbus_client_core.expire(&c, 999 + MODBUS_TIMEOUT_MS);
                CU_ASSERT_FALSE(modbus_client_next_event(&c, &ev));
                modbus_client_core.expire(&c, 1000 + MODBUS_TIMEOUT_MS);
                CU_ASSERT_TRUE(modbus_client_next_event(&c, &ev));
                CU_ASSERT_EQUAL(ev.error, MODBUS_E_TIMEOUT);
                CU_ASSERT_EQUAL(ev.tag, steps[0].tag);
                CU_ASSERT_EQUAL(modbus_client_request(&c, &steps[0].ask, 0), MODBUS_OK);
        }
}

#define CONVERSE(t, s) converse((t), (s), sizeof(s) / sizeof *(s))

static void conversations(void)
{
        CONVERSE(MODBUS_TCP, good);
        CONVERSE(MODBUS_TCP, wrong_unit);
        CONVERSE(MODBUS_TCP, wrong_function);
        CONVERSE(MODBUS_TCP, wrong_count);
        CONVERSE(MODBUS_TCP, wrong_echo);
        CONVERSE(MODBUS_TCP, no_modbus);
        CONVERSE(MODBUS_RTU, rtu);
}

/* An answer to somebody else's question first: dropped, counted; ours is still taken. */
static void stray(void)
{
        struct modbus_client c;

        begin(&c, MODBUS_TCP);
        check_step(&c, &late_answer[0], 64);
        CU_ASSERT_EQUAL(c.strays, 1);
        CU_ASSERT_EQUAL(c.data[1], 2);
        begin(&c, MODBUS_TCP);
        for (int i = 0; i <= MODBUS_STRAY_MAX; i++) {
                CU_ASSERT_FALSE(c.failed);
                feed(&c, "\0\x63\0\0\0\5\1\4\2\0\1", 11, 64);
        }
        CU_ASSERT_TRUE(c.failed);
}

/* Eight in flight, answered backwards; each answer finds its request. */
static void window(void)
{
        struct modbus_client c;
        struct modbus_event ev;
        struct modbus_request req = READ(4, 0, 1, 0);
        char reply[] = "\0\0\0\0\0\5\1\4\2\0\0";

        modbus_client_init(&c,
                           &(struct modbus_client_config){ .transport = MODBUS_TCP, .window = 99 });
        for (req.tag = 1; req.tag <= MODBUS_WINDOW_MAX; req.tag++)
                CU_ASSERT_EQUAL(modbus_client_request(&c, &req, req.tag), MODBUS_OK);
        CU_ASSERT_EQUAL(modbus_client_request(&c, &req, 0), MODBUS_E_BUSY);
        CU_ASSERT_EQUAL(modbus_client_core.deadline(&c), 1 + MODBUS_TIMEOUT_MS);
        flush(&c);
        for (uint32_t tag = MODBUS_WINDOW_MAX; tag >= 2; tag--) {
                reply[1] = (char)tag;
                feed(&c, reply, 11, 64);
                /* A second answer waits until the first is heard. */
                CU_ASSERT_EQUAL(offer(&c, reply, 11), 0);
                CU_ASSERT_TRUE(modbus_client_next_event(&c, &ev));
                CU_ASSERT_EQUAL(ev.tag, tag);
        }
        modbus_client_core.closed(&c, -104, 0);
        CU_ASSERT_TRUE(modbus_client_next_event(&c, &ev));
        CU_ASSERT_EQUAL(ev.type, MODBUS_EV_FAILED);
        CU_ASSERT_EQUAL(ev.error, MODBUS_E_CLOSED);
        CU_ASSERT_EQUAL(ev.os_error, -104);
        CU_ASSERT_EQUAL(modbus_client_request(&c, &req, 0), MODBUS_E_CLOSED);
        CU_ASSERT_EQUAL(modbus_client_pending(&c), 0);
}

static void arguments(void)
{
        static const struct modbus_request bad[] = {
                READ(4, 0, 0, 0),          READ(4, 0, 126, 0),     READ(4, 0xFFFF, 2, 0),
                READ(5, 0, 1, 0),          READ(1, 0, 2001, 0),    { 1, 16, 0, 2, NULL, 0 },
                { 1, 16, 0, 124, two, 0 }, { 1, 6, 0, 2, two, 0 },
        };
        struct modbus_client c;

        begin(&c, MODBUS_TCP);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CU_ASSERT_EQUAL(modbus_client_request(&c, &bad[i], 0), MODBUS_E_ARGUMENT);
        CU_ASSERT_EQUAL(c.out_len, 0);
}

HR_TESTS("modbus client", { "conversations", conversations }, { "stray answers", stray },
         { "a window of requests", window }, { "arguments", arguments })
