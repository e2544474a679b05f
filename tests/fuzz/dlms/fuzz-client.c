/* Any bytes from the meter, in any pieces: no crash, no hang, one last event at most. */
#include <stdlib.h>
#include <string.h>

#include "dlms/client.h"
#include "hex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct dlms_crypto *crypto;
static uint8_t scratch[4096];

/* The settings of the recorded sessions, so that the corpus reaches deep. */
static void configure(struct dlms_client_config *cfg, uint8_t mode)
{
        *cfg = (struct dlms_client_config){
                .framing = mode & 1 ? DLMS_FRAMING_WRAPPER : DLMS_FRAMING_HDLC,
                .client_sap = mode & 2 ? 1 : 16,
                .server_sap = 1,
                .retries = mode >> 5,
        };
        if (!(mode & 8)) {
                cfg->scratch = scratch;
                cfg->scratch_size = sizeof scratch;
        }
        if (!(mode & 2) && mode & 16) { /* HLS without ciphering */
                cfg->auth = mode & 4 ? DLMS_AUTH_HLS_SHA256 : DLMS_AUTH_HLS;
                cfg->secret = (const uint8_t *)"sixteen-byte-key";
                cfg->secret_len = 16;
                cfg->challenge_len = 16;
        }
        if (!(mode & 2))
                return;
        if (mode & 16)
                cfg->envelope = DLMS_ENVELOPE_IDENTIFIED;
        cfg->auth = DLMS_AUTH_GMAC;
        cfg->policy = DLMS_POLICY_AUTHENTICATED_ENCRYPTED;
        cfg->general = true;
        cfg->crypto = crypto;
        cfg->ic_first = 1;
        cfg->ic_end = 64;
        cfg->keys.has_ek = cfg->keys.has_ak = true;
        hex_decode("000102030405060708090A0B0C0D0E0F", 32, cfg->keys.ek, 16);
        hex_decode("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF", 32, cfg->keys.ak, 16);
        if (mode & 4) {
                cfg->keys.has_dedicated = true;
                hex_decode("00112233445566778899AABBCCDDEEFF", 32, cfg->keys.dedicated, 16);
        }
        hex_decode("4775727578313233", 16, cfg->client_title, 8);
        hex_decode("70389CCE67B359AC56AB552A158A4522", 32, cfg->challenge, 16);
        cfg->challenge_len = 16;
}

static void next_request(struct dlms_client *c, unsigned step)
{
        static const struct dlms_attr attrs[] = { { 8, { { 0, 0, 1, 0, 0, 255 } }, 2 },
                                                  { 7, { { 1, 0, 99, 1, 0, 255 } }, 2 } };

        switch (step % 6) {
        case 3:
                dlms_client_get_list(c, attrs, 2, 0);
                return;
        case 4:
                dlms_client_set(c, &attrs[0], (const uint8_t *)"\x11\x05", 2, 0);
                return;
        case 5:
                dlms_client_action(c, &attrs[0], NULL, 0, 0);
                return;
        default:
                dlms_client_get(c, &attrs[step & 1], NULL, 0);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static struct dlms_client c;
        struct dlms_client_config cfg;
        struct dlms_event ev;
        unsigned step = 0;
        bool ended = false;

        if (!crypto)
                crypto = dlms_crypto_new();
        if (n == 0)
                return 0;
        configure(&cfg, data[0]);
        data++;
        n--;
        if (dlms_client_init(&c, &cfg) || dlms_client_open(&c, 0))
                abort();
        for (;;) {
                const uint8_t *out;
                size_t taken;

                dlms_client_core.output_done(&c, dlms_client_core.output(&c, &out));
                taken = n > 0 ? dlms_client_core.recv(&c, data, n, 0) : 0;
                if (taken > n)
                        abort();
                data += taken;
                n -= taken;
                while (dlms_client_next_event(&c, &ev)) {
                        if (ended)
                                abort();
                        ended = ev.type == DLMS_EV_FAILED || ev.type == DLMS_EV_CLOSED;
                        if (ev.type == DLMS_EV_FAILED && (!ev.error || ev.error >= DLMS_N_ERRORS))
                                abort();
                        if (ev.len > 0 && ev.data[ev.len - 1] == 0xA5)
                                step++; /* reads the last byte */
                        if (ev.type == DLMS_EV_ASSOCIATED || (ev.type == DLMS_EV_RESULT && ev.last))
                                next_request(&c, step++);
                }
                if (ended || (taken == 0 && dlms_client_core.output(&c, &out) == 0)) {
                        int64_t at = dlms_client_core.deadline(&c);

                        if (at == CORE_NO_DEADLINE)
                                break;
                        dlms_client_core.expire(&c, at);
                }
        }
        return 0;
}
