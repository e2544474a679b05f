/* One run: components in the tariff's order, lines, rounding, total. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "civil.h"
#include "tariff.h"

int rating_fail(struct rating_error *err, int code, const char *fmt, ...)
{
        va_list ap;

        if (err) {
                err->code = code;
                va_start(ap, fmt);
                vsnprintf(err->text, sizeof(err->text), fmt, ap);
                va_end(ap);
        }
        return code;
}

const char *rating_text(struct run *run, struct decimal d)
{
        char text[DECIMAL_TEXT_SIZE];
        const char *s;

        decimal_format(d, 0, text);
        s = arena_str(&run->r->arena, text);
        return s ? s : "?";
}

void step(struct run *run, const char *fmt, ...)
{
        char text[512];
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        if (n < 0)
                return;
        if (run->steps.len > 0)
                buf_put_u8(&run->steps, ',');
        buf_put_json_str(&run->steps, text, strlen(text));
}

/* ---- arithmetic that says which component overflowed ---- */

static int range(struct run *run)
{
        return rating_fail(run->err, RATING_E_RANGE,
                           "a number of this bill is too large to be computed exactly; check the "
                           "quantities and prices");
}

int mul(struct run *run, struct decimal a, struct decimal b, struct decimal *ret)
{
        return decimal_mul(a, b, ret) < 0 ? range(run) : 0;
}

/* a × b / c with 12 digits, or fewer where the number is too large for that. */
int muldiv(struct run *run, struct decimal a, struct decimal b, struct decimal c,
           struct decimal *ret)
{
        for (int scale = 12; scale >= 0; scale--) {
                int e = decimal_muldiv(a, b, c, scale, DECIMAL_HALF_EVEN, ret);

                if (e == 0)
                        return 0;
                if (e == -EDOM)
                        break;
        }
        return range(run);
}

int add_to(struct run *run, struct decimal *sum, struct decimal d)
{
        int finest = sum->scale > d.scale ? sum->scale : d.scale;

        /* The last digits give way before the sum is given up, no more of them than must. */
        for (int scale = finest; scale >= 0; scale--) {
                struct decimal a = *sum, b = d;

                if ((a.scale <= scale || decimal_rescale(a, scale, DECIMAL_HALF_EVEN, &a) == 0) &&
                    (b.scale <= scale || decimal_rescale(b, scale, DECIMAL_HALF_EVEN, &b) == 0) &&
                    decimal_add(a, b, &a) == 0) {
                        *sum = a;
                        return 0;
                }
        }
        return range(run);
}

int minus(struct run *run, struct decimal a, struct decimal b, struct decimal *ret)
{
        b.m = -b.m;
        *ret = a;
        return add_to(run, ret, b);
}

int span_days(const struct span *s)
{
        return (int)(s->to_day - s->from_day);
}

/* ---- carried balances ---- */

const struct rating_carry *carry_in(const struct run *run, const char *name)
{
        for (size_t i = 0; i < run->in->n_carry; i++)
                if (strcmp(run->in->carry[i].name, name) == 0)
                        return &run->in->carry[i];
        return NULL;
}

static bool grow(struct run *run, void **array, size_t n, size_t *cap, size_t size)
{
        void *wider;

        if (n < *cap)
                return true;
        wider = arena_alloc(&run->r->arena, (*cap ? 2 * *cap : 16) * size);
        if (!wider)
                return false;
        if (n)
                memcpy(wider, *array, n * size);
        *array = wider;
        *cap = *cap ? 2 * *cap : 16;
        return true;
}

int carry_out(struct run *run, const char *name, struct decimal value)
{
        void *array = run->r->carry;

        if (!grow(run, &array, run->r->n_carry, &run->cap_carry, sizeof(*run->r->carry)))
                return -ENOMEM;
        run->r->carry = array;
        name = arena_str(&run->r->arena, name);
        if (!name)
                return -ENOMEM;
        run->r->carry[run->r->n_carry++] = (struct rating_carry){ name, value };
        return 0;
}

/* ---- lines ---- */

static void trace_number(struct buf *b, const char *key, struct decimal d)
{
        char text[DECIMAL_TEXT_SIZE];

        decimal_format(d, 0, text);
        buf_printf(b, ",\"%s\":\"%s\"", key, text);
}

static const char *make_trace(struct run *run, const struct component *c, const struct span *s,
                              const struct rating_line *line)
{
        char day[2][CIVIL_RFC3339_SIZE], *trace;
        struct buf b;

        buf_init(&b);
        civil_format(s->from_day * 86400, 0, day[0]);
        civil_format(s->to_day * 86400, 0, day[1]);
        day[0][10] = day[1][10] = '\0';
        buf_put_str(&b, "{\"code\":");
        buf_put_json_str(&b, line->code, strlen(line->code));
        buf_put_str(&b, ",\"component\":");
        buf_put_json_str(&b, c->code, strlen(c->code));
        buf_printf(&b, ",\"from\":\"%s\",\"to\":\"%s\"", day[0], day[1]);
        trace_number(&b, "quantity", line->quantity);
        buf_put_str(&b, ",\"unit\":");
        buf_put_json_str(&b, line->unit, strlen(line->unit));
        trace_number(&b, "price", line->price);
        trace_number(&b, "exact", line->exact);
        buf_printf(&b, ",\"amount\":%lld,\"minor_digits\":%d,\"steps\":[", (long long)line->amount,
                   run->t->minor_digits);
        buf_put(&b, run->steps.p, run->steps.len);
        buf_put_str(&b, "]}");
        trace = b.failed || run->steps.failed ? NULL
                                              : arena_strn(&run->r->arena, (char *)b.p, b.len);
        buf_deinit(&b);
        return trace;
}

int line_add(struct run *run, const struct component *c, const struct span *s,
             enum rating_line_kind kind, const char *suffix, struct decimal quantity,
             const char *unit, struct decimal price, struct decimal exact)
{
        struct arena *a = &run->r->arena;
        struct rating_line line = { .kind = kind,
                                    .component = c->code,
                                    .text = c->text,
                                    .quantity = quantity,
                                    .price = price,
                                    .exact = exact };
        void *array = run->r->lines;

        if (c->subtract) {
                line.exact.m = -exact.m;
                line.price.m = -price.m;
                line.kind = RATING_CREDIT;
        }
        if (decimal_to_minor(line.exact, run->t->minor_digits, run->t->rounding, &line.amount) < 0)
                return range(run);
        line.code = *suffix ? arena_printf(a, "%s%s", c->code, suffix) : c->code;
        line.unit = arena_str(a, unit ? unit : "");
        if (!line.code || !line.unit ||
            !grow(run, &array, run->r->n_lines, &run->cap_lines, sizeof(*run->r->lines)))
                return -ENOMEM;
        line.trace = make_trace(run, c, s, &line);
        if (!line.trace)
                return -ENOMEM;
        buf_reset(&run->steps);
        run->r->lines = array;
        run->r->lines[run->r->n_lines++] = line;
        return 0;
}

/* ---- the run ---- */

static int derive_months(const struct rating_input *in)
{
        int y, m, d, y2, m2, d2, n;

        if (in->months > 0)
                return in->months;
        civil_from_day(in->from_day, &y, &m, &d);
        civil_from_day(in->to_day, &y2, &m2, &d2);
        n = (y2 - y) * 12 + m2 - m;
        /* Cycles that wander by some days still count as the nearest number of months. */
        if (d2 - d > 15)
                n++;
        else if (d - d2 > 15)
                n--;
        return n > 0 ? n : 1;
}

static int begin(struct run *run)
{
        const struct rating_input *in = run->in;
        int d;

        if (in->to_day <= in->from_day || in->to_day - in->from_day > 1200)
                return rating_fail(run->err, RATING_E_INPUT,
                                   "a billing period must have 1 to 1200 days, not %lld",
                                   (long long)(in->to_day - in->from_day));
        run->days = (int)(in->to_day - in->from_day);
        run->full_days = decimal_int(in->full_days > 0 ? in->full_days : run->days);
        run->months = derive_months(in);
        run->households = in->households > 0 ? in->households : 1;
        civil_from_day(in->to_day - 1, &run->year, &run->month, &d);
        return 0;
}

/* Every price of a component that was valid in the period, with its part of the days. */
static int run_component(struct run *run, const struct component *first)
{
        const struct rating_input *in = run->in;

        for (const struct component *c = first; c; c = c->next) {
                struct span s = { .from_day = in->from_day, .to_day = in->to_day };
                bool holds = true;
                int e;

                if (c->from_day > s.from_day)
                        s.from_day = c->from_day;
                if (c->next && c->next->from_day < s.to_day)
                        s.to_day = c->next->from_day;
                if (s.from_day >= s.to_day)
                        continue;
                s.part = s.from_day != in->from_day || s.to_day != in->to_day;
                buf_reset(&run->steps);
                if (s.part)
                        step(run, "price valid for %d of %d days", span_days(&s), run->days);
                e = condition_holds(run, c, &s, &holds);
                if (!e && !holds)
                        continue;
                if (!e)
                        e = charge_component(run, c, &s);
                if (e)
                        return e;
        }
        return 0;
}

/* What the bill asks for: the exact total, or that of the rounded lines, in minor units or in
 * multiples of the tariff's step. */
static int round_total(struct run *run, int64_t *ret)
{
        const struct rating_tariff *t = run->t;
        struct decimal total = run->r->exact_total;

        if (t->round_lines)
                total = (struct decimal){ run->r->total, (int8_t)t->minor_digits };
        if (!decimal_is_zero(t->round_step) &&
            (decimal_div(total, t->round_step, 0, t->rounding, &total) < 0 ||
             decimal_mul(total, t->round_step, &total) < 0))
                return range(run);
        return decimal_to_minor(total, t->minor_digits, t->rounding, ret) < 0 ? range(run) : 0;
}

static int finish(struct run *run)
{
        static const struct component rounding = { .code = "rounding", .text = "Rounding" };
        struct rating_result *r = run->r;
        struct span whole = { run->in->from_day, run->in->to_day, false };
        struct decimal diff;
        int64_t rounded;
        int e = 0;

        r->total = 0;
        r->exact_total = DECIMAL_ZERO;
        for (size_t i = 0; !e && i < r->n_lines; i++) {
                if (__builtin_add_overflow(r->total, r->lines[i].amount, &r->total))
                        return range(run);
                e = add_to(run, &r->exact_total, r->lines[i].exact);
        }
        if (e || (run->t->round_lines && decimal_is_zero(run->t->round_step)))
                return e;
        e = round_total(run, &rounded);
        if (e)
                return e;
        diff = (struct decimal){ rounded - r->total, (int8_t)run->t->minor_digits };
        if (diff.m == 0)
                return 0;
        /* The exact total is what counts; the line makes the rounded lines add up to it. */
        if (decimal_is_zero(run->t->round_step))
                step(run, "lines are rounded for show; the exact total is rounded once");
        else
                step(run, "the total is rounded to multiples of %s",
                     rating_text(run, run->t->round_step));
        e = line_add(run, &rounding, &whole, RATING_ROUNDING, "", decimal_int(1), "", diff, diff);
        if (!e)
                r->lines[r->n_lines - 1].exact = DECIMAL_ZERO;
        r->total = rounded;
        return e;
}

int rating_run(const struct rating_tariff *t, const struct rating_input *in,
               struct rating_result *ret, struct rating_error *err)
{
        struct rating_error dummy;
        struct run run = { .t = t, .in = in, .r = ret, .err = err ? err : &dummy };
        int e;

        memset(ret, 0, sizeof(*ret));
        arena_init(&ret->arena, 0);
        buf_init_limited(&run.steps, 1 << 20);
        e = begin(&run);
        if (!e && t->has_demand)
                e = demand_need(&run);
        for (unsigned i = 0; !e && i < t->n_components; i++)
                e = run_component(&run, t->component[i]);
        if (!e)
                e = finish(&run);
        ret->billing_kw = run.billing_kw;
        ret->peak_kw = run.peak_kw;
        rating_map_free(run.own_map);
        buf_deinit(&run.steps);
        if (e)
                rating_result_deinit(ret);
        return e;
}

void rating_result_deinit(struct rating_result *r)
{
        arena_deinit(&r->arena);
        memset(r, 0, sizeof(*r));
}
