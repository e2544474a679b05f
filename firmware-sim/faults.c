#include "faults.h"

#include "sim.h"

/* A connection that will be cut has so many answers at most: a short session's length. */
enum { CUT_WITHIN = 5, AHEAD_BY = 10000000 };

static bool may_have(const struct meter *m, enum fault f)
{
        if (m->kind != SIM_DLMS_WRAPPER && m->kind != SIM_DLMS_HDLC)
                return false;
        return f != FAULT_AHEAD || m->kind == SIM_DLMS_HDLC;
}

/* To @n meters that can have it, spread over the fleet from a place the seed says. */
static void give(struct sim *s, enum fault f, unsigned n)
{
        uint64_t at = sim_random(&s->random);

        for (unsigned i = 0; i < s->n && n > 0; i++) {
                struct meter *m = &s->meters[(at + (uint64_t)i * 7919) % s->n];

                if (!may_have(m, f) || (m->faults & f))
                        continue;
                m->faults |= (uint8_t)f;
                n--;
                if (f == FAULT_DRIFT && s->opt.drift_s)
                        m->drift_s = (int32_t)(sim_random(&s->random) % (2 * s->opt.drift_s + 1)) -
                                     (int32_t)s->opt.drift_s;
                if (f == FAULT_AHEAD)
                        m->ahead = (uint32_t)(sim_now(s) - 1577836800 + AHEAD_BY);
        }
}

void faults_spread(struct sim *s)
{
        give(s, FAULT_AHEAD, s->opt.ahead);
        give(s, FAULT_DRIFT, s->opt.drift);
        give(s, FAULT_NO_RELEASE, s->opt.no_release);
        give(s, FAULT_ONE_CONNECTION, s->opt.one_connection);
        give(s, FAULT_BREAKS, s->opt.breaks);
}

void fault_link_begin(struct sim *s, struct fault_link *l)
{
        *l = (struct fault_link){ 0 };
        if (sim_chance(s, s->opt.cut))
                l->answers_left = 1 + (unsigned)(sim_random(&s->random) % CUT_WITHIN);
}

enum fault_verdict fault_answer(struct sim *s, struct fault_link *l, bool transferring,
                                unsigned *ret_delay_ms)
{
        *ret_delay_ms = s->opt.delay_ms;
        if (l->answers_left && --l->answers_left == 0) {
                s->stats.faults.cuts++;
                return FAULT_CUT;
        }
        if (!transferring) {
                l->reset_drawn = false;
        } else if (!l->reset_drawn) {
                l->reset_drawn = true;
                if (sim_chance(s, s->opt.reset_transfer)) {
                        s->stats.faults.transfers_reset++;
                        return FAULT_CUT;
                }
        }
        if (sim_chance(s, s->opt.restart)) {
                s->stats.restarts++;
                return FAULT_CUT;
        }
        if (sim_chance(s, s->opt.drop)) {
                s->stats.answers_dropped++;
                return FAULT_LOSE;
        }
        if (sim_chance(s, s->opt.late)) {
                s->stats.faults.late++;
                *ret_delay_ms += s->opt.late_ms;
        }
        return FAULT_DELIVER;
}
