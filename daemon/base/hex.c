#include "hex.h"

#include <errno.h>

static int digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

ssize_t hex_decode(const char *s, size_t n, uint8_t *out, size_t cap)
{
        size_t len = 0;

        for (size_t i = 0; i < n;) {
                int hi, lo;

                if (s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n') {
                        i++;
                        continue;
                }
                hi = digit(s[i]);
                lo = i + 1 < n ? digit(s[i + 1]) : -1;
                if (hi < 0 || lo < 0)
                        return -EINVAL;
                if (len == cap)
                        return -ENOSPC;
                out[len++] = (uint8_t)(hi << 4 | lo);
                i += 2;
        }
        return (ssize_t)len;
}
