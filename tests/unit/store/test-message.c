#include <errno.h>

#include "hr_test.h"
#include "message.h"

#define T0 1767225600LL /* 2026-01-01T00:00:00Z */

static void test_round_trip(void)
{
        static const int64_t v[] = { 0, 1500, 1499, -7, MESSAGE_MAX_VALUE, -MESSAGE_MAX_VALUE, 0 };
        struct buf b = BUF_INIT;
        struct message_section s;
        struct rd r;

        CU_ASSERT_EQUAL(message_put_intervals(&b, 1, T0, 900, READING_RAW, v, 7), 0);
        CU_ASSERT_EQUAL(message_put_register(&b, 129, T0 + 7, READING_CLOCK_DOUBT, -12345678901),
                        0);
        CU_ASSERT_EQUAL(message_put_event(&b, T0 + 9, 70000, "cover open"), 0);
        CU_ASSERT_EQUAL(message_put_event(&b, T0 + 9, 0, NULL), 0);
        CU_ASSERT_EQUAL(message_check(b.p, b.len), 0);
        r = rd_of(b.p, b.len);
        CU_ASSERT_EQUAL_FATAL(message_next(&r, &s), 1);
        CU_ASSERT_EQUAL(s.type, MESSAGE_INTERVALS);
        CU_ASSERT_TRUE(s.channel == 1 && s.at == T0 && s.period_s == 900 && s.n == 7 && !s.status);
        for (int i = 0; i < 7; i++)
                CU_ASSERT_EQUAL(message_next_value(&s), v[i]);
        CU_ASSERT_EQUAL(message_next_value(&s), 0);
        CU_ASSERT_EQUAL_FATAL(message_next(&r, &s), 1);
        CU_ASSERT_TRUE(s.type == MESSAGE_REGISTER && s.channel == 129 && s.at == T0 + 7);
        CU_ASSERT_TRUE(s.value == -12345678901 && s.status == READING_CLOCK_DOUBT);
        CU_ASSERT_EQUAL_FATAL(message_next(&r, &s), 1);
        CU_ASSERT_TRUE(s.type == MESSAGE_EVENT && s.code == 70000 && s.at == T0 + 9);
        CU_ASSERT_TRUE(s.text_len == 10 && !memcmp(s.text, "cover open", 10));
        CU_ASSERT_EQUAL_FATAL(message_next(&r, &s), 1);
        CU_ASSERT_EQUAL(s.text_len, 0);
        CU_ASSERT_EQUAL(message_next(&r, &s), 0);
        /* Cut anywhere, the damage is seen unless the cut is between sections. */
        for (size_t cut = 0; cut < b.len; cut++) {
                uint8_t *copy = malloc(cut ? cut : 1);
                int at_section = 0;

                memcpy(copy, b.p, cut);
                r = rd_of(b.p, b.len);
                while (message_next(&r, &s) > 0)
                        at_section |= (size_t)(r.p - b.p) == cut;
                CU_ASSERT_EQUAL(message_check(copy, cut), at_section ? 0 : -EBADMSG);
                free(copy);
        }
        buf_deinit(&b);
}

static void test_refusals(void)
{
        struct buf b = BUF_INIT;
        int64_t v[2] = { 1, 2 };
        static const uint8_t bad[][12] = {
                { 4, 1 },                       /* no such section */
                { 1, 0, 0, 15, 1, 0, 2 },       /* channel 0 */
                { 1, 1, 0, 0, 1, 0, 2 },        /* period 0 */
                { 1, 1, 0, 15, 0, 0, 2 },       /* no values */
                { 1, 1, 0, 0xa1, 0x0b, 1, 0 },  /* period over a day */
                { 1, 1, 0, 15, 0x90, 0x4e, 0 }, /* more values than bytes */
                { 3, 0, 0, 0xff, 0xff, 0x7f },  /* text longer than allowed */
        };

        CU_ASSERT_EQUAL(message_put_intervals(&b, 1, T0 + 30, 900, 0, v, 2), -EINVAL);
        CU_ASSERT_EQUAL(message_put_intervals(&b, 0, T0, 900, 0, v, 2), -EINVAL);
        CU_ASSERT_EQUAL(message_put_intervals(&b, 1, T0, 90, 0, v, 2), -EINVAL);
        CU_ASSERT_EQUAL(message_put_intervals(&b, 1, T0, 172800, 0, v, 2), -EINVAL);
        CU_ASSERT_EQUAL(message_put_intervals(&b, 1, T0, 900, 0, v, 0), -EINVAL);
        CU_ASSERT_EQUAL(message_put_intervals(&b, 1, 0, 900, 0, v, 2), -EINVAL);
        CU_ASSERT_EQUAL(message_put_intervals(&b, 1, MESSAGE_END - 900, 900, 0, v, 2), -EINVAL);
        CU_ASSERT_EQUAL(message_put_register(&b, 1, MESSAGE_EPOCH - 1, 0, 5), -EINVAL);
        CU_ASSERT_EQUAL(message_put_event(&b, MESSAGE_END, 5, "x"), -EINVAL);
        v[1] = MESSAGE_MAX_VALUE + 1;
        CU_ASSERT_EQUAL(message_put_intervals(&b, 1, T0, 900, 0, v, 2), -EINVAL);
        CU_ASSERT_EQUAL(message_put_register(&b, 1, T0, 0, -v[1]), -EINVAL);
        CU_ASSERT_EQUAL(b.len, 0);
        CU_ASSERT_EQUAL(message_put_intervals(&b, 1, MESSAGE_EPOCH, 60, 0, v, 1), 0);
        CU_ASSERT_EQUAL(message_put_register(&b, 255, MESSAGE_END - 1, 0, 5), 0);
        CU_ASSERT_EQUAL(message_check(b.p, b.len), 0);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CU_ASSERT_EQUAL(message_check(bad[i], sizeof bad[i]), -EBADMSG);
        buf_deinit(&b);
}

HR_TESTS("store.message", { "what is written is read", test_round_trip },
         { "out of range is refused, damage is seen", test_refusals })
