#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "civil.h"

enum option_type { FLAG, COUNT, REAL, PERCENT, INSTANT, TEXT, ADDRESS, OFFSET, SEED };

struct option {
        const char *name, *value;
        enum option_type type;
        size_t at, size;
        const char *help;
};

#define FIELD(f) offsetof(struct sim_options, f), sizeof(((struct sim_options *)0)->f)

static const struct option options[] = {
        { "--dlms-wrapper", "N", COUNT, FIELD(count[SIM_DLMS_WRAPPER]),
          "DLMS meters over the TCP wrapper, without security (model HR-DLMS-W)" },
        { "--dlms-hdlc", "N", COUNT, FIELD(count[SIM_DLMS_HDLC]),
          "DLMS meters in HDLC frames over TCP, GMAC and ciphering (HR-DLMS-H)" },
        { "--lls", "TEXT", TEXT, FIELD(lls),
          "password (LLS) of the wrapper's meters for every client but the public one" },
        { "--modbus", "N", COUNT, FIELD(count[SIM_MODBUS]), "Modbus TCP meters (HR-MODBUS-E1)" },
        { "--mqtt-senml", "N", COUNT, FIELD(count[SIM_MQTT_SENML]),
          "electricity meters that publish SenML (HR-MQTT-SENML)" },
        { "--mqtt-flat", "N", COUNT, FIELD(count[SIM_MQTT_FLAT]),
          "water meters that publish flat JSON (HR-MQTT-FLAT)" },
        { "--coap", "N", COUNT, FIELD(count[SIM_COAP]),
          "heat meters that post SenML over DTLS-PSK (HR-COAP-SENML)" },
        { "--dlms-push", "N", COUNT, FIELD(count[SIM_DLMS_PUSH]),
          "DLMS meters that send data-notifications (ISKRA-AM550); needs --push" },
        { "--from", "TIME", INSTANT, FIELD(from),
          "start of the history the meters hold; RFC 3339 or a date (UTC)" },
        { "--to", "TIME", INSTANT, FIELD(to), "its end; default the present" },
        { "--now", "TIME", INSTANT, FIELD(now),
          "the meters' clocks start here instead of at the real time, and stand still" },
        { "--speed", "X", REAL, FIELD(speed), "with --now: let the clocks run X times real time" },
        { "--live", NULL, FLAG, FIELD(live),
          "go on measuring and pushing after --to, up to the meters' clock" },
        { "--seed", "N", SEED, FIELD(seed), "same seed, same town (default 1)" },
        { "--series", "DIR", TEXT, FIELD(series),
          "consumption series *.csv.gz (start,value in kWh); default ../shared/data/intervals, "
          "else made up" },
        { "--utc-offset", "+HH:MM", OFFSET, FIELD(utc_offset_min),
          "the meters' local time (default +07:00)" },
        { "--branch", "CODE", TEXT, FIELD(branch), "branch in the fleet file (default HN)" },
        { "--host", "ADDRESS", TEXT, FIELD(host), "polled meters listen here (default 127.0.0.1)" },
        { "--base-port", "PORT", COUNT, FIELD(base_port),
          "first port of the polled meters; default: whatever ports are free" },
        { "--addresses", NULL, FLAG, FIELD(addresses),
          "each polled meter has an address of its own in 127.16.0.0/12 and all of a kind share "
          "one port: for thousands of meters" },
        { "--broker", "HOST:PORT", ADDRESS, FIELD(broker), "MQTT broker" },
        { "--user", "NAME", TEXT, FIELD(user), "MQTT user" },
        { "--password", "TEXT", TEXT, FIELD(password), "MQTT password" },
        { "--client-id", "TEXT", TEXT, FIELD(prefix), "start of the MQTT client ids" },
        { "--coap-server", "HOST:PORT", ADDRESS, FIELD(coap), "CoAP server (DTLS)" },
        { "--push", "HOST:PORT", ADDRESS, FIELD(push), "where DLMS pushes go, over TCP" },
        { "--per-message", "N", COUNT, FIELD(per_message),
          "intervals in one message (default 96; CoAP at most 16)" },
        { "--rate", "N", REAL, FIELD(rate),
          "messages a second over all meters; default: as fast as acknowledged" },
        { "--inflight", "N", COUNT, FIELD(inflight),
          "unacknowledged messages a connection (default 20)" },
        { "--meters-per-connection", "N", COUNT, FIELD(per_connection),
          "MQTT meters sharing a connection (default 100)" },
        { "--coap-sessions", "N", COUNT, FIELD(coap_sessions),
          "DTLS sessions open at a time (default 64)" },
        { "--drop", "PERCENT", PERCENT, FIELD(drop),
          "answers to polls, and acknowledgements, that get lost" },
        { "--delay", "MS", COUNT, FIELD(delay_ms), "before every answer to a poll" },
        { "--duplicate", "PERCENT", PERCENT, FIELD(duplicate), "messages pushed twice" },
        { "--restart", "PERCENT", PERCENT, FIELD(restart),
          "answers and acknowledgements after which the meter's connection breaks" },
        { "--cut", "PERCENT", PERCENT, FIELD(cut),
          "connections to polled meters that break after a few answers" },
        { "--late", "PERCENT", PERCENT, FIELD(late), "answers to polls that come late" },
        { "--late-by", "MS", COUNT, FIELD(late_ms), "how late (default 3000)" },
        { "--reset-transfer", "PERCENT", PERCENT, FIELD(reset_transfer),
          "block transfers in whose middle the meter restarts" },
        { "--ahead", "N", COUNT, FIELD(ahead),
          "HDLC meters that have seen a far higher invocation counter" },
        { "--drift", "N", COUNT, FIELD(drift), "DLMS meters whose clocks are wrong" },
        { "--drift-s", "S", COUNT, FIELD(drift_s), "by up to so many seconds (default 600)" },
        { "--no-release", "N", COUNT, FIELD(no_release),
          "DLMS meters that answer the release request (RLRQ) with an exception" },
        { "--one-connection", "N", COUNT, FIELD(one_connection),
          "DLMS meters that take one connection at a time" },
        { "--pause", "MS", COUNT, FIELD(pause_ms), "and want a pause after each" },
        { "--break-conformance", "N", COUNT, FIELD(breaks),
          "DLMS meters that grant requests with-list and answer them with an exception" },
        { "--wrong-key", "N", COUNT, FIELD(wrong_key),
          "meters whose keys in the fleet file are not theirs" },
        { "--counter-ahead", "N", COUNT, FIELD(counter_ahead),
          "the GMAC meters have seen invocation counters up to N millions already" },
        { "--clock-offset", "S", COUNT, FIELD(clock_offset),
          "the DLMS meters' clocks are so many seconds ahead" },
        { "--stuck", "N", COUNT, FIELD(stuck),
          "DLMS meters whose relay takes commands and does not move" },
        { "--tamper", "N", COUNT, FIELD(tamper), "DLMS meters with an opened cover in their log" },
        { "--unknown", "N", COUNT, FIELD(unknown), "meters missing in the fleet file" },
        { "--fleet", "FILE", TEXT, FIELD(fleet),
          "write the meters here, once all listeners are up" },
        { "--truth", "FILE", TEXT, FIELD(truth),
          "write every value offered or acknowledged here, JSON lines" },
        { "--ready", "FILE", TEXT, FIELD(ready), "make this file when all is up" },
        { "--exit", NULL, FLAG, FIELD(exit_when_pushed), "end when all pushes are acknowledged" },
        { "--progress", "S", COUNT, FIELD(progress_s),
          "seconds between progress lines on standard output; 0 = none (default 10)" },
};

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void help(void)
{
        printf("headrace-sim: simulated meters, over every protocol, in one process.\n\n"
               "usage: headrace-sim [OPTION]...\n\n");
        printf("  %-28s %s\n", "--meters N", "a mix of N polled and pushing meters");
        printf("  %-28s %s\n", "--mqtt N", "N MQTT meters, every fourth with flat JSON");
        for (size_t i = 0; i < N(options); i++) {
                char left[64];

                snprintf(left, sizeof left, "%s %s", options[i].name,
                         options[i].value ? options[i].value : "");
                printf("  %-28s %s\n", left, options[i].help);
        }
        printf("\nPrints \"ready\" when every listener is up, \"pushes complete\" when everything "
               "up to --to is\nacknowledged, and a summary in JSON at the end. SIGTERM ends it.\n");
}

static int set_count(const char *text, unsigned *ret)
{
        char *end;
        unsigned long v;

        errno = 0;
        v = strtoul(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || errno || v > 1000000)
                return -EINVAL;
        *ret = (unsigned)v;
        return 0;
}

static int set_real(const char *text, double max, double *ret)
{
        char *end;
        double v = strtod(text, &end);

        if (end == text || *end || !(v >= 0) || v > max)
                return -EINVAL;
        *ret = v;
        return 0;
}

static int set_instant(const char *text, int64_t *ret)
{
        int64_t day;

        if (!civil_parse_date(text, &day)) {
                *ret = day * 86400;
                return 0;
        }
        return civil_parse(text, ret, NULL);
}

static int set_address(const char *text, struct sim_address *ret)
{
        const char *colon = strrchr(text, ':');
        unsigned port;

        if (!colon || colon == text || (size_t)(colon - text) >= sizeof ret->host ||
            set_count(colon + 1, &port) || port < 1 || port > 65535)
                return -EINVAL;
        memcpy(ret->host, text, (size_t)(colon - text));
        ret->host[colon - text] = '\0';
        ret->port = (uint16_t)port;
        return 0;
}

static int set_offset(const char *text, int *ret)
{
        unsigned h, m;
        char sign, end;

        if (sscanf(text, "%c%2u:%2u%c", &sign, &h, &m, &end) != 3 || (sign != '+' && sign != '-') ||
            h > 14 || m > 59 || m % 15)
                return -EINVAL;
        *ret = (int)(h * 60 + m) * (sign == '-' ? -1 : 1);
        return 0;
}

static const char *expected(enum option_type type)
{
        switch (type) {
        case COUNT:
        case SEED:
                return "a whole number";
        case REAL:
                return "a number";
        case PERCENT:
                return "a number from 0 to 100";
        case INSTANT:
                return "a date or an RFC 3339 time with a zone, like 2026-10-01T00:00:00Z";
        case TEXT:
                return "a shorter text";
        case ADDRESS:
                return "HOST:PORT";
        case OFFSET:
                return "an offset like +07:00";
        case FLAG:
                break;
        }
        return "nothing";
}

static int set(struct sim_options *o, const struct option *opt, const char *text)
{
        void *p = (char *)o + opt->at;
        unsigned long long seed;
        char *end;

        switch (opt->type) {
        case FLAG:
                *(bool *)p = true;
                return 0;
        case COUNT:
                return set_count(text, p);
        case REAL:
                return set_real(text, 1e9, p);
        case PERCENT:
                return set_real(text, 100, p);
        case INSTANT:
                return set_instant(text, p);
        case TEXT:
                if (strlen(text) >= opt->size)
                        return -EINVAL;
                strcpy(p, text);
                return 0;
        case ADDRESS:
                return set_address(text, p);
        case OFFSET:
                return set_offset(text, p);
        case SEED:
                seed = strtoull(text, &end, 10);
                if (*text < '0' || *text > '9' || *end)
                        return -EINVAL;
                *(uint64_t *)p = seed;
                return 0;
        }
        return -EINVAL;
}

/* --meters and --mqtt stand for several counts. */
static int set_mix(struct sim_options *o, const char *name, const char *text)
{
        static const unsigned shares[SIM_N_KINDS] = {
                [SIM_DLMS_WRAPPER] = 25, [SIM_DLMS_HDLC] = 20, [SIM_MODBUS] = 15,
                [SIM_MQTT_SENML] = 20,   [SIM_MQTT_FLAT] = 5,  [SIM_COAP] = 15,
        };
        unsigned n, given = 0;

        if (set_count(text, &n))
                return -EINVAL;
        if (!strcmp(name, "--mqtt")) {
                o->count[SIM_MQTT_FLAT] = n / 4;
                o->count[SIM_MQTT_SENML] = n - n / 4;
                return 0;
        }
        for (unsigned i = 0; i < SIM_N_KINDS; i++)
                given += o->count[i] = n * shares[i] / 100;
        o->count[SIM_DLMS_WRAPPER] += n - given;
        return 0;
}

static const struct option *find(const char *name)
{
        for (size_t i = 0; i < N(options); i++)
                if (!strcmp(options[i].name, name))
                        return &options[i];
        return NULL;
}

static bool complain(const char *format, const char *a, const char *b)
{
        fputs("headrace-sim: ", stderr);
        fprintf(stderr, "%s %s %s\n", a, format, b);
        fprintf(stderr, "headrace-sim --help lists the options\n");
        return false;
}

static bool parse_one(struct sim_options *o, char **argv, int argc, int *i)
{
        char name[64];
        const char *equals = strchr(argv[*i], '='), *text = NULL;
        const struct option *opt;
        size_t len = equals ? (size_t)(equals - argv[*i]) : strlen(argv[*i]);
        bool mix;

        if (len >= sizeof name)
                return complain("is no option", argv[*i], "");
        memcpy(name, argv[*i], len);
        name[len] = '\0';
        opt = find(name);
        mix = !strcmp(name, "--meters") || !strcmp(name, "--mqtt");
        if (!opt && !mix)
                return complain("is no option", name, "");
        if (mix || opt->type != FLAG) {
                text = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
                if (!text)
                        return complain("needs a value:", name, mix ? "N" : expected(opt->type));
        }
        if (mix ? set_mix(o, name, text) : set(o, opt, text))
                return complain("wants", name, mix ? "a whole number" : expected(opt->type));
        return true;
}

static bool check(struct sim_options *o)
{
        int64_t clock = o->now != INT64_MIN ? o->now : (int64_t)time(NULL);

        if (o->to == INT64_MIN)
                o->to = clock;
        o->to = o->to / 900 * 900;
        if (o->from == INT64_MIN)
                o->from = o->to - 31 * 86400;
        o->from = o->from / 900 * 900;
        if (o->from >= o->to)
                return complain("must lie before", "--from", "--to");
        if (o->to > clock)
                return complain("lies in the meters' future:", "--to",
                                o->now != INT64_MIN ? "see --now" : "give --now");
        if (o->speed > 0 && o->now == INT64_MIN)
                return complain("needs", "--speed", "--now");
        if (o->count[SIM_MQTT_SENML] + o->count[SIM_MQTT_FLAT] > 0 && !o->broker.port)
                return complain("needs", "an MQTT meter", "--broker HOST:PORT");
        if (o->count[SIM_COAP] > 0 && !o->coap.port)
                return complain("needs", "--coap", "--coap-server HOST:PORT");
        if (o->count[SIM_DLMS_PUSH] > 0 && !o->push.port)
                return complain("needs", "--dlms-push", "--push HOST:PORT");
        if (o->drift_s > 10 * 86400)
                return complain("wants", "--drift-s", "at most ten days");
        for (unsigned k = 0; o->addresses && k < SIM_N_KINDS; k++)
                if (o->count[k] > 65535)
                        return complain("has room for", "--addresses", "65535 meters of a kind");
        if (o->base_port > 65535)
                return complain("wants", "--base-port", "a port");
        if (!o->per_message || !o->inflight || !o->per_connection || !o->coap_sessions)
                return complain("must be at least 1:",
                                "--per-message, --inflight, --meters-per-connection and "
                                "--coap-sessions",
                                "");
        return true;
}

enum sim_parsed sim_options_parse(int argc, char **argv, struct sim_options *ret)
{
        *ret = (struct sim_options){
                .seed = 1,
                .from = INT64_MIN,
                .to = INT64_MIN,
                .now = INT64_MIN,
                .utc_offset_min = 420,
                .host = "127.0.0.1",
                .branch = "HN",
                .per_message = 96,
                .inflight = 20,
                .per_connection = 100,
                .coap_sessions = 64,
                .progress_s = 10,
                .late_ms = 3000,
                .drift_s = 600,
                .prefix = "headrace-sim",
        };
        for (int i = 1; i < argc; i++) {
                if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
                        help();
                        return SIM_EXIT_OK;
                }
                if (!strcmp(argv[i], "--version")) {
                        printf("headrace-sim %s\n", HEADRACE_VERSION);
                        return SIM_EXIT_OK;
                }
                if (!parse_one(ret, argv, argc, &i))
                        return SIM_EXIT_USAGE;
        }
        return check(ret) ? SIM_RUN : SIM_EXIT_USAGE;
}
