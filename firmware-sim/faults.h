#pragma once

/*
 * What goes wrong with simulated meters and their links, beyond loss and delay: drawn from the
 * seed, so that the same town has the same troubles. Faults of a link happen by chance, each time;
 * faults of a meter are its nature, given to as many meters as were asked for.
 */

#include <stdbool.h>
#include <stdint.h>

struct sim;
struct meter;

enum fault {
        FAULT_AHEAD = 1 << 0,          /* has seen a far higher invocation counter */
        FAULT_DRIFT = 1 << 1,          /* its clock is wrong by up to --drift-s */
        FAULT_NO_RELEASE = 1 << 2,     /* answers RLRQ with an exception */
        FAULT_ONE_CONNECTION = 1 << 3, /* takes one connection at a time, then rests for --pause */
        FAULT_BREAKS = 1 << 4,         /* grants with-list and answers it with an exception */
};

struct fault_stats {
        uint64_t cuts, late, transfers_reset, connections_refused;
};

/* Gives the meters their faults. */
void faults_spread(struct sim *s);

/* ---- of one connection ---- */

struct fault_link {
        unsigned answers_left; /* then it is cut; 0 = it is not */
        bool reset_drawn;      /* the current block transfer had its chance */
};

enum fault_verdict {
        FAULT_DELIVER, /* after *@ret_delay_ms */
        FAULT_LOSE,
        FAULT_CUT,
};

void fault_link_begin(struct sim *s, struct fault_link *l);
/* What becomes of an answer. @transferring: it is part of a block transfer that goes on. */
enum fault_verdict fault_answer(struct sim *s, struct fault_link *l, bool transferring,
                                unsigned *ret_delay_ms);
