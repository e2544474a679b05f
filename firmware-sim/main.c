/* headrace-sim: simulated meters. */
#include "options.h"
#include "sim.h"

int main(int argc, char **argv)
{
        struct sim_options o;

        switch (sim_options_parse(argc, argv, &o)) {
        case SIM_EXIT_OK:
                return 0;
        case SIM_EXIT_USAGE:
                return 2;
        case SIM_RUN:
                break;
        }
        return sim_run(&o);
}
