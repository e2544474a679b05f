/*
 * Every service between our client and our meter: the same items give the same results in whatever
 * form the meter grants or breaks, in one APDU or in blocks, plain or ciphered, over any framing.
 */
#include "meter.h"
#include "pair.h"

#include "dlms/access.h"
#include "dlms/apdu.h"
#include "dlms/axdr.h"

enum { SCRATCH = 48000, VALUE_MAX = 9000, ITEMS = 6, SLOTS = 8 };

/* ---- a meter with eight values of any length ---- */

struct vault {
        uint8_t value[SLOTS][VALUE_MAX];
        size_t len[SLOTS];
        unsigned gets, sets, actions;
};

static unsigned slot_of(const struct dlms_attr *attr)
{
        return attr->obis.v[4];
}

static unsigned vault_get(void *arg, const struct dlms_attr *attr,
                          const struct dlms_selection *selection, struct axdr_writer *w)
{
        struct vault *v = arg;

        v->gets++;
        if (attr->class_id != 1 || slot_of(attr) >= SLOTS)
                return DLMS_ACCESS_OBJECT_UNDEFINED;
        if (selection->selector) { /* says what was selected */
                axdr_put_structure(w, 2);
                axdr_put_uint8(w, selection->selector);
                axdr_put_raw(w, selection->params, selection->n);
                return 0;
        }
        axdr_put_raw(w, v->value[slot_of(attr)], v->len[slot_of(attr)]);
        return 0;
}

static unsigned vault_set(void *arg, const struct dlms_attr *attr, const uint8_t *data, size_t n)
{
        struct vault *v = arg;

        if (slot_of(attr) >= SLOTS)
                return DLMS_ACCESS_READ_WRITE_DENIED;
        if (n > VALUE_MAX)
                return DLMS_ACCESS_SCOPE_VIOLATED;
        memcpy(v->value[slot_of(attr)], data, n);
        v->len[slot_of(attr)] = n;
        v->sets++;
        return 0;
}

/* Gives its parameters back; without any, nothing. */
static unsigned vault_action(void *arg, const struct dlms_attr *method, const uint8_t *params,
                             size_t n, struct axdr_writer *ret)
{
        struct vault *v = arg;

        v->actions++;
        if (slot_of(method) >= SLOTS)
                return DLMS_ACCESS_OBJECT_UNAVAILABLE;
        if (params)
                axdr_put_raw(ret, params, n);
        return 0;
}

static const struct dlms_server_objects objects = { vault_get, vault_set, vault_action };

/* ---- the application: asks once, notes what comes, closes ---- */

struct answer {
        unsigned result;
        size_t len;
        uint8_t *data; /* owned */
};

static struct {
        struct joined j;
        struct vault vault;
        struct dlms_client_config ccfg;
        struct dlms_server_config scfg;
        uint8_t client_scratch[SCRATCH], server_scratch[SCRATCH];
        struct dlms_item items[DLMS_CLIENT_LIST_MAX];
        size_t n_items;
        struct answer answers[DLMS_CLIENT_LIST_MAX];
        size_t n_answers;
        int refused; /* by the client itself */
        uint32_t requests;
        bool asked;
} b;

static struct dlms_crypto *crypto[2];
static uint8_t values[ITEMS][VALUE_MAX];
static size_t value_len[ITEMS];

static const struct dlms_attr attrs[ITEMS] = {
        { 1, { { 0, 0, 96, 1, 0, 255 } }, 2 }, { 1, { { 0, 0, 96, 1, 1, 255 } }, 2 },
        { 1, { { 0, 0, 96, 1, 2, 255 } }, 2 }, { 1, { { 0, 0, 96, 1, 9, 255 } }, 2 },
        { 1, { { 0, 0, 96, 1, 4, 255 } }, 2 }, { 1, { { 0, 0, 96, 1, 5, 255 } }, 2 },
};

static void make_values(size_t size)
{
        for (size_t i = 0; i < ITEMS; i++) {
                struct axdr_writer w = axdr_writer_of(values[i], VALUE_MAX);

                axdr_put_byte(&w, AXDR_OCTET_STRING);
                axdr_put_length(&w, size + i);
                for (size_t k = 0; k < size + i; k++)
                        axdr_put_byte(&w, (uint8_t)(k * 31 + i + k / 251));
                CU_ASSERT_FATAL(!w.failed);
                value_len[i] = w.len;
        }
}

static void forget(void)
{
        for (size_t i = 0; i < b.n_answers; i++)
                free(b.answers[i].data);
        b.n_answers = 0;
}

/* Both ends, the meter's values of @size bytes and more, largest APDU @pdu. */
static void setup_with(enum dlms_framing framing, enum meter_auth auth, bool general, size_t size,
                       uint16_t pdu)
{
        if (!crypto[0]) {
                crypto[0] = dlms_crypto_new();
                crypto[1] = dlms_crypto_new();
        }
        forget();
        memset(&b, 0, sizeof b);
        meter_settings(framing, auth, general, false, crypto[0], &b.ccfg, &b.scfg);
        b.scfg.crypto = crypto[1];
        b.scfg.objects = &objects;
        b.scfg.max_pdu = b.ccfg.max_pdu = pdu;
        b.ccfg.ic_end = 100000;
        b.ccfg.scratch = b.client_scratch;
        b.ccfg.scratch_size = sizeof b.client_scratch;
        b.j.chunk = SIZE_MAX;
        b.j.now = 1000;
        make_values(size);
        for (size_t i = 0; i < ITEMS; i++) {
                memcpy(b.vault.value[i], values[i], value_len[i]);
                b.vault.len[i] = value_len[i];
        }
}

static void setup(enum dlms_framing framing, enum meter_auth auth, size_t size, uint16_t pdu)
{
        setup_with(framing, auth, true, size, pdu);
}

static void on_event(struct joined *j, const struct dlms_event *ev)
{
        struct answer *a;

        if (!b.asked) {
                b.asked = true;
                b.requests = j->server.requests;
                b.refused = dlms_client_ask(&j->client, b.items, b.n_items, j->now);
                if (b.refused)
                        dlms_client_close(&j->client, j->now);
                return;
        }
        CU_ASSERT_EQUAL_FATAL(ev->type, DLMS_EV_RESULT);
        CU_ASSERT_FATAL(b.n_answers < DLMS_CLIENT_LIST_MAX);
        CU_ASSERT_EQUAL(ev->index, b.n_answers);
        a = &b.answers[b.n_answers++];
        a->result = ev->result;
        a->len = ev->len;
        a->data = malloc(ev->len ? ev->len : 1);
        if (ev->len)
                memcpy(a->data, ev->data, ev->len);
        if (!ev->last)
                return;
        b.requests = j->server.requests - b.requests;
        CU_ASSERT_EQUAL(b.n_answers, b.n_items);
        CU_ASSERT_EQUAL(dlms_client_close(&j->client, j->now), 0);
}

static void run(void)
{
        static const uint8_t challenge[16] = { 2, 7, 1, 8, 2, 8, 1, 8 };

        b.j.on_event = on_event;
        CU_ASSERT_EQUAL_FATAL(dlms_client_init(&b.j.client, &b.ccfg), 0);
        CU_ASSERT_EQUAL_FATAL(dlms_server_init(&b.j.server, &b.scfg, &b.j.counters, &b.vault,
                                               b.server_scratch, sizeof b.server_scratch, challenge,
                                               b.j.now),
                              0);
        CU_ASSERT_EQUAL_FATAL(dlms_client_open(&b.j.client, b.j.now), 0);
        joined_run(&b.j);
        if (b.j.failed)
                printf("failed: %s; ", dlms_error_text(b.j.failure.error));
        CU_ASSERT(b.j.closed && !b.j.failed);
}

static struct dlms_item get_item(size_t i)
{
        return (struct dlms_item){ .service = DLMS_GET, .attr = attrs[i] };
}

static struct dlms_item put_item(enum dlms_service service, size_t i)
{
        return (struct dlms_item){
                .service = service, .attr = attrs[i], .data = values[i], .n = value_len[i]
        };
}

/* What the item must answer: read and echoed values, nothing for a write; item 3 is undefined. */
static void check_answer(size_t i)
{
        const struct dlms_item *item = &b.items[i];
        const struct answer *a = &b.answers[i];
        size_t slot = item->attr.obis.v[4];
        bool empty = item->service == DLMS_SET || (item->service == DLMS_ACTION && !item->data);

        if (slot == 9) {
                CU_ASSERT(a->result != 0 && a->len == 0);
                return;
        }
        CU_ASSERT_EQUAL(a->result, 0);
        if (item->selection.selector)
                return;
        CU_ASSERT_EQUAL(a->len, empty ? 0 : value_len[slot]);
        CU_ASSERT(empty || (a->len == value_len[slot] &&
                            memcmp(a->data, values[slot], value_len[slot]) == 0));
}

static void check_answers(void)
{
        if (b.n_answers != b.n_items)
                printf("%zu of %zu answers, %s; ", b.n_answers, b.n_items,
                       dlms_error_text((unsigned)b.refused));
        CU_ASSERT_EQUAL_FATAL(b.n_answers, b.n_items);
        for (size_t i = 0; i < b.n_items; i++)
                check_answer(i);
}

static void all_of(enum dlms_service service)
{
        for (size_t i = 0; i < ITEMS; i++)
                b.items[i] = service == DLMS_GET ? get_item(i) : put_item(service, i);
        b.n_items = ITEMS;
}

static void mixed(void)
{
        b.items[0] = get_item(0);
        b.items[1] = put_item(DLMS_SET, 1);
        b.items[2] = put_item(DLMS_ACTION, 2);
        b.items[3] = (struct dlms_item){ .service = DLMS_ACTION, .attr = attrs[4] };
        b.items[4] = get_item(3);
        b.n_items = 5;
}

/* ---- the same in every form ---- */

enum { ALL = 0xFFFFFF, NO_LIST = ALL & ~DLMS_CONF_MULTIPLE_REFERENCES };

static const struct {
        enum dlms_framing framing;
        enum meter_auth auth;
        bool general;
} lines[] = {
        { DLMS_FRAMING_WRAPPER, METER_NONE, false }, { DLMS_FRAMING_WRAPPER, METER_GMAC, true },
        { DLMS_FRAMING_WRAPPER, METER_GMAC, false }, { DLMS_FRAMING_HDLC, METER_LLS, false },
        { DLMS_FRAMING_HDLC, METER_GMAC, true },
};

enum { N_LINES = sizeof lines / sizeof *lines };

static void setup_line(unsigned i, size_t size)
{
        setup_with(lines[i].framing, lines[i].auth, lines[i].general, size, 256);
}

/* ACCESS cannot be ciphered service by service. */
static bool may_access(unsigned i)
{
        return lines[i].auth != METER_GMAC || lines[i].general;
}

static void forms(void)
{
        static const struct {
                uint32_t offered, breaks;
                unsigned list, mixed;  /* requests it takes with small values */
                unsigned no_access[2]; /* the same without ACCESS */
        } meters[] = {
                { 0, 0, 1, 1, { 1, 5 } },
                { NO_LIST, 0, 1, 1, { 6, 5 } },
                { ALL & ~DLMS_CONF_ACCESS, 0, 1, 5, { 1, 5 } },
                { NO_LIST & ~DLMS_CONF_ACCESS, 0, 6, 5, { 6, 5 } },
                { 0, DLMS_CONF_MULTIPLE_REFERENCES, 2, 1, { 7, 5 } },
                { 0, DLMS_CONF_ACCESS, 1, 6, { 1, 5 } },
                { 0, DLMS_CONF_MULTIPLE_REFERENCES | DLMS_CONF_ACCESS, 8, 6, { 7, 5 } },
        };

        for (unsigned i = 0; i < N_LINES * sizeof meters / sizeof *meters; i++)
                for (int what = 0; what < 4; what++) {
                        const unsigned m = i / N_LINES;
                        bool access = may_access(i % N_LINES);

                        setup_line(i % N_LINES, 9);
                        b.scfg.conformance = meters[m].offered;
                        b.scfg.breaks = meters[m].breaks;
                        if (what == 3)
                                mixed();
                        else
                                all_of((enum dlms_service)(what + 1));
                        run();
                        check_answers();
                        CU_ASSERT_EQUAL(b.requests, !access     ? meters[m].no_access[what == 3]
                                                    : what == 3 ? meters[m].mixed
                                                                : meters[m].list);
                        CU_ASSERT_EQUAL(dlms_client_broken(&b.j.client) & ~meters[m].breaks, 0);
                        CU_ASSERT_EQUAL(b.vault.sets, what == 1 ? 5 : what == 3);
                }
}

/* What one session learnt is not tried again in the next. */
static void a_broken_meter_remembered(void)
{
        uint32_t broken;

        setup(DLMS_FRAMING_WRAPPER, METER_GMAC, 9, 512);
        b.scfg.breaks = DLMS_CONF_MULTIPLE_REFERENCES | DLMS_CONF_ACCESS;
        all_of(DLMS_GET);
        run();
        broken = dlms_client_broken(&b.j.client);
        CU_ASSERT_EQUAL(broken, DLMS_CONF_MULTIPLE_REFERENCES | DLMS_CONF_ACCESS);
        setup(DLMS_FRAMING_WRAPPER, METER_GMAC, 9, 512);
        b.scfg.breaks = broken;
        b.ccfg.avoid = broken;
        all_of(DLMS_GET);
        run();
        check_answers();
        CU_ASSERT_EQUAL(b.requests, 6);
        CU_ASSERT_EQUAL(dlms_client_broken(&b.j.client), 0);
}

static void services_not_granted(void)
{
        const uint8_t entry[] = { 0x11, 0x01 };

        setup(DLMS_FRAMING_WRAPPER, METER_NONE, 9, 512);
        b.scfg.conformance = DLMS_CONF_GET;
        b.items[0] = put_item(DLMS_SET, 0);
        b.n_items = 1;
        run();
        CU_ASSERT_EQUAL(b.refused, DLMS_E_CONFORMANCE);

        setup(DLMS_FRAMING_WRAPPER, METER_NONE, 9, 512);
        b.scfg.conformance = DLMS_CONF_GET;
        b.items[0] = put_item(DLMS_ACTION, 0);
        b.n_items = 1;
        run();
        CU_ASSERT_EQUAL(b.refused, DLMS_E_CONFORMANCE);

        /* A selection: refused, unless this model is known to understand it all the same. */
        for (int assume = 0; assume < 2; assume++) {
                setup(DLMS_FRAMING_WRAPPER, METER_NONE, 9, 512);
                b.scfg.conformance = DLMS_CONF_GET | DLMS_CONF_ACCESS;
                b.ccfg.avoid = DLMS_CONF_ACCESS;
                b.ccfg.assume = assume ? DLMS_CONF_SELECTIVE_ACCESS : 0;
                b.items[0] = get_item(0);
                b.items[0].selection = (struct dlms_selection){ 2, entry, sizeof entry };
                b.n_items = 1;
                run();
                CU_ASSERT_EQUAL(b.refused, assume ? 0 : DLMS_E_CONFORMANCE);
        }
        /* SET is not granted but ACCESS is. */
        setup(DLMS_FRAMING_WRAPPER, METER_NONE, 9, 512);
        b.scfg.conformance = DLMS_CONF_GET | DLMS_CONF_ACCESS;
        b.items[0] = put_item(DLMS_SET, 1);
        b.n_items = 1;
        run();
        check_answers();
        CU_ASSERT_EQUAL(b.vault.sets, 1);
}

static void selections_in_lists(void)
{
        const uint8_t entry[] = { 0x11, 0x07 };

        for (int access = 0; access < 2; access++) {
                setup(DLMS_FRAMING_HDLC, METER_GMAC, 9, 512);
                b.ccfg.prefer_access = access;
                all_of(DLMS_GET);
                b.items[2].selection = (struct dlms_selection){ 2, entry, sizeof entry };
                run();
                check_answers();
                CU_ASSERT_EQUAL(b.requests, 1);
                CU_ASSERT(b.answers[2].len == 6 &&
                          memcmp(b.answers[2].data, "\x02\x02\x11\x02\x11\x07", 6) == 0);
        }
}

/* ---- in blocks ---- */

static void values_in_blocks(void)
{
        static const size_t sizes[] = { 40, 90, 127, 128, 200, 300, 1000, 3000 };

        for (unsigned i = 0; i < N_LINES * sizeof sizes / sizeof *sizes; i++)
                for (int what = 1; what <= 3; what++) {
                        setup_line(i % N_LINES, sizes[i / N_LINES]);
                        b.scfg.conformance =
                                ALL & ~DLMS_CONF_ACCESS & ~DLMS_CONF_GENERAL_BLOCK_TRANSFER;
                        all_of((enum dlms_service)what);
                        run();
                        check_answers();
                        CU_ASSERT_EQUAL(dlms_client_broken(&b.j.client), 0);
                }
}

/* General block transfer: both directions, windows, with and without ciphering. */
static void values_in_general_blocks(void)
{
        static const size_t sizes[] = { 9, 200, 1000, 3000 };
        static const uint8_t windows[] = { 1, 2, 5, 63 };

        for (unsigned i = 0; i < N_LINES * 16; i++)
                for (int what = 0; what < 4; what++)
                        for (int requests = 0; requests < 2; requests++) {
                                setup_line(i % N_LINES, sizes[i / N_LINES % 4]);
                                b.ccfg.gbt_window = windows[i / N_LINES / 4];
                                b.scfg.gbt_window = windows[3 - i / N_LINES / 4];
                                b.ccfg.gbt_requests = requests;
                                b.scfg.conformance = ALL & ~DLMS_CONF_BLOCK_GET &
                                                     ~DLMS_CONF_BLOCK_SET & ~DLMS_CONF_BLOCK_ACTION;
                                if (what == 3)
                                        mixed();
                                else
                                        all_of((enum dlms_service)(what + 1));
                                run();
                                check_answers();
                                CU_ASSERT_EQUAL(dlms_client_broken(&b.j.client), 0);
                        }
}

/* A window saves round trips. */
static void streaming(void)
{
        uint32_t trips[2];

        for (int i = 0; i < 2; i++) {
                setup(DLMS_FRAMING_WRAPPER, METER_GMAC, 8000, 256);
                b.ccfg.gbt_window = i ? 20 : 1;
                b.scfg.prefer_gbt = true;
                b.items[0] = get_item(0);
                b.n_items = 1;
                run();
                check_answers();
                trips[i] = b.j.client.round_trips;
        }
        CU_ASSERT(trips[0] > 30);
        CU_ASSERT(trips[1] < 9);
}

/* Whatever one APDU of the meter is lost, the transfer goes on from there. */
static void lost_general_blocks(void)
{
        for (int requests = 0; requests < 2; requests++)
                /* A request in one piece that is lost with its answer is not repeated. */
                for (size_t at = requests ? 200 : 500; at < 4200; at += 61) {
                        setup(DLMS_FRAMING_WRAPPER, METER_GMAC, 3000, 256);
                        b.ccfg.gbt_window = 4;
                        b.ccfg.gbt_requests = requests;
                        b.ccfg.retries = 2;
                        b.scfg.prefer_gbt = true;
                        b.scfg.gbt_window = 3;
                        b.items[0] = get_item(0);
                        b.n_items = 1;
                        b.j.drop_from = at;
                        b.j.drop_to = at + 1;
                        b.j.drop_blocks = true;
                        run();
                        check_answers();
                }
}

static void lost_blocks_of_a_request(void)
{
        for (size_t at = 130; at < 5000; at += 61) {
                setup(DLMS_FRAMING_WRAPPER, METER_GMAC, 3000, 256);
                b.ccfg.gbt_window = 4;
                b.ccfg.retries = 2;
                b.ccfg.avoid = DLMS_CONF_BLOCK_SET;
                b.scfg.gbt_window = 3;
                b.items[0] = put_item(DLMS_SET, 0);
                b.n_items = 1;
                b.j.lose_from = at;
                b.j.drop_blocks = true;
                run();
                check_answers();
                CU_ASSERT_EQUAL(b.vault.sets, 1);
        }
}

static void nothing_fits(void)
{
        /* No way to send a long value: said before anything is sent. */
        setup(DLMS_FRAMING_WRAPPER, METER_NONE, 2000, 256);
        b.scfg.conformance = DLMS_CONF_GET | DLMS_CONF_SET;
        b.items[0] = put_item(DLMS_SET, 0);
        b.n_items = 1;
        run();
        CU_ASSERT_EQUAL(b.refused, DLMS_E_TOO_LONG);
        /* No way for the meter to send one: its own result. */
        setup(DLMS_FRAMING_WRAPPER, METER_NONE, 2000, 256);
        b.scfg.conformance = DLMS_CONF_GET;
        b.items[0] = get_item(0);
        b.n_items = 1;
        run();
        CU_ASSERT_EQUAL(b.answers[0].result, DLMS_ACCESS_LONG_GET_ABORTED);
}

/* ---- byte by byte ---- */

static void byte_by_byte(void)
{
        for (unsigned i = 0; i < N_LINES; i++)
                for (int what = 0; what < 4; what++)
                        for (int general = 0; general < 2; general++) {
                                setup_line(i, 300);
                                b.j.chunk = 1;
                                b.ccfg.gbt_window = general ? 4 : 0;
                                b.ccfg.gbt_requests = b.scfg.prefer_gbt = general;
                                if (what == 3)
                                        mixed();
                                else
                                        all_of((enum dlms_service)(what + 1));
                                run();
                                check_answers();
                        }
        forget();
}

HR_TESTS("dlms services", { "every form gives the same", forms },
         { "what a meter broke is remembered", a_broken_meter_remembered },
         { "services not granted", services_not_granted },
         { "selections in lists", selections_in_lists }, { "values in blocks", values_in_blocks },
         { "values in general blocks", values_in_general_blocks },
         { "streaming saves round trips", streaming },
         { "lost general blocks", lost_general_blocks },
         { "lost blocks of a request", lost_blocks_of_a_request }, { "nothing fits", nothing_fits },
         { "byte by byte", byte_by_byte })
