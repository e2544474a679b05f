#pragma once

/*
 * What the generic pump needs of a protocol core: bytes in, bytes out, one deadline. Every
 * session state machine under protocols/ exports one const struct core_ops; its own commands
 * and events stay in its own header.
 *
 * The driver does four things, in this order, after every read, timer and command:
 *     feed   recv() or expire()
 *     drain  the core's own next_event() until it has none
 *     write  output(), then output_done()
 *     arm    one timer at deadline()
 */

#include <stddef.h>
#include <stdint.h>

#define CORE_NO_DEADLINE INT64_MAX

struct core_ops {
        /* Takes at most @n bytes and says how many; none while an event waits to be drained. */
        size_t (*recv)(void *core, const uint8_t *in, size_t n, int64_t now_ms);
        /* To be called at or after deadline(). */
        void (*expire)(void *core, int64_t now_ms);
        /* The transport is gone (peer closed, reset, connect failed: @error is -errno or 0). */
        void (*closed)(void *core, int error, int64_t now_ms);
        /* Bytes to send, borrowed until output_done(). */
        size_t (*output)(void *core, const uint8_t **ret);
        void (*output_done)(void *core, size_t n);
        /* Milliseconds on the caller's monotonic clock, or CORE_NO_DEADLINE. */
        int64_t (*deadline)(void *core);
};
