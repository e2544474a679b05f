/* xDLMS APDUs; what decodes points into the input. */
#include <stdlib.h>

#include "dlms/apdu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void inside(const uint8_t *p, size_t len, const uint8_t *data, size_t n)
{
        if (p && (p < data || len > n || p + len > data + n))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct apdu_notification note;
        struct apdu_exception x;
        struct apdu_response a;
        struct apdu_envelope env;
        struct apdu_request q;
        struct apdu_general g;
        struct apdu_block b;

        apdu_plausible(data, n);
        if (apdu_request_decode(data, n, &q) == 0) {
                inside(q.data, q.n, data, n);
                inside(q.selection.params, q.selection.n, data, n);
        }
        if (apdu_response_decode(data, n, &a) == 0)
                inside(a.data, a.n, data, n);
        if (apdu_notification_decode(data, n, &note) == 0) {
                inside(note.time, 12, data, n);
                inside(note.body, note.n, data, n);
        }
        if (apdu_block_decode(data, n, &b) == 0)
                inside(b.data, b.n, data, n);
        if (apdu_envelope_decode(data, n, &env) == 0 && env.offset + env.n != n)
                abort();
        if (apdu_general_decode(data, n, &g) == 0) {
                inside(g.transaction.p, g.transaction.n, data, n);
                inside(g.key_data.p, g.key_data.n, data, n);
                if (g.offset + g.n != n)
                        abort();
        }
        if (apdu_exception_decode(data, n, &x) == 0)
                apdu_exception_error(&x);
        return 0;
}
