/*
 * Any bytes from an optical head. First byte: settings; then pieces, each with its length (low six
 * bits; the top bit: the deadline passes before it). Invariants: one end at most, bounded output,
 * an identification that is a text.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "iec62056/mode_e.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
        if (!ok)
                abort();
}

static unsigned drain(struct mode_e *m)
{
        struct mode_e_event ev;
        unsigned ends = 0;

        while (mode_e_next_event(m, &ev)) {
                ends += ev.type != MODE_E_EV_IDENTIFIED;
                check(ev.type != MODE_E_EV_SWITCH || (ev.baud >= 300 && ev.baud <= 19200));
                check(ev.type != MODE_E_EV_FAILED || (ev.error && ev.error < MODE_E_N_ERRORS));
                check(memchr(m->identification, 0, sizeof m->identification) != NULL);
        }
        return ends;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct mode_e_config config = { 0 };
        int64_t now = 0;
        unsigned ends = 0;
        const uint8_t *out;
        struct mode_e m;
        char maker[4];

        if (n == 0)
                return 0;
        config.wake_up = data[0] & 1;
        config.insist = data[0] & 2;
        config.max_baud = data[0] & 4 ? 2400 : 0;
        config.tries = data[0] >> 4;
        check(mode_e_init(&m, &config) == MODE_E_OK);
        mode_e_open(&m, now);
        data++;
        n--;
        while (n > 0) {
                size_t piece = data[0] & 0x3F;

                check(mode_e_core.output(&m, &out) <= 96);
                mode_e_core.output_done(&m, mode_e_core.output(&m, &out));
                if ((data[0] & 0x80) && mode_e_core.deadline(&m) != CORE_NO_DEADLINE) {
                        now = mode_e_core.deadline(&m);
                        mode_e_core.expire(&m, now);
                        ends += drain(&m);
                }
                data++;
                n--;
                if (piece > n)
                        piece = n;
                for (size_t taken; piece > 0; piece -= taken, data += taken, n -= taken) {
                        taken = mode_e_core.recv(&m, data, piece, now++);
                        check(taken > 0 && taken <= piece);
                        ends += drain(&m);
                }
        }
        mode_e_core.closed(&m, 0, now);
        ends += drain(&m);
        check(ends == 1 && m.state == MODE_E_DONE);
        mode_e_maker(m.identification, maker);
        check(strlen(maker) <= 3);
        return 0;
}
