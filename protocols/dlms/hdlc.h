#pragma once

/*
 * HDLC framing for DLMS (IEC 62056-46): frame format type 3, addresses of 1, 2 and 4 bytes, header
 * and frame check sequences, and the small connection state both ends of a link share. Pure.
 *
 * Frames are found by their length field, never by looking for the next flag: 7E and 7D occur
 * unescaped inside the information field.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        HDLC_FLAG = 0x7E,
        HDLC_LENGTH_MAX = 0x7FF,                   /* between the flags */
        HDLC_FRAME_MAX = HDLC_LENGTH_MAX + 2,      /* with both flags */
        HDLC_OVERHEAD = 2 + 2 + 4 + 4 + 1 + 2 + 2, /* most bytes around an information field */
        HDLC_INFO_DEFAULT = 128,
        HDLC_INFO_MAX = 2030,
};

/* Control field, poll/final bit cleared. */
enum {
        HDLC_UI = 0x03,
        HDLC_SNRM = 0x83,
        HDLC_UA = 0x63,
        HDLC_DISC = 0x43,
        HDLC_DM = 0x0F,
        HDLC_FRMR = 0x87,
        HDLC_RR = 0x01,
        HDLC_RNR = 0x05,
        HDLC_REJ = 0x09,
        HDLC_POLL_FINAL = 0x10,
};

struct hdlc_frame {
        uint32_t dst, src;          /* addresses as sent, bytes big-endian, extension bits in */
        uint8_t dst_size, src_size; /* 1, 2, 4 */
        uint8_t control;            /* with poll/final */
        bool segmented;
        const uint8_t *info; /* borrowed from the input */
        size_t info_len;
};

/* CRC-16/X.25 as HCS and FCS use it. */
uint16_t hdlc_crc(const uint8_t *p, size_t n);

/* How many bytes the frame starting at @p (its opening flag) has, flags included; 0 = more bytes
 * are needed to tell; a negative DLMS_E_ (-DLMS_E_HDLC_FORMAT) when none starts here. */
int hdlc_frame_size(const uint8_t *p, size_t n);
/* Fills @buf (HDLC_FRAME_MAX bytes, *@len used) with bytes of a stream until one frame is whole,
 * skipping what is no frame. Returns how many of @n it took. To go on after a whole frame set
 * *@len to 1: its closing flag may be the next one's opening flag. */
size_t hdlc_collect(uint8_t *buf, size_t *len, const uint8_t *in, size_t n, bool *ret_whole);

/* Parses exactly one whole frame of @n bytes. 0, DLMS_E_HDLC_FORMAT (flags, type, length),
 * _HDLC_ADDRESS, _HDLC_HCS, _HDLC_FCS, _TRUNCATED. On _HCS and _FCS *@ret is filled in. */
int hdlc_frame_parse(const uint8_t *p, size_t n, struct hdlc_frame *ret);
/* Writes one frame, both flags; returns its size, 0 when @cap is too small. */
size_t hdlc_frame_write(const struct hdlc_frame *f, uint8_t *out, size_t cap);

/* Address bytes: @upper (logical device or client SAP) and @lower (physical device). @size 1 takes
 * upper only. Returns the bytes big-endian with extension bits, as in struct hdlc_frame. */
uint32_t hdlc_address(uint16_t upper, uint16_t lower, uint8_t size);
/* Shortest size that holds both (lower 0 = none). */
uint8_t hdlc_address_size(uint16_t upper, uint16_t lower);
void hdlc_address_split(uint32_t address, uint8_t size, uint16_t *ret_upper, uint16_t *ret_lower);

/* Parameters of SNRM and UA (format 81 80). */
struct hdlc_params {
        uint16_t info_tx, info_rx; /* of the sender of this field */
        uint8_t window_tx, window_rx;
};

size_t hdlc_params_write(const struct hdlc_params *p, uint8_t out[static 32]);
/* Missing fields keep what *@ret held. 0 or DLMS_E_HDLC_FORMAT. */
int hdlc_params_read(const uint8_t *info, size_t n, struct hdlc_params *ret);
