#include "bill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "civil.h"
#include "measure.h"

enum { DAY_S = 86400 };

static const char *const kind_names[] = {
        [RATING_CHARGE] = "charge",     [RATING_TAX] = "tax",     [RATING_MINIMUM] = "minimum",
        [RATING_ROUNDING] = "rounding", [RATING_GIVEN] = "given", [RATING_CREDIT] = "credit",
};

const char *bill_kind_name(enum rating_line_kind kind)
{
        return kind_names[kind];
}

const char *bill_quality_name(enum bill_quality quality)
{
        static const char *const names[] = { "measured", "mixed", "estimated" };

        return names[quality];
}

void bill_line_hash(const struct bill_line *l, uint8_t ret[static BILL_HASH_SIZE])
{
        struct buf b = BUF_INIT;

        buf_printf(&b, "%d\x1f%s\x1f%s\x1f%s\x1f%s\x1f%s\x1f%s\x1f%s\x1f%s\x1f%lld\x1f", l->part_no,
                   bill_kind_name(l->kind), l->code, l->component, l->text, l->quantity, l->unit,
                   l->price, l->exact, (long long)l->amount);
        buf_put_str(&b, l->trace);
        SHA256(b.p ? b.p : (const uint8_t *)"", b.len, ret);
        buf_deinit(&b);
}

void bill_deinit(struct bill *b)
{
        arena_deinit(&b->arena);
}

static void except(struct bill *b, bool hard, const char *code, const char *text)
{
        if (!text || b->n_exceptions == BILL_MAX_EXCEPTIONS)
                return;
        b->exceptions[b->n_exceptions++] = (struct bill_exception){ code, text, hard };
        b->held = true;
}

static const char *day_text(struct bill *b, int64_t day)
{
        int y, m, d;

        civil_from_day(day, &y, &m, &d);
        return arena_printf(&b->arena, "%04d-%02d-%02d", y, m, d);
}

/* ---- may it be priced? ---- */

static void check_parts(struct bill *b, const struct bill_input *in)
{
        int64_t day = in->from_day;

        for (size_t i = 0; i < in->n_parts; i++) {
                const struct bill_part *p = &in->parts[i];

                if (p->from_day != day)
                        break;
                if (!p->tariff)
                        except(b, true, "tariff_broken",
                               arena_printf(&b->arena, "Tariff %s version %d cannot be used: %s",
                                            p->code, p->version,
                                            p->error ? p->error : "not loaded"));
                else if (strcmp(p->hash, p->current_hash) != 0)
                        except(b, true, "tariff_damaged",
                               arena_printf(
                                       &b->arena,
                                       "The document of tariff %s version %d is not the one that "
                                       "was put in force; restore it, then run again",
                                       p->code, p->version));
                day = p->to_day;
        }
        if (day != in->to_day)
                except(b, true, "missing_tariff",
                       arena_printf(
                               &b->arena,
                               "No active tariff version from %s on; activate one and run again",
                               day_text(b, day)));
}

static void check_determinant(struct bill *b, const struct bill_input *in,
                              const struct bill_determinant *d, int64_t span_s)
{
        int64_t limit = span_s * (1000 - in->limits.complete_permille) / 1000;

        if (d->n_values == 0) {
                except(b, true, "no_readings",
                       arena_printf(&b->arena, "No readings of %s in the period", d->name));
                return;
        }
        if (d->missing_s > limit)
                except(b, true, "incomplete_readings",
                       arena_printf(&b->arena,
                                    "%lld of %lld minutes of %s have no usable reading; read the "
                                    "meter or "
                                    "estimate, then run again",
                                    (long long)(d->missing_s / 60), (long long)(span_s / 60),
                                    d->name));
        if (in->limits.estimated_percent > 0 &&
            d->n_estimated * 100 > d->n_values * (size_t)in->limits.estimated_percent)
                except(b, false, "many_estimates",
                       arena_printf(&b->arena, "%zu of %zu values of %s are estimated",
                                    d->n_estimated, d->n_values, d->name));
}

static void check_readings(struct bill *b, const struct bill_input *in)
{
        int64_t span = tz_day_start(in->tz, in->to_day) - tz_day_start(in->tz, in->from_day);

        if (in->damaged)
                except(b, true, "damaged_readings", arena_str(&b->arena, in->damaged));
        if (in->blocked)
                except(b, true, "validation", arena_str(&b->arena, in->blocked));
        for (size_t i = 0; i < b->n_determinants; i++)
                check_determinant(b, in, &b->determinants[i], span);
}

/* Against the previous bill, per day: holds what a person should look at. */
static void check_amounts(struct bill *b, const struct bill_input *in)
{
        struct decimal days = decimal_int(in->to_day - in->from_day), daily, limit;
        char a[DECIMAL_TEXT_SIZE], p[DECIMAL_TEXT_SIZE];

        if (b->total < 0)
                except(b, false, "negative", arena_str(&b->arena, "The bill is negative"));
        if (!in->main_code)
                return;
        if (decimal_is_zero(b->quantity)) {
                except(b, false, "zero", arena_str(&b->arena, "No use in the whole period"));
                return;
        }
        if (in->limits.high_percent <= 0 || decimal_is_zero(in->previous_daily) ||
            decimal_div(b->quantity, days, 6, DECIMAL_HALF_EVEN, &daily) != 0 ||
            decimal_muldiv(in->previous_daily, decimal_int(in->limits.high_percent),
                           decimal_int(100), 6, DECIMAL_HALF_EVEN, &limit) != 0)
                return;
        if (decimal_cmp(daily, limit) > 0) {
                decimal_rescale(daily, 2, DECIMAL_HALF_EVEN, &daily);
                decimal_rescale(in->previous_daily, 2, DECIMAL_HALF_EVEN, &limit);
                decimal_format(daily, 0, a);
                decimal_format(limit, 0, p);
                except(b, false, "high",
                       arena_printf(&b->arena, "%s %s a day, %s on the previous bill", a, b->unit,
                                    p));
        }
}

/* ---- pricing ---- */

static const char *decimal_text(struct bill *b, struct decimal d)
{
        char text[DECIMAL_TEXT_SIZE];

        decimal_format(d, 0, text);
        return arena_str(&b->arena, text);
}

static int add_line(struct bill *b, int part_no, const struct rating_line *from,
                    struct bill_line *to)
{
        to->part_no = part_no;
        to->kind = from->kind;
        to->code = arena_str(&b->arena, from->code);
        to->component = arena_str(&b->arena, from->component);
        to->text = arena_str(&b->arena, from->text ? from->text : "");
        to->unit = arena_str(&b->arena, from->unit ? from->unit : "");
        to->quantity = decimal_text(b, from->quantity);
        to->price = decimal_text(b, from->price);
        to->exact = decimal_text(b, from->exact);
        to->amount = from->amount;
        to->trace = arena_str(&b->arena, from->trace ? from->trace : "{}");
        if (!to->code || !to->component || !to->text || !to->unit || !to->quantity || !to->price ||
            !to->exact || !to->trace)
                return -ENOMEM;
        bill_line_hash(to, to->hash);
        b->total += to->amount;
        if (to->kind == RATING_TAX)
                b->tax += to->amount;
        return 0;
}

static int add_result(struct bill *b, int part_no, const struct rating_result *r)
{
        struct bill_line *lines =
                arena_alloc(&b->arena, (b->n_lines + r->n_lines + 1) * sizeof *lines);
        int rc = 0;

        if (!lines)
                return -ENOMEM;
        if (b->n_lines)
                memcpy(lines, b->lines, b->n_lines * sizeof *lines);
        b->lines = lines;
        for (size_t i = 0; i < r->n_lines && rc == 0; i++)
                rc = add_line(b, part_no, &r->lines[i], &b->lines[b->n_lines++]);
        if (rc == 0 && decimal_cmp(r->peak_kw, b->peak_kw) > 0)
                b->peak_kw = r->peak_kw;
        b->carry = arena_alloc(&b->arena, (r->n_carry + 1) * sizeof *b->carry);
        if (!b->carry)
                return -ENOMEM;
        b->n_carry = r->n_carry;
        for (size_t i = 0; i < r->n_carry; i++) {
                b->carry[i].name = arena_str(&b->arena, r->carry[i].name);
                b->carry[i].value = r->carry[i].value;
        }
        return rc;
}

static const char *error_code(int rating_code)
{
        switch (rating_code) {
        case RATING_E_QUANTITY:
                return "missing_quantity";
        case RATING_E_GAP:
                return "incomplete_readings";
        case RATING_E_INDEX:
                return "missing_index";
        default:
                return "rating_failed";
        }
}

/* ---- price-period maps ---- */

struct bill_map {
        struct bill_map *next;
        const struct rating_tariff *tariff;
        const struct tz *tz;
        int64_t from_day, to_day;
        uint32_t period_s;
        struct rating_map *map; /* owned; NULL: could not be made */
};

void bill_maps_deinit(struct bill_maps *m)
{
        while (m->first) {
                struct bill_map *map = m->first;

                m->first = map->next;
                rating_map_free(map->map);
                free(map);
        }
}

/* NULL where there is none: the rating makes its own then, and says what is wrong. */
static const struct rating_map *map_of(struct bill_maps *maps, const struct rating_tariff *t,
                                       const struct rating_input *in)
{
        uint32_t period_s = in->n_series > 0 ? in->series[0].period_s : 0;
        struct rating_error err;
        struct bill_map *m;

        if (!maps || period_s == 0)
                return NULL;
        for (size_t i = 1; i < in->n_series; i++)
                if (in->series[i].period_s < period_s)
                        period_s = in->series[i].period_s;
        for (m = maps->first; m; m = m->next)
                if (m->tariff == t && m->from_day == in->from_day && m->to_day == in->to_day &&
                    m->period_s == period_s && m->tz == in->tz)
                        return m->map;
        m = calloc(1, sizeof *m);
        if (!m)
                return NULL;
        *m = (struct bill_map){ maps->first, t, in->tz, in->from_day, in->to_day, period_s, NULL };
        if (rating_map_new(&m->map, t, in->tz, NULL, 0, in->from_day, in->to_day, period_s, &err) !=
            0)
                m->map = NULL;
        maps->first = m;
        return m->map;
}

static int price_part(struct bill *b, const struct bill_input *in, size_t i, struct measure *m)
{
        const struct bill_part *p = &in->parts[i];
        struct rating_input ri = {
                .from_day = p->from_day,
                .to_day = p->to_day,
                .full_days = in->full_days,
                .months = in->n_parts > 1 ? 0 : in->months,
                .households = in->households,
                .contract_kw = in->contract_kw,
                .tz = in->tz,
                .indices = in->indices,
                .n_indices = in->n_indices,
                .peaks = in->peaks,
                .n_peaks = in->n_peaks,
                /* A later part goes on from what the earlier one left. */
                .carry = i == 0 ? in->carry : b->carry,
                .n_carry = i == 0 ? in->n_carry : b->n_carry,
        };
        struct rating_result result;
        struct rating_error err = { 0 };
        int rc = measure_part(m, in, p, &ri);

        if (rc < 0)
                return rc;
        ri.map = map_of(in->maps, p->tariff, &ri);
        rc = rating_run(p->tariff, &ri, &result, &err);
        if (rc == -ENOMEM)
                return rc;
        if (rc != 0) {
                except(b, true, error_code(rc), arena_str(&b->arena, err.text));
                return 0;
        }
        rc = add_result(b, (int)i + 1, &result);
        rating_result_deinit(&result);
        return rc;
}

static int price(struct bill *b, const struct bill_input *in, struct measure *m)
{
        for (size_t i = 0; i < in->n_parts; i++) {
                int rc = price_part(b, in, i, m);

                if (rc < 0)
                        return rc;
                if (b->held)
                        return 0;
        }
        b->priced = true;
        return 0;
}

static bool has_hard(const struct bill *b)
{
        for (size_t i = 0; i < b->n_exceptions; i++)
                if (b->exceptions[i].hard)
                        return true;
        return false;
}

/* Reviews and prices; what a person may release does not keep the bill from being priced. */
static int review(struct bill *b, const struct bill_input *in, struct measure *m)
{
        bool held;
        int rc;

        check_parts(b, in);
        check_readings(b, in);
        if (has_hard(b))
                return 0;
        held = b->held;
        b->held = false;
        rc = price(b, in, m);
        if (rc == 0 && b->priced)
                check_amounts(b, in);
        b->held = b->held || held;
        return rc;
}

int bill_compute(const struct bill_input *in, struct bill *ret)
{
        struct measure m;
        int rc;

        memset(ret, 0, sizeof *ret);
        arena_init(&ret->arena, 0);
        ret->unit = "";
        measure_init(&m, &ret->arena);
        rc = measure_determinants(&m, in, ret);
        if (rc == 0)
                rc = review(ret, in, &m);
        if (rc == -ERANGE) {
                except(ret, true, "out_of_range",
                       "A quantity is too large to bill; check the readings");
                ret->priced = false;
                rc = 0;
        }
        measure_deinit(&m);
        if (!ret->priced) {
                ret->n_lines = 0;
                ret->total = ret->tax = 0;
        }
        if (rc < 0)
                arena_deinit(&ret->arena);
        return rc;
}
