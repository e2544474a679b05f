/* Our client against libmodbus's server, and libmodbus's client against our server answers. */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "hr_test.h"
#include "oracle.h"
#include "server.h"

static int connect_to(uint16_t port)
{
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                 .sin_port = htons(port) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        return fd;
}

static void write_output(struct modbus_client *c, int fd)
{
        const uint8_t *out;
        size_t n = modbus_client_core.output(c, &out);

        CU_ASSERT_EQUAL(write(fd, out, n), (ssize_t)n);
        modbus_client_core.output_done(c, n);
}

/* Reads until the next event. */
static void await(struct modbus_client *c, int fd, struct modbus_event *ev)
{
        static uint8_t in[1024];
        static size_t have;

        while (!modbus_client_next_event(c, ev)) {
                size_t taken;

                if (have == 0) {
                        ssize_t n = read(fd, in, sizeof in);

                        CU_ASSERT_FATAL(n > 0);
                        have = (size_t)n;
                }
                taken = modbus_client_core.recv(c, in, have, 0);
                memmove(in, in + taken, have - taken);
                have -= taken;
        }
}

static void client_against_libmodbus(void)
{
        static const uint16_t values[] = { 0xBEEF, 1, 2 };
        struct modbus_request asks[] = {
                { 1, 3, 10, 125, NULL, 1 }, { 1, 4, 100, 2, NULL, 2 }, { 1, 1, 4, 19, NULL, 3 },
                { 1, 2, 0, 8, NULL, 4 },    { 1, 4, 511, 2, NULL, 5 }, { 1, 16, 20, 3, values, 6 },
                { 1, 6, 30, 1, values, 7 }, { 1, 3, 20, 11, NULL, 8 },
        };
        struct modbus_client c;
        struct modbus_event ev = { 0 };
        pid_t child;
        int fd = connect_to(oracle_serve(&child));

        modbus_client_init(&c,
                           &(struct modbus_client_config){ .transport = MODBUS_TCP, .window = 8 });
        for (size_t i = 0; i < 8; i++)
                CU_ASSERT_EQUAL(modbus_client_request(&c, &asks[i], 0), MODBUS_OK);
        write_output(&c, fd);
        for (size_t i = 0; i < 8; i++) {
                await(&c, fd, &ev);
                CU_ASSERT_EQUAL(ev.type, MODBUS_EV_DONE);
                CU_ASSERT_EQUAL(ev.tag, i + 1);
                CU_ASSERT_EQUAL(ev.error, ev.tag == 5 ? MODBUS_E_EXCEPTION : MODBUS_OK);
                if (ev.tag == 5)
                        CU_ASSERT_EQUAL(ev.exception, MODBUS_X_ILLEGAL_ADDRESS);
                for (size_t k = 0; ev.tag == 1 && k < 125; k++)
                        CU_ASSERT_EQUAL(ev.data[2 * k] << 8 | ev.data[2 * k + 1], (int)(1010 + k));
                if (ev.tag == 2)
                        CU_ASSERT_EQUAL(ev.data[2] << 8 | ev.data[3], 707);
                for (size_t k = 0; ev.tag == 3 && k < 19; k++)
                        CU_ASSERT_EQUAL(ev.data[k / 8] >> k % 8 & 1, (4 + k) % 3 == 0);
                if (ev.tag == 8) {
                        CU_ASSERT_EQUAL(ev.data[0] << 8 | ev.data[1], 0xBEEF);
                        CU_ASSERT_EQUAL(ev.data[4] << 8 | ev.data[5], 2);
                        CU_ASSERT_EQUAL(ev.data[20] << 8 | ev.data[21], 0xBEEF);
                }
        }
        CU_ASSERT_EQUAL(c.strays, 0);
        close(fd);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
}

static uint16_t holding[256];

static unsigned read_words(void *device, enum modbus_table table, uint16_t address, uint16_t count,
                           uint16_t *ret)
{
        (void)device;
        if (address + count > 256)
                return MODBUS_X_ILLEGAL_ADDRESS;
        for (uint16_t i = 0; i < count; i++)
                ret[i] = table == MODBUS_HOLDING ? holding[address + i]
                         : table == MODBUS_INPUT ? (uint16_t)(3 * (address + i))
                                                 : (address + i) % 5 == 0;
        return 0;
}

static unsigned write_words(void *device, uint16_t address, uint16_t count, const uint16_t *values)
{
        (void)device;
        if (address + count > 256)
                return MODBUS_X_ILLEGAL_ADDRESS;
        memcpy(holding + address, values, count * sizeof *values);
        return 0;
}

static int listener;

static void *serve(void *arg)
{
        static const struct modbus_server_ops ops = { read_words, write_words };

        for (;;) {
                uint8_t in[MODBUS_ADU_MAX], pdu[MODBUS_PDU_MAX], out[MODBUS_ADU_MAX];
                size_t have = 0;
                ssize_t n;
                int fd = accept(listener, NULL, NULL);

                if (fd < 0)
                        return arg;
                while ((n = read(fd, in + have, sizeof in - have)) > 0) {
                        struct modbus_adu adu;

                        have += (size_t)n;
                        if (modbus_frame_parse(MODBUS_TCP, MODBUS_REQUEST, in, have, &adu))
                                continue;
                        n = (ssize_t)modbus_frame_put(
                                MODBUS_TCP, adu.transaction, adu.unit, pdu,
                                modbus_server_answer(&ops, NULL, adu.pdu, adu.pdu_len, pdu), out);
                        if (write(fd, out, (size_t)n) != n)
                                break;
                        have = 0;
                }
                close(fd);
        }
}

static void libmodbus_against_server(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof a;
        uint16_t v[512] = { 0xCAFE, 0xF00D }, port;
        pthread_t thread;
        int x = 0;

        listener = socket(AF_INET, SOCK_STREAM, 0);
        CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&a, len), 0);
        CU_ASSERT_EQUAL_FATAL(listen(listener, 4), 0);
        getsockname(listener, (struct sockaddr *)&a, &len);
        port = ntohs(a.sin_port);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, serve, NULL), 0);

        CU_ASSERT_EQUAL(oracle_ask(port, 16, 5, 2, v, &x), 2);
        v[0] = 0x1111;
        CU_ASSERT_EQUAL(oracle_ask(port, 6, 7, 1, v, &x), 1);
        CU_ASSERT_EQUAL(oracle_ask(port, 3, 5, 3, v, &x), 3);
        CU_ASSERT_EQUAL(v[0], 0xCAFE);
        CU_ASSERT_EQUAL(v[1], 0xF00D);
        CU_ASSERT_EQUAL(v[2], 0x1111);
        CU_ASSERT_EQUAL(oracle_ask(port, 4, 0, 125, v, &x), 125);
        CU_ASSERT_EQUAL(v[124], 372);
        CU_ASSERT_EQUAL(oracle_ask(port, 1, 0, 37, v, &x), 37);
        for (int i = 0; i < 37; i++)
                CU_ASSERT_EQUAL(v[i], i % 5 == 0);
        CU_ASSERT_EQUAL(oracle_ask(port, 4, 250, 20, v, &x), -1);
        CU_ASSERT_EQUAL(x, MODBUS_X_ILLEGAL_ADDRESS);
        CU_ASSERT_EQUAL(oracle_ask(port, 3, 5, 1, v, &x), 1);
        shutdown(listener, SHUT_RDWR);
        pthread_join(thread, NULL);
        close(listener);
}

HR_TESTS("modbus against libmodbus", { "our client, its server", client_against_libmodbus },
         { "its client, our server", libmodbus_against_server })
