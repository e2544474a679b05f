#include <errno.h>

#include "hr_test.h"

#include "block.h"
#include "message.h"
#include "series.h"
#include "usage.h"

/* Packed readings to segments: against the values they were packed from. */

enum { DAY0 = 20726, DAYS = 5, STEP = 900, PER_DAY = BLOCK_DAY / STEP, IMPORT = 1, REG = 129 };
#define T0 ((int64_t)DAY0 * BLOCK_DAY)

static struct readings readings;
static struct usage usage;
static struct arena arena;
static struct bill_segment segment;

static void reset(const int32_t *meters, size_t n)
{
        readings_deinit(&readings);
        readings_init(&readings);
        usage_deinit(&usage);
        usage_init(&usage);
        arena_deinit(&arena);
        arena_init(&arena, 0);
        CU_ASSERT_EQUAL_FATAL(
                readings_begin(&readings, meters, n, T0, T0 + (int64_t)DAYS * BLOCK_DAY), 0);
        segment = (struct bill_segment){ .meter_id = meters[0],
                                         .channel = IMPORT,
                                         .reg = REG,
                                         .digits = 6,
                                         .from = T0,
                                         .to = T0 + (int64_t)DAYS * BLOCK_DAY };
}

static void reset_one(void)
{
        static const int32_t meter = 7;

        reset(&meter, 1);
}

/* One row of the COPY, in a heap copy of its exact size. */
static int take(enum readings_kind kind, int32_t meter, int64_t day, const struct buf *data,
                bool header)
{
        struct buf b = BUF_INIT;
        void *exact;
        size_t n;
        int rc;

        if (header)
                buf_put(&b, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
        buf_put_be16(&b, 3);
        buf_put_be32(&b, 4);
        buf_put_be32(&b, (uint32_t)meter);
        buf_put_be32(&b, 4);
        buf_put_be32(&b, (uint32_t)day);
        buf_put_be32(&b, (uint32_t)data->len);
        buf_put(&b, data->p, data->len);
        n = b.len;
        exact = malloc(n);
        CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
        memcpy(exact, b.p, n);
        buf_deinit(&b);
        rc = readings_take(&readings, kind, exact, n);
        free(exact);
        return rc;
}

static int64_t energy(int64_t at)
{
        return 100 + at / STEP % 37 - (at / STEP % 5 == 0 ? 90 : 0);
}

/* A whole day, the quarter hours of which @status holds for. */
static void put_day(int32_t meter, int64_t day, uint8_t status)
{
        struct block_value v[PER_DAY];
        struct buf block = BUF_INIT;

        for (int i = 0; i < PER_DAY; i++) {
                int64_t at = day * BLOCK_DAY + (int64_t)i * STEP;

                v[i] = (struct block_value){ at, energy(at), STEP, IMPORT, status, 2 };
        }
        CU_ASSERT_EQUAL_FATAL(block_pack(day, v, PER_DAY, &block, NULL), 0);
        CU_ASSERT_EQUAL_FATAL(take(READINGS_BLOCKS, meter, day, &block, day == DAY0), 0);
        buf_deinit(&block);
}

static void put_register(int32_t meter, int64_t at, int64_t value, uint8_t status)
{
        struct block_value v = { at, value, 0, REG, status, 3 };
        struct buf day = BUF_INIT;

        CU_ASSERT_EQUAL_FATAL(block_pack_registers(at / BLOCK_DAY, &v, 1, &day), 0);
        CU_ASSERT_EQUAL_FATAL(take(READINGS_REGISTERS, meter, at / BLOCK_DAY, &day, true), 0);
        buf_deinit(&day);
}

static int expand(void)
{
        int rc = usage_packed(&usage, &readings, &segment);

        if (rc == 0)
                rc = usage_give(&usage, &arena, &segment);
        return rc;
}

static void test_intervals(void)
{
        reset_one();
        /* The days in any order, two of them estimated. */
        for (int i = 0; i < DAYS; i++)
                put_day(7, DAY0 + (i * 2) % DAYS, i < 2 ? READING_EST_LIKEDAY : READING_RAW);
        segment.from = T0 + 2 * 3600;
        segment.to = T0 + (int64_t)DAYS * BLOCK_DAY - 3600;
        CU_ASSERT_EQUAL_FATAL(expand(), 0);
        CU_ASSERT_EQUAL_FATAL(segment.n, DAYS * PER_DAY - 12);
        for (size_t i = 0; i < segment.n; i++) {
                CU_ASSERT_EQUAL_FATAL(segment.at[i], segment.from + (int64_t)i * STEP);
                CU_ASSERT_EQUAL(segment.value[i], energy(segment.at[i]));
                CU_ASSERT_EQUAL(segment.period_s[i], STEP);
                CU_ASSERT_EQUAL(segment.source[i], 2);
        }
        CU_ASSERT_EQUAL(segment.status[0], READING_EST_LIKEDAY);
        CU_ASSERT_EQUAL(segment.status[segment.n / 4], READING_RAW);
        CU_ASSERT_EQUAL(segment.n_registers, 0);
}

/* A span that begins or ends inside an interval: what begins inside counts. */
static void test_clip(void)
{
        reset_one();
        put_day(7, DAY0, READING_RAW);
        segment.from = T0 + 1;
        segment.to = T0 + 3 * STEP + 1;
        CU_ASSERT_EQUAL_FATAL(expand(), 0);
        CU_ASSERT_EQUAL_FATAL(segment.n, 3);
        CU_ASSERT_EQUAL(segment.at[0], T0 + STEP);
        CU_ASSERT_EQUAL(segment.at[2], T0 + 3 * STEP);
}

static void test_rejected(void)
{
        reset_one();
        put_day(7, DAY0, READING_REJECTED);
        put_day(7, DAY0 + 1, READING_RAW);
        CU_ASSERT_EQUAL_FATAL(expand(), 0);
        CU_ASSERT_EQUAL(segment.n, PER_DAY);
        CU_ASSERT_EQUAL(segment.at[0], T0 + BLOCK_DAY);
}

static void test_registers(void)
{
        reset_one();
        put_register(7, T0 - 60, 1, READING_RAW); /* before: not used */
        put_register(7, T0, 999000, READING_RAW);
        put_register(7, T0 + BLOCK_DAY, 999400, READING_CUSTOMER);
        put_register(7, T0 + BLOCK_DAY + 60, 5, READING_REJECTED);
        put_register(7, T0 + 2 * BLOCK_DAY, 100, READING_EST_LINEAR); /* turned over: 6 digits */
        put_register(7, T0 + 3 * BLOCK_DAY, 50, READING_RAW);         /* set back: a gap */
        put_register(7, segment.to, 80, READING_CLOCK_DOUBT);         /* at the end: counts */
        CU_ASSERT_TRUE(usage_present(&readings, &segment));
        CU_ASSERT_FALSE(usage_in_blocks(&readings, &segment));
        CU_ASSERT_EQUAL_FATAL(expand(), 0);
        CU_ASSERT_EQUAL_FATAL(segment.n, 3);
        CU_ASSERT_EQUAL(segment.value[0], 400);
        CU_ASSERT_EQUAL(segment.period_s[0], BLOCK_DAY);
        CU_ASSERT_EQUAL(segment.value[1], 700);
        CU_ASSERT_EQUAL(segment.status[1], READING_EST_LINEAR);
        CU_ASSERT_EQUAL(segment.at[2], T0 + 3 * BLOCK_DAY);
        CU_ASSERT_EQUAL(segment.value[2], 30);
        CU_ASSERT_EQUAL(segment.status[2] & READING_CLOCK_DOUBT, READING_CLOCK_DOUBT);
        CU_ASSERT_TRUE(segment.n_registers > 0);
        segment.reg = 0;
        CU_ASSERT_EQUAL_FATAL(expand(), 0);
        CU_ASSERT_EQUAL(segment.n, 0);
}

/* Packed and as SQL lists them: the same values and the same bytes to hash. */
static void test_listed(void)
{
        struct buf text = BUF_INIT;
        struct bill_segment packed;

        reset_one();
        put_day(7, DAY0, READING_RAW);
        put_day(7, DAY0 + 1, READING_EST_LINEAR);
        CU_ASSERT_EQUAL_FATAL(expand(), 0);
        packed = segment;
        for (size_t i = 0; i < packed.n; i++)
                buf_printf(&text, "%s%lld,%u,%lld,%d,%d", i ? ";" : "", (long long)packed.at[i],
                           packed.period_s[i], (long long)packed.value[i], packed.status[i],
                           packed.source[i]);
        CU_ASSERT_EQUAL_FATAL(usage_listed(&usage, &segment, buf_cstr(&text), NULL), 0);
        CU_ASSERT_EQUAL_FATAL(usage_give(&usage, &arena, &segment), 0);
        CU_ASSERT_EQUAL_FATAL(segment.n, packed.n);
        CU_ASSERT_EQUAL(memcmp(segment.value, packed.value, packed.n * 8), 0);
        CU_ASSERT_EQUAL(memcmp(segment.status, packed.status, packed.n), 0);
        CU_ASSERT_EQUAL(memcmp(segment.source, packed.source, packed.n), 0);
        buf_deinit(&text);

        put_register(7, T0, 10, 0);
        put_register(7, T0 + 60, 25, 0);
        readings.meters[0].first[READINGS_BLOCKS] = READINGS_NONE;
        CU_ASSERT_EQUAL_FATAL(expand(), 0);
        packed = segment;
        buf_printf(&text, "%lld,0,10,0,3;%lld,0,25,0,3", (long long)T0, (long long)T0 + 60);
        CU_ASSERT_EQUAL_FATAL(usage_listed(&usage, &segment, "", buf_cstr(&text)), 0);
        CU_ASSERT_EQUAL_FATAL(usage_give(&usage, &arena, &segment), 0);
        CU_ASSERT_EQUAL(segment.n, 1);
        CU_ASSERT_EQUAL(segment.value[0], 15);
        CU_ASSERT_EQUAL_FATAL(segment.n_registers, packed.n_registers);
        CU_ASSERT_EQUAL(memcmp(segment.registers, packed.registers, packed.n_registers), 0);
        buf_deinit(&text);
}

/* Every bit of a block matters: either it cannot be read, or the bytes to hash are others. */
static void test_flips(void)
{
        struct buf whole = BUF_INIT, other = BUF_INIT;
        struct readings_row *row;
        int damaged = 0, changed = 0;

        reset_one();
        put_day(7, DAY0, READING_RAW);
        segment.to = T0 + BLOCK_DAY;
        CU_ASSERT_EQUAL_FATAL(expand(), 0);
        series_encode(&whole, segment.n, segment.at, segment.value, segment.period_s,
                      segment.status, segment.source);
        row = (struct readings_row *)(void *)readings.rows.p;
        for (uint32_t bit = 0; bit < 8 * row->len; bit++) {
                struct bill_segment s = segment;
                int rc;

                readings.data.p[row->offset + bit / 8] ^= (uint8_t)(1u << bit % 8);
                rc = usage_packed(&usage, &readings, &s);
                if (rc == 0)
                        rc = usage_give(&usage, &arena, &s);
                if (rc == -EBADMSG) {
                        CU_ASSERT_EQUAL(usage.damaged_day, DAY0);
                        damaged++;
                } else {
                        CU_ASSERT_EQUAL_FATAL(rc, 0);
                        buf_reset(&other);
                        series_encode(&other, s.n, s.at, s.value, s.period_s, s.status, s.source);
                        changed++;
                        CU_ASSERT_FALSE(other.len == whole.len &&
                                        memcmp(other.p, whole.p, whole.len) == 0);
                }
                readings.data.p[row->offset + bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        CU_ASSERT_TRUE(damaged > 10 && changed > 100);
        buf_deinit(&whole);
        buf_deinit(&other);
}

/* The bytes to hash do not know where a day ends, but know status and source. */
static void test_series(void)
{
        int64_t at[6], value[6] = { 5, 4, -3, 0, INT64_C(1) << 60, 7 };
        uint32_t period[6];
        uint8_t status[6] = { 0 }, source[6] = { 0 };
        struct buf a = BUF_INIT, b = BUF_INIT;

        for (int i = 0; i < 6; i++) {
                at[i] = T0 + BLOCK_DAY - 3 * STEP + (int64_t)i * STEP;
                period[i] = STEP;
        }
        series_encode(&a, 6, at, value, period, status, NULL);
        series_encode(&b, 6, at, value, period, status, source);
        CU_ASSERT_TRUE(a.len == b.len && memcmp(a.p, b.p, a.len) == 0);
        source[5] = 1;
        buf_reset(&b);
        series_encode(&b, 6, at, value, period, status, source);
        CU_ASSERT_FALSE(a.len == b.len && memcmp(a.p, b.p, a.len) == 0);
        source[5] = 0;
        status[0] = 1;
        buf_reset(&b);
        series_encode(&b, 6, at, value, period, status, source);
        CU_ASSERT_FALSE(a.len == b.len && memcmp(a.p, b.p, a.len) == 0);
        buf_deinit(&a);
        buf_deinit(&b);
}

static void test_unsealed(void)
{
        static const int32_t meters[] = { 3, 7, 900 };
        struct buf m = BUF_INIT;
        int64_t v[4] = { 1, 2, 3, 4 };

        reset(meters, 3);
        message_put_event(&m, T0 + 60, 1, "door");
        message_put_intervals(&m, IMPORT, T0 - 4 * STEP, STEP, 0, v, 4); /* ends at T0 */
        CU_ASSERT_EQUAL(take(READINGS_MESSAGES, 3, 0, &m, true), 0);
        CU_ASSERT_FALSE(readings_find(&readings, 3)->unsealed);
        buf_reset(&m);
        message_put_intervals(&m, IMPORT, T0 - 3 * STEP, STEP, 0, v, 4);
        CU_ASSERT_EQUAL(take(READINGS_MESSAGES, 7, 0, &m, false), 0);
        CU_ASSERT_EQUAL(take(READINGS_MESSAGES, 8, 0, &m, false), 0); /* not ours */
        CU_ASSERT_TRUE(readings_find(&readings, 7)->unsealed);
        CU_ASSERT_FALSE(readings_find(&readings, 900)->unsealed);
        CU_ASSERT_PTR_NULL(readings_find(&readings, 8));
        buf_reset(&m);
        message_put_register(&m, REG, T0 + (int64_t)DAYS * BLOCK_DAY, 0, 5);
        CU_ASSERT_EQUAL(take(READINGS_MESSAGES, 900, 0, &m, false), 0);
        CU_ASSERT_TRUE(readings_find(&readings, 900)->unsealed);
        buf_deinit(&m);
}

/* Pieces that end too early or have other columns. */
static void test_bad_copy(void)
{
        static const uint8_t row[] = { 0, 3, 0, 0, 0,  4,   0, 0, 0, 7, 0, 0,
                                       0, 4, 0, 0, 80, 246, 0, 0, 0, 1, 1 };
        static const uint8_t trailer[] = { 255, 255 };

        reset_one();
        CU_ASSERT_EQUAL(readings_take(&readings, READINGS_BLOCKS, row, sizeof row), 0);
        CU_ASSERT_EQUAL(readings_take(&readings, READINGS_BLOCKS, trailer, 2), 0);
        for (size_t n = 1; n < sizeof row; n++) {
                uint8_t *exact = malloc(n);

                CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
                memcpy(exact, row, n);
                CU_ASSERT_EQUAL(readings_take(&readings, READINGS_BLOCKS, exact, n), -EBADMSG);
                free(exact);
        }
        usage_deinit(&usage);
        readings_deinit(&readings);
        arena_deinit(&arena);
}

HR_TESTS("packed readings of bills", { "intervals of some days", test_intervals },
         { "span clipped", test_clip }, { "rejected values", test_rejected },
         { "register differences", test_registers }, { "the same as SQL lists them", test_listed },
         { "every bit of a block matters", test_flips }, { "bytes to hash", test_series },
         { "messages not sealed yet", test_unsealed }, { "damaged COPY", test_bad_copy })
