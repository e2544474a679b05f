/*
 * What a meter answers to every service, frame by frame: a mode byte, then APDUs, each behind its
 * length in one byte. The association is granted first, so that the bytes reach the services.
 */
#include <stdlib.h>
#include <string.h>

#include "dlms/client.h"
#include "hex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { ASK = 0x0F, GBT = 0x10, SHORT = 0x20, NO_SCRATCH = 0x40, RESULTS = 0x80 };

static struct dlms_client client;
static unsigned sum;

static const struct sn_object names[] = { { 0x0100, 1, 0, { { 0, 0, 96, 1, 0, 255 } } } };
static uint8_t long_value[304] = { 0x09, 0x82, 0x01, 0x2C };

static void ask(uint8_t what)
{
        static const struct dlms_attr attrs[2] = { { 1, { { 0, 0, 96, 1, 0, 255 } }, 2 },
                                                   { 1, { { 0, 0, 96, 1, 1, 255 } }, 2 } };
        static const uint8_t two[] = { 0x11, 0x05, 0x12, 0x00, 0x06 };
        const struct dlms_item mixed[] = {
                { DLMS_GET, attrs[0], { 0 }, NULL, 0 },
                { DLMS_SET, attrs[1], { 0 }, two, 2 },
                { DLMS_ACTION, attrs[0], { 0 }, long_value, sizeof long_value },
        };
        static struct dlms_item kept[3];

        memcpy(kept, mixed, sizeof kept);
        switch (what % 9) {
        case 0:
                dlms_client_get(&client, &attrs[0], NULL, 0);
                return;
        case 1:
                dlms_client_get_list(&client, attrs, 2, 0);
                return;
        case 2:
                dlms_client_set(&client, &attrs[0], long_value, sizeof long_value, 0);
                return;
        case 3:
                dlms_client_set_list(&client, attrs, 2, two, sizeof two, 0);
                return;
        case 4:
                dlms_client_action(&client, &attrs[0], long_value, sizeof long_value, 0);
                return;
        case 5:
                dlms_client_action_list(&client, attrs, 2, two, sizeof two, 0);
                return;
        case 6:
                dlms_client_ask(&client, kept, 3, 0);
                return;
        case 7:
                dlms_client_read(&client, 0x0100, NULL, 0);
                return;
        default:
                dlms_client_action(&client, &attrs[0], NULL, 0, 0);
        }
}

static bool drain(uint8_t mode, unsigned *step)
{
        const uint8_t *out;
        struct dlms_event ev;
        bool ended = false;
        size_t len;

        while (dlms_client_next_event(&client, &ev)) {
                if (ended)
                        abort();
                ended = ev.type == DLMS_EV_FAILED || ev.type == DLMS_EV_CLOSED;
                for (size_t i = 0; i < ev.len; i++)
                        sum += ev.data[i]; /* every byte is ours to read */
                if (ev.type == DLMS_EV_ASSOCIATED || (ev.type == DLMS_EV_RESULT && ev.last))
                        ask((uint8_t)((mode & ASK) + (*step)++));
        }
        for (int i = 0; (len = dlms_client_core.output(&client, &out)) > 0; i++) {
                if (i > 100)
                        abort(); /* would send for ever */
                dlms_client_core.output_done(&client, len);
        }
        return ended;
}

static bool give(const uint8_t *apdu, size_t n, uint8_t mode, unsigned *step)
{
        uint8_t *frame = malloc(n + WRAPPER_HEADER_SIZE);
        size_t len = n + WRAPPER_HEADER_SIZE, at = 0;
        bool ended = false;

        wrapper_write(frame, 1, 16, (uint16_t)n);
        if (n)
                memcpy(frame + WRAPPER_HEADER_SIZE, apdu, n);
        while (at < len && !ended) {
                size_t taken = dlms_client_core.recv(&client, frame + at, len - at, 0);

                if (taken > len - at)
                        abort();
                at += taken;
                ended = drain(mode, step);
                if (taken == 0)
                        break;
        }
        free(frame);
        return ended;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static const char granted[] =
                "6129A109060760857405080101A203020100A305A103020100BE10040E080006"
                "5F1F0400205E5F00800007";
        static uint8_t scratch[2048];
        struct dlms_client_config cfg = { .client_sap = 16, .server_sap = 1, .retries = 1 };
        uint8_t aare[64], mode;
        unsigned step = 0;
        bool ended;

        if (n == 0)
                return 0;
        mode = *data++;
        n--;
        if (!(mode & NO_SCRATCH)) {
                cfg.scratch = scratch;
                cfg.scratch_size = sizeof scratch;
                cfg.gbt_window = mode & GBT ? 3 : 0;
        }
        cfg.gbt_requests = mode & GBT && mode & RESULTS;
        cfg.exceptions_are_results = mode & RESULTS;
        cfg.short_names = mode & SHORT;
        cfg.sn_objects = names;
        cfg.n_sn_objects = 1;
        if (dlms_client_init(&client, &cfg) || dlms_client_open(&client, 0))
                abort();
        drain(mode, &step);
        hex_decode(granted, sizeof granted - 1, aare, sizeof aare);
        ended = give(aare, 43, mode, &step);
        while (n > 0 && !ended) {
                size_t len = data[0] < n - 1 ? data[0] : n - 1;

                ended = give(data + 1, len, mode, &step);
                data += 1 + len;
                n -= 1 + len;
        }
        for (int i = 0; i < 10 && !ended; i++) {
                int64_t at = dlms_client_core.deadline(&client);

                if (at == CORE_NO_DEADLINE)
                        return 0;
                if (i == 9)
                        abort(); /* waits for ever */
                dlms_client_core.expire(&client, at);
                ended = drain(mode, &step);
        }
        return 0;
}
