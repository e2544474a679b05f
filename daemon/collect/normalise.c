#include "normalise.h"

#include <errno.h>
#include <string.h>

#include "message.h"

const char *normalise_refusal_name(enum normalise_refusal r)
{
        static const char *const names[] = {
#define XX(name, word, text) #word,
                NORMALISE_REFUSAL_MAP(XX)
#undef XX
        };

        return (unsigned)r < NORMALISE_N_REFUSALS ? names[r] : "?";
}

const char *normalise_refusal_text(enum normalise_refusal r)
{
        static const char *const texts[] = {
#define XX(name, word, text) text,
                NORMALISE_REFUSAL_MAP(XX)
#undef XX
        };

        return (unsigned)r < NORMALISE_N_REFUSALS ? texts[r] : "?";
}

void normalise_init(struct normaliser *n, struct buf *out, int64_t now_s)
{
        *n = (struct normaliser){ .out = out, .now_s = now_s };
}

void normalise_deinit(struct normaliser *n)
{
        for (size_t i = 0; i < NORMALISE_RUNS; i++)
                buf_deinit(&n->runs[i].values);
}

enum normalise_refusal normalise_refuse(struct normaliser *n, enum normalise_refusal why)
{
        n->counts.refused[why]++;
        return why;
}

static void write_run(struct normaliser *n, struct normalise_run *r)
{
        int64_t values[256];
        size_t count = r->values.len / sizeof *values;

        /* In pieces, so that nothing as large as the run has to be copied to aligned memory. */
        for (size_t at = 0; r->channel && at < count;) {
                size_t k = count - at < 256 ? count - at : 256;

                memcpy(values, r->values.p + at * sizeof *values, k * sizeof *values);
                if (message_put_intervals(n->out, r->channel,
                                          r->at + (int64_t)at * (int64_t)r->period_s, r->period_s,
                                          r->status, values, k) < 0)
                        n->failed = true;
                at += k;
        }
        r->channel = 0;
        buf_reset(&r->values);
}

static struct normalise_run *run_for(struct normaliser *n, uint8_t channel)
{
        struct normalise_run *free_one = NULL, *fullest = &n->runs[0];

        for (size_t i = 0; i < NORMALISE_RUNS; i++) {
                struct normalise_run *r = &n->runs[i];

                if (r->channel == channel)
                        return r;
                if (!r->channel && !free_one)
                        free_one = r;
                if (r->values.len > fullest->values.len)
                        fullest = r;
        }
        if (free_one)
                return free_one;
        write_run(n, fullest);
        return fullest;
}

static void put_interval(struct normaliser *n, uint8_t channel, int64_t at, uint32_t period_s,
                         uint8_t status, int64_t value)
{
        struct normalise_run *r = run_for(n, channel);
        int64_t end = r->at + (int64_t)(r->values.len / sizeof value) * (int64_t)r->period_s;

        if (r->channel && (r->status != status || r->period_s != period_s || end != at))
                write_run(n, r);
        if (!r->channel) {
                r->channel = channel;
                r->status = status;
                r->period_s = period_s;
                r->at = at;
        }
        buf_put(&r->values, &value, sizeof value);
        if (r->values.failed)
                n->failed = true;
}

/* On the grid of the period, when it is nearly there: meters' clocks tick beside the second. */
static bool snap(int64_t *at, uint32_t period_s)
{
        int64_t off = *at % (int64_t)period_s;

        if (off <= NORMALISE_SNAP_S)
                *at -= off;
        else if ((int64_t)period_s - off <= NORMALISE_SNAP_S)
                *at += (int64_t)period_s - off;
        else
                return false;
        return true;
}

static int scale(struct decimal *d, int scaler)
{
        if (scaler <= 0) {
                d->scale = (int8_t)(d->scale - scaler);
                return d->scale > 18 ? -ERANGE : 0;
        }
        for (; scaler > 0; scaler--) {
                if (d->scale > 0)
                        d->scale--;
                else if (__builtin_mul_overflow(d->m, (int64_t)10, &d->m))
                        return -ERANGE;
        }
        return 0;
}

enum normalise_refusal normalise_value(struct normaliser *n, const struct model_target *target,
                                       int64_t at, uint32_t period_s, uint8_t status,
                                       struct decimal value, const char *unit)
{
        const struct channel *ch = target->channel;
        int64_t v;
        int r;

        if (at < MESSAGE_EPOCH || at > n->now_s + NORMALISE_FUTURE_S)
                return normalise_refuse(n, NORMALISE_TIME);
        if (scale(&value, target->scaler) < 0)
                return normalise_refuse(n, NORMALISE_RANGE);
        r = channel_convert(ch, value, unit && *unit ? unit : target->unit, &v, NULL);
        if (r > 0)
                return normalise_refuse(n, NORMALISE_UNIT);
        if (r < 0)
                return normalise_refuse(n, NORMALISE_RANGE);
        if (ch->kind != CHANNEL_INTERVAL) {
                if (message_put_register(n->out, ch->number, at, status, v) < 0)
                        return normalise_refuse(n, NORMALISE_TIME);
        } else {
                if (!period_s)
                        period_s = target->period_s;
                if (!period_s || period_s % 60 || period_s > 86400 || !snap(&at, period_s) ||
                    at + (int64_t)period_s > n->now_s + NORMALISE_FUTURE_S)
                        return normalise_refuse(n, NORMALISE_TIME);
                put_interval(n, ch->number, at, period_s, status, v);
        }
        n->counts.values++;
        return NORMALISE_NONE;
}

bool normalise_flush(struct normaliser *n)
{
        for (size_t i = 0; i < NORMALISE_RUNS; i++)
                write_run(n, &n->runs[i]);
        return !n->failed && !n->out->failed;
}

void normalise_counts_add(struct normalise_counts *to, const struct normalise_counts *more)
{
        to->values += more->values;
        for (size_t i = 0; i < NORMALISE_N_REFUSALS; i++)
                to->refused[i] += more->refused[i];
}
