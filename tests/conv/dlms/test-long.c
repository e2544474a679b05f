/* What does not fit one APDU: SET and ACTION in blocks, answers in blocks; and lists of them. */
#include "meter.h"
#include "pair.h"

#include "dlms/axdr.h"

enum { STORE_MAX = 9000, SCRATCH = 12000 };

/* One register that keeps what is written, one method that returns what it is given, doubled. */
struct store {
        uint8_t value[STORE_MAX];
        size_t len;
        unsigned sets, actions;
};

static unsigned store_get(void *arg, const struct dlms_attr *attr,
                          const struct dlms_selection *selection, struct axdr_writer *w)
{
        struct store *s = arg;

        (void)attr, (void)selection;
        axdr_put_raw(w, s->value, s->len);
        return 0;
}

static unsigned store_set(void *arg, const struct dlms_attr *attr, const uint8_t *data, size_t n)
{
        struct store *s = arg;

        if (attr->id == 9)
                return DLMS_ACCESS_READ_WRITE_DENIED;
        if (n > sizeof s->value)
                return DLMS_ACCESS_SCOPE_VIOLATED;
        memcpy(s->value, data, n);
        s->len = n;
        s->sets++;
        return 0;
}

static unsigned store_action(void *arg, const struct dlms_attr *method, const uint8_t *params,
                             size_t n, struct axdr_writer *ret)
{
        struct store *s = arg;

        s->actions++;
        if (method->id == 9)
                return DLMS_ACCESS_TEMPORARY_FAILURE;
        if (n > 0 && method->id != 2) {
                axdr_put_byte(ret, AXDR_STRUCTURE);
                axdr_put_length(ret, 2);
                axdr_put_raw(ret, params, n);
                axdr_put_raw(ret, params, n);
        }
        return 0;
}

static const struct dlms_server_objects objects = { store_get, store_set, store_action };

struct bench {
        struct joined j;
        struct store store;
        struct dlms_client_config ccfg;
        struct dlms_server_config scfg;
        uint8_t client_scratch[2 * SCRATCH], server_scratch[2 * SCRATCH];
        uint8_t value[STORE_MAX];
        size_t value_len;
        int step;
        unsigned results[8], n_results;
        size_t lens[8];
        bool echoed;
};

static struct dlms_crypto *crypto[2];
static struct bench bench;

static void setup(enum dlms_framing framing, enum meter_auth auth, size_t size, uint16_t pdu)
{
        static const uint8_t challenge[16] = { 3, 1, 4, 1, 5, 9, 2, 6 };
        struct axdr_writer w;

        if (!crypto[0]) {
                crypto[0] = dlms_crypto_new();
                crypto[1] = dlms_crypto_new();
        }
        memset(&bench, 0, sizeof bench);
        meter_settings(framing, auth, false, false, crypto[0], &bench.ccfg, &bench.scfg);
        bench.scfg.crypto = crypto[1];
        bench.scfg.objects = &objects;
        bench.scfg.max_pdu = pdu;
        bench.ccfg.max_pdu = pdu;
        bench.ccfg.scratch = bench.client_scratch;
        bench.ccfg.scratch_size = sizeof bench.client_scratch;
        bench.j.chunk = SIZE_MAX;
        bench.j.now = 1000;
        w = axdr_writer_of(bench.value, sizeof bench.value);
        axdr_put_byte(&w, AXDR_OCTET_STRING);
        axdr_put_length(&w, size);
        for (size_t i = 0; i < size; i++)
                axdr_put_byte(&w, (uint8_t)(i * 7 + i / 256));
        CU_ASSERT_FATAL(!w.failed);
        bench.value_len = w.len;
        CU_ASSERT_EQUAL_FATAL(dlms_client_init(&bench.j.client, &bench.ccfg), 0);
        CU_ASSERT_EQUAL_FATAL(dlms_server_init(&bench.j.server, &bench.scfg, &bench.j.counters,
                                               &bench.store, bench.server_scratch,
                                               sizeof bench.server_scratch, challenge, 1000),
                              0);
        CU_ASSERT_EQUAL_FATAL(dlms_client_open(&bench.j.client, 1000), 0);
}

static void note(const struct dlms_event *ev)
{
        if (bench.n_results < 8) {
                bench.results[bench.n_results] = ev->result;
                bench.lens[bench.n_results++] = ev->len;
        }
}

/* Writes a long value, reads it back, calls a method with it, closes. */
static void there_and_back(struct joined *j, const struct dlms_event *ev)
{
        const struct dlms_attr attr = DLMS_ATTR(1, 0, 0, 96, 1, 0, 255, 2);
        const struct dlms_attr method = DLMS_ATTR(1, 0, 0, 96, 1, 0, 255, 1);

        if (ev->type == DLMS_EV_RESULT && !ev->last)
                return;
        switch (bench.step++) {
        case 0:
                CU_ASSERT_EQUAL(
                        dlms_client_set(&j->client, &attr, bench.value, bench.value_len, j->now),
                        0);
                return;
        case 1:
                note(ev);
                CU_ASSERT_EQUAL(dlms_client_get(&j->client, &attr, NULL, j->now), 0);
                return;
        case 2:
                note(ev);
                bench.echoed =
                        ev->len == bench.value_len && memcmp(ev->data, bench.value, ev->len) == 0;
                CU_ASSERT_EQUAL(dlms_client_action(&j->client, &method, bench.value,
                                                   bench.value_len, j->now),
                                0);
                return;
        case 3:
                note(ev);
                bench.echoed &=
                        ev->len == 2 + 2 * bench.value_len &&
                        memcmp(ev->data + 2, bench.value, bench.value_len) == 0 &&
                        memcmp(ev->data + 2 + bench.value_len, bench.value, bench.value_len) == 0;
                CU_ASSERT_EQUAL(dlms_client_close(&j->client, j->now), 0);
                return;
        default:
                CU_FAIL("unexpected event");
        }
}

static void check_there_and_back(void)
{
        if (bench.j.failed)
                printf("%s ", dlms_error_text(bench.j.failure.error));
        CU_ASSERT(bench.j.closed && !bench.j.failed);
        CU_ASSERT_EQUAL(bench.n_results, 3);
        CU_ASSERT(bench.echoed);
        CU_ASSERT_EQUAL(bench.store.sets, 1);
        CU_ASSERT_EQUAL(bench.store.actions, 1);
}

static void values_of_every_length(void)
{
        static const size_t sizes[] = { 0, 1, 100, 150, 200, 255, 256, 400, 1000, 2500, 4000 };
        static const enum meter_auth kinds[] = { METER_NONE, METER_GMAC };

        for (size_t k = 0; k < 4; k++)
                for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                        setup(k & 1 ? DLMS_FRAMING_HDLC : DLMS_FRAMING_WRAPPER, kinds[k / 2],
                              sizes[i], 256);
                        bench.j.on_event = there_and_back;
                        joined_run(&bench.j);
                        check_there_and_back();
                }
}

/* Around the size where one APDU becomes two: no length may fall between. */
static void at_the_edge(void)
{
        for (size_t size = 180; size < 260; size++)
                for (size_t chunk = 1; chunk < 300; chunk += 298) {
                        setup(DLMS_FRAMING_WRAPPER, METER_GMAC, size, 256);
                        bench.j.on_event = there_and_back;
                        bench.j.chunk = chunk;
                        joined_run(&bench.j);
                        check_there_and_back();
                }
}

static void lost_frames_are_repeated(void)
{
        for (size_t at = 200; at < 6000; at += 97) {
                setup(DLMS_FRAMING_HDLC, METER_GMAC, 900, 256);
                bench.j.client.cfg.retries = 2;
                bench.j.on_event = there_and_back;
                bench.j.drop_from = at;
                bench.j.drop_to = at + 1;
                joined_run(&bench.j);
                check_there_and_back();
        }
}

/* ---- refusals ---- */

static void one_set(struct joined *j, const struct dlms_event *ev)
{
        const struct dlms_attr attr = DLMS_ATTR(1, 0, 0, 96, 1, 0, 255, 9);

        if (bench.step++ == 0) {
                CU_ASSERT_EQUAL(
                        dlms_client_set(&j->client, &attr, bench.value, bench.value_len, j->now),
                        0);
                return;
        }
        note(ev);
        CU_ASSERT_EQUAL(dlms_client_close(&j->client, j->now), 0);
}

static void a_refused_long_set(void)
{
        setup(DLMS_FRAMING_WRAPPER, METER_NONE, 3000, 256);
        bench.j.on_event = one_set;
        joined_run(&bench.j);
        CU_ASSERT(bench.j.closed);
        CU_ASSERT_EQUAL(bench.n_results, 1);
        CU_ASSERT_EQUAL(bench.results[0], DLMS_ACCESS_READ_WRITE_DENIED);
        CU_ASSERT_EQUAL(bench.store.sets, 0);
        /* Larger than the meter can put together: it says so, in the middle. */
        setup(DLMS_FRAMING_WRAPPER, METER_NONE, 8000, 256);
        bench.j.server.scratch_size = 1000;
        bench.j.on_event = one_set;
        joined_run(&bench.j);
        CU_ASSERT(bench.j.closed);
        CU_ASSERT_EQUAL(bench.results[0], DLMS_ACCESS_LONG_SET_ABORTED);
}

static void not_granted(struct joined *j, const struct dlms_event *ev)
{
        const struct dlms_attr attr = DLMS_ATTR(1, 0, 0, 96, 1, 0, 255, 2);

        (void)ev;
        bench.results[0] =
                (unsigned)dlms_client_set(&j->client, &attr, bench.value, bench.value_len, j->now);
        bench.results[1] = (unsigned)dlms_client_action(&j->client, &attr, bench.value,
                                                        bench.value_len, j->now);
        bench.results[2] = (unsigned)dlms_client_set_list(&j->client, &attr, 1, bench.value,
                                                          bench.value_len, j->now);
        CU_ASSERT_EQUAL(dlms_client_close(&j->client, j->now), 0);
}

static void blocks_the_meter_did_not_grant(void)
{
        setup(DLMS_FRAMING_WRAPPER, METER_NONE, 3000, 256);
        bench.scfg.conformance = DLMS_CONF_GET | DLMS_CONF_SET | DLMS_CONF_ACTION;
        bench.j.on_event = not_granted;
        joined_run(&bench.j);
        CU_ASSERT(bench.j.closed);
        CU_ASSERT_EQUAL(bench.results[0], DLMS_E_TOO_LONG);
        CU_ASSERT_EQUAL(bench.results[1], DLMS_E_TOO_LONG);
        CU_ASSERT_EQUAL(bench.results[2], DLMS_E_TOO_LONG);
}

/* ---- lists ---- */

static const uint8_t three_values[] = { 0x12, 0x00, 0x07, 0x00, 0x09, 0x03, 'a', 'b', 'c' };

static void lists(struct joined *j, const struct dlms_event *ev)
{
        const struct dlms_attr attrs[3] = { DLMS_ATTR(1, 0, 0, 96, 1, 0, 255, 2),
                                            DLMS_ATTR(1, 0, 0, 96, 1, 1, 255, 9),
                                            DLMS_ATTR(1, 0, 0, 96, 1, 2, 255, 1) };

        if (ev->type == DLMS_EV_RESULT) {
                CU_ASSERT_EQUAL(ev->index, bench.n_results % 3);
                note(ev);
                if (!ev->last)
                        return;
        }
        switch (bench.step++) {
        case 0:
                CU_ASSERT_EQUAL(dlms_client_set_list(&j->client, attrs, 3, three_values, 8, j->now),
                                DLMS_E_ARGUMENT);
                CU_ASSERT_EQUAL(dlms_client_set_list(&j->client, attrs, 3, three_values,
                                                     sizeof three_values, j->now),
                                0);
                return;
        case 1:
                CU_ASSERT_EQUAL(dlms_client_action_list(&j->client, attrs, 3, three_values,
                                                        sizeof three_values, j->now),
                                0);
                return;
        default:
                CU_ASSERT_EQUAL(dlms_client_close(&j->client, j->now), 0);
        }
}

static void several_at_once(void)
{
        static const unsigned want[6] = { 0, DLMS_ACCESS_READ_WRITE_DENIED, 0,
                                          0, DLMS_ACCESS_TEMPORARY_FAILURE, 0 };

        for (int k = 0; k < 2; k++) {
                setup(DLMS_FRAMING_HDLC, k ? METER_GMAC : METER_NONE, 1, 256);
                bench.j.on_event = lists;
                joined_run(&bench.j);
                CU_ASSERT(bench.j.closed && !bench.j.failed);
                CU_ASSERT_EQUAL(bench.n_results, 6);
                for (int i = 0; i < 6; i++)
                        CU_ASSERT_EQUAL(bench.results[i], want[i]);
                CU_ASSERT_EQUAL(bench.lens[5], 2 + 2 * 5);
                CU_ASSERT_EQUAL(bench.store.sets, 2);
                CU_ASSERT_EQUAL(bench.store.actions, 3);
        }
}

HR_TESTS("dlms long requests", { "values of every length", values_of_every_length },
         { "around the size of an APDU", at_the_edge },
         { "lost frames are repeated", lost_frames_are_repeated },
         { "a refused long SET", a_refused_long_set },
         { "blocks the meter did not grant", blocks_the_meter_did_not_grant },
         { "lists of SET and ACTION", several_at_once })
