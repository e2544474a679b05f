#include "meter_tool.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dlms/datetime.h"
#include "meter.h"
#include "meter_names.h"
#include "meter_record.h"
#include "meter_trace.h"

static int64_t clock_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void on_connected(void *arg, const char *name)
{
        struct meter_tool *t = arg;
        int64_t at = clock_ms() - t->started_ms;
        enum meter_phase phase;

        if (!meter_phase_parse(name, &phase))
                return;
        if (t->record)
                meter_record_phase(t->record, at, phase);
        if (t->trace)
                meter_trace_phase(t->trace, at, phase);
}

static void on_bytes(void *arg, bool out, const uint8_t *p, size_t n)
{
        struct meter_tool *t = arg;
        int64_t at = clock_ms() - t->started_ms;

        if (t->record)
                meter_record_bytes(t->record, at, out, p, n);
        if (t->trace)
                meter_trace_bytes(t->trace, at, out, p, n);
}

static void fill_keys(struct meter_tool *t)
{
        t->keys.suite = t->o.suite;
        if (t->o.guek.len == dlms_key_size(t->o.suite)) {
                t->keys.has_ek = true;
                memcpy(t->keys.ek, t->o.guek.bytes, t->o.guek.len);
        }
        if (t->o.gak.len == dlms_key_size(t->o.suite)) {
                t->keys.has_ak = true;
                memcpy(t->keys.ak, t->o.gak.bytes, t->o.gak.len);
        }
}

static int open_trace(struct meter_tool *t, FILE *out)
{
        struct meter_trace_config c = {
                .out = out,
                .json = t->o.cli->json,
                .keys = &t->keys,
                .crypto = t->crypto,
                .server_title = t->o.has_server_title ? t->o.server_title : NULL,
                .secret = t->o.password.bytes,
                .secret_len = t->o.password.len,
        };

        t->trace = meter_trace_new(&c);
        return t->trace ? 0 : METER_FAILED;
}

int meter_tool_open(struct meter_tool *t, const struct cli_options *cli, enum meter_wants wants,
                    const char *usage, bool always_trace, int argc, char **argv)
{
        int r;

        *t = (struct meter_tool){ .started_ms = clock_ms() };
        r = meter_options_parse(&t->o, cli, wants, usage, argc, argv);
        if (r)
                return r;
        t->watch = (struct meter_watch){ on_connected, on_bytes, t };
        fill_keys(t);
        t->crypto = dlms_crypto_new();
        r = t->crypto ? 0 : METER_FAILED;
        if (!r && (always_trace || t->o.trace))
                r = open_trace(t, always_trace ? stdout : stderr);
        if (!r && t->o.record) {
                int e = meter_record_open(&t->record, t->o.record, t->o.route.url);

                if (e) {
                        fprintf(stderr, "headrace: --record %s: %s\n", t->o.record, strerror(-e));
                        r = METER_FAILED;
                } else if (t->o.auth == DLMS_AUTH_LLS) {
                        fprintf(stderr, "headrace: the recording holds the password as it was "
                                        "sent: keep it to yourself\n");
                }
        }
        if (r)
                meter_tool_close(t, r);
        return r;
}

int meter_tool_close(struct meter_tool *t, int exit)
{
        int e = meter_record_close(t->record);

        meter_tool_progress(t, NULL);
        if (t->trace)
                meter_trace_end(t->trace, clock_ms() - t->started_ms);
        meter_trace_free(t->trace);
        dlms_crypto_free(t->crypto);
        dlms_keys_wipe(&t->keys);
        meter_options_deinit(&t->o);
        if (e) {
                fprintf(stderr, "headrace: the recording is not whole: %s\n", strerror(-e));
                return exit ? exit : METER_FAILED;
        }
        return exit;
}

void meter_tool_progress(struct meter_tool *t, const char *format, ...)
{
        va_list ap;

        if (!isatty(STDERR_FILENO) || t->trace)
                return;
        if (t->progress)
                fputs("\r\033[K", stderr);
        t->progress = format != NULL;
        if (!format)
                return;
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fflush(stderr);
}

/* ---- values ---- */

void meter_value_text(struct buf *b, const uint8_t *p, size_t n, const struct meter_unit *u)
{
        struct axdr_reader r;
        struct axdr_value v;
        int64_t i;

        axdr_reader_init(&r, p, n);
        if (u && u->known && axdr_next(&r, &v) && axdr_is_integer(&v, &i))
                meter_say_scaled(b, i, u->scaler, 0);
        else
                meter_say_value(b, p, n, 16);
}

uint16_t meter_class_guess(const struct obis *o)
{
        const uint8_t *v = o->v;

        if (v[2] == 99 || v[2] == 98 || (v[0] == 0 && v[2] == 24 && v[3] == 3))
                return 7;
        if (v[0] != 0)
                return v[2] == 0 ? 1 : v[3] == 6 ? 4 : v[3] == 4 || v[3] == 5 ? 5 : 3;
        switch (v[2]) {
        case 1:
                return 8;
        case 40:
                return 15;
        case 41:
                return 17;
        case 44:
                return 18;
        case 13:
                return 20;
        case 10:
                return 9;
        case 15:
                return 22;
        case 17:
                return 71;
        case 24:
                return v[3] == 1 ? 72 : v[3] == 4 ? 70 : 4;
        case 25:
                return v[3] == 9 ? 40 : v[3] == 1 ? 42 : v[3] == 0 ? 41 : 1;
        case 43:
                return v[3] == 0 ? 64 : 1;
        case 96:
                return v[3] == 3 ? 70 : 1;
        default:
                return 1;
        }
}

static bool wrong_class(uint8_t result)
{
        return result == DLMS_ACCESS_OBJECT_UNDEFINED ||
               result == DLMS_ACCESS_OBJECT_CLASS_INCONSISTENT ||
               result == DLMS_ACCESS_OBJECT_UNAVAILABLE;
}

int meter_tool_get(struct meter_tool *t, struct meter_session *s, struct dlms_attr *attr,
                   struct buf *value, uint8_t *ret_result, struct meter_fault *fault)
{
        static const uint16_t others[] = { 3, 1, 4, 5, 63 };
        uint16_t guess = attr->class_id ? attr->class_id : meter_class_guess(&attr->obis);
        bool given = attr->class_id != 0;
        uint8_t first;
        int r;

        (void)t;
        attr->class_id = guess;
        r = meter_session_get(s, attr, NULL, value, ret_result, fault);
        if (r || given || !wrong_class(*ret_result))
                return r;
        first = *ret_result;
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
                if (others[i] == guess)
                        continue;
                attr->class_id = others[i];
                r = meter_session_get(s, attr, NULL, value, ret_result, fault);
                if (r || !wrong_class(*ret_result))
                        return r;
        }
        attr->class_id = guess;
        *ret_result = first;
        return 0;
}

int meter_tool_unit(struct meter_session *s, const struct dlms_attr *attr, struct meter_unit *ret,
                    struct meter_fault *fault)
{
        struct dlms_attr unit = *attr;
        struct buf value = BUF_INIT;
        struct axdr_value v, scaler, code;
        struct axdr_reader r;
        uint8_t result;
        int e;

        *ret = (struct meter_unit){ 0 };
        if ((attr->class_id == 3 || attr->class_id == 4) && attr->id == 2)
                unit.id = 3;
        else if (attr->class_id == 5 && (attr->id == 2 || attr->id == 3))
                unit.id = 4;
        else
                return 0;
        e = meter_session_get(s, &unit, NULL, &value, &result, fault);
        if (e == 0 && result == 0) {
                axdr_reader_init(&r, value.p, value.len);
                if (axdr_expect(&r, AXDR_STRUCTURE, &v) && v.n == 2 &&
                    axdr_expect(&r, AXDR_INT8, &scaler) && axdr_expect(&r, AXDR_ENUM, &code))
                        *ret = (struct meter_unit){ true, (int8_t)scaler.i, (uint8_t)code.i };
        }
        buf_deinit(&value);
        return e;
}

int meter_tool_clock(struct meter_session *s, const struct obis *clock, int64_t *ret_utc,
                     int *ret_offset_min, uint8_t *ret_refused, struct meter_fault *fault)
{
        const struct dlms_attr attr = { 8, *clock, 2 };
        struct buf value = BUF_INIT;
        struct dlms_datetime t;
        struct axdr_reader r;
        struct axdr_value v;
        int e;

        *ret_refused = 0;
        e = meter_session_get(s, &attr, NULL, &value, ret_refused, fault);
        if (e == 0) {
                axdr_reader_init(&r, value.p, value.len);
                if (*ret_refused || !axdr_next(&r, &v) || !v.p ||
                    !dlms_datetime_read(v.p, v.n, &t) ||
                    dlms_datetime_utc(&t, DATETIME_STANDARD, 0, ret_utc) < 0)
                        e = METER_FAILED;
                else
                        *ret_offset_min = t.deviation == DATETIME_NO_DEVIATION ? 0 : -t.deviation;
                if (e)
                        *fault = (struct meter_fault){ 0 };
        }
        buf_deinit(&value);
        return e;
}
