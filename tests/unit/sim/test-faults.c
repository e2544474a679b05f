/* Faults of simulated meters: who has them, what becomes of answers, and that the two the protocol
 * core plays look as they do in the field. */
#include "hr_test.h"

#include "dlms/client.h"
#include "dlms/server.h"
#include "faults.h"
#include "sim.h"

enum { METERS = 300 };

static struct sim sim;

static void make(uint64_t seed)
{
        static struct meter meters[METERS];

        memset(&sim, 0, sizeof sim);
        memset(meters, 0, sizeof meters);
        sim.random = seed;
        sim.opt.now = 1790812800;
        sim.meters = meters;
        sim.n = METERS;
        for (unsigned i = 0; i < METERS; i++)
                meters[i].kind = (enum sim_kind)(i % 3);
}

static unsigned count(enum fault f)
{
        unsigned n = 0;

        for (unsigned i = 0; i < METERS; i++)
                n += (sim.meters[i].faults & f) != 0;
        return n;
}

static void test_spread(void)
{
        uint8_t first[METERS];

        for (int round = 0; round < 2; round++) {
                make(7);
                sim.opt.ahead = 20;
                sim.opt.drift = 30;
                sim.opt.drift_s = 600;
                sim.opt.no_release = 40;
                sim.opt.one_connection = 50;
                sim.opt.breaks = 1000; /* more than there are */
                faults_spread(&sim);
                CU_ASSERT_EQUAL(count(FAULT_AHEAD), 20);
                CU_ASSERT_EQUAL(count(FAULT_DRIFT), 30);
                CU_ASSERT_EQUAL(count(FAULT_NO_RELEASE), 40);
                CU_ASSERT_EQUAL(count(FAULT_ONE_CONNECTION), 50);
                CU_ASSERT_EQUAL(count(FAULT_BREAKS), 200);
                for (unsigned i = 0; i < METERS; i++) {
                        const struct meter *m = &sim.meters[i];

                        CU_ASSERT(m->kind != SIM_MODBUS || m->faults == 0);
                        CU_ASSERT(!(m->faults & FAULT_AHEAD) || m->kind == SIM_DLMS_HDLC);
                        CU_ASSERT_EQUAL(m->ahead > 0, (m->faults & FAULT_AHEAD) != 0);
                        CU_ASSERT(m->drift_s >= -600 && m->drift_s <= 600);
                        CU_ASSERT(m->drift_s == 0 || (m->faults & FAULT_DRIFT));
                        /* The same seed, the same troubles. */
                        CU_ASSERT(round == 0 || first[i] == m->faults);
                        first[i] = m->faults;
                }
        }
}

static void test_answers(void)
{
        unsigned delay, cut = 0, lost = 0, late = 0, n = 20000;

        make(3);
        sim.opt.delay_ms = 300;
        sim.opt.drop = 5;
        sim.opt.late = 10;
        sim.opt.late_ms = 2000;
        for (unsigned i = 0; i < n; i++) {
                struct fault_link l = { 0 };
                enum fault_verdict v = fault_answer(&sim, &l, false, &delay);

                cut += v == FAULT_CUT;
                lost += v == FAULT_LOSE;
                CU_ASSERT(delay == 300 || delay == 2300);
                late += v == FAULT_DELIVER && delay == 2300;
        }
        CU_ASSERT_EQUAL(cut, 0);
        CU_ASSERT(lost > n * 4 / 100 && lost < n * 6 / 100);
        CU_ASSERT(late > n * 8 / 100 && late < n * 11 / 100);
        CU_ASSERT_EQUAL(sim.stats.answers_dropped, lost);
        CU_ASSERT_EQUAL(sim.stats.faults.late, late);
}

static void test_links(void)
{
        unsigned cuts = 0, delay;

        make(4);
        sim.opt.cut = 2;
        for (unsigned i = 0; i < 20000; i++) {
                struct fault_link l;
                enum fault_verdict v = FAULT_DELIVER;

                fault_link_begin(&sim, &l);
                for (unsigned k = 0; k < 10 && v == FAULT_DELIVER; k++)
                        v = fault_answer(&sim, &l, false, &delay);
                cuts += v == FAULT_CUT;
        }
        CU_ASSERT(cuts > 300 && cuts < 500);
        CU_ASSERT_EQUAL(sim.stats.faults.cuts, cuts);
}

/* A transfer has one chance of being reset, however many blocks it has. */
static void test_transfers(void)
{
        unsigned resets = 0, delay;

        make(5);
        sim.opt.reset_transfer = 20;
        for (unsigned i = 0; i < 5000; i++) {
                struct fault_link l = { 0 };
                enum fault_verdict v = FAULT_DELIVER;

                for (unsigned k = 0; k < 30 && v == FAULT_DELIVER; k++)
                        v = fault_answer(&sim, &l, k > 0 && k < 29, &delay);
                resets += v == FAULT_CUT;
        }
        CU_ASSERT(resets > 850 && resets < 1150);
        CU_ASSERT_EQUAL(sim.stats.faults.transfers_reset, resets);
}

/* ---- a client against a meter that misbehaves ---- */

struct talk {
        struct dlms_client client;
        struct dlms_server server;
        struct dlms_server_counters counters;
        uint8_t scratch[4096], client_scratch[4096];
};

static void move(const struct core_ops *from, void *a, const struct core_ops *to, void *b)
{
        const uint8_t *out;
        uint8_t copy[4096];
        size_t n = from->output(a, &out), at = 0;

        memcpy(copy, out, n);
        from->output_done(a, n);
        while (at < n) {
                size_t taken = to->recv(b, copy + at, n - at, 0);

                if (taken == 0)
                        break;
                at += taken;
        }
}

/* The last event of what the client was told to do. */
static struct dlms_event exchange(struct talk *t)
{
        struct dlms_event ev = { 0 }, last = { 0 };

        for (int i = 0; i < 20; i++) {
                move(&dlms_client_core, &t->client, &dlms_server_core, &t->server);
                move(&dlms_server_core, &t->server, &dlms_client_core, &t->client);
                while (dlms_client_next_event(&t->client, &ev))
                        last = ev;
                if (last.type)
                        break;
        }
        return last;
}

static unsigned get_clock(void *meter, const struct dlms_attr *attr,
                          const struct dlms_selection *selection, struct axdr_writer *w)
{
        (void)meter;
        (void)selection;
        axdr_put_uint8(w, (uint8_t)attr->id);
        return 0;
}

static void talk_begin(struct talk *t, struct dlms_server_config *sc)
{
        static const uint8_t challenge[16] = { 1 };
        static const struct dlms_server_objects objects = { .get = get_clock };
        struct dlms_client_config c = { .framing = DLMS_FRAMING_WRAPPER,
                                        .client_sap = 16,
                                        .server_sap = 1,
                                        .scratch = t->client_scratch,
                                        .scratch_size = sizeof t->client_scratch };

        sc->server_sap = 1;
        sc->objects = &objects;
        CU_ASSERT_EQUAL_FATAL(dlms_client_init(&t->client, &c), 0);
        CU_ASSERT_EQUAL_FATAL(dlms_server_init(&t->server, sc, &t->counters, t, t->scratch,
                                               sizeof t->scratch, challenge, 0),
                              0);
        CU_ASSERT_EQUAL(dlms_client_open(&t->client, 0), 0);
        CU_ASSERT_EQUAL(exchange(t).type, DLMS_EV_ASSOCIATED);
}

static void test_breaks_conformance(void)
{
        static const struct dlms_attr two[] = { { 8, { { 0, 0, 1, 0, 0, 255 } }, 2 },
                                                { 8, { { 0, 0, 1, 0, 0, 255 } }, 3 } };
        struct dlms_server_config sc = { .breaks = DLMS_CONF_MULTIPLE_REFERENCES };
        static struct talk t;
        struct dlms_event ev;

        talk_begin(&t, &sc);
        CU_ASSERT(t.client.conformance & DLMS_CONF_MULTIPLE_REFERENCES);
        CU_ASSERT_EQUAL(dlms_client_get(&t.client, &two[0], NULL, 0), 0);
        ev = exchange(&t);
        CU_ASSERT(ev.type == DLMS_EV_RESULT && ev.result == 0);
        CU_ASSERT_EQUAL(dlms_client_get_list(&t.client, two, 2, 0), 0);
        move(&dlms_client_core, &t.client, &dlms_server_core, &t.server);
        const uint8_t *out;
        size_t n = dlms_server_core.output(&t.server, &out);
        /* Behind the wrapper's header: exception, service unknown, not supported. */
        CU_ASSERT(n == 8 + 3 && out[8] == 0xD8 && out[9] == 2 && out[10] == 2);
}

static void test_refuses_release(void)
{
        struct dlms_server_config sc = { .refuses_release = true };
        static struct talk t;
        const uint8_t *out;
        size_t n;

        talk_begin(&t, &sc);
        CU_ASSERT_EQUAL(dlms_client_close(&t.client, 0), 0);
        move(&dlms_client_core, &t.client, &dlms_server_core, &t.server);
        n = dlms_server_core.output(&t.server, &out);
        CU_ASSERT(n == 8 + 3 && out[8] == 0xD8);
        CU_ASSERT_FALSE(dlms_server_done(&t.server));
}

HR_TESTS("sim-faults", { "who has which fault", test_spread },
         { "answers lost and late", test_answers }, { "connections cut", test_links },
         { "transfers reset", test_transfers },
         { "grants with-list and refuses it", test_breaks_conformance },
         { "refuses the release", test_refuses_release })
