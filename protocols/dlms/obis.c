#include "obis.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void obis_format(const struct obis *o, char out[static OBIS_TEXT_SIZE])
{
        char *p = out;

        for (int i = 0; i < 6; i++) {
                unsigned v = o->v[i];

                if (i > 0)
                        *p++ = '.';
                if (v >= 100)
                        *p++ = (char)('0' + v / 100);
                if (v >= 10)
                        *p++ = (char)('0' + v / 10 % 10);
                *p++ = (char)('0' + v % 10);
        }
        *p = 0;
}

int obis_parse(const char *s, struct obis *ret)
{
        struct obis o = { { 0 } };
        int i = 0;

        for (;;) {
                unsigned v = 0;
                int digits = 0;

                while (*s >= '0' && *s <= '9' && digits < 4) {
                        v = v * 10 + (unsigned)(*s++ - '0');
                        digits++;
                }
                if (digits == 0 || v > 255)
                        return -EINVAL;
                o.v[i++] = (uint8_t)v;
                if (*s == 0)
                        break;
                if (i == 6 || !strchr(".-:*&", *s))
                        return -EINVAL;
                s++;
        }
        if (i == 5)
                o.v[i++] = 255;
        if (i != 6)
                return -EINVAL;
        *ret = o;
        return 0;
}

bool obis_equal(const struct obis *a, const struct obis *b)
{
        return memcmp(a->v, b->v, sizeof a->v) == 0;
}

bool obis_plausible(const uint8_t v[static 6])
{
        if (v[0] > 15 && (v[0] < 128 || v[0] > 199))
                return false;
        return v[5] == 255 || v[5] <= 126;
}
