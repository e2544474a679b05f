/* The push listener over real sockets: messages by TCP and UDP, and answers to where they came
 * from. */
#include "hr_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "push.h"

struct listener {
        uv_loop_t loop;
        struct push_server *s;
        uint16_t port;
        unsigned messages;
        size_t last_len;
        uint8_t last[64];
        struct push_origin origins[8];
        bool closed;
};

static void on_message(void *arg, const char *peer, const uint8_t *raw, size_t n)
{
        struct listener *l = arg;

        CU_ASSERT(strncmp(peer, "127.0.0.1:", 10) == 0);
        push_server_origin(l->s, &l->origins[l->messages % 8]);
        l->messages++;
        l->last_len = n;
        memcpy(l->last, raw, n < sizeof l->last ? n : sizeof l->last);
}

static void on_closed(void *arg)
{
        ((struct listener *)arg)->closed = true;
}

static uint16_t free_port(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof a;
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&a, n), 0);
        getsockname(fd, (struct sockaddr *)&a, &n);
        close(fd);
        return ntohs(a.sin_port);
}

static void begin(struct listener *l)
{
        static const struct push_handlers handlers = { on_message, on_closed };

        *l = (struct listener){ .port = free_port() };
        uv_loop_init(&l->loop);
        CU_ASSERT_EQUAL_FATAL(push_server_open(&l->s, &l->loop,
                                               &(struct push_config){ .address = "127.0.0.1",
                                                                      .tcp_port = l->port,
                                                                      .udp_port = l->port },
                                               &handlers, l),
                              0);
}

static void end(struct listener *l)
{
        push_server_close(l->s);
        uv_run(&l->loop, UV_RUN_DEFAULT);
        CU_ASSERT(l->closed);
        CU_ASSERT_EQUAL(uv_loop_close(&l->loop), 0);
}

static int connected(const struct listener *l, int type)
{
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(l->port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct timeval patience = { .tv_sec = 2 };
        int fd = socket(AF_INET, type, 0);

        CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        return fd;
}

static void run_until(struct listener *l, unsigned messages)
{
        for (int i = 0; i < 200 && l->messages < messages; i++) {
                uv_run(&l->loop, UV_RUN_NOWAIT);
                usleep(1000);
        }
        CU_ASSERT_EQUAL(l->messages, messages);
}

static const uint8_t message[] = { 0, 1, 0, 1, 0, 0x66, 0, 3, 0x0F, 0x40, 0 };
static const uint8_t answer[] = { 0, 1, 0, 0x66, 0, 1, 0, 1, 0x10 };

static void expect_answer(int fd)
{
        uint8_t in[64];

        CU_ASSERT_EQUAL(recv(fd, in, sizeof in, 0), sizeof answer);
        CU_ASSERT(memcmp(in, answer, sizeof answer) == 0);
}

static void test_udp(void)
{
        struct listener l;
        int first, second;

        begin(&l);
        first = connected(&l, SOCK_DGRAM);
        second = connected(&l, SOCK_DGRAM);
        CU_ASSERT_EQUAL(send(first, message, sizeof message, 0), sizeof message);
        run_until(&l, 1);
        CU_ASSERT_EQUAL(send(second, message, sizeof message, 0), sizeof message);
        run_until(&l, 2);
        CU_ASSERT(l.last_len == sizeof message && memcmp(l.last, message, sizeof message) == 0);
        /* Each to its own, also long after others came. */
        CU_ASSERT_EQUAL(push_server_reply(l.s, &l.origins[0], answer, sizeof answer), 0);
        expect_answer(first);
        CU_ASSERT_EQUAL(push_server_reply(l.s, &l.origins[1], answer, sizeof answer), 0);
        expect_answer(second);
        /* A datagram that is longer or shorter than it says is no message. */
        CU_ASSERT_EQUAL(send(first, message, sizeof message - 1, 0), sizeof message - 1);
        CU_ASSERT_EQUAL(send(first, message, sizeof message, 0), sizeof message);
        run_until(&l, 3);
        struct push_stats st;
        push_server_get_stats(l.s, &st);
        CU_ASSERT_EQUAL(st.bad_frames, 1);
        close(first);
        close(second);
        end(&l);
}

static void test_tcp(void)
{
        static const uint8_t big[PUSH_REPLY_MAX + 1];
        struct listener l;
        int fd, other;

        begin(&l);
        fd = connected(&l, SOCK_STREAM);
        other = connected(&l, SOCK_STREAM);
        CU_ASSERT_EQUAL(send(fd, message, 5, 0), 5);
        uv_run(&l.loop, UV_RUN_NOWAIT);
        CU_ASSERT_EQUAL(send(fd, message + 5, sizeof message - 5, 0), sizeof message - 5);
        run_until(&l, 1);
        CU_ASSERT_EQUAL(send(other, message, sizeof message, 0), sizeof message);
        run_until(&l, 2);
        CU_ASSERT_EQUAL(push_server_reply(l.s, &l.origins[1], answer, sizeof answer), 0);
        expect_answer(other);
        CU_ASSERT_EQUAL(push_server_reply(l.s, &l.origins[0], answer, sizeof answer), 0);
        expect_answer(fd);
        CU_ASSERT_EQUAL(push_server_reply(l.s, &l.origins[0], big, sizeof big), -EMSGSIZE);
        /* A connection that is gone is not mistaken for a later one. */
        close(fd);
        for (int i = 0; i < 20; i++) {
                uv_run(&l.loop, UV_RUN_NOWAIT);
                usleep(1000);
        }
        fd = connected(&l, SOCK_STREAM);
        CU_ASSERT_EQUAL(send(fd, message, sizeof message, 0), sizeof message);
        run_until(&l, 3);
        CU_ASSERT_EQUAL(push_server_reply(l.s, &l.origins[0], answer, sizeof answer), -ENOTCONN);
        close(fd);
        close(other);
        end(&l);
}

HR_TESTS("push", { "datagrams and answers", test_udp }, { "connections and answers", test_tcp })
