/*
 * Sessions recorded between an independent client and server, every step of them: our client, given
 * the recorded answers, must send the recorded requests byte for byte and read the same values.
 *
 * What a client is free to choose is set to the recording's choice, so that everything around it
 * can be compared: invoke-ids, invocation counters, challenge, keys, proposed conformance and PDU
 * size. Where bytes differ all the same, free_choices names the frame and why.
 */
#include "hr_test.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>

#include "dlms/acse.h"
#include "dlms/apdu.h"
#include "dlms/axdr.h"
#include "dlms/client.h"
#include "dlms/profile.h"
#include "dlms/protect.h"
#include "hex.h"

enum { FRAME_MAX = 4096, VALUE_MAX = 32768, LLC = 3 };

static const struct {
        const char *step;
        int frame; /* of ours in the step */
        const char *why;
} free_choices[] = {
        { "associate", 0, "SNRM: we propose a longer information field and a window" },
};

static struct {
        const json_t *line;
        bool hdlc, ciphered;
        uint16_t max_pdu;
        struct dlms_crypto *crypto;
        struct dlms_client_config cfg;
        struct dlms_client client;
        uint8_t scratch[65536];
        const char *step;
        int frame; /* of ours in this step */
        unsigned equal, chosen, different;
        /* the answer to the step */
        bool associated, closed, failed, answered;
        enum dlms_error error;
        unsigned result, items;
        uint8_t value[VALUE_MAX];
        size_t len;
} b;

/* ---- the recording ---- */

static const char *text(const json_t *o, const char *key)
{
        const char *s = json_string_value(json_object_get(o, key));

        CU_ASSERT_FATAL(s != NULL);
        return s;
}

static size_t key(const char *name, uint8_t *out, size_t cap)
{
        const char *hex = json_string_value(json_object_get(json_object_get(b.line, "keys"), name));
        ssize_t n = hex ? hex_decode(hex, strlen(hex), out, cap) : 0;

        return n > 0 ? (size_t)n : 0;
}

static size_t bytes_of(const json_t *exchange, uint8_t out[static FRAME_MAX], bool *ret_ours)
{
        const char *hex = json_string_value(json_array_get(exchange, 1));
        ssize_t n = hex_decode(hex, strlen(hex), out, FRAME_MAX);

        CU_ASSERT_FATAL(n > 0);
        *ret_ours = strcmp(json_string_value(json_array_get(exchange, 0)), "tx") == 0;
        return (size_t)n;
}

/* The plain APDU in one frame, in place; 0 bytes when there is none. *@ret_ic: its counter. */
static size_t apdu_of(uint8_t *frame, size_t n, uint8_t **ret, uint32_t *ret_ic)
{
        struct dlms_end end = { .crypto = b.crypto,
                                .keys = &b.cfg.keys,
                                .peer = b.cfg.client_title };
        struct dlms_opened o;
        struct hdlc_frame f;
        uint8_t *p = frame + WRAPPER_HEADER_SIZE;

        n -= b.hdlc ? 0 : WRAPPER_HEADER_SIZE;
        if (b.hdlc) {
                CU_ASSERT_EQUAL_FATAL(hdlc_frame_parse(frame, n, &f), 0);
                if (f.control & 1 || f.info_len < LLC)
                        return 0;
                p = frame + (f.info - frame) + LLC;
                n = f.info_len - LLC;
        }
        *ret = p;
        *ret_ic = 0;
        if (b.ciphered && dlms_unseal(&end, p, n, &o) == 0 && o.ciphered) {
                *ret = o.p;
                *ret_ic = o.protection.ic;
                return o.n;
        }
        return n;
}

/* ---- our choices, as recorded ---- */

/* The initiate-request inside the recorded AARQ. */
static void choose_as_initiate(const uint8_t *user_info, size_t n)
{
        struct dlms_end end = { .crypto = b.crypto,
                                .keys = &b.cfg.keys,
                                .peer = b.cfg.client_title };
        struct acse_initiate i;
        struct dlms_opened o = { .n = n };
        uint8_t copy[256];

        CU_ASSERT_FATAL(n <= sizeof copy);
        memcpy(copy, user_info, n);
        o.p = copy;
        if (b.ciphered)
                CU_ASSERT_EQUAL_FATAL(dlms_unseal(&end, copy, n, &o), 0);
        CU_ASSERT_EQUAL_FATAL(acse_initiate_decode(o.p, o.n, &i), 0);
        b.cfg.conformance = i.conformance;
        b.max_pdu = i.max_pdu;
        b.cfg.ic_first = o.protection.ic;
}

static void choose_as_aarq(const json_t *steps)
{
        const json_t *exchange, *first = json_object_get(json_array_get(steps, 0), "ex");
        size_t k;

        json_array_foreach(first, k, exchange)
        {
                uint8_t frame[FRAME_MAX], *apdu;
                struct acse_associate aarq;
                uint32_t ic;
                bool ours;
                size_t n = bytes_of(exchange, frame, &ours);

                if (!ours)
                        continue;
                n = apdu_of(frame, n, &apdu, &ic);
                if (n == 0 || apdu[0] != APDU_AARQ)
                        continue;
                CU_ASSERT_EQUAL_FATAL(acse_associate_decode(apdu, n, &aarq), 0);
                b.cfg.challenge_len = (uint8_t)aarq.auth_len;
                if (aarq.auth_len > 0)
                        memcpy(b.cfg.challenge, aarq.auth_value, aarq.auth_len);
                choose_as_initiate(aarq.user_info, aarq.user_info_len);
                return;
        }
        CU_FAIL_FATAL("no AARQ in the recording");
}

static void configure(void)
{
        struct dlms_client_config *cfg = &b.cfg;

        memset(cfg, 0, sizeof *cfg);
        b.hdlc = strcmp(text(b.line, "framing"), "hdlc") == 0;
        b.ciphered = json_is_object(json_object_get(b.line, "keys"));
        cfg->framing = b.hdlc ? DLMS_FRAMING_HDLC : DLMS_FRAMING_WRAPPER;
        cfg->client_sap = (uint16_t)json_integer_value(json_object_get(b.line, "client_sap"));
        cfg->server_sap = (uint16_t)json_integer_value(json_object_get(b.line, "server_sap"));
        cfg->scratch = b.scratch;
        cfg->scratch_size = sizeof b.scratch;
        /* This server refuses with exceptions, and does more than it grants. */
        cfg->exceptions_are_results = true;
        cfg->assume = DLMS_CONF_MULTIPLE_REFERENCES | DLMS_CONF_SELECTIVE_ACCESS |
                      DLMS_CONF_ACTION | DLMS_CONF_SET;
        cfg->ic_end = (uint64_t)UINT32_MAX + 1;
        cfg->crypto = b.crypto;
        if (b.ciphered) {
                cfg->auth = DLMS_AUTH_GMAC;
                cfg->policy = DLMS_POLICY_AUTHENTICATED_ENCRYPTED;
                cfg->keys.has_ek = key("guek", cfg->keys.ek, 16) == 16;
                cfg->keys.has_ak = key("gak", cfg->keys.ak, 16) == 16;
                cfg->keys.has_dedicated = key("dedicated", cfg->keys.dedicated, 16) == 16;
                key("client_system_title", cfg->client_title, 8);
        }
        choose_as_aarq(json_object_get(b.line, "steps"));
}

/* ---- playing ---- */

static void drain(void)
{
        struct dlms_event ev;

        while (dlms_client_next_event(&b.client, &ev)) {
                b.associated |= ev.type == DLMS_EV_ASSOCIATED;
                b.closed |= ev.type == DLMS_EV_CLOSED;
                if (ev.type == DLMS_EV_FAILED) {
                        b.failed = true;
                        b.error = ev.error;
                }
                if (ev.type != DLMS_EV_RESULT)
                        continue;
                b.answered = true;
                b.items++;
                b.result = ev.result;
                b.error = ev.error;
                CU_ASSERT_FATAL(ev.len <= sizeof b.value);
                b.len = ev.len;
                if (ev.len)
                        memcpy(b.value, ev.data, ev.len);
        }
}

static bool is_free(void)
{
        for (size_t i = 0; i < sizeof free_choices / sizeof *free_choices; i++)
                if (strcmp(free_choices[i].step, b.step) == 0 && free_choices[i].frame == b.frame)
                        return true;
        return false;
}

/* What our client has to say must be the recorded frame. */
static void compare(const uint8_t *want, size_t n)
{
        const uint8_t *out;
        size_t len = dlms_client_core.output(&b.client, &out);
        bool equal = len == n && memcmp(out, want, n) == 0;

        if (equal) {
                b.equal++;
        } else if (len > 0 && is_free()) {
                b.chosen++;
        } else {
                b.different++;
                printf("%s, %s, our frame %d:\n  recorded ", text(b.line, "name"), b.step, b.frame);
                for (size_t i = 0; i < n; i++)
                        printf("%02X", want[i]);
                printf("\n  ours     ");
                for (size_t i = 0; i < len; i++)
                        printf("%02X", out[i]);
                printf("\n");
        }
        dlms_client_core.output_done(&b.client, len);
        b.frame++;
        /* The recorded client sends pass 3 under the global key, service-specific. */
        if (b.client.state == DLMS_CLIENT_ASSOCIATING)
                b.client.cfg.general = b.client.cfg.keys.has_dedicated = false;
}

static void answer(const uint8_t *p, size_t n)
{
        for (size_t at = 0; at < n;) {
                uint8_t *copy = malloc(n - at);
                size_t taken;

                memcpy(copy, p + at, n - at);
                taken = dlms_client_core.recv(&b.client, copy, n - at, 0);
                free(copy);
                drain();
                if (taken == 0)
                        break;
                at += taken;
        }
}

/* The envelope of the recorded request: glo-, ded- or general. */
static void choose_envelope(const uint8_t *frame)
{
        const uint8_t *p = frame + WRAPPER_HEADER_SIZE;
        struct hdlc_frame f;

        if (b.hdlc) {
                CU_ASSERT_FATAL(hdlc_frame_parse(frame, (size_t)hdlc_frame_size(frame, 3), &f) ==
                                0);
                p = f.info + LLC;
        }
        b.client.cfg.general = p[0] == APDU_GENERAL_GLO || p[0] == APDU_GENERAL_DED;
        b.client.cfg.keys.has_dedicated = p[0] == APDU_GENERAL_DED || (p[0] & 0xF8) == 0xD0;
}

/* Gives our client the command that was the recorded client's. */
static void command(uint8_t *apdu, size_t n, uint32_t ic)
{
        struct dlms_attr attrs[DLMS_CLIENT_LIST_MAX];
        struct dlms_client *c = &b.client;
        struct dlms_selection s;
        struct apdu_request q;
        struct axdr_reader r;
        int e = -1;

        CU_ASSERT_EQUAL_FATAL(apdu_request_decode(apdu, n, &q), 0);
        c->invoke_id = (uint8_t)((q.invoke & 0x0F) - 1);
        if (b.ciphered)
                c->ic_next = ic;
        if (q.kind == APDU_LIST) {
                CU_ASSERT_FATAL(q.tag == APDU_GET_REQUEST && q.count <= DLMS_CLIENT_LIST_MAX);
                axdr_reader_init(&r, q.items, q.items_len);
                for (size_t i = 0; i < q.count; i++)
                        CU_ASSERT(apdu_list_next(&r, &attrs[i], &s));
                e = dlms_client_get_list(c, attrs, q.count, 0);
        } else if (q.tag == APDU_GET_REQUEST) {
                e = dlms_client_get(c, &q.attr, &q.selection, 0);
        } else if (q.tag == APDU_SET_REQUEST) {
                e = dlms_client_set(c, &q.attr, q.data, q.n, 0);
        } else {
                e = dlms_client_action(c, &q.attr, q.data, q.n, 0);
        }
        CU_ASSERT_EQUAL(e, 0);
}

/* The recorded server refuses the list, and our client would go on item by item: seen, and taken
 * back, because the recording knows nothing of it. */
static void take_back(const struct dlms_client *before)
{
        struct dlms_client *c = &b.client;
        const uint8_t *out;
        uint64_t server_ic = c->server_ic, server_ic_dedicated = c->server_ic_dedicated;

        CU_ASSERT_EQUAL(dlms_client_broken(c), DLMS_CONF_MULTIPLE_REFERENCES);
        CU_ASSERT(dlms_client_core.output(c, &out) > 0);
        *c = *before;
        c->channel.vs = c->channel.va = (uint8_t)((c->channel.vs + 1) & 7);
        c->channel.vr = (uint8_t)((c->channel.vr + 1) & 7);
        c->channel.tx_acked = c->channel.tx_len = 0;
        c->server_ic = server_ic;
        c->server_ic_dedicated = server_ic_dedicated;
}

static void play_step(const json_t *step)
{
        static struct dlms_client before;
        const json_t *exchange;
        bool list = strstr(b.step, "with list") != NULL;
        size_t k;

        b.frame = 0;
        b.answered = false;
        b.items = 0;
        before = b.client;
        if (strcmp(b.step, "associate") == 0) {
                CU_ASSERT_EQUAL_FATAL(dlms_client_open(&b.client, 0), 0);
        }
        if (strcmp(b.step, "release") == 0)
                CU_ASSERT_EQUAL_FATAL(dlms_client_close(&b.client, 0), 0);
        json_array_foreach(json_object_get(step, "ex"), k, exchange)
        {
                uint8_t frame[FRAME_MAX], copy[FRAME_MAX], *apdu;
                uint32_t ic;
                bool ours;
                size_t n = bytes_of(exchange, frame, &ours), len;

                if (!ours) {
                        answer(frame, n);
                        continue;
                }
                memcpy(copy, frame, n);
                len = apdu_of(copy, n, &apdu, &ic);
                if (k == 0 && b.client.state == DLMS_CLIENT_READY) {
                        if (b.ciphered)
                                choose_envelope(frame);
                        command(apdu, len, ic);
                }
                compare(frame, n);
        }
        if (dlms_client_broken(&b.client))
                take_back(&before);
        else
                CU_ASSERT(!list || b.items == 3);
}

/* ---- the values ---- */

static bool value_is(const char *hex)
{
        uint8_t want[256];
        ssize_t n = hex_decode(hex, strlen(hex), want, sizeof want);

        return b.answered && b.result == 0 && b.len == (size_t)n &&
               memcmp(b.value, want, b.len) == 0;
}

static size_t rows(void)
{
        struct profile_reader r;
        struct profile_row row;
        size_t n = 0;

        CU_ASSERT_EQUAL_FATAL(profile_reader_init(&r, NULL, 0, b.value, b.len), 0);
        while (profile_next(&r, &row) == 1)
                n++;
        CU_ASSERT_EQUAL(r.in.error, 0);
        return n;
}

static size_t elements(void)
{
        struct axdr_reader r;
        struct axdr_value v;

        CU_ASSERT_EQUAL(axdr_check(b.value, b.len), 0);
        axdr_reader_init(&r, b.value, b.len);
        return axdr_expect(&r, AXDR_ARRAY, &v) ? v.n : 0;
}

static void check_values(void)
{
        static const struct {
                const char *step, *value;
        } known[] = {
                { "get register.3 scaler_unit", "02020FFE161E" },
                { "get image_transfer.2 block_size", "06000001C2" },
                { "get profile.3 capture_objects",
                  "0102020412000809060000010000FF0F02120000020412000309060101151900FF0F02120000" },
                { "get profile.2 by range (selective access 1)", "0100" },
        };

        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                if (strcmp(known[i].step, b.step) == 0)
                        CU_ASSERT(value_is(known[i].value));
        /* The disconnection was carried out only where the association allowed it. */
        if (strcmp(b.step, "get disconnect_control.3 control_state") == 0)
                CU_ASSERT(value_is(b.ciphered ? "1600" : "1601"));
        if (strcmp(b.step, "get clock.2") == 0)
                CU_ASSERT(b.len == 14 && b.value[0] == AXDR_OCTET_STRING && b.value[2] == 7);
        if (strcmp(b.step, "get register.2") == 0)
                CU_ASSERT(b.len == 3 && b.value[0] == AXDR_UINT16);
        if (strcmp(b.step, "get undefined object") == 0)
                CU_ASSERT(b.result == DLMS_ACCESS_READ_WRITE_DENIED);
        if (strncmp(b.step, "get profile.2 by entry", 22) == 0)
                CU_ASSERT_EQUAL(rows(), 96);
        if (strncmp(b.step, "get association object list", 27) == 0)
                CU_ASSERT_EQUAL(elements(), 52);
        if (strncmp(b.step, "action", 6) == 0)
                CU_ASSERT(b.result == 0 || b.error == DLMS_E_EXCEPTION_NOT_SUPPORTED);
}

static void play(void)
{
        const json_t *step;
        size_t i;

        b.associated = b.closed = b.failed = false;
        b.equal = b.chosen = b.different = 0;
        configure();
        CU_ASSERT_EQUAL_FATAL(dlms_client_init(&b.client, &b.cfg), 0);
        b.client.cfg.max_pdu = b.max_pdu;
        json_array_foreach(json_object_get(b.line, "steps"), i, step)
        {
                b.step = text(step, "step");
                play_step(step);
                if (b.failed) {
                        printf("%s, %s: %s\n", text(b.line, "name"), b.step,
                               dlms_error_text(b.error));
                        break;
                }
                check_values();
        }
        CU_ASSERT(b.associated && b.closed && !b.failed);
        CU_ASSERT_EQUAL(b.different, 0);
        printf("%s: %u frames equal, %u of free choice; ", text(b.line, "name"), b.equal, b.chosen);
}

static void every_session(void)
{
        FILE *f = fopen(hr_shared("vectors/sessions.jsonl"), "rb");
        json_t *line;
        unsigned n = 0;

        CU_ASSERT_FATAL(f != NULL);
        b.crypto = dlms_crypto_new();
        while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL))) {
                b.line = line;
                play();
                json_decref(line);
                n++;
        }
        fclose(f);
        dlms_crypto_free(b.crypto);
        CU_ASSERT_EQUAL(n, 4);
}

HR_TESTS("dlms recorded", { "every session, byte for byte", every_session })
