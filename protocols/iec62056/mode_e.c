#include "mode_e.h"

#include <string.h>

enum {
        ACK = 0x06,
        /* A meter begins to answer within 1500 ms (6.4.1 tr); then up to 1500 ms between two
         * characters (ta). */
        ANSWER_MS = 1500,
        GAP_MS = 1500,
        GARBAGE_MS = 250,
        /* Annex B: zeros for 2.1 to 2.3 s, then 1.5 to 1.7 s of silence. */
        WAKE_ZEROS = 66,
        WAKE_PAUSE_MS = 1600,
        BITS = 10, /* of a character on the line: start, 7, parity, stop */
};

static const struct {
        const char *name, *text;
} errors[MODE_E_N_ERRORS] = {
#define XX(name, word, text) [MODE_E_##name] = { #word, text },
        MODE_E_ERROR_MAP(XX)
#undef XX
};

const char *mode_e_error_name(unsigned error)
{
        return error < MODE_E_N_ERRORS ? errors[error].name : "unknown";
}

const char *mode_e_error_text(unsigned error)
{
        return error < MODE_E_N_ERRORS ? errors[error].text : "unknown error";
}

static const uint32_t rates[] = { 300, 600, 1200, 2400, 4800, 9600, 19200 };

/* Baud rate of an identification's character for modes C and E ('0'-'6'); 0 = none. */
static uint32_t rate_of(char z)
{
        return z >= '0' && z <= '6' ? rates[z - '0'] : 0;
}

static void tell(struct mode_e *m, enum mode_e_event_type type, enum mode_e_error error)
{
        if (m->n_events < sizeof m->events / sizeof *m->events)
                m->events[m->n_events++] =
                        (struct mode_e_event){ .type = type, .error = error, .baud = m->baud };
}

static void finish(struct mode_e *m, enum mode_e_event_type type, enum mode_e_error error)
{
        m->state = MODE_E_DONE;
        m->deadline_ms = CORE_NO_DEADLINE;
        m->out_len = m->out_done = 0;
        tell(m, type, error);
}

/* How long @n characters are on the line at the rate of the sign-on. */
static int64_t airtime_ms(size_t n)
{
        return (int64_t)(n * BITS * 1000 / MODE_E_START_BAUD);
}

static void call(struct mode_e *m, int64_t now_ms)
{
        size_t n = strlen(m->cfg.address);

        m->state = MODE_E_CALLING;
        m->line_len = 0;
        memcpy(m->out, "/?", 2);
        memcpy(m->out + 2, m->cfg.address, n);
        memcpy(m->out + 2 + n, "!\r\n", 3);
        m->out_len = n + 5;
        m->out_done = 0;
        m->deadline_ms = now_ms + airtime_ms(m->out_len) + ANSWER_MS;
}

int mode_e_init(struct mode_e *m, const struct mode_e_config *config)
{
        *m = (struct mode_e){ .cfg = *config, .deadline_ms = CORE_NO_DEADLINE };
        if (!memchr(config->address, 0, sizeof config->address))
                return MODE_E_ARGUMENT;
        for (const char *s = config->address; *s; s++)
                if (*s <= ' ' || *s > '~' || *s == '/' || *s == '!')
                        return MODE_E_ARGUMENT;
        if (config->max_baud && config->max_baud < MODE_E_START_BAUD)
                return MODE_E_ARGUMENT;
        m->tries_left = config->tries ? config->tries : 3;
        return MODE_E_OK;
}

void mode_e_open(struct mode_e *m, int64_t now_ms)
{
        if (m->state != MODE_E_IDLE)
                return;
        m->tries_left--;
        if (!m->cfg.wake_up) {
                call(m, now_ms);
                return;
        }
        m->state = MODE_E_WAKING;
        memset(m->out, 0, WAKE_ZEROS);
        m->out_len = WAKE_ZEROS;
        m->deadline_ms = now_ms + airtime_ms(WAKE_ZEROS) + WAKE_PAUSE_MS;
}

/* Sends "ACK 2 Z 2": protocol control character 2, rate, mode control character 2 (HDLC). */
static void acknowledge(struct mode_e *m, char z, int64_t now_ms)
{
        m->baud = rate_of(z);
        while (m->cfg.max_baud && m->baud > m->cfg.max_baud)
                m->baud = rate_of(--z);
        m->ack[0] = ACK;
        m->ack[1] = '2';
        m->ack[2] = (uint8_t)z;
        m->ack[3] = '2';
        m->ack[4] = '\r';
        m->ack[5] = '\n';
        memcpy(m->out, m->ack, sizeof m->ack);
        m->out_len = sizeof m->ack;
        m->out_done = 0;
        m->state = MODE_E_CONFIRMING;
        m->ack_seen = 0;
        m->echoed = false;
        m->deadline_ms = now_ms + airtime_ms(sizeof m->ack) + ANSWER_MS;
}

/* One line is whole: our own call thrown back, the identification, or noise. */
static void on_line(struct mode_e *m, int64_t now_ms)
{
        const char *p = memchr(m->line, '/', m->line_len);
        size_t n = p ? m->line_len - (size_t)(p + 1 - m->line) : 0;

        m->line_len = 0;
        if (p && n > 0 && p[1] == '?') {
                m->echoes = true;
                return;
        }
        /* Three letters and the rate at least. */
        if (n < 4) {
                m->seen |= n > 0;
                return;
        }
        memcpy(m->identification, p + 1, n);
        m->identification[n] = 0;
        tell(m, MODE_E_EV_IDENTIFIED, MODE_E_OK);
        if (!rate_of(m->identification[3]))
                finish(m, MODE_E_EV_FAILED, m->cfg.insist ? MODE_E_RATE : MODE_E_NOT_OFFERED);
        else if (!strstr(m->identification + 4, "\\2") && !m->cfg.insist)
                finish(m, MODE_E_EV_FAILED, MODE_E_NOT_OFFERED);
        else
                acknowledge(m, m->identification[3], now_ms);
}

static void take_identification(struct mode_e *m, char c, int64_t now_ms)
{
        m->deadline_ms = now_ms + GAP_MS;
        if (c == '\n' || c == '\r') {
                if (m->line_len > 0)
                        on_line(m, now_ms);
                return;
        }
        if (c == '/')
                m->line_len = 0;
        /* A line longer than any identification is noise: its end will show it. */
        if (m->line_len == MODE_E_IDENT_MAX || c < ' ') {
                m->seen = true;
                m->line_len = 0;
                return;
        }
        m->line[m->line_len++] = c;
}

static void confirm(struct mode_e *m)
{
        finish(m, MODE_E_EV_SWITCH, MODE_E_OK);
        m->events[m->n_events - 1].confirmed = true;
}

/* A head that threw the call back throws the acknowledgement back, too, before the meter repeats
 * it. Something else means that the meter has changed its rate already. */
static void take_confirmation(struct mode_e *m, uint8_t c, int64_t now_ms)
{
        if (c == m->ack[m->ack_seen]) {
                m->ack_seen++;
        } else {
                m->ack_seen = c == m->ack[0];
                if (m->deadline_ms > now_ms + GARBAGE_MS)
                        m->deadline_ms = now_ms + GARBAGE_MS;
        }
        if (m->ack_seen < sizeof m->ack)
                return;
        m->ack_seen = 0;
        if (m->echoes && !m->echoed)
                m->echoed = true;
        else
                confirm(m);
}

static size_t mode_e_recv(void *core, const uint8_t *in, size_t n, int64_t now_ms)
{
        struct mode_e *m = core;
        size_t i = 0;

        while (i < n && m->n_events == 0 && m->state != MODE_E_DONE) {
                uint8_t c = in[i++] & 0x7F;

                if (m->state == MODE_E_CALLING)
                        take_identification(m, (char)c, now_ms);
                else if (m->state == MODE_E_CONFIRMING)
                        take_confirmation(m, c, now_ms);
        }
        /* Done: what still arrives belongs to nobody. */
        return m->state == MODE_E_DONE && m->n_events == 0 ? n : i;
}

static void mode_e_expire(void *core, int64_t now_ms)
{
        struct mode_e *m = core;

        if (m->deadline_ms > now_ms)
                return;
        if (m->state == MODE_E_WAKING) {
                call(m, now_ms);
        } else if (m->state == MODE_E_CONFIRMING) {
                finish(m, MODE_E_EV_SWITCH, MODE_E_OK);
        } else if (m->state == MODE_E_CALLING) {
                m->seen |= m->line_len > 0;
                if (m->tries_left > 0) {
                        m->tries_left--;
                        call(m, now_ms);
                } else {
                        finish(m, MODE_E_EV_FAILED, m->seen ? MODE_E_GARBLED : MODE_E_SILENT);
                }
        }
}

static void mode_e_closed(void *core, int error, int64_t now_ms)
{
        struct mode_e *m = core;

        (void)error;
        (void)now_ms;
        if (m->state != MODE_E_DONE)
                finish(m, MODE_E_EV_FAILED, MODE_E_CLOSED);
}

static size_t mode_e_output(void *core, const uint8_t **ret)
{
        struct mode_e *m = core;

        *ret = m->out + m->out_done;
        return m->out_len - m->out_done;
}

static void mode_e_output_done(void *core, size_t n)
{
        struct mode_e *m = core;
        size_t left = m->out_len - m->out_done;

        m->out_done += n < left ? n : left;
        if (m->out_done == m->out_len)
                m->out_done = m->out_len = 0;
}

static int64_t mode_e_deadline(void *core)
{
        return ((struct mode_e *)core)->deadline_ms;
}

const struct core_ops mode_e_core = { mode_e_recv,   mode_e_expire,      mode_e_closed,
                                      mode_e_output, mode_e_output_done, mode_e_deadline };

bool mode_e_next_event(struct mode_e *m, struct mode_e_event *ret)
{
        if (m->n_events == 0)
                return false;
        *ret = m->events[0];
        m->events[0] = m->events[1];
        m->n_events--;
        return true;
}

void mode_e_maker(const char *identification, char out[static 4])
{
        size_t n = strlen(identification) < 3 ? 0 : 3;

        memcpy(out, identification, n);
        out[n] = 0;
}
