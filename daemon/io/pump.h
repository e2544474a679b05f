#pragma once

/*
 * The one driver of protocol cores: connects to a peer over TCP, or opens a serial line, and then,
 * after every read, timer and command, feeds the core, lets the owner drain its events, writes its
 * output and arms one timer (protocols/core.h). Nothing here knows a protocol.
 *
 * Loop thread only; never blocks (names are resolved on libuv's thread pool). Embed struct pump in
 * the session; the memory must stay until the closed callback ran, which is always exactly once
 * after a pump_open() or pump_open_line() that returned 0.
 *
 * What is read goes through one buffer that all pumps of a thread share; only bytes a core does not
 * take at once are kept, so that a session that waits holds no buffer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "core.h"
#include "line.h"

struct pump;

struct pump_owner {
        /* Drain the core's events here, give it commands; may call pump_close(). Called once after
         * the connection stands, then after everything fed. */
        void (*drain)(struct pump *p, void *arg);
        /* The connection could not be made (-errno or UV_E*) or is lost (0: the peer closed it);
         * the core was told. The pump closes by itself afterwards. May be NULL. */
        void (*lost)(struct pump *p, int error, bool connected, void *arg);
        /* All handles are gone: the memory may be released now. */
        void (*closed)(struct pump *p, void *arg);
};

enum { PUMP_BUFFER = 4096, PUMP_NAME_MAX = 256 };

struct pump {
        uv_loop_t *loop;
        const struct core_ops *ops; /* borrowed, with core, until closed */
        void *core;
        const struct pump_owner *owner;
        void *arg;
        union {
                uv_handle_t handle;
                uv_stream_t stream;
                uv_tcp_t tcp;
                uv_pipe_t line;
        } link;
        uv_timer_t timer;
        union { /* one after the other, so one place for them */
                uv_getaddrinfo_t resolve;
                uv_connect_t connect;
                uv_write_t write;
        } request;
        struct addrinfo *addresses, *next_address;
        int64_t connect_deadline_ms;
        int pending; /* handles and requests that still hold the memory */
        int last_error;
        uint16_t port;
        char *host; /* owned until connected; or the path of the serial line */
        bool connected, closing, writing, reading, eof, in_step, told, link_open, resolving;
        bool serial, changing; /* changing: the line waits for what is queued before it is set */
        struct line_settings line;
        uint64_t changed_ms; /* when the line was seen empty; 0 = not yet */
        uint8_t *in, *kept;  /* not taken yet: in the shared buffer, or kept (owned) */
        size_t in_len;
        size_t out_len; /* being written */
        uint64_t bytes_in, bytes_out;
};

/* Begins to connect. @host is a name or an address of either family, copied. 0, -EINVAL (host or
 * port), or -errno; no callback runs before the return, and none at all after an error. */
int pump_open(struct pump *p, uv_loop_t *loop, const struct core_ops *ops, void *core,
              const char *host, uint16_t port, int64_t connect_timeout_ms,
              const struct pump_owner *owner, void *arg);
/* The same over the serial line at @path (copied); "connected" once it is open. */
int pump_open_line(struct pump *p, uv_loop_t *loop, const struct core_ops *ops, void *core,
                   const char *path, const struct line_settings *settings,
                   const struct pump_owner *owner, void *arg);
/* Changes the settings of a serial line as soon as all that was written has left it; until then
 * nothing is fed or written. May be called in drain(). 0, -EINVAL (no serial line). */
int pump_set_line(struct pump *p, const struct line_settings *settings);
/* Gives the transport to another core, in drain() or between two calls; the old one hears nothing
 * more. */
void pump_set_core(struct pump *p, const struct core_ops *ops, void *core);
/* After a command given to the core outside of drain(): writes and arms. */
void pump_kick(struct pump *p);
/* Shuts the connection down (what was written is sent, FIN follows, at most a second) and closes.
 * Does nothing the second time. */
void pump_close(struct pump *p);
