/* Real pushes of real makes, through the models that come with the daemon: each value against what
 * the vector's source (or the meter's own words in it) says. */
#include "hr_test.h"

#include <jansson.h>

#include "hex.h"
#include "message.h"
#include "models.h"
#include "normalise.h"
#include "suggest.h"

struct value {
        const char *channel;
        int64_t value; /* in the channel's unit × 10^scaler */
};

struct layout {
        const char *file, *vector, *model, *serial;
        struct value values[16];
};

static const struct layout layouts[] = {
        { "push_apdu", "amshan_kaifa_no_list_1", "KAIFA-MA304", "x", { { "power.import", 5852 } } },
        { "push_apdu",
          "amshan_kaifa_no_list_2",
          "KAIFA-MA304",
          "6970631402614476",
          { { "power.import", 9745 },
            { "power.export", 0 },
            { "current.l1", 33813 },
            { "current.l2", 28103 },
            { "current.l3", 18178 },
            { "voltage.l1", 216800 },
            { "voltage.l3", 218800 } } },
        { "push_apdu",
          "amshan_kaifa_no_list_3",
          "KAIFA-MA304",
          "6970631402614476",
          { { "energy.import.total", 79591144 },
            { "energy.export.total", 0 },
            { "reactive.import.total", 889389 },
            { "reactive.export.total", 3210932 },
            { "power.import", 4904 } } },
        { "push_hdlc",
          "ams_kaifa-tn-3p_2",
          "KAIFA-MA304",
          "6970631401753985",
          { { "power.import", 1036 }, { "voltage.l1", 239900 } } },
        { "push_apdu",
          "raw_salzburg_netz",
          "KAIFA-MA309",
          "KFM1200200234804",
          { { "energy.import.total", 1327456 },
            { "reactive.export.total", 376416 },
            { "power.import", 714 },
            { "voltage.l1", 229200 },
            { "current.l1", 1650 },
            { "current.l3", 370 } } },
        { "push_mbus_ciphered",
          "tirol_kaifa_ma309_example",
          "KAIFA-MA309",
          "KFM1100100000035",
          { { "energy.import.total", 9108 }, { "voltage.l1", 230800 } } },
        { "push_apdu",
          "amshan_aidon_no_list_3",
          "AIDON-HAN-NO",
          "7359992892587665",
          { { "energy.import.total", 22721380 },
            { "reactive.import.total", 582430 },
            { "power.import", 280 },
            { "current.l1", 1300 },
            { "voltage.l2", 230300 } } },
        { "push_hdlc",
          "hdlc_norway_han_1phase",
          "AIDON-HAN-NO",
          "7359992890941742",
          { { "power.import", 1362 } } },
        { "push_hdlc",
          "hdlc_norway_han_3phase",
          "AIDON-RJ12-SE",
          "x",
          { { "energy.import.total", 10049926 },
            { "power.import", 1122 },
            { "current.l2", 7500 } } },
        { "push_apdu",
          "amshan_kamstrup_se_list_real_sample",
          "KAMSTRUP-OMNIPOWER",
          "5705705705705707",
          { { "power.import", 826 }, { "current.l1", 2370 }, { "voltage.l1", 232000 } } },
        { "push_hdlc",
          "hdlc_iskra550",
          "ISKRA-AM550",
          "84895126",
          { { "energy.import.total", 261927 }, { "power.import", 182 } } },
        { "push_hdlc_ciphered",
          "hdlc_landis_gyr_e450",
          "LANDISGYR-E450",
          "x",
          { { "energy.import.total", 4408736 },
            { "reactive.import.total", 1591784 },
            { "power.import", 2893 } } },
        { "push_hdlc",
          "lg_e450_cyprus_gbt_push1",
          "LANDISGYR-E450",
          "LGZ1020782546371",
          { { "energy.import.total", 7136726 }, { "energy.export.total", 2688904 } } },
        { "push_apdu",
          "raw_sagecom_xt211",
          "SAGEMCOM-XT211",
          "5100005149",
          { { "energy.import.total", 4913794 },
            { "energy.export.total", 52 },
            { "power.import", 1956 } } },
};

static json_t *vector(const char *file, const char *name)
{
        char path[64], *line = NULL;
        json_t *found = NULL;
        size_t cap = 0;
        FILE *f;

        snprintf(path, sizeof path, "vectors/%s.jsonl", file);
        f = fopen(hr_shared(path), "r");
        while (!found && getline(&line, &cap, f) > 0) {
                json_t *j = json_loads(line, 0, NULL);

                if (j && !strcmp(json_string_value(json_object_get(j, "name")), name))
                        found = json_incref(j);
                json_decref(j);
        }
        free(line);
        fclose(f);
        CU_ASSERT_PTR_NOT_NULL_FATAL(found);
        return found;
}

static struct meter_model *builtin(const char *name)
{
        const struct model_file *f = model_builtin();
        struct meter_model *m = NULL;
        char why[200];

        while (f->name && strcmp(f->name, name) != 0)
                f++;
        CU_ASSERT_PTR_NOT_NULL_FATAL(f->name);
        CU_ASSERT_EQUAL_FATAL(model_parse(&m, f->json, why, sizeof why), 0);
        return m;
}

static void set_keys(struct registry_meter *m, const json_t *v)
{
        json_t *keys = json_object_get(v, "keys"), *key;
        const char *name;

        json_object_foreach(keys, name, key)
        {
                const char *hex = json_string_value(key);
                uint8_t bytes[16];

                if (!hex || hex_decode(hex, strlen(hex), bytes, sizeof bytes) != 16)
                        continue;
                secret_set(!strcmp(name, "gak") ? &m->gak : &m->guek, bytes, 16);
        }
}

static bool has(const struct buf *payload, const struct value *want)
{
        const struct channel *ch = channel_by_code(want->channel);
        struct rd r = rd_of(payload->p, payload->len);
        struct message_section s;

        while (message_next(&r, &s) > 0)
                if (s.type == MESSAGE_REGISTER && s.channel == ch->number && s.value == want->value)
                        return true;
        return false;
}

static enum normalise_refusal take(const struct layout *l, const char *serial, struct buf *payload,
                                   char *why, size_t size)
{
        json_t *v = vector(l->file, l->vector);
        const char *hex = json_string_value(json_object_get(v, "hex"));
        struct registry_meter m = { .protocol = METER_DLMS,
                                    .serial = serial,
                                    .identity = serial,
                                    .model = l->model,
                                    .period_s = 900 };
        struct meter_model *model = builtin(l->model);
        struct normalise_counts counts = { 0 };
        size_t n = strlen(hex) / 2;
        uint8_t *raw = malloc(n);
        enum normalise_refusal r;

        CU_ASSERT_EQUAL(hex_decode(hex, strlen(hex), raw, n), (ssize_t)n);
        set_keys(&m, v);
        r = normalise_message(&m, model, raw, n, 1893456000, payload, &counts, why, size);
        free(raw);
        free(model);
        json_decref(v);
        return r;
}

static void real_pushes(void)
{
        for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
                const struct layout *l = &layouts[i];
                struct buf payload = BUF_INIT;
                char why[200] = "";
                enum normalise_refusal r = take(l, l->serial, &payload, why, sizeof why);

                if (r != NORMALISE_NONE)
                        printf("[%s: %s %s]", l->vector, normalise_refusal_text(r), why);
                CU_ASSERT_EQUAL(r, NORMALISE_NONE);
                for (const struct value *w = l->values; w->channel; w++) {
                        if (!has(&payload, w))
                                printf("[%s: %s is not %lld]", l->vector, w->channel,
                                       (long long)w->value);
                        CU_ASSERT_TRUE(has(&payload, w));
                }
                buf_deinit(&payload);
        }
}

/* A message that names another meter is never taken for this one. */
static void another_meter(void)
{
        for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
                struct buf payload = BUF_INIT;
                char why[200] = "";

                if (strlen(layouts[i].serial) < 2)
                        continue;
                CU_ASSERT_EQUAL(take(&layouts[i], "00000000", &payload, why, sizeof why),
                                NORMALISE_IDENTITY);
                CU_ASSERT_EQUAL(payload.len, 0);
                buf_deinit(&payload);
        }
}

/* An event code pushed becomes the event its log will show: same time, code and words. */
static void pushed_event(void)
{
        static const uint8_t apdu[] = { 0x0F, 0, 0, 0, 1,    12, 0x07, 0xEA, 11, 20, 0xFF,
                                        10,   0, 0, 0, 0x80, 0,  0,    2,    1,  2,  2,
                                        9,    6, 0, 0, 96,   11, 1,    255,  17, 44 };
        struct registry_meter m = {
                .protocol = METER_DLMS, .serial = "x", .identity = "x", .period_s = 900
        };
        struct meter_model *model = builtin("AIDON-RJ12-SE");
        struct normalise_counts counts = { 0 };
        struct buf payload = BUF_INIT;
        struct message_section s;
        char why[200] = "";
        uint8_t *raw = malloc(sizeof apdu);
        struct rd r;

        memcpy(raw, apdu, sizeof apdu);
        CU_ASSERT_EQUAL(normalise_message(&m, model, raw, sizeof apdu, 1893456000, &payload,
                                          &counts, why, sizeof why),
                        NORMALISE_NONE);
        r = rd_of(payload.p, payload.len);
        CU_ASSERT_EQUAL_FATAL(message_next(&r, &s), 1);
        CU_ASSERT_EQUAL(s.type, MESSAGE_EVENT);
        CU_ASSERT_EQUAL(s.code, 44);
        CU_ASSERT_EQUAL(s.at, 1795168800);
        CU_ASSERT_EQUAL(s.text_len, strlen("log 0.0.99.98.1.255 code 44"));
        CU_ASSERT_EQUAL(memcmp(s.text, "log 0.0.99.98.1.255 code 44", s.text_len), 0);
        free(raw);
        free(model);
        buf_deinit(&payload);
}

static void ten_real_models(void)
{
        size_t real = 0;

        for (const struct model_file *f = model_builtin(); f->name; f++)
                real += strncmp(f->name, "HR-", 3) != 0;
        CU_ASSERT(real >= 10);
}

static void suggestions(void)
{
        struct dlms_object o = { .has_obis = true,
                                 .obis = OBIS(1, 0, 1, 8, 0, 255),
                                 .value = { .tag = AXDR_UINT32, .i = 5 } };
        struct suggestion s = suggest_channel(&o);

        CU_ASSERT_STRING_EQUAL(s.channel->code, "energy.import.total");
        CU_ASSERT_FALSE(s.sure);
        o.has_scaler = true;
        o.scaler = 1;
        o.unit = 30;
        s = suggest_channel(&o);
        CU_ASSERT_TRUE(s.sure && s.scaler == 1);
        o = (struct dlms_object){ .has_obis = true,
                                  .obis = OBIS(1, 0, 32, 7, 0, 255),
                                  .value = { .tag = AXDR_UINT16, .i = 2304 } };
        s = suggest_channel(&o);
        CU_ASSERT_STRING_EQUAL(s.channel->code, "voltage.l1");
        CU_ASSERT_EQUAL(s.scaler, -1);
        o.obis = (struct obis)OBIS(1, 0, 1, 8, 1, 255); /* a tariff register is not the total */
        CU_ASSERT_PTR_NULL(suggest_channel(&o).channel);
        o.obis = (struct obis)OBIS(7, 0, 3, 1, 0, 255);
        CU_ASSERT_STRING_EQUAL(suggest_channel(&o).channel->code, "gas.volume.total");
        o.value.tag = AXDR_OCTET_STRING;
        CU_ASSERT_PTR_NULL(suggest_channel(&o).channel);
}

HR_TESTS("push layouts of real meters", { "values as published", real_pushes },
         { "another meter's message", another_meter }, { "a pushed event", pushed_event },
         { "at least ten real models", ten_real_models }, { "suggested channels", suggestions })
