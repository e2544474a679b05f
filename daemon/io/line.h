#pragma once

/*
 * Serial lines: RS-485 and RS-232 adapters, optical heads. Opens and sets a tty without ever
 * waiting for it; who drives it is the pump's business (pump.h).
 */

#include <stdint.h>

enum line_format {
        LINE_8N1, /* 8 data bits, no parity, 1 stop bit: HDLC */
        LINE_7E1, /* 7 data bits, even parity, 1 stop bit: IEC 62056-21 sign-on */
};

struct line_settings {
        uint32_t baud; /* one of the rates termios knows, 300 to 921600 */
        enum line_format format;
};

/* Opens @path raw, without flow control or modem lines, for us alone. *@ret_fd owned, non-blocking.
 * 0, -EINVAL (no such rate), -ENOTTY (no serial line), -EBUSY (another program has it), or what
 * open() says. */
int line_open(const char *path, const struct line_settings *settings, int *ret_fd);
/* New settings, at once: what is still queued is sent with them. 0 or -errno. */
int line_set(int fd, const struct line_settings *settings);
/* Bytes given to the driver and not sent yet; 0 when the driver cannot tell. */
int line_queued(int fd);
/* Drops what is queued both ways. */
void line_flush(int fd);
