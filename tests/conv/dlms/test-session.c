/*
 * Client and server core talk to each other: every framing and authentication, whole frames, byte
 * by byte, and cut after every byte followed by silence (one named failure, never a hang).
 */
#include "hr_test.h"
#include "meter.h"

#include "dlms/axdr.h"
#include "dlms/profile.h"
#include "hex.h"

#include <jansson.h>

static struct dlms_crypto *crypto_client, *crypto_server;

struct pair {
        struct dlms_client client;
        struct dlms_server server;
        struct dlms_client_config ccfg;
        struct dlms_server_config scfg;
        struct dlms_server_counters counters;
        struct meter meter;
        uint8_t client_scratch[16384], server_scratch[16384];
        size_t chunk;     /* bytes a delivery */
        size_t cut;       /* bytes server to client still let through */
        size_t delivered; /* bytes server to client */
        int64_t now;
        int step; /* of the application */
        /* What came out */
        unsigned rows, events, list[4];
        int64_t first, last, sum;
        bool associated, closed, failed;
        unsigned scaler_unit_len;
        struct dlms_event failure;
        uint8_t result;
        size_t blocks;
};

static void setup(struct pair *p, enum dlms_framing framing, enum meter_auth auth, bool general,
                  bool dedicated)
{
        memset(p, 0, sizeof *p);
        if (!crypto_client) {
                crypto_client = dlms_crypto_new();
                crypto_server = dlms_crypto_new();
        }
        meter_settings(framing, auth, general, dedicated, crypto_client, &p->ccfg, &p->scfg);
        p->scfg.crypto = crypto_server;
        p->ccfg.scratch = p->client_scratch;
        p->ccfg.scratch_size = sizeof p->client_scratch;
        p->chunk = SIZE_MAX;
        p->cut = SIZE_MAX;
        p->now = 1000;
        p->meter.limit = 42;
}

static void start(struct pair *p)
{
        CU_ASSERT_EQUAL_FATAL(dlms_client_init(&p->client, &p->ccfg), 0);
        CU_ASSERT_EQUAL_FATAL(dlms_server_init(&p->server, &p->scfg, &p->counters, &p->meter,
                                               p->server_scratch, sizeof p->server_scratch,
                                               meter_challenge, p->now),
                              0);
        CU_ASSERT_EQUAL_FATAL(dlms_client_open(&p->client, p->now), 0);
        CU_ASSERT_EQUAL(dlms_client_get(&p->client, &DLMS_ATTR(8, 0, 0, 1, 0, 0, 255, 2), NULL, 0),
                        DLMS_E_BUSY);
}

static const struct dlms_attr clock_time = { 8, { { 0, 0, 1, 0, 0, 255 } }, 2 };
static const struct dlms_attr energy = { 3, { { 1, 0, 1, 8, 0, 255 } }, 2 };
static const struct dlms_attr energy_unit = { 3, { { 1, 0, 1, 8, 0, 255 } }, 3 };
static const struct dlms_attr undefined = { 1, { { 1, 0, 9, 9, 9, 255 } }, 2 };
static const struct dlms_attr profile_buffer = { 7, { { 1, 0, 99, 1, 0, 255 } }, 2 };
static const struct dlms_attr profile_columns = { 7, { { 1, 0, 99, 1, 0, 255 } }, 3 };
static const struct dlms_attr reconnect = { 70, { { 0, 0, 96, 3, 10, 255 } }, 2 };

static struct profile_columns columns;

/* The application: one request after the other. */
static int next_request(struct pair *p)
{
        const struct dlms_attr list[] = { clock_time, energy, undefined, energy_unit };
        uint8_t data[8], selection[PROFILE_SELECTION_MAX];
        struct axdr_writer w = axdr_writer_of(data, sizeof data);
        struct dlms_selection s;

        switch (p->step) {
        case 0:
                return dlms_client_get(&p->client, &clock_time, NULL, p->now);
        case 1:
                return dlms_client_get(&p->client, &undefined, NULL, p->now);
        case 2:
                return dlms_client_get(&p->client, &profile_columns, NULL, p->now);
        case 3:
                return dlms_client_get(&p->client, &profile_buffer, NULL, p->now);
        case 4:
                axdr_put_int32(&w, -7);
                return dlms_client_set(&p->client, &energy, data, w.len, p->now);
        case 5:
                return dlms_client_action(&p->client, &reconnect, (const uint8_t *)"\x0F\x00", 2,
                                          p->now);
        case 6:
                return dlms_client_get_list(&p->client, list, 4, p->now);
        case 7:
                s = profile_select_range(METER_BEGIN + 900 * 10, METER_BEGIN + 900 * 19, 420,
                                         selection);
                return dlms_client_get(&p->client, &profile_buffer, &s, p->now);
        default:
                return dlms_client_close(&p->client, p->now);
        }
}

static void read_profile(struct pair *p, const struct dlms_event *ev)
{
        struct profile_reader r;
        struct profile_row row;

        p->rows = 0;
        p->sum = 0;
        CU_ASSERT_EQUAL_FATAL(profile_reader_init(&r, &columns, 900, ev->data, ev->len), 0);
        while (profile_next(&r, &row) == 1) {
                CU_ASSERT(row.has_time);
                if (p->rows++ == 0)
                        p->first = row.time;
                p->last = row.time;
                p->sum += row.value[2].i;
        }
        CU_ASSERT_EQUAL(r.in.error, 0);
}

static void on_result(struct pair *p, const struct dlms_event *ev)
{
        switch (p->step) {
        case 0:
                CU_ASSERT_EQUAL(ev->len, 14);
                break;
        case 1:
                CU_ASSERT_EQUAL(ev->result, DLMS_ACCESS_OBJECT_UNDEFINED);
                break;
        case 2:
                CU_ASSERT_EQUAL(profile_columns_decode(ev->data, ev->len, &columns), 0);
                CU_ASSERT_EQUAL(columns.n, 3);
                CU_ASSERT_EQUAL(columns.clock, 0);
                break;
        case 3:
                read_profile(p, ev);
                CU_ASSERT_EQUAL(p->rows, METER_ROWS);
                CU_ASSERT_EQUAL(p->first, METER_BEGIN + 900);
                CU_ASSERT_EQUAL(p->last, METER_BEGIN + 86400);
                CU_ASSERT_EQUAL(p->sum, 95 * 96 / 2 * 10);
                break;
        case 4:
                CU_ASSERT_EQUAL(ev->result, 0);
                CU_ASSERT_EQUAL(p->meter.limit, -7);
                break;
        case 5:
                CU_ASSERT_EQUAL(ev->result, 0);
                CU_ASSERT(p->meter.connected);
                CU_ASSERT(ev->len == 2 && ev->data[0] == AXDR_BOOLEAN && ev->data[1] == 1);
                break;
        case 6:
                CU_ASSERT_FATAL(ev->index < 4);
                p->list[ev->index] = ev->result ? ev->result : 1000 + (unsigned)ev->len;
                CU_ASSERT_EQUAL(ev->last, ev->index == 3);
                break;
        case 7:
                read_profile(p, ev);
                CU_ASSERT_EQUAL(p->rows, 10);
                CU_ASSERT_EQUAL(p->first, METER_BEGIN + 900 * 10);
                break;
        default:
                CU_FAIL("result without a request");
        }
        if (ev->last)
                p->step++;
}

static void drain(struct pair *p)
{
        struct dlms_event ev;

        while (dlms_client_next_event(&p->client, &ev)) {
                p->events++;
                CU_ASSERT(!p->failed && !p->closed);
                switch (ev.type) {
                case DLMS_EV_ASSOCIATED:
                        p->associated = true;
                        CU_ASSERT_EQUAL(next_request(p), 0);
                        break;
                case DLMS_EV_RESULT:
                        on_result(p, &ev);
                        if (ev.last)
                                CU_ASSERT_EQUAL(next_request(p), 0);
                        break;
                case DLMS_EV_CLOSED:
                        p->closed = true;
                        break;
                case DLMS_EV_FAILED:
                        p->failed = true;
                        p->failure = ev;
                        break;
                case DLMS_EV_NOTIFICATION:
                case DLMS_EV_NONE:
                        CU_FAIL("unexpected event");
                }
        }
}

/* Offers exactly @n heap bytes, so that the sanitizer sees a read past them. */
static size_t offer(const struct core_ops *ops, void *core, const uint8_t *p, size_t n, int64_t now)
{
        uint8_t *copy = malloc(n);
        size_t taken;

        memcpy(copy, p, n);
        taken = ops->recv(core, copy, n, now);
        free(copy);
        CU_ASSERT(taken <= n);
        return taken;
}

/* Moves what one end has to say to the other; false when there was nothing. */
static bool carry(struct pair *p, bool to_client)
{
        const struct core_ops *from = to_client ? &dlms_server_core : &dlms_client_core;
        const struct core_ops *to = to_client ? &dlms_client_core : &dlms_server_core;
        void *src = to_client ? (void *)&p->server : (void *)&p->client;
        void *dst = to_client ? (void *)&p->client : (void *)&p->server;
        static uint8_t bytes[65536];
        const uint8_t *out;
        size_t n = from->output(src, &out), at = 0, idle = 0;

        if (n == 0)
                return false;
        memcpy(bytes, out, n);
        from->output_done(src, n);
        if (to_client) {
                p->delivered += n;
                if (n > p->cut)
                        n = p->cut;
                p->cut -= p->cut == SIZE_MAX ? 0 : n;
        }
        while (at < n && idle < 2) {
                size_t part = n - at < p->chunk ? n - at : p->chunk;
                size_t taken = offer(to, dst, bytes + at, part, p->now);

                at += taken;
                idle = taken ? 0 : idle + 1;
                if (to_client)
                        drain(p);
        }
        return true;
}

static void converse(struct pair *p)
{
        for (int turns = 0; turns < 10000; turns++) {
                bool moved = carry(p, false);

                moved |= carry(p, true);
                drain(p);
                if (p->closed || p->failed)
                        return;
                if (!moved) { /* silence: time passes */
                        int64_t at = dlms_client_core.deadline(&p->client);

                        if (at == CORE_NO_DEADLINE)
                                return;
                        p->now = at;
                        dlms_client_core.expire(&p->client, at);
                        drain(p);
                }
        }
        CU_FAIL("no end");
}

static void check_good(struct pair *p)
{
        CU_ASSERT(p->associated);
        CU_ASSERT(p->closed);
        CU_ASSERT(!p->failed);
        if (p->failed)
                printf("failed: %s\n", dlms_error_text(p->failure.error));
        CU_ASSERT_EQUAL(p->step, 8);
        CU_ASSERT_EQUAL(p->list[0], 1014);
        CU_ASSERT_EQUAL(p->list[1], 1005);
        CU_ASSERT_EQUAL(p->list[2], DLMS_ACCESS_OBJECT_UNDEFINED);
        CU_ASSERT_EQUAL(p->list[3], 1006);
}

static struct pair pair;

/* Every combination that makes sense: @i counts them; false when done. */
static bool combination(unsigned i, struct pair *p, size_t chunk)
{
        static const struct {
                enum meter_auth auth;
                bool general, dedicated;
        } kinds[] = {
                { METER_NONE, false, false },       { METER_LLS, false, false },
                { METER_GMAC, false, false },       { METER_GMAC, true, false },
                { METER_GMAC, false, true },        { METER_GMAC, true, true },
                { METER_GMAC_PLAIN, false, false },
        };
        size_t n = sizeof kinds / sizeof *kinds;

        if (i >= 2 * n)
                return false;
        setup(p, i < n ? DLMS_FRAMING_WRAPPER : DLMS_FRAMING_HDLC, kinds[i % n].auth,
              kinds[i % n].general, kinds[i % n].dedicated);
        p->chunk = chunk;
        return true;
}

static void whole(void)
{
        for (unsigned i = 0; combination(i, &pair, SIZE_MAX); i++) {
                start(&pair);
                converse(&pair);
                check_good(&pair);
        }
}

static void byte_by_byte(void)
{
        for (unsigned i = 0; combination(i, &pair, 1); i++) {
                start(&pair);
                converse(&pair);
                check_good(&pair);
        }
}

static void windows(void)
{
        static const struct {
                uint16_t info;
                uint8_t window;
        } cases[] = { { 64, 1 }, { 128, 3 }, { 128, 7 }, { 512, 7 }, { 1024, 1 }, { 2030, 2 } };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                setup(&pair, DLMS_FRAMING_HDLC, METER_GMAC, true, false);
                pair.ccfg.max_info_rx = pair.ccfg.max_info_tx = cases[i].info;
                pair.scfg.max_info = cases[i].info;
                pair.scfg.window = cases[i].window;
                start(&pair);
                converse(&pair);
                check_good(&pair);
                CU_ASSERT_EQUAL(pair.client.channel.params.window_rx, cases[i].window);
        }
}

static void one_byte_addresses(void)
{
        setup(&pair, DLMS_FRAMING_HDLC, METER_LLS, false, false);
        pair.ccfg.physical = pair.scfg.physical = 0;
        start(&pair);
        converse(&pair);
        check_good(&pair);
        setup(&pair, DLMS_FRAMING_HDLC, METER_LLS, false, false);
        pair.ccfg.physical = pair.scfg.physical = 1000;
        start(&pair);
        converse(&pair);
        check_good(&pair);
        CU_ASSERT_EQUAL(pair.client.channel.server_size, 4);
}

static void cut_everywhere(void)
{
        for (unsigned i = 0; combination(i, &pair, SIZE_MAX); i++) {
                size_t total;

                start(&pair);
                converse(&pair);
                total = pair.delivered;
                for (size_t cut = 0; cut < total; cut += cut < 600 ? 1 : 37) {
                        combination(i, &pair, SIZE_MAX);
                        start(&pair);
                        pair.cut = cut;
                        converse(&pair);
                        /* Silence after the release is no failure. */
                        CU_ASSERT(pair.failed != pair.closed);
                        if (pair.failed) {
                                enum dlms_error e = pair.failure.error;

                                CU_ASSERT(e == DLMS_E_TIMEOUT_CONNECT ||
                                          e == DLMS_E_TIMEOUT_ASSOCIATE ||
                                          e == DLMS_E_TIMEOUT_HLS || e == DLMS_E_TIMEOUT_REQUEST);
                        }
                        CU_ASSERT_EQUAL(dlms_client_core.deadline(&pair.client), CORE_NO_DEADLINE);
                }
        }
}

static enum dlms_error failure(void)
{
        start(&pair);
        converse(&pair);
        CU_ASSERT(pair.failed);
        return pair.failure.error;
}

static void wrong_secrets(void)
{
        setup(&pair, DLMS_FRAMING_WRAPPER, METER_LLS, false, false);
        pair.ccfg.secret = (const uint8_t *)"87654321";
        CU_ASSERT_EQUAL(failure(), DLMS_E_ASSOCIATION_AUTHENTICATION);

        setup(&pair, DLMS_FRAMING_WRAPPER, METER_LLS, false, false);
        pair.ccfg.auth = DLMS_AUTH_NONE;
        CU_ASSERT_EQUAL(failure(), DLMS_E_ASSOCIATION_REQUIRED);

        setup(&pair, DLMS_FRAMING_WRAPPER, METER_GMAC, true, false);
        pair.ccfg.policy = DLMS_POLICY_NONE;
        CU_ASSERT_EQUAL(failure(), DLMS_E_ASSOCIATION_CONTEXT);

        /* Our encryption key is wrong: the meter cannot decipher the initiate request. */
        setup(&pair, DLMS_FRAMING_HDLC, METER_GMAC, true, false);
        pair.ccfg.keys.ek[3] ^= 1;
        CU_ASSERT_EQUAL(failure(), DLMS_E_EXCEPTION_DECIPHERING);

        setup(&pair, DLMS_FRAMING_HDLC, METER_GMAC_PLAIN, false, false);
        pair.ccfg.keys.ak[3] ^= 1;
        CU_ASSERT_EQUAL(failure(), DLMS_E_HLS_REFUSED);

        /* The meter we meant has another title. */
        setup(&pair, DLMS_FRAMING_HDLC, METER_GMAC, true, false);
        memcpy(pair.ccfg.server_title, "OTHERMTR", 8);
        CU_ASSERT_EQUAL(failure(), DLMS_E_TITLE);
}

static void counters(void)
{
        setup(&pair, DLMS_FRAMING_WRAPPER, METER_GMAC, true, false);
        pair.counters.rx = 500; /* the meter has seen more than we reserved */
        CU_ASSERT_EQUAL(failure(), DLMS_E_EXCEPTION_COUNTER);
        CU_ASSERT_EQUAL(pair.failure.counter, 500);

        setup(&pair, DLMS_FRAMING_WRAPPER, METER_GMAC, true, false);
        pair.counters.tx = 10;
        pair.ccfg.server_ic = 5000; /* the meter's counter went back: a recorded session */
        CU_ASSERT_EQUAL(failure(), DLMS_E_REPLAY);

        setup(&pair, DLMS_FRAMING_WRAPPER, METER_GMAC, true, false);
        pair.ccfg.ic_end = pair.ccfg.ic_first + 2;
        CU_ASSERT_EQUAL(failure(), DLMS_E_COUNTER_EXHAUSTED);
        CU_ASSERT_EQUAL(dlms_client_ic(&pair.client), pair.ccfg.ic_end);
}

/* Damaged and lost HDLC frames are repeated; with enough tries the session completes. */
static void noise(void)
{
        for (unsigned seed = 1; seed < 40; seed++) {
                unsigned x = seed * 7919, good = 0;

                setup(&pair, DLMS_FRAMING_HDLC, METER_GMAC, true, false);
                pair.ccfg.retries = 20;
                pair.scfg.window = 1 + seed % 4;
                start(&pair);
                for (int turns = 0; turns < 20000 && !pair.closed && !pair.failed; turns++) {
                        for (int side = 0; side < 2; side++) {
                                struct dlms_channel *ch =
                                        side ? &pair.server.channel : &pair.client.channel;

                                x = x * 1103515245 + 12345;
                                if (ch->out_len > ch->out_done && (x >> 16) % 10 == 0)
                                        ch->out[ch->out_done +
                                                (x >> 20) % (ch->out_len - ch->out_done)] ^=
                                                1u << (x >> 8) % 8;
                                good += carry(&pair, side);
                                drain(&pair);
                        }
                        if (pair.client.channel.out_len == 0 && pair.server.channel.out_len == 0 &&
                            !pair.closed && !pair.failed) {
                                pair.now = dlms_client_core.deadline(&pair.client);
                                dlms_client_core.expire(&pair.client, pair.now);
                                drain(&pair);
                        }
                }
                CU_ASSERT(good > 0);
                CU_ASSERT(pair.closed);
                if (pair.failed)
                        printf("seed %u: %s in step %d\n", seed,
                               dlms_error_text(pair.failure.error), pair.step);
        }
}

static void closed_by_peer(void)
{
        setup(&pair, DLMS_FRAMING_WRAPPER, METER_NONE, false, false);
        start(&pair);
        dlms_client_core.closed(&pair.client, 0, pair.now);
        drain(&pair);
        CU_ASSERT(pair.failed);
        CU_ASSERT_EQUAL(pair.failure.error, DLMS_E_ASSOCIATION_CLOSED);
        CU_ASSERT_EQUAL(dlms_client_close(&pair.client, pair.now), DLMS_E_BUSY);
}

/* ---- an independent server, recorded ---- */

static const json_t *recorded(json_t *all, const char *name)
{
        json_t *line;
        size_t i;

        json_array_foreach(all, i,
                           line) if (strcmp(json_string_value(json_object_get(line, "name")),
                                            name) == 0) return line;
        CU_FAIL_FATAL("no such session");
        return NULL;
}

static size_t key(const json_t *keys, const char *name, uint8_t *out, size_t cap)
{
        const char *hex = json_string_value(json_object_get(keys, name));
        ssize_t n = hex ? hex_decode(hex, strlen(hex), out, cap) : 0;

        return n > 0 ? (size_t)n : 0;
}

/* What the recorded client used, as our settings. */
static void as_recorded(struct dlms_client_config *cfg, const json_t *line)
{
        const json_t *keys = json_object_get(line, "keys");

        memset(cfg, 0, sizeof *cfg);
        cfg->framing = strcmp(json_string_value(json_object_get(line, "framing")), "hdlc") == 0
                               ? DLMS_FRAMING_HDLC
                               : DLMS_FRAMING_WRAPPER;
        cfg->client_sap = (uint16_t)json_integer_value(json_object_get(line, "client_sap"));
        cfg->server_sap = (uint16_t)json_integer_value(json_object_get(line, "server_sap"));
        cfg->scratch = pair.client_scratch;
        cfg->scratch_size = sizeof pair.client_scratch;
        if (!json_is_object(keys))
                return;
        cfg->auth = DLMS_AUTH_GMAC;
        cfg->policy = DLMS_POLICY_AUTHENTICATED_ENCRYPTED;
        cfg->general = true;
        cfg->crypto = crypto_client;
        cfg->ic_first = 1;
        cfg->ic_end = 1000;
        cfg->keys.has_ek = key(keys, "guek", cfg->keys.ek, 16) == 16;
        cfg->keys.has_ak = key(keys, "gak", cfg->keys.ak, 16) == 16;
        cfg->keys.has_dedicated = key(keys, "dedicated", cfg->keys.dedicated, 16) == 16;
        key(keys, "client_system_title", cfg->client_title, 8);
        /* The challenge the recorded client sent, from its AARQ. */
        cfg->challenge_len = 16;
        hex_decode("70389CCE67B359AC56AB552A158A4522", 32, cfg->challenge, 16);
}

struct replay {
        unsigned results;
        bool associated, closed;
        enum dlms_error failed;
        uint8_t data[64];
        size_t len;
};

static void replay_events(struct dlms_client *c, struct replay *r)
{
        struct dlms_event ev;

        while (dlms_client_next_event(c, &ev)) {
                if (ev.type == DLMS_EV_ASSOCIATED) {
                        r->associated = true;
                        CU_ASSERT_EQUAL(dlms_client_get(c, &clock_time, NULL, 0), 0);
                } else if (ev.type == DLMS_EV_RESULT) {
                        r->results++;
                        CU_ASSERT_EQUAL(ev.result, 0);
                        r->len = ev.len < sizeof r->data ? ev.len : sizeof r->data;
                        memcpy(r->data, ev.data, r->len);
                } else if (ev.type == DLMS_EV_FAILED) {
                        r->failed = ev.error;
                }
        }
}

/* Plays what the server said in the first two steps: association and clock. */
static void replay(const json_t *line, struct dlms_client *c, struct replay *r)
{
        json_t *steps = json_object_get(line, "steps"), *step, *exchange;
        size_t i, k;

        memset(r, 0, sizeof *r);
        CU_ASSERT_EQUAL_FATAL(dlms_client_open(c, 0), 0);
        json_array_foreach(steps, i, step)
        {
                if (i == 2)
                        return;
                json_array_foreach(json_object_get(step, "ex"), k, exchange)
                {
                        const char *hex = json_string_value(json_array_get(exchange, 1));
                        uint8_t said[1024];
                        const uint8_t *out;
                        ssize_t n;

                        dlms_client_core.output_done(c, dlms_client_core.output(c, &out));
                        if (strcmp(json_string_value(json_array_get(exchange, 0)), "rx") != 0)
                                continue;
                        n = hex_decode(hex, strlen(hex), said, sizeof said);
                        CU_ASSERT_FATAL(n > 0);
                        for (size_t at = 0; at < (size_t)n;) {
                                size_t taken =
                                        offer(&dlms_client_core, c, said + at, (size_t)n - at, 0);

                                replay_events(c, r);
                                if (taken == 0)
                                        break;
                                at += taken;
                        }
                }
        }
}

static void independent_server(void)
{
        static const char *const names[] = { "gurux_peer_h_none", "gurux_peer_h_gmac",
                                             "gurux_peer_h_gmac_ded", "gurux_peer_w_gmac" };
        const char *shared = getenv("HEADRACE_SHARED");
        json_t *all, *line;
        struct dlms_client_config cfg;
        struct replay r;
        char path[4096];
        FILE *f;

        snprintf(path, sizeof path, "%s/vectors/sessions.jsonl", shared ? shared : "../shared");
        f = fopen(path, "rb");
        if (!f) { /* the other tests need nothing from there */
                printf("SKIP: %s is not on this machine\n", path);
                return;
        }
        all = json_array();
        while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)))
                json_array_append_new(all, line);
        fclose(f);
        if (!crypto_client)
                crypto_client = dlms_crypto_new();
        for (int i = 0; i < 4; i++) {
                as_recorded(&cfg, recorded(all, names[i]));
                CU_ASSERT_EQUAL_FATAL(dlms_client_init(&pair.client, &cfg), 0);
                replay(recorded(all, names[i]), &pair.client, &r);
                if (r.failed)
                        printf("%s: %s\n", names[i], dlms_error_text(r.failed));
                CU_ASSERT(r.associated);
                CU_ASSERT_EQUAL(r.results, 1);
                CU_ASSERT(r.len == 14 && r.data[0] == AXDR_OCTET_STRING && r.data[2] == 0x07);
                if (cfg.auth != DLMS_AUTH_GMAC)
                        continue;
                /* The same with secrets that are not the meter's: each has its own name. */
                cfg.keys.ek[0] ^= 1;
                CU_ASSERT_EQUAL_FATAL(dlms_client_init(&pair.client, &cfg), 0);
                replay(recorded(all, names[i]), &pair.client, &r);
                CU_ASSERT_EQUAL(r.failed, DLMS_E_ENCRYPTION_KEY);
                cfg.keys.ek[0] ^= 1;
                cfg.keys.ak[0] ^= 1;
                CU_ASSERT_EQUAL_FATAL(dlms_client_init(&pair.client, &cfg), 0);
                replay(recorded(all, names[i]), &pair.client, &r);
                CU_ASSERT_EQUAL(r.failed, DLMS_E_AUTHENTICATION_KEY);
                cfg.keys.ak[0] ^= 1;
                /* A replayed session: our challenge is fresh, the meter's answer is not. */
                cfg.challenge[0] ^= 1;
                CU_ASSERT_EQUAL_FATAL(dlms_client_init(&pair.client, &cfg), 0);
                replay(recorded(all, names[i]), &pair.client, &r);
                CU_ASSERT_EQUAL(r.failed, DLMS_E_HLS_SERVER);
        }
        json_decref(all);
}

static void size(void)
{
        printf("sizeof struct dlms_client %zu, dlms_server %zu\n", sizeof(struct dlms_client),
               sizeof(struct dlms_server));
        CU_ASSERT(sizeof(struct dlms_client) <= 8192);
}

HR_TESTS("dlms session", { "whole frames, every framing and authentication", whole },
         { "byte by byte", byte_by_byte }, { "HDLC windows and lengths", windows },
         { "HDLC addresses of 1 and 4 bytes", one_byte_addresses },
         { "cut after every byte, then silence", cut_everywhere },
         { "wrong secrets are told apart", wrong_secrets }, { "invocation counters", counters },
         { "damaged HDLC frames are repeated", noise },
         { "sessions recorded with an independent server", independent_server },
         { "closed by the peer", closed_by_peer }, { "an active session fits 8 KB", size })
