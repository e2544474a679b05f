/*
 * Any bytes of both directions as a trace in words and as JSON. First byte: the phase (low two
 * bits), JSON (0x04), keys known (0x08); then pieces: a byte with the direction (top bit) and
 * length, 0x40 = the phase changes. Invariant: the text is text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meter_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void play(struct meter_trace *t, const uint8_t *data, size_t n)
{
        int64_t at = 0;

        while (n > 0) {
                uint8_t head = *data++;
                size_t piece = head & 0x3F;

                n--;
                if (head & 0x40)
                        meter_trace_phase(t, at, (enum meter_phase)(head % 3));
                if (piece > n)
                        piece = n;
                meter_trace_bytes(t, at++, head & 0x80, data, piece);
                data += piece;
                n -= piece;
        }
        meter_trace_end(t, at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct dlms_keys keys = { .has_ek = true, .has_ak = true };
        struct meter_trace_config c = { .secret = (const uint8_t *)"secret", .secret_len = 6 };
        char *text = NULL;
        size_t size;

        if (n == 0)
                return 0;
        c.out = open_memstream(&text, &size);
        c.json = data[0] & 4;
        c.crypto = dlms_crypto_new();
        if (data[0] & 8)
                c.keys = &keys;
        struct meter_trace *t = meter_trace_new(&c);
        if (!t || !c.out || !c.crypto)
                abort();
        meter_trace_phase(t, 0, (enum meter_phase)((data[0] & 3) % 3));
        play(t, data + 1, n - 1);
        meter_trace_free(t);
        fclose(c.out);
        for (size_t i = 0; i < size; i++)
                if ((unsigned char)text[i] < ' ' && text[i] != '\n')
                        abort();
        free(text);
        dlms_crypto_free(c.crypto);
        return 0;
}
