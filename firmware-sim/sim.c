#include "sim.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "polled.h"
#include "pushed.h"
#include "report.h"
#include "dlms/security.h"

enum { TICK_MS = 5, IDLE_TICK_MS = 200 };

int64_t sim_now(const struct sim *s)
{
        double elapsed;

        if (s->opt.now == INT64_MIN)
                return (int64_t)time(NULL);
        elapsed = (double)(uv_hrtime() / 1000000 - s->started_ms) / 1000;
        return s->opt.now + (int64_t)(elapsed * s->opt.speed);
}

int64_t sim_data_end(const struct sim *s)
{
        int64_t now;

        if (!s->opt.live)
                return s->opt.to;
        now = sim_now(s);
        return now - now % METER_PERIOD_S;
}

const char *sim_public_host(const struct sim *s)
{
        if (!strcmp(s->opt.host, "0.0.0.0"))
                return "127.0.0.1";
        return !strcmp(s->opt.host, "::") ? "::1" : s->opt.host;
}

void sim_meter_host(const struct sim *s, const struct meter *m, char *out)
{
        if (s->opt.addresses)
                snprintf(out, 128, "127.%u.%u.%u", 16 + (unsigned)m->kind, m->number >> 8,
                         m->number & 255);
        else
                snprintf(out, 128, "%s", sim_public_host(s));
}

bool sim_chance(struct sim *s, double percent)
{
        return percent > 0 && (double)(sim_random(&s->random) % 1000000) < percent * 10000;
}

bool sim_take_token(struct sim *s)
{
        if (s->opt.rate <= 0)
                return true;
        if (s->tokens < 1)
                return false;
        s->tokens -= 1;
        return true;
}

static void stop(struct sim *s)
{
        if (s->stopping)
                return;
        s->stopping = true;
        sim_mqtt_close(s);
        sim_coap_close(s);
        sim_push_close(s);
        sim_polled_close(s);
        uv_close((uv_handle_t *)&s->tick, NULL);
        uv_close((uv_handle_t *)&s->on_term, NULL);
        uv_close((uv_handle_t *)&s->on_int, NULL);
}

static void on_signal(uv_signal_t *h, int number)
{
        (void)number;
        stop(h->data);
}

/* Tokens of the time since the last tick, at most a tenth of a second's worth (and one). */
static void refill(struct sim *s, uint64_t now_ms)
{
        s->tokens += s->opt.rate * (double)(now_ms - s->ticked_ms) / 1000;
        if (s->tokens > s->opt.rate / 10 + 1)
                s->tokens = s->opt.rate / 10 + 1;
        s->ticked_ms = now_ms;
}

static void on_complete(struct sim *s)
{
        s->complete = true;
        sim_print_summary(s, "pushed");
        puts("pushes complete");
        fflush(stdout);
        /* From now on at most one message a meter and quarter hour. */
        uv_timer_set_repeat(&s->tick, IDLE_TICK_MS);
        if (s->opt.exit_when_pushed)
                stop(s);
}

static void on_tick(uv_timer_t *t)
{
        struct sim *s = t->data;
        uint64_t now_ms = uv_hrtime() / 1000000;

        refill(s, now_ms);
        sim_mqtt_tick(s);
        sim_coap_tick(s);
        sim_push_tick(s);
        if (s->opt.progress_s && now_ms - s->reported_ms >= s->opt.progress_s * 1000ull) {
                s->reported_ms = now_ms;
                sim_print_summary(s, "progress");
        }
        if (!s->complete && sim_mqtt_done(s) && sim_coap_done(s) && sim_push_done(s))
                on_complete(s);
}

/* A socket a meter, and some to spare. */
static void raise_file_limit(void)
{
        struct rlimit r;

        if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
                r.rlim_cur = r.rlim_max;
                setrlimit(RLIMIT_NOFILE, &r);
        }
}

static int load_series(struct sim *s)
{
        char bad[256];
        const char *dir = s->opt.series[0] ? s->opt.series : "../shared/data/intervals";
        int r = series_load(dir, &s->series, &s->n_series, bad);

        if (r && s->opt.series[0]) {
                fprintf(stderr, "headrace-sim: --series: %s: %s\n", bad, strerror(-r));
                return r;
        }
        return r ? series_make(s->opt.seed, &s->series, &s->n_series) : 0;
}

/* The meters that are unknown or have other keys are spread over the fleet. */
static void spread_faults(struct sim *s)
{
        unsigned unknown = s->opt.unknown, wrong = s->opt.wrong_key;

        for (unsigned i = 0; i < s->n && unknown > 0; i++) {
                unsigned at = (unsigned)((uint64_t)i * 7919 % s->n);

                if (s->meters[at].unknown)
                        continue;
                s->meters[at].unknown = true;
                unknown--;
        }
        for (unsigned i = 0; i < s->n && wrong > 0; i++) {
                struct meter *m = &s->meters[i];

                if ((m->kind != SIM_DLMS_HDLC && m->kind != SIM_COAP) || m->unknown)
                        continue;
                m->wrong_key = true;
                wrong--;
        }
}

static int make_meters(struct sim *s)
{
        unsigned total = 0;

        for (unsigned k = 0; k < SIM_N_KINDS; k++)
                total += s->opt.count[k];
        s->meters = calloc(total ? total : 1, sizeof *s->meters);
        if (!s->meters)
                return -ENOMEM;
        for (unsigned k = 0; k < SIM_N_KINDS; k++)
                for (unsigned i = 0; i < s->opt.count[k]; i++)
                        meter_init(&s->meters[s->n++], &s->opt, (enum sim_kind)k, i + 1, s->series,
                                   s->n_series);
        spread_faults(s);
        faults_spread(s);
        return 0;
}

static int open_truth(struct sim *s)
{
        if (!s->opt.truth[0])
                return 0;
        s->truth = fopen(s->opt.truth, "w");
        if (s->truth)
                return 0;
        fprintf(stderr, "headrace-sim: --truth %s: %s\n", s->opt.truth, strerror(errno));
        return -errno;
}

static int announce(struct sim *s)
{
        FILE *f;
        int r;

        sim_write_offered(s);
        r = sim_write_fleet(s);
        if (r) {
                fprintf(stderr, "headrace-sim: --fleet %s: %s\n", s->opt.fleet, strerror(-r));
                return r;
        }
        printf("ready\n");
        sim_print_summary(s, "ready");
        if (!s->opt.ready[0])
                return 0;
        f = fopen(s->opt.ready, "w");
        if (!f || fclose(f)) {
                fprintf(stderr, "headrace-sim: --ready %s: %s\n", s->opt.ready, strerror(errno));
                return -EIO;
        }
        return 0;
}

static int begin(struct sim *s)
{
        int r = load_series(s);

        if (!r)
                r = make_meters(s);
        if (!r)
                r = open_truth(s);
        if (!r && !(s->crypto = dlms_crypto_new()))
                r = -ENOMEM;
        if (!r)
                r = sim_polled_open(s);
        if (!r)
                r = sim_mqtt_open(s);
        if (!r)
                r = sim_coap_open(s);
        if (!r)
                r = sim_push_open(s);
        if (!r)
                r = announce(s);
        if (r == -ENOMEM)
                fprintf(stderr, "headrace-sim: out of memory\n");
        return r;
}

static void release(struct sim *s)
{
        sim_polled_free(s);
        sim_mqtt_free(s);
        sim_coap_free(s);
        sim_push_free(s);
        dlms_crypto_free(s->crypto);
        if (s->truth)
                fclose(s->truth);
        free(s->meters);
        series_free(s->series, s->n_series);
}

int sim_run(const struct sim_options *o)
{
        static struct sim sim;
        struct sim *s = &sim;
        int r;

        memset(s, 0, sizeof *s);
        s->opt = *o;
        s->random = o->seed;
        s->started_ms = s->ticked_ms = s->reported_ms = uv_hrtime() / 1000000;
        raise_file_limit();
        signal(SIGPIPE, SIG_IGN);
        uv_loop_init(&s->loop);
        uv_timer_init(&s->loop, &s->tick);
        uv_signal_init(&s->loop, &s->on_term);
        uv_signal_init(&s->loop, &s->on_int);
        s->tick.data = s->on_term.data = s->on_int.data = s;
        uv_signal_start(&s->on_term, on_signal, SIGTERM);
        uv_signal_start(&s->on_int, on_signal, SIGINT);
        r = begin(s);
        if (r)
                stop(s);
        else
                uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        if (!r)
                sim_print_summary(s, "summary");
        release(s);
        uv_loop_close(&s->loop);
        return r ? 1 : 0;
}
