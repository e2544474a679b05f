/* The pump against a local server that echoes, splits, floods, resets, hangs up or stays mute. */
#include "hr_test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pump.h"

/* A core that sends a line and waits until as many bytes came back; one event at its end. */
struct line_core {
        const char *send;
        size_t sent, want, got;
        bool event, failed, done, lost;
        int64_t deadline;
        int lost_error;
        unsigned expired;
        bool refuses;
        uint8_t seen[256];
};

static size_t line_recv(void *core, const uint8_t *in, size_t n, int64_t now)
{
        struct line_core *c = core;
        size_t take = n < c->want - c->got ? n : c->want - c->got;

        (void)now;
        if (c->event || c->refuses)
                return 0;
        if (c->got + take <= sizeof c->seen)
                memcpy(c->seen + c->got, in, take);
        c->got += take;
        if (c->got == c->want)
                c->event = true;
        return take;
}

static void line_expire(void *core, int64_t now)
{
        struct line_core *c = core;

        (void)now;
        c->expired++;
        c->deadline = CORE_NO_DEADLINE;
        c->event = c->failed = true;
}

static void line_closed(void *core, int error, int64_t now)
{
        struct line_core *c = core;

        (void)now;
        c->lost = true;
        c->lost_error = error;
        c->event = true;
}

static size_t line_output(void *core, const uint8_t **ret)
{
        struct line_core *c = core;

        *ret = (const uint8_t *)c->send + c->sent;
        return strlen(c->send) - c->sent;
}

static void line_output_done(void *core, size_t n)
{
        ((struct line_core *)core)->sent += n;
}

static int64_t line_deadline(void *core)
{
        return ((struct line_core *)core)->deadline;
}

static const struct core_ops line_ops = { line_recv,   line_expire,      line_closed,
                                          line_output, line_output_done, line_deadline };

struct visit {
        struct pump pump;
        struct line_core core;
        unsigned drained, closed, lost;
        bool was_connected;
        int error;
};

static void on_drain(struct pump *p, void *arg)
{
        struct visit *v = arg;

        v->drained++;
        if (!v->core.event)
                return;
        v->core.event = false;
        v->core.done = true;
        pump_close(p);
        pump_close(p);
}

static void on_lost(struct pump *p, int error, bool connected, void *arg)
{
        struct visit *v = arg;

        (void)p;
        v->lost++;
        v->error = error;
        v->was_connected = connected;
}

static void on_closed(struct pump *p, void *arg)
{
        (void)p;
        ((struct visit *)arg)->closed++;
}

static const struct pump_owner owner = { on_drain, on_lost, on_closed };

enum peer_kind { PEER_ECHO, PEER_BYTEWISE, PEER_RESET, PEER_HANGUP, PEER_MUTE, PEER_FLOOD };

struct peer {
        int fd;
        uint16_t port;
        enum peer_kind kind;
        size_t flooded;
        pthread_t thread;
};

static void peer_serve(struct peer *p, int fd)
{
        struct linger now = { 1, 0 };
        char b[4096];
        ssize_t n;

        switch (p->kind) {
        case PEER_ECHO:
                while ((n = read(fd, b, sizeof b)) > 0)
                        if (write(fd, b, (size_t)n) != n)
                                break;
                break;
        case PEER_BYTEWISE:
                n = read(fd, b, sizeof b);
                for (ssize_t i = 0; i < n; i++) {
                        if (write(fd, b + i, 1) != 1)
                                break;
                        usleep(300);
                }
                while (read(fd, b, sizeof b) > 0)
                        ;
                break;
        case PEER_RESET:
                if (read(fd, b, sizeof b) > 0)
                        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
                break;
        case PEER_HANGUP:
                if (read(fd, b, sizeof b) > 0 && write(fd, "ab", 2) == 2)
                        shutdown(fd, SHUT_RDWR);
                break;
        case PEER_MUTE:
                while (read(fd, b, sizeof b) > 0)
                        ;
                break;
        case PEER_FLOOD:
                memset(b, 'x', sizeof b);
                fcntl(fd, F_SETFL, O_NONBLOCK);
                for (int i = 0; i < 400; i++) {
                        n = send(fd, b, sizeof b, MSG_NOSIGNAL);
                        if (n > 0)
                                p->flooded += (size_t)n;
                        else
                                usleep(500);
                }
                break;
        }
        close(fd);
}

static void *peer_main(void *arg)
{
        struct peer *p = arg;
        int fd = accept(p->fd, NULL, NULL);

        if (fd >= 0)
                peer_serve(p, fd);
        return NULL;
}

static void peer_start(struct peer *p, enum peer_kind kind)
{
        struct sockaddr_in a = { .sin_family = AF_INET };
        socklen_t n = sizeof a;

        *p = (struct peer){ .kind = kind };
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CU_ASSERT_EQUAL_FATAL(bind(p->fd, (struct sockaddr *)&a, sizeof a), 0);
        CU_ASSERT_EQUAL_FATAL(listen(p->fd, 4), 0);
        CU_ASSERT_EQUAL_FATAL(getsockname(p->fd, (struct sockaddr *)&a, &n), 0);
        p->port = ntohs(a.sin_port);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&p->thread, NULL, peer_main, p), 0);
}

static void peer_stop(struct peer *p)
{
        pthread_join(p->thread, NULL);
        close(p->fd);
}

static void run(struct visit *v, const char *host, uint16_t port, int64_t timeout)
{
        uv_loop_t loop;

        uv_loop_init(&loop);
        CU_ASSERT_EQUAL_FATAL(
                pump_open(&v->pump, &loop, &line_ops, &v->core, host, port, timeout, &owner, v), 0);
        uv_run(&loop, UV_RUN_DEFAULT);
        CU_ASSERT_EQUAL(v->closed, 1);
        CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

static const char text[] = "the quick brown fox jumps over the lazy dog";

static void echo_of(enum peer_kind kind)
{
        struct peer p;
        struct visit v = {
                .core = { .send = text, .want = strlen(text), .deadline = CORE_NO_DEADLINE }
        };

        peer_start(&p, kind);
        run(&v, "127.0.0.1", p.port, 2000);
        peer_stop(&p);
        CU_ASSERT_TRUE(v.core.done);
        CU_ASSERT_EQUAL(v.lost, 0);
        CU_ASSERT_NSTRING_EQUAL(v.core.seen, text, strlen(text));
        CU_ASSERT_EQUAL(v.pump.bytes_out, strlen(text));
        CU_ASSERT_EQUAL(v.pump.bytes_in, strlen(text));
}

static void echoes(void)
{
        echo_of(PEER_ECHO);
}

static void echoes_byte_by_byte(void)
{
        echo_of(PEER_BYTEWISE);
}

static void resolves_names(void)
{
        struct peer p;
        struct visit v = {
                .core = { .send = text, .want = strlen(text), .deadline = CORE_NO_DEADLINE }
        };

        peer_start(&p, PEER_ECHO);
        run(&v, "localhost", p.port, 5000); /* ::1 may be refused first, 127.0.0.1 answers */
        peer_stop(&p);
        CU_ASSERT_TRUE(v.core.done);
        CU_ASSERT_EQUAL(v.lost, 0);
}

static void tells_a_reset(void)
{
        struct peer p;
        struct visit v = { .core = { .send = text, .want = 1000, .deadline = CORE_NO_DEADLINE } };

        peer_start(&p, PEER_RESET);
        run(&v, "127.0.0.1", p.port, 2000);
        peer_stop(&p);
        CU_ASSERT_TRUE(v.core.lost);
        CU_ASSERT_EQUAL(v.error, -ECONNRESET);
        CU_ASSERT_TRUE(v.was_connected);
}

static void feeds_what_came_before_a_hangup(void)
{
        struct peer p;
        struct visit v = { .core = { .send = text, .want = 1000, .deadline = CORE_NO_DEADLINE } };

        peer_start(&p, PEER_HANGUP);
        run(&v, "127.0.0.1", p.port, 2000);
        peer_stop(&p);
        CU_ASSERT_EQUAL(v.core.got, 2);
        CU_ASSERT_TRUE(v.core.lost);
        CU_ASSERT_EQUAL(v.core.lost_error, 0);
}

static void expires_on_a_mute_peer(void)
{
        struct peer p;
        struct visit v = { .core = { .send = text, .want = 10 } };

        peer_start(&p, PEER_MUTE);
        v.core.deadline = (int64_t)(uv_hrtime() / 1000000) + 80;
        run(&v, "127.0.0.1", p.port, 2000);
        peer_stop(&p);
        CU_ASSERT_EQUAL(v.core.expired, 1);
        CU_ASSERT_TRUE(v.core.failed);
        CU_ASSERT_FALSE(v.core.lost);
}

static void holds_a_flood_back(void)
{
        struct peer p;
        struct visit v = {
                .core = { .send = "", .want = 1, .refuses = true, .deadline = CORE_NO_DEADLINE }
        };

        peer_start(&p, PEER_FLOOD);
        run(&v, "127.0.0.1", p.port, 2000);
        peer_stop(&p);
        CU_ASSERT_EQUAL(v.error, UV_EPROTO);
        CU_ASSERT(v.pump.bytes_in <= PUMP_BUFFER);
}

static void tells_why_it_could_not_connect(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET };
        socklen_t n = sizeof a;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct visit refused = { .core = { .send = "x", .want = 1, .deadline = CORE_NO_DEADLINE } };
        struct visit unknown = refused;

        /* Bound but not listening: nobody else can take the port, and it refuses. */
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
        getsockname(fd, (struct sockaddr *)&a, &n);
        run(&refused, "127.0.0.1", ntohs(a.sin_port), 2000);
        CU_ASSERT_EQUAL(refused.error, -ECONNREFUSED);
        CU_ASSERT_FALSE(refused.was_connected);
        CU_ASSERT_EQUAL(refused.core.sent, 0);
        run(&unknown, "no-such-host.invalid", 4059, 3000);
        CU_ASSERT(unknown.error < 0);
        CU_ASSERT_TRUE(unknown.core.lost);
        close(fd);
}

static void gives_up_connecting_in_time(void)
{
        /* A full backlog drops further SYNs: the connect hangs until its deadline. */
        struct sockaddr_in a = { .sin_family = AF_INET };
        socklen_t n = sizeof a;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fill[8];
        struct visit v = { .core = { .send = "x", .want = 1, .deadline = CORE_NO_DEADLINE } };
        uint64_t t = uv_hrtime();

        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
        CU_ASSERT_EQUAL_FATAL(listen(fd, 0), 0);
        getsockname(fd, (struct sockaddr *)&a, &n);
        for (int i = 0; i < 8; i++) {
                fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                (void)!connect(fill[i], (struct sockaddr *)&a, sizeof a);
        }
        run(&v, "127.0.0.1", ntohs(a.sin_port), 150);
        CU_ASSERT_EQUAL(v.error, UV_ETIMEDOUT);
        CU_ASSERT((uv_hrtime() - t) / 1000000 < 1500);
        for (int i = 0; i < 8; i++)
                close(fill[i]);
        close(fd);
}

static void refuses_nonsense(void)
{
        struct visit v = { .core = { .send = "" } };
        uv_loop_t loop;

        uv_loop_init(&loop);
        CU_ASSERT_EQUAL(pump_open(&v.pump, &loop, &line_ops, &v.core, "", 1, 1, &owner, &v),
                        -EINVAL);
        CU_ASSERT_EQUAL(pump_open(&v.pump, &loop, &line_ops, &v.core, "a", 0, 1, &owner, &v),
                        -EINVAL);
        /* Closed before its first turn. */
        CU_ASSERT_EQUAL(
                pump_open(&v.pump, &loop, &line_ops, &v.core, "127.0.0.1", 9, 99, &owner, &v), 0);
        pump_close(&v.pump);
        uv_run(&loop, UV_RUN_DEFAULT);
        CU_ASSERT_EQUAL(v.closed, 1);
        CU_ASSERT_EQUAL(v.lost, 0);
        CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

HR_TESTS("pump", { "drives a core against an echo", echoes },
         { "takes bytes one at a time", echoes_byte_by_byte },
         { "resolves names and tries every address", resolves_names },
         { "tells a reset", tells_a_reset },
         { "feeds what came before a hang-up", feeds_what_came_before_a_hangup },
         { "expires on a mute peer", expires_on_a_mute_peer },
         { "holds a flood back", holds_a_flood_back },
         { "tells why it could not connect", tells_why_it_could_not_connect },
         { "gives up connecting in time", gives_up_connecting_in_time },
         { "refuses nonsense, closes before it began", refuses_nonsense })
