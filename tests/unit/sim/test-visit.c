/* The collector's visits to simulated meters: every value of two days, over every polled protocol,
 * and named causes when the meters misbehave. */
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>
#include <uv.h>

#include "buf.h"
#include "dlms/security.h"
#include "hex.h"
#include "hr_test.h"
#include "layout.h"
#include "message.h"
#include "models.h"
#include "normalise.h"
#include "pushed.h"
#include "town.h"
#include "visit.h"

static struct town town;
static uv_loop_t loop;
static struct visit_shared shared;
static char counters_path[96];

/* A meter as the registry would give it. */
struct entry {
        struct registry_meter meter;
        struct meter_model *model;
        char *address;
};

static void set_key(struct secret *s, json_t *keys, const char *name)
{
        const char *hex = json_string_value(json_object_get(keys, name));
        uint8_t key[16];

        if (!hex)
                return;
        CU_ASSERT_EQUAL(hex_decode(hex, strlen(hex), key, sizeof key), 16);
        CU_ASSERT_TRUE(secret_set(s, key, sizeof key));
}

static void entry_init(struct entry *e, json_t *m, uint32_t id)
{
        const char *model = json_string_value(json_object_get(m, "model"));
        const struct model_file *f = model_builtin();
        json_t *keys = json_object_get(m, "keys");
        char why[256] = "";

        memset(e, 0, sizeof *e);
        while (f->name && strcmp(f->name, model) != 0)
                f++;
        CU_ASSERT_PTR_NOT_NULL_FATAL(f->name);
        CU_ASSERT_EQUAL_FATAL(model_parse(&e->model, f->json, why, sizeof why), 0);
        e->address = json_dumps(json_object_get(m, "address"), 0);
        e->meter = (struct registry_meter){
                .meter_id = id,
                .protocol = e->model->protocol,
                .serial = json_string_value(json_object_get(m, "serial")),
                .identity = json_string_value(json_object_get(m, "identity")),
                .maker = "HRS",
                .model = model,
                .profile = f->json,
                .address = e->address,
                .period_s = 900,
        };
        set_key(&e->meter.guek, keys, "guek");
        set_key(&e->meter.gak, keys, "gak");
}

static void entry_deinit(struct entry *e)
{
        secret_wipe(&e->meter.guek);
        secret_wipe(&e->meter.gak);
        free(e->model);
        free(e->address);
}

struct outcome {
        bool done;
        enum visit_cause cause;
        char detail[VISIT_DETAIL_MAX];
        struct buf payload;
};

static void on_done(void *arg, const struct visit_result *r)
{
        struct outcome *o = arg;

        o->done = true;
        o->cause = r->cause;
        snprintf(o->detail, sizeof o->detail, "%s", r->detail);
        if (r->payload && r->payload->len)
                buf_put(&o->payload, r->payload->p, r->payload->len);
}

static void visit(struct entry *e, struct outcome *o)
{
        struct visit_request req = { .meter = &e->meter,
                                     .model = e->model,
                                     .from = TOWN_FROM,
                                     .to = town.opt.to,
                                     .now_s = (int64_t)time(NULL) };

        memset(o, 0, sizeof *o);
        CU_ASSERT_PTR_NOT_NULL_FATAL(visit_start(&shared, &req, on_done, o));
        while (!o->done)
                uv_run(&loop, UV_RUN_ONCE);
        if (o->cause != VISIT_READ)
                printf("\n%s: %s: %s\n", e->meter.serial, visit_cause_name(o->cause), o->detail);
}

/* Counts right values; every value of the payload must be. */
static unsigned right_values(const struct outcome *o, const struct meter *m)
{
        struct rd r = rd_of(o->payload.p, o->payload.len);
        struct message_section s;
        unsigned n = 0;
        int more;

        while ((more = message_next(&r, &s)) == 1) {
                if (s.type == MESSAGE_INTERVALS && s.channel < 128) {
                        int64_t v = 0;

                        for (uint32_t i = 0; i < s.n; i++) {
                                v = message_next_value(&s);
                                CU_ASSERT_EQUAL(v, meter_interval(m, s.at + 900 * (int64_t)i));
                                n++;
                        }
                } else if (s.type == MESSAGE_INTERVALS) {
                        int64_t v = 0;

                        for (uint32_t i = 0; i < s.n; i++) {
                                v = message_next_value(&s);
                                CU_ASSERT_EQUAL(v, meter_register(m, s.at + 900 * (int64_t)i));
                                n++;
                        }
                } else if (s.type == MESSAGE_REGISTER && s.channel >= 128) {
                        /* The last is the register of now: that of the end of the history. */
                        CU_ASSERT_EQUAL(s.value,
                                        meter_register(m, s.at < town.opt.to ? s.at : town.opt.to));
                        n++;
                }
        }
        CU_ASSERT_EQUAL(more, 0);
        return n;
}

static void read_all(const char *model, enum sim_kind kind, json_t *fleet, unsigned want)
{
        for (unsigned i = 0; i < 3; i++) {
                struct outcome o;
                struct entry e;
                struct meter m;

                entry_init(&e, town_find(fleet, model, i), 100 * kind + i);
                town_meter(&town, kind, i + 1, &m);
                visit(&e, &o);
                CU_ASSERT_EQUAL(o.cause, VISIT_READ);
                CU_ASSERT_TRUE(right_values(&o, &m) >= want);
                buf_deinit(&o.payload);
                entry_deinit(&e);
        }
}

static void every_value(void)
{
        char w[] = "--dlms-wrapper=3", h[] = "--dlms-hdlc=3", b[] = "--modbus=3";
        char *args[] = { w, h, b, NULL };
        json_t *fleet;

        town_start(&town, args);
        fleet = town_fleet(&town);
        read_all("HR-DLMS-W", SIM_DLMS_WRAPPER, fleet, 192);
        read_all("HR-DLMS-H", SIM_DLMS_HDLC, fleet, 193);
        read_all("HR-MODBUS-E1", SIM_MODBUS, fleet, 193);
        json_decref(fleet);
        town_stop(&town);
}

static void causes(void)
{
        char h[] = "--dlms-hdlc=2", b[] = "--modbus=1", wrong[] = "--wrong-key=1";
        char *args[] = { h, b, wrong, NULL };
        struct outcome o;
        struct entry e;
        json_t *fleet;

        town_start(&town, args);
        fleet = town_fleet(&town);
        entry_init(&e, town_find(fleet, "HR-DLMS-H", 0), 1);
        visit(&e, &o);
        CU_ASSERT_EQUAL(o.cause, VISIT_WRONG_EK);
        buf_deinit(&o.payload);
        entry_deinit(&e);
        entry_init(&e, town_find(fleet, "HR-DLMS-H", 1), 2);
        visit(&e, &o);
        CU_ASSERT_EQUAL(o.cause, VISIT_READ);
        buf_deinit(&o.payload);
        town_stop(&town);
        visit(&e, &o);
        CU_ASSERT_EQUAL(o.cause, VISIT_REFUSED);
        buf_deinit(&o.payload);
        entry_deinit(&e);
        json_decref(fleet);
}

/* What the pushing meters say is what their models in the daemon understand, to the last value. */
static void pushed_messages(void)
{
        static const enum sim_kind kinds[] = { SIM_MQTT_SENML, SIM_MQTT_FLAT, SIM_COAP };

        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                const char *model = meter_kinds[kinds[i]].model;
                struct meter m;
                struct pusher p = { .meter = &m, .next = TOWN_FROM + 900 };
                struct normalise_counts counts = { 0 };
                struct buf raw = BUF_INIT;
                struct outcome o = { 0 };
                struct entry e;
                char why[256] = "";
                json_t *entry;

                town_meter(&town, kinds[i], 5, &m);
                entry = json_pack("{s:s, s:s, s:s, s:{}}", "model", model, "serial", m.serial,
                                  "identity", m.identity, "address");
                entry_init(&e, entry, 9);
                pusher_message(&p, 16, &raw);
                CU_ASSERT_EQUAL(normalise_message(&e.meter, e.model, raw.p, raw.len,
                                                  (int64_t)time(NULL), &o.payload, &counts, why,
                                                  sizeof why),
                                NORMALISE_NONE);
                CU_ASSERT_STRING_EQUAL(why, "");
                CU_ASSERT_EQUAL(counts.values, 17);
                CU_ASSERT_EQUAL(right_values(&o, &m), 17);
                buf_deinit(&raw);
                buf_deinit(&o.payload);
                entry_deinit(&e);
                json_decref(entry);
        }
}

static void prepare(void)
{
        town_init(&town);
        uv_loop_init(&loop);
        snprintf(counters_path, sizeof counters_path, "%s/counters", town.dir);
        shared = (struct visit_shared){ .loop = &loop,
                                        .crypto = dlms_crypto_new(),
                                        .layouts = layout_cache_new(),
                                        .client_title = { 'H', 'R', 'A', 0, 0, 0, 0, 1 },
                                        .connect_timeout_ms = 3000,
                                        .answer_timeout_ms = 3000 };
        CU_ASSERT_EQUAL_FATAL(counters_open(&shared.counters, &loop, counters_path), 0);
}

static void clean(void)
{
        counters_close(shared.counters);
        uv_run(&loop, UV_RUN_DEFAULT);
        CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
        layout_cache_free(shared.layouts);
        dlms_crypto_free(shared.crypto);
        unlink(counters_path);
        town_deinit(&town);
}

HR_TESTS("visits to simulated meters", { "a collector", prepare },
         { "every value of two days", every_value }, { "causes have names", causes },
         { "pushed messages fit their models", pushed_messages }, { "and leave nothing", clean })
