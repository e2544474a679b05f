/* The pump over a serial line: the other end of a pseudo terminal is the meter. */
#include "hr_test.h"

#include <errno.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "pump.h"

/* A core that says a word, then waits for an answer of a given length. */
struct word_core {
        const char *say;
        size_t said, want, got;
        char heard[64];
        bool lost;
        int error;
};

static size_t word_recv(void *core, const uint8_t *in, size_t n, int64_t now)
{
        struct word_core *c = core;
        size_t take = n < c->want - c->got ? n : c->want - c->got;

        (void)now;
        memcpy(c->heard + c->got, in, take);
        c->got += take;
        return take;
}

static void word_expire(void *core, int64_t now)
{
        (void)core;
        (void)now;
}

static void word_closed(void *core, int error, int64_t now)
{
        struct word_core *c = core;

        (void)now;
        c->lost = true;
        c->error = error;
}

static size_t word_output(void *core, const uint8_t **ret)
{
        struct word_core *c = core;

        *ret = (const uint8_t *)c->say + c->said;
        return strlen(c->say) - c->said;
}

static void word_output_done(void *core, size_t n)
{
        ((struct word_core *)core)->said += n;
}

static int64_t word_deadline(void *core)
{
        (void)core;
        return CORE_NO_DEADLINE;
}

static const struct core_ops word_ops = { word_recv,   word_expire,      word_closed,
                                          word_output, word_output_done, word_deadline };

struct bench {
        uv_loop_t loop;
        struct pump pump;
        struct word_core first, second;
        int master, slave;
        char path[64];
        bool switched, connected, closed, lost;
        int error;
        speed_t speed_before, speed_after;
        uv_timer_t meter; /* plays the meter's part on the master side */
        char heard[64];
        size_t n_heard;
        unsigned ticks;
        void (*act)(struct bench *);
};

static speed_t speed_of(const struct bench *b)
{
        struct termios t;

        CU_ASSERT_EQUAL(tcgetattr(b->slave, &t), 0);
        return cfgetospeed(&t);
}

static void on_drain(struct pump *p, void *arg)
{
        struct bench *b = arg;

        b->connected |= p->connected;
        if (b->first.got == b->first.want && !b->switched && !b->lost) {
                b->switched = true;
                b->speed_before = speed_of(b);
                pump_set_core(p, &word_ops, &b->second);
                CU_ASSERT_EQUAL(pump_set_line(p, &(struct line_settings){ 9600, LINE_8N1 }), 0);
        }
        if (b->switched && b->second.got == b->second.want) {
                b->speed_after = speed_of(b);
                pump_close(p);
        }
}

static void on_lost(struct pump *p, int error, bool connected, void *arg)
{
        struct bench *b = arg;

        (void)p;
        (void)connected;
        b->lost = true;
        b->error = error;
}

static void on_closed(struct pump *p, void *arg)
{
        struct bench *b = arg;

        (void)p;
        b->closed = true;
        uv_close((uv_handle_t *)&b->meter, NULL);
}

static const struct pump_owner owner = { on_drain, on_lost, on_closed };

static void on_meter(uv_timer_t *t)
{
        struct bench *b = t->data;
        ssize_t n = read(b->master, b->heard + b->n_heard, sizeof b->heard - b->n_heard);

        if (n > 0)
                b->n_heard += (size_t)n;
        b->ticks++;
        b->act(b);
}

static void bench_open(struct bench *b, const char *path, void (*act)(struct bench *))
{
        struct termios t;

        *b = (struct bench){ .master = -1, .slave = -1, .act = act };
        b->first = (struct word_core){ .say = "/?!", .want = 4 };
        b->second = (struct word_core){ .say = "frame", .want = 3 };
        uv_loop_init(&b->loop);
        if (!path) {
                b->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
                CU_ASSERT_FATAL(b->master >= 0 && grantpt(b->master) == 0 &&
                                unlockpt(b->master) == 0);
                CU_ASSERT_EQUAL(ptsname_r(b->master, b->path, sizeof b->path), 0);
                b->slave = open(b->path, O_RDWR | O_NOCTTY);
                CU_ASSERT_FATAL(b->slave >= 0);
                tcgetattr(b->slave, &t);
                cfmakeraw(&t);
                tcsetattr(b->slave, TCSANOW, &t);
        }
        uv_timer_init(&b->loop, &b->meter);
        b->meter.data = b;
        uv_timer_start(&b->meter, on_meter, 5, 5);
        CU_ASSERT_EQUAL(pump_open_line(&b->pump, &b->loop, &word_ops, &b->first,
                                       path ? path : b->path,
                                       &(struct line_settings){ 300, LINE_7E1 }, &owner, b),
                        0);
        uv_run(&b->loop, UV_RUN_DEFAULT);
        CU_ASSERT(b->closed);
        CU_ASSERT_EQUAL(uv_loop_close(&b->loop), 0);
        if (b->slave >= 0)
                close(b->slave);
        if (b->master >= 0)
                close(b->master);
}

/* Answers each word once it was heard. */
static void answer(struct bench *b)
{
        if (b->n_heard == 3 && memcmp(b->heard, "/?!", 3) == 0 && b->ticks < 1000) {
                CU_ASSERT_EQUAL(write(b->master, "id\r\n", 4), 4);
                b->ticks = 1000;
        } else if (b->n_heard == 8 && b->ticks < 2000) {
                CU_ASSERT_EQUAL(write(b->master, "ack", 3), 3);
                b->ticks = 2000;
        }
}

static void test_rate_changes(void)
{
        struct bench b;

        bench_open(&b, NULL, answer);
        CU_ASSERT(b.connected && !b.lost);
        CU_ASSERT_EQUAL(b.n_heard, 8);
        CU_ASSERT(memcmp(b.heard, "/?!frame", 8) == 0);
        CU_ASSERT(memcmp(b.first.heard, "id\r\n", 4) == 0);
        CU_ASSERT(memcmp(b.second.heard, "ack", 3) == 0);
        CU_ASSERT_EQUAL(b.speed_before, B300);
        CU_ASSERT_EQUAL(b.speed_after, B9600);
        CU_ASSERT_EQUAL(b.pump.bytes_in, 7);
        CU_ASSERT_EQUAL(b.pump.bytes_out, 8);
}

/* What arrives while the line is being changed was meant for the old rate. */
static void chatter(struct bench *b)
{
        if (b->pump.changing)
                CU_ASSERT_EQUAL(write(b->master, "noise", 5), 5);
        answer(b);
}

static void test_noise_while_changing(void)
{
        struct bench b;

        bench_open(&b, NULL, chatter);
        CU_ASSERT(!b.lost);
        CU_ASSERT(memcmp(b.second.heard, "ack", 3) == 0);
        CU_ASSERT(b.pump.bytes_in > 7);
}

static void hang_up(struct bench *b)
{
        if (b->n_heard == 3 && b->master >= 0) {
                close(b->master);
                b->master = -1;
        }
}

static void test_hang_up(void)
{
        struct bench b;

        bench_open(&b, NULL, hang_up);
        CU_ASSERT(b.lost && b.first.lost);
        CU_ASSERT(b.error == UV_EIO || b.error == 0);
}

static void nothing(struct bench *b)
{
        (void)b;
}

static void test_no_line(void)
{
        struct line_settings odd = { 12345, LINE_8N1 };
        struct bench b;
        uv_loop_t loop;
        struct pump p;
        int fd;

        bench_open(&b, "/nonexistent/tty", nothing);
        CU_ASSERT(b.lost && !b.connected);
        CU_ASSERT_EQUAL(b.error, -ENOENT);
        bench_open(&b, "/dev/null", nothing);
        CU_ASSERT_EQUAL(b.error, -ENOTTY);
        CU_ASSERT_EQUAL(line_open("/dev/ptmx", &odd, &fd), -EINVAL);
        uv_loop_init(&loop);
        CU_ASSERT_EQUAL(pump_open_line(&p, &loop, &word_ops, &b.first, "", &odd, &owner, &b),
                        -EINVAL);
        uv_loop_close(&loop);
        CU_ASSERT_EQUAL(pump_set_line(&b.pump, &odd), -EINVAL);
}

HR_TESTS("line", { "the rate changes at run time", test_rate_changes },
         { "noise while it changes is dropped", test_noise_while_changing },
         { "the adapter is pulled out", test_hang_up }, { "no serial line", test_no_line })
