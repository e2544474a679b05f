/* What the meter says unasked: data-notifications, framed, whole or in general blocks. */
#include "server_internal.h"

#include <string.h>

#include "envelope.h"

int dlms_push_build(const struct dlms_server_config *config, struct dlms_server_counters *counters,
                    uint32_t invoke_id, const uint8_t *datetime, const uint8_t *body, size_t n,
                    uint8_t *out, size_t cap, size_t *ret_len)
{
        struct dlms_end end = {
                .crypto = config->crypto,
                .keys = &config->keys,
                .own = config->title,
                .policy = config->policy,
                .envelope = DLMS_ENVELOPE_GENERAL,
        };
        bool ciphered = config->policy != DLMS_POLICY_NONE;
        size_t before = ciphered ? APDU_ENVELOPE_MAX + DLMS_SC_HEADER_SIZE : 0;
        struct axdr_writer w;

        if (cap < before)
                return DLMS_E_TOO_LONG;
        w = axdr_writer_of(out + before, cap - before);
        axdr_put_byte(&w, APDU_DATA_NOTIFICATION);
        axdr_put_be32(&w, invoke_id);
        axdr_put_byte(&w, datetime ? 12 : 0);
        if (datetime)
                axdr_put_raw(&w, datetime, 12);
        axdr_put_raw(&w, body, n);
        if (w.failed)
                return DLMS_E_TOO_LONG;
        if (ciphered)
                return dlms_seal(&end, counters->tx++, w.p, w.len, out, cap, ret_len);
        *ret_len = w.len;
        return 0;
}

static int frame_hdlc(const struct dlms_server_config *config, uint16_t client_sap,
                      const uint8_t *apdu, size_t n, uint8_t *out, size_t cap, size_t *ret_len)
{
        static const uint8_t llc[] = { 0xE6, 0xE7, 0x00 };
        uint8_t size = hdlc_address_size(config->server_sap, config->physical);
        size_t info = config->max_info ? config->max_info : HDLC_INFO_DEFAULT, at = 0, len = 0;
        uint8_t part[HDLC_INFO_MAX];
        bool first = true;

        if (info > HDLC_INFO_MAX)
                info = HDLC_INFO_MAX;
        if (info < 16)
                return DLMS_E_ARGUMENT;
        while (at < n) {
                size_t head = first ? sizeof llc : 0;
                size_t take = n - at < info - head ? n - at : info - head, written;
                struct hdlc_frame f = {
                        .dst = hdlc_address(client_sap, 0, 1),
                        .dst_size = 1,
                        .src = hdlc_address(config->server_sap, config->physical, size),
                        .src_size = size,
                        .segmented = at + take < n,
                        .info = part,
                        .info_len = head + take,
                };

                f.control = f.segmented ? HDLC_UI : HDLC_UI | HDLC_POLL_FINAL;
                memcpy(part, llc, head);
                memcpy(part + head, apdu + at, take);
                written = hdlc_frame_write(&f, out + len, cap - len);
                if (written == 0)
                        return DLMS_E_TOO_LONG;
                len += written;
                at += take;
                first = false;
        }
        *ret_len = len;
        return 0;
}

int dlms_push_frame(const struct dlms_server_config *config, uint16_t client_sap,
                    const uint8_t *apdu, size_t n, uint8_t *out, size_t cap, size_t *ret_len)
{
        if (config->framing == DLMS_FRAMING_HDLC)
                return frame_hdlc(config, client_sap, apdu, n, out, cap, ret_len);
        if (n > UINT16_MAX || cap < WRAPPER_HEADER_SIZE || n > cap - WRAPPER_HEADER_SIZE)
                return DLMS_E_TOO_LONG;
        wrapper_write(out, config->server_sap, client_sap, (uint16_t)n);
        memcpy(out + WRAPPER_HEADER_SIZE, apdu, n);
        *ret_len = WRAPPER_HEADER_SIZE + n;
        return 0;
}

int dlms_push_block(const uint8_t *apdu, size_t n, size_t block_size, unsigned index, uint8_t *out,
                    size_t cap, size_t *ret_len)
{
        struct axdr_writer w = axdr_writer_of(out, cap);
        size_t at = (size_t)index * block_size;
        struct apdu_block b;

        if (block_size == 0 || index >= UINT16_MAX)
                return DLMS_E_ARGUMENT;
        if (at >= n) {
                *ret_len = 0;
                return 0;
        }
        b = (struct apdu_block){
                .number = (uint16_t)(index + 1),
                .window = 1,
                .data = apdu + at,
                .n = n - at < block_size ? n - at : block_size,
        };
        b.last = at + b.n == n;
        b.streaming = !b.last;
        apdu_put_block(&w, &b);
        *ret_len = w.len;
        return w.failed ? DLMS_E_TOO_LONG : 0;
}
