/* Any bytes as a flat JSON document. */
#include "fuzz-common.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        fuzz_payload(false, data, n);
        return 0;
}
