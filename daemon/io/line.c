#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static const struct {
        uint32_t baud;
        speed_t speed;
} rates[] = {
        { 300, B300 },       { 600, B600 },       { 1200, B1200 },     { 2400, B2400 },
        { 4800, B4800 },     { 9600, B9600 },     { 19200, B19200 },   { 38400, B38400 },
        { 57600, B57600 },   { 115200, B115200 }, { 230400, B230400 }, { 460800, B460800 },
        { 921600, B921600 },
};

static bool speed_of(uint32_t baud, speed_t *ret)
{
        for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
                if (rates[i].baud == baud) {
                        *ret = rates[i].speed;
                        return true;
                }
        return false;
}

int line_set(int fd, const struct line_settings *settings)
{
        struct termios t;
        speed_t speed;

        if (!speed_of(settings->baud, &speed))
                return -EINVAL;
        if (tcgetattr(fd, &t))
                return -errno;
        cfmakeraw(&t);
        t.c_cflag &= ~(tcflag_t)(CSIZE | PARENB | PARODD | CSTOPB | CRTSCTS);
        t.c_cflag |= CLOCAL | CREAD | (settings->format == LINE_7E1 ? CS7 | PARENB : CS8);
        /* A character with wrong parity arrives as it is: the protocols check more than that. */
        t.c_iflag &= ~(tcflag_t)(INPCK | IXON | IXOFF | IXANY);
        t.c_cc[VMIN] = 1;
        t.c_cc[VTIME] = 0;
        cfsetispeed(&t, speed);
        cfsetospeed(&t, speed);
        return tcsetattr(fd, TCSANOW, &t) ? -errno : 0;
}

int line_open(const char *path, const struct line_settings *settings, int *ret_fd)
{
        int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), r;

        if (fd < 0)
                return -errno;
        if (!isatty(fd))
                r = -ENOTTY;
        else if (ioctl(fd, TIOCEXCL))
                r = -errno;
        else
                r = line_set(fd, settings);
        if (r < 0) {
                close(fd);
                return r;
        }
        line_flush(fd);
        *ret_fd = fd;
        return 0;
}

int line_queued(int fd)
{
        int n = 0;

        return ioctl(fd, TIOCOUTQ, &n) ? 0 : n;
}

void line_flush(int fd)
{
        tcflush(fd, TCIOFLUSH);
}
