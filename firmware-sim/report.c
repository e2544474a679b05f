#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "civil.h"
#include "sim.h"

static void put_str(struct buf *b, const char *name, const char *value)
{
        buf_printf(b, "\"%s\":", name);
        buf_put_json_str(b, value, strlen(value));
}

static void put_address(struct buf *b, const struct sim *s, const struct meter *m)
{
        char host[128];

        sim_meter_host(s, m, host);
        buf_put_str(b, "\"address\":{");
        switch (m->kind) {
        case SIM_DLMS_WRAPPER:
                put_str(b, "host", host);
                buf_printf(b,
                           ",\"port\":%u,\"transport\":\"tcp-wrapper\",\"client_sap\":%d,"
                           "\"server_sap\":1,\"auth\":\"%s\",\"security\":\"none\"",
                           m->port, s->opt.lls[0] ? 1 : 16, s->opt.lls[0] ? "lls" : "none");
                break;
        case SIM_DLMS_HDLC:
                put_str(b, "host", host);
                buf_printf(b,
                           ",\"port\":%u,\"transport\":\"tcp-hdlc\",\"client_sap\":1,"
                           "\"server_sap\":1,\"auth\":\"gmac\","
                           "\"security\":\"authenticated-encrypted\"",
                           m->port);
                break;
        case SIM_MODBUS:
                put_str(b, "host", host);
                buf_printf(b, ",\"port\":%u,\"unit\":1", m->port);
                break;
        case SIM_MQTT_SENML:
        case SIM_MQTT_FLAT:
                buf_printf(b, "\"topic\":\"headrace/v1/%s/telemetry\"", m->identity);
                break;
        case SIM_COAP:
                buf_put_str(b, "\"path\":\"/v1/telemetry\"");
                break;
        case SIM_DLMS_PUSH:
        case SIM_N_KINDS:
                buf_put_str(b, "\"transport\":\"push\"");
                break;
        }
        buf_put_str(b, "}");
}

static void put_key(struct buf *b, const char *name, const uint8_t *key, bool wrong, bool first)
{
        uint8_t shown[METER_KEY_SIZE];

        memcpy(shown, key, sizeof shown);
        if (wrong)
                shown[0] ^= 0xFF;
        buf_printf(b, "%s\"%s\":\"", first ? "" : ",", name);
        buf_put_hex(b, shown, sizeof shown);
        buf_put_str(b, "\"");
}

static void put_meter(struct buf *b, const struct sim *s, const struct meter *m)
{
        const struct meter_kind *k = &meter_kinds[m->kind];

        buf_put_str(b, "{");
        put_str(b, "serial", m->serial);
        buf_put_str(b, ",");
        put_str(b, "maker", k->maker);
        buf_put_str(b, ",");
        put_str(b, "model", k->model);
        buf_put_str(b, ",");
        put_str(b, "commodity", k->commodity);
        buf_put_str(b, ",");
        put_str(b, "protocol", k->protocol);
        buf_put_str(b, ",");
        put_str(b, "identity", m->identity);
        buf_printf(b, ",\"period_s\":%d,", METER_PERIOD_S);
        put_address(b, s, m);
        buf_put_str(b, ",");
        put_str(b, "branch", s->opt.branch);
        buf_put_str(b, ",\"keys\":{");
        if (m->kind == SIM_DLMS_HDLC) {
                put_key(b, "guek", m->guek, m->wrong_key, true);
                put_key(b, "gak", m->gak, m->wrong_key, false);
                put_key(b, "kek", m->kek, false, false);
        } else if (m->kind == SIM_DLMS_WRAPPER && s->opt.lls[0]) {
                put_str(b, "lls", s->opt.lls);
        } else if (m->kind == SIM_COAP) {
                put_key(b, "psk", m->psk, m->wrong_key, true);
        }
        buf_put_str(b, "}}");
}

static int write_file(const char *path, const struct buf *b)
{
        char beside[1100];
        FILE *f;
        bool ok;

        if (b->failed)
                return -ENOMEM;
        snprintf(beside, sizeof beside, "%s.part", path);
        f = fopen(beside, "w");
        if (!f)
                return -errno;
        ok = fwrite(b->p, 1, b->len, f) == b->len;
        ok = fclose(f) == 0 && ok;
        if (!ok || rename(beside, path)) {
                int e = errno;

                unlink(beside);
                return -e;
        }
        return 0;
}

int sim_write_fleet(const struct sim *s)
{
        struct buf b = BUF_INIT;
        bool first = true;
        int r = 0;

        buf_put_str(&b, "{\"meters\":[\n");
        for (unsigned i = 0; i < s->n; i++) {
                if (s->meters[i].unknown)
                        continue;
                if (!first)
                        buf_put_str(&b, ",\n");
                first = false;
                put_meter(&b, s, &s->meters[i]);
        }
        buf_put_str(&b, "\n]}\n");
        if (s->opt.fleet[0])
                r = write_file(s->opt.fleet, &b);
        buf_deinit(&b);
        return r;
}

void sim_write_truth(struct sim *s, const struct meter *m, unsigned channel, int64_t start,
                     unsigned n)
{
        const struct channel *ch = channel_by_number(channel);
        char time[CIVIL_RFC3339_SIZE];

        if (!s->truth || !ch || n == 0)
                return;
        civil_format(start, 0, time);
        fprintf(s->truth,
                "{\"identity\":\"%s\",\"protocol\":\"%s\",\"channel\":\"%s\",\"start\":\"%s\","
                "\"period_s\":%d,%s\"values\":[",
                m->identity, meter_kinds[m->kind].protocol, ch->code, time, METER_PERIOD_S,
                m->unknown     ? "\"unknown\":true,"
                : m->wrong_key ? "\"wrong_key\":true,"
                               : "");
        for (unsigned i = 0; i < n; i++) {
                int64_t at = start + (int64_t)i * METER_PERIOD_S;
                int64_t v = ch->kind == CHANNEL_REGISTER ? meter_register(m, at)
                                                         : meter_interval(m, at);

                fprintf(s->truth, "%s%" PRId64, i ? "," : "", v);
        }
        fputs("]}\n", s->truth);
}

void sim_acknowledged(struct sim *s, const struct meter *m, int64_t start, unsigned n)
{
        const struct meter_kind *k = &meter_kinds[m->kind];

        if (k->interval_channel)
                sim_write_truth(s, m, k->interval_channel, start, n);
        /* Notifications carry the register of every quarter hour, the others that of the last. */
        if (m->kind == SIM_DLMS_PUSH)
                sim_write_truth(s, m, k->register_channel, start + METER_PERIOD_S, n);
        else if (k->register_channel)
                sim_write_truth(s, m, k->register_channel, start + (int64_t)n * METER_PERIOD_S, 1);
        s->stats.values += n + (m->kind != SIM_DLMS_PUSH);
        if (s->truth)
                fflush(s->truth);
}

void sim_write_offered(struct sim *s)
{
        unsigned n = (unsigned)((s->opt.to - s->opt.from) / METER_PERIOD_S);

        for (unsigned i = 0; s->truth && i < s->n; i++) {
                const struct meter *m = &s->meters[i];
                const struct meter_kind *k = &meter_kinds[m->kind];

                if (k->pushes)
                        continue;
                if (k->interval_channel)
                        sim_write_truth(s, m, k->interval_channel, s->opt.from, n);
                /* A register has a reading at both ends. */
                if (k->register_channel)
                        sim_write_truth(s, m, k->register_channel, s->opt.from, n + 1);
        }
        if (s->truth)
                fflush(s->truth);
}

static long resident_kib(void)
{
        long pages = 0;
        FILE *f = fopen("/proc/self/statm", "r");

        if (!f)
                return 0;
        if (fscanf(f, "%*d %ld", &pages) != 1)
                pages = 0;
        fclose(f);
        return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

void sim_print_summary(const struct sim *s, const char *what)
{
        const struct sim_stats *t = &s->stats;

        printf("{\"%s\":{\"meters\":%u,\"connections\":%" PRIu64 ",\"polls\":%" PRIu64
               ",\"answers_dropped\":%" PRIu64 ",\"pushed\":%" PRIu64 ",\"acknowledged\":%" PRIu64
               ",\"refused\":%" PRIu64 ",\"acks_dropped\":%" PRIu64 ",\"duplicates\":%" PRIu64
               ",\"restarts\":%" PRIu64 ",\"cuts\":%" PRIu64 ",\"late\":%" PRIu64
               ",\"transfers_reset\":%" PRIu64 ",\"connections_refused\":%" PRIu64
               ",\"values\":%" PRIu64 ",\"seconds\":%.1f,\"rss_kib\":%ld}}\n",
               what, s->n, t->connections, t->polls, t->answers_dropped, t->pushed, t->acknowledged,
               t->refused, t->acks_dropped, t->duplicates, t->restarts, t->faults.cuts,
               t->faults.late, t->faults.transfers_reset, t->faults.connections_refused, t->values,
               (double)(uv_hrtime() / 1000000 - s->started_ms) / 1000, resident_kib());
        fflush(stdout);
}
