#include "crc.h"

#include <pthread.h>

static uint32_t table[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void)
{
        for (uint32_t i = 0; i < 256; i++) {
                uint32_t c = i;

                for (int k = 0; k < 8; k++)
                        c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
                table[0][i] = c;
        }
        for (int t = 1; t < 8; t++)
                for (uint32_t i = 0; i < 256; i++)
                        table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 0xFF];
}

/* Eight bytes a step ("slicing by eight"): portable, about 1 byte a cycle. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
        const uint8_t *p = data;

        pthread_once(&once, fill);
        crc = ~crc;
        for (; n >= 8; p += 8, n -= 8) {
                uint32_t lo = crc ^ (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                                     (uint32_t)p[3] << 24);

                crc = table[7][lo & 0xFF] ^ table[6][lo >> 8 & 0xFF] ^ table[5][lo >> 16 & 0xFF] ^
                      table[4][lo >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
                      table[0][p[7]];
        }
        for (; n > 0; p++, n--)
                crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xFF];
        return ~crc;
}
