/*
 * Use against generation: net metering by energy or money, net billing, buy all and sell all. The
 * balances left over are carried from bill to bill by name:
 *   energy:PERIOD  credit in the energy of one price period
 *   energy         credit over all periods, what a true-up pays for
 *   money          credit in money
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "civil.h"
#include "tariff.h"

struct netting {
        struct run *run;
        const struct component *c;
        const struct span *s;
        const struct schedule *sched; /* NULL = one price */
        unsigned n;                   /* price periods */
        struct measured in, out;
        const char *unit;
        struct decimal money; /* bank */
};

static const char *period_name(const struct netting *x, unsigned p)
{
        return x->sched ? x->sched->period[p] : "all";
}

static int sub(struct netting *x, struct decimal a, struct decimal b, struct decimal *ret)
{
        return minus(x->run, a, b, ret);
}

static struct decimal bank_in(const struct netting *x, const char *name)
{
        const struct rating_carry *c = carry_in(x->run, name);

        return c ? c->value : DECIMAL_ZERO;
}

/* Exact sum of the lines from @from on. */
static int lines_sum(struct run *run, size_t from, struct decimal *ret)
{
        int e = 0;

        *ret = DECIMAL_ZERO;
        for (size_t i = from; !e && i < run->r->n_lines; i++)
                e = add_to(run, ret, run->r->lines[i].exact);
        return e;
}

static int charge_lines(struct netting *x, const struct measured *m, struct decimal *ret)
{
        size_t from = x->run->r->n_lines;
        int e = energy_lines(x->run, x->c, x->s, m, x->unit);

        return e ? e : lines_sum(x->run, from, ret);
}

/* Exports at the selling prices, as lines that count against the bill. */
static int credit_lines(struct netting *x, const struct measured *m, struct decimal *ret)
{
        struct component sale = *x->c;
        size_t from = x->run->r->n_lines;
        char code[80];
        int e;

        snprintf(code, sizeof(code), "%s_export", x->c->code);
        sale.code = arena_str(&x->run->r->arena, code);
        sale.subtract = !x->c->subtract;
        if (!sale.code)
                return -ENOMEM;
        for (unsigned p = 0; p < x->n; p++) {
                struct tier *t = arena_copy(&x->run->r->arena, sale.tiers[p].tier,
                                            sale.tiers[p].n * sizeof(*t));

                if (!t)
                        return -ENOMEM;
                for (unsigned k = 0; k < sale.tiers[p].n; k++) {
                        t[k].rate = t[k].sell;
                        t[k].has_flat = false;
                        t[k].n_sub = 0;
                }
                sale.tiers[p].tier = t;
        }
        e = energy_lines(x->run, &sale, x->s, m, x->unit);
        if (!e)
                e = lines_sum(x->run, from, ret);
        ret->m = -ret->m;
        return e;
}

static int credit_line(struct netting *x, const char *suffix, struct decimal amount)
{
        struct decimal negative = { -amount.m, amount.scale };

        return line_add(x->run, x->c, x->s, RATING_CREDIT, suffix, decimal_int(1), "", negative,
                        negative);
}

/* As much of the money bank as the charges take. */
static int apply_money(struct netting *x, struct decimal charges)
{
        struct decimal used = decimal_cmp(x->money, charges) < 0 ? x->money : charges;
        int e;

        if (used.m <= 0)
                return 0;
        step(x->run, "credit of %s, %s of it used on this bill", rating_text(x->run, x->money),
             rating_text(x->run, used));
        e = sub(x, x->money, used, &x->money);
        return e ? e : credit_line(x, "_credit", used);
}

static bool settles(const struct netting *x)
{
        return x->c->net.true_up_month == x->run->month;
}

/* At the true-up the money bank is paid out or forgotten. */
static int settle_money(struct netting *x)
{
        int e = 0;

        if (!settles(x) || x->c->net.settle == SETTLE_KEEP)
                return 0;
        if ((x->c->net.settle == SETTLE_PAY || x->c->net.settle == SETTLE_PAY_KEEP) &&
            x->money.m > 0) {
                step(x->run, "true-up: the credit left is paid");
                e = credit_line(x, "_true_up", x->money);
        }
        if (x->c->net.settle != SETTLE_PAY_KEEP)
                x->money = DECIMAL_ZERO;
        return e;
}

/* ---- energy rollover ---- */

/* A Monday to Friday in the middle of a month, to ask the schedule about. */
static int64_t some_weekday(int year, int month)
{
        int64_t day = civil_to_day(year, month, 15);

        return civil_weekday(day) < 5 ? day : day + 2;
}

/* Where a balance goes: to the price period now in force at the hour at which its own was in force
 * in the month before; -1 when its own was at none of these hours. */
static int successor(const struct netting *x, unsigned p)
{
        const struct net *net = &x->c->net;
        int year = x->run->year, month = x->run->month;
        int64_t now = some_weekday(year, month);
        int64_t before = month > 1 ? some_weekday(year, month - 1) : some_weekday(year - 1, 12);

        for (unsigned i = 0; i < net->n_carry_at; i++)
                if (period_of(x->sched, before, false, net->carry_at[i]) == (int)p)
                        return period_of(x->sched, now, false, net->carry_at[i]);
        return -1;
}

static int banks_load(struct netting *x, struct decimal bank[MAX_PERIODS])
{
        char name[64];
        int e = 0;

        for (unsigned p = 0; p < x->n; p++)
                bank[p] = DECIMAL_ZERO;
        for (unsigned p = 0; !e && p < x->n; p++) {
                struct decimal have;
                int to = (int)p;

                snprintf(name, sizeof(name), "energy:%s", period_name(x, p));
                have = bank_in(x, name);
                if (decimal_is_zero(have))
                        continue;
                if (x->sched && x->c->net.n_carry_at > 0)
                        to = successor(x, p);
                if (to < 0 && x->c->net.expire_unmapped) {
                        step(x->run, "credit of %s in %s is not carried on",
                             rating_text(x->run, have), period_name(x, p));
                        continue;
                }
                e = add_to(x->run, &bank[to < 0 ? (int)p : to], have);
        }
        return e;
}

static int banks_store(struct netting *x, const struct decimal bank[MAX_PERIODS],
                       struct decimal all)
{
        char name[64];
        int e = carry_out(x->run, "energy", all);

        for (unsigned p = 0; !e && p < x->n; p++) {
                if (decimal_is_zero(bank[p]))
                        continue;
                snprintf(name, sizeof(name), "energy:%s", period_name(x, p));
                e = carry_out(x->run, name, bank[p]);
        }
        return e;
}

/* Nets each price period against its own balance; what is left to charge goes to @ret. */
static int net_periods(struct netting *x, struct decimal bank[MAX_PERIODS], struct measured *ret,
                       struct decimal *ret_sum)
{
        int e = 0;

        *ret = (struct measured){ .unit = x->unit, .source = "net" };
        *ret_sum = DECIMAL_ZERO;
        for (unsigned p = 0; !e && p < x->n; p++) {
                struct decimal net, used;

                e = sub(x, x->in.by_period[p], x->out.by_period[p], &net);
                if (!e)
                        e = add_to(x->run, ret_sum, net);
                if (!e && net.m <= 0)
                        e = sub(x, bank[p], net, &bank[p]);
                if (e || net.m <= 0)
                        continue;
                used = decimal_cmp(bank[p], net) < 0 ? bank[p] : net;
                e = sub(x, bank[p], used, &bank[p]);
                if (!e)
                        e = sub(x, net, used, &ret->by_period[p]);
                if (!e)
                        e = add_to(x->run, &ret->total, ret->by_period[p]);
        }
        return e;
}

static int settle_energy(struct netting *x, struct decimal bank[MAX_PERIODS], struct decimal *all)
{
        const struct net *net = &x->c->net;
        struct decimal value;
        int e = mul(x->run, *all, net->settle_rate, &value);

        if (e || !settles(x) || net->settle == SETTLE_KEEP)
                return e;
        step(x->run, "true-up: %s %s left × %s = %s", rating_text(x->run, *all), x->unit,
             rating_text(x->run, net->settle_rate), rating_text(x->run, value));
        if (net->settle == SETTLE_PAY && value.m > 0)
                e = credit_line(x, "_true_up", value);
        else if (net->settle == SETTLE_CREDIT)
                e = add_to(x->run, &x->money, value);
        buf_reset(&x->run->steps);
        for (unsigned p = 0; p < x->n; p++)
                bank[p] = DECIMAL_ZERO;
        *all = DECIMAL_ZERO;
        return e;
}

static int energy_rollover(struct netting *x)
{
        struct decimal bank[MAX_PERIODS], all = bank_in(x, "energy"), charges, sum;
        struct measured left;
        int e = banks_load(x, bank);

        if (!e)
                e = net_periods(x, bank, &left, &sum);
        if (!e)
                e = charge_lines(x, &left, &charges);
        if (!e)
                e = sub(x, all, sum, &all);
        if (all.m < 0)
                all = DECIMAL_ZERO;
        /* What the true-up credits counts on the bill that settles. */
        if (!e)
                e = settle_energy(x, bank, &all);
        if (!e)
                e = apply_money(x, charges);
        return e ? e : banks_store(x, bank, all);
}

/* ---- money ---- */

/* Each price period counts on the side it comes out on. */
static int split_nets(struct netting *x)
{
        int e = 0;

        x->in.total = x->out.total = DECIMAL_ZERO;
        for (unsigned p = 0; !e && p < x->n; p++) {
                struct decimal net;

                e = sub(x, x->in.by_period[p], x->out.by_period[p], &net);
                x->in.by_period[p] = net.m > 0 ? net : DECIMAL_ZERO;
                x->out.by_period[p] =
                        net.m < 0 ? (struct decimal){ -net.m, net.scale } : DECIMAL_ZERO;
                if (!e)
                        e = add_to(x->run, &x->in.total, x->in.by_period[p]);
                if (!e)
                        e = add_to(x->run, &x->out.total, x->out.by_period[p]);
        }
        return e;
}

static int money_carry(struct netting *x)
{
        struct decimal charges, credit;
        size_t keep;
        int e = charge_lines(x, &x->in, &charges);

        keep = x->run->r->n_lines;
        if (!e)
                e = credit_lines(x, &x->out, &credit);
        if (e)
                return e;
        /* What was sold goes to the balance, not onto this bill. */
        x->run->r->n_lines = keep;
        if (x->c->net.apply_now)
                e = add_to(x->run, &x->money, credit);
        if (!e)
                e = apply_money(x, charges);
        if (!e && !x->c->net.apply_now)
                e = add_to(x->run, &x->money, credit);
        return e ? e : settle_money(x);
}

int charge_net(struct run *run, const struct component *c, const struct span *s)
{
        struct netting x = { .run = run, .c = c, .s = s };
        struct decimal ignored;
        int e;

        if (s->part)
                return rating_fail(
                        run->err, RATING_E_INPUT,
                        "component %s: prices under net metering can only change with a bill",
                        c->code);
        x.sched = c->schedule >= 0 ? run->t->schedule[c->schedule] : NULL;
        x.n = x.sched ? x.sched->n_periods : 1;
        e = measure_quantity(run, c, s, c->quantity ? c->quantity : run->t->quantity, c->schedule,
                             &x.in);
        if (!e)
                e = measure_quantity(run, c, s, c->net.export_quantity, c->schedule, &x.out);
        if (e)
                return e;
        x.unit = c->unit ? c->unit : x.in.unit ? x.in.unit : run->t->unit;
        x.money = bank_in(&x, "money");
        switch (c->net.mode) {
        case NET_ENERGY_ROLLOVER:
                e = energy_rollover(&x);
                break;
        case NET_MONEY_ROLLOVER:
                e = split_nets(&x);
                if (!e)
                        e = money_carry(&x);
                break;
        case NET_BILLING:
                e = charge_lines(&x, &x.in, &ignored);
                if (!e)
                        e = credit_lines(&x, &x.out, &ignored);
                break;
        case NET_BILLING_CARRY:
                e = money_carry(&x);
                break;
        default:
                break;
        }
        return e ? e : carry_out(run, "money", x.money);
}
