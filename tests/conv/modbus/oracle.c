#include "oracle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include <modbus/modbus.h>

enum { WORDS = 512 };

static _Noreturn void serve(modbus_t *ctx, int listener)
{
        modbus_mapping_t *map = modbus_mapping_new(WORDS, WORDS, WORDS, WORDS);
        uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];

        for (int i = 0; map && i < WORDS; i++) {
                map->tab_bits[i] = map->tab_input_bits[i] = i % 3 == 0;
                map->tab_registers[i] = (uint16_t)(1000 + i);
                map->tab_input_registers[i] = (uint16_t)(7 * i);
        }
        while (modbus_tcp_accept(ctx, &listener) >= 0) {
                int n;

                while ((n = modbus_receive(ctx, query)) >= 0)
                        if (n > 0)
                                modbus_reply(ctx, query, n, map);
        }
        _exit(0);
}

uint16_t oracle_serve(pid_t *ret_child)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof a;
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        modbus_t *ctx = modbus_new_tcp("127.0.0.1", 502);

        if (listener < 0 || !ctx || bind(listener, (struct sockaddr *)&a, len) ||
            listen(listener, 4) || getsockname(listener, (struct sockaddr *)&a, &len)) {
                perror("oracle");
                exit(1);
        }
        *ret_child = fork();
        if (*ret_child == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                serve(ctx, listener);
        }
        close(listener);
        modbus_free(ctx);
        return ntohs(a.sin_port);
}

static int ask(modbus_t *ctx, int fn, int address, int count, uint16_t *values)
{
        uint8_t bits[WORDS] = { 0 };
        int n;

        switch (fn) {
        case 1:
        case 2:
                n = fn == 1 ? modbus_read_bits(ctx, address, count, bits)
                            : modbus_read_input_bits(ctx, address, count, bits);
                for (int i = 0; i < n; i++)
                        values[i] = bits[i];
                return n;
        case 3:
                return modbus_read_registers(ctx, address, count, values);
        case 4:
                return modbus_read_input_registers(ctx, address, count, values);
        case 6:
                return modbus_write_register(ctx, address, values[0]);
        default:
                return modbus_write_registers(ctx, address, count, values);
        }
}

int oracle_ask(uint16_t port, int fn, int address, int count, uint16_t *values, int *ret_exception)
{
        modbus_t *ctx = modbus_new_tcp("127.0.0.1", port);
        int n = -1;

        *ret_exception = 0;
        modbus_set_slave(ctx, 1);
        if (modbus_connect(ctx) == 0)
                n = ask(ctx, fn, address, count, values);
        if (n < 0 && errno > MODBUS_ENOBASE && errno < MODBUS_ENOBASE + MODBUS_EXCEPTION_MAX)
                *ret_exception = errno - MODBUS_ENOBASE;
        modbus_close(ctx);
        modbus_free(ctx);
        return n;
}
