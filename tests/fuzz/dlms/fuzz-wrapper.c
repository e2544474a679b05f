/* A channel of either framing and end, fed in pieces: what it holds never leaves its buffers. */
#include <stdlib.h>
#include <string.h>

#include "dlms/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static struct dlms_channel c;
        static uint8_t apdu[512], tx[256], out[512];
        uint8_t mode;

        if (n == 0)
                return 0;
        mode = *data++;
        n--;
        memset(&c, 0, sizeof c);
        c.framing = mode & 1 ? DLMS_FRAMING_HDLC : DLMS_FRAMING_WRAPPER;
        c.server = mode & 2;
        c.client_sap = mode & 4 ? 16 : 1;
        c.server_sap = 1;
        c.server_size = 1;
        c.params = (struct hdlc_params){ 128, 128, 1 + (mode >> 4) % 7, 1 };
        c.proposed = c.params;
        c.apdu = apdu;
        c.apdu_cap = sizeof apdu;
        c.tx = tx;
        c.tx_cap = sizeof tx;
        c.out = out;
        c.out_cap = sizeof out;
        if (mode & 8 && !c.server && c.framing == DLMS_FRAMING_HDLC)
                channel_connect(&c);
        while (n > 0) {
                enum channel_event ev;
                const uint8_t *bytes;
                size_t taken, piece = (mode >> 3) + 1u;

                channel_output_done(&c, channel_output(&c, &bytes));
                taken = channel_recv(&c, data, piece < n ? piece : n, &ev);
                if (taken > n || c.apdu_len > sizeof apdu || c.out_len > sizeof out)
                        abort();
                if (ev == CHANNEL_ERROR)
                        break;
                if (ev == CHANNEL_POLL && c.out_len == 0)
                        channel_yield(&c);
                if (ev == CHANNEL_NOTHING && c.out_len == 0 && mode & 64 && !c.server)
                        channel_repeat(&c);
                if (ev == CHANNEL_APDU && c.out_len == 0) {
                        size_t cap;

                        memset(channel_tx(&c, &cap), 0x55, cap);
                        channel_send(&c, cap);
                }
                data += taken;
                n -= taken;
        }
        return 0;
}
