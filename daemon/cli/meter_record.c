#include "meter_record.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "civil.h"
#include "hex.h"

struct meter_record {
        FILE *f;
        struct buf line;
};

static void put_line(struct meter_record *r)
{
        buf_put_u8(&r->line, '\n');
        fwrite(r->line.p, 1, r->line.len, r->f);
        /* What was recorded until the power failed is what is wanted. */
        fflush(r->f);
        buf_reset(&r->line);
}

int meter_record_open(struct meter_record **ret, const char *path, const char *meter)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        struct meter_record *r;
        char started[CIVIL_RFC3339_SIZE];

        if (fd < 0)
                return -errno;
        r = calloc(1, sizeof *r);
        if (r)
                r->f = fdopen(fd, "w");
        if (!r || !r->f) {
                close(fd);
                free(r);
                return -ENOMEM;
        }
        civil_format((int64_t)time(NULL), 0, started);
        buf_put_str(&r->line, "{\"headrace_recording\":1,\"meter\":");
        buf_put_json_str(&r->line, meter, strlen(meter));
        buf_printf(&r->line, ",\"started\":\"%s\"}", started);
        put_line(r);
        *ret = r;
        return 0;
}

void meter_record_phase(struct meter_record *r, int64_t at_ms, enum meter_phase phase)
{
        buf_printf(&r->line, "{\"at_ms\":%lld,\"phase\":\"%s\"}", (long long)at_ms,
                   meter_phase_name(phase));
        put_line(r);
}

void meter_record_bytes(struct meter_record *r, int64_t at_ms, bool out, const uint8_t *p, size_t n)
{
        buf_printf(&r->line, "{\"at_ms\":%lld,\"dir\":\"%s\",\"hex\":\"", (long long)at_ms,
                   out ? "out" : "in");
        buf_put_hex(&r->line, p, n);
        buf_put_str(&r->line, "\"}");
        put_line(r);
}

int meter_record_close(struct meter_record *r)
{
        int e = 0;

        if (!r)
                return 0;
        if (ferror(r->f))
                e = -EIO;
        if (fclose(r->f) && !e)
                e = -errno;
        buf_deinit(&r->line);
        free(r);
        return e;
}

/* One line of a recording into the trace; NULL, or what is wrong with it. */
static const char *play_line(const json_t *line, struct meter_trace *trace, bool *begun)
{
        const char *phase = json_string_value(json_object_get(line, "phase"));
        const char *dir = json_string_value(json_object_get(line, "dir"));
        const json_t *hex = json_object_get(line, "hex");
        int64_t at = json_integer_value(json_object_get(line, "at_ms"));
        enum meter_phase p;
        uint8_t *bytes;
        ssize_t n;

        if (phase) {
                if (!meter_phase_parse(phase, &p))
                        return "\"phase\" is none of iec62056-21, hdlc, wrapper";
                meter_trace_phase(trace, at, p);
                *begun = true;
                return NULL;
        }
        if (!dir || (strcmp(dir, "out") != 0 && strcmp(dir, "in") != 0) || !json_is_string(hex))
                return "neither a \"phase\" nor bytes (\"dir\" out or in, \"hex\")";
        if (!*begun)
                return "bytes before the first \"phase\"";
        bytes = malloc(json_string_length(hex) / 2 + 1);
        if (!bytes)
                return "out of memory";
        n = hex_decode(json_string_value(hex), json_string_length(hex), bytes,
                       json_string_length(hex) / 2 + 1);
        if (n >= 0)
                meter_trace_bytes(trace, at, strcmp(dir, "out") == 0, bytes, (size_t)n);
        free(bytes);
        return n < 0 ? "\"hex\" is no hexadecimal text" : NULL;
}

static const char *check_head(const json_t *line)
{
        if (json_integer_value(json_object_get(line, "headrace_recording")) != 1)
                return "this is no recording of headrace (or of a later version)";
        return NULL;
}

int meter_record_play(const char *path, struct meter_trace *trace, char *why, size_t why_size)
{
        FILE *f = fopen(path, "r");
        const char *wrong = NULL;
        char *text = NULL;
        size_t size = 0, number = 0;
        int64_t last = 0;
        bool begun = false;

        if (!f)
                return -errno;
        while (!wrong && getline(&text, &size, f) > 0) {
                json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

                number++;
                if (!json_is_object(line))
                        wrong = "no JSON object";
                else
                        wrong = number == 1 ? check_head(line) : play_line(line, trace, &begun);
                if (json_object_get(line, "at_ms"))
                        last = json_integer_value(json_object_get(line, "at_ms"));
                json_decref(line);
        }
        if (number == 0)
                wrong = "the file is empty";
        meter_trace_end(trace, last);
        free(text);
        fclose(f);
        if (!wrong)
                return 0;
        snprintf(why, why_size, "%s line %zu: %s", path, number ? number : 1, wrong);
        return -EBADMSG;
}
