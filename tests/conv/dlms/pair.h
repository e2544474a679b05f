#pragma once

/* A client and a server core joined by memory, for tests that write their own application: what
 * one says is offered to the other in exact-size heap copies, @chunk bytes at a time. */

#include <stdlib.h>
#include <string.h>

#include "dlms/client.h"
#include "dlms/server.h"
#include "hr_test.h"

struct joined {
        struct dlms_client client;
        struct dlms_server server;
        struct dlms_server_counters counters;
        size_t chunk;
        int64_t now;
        bool closed, failed;
        struct dlms_event failure;
        size_t drop_from, drop_to; /* bytes of the server's stream that get lost, [from, to) */
        size_t lose_from;          /* the same of the client's stream: one delivery; 0 = none */
        bool drop_blocks;          /* only deliveries of general blocks get lost */
        size_t flip;               /* this bit of the server's stream arrives changed; 0 = none */
        size_t delivered, sent;    /* bytes server to client, client to server */
        /* Called for every event but CLOSED and FAILED; gives the next command. */
        void (*on_event)(struct joined *j, const struct dlms_event *ev);
        void *arg;
};

static inline void joined_drain(struct joined *j)
{
        struct dlms_event ev;

        while (dlms_client_next_event(&j->client, &ev)) {
                CU_ASSERT(!j->failed && !j->closed);
                if (ev.type == DLMS_EV_FAILED) {
                        j->failed = true;
                        j->failure = ev;
                } else if (ev.type == DLMS_EV_CLOSED) {
                        j->closed = true;
                } else {
                        j->on_event(j, &ev);
                }
        }
}

/* Whether these bytes, from byte @start of their stream on, get lost on the way. */
static inline bool joined_loses(struct joined *j, bool to_client, size_t start, const uint8_t *p,
                                size_t n)
{
        size_t from = to_client ? j->drop_from : j->lose_from;
        size_t to = to_client ? j->drop_to : from ? from + 1 : 0;

        if (j->drop_blocks && (n < 9 || p[8] != 0xE0)) {
                /* The next delivery that may get lost will. */
                if (start < to && start + n >= to) {
                        j->drop_from += to_client ? n : 0;
                        j->drop_to += to_client ? n : 0;
                        j->lose_from += to_client ? 0 : n;
                }
                return false;
        }
        if (start >= to || start + n <= from)
                return false;
        if (!to_client)
                j->lose_from = 0; /* once */
        return true;
}

static inline bool joined_carry(struct joined *j, bool to_client)
{
        const struct core_ops *from = to_client ? &dlms_server_core : &dlms_client_core;
        const struct core_ops *to = to_client ? &dlms_client_core : &dlms_server_core;
        void *src = to_client ? (void *)&j->server : (void *)&j->client;
        void *dst = to_client ? (void *)&j->client : (void *)&j->server;
        const uint8_t *out;
        uint8_t *bytes;
        size_t n = from->output(src, &out), at = 0, idle = 0;

        if (n == 0)
                return false;
        bytes = malloc(n);
        memcpy(bytes, out, n);
        from->output_done(src, n);
        if (to_client) {
                bool lost = joined_loses(j, true, j->delivered, bytes, n);

                if (j->flip >= 8 * j->delivered && j->flip < 8 * (j->delivered + n) && j->flip)
                        bytes[j->flip / 8 - j->delivered] ^= (uint8_t)(1u << j->flip % 8);
                j->delivered += n;
                if (lost) {
                        free(bytes); /* the whole burst is lost */
                        return true;
                }
        } else {
                bool lost = joined_loses(j, false, j->sent, bytes, n);

                j->sent += n;
                if (lost) {
                        free(bytes);
                        return true;
                }
        }
        while (at < n && idle < 2) {
                size_t part = n - at < j->chunk ? n - at : j->chunk, taken;
                uint8_t *copy = malloc(part);

                memcpy(copy, bytes + at, part);
                taken = to->recv(dst, copy, part, j->now);
                free(copy);
                CU_ASSERT(taken <= part);
                at += taken;
                idle = taken ? 0 : idle + 1;
                if (to_client)
                        joined_drain(j);
        }
        free(bytes);
        return true;
}

static inline void joined_run(struct joined *j)
{
        for (int turns = 0; turns < 20000; turns++) {
                bool moved = joined_carry(j, false);

                moved |= joined_carry(j, true);
                joined_drain(j);
                if (j->closed || j->failed)
                        return;
                if (!moved) { /* silence: time passes */
                        int64_t at = dlms_client_core.deadline(&j->client);

                        if (at == CORE_NO_DEADLINE)
                                return;
                        j->now = at;
                        dlms_client_core.expire(&j->client, at);
                        joined_drain(j);
                }
        }
        CU_FAIL("no end");
}
