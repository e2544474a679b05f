#include "hdlc.h"
#include "dlms.h"

#include <string.h>

/* CRC-16/X.25, reflected polynomial 0x8408; the second table steps two bytes at once. */
static const uint16_t crc_table[2][256] = {
        {
                0x0000, 0x1189, 0x2312, 0x329B, 0x4624, 0x57AD, 0x6536, 0x74BF, 0x8C48, 0x9DC1,
                0xAF5A, 0xBED3, 0xCA6C, 0xDBE5, 0xE97E, 0xF8F7, 0x1081, 0x0108, 0x3393, 0x221A,
                0x56A5, 0x472C, 0x75B7, 0x643E, 0x9CC9, 0x8D40, 0xBFDB, 0xAE52, 0xDAED, 0xCB64,
                0xF9FF, 0xE876, 0x2102, 0x308B, 0x0210, 0x1399, 0x6726, 0x76AF, 0x4434, 0x55BD,
                0xAD4A, 0xBCC3, 0x8E58, 0x9FD1, 0xEB6E, 0xFAE7, 0xC87C, 0xD9F5, 0x3183, 0x200A,
                0x1291, 0x0318, 0x77A7, 0x662E, 0x54B5, 0x453C, 0xBDCB, 0xAC42, 0x9ED9, 0x8F50,
                0xFBEF, 0xEA66, 0xD8FD, 0xC974, 0x4204, 0x538D, 0x6116, 0x709F, 0x0420, 0x15A9,
                0x2732, 0x36BB, 0xCE4C, 0xDFC5, 0xED5E, 0xFCD7, 0x8868, 0x99E1, 0xAB7A, 0xBAF3,
                0x5285, 0x430C, 0x7197, 0x601E, 0x14A1, 0x0528, 0x37B3, 0x263A, 0xDECD, 0xCF44,
                0xFDDF, 0xEC56, 0x98E9, 0x8960, 0xBBFB, 0xAA72, 0x6306, 0x728F, 0x4014, 0x519D,
                0x2522, 0x34AB, 0x0630, 0x17B9, 0xEF4E, 0xFEC7, 0xCC5C, 0xDDD5, 0xA96A, 0xB8E3,
                0x8A78, 0x9BF1, 0x7387, 0x620E, 0x5095, 0x411C, 0x35A3, 0x242A, 0x16B1, 0x0738,
                0xFFCF, 0xEE46, 0xDCDD, 0xCD54, 0xB9EB, 0xA862, 0x9AF9, 0x8B70, 0x8408, 0x9581,
                0xA71A, 0xB693, 0xC22C, 0xD3A5, 0xE13E, 0xF0B7, 0x0840, 0x19C9, 0x2B52, 0x3ADB,
                0x4E64, 0x5FED, 0x6D76, 0x7CFF, 0x9489, 0x8500, 0xB79B, 0xA612, 0xD2AD, 0xC324,
                0xF1BF, 0xE036, 0x18C1, 0x0948, 0x3BD3, 0x2A5A, 0x5EE5, 0x4F6C, 0x7DF7, 0x6C7E,
                0xA50A, 0xB483, 0x8618, 0x9791, 0xE32E, 0xF2A7, 0xC03C, 0xD1B5, 0x2942, 0x38CB,
                0x0A50, 0x1BD9, 0x6F66, 0x7EEF, 0x4C74, 0x5DFD, 0xB58B, 0xA402, 0x9699, 0x8710,
                0xF3AF, 0xE226, 0xD0BD, 0xC134, 0x39C3, 0x284A, 0x1AD1, 0x0B58, 0x7FE7, 0x6E6E,
                0x5CF5, 0x4D7C, 0xC60C, 0xD785, 0xE51E, 0xF497, 0x8028, 0x91A1, 0xA33A, 0xB2B3,
                0x4A44, 0x5BCD, 0x6956, 0x78DF, 0x0C60, 0x1DE9, 0x2F72, 0x3EFB, 0xD68D, 0xC704,
                0xF59F, 0xE416, 0x90A9, 0x8120, 0xB3BB, 0xA232, 0x5AC5, 0x4B4C, 0x79D7, 0x685E,
                0x1CE1, 0x0D68, 0x3FF3, 0x2E7A, 0xE70E, 0xF687, 0xC41C, 0xD595, 0xA12A, 0xB0A3,
                0x8238, 0x93B1, 0x6B46, 0x7ACF, 0x4854, 0x59DD, 0x2D62, 0x3CEB, 0x0E70, 0x1FF9,
                0xF78F, 0xE606, 0xD49D, 0xC514, 0xB1AB, 0xA022, 0x92B9, 0x8330, 0x7BC7, 0x6A4E,
                0x58D5, 0x495C, 0x3DE3, 0x2C6A, 0x1EF1, 0x0F78,
        },
        {
                0x0000, 0x19D8, 0x33B0, 0x2A68, 0x6760, 0x7EB8, 0x54D0, 0x4D08, 0xCEC0, 0xD718,
                0xFD70, 0xE4A8, 0xA9A0, 0xB078, 0x9A10, 0x83C8, 0x9591, 0x8C49, 0xA621, 0xBFF9,
                0xF2F1, 0xEB29, 0xC141, 0xD899, 0x5B51, 0x4289, 0x68E1, 0x7139, 0x3C31, 0x25E9,
                0x0F81, 0x1659, 0x2333, 0x3AEB, 0x1083, 0x095B, 0x4453, 0x5D8B, 0x77E3, 0x6E3B,
                0xEDF3, 0xF42B, 0xDE43, 0xC79B, 0x8A93, 0x934B, 0xB923, 0xA0FB, 0xB6A2, 0xAF7A,
                0x8512, 0x9CCA, 0xD1C2, 0xC81A, 0xE272, 0xFBAA, 0x7862, 0x61BA, 0x4BD2, 0x520A,
                0x1F02, 0x06DA, 0x2CB2, 0x356A, 0x4666, 0x5FBE, 0x75D6, 0x6C0E, 0x2106, 0x38DE,
                0x12B6, 0x0B6E, 0x88A6, 0x917E, 0xBB16, 0xA2CE, 0xEFC6, 0xF61E, 0xDC76, 0xC5AE,
                0xD3F7, 0xCA2F, 0xE047, 0xF99F, 0xB497, 0xAD4F, 0x8727, 0x9EFF, 0x1D37, 0x04EF,
                0x2E87, 0x375F, 0x7A57, 0x638F, 0x49E7, 0x503F, 0x6555, 0x7C8D, 0x56E5, 0x4F3D,
                0x0235, 0x1BED, 0x3185, 0x285D, 0xAB95, 0xB24D, 0x9825, 0x81FD, 0xCCF5, 0xD52D,
                0xFF45, 0xE69D, 0xF0C4, 0xE91C, 0xC374, 0xDAAC, 0x97A4, 0x8E7C, 0xA414, 0xBDCC,
                0x3E04, 0x27DC, 0x0DB4, 0x146C, 0x5964, 0x40BC, 0x6AD4, 0x730C, 0x8CCC, 0x9514,
                0xBF7C, 0xA6A4, 0xEBAC, 0xF274, 0xD81C, 0xC1C4, 0x420C, 0x5BD4, 0x71BC, 0x6864,
                0x256C, 0x3CB4, 0x16DC, 0x0F04, 0x195D, 0x0085, 0x2AED, 0x3335, 0x7E3D, 0x67E5,
                0x4D8D, 0x5455, 0xD79D, 0xCE45, 0xE42D, 0xFDF5, 0xB0FD, 0xA925, 0x834D, 0x9A95,
                0xAFFF, 0xB627, 0x9C4F, 0x8597, 0xC89F, 0xD147, 0xFB2F, 0xE2F7, 0x613F, 0x78E7,
                0x528F, 0x4B57, 0x065F, 0x1F87, 0x35EF, 0x2C37, 0x3A6E, 0x23B6, 0x09DE, 0x1006,
                0x5D0E, 0x44D6, 0x6EBE, 0x7766, 0xF4AE, 0xED76, 0xC71E, 0xDEC6, 0x93CE, 0x8A16,
                0xA07E, 0xB9A6, 0xCAAA, 0xD372, 0xF91A, 0xE0C2, 0xADCA, 0xB412, 0x9E7A, 0x87A2,
                0x046A, 0x1DB2, 0x37DA, 0x2E02, 0x630A, 0x7AD2, 0x50BA, 0x4962, 0x5F3B, 0x46E3,
                0x6C8B, 0x7553, 0x385B, 0x2183, 0x0BEB, 0x1233, 0x91FB, 0x8823, 0xA24B, 0xBB93,
                0xF69B, 0xEF43, 0xC52B, 0xDCF3, 0xE999, 0xF041, 0xDA29, 0xC3F1, 0x8EF9, 0x9721,
                0xBD49, 0xA491, 0x2759, 0x3E81, 0x14E9, 0x0D31, 0x4039, 0x59E1, 0x7389, 0x6A51,
                0x7C08, 0x65D0, 0x4FB8, 0x5660, 0x1B68, 0x02B0, 0x28D8, 0x3100, 0xB2C8, 0xAB10,
                0x8178, 0x98A0, 0xD5A8, 0xCC70, 0xE618, 0xFFC0,
        },
};

static inline uint16_t crc_step(uint16_t crc, const uint8_t *p, size_t n)
{
        for (; n >= 2; n -= 2, p += 2)
                crc = crc_table[1][(crc ^ p[0]) & 0xFF] ^ crc_table[0][(crc >> 8 ^ p[1]) & 0xFF];
        if (n > 0)
                crc = (uint16_t)(crc >> 8 ^ crc_table[0][(crc ^ *p) & 0xFF]);
        return crc;
}

static inline uint16_t complement(uint16_t crc)
{
        return (uint16_t)(crc ^ 0xFFFF);
}

uint16_t hdlc_crc(const uint8_t *p, size_t n)
{
        return complement(crc_step(0xFFFF, p, n));
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
        crc = crc_step(0xFFFF, p + 1, at - 1);
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
        crc = crc_step(crc, p + at, end - at);
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
        crc = crc_step(0xFFFF, out + 1, (size_t)(p - out - 1));
        if (f->info_len > 0) {
                uint8_t *hcs = p;

                sum = complement(crc);
                *p++ = (uint8_t)sum;
                *p++ = (uint8_t)(sum >> 8);
                memmove(p, f->info, f->info_len);
                p += f->info_len;
                crc = crc_step(crc, hcs, f->info_len + 2);
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
