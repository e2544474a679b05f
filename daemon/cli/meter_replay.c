/* headrace replay: a recording in plain words, without a meter. And which words are a command. */
#include "meter.h"

#include <errno.h>
#include <string.h>

#include "meter_record.h"
#include "meter_tool.h"

static const char replay_usage[] =
        "usage: headrace replay FILE [--key-file FILE] [--suite N] [--json]\n"
        "\n"
        "Decodes a recording made with --record: every exchange in plain words beside its bytes.\n"
        "With the meter's keys it looks into what is ciphered. Exit code 7 when something in it "
        "is\n"
        "damaged or not understood.\n";

int meter_replay_run(const struct cli_options *cli, int argc, char **argv)
{
        struct meter_tool t;
        char why[300];
        unsigned damaged;
        int e, r = meter_tool_open(&t, cli, METER_WANTS_FILE, replay_usage, true, argc, argv);

        if (r)
                return r < 0 ? METER_OK : r;
        e = meter_record_play(t.o.file, t.trace, why, sizeof why);
        damaged = meter_trace_damaged(t.trace);
        if (e == -EBADMSG) {
                fprintf(stderr, "headrace: %s\n", why);
                r = METER_BAD_ANSWER;
        } else if (e) {
                fprintf(stderr, "headrace: %s: %s\n", t.o.file, strerror(-e));
                r = METER_FAILED;
        } else if (damaged) {
                fprintf(stderr, "headrace: %u of the exchanges are damaged or not understood\n",
                        damaged);
                r = METER_BAD_ANSWER;
        }
        return meter_tool_close(&t, r);
}

bool meter_dispatch(const struct cli_options *cli, int argc, char **argv, int *ret_exit)
{
        static const struct {
                const char *word;
                int (*run)(const struct cli_options *cli, int argc, char **argv);
        } commands[] = { { "read", meter_read_run },
                         { "scan", meter_scan_run },
                         { "diagnose", meter_diagnose_run },
                         { "trace", meter_trace_run },
                         { "replay", meter_replay_run } };

        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
                if (strcmp(commands[i].word, argv[0]) == 0) {
                        *ret_exit = commands[i].run(cli, argc, argv);
                        return true;
                }
        return false;
}
