/* Cases of schema urdb-like-v1: 12 × 24 schedules, a year of interval data, twelve bills. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "civil.h"
#include "import.h"
#include "tariff_cases_internal.h"

enum {
        YEAR = 2018,
        YEAR_HOURS = 8760,
        PER_HOUR = 12 /* at most, 5 minutes */,
        SCALE = 9 /* series in 10^-9 kWh */
};

/* ---- the document ---- */

/* The importer's document; amounts far finer than money, because that is what is expected. */
enum verdict case_urdb_load(struct bill_case *c, struct rating_tariff **ret)
{
        const char *currency = case_member(c->json, "currency");
        struct import_options options = { .code = "URDB",
                                          .currency = *currency ? currency : "XXX" };
        struct rating_error err = { 0 };
        json_t *document;
        enum verdict v;
        int e = import_urdb(c->tariff, &options, &document, &err);

        if (e == IMPORT_E_UNSUPPORTED)
                return case_unsupported(c, "%s", err.text);
        if (e)
                return case_fail(c, "the tariff is refused: %s", err.text);
        json_object_set_new(document, "minor_digits", json_integer(6));
        json_object_set_new(document, "rounding", json_pack("{s:s}", "of", "total"));
        v = case_load(c, document, ret);
        json_decref(document);
        return v;
}

/* ---- interval data ---- */

struct year {
        int64_t *value; /* owned, 10^-9 kWh an interval */
        size_t n;
};

static int64_t scaled(const char *text, struct decimal factor, int64_t per_hour)
{
        struct decimal kw, r;
        char cut[24];

        /* Files hold up to 17 digits; what is beyond 10^-9 kW makes no difference. */
        snprintf(cut, sizeof(cut), "%.18s", text);
        if (strpbrk(cut, "eE"))
                snprintf(cut, sizeof(cut), "%.12f", strtod(text, NULL));
        if (decimal_parse(cut, &kw) < 0 ||
            decimal_muldiv(kw, factor, decimal_int(per_hour), SCALE, DECIMAL_HALF_EVEN, &r) < 0)
                return 0;
        return r.m;
}

static enum verdict read_year(struct bill_case *c, const char *member, struct decimal factor,
                              struct year *ret)
{
        const char *name = case_member(c->usage, member);
        size_t cap = PER_HOUR * YEAR_HOURS, rows = 0;
        char path[1024], line[64];
        int64_t per_hour;
        FILE *f;

        *ret = (struct year){ 0 };
        if (!*name)
                return CASE_PASS;
        if (strstr(name, "..") ||
            snprintf(path, sizeof(path), "%s/%s", c->folder, name) >= (int)sizeof(path))
                return case_unsupported(c, "usage file %s", name);
        f = fopen(path, "re");
        if (!f)
                return case_unsupported(c, "usage file %s: %s", path, strerror(errno));
        while (fgets(line, sizeof(line), f))
                rows++;
        rewind(f);
        rows = rows > 0 ? rows - 1 : 0;
        ret->value = calloc(cap, sizeof(*ret->value));
        if (rows % YEAR_HOURS != 0 || rows == 0 || rows > cap || !ret->value ||
            !fgets(line, sizeof(line), f)) {
                fclose(f);
                return case_unsupported(
                        c, "usage file %s of %zu rows; 8760 times 1 to 12 are known", path, rows);
        }
        per_hour = (int64_t)(rows / YEAR_HOURS);
        while (ret->n < rows && fgets(line, sizeof(line), f)) {
                line[strcspn(line, "\r\n")] = '\0';
                ret->value[ret->n++] = scaled(line, factor, per_hour);
        }
        fclose(f);
        return CASE_PASS;
}

/* An hour as four equal quarters. */
static bool refine(struct year *y, size_t n)
{
        size_t k = y->n ? n / y->n : 0;

        if (y->n == 0 || y->n == n)
                return true;
        if (k * y->n != n)
                return false;
        for (size_t i = n; i-- > 0;)
                y->value[i] = y->value[i / k] / (int64_t)k;
        y->n = n;
        return true;
}

/* What one meter at the site would show, import and export apart. */
static void through_meter(struct year *load, struct year *gen)
{
        for (size_t i = 0; i < load->n; i++) {
                int64_t net = load->value[i] - gen->value[i];

                load->value[i] = net > 0 ? net : 0;
                gen->value[i] = net < 0 ? -net : 0;
        }
}

/* The meter of the generation alone: what it draws itself by night goes to @draws. */
static void own_draw(struct year *gen, struct year *draws)
{
        draws->n = gen->n;
        for (size_t i = 0; i < gen->n; i++) {
                draws->value[i] = gen->value[i] < 0 ? -gen->value[i] : 0;
                gen->value[i] = gen->value[i] > 0 ? gen->value[i] : 0;
        }
}

/* ---- twelve bills ---- */

struct months {
        struct decimal fixed[12], energy[12], demand_flat[12], demand_tou[12], minimum_adder[12],
                total[12], kw[12];
        struct decimal gross[12];   /* energy before credits */
        struct decimal applied[12]; /* credits on energy */
        struct decimal true_up[12];
};

static bool begins(const char *s, const char *with)
{
        return strncmp(s, with, strlen(with)) == 0;
}

/* 9 digits are far below any tolerance and leave room for the sum. */
static void add(struct decimal *sum, struct decimal d)
{
        (void)decimal_rescale(d, 9, DECIMAL_HALF_EVEN, &d);
        (void)decimal_add(*sum, d, sum);
}

static struct decimal negative(struct decimal d)
{
        d.m = -d.m;
        return d;
}

static void add_energy(struct months *out, int m, const struct rating_line *l)
{
        add(&out->energy[m], l->exact);
        if (l->kind == RATING_CREDIT)
                add(&out->applied[m], negative(l->exact));
        else
                add(&out->gross[m], l->exact);
}

static void collect(struct months *out, int m, const struct rating_result *r)
{
        for (size_t i = 0; i < r->n_lines; i++) {
                const struct rating_line *l = &r->lines[i];
                size_t n = strlen(l->code);

                if (l->kind == RATING_ROUNDING)
                        continue;
                add(&out->total[m], l->exact);
                if (begins(l->code, "fixed"))
                        add(&out->fixed[m], l->exact);
                else if (begins(l->code, "demand_flat"))
                        add(&out->demand_flat[m], l->exact);
                else if (begins(l->code, "demand_tou"))
                        add(&out->demand_tou[m], l->exact);
                else if (l->kind == RATING_MINIMUM)
                        add(&out->minimum_adder[m], l->exact);
                else if (n > 8 && strcmp(l->code + n - 8, "_true_up") == 0)
                        add(&out->true_up[m], negative(l->exact));
                else
                        add_energy(out, m, l);
        }
        out->kw[m] = r->billing_kw;
}

static enum verdict rate_month(struct bill_case *c, const struct rating_tariff *t,
                               const struct year *import, const struct year *export, int m,
                               struct rating_input *in, struct months *out,
                               struct rating_peak *peaks)
{
        size_t per_day = import->n / 365;
        int64_t first = civil_to_day(YEAR, 1, 1);
        struct rating_series series[2];
        struct rating_error err = { 0 };
        struct rating_result r;
        struct rating_carry *carry;
        size_t at, n;

        in->from_day = civil_to_day(YEAR, m + 1, 1);
        in->to_day = in->from_day + civil_days_in_month(YEAR, m + 1);
        at = (size_t)(in->from_day - first) * per_day;
        n = (size_t)(in->to_day - in->from_day) * per_day;
        series[0] = (struct rating_series){ .name = "energy.import",
                                            .unit = "kWh",
                                            .scale = SCALE,
                                            .at = in->from_day * 86400,
                                            .period_s = (uint32_t)(86400 / per_day),
                                            .n = n,
                                            .value = import->value + at };
        series[1] = series[0];
        series[1].name = "energy.export";
        series[1].value = export->value + at;
        in->series = series;
        in->n_series = 2;
        in->peaks = peaks;
        in->n_peaks = (size_t)(12 + m);
        if (rating_run(t, in, &r, &err))
                return case_fail(c, "month %d not rated: %s", m + 1, err.text);
        collect(out, m, &r);
        peaks[12 + m].kw = r.peak_kw;
        carry = arena_alloc(&c->arena, (r.n_carry + 1) * sizeof(*carry));
        for (size_t i = 0; carry && i < r.n_carry; i++)
                carry[i] = (struct rating_carry){ arena_str(&c->arena, r.carry[i].name),
                                                  r.carry[i].value };
        in->carry = carry;
        in->n_carry = carry ? r.n_carry : 0;
        rating_result_deinit(&r);
        return CASE_PASS;
}

static enum verdict rate_year(struct bill_case *c, const struct rating_tariff *t,
                              const struct year *import, const struct year *export,
                              struct months *out)
{
        json_t *before =
                json_object_get(json_object_get(c->tariff, "ratchet"), "prior_year_peaks_kw");
        struct rating_peak peaks[24];
        struct rating_input in = { .months = 1 };
        enum verdict v = CASE_PASS;

        memset(out, 0, sizeof(*out));
        for (int i = 0; i < 24; i++) {
                peaks[i] = (struct rating_peak){ .year = YEAR - 1 + i / 12, .month = i % 12 + 1 };
                if (i < 12)
                        (void)case_number(json_array_get(before, (size_t)i), &peaks[i].kw);
        }
        for (int m = 0; m < 12 && v == CASE_PASS; m++)
                v = rate_month(c, t, import, export, m, &in, out, peaks);
        return v;
}

static enum verdict compare_months(struct bill_case *c, const char *which, json_t *expected,
                                   const char *member, const struct decimal have[12])
{
        json_t *list = json_object_get(expected, member);

        for (size_t m = 0; list && m < 12; m++) {
                struct decimal want;

                if (case_number(json_array_get(list, m), &want) && !case_near(c, want, have[m]))
                        return case_fail(c, "%s, month %zu: %s should be %s, is %s", which, m + 1,
                                         member, case_text(c, want), case_text(c, have[m]));
        }
        return CASE_PASS;
}

/* What generation earned; the excess in kWh is shown there for information only. */
static enum verdict compare_credits(struct bill_case *c, const char *which, json_t *credits,
                                    const struct months *have)
{
        static const char *const applied[] = { "nm_dollars_applied", "net_billing_credits",
                                               "two_meter_sales" };
        bool generation = strcmp(which, "with_generation") == 0;
        enum verdict v = compare_months(
                c, which, credits, generation ? "billing_demand_w_sys" : "billing_demand_wo_sys",
                have->kw);

        if (!generation)
                return v;
        for (size_t i = 0; v == CASE_PASS && i < sizeof(applied) / sizeof(*applied); i++)
                v = compare_months(c, which, credits, applied[i], have->applied);
        if (v == CASE_PASS)
                v = compare_months(c, which, credits, "true_up_credits", have->true_up);
        return v == CASE_PASS
                       ? compare_months(c, which, credits, "charge_w_sys_ec_gross", have->gross)
                       : v;
}

static enum verdict compare_year(struct bill_case *c, const char *which, const struct months *have)
{
        json_t *expected = json_object_get(c->expected, which), *wanted = NULL, *credits;
        const struct {
                const char *member;
                const struct decimal *value;
        } parts[] = { { "fixed", have->fixed },
                      { "energy", have->energy },
                      { "demand_flat", have->demand_flat },
                      { "demand_tou", have->demand_tou },
                      { "minimum_adder", have->minimum_adder },
                      { "total", have->total } };
        enum verdict v = CASE_PASS;

        for (size_t i = 0; i < sizeof(parts) / sizeof(*parts) && v == CASE_PASS; i++)
                v = compare_months(c, which, expected, parts[i].member, parts[i].value);
        if (v == CASE_PASS && strcmp(which, "without_generation") == 0 &&
            json_object_get(c->expected, "billing_demand_kw")) {
                wanted = c->expected;
                v = compare_months(c, which, wanted, "billing_demand_kw", have->kw);
        }
        credits = json_object_get(c->expected, "credits");
        return v == CASE_PASS ? compare_credits(c, which, credits, have) : v;
}

/* Buy all, sell all: a bill for the use, and one for the generation's own meter without fixed
 * charges and minimums. */
static enum verdict rate_two_meters(struct bill_case *c, const struct rating_tariff *t,
                                    const struct year *load, struct year *gen, struct year *none,
                                    struct months *out)
{
        struct months own;
        struct year draws = { calloc(PER_HOUR * YEAR_HOURS, sizeof(int64_t)), load->n };
        enum verdict v = CASE_FAIL;

        if (draws.value) {
                own_draw(gen, &draws);
                v = rate_year(c, t, load, none, out);
        }
        if (v == CASE_PASS)
                v = rate_year(c, t, &draws, gen, &own);
        for (int m = 0; v == CASE_PASS && m < 12; m++) {
                add(&out->energy[m], own.energy[m]);
                add(&out->gross[m], own.gross[m]);
                add(&out->applied[m], own.applied[m]);
                add(&out->demand_flat[m], own.demand_flat[m]);
                add(&out->demand_tou[m], own.demand_tou[m]);
                add(&out->total[m], own.energy[m]);
                add(&out->total[m], own.demand_flat[m]);
                add(&out->total[m], own.demand_tou[m]);
                out->kw[m] = own.kw[m]; /* the demand "with generation" is that of its meter */
        }
        free(draws.value);
        return v;
}

static enum verdict run_years(struct bill_case *c, const struct rating_tariff *t, struct year *load,
                              struct year *gen)
{
        bool two_meters = strcmp(case_member(c->tariff, "metering"), "buy_all_sell_all") == 0;
        struct year none = { calloc(PER_HOUR * YEAR_HOURS, sizeof(int64_t)), load->n };
        struct months out;
        enum verdict v;

        if (!none.value)
                return case_fail(c, "out of memory");
        v = rate_year(c, t, load, &none, &out);
        if (v == CASE_PASS)
                v = compare_year(c, "without_generation", &out);
        if (v != CASE_PASS || !json_object_get(c->expected, "with_generation")) {
                free(none.value);
                return v;
        }
        if (gen->n == 0)
                v = case_unsupported(c, "with_generation expected without generation data");
        else if (!refine(load, gen->n > load->n ? gen->n : load->n) || !refine(gen, load->n))
                v = case_unsupported(c, "load and generation of lengths that do not fit");
        none.n = load->n;
        if (v == CASE_PASS && two_meters) {
                v = rate_two_meters(c, t, load, gen, &none, &out);
        } else if (v == CASE_PASS) {
                through_meter(load, gen);
                v = rate_year(c, t, load, gen, &out);
        }
        free(none.value);
        return v == CASE_PASS ? compare_year(c, "with_generation", &out) : v;
}

enum verdict case_urdb(struct bill_case *c)
{
        struct decimal factor = decimal_int(1);
        struct rating_tariff *t = NULL;
        struct year load = { 0 }, gen = { 0 };
        enum verdict v = case_urdb_load(c, &t);

        (void)case_number(json_object_get(c->usage, "scale"), &factor);
        if (v == CASE_PASS)
                v = read_year(c, "load_kw_csv", factor, &load);
        if (v == CASE_PASS)
                v = read_year(c, "generation_kw_csv", decimal_int(1), &gen);
        if (v == CASE_PASS && load.n == 0)
                v = case_unsupported(c, "no load_kw_csv");
        if (v == CASE_PASS)
                v = run_years(c, t, &load, &gen);
        free(load.value);
        free(gen.value);
        rating_tariff_free(t);
        return v;
}
