/* The CoAP server against libcoap's own command-line client. */
#include "hr_test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coap.h"

struct server {
        uv_loop_t loop;
        struct coap_server *coap;
        struct coap_exchange *held[64];
        unsigned n_held, requests, closed;
        bool hold;
        int answer;
        char identity[256], path[64], body[1400];
        int format;
};

static size_t key_of(void *arg, const char *identity, uint8_t *key, size_t cap)
{
        (void)arg;
        (void)cap;
        if (strcmp(identity, "meter-1") != 0 && strcmp(identity, "meter-2") != 0)
                return 0;
        memcpy(key, "0123456789abcdef", 16);
        return 16;
}

static void on_request(void *arg, struct coap_exchange *x, const struct coap_input *in)
{
        struct server *s = arg;

        s->requests++;
        snprintf(s->identity, sizeof s->identity, "%s", in->identity);
        snprintf(s->path, sizeof s->path, "%s", in->path);
        snprintf(s->body, sizeof s->body, "%.*s", (int)in->len, (const char *)in->body);
        s->format = in->content_format;
        if (s->hold && s->n_held < 64)
                s->held[s->n_held++] = x;
        else
                coap_exchange_answer(x, s->answer, s->answer == COAP_CHANGED ? NULL : "why");
}

static void on_closed(void *arg)
{
        ((struct server *)arg)->closed++;
}

static const struct coap_handlers handlers = { key_of, on_request, on_closed };
static uint16_t port;

static void server_open(struct server *s)
{
        static const char *const paths[] = { "v1/telemetry", NULL };
        struct sockaddr_in a = { .sin_family = AF_INET };
        socklen_t n = sizeof a;
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        struct coap_config c = { .address = "127.0.0.1", .paths = paths };

        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
        getsockname(fd, (struct sockaddr *)&a, &n);
        close(fd);
        c.port = port = ntohs(a.sin_port);
        *s = (struct server){ .answer = COAP_CHANGED };
        uv_loop_init(&s->loop);
        CU_ASSERT_EQUAL_FATAL(coap_server_open(&s->coap, &s->loop, &c, &handlers, s), 0);
}

static void server_close(struct server *s)
{
        coap_server_close(s->coap);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        CU_ASSERT_EQUAL(s->closed, 1);
        CU_ASSERT_EQUAL(uv_loop_close(&s->loop), 0);
}

static void on_stop(uv_timer_t *t)
{
        uv_stop(t->loop);
}

static void turn(struct server *s, unsigned ms)
{
        uv_timer_t t;

        uv_timer_init(&s->loop, &t);
        uv_timer_start(&t, on_stop, ms, 0);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        uv_close((uv_handle_t *)&t, NULL);
        uv_run(&s->loop, UV_RUN_NOWAIT);
}

struct client {
        pid_t pid;
        int fd;
        char out[65536];
        size_t n;
        bool ended;
};

static void client_start(struct client *c, const char *user, const char *key, const char *path,
                         const char *body, const char *more)
{
        char url[128];
        int p[2];

        *c = (struct client){ 0 };
        snprintf(url, sizeof url, "coaps://127.0.0.1:%u/%s", port, path);
        CU_ASSERT_EQUAL_FATAL(pipe2(p, O_CLOEXEC), 0);
        c->pid = fork();
        if (c->pid == 0) {
                dup2(p[1], 1);
                dup2(p[1], 2);
                execlp("coap-client-openssl", "coap-client-openssl", "-v", "7", "-B", "3", "-m",
                       "post", "-t", "110", "-u", user, "-k", key, "-e", body, url, more,
                       (char *)NULL);
                _exit(127);
        }
        close(p[1]);
        c->fd = p[0];
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static bool client_poll(struct client *c)
{
        ssize_t n;

        while ((n = read(c->fd, c->out + c->n, sizeof c->out - 1 - c->n)) > 0)
                c->n += (size_t)n;
        c->out[c->n] = 0;
        if (n == 0 && !c->ended) {
                c->ended = true;
                waitpid(c->pid, NULL, 0);
                close(c->fd);
        }
        return c->ended;
}

static void client_wait(struct server *s, struct client *c)
{
        for (int i = 0; i < 300 && !client_poll(c); i++)
                turn(s, 20);
        if (!c->ended) {
                kill(c->pid, SIGKILL);
                while (!client_poll(c))
                        turn(s, 5);
        }
}

static void answers_after_durable(void)
{
        struct server s;
        struct client c;
        struct coap_stats st;

        server_open(&s);
        s.hold = true;
        client_start(&c, "meter-1", "0123456789abcdef", "v1/telemetry", "[{\"n\":\"x\"}]", NULL);
        for (int i = 0; i < 100 && !s.n_held; i++)
                turn(&s, 20);
        CU_ASSERT_EQUAL(s.n_held, 1);
        turn(&s, 300);
        CU_ASSERT_FALSE(client_poll(&c));
        CU_ASSERT_PTR_NULL(strstr(c.out, "2.04"));
        if (s.n_held)
                coap_exchange_answer(s.held[0], COAP_CHANGED, NULL);
        client_wait(&s, &c);
        CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "2.04"));
        CU_ASSERT_STRING_EQUAL(s.identity, "meter-1");
        CU_ASSERT_STRING_EQUAL(s.path, "v1/telemetry");
        CU_ASSERT_STRING_EQUAL(s.body, "[{\"n\":\"x\"}]");
        CU_ASSERT_EQUAL(s.format, 110);
        coap_server_get_stats(s.coap, &st);
        CU_ASSERT_EQUAL(st.pending, 0);
        CU_ASSERT_EQUAL(st.answered, 1);
        CU_ASSERT(st.receive_buffer > 400 * 1024);
        server_close(&s);
}

static void refuses_in_the_handshake(void)
{
        struct server s;
        struct client c;
        struct coap_stats st;

        server_open(&s);
        client_start(&c, "stranger", "0123456789abcdef", "v1/telemetry", "1", NULL);
        client_wait(&s, &c);
        CU_ASSERT_EQUAL(s.requests, 0);
        coap_server_get_stats(s.coap, &st);
        CU_ASSERT(st.refused_identity >= 1);
        CU_ASSERT_PTR_NULL(strstr(c.out, "2.04"));
        client_start(&c, "meter-1", "fedcba9876543210", "v1/telemetry", "1", NULL);
        client_wait(&s, &c);
        CU_ASSERT_EQUAL(s.requests, 0);
        CU_ASSERT_PTR_NULL(strstr(c.out, "2.04"));
        /* And the right one still gets in. */
        client_start(&c, "meter-2", "0123456789abcdef", "v1/telemetry", "1", NULL);
        client_wait(&s, &c);
        CU_ASSERT_EQUAL(s.requests, 1);
        CU_ASSERT_STRING_EQUAL(s.identity, "meter-2");
        server_close(&s);
}

static void refuses_what_it_does_not_take(void)
{
        struct server s;
        struct client c;
        struct coap_stats st;
        char big[1500];

        server_open(&s);
        client_start(&c, "meter-1", "0123456789abcdef", "v2/else", "1", NULL);
        client_wait(&s, &c);
        CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "4.04"));
        s.answer = COAP_UNPROCESSABLE;
        client_start(&c, "meter-1", "0123456789abcdef", "v1/telemetry", "1", NULL);
        client_wait(&s, &c);
        CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "4.22"));
        CU_ASSERT_EQUAL(s.requests, 1);
        /* Larger than a datagram: the client splits it into blocks. */
        memset(big, 'x', sizeof big - 1);
        big[sizeof big - 1] = 0;
        client_start(&c, "meter-1", "0123456789abcdef", "v1/telemetry", big, NULL);
        client_wait(&s, &c);
        coap_server_get_stats(s.coap, &st);
        CU_ASSERT(st.refused_block >= 1);
        CU_ASSERT_EQUAL(s.requests, 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "4.02"));
        server_close(&s);
}

static void closes_with_requests_waiting(void)
{
        struct server s;
        struct client c;

        server_open(&s);
        s.hold = true;
        client_start(&c, "meter-1", "0123456789abcdef", "v1/telemetry", "1", NULL);
        for (int i = 0; i < 100 && !s.n_held; i++)
                turn(&s, 20);
        server_close(&s);
        for (unsigned i = 0; i < s.n_held; i++)
                coap_exchange_answer(s.held[i], COAP_CHANGED, NULL);
        for (int i = 0; i < 300 && !client_poll(&c); i++)
                usleep(20000);
        if (!c.ended)
                kill(c.pid, SIGKILL);
        while (!client_poll(&c))
                usleep(5000);
        CU_ASSERT_EQUAL(s.n_held, 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "5.03"));
}

static void garbage_costs_nothing(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET };
        struct server s;
        struct client c;
        uint8_t junk[600];
        uint32_t seed = 1;
        int fd;

        server_open(&s);
        fd = socket(AF_INET, SOCK_DGRAM, 0);
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        a.sin_port = htons(port);
        for (int i = 0; i < 3000; i++) {
                size_t n = 1 + (size_t)i % sizeof junk;

                for (size_t k = 0; k < n; k++)
                        junk[k] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
                if (i % 2 && n > 3)
                        memcpy(junk, "\x16\xfe\xfd", 3); /* a handshake record */
                (void)!sendto(fd, junk, n, 0, (struct sockaddr *)&a, sizeof a);
                if (i % 50 == 0)
                        turn(&s, 2);
        }
        close(fd);
        turn(&s, 50);
        CU_ASSERT_EQUAL(s.requests, 0);
        client_start(&c, "meter-1", "0123456789abcdef", "v1/telemetry", "1", NULL);
        client_wait(&s, &c);
        CU_ASSERT_PTR_NOT_NULL(strstr(c.out, "2.04"));
        server_close(&s);
}

static void tells_a_taken_port(void)
{
        static const char *const paths[] = { "v1/telemetry", NULL };
        struct server s, other = { 0 };
        struct coap_config c = { .address = "127.0.0.1", .paths = paths };

        server_open(&s);
        c.port = port;
        CU_ASSERT(coap_server_open(&other.coap, &s.loop, &c, &handlers, &other) < 0);
        c.address = "no address";
        CU_ASSERT_EQUAL(coap_server_open(&other.coap, &s.loop, &c, &handlers, &other), -EINVAL);
        server_close(&s);
}

HR_TESTS("coap", { "answers when told that it is durable", answers_after_durable },
         { "refuses an unknown identity and a wrong key in the handshake",
           refuses_in_the_handshake },
         { "refuses other paths, blocks, bad contents", refuses_what_it_does_not_take },
         { "closes with requests waiting", closes_with_requests_waiting },
         { "garbage costs nothing", garbage_costs_nothing },
         { "tells a taken port", tells_a_taken_port })
