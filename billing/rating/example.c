/* Golden examples: the tariff's own bills, which must hold before it may be used. */

#include <string.h>

#include "tariff.h"

static struct decimal minor(const struct rating_tariff *t, int64_t amount)
{
        return (struct decimal){ amount, (int8_t)t->minor_digits };
}

static int differs(const struct example *x, struct rating_error *err, const char *code,
                   struct decimal want, struct decimal have)
{
        char w[DECIMAL_TEXT_SIZE], h[DECIMAL_TEXT_SIZE];

        decimal_format(want, 0, w);
        decimal_format(have, 0, h);
        return rating_fail(err, RATING_E_DOCUMENT,
                           "example \"%s\": %s should be %s but the tariff gives %s; correct the "
                           "tariff or the example",
                           x->name, code, w, h);
}

static int compare(const struct rating_tariff *t, const struct example *x,
                   const struct rating_result *r, struct rating_error *err)
{
        for (unsigned i = 0; i < x->n_lines; i++) {
                struct decimal have = DECIMAL_ZERO;
                bool found = false;

                /* A price that changed inside the bill gives two lines of one code. */
                for (size_t k = 0; k < r->n_lines; k++)
                        if (strcmp(r->lines[k].code, x->line[i].code) == 0) {
                                (void)decimal_add(have, minor(t, r->lines[k].amount), &have);
                                found = true;
                        }
                if (!found && !decimal_is_zero(x->line[i].amount))
                        return rating_fail(err, RATING_E_DOCUMENT,
                                           "example \"%s\": the tariff gives no line %s", x->name,
                                           x->line[i].code);
                if (decimal_cmp(have, x->line[i].amount) != 0)
                        return differs(x, err, x->line[i].code, x->line[i].amount, have);
        }
        if (x->has_total && decimal_cmp(x->total, minor(t, r->total)) != 0)
                return differs(x, err, "the total", x->total, minor(t, r->total));
        return 0;
}

static int check_one(const struct rating_tariff *t, const struct example *x,
                     struct rating_error *err)
{
        struct rating_input in = x->in;
        struct rating_error why = { 0 };
        struct rating_result r;
        struct tz *tz;
        int e;

        if (tz_load(&tz, x->tz) < 0)
                return rating_fail(err, RATING_E_DOCUMENT,
                                   "example \"%s\": '%s' is not a time zone of this machine",
                                   x->name, x->tz);
        in.tz = tz;
        e = rating_run(t, &in, &r, &why);
        if (e > 0)
                e = rating_fail(err, RATING_E_DOCUMENT, "example \"%s\": %s", x->name, why.text);
        else if (e == 0) {
                e = compare(t, x, &r, err);
                rating_result_deinit(&r);
        }
        tz_free(tz);
        return e;
}

int rating_tariff_check_examples(const struct rating_tariff *t, size_t *ret_n,
                                 struct rating_error *err)
{
        for (unsigned i = 0; i < t->n_examples; i++) {
                int e = check_one(t, &t->example[i], err);

                if (e)
                        return e;
        }
        if (ret_n)
                *ret_n = t->n_examples;
        return 0;
}
