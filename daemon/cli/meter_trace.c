#include "meter_trace.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "decode_internal.h"
#include "dlms/acse.h"
#include "dlms/apdu.h"
#include "dlms/channel.h"
#include "dlms/hdlc.h"
#include "meter_names.h"
#include "meter_say.h"

enum {
        BYTES_A_LINE = 16,
        WORDS_WIDTH = 64,
        APDU_MAX = 65536,
        NOISE_MAX = 64,
        LINE_TEXT_MAX = 256,
        LLC_SIZE = 3,
};

/* One direction. */
struct side {
        uint8_t frame[WRAPPER_HEADER_SIZE + APDU_MAX]; /* HDLC frame, wrapper message, text line */
        size_t frame_len;
        uint8_t noise[NOISE_MAX];
        size_t noise_len;
        uint8_t apdu[APDU_MAX]; /* of HDLC segments */
        size_t apdu_len;
        uint8_t title[DLMS_TITLE_SIZE];
        bool has_title;
};

struct meter_trace {
        struct meter_trace_config cfg;
        struct dlms_keys keys; /* with the dedicated key that was sent */
        enum meter_phase phase;
        int64_t at_ms;
        unsigned damaged;
        struct meter_say say;
        struct buf blocks; /* value of a GET answered in blocks */
        struct buf words, members;
        struct side side[2]; /* 0 we, 1 the meter */
        uint8_t plain[APDU_MAX];
};

const char *meter_phase_name(enum meter_phase phase)
{
        static const char *const names[] = { "iec62056-21", "hdlc", "wrapper" };

        return names[phase];
}

bool meter_phase_parse(const char *name, enum meter_phase *ret)
{
        for (unsigned i = 0; i < 3; i++)
                if (strcmp(meter_phase_name((enum meter_phase)i), name) == 0) {
                        *ret = (enum meter_phase)i;
                        return true;
                }
        return false;
}

struct meter_trace *meter_trace_new(const struct meter_trace_config *config)
{
        struct meter_trace *t = calloc(1, sizeof *t);

        if (!t)
                return NULL;
        t->cfg = *config;
        if (config->keys)
                t->keys = *config->keys;
        if (config->server_title) {
                memcpy(t->side[1].title, config->server_title, DLMS_TITLE_SIZE);
                t->side[1].has_title = true;
        }
        buf_init_limited(&t->blocks, 16 << 20);
        return t;
}

void meter_trace_free(struct meter_trace *t)
{
        if (!t)
                return;
        dlms_keys_wipe(&t->keys);
        buf_deinit(&t->blocks);
        buf_deinit(&t->words);
        buf_deinit(&t->members);
        free(t);
}

unsigned meter_trace_damaged(const struct meter_trace *t)
{
        return t->damaged;
}

/* ---- showing ---- */

/* Whether byte @i of the @n at @p belongs to the secret. */
static bool is_secret(const struct meter_trace *t, const uint8_t *p, size_t n, size_t i)
{
        size_t len = t->cfg.secret_len;

        if (len < 4)
                return false;
        for (size_t at = i + 1 > len ? i + 1 - len : 0; at <= i && at + len <= n; at++)
                if (memcmp(p + at, t->cfg.secret, len) == 0)
                        return true;
        return false;
}

static void put_hex(const struct meter_trace *t, struct buf *b, const uint8_t *p, size_t n,
                    size_t from, size_t to, const char *between)
{
        for (size_t i = from; i < to; i++) {
                buf_put_str(b, i > from ? between : "");
                if (is_secret(t, p, n, i))
                        buf_put_str(b, "**");
                else
                        buf_put_hex(b, p + i, 1);
        }
}

/* How much of the words fits one line, broken at a blank; never inside a character. */
static size_t fit(const char *s, size_t n)
{
        size_t width = WORDS_WIDTH;

        if (n <= width)
                return n;
        while (width > WORDS_WIDTH / 2 && s[width] != ' ')
                width--;
        if (s[width] != ' ')
                width = WORDS_WIDTH;
        while (width > 1 && ((uint8_t)s[width] & 0xC0) == 0x80)
                width--;
        return width;
}

static void show_text(struct meter_trace *t, bool out, const uint8_t *p, size_t n)
{
        const char *words = buf_cstr(&t->words);
        size_t left = strlen(words), at = 0;
        struct buf hex = BUF_INIT;

        for (bool first = true; first || at < n || left > 0; first = false) {
                size_t to = at + BYTES_A_LINE < n ? at + BYTES_A_LINE : n, take = fit(words, left);

                buf_reset(&hex);
                put_hex(t, &hex, p, n, at, to, " ");
                if (first)
                        fprintf(t->cfg.out, "%9.3f %c ", (double)t->at_ms / 1000, out ? '>' : '<');
                else
                        fprintf(t->cfg.out, "%12s", "");
                fprintf(t->cfg.out, "%-*s  %.*s\n", 3 * BYTES_A_LINE - 1, buf_cstr(&hex), (int)take,
                        words);
                at = to;
                words += take + (take < left && words[take] == ' ');
                left = strlen(words);
        }
        buf_deinit(&hex);
}

static void show_json(struct meter_trace *t, bool out, const uint8_t *p, size_t n)
{
        struct buf b = BUF_INIT;

        buf_printf(&b, "{\"at_ms\":%lld,\"dir\":\"%s\",\"hex\":\"", (long long)t->at_ms,
                   out ? "out" : "in");
        put_hex(t, &b, p, n, 0, n, "");
        buf_put_str(&b, "\",\"words\":");
        buf_put_json_str(&b, buf_cstr(&t->words), t->words.len);
        buf_put(&b, t->members.p, t->members.len);
        fprintf(t->cfg.out, "%s}\n", buf_cstr(&b));
        buf_deinit(&b);
}

/* What the words say of these bytes. */
static void show(struct meter_trace *t, bool out, const uint8_t *p, size_t n)
{
        if (t->cfg.json)
                show_json(t, out, p, n);
        else
                show_text(t, out, p, n);
        fflush(t->cfg.out);
        buf_reset(&t->words);
        buf_reset(&t->members);
}

static void show_noise(struct meter_trace *t, bool out)
{
        struct side *s = &t->side[!out];

        if (s->noise_len == 0)
                return;
        t->damaged++;
        buf_put_str(&t->words, "noise: no frame begins here");
        show(t, out, s->noise, s->noise_len);
        s->noise_len = 0;
}

/* ---- APDUs ---- */

static void say_cipher(struct buf *b, const struct dlms_protection *p)
{
        buf_printf(b, "[%s%s, counter %u] ", p->sc & DLMS_SC_AUTHENTICATED ? "authenticated " : "",
                   p->sc & DLMS_SC_ENCRYPTED ? "encrypted" : "plain", p->ic);
}

/* Opens a copy; false when it cannot be, said in words. */
static bool open_envelope(struct meter_trace *t, bool out, const uint8_t *p, size_t n,
                          uint8_t *work, const uint8_t **ret, size_t *ret_n)
{
        struct side *s = &t->side[!out];
        struct dlms_protection protection;
        struct apdu_envelope env;
        uint8_t title[DLMS_TITLE_SIZE], *plain;
        int e = apdu_envelope_decode(p, n, &env);

        if (e) {
                buf_printf(&t->words, "ciphered, in an envelope not known here: %s",
                           dlms_error_text((unsigned)e));
                return false;
        }
        memcpy(work, p, n);
        memcpy(title, env.title ? env.title : s->title, sizeof title);
        if (env.title && !s->has_title) {
                memcpy(s->title, title, sizeof title);
                s->has_title = true;
        }
        if (!t->keys.has_ek) {
                buf_printf(&t->words, "ciphered, %zu bytes: give --key-file to see inside", env.n);
                return false;
        }
        e = dlms_open(t->cfg.crypto, &t->keys, env.dedicated, title, s->has_title ? s->title : NULL,
                      work + env.offset, env.n, &protection, &plain, ret_n);
        if (e) {
                buf_printf(&t->words, "ciphered, but: %s", dlms_error_text((unsigned)e));
                t->damaged++;
                return false;
        }
        say_cipher(&t->words, &protection);
        buf_printf(&t->members, ",\"counter\":%u,\"security_control\":%u", protection.ic,
                   protection.sc);
        *ret = plain;
        return true;
}

/* Titles and dedicated key that an association brings along. */
static void learn(struct meter_trace *t, bool out, const uint8_t *p, size_t n)
{
        static uint8_t work[APDU_MAX];
        struct side *s = &t->side[!out];
        struct acse_associate a;
        struct acse_initiate i;
        const uint8_t *plain;
        size_t plain_n;

        if (acse_associate_decode(p, n, &a))
                return;
        if (a.title) {
                memcpy(s->title, a.title, sizeof s->title);
                s->has_title = true;
        }
        if (a.user_info_len == 0 || !apdu_is_ciphered(a.user_info[0]))
                return;
        buf_put_str(&t->words, ": ");
        if (!open_envelope(t, out, a.user_info, a.user_info_len, work, &plain, &plain_n))
                return;
        if (acse_initiate_decode(plain, plain_n, &i))
                return;
        if (i.dedicated && i.dedicated_len <= DLMS_KEY_MAX) {
                memcpy(t->keys.dedicated, i.dedicated, i.dedicated_len);
                t->keys.has_dedicated = true;
        }
        meter_say_apdu(&t->say, &t->words, plain, plain_n);
}

/* A value that came in blocks is said once it is whole. */
static void join_blocks(struct meter_trace *t, const uint8_t *p, size_t n)
{
        struct apdu_response a;

        if (apdu_response_decode(p, n, &a) || a.kind != APDU_BLOCK || !a.data ||
            a.tag != APDU_GET_RESPONSE)
                return;
        if (a.block <= 1)
                buf_reset(&t->blocks);
        buf_put(&t->blocks, a.data, a.n);
        if (!a.last)
                return;
        buf_put_str(&t->words, "; together = ");
        meter_say_value(&t->words, t->blocks.p, t->blocks.len, 2);
        buf_reset(&t->blocks);
}

/* The description repeats the password: its digits become stars. */
static void describe(struct meter_trace *t, const uint8_t *p, size_t n)
{
        struct buf *b = &t->members, digits = BUF_INIT;
        size_t from = b->len;
        uint8_t *found;

        buf_put_str(b, ",\"apdu\":");
        decode_describe(b, p, n);
        if (t->cfg.secret_len < 4)
                return;
        buf_put_hex(&digits, t->cfg.secret, t->cfg.secret_len);
        while (digits.len &&
               (found = memmem(b->p + from, b->len - from, digits.p, digits.len)) != NULL)
                memset(found, '*', digits.len);
        if (digits.p)
                explicit_bzero(digits.p, digits.len);
        buf_deinit(&digits);
}

static void say_apdu(struct meter_trace *t, bool out, const uint8_t *p, size_t n)
{
        if (n > 0 && apdu_is_ciphered(p[0]) && !open_envelope(t, out, p, n, t->plain, &p, &n))
                return;
        if (!meter_say_apdu(&t->say, &t->words, p, n))
                t->damaged++;
        learn(t, out, p, n);
        join_blocks(t, p, n);
        if (t->cfg.json)
                describe(t, p, n);
}

/* ---- HDLC ---- */

static void say_params(struct buf *b, const struct hdlc_frame *f)
{
        struct hdlc_params p = { HDLC_INFO_DEFAULT, HDLC_INFO_DEFAULT, 1, 1 };

        if (f->info_len > 0 && hdlc_params_read(f->info, f->info_len, &p) == 0)
                buf_printf(b, " (information field out %u in %u, window out %u in %u)", p.info_tx,
                           p.info_rx, p.window_tx, p.window_rx);
}

static void say_link(struct buf *b, const struct hdlc_frame *f)
{
        unsigned control = f->control & ~(unsigned)HDLC_POLL_FINAL;

        if (control == HDLC_SNRM)
                buf_put_str(b, "SNRM: link wanted");
        else if (control == HDLC_UA)
                buf_put_str(b, "UA: agreed");
        else if (control == HDLC_DISC)
                buf_put_str(b, "DISC: link ends");
        else if (control == HDLC_DM)
                buf_put_str(b, "DM: NOT CONNECTED, or link refused");
        else if (control == HDLC_FRMR)
                buf_put_str(b, "FRMR: FRAME REJECTED");
        else if ((f->control & 0x0F) == HDLC_RR)
                buf_printf(b, "RR: ready, frame %u next", f->control >> 5);
        else if ((f->control & 0x0F) == HDLC_RNR)
                buf_printf(b, "RNR: not ready, frame %u next", f->control >> 5);
        else
                buf_printf(b, "HDLC frame, control %02X", f->control);
        say_params(b, f);
}

static void say_addresses(struct buf *b, const struct hdlc_frame *f, bool out)
{
        uint32_t server = out ? f->dst : f->src;
        uint8_t size = out ? f->dst_size : f->src_size;
        uint16_t upper, lower, client, unused;

        hdlc_address_split(server, size, &upper, &lower);
        hdlc_address_split(out ? f->src : f->dst, out ? f->src_size : f->dst_size, &client,
                           &unused);
        buf_printf(b, " [client %u, server %u", client, upper);
        if (size > 1)
                buf_printf(b, "/%u", lower);
        buf_put_str(b, "]");
}

static void on_information(struct meter_trace *t, bool out, const struct hdlc_frame *f)
{
        struct side *s = &t->side[!out];
        size_t skip = s->apdu_len == 0 && f->info_len >= LLC_SIZE ? LLC_SIZE : 0;

        if (f->info_len - skip > sizeof s->apdu - s->apdu_len) {
                buf_put_str(&t->words, "more segments than any APDU has");
                t->damaged++;
                s->apdu_len = 0;
                return;
        }
        memcpy(s->apdu + s->apdu_len, f->info + skip, f->info_len - skip);
        s->apdu_len += f->info_len - skip;
        if (f->segmented) {
                buf_printf(&t->words, "segment, %zu bytes so far", s->apdu_len);
                return;
        }
        say_apdu(t, out, s->apdu, s->apdu_len);
        s->apdu_len = 0;
}

static void on_frame(struct meter_trace *t, bool out, const uint8_t *p, size_t n)
{
        struct hdlc_frame f;
        int e = hdlc_frame_parse(p, n, &f);
        bool information;

        if (e) {
                buf_printf(&t->words, "damaged frame: %s", dlms_error_text((unsigned)e));
                t->damaged++;
                return;
        }
        information = !(f.control & 1) || (f.control & ~HDLC_POLL_FINAL) == HDLC_UI;
        if (information && f.info_len > 0) {
                on_information(t, out, &f);
        } else {
                if ((f.control & ~HDLC_POLL_FINAL) == HDLC_SNRM)
                        t->side[0].apdu_len = t->side[1].apdu_len = 0;
                say_link(&t->words, &f);
                if ((f.control & ~HDLC_POLL_FINAL) == HDLC_SNRM)
                        say_addresses(&t->words, &f, out);
        }
}

static void hdlc_byte(struct meter_trace *t, bool out, uint8_t byte)
{
        struct side *s = &t->side[!out];
        size_t before = s->frame_len;
        bool whole;

        hdlc_collect(s->frame, &s->frame_len, &byte, 1, &whole);
        if (whole) {
                show_noise(t, out);
                on_frame(t, out, s->frame, s->frame_len);
                show(t, out, s->frame, s->frame_len);
                s->frame_len = 1;
        } else if (s->frame_len <= before && byte != HDLC_FLAG && s->noise_len < NOISE_MAX) {
                s->noise[s->noise_len++] = byte;
        }
}

/* ---- wrapper ---- */

static void wrapper_byte(struct meter_trace *t, bool out, uint8_t byte)
{
        struct side *s = &t->side[!out];
        uint16_t src, dst, length;

        s->frame[s->frame_len++] = byte;
        if (s->frame_len < WRAPPER_HEADER_SIZE)
                return;
        if (wrapper_read(s->frame, &src, &dst, &length)) {
                /* One byte on: what was no header may be followed by one. */
                if (s->noise_len < NOISE_MAX)
                        s->noise[s->noise_len++] = s->frame[0];
                memmove(s->frame, s->frame + 1, --s->frame_len);
                return;
        }
        if (s->frame_len < WRAPPER_HEADER_SIZE + (size_t)length)
                return;
        show_noise(t, out);
        say_apdu(t, out, s->frame + WRAPPER_HEADER_SIZE, length);
        show(t, out, s->frame, s->frame_len);
        s->frame_len = 0;
}

/* ---- sign-on ---- */

static void text_byte(struct meter_trace *t, bool out, uint8_t byte)
{
        struct side *s = &t->side[!out];

        s->frame[s->frame_len++] = byte;
        if ((byte & 0x7F) != '\n' && s->frame_len < LINE_TEXT_MAX)
                return;
        for (size_t i = 0; i < s->frame_len; i++) {
                uint8_t c = s->frame[i] & 0x7F;

                if (c == 0x06)
                        buf_put_str(&t->words, "ACK ");
                else if (c >= ' ' && c < 0x7F)
                        buf_put_u8(&t->words, c);
        }
        show(t, out, s->frame, s->frame_len);
        s->frame_len = 0;
}

/* ---- outside ---- */

void meter_trace_bytes(struct meter_trace *t, int64_t at_ms, bool out, const uint8_t *p, size_t n)
{
        t->at_ms = at_ms;
        for (size_t i = 0; i < n; i++) {
                if (t->phase == METER_PHASE_HDLC)
                        hdlc_byte(t, out, p[i]);
                else if (t->phase == METER_PHASE_WRAPPER)
                        wrapper_byte(t, out, p[i]);
                else
                        text_byte(t, out, p[i]);
        }
}

void meter_trace_end(struct meter_trace *t, int64_t at_ms)
{
        t->at_ms = at_ms;
        for (int i = 0; i < 2; i++) {
                struct side *s = &t->side[i];

                show_noise(t, i == 0);
                /* A lone flag is the end of the frame before. */
                if (s->frame_len > 1 || (s->frame_len == 1 && s->frame[0] != HDLC_FLAG)) {
                        buf_put_str(&t->words, "the rest never came");
                        t->damaged++;
                        show(t, i == 0, s->frame, s->frame_len);
                }
                s->frame_len = s->apdu_len = 0;
        }
}

void meter_trace_phase(struct meter_trace *t, int64_t at_ms, enum meter_phase phase)
{
        static const char *const words[] = { "optical sign-on", "HDLC", "TCP wrapper" };

        meter_trace_end(t, at_ms);
        t->phase = phase;
        if (t->cfg.json)
                fprintf(t->cfg.out, "{\"at_ms\":%lld,\"phase\":\"%s\"}\n", (long long)at_ms,
                        meter_phase_name(phase));
        else
                fprintf(t->cfg.out, "%9.3f   -- %s --\n", (double)at_ms / 1000, words[phase]);
}
