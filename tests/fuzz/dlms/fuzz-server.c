/* Any bytes from a client to the simulated meter. */
#include <stdlib.h>
#include <string.h>

#include "../../conv/dlms/meter.h"
#include "hex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static struct dlms_crypto *crypto;
        static struct dlms_server s;
        static uint8_t scratch[8192];
        struct dlms_server_counters counters = { 0 };
        struct dlms_client_config client;
        struct dlms_server_config cfg;
        struct meter meter = { 0 };
        uint8_t challenge[16], mode;

        if (!crypto)
                crypto = dlms_crypto_new();
        if (n == 0)
                return 0;
        mode = *data++;
        n--;
        meter_settings(mode & 1 ? DLMS_FRAMING_WRAPPER : DLMS_FRAMING_HDLC,
                       mode & 2 ? METER_GMAC : METER_NONE, true, false, crypto, &client, &cfg);
        if (!(mode & 2) && mode & 16) { /* HLS without ciphering */
                cfg.auth = mode & 4 ? DLMS_AUTH_HLS_MD5 : DLMS_AUTH_HLS;
                cfg.secret = (const uint8_t *)"sixteen-byte-key";
                cfg.secret_len = 16;
        }
        cfg.physical = 0;
        cfg.window = mode >> 5;
        cfg.max_pdu = mode & 8 ? 200 : 0;
        hex_decode("4142434445464748", 16, cfg.title, 8);
        /* The challenges of the recorded sessions: their pass 3 verifies. */
        if (mode & 1)
                hex_decode("6432198CC663B1D86C369B4D26934924", 32, challenge, 16);
        else
                hex_decode(mode & 4 ? "92C96432994CA65329140A0582412010"
                                    : "C2E170B8DC6EB7DBED763B9D4E2793C9",
                           32, challenge, 16);
        if (dlms_server_init(&s, &cfg, &counters, &meter, scratch, sizeof scratch, challenge, 0))
                abort();
        while (n > 0 && !dlms_server_done(&s)) {
                const uint8_t *out;
                size_t taken = dlms_server_core.recv(&s, data, n, 0), len;

                if (taken > n)
                        abort();
                data += taken;
                n -= taken;
                len = dlms_server_core.output(&s, &out);
                if (taken == 0 && len == 0)
                        abort(); /* would never go on */
                dlms_server_core.output_done(&s, len);
        }
        return 0;
}
