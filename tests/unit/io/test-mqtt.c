/*
 * The MQTT client against a real broker: acknowledgements wait until messages are durable, whatever
 * kills the subscriber; refused batches come again; the clean end loses nothing.
 */
#include "hr_test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mqtt.h"

enum { MESSAGES = 6000, KILLS = 6 };

static char dir[] = "/tmp/headrace-mqtt-XXXXXX";
static pid_t broker;
static uint16_t port;

static void pause_ms(unsigned ms)
{
        usleep(ms * 1000);
}

static uint16_t free_port(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET };
        socklen_t n = sizeof a;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
            getsockname(fd, (struct sockaddr *)&a, &n) < 0)
                abort();
        close(fd);
        return ntohs(a.sin_port);
}

static bool answers(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool up;

        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        up = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
        close(fd);
        return up;
}

static void broker_start(void)
{
        char path[128], log[128];
        FILE *f;

        snprintf(path, sizeof path, "%s/mosquitto.conf", dir);
        snprintf(log, sizeof log, "%s/mosquitto.log", dir);
        f = fopen(path, "w");
        fprintf(f,
                "listener %u 127.0.0.1\nallow_anonymous true\nuser root\npersistence false\n"
                "max_inflight_messages 500\nmax_queued_messages 0\n",
                port);
        fclose(f);
        broker = fork();
        if (broker == 0) {
                int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);

                dup2(fd, 1);
                dup2(fd, 2);
                execlp("mosquitto", "mosquitto", "-c", path, (char *)NULL);
                execl("/usr/sbin/mosquitto", "mosquitto", "-c", path, (char *)NULL);
                _exit(127);
        }
        for (int i = 0; i < 200 && !answers(); i++)
                pause_ms(20);
}

static void broker_stop(void)
{
        kill(broker, SIGTERM);
        waitpid(broker, NULL, 0);
}

static void publish(unsigned from, unsigned n)
{
        char cmd[160];
        FILE *p;

        snprintf(cmd, sizeof cmd,
                 "mosquitto_pub -h 127.0.0.1 -p %u -q 1 -l -t headrace/v1/m/telemetry", port);
        p = popen(cmd, "w");
        for (unsigned i = 0; p && i < n; i++)
                fprintf(p, "%u\n", from + i);
        CU_ASSERT_EQUAL(pclose(p), 0);
}

/* ---- the subscriber: what it reports done is in its file ---- */

struct sub {
        uv_loop_t loop;
        struct mqtt *mqtt;
        int fd;
        unsigned taken, states, refuse, failed_until;
        unsigned closed;
        bool connected;
        bool fail_writes;
};

struct store_work {
        uv_work_t work;
        struct sub *sub;
        uint64_t batch;
        int status;
        char line[24];
};

static void store_run(uv_work_t *w)
{
        struct store_work *s = w->data;
        size_t n = strlen(s->line);

        pause_ms(1);
        if (s->sub->fail_writes)
                s->status = -EIO;
        else if (write(s->sub->fd, s->line, n) != (ssize_t)n)
                s->status = -errno;
}

static void store_done(uv_work_t *w, int status)
{
        struct store_work *s = w->data;

        (void)status;
        mqtt_message_done(s->sub->mqtt, s->batch, s->status);
        free(s);
}

static int on_message(void *arg, uint64_t batch, const struct mqtt_message *msg)
{
        struct sub *sub = arg;
        struct store_work *s;

        if (sub->refuse) {
                sub->refuse--;
                return -EAGAIN;
        }
        s = calloc(1, sizeof *s);
        sub->taken++;
        s->sub = sub;
        s->batch = batch;
        s->work.data = s;
        snprintf(s->line, sizeof s->line, "%.*s\n", (int)msg->len, (const char *)msg->payload);
        uv_queue_work(&sub->loop, &s->work, store_run, store_done);
        return 1;
}

static void on_state(void *arg, bool connected, const char *why)
{
        struct sub *sub = arg;

        (void)why;
        sub->states++;
        sub->connected = connected;
}

static void on_closed(void *arg)
{
        ((struct sub *)arg)->closed++;
}

static const struct mqtt_handlers handlers = { .message = on_message,
                                               .state = on_state,
                                               .closed = on_closed };

static void sub_open(struct sub *s, const char *file)
{
        static const char *const topics[] = { "headrace/v1/+/telemetry", NULL };
        struct mqtt_config c = { .host = "127.0.0.1",
                                 .port = port,
                                 .client_id = file,
                                 .topics = topics,
                                 .batch_max = 200,
                                 .backoff_min_ms = 50,
                                 .backoff_max_ms = 200 };
        char path[128];

        *s = (struct sub){ 0 };
        snprintf(path, sizeof path, "%s/%s", dir, file);
        s->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        uv_loop_init(&s->loop);
        CU_ASSERT_EQUAL_FATAL(mqtt_open(&s->mqtt, &s->loop, &c, &handlers, s), 0);
}

static void on_stop(uv_timer_t *t)
{
        uv_stop(t->loop);
}

static void turn(struct sub *s, unsigned ms)
{
        uv_timer_t t;

        uv_timer_init(&s->loop, &t);
        uv_timer_start(&t, on_stop, ms, 0);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        uv_close((uv_handle_t *)&t, NULL);
        uv_run(&s->loop, UV_RUN_NOWAIT);
}

static void sub_close(struct sub *s)
{
        mqtt_close(s->mqtt);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        CU_ASSERT_EQUAL(s->closed, 1);
        CU_ASSERT_EQUAL(uv_loop_close(&s->loop), 0);
        close(s->fd);
}

/* How many of the numbers 0..n-1 are in the file; *@ret_lines counts all lines. */
static unsigned count(const char *file, unsigned n, unsigned *ret_lines)
{
        bool *seen = calloc(n, 1);
        char path[128], line[64];
        unsigned have = 0;
        FILE *f;

        snprintf(path, sizeof path, "%s/%s", dir, file);
        f = fopen(path, "r");
        *ret_lines = 0;
        while (f && fgets(line, sizeof line, f)) {
                unsigned v = (unsigned)atoi(line);

                (*ret_lines)++;
                if (v < n && !seen[v]) {
                        seen[v] = true;
                        have++;
                }
        }
        if (f)
                fclose(f);
        free(seen);
        return have;
}

static void wait_connected(struct sub *s)
{
        for (int i = 0; i < 300 && !s->connected; i++)
                turn(s, 20);
        CU_ASSERT_TRUE(s->connected);
        turn(s, 100); /* and subscribed */
}

static void child_main(const char *file)
{
        struct sub s;

        sub_open(&s, file);
        uv_run(&s.loop, UV_RUN_DEFAULT);
        _exit(0);
}

static void survives_kills(void)
{
        struct sub s;
        unsigned lines, have;
        pid_t pub;

        sub_open(&s, "killed");
        wait_connected(&s);
        sub_close(&s);
        pub = fork();
        if (pub == 0) {
                for (unsigned i = 0; i < MESSAGES; i += 500) {
                        publish(i, 500);
                        pause_ms(20);
                }
                _exit(0);
        }
        for (int k = 0; k < KILLS; k++) {
                pid_t child = fork();

                if (child == 0)
                        child_main("killed");
                pause_ms(150 + 37 * (unsigned)k);
                kill(child, SIGKILL);
                waitpid(child, NULL, 0);
        }
        waitpid(pub, NULL, 0);
        sub_open(&s, "killed");
        wait_connected(&s);
        for (int i = 0; i < 600 && (have = count("killed", MESSAGES, &lines)) < MESSAGES; i++)
                turn(&s, 50);
        sub_close(&s);
        have = count("killed", MESSAGES, &lines);
        printf("%u of %u stored, %u twice ", have, MESSAGES, lines - have);
        CU_ASSERT_EQUAL(have, MESSAGES);
}

static void holds_acknowledgements(void)
{
        struct mqtt_stats st;
        struct sub s;
        unsigned lines;

        /* Storing fails: nothing may be acknowledged, everything must come again. */
        sub_open(&s, "failing");
        wait_connected(&s);
        s.fail_writes = true;
        publish(0, 50);
        turn(&s, 600);
        mqtt_get_stats(s.mqtt, &st);
        CU_ASSERT(st.failed_batches >= 2);
        CU_ASSERT(st.connects >= 3);
        CU_ASSERT_EQUAL(count("failing", 50, &lines), 0);
        s.fail_writes = false;
        for (int i = 0; i < 100 && count("failing", 50, &lines) < 50; i++)
                turn(&s, 50);
        CU_ASSERT_EQUAL(count("failing", 50, &lines), 50);
        /* Acknowledged now: a new connection brings nothing. */
        turn(&s, 200);
        sub_close(&s);
        sub_open(&s, "failing");
        wait_connected(&s);
        turn(&s, 300);
        CU_ASSERT_EQUAL(s.taken, 0);
        sub_close(&s);
}

static void refusal_comes_again_in_order(void)
{
        struct sub s;
        unsigned lines;

        sub_open(&s, "refused");
        wait_connected(&s);
        s.refuse = 3;
        publish(0, 40);
        for (int i = 0; i < 100 && count("refused", 40, &lines) < 40; i++)
                turn(&s, 50);
        CU_ASSERT_EQUAL(count("refused", 40, &lines), 40);
        CU_ASSERT_EQUAL(s.refuse, 0);
        sub_close(&s);
}

static void comes_back_after_the_broker(void)
{
        struct sub s;
        unsigned lines;

        sub_open(&s, "away");
        wait_connected(&s);
        broker_stop();
        for (int i = 0; i < 100 && s.connected; i++)
                turn(&s, 20);
        CU_ASSERT_FALSE(s.connected);
        turn(&s, 500); /* several refused connects */
        broker_start();
        wait_connected(&s);
        publish(0, 20);
        for (int i = 0; i < 100 && count("away", 20, &lines) < 20; i++)
                turn(&s, 50);
        CU_ASSERT_EQUAL(count("away", 20, &lines), 20);
        sub_close(&s);
}

static void close_at_any_moment(void)
{
        static const unsigned at[] = { 0, 1, 3, 10, 60 };

        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
                struct sub s;

                sub_open(&s, "brief");
                if (at[i])
                        turn(&s, at[i]);
                sub_close(&s);
        }
}

static void publishes(void)
{
        struct sub s;
        unsigned lines;
        int id = 0;

        sub_open(&s, "own");
        CU_ASSERT_EQUAL(mqtt_publish(s.mqtt, "a", "b", 1, &id), -ENOTCONN);
        wait_connected(&s);
        CU_ASSERT_EQUAL(mqtt_publish(s.mqtt, "headrace/v1/me/telemetry", "0", 1, &id), 0);
        CU_ASSERT_EQUAL(mqtt_publish(s.mqtt, "no/+/wildcards", "0", 1, &id), -EINVAL);
        for (int i = 0; i < 50 && count("own", 1, &lines) < 1; i++)
                turn(&s, 20);
        CU_ASSERT_EQUAL(count("own", 1, &lines), 1);
        sub_close(&s);
}

static void unreachable_broker_is_no_wait(void)
{
        struct mqtt_config c = { .host = "127.0.0.1", .port = free_port(), .client_id = "x" };
        struct sub s = { 0 };

        uv_loop_init(&s.loop);
        s.fd = -1;
        c.host = NULL;
        CU_ASSERT_EQUAL(mqtt_open(&s.mqtt, &s.loop, &c, &handlers, &s), -EINVAL);
        c.host = "127.0.0.1";
        CU_ASSERT_EQUAL(mqtt_open(&s.mqtt, &s.loop, &c, &handlers, &s), 0);
        turn(&s, 200);
        CU_ASSERT(s.states >= 1);
        CU_ASSERT_FALSE(s.connected);
        sub_close(&s);
}

static void begin(void)
{
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
        port = free_port();
        broker_start();
        CU_ASSERT_TRUE_FATAL(answers());
}

static void end(void)
{
        char cmd[64];

        broker_stop();
        snprintf(cmd, sizeof cmd, "rm -r %s", dir);
        CU_ASSERT_EQUAL(system(cmd), 0);
}

HR_TESTS("mqtt", { "a broker starts", begin },
         { "nothing acknowledged is lost to kill -9", survives_kills },
         { "what could not be stored is not acknowledged", holds_acknowledgements },
         { "a refused batch comes again", refusal_comes_again_in_order },
         { "comes back after the broker did", comes_back_after_the_broker },
         { "publishes at QoS 1", publishes }, { "closes at any moment", close_at_any_moment },
         { "does not wait for an unreachable broker", unreachable_broker_is_no_wait },
         { "the broker ends", end })
