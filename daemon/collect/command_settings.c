/*
 * The clock (class 8) corrected as the drift policy says, and the load limiter (class 71).
 *
 * Clock parameters: "policy": "record" (only note the drift), "shift" (shift_time, up to
 * "shift_limit_s"), "set" (shift small drifts, set the time beyond); "tolerance_s".
 * Limiter parameters: "threshold" in the meter's own scale, "over_s" (how long it may be exceeded).
 */

#include <stdlib.h>
#include <string.h>

#include "command_internal.h"
#include "dlms/datetime.h"

enum { TIME = 2, SHIFT_TIME = 6, SHIFT_MAX_S = 900, SETTLE_POLLS = 3, SETTLE_MS = 2000 };
enum clock_step { C_READ, C_SHIFT, C_SET, C_CHECK, C_PAUSE };

static int64_t integer_or(const struct command *c, const char *name, int64_t otherwise)
{
        const json_t *v = json_object_get(c->params, name);

        return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

static const char *policy(const struct command *c)
{
        const char *s = json_string_value(json_object_get(c->params, "policy"));

        return s ? s : "set";
}

static bool clock_begin(struct command *c)
{
        int64_t tolerance = integer_or(c, "tolerance_s", 5);
        int64_t limit = integer_or(c, "shift_limit_s", 60);
        const char *p = policy(c);

        if (strcmp(p, "record") != 0 && strcmp(p, "shift") != 0 && strcmp(p, "set") != 0)
                command_fail(c, "\"policy\": \"%.40s\" is none of record, shift, set", p);
        else if (tolerance < 1 || tolerance > 3600)
                command_fail(c, "\"tolerance_s\" is 1 to 3600");
        else if (limit < 0 || limit > SHIFT_MAX_S)
                command_fail(c, "\"shift_limit_s\" is 0 to %d", SHIFT_MAX_S);
        return c->outcome == COMMAND_UNDECIDED;
}

static void put_now(struct command *c)
{
        struct dlms_datetime t;
        uint8_t bytes[DATETIME_SIZE];

        dlms_datetime_from_utc(c->now_s, c->offset_min, c->dst, &t);
        dlms_datetime_write(&t, bytes);
        axdr_put_octets(command_write(c), bytes, sizeof bytes);
}

static void clock_next(struct command *c, struct command_step *ret)
{
        switch ((enum clock_step)c->step) {
        case C_READ:
        case C_CHECK:
                command_get(ret, c->places.clock, TIME);
                return;
        case C_SHIFT:
                axdr_put_int16(command_write(c), (int16_t)-c->offset_s);
                command_act(c, ret, c->places.clock, SHIFT_TIME);
                return;
        case C_SET:
                put_now(c);
                command_set(c, ret, c->places.clock, TIME);
                return;
        case C_PAUSE:
                command_wait(c, ret, SETTLE_MS, C_CHECK);
                return;
        }
}

static bool read_offset(struct command *c, const uint8_t *data, size_t n)
{
        struct dlms_datetime t;
        struct axdr_reader r;
        struct axdr_value v;
        int64_t utc;

        axdr_reader_init(&r, data, n);
        if (!axdr_next(&r, &v) || (v.tag != AXDR_OCTET_STRING && v.tag != AXDR_DATE_TIME) ||
            !dlms_datetime_read(v.p, v.n, &t))
                return false;
        if (t.deviation != DATETIME_NO_DEVIATION)
                c->offset_min =
                        c->places.clock_inverted ? t.deviation : -t.deviation;
        c->dst = t.status != 0xFF && (t.status & DATETIME_DST);
        if (dlms_datetime_utc(&t,
                              c->places.clock_inverted ? DATETIME_INVERTED : DATETIME_STANDARD, 0,
                              &utc) < 0)
                utc = 0; /* a clock that lost its date is as wrong as can be */
        c->offset_s = utc - c->now_s;
        return true;
}

static void decide(struct command *c)
{
        int64_t size = llabs(c->offset_s), limit = integer_or(c, "shift_limit_s", 60);

        command_prove(c, "offset_before_s", json_integer(c->offset_s));
        if (size <= integer_or(c, "tolerance_s", 5) || strcmp(policy(c), "record") == 0) {
                command_prove(c, "offset_s", json_integer(c->offset_s));
                command_confirm(c);
        } else if (command_may_not_send(c, "clock wrong")) {
                return;
        } else if (size <= limit) {
                c->step = C_SHIFT;
        } else if (strcmp(policy(c), "set") == 0) {
                c->step = C_SET;
        } else {
                command_fail(c, "the clock is off by %lld s; the policy allows to shift %lld s",
                             (long long)c->offset_s, (long long)limit);
        }
}

static void clock_result(struct command *c, unsigned r, const uint8_t *data, size_t n)
{
        if (c->step == C_SHIFT && r != DLMS_ACCESS_SUCCESS && strcmp(policy(c), "set") == 0) {
                c->step = C_SET; /* not every meter can shift */
                return;
        }
        if (r != DLMS_ACCESS_SUCCESS) {
                command_refused(c, c->step == C_READ || c->step == C_CHECK ? "reading the clock"
                                                                           : "setting the clock",
                                r);
                return;
        }
        if (c->step == C_SHIFT || c->step == C_SET) {
                command_prove(c, "method", json_string(c->step == C_SET ? "set" : "shift"));
                c->step = C_CHECK;
                return;
        }
        if (!read_offset(c, data, n)) {
                command_fail(c, "the meter's clock is no date-time");
        } else if (c->step == C_READ) {
                decide(c);
        } else if (llabs(c->offset_s) <= integer_or(c, "tolerance_s", 5)) {
                command_prove(c, "offset_s", json_integer(c->offset_s));
                command_confirm(c);
        } else if (c->tries < SETTLE_POLLS) {
                c->step = C_PAUSE;
        } else {
                command_fail(c, "the meter took the time and is still off by %lld s",
                             (long long)c->offset_s);
        }
}

const struct command_ops command_clock_ops = { .begin = clock_begin,
                                               .next = clock_next,
                                               .result = clock_result };

/* ---- limiter ---- */

enum { THRESHOLD_NORMAL = 4, MIN_OVER_DURATION = 6 };
enum limiter_step { L_READ, L_OVER, L_SET, L_SET_OVER, L_CHECK, L_CHECK_OVER };

static bool limiter_begin(struct command *c)
{
        int64_t threshold = integer_or(c, "threshold", -1), over = integer_or(c, "over_s", 0);

        if (threshold < 0 || threshold > UINT32_MAX)
                command_fail(c, "\"threshold\" is a whole number in the meter's own scale");
        else if (over < 0 || over > 86400)
                command_fail(c, "\"over_s\" is 0 to 86400 seconds");
        return c->outcome == COMMAND_UNDECIDED;
}

static bool sets_over(const struct command *c)
{
        return json_is_integer(json_object_get(c->params, "over_s"));
}

/* The threshold has the type of the monitored value: the meter's own is used. */
static void put_threshold(struct command *c, int64_t v)
{
        struct axdr_writer *w = command_write(c);

        switch (c->tag) {
        case AXDR_UINT8:
                axdr_put_uint8(w, (uint8_t)v);
                return;
        case AXDR_UINT16:
                axdr_put_uint16(w, (uint16_t)v);
                return;
        case AXDR_INT16:
                axdr_put_int16(w, (int16_t)v);
                return;
        case AXDR_INT32:
                axdr_put_int32(w, (int32_t)v);
                return;
        case AXDR_INT64:
                axdr_put_int64(w, v);
                return;
        case AXDR_UINT64:
                axdr_put_uint64(w, (uint64_t)v);
                return;
        default:
                axdr_put_uint32(w, (uint32_t)v);
                return;
        }
}

static int64_t tag_max(uint8_t tag)
{
        return tag == AXDR_UINT8    ? UINT8_MAX
               : tag == AXDR_UINT16 ? UINT16_MAX
               : tag == AXDR_INT16  ? INT16_MAX
               : tag == AXDR_INT32  ? INT32_MAX
                                    : UINT32_MAX;
}

static void limiter_next(struct command *c, struct command_step *ret)
{
        switch ((enum limiter_step)c->step) {
        case L_READ:
        case L_CHECK:
                command_get(ret, c->places.limiter, THRESHOLD_NORMAL);
                return;
        case L_OVER:
        case L_CHECK_OVER:
                command_get(ret, c->places.limiter, MIN_OVER_DURATION);
                return;
        case L_SET:
                put_threshold(c, integer_or(c, "threshold", 0));
                command_set(c, ret, c->places.limiter, THRESHOLD_NORMAL);
                return;
        case L_SET_OVER:
                axdr_put_uint32(command_write(c), (uint32_t)integer_or(c, "over_s", 0));
                command_set(c, ret, c->places.limiter, MIN_OVER_DURATION);
                return;
        }
}

/* Both values are known: in effect, still to be sent, or sent in vain. */
static void limiter_judge(struct command *c, int64_t threshold, int64_t over)
{
        bool same = threshold == integer_or(c, "threshold", 0) &&
                    (!sets_over(c) || over == integer_or(c, "over_s", 0));
        bool before = c->step <= L_OVER;

        command_prove(c, "threshold", json_integer(threshold));
        if (sets_over(c))
                command_prove(c, "over_s", json_integer(over));
        if (same)
                command_confirm(c);
        else if (!before)
                command_fail(c, "the meter took the limit and still shows %lld",
                             (long long)threshold);
        else if (!command_may_not_send(c, "another limit"))
                c->step = L_SET;
}

static void limiter_value(struct command *c, const uint8_t *data, size_t n)
{
        int64_t v;

        if (!command_number(data, n, &v)) {
                command_fail(c, "the limiter's threshold or duration is no whole number");
                return;
        }
        if (c->step == L_READ || c->step == L_CHECK) {
                c->tag = data[0];
                c->threshold = v; /* until the duration is read too */
                if (c->step == L_READ && integer_or(c, "threshold", 0) > tag_max(c->tag)) {
                        command_fail(c, "\"threshold\" is more than the meter's %lld",
                                     (long long)tag_max(c->tag));
                        return;
                }
                if (sets_over(c))
                        c->step++; /* to the duration */
                else
                        limiter_judge(c, v, 0);
                return;
        }
        limiter_judge(c, c->threshold, v);
}

static void limiter_result(struct command *c, unsigned r, const uint8_t *data, size_t n)
{
        if (r != DLMS_ACCESS_SUCCESS)
                command_refused(c, "limiter", r);
        else if (c->step == L_SET)
                c->step = sets_over(c) ? L_SET_OVER : L_CHECK;
        else if (c->step == L_SET_OVER)
                c->step = L_CHECK;
        else
                limiter_value(c, data, n);
}

const struct command_ops command_limiter_ops = { .begin = limiter_begin,
                                                 .next = limiter_next,
                                                 .result = limiter_result };
