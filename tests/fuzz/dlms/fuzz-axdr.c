/* A-XDR: checking, walking and expanding agree about what is well-formed. */
#include <stdlib.h>

#include "dlms/axdr.h"
#include "dlms/dlms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What was read is written, and read again the same. */
static void write_again(const struct axdr_value *v)
{
        static uint8_t out[1 << 17];
        struct axdr_writer w = axdr_writer_of(out, sizeof out);
        bool list = v->tag == AXDR_ARRAY || v->tag == AXDR_STRUCTURE;
        struct axdr_value again;
        struct axdr_reader r;

        axdr_put_value(&w, v);
        if (w.failed)
                abort();
        axdr_reader_init(&r, out, w.len + (list ? v->n : 0));
        if (!axdr_next(&r, &again) || r.p != out + w.len || again.tag != v->tag)
                abort();
        if (v->tag == AXDR_VISIBLE_STRING)
                axdr_put_utf8(&w, v->p, v->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static uint8_t out[8192];
        struct axdr_reader r;
        struct axdr_value v;
        size_t values = 0;

        if (n > sizeof out)
                return 0;
        axdr_reader_init(&r, data, n);
        while (axdr_next(&r, &v)) {
                int64_t i;

                if (++values > n)
                        abort();
                axdr_is_integer(&v, &i);
                write_again(&v);
                if (v.tag == AXDR_COMPACT_ARRAY) {
                        struct axdr_writer w = axdr_writer_of(out, sizeof out);

                        if (axdr_expand_compact(&v, &w) == 0 && axdr_check(out, w.len) != 0 &&
                            axdr_check(out, w.len) != DLMS_E_DEPTH)
                                abort();
                }
        }
        if (!r.error)
                abort(); /* the end is an error too: truncated */
        axdr_check(data, n);
        return 0;
}
