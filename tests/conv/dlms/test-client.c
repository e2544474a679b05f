/*
 * The client against meters that misbehave: a conversation is a table of answers, each run whole
 * and byte by byte; what comes out is an event or one exact error.
 */
#include "hr_test.h"

#include <stdbool.h>

#include "dlms/client.h"
#include "hex.h"

enum ask { ASK_GET, ASK_LIST, ASK_SET, ASK_ACTION, ASK_CLOSE };

struct answer {
        const char *apdu;           /* NULL: silence until the deadline; "": connection closed */
        enum dlms_event_type event; /* NONE: the conversation goes on */
        enum dlms_error error;      /* of FAILED */
        uint8_t result;             /* of RESULT */
        const char *data;           /* of RESULT, hexadecimal */
};

struct conversation {
        const char *what;
        enum ask ask;
        bool scratch;
        struct answer answers[6];
};

#define AARE_OK                                                                                    \
        {                                                                                          \
                "6129A109060760857405080101A203020100A305A103020100BE10040E0800065F1F040000521F"   \
                "04000007",                                                                        \
                        DLMS_EV_ASSOCIATED                                                         \
        }
#define FAILS(apdu, e)                                                                             \
        {                                                                                          \
                apdu, DLMS_EV_FAILED, DLMS_E_##e, 0, 0                                             \
        }
#define GOES_ON(apdu)                                                                              \
        {                                                                                          \
                apdu, DLMS_EV_NONE                                                                 \
        }

static const struct conversation conversations[] = {
        /* association */
        { "wrong context",
          ASK_GET,
          false,
          { FAILS("6129A109060760857405080101A203020101A305A103020102BE10040E0800065F1F040000501F01"
                  "F4"
                  "0007",
                  ASSOCIATION_CONTEXT) } },
        { "wrong password",
          ASK_GET,
          false,
          { FAILS("6117A109060760857405080101A203020101A305A10302010D",
                  ASSOCIATION_AUTHENTICATION) } },
        { "unknown title",
          ASK_GET,
          false,
          { FAILS("6117A109060760857405080101A203020101A305A103020103", ASSOCIATION_TITLE) } },
        { "provider's version",
          ASK_GET,
          false,
          { FAILS("6117A109060760857405080101A203020101A305A203020102", ASSOCIATION_VERSION) } },
        { "no reason",
          ASK_GET,
          false,
          { FAILS("6117A109060760857405080101A203020101A305A103020101", ASSOCIATION_REJECTED) } },
        { "initiate error inside",
          ASK_GET,
          false,
          { FAILS("611FA109060760857405080101A203020101A305A103020101BE0604040E010600",
                  ASSOCIATION_INITIATE) } },
        { "initiate of version 5",
          ASK_GET,
          false,
          { FAILS("6129A109060760857405080101A203020100A305A103020100BE10040E0800055F1F040000521F04"
                  "00"
                  "0007",
                  ASSOCIATION_VERSION) } },
        { "AARE cut in its title", ASK_GET, false, { FAILS("6108A10906076085", TRUNCATED) } },
        { "a GET response for an AARE",
          ASK_GET,
          false,
          { FAILS("C401C1000600000001", UNEXPECTED) } },
        { "silence", ASK_GET, false, { FAILS(NULL, TIMEOUT_ASSOCIATE) } },
        { "closed at once", ASK_GET, false, { FAILS("", ASSOCIATION_CLOSED) } },
        /* GET */
        { "a value",
          ASK_GET,
          false,
          { AARE_OK, { "C401C1000600000001", DLMS_EV_RESULT, 0, 0, "0600000001" } } },
        { "a refusal", ASK_GET, false, { AARE_OK, { "C401C10103", DLMS_EV_RESULT, 0, 3, "" } } },
        { "success without a value", ASK_GET, false, { AARE_OK, FAILS("C401C10100", APDU) } },
        { "of another request",
          ASK_GET,
          false,
          { AARE_OK, FAILS("C401C2000600000001", INVOKE_ID) } },
        { "cut short", ASK_GET, false, { AARE_OK, FAILS("C401C10006000000", TRUNCATED) } },
        { "type unknown", ASK_GET, false, { AARE_OK, FAILS("C401C10007", TYPE) } },
        { "kind unknown", ASK_GET, false, { AARE_OK, FAILS("C404C100", APDU) } },
        { "a SET response", ASK_GET, false, { AARE_OK, FAILS("C501C100", UNEXPECTED) } },
        { "a list", ASK_GET, false, { AARE_OK, FAILS("C403C101000600000001", UNEXPECTED) } },
        { "not allowed", ASK_GET, false, { AARE_OK, FAILS("D80101", EXCEPTION_NOT_ALLOWED) } },
        { "operation not possible",
          ASK_GET,
          false,
          { AARE_OK, FAILS("D80201", EXCEPTION_NOT_POSSIBLE) } },
        { "service error", ASK_GET, false, { AARE_OK, FAILS("0E010600", SERVICE_ERROR) } },
        { "silence after association", ASK_GET, false, { AARE_OK, FAILS(NULL, TIMEOUT_REQUEST) } },
        { "a push in between",
          ASK_GET,
          false,
          { AARE_OK,
            { "0F000000010002010600000001", DLMS_EV_NOTIFICATION },
            { "C401C1000600000001", DLMS_EV_RESULT, 0, 0, "0600000001" } } },
        /* GET in blocks */
        { "two blocks joined",
          ASK_GET,
          true,
          { AARE_OK,
            GOES_ON("C402C100000000010003060000"),
            { "C402C1010000000200020001", DLMS_EV_RESULT, 0, 0, "0600000001" } } },
        { "two blocks told one by one",
          ASK_GET,
          false,
          { AARE_OK,
            { "C402C100000000010003060000", DLMS_EV_RESULT, 0, 0, "060000" },
            { "C402C1010000000200020001", DLMS_EV_RESULT, 0, 0, "0001" } } },
        { "a block lost",
          ASK_GET,
          true,
          { AARE_OK, GOES_ON("C402C100000000010003060000"),
            FAILS("C402C1010000000300020001", BLOCK_NUMBER) } },
        { "a block repeated",
          ASK_GET,
          true,
          { AARE_OK, GOES_ON("C402C100000000010003060000"),
            FAILS("C402C100000000010003060000", BLOCK_NUMBER) } },
        { "starting at block 2",
          ASK_GET,
          true,
          { AARE_OK, FAILS("C402C1010000000200020001", BLOCK_NUMBER) } },
        { "given up midway",
          ASK_GET,
          true,
          { AARE_OK,
            GOES_ON("C402C100000000010003060000"),
            { "C402C10100000002010F", DLMS_EV_RESULT, 0, 15, "" } } },
        { "silence midway",
          ASK_GET,
          true,
          { AARE_OK, GOES_ON("C402C100000000010003060000"), FAILS(NULL, TIMEOUT_REQUEST) } },
        { "larger than the room lent",
          ASK_GET,
          true,
          { AARE_OK, GOES_ON("C402C10000000001000C000000000000000000000000"),
            FAILS("C402C10000000002000C000000000000000000000000", TOO_LONG) } },
        /* with list */
        { "two items",
          ASK_LIST,
          false,
          { AARE_OK, { "C403C1020006000000010104", DLMS_EV_RESULT, 0, 0, "0600000001" } } },
        { "fewer items than counted",
          ASK_LIST,
          false,
          { AARE_OK, FAILS("C403C103000600000001", TRUNCATED) } },
        { "no items", ASK_LIST, false, { AARE_OK, FAILS("C403C100", APDU) } },
        /* SET, ACTION */
        { "set", ASK_SET, false, { AARE_OK, { "C501C100", DLMS_EV_RESULT, 0, 0, "" } } },
        { "set denied", ASK_SET, false, { AARE_OK, { "C501C103", DLMS_EV_RESULT, 0, 3, "" } } },
        { "set without result", ASK_SET, false, { AARE_OK, FAILS("C501C1", TRUNCATED) } },
        { "action with data",
          ASK_ACTION,
          false,
          { AARE_OK, { "C701C100010003 01", DLMS_EV_RESULT, 0, 0, "0301" } } },
        { "action refused",
          ASK_ACTION,
          false,
          { AARE_OK, { "C701C10300", DLMS_EV_RESULT, 0, 3, "" } } },
        /* release: whatever the meter says, it is over */
        { "released", ASK_CLOSE, false, { AARE_OK, { "6303800100", DLMS_EV_CLOSED } } },
        { "release refused", ASK_CLOSE, false, { AARE_OK, { "D80102", DLMS_EV_CLOSED } } },
        { "release unanswered", ASK_CLOSE, false, { AARE_OK, { NULL, DLMS_EV_CLOSED } } },
        { "closed on release", ASK_CLOSE, false, { AARE_OK, { "", DLMS_EV_CLOSED } } },
};

static uint8_t scratch[16];

static void ask(struct dlms_client *c, enum ask what)
{
        static const struct dlms_attr attrs[2] = { { 8, { { 0, 0, 1, 0, 0, 255 } }, 2 },
                                                   { 3, { { 1, 0, 1, 8, 0, 255 } }, 2 } };
        int e = -1;

        switch (what) {
        case ASK_GET:
                e = dlms_client_get(c, &attrs[0], NULL, 0);
                break;
        case ASK_LIST:
                e = dlms_client_get_list(c, attrs, 2, 0);
                break;
        case ASK_SET:
                e = dlms_client_set(c, &attrs[1], (const uint8_t *)"\x11\x05", 2, 0);
                break;
        case ASK_ACTION:
                e = dlms_client_action(c, &attrs[0], NULL, 0, 0);
                break;
        case ASK_CLOSE:
                e = dlms_client_close(c, 0);
                break;
        }
        CU_ASSERT_EQUAL(e, 0);
        CU_ASSERT_EQUAL(dlms_client_get(c, &attrs[0], NULL, 0), DLMS_E_BUSY);
}

/* The client's bytes must be whole wrapper frames with its ports. */
static void flush(struct dlms_client *c)
{
        const uint8_t *out;
        size_t n = dlms_client_core.output(c, &out);

        if (n > 0) {
                CU_ASSERT_FATAL(n > WRAPPER_HEADER_SIZE);
                CU_ASSERT_EQUAL((size_t)(out[6] << 8 | out[7]) + WRAPPER_HEADER_SIZE, n);
                CU_ASSERT(out[3] == 16 && out[5] == 1);
        }
        dlms_client_core.output_done(c, n);
}

static void give(struct dlms_client *c, const struct answer *a, size_t chunk)
{
        uint8_t frame[512];
        ssize_t n;

        if (!a->apdu) {
                dlms_client_core.expire(c, dlms_client_core.deadline(c) - 1);
                dlms_client_core.expire(c, dlms_client_core.deadline(c));
                return;
        }
        if (!a->apdu[0]) {
                dlms_client_core.closed(c, 0, 0);
                return;
        }
        n = hex_decode(a->apdu, strlen(a->apdu), frame + 8, sizeof frame - 8);
        CU_ASSERT_FATAL(n > 0);
        wrapper_write(frame, 1, 16, (uint16_t)n);
        n += 8;
        for (size_t at = 0; at < (size_t)n;) {
                size_t part = (size_t)n - at < chunk ? (size_t)n - at : chunk, taken;
                uint8_t *copy = malloc(part);

                memcpy(copy, frame + at, part);
                taken = dlms_client_core.recv(c, copy, part, 0);
                free(copy);
                if (taken == 0)
                        break;
                at += taken;
        }
}

static void check(const struct conversation *t, const struct answer *a, const struct dlms_event *ev)
{
        uint8_t data[64];
        ssize_t n;

        if (ev->type != a->event || (ev->type == DLMS_EV_FAILED && ev->error != a->error)) {
                printf("%s: event %d, %s\n", t->what, ev->type, dlms_error_name(ev->error));
                CU_FAIL("event");
        }
        if (ev->type != DLMS_EV_RESULT)
                return;
        n = hex_decode(a->data, strlen(a->data), data, sizeof data);
        CU_ASSERT_EQUAL(ev->result, a->result);
        CU_ASSERT(ev->len == (size_t)n && (n == 0 || memcmp(ev->data, data, (size_t)n) == 0));
}

static void converse(const struct conversation *t, size_t chunk)
{
        struct dlms_client_config cfg = { .client_sap = 16, .server_sap = 1 };
        static struct dlms_client c;
        struct dlms_event ev;

        if (t->scratch) {
                cfg.scratch = scratch;
                cfg.scratch_size = sizeof scratch;
        }
        CU_ASSERT_EQUAL_FATAL(dlms_client_init(&c, &cfg), 0);
        CU_ASSERT_EQUAL_FATAL(dlms_client_open(&c, 0), 0);
        flush(&c);
        for (int i = 0; i < 6 && (t->answers[i].apdu || t->answers[i].event); i++) {
                give(&c, &t->answers[i], chunk);
                if (!dlms_client_next_event(&c, &ev))
                        ev = (struct dlms_event){ .type = DLMS_EV_NONE };
                check(t, &t->answers[i], &ev);
                if (ev.type == DLMS_EV_ASSOCIATED)
                        ask(&c, t->ask);
                flush(&c);
        }
        /* Nothing more comes, and nothing is waited for in a terminal state. */
        while (dlms_client_next_event(&c, &ev))
                CU_ASSERT(ev.type == DLMS_EV_RESULT && t->ask == ASK_LIST && ev.index == 1 &&
                          ev.result == 4 && ev.last);
        CU_ASSERT_EQUAL(dlms_client_core.deadline(&c) == CORE_NO_DEADLINE,
                        c.state == DLMS_CLIENT_FAILED || c.state == DLMS_CLIENT_CLOSED ||
                                c.state == DLMS_CLIENT_READY);
}

static void whole(void)
{
        for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++)
                converse(&conversations[i], SIZE_MAX);
}

static void byte_by_byte(void)
{
        for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++)
                converse(&conversations[i], 1);
}

static void frames_not_ours(void)
{
        static const struct {
                const char *hex;
                enum dlms_error error;
        } cases[] = {
                { "0002000100100005", DLMS_E_WRAPPER_VERSION },
                { "485454502F312E31", DLMS_E_WRAPPER_VERSION },
                { "0001000200100005", DLMS_E_WRAPPER_ADDRESS },
                { "0001000100110005", DLMS_E_WRAPPER_ADDRESS },
                { "000100010010FFFF", DLMS_E_TOO_LONG },
                { "0001000100100000", DLMS_E_TRUNCATED },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct dlms_client_config cfg = { .client_sap = 16, .server_sap = 1 };
                static struct dlms_client c;
                struct dlms_event ev;
                uint8_t b[8];

                hex_decode(cases[i].hex, 16, b, 8);
                CU_ASSERT_EQUAL(dlms_client_init(&c, &cfg), 0);
                CU_ASSERT_EQUAL(dlms_client_open(&c, 0), 0);
                flush(&c);
                CU_ASSERT_EQUAL(dlms_client_core.recv(&c, b, 8, 0), 8);
                CU_ASSERT(dlms_client_next_event(&c, &ev) && ev.type == DLMS_EV_FAILED);
                CU_ASSERT_EQUAL(ev.error, cases[i].error);
                CU_ASSERT_EQUAL(dlms_client_core.recv(&c, b, 8, 0), 0);
        }
}

static void settings(void)
{
        static const uint8_t word[8];
        struct dlms_client_config bad[] = {
                { .auth = DLMS_AUTH_GMAC, .challenge_len = 16 },
                { .policy = DLMS_POLICY_ENCRYPTED },
                { .auth = DLMS_AUTH_HLS_ECDSA, .challenge_len = 16 },
                { .auth = DLMS_AUTH_HLS_MD5, .secret = word, .secret_len = 8 },
                { .window_rx = 8 },
                { .address_size = 3 },
                { .auth = DLMS_AUTH_LLS, .secret_len = 8 },
                { .scratch_size = 100 },
                { .keys.suite = 3 },
        };
        static struct dlms_client c;

        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CU_ASSERT_EQUAL(dlms_client_init(&c, &bad[i]), DLMS_E_ARGUMENT);
        for (int s = 0; s < DLMS_CLIENT_N_STATES; s++)
                CU_ASSERT(dlms_client_state_name((enum dlms_client_state)s)[0]);
}

HR_TESTS("dlms client", { "conversations, whole", whole },
         { "conversations, byte by byte", byte_by_byte },
         { "frames that are not ours", frames_not_ours },
         { "settings that contradict each other", settings })
