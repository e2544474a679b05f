/* Framing and the register map: bytes known from the specification and from devices' manuals. */
#include <errno.h>
#include <stdbool.h>

#include "hr_test.h"
#include "map.h"
#include "modbus.h"
#include "server.h"

static enum modbus_error parse(enum modbus_transport t, enum modbus_direction dir, const void *p,
                               size_t n, struct modbus_adu *ret)
{
        uint8_t *copy = malloc(n ? n : 1);
        enum modbus_error e;

        memcpy(copy, p, n);
        e = modbus_frame_parse(t, dir, copy, n, ret);
        free(copy);
        return e;
}

static void tcp_frames(void)
{
        static const uint8_t frame[] = { 0x12, 0x34, 0, 0, 0, 6, 0x11, 3, 0, 0x6B, 0, 3 };
        uint8_t bad[sizeof frame], out[MODBUS_ADU_MAX];
        struct modbus_adu adu = { 0 };

        for (size_t n = 0; n < sizeof frame; n++)
                CU_ASSERT_EQUAL(parse(MODBUS_TCP, MODBUS_REQUEST, frame, n, &adu), MODBUS_E_SHORT);
        CU_ASSERT_EQUAL(parse(MODBUS_TCP, MODBUS_REQUEST, frame, sizeof frame, &adu), MODBUS_OK);
        CU_ASSERT_EQUAL(adu.transaction, 0x1234);
        CU_ASSERT_EQUAL(adu.unit, 0x11);
        CU_ASSERT_EQUAL(adu.pdu_len, 5);
        CU_ASSERT_EQUAL(adu.size, sizeof frame);
        CU_ASSERT_EQUAL(modbus_frame_put(MODBUS_TCP, 0x1234, 0x11, frame + 7, 5, out),
                        sizeof frame);
        CU_ASSERT_EQUAL(memcmp(out, frame, sizeof frame), 0);

        memcpy(bad, frame, sizeof bad);
        bad[3] = 1;
        CU_ASSERT_EQUAL(parse(MODBUS_TCP, MODBUS_REQUEST, bad, 4, &adu), MODBUS_E_FRAME);
        memcpy(bad, frame, sizeof bad);
        bad[5] = 1;
        CU_ASSERT_EQUAL(parse(MODBUS_TCP, MODBUS_REQUEST, bad, 6, &adu), MODBUS_E_FRAME);
        bad[5] = 255;
        CU_ASSERT_EQUAL(parse(MODBUS_TCP, MODBUS_REQUEST, bad, 6, &adu), MODBUS_E_FRAME);
        bad[5] = 254;
        CU_ASSERT_EQUAL(parse(MODBUS_TCP, MODBUS_REQUEST, bad, 6, &adu), MODBUS_E_SHORT);
        CU_ASSERT_EQUAL(modbus_frame_put(MODBUS_TCP, 1, 1, frame, MODBUS_PDU_MAX + 1, out), 0);
}

static void rtu_frames(void)
{
        /* Serial Line V1.02's CRC example (02 07 -> 41 12), and a device manual's request/answer.
         */
        static const uint8_t crc_example[] = { 0x02, 0x07 };
        static const uint8_t request[] = { 0x11, 0x03, 0x00, 0x6B, 0x00, 0x03, 0x76, 0x87 };
        static const uint8_t answer[] = { 0x11, 0x03, 0x06, 0xAE, 0x41, 0x56,
                                          0x52, 0x43, 0x40, 0x49, 0xAD };
        uint8_t bad[sizeof answer], out[MODBUS_ADU_MAX];
        struct modbus_adu adu = { 0 };

        CU_ASSERT_EQUAL(modbus_crc16(crc_example, 2), 0x1241);
        CU_ASSERT_EQUAL(parse(MODBUS_RTU, MODBUS_REQUEST, request, sizeof request, &adu),
                        MODBUS_OK);
        CU_ASSERT_EQUAL(adu.pdu_len, 5);
        CU_ASSERT_EQUAL(modbus_frame_put(MODBUS_RTU, 9, 0x11, request + 1, 5, out), sizeof request);
        CU_ASSERT_EQUAL(memcmp(out, request, sizeof request), 0);
        for (size_t n = 0; n < sizeof answer; n++)
                CU_ASSERT_EQUAL(parse(MODBUS_RTU, MODBUS_RESPONSE, answer, n, &adu),
                                MODBUS_E_SHORT);
        CU_ASSERT_EQUAL(parse(MODBUS_RTU, MODBUS_RESPONSE, answer, sizeof answer, &adu), MODBUS_OK);
        CU_ASSERT_EQUAL(adu.pdu_len, 8);
        for (size_t bit = 24; bit < 8 * sizeof answer; bit++) {
                memcpy(bad, answer, sizeof bad);
                bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
                CU_ASSERT_EQUAL(parse(MODBUS_RTU, MODBUS_RESPONSE, bad, sizeof bad, &adu),
                                MODBUS_E_CRC);
        }
        bad[1] = 0x2B;
        CU_ASSERT_EQUAL(parse(MODBUS_RTU, MODBUS_RESPONSE, bad, 2, &adu), MODBUS_E_FRAME);
}

static void names(void)
{
        CU_ASSERT_STRING_EQUAL(modbus_exception_name(2), "illegal data address");
        CU_ASSERT_STRING_EQUAL(modbus_exception_name(11),
                               "device behind the gateway does not answer");
        CU_ASSERT_STRING_EQUAL(modbus_exception_name(9), "unknown exception");
        CU_ASSERT_STRING_EQUAL(modbus_exception_name(200), "unknown exception");
        CU_ASSERT_STRING_EQUAL(modbus_error_name(MODBUS_E_TIMEOUT), "no answer in time");
        CU_ASSERT_STRING_EQUAL(modbus_error_name((enum modbus_error)99), "unknown error");
}

static struct modbus_register reg(uint16_t address, enum modbus_type type)
{
        return (struct modbus_register){ .name = "r",
                                         .address = address,
                                         .table = MODBUS_INPUT,
                                         .type = type,
                                         .channel = channel_by_code("energy.import.total") };
}

static void plans(void)
{
        struct modbus_register r[6] = { reg(0x110, MODBUS_S32), reg(0x100, MODBUS_U32),
                                        reg(0x102, MODBUS_F32), reg(0x180, MODBUS_U64),
                                        reg(0x100, MODBUS_U16), reg(0x103, MODBUS_U16) };
        struct modbus_block b[6];
        size_t n = 0;

        CU_ASSERT_EQUAL(modbus_plan(r, 6, 0, 0, b, 6, &n), 0);
        CU_ASSERT_EQUAL(n, 3);
        CU_ASSERT_EQUAL(b[0].address, 0x100);
        CU_ASSERT_EQUAL(b[0].count, 4);
        CU_ASSERT_EQUAL(b[1].address, 0x110);
        CU_ASSERT_EQUAL(b[1].count, 2);
        CU_ASSERT_EQUAL(b[2].count, 4);
        CU_ASSERT_EQUAL(modbus_plan(r, 6, 11, 0, b, 6, &n), 0);
        CU_ASSERT_EQUAL(n, 3);
        CU_ASSERT_EQUAL(modbus_plan(r, 6, 12, 0, b, 6, &n), 0);
        CU_ASSERT_EQUAL(n, 2);
        CU_ASSERT_EQUAL(b[0].count, 0x12);
        /* 0x100..0x183 is 132 words: no gap makes one request of it. */
        CU_ASSERT_EQUAL(modbus_plan(r, 6, 500, 0, b, 6, &n), 0);
        CU_ASSERT_EQUAL(n, 2);
        CU_ASSERT_EQUAL(b[1].address, 0x180);
        CU_ASSERT_EQUAL(modbus_plan(r, 6, 500, 0, b, 1, &n), -ENOSPC);
        r[3].address = 0x179;
        CU_ASSERT_EQUAL(modbus_plan(r, 6, 500, 0, b, 6, &n), 0);
        CU_ASSERT_EQUAL(n, 1);
        CU_ASSERT_EQUAL(b[0].count, 125);
        r[3].table = MODBUS_HOLDING;
        CU_ASSERT_EQUAL(modbus_plan(r, 6, 500, 0, b, 6, &n), 0);
        CU_ASSERT_EQUAL(n, 2);
        CU_ASSERT_EQUAL(b[0].table, MODBUS_HOLDING);
        CU_ASSERT_EQUAL(modbus_block_function(&b[0]), MODBUS_READ_HOLDING);
        for (size_t i = 0; i < 6; i++)
                CU_ASSERT_TRUE(modbus_block_covers(&b[0], &r[i]) !=
                               modbus_block_covers(&b[1], &r[i]));
}

static void decodes(void)
{
        static const uint8_t words[] = { 0x00, 0x01, 0xE2, 0x40, 0x42, 0xC8, 0xE6, 0x66,
                                         0xFF, 0xFE, 0x7F, 0xC0, 0x00, 0x00, 0xFF, 0xFF };
        static const struct {
                uint16_t address;
                enum modbus_type type;
                bool low_word, low_byte;
                const char *scale, *unit, *code;
                int error;
                int64_t value;
                bool exact;
        } cases[] = {
                { 0, MODBUS_U32, false, false, "0.01", "kWh", "energy.import.total", 0, 1234560,
                  true },
                { 0, MODBUS_U32, true, false, "1", "Wh", "energy.import.total", 0, 0xE2400001,
                  true },
                { 0, MODBUS_U32, false, true, "1", "Wh", "energy.import.total", 0, 0x010040E2,
                  true },
                { 0, MODBUS_U64, false, false, "1", "Wh", "energy.import.total", 0, 0x1E24042C8E666,
                  true },
                { 2, MODBUS_F32, false, false, "1", "kWh", "energy.import.total", 0, 100450, true },
                { 2, MODBUS_F32, false, false, "0.001", "kWh", "energy.import.total", 0, 100,
                  false },
                { 4, MODBUS_S16, false, false, "1", "W", "power.import", 0, -2, true },
                { 4, MODBUS_U16, false, false, "0.1", "V", "voltage.l1", 0, 6553400, true },
                { 5, MODBUS_F32, false, false, "1", "kWh", "energy.import.total", MODBUS_E_NAN, 0,
                  true },
                { 4, MODBUS_S64, false, false, "1", "Wh", "energy.import.total", 0,
                  (int64_t)0xFFFE7FC00000FFFF, true },
                { 4, MODBUS_U64, false, false, "1", "Wh", "energy.import.total", -ERANGE, 0, true },
                { 7, MODBUS_U32, false, false, "1", "Wh", "energy.import.total", -EINVAL, 0, true },
                { 0, MODBUS_U32, false, false, "1", "m3", "energy.import.total", -EINVAL, 0, true },
        };
        const struct modbus_block block = { MODBUS_INPUT, 0, 8 };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct modbus_register r = reg(cases[i].address, cases[i].type);
                struct modbus_value v = { 0 };

                r.low_word_first = cases[i].low_word;
                r.low_byte_first = cases[i].low_byte;
                r.unit = cases[i].unit;
                r.channel = channel_by_code(cases[i].code);
                decimal_parse(cases[i].scale, &r.scale);
                CU_ASSERT_EQUAL(modbus_register_decode(&r, &block, words, sizeof words, &v),
                                cases[i].error);
                CU_ASSERT_EQUAL(v.value, cases[i].value);
                if (!cases[i].error)
                        CU_ASSERT_EQUAL(v.exact, cases[i].exact);
        }
}

static void encodes_what_it_decodes(void)
{
        for (unsigned t = 0; t < MODBUS_N_TYPES; t++) {
                for (int order = 0; order < 4; order++) {
                        struct modbus_register r = reg(3, (enum modbus_type)t);
                        struct modbus_block b = { MODBUS_INPUT, 3, 4 };
                        struct modbus_value v = { 0 };
                        uint16_t words[4] = { 0 };
                        uint8_t bytes[8];

                        r.low_word_first = order & 1;
                        r.low_byte_first = order & 2;
                        modbus_register_encode(&r, 12345, words);
                        for (size_t i = 0; i < 4; i++) {
                                bytes[2 * i] = (uint8_t)(words[i] >> 8);
                                bytes[2 * i + 1] = (uint8_t)words[i];
                        }
                        CU_ASSERT_EQUAL(modbus_register_decode(&r, &b, bytes, 8, &v), 0);
                        CU_ASSERT_EQUAL(v.value, 12345);
                }
        }
}

static void checks(void)
{
        struct modbus_register r = reg(0xFFFF, MODBUS_U32);
        enum modbus_type type;
        enum modbus_table table;
        char text[128];

        CU_ASSERT_EQUAL(modbus_register_check(&r, text, sizeof text), -EINVAL);
        CU_ASSERT_STRING_EQUAL(text, "r: address 0xFFFF leaves no room for a u32");
        r.address = 0xFFFE;
        CU_ASSERT_EQUAL(modbus_register_check(&r, text, sizeof text), 0);
        r.unit = "V";
        CU_ASSERT_EQUAL(modbus_register_check(&r, text, sizeof text), -EINVAL);
        CU_ASSERT_STRING_EQUAL(
                text, "r: unit V cannot be converted to Wh of channel energy.import.total");
        CU_ASSERT_EQUAL(modbus_type_parse("s64", &type), 0);
        CU_ASSERT_EQUAL(type, MODBUS_S64);
        CU_ASSERT_EQUAL(modbus_type_parse("double", &type), -EINVAL);
        CU_ASSERT_EQUAL(modbus_table_parse("holding", &table), 0);
        CU_ASSERT_EQUAL(table, MODBUS_HOLDING);
        CU_ASSERT_EQUAL(modbus_table_parse("coil", &table), -EINVAL);
}

static unsigned bit_read(void *device, enum modbus_table table, uint16_t address, uint16_t count,
                         uint16_t *ret)
{
        (void)device;
        if (address >= 100)
                return MODBUS_X_ILLEGAL_ADDRESS;
        for (uint16_t i = 0; i < count; i++)
                ret[i] = table <= MODBUS_DISCRETE ? (address + i) % 3 == 0
                                                  : (uint16_t)(1000 * table + address + i);
        return 0;
}

static void server_answers(void)
{
        static const struct {
                const char *request;
                size_t n;
                const char *answer;
                size_t len;
        } cases[] = {
                { "\x01\x00\x00\x00\x0A", 5, "\x01\x02\x49\x02", 4 },
                { "\x02\x00\x01\x00\x03", 5, "\x02\x01\x04", 3 },
                { "\x03\x00\x05\x00\x02", 5, "\x03\x04\x07\xD5\x07\xD6", 6 },
                { "\x04\x00\x00\x00\x01", 5, "\x04\x02\x0B\xB8", 4 },
                { "\x04\x00\x64\x00\x01", 5, "\x84\x02", 2 },
                { "\x04\xFF\xFF\x00\x02", 5, "\x84\x02", 2 },
                { "\x04\x00\x00\x00\x7E", 5, "\x84\x03", 2 },
                { "\x04\x00\x00\x00\x00", 5, "\x84\x03", 2 },
                { "\x04\x00\x00\x00", 4, "\x84\x03", 2 },
                { "\x01\x00\x00\x07\xD1", 5, "\x81\x03", 2 },
                { "\x06\x00\x00\x00\x01", 5, "\x86\x01", 2 },
                { "\x2B\x0E\x01\x00", 4, "\xAB\x01", 2 },
                { "", 0, "\x80\x01", 2 },
        };
        static const struct modbus_server_ops ops = { .read = bit_read };
        uint8_t out[MODBUS_PDU_MAX];

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                size_t len = modbus_server_answer(&ops, NULL, (const uint8_t *)cases[i].request,
                                                  cases[i].n, out);

                CU_ASSERT_EQUAL(len, cases[i].len);
                CU_ASSERT_EQUAL(memcmp(out, cases[i].answer, cases[i].len), 0);
        }
}

HR_TESTS("modbus", { "MBAP frames", tcp_frames }, { "RTU frames", rtu_frames },
         { "errors have names", names }, { "registers coalesce into reads", plans },
         { "registers decode to channel values", decodes },
         { "encoding is the inverse", encodes_what_it_decodes }, { "maps are checked", checks },
         { "a device's answers and exceptions", server_answers })
