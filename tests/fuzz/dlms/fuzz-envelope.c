/* general-ciphering and general-signing: what decodes is encoded again and decodes to the same. */
#include <stdlib.h>
#include <string.h>

#include "dlms/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool same(const struct apdu_field *a, const struct apdu_field *b)
{
        return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

static void check_general(const uint8_t *p, size_t n)
{
        struct apdu_general g, again;
        struct axdr_writer w;
        uint8_t *out;

        if (apdu_general_decode(p, n, &g))
                return;
        if (g.offset + g.n != n)
                abort();
        out = malloc(n + 32);
        w = axdr_writer_of(out, n + 32);
        apdu_put_general(&w, &g);
        axdr_put_raw(&w, p + g.offset, g.n);
        if (w.failed || w.len > n || apdu_general_decode(out, w.len, &again))
                abort();
        if (!same(&g.head, &again.head) || !same(&g.key_data, &again.key_data) ||
            !same(&g.key_parameters, &again.key_parameters) || g.choice != again.choice ||
            g.key_id != again.key_id || again.n != g.n)
                abort();
        free(out);
}

static void check_signed(const uint8_t *p, size_t n)
{
        struct apdu_signed s;

        if (apdu_signed_decode(p, n, &s))
                return;
        if (s.offset + s.n > n || s.signature.p + s.signature.n != p + n)
                abort();
        if (s.head.n < s.transaction.n + s.originator.n + s.recipient.n + s.time.n + s.other.n)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct apdu_envelope e;
        uint8_t *copy;

        if (n == 0)
                return 0;
        copy = malloc(n);
        memcpy(copy, data, n);
        if (apdu_envelope_decode(copy, n, &e) == 0 && e.offset + e.n != n)
                abort();
        check_general(copy, n);
        check_signed(copy, n);
        free(copy);
        return 0;
}
