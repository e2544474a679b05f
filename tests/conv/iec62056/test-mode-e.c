/* Sign-ons over an optical head as tables: what the meter sends when, what we send, what comes of
 * it. Each is held whole, byte by byte, and cut off everywhere. */
#include "hr_test.h"

#include "iec62056/mode_e.h"

struct step {
        const char *expect; /* we send this now (NULL = nothing) */
        const char *give;   /* then this arrives ... */
        int after_ms;       /* ... so long after the step before */
};

struct conversation {
        const char *what;
        struct mode_e_config config;
        struct step steps[8];
        enum mode_e_event_type end;
        enum mode_e_error error;
        uint32_t baud;
        bool confirmed;
        const char *identification;
};

#define ACK_AT(z)                                                                                  \
        "\x06"                                                                                     \
        "2" z "2\r\n"
#define CALL "/?!\r\n"

static const struct conversation conversations[] = {
        { "a meter confirms",
          { .address = "" },
          { { CALL, "/EMH5\\2ABC123\r\n", 300 }, { ACK_AT("5"), ACK_AT("5"), 300 } },
          MODE_E_EV_SWITCH,
          0,
          9600,
          true,
          "EMH5\\2ABC123" },
        { "a meter that does not confirm",
          { .address = "" },
          { { CALL, "/LGZ4\\2ZMD310\r\n", 300 }, { ACK_AT("4"), NULL, 0 } },
          MODE_E_EV_SWITCH,
          0,
          4800,
          false,
          "LGZ4\\2ZMD310" },
        { "the device address is part of the call",
          { .address = "12345678" },
          { { "/?12345678!\r\n", "/ISk6\\2MT382\r\n", 300 }, { ACK_AT("6"), ACK_AT("6"), 30 } },
          MODE_E_EV_SWITCH,
          0,
          19200,
          true,
          "ISk6\\2MT382" },
        { "no faster than the cable can",
          { .max_baud = 2400 },
          { { CALL, "/EMH5\\2X\r\n", 300 }, { ACK_AT("3"), ACK_AT("3"), 300 } },
          MODE_E_EV_SWITCH,
          0,
          2400,
          true,
          "EMH5\\2X" },
        { "a head that throws everything back",
          { .address = "" },
          { { CALL, CALL "/EMH5\\2X\r\n", 300 }, { ACK_AT("5"), ACK_AT("5") ACK_AT("5"), 300 } },
          MODE_E_EV_SWITCH,
          0,
          9600,
          true,
          "EMH5\\2X" },
        { "a head that throws back, a meter that does not confirm",
          { .address = "" },
          { { CALL, CALL "/EMH5\\2X\r\n", 300 }, { ACK_AT("5"), ACK_AT("5"), 10 } },
          MODE_E_EV_SWITCH,
          0,
          9600,
          false,
          "EMH5\\2X" },
        { "the meter has changed its rate already",
          { .address = "" },
          { { CALL, "/EMH5\\2X\r\n", 300 }, { ACK_AT("5"), "\x7f\x31\x60", 300 } },
          MODE_E_EV_SWITCH,
          0,
          9600,
          false,
          "EMH5\\2X" },
        { "noise before the confirmation",
          { .address = "" },
          { { CALL, "/EMH5\\2X\r\n", 300 },
            { ACK_AT("5"),
              "\x7f"
              "\x06" ACK_AT("5"),
              300 } },
          MODE_E_EV_SWITCH,
          0,
          9600,
          true,
          "EMH5\\2X" },
        { "parity still on the characters",
          { .address = "" },
          { { CALL,
              "\xaf"
              "EMH5\\2X\x8d\n",
              300 },
            { ACK_AT("5"), ACK_AT("5"), 30 } },
          MODE_E_EV_SWITCH,
          0,
          9600,
          true,
          "EMH5\\2X" },
        { "the second call is heard",
          { .tries = 2 },
          { { CALL, NULL, 0 }, { CALL, "/EMH5\\2X\r\n", 300 }, { ACK_AT("5"), ACK_AT("5"), 30 } },
          MODE_E_EV_SWITCH,
          0,
          9600,
          true,
          "EMH5\\2X" },
        { "nobody there",
          { .tries = 2 },
          { { CALL, NULL, 0 }, { CALL, NULL, 0 } },
          MODE_E_EV_FAILED,
          MODE_E_SILENT,
          0,
          false,
          "" },
        { "only noise",
          { .tries = 2 },
          { { CALL,
              "\x01\x02"
              "abc\r\n",
              10 },
            { NULL, NULL, 0 },
            { CALL, NULL, 0 } },
          MODE_E_EV_FAILED,
          MODE_E_GARBLED,
          0,
          false,
          "" },
        { "no end of line",
          { .tries = 1 },
          { { CALL, "/EMH5\\2never ends", 300 } },
          MODE_E_EV_FAILED,
          MODE_E_GARBLED,
          0,
          false,
          "" },
        { "a meter of mode C only",
          { .tries = 1 },
          { { CALL, "/EMH5ABC\r\n", 300 } },
          MODE_E_EV_FAILED,
          MODE_E_NOT_OFFERED,
          0,
          false,
          "EMH5ABC" },
        { "a meter of mode C, told to try",
          { .insist = true },
          { { CALL, "/EMH5ABC\r\n", 300 }, { ACK_AT("5"), ACK_AT("5"), 30 } },
          MODE_E_EV_SWITCH,
          0,
          9600,
          true,
          "EMH5ABC" },
        { "a meter of mode B cannot be told to try",
          { .insist = true },
          { { CALL, "/EMHCABC\r\n", 300 } },
          MODE_E_EV_FAILED,
          MODE_E_RATE,
          0,
          false,
          "EMHCABC" },
};

enum { N = sizeof conversations / sizeof *conversations };

struct run {
        struct mode_e m;
        int64_t now;
        struct mode_e_event last;
        unsigned ends;
        bool identified;
};

static void drain(struct run *r)
{
        struct mode_e_event ev;

        while (mode_e_next_event(&r->m, &ev)) {
                if (ev.type == MODE_E_EV_IDENTIFIED) {
                        r->identified = true;
                        continue;
                }
                r->last = ev;
                r->ends++;
        }
}

static void feed(struct run *r, const char *s, size_t n, size_t piece)
{
        while (n > 0) {
                size_t take = piece < n ? piece : n, taken;
                uint8_t *copy = malloc(take);

                memcpy(copy, s, take);
                taken = mode_e_core.recv(&r->m, copy, take, r->now);
                free(copy);
                drain(r);
                s += taken;
                n -= taken;
                if (taken == 0 && r->m.state == MODE_E_DONE)
                        return;
        }
}

static void wait_until_quiet(struct run *r)
{
        r->now = mode_e_core.deadline(&r->m);
        mode_e_core.expire(&r->m, r->now);
        drain(r);
}

static void expect(struct run *r, const char *what, const char *bytes)
{
        const uint8_t *out;
        size_t n = mode_e_core.output(&r->m, &out);

        CU_ASSERT_EQUAL(n, strlen(bytes));
        CU_ASSERT(n == strlen(bytes) && memcmp(out, bytes, n) == 0);
        if (n != strlen(bytes) || memcmp(out, bytes, n) != 0)
                printf("%s: sends %.*s\n", what, (int)n, (const char *)out);
        /* In two writes. */
        mode_e_core.output_done(&r->m, n / 2);
        mode_e_core.output_done(&r->m, n - n / 2);
}

static void hold(struct run *r, const struct conversation *c, size_t piece)
{
        *r = (struct run){ .now = 5000 };
        CU_ASSERT_EQUAL(mode_e_init(&r->m, &c->config), MODE_E_OK);
        mode_e_open(&r->m, r->now);
        for (size_t i = 0; i < 8 && (c->steps[i].expect || c->steps[i].give); i++) {
                const struct step *s = &c->steps[i];

                if (s->expect)
                        expect(r, c->what, s->expect);
                r->now += s->after_ms;
                if (s->give)
                        feed(r, s->give, strlen(s->give), piece);
                else
                        wait_until_quiet(r);
        }
        while (!r->ends && mode_e_core.deadline(&r->m) != CORE_NO_DEADLINE) {
                const uint8_t *out;

                wait_until_quiet(r);
                mode_e_core.output_done(&r->m, mode_e_core.output(&r->m, &out));
        }
}

static void test_conversations(void)
{
        struct run r;

        for (size_t i = 0; i < N; i++)
                for (size_t piece = 1; piece <= 64; piece += 21) {
                        const struct conversation *c = &conversations[i];

                        hold(&r, c, piece);
                        CU_ASSERT_EQUAL(r.ends, 1);
                        CU_ASSERT_EQUAL(r.last.type, c->end);
                        CU_ASSERT_EQUAL(r.last.error, c->error);
                        CU_ASSERT(r.last.type != MODE_E_EV_SWITCH || r.last.baud == c->baud);
                        CU_ASSERT_EQUAL(r.last.confirmed, c->confirmed);
                        CU_ASSERT_STRING_EQUAL(r.m.identification, c->identification);
                        CU_ASSERT_EQUAL(r.identified, c->identification[0] != 0);
                        if (r.last.type != c->end || r.last.error != c->error)
                                printf("%s: ends with %d %s\n", c->what, r.last.type,
                                       mode_e_error_name(r.last.error));
                }
}

/* The line goes dead after every byte of every conversation: one end, and it is a failure or what
 * was reached before. */
static void test_cut(void)
{
        for (size_t i = 0; i < N; i++) {
                const char *first = conversations[i].steps[0].give;

                for (size_t cut = 0; first && cut < strlen(first); cut++) {
                        struct run r = { .now = 1 };

                        mode_e_init(&r.m, &conversations[i].config);
                        mode_e_open(&r.m, r.now);
                        feed(&r, first, cut, 1);
                        mode_e_core.closed(&r.m, -5, r.now);
                        drain(&r);
                        CU_ASSERT_EQUAL(r.ends, 1);
                        CU_ASSERT(r.last.type == MODE_E_EV_FAILED);
                        CU_ASSERT_EQUAL(mode_e_core.deadline(&r.m), CORE_NO_DEADLINE);
                }
        }
}

static void test_wake_up(void)
{
        struct mode_e m;
        const uint8_t *out;
        size_t n;

        CU_ASSERT_EQUAL(mode_e_init(&m, &(struct mode_e_config){ .wake_up = true }), MODE_E_OK);
        mode_e_open(&m, 0);
        n = mode_e_core.output(&m, &out);
        /* 2.1 to 2.3 seconds of zeros at 300 baud, ten bits each. */
        CU_ASSERT(n * 10 * 1000 / 300 >= 2100 && n * 10 * 1000 / 300 <= 2300);
        for (size_t i = 0; i < n; i++)
                CU_ASSERT_EQUAL(out[i], 0);
        mode_e_core.output_done(&m, n);
        CU_ASSERT(mode_e_core.deadline(&m) >= 2200 + 1500);
        mode_e_core.expire(&m, mode_e_core.deadline(&m));
        CU_ASSERT_EQUAL(mode_e_core.output(&m, &out), 5);
}

static void test_arguments(void)
{
        struct mode_e_config bad = { .address = "12!34" };
        struct mode_e m;
        char maker[4];

        CU_ASSERT_EQUAL(mode_e_init(&m, &bad), MODE_E_ARGUMENT);
        memset(bad.address, 'A', sizeof bad.address);
        CU_ASSERT_EQUAL(mode_e_init(&m, &bad), MODE_E_ARGUMENT);
        CU_ASSERT_EQUAL(mode_e_init(&m, &(struct mode_e_config){ .max_baud = 100 }),
                        MODE_E_ARGUMENT);
        mode_e_maker("EMH5\\2X", maker);
        CU_ASSERT_STRING_EQUAL(maker, "EMH");
        mode_e_maker("E", maker);
        CU_ASSERT_STRING_EQUAL(maker, "");
        for (unsigned e = 0; e < MODE_E_N_ERRORS; e++)
                CU_ASSERT(*mode_e_error_text(e) && *mode_e_error_name(e));
        CU_ASSERT_STRING_EQUAL(mode_e_error_name(MODE_E_N_ERRORS), "unknown");
}

HR_TESTS("mode-e", { "sign-ons, whole and in pieces", test_conversations },
         { "cut off everywhere", test_cut }, { "battery meters are woken", test_wake_up },
         { "arguments, names", test_arguments })
