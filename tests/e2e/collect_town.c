/*
 * A simulated town, read by the collect role over every protocol: each value the meters offered
 * must have arrived, once its delivery was acknowledged, and nothing else. The registry and the
 * ingest are stand-ins in memory; brokers, sockets and meters are real.
 *
 * usage: collect_town HEADRACE-SIM [faults]
 *
 * With faults: answers and acknowledgements get lost, connections break, messages come twice, some
 * meters have other keys than the registry says and some are not in it at all. Then exactly those
 * are unread, with that cause, or kept raw.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "civil.h"
#include "collect.h"
#include "hex.h"
#include "message.h"
#include "payload/channel.h"

static char dir[] = "/tmp/headrace-town-XXXXXX";
static unsigned failures;

#define EXPECT(cond, ...)                                                                          \
        do {                                                                                       \
                if (!(cond)) {                                                                     \
                        printf("FAILED %s:%d: %s: ", __FILE__, __LINE__, #cond);                   \
                        printf(__VA_ARGS__);                                                       \
                        puts("");                                                                  \
                        failures++;                                                                \
                }                                                                                  \
        } while (0)

/* ---- registry: a fleet file ---- */

struct registry_snapshot {
        int refs;
        uint64_t version;
        size_t n;
        struct registry_meter *meters;
};
struct registry {
        struct registry_snapshot *now;
};

struct registry_snapshot *registry_get(struct registry *r)
{
        __atomic_add_fetch(&r->now->refs, 1, __ATOMIC_SEQ_CST);
        return r->now;
}
void registry_unref(struct registry_snapshot *s)
{
        __atomic_sub_fetch(&s->refs, 1, __ATOMIC_SEQ_CST);
}
uint64_t registry_version(const struct registry_snapshot *s)
{
        return s->version;
}
size_t registry_count(const struct registry_snapshot *s)
{
        return s->n;
}
const struct registry_meter *registry_at(const struct registry_snapshot *s, size_t i)
{
        return &s->meters[i];
}
const struct registry_meter *registry_by_identity(const struct registry_snapshot *s,
                                                  enum meter_protocol protocol,
                                                  const char *identity)
{
        for (size_t i = 0; i < s->n; i++)
                if (s->meters[i].protocol == protocol &&
                    strcmp(s->meters[i].identity, identity) == 0)
                        return &s->meters[i];
        return NULL;
}
const struct registry_meter *registry_by_id(const struct registry_snapshot *s, uint32_t id)
{
        return id >= 1 && id <= s->n ? &s->meters[id - 1] : NULL;
}

static void key_of(struct secret *out, json_t *keys, const char *name, bool text)
{
        const char *s = json_string_value(json_object_get(keys, name));
        uint8_t b[SECRET_MAX];
        ssize_t n = s ? text ? (ssize_t)strlen(s) : hex_decode(s, strlen(s), b, sizeof b) : 0;

        if (n > 0)
                secret_set(out, text ? (const void *)s : b, (size_t)n);
}

static json_t *fleet; /* strings of the meters are borrowed from it */

static void registry_load(struct registry_snapshot *s, const char *path)
{
        static const char *const protocols[] = { "dlms", "modbus", "mqtt", "coap", "manual" };
        json_t *list, *o;
        size_t i;

        fleet = json_load_file(path, 0, NULL);
        list = json_object_get(fleet, "meters");
        s->meters = calloc(json_array_size(list) + 1, sizeof *s->meters);
        json_array_foreach(list, i, o)
        {
                struct registry_meter *m = &s->meters[s->n++];
                json_t *keys = json_object_get(o, "keys");

                m->meter_id = (uint32_t)s->n;
                m->serial = json_string_value(json_object_get(o, "serial"));
                m->maker = json_string_value(json_object_get(o, "maker"));
                m->identity = json_string_value(json_object_get(o, "identity"));
                m->model = json_string_value(json_object_get(o, "model"));
                m->period_s = (uint32_t)json_integer_value(json_object_get(o, "period_s"));
                m->address = json_dumps(json_object_get(o, "address"), JSON_COMPACT);
                for (int p = 0; p < 5; p++)
                        if (strcmp(protocols[p],
                                   json_string_value(json_object_get(o, "protocol"))) == 0)
                                m->protocol = (enum meter_protocol)p;
                for (const struct model_file *f = model_builtin(); f->name; f++)
                        if (strcmp(f->name, m->model) == 0)
                                m->profile = f->json;
                key_of(&m->guek, keys, "guek", false);
                key_of(&m->gak, keys, "gak", false);
                key_of(&m->psk, keys, "psk", false);
                key_of(&m->lls, keys, "lls", true);
        }
        s->version = 1;
}

/* ---- ingest: a table in memory, durable 2 ms later ---- */

struct stored {
        uint32_t meter_id;
        uint8_t channel, status;
        int64_t at, value;
        bool used;
};
struct pending {
        struct pending *next;
        ingest_done *done;
        void *arg;
};
struct ingest {
        uv_loop_t *loop;
        uv_timer_t timer;
        struct pending *pending;
        struct stored *values;
        size_t n, cap, messages, unknown, conflicts;
        char last_reason[256];
};

static void on_durable(uv_timer_t *t)
{
        struct ingest *in = t->data;
        struct pending *list = in->pending;

        in->pending = NULL;
        while (list) {
                struct pending *p = list;

                list = p->next;
                p->done(p->arg, 0);
                free(p);
        }
}

static void store(struct ingest *in, uint32_t meter, uint8_t channel, int64_t at, uint8_t status,
                  int64_t value)
{
        if (in->n == in->cap) {
                in->cap = in->cap ? in->cap * 2 : 4096;
                in->values = realloc(in->values, in->cap * sizeof *in->values);
        }
        in->values[in->n++] = (struct stored){ meter, channel, status, at, value, false };
}

int ingest_submit(struct ingest *in, const struct ingest_msg *msg, ingest_done *done, void *arg)
{
        struct rd r = rd_of(msg->payload, msg->len);
        struct message_section s;
        struct pending *p = calloc(1, sizeof *p);

        *p = (struct pending){ in->pending, done, arg };
        in->pending = p;
        in->messages++;
        if (msg->kind == INGEST_UNKNOWN) {
                in->unknown++;
                snprintf(in->last_reason, sizeof in->last_reason, "%s (%s)", msg->reason,
                         msg->identity);
        } else {
                EXPECT(message_check(msg->payload, msg->len) == 0, "meter %u", msg->meter_id);
                while (message_next(&r, &s) > 0) {
                        int64_t v = 0;

                        if (s.type == MESSAGE_REGISTER)
                                store(in, msg->meter_id, s.channel, s.at, s.status, s.value);
                        for (uint32_t i = 0; s.type == MESSAGE_INTERVALS && i < s.n; i++) {
                                v += rd_zigzag(&s.values);
                                store(in, msg->meter_id, s.channel, s.at + (int64_t)i * s.period_s,
                                      s.status, v);
                        }
                }
        }
        uv_timer_start(&in->timer, on_durable, 2, 0);
        return 0;
}

static int by_key(const void *a, const void *b)
{
        const struct stored *x = a, *y = b;

        if (x->meter_id != y->meter_id)
                return x->meter_id < y->meter_id ? -1 : 1;
        if (x->channel != y->channel)
                return x->channel < y->channel ? -1 : 1;
        return x->at < y->at ? -1 : x->at > y->at;
}

/* ---- processes ---- */

static uint16_t free_port(int type)
{
        struct sockaddr_in a = { .sin_family = AF_INET };
        socklen_t n = sizeof a;
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
            getsockname(fd, (struct sockaddr *)&a, &n) < 0)
                abort();
        close(fd);
        return ntohs(a.sin_port);
}

static pid_t spawn(char *const argv[], const char *log)
{
        char path[128];
        pid_t pid = fork();

        if (pid)
                return pid;
        snprintf(path, sizeof path, "%s/%s", dir, log);
        dup2(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
        dup2(1, 2);
        execvp(argv[0], argv);
        _exit(127);
}

static bool file_there(const char *name, unsigned seconds)
{
        char path[128];

        snprintf(path, sizeof path, "%s/%s", dir, name);
        for (unsigned i = 0; i < seconds * 20; i++) {
                if (access(path, R_OK) == 0)
                        return true;
                usleep(50000);
        }
        return false;
}

/* ---- the run ---- */

struct town {
        uv_loop_t loop;
        struct collect *collect;
        struct ingest ingest;
        uint16_t mqtt, coap, push;
        int64_t from, to;
        bool pushed, swept, faults;
        uint32_t wrong_key[8];
        size_t n_wrong_key;
        char log[128];
};

static bool log_says(struct town *t, const char *text)
{
        char line[4096];
        FILE *f = fopen(t->log, "r");
        bool found = false;

        while (f && !found && fgets(line, sizeof line, f))
                found = strstr(line, text) != NULL;
        if (f)
                fclose(f);
        return found;
}

static int64_t member(const struct buf *json, const char *outer, const char *name)
{
        json_t *doc = json_loadb((const char *)json->p, json->len, 0, NULL);
        json_t *o = outer ? json_object_get(doc, outer) : doc;
        int64_t v = json_is_integer(json_object_get(o, name))
                            ? json_integer_value(json_object_get(o, name))
                            : -1;

        json_decref(doc);
        return v;
}

static void note_wrong_keys(struct town *t, const struct buf *json)
{
        json_t *doc = json_loadb((const char *)json->p, json->len, 0, NULL), *o;
        size_t i;

        json_array_foreach(
                json_object_get(doc, "items"), i,
                o) if (strncmp(json_string_value(json_object_get(o, "cause")), "wrong_", 6) == 0 &&
                       t->n_wrong_key < 8) t->wrong_key[t->n_wrong_key++] =
                (uint32_t)json_integer_value(json_object_get(o, "meter"));
        json_decref(doc);
}

static void on_closed(void *arg)
{
        struct town *t = arg;

        uv_close((uv_handle_t *)&t->ingest.timer, NULL);
}

static void close_all(struct collect *c, void *arg)
{
        collect_close(c, on_closed, arg);
}

static void *control(void *arg)
{
        struct town *t = arg;
        struct buf json = BUF_INIT;
        struct collect_read r;

        usleep(1200000); /* the first refresh and the registry's meters */
        EXPECT(collect_sweep_start(t->collect, 0, t->from, t->to) == 0, "sweep");
        for (int i = 0; i < 2000 && !(t->swept && t->pushed); i++) {
                usleep(100000);
                json.len = 0;
                EXPECT(collect_sweep_json(t->collect, &json) == 0, "json");
                t->swept = member(&json, "run", "meters") > 0 &&
                           member(&json, "run", "done") + (t->faults ? 2 : 0) ==
                                   member(&json, "run", "meters");
                t->pushed = t->pushed || log_says(t, "pushes complete");
        }
        printf("sweep: %s\n", buf_cstr(&json));
        EXPECT(t->swept, "the sweep did not end");
        EXPECT(t->pushed, "not all pushes were acknowledged");
        r.outcome = COLLECT_FAILED;
        for (int i = 0; i < 5 && r.outcome != COLLECT_READ; i++) /* with faults, maybe again */
                EXPECT(collect_read_wait(t->collect, 1, 20000, &r) == 0, "%s", r.detail);
        EXPECT(r.outcome == COLLECT_READ, "read now: %s", r.detail);
        EXPECT(collect_read_wait(t->collect, 999999, 10000, &r) == 0 &&
                       r.outcome == COLLECT_UNKNOWN,
               "unknown meter");
        json.len = 0;
        EXPECT(collect_unread_json(t->collect, NULL, 0, 10, &json) == 0, "unread");
        note_wrong_keys(t, &json);
        printf("unread: %s\n", buf_cstr(&json));
        json.len = 0;
        collect_status(t->collect, &json);
        printf("status: %s\n", buf_cstr(&json));
        buf_deinit(&json);
        collect_call(t->collect, close_all, NULL, t, 5000);
        return NULL;
}

static struct stored *find(struct town *t, uint32_t meter, uint8_t channel, int64_t at)
{
        struct stored key = { .meter_id = meter, .channel = channel, .at = at };

        return bsearch(&key, t->ingest.values, t->ingest.n, sizeof key, by_key);
}

/* Doubles with the same value are one; with another value they are a conflict. */
static void settle(struct ingest *in)
{
        size_t k = 0;

        qsort(in->values, in->n, sizeof *in->values, by_key);
        for (size_t i = 0; i < in->n; i++) {
                if (k && by_key(&in->values[k - 1], &in->values[i]) == 0) {
                        if (in->values[k - 1].value != in->values[i].value)
                                in->conflicts++;
                        continue;
                }
                in->values[k++] = in->values[i];
        }
        in->n = k;
}

static void compare(struct town *t, const struct registry_snapshot *s)
{
        size_t offered = 0, missing = 0, wrong = 0, extra = 0;
        char path[128], *line = NULL;
        size_t cap = 0;
        FILE *f;

        settle(&t->ingest);
        snprintf(path, sizeof path, "%s/truth.jsonl", dir);
        f = fopen(path, "r");
        while (f && getline(&line, &cap, f) > 0) {
                json_t *o = json_loads(line, 0, NULL), *v;
                const char *id = json_string_value(json_object_get(o, "identity"));
                const struct channel *ch =
                        channel_by_code(json_string_value(json_object_get(o, "channel")));
                int64_t start, period = json_integer_value(json_object_get(o, "period_s"));
                uint32_t meter = 0;
                size_t i;

                EXPECT(ch && civil_parse(json_string_value(json_object_get(o, "start")), &start,
                                         NULL) == 0,
                       "%.80s", line);
                for (size_t k = 0; k < s->n; k++)
                        if (strcmp(s->meters[k].identity, id) == 0)
                                meter = s->meters[k].meter_id;
                for (size_t k = 0; k < t->n_wrong_key; k++)
                        if (t->wrong_key[k] == meter)
                                meter = 0;
                if (!meter && t->faults) { /* not ours to read, or not to be read */
                        json_decref(o);
                        continue;
                }
                json_array_foreach(json_object_get(o, "values"), i, v)
                {
                        struct stored *got =
                                find(t, meter, ch->number, start + (int64_t)i * period);

                        offered++;
                        if (!got) {
                                if (missing++ < 5)
                                        printf("missing: %s %s %lld\n", id, ch->code,
                                               (long long)(start + (int64_t)i * period));
                        } else if (got->value != json_integer_value(v)) {
                                if (wrong++ < 5)
                                        printf("wrong: %s %s %lld: %lld, not %lld\n", id, ch->code,
                                               (long long)got->at, (long long)got->value,
                                               (long long)json_integer_value(v));
                        } else {
                                got->used = true;
                        }
                }
                json_decref(o);
        }
        free(line);
        if (f)
                fclose(f);
        for (size_t i = 0; i < t->ingest.n; i++)
                if (!t->ingest.values[i].used && t->ingest.values[i].channel < 128)
                        extra++;
        printf("%zu values offered, %zu stored, %zu missing, %zu wrong, %zu beyond, %zu conflicts, "
               "%zu raw\n",
               offered, t->ingest.n, missing, wrong, extra, t->ingest.conflicts, t->ingest.unknown);
        EXPECT(offered > 10000, "%zu", offered);
        EXPECT(missing == 0, "%zu", missing);
        EXPECT(wrong == 0, "%zu", wrong);
        EXPECT((t->ingest.unknown > 0) == t->faults, "%zu, last: %s", t->ingest.unknown,
               t->ingest.last_reason);
        EXPECT(t->ingest.conflicts == 0, "%zu", t->ingest.conflicts);
        EXPECT(t->n_wrong_key == (t->faults ? 2 : 0), "%zu", t->n_wrong_key);
}

static pid_t start_broker(struct town *t)
{
        char path[128];
        char *argv[] = { "/usr/sbin/mosquitto", "-c", path, NULL };
        FILE *f;

        snprintf(path, sizeof path, "%s/mosquitto.conf", dir);
        f = fopen(path, "w");
        fprintf(f,
                "listener %u 127.0.0.1\nallow_anonymous true\nuser root\npersistence false\n"
                "max_inflight_messages 500\nmax_queued_messages 0\n",
                t->mqtt);
        fclose(f);
        return spawn(argv, "mosquitto.log");
}

static pid_t start_sim(struct town *t, const char *sim, char *from, char *to)
{
        static char *const kinds[] = {
                "--dlms-wrapper", "12", "--dlms-hdlc", "8", "--modbus", "8", "--mqtt-senml", "8",
                "--mqtt-flat",    "6",  "--coap",      "4", NULL
        };
        static char *const faults[] = { "--wrong-key", "2", "--unknown",   "3",  "--drop",      "1",
                                        "--restart",   "1", "--duplicate", "20", "--dlms-push", "3",
                                        NULL };
        char mqtt[32], coap[32], push[32], fleet_file[128], truth[128];
        char *argv[48] = { (char *)(uintptr_t)sim,
                           "--from",
                           from,
                           "--to",
                           to,
                           "--broker",
                           mqtt,
                           "--coap-server",
                           coap,
                           "--push",
                           push,
                           "--fleet",
                           fleet_file,
                           "--truth",
                           truth };
        size_t n = 15;

        for (size_t i = 0; kinds[i]; i++)
                argv[n++] = kinds[i];
        for (size_t i = 0; t->faults && faults[i]; i++)
                argv[n++] = faults[i];
        snprintf(mqtt, sizeof mqtt, "127.0.0.1:%u", t->mqtt);
        snprintf(coap, sizeof coap, "127.0.0.1:%u", t->coap);
        snprintf(push, sizeof push, "127.0.0.1:%u", t->push);
        snprintf(fleet_file, sizeof fleet_file, "%s/fleet.json", dir);
        snprintf(truth, sizeof truth, "%s/truth.jsonl", dir);
        snprintf(t->log, sizeof t->log, "%s/sim.log", dir);
        return spawn(argv, "sim.log");
}

/* The daemon's session in the broker must be there before the meters publish. */
static void make_session(struct town *t)
{
        char port[8];
        char *argv[] = { "mosquitto_sub",
                         "-h",
                         "127.0.0.1",
                         "-p",
                         port,
                         "-c",
                         "-i",
                         "headrace-collect",
                         "-q",
                         "1",
                         "-t",
                         "headrace/v1/+/telemetry",
                         "-E",
                         NULL };
        int status = 0;

        snprintf(port, sizeof port, "%u", t->mqtt);
        waitpid(spawn(argv, "session.log"), &status, 0);
        EXPECT(status == 0, "mosquitto_sub");
}

static struct config *load_config(struct town *t)
{
        struct buf errors = BUF_INIT;
        struct config *c = NULL;
        char path[128];
        FILE *f;

        snprintf(path, sizeof path, "%s/headrace.conf", dir);
        f = fopen(path, "w");
        fprintf(f,
                "[mqtt]\nhost = 127.0.0.1\nport = %u\n[coap]\nenabled = yes\naddress = "
                "127.0.0.1\nport = %u\n"
                "[push]\naddress = 127.0.0.1\ntcp_port = %u\n[dlms]\nanswer_timeout = "
                "1s\n[sweep]\nretry_min = 1s\nback = 0ms\n",
                t->mqtt, t->coap, t->push);
        fclose(f);
        EXPECT(config_load(&c, path, collect_config, &errors) == 0, "%s", buf_cstr(&errors));
        buf_deinit(&errors);
        return c;
}

static void stop(pid_t pid)
{
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
        struct town t = { 0 };
        struct registry_snapshot snap = { 0 };
        struct registry registry = { &snap };
        struct collect_options o = { 0 };
        struct buf error = BUF_INIT;
        struct config *config;
        char from[32], to[32], cmd[64], path[128];
        pthread_t thread;
        pid_t broker, sim;

        if (argc < 2 || access(argv[1], X_OK) != 0 || access("/usr/sbin/mosquitto", X_OK) != 0) {
                puts("SKIP: needs headrace-sim and mosquitto");
                return 77;
        }
        t.faults = argc > 2 && strcmp(argv[2], "faults") == 0;
        if (!mkdtemp(dir))
                return 1;
        setlinebuf(stdout);
        signal(SIGPIPE, SIG_IGN);
        t.mqtt = free_port(SOCK_STREAM);
        t.push = free_port(SOCK_STREAM);
        t.coap = free_port(SOCK_DGRAM);
        t.to = time(NULL) / 86400 * 86400;
        t.from = t.to - 5 * 86400;
        civil_format(t.from, 0, from);
        civil_format(t.to, 0, to);
        broker = start_broker(&t);
        config = load_config(&t);
        uv_loop_init(&t.loop);
        t.ingest.loop = &t.loop;
        t.ingest.timer.data = &t.ingest;
        uv_timer_init(&t.loop, &t.ingest.timer);
        usleep(300000);
        make_session(&t);
        sim = start_sim(&t, argv[1], from, to);
        if (!config || !file_there("fleet.json", 30)) {
                printf("FAILED: the configuration or the simulator did not start\n");
                uv_close((uv_handle_t *)&t.ingest.timer, NULL);
                uv_run(&t.loop, UV_RUN_DEFAULT);
                failures++;
        } else {
                snprintf(path, sizeof path, "%s/fleet.json", dir);
                registry_load(&snap, path);
                o = (struct collect_options){ .loop = &t.loop,
                                              .config = config,
                                              .registry = &registry,
                                              .ingest = &t.ingest,
                                              .state_dir = dir };
                if (collect_open(&t.collect, &o, &error) == 0) {
                        pthread_create(&thread, NULL, control, &t);
                        uv_run(&t.loop, UV_RUN_DEFAULT);
                        pthread_join(thread, NULL);
                        stop(sim);
                        compare(&t, &snap);
                } else {
                        printf("FAILED: %s\n", buf_cstr(&error));
                        failures++;
                }
        }
        stop(broker);
        collect_free(t.collect);
        EXPECT(uv_loop_close(&t.loop) == 0, "handles were left open");
        config_free(config);
        for (size_t i = 0; i < snap.n; i++)
                free((void *)(uintptr_t)snap.meters[i].address);
        free(snap.meters);
        free(t.ingest.values);
        json_decref(fleet);
        buf_deinit(&error);
        if (!failures) {
                snprintf(cmd, sizeof cmd, "rm -r %s", dir);
                failures += system(cmd) != 0;
        } else {
                printf("logs are in %s\n", dir);
        }
        puts(failures ? "FAILED" : "OK");
        return failures ? 1 : 0;
}
