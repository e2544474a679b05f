/*
 * headraced: arguments, configuration, wiring. The only file that sees everything; what each part
 * does stands in its own folder.
 */
#include <errno.h>
#include <getopt.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "api.h"
#include "buf.h"
#include "collect.h"
#include "collect_ops.h"
#include "config.h"
#include "db.h"
#include "host.h"
#include "ingest.h"
#include "log.h"
#include "masterkey.h"
#include "migrate.h"
#include "models_install.h"
#include "notify.h"
#include "registry.h"
#include "seal.h"
#include "services.h"

enum { EXIT_USAGE = 2, EXIT_CONFIG = 78, SEAL_EVERY_S = 900 };

static const struct config_key daemon_keys[] = {
        { "role", CONFIG_ENUM, "all", "What this process does", "all|collect|business|concentrator",
          0, 0 },
        { "state_dir", CONFIG_PATH, "/var/lib/headrace", "Spool, keys, embedded services", NULL, 0,
          0 },
        { "log_level", CONFIG_ENUM, "info", "Least important record logged",
          "error|warn|info|debug", 0, 0 },
        { "models_dir", CONFIG_PATH, NULL,
          "Folder of further meter models, *.json; they may replace those that come along", NULL, 0,
          0 },
        { "master_key", CONFIG_SECRET, NULL,
          "64 hexadecimal digits that seal meter keys; unset: STATE/master.key", NULL, 0, 0 },
        { "admin_login", CONFIG_TEXT, "admin", "First administrator, made when there is no user",
          NULL, 0, 0 },
        { "admin_password", CONFIG_SECRET, NULL,
          "Password of the first administrator; unset: none is made", NULL, 0, 0 },
        { NULL, CONFIG_TEXT, NULL, NULL, NULL, 0, 0 },
};
static const struct config_key database_keys[] = {
        { "url", CONFIG_SECRET, NULL,
          "libpq connection string or URL of the database's owner (no superuser)", NULL, 0, 0 },
        { "embedded", CONFIG_BOOL, "no", "Run a private PostgreSQL instead", NULL, 0, 0 },
        { "connections", CONFIG_INT, "12", "Connections at most", NULL, 8, 500 },
        { NULL, CONFIG_TEXT, NULL, NULL, NULL, 0, 0 },
};
static const struct config_key broker_keys[] = {
        { "embedded", CONFIG_BOOL, "no", "Run a private MQTT broker on the loopback", NULL, 0, 0 },
        { "port", CONFIG_INT, "1883", "Its port", NULL, 1, 65535 },
        { "run_as", CONFIG_TEXT, "postgres", "User of embedded services when started by root", NULL,
          0, 0 },
        { NULL, CONFIG_TEXT, NULL, NULL, NULL, 0, 0 },
};
static const struct config_key spool_keys[] = {
        { "max_size", CONFIG_SIZE, "8G", "Readings kept on disk while the database is away", NULL,
          1 << 20, INT64_MAX },
        { "segment_size", CONFIG_SIZE, "64M", "Size of one spool file", NULL, 1 << 16, 1 << 30 },
        { NULL, CONFIG_TEXT, NULL, NULL, NULL, 0, 0 },
};
static const struct config_section own_sections[] = {
        { "daemon", "The process", daemon_keys },
        { "database", "PostgreSQL", database_keys },
        { "broker", "Embedded MQTT broker", broker_keys },
        { "spool", "Durable queue before the database", spool_keys },
        { NULL, NULL, NULL },
};

enum { MAX_SECTIONS = 40 };

struct arguments {
        const char *config_path;
        const char *role; /* NULL = from the configuration */
        bool check_only;
};

struct daemon {
        uv_loop_t loop;
        uv_signal_t sigterm, sigint, sighup;
        uv_async_t started; /* the host came up on its own thread */
        uv_thread_t starter;
        bool starter_running;
        struct notify notify;
        struct arguments args;
        struct config_section sections[MAX_SECTIONS];
        struct config *config;
        struct secret master_key;
        struct services *services;
        struct db *db;
        struct registry *registry;
        struct ingest *ingest;
        struct sealer *sealer;
        struct collect *collect;
        struct host *host;
        struct api *api;
        bool collects, serves; /* what the role asks for */
        bool host_ready, collect_closed;
        _Atomic bool stopping;
        int exit_code;
};

static bool role_is(const struct daemon *d, const char *role)
{
        const char *r = d->args.role ? d->args.role : config_text(d->config, "daemon", "role");

        return strcmp(r, role) == 0;
}

/* ---- plugins ---- */

/* Without a folder named: the build tree this binary stands in, else the installed one. */
static int load_plugins(struct host *h, const char *dir, struct buf *errors)
{
        char exe[PATH_MAX], pattern[PATH_MAX + 32];
        ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
        glob_t found = { 0 };
        int r = 0;

        if (dir && *dir)
                return host_load_dir(h, dir, errors);
        exe[n > 0 ? n : 0] = 0;
        snprintf(pattern, sizeof pattern, "%.*s/{billing,crm}/*/*.so",
                 (int)(strrchr(exe, '/') ? strrchr(exe, '/') - exe : 0), exe);
        if (glob(pattern, GLOB_BRACE, NULL, &found) || found.gl_pathc == 0)
                r = host_load_dir(h, HEADRACE_PLUGIN_DIR, errors);
        for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
                r = host_load_file(h, found.gl_pathv[i], errors);
        globfree(&found);
        return r;
}

/* For the manual pages and for looking: no configuration, no database. */
static int print_operations(const char *dir)
{
        struct host_options o = { 0 };
        struct buf text = BUF_INIT, errors = BUF_INIT;
        struct host *h = NULL;
        int r = host_new(&h, &o);

        r = r ? r : load_plugins(h, dir, &errors);
        r = r ? r : host_add_builtin(h, &collect_plugin, &errors);
        r = r ? r : host_plan(h, &errors);
        if (!r) {
                host_operations(h, &text);
                puts(buf_cstr(&text));
        } else {
                fprintf(stderr, "headraced: %s\n", errors.len ? buf_cstr(&errors) : strerror(-r));
        }
        host_free(h);
        buf_deinit(&text);
        buf_deinit(&errors);
        return r ? EXIT_FAILURE : 0;
}

/* ---- arguments ---- */

static const char usage[] =
        "usage: headraced [--config FILE] [--role ROLE] [--check-config]\n"
        "\n"
        "  -c, --config FILE    default /etc/headrace/headrace.conf\n"
        "  -r, --role ROLE      all, collect, business or concentrator; replaces the file's\n"
        "      --check-config   read the configuration, say what is wrong with it, end\n"
        "      --help-config    every key with type, default and meaning, as an example file\n"
        "      --help-operations [DIR]  the operations table as JSON, with the plugins of DIR\n"
        "  -V, --version\n";

static void add_sections(struct daemon *d, const struct config_section *from, size_t *n)
{
        for (; from->name && *n < MAX_SECTIONS - 1; from++)
                d->sections[(*n)++] = *from;
}

static void gather_sections(struct daemon *d)
{
        size_t n = 0;

        add_sections(d, own_sections, &n);
        add_sections(d, collect_config, &n);
        add_sections(d, host_config, &n);
        add_sections(d, api_config, &n);
}

static void print_config_help(struct daemon *d)
{
        struct buf b = BUF_INIT;

        config_describe(d->sections, &b);
        fputs(buf_cstr(&b), stdout);
        buf_deinit(&b);
}

/* -1: go on; else the exit status. */
static int parse_arguments(struct daemon *d, int argc, char **argv)
{
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "role", required_argument, NULL, 'r' },
                { "check-config", no_argument, NULL, 'k' },
                { "help-config", no_argument, NULL, 'H' },
                { "help-operations", no_argument, NULL, 'O' },
                { "version", no_argument, NULL, 'V' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        d->args.config_path = "/etc/headrace/headrace.conf";
        while ((c = getopt_long(argc, argv, "c:r:Vh", options, NULL)) != -1) {
                switch (c) {
                case 'c':
                        d->args.config_path = optarg;
                        break;
                case 'r':
                        d->args.role = optarg;
                        break;
                case 'k':
                        d->args.check_only = true;
                        break;
                case 'H':
                        print_config_help(d);
                        return 0;
                case 'O':
                        return print_operations(argv[optind]);
                case 'V':
                        printf("headraced %s\n", HEADRACE_VERSION);
                        return 0;
                case 'h':
                        fputs(usage, stdout);
                        return 0;
                default:
                        fputs(usage, stderr);
                        return EXIT_USAGE;
                }
        }
        if (optind < argc) {
                fprintf(stderr, "headraced: %s: unexpected argument\n%s", argv[optind], usage);
                return EXIT_USAGE;
        }
        if (d->args.role && strcmp(d->args.role, "all") != 0 &&
            strcmp(d->args.role, "collect") != 0 && strcmp(d->args.role, "business") != 0 &&
            strcmp(d->args.role, "concentrator") != 0) {
                fprintf(stderr,
                        "headraced: --role %s: there are all, collect, business and concentrator\n",
                        d->args.role);
                return EXIT_USAGE;
        }
        return -1;
}

/* ---- configuration ---- */

static int load_config(struct daemon *d)
{
        struct buf errors = BUF_INIT;
        int r = config_load(&d->config, d->args.config_path, d->sections, &errors);

        if (r == 0 && !role_is(d, "concentrator") && !config_text(d->config, "database", "url") &&
            !config_bool(d->config, "database", "embedded")) {
                buf_printf(&errors, "%s: [database] needs url = ... or embedded = true\n",
                           d->args.config_path);
                config_free(d->config);
                d->config = NULL;
                r = -EINVAL;
        }
        if (r)
                fprintf(stderr, "%s", errors.len ? buf_cstr(&errors) : "out of memory\n");
        buf_deinit(&errors);
        return r;
}

static void apply_log_level(struct daemon *d)
{
        enum log_level level = LOG_INFO;

        log_level_parse(config_text(d->config, "daemon", "log_level"), &level);
        log_set_level(level);
}

static const char *plugin_value(void *arg, const char *plugin, const char *key)
{
        struct daemon *d = arg;

        return config_plugin_text(d->config, plugin, key);
}

/* ---- end ---- */

static void stop_loop(struct daemon *d, int exit_code)
{
        if (d->stopping)
                return;
        d->stopping = true;
        d->exit_code = exit_code;
        log_info(NULL, "stopping");
        notify_stopping(&d->notify);
        uv_stop(&d->loop);
}

static void on_term(uv_signal_t *h, int signum)
{
        (void)signum;
        stop_loop(h->data, 0);
}

static void on_spool_failed(void *arg, int error)
{
        log_error(NULL, "the spool failed: ending, to start again on what the disk really has",
                  LOG_S("why", strerror(-error)));
        stop_loop(arg, EXIT_FAILURE);
}

static void on_reload(uv_signal_t *h, int signum)
{
        struct daemon *d = h->data;
        struct config *old = d->config;

        (void)signum;
        notify_reloading();
        d->config = NULL;
        if (load_config(d)) {
                d->config = old;
                log_error(NULL, "the new configuration is faulty; the old one stays");
        } else {
                /* What holds listeners and sessions keeps its values until the next start. */
                apply_log_level(d);
                config_free(d->config);
                d->config = old;
                log_info(NULL, "configuration read again");
        }
        if (d->registry)
                registry_reload(d->registry);
        notify_reloaded();
}

/* ---- opening ---- */

static int make_state_dir(const char *path)
{
        if (mkdir(path, 0750) && errno != EEXIST) {
                log_error(NULL, "cannot make the state directory", LOG_S("path", path),
                          LOG_S("why", strerror(errno)));
                return -errno;
        }
        /* Relative paths of the configuration are meant from there. */
        return chdir(path) ? -errno : 0;
}

/* As many descriptors as we may have: every meter session is one. */
static void raise_descriptor_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static int say(const char *what, struct buf *why)
{
        log_error(NULL, what, LOG_S("why", buf_cstr(why)));
        buf_deinit(why);
        return -EPROTO;
}

static int open_services(struct daemon *d, const char *state_dir)
{
        struct services_options o = {
                .state_dir = state_dir,
                .run_as = config_text(d->config, "broker", "run_as"),
                .postgres = config_bool(d->config, "database", "embedded") &&
                            !role_is(d, "concentrator"),
                .broker = config_bool(d->config, "broker", "embedded"),
                .broker_port = (int)config_int(d->config, "broker", "port"),
        };
        struct buf why = BUF_INIT;

        if (!o.postgres && !o.broker)
                return 0;
        if (services_open(&d->services, &d->loop, &o, &why))
                return say("the embedded services cannot start", &why);
        buf_deinit(&why);
        return 0;
}

static const char *conninfo(const struct daemon *d)
{
        const char *embedded = d->services ? services_database(d->services) : NULL;

        return embedded ? embedded : config_text(d->config, "database", "url");
}

/* At once if the database is there, so that nobody below meets a schema that is missing; the host
 * does it later otherwise. */
static int migrate_store(struct daemon *d)
{
        char why[512];
        int r = migrate_run(d->db, "core", store_migrations, why, sizeof why);

        if (r && r != -ECANCELED)
                log_error(NULL, "the database cannot be brought up to date", LOG_S("why", why));
        return r == -ECANCELED ? 0 : r;
}

static int open_store(struct daemon *d, const char *state_dir)
{
        struct buf why = BUF_INIT;
        char spool_dir[PATH_MAX];
        struct ingest_options o = {
                .spool_dir = spool_dir,
                .conninfo = role_is(d, "concentrator") ? NULL : conninfo(d),
                .spool_max_bytes = (uint64_t)config_int(d->config, "spool", "max_size"),
                .segment_bytes = (uint64_t)config_int(d->config, "spool", "segment_size"),
                .failed = on_spool_failed,
                .arg = d,
        };
        int r;

        if (!role_is(d, "concentrator")) {
                r = db_open(&d->db, conninfo(d),
                            (int)config_int(d->config, "database", "connections"));
                if (r == 0)
                        r = migrate_store(d);
                if (r)
                        return r;
        }
        if (!d->collects)
                return 0;
        if (masterkey_load(&d->master_key, config_text(d->config, "daemon", "master_key"),
                           state_dir, &why))
                return say("no master key", &why);
        buf_deinit(&why);
        snprintf(spool_dir, sizeof spool_dir, "%s/spool", state_dir);
        r = ingest_open(&d->ingest, &d->loop, &o);
        if (r)
                log_error(NULL, "cannot open the spool", LOG_S("dir", spool_dir),
                          LOG_S("why", r == -EBUSY ? "another process uses it" : strerror(-r)));
        return r;
}

static int open_collect(struct daemon *d, const char *state_dir)
{
        struct registry_options ro = { .conninfo = conninfo(d),
                                       .master = &d->master_key,
                                       .normalise = normalise_raw };
        struct collect_options o = { .loop = &d->loop,
                                     .config = d->config,
                                     .ingest = d->ingest,
                                     .db = d->db,
                                     .state_dir = state_dir,
                                     .master = &d->master_key,
                                     .instance =
                                             config_text(d->config, "host", "instance") };
        struct buf why = BUF_INIT;
        int r;

        if (!d->collects)
                return 0;
        if (role_is(d, "concentrator")) {
                o.spool = ingest_spool(d->ingest);
        } else {
                r = registry_open(&d->registry, &ro);
                if (r) {
                        log_error(NULL, "cannot open the registry of meters",
                                  LOG_S("why", strerror(-r)));
                        return r;
                }
                o.registry = d->registry;
        }
        if (config_bool(d->config, "broker", "embedded")) {
                o.mqtt_host = "127.0.0.1";
                o.mqtt_port = (uint16_t)config_int(d->config, "broker", "port");
        }
        if (collect_open(&d->collect, &o, &why))
                return say("the meters' side cannot start", &why);
        buf_deinit(&why);
        return 0;
}

/* ---- health ---- */

static void ingest_status(void *arg, struct buf *json)
{
        struct ingest *in = arg;
        struct ingest_stats st;

        ingest_stats(in, &st);
        buf_printf(json, "{\"state\":\"%s\",\"drained\":%s,\"database_away\":%s",
                   st.failed                     ? "failed"
                   : st.database_away || st.full ? "degraded"
                                                 : "ok",
                   ingest_drained(in) ? "true" : "false", st.database_away ? "true" : "false");
        buf_printf(json,
                   ",\"submitted_total\":%llu,\"durable_total\":%llu,\"loaded_total\":%llu,"
                   "\"refused_total\":%llu",
                   (unsigned long long)st.submitted, (unsigned long long)st.durable,
                   (unsigned long long)st.loaded, (unsigned long long)st.refused);
        buf_printf(json,
                   ",\"queued\":%llu,\"spool_bytes\":%llu,\"lag_ms\":%lld,\"damaged\":%llu,"
                   "\"unloadable\":%llu",
                   (unsigned long long)st.queued, (unsigned long long)st.spool_bytes,
                   (long long)st.lag_us / 1000, (unsigned long long)st.damaged,
                   (unsigned long long)st.unloadable);
        if (st.database_error[0]) {
                buf_put_str(json, ",\"error\":");
                buf_put_json_str(json, st.database_error, strlen(st.database_error));
        }
        buf_put_u8(json, '}');
}

static void services_status(void *arg, struct buf *json)
{
        buf_printf(json, "{\"state\":\"ok\",\"restarts_total\":%u}", services_restarts(arg));
}

/* ---- host and API ---- */

static bool plugin_key_known(void *arg, const char *key)
{
        const struct config_section *s = arg;

        for (const struct config_key *k = s->keys; k->name; k++)
                if (strcmp(k->name, key) == 0)
                        return true;
        return false;
}

static void check_plugin_section(void *arg, const char *plugin)
{
        struct daemon *d = arg;
        struct buf errors = BUF_INIT;
        const struct config_section *s = host_plugin_sections(d->host);

        while (s && s->name && strcmp(s->name, plugin) != 0)
                s++;
        config_plugin_check(d->config, plugin, s && s->name ? plugin_key_known : NULL,
                            (void *)(uintptr_t)s, &errors);
        if (errors.len)
                log_warn(NULL, "the configuration has keys nobody reads",
                         LOG_S("what", buf_cstr(&errors)));
        buf_deinit(&errors);
}

static int make_host(struct daemon *d)
{
        struct host_options o = {
                .db = d->db,
                .workers = (int)config_int(d->config, "host", "workers"),
                .job_workers = d->serves ? (int)config_int(d->config, "host", "job_workers") : -1,
                .no_events = !d->serves,
                .instance = config_text(d->config, "host", "instance"),
                .config = plugin_value,
                .config_arg = d,
        };
        struct buf errors = BUF_INIT;
        int r = host_new(&d->host, &o);

        if (r)
                return r;
        r = d->serves ? load_plugins(d->host, config_text(d->config, "host", "plugin_dir"), &errors)
                      : 0;
        if (r)
                return say("a plugin cannot be loaded", &errors);
        buf_deinit(&errors);
        config_plugin_each(d->config, check_plugin_section, d);
        host_add_builtin(d->host, &collect_plugin, NULL);
        host_set_object(d->host, "collect", d->collect);
        host_set_object(d->host, "registry", d->registry);
        host_set_object(d->host, "ingest", d->ingest);
        host_set_object(d->host, "master_key", d->collects ? &d->master_key : NULL);
        if (d->collect)
                host_add_status(d->host, "collect", collect_status, d->collect);
        if (d->ingest)
                host_add_status(d->host, "ingest", ingest_status, d->ingest);
        if (d->services)
                host_add_status(d->host, "services", services_status, d->services);
        return 0;
}

static void install_models(struct daemon *d)
{
        struct buf errors = BUF_INIT;

        if (models_install(d->db, config_text(d->config, "daemon", "models_dir"), &errors))
                log_error(NULL, "not every meter model could be taken",
                          LOG_S("why", buf_cstr(&errors)));
        buf_deinit(&errors);
}

static void bootstrap_admin(struct daemon *d)
{
        const char *password = config_text(d->config, "daemon", "admin_password");

        if (password &&
            host_bootstrap_admin(d->host, config_text(d->config, "daemon", "admin_login"),
                                 password) == 0)
                log_info(NULL, "the first administrator was made");
}

static int open_api(struct daemon *d)
{
        struct api_options o = { 0 };
        struct buf errors = BUF_INIT;

        api_options_read(&o, d->config);
        o.loop = &d->loop;
        o.host = d->host;
        if (api_new(&d->api, &o, &errors))
                return say("the API cannot listen", &errors);
        buf_deinit(&errors);
        log_info(NULL, "API listens", LOG_I("port", api_port(d->api)));
        return 0;
}

static void on_started(uv_async_t *h)
{
        struct daemon *d = h->data;

        if (d->stopping)
                return;
        if (!d->host_ready || open_api(d)) {
                stop_loop(d, EXIT_FAILURE);
                return;
        }
        notify_status("serving");
}

/* ---- host: comes up on its own thread, because the database may be away ---- */

static void start_host(void *arg)
{
        struct daemon *d = arg;
        unsigned pause_ms = 250;

        for (;;) {
                struct buf errors = BUF_INIT;
                int r = host_start(d->host, &errors);

                if (r == 0) {
                        buf_deinit(&errors);
                        bootstrap_admin(d);
                        if (d->collects)
                                install_models(d);
                        if (d->collects && sealer_start(&d->sealer, d->db, SEAL_EVERY_S))
                                log_error(NULL, "the sealer cannot start; received readings stay "
                                                "in the inbox");
                        d->host_ready = true;
                        break;
                }
                log_error(NULL, "the business side cannot start", LOG_S("why", buf_cstr(&errors)));
                buf_deinit(&errors);
                if (r != -ECANCELED || d->stopping)
                        break;
                /* The database is away: readings go to the spool meanwhile. */
                for (unsigned waited = 0; waited < pause_ms && !d->stopping; waited += 50)
                        usleep(50000);
                pause_ms = pause_ms < 4000 ? pause_ms * 2 : 4000;
        }
        uv_async_send(&d->started);
}

/* ---- life ---- */

static int open_all(struct daemon *d)
{
        const char *state_dir = config_text(d->config, "daemon", "state_dir");
        int r = make_state_dir(state_dir);

        if (r == 0)
                r = open_services(d, state_dir);
        if (r == 0)
                r = open_store(d, state_dir);
        if (r == 0)
                r = open_collect(d, state_dir);
        if (r == 0 && d->db)
                r = make_host(d);
        return r;
}

static void watch_signals(struct daemon *d)
{
        uv_signal_init(&d->loop, &d->sigterm);
        uv_signal_init(&d->loop, &d->sigint);
        uv_signal_init(&d->loop, &d->sighup);
        uv_async_init(&d->loop, &d->started, on_started);
        d->sigterm.data = d->sigint.data = d->sighup.data = d->started.data = d;
        uv_signal_start(&d->sigterm, on_term, SIGTERM);
        uv_signal_start(&d->sigint, on_term, SIGINT);
        uv_signal_start(&d->sighup, on_reload, SIGHUP);
        signal(SIGPIPE, SIG_IGN);
}

static void close_signals(struct daemon *d)
{
        uv_close((uv_handle_t *)&d->sigterm, NULL);
        uv_close((uv_handle_t *)&d->sigint, NULL);
        uv_close((uv_handle_t *)&d->sighup, NULL);
        uv_close((uv_handle_t *)&d->started, NULL);
}

static void on_collect_closed(void *arg)
{
        struct daemon *d = arg;

        d->collect_closed = true;
}

/* In this order nothing accepted is lost: first nobody new is let in, then what was accepted
 * becomes durable, then work in progress ends, then the database goes. */
static void close_all(struct daemon *d)
{
        if (d->api)
                api_free(d->api);
        if (d->starter_running)
                uv_thread_join(&d->starter);
        collect_close(d->collect, on_collect_closed, d);
        while (!d->collect_closed)
                uv_run(&d->loop, UV_RUN_ONCE);
        ingest_close(d->ingest);
        close_signals(d);
        while (uv_run(&d->loop, UV_RUN_ONCE))
                continue;
        host_free(d->host);
        collect_free(d->collect); /* operations may have called it until here */
        registry_close(d->registry);
        sealer_stop(d->sealer);
        services_close(d->services);
        db_close(d->db);
        secret_wipe(&d->master_key);
        config_free(d->config);
}

static int run(struct daemon *d)
{
        uv_loop_init(&d->loop);
        watch_signals(d);
        d->collects = !role_is(d, "business");
        d->serves = role_is(d, "all") || role_is(d, "business");
        d->exit_code = EXIT_FAILURE;
        if (open_all(d) == 0) {
                if (d->host && uv_thread_create(&d->starter, start_host, d) == 0)
                        d->starter_running = true;
                /* Readings can be taken from here on, whatever the database does. */
                notify_ready(&d->notify, &d->loop);
                log_info(NULL, "ready", LOG_S("version", HEADRACE_VERSION),
                         LOG_S("role", d->args.role ? d->args.role
                                                    : config_text(d->config, "daemon", "role")));
                uv_run(&d->loop, UV_RUN_DEFAULT);
        }
        d->stopping = true;
        close_all(d);
        uv_loop_close(&d->loop);
        log_info(NULL, "ended", LOG_I("status", d->exit_code));
        return d->exit_code;
}

int main(int argc, char **argv)
{
        static struct daemon d;
        static char config_path[PATH_MAX];
        int r;

        gather_sections(&d);
        r = parse_arguments(&d, argc, argv);
        if (r >= 0)
                return r;
        if (realpath(d.args.config_path, config_path))
                d.args.config_path = config_path;
        if (load_config(&d))
                return EXIT_CONFIG;
        if (d.args.check_only) {
                printf("%s: the configuration is in order\n", d.args.config_path);
                config_free(d.config);
                return 0;
        }
        apply_log_level(&d);
        raise_descriptor_limit();
        return run(&d);
}
