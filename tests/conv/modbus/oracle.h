#pragma once

/*
 * libmodbus as an independent peer on loopback. in a library of its own, because its header is named
 * modbus.h too.
 */

#include <stdint.h>
#include <sys/types.h>

/* A libmodbus server with 512 words and bits a table, holding[i] = 1000+i, input[i] = 7*i, bits
 * i%3==0, in a child process; returns its port. */
uint16_t oracle_serve(pid_t *ret_child);

/* Our server on @fd is asked by libmodbus as a client; @fn is its read function 1, 2, 3, 4, or 6,
 * 16 to write values[0..count). Returns how many were read or written, -1 for an error and
 * *@ret_exception its Modbus exception (0 = another error). */
int oracle_ask(uint16_t port, int fn, int address, int count, uint16_t *values, int *ret_exception);
