/* Any bytes as a SenML pack. */
#include "fuzz-common.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        fuzz_payload(true, data, n);
        return 0;
}
