#include "series.h"

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
        for (; v >= 0x80; v >>= 7)
                *p++ = (uint8_t)(v | 0x80);
        *p++ = (uint8_t)v;
        return p;
}

static void put_values(struct buf *out, const int64_t *value, size_t n)
{
        enum { PIECE = 512, LONGEST = 10 };
        uint8_t bytes[PIECE * LONGEST], *p = bytes;
        int64_t last = 0;

        for (size_t i = 0; i < n; i++) {
                uint64_t d = (uint64_t)value[i] - (uint64_t)last;

                p = put_varint(p, d << 1 ^ (uint64_t)((int64_t)d >> 63));
                last = value[i];
                if (i % PIECE == PIECE - 1 || i + 1 == n) {
                        buf_put(out, bytes, (size_t)(p - bytes));
                        p = bytes;
                }
        }
}

void series_encode(struct buf *out, size_t n, const int64_t *at, const int64_t *value,
                   const uint32_t *period_s, const uint8_t *status, const uint8_t *source)
{
        int64_t end = 0;

        for (size_t i = 0, k; i < n; i = k) {
                for (k = i + 1; k < n && at[k] == at[k - 1] + period_s[i] &&
                                period_s[k] == period_s[i] && status[k] == status[i] &&
                                (!source || source[k] == source[i]);)
                        k++;
                buf_put_zigzag(out, at[i] - end);
                buf_put_varint(out, period_s[i]);
                buf_put_u8(out, status[i]);
                buf_put_u8(out, source ? source[i] : 0);
                buf_put_varint(out, k - i);
                put_values(out, value + i, k - i);
                end = at[k - 1] + period_s[i];
        }
}
