#include <stdlib.h>
#include <string.h>

#include "block.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct got {
        struct block_value *v;
        size_t n, cap;
};

static void collect(void *arg, const struct block_value *v)
{
        struct got *g = arg;

        if (g->n == g->cap) {
                g->cap = g->cap ? 2 * g->cap : 64;
                g->v = realloc(g->v, g->cap * sizeof *g->v);
                if (!g->v)
                        abort();
        }
        g->v[g->n++] = *v;
}

/* What unpacks and is in order packs again, and to the same values. */
static void again(struct got *g, int registers)
{
        struct buf b = BUF_INIT;
        struct got h = { 0 };
        int r = registers ? block_pack_registers(7000, g->v, g->n, &b)
                          : block_pack(7000, g->v, g->n, &b, NULL);

        if (!r) {
                r = registers ? block_unpack_registers(7000, b.p, b.len, collect, &h)
                              : block_unpack(7000, b.p, b.len, collect, &h);
                if (r || h.n != g->n)
                        abort();
                for (size_t i = 0; i < h.n; i++)
                        if (h.v[i].at != g->v[i].at || h.v[i].value != g->v[i].value ||
                            h.v[i].status != g->v[i].status || h.v[i].period_s != g->v[i].period_s)
                                abort();
        }
        free(h.v);
        buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        for (int registers = 0; registers < 2; registers++) {
                struct got g = { 0 };
                int r = registers ? block_unpack_registers(7000, data, n, collect, &g)
                                  : block_unpack(7000, data, n, collect, &g);

                if (!r)
                        again(&g, registers);
                free(g.v);
        }
        return 0;
}
