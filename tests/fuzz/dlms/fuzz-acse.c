/* ACSE: what decodes can be written and decodes to the same again. */
#include <stdlib.h>
#include <string.h>

#include "dlms/acse.h"
#include "dlms/apdu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static uint8_t out[70000];
        struct axdr_writer w = axdr_writer_of(out, sizeof out);
        struct acse_associate a, b;
        struct acse_initiate i, j;
        struct acse_release r;

        if (n < 60000 && acse_associate_decode(data, n, &a) == 0) {
                acse_rejection(&a);
                if (a.diagnostic_source == 0)
                        a.diagnostic_source = 1;
                acse_put_associate(&w, &a);
                if (w.failed || acse_associate_decode(out, w.len, &b) != 0 ||
                    a.context != b.context || a.user_info_len != b.user_info_len ||
                    a.result != b.result || a.diagnostic != b.diagnostic)
                        abort();
        }
        acse_release_decode(data, n, &r);
        if (acse_initiate_decode(data, n, &i) == 0) {
                w = axdr_writer_of(out, sizeof out);
                acse_put_initiate(&w, &i);
                if (w.failed || acse_initiate_decode(out, w.len, &j) != 0 ||
                    i.conformance != j.conformance || i.max_pdu != j.max_pdu)
                        abort();
        }
        return 0;
}
