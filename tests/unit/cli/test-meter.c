/* What the technician's commands put together without a meter: words, traces, recordings, counters,
 * options. */
#include "hr_test.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hex.h"
#include "meter.h"
#include "meter_counter.h"
#include "meter_names.h"
#include "meter_options.h"
#include "meter_record.h"
#include "meter_trace.h"

static char folder[] = "/tmp/hr-test-meter.XXXXXX";

static const char *in_folder(const char *name)
{
        static char path[256];

        snprintf(path, sizeof path, "%s/%s", folder, name);
        return path;
}

static void test_names(void)
{
        static const struct {
                const char *obis, *name;
        } cases[] = {
                { "1.0.1.8.0.255", "active import energy, total" },
                { "1.0.2.8.2.255", "active export energy, tariff 2" },
                { "1.0.32.7.0.255", "voltage L1 now" },
                { "1.0.71.7.0.255", "current L3 now" },
                { "1.0.1.6.0.255", "active import maximum demand" },
                { "1.0.1.8.0.1", "active import energy, total, billing period 1 ago" },
                { "1.0.99.1.0.255", "load profile" },
                { "0.0.1.0.0.255", "clock" },
                { "0.0.43.1.3.255", "invocation counter" },
                { "0.1.24.1.0.255", "M-Bus client" },
                { "7.0.3.0.0.255", "gas meter reading" },
                { "1.0.200.8.0.255", "" },
                { "9.9.9.9.9.9", "hot water" },
                { "200.0.0.0.0.255", "" },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct buf b = BUF_INIT;
                struct obis o;

                CU_ASSERT_EQUAL(obis_parse(cases[i].obis, &o), 0);
                meter_name_obis(&b, &o);
                CU_ASSERT_STRING_EQUAL(buf_cstr(&b), cases[i].name);
                buf_deinit(&b);
        }
        /* Every code there can be has words or none, and nothing breaks. */
        for (unsigned c = 0; c < 256; c++)
                for (unsigned d = 0; d < 256; d++) {
                        struct obis o = OBIS(1, 0, (uint8_t)c, (uint8_t)d, 0, 255);
                        struct buf b = BUF_INIT;

                        meter_name_obis(&b, &o);
                        buf_deinit(&b);
                }
        CU_ASSERT_STRING_EQUAL(meter_name_class(70), "disconnect control");
        CU_ASSERT_PTR_NULL(meter_name_class(9999));
        CU_ASSERT_STRING_EQUAL(meter_name_attribute(7, 3), "capture objects");
        CU_ASSERT_PTR_NULL(meter_name_attribute(7, 99));
        CU_ASSERT_PTR_NULL(meter_name_attribute(3, -1));
        CU_ASSERT_STRING_EQUAL(meter_name_method(70, 1), "disconnect");
        CU_ASSERT_PTR_NULL(meter_name_method(70, 7));
}

static void test_scaled(void)
{
        static const struct {
                int64_t value;
                int scaler;
                unsigned unit;
                const char *text;
        } cases[] = {
                { 1234, 0, 30, "1234 Wh" },
                { 1234, -3, 30, "1.234 Wh" },
                { 5, -3, 35, "0.005 V" },
                { -5, -2, 0, "-0.05" },
                { 12, 3, 30, "12000 Wh" },
                { 0, 3, 30, "0 Wh" },
                { 0, -2, 33, "0.00 A" },
                { INT64_MIN, 0, 255, "-9223372036854775808" },
                { 1, -18, 0, "0.000000000000000001" },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct buf b = BUF_INIT;

                meter_say_scaled(&b, cases[i].value, cases[i].scaler, cases[i].unit);
                CU_ASSERT_STRING_EQUAL(buf_cstr(&b), cases[i].text);
                buf_deinit(&b);
        }
}

static void test_values(void)
{
        static const struct {
                const char *hex, *text;
        } cases[] = {
                { "0600000017", "23" },
                { "090C07E60A01060C000000FF880000", "2022-10-01 12:00:00 (UTC+2:00)" },
                { "09060100010800FF", "1.0.1.8.0.255" },
                { "0A03414243", "\"ABC\"" },
                { "0202 0F FE 16 1E", "{-2, 30}" },
                { "0105 1101 1102 1103 1104 1105", "5 of [1, 2, 3, ...]" },
                { "0301", "yes" },
                { "00", "nothing" },
                { "FF", "type 255" },
                { "0203 1105 00 FF", "{5, nothing, type 255}" },
                { "0405F8", "bits 11111" },
                { "0202 11", "(damaged)" },
                { "", "(damaged)" },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct buf b = BUF_INIT;
                uint8_t in[64];
                ssize_t n = hex_decode(cases[i].hex, strlen(cases[i].hex), in, sizeof in);
                uint8_t *copy = malloc((size_t)n + !n);

                memcpy(copy, in, (size_t)n);
                meter_say_value(&b, copy, (size_t)n, 3);
                CU_ASSERT(strncmp(buf_cstr(&b), cases[i].text, strlen(cases[i].text)) == 0);
                if (strncmp(buf_cstr(&b), cases[i].text, strlen(cases[i].text)) != 0)
                        printf("%s: %s\n", cases[i].hex, buf_cstr(&b));
                free(copy);
                buf_deinit(&b);
        }
}

/* ---- traces ---- */

struct traced {
        struct meter_trace *t;
        char *text;
        size_t n;
        FILE *f;
};

static void trace_begin(struct traced *d, bool json, const char *secret)
{
        struct meter_trace_config c = { .json = json,
                                        .secret = (const uint8_t *)secret,
                                        .secret_len = secret ? strlen(secret) : 0 };

        d->text = NULL;
        d->f = open_memstream(&d->text, &d->n);
        c.out = d->f;
        d->t = meter_trace_new(&c);
        CU_ASSERT_PTR_NOT_NULL_FATAL(d->t);
}

static void trace_hex(struct traced *d, bool out, const char *hex, size_t piece)
{
        uint8_t bytes[512];
        ssize_t n = hex_decode(hex, strlen(hex), bytes, sizeof bytes);

        CU_ASSERT_FATAL(n > 0);
        for (size_t at = 0; at < (size_t)n; at += piece) {
                size_t take = (size_t)n - at < piece ? (size_t)n - at : piece;
                uint8_t *copy = malloc(take);

                memcpy(copy, bytes + at, take);
                meter_trace_bytes(d->t, 1500, out, copy, take);
                free(copy);
        }
}

static void trace_end(struct traced *d)
{
        meter_trace_end(d->t, 2000);
        fflush(d->f);
}

static void trace_free(struct traced *d)
{
        meter_trace_free(d->t);
        fclose(d->f);
        free(d->text);
}

static void test_trace_wrapper(void)
{
        for (size_t piece = 1; piece < 40; piece += 12) {
                struct traced d;

                trace_begin(&d, false, NULL);
                meter_trace_phase(d.t, 0, METER_PHASE_WRAPPER);
                trace_hex(&d, true, "000100100001000D C001C100030100010800FF0200", piece);
                trace_hex(&d, false, "0001000100100009 C401C10006 00D9E888", piece);
                trace_hex(&d, false, "0001000100100004 C401C101 03", piece);
                trace_end(&d);
                CU_ASSERT_PTR_NOT_NULL(
                        strstr(d.text, "GET 1.0.1.8.0.255 active import energy, total: value"));
                CU_ASSERT_PTR_NOT_NULL(strstr(d.text, "= 14280840"));
                CU_ASSERT_PTR_NOT_NULL(strstr(d.text, "1.500 > 00 01 00 10"));
                trace_free(&d);
        }
}

static void test_trace_hdlc(void)
{
        struct traced d;

        trace_begin(&d, false, NULL);
        meter_trace_phase(d.t, 0, METER_PHASE_HDLC);
        trace_hex(&d, true, "7EA007030353 80F67E", 1);
        /* DISC with its own check sequence, then UA. */
        trace_hex(&d, true, "7EA00703035380D77E", 3);
        trace_hex(&d, false, "0102 7EA00703037382F67E", 4);
        trace_hex(&d, false, "7EA007", 4);
        trace_end(&d);
        CU_ASSERT_PTR_NOT_NULL(strstr(d.text, "damaged frame"));
        CU_ASSERT_PTR_NOT_NULL(strstr(d.text, "DISC: link ends"));
        CU_ASSERT_PTR_NOT_NULL(strstr(d.text, "UA: agreed"));
        CU_ASSERT_PTR_NOT_NULL(strstr(d.text, "noise"));
        CU_ASSERT_PTR_NOT_NULL(strstr(d.text, "the rest never came"));
        CU_ASSERT_EQUAL(meter_trace_damaged(d.t), 3);
        trace_free(&d);
}

static void test_trace_hides_password(void)
{
        static const char aarq[] =
                "0001000100010038 6036A1090607608574050801018A0207808B07608574"
                "05080201AC0A8008 7365637265743939 BE10040E01000000065F1F040000521F"
                "0800";

        for (int json = 0; json < 2; json++) {
                struct traced d;

                trace_begin(&d, json, "secret99");
                meter_trace_phase(d.t, 0, METER_PHASE_WRAPPER);
                trace_hex(&d, true, aarq, 64);
                trace_end(&d);
                CU_ASSERT_PTR_NOT_NULL(strstr(d.text, "low-level"));
                CU_ASSERT_PTR_NULL(strstr(d.text, "73 65 63"));
                CU_ASSERT_PTR_NULL(strstr(d.text, "736563"));
                CU_ASSERT_PTR_NOT_NULL(strstr(d.text, json ? "****************" : "** ** **"));
                trace_free(&d);
        }
}

static void test_record(void)
{
        static const uint8_t bytes[] = { 0, 1, 0, 1, 0, 16, 0, 5, 0xC4, 1, 0xC1, 1, 4 };
        const char *path = in_folder("record.jsonl");
        struct meter_record *r;
        struct traced d;
        struct stat st;
        char why[300];
        FILE *f;

        CU_ASSERT_EQUAL_FATAL(meter_record_open(&r, path, "tcp://a\"b"), 0);
        meter_record_phase(r, 1, METER_PHASE_WRAPPER);
        meter_record_bytes(r, 2, false, bytes, 7);
        meter_record_bytes(r, 3, false, bytes + 7, sizeof bytes - 7);
        CU_ASSERT_EQUAL(meter_record_close(r), 0);
        CU_ASSERT(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
        trace_begin(&d, false, NULL);
        CU_ASSERT_EQUAL(meter_record_play(path, d.t, why, sizeof why), 0);
        trace_end(&d);
        CU_ASSERT_PTR_NOT_NULL(strstr(d.text, "refused: object undefined"));
        CU_ASSERT_PTR_NOT_NULL(strstr(d.text, "0.003 <"));
        CU_ASSERT_EQUAL(meter_trace_damaged(d.t), 0);
        trace_free(&d);

        static const char *const wrong[] = {
                "",
                "{}\n",
                "{\"headrace_recording\":2}\n",
                "{\"headrace_recording\":1}\nno\n",
                "{\"headrace_recording\":1}\n{\"phase\":\"tcp\"}\n",
                "{\"headrace_recording\":1}\n{\"at_ms\":1,\"dir\":\"in\",\"hex\":\"00\"}\n",
                "{\"headrace_recording\":1}\n{\"phase\":\"hdlc\"}\n{\"dir\":\"up\",\"hex\":\"00\"}"
                "\n",
                "{\"headrace_recording\":1}\n{\"phase\":\"hdlc\"}\n{\"dir\":\"in\",\"hex\":\"0\"}"
                "\n",
        };

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                f = fopen(path, "w");
                fputs(wrong[i], f);
                fclose(f);
                trace_begin(&d, false, NULL);
                CU_ASSERT_EQUAL(meter_record_play(path, d.t, why, sizeof why), -EBADMSG);
                CU_ASSERT_PTR_NOT_NULL(strstr(why, "line "));
                trace_free(&d);
        }
        trace_begin(&d, false, NULL);
        CU_ASSERT_EQUAL(meter_record_play("/nonexistent", d.t, why, sizeof why), -ENOENT);
        trace_free(&d);
}

/* ---- counters ---- */

static void test_counter(void)
{
        static const uint8_t key[16] = { 1 }, other[16] = { 2 };
        char path[256], text[4096];
        uint8_t title[8], again[8];
        uint64_t first, second, third;
        size_t n;
        FILE *f;

        snprintf(path, sizeof path, "%s", in_folder("deep/down/counters"));
        CU_ASSERT_EQUAL(meter_counter_title(path, title), 0);
        CU_ASSERT_EQUAL(meter_counter_title(path, again), 0);
        CU_ASSERT(memcmp(title, again, 8) == 0 && memcmp(title, "HRT", 3) == 0);
        CU_ASSERT_EQUAL(meter_counter_reserve(path, key, 16, title, 0, &first), 0);
        CU_ASSERT(first > 100000000);
        CU_ASSERT_EQUAL(meter_counter_reserve(path, key, 16, title, 0, &second), 0);
        CU_ASSERT_EQUAL(second, first + METER_COUNTER_SESSION);
        /* A meter that is ahead; then never below that. */
        CU_ASSERT_EQUAL(meter_counter_reserve(path, key, 16, title, 3000000000u, &third), 0);
        CU_ASSERT_EQUAL(third, 3000000000u);
        CU_ASSERT_EQUAL(meter_counter_reserve(path, key, 16, title, 7, &third), 0);
        CU_ASSERT_EQUAL(third, 3000000000u + METER_COUNTER_SESSION);
        CU_ASSERT_EQUAL(meter_counter_reserve(path, other, 16, title, 0, &third), 0);
        CU_ASSERT(third < 3000000000u);
        CU_ASSERT_EQUAL(meter_counter_reserve(path, key, 16, title, UINT32_MAX - 100, &third),
                        -EOVERFLOW);
        /* The key is not in the file. */
        f = fopen(path, "r");
        n = fread(text, 1, sizeof text - 1, f);
        text[n] = 0;
        fclose(f);
        CU_ASSERT_PTR_NULL(strstr(text, "0100000000"));
        f = fopen(path, "w");
        fputs("something else\n", f);
        fclose(f);
        CU_ASSERT_EQUAL(meter_counter_reserve(path, key, 16, title, 0, &third), -EBADMSG);
        CU_ASSERT_EQUAL(meter_counter_reserve("/proc/no/such", key, 16, title, 0, &third), -ENOENT);
}

/* Several tools at once: no number twice. */
static void test_counter_race(void)
{
        static const uint8_t key[16] = { 9 }, title[8] = { 'H' };
        uint64_t seen[40], first;
        char path[256];
        int pipes[2];
        size_t n = 0;

        snprintf(path, sizeof path, "%s", in_folder("race"));
        CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
        for (int i = 0; i < 4; i++)
                if (fork() == 0) {
                        for (int k = 0; k < 10; k++) {
                                uint64_t mine = 0;

                                if (meter_counter_reserve(path, key, 16, title, 0, &mine))
                                        mine = 0;
                                if (write(pipes[1], &mine, sizeof mine) != sizeof mine)
                                        _exit(1);
                        }
                        _exit(0);
                }
        close(pipes[1]);
        while (n < 40 && read(pipes[0], &first, sizeof first) == sizeof first) {
                CU_ASSERT(first > 0);
                for (size_t i = 0; i < n; i++)
                        CU_ASSERT(seen[i] + METER_COUNTER_SESSION <= first ||
                                  first + METER_COUNTER_SESSION <= seen[i]);
                seen[n++] = first;
        }
        CU_ASSERT_EQUAL(n, 40);
        close(pipes[0]);
        while (wait(NULL) > 0)
                ;
}

/* ---- options ---- */

static int parse(struct meter_options *o, const char *line)
{
        static struct cli_options cli = { .no_input = true };
        static char copy[512];
        char *argv[32], *save = copy;
        int argc = 0;

        snprintf(copy, sizeof copy, "%s", line);
        for (char *w; argc < 31 && (w = strsep(&save, " "));)
                argv[argc++] = w;
        return meter_options_parse(o, &cli, METER_WANTS_URL, "usage", argc, argv);
}

static void test_options(void)
{
        struct meter_options o;

        CU_ASSERT_EQUAL(parse(&o, "read tcp://10.0.0.1"), 0);
        CU_ASSERT(o.framing == DLMS_FRAMING_WRAPPER && o.route.port == 4059 && !o.route.serial);
        CU_ASSERT_STRING_EQUAL(o.route.host, "10.0.0.1");
        meter_options_deinit(&o);
        CU_ASSERT_EQUAL(parse(&o, "read hdlc://[::1]:7000 --physical 17 --client 32"), 0);
        CU_ASSERT(o.framing == DLMS_FRAMING_HDLC && o.route.port == 7000 && o.physical == 17 &&
                  o.client_sap == 32);
        CU_ASSERT_STRING_EQUAL(o.route.host, "::1");
        meter_options_deinit(&o);
        CU_ASSERT_EQUAL(parse(&o, "read serial:///dev/ttyS0 --baud 4800"), 0);
        CU_ASSERT(o.route.serial && o.route.line.baud == 4800 && o.route.line.format == LINE_8N1);
        meter_options_deinit(&o);
        CU_ASSERT_EQUAL(parse(&o, "read optical:///dev/ttyS0 --baud 4800 --meter-address 123"), 0);
        CU_ASSERT(o.route.optical && o.route.line.baud == 300 && o.route.line.format == LINE_7E1 &&
                  o.route.mode_e.max_baud == 4800);
        meter_options_deinit(&o);
        CU_ASSERT_EQUAL(parse(&o, "read tcp://x --obis 0.0.42.0.0.255@1/2 --obis 1-0:1.8.0/3"), 0);
        CU_ASSERT(o.n_items == 2 && o.items[0].attr.class_id == 1 && o.items[1].attr.id == 3 &&
                  o.items[1].attr.class_id == 0);
        meter_options_deinit(&o);
        CU_ASSERT_EQUAL(parse(&o, "scan tcp://x --clients 1,16-18"), 0);
        CU_ASSERT(o.clients.n == 4 && o.clients.value[3] == 18);
        meter_options_deinit(&o);

        static const char *const wrong[] = {
                "read",
                "read tcp://",
                "read tcp://x:0",
                "read tcp://x:70000",
                "read ftp://x",
                "read x",
                "read serial://dev",
                "read tcp://[::1",
                "read tcp://x y",
                "read tcp://x --client 0",
                "read tcp://x --client",
                "read tcp://x --auth best",
                "read tcp://x --security some",
                "read tcp://x --suite 3",
                "read tcp://x --obis 1.2",
                "read tcp://x --obis 1.0.1.8.0.255/x",
                "read tcp://x --from yesterday",
                "read tcp://x --from 2026-02-01 --to 2026-01-01",
                "read tcp://x --address-size 3",
                "read tcp://x --clients 5-3",
                "read tcp://x --clients 0-127",
                "read tcp://x --baud 1",
                "read tcp://x --model NOSUCH",
                "read tcp://x --model EASTRON-SDM630",
                "read tcp://x --auth lls",
                "read tcp://x --auth gmac --client 1",
                "read tcp://x --security encrypted",
                "read tcp://x --key-file /nonexistent",
                "read tcp://x --nonsense",
                "read tcp://x --profile 99",
        };

        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                int r = parse(&o, wrong[i]);

                CU_ASSERT_EQUAL(r, METER_USAGE);
                if (r != METER_USAGE)
                        printf("%s: %d\n", wrong[i], r);
        }
}

static void test_key_file(void)
{
        char path[256], line[600];
        struct meter_options o;
        FILE *f;

        snprintf(path, sizeof path, "%s", in_folder("keys"));
        f = fopen(path, "w");
        fputs("# comment\n\n guek = 000102030405060708090A0B0C0D0E0F "
              "\nGAK=D0D1D2D3D4D5D6D7D8D9DADBDCDD"
              "DEDF\npassword = hex:00FF\nserver_title = 4D4D4D0000BC614E\n",
              f);
        fclose(f);
        chmod(path, 0600);
        snprintf(line, sizeof line,
                 "read tcp://x --client 1 --auth gmac --security authenticated-encrypted "
                 "--key-file %s",
                 path);
        CU_ASSERT_EQUAL(parse(&o, line), 0);
        CU_ASSERT(o.guek.len == 16 && o.guek.bytes[15] == 0x0F && o.gak.bytes[0] == 0xD0);
        CU_ASSERT(o.password.len == 2 && o.has_server_title && o.server_title[7] == 0x4E);
        meter_options_deinit(&o);
        CU_ASSERT_EQUAL(o.guek.len, 0);
        /* A key of suite 0 is too short for suite 2. */
        strcat(line, " --suite 2");
        CU_ASSERT_EQUAL(parse(&o, line), METER_USAGE);
}

static void clean_up(void)
{
        char command[128];

        snprintf(command, sizeof command, "rm -rf %s", folder);
        if (system(command))
                printf("%s stays\n", folder);
}

static void test_folder(void)
{
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
        atexit(clean_up);
        unsetenv("HEADRACE_GUEK");
        unsetenv("HEADRACE_GAK");
        unsetenv("HEADRACE_PASSWORD");
}

HR_TESTS("meter", { "a folder", test_folder }, { "OBIS codes and classes in words", test_names },
         { "exact decimals", test_scaled }, { "values in words", test_values },
         { "trace of the wrapper, in pieces", test_trace_wrapper },
         { "trace of HDLC, damage, noise", test_trace_hdlc },
         { "a trace hides the password", test_trace_hides_password },
         { "recordings, good and bad", test_record }, { "counters never go back", test_counter },
         { "counters of several tools", test_counter_race }, { "options", test_options },
         { "key files", test_key_file })
