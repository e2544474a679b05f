#include "hdlc.h"
#include "dlms.h"
#include "hdlc_internal.h"

#include <string.h>

static inline uint16_t complement(uint16_t crc)
{
        return (uint16_t)(crc ^ 0xFFFF);
}

uint16_t hdlc_crc(const uint8_t *p, size_t n)
{
        return complement(hdlc_crc_step(0xFFFF, p, n));
}

size_t hdlc_collect(uint8_t *buf, size_t *len, const uint8_t *in, size_t n, bool *ret_whole)
{
        size_t taken = 0, size, part;

        *ret_whole = false;
        while (taken < n) {
                if (*len == 0) {
                        const uint8_t *flag = memchr(in + taken, HDLC_FLAG, n - taken);

                        if (!flag)
                                return n;
                        taken = (size_t)(flag - in) + 1;
                        buf[(*len)++] = HDLC_FLAG;
                        continue;
                }
                if (*len == 1) {
                        if (in[taken] == HDLC_FLAG) { /* fill between frames */
                                taken++;
                                continue;
                        }
                        if ((in[taken] & 0xF0) != 0xA0) {
                                *len = 0;
                                continue;
                        }
                }
                if (*len < 3) {
                        buf[(*len)++] = in[taken++];
                        if (*len == 3 && hdlc_frame_size(buf, 3) < 0)
                                *len = 0;
                        continue;
                }
                size = (size_t)hdlc_frame_size(buf, *len);
                part = size - *len < n - taken ? size - *len : n - taken;
                memcpy(buf + *len, in + taken, part);
                *len += part;
                taken += part;
                if (*len == size) {
                        *ret_whole = true;
                        break;
                }
        }
        return taken;
}

int hdlc_frame_size(const uint8_t *p, size_t n)
{
        int length;

        if (n > 0 && p[0] != HDLC_FLAG)
                return -DLMS_E_HDLC_FORMAT;
        if (n > 1 && (p[1] & 0xF0) != 0xA0)
                return -DLMS_E_HDLC_FORMAT;
        if (n < 3)
                return 0;
        length = (p[1] & 0x07) << 8 | p[2];
        /* format, two addresses of a byte, control, FCS */
        return length < 7 ? -DLMS_E_HDLC_FORMAT : length + 2;
}

/* 0 when the address has no size this protocol knows. */
static uint8_t read_address(const uint8_t *p, size_t n, uint32_t *ret)
{
        uint32_t v = 0;

        for (uint8_t i = 0; i < 4 && i < n; i++) {
                v = v << 8 | p[i];
                if (p[i] & 1) {
                        *ret = v;
                        return i == 2 ? 0 : (uint8_t)(i + 1);
                }
        }
        return 0;
}

int hdlc_frame_parse(const uint8_t *p, size_t n, struct hdlc_frame *ret)
{
        struct hdlc_frame f = { 0 };
        int size = hdlc_frame_size(p, n);
        uint16_t crc, fcs;
        size_t at = 3, end;

        if (size < 0)
                return DLMS_E_HDLC_FORMAT;
        if (size == 0 || n < (size_t)size)
                return DLMS_E_TRUNCATED;
        if (n > (size_t)size)
                return DLMS_E_TRAILING;
        if (p[n - 1] != HDLC_FLAG)
                return DLMS_E_HDLC_FORMAT;
        end = n - 3;
        f.segmented = p[1] & 0x08;
        f.dst_size = read_address(p + at, end - at, &f.dst);
        if (!f.dst_size)
                return DLMS_E_HDLC_ADDRESS;
        at += f.dst_size;
        f.src_size = read_address(p + at, end - at, &f.src);
        if (!f.src_size)
                return DLMS_E_HDLC_ADDRESS;
        at += f.src_size;
        if (at >= end)
                return DLMS_E_HDLC_FORMAT;
        f.control = p[at++];
        fcs = (uint16_t)(p[n - 3] | p[n - 2] << 8);
        crc = hdlc_crc_step(0xFFFF, p + 1, at - 1);
        if (at == end) {
                *ret = f;
                return complement(crc) == fcs ? 0 : DLMS_E_HDLC_FCS;
        }
        if (end - at < 2)
                return DLMS_E_HDLC_FORMAT;
        f.info = p + at + 2;
        f.info_len = end - at - 2;
        *ret = f;
        if (complement(crc) != (uint16_t)(p[at] | p[at + 1] << 8))
                return DLMS_E_HDLC_HCS;
        crc = hdlc_crc_step(crc, p + at, end - at);
        return complement(crc) == fcs ? 0 : DLMS_E_HDLC_FCS;
}

static uint8_t *put_address(uint8_t *p, uint32_t v, uint8_t size)
{
        for (int i = size - 1; i >= 0; i--)
                *p++ = (uint8_t)(v >> 8 * i);
        return p;
}

size_t hdlc_frame_write(const struct hdlc_frame *f, uint8_t *out, size_t cap)
{
        size_t length = 2u + f->dst_size + f->src_size + 1 + 2;
        uint16_t crc, sum;
        uint8_t *p = out;

        if (f->info_len > 0)
                length += 2 + f->info_len;
        if (length > HDLC_LENGTH_MAX || length + 2 > cap)
                return 0;
        *p++ = HDLC_FLAG;
        *p++ = (uint8_t)(0xA0 | (f->segmented ? 0x08 : 0) | length >> 8);
        *p++ = (uint8_t)length;
        p = put_address(p, f->dst, f->dst_size);
        p = put_address(p, f->src, f->src_size);
        *p++ = f->control;
        crc = hdlc_crc_step(0xFFFF, out + 1, (size_t)(p - out - 1));
        if (f->info_len > 0) {
                uint8_t *hcs = p;

                sum = complement(crc);
                *p++ = (uint8_t)sum;
                *p++ = (uint8_t)(sum >> 8);
                memmove(p, f->info, f->info_len);
                p += f->info_len;
                crc = hdlc_crc_step(crc, hcs, f->info_len + 2);
        }
        sum = complement(crc);
        *p++ = (uint8_t)sum;
        *p++ = (uint8_t)(sum >> 8);
        *p++ = HDLC_FLAG;
        return (size_t)(p - out);
}

uint32_t hdlc_address(uint16_t upper, uint16_t lower, uint8_t size)
{
        switch (size) {
        case 1:
                return (uint32_t)(upper & 0x7F) << 1 | 1;
        case 2:
                return (uint32_t)(upper & 0x7F) << 9 | (uint32_t)(lower & 0x7F) << 1 | 1;
        default:
                return (uint32_t)(upper >> 7 & 0x7F) << 25 | (uint32_t)(upper & 0x7F) << 17 |
                       (uint32_t)(lower >> 7 & 0x7F) << 9 | (uint32_t)(lower & 0x7F) << 1 | 1;
        }
}

uint8_t hdlc_address_size(uint16_t upper, uint16_t lower)
{
        if (upper > 0x7F || lower > 0x7F)
                return 4;
        return lower ? 2 : 1;
}

void hdlc_address_split(uint32_t address, uint8_t size, uint16_t *ret_upper, uint16_t *ret_lower)
{
        switch (size) {
        case 1:
                *ret_upper = address >> 1 & 0x7F;
                *ret_lower = 0;
                return;
        case 2:
                *ret_upper = address >> 9 & 0x7F;
                *ret_lower = address >> 1 & 0x7F;
                return;
        default:
                *ret_upper = (uint16_t)((address >> 25 & 0x7F) << 7 | (address >> 17 & 0x7F));
                *ret_lower = (uint16_t)((address >> 9 & 0x7F) << 7 | (address >> 1 & 0x7F));
                return;
        }
}

enum { PARAM_INFO_TX = 5, PARAM_INFO_RX = 6, PARAM_WINDOW_TX = 7, PARAM_WINDOW_RX = 8 };

static uint8_t *put_info_size(uint8_t *p, uint8_t id, uint16_t v)
{
        *p++ = id;
        if (v < 0x100) {
                *p++ = 1;
                *p++ = (uint8_t)v;
        } else {
                *p++ = 2;
                *p++ = (uint8_t)(v >> 8);
                *p++ = (uint8_t)v;
        }
        return p;
}

static uint8_t *put_window(uint8_t *p, uint8_t id, uint8_t v)
{
        *p++ = id;
        *p++ = 4;
        *p++ = 0;
        *p++ = 0;
        *p++ = 0;
        *p++ = v;
        return p;
}

size_t hdlc_params_write(const struct hdlc_params *params, uint8_t out[static 32])
{
        uint8_t *p = out;

        *p++ = 0x81;
        *p++ = 0x80;
        p++;
        p = put_info_size(p, PARAM_INFO_TX, params->info_tx);
        p = put_info_size(p, PARAM_INFO_RX, params->info_rx);
        p = put_window(p, PARAM_WINDOW_TX, params->window_tx);
        p = put_window(p, PARAM_WINDOW_RX, params->window_rx);
        out[2] = (uint8_t)(p - out - 3);
        return (size_t)(p - out);
}

static uint16_t clamp(uint32_t v, uint16_t low, uint16_t high)
{
        return (uint16_t)(v < low ? low : v > high ? high : v);
}

int hdlc_params_read(const uint8_t *info, size_t n, struct hdlc_params *ret)
{
        struct hdlc_params params = *ret;
        size_t at = 3;

        if (n == 0)
                return 0;
        if (n < 3 || info[0] != 0x81 || info[1] != 0x80 || (size_t)info[2] + 3 > n)
                return DLMS_E_HDLC_FORMAT;
        n = (size_t)info[2] + 3;
        while (at < n) {
                uint32_t v = 0;
                uint8_t id, len;

                if (n - at < 2)
                        return DLMS_E_HDLC_FORMAT;
                id = info[at];
                len = info[at + 1];
                at += 2;
                if (len > n - at)
                        return DLMS_E_HDLC_FORMAT;
                for (uint8_t i = 0; i < len; i++)
                        v = v << 8 | info[at + i];
                at += len;
                if (len > 4)
                        continue;
                if (id == PARAM_INFO_TX)
                        params.info_tx = clamp(v, 16, HDLC_INFO_MAX);
                else if (id == PARAM_INFO_RX)
                        params.info_rx = clamp(v, 16, HDLC_INFO_MAX);
                else if (id == PARAM_WINDOW_TX)
                        params.window_tx = (uint8_t)clamp(v, 1, 7);
                else if (id == PARAM_WINDOW_RX)
                        params.window_rx = (uint8_t)clamp(v, 1, 7);
        }
        *ret = params;
        return 0;
}
