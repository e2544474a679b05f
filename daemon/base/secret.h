#pragma once

/* Key material. No formatter exists for it, on purpose; wiped when released. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SECRET_MAX = 64 };

struct secret {
        uint8_t bytes[SECRET_MAX];
        uint8_t len; /* 0 = none */
};

/* False when @n exceeds SECRET_MAX; nothing changes then. */
bool secret_set(struct secret *s, const void *p, size_t n);
void secret_wipe(struct secret *s);
/* In time that depends on @n only. */
bool secret_equal(const void *a, const void *b, size_t n);
