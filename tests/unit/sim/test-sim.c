/*
 * A small town, asked by others: libmodbus, our DLMS client over both framings, our CoAP server.
 * The simulator runs as a child; what it answers is compared with the meters' own arithmetic.
 */
#include <jansson.h>
#include <netinet/in.h>
#include <sys/poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "coap.h"
#include "dlms/client.h"
#include "dlms/profile.h"
#include "hex.h"
#include "hr_test.h"
#include "payload.h"
#include "town.h"

#include "../../conv/modbus/oracle.h"

static struct town town;

static void same_meter(enum sim_kind kind, unsigned number, struct meter *ret)
{
        town_meter(&town, kind, number, ret);
}

static uint16_t port_of(json_t *m)
{
        return (uint16_t)json_integer_value(json_object_get(json_object_get(m, "address"), "port"));
}

static void check_modbus(json_t *fleet)
{
        struct meter m;
        uint16_t port = port_of(town_find(fleet, "HR-MODBUS-E1", 2)), w[4] = { 0 };
        int64_t at = TOWN_FROM + 86400 + 4500;
        int x;

        same_meter(SIM_MODBUS, 3, &m);
        CU_ASSERT_EQUAL(oracle_ask(port, 4, 0x100, 2, w, &x), 2);
        CU_ASSERT_EQUAL(((int64_t)w[0] << 16 | w[1]) * 10, meter_register(&m, town.opt.to));
        w[0] = (uint16_t)(at >> 16);
        w[1] = (uint16_t)at;
        CU_ASSERT_EQUAL(oracle_ask(port, 16, 0x200, 2, w, &x), 2);
        CU_ASSERT_EQUAL(oracle_ask(port, 4, 0x100, 2, w, &x), 2);
        CU_ASSERT_EQUAL(((int64_t)w[0] << 16 | w[1]) * 10, meter_register(&m, at));
        CU_ASSERT_EQUAL(oracle_ask(port, 4, 0x110, 2, w, &x), 2);
        CU_ASSERT_EQUAL((int64_t)w[0] << 16 | w[1], meter_power(&m, town.opt.to - 1));
        w[0] = w[1] = 0xFFFF;
        CU_ASSERT_EQUAL(oracle_ask(port, 16, 0x200, 2, w, &x), -1);
        CU_ASSERT_EQUAL(x, 3);
        CU_ASSERT_EQUAL(oracle_ask(port, 4, 0x300, 1, w, &x), -1);
        CU_ASSERT_EQUAL(x, 2);
}

static struct dlms_client client;
static uint8_t scratch[256 * 1024];

/* Drives the session until its next event; false when the connection is gone first. */
static bool await(int fd, struct dlms_event *ev)
{
        static uint8_t in[4096];
        static size_t have;

        if (!ev) {
                have = 0;
                return true;
        }
        while (!dlms_client_next_event(&client, ev)) {
                const uint8_t *out;
                size_t n, taken;

                while ((n = dlms_client_core.output(&client, &out)) > 0) {
                        CU_ASSERT_EQUAL_FATAL(write(fd, out, n), (ssize_t)n);
                        dlms_client_core.output_done(&client, n);
                }
                if (have == 0) {
                        struct pollfd p = { .fd = fd, .events = POLLIN };
                        ssize_t got = poll(&p, 1, 5000) == 1 ? read(fd, in, sizeof in) : -1;

                        if (got <= 0)
                                return false;
                        have = (size_t)got;
                }
                taken = dlms_client_core.recv(&client, in, have, 0);
                memmove(in, in + taken, have - taken);
                have -= taken;
        }
        return ev->type != DLMS_EV_FAILED;
}

static int connect_to(uint16_t port)
{
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                 .sin_port = htons(port) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        return fd;
}

/* A GET's value into *@ev. */
static void get(int fd, struct dlms_attr attr, const struct dlms_selection *sel,
                struct dlms_event *ev)
{
        CU_ASSERT_EQUAL_FATAL(dlms_client_get(&client, &attr, sel, 0), 0);
        CU_ASSERT_TRUE_FATAL(await(fd, ev));
        CU_ASSERT_EQUAL(ev->type, DLMS_EV_RESULT);
        CU_ASSERT_EQUAL(ev->result, 0);
}

static void check_profile(int fd, const struct meter *m, bool intervals)
{
        const struct dlms_attr buffer = DLMS_ATTR(7, 1, 0, 99, 1, 0, 255, 2);
        const struct dlms_attr capture = DLMS_ATTR(7, 1, 0, 99, 1, 0, 255, 3);
        struct profile_columns columns;
        struct profile_reader rows;
        struct profile_row row;
        struct dlms_selection sel;
        uint8_t params[PROFILE_SELECTION_MAX];
        struct dlms_event ev;
        int64_t want = TOWN_FROM + 3600;
        unsigned n = 0;

        get(fd, capture, NULL, &ev);
        CU_ASSERT_EQUAL_FATAL(profile_columns_decode(ev.data, ev.len, &columns), 0);
        sel = profile_select_range(want, want + 30 * 3600, 420, params);
        get(fd, buffer, &sel, &ev);
        CU_ASSERT_EQUAL_FATAL(profile_reader_init(&rows, &columns, 900, ev.data, ev.len), 0);
        while (profile_next(&rows, &row) == 1) {
                int64_t v = -1;

                CU_ASSERT_EQUAL(row.time, want);
                CU_ASSERT_TRUE(axdr_is_integer(&row.value[1], &v));
                CU_ASSERT_EQUAL(v, intervals ? meter_interval(m, want - 900)
                                             : meter_register(m, want));
                want += 900;
                n++;
        }
        CU_ASSERT_EQUAL(n, 121);
        get(fd, buffer, NULL, &ev);
        CU_ASSERT_EQUAL_FATAL(profile_reader_init(&rows, &columns, 900, ev.data, ev.len), 0);
        for (n = 0; profile_next(&rows, &row) == 1; n++)
                ;
        CU_ASSERT_EQUAL(n, intervals ? 192 : 193);
}

static void check_dlms(json_t *meter, enum sim_kind kind, struct dlms_crypto *crypto)
{
        struct dlms_client_config cfg = { .server_sap = 1,
                                          .client_sap = kind == SIM_DLMS_HDLC ? 1 : 16,
                                          .scratch = scratch,
                                          .scratch_size = sizeof scratch };
        struct dlms_event ev;
        struct meter m;
        int64_t v = 0;
        struct axdr_reader r;
        struct axdr_value value;
        int fd = connect_to(port_of(meter));

        same_meter(kind, 1, &m);
        if (kind == SIM_DLMS_HDLC) {
                const char *guek =
                        json_string_value(json_object_get(json_object_get(meter, "keys"), "guek"));

                cfg.framing = DLMS_FRAMING_HDLC;
                cfg.auth = DLMS_AUTH_GMAC;
                cfg.policy = DLMS_POLICY_AUTHENTICATED_ENCRYPTED;
                cfg.crypto = crypto;
                cfg.challenge_len = 16;
                cfg.ic_first = 1;
                cfg.ic_end = 1000;
                memcpy(cfg.client_title, "HEADRACE", 8);
                cfg.keys.has_ek = cfg.keys.has_ak = true;
                CU_ASSERT_EQUAL(hex_decode(guek, strlen(guek), cfg.keys.ek, 16), 16);
                CU_ASSERT_EQUAL(memcmp(cfg.keys.ek, m.guek, 16), 0);
                memcpy(cfg.keys.ak, m.gak, 16);
        }
        await(fd, NULL);
        CU_ASSERT_EQUAL_FATAL(dlms_client_init(&client, &cfg), 0);
        CU_ASSERT_EQUAL_FATAL(dlms_client_open(&client, 0), 0);
        CU_ASSERT_TRUE_FATAL(await(fd, &ev));
        CU_ASSERT_EQUAL(ev.type, DLMS_EV_ASSOCIATED);
        get(fd, DLMS_ATTR(3, 1, 0, 1, 8, 0, 255, 2), NULL, &ev);
        axdr_reader_init(&r, ev.data, ev.len);
        CU_ASSERT_TRUE(axdr_next(&r, &value) && axdr_is_integer(&value, &v));
        CU_ASSERT_EQUAL(v, meter_register(&m, town.opt.to));
        check_profile(fd, &m, kind == SIM_DLMS_WRAPPER);
        CU_ASSERT_EQUAL(dlms_client_close(&client, 0), 0);
        CU_ASSERT_TRUE(await(fd, &ev));
        CU_ASSERT_EQUAL(ev.type, DLMS_EV_CLOSED);
        dlms_client_deinit(&client);
        close(fd);
}

static void polled_meters(void)
{
        char wrapper[] = "--dlms-wrapper=10", hdlc[] = "--dlms-hdlc=10", modbus[] = "--modbus=10",
             unknown[] = "--unknown=1";
        char *args[] = { wrapper, hdlc, modbus, unknown, NULL };
        struct dlms_crypto *crypto = dlms_crypto_new();
        json_t *fleet;

        town_start(&town, args);
        fleet = town_fleet(&town);
        CU_ASSERT_EQUAL(json_array_size(json_object_get(fleet, "meters")), 29);
        /* The first of the fleet is the one it does not know. */
        CU_ASSERT_STRING_EQUAL(
                json_string_value(json_object_get(town_find(fleet, "HR-DLMS-W", 0), "serial")),
                "HRW000002");
        check_modbus(fleet);
        check_dlms(town_find(fleet, "HR-DLMS-H", 0), SIM_DLMS_HDLC, crypto);
        json_decref(fleet);
        town_stop(&town);
        args[3] = NULL;
        town_start(&town, args);
        fleet = town_fleet(&town);
        check_dlms(town_find(fleet, "HR-DLMS-W", 0), SIM_DLMS_WRAPPER, crypto);
        json_decref(fleet);
        town_stop(&town);
        dlms_crypto_free(crypto);
}

/* The receiving end of the CoAP meters. */
enum { RECEIVED_METERS = 6, RECEIVED_QUARTERS = 2 * 96 };

struct receiver {
        uv_loop_t loop;
        uv_timer_t timer;
        struct coap_server *server;
        unsigned requests, wrong;
        /* Each value once, however often a meter sends it: retransmission is CoAP's right. */
        bool seen[RECEIVED_METERS + 1][2][RECEIVED_QUARTERS + 1];
        size_t values;
        int status;
        bool closed;
};

static size_t find_key(void *arg, const char *identity, uint8_t *key, size_t cap)
{
        struct meter m;
        unsigned number;

        (void)arg;
        if (cap < METER_KEY_SIZE || sscanf(identity, "HRC%6u", &number) != 1)
                return 0;
        same_meter(SIM_COAP, number, &m);
        memcpy(key, m.psk, METER_KEY_SIZE);
        return METER_KEY_SIZE;
}

static void count_once(struct receiver *r, unsigned meter, const struct payload_record *v)
{
        int64_t quarter = (v->at - TOWN_FROM) / 900;
        bool *seen;

        if (meter > RECEIVED_METERS || quarter < 0 || quarter > RECEIVED_QUARTERS) {
                r->wrong++;
                return;
        }
        seen = &r->seen[meter][v->channel->kind == CHANNEL_INTERVAL][quarter];
        r->values += !*seen;
        *seen = true;
}

/* Refuses every fifth: it must come again. */
static void on_request(void *arg, struct coap_exchange *x, const struct coap_input *in)
{
        struct receiver *r = arg;
        struct payload_field fields[2] = {
                { .name = "heat.energy",
                  .channel = channel_by_code("heat.energy"),
                  .period_s = 900 },
                { .name = "heat.energy.total", .channel = channel_by_code("heat.energy.total") },
        };
        struct payload_map map = { .fields = fields, .n_fields = 2 };
        struct payload_record records[64];
        struct payload_result result = { .records = records, .max = 64 };
        char text[PAYLOAD_ERROR_TEXT];
        struct meter m;
        unsigned number = 0;

        if (r->requests++ % 5 == 0) {
                coap_exchange_answer(x, COAP_UNAVAILABLE, NULL);
                return;
        }
        r->wrong += payload_senml_decode(in->body, in->len, &map, 0, &result, text) != PAYLOAD_OK;
        r->wrong += strcmp(result.identity, in->identity) != 0 || in->content_format != 110;
        sscanf(in->identity, "HRC%6u", &number);
        same_meter(SIM_COAP, number, &m);
        for (size_t i = 0; i < result.n; i++) {
                r->wrong += records[i].value != (records[i].channel->kind == CHANNEL_INTERVAL
                                                         ? meter_interval(&m, records[i].at)
                                                         : meter_register(&m, records[i].at));
                count_once(r, number, &records[i]);
        }
        coap_exchange_answer(x, COAP_CHANGED, NULL);
}

static void on_closed(void *arg)
{
        ((struct receiver *)arg)->closed = true;
}

static void on_timer(uv_timer_t *t)
{
        struct receiver *r = t->data;

        if (waitpid(town.child, &r->status, WNOHANG) != town.child)
                return;
        uv_close((uv_handle_t *)t, NULL);
        coap_server_close(r->server);
}

static uint16_t free_port(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof a;
        int fd = socket(AF_INET, SOCK_DGRAM, 0);

        CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&a, len), 0);
        getsockname(fd, (struct sockaddr *)&a, &len);
        close(fd);
        return ntohs(a.sin_port);
}

static void coap_meters(void)
{
        static const char *const paths[] = { "v1/telemetry", NULL };
        static const struct coap_handlers handlers = { find_key, on_request, on_closed };
        char count[] = "--coap=6", server[64], leave[] = "--exit", sessions[] = "--coap-sessions=2";
        char *args[] = { count, server, leave, sessions, NULL };
        struct coap_config cfg = { .address = "127.0.0.1", .port = free_port(), .paths = paths };
        struct receiver r = { .status = -1 };

        snprintf(server, sizeof server, "--coap-server=127.0.0.1:%u", cfg.port);
        /* The child before the server: it must wait for it. */
        town_start(&town, args);
        uv_loop_init(&r.loop);
        uv_timer_init(&r.loop, &r.timer);
        r.timer.data = &r;
        uv_timer_start(&r.timer, on_timer, 20, 20);
        CU_ASSERT_EQUAL_FATAL(coap_server_open(&r.server, &r.loop, &cfg, &handlers, &r), 0);
        uv_run(&r.loop, UV_RUN_DEFAULT);
        uv_loop_close(&r.loop);
        CU_ASSERT_TRUE(r.closed);
        CU_ASSERT_EQUAL(r.status, 0);
        CU_ASSERT_EQUAL(r.wrong, 0);
        /* Two days: 12 messages of 16 intervals and a register each. */
        CU_ASSERT_EQUAL(r.values, 6 * 12 * 17);
        CU_ASSERT_TRUE(r.requests > 6 * 12);
}

static void options_are_checked(void)
{
        static const struct {
                const char *arg;
                enum sim_parsed want;
        } cases[] = {
                { "--modbus=3", SIM_RUN },
                { "--meters=x", SIM_EXIT_USAGE },
                { "--modbus", SIM_EXIT_USAGE },
                { "--mqtt=1", SIM_EXIT_USAGE },
                { "--nothing", SIM_EXIT_USAGE },
                { "--drop=101", SIM_EXIT_USAGE },
                { "--from=2199-01-01", SIM_EXIT_USAGE },
                { "--to=2199-01-01", SIM_EXIT_USAGE },
                { "--broker=here", SIM_EXIT_USAGE },
                { "--utc-offset=7", SIM_EXIT_USAGE },
        };
        struct sim_options o;

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                char name[] = "headrace-sim", arg[64];
                char *argv[] = { name, arg, NULL };

                snprintf(arg, sizeof arg, "%s", cases[i].arg);
                CU_ASSERT_EQUAL(sim_options_parse(2, argv, &o), cases[i].want);
        }
}

static void prepare(void)
{
        town_init(&town);
}

static void clean(void)
{
        town_deinit(&town);
}

HR_TESTS("simulator", { "a place for files", prepare },
         { "options are checked", options_are_checked },
         { "polled meters answer independent clients", polled_meters },
         { "CoAP meters deliver everything once acknowledged", coap_meters },
         { "and leave nothing", clean })
