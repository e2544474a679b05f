/* headrace decode over the vector files: every published value comes out, every broken frame is
 * refused with its reason. */
#include "hr_test.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "../../../daemon/cli/decode.h"

enum { LINES_MAX = 256 };

static json_t *line[LINES_MAX], *answer[LINES_MAX];
static size_t n_lines;

static void unload(void)
{
        for (size_t i = 0; i < n_lines; i++) {
                json_decref(line[i]);
                json_decref(answer[i]);
        }
        n_lines = 0;
}

static size_t parse(FILE *f, json_t **into)
{
        size_t n = 0;

        while (n < LINES_MAX) {
                json_t *v = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);

                if (!v)
                        break;
                into[n++] = v;
        }
        return n;
}

static void run(FILE *in)
{
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);

        CU_ASSERT_EQUAL_FATAL(decode_file(in, out), 0);
        fclose(out);
        out = fmemopen(text, len, "r");
        CU_ASSERT_PTR_NOT_NULL_FATAL(out);
        n_lines = parse(out, answer);
        fclose(out);
        free(text);
}

static void load(const char *file)
{
        FILE *f = fopen(hr_shared(file), "rb");
        size_t n;

        CU_ASSERT_PTR_NOT_NULL_FATAL(f);
        run(f);
        rewind(f);
        n = parse(f, line);
        fclose(f);
        CU_ASSERT_EQUAL_FATAL(n, n_lines);
        CU_ASSERT(n > 0);
}

static void load_text(const char *text)
{
        FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

        run(f);
        fclose(f);
        for (size_t i = 0; i < n_lines; i++)
                line[i] = json_null();
}

static const char *string(const json_t *o, const char *key)
{
        const char *s = json_string_value(json_object_get(o, key));

        return s ? s : "";
}

static bool is_ok(size_t i)
{
        return strcmp(string(answer[i], "status"), "ok") == 0;
}

static const json_t *find(size_t i, const char *obis, const json_t *number, const json_t *text)
{
        json_t *objects = json_object_get(answer[i], "objects"), *o;
        size_t k;

        json_array_foreach(objects, k, o)
        {
                if (strcmp(string(o, "obis"), obis) != 0)
                        continue;
                if (number && (!json_is_number(json_object_get(o, "value")) ||
                               fabs(json_number_value(json_object_get(o, "value")) -
                                    json_number_value(number)) > 1e-9))
                        continue;
                if (text && strcmp(string(o, "text"), json_string_value(text)) != 0)
                        continue;
                return o;
        }
        return NULL;
}

static void check_expected(const char *file)
{
        unsigned values = 0;

        load(file);
        for (size_t i = 0; i < n_lines; i++) {
                json_t *expected = json_object_get(line[i], "expected"), *v;
                const char *key;

                if (!expected)
                        continue;
                CU_ASSERT(is_ok(i));
                json_object_foreach(json_object_get(expected, "numbers"), key, v)
                {
                        values++;
                        if (!find(i, key, v, NULL)) {
                                printf("%s: %s is not %g\n", string(line[i], "name"), key,
                                       json_number_value(v));
                                CU_FAIL("published number");
                        }
                }
                json_object_foreach(json_object_get(expected, "strings"), key, v)
                {
                        values++;
                        if (!find(i, key, NULL, v)) {
                                printf("%s: %s is not %s\n", string(line[i], "name"), key,
                                       json_string_value(v));
                                CU_FAIL("published string");
                        }
                }
                v = json_object_get(expected, "plain_hex");
                if (v) {
                        values++;
                        CU_ASSERT_STRING_EQUAL(string(answer[i], "plain_hex"),
                                               json_string_value(v));
                }
        }
        CU_ASSERT(values > 0);
        unload();
}

static void pushes(void)
{
        check_expected("vectors/push_hdlc.jsonl");
        check_expected("vectors/push_apdu.jsonl");
        check_expected("vectors/push_hdlc_ciphered.jsonl");
        check_expected("vectors/push_mbus_ciphered.jsonl");
}

/* @part must be found in @whole: objects may have more members, all else is equal. */
static bool contains(const json_t *whole, const json_t *part)
{
        const char *key;
        json_t *v;
        size_t k;

        if (json_is_object(part)) {
                json_object_foreach((json_t *)(uintptr_t)part, key,
                                    v) if (!contains(json_object_get(whole, key), v)) return false;
                return json_is_object(whole);
        }
        if (json_is_array(part)) {
                if (json_array_size(whole) != json_array_size(part))
                        return false;
                json_array_foreach((json_t *)(uintptr_t)part, k,
                                   v) if (!contains(json_array_get(whole, k), v)) return false;
                return true;
        }
        return json_equal(whole, part);
}

static void check_decoded(const char *file, const char *member)
{
        load(file);
        for (size_t i = 0; i < n_lines; i++) {
                CU_ASSERT(is_ok(i));
                if (!contains(json_object_get(answer[i], member),
                              json_object_get(line[i], "decoded"))) {
                        printf("%s differs\n", string(line[i], "name"));
                        CU_FAIL("decoded");
                }
        }
        unload();
}

static void services(void)
{
        check_decoded("vectors/acse.jsonl", "apdu");
        check_decoded("vectors/xdlms.jsonl", "apdu");
}

static void frames(void)
{
        unsigned refused = 0;

        load("vectors/hdlc_frames.jsonl");
        for (size_t i = 0; i < n_lines; i++) {
                json_t *decoded = json_object_get(line[i], "decoded");

                if (!is_ok(i)) {
                        /* The one with a source address of three bytes. */
                        refused++;
                        CU_ASSERT(strncmp(string(answer[i], "error"), "hdlc_address", 12) == 0);
                        CU_ASSERT_STRING_EQUAL(string(line[i], "name"), "epri_HDLC-Packet_6");
                        continue;
                }
                CU_ASSERT(contains(json_object_get(answer[i], "frames"),
                                   json_object_get(decoded, "frames")));
        }
        CU_ASSERT_EQUAL(refused, 1);
        unload();
}

static void cryptography(void)
{
        load("vectors/crypto.jsonl");
        for (size_t i = 0; i < n_lines; i++)
                CU_ASSERT(is_ok(i));
        unload();
        load("vectors/crypto_suite1.jsonl");
        for (size_t i = 0; i < n_lines; i++)
                CU_ASSERT(is_ok(i));
        unload();
        /* A signature over another message is no signature. */
        load_text("{\"name\":\"a\",\"op\":\"ecdsa-verify\",\"curve\":\"P-256\",\"public\":"
                  "\"BAAFFDE06A8CB1C9DAE8D94023C601DBBB249254BA22EDD827E820BCA2BCC64362FBB83D86A82B"
                  "87BB8B71"
                  "61D2AAB5521911A946B97A284A90F7785CD9047D25\",\"message\":\"00\",\"signature\":"
                  "\"B51BE089D0B682863B2217201E73A1A9031968A9B4121DCBC3281A69739AF87429F5B3AC5471E7"
                  "B6A04A2C"
                  "0F2F8A25FD772A317DF97FC5463FEAC248EB8AB8BE\"}\n");
        CU_ASSERT(!is_ok(0));
        CU_ASSERT(strncmp(string(answer[0], "error"), "signature", 9) == 0);
        unload();
}

static void sessions(void)
{
        static const char clock_code[] = "0.0.1.0.0.255";

        load("vectors/sessions.jsonl");
        for (size_t i = 0; i < n_lines; i++) {
                CU_ASSERT(is_ok(i));
                CU_ASSERT(find(i, clock_code, NULL, NULL) != NULL);
                CU_ASSERT(json_array_size(json_object_get(answer[i], "apdus")) >= 30);
        }
        unload();
}

static void telegrams(void)
{
        load("vectors/p1.jsonl");
        for (size_t i = 0; i < n_lines; i++) {
                json_t *decoded = json_object_get(line[i], "decoded"), *groups;
                const char *key;

                CU_ASSERT_EQUAL(is_ok(i), !json_is_false(json_object_get(decoded, "crc_ok")));
                CU_ASSERT_STRING_EQUAL(string(answer[i], "identification"),
                                       string(decoded, "identification"));
                json_object_foreach(json_object_get(decoded, "objects"), key, groups)
                {
                        const json_t *o = find(i, key, NULL, NULL);

                        CU_ASSERT_PTR_NOT_NULL_FATAL(o);
                        if (json_array_size(groups) == 1)
                                CU_ASSERT_STRING_EQUAL(
                                        string(o, "text"),
                                        json_string_value(json_array_get(groups, 0)));
                }
        }
        unload();
        load("vectors/iec62056_21.jsonl");
        CU_ASSERT(is_ok(0));
        json_t *kwh = json_real(1846.0);

        CU_ASSERT(find(0, "1.8.1", kwh, NULL) != NULL);
        json_decref(kwh);
        unload();
}

/* A single flipped bit anywhere in a framed push is refused, never a wrong value. */
static void bit_flips(void)
{
        static const char good[] = "7EA027010201105A87E6E7000F40000000090C07E5031702131A3AFF8000000"
                                   "2010600000BF35B057E";
        char text[256];

        for (size_t i = 2; i < sizeof good - 3; i++) {
                char hex[sizeof good];
                unsigned digit;

                memcpy(hex, good, sizeof good);
                sscanf((char[]){ hex[i], 0 }, "%x", &digit);
                hex[i] = "0123456789ABCDEF"[digit ^ 4];
                snprintf(text, sizeof text, "{\"name\":\"flip\",\"hex\":\"%s\"}\n", hex);
                load_text(text);
                CU_ASSERT_EQUAL(n_lines, 1);
                CU_ASSERT(!is_ok(0));
                CU_ASSERT_EQUAL(json_array_size(json_object_get(answer[0], "objects")), 0);
                unload();
        }
}

/* Two complete messages in one line: the objects of both; the second one's damage is told. */
static void two_messages(void)
{
        static const char one[] = "7EA027010201105A87E6E7000F40000000090C07E5031702131A3AFF80000002"
                                  "010600000BF35B057E";
        char text[512];

        snprintf(text, sizeof text, "{\"name\":\"two\",\"hex\":\"%s%s\"}\n", one, one);
        load_text(text);
        CU_ASSERT(is_ok(0));
        CU_ASSERT_EQUAL(json_array_size(json_object_get(answer[0], "values")), 2);
        CU_ASSERT_EQUAL(json_array_size(json_object_get(answer[0], "frames")), 2);
        unload();
        snprintf(text, sizeof text, "{\"name\":\"two\",\"hex\":\"%s%.60s\"}\n", one, one);
        load_text(text);
        CU_ASSERT(!is_ok(0));
        unload();
}

static void bad_lines(void)
{
        static const struct {
                const char *text, *error;
        } cases[] = {
                { "{\"name\":\"a\"}\n", "neither" },
                { "{\"name\":\"a\",\"hex\":\"7\"}\n", "\"hex\" is no" },
                { "{\"name\":\"a\",\"hex\":\"\"}\n", "no bytes" },
                { "{\"name\":\"a\",\"hex\":\"7E\"}\n", "truncated" },
                { "{\"name\":\"a\",\"hex\":\"DB\"}\n", "truncated" },
                { "{\"name\":\"a\",\"hex\":\"0F\"}\n", "truncated" },
                { "{\"name\":\"a\",\"hex\":\"0F0000000000\"}\n", "truncated" },
                { "{\"name\":\"a\",\"hex\":\"0F00000000000109060001\"}\n", "truncated" },
                { "{\"name\":\"a\",\"text\":\"1-0:1.8.0(1)\"}\n", "no identification" },
                { "{\"name\":\"a\",\"op\":\"divination\"}\n", "operation" },
                { "[1]\n", "line 1 is no JSON object" },
                { "nonsense\n", "line 1 is no JSON" },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                load_text(cases[i].text);
                CU_ASSERT_EQUAL(n_lines, 1);
                CU_ASSERT(!is_ok(0));
                if (strncmp(string(answer[0], "error"), cases[i].error, strlen(cases[i].error)) !=
                    0) {
                        printf("%s -> %s\n", cases[i].text, string(answer[0], "error"));
                        CU_FAIL("reason");
                }
                unload();
        }
}

/* Every kind of every service has its name, and what it carries is told. */
static void kinds_of_services(void)
{
        static const struct {
                const char *hex, *want;
        } cases[] = {
                { "C102C100030100010800FF020000000000010305000A", "set-request-with-first-datablock" },
                { "C103C1010000000202000A", "set-request-with-datablock" },
                { "C104C10100030100010800FF02000105000000A1", "\"int32\": 161" },
                { "C105C10100030100010800FF02000100000001020105", "with-list-and-first-datablock" },
                { "C304C10046000060030AFF02010000000102110A", "action-request-with-first-pblock" },
                { "C302C100000007", "action-request-next-pblock" },
                { "C502C100000001", "set-response-datablock" },
                { "C503C10C00000002", "set-response-last-datablock" },
                { "C504C102000300000002", "set-response-last-datablock-with-list" },
                { "C702C101000000010400010011", "action-response-with-pblock" },
                { "C703C1020000040001", NULL },
                { "C704C100000001", "action-response-next-pblock" },
                { "D9C000000100010100080000010000FF0200", NULL },
                { "D9C000000100010100080000010000FF020100", "access-request" },
                { "DAC00000010000011105010100", "\"result\": 0" },
                { "0502022BC8", NULL },
                { "05010260AF", "60AF" },
                { "0C01000600000007", "\"uint32\": 7" },
                { "0C010200000103010009", "\"last_block\": false" },
                { "E081000100000505010260AF", "read-request" },
                { "0E050301", "service: too long for the meter" },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                char text[512], *said;

                snprintf(text, sizeof text, "{\"name\":\"one\",\"hex\":\"%s\"}\n", cases[i].hex);
                load_text(text);
                said = json_dumps(answer[0], 0);
                if (is_ok(0) != (cases[i].want != NULL) ||
                    (cases[i].want && !strstr(said, cases[i].want))) {
                        printf("%s: %s\n", cases[i].hex, said);
                        CU_FAIL("another answer");
                }
                free(said);
                unload();
        }
}

HR_TESTS("decode", { "pushes give their published values", pushes },
         { "associations and services as decoded elsewhere", services },
         { "every kind of service has its name", kinds_of_services },
         { "HDLC frames, the broken one refused", frames },
         { "published ciphertexts and tags", cryptography },
         { "sessions of an independent client and server", sessions },
         { "P1 and IEC 62056-21 telegrams", telegrams }, { "a flipped bit is refused", bit_flips },
         { "two messages in one line", two_messages }, { "lines that are none", bad_lines })
