#include "forward.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ingest.h"
#include "mqtt.h"

enum { BATCH_RECORDS = 64, BATCH_BYTES = 256 * 1024, TICK_MS = 50, SAVE_MS = 1000 };

const struct config_key forward_keys[] = {
        { "host", CONFIG_TEXT, NULL, "Broker of the head-end; unset: nothing is forwarded", NULL, 0,
          0 },
        { "port", CONFIG_INT, "8883", "Its port", NULL, 1, 65535 },
        { "id", CONFIG_TEXT, "concentrator", "Name of this concentrator, last level of its topic",
          NULL, 0, 0 },
        { "user", CONFIG_TEXT, NULL, "Login at the broker", NULL, 0, 0 },
        { "password", CONFIG_SECRET, NULL, "Password at the broker", NULL, 0, 0 },
        { "ca_file", CONFIG_PATH, NULL, "Certificates to trust; set: TLS", NULL, 0, 0 },
        { "cert_file", CONFIG_PATH, NULL, "Own certificate", NULL, 0, 0 },
        { "key_file", CONFIG_PATH, NULL, "Its key", NULL, 0, 0 },
        { "rate", CONFIG_INT, "500", "Messages a second at most", NULL, 1, 100000 },
        { 0 },
};

struct flight {
        int id; /* 0 = acknowledged */
        struct spool_position after;
};

struct forward {
        uv_loop_t *loop;
        struct spool *spool;
        struct mqtt *mqtt;
        char topic[128], path[4096];
        uv_timer_t tick;
        int64_t rate, tokens, last_ms, saved_ms;
        bool connected, closing, mqtt_closed, restart;
        /* Read by the worker while reading is set, else by the loop. */
        uv_work_t read_work;
        struct spool_cursor cursor;
        bool reading, cursor_open;
        struct buf batch; /* len:le32 segment:le64 offset:le64 body, one after the other */
        size_t batch_at;
        int read_status;
        struct flight flights[BATCH_RECORDS]; /* in order */
        size_t n_flights;
        struct spool_position acknowledged, saved, saving;
        uv_work_t save_work;
        bool save_running;
        struct forward_stats stats;
        void (*closed)(void *);
        void *closed_arg;
};

static void send_more(struct forward *f);
static void maybe_closed(struct forward *f);

/* ---- position ---- */

static void load_position(struct forward *f)
{
        unsigned long long segment = 0, offset = 0;
        FILE *file = fopen(f->path, "re");

        if (file) {
                if (fscanf(file, "%llx %llx", &segment, &offset) != 2)
                        segment = offset = 0; /* everything is sent again */
                fclose(file);
        }
        f->acknowledged = f->saved = (struct spool_position){ segment, offset };
}

static void save_run(uv_work_t *w)
{
        struct forward *f = w->data;
        char beside[4100], text[40];
        int fd, n = snprintf(text, sizeof text, "%llx %llx\n",
                             (unsigned long long)f->saving.segment,
                             (unsigned long long)f->saving.offset);

        snprintf(beside, sizeof beside, "%s.new", f->path);
        fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
                return;
        /* Space is released only behind a position that will be found again. */
        if (write(fd, text, (size_t)n) == n && fdatasync(fd) == 0 && rename(beside, f->path) == 0)
                spool_release(f->spool, f->saving);
        close(fd);
}

static void save_done(uv_work_t *w, int status)
{
        struct forward *f = w->data;

        (void)status;
        f->saved = f->saving;
        f->save_running = false;
        maybe_closed(f);
}

static void save(struct forward *f)
{
        if (f->save_running || (f->acknowledged.segment == f->saved.segment &&
                                f->acknowledged.offset == f->saved.offset))
                return;
        f->saving = f->acknowledged;
        f->save_work.data = f;
        f->saved_ms = (int64_t)uv_now(f->loop);
        f->save_running = uv_queue_work(f->loop, &f->save_work, save_run, save_done) == 0;
}

/* ---- reading ---- */

static void read_run(uv_work_t *w)
{
        struct forward *f = w->data;
        const uint8_t *body;
        size_t n;

        for (int i = 0; i < BATCH_RECORDS && f->batch.len < BATCH_BYTES; i++) {
                f->read_status = spool_cursor_next(&f->cursor, &body, &n);
                if (f->read_status <= 0)
                        return;
                buf_put_le32(&f->batch, (uint32_t)n);
                buf_put_le64(&f->batch, f->cursor.at.segment);
                buf_put_le64(&f->batch, f->cursor.at.offset);
                buf_put(&f->batch, body, n);
        }
}

static void read_done(uv_work_t *w, int status)
{
        struct forward *f = w->data;

        (void)status;
        f->reading = false;
        if (f->closing)
                maybe_closed(f);
        else
                send_more(f);
}

/* From what was acknowledged on: also after a connection ended with messages under way. */
static void rewind_cursor(struct forward *f)
{
        if (f->cursor_open)
                spool_cursor_deinit(&f->cursor);
        spool_cursor_init(&f->cursor, f->spool, f->acknowledged);
        f->cursor_open = true;
        f->stats.resent += f->n_flights;
        f->n_flights = 0;
        buf_reset(&f->batch);
        f->batch_at = 0;
        f->restart = false;
}

static void refill(struct forward *f)
{
        if (f->reading || f->n_flights || f->closing)
                return;
        buf_reset(&f->batch);
        f->batch_at = 0;
        f->read_work.data = f;
        f->reading = uv_queue_work(f->loop, &f->read_work, read_run, read_done) == 0;
}

/* ---- sending ---- */

static void send_more(struct forward *f)
{
        if (f->closing || !f->connected || f->reading)
                return;
        if (f->restart)
                rewind_cursor(f);
        while (f->tokens > 0 && f->batch_at < f->batch.len && f->n_flights < BATCH_RECORDS) {
                struct rd r = rd_of(f->batch.p + f->batch_at, f->batch.len - f->batch_at);
                uint32_t n = rd_le32(&r);
                struct flight *t = &f->flights[f->n_flights];
                const uint8_t *body;

                t->after.segment = rd_le64(&r);
                t->after.offset = rd_le64(&r);
                body = rd_take(&r, n);
                if (!body || mqtt_publish(f->mqtt, f->topic, body, n, &t->id) < 0)
                        return;
                f->n_flights++;
                f->batch_at += 20 + (size_t)n;
                f->tokens--;
                f->stats.sent++;
        }
        if (f->batch_at == f->batch.len && !f->n_flights)
                refill(f);
}

static void on_published(void *arg, int id)
{
        struct forward *f = arg;
        size_t done = 0;

        for (size_t i = 0; i < f->n_flights; i++)
                if (f->flights[i].id == id)
                        f->flights[i].id = 0;
        /* Only as far as everything before is acknowledged too. */
        while (done < f->n_flights && f->flights[done].id == 0)
                f->acknowledged = f->flights[done++].after;
        f->n_flights -= done;
        memmove(f->flights, f->flights + done, f->n_flights * sizeof *f->flights);
        f->stats.acknowledged += done;
}

static void on_state(void *arg, bool connected, const char *why)
{
        struct forward *f = arg;

        (void)why;
        f->connected = connected;
        if (!connected)
                f->restart = true;
}

static void on_mqtt_closed(void *arg)
{
        struct forward *f = arg;

        f->mqtt_closed = true;
        maybe_closed(f);
}

static void on_tick(uv_timer_t *t)
{
        struct forward *f = t->data;
        int64_t now = (int64_t)uv_now(f->loop);

        f->tokens += f->rate * (now - f->last_ms) / 1000;
        if (f->tokens > f->rate)
                f->tokens = f->rate;
        f->last_ms = now;
        send_more(f);
        if (now - f->saved_ms >= SAVE_MS)
                save(f);
}

/* ---- open, close ---- */

int forward_open(struct forward **ret, uv_loop_t *loop, struct spool *spool,
                 const struct config *config, const char *state_dir, struct buf *error)
{
        static const struct mqtt_handlers handlers = { .state = on_state,
                                                       .published = on_published,
                                                       .closed = on_mqtt_closed };
        const char *id = config_text(config, "upstream", "id");
        char client[100];
        struct mqtt_config m = { .host = config_text(config, "upstream", "host"),
                                 .port = (uint16_t)config_int(config, "upstream", "port"),
                                 .client_id = client,
                                 .user = config_text(config, "upstream", "user"),
                                 .password = config_text(config, "upstream", "password"),
                                 .ca_file = config_text(config, "upstream", "ca_file"),
                                 .cert_file = config_text(config, "upstream", "cert_file"),
                                 .key_file = config_text(config, "upstream", "key_file") };
        struct forward *f;
        int r;

        *ret = NULL;
        if (!m.host)
                return 1;
        if (!*id || strlen(id) > 60 || strpbrk(id, "/+#")) {
                buf_printf(error,
                           "[upstream] id: \"%s\" must be 1 to 60 characters without / + #\n", id);
                return -EINVAL;
        }
        f = calloc(1, sizeof *f);
        if (!f)
                return -ENOMEM;
        f->loop = loop;
        f->spool = spool;
        f->rate = config_int(config, "upstream", "rate");
        f->last_ms = f->saved_ms = (int64_t)uv_now(loop);
        snprintf(f->topic, sizeof f->topic, "headrace/v1/up/%s", id);
        snprintf(f->path, sizeof f->path, "%s/forwarded", state_dir);
        snprintf(client, sizeof client, "headrace-up-%s", id);
        load_position(f);
        f->restart = true;
        r = mqtt_open(&f->mqtt, loop, &m, &handlers, f);
        if (r < 0) {
                buf_printf(error, "[upstream]: %s; check host and id\n", strerror(-r));
                free(f);
                return r;
        }
        uv_timer_init(loop, &f->tick);
        f->tick.data = f;
        uv_timer_start(&f->tick, on_tick, TICK_MS, TICK_MS);
        *ret = f;
        return 0;
}

void forward_get_stats(const struct forward *f, struct forward_stats *ret)
{
        *ret = f->stats;
        ret->in_flight = (unsigned)f->n_flights;
        ret->connected = f->connected;
}

static void on_tick_closed(uv_handle_t *h)
{
        struct forward *f = h->data;
        void (*closed)(void *) = f->closed;
        void *arg = f->closed_arg;

        if (f->cursor_open)
                spool_cursor_deinit(&f->cursor);
        buf_deinit(&f->batch);
        free(f);
        if (closed)
                closed(arg);
}

static void maybe_closed(struct forward *f)
{
        if (!f->closing || !f->mqtt_closed || f->reading || f->save_running)
                return;
        /* What was acknowledged since the last time; then nothing is left to do. */
        save(f);
        if (!f->save_running && !uv_is_closing((uv_handle_t *)&f->tick))
                uv_close((uv_handle_t *)&f->tick, on_tick_closed);
}

void forward_close(struct forward *f, void (*closed)(void *), void *arg)
{
        if (!f) {
                if (closed)
                        closed(arg);
                return;
        }
        f->closing = true;
        f->closed = closed;
        f->closed_arg = arg;
        uv_timer_stop(&f->tick);
        mqtt_close(f->mqtt);
}

static bool take_text(struct rd *r, char *out, size_t cap)
{
        size_t n = rd_le16(r);
        const uint8_t *p = rd_take(r, n);

        if (!p || n >= cap || memchr(p, 0, n))
                return false;
        memcpy(out, p, n);
        out[n] = 0;
        return true;
}

int forward_parse(const void *message, size_t n, struct forward_record *ret)
{
        struct rd r = rd_of(message, n);
        uint8_t kind = rd_u8(&r);
        char reason[256];

        rd_skip(&r, 1 + 4);
        ret->received_us = (int64_t)rd_le64(&r);
        if (r.failed || kind != INGEST_UNKNOWN ||
            !take_text(&r, ret->protocol, sizeof ret->protocol) ||
            !take_text(&r, ret->identity, sizeof ret->identity) ||
            !take_text(&r, reason, sizeof reason) ||
            !take_text(&r, ret->detail, sizeof ret->detail) || r.failed || !r.n ||
            !ret->identity[0])
                return -EBADMSG;
        ret->raw = r.p;
        ret->len = r.n;
        return 0;
}
