#pragma once

/*
 * Listener for DLMS pushes over the wrapper of IEC 62056-47: one message a UDP datagram, or a
 * stream of messages over TCP. Finds where a message ends and nothing more. Loop thread only.
 *
 * A connection holds one message of at most PUSH_MESSAGE_MAX; one that sends something else, or
 * nothing for five minutes, is closed.
 */

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum { PUSH_HEADER = 8, PUSH_MESSAGE_MAX = PUSH_HEADER + 8192, PUSH_REPLY_MAX = 1024 };

struct push_server;

/* Where a message came from, so that it can be answered later: a UDP peer, or a TCP connection as
 * long as it stands. A plain value. */
struct push_origin {
        uint64_t connection; /* 0 = UDP */
        struct sockaddr_storage peer;
};

struct push_handlers {
        /* One whole message with its wrapper header; borrowed. @peer like "192.0.2.1:4059". */
        void (*message)(void *arg, const char *peer, const uint8_t *raw, size_t n);
        void (*closed)(void *arg);
};

struct push_config {
        const char *address;
        uint16_t tcp_port, udp_port; /* 0 = not */
        unsigned max_connections;    /* 0 = 2000; beyond, new ones are closed at once */
};

struct push_stats {
        uint64_t messages, bytes, bad_frames, refused_connections;
        unsigned connections;
};

/* 0 or a libuv error (-errno). */
int push_server_open(struct push_server **ret, uv_loop_t *loop, const struct push_config *config,
                     const struct push_handlers *handlers, void *arg);
void push_server_get_stats(const struct push_server *s, struct push_stats *ret);
/* Of the message being delivered: only inside message(). */
void push_server_origin(const struct push_server *s, struct push_origin *ret);
/* Sends bytes to where a message came from. 0, -ENOTCONN (the connection is gone), -EAGAIN (its
 * buffers are full: nothing was sent), -EMSGSIZE (over PUSH_REPLY_MAX) or -errno. */
int push_server_reply(struct push_server *s, const struct push_origin *to, const uint8_t *p,
                      size_t n);
/* NULL is fine. */
void push_server_close(struct push_server *s);
