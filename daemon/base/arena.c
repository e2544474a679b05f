#include "arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 8192, ALIGN = _Alignof(max_align_t) };

struct arena_chunk {
        struct arena_chunk *next;
        size_t size;
        _Alignas(max_align_t) unsigned char data[];
};

void arena_init(struct arena *a, size_t limit)
{
        *a = (struct arena){ .limit = limit };
}

void arena_deinit(struct arena *a)
{
        while (a->chunks) {
                struct arena_chunk *c = a->chunks;

                a->chunks = c->next;
                free(c);
        }
        a->used = a->total = 0;
}

void *arena_alloc(struct arena *a, size_t n)
{
        void *p;

        if (n > SIZE_MAX / 2 || (a->limit && (n > a->limit || a->total > a->limit - n)))
                return NULL;
        n = (n + ALIGN - 1) / ALIGN * ALIGN;
        if (!a->chunks || a->chunks->size - a->used < n) {
                size_t size = n > CHUNK ? n : CHUNK;
                struct arena_chunk *c = malloc(sizeof *c + size);

                if (!c)
                        return NULL;
                c->next = a->chunks;
                c->size = size;
                a->chunks = c;
                a->used = 0;
        }
        p = a->chunks->data + a->used;
        a->used += n;
        a->total += n;
        return memset(p, 0, n);
}

void *arena_copy(struct arena *a, const void *p, size_t n)
{
        void *to = arena_alloc(a, n);

        if (to && n)
                memcpy(to, p, n);
        return to;
}

char *arena_strn(struct arena *a, const char *s, size_t n)
{
        char *to = n < SIZE_MAX ? arena_alloc(a, n + 1) : NULL;

        if (to)
                memcpy(to, s, n);
        return to;
}

char *arena_str(struct arena *a, const char *s)
{
        return arena_strn(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
        va_list ap, again;
        char *to;
        int n;

        va_start(ap, fmt);
        va_copy(again, ap);
        n = vsnprintf(NULL, 0, fmt, again);
        va_end(again);
        to = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
        if (to)
                vsnprintf(to, (size_t)n + 1, fmt, ap);
        va_end(ap);
        return to;
}
