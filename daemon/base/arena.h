#pragma once

/*
 * Bump allocator for one call's or one message's memory: everything allocated from it dies
 * with it. Not for sharing between threads.
 */

#include <stddef.h>
#include <stdint.h>

struct arena {
        struct arena_chunk *chunks; /* owned, newest first */
        size_t used;                /* bytes in the newest chunk */
        size_t total, limit;        /* bytes handed out; limit 0 = none */
};

void arena_init(struct arena *a, size_t limit);
void arena_deinit(struct arena *a);
/* Zeroed, aligned for any type; NULL when out of memory or over the limit. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_copy(struct arena *a, const void *p, size_t n);
/* NUL-terminated copy of @n bytes. */
char *arena_strn(struct arena *a, const char *s, size_t n);
char *arena_str(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
