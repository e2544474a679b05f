#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "civil.h"
#include "hex.h"
#include "meter.h"
#include "meter_options.h"

enum { MODEL_FILE_MAX = 1 << 20, PORT_DEFAULT = 4059, TIMEOUT_MS = 5000, CONNECT_MS = 10000 };

const char meter_options_help[] =
        "The meter (URL):\n"
        "  tcp://HOST[:PORT]        TCP with the DLMS wrapper (port 4059)\n"
        "  hdlc://HOST[:PORT]       TCP carrying HDLC frames (a modem or converter)\n"
        "  serial:///dev/ttyUSB0    HDLC on a serial line, 9600 8N1\n"
        "  optical:///dev/ttyUSB0   optical head: sign-on at 300 7E1 (IEC 62056-21 mode E), then "
        "HDLC\n"
        "How it is spoken to:\n"
        "  --model NAME|FILE        take the defaults below from a meter model\n"
        "  --client N --server N    client and server SAP (16 and 1)\n"
        "  --physical N             HDLC lower address (0 = none); --address-size 1|2|4\n"
        "  --auth none|lls|md5|sha1|gmac|sha256\n"
        "  --security none|authenticated|encrypted|authenticated-encrypted, --suite 0|1|2\n"
        "  --general                general-glo instead of service-specific ciphering\n"
        "  --no-release             close without RLRQ\n"
        "  --timeout S              for each answer (5); --connect-timeout S (10); --retries N "
        "(2)\n"
        "  --baud N                 of the serial line, or the most the optical head can do\n"
        "  --meter-address TEXT     optical: only the meter with this address; --wake-up: battery\n"
        "                           meters; --insist: HDLC though the meter does not offer it\n"
        "Secrets (never as arguments):\n"
        "  --key-file FILE          lines guek = HEX, gak = HEX, password = TEXT or hex:HEX,\n"
        "                           client_title = HEX, server_title = HEX\n"
        "  HEADRACE_GUEK, HEADRACE_GAK, HEADRACE_PASSWORD in the environment; else they are asked "
        "for\n"
        "  --counter-file FILE      where this tool keeps its invocation counters and its system\n"
        "                           title (~/.local/state/headrace/counters)\n"
        "  --counter OBIS           the meter's own counter, read when ours is refused "
        "(0.0.43.1.0.255)\n"
        "Also:\n"
        "  --record FILE            write every byte with its time, for `headrace replay`\n"
        "  --json, --plain\n"
        "\n"
        "Exit codes: 0 done; 1 something was refused or is missing; 2 wrong usage; 3 no way to "
        "the\n"
        "meter; 4 the meter is silent; 5 the meter refuses us (password, keys); 6 invocation "
        "counter;\n"
        "7 its answer is damaged or against the protocol; 8 it answers, but needs attention.\n";

static int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int complain(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        fputs("headrace: ", stderr);
        vfprintf(stderr, format, ap);
        fputc('\n', stderr);
        va_end(ap);
        return METER_USAGE;
}

static bool number(const char *text, long min, long max, long *ret)
{
        char *end;
        long v;

        errno = 0;
        v = strtol(text, &end, 0);
        if (end == text || *end || errno || v < min || v > max)
                return false;
        *ret = v;
        return true;
}

/* ---- the URL ---- */

/* HOST, HOST:PORT or [ADDRESS]:PORT. */
static int parse_host(struct meter_route *r, const char *s)
{
        const char *end = s + strlen(s), *colon = strrchr(s, ':');
        size_t n;
        long port;

        r->port = PORT_DEFAULT;
        if (*s == '[') {
                end = strchr(s, ']');
                if (!end)
                        return complain("\"%s\": no ] behind the address", r->url);
                colon = end[1] == ':' ? end + 1 : NULL;
                s++;
        } else if (colon) {
                end = colon;
        }
        if (colon && !number(colon + 1, 1, 65535, &port))
                return complain("\"%s\": no port behind the colon", r->url);
        if (colon)
                r->port = (uint16_t)port;
        n = (size_t)(end - s);
        if (n == 0 || n >= sizeof r->host)
                return complain("\"%s\" names no host", r->url);
        memcpy(r->host, s, n);
        r->host[n] = 0;
        return 0;
}

static int parse_url(struct meter_options *o, const char *url)
{
        struct meter_route *r = &o->route;
        const char *rest = strstr(url, "://");
        size_t n = rest ? (size_t)(rest - url) : 0;

        if (!rest || strlen(url) >= sizeof r->url)
                return complain("\"%.60s\" is no meter's address: tcp://HOST:PORT, "
                                "hdlc://HOST:PORT, serial:///dev/ttyUSB0 or optical:///dev/ttyUSB0",
                                url);
        snprintf(r->url, sizeof r->url, "%s", url);
        rest += 3;
        r->optical = n == 7 && strncmp(url, "optical", n) == 0;
        r->serial = r->optical || (n == 6 && strncmp(url, "serial", n) == 0);
        o->framing = DLMS_FRAMING_HDLC;
        if (r->serial) {
                if (*rest != '/' || strlen(rest) >= sizeof r->host)
                        return complain("\"%s\": the path of a serial line begins with /", url);
                snprintf(r->host, sizeof r->host, "%s", rest);
                return 0;
        }
        if (n == 3 && strncmp(url, "tcp", n) == 0)
                o->framing = DLMS_FRAMING_WRAPPER;
        else if (n != 4 || strncmp(url, "hdlc", n) != 0)
                return complain("\"%s\": %.*s is none of tcp, hdlc, serial, optical", url, (int)n,
                                url);
        return parse_host(r, rest);
}

/* ---- the model ---- */

static char *read_all(const char *path)
{
        FILE *f = fopen(path, "rb");
        char *p = f ? malloc(MODEL_FILE_MAX + 1) : NULL;

        if (p)
                p[fread(p, 1, MODEL_FILE_MAX, f)] = 0;
        if (f)
                fclose(f);
        return p;
}

static int take_model(struct meter_options *o, const char *name)
{
        const struct model_file *builtin = model_builtin();
        char why[256], *text = NULL;
        int r;

        while (builtin->name && strcmp(builtin->name, name) != 0)
                builtin++;
        if (!builtin->name) {
                text = read_all(name);
                if (!text)
                        return complain("--model %s: no built-in model has this name, and as a "
                                        "file: %s",
                                        name, strerror(errno));
        }
        r = model_parse(&o->model, text ? text : builtin->json, why, sizeof why);
        free(text);
        if (r)
                return complain("--model %s: %s", name, r == -ENOMEM ? "out of memory" : why);
        if (o->model->protocol != METER_DLMS)
                return complain("--model %s is no DLMS meter", name);
        o->client_sap = o->model->client_sap;
        o->server_sap = o->model->server_sap;
        o->auth = o->model->auth;
        o->policy = o->model->policy;
        o->suite = o->model->suite;
        o->clock = o->model->clock;
        if (o->model->has_counter)
                o->counter = o->model->counter;
        return 0;
}

/* ---- single options ---- */

static int take_auth(struct meter_options *o, const char *v)
{
        static const struct {
                const char *word;
                enum dlms_auth auth;
        } words[] = { { "none", DLMS_AUTH_NONE },   { "lls", DLMS_AUTH_LLS },
                      { "md5", DLMS_AUTH_HLS_MD5 }, { "sha1", DLMS_AUTH_HLS_SHA1 },
                      { "gmac", DLMS_AUTH_GMAC },   { "sha256", DLMS_AUTH_HLS_SHA256 } };

        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (strcmp(words[i].word, v) == 0) {
                        o->auth = words[i].auth;
                        return 0;
                }
        return complain("--auth %s is none of none, lls, md5, sha1, gmac, sha256", v);
}

static int take_policy(struct meter_options *o, const char *v)
{
        for (unsigned i = 0; i < 4; i++) {
                enum dlms_policy p = (enum dlms_policy)(i << 4);

                if (strcmp(meter_policy_text(p), v) == 0) {
                        o->policy = p;
                        return 0;
                }
        }
        return complain("--security %s is none of none, authenticated, encrypted, "
                        "authenticated-encrypted",
                        v);
}

static int take_time(const char *name, const char *v, int64_t *ret)
{
        int64_t day;

        if (civil_parse_date(v, &day) == 0) {
                *ret = day * 86400;
                return 0;
        }
        if (civil_parse(v, ret, NULL) == 0)
                return 0;
        return complain("%s \"%s\" is neither a date nor a time with a zone, like "
                        "2026-10-01T00:00:00Z",
                        name, v);
}

/* CLASS:OBIS:ATTRIBUTE, OBIS:ATTRIBUTE or OBIS. */
static int take_object(struct meter_options *o, const char *v)
{
        struct meter_item *item = &o->items[o->n_items];
        char copy[80], *first, *second;
        long class_id = 0, attribute = 2;

        if (o->n_items == METER_LIST_MAX)
                return complain("more than %d objects", METER_LIST_MAX);
        if (strlen(v) >= sizeof copy)
                return complain("--obis %.40s... is too long", v);
        strcpy(copy, v);
        first = copy;
        second = strrchr(copy, '/');
        if (second) {
                *second++ = 0;
                if (!number(second, -128, 127, &attribute))
                        return complain("--obis %s: the attribute behind / is a number", v);
        }
        second = strchr(copy, '@');
        if (second) {
                *second++ = 0;
                if (!number(second, 1, 65535, &class_id))
                        return complain("--obis %s: the class behind @ is a number", v);
        }
        if (obis_parse(first, &item->attr.obis))
                return complain("--obis %s: write OBIS, OBIS/ATTRIBUTE or OBIS@CLASS/ATTRIBUTE, "
                                "like 1.0.1.8.0.255 or 0.0.42.0.0.255@1/2",
                                v);
        item->attr.class_id = (uint16_t)class_id;
        item->attr.id = (int8_t)attribute;
        o->n_items++;
        return 0;
}

/* "1,16,32-34" */
static int take_numbers(const char *name, const char *v, long max, struct meter_numbers *ret)
{
        const char *s = v;

        ret->n = 0;
        while (*s) {
                char *end;
                long from = strtol(s, &end, 0), to = from;

                if (end != s && *end == '-') {
                        s = end + 1;
                        to = strtol(s, &end, 0);
                }
                if (end == s || (*end && *end != ',') || from < 0 || to < from || to > max ||
                    (size_t)(to - from) >= METER_LIST_MAX - ret->n)
                        return complain("%s %s: numbers and ranges from 0 to %ld, at most %d, "
                                        "like 1,16,100-110",
                                        name, v, max, METER_LIST_MAX);
                while (from <= to)
                        ret->value[ret->n++] = (uint16_t)from++;
                s = *end ? end + 1 : end;
        }
        return ret->n ? 0 : complain("%s needs at least one number", name);
}

enum kind { FLAG, TEXT, NUMBER, MILLISECONDS, OBIS_CODE, OTHER };

/* What can be taken only once the rest is known. */
struct late {
        const char *key_file;
};

struct option {
        const char *name;
        enum kind kind;
        size_t at, size;
        long min, max;
};

#define AT(f) offsetof(struct meter_options, f), sizeof(((struct meter_options *)0)->f)

static const struct option options[] = {
        { "--client", NUMBER, AT(client_sap), 1, 65535 },
        { "--server", NUMBER, AT(server_sap), 0, 65535 },
        { "--physical", NUMBER, AT(physical), 0, 16383 },
        { "--address-size", NUMBER, AT(address_size), 1, 4 },
        { "--suite", NUMBER, AT(suite), 0, 2 },
        { "--retries", NUMBER, AT(retries), 0, 20 },
        { "--baud", NUMBER, AT(route.line.baud), 300, 921600 },
        { "--timeout", MILLISECONDS, AT(timeout_ms), 1, 600 },
        { "--connect-timeout", MILLISECONDS, AT(connect_ms), 1, 600 },
        { "--general", FLAG, AT(general), 0, 0 },
        { "--no-release", FLAG, AT(no_release), 0, 0 },
        { "--wake-up", FLAG, AT(route.mode_e.wake_up), 0, 0 },
        { "--insist", FLAG, AT(route.mode_e.insist), 0, 0 },
        { "--trace", FLAG, AT(trace), 0, 0 },
        { "--no-objects", FLAG, AT(no_objects), 0, 0 },
        { "--meter-address", TEXT, AT(route.mode_e.address), 0, 0 },
        { "--counter-file", TEXT, AT(counter_file), 0, 0 },
        { "--counter", OBIS_CODE, AT(counter), 0, 0 },
        { "--clock", OBIS_CODE, AT(clock), 0, 0 },
        { "--auth", OTHER, 0, 0, 0, 0 },
        { "--security", OTHER, 0, 0, 0, 0 },
        { "--model", OTHER, 0, 0, 0, 0 },
        { "--key-file", OTHER, 0, 0, 0, 0 },
        { "--obis", OTHER, 0, 0, 0, 0 },
        { "--profile", OTHER, 0, 0, 0, 0 },
        { "--from", OTHER, 0, 0, 0, 0 },
        { "--to", OTHER, 0, 0, 0, 0 },
        { "--record", OTHER, 0, 0, 0, 0 },
        { "--clients", OTHER, 0, 0, 0, 0 },
        { "--servers", OTHER, 0, 0, 0, 0 },
        { "--physicals", OTHER, 0, 0, 0, 0 },
};

static int store_number(struct meter_options *o, const struct option *opt, const char *v)
{
        char *p = (char *)o + opt->at;
        long n;

        if (!number(v, opt->min, opt->max, &n))
                return complain("%s %s is no number from %ld to %ld", opt->name, v, opt->min,
                                opt->max);
        if (opt->kind == MILLISECONDS)
                n *= 1000;
        if (opt->size == 1)
                *(uint8_t *)p = (uint8_t)n;
        else if (opt->size == 2)
                memcpy(p, &(uint16_t){ (uint16_t)n }, 2);
        else
                memcpy(p, &(uint32_t){ (uint32_t)n }, 4);
        return 0;
}

static int take_other(struct meter_options *o, const struct option *opt, const char *v,
                      struct late *late)
{
        const char *name = opt->name;

        if (strcmp(name, "--auth") == 0)
                return take_auth(o, v);
        if (strcmp(name, "--security") == 0)
                return take_policy(o, v);
        if (strcmp(name, "--obis") == 0)
                return take_object(o, v);
        if (strcmp(name, "--from") == 0 || strcmp(name, "--to") == 0) {
                o->has_range = true;
                return take_time(name, v, name[2] == 'f' ? &o->from : &o->to);
        }
        if (strcmp(name, "--clients") == 0)
                return take_numbers(name, v, 127, &o->clients);
        if (strcmp(name, "--servers") == 0)
                return take_numbers(name, v, 16383, &o->servers);
        if (strcmp(name, "--physicals") == 0)
                return take_numbers(name, v, 16383, &o->physicals);
        if (strcmp(name, "--key-file") == 0) {
                late->key_file = v;
        } else if (strcmp(name, "--record") == 0) {
                o->record = v;
        } else if (strcmp(name, "--profile") == 0) {
                o->has_profile = true;
                if (obis_parse(v, &o->profile))
                        return complain("--profile %s is no OBIS code (like 1.0.99.1.0.255)", v);
        }
        return 0;
}

static int take_option(struct meter_options *o, const struct option *opt, const char *v,
                       struct late *late)
{
        char *p = (char *)o + opt->at;

        switch (opt->kind) {
        case FLAG:
                *(bool *)p = true;
                return 0;
        case TEXT:
                if (strlen(v) >= opt->size)
                        return complain("%s: longer than %zu characters", opt->name, opt->size - 1);
                strcpy(p, v);
                return 0;
        case NUMBER:
        case MILLISECONDS:
                return store_number(o, opt, v);
        case OBIS_CODE:
                return obis_parse(v, (struct obis *)(void *)p)
                               ? complain("%s %s is no OBIS code", opt->name, v)
                               : 0;
        case OTHER:
                break;
        }
        return take_other(o, opt, v, late);
}

static const struct option *find(const char *name)
{
        for (size_t i = 0; i < sizeof options / sizeof *options; i++)
                if (strcmp(options[i].name, name) == 0)
                        return &options[i];
        return NULL;
}

/* One pass over the words; the model, which sets what the others change, was taken before. */
static int take_words(struct meter_options *o, enum meter_wants wants, int argc, char **argv,
                      struct late *late)
{
        int r = 0;

        for (int i = 1; i < argc && r == 0; i++) {
                const struct option *opt = find(argv[i]);

                if (opt && opt->kind != FLAG && i + 1 == argc)
                        return complain("%s needs a value", argv[i]);
                if (opt) {
                        const char *v = opt->kind == FLAG ? NULL : argv[++i];

                        r = take_option(o, opt, v, late);
                } else if (argv[i][0] == '-') {
                        r = complain("%s is no option of `headrace %s`; --help lists them", argv[i],
                                     argv[0]);
                } else if (wants == METER_WANTS_FILE && !o->file) {
                        o->file = argv[i];
                } else if (wants == METER_WANTS_URL && !o->route.url[0]) {
                        r = parse_url(o, argv[i]);
                } else {
                        r = complain("what is \"%s\" for?", argv[i]);
                }
        }
        return r;
}

static void set_defaults(struct meter_options *o, const struct cli_options *cli)
{
        const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

        *o = (struct meter_options){ .cli = cli,
                                     .client_sap = 16,
                                     .server_sap = 1,
                                     .timeout_ms = TIMEOUT_MS,
                                     .connect_ms = CONNECT_MS,
                                     .retries = 2,
                                     .clock = OBIS(0, 0, 1, 0, 0, 255),
                                     .counter = OBIS(0, 0, 43, 1, 0, 255),
                                     .profile = OBIS(1, 0, 99, 1, 0, 255) };
        o->to = (int64_t)time(NULL);
        o->from = o->to - 86400;
        if (state && *state)
                snprintf(o->counter_file, sizeof o->counter_file, "%s/headrace/counters", state);
        else
                snprintf(o->counter_file, sizeof o->counter_file,
                         "%s/.local/state/headrace/counters", home ? home : "/var/tmp");
}

static int check(struct meter_options *o, enum meter_wants wants)
{
        struct meter_route *r = &o->route;

        if (wants == METER_WANTS_FILE)
                return o->file ? 0 : complain("which recording? Give its file");
        if (!r->url[0])
                return complain("which meter? Give its address, like tcp://192.0.2.10:4059");
        if (o->address_size == 3)
                return complain("--address-size is 1, 2 or 4");
        if (o->from >= o->to)
                return complain("--from does not lie before --to");
        if (o->policy != DLMS_POLICY_NONE && o->auth == DLMS_AUTH_NONE && o->client_sap == 16)
                return complain("the public client (16) cannot be ciphered: give --client and "
                                "--auth");
        /* A model knows what a bare TCP port carries. */
        if (strncmp(r->url, "tcp:", 4) == 0 && o->model && !o->model->push_only)
                o->framing = o->model->framing;
        if (r->optical) {
                r->mode_e.max_baud = r->line.baud;
                r->line = (struct line_settings){ MODE_E_START_BAUD, LINE_7E1 };
        } else if (r->serial && !r->line.baud) {
                r->line.baud = 9600;
        }
        return 0;
}

int meter_options_parse(struct meter_options *ret, const struct cli_options *cli,
                        enum meter_wants wants, const char *usage, int argc, char **argv)
{
        struct late late = { 0 };
        int r = 0;

        set_defaults(ret, cli);
        for (int i = 1; i < argc; i++)
                if (strcmp(argv[i], "--help") == 0) {
                        printf("%s\n%s", usage, meter_options_help);
                        return -1;
                }
        for (int i = 1; i + 1 < argc && r == 0; i++)
                if (strcmp(argv[i], "--model") == 0 && !ret->model)
                        r = take_model(ret, argv[i + 1]);
        if (!r)
                r = take_words(ret, wants, argc, argv, &late);
        if (!r && late.key_file)
                r = meter_secrets_file(ret, late.key_file);
        if (!r)
                r = meter_secrets_environment(ret);
        if (!r)
                r = check(ret, wants);
        if (!r && wants == METER_WANTS_URL)
                r = meter_secrets_complete(ret);
        if (r)
                meter_options_deinit(ret);
        return r;
}

void meter_options_deinit(struct meter_options *o)
{
        secret_wipe(&o->guek);
        secret_wipe(&o->gak);
        secret_wipe(&o->password);
        free(o->model);
        o->model = NULL;
}

bool meter_options_ciphered(const struct meter_options *o)
{
        return o->policy != DLMS_POLICY_NONE || o->auth == DLMS_AUTH_GMAC;
}

const char *meter_auth_text(enum dlms_auth auth)
{
        static const char *const texts[] = { "no authentication",
                                             "low-level security (password)",
                                             "HLS 2",
                                             "HLS 3 (MD5)",
                                             "HLS 4 (SHA-1)",
                                             "HLS 5 (GMAC)",
                                             "HLS 6 (SHA-256)",
                                             "HLS 7 (ECDSA)" };

        return (unsigned)auth < sizeof texts / sizeof *texts ? texts[auth] : "an unknown mechanism";
}

const char *meter_policy_text(enum dlms_policy policy)
{
        static const char *const texts[] = { "none", "authenticated", "encrypted",
                                             "authenticated-encrypted" };

        return texts[policy >> 4 & 3];
}
