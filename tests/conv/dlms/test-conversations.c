/*
 * Conversations of the services as tables: what the meter says, and all that comes out of it as one
 * line of text. Each runs whole, byte by byte, cut after every byte, and with every bit of every
 * frame flipped: then anything may come out but a crash, a hang, or a word after the last.
 *
 *     A            associated
 *     0=00:1105    a result: item, result in hexadecimal, value
 *     .            the request is done
 *     N:..         a notification, its first four bytes
 *     !name        failed
 */
#include "hr_test.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include "dlms/apdu.h"
#include "dlms/client.h"
#include "hex.h"

enum ask {
        GET,
        GET_LIST,
        SET,
        SET_LONG,
        SET_LIST,
        ACTION,
        ACTION_LONG,
        ACTION_LIST,
        MIXED,
        READ,
        READ_LIST,
        READ_NAME,
};

enum { FRAMES = 8, SAID_MAX = 512 };

struct conversation {
        const char *what;
        enum ask ask;
        const char *frames[FRAMES];
        const char *said;
};

/* Grants everything; APDUs of 128 bytes at most. BARE: nothing but the services;
 * LIST: no ACCESS. */
#define AARE                                                                                       \
        "6129A109060760857405080101A203020100A305A103020100BE10040E0800065F1F0400205E5F00800007"
#define AARE_BARE                                                                                  \
        "6129A109060760857405080101A203020100A305A103020100BE10040E0800065F1F040000001900800007"
#define AARE_LIST                                                                                  \
        "6129A109060760857405080101A203020100A305A103020100BE10040E0800065F1F0400205E1F00800007"
#define AARE_SN                                                                                    \
        "6129A109060760857405080102A203020100A305A103020100BE10040E0800065F1F04001C02200080FA00"

static const struct conversation conversations[] = {
        /* SET */
        { "set", SET, { AARE, "C501C100" }, "A0=00:." },
        { "set refused", SET, { AARE, "C501C10C" }, "A0=0C:." },
        { "set in blocks",
          SET_LONG,
          { AARE, "C502C100000001", "C502C100000002", "C503C10000000003" },
          "A0=00:." },
        { "set in blocks, refused at the end",
          SET_LONG,
          { AARE, "C502C100000001", "C502C100000002", "C503C10C00000003" },
          "A0=0C:." },
        { "set in blocks, given up", SET_LONG, { AARE, "C503C11100000001" }, "A0=11:." },
        { "set in blocks, refused as a whole", SET_LONG, { AARE, "C501C103" }, "A0=03:." },
        { "the wrong block taken", SET_LONG, { AARE, "C502C100000002" }, "A!block_number" },
        { "the same block taken twice",
          SET_LONG,
          { AARE, "C502C100000001", "C502C100000001" },
          "A!block_number" },
        { "success before the end", SET_LONG, { AARE, "C503C10000000001" }, "A!block_number" },
        { "another block's result",
          SET_LONG,
          { AARE, "C502C100000001", "C502C100000002", "C503C10000000002" },
          "A!block_number" },
        { "a block taken of nothing", SET, { AARE, "C502C100000001" }, "A!unexpected" },
        { "a last block of nothing", SET, { AARE, "C503C10000000001" }, "A!unexpected" },
        { "results of one value", SET_LONG, { AARE, "C504C1010000000001" }, "A!unexpected" },
        { "set of two", SET_LIST, { AARE, "C505C1020003" }, "A0=00:1=03:." },
        { "one result of two", SET_LIST, { AARE, "C505C10100" }, "A!unexpected" },
        { "results cut", SET_LIST, { AARE, "C505C10200" }, "A!truncated" },
        { "a list refused whole: one by one",
          SET_LIST,
          { AARE, "C501C1FA", "C501C200", "C501C303" },
          "A0=00:1=03:." },
        { "a list not known: one by one",
          SET_LIST,
          { AARE_LIST, "D80202", "C501C200", "C501C303" },
          "A0=00:1=03:." },
        { "lists not granted", SET_LIST, { AARE_BARE, "C501C100", "C501C203" }, "A0=00:1=03:." },
        /* ACTION */
        { "action", ACTION, { AARE, "C701C10000" }, "A0=00:." },
        { "action with an answer", ACTION, { AARE, "C701C10001001105" }, "A0=00:1105." },
        { "action refused inside", ACTION, { AARE, "C701C100010103" }, "A0=03:." },
        { "answer in blocks",
          ACTION,
          { AARE, "C702C10000000001020001", "C702C1010000000203001105" },
          "A0=00:1105." },
        { "answer in one block, the value alone",
          ACTION,
          { AARE, "C702C10100000001021105" },
          "A0=00:1105." },
        { "answer's block lost",
          ACTION,
          { AARE, "C702C10000000001020001", "C702C1010000000303001105" },
          "A!block_number" },
        { "answer's blocks make no sense",
          ACTION,
          { AARE, "C702C101000000010107" },
          "A!truncated" },
        { "parameters in blocks",
          ACTION_LONG,
          { AARE, "C704C100000001", "C704C100000002", "C701C10001001105" },
          "A0=00:1105." },
        { "parameters and answer in blocks",
          ACTION_LONG,
          { AARE, "C704C100000001", "C704C100000002", "C702C100000000010100",
            "C702C101000000020400", "" },
          "A!truncated" },
        { "parameters and answer in two blocks",
          ACTION_LONG,
          { AARE, "C704C100000001", "C704C100000002", "C702C10000000001020001",
            "C702C1010000000203001105" },
          "A0=00:1105." },
        { "an answer's block before all is said",
          ACTION_LONG,
          { AARE, "C702C101000000010400010011" },
          "A!block_number" },
        { "wrong parameter block taken",
          ACTION_LONG,
          { AARE, "C704C100000003" },
          "A!block_number" },
        { "next without blocks", ACTION, { AARE, "C704C100000001" }, "A!unexpected" },
        { "two actions",
          ACTION_LIST,
          { AARE, "C703C1020001001105"
                  "0400" },
          "A0=00:1105"
          "1=04:." },
        { "two actions in blocks",
          ACTION_LIST,
          { AARE, "C702C10000000001050200010011", "C702C1010000000203050400" },
          "A0=00:1105"
          "1=04:." },
        /* GET with list in blocks */
        { "list in blocks",
          GET_LIST,
          { AARE, "C402C10000000001000402001105", "C402C1010000000200020104" },
          "A0=00:1105"
          "1=04:." },
        { "three of two", GET_LIST, { AARE, "C403C103001105001106001107" }, "A!unexpected" },
        { "a list not known, nor one by one",
          GET_LIST,
          { AARE_LIST, "D80202", "C401C2001105", "D80202" },
          "A0=00:1105"
          "!exception_unknown" },
        { "a service error for a list",
          GET_LIST,
          { AARE_LIST, "0E050302", "C401C2001105", "C401C30104" },
          "A0=00:1105"
          "1=04:." },
        { "too long a list",
          GET_LIST,
          { AARE, "D80104", "C401C2001105", "C401C30104" },
          "A0=00:1105"
          "1=04:." },
        { "a list not known, by ACCESS then",
          GET_LIST,
          { AARE, "D80202", "DAC00000020000021105000201000104" },
          "A0=00:1105"
          "1=04:." },
        { "deciphering failed: not the list's fault",
          GET_LIST,
          { AARE, "D80105" },
          "A!exception_deciphering" },
        { "counter too low: not the list's fault",
          GET_LIST,
          { AARE, "D8010600000007" },
          "A!exception_counter" },
        /* ACCESS */
        { "access",
          MIXED,
          { AARE, "DAC000000100000311050000030100020C0300" },
          "A0=00:1105"
          "1=0C:2=00:." },
        { "access with its request and time",
          MIXED,
          { AARE, "DAC00000010C07EA0B17011002050000000001"
                  "03"
                  "0100010000600100FF02"
                  "0200010000600101FF02"
                  "0300010000600102FF02"
                  "03110500110603010002000300" },
          "A0=00:1105"
          "1=00:2=00:1106." },
        { "access of another request",
          MIXED,
          { AARE, "DAC0000002000000"
                  "00" },
          "A!invoke_id" },
        { "fewer results than values",
          MIXED,
          { AARE, "DAC00000010000031105000002"
                  "01000200" },
          "A!apdu" },
        { "a service that is none",
          MIXED,
          { AARE, "DAC000000100000311050000030900020C0300" },
          "A!apdu" },
        { "access not known: one by one",
          MIXED,
          { AARE, "D80202", "C401C2001105", "C501C300", "C701C40000" },
          "A0=00:1105"
          "1=00:2=00:." },
        { "access not granted",
          MIXED,
          { AARE_BARE, "C401C1001105", "C501C203", "C701C30000" },
          "A0=00:1105"
          "1=03:2=00:." },
        /* general block transfer */
        { "answer in general blocks",
          GET,
          { AARE,
            "E00100010000"
            "03C401C1",
            "E0810002000105"
            "0009027F7E" },
          "A0=00:09027F7E." },
        { "streamed",
          GET,
          { AARE, "E0410001000003C401C1", "E04100020000020009",
            "E081000300000302"
            "7F7E" },
          "A0=00:09027F7E." },
        { "a general block lost: asked for again",
          GET,
          { AARE, "E0410001000003C401C1",
            "E081000300000302"
            "7F7E",
            "E04100020001020009",
            "E081000300010302"
            "7F7E" },
          "A0=00:09027F7E." },
        { "blocks of the service in general blocks",
          GET,
          { AARE,
            "E081000100000C"
            "C402C1000000000100020902",
            "E081000100000C"
            "C402C10100000002000202"
            "03" },
          "A0=00:09020203." },
        { "general blocks of nothing", GET, { AARE, "E0810001000000", NULL }, "A!timeout_request" },
        { "a push in general blocks between",
          GET,
          { AARE, "E04100010000050F00000001", "E0810002000003000911", "C401C1001105" },
          "AN:0F000000"
          "0=00:1105." },
        { "a push between",
          GET,
          { AARE, "0F00000001001105", "C401C1001105" },
          "AN:0F000000"
          "0=00:1105." },
        /* short names */
        { "read", READ, { AARE_SN, "0C01001105" }, "A0=00:1105." },
        { "read by name", READ_NAME, { AARE_SN, "0C010104" }, "A0=04:." },
        { "read two",
          READ_LIST,
          { AARE_SN, "0C02001105"
                     "0104" },
          "A0=00:1105"
          "1=04:." },
        { "one of two read", READ_LIST, { AARE_SN, "0C01001105" }, "A!unexpected" },
        { "two of one read", READ, { AARE_SN, "0C02001105001106" }, "A!unexpected" },
        { "read in blocks",
          READ,
          { AARE_SN, "0C010200000103010009",
            "0C01020100020403"
            "010203" },
          "A0=00:0903010203." },
        { "read's block lost",
          READ,
          { AARE_SN, "0C010200000103010009",
            "0C01020100030403"
            "010203" },
          "A!block_number" },
        { "success without a value", READ, { AARE_SN, "0C010100" }, "A!apdu" },
        { "service error", READ, { AARE_SN, "0E050301" }, "A!service_error" },
        { "an information report between",
          READ,
          { AARE_SN, "1800010200F8011105", "0C01001105" },
          "AN:18000102"
          "0=00:1105." },
};

enum { N = sizeof conversations / sizeof *conversations };

static uint8_t scratch[8192];

static struct {
        struct dlms_client c;
        char said[SAID_MAX];
        bool ended;
        const struct conversation *t;
} b;

static const struct dlms_attr attrs[3] = { { 1, { { 0, 0, 96, 1, 0, 255 } }, 2 },
                                           { 1, { { 0, 0, 96, 1, 1, 255 } }, 2 },
                                           { 1, { { 0, 0, 96, 1, 2, 255 } }, 2 } };
static const struct sn_object names[] = { { 0x0100, 1, 0, { { 0, 0, 96, 1, 0, 255 } } },
                                          { 0x0200, 1, 0, { { 0, 0, 96, 1, 1, 255 } } } };

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
        size_t n = strlen(b.said);
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(b.said + n, sizeof b.said - n, fmt, ap);
        va_end(ap);
}

static int ask(void)
{
        static uint8_t long_value[304] = { 0x09, 0x82, 0x01, 0x2C };
        static const uint8_t two[] = { 0x11, 0x05, 0x12, 0x00, 0x06 };
        static const struct dlms_item mixed[3] = {
                { DLMS_GET, { 1, { { 0, 0, 96, 1, 0, 255 } }, 2 }, { 0 }, NULL, 0 },
                { DLMS_SET, { 1, { { 0, 0, 96, 1, 1, 255 } }, 2 }, { 0 }, two, 2 },
                { DLMS_ACTION, { 1, { { 0, 0, 96, 1, 2, 255 } }, 2 }, { 0 }, NULL, 0 },
        };
        struct dlms_client *c = &b.c;

        switch (b.t->ask) {
        case GET:
        case READ:
                return dlms_client_get(c, &attrs[0], NULL, 0);
        case GET_LIST:
        case READ_LIST:
                return dlms_client_get_list(c, attrs, 2, 0);
        case SET:
                return dlms_client_set(c, &attrs[0], two, 2, 0);
        case SET_LONG:
                return dlms_client_set(c, &attrs[0], long_value, sizeof long_value, 0);
        case SET_LIST:
                return dlms_client_set_list(c, attrs, 2, two, sizeof two, 0);
        case ACTION:
                return dlms_client_action(c, &attrs[0], NULL, 0, 0);
        case ACTION_LONG:
                return dlms_client_action(c, &attrs[0], long_value, sizeof long_value, 0);
        case ACTION_LIST:
                return dlms_client_action_list(c, attrs, 2, two, sizeof two, 0);
        case MIXED:
                return dlms_client_ask(c, mixed, 3, 0);
        case READ_NAME:
                return dlms_client_read(c, 0x0100, NULL, 0);
        }
        return -1;
}

static void on_event(const struct dlms_event *ev)
{
        CU_ASSERT(!b.ended);
        switch (ev->type) {
        case DLMS_EV_ASSOCIATED:
                say("A");
                /* A flipped bit may have taken away what the request needs. */
                if (ask())
                        say("-");
                return;
        case DLMS_EV_RESULT:
                say("%u=%02X:", ev->index, ev->result);
                for (size_t i = 0; i < ev->len && i < 32; i++)
                        say("%02X", ev->data[i]);
                if (ev->last)
                        say(".");
                return;
        case DLMS_EV_NOTIFICATION:
                say("N:");
                for (size_t i = 0; i < 4 && i < ev->len; i++)
                        say("%02X", ev->data[i]);
                return;
        case DLMS_EV_FAILED:
        case DLMS_EV_CLOSED:
        case DLMS_EV_NONE:
                break;
        }
        b.ended = true;
        say("!%s", dlms_error_name(ev->error));
}

static void drain(void)
{
        const uint8_t *out;
        struct dlms_event ev;

        while (dlms_client_next_event(&b.c, &ev))
                on_event(&ev);
        for (size_t n; (n = dlms_client_core.output(&b.c, &out)) > 0;)
                dlms_client_core.output_done(&b.c, n);
}

static void start(const struct conversation *t)
{
        struct dlms_client_config cfg = {
                .client_sap = 16,
                .server_sap = 1,
                .scratch = scratch,
                .scratch_size = sizeof scratch,
                .gbt_window = 4,
                .short_names = t->ask >= READ,
                .sn_objects = names,
                .n_sn_objects = 2,
        };

        b.t = t;
        b.said[0] = '\0';
        b.ended = false;
        CU_ASSERT_EQUAL_FATAL(dlms_client_init(&b.c, &cfg), 0);
        CU_ASSERT_EQUAL_FATAL(dlms_client_open(&b.c, 0), 0);
        drain();
}

/* The frame @k of the meter. */
static size_t frame_of(const struct conversation *t, int k, uint8_t frame[static 512])
{
        ssize_t n = hex_decode(t->frames[k], strlen(t->frames[k]), frame + 8, 512 - 8);

        CU_ASSERT_FATAL(n >= 0);
        wrapper_write(frame, 1, 16, (uint16_t)n);
        return (size_t)n + 8;
}

static void give(const uint8_t *p, size_t n, size_t chunk)
{
        for (size_t at = 0; at < n && !b.ended;) {
                size_t part = n - at < chunk ? n - at : chunk, taken;
                uint8_t *copy = malloc(part);

                memcpy(copy, p + at, part);
                taken = dlms_client_core.recv(&b.c, copy, part, 0);
                free(copy);
                CU_ASSERT_FATAL(taken <= part);
                drain();
                if (taken == 0)
                        return;
                at += taken;
        }
}

/* Silence until nothing is waited for any more. */
static void be_silent(void)
{
        for (int i = 0; i < 10; i++) {
                int64_t at = dlms_client_core.deadline(&b.c);

                if (at == CORE_NO_DEADLINE)
                        return;
                dlms_client_core.expire(&b.c, at);
                drain();
        }
        CU_FAIL("no end");
}

static void converse(const struct conversation *t, size_t chunk)
{
        uint8_t frame[512];

        start(t);
        for (int k = 0; k < FRAMES && t->frames[k] && t->frames[k][0]; k++)
                give(frame, frame_of(t, k, frame), chunk);
        be_silent();
        if (strcmp(b.said, t->said) != 0) {
                printf("%s: %s instead of %s; ", t->what, b.said, t->said);
                CU_FAIL("another outcome");
        }
}

static void whole(void)
{
        for (int i = 0; i < N; i++)
                converse(&conversations[i], SIZE_MAX);
}

static void byte_by_byte(void)
{
        for (int i = 0; i < N; i++)
                converse(&conversations[i], 1);
}

/* What was said before the cut is what is said, then one failure for the silence. */
static void cut_everywhere(void)
{
        for (int i = 0; i < N; i++) {
                const struct conversation *t = &conversations[i];

                for (int k = 0; k < FRAMES && t->frames[k] && t->frames[k][0]; k++) {
                        uint8_t frame[512];
                        size_t n = frame_of(t, k, frame), told;

                        for (size_t cut = 0; cut < n; cut++) {
                                start(t);
                                for (int before = 0; before < k; before++) {
                                        uint8_t earlier[512];

                                        give(earlier, frame_of(t, before, earlier), SIZE_MAX);
                                }
                                give(frame, cut, SIZE_MAX);
                                told = strlen(b.said);
                                CU_ASSERT(b.ended || strncmp(b.said, t->said, told) == 0);
                                be_silent();
                                CU_ASSERT(b.ended || strchr(b.said, '.'));
                        }
                }
        }
}

static void every_bit_flipped(void)
{
        for (int i = 0; i < N; i++) {
                const struct conversation *t = &conversations[i];

                for (int k = 0; k < FRAMES && t->frames[k] && t->frames[k][0]; k++) {
                        uint8_t frame[512];
                        size_t n = frame_of(t, k, frame);

                        for (size_t bit = 0; bit < 8 * n; bit++) {
                                start(t);
                                for (int j = 0; j < FRAMES && t->frames[j] && t->frames[j][0];
                                     j++) {
                                        size_t len = frame_of(t, j, frame);

                                        if (j == k)
                                                frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
                                        give(frame, len, SIZE_MAX);
                                }
                                be_silent();
                                CU_ASSERT(b.ended || b.c.state == DLMS_CLIENT_READY);
                        }
                }
        }
}

HR_TESTS("dlms conversations", { "whole", whole }, { "byte by byte", byte_by_byte },
         { "cut everywhere, then silence", cut_everywhere },
         { "every bit flipped", every_bit_flipped })
