/*
 * The meter's side as tables: what a client asks, right or wrong, and how each answer begins. Run
 * whole, byte by byte, and with every bit of every request flipped: then any answer, but one to
 * each, and no crash.
 */
#include "hr_test.h"
#include "meter.h"

#include <stdbool.h>
#include <stdlib.h>

#include "dlms/short_name.h"
#include "hex.h"

enum { PAIRS = 8, ANSWER_MAX = 1024 };

enum kind { LOGICAL, BARE, GET_ONLY, SHORT };

struct exchange {
        const char *ask, *answer; /* hexadecimal; the answer begins so, "" = none */
};

static const struct {
        const char *what;
        enum kind kind;
        struct exchange pair[PAIRS];
} tables[] = {
        { "clock", LOGICAL, { { "C001C100080000010000FF0200", "C401C100090C07EA0102" } } },
        { "undefined", LOGICAL, { { "C001C100010000010000FF0200", "C401C10104" } } },
        { "profile in blocks",
          LOGICAL,
          { { "C001C100070100630100FF0200", "C402C1000000000100" },
            { "C002C100000001", "C402C1000000000200" },
            { "C002C100000002", "C402C1000000000300" } } },
        { "the wrong block acknowledged, which ends it",
          LOGICAL,
          { { "C001C100070100630100FF0200", "C402C10000000001" },
            { "C002C100000002", "C401C10113" },
            { "C002C100000001", "C401C10110" } } },
        { "next without blocks", LOGICAL, { { "C002C100000001", "C401C10110" } } },
        { "another request in between",
          LOGICAL,
          { { "C001C100070100630100FF0200", "C402C10000000001" },
            { "C001C200080000010000FF0200", "C401C200" },
            { "C002C100000001", "C401C10110" } } },
        { "blocks not granted: the value cannot go",
          BARE,
          { { "C001C100070100630100FF0200", "C401C1010F" } } },
        { "lists not granted", BARE, { { "C003C10100080000010000FF0200", "D80202" } } },
        { "a selection not granted",
          BARE,
          { { "C001C100070100630100FF0201020204060000000106000000021200011200"
              "00",
              "C401C1010D" } } },
        { "by entry",
          LOGICAL,
          { { "C001C100070100630100FF020102020406000000010600000001120001120000",
              "C401C10001010203" } } },
        { "get with list",
          LOGICAL,
          { { "C003C1020003010001"
              "0800FF03000001010001"
              "0800FF0200",
              "C403C1020002020F00161E0104" } } },
        { "set",
          LOGICAL,
          { { "C101C100030100010800FF02000500000009", "C501C100" },
            { "C001C200030100010800FF0200", "C401C2000500000009" } } },
        { "set of a wrong type", LOGICAL, { { "C101C100030100010800FF02001109", "C501C10C" } } },
        { "set in blocks",
          LOGICAL,
          { { "C102C100030100010800FF0200000000000103050000", "C502C100000001" },
            { "C103C1010000000202000B", "C503C10000000002" },
            { "C001C200030100010800FF0200", "C401C200050000000B" } } },
        { "set with a block left out, which ends it",
          LOGICAL,
          { { "C102C100030100010800FF0200000000000103050000", "C502C100000001" },
            { "C103C1010000000302000B", "C503C11300000003" },
            { "C103C1010000000202000B", "C503C11200000002" } } },
        { "set that does not begin with block 1",
          LOGICAL,
          { { "C102C100030100010800FF0200000000000203050000", "C503C11300000002" } } },
        { "set in blocks that are no value",
          LOGICAL,
          { { "C102C100030100010800FF0200000000000103050000", "C502C100000001" },
            { "C103C10100000002020B0B"
              "",
              "C503C100" },
            { "C102C100030100010800FF0200010000000103050000", "C503C11100000001" } } },
        { "set with list",
          LOGICAL,
          { { "C104C1020003010001"
              "0800FF02000001010001"
              "0800FF020002050000000111"
              "01",
              "C505C1020003" } } },
        { "set with list in blocks",
          LOGICAL,
          { { "C105C1020003010001"
              "0800FF02000001010001"
              "0800FF02000000000001040205000000"
              "",
              "D80203" },
            { "C105C1020003010001"
              "0800FF02000001010001"
              "0800FF0200000000000104020500"
              "00",
              "C502C100000001" },
            { "C103C101000000020400011101", "C504C102000300000002" } } },
        { "fewer values than attributes",
          LOGICAL,
          { { "C104C1020003010001"
              "0800FF02000001010001"
              "0800FF0200010500000001",
              "D80203" } } },
        { "blocks of a set not granted",
          BARE,
          { { "C102C100030100010800FF0200000000000103050000", "D80202" } } },
        { "services not granted",
          GET_ONLY,
          { { "C101C100030100010800FF02000500000009", "D80202" },
            { "C301C10046000060030AFF02010F00", "D80202" },
            { "C001C100030100010800FF0300", "C401C10002020F00161E" } } },
        { "action",
          LOGICAL,
          { { "C301C10046000060030AFF02010F00", "C701C1000100"
                                                "0301" } } },
        { "action undefined", LOGICAL, { { "C301C10047000060030AFF0200", "C701C10400" } } },
        { "action in blocks",
          LOGICAL,
          { { "C304C10046000060030AFF020000000001010F", "C704C100000001" },
            { "C306C101000000020100", "C701C10001000301" } } },
        { "action with a block repeated",
          LOGICAL,
          { { "C304C10046000060030AFF020000000001010F", "C704C100000001" },
            { "C306C101000000010100", "C701C10F00" },
            { "C306C101000000020100", "C701C11000" } } },
        { "actions with list",
          LOGICAL,
          { { "C303C1020046000060030AFF020047000060030AFF01020F0000", "C703C102000100"
                                                                      "03010400" } } },
        { "next of no action", LOGICAL, { { "C302C100000001", "C701C11000" } } },
        { "access",
          LOGICAL,
          { { "D9C00000010003"
              "0100030100010800FF03"
              "0200030100010800FF02"
              "030046000060030AFF02"
              "0300"
              "0500000007"
              "0F00",
              "DAC00000010000"
              "03"
              "02020F00161E"
              "00"
              "0301"
              "03"
              "0100"
              "0200"
              "0300" } } },
        { "access that ends at the first error",
          LOGICAL,
          { { "D9E000000100020100010100010800FF020100030100010800FF03020000",
              "DAE00000010000020000020104"
              "01FA" } } },
        { "access not granted",
          BARE,
          { { "D9C0000001000100010000010000FF02"
              "0100",
              "D80202" } } },
        { "a service it has not", LOGICAL, { { "06010201000111", "D80202" } } },
        { "a request cut", LOGICAL, { { "C001C10008000001", "D80203" } } },
        { "a request in general blocks",
          LOGICAL,
          { { "E0410001000008C001C10003010001", "" },
            { "E08100020000050800FF0300", "E083000100020AC401C10002020F00161E" } } },
        { "general blocks, one missing: asked for",
          LOGICAL,
          { { "E0410001000008C001C10003010001", "" },
            { "E08100030000050800FF0300", "E0830001000100" },
            { "E08100020001050800FF0300", "E083000200020A" } } },
        { "general blocks not granted",
          BARE,
          { { "E081000100000DC001C100030100010800FF0300", "D80202" } } },
        { "read one", SHORT, { { "0501020510", "0C010002020F00161E" } } },
        { "read two", SHORT, { { "0502020510020518", "0C020002020F00161E0104" } } },
        { "read what is not", SHORT, { { "0501020123", "0C010104" } } },
        { "read in blocks",
          SHORT,
          { { "0501026008", "0C0102000001" },
            { "0501050001", "0C0102000002" },
            { "0501050002", "0C0102000003" },
            { "0501050002", "0C010113" },
            { "0501050003", "0C010110" } } },
        { "by entry, short",
          SHORT,
          { { "0501046008020204060000000106000000011200011200"
              "00",
              "0C010001010203" } } },
        { "the list of names",
          SHORT,
          { { "050102FA08", "0C010001030204102BC0120008110009060000" } } },
        { "logical names in between", SHORT, { { "C001C100080000010000FF0200", "D80202" } } },
};

enum { N = sizeof tables / sizeof *tables };

static const struct sn_object names[] = {
        { 0x2BC0, 8, 0, { { 0, 0, 1, 0, 0, 255 } } },
        { 0x0500, 3, 0, { { 1, 0, 1, 8, 0, 255 } } },
        { 0x6000, 7, 1, { { 1, 0, 99, 1, 0, 255 } } },
};

static struct {
        struct dlms_server server;
        struct dlms_server_config cfg;
        struct dlms_server_counters counters;
        struct meter meter;
        uint8_t scratch[8192];
        uint8_t answer[ANSWER_MAX];
        size_t len;
} b;

static void give(const uint8_t *apdu, size_t n, size_t chunk)
{
        uint8_t frame[512];
        size_t len = n + WRAPPER_HEADER_SIZE;
        const uint8_t *out;

        wrapper_write(frame, 16, 1, (uint16_t)n);
        memcpy(frame + WRAPPER_HEADER_SIZE, apdu, n);
        b.len = 0;
        for (size_t at = 0; at < len;) {
                size_t part = len - at < chunk ? len - at : chunk, taken, said;
                uint8_t *copy = malloc(part);

                memcpy(copy, frame + at, part);
                taken = dlms_server_core.recv(&b.server, copy, part, 0);
                free(copy);
                CU_ASSERT_FATAL(taken <= part);
                while ((said = dlms_server_core.output(&b.server, &out)) > 0) {
                        CU_ASSERT_FATAL(said <= sizeof b.answer);
                        memcpy(b.answer, out, said);
                        b.len = said;
                        dlms_server_core.output_done(&b.server, said);
                }
                if (taken == 0)
                        return;
                at += taken;
        }
}

static void start(enum kind kind)
{
        static const uint8_t challenge[16];
        struct dlms_client_config unused;
        uint8_t aarq[64];
        ssize_t n;

        memset(&b, 0, offsetof(__typeof__(b), scratch));
        meter_settings(DLMS_FRAMING_WRAPPER, METER_NONE, false, false, NULL, &unused, &b.cfg);
        b.cfg.sn_objects = names;
        b.cfg.n_sn_objects = 3;
        b.cfg.gbt_window = 3;
        if (kind == GET_ONLY)
                b.cfg.conformance = DLMS_CONF_GET;
        if (kind == BARE)
                b.cfg.conformance = DLMS_CONF_GET | DLMS_CONF_SET | DLMS_CONF_ACTION;
        CU_ASSERT_EQUAL_FATAL(dlms_server_init(&b.server, &b.cfg, &b.counters, &b.meter, b.scratch,
                                               sizeof b.scratch, challenge, 0),
                              0);
        n = hex_decode("601DA109060760857405080101BE10040E01000000065F1F0400FFFFFF0080", 62, aarq,
                       sizeof aarq);
        aarq[12] = kind == SHORT ? 2 : 1;
        give(aarq, (size_t)n, SIZE_MAX);
        CU_ASSERT_EQUAL(b.server.state, DLMS_SERVER_ASSOCIATED);
}

static bool begins(const char *hex)
{
        char said[2 * ANSWER_MAX + 1] = "";

        for (size_t i = WRAPPER_HEADER_SIZE; i < b.len; i++)
                snprintf(said + 2 * (i - WRAPPER_HEADER_SIZE), 3, "%02X", b.answer[i]);
        if (hex[0] ? strncmp(said, hex, strlen(hex)) == 0 : b.len == 0)
                return true;
        printf("%.40s instead of %.40s; ", said, hex);
        return false;
}

static size_t bytes_of(const char *hex, uint8_t out[static 256])
{
        ssize_t n = hex_decode(hex, strlen(hex), out, 256);

        return n > 0 ? (size_t)n : 0;
}

static void run(size_t chunk)
{
        for (int i = 0; i < N; i++) {
                start(tables[i].kind);
                for (int k = 0; k < PAIRS && tables[i].pair[k].answer; k++) {
                        uint8_t apdu[256];

                        give(apdu, bytes_of(tables[i].pair[k].ask, apdu), chunk);
                        if (!begins(tables[i].pair[k].answer)) {
                                printf("%s, %d\n", tables[i].what, k);
                                CU_FAIL("another answer");
                        }
                }
        }
}

static void whole(void)
{
        run(SIZE_MAX);
}

static void byte_by_byte(void)
{
        run(1);
}

static void every_bit_flipped(void)
{
        for (int i = 0; i < N; i++)
                for (int k = 0; k < PAIRS && tables[i].pair[k].answer; k++) {
                        uint8_t apdu[256];
                        size_t n = bytes_of(tables[i].pair[k].ask, apdu);

                        for (size_t bit = 0; bit < 8 * n; bit++) {
                                start(tables[i].kind);
                                for (int j = 0; j < PAIRS && tables[i].pair[j].answer; j++) {
                                        size_t len = bytes_of(tables[i].pair[j].ask, apdu);

                                        if (j == k)
                                                apdu[bit / 8] ^= (uint8_t)(1u << bit % 8);
                                        give(apdu, len, SIZE_MAX);
                                        /* Only a streamed general block has no answer. */
                                        CU_ASSERT(b.len > 0 || apdu[0] == 0xE0);
                                }
                        }
                }
}

HR_TESTS("dlms requests", { "whole", whole }, { "byte by byte", byte_by_byte },
         { "every bit flipped", every_bit_flipped })
