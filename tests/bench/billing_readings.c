/*
 * The readings of the billing bench: October 2026 of Europe/Berlin for ACCOUNTS accounts, packed by
 * the store's own encoder and copied in, day after day in the order of the meters, as the seal
 * leaves them.
 *
 * usage: billing_readings CONNINFO ACCOUNTS
 */
#include <stdio.h>
#include <stdlib.h>

#include "block.h"
#include "db.h"
#include "message.h"

enum {
        FIRST_DAY = 20726, /* 2026-09-30; the local month begins at 22:00 of it */
        DAYS = 32,         /* to 2026-10-31 */
        STEP = 900,
        PER_DAY = BLOCK_DAY / STEP,
        PER_COPY = 20000,
        REGISTER = 129,
        MONTH_BEGIN = FIRST_DAY * BLOCK_DAY + 22 * 3600,
        MONTH_END = MONTH_BEGIN + 31 * BLOCK_DAY + 3600, /* a day of 25 hours */
};

static void die(struct db_conn *c)
{
        fprintf(stderr, "billing_readings: %s\n", db_last_error(c)->message);
        exit(1);
}

static uint32_t mix(uint32_t x)
{
        x ^= x >> 16;
        x *= 0x7feb352du;
        x ^= x >> 15;
        x *= 0x846ca68bu;
        return x ^ x >> 16;
}

/* Wh of a quarter of an hour: a household of its own size, more in the evening, never the same. */
static int64_t energy(uint32_t meter, int64_t at)
{
        uint32_t size = 20 + mix(meter) % 180, quarter = (uint32_t)(at / STEP % PER_DAY);
        uint32_t shape = quarter < 24 ? 1 : quarter < 68 ? 2 : quarter < 88 ? 5 : 2;

        return (int64_t)(size * shape / 2 + mix(meter * 2654435761u + (uint32_t)(at / STEP)) % 61);
}

static bool has_register(uint32_t account)
{
        return account % 20 >= 12 && account % 20 <= 14;
}

static void put_row(struct buf *b, uint32_t meter, int64_t day, const struct buf *block,
                    const int32_t *counts, int n)
{
        buf_put_be16(b, (uint16_t)(3 + n));
        buf_put_be32(b, 4);
        buf_put_be32(b, meter);
        buf_put_be32(b, 4);
        buf_put_be32(b, (uint32_t)(day - 10957)); /* days since 2000-01-01 */
        for (int i = 0; i < n; i++) {
                buf_put_be32(b, 4);
                buf_put_be32(b, (uint32_t)counts[i]);
        }
        buf_put_be32(b, (uint32_t)block->len);
        buf_put(b, block->p, block->len);
}

static void put_block(struct buf *b, struct buf *block, uint32_t meter, int64_t day)
{
        struct block_value v[PER_DAY];
        struct block_counts counts;
        /* Here and there a day was estimated. */
        uint8_t status = (meter + (uint32_t)day) % 173 == 0 ? READING_EST_LIKEDAY : READING_RAW;

        for (int i = 0; i < PER_DAY; i++) {
                int64_t at = day * BLOCK_DAY + (int64_t)i * STEP;

                v[i] = (struct block_value){ at, energy(meter, at), STEP, 1, status, 2 };
        }
        buf_reset(block);
        if (block_pack(day, v, PER_DAY, block, &counts) != 0)
                exit(1);
        put_row(b, meter, day, block,
                (int32_t[]){ (int32_t)counts.expected, (int32_t)counts.measured,
                             (int32_t)counts.estimated },
                3);
}

static void put_register(struct buf *b, struct buf *block, uint32_t meter, int64_t at)
{
        int64_t day = at / BLOCK_DAY;
        /* Nine digits; some turn over inside the month. */
        int64_t begin = meter % 997 == 0 ? 999999000 : 1000 + mix(meter) % 90000000;
        int64_t use = 20000 + mix(meter + 77) % 500000;
        struct block_value v = { at,          (begin + (at == MONTH_END ? use : 0)) % 1000000000,
                                 0,           REGISTER,
                                 READING_RAW, 3 };

        buf_reset(block);
        if (block_pack_registers(day, &v, 1, block) != 0)
                exit(1);
        put_row(b, meter, day, block, (int32_t[]){ 1 }, 1);
}

static void begin(struct buf *b)
{
        buf_reset(b);
        buf_put(b, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
}

static void copy(struct db_conn *c, const char *sql, struct buf *b)
{
        buf_put_be16(b, UINT16_MAX);
        if (b->failed || db_begin(c, "*", false) != DB_OK ||
            db_copy_in(c, sql, b->p, b->len) != DB_OK || db_commit(c) != DB_OK)
                die(c);
        begin(b);
}

static void copy_blocks(struct db_conn *c, uint32_t accounts)
{
        static const char sql[] = "copy mdm.block (meter_id, day, n_exp, n_ok, n_est, data) from "
                                  "stdin (format binary)";
        struct buf b = BUF_INIT, block = BUF_INIT;

        begin(&b);
        for (int64_t day = FIRST_DAY; day < FIRST_DAY + DAYS; day++) {
                uint32_t n = 0;

                for (uint32_t i = 1; i <= 2 * accounts; i++) {
                        uint32_t account = i <= accounts ? i : i - accounts;

                        if (has_register(account) || (i > accounts && account % 20 != 17))
                                continue;
                        put_block(&b, &block, i, day);
                        if (++n % PER_COPY == 0)
                                copy(c, sql, &b);
                }
                copy(c, sql, &b);
        }
        buf_deinit(&block);
        buf_deinit(&b);
}

static void copy_registers(struct db_conn *c, uint32_t accounts)
{
        static const char sql[] =
                "copy mdm.register_day (meter_id, day, n, data) from stdin (format binary)";
        struct buf b = BUF_INIT, block = BUF_INIT;

        begin(&b);
        for (int k = 0; k < 2; k++) {
                for (uint32_t i = 1; i <= accounts; i++)
                        if (has_register(i))
                                put_register(&b, &block, i, k ? MONTH_END : MONTH_BEGIN);
                copy(c, sql, &b);
        }
        buf_deinit(&block);
        buf_deinit(&b);
}

int main(int argc, char **argv)
{
        uint32_t accounts = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
        struct db_error error;
        struct db *db = NULL;
        struct db_conn *c;

        if (accounts == 0 || db_open(&db, argv[1], 1) != 0) {
                fprintf(stderr, "usage: billing_readings CONNINFO ACCOUNTS\n");
                return 2;
        }
        c = db_take(db, 5000, &error);
        if (!c) {
                fprintf(stderr, "billing_readings: %s\n", error.message);
                return 1;
        }
        copy_blocks(c, accounts);
        copy_registers(c, accounts);
        db_give(db, c);
        db_close(db);
        return 0;
}
