/* One line in, one line out: {"tariff": ..., "input": ...} -> the result, or {"error": code}. For
 * computations of the same bills by other means. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rating.h"
#include "rating_input.h"

static int rate(json_t *line, struct buf *out)
{
        char *tariff = json_dumps(json_object_get(line, "tariff"), JSON_COMPACT),
             *input = json_dumps(json_object_get(line, "input"), JSON_COMPACT);
        struct rating_error err = { 0 };
        struct rating_tariff *t = NULL;
        struct rating_result r;
        struct rating_input in;
        struct tz *tz = NULL;
        struct arena arena;
        int e = !tariff || !input ? RATING_E_DOCUMENT : 0;

        arena_init(&arena, 0);
        if (!e)
                e = rating_tariff_load(&t, tariff, strlen(tariff), &err);
        if (!e)
                e = rating_input_load(&arena, input, strlen(input), &in, &tz, &err);
        if (!e)
                e = rating_run(t, &in, &r, &err);
        if (!e) {
                rating_result_json(t, &r, out);
                rating_result_deinit(&r);
        } else {
                buf_printf(out, "{\"error\":%d,\"text\":", e);
                buf_put_json_str(out, err.text, strlen(err.text));
                buf_put_str(out, "}");
        }
        tz_free(tz);
        arena_deinit(&arena);
        rating_tariff_free(t);
        free(tariff);
        free(input);
        return e;
}

int main(void)
{
        char *text = NULL;
        size_t cap = 0;

        while (getline(&text, &cap, stdin) > 0) {
                json_t *line = json_loads(text, 0, NULL);
                struct buf out;

                buf_init(&out);
                rate(line, &out);
                fwrite(out.p, 1, out.len, stdout);
                fputc('\n', stdout);
                fflush(stdout);
                buf_deinit(&out);
                json_decref(line);
        }
        free(text);
        return 0;
}
