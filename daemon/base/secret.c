#include "secret.h"

#include <string.h>

bool secret_set(struct secret *s, const void *p, size_t n)
{
        if (n > SECRET_MAX)
                return false;
        memset(s->bytes, 0, sizeof s->bytes);
        if (n)
                memcpy(s->bytes, p, n);
        s->len = (uint8_t)n;
        return true;
}

void secret_wipe(struct secret *s)
{
        explicit_bzero(s->bytes, sizeof s->bytes);
        s->len = 0;
}

bool secret_equal(const void *a, const void *b, size_t n)
{
        const volatile uint8_t *x = a, *y = b;
        uint8_t d = 0;

        for (size_t i = 0; i < n; i++)
                d |= x[i] ^ y[i];
        return d == 0;
}
