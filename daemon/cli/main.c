/* headrace: the command line. A client of the daemon for every operation in its table, and a
 * technician's tool for what needs no daemon. */
#include "cli.h"
#include "decode.h"
#include "meter.h"
#include "tariff_cases.h"
#include "tariff_file.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
        "usage: headrace [OPTION...] COMMAND [ARG...]\n"
        "\n"
        "Without a daemon:\n"
        "  read URL                       values of one meter (tcp://, hdlc://, serial://, "
        "optical://)\n"
        "  scan URL                       which addresses answer, which objects there are\n"
        "  diagnose URL                   step by step, what keeps a meter from being read\n"
        "  trace URL                      read, every exchange in words beside its bytes\n"
        "  replay FILE                    a recording (--record) in words, offline\n"
        "  decode FILE.jsonl              frames to values, one JSON answer a line\n"
        "  tariff cases FILE.json...      run bill cases against the rating core\n"
        "  tariff import FILE --format F  a published tariff (urdb, owrs, csv) as a document\n"
        "  tariff test FILE...            run the example bills inside tariff documents\n"
        "  tariff diff BEFORE AFTER       what two tariff documents say differently\n"
        "  completion bash                completion script for your shell\n"
        "With a daemon: `headrace help` lists its commands, `headrace help COMMAND` explains one.\n"
        "\n"
        "Options:\n"
        "  --socket PATH   the daemon's unix socket (HEADRACE_SOCKET; "
        "/var/lib/headrace/headraced.sock)\n"
        "  --url URL       its address instead (HEADRACE_URL), with --token TOKEN "
        "(HEADRACE_TOKEN)\n"
        "  --json          the answer as the daemon gave it\n"
        "  --plain         tables without alignment, for pipes\n"
        "  --body FILE     the whole JSON body from a file, - for standard input\n"
        "  --output FILE   where a document goes\n"
        "  --wait          follow the job a command starts until it ends\n"
        "  --key KEY       idempotency key, to repeat a command safely\n"
        "  --confirm NAME  for commands that cannot be undone\n"
        "  --dry-run       show the request, send nothing\n"
        "  --no-input      never ask\n"
        "  --help, --version\n";

static const char bash_completion[] =
        "_headrace() {\n"
        "        local IFS=$'\\n'\n"
        "        COMPREPLY=($(headrace __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
        "}\n"
        "complete -o default -F _headrace headrace\n";

/* An option with a value: takes it and moves past. */
static bool take(const char *name, int argc, char **argv, int *i, const char **ret)
{
        if (strcmp(argv[*i], name) != 0)
                return false;
        if (*i + 1 >= argc) {
                fprintf(stderr, "headrace: %s needs a value\n", name);
                exit(CLI_USAGE);
        }
        *ret = argv[++*i];
        return true;
}

static bool flag(const char *name, const char *arg, bool *ret)
{
        if (strcmp(name, arg) != 0)
                return false;
        return *ret = true;
}

/* Takes the global options out of @argv wherever they stand; the rest keeps its order. */
static int take_options(struct cli_options *o, int argc, char **argv)
{
        int n = 0;

        for (int i = 1; i < argc; i++)
                if (!take("--socket", argc, argv, &i, &o->socket) &&
                    !take("--url", argc, argv, &i, &o->url) &&
                    !take("--token", argc, argv, &i, &o->token) &&
                    !take("--output", argc, argv, &i, &o->output) &&
                    !take("--confirm", argc, argv, &i, &o->confirm) &&
                    !take("--key", argc, argv, &i, &o->key) &&
                    !take("--body", argc, argv, &i, &o->body) &&
                    !flag("--json", argv[i], &o->json) && !flag("--plain", argv[i], &o->plain) &&
                    !flag("--no-input", argv[i], &o->no_input) &&
                    !flag("--dry-run", argv[i], &o->dry_run) && !flag("--wait", argv[i], &o->wait))
                        argv[n++] = argv[i];
        return n;
}

static int run_cases(int argc, char **argv)
{
        int r = CLI_OK;

        if (argc < 3) {
                fprintf(stderr, "usage: headrace tariff cases FILE.json...\n");
                return CLI_USAGE;
        }
        for (int i = 2; i < argc; i++)
                if (tariff_cases_run(argv[i], stdout))
                        r = CLI_FAILED;
        return r;
}

static int dispatch(const struct cli_options *o, int argc, char **argv)
{
        int r;

        if (argc == 0) {
                fputs(usage, stderr);
                return CLI_USAGE;
        }
        if (strcmp(argv[0], "--help") == 0 || (strcmp(argv[0], "help") == 0 && argc == 1)) {
                fputs(usage, stdout);
                if (strcmp(argv[0], "help") == 0) {
                        printf("\nCommands of the daemon:\n");
                        return verbs_help(o, 0, NULL);
                }
                return CLI_OK;
        }
        if (strcmp(argv[0], "--version") == 0) {
                printf("headrace %s\n", HEADRACE_VERSION);
                return CLI_OK;
        }
        if (strcmp(argv[0], "help") == 0)
                return verbs_help(o, argc - 1, argv + 1);
        if (argc >= 2 && strcmp(argv[0], "tariff") == 0 && strcmp(argv[1], "cases") == 0)
                return run_cases(argc, argv);
        if (argc >= 2 && strcmp(argv[0], "tariff") == 0 && strcmp(argv[1], "import") == 0)
                return tariff_import_run(argc - 2, argv + 2, o->output);
        /* With files these need no daemon; with a tariff's code they are its operations. */
        if (argc >= 3 && strcmp(argv[0], "tariff") == 0 && strcmp(argv[1], "test") == 0 &&
            access(argv[2], R_OK) == 0)
                return tariff_test_run(argc - 2, argv + 2);
        if (argc >= 4 && strcmp(argv[0], "tariff") == 0 && strcmp(argv[1], "diff") == 0 &&
            access(argv[2], R_OK) == 0)
                return tariff_diff_run(argc - 2, argv + 2);
        if (argc == 2 && strcmp(argv[0], "completion") == 0 && strcmp(argv[1], "bash") == 0)
                return fputs(bash_completion, stdout) < 0 ? CLI_FAILED : CLI_OK;
        if (strcmp(argv[0], "decode") == 0)
                return decode_run(argc - 1, argv + 1);
        if (meter_dispatch(o, argc, argv, &r))
                return r;
        if (strcmp(argv[0], "__complete") == 0)
                return verbs_complete(o, argc - 1, argv + 1);
        return verbs_run(o, argc, argv);
}

int main(int argc, char **argv)
{
        struct cli_options o = {
                .socket = getenv("HEADRACE_SOCKET") ? getenv("HEADRACE_SOCKET")
                                                    : "/var/lib/headrace/headraced.sock",
                .url = getenv("HEADRACE_URL"),
                .token = getenv("HEADRACE_TOKEN"),
        };
        int n = take_options(&o, argc, argv);
        int r;

        /* Names are UTF-8; in the plain C locale the tables would show them as escapes. */
        if (!setlocale(LC_CTYPE, "") || strcmp(setlocale(LC_CTYPE, NULL), "C") == 0)
                setlocale(LC_CTYPE, "C.UTF-8");
        r = dispatch(&o, n, argv);

        /* A full disk or a closed pipe is a failure, not a short answer. */
        if (fflush(stdout) || ferror(stdout)) {
                perror("headrace: standard output");
                return CLI_FAILED;
        }
        return r;
}
