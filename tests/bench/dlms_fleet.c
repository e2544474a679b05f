/*
 * A fleet of simulated meters read by the collector's own visits and schedule on one loop, with
 * every value checked against what the meters offered.
 *
 *     dlms_fleet --fleet FILE [--truth FILE] --from DAY --to DAY [--visits N] [--limit S]
 *                [--retry MS] [--timeout MS] [--core]
 *
 * --core: bare sessions instead (pump and client core: associate, clock, a day of profile block by
 * block, release), each meter once, to see what a session itself costs.
 *
 * One JSON object on standard output. Exit code 1 when a value is wrong, lost or there twice.
 */
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "civil.h"
#include "dlms/client.h"
#include "dlms/profile.h"
#include "dlms/security.h"
#include "hex.h"
#include "layout.h"
#include "message.h"
#include "models.h"
#include "pump.h"
#include "sweep.h"
#include "visit.h"
#include <jansson.h>

enum { MODELS_MAX = 8, PERIOD = 900, SAMPLE_MS = 20 };

struct options {
        const char *fleet, *truth;
        int64_t from, to;
        unsigned visits, limit_s, retry_ms, timeout_ms;
        bool core;
};

struct fleet_meter {
        struct registry_meter m;
        const struct meter_model *model;
        const struct channel *channel; /* the profile's */
        char *address;
        unsigned visits;
        uint8_t *seen;  /* per interval: how often it arrived */
        int64_t *value; /* per interval */
};

static struct run {
        struct options o;
        uv_loop_t loop;
        uv_timer_t tick;
        json_t *fleet; /* strings are borrowed from it */
        struct meter_model *models[MODELS_MAX];
        size_t n, n_models, slots;
        struct fleet_meter *meters;
        struct sweep *sweep;
        struct visit_shared shared;
        int64_t began_ms;
        unsigned running, peak, next;
        size_t heap_before, heap_peak;
        uint64_t visits, connections, round_trips, completed, failed, wrong, doubled, again;
        bool stopping;
        char counters[64];
} run;

static void die(const char *what, const char *why)
{
        fprintf(stderr, "dlms_fleet: %s: %s\n", what, why);
        exit(2);
}

static int64_t now_ms(void)
{
        return (int64_t)uv_now(&run.loop);
}

/* The meters' clocks stand at the end of their history. */
static int64_t now_s(void)
{
        return run.o.to + (now_ms() - run.began_ms) / 1000;
}

static size_t heap_used(void)
{
        struct mallinfo2 m = mallinfo2();

        return m.uordblks + m.hblkhd;
}

/* ---- the fleet ---- */

static const struct meter_model *model_of(const char *name)
{
        const struct model_file *f = model_builtin();
        char why[256];

        for (size_t i = 0; i < run.n_models; i++)
                if (strcmp(run.models[i]->name, name) == 0)
                        return run.models[i];
        while (f->name && strcmp(f->name, name) != 0)
                f++;
        if (!f->name || run.n_models == MODELS_MAX ||
            model_parse(&run.models[run.n_models], f->json, why, sizeof why))
                die(name, "no such model");
        return run.models[run.n_models++];
}

static const struct channel *profile_channel(const struct meter_model *m)
{
        for (size_t i = 0; i < m->profile.n; i++)
                if (m->profile.capture[i].to.channel)
                        return m->profile.capture[i].to.channel;
        die(m->name, "captures nothing");
        return NULL;
}

static void take_key(struct secret *s, const json_t *keys, const char *name)
{
        const char *hex = json_string_value(json_object_get(keys, name));
        uint8_t key[SECRET_MAX];
        ssize_t n = hex ? hex_decode(hex, strlen(hex), key, sizeof key) : 0;

        if (n > 0)
                secret_set(s, key, (size_t)n);
}

static void load_fleet(void)
{
        json_error_t e;
        json_t *list, *o;
        size_t i;

        run.fleet = json_load_file(run.o.fleet, 0, &e);
        if (!run.fleet)
                die(run.o.fleet, e.text);
        list = json_object_get(run.fleet, "meters");
        run.n = json_array_size(list);
        run.meters = calloc(run.n + 1, sizeof *run.meters);
        run.slots = (size_t)((run.o.to - run.o.from) / PERIOD) + 1;
        json_array_foreach(list, i, o)
        {
                struct fleet_meter *f = &run.meters[i];

                f->model = model_of(json_string_value(json_object_get(o, "model")));
                f->channel = profile_channel(f->model);
                f->address = json_dumps(json_object_get(o, "address"), JSON_COMPACT);
                f->m = (struct registry_meter){
                        .meter_id = (uint32_t)i + 1,
                        .protocol = f->model->protocol,
                        .serial = json_string_value(json_object_get(o, "serial")),
                        .identity = json_string_value(json_object_get(o, "identity")),
                        .maker = "HRS",
                        .model = f->model->name,
                        .address = f->address,
                        .period_s = PERIOD,
                };
                take_key(&f->m.guek, json_object_get(o, "keys"), "guek");
                take_key(&f->m.gak, json_object_get(o, "keys"), "gak");
                f->seen = calloc(run.slots, 1);
                f->value = calloc(run.slots, sizeof *f->value);
        }
}

static void free_fleet(void)
{
        for (size_t i = 0; i < run.n; i++) {
                free(run.meters[i].address);
                free(run.meters[i].seen);
                free(run.meters[i].value);
        }
        free(run.meters);
        for (size_t i = 0; i < run.n_models; i++)
                free(run.models[i]);
        json_decref(run.fleet);
}

/* ---- what arrives ---- */

static void take(struct fleet_meter *f, uint8_t channel, int64_t at, int64_t value)
{
        size_t slot = (size_t)((at - run.o.from) / PERIOD);

        if (channel != f->channel->number || at < run.o.from || slot >= run.slots ||
            (at - run.o.from) % PERIOD)
                return;
        if (f->seen[slot] && f->value[slot] != value)
                run.doubled++;
        else if (f->seen[slot])
                run.again++;
        f->seen[slot] = 1;
        f->value[slot] = value;
}

static void take_payload(struct fleet_meter *f, const struct buf *payload)
{
        struct rd r = rd_of(payload->p, payload->len);
        struct message_section s;

        while (payload->len && message_next(&r, &s) > 0) {
                int64_t v = 0;

                if (s.type == MESSAGE_REGISTER)
                        take(f, s.channel, s.at, s.value);
                for (uint32_t i = 0; s.type == MESSAGE_INTERVALS && i < s.n; i++) {
                        v += rd_zigzag(&s.values);
                        take(f, s.channel, s.at + (int64_t)i * s.period_s, v);
                }
        }
}

/* What the meters offered against what came. A register that was there at the end only is no
 * interval. *@ret_lost counts values of meters that were read. */
static void compare(uint64_t *ret_lost, uint64_t *ret_checked)
{
        char *line = NULL;
        size_t cap = 0, at = 0;
        FILE *f = fopen(run.o.truth, "r");

        if (!f)
                die(run.o.truth, "cannot be read");
        while (getline(&line, &cap, f) > 0) {
                json_t *o = json_loads(line, 0, NULL), *v;
                const char *id = json_string_value(json_object_get(o, "identity"));
                const char *code = json_string_value(json_object_get(o, "channel"));
                struct fleet_meter *m;
                size_t i, tries = 0;

                /* In the order of the fleet, some lines a meter. */
                while (tries++ < run.n && strcmp(run.meters[at].m.identity, id) != 0)
                        at = (at + 1) % run.n;
                m = &run.meters[at];
                if (strcmp(m->channel->code, code) == 0 &&
                    sweep_find(run.sweep, m->m.meter_id)->read_once) {
                        json_array_foreach(json_object_get(o, "values"), i, v)
                        {
                                if (i + (m->channel->kind == CHANNEL_INTERVAL) >= run.slots &&
                                    m->channel->kind == CHANNEL_INTERVAL)
                                        break;
                                ++*ret_checked;
                                if (!m->seen[i])
                                        ++*ret_lost;
                                else if (m->value[i] != json_integer_value(v))
                                        run.wrong++;
                        }
                }
                json_decref(o);
        }
        free(line);
        fclose(f);
}

/* ---- visits ---- */

static void begin_visits(void);

static void on_visited(void *arg, const struct visit_result *result)
{
        struct fleet_meter *f = arg;

        run.running--;
        run.round_trips += result->round_trips;
        run.connections += result->connections;
        run.completed += result->cause == VISIT_READ;
        run.failed += result->cause != VISIT_READ;
        take_payload(f, result->payload);
        sweep_result(run.sweep, f->m.meter_id, result, true, now_ms());
        if (!run.stopping)
                begin_visits();
}

static void begin_visits(void)
{
        struct sweep_next next;

        while (sweep_next(run.sweep, now_ms(), now_s(), 0, &next)) {
                struct fleet_meter *f = &run.meters[next.meter_id - 1];
                struct visit_request q = { .meter = &f->m,
                                           .model = f->model,
                                           .from = next.from,
                                           .to = next.to,
                                           .continues = next.continues,
                                           .now_s = now_s() };

                if (!visit_start(&run.shared, &q, on_visited, f))
                        die("visit", "out of memory");
                f->visits++;
                run.visits++;
                if (++run.running > run.peak)
                        run.peak = run.running;
        }
}

static void end_visits(void)
{
        run.stopping = true;
        uv_close((uv_handle_t *)&run.tick, NULL);
        counters_close(run.shared.counters);
}

static void on_tick(uv_timer_t *t)
{
        struct sweep_progress p;

        (void)t;
        if (run.running == run.peak && heap_used() > run.heap_peak)
                run.heap_peak = heap_used();
        begin_visits();
        sweep_get_progress(run.sweep, now_ms(), &p);
        if (run.running == 0 &&
            (p.done == p.wanted || now_ms() - run.began_ms > (int64_t)run.o.limit_s * 1000))
                end_visits();
        /* Past the limit nothing new begins. */
        if (now_ms() - run.began_ms > (int64_t)run.o.limit_s * 1000)
                run.stopping = true;
}

static void run_visits(void)
{
        struct sweep_config c = { .max_visits = run.o.visits,
                                  .per_link = 1,
                                  .period_ms = 86400000,
                                  .retry_min_ms = run.o.retry_ms,
                                  .retry_max_ms = 4 * (int64_t)run.o.retry_ms,
                                  .seed = 1 };

        snprintf(run.counters, sizeof run.counters, "/tmp/dlms_fleet.%d", (int)getpid());
        if (counters_open(&run.shared.counters, &run.loop, run.counters))
                die(run.counters, "cannot be made");
        run.shared.loop = &run.loop;
        run.shared.crypto = dlms_crypto_new();
        run.shared.layouts = layout_cache_new();
        run.shared.connect_timeout_ms = 10000;
        run.shared.answer_timeout_ms = run.o.timeout_ms;
        memcpy(run.shared.client_title, "HRBENCH1", VISIT_TITLE_SIZE);
        run.sweep = sweep_new(&c);
        for (size_t i = 0; i < run.n; i++) {
                struct meter_address a;
                char link[300], why[100];

                if (model_address(run.meters[i].model, &run.meters[i].m, &a, why, sizeof why))
                        die(run.meters[i].m.serial, why);
                snprintf(link, sizeof link, "%s:%u", a.host, a.port);
                sweep_set_meter(run.sweep, run.meters[i].m.meter_id, link, PERIOD, 1, now_ms());
        }
        sweep_request(run.sweep, 0, run.o.from, run.o.to, now_ms());
        run.heap_before = heap_used();
        uv_timer_init(&run.loop, &run.tick);
        uv_timer_start(&run.tick, on_tick, 0, SAMPLE_MS);
        uv_run(&run.loop, UV_RUN_DEFAULT);
        unlink(run.counters);
}

/* ---- bare sessions ---- */

struct session {
        struct pump pump;
        struct dlms_client client;
        uint8_t step;
        bool opened;
};

static void begin_sessions(void);

static void session_next(struct session *s)
{
        static const struct dlms_attr clock = { 8, { { 0, 0, 1, 0, 0, 255 } }, 2 };
        static const struct dlms_attr profile = { 7, { { 1, 0, 99, 1, 0, 255 } }, 2 };
        uint8_t params[PROFILE_SELECTION_MAX];
        struct dlms_selection day =
                profile_select_range(run.o.to - 86400 + PERIOD, run.o.to, 420, params);

        if (s->step == 0)
                dlms_client_get(&s->client, &clock, NULL, now_ms());
        else if (s->step == 1)
                dlms_client_get(&s->client, &profile, &day, now_ms());
        else
                dlms_client_close(&s->client, now_ms());
        s->step++;
}

static void session_drain(struct pump *p, void *arg)
{
        struct session *s = arg;
        struct dlms_event ev;

        if (!s->opened && p->connected) {
                s->opened = true;
                dlms_client_open(&s->client, now_ms());
        }
        while (!p->closing && dlms_client_next_event(&s->client, &ev)) {
                if (ev.type == DLMS_EV_ASSOCIATED || (ev.type == DLMS_EV_RESULT && ev.last))
                        session_next(s);
                else if (ev.type == DLMS_EV_CLOSED)
                        run.completed++;
                if (ev.type == DLMS_EV_CLOSED || ev.type == DLMS_EV_FAILED)
                        pump_close(p);
        }
}

static void session_closed(struct pump *p, void *arg)
{
        struct session *s = arg;

        (void)p;
        run.round_trips += s->client.round_trips;
        run.failed += s->client.state != DLMS_CLIENT_CLOSED;
        run.running--;
        dlms_client_deinit(&s->client);
        free(s);
        begin_sessions();
}

static void begin_sessions(void)
{
        static const struct pump_owner owner = { session_drain, NULL, session_closed };

        while (run.next < run.n && run.running < run.o.visits) {
                struct fleet_meter *f = &run.meters[run.next++];
                struct dlms_client_config c = { .framing = DLMS_FRAMING_WRAPPER,
                                                .client_sap = 16,
                                                .server_sap = 1,
                                                .timeout_ms = run.o.timeout_ms };
                struct session *s = calloc(1, sizeof *s);
                struct meter_address a;
                char why[100];

                if (!s || model_address(f->model, &f->m, &a, why, sizeof why) ||
                    dlms_client_init(&s->client, &c) ||
                    pump_open(&s->pump, &run.loop, &dlms_client_core, &s->client, a.host, a.port,
                              10000, &owner, s))
                        die(f->m.serial, "no session");
                run.visits++;
                run.connections++;
                if (++run.running > run.peak)
                        run.peak = run.running;
        }
}

static void on_core_tick(uv_timer_t *t)
{
        if (run.running == run.peak && heap_used() > run.heap_peak)
                run.heap_peak = heap_used();
        if (run.running == 0)
                uv_close((uv_handle_t *)t, NULL);
}

static void run_core(void)
{
        run.heap_before = heap_used();
        uv_timer_init(&run.loop, &run.tick);
        uv_timer_start(&run.tick, on_core_tick, 5, 5);
        begin_sessions();
        uv_run(&run.loop, UV_RUN_DEFAULT);
}

/* ---- the whole ---- */

static bool set_option(int c, const char *v)
{
        int64_t day = 0;

        if (c == 'a' || c == 'b') {
                if (civil_parse_date(v, &day))
                        return false;
                *(c == 'a' ? &run.o.from : &run.o.to) = day * 86400;
                return true;
        }
        if (c == 'f' || c == 't')
                *(c == 'f' ? &run.o.fleet : &run.o.truth) = v;
        else if (c == 'c')
                run.o.core = true;
        else if (c == 'v' || c == 'l' || c == 'r' || c == 'm')
                *(c == 'v'   ? &run.o.visits
                  : c == 'l' ? &run.o.limit_s
                  : c == 'r' ? &run.o.retry_ms
                             : &run.o.timeout_ms) = (unsigned)atoi(v);
        else
                return false;
        return true;
}

static void parse(int argc, char **argv)
{
        static const struct option known[] = {
                { "fleet", 1, NULL, 'f' },  { "truth", 1, NULL, 't' },
                { "from", 1, NULL, 'a' },   { "to", 1, NULL, 'b' },
                { "visits", 1, NULL, 'v' }, { "limit", 1, NULL, 'l' },
                { "retry", 1, NULL, 'r' },  { "timeout", 1, NULL, 'm' },
                { "core", 0, NULL, 'c' },   { 0 },
        };
        int c;

        run.o = (struct options){
                .visits = 500, .limit_s = 150, .retry_ms = 1000, .timeout_ms = 5000
        };
        while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
                if (!set_option(c, optarg))
                        die("arguments", "see the top of dlms_fleet.c");
        if (!run.o.fleet || run.o.from >= run.o.to)
                die("arguments", "--fleet, --from and --to are needed");
}

static void put_causes(void)
{
        struct sweep_progress p;
        const char *comma = "";

        sweep_get_progress(run.sweep, now_ms(), &p);
        printf(",\"wanted\":%zu,\"done\":%zu,\"unread\":{", p.wanted, p.done);
        for (size_t i = 0; i < VISIT_N_CAUSES; i++)
                if (p.causes[i] && i != VISIT_READ) {
                        printf("%s\"%s\":%zu", comma, visit_cause_name((enum visit_cause)i),
                               p.causes[i]);
                        comma = ",";
                }
        printf("}");
}

int main(int argc, char **argv)
{
        uint64_t lost = 0, checked = 0;
        struct rusage used;
        double seconds, cpu;

        parse(argc, argv);
        uv_loop_init(&run.loop);
        run.began_ms = now_ms();
        load_fleet();
        uv_update_time(&run.loop);
        run.began_ms = now_ms();
        getrusage(RUSAGE_SELF, &used);
        cpu = (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6 +
              (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec / 1e6;
        if (run.o.core)
                run_core();
        else
                run_visits();
        seconds = (double)(now_ms() - run.began_ms) / 1000;
        getrusage(RUSAGE_SELF, &used);
        cpu = (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6 +
              (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec / 1e6 - cpu;
        if (run.o.truth && !run.o.core)
                compare(&lost, &checked);
        printf("{\"meters\":%zu,\"visits\":%llu,\"completed\":%llu,\"failed\":%llu,"
               "\"connections\":%llu,\"round_trips\":%llu,\"seconds\":%.3f,\"cpu_s\":%.3f,"
               "\"peak\":%u,\"heap_per_session\":%zu,\"rss_kib\":%ld,\"checked\":%llu,"
               "\"lost\":%llu,\"wrong\":%llu,\"doubled\":%llu,\"again\":%llu",
               run.n, (unsigned long long)run.visits, (unsigned long long)run.completed,
               (unsigned long long)run.failed, (unsigned long long)run.connections,
               (unsigned long long)run.round_trips, seconds, cpu, run.peak,
               run.peak && run.heap_peak > run.heap_before
                       ? (run.heap_peak - run.heap_before) / run.peak
                       : 0,
               used.ru_maxrss, (unsigned long long)checked, (unsigned long long)lost,
               (unsigned long long)run.wrong, (unsigned long long)run.doubled,
               (unsigned long long)run.again);
        if (run.sweep)
                put_causes();
        printf("}\n");
        sweep_free(run.sweep);
        layout_cache_free(run.shared.layouts);
        dlms_crypto_free(run.shared.crypto);
        free_fleet();
        return lost || run.wrong || run.doubled || uv_loop_close(&run.loop) ? 1 : 0;
}
