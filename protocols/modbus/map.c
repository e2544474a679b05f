#include "map.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
        const char *name;
        unsigned words;
} types[MODBUS_N_TYPES] = {
        [MODBUS_U16] = { "u16", 1 }, [MODBUS_S16] = { "s16", 1 }, [MODBUS_U32] = { "u32", 2 },
        [MODBUS_S32] = { "s32", 2 }, [MODBUS_U64] = { "u64", 4 }, [MODBUS_S64] = { "s64", 4 },
        [MODBUS_F32] = { "f32", 2 },
};

int modbus_type_parse(const char *text, enum modbus_type *ret)
{
        for (unsigned i = 0; i < MODBUS_N_TYPES; i++)
                if (!strcmp(types[i].name, text)) {
                        *ret = (enum modbus_type)i;
                        return 0;
                }
        return -EINVAL;
}

int modbus_table_parse(const char *text, enum modbus_table *ret)
{
        if (!strcmp(text, "input"))
                *ret = MODBUS_INPUT;
        else if (!strcmp(text, "holding"))
                *ret = MODBUS_HOLDING;
        else
                return -EINVAL;
        return 0;
}

unsigned modbus_type_words(enum modbus_type type)
{
        return (unsigned)type < MODBUS_N_TYPES ? types[type].words : 1;
}

int modbus_register_check(const struct modbus_register *r, char *text, size_t n)
{
        const char *name = r->name ? r->name : "register";

        if ((unsigned)r->type >= MODBUS_N_TYPES)
                snprintf(text, n, "%s: no such type", name);
        else if (r->table != MODBUS_HOLDING && r->table != MODBUS_INPUT)
                snprintf(text, n, "%s: table must be input or holding", name);
        else if (r->address + modbus_type_words(r->type) > 0x10000)
                snprintf(text, n, "%s: address 0x%04X leaves no room for a %s", name, r->address,
                         types[r->type].name);
        else if (!r->channel)
                snprintf(text, n, "%s: no channel", name);
        else if (channel_check_unit(r->channel, r->unit))
                snprintf(text, n, "%s: unit %s cannot be converted to %s of channel %s", name,
                         r->unit, r->channel->unit, r->channel->code);
        else
                return 0;
        return -EINVAL;
}

/* Place of a register's first and last word in one order over both tables. */
static uint32_t first_word(const struct modbus_register *r)
{
        return (uint32_t)r->table << 17 | r->address;
}

static uint32_t end_word(const struct modbus_register *r)
{
        return first_word(r) + modbus_type_words(r->type);
}

bool modbus_block_covers(const struct modbus_block *b, const struct modbus_register *r)
{
        return b->table == r->table && r->address >= b->address &&
               r->address + modbus_type_words(r->type) <= (uint32_t)b->address + b->count;
}

uint8_t modbus_block_function(const struct modbus_block *b)
{
        return b->table == MODBUS_HOLDING ? MODBUS_READ_HOLDING : MODBUS_READ_INPUT;
}

/* The register that starts lowest among those that start at or after @from. */
static const struct modbus_register *next_register(const struct modbus_register *regs, size_t n,
                                                   const struct modbus_register *after)
{
        const struct modbus_register *best = NULL;

        for (size_t i = 0; i < n; i++) {
                const struct modbus_register *r = &regs[i];

                /* Two registers may share an address: the place in the array decides. */
                if (after && (first_word(r) < first_word(after) ||
                              (first_word(r) == first_word(after) && r <= after)))
                        continue;
                if (!best || first_word(r) < first_word(best))
                        best = r;
        }
        return best;
}

int modbus_plan(const struct modbus_register *regs, size_t n, unsigned max_gap, unsigned max_count,
                struct modbus_block *out, size_t cap, size_t *ret_n)
{
        const struct modbus_register *r = NULL;
        uint32_t start = 0, end = 0;
        size_t blocks = 0;

        if (max_count < 4 || max_count > MODBUS_READ_REGISTERS_MAX)
                max_count = MODBUS_READ_REGISTERS_MAX;
        for (size_t i = 0; i < n; i++) {
                r = next_register(regs, n, r);
                if (blocks > 0 && out[blocks - 1].table == r->table &&
                    first_word(r) <= end + max_gap && end_word(r) <= start + max_count) {
                        if (end_word(r) > end)
                                end = end_word(r);
                } else {
                        if (blocks == cap)
                                return -ENOSPC;
                        start = first_word(r);
                        end = end_word(r);
                        out[blocks++] = (struct modbus_block){ r->table, r->address, 0 };
                }
                out[blocks - 1].count = (uint16_t)(end - start);
        }
        *ret_n = blocks;
        return 0;
}

static uint64_t get_words(const struct modbus_register *r, const uint8_t *p)
{
        unsigned words = modbus_type_words(r->type);
        uint64_t v = 0;

        for (unsigned i = 0; i < words; i++) {
                const uint8_t *w = p + 2 * (size_t)(r->low_word_first ? words - 1 - i : i);
                uint16_t word = (uint16_t)(r->low_byte_first ? w[1] << 8 | w[0] : w[0] << 8 | w[1]);

                v = v << 16 | word;
        }
        return v;
}

/* 10^n as a double is exact up to 22. */
static double pow10_double(int n)
{
        double p = 1;

        while (n-- > 0)
                p *= 10;
        return p;
}

/* The shortest decimal that reads back as @f, which a display of the meter would show too. */
static int float_decimal(float f, struct decimal *ret)
{
        for (int scale = 0; scale <= 18; scale++) {
                double scaled = (double)f * pow10_double(scale);
                int64_t m;

                if (scaled >= 9.2e18 || scaled <= -9.2e18)
                        break;
                m = (int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
                *ret = (struct decimal){ m, (int8_t)scale };
                if ((float)((double)m / pow10_double(scale)) == f)
                        return 0;
        }
        return f < 9.2e18f && f > -9.2e18f ? 0 : -ERANGE;
}

static int raw_decimal(const struct modbus_register *r, uint64_t bits, struct decimal *ret)
{
        uint32_t bits32 = (uint32_t)bits;
        float f;

        *ret = DECIMAL_ZERO;
        switch (r->type) {
        case MODBUS_U64:
                if (bits > INT64_MAX)
                        return -ERANGE;
                ret->m = (int64_t)bits;
                return 0;
        case MODBUS_S64:
                ret->m = (int64_t)bits;
                return 0;
        case MODBUS_U16:
        case MODBUS_U32:
                ret->m = (int64_t)bits;
                return 0;
        case MODBUS_S16:
                ret->m = (int16_t)bits;
                return 0;
        case MODBUS_S32:
                ret->m = (int32_t)bits32;
                return 0;
        case MODBUS_F32:
                memcpy(&f, &bits32, sizeof f);
                /* An exponent of all ones: infinity or not a number. */
                if ((bits32 & 0x7F800000) == 0x7F800000)
                        return MODBUS_E_NAN;
                return float_decimal(f, ret);
        case MODBUS_N_TYPES:
                break;
        }
        return -EINVAL;
}

int modbus_register_decode(const struct modbus_register *r, const struct modbus_block *b,
                           const uint8_t *data, size_t n, struct modbus_value *ret)
{
        struct modbus_value v = { 0 };
        int e;

        if (!modbus_block_covers(b, r) || n < 2 * (size_t)b->count)
                return -EINVAL;
        e = raw_decimal(r, get_words(r, data + 2 * (size_t)(r->address - b->address)), &v.quantity);
        if (!e && r->scale.m != 0)
                e = decimal_mul(v.quantity, r->scale, &v.quantity);
        if (!e)
                e = channel_convert(r->channel, v.quantity, r->unit, &v.value, &v.exact);
        if (e)
                return e == CHANNEL_E_UNIT || e == CHANNEL_E_QUANTITY ? -EINVAL : e;
        *ret = v;
        return 0;
}

void modbus_register_encode(const struct modbus_register *r, int64_t raw, uint16_t *out)
{
        unsigned words = modbus_type_words(r->type);
        uint64_t bits = (uint64_t)raw;

        if (r->type == MODBUS_F32) {
                float f = (float)raw;
                uint32_t b;

                memcpy(&b, &f, sizeof b);
                bits = b;
        }
        for (unsigned i = 0; i < words; i++) {
                uint16_t word = (uint16_t)(bits >> 16 * (words - 1 - i));

                if (r->low_byte_first)
                        word = (uint16_t)(word << 8 | word >> 8);
                out[r->low_word_first ? words - 1 - i : i] = word;
        }
}
