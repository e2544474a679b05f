#include "decode.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "civil.h"
#include "decode_internal.h"
#include "dlms/hdlc.h"
#include "hex.h"

void decode_fail(struct decode *d, const char *fmt, ...)
{
        va_list ap;

        if (d->error[0])
                return;
        va_start(ap, fmt);
        vsnprintf(d->error, sizeof d->error, fmt, ap);
        va_end(ap);
}

void decode_fail_dlms(struct decode *d, int error)
{
        decode_fail(d, "%s: %s", dlms_error_name((unsigned)error),
                    dlms_error_text((unsigned)error));
}

long decode_hex_member(const json_t *o, const char *key, uint8_t *out, size_t cap)
{
        const json_t *v = json_object_get(o, key);
        ssize_t n;

        if (!json_is_string(v))
                return -1;
        n = hex_decode(json_string_value(v), json_string_length(v), out, cap);
        return n < 0 ? -1 : (long)n;
}

void decode_key_member(const json_t *o, const char *key, uint8_t *out, bool *ret_has)
{
        long n = decode_hex_member(o, key, out, DLMS_KEY_MAX);

        if (n == 16 || n == 32)
                *ret_has = true;
}

void decode_put_hex(struct buf *b, const void *p, size_t n)
{
        buf_put_u8(b, '"');
        buf_put_hex(b, p, n);
        buf_put_u8(b, '"');
}

struct buf *decode_member(struct decode *d, const char *key)
{
        buf_printf(&d->extra, ",\"%s\":", key);
        return &d->extra;
}

/* ---- objects ---- */

void decode_put_scaled(struct buf *b, int64_t m, int scaler)
{
        char digits[24];
        uint64_t u = m < 0 ? -(uint64_t)m : (uint64_t)m;
        int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)u);

        if (m < 0)
                buf_put_u8(b, '-');
        if (scaler >= 0 || u == 0) {
                buf_put(b, digits, (size_t)n);
                for (int i = 0; i < scaler && u; i++)
                        buf_put_u8(b, '0');
                return;
        }
        if (n <= -scaler) {
                buf_put_str(b, "0.");
                for (int i = n; i < -scaler; i++)
                        buf_put_u8(b, '0');
                buf_put(b, digits, (size_t)n);
                return;
        }
        buf_put(b, digits, (size_t)(n + scaler));
        buf_put_u8(b, '.');
        buf_put(b, digits + n + scaler, (size_t)-scaler);
}

static void put_number(struct buf *b, const struct dlms_object *o)
{
        int scaler = o->has_scaler ? o->scaler : 0;
        int64_t i;

        if (axdr_is_integer(&o->value, &i)) {
                decode_put_scaled(b, i, scaler);
        } else if (o->value.tag == AXDR_UINT64) {
                buf_printf(b, "%llu", (unsigned long long)o->value.u);
        } else if ((o->value.tag == AXDR_FLOAT32 || o->value.tag == AXDR_FLOAT64) &&
                   isfinite(o->value.f)) {
                buf_printf(b, o->value.tag == AXDR_FLOAT32 ? "%.7g" : "%.15g",
                           o->value.f * pow(10, scaler));
        } else {
                buf_put_str(b, "null");
        }
}

static bool is_text(const struct axdr_value *v)
{
        return v->tag == AXDR_OCTET_STRING || v->tag == AXDR_VISIBLE_STRING ||
               v->tag == AXDR_UTF8_STRING;
}

static bool is_printable(const struct axdr_value *v)
{
        for (size_t i = 0; i < v->n; i++)
                if (v->p[i] < 0x20 || v->p[i] > 0x7E)
                        return v->tag == AXDR_UTF8_STRING;
        return true;
}

static void put_time(struct buf *b, const struct dlms_datetime *t)
{
        char text[DATETIME_TEXT_SIZE], zoned[CIVIL_RFC3339_SIZE];
        int64_t utc;

        dlms_datetime_format(t, text);
        if (t->deviation != DATETIME_NO_DEVIATION &&
            dlms_datetime_utc(t, DATETIME_STANDARD, 0, &utc) == 0) {
                civil_format(utc, -t->deviation, zoned);
                buf_printf(b, "\"%s\"", zoned);
        } else {
                buf_printf(b, "\"%s\"", text);
        }
}

static void put_text(struct buf *b, const struct dlms_object *o)
{
        const struct axdr_value *v = &o->value;
        char text[DATETIME_TEXT_SIZE];

        if (o->is_time) {
                dlms_datetime_format(&o->time, text);
                buf_printf(b, "\"%s\"", text);
        } else if (!is_text(v)) {
                buf_put_str(b, "null");
        } else if (is_printable(v)) {
                buf_put_json_str(b, (const char *)v->p, v->n);
        } else {
                buf_put_str(b, "\"\"");
        }
}

void decode_put_object(struct decode *d, const struct dlms_object *o, bool named)
{
        const struct axdr_value *v = &o->value;
        /* The message's own time standing among named values has no code of its own. */
        bool own_time = !o->has_obis && o->is_time && named;
        struct buf *b = o->has_obis || own_time ? &d->found : &d->values;
        char obis[OBIS_TEXT_SIZE];

        if (b->len > 0)
                buf_put_u8(b, ',');
        buf_put_u8(b, '{');
        if (b == &d->found) {
                obis_format(&o->obis, obis);
                buf_printf(b, "\"obis\":\"%s\",", obis);
        }
        buf_put_str(b, "\"value\":");
        put_number(b, o);
        buf_put_str(b, ",\"unit\":");
        if (o->has_scaler && dlms_unit_text(o->unit)[0])
                buf_put_json_str(b, dlms_unit_text(o->unit), strlen(dlms_unit_text(o->unit)));
        else
                buf_put_str(b, "null");
        buf_put_str(b, ",\"text\":");
        put_text(b, o);
        buf_put_str(b, ",\"time\":");
        if (o->is_time)
                put_time(b, &o->time);
        else
                buf_put_str(b, "null");
        if (o->class_id)
                buf_printf(b, ",\"class_id\":%u,\"attribute\":%d", o->class_id, o->attribute);
        if (o->is_definition)
                buf_put_str(b, ",\"definition\":true");
        if (v->tag == AXDR_ARRAY || v->tag == AXDR_STRUCTURE || v->tag == AXDR_BIT_STRING ||
            (is_text(v) && !o->is_time && !is_printable(v))) {
                buf_put_str(b, ",\"hex\":");
                decode_put_hex(b, v->p, v->tag == AXDR_BIT_STRING ? (v->n + 7) / 8 : v->n);
        }
        buf_put_u8(b, '}');
}

/* ---- frames ---- */

static void put_address(struct buf *b, const char *key, uint32_t address, uint8_t size)
{
        uint8_t raw[4] = { (uint8_t)(address >> 24), (uint8_t)(address >> 16),
                           (uint8_t)(address >> 8), (uint8_t)address };

        buf_printf(b, "\"%s\":", key);
        decode_put_hex(b, raw + 4 - size, size);
        buf_put_u8(b, ',');
}

/* HDLC frames as they are, the damaged ones too. */
static void put_frames(struct decode *d, const uint8_t *p, size_t n)
{
        struct buf *b = decode_member(d, "frames");
        const char *comma = "";

        buf_put_u8(b, '[');
        for (size_t at = 0; at < n;) {
                struct hdlc_frame f = { 0 };
                int size = hdlc_frame_size(p + at, n - at), e;

                if (size <= 0 || (size_t)size > n - at) {
                        at++;
                        continue;
                }
                e = hdlc_frame_parse(p + at, (size_t)size, &f);
                at += (size_t)size;
                if (e && e != DLMS_E_HDLC_HCS && e != DLMS_E_HDLC_FCS)
                        continue;
                buf_printf(b, "%s{", comma);
                comma = ",";
                put_address(b, "dst", f.dst, f.dst_size);
                put_address(b, "src", f.src, f.src_size);
                buf_printf(b,
                           "\"control\":%u,\"segmented\":%s,\"fcs_ok\":%s,\"hcs_ok\":%s,\"info\":",
                           f.control, f.segmented ? "true" : "false",
                           e == DLMS_E_HDLC_FCS ? "false" : "true",
                           f.info_len == 0        ? "null"
                           : e == DLMS_E_HDLC_HCS ? "false"
                                                  : "true");
                decode_put_hex(b, f.info, f.info_len);
                buf_put_u8(b, '}');
        }
        buf_put_u8(b, ']');
}

/* Supervisory frames and connection parameters carry no APDU and are no error. */
static bool is_link_only(const uint8_t *p, size_t n)
{
        struct hdlc_frame f;

        if (p[0] != HDLC_FLAG || hdlc_frame_parse(p, n, &f))
                return false;
        if ((f.control & 1) == 0)
                return false;
        return (f.control & ~HDLC_POLL_FINAL) != HDLC_UI;
}

static void put_ciphering(struct decode *d, const struct dlms_unpacked *u, bool opened)
{
        struct buf *b = decode_member(d, "ciphering");

        buf_put_str(b, "{\"system_title\":");
        if (u->has_title)
                decode_put_hex(b, u->title, sizeof u->title);
        else
                buf_put_str(b, "null");
        if (opened)
                buf_printf(b,
                           ",\"security_control\":\"%02X\",\"invocation_counter\":%u,\"tag_ok\":%s",
                           u->protection.sc, u->protection.ic,
                           u->protection.tag_checked ? "true" : "null");
        buf_put_u8(b, '}');
}

/* One message from @p; how many bytes it took, 0 = it could not be decoded. */
static size_t decode_message(struct decode *d, const uint8_t *p, size_t n,
                             const struct dlms_keys *keys, const uint8_t *title, bool first)
{
        static const char *const layers[] = { "apdu", "wrapper", "hdlc", "mbus" };
        struct dlms_unpacked u = { 0 };
        int e = dlms_unpack_first(p, n, false, d->crypto, keys, title, d->work, d->cap, &u);

        if (first)
                buf_printf(decode_member(d, "layer"), "\"%s\"", layers[u.layer]);
        if (first && u.ciphered)
                put_ciphering(d, &u, e == 0);
        if (e == DLMS_E_APDU && u.layer == DLMS_LAYER_MBUS) {
                decode_fail(d,
                            "an M-Bus telegram without DLMS inside; this decoder knows DLMS over "
                            "M-Bus");
                return 0;
        }
        if (e) {
                decode_fail_dlms(d, e);
                return 0;
        }
        if (first && u.ciphered)
                decode_put_hex(decode_member(d, "plain_hex"), u.apdu, u.apdu_len);
        if (first)
                decode_describe(decode_member(d, "apdu"), u.apdu, u.apdu_len);
        decode_objects(d, u.apdu, u.apdu_len, first && u.layer == DLMS_LAYER_HDLC && !u.ciphered);
        return u.used;
}

/* All messages in the bytes; what is told beside the objects is of the first. */
static void decode_bytes(struct decode *d, size_t n, const struct dlms_keys *keys,
                         const uint8_t *title)
{
        size_t at = 0, used;

        if (n == 0) {
                decode_fail(d, "no bytes");
                return;
        }
        if (d->bytes[0] == HDLC_FLAG)
                put_frames(d, d->bytes, n);
        if (is_link_only(d->bytes, n))
                return;
        do {
                used = decode_message(d, d->bytes + at, n - at, keys, title, at == 0);
                at += used;
        } while (used > 0 && at < n && !d->error[0]);
}

/* ---- lines ---- */

static void read_keys(const json_t *line, struct dlms_keys *keys, uint8_t *title, bool *has_title)
{
        const json_t *o = json_object_get(line, "keys");

        *keys = (struct dlms_keys){ 0 };
        decode_key_member(o, "guek", keys->ek, &keys->has_ek);
        decode_key_member(o, "gak", keys->ak, &keys->has_ak);
        decode_key_member(o, "dedicated", keys->dedicated, &keys->has_dedicated);
        decode_key_member(o, "gbek", keys->broadcast, &keys->has_broadcast);
        decode_key_member(o, "kek", keys->master, &keys->has_master);
        *has_title =
                decode_hex_member(o, "server_system_title", title, DLMS_TITLE_SIZE) ==
                        DLMS_TITLE_SIZE ||
                decode_hex_member(o, "system_title", title, DLMS_TITLE_SIZE) == DLMS_TITLE_SIZE;
        if (json_string_length(json_object_get(o, "guek")) == 64)
                keys->suite = 2;
}

static void decode_line(struct decode *d, const json_t *line)
{
        const json_t *hex = json_object_get(line, "hex"), *text = json_object_get(line, "text");
        const char *op = json_string_value(json_object_get(line, "op"));
        uint8_t title[DLMS_TITLE_SIZE], aes[DLMS_KEY_MAX];
        struct dlms_keys keys;
        bool has_title, has_key, has_aes = false;
        long n;

        decode_key_member(json_object_get(line, "keys"), "aes", aes, &has_aes);
        read_keys(line, &keys, title, &has_title);
        has_key = keys.has_ek || keys.has_broadcast || keys.has_master;
        if (json_is_string(hex)) {
                n = decode_hex_member(line, "hex", d->bytes, d->cap);
                if (n < 0)
                        decode_fail(d, "\"hex\" is no hexadecimal text of whole bytes");
                else if (decode_is_mbus(d->bytes, (size_t)n))
                        decode_mbus(d, d->bytes, (size_t)n, has_aes ? aes : NULL);
                else
                        decode_bytes(d, (size_t)n, has_key ? &keys : NULL,
                                     has_title ? title : NULL);
        } else if (json_is_string(text)) {
                decode_text(d, json_string_value(text), json_string_length(text));
        } else if (op) {
                decode_crypto(d, line, op);
        } else if (json_is_array(json_object_get(line, "steps"))) {
                decode_session(d, line, &keys);
        } else {
                decode_fail(d, "neither \"hex\", \"text\", \"op\" nor \"steps\" in this line");
        }
        dlms_keys_wipe(&keys);
        OPENSSL_cleanse(aes, sizeof aes);
}

static int answer(struct decode *d, const char *name, FILE *out)
{
        struct buf b = BUF_INIT;
        int e = 0;

        buf_put_str(&b, "{\"name\":");
        if (name)
                buf_put_json_str(&b, name, strlen(name));
        else
                buf_put_str(&b, "null");
        buf_printf(&b, ",\"status\":\"%s\",\"error\":", d->error[0] ? "error" : "ok");
        if (d->error[0])
                buf_put_json_str(&b, d->error, strlen(d->error));
        else
                buf_put_str(&b, "null");
        buf_put_str(&b, ",\"objects\":[");
        buf_put(&b, d->found.p, d->found.len);
        buf_put_u8(&b, ']');
        if (d->values.len > 0) {
                buf_put_str(&b, ",\"values\":[");
                buf_put(&b, d->values.p, d->values.len);
                buf_put_u8(&b, ']');
        }
        buf_put(&b, d->extra.p, d->extra.len);
        buf_put_str(&b, "}\n");
        if (b.failed || d->extra.failed || d->found.failed || d->values.failed)
                e = -ENOMEM;
        else if (fwrite(b.p, 1, b.len, out) != b.len)
                e = -EIO;
        buf_deinit(&b);
        return e;
}

static bool is_blank(const char *s)
{
        return s[strspn(s, " \t\r\n")] == 0;
}

static int decode_one(struct decode *d, const char *text, size_t n, unsigned number, FILE *out)
{
        json_error_t error;
        json_t *line = json_loadb(text, n, 0, &error);
        int e;

        buf_reset(&d->extra);
        buf_reset(&d->found);
        buf_reset(&d->values);
        d->error[0] = 0;
        if (!line)
                decode_fail(d, "line %u is no JSON: %s", number, error.text);
        else if (!json_is_object(line))
                decode_fail(d, "line %u is no JSON object", number);
        /* Two characters of hexadecimal a byte: a line never needs more room than its length. */
        d->cap = n + 16;
        d->bytes = malloc(d->cap);
        d->work = malloc(d->cap);
        if (!d->bytes || !d->work)
                e = -ENOMEM;
        else {
                if (!d->error[0])
                        decode_line(d, line);
                e = answer(d, json_string_value(json_object_get(line, "name")), out);
        }
        free(d->bytes);
        free(d->work);
        json_decref(line);
        return e;
}

int decode_file(FILE *in, FILE *out)
{
        struct decode d = { 0 };
        char *line = NULL;
        size_t cap = 0;
        unsigned number = 0;
        ssize_t n;
        int e = 0;

        d.crypto = dlms_crypto_new();
        d.objects = calloc(DECODE_OBJECTS_MAX, sizeof *d.objects);
        if (!d.crypto || !d.objects)
                e = -ENOMEM;
        while (!e && (n = getline(&line, &cap, in)) >= 0) {
                number++;
                if (!is_blank(line))
                        e = decode_one(&d, line, (size_t)n, number, out);
        }
        if (!e && ferror(in))
                e = -EIO;
        if (!e && fflush(out))
                e = -errno;
        free(line);
        free(d.objects);
        buf_deinit(&d.extra);
        buf_deinit(&d.found);
        buf_deinit(&d.values);
        dlms_crypto_free(d.crypto);
        return e;
}

int decode_run(int argc, char **argv)
{
        char dash[] = "-", *standard[] = { dash };
        int failed = 0;

        if (argc == 0) {
                argc = 1;
                argv = standard;
        }
        for (int i = 0; i < argc; i++) {
                FILE *f = strcmp(argv[i], "-") == 0 ? stdin : fopen(argv[i], "rb");
                int e;

                if (argv[i][0] == '-' && argv[i][1] != 0) {
                        fprintf(stderr,
                                "headrace decode: unknown option %s; usage: headrace decode "
                                "FILE.jsonl...\n",
                                argv[i]);
                        if (f)
                                fclose(f);
                        return 2;
                }
                if (!f) {
                        fprintf(stderr, "headrace decode: %s: %s\n", argv[i], strerror(errno));
                        failed = 1;
                        continue;
                }
                e = decode_file(f, stdout);
                if (e) {
                        fprintf(stderr, "headrace decode: %s: %s\n", argv[i], strerror(-e));
                        failed = 1;
                }
                if (f != stdin)
                        fclose(f);
        }
        return failed;
}
