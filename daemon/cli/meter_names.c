#include "meter_names.h"

#include <stdio.h>
#include <string.h>

#include "dlms/datetime.h"
#include "dlms/push.h"

/* ---- OBIS codes ---- */

struct known {
        int16_t v[6]; /* -1 = any */
        const char *name;
};

/* Group A = 0: objects of no medium. */
static const struct known abstract[] = {
        { { 0, 0, 1, 0, 0, 255 }, "clock" },
        { { 0, -1, 2, 0, 0, 255 }, "modem configuration" },
        { { 0, 0, 10, 0, 0, 255 }, "script: meter reset" },
        { { 0, 0, 10, 0, 1, 255 }, "script: end of billing period" },
        { { 0, 0, 10, 0, 100, 255 }, "script: tariff switching" },
        { { 0, 0, 10, 0, 106, 255 }, "script: disconnect control" },
        { { 0, -1, 10, 0, -1, 255 }, "script table" },
        { { 0, 0, 11, 0, 0, 255 }, "special days" },
        { { 0, 0, 13, 0, 0, 255 }, "activity calendar" },
        { { 0, -1, 15, -1, -1, 255 }, "single action schedule" },
        { { 0, -1, 17, 0, -1, 255 }, "limiter" },
        { { 0, -1, 20, 0, 0, 255 }, "optical port set-up" },
        { { 0, -1, 22, 0, 0, 255 }, "HDLC set-up" },
        { { 0, -1, 24, 1, 0, 255 }, "M-Bus client" },
        { { 0, -1, 25, 0, 0, 255 }, "TCP/UDP set-up" },
        { { 0, -1, 25, 1, 0, 255 }, "IPv4 set-up" },
        { { 0, -1, 25, 7, 0, 255 }, "IPv6 set-up" },
        { { 0, -1, 25, 9, 0, 255 }, "push set-up" },
        { { 0, 0, 40, 0, -1, 255 }, "association" },
        { { 0, 0, 41, 0, 0, 255 }, "SAP assignment" },
        { { 0, 0, 42, 0, 0, 255 }, "logical device name" },
        { { 0, 0, 43, 0, -1, 255 }, "security set-up" },
        { { 0, 0, 43, 1, -1, 255 }, "invocation counter" },
        { { 0, 0, 44, 0, 0, 255 }, "image transfer" },
        { { 0, 0, 94, -1, -1, 255 }, "country-specific object" },
        { { 0, 0, 96, 1, 0, 255 }, "serial number" },
        { { 0, -1, 96, 1, -1, 255 }, "device identification" },
        { { 0, -1, 96, 3, 10, 255 }, "disconnect control" },
        { { 0, 0, 96, 5, -1, 255 }, "operating status" },
        { { 0, 0, 96, 6, 0, 255 }, "battery use time" },
        { { 0, 0, 96, 7, -1, 255 }, "power failures" },
        { { 0, 0, 96, 8, -1, 255 }, "time of operation" },
        { { 0, 0, 96, 10, -1, 255 }, "profile status" },
        { { 0, 0, 96, 11, -1, 255 }, "event code" },
        { { 0, 0, 96, 13, -1, 255 }, "message to the customer" },
        { { 0, 0, 96, 14, -1, 255 }, "tariff in force" },
        { { 0, 0, 96, 15, -1, 255 }, "event counter" },
        { { 0, 0, 97, 97, -1, 255 }, "error register" },
        { { 0, 0, 97, 98, -1, 255 }, "alarm register" },
        { { 0, -1, 98, 1, -1, -1 }, "billing period values" },
        { { 0, 0, 99, 98, 0, 255 }, "standard event log" },
        { { 0, 0, 99, 98, 1, 255 }, "fraud event log" },
        { { 0, 0, 99, 98, -1, 255 }, "event log" },
        { { 0, -1, 24, 2, -1, 255 }, "M-Bus value" },
        { { 0, -1, 24, 3, 0, 255 }, "M-Bus profile" },
        { { 0, -1, 24, 4, 0, 255 }, "M-Bus valve control" },
};

static const struct known electricity[] = {
        { { 1, 0, 0, 0, -1, 255 }, "electricity identification" },
        { { 1, 0, 0, 2, 0, 255 }, "firmware version" },
        { { 1, 0, 0, 8, 0, 255 }, "demand period" },
        { { 1, 0, 0, 8, 4, 255 }, "load profile period" },
        { { 1, 0, 0, 9, 1, 255 }, "local time" },
        { { 1, 0, 0, 9, 2, 255 }, "local date" },
        { { 1, 0, 98, 1, -1, -1 }, "billing period values" },
        { { 1, 0, 99, 1, -1, 255 }, "load profile" },
        { { 1, 0, 99, 2, -1, 255 }, "load profile 2" },
        { { 1, 0, 99, 97, -1, 255 }, "power failure log" },
        { { 1, -1, 94, -1, -1, 255 }, "country-specific object" },
};

static const char *look_up(const struct known *list, size_t n, const struct obis *o)
{
        for (size_t i = 0; i < n; i++) {
                int k = 0;

                while (k < 6 && (list[i].v[k] < 0 || list[i].v[k] == o->v[k]))
                        k++;
                if (k == 6)
                        return list[i].name;
        }
        return NULL;
}

/* Group C: what is measured, for all phases (1-20); +20, +40, +60 for phases 1 to 3. */
static const char *const quantities[] = {
        [1] = "active import",
        [2] = "active export",
        [3] = "reactive import",
        [4] = "reactive export",
        [5] = "reactive quadrant I",
        [6] = "reactive quadrant II",
        [7] = "reactive quadrant III",
        [8] = "reactive quadrant IV",
        [9] = "apparent import",
        [10] = "apparent export",
        [11] = "current",
        [12] = "voltage",
        [13] = "power factor",
        [14] = "frequency",
        [15] = "active absolute",
        [16] = "active net",
};

/* Group D: how it is processed. */
static const char *processing(uint8_t d)
{
        switch (d) {
        case 2:
                return "cumulative maximum demand";
        case 4:
                return "current average";
        case 5:
                return "last average";
        case 6:
                return "maximum demand";
        case 7:
                return "now";
        case 8:
                return "energy";
        case 9:
                return "energy of the billing period";
        case 29:
                return "energy of the interval";
        default:
                return NULL;
        }
}

static void name_electricity(struct buf *b, const struct obis *o)
{
        unsigned c = o->v[2], phase = c >= 81 ? 9 : (c - 1) / 20;
        const char *what, *how = processing(o->v[3]);
        unsigned base = c - 20 * phase;

        if (c == 0 || phase > 3 || base >= sizeof quantities / sizeof *quantities || !how)
                return;
        what = quantities[base];
        if (!what)
                return;
        buf_put_str(b, what);
        if (phase)
                buf_printf(b, " L%u", phase);
        /* Voltage and current have no energy. */
        buf_printf(b, " %s",
                   (o->v[3] == 8 || o->v[3] == 29) && base >= 11 && base <= 14 ? "integral" : how);
        if (o->v[3] != 7 && o->v[4] == 0 && o->v[3] == 8)
                buf_put_str(b, ", total");
        else if (o->v[4] > 0 && o->v[4] < 64)
                buf_printf(b, ", tariff %u", o->v[4]);
        if (o->v[5] != 255)
                buf_printf(b, ", billing period %u ago", o->v[5]);
}

void meter_name_obis(struct buf *b, const struct obis *o)
{
        static const char *const media[] = {
                [4] = "heat cost", [5] = "cooling", [6] = "heat",
                [7] = "gas",       [8] = "water",   [9] = "hot water"
        };
        const char *name = NULL;

        if (o->v[0] == 0)
                name = look_up(abstract, sizeof abstract / sizeof *abstract, o);
        else if (o->v[0] == 1)
                name = look_up(electricity, sizeof electricity / sizeof *electricity, o);
        if (name)
                buf_put_str(b, name);
        else if (o->v[0] == 1)
                name_electricity(b, o);
        else if (o->v[0] >= 4 && o->v[0] <= 9)
                buf_printf(b, "%s%s", media[o->v[0]],
                           o->v[2] == 1 || o->v[2] == 3 ? " meter reading" : "");
}

/* ---- classes ---- */

struct class_names {
        uint16_t id;
        const char *name;
        const char *attributes[14]; /* from attribute 2 on */
        const char *methods[6];     /* from method 1 on */
};

static const struct class_names classes[] = {
        { 1, "data", { "value" }, { NULL } },
        { 3, "register", { "value", "scaler and unit" }, { "reset" } },
        { 4,
          "extended register",
          { "value", "scaler and unit", "status", "capture time" },
          { "reset" } },
        { 5,
          "demand register",
          { "current average", "last average", "scaler and unit", "status", "capture time",
            "start time", "period", "number of periods" },
          { "reset", "next period" } },
        { 6, "register activation", { "registers", "masks", "active mask" }, { NULL } },
        { 7,
          "profile",
          { "buffer", "capture objects", "capture period", "sort method", "sort object",
            "entries in use", "entries kept" },
          { "reset", "capture" } },
        { 8,
          "clock",
          { "time", "time zone", "status", "daylight saving begin", "daylight saving end",
            "daylight saving deviation", "daylight saving on", "clock base" },
          { "adjust to quarter", "adjust to period", "adjust to minute", "adjust to preset",
            "preset", "shift time" } },
        { 9, "script table", { "scripts" }, { "execute" } },
        { 11, "special days table", { "entries" }, { "insert", "delete" } },
        { 15,
          "association",
          { "object list", "partner SAPs", "application context", "xDLMS context", "mechanism",
            "secret", "state", "security set-up", "users", "current user" },
          { "reply to HLS", "change secret" } },
        { 17, "SAP assignment", { "logical devices" }, { "connect" } },
        { 18,
          "image transfer",
          { "block size", "blocks received", "first block missing", "enabled", "status",
            "images to activate" },
          { "initiate", "block", "verify", "activate" } },
        { 19, "optical port set-up", { "mode", "default speed", "proposed speed" }, { NULL } },
        { 20,
          "activity calendar",
          { "active name", "active seasons", "active weeks", "active days", "passive name",
            "passive seasons", "passive weeks", "passive days", "activation time" },
          { "activate passive" } },
        { 21, "register monitor", { "thresholds", "monitored value", "actions" }, { NULL } },
        { 22, "single action schedule", { "script", "type", "times" }, { NULL } },
        { 23,
          "HDLC set-up",
          { "speed", "window out", "window in", "longest field out", "longest field in",
            "octet time-out", "idle time-out", "device address" },
          { NULL } },
        { 27, "modem configuration", { "speed", "initialisation", "profile" }, { NULL } },
        { 28, "auto answer", { "mode", "listening window", "status" }, { NULL } },
        { 29, "auto connect", { "mode", "repetitions", "delay" }, { NULL } },
        { 40,
          "push set-up",
          { "objects", "destination", "windows", "start delay", "retries", "retry delay" },
          { "push" } },
        { 41, "TCP-UDP set-up", { "port", "IP", "segment size", "connections" }, { NULL } },
        { 42, "IPv4 set-up", { "data link", "address" }, { NULL } },
        { 47, "GSM diagnostic", { "operator", "status", "attachment" }, { NULL } },
        { 61, "register table", { "values" }, { "reset" } },
        { 62, "compact data", { "buffer", "capture objects", "template" }, { "reset", "capture" } },
        { 63, "status mapping", { "status word" }, { NULL } },
        { 64,
          "security set-up",
          { "policy", "suite", "client title", "server title" },
          { "activate", "transfer keys", "agree on keys" } },
        { 70, "disconnect control", { "output", "state", "mode" }, { "disconnect", "reconnect" } },
        { 71,
          "limiter",
          { "monitored value", "threshold active", "threshold normal", "threshold emergency" },
          { NULL } },
        { 72,
          "M-Bus client",
          { "port", "captured", "capture period", "primary address", "identification", "maker",
            "version", "medium" },
          { "install", "deinstall", "capture" } },
        { 111, "account", { "mode and status" }, { "activate", "close" } },
        { 112, "credit", { "amount" }, { "update" } },
        { 113, "charge", { "total paid" }, { "update" } },
        { 115, "token gateway", { "token" }, { "enter" } },
};

static const struct class_names *find_class(unsigned class_id)
{
        for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
                if (classes[i].id == class_id)
                        return &classes[i];
        return NULL;
}

const char *meter_name_class(unsigned class_id)
{
        const struct class_names *c = find_class(class_id);

        return c ? c->name : NULL;
}

const char *meter_name_attribute(unsigned class_id, int attribute)
{
        const struct class_names *c = find_class(class_id);

        if (attribute == 1)
                return "logical name";
        if (!c || attribute < 2 || attribute >= 2 + (int)(sizeof c->attributes / sizeof(char *)))
                return NULL;
        return c->attributes[attribute - 2];
}

const char *meter_name_method(unsigned class_id, int method)
{
        const struct class_names *c = find_class(class_id);

        if (!c || method < 1 || method > (int)(sizeof c->methods / sizeof(char *)))
                return NULL;
        return c->methods[method - 1];
}

void meter_name_attr(struct buf *b, const struct dlms_attr *a)
{
        const char *attribute = meter_name_attribute(a->class_id, a->id);
        const char *class_name = meter_name_class(a->class_id);
        char obis[OBIS_TEXT_SIZE];
        size_t before;

        obis_format(&a->obis, obis);
        buf_printf(b, "%s ", obis);
        before = b->len;
        meter_name_obis(b, &a->obis);
        if (b->len == before)
                buf_put_str(b, class_name ? class_name : "object");
        if (attribute)
                buf_printf(b, ": %s", attribute);
        else
                buf_printf(b, ": attribute %d", a->id);
}

/* ---- values ---- */

static bool is_printable(const uint8_t *p, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (p[i] < ' ' || p[i] > '~')
                        return false;
        return n > 0;
}

static void say_octets(struct buf *b, const struct axdr_value *v)
{
        struct dlms_datetime t;
        char text[DATETIME_TEXT_SIZE];

        if (v->tag != AXDR_OCTET_STRING || is_printable(v->p, v->n)) {
                buf_put_str(b, "\"");
                for (size_t i = 0; i < v->n; i++)
                        buf_put_u8(b, v->p[i] < ' ' || v->p[i] > '~' ? '?' : v->p[i]);
                buf_put_str(b, "\"");
        } else if (dlms_datetime_read(v->p, v->n, &t)) {
                dlms_datetime_format(&t, text);
                buf_put_str(b, text);
                if (t.deviation != DATETIME_NO_DEVIATION)
                        buf_printf(b, " (UTC%+d:%02d)", -t.deviation / 60,
                                   t.deviation < 0 ? -t.deviation % 60 : t.deviation % 60);
        } else if (v->n == 6 && v->p[5] == 255) {
                struct obis o;

                memcpy(o.v, v->p, sizeof o.v);
                obis_format(&o, text);
                buf_put_str(b, text);
        } else {
                buf_put_hex(b, v->p, v->n);
        }
}

static void say_scalar(struct buf *b, const struct axdr_value *v)
{
        int64_t i;

        if (v->tag == AXDR_NULL) {
                buf_put_str(b, "nothing");
        } else if (v->tag == AXDR_BOOLEAN) {
                buf_put_str(b, v->i ? "yes" : "no");
        } else if (axdr_is_integer(v, &i)) {
                buf_printf(b, "%lld", (long long)i);
        } else if (v->tag == AXDR_UINT64) {
                buf_printf(b, "%llu", (unsigned long long)v->u);
        } else if (v->tag == AXDR_FLOAT32 || v->tag == AXDR_FLOAT64) {
                buf_printf(b, "%.9g", v->f);
        } else if (v->tag == AXDR_BIT_STRING) {
                buf_put_str(b, "bits ");
                for (size_t k = 0; k < v->n; k++)
                        buf_put_u8(b, v->p[k / 8] >> (7 - k % 8) & 1 ? '1' : '0');
        } else if (v->p) {
                say_octets(b, v);
        } else {
                buf_printf(b, "type %u", v->tag);
        }
}

static void say(struct buf *b, struct axdr_reader *r, unsigned max, unsigned depth)
{
        struct axdr_value v;
        bool array;

        if (depth > AXDR_DEPTH_MAX || !axdr_next(r, &v)) {
                buf_put_str(b, "(damaged)");
                r->error = r->error ? r->error : DLMS_E_DEPTH;
                return;
        }
        array = v.tag == AXDR_ARRAY;
        if (!array && v.tag != AXDR_STRUCTURE) {
                say_scalar(b, &v);
                return;
        }
        if (array)
                buf_printf(b, "%zu of ", v.n);
        buf_put_u8(b, array ? '[' : '{');
        for (size_t i = 0; i < v.n && !r->error; i++) {
                if (i < max || !array) {
                        buf_put_str(b, i ? ", " : "");
                        say(b, r, max, depth + 1);
                } else {
                        if (i == max)
                                buf_put_str(b, ", ...");
                        axdr_skip(r);
                }
        }
        buf_put_u8(b, array ? ']' : '}');
}

void meter_say_value(struct buf *b, const uint8_t *p, size_t n, unsigned max)
{
        struct axdr_reader r;

        axdr_reader_init(&r, p, n);
        say(b, &r, max, 0);
}

void meter_say_scaled(struct buf *b, int64_t value, int scaler, unsigned unit)
{
        uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
        const char *text = dlms_unit_text((uint8_t)unit);
        char digits[32];
        int n;

        n = snprintf(digits, sizeof digits, "%0*llu", scaler < 0 && scaler > -19 ? 1 - scaler : 1,
                     (unsigned long long)magnitude);
        if (value < 0)
                buf_put_u8(b, '-');
        if (scaler < 0 && scaler > -19) {
                buf_put(b, digits, (size_t)(n + scaler));
                buf_put_u8(b, '.');
                buf_put_str(b, digits + n + scaler);
        } else {
                buf_put_str(b, digits);
                for (int i = 0; magnitude && i < scaler && i < 19; i++)
                        buf_put_u8(b, '0');
        }
        if (*text)
                buf_printf(b, " %s", text);
}
