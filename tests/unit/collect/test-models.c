/* The models that come with the daemon, and what a wrong one is told. */
#include "hr_test.h"

#include <errno.h>

#include "models.h"

static void every_builtin_parses(void)
{
        size_t n = 0;

        for (const struct model_file *f = model_builtin(); f->name; f++, n++) {
                struct meter_model *m = NULL;
                char why[200] = "";
                int r = model_parse(&m, f->json, why, sizeof why);

                if (r)
                        printf("%s: %s\n", f->name, why);
                CU_ASSERT_EQUAL_FATAL(r, 0);
                CU_ASSERT_STRING_EQUAL(m->name, f->name);
                free(m);
        }
        CU_ASSERT(n >= 9);
}

static struct meter_model *builtin(const char *name)
{
        struct meter_model *m = NULL;
        char why[200];

        for (const struct model_file *f = model_builtin(); f->name; f++)
                if (strcmp(f->name, name) == 0)
                        CU_ASSERT_EQUAL_FATAL(model_parse(&m, f->json, why, sizeof why), 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(m);
        return m;
}

static void says_what_the_files_say(void)
{
        struct meter_model *w = builtin("HR-DLMS-W"), *h = builtin("HR-DLMS-H");
        struct meter_model *e = builtin("HR-MODBUS-E1"), *f = builtin("HR-MQTT-FLAT");

        CU_ASSERT_EQUAL(w->framing, DLMS_FRAMING_WRAPPER);
        CU_ASSERT_EQUAL(w->profile.stamp, MODEL_STAMP_END);
        CU_ASSERT_EQUAL(w->profile.n, 2);
        CU_ASSERT_EQUAL(w->profile.capture[1].to.channel->number, 1);
        CU_ASSERT_PTR_NULL(w->profile.capture[0].to.channel);
        CU_ASSERT_EQUAL(w->registers[0].to.channel->number, 129);
        CU_ASSERT_EQUAL(h->framing, DLMS_FRAMING_HDLC);
        CU_ASSERT_EQUAL(h->auth, DLMS_AUTH_GMAC);
        CU_ASSERT_EQUAL(h->policy, DLMS_POLICY_AUTHENTICATED_ENCRYPTED);
        CU_ASSERT_TRUE(h->has_counter);
        CU_ASSERT_EQUAL(e->modbus[0].address, 0x100);
        CU_ASSERT_TRUE(e->modbus_history[0]);
        CU_ASSERT_FALSE(e->modbus_history[1]);
        CU_ASSERT_EQUAL(e->freeze.address, 0x200);
        CU_ASSERT_EQUAL(f->payload, MODEL_PAYLOAD_FLAT);
        CU_ASSERT_STRING_EQUAL(f->identity_field, "id");
        free(w);
        free(h);
        free(e);
        free(f);
}

static void wrong_models_are_told_why(void)
{
        static const char *const cases[][2] = {
                { "", "JSON" },
                { "[]", "no JSON object" },
                { "{\"protocol\":\"x10\"}", "protocol" },
                { "{\"protocol\":\"dlms\",\"profile\":{}}", "\"obis\" is missing" },
                { "{\"protocol\":\"dlms\",\"profile\":{\"obis\":\"1.2\"}}", "no OBIS code" },
                { "{\"protocol\":\"dlms\",\"auth\":\"magic\"}", "auth" },
                { "{\"protocol\":\"dlms\",\"transport\":\"pigeon\"}", "transport" },
                { "{\"protocol\":\"dlms\",\"registers\":[{\"obis\":\"1.0.1.8.0.255\",\"channel\":"
                  "\"x\"}]}",
                  "no channel \"x\"" },
                { "{\"protocol\":\"dlms\",\"registers\":[{\"obis\":\"1.0.1.8.0.255\",\"channel\":"
                  "\"energy.import.total\",\"unit\":\"L\"}]}",
                  "no unit" },
                { "{\"protocol\":\"dlms\",\"profile\":{\"obis\":\"1.0.99.1.0.255\",\"period_s\":"
                  "420}}",
                  "divide" },
                { "{\"protocol\":\"modbus\",\"registers\":[]}", "registers" },
                { "{\"protocol\":\"modbus\",\"registers\":[{\"address\":\"12z\",\"type\":\"u16\"}]"
                  "}",
                  "whole number" },
                { "{\"protocol\":\"modbus\",\"registers\":[{\"address\":70000,\"type\":\"u16\"}]}",
                  "between" },
                { "{\"protocol\":\"mqtt\",\"payload\":\"senml\"}", "\"map\" is empty" },
                { "{\"protocol\":\"mqtt\",\"payload\":\"xml\"}", "payload" },
                { "{\"protocol\":\"mqtt\",\"payload\":\"flat\",\"map\":{\"a\":{\"channel\":"
                  "\"energy.import\"}}}",
                  "period_s" },
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct meter_model *m = NULL;
                char why[200] = "";

                CU_ASSERT_EQUAL(model_parse(&m, cases[i][0], why, sizeof why), -EINVAL);
                if (!strstr(why, cases[i][1]))
                        printf("%s: %s\n", cases[i][0], why);
                CU_ASSERT_PTR_NOT_NULL(strstr(why, cases[i][1]));
        }
}

static void address_over_defaults(void)
{
        struct meter_model *h = builtin("HR-DLMS-H");
        struct registry_meter meter = {
                .address = "{\"host\":\"10.0.0.1\",\"port\":4060,\"server_sap\":17,"
                           "\"transport\":\"tcp-wrapper\",\"auth\":\"lls\"}"
        };
        struct meter_address a;
        char why[200];

        CU_ASSERT_EQUAL(model_address(h, &meter, &a, why, sizeof why), 0);
        CU_ASSERT_STRING_EQUAL(a.host, "10.0.0.1");
        CU_ASSERT_EQUAL(a.port, 4060);
        CU_ASSERT_EQUAL(a.server_sap, 17);
        CU_ASSERT_EQUAL(a.client_sap, 1);
        CU_ASSERT_EQUAL(a.framing, DLMS_FRAMING_WRAPPER);
        CU_ASSERT_EQUAL(a.auth, DLMS_AUTH_LLS);
        CU_ASSERT_EQUAL(a.policy, DLMS_POLICY_AUTHENTICATED_ENCRYPTED);
        meter.address = "{}";
        CU_ASSERT_EQUAL(model_address(h, &meter, &a, why, sizeof why), -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "host"));
        meter.address = "{\"host\":\"a\",\"port\":99999}";
        CU_ASSERT_EQUAL(model_address(h, &meter, &a, why, sizeof why), -EINVAL);
        free(h);
}

HR_TESTS("models", { "every model that comes with us parses", every_builtin_parses },
         { "says what the files say", says_what_the_files_say },
         { "wrong models are told why", wrong_models_are_told_why },
         { "an address over the model's defaults", address_over_defaults })
