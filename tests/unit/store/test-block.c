#include <errno.h>

#include "block.h"
#include "hr_test.h"
#include "message.h"

enum { DAY = 20454, MAX = 4000 };
#define T0 ((int64_t)DAY * 86400)

struct got {
        struct block_value v[MAX];
        size_t n;
};

static void collect(void *arg, const struct block_value *v)
{
        struct got *g = arg;

        if (g->n < MAX)
                g->v[g->n] = *v;
        g->n++;
}

static uint32_t seed = 1;

static uint32_t rnd(uint32_t n)
{
        seed = seed * 1664525 + 1013904223;
        return (seed >> 8) % n;
}

/* Random days: channels, periods, gaps, statuses, wild and tame values. */
static size_t random_day(struct block_value *v)
{
        static const uint32_t periods[] = { 60, 300, 600, 900, 1800, 3600, 86400 };
        size_t n = 0;

        for (uint8_t channel = 1; channel < 6; channel++) {
                uint32_t period = periods[rnd(7)], left = rnd(100), status = 0, source = 1;
                int64_t level = 0;

                for (int64_t at = T0 + 60 * rnd(3); at < T0 + 86400 && n < MAX / 2; at += period) {
                        if (rnd(20) == 0 && period == 900)
                                period = 300;
                        if (rnd(10) == 0) {
                                status = rnd(9) | (rnd(4) == 0 ? 16 : 0);
                                source = 1 + rnd(6);
                        }
                        if (rnd(100) < left / 4)
                                continue;
                        level = rnd(50) ? level + rnd(40) - 20
                                        : (int64_t)rnd(1 << 24) * rnd(1 << 24) * (rnd(2) ? 1 : -1);
                        v[n++] = (struct block_value){ at,      level,           period,
                                                       channel, (uint8_t)status, (uint8_t)source };
                }
        }
        return n;
}

static bool same(const struct block_value *a, const struct block_value *b)
{
        return a->at == b->at && a->value == b->value && a->period_s == b->period_s &&
               a->channel == b->channel && a->status == b->status && a->source == b->source;
}

static void test_round_trip(void)
{
        static struct block_value v[MAX];
        static struct got g;

        for (int round = 0; round < 300; round++) {
                size_t n = random_day(v);
                struct buf b = BUF_INIT;
                struct block_counts c;
                uint8_t *copy;
                size_t good = 0, est = 0;

                CU_ASSERT_EQUAL_FATAL(block_pack(DAY, v, n, &b, &c), 0);
                copy = malloc(b.len);
                memcpy(copy, b.p, b.len);
                g.n = 0;
                CU_ASSERT_EQUAL(block_unpack(DAY, copy, b.len, collect, &g), 0);
                CU_ASSERT_EQUAL_FATAL(g.n, n);
                for (size_t i = 0; i < n; i++) {
                        CU_ASSERT_TRUE(same(&v[i], &g.v[i]));
                        good += block_rank(v[i].status) >= 2;
                        est += block_rank(v[i].status) == 1;
                }
                CU_ASSERT_TRUE(c.measured == good && c.estimated == est);
                for (size_t cut = 0; round < 5 && cut < b.len; cut++) {
                        uint8_t *part = malloc(cut ? cut : 1);

                        memcpy(part, b.p, cut);
                        g.n = 0;
                        if (block_unpack(DAY, part, cut, collect, &g) == 0)
                                CU_ASSERT_TRUE(g.n < n); /* between two segments */
                        free(part);
                }
                free(copy);
                buf_deinit(&b);
        }
}

static void test_size_of_an_ordinary_day(void)
{
        struct block_value v[96];
        struct buf b = BUF_INIT;
        struct block_counts c;

        for (int i = 0; i < 96; i++)
                v[i] = (struct block_value){ T0 + 900 * i, 200 + i % 30, 900, 1, 0, 1 };
        CU_ASSERT_EQUAL(block_pack(DAY, v, 96, &b, &c), 0);
        CU_ASSERT_TRUE(b.len <= 96 + 12);
        CU_ASSERT_TRUE(c.expected == 96 && c.measured == 96 && !c.estimated && !c.overlap);
        v[5].period_s = 1800;
        v[5].status = READING_EST_LINEAR;
        buf_reset(&b);
        CU_ASSERT_EQUAL(block_pack(DAY, v, 96, &b, &c), 0);
        CU_ASSERT_TRUE(c.overlap && c.measured == 95 && c.estimated == 1);
        buf_deinit(&b);
}

static void test_registers(void)
{
        struct block_value v[] = { { T0 + 7, 123456, 0, 129, 0, 2 },
                                   { T0 + 86399, -5, 0, 129, 16, 1 },
                                   { T0, 1, 0, 130, 7, 3 } };
        struct buf b = BUF_INIT;
        static struct got g;

        CU_ASSERT_EQUAL(block_pack_registers(DAY, v, 3, &b), 0);
        g.n = 0;
        CU_ASSERT_EQUAL(block_unpack_registers(DAY, b.p, b.len, collect, &g), 0);
        CU_ASSERT_EQUAL_FATAL(g.n, 3);
        for (int i = 0; i < 3; i++)
                CU_ASSERT_TRUE(same(&v[i], &g.v[i]));
        CU_ASSERT_EQUAL(block_unpack_registers(DAY, b.p, b.len - 1, collect, &g), -EBADMSG);
        v[1].at = T0 + 86400;
        CU_ASSERT_EQUAL(block_pack_registers(DAY, v, 3, &b), -EINVAL);
        buf_deinit(&b);
}

static void test_refusals(void)
{
        struct block_value v[2] = { { T0, 1, 900, 1, 0, 1 }, { T0 + 900, 1, 900, 1, 0, 1 } };
        struct buf b = BUF_INIT;
        struct block_value w[2];

#define WRONG(i, member, x)                                                                        \
        memcpy(w, v, sizeof v);                                                                    \
        w[i].member = x;                                                                           \
        CU_ASSERT_EQUAL(block_pack(DAY, w, 2, &b, NULL), -EINVAL)
        WRONG(1, at, T0);
        WRONG(1, at, T0 + 86400);
        WRONG(0, at, T0 - 900);
        WRONG(0, at, T0 + 30);
        WRONG(0, channel, 2);
        WRONG(0, channel, 0);
        WRONG(0, period_s, 0);
        WRONG(0, period_s, 90);
        WRONG(0, status, BLOCK_GAP);
        WRONG(0, value, MESSAGE_MAX_VALUE + 1);
        CU_ASSERT_EQUAL(b.len, 0);
        CU_ASSERT_EQUAL(block_pack(DAY, v, 2, &b, NULL), 0);
        CU_ASSERT_EQUAL(block_unpack(DAY, "\x02", 1, NULL, NULL), -EBADMSG);
        CU_ASSERT_EQUAL(block_unpack(DAY, "", 0, NULL, NULL), -EBADMSG);
        CU_ASSERT_EQUAL(block_unpack(DAY, "\x01", 1, NULL, NULL), 0);
        buf_deinit(&b);
}

static void test_what_stands(void)
{
        enum { RAW = 0, VALID = 1, EST = 2, EDIT = 6, REJ = 8 };
        static const struct {
                uint8_t had, fresh;
                bool same_value, wins;
        } cases[] = {
                { RAW, RAW, false, true },   { RAW, RAW, true, false },
                { RAW, VALID, true, true },  { VALID, RAW, true, false },
                { VALID, RAW, false, true }, { RAW, EST, false, false },
                { EST, RAW, false, true },   { EST, EST, false, true },
                { EDIT, RAW, false, false }, { EDIT, EST, false, false },
                { EDIT, EDIT, false, true }, { RAW, EDIT, false, true },
                { RAW, REJ, true, true },    { EST, REJ, true, true },
                { EDIT, REJ, true, false },  { REJ, RAW, true, false },
                { REJ, RAW, false, true },   { REJ, EST, false, true },
                { REJ, EDIT, true, true },   { EST, RAW, true, true },
                { RAW, 16, false, true },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct block_value a = { T0, 5, 900, 1, cases[i].had, 1 };
                struct block_value b = {
                        T0, cases[i].same_value ? 5 : 6, 900, 1, cases[i].fresh, 2
                };

                CU_ASSERT_EQUAL(block_prefers(&a, &b), cases[i].wins);
                if (block_prefers(&a, &b) != cases[i].wins)
                        printf("[case %zu]", i);
        }
}

HR_TESTS("store.block", { "what is packed is unpacked", test_round_trip },
         { "an ordinary day takes a byte a value", test_size_of_an_ordinary_day },
         { "registers", test_registers }, { "wrong order, time, period", test_refusals },
         { "which value stands", test_what_stands })
