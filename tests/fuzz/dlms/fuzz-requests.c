/*
 * What a client asks of the meter, frame by frame: a mode byte, then APDUs, each behind its length
 * in one byte. The association is asked for first, so that the bytes reach the services.
 */
#include <stdlib.h>
#include <string.h>

#include "../../conv/dlms/meter.h"
#include "dlms/short_name.h"
#include "hex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { SHORT = 0x01, GBT = 0x02, SMALL = 0x04, NO_BLOCKS = 0x08, OTHER_DEVICE = 0x10 };

static struct dlms_server server;

static const struct sn_object names[] = {
        { 0x2BC0, 8, 0, { { 0, 0, 1, 0, 0, 255 } } },
        { 0x0500, 3, 0, { { 1, 0, 1, 8, 0, 255 } } },
        { 0x6000, 7, 1, { { 1, 0, 99, 1, 0, 255 } } },
};

static void give(const uint8_t *apdu, size_t n, uint16_t sap)
{
        uint8_t *frame = malloc(n + WRAPPER_HEADER_SIZE);
        size_t len = n + WRAPPER_HEADER_SIZE, at = 0;
        const uint8_t *out;

        wrapper_write(frame, 16, sap, (uint16_t)n);
        if (n)
                memcpy(frame + WRAPPER_HEADER_SIZE, apdu, n);
        while (at < len && !dlms_server_done(&server)) {
                size_t taken = dlms_server_core.recv(&server, frame + at, len - at, 0), said;

                if (taken > len - at)
                        abort();
                at += taken;
                for (int i = 0; (said = dlms_server_core.output(&server, &out)) > 0; i++) {
                        if (i > 100)
                                abort(); /* would send for ever */
                        dlms_server_core.output_done(&server, said);
                }
        }
        free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static const uint8_t challenge[16];
        static uint8_t scratch[4096];
        struct dlms_server_counters counters = { 0 }, others = { 0 };
        struct meter meter = { 0 }, another = { 0 };
        struct dlms_client_config unused;
        struct dlms_server_config cfg, other;
        struct dlms_server_device device = { &other, &others, &another };
        uint8_t aarq[64], mode;

        if (n == 0)
                return 0;
        mode = *data++;
        n--;
        meter_settings(DLMS_FRAMING_WRAPPER, METER_NONE, false, false, NULL, &unused, &cfg);
        cfg.sn_objects = names;
        cfg.n_sn_objects = 3;
        cfg.gbt_window = 3;
        cfg.prefer_gbt = mode & GBT;
        if (mode & NO_BLOCKS)
                cfg.conformance = 0xFFFFFF & ~DLMS_CONF_BLOCK_GET;
        other = cfg;
        other.server_sap = 2;
        if (dlms_server_init(&server, &cfg, &counters, &meter, scratch,
                             mode & SMALL ? 600 : sizeof scratch, challenge, 0) ||
            dlms_server_add_devices(&server, &device, 1))
                abort();
        hex_decode("601DA109060760857405080101BE10040E01000000065F1F0400FFFFFF0080", 62, aarq,
                   sizeof aarq);
        aarq[12] = mode & SHORT ? 2 : 1;
        give(aarq, 31, mode & OTHER_DEVICE ? 2 : 1);
        while (n > 0 && !dlms_server_done(&server)) {
                size_t len = data[0] < n - 1 ? data[0] : n - 1;

                give(data + 1, len, mode & OTHER_DEVICE ? 2 : 1);
                data += 1 + len;
                n -= 1 + len;
        }
        return 0;
}
