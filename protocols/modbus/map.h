#pragma once

/*
 * A device's register map as data: which registers to read in as few requests as possible, and
 * what their words mean as values of a channel. Pure, no allocation.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "decimal.h"
#include "modbus.h"

enum modbus_type {
        MODBUS_U16,
        MODBUS_S16,
        MODBUS_U32,
        MODBUS_S32,
        MODBUS_U64,
        MODBUS_S64,
        MODBUS_F32,
        MODBUS_N_TYPES,
};

struct modbus_register {
        const char *name;        /* borrowed */
        uint16_t address;        /* as on the wire, from 0 */
        enum modbus_table table; /* MODBUS_HOLDING or MODBUS_INPUT */
        enum modbus_type type;
        bool low_word_first;  /* word_order "little" */
        bool low_byte_first;  /* byte_order "little": within each word */
        struct decimal scale; /* value = raw × scale, in @unit; 0 = 1 */
        const char *unit;     /* channel.h's names; borrowed; NULL = the channel's */
        const struct channel *channel;
};

/* "u16" "s16" "u32" "s32" "u64" "s64" "f32": 0 or -EINVAL. */
int modbus_type_parse(const char *text, enum modbus_type *ret);
/* "input", "holding": 0 or -EINVAL. */
int modbus_table_parse(const char *text, enum modbus_table *ret);
/* Words of a type: 1, 2 or 4. */
unsigned modbus_type_words(enum modbus_type type);
/* 0, or -EINVAL with what is wrong in @text (at most @n bytes with its NUL). */
int modbus_register_check(const struct modbus_register *r, char *text, size_t n);

/* One read request. */
struct modbus_block {
        enum modbus_table table;
        uint16_t address, count;
};

/*
 * Blocks that cover all @regs, in any order given, ascending by table and address. Registers that
 * lie at most @max_gap unused words apart share a block of at most @max_count words (0 = 125).
 * Some devices refuse to be asked across holes: then @max_gap is 0.
 * 0, or -ENOSPC when @cap blocks do not suffice (n blocks always do).
 */
int modbus_plan(const struct modbus_register *regs, size_t n, unsigned max_gap, unsigned max_count,
                struct modbus_block *out, size_t cap, size_t *ret_n);
/* Whether the block's words contain the whole register. */
bool modbus_block_covers(const struct modbus_block *b, const struct modbus_register *r);
/* MODBUS_READ_HOLDING or MODBUS_READ_INPUT */
uint8_t modbus_block_function(const struct modbus_block *b);

struct modbus_value {
        struct decimal quantity; /* raw × scale, in the register's unit */
        int64_t value;           /* in the channel's unit × 10^scaler */
        bool exact;              /* false: the channel holds it rounded */
};

/*
 * The register's value out of a block's answer: @data are the 2 × count bytes of the event. 0,
 * -EINVAL (not within the block), -ERANGE (too large), MODBUS_E_NAN. A float is taken as the
 * shortest decimal that reads back as the same float.
 */
int modbus_register_decode(const struct modbus_register *r, const struct modbus_block *b,
                           const uint8_t *data, size_t n, struct modbus_value *ret);

/* Raw words of a register (the device's side): modbus_type_words(r->type) words to @out. Integers
 * are cut to their width; F32 takes @raw as a whole number. */
void modbus_register_encode(const struct modbus_register *r, int64_t raw, uint16_t *out);
