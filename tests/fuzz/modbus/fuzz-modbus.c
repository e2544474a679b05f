/*
 * Any bytes as answers to a Modbus master, as requests to a device, and as words of registers.
 * First byte: what they are. Invariants: at most one end of each request, one failure, answers
 * that are frames themselves.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "map.h"
#include "server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
        if (!ok)
                abort();
}

static unsigned ask(struct modbus_client *c, unsigned turn)
{
        static const uint16_t values[2] = { 1, 2 };
        static const struct modbus_request asks[] = {
                { .unit = 1, .function = 4, .address = 0, .count = 2 },
                { .unit = 1, .function = 1, .address = 5, .count = 9 },
                { .unit = 1, .function = 16, .address = 7, .count = 2, .values = values },
                { .unit = 1, .function = 6, .address = 7, .count = 1, .values = values },
        };

        return modbus_client_request(c, &asks[turn % 4], 0) == MODBUS_OK;
}

static void master(enum modbus_transport t, const uint8_t *in, size_t n)
{
        struct modbus_client c;
        struct modbus_event ev;
        const uint8_t *out;
        unsigned asked = 0, ended = 0, turn = 0;
        bool failed = false;

        modbus_client_init(&c, &(struct modbus_client_config){ .transport = t, .window = 3 });
        while (n > 0) {
                size_t taken;

                for (unsigned i = 0; i < 3; i++)
                        asked += ask(&c, turn++);
                modbus_client_core.output_done(&c, modbus_client_core.output(&c, &out));
                taken = modbus_client_core.recv(&c, in, n, 0);
                check(taken > 0 && taken <= n);
                in += taken;
                n -= taken;
                while (modbus_client_next_event(&c, &ev)) {
                        check(!failed);
                        failed = ev.type == MODBUS_EV_FAILED;
                        ended += ev.type == MODBUS_EV_DONE;
                        check(ev.error != MODBUS_OK || ev.function > 4 || ev.len > 0);
                }
        }
        check(ended <= asked);
        if (!failed)
                check(asked == ended + modbus_client_pending(&c));
}

static unsigned read_words(void *device, enum modbus_table table, uint16_t address, uint16_t count,
                           uint16_t *ret)
{
        (void)device, (void)table;
        for (unsigned i = 0; i < count; i++)
                ret[i] = (uint16_t)(address + i);
        return address > 0x8000 ? MODBUS_X_ILLEGAL_ADDRESS : 0;
}

static unsigned write_words(void *device, uint16_t address, uint16_t count, const uint16_t *values)
{
        (void)device;
        return (address ^ values[0] ^ values[count - 1]) & 1 ? MODBUS_X_BUSY : 0;
}

static void device(enum modbus_transport t, const uint8_t *in, size_t n)
{
        static const struct modbus_server_ops ops = { read_words, write_words };
        struct modbus_adu adu, back;
        uint8_t pdu[MODBUS_PDU_MAX], frame[MODBUS_ADU_MAX];

        while (modbus_frame_parse(t, MODBUS_REQUEST, in, n, &adu) == MODBUS_OK) {
                size_t len = modbus_server_answer(&ops, NULL, adu.pdu, adu.pdu_len, pdu);

                check(len >= 2 && len <= MODBUS_PDU_MAX);
                len = modbus_frame_put(t, adu.transaction, adu.unit, pdu, len, frame);
                check(modbus_frame_parse(t, MODBUS_RESPONSE, frame, len, &back) == MODBUS_OK);
                check(back.size == len && back.unit == adu.unit);
                in += adu.size;
                n -= adu.size;
        }
}

static void registers(const uint8_t *in, size_t n)
{
        struct modbus_register r = { .name = "r", .table = MODBUS_INPUT, .scale = { 1, 2 } };
        struct modbus_block b = { MODBUS_INPUT, 0, 4 };
        struct modbus_value v;
        size_t count;

        if (n < 10)
                return;
        r.type = (enum modbus_type)(in[0] % MODBUS_N_TYPES);
        r.low_word_first = in[1] & 1;
        r.low_byte_first = in[1] & 2;
        r.address = in[1] >> 2 & 3;
        r.scale.scale = (int8_t)(in[1] >> 4);
        r.channel = channel_by_number(129);
        modbus_register_decode(&r, &b, in + 2, 8, &v);
        check(modbus_plan(&r, 1, in[0], in[1], &b, 1, &count) == 0 && count == 1);
        check(modbus_block_covers(&b, &r));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        if (n == 0)
                return 0;
        switch (data[0] % 5) {
        case 0:
                master(MODBUS_TCP, data + 1, n - 1);
                break;
        case 1:
                master(MODBUS_RTU, data + 1, n - 1);
                break;
        case 2:
                device(MODBUS_TCP, data + 1, n - 1);
                break;
        case 3:
                device(MODBUS_RTU, data + 1, n - 1);
                break;
        default:
                registers(data + 1, n - 1);
        }
        return 0;
}
