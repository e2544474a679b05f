/* Invoice templates as a person posts them: what the check lets pass must be printable with any
 * contents, and what it refuses must say why. */

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "render.h"
#include "template.h"

static const char content[] =
        "{\"kind\":\"invoice\",\"number\":\"N-1\",\"issued_at\":\"2026-11-03T02:00:00+00:00\","
        "\"issued\":\"2026-11-03\",\"due\":\"2026-11-17\",\"currency\":\"EUR\",\"minor_digits\":2,"
        "\"payee\":{\"name\":\"Utility\",\"iban\":\"DE89370400440532013000\"},"
        "\"period\":{\"from\":\"2026-10-01\",\"until\":\"2026-10-31\",\"days\":31},\"unit\":"
        "\"kWh\","
        "\"quantity\":\"240\",\"daily\":[\"1\",\"2\"],\"history\":[{\"from\":\"2026-10-01\","
        "\"quantity\":\"240\"}],\"lines\":[{\"code\":\"energy_t1\",\"component\":\"energy\","
        "\"kind\":"
        "\"charge\",\"label\":\"Energy\",\"quantity\":\"240\",\"unit\":\"kWh\",\"price\":\"0.3\","
        "\"amount\":7200}],\"net\":7200,\"tax\":0,\"total\":7200,\"credit\":0,\"amount_due\":7200,"
        "\"compare\":{\"previous\":{\"days\":30,\"quantity\":\"200\",\"total\":6000},\"causes\":{"
        "\"days\":200,\"use\":900,\"price\":100},\"year_percent\":-5},\"messages\":[\"{name} "
        "{days}\"]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        json_error_t error;
        json_t *doc = json_loadb((const char *)data, size, 0, &error);
        const char *language = json_string_value(json_object_get(doc, "language"));
        char why[TEMPLATE_WHY_SIZE] = "";
        int rc = template_check(doc, language ? language : "", why);

        if ((rc == 0) != (*why == '\0'))
                abort();
        if (rc == 0) {
                char *text = json_dumps(doc, JSON_COMPACT);
                struct buf out = BUF_INIT;

                if (!text || invoice_render(&out, content, text, "preview") != 0 ||
                    memcmp(out.p, "%PDF", 4) != 0)
                        abort();
                buf_deinit(&out);
                free(text);
        }
        json_decref(doc);
        return 0;
}
